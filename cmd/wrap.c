/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Line breaks (see wrap.h).
 */
#include "wrap.h"

#include <stdbool.h>
#include <string.h>

void wrap_print(FILE *to, const char *text, size_t column, size_t indent)
{
	bool is_first = true;

	while (*text == '\n') {
		fputc('\n', to);
		text++;
	}
	while (*text) {
		size_t space = strspn(text, " \n"), length = strcspn(text + space, " \n");
		bool ends_paragraph = space > 1 && text[0] == '\n' && text[1] == '\n';

		text += space;
		if (!length)
			break;
		if (ends_paragraph || (!is_first && column + 1 + length > WRAP_COLUMNS)) {
			fprintf(to, "%s\n%*s", ends_paragraph ? "\n" : "", (int)indent, "");
			column = indent;
		} else if (!is_first) {
			fputc(' ', to);
			column++;
		}
		fprintf(to, "%.*s", (int)length, text);
		column += length;
		text += length;
		is_first = false;
	}
	fputc('\n', to);
}
