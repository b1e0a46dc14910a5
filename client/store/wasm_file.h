/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Whether a file is a whole Wasm binary (see verify/wasm.h), by reading no more of it than that takes.
 */
#ifndef WARG_CLIENT_WASM_FILE_H
#define WARG_CLIENT_WASM_FILE_H

#include "verify/wasm.h"

/**
 * Check a regular file from its beginning to its end, whatever its position is, which is left as it is. What is inside
 * sections is passed over, so that large files take no longer than small ones.
 *
 * @return 0; WARG_INVALID if it is no Wasm binary, or was not written to its end; the user is blamed. WARG_UNDECIDED:
 *         FAULT_LIMIT past CAP_CONTENT, or on I/O
 */
int wasm_file_check(int fd, struct fault *flt);

#endif
