/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The invalidation thread (see invalidation thread.h).
 */
#include "invalidation.h"

#include "client/base/thread.h"
#include "tree.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A view that took the place of another; a namespace that lives in another registry now; or a descriptor that is to be
 * closed after the changes before it.
 */
struct change {
	struct change *next;
	struct view *before, *after; /* NULL: it is not about views */
	char *namespace; /* NULL: nor about this */
	int fd; /* -1: none */
};

struct invalidation {
	struct mount *mount;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct change *first, *last; /* what is to be told, in order */
	bool running;

	/* The thread's own: the last view told of whose listing was complete, so that absences were told from it. */
	struct view *complete;
};

/* ---- What is told ---- */

static void forget_attributes(struct mount *mount, const struct path *path)
{
	struct node *node = nodes_find_path(mount->nodes, path, NULL);

	if (node)
		fuse_lowlevel_notify_inval_inode(mount->session, node->number, -1, 0);
	nodes_unref(mount->nodes, node);
}

/* Whether the kernel keeps that it is there, or that it is not. */
static void forget_name(struct mount *mount, const struct path *path)
{
	struct path folder = path_parent(path);
	struct node *node = nodes_find_path(mount->nodes, &folder, NULL);
	const char *name = path_name(path);

	if (node)
		fuse_lowlevel_notify_inval_entry(mount->session, node->number, name, strlen(name));
	nodes_unref(mount->nodes, node);
}

/*
 * Whether the kernel keeps names that may come, and links: not in a mount that is written to (lookup.c). There a
 * program holds the folder's lock from rename() until the release is published. To tell of a name would wait for that
 * lock, and if the daemon were killed meanwhile, both would wait for each other, beyond any signal.
 */
static bool are_names_kept(const struct mount *mount)
{
	return !mount->options.writable;
}

static void forget_name_of(struct mount *mount, enum path_kind kind, const struct name *name)
{
	struct path path;

	if (path_of(kind, name, &path))
		forget_name(mount, &path);
}

/*
 * The times of folders that are of no namespace, if `name` is NULL; else of all that are of the package's, and of
 * whatever stands for the package.
 */
static void forget_times(struct mount *mount, const struct name *name)
{
	struct path path;

	for (enum path_kind kind = PATH_ROOT; kind < PATH_KINDS; kind++) {
		if ((path_type(kind) == S_IFDIR || path_is_called_package(kind)) &&
		    path_has_namespace(kind) == (name != NULL) && path_of(kind, name, &path))
			forget_attributes(mount, &path);
	}
}

/* Invalidate namespace folders, too: another package may have the newest record now. */
static void forget_times_of_namespaces(struct mount *mount)
{
	for (enum path_kind kind = PATH_ROOT; kind < PATH_KINDS; kind++) {
		struct node **nodes = NULL;
		size_t count = path_is_called_namespace(kind) ? nodes_collect(mount->nodes, kind, &nodes) : 0;

		for (size_t i = 0; i < count; i++) {
			fuse_lowlevel_notify_inval_inode(mount->session, nodes[i]->number, -1, 0);
			nodes_unref(mount->nodes, nodes[i]);
		}
		free(nodes);
	}
}

/* ---- A package ---- */

static void forget_version(struct mount *mount, const struct name *name, struct span version)
{
	struct path path;

	for (enum path_kind kind = PATH_ROOT; kind < PATH_KINDS; kind++) {
		if (path_is_called_version(kind) && path_of(path_folder(kind), name, &path) &&
		    path_join(&path, kind, version, &path))
			forget_name(mount, &path);
	}
}

/* Versions that are new, yanked, or gone. */
static void forget_versions(struct mount *mount, const struct name *name, const struct package_log *before,
			    const struct package_log *after)
{
	size_t count;
	const struct package_release *releases = package_log_releases(after, &count);

	for (size_t i = 0; i < count; i++) {
		struct span version = span_of_text(releases[i].version);
		const struct package_release *known = package_log_find(before, version);

		if (known ? !known->yank != !releases[i].yank : are_names_kept(mount))
			forget_version(mount, name, version);
	}
	releases = package_log_releases(before, &count);
	for (size_t i = 0; i < count; i++) {
		struct span version = span_of_text(releases[i].version);

		if (!package_log_find(after, version))
			forget_version(mount, name, version);
	}
}

static bool same_version(const struct package_release *a, const struct package_release *b)
{
	return a && b ? strcmp(a->version, b->version) == 0 : a == b;
}

/* Links that lead elsewhere now. Before the log was known, its link in /.latest may have been shown in good faith. */
static void forget_links(struct mount *mount, const struct name *name, const struct package_log *before,
			 const struct package_log *after)
{
	const struct package_release *best = package_log_best(after, NULL);
	const struct package_release *known = before ? package_log_best(before, NULL) : NULL;
	struct path path;

	if (are_names_kept(mount) && (before ? !known != !best : !best))
		forget_name_of(mount, PATH_LINK, name);
	if (before && !same_version(known, best)) {
		if (are_names_kept(mount))
			forget_name_of(mount, PATH_LATEST, name);
		if (path_of(PATH_LATEST, name, &path))
			forget_attributes(mount, &path);
	}
}

static void tell_package(struct mount *mount, const struct view_package *before, const struct view_package *after)
{
	const struct name of_package = view_package_name(after), *name = &of_package;

	forget_times(mount, name);
	if (before && before->log == after->log)
		return;
	forget_links(mount, name, before ? before->log : NULL, after->log);
	if (before)
		forget_versions(mount, name, before->log, after->log);
}

/* Requirements are met by names that nobody can count: those that the kernel knows have nodes. */
static void tell_requirements(struct mount *mount, const struct view *before, const struct view *after)
{
	struct node **nodes;
	size_t count = nodes_collect(mount->nodes, PATH_REQUIREMENT, &nodes);

	for (size_t i = 0; i < count; i++) {
		struct path path = node_path(nodes[i]);

		if (!same_version(tree_release(before, &path), tree_release(after, &path))) {
			if (are_names_kept(mount))
				forget_name(mount, &path);
			forget_attributes(mount, &path);
		}
		nodes_unref(mount->nodes, nodes[i]);
	}
	free(nodes);
}

/* ---- Names that came into being, where the kernel may keep that they are absent ---- */

static void tell_new_namespace(struct mount *mount, struct span namespace)
{
	struct path path;

	for (enum path_kind kind = PATH_ROOT; kind < PATH_KINDS; kind++) {
		if (path_is_called_namespace(kind) && path_of(path_folder(kind), NULL, &path) &&
		    path_join(&path, kind, namespace, &path))
			forget_name(mount, &path);
	}
}

static void tell_new_package(struct mount *mount, const struct view *complete, const struct name *name)
{
	if (tree_has_namespace(complete, name_namespace(name)) == TREE_NO)
		tell_new_namespace(mount, name_namespace(name));
	for (enum path_kind kind = PATH_ROOT; kind < PATH_KINDS; kind++) {
		if (path_is_called_package(kind))
			forget_name_of(mount, kind, name);
	}
}

/* Both listings are sorted: one walk over both. */
static void tell_new_listed(struct mount *mount, const struct view *complete, const struct listing *after)
{
	const struct listing *before = complete->listing;
	size_t known = 0;

	for (size_t i = 0; i < after->names.count; i++) {
		const char *text = name_list_text(&after->names, i);
		struct name name;

		while (known < before->names.count && strcmp(name_list_text(&before->names, known), text) < 0)
			known++;
		if (known < before->names.count && !strcmp(name_list_text(&before->names, known), text))
			continue;
		name = name_list_at(&after->names, i);
		tell_new_package(mount, complete, &name);
	}
}

/** Where news of packages go. */
struct news {
	struct mount *mount;
	const struct view *complete; /* for packages that came into being */
};

static int tell_if_new(void *user, const struct view_package *known, const struct view_package *package)
{
	const struct name name = view_package_name(package);
	const struct news *news = user;

	if (!known && tree_has_package(news->complete, &name) == TREE_NO)
		tell_new_package(news->mount, news->complete, &name);
	return 0;
}

static void tell_new_names(struct mount *mount, const struct view *complete, const struct view *after)
{
	size_t count = 0;
	const struct operator_namespace *namespaces =
		after->operator ? operator_log_namespaces(after->operator, &count) : NULL;

	for (size_t i = 0; after->operator != complete->operator && i < count; i++) {
		struct span name = span_of_text(namespaces[i].name);

		if (tree_has_namespace(complete, name) == TREE_NO)
			tell_new_namespace(mount, name);
	}
	view_trie_each_changed(&complete->packages, &after->packages, tell_if_new,
			       &(struct news){.mount = mount, .complete = complete});
	if (after->listing && after->listing != complete->listing)
		tell_new_listed(mount, complete, after->listing);
}

/* ---- A change ---- */

static void remember_complete(struct invalidation *invalidation, struct view *view)
{
	if (!view->listing || !view->listing->complete)
		return;
	view_unref(invalidation->complete);
	invalidation->complete = view_ref(view);
}

static int tell_change(void *user, const struct view_package *known, const struct view_package *package)
{
	tell_package(user, known, package);
	return 0;
}

static void tell(struct invalidation *invalidation, struct view *before, struct view *after)
{
	struct mount *mount = invalidation->mount;

	remember_complete(invalidation, before);
	view_trie_each_changed(&before->packages, &after->packages, tell_change, mount);
	tell_requirements(mount, before, after);
	if (invalidation->complete && are_names_kept(mount))
		tell_new_names(mount, invalidation->complete, after);
	forget_times(mount, NULL);
	if (before->listing != after->listing)
		forget_times_of_namespaces(mount);
	/* Not only the one before the next change: packages that were let go would stay for its sake. */
	remember_complete(invalidation, after);
}

/* The kernel drops with a folder's name what it keeps of its inside. */
static void tell_namespace(struct mount *mount, const char *namespace)
{
	tell_new_namespace(mount, span_of_text(namespace));
	forget_times(mount, NULL);
}

/* ---- The thread ---- */

static void change_free(struct change *change)
{
	view_unref(change->before);
	view_unref(change->after);
	free(change->namespace);
	if (change->fd >= 0)
		close(change->fd);
	free(change);
}

static struct change *change_new(void)
{
	struct change *change = calloc(1, sizeof(*change));

	if (change)
		change->fd = -1;
	return change;
}

/* @return NULL when there will be no more */
static struct change *take(struct invalidation *invalidation)
{
	struct change *change;

	pthread_mutex_lock(&invalidation->mutex);
	while (!invalidation->first && invalidation->running)
		pthread_cond_wait(&invalidation->changed, &invalidation->mutex);
	change = invalidation->running ? invalidation->first : NULL;
	if (change)
		invalidation->first = change->next;
	if (!invalidation->first)
		invalidation->last = NULL;
	pthread_mutex_unlock(&invalidation->mutex);
	return change;
}

static void *run(void *argument)
{
	struct invalidation *invalidation = argument;
	struct change *change;

	while ((change = take(invalidation))) {
		if (change->namespace)
			tell_namespace(invalidation->mount, change->namespace);
		else if (change->after)
			tell(invalidation, change->before, change->after);
		change_free(change);
	}
	return NULL;
}

int invalidation_new(struct mount *mount, struct invalidation **out, struct fault *flt)
{
	struct invalidation *invalidation = calloc(1, sizeof(*invalidation));

	if (!invalidation)
		return fault_no_memory(flt);
	invalidation->mount = mount;
	pthread_mutex_init(&invalidation->mutex, NULL);
	pthread_cond_init(&invalidation->changed, NULL);
	*out = invalidation;
	return 0;
}

int invalidation_start(struct invalidation *invalidation, struct fault *flt)
{
	int error;

	pthread_mutex_lock(&invalidation->mutex);
	error = thread_start(&invalidation->thread, run, invalidation);
	invalidation->running = !error;
	pthread_mutex_unlock(&invalidation->mutex);
	return error ? fault_system(flt, error, "the thread that talks to the kernel cannot be started") : 0;
}

/* The view behind the pointer is counted; the callback promises not to change it. */
static struct view *keep(const struct view *view)
{
	return view_ref((struct view *)(uintptr_t)view);
}

/* @param user  the view that comes after */
static int is_new_and_replaced(void *user, const struct view_package *known, const struct view_package *package)
{
	const struct view *after = user;

	return !known && view_trie_find(&after->packages, &package->log_id) != package;
}

/*
 * Whether both changes can be told as one: nothing that came with the first one, and that the kernel may have learned
 * of, was changed by the second.
 */
static bool can_be_one(const struct change *change, const struct view *after)
{
	const struct listing *before = change->before->listing;
	const struct view *between = change->after;

	if (between->listing && between->listing != after->listing &&
	    (!before || (between->listing->complete && !before->complete)))
		return false;
	return !view_trie_each_changed(&change->before->packages, &between->packages, is_new_and_replaced,
				       (void *)(uintptr_t)after);
}

/* Takes over the change. */
static void append(struct invalidation *invalidation, struct change *change)
{
	if (invalidation->last)
		invalidation->last->next = change;
	else
		invalidation->first = change;
	invalidation->last = change;
}

static void append_views(struct invalidation *invalidation, const struct view *before, const struct view *after)
{
	struct change *change = change_new();

	if (!change)
		return;
	change->before = keep(before);
	change->after = keep(after);
	append(invalidation, change);
}

void invalidation_changed(struct invalidation *invalidation, const struct view *before, const struct view *after)
{
	pthread_mutex_lock(&invalidation->mutex);
	if (invalidation->running && invalidation->last && invalidation->last->after &&
	    can_be_one(invalidation->last, after)) {
		view_unref(invalidation->last->after);
		invalidation->last->after = keep(after);
	} else if (invalidation->running) {
		append_views(invalidation, before, after);
	}
	pthread_cond_signal(&invalidation->changed);
	pthread_mutex_unlock(&invalidation->mutex);
}

void invalidation_namespace_changed(struct invalidation *invalidation, const char *namespace)
{
	struct change *change = change_new();

	if (!change)
		return;
	change->namespace = strdup(namespace);
	pthread_mutex_lock(&invalidation->mutex);
	if (invalidation->running && change->namespace)
		append(invalidation, change);
	else
		change_free(change);
	pthread_cond_signal(&invalidation->changed);
	pthread_mutex_unlock(&invalidation->mutex);
}

void invalidation_close(struct invalidation *invalidation, int fd)
{
	struct change *change = change_new();

	if (!change) {
		close(fd);
		return;
	}
	change->fd = fd;
	pthread_mutex_lock(&invalidation->mutex);
	if (invalidation->running)
		append(invalidation, change);
	else
		change_free(change);
	pthread_cond_signal(&invalidation->changed);
	pthread_mutex_unlock(&invalidation->mutex);
}

void invalidation_stop(struct invalidation *invalidation)
{
	bool was_running;

	if (!invalidation)
		return;
	pthread_mutex_lock(&invalidation->mutex);
	was_running = invalidation->running;
	invalidation->running = false;
	pthread_cond_signal(&invalidation->changed);
	pthread_mutex_unlock(&invalidation->mutex);
	if (was_running)
		pthread_join(invalidation->thread, NULL);
}

void invalidation_free(struct invalidation *invalidation)
{
	if (!invalidation)
		return;
	invalidation_stop(invalidation);
	for (struct change *change = invalidation->first, *next; change; change = next) {
		next = change->next;
		change_free(change);
	}
	view_unref(invalidation->complete);
	pthread_cond_destroy(&invalidation->changed);
	pthread_mutex_destroy(&invalidation->mutex);
	free(invalidation);
}
