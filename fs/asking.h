/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What is said on a mount's socket: whoever connects says one line, and gets the answer to it and then the end.
 */
#ifndef WARGFS_FS_ASKING_H
#define WARGFS_FS_ASKING_H

#include "verify/caps.h"

/** What the mount believes: answered with one JSON object. */
#define ASKING_STATUS "status"
/**
 * With a registry's URL behind it: look for a new checkpoint now, if that is the one that is mounted. The answer is the
 * end of the connection, once programs see through the mount what is new.
 */
#define ASKING_REFRESH "refresh "

/** Room for a line, the newline and the zero. */
#define ASKING_LINE_SIZE (CAP_URL + 32)

/** What an answer may be long: whoever asks takes no more. */
#define ASKING_MOST (64 << 10)

#endif
