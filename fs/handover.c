/*
 * Publishing (see handover.h).
 *
 * A file is copied into the staging's contents, where the file system can without moving a byte: what was written stays
 * where it is until the release is proven, whatever comes in between.
 */
#include "handover.h"

#include "client/file.h"
#include "client/pending.h"
#include "client/publish.h"
#include "client/staging.h"
#include "client/wasm_file.h"
#include "errmap.h"
#include "mount.h"
#include "staged.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECENT_SECONDS 10 /* in which a program that has closed a file sets the attributes of it */

/* ---- What is said of it ---- */

void handover_tell(struct mount *mount, const struct path *path, const struct fault *flt)
{
	struct name name = path_package(path);
	struct path package = path_of_package(&name);
	struct node *node = path_has_package(path->kind) ? nodes_enter(mount->nodes, &package, NULL) : NULL;
	struct fault own = *flt;

	if (!path_is_called_package(path->kind))
		fault_at(&own, "%.200s", path_name(path));
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

	if (node)
		nodes_set_error(mount->nodes, node, NULL);
	nodes_unref(mount->nodes, node);
}

static void fail(struct request *request, const struct path *path, enum fault_kind kind, const char *what)
{
	struct fault flt = {0};

	fault_undecided(&flt, kind, "%s", what);
	handover_tell(request->mount, path, &flt);
	request_fail(request, errmap_errno(&flt));
}

/* ---- What has just been published ---- */

/*
 * The group of threads that a thread is in: a program may close in one thread and go on in another.
 * @return 0 if there is no such thread any more
 */
static pid_t process_of(pid_t thread)
{
	char path[40], line[128];
	FILE *status;
	int group = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
	status = fopen(path, "re");
	while (status && fgets(line, sizeof(line), status) && sscanf(line, "Tgid: %d", &group) != 1)
		continue;
	if (status)
		fclose(status);
	return group;
}

bool handover_is_same_process(pid_t one, pid_t other)
{
	pid_t process = one == other || !one || !other ? 0 : process_of(other);

	return !process || process == process_of(one);
}

static void remember(struct mount *mount, const struct path *path, pid_t process)
{
	struct recent *recent;

	pthread_mutex_lock(&mount->writing_mutex);
	recent = &mount->recents[mount->oldest_recent];
	mount->oldest_recent = (mount->oldest_recent + 1) % MOUNT_RECENTS;
	*recent = (struct recent){ *path, process, clock_in_seconds(RECENT_SECONDS) };
	pthread_mutex_unlock(&mount->writing_mutex);
}

/* @param process  0: anybody, in the folder at `path` */
static bool has_recent(struct mount *mount, const struct path *path, pid_t process)
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

bool handover_is_recent(struct mount *mount, const struct path *path, pid_t thread)
{
	pid_t process = path_type(path->kind) == S_IFDIR ? 0 : process_of(thread);

	return (process || path_type(path->kind) == S_IFDIR) && has_recent(mount, path, process);
}

/* ---- Versions that are being published ---- */

static struct claim **find_claim(struct mount *mount, const struct path *version)
{
	struct claim **link = &mount->claims;

	while (*link && strcmp((*link)->path.text, version->text) != 0)
		link = &(*link)->next;
	return link;
}

bool handover_is_claimed(struct mount *mount, const struct path *version)
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

/* ---- Chores ---- */

/* Something that is to be published. */
struct publishing {
	struct chore chore;
	struct claim claim; /* `path` is what it is about: a release, or the package of a transaction */
	struct node *node;  /* the file, with a reference; NULL: none */
	pid_t process;
	/** Put the record together, and have it published. */
	int (*publish)(struct publishing *publishing, struct fault *flt);
};

static void free_publishing(struct chore *chore)
{
	struct publishing *publishing = (struct publishing *)chore;

	nodes_unref(chore->mount->nodes, publishing->node);
	free(publishing);
}

/* Files that are published are the registry's now, others their owner's again. */
static void end_giving(struct publishing *publishing, const struct fault *flt)
{
	struct staged *staged = publishing->node->staged;

	pthread_mutex_lock(&staged->mutex);
	staged->stage = flt->verdict ? STAGED_OPEN : STAGED_PUBLISHED;
	staged->chore = NULL;
	staged->outcome = flt->verdict ? errmap_errno(flt) : 0;
	pthread_mutex_unlock(&staged->mutex);
	if (!flt->verdict)
		staged_remove(publishing->chore.mount, publishing->node, NULL);
}

static void tell_end(struct publishing *publishing, const struct fault *flt)
{
	struct mount *mount = publishing->chore.mount;
	struct fault late = {0};

	if (flt->verdict) {
		handover_tell(mount, &publishing->claim.path, flt);
		return;
	}
	remember(mount, &publishing->claim.path, publishing->process);
	tell_success(mount, &publishing->claim.path);
	if (chore_is_awaited(&publishing->chore))
		return;
	fault_undecided(&late, FAULT_CANCELLED, "it was published, though nobody waited for that any more");
	log_fault(mount->log, publishing->claim.path.text, &late);
}

static int run_publishing(struct chore *chore, struct fault *flt)
{
	struct publishing *publishing = (struct publishing *)chore;
	int verdict;

	if (chore_is_awaited(chore))
		verdict = publishing->publish(publishing, flt);
	else
		verdict = fault_undecided(flt, FAULT_CANCELLED, "it is not wanted any more");
	if (publishing->node)
		end_giving(publishing, flt);
	end_claim(chore->mount, &publishing->claim);
	tell_end(publishing, flt);
	return verdict;
}

/* @param node  a reference is taken; NULL: none */
static int new_publishing(struct mount *mount, struct node *node, const struct path *path, pid_t thread,
			  int (*publish)(struct publishing *publishing, struct fault *flt), struct chore **out,
			  struct fault *flt)
{
	struct publishing *publishing = calloc(1, sizeof(*publishing));

	if (!publishing)
		return fault_no_memory(flt);
	publishing->claim.path = *path;
	publishing->process = process_of(thread);
	publishing->publish = publish;
	if (take_claim(mount, &publishing->claim, flt)) {
		free(publishing);
		return flt->verdict;
	}
	if (node)
		nodes_ref(mount->nodes, node);
	publishing->node = node;
	chore_init(&publishing->chore, mount, run_publishing, free_publishing);
	*out = &publishing->chore;
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
	int fd = -1, verdict = staged_open(node, O_RDONLY, &fd, flt);

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

	if (!digest_equals(&result->record_id, &none) &&
	    (flt->kind == FAULT_TIMEOUT || flt->kind == FAULT_UNREACHABLE))
		atomic_store(&mount->has_leftovers, true);
}

static bool is_awaited(void *user)
{
	return chore_is_awaited(user);
}

static int publish(struct chore *chore, const struct pending *pending, struct fault *flt)
{
	struct mount *mount = chore->mount;
	struct publish_result result = {0};
	struct fault own = {0};
	int verdict = publish_submit_while(mount->publisher, pending, PUBLISH_PROVEN, is_awaited, chore, &result, &own);

	if (verdict) {
		look_again(mount, &result, &own);
		*flt = own;
	}
	return verdict;
}

static int submit(struct chore *chore, const struct name *name, const struct pending_entry *entry, struct fault *flt)
{
	struct pending pending;
	int verdict;

	pending_init(&pending, name);
	verdict = pending_add(&pending, entry, flt);
	if (!verdict)
		verdict = publish(chore, &pending, flt);
	pending_release(&pending);
	return verdict;
}

static int publish_release(struct publishing *publishing, struct fault *flt)
{
	struct mount *mount = publishing->chore.mount;
	struct name name = path_package(&publishing->claim.path);
	struct pending_entry entry = { .type = ENTRY_RELEASE };
	struct staging_hold hold;
	int verdict;

	path_version(&publishing->claim.path, entry.version);
	if (staging_take_hold(mount->staging, &hold, flt))
		return flt->verdict;
	verdict = keep(mount, publishing->node, &entry.content, flt);
	if (!verdict)
		verdict = submit(&publishing->chore, &name, &entry, flt);
	staging_end_hold(&hold);
	return verdict;
}

int handover_release(struct mount *mount, struct node *node, const struct path *version, pid_t thread,
		       struct chore **out, struct fault *flt)
{
	return new_publishing(mount, node, version, thread, publish_release, out, flt);
}

static int publish_yank(struct publishing *publishing, struct fault *flt)
{
	struct name name = path_package(&publishing->claim.path);
	struct pending_entry entry = { .type = ENTRY_YANK };

	path_version(&publishing->claim.path, entry.version);
	return submit(&publishing->chore, &name, &entry, flt);
}

int handover_yank(struct mount *mount, const struct path *version, pid_t thread, struct chore **out,
		    struct fault *flt)
{
	return new_publishing(mount, NULL, version, thread, publish_yank, out, flt);
}

/* ---- Transactions ---- */

static int publish_transaction(struct publishing *publishing, struct fault *flt)
{
	struct mount *mount = publishing->chore.mount;
	struct name name = path_package(&publishing->claim.path);
	struct pending pending;
	bool found = false;
	int verdict = pending_load(registry_store(mount->registry), &pending, &found, flt);

	if (verdict)
		return verdict;
	if (!found || strcmp(pending.name.text, name.text) != 0)
		verdict = fault_undecided(flt, FAULT_ABSENT, "no publish of %s is pending", name.text);
	else
		verdict = publish(&publishing->chore, &pending, flt);
	if (found)
		pending_release(&pending);
	return verdict;
}

int handover_submit(struct mount *mount, const struct path *package, pid_t thread, struct chore **out,
		      struct fault *flt)
{
	return new_publishing(mount, NULL, package, thread, publish_transaction, out, flt);
}

static int enlist(struct publishing *publishing, struct fault *flt)
{
	struct mount *mount = publishing->chore.mount;
	struct name name = path_package(&publishing->claim.path);
	struct pending_entry entry = { .type = ENTRY_RELEASE };
	struct staging_hold hold;
	int verdict;

	path_version(&publishing->claim.path, entry.version);
	if (staging_take_hold(mount->staging, &hold, flt))
		return flt->verdict;
	verdict = keep(mount, publishing->node, &entry.content, flt);
	if (!verdict)
		verdict = pending_change(registry_store(mount->registry), &name, &entry, 1, flt);
	staging_end_hold(&hold);
	return verdict;
}

int handover_enlist(struct mount *mount, struct node *node, const struct path *entry, pid_t thread,
		      struct chore **out, struct fault *flt)
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
	handover_tell(user, &package, flt);
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
	if (!is || staged_open(node, O_RDONLY, &fd, NULL))
		return false;
	is = file_hash(fd, &written, NULL) == 0 && digest_equals(&written, &released);
	close(fd);
	return is;
}

static void clear_away(struct mount *mount, const struct staging_file *file)
{
	struct path package = path_of_package(&file->name), path, as_staged;
	struct fault ignored = {0};
	struct node *node = NULL;

	if (!path_child(&package, file->file, &path) || path.kind != PATH_RELEASE)
		return;
	path_as_staged(&path, &as_staged);
	registry_add(mount->registry, &file->name, 1, &ignored);
	if (staged_find(mount, &as_staged, &node, NULL) == 0 && node && is_published(mount, node, &path))
		staged_remove(mount, node, NULL);
	nodes_unref(mount->nodes, node);
}

static int run_resume(struct chore *chore, struct fault *flt)
{
	struct mount *mount = chore->mount;
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

static void free_chore(struct chore *chore)
{
	free(chore);
}

static int resume(struct mount *mount, struct fault *flt)
{
	struct chore *chore = calloc(1, sizeof(*chore));

	if (!chore)
		return fault_no_memory(flt);
	chore_init(chore, mount, run_resume, free_chore);
	chore_begin(chore, NULL);
	chore_unref(chore);
	return 0;
}

void handover_look_again(struct mount *mount)
{
	if (atomic_exchange(&mount->has_leftovers, false))
		resume(mount, NULL);
}

int handover_start(struct mount *mount, struct fault *flt)
{
	const struct mount_publishing *how = &mount->publishing;
	struct publisher_options options = {
		.registry = mount->registry,
		.state_dir = how->state_dir,
		.label = trust_label(registry_trust(mount->registry)),
		.find_key = how->find_key,
		.user = how->user,
		.auto_init = how->auto_init,
		.timeout = mount->options.timeout,
	};
	int verdict = staging_open(how->state_dir, options.label, registry_store(mount->registry), &mount->staging,
				   flt);

	if (!verdict)
		verdict = publisher_open(&options, &mount->publisher, flt);
	if (!verdict)
		verdict = workers_new(CAP_PUBLISHES, &mount->chores, flt);
	return verdict ? verdict : resume(mount, flt);
}

void handover_stop(struct mount *mount)
{
	publisher_stop(mount->publisher);
	workers_free(mount->chores);
	publisher_close(mount->publisher);
	mount->chores = NULL;
	mount->publisher = NULL;
}

void handover_end(struct mount *mount)
{
	staging_close(mount->staging);
}

/* ---- What is known beforehand ---- */

/* Whether there is a key, and what it may do. */
struct permit {
	struct chore chore;
	struct name name;
};

static int check_key(const struct permit *permit, const struct digest *key_id, struct fault *flt)
{
	struct view *view = registry_view(permit->chore.mount->registry);
	const struct view_package *package = view_find(view, &permit->name);
	const struct log_keys *keys = package ? package_log_keys(package->log) : NULL;
	const struct log_key *key = keys ? log_keys_find(keys, key_id) : NULL;
	bool may = !package || (key && (key->permissions & PERMISSION_RELEASE));
	char id[DIGEST_TEXT_SIZE];

	view_unref(view);
	digest_format(key_id, id);
	return may ? 0 : fault_undecided(flt, FAULT_DENIED, "the key %s may not release versions of %.100s", id,
					 permit->name.text);
}

static int run_permit(struct chore *chore, struct fault *flt)
{
	struct permit *permit = (struct permit *)chore;
	struct ecdsa_private_key *key = NULL;
	const struct mount_publishing *publishing = &chore->mount->publishing;
	int verdict = publishing->find_key(publishing->user, &key, flt);

	if (!verdict)
		verdict = check_key(permit, ecdsa_public_key_id(ecdsa_private_key_public(key)), flt);
	ecdsa_private_key_free(key);
	return verdict;
}

static struct chore *new_permit(struct mount *mount, const struct name *name)
{
	struct permit *permit = calloc(1, sizeof(*permit));

	if (!permit)
		return NULL;
	permit->name = *name;
	chore_init(&permit->chore, mount, run_permit, free_chore);
	return &permit->chore;
}

/* What the operator says of a namespace may be news: before it is denied the newest checkpoint is looked at. */
bool handover_allows_namespace(struct request *request, const struct path *path)
{
	struct view *view = registry_view(request->mount->registry);
	struct span namespace = path_namespace(path);
	bool is_known = view->operator;
	const struct operator_namespace *defined = is_known ? operator_log_find(view->operator, namespace) : NULL;
	bool is_here = defined && !defined->registry, is_imported = defined && defined->registry;

	view_unref(view);
	if (request->is_elsewhere || is_imported)
		fail(request, path, FAULT_REFUSED, "its namespace lives in another registry: mount that one for it");
	else if (is_known && !is_here && !request_has_wanted(request, REQUEST_REFRESH))
		request_want_refresh(request);
	else if (is_known && !is_here)
		fail(request, path, FAULT_REFUSED, "the registry's operator has not defined its namespace");
	else
		return true;
	return false;
}

/* A version that is taken, here or there. */
static bool is_taken(struct request *request, const struct view *view, const struct path *version)
{
	const struct package_release *release = tree_release(view, version);

	if (release && release->yanked)
		fail(request, version, FAULT_EXISTS, "this version was released and yanked: it never comes again");
	else if (release)
		fail(request, version, FAULT_EXISTS, "this version is released already");
	else if (handover_is_claimed(request->mount, version))
		fail(request, version, FAULT_EXISTS, "this version is being published already");
	else
		return false;
	return true;
}

/* The package's log says what is taken, and who may. One that is not there yet has none. */
static bool knows_package(struct request *request, const struct view *view, const struct name *name)
{
	enum tree_answer answer = tree_has_package(view, name);

	if (view_find(view, name) || answer == TREE_NO)
		return true;
	if (!request_has_wanted(request, REQUEST_PACKAGE))
		request_want_package(request, name);
	else if (!request_has_wanted(request, REQUEST_PERMIT) && request->fault.verdict &&
		 request->fault.kind != FAULT_ABSENT)
		request_fail_with(request, &request->fault);
	else
		return true;
	return false;
}

static bool has_permit(struct request *request, const struct path *version, const struct name *name)
{
	struct fault flt = request->fault;

	if (!request_has_wanted(request, REQUEST_PERMIT)) {
		request_want_chore(request, REQUEST_PERMIT, new_permit(request->mount, name));
		return false;
	}
	if (!flt.verdict)
		return true;
	handover_tell(request->mount, version, &flt);
	request_fail(request, errmap_errno(&flt));
	return false;
}

bool handover_allows(struct request *request, const struct path *version)
{
	struct name name = path_package(version);
	struct view *view;
	bool goes_on;

	if (!handover_allows_namespace(request, version))
		return false;
	view = registry_view(request->registry);
	goes_on = !is_taken(request, view, version) && knows_package(request, view, &name);
	view_unref(view);
	return goes_on && has_permit(request, version, &name);
}
