/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * LogProofBundle, read and written (protocol.md section 5).
 *
 * Stricter than proto3 asks of a reader: fields come in the order of their numbers, lists are packed and in one piece,
 * and nothing holds its default. So each bundle has one form only, the one that the reference writes.
 */
#include <stdlib.h>
#include <string.h>

#include "merkle_log.h"
#include "wire.h"

enum bundle_field { LOG_LENGTH = 1, CONSISTENT_LENGTHS = 2, INCLUDED_NODES = 3, HASHES = 4 };
enum hash_field { HASH_NODE = 1, HASH_HASH = 2 };

static int read_uint32(const struct wire_field *field, const char *name, uint32_t *out, struct fault *flt)
{
	if (field->type != WIRE_VARINT)
		return fault_invalid(flt, "the %s of a log proof has the wrong wire type", name);
	if (field->value == 0)
		return fault_invalid(flt, "the %s of a log proof is written although it is 0", name);
	if (field->value > UINT32_MAX)
		return fault_invalid(flt, "the %s of a log proof does not fit 32 bits", name);
	*out = (uint32_t)field->value;
	return 0;
}

static int read_packed(const struct wire_field *field, const char *name, uint32_t **out, size_t *count,
		       struct fault *flt)
{
	struct wire_reader reader = { field->bytes };
	uint32_t *values;
	size_t n = 0, i = 0;
	uint64_t value;
	int ret;

	if (field->type != WIRE_BYTES)
		return fault_invalid(flt, "the %s of a log proof are not packed", name);
	for (size_t at = 0; at < field->bytes.length; at++)
		n += field->bytes.data[at] < 0x80; /* the last byte of each varint */
	if (n == 0)
		return fault_invalid(flt, "the %s of a log proof are an empty list", name);
	if (n > CAP_PROOF_LEAVES)
		return fault_undecided(flt, FAULT_LIMIT, "a log proof has %zu %s, more than %u", n, name,
				       (unsigned)CAP_PROOF_LEAVES);
	values = malloc(n * sizeof(*values));
	if (!values)
		return fault_no_memory(flt);
	while (reader.rest.length > 0) {
		ret = wire_read_varint(&reader, &value, flt);
		if (ret)
			goto err;
		if (value > UINT32_MAX) {
			ret = fault_invalid(flt, "one of the %s of a log proof does not fit 32 bits", name);
			goto err;
		}
		values[i++] = (uint32_t)value;
	}
	*out = values;
	*count = i;
	return 0;
err:
	free(values);
	return ret;
}

static int read_hash(struct span bytes, struct merkle_log_hash *out, struct fault *flt)
{
	struct wire_reader reader = { bytes };
	struct wire_field field;
	uint32_t last = 0;
	int ret;

	out->node = 0;
	while (reader.rest.length > 0) {
		ret = wire_read_field(&reader, &field, flt);
		if (ret)
			return ret;
		if (field.number <= last)
			return fault_invalid(flt, "a hash of a log proof has field %u twice or out of order",
					     field.number);
		last = field.number;
		switch (field.number) {
		case HASH_NODE:
			ret = read_uint32(&field, "node number", &out->node, flt);
			if (ret)
				return ret;
			break;
		case HASH_HASH:
			if (field.type != WIRE_BYTES)
				return fault_invalid(flt, "the hash of node %u has the wrong wire type", out->node);
			if (field.bytes.length != DIGEST_SIZE)
				return fault_invalid(flt, "the hash of node %u has %zu bytes, not %d", out->node,
						     field.bytes.length, DIGEST_SIZE);
			memcpy(out->hash.bytes, field.bytes.data, DIGEST_SIZE);
			break;
		default:
			return fault_invalid(flt, "a hash of a log proof has an unknown field %u", field.number);
		}
	}
	if (last != HASH_HASH)
		return fault_invalid(flt, "node %u of a log proof has no hash", out->node);
	return 0;
}

/** Read the hashes, which are all that is left of a bundle, and whose fields were looked at before. */
static int read_hashes(struct wire_reader reader, size_t count, struct merkle_log_hash **out, struct fault *flt)
{
	struct merkle_log_hash *hashes;
	struct wire_field field;
	int ret;

	hashes = malloc(count * sizeof(*hashes));
	if (!hashes)
		return fault_no_memory(flt);
	for (size_t i = 0; i < count; i++) {
		ret = wire_read_field(&reader, &field, flt);
		if (ret)
			goto err;
		ret = read_hash(field.bytes, &hashes[i], flt);
		if (ret)
			goto err;
		if (i > 0 && hashes[i].node <= hashes[i - 1].node) {
			ret = fault_invalid(flt, "the hashes of a log proof are not sorted: node %u comes after %u",
					    hashes[i].node, hashes[i - 1].node);
			goto err;
		}
	}
	*out = hashes;
	return 0;
err:
	free(hashes);
	return ret;
}

/** Read one field that is not a hash. */
static int read_head_field(const struct wire_field *field, struct merkle_log_bundle *bundle, struct fault *flt)
{
	switch (field->number) {
	case LOG_LENGTH:
		return read_uint32(field, "length", &bundle->log_length, flt);
	case CONSISTENT_LENGTHS:
		return read_packed(field, "old lengths", &bundle->consistent_lengths, &bundle->consistent_count, flt);
	case INCLUDED_NODES:
		return read_packed(field, "leaves", &bundle->included_nodes, &bundle->included_count, flt);
	default:
		return fault_invalid(flt, "a log proof has an unknown field %u", field->number);
	}
}

int merkle_log_bundle_decode(struct span bytes, struct merkle_log_bundle *out, struct fault *flt)
{
	struct merkle_log_bundle bundle = { 0 };
	struct wire_reader reader = { bytes }, hashes = { { NULL, 0 } };
	struct wire_field field;
	uint32_t last = 0;
	int ret;

	while (reader.rest.length > 0) {
		struct wire_reader before = reader;

		ret = wire_read_field(&reader, &field, flt);
		if (ret)
			goto err;
		if (field.number < last || (field.number == last && last != HASHES)) {
			ret = fault_invalid(flt, "a log proof has field %u twice or out of order", field.number);
			goto err;
		}
		last = field.number;
		if (field.number != HASHES) {
			ret = read_head_field(&field, &bundle, flt);
			if (ret)
				goto err;
			continue;
		}
		if (field.type != WIRE_BYTES) {
			ret = fault_invalid(flt, "a hash of a log proof has the wrong wire type");
			goto err;
		}
		if (bundle.hash_count == CAP_PROOF_HASHES) {
			ret = fault_undecided(flt, FAULT_LIMIT, "a log proof has more than %u hashes",
					      CAP_PROOF_HASHES);
			goto err;
		}
		if (bundle.hash_count++ == 0)
			hashes = before;
	}
	if (bundle.hash_count > 0) {
		ret = read_hashes(hashes, bundle.hash_count, &bundle.hashes, flt);
		if (ret)
			goto err;
	}
	*out = bundle;
	return 0;
err:
	merkle_log_bundle_release(&bundle);
	return ret;
}

static int write_packed(struct buf *out, uint32_t number, const uint32_t *values, size_t count, struct fault *flt)
{
	struct buf packed;
	int ret = 0;

	if (count == 0)
		return 0;
	buf_init(&packed, count * 5); /* a varint of 32 bits has at most 5 bytes */
	for (size_t i = 0; i < count && !ret; i++)
		ret = wire_write_varint(&packed, values[i], flt);
	if (!ret)
		ret = wire_write_bytes_field(out, number, buf_span(&packed), flt);
	buf_release(&packed);
	return ret;
}

static int write_hash(struct buf *out, const struct merkle_log_hash *hash, struct fault *flt)
{
	struct buf entry;
	int ret = 0;

	buf_init(&entry, 48);
	if (hash->node != 0)
		ret = wire_write_varint_field(&entry, HASH_NODE, hash->node, flt);
	if (!ret)
		ret = wire_write_bytes_field(&entry, HASH_HASH, digest_span(&hash->hash), flt);
	if (!ret)
		ret = wire_write_bytes_field(out, HASHES, buf_span(&entry), flt);
	buf_release(&entry);
	return ret;
}

int merkle_log_bundle_encode(const struct merkle_log_bundle *bundle, struct buf *out, struct fault *flt)
{
	size_t start = out->length;
	int ret = 0;

	if (bundle->log_length != 0)
		ret = wire_write_varint_field(out, LOG_LENGTH, bundle->log_length, flt);
	if (!ret)
		ret = write_packed(out, CONSISTENT_LENGTHS, bundle->consistent_lengths, bundle->consistent_count, flt);
	if (!ret)
		ret = write_packed(out, INCLUDED_NODES, bundle->included_nodes, bundle->included_count, flt);
	for (size_t i = 0; i < bundle->hash_count && !ret; i++)
		ret = write_hash(out, &bundle->hashes[i], flt);
	if (ret)
		out->length = start;
	return ret;
}

void merkle_log_bundle_release(struct merkle_log_bundle *bundle)
{
	free(bundle->consistent_lengths);
	free(bundle->included_nodes);
	free(bundle->hashes);
	*bundle = (struct merkle_log_bundle){ 0 };
}
