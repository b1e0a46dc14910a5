/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What a service manager and the services that it starts say to each other: sd_listen_fds(3) and sd_notify(3).
 */
#ifndef WARGFS_CMD_SERVICE_MANAGER_H
#define WARGFS_CMD_SERVICE_MANAGER_H

#include "verify/fault.h"

#include <stdbool.h>

/**
 * The socket that it listens on for us already.
 * @param out  -1: none
 * @return 0; WARG_UNDECIDED with FAULT_MISUSE if there are several, or if it is no stream socket that listens
 */
int service_manager_socket(int *out, struct fault *flt);

/** Whether one wants to be told how things are. Then there is nobody at a terminal to tell. */
bool service_manager_is_there(void);

/** Tell it how things are: "READY=1", "STOPPING=1". Without one that wants to know, nothing. */
void service_manager_tell(const char *state);

#endif
