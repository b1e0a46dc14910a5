/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Contents on their way to the disk: written and hashed on the workers, while the event loop takes what comes next (see
 * content_parts.h).
 *
 * The loop fills blocks. A job writes each and hashes it. Blocks are few: who finds none writes at once, and the job
 * reads that part back, from memory most likely. So neither ever waits for the other.
 */
#include "content_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/file.h"

#define PIECE (64u << 10)
#define BLOCK (256u << 10)
#define BLOCKS 8              /* of all contents together */
#define SHARE (8u << 20)      /* of one job: then others have their turn */
#define SYNC_PIECE (4u << 20) /* the disk begins with so many bytes while the next ones come */

struct content_block {
	struct content_block *next;
	uint64_t offset;
	size_t length;
	unsigned char bytes[BLOCK];
};

/* ---- Hashing what lies in a file ---- */

/* From `*offset` to `end`. @return 0; WARG_UNDECIDED, with `*offset` at the first byte that could not be read */
static int hash_range(struct content *content, int fd, struct digest_stream *stream, uint64_t *offset, uint64_t end,
		      struct fault *flt)
{
	unsigned char piece[PIECE];
	ssize_t count;

	while (*offset < end) {
		if (content_is_closing(content))
			return fault_undecided(flt, FAULT_CANCELLED, "the registry is being closed");
		count = pread(fd, piece, end - *offset < PIECE ? (size_t)(end - *offset) : PIECE, (off_t)*offset);
		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return fault_system(flt, count ? errno : EIO, "reading a content");
		digest_stream_update(stream, (struct span){piece, (size_t)count});
		*offset += (uint64_t)count;
	}
	return 0;
}

int content_hash_file(struct content *content, int fd, uint64_t size, struct digest *out, struct fault *flt)
{
	struct digest_stream stream;
	uint64_t offset = 0;
	int r;

	digest_stream_init(&stream);
	r = hash_range(content, fd, &stream, &offset, size, flt);
	if (!r)
		*out = digest_stream_final(&stream);
	return r;
}

/* ---- Blocks ---- */

/* @return NULL if there is none left */
static struct content_block *take_block(struct content *content)
{
	struct content_block *block;

	pthread_mutex_lock(&content->mutex);
	block = content->spare_blocks;
	if (block)
		content->spare_blocks = block->next;
	else if (content->blocks < BLOCKS && (block = malloc(sizeof(*block))))
		content->blocks++;
	pthread_mutex_unlock(&content->mutex);
	return block;
}

/* The mutex is held. */
static void give_back(struct content *content, struct content_block *block)
{
	block->next = content->spare_blocks;
	content->spare_blocks = block;
}

void content_free_blocks(struct content *content)
{
	struct content_block *block;

	while ((block = content->spare_blocks)) {
		content->spare_blocks = block->next;
		content->blocks--;
		free(block);
	}
}

/* ---- The job ---- */

/*
 * What is to be done next, from `done` on: a block, or what lies in the file up to `*end`. Nothing comes after a fault.
 * @return whether there is something
 */
static bool take_part(struct content_writer *writer, struct content_block **block, uint64_t *end)
{
	pthread_mutex_lock(&writer->content->mutex);
	*block = writer->first;
	*end = writer->fault.verdict ? writer->done : *block ? (*block)->offset : writer->told;
	if (*block && *end == writer->done) {
		writer->first = (*block)->next;
		*end += (*block)->length;
	} else {
		*block = NULL;
	}
	pthread_mutex_unlock(&writer->content->mutex);
	return *block || *end > writer->done;
}

/* Write and hash a block, and give it back. */
static int do_block(struct content_writer *writer, struct content_block *block, struct fault *flt)
{
	const struct span bytes = {block->bytes, block->length};
	int r = file_write_at(writer->fd, block->offset, bytes, flt);

	if (!r) {
		digest_stream_update(&writer->stream, bytes);
		writer->done += bytes.length;
	}
	pthread_mutex_lock(&writer->content->mutex);
	give_back(writer->content, block);
	pthread_mutex_unlock(&writer->content->mutex);
	return r;
}

/* The mutex is held, and no job is at work: whether one should be. */
static bool is_due(const struct content_writer *writer)
{
	return !writer->fault.verdict && writer->told - writer->done >= (writer->ended ? 1 : BLOCK);
}

/* A job has done its share. Who has given up `busy` may find the writer gone. */
static void end_share(struct content_writer *writer, const struct fault *flt)
{
	void (*ended)(struct content_writer *writer) = NULL;
	struct content *content = writer->content;
	struct content_block *block;
	bool more;

	pthread_mutex_lock(&content->mutex);
	if (flt->verdict)
		writer->fault = *flt;
	while (writer->fault.verdict && (block = writer->first)) {
		writer->first = block->next;
		give_back(content, block);
	}
	more = is_due(writer);
	if (!more) {
		ended = writer->ended;
		writer->ended = NULL;
		writer->busy = false;
	}
	pthread_mutex_unlock(&content->mutex);
	if (more)
		workers_run(content->options.workers, &writer->job);
	else if (ended)
		ended(writer);
}

static void do_share(struct job *job)
{
	struct content_writer *writer = (void *)((char *)job - offsetof(struct content_writer, job));
	uint64_t share = writer->done + SHARE, end;
	struct content_block *block;
	struct fault flt = {0};

	while (!flt.verdict && writer->done < share && take_part(writer, &block, &end)) {
		if (block)
			do_block(writer, block, &flt);
		else
			hash_range(writer->content, writer->fd, &writer->stream, &writer->done,
				   end < share ? end : share, &flt);
		if (writer->done - writer->syncing >= SYNC_PIECE) {
			file_begin_sync(writer->fd, writer->syncing, writer->done - writer->syncing);
			writer->syncing = writer->done;
		}
	}
	end_share(writer, &flt);
}

/* ---- Giving ---- */

void content_writer_init(struct content_writer *writer, struct content *content, int fd)
{
	*writer = (struct content_writer){.content = content, .fd = fd, .job.run = do_share};
	digest_stream_init(&writer->stream);
}

/* Let the jobs know of all that was received. The mutex is held. */
static void hand_over(struct content_writer *writer)
{
	struct content_block *block = writer->filling;

	if (block && writer->fault.verdict) {
		give_back(writer->content, block);
	} else if (block) {
		block->next = NULL;
		if (writer->first)
			writer->last->next = block;
		else
			writer->first = block;
		writer->last = block;
	}
	writer->filling = NULL;
	writer->told = writer->received;
	if (!writer->busy && (is_due(writer) || writer->ended)) {
		writer->busy = true;
		workers_run(writer->content->options.workers, &writer->job);
	}
}

/* As much as there is room for. @return how much */
static size_t fill(struct content_block *block, struct span piece)
{
	size_t room = BLOCK - block->length;
	size_t count = piece.length < room ? piece.length : room;

	memcpy(block->bytes + block->length, piece.data, count);
	block->length += count;
	return count;
}

/* Take some of a piece: into the block that is being filled, or, where none can be had, into the file. */
static int take_some(struct content_writer *writer, struct span *piece, struct fault *flt)
{
	size_t count = piece->length;
	int r = 0;

	if (!writer->filling && (writer->filling = take_block(writer->content))) {
		writer->filling->offset = writer->received;
		writer->filling->length = 0;
	}
	if (writer->filling)
		count = fill(writer->filling, *piece);
	else
		r = file_write_at(writer->fd, writer->received, *piece, flt);
	if (r)
		return r;
	writer->received += count;
	piece->data += count;
	piece->length -= count;
	return 0;
}

int content_writer_put(struct content_writer *writer, struct span piece, struct fault *flt)
{
	int r = 0;

	while (piece.length && !r) {
		r = take_some(writer, &piece, flt);
		if (r || (writer->filling && writer->filling->length < BLOCK))
			continue;
		pthread_mutex_lock(&writer->content->mutex);
		hand_over(writer);
		r = writer->fault.verdict;
		if (r)
			*flt = writer->fault;
		pthread_mutex_unlock(&writer->content->mutex);
	}
	return r;
}

void content_writer_end(struct content_writer *writer, void (*ended)(struct content_writer *writer))
{
	pthread_mutex_lock(&writer->content->mutex);
	writer->ended = ended;
	hand_over(writer);
	pthread_mutex_unlock(&writer->content->mutex);
}
