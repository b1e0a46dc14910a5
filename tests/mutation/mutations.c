/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Random mutation of every answer of a registry: none may be believed, none crashes or hangs, and honesty works again.
 *
 *   mutations [--count N] [--seed S] [--jobs J] [--kind KIND] [--verbose]
 *   mutations --pipe [--seed S]       turns the body of an answer, on stdin, into the whole of another, on stdout
 *
 * What fails is told with its seed; `--count 1 --seed S` does the same again. It all happens in a network of its own,
 * as some answers name other places.
 */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/base/file.h"
#include "scene.h"

#define JOBS 64
#define HANGS 120 /* seconds after which a run does */

/* What the jobs tell of themselves. */
struct shared {
	atomic_ullong next;      /* runs that were begun */
	atomic_ullong mutations, wrong;
	atomic_ullong by_kind[SCENE_KINDS];
	atomic_ullong running[JOBS]; /* the seed of each */
};

struct options {
	unsigned long long count, seed;
	unsigned jobs;
	enum scene_kind kind;
	bool verbose, pipe;
};

static void fail(const char *what)
{
	fprintf(stderr, "mutations: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* A network with nobody else in it. */
static void leave_network(void)
{
	struct ifreq loopback = { .ifr_name = "lo" };
	int fd;

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		fail("a network namespace");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &loopback))
		fail("the loopback");
	loopback.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &loopback))
		fail("the loopback");
	close(fd);
}

/* The bytes with what is not printable as \xHH, and the middle left out when they are many. */
static void dump(FILE *out, struct span bytes)
{
	for (size_t i = 0; i < bytes.length; i++) {
		if (i == 3000 && bytes.length > 4000) {
			fprintf(out, "\n… %zu bytes …\n", bytes.length - 4000);
			i = bytes.length - 1000;
		}
		if (bytes.data[i] == '\n' || (bytes.data[i] >= ' ' && bytes.data[i] < 127))
			fputc(bytes.data[i], out);
		else if (bytes.data[i] != '\r')
			fprintf(out, "\\x%02x", bytes.data[i]);
	}
	fputc('\n', out);
}

static void tell(const struct scene *scene, uint64_t seed, const struct scene_result *result)
{
	flockfile(stdout);
	printf("WRONG with --seed %" PRIu64 " (%s)\n  %s\n  the answer was:\n", seed, result->account, result->wrong);
	dump(stdout, scene_last_answer(scene));
	fflush(stdout);
	funlockfile(stdout);
}

static bool is_through; /* whether the job may end */

/* What the tests' helpers assert ends a job without a word. */
static void tell_where(void)
{
	void *frames[32];

	if (!is_through)
		backtrace_symbols_fd(frames, backtrace(frames, 32), STDERR_FILENO);
}

static void work(const struct options *options, struct shared *shared, unsigned job, const char *folder)
{
	char own[300];
	struct scene *scene;
	unsigned long long turn;

	atexit(tell_where);
	snprintf(own, sizeof(own), "%s/%u", folder, job);
	if (mkdir(own, 0700))
		fail(own);
	scene = scene_new(own);
	while ((turn = atomic_fetch_add(&shared->next, 1)) < options->count) {
		uint64_t seed = options->seed + turn;
		struct scene_result result;

		shared->running[job] = seed;
		alarm(HANGS);
		scene_run(scene, seed, options->kind, &result);
		alarm(0);
		atomic_fetch_add(&shared->mutations, result.mutations);
		atomic_fetch_add(&shared->by_kind[result.kind], result.mutations);
		if (options->verbose)
			printf("%" PRIu64 ": %s\n", seed, result.account);
		if (result.wrong[0]) {
			atomic_fetch_add(&shared->wrong, 1);
			tell(scene, seed, &result);
		}
	}
	scene_free(scene);
	if (rmdir(own))
		fail(own);
	is_through = true;
}

/* @return whether all jobs ended well */
static bool wait_for(pid_t *pids, unsigned jobs, struct shared *shared)
{
	bool good = true, hangs;
	int status;
	pid_t pid;

	while ((pid = wait(&status)) > 0) {
		unsigned job = 0;

		while (job < jobs && pids[job] != pid)
			job++;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			continue;
		good = false;
		hangs = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
		if (job < jobs)
			printf("%s with --seed %llu\n", hangs ? "HANGS" : "CRASHED",
			       atomic_load(&shared->running[job]));
	}
	return good;
}

static int change_one(const struct options *options)
{
	struct chance chance = { options->seed };
	struct mutation mutation;
	struct pool pool = { .count = 1 };
	struct buf *body = &pool.bodies[0], out;
	unsigned char piece[65536];
	struct answer answer = { .status = 200 };
	size_t length;

	buf_init(body, MUTATION_MOST);
	buf_init(&out, 2 * MUTATION_MOST);
	while ((length = fread(piece, 1, sizeof(piece), stdin)))
		if (buf_append(body, (struct span){ piece, length }, NULL))
			fail("a body too long");
	answer.body = buf_span(body);
	mutate_answer(&chance, &answer, &pool, false, &out, &mutation);
	fprintf(stderr, "%s\n", mutation.what);
	if (fwrite(out.data ? out.data : piece, 1, out.length, stdout) != out.length || fflush(stdout))
		fail("stdout");
	buf_release(body);
	buf_release(&out);
	return 0;
}

static int run(const struct options *options, const char *folder)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	time_t start = time(NULL);
	pid_t pids[JOBS];
	bool good;

	if (shared == MAP_FAILED)
		fail("memory");
	for (unsigned job = 0; job < options->jobs; job++) {
		pids[job] = fork();
		if (pids[job] < 0)
			fail("fork");
		if (!pids[job]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			work(options, shared, job, folder);
			exit(0);
		}
	}
	good = wait_for(pids, options->jobs, shared);
	for (size_t i = 0; i < SCENE_KINDS; i++)
		printf("%s%s %llu", i ? ", " : "", scene_kind_names[i], atomic_load(&shared->by_kind[i]));
	printf("\n%llu mutations in %llu runs from seed %llu, %ld s: %llu wrong%s\n", atomic_load(&shared->mutations),
	       options->count, options->seed, (long)(time(NULL) - start), atomic_load(&shared->wrong),
	       good ? "" : ", and some crashed or hung");
	return good && !shared->wrong && shared->mutations ? 0 : 1;
}

static unsigned long long number(const char *text)
{
	char *end;
	unsigned long long found = strtoull(text, &end, 10);

	if (!*text || *end) {
		fprintf(stderr, "mutations: %s is no number\n", text);
		exit(2);
	}
	return found;
}

static enum scene_kind kind_named(const char *name)
{
	for (size_t i = 0; i < SCENE_KINDS; i++)
		if (!strcmp(scene_kind_names[i], name))
			return (enum scene_kind)i;
	fprintf(stderr, "mutations: %s is no kind of answer\n", name);
	exit(2);
}

static void parse(int count, char **words, struct options *options)
{
	static const struct option known[] = { { "count", required_argument, NULL, 'c' },
					       { "seed", required_argument, NULL, 's' },
					       { "jobs", required_argument, NULL, 'j' },
					       { "kind", required_argument, NULL, 'k' },
					       { "verbose", no_argument, NULL, 'v' },
					       { "pipe", no_argument, NULL, 'p' },
					       { NULL, 0, NULL, 0 } };
	int option;

	while ((option = getopt_long(count, words, "", known, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->count = number(optarg);
			break;
		case 's':
			options->seed = number(optarg);
			break;
		case 'j':
			options->jobs = (unsigned)number(optarg);
			break;
		case 'k':
			options->kind = kind_named(optarg);
			break;
		case 'v':
			options->verbose = true;
			break;
		case 'p':
			options->pipe = true;
			break;
		default:
			exit(2);
		}
	}
	if (optind < count || !options->jobs || options->jobs > JOBS) {
		fprintf(stderr, "mutations: misuse\n");
		exit(2);
	}
	if (options->jobs > options->count)
		options->jobs = (unsigned)options->count;
}

int main(int count, char **words)
{
	struct options options = { .count = 1000, .seed = 1, .jobs = 3, .kind = SCENE_KINDS };
	char folder[64];
	int status;

	parse(count, words, &options);
	if (options.pipe)
		return change_one(&options);
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* In memory, where that can be had: what has to be on disk before it goes on is not what is tried here. */
	snprintf(folder, sizeof(folder), "%s/wargfs-mutations-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(folder))
		fail("a folder");
	leave_network();
	status = run(&options, folder);
	/* Of jobs that came to a bad end something is left. */
	if (file_remove_tree(AT_FDCWD, folder, NULL))
		fail(folder);
	return status;
}
