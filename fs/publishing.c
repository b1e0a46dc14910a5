/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Publishing (see publishing.h).
 *
 * A file is copied into the staging's contents, where the file system can without moving a byte: what was written stays
 * where it is until the release is proven, whatever comes in between.
 */
#include "publishing.h"

#include "caller.h"
#include "client/base/file.h"
#include "client/publish/pending.h"
#include "client/publish/publish.h"
#include "client/publish/staging.h"
#include "client/store/wasm_file.h"
#include "errmap.h"
#include "mount.h"
#include "recent.h"
#include "refusals.h"
#include "repeat.h"
#include "draft.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- What is said of it ---- */

/* Where a fault is told: at the package, or else at the nearest folder that the kernel knows. @return a reference */
static struct node *find_folder(struct mount *mount, const struct path *path, struct path *out)
{
	struct node *node = NULL;

	if (path_has_package(path->kind)) {
		struct name name = path_package(path);

		*out = path_of_package(&name);
		return nodes_enter(mount->nodes, out, NULL);
	}
	for (*out = *path; !node; *out = path_parent(out)) {
		node = nodes_find_path(mount->nodes, out, NULL);
		if (node || out->kind == PATH_ROOT)
			break;
	}
	return node;
}

void publishing_tell(struct mount *mount, const struct path *path, const struct fault *flt)
{
	struct path folder;
	struct node *node = find_folder(mount, path, &folder);
	char sentence[FAULT_SENTENCE_SIZE];
	struct fault own = *flt;

	if (!path_is_called_package(path->kind) && strcmp(folder.text, path->text) != 0)
		fault_at(&own, "%.200s", path_name(path));
	if (path_type(path->kind) == S_IFREG && flt->kind != FAULT_CANCELLED) {
		fault_sentence(flt, sentence);
		refusals_put(mount->refusals, path, sentence);
	}
	if (node)
		mount_tell(mount, node, &own);
	else
		mount_failed(mount, &own);
	nodes_unref(mount->nodes, node);
}

static void tell_success(struct mount *mount, const struct path *path)
{
	struct name name = path_package(path); /* all that is published is of one */
	struct path package = path_of_package(&name);
	struct node *node = nodes_find_path(mount->nodes, &package, NULL);

	refusals_put(mount->refusals, path, NULL);
	if (node)
		nodes_clear_error(mount->nodes, node);
	nodes_unref(mount->nodes, node);
}

/* ---- Versions that are being published ---- */

static struct claim **find_claim(struct mount *mount, const struct path *version)
{
	struct claim **link = &mount->claims;

	while (*link && strcmp((*link)->path.text, version->text) != 0)
		link = &(*link)->next;
	return link;
}

bool publishing_is_claimed(struct mount *mount, const struct path *version)
{
	bool is;

	pthread_mutex_lock(&mount->writing_mutex);
	is = *find_claim(mount, version);
	pthread_mutex_unlock(&mount->writing_mutex);
	return is;
}

static int take_claim(struct mount *mount, struct claim *claim, struct fault *flt)
{
	bool is_free;

	pthread_mutex_lock(&mount->writing_mutex);
	is_free = !*find_claim(mount, &claim->path);
	if (is_free) {
		claim->next = mount->claims;
		mount->claims = claim;
	}
	pthread_mutex_unlock(&mount->writing_mutex);
	return is_free ? 0 : fault_undecided(flt, FAULT_EXISTS, "it is being published already");
}

static void end_claim(struct mount *mount, struct claim *claim)
{
	struct claim **link;

	pthread_mutex_lock(&mount->writing_mutex);
	link = find_claim(mount, &claim->path);
	if (*link == claim)
		*link = claim->next;
	pthread_mutex_unlock(&mount->writing_mutex);
}

/* ---- Blocking jobs ---- */

/* Something that is to be published. */
struct publishing {
	struct blocking_job blocking_job;
	struct claim claim; /* `path` is what it is about: a release, or the package of a transaction */
	struct node *node; /* the file, with a reference; NULL: none */
	pid_t process;
	/** Put the record together, and have it published. */
	int (*publish)(struct publishing *publishing, struct fault *flt);
};

static void free_publishing(struct blocking_job *blocking_job)
{
	struct publishing *publishing = (struct publishing *)blocking_job;

	nodes_unref(blocking_job->mount->nodes, publishing->node);
	free(publishing);
}

/* Files that are published are the registry's now, others their owner's again. */
static void end_giving(struct publishing *publishing, const struct fault *flt)
{
	struct draft *draft = publishing->node->draft;

	pthread_mutex_lock(&draft->mutex);
	draft->stage = flt->verdict ? DRAFT_OPEN : DRAFT_PUBLISHED;
	draft->blocking_job = NULL;
	/* For those who have it open. Of a rename, whoever opens it later is told nothing. */
	draft->outcome = flt->verdict && draft->writers ? errmap_errno(flt) : 0;
	pthread_mutex_unlock(&draft->mutex);
	if (!flt->verdict)
		draft_remove(publishing->blocking_job.mount, publishing->node, NULL);
}

static void tell_end(struct publishing *publishing, const struct fault *flt)
{
	struct mount *mount = publishing->blocking_job.mount;
	struct fault late = {0};

	if (flt->verdict) {
		publishing_tell(mount, &publishing->claim.path, flt);
		return;
	}
	recent_remember(mount, &publishing->claim.path, publishing->process);
	tell_success(mount, &publishing->claim.path);
	if (blocking_job_is_awaited(&publishing->blocking_job))
		return;
	fault_undecided(&late, FAULT_CANCELLED,
			"it was published, though the program that wrote it did not wait for "
			"that");
	log_fault(mount->log, publishing->claim.path.text, &late);
}

static int run_publishing(struct blocking_job *blocking_job, struct fault *flt)
{
	struct publishing *publishing = (struct publishing *)blocking_job;
	int verdict;

	if (blocking_job_is_awaited(blocking_job))
		verdict = publishing->publish(publishing, flt);
	else
		verdict = fault_undecided(flt, FAULT_CANCELLED, "it is not wanted any more");
	if (publishing->node)
		end_giving(publishing, flt);
	end_claim(blocking_job->mount, &publishing->claim);
	tell_end(publishing, flt);
	return verdict;
}

/* @param node  a reference is taken; NULL: none */
static int new_publishing(struct mount *mount, struct node *node, const struct path *path, pid_t thread,
			  int (*publish)(struct publishing *publishing, struct fault *flt), struct blocking_job **out,
			  struct fault *flt)
{
	struct publishing *publishing = calloc(1, sizeof(*publishing));

	if (!publishing)
		return fault_no_memory(flt);
	publishing->claim.path = *path;
	publishing->process = caller_process(thread);
	publishing->publish = publish;
	/* What only compares its bytes with a release's keeps nobody from doing the same. */
	if (!(node && node->draft->is_nameless) && take_claim(mount, &publishing->claim, flt)) {
		free(publishing);
		return flt->verdict;
	}
	if (node)
		nodes_ref(mount->nodes, node);
	publishing->node = node;
	blocking_job_init(&publishing->blocking_job, mount, run_publishing, free_publishing);
	publishing->blocking_job.workers = mount->publishes;
	*out = &publishing->blocking_job;
	return 0;
}

/* ---- Releases ---- */

/* A file that is not whole is nobody's lie. */
static int check_framing(int fd, struct fault *flt)
{
	struct fault own = {0};
	int verdict = wasm_file_check(fd, &own);

	if (verdict == WARG_INVALID)
		return fault_undecided(flt, FAULT_MISUSE, "what was written is no whole WebAssembly file: %s",
				       own.what);
	if (verdict)
		*flt = own;
	return verdict;
}

/* Check a file and keep its bytes. The caller has a hold. */
static int keep(struct mount *mount, struct node *node, struct digest *out, struct fault *flt)
{
	int fd = -1, verdict = draft_open(node, O_RDONLY, &fd, flt);

	if (!verdict)
		verdict = check_framing(fd, flt);
	if (!verdict)
		verdict = staging_add(mount->staging, fd, out, NULL, flt);
	if (fd >= 0)
		close(fd);
	return verdict;
}

/* Whether it may be published yet: then it is gone on with when the registry is heard of again. */
static void look_again(struct mount *mount, const struct publish_result *result, const struct fault *flt)
{
	const struct digest none = {0};

	if (!digest_equals(&result->record_id, &none) && (flt->kind == FAULT_TIMEOUT || flt->kind == FAULT_UNREACHABLE))
		atomic_store(&mount->has_leftovers, true);
}

static bool is_awaited(void *user)
{
	return blocking_job_is_awaited(user);
}

static int publish(struct blocking_job *blocking_job, const struct pending *pending, struct fault *flt)
{
	struct mount *mount = blocking_job->mount;
	struct publish_result result = {0};
	struct fault own = {0};
	int verdict = publish_submit_while(mount->publisher, pending, PUBLISH_PROVEN, is_awaited, blocking_job, &result,
					   &own);

	if (verdict) {
		look_again(mount, &result, &own);
		*flt = own;
	}
	return verdict;
}

static int submit(struct blocking_job *blocking_job, const struct name *name, const struct pending_entry *entry,
		  struct fault *flt)
{
	struct pending pending;
	int verdict;

	pending_init(&pending, name);
	verdict = pending_add(&pending, entry, flt);
	if (!verdict)
		verdict = publish(blocking_job, &pending, flt);
	pending_release(&pending);
	return verdict;
}

/*
 * Drop contents that the registry has published or refused. Contents that another process holds are swept when the last
 * hold is released.
 */
static void end_hold(struct mount *mount, struct staging_hold *hold)
{
	staging_end_hold(hold);
	staging_sweep(mount->staging, NULL, NULL);
}

/* Another client was faster: with the same bytes the release is what was wanted. */
static int compare_again(struct publishing *publishing, const struct name *name, struct fault *flt)
{
	struct mount *mount = publishing->blocking_job.mount;
	struct fault fault = {0}, own = {0};

	if (registry_update(mount->registry, name, 1, &fault, &own) == 0 &&
	    repeat_compare(mount, publishing->node, &publishing->claim.path, &own) == REPEAT_SAME)
		*flt = (struct fault){0};
	return flt->verdict;
}

static int publish_new(struct publishing *publishing, struct fault *flt)
{
	struct mount *mount = publishing->blocking_job.mount;
	struct name name = path_package(&publishing->claim.path);
	struct pending_entry entry = {.type = ENTRY_RELEASE};
	struct staging_hold hold;
	int verdict;

	path_version(&publishing->claim.path, entry.version);
	if (staging_take_hold(mount->staging, &hold, flt))
		return flt->verdict;
	verdict = keep(mount, publishing->node, &entry.content, flt);
	if (!verdict)
		verdict = submit(&publishing->blocking_job, &name, &entry, flt);
	end_hold(mount, &hold);
	return verdict && flt->kind == FAULT_EXISTS ? compare_again(publishing, &name, flt) : verdict;
}

static int publish_release(struct publishing *publishing, struct fault *flt)
{
	struct mount *mount = publishing->blocking_job.mount;

	switch (repeat_compare(mount, publishing->node, &publishing->claim.path, flt)) {
	case REPEAT_SAME:
		return 0;
	case REPEAT_OTHER:
		return flt->verdict;
	case REPEAT_NEW:
		break;
	}
	return publish_new(publishing, flt);
}

int publishing_begin_release(struct mount *mount, struct node *node, const struct path *version, pid_t thread,
			     struct blocking_job **out, struct fault *flt)
{
	return new_publishing(mount, node, version, thread, publish_release, out, flt);
}

static int publish_yank(struct publishing *publishing, struct fault *flt)
{
	struct name name = path_package(&publishing->claim.path);
	struct pending_entry entry = {.type = ENTRY_YANK};

	path_version(&publishing->claim.path, entry.version);
	return submit(&publishing->blocking_job, &name, &entry, flt);
}

int publishing_yank(struct mount *mount, const struct path *version, pid_t thread, struct blocking_job **out,
		    struct fault *flt)
{
	return new_publishing(mount, NULL, version, thread, publish_yank, out, flt);
}

/* ---- Transactions ---- */

static int publish_transaction(struct publishing *publishing, struct fault *flt)
{
	struct mount *mount = publishing->blocking_job.mount;
	struct name name = path_package(&publishing->claim.path);
	struct pending pending;
	bool found = false;
	int verdict = pending_load(registry_store(mount->registry), &pending, &found, flt);

	if (verdict)
		return verdict;
	if (!found || strcmp(pending.name.text, name.text) != 0)
		verdict = fault_undecided(flt, FAULT_ABSENT, "no publish of %s is pending", name.text);
	else
		verdict = publish(&publishing->blocking_job, &pending, flt);
	if (found)
		pending_release(&pending);
	return verdict;
}

int publishing_begin_submit(struct mount *mount, const struct path *package, pid_t thread, struct blocking_job **out,
			    struct fault *flt)
{
	return new_publishing(mount, NULL, package, thread, publish_transaction, out, flt);
}

static int enlist(struct publishing *publishing, struct fault *flt)
{
	struct mount *mount = publishing->blocking_job.mount;
	struct name name = path_package(&publishing->claim.path);
	struct pending_entry entry = {.type = ENTRY_RELEASE};
	struct staging_hold hold;
	int verdict;

	path_version(&publishing->claim.path, entry.version);
	if (staging_take_hold(mount->staging, &hold, flt))
		return flt->verdict;
	verdict = keep(mount, publishing->node, &entry.content, flt);
	if (!verdict)
		verdict = pending_change(registry_store(mount->registry), &name, &entry, 1, flt);
	end_hold(mount, &hold);
	return verdict;
}

int publishing_enlist(struct mount *mount, struct node *node, const struct path *entry, pid_t thread,
		      struct blocking_job **out, struct fault *flt)
{
	return new_publishing(mount, node, entry, thread, enlist, out, flt);
}

/* ---- What was left over ---- */

static void resumed(void *user, const struct pending *what, const struct publish_result *result, int verdict,
		    const struct fault *flt)
{
	struct path package;

	if (!verdict)
		return;
	look_again(user, result, flt);
	if (!what) {
		mount_failed(user, flt);
		return;
	}
	package = path_of_package(&what->name);
	publishing_tell(user, &package, flt);
}

/* Whether a file that was written is what its release has: then it was published, and nobody lived to clear it away. */
static bool is_published(struct mount *mount, const struct node *node, const struct path *path)
{
	struct view *view = registry_view(mount->registry);
	const struct package_release *release = tree_release(view, path);
	struct digest released = {0}, written;
	bool is = release;
	int fd = -1;

	if (release)
		released = release->content;
	view_unref(view);
	if (!is || draft_open(node, O_RDONLY, &fd, NULL))
		return false;
	is = file_hash(fd, &written, NULL) == 0 && digest_equals(&written, &released);
	close(fd);
	return is;
}

static void clear_away(struct mount *mount, const struct staging_file *file)
{
	struct path package = path_of_package(&file->name), path, as_draft;
	struct fault ignored = {0};
	struct node *node = NULL;

	if (!path_child(&package, file->file, &path) || path.kind != PATH_RELEASE)
		return;
	path_as_draft(&path, &as_draft);
	registry_add(mount->registry, &file->name, 1, &ignored);
	if (draft_find(mount, &as_draft, &node, NULL) == 0 && node && is_published(mount, node, &path))
		draft_remove(mount, node, NULL);
	nodes_unref(mount->nodes, node);
}

static int run_resume(struct blocking_job *blocking_job, struct fault *flt)
{
	struct mount *mount = blocking_job->mount;
	struct staging_file *files = NULL;
	struct fault ignored = {0};
	size_t count = 0;

	publish_resume(mount->publisher, resumed, mount, &ignored);
	if (staging_list_files(mount->staging, &files, &count, flt))
		mount_failed(mount, flt);
	for (size_t i = 0; i < count; i++)
		clear_away(mount, &files[i]);
	free(files);
	return flt->verdict;
}

static void free_chore(struct blocking_job *blocking_job)
{
	free(blocking_job);
}

static int resume(struct mount *mount, struct fault *flt)
{
	struct blocking_job *blocking_job = calloc(1, sizeof(*blocking_job));

	if (!blocking_job)
		return fault_no_memory(flt);
	blocking_job_init(blocking_job, mount, run_resume, free_chore);
	blocking_job->workers = mount->publishes;
	blocking_job_begin(blocking_job, NULL);
	blocking_job_unref(blocking_job);
	return 0;
}

void publishing_look_again(struct mount *mount)
{
	if (atomic_exchange(&mount->has_leftovers, false))
		resume(mount, NULL);
}

/* Whether a mount's process still runs although its mount point is free again. */
static bool is_ending(const char *folder)
{
	return !mount_is_ours(folder);
}

int publishing_start(struct mount *mount, struct fault *flt)
{
	const struct mount_publishing *how = &mount->publishing;
	struct publisher_options options = {
		.registry = mount->registry,
		.state_dir = how->state_dir,
		.label = trust_label(registry_trust(mount->registry)),
		.find_key = how->find_key,
		.user = how->user,
		.auto_init = how->auto_init,
		.recent = PUBLISH_RECENT,
		.timeout = mount->options.timeout,
	};
	int verdict =
		staging_open(how->state_dir, options.label, registry_store(mount->registry), &mount->staging, flt);

	if (!verdict)
		verdict = staging_claim_files(mount->staging, mount->folder, is_ending, flt);
	if (!verdict)
		verdict = publisher_open(&options, &mount->publisher, flt);
	if (!verdict)
		verdict = workers_new(CAP_CHORES, &mount->blocking_jobs, flt);
	if (!verdict)
		verdict = workers_new(CAP_PUBLISHES, &mount->publishes, flt);
	return verdict ? verdict : resume(mount, flt);
}

void publishing_stop(struct mount *mount)
{
	publisher_stop(mount->publisher);
	workers_free(mount->publishes);
	workers_free(mount->blocking_jobs);
	repeat_end_all(mount);
	publisher_close(mount->publisher);
	mount->blocking_jobs = mount->publishes = NULL;
	mount->publisher = NULL;
}

void publishing_end(struct mount *mount)
{
	staging_close(mount->staging);
}
