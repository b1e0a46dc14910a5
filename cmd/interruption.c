/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Ctrl-C (see interruption.h).
 */
#include "interruption.h"
#include "client/base/thread.h"
#include "progress.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void die(const struct interruption *interruption)
{
	sigset_t set;

	progress_wipe();
	interruption->tell(interruption->user);
	signal(SIGINT, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	raise(SIGINT);
}

static void *run(void *argument)
{
	const struct interruption *interruption = argument;
	struct pollfd watched[2] = {{.events = POLLIN}, {.fd = interruption->over, .events = POLLIN}};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	watched[0].fd = signalfd(-1, &set, SFD_CLOEXEC);
	while (poll(watched, 2, -1) < 0 && errno == EINTR)
		;
	/* Work that has ended has its own words. */
	if (watched[0].revents & POLLIN && !watched[1].revents)
		die(interruption);
	if (watched[0].fd >= 0)
		close(watched[0].fd);
	return NULL;
}

void interruption_begin(struct interruption *interruption, void (*tell)(void *user), void *user)
{
	struct sigaction action;
	sigset_t set;

	*interruption = (struct interruption){.tell = tell, .user = user, .over = eventfd(0, EFD_CLOEXEC)};
	if (interruption->over < 0 || sigaction(SIGINT, NULL, &action) || action.sa_handler == SIG_IGN)
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, &interruption->before);
	interruption->running = !thread_start(&interruption->thread, run, interruption);
	if (!interruption->running)
		pthread_sigmask(SIG_SETMASK, &interruption->before, NULL);
}

void interruption_end(struct interruption *interruption)
{
	const uint64_t one = 1;

	if (interruption->running) {
		while (write(interruption->over, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		pthread_join(interruption->thread, NULL);
		pthread_sigmask(SIG_SETMASK, &interruption->before, NULL);
	}
	if (interruption->over >= 0)
		close(interruption->over);
	interruption->running = false;
}
