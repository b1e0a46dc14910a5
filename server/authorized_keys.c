/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The rules (see authorized_keys.h), from the tables of a TOML document.
 */
#include "authorized_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/base/file.h"
#include "toml.h"
#include "verify/printable.h"

/* What one table says. */
struct rule {
	char subject[sizeof(((struct name *)NULL)->text)]; /* a namespace, or a package's name with its colon */
	struct digest *keys;
	size_t key_count;
	bool delegation;
};

struct authorized_keys {
	struct rule *rules; /* sorted by their subjects */
	size_t count;
	char warning[256];
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

const char *authorized_keys_warning(const struct authorized_keys *keys)
{
	return keys && *keys->warning ? keys->warning : NULL;
}

/* ---- Reading ---- */

static int refuse(const struct toml_value *value, struct fault *flt, const char *what)
{
	fault_invalid(flt, "%s", what);
	fault_at(flt, "line %u", value->line);
	return WARG_INVALID;
}

/* The reference takes any text for the name of a key or a namespace; one that is none is nobody's. */
static void warn(struct authorized_keys *keys, const struct toml_value *value, struct span text, const char *what)
{
	char shown[128];

	if (*keys->warning)
		return;
	printable_write(text, shown, sizeof(shown));
	snprintf(keys->warning, sizeof(keys->warning), "line %u: '%s' is no %s, so it matches nothing", value->line,
		 shown, what);
}

static int read_keys(struct authorized_keys *keys, const struct toml_value *list, struct rule *rule, struct fault *flt)
{
	size_t count = 0;

	if (list->type != TOML_ARRAY)
		return refuse(list, flt, "keys are a list in [ ]");
	for (const struct toml_value *key = list->first; key; key = key->next, count++)
		if (key->type != TOML_STRING)
			return refuse(key, flt, "a key's id is a string in quotes");
	rule->keys = calloc(count + 1, sizeof(*rule->keys));
	if (!rule->keys)
		return fault_no_memory(flt);
	for (const struct toml_value *key = list->first; key; key = key->next) {
		if (!digest_parse(buf_span(&key->text), &rule->keys[rule->key_count], NULL))
			rule->key_count++;
		else
			warn(keys, key, buf_span(&key->text), "key id (sha256: and 64 digits)");
	}
	return 0;
}

static int read_rule(struct authorized_keys *keys, const struct toml_value *table, struct rule *rule, struct fault *flt)
{
	bool has_keys = false;
	int r = 0;

	if (table->type != TOML_TABLE)
		return refuse(table, flt, "a table with keys is wanted");
	for (const struct toml_value *entry = table->first; entry && !r; entry = entry->next) {
		if (span_is(buf_span(&entry->key), "keys")) {
			has_keys = true;
			r = read_keys(keys, entry, rule, flt);
		} else if (span_is(buf_span(&entry->key), "delegation") && entry->type == TOML_BOOL) {
			rule->delegation = span_is(buf_span(&entry->text), "true");
		} else {
			r = refuse(entry, flt, "only keys, a list, and delegation, true or false, are known");
		}
	}
	return r || has_keys ? r : refuse(table, flt, "the table has no keys");
}

/* @param is_known  whether it names anything */
static int name_rule(struct authorized_keys *keys, const struct toml_value *table, bool is_package, struct rule *rule,
		     bool *is_known, struct fault *flt)
{
	const struct span subject = buf_span(&table->key);
	struct name name;

	*is_known = true;
	if (is_package && name_parse(subject, &name, NULL))
		return refuse(table, flt, "[package.\"NAMESPACE:NAME\"] is wanted");
	if (is_package) {
		memcpy(rule->subject, name.text, sizeof(rule->subject));
	} else if (name_is_part(subject)) {
		memcpy(rule->subject, subject.data, subject.length);
	} else {
		*is_known = false;
		warn(keys, table, subject, "namespace");
	}
	return 0;
}

static int add_rule(struct authorized_keys *keys, const struct toml_value *table, bool is_package, struct fault *flt)
{
	struct rule rule = {0};
	bool is_known = false;
	int r = name_rule(keys, table, is_package, &rule, &is_known, flt);

	if (!r)
		r = read_rule(keys, table, &rule, flt);
	if (r || !is_known) {
		free(rule.keys);
		return r;
	}
	keys->rules[keys->count++] = rule;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct rule *)a)->subject, ((const struct rule *)b)->subject);
}

static int add_rules(struct authorized_keys *keys, const struct toml_value *tables, bool is_package, struct fault *flt)
{
	int r = tables->type == TOML_TABLE ? 0 : refuse(tables, flt, "a table of tables is wanted");

	for (const struct toml_value *table = tables->first; table && !r; table = table->next)
		r = add_rule(keys, table, is_package, flt);
	return r;
}

static size_t count_parts(const struct toml_value *whole)
{
	size_t count = 0;

	for (const struct toml_value *part = whole->first; part; part = part->next)
		count++;
	return count;
}

static int read_document(struct authorized_keys *keys, const struct toml_value *document, struct fault *flt)
{
	size_t room = 0;
	int r = 0;

	for (const struct toml_value *tables = document->first; tables; tables = tables->next)
		room += count_parts(tables);
	keys->rules = calloc(room + 1, sizeof(*keys->rules));
	if (!keys->rules)
		return fault_no_memory(flt);
	for (const struct toml_value *tables = document->first; tables && !r; tables = tables->next) {
		const bool is_package = span_is(buf_span(&tables->key), "package");

		if (!is_package && !span_is(buf_span(&tables->key), "namespace"))
			r = refuse(tables, flt, "only [namespace.NAME] and [package.\"NAMESPACE:NAME\"] are known");
		else
			r = add_rules(keys, tables, is_package, flt);
	}
	qsort(keys->rules, keys->count, sizeof(*keys->rules), compare);
	return r;
}

int authorized_keys_parse(struct span text, struct authorized_keys **out, struct fault *flt)
{
	struct toml_value *document = NULL;
	struct authorized_keys *keys;
	int r = toml_parse(text, &document, flt);

	if (r)
		return r;
	keys = calloc(1, sizeof(*keys));
	r = keys ? read_document(keys, document, flt) : fault_no_memory(flt);
	toml_free(document);
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

static const struct rule *find(const struct authorized_keys *keys, struct span subject)
{
	struct rule wanted = {0};

	memcpy(wanted.subject, subject.data, subject.length);
	return bsearch(&wanted, keys->rules, keys->count, sizeof(*keys->rules), compare);
}

static bool lists(const struct rule *rule, const struct digest *key_id)
{
	bool is_listed = false;

	for (size_t i = 0; rule && i < rule->key_count && !is_listed; i++)
		is_listed = digest_equals(&rule->keys[i], key_id);
	return is_listed;
}

static bool delegates(const struct rule *rule)
{
	return rule && rule->delegation;
}

static bool has_init(const struct record *record)
{
	for (size_t i = 0; i < record->entry_count; i++)
		if (record->entries[i].type == ENTRY_INIT)
			return true;
	return false;
}

int authorized_keys_check(const struct authorized_keys *keys, const struct name *name, const struct digest *key_id,
			  const struct record *record, struct fault *flt)
{
	const struct rule *of_package = find(keys, span_of_text(name->text));
	const struct rule *of_namespace = find(keys, name_namespace(name));
	char text[DIGEST_TEXT_SIZE];

	if (!record->entry_count || lists(of_namespace, key_id) || lists(of_package, key_id))
		return 0;
	if ((delegates(of_namespace) || delegates(of_package)) && !has_init(record))
		return 0;
	digest_format(key_id, text);
	return fault_undecided(flt, FAULT_DENIED, "key id `%s` is not authorized to publish to package `%.140s`", text,
			       name->text);
}
