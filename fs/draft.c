/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Files written and not published (see draft.h).
 *
 * Only this mount uses its staging folder (staging_claim_files()). Files in it are opened folder by folder, so that no
 * symbolic link leads out of it.
 */
#include "draft_parts.h"

#include "alias.h"
#include "client/base/file.h"
#include "client/publish/staging.h"
#include "request.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void draft_free(struct draft *draft)
{
	if (!draft)
		return;
	close(draft->fd);
	pthread_mutex_destroy(&draft->mutex);
	free(draft);
}

/* ---- Folders ---- */

int draft_open_folder(const struct mount *mount, const struct path *folder, bool make, int *fd, struct fault *flt)
{
	char text[PATH_SIZE], *rest = text, *name;
	int above = dup(staging_files(mount->staging));

	if (above < 0)
		return fault_system(flt, errno, "a descriptor cannot be had");
	snprintf(text, sizeof(text), "%s", folder->text);
	while (above >= 0 && (name = strsep(&rest, "/")) && *name) {
		int next = -1, verdict = file_open_folder(above, name, make, &next, flt);

		close(above);
		if (verdict)
			return verdict;
		above = next;
	}
	*fd = above;
	return 0;
}

static int open_folder_of(const struct mount *mount, const struct path *path, bool make, int *fd, struct fault *flt)
{
	struct path folder = path_parent(path);

	return draft_open_folder(mount, &folder, make, fd, flt);
}

bool draft_has_folder(const struct mount *mount, const struct path *folder, struct timespec *changed_at)
{
	struct stat status;
	bool has = false;
	int fd = -1;

	if (!mount->staging || draft_open_folder(mount, folder, false, &fd, NULL) || fd < 0)
		return false;
	if (fstat(fd, &status) == 0) {
		has = true;
		if (changed_at)
			*changed_at = status.st_mtim;
	}
	close(fd);
	return has;
}

int draft_make_folder(const struct mount *mount, const struct path *folder, struct fault *flt)
{
	int fd, verdict = draft_open_folder(mount, folder, true, &fd, flt);

	if (!verdict) {
		verdict = file_sync(fd, flt);
		close(fd);
	}
	return verdict;
}

static int fail(struct fault *flt)
{
	if (errno == ENOENT)
		return fault_undecided(flt, FAULT_ABSENT, "it is not there any more");
	if (errno == EEXIST)
		return fault_undecided(flt, FAULT_EXISTS, "it is there already");
	return fault_system(flt, errno, "what was written here cannot be changed");
}

/* What is in a folder may be seen by nobody: so it is named. */
static int fail_for_files(const struct mount *mount, const struct path *folder, struct fault *flt)
{
	int fd = -1, verdict = draft_open_folder(mount, folder, false, &fd, flt);
	DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry = NULL;

	while (listing && (entry = readdir(listing)) && entry->d_name[0] == '.' && strspn(entry->d_name, ".") < 3 &&
	       !entry->d_name[strspn(entry->d_name, ".")])
		continue;
	if (!verdict)
		verdict = fault_system(flt, ENOTEMPTY, "%.200s lies in it", entry ? entry->d_name : "something");
	if (listing)
		closedir(listing);
	else if (fd >= 0)
		close(fd);
	return verdict;
}

int draft_remove_folder(const struct mount *mount, const struct path *folder, struct fault *flt)
{
	int fd = -1, verdict = open_folder_of(mount, folder, false, &fd, flt);

	if (verdict)
		return verdict;
	errno = ENOENT;
	if (fd < 0 || unlinkat(fd, path_name(folder), AT_REMOVEDIR))
		verdict = errno == ENOTEMPTY ? fail_for_files(mount, folder, flt) : fail(flt);
	if (fd >= 0)
		close(fd);
	return verdict;
}

/* ---- Files ---- */

struct digest draft_identity(dev_t device, ino_t number, bool is_alias)
{
	const struct span parts[] = {{(const unsigned char *)&device, sizeof(device)},
				     {(const unsigned char *)&number, sizeof(number)},
				     span_of_text("alias")};

	return digest_of_parts(parts, is_alias ? 3 : 2);
}

/* Whether a name in a folder is this file's. */
static bool has_name(const struct draft *draft, int folder, const char *name)
{
	struct stat own, named;

	return folder >= 0 && fstat(draft->fd, &own) == 0 && fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       own.st_dev == named.st_dev && own.st_ino == named.st_ino;
}

/* Whether its name is still this file's. The mutex is held. */
static bool is_named(const struct draft *draft, int folder)
{
	return !draft->is_removed && has_name(draft, folder, path_name(&draft->path));
}

static bool has_path(const struct mount *mount, const struct draft *draft, const struct path *path)
{
	int folder = -1;
	bool has;

	if (open_folder_of(mount, path, false, &folder, NULL))
		return false;
	has = has_name(draft, folder, path_name(path));
	if (folder >= 0)
		close(folder);
	return has;
}

/* If another program renamed a file in the staging itself, the file has the name at which it was found. */
static void correct_path(const struct mount *mount, struct draft *draft, const struct path *path)
{
	pthread_mutex_lock(&draft->mutex);
	if ((draft->is_removed || strcmp(draft->path.text, path->text) != 0) &&
	    !(!draft->is_removed && has_path(mount, draft, &draft->path)) && has_path(mount, draft, path)) {
		draft->path = *path;
		draft->is_removed = false;
	}
	pthread_mutex_unlock(&draft->mutex);
}

/* Takes over the O_PATH descriptor. */
static int enter(struct mount *mount, const struct path *path, int fd, bool is_alias, struct node **out,
		 struct fault *flt)
{
	struct draft *draft = calloc(1, sizeof(*draft));
	struct digest identity;
	struct stat status;

	if (!draft || fstat(fd, &status)) {
		int error = draft ? errno : ENOMEM;

		free(draft);
		close(fd);
		return fault_system(flt, error, "what was written here cannot be shown");
	}
	draft->fd = fd;
	draft->path = *path;
	draft->is_alias = is_alias;
	pthread_mutex_init(&draft->mutex, NULL);
	identity = draft_identity(status.st_dev, status.st_ino, is_alias);
	*out = nodes_enter_draft(mount->nodes, path, &identity, draft);
	if (!*out)
		return fault_no_memory(flt);
	if (!is_alias)
		correct_path(mount, (*out)->draft, path);
	return 0;
}

/* @param fd  O_PATH; -1: there is no such file */
static int open_path(int folder, const char *name, int *fd, struct fault *flt)
{
	struct stat status;

	*fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0)
		return errno == ENOENT ? 0 : fault_system(flt, errno, "what was written here cannot be opened");
	if (fstat(*fd, &status) == 0 && S_ISREG(status.st_mode))
		return 0;
	close(*fd);
	*fd = -1;
	return 0;
}

/*
 * Open the file called `path`, or that `path` is the alias of.
 * @param real  the file's own path, if `path` is an alias; else `path`
 * @param fd    as open_path()
 */
static int open_listed(const struct mount *mount, const struct path *path, struct path *real, int *fd,
		       struct fault *flt)
{
	int folder = -1, verdict = open_folder_of(mount, path, false, &folder, flt);
	char name[NAME_MAX + 1];

	*real = *path;
	*fd = -1;
	if (verdict || folder < 0)
		return verdict;
	verdict = open_path(folder, path_name(path), fd, flt);
	if (!verdict && *fd < 0 && path->kind == PATH_STAGED && alias_resolve(folder, path_name(path), name)) {
		struct path above = path_parent(path);

		path_join(&above, PATH_STAGED, span_of_text(name), real);
		verdict = open_path(folder, name, fd, flt);
	}
	close(folder);
	return verdict;
}

static bool is_same(const struct path *one, const struct path *other)
{
	return strcmp(one->text, other->text) == 0;
}

int draft_find(struct mount *mount, const struct path *path, struct node **out, struct fault *flt)
{
	struct path real;
	int fd, verdict = open_listed(mount, path, &real, &fd, flt);

	*out = NULL;
	if (verdict || fd < 0)
		return verdict;
	if (is_same(&real, path))
		return enter(mount, path, fd, false, out, flt);
	close(fd);
	return 0;
}

int draft_find_listed(struct mount *mount, const struct path *path, struct node **out, struct fault *flt)
{
	struct path real;
	int fd, verdict = open_listed(mount, path, &real, &fd, flt);

	*out = NULL;
	return verdict || fd < 0 ? verdict : enter(mount, &real, fd, false, out, flt);
}

/* What a lookup of `path` is answered with: the alias itself, not what it stands for. */
static int look_up(struct mount *mount, const struct path *path, struct node **out, struct fault *flt)
{
	struct path real;
	int fd, verdict = open_listed(mount, path, &real, &fd, flt);

	*out = NULL;
	return verdict || fd < 0 ? verdict : enter(mount, path, fd, !is_same(&real, path), out, flt);
}

/* The owner, whose daemon works on it, keeps what he needs for that. */
static mode_t mode_for(mode_t mode)
{
	return (mode & 0777) | 0600;
}

int draft_create(struct mount *mount, const struct path *path, mode_t mode, int *fd, struct node **out,
		 struct fault *flt)
{
	int folder, handle, found = -1, verdict = open_folder_of(mount, path, true, &folder, flt);

	if (verdict)
		return verdict;
	handle = openat(folder, path_name(path), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (handle < 0)
		verdict = fail(flt);
	if (!verdict && fchmod(handle, mode_for(mode)))
		verdict = fail(flt);
	if (!verdict)
		verdict = open_path(folder, path_name(path), &found, flt);
	close(folder);
	if (!verdict && found < 0)
		verdict = fault_system(flt, EBUSY, "it was taken away");
	if (!verdict)
		verdict = enter(mount, path, found, false, out, flt);
	if (!verdict)
		*fd = handle;
	else if (handle >= 0)
		close(handle);
	return verdict;
}

/* Where the disk has no files without names, one loses its name at once. */
static int open_nameless(int folder, int *fd, struct fault *flt)
{
	char name[64];

	*fd = openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (*fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return *fd >= 0 ? 0 : fail(flt);
	if (file_new_name(".nameless-", name, sizeof(name), flt))
		return flt->verdict;
	*fd = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (*fd < 0 || unlinkat(folder, name, 0))
		return fail(flt);
	return 0;
}

int draft_create_nameless(struct mount *mount, const struct path *path, struct node **out, struct fault *flt)
{
	int fd, verdict = open_nameless(staging_files(mount->staging), &fd, flt);

	if (!verdict && fchmod(fd, 0644))
		verdict = fail(flt);
	if (verdict) {
		if (fd >= 0)
			close(fd);
		return verdict;
	}
	verdict = enter(mount, path, fd, false, out, flt);
	if (!verdict)
		(*out)->draft->is_nameless = true;
	return verdict;
}

int draft_open(const struct node *node, int flags, int *fd, struct fault *flt)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", node->draft->fd);
	*fd = open(path, flags | O_CLOEXEC);
	return *fd < 0 ? fault_system(flt, errno, "what was written here cannot be opened") : 0;
}

static int remove_name(struct mount *mount, struct draft *draft, struct fault *flt)
{
	int folder = -1, verdict = open_folder_of(mount, &draft->path, false, &folder, flt);

	errno = ENOENT;
	if (!verdict && (!is_named(draft, folder) || unlinkat(folder, path_name(&draft->path), 0)))
		verdict = fail(flt);
	if (folder >= 0)
		close(folder);
	if (!verdict)
		draft->is_removed = true;
	return verdict;
}

void draft_remove_empty(struct mount *mount, struct draft *draft)
{
	struct stat status;

	if (draft->stage == DRAFT_OPEN && !draft->is_removed && fstat(draft->fd, &status) == 0 && !status.st_size)
		remove_name(mount, draft, NULL);
}

int draft_remove(struct mount *mount, struct node *node, struct fault *flt)
{
	struct draft *draft = node->draft;
	int verdict;

	pthread_mutex_lock(&draft->mutex);
	verdict = remove_name(mount, draft, flt);
	pthread_mutex_unlock(&draft->mutex);
	return verdict;
}

static int rename_to(struct mount *mount, struct draft *draft, const struct path *to, unsigned flags, struct fault *flt)
{
	int from_folder = -1, to_folder = -1;
	int verdict = open_folder_of(mount, &draft->path, false, &from_folder, flt);

	if (!verdict)
		verdict = open_folder_of(mount, to, true, &to_folder, flt);
	errno = ENOENT;
	if (!verdict && (!is_named(draft, from_folder) ||
			 renameat2(from_folder, path_name(&draft->path), to_folder, path_name(to), flags)))
		verdict = fail(flt);
	if (from_folder >= 0)
		close(from_folder);
	if (to_folder >= 0)
		close(to_folder);
	if (!verdict)
		draft->path = *to;
	return verdict;
}

static void mark_removed(struct node *node)
{
	if (!node)
		return;
	pthread_mutex_lock(&node->draft->mutex);
	node->draft->is_removed = true;
	pthread_mutex_unlock(&node->draft->mutex);
}

int draft_rename(struct mount *mount, struct node *node, const struct path *to, struct node *over, struct fault *flt)
{
	struct draft *draft = node->draft;
	int verdict;

	pthread_mutex_lock(&draft->mutex);
	verdict = rename_to(mount, draft, to, over ? 0 : RENAME_NOREPLACE, flt);
	pthread_mutex_unlock(&draft->mutex);
	if (!verdict)
		mark_removed(over);
	return verdict;
}

static bool reply_file(struct request *request, const struct path *path)
{
	struct node *node = NULL;
	struct fault flt = {0};

	if (look_up(request->mount, path, &node, &flt))
		request_fail_with(request, &flt);
	else if (node)
		request_reply_entry(request, node, 0);
	return node || flt.verdict;
}

/* The kernel keeps nothing of what others may change, too. */
bool draft_reply_entry(struct request *request)
{
	struct mount *mount = request->mount;
	struct path path;

	if (!mount->staging || request->is_elsewhere)
		return false;
	if (path_as_draft(&request->path, &path)) {
		struct path folder;

		if (!path_as_folder(&path, &folder) || !draft_has_folder(mount, &folder, NULL))
			return reply_file(request, &path);
		request_reply_entry(request, nodes_enter(mount->nodes, &folder, NULL), 0);
		return true;
	}
	if ((request->path.kind != PATH_PACKAGE && request->path.kind != PATH_NAMESPACE) ||
	    !draft_has_folder(mount, &request->path, NULL))
		return false;
	request_reply_entry(request, nodes_enter(mount->nodes, &request->path, NULL), 0);
	return true;
}

int draft_stat(const struct node *node, struct stat *out, struct fault *flt)
{
	return fstat(node->draft->fd, out) ? fault_system(flt, errno, "what was written here cannot be opened") : 0;
}
