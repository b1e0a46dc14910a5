/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The pieces that versions and requirements are written in (SemVer 2.0.0, sections 2, 9 and 10).
 *
 * The first three take what they read off the front of `rest`, and leave `rest` as it was if they return false.
 */
#ifndef WARG_VERIFY_SEMVER_TEXT_H
#define WARG_VERIFY_SEMVER_TEXT_H

#include "buf.h"

/** Take this one character. */
bool semver_text_take(struct span *rest, char c);

/** Take a number without leading zeros that fits 64 bits. */
bool semver_text_take_number(struct span *rest, uint64_t *out);

/** Take identifiers joined by dots, at least one. Numbers among them may begin with zeros only if `zeros` is set. */
bool semver_text_take_identifiers(struct span *rest, bool zeros, struct span *out);

/** Take the next of identifiers that were joined by dots; false when there is none left. */
bool semver_text_next_identifier(struct span *rest, struct span *out);

/** Whether an identifier has nothing but digits. */
bool semver_text_is_number(struct span identifier);

#endif
