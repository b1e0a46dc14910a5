/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Receipts: receipts.h.
 */
#include "receipts.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "digest_files.h"
#include "file.h"
#include "verify/caps.h"

#define FOLDER "receipts"
#define RECEIPT_MODE 0600
#define LOCK_PATIENCE 5000 /* milliseconds: longer than it takes to write one */

struct receipts {
	int folder;
};

int receipts_open(const char *state_dir, const char *label, struct receipts **out, struct fault *flt)
{
	struct receipts *receipts = malloc(sizeof(*receipts));
	int r;

	if (!receipts)
		return fault_no_memory(flt);
	r = file_open_private(state_dir, label, FOLDER, &receipts->folder, flt);
	if (r)
		free(receipts);
	else
		*out = receipts;
	return r;
}

void receipts_close(struct receipts *receipts)
{
	if (!receipts)
		return;
	close(receipts->folder);
	free(receipts);
}

int receipts_path(const char *state_dir, const char *label, const struct name *name, const struct digest *record_id,
		  struct buf *out, struct fault *flt)
{
	struct span namespace = name_namespace(name), package = name_package(name);
	char file[DIGEST_FILE_NAME_SIZE];

	digest_file_name(record_id, file);
	return buf_append_format(out, flt, "%s/%s/" FOLDER "/%.*s/%.*s/%s%c", state_dir, label, (int)namespace.length,
				 (const char *)namespace.data, (int)package.length, (const char *)package.data, file,
				 0);
}

/* ---- The folder of a package ---- */

/* @param fd  close() it; -1 if there is none and `make` is false */
static int open_package(const struct receipts *receipts, const struct name *name, bool make, int *fd,
			struct fault *flt)
{
	char namespace[CAP_NAME_PART + 1];
	struct span part = name_namespace(name);
	int outer = -1, inner = -1;
	int r;

	memcpy(namespace, part.data, part.length);
	namespace[part.length] = '\0';
	r = file_open_folder(receipts->folder, namespace, make, &outer, flt);
	if (r || outer < 0) {
		if (!r)
			*fd = -1;
		return r;
	}
	r = file_open_folder(outer, (const char *)name_package(name).data, make, &inner, flt);
	/* Also when another process made them, and is not as far yet. */
	if (!r && make)
		r = file_sync_name(outer, (const char *)name_package(name).data, flt);
	if (!r && make)
		r = file_sync_name(receipts->folder, namespace, flt);
	if (r && inner >= 0)
		close(inner);
	close(outer);
	if (!r)
		*fd = inner;
	return r;
}

/* ---- Receipts ---- */

int receipts_put(struct receipts *receipts, const struct name *name, const struct digest *record_id, struct span text,
		 struct fault *flt)
{
	char file[DIGEST_FILE_NAME_SIZE];
	bool had = false;
	int folder = -1;
	int r = open_package(receipts, name, true, &folder, flt);

	if (r)
		return r;
	digest_file_name(record_id, file);
	r = file_lock(folder, LOCK_PATIENCE, &had, flt);
	if (!r && !had)
		r = fault_undecided(flt, FAULT_TIMEOUT, "another program writes receipts of %s", name->text);
	if (!r)
		r = file_replace(folder, file, RECEIPT_MODE, text, flt);
	if (!r)
		r = file_sync(folder, flt);
	close(folder);
	return r;
}

int receipts_read(struct receipts *receipts, const struct name *name, const struct digest *record_id, struct buf *out,
		  bool *found, struct fault *flt)
{
	char file[DIGEST_FILE_NAME_SIZE];
	int folder = -1, fd = -1;
	int r = open_package(receipts, name, false, &folder, flt);

	if (r)
		return r;
	*found = false;
	if (folder < 0)
		return 0;
	digest_file_name(record_id, file);
	r = file_open(folder, file, &fd, NULL, flt);
	close(folder);
	if (r || fd < 0)
		return r;
	if (out)
		r = file_read_all(fd, out, flt);
	close(fd);
	*found = !r;
	return r;
}

int receipts_list(struct receipts *receipts, const struct name *name, struct digest **out, size_t *count,
		  struct fault *flt)
{
	int folder = -1;
	int r = open_package(receipts, name, false, &folder, flt);

	if (r)
		return r;
	if (folder < 0) {
		*out = NULL;
		*count = 0;
		return 0;
	}
	r = digest_files_list(folder, CAP_RECEIPTS, out, count, flt);
	close(folder);
	return r;
}
