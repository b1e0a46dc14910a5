/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Preparing a process that stays (see daemon.h).
 */
#include "daemon.h"
#include "verify/caps.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>

/* A resource limit: its name, the least value without a warning, and what fails below it. */
static const struct limit {
	__rlimit_resource_t resource;
	bool is_raised;
	rlim_t least;
	const char *what, *fails;
} limits[] = {
	{RLIMIT_FSIZE, true, CAP_CONTENT, "the size of files (ulimit -f)", "what writes a larger one fails with EFBIG"},
	{RLIMIT_CPU, true, RLIM_INFINITY, "processor time (ulimit -t)", "the kernel kills this process then"},
	{RLIMIT_NOFILE, true, LEAST_DESCRIPTORS, "open files (ulimit -n)", "what needs one more fails with EMFILE"},
	{RLIMIT_NPROC, true, LEAST_THREADS, "threads (ulimit -u)", "what needs one more fails with EAGAIN"},
	/* Not raised: a memory limit was set on purpose, and short memory is ENOMEM. */
	{RLIMIT_AS, false, LEAST_MEMORY, "addresses (ulimit -v)", "what needs more fails with ENOMEM"},
	{RLIMIT_DATA, false, LEAST_MEMORY, "memory (ulimit -d)", "what needs more fails with ENOMEM"},
};

static void raise_limit(const struct limit *limit, const char *who)
{
	struct rlimit now;

	if (getrlimit(limit->resource, &now))
		return;
	if (limit->is_raised && now.rlim_cur != now.rlim_max) {
		struct rlimit raised = {now.rlim_max, now.rlim_max};

		if (!setrlimit(limit->resource, &raised))
			now = raised;
	}
	if (who && now.rlim_cur < limit->least)
		fprintf(stderr, "%s: %s is limited to %llu: %s\n", who, limit->what, (unsigned long long)now.rlim_cur,
			limit->fails);
}

/* The default stack size is the inherited RLIMIT_STACK, which may have any value. */
static void set_stacks(void)
{
	pthread_attr_t attributes;
	size_t size = 0;

	if (pthread_attr_init(&attributes))
		return;
	if (!pthread_attr_getstacksize(&attributes, &size) && size < LEAST_STACK &&
	    !pthread_attr_setstacksize(&attributes, LEAST_STACK))
		pthread_setattr_default_np(&attributes);
	pthread_attr_destroy(&attributes);
}

/* Set fixed thresholds: glibc would raise them after large allocations, and then keep the freed memory. */
static void stay_small(void)
{
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_TRIM_THRESHOLD, 256 << 10);
}

void daemon_prepare(const char *who)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXCPU, SIG_IGN);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		raise_limit(&limits[i], who);
	set_stacks();
	stay_small();
}
