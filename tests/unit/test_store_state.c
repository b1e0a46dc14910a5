/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* State files as the reference writes them: read, rendered byte for byte, and lies refused: store_state.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/store/store_state.h"
#include "data.h"
#include "torture.h"

#define LABEL "127.0.0.1-18741"
#define FOLDER "tests/data/valid/state-reference/"
#define HELLO FOLDER "package-logs/sha256/68723f392b3e5384037a39ed80bc517e0e6d18049ab8338676e82d4108d7fba3"
#define OTHER FOLDER "package-logs/sha256/a1f75b7106294a14d4e21e4291922d16d663ff4b817ea950cc686bb4b8015675"
#define EMPTY FOLDER "package-logs/sha256/b36f978c2271a81e27dd3d32cea7f7048f0fa6ecb44047a94003687eecbcc8ac"

enum kind { CHECKPOINT, OPERATOR, PACKAGE };

static int render(enum kind kind, const struct json *value, struct buf *out, struct fault *flt)
{
	struct signed_checkpoint checkpoint;
	struct operator_log *operator = NULL;
	struct package_log *package = NULL;
	struct store_state state;
	int r;

	if (kind == CHECKPOINT) {
		r = checkpoint_json_read(value, &checkpoint, flt);
		return r ? r : checkpoint_json_render(&checkpoint, out, flt);
	}
	if (kind == OPERATOR) {
		r = store_state_read_operator(value, &operator, &state, flt);
		if (!r)
			r = store_state_render_operator(operator, LABEL, &state, out, flt);
		operator_log_unref(operator);
		return r;
	}
	r = store_state_read_package(value, NULL, &package, &state, flt);
	if (!r)
		r = store_state_render_package(package, LABEL, &state, out, flt);
	package_log_unref(package);
	return r;
}

/* Parse, read and render again. */
static int around(enum kind kind, struct span text, struct buf *out, struct fault *flt)
{
	struct json *value = NULL;
	int r = json_parse(text, &value, flt);

	if (!r)
		r = render(kind, value, out, flt);
	json_free(value);
	return r;
}

static const struct {
	enum kind kind;
	const char *path;
} recorded[] = {{CHECKPOINT, FOLDER "checkpoint"}, {OPERATOR, FOLDER "operator.log"}, {PACKAGE, HELLO},
		{PACKAGE, OTHER}, {PACKAGE, EMPTY}};

static void test_recorded(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(recorded) / sizeof(recorded[0]); i++) {
		struct buf text = data_read(recorded[i].path), again;
		struct fault flt = {0};

		buf_init(&again, 1 << 20);
		assert_int_equal(around(recorded[i].kind, buf_span(&text), &again, &flt), 0);
		assert_true(span_equals(buf_span(&text), buf_span(&again)));
		buf_release(&text);
		buf_release(&again);
	}
}

/* A text with the first `from` in it replaced. The test fails if there is none. */
static struct buf replaced(struct span text, const char *from, const char *to)
{
	const unsigned char *at = memmem(text.data, text.length, from, strlen(from));
	struct fault flt = {0};
	struct buf out;
	size_t before;

	if (!at)
		fail_msg("there is no %s to replace", from);
	buf_init(&out, 1 << 20);
	before = (size_t)(at - text.data);
	assert_int_equal(buf_append(&out, (struct span){text.data, before}, &flt), 0);
	assert_int_equal(buf_append_text(&out, to, &flt), 0);
	before += strlen(from);
	assert_int_equal(buf_append(&out, (struct span){text.data + before, text.length - before}, &flt), 0);
	return out;
}

#define KEY_ID "sha256:d6d9b4cd077a829c0275233bf3843c8294e250dfcc82b8ea15745e92982a820d"

static const struct {
	enum kind kind;
	const char *path, *from, *to;
} lies[] = {
	{CHECKPOINT, FOLDER "checkpoint", "\"logLength\": 12", "\"logLength\": 0"},
	{CHECKPOINT, FOLDER "checkpoint", "\"logLength\": 12", "\"logLength\": -1"},
	{CHECKPOINT, FOLDER "checkpoint", "\"logLength\": 12", "\"logLength\": 2147483648"},
	{CHECKPOINT, FOLDER "checkpoint", "\"logLength\": 12", "\"logLength\": \"12\""},
	{CHECKPOINT, FOLDER "checkpoint", "sha256:7e8f", "sha256:7E8F"},
	{CHECKPOINT, FOLDER "checkpoint", "sha256:7e8f", "sha256:7e8"},
	{CHECKPOINT, FOLDER "checkpoint", "contents", "content"},
	{CHECKPOINT, FOLDER "checkpoint", "signature", "sig"},
	{OPERATOR, FOLDER "operator.log", "sha256:d6d9", "sha256:d6d8"},
	{OPERATOR, FOLDER "operator.log", "\"commit\"", "\"commits\""},
	{OPERATOR, FOLDER "operator.log", "\"commit\"", "\"release\""},
	{OPERATOR, FOLDER "operator.log", "\"defineNamespace\"", "\"commit\""},
	{OPERATOR, FOLDER "operator.log", "\"defined\"", "\"undefined\""},
	{OPERATOR, FOLDER "operator.log", "\"test\"", "\"Test\""},
	{OPERATOR, FOLDER "operator.log", "\"head\"", "\"heads\""},
	{OPERATOR, FOLDER "operator.log", "\"keys\"", "\"other\""},
	{OPERATOR, FOLDER "operator.log", "\"headRegistryIndex\": ", "\"headRegistryIndex\": 99999999999"},
	{PACKAGE, HELLO, "\"test:hello\"", "\"test:Hello\""},
	{PACKAGE, HELLO, "\"test:hello\"", "\"../hello:x\""},
	{PACKAGE, HELLO, "\"algorithm\": \"sha256\"", "\"algorithm\": \"sha512\""},
	{PACKAGE, HELLO, "\"release\",", "\"release\", \"release\","},
	{PACKAGE, HELLO, "\"release\",", "\"commit\","},
	{PACKAGE, HELLO, "\"status\": \"released\"", "\"status\": \"lost\""},
	{PACKAGE, HELLO, "\"version\": \"", "\"version\": \"9"},
	{PACKAGE, HELLO, "\"by\": \"sha256:", "\"by\": \"sha255:"},
	{PACKAGE, HELLO, "\"state\": {", "\"state\": [], \"was\": {"},
};

static void test_lies(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct buf honest = data_read(lies[i].path);
		struct buf text = replaced(buf_span(&honest), lies[i].from, lies[i].to), again;
		struct fault flt = {0};

		buf_init(&again, 1 << 20);
		print_message("%s -> %s\n", lies[i].from, lies[i].to);
		assert_int_equal(around(lies[i].kind, buf_span(&text), &again, &flt), WARG_INVALID);
		assert_int_equal(again.length, 0);
		buf_release(&honest);
		buf_release(&text);
		buf_release(&again);
	}
}

/* A head that is older than a release, or releases out of order, cannot have come about. */
static void test_times_in_order(void **state)
{
	struct buf honest = data_read(HELLO), text, again;
	struct fault flt = {0};
	const char *at = memmem(honest.data, honest.length, "\"timestamp\": \"", 14);
	char from[80];

	(void)state;
	assert_non_null(at);
	/* The first timestamp is the head's. */
	snprintf(from, sizeof(from), "%.*s", (int)strcspn(at + 14, "\"") + 14, at);
	text = replaced(buf_span(&honest), from, "\"timestamp\": \"1.0");
	buf_init(&again, 1 << 20);
	assert_int_equal(around(PACKAGE, buf_span(&text), &again, &flt), WARG_INVALID);
	assert_non_null(strstr(flt.what, "order"));
	buf_release(&honest);
	buf_release(&text);
	buf_release(&again);
}

/* What the reference may leave out. */
static void test_left_out(void **state)
{
	struct json *value = NULL;
	struct package_log *log = NULL;
	struct store_state read;
	struct fault flt = {0};

	(void)state;
	assert_int_equal(json_parse(span_of_text("{\"name\":\"a:b\",\"future\":[1,{}]}"), &value, &flt), 0);
	assert_int_equal(store_state_read_package(value, NULL, &log, &read, &flt), 0);
	assert_string_equal(package_log_name_text(log), "a:b");
	assert_null(package_log_head(log));
	assert_false(read.has_checkpoint || read.position.known);
	assert_string_equal(read.position.token, "");
	package_log_unref(log);
	json_free(value);
}

static void test_token(void **state)
{
	static const struct {
		size_t length;
		bool kept;
	} cases[] = {{1, true}, {CAP_FETCH_TOKEN, true}, {CAP_FETCH_TOKEN + 1, false}};
	char token[CAP_FETCH_TOKEN + 2], text[CAP_FETCH_TOKEN + 100];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct package_log *log = NULL;
		struct json *value = NULL;
		struct store_state read;
		struct fault flt = {0};

		memset(token, 't', cases[i].length);
		token[cases[i].length] = '\0';
		snprintf(text, sizeof(text), "{\"name\":\"a:b\",\"headFetchToken\":\"%s\"}", token);
		assert_int_equal(json_parse(span_of_text(text), &value, &flt), 0);
		assert_int_equal(store_state_read_package(value, NULL, &log, &read, &flt), 0);
		assert_string_equal(read.position.token, cases[i].kept ? token : "");
		package_log_unref(log);
		json_free(value);
	}
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
		int32_t nanos;
	} good[] = {{"0.0", 0, 0}, {"1795524202.3739502", 1795524202, 3739502}, {"1.999999999", 1, 999999999},
		    {"9223372036854775807.1", INT64_MAX, 1}};
	static const char *const bad[] = {"", ".", "1", "1.", ".1", "-1.0", "1.-1", "01.0", "1.01", "1.1000000000",
					  " 1.0", "1.0 ", "9223372036854775808.0", "18446744073709551616.0",
					  "1.0.0", "+1.0"};
	struct record_time time;
	struct fault flt = {0};
	char text[40];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(store_state_parse_time(span_of_text(good[i].text), &time, &flt), 0);
		assert_true(time.seconds == good[i].seconds && time.nanos == good[i].nanos);
		store_state_format_time(time, text);
		assert_string_equal(text, good[i].text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(store_state_parse_time(span_of_text(bad[i]), &time, NULL), WARG_INVALID);
}

struct trip {
	enum kind kind;
	struct json *value;
};

static int go_around(void *context, struct fault *flt)
{
	const struct trip *trip = context;
	struct buf out;
	int r;

	buf_init(&out, 1 << 20);
	r = render(trip->kind, trip->value, &out, flt);
	buf_release(&out);
	return r;
}

static void test_torture(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(recorded) / sizeof(recorded[0]); i++) {
		struct buf text = data_read(recorded[i].path);
		struct trip trip = {.kind = recorded[i].kind};
		struct fault flt = {0};

		assert_int_equal(json_parse(buf_span(&text), &trip.value, &flt), 0);
		torture(go_around, &trip);
		json_free(trip.value);
		buf_release(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_times_in_order),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
