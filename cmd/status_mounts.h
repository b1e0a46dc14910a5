/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The status of mounts by their own files, for those whose socket is gone: a runtime folder is emptied when a session
 * ends, and mounts stay.
 */
#ifndef WARGFS_CMD_STATUS_MOUNTS_H
#define WARGFS_CMD_STATUS_MOUNTS_H

#include "client/base/json.h"

/**
 * Read `.warg/status` of a mount, by another process: a daemon that hangs makes nobody wait longer than `seconds`.
 * @param folder  the mountpoint, absolute
 * @param out     json_free() it
 * @return 0; WARG_UNDECIDED if it does not answer in time; WARG_INVALID if its answer is none
 */
int status_mounts_read(const char *folder, unsigned seconds, struct json **out, struct fault *flt);

#endif
