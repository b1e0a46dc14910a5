/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * MapProofBundle, read and written (protocol.md section 5).
 *
 * A sibling may be absent on the wire, which the reference never sends but understands: it is an empty subtree then.
 */
#include <stdlib.h>
#include <string.h>

#include "merkle_map.h"
#include "merkle_map_tree.h"
#include "wire.h"

/** The only field of each of the three messages. */
#define ONLY_FIELD 1

/** Read one field of a message that has no other than a repeated message of number 1. */
static int read_message(struct wire_reader *reader, struct span *out, struct fault *flt)
{
	struct wire_field field;
	int ret;

	ret = wire_read_field(reader, &field, flt);
	if (ret)
		return ret;
	if (field.number != ONLY_FIELD)
		return fault_invalid(flt, "a map proof has an unknown field %u", field.number);
	if (field.type != WIRE_BYTES)
		return fault_invalid(flt, "a map proof has the wrong wire type");
	*out = field.bytes;
	return 0;
}

/** How many messages there are in `bytes`, each of number 1. */
static int count_messages(struct span bytes, size_t *out, struct fault *flt)
{
	struct wire_reader reader = { bytes };
	struct span message;
	size_t count = 0;
	int ret;

	for (; reader.rest.length > 0; count++) {
		ret = read_message(&reader, &message, flt);
		if (ret)
			return ret;
	}
	*out = count;
	return 0;
}

/** Read an OptionalHash. */
static int read_hash(struct span bytes, const struct digest *absent, struct digest *out, struct fault *flt)
{
	struct wire_reader reader = { bytes };
	struct span hash;
	int ret;

	if (bytes.length == 0) {
		*out = *absent;
		return 0;
	}
	ret = read_message(&reader, &hash, flt);
	if (ret)
		return ret;
	if (reader.rest.length > 0)
		return fault_invalid(flt, "a hash of a map proof is there twice");
	if (hash.length != DIGEST_SIZE)
		return fault_invalid(flt, "a hash of a map proof has %zu bytes, not %d", hash.length, DIGEST_SIZE);
	memcpy(out->bytes, hash.data, DIGEST_SIZE);
	return 0;
}

/** Read a MapInclusionProof. @param room  how many hashes it may have before the bundle has too many */
static int read_path(struct span bytes, const struct merkle_map_empties *empties, size_t room,
		     struct merkle_map_path *out, struct fault *flt)
{
	struct wire_reader reader = { bytes };
	struct digest *hashes;
	struct span message;
	size_t count;
	int ret;

	ret = count_messages(bytes, &count, flt);
	if (ret)
		return ret;
	if (count > CAP_MAP_HEIGHT)
		return fault_invalid(flt, "a path of %zu hashes is longer than the map is high", count);
	if (count > room)
		return fault_undecided(flt, FAULT_LIMIT, "a map proof has more than %u hashes", CAP_MAP_PROOF_HASHES);
	if (count == 0) {
		*out = (struct merkle_map_path){ NULL, 0 };
		return 0;
	}
	hashes = malloc(count * sizeof(*hashes));
	if (!hashes)
		return fault_no_memory(flt);
	for (size_t i = 0; i < count; i++) {
		ret = read_message(&reader, &message, flt);
		if (!ret)
			ret = read_hash(message, &empties->at[CAP_MAP_HEIGHT - count + i], &hashes[i], flt);
		if (ret) {
			free(hashes);
			return ret;
		}
	}
	*out = (struct merkle_map_path){ hashes, count };
	return 0;
}

int merkle_map_bundle_decode(struct span bytes, struct merkle_map_bundle *out, struct fault *flt)
{
	struct merkle_map_bundle bundle = { NULL, 0 };
	struct wire_reader reader = { bytes };
	struct merkle_map_empties empties;
	size_t count, room = CAP_MAP_PROOF_HASHES;
	struct span message;
	int ret;

	ret = count_messages(bytes, &count, flt);
	if (ret)
		return ret;
	if (count > CAP_PROOF_LEAVES)
		return fault_undecided(flt, FAULT_LIMIT, "a map proof has %zu paths, more than %u", count,
				       (unsigned)CAP_PROOF_LEAVES);
	if (count > 0) {
		bundle.paths = malloc(count * sizeof(*bundle.paths));
		if (!bundle.paths)
			return fault_no_memory(flt);
	}
	merkle_map_empties_init(&empties);
	while (bundle.count < count) {
		struct merkle_map_path *path = &bundle.paths[bundle.count];

		ret = read_message(&reader, &message, flt);
		if (!ret)
			ret = read_path(message, &empties, room, path, flt);
		if (ret) {
			fault_at(flt, "path %zu", bundle.count);
			goto err;
		}
		room -= path->count;
		bundle.count++;
	}
	*out = bundle;
	return 0;
err:
	merkle_map_bundle_release(&bundle);
	return ret;
}

static int write_path(struct buf *out, const struct merkle_map_path *path, struct fault *flt)
{
	unsigned char entry[DIGEST_SIZE + 2] = { ONLY_FIELD << 3 | WIRE_BYTES, DIGEST_SIZE };
	struct buf message;
	int ret = 0;

	buf_init(&message, CAP_MAP_HEIGHT * (sizeof(entry) + 2));
	for (size_t i = 0; i < path->count && !ret; i++) {
		memcpy(entry + 2, path->hashes[i].bytes, DIGEST_SIZE);
		ret = wire_write_bytes_field(&message, ONLY_FIELD, (struct span){ entry, sizeof(entry) }, flt);
	}
	if (!ret)
		ret = wire_write_bytes_field(out, ONLY_FIELD, buf_span(&message), flt);
	buf_release(&message);
	return ret;
}

int merkle_map_bundle_encode(const struct merkle_map_bundle *bundle, struct buf *out, struct fault *flt)
{
	size_t start = out->length;
	int ret = 0;

	for (size_t i = 0; i < bundle->count && !ret; i++)
		ret = write_path(out, &bundle->paths[i], flt);
	if (ret)
		out->length = start;
	return ret;
}

void merkle_map_bundle_release(struct merkle_map_bundle *bundle)
{
	for (size_t i = 0; i < bundle->count; i++)
		free(bundle->paths[i].hashes);
	free(bundle->paths);
	*bundle = (struct merkle_map_bundle){ NULL, 0 };
}
