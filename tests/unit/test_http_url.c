/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * client/net/http_url.c: normal forms and labels, as the reference's, and what a registry may name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "client/net/http_parts.h"
#include "client/net/http_url.h"

static const struct parse_case {
	const char *text, *url, *label; /* NULL: refused */
} cases[] = {
	{ "registry.example", "https://registry.example/", "registry.example" },
	{ "localhost:8090", "https://localhost:8090/", "localhost-8090" },
	{ "http://localhost:8090", "http://localhost:8090/", "localhost-8090" },
	{ "HTTP://LocalHost:80/", "http://localhost/", "localhost" },
	{ "https://EXAMPLE.com:443", "https://example.com/", "example.com" },
	{ "https://example.com:80", "https://example.com:80/", "example.com-80" },
	{ "http://127.0.0.1:8090/", "http://127.0.0.1:8090/", "127.0.0.1-8090" },
	{ "http://127.1", "http://127.0.0.1/", "127.0.0.1" },
	{ "http://127.9.9.9", "http://127.9.9.9/", "127.9.9.9" },
	{ "http://[::1]:8090", "http://[::1]:8090/", "ipv6_..1-8090" },
	{ "https://[2001:DB8:0:0:1:0:0:1]", "https://[2001:db8::1:0:0:1]/", "ipv6_2001.db8..1.0.0.1" },
	{ "https://[1:0:2:3:4:5:6:7]", "https://[1:0:2:3:4:5:6:7]/", "ipv6_1.0.2.3.4.5.6.7" },
	{ "https://[::]", "https://[::]/", "ipv6_.." },
	{ "https://[1::]", "https://[1::]/", "ipv6_1.." },
	{ "https://example.com/a/b", "https://example.com/a/b/", "example.com_a_b" },
	{ "https://example.com//a//", "https://example.com/a/", "example.com_a" },
	{ "https://example.com///", "https://example.com/", "example.com" },
	{ "https://example.com/a/../b/./c", "https://example.com/b/c/", "example.com_b_c" },
	{ "https://example.com/a_b.c*d%20e", "https://example.com/a_b.c*d%20e/", "example.com_a.5Fb.2Ec.2Ad.20e" },
	{ "https://example.com/\xc3\xa9", "https://example.com/%C3%A9/", "example.com_.C3.A9" },
	{ "https://ex\xc3\xa4mple.com", "https://xn--exmple-cua.com/", "xn--exmple-cua.com" },
	{ "", NULL, NULL },
	{ "http://example.com", NULL, NULL },
	{ "http://localhost.example", NULL, NULL },
	{ "http://localhostx", NULL, NULL },
	{ "http://127.0.0.1.example", NULL, NULL },
	{ "http://128.0.0.1", NULL, NULL },
	{ "http://[::2]", NULL, NULL },
	{ "http://[::ffff:127.0.0.1]", NULL, NULL },
	{ "ftp://example.com", NULL, NULL },
	{ "file:///etc", NULL, NULL },
	{ "https://", NULL, NULL },
	{ "https://..", NULL, NULL },
	{ "https://.", NULL, NULL },
	{ "https://a..b", NULL, NULL },
	{ "https://1.2.3.4.5", NULL, NULL },
	{ "https://a.0x7f", NULL, NULL },
	{ "https://user@example.com", NULL, NULL },
	{ "https://user:word@example.com", NULL, NULL },
	{ "https://example.com/?q", NULL, NULL },
	{ "https://example.com/#f", NULL, NULL },
	{ "https://example.com/a b", NULL, NULL },
	{ "https://example.com\\@evil.example/", NULL, NULL },
	{ "https://example.com/%2e%2E/a", NULL, NULL },
	{ "https://example.com/.%2e", NULL, NULL },
	{ "example.com/%2E/", NULL, NULL },
	{ "https://example.com:99999/", NULL, NULL },
	{ "https://example.com:a/", NULL, NULL },
	{ "https://exam\x01ple.com", NULL, NULL },
	/* In punycode they are ASCII: a semicolon, an exclamation mark, a slash. */
	{ "https://example.com\xcd\xbe/", NULL, NULL },
	{ "https://example.com\xef\xbc\x81/", NULL, NULL },
	{ "https://example.com\xef\xbc\x8f/", NULL, NULL },
	{ "https://a/../..", "https://a/", "a" },
};

static void test_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct parse_case *c = &cases[i];
		struct fault flt = {0};
		struct http_url url;
		int r = http_url_parse(c->text, &url, &flt);

		print_message("  %s\n", c->text);
		assert_int_equal(r, c->url ? 0 : WARG_UNDECIDED);
		if (!c->url) {
			assert_int_equal(flt.kind, FAULT_MISUSE);
			continue;
		}
		assert_string_equal(url.text, c->url);
		assert_string_equal(url.label, c->label);
		/* The normal form is one. */
		assert_int_equal(http_url_parse(c->url, &url, &flt), 0);
		assert_string_equal(url.text, c->url);
	}
}

static void test_long(void **state)
{
	char text[CAP_URL + 20];
	struct http_url url;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "https://b/", 10);
	for (size_t length = CAP_URL - 10; length < sizeof(text); length++) {
		text[length] = '\0';
		if (!http_url_parse(text, &url, NULL))
			assert_true(strlen(url.text) <= CAP_URL && strlen(url.label) <= CAP_URL);
		else
			assert_true(length >= CAP_URL);
		text[length] = 'a';
	}
	/* A label grows threefold. */
	memset(text + 10, '_', CAP_URL - 20);
	text[CAP_URL - 10] = '\0';
	assert_int_equal(http_url_parse(text, &url, NULL), WARG_UNDECIDED);
}

static const struct resolve_case {
	const char *base, *reference, *url; /* NULL: refused */
} references[] = {
	{ "https://r.example/a/", "v1/x", "https://r.example/a/v1/x" },
	{ "https://r.example/a/", "/v1/x?y=z", "https://r.example/v1/x?y=z" },
	{ "https://r.example/", "https://cdn.example/c/sha256-00", "https://cdn.example/c/sha256-00" },
	{ "https://r.example/", "HTTPS://cdn.example/#part", "https://cdn.example/" },
	{ "http://127.0.0.1:80/", "http://localhost:1/x", "http://localhost:1/x" },
	{ "http://127.0.0.1/", "https://cdn.example/", "https://cdn.example/" },
	{ "https://r.example/", "http://cdn.example/", NULL },
	{ "https://r.example/", "http://127.0.0.1:1/x", NULL },
	{ "http://127.0.0.1/", "http://10.0.0.1/", NULL },
	{ "http://127.0.0.1/", "//10.0.0.1/x", NULL },
	{ "https://r.example/", "https://u:p@cdn.example/", NULL },
	{ "https://r.example/", "ftp://cdn.example/", NULL },
	{ "https://r.example/", "file:///etc/passwd", NULL },
	{ "https://r.example/", "javascript:x", NULL },
	{ "https://r.example/", "https:x", NULL },
	{ "https://r.example/", "", NULL },
	{ "https://r.example/", "a b", NULL },
	{ "https://r.example/", "a\r\nb", NULL },
	{ "https://r.example/", "https://cdn.example\\@evil.example/", NULL },
	{ "https://r.example/", "https:///x", "https://x/" }, /* as browsers read it */
};

static void test_resolve(void **state)
{
	struct http_url base;

	(void)state;
	for (size_t i = 0; i < sizeof(references) / sizeof(references[0]); i++) {
		const struct resolve_case *c = &references[i];
		struct fault flt = {0};
		struct buf out;
		int r;

		print_message("  %s\n", c->reference);
		buf_init(&out, CAP_URL);
		assert_int_equal(http_url_parse(c->base, &base, NULL), 0);
		r = http_url_resolve(&base, span_of_text(c->reference), &out, &flt);
		assert_int_equal(r, c->url ? 0 : WARG_INVALID);
		if (c->url)
			assert_true(span_is(buf_span(&out), c->url));
		else
			assert_int_equal(out.length, 0);
		buf_release(&out);
	}
}

/* Neither the shown text nor the fault of a refused URL has a part that may be a secret. */
static void test_secrets(void **state)
{
	static const struct {
		const char *url, *shown;
	} rows[] = {
		{ "https://r.example/a/b", "https://r.example/a/b" },
		{ "https://r.example/a?s3cret", "https://r.example/a" },
		{ "https://r.example/a#s3cret", "https://r.example/a" },
		{ "https://r.example?a=1&b=s3cret#s3cret", "https://r.example" },
		{ "https://u:s3cret@r.example/a", "https://...@r.example/a" },
		{ "https://s3cret@r.example", "https://...@r.example" },
		{ "https://u:s3cret/s3cret?s3cret#s3cret@r.example/a?s3cret", "https://...@r.example/a" },
		{ "u:s3cret@r.example", "...@r.example" },
		{ "//u:s3cret@r.example/", "...@r.example/" },
		{ "/v1/x?s3cret", "/v1/x" },
		{ "https://r.example/\x1b[2J", "https://r.example/\\x1b[2J" },
		{ "", "" },
	};
	char shown[HTTP_URL_SHOWN_SIZE], url[1000];
	struct http_url parsed, base;
	struct buf out;

	(void)state;
	assert_int_equal(http_url_parse("https://other.example", &base, NULL), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fault flt[3] = {0};

		http_url_show(span_of_text(rows[i].url), shown);
		assert_string_equal(shown, rows[i].shown);
		buf_init(&out, CAP_URL);
		http_url_parse(rows[i].url, &parsed, &flt[0]);
		http_url_resolve(&base, span_of_text(rows[i].url), &out, &flt[1]);
		http_url_check_origin(&base, rows[i].url, &flt[2]);
		for (int j = 0; j < 3; j++)
			assert_null(strstr(flt[j].where, "s3cret") ? "" : strstr(flt[j].what, "s3cret"));
		buf_release(&out);
	}
	for (size_t length = 0; length < sizeof(url); length++) {
		memset(url, 'a', length);
		url[length] = '\0';
		http_url_show(span_of_text(url), shown);
		assert_true(strlen(shown) < sizeof(shown));
	}
}


static void test_nul(void **state)
{
	struct http_url base;
	struct buf out;

	(void)state;
	buf_init(&out, CAP_URL);
	assert_int_equal(http_url_parse("r.example", &base, NULL), 0);
	assert_int_equal(http_url_resolve(&base, (struct span){ (const unsigned char *)"a\0b", 3 }, &out, NULL),
			WARG_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_resolve),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
