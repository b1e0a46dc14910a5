/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Checkpoints: the recorded one verifies, and nothing else than exactly what was signed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/net/checkpoint_json.h"
#include "data.h"
#include "forge.h"
#include "torture.h"

static void read_recorded(struct signed_checkpoint *out)
{
	struct buf text = data_read("tests/data/valid/reference/checkpoint.json");
	struct json *value;

	assert_int_equal(json_parse(buf_span(&text), &value, NULL), 0);
	assert_int_equal(checkpoint_json_read(value, out, NULL), 0);
	json_free(value);
	buf_release(&text);
}

/* An operator's log whose key has these permissions. */
static struct operator_log *operator_with(struct ecdsa_public_key *key, unsigned permissions)
{
	struct operator_log *log;

	assert_int_equal(operator_log_new(&log, NULL), 0);
	assert_int_equal(operator_log_restore_key(log, key, permissions, NULL), 0);
	return log;
}

/* protocol.md section 1, known answer: the recorded registry's operator. */
static struct ecdsa_private_key *recorded_key(void)
{
	const char *text = "ecdsa-p256:I+UlDo0HxyBBFeelhPPWmD+LnklOpqZDkrFP5VduASk=";
	struct ecdsa_private_key *key;

	assert_int_equal(ecdsa_private_key_parse(span_of_text(text), &key, NULL), 0);
	return key;
}

static void test_recorded(void **state)
{
	struct ecdsa_private_key *key = recorded_key();
	struct operator_log *log = operator_with(ecdsa_private_key_public(key), PERMISSION_COMMIT);
	struct signed_checkpoint checkpoint;

	(void)state;
	read_recorded(&checkpoint);
	assert_int_equal(checkpoint_verify(&checkpoint, log, NULL), 0);
	operator_log_unref(log);
	ecdsa_private_key_free(key);
}

static void refuse(const struct signed_checkpoint *checkpoint, const struct operator_log *log, const char *why)
{
	struct fault flt = { 0 };

	assert_int_equal(checkpoint_verify(checkpoint, log, &flt), WARG_INVALID);
	if (!strstr(flt.what, why))
		fail_msg("refused for another reason than '%s': %s", why, flt.what);
}

static void test_lies(void **state)
{
	struct ecdsa_private_key *key = recorded_key(), *other = forge_key(9);
	struct operator_log *log = operator_with(ecdsa_private_key_public(key), PERMISSION_COMMIT);
	struct operator_log *without = operator_with(ecdsa_private_key_public(key), PERMISSION_DEFINE_NAMESPACE);
	struct operator_log *others = operator_with(ecdsa_private_key_public(other), PERMISSIONS_OPERATOR);
	struct signed_checkpoint honest, lie;

	(void)state;
	read_recorded(&honest);
	refuse(&honest, without, "permission commit");
	refuse(&honest, others, "does not know the key");
	lie = honest;
	lie.contents.log_length++;
	refuse(&lie, log, "signature");
	lie = honest;
	lie.contents.log_length = 0;
	refuse(&lie, log, "0 records");
	lie = honest;
	lie.contents.log_length = (uint64_t)CAP_LOG_LENGTH + 1;
	refuse(&lie, log, "records");
	lie = honest;
	lie.contents.timestamp--;
	refuse(&lie, log, "signature");
	lie = honest;
	lie.contents.log_root.bytes[0] ^= 1;
	refuse(&lie, log, "signature");
	lie = honest;
	lie.contents.map_root.bytes[31] ^= 1;
	refuse(&lie, log, "signature");
	lie = honest;
	lie.contents.log_root = honest.contents.map_root;
	lie.contents.map_root = honest.contents.log_root;
	refuse(&lie, log, "signature");
	operator_log_unref(log);
	operator_log_unref(without);
	operator_log_unref(others);
	ecdsa_private_key_free(key);
	ecdsa_private_key_free(other);
}

static void test_same_state(void **state)
{
	struct signed_checkpoint a, b;

	(void)state;
	read_recorded(&a);
	b = a;
	b.contents.timestamp += 5;
	assert_true(checkpoint_same_state(&a.contents, &b.contents));
	b.contents.map_root.bytes[0] ^= 1;
	assert_false(checkpoint_same_state(&a.contents, &b.contents));
}

struct torment {
	struct ecdsa_private_key *key;
	struct operator_log *log;
	struct checkpoint contents;
};

static int sign_and_verify(void *context, struct fault *flt)
{
	const struct torment *torment = context;
	struct signed_checkpoint checkpoint;
	int verdict;

	verdict = checkpoint_sign(&torment->contents, torment->key, &checkpoint, flt);
	return verdict ? verdict : checkpoint_verify(&checkpoint, torment->log, flt);
}

static void test_torture(void **state)
{
	struct torment torment = { .key = forge_key(7), .contents = { .log_length = 300, .timestamp = 1u << 31 } };

	(void)state;
	torment.log = operator_with(ecdsa_private_key_public(torment.key), PERMISSIONS_OPERATOR);
	torture(sign_and_verify, &torment);
	operator_log_unref(torment.log);
	ecdsa_private_key_free(torment.key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_same_state),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
