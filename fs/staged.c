/*
 * Written and not published (see staged.h).
 *
 * The folder of the staging is nobody's but the user's, and what is in it is reached folder by folder, so that no link
 * leads out of it.
 */
#include "staged.h"

#include "client/file.h"
#include "client/staging.h"
#include "request.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void staged_free(struct staged *staged)
{
	if (!staged)
		return;
	close(staged->fd);
	pthread_mutex_destroy(&staged->mutex);
	free(staged);
}

/* ---- Folders ---- */

/* @param fd  close() it; -1 if there is none */
static int open_folder(const struct mount *mount, const struct path *folder, bool make, int *fd, struct fault *flt)
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

	return open_folder(mount, &folder, make, fd, flt);
}

bool staged_has_folder(const struct mount *mount, const struct path *folder, struct timespec *changed_at)
{
	struct stat status;
	bool has = false;
	int fd = -1;

	if (!mount->staging || open_folder(mount, folder, false, &fd, NULL) || fd < 0)
		return false;
	if (fstat(fd, &status) == 0) {
		has = true;
		if (changed_at)
			*changed_at = status.st_mtim;
	}
	close(fd);
	return has;
}

int staged_make_folder(const struct mount *mount, const struct path *folder, struct fault *flt)
{
	int fd, verdict = open_folder(mount, folder, true, &fd, flt);

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
	int fd = -1, verdict = open_folder(mount, folder, false, &fd, flt);
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

int staged_remove_folder(const struct mount *mount, const struct path *folder, struct fault *flt)
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

/* Numbers of the disk come again only when nobody has the file open any more. */
static struct digest identity_of(dev_t device, ino_t number)
{
	const struct span parts[] = { { (const unsigned char *)&device, sizeof(device) },
				      { (const unsigned char *)&number, sizeof(number) } };

	return digest_of_parts(parts, 2);
}

/* Takes over the O_PATH descriptor. */
static int enter(struct mount *mount, const struct path *path, int fd, struct node **out, struct fault *flt)
{
	struct staged *staged = calloc(1, sizeof(*staged));
	struct digest identity;
	struct stat status;

	if (!staged || fstat(fd, &status)) {
		int error = staged ? errno : ENOMEM;

		free(staged);
		close(fd);
		return fault_system(flt, error, "what was written here cannot be shown");
	}
	staged->fd = fd;
	staged->path = *path;
	pthread_mutex_init(&staged->mutex, NULL);
	identity = identity_of(status.st_dev, status.st_ino);
	*out = nodes_enter_staged(mount->nodes, path, &identity, staged);
	return *out ? 0 : fault_no_memory(flt);
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

int staged_find(struct mount *mount, const struct path *path, struct node **out, struct fault *flt)
{
	int folder = -1, fd = -1, verdict = open_folder_of(mount, path, false, &folder, flt);

	*out = NULL;
	if (verdict || folder < 0)
		return verdict;
	verdict = open_path(folder, path_name(path), &fd, flt);
	close(folder);
	if (verdict || fd < 0)
		return verdict;
	return enter(mount, path, fd, out, flt);
}

/* The owner, whose daemon works on it, keeps what he needs for that. */
static mode_t mode_for(mode_t mode)
{
	return (mode & 0777) | 0600;
}

int staged_create(struct mount *mount, const struct path *path, mode_t mode, int *fd, struct node **out,
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
		verdict = enter(mount, path, found, out, flt);
	if (!verdict)
		*fd = handle;
	else if (handle >= 0)
		close(handle);
	return verdict;
}

int staged_open(const struct node *node, int flags, int *fd, struct fault *flt)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", node->staged->fd);
	*fd = open(path, flags | O_CLOEXEC);
	return *fd < 0 ? fault_system(flt, errno, "what was written here cannot be opened") : 0;
}

/* Whether the name is still this file's. The mutex is held. */
static bool is_named(const struct staged *staged, int folder)
{
	struct stat own, named;

	return !staged->is_removed && folder >= 0 && fstat(staged->fd, &own) == 0 &&
	       fstatat(folder, path_name(&staged->path), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       own.st_dev == named.st_dev && own.st_ino == named.st_ino;
}

static int remove_name(struct mount *mount, struct staged *staged, struct fault *flt)
{
	int folder = -1, verdict = open_folder_of(mount, &staged->path, false, &folder, flt);

	errno = ENOENT;
	if (!verdict && (!is_named(staged, folder) || unlinkat(folder, path_name(&staged->path), 0)))
		verdict = fail(flt);
	if (folder >= 0)
		close(folder);
	if (!verdict)
		staged->is_removed = true;
	return verdict;
}

void staged_remove_empty(struct mount *mount, struct staged *staged)
{
	struct stat status;

	if (staged->stage == STAGED_OPEN && !staged->is_removed && fstat(staged->fd, &status) == 0 && !status.st_size)
		remove_name(mount, staged, NULL);
}

int staged_remove(struct mount *mount, struct node *node, struct fault *flt)
{
	struct staged *staged = node->staged;
	int verdict;

	pthread_mutex_lock(&staged->mutex);
	verdict = remove_name(mount, staged, flt);
	pthread_mutex_unlock(&staged->mutex);
	return verdict;
}

static int rename_to(struct mount *mount, struct staged *staged, const struct path *to, unsigned flags,
		     struct fault *flt)
{
	int from_folder = -1, to_folder = -1;
	int verdict = open_folder_of(mount, &staged->path, false, &from_folder, flt);

	if (!verdict)
		verdict = open_folder_of(mount, to, true, &to_folder, flt);
	errno = ENOENT;
	if (!verdict && (!is_named(staged, from_folder) ||
			 renameat2(from_folder, path_name(&staged->path), to_folder, path_name(to), flags)))
		verdict = fail(flt);
	if (from_folder >= 0)
		close(from_folder);
	if (to_folder >= 0)
		close(to_folder);
	if (!verdict)
		staged->path = *to;
	return verdict;
}

static void mark_removed(struct node *node)
{
	if (!node)
		return;
	pthread_mutex_lock(&node->staged->mutex);
	node->staged->is_removed = true;
	pthread_mutex_unlock(&node->staged->mutex);
}

int staged_rename(struct mount *mount, struct node *node, const struct path *to, struct node *over,
		  struct fault *flt)
{
	struct staged *staged = node->staged;
	int verdict;

	pthread_mutex_lock(&staged->mutex);
	verdict = rename_to(mount, staged, to, over ? 0 : RENAME_NOREPLACE, flt);
	pthread_mutex_unlock(&staged->mutex);
	if (!verdict)
		mark_removed(over);
	return verdict;
}

static bool reply_file(struct request *request, const struct path *path)
{
	struct node *node = NULL;
	struct fault flt = {0};

	if (staged_find(request->mount, path, &node, &flt))
		request_fail_with(request, &flt);
	else if (node)
		request_reply_entry(request, node, 0);
	return node || flt.verdict;
}

/* The kernel keeps nothing of what others may change, too. */
bool staged_reply_entry(struct request *request)
{
	struct mount *mount = request->mount;
	struct path path;

	if (!mount->staging || request->is_elsewhere)
		return false;
	if (path_as_staged(&request->path, &path))
		return reply_file(request, &path);
	if ((request->path.kind != PATH_PACKAGE && request->path.kind != PATH_NAMESPACE) ||
	    !staged_has_folder(mount, &request->path, NULL))
		return false;
	request_reply_entry(request, nodes_enter(mount->nodes, &request->path, NULL), 0);
	return true;
}

int staged_stat(const struct node *node, struct stat *out, struct fault *flt)
{
	return fstat(node->staged->fd, out) ? fault_system(flt, errno, "what was written here cannot be opened") : 0;
}

/* ---- Listing ---- */

/* An array of them. */
struct staged_listed {
	struct digest identity;
	char name[NAME_MAX + 1];
};

/* What is put together while a folder is read. */
struct listing_of {
	const struct mount *mount;
	const struct view *view;
	const struct path *folder;
	struct tree_entries *entries;
	struct staged_listed *listed;
	size_t count;
	dev_t device;
};

/*
 * A folder is the registry's as soon as that has it. A file that is called like a version is found by its name alone:
 * whoever lists takes what is called so for a release.
 */
static bool is_shown(const struct listing_of *of, const struct dirent *entry, struct path *path)
{
	if (!path_child(of->folder, entry->d_name, path))
		return false;
	if (path_is_staged(path->kind))
		return entry->d_type == DT_REG;
	return entry->d_type == DT_DIR && !path_is_for_writing(path->kind) && tree_has(of->view, path) != TREE_YES;
}

static int add(struct listing_of *of, const struct dirent *entry, struct fault *flt)
{
	struct path path;

	if (!is_shown(of, entry, &path))
		return 0;
	if (of->count >= CAP_STAGED_FILES)
		return fault_undecided(flt, FAULT_LIMIT, "more than %d files were written and not published",
				       CAP_STAGED_FILES);
	if (of->count % 64 == 0) {
		struct staged_listed *more = reallocarray(of->listed, of->count + 64, sizeof(*more));

		if (!more)
			return fault_no_memory(flt);
		of->listed = more;
	}
	of->listed[of->count].identity = identity_of(of->device, entry->d_ino);
	snprintf(of->listed[of->count].name, sizeof(of->listed[0].name), "%s", entry->d_name);
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
	while (!verdict && (entry = readdir(folder)))
		verdict = add(of, entry, flt);
	closedir(folder);
	return verdict;
}

int staged_list(const struct mount *mount, const struct view *view, const struct path *folder,
		struct tree_entries *entries, struct staged_listed **out, struct fault *flt)
{
	struct listing_of of = { .mount = mount, .view = view, .folder = folder, .entries = entries };
	int fd = -1, verdict = open_folder(mount, folder, false, &fd, flt);

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
