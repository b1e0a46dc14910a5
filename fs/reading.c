/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Reading releases and documents.
 *
 * Opening costs no message where nothing can be written: the first open() is answered with ENOSYS, and from then on the
 * kernel opens files by itself, and reads again what it has read before without a word. So what is read is found by its
 * node. Each node is of bytes that never change: a release is one of a digest, and whoever opens a document gets a node
 * of his own, with a text that is made once (see node.h).
 *
 * What is left is that the kernel goes by the size it was told, which may be one that was only claimed, before there is
 * a byte to be read. Then
 *
 * - read() has attributes asked for again that hold for no time, and a claimed size does not. The kernel says that it
 *   is about to read: it gets the true size, which waits until the content lies here and has its digest. (Where
 *   a folder has just been listed claims hold for a moment, for `ls -l`.)
 * - sendfile(), splice() and mmap() do not ask. Opening does, to check permissions, so that a claim is known by then.
 *   Should a size still be unknown, it is told as one that no content has: then all that is there is asked for, and
 *   where it ends, we answer with less, from which the kernel learns the size. But it does not learn it if it was told
 *   another one meanwhile: such an answer is not given.
 * - A READ that shows that the kernel goes by a wrong claim fails with EIO, and the kernel is told to ask for
 *   attributes again. It will not have read anything by then. The next try has the right size.
 *
 * So whoever reads from the beginning gets all, or an error, whatever sizes a registry claims, and nobody gets zeroes
 * for bytes. Only who begins behind a claim that is too small, by sendfile() or in the moment after a listing, is told
 * that there is nothing, as stat() told him.
 */
#include "reading.h"

#include "max_age.h"
#include "client/base/file.h"
#include "document.h"
#include "open_contents.h"
#include "operations.h"
#include "writing.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#define WORTH_FORGETTING (64u << 10)

/* ---- Releases ---- */

/* What lies here may be read however old it is, once it has been hashed. */
static bool lies_here(const struct request *request)
{
	struct store *store = registry_store(request->registry);
	uint64_t size;
	int fd = -1;

	if (store_open_content(store, node_content(request->node), &fd, &size, NULL) || fd < 0)
		return false;
	close(fd);
	return true;
}

static struct content_file *find_content(struct request *request)
{
	const struct digest *digest = node_content(request->node);
	struct content_file *file = open_contents_find(request->mount->open_contents, digest);

	if (file)
		return file;
	file = content_find(registry_content(request->registry), digest);
	if (file)
		open_contents_keep(request->mount->open_contents, digest, file);
	return file;
}

struct content_file *reading_content(struct request *request)
{
	struct node *node = request->node;
	struct content_file *file = find_content(request);

	if (file) {
		atomic_store(&node->size, file->size);
		atomic_store(&node->verified, true);
		nodes_set_error(request->mount->nodes, node, NULL);
	} else if (lies_here(request) || max_age_allows(request)) {
		request_want_content(request, node_content(node));
	}
	return file;
}

/* ---- What the kernel takes for the size ---- */

/* Whether nothing was guessed at the kernel since the request came. */
static bool is_sure(const struct request *request)
{
	return request->guesses == atomic_load(&request->node->guesses);
}

void reading_told_size(const struct request *request)
{
	if (path_type(request->node->kind) == S_IFREG && is_sure(request))
		atomic_store(&request->node->claimed, 0);
}

/* Of `length` bytes. What begins behind the end is read ahead by a kernel that does not know the size yet. */
static bool may_answer(const struct request *request, uint64_t length)
{
	uint64_t claimed = atomic_load(&request->node->claimed), offset = (uint64_t)request->offset;

	if ((claimed && claimed != length) || offset > length)
		return false;
	return length - offset >= request->size || claimed == length || is_sure(request);
}

/* The kernel takes no lock for this that a reader holds. */
static void fail(struct request *request, uint64_t length)
{
	uint64_t claimed = atomic_load(&request->node->claimed);
	struct fault flt = {0};

	fuse_lowlevel_notify_inval_inode(request->mount->session, request->node->number, -1, 0);
	if (claimed && claimed != length) {
		fault_system(&flt, EIO, "it was claimed to have %" PRIu64 " bytes, and has %" PRIu64, claimed, length);
		request_fail_with(request, &flt);
	} else {
		request_fail(request, EIO);
	}
}

/* How many of the bytes that are asked for there are. */
static size_t count_bytes(const struct request *request, uint64_t length)
{
	uint64_t left = length - (uint64_t)request->offset;

	return request->size < left ? request->size : (size_t)left;
}

/* ---- Operations ---- */

/*
 * What the kernel was given it keeps as the mount's. To keep it as the cache's as well would take twice the memory, and
 * finding that much is a good part of what a large copy takes. Pieces of small files are not worth a call.
 */
static void keep_once(const struct content_file *content, uint64_t offset, size_t count)
{
	if (count >= WORTH_FORGETTING)
		file_forget(content->fd, offset, count);
}

static void reply_content(struct request *request, const struct content_file *content)
{
	struct fuse_bufvec bytes = FUSE_BUFVEC_INIT(count_bytes(request, content->size));
	const size_t count = bytes.buf[0].size;

	metrics_add(&request->mount->metrics.bytes_read, count);
	bytes.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	bytes.buf[0].fd = content->fd;
	bytes.buf[0].pos = request->offset;
	request_settle(request);
	if (count)
		fuse_reply_data(request->fuse, &bytes, 0);
	else
		fuse_reply_buf(request->fuse, NULL, 0);
	keep_once(content, (uint64_t)request->offset, count);
	request_free(request);
}

static void read_release(struct request *request)
{
	struct content_file *content = reading_content(request);

	if (!content)
		return;
	if (may_answer(request, content->size))
		reply_content(request, content);
	else
		fail(request, content->size);
	content_file_unref(content);
}

static void read_document(struct request *request)
{
	const struct buf *text = document_text(request);
	size_t count;

	if (!text)
		return;
	if (!may_answer(request, text->length)) {
		fail(request, text->length);
		return;
	}
	count = count_bytes(request, text->length);
	metrics_add(&request->mount->metrics.bytes_read, count);
	request_settle(request);
	fuse_reply_buf(request->fuse, (const char *)text->data + request->offset, count);
	request_free(request);
}

static void attempt_read(struct request *request)
{
	if (request->node->kind == PATH_RELEASE)
		read_release(request);
	else
		read_document(request);
}

void operations_read(fuse_req_t fuse, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *file)
{
	const struct request request = { .attempt = attempt_read, .size = size, .offset = offset };
	struct mount *mount = fuse_req_userdata(fuse);

	metrics_count(&mount->metrics, METRICS_READ);
	if (writing_read(fuse, size, offset, file))
		return;
	if (offset < 0)
		fuse_reply_err(fuse, EINVAL);
	else
		request_begin(fuse, number, &request);
}

void operations_open(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file)
{
	struct mount *mount = fuse_req_userdata(fuse);

	metrics_count(&mount->metrics, METRICS_OPEN);
	if (writing_open(fuse, number, file))
		return;
	if ((file->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(fuse, EROFS);
	} else if (mount->opens) {
		file->keep_cache = 1;
		file->noflush = 1;
		fuse_reply_open(fuse, file);
	} else {
		fuse_reply_err(fuse, ENOSYS);
	}
}

void operations_release(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file)
{
	(void)number;
	if (!writing_release(fuse, file))
		fuse_reply_err(fuse, 0);
}
