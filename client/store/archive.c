/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Logs out of the archive (see archive.h).
 */
#include "archive_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/file.h"
#include "verify/array.h"
#include "verify/hex.h"
#include "verify/printable.h"

#define READ_AHEAD (64u << 10) /* bytes */

int archive_open(const char *own_dir, const char *label, struct archive **out, struct fault *flt)
{
	struct archive *archive = calloc(1, sizeof(*archive));

	if (!archive)
		return fault_no_memory(flt);
	pthread_mutex_init(&archive->saving, NULL);
	pthread_mutex_init(&archive->mutex, NULL);
	archive_list_init(&archive->kept);
	archive_list_init(&archive->accepted);
	archive->own_dir = strdup(own_dir);
	archive->label = strdup(label);
	if (!archive->own_dir || !archive->label) {
		archive_close(archive);
		return fault_no_memory(flt);
	}
	*out = archive;
	return 0;
}

void archive_close(struct archive *archive)
{
	if (!archive)
		return;
	archive_list_release(&archive->kept);
	archive_list_release(&archive->accepted);
	ecdsa_recent_keys_release(&archive->keys);
	pthread_mutex_destroy(&archive->mutex);
	pthread_mutex_destroy(&archive->saving);
	free(archive->own_dir);
	free(archive->label);
	free(archive);
}

struct ecdsa_recent_keys *archive_keys(struct archive *archive)
{
	return &archive->keys;
}

/* ---- Files ---- */

int archive_open_folder(const struct archive *archive, bool make, int *fd, struct fault *flt)
{
	int own = -1;
	int r;

	*fd = -1;
	r = file_open_inside(archive->own_dir, archive->label, make, &own, flt);
	if (r || own < 0)
		return r;
	r = file_open_folder(own, ARCHIVE_FOLDER, make, fd, flt);
	close(own);
	return r;
}

void archive_file_name(const struct digest *log_id, char out[static DIGEST_TEXT_SIZE])
{
	hex_encode(digest_span(log_id), out);
}

int archive_open_file(int folder, const struct digest *log_id, int *fd, uint64_t *size, struct fault *flt)
{
	char name[DIGEST_TEXT_SIZE], header[ARCHIVE_HEADER_SIZE];
	int opened = -1;
	int r;

	*fd = -1;
	archive_file_name(log_id, name);
	r = file_open(folder, name, &opened, size, flt);
	if (r || opened < 0)
		return r;
	if (read(opened, header, sizeof(header)) == sizeof(header) && !memcmp(header, ARCHIVE_HEADER, sizeof(header)) &&
	    *size <= CAP_FILE_RECORDS)
		*fd = opened;
	else
		close(opened);
	return 0;
}

uint64_t archive_size(const struct archive *archive, const struct name *name)
{
	struct digest log_id = name_log_id(name);
	char file[DIGEST_TEXT_SIZE], path[PATH_MAX];
	struct stat real;

	archive_file_name(&log_id, file);
	snprintf(path, sizeof(path), "%s/%s/" ARCHIVE_FOLDER "/%s", archive->own_dir, archive->label, file);
	return lstat(path, &real) ? 0 : (uint64_t)real.st_size;
}

size_t archive_size_of(const struct api_record *record)
{
	return ARCHIVE_FRAME + record->content.length + strlen(record->signature) + strlen(record->token);
}

/* ---- Reading records ---- */

/** A file that is read in pieces; what is handed out lies in one piece in `bytes`. */
struct reader {
	int fd;
	struct buf bytes;
	size_t at;       /* what was handed out of them */
	uint64_t offset; /* in the file, of `at` */
};

static void drop_read(struct reader *reader)
{
	reader->bytes.length -= reader->at;
	if (reader->bytes.length)
		memmove(reader->bytes.data, reader->bytes.data + reader->at, reader->bytes.length);
	reader->at = 0;
}

/* Have `count` bytes behind `at`. @param is_end  the file ends before */
static int need(struct reader *reader, size_t count, bool *is_end, struct fault *flt)
{
	*is_end = false;
	if (reader->bytes.length - reader->at >= count)
		return 0;
	drop_read(reader);
	while (reader->bytes.length < count) {
		size_t room = count - reader->bytes.length > READ_AHEAD ? count - reader->bytes.length : READ_AHEAD;
		ssize_t got;
		int r = buf_reserve(&reader->bytes, room, flt);

		if (r)
			return r;
		got = read(reader->fd, reader->bytes.data + reader->bytes.length, room);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_system(flt, errno, "reading");
		*is_end = !got;
		if (!got)
			return 0;
		reader->bytes.length += (size_t)got;
	}
	return 0;
}

static const unsigned char *hand_out(struct reader *reader, size_t count)
{
	const unsigned char *bytes = reader->bytes.data + reader->at;

	reader->at += count;
	reader->offset += count;
	return bytes;
}

static uint64_t read_number(const unsigned char *bytes, size_t size)
{
	uint64_t number = 0;

	for (size_t i = 0; i < size; i++)
		number = number << 8 | bytes[i];
	return number;
}

/** A record as it lies there; borrowed until the next one is read. */
struct kept_record {
	uint64_t registry_index;
	struct record_envelope envelope;
	struct span token;
};

static int read_frame(const unsigned char *frame, struct kept_record *out, struct fault *flt)
{
	out->registry_index = read_number(frame, 8);
	memcpy(out->envelope.key_id.bytes, frame + 8, DIGEST_SIZE);
	out->envelope.content.length = read_number(frame + 8 + DIGEST_SIZE, 4);
	out->envelope.signature.length = read_number(frame + 12 + DIGEST_SIZE, 4);
	out->token.length = read_number(frame + 16 + DIGEST_SIZE, 4);
	if (out->envelope.content.length > CAP_RECORD || out->envelope.signature.length > CAP_SIGNATURE_TEXT ||
	    out->token.length > CAP_FETCH_TOKEN)
		return fault_invalid(flt, "a record is longer than it can be");
	return 0;
}

/* @param is_end  there is none more */
static int read_record(struct reader *reader, struct kept_record *out, bool *is_end, struct fault *flt)
{
	size_t rest;
	int r;

	r = need(reader, ARCHIVE_FRAME, is_end, flt);
	if (!r && *is_end && reader->bytes.length > reader->at)
		r = fault_invalid(flt, "it is cut short");
	if (r || *is_end)
		return r;
	r = read_frame(reader->bytes.data + reader->at, out, flt);
	if (r)
		return r;
	rest = out->envelope.content.length + out->envelope.signature.length + out->token.length;
	r = need(reader, ARCHIVE_FRAME + rest, is_end, flt);
	if (!r && *is_end)
		r = fault_invalid(flt, "it is cut short");
	if (r)
		return r;
	out->envelope.content.data = hand_out(reader, ARCHIVE_FRAME + rest) + ARCHIVE_FRAME;
	out->envelope.signature.data = out->envelope.content.data + out->envelope.content.length;
	out->token.data = out->envelope.signature.data + out->envelope.signature.length;
	return 0;
}

/* ---- Validating them ---- */

/** A log in the making: one of the two. */
struct loading {
	struct package_log *package;
	struct operator_log *operator;
	const struct archive_head *head; /* load up to this record; NULL: up to the last one */
	bool has_head;
	struct store_position position;
};

static const struct log_head *head_of(const struct loading *loading)
{
	return loading->package ? package_log_head(loading->package) : operator_log_head(loading->operator);
}

/* Whether the log ends with this record. @return WARG_INVALID if that one stands elsewhere in the ledger */
static int check_head(struct loading *loading, const struct kept_record *record, struct fault *flt)
{
	const struct archive_head *head = loading->head;

	loading->has_head = !head || digest_equals(&head_of(loading)->record_id, &head->record_id);
	if (!head || !loading->has_head || head->registry_index == record->registry_index)
		return 0;
	loading->has_head = false;
	return fault_invalid(flt, "it says that its registry index is %" PRIu64 ", which is %" PRIu64,
			     record->registry_index, head->registry_index);
}

static int append(struct loading *loading, const struct kept_record *record, uint64_t end, struct fault *flt)
{
	struct store_position *position = &loading->position;
	int r;

	if (record->registry_index >= CAP_LOG_LENGTH ||
	    (position->known && record->registry_index <= position->registry_index))
		return fault_invalid(flt, "it does not come after the record before");
	if (memchr(record->token.data, 0, record->token.length) || !printable_is_utf8(record->token))
		return fault_invalid(flt, "its fetch token is no text");
	r = loading->package ? package_log_append(loading->package, &record->envelope, flt) :
			       operator_log_append(loading->operator, &record->envelope, flt);
	if (!r)
		r = check_head(loading, record, flt);
	if (r)
		return r;
	position->known = position->is_kept = true;
	position->registry_index = record->registry_index;
	memcpy(position->token, record->token.data, record->token.length);
	position->token[record->token.length] = '\0';
	position->archived = end;
	return 0;
}

/** What is done with the records of a file, one by one. */
struct walk {
	/** @param end  where the record ends in the file */
	int (*take)(void *user, const struct kept_record *record, uint64_t end, struct fault *flt);
	bool (*is_over)(const void *user);
	void *user;
};

static int take_records(struct reader *reader, const struct walk *walk, struct fault *flt)
{
	struct kept_record record;
	bool is_end = false;
	uint64_t count = 0;
	int r = 0;

	while (!r && !walk->is_over(walk->user)) {
		r = read_record(reader, &record, &is_end, flt);
		if (is_end && !r)
			break;
		if (!r)
			r = walk->take(walk->user, &record, reader->offset, flt);
		if (r)
			fault_at(flt, "record %" PRIu64, count);
		count++;
	}
	return r;
}

/* Whatever is wrong with the file, it ends the log there; only faults of our own are faults. */
static int read_file(struct archive *archive, const struct digest *log_id, const struct walk *walk,
		     struct fault *damage, struct fault *flt)
{
	struct reader reader = {.fd = -1, .offset = ARCHIVE_HEADER_SIZE};
	struct fault own = {0};
	uint64_t size;
	int folder, r;

	buf_init(&reader.bytes, CAP_RECORD + 2 * READ_AHEAD);
	r = archive_open_folder(archive, false, &folder, &own);
	if (!r && folder >= 0)
		r = archive_open_file(folder, log_id, &reader.fd, &size, &own);
	if (folder >= 0)
		close(folder);
	if (!r && reader.fd >= 0)
		r = take_records(&reader, walk, &own);
	if (reader.fd >= 0)
		close(reader.fd);
	buf_release(&reader.bytes);
	if (!r)
		return 0;
	fault_at(&own, "the records in %.200s", archive->own_dir);
	fault_blame(&own, FAULT_BY_CACHE);
	if (own.verdict != WARG_INVALID && own.kind != FAULT_LIMIT) {
		if (flt && !flt->verdict)
			*flt = own;
		return r;
	}
	if (damage)
		*damage = own;
	return 0;
}

static int append_next(void *user, const struct kept_record *record, uint64_t end, struct fault *flt)
{
	return append(user, record, end, flt);
}

static bool is_loaded(const void *user)
{
	const struct loading *loading = user;

	return loading->head && loading->has_head;
}

static int load(struct archive *archive, const struct digest *log_id, struct loading *loading, struct fault *damage,
		struct fault *flt)
{
	const struct walk walk = {append_next, is_loaded, loading};

	return read_file(archive, log_id, &walk, damage, flt);
}

int archive_load_package(struct archive *archive, const struct name *name, const struct archive_head *head,
			 struct package_log **out, struct store_position *position, struct fault *damage,
			 struct fault *flt)
{
	struct loading loading = {.head = head};
	struct digest log_id = name_log_id(name);
	int r;

	r = package_log_new(name, &loading.package, flt);
	if (r)
		return r;
	package_log_use_keys(loading.package, &archive->keys);
	r = load(archive, &log_id, &loading, damage, flt);
	package_log_use_keys(loading.package, NULL);
	if (r || !loading.has_head) {
		package_log_unref(loading.package);
		loading.package = NULL;
	}
	if (r)
		return r;
	*out = loading.package;
	*position = loading.position;
	return 0;
}

int archive_load_operator(struct archive *archive, const struct archive_head *head, struct operator_log **out,
			  struct store_position *position, struct fault *damage, struct fault *flt)
{
	struct loading loading = {.head = head};
	struct digest log_id = name_operator_log_id();
	int r;

	r = operator_log_new(&loading.operator, flt);
	if (r)
		return r;
	r = load(archive, &log_id, &loading, damage, flt);
	if (r || !loading.has_head) {
		operator_log_unref(loading.operator);
		loading.operator = NULL;
	}
	if (r)
		return r;
	*out = loading.operator;
	*position = loading.position;
	return 0;
}

/* ---- Taking them as they are ---- */

/** Records that are copied. */
struct copying {
	enum record_kind kind;
	const struct digest *head;
	bool has_head;
	size_t capacity, size;
	struct api_log log;
};

static int copy_record(void *user, const struct kept_record *record, uint64_t end, struct fault *flt)
{
	struct copying *copying = user;
	struct api_record *copy;
	struct digest id;
	int r = array_reserve(&copying->log.records, copying->log.count, &copying->capacity,
			      sizeof(*copying->log.records), flt);

	(void)end;
	if (r)
		return r;
	copying->size += record->envelope.content.length + ARCHIVE_FRAME;
	if (copying->size > CAP_PROOF)
		return fault_undecided(flt, FAULT_LIMIT, "there is more than %u bytes", CAP_PROOF);
	copy = &copying->log.records[copying->log.count++];
	*copy = (struct api_record){.key_id = record->envelope.key_id, .registry_index = record->registry_index};
	memcpy(copy->signature, record->envelope.signature.data, record->envelope.signature.length);
	memcpy(copy->token, record->token.data, record->token.length);
	buf_init(&copy->content, CAP_RECORD);
	r = buf_append(&copy->content, record->envelope.content, flt);
	if (r)
		return r;
	id = record_id(copying->kind, record->envelope.content);
	copying->has_head = digest_equals(&id, copying->head);
	return 0;
}

static bool is_copied(const void *user)
{
	return ((const struct copying *)user)->has_head;
}

int archive_copy_records(struct archive *archive, const struct digest *log_id, const struct digest *head,
			 struct api_log *out, struct fault *flt)
{
	const struct digest operator_id = name_operator_log_id();
	struct copying copying = {
		.kind = digest_equals(log_id, &operator_id) ? RECORD_OPERATOR : RECORD_PACKAGE,
		.head = head,
		.log = {.log_id = *log_id},
	};
	const struct walk walk = {copy_record, is_copied, &copying};
	int r = read_file(archive, log_id, &walk, NULL, flt);

	if (r || !copying.has_head)
		api_log_release(&copying.log);
	if (!r)
		*out = copying.log;
	return r;
}
