/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The operator's log: what it shares with package logs is tested there; here is what is its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "forge.h"
#include "torture.h"
#include "verify/operator_log.h"

struct fixture {
	struct ecdsa_private_key *owner, *other;
	struct operator_log *log;
	int64_t second;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){ forge_key(1), forge_key(3), NULL, 1000 };
	assert_int_equal(operator_log_new(&fixture.log, NULL), 0);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	operator_log_unref(fixture->log);
	ecdsa_private_key_free(fixture->owner);
	ecdsa_private_key_free(fixture->other);
	return 0;
}

static struct record_entry import(const char *namespace, const char *registry)
{
	return (struct record_entry){ .type = ENTRY_IMPORT_NAMESPACE,
				      .namespace = span_of_text(namespace),
				      .registry = span_of_text(registry) };
}

static int append(struct fixture *fixture, const struct record_entry *entries, size_t count,
		  const struct ecdsa_private_key *key, struct fault *flt)
{
	const struct log_head *head = operator_log_head(fixture->log);
	struct record record = { .kind = RECORD_OPERATOR,
				 .has_prev = head != NULL,
				 .time = { ++fixture->second, 0 },
				 .entries = (struct record_entry *)(uintptr_t)entries,
				 .entry_count = count };
	struct record_envelope envelope;
	struct forge_record made;
	int verdict;

	if (head)
		record.prev = head->record_id;
	forge_record(RECORD_OPERATOR, &record, key, &made);
	envelope = forge_envelope(&made);
	verdict = operator_log_append(fixture->log, &envelope, flt);
	forge_record_release(&made);
	return verdict;
}

static void refuse(struct fixture *fixture, const struct record_entry *entries, size_t count,
		   const struct ecdsa_private_key *key, const char *why)
{
	size_t keys = operator_log_keys(fixture->log)->count, namespaces, after;
	struct fault flt = { 0 };

	operator_log_namespaces(fixture->log, &namespaces);
	assert_int_equal(append(fixture, entries, count, key, &flt), WARG_INVALID);
	if (!strstr(flt.what, why))
		fail_msg("refused for another reason than '%s': %s", why, flt.what);
	operator_log_namespaces(fixture->log, &after);
	assert_int_equal(after, namespaces);
	assert_int_equal(operator_log_keys(fixture->log)->count, keys);
}

static void init(struct fixture *fixture)
{
	const struct record_entry entries[] = { forge_init(fixture->owner), forge_namespace("first") };

	assert_int_equal(append(fixture, entries, 2, fixture->owner, NULL), 0);
}

static void test_namespaces(void **state)
{
	struct fixture *fixture = *state;
	const struct record_entry more[] = { forge_namespace("second"), import("third", "registry.example") };
	const struct record_entry again[] = { forge_namespace("fourth"), import("second", "registry.example") };
	const struct record_entry defined = forge_namespace("third");
	const struct operator_namespace *all;
	size_t count;

	init(fixture);
	assert_int_equal(append(fixture, more, 2, fixture->owner, NULL), 0);
	all = operator_log_namespaces(fixture->log, &count);
	assert_int_equal(count, 3);
	assert_string_equal(all[0].name, "first");
	assert_null(all[1].registry);
	assert_string_equal(all[2].registry, "registry.example");
	assert_ptr_equal(operator_log_find(fixture->log, span_of_text("third")), &all[2]);
	assert_null(operator_log_find(fixture->log, span_of_text("thir")));
	refuse(fixture, again, 2, fixture->owner, "second time");
	refuse(fixture, &defined, 1, fixture->owner, "second time");
	assert_null(operator_log_find(fixture->log, span_of_text("fourth")));
}

/* Granting and revoking needs COMMIT beside what is given: interop.md B 12. */
static void test_permissions(void **state)
{
	struct fixture *fixture = *state;
	const struct record_entry define = forge_namespace("second"), imported = import("third", "r.example");
	const struct record_entry grant = forge_grant(fixture->other, PERMISSION_DEFINE_NAMESPACE);
	const struct record_entry commit = forge_grant(fixture->other, PERMISSION_COMMIT);
	const struct record_entry pass_on = forge_grant(fixture->other, PERMISSION_IMPORT_NAMESPACE);

	init(fixture);
	refuse(fixture, &define, 1, fixture->other, "does not know the key");
	assert_int_equal(append(fixture, &grant, 1, fixture->owner, NULL), 0);
	assert_int_equal(append(fixture, &define, 1, fixture->other, NULL), 0);
	refuse(fixture, &imported, 1, fixture->other, "permission importNamespace");
	refuse(fixture, &grant, 1, fixture->other, "permission commit");
	assert_int_equal(append(fixture, &commit, 1, fixture->owner, NULL), 0);
	assert_int_equal(append(fixture, &grant, 1, fixture->other, NULL), 0);
	refuse(fixture, &pass_on, 1, fixture->other, "permission importNamespace");
}

/* Stricter than the reference, which takes any key for init: protocol.md section 4. */
static void test_init_by_another(void **state)
{
	struct fixture *fixture = *state;
	const struct record_entry entry = forge_init(fixture->owner), early = forge_namespace("first");

	refuse(fixture, &entry, 1, fixture->other, "not the signer's");
	refuse(fixture, &early, 1, fixture->owner, "first entry is not init");
}

static void test_copy_and_restore(void **state)
{
	struct fixture *fixture = *state;
	struct ecdsa_public_key *key = ecdsa_private_key_public(fixture->owner);
	const struct record_entry define = forge_namespace("second");
	struct log_head head = { .time = { 5, 0 } };
	struct operator_log *log, *copy;

	init(fixture);
	assert_int_equal(operator_log_copy(fixture->log, &copy, NULL), 0);
	assert_int_equal(append(fixture, &define, 1, fixture->owner, NULL), 0);
	assert_null(operator_log_find(copy, span_of_text("second")));
	assert_non_null(operator_log_find(copy, span_of_text("first")));
	operator_log_unref(operator_log_ref(copy));
	operator_log_unref(copy);

	assert_int_equal(operator_log_new(&log, NULL), 0);
	assert_int_equal(operator_log_restore_head(log, &head, NULL), WARG_INVALID);
	assert_int_equal(operator_log_restore_namespace(log, span_of_text("a"), (struct span){ 0 }, NULL),
			 WARG_INVALID);
	assert_int_equal(operator_log_restore_key(log, key, PERMISSION_YANK, NULL), WARG_INVALID);
	assert_int_equal(operator_log_restore_key(log, key, PERMISSIONS_OPERATOR, NULL), 0);
	assert_int_equal(operator_log_restore_key(log, key, PERMISSIONS_OPERATOR, NULL), WARG_INVALID);
	assert_int_equal(operator_log_restore_head(log, &head, NULL), 0);
	assert_int_equal(operator_log_restore_namespace(log, span_of_text("a"), span_of_text("r"), NULL), 0);
	assert_int_equal(operator_log_restore_namespace(log, span_of_text("a"), (struct span){ 0 }, NULL),
			 WARG_INVALID);
	assert_int_equal(operator_log_restore_namespace(log, span_of_text("A"), (struct span){ 0 }, NULL),
			 WARG_INVALID);
	operator_log_unref(log);
}

struct torment {
	struct forge_record first;
};

static int try_all(void *context, struct fault *flt)
{
	const struct torment *torment = context;
	struct record_envelope envelope = forge_envelope(&torment->first);
	struct operator_log *log = NULL, *copy = NULL;
	int verdict;

	verdict = operator_log_new(&log, flt);
	if (!verdict) {
		verdict = operator_log_append(log, &envelope, flt);
		if (verdict) {
			assert_null(operator_log_head(log));
			assert_int_equal(operator_log_keys(log)->count, 0);
		}
	}
	if (!verdict)
		verdict = operator_log_copy(log, &copy, flt);
	operator_log_unref(copy);
	operator_log_unref(log);
	return verdict;
}

static void test_torture(void **state)
{
	struct fixture *fixture = *state;
	struct record_entry entries[] = { forge_init(fixture->owner), forge_namespace("first"),
					  import("second", "registry.example") };
	const struct record record = { .kind = RECORD_OPERATOR, .entries = entries, .entry_count = 3 };
	struct torment torment;

	forge_record(RECORD_OPERATOR, &record, fixture->owner, &torment.first);
	torture(try_all, &torment);
	forge_record_release(&torment.first);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_namespaces),	     TEST(test_permissions), TEST(test_init_by_another),
		TEST(test_copy_and_restore), TEST(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
