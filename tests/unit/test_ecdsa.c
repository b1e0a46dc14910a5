/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * P-256 keys and signatures: the known answer, Wycheproof's whole set, each malformed form, and no memory.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "client/base/json.h"
#include "data.h"
#include "torture.h"
#include "verify/base64.h"
#include "verify/caps.h"
#include "verify/ecdsa.h"
#include "verify/hex.h"

/* protocol.md section 1. */
#define PRIVATE "ecdsa-p256:I+UlDo0HxyBBFeelhPPWmD+LnklOpqZDkrFP5VduASk="
#define PUBLIC "ecdsa-p256:A1OfZz5Y9Ny7VKPVwroCTQPAr9tmlI4U/UTYHZHA87AF"
#define KEY_ID "sha256:d6d9b4cd077a829c0275233bf3843c8294e250dfcc82b8ea15745e92982a820d"

static struct ecdsa_private_key *known_key(void)
{
	struct ecdsa_private_key *key = NULL;

	assert_int_equal(ecdsa_private_key_parse(span_of_text(PRIVATE), &key, NULL), 0);
	return key;
}

/* "ecdsa-p256:" and base64 of bytes given in hexadecimal. */
static struct buf text_of_hex(struct span hex)
{
	struct buf bytes, out;

	buf_init(&bytes, 1 << 20);
	assert_int_equal(buf_reserve(&bytes, hex.length / 2, NULL), 0);
	assert_int_equal(hex_decode(hex, bytes.data, hex.length / 2, NULL), 0);
	bytes.length = hex.length / 2;
	buf_init(&out, 2 << 20);
	assert_int_equal(buf_append_text(&out, "ecdsa-p256:", NULL), 0);
	assert_int_equal(base64_encode(buf_span(&bytes), &out, NULL), 0);
	buf_release(&bytes);
	return out;
}

static void test_known_answer(void **state)
{
	struct ecdsa_private_key *key = known_key();
	struct ecdsa_public_key *public = ecdsa_private_key_public(key), *parsed = NULL;
	char id[DIGEST_TEXT_SIZE];
	struct buf text;

	(void)state;
	assert_string_equal(ecdsa_public_key_text(public), PUBLIC);
	digest_format(ecdsa_public_key_id(public), id);
	assert_string_equal(id, KEY_ID);
	buf_init(&text, 100);
	assert_int_equal(ecdsa_private_key_format(key, &text, NULL), 0);
	assert_true(span_is(buf_span(&text), PRIVATE));
	buf_wipe(&text);
	assert_int_equal(ecdsa_public_key_parse(span_of_text(PUBLIC), &parsed, NULL), 0);
	assert_string_equal(ecdsa_public_key_text(parsed), PUBLIC);
	assert_ptr_equal(ecdsa_public_key_ref(parsed), parsed);
	ecdsa_private_key_free(key);
	ecdsa_public_key_unref(parsed);
	ecdsa_public_key_unref(parsed);
	ecdsa_public_key_unref(NULL);
	ecdsa_private_key_free(NULL);
}

static void test_sign_and_verify(void **state)
{
	const struct span parts[] = { span_of_text("one"), { 0 }, span_of_text(" two") };
	const struct span whole = span_of_text("one two");
	const struct span other = span_of_text("one twp");
	struct ecdsa_private_key *key = NULL, *second = NULL;
	struct fault flt = { 0 };
	struct buf signature;

	(void)state;
	assert_int_equal(ecdsa_private_key_generate(&key, NULL), 0);
	assert_int_equal(ecdsa_private_key_generate(&second, NULL), 0);
	buf_init(&signature, CAP_SIGNATURE_TEXT);
	assert_int_equal(ecdsa_sign(key, parts, 3, &signature, NULL), 0);
	assert_int_equal(ecdsa_verify(ecdsa_private_key_public(key), &whole, 1, buf_span(&signature), NULL), 0);
	assert_int_equal(ecdsa_verify(ecdsa_private_key_public(key), &other, 1, buf_span(&signature), &flt),
			 WARG_INVALID);
	assert_string_equal(flt.what, "the signature does not verify");
	assert_int_equal(ecdsa_verify(ecdsa_private_key_public(second), &whole, 1, buf_span(&signature), NULL),
			 WARG_INVALID);
	buf_release(&signature);
	ecdsa_private_key_free(key);
	ecdsa_private_key_free(second);
}

static void test_bad_public_keys(void **state)
{
	static const struct {
		const char *hex, *why;
	} rows[] = {
		{ "", "empty" },
		{ "00", "the point at infinity" },
		{ "03539f673e58f4dcbb54a3d5c2ba024d03c0afdb66948e14fd44d81d91c0f3b0", "a byte short" },
		{ "03539f673e58f4dcbb54a3d5c2ba024d03c0afdb66948e14fd44d81d91c0f3b00500", "a byte long" },
		{ "04539f673e58f4dcbb54a3d5c2ba024d03c0afdb66948e14fd44d81d91c0f3b005", "a tag for two coordinates" },
		{ "00539f673e58f4dcbb54a3d5c2ba024d03c0afdb66948e14fd44d81d91c0f3b005", "no tag" },
		{ "020000000000000000000000000000000000000000000000000000000000000001", "off the curve" },
		{ "02ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", "x is p" },
		{ "02ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", "x is above p" },
		{ "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
		  "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5", "uncompressed" },
	};
	static const char *const texts[] = {
		"", "ecdsa-p256", "ecdsa-p256:", "ecdsa-p384:A1OfZz5Y9Ny7VKPVwroCTQPAr9tmlI4U/UTYHZHA87AF",
		"ECDSA-P256:A1OfZz5Y9Ny7VKPVwroCTQPAr9tmlI4U/UTYHZHA87AF",
		"A1OfZz5Y9Ny7VKPVwroCTQPAr9tmlI4U/UTYHZHA87AF",
		"ecdsa-p256::A1OfZz5Y9Ny7VKPVwroCTQPAr9tmlI4U/UTYHZHA87AF", PUBLIC "\n", PUBLIC "A", PUBLIC PUBLIC,
		"ecdsa-p256:A1OfZz5Y9Ny7VKPVwroCTQPAr9tmlI4U_UTYHZHA87AF",
	};
	struct ecdsa_public_key *key = NULL;
	struct fault flt;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf text = text_of_hex(span_of_text(rows[i].hex));

		flt = (struct fault){ 0 };
		if (ecdsa_public_key_parse(buf_span(&text), &key, &flt) != WARG_INVALID || flt.verdict != WARG_INVALID)
			fail_msg("%s: %s", rows[i].why, flt.what);
		/* Of these, OpenSSL sees only points that look compressed. */
		assert_int_equal(!strcmp(flt.what, "a public key is not on the curve"), !strncmp(rows[i].hex, "02", 2));
		assert_null(key);
		buf_release(&text);
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(ecdsa_public_key_parse(span_of_text(texts[i]), &key, NULL), WARG_INVALID);
		assert_null(key);
	}
}

/* Forms that OpenSSL would refuse too are refused before it sees them. */
static void test_bad_der(void **state)
{
	static const struct {
		const char *hex, *why;
	} rows[] = {
		{ "", "empty" },
		{ "30", "cut short" },
		{ "3000", "no numbers" },
		{ "3003020101", "one number" },
		{ "3009020101020101020101", "three numbers" },
		{ "300702010102010100", "a byte behind the second number" },
		{ "300602010102010100", "a byte behind the sequence" },
		{ "3005020101020101", "a sequence too short" },
		{ "3007020101020101", "a sequence too long" },
		{ "30810602010102010100", "a length in the long form" },
		{ "308002010102010100", "a length without end" },
		{ "3106020101020101", "a set" },
		{ "3006030101020101", "a bit string" },
		{ "3006020100020101", "r is 0" },
		{ "3006020101020100", "s is 0" },
		{ "30060201ff020101", "r is negative" },
		{ "300702020001020101", "r with a zero too many" },
		{ "30050200020101", "r without bytes" },
		{ "3006020102027f01", "a number's length past the end" },
		{ "3026022100ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551020101", "r is n" },
		{ "3026020101022100ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "s is n" },
	};
	struct ecdsa_private_key *key = known_key();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf text = text_of_hex(span_of_text(rows[i].hex));
		struct fault flt = { 0 };

		assert_int_equal(ecdsa_verify(ecdsa_private_key_public(key), NULL, 0, buf_span(&text), &flt),
				 WARG_INVALID);
		if (strcmp(flt.what, "a signature is not the DER of two numbers below the group's order") != 0)
			fail_msg("%s: %s", rows[i].why, flt.what);
		buf_release(&text);
	}
	ecdsa_private_key_free(key);
}

/* A key that was parsed lately is the same one again; one that many came after is parsed anew. */
static void test_recent_keys(void **state)
{
	enum { COUNT = 17 }; /* one more than there is room for */
	struct ecdsa_private_key *private[COUNT];
	struct ecdsa_public_key *first, *key;
	struct ecdsa_recent_keys recent = {0};
	struct span texts[COUNT];

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		assert_int_equal(ecdsa_private_key_generate(&private[i], NULL), 0);
		texts[i] = span_of_text(ecdsa_public_key_text(ecdsa_private_key_public(private[i])));
	}
	assert_int_equal(ecdsa_recent_keys_parse(&recent, span_of_text("ecdsa-p256:AAAA"), &key, NULL), WARG_INVALID);
	assert_int_equal(ecdsa_recent_keys_parse(&recent, texts[0], &first, NULL), 0);
	for (size_t i = 1; i < COUNT; i++) {
		struct ecdsa_public_key *again;

		assert_int_equal(ecdsa_recent_keys_parse(&recent, texts[0], &key, NULL), 0);
		assert_ptr_equal(key, first);
		ecdsa_public_key_unref(key);
		assert_int_equal(ecdsa_recent_keys_parse(&recent, texts[i], &key, NULL), 0);
		assert_int_equal(ecdsa_recent_keys_parse(&recent, texts[i], &again, NULL), 0);
		assert_ptr_equal(key, again);
		assert_true(span_is(texts[i], ecdsa_public_key_text(key)));
		ecdsa_public_key_unref(again);
		ecdsa_public_key_unref(key);
	}
	assert_int_equal(ecdsa_recent_keys_parse(&recent, texts[0], &key, NULL), 0);
	assert_ptr_not_equal(key, first);
	assert_string_equal(ecdsa_public_key_text(key), ecdsa_public_key_text(first));
	ecdsa_recent_keys_release(&recent);
	ecdsa_public_key_unref(key);
	ecdsa_public_key_unref(first);
	assert_int_equal(ecdsa_recent_keys_parse(NULL, texts[0], &key, NULL), 0);
	ecdsa_public_key_unref(key);
	for (size_t i = 0; i < COUNT; i++)
		ecdsa_private_key_free(private[i]);
}

static void test_private_scalars(void **state)
{
	static const struct {
		const char *hex;
		int verdict;
	} rows[] = {
		{ "0000000000000000000000000000000000000000000000000000000000000000", WARG_INVALID },
		{ "0000000000000000000000000000000000000000000000000000000000000001", 0 },
		{ "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550", 0 },
		{ "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", WARG_INVALID },
		{ "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", WARG_INVALID },
		{ "00000000000000000000000000000000000000000000000000000000000001", WARG_INVALID },
		{ "000000000000000000000000000000000000000000000000000000000000000001", WARG_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf text = text_of_hex(span_of_text(rows[i].hex));
		struct ecdsa_private_key *key = NULL;

		assert_int_equal(ecdsa_private_key_parse(buf_span(&text), &key, NULL), rows[i].verdict);
		assert_true((key != NULL) == (rows[i].verdict == 0));
		ecdsa_private_key_free(key);
		buf_release(&text);
	}
}

static struct ecdsa_public_key *wycheproof_key(const struct json *group)
{
	const struct json *description = NULL;
	struct ecdsa_public_key *key = NULL;
	struct span hex;
	struct buf text;
	char point[67];

	assert_int_equal(json_read_object(group, "publicKey", &description, NULL), 0);
	assert_int_equal(json_read_text(description, "uncompressed", &hex, NULL), 0);
	assert_int_equal(hex.length, 130);
	/* Our form is compressed: whether y is odd, and x. */
	memcpy(point, strchr("13579bdf", hex.data[129]) ? "03" : "02", 2);
	memcpy(point + 2, hex.data + 2, 64);
	text = text_of_hex((struct span){ (unsigned char *)point, 66 });
	assert_int_equal(ecdsa_public_key_parse(buf_span(&text), &key, NULL), 0);
	buf_release(&text);
	return key;
}

static void check_wycheproof_case(const struct ecdsa_public_key *key, const struct json *test)
{
	struct span message_hex, signature_hex, result, comment, message;
	unsigned char bytes[4096];
	struct fault flt = { 0 };
	struct buf signature;
	int expected, verdict;

	assert_int_equal(json_read_text(test, "msg", &message_hex, NULL), 0);
	assert_int_equal(json_read_text(test, "sig", &signature_hex, NULL), 0);
	assert_int_equal(json_read_text(test, "result", &result, NULL), 0);
	assert_int_equal(json_read_text(test, "comment", &comment, NULL), 0);
	assert_true(message_hex.length / 2 <= sizeof(bytes));
	assert_int_equal(hex_decode(message_hex, bytes, message_hex.length / 2, NULL), 0);
	message = (struct span){ bytes, message_hex.length / 2 };
	signature = text_of_hex(signature_hex);
	/*
	 * This set has no "acceptable": what is not the one DER of (r, s) (flags BerEncodedSignature, MissingZero,
	 * InvalidEncoding) is invalid there as here, and high s is valid in both. So there is nothing to except.
	 */
	assert_true(span_is(result, "valid") || span_is(result, "invalid"));
	expected = span_is(result, "valid") ? 0 : WARG_INVALID;
	verdict = ecdsa_verify(key, &message, 1, buf_span(&signature), &flt);
	if (verdict != expected || flt.verdict != expected)
		fail_msg("%.*s: %d, %s", (int)comment.length, (const char *)comment.data, verdict, flt.what);
	buf_release(&signature);
}

static void test_wycheproof(void **state)
{
	const char *path = getenv("WARGFS_WYCHEPROOF");
	const struct json *groups = NULL;
	struct json *value = NULL;
	uint64_t announced = 0;
	struct buf file;
	size_t count = 0;

	(void)state;
	if (!path && getenv("WARGFS_OFFLINE"))
		skip();
	if (!path)
		fail_msg("run this with tests/run/each, which sets WARGFS_WYCHEPROOF");
	file = data_read(path);
	assert_int_equal(json_parse(buf_span(&file), &value, NULL), 0);
	assert_int_equal(json_read_uint(value, "numberOfTests", &announced, NULL), 0);
	assert_int_equal(json_read_list(value, "testGroups", &groups, NULL), 0);
	for (size_t i = 0; i < json_count(groups); i++) {
		struct ecdsa_public_key *key = wycheproof_key(json_at(groups, i));
		const struct json *tests = NULL;

		assert_int_equal(json_read_list(json_at(groups, i), "tests", &tests, NULL), 0);
		for (size_t j = 0; j < json_count(tests); j++, count++)
			check_wycheproof_case(key, json_at(tests, j));
		ecdsa_public_key_unref(key);
	}
	assert_true(count > 400);
	assert_int_equal(count, announced);
	json_free(value);
	buf_release(&file);
}

/* ---- No memory ---- */

struct work {
	struct ecdsa_private_key *key;
	struct buf signature;
};

static const struct span message = { (const unsigned char *)"message", 7 };

static int parse_public(void *context, struct fault *flt)
{
	struct ecdsa_public_key *key = NULL;
	int r = ecdsa_public_key_parse(span_of_text(PUBLIC), &key, flt);

	(void)context;
	assert_true((key != NULL) == (r == 0));
	ecdsa_public_key_unref(key);
	return r;
}

static int parse_private(void *context, struct fault *flt)
{
	struct ecdsa_private_key *key = NULL;
	int r = ecdsa_private_key_parse(span_of_text(PRIVATE), &key, flt);

	(void)context;
	assert_true((key != NULL) == (r == 0));
	ecdsa_private_key_free(key);
	return r;
}

static int generate(void *context, struct fault *flt)
{
	struct ecdsa_private_key *key = NULL;
	int r = ecdsa_private_key_generate(&key, flt);

	(void)context;
	assert_true((key != NULL) == (r == 0));
	ecdsa_private_key_free(key);
	return r;
}

static int sign_message(void *context, struct fault *flt)
{
	struct work *work = context;
	struct buf out;
	int r;

	buf_init(&out, CAP_SIGNATURE_TEXT);
	r = ecdsa_sign(work->key, &message, 1, &out, flt);
	assert_true((out.length != 0) == (r == 0));
	assert_int_equal(flt->errnum, r ? ENOMEM : 0);
	buf_release(&out);
	return r;
}

static int verify_message(void *context, struct fault *flt)
{
	struct work *work = context;

	return ecdsa_verify(ecdsa_private_key_public(work->key), &message, 1, buf_span(&work->signature), flt);
}

static void test_no_memory(void **state)
{
	struct work work = { .key = known_key() };

	(void)state;
	buf_init(&work.signature, CAP_SIGNATURE_TEXT);
	assert_int_equal(ecdsa_sign(work.key, &message, 1, &work.signature, NULL), 0);
	torture(parse_public, NULL);
	torture(parse_private, NULL);
	torture(generate, NULL);
	torture(sign_message, &work);
	torture(verify_message, &work);
	buf_release(&work.signature);
	ecdsa_private_key_free(work.key);
}

/* ---- Several threads ---- */

static void *verify_often(void *context)
{
	struct work *work = context;
	struct ecdsa_public_key *key = ecdsa_public_key_ref(ecdsa_private_key_public(work->key));
	size_t bad = 0;

	for (int i = 0; i < 50; i++)
		bad += ecdsa_verify(key, &message, 1, buf_span(&work->signature), NULL) != 0;
	ecdsa_public_key_unref(key);
	return bad ? work : NULL;
}

static void test_threads(void **state)
{
	struct work work = { .key = known_key() };
	pthread_t threads[4];

	(void)state;
	buf_init(&work.signature, CAP_SIGNATURE_TEXT);
	assert_int_equal(ecdsa_sign(work.key, &message, 1, &work.signature, NULL), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, verify_often, &work), 0);
	for (size_t i = 0; i < 4; i++) {
		void *failed = NULL;

		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	buf_release(&work.signature);
	ecdsa_private_key_free(work.key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answer),
		cmocka_unit_test(test_sign_and_verify),
		cmocka_unit_test(test_bad_public_keys),
		cmocka_unit_test(test_bad_der),
		cmocka_unit_test(test_recent_keys),
		cmocka_unit_test(test_private_scalars),
		cmocka_unit_test(test_wycheproof),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
