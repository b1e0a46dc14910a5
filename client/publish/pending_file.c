/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The open transaction's file: pending.h.
 */
#include "pending.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/file.h"

#define PENDING_FILE "pending-publish.json"

/* ---- In a folder that is open ---- */

/* What another user put there is not our person's transaction: it would be signed with our person's key. */
static int check_owner(int fd, struct fault *flt)
{
	struct stat status;

	if (fstat(fd, &status))
		return fault_system(flt, errno, "looking at %s", PENDING_FILE);
	return status.st_uid == geteuid() ? 0 : fault_invalid(flt, "it belongs to another user");
}

static int read_text(int registry, struct buf *out, bool *found, struct fault *flt)
{
	int fd = -1;
	int r = file_open(registry, PENDING_FILE, &fd, NULL, flt);

	if (r)
		return r;
	*found = fd >= 0;
	if (fd < 0)
		return 0;
	r = check_owner(fd, flt);
	if (!r)
		r = file_read_all(fd, out, flt);
	close(fd);
	return r;
}

static int read_pending(int registry, struct pending *out, bool *found, struct fault *flt)
{
	struct pending pending;
	bool there = false;
	struct buf text;
	int r;

	buf_init(&text, CAP_FILE_PENDING);
	r = read_text(registry, &text, &there, flt);
	if (!r && there)
		r = pending_parse(buf_span(&text), &pending, flt);
	if (!r && there) {
		pending.is_stored = true;
		pending.text = digest_of(buf_span(&text));
		*out = pending;
	}
	buf_release(&text);
	if (r) {
		fault_at(flt, "file %s", PENDING_FILE);
		fault_blame(flt, FAULT_BY_CACHE);
	} else {
		*found = there;
	}
	return r;
}

static int write_pending(int registry, const struct pending *pending, struct fault *flt)
{
	struct buf text;
	int r;

	buf_init(&text, CAP_FILE_PENDING);
	r = pending_render(pending, &text, flt);
	if (!r)
		r = file_replace(registry, PENDING_FILE, STORE_STATE_MODE, buf_span(&text), flt);
	if (!r)
		r = file_sync(registry, flt);
	buf_release(&text);
	return r;
}

static int remove_pending(int registry, struct fault *flt)
{
	int r = file_remove_tree(registry, PENDING_FILE, flt);

	return r ? r : file_sync(registry, flt);
}

/* ---- Under the lock ---- */

struct locked {
	int registry, lock;
};

static int take_lock(struct store *store, struct locked *out, struct fault *flt)
{
	clock_ms deadline = clock_now() + PENDING_LOCK_WAIT;
	bool had = false;
	int r;

	do
		r = store_lock_registry(store, &out->registry, &out->lock, &had, flt);
	while (!r && !had && clock_left(deadline));
	return r || had ? r : fault_system(flt, EBUSY, "another program works with the pending publish");
}

static void end_lock(struct locked *locked)
{
	close(locked->registry);
	close(locked->lock);
}

static int load_locked(struct store *store, struct pending *out, bool *found, struct fault *flt)
{
	struct locked locked;
	int r = take_lock(store, &locked, flt);

	if (r)
		return r;
	r = read_pending(locked.registry, out, found, flt);
	end_lock(&locked);
	return r;
}

int pending_load(struct store *store, struct pending *out, bool *found, struct fault *flt)
{
	struct fault own = {0};
	int registry = -1;
	int r;

	r = store_open_registry(store, false, &registry, flt);
	if (r)
		return r;
	if (registry < 0) {
		*found = false;
		return 0;
	}
	r = read_pending(registry, out, found, &own);
	close(registry);
	/* The reference writes in place: half a file may be a whole one in a moment. With the lock nobody writes. */
	if (r == WARG_INVALID)
		return load_locked(store, out, found, flt);
	if (r && flt && !flt->verdict)
		*flt = own;
	return r;
}

int pending_begin(struct store *store, const struct name *name, struct fault *flt)
{
	struct pending pending = {0}, opened;
	struct locked locked;
	bool found = false;
	int r = take_lock(store, &locked, flt);

	if (r)
		return r;
	r = read_pending(locked.registry, &pending, &found, flt);
	if (!r && found)
		r = fault_undecided(flt, FAULT_EXISTS, "a publish of %s is pending already", pending.name.text);
	if (!r) {
		pending_init(&opened, name);
		r = write_pending(locked.registry, &opened, flt);
	}
	end_lock(&locked);
	pending_release(&pending);
	return r;
}

static int check_open(const struct pending *pending, bool found, const struct name *name, struct fault *flt)
{
	if (!found)
		return fault_undecided(flt, FAULT_ABSENT, "no publish is pending");
	if (strcmp(pending->name.text, name->text))
		return fault_undecided(flt, FAULT_EXISTS, "a publish of %s is pending, not of %s", pending->name.text,
				       name->text);
	return 0;
}

int pending_change(struct store *store, const struct name *name, const struct pending_entry *entries, size_t count,
		   struct fault *flt)
{
	struct pending pending = {0};
	struct locked locked;
	bool found = false;
	int r = take_lock(store, &locked, flt);

	if (r)
		return r;
	r = read_pending(locked.registry, &pending, &found, flt);
	if (!r)
		r = check_open(&pending, found, name, flt);
	for (size_t i = 0; !r && i < count; i++)
		r = pending_add(&pending, &entries[i], flt);
	if (!r)
		r = write_pending(locked.registry, &pending, flt);
	end_lock(&locked);
	pending_release(&pending);
	return r;
}

int pending_take_out(struct store *store, const struct name *name, const char *version, struct fault *flt)
{
	struct pending pending = {0};
	struct locked locked;
	bool found = false;
	int r = take_lock(store, &locked, flt);

	if (r)
		return r;
	r = read_pending(locked.registry, &pending, &found, flt);
	if (!r)
		r = check_open(&pending, found, name, flt);
	if (!r && !pending_drop(&pending, version))
		r = fault_undecided(flt, FAULT_ABSENT, "the pending publish does not release %s", version);
	if (!r)
		r = write_pending(locked.registry, &pending, flt);
	end_lock(&locked);
	pending_release(&pending);
	return r;
}

int pending_remove(struct store *store, bool *found, struct fault *flt)
{
	struct locked locked;
	struct stat status;
	bool there;
	int r = take_lock(store, &locked, flt);

	if (r)
		return r;
	there = !fstatat(locked.registry, PENDING_FILE, &status, AT_SYMLINK_NOFOLLOW);
	if (there)
		r = remove_pending(locked.registry, flt);
	end_lock(&locked);
	if (!r)
		*found = there;
	return r;
}

int pending_end(struct store *store, const struct digest *text, struct fault *flt)
{
	struct locked locked;
	struct digest there;
	bool found = false;
	struct buf read;
	int r = take_lock(store, &locked, flt);

	if (r)
		return r;
	buf_init(&read, CAP_FILE_PENDING);
	r = read_text(locked.registry, &read, &found, flt);
	there = digest_of(buf_span(&read));
	if (!r && found && digest_equals(&there, text))
		r = remove_pending(locked.registry, flt);
	buf_release(&read);
	end_lock(&locked);
	return r;
}
