/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Which mount owns which folder of files: staging_claim_files().
 *
 * A folder of files belongs to the mount that holds its lock file, which names the mount point. The folder of a mount
 * that ended or died has no holder; the next claim moves its files into its own folder. So two mounts never show, and
 * never publish, the same file.
 */
#include "staging_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/file.h"
#include "verify/caps.h"

#define CLAIM_PATIENCE 10000 /* milliseconds to wait for an ending mount */
#define CLAIM_PAUSE 20       /* milliseconds between two checks */
#define DEPTH 4              /* depth of folders: .publish/<namespace>/<package> and one more */

void staging_name_files(unsigned slot, char out[static STAGING_NAME_SIZE])
{
	if (slot > 1)
		snprintf(out, STAGING_NAME_SIZE, STAGING_FILE_FOLDER "-%u", slot);
	else
		snprintf(out, STAGING_NAME_SIZE, STAGING_FILE_FOLDER);
}

static void name_claim(unsigned slot, char out[static STAGING_NAME_SIZE])
{
	snprintf(out, STAGING_NAME_SIZE, "mount-%u", slot);
}

/* ---- Claims ---- */

/* State of a claim. */
struct claiming {
	struct staging *staging;
	bool (*is_ending)(const char *owner);
	clock_ms deadline;
};

/* Whether a slot's holder is about to release it. A holder that has not written its mount point yet is not. */
static bool is_ending(const struct claiming *claiming, const char *claim)
{
	struct buf owner;
	bool found = false, is;

	buf_init(&owner, CAP_URL);
	is = file_read(claiming->staging->top, claim, &owner, &found, NULL) == 0 && found && owner.length &&
	     buf_append(&owner, (struct span){ (const unsigned char *)"", 1 }, NULL) == 0 &&
	     claiming->is_ending((const char *)owner.data);
	buf_release(&owner);
	return is;
}

/* @param fd  -1 if another mount has the slot and keeps it */
static int claim_slot(const struct claiming *claiming, unsigned slot, int *fd, struct fault *flt)
{
	const struct timespec pause = { .tv_nsec = CLAIM_PAUSE * 1000000L };
	char claim[STAGING_NAME_SIZE];
	int r;

	name_claim(slot, claim);
	for (;;) {
		r = file_claim(claiming->staging->top, claim, fd, NULL, flt);
		if (r || *fd >= 0 || !clock_left(claiming->deadline) || !is_ending(claiming, claim))
			return r;
		nanosleep(&pause, NULL);
	}
}

static void end_claim(struct staging *staging, unsigned slot, int fd)
{
	char claim[STAGING_NAME_SIZE];

	name_claim(slot, claim);
	file_end_claim(staging->top, claim, fd);
}

static int claim_first(const struct claiming *claiming, unsigned *slot, int *fd, struct fault *flt)
{
	int r = 0;

	*fd = -1;
	for (*slot = 1; !r && *slot <= CAP_STAGING_MOUNTS; (*slot)++) {
		r = claim_slot(claiming, *slot, fd, flt);
		if (!r && *fd >= 0)
			return 0;
	}
	return r ? r : fault_system(flt, EBUSY, "%d mounts of this registry are written to already",
				    CAP_STAGING_MOUNTS);
}

/* ---- Taking over files of ended mounts ---- */

static int move_tree(int from, int to, unsigned depth, struct fault *flt);

static int move_folder(int from, int to, const char *name, unsigned depth, struct fault *flt)
{
	int inner = -1, target = -1;
	int r = file_open_folder(from, name, false, &inner, flt);

	if (!r && inner >= 0)
		r = file_open_folder(to, name, true, &target, flt);
	if (!r && inner >= 0)
		r = move_tree(inner, target, depth - 1, flt);
	else if (inner >= 0)
		close(inner);
	if (target >= 0)
		close(target);
	if (!r)
		unlinkat(from, name, AT_REMOVEDIR); /* unless something stays in it */
	return r;
}

/* A file whose name is taken stays where it is; so does anything that is no regular file or folder. */
static int move_entry(int from, int to, const struct dirent *entry, unsigned depth, struct fault *flt)
{
	const char *name = entry->d_name;

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return 0;
	if (entry->d_type == DT_DIR)
		return depth ? move_folder(from, to, name, depth, flt) : 0;
	if (entry->d_type == DT_REG && renameat2(from, name, to, name, RENAME_NOREPLACE) && errno != EEXIST &&
	    errno != ENOENT)
		return fault_system(flt, errno, "taking over %.200s", name);
	return 0;
}

/* Closes `from`. Syncs the target before the old folder is removed. */
static int move_tree(int from, int to, unsigned depth, struct fault *flt)
{
	DIR *listing = fdopendir(from);
	struct dirent *entry;
	int r = 0;

	if (!listing) {
		r = fault_system(flt, errno, "listing the staging");
		close(from);
		return r;
	}
	while (!r && (entry = readdir(listing)))
		r = move_entry(from, to, entry, depth, flt);
	if (!r)
		r = file_sync(to, flt);
	if (!r)
		r = file_sync(from, flt);
	closedir(listing);
	return r;
}

static int take_over(const struct claiming *claiming, unsigned slot, struct fault *flt)
{
	struct staging *staging = claiming->staging;
	char folder[STAGING_NAME_SIZE];
	int claim = -1, from = -1, r;

	staging_name_files(slot, folder);
	r = file_open_folder(staging->top, folder, false, &from, flt);
	if (r || from < 0)
		return r;
	r = claim_slot(claiming, slot, &claim, flt);
	if (!r && claim >= 0)
		r = move_tree(from, staging->files, DEPTH, flt);
	else
		close(from);
	if (claim >= 0)
		end_claim(staging, slot, claim);
	return r;
}

/* ---- Beginning and end ---- */

static int open_files(struct staging *staging, unsigned slot, struct fault *flt)
{
	char folder[STAGING_NAME_SIZE];
	int fd = -1, r;

	staging_name_files(slot, folder);
	r = file_open_folder(staging->top, folder, true, &fd, flt);
	if (!r)
		r = file_sync(staging->top, flt);
	if (r) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	close(staging->files);
	staging->files = fd;
	return 0;
}

int staging_claim_files(struct staging *staging, const char *owner, bool (*is_owner_ending)(const char *owner),
			struct fault *flt)
{
	const struct claiming claiming = { staging, is_owner_ending, clock_now() + CLAIM_PATIENCE };
	int r = claim_first(&claiming, &staging->slot, &staging->claim, flt);

	if (!r && ftruncate(staging->claim, 0))
		r = fault_system(flt, errno, "claiming the staging");
	if (!r)
		r = file_write_at(staging->claim, 0, span_of_text(owner), flt);
	if (!r)
		r = open_files(staging, staging->slot, flt);
	for (unsigned slot = 1; !r && slot <= CAP_STAGING_MOUNTS; slot++)
		r = slot == staging->slot ? 0 : take_over(&claiming, slot, flt);
	if (r)
		staging_end_claim(staging);
	return r;
}

void staging_end_claim(struct staging *staging)
{
	if (staging->claim >= 0)
		end_claim(staging, staging->slot, staging->claim);
	staging->claim = -1;
}
