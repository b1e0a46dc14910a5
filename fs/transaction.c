/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The transaction as a folder (see transaction.h). What it holds is read from its file each time: others change it too.
 */
#include "transaction.h"

#include "client/publish/pending.h"
#include "client/publish/staging.h"
#include "errmap.h"
#include "publishing.h"
#include "publish_check.h"
#include "draft.h"
#include "writing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct store *store_of(struct mount *mount)
{
	return registry_store(mount->registry);
}

/* The transaction, if it is this package's. @param out  pending_release() it, whatever is returned */
static int load(struct mount *mount, const struct path *path, struct pending *out, bool *found, struct fault *flt)
{
	struct name name = path_package(path);
	bool is_open = false;
	int verdict;

	*out = (struct pending){0};
	*found = false;
	verdict = pending_load(store_of(mount), out, &is_open, flt);
	if (!verdict && is_open)
		*found = strcmp(out->name.text, name.text) == 0;
	return verdict;
}

/* ---- Lookup ---- */

static void reply_absent(struct request *request)
{
	const struct fuse_entry_param nothing = {0};

	request_settle(request);
	fuse_reply_entry(request->fuse, &nothing);
	request_free(request);
}

/* Whatever is here may be changed by others: the kernel keeps nothing of it. */
static void reply_path(struct request *request, const struct digest *content)
{
	request_reply_entry(request, nodes_enter(request->mount->nodes, &request->path, content), 0);
}

static void look_up_staged(struct request *request)
{
	if (!draft_reply_entry(request))
		reply_absent(request);
}

static void look_up_entry(struct request *request, const struct pending *pending)
{
	const struct pending_entry *entry;
	char version[CAP_VERSION + 1];

	path_version(&request->path, version);
	entry = pending_find(pending, version);
	if (entry)
		reply_path(request, &entry->content);
	else
		look_up_staged(request);
}

static void look_up_in_transaction(struct request *request)
{
	struct pending pending;
	struct fault flt = {0};
	bool found;

	if (load(request->mount, &request->path, &pending, &found, &flt))
		request_fail_with(request, &flt);
	else if (!found)
		reply_absent(request);
	else if (request->path.kind == PATH_TRANSACTION)
		reply_path(request, NULL);
	else if (request->path.kind == PATH_ENTRY)
		look_up_entry(request, &pending);
	else
		look_up_staged(request);
	pending_release(&pending);
}

/* A namespace is there by its name alone, so that a transaction can be begun in it. */
void transaction_attempt_lookup(struct request *request)
{
	struct view *view = registry_view(request->mount->registry);
	bool is_there = request->path.kind == PATH_TRANSACTIONS ||
			tree_has_namespace(view, path_namespace(&request->path)) == TREE_YES;

	view_unref(view);
	if (path_has_package(request->path.kind))
		look_up_in_transaction(request);
	else if (is_there)
		reply_path(request, NULL);
	else
		reply_absent(request);
}

/* ---- Entries ---- */

bool transaction_allows(struct request *request)
{
	struct path release = request->path, package;
	struct name name = path_package(&request->path);
	struct pending pending;
	struct fault flt = {0};
	bool found;

	package = path_of_package(&name);
	if (load(request->mount, &request->path, &pending, &found, &flt) == 0 && !found)
		fault_undecided(&flt, FAULT_ABSENT, "no publish of %.100s is pending", name.text);
	pending_release(&pending);
	if (flt.verdict)
		writing_fail(request, &release, &flt);
	else if (request->path.kind != PATH_ENTRY)
		return true;
	else if (path_join(&package, PATH_RELEASE, path_stem(&request->path), &release))
		return publish_check_version(request, &release);
	return false;
}

uint64_t transaction_size(struct mount *mount, const struct node *node)
{
	uint64_t size = 0;

	staging_find_size(mount->staging, node_content(node), &size);
	return size;
}

/* A content is hashed before it is shown. */
struct opening {
	struct blocking_job blocking_job;
	struct digest content;
	int fd;
};

static int run_opening(struct blocking_job *blocking_job, struct fault *flt)
{
	struct opening *opening = (struct opening *)blocking_job;
	uint64_t size;
	int verdict = staging_open_content(blocking_job->mount->staging, &opening->content, &opening->fd, &size, flt);

	if (!verdict && opening->fd < 0)
		verdict = fault_undecided(flt, FAULT_ABSENT, "its content is not there any more");
	return verdict;
}

static void free_opening(struct blocking_job *blocking_job)
{
	struct opening *opening = (struct opening *)blocking_job;

	if (opening->fd >= 0)
		close(opening->fd);
	free(opening);
}

static struct blocking_job *new_opening(struct mount *mount, const struct digest *content)
{
	struct opening *opening = calloc(1, sizeof(*opening));

	if (!opening)
		return NULL;
	opening->content = *content;
	opening->fd = -1;
	blocking_job_init(&opening->blocking_job, mount, run_opening, free_opening);
	return &opening->blocking_job;
}

void transaction_attempt_open(struct request *request)
{
	struct opening *opening = (struct opening *)request->blocking_job;
	int fd;

	if (!request_has_wanted(request, REQUEST_DEED)) {
		request_want_chore(request, REQUEST_DEED, new_opening(request->mount, node_content(request->node)));
	} else if (request->fault.verdict) {
		request_fail_with(request, &request->fault);
	} else {
		fd = opening->fd;
		opening->fd = -1;
		writing_reply_open(request, fd);
	}
}

/* ---- Listing ---- */

static void add(struct tree_entries *entries, enum path_kind kind, struct span stem, const struct digest *digest)
{
	entries->entries[entries->count++] = (struct tree_entry){
		.kind = kind, .stem = stem, .digest = digest, .is_staged = true,
	};
}

/* The way to the transaction, and what it releases. */
static void list(const struct path *folder, const struct pending *pending, struct tree_entries *entries)
{
	struct name name = path_has_package(folder->kind) ? path_package(folder) : pending->name;
	struct span namespace = name_namespace(&pending->name);

	if (folder->kind == PATH_TRANSACTIONS) {
		add(entries, PATH_TRANSACTIONS_NAMESPACE, namespace, NULL);
	} else if (folder->kind == PATH_TRANSACTIONS_NAMESPACE) {
		if (span_equals(path_namespace(folder), namespace))
			add(entries, PATH_TRANSACTION, name_package(&pending->name), NULL);
	} else {
		for (size_t i = 0; !strcmp(name.text, pending->name.text) && i < pending->count; i++) {
			if (pending->entries[i].type == ENTRY_RELEASE)
				add(entries, PATH_ENTRY, span_of_text(pending->entries[i].version),
				    &pending->entries[i].content);
		}
	}
}

int transaction_list(struct mount *mount, const struct path *folder, struct pending *pending,
		     struct tree_entries *entries, struct fault *flt)
{
	bool is_open = false;

	if (pending_load(store_of(mount), pending, &is_open, flt))
		return flt->verdict;
	entries->count = 0;
	entries->entries = calloc(pending->count + 1, sizeof(*entries->entries));
	if (!entries->entries)
		return fault_no_memory(flt);
	if (is_open)
		list(folder, pending, entries);
	return 0;
}

/* ---- Changes ---- */

/* Something that is done to the transaction's file, whose lock others may hold. */
struct change {
	struct blocking_job blocking_job;
	struct path path;
};

static void free_change(struct blocking_job *blocking_job)
{
	free(blocking_job);
}

static struct blocking_job *new_change(struct mount *mount, const struct path *path,
				       int (*run)(struct blocking_job *blocking_job, struct fault *flt))
{
	struct change *change = calloc(1, sizeof(*change));

	if (!change)
		return NULL;
	change->path = *path;
	blocking_job_init(&change->blocking_job, mount, run, free_change);
	return &change->blocking_job;
}

static int run_begin(struct blocking_job *blocking_job, struct fault *flt)
{
	struct name name = path_package(&((struct change *)blocking_job)->path);
	struct fault own = {0};

	if (pending_begin(store_of(blocking_job->mount), &name, &own) == 0)
		return 0;
	/* That of another package is in the way, but it is not this. */
	if (own.kind == FAULT_EXISTS)
		return fault_system(flt, EBUSY, "%s (submit or remove its folder first)", own.what);
	*flt = own;
	return own.verdict;
}

struct blocking_job *transaction_begin(struct mount *mount, const struct path *package)
{
	return new_change(mount, package, run_begin);
}

static bool has_releases(const struct pending *pending)
{
	for (size_t i = 0; i < pending->count; i++) {
		if (pending->entries[i].type == ENTRY_RELEASE)
			return true;
	}
	return false;
}

/* As other folders: what is in it has to be taken out first, and is taken out by `rm -r`. */
static int run_abort(struct blocking_job *blocking_job, struct fault *flt)
{
	const struct path *path = &((struct change *)blocking_job)->path;
	struct fault own = {0};
	struct pending pending;
	bool found;
	int verdict = load(blocking_job->mount, path, &pending, &found, flt);

	if (!verdict && !found)
		verdict = fault_undecided(flt, FAULT_ABSENT, "it is not there any more");
	if (!verdict && has_releases(&pending))
		verdict = fault_system(flt, ENOTEMPTY, "there are releases in it");
	if (!verdict && draft_remove_folder(blocking_job->mount, path, &own) && own.kind != FAULT_ABSENT) {
		*flt = own;
		verdict = own.verdict;
	}
	if (!verdict)
		verdict = pending_remove(store_of(blocking_job->mount), &found, flt);
	pending_release(&pending);
	if (!verdict)
		staging_sweep(blocking_job->mount->staging, NULL, NULL);
	return verdict;
}

struct blocking_job *transaction_abort(struct mount *mount, const struct path *package)
{
	return new_change(mount, package, run_abort);
}

static int run_take_out(struct blocking_job *blocking_job, struct fault *flt)
{
	const struct path *path = &((struct change *)blocking_job)->path;
	struct name name = path_package(path);
	char version[CAP_VERSION + 1];

	path_version(path, version);
	if (pending_take_out(store_of(blocking_job->mount), &name, version, flt))
		return flt->verdict;
	staging_sweep(blocking_job->mount->staging, NULL, NULL);
	return 0;
}

struct blocking_job *transaction_take_out(struct mount *mount, const struct path *entry)
{
	return new_change(mount, entry, run_take_out);
}
