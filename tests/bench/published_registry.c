/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * published_registry FOLDER KEY CONTENT PACKAGES [RECORDS…]: a registry's data folder, as a server leaves it that was
 * asked to publish, made without one: signing and committing are all that is done.
 *
 * test:p0, test:p1, … have one record each, with the releases 1.0.0 and 1.1.0. For each number RECORDS there is a
 * package test:v<RECORDS> of so many records, of one release each: 1.0.0, 1.0.1, … All releases have the content
 * CONTENT, the text of a digest; all records are signed by KEY, the text of a private key. The operator is that of the
 * tests.
 */
#include "server/append.h"
#include "server/operator_records.h"
#include "server/package_names.h"
#include "tests/unit/forge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 1000
#define OPERATOR_KEY "ecdsa-p256:I+UlDo0HxyBBFeelhPPWmD+LnklOpqZDkrFP5VduASk="

/* Records are gathered, and committed when the batch is full. */
struct maker {
	struct database *database;
	struct append_state state;
	struct ecdsa_private_key *operator_key, *package_key;
	struct digest content;
	struct forge_record made[BATCH];
	struct name names[BATCH];
	size_t count;
};

static int commit_batch(struct maker *maker, struct fault *flt)
{
	struct published_record records[BATCH];
	struct append_state next = maker->state;
	int r = database_begin(maker->database, flt);

	for (size_t i = 0; i < maker->count && !r; i++) {
		records[i] = (struct published_record){.log_id = maker->made[i].log_id,
						       .record_id = maker->made[i].id,
						       .envelope = forge_envelope(&maker->made[i])};
		r = package_names_add(maker->database, &maker->names[i], flt);
	}
	if (!r)
		r = append_enter(maker->database, &next, records, maker->count, maker->operator_key,
				 (uint64_t)time(NULL), flt);
	if (!r)
		r = database_commit(maker->database, flt);
	maker->state = next;
	for (size_t i = 0; i < maker->count; i++)
		forge_record_release(&maker->made[i]);
	maker->count = 0;
	return r;
}

static struct record_entry release_of(const struct maker *maker, const char *version)
{
	struct record_entry entry = forge_release(version, "");

	entry.content = maker->content;
	return entry;
}

/* Add a package's next record. @param prev  the record before it; NULL if it is the first */
static int add_record(struct maker *maker, const char *package, const struct digest *prev,
		      struct record_entry *entries, size_t count, struct digest *id, struct fault *flt)
{
	struct record record = { .kind = RECORD_PACKAGE, .has_prev = prev, .time = { .seconds = time(NULL) },
				 .entries = entries, .entry_count = count };
	struct forge_record *made = &maker->made[maker->count];

	if (prev)
		record.prev = *prev;
	maker->names[maker->count] = forge_name(package);
	forge_record(RECORD_PACKAGE, &record, maker->package_key, made);
	made->log_id = name_log_id(&maker->names[maker->count++]);
	*id = made->id;
	return maker->count == BATCH ? commit_batch(maker, flt) : 0;
}

static int add_packages(struct maker *maker, unsigned long count, struct fault *flt)
{
	struct record_entry entries[] = { forge_init(maker->package_key), release_of(maker, "1.0.0"),
					  release_of(maker, "1.1.0") };
	struct digest id;
	char package[40];
	int r = 0;

	for (unsigned long i = 0; i < count && !r; i++) {
		snprintf(package, sizeof(package), "test:p%lu", i);
		r = add_record(maker, package, NULL, entries, 3, &id, flt);
	}
	return r;
}

/* A record that follows another one of its log may be in the same batch as that one. */
static int add_versions(struct maker *maker, unsigned long count, struct fault *flt)
{
	struct record_entry entries[] = { forge_init(maker->package_key), release_of(maker, "1.0.0") };
	char package[40], version[40];
	struct digest id;
	int r;

	snprintf(package, sizeof(package), "test:v%lu", count);
	r = add_record(maker, package, NULL, entries, 2, &id, flt);
	for (unsigned long i = 1; i < count && !r; i++) {
		struct digest prev = id;

		snprintf(version, sizeof(version), "1.0.%lu", i);
		entries[0] = release_of(maker, version);
		r = add_record(maker, package, &prev, entries, 1, &id, flt);
	}
	return r;
}

static int begin(struct maker *maker, char **arguments, struct fault *flt)
{
	struct operator_log *operator;
	int r = database_open(arguments[1], &maker->database, flt);

	if (!r)
		r = ecdsa_private_key_parse(span_of_text(OPERATOR_KEY), &maker->operator_key, flt);
	if (!r)
		r = ecdsa_private_key_parse(span_of_text(arguments[2]), &maker->package_key, flt);
	if (!r)
		r = digest_parse(span_of_text(arguments[3]), &maker->content, flt);
	if (!r)
		r = append_load(maker->database, &maker->state, flt);
	if (!r)
		r = operator_records_load(maker->database, &operator, flt);
	if (r)
		return r;
	r = operator_records_ensure(maker->database, &maker->state, &operator, maker->operator_key,
				    &(struct operator_wish){"test", NULL}, 1, flt);
	operator_log_unref(operator);
	return r;
}

static int make(struct maker *maker, char **arguments, struct fault *flt)
{
	int r = begin(maker, arguments, flt);

	if (!r)
		r = add_packages(maker, strtoul(arguments[4], NULL, 10), flt);
	for (char **number = arguments + 5; *number && !r; number++)
		r = add_versions(maker, strtoul(*number, NULL, 10), flt);
	if (!r && maker->count)
		r = commit_batch(maker, flt);
	ecdsa_private_key_free(maker->operator_key);
	ecdsa_private_key_free(maker->package_key);
	database_close(maker->database);
	return r;
}

int main(int argc, char **argv)
{
	char sentence[FAULT_SENTENCE_SIZE];
	static struct maker maker;
	struct fault flt = {0};

	if (argc < 5) {
		fprintf(stderr, "usage: published_registry FOLDER KEY CONTENT PACKAGES [RECORDS...]\n");
		return 2;
	}
	if (!make(&maker, argv, &flt))
		return 0;
	fault_sentence(&flt, sentence);
	fprintf(stderr, "published_registry: %s\n", sentence);
	return 1;
}
