/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Keeper and server of a local registry (see local_server.h).
 *
 * The keeper has one thread and forks; the mounts that use the server have many, and cannot. It holds no file of the
 * registry's open, and no lock.
 */
#include "local_server.h"

#include "client/base/clock.h"
#include "client/base/thread.h"
#include "daemon.h"
#include "fs/log.h"
#include "options.h"
#include "process.h"
#include "embedded_registry.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUICK 10000 /* milliseconds: after a second one that ends sooner there is a pause */
#define PAUSE 5     /* seconds */

/* ---- The server ---- */

static void *end_with_the_last(void *argument)
{
	const int *users = argument;

	while (flock(*users, LOCK_EX) && errno == EINTR)
		;
	kill(getpid(), SIGTERM);
	return NULL;
}

/* A server's messages, to stderr, which is the log file. */
struct saying {
	const struct local_place *place;
	pthread_mutex_t mutex; /* for the file */
	struct log *log;
};

/* Append to the log file. @return whether stderr is that file now */
static bool open_log(const struct local_place *place)
{
	int fd = openat(place->dir, LOCAL_LOG, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return false;
	dup2(fd, STDERR_FILENO);
	close(fd);
	return true;
}

/* Call it with the registry open: of several servers that start at once only one can open it. */
static void failed(void *user, const struct fault *flt)
{
	struct saying *saying = user;
	struct stat status;

	pthread_mutex_lock(&saying->mutex);
	if (!fstat(STDERR_FILENO, &status) && status.st_size > CAP_FILE_LOG &&
	    !renameat(saying->place->dir, LOCAL_LOG, saying->place->dir, LOCAL_LOG_BEFORE))
		open_log(saying->place);
	log_fault(saying->log, "", flt);
	pthread_mutex_unlock(&saying->mutex);
}

/* Whether what happened in the folder happened to the socket. */
static bool is_about_socket(int watch)
{
	union {
		struct inotify_event event;
		char bytes[4096];
	} read_in;
	ssize_t length = read(watch, &read_in, sizeof(read_in));
	bool is = false;

	for (ssize_t at = 0; at < length && !is;) {
		const struct inotify_event *event = (const struct inotify_event *)(read_in.bytes + at);

		is = event->len && !strcmp(event->name, LOCAL_SOCKET);
		at += (ssize_t)(sizeof(*event) + event->len);
	}
	return is;
}

/*
 * Wait until the server is told to end, or until its socket is gone: nobody can reach it any more, and nobody else can
 * open the registry. Without a watch only the former.
 * @param ends  blocked in all threads
 */
static void wait_for_end(const struct local_place *place, const sigset_t *ends)
{
	struct pollfd awaited[] = {
		{.fd = signalfd(-1, ends, SFD_CLOEXEC), .events = POLLIN},
		{.fd = inotify_init1(IN_CLOEXEC), .events = POLLIN},
	};
	const uint32_t events = IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
	char folder[64];
	bool is_over = false;
	int number;

	/* The signal is what has to be heard. */
	while (awaited[0].fd < 0 && !is_over)
		is_over = !sigwait(ends, &number);
	snprintf(folder, sizeof(folder), "/proc/self/fd/%d", place->dir);
	if (!is_over && awaited[1].fd >= 0 && inotify_add_watch(awaited[1].fd, folder, events) >= 0)
		is_over = faccessat(place->dir, LOCAL_SOCKET, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
	while (!is_over && (poll(awaited, 2, -1) >= 0 || errno == EINTR))
		is_over = awaited[0].revents || (awaited[1].revents && is_about_socket(awaited[1].fd));
	for (unsigned i = 0; i < 2; i++)
		if (awaited[i].fd >= 0)
			close(awaited[i].fd);
}

/* Open the registry and listen. @param users  kept open by a thread, for as long as this process lives */
static int open_server(struct embedded_registry *server, struct saying *saying, int *users, struct fault *flt)
{
	pthread_t last;

	*users = openat(saying->place->dir, LOCAL_USERS, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (*users < 0)
		return fault_system(flt, errno, "%s", LOCAL_USERS);
	if (log_new("wargfs", &saying->log, flt) || embedded_registry_open(server, flt) ||
	    embedded_registry_listen(server, flt))
		return flt->verdict;
	if (thread_start(&last, end_with_the_last, users))
		return fault_no_memory(flt);
	pthread_detach(last); /* it may wait still when SIGTERM ends this process */
	return 0;
}

/* @param verdict_pipe  on which whoever waits is told how it began: a fault, whose verdict is 0; -1: nobody waits */
static int serve(const struct local_place *place, const struct operator_wish *namespaces, size_t count,
		 int verdict_pipe)
{
	char address[80], data_dir[64];
	struct embedded_registry server = {
		.data_dir = data_dir,
		.namespaces = namespaces,
		.namespace_count = count,
		.usual_namespace = "local",
		.content_limit = CAP_CONTENT,
		.listen = {.socket = -1, .address = address, .is_ours = true},
		.failed = failed,
	};
	struct saying saying = {.place = place, .mutex = PTHREAD_MUTEX_INITIALIZER};
	struct fault flt = {0};
	bool is_heard = true;
	sigset_t ends;
	int users;

	snprintf(address, sizeof(address), "unix:%s", place->socket);
	/* Use the opened folder by descriptor: it may have been moved. */
	snprintf(data_dir, sizeof(data_dir), "/proc/self/fd/%d", place->dir);
	daemon_prepare("wargfs");
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	server.user = &saying;
	open_server(&server, &saying, &users, &flt);
	if (verdict_pipe >= 0) {
		is_heard = write(verdict_pipe, &flt, sizeof(flt)) == sizeof(flt);
		close(verdict_pipe);
	}
	if (flt.verdict && verdict_pipe < 0 && flt.kind != FAULT_EXISTS && saying.log)
		log_fault(saying.log, "", &flt);
	if (!flt.verdict && is_heard)
		wait_for_end(place, &ends);
	/* The next one waits for its lock until this process is no more. */
	embedded_registry_stop(&server);
	log_free(saying.log);
	return flt.verdict || !is_heard ? STATUS_FAILED : STATUS_DONE;
}

/* ---- The keeper ---- */

/* Nothing of whoever starts it is to keep it, or to be kept by it, but for what it says in the log. */
static void detach(const struct local_place *place)
{
	int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	signal(SIGHUP, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	if (nowhere >= 0) {
		dup2(nowhere, 0);
		dup2(nowhere, 1);
		if (!open_log(place))
			dup2(nowhere, 2);
	}
	if (chdir("/"))
		_exit(STATUS_FAILED);
}

static bool is_used(const struct local_place *place)
{
	int users = openat(place->dir, LOCAL_USERS, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	bool is = users >= 0 && flock(users, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;

	if (users >= 0)
		close(users);
	return is;
}

/* @return how the server ended, as waitpid() has it; -1: it could not be started */
static int run_server(const struct local_place *place, const struct operator_wish *namespaces, size_t count,
		      int verdict_pipe)
{
	pid_t child = fork(), ended;
	int status = -1;

	if (child == 0)
		_exit(serve(place, namespaces, count, verdict_pipe));
	if (verdict_pipe >= 0)
		close(verdict_pipe);
	if (child < 0)
		return -1;
	do
		ended = waitpid(child, &status, 0);
	while (ended < 0 && errno == EINTR);
	return ended < 0 ? -1 : status;
}

/*
 * One that cannot begin is not started again: why not is in the log, and whoever joins next tries it and is told. One
 * that is killed again and again is started again after a pause.
 */
static void keep(const struct local_place *place, const struct operator_wish *namespaces, size_t count,
		 int verdict_pipe)
{
	bool is_over = false, was_quick = false;

	detach(place);
	while (!is_over) {
		const clock_ms begun = clock_now();
		const int status = run_server(place, namespaces, count, verdict_pipe);

		verdict_pipe = -1;
		is_over = status < 0 || (WIFEXITED(status) && WEXITSTATUS(status) != STATUS_DONE) || !is_used(place);
		if (!is_over && was_quick)
			sleep(PAUSE);
		was_quick = clock_now() - begun < QUICK;
	}
}

int local_server_start(const struct local_place *place, const struct operator_wish *namespaces, size_t count,
		       struct fault *flt)
{
	struct fault said;
	int ends_of_pipe[2];
	ssize_t got;
	pid_t child;

	if (pipe2(ends_of_pipe, O_CLOEXEC))
		return fault_system(flt, errno, "a pipe cannot be had");
	child = fork();
	if (child == 0) {
		process_close_others((const int[]){ends_of_pipe[1], place->dir}, 2);
		keep(place, namespaces, count, ends_of_pipe[1]);
		_exit(STATUS_DONE);
	}
	close(ends_of_pipe[1]);
	do
		got = child < 0 ? -1 : read(ends_of_pipe[0], &said, sizeof(said));
	while (got < 0 && child > 0 && errno == EINTR);
	close(ends_of_pipe[0]);
	if (child < 0)
		return fault_system(flt, errno, "no process can be had for the server");
	if (got != sizeof(said))
		return fault_undecided(flt, FAULT_REFUSED, "the server of %.100s ended while it began; %s there says "
				       "more", place->folder, LOCAL_LOG);
	if (said.verdict)
		*flt = said;
	return said.verdict;
}
