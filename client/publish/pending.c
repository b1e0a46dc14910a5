/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The open transaction as a value: pending.h.
 */
#include "pending.h"

#include <stdlib.h>
#include <string.h>

#include "verify/array.h"
#include "verify/semver.h"

/* The words of the file. */
static const struct {
	enum record_entry_type type;
	const char *name;
} entry_types[] = {
	{ENTRY_INIT, "init"}, {ENTRY_RELEASE, "release"}, {ENTRY_YANK, "yank"}, {ENTRY_GRANT_FLAT, "grant"},
	{ENTRY_REVOKE_FLAT, "revoke"},
};
#define ENTRY_TYPES (sizeof(entry_types) / sizeof(entry_types[0]))

static const enum record_permission permissions[] = {PERMISSION_RELEASE, PERMISSION_YANK};
#define PERMISSIONS (sizeof(permissions) / sizeof(permissions[0]))

const char *pending_permission_name(enum record_permission permission)
{
	switch (permission) {
	case PERMISSION_RELEASE:
		return "release";
	case PERMISSION_YANK:
		return "yank";
	default:
		return NULL;
	}
}

void pending_init(struct pending *pending, const struct name *name)
{
	*pending = (struct pending){.name = *name};
}

void pending_release(struct pending *pending)
{
	free(pending->entries);
	pending->entries = NULL;
	pending->count = pending->capacity = 0;
}

/* ---- Entries ---- */

static int check_version(const char *version, struct fault *flt)
{
	struct semver parsed;

	return semver_parse(span_of_text(version), &parsed, flt);
}

static int check_permissions(unsigned set, struct fault *flt)
{
	if (!set || (set & ~(unsigned)PERMISSIONS_PACKAGE))
		return fault_invalid(flt, "it is about no permission that packages have");
	return 0;
}

/* The key has to be one, in the one form; its id follows. */
static int read_key(struct span text, struct pending_entry *entry, struct fault *flt)
{
	struct ecdsa_public_key *key;
	int r = ecdsa_public_key_parse(text, &key, flt);

	if (r)
		return r;
	/* It was found to be exactly this text, which fits. */
	strcpy(entry->key, ecdsa_public_key_text(key));
	entry->key_id = *ecdsa_public_key_id(key);
	ecdsa_public_key_unref(key);
	return 0;
}

static int check_entry(struct pending_entry *entry, struct fault *flt)
{
	int r;

	switch (entry->type) {
	case ENTRY_INIT:
		return 0;
	case ENTRY_RELEASE:
	case ENTRY_YANK:
		return check_version(entry->version, flt);
	case ENTRY_GRANT_FLAT:
		r = read_key(span_of_text(entry->key), entry, flt);
		return r ? r : check_permissions(entry->permissions, flt);
	case ENTRY_REVOKE_FLAT:
		return check_permissions(entry->permissions, flt);
	default:
		return fault_invalid(flt, "packages have no such entry");
	}
}

/* Make room for one more entry. */
static int reserve(struct pending *pending, struct fault *flt)
{
	if (pending->count >= CAP_RECORD_ENTRIES)
		return fault_undecided(flt, FAULT_LIMIT, "a record has at most %u entries", CAP_RECORD_ENTRIES);
	return array_reserve(&pending->entries, pending->count, &pending->capacity, sizeof(*pending->entries), flt);
}

static const struct pending_entry *find(const struct pending *pending, enum record_entry_type type,
					const char *version)
{
	for (size_t i = 0; i < pending->count; i++)
		if (pending->entries[i].type == type && !strcmp(pending->entries[i].version, version))
			return &pending->entries[i];
	return NULL;
}

static void copy_text(struct span text, char *out, size_t size)
{
	if (text.length && text.length < size)
		memcpy(out, text.data, text.length);
}

int pending_copy_record(const struct name *name, const struct record *record, struct pending *out, struct fault *flt)
{
	struct pending_entry *entries = calloc(record->entry_count + 1, sizeof(*entries));

	if (!entries)
		return fault_no_memory(flt);
	for (size_t i = 0; i < record->entry_count; i++) {
		const struct record_entry *entry = &record->entries[i];

		entries[i].type = entry->type;
		/* Whose key an init names is told by who signs. */
		if (entry->type == ENTRY_INIT)
			continue;
		entries[i].permissions = entry->permissions;
		entries[i].key_id = entry->key_id;
		entries[i].content = entry->content;
		copy_text(entry->key, entries[i].key, sizeof(entries[i].key));
		copy_text(entry->version, entries[i].version, sizeof(entries[i].version));
	}
	pending_init(out, name);
	out->entries = entries;
	out->count = record->entry_count;
	out->capacity = record->entry_count + 1;
	return 0;
}

int pending_copy(const struct pending *pending, struct pending *out, struct fault *flt)
{
	struct pending_entry *entries = calloc(pending->count + 1, sizeof(*entries));

	if (!entries)
		return fault_no_memory(flt);
	if (pending->count)
		memcpy(entries, pending->entries, pending->count * sizeof(*entries));
	*out = *pending;
	out->entries = entries;
	out->capacity = pending->count + 1;
	return 0;
}

static bool is_same_entry(const struct pending_entry *a, const struct pending_entry *b)
{
	return a->type == b->type && a->permissions == b->permissions && !strcmp(a->version, b->version) &&
	       digest_equals(&a->content, &b->content) && !strcmp(a->key, b->key) &&
	       digest_equals(&a->key_id, &b->key_id);
}

bool pending_wants_same(const struct pending *a, const struct pending *b)
{
	size_t i = a->count && a->entries[0].type == ENTRY_INIT;
	size_t j = b->count && b->entries[0].type == ENTRY_INIT;

	if (strcmp(a->name.text, b->name.text) || a->count - i != b->count - j)
		return false;
	/* Two that only initialize. */
	if (a->count == i && i != j)
		return false;
	while (i < a->count)
		if (!is_same_entry(&a->entries[i++], &b->entries[j++]))
			return false;
	return true;
}

const struct pending_entry *pending_find(const struct pending *pending, const char *version)
{
	return find(pending, ENTRY_RELEASE, version);
}

bool pending_drop(struct pending *pending, const char *version)
{
	const struct pending_entry *entry = pending_find(pending, version);
	size_t index = entry ? (size_t)(entry - pending->entries) : 0;

	if (!entry)
		return false;
	memmove(&pending->entries[index], &pending->entries[index + 1],
		(pending->count - index - 1) * sizeof(*pending->entries));
	pending->count--;
	return true;
}

/* What could not be valid beside it. */
static int check_company(const struct pending *pending, const struct pending_entry *entry, struct fault *flt)
{
	if (entry->type != ENTRY_INIT && entry->type != ENTRY_RELEASE && entry->type != ENTRY_YANK)
		return 0;
	if (!find(pending, entry->type, entry->version))
		return 0;
	if (entry->type == ENTRY_INIT)
		return fault_undecided(flt, FAULT_EXISTS, "%s is already initialized in the pending publish",
				       pending->name.text);
	return fault_undecided(flt, FAULT_EXISTS, "version %s is already %s in the pending publish", entry->version,
			       entry->type == ENTRY_YANK ? "yanked" : "released");
}

int pending_add(struct pending *pending, const struct pending_entry *entry, struct fault *flt)
{
	struct pending_entry added = *entry;
	struct fault malformed = {0};
	int r = check_entry(&added, &malformed);

	if (r == WARG_INVALID)
		return fault_undecided(flt, FAULT_MISUSE, "%s", malformed.what);
	if (r) {
		if (flt && !flt->verdict)
			*flt = malformed;
		return r;
	}
	if (added.type == ENTRY_INIT)
		added.version[0] = '\0';
	r = check_company(pending, &added, flt);
	if (!r)
		r = reserve(pending, flt);
	if (r)
		return r;
	if (added.type == ENTRY_INIT) {
		memmove(pending->entries + 1, pending->entries, pending->count * sizeof(added));
		pending->entries[0] = added;
	} else {
		pending->entries[pending->count] = added;
	}
	pending->count++;
	return 0;
}

/* ---- Reading ---- */

static int read_version(const struct json *value, struct pending_entry *out, struct fault *flt)
{
	struct semver parsed;
	struct span text;
	int r = json_read_text(value, "version", &text, flt);

	if (!r)
		r = semver_parse(text, &parsed, flt);
	if (r)
		return r;
	memcpy(out->version, text.data, text.length);
	out->version[text.length] = '\0';
	return 0;
}

static int read_permission(const struct json *value, unsigned *out, struct fault *flt)
{
	struct span word;
	int r = json_as_text(value, &word, flt);

	if (r)
		return r;
	for (size_t i = 0; i < PERMISSIONS; i++) {
		if (span_is(word, pending_permission_name(permissions[i]))) {
			*out |= permissions[i];
			return 0;
		}
	}
	return fault_invalid(flt, "there is no permission \"%.*s\"", (int)(word.length < 64 ? word.length : 64),
			     (const char *)word.data);
}

static int read_permissions(const struct json *value, unsigned *out, struct fault *flt)
{
	const struct json *list = NULL;
	int r = json_read_list(value, "permissions", &list, flt);

	for (size_t i = 0; !r && i < json_count(list); i++)
		r = read_permission(json_at(list, i), out, flt);
	return r ? r : check_permissions(*out, flt);
}

static int read_type(const struct json *value, enum record_entry_type *out, struct fault *flt)
{
	struct span type;
	int r = json_read_text(value, "type", &type, flt);

	if (r)
		return r;
	for (size_t i = 0; i < ENTRY_TYPES; i++) {
		if (span_is(type, entry_types[i].name)) {
			*out = entry_types[i].type;
			return 0;
		}
	}
	return fault_invalid(flt, "there is no entry of type \"%.*s\"", (int)(type.length < 64 ? type.length : 64),
			     (const char *)type.data);
}

static int read_grant(const struct json *value, struct pending_entry *out, struct fault *flt)
{
	struct span text;
	int r = json_read_text(value, "key", &text, flt);

	if (!r)
		r = read_key(text, out, flt);
	return r ? r : read_permissions(value, &out->permissions, flt);
}

static int read_entry(const struct json *value, struct pending_entry *out, struct fault *flt)
{
	int r = read_type(value, &out->type, flt);

	if (r)
		return r;
	switch (out->type) {
	case ENTRY_RELEASE:
		r = read_version(value, out, flt);
		return r ? r : json_read_digest(value, "content", &out->content, flt);
	case ENTRY_YANK:
		return read_version(value, out, flt);
	case ENTRY_GRANT_FLAT:
		return read_grant(value, out, flt);
	case ENTRY_REVOKE_FLAT:
		r = json_read_digest(value, "key_id", &out->key_id, flt);
		return r ? r : read_permissions(value, &out->permissions, flt);
	default:
		return 0;
	}
}

static int read_entries(const struct json *value, struct pending *out, struct fault *flt)
{
	const struct json *list = NULL;
	int r = json_read_list(value, "entries", &list, flt);

	for (size_t i = 0; !r && i < json_count(list); i++) {
		r = reserve(out, flt);
		if (r)
			break;
		out->entries[i] = (struct pending_entry){0};
		r = read_entry(json_at(list, i), &out->entries[i], flt);
		if (r)
			fault_at(flt, "entry %zu", i);
		else
			out->count++;
	}
	return r;
}

static int read_head(const struct json *value, struct pending *out, struct fault *flt)
{
	out->has_head = json_member(value, "head") != NULL;
	return out->has_head ? json_read_digest(value, "head", &out->head, flt) : 0;
}

int pending_parse(struct span text, struct pending *out, struct fault *flt)
{
	struct pending pending = {0};
	struct json *value = NULL;
	struct span name;
	int r = json_parse(text, &value, flt);

	if (r)
		return r;
	r = json_read_text(value, "name", &name, flt);
	if (!r)
		r = name_parse(name, &pending.name, flt);
	if (!r)
		r = read_head(value, &pending, flt);
	if (!r)
		r = read_entries(value, &pending, flt);
	json_free(value);
	if (r)
		pending_release(&pending);
	else
		*out = pending;
	return r;
}

/* ---- Writing ---- */

static const char *type_name(enum record_entry_type type)
{
	for (size_t i = 0; i < ENTRY_TYPES; i++)
		if (entry_types[i].type == type)
			return entry_types[i].name;
	return "";
}

static struct json *new_permissions(unsigned set)
{
	struct json *list = json_new_list();

	for (size_t i = 0; i < PERMISSIONS; i++)
		if (set & permissions[i])
			json_add_text(list, pending_permission_name(permissions[i]));
	return list;
}

struct json *pending_entry_new_json(const struct pending_entry *entry)
{
	struct json *value = json_new_object();

	json_put_text(value, "type", type_name(entry->type));
	if (entry->type == ENTRY_RELEASE || entry->type == ENTRY_YANK)
		json_put_text(value, "version", entry->version);
	if (entry->type == ENTRY_RELEASE)
		json_put_digest(value, "content", &entry->content);
	if (entry->type == ENTRY_GRANT_FLAT)
		json_put_text(value, "key", entry->key);
	if (entry->type == ENTRY_REVOKE_FLAT)
		json_put_digest(value, "key_id", &entry->key_id);
	if (entry->type == ENTRY_GRANT_FLAT || entry->type == ENTRY_REVOKE_FLAT)
		json_put(value, "permissions", new_permissions(entry->permissions));
	return value;
}

int pending_render(const struct pending *pending, struct buf *out, struct fault *flt)
{
	struct json *value = json_new_object(), *entries = json_new_list();
	int r;

	json_put_text(value, "name", pending->name.text);
	if (pending->has_head)
		json_put_digest(value, "head", &pending->head);
	else
		json_put_null(value, "head");
	for (size_t i = 0; i < pending->count; i++)
		json_add(entries, pending_entry_new_json(&pending->entries[i]));
	json_put(value, "entries", entries);
	r = json_render(value, JSON_PRETTY, out, flt);
	json_free(value);
	return r;
}
