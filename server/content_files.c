/*
 * Contents (see content_files.h): temp, hash and framing while they come, fsync, rename, fsync of the folder.
 */
#include "content_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/file.h"
#include "verify/caps.h"
#include "verify/wasm.h"

#define LOCK_NAME "lock"
#define SYNC_EVERY (8u << 20) /* bytes after which the disk begins with what came */

struct content_files {
	int top, files, temp;
	int lock;
	uint64_t limit;
};

void content_file_name(const struct digest *digest, char out[static CONTENT_FILE_NAME_SIZE])
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	text[strcspn(text, ":")] = '-';
	memcpy(out, text, sizeof(text));
}

/* ---- The folder ---- */

static int take_folder(struct content_files *files, const char *content_dir, struct fault *flt)
{
	int r = file_open_top(content_dir, &files->top, flt);

	if (!r)
		r = file_claim(files->top, LOCK_NAME, &files->lock, NULL, flt);
	if (!r && files->lock < 0)
		r = fault_undecided(flt, FAULT_EXISTS, "another server has %.150s", content_dir);
	if (!r)
		r = file_remove_tree(files->top, "tmp", flt);
	if (!r)
		r = file_open_folder(files->top, "tmp", true, &files->temp, flt);
	if (!r)
		r = file_open_folder(files->top, "files", true, &files->files, flt);
	return r ? r : file_sync(files->top, flt);
}

int content_files_open(const char *content_dir, uint64_t limit, struct content_files **out, struct fault *flt)
{
	struct content_files *files = calloc(1, sizeof(*files));
	int r;

	if (!files)
		return fault_no_memory(flt);
	*files = (struct content_files){-1, -1, -1, -1, limit};
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
	free(files);
}

uint64_t content_files_limit(const struct content_files *files)
{
	return files->limit;
}

/* ---- What is there ---- */

bool content_files_have(const struct content_files *files, const struct digest *digest)
{
	char name[CONTENT_FILE_NAME_SIZE];
	struct stat status;

	content_file_name(digest, name);
	return !fstatat(files->files, name, &status, AT_SYMLINK_NOFOLLOW) && S_ISREG(status.st_mode);
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
	r = file_new_name("content-", incoming->name, sizeof(incoming->name), flt);
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

/* The framing goes over all bytes, as the hash does. */
static void judge(struct incoming *incoming, struct span bytes)
{
	digest_stream_update(&incoming->stream, bytes);
	if (incoming->why.verdict)
		return;
	if (incoming->length + bytes.length > incoming->files->limit)
		fault_invalid(&incoming->why, "it is larger than %" PRIu64 " bytes", incoming->files->limit);
	else if (incoming->kind == INCOMING_WASM)
		wasm_framing_append(&incoming->framing, bytes, &incoming->why);
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

	if (r)
		return r;
	content_file_name(&incoming->expected, name);
	if (renameat(files->temp, incoming->name, files->files, name))
		return fault_system(flt, errno, "%s", name);
	*incoming->name = 0;
	return file_sync(files->files, flt);
}

int incoming_keep(struct incoming *incoming, enum incoming_verdict *verdict, struct fault *flt)
{
	struct digest found = digest_stream_final(&incoming->stream);
	char texts[2][DIGEST_TEXT_SIZE];

	if (!incoming->why.verdict && incoming->kind == INCOMING_WASM)
		wasm_framing_end(&incoming->framing, &incoming->why);
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
