/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What was published or removed lately (see recent.h).
 */
#include "recent.h"

#include "caller.h"

#include <string.h>
#include <sys/stat.h>

#define RECENT_SECONDS 10 /* in which a program that has closed a file sets the attributes of it */

void recent_remember(struct mount *mount, const struct path *path, pid_t process)
{
	struct recent *recent;

	pthread_mutex_lock(&mount->writing_mutex);
	recent = &mount->recents[mount->oldest_recent];
	mount->oldest_recent = (mount->oldest_recent + 1) % MOUNT_RECENTS;
	*recent = (struct recent){ *path, process, clock_in_seconds(RECENT_SECONDS) };
	pthread_mutex_unlock(&mount->writing_mutex);
}

/* @param process  0: anybody, in the folder at `path` */
static bool find(struct mount *mount, const struct path *path, pid_t process)
{
	size_t length = strlen(path->text);
	bool has = false;

	pthread_mutex_lock(&mount->writing_mutex);
	for (size_t i = 0; i < MOUNT_RECENTS && !has; i++) {
		const struct recent *recent = &mount->recents[i];

		if (recent->end && clock_left(recent->end) && strncmp(recent->path.text, path->text, length) == 0)
			has = process ? !recent->path.text[length] && recent->process == process :
					recent->path.text[length] == '/';
	}
	pthread_mutex_unlock(&mount->writing_mutex);
	return has;
}

bool recent_has(struct mount *mount, const struct path *path, pid_t thread)
{
	pid_t process = path_type(path->kind) == S_IFDIR ? 0 : caller_process(thread);

	return (process || path_type(path->kind) == S_IFDIR) && find(mount, path, process);
}
