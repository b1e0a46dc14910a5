/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Reading state files: store_state.h. What the reference's serialisation leaves out is documented in interop.md
 * section C 2; what its log states can be, in protocol.md sections 4 and 8.
 */
#include "store_state.h"

#include <stdio.h>
#include <string.h>

/* ---- Times ---- */

void store_state_format_time(struct record_time time, char out[static 40])
{
	snprintf(out, 40, "%lld.%ld", (long long)time.seconds, (long)time.nanos);
}

/* Digits without a leading zero, at most `limit`. Moves `text` behind them. */
static bool take_number(struct span *text, uint64_t limit, uint64_t *out)
{
	uint64_t number = 0;
	size_t count = 0;

	for (; count < text->length && text->data[count] >= '0' && text->data[count] <= '9'; count++) {
		uint64_t digit = text->data[count] - (uint64_t)'0';

		if (number > (limit - digit) / 10 || (count && !number))
			return false;
		number = number * 10 + digit;
	}
	*text = (struct span){text->data + count, text->length - count};
	*out = number;
	return count > 0;
}

int store_state_parse_time(struct span text, struct record_time *out, struct fault *flt)
{
	uint64_t seconds, nanos;

	if (!take_number(&text, INT64_MAX, &seconds) || !text.length || text.data[0] != '.')
		return fault_invalid(flt, "a timestamp is not <seconds>.<nanoseconds>");
	text = (struct span){text.data + 1, text.length - 1};
	if (!take_number(&text, 999999999, &nanos) || text.length)
		return fault_invalid(flt, "a timestamp is not <seconds>.<nanoseconds>");
	*out = (struct record_time){.seconds = (int64_t)seconds, .nanos = (int32_t)nanos};
	return 0;
}

static int read_time(const struct json *object, const char *name, struct record_time *out, struct fault *flt)
{
	struct span text;
	int r = json_read_text(object, name, &text, flt);

	if (r)
		return r;
	r = store_state_parse_time(text, out, flt);
	if (r)
		fault_at(flt, "\"%s\"", name);
	return r;
}

/* ---- What both kinds of log have in common ---- */

/* The members of a file around the log's state. */
static int read_frame(const struct json *value, struct store_state *out, struct fault *flt)
{
	struct store_state state = {0};
	struct span text;
	int r;

	if (!json_is_an_object(value))
		return fault_invalid(flt, "the state is not an object");
	/* Whose registry it is follows from the folder; the text is not used, but must be one. */
	if (json_member(value, "registry")) {
		r = json_read_text(value, "registry", &text, flt);
		if (r)
			return r;
	}
	if (json_member(value, "checkpoint")) {
		r = checkpoint_json_read_contents(json_member(value, "checkpoint"), &state.checkpoint, flt);
		if (r) {
			fault_at(flt, "\"checkpoint\"");
			return r;
		}
		state.has_checkpoint = true;
	}
	if (json_member(value, "headRegistryIndex")) {
		r = json_read_uint(value, "headRegistryIndex", &state.position.registry_index, flt);
		if (r)
			return r;
		if (state.position.registry_index >= CAP_LOG_LENGTH)
			return fault_invalid(flt, "\"headRegistryIndex\" is no place in a log");
		state.position.known = true;
	}
	if (json_member(value, "headFetchToken")) {
		r = json_read_text(value, "headFetchToken", &text, flt);
		if (r)
			return r;
		/* One too long for us is forgotten: fetching from the start leads to the same log. */
		if (text.length <= CAP_FETCH_TOKEN)
			memcpy(state.position.token, text.data, text.length);
	}
	*out = state;
	return 0;
}

static int read_head(const struct json *state, struct log_head *out, bool *has, struct fault *flt)
{
	const struct json *head = json_member(state, "head");
	struct span algorithm;
	int r;

	if (!json_member(state, "algorithm") != !head)
		return fault_invalid(flt, "\"algorithm\" and \"head\" are not there together");
	if (head) {
		r = json_read_text(state, "algorithm", &algorithm, flt);
		if (r)
			return r;
		if (!span_is(algorithm, "sha256"))
			return fault_invalid(flt, "\"algorithm\" is not sha256");
		r = json_read_digest(head, "digest", &out->record_id, flt);
		if (!r)
			r = read_time(head, "timestamp", &out->time, flt);
		if (r) {
			fault_at(flt, "\"head\"");
			return r;
		}
	}
	*has = head != NULL;
	return 0;
}

static const struct {
	const char *name;
	unsigned bit;
} permission_names[] = {
	{"release", PERMISSION_RELEASE},
	{"yank", PERMISSION_YANK},
	{"commit", PERMISSION_COMMIT},
	{"defineNamespace", PERMISSION_DEFINE_NAMESPACE},
	{"importNamespace", PERMISSION_IMPORT_NAMESPACE},
};

static unsigned permission_of(struct span name)
{
	for (size_t i = 0; i < sizeof(permission_names) / sizeof(permission_names[0]); i++)
		if (span_is(name, permission_names[i].name))
			return permission_names[i].bit;
	return 0;
}

/* Which permissions exist for this kind of log is for the log itself to say. */
static int read_permissions(const struct json *list, unsigned *out, struct fault *flt)
{
	unsigned permissions = 0, bit;
	struct span name;
	int r;

	if (!json_is_a_list(list))
		return fault_invalid(flt, "permissions are not a list");
	for (size_t i = 0; i < json_count(list); i++) {
		r = json_as_text(json_at(list, i), &name, flt);
		if (r)
			return r;
		bit = permission_of(name);
		if (!bit || permissions & bit)
			return fault_invalid(flt, "a permission that does not exist, or twice");
		permissions |= bit;
	}
	*out = permissions;
	return 0;
}

/* An optional member that is an object: NULL if it is not there, which walks as an empty one. */
static int read_map(const struct json *state, const char *name, const struct json **out, struct fault *flt)
{
	*out = NULL;
	return json_member(state, name) ? json_read_object(state, name, out, flt) : 0;
}

/* One of the two logs, so that keys are restored by the same lines. */
struct log {
	struct package_log *package;
	struct operator_log *operator;
	struct ecdsa_recent_keys *recent; /* looked at before a key is parsed; may be NULL */
};

static int restore_key(const struct log *log, const struct json_walk *at, const struct json *permissions,
		       struct fault *flt)
{
	struct ecdsa_public_key *key = NULL;
	const struct json *list = json_member(permissions, at->name);
	unsigned granted = 0;
	struct digest id;
	struct span text;
	int r;

	r = digest_parse(span_of_text(at->name), &id, flt);
	if (!r)
		r = json_as_text(at->value, &text, flt);
	if (!r && list)
		r = read_permissions(list, &granted, flt);
	if (!r)
		r = ecdsa_recent_keys_parse(log->recent, text, &key, flt);
	if (r)
		return r;
	if (!digest_equals(&id, ecdsa_public_key_id(key)))
		r = fault_invalid(flt, "a key's id is not the hash of the key");
	else if (log->package)
		r = package_log_restore_key(log->package, key, granted, flt);
	else
		r = operator_log_restore_key(log->operator, key, granted, flt);
	ecdsa_public_key_unref(key);
	return r;
}

static int restore_keys(const struct json *state, const struct log *log, bool has_head, struct fault *flt)
{
	const struct json *keys, *permissions;
	struct json_walk at;
	size_t count = 0;
	int r;

	r = read_map(state, "keys", &keys, flt);
	if (!r)
		r = read_map(state, "permissions", &permissions, flt);
	if (r)
		return r;
	for (at = json_walk(keys); json_step(&at); count++) {
		r = restore_key(log, &at, permissions, flt);
		if (r) {
			fault_at(flt, "key %s", at.name);
			return r;
		}
	}
	if ((count > 0) != has_head)
		return fault_invalid(flt, "keys and \"head\" are not there together");
	for (at = json_walk(permissions); json_step(&at);)
		if (!at.value || !json_member(keys, at.name))
			return fault_invalid(flt, "permissions for a key that is not known");
	return 0;
}

/* The state inside the file; NULL if the reference left it out. */
static int read_state(const struct json *value, const struct json **out, struct log_head *head, bool *has_head,
		      struct fault *flt)
{
	int r = read_map(value, "state", out, flt);

	return r ? r : read_head(*out, head, has_head, flt);
}

/* ---- The operator's log ---- */

static int restore_namespace(struct operator_log *log, const struct json_walk *at, struct fault *flt)
{
	const struct json *state = json_member(at->value, "state"), *imported = NULL;
	struct span registry = {0};
	int r;

	if (json_is_an_object(state)) {
		r = json_read_object(state, "imported", &imported, flt);
		if (!r)
			r = json_read_text(imported, "registry", &registry, flt);
		if (!r && !registry.length)
			r = fault_invalid(flt, "imported from nowhere");
	} else {
		r = json_read_text(at->value, "state", &registry, flt);
		if (!r && !span_is(registry, "defined"))
			r = fault_invalid(flt, "neither defined nor imported");
		registry = (struct span){0};
	}
	if (r)
		return r;
	return operator_log_restore_namespace(log, span_of_text(at->name), registry, flt);
}

static int restore_operator(const struct json *value, struct operator_log *log, struct fault *flt)
{
	const struct json *state = NULL, *namespaces = NULL;
	struct log_head head = {0};
	bool has_head = false;
	int r;

	r = read_state(value, &state, &head, &has_head, flt);
	if (!r)
		r = restore_keys(state, &(struct log){.operator = log}, has_head, flt);
	if (!r && has_head)
		r = operator_log_restore_head(log, &head, flt);
	if (!r)
		r = read_map(state, "namespaces", &namespaces, flt);
	if (r)
		return r;
	for (struct json_walk at = json_walk(namespaces); json_step(&at);) {
		if (!has_head)
			return fault_invalid(flt, "namespaces without \"head\"");
		r = restore_namespace(log, &at, flt);
		if (r) {
			fault_at(flt, "namespace %s", at.name);
			return r;
		}
	}
	return 0;
}

int store_state_read_operator(const struct json *value, struct operator_log **log, struct store_state *state,
			      struct fault *flt)
{
	struct operator_log *restored = NULL;
	struct store_state frame;
	int r;

	r = read_frame(value, &frame, flt);
	if (!r)
		r = operator_log_new(&restored, flt);
	if (!r)
		r = restore_operator(value, restored, flt);
	if (r) {
		operator_log_unref(restored);
		return r;
	}
	*log = restored;
	*state = frame;
	return 0;
}

/* ---- Package logs ---- */

/* @param yank  where the release's is put if it was yanked */
static int read_release_state(const struct json *state, struct package_release *out, struct package_yank *yank,
			      struct fault *flt)
{
	struct span status;
	int r;

	r = json_read_text(state, "status", &status, flt);
	if (r)
		return r;
	if (span_is(status, "released"))
		return json_read_digest(state, "content", &out->content, flt);
	if (!span_is(status, "yanked"))
		return fault_invalid(flt, "neither released nor yanked");
	out->yank = yank;
	r = json_read_digest(state, "by", &yank->by, flt);
	return r ? r : read_time(state, "timestamp", &yank->at, flt);
}

static int read_release(const struct json_walk *at, struct package_release *out, struct package_yank *yank,
			struct fault *flt)
{
	const struct json *state = NULL;
	struct span version;
	int r;

	out->version = at->name;
	r = json_read_text(at->value, "version", &version, flt);
	if (!r)
		r = json_read_digest(at->value, "recordId", &out->record_id, flt);
	if (!r)
		r = json_read_digest(at->value, "by", &out->by, flt);
	if (!r)
		r = read_time(at->value, "timestamp", &out->time, flt);
	if (!r)
		r = json_read_object(at->value, "state", &state, flt);
	if (!r)
		r = read_release_state(state, out, yank, flt);
	if (r)
		return r;
	if (!span_is(version, at->name))
		return fault_invalid(flt, "\"version\" is another");
	return 0;
}

/* What one record after the other could have led to: known keys, and no time before an earlier or after the head's. */
static int check_release(const struct package_log *log, const struct package_release *release,
			 struct record_time before, const struct log_head *head, struct fault *flt)
{
	const struct log_keys *keys = package_log_keys(log);

	if (!log_keys_find(keys, &release->by) || (release->yank && !log_keys_find(keys, &release->yank->by)))
		return fault_invalid(flt, "by a key that is not known");
	if (record_time_compare(release->time, before) < 0 || record_time_compare(release->time, head->time) > 0)
		return fault_invalid(flt, "times are not in order");
	if (release->yank && (record_time_compare(release->yank->at, release->time) < 0 ||
			      record_time_compare(release->yank->at, head->time) > 0))
		return fault_invalid(flt, "times are not in order");
	return 0;
}

static int restore_releases(const struct json *state, struct package_log *log, const struct log_head *head,
			    struct fault *flt)
{
	const struct json *releases;
	struct record_time before = {0};
	int r;

	r = read_map(state, "releases", &releases, flt);
	if (r)
		return r;
	for (struct json_walk at = json_walk(releases); json_step(&at);) {
		struct package_release release = {0};
		struct package_yank yank;

		if (!head)
			return fault_invalid(flt, "releases without \"head\"");
		r = read_release(&at, &release, &yank, flt);
		if (!r)
			r = check_release(log, &release, before, head, flt);
		if (!r)
			r = package_log_restore_release(log, &release, flt);
		if (r) {
			fault_at(flt, "release %s", at.name);
			return r;
		}
		before = release.time;
	}
	return 0;
}

static int restore_package(const struct json *value, const struct log *to, struct fault *flt)
{
	struct package_log *log = to->package;
	const struct json *state = NULL;
	struct log_head head = {0};
	bool has_head = false;
	int r;

	r = read_state(value, &state, &head, &has_head, flt);
	if (!r)
		r = restore_keys(state, to, has_head, flt);
	if (!r && has_head)
		r = package_log_restore_head(log, &head, flt);
	if (!r)
		r = restore_releases(state, log, has_head ? &head : NULL, flt);
	return r;
}

int store_state_read_package(const struct json *value, struct ecdsa_recent_keys *keys, struct package_log **log,
			     struct store_state *state, struct fault *flt)
{
	struct package_log *restored = NULL;
	struct store_state frame;
	struct span text;
	struct name name;
	int r;

	r = read_frame(value, &frame, flt);
	if (!r)
		r = json_read_text(value, "name", &text, flt);
	if (!r)
		r = name_parse(text, &name, flt);
	if (!r)
		r = package_log_new(&name, &restored, flt);
	if (!r)
		r = restore_package(value, &(struct log){.package = restored, .recent = keys}, flt);
	if (r) {
		package_log_unref(restored);
		return r;
	}
	*log = restored;
	*state = frame;
	return 0;
}
