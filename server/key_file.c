/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Reading and making private keys (see key_file.h).
 */
#include "key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "client/base/file.h"
#include "verify/caps.h"

int key_file_parse(struct span text, struct ecdsa_private_key **out, struct fault *flt)
{
	int r;

	while (text.length && (text.data[text.length - 1] == '\n' || text.data[text.length - 1] == '\r'))
		text.length--;
	r = ecdsa_private_key_parse(text, out, flt);
	if (r)
		fault_at(flt, "the key");
	return r;
}

/* Whether this process could change the file's mode. */
static bool is_ours_to_change(int fd, const struct stat *status)
{
	const uid_t user = geteuid();
	struct statvfs there;

	return (!user || status->st_uid == user) && (fstatvfs(fd, &there) || !(there.f_flag & ST_RDONLY));
}

int key_file_check_mode(int fd, const char *path, const char *what, bool *is_shared, struct fault *flt)
{
	struct stat status;

	if (is_shared)
		*is_shared = false;
	if (fstat(fd, &status))
		return fault_system(flt, errno, "%.150s", path);
	if (!S_ISREG(status.st_mode) || !(status.st_mode & (S_IRWXG | S_IRWXO)))
		return 0;
	if (is_ours_to_change(fd, &status))
		return fault_system(flt, EACCES, "%.150s: others may read this %s; chmod 600 lets only you", path,
				    what);
	if (is_shared)
		*is_shared = true;
	return 0;
}

static int take_key(int fd, const char *path, struct ecdsa_private_key **out, struct fault *flt)
{
	struct buf bytes;
	int r;

	buf_init(&bytes, CAP_SECRET);
	r = key_file_check_mode(fd, path, "key", NULL, flt);
	if (!r)
		r = file_read_all(fd, &bytes, flt);
	if (!r)
		r = key_file_parse(buf_span(&bytes), out, flt);
	buf_wipe(&bytes);
	close(fd);
	return r;
}

int key_file_read(const char *path, struct ecdsa_private_key **out, struct fault *flt)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	/* The path is not repeated: it may be the key itself. */
	if (fd < 0)
		return fault_system(flt, errno, "the file of the operator's key");
	return take_key(fd, path, out, flt);
}

static int make_key(int folder, const char *name, struct ecdsa_private_key **out, struct fault *flt)
{
	struct ecdsa_private_key *key;
	struct buf text;
	int r = ecdsa_private_key_generate(&key, flt);

	if (r)
		return r;
	buf_init(&text, CAP_SECRET);
	r = ecdsa_private_key_format(key, &text, flt);
	if (!r)
		r = file_replace(folder, name, 0600, buf_span(&text), flt);
	if (!r)
		r = file_sync(folder, flt);
	buf_wipe(&text);
	if (r)
		ecdsa_private_key_free(key);
	else
		*out = key;
	return r;
}

int key_file_keep(int folder, const char *name, bool make, struct ecdsa_private_key **out, struct fault *flt)
{
	int fd = -1;
	int r = file_open(folder, name, &fd, NULL, flt);

	if (!r && fd >= 0)
		r = take_key(fd, name, out, flt);
	else if (!r && make)
		r = make_key(folder, name, out, flt);
	else if (!r)
		r = fault_undecided(flt, FAULT_NO_KEY, "there is no %.60s", name);
	return r;
}
