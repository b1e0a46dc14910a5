/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Where the ledger's records lie: a file in our own folder that is appended to, or one without a name where that cannot
 * be had (see ledger.h).
 *
 * Two programs may append to one file at once: what both proved is the same, and stands at the same place. What a crash
 * left behind the records that the checkpoint speaks of is nothing to anybody, and is written over.
 */
#include "ledger_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/file.h"
#include "client/base/json.h"
#include "client/net/checkpoint_json.h"

#define LEDGER_TEMP "." LEDGER_FILE ".wargfs"
#define CHECKPOINT_FILE "checkpoint"
#define CHECKPOINT_HEADER "wargfs checkpoint 1\n"

off_t ledger_offset(uint64_t index)
{
	return (off_t)(LEDGER_HEADER_SIZE + index * LEDGER_ENTRY);
}

int ledger_open_folder(const struct ledger *ledger, bool make, int *fd, struct fault *flt)
{
	return file_open_inside(ledger->own_dir, ledger->label, make, fd, flt);
}

ssize_t ledger_read_at(int fd, void *out, size_t size, off_t offset)
{
	unsigned char *bytes = out;
	size_t length = 0;

	while (length < size) {
		ssize_t got = pread(fd, bytes + length, size - length, offset + (off_t)length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (!got)
			break;
		length += (size_t)got;
	}
	return (ssize_t)length;
}

int ledger_open_file(int folder, int *fd, bool *is_writable, uint64_t *size, struct fault *flt)
{
	char header[LEDGER_HEADER_SIZE];
	struct stat status;
	int opened = -1;
	int r;

	r = file_open(folder, LEDGER_FILE, &opened, size, flt);
	if (r || opened < 0)
		return r;
	/* Before anything of it is hashed: whoever put it there must not keep us busy. */
	if (*size > CAP_FILE_LEDGER) {
		close(opened);
		return fault_invalid(flt, "it is larger than it can be");
	}
	if (ledger_read_at(opened, header, sizeof(header), 0) != sizeof(header) ||
	    memcmp(header, LEDGER_HEADER, sizeof(header))) {
		close(opened);
		return fault_invalid(flt, "it does not begin with its line of version");
	}
	/* One that has another name as well may be somebody's who never meant it to be written to. */
	*fd = openat(folder, LEDGER_FILE, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	*is_writable = *fd >= 0 && !fstat(*fd, &status) && S_ISREG(status.st_mode) && status.st_nlink == 1;
	if (*is_writable) {
		close(opened);
		*fd = file_reopen_take(*fd);
		return 0;
	}
	if (*fd >= 0)
		close(*fd);
	*fd = opened;
	return 0;
}

/* ---- Writing ---- */

static int write_at(int fd, struct span bytes, off_t offset)
{
	while (bytes.length) {
		ssize_t count = pwrite(fd, bytes.data, bytes.length, offset);

		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return WARG_UNDECIDED;
		bytes.data += count;
		bytes.length -= (size_t)count;
		offset += count;
	}
	return 0;
}

static struct span span_of_entries(const struct api_ledger_entry *entries, size_t count)
{
	return (struct span){(const unsigned char *)entries, count * LEDGER_ENTRY};
}

/** Records on their way into another file: those that are there, then those that come behind them. */
struct move {
	struct ledger *ledger;
	const struct ledger_growth *growth;
};

static int move_all(const struct move *move,
		    int (*take)(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count,
				struct fault *flt),
		    void *user, struct fault *flt)
{
	uint64_t length = move->ledger->records.roots.length;
	int r;

	r = ledger_read(move->ledger, 0, length, take, user, flt);
	return r ? r : ledger_walk_growth(move->growth, length, take, user, flt);
}

static int write_piece(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count,
		       struct fault *flt)
{
	const int *fd = user;

	(void)index;
	return file_write_all(*fd, span_of_entries(entries, count), flt);
}

static int compare_piece(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count,
			 struct fault *flt)
{
	struct api_ledger_entry there[LEDGER_CHUNK];
	const int *fd = user;

	while (count) {
		size_t part = count < LEDGER_CHUNK ? count : LEDGER_CHUNK;
		ssize_t size = (ssize_t)(part * LEDGER_ENTRY);

		if (ledger_read_at(*fd, there, (size_t)size, ledger_offset(index)) != size ||
		    memcmp(there, entries, (size_t)size))
			return fault_invalid(flt, "it holds other records");
		entries += part;
		index += part;
		count -= part;
	}
	return 0;
}

static int write_file(int fd, const struct move *move, struct fault *flt)
{
	int r = file_write_all(fd, span_of_text(LEDGER_HEADER), flt);

	return r ? r : move_all(move, write_piece, &fd, flt);
}

static void use(struct ledger *ledger, int fd, bool is_named)
{
	pthread_mutex_lock(&ledger->mutex);
	if (ledger->fd >= 0)
		close(ledger->fd);
	ledger->fd = fd;
	ledger->is_named = is_named;
	pthread_mutex_unlock(&ledger->mutex);
}

/* ---- The file with a name ---- */

/* Whether another program wrote it meanwhile, as far as we would. */
static bool adopt(int folder, const struct move *move, int *fd)
{
	bool is_writable = false;
	uint64_t size;
	int opened = -1;

	if (ledger_open_file(folder, &opened, &is_writable, &size, NULL) || opened < 0)
		return false;
	if (is_writable && !move_all(move, compare_piece, &opened, NULL)) {
		*fd = opened;
		return true;
	}
	close(opened);
	return false;
}

/*
 * Write all of it under a name of its own, then give it the right one. It is synced before a checkpoint is
 * put beside it; what a power failure left of it before, beside an older one, is as good as a damaged file.
 */
static int write_anew(int folder, const struct move *move, int *fd, struct fault *flt)
{
	int opened, r;

	unlinkat(folder, LEDGER_TEMP, 0);
	opened = openat(folder, LEDGER_TEMP, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, LEDGER_MODE);
	if (opened < 0)
		return fault_system(flt, errno, "making %s", LEDGER_TEMP);
	r = write_file(opened, move, flt);
	if (!r && renameat(folder, LEDGER_TEMP, folder, LEDGER_FILE))
		r = fault_system(flt, errno, "renaming");
	if (r) {
		unlinkat(folder, LEDGER_TEMP, 0);
		close(opened);
		return r;
	}
	*fd = file_reopen_take(opened);
	return 0;
}

static int put_named(const struct move *move, struct fault *flt)
{
	struct ledger *ledger = move->ledger;
	int folder = -1, fd = -1;
	bool had = false;
	int r;

	r = ledger_open_folder(ledger, true, &folder, flt);
	if (r)
		return r;
	r = file_lock(folder, LEDGER_LOCK_WAIT, &had, flt);
	if (!r && !had)
		r = fault_undecided(flt, FAULT_TIMEOUT, "another program writes there");
	if (!r && !adopt(folder, move, &fd)) {
		r = write_anew(folder, move, &fd, flt);
		ledger->checkpoint_is_stale = ledger->checkpoint_is_stale || !r;
	}
	close(folder);
	if (!r)
		use(ledger, fd, true);
	return r;
}

/* ---- The file without a name ---- */

static int put_unnamed(const struct move *move, struct fault *flt)
{
	int fd = memfd_create(LEDGER_FILE, MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return fault_system(flt, errno, "making an unlinked file");
	r = write_file(fd, move, flt);
	if (r)
		close(fd);
	else
		use(move->ledger, fd, false);
	return r;
}

int ledger_open_spool(const struct ledger *ledger, int *fd, struct fault *flt)
{
	int folder = -1;

	*fd = -1;
	if (!ledger_open_folder(ledger, true, &folder, NULL)) {
		*fd = openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		close(folder);
	}
	if (*fd < 0)
		*fd = memfd_create(LEDGER_FILE, MFD_CLOEXEC);
	return *fd < 0 ? fault_system(flt, errno, "making an unlinked file") : 0;
}

/* ---- Both ---- */

/* Whether the file that is open is still in the folder: others may replace it, or remove it. */
static bool has_name(int fd)
{
	struct stat status;

	return !fstat(fd, &status) && status.st_nlink;
}

static int append_piece(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count,
			struct fault *flt)
{
	const int *fd = user;

	(void)flt;
	return write_at(*fd, span_of_entries(entries, count), ledger_offset(index));
}

/* The file is opened read-only, so that its file system can be remounted read-only. @return whether it is complete */
static bool append_to(int fd, uint64_t length, const struct ledger_growth *growth)
{
	char path[64];
	bool is_whole;
	int writer;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	writer = open(path, O_WRONLY | O_CLOEXEC);
	if (writer < 0)
		return false;
	is_whole = !ledger_walk_growth(growth, length, append_piece, &writer, NULL);
	return !close(writer) && is_whole;
}

int ledger_put(struct ledger *ledger, const struct ledger_growth *growth, struct fault *flt)
{
	const struct move move = {ledger, growth};
	uint64_t length = ledger->records.roots.length;

	if (ledger->is_named && has_name(ledger->fd) && append_to(ledger->fd, length, growth))
		return 0;
	if (!put_named(&move, NULL))
		return 0;
	/* It is read by us alone, then: what is not to be had on disk is not to be lost while we run. */
	if (ledger->fd >= 0 && !ledger->is_named && append_to(ledger->fd, length, growth))
		return 0;
	return put_unnamed(&move, flt);
}

/* ---- The checkpoint ---- */

static int parse_checkpoint(struct span text, struct signed_checkpoint *out, struct fault *flt)
{
	const size_t head = strlen(CHECKPOINT_HEADER);
	struct json *value = NULL;
	int r;

	if (text.length < head || memcmp(text.data, CHECKPOINT_HEADER, head))
		return fault_invalid(flt, "it does not begin with its line of version");
	r = json_parse((struct span){text.data + head, text.length - head}, &value, flt);
	if (!r)
		r = checkpoint_json_read(value, out, flt);
	json_free(value);
	return r;
}

int ledger_read_checkpoint(int folder, struct signed_checkpoint *out, bool *found, struct fault *flt)
{
	struct buf text;
	int r;

	buf_init(&text, CAP_FILE_CONFIG);
	r = file_read(folder, CHECKPOINT_FILE, &text, found, flt);
	if (!r && *found)
		r = parse_checkpoint(buf_span(&text), out, flt);
	if (r)
		fault_at(flt, "file %s", CHECKPOINT_FILE);
	buf_release(&text);
	return r;
}

/* Whether the one that lies there speaks of more, of the same file, or is no older. */
static bool is_ahead(const struct ledger *ledger, int folder, const struct checkpoint *checkpoint)
{
	struct signed_checkpoint there;
	bool found = false;

	if (ledger->checkpoint_is_stale || ledger_read_checkpoint(folder, &there, &found, NULL) || !found)
		return false;
	return there.contents.log_length > checkpoint->log_length ||
	       (checkpoint_same_state(&there.contents, checkpoint) &&
		there.contents.timestamp >= checkpoint->timestamp);
}

static int write_checkpoint(int folder, const struct signed_checkpoint *checkpoint, struct fault *flt)
{
	struct buf text;
	int r;

	buf_init(&text, CAP_FILE_CONFIG);
	r = buf_append_text(&text, CHECKPOINT_HEADER, flt);
	if (!r)
		r = checkpoint_json_render(checkpoint, &text, flt);
	if (!r)
		r = file_replace(folder, CHECKPOINT_FILE, LEDGER_MODE, buf_span(&text), flt);
	buf_release(&text);
	return r;
}

/* The folder is locked. */
static bool keep(struct ledger *ledger, int folder, const struct signed_checkpoint *checkpoint)
{
	if (is_ahead(ledger, folder, &checkpoint->contents))
		return true;
	if (write_checkpoint(folder, checkpoint, NULL))
		return false;
	ledger->checkpoint_is_stale = false;
	return true;
}

bool ledger_keep_checkpoint(struct ledger *ledger, int fd, const struct signed_checkpoint *checkpoint)
{
	bool had = false, is_kept = false;
	int folder = -1;

	/* It must not be on disk before the records that it speaks of. */
	if (file_sync(fd, NULL) || ledger_open_folder(ledger, true, &folder, NULL))
		return false;
	if (!file_lock(folder, LEDGER_LOCK_WAIT, &had, NULL) && had && has_name(fd))
		is_kept = keep(ledger, folder, checkpoint);
	close(folder);
	return is_kept;
}
