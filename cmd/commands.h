/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The commands, each in the file of its name.
 */
#ifndef WARGFS_CMD_COMMANDS_H
#define WARGFS_CMD_COMMANDS_H

#include "options.h"

extern const struct command clear_command, config_command, download_command, fetch_command, info_command, key_command,
	login_command, logout_command, ls_command, mount_command, publish_command, reset_command, serve_command,
	serve_fsck_command, serve_gc_command, status_command, umount_command, update_command, verify_command;

#endif
