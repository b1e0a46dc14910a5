/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Open files that are written (see writing.h): create, open, write, release.
 *
 * Bytes go straight to a file on the disk, which takes its time from nobody else: the kernel sends them as they are
 * written.
 */
#include "writing_parts.h"

#include "caller.h"
#include "client/base/file.h"
#include "errmap.h"
#include "operations.h"
#include "publishing.h"
#include "misnamed.h"
#include "publish_check.h"
#include "repeat.h"
#include "draft.h"
#include "transaction.h"
#include "verify/semver.h"
#include "verify/wasm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct writing *writing_of(const struct fuse_file_info *file)
{
	return (struct writing *)(uintptr_t)file->fh;
}

static bool is_for_writing(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

void writing_fail(struct request *request, const struct path *path, const struct fault *flt)
{
	int errnum = errmap_errno(flt);

	publishing_tell(request->mount, path, flt);
	request_fail(request, errnum);
}

static void fail_for(struct request *request, enum fault_kind kind, const char *what)
{
	struct fault flt = {0};

	fault_undecided(&flt, kind, "%s", what);
	writing_fail(request, &request->path, &flt);
}

/* ---- Handles ---- */

bool writing_becomes(const struct path *draft, struct path *out)
{
	struct path folder = path_parent(draft);

	return path_child(&folder, path_name(draft), out) && (out->kind == PATH_RELEASE || out->kind == PATH_ENTRY);
}

/* The mutex is held. */
static void note_writer(struct draft *draft, pid_t thread)
{
	draft->writers++;
	draft->was_refused = false;
	if (!draft->is_written)
		draft->writer = thread;
}

/* Who wrote nothing to what was to become a release leaves nothing behind. */
static void end_writer(struct mount *mount, struct draft *draft)
{
	struct path version;

	pthread_mutex_lock(&draft->mutex);
	draft->writers--;
	if (!draft->writers)
		draft->outcome = 0;
	if (!draft->writers && writing_becomes(&draft->path, &version))
		draft_remove_empty(mount, draft);
	pthread_mutex_unlock(&draft->mutex);
}

static void unref(struct mount *mount, struct writing *writing)
{
	if (atomic_fetch_sub_explicit(&writing->references, 1, memory_order_acq_rel) > 1)
		return;
	close(writing->fd);
	nodes_unref(mount->nodes, writing->node);
	free(writing);
}

static void end_writing(struct mount *mount, struct writing *writing)
{
	handle_close(mount, &writing->handle);
	if (writing->may_write)
		end_writer(mount, writing->node->draft);
	unref(mount, writing);
}

/* Takes over the descriptor, and if it may write, the place among the writers. A reference to the node is taken. */
static struct writing *begin_writing(struct mount *mount, struct node *node, int fd, bool may_write)
{
	struct writing *writing = malloc(sizeof(*writing));

	if (writing) {
		nodes_ref(mount->nodes, node);
		*writing = (struct writing){ .node = node, .fd = fd, .may_write = may_write, .references = 1 };
		return writing;
	}
	close(fd);
	if (may_write)
		end_writer(mount, node->draft);
	return NULL;
}

static void end_left(struct mount *mount, struct handle *handle)
{
	end_writing(mount, (struct writing *)(void *)handle);
}

/* What a handle is to the kernel. Who cannot write has nothing to flush. */
static void hand_over(struct mount *mount, struct fuse_file_info *file, struct writing *writing)
{
	handle_open(mount, &writing->handle, end_left);
	file->fh = (uintptr_t)writing;
	file->noflush = !writing->may_write;
	file->keep_cache = 0;
}

static void reply_open(struct request *request, struct node *node, int fd, bool may_write)
{
	struct mount *mount = request->mount;
	struct writing *writing = begin_writing(mount, node, fd, may_write);

	if (!writing) {
		request_fail(request, ENOMEM);
		return;
	}
	hand_over(mount, &request->file, writing);
	request_settle(request);
	if (fuse_reply_open(request->fuse, &request->file) < 0)
		end_writing(mount, writing);
	request_free(request);
}

void writing_reply_open(struct request *request, int fd)
{
	reply_open(request, request->node, fd, false);
}

static void reply_created(struct request *request, struct node *node, int fd)
{
	struct mount *mount = request->mount;
	struct writing *writing = begin_writing(mount, node, fd, true);
	struct view *view = registry_view(request->registry);
	struct fuse_entry_param entry = { .ino = node->number };

	entry.attr_timeout = mount_attributes(mount, view, node, &entry.attr);
	view_unref(view);
	if (!writing) {
		request_fail(request, ENOMEM);
		return;
	}
	hand_over(mount, &request->file, writing);
	nodes_look_up(mount->nodes, node);
	request_settle(request);
	if (fuse_reply_create(request->fuse, &entry, &request->file) < 0) {
		nodes_forget(mount->nodes, node->number, 1);
		end_writing(mount, writing);
	}
	request_free(request);
}

/* ---- Opening ---- */

/*
 * Open a file for one more writer; a version's file has one at a time. O_TRUNC truncates under the mutex: a rename that
 * publishes the file comes either before, and the writer is refused, or after, and finds the file empty.
 */
static int add_writer(struct node *node, int flags, pid_t thread, int *fd, struct fault *flt)
{
	struct draft *draft = node->draft;
	struct path version;
	int verdict;

	pthread_mutex_lock(&draft->mutex);
	if (draft->is_removed)
		verdict = fault_undecided(flt, FAULT_ABSENT, "it was removed");
	else if (draft->stage != DRAFT_OPEN || (draft->writers && writing_becomes(&draft->path, &version)))
		verdict = fault_undecided(flt, FAULT_EXISTS, "it is being written or published already");
	else
		verdict = draft_open(node, flags, fd, flt);
	if (!verdict)
		note_writer(draft, thread);
	pthread_mutex_unlock(&draft->mutex);
	return verdict;
}

static struct path current_path(struct node *node)
{
	struct path path;

	pthread_mutex_lock(&node->draft->mutex);
	path = node->draft->path;
	pthread_mutex_unlock(&node->draft->mutex);
	return path;
}

/* With publish=rename a file with a release's name cannot be written. */
static bool allows_version(struct request *request, const struct path *version)
{
	struct fault flt = {0};

	if (!request->mount->options.publish_by_rename)
		return publish_check_version(request, version);
	fault_undecided(&flt, FAULT_REFUSED, "-o publish=rename: write it under another name, and rename it");
	writing_fail(request, version, &flt);
	return false;
}

static void open_for_writing(struct request *request)
{
	int flags = O_RDWR | (request->file.flags & O_TRUNC), fd = -1;
	struct path version, path = current_path(request->node);
	struct fault flt = {0};

	if (request->node->draft->is_alias) {
		fail_for(request, FAULT_REFUSED, "it can be read, renamed and removed by this name, not written to");
		return;
	}
	if (request->node->draft->is_nameless)
		repeat_opened(request);
	else if (writing_becomes(&path, &version) && version.kind == PATH_RELEASE && !allows_version(request, &version))
		return;
	if (add_writer(request->node, flags, fuse_req_ctx(request->fuse)->pid, &fd, &flt) == 0)
		reply_open(request, request->node, fd, true);
	else if (flt.kind == FAULT_ABSENT)
		request_fail(request, ESTALE); /* the kernel looks the name up again */
	else
		writing_fail(request, &path, &flt);
}

/* Nothing is shown before it is proven: what is called like a release and is none can be seen, not read. */
static void attempt_open_staged(struct request *request)
{
	struct path version, path = current_path(request->node);
	struct fault flt = {0};
	int fd;

	if (is_for_writing(request->file.flags)) {
		open_for_writing(request);
	} else if (writing_becomes(&path, &version)) {
		fault_system(&flt, EBUSY, "it is not published");
		writing_fail(request, &path, &flt);
	} else if (draft_open(request->node, O_RDONLY, &fd, &flt)) {
		request_fail_with(request, &flt);
	} else {
		writing_reply_open(request, fd);
	}
}

/* "taken" is what people understand who copy over a version. */
static void refuse_open(struct request *request)
{
	struct path path = request->path;
	struct fault flt = {0};

	if (path.kind == PATH_RELEASE && repeat_begin(request, &flt) == 0)
		request_fail(request, ESTALE);
	else if (path.kind == PATH_RELEASE)
		writing_fail(request, &path, &flt);
	else if (path.kind == PATH_ENTRY)
		fail_for(request, FAULT_EXISTS, "the transaction has it already: remove it first");
	else
		fail_for(request, FAULT_REFUSED, "it cannot be written to");
}

bool writing_open(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file)
{
	struct request request = { .file = *file };
	struct mount *mount = fuse_req_userdata(fuse);
	struct node *node = mount->staging ? nodes_find(mount->nodes, number) : NULL;

	if (node && path_is_draft(node->kind))
		request.attempt = attempt_open_staged;
	else if (node && is_for_writing(file->flags))
		request.attempt = refuse_open;
	else if (node && node->kind == PATH_ENTRY)
		request.attempt = transaction_attempt_open;
	nodes_unref(mount->nodes, node);
	if (request.attempt)
		request_begin(fuse, number, &request);
	return request.attempt;
}

/* ---- Creating ---- */

/* Whether a name is a version without ".wasm". "1.0.0-rc.1.wasm.part" is a temporary. */
static bool is_bare_version(const char *name)
{
	struct semver version;

	return !strstr(name, ".wasm") && semver_parse(span_of_text(name), &version, NULL) == 0;
}

#define RELEASE_NAME "a release is named MAJOR.MINOR.PATCH.wasm, for example 1.0.0.wasm"

int writing_check_name(const struct path *path, struct fault *flt)
{
	const char *name = path_name(path), *end = strrchr(name, '.');

	if (path->kind == PATH_LATEST || path->kind == PATH_REQUIREMENT)
		return fault_undecided(flt, FAULT_MISUSE, "a link to the best release has that name: " RELEASE_NAME);
	if (path->kind == PATH_YANKED)
		return fault_undecided(flt, FAULT_MISUSE, "the folder of yanked versions has that name");
	if (path_is_inner(path->kind))
		return 0;
	if (path_is_draft(path->kind) && *name != '.' && end && strcmp(end, ".wasm") == 0)
		return fault_undecided(flt, FAULT_MISUSE, RELEASE_NAME);
	if (path_is_draft(path->kind) && is_bare_version(name))
		return fault_undecided(flt, FAULT_MISUSE, "a release of this version is called %.255s.wasm", name);
	return 0;
}

static void create_file(struct request *request)
{
	struct nodes *nodes = request->mount->nodes;
	struct node *node = NULL;
	struct fault flt = {0};
	struct path path;
	int fd = -1;

	path_as_draft(&request->path, &path);
	if (draft_create(request->mount, &path, request->mode, &fd, &node, &flt)) {
		writing_fail(request, &path, &flt);
		return;
	}
	pthread_mutex_lock(&node->draft->mutex);
	note_writer(node->draft, fuse_req_ctx(request->fuse)->pid);
	pthread_mutex_unlock(&node->draft->mutex);
	reply_created(request, node, fd);
	nodes_unref(nodes, node);
}

static void attempt_create(struct request *request)
{
	struct fault flt = {0};
	struct path path;

	if (!path_as_draft(&request->path, &path))
		misnamed_file(&request->path, &flt);
	if (flt.verdict)
		writing_fail(request, &request->path, &flt);
	else if (writing_check_name(&request->path, &flt))
		writing_fail(request, &request->path, &flt);
	else if (request->path.kind == PATH_RELEASE && !allows_version(request, &request->path))
		return;
	else if ((path.kind == PATH_STAGED || path.kind == PATH_STAGED_INNER) &&
		 !publish_check_namespace(request, &request->path))
		return;
	else if ((path.kind == PATH_ENTRY_STAGED || path.kind == PATH_ENTRY_INNER) && !transaction_allows(request))
		return;
	else
		create_file(request);
}

void operations_create(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *file)
{
	const struct request request = { .attempt = attempt_create, .file = *file, .mode = mode };
	struct mount *mount = fuse_req_userdata(fuse);

	metrics_count(&mount->metrics, METRICS_OPEN);
	request_begin_in(fuse, parent, name, EINVAL, &request);
}

/* ---- Reading and writing ---- */

bool writing_read(fuse_req_t fuse, size_t size, off_t offset, struct fuse_file_info *file)
{
	struct fuse_bufvec bytes = FUSE_BUFVEC_INIT(size);
	struct mount *mount = fuse_req_userdata(fuse);
	struct writing *writing = writing_of(file);

	if (!writing)
		return false;
	bytes.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	bytes.buf[0].fd = writing->fd;
	bytes.buf[0].pos = offset;
	atomic_fetch_add_explicit(&writing->references, 1, memory_order_relaxed);
	fuse_reply_data(fuse, &bytes, 0);
	unref(mount, writing);
	return true;
}

static int check_beginning(const char *bytes, size_t size, struct fault *flt)
{
	const struct span beginning = { (const unsigned char *)bytes, size < 8 ? size : 8 };
	static const char magic[] = "\0asm";
	struct wasm_framing framing;

	wasm_framing_init(&framing);
	if (memcmp(bytes, magic, size < 4 ? size : 4) == 0 && wasm_framing_append(&framing, beginning, NULL) == 0)
		return 0;
	return fault_undecided(flt, FAULT_MISUSE, "what is written is not WebAssembly");
}

/* The mutex is held. */
static int put(const struct writing *writing, const char *bytes, size_t size, off_t offset, struct fault *flt)
{
	const struct draft *draft = writing->node->draft;
	struct path version;
	size_t done = 0;

	if (draft->stage != DRAFT_OPEN)
		return fault_undecided(flt, FAULT_REFUSED, "it is published: it never changes any more");
	if (offset < 0 || (uint64_t)offset > CAP_CONTENT || size > CAP_CONTENT - (uint64_t)offset)
		return fault_undecided(flt, FAULT_LIMIT, "a content has at most %llu bytes", CAP_CONTENT);
	if (!offset && writing_becomes(&draft->path, &version) && check_beginning(bytes, size, flt))
		return flt->verdict;
	while (done < size) {
		ssize_t wrote = pwrite(writing->fd, bytes + done, size - done, offset + (off_t)done);

		if (wrote > 0)
			done += (size_t)wrote;
		else if (!wrote || errno != EINTR)
			return fault_system(flt, wrote ? errno : EIO, "it cannot be written");
	}
	return 0;
}

void operations_write(fuse_req_t fuse, fuse_ino_t number, const char *bytes, size_t size, off_t offset,
		      struct fuse_file_info *file)
{
	struct mount *mount = fuse_req_userdata(fuse);
	struct writing *writing = writing_of(file);
	struct draft *draft = writing ? writing->node->draft : NULL;
	struct fault flt = {0};
	struct path path;

	(void)number;
	if (!writing || !writing->may_write) {
		fuse_reply_err(fuse, EBADF);
		return;
	}
	pthread_mutex_lock(&draft->mutex);
	path = draft->path;
	/* Who was told that he failed is not told at close() that something is missing. */
	draft->is_written = put(writing, bytes, size, offset, &flt) == 0;
	draft->was_refused = flt.verdict;
	draft->writer = fuse_req_ctx(fuse)->pid;
	draft->outcome = 0;
	pthread_mutex_unlock(&draft->mutex);
	if (flt.verdict) {
		int errnum = errmap_errno(&flt);

		publishing_tell(mount, &path, &flt);
		fuse_reply_err(fuse, errnum);
	} else {
		fuse_reply_write(fuse, size);
	}
}

bool writing_release(fuse_req_t fuse, struct fuse_file_info *file)
{
	struct writing *writing = writing_of(file);

	if (!writing)
		return false;
	end_writing(fuse_req_userdata(fuse), writing);
	fuse_reply_err(fuse, 0);
	return true;
}
