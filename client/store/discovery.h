/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Which registry a URL leads to (protocol.md section 6): pinned when the URL is first used, and used offline.
 *
 * Trust is stored by the label of the URL that discovery led to. Without a pin, a server that takes over the typed URL
 * for a day could redirect to a new registry, for which any operator key is accepted. So a URL keeps leading to the
 * first registry until 'wargfs reset'.
 *
 * Stored in `$XDG_STATE_HOME/wargfs/<label of the URL>/discovered`: with the trust, not in the cache.
 */
#ifndef WARG_CLIENT_DISCOVERY_H
#define WARG_CLIENT_DISCOVERY_H

#include "client/net/http_url.h"

/**
 * Check that discovery at `url` led to the pinned registry. A URL without a pin that has a trust anchor of its own is
 * pinned to itself.
 * @return 0, also if nothing is pinned; WARG_INVALID, blamed on the registry, if `found` differs from the pin;
 *         WARG_INVALID, blamed on this machine's files, if the file is damaged: damage never counts as a missing pin
 */
int discovery_check(const char *state_dir, const struct http_url *url, const struct http_url *found, struct fault *flt);

/**
 * The same, and write the pin if there is none. Call it only after the registry at `found` was verified: a pin to a
 * refused registry would block the right one. Failure to write is no fault.
 */
int discovery_pin(const char *state_dir, const struct http_url *url, const struct http_url *found, struct fault *flt);

/**
 * The registry that `url` is pinned to; `url` itself if there is no pin.
 * @return 0; faults of the file as discovery_check()
 */
int discovery_recall(const char *state_dir, const struct http_url *url, struct http_url *out, struct fault *flt);

/** Remove the pin of the URL with this label: the next discovery pins anew. No-op if there is no pin. */
int discovery_forget(const char *state_dir, const char *label, struct fault *flt);

#endif
