/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The request loop (see request_loop.h).
 *
 * The descriptor does not block. A thread that finds it empty sleeps in an epoll of its own, where EPOLLEXCLUSIVE has
 * one of them woken for one request.
 */
#include "request_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/base/thread.h"

#define THREADS 4
#define STACK_SIZE (512 << 10)

struct loop {
	struct fuse_session *session;
	int end, stop; /* eventfds: for the mount, and for the workers */
	unsigned count;
	struct worker {
		struct loop *loop;
		pthread_t thread;
		int epoll;
	} workers[THREADS];
};

static int open_epoll(const struct loop *loop)
{
	struct epoll_event requests = {.events = EPOLLIN | EPOLLEXCLUSIVE};
	struct epoll_event stop = {.events = EPOLLIN};
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		return -1;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fuse_session_fd(loop->session), &requests) ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, loop->stop, &stop)) {
		close(epoll);
		return -1;
	}
	return epoll;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct loop *loop = worker->loop;
	struct fuse_buf request = {0};

	while (!fuse_session_exited(loop->session)) {
		int got = fuse_session_receive_buf(loop->session, &request);
		struct epoll_event event;

		if (got > 0)
			fuse_session_process_buf(loop->session, &request);
		else if (got == -EAGAIN)
			epoll_wait(worker->epoll, &event, 1, -1);
		else if (got != -EINTR)
			break;
	}
	free(request.mem);
	eventfd_write(loop->stop, 1);
	eventfd_write(loop->end, 1);
	return NULL;
}

static int start_worker(struct loop *loop)
{
	struct worker *worker = &loop->workers[loop->count];
	int error;

	worker->loop = loop;
	worker->epoll = open_epoll(loop);
	if (worker->epoll < 0)
		return errno;
	error = thread_start_small(&worker->thread, STACK_SIZE, work, worker);
	if (error)
		close(worker->epoll);
	else
		loop->count++;
	return error;
}

int request_loop_start(struct fuse_session *session, int end, struct loop **out, struct fault *flt)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int fd = fuse_session_fd(session), error;

	if (!loop)
		return fault_no_memory(flt);
	loop->session = session;
	loop->end = end;
	loop->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = loop->stop < 0 ? errno : 0;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	while (!error && loop->count < THREADS)
		error = start_worker(loop);
	if (error) {
		request_loop_join(loop);
		return fault_system(flt, error, "the threads of the mount cannot be started");
	}
	*out = loop;
	return 0;
}

void request_loop_join(struct loop *loop)
{
	if (!loop)
		return;
	fuse_session_exit(loop->session);
	eventfd_write(loop->stop, 1);
	for (unsigned i = 0; i < loop->count; i++) {
		pthread_join(loop->workers[i].thread, NULL);
		close(loop->workers[i].epoll);
	}
	if (loop->stop >= 0)
		close(loop->stop);
	free(loop);
}
