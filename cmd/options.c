/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Options of commands (see options.h).
 */
#include "options.h"
#include "client/base/nearest.h"
#include "options_words.h"
#include "progress.h"
#include "wrap.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* More than any command has. */
#define MOST_OPTIONS 32
#define LEFT 28 /* columns for the spelling of an option in --help */

/* Beyond the keys of any command. */
enum { KEY_REGISTRY = 1 << 20, KEY_OPERATOR_KEY, KEY_CACERT, KEY_CONFIG, KEY_JSON, KEY_YES };

const struct options_entry options_client[] = {
	{KEY_REGISTRY, "registry", "URL", "the registry, in place of the configured one"},
	{KEY_CONFIG, "config", "FILE", "the configuration, in place of the one that is found"},
	{0}
};

const struct options_entry options_meeting[] = {
	{KEY_OPERATOR_KEY, "operator-key", "KEYID", "demand this operator key of the registry: sha256:..."},
	{0}
};

const struct options_entry options_sending[] = {
	{KEY_CACERT, "cacert", "FILE", "trust these certificates (PEM), not the system's"},
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

/* All tables merged. */
struct spelling {
	struct options_word words[MOST_OPTIONS];
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

/* Earlier tables win: download's --version is a requirement, while -V stays the program's version. */
static void spell(struct spelling *spelling, const struct options_entry *entries)
{
	for (; entries && entries->key && spelling->count < MOST_OPTIONS; entries++) {
		const char *name = has_word(spelling, entries->word) ? "" : entries->word;

		spelling->words[spelling->count++] = (struct options_word){name, entries->key, entries->value != NULL};
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
		if (strlen(left) > LEFT)
			printf("  %s\n  %-*s  ", left, LEFT, "");
		else
			printf("  %-*s  ", LEFT, left);
		wrap_print(stdout, entries->text, LEFT + 4, LEFT + 4);
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
	for (; *group; group++) {
		fprintf(to, "  %-10s ", options_word_of(*group));
		wrap_print(to, (*group)->summary, 13, 13);
	}
}

static void print_group_help(const struct command *command)
{
	printf("Usage: wargfs %s COMMAND [OPTION]... [ARGUMENT]...\n\n%s.\n", command->name, command->summary);
	if (command->text)
		wrap_print(stdout, command->text, 0, 0);
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
		wrap_print(stdout, command->text, 0, 0);
	printf("\nOptions:\n");
	print_entries(command->options, NULL);
	if (command->asks)
		print_entries(options_yes, NULL);
	if (!command->is_server)
		print_entries(options_client, command->options);
	if (command->meets)
		print_entries(options_meeting, command->options);
	if (command->meets || command->sends)
		print_entries(options_sending, command->options);
	print_entries(options_common, command->options);
	if (command->group)
		options_print_group(stdout, command->group);
	printf("\nThe whole story: man wargfs-%.*s\n", (int)strcspn(command->name, " "), command->name);
}

int options_read_key_id(const char *text, struct digest *out, struct fault *flt)
{
	if (digest_parse(span_of_text(text), out, NULL))
		return fault_undecided(flt, FAULT_MISUSE, "it is not a key id: 'sha256:' and 64 hexadecimal digits");
	return 0;
}

static int point_to_help(const char *command)
{
	if (!failure_is_json())
		fprintf(stderr, "Try 'wargfs %s%s--help'.\n", command, *command ? " " : "");
	return STATUS_MISUSE;
}

int options_misused(const char *command, const char *what, ...)
{
	struct fault flt = {0};
	char text[sizeof(flt.what)];
	va_list arguments;

	va_start(arguments, what);
	vsnprintf(text, sizeof(text), what, arguments);
	va_end(arguments);
	fault_undecided(&flt, FAULT_MISUSE, "%s", text);
	failure_tell(command, &flt);
	return point_to_help(command);
}

/* Of an option whose fault was told. */
static bool misused(const struct command *command, int *status)
{
	*status = point_to_help(command->name);
	return false;
}

/* Reports an error if it is not. @return whether it is a key id */
static bool take_operator_key(const struct command *command, const char *value, struct options *out, int *status)
{
	struct fault flt = {0};

	out->has_operator_key = true;
	if (!options_read_key_id(value, &out->operator_key, &flt))
		return true;
	options_fail(command, &flt);
	return misused(command, status);
}

/* Take one of the common options. @return whether it is one that goes on */
static bool take_common(const struct command *command, int key, const char *value, struct options *out, int *status)
{
	switch (key) {
	case KEY_REGISTRY:
		out->registry = value;
		return true;
	case KEY_CONFIG:
		out->config = value;
		return true;
	case KEY_CACERT:
		out->cacert = value;
		return true;
	case KEY_OPERATOR_KEY:
		return take_operator_key(command, value, out, status);
	case KEY_JSON:
		out->json = true;
		progress_forbid();
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

/* @return whether all options are valid */
static bool take_all(const struct command *command, const struct spelling *spelling, struct options_walk *walk,
		     int (*take)(void *user, int key, const char *value, struct fault *flt), void *user,
		     struct options *out, int *status)
{
	int key;

	while ((key = options_walk(walk, spelling->words, spelling->count)) != OPTIONS_END) {
		struct fault flt = {0};

		if (key == OPTIONS_WRONG) {
			*status = options_misused(command->name, "%s", walk->said);
			return false;
		}
		if (!is_own(command, key)) {
			if (!take_common(command, key, walk->value, out, status))
				return false;
		} else if (take(user, key, walk->value, &flt)) {
			options_fail(command, &flt);
			return misused(command, status);
		}
	}
	return true;
}

/* @return the command of the group that the first argument was meant to be; NULL: of none */
static const char *find_meant(const struct command *command, const struct options *options)
{
	const char *word = options->arguments[0];
	struct nearest meant = {.typed = word, .length = word ? strlen(word) : 0};

	for (const struct command *const *known = word ? command->group : NULL; known && *known; known++)
		nearest_offer(&meant, options_word_of(*known));
	return meant.word;
}

static bool has_right_count(const struct command *command, const struct options *options, int *status)
{
	const char *meant = find_meant(command, options);

	if (options->argument_count < command->least)
		*status = options_misused(command->name, "an argument is missing: wargfs %s %s", command->name,
					  command->arguments);
	else if (options->argument_count <= command->most)
		return true;
	else if (meant)
		*status = options_misused(command->name, "there is no command '%s %.40s'. Did you mean '%s'?",
					  command->name, options->arguments[0], meant);
	else if (command->hides || strstr(options->arguments[command->most], "ecdsa"))
		*status = options_misused(command->name, command->most ? "too many arguments" :
					  "it takes no argument: a secret is read from the terminal or the standard "
					  "input");
	else
		*status = options_misused(command->name, command->most ? "too many arguments: '%.100s'" :
					  "it takes no argument: '%.100s'", options->arguments[command->most]);
	return false;
}

bool options_parse(const struct command *command, int argc, char **argv,
		   int (*take)(void *user, int key, const char *value, struct fault *flt), void *user,
		   struct options *out, int *status)
{
	struct options_walk walk = {.count = argc, .words = argv, .next = 1, .arguments = 1};
	struct spelling spelling = {0};

	spell(&spelling, command->options);
	if (command->asks)
		spell(&spelling, options_yes);
	if (!command->is_server)
		spell(&spelling, options_client);
	if (command->meets)
		spell(&spelling, options_meeting);
	if (command->meets || command->sends)
		spell(&spelling, options_sending);
	spell(&spelling, options_common);

	*out = (struct options){0};
	if (!take_all(command, &spelling, &walk, take, user, out, status))
		return false;
	out->arguments = argv + 1;
	out->argument_count = walk.arguments - 1;
	failure_set_json(out->json);
	return has_right_count(command, out, status);
}

int options_fail(const struct command *command, const struct fault *flt)
{
	return failure_tell(command->name, flt);
}
