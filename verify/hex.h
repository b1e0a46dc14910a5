/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Lowercase hexadecimal, strict (protocol.md section 1).
 */
#ifndef WARG_VERIFY_HEX_H
#define WARG_VERIFY_HEX_H

#include "buf.h"

/**
 * Decode exactly `size` bytes from `2 * size` lowercase digits.
 * @return 0; WARG_INVALID for another length, an uppercase digit or any other character
 */
int hex_decode(struct span text, unsigned char *out, size_t size, struct fault *flt);

/** Write `2 * bytes.length` digits and a NUL to `out`. */
void hex_encode(struct span bytes, char *out);

#endif
