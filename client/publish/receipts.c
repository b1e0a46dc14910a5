/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Receipts: receipts.h.
 */
#include "receipts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/digest_files.h"
#include "client/base/file.h"
#include "verify/caps.h"

#define FOLDER "receipts"
#define RECEIPT_MODE 0600
#define RECORDS "records.jsonl"
#define KEPT 64 /* packages, by a byte of their log's id: others are read anew */
#define LOCK_PATIENCE 5000 /* milliseconds: longer than it takes to write one */

/* What is known of a package's records beside its receipts. */
struct kept {
	struct stat status; /* of the file then */
	uint64_t size;      /* of its whole lines */
	struct receipts_end end;
};

struct receipts {
	int folder;
	pthread_mutex_t mutex; /* for what follows */
	struct kept kept[KEPT];
};

int receipts_open(const char *state_dir, const char *label, struct receipts **out, struct fault *flt)
{
	struct receipts *receipts = calloc(1, sizeof(*receipts));
	int r;

	if (!receipts)
		return fault_no_memory(flt);
	r = file_open_private(state_dir, label, FOLDER, &receipts->folder, flt);
	if (r) {
		free(receipts);
		return r;
	}
	pthread_mutex_init(&receipts->mutex, NULL);
	*out = receipts;
	return 0;
}

void receipts_close(struct receipts *receipts)
{
	if (!receipts)
		return;
	close(receipts->folder);
	pthread_mutex_destroy(&receipts->mutex);
	free(receipts);
}

int receipts_path(const char *state_dir, const char *label, const struct name *name, const struct digest *record_id,
		  struct buf *out, struct fault *flt)
{
	struct span namespace = name_namespace(name), package = name_package(name);
	char file[DIGEST_FILE_NAME_SIZE];

	digest_file_name(record_id, file);
	return buf_append_format(out, flt, "%s/%s/" FOLDER "/%.*s/%.*s/%s%c", state_dir, label, (int)namespace.length,
				 (const char *)namespace.data, (int)package.length, (const char *)package.data, file,
				 0);
}

/* ---- The folder of a package ---- */

/* @param fd  close() it; -1 if there is none and `make` is false */
static int open_package(const struct receipts *receipts, const struct name *name, bool make, int *fd,
			struct fault *flt)
{
	char namespace[CAP_NAME_PART + 1];
	struct span part = name_namespace(name);
	int outer = -1, inner = -1;
	int r;

	memcpy(namespace, part.data, part.length);
	namespace[part.length] = '\0';
	r = file_open_folder(receipts->folder, namespace, make, &outer, flt);
	if (r || outer < 0) {
		if (!r)
			*fd = -1;
		return r;
	}
	r = file_open_folder(outer, (const char *)name_package(name).data, make, &inner, flt);
	/* Also when another process made them, and is not as far yet. */
	if (!r && make)
		r = file_sync_name(outer, (const char *)name_package(name).data, flt);
	if (!r && make)
		r = file_sync_name(receipts->folder, namespace, flt);
	if (r && inner >= 0)
		close(inner);
	close(outer);
	if (!r)
		*fd = inner;
	return r;
}

/* ---- The records beside them ---- */

/* @param out  the lines that are whole; the offset of their end is their length */
static int read_lines(int folder, struct buf *out, struct fault *flt)
{
	bool found = false;
	int r = file_read(folder, RECORDS, out, &found, flt);

	while (!r && out->length && out->data[out->length - 1] != '\n')
		out->length--;
	return r;
}

static struct span take_line(struct span *rest)
{
	const unsigned char *end = memchr(rest->data, '\n', rest->length);
	struct span line = {rest->data, end ? (size_t)(end - rest->data) : rest->length};
	size_t taken = line.length + (end ? 1 : 0);

	*rest = (struct span){rest->data + taken, rest->length - taken};
	return line;
}

/* Only the last record is looked at: the others were when they were the last. */
static void find_end(struct span lines, struct kept *out)
{
	struct api_record record;
	struct span line = {0};

	out->size = lines.length;
	for (out->end.count = 0; lines.length; out->end.count++)
		line = take_line(&lines);
	if (!out->end.count)
		return;
	if (proof_parse_record(line, &record, NULL)) {
		out->end.count = 0;
		return;
	}
	out->end.record_id = record_id(RECORD_PACKAGE, buf_span(&record.content));
	buf_release(&record.content);
}

static bool identify(int folder, struct stat *out)
{
	return !fstatat(folder, RECORDS, out, AT_SYMLINK_NOFOLLOW) && S_ISREG(out->st_mode);
}

static bool is_unchanged(const struct kept *kept, const struct stat *status)
{
	return kept->status.st_dev == status->st_dev && kept->status.st_ino == status->st_ino &&
	       kept->status.st_size == status->st_size && kept->status.st_mtim.tv_sec == status->st_mtim.tv_sec &&
	       kept->status.st_mtim.tv_nsec == status->st_mtim.tv_nsec;
}

static struct kept *place_of(struct receipts *receipts, const struct name *name)
{
	return &receipts->kept[name_log_id(name).bytes[0] % KEPT];
}

/* What is known of them, or read anew. With the folder's lock. */
static int look(struct receipts *receipts, const struct name *name, int folder, struct kept *out, struct fault *flt)
{
	struct stat status;
	struct buf lines;
	int r;

	*out = (struct kept){0};
	if (!identify(folder, &status))
		return 0;
	pthread_mutex_lock(&receipts->mutex);
	*out = *place_of(receipts, name);
	pthread_mutex_unlock(&receipts->mutex);
	if (is_unchanged(out, &status))
		return 0;
	buf_init(&lines, CAP_PROOF);
	r = read_lines(folder, &lines, flt);
	*out = (struct kept){.status = status};
	if (!r)
		find_end(buf_span(&lines), out);
	buf_release(&lines);
	return r;
}

static void note(struct receipts *receipts, const struct name *name, const struct kept *kept)
{
	pthread_mutex_lock(&receipts->mutex);
	*place_of(receipts, name) = *kept;
	pthread_mutex_unlock(&receipts->mutex);
}

/* Put records behind those that are there; what a crash left of a line is cut off. */
static int append(int folder, const struct api_log *log, size_t first, struct kept *kept, struct fault *flt)
{
	int fd = openat(folder, RECORDS, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, RECEIPT_MODE), r = 0;
	struct buf lines;

	if (fd < 0)
		return fault_system(flt, errno, "opening " RECORDS);
	buf_init(&lines, CAP_PROOF);
	for (size_t i = first; i < log->count && !r; i++)
		r = proof_render_record(&log->records[i], &lines, flt);
	if (!r && ftruncate(fd, (off_t)kept->size))
		r = fault_system(flt, errno, "writing " RECORDS);
	if (!r)
		r = file_write_all(fd, buf_span(&lines), flt);
	if (!r)
		r = file_sync(fd, flt);
	if (!r && fstat(fd, &kept->status))
		r = fault_system(flt, errno, "looking at " RECORDS);
	if (!r) {
		kept->size += lines.length;
		kept->end.count += log->count - first;
		kept->end.record_id = record_id(RECORD_PACKAGE, buf_span(&log->records[log->count - 1].content));
	}
	buf_release(&lines);
	close(fd);
	return r;
}

/* Whether the log begins with the records that are there. */
static bool goes_on(const struct proof *proof, const struct receipts_end *end)
{
	struct digest id;

	if (!end->count)
		return true;
	if (end->count > proof->package.count)
		return false;
	/* Each record names the one before it. */
	id = record_id(RECORD_PACKAGE, buf_span(&proof->package.records[end->count - 1].content));
	return digest_equals(&id, &end->record_id);
}

/*
 * Have the records of a document beside it.
 * @param out  how many of the document's come before those that it is written with; 0: it is to have them itself
 */
static int put_records(struct receipts *receipts, const struct proof *proof, int folder, uint64_t *out, bool *kept_all,
		       struct fault *flt)
{
	struct kept kept;
	int r = look(receipts, &proof->name, folder, &kept, flt);
	const uint64_t known = kept.end.count;

	*kept_all = true;
	*out = 0;
	if (r)
		return r;
	if (proof->beside && proof->beside != known) {
		*kept_all = false;
		return 0;
	}
	if (!proof->beside && (!goes_on(proof, &kept.end) || (!known && kept.size)))
		return 0;
	if (proof->beside || known < proof->package.count)
		r = append(folder, &proof->package, proof->beside ? 0 : known, &kept, flt);
	if (r)
		return r;
	note(receipts, &proof->name, &kept);
	*out = proof->beside + proof->package.count;
	return 0;
}

int receipts_find_end(struct receipts *receipts, const struct name *name, struct receipts_end *out, struct fault *flt)
{
	struct kept kept;
	int folder = -1;
	int r = open_package(receipts, name, false, &folder, flt);

	*out = (struct receipts_end){0};
	if (r || folder < 0)
		return r;
	r = look(receipts, name, folder, &kept, flt);
	if (!r && kept.end.count)
		note(receipts, name, &kept);
	if (!r)
		*out = kept.end;
	close(folder);
	return r;
}

static int take_records(struct span lines, struct proof *proof, struct fault *flt)
{
	struct api_log *log = &proof->package;
	int r = 0;

	log->records = calloc(proof->beside, sizeof(*log->records));
	if (!log->records)
		return fault_no_memory(flt);
	while (!r && lines.length && log->count < proof->beside) {
		r = proof_parse_record(take_line(&lines), &log->records[log->count], flt);
		if (!r)
			log->count++;
	}
	if (!r && log->count < proof->beside)
		r = fault_undecided(flt, FAULT_ABSENT, "it takes %" PRIu64 " records from " RECORDS " beside it, where "
				    "%zu are", proof->beside, log->count);
	return r;
}

int receipts_complete(int folder, struct proof *proof, struct fault *flt)
{
	struct buf lines;
	int r;

	if (!proof->beside)
		return 0;
	buf_init(&lines, CAP_PROOF);
	r = read_lines(folder, &lines, flt);
	if (!r)
		r = take_records(buf_span(&lines), proof, flt);
	buf_release(&lines);
	if (!r)
		proof->beside = 0;
	return r;
}

/* ---- Receipts ---- */

static int write_receipt(const struct proof *proof, int folder, uint64_t beside, struct fault *flt)
{
	struct proof shown = *proof;
	char file[DIGEST_FILE_NAME_SIZE];
	struct buf text;
	int r;

	shown.beside = beside;
	if (beside)
		shown.package.count = 0;
	digest_file_name(&proof->record_id, file);
	buf_init(&text, CAP_PROOF);
	r = proof_render(&shown, &text, flt);
	if (!r)
		r = file_replace(folder, file, RECEIPT_MODE, buf_span(&text), flt);
	if (!r)
		r = file_sync(folder, flt);
	buf_release(&text);
	return r;
}

int receipts_put(struct receipts *receipts, const struct proof *proof, bool *kept, struct fault *flt)
{
	uint64_t beside = 0;
	bool had = false;
	int folder = -1;
	int r = open_package(receipts, &proof->name, true, &folder, flt);

	if (r)
		return r;
	r = file_lock(folder, LOCK_PATIENCE, &had, flt);
	if (!r && !had)
		r = fault_undecided(flt, FAULT_TIMEOUT, "another program writes receipts of %s", proof->name.text);
	if (!r)
		r = put_records(receipts, proof, folder, &beside, kept, flt);
	if (!r && *kept)
		r = write_receipt(proof, folder, beside, flt);
	close(folder);
	return r;
}

/* The text with the records that lie beside it. Whatever else it is, it is read as it is. */
static int complete_text(int folder, struct buf *text, struct fault *flt)
{
	struct proof proof;
	int r;

	if (proof_parse(buf_span(text), &proof, NULL))
		return 0;
	r = receipts_complete(folder, &proof, flt);
	if (!r) {
		text->length = 0;
		r = proof_render(&proof, text, flt);
	}
	proof_release(&proof);
	return r;
}

static int read_text(int folder, int fd, struct buf *out, struct fault *flt)
{
	struct buf text;
	int r;

	buf_init(&text, CAP_PROOF);
	r = file_read_all(fd, &text, flt);
	if (!r)
		r = complete_text(folder, &text, flt);
	if (!r)
		r = buf_append(out, buf_span(&text), flt);
	buf_release(&text);
	return r;
}

int receipts_read(struct receipts *receipts, const struct name *name, const struct digest *record_id, struct buf *out,
		  bool *found, struct fault *flt)
{
	char file[DIGEST_FILE_NAME_SIZE];
	int folder = -1, fd = -1;
	int r = open_package(receipts, name, false, &folder, flt);

	if (r)
		return r;
	*found = false;
	if (folder < 0)
		return 0;
	digest_file_name(record_id, file);
	r = file_open(folder, file, &fd, NULL, flt);
	if (!r && fd >= 0) {
		r = out ? read_text(folder, fd, out, flt) : 0;
		*found = !r;
		close(fd);
	}
	close(folder);
	return r;
}

int receipts_list(struct receipts *receipts, const struct name *name, struct digest **out, size_t *count,
		  struct fault *flt)
{
	int folder = -1;
	int r = open_package(receipts, name, false, &folder, flt);

	if (r)
		return r;
	if (folder < 0) {
		*out = NULL;
		*count = 0;
		return 0;
	}
	r = digest_files_list(folder, CAP_RECEIPTS, out, count, flt);
	close(folder);
	return r;
}
