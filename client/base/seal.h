/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Sealed texts: files whose content can be neither derived nor fetched again, so that a bit flipped by the disk would
 * go unnoticed. The first line has the kind, the version and the hash of the rest: "wargfs trust 2 sha256:<64 digits>".
 *
 * A seal detects damage, not forgery: a process that can write the file can also seal it.
 */
#ifndef WARG_CLIENT_SEAL_H
#define WARG_CLIENT_SEAL_H

#include "verify/digest.h"

/** Append the first line and the body. @param kind  "wargfs trust 2" */
int seal_put(const char *kind, struct span body, struct buf *out, struct fault *flt);

/**
 * Check the seal and return the body.
 * @param body  borrowed from `text`
 * @return 0; WARG_INVALID if the line has another kind or version, or the hash does not match the body
 */
int seal_open(struct span text, const char *kind, struct span *body, struct fault *flt);

#endif
