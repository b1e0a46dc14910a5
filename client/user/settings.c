/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Our own settings (see settings.h).
 */
#include "settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/file.h"
#include "client/base/json.h"
#include "verify/caps.h"

#define FORMAT "wargfs-settings"
#define FORMAT_VERSION 1
#define SETTINGS_MODE 0666 /* less the umask, as config.json */

static const char *const members[] = {"format", "formatVersion", "operatorKeys", "caFile", NULL};

static int blame_file(const char *file, struct fault *flt)
{
	fault_at(flt, "file %.200s", file);
	fault_blame(flt, FAULT_BY_CACHE);
	return flt ? flt->verdict : WARG_INVALID;
}

/* Every key must be valid, not only the one looked up: settings_write() would lose the others. */
static int check_keys(const struct json *keys, struct fault *flt)
{
	struct json_walk walk = json_walk(keys);
	struct digest key;
	int r = 0;

	while (!r && json_step(&walk))
		r = json_read_digest(keys, walk.name, &key, flt);
	return r;
}

/* An absolute path; a folder cannot be named in a text with a NUL. */
static int check_ca_file(const struct json *value, struct fault *flt)
{
	struct span path;
	int r = json_member(value, "caFile") ? json_read_text(value, "caFile", &path, flt) : 0;

	if (!r && json_member(value, "caFile") && (!path.length || path.data[0] != '/' ||
						   memchr(path.data, 0, path.length)))
		r = fault_invalid(flt, "\"caFile\" is not an absolute path");
	return r;
}

static int parse(struct span text, struct json **out, struct fault *flt)
{
	const struct json *keys;
	struct json *value = NULL;
	int r = json_parse(text, &value, flt);

	if (!r)
		r = json_check_format(value, FORMAT, FORMAT_VERSION, flt);
	if (!r)
		r = json_check_members(value, members, flt);
	if (!r)
		r = json_read_object(value, "operatorKeys", &keys, flt);
	if (!r)
		r = check_keys(keys, flt);
	if (!r)
		r = check_ca_file(value, flt);
	if (r)
		json_free(value);
	else
		*out = value;
	return r;
}

/* @param out  json_free() it; NULL: no such file */
static int load(int folder, const char *name, struct json **out, struct fault *flt)
{
	bool found = false;
	struct buf text;
	int r;

	*out = NULL;
	buf_init(&text, CAP_FILE_CONFIG);
	r = file_read(folder, name, &text, &found, flt);
	if (!r && found)
		r = parse(buf_span(&text), out, flt);
	buf_release(&text);
	return r;
}

/*
 * The same at a path; links are followed. Anything but a regular file is refused: reading a FIFO might never end, and
 * taking it for no file would drop the demanded keys.
 */
static int load_path(const char *file, struct json **out, struct fault *flt)
{
	char *target = realpath(file, NULL);
	const char *name;
	int folder = -1;
	int r;

	*out = NULL;
	if (!target && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	r = target ? file_open_parent(target, &folder, &name, flt) : fault_system(flt, errno, "%.150s", file);
	if (!r)
		r = load(folder, name, out, flt);
	if (!r && !*out)
		r = fault_system(flt, EINVAL, "it is not a regular file");
	if (folder >= 0)
		close(folder);
	free(target);
	return r;
}

int settings_find_operator_key(const char *file, const char *label, struct digest *out, bool *found, struct fault *flt)
{
	const struct json *keys;
	struct json *value = NULL;
	struct fault own = {0};
	int r;

	*found = false;
	if (!file)
		return 0;
	r = load_path(file, &value, &own);
	if (!r && !value)
		return 0;
	if (!r && !json_read_object(value, "operatorKeys", &keys, NULL) && json_member(keys, label))
		r = json_read_digest(keys, label, out, &own);
	else if (!r)
		label = NULL;
	json_free(value);
	*found = !r && label;
	if (r) {
		blame_file(file, &own);
		if (flt && !flt->verdict)
			*flt = own;
	}
	return r;
}

int settings_list_operator_keys(const char *file,
				void (*found)(void *user, const char *label, const struct digest *key), void *user,
				struct fault *flt)
{
	const struct json *keys = NULL;
	struct json *value = NULL;
	struct json_walk walk;
	struct digest key;
	int r = file ? load_path(file, &value, flt) : 0;

	if (r)
		return blame_file(file, flt);
	/* load_path() has checked all of it. */
	if (value && !json_read_object(value, "operatorKeys", &keys, NULL)) {
		walk = json_walk(keys);
		while (json_step(&walk))
			if (!json_read_digest(keys, walk.name, &key, NULL))
				found(user, walk.name, &key);
	}
	json_free(value);
	return 0;
}

int settings_read_ca_file(const char *file, char **out, struct fault *flt)
{
	struct json *value = NULL;
	struct fault own = {0};
	struct span path;
	int r = file ? load_path(file, &value, &own) : 0;

	*out = NULL;
	if (!r && value && !json_read_text(value, "caFile", &path, NULL)) {
		*out = strndup((const char *)path.data, path.length);
		r = *out ? 0 : fault_no_memory(&own);
	}
	json_free(value);
	if (r) {
		blame_file(file, &own);
		fault_pass(&own, flt);
	}
	return r;
}

/* A change of one setting. */
struct change {
	const char *label;        /* of the key to set; NULL: none */
	const struct digest *key; /* NULL: remove it */
	bool sets_ca_file;
	const char *ca_file;      /* NULL: remove it */
};

/* Copy all keys except that of `label`. */
static struct json *change_keys(const struct json *former, const struct change *change)
{
	const struct json *keys = NULL;
	struct json *changed = json_new_object();
	struct json_walk walk;
	struct digest other;

	if (former && !json_read_object(former, "operatorKeys", &keys, NULL)) {
		walk = json_walk(keys);
		while (json_step(&walk))
			if ((!change->label || strcmp(walk.name, change->label)) &&
			    !json_read_digest(keys, walk.name, &other, NULL))
				json_put_digest(changed, walk.name, &other);
	}
	if (change->label && change->key)
		json_put_digest(changed, change->label, change->key);
	return changed;
}

static struct json *apply(const struct json *former, const struct change *change)
{
	struct json *value = json_new_object();
	struct span path = {0};

	json_put_text(value, "format", FORMAT);
	json_put_uint(value, "formatVersion", FORMAT_VERSION);
	json_put(value, "operatorKeys", change_keys(former, change));
	if (!change->sets_ca_file && former && !json_read_text(former, "caFile", &path, NULL))
		json_put_span(value, "caFile", path);
	else if (change->ca_file)
		json_put_text(value, "caFile", change->ca_file);
	return value;
}

static int save(int folder, const char *name, const struct json *value, struct fault *flt)
{
	struct buf text;
	int r;

	buf_init(&text, CAP_FILE_CONFIG);
	r = json_render(value, JSON_PRETTY, &text, flt);
	if (!r)
		r = buf_append_text(&text, "\n", flt);
	if (!r)
		r = file_replace_locked(folder, name, SETTINGS_MODE, buf_span(&text), flt);
	buf_release(&text);
	return r;
}

/* Holds the folder's lock from reading to writing. */
static int set(const char *file, const struct change *change, struct fault *flt)
{
	struct json *former = NULL, *value = NULL;
	char *target = NULL;
	const char *name;
	int folder = -1;
	int r;

	if (!file)
		return fault_undecided(flt, FAULT_MISUSE, "there is no home folder for settings: HOME is not set");
	/* If the file is a symbolic link, replace its target, as with config.json. */
	target = realpath(file, NULL);
	r = file_open_parent(target ? target : file, &folder, &name, flt);
	if (!r)
		r = file_lock_or_fail(folder, flt);
	if (!r)
		r = load(folder, name, &former, flt);
	if (!r) {
		value = apply(former, change);
		r = save(folder, name, value, flt);
	}
	json_free(former);
	json_free(value);
	if (folder >= 0)
		close(folder);
	free(target);
	return r ? blame_file(file, flt) : 0;
}

int settings_set_operator_key(const char *file, const char *label, const struct digest *key, struct fault *flt)
{
	return set(file, &(struct change){.label = label, .key = key}, flt);
}

int settings_set_ca_file(const char *file, const char *path, struct fault *flt)
{
	return set(file, &(struct change){.sets_ca_file = true, .ca_file = path}, flt);
}
