/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Parses a command line as getopt_long(3) does, except that long options cannot be abbreviated, and that messages never
 * repeat a value, which may be a secret.
 *
 * Options and arguments may be mixed, up to "--". An option's value may begin with dashes.
 */
#ifndef WARGFS_CMD_OPTIONS_WORDS_H
#define WARGFS_CMD_OPTIONS_WORDS_H

#include <stddef.h>

/** An option: its name, its key, which is a letter up to 255, and whether it takes a value. */
struct options_word {
	const char *name;
	int key;
	int has_value;
};

/** Initialize as {.count = argc, .words = argv, .next = 1, .arguments = 1}. */
struct options_walk {
	int count;
	char **words;      /* reordered: at the end the arguments are at index 1 and on, then NULL */
	int next;
	int arguments;     /* where the next argument is moved to */
	const char *value; /* value of the returned option; NULL: none */
	const char *letters; /* rest of a word of short options; NULL: none */
	char said[160];    /* after OPTIONS_WRONG: the message, printable */
};

enum { OPTIONS_END = -1, OPTIONS_WRONG = -2 };

/** @return the key of the next option; OPTIONS_END if there is none; OPTIONS_WRONG */
int options_walk(struct options_walk *walk, const struct options_word *options, size_t count);

#endif
