/*
 * Reading releases.
 *
 * open() waits until the content lies here and has been hashed, and holds its descriptor until the file is closed:
 * what is being read stays as it is, whatever becomes of the cache, the registry and the network. So open is a
 * message of its own, where answering it once with ENOSYS would save it: without one, readers that never ask for
 * attributes (sendfile, splice, mmap) would go by a size that was only claimed, and end too early.
 *
 * Where the kernel was told another size than the true one, it is told ESTALE: it looks the name up again at once,
 * learns the true size, and opens again. Programs notice nothing.
 */
#include "operations.h"
#include "request.h"

#include <errno.h>

static struct content_file *file_of(const struct fuse_file_info *file)
{
	return (struct content_file *)(uintptr_t)file->fh;
}

/* Takes over the reference to `content`. */
static void reply_open(struct request *request, struct content_file *content)
{
	struct node *node = request->node;
	bool was_right = atomic_load(&node->told_size) == content->size;

	atomic_store(&node->size, content->size);
	atomic_store(&node->verified, true);
	nodes_set_error(request->mount->nodes, node, NULL);
	request_settle(request);
	request->file.fh = (uintptr_t)content;
	request->file.keep_cache = 1;
	request->file.noflush = 1;
	if (!was_right)
		fuse_reply_err(request->fuse, ESTALE);
	if (!was_right || fuse_reply_open(request->fuse, &request->file) < 0)
		content_file_unref(content);
	request_free(request);
}

static void attempt_open(struct request *request)
{
	struct node *node = request->node;
	struct content_file *content = content_find(registry_content(request->mount->registry), &node->content);

	if (content)
		reply_open(request, content);
	else
		request_want_content(request, &node->content);
}

void operations_open(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file)
{
	const struct request request = { .attempt = attempt_open, .file = *file, .patient = true };

	if ((file->flags & O_ACCMODE) != O_RDONLY)
		fuse_reply_err(fuse, EROFS);
	else
		request_begin(fuse, number, &request);
}

/*
 * The kernel releases a file only after all reads of it were answered, but no tool that watches threads sees that
 * order: so a read holds a reference of its own.
 */
void operations_read(fuse_req_t fuse, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *file)
{
	struct content_file *content = content_file_ref(file_of(file));
	struct fuse_bufvec bytes = FUSE_BUFVEC_INIT(size);

	(void)number;
	if (offset < 0 || (uint64_t)offset >= content->size) {
		fuse_reply_buf(fuse, NULL, 0);
	} else {
		if (size > content->size - (uint64_t)offset)
			bytes.buf[0].size = (size_t)(content->size - (uint64_t)offset);
		bytes.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
		bytes.buf[0].fd = content->fd;
		bytes.buf[0].pos = offset;
		fuse_reply_data(fuse, &bytes, 0);
	}
	content_file_unref(content);
}

void operations_release(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file)
{
	(void)number;
	content_file_unref(file_of(file));
	fuse_reply_err(fuse, 0);
}
