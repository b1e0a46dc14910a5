/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * JSON: what is refused, what is read, what is written, and no memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/base/json.h"
#include "torture.h"
#include "verify/caps.h"

#define DIGEST_TEXT "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static struct json *parse(const char *text)
{
	struct json *value = NULL;
	struct fault flt = { 0 };

	if (json_parse(span_of_text(text), &value, &flt))
		fail_msg("%s: %s", text, flt.what);
	return value;
}

static void test_refused(void **state)
{
	static const char *const texts[] = {
		"", " ", "{", "[1,]", "{\"a\":1,}", "{\"a\":1,\"a\":2}", "{\"a\":{\"b\":1,\"b\":1}}", "1 2", "{}x",
		"nul", "<html></html>", "\"\\u0000\"", "{\"\\u0000\":1}", "\"\xff\"", "\"\xc3\"", "\"\\ud800\"",
		"'a'", "{a:1}",
		"9223372036854775808", "-9223372036854775809", "1e999", "01", "+1", "\"a\nb\"", "[1", "// x\n1",
	};
	struct json *value = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct fault flt = { 0 };

		if (json_parse(span_of_text(texts[i]), &value, &flt) != WARG_INVALID || flt.verdict != WARG_INVALID)
			fail_msg("%s", texts[i]);
		assert_null(value);
	}
	assert_int_equal(json_parse((struct span){ NULL, 0 }, &value, NULL), WARG_INVALID);
	assert_int_equal(json_parse((struct span){ (const unsigned char *)"1\0", 2 }, &value, NULL), WARG_INVALID);
	assert_int_equal(json_parse((struct span){ (const unsigned char *)"[1\0]", 4 }, &value, NULL), WARG_INVALID);
}

/* Brackets `depth` deep, with others in a text, which do not count. */
static int parse_nested(size_t depth, char open, char close, struct fault *flt)
{
	struct json *value = NULL;
	struct buf text;
	int r;

	buf_init(&text, 1 << 20);
	for (size_t i = 0; i < depth; i++)
		assert_int_equal(buf_append_format(&text, NULL, open == '{' ? "%c\"[\\\"{\":" : "%c", open), 0);
	assert_int_equal(buf_append_text(&text, "\"[[[[{{{{\\\"[\"", NULL), 0);
	for (size_t i = 0; i < depth; i++)
		assert_int_equal(buf_append_format(&text, NULL, "%c", close), 0);
	r = json_parse(buf_span(&text), &value, flt);
	json_free(value);
	buf_release(&text);
	return r;
}

/* Text that would take the most memory for its length is refused before anything is allocated. */
static void test_values(void **state)
{
	static const char *const values[] = {"{}", "[]", "\"\"", "0", "{\"a\":0}", "\",[{\\\"\""};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		const size_t each = 1 + (i == 4);

		for (size_t more = 0; more < 2; more++) {
			const size_t count = 99 / each + more;
			struct json *value = NULL;
			struct fault flt = { 0 };
			struct buf text;

			buf_init(&text, 1 << 12);
			assert_int_equal(buf_append_text(&text, "[", NULL), 0);
			for (size_t j = 0; j < count; j++)
				assert_int_equal(buf_append_format(&text, NULL, "%s%s", j ? "," : "", values[i]), 0);
			assert_int_equal(buf_append_text(&text, "]", NULL), 0);
			/* The list counts itself; an empty container counts as if it had an element. */
			assert_int_equal(json_parse_within(buf_span(&text), 200 + 100 * more, &value, NULL), 0);
			assert_int_equal(json_count(value), count);
			json_free(value);
			assert_int_equal(json_parse_within(buf_span(&text), 98, &value, &flt), WARG_UNDECIDED);
			assert_int_equal(flt.kind, FAULT_LIMIT);
			buf_release(&text);
		}
	}
}

/* The bound is far above any real answer. */
static void test_many_values(void **state)
{
	struct json *value = NULL;
	struct fault flt = { 0 };
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 22);
	assert_int_equal(buf_append_text(&text, "[0", NULL), 0);
	for (size_t i = 2; i < CAP_JSON_VALUES; i++)
		assert_int_equal(buf_append_text(&text, ",0", NULL), 0);
	assert_int_equal(buf_append_text(&text, "]", NULL), 0);
	assert_int_equal(json_parse(buf_span(&text), &value, NULL), 0);
	json_free(value);
	text.length--;
	assert_int_equal(buf_append_text(&text, ",0,0]", NULL), 0);
	assert_int_equal(json_parse(buf_span(&text), &value, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
	buf_release(&text);
}

static void test_depth(void **state)
{
	struct fault flt = { 0 };

	(void)state;
	assert_int_equal(parse_nested(CAP_JSON_DEPTH, '[', ']', NULL), 0);
	assert_int_equal(parse_nested(CAP_JSON_DEPTH, '{', '}', NULL), 0);
	assert_int_equal(parse_nested(CAP_JSON_DEPTH + 1, '[', ']', &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
	assert_int_equal(parse_nested(CAP_JSON_DEPTH + 1, '{', '}', NULL), WARG_UNDECIDED);
	assert_int_equal(parse_nested(100000, '[', ']', NULL), WARG_UNDECIDED);
}

static void test_read(void **state)
{
	struct json *value = parse(" {\"t\":\"\\u00e9/\",\"u\":9223372036854775807,\"b\":true,"
				   "\"d\":\"" DIGEST_TEXT "\",\"o\":{\"x\":null},\"l\":[1,\"two\"],\"n\":null} ");
	struct digest digest, empty = digest_of((struct span){ NULL, 0 });
	const struct json *inner = NULL;
	uint64_t number = 0;
	struct span text;
	bool flag = false;

	(void)state;
	assert_true(json_is_an_object(value) && !json_is_a_list(value));
	assert_int_equal(json_read_text(value, "t", &text, NULL), 0);
	assert_true(span_is(text, "\xc3\xa9/"));
	assert_int_equal(json_read_uint(value, "u", &number, NULL), 0);
	assert_int_equal(number, INT64_MAX);
	assert_int_equal(json_read_bool(value, "b", &flag, NULL), 0);
	assert_true(flag);
	assert_int_equal(json_read_digest(value, "d", &digest, NULL), 0);
	assert_true(digest_equals(&digest, &empty));
	assert_int_equal(json_read_object(value, "o", &inner, NULL), 0);
	assert_null(json_member(inner, "x"));
	assert_int_equal(json_read_list(value, "l", &inner, NULL), 0);
	assert_true(json_is_a_list(inner));
	assert_int_equal(json_count(inner), 2);
	assert_int_equal(json_count(value), 0);
	assert_int_equal(json_as_text(json_at(inner, 1), &text, NULL), 0);
	assert_true(span_is(text, "two"));
	assert_int_equal(json_as_text(json_at(inner, 0), &text, NULL), WARG_INVALID);
	assert_null(json_member(value, "n"));
	assert_null(json_member(value, "none"));
	assert_null(json_member(inner, "t"));
	json_free(value);
	json_free(NULL);
}

static void test_wrong_types(void **state)
{
	static const char *const texts[] = {
		"{}",         "{\"m\":null}",    "{\"m\":1.5}",  "{\"m\":-1}",           "{\"m\":\"SHA256:00\"}",
		"[]",         "\"m\"",           "1",            "{\"m\":\"sha256:00\"}", "{\"M\":true}",
		"{\"m\":1.0}",
	};
	struct digest digest = { { 0 } }, zero = { { 0 } };
	const struct json *inner = NULL;
	uint64_t number = 4711;
	bool flag = true;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct json *value = parse(texts[i]);
		struct fault flt = { 0 };

		assert_int_equal(json_read_uint(value, "m", &number, NULL), WARG_INVALID);
		assert_int_equal(json_read_bool(value, "m", &flag, NULL), WARG_INVALID);
		assert_int_equal(json_read_object(value, "m", &inner, NULL), WARG_INVALID);
		assert_int_equal(json_read_list(value, "m", &inner, NULL), WARG_INVALID);
		assert_int_equal(json_read_digest(value, "m", &digest, &flt), WARG_INVALID);
		/* The fault names the member. */
		assert_true(strstr(flt.what, "\"m\"") || strstr(flt.where, "\"m\""));
		assert_true(number == 4711 && flag && !inner && digest_equals(&digest, &zero));
		json_free(value);
	}
}

static void test_walk(void **state)
{
	static const char *const names[] = { "z", "a", "m" };
	struct json *value = parse("{\"z\":1,\"a\":null,\"m\":[]}");
	struct json_walk walk = json_walk(value);
	size_t count = 0;

	(void)state;
	for (; json_step(&walk); count++) {
		assert_string_equal(walk.name, names[count]);
		assert_true((walk.value == NULL) == (count == 1));
	}
	assert_int_equal(count, 3);
	assert_false(json_step(&walk));
	json_free(value);
}

static struct json *draft(void)
{
	const struct digest digest = digest_of((struct span){ NULL, 0 });
	struct json *object = json_new_object(), *list = json_new_list(), *inner = json_new_object();

	json_put_text(object, "z", "a\"\\/\n");
	json_put_span(object, "s", (struct span){ (const unsigned char *)"spanned", 4 });
	json_put_span(object, "e", (struct span){ NULL, 0 });
	json_put_uint(object, "u", INT64_MAX);
	json_put_bool(object, "b", false);
	json_put_null(object, "n");
	json_put_digest(object, "d", &digest);
	json_add_text(list, "one");
	json_add_uint(list, 2);
	json_put_text(inner, "k", "v");
	json_add(list, inner);
	json_put(object, "l", list);
	json_put(object, "o", json_new_object());
	return object;
}

static void test_members(void **state)
{
	static const char *const names[] = { "a", "b", NULL };
	static const struct {
		const char *text;
		int verdict;
	} cases[] = {
		{ "{}", 0 }, { "{\"b\":1}", 0 }, { "{\"b\":1,\"a\":null}", 0 }, { "{\"a\":1,\"c\":2}", WARG_INVALID },
		{ "{\"ab\":1}", WARG_INVALID }, { "{\"\":1}", WARG_INVALID }, { "[]", WARG_INVALID },
		{ "1", WARG_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json *value = parse(cases[i].text);

		if (json_check_members(value, names, NULL) != cases[i].verdict)
			fail_msg("%s", cases[i].text);
		json_free(value);
	}
	assert_int_equal(json_check_members(NULL, names, NULL), WARG_INVALID);
}

static void test_format(void **state)
{
	static const struct {
		const char *text;
		int verdict;
	} cases[] = {
		{ "{\"format\":\"f\",\"formatVersion\":1}", 0 },
		{ "{\"format\":\"f\",\"formatVersion\":2,\"a\":1}", 0 },
		{ "{\"format\":\"f\",\"formatVersion\":3}", WARG_UNDECIDED },
		{ "{\"format\":\"f\",\"formatVersion\":0}", WARG_INVALID },
		{ "{\"format\":\"f\",\"formatVersion\":\"1\"}", WARG_INVALID },
		{ "{\"format\":\"g\",\"formatVersion\":1}", WARG_INVALID }, { "{\"formatVersion\":1}", WARG_INVALID },
		{ "{\"format\":\"f\"}", WARG_INVALID }, { "[]", WARG_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json *value = parse(cases[i].text);

		if (json_check_format(value, "f", 2, NULL) != cases[i].verdict)
			fail_msg("%s", cases[i].text);
		json_free(value);
	}
}

/* Bytes are written as base64, and read again behind what was there. */
static void test_base64(void **state)
{
	struct json *object = json_new_object(), *read;
	struct buf text, bytes;

	(void)state;
	json_put_base64(object, "none", (struct span){ NULL, 0 });
	json_put_base64(object, "some", (struct span){ (const unsigned char *)"\0\xff", 2 });
	buf_init(&text, 100);
	assert_int_equal(json_render(object, JSON_COMPACT, &text, NULL), 0);
	assert_true(span_is(buf_span(&text), "{\"none\":\"\",\"some\":\"AP8=\"}"));
	assert_int_equal(json_parse(buf_span(&text), &read, NULL), 0);
	buf_init(&bytes, 4);
	assert_int_equal(buf_append_text(&bytes, "ab", NULL), 0);
	assert_int_equal(json_read_base64(read, "none", &bytes, NULL), 0);
	assert_int_equal(json_read_base64(read, "some", &bytes, NULL), 0);
	assert_int_equal(bytes.length, 4);
	assert_memory_equal(bytes.data, "ab\0\xff", 4);
	assert_int_equal(json_read_base64(read, "some", &bytes, NULL), WARG_UNDECIDED); /* its cap */
	assert_int_equal(json_read_base64(read, "other", &bytes, NULL), WARG_INVALID);
	buf_release(&bytes);
	buf_release(&text);
	json_free(read);
	json_free(object);
}

static void test_write(void **state)
{
	struct json *object = draft();
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(json_render(object, JSON_COMPACT, &out, NULL), 0);
	assert_true(span_is(buf_span(&out),
			    "{\"z\":\"a\\\"\\\\/\\n\",\"s\":\"span\",\"e\":\"\",\"u\":9223372036854775807,\"b\":false,"
			    "\"n\":null,\"d\":\"" DIGEST_TEXT "\",\"l\":[\"one\",2,{\"k\":\"v\"}],\"o\":{}}"));
	out.length = 0;
	json_free(object);
	object = json_new_object();
	json_put_uint(object, "a", 1);
	json_put(object, "b", json_new_list());
	assert_int_equal(json_render(object, JSON_PRETTY, &out, NULL), 0);
	assert_true(span_is(buf_span(&out), "{\n  \"a\": 1,\n  \"b\": []\n}"));
	json_free(object);
	buf_release(&out);
}

/* What cannot be written makes rendering fail, however deep it lies, and leaves the buffer as it was. */
static void test_unwritable(void **state)
{
	struct json *object = json_new_object(), *inner = json_new_object();
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(buf_append_text(&out, "kept", NULL), 0);
	json_put_text(inner, "bad", "\xff");
	json_put(object, "inner", inner);
	json_put_text(object, "good", "x");
	assert_int_equal(json_render(object, JSON_COMPACT, &out, NULL), WARG_UNDECIDED);
	json_free(object);
	object = json_new_object();
	json_put_uint(object, "big", (uint64_t)INT64_MAX + 1);
	assert_int_equal(json_render(object, JSON_COMPACT, &out, NULL), WARG_UNDECIDED);
	json_free(object);
	assert_int_equal(json_render(NULL, JSON_COMPACT, &out, NULL), WARG_UNDECIDED);
	json_put(NULL, "x", json_new_list());
	json_add(NULL, json_new_list());
	json_put_text(NULL, "x", "y");
	assert_true(span_is(buf_span(&out), "kept"));
	buf_release(&out);

	object = draft();
	buf_init(&out, 20);
	assert_int_equal(json_render(object, JSON_COMPACT, &out, NULL), WARG_UNDECIDED);
	assert_int_equal(out.length, 0);
	buf_release(&out);
	json_free(object);
}

static int parse_something(void *context, struct fault *flt)
{
	struct json *value = NULL;
	int r;

	(void)context;
	r = json_parse(span_of_text("{\"a\":[1,2.5,\"text\",{\"b\":true,\"c\":\"\\u00e9\"}],\"d\":null}"), &value,
		       flt);
	assert_true((value != NULL) == (r == 0));
	json_free(value);
	return r;
}

static int write_something(void *context, struct fault *flt)
{
	struct json *object = draft();
	struct buf out;
	int r;

	(void)context;
	buf_init(&out, 4096);
	r = json_render(object, JSON_PRETTY, &out, flt);
	assert_true((out.length != 0) == (r == 0));
	buf_release(&out);
	json_free(object);
	return r;
}

static void test_no_memory(void **state)
{
	(void)state;
	torture(parse_something, NULL);
	torture(write_something, NULL);
}

/* A lie is one also when nobody wants to hear why. */
static void test_verdict_without_a_fault(void **state)
{
	struct digest digest;
	struct json *value;

	(void)state;
	assert_int_equal(json_parse(span_of_text("{\"a\": \"sha256:00\"}"), &value, NULL), 0);
	assert_int_equal(json_read_digest(value, "a", &digest, NULL), WARG_INVALID);
	json_free(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdict_without_a_fault),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_depth), cmocka_unit_test(test_values), cmocka_unit_test(test_many_values),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_wrong_types),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_unwritable),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
