/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What commands have in common: the table that describes one, and the options that all take.
 *
 * The tables are the only place where an option is written down: parsing and --help both come from them, and a lint
 * holds the manual pages against --help.
 */
#ifndef WARGFS_CMD_OPTIONS_H
#define WARGFS_CMD_OPTIONS_H

#include "failure.h"
#include "verify/digest.h"

#include <stdbool.h>
#include <stdio.h>

/** An option. A table of them ends with an all-zero one. */
struct options_entry {
	int key;           /* its letter; above 255 for one that is only a word */
	const char *word;  /* without the dashes */
	const char *value; /* what its value is called; NULL: it takes none */
	const char *text;  /* what it does, for --help */
};

/**
 * A command, or a group of them: of a group without a `run` only the name, the summary and the text count, and who is
 * in it. With one it is a command, unless the next word is one of the group.
 */
struct command {
	const char *name;      /* "download"; of one in a group both words, "publish init" */
	const char *arguments; /* for the usage line */
	const char *summary;   /* a sentence without a full stop, for the list of commands */
	const struct command *const *group; /* ends with NULL; NULL: it is a command alone */
	const char *text;      /* what it does, for --help; lines end with newlines */
	int least, most;       /* how many arguments it takes */
	bool asks;             /* whether it asks questions, and so takes --yes */
	bool is_deed;          /* exit status 0 even if its output could not be written */
	bool meets;            /* it talks to registries, and so takes --operator-key */
	bool sends;            /* it does not meet one, but sends requests: like those that do it takes --cacert */
	bool hides;            /* never repeats an argument: one that strayed here may be a secret */
	bool is_server;        /* it is no client of a registry: it takes neither --registry nor --config */
	const struct options_entry *options;
	int (*run)(const struct command *command, int argc, char **argv);
};

/** What every command takes. Texts are borrowed from argv. */
struct options {
	const char *registry; /* NULL: not given */
	const char *config;   /* NULL: not given */
	const char *cacert;   /* NULL: not given */
	bool has_operator_key;
	struct digest operator_key; /* key id that the registry's operator must have */
	bool json;
	bool yes;
	char **arguments; /* ends with NULL */
	int argument_count;
};

/**
 * The options of every command, those of clients of a registry, of commands that contact one, and of commands that send
 * requests; and --yes.
 */
extern const struct options_entry options_common[], options_client[], options_meeting[], options_sending[],
	options_yes[];

/**
 * Parse a command line. What is wrong with it is said on stderr, what --help and -V ask for on stdout.
 *
 * @param take    called for each option of the command's own, in their order; a fault ends the parsing
 * @param status  what to end with, when this is not to go on
 * @return whether to go on
 */
bool options_parse(const struct command *command, int argc, char **argv,
		   int (*take)(void *user, int key, const char *value, struct fault *flt), void *user,
		   struct options *out, int *status);

/**
 * Parse an operator's key id. The message does not repeat the argument: it may be a private key.
 * @return 0; WARG_UNDECIDED with FAULT_MISUSE
 */
int options_read_key_id(const char *text, struct digest *out, struct fault *flt);

/** Print the --help of a command, or of a group. */
void options_print_help(const struct command *command);

/** The commands of a group, for --help. */
void options_print_group(FILE *to, const struct command *const *group);

/** A command's last word: what it is called by. */
const char *options_word_of(const struct command *command);

/** Say on stderr what went wrong in a command: failure_tell(). @return what to end with */
int options_fail(const struct command *command, const struct fault *flt);

/** Say what is wrong with a command line, and where help is. @return STATUS_MISUSE */
int options_misused(const char *command, const char *what, ...) __attribute__((format(printf, 2, 3)));

#endif
