/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Releases proven from the operator's first record up: what passes, what every part of it is needed for, and memory.
 * What a stranger may send in a document: tests/data/invalid.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "forge.h"
#include "torture.h"
#include "verify/release_proof.h"

/* A registry, and what proves a release of it. */
struct scene {
	struct forge forge;
	struct release_proof_record *operator, *package;
	struct buf log, map;
	struct digest content;
	struct release_proof proof;
};

/* The log's records below the length of the proof's checkpoint. */
static struct release_proof_log log_of(const struct forge *forge, uint64_t length, struct digest log_id,
				       struct release_proof_record **records)
{
	struct release_proof_log log = {0};

	*records = calloc(length, sizeof(**records));
	assert_non_null(*records);
	for (uint64_t i = 0; i < length; i++)
		if (digest_equals(&forge->records[i].log_id, &log_id))
			(*records)[log.count++] = (struct release_proof_record){forge_envelope(&forge->records[i]), i};
	log.records = *records;
	return log;
}

static uint64_t place_of_head(const struct release_proof_log *log)
{
	return log->records[log->count - 1].registry_index;
}

static void prove(struct scene *scene, uint64_t length)
{
	struct merkle_log_bundle log;
	struct merkle_map_bundle map;
	uint64_t heads[2];

	scene->proof.checkpoint = forge_checkpoint(&scene->forge, length, 5000);
	scene->proof.operator = log_of(&scene->forge, length, name_operator_log_id(), &scene->operator);
	scene->proof.package = log_of(&scene->forge, length, name_log_id(&scene->proof.name), &scene->package);
	heads[0] = place_of_head(&scene->proof.operator);
	heads[1] = place_of_head(&scene->proof.package);
	forge_prove_inclusion(&scene->forge, length, heads, 2, &log, &map);
	buf_init(&scene->log, CAP_PROOF);
	buf_init(&scene->map, CAP_PROOF);
	assert_int_equal(merkle_log_bundle_encode(&log, &scene->log, NULL), 0);
	assert_int_equal(merkle_map_bundle_encode(&map, &scene->map, NULL), 0);
	scene->proof.log_bundle = buf_span(&scene->log);
	scene->proof.map_bundle = buf_span(&scene->map);
	merkle_log_bundle_release(&log);
	merkle_map_bundle_release(&map);
}

/* A registry of 7 records: test:victim has 1.0.0, 2.0.0 and a yank of 1.0.0. The proof is of 2.0.0. */
static struct scene scene_new(void)
{
	const struct record_entry yank = forge_yank("1.0.0"), namespace = forge_namespace("more");
	struct scene scene = {0};

	forge_open(&scene.forge, "test");
	forge_publish(&scene.forge, "test:other", "2.0.0", "other");
	forge_publish(&scene.forge, "test:victim", "1.0.0", "one");
	forge_append(&scene.forge, RECORD_OPERATOR, NULL, &namespace, 1, scene.forge.operator_key);
	forge_publish(&scene.forge, "test:victim", "2.0.0", "two");
	forge_append(&scene.forge, RECORD_PACKAGE, "test:victim", &yank, 1, scene.forge.package_key);
	forge_publish(&scene.forge, "test:other", "3.0.0", "other");
	scene.content = digest_of(span_of_text("two"));
	scene.proof.name = forge_name("test:victim");
	scene.proof.version = span_of_text("2.0.0");
	return scene;
}

static void scene_release(struct scene *scene)
{
	buf_release(&scene->log);
	buf_release(&scene->map);
	free(scene->operator);
	free(scene->package);
	forge_close(&scene->forge);
}

static int check(const struct scene *scene, struct release_proof_finding *finding)
{
	struct fault flt = {0};
	int verdict = release_proof_check(&scene->proof, finding, &flt);

	assert_int_equal(flt.verdict, verdict);
	return verdict;
}

static void test_finding(void **state)
{
	const struct digest *publisher, *operator;
	struct release_proof_finding finding;
	struct scene scene = scene_new();

	(void)state;
	prove(&scene, scene.forge.count);
	scene.proof.content = &scene.content;
	operator = ecdsa_public_key_id(ecdsa_private_key_public(scene.forge.operator_key));
	publisher = ecdsa_public_key_id(ecdsa_private_key_public(scene.forge.package_key));
	assert_int_equal(check(&scene, &finding), 0);
	assert_true(digest_equals(&finding.operator_key, operator));
	assert_true(digest_equals(&finding.by, publisher));
	assert_true(digest_equals(&finding.content, &scene.content));
	assert_true(digest_equals(&finding.record_id, &scene.forge.records[4].id));
	assert_true(finding.time.seconds > 0);
	assert_false(finding.yanked);
	scene_release(&scene);
}

/* The first `count` records of the proof's package, validated. */
static struct package_log *validate(const struct scene *scene, size_t count)
{
	struct package_log *log;

	assert_int_equal(package_log_new(&scene->proof.name, &log, NULL), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(package_log_append(log, &scene->package[i].envelope, NULL), 0);
	return log;
}

/* A log that was validated before vouches for the very same records, and for no others. */
static void test_known(void **state)
{
	struct release_proof_finding finding;
	struct scene scene = scene_new();

	(void)state;
	prove(&scene, scene.forge.count);
	for (size_t count = 0; count <= scene.proof.package.count; count++) {
		struct package_log *known = validate(&scene, count);

		scene.proof.known = known;
		scene.proof.record = NULL;
		assert_int_equal(check(&scene, &finding), 0);
		assert_true(digest_equals(&finding.content, &scene.content));
		for (size_t i = 0; i < scene.proof.package.count; i++) {
			struct record_envelope *envelope = &scene.package[i].envelope;
			const struct record_envelope good = *envelope;

			scene.proof.record = &scene.forge.records[(size_t[]){2, 4, 5}[i]].id;
			assert_int_equal(check(&scene, &finding), 0);
			assert_int_equal(finding.record_at, i);
			assert_true(digest_equals(&finding.record_id, scene.proof.record));
			assert_true(digest_equals(&finding.by, &good.key_id));
			/* Its content is what the log was fed, and its signature is not. */
			envelope->signature = scene.package[(i + 1) % 3].envelope.signature;
			assert_int_equal(check(&scene, &finding), WARG_INVALID);
			*envelope = good;
			envelope->key_id = scene.forge.records[0].id;
			assert_int_equal(check(&scene, &finding), WARG_INVALID);
			*envelope = good;
		}
		package_log_unref(known);
	}
	scene_release(&scene);
}

/* The last record alone, where the log that ends with it was validated before. */
static void test_last_alone(void **state)
{
	struct release_proof_finding finding;
	struct scene scene = scene_new();
	struct package_log *known[2];

	(void)state;
	prove(&scene, scene.forge.count);
	known[0] = validate(&scene, 3);
	known[1] = validate(&scene, 2);
	scene.proof.record = &scene.forge.records[5].id;
	scene.proof.is_last_alone = true;
	scene.proof.known = known[0];
	/* All of them are not the last alone. */
	assert_int_equal(check(&scene, &finding), WARG_INVALID);
	for (size_t at = 0; at < 3; at++) {
		scene.proof.package = (struct release_proof_log){&scene.package[at], 1};
		for (size_t i = 0; i < 3; i++) {
			scene.proof.known = (struct package_log *[]){known[0], known[1], NULL}[i];
			assert_int_equal(check(&scene, &finding), at == 2 && !i ? 0 : WARG_INVALID);
		}
	}
	scene.proof.known = known[0];
	assert_int_equal(check(&scene, &finding), 0);
	assert_true(digest_equals(&finding.record_id, scene.proof.record));
	scene.package[2].envelope.signature = scene.package[1].envelope.signature;
	assert_int_equal(check(&scene, &finding), WARG_INVALID);
	package_log_unref(known[0]);
	package_log_unref(known[1]);
	scene_release(&scene);
}

static void test_record(void **state)
{
	const struct digest zeros = {0};
	struct release_proof_finding finding;
	struct scene scene = scene_new();

	(void)state;
	prove(&scene, scene.forge.count);
	/* An all-zero id, which no record has, must not count as found. */
	scene.proof.record = &zeros;
	assert_int_equal(check(&scene, &finding), WARG_INVALID);
	/* Those of test:victim, the yank among them; and those of others. */
	for (size_t i = 0; i < scene.forge.count; i++) {
		bool is_ours = i == 2 || i == 4 || i == 5;

		scene.proof.record = &scene.forge.records[i].id;
		assert_int_equal(check(&scene, &finding), is_ours ? 0 : WARG_INVALID);
		if (!is_ours)
			continue;
		assert_true(digest_equals(&finding.record_id, &scene.forge.records[i].id));
		assert_true(digest_equals(&finding.by, &scene.forge.records[i].key_id));
		assert_int_equal(finding.record_at, i == 2 ? 0 : i - 3);
		assert_true(finding.time.seconds > 0);
	}
	scene_release(&scene);
}

static void test_yanked(void **state)
{
	struct release_proof_finding finding;
	struct scene scene = scene_new();
	struct digest one = digest_of(span_of_text("one"));

	(void)state;
	prove(&scene, scene.forge.count);
	scene.proof.version = span_of_text("1.0.0");
	scene.proof.content = &one;
	assert_int_equal(check(&scene, &finding), 0);
	assert_true(finding.yanked);
	assert_true(digest_equals(&finding.by, &finding.yanked_by));
	assert_int_equal(finding.yanked_at.seconds, finding.time.seconds + 3);
	scene_release(&scene);
}

/* At every length that has the release; at none that has it not yet. */
static void test_lengths(void **state)
{
	(void)state;
	for (uint64_t length = 3; length <= 7; length++) {
		struct release_proof_finding finding;
		struct scene scene = scene_new();

		prove(&scene, length);
		assert_int_equal(check(&scene, &finding), length >= 5 ? 0 : WARG_INVALID);
		scene_release(&scene);
	}
}

static void test_content(void **state)
{
	struct release_proof_finding finding = {.yanked = true};
	struct digest other = digest_of(span_of_text("one"));
	struct scene scene = scene_new();

	(void)state;
	prove(&scene, scene.forge.count);
	assert_int_equal(check(&scene, &finding), 0);
	finding.yanked = true;
	scene.proof.content = &other;
	assert_int_equal(check(&scene, &finding), WARG_INVALID);
	assert_true(finding.yanked); /* untouched */
	scene_release(&scene);
}

/* A checkpoint that is signed well, of other roots or of another length. */
static void test_other_checkpoints(void **state)
{
	(void)state;
	for (int changed = 0; changed < 4; changed++) {
		struct release_proof_finding finding;
		struct scene scene = scene_new();
		struct checkpoint contents;

		prove(&scene, scene.forge.count);
		contents = scene.proof.checkpoint.contents;
		contents.log_root.bytes[0] ^= changed == 1;
		contents.map_root.bytes[31] ^= changed == 2;
		contents.log_length += changed == 3;
		assert_int_equal(checkpoint_sign(&contents, scene.forge.operator_key, &scene.proof.checkpoint, NULL),
				 0);
		assert_int_equal(check(&scene, &finding), changed ? WARG_INVALID : 0);
		scene_release(&scene);
	}
}

static void test_no_length(void **state)
{
	static const uint64_t lengths[] = {0, (uint64_t)CAP_LOG_LENGTH + 1, UINT64_MAX};
	struct release_proof_finding finding;
	struct scene scene = scene_new();

	(void)state;
	prove(&scene, scene.forge.count);
	for (int i = 0; i < 3; i++) {
		scene.proof.checkpoint.contents.log_length = lengths[i];
		assert_int_equal(check(&scene, &finding), WARG_INVALID);
	}
	scene_release(&scene);
}

/* Every byte of both bundles counts. */
static void test_flipped_bundles(void **state)
{
	struct release_proof_finding finding;
	struct scene scene = scene_new();

	(void)state;
	prove(&scene, scene.forge.count);
	for (size_t i = 0; i < scene.log.length; i++) {
		scene.log.data[i] ^= 1;
		assert_int_not_equal(check(&scene, &finding), 0);
		scene.log.data[i] ^= 1;
	}
	for (size_t i = 0; i < scene.map.length; i++) {
		scene.map.data[i] ^= 1;
		assert_int_not_equal(check(&scene, &finding), 0);
		scene.map.data[i] ^= 1;
	}
	assert_int_equal(check(&scene, &finding), 0);
	scene_release(&scene);
}

static int try_check(void *context, struct fault *flt)
{
	struct release_proof_finding finding;

	return release_proof_check(&((struct scene *)context)->proof, &finding, flt);
}

static void test_torture(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	prove(&scene, scene.forge.count);
	torture(try_check, &scene);
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finding),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_last_alone),
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_yanked),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_other_checkpoints),
		cmocka_unit_test(test_no_length),
		cmocka_unit_test(test_flipped_bundles),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
