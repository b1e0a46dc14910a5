/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Staging: holds, contents, and what lies in files/ (see staging.h).
 */
#include "staging_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/file.h"
#include "client/base/text.h"
#include "verify/caps.h"
#include "verify/hex.h"

#define STAGING_FOLDER "staging"
#define CONTENT_FOLDER "contents"
#define CONTENT_MODE 0600
#define HOLD_PATIENCE 10000 /* milliseconds: longer than it takes to remove files by the thousand */

/* ---- Opening ---- */

static int open_folders(struct staging *staging, struct fault *flt)
{
	int r = file_open_private(staging->state_dir, staging->label, STAGING_FOLDER, &staging->top, flt);

	if (!r)
		r = file_open_folder(staging->top, CONTENT_FOLDER, true, &staging->contents, flt);
	if (!r)
		r = file_open_folder(staging->top, STAGING_FILE_FOLDER, true, &staging->files, flt);
	return r;
}

int staging_open(const char *state_dir, const char *label, struct store *store, struct staging **out,
		 struct fault *flt)
{
	struct staging *staging = calloc(1, sizeof(*staging));
	int r;

	if (!staging)
		return fault_no_memory(flt);
	staging->store = store;
	staging->top = staging->contents = staging->files = staging->claim = -1;
	r = text_copy(state_dir, &staging->state_dir, flt);
	if (!r)
		r = text_copy(label, &staging->label, flt);
	if (!r)
		r = open_folders(staging, flt);
	if (r)
		staging_close(staging);
	else
		*out = staging;
	return r;
}

void staging_close(struct staging *staging)
{
	if (!staging)
		return;
	staging_end_claim(staging);
	if (staging->top >= 0)
		close(staging->top);
	if (staging->contents >= 0)
		close(staging->contents);
	if (staging->files >= 0)
		close(staging->files);
	free(staging->state_dir);
	free(staging->label);
	free(staging);
}

int staging_files(const struct staging *staging)
{
	return staging->files;
}

/* ---- Holds ---- */

int staging_reopen_contents(const struct staging *staging, int *fd, struct fault *flt)
{
	*fd = openat(staging->contents, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd < 0 ? fault_system(flt, errno, "opening the staging") : 0;
}

int staging_take_hold(struct staging *staging, struct staging_hold *out, struct fault *flt)
{
	bool had = false;
	int fd = -1;
	int r = staging_reopen_contents(staging, &fd, flt);

	if (r)
		return r;
	r = file_lock_shared(fd, HOLD_PATIENCE, &had, flt);
	if (!r && !had)
		r = fault_system(flt, EBUSY, "another program clears the staging");
	if (r)
		close(fd);
	else
		out->fd = fd;
	return r;
}

void staging_end_hold(struct staging_hold *hold)
{
	if (hold->fd >= 0)
		close(hold->fd);
	hold->fd = -1;
}

/* ---- Keeping ---- */

/* The same bytes are here and in the cache from now on. It serves others: without it, they fetch or copy. */
static void share(struct staging *staging, const struct digest *digest, const char *name)
{
	store_link_content(staging->store, digest, staging->contents, name, NULL);
}

/* Give a file that is complete the name of its digest. */
static int put_in_place(struct staging *staging, const char *name, const struct digest *digest, struct fault *flt)
{
	char file[DIGEST_TEXT_SIZE];
	int r;

	hex_encode(digest_span(digest), file);
	if (renameat(staging->contents, name, staging->contents, file))
		return fault_system(flt, errno, "keeping %s in the staging", name);
	r = file_sync_shared(staging->contents, flt);
	if (!r)
		share(staging, digest, file);
	return r;
}

/* A content in the making. */
struct temp {
	int fd;
	char name[64];
};

static int new_temp(struct staging *staging, struct temp *out, struct fault *flt)
{
	int r = file_new_name(STAGING_TEMP_PREFIX, out->name, sizeof(out->name), flt);

	if (r)
		return r;
	out->fd = openat(staging->contents, out->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			 CONTENT_MODE);
	return out->fd < 0 ? fault_system(flt, errno, "making a file in the staging") : 0;
}

static void discard_temp(struct staging *staging, const struct temp *temp)
{
	unlinkat(staging->contents, temp->name, 0);
	close(temp->fd);
}

/*
 * Copy into a content.
 * @param wanted  what its digest has to be, or NULL
 * @param kept    the content, open at its start; -1 if its digest is another one
 */
static int add(struct staging *staging, int from, const struct digest *wanted, struct digest *digest, uint64_t *size,
	       int *kept, struct fault *flt)
{
	struct temp temp;
	int r = new_temp(staging, &temp, flt);

	if (r)
		return r;
	r = file_copy(from, temp.fd, CAP_CONTENT, digest, size, flt);
	if (!r && wanted && !digest_equals(digest, wanted)) {
		discard_temp(staging, &temp);
		*kept = -1;
		return 0;
	}
	if (!r)
		r = file_sync(temp.fd, flt);
	if (!r)
		r = put_in_place(staging, temp.name, digest, flt);
	if (!r && lseek(temp.fd, 0, SEEK_SET))
		r = fault_system(flt, errno, "reading what was staged");
	if (r)
		discard_temp(staging, &temp);
	else
		*kept = file_reopen_take(temp.fd);
	return r;
}

int staging_add(struct staging *staging, int fd, struct digest *out, uint64_t *size, struct fault *flt)
{
	struct digest digest;
	uint64_t length;
	int kept = -1;
	int r = add(staging, fd, NULL, &digest, &length, &kept, flt);

	if (r)
		return r;
	close(kept);
	*out = digest;
	if (size)
		*size = length;
	return 0;
}

/* ---- Finding ---- */

/* The content that lies here; -1 if there is none, or one whose bytes are others, which is removed. */
static int open_here(struct staging *staging, const struct digest *digest, int *fd, uint64_t *size,
		     struct fault *flt)
{
	char file[DIGEST_TEXT_SIZE];
	struct digest found;
	int r;

	hex_encode(digest_span(digest), file);
	r = file_open(staging->contents, file, fd, size, flt);
	if (r || *fd < 0)
		return r;
	r = file_hash(*fd, &found, flt);
	if (!r && digest_equals(&found, digest) && !lseek(*fd, 0, SEEK_SET))
		return 0;
	close(*fd);
	*fd = -1;
	return r ? r : file_remove_tree(staging->contents, file, flt);
}

int staging_open_content(struct staging *staging, const struct digest *digest, int *fd, uint64_t *size,
			 struct fault *flt)
{
	struct digest copied;
	uint64_t length = 0;
	int opened = -1, cached = -1;
	int r = open_here(staging, digest, &opened, &length, flt);

	if (!r && opened < 0)
		r = store_open_content(staging->store, digest, &cached, &length, flt);
	if (!r && cached >= 0)
		r = add(staging, cached, digest, &copied, &length, &opened, flt);
	if (cached >= 0)
		close(cached);
	if (r)
		return r;
	*fd = opened;
	*size = length;
	return 0;
}

bool staging_find_size(struct staging *staging, const struct digest *digest, uint64_t *size)
{
	char file[DIGEST_TEXT_SIZE];
	int fd = -1;

	hex_encode(digest_span(digest), file);
	if (file_open(staging->contents, file, &fd, size, NULL) == 0 && fd < 0)
		store_open_content(staging->store, digest, &fd, size, NULL);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}
