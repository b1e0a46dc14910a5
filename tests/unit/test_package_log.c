/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The package log's state machine: what honest logs do, every rule broken once, and failed records leaving no trace.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "forge.h"
#include "torture.h"
#include "verify/package_log.h"

/* A log under test, its keys, and when its next record is. */
struct fixture {
	struct ecdsa_private_key *owner, *other, *stranger;
	struct package_log *log;
	int64_t second;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	struct name name = forge_name("test:package");

	fixture = (struct fixture){ forge_key(2), forge_key(3), forge_key(4), NULL, 1000 };
	assert_int_equal(package_log_new(&name, &fixture.log, NULL), 0);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	package_log_unref(fixture->log);
	ecdsa_private_key_free(fixture->owner);
	ecdsa_private_key_free(fixture->other);
	ecdsa_private_key_free(fixture->stranger);
	return 0;
}

/* The record that comes next, with these entries. */
static struct record next_record(struct fixture *fixture, const struct record_entry *entries, size_t count)
{
	const struct log_head *head = package_log_head(fixture->log);
	struct record record = { .kind = RECORD_PACKAGE,
				 .time = { ++fixture->second, 0 },
				 .entries = (struct record_entry *)(uintptr_t)entries,
				 .entry_count = count };

	if (head) {
		record.has_prev = true;
		record.prev = head->record_id;
	}
	return record;
}

/* All public state of a log, as text: logs with the same text cannot be told apart. */
static struct buf look(const struct package_log *log)
{
	const struct package_release *releases;
	char digest[DIGEST_TEXT_SIZE];
	struct buf text;
	size_t count;

	buf_init(&text, 1 << 20);
	if (package_log_head(log)) {
		digest_format(&package_log_head(log)->record_id, digest);
		buf_append_format(&text, NULL, "head %s %lld\n", digest,
				  (long long)package_log_head(log)->time.seconds);
	}
	for (size_t i = 0; i < package_log_keys(log)->count; i++)
		buf_append_format(&text, NULL, "key %s %u\n", ecdsa_public_key_text(package_log_keys(log)->keys[i].key),
				  package_log_keys(log)->keys[i].permissions);
	releases = package_log_releases(log, &count);
	for (size_t i = 0; i < count; i++) {
		digest_format(&releases[i].content, digest);
		buf_append_format(&text, NULL, "release %s %s yanked %d\n", releases[i].version, digest,
				  releases[i].yank != NULL);
		assert_ptr_equal(package_log_find(log, span_of_text(releases[i].version)), &releases[i]);
	}
	return text;
}

static int append_record(struct fixture *fixture, const struct record *record, const struct ecdsa_private_key *key,
			 struct fault *flt)
{
	struct buf before = look(fixture->log), after;
	struct record_envelope envelope;
	struct forge_record made;
	int verdict, checked;

	forge_record(RECORD_PACKAGE, record, key, &made);
	envelope = forge_envelope(&made);
	/* Checking the next record does not change the log. */
	checked = package_log_check(fixture->log, &envelope, NULL);
	after = look(fixture->log);
	assert_true(span_equals(buf_span(&before), buf_span(&after)));
	verdict = package_log_append(fixture->log, &envelope, flt);
	assert_int_equal(checked, verdict);
	buf_release(&before);
	buf_release(&after);
	forge_record_release(&made);
	return verdict;
}

static int append(struct fixture *fixture, const struct record_entry *entries, size_t count,
		  const struct ecdsa_private_key *key, struct fault *flt)
{
	struct record record = next_record(fixture, entries, count);

	return append_record(fixture, &record, key, flt);
}

static void append_good(struct fixture *fixture, const struct record_entry *entries, size_t count,
			const struct ecdsa_private_key *key)
{
	struct fault flt = { 0 };

	if (append(fixture, entries, count, key, &flt))
		fail_msg("an honest record was refused: %s", flt.what);
}

static void init(struct fixture *fixture)
{
	const struct record_entry entries[] = { forge_init(fixture->owner), forge_release("1.0.0", "one") };

	append_good(fixture, entries, 2, fixture->owner);
}

/* Refused for the reason given, and nothing is left of it. */
static void refuse_record(struct fixture *fixture, const struct record *record, const struct ecdsa_private_key *key,
			  const char *why)
{
	struct buf before = look(fixture->log), after;
	struct fault flt = { 0 };

	assert_int_equal(append_record(fixture, record, key, &flt), WARG_INVALID);
	assert_int_equal(flt.kind, FAULT_FORGED);
	if (!strstr(flt.what, why))
		fail_msg("refused for another reason than '%s': %s", why, flt.what);
	after = look(fixture->log);
	assert_true(span_equals(buf_span(&before), buf_span(&after)));
	buf_release(&before);
	buf_release(&after);
}

static void refuse(struct fixture *fixture, const struct record_entry *entries, size_t count,
		   const struct ecdsa_private_key *key, const char *why)
{
	struct record record = next_record(fixture, entries, count);

	refuse_record(fixture, &record, key, why);
}

/* ---- What honest logs do ---- */

static void test_life(void **state)
{
	struct fixture *fixture = *state;
	const struct record_entry more[] = { forge_release("1.1.0", "two"), forge_release("2.0.0-rc.1", "three"),
					     forge_grant(fixture->other, PERMISSION_RELEASE) };
	const struct record_entry by_other = forge_release("1.2.0", "four"), yank = forge_yank("1.2.0");
	struct semver_requirement requirement;
	const struct package_release *release;

	init(fixture);
	assert_string_equal(package_log_best(fixture->log, NULL)->version, "1.0.0");
	append_good(fixture, more, 3, fixture->owner);
	append_good(fixture, &by_other, 1, fixture->other);
	assert_string_equal(package_log_best(fixture->log, NULL)->version, "1.2.0");
	append_good(fixture, NULL, 0, fixture->other); /* a later record may have no entries */
	append_good(fixture, &yank, 1, fixture->owner);
	assert_string_equal(package_log_best(fixture->log, NULL)->version, "1.1.0");

	release = package_log_find(fixture->log, span_of_text("1.2.0"));
	assert_non_null(release->yank);
	assert_true(digest_equals(&release->by, ecdsa_public_key_id(ecdsa_private_key_public(fixture->other))));
	assert_true(digest_equals(&release->yank->by, ecdsa_public_key_id(ecdsa_private_key_public(fixture->owner))));
	assert_null(package_log_find(fixture->log, span_of_text("1.2")));

	assert_int_equal(semver_requirement_parse(span_of_text("=2.0.0-rc.1"), &requirement, NULL), 0);
	assert_string_equal(package_log_best(fixture->log, &requirement)->version, "2.0.0-rc.1");
	assert_int_equal(semver_requirement_parse(span_of_text("^3"), &requirement, NULL), 0);
	assert_null(package_log_best(fixture->log, &requirement));
}

/* A pre-release is the best one where there is nothing else. */
static void test_best_of_prereleases(void **state)
{
	struct fixture *fixture = *state;
	const struct record_entry entries[] = { forge_init(fixture->owner), forge_release("1.0.0-a", "a"),
						forge_release("1.0.0-b", "b") };

	append_good(fixture, entries, 3, fixture->owner);
	assert_string_equal(package_log_best(fixture->log, NULL)->version, "1.0.0-b");
}

/* Build metadata is part of what a version is. */
static void test_build_metadata(void **state)
{
	struct fixture *fixture = *state;
	const struct record_entry entries[] = { forge_init(fixture->owner), forge_release("1.0.0+a", "a"),
						forge_release("1.0.0+b", "b") };

	append_good(fixture, entries, 3, fixture->owner);
	assert_string_equal(package_log_best(fixture->log, NULL)->version, "1.0.0+b");
}

static void test_equal_times(void **state)
{
	struct fixture *fixture = *state;

	init(fixture);
	fixture->second--;
	append_good(fixture, NULL, 0, fixture->owner);
}

/* Enough versions that the order is merged several times, in an order that is not theirs. */
static void test_many_releases(void **state)
{
	enum { RECORDS = 4, EACH = 500 };
	struct fixture *fixture = *state;
	static char versions[RECORDS * EACH][24];
	struct record_entry entries[EACH];
	struct package_log *copy;

	init(fixture);
	for (size_t i = 0; i < RECORDS; i++) {
		for (size_t j = 0; j < EACH; j++) {
			size_t n = i * EACH + j;

			snprintf(versions[n], sizeof(versions[n]), "%zu.%zu.0", n * 7919 % 2003 + 2, n);
			entries[j] = forge_release(versions[n], versions[n]);
		}
		append_good(fixture, entries, EACH, fixture->owner);
	}
	assert_int_equal(package_log_copy(fixture->log, &copy, NULL), 0);
	for (size_t n = 0; n < RECORDS * EACH; n++) {
		assert_string_equal(package_log_find(fixture->log, span_of_text(versions[n]))->version, versions[n]);
		assert_string_equal(package_log_find(copy, span_of_text(versions[n]))->version, versions[n]);
	}
	package_log_unref(copy);
	/* The last of many entries is wrong: all of them go again. */
	entries[EACH - 1] = forge_release(versions[3], "again");
	for (size_t j = 0; j + 1 < EACH; j++) {
		snprintf(versions[j], sizeof(versions[j]), "1.%zu.9", j);
		entries[j] = forge_release(versions[j], "x");
	}
	snprintf(versions[EACH - 1], sizeof(versions[EACH - 1]), "1.0.0");
	entries[EACH - 1] = forge_release(versions[EACH - 1], "again");
	refuse(fixture, entries, EACH, fixture->owner, "released a second time");
	append_good(fixture, entries, EACH - 1, fixture->owner);
}

/* A copy and its origin go separate ways. */
static void test_copy(void **state)
{
	struct fixture *fixture = *state;
	const struct record_entry yank = forge_yank("1.0.0");
	struct package_log *copy;
	struct buf before, after;

	init(fixture);
	assert_int_equal(package_log_copy(fixture->log, &copy, NULL), 0);
	before = look(copy);
	append_good(fixture, &yank, 1, fixture->owner);
	after = look(copy);
	assert_true(span_equals(buf_span(&before), buf_span(&after)));
	assert_string_equal(package_log_name_text(copy), "test:package");
	package_log_unref(package_log_ref(copy));
	package_log_unref(copy);
	buf_release(&before);
	buf_release(&after);
}

/* ---- Every rule broken once ---- */

static void test_frame(void **state)
{
	struct fixture *fixture = *state;
	const struct record_entry first = forge_init(fixture->owner);
	struct record record = next_record(fixture, &first, 1);

	record.has_prev = true;
	refuse_record(fixture, &record, fixture->owner, "the first record has a prev");
	record = next_record(fixture, &first, 1);
	record.version = 1;
	refuse_record(fixture, &record, fixture->owner, "protocol version is 1");
	refuse(fixture, NULL, 0, fixture->owner, "the first record has no entries");

	init(fixture);
	record = next_record(fixture, NULL, 0);
	record.has_prev = false;
	refuse_record(fixture, &record, fixture->owner, "no prev");
	record = next_record(fixture, NULL, 0);
	record.prev.bytes[31] ^= 1;
	refuse_record(fixture, &record, fixture->owner, "prev is not the id");
	record = next_record(fixture, NULL, 0);
	record.time.seconds = 1000;
	refuse_record(fixture, &record, fixture->owner, "before that of the record before");
}

static void test_init(void **state)
{
	struct fixture *fixture = *state;
	const struct record_entry release = forge_release("1.0.0", "one"), own = forge_init(fixture->owner);
	const struct record_entry others = forge_init(fixture->other);
	const struct record_entry twice[] = { own, own }, late[] = { release, own };

	refuse(fixture, &release, 1, fixture->owner, "first entry is not init");
	refuse(fixture, late, 2, fixture->owner, "first entry is not init");
	refuse(fixture, twice, 2, fixture->owner, "init is not the log's first entry");
	refuse(fixture, &others, 1, fixture->owner, "not the signer's");
	init(fixture);
	refuse(fixture, &own, 1, fixture->owner, "init is not the log's first entry");
}

static void test_permissions(void **state)
{
	struct fixture *fixture = *state;
	const struct record_entry release = forge_release("1.1.0", "two"), yank = forge_yank("1.0.0");
	const struct record_entry grant = forge_grant(fixture->other, PERMISSION_RELEASE);
	const struct record_entry grant_yank = forge_grant(fixture->stranger, PERMISSION_YANK);
	const struct record_entry revoke_yank = forge_revoke(fixture->owner, PERMISSION_YANK);
	const struct record_entry lacking = forge_revoke(fixture->other, PERMISSION_YANK);
	const struct record_entry unknown = forge_revoke(fixture->stranger, PERMISSION_YANK);
	const struct record_entry take = forge_revoke(fixture->other, PERMISSION_RELEASE);

	init(fixture);
	refuse(fixture, &release, 1, fixture->other, "does not know the key");
	append_good(fixture, &grant, 1, fixture->owner);
	refuse(fixture, &yank, 1, fixture->other, "permission yank");
	refuse(fixture, &grant_yank, 1, fixture->other, "permission yank");
	refuse(fixture, &revoke_yank, 1, fixture->other, "permission yank");
	refuse(fixture, &lacking, 1, fixture->owner, "permission yank");
	refuse(fixture, &unknown, 1, fixture->owner, "does not know the key");
	append_good(fixture, &take, 1, fixture->owner);
	refuse(fixture, &release, 1, fixture->other, "permission release");
	append_good(fixture, NULL, 0, fixture->other); /* a key stays known */
}

static void test_releases(void **state)
{
	struct fixture *fixture = *state;
	const struct record_entry again = forge_release("1.0.0", "other"), yank = forge_yank("1.0.0");
	const struct record_entry never = forge_yank("9.0.0");
	const struct record_entry twice[] = { forge_release("1.1.0", "x"), forge_release("1.1.0", "x") };
	const struct record_entry undone[] = { forge_release("1.1.0", "x"), forge_yank("1.0.0"), forge_yank("1.1.0"),
					       forge_grant(fixture->other, PERMISSION_YANK), forge_yank("1.1.0") };

	init(fixture);
	refuse(fixture, &again, 1, fixture->owner, "released a second time");
	refuse(fixture, twice, 2, fixture->owner, "released a second time");
	refuse(fixture, &never, 1, fixture->owner, "never released");
	refuse(fixture, undone, 5, fixture->owner, "yanked a second time");
	append_good(fixture, &yank, 1, fixture->owner);
	refuse(fixture, &yank, 1, fixture->owner, "yanked a second time");
	refuse(fixture, &again, 1, fixture->owner, "released a second time");
}

/* A signature is of one kind of record, of one content and of one key. */
static void test_signature(void **state)
{
	struct fixture *fixture = *state;
	const struct record_entry entry = forge_release("1.1.0", "two");
	struct record record;
	struct record_envelope envelope;
	struct forge_record made, others;
	struct package_log *copy;
	struct fault flt = { 0 };

	init(fixture);
	record = next_record(fixture, &entry, 1);
	forge_record(RECORD_PACKAGE, &record, fixture->owner, &made);
	forge_record(RECORD_OPERATOR, &record, fixture->owner, &others);
	envelope = forge_envelope(&made);
	envelope.signature = span_of_text(others.signature);
	assert_int_equal(package_log_append(fixture->log, &envelope, &flt), WARG_INVALID);
	assert_non_null(strstr(flt.what, "signature"));
	forge_record_release(&others);

	forge_record(RECORD_PACKAGE, &record, fixture->other, &others);
	envelope.signature = span_of_text(others.signature);
	assert_int_equal(package_log_append(fixture->log, &envelope, NULL), WARG_INVALID);
	assert_null(package_log_find(fixture->log, span_of_text("1.1.0")));

	/* The signature of a record verified before is not checked. */
	assert_int_equal(package_log_copy(fixture->log, &copy, NULL), 0);
	assert_int_equal(package_log_replay(copy, &envelope, NULL), 0);
	assert_int_equal(package_log_replay(copy, &envelope, NULL), WARG_INVALID);
	assert_non_null(package_log_find(copy, span_of_text("1.1.0")));
	package_log_unref(copy);

	envelope.signature = span_of_text(made.signature);
	assert_int_equal(package_log_append(fixture->log, &envelope, NULL), 0);
	forge_record_release(&others);
	forge_record_release(&made);
}

/* ---- Restoring ---- */

static void test_restore(void **state)
{
	struct fixture *fixture = *state;
	struct ecdsa_public_key *key = ecdsa_private_key_public(fixture->owner);
	struct package_release release = { .version = "1.0.0" }, bad = { .version = "1.0" };
	struct log_head head = { .time = { 5, 0 } };

	assert_int_equal(package_log_restore_head(fixture->log, &head, NULL), WARG_INVALID);
	assert_int_equal(package_log_restore_release(fixture->log, &release, NULL), WARG_INVALID);
	assert_int_equal(package_log_restore_key(fixture->log, key, PERMISSION_COMMIT, NULL), WARG_INVALID);
	assert_int_equal(package_log_restore_key(fixture->log, key, PERMISSION_YANK, NULL), 0);
	assert_int_equal(package_log_restore_key(fixture->log, key, PERMISSION_YANK, NULL), WARG_INVALID);
	assert_int_equal(package_log_restore_head(fixture->log, &head, NULL), 0);
	assert_int_equal(package_log_restore_head(fixture->log, &head, NULL), WARG_INVALID);
	assert_int_equal(package_log_restore_release(fixture->log, &release, NULL), 0);
	assert_int_equal(package_log_restore_release(fixture->log, &release, NULL), WARG_INVALID);
	assert_int_equal(package_log_restore_release(fixture->log, &bad, NULL), WARG_INVALID);
	assert_string_equal(package_log_best(fixture->log, NULL)->version, "1.0.0");
}

/* ---- Every allocation failed once ---- */

struct torment {
	struct forge_record first, second;
	struct name name;
};

static int try_all(void *context, struct fault *flt)
{
	const struct torment *torment = context;
	struct record_envelope first = forge_envelope(&torment->first), second = forge_envelope(&torment->second);
	struct package_log *log = NULL, *copy = NULL;
	int verdict;

	verdict = package_log_new(&torment->name, &log, flt);
	if (!verdict)
		verdict = package_log_append(log, &first, flt);
	if (!verdict)
		verdict = package_log_copy(log, &copy, flt);
	if (!verdict) {
		verdict = package_log_append(copy, &second, flt);
		if (verdict)
			assert_null(package_log_find(copy, span_of_text("1.1.0")));
	}
	package_log_unref(copy);
	package_log_unref(log);
	return verdict;
}

static void test_torture(void **state)
{
	struct fixture *fixture = *state;
	const struct record_entry begin[] = { forge_init(fixture->owner), forge_release("1.0.0", "one") };
	const struct record_entry go_on[] = { forge_grant(fixture->other, PERMISSION_YANK), forge_yank("1.0.0"),
					      forge_release("1.1.0", "two") };
	struct torment torment = { .name = forge_name("test:package") };
	struct record record = next_record(fixture, begin, 2);

	forge_record(RECORD_PACKAGE, &record, fixture->owner, &torment.first);
	record = next_record(fixture, go_on, 3);
	record.has_prev = true;
	record.prev = torment.first.id;
	forge_record(RECORD_PACKAGE, &record, fixture->owner, &torment.second);
	torture(try_all, &torment);
	forge_record_release(&torment.first);
	forge_record_release(&torment.second);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_life),          TEST(test_best_of_prereleases), TEST(test_build_metadata),
		TEST(test_equal_times),   TEST(test_many_releases),	  TEST(test_copy),
		TEST(test_frame),	  TEST(test_init),		  TEST(test_permissions),
		TEST(test_releases),	  TEST(test_signature),		  TEST(test_restore),
		TEST(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
