/*
 * What a service manager and the services that it starts say to each other: sd_listen_fds(3) and sd_notify(3).
 */
#ifndef WARGFS_CMD_SERVICE_MANAGER_H
#define WARGFS_CMD_SERVICE_MANAGER_H

#include "verify/fault.h"

/**
 * The socket that it listens on for us already.
 * @param out  -1: none
 * @return 0; WARG_UNDECIDED with FAULT_MISUSE if there are several
 */
int service_manager_socket(int *out, struct fault *flt);

/** Tell it how things are: "READY=1", "STOPPING=1". Without one that wants to know, nothing. */
void service_manager_tell(const char *state);

#endif
