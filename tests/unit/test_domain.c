/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Domains of registries, their URLs, and hints (domain.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "client/net/domain.h"

static const struct {
	const char *text, *normal; /* NULL: not a domain */
} domains[] = {
	{"warg.example", "warg.example"},
	{"Warg.Example", "warg.example"},
	{"warg.example:8443", "warg.example:8443"},
	{"warg.example:443", "warg.example"},
	{"127.0.0.1:8090", "127.0.0.1:8090"},
	{"[::1]:8090", "[::1]:8090"},
	{"localhost", "localhost"},
	{"a_b.example", "a_b.example"},
	{"", NULL},
	{".", NULL},
	{"..", NULL},
	{"../../x", NULL},
	{"a/../b", NULL},
	{"warg.example/", NULL},
	{"warg.example/path", NULL},
	{"https://warg.example", NULL},
	{"http://warg.example", NULL},
	{"file:", NULL},
	{"user@warg.example", NULL},
	{"user:word@warg.example", NULL},
	{"warg.example?x", NULL},
	{"warg.example#x", NULL},
	{"warg.example:", NULL},
	{"warg.example:x", NULL},
	{"warg.example:99999", NULL},
	{"warg.example:-1", NULL},
	{"warg .example", NULL},
	{" warg.example", NULL},
	{"warg.example\n", NULL},
	{"warg.example\r\nAuthorization: x", NULL},
	{"warg\x1b[2J.example", NULL},
	{"warg\xc3\xa9.example", NULL},
	{"warg%2eexample", NULL},
	{"warg..example", NULL},
	{"\\\\warg.example", NULL},
	{"1.2.3", "1.2.0.3"},
	{"1.2.3.4.5", NULL},
	{"a,b", NULL},
};

static void test_domains(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++) {
		char domain[CAP_DOMAIN + 1] = "untouched";
		struct fault flt = {0};
		int r = domain_read(span_of_text(domains[i].text), domain, &flt);

		if (!domains[i].normal) {
			if (r != WARG_INVALID)
				fail_msg("\"%s\" is taken for \"%s\"", domains[i].text, domain);
			assert_string_equal(domain, "untouched");
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(domain, domains[i].normal);
	}
}

static void test_long_domain(void **state)
{
	char text[CAP_DOMAIN + 2], domain[CAP_DOMAIN + 1];

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(domain_read(span_of_text(text), domain, NULL), WARG_INVALID);
}

/* A NUL does not end the text: the bytes after it are checked too. */
static void test_domain_with_nul(void **state)
{
	char domain[CAP_DOMAIN + 1];

	(void)state;
	assert_int_equal(domain_read((struct span){(const unsigned char *)"a.example\0/..", 13}, domain, NULL),
			 WARG_INVALID);
}

static void test_urls(void **state)
{
	struct http_url plain, secure, url;

	(void)state;
	assert_int_equal(http_url_parse("http://127.0.0.1:1/", &plain, NULL), 0);
	assert_int_equal(http_url_parse("https://warg.example/", &secure, NULL), 0);
	assert_int_equal(domain_url("127.0.0.1:8090", &plain, &url, NULL), 0);
	assert_string_equal(url.text, "http://127.0.0.1:8090/");
	assert_int_equal(domain_url("127.0.0.1:8090", &secure, &url, NULL), 0);
	assert_string_equal(url.text, "https://127.0.0.1:8090/");
	assert_int_equal(domain_url("other.example", &plain, &url, NULL), 0);
	assert_string_equal(url.text, "https://other.example/");
}

static const struct {
	const char *hint, *domain; /* NULL: does not count for `other` */
} hints[] = {
	{"other=warg.example", "warg.example"},
	{"other=127.0.0.1:8090", "127.0.0.1:8090"},
	{"", NULL},
	{"other", NULL},
	{"other=", NULL},
	{"=warg.example", NULL},
	{"another=warg.example", NULL},
	{"othe=warg.example", NULL},
	{"other =warg.example", NULL},
	{"Other=warg.example", NULL},
	{"other=../../x", NULL},
	{"other=http://warg.example", NULL},
	{"other=a=b", NULL},
	{"other=warg.example,other=b.example", NULL},
};

static void test_hints(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		char domain[CAP_DOMAIN + 1] = "untouched";

		if (domain_read_hint(hints[i].hint, span_of_text("other"), domain) != !!hints[i].domain)
			fail_msg("hint \"%s\" is read as \"%s\"", hints[i].hint, domain);
		assert_string_equal(domain, hints[i].domain ? hints[i].domain : "untouched");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_domains), cmocka_unit_test(test_long_domain),
		cmocka_unit_test(test_domain_with_nul), cmocka_unit_test(test_urls), cmocka_unit_test(test_hints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
