/*
 * What processes that stay have in common: the daemon of a mount, and servers.
 */
#ifndef WARGFS_CMD_DAEMON_H
#define WARGFS_CMD_DAEMON_H

/** Survive those who hang up, and have as many descriptors as this process may. */
void daemon_prepare(void);

#endif
