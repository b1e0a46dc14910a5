/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Work that Ctrl-C ends with a word on how it stands.
 */
#ifndef WARGFS_CMD_INTERRUPTION_H
#define WARGFS_CMD_INTERRUPTION_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

/** Begun by interruption_begin(), over with interruption_end(). */
struct interruption {
	void (*tell)(void *user);
	void *user;
	bool running;
	pthread_t thread;
	int over; /* eventfd: the work has ended */
	sigset_t before;
};

/**
 * From now on SIGINT has `tell` called, on a thread of its own, and then ends the program, as it does by itself. Does
 * nothing where SIGINT is ignored. All other threads must have been started by thread_start().
 */
void interruption_begin(struct interruption *interruption, void (*tell)(void *user), void *user);

/** The work has ended. */
void interruption_end(struct interruption *interruption);

#endif
