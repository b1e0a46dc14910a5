/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Contents (see content_files.h): written to a temporary file, hashed and checked on the way; fsync, rename, fsync of
 * the folder.
 *
 * Between the rename and the folder's fsync a power cut may still undo the rename: such names are noted, and
 * content_files_have() denies them.
 */
#include "content_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/file.h"
#include "folder.h"
#include "verify/array.h"
#include "verify/caps.h"
#include "verify/wasm.h"

#define LOCK_NAME "lock"
#define FILES_NAME "files"
#define TEMP_NAME "tmp"
#define TEMP_PREFIX "content-"
#define TEMP_DIGITS 16 /* of file_new_name() */
#define SYNC_EVERY (8u << 20) /* bytes after which the disk begins with what came */

struct content_files {
	int top, files, temp;
	int lock;
	uint64_t limit;
	_Atomic uint64_t arrivals;
	pthread_mutex_t mutex;    /* for what follows */
	struct digest *unsynced;  /* contents renamed and not synced yet */
	size_t unsynced_count, unsynced_room;
};

void content_file_name(const struct digest *digest, char out[static CONTENT_FILE_NAME_SIZE])
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	text[strcspn(text, ":")] = '-';
	memcpy(out, text, sizeof(text));
}

bool content_file_parse(const char *name, struct digest *out)
{
	char text[DIGEST_TEXT_SIZE], expected[CONTENT_FILE_NAME_SIZE];

	if (strlen(name) != sizeof(text) - 1)
		return false;
	memcpy(text, name, sizeof(text));
	text[strcspn(text, "-")] = ':';
	if (digest_parse(span_of_text(text), out, NULL))
		return false;
	content_file_name(out, expected);
	return !strcmp(name, expected);
}

/* ---- The folder ---- */

static bool is_temp_name(const char *name)
{
	const size_t length = strlen(TEMP_PREFIX);

	return !strncmp(name, TEMP_PREFIX, length) && strlen(name) == length + TEMP_DIGITS &&
	       strspn(name + length, "0123456789abcdef") == TEMP_DIGITS;
}

/*
 * Call `visit` for each name in a folder until it returns non-zero.
 * @return 0, or what `visit` returned
 */
static int visit_names(int folder, int (*visit)(int folder, const char *name, struct fault *flt), struct fault *flt)
{
	int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	if (!list) {
		r = fault_system(flt, errno, "listing a folder");
		if (copy >= 0)
			close(copy);
		return r;
	}
	while (!r && (entry = readdir(list)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			r = visit(folder, entry->d_name, flt);
	closedir(list);
	return r;
}

/* Remove temporary files of uploads that a killed server left; nothing else in the folder is ours to remove. */
static int remove_temp(int folder, const char *name, struct fault *flt)
{
	struct stat status;

	if (!is_temp_name(name) || fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) || !S_ISREG(status.st_mode))
		return 0;
	if (unlinkat(folder, name, 0) && errno != ENOENT)
		return fault_system(flt, errno, "removing %s", name);
	return 0;
}

/* Results of the visitors that find out what a folder holds. */
#define IS_OURS 1
#define IS_STRANGE 2

static int judge_temp(int folder, const char *name, struct fault *flt)
{
	(void)folder;
	(void)flt;
	return is_temp_name(name) ? 0 : IS_STRANGE;
}

static int judge_content(int folder, const char *name, struct fault *flt)
{
	struct digest digest;

	(void)folder;
	(void)flt;
	return content_file_parse(name, &digest) ? IS_OURS : IS_STRANGE;
}

/* A folder with only what a server makes before the first content counts as empty. */
static int judge_top(int top, const char *name, struct fault *flt)
{
	int folder = -1, r;

	if (!strcmp(name, LOCK_NAME) || !strcmp(name, "lost+found"))
		return 0;
	if (strcmp(name, FILES_NAME) && strcmp(name, TEMP_NAME))
		return IS_STRANGE;
	r = file_open_folder(top, name, false, &folder, flt);
	if (r || folder < 0)
		return r ? r : IS_STRANGE;
	r = visit_names(folder, strcmp(name, FILES_NAME) ? judge_temp : judge_content, flt);
	close(folder);
	return r;
}

/* Check, before anything is made in it, that the folder has contents or is empty. */
static int check_folder(int top, const char *content_dir, struct fault *flt)
{
	int files = -1, r = file_open_folder(top, FILES_NAME, false, &files, flt);

	if (r)
		return r;
	if (files >= 0) {
		r = visit_names(files, judge_content, flt);
		close(files);
		/* Other files in a folder with contents are left alone. */
		if (r == IS_OURS)
			return 0;
	}
	if (!r)
		r = visit_names(top, judge_top, flt);
	if (r == IS_STRANGE)
		return fault_undecided(flt, FAULT_MISUSE, "%.150s has other things in it than contents: name a folder "
				       "that is empty, or one that a registry keeps its contents in", content_dir);
	return r;
}

static int take_folder(struct content_files *files, const char *content_dir, struct fault *flt)
{
	int r = folder_open(content_dir, true, &files->top, flt);

	if (!r)
		r = check_folder(files->top, content_dir, flt);
	if (!r)
		r = file_claim(files->top, LOCK_NAME, &files->lock, NULL, flt);
	if (!r && files->lock < 0)
		r = folder_taken(files->top, LOCK_NAME, content_dir, flt);
	if (!r)
		r = file_open_folder(files->top, TEMP_NAME, true, &files->temp, flt);
	if (!r)
		r = visit_names(files->temp, remove_temp, flt);
	if (!r)
		r = file_open_folder(files->top, FILES_NAME, true, &files->files, flt);
	/* Sync names that an earlier server may not have synced: they count from now on. */
	if (!r)
		r = file_sync(files->files, flt);
	return r ? r : file_sync(files->top, flt);
}

int content_files_open(const char *content_dir, uint64_t limit, struct content_files **out, struct fault *flt)
{
	struct content_files *files = calloc(1, sizeof(*files));
	int r;

	if (!files)
		return fault_no_memory(flt);
	*files = (struct content_files){.top = -1, .files = -1, .temp = -1, .lock = -1, .limit = limit};
	pthread_mutex_init(&files->mutex, NULL);
	r = take_folder(files, content_dir, flt);
	if (r)
		content_files_close(files);
	else
		*out = files;
	return r;
}

void content_files_close(struct content_files *files)
{
	if (!files)
		return;
	if (files->lock >= 0)
		file_end_claim(files->top, LOCK_NAME, files->lock);
	for (int i = 0; i < 3; i++) {
		int fd = (int[]){files->files, files->temp, files->top}[i];

		if (fd >= 0)
			close(fd);
	}
	pthread_mutex_destroy(&files->mutex);
	free(files->unsynced);
	free(files);
}

int content_files_folder(const struct content_files *files)
{
	return files->files;
}

uint64_t content_files_limit(const struct content_files *files)
{
	return files->limit;
}

/* ---- Names that are not synced yet ---- */

/* With the mutex. */
static bool find_unsynced(const struct content_files *files, const struct digest *digest)
{
	bool found = false;

	for (size_t i = 0; i < files->unsynced_count && !found; i++)
		found = digest_equals(&files->unsynced[i], digest);
	return found;
}

/* With the mutex. */
static int add_unsynced(struct content_files *files, const struct digest *digest, struct fault *flt)
{
	int r = array_reserve(&files->unsynced, files->unsynced_count, &files->unsynced_room, sizeof(*files->unsynced),
			      flt);

	if (!r)
		files->unsynced[files->unsynced_count++] = *digest;
	return r;
}

static int note_unsynced(struct content_files *files, const struct digest *digest, struct fault *flt)
{
	int r = 0;

	pthread_mutex_lock(&files->mutex);
	if (!find_unsynced(files, digest))
		r = add_unsynced(files, digest, flt);
	pthread_mutex_unlock(&files->mutex);
	return r;
}

/* If two uploads of one content race, either sync is enough: both files have the same bytes. */
static void forget_unsynced(struct content_files *files, const struct digest *digest)
{
	pthread_mutex_lock(&files->mutex);
	for (size_t i = 0; i < files->unsynced_count; i++)
		if (digest_equals(&files->unsynced[i], digest))
			files->unsynced[i] = files->unsynced[--files->unsynced_count];
	pthread_mutex_unlock(&files->mutex);
}

static bool is_unsynced(struct content_files *files, const struct digest *digest)
{
	bool is;

	pthread_mutex_lock(&files->mutex);
	is = find_unsynced(files, digest);
	pthread_mutex_unlock(&files->mutex);
	return is;
}

/* ---- What is there ---- */

uint64_t content_files_arrivals(const struct content_files *files)
{
	return atomic_load(&files->arrivals);
}

bool content_files_have(struct content_files *files, const struct digest *digest)
{
	char name[CONTENT_FILE_NAME_SIZE];
	struct stat status;

	content_file_name(digest, name);
	/* In this order: note the name before the rename. */
	return !fstatat(files->files, name, &status, AT_SYMLINK_NOFOLLOW) && S_ISREG(status.st_mode) &&
	       !is_unsynced(files, digest);
}

int content_files_read(const struct content_files *files, const struct digest *digest, struct content_file *out,
		       struct fault *flt)
{
	char name[CONTENT_FILE_NAME_SIZE];
	struct stat status;
	uint64_t size;
	int fd = -1, r;

	content_file_name(digest, name);
	r = file_open(files->files, name, &fd, &size, flt);
	if (!r && fd < 0)
		r = fault_undecided(flt, FAULT_ABSENT, "there is no such content");
	if (r)
		return r;
	if (fstat(fd, &status)) {
		r = fault_system(flt, errno, "%s", name);
		close(fd);
		return r;
	}
	*out = (struct content_file){fd, size, status.st_mtim.tv_sec};
	return 0;
}

/* ---- On its way ---- */

struct incoming {
	struct content_files *files;
	struct digest expected;
	enum incoming_kind kind;
	struct digest_stream stream;
	struct wasm_framing framing;
	struct fault why; /* what is wrong with it so far; verdict 0: nothing */
	uint64_t length;
	char name[32];    /* in temp; "": it has none any more */
	int fd;
};

int incoming_begin(struct content_files *files, const struct digest *digest, enum incoming_kind kind,
		   struct incoming **out, struct fault *flt)
{
	struct incoming *incoming = calloc(1, sizeof(*incoming));
	int r;

	if (!incoming)
		return fault_no_memory(flt);
	incoming->files = files;
	incoming->expected = *digest;
	incoming->kind = kind;
	digest_stream_init(&incoming->stream);
	wasm_framing_init(&incoming->framing);
	r = file_new_name(TEMP_PREFIX, incoming->name, sizeof(incoming->name), flt);
	if (!r) {
		incoming->fd = openat(files->temp, incoming->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (incoming->fd < 0)
			r = fault_system(flt, errno, "the content cannot be received");
	}
	if (r)
		free(incoming);
	else
		*out = incoming;
	return r;
}

/* In the reference's words. */
static void note_bad_framing(struct incoming *incoming, const struct fault *bad)
{
	fault_invalid(&incoming->why, "content is not valid WebAssembly: %s", bad->what);
}

/* The framing goes over all bytes, as the hash does. */
static void judge(struct incoming *incoming, struct span bytes)
{
	struct fault bad = {0};

	digest_stream_update(&incoming->stream, bytes);
	if (incoming->why.verdict)
		return;
	if (incoming->length + bytes.length > incoming->files->limit)
		fault_invalid(&incoming->why, "it is larger than %" PRIu64 " bytes", incoming->files->limit);
	else if (incoming->kind == INCOMING_WASM && wasm_framing_append(&incoming->framing, bytes, &bad))
		note_bad_framing(incoming, &bad);
}

int incoming_write(struct incoming *incoming, struct span bytes, struct fault *flt)
{
	uint64_t before = incoming->length;
	int r = 0;

	judge(incoming, bytes);
	/* What is refused anyhow takes no room on the disk. */
	if (!incoming->why.verdict)
		r = file_write_all(incoming->fd, bytes, flt);
	incoming->length += bytes.length;
	if (!r && before / SYNC_EVERY != incoming->length / SYNC_EVERY)
		file_begin_sync(incoming->fd, 0, 0);
	return r;
}

static int name_it(struct incoming *incoming, struct fault *flt)
{
	struct content_files *files = incoming->files;
	char name[CONTENT_FILE_NAME_SIZE];
	int r = file_sync(incoming->fd, flt);

	/* The content exists already: it survives, whichever of the two files a power cut leaves. */
	if (!r && !content_files_have(files, &incoming->expected))
		r = note_unsynced(files, &incoming->expected, flt);
	if (r)
		return r;
	content_file_name(&incoming->expected, name);
	/* On failure the name stays noted: another upload of the content may have renamed its file to it. */
	if (renameat(files->temp, incoming->name, files->files, name))
		return fault_system(flt, errno, "%s", name);
	*incoming->name = 0;
	r = file_sync_shared(files->files, flt);
	if (!r) {
		forget_unsynced(files, &incoming->expected);
		atomic_fetch_add(&files->arrivals, 1);
	}
	return r;
}

int incoming_keep(struct incoming *incoming, enum incoming_verdict *verdict, struct fault *flt)
{
	struct digest found = digest_stream_final(&incoming->stream);
	char texts[2][DIGEST_TEXT_SIZE];
	struct fault bad = {0};

	if (!incoming->why.verdict && incoming->kind == INCOMING_WASM && wasm_framing_end(&incoming->framing, &bad))
		note_bad_framing(incoming, &bad);
	if (!digest_equals(&found, &incoming->expected)) {
		digest_format(&found, texts[0]);
		digest_format(&incoming->expected, texts[1]);
		*verdict = INCOMING_OTHER;
		fault_undecided(flt, FAULT_REFUSED, "content digest `%s` does not match expected digest `%s`",
				texts[0], texts[1]);
		return 0;
	}
	if (incoming->why.verdict) {
		*verdict = INCOMING_REFUSED;
		*flt = incoming->why;
		return 0;
	}
	*verdict = INCOMING_FINE;
	return name_it(incoming, flt);
}

void incoming_free(struct incoming *incoming)
{
	if (!incoming)
		return;
	if (*incoming->name)
		unlinkat(incoming->files->temp, incoming->name, 0);
	close(incoming->fd);
	free(incoming);
}
