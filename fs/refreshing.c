/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A refresh that a command waits for (see refreshing.h).
 */
#include "refreshing.h"

#include "invalidation.h"

#include <stdlib.h>
#include <unistd.h>

struct refreshing;

struct refreshing_wait {
	struct waiter waiter; /* first, so that one is found from the other */
	struct refreshing *of;
};

struct refreshing {
	struct mount *mount;
	int fd;
	atomic_size_t left; /* registries that are waited for, and one for refreshing_begin() itself */
	struct refreshing_wait waits[];
};

static void end_one(struct refreshing *refreshing)
{
	if (atomic_fetch_sub(&refreshing->left, 1) > 1)
		return;
	invalidation_close(refreshing->mount->invalidation, refreshing->fd);
	free(refreshing);
}

static void finished(struct waiter *waiter, int verdict, const struct fault *flt)
{
	struct refreshing_wait *wait = (struct refreshing_wait *)waiter;

	if (verdict && flt->kind != FAULT_CANCELLED)
		mount_failed(wait->of->mount, flt);
	end_one(wait->of);
}

void refreshing_begin(struct mount *mount, int fd)
{
	struct registry *registries[CAP_REGISTRIES + 1];
	size_t count = federation_registries(mount->federation, registries);
	struct refreshing *refreshing = calloc(1, sizeof(*refreshing) + count * sizeof(refreshing->waits[0]));

	if (!refreshing) {
		mount_refresh_soon(mount);
		close(fd);
		return;
	}
	refreshing->mount = mount;
	refreshing->fd = fd;
	atomic_init(&refreshing->left, count + 1);
	for (size_t i = 0; i < count; i++) {
		refreshing->waits[i].of = refreshing;
		refreshing->waits[i].waiter.done = finished;
		refreshing->waits[i].waiter.deadline = registry_deadline(registries[i]);
		registry_want_refresh(registries[i], &refreshing->waits[i].waiter);
	}
	end_one(refreshing);
}
