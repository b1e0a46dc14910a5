/*
 * wargfs: finds the command and runs it.
 */
#include "commands.h"
#include "mount_helper.h"

#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
	&mount_command, &status_command, &config_command, &ls_command, &info_command, &update_command,
	&download_command, &fetch_command, &verify_command, &clear_command, &reset_command,
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	}
	return NULL;
}

static void print_help(FILE *to)
{
	fprintf(to, "Usage: wargfs COMMAND [OPTION]... [ARGUMENT]...\n\n"
		"A Warg registry as a file system, every byte proven from the operator's key up.\n\nCommands:\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(to, "  %-10s %s\n", "help", "Print a command's help");
	fprintf(to, "\nOptions:\n  -h, --help     print this help\n  -V, --version  print the version\n"
		"\nThe whole story: man wargfs\n");
}

static int unknown(const char *name)
{
	fprintf(stderr, "wargfs: there is no command '%s'\nTry 'wargfs --help'.\n", name);
	return STATUS_MISUSE;
}

static int help(const char *name)
{
	const struct command *command = name ? find(name) : NULL;

	if (name && !command)
		return unknown(name);
	if (command)
		options_print_help(command);
	else
		print_help(stdout);
	return STATUS_DONE;
}

static int dispatch(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		print_help(stderr);
		return STATUS_MISUSE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return help(argc > 2 ? argv[2] : NULL);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("wargfs %s\n", WARGFS_VERSION);
		return STATUS_DONE;
	}
	command = find(argv[1]);
	return command ? command->run(command, argc - 1, argv + 1) : unknown(argv[1]);
}

int main(int argc, char **argv)
{
	int status = argc && mount_helper_is(argv[0]) ? mount_helper_run(argc, argv) : dispatch(argc, argv);

	/* A full disk behind stdout is a failure too. */
	if (fflush(stdout) || ferror(stdout)) {
		perror("wargfs: standard output");
		return status == STATUS_DONE ? STATUS_FAILED : status;
	}
	return status;
}
