/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Keys with permissions, and the rules that both kinds of log have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "forge.h"
#include "torture.h"

#define KEYS 3

struct fixture {
	struct ecdsa_private_key *private[KEYS];
	struct ecdsa_public_key *key[KEYS];
	const struct digest *id[KEYS];
	struct log_keys keys;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	for (unsigned i = 0; i < KEYS; i++) {
		fixture->private[i] = forge_key(i + 1);
		fixture->key[i] = ecdsa_private_key_public(fixture->private[i]);
		fixture->id[i] = ecdsa_public_key_id(fixture->key[i]);
	}
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	log_keys_release(&fixture->keys);
	for (unsigned i = 0; i < KEYS; i++)
		ecdsa_private_key_free(fixture->private[i]);
	free(fixture);
	return 0;
}

static void refused(int verdict, const struct fault *flt, const char *why)
{
	assert_int_equal(verdict, WARG_INVALID);
	assert_int_equal(flt->verdict, WARG_INVALID);
	if (!strstr(flt->what, why))
		fail_msg("refused for another reason than '%s': %s", why, flt->what);
}

static void test_set(void **state)
{
	struct fixture *fixture = *state;
	struct log_keys *keys = &fixture->keys, copy;
	struct fault flt = { 0 };

	assert_null(log_keys_find(keys, fixture->id[0]));
	assert_int_equal(log_keys_grant(keys, fixture->key[0], PERMISSION_YANK, NULL), 0);
	assert_int_equal(log_keys_grant(keys, fixture->key[1], 0, NULL), 0);
	assert_int_equal(log_keys_grant(keys, fixture->key[0], PERMISSION_RELEASE, NULL), 0);
	assert_int_equal(keys->count, 2);
	assert_int_equal(log_keys_find(keys, fixture->id[0])->permissions, PERMISSIONS_PACKAGE);
	assert_int_equal(log_keys_find(keys, fixture->id[1])->permissions, 0);

	assert_int_equal(log_keys_require(keys, fixture->id[0], PERMISSIONS_PACKAGE, NULL), 0);
	assert_int_equal(log_keys_require(keys, fixture->id[1], 0, NULL), 0);
	refused(log_keys_require(keys, fixture->id[1], PERMISSION_YANK, &flt), &flt, "permission yank");
	flt = (struct fault){ 0 };
	refused(log_keys_require(keys, fixture->id[2], 0, &flt), &flt, "does not know the key");

	assert_int_equal(log_keys_copy(keys, &copy, NULL), 0);
	assert_int_equal(log_keys_revoke(keys, fixture->id[0], PERMISSIONS_PACKAGE, NULL), 0);
	assert_int_equal(log_keys_find(&copy, fixture->id[0])->permissions, PERMISSIONS_PACKAGE);
	log_keys_release(&copy);
	assert_int_equal(copy.count, 0);
	assert_non_null(log_keys_find(keys, fixture->id[0])); /* it stays known */
	flt = (struct fault){ 0 };
	refused(log_keys_revoke(keys, fixture->id[0], PERMISSION_RELEASE, &flt), &flt, "permission release");
	flt = (struct fault){ 0 };
	refused(log_keys_revoke(keys, fixture->id[2], PERMISSION_RELEASE, &flt), &flt, "does not know the key");
	/* An unknown key has the empty set of permissions. */
	assert_int_equal(log_keys_revoke(keys, fixture->id[2], 0, NULL), 0);
	assert_int_equal(keys->count, 2);
}

static void test_names_of_permissions(void **state)
{
	static const struct {
		enum record_permission permission;
		const char *name;
	} cases[] = {
		{ PERMISSION_RELEASE, "permission release" },
		{ PERMISSION_YANK, "permission yank" },
		{ PERMISSION_COMMIT, "permission commit" },
		{ PERMISSION_DEFINE_NAMESPACE, "permission defineNamespace" },
		{ PERMISSION_IMPORT_NAMESPACE, "permission importNamespace" },
	};
	struct fixture *fixture = *state;

	assert_int_equal(log_keys_grant(&fixture->keys, fixture->key[0], 0, NULL), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fault flt = { 0 };

		refused(log_keys_require(&fixture->keys, fixture->id[0], cases[i].permission, &flt), &flt,
			cases[i].name);
	}
}

static void test_frame(void **state)
{
	const struct log_head head = { digest_of(span_of_text("head")), { 100, 5 } };
	const struct record good = { .has_prev = true, .prev = head.record_id, .time = head.time, .entry_count = 0 };
	const struct record first = { .time = { 1, 0 }, .entry_count = 1 };
	struct record bad;
	struct fault flt = { 0 };

	(void)state;
	assert_int_equal(log_keys_check_frame(&good, &head, NULL), 0);
	assert_int_equal(log_keys_check_frame(&first, NULL, NULL), 0);
	refused(log_keys_check_frame(&good, NULL, &flt), &flt, "the first record has a prev");
	flt = (struct fault){ 0 };
	refused(log_keys_check_frame(&first, &head, &flt), &flt, "no prev");
	bad = good;
	bad.prev.bytes[31] ^= 1;
	flt = (struct fault){ 0 };
	refused(log_keys_check_frame(&bad, &head, &flt), &flt, "prev is not the id");
	bad = good;
	bad.version = 1;
	flt = (struct fault){ 0 };
	refused(log_keys_check_frame(&bad, &head, &flt), &flt, "protocol version is 1");
	bad = good;
	bad.time.nanos--;
	flt = (struct fault){ 0 };
	refused(log_keys_check_frame(&bad, &head, &flt), &flt, "before that of the record before");
	bad = first;
	bad.entry_count = 0;
	flt = (struct fault){ 0 };
	refused(log_keys_check_frame(&bad, NULL, &flt), &flt, "no entries");
}

static void test_order(void **state)
{
	struct fixture *fixture = *state;
	const struct record_entry init = forge_init(fixture->private[0]), yank = forge_yank("1.0.0");
	struct fault flt = { 0 };

	assert_int_equal(log_keys_check_order(&init, false, NULL), 0);
	assert_int_equal(log_keys_check_order(&yank, true, NULL), 0);
	refused(log_keys_check_order(&init, true, &flt), &flt, "init is not the log's first entry");
	flt = (struct fault){ 0 };
	refused(log_keys_check_order(&yank, false, &flt), &flt, "first entry is not init");
}

static void test_apply(void **state)
{
	struct fixture *fixture = *state;
	struct log_keys *keys = &fixture->keys;
	const struct record_entry init = forge_init(fixture->private[0]);
	const struct record_entry grant = forge_grant(fixture->private[1], PERMISSION_YANK);
	const struct record_entry revoke = forge_revoke(fixture->private[1], PERMISSION_YANK);
	struct record_entry malformed = grant;
	struct fault flt = { 0 };

	refused(log_keys_apply(keys, &init, fixture->id[1], PERMISSIONS_PACKAGE, 0, &flt), &flt, "not the signer's");
	assert_int_equal(keys->count, 0);
	assert_int_equal(log_keys_apply(keys, &init, fixture->id[0], PERMISSIONS_PACKAGE, 0, NULL), 0);
	assert_int_equal(log_keys_find(keys, fixture->id[0])->permissions, PERMISSIONS_PACKAGE);
	/* To manage keys may need a permission of its own. */
	flt = (struct fault){ 0 };
	refused(log_keys_apply(keys, &grant, fixture->id[0], 0, PERMISSION_COMMIT, &flt), &flt, "permission commit");
	flt = (struct fault){ 0 };
	refused(log_keys_apply(keys, &grant, fixture->id[1], 0, 0, &flt), &flt, "does not know the key");
	assert_int_equal(log_keys_apply(keys, &grant, fixture->id[0], 0, 0, NULL), 0);
	assert_int_equal(log_keys_find(keys, fixture->id[1])->permissions, PERMISSION_YANK);
	assert_int_equal(log_keys_apply(keys, &revoke, fixture->id[1], 0, 0, NULL), 0); /* its own */
	assert_int_equal(log_keys_find(keys, fixture->id[1])->permissions, 0);
	malformed.key = span_of_text("ecdsa-p256:");
	flt = (struct fault){ 0 };
	refused(log_keys_apply(keys, &malformed, fixture->id[0], 0, 0, &flt), &flt, "");
	assert_int_equal(keys->count, 2);
}

static void test_changed_by(void **state)
{
	struct fixture *fixture = *state;
	struct record_entry entries[] = { forge_release("1.0.0", "x"), forge_yank("1.0.0"), forge_namespace("x"),
					  forge_init(fixture->private[0]) };
	struct record record = { .entries = entries, .entry_count = 3 };

	assert_false(log_keys_are_changed_by(&record));
	record.entry_count = 4;
	assert_true(log_keys_are_changed_by(&record));
	entries[3] = forge_grant(fixture->private[0], PERMISSION_YANK);
	assert_true(log_keys_are_changed_by(&record));
	entries[3] = forge_revoke(fixture->private[0], PERMISSION_YANK);
	assert_true(log_keys_are_changed_by(&record));
}

static void test_cap(void **state)
{
	struct fixture *fixture = *state;
	struct fault flt = { 0 };

	for (unsigned i = 1; i <= CAP_LOG_KEYS + 1; i++) {
		struct ecdsa_private_key *key = forge_key(i);
		int verdict = log_keys_grant(&fixture->keys, ecdsa_private_key_public(key), 0, &flt);

		assert_int_equal(verdict, i <= CAP_LOG_KEYS ? 0 : WARG_UNDECIDED);
		ecdsa_private_key_free(key);
	}
	assert_int_equal(flt.kind, FAULT_LIMIT);
	/* A known key is no new one. */
	assert_int_equal(log_keys_grant(&fixture->keys, fixture->key[0], PERMISSION_YANK, NULL), 0);
}

static int grant_and_copy(void *context, struct fault *flt)
{
	struct fixture *fixture = context;
	struct log_keys keys = { 0 }, copy = { 0 };
	int verdict = 0;

	for (size_t i = 0; !verdict && i < KEYS; i++) {
		verdict = log_keys_grant(&keys, fixture->key[i], PERMISSION_YANK, flt);
		assert_int_equal(keys.count, verdict ? i : i + 1);
	}
	if (!verdict)
		verdict = log_keys_copy(&keys, &copy, flt);
	assert_int_equal(copy.count, verdict ? 0 : KEYS);
	log_keys_release(&copy);
	log_keys_release(&keys);
	return verdict;
}

static int grant_known(void *context, struct fault *flt)
{
	struct fixture *fixture = context;
	const struct record_entry grant = forge_grant(fixture->private[0], PERMISSION_YANK);

	return log_keys_apply(&fixture->keys, &grant, fixture->id[0], 0, 0, flt);
}

/* A record may grant one key 16,384 times: the key is parsed the first time only. */
static void test_known(void **state)
{
	struct fixture *fixture = *state;
	const struct record_entry init = forge_init(fixture->private[0]);

	assert_int_equal(log_keys_apply(&fixture->keys, &init, fixture->id[0], PERMISSIONS_PACKAGE, 0, NULL), 0);
	/* Parsing a key allocates memory. */
	assert_int_equal(torture_any(grant_known, fixture), 0);
	assert_int_equal(fixture->keys.count, 1);
}

static void test_torture(void **state)
{
	torture(grant_and_copy, *state);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_set),	       TEST(test_names_of_permissions), TEST(test_frame), TEST(test_order),
		TEST(test_apply),      TEST(test_changed_by),		TEST(test_cap),	  TEST(test_known),
		TEST(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
