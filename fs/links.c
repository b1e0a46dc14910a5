/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Links that programs make (see links.h); and hard links, devices and the like, which cannot be made.
 */
#include "links.h"

#include "caller.h"
#include "publishing.h"
#include "publish_check.h"
#include "operations.h"
#include "tree.h"
#include "writing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINK_SECONDS 10 /* in which a program sets a link's attributes or renames it, or makes anew what it removed */
#define MOST 64
#define OWN_LINKS "the mount makes links itself; only latest.wasm may be copied, as a link to a release beside it"

/* A link that was made under another name, or `latest.wasm`, which a process has removed. */
struct link {
	char path[PATH_SIZE];
	char target[NAME_MAX + 1]; /* "": removed */
	pid_t process;             /* that removed it */
	clock_ms end;
};

struct links {
	pthread_mutex_t mutex;
	size_t oldest;
	struct link list[MOST]; /* a ring */
};

int links_new(struct links **out, struct fault *flt)
{
	struct links *links = calloc(1, sizeof(*links));

	if (!links)
		return fault_no_memory(flt);
	pthread_mutex_init(&links->mutex, NULL);
	*out = links;
	return 0;
}

void links_free(struct links *links)
{
	if (links)
		pthread_mutex_destroy(&links->mutex);
	free(links);
}

/* The mutex is held. @return NULL: there is none, or it is over */
static struct link *find(struct links *links, const struct path *path)
{
	for (size_t i = 0; i < MOST; i++) {
		struct link *link = &links->list[i];

		if (link->end && clock_left(link->end) && strcmp(link->path, path->text) == 0)
			return link;
	}
	return NULL;
}

/* @param target  "": the process has removed it */
static void put(struct links *links, const struct path *path, const char *target, pid_t process)
{
	struct link *link;

	pthread_mutex_lock(&links->mutex);
	link = find(links, path);
	if (!link) {
		link = &links->list[links->oldest];
		links->oldest = (links->oldest + 1) % MOST;
	}
	*link = (struct link){ .process = process, .end = clock_in_seconds(LINK_SECONDS) };
	snprintf(link->path, sizeof(link->path), "%s", path->text);
	snprintf(link->target, sizeof(link->target), "%s", target);
	pthread_mutex_unlock(&links->mutex);
}

/* Find one, and with `take` have it be over. @param out  written only if found */
static bool get(struct links *links, const struct path *path, bool take, struct link *out)
{
	struct link *link;
	bool found;

	pthread_mutex_lock(&links->mutex);
	link = find(links, path);
	found = link;
	if (found)
		*out = *link;
	if (found && take)
		link->end = 0;
	pthread_mutex_unlock(&links->mutex);
	return found;
}

static struct path as_link(const struct path *path)
{
	struct path link = *path;

	link.kind = PATH_STAGED_LINK;
	return link;
}

static void refuse(struct request *request, const char *what)
{
	struct fault flt = {0};

	fault_undecided(&flt, FAULT_REFUSED, "%s", what);
	writing_fail(request, &request->path, &flt);
}

static pid_t process_of(const struct request *request)
{
	return caller_process(fuse_req_ctx(request->fuse)->pid);
}

bool links_target(struct mount *mount, const struct path *path, char out[static PATH_SIZE])
{
	struct link link;

	if (path->kind != PATH_STAGED_LINK || !get(mount->links, path, false, &link) || !link.target[0])
		return false;
	snprintf(out, PATH_SIZE, "%s", link.target);
	return true;
}

bool links_reply_entry(struct request *request)
{
	const struct fuse_entry_param nothing = {0};
	struct mount *mount = request->mount;
	struct path path = as_link(&request->path);
	struct link link;

	if ((request->path.kind != PATH_STAGED && request->path.kind != PATH_LATEST) || !mount->staging ||
	    !get(mount->links, &path, false, &link))
		return false;
	if (link.target[0]) {
		request_reply_entry(request, nodes_enter(mount->nodes, &path, NULL), 0);
		return true;
	}
	if (!link.process || link.process != process_of(request))
		return false;
	request_settle(request);
	fuse_reply_entry(request->fuse, &nothing);
	request_free(request);
	return true;
}

/* ---- Removing and renaming ---- */

static bool has_release(struct request *request)
{
	struct view *view = registry_view(request->registry);
	char target[PATH_SIZE];
	bool has = tree_link(view, &request->path, target);

	view_unref(view);
	return has;
}

bool links_unlink(struct request *request)
{
	struct links *links = request->mount->links;
	struct link link;

	if (request->path.kind == PATH_LATEST && !request->is_elsewhere) {
		if (has_release(request))
			put(links, &request->path, "", process_of(request));
		request_succeed(request);
		return true;
	}
	if (request->path.kind != PATH_STAGED || !get(links, &request->path, true, &link))
		return false;
	request_succeed(request);
	return true;
}

bool links_rename(struct request *request)
{
	struct links *links = request->mount->links;
	struct link link;

	if (request->from.kind != PATH_STAGED || !get(links, &request->from, false, &link))
		return false;
	if (request->path.kind != PATH_LATEST) {
		refuse(request, OWN_LINKS);
		return true;
	}
	get(links, &request->from, true, &link);
	request_succeed(request);
	return true;
}

/* ---- Making ---- */

/* The name that rsync gives to a link before it replaces `latest.wasm`. Any other link would be missed later. */
static bool is_temporary(const struct path *path)
{
	static const char prefix[] = ".latest.wasm.";

	return path->kind == PATH_STAGED && strncmp(path_name(path), prefix, sizeof(prefix) - 1) == 0;
}

static void attempt_symlink(struct request *request)
{
	struct mount *mount = request->mount;
	const struct path *path = &request->path;
	struct link removed;
	struct path link;

	if (!*request->target || (path->kind != PATH_LATEST && !is_temporary(path))) {
		refuse(request, OWN_LINKS);
	} else if (!publish_check_namespace(request, path)) {
		return;
	} else if (path->kind == PATH_LATEST) {
		get(mount->links, path, true, &removed);
		/* Without a release there is no link to be found: the kernel keeps it for a moment. */
		request_reply_entry(request, nodes_enter(mount->nodes, path, NULL),
				    has_release(request) ? 0 : LINK_SECONDS);
	} else {
		link = as_link(path);
		put(mount->links, path, request->target, 0);
		request_reply_entry(request, nodes_enter(mount->nodes, &link, NULL), 0);
	}
}

void operations_symlink(fuse_req_t fuse, const char *target, fuse_ino_t parent, const char *name)
{
	struct request request = { .attempt = attempt_symlink };
	const struct path package = { .kind = PATH_PACKAGE, .text = "any/package" };
	struct path release;

	if (path_child(&package, target, &release) && release.kind == PATH_RELEASE)
		snprintf(request.target, sizeof(request.target), "%s", target);
	request_begin_in(fuse, parent, name, EPERM, &request);
}

/* ---- What is no part of a registry ---- */

static void attempt_link(struct request *request)
{
	refuse(request, "a file has one name here: copy it");
}

void operations_link(fuse_req_t fuse, fuse_ino_t number, fuse_ino_t parent, const char *name)
{
	const struct request request = { .attempt = attempt_link };

	(void)number;
	request_begin_in(fuse, parent, name, EPERM, &request);
}

static void attempt_mknod(struct request *request)
{
	refuse(request, "only files and folders can be made here");
}

void operations_mknod(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
	const struct request request = { .attempt = attempt_mknod };

	(void)mode;
	(void)device;
	request_begin_in(fuse, parent, name, EPERM, &request);
}
