/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Which releases of a package a person means.
 *
 * A requirement reads as the reference's words have it: what begins with a digit means exactly that, so `1.2` is
 * `=1.2`; all else is in Cargo's grammar.
 */
#ifndef WARG_VERIFY_RELEASE_CHOICE_H
#define WARG_VERIFY_RELEASE_CHOICE_H

#include "package_log.h"

/**
 * Choose the one that is meant: the greatest that satisfies what was asked for.
 * @param asked  a version or a requirement; NULL: any
 * @param out    borrowed from the log
 * @return 0; WARG_UNDECIDED with FAULT_ABSENT if there is none or it was yanked, FAULT_MISUSE if `asked` is neither
 */
int release_choose(const struct package_log *log, const char *asked, const struct package_release **out,
		   struct fault *flt);

/**
 * Choose all that satisfy what was asked for and are not yanked, in the order of the log.
 * @param out    free() it; what it points to is borrowed from the log
 * @param count  above 0
 */
int release_choose_all(const struct package_log *log, const char *asked, const struct package_release ***out,
		       size_t *count, struct fault *flt);

#endif
