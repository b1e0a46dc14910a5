/*
 * The table of operations.
 */
#include "negotiation.h"
#include "operations.h"

#include <limits.h>

static void statfs_mount(fuse_req_t fuse, fuse_ino_t number)
{
	struct mount *mount = fuse_req_userdata(fuse);
	const unsigned block = 4096;
	struct statvfs stat = { .f_bsize = block, .f_frsize = block, .f_namemax = NAME_MAX };
	uint64_t bytes, files;

	(void)number;
	metrics_count(&mount->metrics, METRICS_STATFS);
	if (store_measure_contents(registry_store(mount_registry(mount, NULL)), &bytes, &files, NULL) == 0) {
		stat.f_blocks = (bytes + block - 1) / block;
		stat.f_files = files;
	}
	fuse_reply_statfs(fuse, &stat);
}

const struct fuse_lowlevel_ops operations = {
	.init = negotiation_choose,
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
};
