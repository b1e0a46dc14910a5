/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Records on their way into the archive (see archive.h).
 */
#include "archive_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/base/file.h"

#define FILE_MODE 0666           /* less the umask */
#define IN_MEMORY (128u << 10)   /* bytes of a growth; more of them lie on disk until they are saved */
#define PIECE (64u << 10)        /* bytes that are copied at once */

struct archive_growth {
	struct archive_growth *next;
	const struct archive *archive;
	struct digest log_id;
	bool is_part;     /* of a log that is not proven */
	uint64_t start;   /* where they stand in the log's file */
	int fd;           /* a file without a name, with the first of them; -1: none is needed yet */
	uint64_t on_disk; /* bytes in it */
	struct buf bytes; /* the others */
};

/* ---- Lists ---- */

void archive_list_init(struct archive_list *list)
{
	list->first = NULL;
	list->last = &list->first;
}

static void put_last(struct archive_list *list, struct archive_growth *growth)
{
	*list->last = growth;
	list->last = &growth->next;
}

/* @return NULL if there is none */
static struct archive_growth *take_first(struct archive_list *list)
{
	struct archive_growth *growth = list->first;

	if (!growth)
		return NULL;
	list->first = growth->next;
	if (!list->first)
		list->last = &list->first;
	growth->next = NULL;
	return growth;
}

void archive_list_release(struct archive_list *list)
{
	struct archive_growth *growth;

	while ((growth = take_first(list)))
		archive_growth_free(growth);
}

void archive_keep_take(struct archive *archive, struct archive_growth *growth)
{
	put_last(&archive->kept, growth);
}

void archive_keep_part_take(struct archive *archive, struct archive_growth *growth)
{
	growth->is_part = true;
	archive_keep_take(archive, growth);
}

void archive_accept(struct archive *archive)
{
	struct archive_growth *growth;

	pthread_mutex_lock(&archive->mutex);
	while ((growth = take_first(&archive->kept)))
		put_last(&archive->accepted, growth);
	pthread_mutex_unlock(&archive->mutex);
}

static struct archive_growth *take_accepted(struct archive *archive)
{
	struct archive_growth *growth;

	pthread_mutex_lock(&archive->mutex);
	growth = take_first(&archive->accepted);
	pthread_mutex_unlock(&archive->mutex);
	return growth;
}

void archive_refuse(struct archive *archive)
{
	archive_list_release(&archive->kept);
}

bool archive_has_news(struct archive *archive)
{
	bool has_news;

	pthread_mutex_lock(&archive->mutex);
	has_news = archive->accepted.first;
	pthread_mutex_unlock(&archive->mutex);
	return has_news;
}

/* ---- Growths ---- */

int archive_growth_new(struct archive *archive, const struct digest *log_id, uint64_t start,
		       struct archive_growth **out, struct fault *flt)
{
	struct archive_growth *growth = calloc(1, sizeof(*growth));

	if (!growth)
		return fault_no_memory(flt);
	growth->archive = archive;
	growth->log_id = *log_id;
	growth->start = start ? start : ARCHIVE_HEADER_SIZE;
	growth->fd = -1;
	buf_init(&growth->bytes, IN_MEMORY + CAP_RECORD + (64u << 10));
	*out = growth;
	return 0;
}

void archive_growth_free(struct archive_growth *growth)
{
	if (!growth)
		return;
	if (growth->fd >= 0)
		close(growth->fd);
	buf_release(&growth->bytes);
	free(growth);
}

static void write_number(unsigned char *out, size_t size, uint64_t number)
{
	for (size_t i = size; i-- > 0; number >>= 8)
		out[i] = (unsigned char)number;
}

static int append_record(struct buf *out, const struct api_record *record, struct fault *flt)
{
	const struct span parts[] = {buf_span(&record->content), span_of_text(record->signature),
				     span_of_text(record->token)};
	unsigned char frame[ARCHIVE_FRAME];
	int r;

	write_number(frame, 8, record->registry_index);
	memcpy(frame + 8, record->key_id.bytes, DIGEST_SIZE);
	for (size_t i = 0; i < 3; i++)
		write_number(frame + 8 + DIGEST_SIZE + 4 * i, 4, parts[i].length);
	/* All of it or nothing. */
	r = buf_reserve(out, sizeof(frame) + parts[0].length + parts[1].length + parts[2].length, flt);
	if (!r)
		r = buf_append(out, (struct span){frame, sizeof(frame)}, flt);
	for (size_t i = 0; i < 3 && !r; i++)
		r = buf_append(out, parts[i], flt);
	return r;
}

/* A file without a name: in the folder, or where that cannot be had in memory that is not ours. */
static int open_spill(struct archive_growth *growth, struct fault *flt)
{
	int folder = -1;

	if (!archive_open_folder(growth->archive, true, &folder, NULL)) {
		growth->fd = openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		close(folder);
	}
	if (growth->fd < 0)
		growth->fd = memfd_create(ARCHIVE_FOLDER, MFD_CLOEXEC);
	return growth->fd < 0 ? fault_system(flt, errno, "a file without a name cannot be had") : 0;
}

/* Put what is in memory on disk: a package of many versions is not to lie in memory twice. */
static int spill(struct archive_growth *growth, struct fault *flt)
{
	size_t length = growth->bytes.length;
	int r = growth->fd < 0 ? open_spill(growth, flt) : 0;

	if (!r)
		r = file_write_all(growth->fd, buf_span(&growth->bytes), flt);
	if (r)
		return r;
	growth->on_disk += length;
	growth->bytes.length = 0;
	return 0;
}

static uint64_t length_of(const struct archive_growth *growth)
{
	return growth->on_disk + growth->bytes.length;
}

int archive_growth_add(struct archive_growth *growth, const struct api_record *record, uint64_t *end,
		       struct fault *flt)
{
	int r = 0;

	if (growth->bytes.length > IN_MEMORY)
		r = spill(growth, flt);
	if (!r)
		r = append_record(&growth->bytes, record, flt);
	if (!r)
		*end = growth->start + length_of(growth);
	return r;
}

/* ---- Reading them back ---- */

/* Bytes of the growth from `at` on, up to `size`. @return how many; -1 with errno */
static ssize_t read_growth(const struct archive_growth *growth, uint64_t at, unsigned char *out, size_t size)
{
	size_t in_memory;

	if (at < growth->on_disk) {
		if (size > growth->on_disk - at)
			size = growth->on_disk - at;
		return pread(growth->fd, out, size, (off_t)at);
	}
	in_memory = (size_t)(at - growth->on_disk);
	if (size > growth->bytes.length - in_memory)
		size = growth->bytes.length - in_memory;
	if (size)
		memcpy(out, growth->bytes.data + in_memory, size);
	return (ssize_t)size;
}

/*
 * Whether a file says the same from the growth's start on, as far as both go.
 * @param there  an open file
 */
static bool agrees(int there, uint64_t size, const struct archive_growth *growth, unsigned char ours[static PIECE],
		   unsigned char theirs[static PIECE])
{
	uint64_t common = size - growth->start, at = 0;

	if (common > length_of(growth))
		common = length_of(growth);
	while (at < common) {
		size_t part = common - at < PIECE ? common - at : PIECE;
		ssize_t got = read_growth(growth, at, ours, part);

		if (got <= 0 || pread(there, theirs, (size_t)got, (off_t)(growth->start + at)) != got ||
		    memcmp(ours, theirs, (size_t)got))
			return false;
		at += (size_t)got;
	}
	return true;
}

/*
 * Whether the stored file and this log agree as far as the shorter one goes.
 * @param size  not below the growth's start
 */
static bool is_same(int there, uint64_t size, const struct archive_growth *growth)
{
	unsigned char *pieces = malloc(2 * PIECE);
	bool same = pieces && agrees(there, size, growth, pieces, pieces + PIECE);

	free(pieces);
	return same;
}

/* ---- Writing ---- */

static int copy_start(int from, uint64_t length, int to, struct fault *flt)
{
	unsigned char piece[8192];
	uint64_t at = 0;

	while (at < length) {
		size_t part = length - at < sizeof(piece) ? length - at : sizeof(piece);
		ssize_t got = pread(from, piece, part, (off_t)at);
		int r;

		if (got <= 0)
			return fault_system(flt, got ? errno : EIO, "reading");
		r = file_write_all(to, (struct span){piece, (size_t)got}, flt);
		if (r)
			return r;
		at += (size_t)got;
	}
	return 0;
}

/* The whole file: what lies there before the growth, and the growth. */
static int write_all(int there, const struct archive_growth *growth, int to, struct fault *flt)
{
	int r;

	if (growth->start == ARCHIVE_HEADER_SIZE)
		r = file_write_all(to, span_of_text(ARCHIVE_HEADER), flt);
	else
		r = copy_start(there, growth->start, to, flt);
	if (!r && growth->fd >= 0)
		r = copy_start(growth->fd, growth->on_disk, to, flt);
	return r ? r : file_write_all(to, buf_span(&growth->bytes), flt);
}

static int write_file(int folder, int there, const struct archive_growth *growth, struct fault *flt)
{
	char name[DIGEST_TEXT_SIZE], temp[DIGEST_TEXT_SIZE + 16];
	int fd, r;

	archive_file_name(&growth->log_id, name);
	snprintf(temp, sizeof(temp), ".%s.wargfs", name);
	unlinkat(folder, temp, 0);
	fd = openat(folder, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	if (fd < 0)
		return fault_system(flt, errno, "making %s", temp);
	r = write_all(there, growth, fd, flt);
	if (close(fd) && !r)
		r = fault_system(flt, errno, "writing");
	if (!r && renameat(folder, temp, folder, name))
		r = fault_system(flt, errno, "renaming");
	if (r)
		unlinkat(folder, temp, 0);
	return r;
}

/*
 * Called under the lock. Gives a growth up if the records before it were removed from the file, as the gap cannot be
 * filled, and an unproven growth if the file holds another log.
 */
static int save_growth(int folder, const struct archive_growth *growth, struct fault *flt)
{
	const uint64_t end = growth->start + length_of(growth);
	bool same, is_wanted;
	uint64_t size = 0;
	int there, r;

	r = archive_open_file(folder, &growth->log_id, &there, &size, flt);
	if (r)
		return r;
	if (growth->start > ARCHIVE_HEADER_SIZE && (there < 0 || size < growth->start)) {
		is_wanted = false;
	} else {
		same = there >= 0 && is_same(there, size, growth);
		is_wanted = there < 0 || (same ? size < end : !growth->is_part);
	}
	if (is_wanted)
		r = write_file(folder, there, growth, flt);
	if (there >= 0)
		close(there);
	return r;
}

/* Called by one thread at a time. */
static int save(struct archive *archive, bool *saved, struct fault *flt)
{
	struct archive_growth *growth;
	bool had = true;
	int folder = -1;
	int r = 0;

	*saved = true;
	if (!archive_has_news(archive))
		return 0;
	r = archive_open_folder(archive, true, &folder, flt);
	if (!r)
		r = file_lock(folder, ARCHIVE_LOCK_WAIT, &had, flt);
	if (!r && !had) {
		*saved = false;
		close(folder);
		return 0;
	}
	while ((growth = take_accepted(archive))) {
		if (!r)
			r = save_growth(folder, growth, flt);
		archive_growth_free(growth);
	}
	if (folder >= 0)
		close(folder);
	if (r)
		fault_at(flt, "the records in %.200s", archive->own_dir);
	return r;
}

int archive_save(struct archive *archive, bool *saved, struct fault *flt)
{
	int r;

	pthread_mutex_lock(&archive->saving);
	r = save(archive, saved, flt);
	pthread_mutex_unlock(&archive->saving);
	return r;
}
