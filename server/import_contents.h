/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The contents that imported records release, from wherever the origin says that they can be had.
 */
#ifndef WARG_SERVER_IMPORT_CONTENTS_H
#define WARG_SERVER_IMPORT_CONTENTS_H

#include "import.h"

/**
 * Bring what the records that are on their way release, and is not here. Each is what its digest says, or does not
 * come; one that the origin itself has not any more is passed over.
 */
int import_contents(const struct import *import, struct fault *flt);

#endif
