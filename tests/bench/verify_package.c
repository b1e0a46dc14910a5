/*
 * verify_package RECORDS PACKAGES ROUNDS: how long it takes, in seconds, to verify one package of so many records with
 * all its proofs, in a registry of so many packages; the median of the rounds.
 *
 * Forged beforehand: keys, records, the registry's log and map, a checkpoint, and the proofs as bytes. Measured: from
 * these bytes to the verdict; every record of the package and of the operator, the checkpoint's signature, inclusion of
 * both heads in log and map, and consistency with an earlier checkpoint.
 */
#include "verify/checkpoint.h"
#include "verify/merkle_log.h"
#include "verify/merkle_map.h"
#include "verify/package_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct fault flt;

/* Nothing here may fail. */
static void must(int verdict)
{
	char sentence[FAULT_SENTENCE_SIZE];

	if (!verdict)
		return;
	fault_sentence(&flt, sentence);
	fprintf(stderr, "verify_package: %s\n", sentence);
	exit(1);
}

static void *must_have(void *memory)
{
	if (!memory)
		must(fault_no_memory(&flt));
	return memory;
}

/* A record as it travels. */
struct signed_record {
	struct buf content, signature;
	struct record_envelope envelope;
	struct digest id;
};

/* All that the registry would send, and what is known beforehand. */
struct forged {
	struct name name;
	struct signed_record operator;
	struct signed_record *records;
	size_t record_count;
	struct checkpoint before;
	struct signed_checkpoint checkpoint;
	uint64_t operator_index, package_index;
	struct buf log_inclusion, map_inclusion, consistency;
};

static void sign(enum record_kind kind, const struct ecdsa_private_key *key, const struct record *record,
		 struct signed_record *out)
{
	buf_init(&out->content, CAP_RECORD);
	buf_init(&out->signature, CAP_SIGNATURE_TEXT);
	must(record_encode(record, &out->content, &flt));
	must(record_sign(kind, key, buf_span(&out->content), &out->signature, &flt));
	out->id = record_id(kind, buf_span(&out->content));
	out->envelope = (struct record_envelope){
		.content = buf_span(&out->content),
		.key_id = *ecdsa_public_key_id(ecdsa_private_key_public(key)),
		.signature = buf_span(&out->signature),
	};
}

/* The first record of a log: `init`, and for the operator nothing else. */
static void sign_init(enum record_kind kind, const struct ecdsa_private_key *key, struct signed_record *out)
{
	struct record_entry entry = {
		.type = ENTRY_INIT,
		.key = span_of_text(ecdsa_public_key_text(ecdsa_private_key_public(key))),
	};
	struct record record = { .kind = kind, .time = { .seconds = 1 }, .entries = &entry, .entry_count = 1 };

	sign(kind, key, &record, out);
}

static void sign_release(const struct ecdsa_private_key *key, const struct digest *prev, size_t number,
			 struct signed_record *out)
{
	char version[32];
	struct record_entry entry = { .type = ENTRY_RELEASE };
	struct record record = {
		.kind = RECORD_PACKAGE,
		.has_prev = true,
		.prev = *prev,
		.time = { .seconds = 1 + (int64_t)number },
		.entries = &entry,
		.entry_count = 1,
	};

	snprintf(version, sizeof(version), "1.%zu.0", number);
	entry.version = span_of_text(version);
	entry.content = digest_of(entry.version);
	sign(RECORD_PACKAGE, key, &record, out);
}

static void forge_records(struct forged *forged, const struct ecdsa_private_key *key, size_t count)
{
	must(name_parse(span_of_text("bench:measured"), &forged->name, &flt));
	forged->records = must_have(calloc(count, sizeof(*forged->records)));
	forged->record_count = count;
	sign_init(RECORD_PACKAGE, key, &forged->records[0]);
	for (size_t i = 1; i < count; i++)
		sign_release(key, &forged->records[i - 1].id, i, &forged->records[i]);
}

/* The registry's log and map while they grow. */
struct registry {
	struct merkle_log *log;
	struct merkle_map *map;
};

/* @return the record's index in the registry's log */
static uint64_t commit(struct registry *registry, const struct digest *log_id, const struct digest *record_id)
{
	struct merkle_map_entry entry = { .log_id = *log_id, .record_id = *record_id };
	struct digest leaf = merkle_log_leaf(log_id, record_id);

	must(merkle_log_append(registry->log, &leaf, &flt));
	must(merkle_map_set(registry->map, &entry, &flt));
	return merkle_log_length(registry->log) - 1;
}

static void commit_others(struct registry *registry, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct digest id = digest_of((struct span){ (const unsigned char *)&i, sizeof(i) });

		commit(registry, &id, &id);
	}
}

static struct checkpoint checkpoint_of(struct registry *registry)
{
	uint64_t length = merkle_log_length(registry->log);

	return (struct checkpoint){
		.log_length = length,
		.log_root = merkle_log_root(registry->log, length),
		.map_root = merkle_map_root(registry->map),
		.timestamp = 1,
	};
}

static void prove(struct forged *forged, struct registry *registry)
{
	const uint64_t indices[] = { forged->operator_index, forged->package_index };
	const struct digest ids[] = { name_operator_log_id(), name_log_id(&forged->name) };
	uint64_t length = merkle_log_length(registry->log);
	struct merkle_log_bundle log;
	struct merkle_map_bundle map;

	buf_init(&forged->log_inclusion, CAP_BODY_PROOF);
	buf_init(&forged->map_inclusion, CAP_BODY_PROOF);
	buf_init(&forged->consistency, CAP_BODY_PROOF);
	must(merkle_log_prove_inclusion(registry->log, length, indices, 2, &log, &flt));
	must(merkle_log_bundle_encode(&log, &forged->log_inclusion, &flt));
	merkle_log_bundle_release(&log);
	must(merkle_log_prove_consistency(registry->log, forged->before.log_length, length, &log, &flt));
	must(merkle_log_bundle_encode(&log, &forged->consistency, &flt));
	merkle_log_bundle_release(&log);
	must(merkle_map_prove(registry->map, ids, 2, &map, &flt));
	must(merkle_map_bundle_encode(&map, &forged->map_inclusion, &flt));
	merkle_map_bundle_release(&map);
}

static void forge(struct forged *forged, size_t records, size_t packages)
{
	const struct digest operator_id = name_operator_log_id();
	struct registry registry;
	struct ecdsa_private_key *key;
	struct checkpoint contents;
	struct digest id;

	must(ecdsa_private_key_generate(&key, &flt));
	must(merkle_log_new(&registry.log, &flt));
	must(merkle_map_new(&registry.map, &flt));
	sign_init(RECORD_OPERATOR, key, &forged->operator);
	forge_records(forged, key, records);
	id = name_log_id(&forged->name);

	forged->operator_index = commit(&registry, &operator_id, &forged->operator.id);
	commit_others(&registry, packages / 2);
	forged->before = checkpoint_of(&registry);
	for (size_t i = 0; i < records; i++)
		forged->package_index = commit(&registry, &id, &forged->records[i].id);
	commit_others(&registry, packages);
	contents = checkpoint_of(&registry);
	must(checkpoint_sign(&contents, key, &forged->checkpoint, &flt));
	prove(forged, &registry);
	merkle_log_free(registry.log);
	merkle_map_free(registry.map);
	ecdsa_private_key_free(key);
}

static void check_proofs(const struct forged *forged)
{
	const struct checkpoint *now = &forged->checkpoint.contents;
	const struct digest *head = &forged->records[forged->record_count - 1].id;
	const struct merkle_map_entry entries[] = {
		{ name_operator_log_id(), forged->operator.id },
		{ name_log_id(&forged->name), *head },
	};
	const struct merkle_log_leaf_at leaves[] = {
		{ forged->operator_index, merkle_log_leaf(&entries[0].log_id, &entries[0].record_id) },
		{ forged->package_index, merkle_log_leaf(&entries[1].log_id, &entries[1].record_id) },
	};
	struct merkle_log_bundle log;
	struct merkle_map_bundle map;

	must(merkle_log_bundle_decode(buf_span(&forged->log_inclusion), &log, &flt));
	must(merkle_log_check_inclusion(&log, now->log_length, &now->log_root, leaves, 2, &flt));
	merkle_log_bundle_release(&log);
	must(merkle_map_bundle_decode(buf_span(&forged->map_inclusion), &map, &flt));
	must(merkle_map_check_inclusion(&map, &now->map_root, entries, 2, &flt));
	merkle_map_bundle_release(&map);
	must(merkle_log_bundle_decode(buf_span(&forged->consistency), &log, &flt));
	must(merkle_log_check_consistency(&log, forged->before.log_length, &forged->before.log_root, now->log_length,
					  &now->log_root, &flt));
	merkle_log_bundle_release(&log);
}

/* What is measured. */
static void verify(const struct forged *forged)
{
	struct operator_log *operator;
	struct package_log *package;

	must(operator_log_new(&operator, &flt));
	must(operator_log_append(operator, &forged->operator.envelope, &flt));
	must(checkpoint_verify(&forged->checkpoint, operator, &flt));
	must(package_log_new(&forged->name, &package, &flt));
	for (size_t i = 0; i < forged->record_count; i++)
		must(package_log_append(package, &forged->records[i].envelope, &flt));
	check_proofs(forged);
	package_log_unref(package);
	operator_log_unref(operator);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	size_t records = argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
	size_t packages = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
	size_t rounds = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
	struct forged forged = {0};
	double *took;

	if (!records || !packages || !rounds) {
		fprintf(stderr, "usage: verify_package RECORDS PACKAGES ROUNDS\n");
		return 2;
	}
	forge(&forged, records, packages);
	took = must_have(calloc(rounds, sizeof(*took)));
	for (size_t i = 0; i < rounds; i++) {
		double start = now();

		verify(&forged);
		took[i] = now() - start;
	}
	qsort(took, rounds, sizeof(*took), compare);
	printf("%.6f\n", took[rounds / 2]);
	free(took);
	return 0;
}
