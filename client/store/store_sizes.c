/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Sizes of contents by digest: store.h.
 *
 * The file `sizes` in our own folder: a first line with the version, then a line for each known size, `<64 digits>
 * <bytes> <check>`; of several lines for one digest the last counts. The check is the beginning of the hash of what
 * precedes it: before the content is there, nothing else reveals a digit changed by the disk. Lines are appended
 * without a lock: each is one write() in append mode. A lost line only costs a HEAD.
 */
#include "store_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/file.h"
#include "client/base/lines.h"
#include "verify/hex.h"

#define SIZES_FILE "sizes"
#define SIZES_HEADER "wargfs sizes 2\n"
#define SIZES_MODE 0666        /* less the umask */
#define SIZES_CHECK 8          /* digits */
#define SIZES_LINE (2 * DIGEST_SIZE + 1 + 20 + 1 + SIZES_CHECK + 1) /* longest line, newline included */
#define SIZES_FIRST_CAPACITY 64
#define SIZES_SPARE_LINES 1024 /* outdated lines that are put up with before the file is written anew */

int store_sizes_init(struct store_sizes *sizes, struct fault *flt)
{
	int r = digest_hash_init(&sizes->hash, flt);

	if (!r)
		pthread_mutex_init(&sizes->mutex, NULL);
	return r;
}

void store_sizes_release(struct store_sizes *sizes)
{
	free(sizes->slots);
	pthread_mutex_destroy(&sizes->mutex);
}

/* ---- The table ---- */

/* The digest's slot, or the free one where it belongs. There is always one. */
static struct store_size *find_slot(const struct store_sizes *sizes, const struct digest *digest)
{
	size_t mask = sizes->capacity - 1;
	size_t i = digest_hash_of(&sizes->hash, digest) & mask;

	while (sizes->slots[i].used && !digest_equals(&sizes->slots[i].digest, digest))
		i = (i + 1) & mask;
	return &sizes->slots[i];
}

/* Room for one more. @return false without memory; nothing changed then */
static bool make_room(struct store_sizes *sizes)
{
	struct store_sizes grown = *sizes;

	if (sizes->count < sizes->capacity / 2)
		return true;
	grown.capacity = sizes->capacity ? sizes->capacity * 2 : SIZES_FIRST_CAPACITY;
	grown.slots = calloc(grown.capacity, sizeof(*grown.slots));
	if (!grown.slots)
		return false;
	for (size_t i = 0; i < sizes->capacity; i++)
		if (sizes->slots[i].used)
			*find_slot(&grown, &sizes->slots[i].digest) = sizes->slots[i];
	free(sizes->slots);
	sizes->slots = grown.slots;
	sizes->capacity = grown.capacity;
	return true;
}

static void forget_all(struct store_sizes *sizes)
{
	free(sizes->slots);
	sizes->slots = NULL;
	sizes->capacity = sizes->count = 0;
}

/* @return whether that was news */
static bool put(struct store_sizes *sizes, const struct digest *digest, uint64_t size)
{
	struct store_size *slot;

	if (!make_room(sizes))
		return false;
	slot = find_slot(sizes, digest);
	if (slot->used && slot->size == size)
		return false;
	if (!slot->used)
		sizes->count++;
	*slot = (struct store_size){.digest = *digest, .size = size, .used = true};
	return true;
}

/* ---- Lines ---- */

static void format_check(struct span text, char out[static DIGEST_TEXT_SIZE])
{
	struct digest hash = digest_of(text);

	hex_encode(digest_span(&hash), out);
	out[SIZES_CHECK] = '\0';
}

static size_t format_line(const struct store_size *entry, char out[static SIZES_LINE + 1])
{
	char digits[DIGEST_TEXT_SIZE], check[DIGEST_TEXT_SIZE];
	size_t length;

	hex_encode(digest_span(&entry->digest), digits);
	length = (size_t)snprintf(out, SIZES_LINE + 1, "%s %llu", digits, (unsigned long long)entry->size);
	format_check((struct span){(unsigned char *)out, length}, check);
	return length + (size_t)snprintf(out + length, SIZES_LINE + 1 - length, " %s\n", check);
}

/* Remove the check from a line's end. @return whether it matches */
static bool take_check(struct span *line)
{
	char check[DIGEST_TEXT_SIZE];
	size_t length;

	if (line->length <= SIZES_CHECK + 1 || line->data[line->length - SIZES_CHECK - 1] != ' ')
		return false;
	length = line->length - SIZES_CHECK - 1;
	format_check((struct span){line->data, length}, check);
	line->length = length;
	return !memcmp(line->data + length + 1, check, SIZES_CHECK);
}

static bool parse_number(struct span text, uint64_t *out)
{
	uint64_t number = 0;

	if (!text.length || (text.length > 1 && text.data[0] == '0'))
		return false;
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		number = number * 10 + (text.data[i] - (uint64_t)'0');
		if (number > CAP_CONTENT)
			return false;
	}
	*out = number;
	return true;
}

/* A line without its end. One that is none of ours is passed over. */
static void take_line(void *user, struct span line)
{
	struct store_sizes *sizes = user;
	const size_t digits = (size_t)2 * DIGEST_SIZE;
	struct digest digest;
	uint64_t size;

	if (!take_check(&line) || line.length <= digits || line.data[digits] != ' ' || sizes->count >= CAP_SIZES ||
	    hex_decode((struct span){line.data, digits}, digest.bytes, DIGEST_SIZE, NULL) ||
	    !parse_number((struct span){line.data + digits + 1, line.length - digits - 1}, &size))
		return;
	put(sizes, &digest, size);
}

/* ---- Writing the file ---- */

/* Our own folder. @param fd  close() it */
static int open_own(const struct store *store, int *fd)
{
	return file_open_inside(store->own_dir, store->label, true, fd, NULL);
}

static int render(const struct store_sizes *sizes, struct buf *out)
{
	char line[SIZES_LINE + 1];
	int r;

	r = buf_append_text(out, SIZES_HEADER, NULL);
	for (size_t i = 0; !r && i < sizes->capacity; i++)
		if (sizes->slots[i].used)
			r = buf_append(out, (struct span){(unsigned char *)line, format_line(&sizes->slots[i], line)},
				       NULL);
	return r;
}

/* Write the file anew with all that is known. Whoever does the same at this moment is left to do it. */
static void rewrite(struct store_sizes *sizes, int folder)
{
	bool had = false;
	struct buf text;

	if (file_lock(folder, 0, &had, NULL) || !had)
		return;
	buf_init(&text, CAP_FILE_SIZES);
	if (!render(sizes, &text) && !file_replace(folder, SIZES_FILE, SIZES_MODE, buf_span(&text), NULL)) {
		sizes->usable = true;
		sizes->torn = false;
	}
	buf_release(&text);
}

/* Put one line behind the others. @return false if there is no file */
static bool append(struct store_sizes *sizes, int folder, const struct store_size *entry)
{
	char line[SIZES_LINE + 2] = "\n";
	size_t start = sizes->torn ? 1 : 0;
	ssize_t length = (ssize_t)(start + format_line(entry, line + start));
	int fd;

	fd = openat(folder, SIZES_FILE, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno != ENOENT;
	/* What comes short leaves a line without an end, which the next one must not be glued to. */
	sizes->torn = write(fd, line, (size_t)length) != length;
	close(fd);
	return true;
}

static void save(const struct store *store, struct store_sizes *sizes, const struct store_size *entry)
{
	int folder = -1;

	if (open_own(store, &folder))
		return;
	if (!entry || !append(sizes, folder, entry))
		rewrite(sizes, folder);
	close(folder);
}

/* ---- Both together. The mutex is held ---- */

/* Read the file at the first call. If its first line is not ours, the next size replaces the file. */
static void load(struct store *store)
{
	struct store_sizes *sizes = &store->sizes;
	struct lines_read read;
	int folder = -1, fd = -1;

	if (sizes->loaded)
		return;
	sizes->loaded = true;
	if (open_own(store, &folder))
		return;
	if (!file_open(folder, SIZES_FILE, &fd, NULL, NULL) && fd >= 0) {
		read = lines_read(fd, SIZES_HEADER, CAP_FILE_SIZES, take_line, sizes);
		close(fd);
		sizes->usable = read.is_ours;
		sizes->torn = read.is_torn;
		if (sizes->usable && read.count > 2 * sizes->count + SIZES_SPARE_LINES)
			rewrite(sizes, folder);
	}
	close(folder);
}

static const struct store_size *find(struct store *store, const struct digest *digest)
{
	const struct store_size *slot;

	load(store);
	if (!store->sizes.capacity)
		return NULL;
	slot = find_slot(&store->sizes, digest);
	return slot->used ? slot : NULL;
}

bool store_find_size(struct store *store, const struct digest *digest, uint64_t *size)
{
	const struct store_size *found;

	pthread_mutex_lock(&store->sizes.mutex);
	found = find(store, digest);
	if (found)
		*size = found->size;
	pthread_mutex_unlock(&store->sizes.mutex);
	return found != NULL;
}

void store_remember_size(struct store *store, const struct digest *digest, uint64_t size)
{
	const struct store_size entry = {.digest = *digest, .size = size};
	struct store_sizes *sizes = &store->sizes;
	bool full;

	pthread_mutex_lock(&sizes->mutex);
	full = !find(store, digest) && sizes->count >= CAP_SIZES;
	if (full)
		forget_all(sizes);
	if (put(sizes, digest, size))
		save(store, sizes, full || !sizes->usable ? NULL : &entry);
	pthread_mutex_unlock(&sizes->mutex);
}
