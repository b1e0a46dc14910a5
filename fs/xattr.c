/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Extended attributes: what is known of a place, as texts. They wait for nobody.
 *
 * The kernel has none in user.* for symbolic links, so they have none. Only what stays as it is on a place that did not
 * change is listed, for programs that copy and compare whatever is (rsync -X, cp -a); the rest answers to its name.
 */
#include "federated.h"
#include "operations.h"
#include "refusals.h"
#include "timestamp.h"
#include "tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define USER "user."
#define PREFIX USER "warg."

/* What the values are taken from. */
struct source {
	struct mount *mount;
	struct node *node;
	struct path path;
	struct namespaces_place place;
	struct registry *registry; /* NULL: it is another one, and nothing is proven of it yet */
	struct view *view;
	const struct view_package *package;     /* of a package or in one, if it is known */
	const struct package_release *release;  /* of a version, yanked or not */
};

#define VALUE_SIZE FAULT_SENTENCE_SIZE

static bool put_digest(const struct digest *digest, char out[static VALUE_SIZE])
{
	digest_format(digest, out);
	return true;
}

static bool put_time(struct record_time time, char out[static VALUE_SIZE])
{
	timestamp_format(time, out);
	return *out;
}

static bool value_of_digest(const struct source *from, char out[static VALUE_SIZE])
{
	return from->node->kind == PATH_RELEASE && put_digest(node_content(from->node), out);
}

static bool is_version(enum path_kind kind)
{
	return kind == PATH_RELEASE || kind == PATH_YANKED_VERSION;
}

/* The record that released it; of a package, its head. */
static const struct digest *record_of(const struct source *from)
{
	const struct log_head *head;

	if (from->release)
		return &from->release->record_id;
	head = from->package && !is_version(from->path.kind) ? package_log_head(from->package->log) : NULL;
	return head ? &head->record_id : NULL;
}

static bool value_of_record(const struct source *from, char out[static VALUE_SIZE])
{
	const struct digest *record = record_of(from);

	return record && put_digest(record, out);
}

/* Only the head's place in the registry's log is known. */
static bool value_of_registry_index(const struct source *from, char out[static VALUE_SIZE])
{
	const struct digest *record = record_of(from);
	const struct log_head *head = from->package ? package_log_head(from->package->log) : NULL;

	if (!record || !head || !from->package->is_placed || !digest_equals(record, &head->record_id))
		return false;
	snprintf(out, VALUE_SIZE, "%" PRIu32, from->package->registry_index);
	return true;
}

static bool value_of_released_by(const struct source *from, char out[static VALUE_SIZE])
{
	return from->release && put_digest(&from->release->by, out);
}

static bool value_of_released_at(const struct source *from, char out[static VALUE_SIZE])
{
	return from->release && put_time(from->release->time, out);
}

static bool value_of_yanked_by(const struct source *from, char out[static VALUE_SIZE])
{
	return from->release && from->release->yank && put_digest(&from->release->yank->by, out);
}

static bool value_of_yanked_at(const struct source *from, char out[static VALUE_SIZE])
{
	return from->release && from->release->yank && put_time(from->release->yank->at, out);
}

/* Of a release: whether the bytes lie here and were hashed by this process. */
static bool value_of_state(const struct source *from, char out[static VALUE_SIZE])
{
	struct content_file *content;

	if (path_is_for_writing(from->node->kind))
		return path_has_digest(from->node->kind) && snprintf(out, VALUE_SIZE, "staged") > 0;
	if (from->node->kind == PATH_YANKED_VERSION)
		return snprintf(out, VALUE_SIZE, "yanked") > 0;
	if (from->node->kind != PATH_RELEASE)
		return false;
	content = content_find(registry_content(from->registry), node_content(from->node));
	snprintf(out, VALUE_SIZE, "%s", content ? "verified" : "unverified");
	content_file_unref(content);
	return true;
}

/* Whether what is told of the place was proven at the newest checkpoint. */
static bool is_of_newest(const struct source *from)
{
	return !path_has_package(from->path.kind) || (from->package && view_package_is_current(from->package));
}

/* The log length and root at which it was proven: for a package that could not be brought further, those are older. */
static bool value_of_checkpoint(const struct source *from, char out[static VALUE_SIZE])
{
	const struct checkpoint *checkpoint = &from->view->checkpoint.contents;
	char root[DIGEST_TEXT_SIZE];

	if (path_has_package(from->path.kind) && !from->package)
		return false;
	if (!is_of_newest(from)) {
		snprintf(out, VALUE_SIZE, "%" PRIu32, from->package->log_length);
		return true;
	}
	digest_format(&checkpoint->log_root, root);
	snprintf(out, VALUE_SIZE, "%" PRIu64 " %s", checkpoint->log_length, root);
	return true;
}

static bool value_of_signed_at(const struct source *from, char out[static VALUE_SIZE])
{
	return is_of_newest(from) &&
	       put_time((struct record_time){ .seconds = (int64_t)from->view->checkpoint.contents.timestamp }, out);
}

static bool value_of_verified_at(const struct source *from, char out[static VALUE_SIZE])
{
	return is_of_newest(from) && put_time((struct record_time){ .seconds = from->view->verified_at }, out);
}

static bool value_of_age(const struct source *from, char out[static VALUE_SIZE])
{
	struct freshness freshness;
	uint64_t age;

	registry_freshness(from->registry, &freshness);
	if (!is_of_newest(from) || !freshness_age(&freshness, freshness_now(), &age))
		return false;
	snprintf(out, VALUE_SIZE, "%" PRIu64, age);
	return true;
}

static bool value_of_stale(const struct source *from, char out[static VALUE_SIZE])
{
	struct freshness freshness;

	if (!is_of_newest(from))
		return false;
	registry_freshness(from->registry, &freshness);
	snprintf(out, VALUE_SIZE, "%s",
		 freshness_left(&freshness, from->mount->options.max_age, freshness_now()) ? "false" : "true");
	return true;
}

static bool value_of_complete(const struct source *from, char out[static VALUE_SIZE])
{
	if (path_type(from->path.kind) != S_IFDIR)
		return false;
	snprintf(out, VALUE_SIZE, "%s", tree_is_complete(from->view, &from->path) ? "true" : "false");
	return true;
}

/* The home registry's URL, or the domain of another one. */
static bool value_of_registry(const struct source *from, char out[static VALUE_SIZE])
{
	const char *domain = from->place.domain;
	int length = snprintf(out, VALUE_SIZE, "%s", *domain ? domain : registry_url(from->mount->registry)->text);

	return length < VALUE_SIZE;
}

/*
 * A package's own fault comes first: it stays until an update succeeds. Every node has this attribute, empty without an
 * error, so that asking for the reason does not fail.
 */
static bool value_of_last_error(const struct source *from, char out[static VALUE_SIZE])
{
	struct fault flt = {0};

	if (from->package && !is_version(from->path.kind))
		flt = *view_package_fault(from->package);
	else if (from->node->kind == PATH_ROOT && from->registry)
		registry_last_fault(from->registry, &flt);
	if (flt.verdict)
		fault_sentence(&flt, out);
	else if (!nodes_error(from->mount->nodes, from->node, out) &&
		 !refusals_find(from->mount->refusals, &from->path, out))
		*out = '\0';
	return true;
}

enum attribute_flags {
	NEEDS_NOTHING = 1, /* it can be told of a registry of which nothing is proven yet */
	OF_STAGED = 2,     /* it can be told of what is not published, too */
	UNLISTED = 4,      /* it tells of now: a copy of it would soon be wrong, and no two copies the same */
};

static const struct {
	const char *name;
	/* @return whether the place has it */
	bool (*value)(const struct source *from, char out[static VALUE_SIZE]);
	unsigned flags;
} attributes[] = {
	{PREFIX "digest", value_of_digest, 0},
	{PREFIX "record", value_of_record, 0},
	{PREFIX "registry_index", value_of_registry_index, 0},
	{PREFIX "released_by", value_of_released_by, 0},
	{PREFIX "released_at", value_of_released_at, 0},
	{PREFIX "yanked_by", value_of_yanked_by, 0},
	{PREFIX "yanked_at", value_of_yanked_at, 0},
	{PREFIX "state", value_of_state, OF_STAGED | UNLISTED},
	{PREFIX "checkpoint", value_of_checkpoint, 0},
	{PREFIX "signed_at", value_of_signed_at, UNLISTED},
	{PREFIX "verified_at", value_of_verified_at, UNLISTED},
	{PREFIX "age", value_of_age, UNLISTED},
	{PREFIX "stale", value_of_stale, UNLISTED},
	{PREFIX "complete", value_of_complete, 0},
	{PREFIX "registry", value_of_registry, NEEDS_NOTHING},
	{PREFIX "last_error", value_of_last_error, NEEDS_NOTHING | OF_STAGED | UNLISTED},
};
#define ATTRIBUTES (sizeof(attributes) / sizeof(attributes[0]))

static bool has_attribute(const struct source *source, size_t index, char out[static VALUE_SIZE])
{
	unsigned flags = attributes[index].flags;

	if (path_is_for_writing(source->path.kind) && !(flags & OF_STAGED))
		return false;
	return (source->registry || (flags & NEEDS_NOTHING)) && attributes[index].value(source, out);
}

static bool open_source(fuse_req_t fuse, fuse_ino_t number, struct source *out)
{
	struct mount *mount = fuse_req_userdata(fuse);
	struct node *node = nodes_find(mount->nodes, number);

	if (!node)
		return false;
	*out = (struct source){ .mount = mount, .node = node, .path = node_path(node) };
	if (federated_find(mount, &out->path, &out->place, NULL) == 0)
		out->registry = federation_registry(mount->federation, out->place.domain);
	out->view = registry_view(out->registry ? out->registry : mount->registry);
	if (!out->view->checkpoint.contents.log_length)
		out->registry = NULL;
	out->package = tree_package(out->view, &out->path);
	if (is_version(node->kind))
		out->release = tree_release(out->view, &out->path);
	return true;
}

static void close_source(struct source *source)
{
	view_unref(source->view);
	nodes_unref(source->mount->nodes, source->node);
}

/* A size of 0 asks how much room is needed. */
static void reply(fuse_req_t fuse, size_t size, const char *bytes, size_t length)
{
	if (!size)
		fuse_reply_xattr(fuse, length);
	else if (length > size)
		fuse_reply_err(fuse, ERANGE);
	else
		fuse_reply_buf(fuse, bytes, length);
}

void operations_getxattr(fuse_req_t fuse, fuse_ino_t number, const char *name, size_t size)
{
	struct mount *mount = fuse_req_userdata(fuse);
	char value[VALUE_SIZE];
	struct source source;
	bool has = false;

	metrics_count(&mount->metrics, METRICS_XATTR);
	/* `ls -l` asks for access lists and labels of every file, until it hears that none here can have any. */
	if (strncmp(name, USER, sizeof(USER) - 1) != 0) {
		fuse_reply_err(fuse, EOPNOTSUPP);
		return;
	}
	if (!open_source(fuse, number, &source)) {
		fuse_reply_err(fuse, EIO);
		return;
	}
	for (size_t i = 0; i < ATTRIBUTES; i++) {
		if (strcmp(attributes[i].name, name) == 0)
			has = has_attribute(&source, i, value);
	}
	close_source(&source);
	if (has)
		reply(fuse, size, value, strlen(value));
	else
		fuse_reply_err(fuse, ENODATA);
}

void operations_listxattr(fuse_req_t fuse, fuse_ino_t number, size_t size)
{
	char names[ATTRIBUTES * 32], value[VALUE_SIZE];
	struct mount *mount = fuse_req_userdata(fuse);
	struct source source;
	size_t used = 0;

	metrics_count(&mount->metrics, METRICS_XATTR);
	if (!open_source(fuse, number, &source)) {
		fuse_reply_err(fuse, EIO);
		return;
	}
	for (size_t i = 0; path_type(source.path.kind) != S_IFLNK && i < ATTRIBUTES; i++) {
		if (!(attributes[i].flags & UNLISTED) && has_attribute(&source, i, value))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s", attributes[i].name) + 1;
	}
	close_source(&source);
	reply(fuse, size, names, used);
}
