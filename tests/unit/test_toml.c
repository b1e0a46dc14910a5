/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* TOML: toml.h; all of its public test suite, and what that does not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "data.h"
#include "server/toml.h"
#include "torture.h"
#include "verify/caps.h"

static int parse(const char *text, struct toml_value **out, struct fault *flt)
{
	return toml_parse(span_of_text(text), out, flt);
}

static const struct toml_value *get(const struct toml_value *table, const char *key)
{
	const struct toml_value *found = toml_find(table, span_of_text(key));

	assert_non_null(found);
	return found;
}

/* ---- The public suite: toml-test ---- */

/* A number without underscores. */
static void without_underscores(const struct buf *text, char *out, size_t size)
{
	size_t length = 0;

	for (size_t i = 0; i < text->length; i++)
		if (text->data[i] != '_' && length < size - 1)
			out[length++] = (char)text->data[i];
	out[length] = 0;
}

static bool is_same_integer(const struct buf *text, const char *expected)
{
	char number[128];
	const char *digits = number;
	int base = 10;

	without_underscores(text, number, sizeof(number));
	if (*number == '0' && number[1]) {
		base = number[1] == 'x' ? 16 : number[1] == 'o' ? 8 : 2;
		digits += 2;
	}
	return strtoll(digits, NULL, base) == strtoll(expected, NULL, 10);
}

static bool is_same_float(const struct buf *text, const char *expected)
{
	char number[1200];
	double one, other;

	without_underscores(text, number, sizeof(number));
	one = strtod(number, NULL);
	other = strtod(expected, NULL);
	return one == other || (one != one && other != other);
}

/* With a "T" and a "Z", and no zeroes at the end of a fraction. */
static void normal_moment(struct span text, char *out)
{
	size_t length = 0;

	for (size_t i = 0; i < text.length && length < 63; i++) {
		char character = (char)text.data[i];
		const bool ends = i + 1 == text.length || !strchr("0123456789.", text.data[i + 1]);

		out[length++] = character == 't' || character == ' ' ? 'T' : character == 'z' ? 'Z' : character;
		out[length] = 0;
		while (ends && strchr(out, '.') && strchr("0.", out[length - 1]))
			out[--length] = 0;
	}
	out[length] = 0;
}

static bool is_same_moment(const struct buf *text, const char *expected)
{
	char one[64], other[64];

	normal_moment(buf_span(text), one);
	normal_moment(span_of_text(expected), other);
	return !strcmp(one, other);
}

static bool is_same_scalar(const struct toml_value *value, const json_t *expected)
{
	static const char *const names[] = {
		[TOML_STRING] = "string", [TOML_BOOL] = "bool", [TOML_INTEGER] = "integer", [TOML_FLOAT] = "float",
		[TOML_DATETIME] = "datetime", [TOML_LOCAL_DATETIME] = "datetime-local",
		[TOML_LOCAL_DATE] = "date-local", [TOML_LOCAL_TIME] = "time-local",
	};
	const json_t *text = json_object_get(expected, "value");
	const char *words = json_string_value(text);

	if (!names[value->type] || strcmp(json_string_value(json_object_get(expected, "type")), names[value->type]))
		return false;
	switch (value->type) {
	case TOML_INTEGER:
		return is_same_integer(&value->text, words);
	case TOML_FLOAT:
		return is_same_float(&value->text, words);
	case TOML_STRING:
	case TOML_BOOL:
		return span_equals(buf_span(&value->text),
				   (struct span){(const unsigned char *)words, json_string_length(text)});
	default:
		return is_same_moment(&value->text, words);
	}
}

static bool is_same(const struct toml_value *value, const json_t *expected)
{
	size_t count = 0;

	if (json_is_string(json_object_get(expected, "type")) && json_is_string(json_object_get(expected, "value")))
		return is_same_scalar(value, expected);
	if (value->type != (json_is_array(expected) ? TOML_ARRAY : TOML_TABLE))
		return false;
	for (const struct toml_value *part = value->first; part; part = part->next, count++) {
		const json_t *other = json_is_array(expected) ? json_array_get(expected, count) :
			json_object_getn(expected, part->key.length ? (const char *)part->key.data : "",
					 part->key.length);

		if (!other || !is_same(part, other))
			return false;
	}
	return count == (json_is_array(expected) ? json_array_size(expected) : json_object_size(expected));
}

/* jansson has no keys with a NUL: such a document is only read. @return whether it was compared */
static bool check_valid(const char *path, const struct buf *text)
{
	char expected_path[4096];
	struct toml_value *value = NULL;
	struct fault flt = {0};
	json_error_t why;
	json_t *expected;

	snprintf(expected_path, sizeof(expected_path), "%.*s.json", (int)(strlen(path) - 5), path);
	expected = json_load_file(expected_path, JSON_ALLOW_NUL, &why);
	if (!expected && json_error_code(&why) != json_error_null_byte_in_key)
		fail_msg("%s: %s", expected_path, why.text);
	if (toml_parse(buf_span(text), &value, &flt))
		fail_msg("%s: %s: %s", path, flt.where, flt.what);
	if (expected && !is_same(value, expected))
		fail_msg("%s: it was read as something else", path);
	toml_free(value);
	json_decref(expected);
	return expected;
}

static void check_invalid(const char *path, const struct buf *text)
{
	struct toml_value *value = NULL;
	struct fault flt = {0};

	if (toml_parse(buf_span(text), &value, &flt) != WARG_INVALID)
		fail_msg("%s: it was read, or not refused", path);
	assert_int_equal(strncmp(flt.where, "line ", 5), 0);
	assert_null(value);
}

static void public_suite(void **state)
{
	const char *folder = getenv("WARGFS_TOML_TEST");
	char path[2048], list[2048], name[1024];
	size_t valid = 0, invalid = 0;
	FILE *names;

	(void)state;
	if (!folder && getenv("WARGFS_OFFLINE"))
		skip();
	if (!folder)
		fail_msg("run this with tests/run/each, which sets WARGFS_TOML_TEST");
	snprintf(list, sizeof(list), "%s/files-toml-1.0.0", folder);
	names = fopen(list, "r");
	assert_non_null(names);
	while (fgets(name, sizeof(name), names)) {
		struct buf text;

		name[strcspn(name, "\n")] = 0;
		if (strlen(name) < 5 || strcmp(name + strlen(name) - 5, ".toml"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, name);
		text = data_read(path);
		if (strncmp(name, "invalid/", 8)) {
			valid += check_valid(path, &text);
		} else {
			check_invalid(path, &text);
			invalid++;
		}
		buf_release(&text);
	}
	fclose(names);
	assert_true(valid > 200 && invalid > 470);
}

/* ---- What the suite does not have ---- */

static void lines(void **state)
{
	static const struct {
		const char *text, *line, *what;
	} rows[] = {
		{"a = 1\na = 2", "line 2", "'a' was there before, on line 1"},
		{"[a]\n[b]\r\n[a]", "line 3", "'a' was there before, on line 1"},
		{"a = \"\"\"\n\n\n\"\"\"\nb", "line 5", "has '=' behind it"},
		{"a = [\n1,\n# x\n2 3]", "line 4", "goes on with ','"},
		{"a = { b = 1,\n c = 2 }", "line 1", "a key is missing"},
		{"\n\na = \"\xff\"", "line 3", "not UTF-8"},
		{"a = 1 \r", "line 1", "control character"},
		{"[a.b]\n[a]\nb.c = 1", "line 3", "no dotted key can add to it"},
		{"[a.b.c]\n[a]\nb.d = 1\n[a.b]", "line 4", "was there before"},
		{"a = {b = 1}\n[a.c]", "line 2", "no header can add to it"},
		{"a = 9223372036854775808", "line 1", "is no value"},
		{"a = -0x1", "line 1", "is no value"},
		{"a = yes", "line 1", "'yes' is no value: strings have quotes"},
		{"a =", "line 1", "a value is missing"},
		{"[[a]\n", "line 1", "a header ends with ']]'"},
		{"\"\"\"a\"\"\" = 1", "line 1", "a key is on one line"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct toml_value *value = NULL;
		struct fault flt = {0};

		assert_int_equal(parse(rows[i].text, &value, &flt), WARG_INVALID);
		assert_null(value);
		if (strcmp(flt.where, rows[i].line) || !strstr(flt.what, rows[i].what))
			fail_msg("%s\n: %s: %s", rows[i].text, flt.where, flt.what);
	}
}

static void tables_in_pieces(void **state)
{
	struct toml_value *document = NULL;
	const struct toml_value *items;

	(void)state;
	assert_int_equal(parse("[a.b.c]\nx = 1\n[a]\nb.d.e = 2\n[a.b.d.f]\n[[l]]\nx.y = 1\n[l.z]\n[[l]]\n"
			       "m = 9223372036854775807\nn = -9223372036854775808\n\"\" = ''", &document, NULL), 0);
	assert_int_equal(get(get(get(document, "a"), "b"), "c")->origin, TOML_HEADED);
	assert_int_equal(get(get(get(document, "a"), "b"), "d")->origin, TOML_DOTTED);
	get(get(get(get(document, "a"), "b"), "d"), "f");
	items = get(document, "l");
	assert_int_equal(items->origin, TOML_REPEATED);
	assert_int_equal(get(items->first, "z")->line, 8);
	assert_int_equal(get(items->last, "m")->type, TOML_INTEGER);
	assert_int_equal(get(items->last, "")->text.length, 0);
	assert_null(toml_find(document, span_of_text("x")));
	assert_null(toml_find(items->last, span_of_text("z")));
	toml_free(document);
	toml_free(NULL);
}

/* How deep a document may go, by arrays, by braces and by dots. */
static void depth(void **state)
{
	static const char *const opening[] = {"[", "{a=", "", "["}, *const closing[] = {"]", "}", "", "]"};

	(void)state;
	for (unsigned kind = 0; kind < 3; kind++) {
		for (unsigned count = CAP_TOML_DEPTH - 2; count < CAP_TOML_DEPTH + 2; count++) {
			struct toml_value *document = NULL;
			struct fault flt = {0};
			struct buf text;
			int r;

			buf_init(&text, 1 << 20);
			for (unsigned i = 0; kind == 2 && i < count; i++)
				buf_append_text(&text, "a.", NULL);
			buf_append_text(&text, "a=", NULL);
			for (unsigned i = 0; i < count; i++)
				buf_append_text(&text, opening[kind], NULL);
			buf_append_text(&text, kind == 0 ? "" : "1", NULL);
			for (unsigned i = 0; i < count; i++)
				buf_append_text(&text, closing[kind], NULL);
			r = toml_parse(buf_span(&text), &document, &flt);
			assert_int_equal(r, count < CAP_TOML_DEPTH + (kind == 0) ? 0 : WARG_UNDECIDED);
			assert_int_equal(flt.kind, r ? FAULT_LIMIT : FAULT_NONE);
			if (!r)
				toml_free(document);
			buf_release(&text);
		}
	}
}

/* As many keys as a file of a megabyte has: each is looked for among all before it. */
static void many_keys(void **state)
{
	struct toml_value *document = NULL;
	struct buf text;

	(void)state;
	buf_init(&text, CAP_FILE_CONFIG);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(buf_append_format(&text, NULL, "%x=1\n", i), 0);
	assert_int_equal(toml_parse(buf_span(&text), &document, NULL), 0);
	assert_int_equal(get(document, "1869f")->line, 100000);
	toml_free(document);
	buf_append_text(&text, "7=1", NULL);
	assert_int_equal(toml_parse(buf_span(&text), &document, NULL), WARG_INVALID);
	buf_release(&text);
}

static int parse_again(void *context, struct fault *flt)
{
	struct toml_value *document = NULL;
	int r = parse(context, &document, flt);

	if (!r)
		toml_free(document);
	return r;
}

static void without_memory(void **state)
{
	char text[] = "a.b = [1, {c = 'd', \"e\" = 1979-05-27}]\n[[f.g]]\nh = \"\"\"x\\u00e9\"\"\"\n[f.i]\n";

	(void)state;
	torture(parse_again, text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(public_suite), cmocka_unit_test(lines), cmocka_unit_test(tables_in_pieces),
		cmocka_unit_test(depth), cmocka_unit_test(many_keys), cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
