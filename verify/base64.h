/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Base64 with the standard alphabet and padding (RFC 4648 section 4), strict: padding is required, the bits left over
 * in the last digit are zero, no white space (protocol.md section 1).
 */
#ifndef WARG_VERIFY_BASE64_H
#define WARG_VERIFY_BASE64_H

#include "buf.h"

/**
 * Decode `text` and append the bytes to `out`.
 * @return 0; WARG_INVALID for text that a strict encoder would not have written; WARG_UNDECIDED past `out`'s cap
 */
int base64_decode(struct span text, struct buf *out, struct fault *flt);

/** Encode `bytes` and append the text to `out`. */
int base64_encode(struct span bytes, struct buf *out, struct fault *flt);

#endif
