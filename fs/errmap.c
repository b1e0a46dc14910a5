/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The table of errnos (see errmap.h).
 */
#include "errmap.h"

#include <errno.h>

/* A local fault keeps its errno, but for those that mean something to FUSE itself. */
static int of_system(int errnum)
{
	switch (errnum) {
	case ENOSYS:
	case ESTALE:
	case ENODEV:
		return EIO;
	default:
		return errnum > 0 && errnum < 512 ? errnum : EIO;
	}
}

int errmap_errno(const struct fault *flt)
{
	switch (flt->kind) {
	case FAULT_FORGED:
	case FAULT_OVERSIZED:
		return EBADMSG;
	case FAULT_UNREACHABLE:
		return EHOSTUNREACH;
	case FAULT_TIMEOUT:
		return ETIMEDOUT;
	case FAULT_LOGIN:
		return EACCES;
	case FAULT_REFUSED:
		/* Not EACCES: logging in would not help. */
		return EPERM;
	case FAULT_DENIED:
		return EACCES;
	case FAULT_NO_KEY:
		return ENOKEY;
	case FAULT_ABSENT:
		return ENOENT;
	case FAULT_EXISTS:
		return EEXIST;
	case FAULT_LIMIT:
		return EFBIG;
	case FAULT_CANCELLED:
		return EINTR;
	case FAULT_MISUSE:
		return EINVAL;
	case FAULT_SYSTEM:
		return of_system(flt->errnum);
	case FAULT_NONE:
		break;
	}
	return EIO;
}
