/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What makes and takes away names: mkdir, rmdir, unlink, rename.
 *
 * A file that gets the name of a version is published; the folder of a transaction that goes to where its package is
 * is submitted. Both come back when that is proven.
 */
#include "errmap.h"
#include "operations.h"
#include "publishing.h"
#include "publish_check.h"
#include "links.h"
#include "repeat.h"
#include "draft.h"
#include "transaction.h"
#include "writing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void fail(struct request *request, enum fault_kind kind, const char *what)
{
	struct fault flt = {0};

	fault_undecided(&flt, kind, "%s", what);
	writing_fail(request, &request->path, &flt);
}

/* Of what is to be renamed, not of the name that it was to get. */
static void fail_from(struct request *request, const char *what)
{
	struct fault flt = {0};

	fault_undecided(&flt, FAULT_REFUSED, "%s", what);
	writing_fail(request, &request->from, &flt);
}

static void fail_as(struct request *request, int errnum, const char *what)
{
	struct fault flt = {0};

	fault_system(&flt, errnum, "%s", what);
	writing_fail(request, &request->path, &flt);
}

/* Done, or not; said why already, or not. */
static void end(struct request *request, const struct fault *flt)
{
	if (flt->verdict)
		writing_fail(request, &request->path, flt);
	else
		request_succeed(request);
}

static void end_chore(struct request *request)
{
	struct fault flt = request->fault;

	end(request, &flt);
}

/* What publishes tells of it itself. */
static void end_publishing(struct request *request)
{
	if (request->fault.verdict)
		request_fail(request, errmap_errno(&request->fault));
	else
		request_succeed(request);
}

static enum tree_answer has(struct request *request)
{
	struct view *view = registry_view(request->registry);
	enum tree_answer answer = tree_has(view, &request->path);

	view_unref(view);
	return answer;
}

static pid_t thread_of(const struct request *request)
{
	return fuse_req_ctx(request->fuse)->pid;
}

/* ---- mkdir ---- */

static void make_folder(struct request *request)
{
	struct mount *mount = request->mount;
	struct fault flt = {0};

	if (has(request) == TREE_YES || draft_has_folder(mount, &request->path, NULL))
		fail(request, FAULT_EXISTS, "it is there already");
	else if (!publish_check_namespace(request, &request->path))
		return;
	else if (draft_make_folder(mount, &request->path, &flt))
		writing_fail(request, &request->path, &flt);
	else
		request_reply_entry(request, nodes_enter(mount->nodes, &request->path, NULL), 0);
}

/* A folder that programs such as rsync keep files in that they give their names later. */
static void make_inner(struct request *request)
{
	struct mount *mount = request->mount;
	struct fault flt = {0};
	struct path folder;

	if (!path_as_folder(&request->path, &folder))
		fail(request, FAULT_REFUSED, "a folder that can be made here has a name that begins with a dot");
	else if (draft_has_folder(mount, &folder, NULL))
		fail(request, FAULT_EXISTS, "it is there already");
	else if (folder.kind == PATH_ENTRY_FOLDER ? !transaction_allows(request) :
						    !publish_check_namespace(request, &folder))
		return;
	else if (draft_make_folder(mount, &folder, &flt))
		writing_fail(request, &request->path, &flt);
	else
		request_reply_entry(request, nodes_enter(mount->nodes, &folder, NULL), 0);
}

static void make_transaction(struct request *request)
{
	struct mount *mount = request->mount;
	struct fault flt = request->fault;

	if (!request_has_wanted(request, REQUEST_DEED)) {
		if (publish_check_namespace(request, &request->path))
			request_want_chore(request, REQUEST_DEED, transaction_begin(mount, &request->path));
	} else if (flt.verdict) {
		writing_fail(request, &request->path, &flt);
	} else {
		request_reply_entry(request, nodes_enter(mount->nodes, &request->path, NULL), 0);
	}
}

static void attempt_mkdir(struct request *request)
{
	switch (request->path.kind) {
	case PATH_NAMESPACE:
	case PATH_PACKAGE:
		make_folder(request);
		break;
	case PATH_TRANSACTION:
		make_transaction(request);
		break;
	case PATH_STAGED:
	case PATH_ENTRY_STAGED:
		make_inner(request);
		break;
	case PATH_TRANSACTIONS_NAMESPACE:
		if (publish_check_namespace(request, &request->path))
			fail(request, FAULT_EXISTS, "it is there already");
		break;
	default:
		fail(request, FAULT_REFUSED, "no folder can be made here");
	}
}

void operations_mkdir(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode)
{
	const struct request request = {.attempt = attempt_mkdir};

	(void)mode;
	request_begin_in(fuse, parent, name, EINVAL, &request);
}

/* ---- rmdir ---- */

/* A folder is gone, or the reason is told why it is not: what the kernel knows of its inode is over then. */
static void end_removal(struct request *request, const struct fault *flt)
{
	if (!flt->verdict)
		nodes_retire(request->mount->nodes, &request->path);
	end(request, flt);
}

/* rsync tries after each file: that the folder is not empty yet is not worth a line in the log. */
static void remove_inner(struct request *request)
{
	struct fault flt = {0};

	path_as_folder(&request->path, &request->path);
	if (draft_remove_folder(request->mount, &request->path, &flt))
		request_fail(request, errmap_errno(&flt));
	else
		end_removal(request, &flt);
}

static void take_back_folder(struct request *request)
{
	struct fault flt = {0};

	if (has(request) == TREE_YES) {
		fail(request, FAULT_REFUSED, "it is in the registry, and cannot be removed");
		return;
	}
	draft_remove_folder(request->mount, &request->path, &flt);
	end_removal(request, &flt);
}

static void end_abort(struct request *request)
{
	struct fault flt = request->fault;

	end_removal(request, &flt);
}

static void attempt_rmdir(struct request *request)
{
	switch (request->path.kind) {
	case PATH_NAMESPACE:
	case PATH_PACKAGE:
		take_back_folder(request);
		break;
	case PATH_TRANSACTION:
		if (request_has_wanted(request, REQUEST_DEED))
			end_abort(request);
		else
			request_want_chore(request, REQUEST_DEED, transaction_abort(request->mount, &request->path));
		break;
	case PATH_STAGED:
	case PATH_ENTRY_STAGED:
		remove_inner(request);
		break;
	default:
		fail(request, FAULT_REFUSED, "it belongs to the mount, which makes it");
	}
}

void operations_rmdir(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
	const struct request request = {.attempt = attempt_rmdir};

	request_begin_in(fuse, parent, name, ENOENT, &request);
}

/* ---- unlink ---- */

/* The file that was written under a name. @param out  with a reference; NULL: there is none, and the request failed */
static struct node *find_staged(struct request *request, const struct path *path)
{
	struct node *node = NULL;
	struct fault flt = {0};
	struct path as_draft = {0};

	if (path_as_draft(path, &as_draft) && draft_find_listed(request->mount, &as_draft, &node, &flt))
		request_fail_with(request, &flt);
	else if (!node)
		request_fail(request, ENOENT);
	return node;
}

static enum draft_stage stage_of(struct node *node, bool *has_writers)
{
	enum draft_stage stage;

	pthread_mutex_lock(&node->draft->mutex);
	stage = node->draft->stage;
	*has_writers = node->draft->writers;
	pthread_mutex_unlock(&node->draft->mutex);
	return stage;
}

static void unlink_staged(struct request *request)
{
	struct nodes *nodes = request->mount->nodes;
	struct node *node = find_staged(request, &request->path);
	struct fault flt = {0};
	bool has_writers;

	if (!node)
		return;
	if (stage_of(node, &has_writers) == DRAFT_GIVEN) {
		fail_as(request, EBUSY, "it is being published");
	} else {
		draft_remove(request->mount, node, &flt);
		end(request, &flt);
	}
	nodes_unref(nodes, node);
}

#define CANNOT_BE_REMOVED \
	"a release cannot be removed, nor to write it anew; in a mount with -o yank that yanks it for good"

static void yank(struct request *request)
{
	struct blocking_job *blocking_job = NULL;
	struct fault flt = {0};

	if (request_has_wanted(request, REQUEST_DEED))
		end_publishing(request);
	else if (!request->mount->options.yank)
		fail(request, FAULT_REFUSED, CANNOT_BE_REMOVED);
	else if (publishing_yank(request->mount, &request->path, thread_of(request), &blocking_job, &flt))
		writing_fail(request, &request->path, &flt);
	else
		request_want_chore(request, REQUEST_DEED, blocking_job);
}

static bool is_entry(struct request *request)
{
	struct pending pending = {0};
	char version[CAP_VERSION + 1];
	bool found = false, is;
	struct name name = path_package(&request->path);

	path_version(&request->path, version);
	pending_load(registry_store(request->mount->registry), &pending, &found, NULL);
	is = found && strcmp(pending.name.text, name.text) == 0 && pending_find(&pending, version);
	pending_release(&pending);
	return is;
}

static void unlink_entry(struct request *request)
{
	if (request_has_wanted(request, REQUEST_DEED))
		end_chore(request);
	else if (is_entry(request))
		request_want_chore(request, REQUEST_DEED, transaction_take_out(request->mount, &request->path));
	else
		unlink_staged(request);
}

static void attempt_unlink(struct request *request)
{
	if (links_unlink(request))
		return;
	switch (request->path.kind) {
	case PATH_RELEASE:
		if (request_has_wanted(request, REQUEST_DEED) || has(request) == TREE_YES)
			yank(request);
		else
			unlink_staged(request);
		break;
	case PATH_STAGED:
	case PATH_STAGED_INNER:
	case PATH_ENTRY_STAGED:
	case PATH_ENTRY_INNER:
		unlink_staged(request);
		break;
	case PATH_ENTRY:
		unlink_entry(request);
		break;
	case PATH_YANKED:
		/* A file that an older version allowed there. */
		if (has(request) != TREE_YES) {
			unlink_staged(request);
			break;
		}
		/* fall through */
	default:
		fail(request, FAULT_REFUSED, "it belongs to the mount, which makes it");
	}
}

void operations_unlink(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
	const struct request request = {.attempt = attempt_unlink};

	request_begin_in(fuse, parent, name, ENOENT, &request);
}

/* ---- rename ---- */

/* What has the new name; a version's is free only if nobody writes to it. */
static bool may_take_name(struct request *request, struct node *over, bool of_version)
{
	bool has_writers = false;

	if (!over)
		return true;
	if (request->flags & RENAME_NOREPLACE)
		fail(request, FAULT_EXISTS, "it is there already");
	else if (stage_of(over, &has_writers) == DRAFT_GIVEN || (of_version && has_writers))
		fail(request, FAULT_EXISTS, "it is being written or published already");
	else
		return true;
	return false;
}

/* Give the file that is to become a version away. */
static void publish(struct request *request, struct node *from)
{
	struct blocking_job *blocking_job = NULL;
	struct fault flt = {0};
	bool is_free, is_release = request->path.kind == PATH_RELEASE;
	pid_t thread = thread_of(request);

	pthread_mutex_lock(&from->draft->mutex);
	is_free = from->draft->stage == DRAFT_OPEN;
	if (is_free)
		from->draft->stage = DRAFT_GIVEN;
	pthread_mutex_unlock(&from->draft->mutex);
	if (!is_free) {
		fail_as(request, EBUSY, "it is being published");
		return;
	}
	if (is_release ? publishing_begin_release(request->mount, from, &request->path, thread, &blocking_job, &flt) :
			 publishing_enlist(request->mount, from, &request->path, thread, &blocking_job, &flt)) {
		pthread_mutex_lock(&from->draft->mutex);
		from->draft->stage = DRAFT_OPEN;
		pthread_mutex_unlock(&from->draft->mutex);
		writing_fail(request, &request->path, &flt);
		return;
	}
	request_want_chore(request, REQUEST_DEED, blocking_job);
}

/* What was left under the version's name, unpublished, goes. */
static void end_rename(struct request *request)
{
	struct path as_draft = {0};
	struct node *over = NULL;

	path_as_draft(&request->path, &as_draft);
	if (!request->fault.verdict && draft_find(request->mount, &as_draft, &over, NULL) == 0 && over)
		draft_remove(request->mount, over, NULL);
	nodes_unref(request->mount->nodes, over);
	end_publishing(request);
}

/* @return false: the request waits or has failed */
static bool allows(struct request *request)
{
	switch (request->path.kind) {
	case PATH_RELEASE:
		return repeat_is_of_release(request) || publish_check_version(request, &request->path);
	case PATH_ENTRY:
	case PATH_ENTRY_STAGED:
	case PATH_ENTRY_INNER:
		return transaction_allows(request);
	default:
		return publish_check_namespace(request, &request->path);
	}
}

/* Both are there, or not; nobody else changes names meanwhile but who is in a race with this anyway. */
static void rename_file(struct request *request, struct node *from, struct node *over)
{
	bool of_version = request->path.kind == PATH_RELEASE || request->path.kind == PATH_ENTRY;
	struct fault flt = {0};
	bool has_writers;

	if (!may_take_name(request, over, of_version))
		return;
	if (of_version) {
		publish(request, from);
	} else if (stage_of(from, &has_writers) == DRAFT_GIVEN) {
		fail_as(request, EBUSY, "it is being published");
	} else {
		struct path to = {0};

		path_as_draft(&request->path, &to);
		draft_rename(request->mount, from, &to, over, &flt);
		end(request, &flt);
	}
}

/* The registry's releases keep their names, and so does what the mount makes of them. */
static bool is_movable(struct request *request)
{
	struct view *view = registry_view(request->registry);
	bool is = path_is_for_writing(request->from.kind) || tree_has(view, &request->from) != TREE_YES;

	view_unref(view);
	return is;
}

static void attempt_rename_file(struct request *request)
{
	struct nodes *nodes = request->mount->nodes;
	struct node *from, *over = NULL;
	struct fault flt = {0};
	struct path as_draft = {0};

	if (request_has_wanted(request, REQUEST_DEED)) {
		end_rename(request);
		return;
	}
	path_as_draft(&request->path, &as_draft);
	if (!is_movable(request))
		fail_from(request, "what is published keeps its name");
	else if (writing_check_name(&request->path, &flt))
		writing_fail(request, &request->path, &flt);
	else if (allows(request) && (from = find_staged(request, &request->from))) {
		if (draft_find(request->mount, &as_draft, &over, &flt))
			request_fail_with(request, &flt);
		else
			rename_file(request, from, over);
		nodes_unref(nodes, from);
		nodes_unref(nodes, over);
	}
}

/* What was written to the transaction's folder and is no entry of it would be lost sight of. */
static bool has_files(const struct request *request)
{
	struct fault flt = {0};

	draft_remove_folder(request->mount, &request->from, &flt);
	return flt.verdict && flt.kind != FAULT_ABSENT;
}

/* The package's folder is there as before, but the kernel takes it for replaced by that of the transaction. */
static void end_submit(struct request *request)
{
	if (!request->fault.verdict)
		nodes_retire(request->mount->nodes, &request->path);
	end_publishing(request);
}

/* A transaction is submitted by giving its folder the package's place. */
static void attempt_submit(struct request *request)
{
	struct name from = path_package(&request->from), to = path_package(&request->path);
	struct blocking_job *blocking_job = NULL;
	struct fault flt = {0};

	if (request_has_wanted(request, REQUEST_DEED))
		end_submit(request);
	else if (has_files(request))
		fail_as(request, ENOTEMPTY,
			"some files in it are still being written, or have no version as their "
			"name: write or remove them first");
	else if (strcmp(from.text, to.text) != 0)
		fail(request, FAULT_MISUSE, "a transaction is submitted under the name of its own package");
	else if (!publish_check_namespace(request, &request->path))
		return;
	else if (publishing_begin_submit(request->mount, &request->path, thread_of(request), &blocking_job, &flt))
		writing_fail(request, &request->path, &flt);
	else
		request_want_chore(request, REQUEST_DEED, blocking_job);
}

#define FOLDER_STAYS "a folder keeps its name: make another one, and copy what is in this one"

/* The folder of a package, or of a transaction, that something is in. */
static enum path_kind area_of(enum path_kind kind)
{
	enum path_kind folder = path_folder(kind);

	return path_is_inner(folder) ? path_folder(folder) : folder;
}

/* What becomes of what, by the folders that both are in. */
static void attempt_rename(struct request *request)
{
	enum path_kind from = area_of(request->from.kind), to = area_of(request->path.kind);
	struct path folder;

	if (request->flags & ~(unsigned)RENAME_NOREPLACE)
		fail(request, FAULT_MISUSE, "names cannot be exchanged here");
	else if (links_rename(request))
		return;
	else if (request->from.kind == PATH_TRANSACTION && request->path.kind == PATH_PACKAGE)
		attempt_submit(request);
	else if ((from == PATH_PACKAGE && to == PATH_TRANSACTION) || (from == PATH_TRANSACTION && to == PATH_PACKAGE))
		request_fail(request, EXDEV); /* it can be copied */
	else if (path_as_folder(&request->from, &folder) && draft_has_folder(request->mount, &folder, NULL))
		fail_from(request, FOLDER_STAYS);
	else if (from == to && (from == PATH_PACKAGE || from == PATH_TRANSACTION))
		attempt_rename_file(request);
	else
		fail_from(request, path_type(request->from.kind) == S_IFDIR ? FOLDER_STAYS :
									      "it belongs to the mount, "
									      "which makes it");
}

void operations_rename(fuse_req_t fuse, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		       const char *new_name, unsigned flags)
{
	struct request request = {.attempt = attempt_rename, .flags = flags};
	struct mount *mount = fuse_req_userdata(fuse);
	struct node *folder = nodes_find(mount->nodes, parent);
	bool can_be = false;

	if (folder) {
		struct path path = node_path(folder);

		can_be = path_child(&path, name, &request.from);
	}
	nodes_unref(mount->nodes, folder);
	if (can_be)
		request_begin_in(fuse, new_parent, new_name, EINVAL, &request);
	else
		fuse_reply_err(fuse, ENOENT);
}
