/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Text for a terminal of 80 columns.
 */
#ifndef WARGFS_CMD_WRAP_H
#define WARGFS_CMD_WRAP_H

#include <stddef.h>
#include <stdio.h>

/** No line is longer, unless one word is: some terminals begin a new line after the last column. */
#define WRAP_COLUMNS 79

/**
 * Print a text with line breaks between words, and a newline at its end. White space between words counts as one space;
 * an empty line stays, also at the beginning.
 * @param column  how many columns of the first line are used already
 * @param indent  how far the next lines are indented
 */
void wrap_print(FILE *to, const char *text, size_t column, size_t indent);

#endif
