/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Comparing hosts (see host.h).
 */
#include "host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HOST_SIZE 256

/* Copy a host without its port, its brackets and a dot at its end. @return false: it is none */
static bool copy_host(const char *text, size_t length, char out[static HOST_SIZE])
{
	const char *end = memchr(text, *text == '[' ? ']' : ':', length);

	if (*text == '[') {
		if (!end)
			return false;
		text++;
		length = (size_t)(end - text);
	} else if (end) {
		length = (size_t)(end - text);
	}
	if (length && text[length - 1] == '.')
		length--;
	if (!length || length >= HOST_SIZE)
		return false;
	snprintf(out, HOST_SIZE, "%.*s", (int)length, text);
	return true;
}

bool host_is_in_dns(const char *host)
{
	static const char below[] = ".localhost";
	char name[HOST_SIZE];
	struct in6_addr in6;
	struct in_addr in;
	size_t length;

	/* What is no host at all is no name of this machine either. */
	if (!copy_host(host, strlen(host), name))
		return true;
	if (inet_pton(AF_INET, name, &in) == 1 || inet_pton(AF_INET6, name, &in6) == 1)
		return false;
	length = strlen(name);
	return strchr(name, '.') &&
	       (length < strlen(below) || strcasecmp(name + length - strlen(below), below) != 0);
}

bool host_is_of_url(const char *host, const char *url)
{
	const char *there = url ? strstr(url, "://") : NULL;
	char name[HOST_SIZE], expected[HOST_SIZE];

	if (!there || !copy_host(host, strlen(host), name))
		return false;
	there += 3;
	return copy_host(there, strcspn(there, "/"), expected) && !strcasecmp(name, expected);
}
