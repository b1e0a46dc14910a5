/*
 * Open files that are written (see writing.h): create, open, write, flush, fsync, release, setattr.
 *
 * Bytes go straight to a file on the disk, which takes its time from nobody else: the kernel sends them as they are
 * written.
 */
#include "writing.h"

#include "client/file.h"
#include "errmap.h"
#include "operations.h"
#include "handover.h"
#include "staged.h"
#include "transaction.h"
#include "verify/wasm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An open file, of a node that is held by a reference. */
struct writing {
	struct node *node;
	int fd;
	bool may_write;
};

/* Files that are only read have none: reading.c needs none. */
static struct writing *writing_of(const struct fuse_file_info *file)
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

	handover_tell(request->mount, path, flt);
	request_fail(request, errnum);
}

static void fail_for(struct request *request, enum fault_kind kind, const char *what)
{
	struct fault flt = {0};

	fault_undecided(&flt, kind, "%s", what);
	writing_fail(request, &request->path, &flt);
}

/* ---- Handles ---- */

/* The release, or the entry of the transaction, that a file is to become which is called like one. */
static bool becomes(const struct path *staged, struct path *out)
{
	struct path folder = path_parent(staged);

	return path_child(&folder, path_name(staged), out) && (out->kind == PATH_RELEASE || out->kind == PATH_ENTRY);
}

/* Who wrote nothing to what was to become a release leaves nothing behind. */
static void end_writer(struct mount *mount, struct staged *staged)
{
	struct path version;

	pthread_mutex_lock(&staged->mutex);
	staged->writers--;
	if (!staged->writers)
		staged->outcome = 0;
	if (!staged->writers && becomes(&staged->path, &version))
		staged_remove_empty(mount, staged);
	pthread_mutex_unlock(&staged->mutex);
}

static void end_writing(struct mount *mount, struct writing *writing)
{
	if (writing->may_write)
		end_writer(mount, writing->node->staged);
	close(writing->fd);
	nodes_unref(mount->nodes, writing->node);
	free(writing);
}

/* Takes over the descriptor, and if it may write, the place among the writers. A reference to the node is taken. */
static struct writing *begin_writing(struct mount *mount, struct node *node, int fd, bool may_write)
{
	struct writing *writing = malloc(sizeof(*writing));

	if (writing) {
		nodes_ref(mount->nodes, node);
		*writing = (struct writing){ node, fd, may_write };
		return writing;
	}
	close(fd);
	if (may_write)
		end_writer(mount, node->staged);
	return NULL;
}

/* What a handle is to the kernel. Who cannot write has nothing to flush. */
static void hand_over(struct fuse_file_info *file, struct writing *writing)
{
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
	hand_over(&request->file, writing);
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
	hand_over(&request->file, writing);
	nodes_look_up(mount->nodes, node);
	request_settle(request);
	if (fuse_reply_create(request->fuse, &entry, &request->file) < 0) {
		nodes_forget(mount->nodes, node->number, 1);
		end_writing(mount, writing);
	}
	request_free(request);
}

/* ---- Opening ---- */

/* One writer wins, and may go on. @return 0 or the kind of what is wrong */
static enum fault_kind add_writer(struct staged *staged)
{
	enum fault_kind kind = FAULT_NONE;
	struct path version;

	pthread_mutex_lock(&staged->mutex);
	if (staged->is_removed)
		kind = FAULT_ABSENT;
	else if (staged->stage != STAGED_OPEN || (staged->writers && becomes(&staged->path, &version)))
		kind = FAULT_EXISTS;
	else
		staged->writers++;
	pthread_mutex_unlock(&staged->mutex);
	return kind;
}

static struct path current_path(struct node *node)
{
	struct path path;

	pthread_mutex_lock(&node->staged->mutex);
	path = node->staged->path;
	pthread_mutex_unlock(&node->staged->mutex);
	return path;
}

static void open_for_writing(struct request *request)
{
	int flags = O_RDWR | (request->file.flags & O_TRUNC), fd = -1;
	struct path version, path = current_path(request->node);
	enum fault_kind kind;
	struct fault flt = {0};

	if (becomes(&path, &version) && version.kind == PATH_RELEASE && !handover_allows(request, &version))
		return;
	kind = add_writer(request->node->staged);
	if (kind == FAULT_ABSENT) {
		request_fail(request, ESTALE); /* the kernel looks the name up again */
	} else if (kind) {
		fault_undecided(&flt, FAULT_EXISTS, "it is being written or published already");
		writing_fail(request, &path, &flt);
	} else if (staged_open(request->node, flags, &fd, &flt)) {
		end_writer(request->mount, request->node->staged);
		writing_fail(request, &path, &flt);
	} else {
		reply_open(request, request->node, fd, true);
	}
}

/* Nothing is shown before it is proven: what is called like a release and is none can be seen, not read. */
static void attempt_open_staged(struct request *request)
{
	struct path version, path = current_path(request->node);
	struct fault flt = {0};
	int fd;

	if (is_for_writing(request->file.flags)) {
		open_for_writing(request);
	} else if (becomes(&path, &version)) {
		fault_system(&flt, EBUSY, "it is not published");
		writing_fail(request, &path, &flt);
	} else if (staged_open(request->node, O_RDONLY, &fd, &flt)) {
		request_fail_with(request, &flt);
	} else {
		writing_reply_open(request, fd);
	}
}

/* "taken" is what people understand who copy over a version. */
static void refuse_open(struct request *request)
{
	struct path path = request->path;

	if (path.kind == PATH_RELEASE)
		fail_for(request, FAULT_EXISTS, "it is released already, and a release never changes");
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

	if (node && path_is_staged(node->kind))
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

int writing_check_name(const struct path *path, struct fault *flt)
{
	const char *name = path_name(path), *end = strrchr(name, '.');

	if (path->kind == PATH_LATEST || path->kind == PATH_REQUIREMENT)
		return fault_undecided(flt, FAULT_MISUSE, "this is the name of a link, not of a version");
	if (path_is_staged(path->kind) && *name != '.' && end && strcmp(end, ".wasm") == 0)
		return fault_undecided(flt, FAULT_MISUSE, "this is no version as in SemVer");
	return 0;
}

static void create_file(struct request *request)
{
	struct nodes *nodes = request->mount->nodes;
	struct node *node = NULL;
	struct fault flt = {0};
	struct path path;
	int fd = -1;

	path_as_staged(&request->path, &path);
	if (staged_create(request->mount, &path, request->mode, &fd, &node, &flt)) {
		writing_fail(request, &path, &flt);
		return;
	}
	pthread_mutex_lock(&node->staged->mutex);
	node->staged->writers++;
	pthread_mutex_unlock(&node->staged->mutex);
	reply_created(request, node, fd);
	nodes_unref(nodes, node);
}

static void attempt_create(struct request *request)
{
	struct fault flt = {0};
	struct path path;

	if (!path_as_staged(&request->path, &path))
		fail_for(request, FAULT_REFUSED, "nothing can be written here");
	else if (writing_check_name(&request->path, &flt))
		writing_fail(request, &request->path, &flt);
	else if (request->path.kind == PATH_RELEASE && !handover_allows(request, &request->path))
		return;
	else if (path.kind == PATH_STAGED && !handover_allows_namespace(request, &request->path))
		return;
	else if (path.kind == PATH_ENTRY_STAGED && !transaction_allows(request))
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
	struct writing *writing = writing_of(file);

	if (!writing)
		return false;
	bytes.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	bytes.buf[0].fd = writing->fd;
	bytes.buf[0].pos = offset;
	fuse_reply_data(fuse, &bytes, 0);
	return true;
}

static int check_beginning(const char *bytes, size_t size, struct fault *flt)
{
	const struct span beginning = { (const unsigned char *)bytes, size < 8 ? size : 8 };
	struct wasm_framing framing;

	wasm_framing_init(&framing);
	if (wasm_framing_append(&framing, beginning, NULL) == 0)
		return 0;
	return fault_undecided(flt, FAULT_MISUSE, "what is written is not WebAssembly");
}

/* The mutex is held. */
static int put(const struct writing *writing, const char *bytes, size_t size, off_t offset, struct fault *flt)
{
	const struct staged *staged = writing->node->staged;
	struct path version;
	size_t done = 0;

	if (staged->stage != STAGED_OPEN)
		return fault_undecided(flt, FAULT_REFUSED, "it is published: it never changes any more");
	if (offset < 0 || (uint64_t)offset > CAP_CONTENT || size > CAP_CONTENT - (uint64_t)offset)
		return fault_undecided(flt, FAULT_LIMIT, "a content has at most %llu bytes", CAP_CONTENT);
	if (!offset && becomes(&staged->path, &version) && check_beginning(bytes, size, flt))
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
	struct staged *staged = writing ? writing->node->staged : NULL;
	struct fault flt = {0};
	struct path path;

	(void)number;
	if (!writing || !writing->may_write) {
		fuse_reply_err(fuse, EBADF);
		return;
	}
	pthread_mutex_lock(&staged->mutex);
	path = staged->path;
	/* Who was told that he failed is not told at close() that something is missing. */
	staged->is_written = put(writing, bytes, size, offset, &flt) == 0;
	staged->writer = fuse_req_ctx(fuse)->pid;
	staged->outcome = 0;
	pthread_mutex_unlock(&staged->mutex);
	if (flt.verdict) {
		int errnum = errmap_errno(&flt);

		handover_tell(mount, &path, &flt);
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

/* ---- Closing ---- */

/* The chore that publishes a file as what it is called. */
static int new_chore(struct request *request, const struct path *version, struct chore **out, struct fault *flt)
{
	pid_t thread = fuse_req_ctx(request->fuse)->pid;

	if (version->kind == PATH_RELEASE)
		return handover_release(request->mount, request->node, version, thread, out, flt);
	return handover_enlist(request->mount, request->node, version, thread, out, flt);
}

/*
 * Give what is written to be published. The mutex is held.
 * @param out  a reference; NULL: there is nothing to be done
 */
static int give(struct request *request, struct path *version, struct chore **out, struct fault *flt)
{
	struct staged *staged = request->node->staged;
	int verdict = 0;

	*out = NULL;
	if (!staged->is_written || !becomes(&staged->path, version))
		return 0;
	staged->is_written = false;
	if (staged->is_removed)
		verdict = fault_undecided(flt, FAULT_ABSENT, "it was removed while it was written");
	else
		verdict = new_chore(request, version, out, flt);
	if (!verdict) {
		staged->stage = STAGED_GIVEN;
		staged->chore = *out;
	}
	return verdict;
}

/*
 * Close() comes from whoever has the file open, and a program that a thread starts has for a moment all that the others
 * have open: only who wrote last means that it is done. Others who close hear what came of it, if they have to wait for
 * that: one of them may be who wrote it, by another's hand.
 */
static void close_file(struct request *request)
{
	struct staged *staged = request->node->staged;
	pid_t thread = fuse_req_ctx(request->fuse)->pid;
	struct path version = request->path;
	struct chore *chore = NULL;
	struct fault flt = {0};
	bool is_writer;
	int outcome;

	pthread_mutex_lock(&staged->mutex);
	is_writer = handover_is_same_process(thread, staged->writer);
	if (staged->stage == STAGED_GIVEN && staged->chore) {
		request_join_chore(request, REQUEST_DEED, staged->chore);
		pthread_mutex_unlock(&staged->mutex);
		return;
	}
	if (is_writer && staged->stage == STAGED_OPEN)
		give(request, &version, &chore, &flt);
	outcome = staged->outcome;
	pthread_mutex_unlock(&staged->mutex);
	if (flt.verdict)
		writing_fail(request, &version, &flt);
	else if (chore)
		request_want_chore(request, REQUEST_DEED, chore);
	else if (outcome)
		request_fail(request, outcome);
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
	const struct request request = { .attempt = attempt_flush };
	const struct mount *mount = fuse_req_userdata(fuse);

	if (writing_of(file))
		request_begin(fuse, number, &request);
	else
		fuse_reply_err(fuse, mount->opens ? 0 : ENOSYS); /* then it is never asked again */
}

/* To the disk, which may take long. */
struct syncing {
	struct chore chore;
	int fd;
};

static int run_sync(struct chore *chore, struct fault *flt)
{
	return file_sync(((struct syncing *)chore)->fd, flt);
}

static void free_sync(struct chore *chore)
{
	close(((struct syncing *)chore)->fd);
	free(chore);
}

static struct chore *new_sync(struct mount *mount, const struct writing *writing)
{
	struct syncing *syncing = calloc(1, sizeof(*syncing));

	if (!syncing)
		return NULL;
	syncing->fd = fcntl(writing->fd, F_DUPFD_CLOEXEC, 0);
	chore_init(&syncing->chore, mount, run_sync, free_sync);
	return &syncing->chore;
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

/* ---- Attributes ---- */

static struct timespec time_to_set(int to_set, int given, int now, struct timespec time)
{
	if (to_set & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	return to_set & given ? time : (struct timespec){ .tv_nsec = UTIME_OMIT };
}

/* Whoever owns the mount owns everything in it. */
static bool changes_owner(const struct request *request)
{
	const struct mount_options *options = &request->mount->options;

	return ((request->to_set & FUSE_SET_ATTR_UID) && request->attributes.st_uid != options->uid) ||
	       ((request->to_set & FUSE_SET_ATTR_GID) && request->attributes.st_gid != options->gid);
}

/* The mutex is held. */
static int set_size(struct node *node, off_t size, struct fault *flt)
{
	int fd = -1, verdict;

	if (node->staged->stage != STAGED_OPEN)
		return fault_undecided(flt, FAULT_REFUSED, "it is published: it never changes any more");
	if (size < 0 || (uint64_t)size > CAP_CONTENT)
		return fault_undecided(flt, FAULT_LIMIT, "a content has at most %llu bytes", CAP_CONTENT);
	verdict = staged_open(node, O_WRONLY, &fd, flt);
	if (!verdict && ftruncate(fd, size))
		verdict = fault_system(flt, errno, "its size cannot be set");
	if (fd >= 0)
		close(fd);
	if (!verdict)
		node->staged->is_written = true;
	return verdict;
}

/* The mutex is held. What is given away has attributes of its own, which nobody here changes. */
static int set_staged(const struct request *request, struct fault *flt)
{
	struct node *node = request->node;
	const struct stat *wanted = &request->attributes;
	struct timespec times[2] = {
		time_to_set(request->to_set, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, wanted->st_atim),
		time_to_set(request->to_set, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW, wanted->st_mtim),
	};
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", node->staged->fd);
	if ((request->to_set & FUSE_SET_ATTR_SIZE) && set_size(node, wanted->st_size, flt))
		return flt->verdict;
	if (node->staged->stage != STAGED_OPEN)
		return 0;
	if ((request->to_set & FUSE_SET_ATTR_MODE) && chmod(path, (wanted->st_mode & 0777) | 0600))
		return fault_system(flt, errno, "its attributes cannot be set");
	if (utimensat(AT_FDCWD, path, times, 0))
		return fault_system(flt, errno, "its attributes cannot be set");
	return 0;
}

static void change_staged(struct request *request)
{
	struct staged *staged = request->node->staged;
	struct fault flt = {0};

	pthread_mutex_lock(&staged->mutex);
	set_staged(request, &flt);
	pthread_mutex_unlock(&staged->mutex);
	if (flt.verdict)
		request_fail_with(request, &flt);
	else
		operations_answer_attributes(request);
}

/*
 * Times and permissions are the registry's. But whoever has just put something there, or is about to, is not told that
 * he failed for want of them: he is answered, and sees what is.
 */
static bool may_pretend(const struct request *request)
{
	const struct path *path = &request->path;
	pid_t thread = fuse_req_ctx(request->fuse)->pid;

	if (request->to_set & FUSE_SET_ATTR_SIZE)
		return false;
	if (path->kind == PATH_PACKAGE || path->kind == PATH_NAMESPACE)
		return !(request->to_set & FUSE_SET_ATTR_MODE) || staged_has_folder(request->mount, path, NULL) ||
		       handover_is_recent(request->mount, path, thread);
	return path->kind == PATH_TRANSACTION || path->kind == PATH_ENTRY ||
	       (path->kind == PATH_RELEASE && handover_is_recent(request->mount, path, thread));
}

static void attempt_setattr(struct request *request)
{
	if (changes_owner(request))
		fail_for(request, FAULT_REFUSED, "everything belongs to who owns the mount");
	else if (request->node->staged)
		change_staged(request);
	else if (may_pretend(request))
		operations_answer_attributes(request);
	else
		fail_for(request, FAULT_REFUSED, "it is the registry's, and stays as it is");
}

/* Once it has been changed it is only told of. */
static void attempt_setattr_once(struct request *request)
{
	request->attempt = operations_answer_attributes;
	attempt_setattr(request);
}

void operations_setattr(fuse_req_t fuse, fuse_ino_t number, struct stat *attributes, int to_set,
			struct fuse_file_info *file)
{
	const struct request request = { .attempt = attempt_setattr_once, .attributes = *attributes,
					 .to_set = to_set };

	(void)file;
	request_begin(fuse, number, &request);
}
