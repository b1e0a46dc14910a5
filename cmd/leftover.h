/*
 * What a daemon leaves when it is killed: a mount where every call fails with ENOTCONN, until somebody takes it away.
 */
#ifndef WARGFS_CMD_LEFTOVER_H
#define WARGFS_CMD_LEFTOVER_H

/**
 * Take away the mounts of ours on `folder`, an absolute path, behind which there is no daemon any more. Whatever else
 * is there stays. Before any thread is started.
 */
void leftover_clear(const char *folder);

#endif
