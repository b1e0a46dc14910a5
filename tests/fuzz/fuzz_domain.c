/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A registry's domain and hint, as the network, an operator or a file names it: what is taken for a domain is a host
 * and a port, cannot lead out of a folder or a header, and is what it was when it is read again.
 */
#include <stdlib.h>
#include <string.h>

#include "client/net/domain.h"
#include "fuzz.h"

static void require_domain(const char *domain)
{
	char again[CAP_DOMAIN + 1];
	struct http_url home, url;

	fuzz_require(domain[0] && strlen(domain) <= CAP_DOMAIN && strcmp(domain, ".") && strcmp(domain, ".."));
	for (const char *c = domain; *c; c++)
		fuzz_require(*c > ' ' && *c < 0x7f && !strchr("/\\?#@%", *c));
	fuzz_require(!domain_read(span_of_text(domain), again, NULL) && !strcmp(domain, again));
	fuzz_require(!http_url_parse("https://r.example/", &home, NULL));
	fuzz_require(!domain_url(domain, &home, &url, NULL) && !strncmp(url.text, "https://", 8));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char domain[CAP_DOMAIN + 1], *text = malloc(size + 1);
	struct fault flt = { 0 };
	int r;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	r = domain_read((struct span){ data, size }, domain, &flt);
	fuzz_require_verdict(r, &flt);
	if (!r)
		require_domain(domain);
	if (domain_read_hint(text, span_of_text("ns"), domain)) {
		fuzz_require(!strncmp(text, "ns=", 3));
		require_domain(domain);
	}
	free(text);
	return 0;
}
