/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The program's certificates and proxy (see http_network.h).
 */
#include "http_network.h"

#include <curl/curl.h>
#include <strings.h>

#include "http_url.h"

static struct http_network chosen;

void http_network_set(const struct http_network *network)
{
	chosen = *network;
}

const struct http_network *http_network_get(void)
{
	return &chosen;
}

static bool is_set(CURLU *url, CURLUPart part, unsigned flags)
{
	char *text = NULL;
	CURLUcode code = curl_url_get(url, part, &text, flags);

	curl_free(text);
	/* What is left out is in order. */
	return !code || code == CURLUE_NO_USER || code == CURLUE_NO_PASSWORD;
}

static bool has_scheme(CURLU *url)
{
	static const char *const schemes[] = {"http", "https", "socks", "socks4", "socks4a", "socks5", "socks5h"};
	const bool has_https = curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_HTTPS_PROXY;
	char *scheme = NULL;
	bool has = false;

	if (!curl_url_get(url, CURLUPART_SCHEME, &scheme, 0))
		for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
			has |= !strcasecmp(scheme, schemes[i]) && (has_https || strcasecmp(scheme, "https"));
	curl_free(scheme);
	return has;
}

/* Read as curl reads it. */
static bool is_usable(CURLU *url, const char *proxy)
{
	return !curl_url_set(url, CURLUPART_URL, proxy, CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME) &&
	       has_scheme(url) && is_set(url, CURLUPART_HOST, 0) && is_set(url, CURLUPART_USER, CURLU_URLDECODE) &&
	       is_set(url, CURLUPART_PASSWORD, CURLU_URLDECODE);
}

int http_network_proxy(const char **out, struct fault *flt)
{
	char shown[HTTP_URL_SHOWN_SIZE];
	CURLU *url;
	bool usable;

	*out = chosen.proxy;
	if (!chosen.proxy)
		return 0;
	url = curl_url();
	if (!url)
		return fault_no_memory(flt);
	usable = is_usable(url, chosen.proxy);
	curl_url_cleanup(url);
	if (usable)
		return 0;
	http_url_show(span_of_text(chosen.proxy), shown);
	fault_undecided(flt, FAULT_UNREACHABLE, "the proxy's URL, %.150s, cannot be used", shown);
	fault_blame(flt, FAULT_BY_USER);
	return WARG_UNDECIDED;
}
