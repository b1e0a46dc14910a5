/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Contents, shared by all registries: store.h.
 *
 * Only store_clear_contents() takes content/.lock. The reference holds it while it waits for the network, so downloads
 * could not be kept for minutes; and nobody needs it: a content is named by its digest and never changes, and a rename
 * puts it there whole. The reference's `clear` may remove the folders at any time, which is why each step makes them
 * again.
 */
#include "store_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/file.h"
#include "verify/caps.h"
#include "verify/hex.h"


/* content/sha256 or content/temp. */
static int open_inner(const struct store *store, const char *inner, bool make, int *fd, struct fault *flt)
{
	return file_open_inside(store->content_dir, inner, make, fd, flt);
}

int store_open_content(struct store *store, const struct digest *digest, int *fd, uint64_t *size, struct fault *flt)
{
	struct fault opened = {0};
	char name[DIGEST_TEXT_SIZE];
	int folder = -1;
	int r;

	r = open_inner(store, STORE_HASH_FOLDER, false, &folder, flt);
	if (r)
		return r;
	if (folder < 0) {
		*fd = -1;
		return 0;
	}
	store_file_name(digest, name);
	r = file_open(folder, name, fd, size, &opened);
	close(folder);
	/* One that we may not read is replaced by one that we may. */
	if (r && (opened.errnum == EACCES || opened.errnum == EPERM)) {
		*fd = -1;
		return 0;
	}
	fault_pass(&opened, flt);
	return r;
}

/* ---- Contents in the making ---- */

int store_new_temp(struct store *store, struct temp_file *out, struct fault *flt)
{
	bool made = false;
	int folder;
	int r = 0;

	for (int tries = 0; !r && !made && tries < 16; tries++) {
		folder = -1;
		r = open_inner(store, STORE_TEMP_FOLDER, true, &folder, flt);
		if (r)
			return r;
		r = temp_file_make(folder, out, &made, flt);
		close(folder);
	}
	if (!r && !made)
		r = fault_system(flt, EAGAIN, "making a temporary file");
	return r;
}

/* One try at the rename. @param again  the folder, or a folder in the content's place, went away: try once more */
static int rename_temp(const struct store *store, const struct temp_file *temp, const char *name, bool *again,
		       struct fault *flt)
{
	int from = -1, to = -1;
	int r;

	*again = false;
	r = open_inner(store, STORE_TEMP_FOLDER, false, &from, flt);
	if (!r)
		r = open_inner(store, STORE_HASH_FOLDER, true, &to, flt);
	if (r)
		goto out;
	if (from < 0) {
		r = fault_system(flt, ENOENT, "the temporary file was removed");
	} else if (renameat(from, temp->name, to, name)) {
		*again = errno == EISDIR && !unlinkat(to, name, AT_REMOVEDIR);
		r = *again ? 0 : fault_system(flt, errno, "keeping a content");
	} else {
		r = file_sync(to, flt);
	}
out:
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return r;
}

int store_keep_temp(struct store *store, struct temp_file *temp, const struct digest *digest, struct fault *flt)
{
	char name[DIGEST_TEXT_SIZE];
	bool again = false;
	int r;

	store_file_name(digest, name);
	r = file_sync(temp->fd, flt);
	if (!r)
		r = rename_temp(store, temp, name, &again, flt);
	if (!r && again) {
		r = rename_temp(store, temp, name, &again, flt);
		if (!r && again)
			r = fault_system(flt, EISDIR, "keeping a content");
	}
	if (r) {
		store_discard_temp(store, temp);
		return r;
	}
	flock(temp->fd, LOCK_UN);
	return 0;
}

void store_discard_temp(struct store *store, struct temp_file *temp)
{
	int folder = -1;

	if (!open_inner(store, STORE_TEMP_FOLDER, false, &folder, NULL) && folder >= 0) {
		unlinkat(folder, temp->name, 0);
		close(folder);
	}
	if (temp->fd >= 0)
		close(temp->fd);
	temp->fd = -1;
}

/* ---- Contents that lie elsewhere ---- */

static bool is_good(struct store *store, const struct digest *digest)
{
	struct digest found;
	uint64_t size;
	int fd = -1;
	bool good;

	if (store_open_content(store, digest, &fd, &size, NULL) || fd < 0)
		return false;
	good = !file_hash(fd, &found, NULL) && digest_equals(&found, digest);
	close(fd);
	return good;
}

static int copy_content(struct store *store, const struct digest *digest, int folder, const char *name,
			struct fault *flt)
{
	struct temp_file temp;
	struct digest copied;
	uint64_t size;
	int fd = -1;
	int r;

	r = file_open(folder, name, &fd, NULL, flt);
	if (!r && fd < 0)
		r = fault_system(flt, ENOENT, "opening %s", name);
	if (r)
		return r;
	r = store_new_temp(store, &temp, flt);
	if (r)
		goto close_file;
	r = file_copy(fd, temp.fd, CAP_CONTENT, &copied, &size, flt);
	if (!r && !digest_equals(&copied, digest))
		r = fault_system(flt, EIO, "%s changed while it was copied", name);
	if (r)
		store_discard_temp(store, &temp);
	else
		r = store_keep_temp(store, &temp, digest, flt);
	if (!r)
		close(temp.fd);
close_file:
	close(fd);
	return r;
}

/* @param linked  false where that cannot be, and a copy can */
static int link_content(const struct store *store, const struct digest *digest, int folder, const char *name,
			bool *linked, struct fault *flt)
{
	char file[DIGEST_TEXT_SIZE];
	int to = -1;
	int r;

	r = open_inner(store, STORE_HASH_FOLDER, true, &to, flt);
	if (r)
		return r;
	store_file_name(digest, file);
	/* No sync: a name that a power failure takes away is fetched, or linked, again. */
	*linked = !linkat(folder, name, to, file, 0);
	close(to);
	return 0;
}

int store_link_content(struct store *store, const struct digest *digest, int folder, const char *name,
		       struct fault *flt)
{
	bool linked = false;
	int r;

	if (is_good(store, digest))
		return 0;
	r = link_content(store, digest, folder, name, &linked, flt);
	/* Where something lies that is not the content, a copy takes its place. */
	return r || linked ? r : copy_content(store, digest, folder, name, flt);
}

int store_remove_content(struct store *store, const struct digest *digest, struct fault *flt)
{
	char name[DIGEST_TEXT_SIZE];
	int folder = -1;
	int r;

	r = open_inner(store, STORE_HASH_FOLDER, false, &folder, flt);
	if (r || folder < 0)
		return r;
	store_file_name(digest, name);
	if (unlinkat(folder, name, 0) && errno != ENOENT)
		r = fault_system(flt, errno, "removing a content");
	close(folder);
	return r;
}

/* ---- Walking ---- */

void store_sweep_temps(const struct store *store)
{
	temp_file_sweep(store->content_dir, STORE_TEMP_FOLDER);
}

struct measure {
	uint64_t bytes, files;
};

static void measure(int folder, const char *name, void *context)
{
	unsigned char digest[DIGEST_SIZE];
	struct measure *sum = context;
	struct stat status;

	if (hex_decode(span_of_text(name), digest, sizeof(digest), NULL) ||
	    fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) || !S_ISREG(status.st_mode))
		return;
	sum->bytes += (uint64_t)status.st_size;
	sum->files++;
}

int store_measure_contents(struct store *store, uint64_t *bytes, uint64_t *files, struct fault *flt)
{
	struct measure sum = {0};
	int r;

	r = file_walk(store->content_dir, STORE_HASH_FOLDER, measure, &sum, flt);
	if (r)
		return r;
	*bytes = sum.bytes;
	*files = sum.files;
	return 0;
}

/* ---- Clearing ---- */

static int open_contents(const struct store *store, bool make, int *fd, struct fault *flt)
{
	(void)make; /* what the user configured is made in any case */
	return file_open_top(store->content_dir, fd, flt);
}

struct cleared {
	struct measure sum;
	struct fault *flt;
};

/* Whatever lies there: nobody else has a place in this folder. */
static void remove_content(int folder, const char *name, void *context)
{
	struct cleared *cleared = context;
	struct measure sum = {0};

	measure(folder, name, &sum);
	if (file_remove_tree(folder, name, cleared->flt))
		return;
	cleared->sum.bytes += sum.bytes;
	cleared->sum.files += sum.files;
}

/* Ours have a lock that tells whether somebody is at work on them; of others the lock of the whole says that. */
static void remove_temp(int folder, const char *name, void *context)
{
	struct cleared *cleared = context;

	if (strncmp(name, TEMP_FILE_PREFIX, strlen(TEMP_FILE_PREFIX)))
		file_remove_tree(folder, name, cleared->flt);
	else
		file_remove_unlocked(folder, name);
}

int store_clear_contents(const char *content_dir, uint64_t *bytes, uint64_t *files, struct fault *flt)
{
	const struct store store = {.content_dir = (char *)(uintptr_t)content_dir};
	struct fault first = {0};
	struct cleared cleared = {.flt = &first};
	int folder, lock;
	bool had = false;
	int r;

	r = store_lock(&store, open_contents, &folder, &lock, &had, flt);
	if (!r && !had)
		r = fault_system(flt, EBUSY, "another program works with the contents");
	if (r)
		return r;
	r = file_walk(content_dir, STORE_HASH_FOLDER, remove_content, &cleared, &first);
	if (!r)
		r = file_walk(content_dir, STORE_TEMP_FOLDER, remove_temp, &cleared, &first);
	close(folder);
	close(lock);
	*bytes = cleared.sum.bytes;
	*files = cleared.sum.files;
	if (first.verdict && flt && !flt->verdict)
		*flt = first;
	return first.verdict;
}
