/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Names in the mount (see path.h).
 */
#include "path.h"

#include "verify/hex.h"
#include "verify/printable.h"
#include "verify/semver.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* What names of a kind look like. UNKNOWN: no name tells that something is of that kind. */
enum form { FIXED, PART, VERSION, REQUIREMENT, RECORD, ANY, UNKNOWN };

/* One row a kind. Of the kinds with one parent, the first whose form fits is meant. */
static const struct {
	enum path_kind parent;
	mode_t type;
	enum form form;
	const char *text; /* FIXED: the whole name; else what always follows */
	unsigned above;   /* names before the namespace */
	unsigned parts;   /* 1: has a namespace, 2: has a package too */
} kinds[PATH_KINDS] = {
	[PATH_ROOT] = {PATH_ROOT, S_IFDIR, FIXED, "", 0, 0},
	[PATH_NAMESPACE] = {PATH_ROOT, S_IFDIR, PART, "", 0, 1},
	[PATH_PACKAGE] = {PATH_NAMESPACE, S_IFDIR, PART, "", 0, 2},
	[PATH_RELEASE] = {PATH_PACKAGE, S_IFREG, VERSION, ".wasm", 0, 2},
	[PATH_LATEST] = {PATH_PACKAGE, S_IFLNK, FIXED, "latest.wasm", 0, 2},
	[PATH_REQUIREMENT] = {PATH_PACKAGE, S_IFLNK, REQUIREMENT, ".wasm", 0, 2},
	[PATH_YANKED] = {PATH_PACKAGE, S_IFDIR, FIXED, ".yanked", 0, 2},
	[PATH_YANKED_VERSION] = {PATH_YANKED, S_IFREG, VERSION, "", 0, 2},
	[PATH_LINKS] = {PATH_ROOT, S_IFDIR, FIXED, ".latest", 0, 0},
	[PATH_LINKS_NAMESPACE] = {PATH_LINKS, S_IFDIR, PART, "", 1, 1},
	[PATH_LINK] = {PATH_LINKS_NAMESPACE, S_IFLNK, PART, ".wasm", 1, 2},
	[PATH_WARG] = {PATH_ROOT, S_IFDIR, FIXED, ".warg", 0, 0},
	[PATH_STATUS] = {PATH_WARG, S_IFREG, FIXED, "status", 0, 0},
	[PATH_CHECKPOINT] = {PATH_WARG, S_IFREG, FIXED, "checkpoint", 0, 0},
	[PATH_OPERATOR] = {PATH_WARG, S_IFREG, FIXED, "operator.json", 0, 0},
	[PATH_METRICS] = {PATH_WARG, S_IFREG, FIXED, "metrics", 0, 0},
	[PATH_LOGS] = {PATH_WARG, S_IFDIR, FIXED, "log", 0, 0},
	[PATH_LOGS_NAMESPACE] = {PATH_LOGS, S_IFDIR, PART, "", 2, 1},
	[PATH_LOG] = {PATH_LOGS_NAMESPACE, S_IFREG, PART, ".json", 2, 2},
	[PATH_PROOFS] = {PATH_WARG, S_IFDIR, FIXED, "proof", 0, 0},
	[PATH_PROOFS_NAMESPACE] = {PATH_PROOFS, S_IFDIR, PART, "", 2, 1},
	[PATH_PROOFS_PACKAGE] = {PATH_PROOFS_NAMESPACE, S_IFDIR, PART, "", 2, 2},
	[PATH_PROOF] = {PATH_PROOFS_PACKAGE, S_IFREG, VERSION, ".json", 2, 2},
	[PATH_RECEIPTS] = {PATH_WARG, S_IFDIR, FIXED, "receipts", 0, 0},
	[PATH_RECEIPTS_NAMESPACE] = {PATH_RECEIPTS, S_IFDIR, PART, "", 2, 1},
	[PATH_RECEIPTS_PACKAGE] = {PATH_RECEIPTS_NAMESPACE, S_IFDIR, PART, "", 2, 2},
	[PATH_RECEIPT] = {PATH_RECEIPTS_PACKAGE, S_IFREG, RECORD, ".json", 2, 2},
	[PATH_STAGED] = {PATH_PACKAGE, S_IFREG, ANY, "", 0, 2},
	[PATH_STAGED_FOLDER] = {PATH_PACKAGE, S_IFDIR, UNKNOWN, "", 0, 2},
	[PATH_STAGED_INNER] = {PATH_STAGED_FOLDER, S_IFREG, ANY, "", 0, 2},
	[PATH_STAGED_LINK] = {PATH_PACKAGE, S_IFLNK, UNKNOWN, "", 0, 2},
	[PATH_TRANSACTIONS] = {PATH_ROOT, S_IFDIR, FIXED, ".publish", 0, 0},
	[PATH_TRANSACTIONS_NAMESPACE] = {PATH_TRANSACTIONS, S_IFDIR, PART, "", 1, 1},
	[PATH_TRANSACTION] = {PATH_TRANSACTIONS_NAMESPACE, S_IFDIR, PART, "", 1, 2},
	[PATH_ENTRY] = {PATH_TRANSACTION, S_IFREG, VERSION, ".wasm", 1, 2},
	[PATH_ENTRY_STAGED] = {PATH_TRANSACTION, S_IFREG, ANY, "", 1, 2},
	[PATH_ENTRY_FOLDER] = {PATH_TRANSACTION, S_IFDIR, UNKNOWN, "", 1, 2},
	[PATH_ENTRY_INNER] = {PATH_ENTRY_FOLDER, S_IFREG, ANY, "", 1, 2},
};

struct path path_root(void)
{
	return (struct path){ .kind = PATH_ROOT };
}

bool path_join(const struct path *folder, enum path_kind kind, struct span stem, struct path *out)
{
	size_t end = strlen(folder->text), suffix = strlen(kinds[kind].text);
	struct path path = *folder;

	if (kinds[kind].form == FIXED)
		stem = span_of_text("");
	if (stem.length > NAME_MAX - suffix)
		return false;
	path.kind = kind;
	if (end)
		path.text[end++] = '/';
	memcpy(path.text + end, stem.data, stem.length);
	memcpy(path.text + end + stem.length, kinds[kind].text, suffix);
	*out = path;
	return true;
}

/* A name that people and logs can show, and that a folder can have. */
static bool is_any_name(struct span name)
{
	return name.length && printable_is(name) && !memchr(name.data, '/', name.length) && !span_is(name, ".") &&
	       !span_is(name, "..");
}

/* Whether a place of the kind can be called `name`. @param stem  set if so */
static bool fits(enum path_kind kind, struct span name, struct span *stem)
{
	size_t suffix = strlen(kinds[kind].text);
	struct semver_requirement requirement;
	struct semver version;
	struct digest record;

	if (name.length < suffix || name.length > NAME_MAX ||
	    memcmp(name.data + name.length - suffix, kinds[kind].text, suffix) != 0)
		return false;
	*stem = (struct span){ name.data, name.length - suffix };
	switch (kinds[kind].form) {
	case FIXED:
		return stem->length == 0 && suffix > 0;
	case PART:
		return name_is_part(*stem);
	case VERSION:
		return semver_parse(*stem, &version, NULL) == 0;
	case REQUIREMENT:
		return semver_requirement_parse(*stem, &requirement, NULL) == 0;
	case RECORD:
		return hex_decode(*stem, record.bytes, sizeof(record.bytes), NULL) == 0;
	case ANY:
		return is_any_name(*stem);
	case UNKNOWN:
		break;
	}
	return false;
}

bool path_child(const struct path *parent, const char *name, struct path *out)
{
	struct span text = span_of_text(name), stem;

	for (enum path_kind kind = PATH_ROOT + 1; kind < PATH_KINDS; kind++) {
		if (kinds[kind].parent == parent->kind && fits(kind, text, &stem))
			return path_join(parent, kind, stem, out);
	}
	return false;
}

bool path_is_for_writing(enum path_kind kind)
{
	return kind >= PATH_STAGED;
}

bool path_is_draft(enum path_kind kind)
{
	return kinds[kind].form == ANY;
}

bool path_has_digest(enum path_kind kind)
{
	return kind == PATH_RELEASE || kind == PATH_ENTRY || path_is_draft(kind);
}

bool path_as_draft(const struct path *path, struct path *out)
{
	enum path_kind folder = kinds[path->kind].parent;

	if (folder != PATH_PACKAGE && folder != PATH_TRANSACTION && !path_is_inner(folder))
		return false;
	*out = *path;
	if (!path_is_inner(folder))
		out->kind = folder == PATH_PACKAGE ? PATH_STAGED : PATH_ENTRY_STAGED;
	return true;
}

bool path_as_folder(const struct path *path, struct path *out)
{
	if ((path->kind != PATH_STAGED && path->kind != PATH_ENTRY_STAGED) || *path_name(path) != '.')
		return false;
	*out = *path;
	out->kind = path->kind == PATH_STAGED ? PATH_STAGED_FOLDER : PATH_ENTRY_FOLDER;
	return true;
}

bool path_is_inner(enum path_kind kind)
{
	return kind == PATH_STAGED_FOLDER || kind == PATH_STAGED_INNER || kind == PATH_ENTRY_FOLDER ||
	       kind == PATH_ENTRY_INNER;
}

struct path path_parent(const struct path *path)
{
	const char *end = strrchr(path->text, '/');
	struct path parent = { .kind = kinds[path->kind].parent };

	if (end)
		memcpy(parent.text, path->text, (size_t)(end - path->text));
	return parent;
}

struct path path_of_package(const struct name *name)
{
	struct path path = path_root();

	path_of(PATH_PACKAGE, name, &path);
	return path;
}

bool path_of(enum path_kind kind, const struct name *name, struct path *out)
{
	struct span stem = {0};

	if (kind == PATH_ROOT) {
		*out = path_root();
		return true;
	}
	if (kinds[kind].form != FIXED && kinds[kind].form != PART)
		return false;
	if (kinds[kind].form == PART)
		stem = kinds[kind].parts == 1 ? name_namespace(name) : name_package(name);
	return path_of(kinds[kind].parent, name, out) && path_join(out, kind, stem, out);
}

const char *path_name(const struct path *path)
{
	const char *end = strrchr(path->text, '/');

	return end ? end + 1 : path->text;
}

mode_t path_type(enum path_kind kind)
{
	return kinds[kind].type;
}

enum path_kind path_next_fixed(enum path_kind folder, enum path_kind after)
{
	enum path_kind kind = after + 1;

	while (kind < PATH_KINDS && (kinds[kind].parent != folder || kinds[kind].form != FIXED))
		kind++;
	return kind;
}

enum path_kind path_parts_in(enum path_kind folder)
{
	enum path_kind kind = PATH_ROOT + 1;

	while (kind < PATH_KINDS && (kinds[kind].parent != folder || kinds[kind].form != PART))
		kind++;
	return kind;
}

bool path_is_called_namespace(enum path_kind kind)
{
	return kinds[kind].form == PART && kinds[kind].parts == 1;
}

bool path_is_called_package(enum path_kind kind)
{
	return kinds[kind].form == PART && kinds[kind].parts == 2;
}

bool path_is_called_version(enum path_kind kind)
{
	return kinds[kind].form == VERSION;
}

enum path_kind path_folder(enum path_kind kind)
{
	return kinds[kind].parent;
}

bool path_is_document(enum path_kind kind)
{
	return kind > PATH_WARG && kind <= PATH_RECEIPT && kinds[kind].type == S_IFREG;
}

bool path_has_text(enum path_kind kind)
{
	return path_is_document(kind) || kind == PATH_YANKED_VERSION;
}

bool path_has_namespace(enum path_kind kind)
{
	return kinds[kind].parts >= 1;
}

bool path_has_package(enum path_kind kind)
{
	return kinds[kind].parts >= 2;
}

struct span path_namespace(const struct path *path)
{
	const char *text = path->text;

	for (unsigned i = 0; i < kinds[path->kind].above; i++)
		text = strchr(text, '/') + 1;
	return (struct span){ (const unsigned char *)text, strcspn(text, "/") };
}

/* A package's name has no dot: what follows it is cut off there. */
struct name path_package(const struct path *path)
{
	struct span namespace = path_namespace(path);
	const char *package = (const char *)namespace.data + namespace.length + 1;
	struct name name = { .colon = namespace.length };

	snprintf(name.text, sizeof(name.text), "%.*s:%.*s", (int)namespace.length, (const char *)namespace.data,
		 (int)strcspn(package, "/."), package);
	return name;
}

struct span path_stem(const struct path *path)
{
	struct span name = span_of_text(path_name(path));

	if (kinds[path->kind].form != FIXED)
		name.length -= strlen(kinds[path->kind].text);
	return name;
}

struct digest path_record(const struct path *path)
{
	struct digest record = {0};

	hex_decode(path_stem(path), record.bytes, sizeof(record.bytes), NULL);
	return record;
}

void path_version(const struct path *path, char out[static CAP_VERSION + 1])
{
	struct span stem = path_stem(path);

	snprintf(out, CAP_VERSION + 1, "%.*s", (int)stem.length, (const char *)stem.data);
}
