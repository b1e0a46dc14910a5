/*
 * Joining and starting (see local.h).
 */
#include "local.h"

#include "client/clock.h"
#include "client/file.h"
#include "client/http_local.h"
#include "daemon.h"
#include "options.h"
#include "server.h"
#include "server/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PREFIX "local:"
#define USERS "users"
#define SOCKET "socket"
#define LOG "server.log"
#define PATIENCE 20    /* seconds for a server to end */
#define BEGINNING 5    /* seconds for one that another program starts to begin */
#define ANSWER 2       /* seconds for one that runs to answer */
#define AGAIN 50000    /* microseconds between looks at it */

struct local {
	char *folder;
	int dir, users;
	char host[64];
	char socket[64]; /* its path, which is short wherever the folder is */
};

const char *local_folder_of(const char *text)
{
	return text && !strncmp(text, PREFIX, strlen(PREFIX)) ? text + strlen(PREFIX) : NULL;
}

int local_find_signing_key(const struct local *local, struct ecdsa_private_key **out, struct fault *flt)
{
	int folder = openat(local->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (folder < 0)
		return fault_system(flt, errno, "%.150s", local->folder);
	r = file_lock_surely(folder, flt);
	if (!r)
		r = key_file_keep(local->folder, "signing.key", true, out, flt);
	close(folder);
	return r;
}

void local_leave(struct local *local)
{
	if (!local)
		return;
	if (local->users >= 0)
		close(local->users);
	if (local->dir >= 0)
		close(local->dir);
	free(local->folder);
	free(local);
}

/* ---- The server, in a process of its own ---- */

static void *end_with_the_last(void *argument)
{
	const int *users = argument;

	while (flock(*users, LOCK_EX) && errno == EINTR)
		;
	kill(getpid(), SIGTERM);
	return NULL;
}

static void failed(void *user, const struct fault *flt)
{
	char sentence[FAULT_SENTENCE_SIZE];

	(void)user;
	fault_sentence(flt, sentence);
	fprintf(stderr, "wargfs: %s\n", sentence);
}

/* Nothing of whoever starts it is to keep it, or to be kept by it, but for what it says in the log. */
static void detach(const struct local *local)
{
	int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
	int log = openat(local->dir, LOG, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	setsid();
	if (nowhere >= 0) {
		dup2(nowhere, 0);
		dup2(nowhere, 1);
		dup2(log >= 0 ? log : nowhere, 2);
	}
	if (chdir("/"))
		_exit(STATUS_FAILED);
}

/* @param verdict_pipe  on which whoever waits is told how it began: a fault, whose verdict is 0 if all is well */
static int serve(struct local *local, const struct operator_wish *namespaces, size_t count, int verdict_pipe)
{
	char address[80];
	struct server server = {
		.data_dir = local->folder,
		.namespaces = namespaces,
		.namespace_count = count,
		.usual_namespace = "local",
		.content_limit = CAP_CONTENT,
		.listen = {.socket = -1, .address = address},
		.failed = failed,
	};
	struct fault flt = {0};
	pthread_t last;
	sigset_t ends;
	int users, signal_number;

	snprintf(address, sizeof(address), "unix:%s", local->socket);
	detach(local);
	daemon_prepare();
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	users = openat(local->dir, USERS, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (users < 0)
		fault_system(&flt, errno, "%s", USERS);
	else if (!server_open(&server, &flt) && !server_listen(&server, &flt) &&
		 pthread_create(&last, NULL, end_with_the_last, &users))
		fault_no_memory(&flt);
	if (write(verdict_pipe, &flt, sizeof(flt)) != sizeof(flt) || flt.verdict) {
		server_stop(&server);
		return STATUS_FAILED;
	}
	close(verdict_pipe);
	while (sigwait(&ends, &signal_number))
		;
	/* The next one waits for its lock until this process is no more. */
	unlinkat(local->dir, SOCKET, 0);
	server_stop(&server);
	return STATUS_DONE;
}

/* @return what the server says; FAULT_EXISTS: there is another one, and it may be just beginning */
static int start(struct local *local, const struct operator_wish *namespaces, size_t count, struct fault *flt)
{
	struct fault said;
	int ends_of_pipe[2];
	ssize_t got;
	pid_t child;

	if (pipe2(ends_of_pipe, O_CLOEXEC))
		return fault_system(flt, errno, "a pipe cannot be had");
	child = fork();
	if (child == 0) {
		close(ends_of_pipe[0]);
		close(local->users);
		_exit(serve(local, namespaces, count, ends_of_pipe[1]));
	}
	close(ends_of_pipe[1]);
	do
		got = child < 0 ? -1 : read(ends_of_pipe[0], &said, sizeof(said));
	while (got < 0 && child > 0 && errno == EINTR);
	close(ends_of_pipe[0]);
	if (child < 0)
		return fault_system(flt, errno, "no process can be had for the server");
	if (got != sizeof(said))
		return fault_undecided(flt, FAULT_REFUSED, "the server of %.100s ended while it began; %s there says "
				       "more", local->folder, LOG);
	if (said.verdict)
		*flt = said;
	return said.verdict;
}

/* ---- Joining ---- */

/*
 * A process that is about to be gone lets one in, too: a server has to say something. Asked by hand, as the client
 * starts a thread, and we fork.
 */
static bool is_answering(const struct local *local)
{
	static const char request[] = "GET /healthz HTTP/1.0\r\n\r\n";
	const struct timeval patience = {.tv_sec = ANSWER};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;
	bool is;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", local->socket);
	is = fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) &&
	     !setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) &&
	     !connect(fd, (const struct sockaddr *)&address, sizeof(address)) &&
	     send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0 && recv(fd, &byte, 1, 0) > 0;
	if (fd >= 0)
		close(fd);
	return is;
}

static int reach(struct local *local, const struct operator_wish *namespaces, size_t count, struct fault *flt)
{
	clock_ms deadline = clock_in_seconds(BEGINNING);

	while (!is_answering(local)) {
		struct fault own = {0};

		if (!start(local, namespaces, count, &own))
			return 0;
		/* Two started one at once, and the other one has the folder. */
		if (own.kind != FAULT_EXISTS || !clock_left(deadline)) {
			*flt = own;
			return own.verdict;
		}
		usleep(AGAIN);
	}
	return 0;
}

/* The folder is ours alone: who else could write there could be the server. */
static int open_folder(struct local *local, const char *dir, bool make, struct fault *flt)
{
	struct stat status;

	if (make && mkdir(dir, 0700) && errno != EEXIST)
		return fault_system(flt, errno, "%.150s", dir);
	local->folder = realpath(dir, NULL);
	if (!local->folder)
		return fault_system(flt, errno, "%.150s", dir);
	local->dir = open(local->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (local->dir < 0 || fstat(local->dir, &status))
		return fault_system(flt, errno, "%.150s", dir);
	if (status.st_uid != geteuid() || status.st_mode & (S_IWGRP | S_IWOTH))
		return fault_system(flt, EPERM, "%.150s may be written to by others", dir);
	if (!make && faccessat(local->dir, KEY_FILE_OPERATOR, F_OK, 0))
		return fault_undecided(flt, FAULT_ABSENT, "there is no registry in %.150s: 'wargfs mount --local' "
				       "begins one", dir);
	snprintf(local->socket, sizeof(local->socket), "/proc/self/fd/%d/" SOCKET, local->dir);
	return 0;
}

static int take_part(struct local *local, struct fault *flt)
{
	bool had = false;
	int r;

	local->users = openat(local->dir, USERS, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (local->users < 0)
		return fault_system(flt, errno, "%.150s/" USERS, local->folder);
	r = file_lock_shared(local->users, PATIENCE * 1000, &had, flt);
	if (!r && !had)
		r = fault_undecided(flt, FAULT_TIMEOUT, "the server of %.150s does not end", local->folder);
	return r;
}

/* It is known by its operator's key: a registry that is moved stays the same, and one that is begun anew is another. */
static int name_it(struct local *local, struct http_url *url, struct fault *flt)
{
	struct ecdsa_private_key *key;
	char id[DIGEST_TEXT_SIZE], text[128];
	int r = key_file_keep(local->folder, KEY_FILE_OPERATOR, false, &key, flt);

	if (r)
		return r;
	digest_format(ecdsa_public_key_id(ecdsa_private_key_public(key)), id);
	ecdsa_private_key_free(key);
	snprintf(local->host, sizeof(local->host), "%.16s" HTTP_LOCAL_DOMAIN, strchr(id, ':') + 1);
	http_local_set(local->host, local->socket);
	snprintf(text, sizeof(text), "http://%s/", local->host);
	return http_url_parse(text, url, flt);
}

int local_join(const char *dir, bool make, const struct operator_wish *namespaces, size_t count, struct local **out,
	       struct http_url *url, struct fault *flt)
{
	struct local *local = calloc(1, sizeof(*local));
	int r;

	if (!local)
		return fault_no_memory(flt);
	local->dir = local->users = -1;
	r = open_folder(local, dir, make, flt);
	if (!r)
		r = take_part(local, flt);
	if (!r)
		r = reach(local, namespaces, count, flt);
	if (!r)
		r = name_it(local, url, flt);
	if (r)
		local_leave(local);
	else
		*out = local;
	return r;
}
