/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What processes that stay have in common: the daemon of a mount, and servers.
 */
#ifndef WARGFS_CMD_DAEMON_H
#define WARGFS_CMD_DAEMON_H

/**
 * Prepare a long-running process: ignore SIGPIPE, raise the inherited resource limits as far as allowed, and let malloc
 * return unused memory. Warns on stderr, a line each, of limits that stay lower than a daemon needs (caps.h).
 * @param who  prefix of the lines; NULL: no warnings
 */
void daemon_prepare(const char *who);

#endif
