/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * mount.wargfs (see mount_helper.h).
 */
#include "mount_helper.h"
#include "commands.h"
#include "fs/mount_options.h"
#include "output.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "mount.wargfs"
#define TYPE "wargfs"
#define MOST_ARGUMENTS 8
#define MOST_WORDS (1 << 16) /* bytes: far more than a command line of mount(8) has */

/* What mount(8) ends with. */
enum { DONE = 0, MISUSED = 1, NOT_MOUNTED = 32 };

struct request {
	char *source, *folder;
	char *config;     /* NULL: not given */
	struct buf words; /* for `wargfs mount -o`, each with a comma before it */
	bool fake, sloppy, verbose;
	bool read_only;   /* was asked for */
	bool writable;
};

bool mount_helper_is(const char *program)
{
	const char *slash = strrchr(program, '/');

	return strcmp(slash ? slash + 1 : program, NAME) == 0;
}

/* mount(8) says rw where nothing is said: it is no wish. What is one is a word that it does not know. */
static int take_word(struct request *request, char *word, struct fault *flt)
{
	if (strcmp(word, "writable") == 0)
		request->writable = true;
	if (strcmp(word, "ro") == 0 || strcmp(word, "rw") == 0) {
		request->read_only = strcmp(word, "ro") == 0;
		return 0;
	}
	if (strncmp(word, "config=", strlen("config=")) == 0) {
		request->config = word + strlen("config=");
		return 0;
	}
	if (request->sloppy && !mount_options_has(word))
		return 0;
	return buf_append_format(&request->words, flt, ",%s", word);
}

static int take_words(struct request *request, char *text, struct fault *flt)
{
	char *word;
	int verdict = 0;

	while (!verdict && (word = strsep(&text, ",")))
		verdict = *word ? take_word(request, word, flt) : 0;
	return verdict;
}

static int usage(FILE *to, int status)
{
	fprintf(to, "Usage: " NAME " URL MOUNTPOINT [-sfnv] [-o WORDS] [-t " TYPE "]\n\n"
		"What mount(8) calls for 'mount -t " TYPE " URL MOUNTPOINT -o WORDS'.\n"
		"\nThe whole story: man 8 " NAME "\n");
	return status;
}

static int misused(const char *what)
{
	fprintf(stderr, NAME ": %s\n", output_shown(what).text);
	return usage(stderr, MISUSED);
}

/* @param words  the texts of all -o; their count is returned by `*count` */
static int take_letters(struct request *request, int argc, char **argv, char **words, size_t *count)
{
	int key;

	*count = 0;
	while ((key = getopt(argc, argv, "sfnvo:t:hV")) != -1) {
		switch (key) {
		case 's':
			request->sloppy = true;
			break;
		case 'f':
			request->fake = true;
			break;
		case 'v':
			request->verbose = true;
			break;
		case 'n': /* no mtab: there is none */
			break;
		case 'o':
			words[(*count)++] = optarg;
			break;
		case 't':
			if (strcmp(optarg, TYPE))
				return misused("this is for the type " TYPE " only");
			break;
		case 'h':
			return usage(stdout, DONE);
		case 'V':
			printf(NAME " %s\n", WARGFS_VERSION);
			return DONE;
		default:
			return usage(stderr, MISUSED);
		}
	}
	if (argc - optind != 2)
		return misused("a URL and a mountpoint are needed, and nothing else");
	request->source = argv[optind];
	request->folder = argv[optind + 1];
	return -1;
}

/* -s may stand behind the -o that it is about, so words are looked at when all letters are known. @return -1: go on */
static int parse(struct request *request, int argc, char **argv)
{
	char **words = calloc((size_t)argc, sizeof(*words));
	struct fault flt = {0};
	size_t count;
	int status;

	if (!words)
		return misused("out of memory");
	status = take_letters(request, argc, argv, words, &count);
	for (size_t i = 0; status < 0 && i < count; i++) {
		if (take_words(request, words[i], &flt))
			status = misused(flt.what);
	}
	free(words);
	return status;
}

/* `wargfs mount` in its own words. It returns in the background, too, when the mount is over. */
static int run_mount(struct request *request, char *words)
{
	static char mount[] = "mount", options[] = "--options", config[] = "--config", end[] = "--";
	char *arguments[MOST_ARGUMENTS + 1] = { mount };
	pid_t in_front = getpid();
	int count = 1, status;

	if (*words) {
		arguments[count++] = options;
		arguments[count++] = words + 1;
	}
	if (request->config) {
		arguments[count++] = config;
		arguments[count++] = request->config;
	}
	arguments[count++] = end;
	arguments[count++] = request->source;
	arguments[count++] = request->folder;
	status = mount_command.run(&mount_command, count, arguments);
	if (status != STATUS_DONE)
		return status == STATUS_MISUSE ? MISUSED : NOT_MOUNTED;
	if (getpid() == in_front && !request->read_only && !request->writable)
		fprintf(stderr, NAME ": %s: mounted read-only\n", output_shown(request->folder).text);
	if (getpid() == in_front && request->verbose)
		printf(NAME ": %s mounted on %s\n", output_shown(request->source).text,
		       output_shown(request->folder).text);
	return DONE;
}

/* As far as words go. */
static int pretend(const struct request *request, const char *words)
{
	struct mount_options options;
	struct fault flt = {0};
	int verdict;

	mount_options_init(&options);
	verdict = mount_options_parse(&options, words, &flt);
	if (!verdict)
		verdict = mount_options_check(&options, &flt);
	mount_options_release(&options);
	if (verdict)
		return misused(flt.what);
	if (request->verbose)
		printf(NAME ": %s would be mounted on %s\n", output_shown(request->source).text,
		       output_shown(request->folder).text);
	return DONE;
}

int mount_helper_run(int argc, char **argv)
{
	struct request request = {0};
	struct fault flt = {0};
	int status;

	buf_init(&request.words, MOST_WORDS);
	status = parse(&request, argc, argv);
	/* Who says so means it, wherever it stands. */
	if (status < 0 && request.read_only && buf_append_text(&request.words, ",ro", &flt))
		status = misused(flt.what);
	if (status < 0 && buf_append(&request.words, (struct span){ (const unsigned char *)"", 1 }, &flt))
		status = misused(flt.what);
	if (status < 0)
		status = request.fake ? pretend(&request, (char *)request.words.data) :
					run_mount(&request, (char *)request.words.data);
	buf_release(&request.words);
	return status;
}
