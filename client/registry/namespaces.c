/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The namespace map: namespaces.h.
 */
#include "namespaces.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/file.h"
#include "client/base/json.h"

#define MAP_MODE 0666 /* less the umask, as the reference */

/* ---- The map's file ---- */

/*
 * Links in the path are followed, the last one too: it is what the user configured.
 * @param out  free() it; NULL: there is no such file
 */
static int follow(const char *path, char **out, struct fault *flt)
{
	*out = realpath(path, NULL);
	return *out || errno == ENOENT ? 0 : fault_system(flt, errno, "opening");
}

/* Read the file in a folder. @param out  an object; json_free() it */
static int read_map(int folder, const char *name, struct json **out, struct fault *flt)
{
	struct json *value = NULL;
	bool found = false;
	struct buf text;
	int r;

	buf_init(&text, CAP_FILE_CONFIG);
	r = file_read(folder, name, &text, &found, flt);
	/* The reference empties the file before it writes. */
	if (!r && (!found || !text.length))
		r = buf_append_text(&text, "{}", flt);
	if (!r)
		r = json_parse(buf_span(&text), &value, flt);
	if (!r && !json_is_an_object(value))
		r = fault_invalid(flt, "it is no map");
	buf_release(&text);
	if (r)
		json_free(value);
	else
		*out = value;
	return r;
}

static void read_entry(const struct json_walk *walk, struct namespaces_entry *out)
{
	struct span namespace = span_of_text(walk->name), domain;

	memcpy(out->namespace, namespace.data, namespace.length + 1);
	out->domain[0] = '\0';
	if (walk->value && !json_as_text(walk->value, &domain, NULL))
		domain_read(domain, out->domain, NULL);
}

static int read_entries(const struct json *value, struct namespaces *out, struct fault *flt)
{
	struct namespaces map = {0};

	map.entries = calloc(CAP_NAMESPACE_MAP, sizeof(*map.entries));
	if (!map.entries)
		return fault_no_memory(flt);
	for (struct json_walk walk = json_walk(value); json_step(&walk);) {
		if (!name_is_part(span_of_text(walk.name)))
			continue;
		if (map.count == CAP_NAMESPACE_MAP) {
			namespaces_release(&map);
			return fault_undecided(flt, FAULT_LIMIT, "it has more than %d namespaces", CAP_NAMESPACE_MAP);
		}
		read_entry(&walk, &map.entries[map.count++]);
	}
	*out = map;
	return 0;
}

static int blame(struct fault *flt, const char *path, int verdict)
{
	fault_at(flt, "file %s", path);
	fault_blame(flt, FAULT_BY_CACHE);
	return verdict;
}

int namespaces_load(const char *path, struct namespaces *out, struct fault *flt)
{
	struct json *value = NULL;
	const char *name;
	char *target;
	int folder = -1;
	int r = follow(path, &target, flt);

	if (r)
		return blame(flt, path, r);
	if (!target) {
		*out = (struct namespaces){0};
		return 0;
	}
	r = file_open_parent(target, &folder, &name, flt);
	if (!r)
		r = read_map(folder, name, &value, flt);
	if (!r)
		r = read_entries(value, out, flt);
	json_free(value);
	if (folder >= 0)
		close(folder);
	free(target);
	return r ? blame(flt, path, r) : 0;
}

void namespaces_release(struct namespaces *map)
{
	free(map->entries);
	*map = (struct namespaces){0};
}

/* The map with the entry in it, in the reference's form. What else is there stays as it is. */
static int render(const struct json *map, const char *namespace, const char *domain, struct buf *out,
		  struct fault *flt)
{
	struct json *changed = json_new_object();
	struct span text;
	int r = 0;

	for (struct json_walk walk = json_walk(map); !r && json_step(&walk);) {
		if (!strcmp(walk.name, namespace))
			continue;
		r = walk.value ? json_as_text(walk.value, &text, flt) : fault_invalid(flt, "a domain is no text");
		if (!r)
			json_put_span(changed, walk.name, text);
	}
	json_put_text(changed, namespace, domain);
	if (!r)
		r = json_render(changed, JSON_COMPACT, out, flt);
	json_free(changed);
	return r;
}

/* In a folder that is locked. */
static int add(int folder, const char *name, const char *namespace, const char *domain, struct fault *flt)
{
	struct json *map = NULL;
	struct buf text;
	int r;

	buf_init(&text, CAP_FILE_CONFIG);
	r = read_map(folder, name, &map, flt);
	if (!r)
		r = render(map, namespace, domain, &text, flt);
	if (!r)
		r = file_replace_locked(folder, name, MAP_MODE, buf_span(&text), flt);
	json_free(map);
	buf_release(&text);
	return r;
}

int namespaces_add(const char *path, struct span namespace, const char *domain, struct fault *flt)
{
	char text[CAP_NAME_PART + 1];
	const char *name;
	char *target;
	int folder = -1;
	int r = follow(path, &target, flt);

	if (r)
		return blame(flt, path, r);
	snprintf(text, sizeof(text), "%.*s", (int)namespace.length, (const char *)namespace.data);
	r = file_open_parent(target ? target : path, &folder, &name, flt);
	if (!r)
		r = file_lock_or_fail(folder, flt);
	if (!r)
		r = add(folder, name, text, domain, flt);
	if (folder >= 0)
		close(folder);
	free(target);
	return r ? blame(flt, path, r) : 0;
}

/* ---- Who tells what ---- */

static const struct namespaces_entry *find_entry(const struct namespaces *map, struct span namespace)
{
	for (size_t i = 0; i < map->count; i++)
		if (span_is(namespace, map->entries[i].namespace))
			return &map->entries[i];
	return NULL;
}

static int take_import(const struct operator_namespace *namespace, struct namespaces_place *out, struct fault *flt)
{
	int r;

	out->source = NAMESPACES_IMPORT;
	r = domain_read(span_of_text(namespace->registry), out->domain, flt);
	if (r) {
		fault_at(flt, "the operator imports namespace %.100s", namespace->name);
		fault_blame(flt, FAULT_BY_REGISTRY);
	}
	return r;
}

static int take_entry(const struct namespaces_entry *entry, struct namespaces_place *out, struct fault *flt)
{
	if (!entry->domain[0]) {
		fault_invalid(flt, "the namespace map names no registry's domain for namespace %.100s",
			      entry->namespace);
		fault_blame(flt, FAULT_BY_CACHE);
		return WARG_INVALID;
	}
	out->source = NAMESPACES_MAP;
	memcpy(out->domain, entry->domain, sizeof(out->domain));
	return 0;
}

int namespaces_find(const struct operator_log *operator, const struct namespaces *map, struct span namespace,
		    struct namespaces_place *out, struct fault *flt)
{
	const struct operator_namespace *told = operator ? operator_log_find(operator, namespace) : NULL;
	const struct namespaces_entry *entry = told ? NULL : find_entry(map, namespace);
	struct namespaces_place place = {.source = told ? NAMESPACES_DEFINED : NAMESPACES_NOBODY};
	int r = 0;

	if (told && told->registry)
		r = take_import(told, &place, flt);
	else if (entry)
		r = take_entry(entry, &place, flt);
	if (!r)
		*out = place;
	return r;
}

static void list_imports(const struct operator_namespace *namespaces, size_t count, struct namespaces_listed *out,
			 size_t *used)
{
	for (size_t i = 0; i < count; i++) {
		struct namespaces_listed *listed = &out[*used];

		if (!namespaces[i].registry)
			continue;
		*listed = (struct namespaces_listed){.source = NAMESPACES_IMPORT};
		snprintf(listed->entry.namespace, sizeof(listed->entry.namespace), "%s", namespaces[i].name);
		domain_read(span_of_text(namespaces[i].registry), listed->entry.domain, NULL);
		(*used)++;
	}
}

int namespaces_list(const struct operator_log *operator, const struct namespaces *map, struct namespaces_listed **out,
		    size_t *count, struct fault *flt)
{
	const struct operator_namespace *namespaces = NULL;
	struct namespaces_listed *listed;
	size_t told = 0, used = 0;

	if (operator)
		namespaces = operator_log_namespaces(operator, &told);
	listed = calloc(told + map->count + 1, sizeof(*listed));
	if (!listed)
		return fault_no_memory(flt);
	list_imports(namespaces, told, listed, &used);
	for (size_t i = 0; i < map->count; i++, used++) {
		struct span namespace = span_of_text(map->entries[i].namespace);

		listed[used].entry = map->entries[i];
		listed[used].source = NAMESPACES_MAP;
		listed[used].overruled = operator && operator_log_find(operator, namespace);
	}
	*out = listed;
	*count = used;
	return 0;
}
