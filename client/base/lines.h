/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Text files of ours, line by line: the first line names the kind and the version, and whoever has more to say puts a
 * line behind the others.
 */
#ifndef WARG_CLIENT_LINES_H
#define WARG_CLIENT_LINES_H

#include "verify/buf.h"

/** Bytes of the longest line that is handed out; a longer one is passed over. */
#define LINES_LONGEST 1024

/** What became of the reading of a file. */
struct lines_read {
	bool is_ours; /* the first line is the right one, and all of it was read */
	bool is_torn; /* the last line has no end, and was not handed out: the next must not be glued to it */
	uint64_t count; /* lines behind the first */
};

/**
 * Read what lies behind the position of `fd`.
 * @param header  the first line, with its end
 * @param cap     bytes past which the file is not ours: no line is read from a file that is longer by its size
 * @param take    gets every line behind the first, without its end
 */
struct lines_read lines_read(int fd, const char *header, uint64_t cap, void (*take)(void *user, struct span line),
			     void *user);

#endif
