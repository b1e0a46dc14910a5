/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * large_registry make FOLDER RECORDS: a registry's database of at least so many records of as many packages, behind the
 * operator's, a thousand under each checkpoint; prints the records that entered a second.
 * large_registry open FOLDER: opens it as a server does, and proves the inclusion of records here and there; prints the
 * seconds until it knows where it stands, and the proofs a second.
 */
#include "server/append.h"
#include "server/log_nodes.h"
#include "server/operator_records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 1000
#define PROOFS 2000
#define KEY "ecdsa-p256:I+UlDo0HxyBBFeelhPPWmD+LnklOpqZDkrFP5VduASk="

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int fail(const struct fault *flt)
{
	char sentence[FAULT_SENTENCE_SIZE];

	fault_sentence(flt, sentence);
	fprintf(stderr, "large_registry: %s\n", sentence);
	return 1;
}

static struct digest digest_at(unsigned char what, uint64_t number)
{
	unsigned char bytes[9] = {what};

	memcpy(bytes + 1, &number, sizeof(number));
	return digest_of((struct span){bytes, sizeof(bytes)});
}

/* As large as a record with one release is. */
static struct published_record record_at(uint64_t index)
{
	static const unsigned char content[220];
	static const unsigned char signature[] = "ecdsa-p256:none, and as long as one: "
						 "................................................................";

	return (struct published_record){
		.log_id = digest_at('l', index),
		.record_id = digest_at('r', index),
		.envelope = {{content, sizeof(content)}, digest_at('k', 0), {signature, sizeof(signature) - 1}},
	};
}

/* The operator's record. */
static int begin(struct database *database, struct append_state *state, const struct ecdsa_private_key *key,
		 struct fault *flt)
{
	struct operator_log *operator;
	int r = operator_records_load(database, &operator, flt);

	if (r)
		return r;
	r = operator_records_ensure(database, state, &operator, key, &(struct operator_wish){"test", NULL}, 1, flt);
	operator_log_unref(operator);
	return r;
}

static int make(const char *folder, uint64_t records, struct fault *flt)
{
	struct published_record batch[BATCH];
	struct ecdsa_private_key *key;
	struct append_state state;
	struct database *database;
	double start = now();
	int r = database_open(folder, &database, flt);

	if (r)
		return r;
	r = ecdsa_private_key_parse(span_of_text(KEY), &key, flt);
	if (r)
		goto close;
	r = append_load(database, &state, flt);
	if (!r)
		r = begin(database, &state, key, flt);
	while (!r && state.roots.length < records) {
		for (uint64_t i = 0; i < BATCH; i++)
			batch[i] = record_at(state.roots.length + i);
		r = append_records(database, &state, batch, BATCH, key, 1800000000, flt);
	}
	if (!r)
		printf("%.0f\n", (double)records / (now() - start));
	ecdsa_private_key_free(key);
close:
	database_close(database);
	return r;
}

static int prove(struct database *database, const struct append_state *state, uint64_t index, struct fault *flt)
{
	const uint64_t length = state->roots.length;
	struct merkle_map_entry entry;
	struct merkle_log_bundle log;
	struct merkle_map_bundle map;
	bool is_head;
	int r = published_leaf(database, index, length, &entry, &is_head, flt);

	if (!r)
		r = log_nodes_prove_inclusion(database, length, &index, 1, &log, flt);
	if (r)
		return r;
	merkle_log_bundle_release(&log);
	r = map_nodes_prove(database, &state->last.map, &entry.log_id, 1, &map, flt);
	if (!r)
		merkle_map_bundle_release(&map);
	return r;
}

static int open_and_prove(const char *folder, struct fault *flt)
{
	struct append_state state;
	struct database *database;
	double start = now(), opened, proven;
	int r = database_open(folder, &database, flt);

	if (r)
		return r;
	r = append_load(database, &state, flt);
	opened = now();
	for (uint64_t i = 0; i < PROOFS && !r; i++)
		r = prove(database, &state, i * 7919 % state.roots.length, flt);
	proven = now();
	if (!r)
		printf("%.6f %.0f\n", opened - start, PROOFS / (proven - opened));
	database_close(database);
	return r;
}

int main(int argc, char **argv)
{
	struct fault flt = {0};

	if (argc == 4 && !strcmp(argv[1], "make"))
		return make(argv[2], strtoull(argv[3], NULL, 10), &flt) ? fail(&flt) : 0;
	if (argc == 3 && !strcmp(argv[1], "open"))
		return open_and_prove(argv[2], &flt) ? fail(&flt) : 0;
	fprintf(stderr, "usage: large_registry make FOLDER RECORDS | open FOLDER\n");
	return 2;
}
