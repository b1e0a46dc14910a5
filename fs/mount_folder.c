/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Whether a folder can be mounted on. What is mounted there already may hang, so the kernel's list is read before the
 * folder is touched.
 */
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_fuse(const char *type)
{
	return strncmp(type, "fuse", 4) == 0 && (type[4] == 0 || type[4] == '.');
}

/* 0.1.0 mounted as fuse.warg: clear dead mounts of that type, too. */
static bool is_type_of_ours(const char *type)
{
	return strcmp(type, "fuse.wargfs") == 0 || strcmp(type, "fuse.warg") == 0;
}

/* What is mounted right on a folder. */
struct record_state {
	bool is_taken; /* by FUSE, be it under something else */
	bool is_ours;  /* what is on top */
};

/* @param source  where the source of what is on top is copied to, free() it; may be NULL */
static struct record_state look_for(const char *folder, char **source)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct record_state standing = {0};
	char texts[8192];
	struct mntent entry;

	while (mounts && getmntent_r(mounts, &entry, texts, sizeof(texts))) {
		if (strcmp(entry.mnt_dir, folder))
			continue;
		standing.is_taken |= is_fuse(entry.mnt_type);
		standing.is_ours = is_type_of_ours(entry.mnt_type);
		if (source) {
			free(*source);
			*source = strdup(entry.mnt_fsname);
		}
	}
	if (mounts)
		endmntent(mounts);
	return standing;
}

void mount_list(uid_t owner, void (*found)(void *user, const char *folder), void *user)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	char texts[8192], own[32];
	struct mntent entry;
	const char *made_by;

	snprintf(own, sizeof(own), "user_id=%u", owner);
	while (mounts && getmntent_r(mounts, &entry, texts, sizeof(texts))) {
		made_by = is_type_of_ours(entry.mnt_type) ? hasmntopt(&entry, "user_id") : NULL;
		if (made_by && strcspn(made_by, ",") == strlen(own) && strncmp(made_by, own, strlen(own)) == 0)
			found(user, entry.mnt_dir);
	}
	if (mounts)
		endmntent(mounts);
}

static struct record_state look(const char *folder)
{
	return look_for(folder, NULL);
}

int mount_find_source(const char *folder, char **out, struct fault *flt)
{
	bool is_ours;

	*out = NULL;
	is_ours = look_for(folder, out).is_ours;
	if (is_ours && !*out)
		return fault_no_memory(flt);
	if (!is_ours) {
		free(*out);
		*out = NULL;
	}
	return 0;
}

bool mount_is_ours(const char *folder)
{
	return look(folder).is_ours;
}

#define CONTAINER "in a container use --device /dev/fuse --cap-add SYS_ADMIN"

static bool has_program(const char *name)
{
	const char *path = getenv("PATH");
	char full[4096];

	/* libfuse knows where its distribution puts it. */
	snprintf(full, sizeof(full), "/usr/bin/%s", name);
	if (!access(full, X_OK))
		return true;
	for (; path && *path; path += strcspn(path, ":"), path += *path == ':') {
		snprintf(full, sizeof(full), "%.*s/%s", (int)strcspn(path, ":"), path, name);
		if (!access(full, X_OK))
			return true;
	}
	return false;
}

/* libfuse's own words for these blame the folder, or nobody. */
static int check_fuse(struct fault *flt)
{
	int device;

	if (access("/dev/fuse", F_OK))
		return fault_undecided(flt, FAULT_SYSTEM, "FUSE is not available: /dev/fuse is missing. Load it with "
				       "'modprobe fuse'; " CONTAINER);
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (device < 0)
		return geteuid() && errno == EACCES ?
		       fault_system(flt, errno, "this user may not open /dev/fuse, without which nothing is mounted "
				    "(as root: chmod 666 /dev/fuse)") :
		       fault_system(flt, errno, "FUSE is not available (" CONTAINER "): /dev/fuse");
	close(device);
	if (geteuid() && !has_program("fusermount3"))
		return fault_undecided(flt, FAULT_SYSTEM, "fusermount3 is not installed, and only root mounts without "
				       "it: it is in the package fuse3");
	return 0;
}

int mount_check_folder(const char *folder, struct fault *flt)
{
	struct stat seen;

	if (check_fuse(flt))
		return flt ? flt->verdict : WARG_UNDECIDED;
	if (look(folder).is_taken)
		return fault_system(flt, EBUSY, "something is mounted on %.100s already (a registry: 'wargfs umount "
				    "%.100s' ends it)", folder, folder);
	if (stat(folder, &seen))
		return fault_system(flt, errno, "%.150s cannot be mounted on", folder);
	if (!S_ISDIR(seen.st_mode))
		return fault_system(flt, ENOTDIR, "%.150s cannot be mounted on", folder);
	if (access(folder, W_OK))
		return fault_system(flt, errno, "%.150s cannot be mounted on: it has to be writable", folder);
	return 0;
}
