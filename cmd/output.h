/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Talking to the person at the terminal, or to the program behind the pipe.
 *
 * Results go to stdout, everything else to stderr.
 */
#ifndef WARGFS_CMD_OUTPUT_H
#define WARGFS_CMD_OUTPUT_H

#include "client/base/json.h"
#include "options.h"

/** Choose by the environment whether characters past ASCII are shown: in a locale of UTF-8 alone. */
void output_choose_locale(void);

/**
 * A text as it is shown (printable.h), for one printf() to the terminal: not for JSON, nor for comparing. Outside of a
 * locale of UTF-8 bytes past ASCII are escaped, too. Truncated only if longer than any path that a program can open.
 */
struct output_shown {
	char text[4 * 4096 + 1];
};
struct output_shown output_shown(const char *text);

/** Print a result as JSON. Steals `value`. @return what to end with */
int output_json(const struct command *command, struct json *value);

/**
 * Ask a question that is answered by yes or no. Without a terminal, or at the end of input, the answer is no, and said.
 * @param usual  what an empty line means
 */
bool output_ask(const struct options *options, bool usual, const char *question, ...)
	__attribute__((format(printf, 3, 4)));

/** A time as people read it: "2026-11-24 23:45:00 UTC"; "" for one that no calendar has. */
void output_time(int64_t seconds, char out[static 64]);

/** A size as people read it: "1.4 MiB". */
void output_size(uint64_t bytes, char out[static 32]);

#endif
