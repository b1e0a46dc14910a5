/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Records: the recorded ones are read and written again byte for byte; forms that no honest client writes are refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/base/json.h"
#include "data.h"
#include "forge.h"
#include "proto.h"
#include "torture.h"
#include "verify/base64.h"

/* ---- Recorded ---- */

static void check_recorded(enum record_kind kind, const struct json *value)
{
	struct span text, signature;
	struct buf content, again;
	struct digest token;
	struct record record;

	buf_init(&content, CAP_RECORD);
	buf_init(&again, CAP_RECORD);
	assert_int_equal(json_read_text(value, "contentBytes", &text, NULL), 0);
	assert_int_equal(json_read_text(value, "signature", &signature, NULL), 0);
	assert_int_equal(base64_decode(text, &content, NULL), 0);
	assert_int_equal(record_decode(kind, buf_span(&content), &record, NULL), 0);
	/* The reference's fetch tokens are record ids. */
	assert_int_equal(json_read_digest(value, "fetchToken", &token, NULL), 0);
	assert_true(digest_equals(&record.id, &token));
	assert_int_equal(record_encode(&record, &again, NULL), 0);
	assert_true(span_equals(buf_span(&content), buf_span(&again)));
	record_release(&record);
	buf_release(&content);
	buf_release(&again);
}

static void test_recorded(void **state)
{
	struct buf text = data_read("tests/data/valid/reference/logs.json");
	const struct json *list, *packages;
	struct json *value;
	size_t count = 0;

	(void)state;
	assert_int_equal(json_parse(buf_span(&text), &value, NULL), 0);
	assert_int_equal(json_read_list(value, "operator", &list, NULL), 0);
	for (size_t i = 0; i < json_count(list); i++, count++)
		check_recorded(RECORD_OPERATOR, json_at(list, i));
	assert_int_equal(json_read_object(value, "packages", &packages, NULL), 0);
	for (struct json_walk walk = json_walk(packages); json_step(&walk);)
		for (size_t i = 0; i < json_count(walk.value); i++, count++)
			check_recorded(RECORD_PACKAGE, json_at(walk.value, i));
	assert_int_equal(count, 14);
	json_free(value);
	buf_release(&text);
}

/* ---- Written and read again ---- */

static void test_round_trip(void **state)
{
	struct ecdsa_private_key *key = forge_key(5);
	struct record_entry entries[] = { forge_init(key),
					  forge_grant(key, PERMISSIONS_PACKAGE),
					  forge_revoke(key, PERMISSION_YANK),
					  forge_revoke(key, 0),
					  forge_release("1.0.0-rc.1+build", "content"),
					  forge_yank("1.0.0") };
	const struct record record = { .kind = RECORD_PACKAGE,
				       .has_prev = true,
				       .prev = digest_of(span_of_text("before")),
				       .time = { 1, 999999999 },
				       .entries = entries,
				       .entry_count = 6 };
	struct record again;
	struct buf content;

	(void)state;
	buf_init(&content, CAP_RECORD);
	assert_int_equal(record_encode(&record, &content, NULL), 0);
	assert_int_equal(record_decode(RECORD_PACKAGE, buf_span(&content), &again, NULL), 0);
	assert_true(again.has_prev);
	assert_true(digest_equals(&again.prev, &record.prev));
	assert_int_equal(record_time_compare(again.time, record.time), 0);
	assert_int_equal(again.entry_count, 6);
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(again.entries[i].type, entries[i].type);
		assert_int_equal(again.entries[i].permissions, entries[i].permissions);
		assert_true(span_equals(again.entries[i].key, entries[i].key));
		assert_true(span_equals(again.entries[i].version, entries[i].version));
		assert_true(digest_equals(&again.entries[i].content, &entries[i].content));
		assert_true(digest_equals(&again.entries[i].key_id, &entries[i].key_id));
	}
	record_release(&again);
	buf_release(&content);
	ecdsa_private_key_free(key);
}

static void test_time(void **state)
{
	const struct record_time early = { 5, 1 }, later = { 5, 2 }, latest = { 6, 0 };

	(void)state;
	assert_true(record_time_compare(early, later) < 0);
	assert_true(record_time_compare(latest, later) > 0);
	assert_true(record_time_compare(later, later) == 0);
}

/* ---- Forms ---- */

static int decode(enum record_kind kind, const char *notation, struct record *out, struct fault *flt)
{
	struct buf content = proto_write(notation);
	int verdict = record_decode(kind, buf_span(&content), out, flt);

	/* What was read borrows from the bytes: only numbers may be looked at. */
	buf_release(&content);
	return verdict;
}

struct form {
	const char *notation, *why;
};

/* No honest client writes these. 3() is the time, of 1970. */
static void refuse(enum record_kind kind, const struct form *forms, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct record record = { .version = 77 };
		struct fault flt = { 0 };

		if (decode(kind, forms[i].notation, &record, &flt) != WARG_INVALID)
			fail_msg("not refused: %s", forms[i].notation);
		if (!strstr(flt.what, forms[i].why) && !strstr(flt.where, forms[i].why))
			fail_msg("%s: refused for another reason than '%s': %s: %s", forms[i].notation, forms[i].why,
				 flt.where, flt.what);
		assert_int_equal(record.version, 77);
	}
}

#define DIGEST "sha256:0000000000000000000000000000000000000000000000000000000000000000"
#define UPPER "sha256:A000000000000000000000000000000000000000000000000000000000000000"

static void test_frames_refused(void **state)
{
	static const struct form forms[] = {
		{ "", "no time" },
		{ "2=0", "no time" },
		{ "3() 3()", "field 3 twice" },
		{ "3() 2=0 2=0", "field 2 twice" },
		{ "1'" DIGEST "' 1'" DIGEST "' 3()", "field 1 twice" },
		{ "3() 5()", "unknown field 5" },
		{ "1'sha256:00' 3()", "prev" },
		{ "1'" UPPER "' 3()", "prev" },
		{ "1'" DIGEST "0' 3()", "prev" },
		{ "1=5 3()", "wrong wire type" },
		{ "3=5", "wrong wire type" },
		{ "2'0' 3()", "wrong wire type" },
		{ "2=4294967296 3()", "32 bits" },
		{ "4=1 3()", "wrong wire type" },
		{ "3(1=253402300800)", "1970 and 9999" },
		{ "3(1=18446744073709551615)", "1970 and 9999" },
		{ "3(2=1000000000)", "nanoseconds" },
		{ "3(1=1 1=1)", "twice" },
		{ "3(3=1)", "unknown field 3" },
		{ "3(1'1')", "wrong wire type" },
		{ "3() x08", "" },   /* cut short */
		{ "3() x10", "" },
		{ "3() x1080", "" },
		{ "3() x108000", "" }, /* longer than needed */
		{ "x1a05", "past the end" },
		{ "x1b", "" },       /* a group */
		{ "x0200", "" },     /* field number 0 */
		{ "x1a00 x2280808080808080808080ff01", "" },
	};

	(void)state;
	refuse(RECORD_PACKAGE, forms, sizeof(forms) / sizeof(forms[0]));
	refuse(RECORD_OPERATOR, forms, sizeof(forms) / sizeof(forms[0]));
}

static void test_package_entries_refused(void **state)
{
	static const struct form forms[] = {
		{ "3() 4()", "entry is empty" },
		{ "3() 4(6())", "unknown field 6" },
		{ "3() 4(5(1'1.0.0') 5(1'1.0.1'))", "more than one thing" },
		{ "3() 4(5(1'1.0.0') 4())", "more than one thing" },
		{ "3() 4(5=1)", "wrong wire type" },
		{ "3() 4(5())", "no version" },
		{ "3() 4(5(1'1.0'))", "version" },
		{ "3() 4(5(1'1.0.0/'))", "version" },
		{ "3() 4(5(1'../..'))", "version" },
		{ "3() 4(5(1(x312e302e3000)))", "version" },
		{ "3() 4(5(1(x312e302e300a)))", "version" },
		{ "3() 4(5(1''))", "version" },
		{ "3() 4(5(1'1.0.0' 2'x'))", "unknown field 2" },
		{ "3() 4(4(1'1.0.0'))", "no content" },
		{ "3() 4(4(2'" DIGEST "'))", "no version" },
		{ "3() 4(4(1'1.0.0' 2'" UPPER "'))", "content" },
		{ "3() 4(4(1'1.0.0' 2'" DIGEST "0'))", "content" },
		{ "3() 4(4(1'1.0.0' 1'1.0.0' 2'" DIGEST "'))", "twice" },
		{ "3() 4(2(2(x01)))", "no key" },
		{ "3() 4(2(1'k' 2(x00)))", "no permission 0" },
		{ "3() 4(2(1'k' 2(x03)))", "no permission 3" },
		{ "3() 4(2(1'k' 2=0))", "no permission 0" },
		{ "3() 4(2(1'k' 2(x8101)))", "no permission 129" },
		{ "3() 4(2(1'k' 2(x80)))", "" },
		{ "3() 4(3(1'k' 2(x01)))", "key" },
		{ "3() 4(3(1'" DIGEST "' 2(x0101)))", "revoked twice" },
		{ "3() 4(1(1'k'))", "no hash algorithm" },
		{ "3() 4(1(1'k' 2'sha1'))", "not sha256" },
		{ "3() 4(1(2'sha256'))", "no key" },
		{ "3() 4(1(1'' 2'sha256'))", "key is empty" },
	};

	(void)state;
	refuse(RECORD_PACKAGE, forms, sizeof(forms) / sizeof(forms[0]));
}

static void test_operator_entries_refused(void **state)
{
	static const struct form forms[] = {
		{ "3() 4(4())", "no namespace" },
		{ "3() 4(4(1'Abc'))", "kebab" },
		{ "3() 4(4(1'a--b'))", "kebab" },
		{ "3() 4(4(1'-a'))", "kebab" },
		{ "3() 4(4(1'a/b'))", "kebab" },
		{ "3() 4(4(1'..'))", "kebab" },
		{ "3() 4(4(1(x610062)))", "kebab" },
		{ "3() 4(4(1'a:b'))", "kebab" },
		{ "3() 4(5(1'a'))", "no registry" },
		{ "3() 4(5(1'a' 2''))", "registry" },
		{ "3() 4(5(1'a' 2'b c'))", "printable" },
		{ "3() 4(5(1'a' 2(x6200)))", "printable" },
		{ "3() 4(2(1'k' 2(x04)))", "no permission 4" },
		{ "3() 4(1(1'sha256'))", "no key" },
		{ "3() 4(1(1'k' 2'sha256'))", "not sha256" }, /* the order is another than in packages */
	};

	(void)state;
	refuse(RECORD_OPERATOR, forms, sizeof(forms) / sizeof(forms[0]));
}

/* Packed or not, and fields in any order: both are met in logs (interop.md B 11). */
static void test_forms_taken(void **state)
{
	static const char *const forms[] = {
		"3() 4(2(1'k' 2(x0102)))",
		"3() 4(2(1'k' 2(x0201)))",
		"3() 4(2(1'k' 2=1 2=2))",
		"3() 4(2(1'k' 2(x01) 2=2))",
		"4(2(2=1 1'k' 2=2)) 2=0 3()",
	};
	struct record record;

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		assert_int_equal(decode(RECORD_PACKAGE, forms[i], &record, NULL), 0);
		assert_int_equal(record.entry_count, 1);
		assert_int_equal(record.entries[0].permissions, PERMISSIONS_PACKAGE);
		record_release(&record);
	}
}

static void test_caps(void **state)
{
	static unsigned char zeros[CAP_RECORD];
	struct record record;
	struct fault flt = { 0 };
	struct buf content = proto_write("3()");

	(void)state;
	for (size_t i = 0; i <= CAP_RECORD_ENTRIES; i++)
		assert_int_equal(buf_append(&content, (struct span){ (const unsigned char *)"\x22\0", 2 }, NULL), 0);
	assert_int_equal(record_decode(RECORD_PACKAGE, buf_span(&content), &record, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
	flt = (struct fault){ 0 };
	assert_int_equal(buf_append(&content, (struct span){ zeros, sizeof(zeros) }, NULL), 0);
	assert_int_equal(record_decode(RECORD_PACKAGE, buf_span(&content), &record, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
	buf_release(&content);
}

static int code(void *context, struct fault *flt)
{
	const struct record *record = context;
	struct record again;
	struct buf content;
	int verdict;

	buf_init(&content, CAP_RECORD);
	verdict = record_encode(record, &content, flt);
	if (verdict)
		assert_int_equal(content.length, 0);
	if (!verdict)
		verdict = record_decode(RECORD_PACKAGE, buf_span(&content), &again, flt);
	if (!verdict)
		record_release(&again);
	buf_release(&content);
	return verdict;
}

static void test_torture(void **state)
{
	struct record_entry entries[] = { forge_release("1.0.0", "content"), forge_yank("1.0.0") };
	struct record record = { .kind = RECORD_PACKAGE, .entries = entries, .entry_count = 2 };

	(void)state;
	torture(code, &record);
}

/* ---- Contents of refused records ---- */

#define HASH_A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static int take_content(void *user, const struct digest *digest, struct fault *flt)
{
	char *found = user;

	(void)flt;
	strncat(found, digest->bytes[0] == 0xaa ? "a" : digest->bytes[0] == 0xbb ? "b" : "?", 8);
	return strlen(found) < 8 ? 0 : 7;
}

static void test_contents(void **state)
{
	static const struct {
		const char *record, *found;
	} rows[] = {
		{ "3(1=5) 4(4(1'1.0.0' 2'" HASH_A "')) 4(4(1'1.1.0' 2'" HASH_B "'))", "ab" },
		{ "3(1=5) 4(5(1'1.0.0')) 4(1(1'key' 2'sha256'))", "" },
		/* Fields that are unknown, in another order, of another type or repeated. */
		{ "15'?' 4(4(2'" HASH_A "' 1'1.0.0')) 3(1=5) 3(1=6) 4(9=9 4(7'x' 2'" HASH_B "'))", "ab" },
		{ "4(4(2'" HASH_A "' 2'" HASH_B "'))", "ab" },
		{ "4(4(1'1' 2'" HASH_A "') 4(1'2' 2'" HASH_B "'))", "ab" },
		{ "4=4 4(4=4 4(2=2 2'" HASH_A "'))", "a" },
		/* Numbers of 4 and 8 bytes, a group, and varints longer than necessary. */
		{ "x7d01020304 x790102030405060708 4(4(2'" HASH_A "'))", "a" },
		{ "x7b0805 x7c 4(4(2'" HASH_A "'))", "a" },
		{ "x7881808000 xa200d080808000 4(4(2'" HASH_B "'))", "" },
		{ "x788180808000 4(4(2'" HASH_B "'))", "b" },
		/* A text that is no hash, a truncated record, and bytes that are no protobuf. */
		{ "4(4(2'sha256:aa')) 4(4(2'SHA256:" HASH_A "')) 4(4(2'" HASH_B "'))", "b" },
		{ "4(4(2'" HASH_A "')) x22ff01", "a" },
		{ "4(4(2'" HASH_A "' x12ff)) 4(4(2'" HASH_B "'))", "ab" },
		{ "x07", "" },
		{ "xffffffffffffffffffffff", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf content = proto_write(rows[i].record);
		char found[16] = "";

		print_message("  %s\n", rows[i].record);
		assert_int_equal(record_walk_contents(buf_span(&content), take_content, found, NULL), 0);
		assert_string_equal(found, rows[i].found);
		buf_release(&content);
	}
}

static void test_contents_end(void **state)
{
	struct record_entry entries[20];
	struct record record = { .kind = RECORD_PACKAGE, .entries = entries, .entry_count = 20 };
	char found[16] = "";
	struct buf content;

	(void)state;
	for (size_t i = 0; i < 20; i++)
		entries[i] = forge_release("1.0.0", "content");
	buf_init(&content, CAP_RECORD);
	assert_int_equal(record_encode(&record, &content, NULL), 0);
	assert_int_equal(record_walk_contents(buf_span(&content), take_content, found, NULL), 7);
	assert_int_equal(strlen(found), 8);
	buf_release(&content);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_frames_refused),
		cmocka_unit_test(test_package_entries_refused),
		cmocka_unit_test(test_operator_entries_refused),
		cmocka_unit_test(test_forms_taken),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_contents),
		cmocka_unit_test(test_contents_end),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
