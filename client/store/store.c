/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Opening a registry's folder and reading its state files: store.h.
 */
#include "store_parts.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/file.h"
#include "client/base/text.h"
#include "verify/array.h"
#include "verify/hex.h"

/* ---- Folders ---- */

int store_open_registry(const struct store *store, bool make, int *fd, struct fault *flt)
{
	return file_open_inside(store->registries_dir, store->label, make, fd, flt);
}

int store_open_logs(int registry, bool make, int *fd, struct fault *flt)
{
	int outer = -1;
	int r;

	r = file_open_folder(registry, STORE_LOG_FOLDER, make, &outer, flt);
	if (r)
		return r;
	if (outer < 0) {
		*fd = -1;
		return 0;
	}
	r = file_open_folder(outer, STORE_HASH_FOLDER, make, fd, flt);
	close(outer);
	return r;
}

void store_file_name(const struct digest *digest, char out[static DIGEST_TEXT_SIZE])
{
	hex_encode(digest_span(digest), out);
}

/* Make `top`/`inner` where it is missing. */
static int make_folder(const char *top, const char *inner, struct fault *flt)
{
	int folder = -1;
	int r;

	r = file_open_inside(top, inner, true, &folder, flt);
	if (!r)
		close(folder);
	return r;
}

static int make_folders(const struct store *store, struct fault *flt)
{
	int r;

	r = make_folder(store->registries_dir, store->label, flt);
	if (!r)
		r = make_folder(store->content_dir, STORE_HASH_FOLDER, flt);
	if (!r)
		r = make_folder(store->content_dir, STORE_TEMP_FOLDER, flt);
	if (!r)
		r = make_folder(store->own_dir, store->label, flt);
	return r;
}

/* Whether nothing can be written now, be it for a time: what lies there can be used no less. */
static bool is_read_only(const struct fault *flt)
{
	return flt->kind == FAULT_SYSTEM && (flt->errnum == EROFS || flt->errnum == ENOSPC || flt->errnum == EDQUOT ||
					     flt->errnum == EACCES || flt->errnum == EPERM);
}

/* A label comes from a URL or from a registry's hint: it must not lead out of its folder. */
static bool is_label(const char *label)
{
	return label[0] && strcmp(label, ".") && strcmp(label, "..") && !strchr(label, '/');
}

int store_open(const char *registries_dir, const char *content_dir, const char *own_dir, const char *label,
	       struct store **out, struct fault *flt)
{
	struct fault made = {0};
	struct store *store;
	int r;

	if (!is_label(label))
		return fault_undecided(flt, FAULT_MISUSE, "\"%s\" cannot be a registry's folder", label);
	store = calloc(1, sizeof(*store));
	if (!store)
		return fault_no_memory(flt);
	r = store_sizes_init(&store->sizes, flt);
	if (r)
		goto free_store;
	r = text_copy(registries_dir, &store->registries_dir, flt);
	if (!r)
		r = text_copy(content_dir, &store->content_dir, flt);
	if (!r)
		r = text_copy(own_dir, &store->own_dir, flt);
	if (!r)
		r = text_copy(label, &store->label, flt);
	if (!r)
		r = make_folders(store, &made);
	if (made.verdict && is_read_only(&made))
		r = 0;
	else
		fault_pass(&made, flt);
	if (r)
		goto close_store;
	store_sweep_temps(store);
	store_sweep_claims(store);
	*out = store;
	return 0;

free_store:
	free(store);
	return r;
close_store:
	store_close(store);
	return r;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	store_sizes_release(&store->sizes);
	free(store->registries_dir);
	free(store->content_dir);
	free(store->own_dir);
	free(store->label);
	free(store);
}

/* ---- State files ---- */

/* What could not be read for this reason is as good as not there: it is malformed, or larger than anything honest. */
static bool is_unusable(const struct fault *flt)
{
	return flt->verdict == WARG_INVALID || flt->kind == FAULT_LIMIT;
}

/*
 * Read a file as JSON. The reference rewrites its files in place, so a reader without the lock can meet the first part
 * of one: what does not parse is not there, which only means that it is fetched again, and written over.
 */
static int read_json(int folder, const char *name, struct json **out, struct fault *flt)
{
	struct fault unread = {0};
	struct json *value = NULL;
	bool found = false;
	struct buf text;
	int r;

	buf_init(&text, CAP_FILE_STATE);
	r = file_read(folder, name, &text, &found, &unread);
	if (!r && found)
		r = json_parse_within(buf_span(&text), CAP_JSON_VALUES_FILE, &value, &unread);
	buf_release(&text);
	if (r && !is_unusable(&unread)) {
		if (flt && !flt->verdict)
			*flt = unread;
		return r;
	}
	*out = value;
	return 0;
}

/* Faults found inside a state file are the cache's. */
static void blame(struct fault *flt, const char *file)
{
	fault_at(flt, "%s", file);
	fault_blame(flt, FAULT_BY_CACHE);
}

int store_read_checkpoint(int registry, struct signed_checkpoint *out, bool *found, struct fault *flt)
{
	struct json *value = NULL;
	int r;

	r = read_json(registry, "checkpoint", &value, flt);
	if (r)
		return r;
	if (value)
		r = checkpoint_json_read(value, out, flt);
	if (r)
		blame(flt, "file checkpoint");
	else
		*found = value != NULL;
	json_free(value);
	return r;
}

int store_read_operator(int registry, struct operator_log **log, struct store_state *state, struct fault *flt)
{
	struct json *value = NULL;
	int r;

	r = read_json(registry, "operator.log", &value, flt);
	if (r)
		return r;
	if (!value)
		*log = NULL;
	else
		r = store_state_read_operator(value, log, state, flt);
	if (r)
		blame(flt, "file operator.log");
	json_free(value);
	return r;
}

int store_read_package(int logs, const struct name *name, struct ecdsa_recent_keys *keys, struct package_log **log,
		       struct store_state *state, struct fault *flt)
{
	struct digest id = name_log_id(name);
	struct package_log *found = NULL;
	char file[DIGEST_TEXT_SIZE];
	struct json *value = NULL;
	struct store_state read;
	int r;

	store_file_name(&id, file);
	r = read_json(logs, file, &value, flt);
	if (r)
		return r;
	if (value) {
		r = store_state_read_package(value, keys, &found, &read, flt);
		if (!r && strcmp(package_log_name_text(found), name->text)) {
			r = fault_invalid(flt, "it is the state of %s", package_log_name_text(found));
			package_log_unref(found);
		}
		if (r)
			blame(flt, name->text);
		else
			*state = read;
	}
	json_free(value);
	if (!r)
		*log = found;
	return r;
}

/* ---- Loading ---- */

int store_load_checkpoint(struct store *store, struct signed_checkpoint *out, bool *found, struct fault *flt)
{
	int registry = -1;
	int r;

	r = store_open_registry(store, false, &registry, flt);
	if (r)
		return r;
	if (registry < 0) {
		*found = false;
		return 0;
	}
	r = store_read_checkpoint(registry, out, found, flt);
	close(registry);
	return r;
}

int store_load_operator(struct store *store, struct operator_log **out, struct store_position *position,
			struct fault *flt)
{
	struct store_state state = {0};
	int registry = -1;
	int r;

	r = store_open_registry(store, false, &registry, flt);
	if (r)
		return r;
	if (registry < 0) {
		*out = NULL;
		return 0;
	}
	r = store_read_operator(registry, out, &state, flt);
	close(registry);
	if (!r)
		*position = state.position;
	return r;
}

/* package-logs/sha256 of the registry; -1 if there is none. */
static int open_logs(struct store *store, int *logs, struct fault *flt)
{
	int registry = -1;
	int r;

	*logs = -1;
	r = store_open_registry(store, false, &registry, flt);
	if (r || registry < 0)
		return r;
	r = store_open_logs(registry, false, logs, flt);
	close(registry);
	return r;
}

int store_load_package(struct store *store, const struct name *name, struct package_log **out,
		       struct store_position *position, struct fault *flt)
{
	struct store_state state = {0};
	int logs;
	int r;

	r = open_logs(store, &logs, flt);
	if (r)
		return r;
	if (logs < 0) {
		*out = NULL;
		return 0;
	}
	r = store_read_package(logs, name, NULL, out, &state, flt);
	close(logs);
	if (!r)
		*position = state.position;
	return r;
}

/* ---- Listing ---- */

/* Entries of one size, of which there may be many. */
struct list {
	void *entries;
	size_t count, capacity;
};

static int append(struct list *list, const void *entry, size_t size, struct fault *flt)
{
	int r = array_reserve(&list->entries, list->count, &list->capacity, size, flt);

	if (!r)
		memcpy((char *)list->entries + list->count++ * size, entry, size);
	return r;
}

/* Whose log the state is, if it says so. */
static bool is_named(const struct json *value, const char *file, struct name *out)
{
	char expected[DIGEST_TEXT_SIZE];
	struct span text;
	struct digest id;

	if (!value || json_read_text(value, "name", &text, NULL) || name_parse(text, out, NULL))
		return false;
	id = name_log_id(out);
	store_file_name(&id, expected);
	return !strcmp(file, expected);
}

/* The same of a file. Only lack of memory and the like is a fault. */
static int read_name(int logs, const char *file, struct name *out, bool *named, struct fault *flt)
{
	struct json *value = NULL;
	int r = read_json(logs, file, &value, flt);

	if (r)
		return r;
	*named = is_named(value, file, out);
	json_free(value);
	return 0;
}

static int add_package(int logs, const char *file, void *user, struct fault *flt)
{
	struct list *list = user;
	struct name name;
	bool named;
	int r = read_name(logs, file, &name, &named, flt);

	return r || !named ? r : append(list, &name, sizeof(name), flt);
}

static int add_unnamed(int logs, const char *file, void *user, struct fault *flt)
{
	struct list *list = user;
	struct digest id;
	struct name name;
	bool named;
	int r = read_name(logs, file, &name, &named, flt);

	if (r || named || hex_decode(span_of_text(file), id.bytes, DIGEST_SIZE, NULL))
		return r;
	return append(list, &id, sizeof(id), flt);
}

/* Call `take` with the name of each state file. */
static int walk_logs(struct store *store, int (*take)(int logs, const char *file, void *user, struct fault *flt),
		     void *user, struct fault *flt)
{
	struct dirent *entry;
	DIR *folder = NULL;
	int logs;
	int r;

	r = open_logs(store, &logs, flt);
	if (r)
		return r;
	if (logs >= 0) {
		folder = fdopendir(logs);
		if (!folder) {
			r = fault_system(flt, errno, "listing %s", STORE_LOG_FOLDER);
			close(logs);
			return r;
		}
	}
	while (!r && folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			r = take(dirfd(folder), entry->d_name, user, flt);
	if (folder)
		closedir(folder);
	return r;
}

/* @param out  what `add` put into it; free() its entries */
static int list_logs(struct store *store, int (*add)(int logs, const char *file, void *user, struct fault *flt),
		     struct list *out, struct fault *flt)
{
	struct list list = {0};
	int r = walk_logs(store, add, &list, flt);

	if (r)
		free(list.entries);
	else
		*out = list;
	return r;
}

int store_list_packages(struct store *store, struct name **out, size_t *count, struct fault *flt)
{
	struct list list;
	int r = list_logs(store, add_package, &list, flt);

	if (r)
		return r;
	*out = list.entries;
	*count = list.count;
	return 0;
}

/** Who is told of all packages. */
struct visit {
	store_visit *visit;
	void *user;
	struct ecdsa_recent_keys keys; /* few publish much */
};

static int visit_package(int logs, const char *file, void *user, struct fault *flt)
{
	struct package_log *log = NULL;
	struct visit *visit = user;
	struct json *value = NULL;
	struct store_state state;
	struct name name;
	int r = read_json(logs, file, &value, flt);

	if (r)
		return r;
	if (is_named(value, file, &name)) {
		store_state_read_package(value, &visit->keys, &log, &state, NULL);
		r = visit->visit(visit->user, &name, log, flt);
	}
	package_log_unref(log);
	json_free(value);
	return r;
}

int store_each_package(struct store *store, store_visit *visit, void *user, struct fault *flt)
{
	struct visit all = {.visit = visit, .user = user};
	int r = walk_logs(store, visit_package, &all, flt);

	ecdsa_recent_keys_release(&all.keys);
	return r;
}

int store_list_unnamed(struct store *store, struct digest **out, size_t *count, struct fault *flt)
{
	struct list list;
	int r = list_logs(store, add_unnamed, &list, flt);

	if (r)
		return r;
	*out = list.entries;
	*count = list.count;
	return 0;
}
