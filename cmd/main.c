/*
 * wargfs: finds the command and runs it.
 */
#include "commands.h"
#include "mount_helper.h"

#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
	&mount_command, &status_command, &config_command, &ls_command, &info_command, &update_command,
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

/* @param group  the one that it is not in; NULL: not among all */
static int unknown(const struct command *group, const char *word)
{
	fprintf(stderr, "wargfs: there is no command '%s%s%s'\nTry 'wargfs %s%s--help'.\n", group ? group->name : "",
		group ? " " : "", word, group ? group->name : "", group ? " " : "");
	return STATUS_MISUSE;
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

/* @param group  whose commands argv[1] is one of; NULL: of all */
static int dispatch(const struct command *group, int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		if (!group)
			print_help(stderr);
		else
			fprintf(stderr, "wargfs %s: which command?\nTry 'wargfs %s --help'.\n", group->name,
				group->name);
		return STATUS_MISUSE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return help(group, argv + 2);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("wargfs %s\n", WARGFS_VERSION);
		return STATUS_DONE;
	}
	command = find(group ? group->group : commands, argv[1]);
	if (!command)
		return unknown(group, argv[1]);
	if (command->group && (!command->run || (argc > 2 && find(command->group, argv[2]))))
		return dispatch(command, argc - 1, argv + 1);
	return command->run(command, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int status = argc && mount_helper_is(argv[0]) ? mount_helper_run(argc, argv) : dispatch(NULL, argc, argv);

	/* A full disk behind stdout is a failure too. */
	if (fflush(stdout) || ferror(stdout)) {
		perror("wargfs: standard output");
		return status == STATUS_DONE ? STATUS_FAILED : status;
	}
	return status;
}
