/*
 * Finding names and answering stat(): lookup, getattr, readlink, forget.
 *
 * A lookup never waits for a size: while it waits the kernel lets nobody else look up the same name, not even to be
 * killed. It answers with a size that holds for no time, so that stat() asks for it by getattr, where each waits
 * alone.
 */
#include "operations.h"
#include "request.h"
#include "tree.h"

#include <errno.h>
#include <stdlib.h>

static void reply_absent(struct request *request)
{
	request_settle(request);
	fuse_reply_err(request->fuse, ENOENT);
	request_free(request);
}

static void reply_entry(struct request *request, const struct view *view, const struct digest *content)
{
	struct mount *mount = request->mount;
	struct node *node = nodes_enter(mount->nodes, &request->path, content);
	struct fuse_entry_param entry = { .entry_timeout = MOUNT_FOREVER };

	if (!node) {
		request_fail(request, ENOMEM);
		return;
	}
	entry.ino = node->number;
	entry.attr_timeout = mount_attributes(mount, view, node, &entry.attr);
	nodes_look_up(mount->nodes, node);
	request_settle(request);
	if (fuse_reply_entry(request->fuse, &entry) < 0)
		nodes_forget(mount->nodes, node->number, 1);
	nodes_unref(mount->nodes, node);
	request_free(request);
}

static void look_up_namespace(struct request *request, const struct view *view)
{
	switch (tree_has_namespace(view, path_namespace(&request->path))) {
	case TREE_YES:
		reply_entry(request, view, NULL);
		break;
	case TREE_NO:
		reply_absent(request);
		break;
	default:
		request_want_listing(request);
	}
}

/*
 * The package's own log is the shorter way to know whether it is there. Where it is there but does not verify, the
 * listing may still have it: then it is shown, for its folder to say what is wrong.
 */
static void look_up_package(struct request *request, const struct view *view)
{
	struct name name = path_package(&request->path);
	bool had_fault = request->fault.verdict && request_has_wanted(request, REQUEST_PACKAGE) &&
			 !request_has_wanted(request, REQUEST_LISTING);

	if (tree_has_package(view, &name) == TREE_YES)
		reply_entry(request, view, NULL);
	else if (tree_has_package(view, &name) == TREE_NO || request->fault.kind == FAULT_ABSENT)
		reply_absent(request);
	else if (had_fault && request->fault.kind == FAULT_FORGED)
		request_want_listing(request);
	else
		request_want_package(request, &name);
}

/* What a package has that is not known yet may be behind what went wrong with it. */
static void look_up_release(struct request *request, const struct view *view, const struct view_package *package)
{
	const struct package_release *release;

	if (request->path.kind == PATH_LATEST)
		release = package_log_best(package->log, NULL);
	else
		release = tree_find_release(package, path_version(&request->path));
	if (release)
		reply_entry(request, view, &release->content);
	else if (package->fault.verdict)
		request_fail_with(request, &package->fault);
	else
		reply_absent(request);
}

static void look_up_in_package(struct request *request, const struct view *view)
{
	struct name name = path_package(&request->path);
	const struct view_package *package = view_find(view, &name);

	if (package)
		look_up_release(request, view, package);
	else
		request_want_package(request, &name);
}

static void attempt_lookup(struct request *request)
{
	struct view *view = registry_view(request->mount->registry);

	if (request->path.kind == PATH_NAMESPACE)
		look_up_namespace(request, view);
	else if (request->path.kind == PATH_PACKAGE)
		look_up_package(request, view);
	else
		look_up_in_package(request, view);
	view_unref(view);
}

void operations_lookup(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
	struct mount *mount = fuse_req_userdata(fuse);
	struct node *folder = nodes_find(mount->nodes, parent);
	struct request request = { .attempt = attempt_lookup };
	bool can_be = false;

	if (folder) {
		struct path path = node_path(folder);

		can_be = path_child(&path, name, &request.path);
	}
	nodes_unref(mount->nodes, folder);
	if (can_be) {
		request_begin(fuse, parent, &request);
	} else {
		/* For good: no registry can have such a name. */
		const struct fuse_entry_param nothing = { .entry_timeout = MOUNT_FOREVER };

		fuse_reply_entry(fuse, &nothing);
	}
}

void operations_forget(fuse_req_t fuse, fuse_ino_t number, uint64_t count)
{
	struct mount *mount = fuse_req_userdata(fuse);

	nodes_forget(mount->nodes, number, count);
	fuse_reply_none(fuse);
}

void operations_forget_multi(fuse_req_t fuse, size_t count, struct fuse_forget_data *forgets)
{
	struct mount *mount = fuse_req_userdata(fuse);

	for (size_t i = 0; i < count; i++)
		nodes_forget(mount->nodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(fuse);
}

/*
 * The first stat() of a file in a folder that was just listed is taken for the first of many: sizes of the files
 * beside it are asked for side by side. `ls` alone asks for none.
 */
static void prefetch_beside(struct mount *mount, const struct view *view, const struct path *path)
{
	struct path folder = path_parent(path);
	struct node *node = nodes_find_path(mount->nodes, &folder, NULL);
	struct tree_entries entries = {0};
	struct digest *digests = NULL;
	size_t count = 0;

	if (node && atomic_exchange(&node->listed, false) && tree_list(view, &folder, &entries, NULL) == 0)
		digests = calloc(entries.count + 1, sizeof(*digests));
	for (size_t i = 0; digests && i < entries.count; i++) {
		const struct package_release *release = entries.entries[i].release;
		uint64_t size;

		if (release && !content_find_size(registry_content(mount->registry), &release->content, &size))
			digests[count++] = release->content;
	}
	if (count)
		content_prefetch_sizes(registry_content(mount->registry), digests, count);
	free(digests);
	tree_entries_release(&entries);
	nodes_unref(mount->nodes, node);
}

static bool knows_size(struct mount *mount, const struct node *node)
{
	uint64_t size;

	return node->kind != PATH_RELEASE || atomic_load(&node->verified) ||
	       content_find_size(registry_content(mount->registry), &node->content, &size);
}

static void reply_attributes(struct request *request, const struct view *view)
{
	struct stat stat;
	double timeout = mount_attributes(request->mount, view, request->node, &stat);

	request_settle(request);
	fuse_reply_attr(request->fuse, &stat, timeout);
	request_free(request);
}

static void attempt_getattr(struct request *request)
{
	struct mount *mount = request->mount;
	struct node *node = request->node;
	struct view *view = registry_view(mount->registry);

	if (knows_size(mount, node)) {
		reply_attributes(request, view);
	} else {
		struct path path = node_path(node);

		prefetch_beside(mount, view, &path);
		request_want_size(request, &node->content);
	}
	view_unref(view);
}

void operations_getattr(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file)
{
	const struct request request = { .attempt = attempt_getattr };

	(void)file;
	request_begin(fuse, number, &request);
}

void operations_readlink(fuse_req_t fuse, fuse_ino_t number)
{
	struct mount *mount = fuse_req_userdata(fuse);
	struct node *node = nodes_find(mount->nodes, number);
	struct view *view = registry_view(mount->registry);
	const struct package_release *best = NULL;
	char target[PATH_FILE_NAME_SIZE];

	if (node && node->kind == PATH_LATEST) {
		struct path path = node_path(node);
		struct name name = path_package(&path);
		const struct view_package *package = view_find(view, &name);

		best = package ? package_log_best(package->log, NULL) : NULL;
	}
	if (best) {
		path_file_name(best->version, target);
		fuse_reply_readlink(fuse, target);
	} else {
		fuse_reply_err(fuse, ENOENT);
	}
	view_unref(view);
	nodes_unref(mount->nodes, node);
}
