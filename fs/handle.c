/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Open files and folders of a mount (see handle.h).
 */
#include "mount_parts.h"

void handle_open(struct mount *mount, struct handle *handle, void (*end)(struct mount *mount, struct handle *handle))
{
	pthread_mutex_lock(&mount->handles_mutex);
	handle->free = end;
	handle->is_open = true;
	LIST_INSERT_HEAD(&mount->handles, handle, others);
	pthread_mutex_unlock(&mount->handles_mutex);
}

void handle_close(struct mount *mount, struct handle *handle)
{
	pthread_mutex_lock(&mount->handles_mutex);
	if (handle->is_open)
		LIST_REMOVE(handle, others);
	handle->is_open = false;
	pthread_mutex_unlock(&mount->handles_mutex);
}

void handles_end(struct mount *mount)
{
	struct handle *handle;

	while ((handle = LIST_FIRST(&mount->handles))) {
		handle_close(mount, handle);
		handle->free(mount, handle);
	}
}
