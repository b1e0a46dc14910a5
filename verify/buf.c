/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Bytes, borrowed and growable: buf.h.
 */
#include "buf.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_CAPACITY 64

struct span span_of_text(const char *text)
{
	return (struct span){ (const unsigned char *)text, strlen(text) };
}

bool span_equals(struct span a, struct span b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

bool span_is(struct span a, const char *text)
{
	return span_equals(a, span_of_text(text));
}

void buf_init(struct buf *buf, size_t cap)
{
	/* Nothing is longer than PTRDIFF_MAX, and one byte more than the capacity is allocated. */
	*buf = (struct buf){ .cap = cap < PTRDIFF_MAX ? cap : PTRDIFF_MAX - 1 };
}

void buf_release(struct buf *buf)
{
	free(buf->data);
	buf_init(buf, buf->cap);
}

void buf_wipe(struct buf *buf)
{
	if (buf->data)
		OPENSSL_cleanse(buf->data, buf->capacity + 1);
	buf_release(buf);
}

/* Twice what there was, or what is needed if that is more, within the cap. */
static size_t next_capacity(const struct buf *buf, size_t needed)
{
	size_t capacity = buf->capacity > buf->cap / 2 ? buf->cap : buf->capacity * 2;

	if (capacity < BUF_FIRST_CAPACITY)
		capacity = buf->cap < BUF_FIRST_CAPACITY ? buf->cap : BUF_FIRST_CAPACITY;
	return capacity < needed ? needed : capacity;
}

int buf_reserve(struct buf *buf, size_t more, struct fault *flt)
{
	size_t capacity;
	unsigned char *data;

	if (more > buf->cap - buf->length)
		return fault_undecided(flt, FAULT_LIMIT, "more than %zu bytes", buf->cap);
	if (buf->data && more <= buf->capacity - buf->length)
		return 0;
	capacity = next_capacity(buf, buf->length + more);
	data = malloc(capacity + 1); /* with room for the NUL that vsnprintf() writes */
	if (!data)
		return fault_no_memory(flt);
	/* No realloc(): it would leave a copy behind, and buf_wipe() promises that there is none. */
	if (buf->data) {
		memcpy(data, buf->data, buf->length);
		OPENSSL_cleanse(buf->data, buf->capacity + 1);
		free(buf->data);
	}
	buf->data = data;
	buf->capacity = capacity;
	return 0;
}

int buf_append(struct buf *buf, struct span bytes, struct fault *flt)
{
	int r = buf_reserve(buf, bytes.length, flt);

	if (r)
		return r;
	if (bytes.length)
		memcpy(buf->data + buf->length, bytes.data, bytes.length);
	buf->length += bytes.length;
	return 0;
}

int buf_append_text(struct buf *buf, const char *text, struct fault *flt)
{
	return buf_append(buf, span_of_text(text), flt);
}

int buf_append_format(struct buf *buf, struct fault *flt, const char *format, ...)
{
	va_list arguments;
	int length, r;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0)
		return fault_system(flt, errno, "formatting a text");
	r = buf_reserve(buf, (size_t)length, flt);
	if (r)
		return r;
	va_start(arguments, format);
	vsnprintf((char *)buf->data + buf->length, (size_t)length + 1, format, arguments);
	va_end(arguments);
	buf->length += (size_t)length;
	return 0;
}

struct span buf_span(const struct buf *buf)
{
	return (struct span){ buf->data, buf->length };
}
