/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The table of operations.
 */
#include "client/publish/staging.h"
#include "fuse_init.h"
#include "operations.h"

#include <limits.h>
#include <sys/statvfs.h>

/* Report the free space of the disk: of a local registry's, else of the drafts'. */
static bool statfs_disk(const struct mount *mount, struct statvfs *out)
{
	if (mount->options.disk >= 0 && !fstatvfs(mount->options.disk, out))
		return true;
	return mount->staging && fstatvfs(staging_files(mount->staging), out) == 0;
}

static void statfs_mount(fuse_req_t fuse, fuse_ino_t number)
{
	struct mount *mount = fuse_req_userdata(fuse);
	const unsigned block = 4096;
	struct statvfs stat = { .f_bsize = block, .f_frsize = block, .f_namemax = NAME_MAX };
	uint64_t bytes, files;

	(void)number;
	metrics_count(&mount->metrics, METRICS_STATFS);
	if (statfs_disk(mount, &stat))
		stat.f_namemax = NAME_MAX;
	else if (store_measure_contents(registry_store(mount_registry(mount, NULL)), &bytes, &files, NULL) == 0) {
		stat.f_blocks = (bytes + block - 1) / block;
		stat.f_files = files;
	}
	fuse_reply_statfs(fuse, &stat);
}

const struct fuse_lowlevel_ops operations = {
	.init = fuse_init_choose,
	.lookup = operations_lookup,
	.forget = operations_forget,
	.forget_multi = operations_forget_multi,
	.getattr = operations_getattr,
	.readlink = operations_readlink,
	.open = operations_open,
	.read = operations_read,
	.release = operations_release,
	.opendir = operations_opendir,
	.readdir = operations_readdir,
	.readdirplus = operations_readdirplus,
	.releasedir = operations_releasedir,
	.statfs = statfs_mount,
	.getxattr = operations_getxattr,
	.listxattr = operations_listxattr,
	.create = operations_create,
	.write = operations_write,
	.flush = operations_flush,
	.fsync = operations_fsync,
	.fsyncdir = operations_fsyncdir,
	.setattr = operations_setattr,
	.mkdir = operations_mkdir,
	.rmdir = operations_rmdir,
	.unlink = operations_unlink,
	.rename = operations_rename,
	.mknod = operations_mknod,
	.symlink = operations_symlink,
	.link = operations_link,
};
