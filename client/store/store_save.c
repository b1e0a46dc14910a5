/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Writing an update into the registry's folder: store_save().
 *
 * The reference holds the folder's lock for its whole life, so nobody waits for it for long. What is written under it
 * was validated before; a crash between two files leaves logs that are ahead of the checkpoint, which both clients then
 * bring up to date.
 */
#include "store_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/file.h"

int store_reset(const char *registries_dir, const char *own_dir, const char *label, struct fault *flt)
{
	const struct store store = {
		.registries_dir = (char *)(uintptr_t)registries_dir, .label = (char *)(uintptr_t)label};
	int registry, lock, top = -1;
	bool had = false;
	int r;

	r = store_lock_registry(&store, &registry, &lock, &had, flt);
	if (!r && !had)
		r = fault_system(flt, EBUSY, "another program works with what is stored of the registry");
	if (r)
		return r;
	r = file_open_top(registries_dir, &top, flt);
	if (!r)
		r = file_remove_tree(top, label, flt);
	if (top >= 0)
		close(top);
	top = -1;
	if (!r)
		r = file_open_top(own_dir, &top, flt);
	if (!r)
		r = file_remove_tree(top, label, flt);
	if (top >= 0)
		close(top);
	close(registry);
	close(lock);
	return r;
}

/* ---- What a power failure left ---- */

/*
 * Package logs are not synced. An empty one counts as missing here, but the reference ends with an error at the first.
 * @return whether there is an empty log; with `removes`, they are removed
 */
static bool sweep_logs(int registry, bool removes)
{
	bool found = false;
	struct dirent *entry;
	struct stat status;
	DIR *listing;
	int logs = -1;

	if (store_open_logs(registry, false, &logs, NULL) || logs < 0)
		return false;
	listing = fdopendir(logs);
	if (!listing) {
		close(logs);
		return false;
	}
	while ((removes || !found) && (entry = readdir(listing))) {
		if (entry->d_name[0] == '.' || fstatat(logs, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISREG(status.st_mode) || status.st_size)
			continue;
		found = true;
		if (removes)
			unlinkat(logs, entry->d_name, 0);
	}
	closedir(listing);
	return found;
}

/* Without the lock, which would be made with its folder. */
static bool has_empty_log(const struct store *store)
{
	bool found;
	int registry = -1;

	if (store_open_registry(store, false, &registry, NULL) || registry < 0)
		return false;
	found = sweep_logs(registry, false);
	close(registry);
	return found;
}

void store_sweep_logs(struct store *store)
{
	bool had = false;
	int registry, lock;

	if (!has_empty_log(store) || store_lock_registry(store, &registry, &lock, &had, NULL) || !had)
		return;
	sweep_logs(registry, true);
	atomic_store(&store->is_swept, true);
	close(registry);
	close(lock);
}

/* ---- What is newer ---- */

static uint64_t rank(const struct store_position *position)
{
	return position->known ? position->registry_index + 1 : 0;
}

/* Whether its head is within the checkpoint that it was updated to. */
static bool is_possible(const struct store_state *there)
{
	return !there->has_checkpoint || rank(&there->position) <= there->checkpoint.log_length;
}

/*
 * Whether what lies there is ahead of what we would write: a later head, or the same one known to be good for longer.
 * @param is_same  whether it is the same state: what has our head and is another one was never proven
 */
static bool is_ahead(const struct store_state *there, const struct store_state *ours, bool is_same)
{
	if (!is_possible(there))
		return false;
	if (rank(&there->position) != rank(&ours->position))
		return !is_same && rank(&there->position) > rank(&ours->position);
	return is_same && there->has_checkpoint && there->checkpoint.log_length > ours->checkpoint.log_length;
}

/* Read failed: a state that is malformed is as good as none and is written over; anything else is a fault. */
static int forgive(int verdict, const struct fault *local, struct fault *flt)
{
	if (verdict == WARG_INVALID || !verdict)
		return 0;
	if (flt && !flt->verdict)
		*flt = *local;
	return verdict;
}

static struct store_state state_of(const struct store_update *update, const struct store_position *position)
{
	struct store_state state = {
		.position = *position, .has_checkpoint = true, .checkpoint = update->checkpoint->contents};

	return state;
}

/* ---- The three kinds of file ---- */

static int write_text(int folder, const char *name, const struct buf *text, struct fault *flt)
{
	return file_replace(folder, name, STORE_STATE_MODE, buf_span(text), flt);
}

/* @param keys  of those that were saved before it */
static int save_package(const struct store *store, int logs, const struct store_update *update,
			const struct store_package *package, struct ecdsa_recent_keys *keys, struct fault *flt)
{
	struct name name = package_log_name(package->log);
	struct store_state ours = state_of(update, &package->position);
	struct digest id = name_log_id(&name);
	struct package_log *there = NULL;
	struct store_state state = {0};
	char file[DIGEST_TEXT_SIZE];
	struct fault local = {0};
	struct buf text;
	bool is_same, ahead;
	int r;

	if (!store_state_fits_package(package->log))
		return 0;
	r = forgive(store_read_package(logs, &name, keys, &there, &state, &local), &local, flt);
	if (r)
		return r;
	is_same = there && store_same_package(there, package->log);
	ahead = there && is_ahead(&state, &ours, is_same);
	package_log_unref(there);
	/* The stored file has the same log already, and this one was only loaded, not updated. */
	if (ahead || (is_same && package->position.is_kept))
		return 0;
	buf_init(&text, CAP_FILE_STATE);
	r = store_state_render_package(package->log, store->label, &ours, &text, flt);
	if (!r) {
		store_file_name(&id, file);
		/* Where it was lost it is fetched again. An empty one is swept away, for the reference's sake. */
		r = file_replace_unsynced(logs, file, STORE_STATE_MODE, buf_span(&text), flt);
	}
	buf_release(&text);
	return r;
}

static int save_packages(const struct store *store, int registry, const struct store_update *update, struct fault *flt)
{
	struct ecdsa_recent_keys keys = {.next = 0};
	int logs = -1;
	int r;

	if (!update->package_count)
		return 0;
	r = store_open_logs(registry, true, &logs, flt);
	if (r)
		return r;
	for (size_t i = 0; !r && i < update->package_count; i++)
		r = save_package(store, logs, update, &update->packages[i], &keys, flt);
	ecdsa_recent_keys_release(&keys);
	close(logs);
	return r;
}

/* On disk once it is written: the checkpoint must not be there before the keys that it is signed with. */
static int save_operator(const struct store *store, int registry, const struct store_update *update, struct fault *flt)
{
	struct store_state ours = state_of(update, &update->operator_position);
	struct operator_log *there = NULL;
	struct store_state state = {0};
	struct fault local = {0};
	struct buf text;
	bool ahead;
	int r;

	if (!update->operator || !store_state_fits_operator(update->operator))
		return 0;
	r = forgive(store_read_operator(registry, &there, &state, &local), &local, flt);
	if (r)
		return r;
	ahead = there && is_ahead(&state, &ours, store_same_operator(there, update->operator));
	operator_log_unref(there);
	if (ahead)
		return 0;
	buf_init(&text, CAP_FILE_STATE);
	r = store_state_render_operator(update->operator, store->label, &ours, &text, flt);
	if (!r)
		r = write_text(registry, "operator.log", &text, flt);
	if (!r)
		r = file_sync(registry, flt);
	buf_release(&text);
	return r;
}

/* Whether the stored checkpoint is newer: signed by the operator, and of a longer log, or of the same and later. */
static bool is_later(const struct signed_checkpoint *there, const struct store_update *update)
{
	const struct checkpoint *theirs = &there->contents, *ours = &update->checkpoint->contents;

	if (theirs->log_length < ours->log_length ||
	    (theirs->log_length == ours->log_length && theirs->timestamp <= ours->timestamp))
		return false;
	return !update->signer || !checkpoint_verify(there, update->signer, NULL);
}

static bool is_same(const struct signed_checkpoint *there, const struct signed_checkpoint *ours)
{
	return checkpoint_same_state(&there->contents, &ours->contents) &&
	       there->contents.timestamp == ours->contents.timestamp && digest_equals(&there->key_id, &ours->key_id) &&
	       !strcmp(there->signature, ours->signature);
}

static int save_checkpoint(int registry, const struct store_update *update, struct fault *flt)
{
	struct signed_checkpoint there;
	struct fault local = {0};
	bool found = false;
	struct buf text;
	int r;

	r = forgive(store_read_checkpoint(registry, &there, &found, &local), &local, flt);
	if (r)
		return r;
	if (found && (is_same(&there, update->checkpoint) || is_later(&there, update)))
		return 0;
	buf_init(&text, CAP_FILE_STATE);
	r = checkpoint_json_render(update->checkpoint, &text, flt);
	if (!r)
		r = write_text(registry, "checkpoint", &text, flt);
	buf_release(&text);
	return r;
}

int store_save(struct store *store, const struct store_update *update, bool *written, struct fault *flt)
{
	bool had = false;
	int registry, lock;
	int r;

	r = store_lock_registry(store, &registry, &lock, &had, flt);
	if (r)
		return r;
	if (!had) {
		*written = false;
		return 0;
	}
	if (!atomic_exchange(&store->is_swept, true))
		sweep_logs(registry, true);
	r = save_packages(store, registry, update, flt);
	if (r || update->is_part)
		goto end;
	r = save_operator(store, registry, update, flt);
	/* One that a power failure undoes is as good as the one before: the logs are ahead of it then. */
	if (!r)
		r = save_checkpoint(registry, update, flt);
end:
	close(registry);
	close(lock);
	if (!r)
		*written = true;
	return r;
}
