/*
 * The one host with a socket (see http_local.h).
 */
#include "http_local.h"

#include <stddef.h>
#include <string.h>

static const char *local_host, *local_path;

void http_local_set(const char *host, const char *path)
{
	local_host = host;
	local_path = path;
}

const char *http_local_find(const char *host)
{
	return local_host && !strcmp(local_host, host) ? local_path : NULL;
}
