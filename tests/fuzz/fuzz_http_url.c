/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A registry's URL as typed, and a reference as a registry names it.
 */
#include <stdlib.h>
#include <string.h>

#include "client/net/http_parts.h"
#include "client/net/http_url.h"
#include "fuzz.h"

static void try_parse(const char *text)
{
	struct http_url url, again;

	if (http_url_parse(text, &url, NULL))
		return;
	fuzz_require(url.label[0] && !strchr(url.label, '/') && strcmp(url.label, ".") && strcmp(url.label, ".."));
	fuzz_require(!http_url_parse(url.text, &again, NULL));
	fuzz_require(!strcmp(url.text, again.text) && !strcmp(url.label, again.label));
}

static void try_resolve(const char *base_text, struct span reference)
{
	struct http_origin origin;
	struct http_url base;
	struct buf out;

	buf_init(&out, CAP_URL + 1);
	fuzz_require(!http_url_parse(base_text, &base, NULL));
	if (!http_url_resolve(&base, reference, &out, NULL)) {
		fuzz_require(!buf_append(&out, (struct span){ (const unsigned char *)"", 1 }, NULL));
		fuzz_require(!http_origin_of((const char *)out.data, &origin, NULL));
		fuzz_require(origin.secure || (origin.loopback && !strncmp(base.text, "http:", 5)));
	}
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	try_parse(text);
	try_resolve("https://r.example/a/", (struct span){ data, size });
	try_resolve("http://127.0.0.1:8090/", (struct span){ data, size });
	free(text);
	return 0;
}
