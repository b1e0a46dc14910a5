/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What users of a mount wrote and did not publish: staging_list_files().
 */
#include "staging_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/file.h"
#include "verify/array.h"
#include "verify/caps.h"

struct list {
	struct staging_file *files;
	size_t count, capacity;
	const char *inner; /* name of the folder in the package's that is being listed; NULL: none */
};

/* Called with each entry of a folder but the two that all have. */
typedef int visitor(struct list *list, int folder, const char *entry, const char *namespace, const char *package,
		    struct fault *flt);

/* Closes `folder`. */
static int walk(int folder, visitor *visit, struct list *list, const char *namespace, const char *package,
		struct fault *flt)
{
	DIR *listing = fdopendir(folder);
	struct dirent *entry;
	int r = 0;

	if (!listing) {
		r = fault_system(flt, errno, "listing the staging");
		close(folder);
		return r;
	}
	while (!r && (entry = readdir(listing)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			r = visit(list, dirfd(listing), entry->d_name, namespace, package, flt);
	closedir(listing);
	return r;
}

static int reserve(struct list *list, struct fault *flt)
{
	if (list->count >= CAP_STAGED_FILES)
		return fault_undecided(flt, FAULT_LIMIT, "more than %d files lie in the staging", CAP_STAGED_FILES);
	return array_reserve(&list->files, list->count, &list->capacity, sizeof(*list->files), flt);
}

/* A program's own folder in a package's: there is one level of them. */
static int add_inner(struct list *list, int folder, const char *entry, const char *namespace, const char *package,
		     struct fault *flt);

static int add_file(struct list *list, int folder, const char *entry, const char *namespace, const char *package,
		    struct fault *flt)
{
	struct staging_file *file;
	struct stat status;
	int r;

	/* Somebody may be taking it away. */
	if (fstatat(folder, entry, &status, AT_SYMLINK_NOFOLLOW))
		return 0;
	if (S_ISDIR(status.st_mode) && !list->inner)
		return add_inner(list, folder, entry, namespace, package, flt);
	if (!S_ISREG(status.st_mode))
		return 0;
	r = reserve(list, flt);
	if (r)
		return r;
	file = &list->files[list->count];
	r = name_join(span_of_text(namespace), span_of_text(package), &file->name, flt);
	if (r)
		return r;
	snprintf(file->file, sizeof(file->file), "%s%s%s", list->inner ? list->inner : "", list->inner ? "/" : "",
		 entry);
	file->size = (uint64_t)status.st_size;
	file->modified = status.st_mtime;
	list->count++;
	return 0;
}

static int add_inner(struct list *list, int folder, const char *entry, const char *namespace, const char *package,
		     struct fault *flt)
{
	int inner = -1, r = file_open_folder(folder, entry, false, &inner, flt);

	list->inner = entry;
	if (!r && inner >= 0)
		r = walk(inner, add_file, list, namespace, package, flt);
	list->inner = NULL;
	return r;
}

/* Go into a folder whose name is a part of a package's; anything else is not a mount's. */
static int enter(struct list *list, int folder, const char *entry, visitor *visit, const char *namespace,
		 const char *package, struct fault *flt)
{
	int inner = -1;
	int r;

	if (!name_is_part(span_of_text(entry)))
		return 0;
	r = file_open_folder(folder, entry, false, &inner, flt);
	return r || inner < 0 ? r : walk(inner, visit, list, namespace, package, flt);
}

static int enter_package(struct list *list, int folder, const char *entry, const char *namespace,
			 const char *package, struct fault *flt)
{
	(void)package;
	return enter(list, folder, entry, add_file, namespace, entry, flt);
}

static int enter_namespace(struct list *list, int folder, const char *entry, const char *namespace,
			   const char *package, struct fault *flt)
{
	(void)namespace;
	(void)package;
	return enter(list, folder, entry, enter_package, entry, NULL, flt);
}

/* List one slot's files; its folder may be missing. */
static int list_slot(const struct staging *staging, unsigned slot, struct list *list, struct fault *flt)
{
	char name[STAGING_NAME_SIZE];
	int folder = -1, r;

	staging_name_files(slot, name);
	r = file_open_folder(staging->top, name, false, &folder, flt);
	return r || folder < 0 ? r : walk(folder, enter_namespace, list, NULL, NULL, flt);
}

int staging_list_files(struct staging *staging, struct staging_file **out, size_t *count, struct fault *flt)
{
	struct list list = {0};
	int r = 0;

	if (staging->claim >= 0)
		r = list_slot(staging, staging->slot, &list, flt);
	for (unsigned slot = 1; !r && staging->claim < 0 && slot <= CAP_STAGING_MOUNTS; slot++)
		r = list_slot(staging, slot, &list, flt);
	if (r) {
		free(list.files);
		return r;
	}
	*out = list.files;
	*count = list.count;
	return 0;
}
