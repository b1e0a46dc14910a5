/*
 * The notifier (see notifier.h).
 */
#include "notifier.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct notifier {
	struct mount *mount;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct view *before, *after; /* what is to be told; NULL: nothing */
	bool running;
};

static void forget_attributes(struct mount *mount, const struct path *path)
{
	struct node *node = nodes_find_path(mount->nodes, path, NULL);

	if (node)
		fuse_lowlevel_notify_inval_inode(mount->session, node->number, -1, 0);
	nodes_unref(mount->nodes, node);
}

static void forget_name(struct mount *mount, const struct path *folder, const char *name)
{
	struct node *node = nodes_find_path(mount->nodes, folder, NULL);

	if (node)
		fuse_lowlevel_notify_inval_entry(mount->session, node->number, name, strlen(name));
	nodes_unref(mount->nodes, node);
}

static void forget_yanked(struct mount *mount, const struct path *folder, const struct package_log *before,
			  const struct package_log *after)
{
	size_t count;
	const struct package_release *releases = package_log_releases(before, &count);

	for (size_t i = 0; i < count; i++) {
		const struct package_release *now = package_log_find(after, span_of_text(releases[i].version));
		char name[PATH_FILE_NAME_SIZE];

		if (releases[i].yanked || (now && !now->yanked))
			continue;
		path_file_name(releases[i].version, name);
		forget_name(mount, folder, name);
	}
}

static bool same_version(const struct package_release *a, const struct package_release *b)
{
	return a && b ? strcmp(a->version, b->version) == 0 : a == b;
}

static struct path path_of(const struct name *name)
{
	struct path path = { .kind = PATH_PACKAGE };

	memcpy(path.text, name->text, strlen(name->text));
	path.text[name->colon] = '/';
	return path;
}

static void tell_package(struct mount *mount, const struct view_package *before, const struct view_package *after)
{
	struct path folder = path_of(&after->name), namespace = path_parent(&folder), latest;

	forget_attributes(mount, &folder);
	forget_attributes(mount, &namespace);
	if (!before || before->log == after->log)
		return;
	forget_yanked(mount, &folder, before->log, after->log);
	if (!same_version(package_log_best(before->log, NULL), package_log_best(after->log, NULL))) {
		path_child(&folder, PATH_LATEST_NAME, &latest);
		forget_name(mount, &folder, PATH_LATEST_NAME);
		forget_attributes(mount, &latest);
	}
}

/* Packages of both views are sorted by name, and none is ever taken out. */
static void tell(struct mount *mount, const struct view *before, const struct view *after)
{
	struct path root = path_root();

	for (size_t i = 0; i < after->package_count; i++) {
		const struct view_package *known = view_find(before, &after->packages[i]->name);

		if (known != after->packages[i])
			tell_package(mount, known, after->packages[i]);
	}
	forget_attributes(mount, &root);
}

/* @return false when there will be no more */
static bool take(struct notifier *notifier, struct view **before, struct view **after)
{
	bool go_on;

	pthread_mutex_lock(&notifier->mutex);
	while (!notifier->after && notifier->running)
		pthread_cond_wait(&notifier->changed, &notifier->mutex);
	go_on = notifier->running;
	*before = notifier->before;
	*after = notifier->after;
	notifier->before = notifier->after = NULL;
	pthread_mutex_unlock(&notifier->mutex);
	return go_on;
}

static void *run(void *argument)
{
	struct notifier *notifier = argument;
	struct view *before, *after;
	bool go_on = true;

	while (go_on) {
		go_on = take(notifier, &before, &after);
		if (go_on)
			tell(notifier->mount, before, after);
		view_unref(before);
		view_unref(after);
	}
	return NULL;
}

int notifier_new(struct mount *mount, struct notifier **out, struct fault *flt)
{
	struct notifier *notifier = calloc(1, sizeof(*notifier));

	if (!notifier)
		return fault_no_memory(flt);
	notifier->mount = mount;
	pthread_mutex_init(&notifier->mutex, NULL);
	pthread_cond_init(&notifier->changed, NULL);
	*out = notifier;
	return 0;
}

int notifier_start(struct notifier *notifier, struct fault *flt)
{
	int error;

	pthread_mutex_lock(&notifier->mutex);
	error = pthread_create(&notifier->thread, NULL, run, notifier);
	notifier->running = !error;
	pthread_mutex_unlock(&notifier->mutex);
	return error ? fault_system(flt, error, "the thread that talks to the kernel cannot be started") : 0;
}

/* The view behind the pointer is counted; the callback promises not to change it. */
static struct view *keep(const struct view *view)
{
	return view_ref((struct view *)(uintptr_t)view);
}

void notifier_changed(struct notifier *notifier, const struct view *before, const struct view *after)
{
	pthread_mutex_lock(&notifier->mutex);
	if (notifier->running) {
		if (!notifier->before)
			notifier->before = keep(before);
		view_unref(notifier->after);
		notifier->after = keep(after);
		pthread_cond_signal(&notifier->changed);
	}
	pthread_mutex_unlock(&notifier->mutex);
}

void notifier_stop(struct notifier *notifier)
{
	bool was_running;

	if (!notifier)
		return;
	pthread_mutex_lock(&notifier->mutex);
	was_running = notifier->running;
	notifier->running = false;
	pthread_cond_signal(&notifier->changed);
	pthread_mutex_unlock(&notifier->mutex);
	if (was_running)
		pthread_join(notifier->thread, NULL);
}

void notifier_free(struct notifier *notifier)
{
	if (!notifier)
		return;
	notifier_stop(notifier);
	pthread_cond_destroy(&notifier->changed);
	pthread_mutex_destroy(&notifier->mutex);
	free(notifier);
}
