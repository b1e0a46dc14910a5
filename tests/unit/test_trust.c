/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What is remembered of a registry: pinned, raised, never lowered; evidence; files that lie.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/base/seal.h"
#include "client/net/checkpoint_json.h"
#include "client/store/trust.h"
#include "data.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"

struct fixture {
	struct forge forge;
	struct operator_log *operator;
	struct signed_checkpoint early;
	char *state_dir;
	struct trust *trust;
};

static struct operator_log *operator_of(const struct ecdsa_private_key *key)
{
	struct log_head head = { .time = { 5, 0 } };
	struct operator_log *log;

	assert_int_equal(operator_log_new(&log, NULL), 0);
	assert_int_equal(operator_log_restore_key(log, ecdsa_private_key_public(key), PERMISSIONS_OPERATOR, NULL), 0);
	assert_int_equal(operator_log_restore_head(log, &head, NULL), 0);
	return log;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	forge_open(&fixture->forge, "test");
	forge_package(&fixture->forge, "test:one", 6);
	fixture->operator = operator_of(fixture->forge.operator_key);
	fixture->early = forge_checkpoint(&fixture->forge, 3, 1);
	fixture->state_dir = scratch_new();
	assert_int_equal(trust_open(fixture->state_dir, "label", &fixture->trust, NULL), 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	trust_close(fixture->trust);
	scratch_free(fixture->state_dir);
	operator_log_unref(fixture->operator);
	forge_close(&fixture->forge);
	free(fixture);
	return 0;
}

static void remember(struct fixture *fixture, uint64_t length)
{
	struct signed_checkpoint checkpoint = forge_checkpoint(&fixture->forge, length, 1000 + length);

	struct trust_anchor held;
	enum trust_standing standing;

	assert_int_equal(trust_load(fixture->trust, &held, NULL), 0);
	assert_int_equal(trust_remember(fixture->trust, fixture->operator, &checkpoint, &held, &standing, NULL), 0);
}

static struct trust_anchor anchor_of(const struct fixture *fixture)
{
	struct trust_anchor anchor;

	assert_int_equal(trust_load(fixture->trust, &anchor, NULL), 0);
	return anchor;
}

static int lock_state(const struct fixture *fixture)
{
	int folder = open(scratch_path(fixture->state_dir, "label"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(folder >= 0);
	assert_int_equal(flock(folder, LOCK_EX), 0);
	return folder;
}

static void test_first_meeting(void **state)
{
	struct fixture *fixture = *state;
	struct ecdsa_private_key *other = forge_key(9);
	struct operator_log *others = operator_of(other);
	struct trust_anchor anchor = anchor_of(fixture);
	struct stat seen;
	char path[4096];

	assert_false(anchor.known);
	assert_int_equal(trust_check_operator(&anchor, others, NULL), 0);
	remember(fixture, 3);
	anchor = anchor_of(fixture);
	assert_true(anchor.known);
	assert_int_equal(anchor.checkpoint.contents.log_length, 3);
	assert_int_equal(checkpoint_verify(&anchor.checkpoint, fixture->operator, NULL), 0);
	assert_int_equal(trust_check_operator(&anchor, fixture->operator, NULL), 0);
	assert_int_equal(trust_check_operator(&anchor, others, NULL), WARG_INVALID);

	snprintf(path, sizeof(path), "%s/label", fixture->state_dir);
	assert_int_equal(stat(path, &seen), 0);
	assert_int_equal(seen.st_mode & 0777, 0700);
	operator_log_unref(others);
	ecdsa_private_key_free(other);
}

/* Of a registry that never proved anything the folders are removed, by any process: who meets it makes them again. */
static void test_removed_folder(void **state)
{
	struct fixture *fixture = *state;
	struct stat seen;

	assert_int_equal(rmdir(scratch_path(fixture->state_dir, "label/evidence")), 0);
	assert_int_equal(rmdir(scratch_path(fixture->state_dir, "label")), 0);
	assert_false(anchor_of(fixture).known);
	remember(fixture, 3);
	assert_true(anchor_of(fixture).known);
	assert_int_equal(stat(scratch_path(fixture->state_dir, "label"), &seen), 0);
	assert_int_equal(seen.st_mode & 0777, 0700);
	assert_int_equal(stat(scratch_path(fixture->state_dir, "label/evidence"), &seen), 0);
}

static void test_only_higher(void **state)
{
	struct fixture *fixture = *state;

	remember(fixture, 5);
	remember(fixture, 4);
	assert_int_equal(anchor_of(fixture).checkpoint.contents.log_length, 5);
	remember(fixture, 7);
	assert_int_equal(anchor_of(fixture).checkpoint.contents.log_length, 7);
	assert_int_equal(trust_forget(fixture->trust, NULL), 0);
	assert_false(anchor_of(fixture).known);
	assert_int_equal(trust_forget(fixture->trust, NULL), 0);
}

/* A new anchor is compared in full, with the lock or without; only a checkpoint that stands is written. */
static void test_standing(void **state)
{
	static const struct {
		uint64_t held;  /* length of the anchor that the checkpoint was checked against; 0: none */
		uint64_t there; /* length of the anchor now; 0: none */
		uint64_t offered;
		bool is_forked; /* the offered checkpoint has another root */
		enum trust_standing standing;
		uint64_t then;  /* length of the anchor afterwards */
	} cases[] = {
		{0, 0, 3, false, TRUST_STANDS, 3}, {3, 3, 5, false, TRUST_STANDS, 5},
		{3, 3, 3, false, TRUST_STANDS, 3}, {3, 5, 5, false, TRUST_STANDS, 5},
		{0, 3, 3, false, TRUST_STANDS, 3}, {3, 3, 3, true, TRUST_CONTRADICTED, 3},
		{3, 5, 5, true, TRUST_CONTRADICTED, 5}, {3, 4, 5, false, TRUST_MOVED, 4},
		{3, 7, 5, false, TRUST_MOVED, 7}, {0, 3, 5, false, TRUST_MOVED, 3}, {3, 0, 5, false, TRUST_MOVED, 0},
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		const size_t row = i / 2;
		struct signed_checkpoint offered = forge_checkpoint(&fixture->forge, cases[row].offered, 1);
		struct trust_anchor held = { 0 };
		enum trust_standing standing;
		int lock = -1;

		assert_int_equal(trust_forget(fixture->trust, NULL), 0);
		if (cases[row].held)
			remember(fixture, cases[row].held);
		held = anchor_of(fixture);
		if (!cases[row].there)
			assert_int_equal(trust_forget(fixture->trust, NULL), 0);
		else
			remember(fixture, cases[row].there);
		offered.contents.log_root.bytes[0] ^= cases[row].is_forked;
		if (i % 2)
			lock = lock_state(fixture);
		assert_int_equal(trust_remember(fixture->trust, fixture->operator, &offered, &held, &standing, NULL),
				 0);
		assert_int_equal(standing, cases[row].standing);
		assert_int_equal(anchor_of(fixture).checkpoint.contents.log_length,
				 i % 2 ? cases[row].there : cases[row].then);
		if (lock >= 0)
			close(lock);
	}
}

/* Another operator's checkpoint never replaces the anchor, however long it is. */
static void test_standing_of_another_operator(void **state)
{
	struct fixture *fixture = *state;
	struct ecdsa_private_key *other = forge_key(9);
	struct operator_log *others = operator_of(other);
	struct checkpoint contents = fixture->early.contents;
	struct signed_checkpoint theirs;
	struct trust_anchor held;
	enum trust_standing standing;

	remember(fixture, 3);
	held = anchor_of(fixture);
	contents.log_length = 20;
	assert_int_equal(checkpoint_sign(&contents, other, &theirs, NULL), 0);
	assert_int_equal(trust_remember(fixture->trust, others, &theirs, &held, &standing, NULL), 0);
	assert_int_equal(standing, TRUST_MOVED);
	assert_int_equal(anchor_of(fixture).checkpoint.contents.log_length, 3);
	operator_log_unref(others);
	ecdsa_private_key_free(other);
}

/* A latch is set without the lock, keeps the first evidence, and latches even if its file is damaged. */
static void test_latch(void **state)
{
	struct fixture *fixture = *state;
	struct checkpoint other = forge_checkpoint(&fixture->forge, 5, 1).contents;
	struct signed_checkpoint forked[2];
	char kept[2][256], path[4096];
	struct trust_anchor anchor;
	struct fault flt = { 0 };
	struct buf text;
	int lock;

	remember(fixture, 5);
	lock = lock_state(fixture);
	for (size_t i = 0; i < 2; i++) {
		other.log_root.bytes[0]++;
		assert_int_equal(checkpoint_sign(&other, fixture->forge.operator_key, &forked[i], NULL), 0);
		assert_int_equal(trust_accuse(fixture->trust, TRUST_FORK, &forked[i], NULL, kept[i], NULL), 0);
	}
	close(lock);
	assert_string_not_equal(kept[0], kept[1]);
	assert_string_equal(anchor_of(fixture).evidence, kept[0]);
	assert_int_equal(scratch_count(trust_evidence_folder(fixture->trust)), 2);
	snprintf(path, sizeof(path), "%s/label/latch", fixture->state_dir);
	text = data_read(path);
	text.data[text.length / 2] ^= 4;
	scratch_write(path, buf_span(&text));
	buf_release(&text);
	assert_int_equal(trust_load(fixture->trust, &anchor, &flt), WARG_INVALID);
	assert_int_equal(flt.party, FAULT_BY_CACHE);
	assert_int_equal(trust_forget(fixture->trust, NULL), 0);
	assert_string_equal(anchor_of(fixture).evidence, "");
}

/* The next accusation removes temporary files of a dead process, not those of a living one. */
static void test_leftover_evidence(void **state)
{
	struct fixture *fixture = *state;
	const char *folder = trust_evidence_folder(fixture->trust);
	struct signed_checkpoint old = forge_checkpoint(&fixture->forge, 2, 1);
	char kept[256];
	int living;

	remember(fixture, 5);
	scratch_write_text(scratch_path(folder, "wargfs-dead"), "half");
	scratch_write_text(scratch_path(folder, "wargfs-living"), "half");
	living = open(scratch_path(folder, "wargfs-living"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(living, LOCK_EX), 0);
	assert_int_equal(trust_accuse(fixture->trust, TRUST_ROLLBACK, &old, NULL, kept, NULL), 0);
	assert_int_equal(access(scratch_path(folder, "wargfs-dead"), F_OK), -1);
	assert_int_equal(access(scratch_path(folder, "wargfs-living"), F_OK), 0);
	assert_int_equal(scratch_count(folder), 2);
	close(living);
}

/* Two checkpoints that the operator signed: kept, once, and a fork is not forgotten when the registry grows. */
static void test_evidence(void **state)
{
	struct fixture *fixture = *state;
	struct signed_checkpoint held = forge_checkpoint(&fixture->forge, 5, 1), forked;
	struct checkpoint other = held.contents;
	char kept[256], path[4096];

	remember(fixture, 5);
	other.log_root.bytes[0] ^= 1;
	assert_int_equal(checkpoint_sign(&other, fixture->forge.operator_key, &forked, NULL), 0);
	assert_int_equal(trust_accuse(fixture->trust, TRUST_FORK, &forked, NULL, kept, NULL), 0);
	assert_memory_equal(kept, "fork-5-5-", 9);
	snprintf(path, sizeof(path), "%s/%s", trust_evidence_folder(fixture->trust), kept);
	assert_int_equal(access(path, R_OK), 0);
	assert_string_equal(anchor_of(fixture).evidence, kept);
	remember(fixture, 7);
	assert_string_equal(anchor_of(fixture).evidence, kept);
	assert_int_equal(trust_forget(fixture->trust, NULL), 0);
	assert_int_equal(access(path, R_OK), 0);
}

/* A rollback may be an old answer that somebody plays back: kept, but no latch. */
static void test_rollback_does_not_latch(void **state)
{
	struct fixture *fixture = *state;
	struct signed_checkpoint old;
	char kept[256];

	remember(fixture, 5);
	old = forge_checkpoint(&fixture->forge, 2, 1);
	assert_int_equal(trust_accuse(fixture->trust, TRUST_ROLLBACK, &old, NULL, kept, NULL), 0);
	assert_string_not_equal(kept, "");
	assert_string_equal(anchor_of(fixture).evidence, "");
}

/* Under another operator's log it is another registry's word, and that is the charge. */
static void test_other_operator(void **state)
{
	struct fixture *fixture = *state;
	struct ecdsa_private_key *other = forge_key(9);
	struct operator_log *others = operator_of(other);
	struct signed_checkpoint theirs;
	struct checkpoint contents = fixture->early.contents;
	char kept[256];

	remember(fixture, 5);
	contents.log_length = 8;
	assert_int_equal(checkpoint_sign(&contents, other, &theirs, NULL), 0);
	assert_int_equal(trust_accuse(fixture->trust, TRUST_OPERATOR, &theirs, NULL, kept, NULL), 0);
	assert_string_equal(kept, "");
	assert_int_equal(trust_accuse(fixture->trust, TRUST_OPERATOR, &theirs, others, kept, NULL), 0);
	assert_memory_equal(kept, "operator-5-8-", 13);
	operator_log_unref(others);
	ecdsa_private_key_free(other);
}

/* What anybody could have made up accuses nobody. */
static void test_no_evidence_without_signature(void **state)
{
	struct fixture *fixture = *state;
	struct signed_checkpoint held = forge_checkpoint(&fixture->forge, 5, 1), forged = held;
	char kept[256];

	remember(fixture, 5);
	forged.contents.log_root.bytes[0] ^= 1;
	assert_int_equal(trust_accuse(fixture->trust, TRUST_FORK, &forged, NULL, kept, NULL), 0);
	assert_string_equal(kept, "");
	assert_string_equal(anchor_of(fixture).evidence, "");
}

/* A file that does not hold up is never taken for a first meeting. */
static int give_text(void *user, int fd, struct fault *flt)
{
	struct span text = span_of_text(user);

	if (write(fd, text.data, text.length) != (ssize_t)text.length)
		return fault_undecided(flt, FAULT_MISUSE, "it cannot be written");
	return 0;
}

static int give_nothing(void *user, int fd, struct fault *flt)
{
	(void)user;
	(void)fd;
	return fault_undecided(flt, FAULT_LIMIT, "there is none");
}

static const char *evidence_path(const struct fixture *fixture, const char *name)
{
	static char path[600];

	snprintf(path, sizeof(path), "%s/%s", trust_evidence_folder(fixture->trust), name);
	return path;
}

/* Both files are there, and it latches; without room for the ledger, too. */
static void test_map(void **state)
{
	struct fixture *fixture = *state;
	struct digest truth = digest_of(span_of_text("what the ledger gives"));
	struct trust_anchor anchor;
	struct fault flt = {0};
	char kept[256], ledger[256], text[32] = "";
	FILE *file;

	remember(fixture, 3);
	assert_int_equal(trust_accuse_map(fixture->trust, &fixture->early, &truth, give_nothing, NULL, kept, &flt),
			 WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
	assert_memory_equal(kept, "map-3-", 6);
	snprintf(ledger, sizeof(ledger), "%.*s.ledger", (int)(strlen(kept) - strlen(".json")), kept);
	assert_int_equal(access(evidence_path(fixture, kept), R_OK), 0);
	assert_int_not_equal(access(evidence_path(fixture, ledger), R_OK), 0);
	assert_int_equal(trust_load(fixture->trust, &anchor, NULL), 0);
	assert_string_equal(anchor.evidence, kept);
	assert_int_equal(anchor.charge, TRUST_MAP);

	assert_int_equal(trust_accuse_map(fixture->trust, &fixture->early, &truth, give_text, (char[]){"all of it"},
					  kept, NULL), 0);
	file = fopen(evidence_path(fixture, ledger), "r");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	assert_string_equal(text, "all of it");
}

/* A file with any flipped bit is refused. */
static void test_damaged(void **state)
{
	struct fixture *fixture = *state;
	struct trust_anchor anchor;
	char path[4096];
	struct buf text;

	remember(fixture, 3);
	snprintf(path, sizeof(path), "%s/label/trust", fixture->state_dir);
	text = data_read(path);
	for (size_t bit = 0; bit < 8 * text.length; bit++) {
		struct fault flt = { 0 };

		text.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
		scratch_write(path, buf_span(&text));
		text.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
		assert_int_equal(trust_load(fixture->trust, &anchor, &flt), WARG_INVALID);
		assert_int_equal(flt.party, FAULT_BY_CACHE);
	}
	scratch_write(path, buf_span(&text));
	assert_int_equal(trust_load(fixture->trust, &anchor, NULL), 0);
	buf_release(&text);
}

static struct buf text_of(const char *kind, const struct signed_checkpoint *checkpoint, const char *signer)
{
	struct json *value = json_new_object();
	struct buf body, text;
	struct digest key = { { 1 } };

	buf_init(&body, 1 << 16);
	buf_init(&text, 1 << 16);
	json_put_digest(value, "operatorKey", &key);
	json_put(value, "checkpoint", checkpoint_json_new(checkpoint));
	json_put_text(value, "signer", signer);
	assert_int_equal(json_render(value, JSON_PRETTY, &body, NULL), 0);
	json_free(value);
	if (kind)
		assert_int_equal(seal_put(kind, buf_span(&body), &text, NULL), 0);
	else
		assert_int_equal(buf_append_format(&text, NULL, "wargfs trust 1\n%.*s", (int)body.length,
						   (const char *)body.data), 0);
	buf_release(&body);
	return text;
}

/*
 * An unsigned checkpoint never binds a registry, even in a sealed file; a file without a seal of the old version is
 * read.
 */
static void test_unsigned(void **state)
{
	static const char *const kinds[] = { NULL, "wargfs trust 2" };
	struct fixture *fixture = *state;
	const char *signer = ecdsa_public_key_text(ecdsa_private_key_public(fixture->forge.operator_key));
	char path[4096];

	snprintf(path, sizeof(path), "%s/label/trust", fixture->state_dir);
	for (size_t i = 0; i < 4; i++) {
		struct signed_checkpoint checkpoint = fixture->early;
		struct trust_anchor anchor;
		struct buf text;

		checkpoint.contents.log_root.bytes[0] ^= i / 2;
		text = text_of(kinds[i % 2], &checkpoint, signer);
		scratch_write(path, buf_span(&text));
		buf_release(&text);
		assert_int_equal(trust_load(fixture->trust, &anchor, NULL), i / 2 ? WARG_INVALID : 0);
	}
}

static void test_malformed(void **state)
{
	static const char *const texts[] = {
		"",
		"wargfs trust 2\n{}",
		"wargfs trust 3\n{}",
		"wargfs trust 2 sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\n{}",
		"wargfs trust 1\n",
		"wargfs trust 1\n{}",
		"wargfs trust 1\n{\"operatorKey\": \"sha256:00\"}",
		"{}",
	};
	struct fixture *fixture = *state;
	struct trust_anchor anchor;
	char path[4096];

	snprintf(path, sizeof(path), "%s/label/trust", fixture->state_dir);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct fault flt = { 0 };
		FILE *file = fopen(path, "w");

		assert_non_null(file);
		fputs(texts[i], file);
		assert_int_equal(fclose(file), 0);
		assert_int_equal(trust_load(fixture->trust, &anchor, &flt), WARG_INVALID);
		assert_int_equal(flt.party, FAULT_BY_CACHE);
		assert_non_null(strstr(flt.where, "trust"));
	}
}

static int live(void *context, struct fault *flt)
{
	struct fixture *fixture = context;
	struct trust_anchor anchor = { 0 };
	enum trust_standing standing;
	struct trust *trust = NULL;
	int verdict;

	verdict = trust_open(fixture->state_dir, "other", &trust, flt);
	if (!verdict)
		verdict = trust_forget(trust, flt);
	if (!verdict)
		verdict = trust_remember(trust, fixture->operator, &fixture->early, &anchor, &standing, flt);
	if (!verdict)
		verdict = trust_load(trust, &anchor, flt);
	trust_close(trust);
	return verdict;
}

static void test_torture(void **state)
{
	torture(live, *state);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_meeting),
		TEST(test_removed_folder),
		TEST(test_only_higher),
		TEST(test_standing),
		TEST(test_standing_of_another_operator),
		TEST(test_latch),
		TEST(test_leftover_evidence),
		TEST(test_evidence),
		TEST(test_rollback_does_not_latch),
		TEST(test_other_operator),
		TEST(test_no_evidence_without_signature),
		TEST(test_map),
		TEST(test_damaged),
		TEST(test_unsigned),
		TEST(test_malformed),
		TEST(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
