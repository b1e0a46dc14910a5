/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * bare_fuse MOUNTPOINT BYTES: mounts eight files, "0" to "7", of so many bytes each, and answers reads from memory. It
 * does nothing else: what a file system of libfuse costs at the least. Runs in the foreground until it is unmounted.
 */
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES 8
#define FIRST (FUSE_ROOT_ID + 1) /* the file "0" */
#define FOR_EVER 3600.0

static size_t size;
static char *bytes;

static struct stat facts_of(fuse_ino_t ino)
{
	struct stat facts = { .st_ino = ino, .st_nlink = 1 };

	facts.st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0444;
	facts.st_size = ino == FUSE_ROOT_ID ? 0 : (off_t)size;
	return facts;
}

static void look_up(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .attr_timeout = FOR_EVER, .entry_timeout = FOR_EVER };

	if (parent != FUSE_ROOT_ID || name[0] < '0' || name[0] >= '0' + FILES || name[1]) {
		fuse_reply_err(request, ENOENT);
		return;
	}
	entry.ino = FIRST + (fuse_ino_t)(name[0] - '0');
	entry.attr = facts_of(entry.ino);
	fuse_reply_entry(request, &entry);
}

static void get_attributes(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
	const struct stat facts = facts_of(ino);

	(void)info;
	fuse_reply_attr(request, &facts, FOR_EVER);
}

static void open_file(fuse_req_t request, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	info->keep_cache = 1;
	fuse_reply_open(request, info);
}

static void read_file(fuse_req_t request, fuse_ino_t ino, size_t count, off_t offset, struct fuse_file_info *info)
{
	size_t from = (size_t)offset < size ? (size_t)offset : size;

	(void)ino;
	(void)info;
	fuse_reply_buf(request, bytes + from, count < size - from ? count : size - from);
}

static const struct fuse_lowlevel_ops operations = {
	.lookup = look_up,
	.getattr = get_attributes,
	.open = open_file,
	.read = read_file,
};

static int serve(struct fuse_session *session, const char *mountpoint)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int status = 1;

	if (config && !fuse_set_signal_handlers(session) && !fuse_session_mount(session, mountpoint)) {
		status = fuse_session_loop_mt(session, config) != 0;
		fuse_session_unmount(session);
	}
	fuse_loop_cfg_destroy(config);
	return status;
}

int main(int argc, char **argv)
{
	struct fuse_args arguments = FUSE_ARGS_INIT(1, argv);
	struct fuse_session *session;
	int status = 1;

	if (argc != 3 || !(size = strtoull(argv[2], NULL, 10))) {
		fprintf(stderr, "usage: bare_fuse MOUNTPOINT BYTES\n");
		return 2;
	}
	bytes = malloc(size);
	session = bytes ? fuse_session_new(&arguments, &operations, sizeof(operations), NULL) : NULL;
	if (session) {
		memset(bytes, 1, size);
		status = serve(session, argv[1]);
		fuse_session_destroy(session);
	}
	free(bytes);
	return status;
}
