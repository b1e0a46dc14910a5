/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Files that are named after digests: digest_files.h.
 */
#include "digest_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "verify/array.h"
#include "verify/hex.h"

#define SUFFIX ".json"

struct listed {
	struct digest digest;
	struct timespec written;
};

struct list {
	struct listed *files;
	size_t count, capacity, cap;
};

void digest_file_name(const struct digest *digest, char out[static DIGEST_FILE_NAME_SIZE])
{
	hex_encode(digest_span(digest), out);
	strcat(out, SUFFIX);
}

static int compare(const void *a, const void *b)
{
	const struct listed *one = a, *other = b;

	if (one->written.tv_sec != other->written.tv_sec)
		return one->written.tv_sec < other->written.tv_sec ? -1 : 1;
	if (one->written.tv_nsec != other->written.tv_nsec)
		return one->written.tv_nsec < other->written.tv_nsec ? -1 : 1;
	return digest_compare(&one->digest, &other->digest);
}

static int reserve(struct list *list, struct fault *flt)
{
	if (list->count >= list->cap)
		return fault_undecided(flt, FAULT_LIMIT, "more than %zu files are there", list->cap);
	return array_reserve(&list->files, list->count, &list->capacity, sizeof(*list->files), flt);
}

static int add(int folder, const char *file, struct list *list, struct fault *flt)
{
	struct span hex = {(const unsigned char *)file, DIGEST_SIZE * 2};
	struct stat status;
	struct digest digest;
	int r;

	if (strlen(file) != hex.length + strlen(SUFFIX) || strcmp(file + hex.length, SUFFIX) ||
	    hex_decode(hex, digest.bytes, DIGEST_SIZE, NULL) ||
	    fstatat(folder, file, &status, AT_SYMLINK_NOFOLLOW) || !S_ISREG(status.st_mode))
		return 0;
	r = reserve(list, flt);
	if (!r)
		list->files[list->count++] = (struct listed){digest, status.st_mtim};
	return r;
}

static int read_folder(int folder, struct list *list, struct fault *flt)
{
	int opened = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = opened < 0 ? NULL : fdopendir(opened);
	struct dirent *entry;
	int r = 0;

	if (!listing) {
		r = fault_system(flt, errno, "listing the folder");
		if (opened >= 0)
			close(opened);
		return r;
	}
	while (!r && (entry = readdir(listing)))
		r = add(dirfd(listing), entry->d_name, list, flt);
	closedir(listing);
	return r;
}

int digest_files_list(int folder, size_t cap, struct digest **out, size_t *count, struct fault *flt)
{
	struct list list = {.cap = cap};
	struct digest *digests = NULL;
	int r = read_folder(folder, &list, flt);

	if (!r && list.count) {
		qsort(list.files, list.count, sizeof(*list.files), compare);
		digests = reallocarray(NULL, list.count, sizeof(*digests));
		if (!digests)
			r = fault_no_memory(flt);
	}
	for (size_t i = 0; !r && i < list.count; i++)
		digests[i] = list.files[i].digest;
	free(list.files);
	if (r)
		return r;
	*out = digests;
	*count = list.count;
	return 0;
}
