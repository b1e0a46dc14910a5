/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The negotiation with the kernel (see fuse_init.h).
 *
 * Some releases of libfuse know FUSE_CAP_PARALLEL_DIROPS but do not pass it on. Without it the kernel has one lookup
 * at a time in each folder, and lets nobody be killed who waits for his turn. So the very first answer, which is the
 * one to FUSE_INIT, passes through here.
 */
#include "fuse_init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * What fills the kernel's cache it asks for in the background, and holds up everybody's while so many are under way.
 * Ours may be waiting for the network: those of a few hundred readers must leave room for what lies here. The usual
 * bound is 12.
 */
#define MOST_IN_BACKGROUND 1024

/*
 * Splicing hands pages of the cache file to the kernel without copying them here. Past each read() that would go by
 * attributes that do not hold any more it asks for them first (see reading.c): libfuse wants that by itself.
 */
void fuse_init_choose(void *user, struct fuse_conn_info *connection)
{
	struct mount *mount = user;

	connection->want |=
		connection->capable & (FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE | FUSE_CAP_PARALLEL_DIROPS);
	/* What is written is copied once less, but all other requests take longer. */
	connection->want &= ~(unsigned)FUSE_CAP_SPLICE_READ;
	connection->max_background = MOST_IN_BACKGROUND;
	mount->opens = mount->options.writable || !(connection->capable & FUSE_CAP_NO_OPEN_SUPPORT);
	mount->can_be_parallel = connection->capable & FUSE_CAP_PARALLEL_DIROPS;
}

/* Answers are a header and what follows. All have these lengths as they are; only the first one is changed. */
static ssize_t write_answer(int fd, struct iovec *pieces, int count, void *user)
{
	struct mount *mount = user;

	if (!atomic_exchange(&mount->negotiated, true) && mount->can_be_parallel && count == 2 &&
	    pieces[1].iov_len >= sizeof(struct fuse_init_out)) {
		struct fuse_init_out *answer = pieces[1].iov_base;

		answer->flags |= FUSE_PARALLEL_DIROPS;
	}
	return writev(fd, pieces, count);
}

static ssize_t read_request(int fd, void *bytes, size_t size, void *user)
{
	(void)user;
	return read(fd, bytes, size);
}

static ssize_t move(int from, off_t *from_offset, int to, off_t *to_offset, size_t size, unsigned flags, void *user)
{
	(void)user;
	return splice(from, from_offset, to, to_offset, size, flags);
}

int fuse_init_complete(struct fuse_session *session, struct fault *flt)
{
	const struct fuse_custom_io io = {
		.writev = write_answer,
		.read = read_request,
		.splice_receive = move,
		.splice_send = move,
	};

	if (fuse_session_custom_io(session, &io, fuse_session_fd(session)))
		return fault_system(flt, ENOMEM, "answers cannot be completed");
	return 0;
}
