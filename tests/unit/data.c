/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Files of tests/data: data.h.
 */
#include "data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct buf data_read(const char *path)
{
	unsigned char chunk[65536];
	FILE *file = fopen(path, "rb");
	struct buf out;
	size_t count;

	buf_init(&out, 256u << 20);
	if (!file)
		fail_msg("%s cannot be opened", path);
	while ((count = fread(chunk, 1, sizeof(chunk), file)) > 0)
		assert_int_equal(buf_append(&out, (struct span){ chunk, count }, NULL), 0);
	assert_int_equal(ferror(file), 0);
	fclose(file);
	return out;
}

bool data_next(struct span *rest, char separator, struct span *out)
{
	const unsigned char *end;
	size_t length;

	if (rest->length == 0)
		return false;
	end = memchr(rest->data, separator, rest->length);
	length = end ? (size_t)(end - rest->data) : rest->length;
	*out = (struct span){ rest->data, length };
	length += end ? 1 : 0;
	*rest = (struct span){ rest->data + length, rest->length - length };
	return true;
}
