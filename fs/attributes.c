/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What stat() says of a node.
 *
 * A size that was counted holds for ever. One that is only claimed, or not known at all, holds for no time, and it is
 * remembered that it was told: who is about to read asks for the true one (see reading.c). A document's is known
 * with its text.
 */
#include "mount_parts.h"

#include "max_age.h"
#include "document.h"
#include "federated.h"
#include "links.h"
#include "draft.h"
#include "times.h"
#include "transaction.h"
#include "tree.h"

#include <string.h>

/* 4096 is what every reader rounds up anyway; the kernel's own default. */
#define BLOCK_SIZE 4096

static void set_size(struct stat *out, uint64_t size)
{
	out->st_size = (off_t)size;
	out->st_blocks = (blkcnt_t)((size + 511) / 512);
}

/* @return 0, for how long a size holds that was not counted */
static double guess(struct node *node, uint64_t size, struct stat *out)
{
	atomic_fetch_add(&node->guesses, 1);
	set_size(out, size);
	return 0;
}

static double of_release(struct mount *mount, const struct path *path, struct node *node, struct stat *out)
{
	struct registry *registry = mount_registry(mount, path);
	uint64_t size = 0;

	if (atomic_load(&node->verified)) {
		set_size(out, atomic_load(&node->size));
		return MOUNT_FOREVER;
	}
	if (!registry || !content_find_size(registry_content(registry), node_content(node), &size) || !size)
		return guess(node, MOUNT_SIZE_UNKNOWN, out);
	atomic_store(&node->claimed, size);
	return guess(node, size, out);
}

static double of_document(struct node *node, struct stat *out)
{
	const struct buf *text = node_document(node);

	if (!text)
		return guess(node, MOUNT_SIZE_UNKNOWN, out);
	set_size(out, text->length);
	return MOUNT_FOREVER;
}

/* It never changes: so it can be told before anybody asks. */
static double of_yanked(struct mount *mount, const struct view *view, const struct path *path, struct node *node,
			struct stat *out)
{
	struct buf text;
	int verdict;

	buf_init(&text, DOCUMENT_MOST);
	verdict = document_render(mount, view, path, &text, NULL);
	if (!verdict)
		set_size(out, text.length);
	buf_release(&text);
	return verdict ? guess(node, MOUNT_SIZE_UNKNOWN, out) : MOUNT_FOREVER;
}

static double of_link(struct mount *mount, const struct view *view, const struct path *path, bool has_time,
		      struct stat *out)
{
	char target[PATH_SIZE];

	if (tree_link(view, path, target) || links_target(mount, path, target))
		out->st_size = (off_t)strlen(target);
	return has_time && path->kind != PATH_STAGED_LINK ? max_age_timeout(mount, path) : 0;
}

/*
 * Modes are the same in all mounts, so that copies can be written over: `cp` gives a copy the mode of its source. In a
 * read-only mount the kernel refuses writes whatever the modes say; in any other the mount does, with the reason.
 */
static mode_t mode_of(const struct mount *mount, enum path_kind kind)
{
	switch (path_type(kind)) {
	case S_IFLNK:
		return S_IFLNK | 0777;
	case S_IFDIR:
		return S_IFDIR | (0755 & ~mount->options.umask);
	default:
		return S_IFREG | (0644 & ~mount->options.umask);
	}
}

/* 1 tells programs that count links that they say nothing about folders inside. */
static nlink_t links_of(enum path_kind kind)
{
	return kind == PATH_PACKAGE || kind == PATH_YANKED || kind == PATH_PROOFS_PACKAGE ||
	       kind == PATH_RECEIPTS_PACKAGE ? 2 : 1;
}

/* A file of the disk, but for its number and its owner. Others may change it, too. */
static double of_staged(const struct mount *mount, const struct node *node, struct stat *out)
{
	struct stat real;

	if (draft_stat(node, &real, NULL) == 0) {
		out->st_mode = S_IFREG | (real.st_mode & 0777 & ~mount->options.umask);
		out->st_nlink = node->draft->is_nameless ? 1 : real.st_nlink;
		out->st_size = real.st_size;
		out->st_blocks = real.st_blocks;
		out->st_mtim = real.st_mtim;
		out->st_ctim = real.st_ctim;
		out->st_atim = real.st_atim;
	}
	return 0;
}

/* A folder without a time from the registry may have been made locally; one of drafts or a transaction was. */
static double of_folder(const struct mount *mount, const struct path *path, bool has_time, struct stat *out)
{
	bool is_local = !has_time || path->kind == PATH_TRANSACTION || path_is_inner(path->kind);

	if (is_local && draft_has_folder(mount, path, &out->st_mtim))
		out->st_atim = out->st_ctim = out->st_mtim;
	return path_is_for_writing(path->kind) || !has_time ? 0 : MOUNT_FOREVER;
}

static bool set_time(const struct view *view, const struct path *path, struct stat *out)
{
	struct record_time time;

	if (!tree_changed_at(view, path, &time))
		return false;
	out->st_mtim = (struct timespec){ .tv_sec = time.seconds, .tv_nsec = time.nanos };
	out->st_atim = out->st_ctim = out->st_mtim;
	return true;
}

/* A namespace of another registry is not fetched before a request looks into it: give it a local time. */
static bool set_time_of_elsewhere(const struct mount *mount, struct stat *out)
{
	struct view *home = registry_view(mount->registry);
	struct path root = path_root();
	bool has = set_time(home, &root, out);

	view_unref(home);
	return has;
}

/* @return whether the time is known */
static bool find_time(const struct mount *mount, const struct view *view, const struct node *node,
		      const struct path *path, struct stat *out)
{
	struct namespaces_place place = {0};
	struct path root = path_root();

	if (path_has_namespace(path->kind) && !path_has_package(path->kind) &&
	    federated_find(mount, path, &place, NULL) == 0 && place.domain[0])
		return set_time_of_elsewhere(mount, out);
	if (set_time(view, path, out))
		return true;
	/* If the newest package does not verify, use the time at which the namespace was defined. */
	if (!path_has_package(path->kind) && times_are_vain(view, node))
		set_time(view, &root, out);
	return false;
}

double mount_attributes(struct mount *mount, const struct view *view, struct node *node, struct stat *out)
{
	struct path path = node_path(node);
	bool has_time;

	*out = (struct stat){
		.st_ino = node->shown,
		.st_mode = mode_of(mount, path.kind),
		.st_nlink = links_of(path.kind),
		.st_uid = mount->options.uid,
		.st_gid = mount->options.gid,
		.st_blksize = BLOCK_SIZE,
	};
	has_time = find_time(mount, view, node, &path, out);
	if (node->draft)
		return of_staged(mount, node, out);
	if (path.kind == PATH_RELEASE)
		return of_release(mount, &path, node, out);
	if (path.kind == PATH_YANKED_VERSION)
		return of_yanked(mount, view, &path, node, out);
	if (path_type(path.kind) == S_IFLNK)
		return of_link(mount, view, &path, has_time, out);
	if (path_type(path.kind) == S_IFDIR)
		return of_folder(mount, &path, has_time, out);
	if (path.kind == PATH_ENTRY) {
		set_size(out, transaction_size(mount, node));
		return 0;
	}
	return of_document(node, out);
}
