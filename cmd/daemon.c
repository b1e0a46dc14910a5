/*
 * Preparing a process that stays (see daemon.h).
 */
#include "daemon.h"

#include <signal.h>
#include <sys/resource.h>

void daemon_prepare(void)
{
	struct rlimit files;

	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}
