/*
 * Options of commands (see options.h).
 */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* More than any command has. */
#define MOST_OPTIONS 32

enum { KEY_REGISTRY = 1000, KEY_CONFIG, KEY_JSON, KEY_YES };

const struct options_entry options_client[] = {
	{KEY_REGISTRY, "registry", "URL", "the registry, in place of the configured one"},
	{KEY_CONFIG, "config", "FILE", "the configuration, in place of the one that is found"},
	{0}
};

const struct options_entry options_common[] = {
	{KEY_JSON, "json", NULL, "print the result as JSON"},
	{'h', "help", NULL, "print this help"},
	{'V', "version", NULL, "print the version"},
	{0}
};

const struct options_entry options_yes[] = {
	{KEY_YES, "yes", NULL, "answer yes to every question"},
	{0}
};

/* The tables in getopt's form. */
struct spelling {
	struct option words[MOST_OPTIONS + 1];
	char letters[MOST_OPTIONS * 2 + 2];
	size_t count;
};

static bool has_word(const struct spelling *spelling, const char *word)
{
	for (size_t i = 0; i < spelling->count; i++) {
		if (strcmp(spelling->words[i].name, word) == 0)
			return true;
	}
	return false;
}

/* Tables that come first win: download's --version is a requirement. */
static void spell(struct spelling *spelling, const struct options_entry *entries)
{
	for (; entries && entries->key && spelling->count < MOST_OPTIONS; entries++) {
		if (entries->key < 256) {
			size_t end = strlen(spelling->letters);

			spelling->letters[end] = (char)entries->key;
			if (entries->value)
				spelling->letters[end + 1] = ':';
		}
		if (has_word(spelling, entries->word))
			continue;
		spelling->words[spelling->count++] = (struct option){
			.name = entries->word,
			.has_arg = entries->value ? required_argument : no_argument,
			.val = entries->key,
		};
	}
}

static void print_entries(const struct options_entry *entries, const struct options_entry *hiding)
{
	for (; entries && entries->key; entries++) {
		char left[80];
		bool hidden = false;
		int used = 0;

		for (const struct options_entry *h = hiding; h && h->key; h++)
			hidden = hidden || strcmp(h->word, entries->word) == 0;
		if (entries->key < 256)
			used = snprintf(left, sizeof(left), "-%c%s", entries->key, hidden ? "" : ", ");
		else
			used = snprintf(left, sizeof(left), "    ");
		if (!hidden)
			snprintf(left + used, sizeof(left) - (size_t)used, "--%s%s%s", entries->word,
				 entries->value ? " " : "", entries->value ? entries->value : "");
		if (strlen(left) > 28)
			printf("  %s\n  %-28s  %s\n", left, "", entries->text);
		else
			printf("  %-28s  %s\n", left, entries->text);
	}
}

const char *options_word_of(const struct command *command)
{
	const char *space = strrchr(command->name, ' ');

	return space ? space + 1 : command->name;
}

void options_print_group(FILE *to, const struct command *const *group)
{
	fprintf(to, "\nCommands:\n");
	for (; *group; group++)
		fprintf(to, "  %-10s %s\n", options_word_of(*group), (*group)->summary);
}

static void print_group_help(const struct command *command)
{
	printf("Usage: wargfs %s COMMAND [OPTION]... [ARGUMENT]...\n\n%s.\n", command->name, command->summary);
	if (command->text)
		printf("%s", command->text);
	options_print_group(stdout, command->group);
	printf("\nOptions of each: 'wargfs %s COMMAND --help'.\nThe whole story: man wargfs-%s\n", command->name,
	       command->name);
}

void options_print_help(const struct command *command)
{
	if (command->group && !command->run) {
		print_group_help(command);
		return;
	}
	printf("Usage: wargfs %s [OPTION]...%s%s\n\n%s.\n", command->name, *command->arguments ? " " : "",
	       command->arguments, command->summary);
	if (command->text)
		printf("%s", command->text);
	printf("\nOptions:\n");
	print_entries(command->options, NULL);
	if (command->asks)
		print_entries(options_yes, NULL);
	if (!command->is_server)
		print_entries(options_client, command->options);
	print_entries(options_common, command->options);
	if (command->group)
		options_print_group(stdout, command->group);
	printf("\nThe whole story: man wargfs-%.*s\n", (int)strcspn(command->name, " "), command->name);
}

/* Take one of the common options. @return whether it is one that goes on */
static bool take_common(const struct command *command, int key, struct options *out, int *status)
{
	switch (key) {
	case KEY_REGISTRY:
		out->registry = optarg;
		return true;
	case KEY_CONFIG:
		out->config = optarg;
		return true;
	case KEY_JSON:
		out->json = true;
		return true;
	case KEY_YES:
		out->yes = true;
		return true;
	case 'h':
		options_print_help(command);
		*status = STATUS_DONE;
		return false;
	default:
		printf("wargfs %s\n", WARGFS_VERSION);
		*status = STATUS_DONE;
		return false;
	}
}

static bool is_own(const struct command *command, int key)
{
	for (const struct options_entry *entry = command->options; entry && entry->key; entry++) {
		if (entry->key == key)
			return true;
	}
	return false;
}

static bool misused(const struct command *command, int *status)
{
	fprintf(stderr, "Try 'wargfs %s --help'.\n", command->name);
	*status = STATUS_MISUSE;
	return false;
}

bool options_parse(const struct command *command, int argc, char **argv,
		   int (*take)(void *user, int key, const char *value, struct fault *flt), void *user,
		   struct options *out, int *status)
{
	struct spelling spelling = {0};
	static char title[64]; /* stays argv[0] */
	int key;

	snprintf(title, sizeof(title), "wargfs %s", command->name);
	argv[0] = title;
	spell(&spelling, command->options);
	if (command->asks)
		spell(&spelling, options_yes);
	if (!command->is_server)
		spell(&spelling, options_client);
	spell(&spelling, options_common);

	*out = (struct options){0};
	optind = 0;
	while ((key = getopt_long(argc, argv, spelling.letters, spelling.words, NULL)) != -1) {
		struct fault flt = {0};

		if (key == '?')
			return misused(command, status);
		if (!is_own(command, key)) {
			if (!take_common(command, key, out, status))
				return false;
		} else if (take(user, key, optarg, &flt)) {
			options_fail(command, &flt);
			return misused(command, status);
		}
	}
	out->arguments = argv + optind;
	out->argument_count = argc - optind;
	if (out->argument_count < command->least || out->argument_count > command->most) {
		fprintf(stderr, "%s: %s\n", title,
			out->argument_count < command->least ? "an argument is missing" : "too many arguments");
		return misused(command, status);
	}
	return true;
}

int options_status_of(const struct fault *flt)
{
	if (flt->kind == FAULT_MISUSE)
		return STATUS_MISUSE;
	if (flt->kind != FAULT_FORGED)
		return STATUS_FAILED;
	switch (flt->party) {
	case FAULT_BY_CACHE:
	case FAULT_BY_USER:
	case FAULT_BY_SYSTEM:
		return STATUS_FAILED;
	default:
		return STATUS_UNVERIFIED;
	}
}

int options_fail(const struct command *command, const struct fault *flt)
{
	char sentence[FAULT_SENTENCE_SIZE];

	fault_sentence(flt, sentence);
	fprintf(stderr, "wargfs %s: %s%s\n", command->name, sentence,
		flt->kind == FAULT_LOGIN ? "; 'wargfs login' keeps a token for a registry that wants one" : "");
	return options_status_of(flt);
}
