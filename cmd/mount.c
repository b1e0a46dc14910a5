/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs mount: shows a registry as a folder.
 *
 * What can be wrong is looked at in the order of what it costs: the words, the folder, the network. To go to the
 * background the process forks before any thread starts; the one in front waits for the verdict of the other.
 */
#include "commands.h"
#include "client/base/file.h"
#include "client/user/keyring.h"
#include "covering.h"
#include "daemon.h"
#include "fs/mount.h"
#include "dead_mount.h"
#include "output.h"
#include "process.h"
#include "progress.h"
#include "service_manager.h"
#include "session.h"
#include "sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAMESPACES 64 /* on one command line */

enum { KEY_LOCAL = 300, KEY_NAMESPACE };

static const struct options_entry entries[] = {
	{'f', "foreground", NULL, "stay in the foreground, and log to the standard error"},
	{'o', "options", "WORDS", "mount options, with commas between them"},
	{KEY_LOCAL, "local", "DIR", "mount the registry in a folder, and begin it if there is none"},
	{KEY_NAMESPACE, "namespace", "NAME", "with --local: a namespace that it is to have, local unless given; may be "
					     "repeated"},
	{0}
};

/* A mount in the making, from front to back. */
struct task {
	const struct command *command;
	struct options options;
	struct mount_options mount_options;
	bool foreground;
	const char *local;    /* the folder of a registry; NULL: none */
	char *local_source;   /* what is shown as mounted then */
	struct operator_wish namespaces[NAMESPACES];
	size_t namespace_count;
	char *folder;         /* absolute */
	char *former_source;  /* with -o remount: what the mount before shows as mounted */
	struct session session;
	struct mount *mount;
	int verdict_pipe;     /* -1: nobody waits in front */
	int sockets;          /* the folder of sockets; -1: none */
	char socket_name[SOCKETS_NAME_SIZE];
};

static int take(void *user, int key, const char *value, struct fault *flt)
{
	struct task *task = user;

	switch (key) {
	case 'o':
		return mount_options_parse(&task->mount_options, value, flt);
	case KEY_LOCAL:
		task->local = value;
		return 0;
	case KEY_NAMESPACE:
		if (task->namespace_count == NAMESPACES)
			return fault_undecided(flt, FAULT_MISUSE, "more than %d namespaces at a time", NAMESPACES);
		task->namespaces[task->namespace_count++] = (struct operator_wish){.name = value};
		return 0;
	default:
		task->foreground = true;
		return 0;
	}
}

/* @param url  as typed; NULL: that of --registry, or the configured one */
static const char *folder_of_registry(const struct task *task, const char *url)
{
	const char *given = task->options.registry;

	if (task->local)
		return task->local;
	return local_folder_of(url ? url : given ? given : task->session.config.home_url);
}

/* The registry: a folder's, which is joined or begun, or one that a URL leads to. */
static int choose_registry(struct task *task, const char *url, struct fault *flt)
{
	const char *local = task->local ? task->local : local_folder_of(url);
	int descriptors[2], r;

	if (task->local && (url || task->options.registry))
		return fault_undecided(flt, FAULT_MISUSE, "two registries are given");
	if (task->namespace_count && !local)
		return fault_undecided(flt, FAULT_MISUSE, "--namespace is for a registry in a folder: --local DIR");
	if (!local)
		return session_choose(&task->session, url, &task->options, flt);
	if (task->local && asprintf(&task->local_source, "local:%s", local) < 0) {
		task->local_source = NULL;
		return fault_no_memory(flt);
	}
	if (task->local)
		task->mount_options.source = task->local_source;
	r = local_join(local, task->local, task->namespaces, task->namespace_count, &task->session.local,
		       &task->session.url, flt);
	local_descriptors(task->session.local, descriptors);
	task->mount_options.disk = descriptors[0];
	return r;
}

static int check_words(struct task *task, struct fault *flt)
{
	int verdict;

	/* A registry of one's own is for writing, unless told otherwise. */
	if (task->local && !task->mount_options.has_mode)
		task->mount_options.writable = true;
	task->foreground |= task->mount_options.debug;
	verdict = mount_options_check(&task->mount_options, flt);
	if (!verdict && task->options.has_operator_key && task->mount_options.has_operator_key &&
	    !digest_equals(&task->options.operator_key, &task->mount_options.operator_key))
		verdict = fault_undecided(flt, FAULT_MISUSE, "two different operator keys are given");
	if (!verdict && task->options.cacert && task->mount_options.ca_file &&
	    strcmp(task->options.cacert, task->mount_options.ca_file))
		verdict = fault_undecided(flt, FAULT_MISUSE, "two files of certificates are given");
	if (!verdict && task->options.argument_count == 1 && strstr(task->options.arguments[0], "://"))
		verdict = fault_undecided(flt, FAULT_MISUSE, "a folder to mount at is missing behind the URL: wargfs "
					  "mount URL MOUNTPOINT");
	if (task->mount_options.ca_file)
		task->options.cacert = task->mount_options.ca_file;
	return verdict;
}

/* With -o remount: the registry is the one that is mounted there, unless another one is given. */
static int find_former(struct task *task, const char **url, struct fault *flt)
{
	int verdict = mount_find_source(task->folder, &task->former_source, flt);

	if (!verdict && !task->former_source)
		verdict = fault_undecided(flt, FAULT_MISUSE, "nothing of wargfs is mounted on %.150s, so there is "
					  "nothing to remount", task->folder);
	if (verdict || *url || task->options.registry || task->local)
		return verdict;
	/* It may be any name: -o fsname=. */
	if (!strstr(task->former_source, "://") && !local_folder_of(task->former_source))
		return fault_undecided(flt, FAULT_MISUSE, "%.100s is mounted as '%.100s': give the URL of its "
				       "registry, too", task->folder, task->former_source);
	*url = task->former_source;
	return 0;
}

/* Everything that can be found out without the network. */
static int prepare(struct task *task, struct fault *flt)
{
	char **arguments = task->options.arguments;
	bool has_url = task->options.argument_count > 1, remount = task->mount_options.remount;
	const char *folder = arguments[has_url], *url = has_url ? arguments[0] : NULL;
	int verdict = check_words(task, flt);

	if (!verdict)
		verdict = session_load(&task->session, &task->options, flt);
	/* Before the working directory changes, and to know which files must not be covered. */
	if (!verdict)
		verdict = session_choose_network(&task->session, flt);
	if (verdict)
		return verdict;
	task->folder = realpath(folder, NULL);
	if (!task->folder && errno == ENOENT)
		return fault_undecided(flt, FAULT_SYSTEM, "%.120s does not exist. Create it first: mkdir %.120s",
				       folder, folder);
	if (!task->folder)
		return fault_system(flt, errno, "%.150s cannot be mounted on", folder);
	dead_mount_clear(task->folder);
	verdict = remount ? find_former(task, &url, flt) : mount_check_folder(task->folder, flt);
	/* As typed: so umount(8) and findmnt(8) know it by what a person wrote. */
	task->mount_options.source = url;
	if (!verdict)
		verdict = covering_check(task->folder, &task->session.environment, &task->session.config,
					 folder_of_registry(task, url), flt);
	if (!verdict)
		verdict = choose_registry(task, url, flt);
	if (!verdict && remount)
		verdict = dead_mount_unmount(task->folder, false, flt);
	return verdict || !remount ? verdict : mount_check_folder(task->folder, flt);
}

/* A key for inode numbers that stays, and that no registry knows: from the machine's own id, and the registry. */
static struct digest inode_key(const struct session *session)
{
	struct fault ignored = {0};
	bool found;
	struct buf id;
	struct digest key;
	int etc;

	buf_init(&id, 4096);
	if (file_open_top("/etc", &etc, &ignored) == 0) {
		file_read(etc, "machine-id", &id, &found, &ignored);
		close(etc);
	}
	key = digest_of_parts((struct span[]){ span_of_text("wargfs inode numbers"), buf_span(&id),
					       span_of_text(session->url.label) }, 3);
	buf_release(&id);
	return key;
}

/*
 * Nobody answered: the mount stands on what was proven from the cache, if anything was, and catches up later.
 * @param unreached  why the registry was not reached; verdict 0 if it was not to be asked
 */
static int stand_on_cache(struct task *task, const struct fault *unreached, struct fault *flt)
{
	struct registry *registry = task->session.registry;
	struct fault why, told = *unreached;
	struct view *view;
	char when[32];
	time_t said;
	struct tm utc;

	registry_start_fault(registry, &why);
	if (why.verdict) {
		*flt = unreached->verdict ? *unreached : why;
		if (unreached->verdict)
			fault_add(flt, "it cannot be mounted from the cache either: %s", why.what);
		else
			fault_add(flt, "mount it once without -o offline, and list it");
		return flt->verdict;
	}
	if (!told.verdict)
		return 0;
	view = registry_view(registry);
	said = (time_t)view->checkpoint.contents.timestamp;
	view_unref(view);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&said, &utc) ? &utc : &(struct tm){0});
	fault_add(&told, "shown is what the cache proves, as of %s", when);
	mount_failed(task->mount, &told);
	registry_refresh_soon(registry);
	return 0;
}

/* The registry's first checkpoint, or what was proven before. */
static int look_first(struct task *task, struct fault *flt)
{
	struct fault unreached = task->session.unreached;

	/* Whoever waited for nothing once is not to wait twice. */
	if (task->mount_options.offline || unreached.verdict)
		return stand_on_cache(task, &unreached, flt);
	if (!registry_refresh(task->session.registry, &unreached))
		return 0;
	if (session_is_unreached(&unreached))
		return stand_on_cache(task, &unreached, flt);
	*flt = unreached;
	return flt->verdict;
}

/* A server that ran already has what it began with. */
static int check_namespaces(const struct task *task, struct fault *flt)
{
	struct view *view = registry_view(task->session.registry);
	int r = 0;

	for (size_t i = 0; i < task->namespace_count && !r; i++)
		if (!operator_log_find(view->operator, span_of_text(task->namespaces[i].name)))
			r = fault_undecided(flt, FAULT_EXISTS, "the registry runs already, without the namespace "
					    "%.100s: it gets it when it is mounted and was not before",
					    task->namespaces[i].name);
	view_unref(view);
	return r;
}

/* The registry by the name that the user gave it: keys go by that. */
static int find_key(void *user, struct ecdsa_private_key **out, struct fault *flt)
{
	const struct task *task = user;
	const char *typed = task->mount_options.source;

	return session_find_signing_key(&task->session, typed ? typed : task->options.registry, out, flt);
}

/* Log it at once: the first contact with another registry may be long after the start. */
static void tell_meeting(void *user, const char *name, const struct digest *operator_key)
{
	char sentence[SESSION_MEETING_SIZE];

	session_meeting_sentence(name, operator_key, sentence);
	mount_note(user, sentence);
}

/* The registry, as far as its first checkpoint. */
static int open_registry(struct task *task, struct fault *flt)
{
	struct digest key = inode_key(&task->session);
	struct session_open how = {
		.timeout = task->mount_options.timeout,
		.refresh = task->mount_options.refresh,
		.ignores_hints = true, /* a look at a name that is not there asks nobody to follow anything */
		.starts_from_cache = true,
		.offline = task->mount_options.offline,
		.audit = true,
		.changed = mount_changed,
		.is_needed = mount_needs,
		.failed = mount_failed,
		.configure_registry = mount_configure_registry,
		.met = tell_meeting,
		.operator_key = task->mount_options.has_operator_key ? &task->mount_options.operator_key : NULL,
	};
	const struct mount_publishing publishing = {
		.state_dir = task->session.config.state_dir,
		.find_key = find_key,
		.user = task,
		.auto_init = !task->session.config.disable_auto_package_init,
	};
	struct progress progress;
	int verdict = mount_new(&task->mount_options, &key, &publishing, &task->mount, flt);

	how.user = how.host = how.met_user = task->mount;
	progress_begin(&progress, http_url_name(&task->session.url), NULL, NULL);
	if (!verdict)
		verdict = session_open(&task->session, &how, flt);
	if (!verdict)
		verdict = look_first(task, flt);
	if (!verdict)
		verdict = check_namespaces(task, flt);
	progress_end(&progress);
	return verdict;
}

static struct mount *signalled;

static void end(int signal)
{
	(void)signal;
	mount_end(signalled);
}

static void refresh(int signal)
{
	(void)signal;
	mount_refresh(signalled);
}

static void catch_signals(struct mount *mount)
{
	struct sigaction ends = { .sa_handler = end, .sa_flags = SA_RESTART };
	struct sigaction refreshes = { .sa_handler = refresh, .sa_flags = SA_RESTART };

	signalled = mount;
	sigaction(SIGINT, &ends, NULL);
	sigaction(SIGTERM, &ends, NULL);
	sigaction(SIGHUP, &refreshes, NULL);
}

/* Without a socket the mount works all the same: only nobody can ask for its status. */
static int open_socket(struct task *task)
{
	struct fault flt = {0};
	int socket = -1;

	if (sockets_open_folder(&task->session.environment, &task->sockets, &flt) == 0)
		sockets_listen(task->sockets, &socket, task->socket_name, &flt);
	if (flt.verdict)
		mount_failed(task->mount, &flt);
	return socket;
}

static int say(const struct task *task)
{
	struct json *json;

	if (!task->options.json)
		return STATUS_DONE;
	json = json_new_object();
	json_put_shown(json, "registry", http_url_name(&task->session.url));
	json_put_shown(json, "mountpoint", task->folder);
	json_put_uint(json, "pid", (uint64_t)getpid());
	return output_json(task->command, json);
}

/* In the foreground nobody would know that it stands. */
static void say_how_to_end(const struct task *task)
{
	if (task->verdict_pipe < 0 && !task->options.json && !service_manager_is_there())
		fprintf(stderr, "wargfs mount: %s is mounted; %s'wargfs umount %s' ends it\n",
			output_shown(task->folder).text, isatty(STDERR_FILENO) ? "Ctrl-C or " : "",
			output_shown(task->folder).text);
}

/* It stands: tell whoever waits in front, and let go of the terminal. */
static int go_back(struct task *task)
{
	const unsigned char status = STATUS_DONE;
	int nowhere;

	fflush(stdout);
	if (task->verdict_pipe < 0)
		return STATUS_DONE;
	/* Whoever was killed while waiting does not want it any more. */
	if (write(task->verdict_pipe, &status, 1) != 1)
		return STATUS_FAILED;
	close(task->verdict_pipe);
	setsid();
	mount_go_quiet(task->mount);
	nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; nowhere >= 0 && fd < 3; fd++)
		dup2(nowhere, fd);
	if (nowhere > 2)
		close(nowhere);
	return chdir("/") ? STATUS_FAILED : STATUS_DONE;
}

static int run_mount(struct task *task)
{
	struct fault flt = {0};
	int kept[3] = {task->verdict_pipe}, status, verdict;

	local_descriptors(task->session.local, &kept[1]);
	process_close_others(kept, 3);
	verdict = open_registry(task, &flt);

	if (!verdict) {
		covering_hold(&task->session.config);
		catch_signals(task->mount);
		verdict = mount_start(task->mount, task->session.federation, task->folder, open_socket(task), &flt);
	}
	if (!verdict)
		session_remember_local(&task->session);
	status = verdict ? options_fail(task->command, &flt) : say(task);
	if (status == STATUS_DONE)
		say_how_to_end(task);
	if (status == STATUS_DONE)
		status = go_back(task);
	if (status == STATUS_DONE)
		mount_run(task->mount);
	/* A person who is asked for a password is not waited for. */
	keyring_stop();
	if (task->mount)
		mount_stop(task->mount);
	session_close(&task->session);
	mount_free(task->mount);
	if (*task->socket_name)
		sockets_remove(task->sockets, task->socket_name);
	return status;
}

/* @return what the other one says, or how it ended without a word */
static int wait_in_front(pid_t other, int verdict_pipe)
{
	unsigned char status;
	int how;
	ssize_t got;

	do
		got = read(verdict_pipe, &status, 1);
	while (got < 0 && errno == EINTR);
	if (got == 1)
		return status;
	if (waitpid(other, &how, 0) == other && WIFEXITED(how))
		return WEXITSTATUS(how);
	return STATUS_FAILED;
}

static int run_behind(struct task *task, struct fault *flt)
{
	int ends_of_pipe[2], status;
	pid_t other;

	if (pipe2(ends_of_pipe, O_CLOEXEC))
		return options_fail(task->command, (fault_system(flt, errno, "a pipe cannot be had"), flt));
	other = fork();
	if (other == 0) {
		close(ends_of_pipe[0]);
		task->verdict_pipe = ends_of_pipe[1];
		return run_mount(task);
	}
	close(ends_of_pipe[1]);
	if (other < 0) {
		fault_system(flt, errno, "no process can be had for the background");
		status = options_fail(task->command, flt);
	} else {
		status = wait_in_front(other, ends_of_pipe[0]);
	}
	close(ends_of_pipe[0]);
	return status;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct task task = { .command = command, .verdict_pipe = -1, .sockets = -1 };
	struct fault flt = {0};
	int status;

	mount_options_init(&task.mount_options);
	if (options_parse(command, argc, argv, take, &task, &task.options, &status)) {
		daemon_prepare("wargfs mount");
		if (prepare(&task, &flt))
			status = options_fail(command, &flt);
		else
			status = task.foreground ? run_mount(&task) : run_behind(&task, &flt);
	}
	session_release(&task.session);
	mount_options_release(&task.mount_options);
	if (task.sockets >= 0)
		close(task.sockets);
	free(task.local_source);
	free(task.former_source);
	free(task.folder);
	return status;
}

const struct command mount_command = {
	.name = "mount",
	.arguments = "[URL] MOUNTPOINT",
	.summary = "Mount a registry",
	.text = "\nShows the registry at URL, or else the configured one, at MOUNTPOINT. Goes to the background once\n"
		"the first checkpoint has verified. 'wargfs umount MOUNTPOINT' ends it; SIGHUP has a new\n"
		"checkpoint looked for. With -o rw a file that is copied to NAMESPACE/PACKAGE/VERSION.wasm is\n"
		"published as that version, and with yank one that is removed is yanked.\n"
		"\nWith --local the registry is one that lives in a folder, for you alone; it is begun if there is\n"
		"none, and mounted for writing.\n"
		"\nMount options: ro, rw, writable, yank, publish=close or =rename, timeout=SEC, refresh=SEC,\n"
		"max_age=SEC, offline, operator_key=KEYID, cacert=FILE, uid=N, gid=N, umask=OCTAL, allow_other,\n"
		"allow_root, remount, auto_unmount, fsname=NAME, debug, and those of mount(8): nosuid, nodev,\n"
		"noexec, noatime, sync, dirsync and their opposites, nofail, _netdev, noauto, x-...\n",
	.least = 1,
	.most = 2,
	.options = entries,
	.meets = true,
	.is_deed = true,
	.run = run,
};
