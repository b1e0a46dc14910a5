/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A mount from its beginning to its end (see mount.h).
 */
#include "mount_parts.h"

#include "federated.h"
#include "open_contents.h"
#include "request_loop.h"
#include "mount.h"
#include "fuse_init.h"
#include "invalidation.h"
#include "operations.h"
#include "publishing.h"
#include "links.h"
#include "refusals.h"
#include "status.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int mount_new(const struct mount_options *options, const struct digest *inode_key,
	      const struct mount_publishing *publishing, struct mount **out, struct fault *flt)
{
	struct mount *mount = calloc(1, sizeof(*mount));
	int verdict;

	if (!mount)
		return fault_no_memory(flt);
	mount->options = *options;
	if (options->only_root)
		mount->options.umask |= S_IRWXG | S_IRWXO;
	if (options->writable)
		mount->publishing = *publishing;
	mount->watch = -1;
	atomic_init(&mount->has_elsewhere, true);
	pthread_mutex_init(&mount->elsewhere_mutex, NULL);
	pthread_mutex_init(&mount->handles_mutex, NULL);
	pthread_mutex_init(&mount->writing_mutex, NULL);
	mount->device = -1;
	mount->end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	mount->refresh = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	verdict = mount->end < 0 || mount->refresh < 0 ? fault_system(flt, errno, "an event cannot be had") : 0;
	if (!verdict)
		verdict = log_new("wargfs", &mount->log, flt);
	if (!verdict)
		verdict = nodes_new(inode_key, &mount->nodes, flt);
	if (!verdict)
		verdict = refusals_new(&mount->refusals, flt);
	if (!verdict)
		verdict = links_new(&mount->links, flt);
	if (!verdict)
		verdict = open_contents_new(&mount->open_contents, flt);
	if (!verdict)
		verdict = invalidation_new(mount, &mount->invalidation, flt);
	if (verdict) {
		mount_free(mount);
		return verdict;
	}
	*out = mount;
	return 0;
}

void mount_changed(void *user, const struct view *before, const struct view *after)
{
	struct mount *mount = user;

	if (before->operator != after->operator)
		federated_operator_changed(mount);
	invalidation_changed(mount->invalidation, before, after);
	publishing_look_again(mount);
}

bool mount_needs(void *user, const struct name *package)
{
	const struct mount *mount = user;

	return nodes_have_package(mount->nodes, package);
}

void mount_failed(void *user, const struct fault *flt)
{
	struct mount *mount = user;

	metrics_add(&mount->metrics.faults[flt->kind], 1);
	log_fault(mount->log, "", flt);
}

void mount_note(struct mount *mount, const char *sentence)
{
	log_note(mount->log, sentence);
}

int mount_configure_registry(void *host, const char *domain, struct registry_options *options, struct fault *flt)
{
	return federated_configure_registry(host, domain, options, flt);
}

/* Somebody who did not want to wait is no news. */
void mount_tell(struct mount *mount, struct node *node, const struct fault *flt)
{
	char sentence[FAULT_SENTENCE_SIZE];

	metrics_add(&mount->metrics.faults[flt->kind], 1);
	if (flt->kind == FAULT_CANCELLED)
		return;
	fault_sentence(flt, sentence);
	nodes_set_error(mount->nodes, node, sentence);
	log_fault(mount->log, node->text, flt);
}

/* libfuse's own words, which otherwise would go to stderr, where nobody may read. */
/* The least number of the descriptor that is closed last; with fewer allowed there is none. */
#define LAST_DESCRIPTOR 200

static struct mount *talks;

static void take_words(enum fuse_log_level level, const char *format, va_list arguments)
{
	struct fault flt = {0};
	char words[200];

	if (!talks)
		return;
	if (level > FUSE_LOG_WARNING) {
		if (talks->options.debug)
			vfprintf(stderr, format, arguments);
		return;
	}
	vsnprintf(words, sizeof(words), format, arguments);
	words[strcspn(words, "\n")] = 0;
	fault_undecided(&flt, FAULT_MISUSE, "%s", words);
	fault_blame(&flt, FAULT_BY_SYSTEM);
	log_fault(talks->log, "", &flt);
}

static int open_session(struct mount *mount, struct fault *flt)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	const char *given = mount->options.fsname ? mount->options.fsname : mount->options.source;
	const char *source = given ? given : registry_url(mount_registry(mount, NULL))->text;
	struct buf passed = mount->options.passed;
	char *words = NULL;
	int failed = fuse_opt_add_opt(&words, mount->options.writable ? "rw,default_permissions,subtype=wargfs" :
									"ro,default_permissions,subtype=wargfs");

	if (!failed && asprintf(&mount->source, "fsname=%s", source) < 0) {
		mount->source = NULL;
		failed = -1;
	}
	failed = failed || fuse_opt_add_opt_escaped(&words, mount->source) || fuse_opt_add_arg(&args, "wargfs") ||
		 fuse_opt_add_arg(&args, "-o") || fuse_opt_add_arg(&args, words);
	if (!failed && passed.length) {
		char *more = strndup((const char *)passed.data + 1, passed.length - 1);

		failed = !more || fuse_opt_add_arg(&args, "-o") || fuse_opt_add_arg(&args, more);
		free(more);
	}
	if (!failed)
		mount->session = fuse_session_new(&args, &operations, sizeof(operations), mount);
	free(words);
	fuse_opt_free_args(&args);
	return mount->session ? 0 : fault_no_memory(flt);
}

/*
 * With auto_unmount, fusermount3 has a socket of this process: once that is closed, it unmounts what is dead by then. A
 * process that is killed closes its descriptors from the lowest to the highest, and Linux gives up the last one first.
 * So the kernel's device has one more descriptor, behind the socket. Without it, fusermount3 may come too early.
 */
static void hold_device(struct mount *mount)
{
	mount->device = fcntl(fuse_session_fd(mount->session), F_DUPFD_CLOEXEC, LAST_DESCRIPTOR);
}

int mount_start(struct mount *mount, struct federation *federation, const char *folder, int socket,
		struct fault *flt)
{
	int verdict;

	mount->federation = federation;
	mount->registry = federation_home(federation);
	mount->started_at = clock_now();
	mount->folder = strdup(folder);
	talks = mount;
	fuse_set_log_func(take_words);
	verdict = mount->folder ? 0 : fault_no_memory(flt);
	if (!verdict && mount->options.writable)
		verdict = publishing_start(mount, flt);
	if (!verdict)
		verdict = open_session(mount, flt);
	if (!verdict && fuse_session_mount(mount->session, folder))
		verdict = fault_system(flt, errno ? errno : EIO, "%.150s cannot be mounted on", folder);
	if (!verdict)
		hold_device(mount);
	if (!verdict)
		verdict = fuse_init_complete(mount->session, flt);
	if (!verdict)
		verdict = invalidation_start(mount->invalidation, flt);
	if (!verdict)
		verdict = request_loop_start(mount->session, mount->end, &mount->loop, flt);
	if (verdict || socket < 0) {
		if (socket >= 0)
			close(socket);
		return verdict;
	}
	return status_start(mount, socket, &mount->status, flt);
}

void mount_go_quiet(struct mount *mount)
{
	log_to_syslog(mount->log);
}

void mount_refresh_soon(struct mount *mount)
{
	struct registry *registries[CAP_REGISTRIES + 1];
	size_t count = federation_registries(mount->federation, registries);

	for (size_t i = 0; i < count; i++)
		registry_refresh_soon(registries[i]);
}

void mount_run(struct mount *mount)
{
	struct pollfd watched[] = {{.fd = mount->end, .events = POLLIN},
				   {.fd = mount->refresh, .events = POLLIN},
				   {.fd = federated_watch(mount), .events = POLLIN}};
	eventfd_t count;

	while (!watched[0].revents) {
		if (poll(watched, 3, OPEN_CONTENTS_SECONDS * 1000) < 0) {
			if (errno != EINTR)
				return;
			continue;
		}
		open_contents_let_go(mount->open_contents, clock_now());
		if (watched[1].revents && eventfd_read(mount->refresh, &count) == 0)
			mount_refresh_soon(mount);
		if (watched[2].revents)
			federated_look(mount);
	}
}

/* From a signal handler, too: nothing but a write, and errno stays. */
static void ring(int event)
{
	int saved = errno;

	eventfd_write(event, 1);
	errno = saved;
}

void mount_end(struct mount *mount)
{
	ring(mount->end);
}

void mount_refresh(struct mount *mount)
{
	ring(mount->refresh);
}

/* The invalidation thread first: the kernel lets it wait for requests that are being answered. */
void mount_stop(struct mount *mount)
{
	invalidation_stop(mount->invalidation);
	federated_stop(mount);
	request_loop_join(mount->loop);
	publishing_stop(mount);
	status_stop(mount->status);
	mount->loop = NULL;
	mount->status = NULL;
}

void mount_free(struct mount *mount)
{
	if (!mount)
		return;
	mount_stop(mount);
	if (mount->session) {
		fuse_session_exit(mount->session);
		fuse_session_unmount(mount->session);
		if (mount->device >= 0)
			close(mount->device);
		fuse_session_destroy(mount->session);
	}
	fuse_set_log_func(NULL);
	talks = NULL;
	invalidation_free(mount->invalidation);
	federated_release(mount);
	pthread_mutex_destroy(&mount->elsewhere_mutex);
	handles_end(mount);
	pthread_mutex_destroy(&mount->handles_mutex);
	nodes_free(mount->nodes);
	publishing_end(mount);
	pthread_mutex_destroy(&mount->writing_mutex);
	open_contents_free(mount->open_contents);
	refusals_free(mount->refusals);
	links_free(mount->links);
	log_free(mount->log);
	free(mount->folder);
	free(mount->source);
	if (mount->end >= 0)
		close(mount->end);
	if (mount->refresh >= 0)
		close(mount->refresh);
	free(mount);
}
