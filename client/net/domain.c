/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Domains of registries: domain.h.
 */
#include "domain.h"

#include <stdio.h>
#include <string.h>

/* Whether all bytes may be in a host and port. This excludes paths, other URLs and control characters. */
static bool has_host_bytes(struct span text)
{
	for (size_t i = 0; i < text.length; i++) {
		unsigned char byte = text.data[i];

		if (!(byte >= 'a' && byte <= 'z') && !(byte >= 'A' && byte <= 'Z') && !(byte >= '0' && byte <= '9') &&
		    (!byte || !strchr("-._:[]", byte)))
			return false;
	}
	return text.length && text.data[text.length - 1] != ':';
}

static int parse_with(const char *scheme, struct span domain, struct http_url *out, struct fault *flt)
{
	char text[CAP_DOMAIN + sizeof("https://")];
	struct fault own = {0};

	snprintf(text, sizeof(text), "%s%.*s", scheme, (int)domain.length, (const char *)domain.data);
	if (!http_url_parse(text, out, &own))
		return 0;
	return own.kind == FAULT_SYSTEM ? fault_no_memory(flt) : fault_invalid(flt, "%s", own.what);
}

int domain_read(struct span text, char out[static CAP_DOMAIN + 1], struct fault *flt)
{
	struct http_url url;
	struct span normal;
	int r;

	if (text.length > CAP_DOMAIN || !has_host_bytes(text))
		return fault_invalid(flt, "\"%.*s\" is no registry's domain",
				     (int)(text.length < 100 ? text.length : 100), (const char *)text.data);
	r = parse_with("https://", text, &url, flt);
	if (r)
		return r;
	normal = span_of_text(url.text + strlen("https://"));
	normal.length--; /* the slash */
	if (normal.length > CAP_DOMAIN)
		return fault_invalid(flt, "a domain of %zu bytes", normal.length);
	memcpy(out, normal.data, normal.length);
	out[normal.length] = '\0';
	return 0;
}

int domain_url(const char *domain, const struct http_url *home, struct http_url *out, struct fault *flt)
{
	bool is_plain = !strncmp(home->text, "http://", strlen("http://"));
	struct span text = span_of_text(domain);

	/* Plain http parses to loopback only. */
	if (is_plain && !parse_with("http://", text, out, NULL))
		return 0;
	return parse_with("https://", text, out, flt);
}

bool domain_read_hint(const char *hint, struct span namespace, char out[static CAP_DOMAIN + 1])
{
	const char *equals = strchr(hint, '=');
	struct span about;

	if (!equals)
		return false;
	about = (struct span){(const unsigned char *)hint, (size_t)(equals - hint)};
	return span_equals(about, namespace) && !domain_read(span_of_text(equals + 1), out, NULL);
}
