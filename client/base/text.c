/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Copies of texts: text.h.
 */
#include "text.h"

#include <string.h>

int text_copy(const char *text, char **out, struct fault *flt)
{
	*out = text ? strdup(text) : NULL;
	return text && !*out ? fault_no_memory(flt) : 0;
}
