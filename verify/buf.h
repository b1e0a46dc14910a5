/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Bytes: borrowed ones (`struct span`) and growable ones with a cap (`struct buf`).
 */
#ifndef WARG_VERIFY_BUF_H
#define WARG_VERIFY_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"

/** Borrowed bytes; whoever hands one out says how long they live. Text in a span has no NUL at its end. */
struct span {
	const unsigned char *data;
	size_t length;
};

/** The bytes of a C string, without its NUL. Borrows `text`. */
struct span span_of_text(const char *text);

/** Whether both hold the same bytes. */
bool span_equals(struct span a, struct span b);

/** Whether the span is exactly the C string `text`. */
bool span_is(struct span a, const char *text);

/** Growable bytes that never hold more than `cap`. */
struct buf {
	unsigned char *data; /* NULL while nothing was ever appended */
	size_t length;
	size_t capacity;
	size_t cap;
};

/** An empty buffer for at most `cap` bytes; allocates nothing. */
void buf_init(struct buf *buf, size_t cap);

/** Give the memory back; the buffer is empty then, with the same cap. */
void buf_release(struct buf *buf);

/** As buf_release(), after wiping every byte that the buffer ever held (OPENSSL_cleanse). */
void buf_wipe(struct buf *buf);

/**
 * Make room for `more` bytes behind the last one.
 * @return 0; WARG_UNDECIDED with FAULT_LIMIT if the cap would be passed, or no memory
 */
int buf_reserve(struct buf *buf, size_t more, struct fault *flt);

/** Append bytes. Errors as buf_reserve(); the buffer is unchanged then. */
int buf_append(struct buf *buf, struct span bytes, struct fault *flt);

/** Append a C string without its NUL. */
int buf_append_text(struct buf *buf, const char *text, struct fault *flt);

/** Append formatted text. */
int buf_append_format(struct buf *buf, struct fault *flt, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** What the buffer holds now; valid until it is changed. */
struct span buf_span(const struct buf *buf);

#endif
