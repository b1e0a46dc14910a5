/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Copies of texts.
 */
#ifndef WARG_CLIENT_TEXT_H
#define WARG_CLIENT_TEXT_H

#include "verify/fault.h"

/**
 * Copy a text.
 * @param text  NULL: there is nothing to copy
 * @param out   free() it; NULL if `text` is, and without memory
 */
int text_copy(const char *text, char **out, struct fault *flt);

#endif
