/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Secrets that a person types, or a program pipes in: never on a command line, where everybody could read them.
 */
#ifndef WARGFS_CMD_SECRET_H
#define WARGFS_CMD_SECRET_H

#include "verify/buf.h"

/**
 * Read one line from the standard input. On a terminal it is asked for, and not shown; a signal that comes meanwhile is
 * taken once the terminal is as it was.
 *
 * @param prompt  what is asked for, without a colon
 * @param out     what was typed is appended, without the newline and white space around it; buf_wipe() it
 * @return 0; WARG_UNDECIDED past the cap of `out`, or on I/O; FAULT_CANCELLED at the end of input
 */
int secret_read(const char *prompt, struct buf *out, struct fault *flt);

#endif
