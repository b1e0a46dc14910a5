/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs: finds the command and runs it.
 */
#include "commands.h"
#include "mount_helper.h"
#include "client/base/nearest.h"
#include "output.h"
#include "process.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
	&mount_command, &umount_command, &status_command, &config_command, &ls_command, &info_command, &update_command,
	&download_command, &fetch_command, &verify_command, &publish_command, &key_command, &login_command,
	&logout_command, &clear_command, &reset_command, &serve_command, NULL,
};

static const struct command *find(const struct command *const *group, const char *word)
{
	for (; *group; group++) {
		if (strcmp(options_word_of(*group), word) == 0)
			return *group;
	}
	return NULL;
}

static void print_help(FILE *to)
{
	fprintf(to, "Usage: wargfs COMMAND [OPTION]... [ARGUMENT]...\n\n"
		"A Warg registry as a file system, every byte proven from the operator's key up.\n");
	options_print_group(to, commands);
	fprintf(to, "  %-10s %s\n", "help", "Print a command's help");
	fprintf(to, "\nOptions:\n  -h, --help     print this help\n  -V, --version  print the version\n"
		"\nThe whole story: man wargfs\n");
}

/* The command of a group that is called so: who types `yank` means `publish yank`. @return NULL: there is none */
static const struct command *find_in_groups(const char *word)
{
	for (const struct command *const *group = commands; *group; group++) {
		const struct command *found = (*group)->group ? find((*group)->group, word) : NULL;

		if (found)
			return found;
	}
	return NULL;
}

static int unknown(const struct command *group, const char *word)
{
	struct nearest meant = {.typed = word, .length = strlen(word)};
	const char *name = group ? group->name : "", *gap = group ? " " : "";
	const struct command *inner = group ? NULL : find_in_groups(word);

	if (*word == '-') {
		nearest_offer(&meant, "--help");
		nearest_offer(&meant, "--version");
		return meant.word ? options_misused(name, "there is no option '%.100s'. Did you mean '%s'?", word,
						    meant.word) :
				    options_misused(name, "a command comes first, and its options behind it: "
						    "'%.100s'", word);
	}
	if (inner)
		return options_misused(name, "there is no command '%.100s'. Did you mean '%s'?", word, inner->name);
	for (const struct command *const *known = group ? group->group : commands; *known; known++)
		nearest_offer(&meant, options_word_of(*known));
	if (meant.word)
		return options_misused(name, "there is no command '%s%s%.100s'. Did you mean '%s'?", name, gap, word,
				       meant.word);
	return options_misused(name, "there is no command '%s%s%.100s'", name, gap, word);
}

/* The help of the command that the words lead to. */
static int help(const struct command *group, char **words)
{
	const struct command *command;

	if (!*words) {
		if (group)
			options_print_help(group);
		else
			print_help(stdout);
		return STATUS_DONE;
	}
	command = find(group ? group->group : commands, *words);
	if (!command)
		return unknown(group, *words);
	if (command->group && (!command->run || words[1]))
		return help(command, words + 1);
	options_print_help(command);
	return STATUS_DONE;
}

/* The running command, or NULL. */
static const struct command *running;

/* @param group  whose commands argv[1] is one of; NULL: of all */
static int dispatch(const struct command *group, int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		if (group)
			return options_misused(group->name, "a command is missing");
		print_help(stderr);
		return STATUS_MISUSE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return help(group, argv + 2);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("wargfs %s\n", WARGFS_VERSION);
		return STATUS_DONE;
	}
	if (group && argv[1][0] == '-')
		return options_misused(group->name, "a command is missing");
	command = find(group ? group->group : commands, argv[1]);
	if (!command)
		return unknown(group, argv[1]);
	if (command->group && (!command->run || (argc > 2 && find(command->group, argv[2]))))
		return dispatch(command, argc - 1, argv + 1);
	running = command;
	/* Ignore SIGPIPE: the command must complete even if the reader of its output has gone. */
	if (command->is_deed)
		signal(SIGPIPE, SIG_IGN);
	return command->run(command, argc - 1, argv + 1);
}

/* Whether --json is given, before any option is parsed: what is wrong with them is to be told as JSON, too. */
static bool wants_json(char **words)
{
	for (; *words && strcmp(*words, "--"); words++) {
		if (strcmp(*words, "--json") == 0)
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	int status;

	process_begin();
	output_choose_locale();
	failure_set_json(wants_json(argv));
	status = argc && mount_helper_is(argv[0]) ? mount_helper_run(argc, argv) : dispatch(NULL, argc, argv);
	/* Fail if stdout cannot be written, unless the command's effect is what counts. */
	if (fflush(stdout) || ferror(stdout)) {
		perror("wargfs: standard output");
		return status == STATUS_DONE && !(running && running->is_deed) ? STATUS_FAILED : status;
	}
	return status;
}
