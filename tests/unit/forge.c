/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Making up registries (see forge.h).
 */
#include "forge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "verify/base64.h"

#define FIRST_SECOND 1700000000

static void must(int verdict, const struct fault *flt)
{
	char sentence[FAULT_SENTENCE_SIZE];

	if (!verdict)
		return;
	fault_sentence(flt, sentence);
	fail_msg("forging failed: %s", sentence);
}

/* ---- Keys ---- */

struct ecdsa_private_key *forge_key(unsigned number)
{
	unsigned char scalar[32] = { 0 };
	struct ecdsa_private_key *key = NULL;
	struct fault flt = { 0 };
	struct buf text;

	for (size_t i = 0; i < sizeof(number); i++)
		scalar[31 - i] = (unsigned char)(number >> 8 * i);
	buf_init(&text, CAP_KEY_TEXT);
	must(buf_append_text(&text, "ecdsa-p256:", &flt), &flt);
	must(base64_encode((struct span){ scalar, sizeof(scalar) }, &text, &flt), &flt);
	must(ecdsa_private_key_parse(buf_span(&text), &key, &flt), &flt);
	buf_release(&text);
	return key;
}

/* ---- Records ---- */

void forge_content(enum record_kind kind, struct span content, const struct ecdsa_private_key *key,
		   struct forge_record *out)
{
	struct fault flt = { 0 };
	struct buf signature;

	*out = (struct forge_record){ .id = record_id(kind, content),
				      .key_id = *ecdsa_public_key_id(ecdsa_private_key_public(key)) };
	buf_init(&out->content, SIZE_MAX);
	must(buf_append(&out->content, content, &flt), &flt);
	buf_init(&signature, CAP_SIGNATURE_TEXT);
	must(record_sign(kind, key, content, &signature, &flt), &flt);
	memcpy(out->signature, signature.data, signature.length);
	buf_release(&signature);
}

void forge_record(enum record_kind kind, const struct record *record, const struct ecdsa_private_key *key,
		  struct forge_record *out)
{
	struct fault flt = { 0 };
	struct buf content;

	buf_init(&content, SIZE_MAX);
	must(record_encode(record, &content, &flt), &flt);
	forge_content(kind, buf_span(&content), key, out);
	buf_release(&content);
}

void forge_record_release(struct forge_record *record)
{
	buf_release(&record->content);
}

struct record_envelope forge_envelope(const struct forge_record *record)
{
	return (struct record_envelope){ .content = buf_span(&record->content),
					 .key_id = record->key_id,
					 .signature = span_of_text(record->signature) };
}

struct name forge_name(const char *text)
{
	struct fault flt = { 0 };
	struct name name;

	must(name_parse(span_of_text(text), &name, &flt), &flt);
	return name;
}

/* ---- Entries ---- */

static struct span key_text(const struct ecdsa_private_key *key)
{
	return span_of_text(ecdsa_public_key_text(ecdsa_private_key_public(key)));
}

struct record_entry forge_init(const struct ecdsa_private_key *key)
{
	return (struct record_entry){ .type = ENTRY_INIT, .key = key_text(key) };
}

struct record_entry forge_grant(const struct ecdsa_private_key *key, unsigned permissions)
{
	return (struct record_entry){ .type = ENTRY_GRANT_FLAT, .key = key_text(key), .permissions = permissions };
}

struct record_entry forge_revoke(const struct ecdsa_private_key *key, unsigned permissions)
{
	return (struct record_entry){ .type = ENTRY_REVOKE_FLAT,
				      .key_id = *ecdsa_public_key_id(ecdsa_private_key_public(key)),
				      .permissions = permissions };
}

struct record_entry forge_release(const char *version, const char *content)
{
	return (struct record_entry){ .type = ENTRY_RELEASE,
				      .version = span_of_text(version),
				      .content = digest_of(span_of_text(content)) };
}

struct record_entry forge_yank(const char *version)
{
	return (struct record_entry){ .type = ENTRY_YANK, .version = span_of_text(version) };
}

struct record_entry forge_namespace(const char *namespace)
{
	return (struct record_entry){ .type = ENTRY_DEFINE_NAMESPACE, .namespace = span_of_text(namespace) };
}

struct record_entry forge_import(const char *namespace, const char *registry)
{
	return (struct record_entry){ .type = ENTRY_IMPORT_NAMESPACE, .namespace = span_of_text(namespace),
				      .registry = span_of_text(registry) };
}

struct operator_log *forge_operator(const struct record_entry *entries, size_t count)
{
	struct ecdsa_private_key *key = forge_key(1);
	struct record_entry all[9] = { forge_init(key) };
	const struct record record = { .kind = RECORD_OPERATOR, .time = { FIRST_SECOND, 0 }, .entries = all,
				       .entry_count = count + 1 };
	struct forge_record made;
	struct record_envelope envelope;
	struct operator_log *log;
	struct fault flt = { 0 };

	assert_true(count < 9);
	memcpy(all + 1, entries, count * sizeof(*entries));
	forge_record(RECORD_OPERATOR, &record, key, &made);
	envelope = forge_envelope(&made);
	must(operator_log_new(&log, &flt), &flt);
	must(operator_log_append(log, &envelope, &flt), &flt);
	forge_record_release(&made);
	ecdsa_private_key_free(key);
	return log;
}

/* ---- Registries ---- */

void forge_open(struct forge *forge, const char *namespace)
{
	forge_open_by(forge, namespace, 1);
}

void forge_open_by(struct forge *forge, const char *namespace, unsigned operator)
{
	struct fault flt = { 0 };

	*forge = (struct forge){ .operator_key = forge_key(operator), .package_key = forge_key(2) };
	must(merkle_log_new(&forge->log, &flt), &flt);

	const struct record_entry entries[] = { forge_init(forge->operator_key), forge_namespace(namespace) };

	forge_append(forge, RECORD_OPERATOR, NULL, entries, 2, forge->operator_key);
}

void forge_close(struct forge *forge)
{
	for (size_t i = 0; i < forge->count; i++)
		forge_record_release(&forge->records[i]);
	free(forge->records);
	merkle_log_free(forge->log);
	ecdsa_private_key_free(forge->operator_key);
	ecdsa_private_key_free(forge->package_key);
}

int64_t forge_head(const struct forge *forge, const struct digest *log_id, uint64_t length)
{
	for (uint64_t i = length; i-- > 0;)
		if (digest_equals(&forge->records[i].log_id, log_id))
			return (int64_t)i;
	return -1;
}

static struct digest log_id_of(enum record_kind kind, const char *name)
{
	if (kind == RECORD_OPERATOR)
		return name_operator_log_id();
	return name_log_id_of_text(span_of_text(name));
}

/** Room for the next record. */
static struct forge_record *next_record(struct forge *forge, const struct digest *log_id)
{
	forge->records = reallocarray(forge->records, forge->count + 1, sizeof(*forge->records));
	assert_non_null(forge->records);
	forge->records[forge->count] = (struct forge_record){ .log_id = *log_id };
	return &forge->records[forge->count++];
}

static void append_leaf(struct forge *forge, const struct forge_record *made)
{
	struct digest leaf = merkle_log_leaf(&made->log_id, &made->id);
	struct fault flt = { 0 };

	must(merkle_log_append(forge->log, &leaf, &flt), &flt);
}

void forge_append_made(struct forge *forge, const char *name, const struct record_envelope *envelope)
{
	struct digest log_id = log_id_of(RECORD_PACKAGE, name);
	struct forge_record *made = next_record(forge, &log_id);
	struct fault flt = { 0 };

	assert_true(envelope->signature.length < sizeof(made->signature));
	made->id = record_id(RECORD_PACKAGE, envelope->content);
	made->key_id = envelope->key_id;
	memcpy(made->signature, envelope->signature.data, envelope->signature.length);
	buf_init(&made->content, 2 * CAP_RECORD_CARRIED);
	must(buf_append(&made->content, envelope->content, &flt), &flt);
	append_leaf(forge, made);
}

void forge_append(struct forge *forge, enum record_kind kind, const char *name, const struct record_entry *entries,
		  size_t count, const struct ecdsa_private_key *key)
{
	struct digest log_id = log_id_of(kind, name);
	int64_t head = forge_head(forge, &log_id, forge->count);
	struct record record = { .kind = kind,
				 .has_prev = head >= 0,
				 .time = { FIRST_SECOND + (int64_t)forge->count, 5 },
				 .entries = (struct record_entry *)(uintptr_t)entries,
				 .entry_count = count };
	struct forge_record *made;

	if (head >= 0)
		record.prev = forge->records[head].id;
	made = next_record(forge, &log_id);
	forge_record(kind, &record, key, made);
	made->log_id = log_id;
	append_leaf(forge, made);
}

void forge_publish(struct forge *forge, const char *name, const char *version, const char *content)
{
	struct digest log_id = log_id_of(RECORD_PACKAGE, name);
	const struct record_entry entries[] = { forge_init(forge->package_key), forge_release(version, content) };
	bool is_first = forge_head(forge, &log_id, forge->count) < 0;

	forge_append(forge, RECORD_PACKAGE, name, entries + !is_first, 1 + is_first, forge->package_key);
}

void forge_package(struct forge *forge, const char *name, size_t records)
{
	char version[40];

	for (size_t i = 0; i < records; i++) {
		snprintf(version, sizeof(version), "0.0.%zu", i);
		forge_publish(forge, name, version, version);
	}
}

/** The map as it was at `length`. */
static struct merkle_map *map_at(const struct forge *forge, uint64_t length)
{
	struct merkle_map *map = NULL;
	struct fault flt = { 0 };

	must(merkle_map_new(&map, &flt), &flt);
	for (uint64_t i = 0; i < length; i++) {
		const struct merkle_map_entry entry = { forge->records[i].log_id, forge->records[i].id };

		must(merkle_map_set(map, &entry, &flt), &flt);
	}
	return map;
}

struct signed_checkpoint forge_checkpoint(const struct forge *forge, uint64_t length, uint64_t timestamp)
{
	struct merkle_map *map = map_at(forge, length);
	const struct checkpoint contents = { .log_length = length,
					     .log_root = merkle_log_root(forge->log, length),
					     .map_root = merkle_map_root(map),
					     .timestamp = timestamp };
	struct signed_checkpoint checkpoint = { 0 };
	struct fault flt = { 0 };

	merkle_map_free(map);
	must(checkpoint_sign(&contents, forge->operator_key, &checkpoint, &flt), &flt);
	return checkpoint;
}

void forge_prove_inclusion(const struct forge *forge, uint64_t length, const uint64_t *indices, size_t count,
			   struct merkle_log_bundle *log, struct merkle_map_bundle *map)
{
	struct digest *log_ids = calloc(count + 1, sizeof(*log_ids));
	struct merkle_map *whole = map_at(forge, length);
	struct fault flt = { 0 };

	assert_non_null(log_ids);
	for (size_t i = 0; i < count; i++)
		log_ids[i] = forge->records[indices[i]].log_id;
	must(merkle_log_prove_inclusion(forge->log, length, indices, count, log, &flt), &flt);
	must(merkle_map_prove(whole, log_ids, count, map, &flt), &flt);
	merkle_map_free(whole);
	free(log_ids);
}

void forge_prove_consistency(const struct forge *forge, uint64_t from, uint64_t to, struct merkle_log_bundle *out)
{
	struct fault flt = { 0 };

	must(merkle_log_prove_consistency(forge->log, from, to, out, &flt), &flt);
}
