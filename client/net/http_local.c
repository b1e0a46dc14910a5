/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The one host with a socket (see http_local.h).
 */
#include "http_local.h"

#include <stddef.h>
#include <string.h>

static const char *local_host, *local_path, *local_name;

void http_local_set(const char *host, const char *path, const char *name)
{
	local_host = host;
	local_path = path;
	local_name = name;
}

const char *http_local_name(const char *host)
{
	return local_host && !strcmp(local_host, host) ? local_name : NULL;
}

const char *http_local_find(const char *host)
{
	return local_host && !strcmp(local_host, host) ? local_path : NULL;
}
