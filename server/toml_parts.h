/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the files of the TOML reader share: where it stands, strings, and the other values without parts.
 */
#ifndef WARG_SERVER_TOML_PARTS_H
#define WARG_SERVER_TOML_PARTS_H

#include <stdbool.h>

#include "toml.h"

struct toml_reader {
	const unsigned char *at, *end;
	unsigned line;
	struct fault *flt;
};

/** Refuse what is at the reader's place. @return WARG_INVALID */
int toml_refuse(struct toml_reader *reader, const char *what, ...) __attribute__((format(printf, 2, 3)));

/** Whether the text goes on with this; and the same, passing over it. */
bool toml_is_at(const struct toml_reader *reader, const char *text);
bool toml_take(struct toml_reader *reader, const char *text);
/** Pass over a line's end. @return whether there was one */
bool toml_take_newline(struct toml_reader *reader);

/** Whether a character may be in a comment or a string. */
bool toml_is_plain(unsigned char character);

/** Read a string, from its quote. @param is_key  it is one of a line only */
int toml_read_string(struct toml_reader *reader, bool is_key, struct buf *out);
/** Read a number, a date, a time or a boolean. Sets type and text. */
int toml_read_scalar(struct toml_reader *reader, struct toml_value *out);

#endif
