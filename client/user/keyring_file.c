/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The keyring in files, one a secret, for nobody else to read: keyring.h, interop.md section C 10.
 */
#include "keyring_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/file.h"
#include "verify/caps.h"

#define FOLDER_MODE 0700
#define FILE_MODE 0600

/* ---- Names: a form-urlencoded pair, as the URL standard's serializer writes it ---- */

static int append_encoded(const char *text, struct buf *out, struct fault *flt)
{
	int r = 0;

	for (const unsigned char *c = (const unsigned char *)text; *c && !r; c++) {
		if ((*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') ||
		    strchr("*-._", *c))
			r = buf_append(out, (struct span){c, 1}, flt);
		else if (*c == ' ')
			r = buf_append_text(out, "+", flt);
		else
			r = buf_append_format(out, flt, "%%%02X", *c);
	}
	return r;
}

/* @param out  the file's name, with a NUL behind it */
static int name_file(const struct keyring_entry *entry, struct buf *out, struct fault *flt)
{
	int r = buf_append_text(out, "service=", flt);

	if (!r)
		r = append_encoded(entry->service, out, flt);
	if (!r)
		r = buf_append_text(out, "&user=", flt);
	if (!r)
		r = append_encoded(entry->user, out, flt);
	return r ? r : buf_append(out, (struct span){(const unsigned char *)"", 1}, flt);
}

/* ---- The folder ---- */

static int make_folder(const char *path, struct fault *flt)
{
	const char *name;
	int parent = -1;
	int r = file_open_parent(path, &parent, &name, flt);

	if (r)
		return r;
	if (faccessat(parent, name, F_OK, 0))
		r = file_make_folder(parent, name, FOLDER_MODE, flt);
	close(parent);
	return r;
}

/* It has to be ours; where we write, it is for nobody else, as the reference has it. */
static int check_folder(int fd, bool make, struct fault *flt)
{
	struct stat status;

	if (fstat(fd, &status))
		return fault_system(flt, errno, "looking at its folder");
	if (status.st_uid != geteuid())
		return fault_system(flt, EPERM, "its folder is another user's");
	if (make && (status.st_mode & 07777) != FOLDER_MODE && fchmod(fd, FOLDER_MODE))
		return fault_system(flt, errno, "closing its folder to others");
	return 0;
}

/* @param fd  close() it; -1 if there is none and `make` is false */
static int open_folder(const struct config *config, bool make, int *fd, struct fault *flt)
{
	const char *path = config->keyring_dir;
	int opened, r;

	if (!path)
		return fault_undecided(flt, FAULT_NO_KEY, "there is no home folder: HOME is not set");
	r = make ? make_folder(path, flt) : 0;
	if (r)
		return r;
	opened = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (opened < 0 && (errno != ENOENT || make))
		return fault_system(flt, errno, "opening the folder %.150s", path);
	r = opened < 0 ? 0 : check_folder(opened, make, flt);
	if (r) {
		close(opened);
		return r;
	}
	*fd = opened;
	return 0;
}

/* ---- Secrets ---- */

/* Straight into the buffer: nothing is left of it anywhere else. */
static int read_secret(int fd, struct buf *out, struct fault *flt)
{
	size_t before = out->length;
	struct stat status;
	ssize_t count;
	int r;

	if (fstat(fd, &status))
		return fault_system(flt, errno, "looking at it");
	if (status.st_uid != geteuid())
		return fault_system(flt, EPERM, "the file is another user's");
	if (status.st_size > CAP_SECRET)
		return fault_invalid(flt, "it is longer than %u bytes", CAP_SECRET);
	r = buf_reserve(out, (size_t)status.st_size, flt);
	if (r)
		return r;
	while (out->length - before < (size_t)status.st_size) {
		count = read(fd, out->data + out->length, (size_t)status.st_size - (out->length - before));
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return fault_system(flt, errno, "reading");
		if (count == 0)
			break;
		out->length += (size_t)count;
	}
	/* Some editors leave one that nobody sees. */
	if (out->length > before && out->data[out->length - 1] == '\n')
		out->length--;
	return 0;
}

/* Remove temporary files of file_replace() that a killed process left: they hold secrets. */
static void sweep_leftovers(int folder)
{
	bool had = false;

	if (!file_lock(folder, 0, &had, NULL) && had)
		file_sweep_temps(folder);
}

static int find_in(int folder, const char *name, struct buf *out, bool *found, struct fault *flt)
{
	struct stat status;
	int fd = -1;
	int r = file_open(folder, name, &fd, NULL, flt);

	if (r)
		return r;
	sweep_leftovers(folder);
	if (fd < 0) {
		if (!fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW))
			return fault_invalid(flt, "it is no regular file");
		*found = false;
		return 0;
	}
	r = read_secret(fd, out, flt);
	close(fd);
	if (!r)
		*found = true;
	return r;
}

static int set_in(int folder, const char *name, struct span secret, struct fault *flt)
{
	int r = file_lock_or_fail(folder, flt);

	if (!r)
		file_sweep_temps(folder);
	if (!r)
		r = file_replace(folder, name, FILE_MODE, secret, flt);
	return r ? r : file_sync(folder, flt);
}

static int remove_from(int folder, const char *name, bool *found, struct fault *flt)
{
	bool was_there;
	int r = file_lock_or_fail(folder, flt);

	if (r)
		return r;
	file_sweep_temps(folder);
	was_there = !unlinkat(folder, name, 0);
	if (!was_there && errno != ENOENT)
		r = fault_system(flt, errno, "removing it");
	if (!r && was_there)
		r = file_sync(folder, flt);
	if (!r)
		*found = was_there;
	return r;
}

/* ---- Who may read it ---- */

/* Whether others reach the file through the folder, or the group does. */
static bool is_exposed(mode_t folder, mode_t file)
{
	return ((folder & S_IXOTH) && (file & S_IROTH)) || ((folder & S_IXGRP) && (file & S_IRGRP));
}

bool keyring_file_find_exposed(const struct config *config, char *out)
{
	DIR *folder = config->keyring_dir ? opendir(config->keyring_dir) : NULL;
	struct stat outer, inner;
	struct dirent *entry;
	bool found = false;

	if (!folder)
		return false;
	if (!fstat(dirfd(folder), &outer) && outer.st_mode & (S_IXOTH | S_IXGRP))
		while (!found && (entry = readdir(folder)))
			found = !strncmp(entry->d_name, "service=", strlen("service=")) &&
				!fstatat(dirfd(folder), entry->d_name, &inner, 0) && S_ISREG(inner.st_mode) &&
				is_exposed(outer.st_mode, inner.st_mode) &&
				snprintf(out, PATH_MAX, "%s/%s", config->keyring_dir, entry->d_name) < PATH_MAX;
	closedir(folder);
	return found;
}

/* ---- The backend ---- */

static int find(const struct config *config, const struct keyring_entry *entry, struct buf *out, bool *found,
		struct fault *flt)
{
	int folder = -1;
	struct buf name;
	int r;

	buf_init(&name, NAME_MAX + 1);
	r = name_file(entry, &name, flt);
	if (!r)
		r = open_folder(config, false, &folder, flt);
	if (!r && folder < 0)
		*found = false;
	else if (!r)
		r = find_in(folder, (const char *)name.data, out, found, flt);
	if (folder >= 0)
		close(folder);
	buf_release(&name);
	return r;
}

static int set(const struct config *config, const struct keyring_entry *entry, struct span secret, struct fault *flt)
{
	int folder = -1;
	struct buf name;
	int r;

	buf_init(&name, NAME_MAX + 1);
	r = name_file(entry, &name, flt);
	if (!r)
		r = open_folder(config, true, &folder, flt);
	if (!r)
		r = set_in(folder, (const char *)name.data, secret, flt);
	if (folder >= 0)
		close(folder);
	buf_release(&name);
	return r;
}

static int remove_entry(const struct config *config, const struct keyring_entry *entry, bool *found, struct fault *flt)
{
	int folder = -1;
	struct buf name;
	int r;

	buf_init(&name, NAME_MAX + 1);
	r = name_file(entry, &name, flt);
	if (!r)
		r = open_folder(config, false, &folder, flt);
	if (!r && folder < 0)
		*found = false;
	else if (!r)
		r = remove_from(folder, (const char *)name.data, found, flt);
	if (folder >= 0)
		close(folder);
	buf_release(&name);
	return r;
}

const struct keyring_backend keyring_file = {
	.name = "flat-file",
	.find = find,
	.set = set,
	.remove = remove_entry,
};
