/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Reads /proc about the process that sent a request.
 *
 * The process may have ended, or its entry may not be readable: each function says what it returns then.
 */
#ifndef WARGFS_FS_CALLER_H
#define WARGFS_FS_CALLER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * The process (thread group) of a thread: a program may close in one thread and continue in another.
 * @param thread  the id in the FUSE request
 * @return 0 if the thread has ended
 */
pid_t caller_process(pid_t thread);

/**
 * Whether two threads are of one process; true if unknown.
 * @param one, other  ids in FUSE requests; 0: unknown
 */
bool caller_is_same_process(pid_t one, pid_t other);

/**
 * Whether a process has a file open under a descriptor other than the one that it closes now, e.g. a shell that has
 * moved the file to its standard output. False if unknown: a kernel before 5.14, another user's process.
 * @param number  the file's inode number: unique in a mount; the same number in another mount is a false match
 */
bool caller_has_open(pid_t thread, uint64_t number);

#endif
