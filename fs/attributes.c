/*
 * What stat() says of a node.
 *
 * A size that was counted from verified bytes holds for ever. One that is only claimed, or not known yet, holds for
 * no time at all: the kernel asks again, and gets the true one once there is one.
 */
#include "mount_parts.h"
#include "tree.h"

#include <string.h>

/* 4096 is what every reader rounds up anyway; the kernel's own default. */
#define BLOCK_SIZE 4096

static void set_time(struct stat *out, struct record_time time)
{
	out->st_mtim = (struct timespec){ .tv_sec = time.seconds, .tv_nsec = time.nanos };
	out->st_atim = out->st_ctim = out->st_mtim;
}

static const struct view_package *package_of(const struct view *view, const struct path *path)
{
	struct name name = path_package(path);

	return view_find(view, &name);
}

static double of_release(struct mount *mount, const struct view *view, struct node *node, struct stat *out)
{
	struct path path = node_path(node);
	const struct view_package *package = package_of(view, &path);
	const struct package_release *release = package ? package_log_find(package->log, path_version(&path)) : NULL;
	bool verified = atomic_load(&node->verified);
	uint64_t size = 0;

	if (verified)
		size = atomic_load(&node->size);
	else
		content_find_size(registry_content(mount->registry), &node->content, &size);
	atomic_store(&node->told_size, size);
	if (release)
		set_time(out, release->time);
	out->st_mode = S_IFREG | (0444 & ~mount->options.umask);
	out->st_nlink = 1;
	out->st_size = (off_t)size;
	out->st_blocks = (blkcnt_t)((size + 511) / 512);
	return verified ? MOUNT_FOREVER : 0;
}

static double of_latest(const struct view *view, const struct node *node, struct stat *out)
{
	struct path path = node_path(node);
	const struct view_package *package = package_of(view, &path);
	const struct package_release *best = package ? package_log_best(package->log, NULL) : NULL;

	if (best) {
		set_time(out, best->time);
		out->st_size = (off_t)(strlen(best->version) + sizeof(PATH_SUFFIX) - 1);
	}
	out->st_mode = S_IFLNK | 0777;
	out->st_nlink = 1;
	return MOUNT_FOREVER;
}

static double of_folder(struct mount *mount, const struct view *view, const struct node *node, struct stat *out)
{
	struct path path = node_path(node);
	struct record_time time;

	if (tree_changed_at(view, &path, &time))
		set_time(out, time);
	out->st_mode = S_IFDIR | (0555 & ~mount->options.umask);
	/* 1 tells programs that count links that they say nothing about folders inside. */
	out->st_nlink = path.kind == PATH_PACKAGE ? 2 : 1;
	return MOUNT_FOREVER;
}

double mount_attributes(struct mount *mount, const struct view *view, struct node *node, struct stat *out)
{
	*out = (struct stat){
		.st_ino = node->number,
		.st_uid = mount->options.uid,
		.st_gid = mount->options.gid,
		.st_blksize = BLOCK_SIZE,
	};
	switch (node->kind) {
	case PATH_RELEASE:
		return of_release(mount, view, node, out);
	case PATH_LATEST:
		return of_latest(view, node, out);
	default:
		return of_folder(mount, view, node, out);
	}
}
