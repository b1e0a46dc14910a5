/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Temporary files with a lock: temp_file.h.
 */
#include "temp_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

#define TEMP_FILE_MODE 0600

int temp_file_make(int folder, struct temp_file *out, bool *made, struct fault *flt)
{
	struct temp_file temp;
	struct stat status;
	int r;

	r = file_new_name(TEMP_FILE_PREFIX, temp.name, sizeof(temp.name), flt);
	if (r)
		return r;
	*made = false;
	temp.fd = openat(folder, temp.name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, TEMP_FILE_MODE);
	if (temp.fd < 0 && (errno == EEXIST || errno == ENOENT))
		return 0;
	if (temp.fd < 0)
		return fault_system(flt, errno, "making a temporary file");
	/* On a file system without locks, no sweep gets one either. */
	if ((flock(temp.fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) || fstat(temp.fd, &status) ||
	    !status.st_nlink) {
		close(temp.fd);
		return 0;
	}
	*out = temp;
	*made = true;
	return 0;
}

static void sweep_temp(int folder, const char *name, void *context)
{
	(void)context;
	if (!strncmp(name, TEMP_FILE_PREFIX, strlen(TEMP_FILE_PREFIX)))
		file_remove_unlocked(folder, name);
}

void temp_file_sweep(const char *top, const char *inner)
{
	file_walk(top, inner, sweep_temp, NULL, NULL);
}
