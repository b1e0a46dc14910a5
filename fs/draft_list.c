/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Listing files that were written and not published (see draft.h).
 */
#include "draft_parts.h"

#include "alias.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* An array of them. */
struct draft_listed {
	struct digest identity;
	bool is_folder;
	char name[NAME_MAX + 1];
};

/* What is put together while a folder is read. */
struct listing_of {
	const struct mount *mount;
	const struct view *view;
	const struct path *folder;
	struct tree_entries *entries;
	struct draft_listed *listed;
	size_t count;
	dev_t device;
	int fd;
};

/*
 * The name that something is listed under. A folder is the registry's as soon as that has it. A file that has a
 * version's name is listed under its alias: whoever lists takes a version's name for a release. In a transaction
 * nothing is a release as yet.
 * @return NULL: it is not listed
 */
static const char *listed_name(const struct listing_of *of, const struct dirent *entry, char alias[static NAME_MAX + 1])
{
	bool is_file = entry->d_type == DT_REG, is_folder = entry->d_type == DT_DIR, is_listed;
	struct path path;

	if (!path_child(of->folder, entry->d_name, &path))
		return NULL;
	if (path.kind == PATH_RELEASE)
		return is_file && alias_of(of->fd, entry->d_name, alias) ? alias : NULL;
	if (path_is_draft(path.kind) || path.kind == PATH_ENTRY)
		is_listed = is_file || (is_folder && path_as_folder(&path, &path));
	else
		is_listed = is_folder && !path_is_for_writing(path.kind) && tree_has(of->view, &path) != TREE_YES;
	return is_listed ? entry->d_name : NULL;
}

static int add(struct listing_of *of, const struct dirent *entry, struct fault *flt)
{
	char alias[NAME_MAX + 1];
	const char *name = listed_name(of, entry, alias);

	if (!name)
		return 0;
	if (of->count >= CAP_STAGED_FILES)
		return fault_undecided(flt, FAULT_LIMIT, "more than %d files were written and not published",
				       CAP_STAGED_FILES);
	if (of->count % 64 == 0) {
		struct draft_listed *more = reallocarray(of->listed, of->count + 64, sizeof(*more));

		if (!more)
			return fault_no_memory(flt);
		of->listed = more;
	}
	of->listed[of->count].is_folder = entry->d_type == DT_DIR;
	of->listed[of->count].identity = draft_identity(of->device, entry->d_ino, name == alias);
	snprintf(of->listed[of->count].name, sizeof(of->listed[0].name), "%s", name);
	of->count++;
	return 0;
}

/* The names have their place for good: entries can borrow them. */
static int append(struct listing_of *of, struct fault *flt)
{
	struct tree_entry *grown;
	struct path path = {0};

	if (!of->count)
		return 0;
	grown = reallocarray(of->entries->entries, of->entries->count + of->count, sizeof(*grown));
	if (!grown)
		return fault_no_memory(flt);
	of->entries->entries = grown;
	for (size_t i = 0; i < of->count; i++) {
		path_child(of->folder, of->listed[i].name, &path);
		if (path.kind == PATH_ENTRY)
			path.kind = PATH_ENTRY_STAGED;
		if (of->listed[i].is_folder)
			path_as_folder(&path, &path);
		grown[of->entries->count++] = (struct tree_entry){
			.kind = path.kind,
			.stem = span_of_text(of->listed[i].name),
			.digest = &of->listed[i].identity,
			.is_staged = true,
		};
	}
	return 0;
}

/* Takes over the descriptor. */
static int read_folder(struct listing_of *of, int fd, struct fault *flt)
{
	DIR *folder = fdopendir(fd);
	struct dirent *entry;
	struct stat status;
	int verdict = 0;

	if (!folder || fstat(fd, &status)) {
		verdict = fault_system(flt, errno, "%.150s", of->folder->text);
		if (folder)
			closedir(folder);
		else
			close(fd);
		return verdict;
	}
	of->device = status.st_dev;
	of->fd = dirfd(folder);
	while (!verdict && (entry = readdir(folder)))
		verdict = add(of, entry, flt);
	closedir(folder);
	return verdict;
}

int draft_list(const struct mount *mount, const struct view *view, const struct path *folder,
	       struct tree_entries *entries, struct draft_listed **out, struct fault *flt)
{
	struct listing_of of = {.mount = mount, .view = view, .folder = folder, .entries = entries};
	int fd = -1, verdict = draft_open_folder(mount, folder, false, &fd, flt);

	*out = NULL;
	if (!verdict && fd >= 0)
		verdict = read_folder(&of, fd, flt);
	if (!verdict)
		verdict = append(&of, flt);
	if (verdict)
		free(of.listed);
	else
		*out = of.listed;
	return verdict;
}
