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

/* Whether a FUSE mount stands right there. */
static bool is_taken(const char *folder)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	char texts[8192];
	struct mntent entry;
	bool taken = false;

	while (mounts && !taken && getmntent_r(mounts, &entry, texts, sizeof(texts)))
		taken = is_fuse(entry.mnt_type) && strcmp(entry.mnt_dir, folder) == 0;
	if (mounts)
		endmntent(mounts);
	return taken;
}

int mount_check_folder(const char *folder, struct fault *flt)
{
	struct stat seen;

	if (is_taken(folder))
		return fault_system(flt, EBUSY, "something is mounted on %.150s already", folder);
	if (stat(folder, &seen))
		return fault_system(flt, errno, "%.150s cannot be mounted on", folder);
	if (!S_ISDIR(seen.st_mode))
		return fault_system(flt, ENOTDIR, "%.150s cannot be mounted on", folder);
	if (access(folder, W_OK))
		return fault_system(flt, errno, "%.150s cannot be mounted on: it has to be writable", folder);
	return 0;
}
