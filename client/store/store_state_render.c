/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Writing state files: store_state.h. The order of members and what is left out are the reference's own.
 */
#include "store_state.h"

static void put_time(struct json *object, const char *name, struct record_time time)
{
	char text[40];

	store_state_format_time(time, text);
	json_put_text(object, name, text);
}

/* Render and free `value`, which is NULL when memory ran out. */
static int finish(struct json *value, struct buf *out, struct fault *flt)
{
	int r = json_render(value, JSON_PRETTY, out, flt);

	json_free(value);
	return r;
}

/* ---- The parts that both kinds of log have ---- */

static void put_frame_start(struct json *object, const char *label, const struct store_state *state)
{
	struct json *checkpoint;

	json_put_text(object, "registry", label);
	if (state->has_checkpoint) {
		checkpoint = json_new_object();
		checkpoint_json_put_contents(checkpoint, &state->checkpoint);
		json_put(object, "checkpoint", checkpoint);
	}
}

static void put_frame_end(struct json *object, const struct store_state *state)
{
	if (state->position.known)
		json_put_uint(object, "headRegistryIndex", state->position.registry_index);
	if (state->position.token[0])
		json_put_text(object, "headFetchToken", state->position.token);
}

static void put_head(struct json *state, const struct log_head *head)
{
	struct json *value = json_new_object();

	json_put_text(state, "algorithm", "sha256");
	json_put_digest(value, "digest", &head->record_id);
	put_time(value, "timestamp", head->time);
	json_put(state, "head", value);
}

static struct json *new_permissions(unsigned permissions)
{
	struct json *list = json_new_list();

	if (permissions & PERMISSION_RELEASE)
		json_add_text(list, "release");
	if (permissions & PERMISSION_YANK)
		json_add_text(list, "yank");
	if (permissions & PERMISSION_COMMIT)
		json_add_text(list, "commit");
	if (permissions & PERMISSION_DEFINE_NAMESPACE)
		json_add_text(list, "defineNamespace");
	if (permissions & PERMISSION_IMPORT_NAMESPACE)
		json_add_text(list, "importNamespace");
	return list;
}

static void put_permissions(struct json *state, const struct log_keys *keys)
{
	struct json *map = json_new_object();
	char id[DIGEST_TEXT_SIZE];

	for (size_t i = 0; i < keys->count; i++) {
		digest_format(ecdsa_public_key_id(keys->keys[i].key), id);
		json_put(map, id, new_permissions(keys->keys[i].permissions));
	}
	json_put(state, "permissions", map);
}

static void put_keys(struct json *state, const struct log_keys *keys)
{
	struct json *map = json_new_object();
	char id[DIGEST_TEXT_SIZE];

	for (size_t i = 0; i < keys->count; i++) {
		digest_format(ecdsa_public_key_id(keys->keys[i].key), id);
		json_put_text(map, id, ecdsa_public_key_text(keys->keys[i].key));
	}
	json_put(state, "keys", map);
}

/* ---- The operator's log ---- */

static void put_namespaces(struct json *state, const struct operator_namespace *namespaces, size_t count)
{
	struct json *map = json_new_object();

	for (size_t i = 0; i < count; i++) {
		struct json *definition = json_new_object();

		if (namespaces[i].registry) {
			struct json *how = json_new_object();
			struct json *imported = json_new_object();

			json_put_text(imported, "registry", namespaces[i].registry);
			json_put(how, "imported", imported);
			json_put(definition, "state", how);
		} else {
			json_put_text(definition, "state", "defined");
		}
		json_put(map, namespaces[i].name, definition);
	}
	json_put(state, "namespaces", map);
}

int store_state_render_operator(const struct operator_log *log, const char *label, const struct store_state *state,
				struct buf *out, struct fault *flt)
{
	const struct log_keys *keys = operator_log_keys(log);
	struct json *value = json_new_object();
	struct json *inner = json_new_object();
	const struct operator_namespace *namespaces;
	size_t count;

	put_frame_start(value, label, state);
	if (operator_log_head(log))
		put_head(inner, operator_log_head(log));
	if (keys->count) {
		put_permissions(inner, keys);
		put_keys(inner, keys);
	}
	namespaces = operator_log_namespaces(log, &count);
	if (count)
		put_namespaces(inner, namespaces, count);
	json_put(value, "state", inner);
	put_frame_end(value, state);
	return finish(value, out, flt);
}

bool store_state_fits_operator(const struct operator_log *log)
{
	const struct log_head *head = operator_log_head(log);

	return !head || head->time.seconds >= 0;
}

/* ---- Package logs ---- */

static struct json *new_release(const struct package_release *release)
{
	struct json *value = json_new_object();
	struct json *state = json_new_object();

	json_put_digest(value, "recordId", &release->record_id);
	json_put_text(value, "version", release->version);
	json_put_digest(value, "by", &release->by);
	put_time(value, "timestamp", release->time);
	if (release->yank) {
		json_put_text(state, "status", "yanked");
		json_put_digest(state, "by", &release->yank->by);
		put_time(state, "timestamp", release->yank->at);
	} else {
		json_put_text(state, "status", "released");
		json_put_digest(state, "content", &release->content);
	}
	json_put(value, "state", state);
	return value;
}

static void put_releases(struct json *state, const struct package_release *releases, size_t count)
{
	struct json *map = json_new_object();

	for (size_t i = 0; i < count; i++)
		json_put(map, releases[i].version, new_release(&releases[i]));
	json_put(state, "releases", map);
}

int store_state_render_package(const struct package_log *log, const char *label, const struct store_state *state,
			       struct buf *out, struct fault *flt)
{
	const struct log_keys *keys = package_log_keys(log);
	struct json *value = json_new_object();
	struct json *inner = json_new_object();
	const struct package_release *releases;
	size_t count;

	json_put_text(value, "name", package_log_name_text(log));
	put_frame_start(value, label, state);
	if (package_log_head(log))
		put_head(inner, package_log_head(log));
	if (keys->count)
		put_permissions(inner, keys);
	releases = package_log_releases(log, &count);
	if (count)
		put_releases(inner, releases, count);
	if (keys->count)
		put_keys(inner, keys);
	json_put(value, "state", inner);
	put_frame_end(value, state);
	return finish(value, out, flt);
}

bool store_state_fits_package(const struct package_log *log)
{
	const struct log_head *head = package_log_head(log);
	const struct package_release *releases;
	size_t count;

	releases = package_log_releases(log, &count);
	for (size_t i = 0; i < count; i++)
		if (releases[i].time.seconds < 0 || (releases[i].yank && releases[i].yank->at.seconds < 0))
			return false;
	return !head || head->time.seconds >= 0;
}
