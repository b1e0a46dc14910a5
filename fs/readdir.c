/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Listing folders.
 *
 * An open folder is a snapshot: offsets into it stay good however the registry grows in between.
 */
#include "max_age.h"
#include "federated.h"
#include "operations.h"
#include "receipt.h"
#include "draft.h"
#include "transaction.h"
#include "tree.h"

#include <errno.h>
#include <stdlib.h>

/* An open folder. Offset 0 is ".", 1 is "..", then come the entries. */
struct folder {
	struct handle handle; /* first, so that one is found from the other */
	struct view *view; /* one reference; the entries borrow from it */
	struct node *node; /* one reference */
	struct tree_entries entries;
	/* What some entries borrow from, in place of the view; NULL or zeroed: none do. */
	struct namespaces_listed *others;
	struct draft_listed *draft;
	struct receipt_listed *receipts;
	struct pending pending;
};
#define DOTS 2

static struct folder *folder_of(const struct fuse_file_info *file)
{
	return (struct folder *)(uintptr_t)file->fh;
}

static void folder_free(struct mount *mount, struct folder *folder)
{
	handle_close(mount, &folder->handle);
	tree_entries_release(&folder->entries);
	free(folder->others);
	free(folder->draft);
	free(folder->receipts);
	pending_release(&folder->pending);
	view_unref(folder->view);
	nodes_unref(mount->nodes, folder->node);
	free(folder);
}

static void end_folder(struct mount *mount, struct handle *handle)
{
	folder_free(mount, (struct folder *)(void *)handle);
}

/* @return NULL without memory; the request has failed then */
static struct folder *folder_new(struct request *request, struct view *view)
{
	struct folder *folder = calloc(1, sizeof(*folder));

	if (!folder) {
		request_fail(request, ENOMEM);
		return NULL;
	}
	folder->view = view_ref(view);
	folder->node = request->node;
	nodes_ref(request->mount->nodes, folder->node);
	return folder;
}

/* Takes over the folder. */
static void reply_open(struct request *request, struct folder *folder)
{
	request_settle(request);
	request->file.fh = (uintptr_t)folder;
	handle_open(request->mount, &folder->handle, end_folder);
	if (fuse_reply_open(request->fuse, &request->file) < 0)
		folder_free(request->mount, folder);
	request_free(request);
}

/* Takes over the folder. */
static void fail(struct request *request, struct folder *folder, const struct fault *flt)
{
	folder_free(request->mount, folder);
	request_fail_with(request, flt);
}

/*
 * Without a listing what is known is shown, if anything is: `user.warg.complete` says that it is not all,
 * `user.warg.last_error` why.
 */
static void open_known(struct request *request, struct view *view)
{
	struct folder *folder = folder_new(request, view);
	struct mount *mount = request->mount;
	struct fault flt = {0};

	if (!folder)
		return;
	if (tree_list(view, &request->path, &folder->entries, &flt)) {
		fail(request, folder, &flt);
		return;
	}
	/* What cannot be told of others hides nothing that is at home; nor does what was written here. */
	federated_list(mount, &request->path, &folder->entries, &folder->others, &flt);
	if (mount->staging && !request->is_elsewhere)
		draft_list(mount, view, &request->path, &folder->entries, &folder->draft, &flt);
	if (request->path.kind == PATH_RECEIPTS_PACKAGE)
		receipt_list(mount, &request->path, &folder->entries, &folder->receipts, &flt);
	if (request->fault.verdict)
		flt = request->fault;
	if (flt.verdict && !folder->entries.count) {
		fail(request, folder, &flt);
		return;
	}
	if (flt.verdict)
		mount_tell(mount, request->node, &flt);
	else
		nodes_set_error(mount->nodes, request->node, NULL);
	reply_open(request, folder);
}

/* A folder that was made here, and that the registry has nothing of, or tells nothing of just now. */
static void open_made(struct request *request, struct view *view)
{
	struct folder *folder = folder_new(request, view);
	struct fault flt = {0};

	if (!folder)
		return;
	if (draft_list(request->mount, view, &request->path, &folder->entries, &folder->draft, &flt))
		fail(request, folder, &flt);
	else
		reply_open(request, folder);
}

static void open_transaction(struct request *request, struct view *view)
{
	struct folder *folder = folder_new(request, view);
	struct mount *mount = request->mount;
	struct fault flt = {0};
	int verdict;

	if (!folder)
		return;
	verdict = transaction_list(mount, &request->path, &folder->pending, &folder->entries, &flt);
	if (!verdict && request->path.kind == PATH_TRANSACTION)
		verdict = draft_list(mount, view, &request->path, &folder->entries, &folder->draft, &flt);
	if (verdict)
		fail(request, folder, &flt);
	else
		reply_open(request, folder);
}

static bool is_made_here(const struct request *request, const struct view *view, const struct name *name)
{
	return request->path.kind == PATH_PACKAGE && !request->is_elsewhere &&
	       (request->fault.verdict || tree_has_package(view, name) == TREE_NO) &&
	       draft_has_folder(request->mount, &request->path, NULL);
}

static void open_package(struct request *request, struct view *view)
{
	const struct view_package *package = tree_package(view, &request->path);
	struct name name = path_package(&request->path);

	if (!package && is_made_here(request, view, &name)) {
		open_made(request, view);
		return;
	}
	if (!package) {
		request_want_package(request, &name);
		return;
	}
	/* What went wrong since takes nothing away from what was proven before. */
	if (package->fault)
		request->fault = *package->fault;
	open_known(request, view);
}

/* Whether there is no listing, or only one of the past. */
static bool lacks_listing(const struct view *view)
{
	const struct listing *listing = view->listing;

	return !listing || (listing->length && listing->length != view->checkpoint.contents.log_length);
}

static void open_folder(struct request *request, struct view *view)
{
	bool of_listing = request->path.kind != PATH_WARG;

	if (path_is_inner(request->path.kind))
		open_made(request, view);
	else if (path_is_for_writing(request->path.kind))
		open_transaction(request, view);
	else if (path_has_package(request->path.kind))
		open_package(request, view);
	else if (of_listing && lacks_listing(view) && !request_has_wanted(request, REQUEST_LISTING))
		request_want_listing(request);
	else
		open_known(request, view);
}

static void attempt_opendir(struct request *request)
{
	struct view *view = registry_view(request->registry);

	if (max_age_allows(request))
		open_folder(request, view);
	view_unref(view);
}

void operations_opendir(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file)
{
	const struct request request = {.attempt = attempt_opendir, .file = *file, .needs_registry = true};
	struct mount *mount = fuse_req_userdata(fuse);

	metrics_count(&mount->metrics, METRICS_OPENDIR);
	request_begin(fuse, number, &request);
}

void operations_releasedir(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file)
{
	(void)number;
	folder_free(fuse_req_userdata(fuse), folder_of(file));
	fuse_reply_err(fuse, 0);
}

/* Somewhere that the reply is put together. */
struct page {
	fuse_req_t fuse;
	struct mount *mount;
	struct folder *folder;
	struct path path; /* the folder's */
	bool plus;
	bool enter; /* the kernel is to learn of what is listed */
	char *bytes;
	size_t size, used;
};

/* @return whether it fitted. What does not fit must not be entered: the kernel would never forget it. */
static bool put(struct page *page, const char *name, const struct fuse_entry_param *entry, size_t index)
{
	char *to = page->bytes + page->used;
	size_t room = page->size - page->used, needed;

	if (page->plus)
		needed = fuse_add_direntry_plus(page->fuse, to, room, name, entry, (off_t)(index + 1));
	else
		needed = fuse_add_direntry(page->fuse, to, room, name, &entry->attr, (off_t)(index + 1));
	if (needed > room)
		return false;
	page->used += needed;
	return true;
}

static bool has_room(const struct page *page, const char *name)
{
	size_t needed = page->plus ? fuse_add_direntry_plus(page->fuse, NULL, 0, name, NULL, 0) :
				     fuse_add_direntry(page->fuse, NULL, 0, name, NULL, 0);

	return needed <= page->size - page->used;
}

static bool put_dots(struct page *page, size_t index)
{
	struct path path = index ? path_parent(&page->path) : page->path;
	struct fuse_entry_param entry = {.attr.st_mode = S_IFDIR};

	entry.attr.st_ino = nodes_number(page->mount->nodes, &path, NULL);
	return put(page, index ? ".." : ".", &entry, index);
}

/*
 * The kernel keeps what is listed until it is looked at: `ls -l` costs no message a file. What is not known is not
 * entered: told beside somebody who reads it already, it would hide what he was told.
 */
#define SECONDS_OF_A_LOOK 0.2

static void enter(struct page *page, const struct path *path, const struct digest *content,
		  struct fuse_entry_param *entry)
{
	struct nodes *nodes = page->mount->nodes;
	struct node *node = nodes_enter(nodes, path, content);

	if (!node)
		return;
	entry->attr_timeout = mount_attributes(page->mount, page->folder->view, node, &entry->attr);
	if (path->kind == PATH_RELEASE && !entry->attr_timeout)
		entry->attr_timeout = SECONDS_OF_A_LOOK;
	if (entry->attr.st_size != MOUNT_SIZE_UNKNOWN) {
		entry->ino = node->number;
		nodes_look_up(nodes, node);
	}
	nodes_unref(nodes, node);
}

static bool put_entry(struct page *page, size_t index)
{
	const struct tree_entry *from = &page->folder->entries.entries[index - DOTS];
	struct fuse_entry_param entry = {.entry_timeout = MOUNT_FOREVER, .attr.st_mode = path_type(from->kind)};
	struct path path;

	if (!path_join(&page->path, from->kind, from->stem, &path))
		return true;
	if (!has_room(page, path_name(&path)))
		return false;
	if (path_type(from->kind) == S_IFLNK)
		entry.entry_timeout = max_age_timeout_of_link(page->mount, &path);
	/* What others may change, too, the kernel looks up when it is asked for. */
	if (page->enter && !from->is_staged)
		enter(page, &path, from->digest, &entry);
	if (!entry.ino)
		entry.attr.st_ino = nodes_number(page->mount->nodes, &path, from->digest);
	return put(page, path_name(&path), &entry, index);
}

/* What an older view says may have been taken back already, and would not be again: the kernel is not to keep it. */
static bool is_current(const struct page *page)
{
	struct registry *registry = mount_registry(page->mount, &page->path);
	struct view *view = registry ? registry_view(registry) : NULL;
	bool current = view == page->folder->view;

	view_unref(view);
	return current;
}

static void list(fuse_req_t fuse, size_t size, off_t offset, struct folder *folder, bool plus)
{
	struct page page =
		{fuse, fuse_req_userdata(fuse), folder, node_path(folder->node), plus, false, malloc(size), size, 0};
	size_t index = (size_t)offset, end = folder->entries.count + DOTS;

	metrics_count(&page.mount->metrics, METRICS_READDIR);
	if (!page.bytes) {
		fuse_reply_err(fuse, ENOMEM);
		return;
	}
	page.enter = plus && is_current(&page);
	if ((folder->node->kind == PATH_PACKAGE || folder->node->kind == PATH_NAMESPACE) && !offset)
		atomic_store(&folder->node->listed, true);
	while (index < end && (index < DOTS ? put_dots(&page, index) : put_entry(&page, index)))
		index++;
	fuse_reply_buf(fuse, page.bytes, page.used);
	free(page.bytes);
}

void operations_readdir(fuse_req_t fuse, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *file)
{
	(void)number;
	list(fuse, size, offset, folder_of(file), false);
}

void operations_readdirplus(fuse_req_t fuse, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *file)
{
	(void)number;
	list(fuse, size, offset, folder_of(file), true);
}
