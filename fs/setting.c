/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Setting attributes of files that are written, and of all else, which has those of the registry.
 */
#include "publishing.h"
#include "operations.h"
#include "recent.h"
#include "draft.h"
#include "writing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void refuse(struct request *request, const char *what)
{
	struct fault flt = {0};

	fault_undecided(&flt, FAULT_REFUSED, "%s", what);
	writing_fail(request, &request->path, &flt);
}

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

	if (node->draft->is_alias)
		return fault_undecided(flt, FAULT_REFUSED, "it cannot be written to by this name");
	if (node->draft->stage != DRAFT_OPEN)
		return fault_undecided(flt, FAULT_REFUSED, "it is published: it never changes any more");
	if (size < 0 || (uint64_t)size > CAP_CONTENT)
		return fault_undecided(flt, FAULT_LIMIT, "a content has at most %llu bytes", CAP_CONTENT);
	verdict = draft_open(node, O_WRONLY, &fd, flt);
	if (!verdict && ftruncate(fd, size))
		verdict = fault_system(flt, errno, "its size cannot be set");
	if (fd >= 0)
		close(fd);
	if (!verdict)
		node->draft->is_written = true;
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

	snprintf(path, sizeof(path), "/proc/self/fd/%d", node->draft->fd);
	if ((request->to_set & FUSE_SET_ATTR_SIZE) && set_size(node, wanted->st_size, flt))
		return flt->verdict;
	if (node->draft->stage != DRAFT_OPEN)
		return 0;
	if ((request->to_set & FUSE_SET_ATTR_MODE) && chmod(path, (wanted->st_mode & 0777) | 0600))
		return fault_system(flt, errno, "its attributes cannot be set");
	if (utimensat(AT_FDCWD, path, times, 0))
		return fault_system(flt, errno, "its attributes cannot be set");
	return 0;
}

static void change_staged(struct request *request)
{
	struct draft *draft = request->node->draft;
	struct fault flt = {0};

	pthread_mutex_lock(&draft->mutex);
	set_staged(request, &flt);
	pthread_mutex_unlock(&draft->mutex);
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
	if (path->kind == PATH_LATEST || path->kind == PATH_STAGED_LINK)
		return !(request->to_set & FUSE_SET_ATTR_MODE);
	if (path->kind == PATH_PACKAGE || path->kind == PATH_NAMESPACE)
		return !(request->to_set & FUSE_SET_ATTR_MODE) || draft_has_folder(request->mount, path, NULL) ||
		       recent_has(request->mount, path, thread);
	return path->kind == PATH_TRANSACTION || path->kind == PATH_ENTRY || path_is_inner(path->kind) ||
	       (path->kind == PATH_RELEASE && recent_has(request->mount, path, thread));
}

static bool is_same_time(struct timespec one, struct timespec other)
{
	return one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec;
}

/* Whether what is to be set is so already: programs set permissions without looking. */
static bool is_so_already(const struct request *request)
{
	const struct stat *wanted = &request->attributes;
	int to_set = request->to_set, now = FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
	struct view *view = registry_view(request->registry);
	struct stat is;

	mount_attributes(request->mount, view, request->node, &is);
	view_unref(view);
	return !(to_set & (FUSE_SET_ATTR_SIZE | now)) &&
	       (!(to_set & FUSE_SET_ATTR_MODE) || (wanted->st_mode & 07777) == (is.st_mode & 07777)) &&
	       (!(to_set & FUSE_SET_ATTR_ATIME) || is_same_time(wanted->st_atim, is.st_atim)) &&
	       (!(to_set & FUSE_SET_ATTR_MTIME) || is_same_time(wanted->st_mtim, is.st_mtim));
}

static void attempt_setattr(struct request *request)
{
	if (changes_owner(request))
		refuse(request, "files here belong to the user who mounted them: the owner cannot be changed");
	else if (request->node->draft)
		change_staged(request);
	else if (may_pretend(request) || is_so_already(request))
		operations_answer_attributes(request);
	else
		refuse(request, "it is published, and stays as it is: its permissions and times cannot be changed");
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
