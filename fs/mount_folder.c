/*
 * Whether a folder can be mounted on. What is mounted there already may hang, so the kernel's list is read before the
 * folder is touched.
 */
#include "mount.h"

#include <errno.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_fuse(const char *type)
{
	return strncmp(type, "fuse", 4) == 0 && (type[4] == 0 || type[4] == '.');
}

/* What is mounted right on a folder. */
struct standing {
	bool is_taken; /* by FUSE, be it under something else */
	bool is_ours;  /* what is on top */
};

static struct standing look(const char *folder)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct standing standing = {0};
	char texts[8192];
	struct mntent entry;

	while (mounts && getmntent_r(mounts, &entry, texts, sizeof(texts))) {
		if (strcmp(entry.mnt_dir, folder))
			continue;
		standing.is_taken |= is_fuse(entry.mnt_type);
		standing.is_ours = strcmp(entry.mnt_type, "fuse.warg") == 0;
	}
	if (mounts)
		endmntent(mounts);
	return standing;
}

bool mount_is_ours(const char *folder)
{
	return look(folder).is_ours;
}

int mount_check_folder(const char *folder, struct fault *flt)
{
	struct stat seen;

	if (look(folder).is_taken)
		return fault_system(flt, EBUSY, "something is mounted on %.150s already", folder);
	if (stat(folder, &seen))
		return fault_system(flt, errno, "%.150s cannot be mounted on", folder);
	if (!S_ISDIR(seen.st_mode))
		return fault_system(flt, ENOTDIR, "%.150s cannot be mounted on", folder);
	if (access(folder, W_OK))
		return fault_system(flt, errno, "%.150s cannot be mounted on: it has to be writable", folder);
	return 0;
}
