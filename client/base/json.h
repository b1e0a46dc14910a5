/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * JSON, read strictly and written in order. The only door to jansson.
 *
 * Strict means: duplicate keys are refused, so are texts with NUL or that are no UTF-8, anything behind the value,
 * nesting deeper than CAP_JSON_DEPTH and more values than CAP_JSON_VALUES (WARG_UNDECIDED: limits of ours), and whole
 * numbers past INT64_MAX. Faults name the member.
 */
#ifndef WARG_CLIENT_JSON_H
#define WARG_CLIENT_JSON_H

#include "verify/digest.h"

/** A JSON value. Values inside others are borrowed and live as long as the outermost one. */
struct json;

/* ---- Reading ---- */

/**
 * Parse one whole value, which holds at most CAP_JSON_VALUES others.
 * @param out  free with json_free()
 * @return 0; WARG_INVALID; WARG_UNDECIDED without memory, or with FAULT_LIMIT for what may be JSON, and too much of it
 */
int json_parse(struct span text, struct json **out, struct fault *flt);
/** The same for at most so many values: each takes up to 250 bytes of memory beside its text. */
int json_parse_within(struct span text, size_t most, struct json **out, struct fault *flt);
/** NULL is fine. */
void json_free(struct json *value);

/** Whether the value is of this type; false for NULL. */
bool json_is_an_object(const struct json *value);
bool json_is_a_list(const struct json *value);

/** The member of this name, or NULL if there is none, if it is null, or if `object` is no object. */
const struct json *json_member(const struct json *object, const char *name);

/**
 * Read a member that must be there and of this type. The text is borrowed.
 * @return 0; WARG_INVALID if it lacks or is of another type, sign or size
 */
int json_read_text(const struct json *object, const char *name, struct span *out, struct fault *flt);
/** The same, copied into an array of `size` bytes. @return also WARG_INVALID if the text is too long for it */
int json_read_text_into(const struct json *object, const char *name, char *out, size_t size, struct fault *flt);
int json_read_uint(const struct json *object, const char *name, uint64_t *out, struct fault *flt);
int json_read_bool(const struct json *object, const char *name, bool *out, struct fault *flt);
int json_read_digest(const struct json *object, const char *name, struct digest *out, struct fault *flt);
/** Bytes in base64, appended to `out`. */
int json_read_base64(const struct json *object, const char *name, struct buf *out, struct fault *flt);
int json_read_object(const struct json *object, const char *name, const struct json **out, struct fault *flt);
int json_read_list(const struct json *object, const char *name, const struct json **out, struct fault *flt);

/** Refuse members other than `names`, which NULL ends. @return 0; WARG_INVALID, naming the stranger */
int json_check_members(const struct json *object, const char *const *names, struct fault *flt);

/**
 * Check that a document of ours is of the format `name`: its members "format" and "formatVersion".
 * @return 0; WARG_INVALID; WARG_UNDECIDED with FAULT_LIMIT if it is of a later version than `latest`
 */
int json_check_format(const struct json *object, const char *name, uint64_t latest, struct fault *flt);

/** The value itself as text, or as a whole number. @return 0; WARG_INVALID if it is none */
int json_as_text(const struct json *value, struct span *out, struct fault *flt);
int json_as_uint(const struct json *value, uint64_t *out, struct fault *flt);

/** How many elements a list has; 0 for anything else. */
size_t json_count(const struct json *list);
/** The element at `index`, below json_count(). */
const struct json *json_at(const struct json *list, size_t index);

/** Walks the members of an object in order. Set up with json_walk(), then json_step() until it says false. */
struct json_walk {
	const struct json *object;
	void *position;
	const char *name;         /* of the member; NUL-terminated, borrowed */
	const struct json *value; /* NULL when the member is null */
};
struct json_walk json_walk(const struct json *object);
bool json_step(struct json_walk *walk);

/* ---- Writing ---- */

/** An empty object or list; NULL when memory ran out. */
struct json *json_new_object(void);
struct json *json_new_list(void);

/**
 * Put a member behind the others. Once one of these failed, or `object` or a value is NULL, json_render() fails: nobody
 * needs to check in between.
 */
void json_put_text(struct json *object, const char *name, const char *text);
void json_put_span(struct json *object, const char *name, struct span text);
/** Add a text to display, such as a file name, of any bytes: bytes that are not UTF-8 are escaped (printable.h). */
void json_put_shown(struct json *object, const char *name, const char *text);
void json_put_uint(struct json *object, const char *name, uint64_t number);
void json_put_bool(struct json *object, const char *name, bool flag);
void json_put_null(struct json *object, const char *name);
void json_put_digest(struct json *object, const char *name, const struct digest *digest);
/** Bytes, as base64. */
void json_put_base64(struct json *object, const char *name, struct span bytes);
/** Steals `value`. */
void json_put(struct json *object, const char *name, struct json *value);
/** Put an element behind the others of a list. */
void json_add_text(struct json *list, const char *text);
/** As json_put_shown(). */
void json_add_shown(struct json *list, const char *text);
void json_add_uint(struct json *list, uint64_t number);
/** Steals `value`. */
void json_add(struct json *list, struct json *value);

/** How json_render() lays out: on one line without spaces, or as the reference's state files, two spaces a level. */
enum json_layout {
	JSON_COMPACT,
	JSON_PRETTY,
	/* The same for terminals: every character past ASCII is written \uXXXX. */
	JSON_SHOWN_COMPACT,
	JSON_SHOWN_PRETTY,
};

/**
 * Append the value's text to `out`, without a newline at the end.
 * @return 0; WARG_UNDECIDED if an earlier call failed: EILSEQ if a text was not UTF-8
 */
int json_render(const struct json *value, enum json_layout layout, struct buf *out, struct fault *flt);

#endif
