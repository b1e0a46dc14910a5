/*
 * The rules (see authorized_keys.h), and a reader of the part of TOML 1.0 that they are written in.
 */
#include "authorized_keys.h"

#include <stdlib.h>
#include <string.h>

#include "client/file.h"

/* What one table says. */
struct rule {
	char subject[sizeof(((struct name *)NULL)->text)]; /* a namespace, or a package's name with its colon */
	struct digest *keys;
	size_t key_count;
	bool delegation;
	bool has_keys, has_delegation;
};

struct authorized_keys {
	struct rule *rules;
	size_t count;
};

void authorized_keys_free(struct authorized_keys *keys)
{
	if (!keys)
		return;
	for (size_t i = 0; i < keys->count; i++)
		free(keys->rules[i].keys);
	free(keys->rules);
	free(keys);
}

/* ---- Reading ---- */

/* Where the reader stands. */
struct reader {
	const unsigned char *at, *end;
	unsigned line;
	struct fault *flt;
};

static int bad(struct reader *reader, const char *what)
{
	int r = fault_invalid(reader->flt, "%s", what);

	fault_at(reader->flt, "line %u", reader->line);
	return r;
}

static bool is_at(const struct reader *reader, char character)
{
	return reader->at < reader->end && *reader->at == (unsigned char)character;
}

static bool take(struct reader *reader, char character)
{
	if (!is_at(reader, character))
		return false;
	reader->line += character == '\n';
	reader->at++;
	return true;
}

static void skip_blanks(struct reader *reader)
{
	while (is_at(reader, ' ') || is_at(reader, '\t') || is_at(reader, '\r'))
		reader->at++;
	if (is_at(reader, '#'))
		while (reader->at < reader->end && *reader->at != '\n')
			reader->at++;
}

static void skip_lines(struct reader *reader)
{
	do
		skip_blanks(reader);
	while (take(reader, '\n'));
}

static int end_line(struct reader *reader)
{
	skip_blanks(reader);
	return reader->at == reader->end || take(reader, '\n') ? 0 : bad(reader, "there is more than belongs there");
}

/* A string in either kind of quotes; none that may be here has anything to escape. */
static int read_string(struct reader *reader, struct span *out)
{
	const unsigned char *start = reader->at;
	unsigned char quote;

	if (!is_at(reader, '"') && !is_at(reader, '\''))
		return bad(reader, "a string in quotes is wanted");
	quote = *reader->at++;
	while (reader->at < reader->end && *reader->at != quote && *reader->at >= ' ' && *reader->at != '\\')
		reader->at++;
	*out = (struct span){start + 1, (size_t)(reader->at - start - 1)};
	return take(reader, (char)quote) ? 0 : bad(reader, "a string does not end, or has what none here can have");
}

static bool is_bare(unsigned char character)
{
	return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
	       (character >= '0' && character <= '9') || character == '-' || character == '_';
}

/* A key of TOML: a bare word or a string. */
static int read_word(struct reader *reader, struct span *out)
{
	const unsigned char *start = reader->at;

	if (is_at(reader, '"') || is_at(reader, '\''))
		return read_string(reader, out);
	while (reader->at < reader->end && is_bare(*reader->at))
		reader->at++;
	*out = (struct span){start, (size_t)(reader->at - start)};
	return out->length ? 0 : bad(reader, "a word is wanted");
}

static int read_bool(struct reader *reader, bool *out)
{
	struct span word;
	int r = read_word(reader, &word);

	if (!r && !span_is(word, "true") && !span_is(word, "false"))
		r = bad(reader, "true or false is wanted");
	if (!r)
		*out = span_is(word, "true");
	return r;
}

static int add_key(struct reader *reader, struct rule *rule)
{
	struct digest *keys;
	struct span text;
	int r = read_string(reader, &text);

	if (r)
		return r;
	keys = reallocarray(rule->keys, rule->key_count + 1, sizeof(*keys));
	if (!keys)
		return fault_no_memory(reader->flt);
	rule->keys = keys;
	if (digest_parse(text, &keys[rule->key_count], NULL))
		return bad(reader, "a key id is wanted: sha256: and 64 digits");
	rule->key_count++;
	return 0;
}

static int read_keys(struct reader *reader, struct rule *rule)
{
	int r = 0;

	if (!take(reader, '['))
		return bad(reader, "a list in [ ] is wanted");
	skip_lines(reader);
	while (!r && !is_at(reader, ']')) {
		r = add_key(reader, rule);
		skip_lines(reader);
		if (!r && !take(reader, ',') && !is_at(reader, ']'))
			r = bad(reader, "a list goes on with , or ends with ]");
		skip_lines(reader);
	}
	if (!r)
		take(reader, ']');
	return r;
}

static int read_entry(struct reader *reader, struct rule *rule)
{
	struct span word;
	int r = read_word(reader, &word);

	if (r)
		return r;
	skip_blanks(reader);
	if (!take(reader, '='))
		return bad(reader, "= is wanted");
	skip_blanks(reader);
	if (!rule)
		return bad(reader, "this belongs into a table, [namespace.NAME] or [package.\"NAME\"]");
	if (span_is(word, "keys") && !rule->has_keys) {
		rule->has_keys = true;
		r = read_keys(reader, rule);
	} else if (span_is(word, "delegation") && !rule->has_delegation) {
		rule->has_delegation = true;
		r = read_bool(reader, &rule->delegation);
	} else {
		return bad(reader, "only keys and delegation are known, each once");
	}
	return r ? r : end_line(reader);
}

static int name_rule(struct reader *reader, struct span kind, struct span subject, struct rule *rule)
{
	struct name name;

	if (span_is(kind, "namespace") && name_is_part(subject)) {
		memcpy(rule->subject, subject.data, subject.length);
		return 0;
	}
	if (!span_is(kind, "package") || name_parse(subject, &name, NULL))
		return bad(reader, "[namespace.NAME] or [package.\"NAMESPACE:NAME\"] is wanted");
	memcpy(rule->subject, name.text, sizeof(rule->subject));
	return 0;
}

static int read_header(struct reader *reader, struct rule *rule)
{
	struct span kind, subject;
	int r;

	take(reader, '[');
	skip_blanks(reader);
	r = read_word(reader, &kind);
	skip_blanks(reader);
	if (!r && !take(reader, '.'))
		r = bad(reader, ". is wanted");
	skip_blanks(reader);
	if (!r)
		r = read_word(reader, &subject);
	skip_blanks(reader);
	if (!r && !take(reader, ']'))
		r = bad(reader, "] is wanted");
	if (!r)
		r = name_rule(reader, kind, subject, rule);
	return r ? r : end_line(reader);
}

static const struct rule *find(const struct authorized_keys *keys, struct span subject, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (span_is(subject, keys->rules[i].subject))
			return &keys->rules[i];
	return NULL;
}

static int add_rule(struct reader *reader, struct authorized_keys *keys)
{
	struct rule *rules = reallocarray(keys->rules, keys->count + 1, sizeof(*rules));
	int r;

	if (!rules)
		return fault_no_memory(reader->flt);
	keys->rules = rules;
	rules[keys->count] = (struct rule){0};
	r = read_header(reader, &rules[keys->count++]);
	if (!r && find(keys, span_of_text(rules[keys->count - 1].subject), keys->count - 1))
		r = bad(reader, "this table was there before");
	return r;
}

static int read_all(struct reader *reader, struct authorized_keys *keys)
{
	int r = 0;

	for (skip_lines(reader); !r && reader->at < reader->end; skip_lines(reader)) {
		if (is_at(reader, '['))
			r = add_rule(reader, keys);
		else
			r = read_entry(reader, keys->count ? &keys->rules[keys->count - 1] : NULL);
	}
	for (size_t i = 0; i < keys->count && !r; i++)
		if (!keys->rules[i].has_keys)
			r = fault_invalid(reader->flt, "the table of %.200s has no keys", keys->rules[i].subject);
	return r;
}

int authorized_keys_parse(struct span text, struct authorized_keys **out, struct fault *flt)
{
	struct reader reader = {text.data, text.data + text.length, 1, flt};
	struct authorized_keys *keys = calloc(1, sizeof(*keys));
	int r;

	if (!keys)
		return fault_no_memory(flt);
	r = text.length ? read_all(&reader, keys) : 0;
	if (r)
		authorized_keys_free(keys);
	else
		*out = keys;
	return r;
}

int authorized_keys_read(const char *path, struct authorized_keys **out, struct fault *flt)
{
	struct buf text;
	int r;

	buf_init(&text, CAP_FILE_CONFIG);
	r = file_read_path(path, &text, flt);
	if (!r) {
		r = authorized_keys_parse(buf_span(&text), out, flt);
		if (r)
			fault_at(flt, "%.150s", path);
	}
	buf_release(&text);
	return r;
}

/* ---- The rules ---- */

static bool allows(const struct rule *rule, const struct digest *key_id, bool is_init)
{
	if (!rule)
		return false;
	for (size_t i = 0; i < rule->key_count; i++)
		if (digest_equals(&rule->keys[i], key_id))
			return true;
	return rule->delegation && !is_init;
}

int authorized_keys_check(const struct authorized_keys *keys, const struct name *name, const struct digest *key_id,
			  const struct record *record, struct fault *flt)
{
	const struct rule *of_package = find(keys, span_of_text(name->text), keys->count);
	const struct rule *of_namespace = find(keys, name_namespace(name), keys->count);
	char text[DIGEST_TEXT_SIZE];

	for (size_t i = 0; i < record->entry_count; i++) {
		bool is_init = record->entries[i].type == ENTRY_INIT;

		if (allows(of_namespace, key_id, is_init) || allows(of_package, key_id, is_init))
			continue;
		digest_format(key_id, text);
		return fault_undecided(flt, FAULT_DENIED, "key id `%s` is not authorized to publish to package "
				       "`%.140s`", text, name->text);
	}
	return 0;
}
