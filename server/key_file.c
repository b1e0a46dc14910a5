/*
 * Reading and making private keys (see key_file.h).
 */
#include "key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/file.h"
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

/* @param bytes  wiped by the caller */
static int read_key(int fd, struct buf *bytes, const char *path, struct fault *flt)
{
	struct stat status;

	if (fstat(fd, &status))
		return fault_system(flt, errno, "%.150s", path);
	if (status.st_mode & (S_IRWXG | S_IRWXO))
		return fault_system(flt, EACCES, "%.150s: others may read this key", path);
	return file_read_all(fd, bytes, flt);
}

static int take_key(int fd, const char *path, struct ecdsa_private_key **out, struct fault *flt)
{
	struct buf bytes;
	int r;

	buf_init(&bytes, CAP_SECRET);
	r = read_key(fd, &bytes, path, flt);
	if (!r)
		r = key_file_parse(buf_span(&bytes), out, flt);
	buf_wipe(&bytes);
	close(fd);
	return r;
}

int key_file_read(const char *path, struct ecdsa_private_key **out, struct fault *flt)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fault_system(flt, errno, "%.150s", path);
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

int key_file_keep(const char *data_dir, const char *name, bool make, struct ecdsa_private_key **out,
		      struct fault *flt)
{
	int folder, fd = -1;
	int r = file_open_top(data_dir, &folder, flt);

	if (r)
		return r;
	r = file_open(folder, name, &fd, NULL, flt);
	if (!r && fd >= 0)
		r = take_key(fd, name, out, flt);
	else if (!r && make)
		r = make_key(folder, name, out, flt);
	else if (!r)
		r = fault_undecided(flt, FAULT_NO_KEY, "there is no %.60s in %.150s", name, data_dir);
	close(folder);
	return r;
}
