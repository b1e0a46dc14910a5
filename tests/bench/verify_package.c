/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * verify_package RECORDS PACKAGES ROUNDS: how long it takes, in seconds, to verify one package of so many records with
 * all its proofs, in a registry of so many packages; the median of the rounds.
 *
 * Forged beforehand: records, a checkpoint, and the proofs as bytes. Measured: from these bytes to the verdict; every
 * record of the package and of the operator, the checkpoint's signature, inclusion of both heads in log and map, and
 * consistency with an earlier checkpoint.
 */
#include "tests/unit/forge.h"

#include "verify/merkle_log.h"
#include "verify/merkle_map.h"
#include "verify/package_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Nothing here may fail. */
static struct fault flt;

static void must(int verdict)
{
	char sentence[FAULT_SENTENCE_SIZE];

	if (!verdict)
		return;
	fault_sentence(&flt, sentence);
	fprintf(stderr, "verify_package: %s\n", sentence);
	exit(1);
}

/* What the registry would send, and what is known beforehand. */
struct sent {
	struct forge registry;
	struct name name;
	struct digest log_id;
	struct checkpoint before;
	struct signed_checkpoint checkpoint;
	uint64_t heads[2]; /* indices of the operator's and the package's */
	struct buf log_inclusion, map_inclusion, consistency;
};

static void publish_others(struct sent *sent, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char name[64];

		snprintf(name, sizeof(name), "bench:other-p%zu", i);
		forge_publish(&sent->registry, name, "1.0.0", name);
	}
}

static void encode(struct sent *sent)
{
	const struct forge *registry = &sent->registry;
	struct merkle_log_bundle log;
	struct merkle_map_bundle map;

	buf_init(&sent->log_inclusion, CAP_BODY_PROOF);
	buf_init(&sent->map_inclusion, CAP_BODY_PROOF);
	buf_init(&sent->consistency, CAP_BODY_PROOF);
	forge_prove_inclusion(registry, registry->count, sent->heads, 2, &log, &map);
	must(merkle_log_bundle_encode(&log, &sent->log_inclusion, &flt));
	must(merkle_map_bundle_encode(&map, &sent->map_inclusion, &flt));
	merkle_log_bundle_release(&log);
	merkle_map_bundle_release(&map);
	forge_prove_consistency(registry, sent->before.log_length, registry->count, &log);
	must(merkle_log_bundle_encode(&log, &sent->consistency, &flt));
	merkle_log_bundle_release(&log);
}

/* The package's records lie behind the first checkpoint; before and after them lies what others published. */
static void prepare(struct sent *sent, size_t records, size_t packages)
{
	struct forge *registry = &sent->registry;

	forge_open(registry, "bench");
	publish_others(sent, packages - 1);
	sent->before = forge_checkpoint(registry, registry->count, 1).contents;
	sent->name = forge_name("bench:measured");
	sent->log_id = name_log_id(&sent->name);
	forge_package(registry, sent->name.text, records);
	sent->heads[1] = registry->count - 1;
	forge_publish(registry, "bench:last", "1.0.0", "last");
	sent->checkpoint = forge_checkpoint(registry, registry->count, 2);
	encode(sent);
}

static void check_proofs(const struct sent *sent)
{
	const struct checkpoint *now = &sent->checkpoint.contents;
	struct merkle_map_entry entries[2];
	struct merkle_log_leaf_at leaves[2];
	struct merkle_log_bundle log;
	struct merkle_map_bundle map;

	for (size_t i = 0; i < 2; i++) {
		const struct forge_record *head = &sent->registry.records[sent->heads[i]];

		entries[i] = (struct merkle_map_entry){ head->log_id, head->id };
		leaves[i] = (struct merkle_log_leaf_at){ sent->heads[i], merkle_log_leaf(&head->log_id, &head->id) };
	}
	must(merkle_log_bundle_decode(buf_span(&sent->log_inclusion), &log, &flt));
	must(merkle_log_check_inclusion(&log, now->log_length, &now->log_root, leaves, 2, &flt));
	merkle_log_bundle_release(&log);
	must(merkle_map_bundle_decode(buf_span(&sent->map_inclusion), &map, &flt));
	must(merkle_map_check_inclusion(&map, &now->map_root, entries, 2, &flt));
	merkle_map_bundle_release(&map);
	must(merkle_log_bundle_decode(buf_span(&sent->consistency), &log, &flt));
	must(merkle_log_check_consistency(&log, sent->before.log_length, &sent->before.log_root, now->log_length,
					  &now->log_root, &flt));
	merkle_log_bundle_release(&log);
}

/* What is measured. */
static void verify(const struct sent *sent)
{
	const struct forge *registry = &sent->registry;
	struct operator_log *operator;
	struct package_log *package;
	struct record_envelope envelope = forge_envelope(&registry->records[sent->heads[0]]);

	must(operator_log_new(&operator, &flt));
	must(operator_log_append(operator, &envelope, &flt));
	must(checkpoint_verify(&sent->checkpoint, operator, &flt));
	must(package_log_new(&sent->name, &package, &flt));
	for (uint64_t i = sent->before.log_length; i <= sent->heads[1]; i++) {
		envelope = forge_envelope(&registry->records[i]);
		must(package_log_append(package, &envelope, &flt));
	}
	check_proofs(sent);
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
	double *took = calloc(rounds + 1, sizeof(*took));
	struct sent sent = {0};

	if (!took || !records || !packages || !rounds) {
		fprintf(stderr, "usage: verify_package RECORDS PACKAGES ROUNDS\n");
		return 2;
	}
	prepare(&sent, records, packages);
	for (size_t i = 0; i < rounds; i++) {
		double start = now();

		verify(&sent);
		took[i] = now() - start;
	}
	qsort(took, rounds, sizeof(*took), compare);
	printf("%.6f\n", took[rounds / 2]);
	free(took);
	forge_close(&sent.registry);
	return 0;
}
