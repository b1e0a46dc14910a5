/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Escapes arbitrary bytes for a terminal, a log or JSON. Every file name, argument and text of a peer that is shown
 * goes through here: file names may be any bytes, and a peer's texts are hostile.
 *
 * A character is shown as it is if it is valid UTF-8 (RFC 3629) and nothing that a terminal acts on: no control (ASCII
 * or C1, ISO 6429), no separator of lines, and none of the formatting characters that reorder or hide what is beside
 * them (Unicode TR 36). The bytes of every other one are written \xHH. Nothing else is escaped, so escaping twice gives
 * the same text as once; unescaping is ambiguous.
 */
#ifndef WARG_VERIFY_PRINTABLE_H
#define WARG_VERIFY_PRINTABLE_H

#include "buf.h"

#include <stdbool.h>

/** @return length in bytes of the first character; 0 if it is not to be shown, or the text is empty */
size_t printable_character(struct span text);

/** Whether a text is shown as it is. */
bool printable_is(struct span text);

/** Whether a text is valid UTF-8, which JSON can hold; it may have characters that are not shown. */
bool printable_is_utf8(struct span text);

/**
 * Write a text as it is shown, and a NUL. Truncates between two characters or escapes.
 * @param size  of `out`; at least 1. 4 bytes for each byte of the text plus 1 always suffice
 * @return the length of what was written
 */
size_t printable_write(struct span text, char *out, size_t size);

/** Append a text as it is shown. @return 0; WARG_UNDECIDED at the cap of `out`, or without memory */
int printable_append(struct span text, struct buf *out, struct fault *flt);

#endif
