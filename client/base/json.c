/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * JSON over jansson: json.h.
 *
 * A value that was read is a plain json_t. One that is being written is a `struct json_draft`: it has to remember that
 * a put failed, and a json_t has no room for that.
 */
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "verify/base64.h"
#include "verify/caps.h"
#include "verify/printable.h"

/** What json_new_object() and json_new_list() give. Its head tells it from a json_t, whose types are all below 8. */
struct json_draft {
	json_t head;
	json_t *value;
	bool failed;
	bool is_no_text; /* failed because a text is not UTF-8 */
};
#define JSON_DRAFT 0x57415247

/* ---- Memory ---- */

/*
 * Where jansson has no memory for a token, it says that the text is malformed. So that nobody is accused of that, its
 * allocations go through here. They are malloc() and free() still: memory from before is none the worse.
 */
static _Thread_local bool starved; /* an allocation of this thread failed */

static void *allocate(size_t size)
{
	void *memory = malloc(size);

	starved |= !memory;
	return memory;
}

__attribute__((constructor)) static void hook_jansson(void)
{
	json_set_alloc_funcs(allocate, free);
}

/* ---- Between our type and jansson's ---- */

static struct json_draft *draft_of(const struct json *value)
{
	const json_t *head = (const void *)value;

	return value && (int)head->type == JSON_DRAFT ? (struct json_draft *)(uintptr_t)value : NULL;
}

/* jansson's iterators take objects that are not const, though they change nothing. */
static json_t *value_of(const struct json *value)
{
	struct json_draft *draft = draft_of(value);

	return draft ? draft->value : (json_t *)(uintptr_t)value;
}

static const struct json *lend(const json_t *value)
{
	return (const void *)value;
}

static struct span text_of(const json_t *string)
{
	return (struct span){(const unsigned char *)json_string_value(string), json_string_length(string)};
}

/* ---- Reading ---- */

/*
 * jansson recurses 2048 deep before it refuses, and takes up to 77 bytes of memory for one of text. Counting the
 * brackets and commas first keeps the depth and the number of values ours, and costs no memory. In text that is no JSON
 * the counts may be wrong, and jansson refuses it.
 */
static int check_bounds(struct span text, size_t most, struct fault *flt)
{
	size_t depth = 0, values = 1; /* an upper bound: one value for each opening bracket and one after each comma */
	bool quoted = false;

	for (size_t i = 0; i < text.length; i++) {
		unsigned char c = text.data[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '{' || c == '['))
			depth++;
		else if (!quoted && (c == '}' || c == ']') && depth)
			depth--;
		values += !quoted && (c == '{' || c == '[' || c == ',');
		if (depth > CAP_JSON_DEPTH)
			return fault_undecided(flt, FAULT_LIMIT, "JSON nested deeper than %d levels", CAP_JSON_DEPTH);
		if (values > most)
			return fault_undecided(flt, FAULT_LIMIT, "JSON of more than %zu values", most);
	}
	return 0;
}

int json_parse(struct span text, struct json **out, struct fault *flt)
{
	return json_parse_within(text, CAP_JSON_VALUES, out, flt);
}

int json_parse_within(struct span text, size_t most, struct json **out, struct fault *flt)
{
	json_error_t error;
	json_t *value;
	int r;

	/* jansson overlooks a NUL behind a number. */
	if (text.length && memchr(text.data, '\0', text.length))
		return fault_invalid(flt, "JSON with a NUL in it");
	r = check_bounds(text, most, flt);
	if (r)
		return r;
	starved = false;
	value = json_loadb(text.length ? (const char *)text.data : "", text.length,
			   JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	/* Even where it finds a value: a byte of a text that there was no memory for is left out in silence. */
	if (starved) {
		json_decref(value);
		return fault_no_memory(flt);
	}
	if (!value)
		return fault_invalid(flt, "no JSON that we read: line %d, column %d: %s", error.line, error.column,
				     error.text);
	*out = (struct json *)(void *)value;
	return 0;
}

void json_free(struct json *value)
{
	struct json_draft *draft = draft_of(value);

	json_decref(value_of(value));
	free(draft);
}

bool json_is_an_object(const struct json *value)
{
	return json_is_object(value_of(value));
}

bool json_is_a_list(const struct json *value)
{
	return json_is_array(value_of(value));
}

const struct json *json_member(const struct json *object, const char *name)
{
	const json_t *value = json_object_get(value_of(object), name);

	return json_is_null(value) ? NULL : lend(value);
}

/* The member `name`, which must be there and of this type. `kind` is the type in words. */
static int require(const struct json *object, const char *name, json_type type, const char *kind, const json_t **out,
		   struct fault *flt)
{
	const json_t *value = value_of(json_member(object, name));

	if (!value)
		return fault_invalid(flt, "\"%s\" is missing", name);
	if (json_typeof(value) != type)
		return fault_invalid(flt, "\"%s\" is not %s", name, kind);
	*out = value;
	return 0;
}

int json_read_text(const struct json *object, const char *name, struct span *out, struct fault *flt)
{
	const json_t *value = NULL;
	int r = require(object, name, JSON_STRING, "a text", &value, flt);

	if (r)
		return r;
	*out = text_of(value);
	return 0;
}

int json_read_text_into(const struct json *object, const char *name, char *out, size_t size, struct fault *flt)
{
	struct span text;
	int r = json_read_text(object, name, &text, flt);

	if (r)
		return r;
	if (text.length >= size)
		return fault_invalid(flt, "\"%s\" is longer than it can be", name);
	memcpy(out, text.data, text.length);
	out[text.length] = '\0';
	return 0;
}

int json_read_uint(const struct json *object, const char *name, uint64_t *out, struct fault *flt)
{
	const json_t *value = NULL;
	int r = require(object, name, JSON_INTEGER, "a whole number", &value, flt);

	if (r)
		return r;
	if (json_integer_value(value) < 0)
		return fault_invalid(flt, "\"%s\" is negative", name);
	*out = (uint64_t)json_integer_value(value);
	return 0;
}

int json_read_bool(const struct json *object, const char *name, bool *out, struct fault *flt)
{
	const json_t *value = value_of(json_member(object, name));

	if (!value)
		return fault_invalid(flt, "\"%s\" is missing", name);
	if (!json_is_boolean(value))
		return fault_invalid(flt, "\"%s\" is neither true nor false", name);
	*out = json_is_true(value);
	return 0;
}

int json_read_digest(const struct json *object, const char *name, struct digest *out, struct fault *flt)
{
	struct span text;
	int r = json_read_text(object, name, &text, flt);

	if (r)
		return r;
	r = digest_parse(text, out, flt);
	if (r)
		fault_at(flt, "\"%s\"", name);
	return r;
}

int json_read_base64(const struct json *object, const char *name, struct buf *out, struct fault *flt)
{
	struct span text;
	int r = json_read_text(object, name, &text, flt);

	if (r)
		return r;
	r = base64_decode(text, out, flt);
	if (r)
		fault_at(flt, "\"%s\"", name);
	return r;
}

int json_read_object(const struct json *object, const char *name, const struct json **out, struct fault *flt)
{
	const json_t *value = NULL;
	int r = require(object, name, JSON_OBJECT, "an object", &value, flt);

	if (r)
		return r;
	*out = lend(value);
	return 0;
}

int json_read_list(const struct json *object, const char *name, const struct json **out, struct fault *flt)
{
	const json_t *value = NULL;
	int r = require(object, name, JSON_ARRAY, "a list", &value, flt);

	if (r)
		return r;
	*out = lend(value);
	return 0;
}

int json_as_text(const struct json *value, struct span *out, struct fault *flt)
{
	if (!json_is_string(value_of(value)))
		return fault_invalid(flt, "an element is not a text");
	*out = text_of(value_of(value));
	return 0;
}

int json_as_uint(const struct json *value, uint64_t *out, struct fault *flt)
{
	if (!json_is_integer(value_of(value)) || json_integer_value(value_of(value)) < 0)
		return fault_invalid(flt, "an element is not a whole number, 0 or above");
	*out = (uint64_t)json_integer_value(value_of(value));
	return 0;
}

size_t json_count(const struct json *list)
{
	return json_array_size(value_of(list));
}

const struct json *json_at(const struct json *list, size_t index)
{
	return lend(json_array_get(value_of(list), index));
}

struct json_walk json_walk(const struct json *object)
{
	return (struct json_walk){.object = object};
}

bool json_step(struct json_walk *walk)
{
	json_t *object = value_of(walk->object);
	const json_t *value;

	walk->position = walk->position ? json_object_iter_next(object, walk->position) : json_object_iter(object);
	if (!walk->position) {
		*walk = (struct json_walk){0}; /* one more step is over too */
		return false;
	}
	value = json_object_iter_value(walk->position);
	walk->name = json_object_iter_key(walk->position);
	walk->value = json_is_null(value) ? NULL : lend(value);
	return true;
}

static bool is_among(const char *name, const char *const *names)
{
	while (*names && strcmp(*names, name))
		names++;
	return *names;
}

int json_check_members(const struct json *object, const char *const *names, struct fault *flt)
{
	struct json_walk walk = json_walk(object);

	if (!json_is_an_object(object))
		return fault_invalid(flt, "it is not an object");
	while (json_step(&walk))
		if (!is_among(walk.name, names))
			return fault_invalid(flt, "there is no member \"%.64s\"", walk.name);
	return 0;
}

int json_check_format(const struct json *object, const char *name, uint64_t latest, struct fault *flt)
{
	struct span format;
	uint64_t version;
	int r = json_read_text(object, "format", &format, flt);

	if (r)
		return r;
	if (!span_is(format, name))
		return fault_invalid(flt, "\"format\" is not %s", name);
	r = json_read_uint(object, "formatVersion", &version, flt);
	if (r)
		return r;
	if (version > latest)
		return fault_undecided(flt, FAULT_LIMIT, "it is of version %" PRIu64 " of the format, and %" PRIu64
				       " is the latest that is read here", version, latest);
	return version ? 0 : fault_invalid(flt, "there is no version 0 of the format");
}

/* ---- Writing ---- */

/* Takes `value`, which may be NULL. */
static struct json *new_draft(json_t *value)
{
	struct json_draft *draft = value ? malloc(sizeof(*draft)) : NULL;

	if (!draft) {
		json_decref(value);
		return NULL;
	}
	*draft = (struct json_draft){.value = value};
	draft->head.type = (json_type)JSON_DRAFT;
	return (struct json *)(void *)draft;
}

struct json *json_new_object(void)
{
	return new_draft(json_object());
}

struct json *json_new_list(void)
{
	return new_draft(json_array());
}

/* Takes `value`. jansson fails if it is NULL, or if `object` is not an object. */
static void put(struct json *object, const char *name, json_t *value)
{
	struct json_draft *draft = draft_of(object);

	if (!draft)
		json_decref(value);
	else if (json_object_set_new(draft->value, name, value))
		draft->failed = true;
}

static void add(struct json *list, json_t *value)
{
	struct json_draft *draft = draft_of(list);

	if (!draft)
		json_decref(value);
	else if (json_array_append_new(draft->value, value))
		draft->failed = true;
}

/* If the text is not UTF-8, mark the enclosing value as failed, with the reason. @return whether it is UTF-8 */
static bool check_text(struct json *container, struct span text)
{
	struct json_draft *draft = draft_of(container);

	if (printable_is_utf8(text))
		return true;
	if (draft)
		draft->failed = draft->is_no_text = true;
	return false;
}

static json_t *new_text(struct span text)
{
	return json_stringn(text.length ? (const char *)text.data : "", text.length);
}

/* A text to display: bytes that JSON cannot hold are escaped. */
static json_t *new_shown(const char *text)
{
	struct buf shown;
	json_t *value;

	if (printable_is_utf8(span_of_text(text)))
		return new_text(span_of_text(text));
	buf_init(&shown, SIZE_MAX);
	value = printable_append(span_of_text(text), &shown, NULL) ? NULL : new_text(buf_span(&shown));
	buf_release(&shown);
	return value;
}

static json_t *new_number(uint64_t number)
{
	return number <= INT64_MAX ? json_integer((json_int_t)number) : NULL;
}

/* Take `value` to put it into `container`; NULL if something in it has failed. */
static json_t *undraft(struct json *container, struct json *value)
{
	struct json_draft *draft = draft_of(value), *outer = draft_of(container);
	json_t *inner = value_of(value);

	if (draft && outer && draft->is_no_text)
		outer->is_no_text = true;
	if (draft && draft->failed) {
		json_decref(inner);
		inner = NULL;
	}
	free(draft);
	return inner;
}

void json_put_text(struct json *object, const char *name, const char *text)
{
	json_put_span(object, name, span_of_text(text));
}

void json_put_span(struct json *object, const char *name, struct span text)
{
	if (check_text(object, text))
		put(object, name, new_text(text));
}

void json_put_shown(struct json *object, const char *name, const char *text)
{
	put(object, name, new_shown(text));
}

void json_put_uint(struct json *object, const char *name, uint64_t number)
{
	put(object, name, new_number(number));
}

void json_put_bool(struct json *object, const char *name, bool flag)
{
	put(object, name, json_boolean(flag));
}

void json_put_null(struct json *object, const char *name)
{
	put(object, name, json_null());
}

void json_put_digest(struct json *object, const char *name, const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	put(object, name, json_string(text));
}

void json_put_base64(struct json *object, const char *name, struct span bytes)
{
	struct buf text;

	buf_init(&text, SIZE_MAX);
	if (base64_encode(bytes, &text, NULL))
		put(object, name, NULL);
	else
		json_put_span(object, name, buf_span(&text));
	buf_release(&text);
}

void json_put(struct json *object, const char *name, struct json *value)
{
	put(object, name, undraft(object, value));
}

void json_add_text(struct json *list, const char *text)
{
	if (check_text(list, span_of_text(text)))
		add(list, new_text(span_of_text(text)));
}

void json_add_shown(struct json *list, const char *text)
{
	add(list, new_shown(text));
}

void json_add_uint(struct json *list, uint64_t number)
{
	add(list, new_number(number));
}

void json_add(struct json *list, struct json *value)
{
	add(list, undraft(list, value));
}

struct rendering {
	struct buf *out;
	struct fault *flt;
	int verdict;
};

static int render_piece(const char *data, size_t size, void *context)
{
	struct rendering *rendering = context;

	/* jansson overlooks some failures and goes on. */
	if (!rendering->verdict)
		rendering->verdict =
			buf_append(rendering->out, (struct span){(const unsigned char *)data, size}, rendering->flt);
	return rendering->verdict;
}

int json_render(const struct json *value, enum json_layout layout, struct buf *out, struct fault *flt)
{
	const bool is_pretty = layout == JSON_PRETTY || layout == JSON_SHOWN_PRETTY;
	const bool is_shown = layout == JSON_SHOWN_COMPACT || layout == JSON_SHOWN_PRETTY;
	const size_t flags = (is_pretty ? JSON_INDENT(2) : JSON_COMPACT) | (is_shown ? JSON_ENSURE_ASCII : 0);
	const struct json_draft *draft = draft_of(value);
	struct rendering rendering = {.out = out, .flt = flt};
	size_t before = out->length;

	if (draft && draft->is_no_text)
		return fault_system(flt, EILSEQ, "a text is no UTF-8, which JSON has to be");
	if (!value || (draft && draft->failed))
		return fault_no_memory(flt);
	if (json_dump_callback(value_of(value), render_piece, &rendering, JSON_ENCODE_ANY | flags) ||
	    rendering.verdict) {
		out->length = before;
		return rendering.verdict ? rendering.verdict : fault_no_memory(flt);
	}
	return 0;
}
