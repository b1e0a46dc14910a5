/*
 * Reading releases and documents.
 *
 * open() of a release waits until the content lies here and has been hashed, and holds its descriptor until the file
 * is closed: what is being read stays as it is, whatever becomes of the cache, the registry and the network. So open
 * is a message of its own, where answering it once with ENOSYS would save it: without one, readers that never ask for
 * attributes (sendfile, splice, mmap) would go by a size that was only claimed, and end too early.
 *
 * Where the kernel was told another size than the true one, it is told ESTALE: it looks the name up again at once,
 * learns the true size, and opens again. Programs notice nothing.
 *
 * open() of a document makes its text, or waits for a proof until that is made. It is read past the kernel's cache: so
 * read() ends where it ends, not where stat() said. But sendfile() and its like go by the size that the kernel knows:
 * where that is another, the text is kept, the kernel told ESTALE, and what it opens then is the text whose size it has
 * learned.
 */
#include "age.h"
#include "document.h"
#include "operations.h"
#include "tree.h"
#include "writing.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * An open file. The kernel releases it only after all reads of it were answered, but no tool that watches threads sees
 * that order: so a read holds a reference of its own.
 */
struct reading {
	atomic_uint references;
	struct content_file *content; /* one reference; NULL: a document */
	struct buf document;
};

static struct reading *reading_of(const struct fuse_file_info *file)
{
	return (struct reading *)(uintptr_t)file->fh;
}

static struct reading *reading_new(void)
{
	struct reading *reading = calloc(1, sizeof(*reading));

	if (reading)
		atomic_init(&reading->references, 1);
	return reading;
}

static struct reading *reading_ref(struct reading *reading)
{
	atomic_fetch_add_explicit(&reading->references, 1, memory_order_relaxed);
	return reading;
}

static void reading_unref(struct reading *reading)
{
	if (atomic_fetch_sub_explicit(&reading->references, 1, memory_order_acq_rel) > 1)
		return;
	content_file_unref(reading->content);
	buf_release(&reading->document);
	free(reading);
}

/* Takes over the reading. */
static void reply_open(struct request *request, struct reading *reading)
{
	request_settle(request);
	request->file.fh = (uintptr_t)reading;
	request->file.noflush = 1;
	if (fuse_reply_open(request->fuse, &request->file) < 0)
		reading_unref(reading);
	request_free(request);
}

/* ---- Releases ---- */

/* Takes over the reference to `content`. */
static void open_content(struct request *request, struct content_file *content)
{
	struct node *node = request->node;
	struct reading *reading = NULL;
	bool was_right = atomic_load(&node->told_size) == content->size;

	atomic_store(&node->size, content->size);
	atomic_store(&node->verified, true);
	nodes_set_error(request->mount->nodes, node, NULL);
	if (was_right)
		reading = reading_new();
	if (!reading) {
		content_file_unref(content);
		request_fail(request, was_right ? ENOMEM : ESTALE);
		return;
	}
	reading->content = content;
	request->file.keep_cache = 1;
	reply_open(request, reading);
}

/* What lies here may be read however old it is, once it has been hashed. */
static bool lies_here(const struct request *request)
{
	uint64_t size;
	int fd = -1;

	if (store_open_content(registry_store(request->registry), &request->node->content, &fd, &size, NULL) || fd < 0)
		return false;
	close(fd);
	return true;
}

static void attempt_open_release(struct request *request)
{
	struct node *node = request->node;
	struct content_file *content = content_find(registry_content(request->registry), &node->content);

	if (content)
		open_content(request, content);
	else if (lies_here(request) || age_allows(request))
		request_want_content(request, &node->content);
}

/* ---- Documents ---- */

/* Have the kernel learn how long the text is. It looks again once for each open, and then gives up. */
static void have_looked_up(struct request *request, struct buf *text)
{
	pid_t thread = fuse_req_ctx(request->fuse)->pid;

	atomic_store(&request->node->told_size, text->length);
	request_fail(request, nodes_keep_draft(request->mount->nodes, request->node, thread, text) ? ESTALE : ENOMEM);
}

static void open_text(struct request *request, struct buf *text)
{
	struct reading *reading = reading_new();

	if (!reading) {
		buf_release(text);
		request_fail(request, ENOMEM);
		return;
	}
	reading->document = *text;
	nodes_set_error(request->mount->nodes, request->node, NULL);
	request->file.direct_io = 1;
	reply_open(request, reading);
}

/*
 * Takes over a text that was made for this request. A thread of another namespace has no number here: nobody could tell
 * its second try from its first.
 */
static void open_made(struct request *request, struct buf *text)
{
	if (!fuse_req_ctx(request->fuse)->pid || text->length == atomic_load(&request->node->told_size))
		open_text(request, text);
	else
		have_looked_up(request, text);
}

static void open_document(struct request *request, const struct view *view)
{
	struct fault flt = {0};
	struct buf text;

	buf_init(&text, DOCUMENT_MOST);
	if (document_render(request->mount, view, &request->path, &text, &flt)) {
		buf_release(&text);
		request_fail_with(request, &flt);
	} else {
		open_made(request, &text);
	}
}

/* Takes over the reference. */
static void open_proof(struct request *request, struct registry_proof *proof)
{
	struct fault flt = {0};
	struct buf text;
	int verdict;

	buf_init(&text, DOCUMENT_MOST);
	verdict = buf_append(&text, buf_span(&proof->text), &flt);
	registry_proof_unref(proof);
	if (verdict)
		request_fail_with(request, &flt);
	else
		open_made(request, &text);
}

/*
 * A proof of the view's checkpoint. One that was made for this request will do, also where the view has moved on since.
 */
static void find_proof(struct request *request, const struct view *view)
{
	uint64_t least = request_has_wanted(request, REQUEST_PROOF) ? 0 : view->checkpoint.contents.log_length;
	struct name name = path_package(&request->path);
	struct registry_proof *proof = NULL;
	char version[CAP_VERSION + 1];

	path_version(&request->path, version);
	if (!request->fault.verdict)
		proof = registry_find_proof(request->registry, &name, version, least);
	if (proof)
		open_proof(request, proof);
	else
		request_want_proof(request, &name, version);
}

static void attempt_open_document(struct request *request)
{
	struct view *view = registry_view(request->registry);
	struct name name;
	struct buf text;

	if (nodes_take_draft(request->mount->nodes, request->node, fuse_req_ctx(request->fuse)->pid, &text)) {
		open_text(request, &text);
	} else if (request->path.kind != PATH_RECEIPT && path_has_package(request->path.kind) &&
		   !tree_package(view, &request->path)) {
		name = path_package(&request->path);
		request_want_package(request, &name);
	} else if (request->path.kind == PATH_PROOF) {
		find_proof(request, view);
	} else {
		open_document(request, view);
	}
	view_unref(view);
}

/* ---- Operations ---- */

static void attempt_open(struct request *request)
{
	if (request->node->kind == PATH_RELEASE)
		attempt_open_release(request);
	else
		attempt_open_document(request);
}

void operations_open(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file)
{
	const struct request request = { .attempt = attempt_open, .file = *file };
	struct mount *mount = fuse_req_userdata(fuse);

	metrics_count(&mount->metrics, METRICS_OPEN);
	if (writing_open(fuse, number, file))
		return;
	if ((file->flags & O_ACCMODE) != O_RDONLY)
		fuse_reply_err(fuse, EROFS);
	else
		request_begin(fuse, number, &request);
}

/* How many of `size` bytes at `offset` there are. */
static size_t bytes_at(uint64_t length, off_t offset, size_t size)
{
	if (offset < 0 || (uint64_t)offset >= length)
		return 0;
	return size < length - (uint64_t)offset ? size : (size_t)(length - (uint64_t)offset);
}

static void read_content(fuse_req_t fuse, const struct content_file *content, size_t size, off_t offset)
{
	struct fuse_bufvec bytes = FUSE_BUFVEC_INIT(size);

	bytes.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	bytes.buf[0].fd = content->fd;
	bytes.buf[0].pos = offset;
	fuse_reply_data(fuse, &bytes, 0);
}

static void attempt_read(struct request *request)
{
	struct node *node = request->node;
	struct content_file *content = content_find(registry_content(request->registry), &node->content);

	if (!content) {
		request_want_content(request, &node->content);
		return;
	}
	request_settle(request);
	read_content(request->fuse, content, request->size, request->offset);
	content_file_unref(content);
	request_free(request);
}

/* Somebody changed the file under the reader: what is read comes from one that verified since. */
static void read_elsewhere(fuse_req_t fuse, fuse_ino_t number, size_t size, off_t offset)
{
	const struct request request = { .attempt = attempt_read, .size = size, .offset = offset };

	request_begin(fuse, number, &request);
}

void operations_read(fuse_req_t fuse, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *file)
{
	struct mount *mount = fuse_req_userdata(fuse);
	struct reading *reading;

	if (writing_read(fuse, size, offset, file))
		return;
	reading = reading_ref(reading_of(file));
	size = bytes_at(reading->content ? reading->content->size : reading->document.length, offset, size);
	metrics_count(&mount->metrics, METRICS_READ);
	metrics_add(&mount->metrics.bytes_read, size);
	if (!size)
		fuse_reply_buf(fuse, NULL, 0);
	else if (!reading->content)
		fuse_reply_buf(fuse, (const char *)reading->document.data + offset, size);
	else if (content_file_is_intact(reading->content))
		read_content(fuse, reading->content, size, offset);
	else
		read_elsewhere(fuse, number, size, offset);
	reading_unref(reading);
}

void operations_release(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file)
{
	(void)number;
	if (writing_release(fuse, file))
		return;
	reading_unref(reading_of(file));
	fuse_reply_err(fuse, 0);
}
