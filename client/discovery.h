/*
 * Which registry a URL stands for (protocol.md section 6), remembered for when nobody can be asked.
 *
 * In `$XDG_STATE_HOME/wargfs/<label of the URL>/`, the file `discovered`: beside what is trusted, and not in the cache,
 * as whoever can change it chooses the registry.
 */
#ifndef WARG_CLIENT_DISCOVERY_H
#define WARG_CLIENT_DISCOVERY_H

#include "http_url.h"

/** Remember that `url` stands for `found`. Failure to write is no fault. */
void discovery_remember(const char *state_dir, const struct http_url *url, const struct http_url *found);

/** What `url` stood for last; `url` itself where nothing is remembered, or what is there is no URL. */
struct http_url discovery_recall(const char *state_dir, const struct http_url *url);

#endif
