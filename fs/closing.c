/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Closing files that are written, and having them on the disk: flush and fsync (see writing.h).
 */
#include "writing_parts.h"

#include "caller.h"
#include "client/base/file.h"
#include "errmap.h"
#include "publishing.h"
#include "operations.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The blocking job that publishes a file as what it is called. */
static int new_chore(struct request *request, const struct path *version, struct blocking_job **out, struct fault *flt)
{
	pid_t thread = fuse_req_ctx(request->fuse)->pid;

	if (version->kind == PATH_RELEASE)
		return publishing_begin_release(request->mount, request->node, version, thread, out, flt);
	return publishing_enlist(request->mount, request->node, version, thread, out, flt);
}

/*
 * Give what is written to be published. The mutex is held.
 * @param out  a reference; NULL: there is nothing to be done
 */
static int give(struct request *request, struct path *version, struct blocking_job **out, struct fault *flt)
{
	struct draft *draft = request->node->draft;
	int verdict = 0;

	*out = NULL;
	if (!draft->is_written || !writing_becomes(&draft->path, version))
		return 0;
	draft->is_written = false;
	if (draft->is_removed)
		verdict = fault_undecided(flt, FAULT_ABSENT, "it was removed while it was written");
	else
		verdict = new_chore(request, version, out, flt);
	if (!verdict) {
		draft->stage = DRAFT_GIVEN;
		draft->blocking_job = *out;
	}
	return verdict;
}

/*
 * Whether a program closes a version's file that it wrote nothing to, such as cp with an empty file of a failed build:
 * it would take success for a publish. Call with the mutex held.
 */
static bool is_closed_empty(const struct request *request, struct path *version)
{
	const struct draft *draft = request->node->draft;
	struct stat status;

	return writing_of(&request->file)->may_write && draft->stage == DRAFT_OPEN && !draft->is_written &&
	       !draft->was_refused && !draft->is_removed && writing_becomes(&draft->path, version) &&
	       fstat(draft->fd, &status) == 0 && !status.st_size;
}

/*
 * A shell closes one of two descriptors before the started program writes: only the last close counts. The empty file
 * is gone when close() fails, unless another program is about to write to it.
 */
static void close_empty(struct request *request, const struct path *version)
{
	struct draft *draft = request->node->draft;
	struct fault flt = {0};

	if (caller_has_open(fuse_req_ctx(request->fuse)->pid, request->node->number)) {
		request_succeed(request);
		return;
	}
	pthread_mutex_lock(&draft->mutex);
	if (draft->writers == 1 && !draft->is_nameless)
		draft_remove_empty(request->mount, draft);
	pthread_mutex_unlock(&draft->mutex);
	if (draft->is_nameless)
		fault_undecided(&flt, FAULT_EXISTS, "this version is released already, and a release never changes");
	else
		fault_undecided(&flt, FAULT_MISUSE, "it has no bytes, and a release is a whole WebAssembly file");
	writing_fail(request, version, &flt);
}

/*
 * Close() comes from whoever has the file open, and a program that a thread starts has for a moment all that the others
 * have open: only who wrote last means that it is done. Others who close hear what came of it, if they have to wait for
 * that: one of them may be who wrote it, by another's hand.
 */
static void close_file(struct request *request)
{
	struct draft *draft = request->node->draft;
	pid_t thread = fuse_req_ctx(request->fuse)->pid;
	struct path version = request->path;
	struct blocking_job *blocking_job = NULL;
	struct fault flt = {0};
	bool is_writer, is_empty;
	int outcome;

	pthread_mutex_lock(&draft->mutex);
	is_writer = caller_is_same_process(thread, draft->writer);
	if (draft->stage == DRAFT_GIVEN && draft->blocking_job) {
		request_join_chore(request, REQUEST_DEED, draft->blocking_job);
		pthread_mutex_unlock(&draft->mutex);
		return;
	}
	if (is_writer && draft->stage == DRAFT_OPEN)
		give(request, &version, &blocking_job, &flt);
	is_empty = is_writer && !flt.verdict && is_closed_empty(request, &version);
	outcome = draft->outcome;
	pthread_mutex_unlock(&draft->mutex);
	if (flt.verdict)
		writing_fail(request, &version, &flt);
	else if (blocking_job)
		request_want_chore(request, REQUEST_DEED, blocking_job);
	else if (outcome)
		request_fail(request, outcome);
	else if (is_empty)
		close_empty(request, &version);
	else
		request_succeed(request);
}

static void attempt_flush(struct request *request)
{
	if (!request_has_wanted(request, REQUEST_DEED))
		close_file(request);
	else if (request->fault.verdict)
		request_fail(request, errmap_errno(&request->fault));
	else
		request_succeed(request);
}

void operations_flush(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file)
{
	const struct request request = { .attempt = attempt_flush, .file = *file };
	const struct mount *mount = fuse_req_userdata(fuse);

	if (writing_of(file))
		request_begin(fuse, number, &request);
	else
		fuse_reply_err(fuse, mount->opens ? 0 : ENOSYS); /* then it is never asked again */
}

/* To the disk, which may take long. */
struct syncing {
	struct blocking_job blocking_job;
	int fd;
};

static int run_sync(struct blocking_job *blocking_job, struct fault *flt)
{
	return file_sync(((struct syncing *)blocking_job)->fd, flt);
}

static void free_sync(struct blocking_job *blocking_job)
{
	close(((struct syncing *)blocking_job)->fd);
	free(blocking_job);
}

static struct blocking_job *new_sync(struct mount *mount, const struct writing *writing)
{
	struct syncing *syncing = calloc(1, sizeof(*syncing));

	if (!syncing)
		return NULL;
	syncing->fd = fcntl(writing->fd, F_DUPFD_CLOEXEC, 0);
	blocking_job_init(&syncing->blocking_job, mount, run_sync, free_sync);
	return &syncing->blocking_job;
}

static void attempt_fsync(struct request *request)
{
	if (!request_has_wanted(request, REQUEST_DEED))
		request_want_chore(request, REQUEST_DEED, new_sync(request->mount, writing_of(&request->file)));
	else if (request->fault.verdict)
		request_fail_with(request, &request->fault);
	else
		request_succeed(request);
}

void operations_fsync(fuse_req_t fuse, fuse_ino_t number, int datasync, struct fuse_file_info *file)
{
	const struct request request = { .attempt = attempt_fsync, .file = *file };

	(void)datasync;
	if (writing_of(file))
		request_begin(fuse, number, &request);
	else
		fuse_reply_err(fuse, 0);
}

/* A folder has nothing that is not on the disk: what is made is made there. */
void operations_fsyncdir(fuse_req_t fuse, fuse_ino_t number, int datasync, struct fuse_file_info *file)
{
	(void)number;
	(void)datasync;
	(void)file;
	fuse_reply_err(fuse, 0);
}
