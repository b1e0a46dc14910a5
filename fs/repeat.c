/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Writing a release again (see repeat.h).
 */
#include "repeat.h"

#include "client/base/file.h"
#include "draft.h"
#include "tree.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define REPEAT_SECONDS 10 /* for which the kernel may take from the failure of an open() to its next try */

static pid_t thread_of(const struct request *request)
{
	return fuse_req_ctx(request->fuse)->pid;
}

/* The mutex is held. */
static struct repeat *find(struct mount *mount, const struct path *path, pid_t thread)
{
	for (size_t i = 0; i < MOUNT_REPEATS; i++) {
		struct repeat *repeat = &mount->repeats[i];

		if (repeat->node && repeat->thread == thread && strcmp(repeat->path.text, path->text) == 0)
			return repeat;
	}
	return NULL;
}

/* Take a draft out. The mutex is held. @return the reference, for after the mutex */
static struct node *take(struct mount *mount, struct repeat *repeat)
{
	struct node *node = repeat->node;

	repeat->node = NULL;
	if (node)
		atomic_fetch_sub(&mount->repeat_count, 1);
	return node;
}

/* Takes over the reference. The oldest place is used anew. */
static void keep(struct mount *mount, const struct request *request, struct node *node)
{
	struct repeat *repeat;
	struct node *former;

	pthread_mutex_lock(&mount->writing_mutex);
	repeat = find(mount, &request->path, thread_of(request));
	if (!repeat) {
		repeat = &mount->repeats[mount->oldest_repeat];
		mount->oldest_repeat = (mount->oldest_repeat + 1) % MOUNT_REPEATS;
	}
	former = take(mount, repeat);
	*repeat = (struct repeat){ request->path, thread_of(request), clock_in_seconds(REPEAT_SECONDS), node };
	atomic_fetch_add(&mount->repeat_count, 1);
	pthread_mutex_unlock(&mount->writing_mutex);
	nodes_unref(mount->nodes, former);
}

/* Who reads what is there, or adds to it, cannot be given an empty file. Threads of other PID namespaces are 0. */
static bool can_be_repeated(const struct request *request)
{
	int flags = request->file.flags;

	return thread_of(request) && !request->is_elsewhere && !request->mount->options.publish_by_rename &&
	       !(flags & O_APPEND) && ((flags & O_ACCMODE) == O_WRONLY || (flags & O_TRUNC));
}

int repeat_begin(struct request *request, struct fault *flt)
{
	struct node *node = NULL;
	struct path draft;

	if (!can_be_repeated(request))
		return fault_undecided(flt, FAULT_EXISTS, "it is released already, and a release never changes");
	path_as_draft(&request->path, &draft);
	if (draft_create_nameless(request->mount, &draft, &node, flt))
		return flt->verdict;
	keep(request->mount, request, node);
	return 0;
}

struct node *repeat_find(struct request *request)
{
	struct mount *mount = request->mount;
	struct node *node = NULL;
	struct repeat *repeat;

	if (request->path.kind != PATH_RELEASE || !atomic_load(&mount->repeat_count))
		return NULL;
	pthread_mutex_lock(&mount->writing_mutex);
	repeat = find(mount, &request->path, thread_of(request));
	if (repeat && clock_left(repeat->end)) {
		node = repeat->node;
		nodes_ref(mount->nodes, node);
	}
	pthread_mutex_unlock(&mount->writing_mutex);
	return node;
}

void repeat_opened(struct request *request)
{
	struct mount *mount = request->mount;
	struct node *node = NULL;

	pthread_mutex_lock(&mount->writing_mutex);
	for (size_t i = 0; !node && i < MOUNT_REPEATS; i++) {
		if (mount->repeats[i].node == request->node)
			node = take(mount, &mount->repeats[i]);
	}
	pthread_mutex_unlock(&mount->writing_mutex);
	nodes_unref(mount->nodes, node);
}

void repeat_end_all(struct mount *mount)
{
	for (size_t i = 0; i < MOUNT_REPEATS; i++)
		nodes_unref(mount->nodes, take(mount, &mount->repeats[i]));
}

/* ---- Comparing ---- */

bool repeat_is_of_release(const struct request *request)
{
	struct view *view = registry_view(request->registry);
	const struct package_release *release = tree_release(view, &request->path);
	bool is = request->path.kind == PATH_RELEASE && release && !release->yank && !request->is_elsewhere;

	view_unref(view);
	return is;
}

static bool has_bytes_of(const struct node *node, const struct digest *released, struct fault *flt)
{
	struct digest written;
	bool is = false;
	int fd = -1;

	if (draft_open(node, O_RDONLY, &fd, flt))
		return false;
	if (file_hash(fd, &written, flt) == 0)
		is = digest_equals(&written, released);
	close(fd);
	return is;
}

enum repeat_answer repeat_compare(struct mount *mount, const struct node *node, const struct path *version,
				  struct fault *flt)
{
	struct view *view = registry_view(mount->registry);
	const struct package_release *release = tree_release(view, version);
	struct digest released = {0};
	bool is_yanked = release && release->yank;

	if (release)
		released = release->content;
	view_unref(view);
	if (!release)
		return REPEAT_NEW;
	if (is_yanked)
		fault_undecided(flt, FAULT_EXISTS, "this version was released and yanked: it never comes again");
	else if (has_bytes_of(node, &released, flt))
		return REPEAT_SAME;
	fault_undecided(flt, FAULT_EXISTS, "this version is released already, with other bytes");
	return REPEAT_OTHER;
}
