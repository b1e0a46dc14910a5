/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The tree that a view stands for (see tree.h).
 *
 * Namespaces that the operator imported from another registry are not there: their packages are not this registry's.
 */
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int compare_spans(struct span a, struct span b)
{
	int order = memcmp(a.data, b.data, a.length < b.length ? a.length : b.length);

	return order ? order : (a.length > b.length) - (a.length < b.length);
}

static bool is_in(const struct view_package *package, struct span namespace)
{
	return span_equals(package_log_name_namespace(package->log), namespace);
}

static int is_package_in(void *user, const struct view_package *package)
{
	return is_in(package, *(const struct span *)user);
}

static bool knows_package_in(const struct view *view, struct span namespace)
{
	return view_trie_each(&view->packages, is_package_in, &namespace);
}

/* Whether the listing has every package, those that the view knows included. */
static bool lists_all(const struct view *view)
{
	return view->listing && view->listing->complete;
}

static bool lists_package_in(const struct listing *listing, struct span namespace)
{
	size_t first = listing_first_in(listing, namespace);

	return first < listing->names.count && span_equals(name_list_namespace(&listing->names, first), namespace);
}

enum tree_answer tree_has_namespace(const struct view *view, struct span namespace)
{
	const struct operator_namespace *defined = view->operator ? operator_log_find(view->operator, namespace) : NULL;

	if (defined && !defined->registry)
		return TREE_YES;
	if (view->listing && lists_package_in(view->listing, namespace))
		return TREE_YES;
	if (lists_all(view))
		return TREE_NO;
	if (knows_package_in(view, namespace))
		return TREE_YES;
	return view->listing ? TREE_UNSEEN : TREE_ASK_LISTING;
}

enum tree_answer tree_has_package(const struct view *view, const struct name *name)
{
	if (view_find(view, name))
		return TREE_YES;
	if (view->listing && listing_has(view->listing, name))
		return TREE_YES;
	return view->listing && view->listing->complete ? TREE_NO : TREE_ASK_PACKAGE;
}

const struct view_package *tree_package(const struct view *view, const struct path *path)
{
	struct name name;

	if (!path_has_package(path->kind))
		return NULL;
	name = path_package(path);
	return view_find(view, &name);
}

static const struct package_release *release_in(const struct package_log *log, const struct path *path)
{
	struct semver_requirement requirement;

	switch (path->kind) {
	case PATH_RELEASE:
	case PATH_YANKED_VERSION:
	case PATH_PROOF:
		return package_log_find(log, path_stem(path));
	case PATH_LATEST:
	case PATH_LINK:
		return package_log_best(log, NULL);
	case PATH_REQUIREMENT:
		return semver_requirement_parse(path_stem(path), &requirement, NULL) ?
			       NULL : package_log_best(log, &requirement);
	default:
		return NULL;
	}
}

const struct package_release *tree_release(const struct view *view, const struct path *path)
{
	const struct view_package *package = tree_package(view, path);

	return package ? release_in(package->log, path) : NULL;
}

/* What a package has that is not known yet may be behind what went wrong with it. */
static enum tree_answer has_in(const struct view_package *package, const struct path *path)
{
	const struct package_release *release = release_in(package->log, path);

	if (release && (path->kind == PATH_PROOF || !release->yank != (path->kind == PATH_YANKED_VERSION)))
		return TREE_YES;
	return package->fault ? TREE_DOUBT : TREE_NO;
}

/* Something in a package, or that is there with its package. A link is: until the log is known it may have releases. */
static enum tree_answer has_of_package(const struct view *view, const struct path *path)
{
	const struct view_package *package = tree_package(view, path);
	bool stands_for_it = path_is_called_package(path->kind) || path_type(path->kind) == S_IFDIR;
	struct name name = path_package(path);

	if (stands_for_it && !(package && path->kind == PATH_LINK))
		return tree_has_package(view, &name);
	return package ? has_in(package, path) : TREE_ASK_PACKAGE;
}

enum tree_answer tree_has(const struct view *view, const struct path *path)
{
	if (path_has_package(path->kind))
		return has_of_package(view, path);
	if (path_has_namespace(path->kind))
		return tree_has_namespace(view, path_namespace(path));
	return TREE_YES;
}

bool tree_link(const struct view *view, const struct path *path, char out[static PATH_SIZE])
{
	const struct package_release *release;
	struct name name;

	if (path->kind == PATH_LINK) {
		name = path_package(path);
		snprintf(out, PATH_SIZE, "../../%.*s/%s/latest.wasm", (int)name.colon, name.text,
			 name.text + name.colon + 1);
		return true;
	}
	release = tree_release(view, path);
	if (release)
		snprintf(out, PATH_SIZE, "%s.wasm", release->version);
	return release != NULL;
}

/* ---- Listing ---- */

static int compare_entries(const void *a, const void *b)
{
	return compare_spans(((const struct tree_entry *)a)->stem, ((const struct tree_entry *)b)->stem);
}

static void add(struct tree_entries *entries, enum path_kind kind, struct span stem)
{
	/* Most repetitions stand side by side: sorting has less to do. */
	if (entries->count && span_equals(entries->entries[entries->count - 1].stem, stem))
		return;
	entries->entries[entries->count++] = (struct tree_entry){ .kind = kind, .stem = stem };
}

static void sort(struct tree_entries *entries)
{
	size_t kept = 0;

	qsort(entries->entries, entries->count, sizeof(*entries->entries), compare_entries);
	for (size_t i = 0; i < entries->count; i++) {
		if (!kept || compare_entries(&entries->entries[kept - 1], &entries->entries[i]) != 0)
			entries->entries[kept++] = entries->entries[i];
	}
	entries->count = kept;
}

/** Where known packages are added. */
struct adding {
	enum path_kind kind;
	struct span namespace; /* of the packages to add */
	struct tree_entries *out;
};

static int add_namespace(void *user, const struct view_package *package)
{
	const struct adding *adding = user;

	add(adding->out, adding->kind, package_log_name_namespace(package->log));
	return 0;
}

static void list_namespaces(const struct view *view, enum path_kind kind, struct tree_entries *out)
{
	size_t count = 0;
	const struct operator_namespace *namespaces =
		view->operator ? operator_log_namespaces(view->operator, &count) : NULL;

	for (size_t i = 0; i < count; i++) {
		if (!namespaces[i].registry)
			add(out, kind, span_of_text(namespaces[i].name));
	}
	if (!lists_all(view))
		view_trie_each(&view->packages, add_namespace, &(struct adding){.kind = kind, .out = out});
	for (size_t i = 0; view->listing && i < view->listing->names.count; i++)
		add(out, kind, name_list_namespace(&view->listing->names, i));
	sort(out);
}

/* A link that leads nowhere is not shown, once that is known. */
static bool is_shown(const struct view_package *package, enum path_kind kind)
{
	return kind != PATH_LINK || package_log_best(package->log, NULL);
}

static int add_package(void *user, const struct view_package *package)
{
	const struct adding *adding = user;

	if (is_in(package, adding->namespace) && is_shown(package, adding->kind))
		add(adding->out, adding->kind, package_log_name_package(package->log));
	return 0;
}

static void list_packages(const struct view *view, struct span namespace, enum path_kind kind,
			  struct tree_entries *out)
{
	const struct listing *listing = view->listing;

	if (!lists_all(view))
		view_trie_each(&view->packages, add_package, &(struct adding){kind, namespace, out});
	for (size_t i = listing ? listing_first_in(listing, namespace) : 0;
	     listing && i < listing->names.count && span_equals(name_list_namespace(&listing->names, i), namespace);
	     i++) {
		struct name name = name_list_at(&listing->names, i);
		const struct view_package *package = kind == PATH_LINK ? view_find(view, &name) : NULL;

		if (!package || is_shown(package, kind))
			add(out, kind, name_list_package(&listing->names, i));
	}
	sort(out);
}

/* Those that are yanked, or not yanked; all have a proof. */
static void list_releases(const struct package_log *log, enum path_kind kind, bool yanked, struct tree_entries *out)
{
	size_t count;
	const struct package_release *releases = package_log_releases(log, &count);

	for (size_t i = 0; i < count; i++) {
		if (!releases[i].yank != yanked || kind == PATH_PROOF)
			out->entries[out->count++] = (struct tree_entry){
				.kind = kind,
				.stem = span_of_text(releases[i].version),
				.release = &releases[i],
				.digest = &releases[i].content,
			};
	}
}

static void list_package(const struct package_log *log, struct tree_entries *out)
{
	/* First: a program that copies the folder then makes the link before the first version. */
	if (package_log_best(log, NULL))
		out->entries[out->count++] = (struct tree_entry){ .kind = PATH_LATEST };
	list_releases(log, PATH_RELEASE, false, out);
}

static void list_fixed(enum path_kind folder, struct tree_entries *out)
{
	if (path_has_package(folder))
		return; /* it is not known */
	for (enum path_kind kind = path_next_fixed(folder, PATH_ROOT); kind < PATH_KINDS;
	     kind = path_next_fixed(folder, kind))
		out->entries[out->count++] = (struct tree_entry){ .kind = kind };
}

/* How many entries a folder has at most. */
static size_t most_entries(const struct view *view, const struct view_package *package)
{
	size_t count = 0;

	if (package) {
		package_log_releases(package->log, &count);
		return count + 1;
	}
	if (view->operator)
		operator_log_namespaces(view->operator, &count);
	return count + view->packages.count + (view->listing ? view->listing->names.count : 0) + PATH_KINDS;
}

static void list_in_package(const struct package_log *log, enum path_kind folder, struct tree_entries *out)
{
	if (folder == PATH_PACKAGE)
		list_package(log, out);
	else if (folder == PATH_YANKED)
		list_releases(log, PATH_YANKED_VERSION, true, out);
	else if (folder == PATH_PROOFS_PACKAGE)
		list_releases(log, PATH_PROOF, false, out);
}

static void list(const struct view *view, const struct path *folder, const struct view_package *package,
		 struct tree_entries *out)
{
	enum path_kind parts = path_parts_in(folder->kind);

	if (package)
		list_in_package(package->log, folder->kind, out);
	else if (parts == PATH_KINDS)
		list_fixed(folder->kind, out);
	else if (path_is_called_namespace(parts))
		list_namespaces(view, parts, out);
	else
		list_packages(view, path_namespace(folder), parts, out);
}

int tree_list(const struct view *view, const struct path *folder, struct tree_entries *out, struct fault *flt)
{
	const struct view_package *package = tree_package(view, folder);
	struct tree_entries entries = {0};

	entries.entries = calloc(most_entries(view, package), sizeof(*entries.entries));
	if (!entries.entries)
		return fault_no_memory(flt);
	list(view, folder, package, &entries);
	*out = entries;
	return 0;
}

void tree_entries_release(struct tree_entries *entries)
{
	free(entries->entries);
	*entries = (struct tree_entries){0};
}

bool tree_is_complete(const struct view *view, const struct path *folder)
{
	const struct view_package *package;

	if (folder->kind == PATH_WARG)
		return true;
	if (!path_has_package(folder->kind))
		return view->listing && view->listing->complete;
	package = tree_package(view, folder);
	return package && !package->fault;
}

/* ---- Times ---- */

static bool take_head(const struct log_head *head, struct record_time *out)
{
	if (head)
		*out = head->time;
	return head != NULL;
}

static bool operator_changed_at(const struct view *view, struct record_time *out)
{
	return view->operator && take_head(operator_log_head(view->operator), out);
}

/* Find the namespace's package with the newest record in the registry's log. @return false: none, or no ledger */
static bool newest_in(const struct view *view, struct span namespace, struct name *out)
{
	size_t newest;

	if (!view->listing || !listing_newest_in(view->listing, namespace, &newest))
		return false;
	*out = name_list_at(&view->listing->names, newest);
	return true;
}

static bool namespace_changed_at(const struct view *view, const struct path *path, struct record_time *out)
{
	const struct view_package *package;
	struct name newest;

	if (!view->listing)
		return false;
	if (!newest_in(view, path_namespace(path), &newest))
		return operator_changed_at(view, out);
	package = view_find(view, &newest);
	return package && take_head(package_log_head(package->log), out);
}

static bool package_changed_at(const struct view *view, const struct path *path, struct record_time *out)
{
	const struct view_package *package = tree_package(view, path);
	const struct package_release *release = package ? release_in(package->log, path) : NULL;

	if (release)
		*out = path->kind == PATH_YANKED_VERSION && release->yank ? release->yank->at : release->time;
	else if (package && path_type(path->kind) != S_IFLNK)
		return take_head(package_log_head(package->log), out);
	return release;
}

bool tree_changed_at(const struct view *view, const struct path *path, struct record_time *out)
{
	switch (path->kind) {
	case PATH_STATUS:
	case PATH_METRICS:
		*out = (struct record_time){ .seconds = view->verified_at };
		return true;
	case PATH_CHECKPOINT:
		*out = (struct record_time){ .seconds = (int64_t)view->checkpoint.contents.timestamp };
		return true;
	default:
		if (path_is_for_writing(path->kind) || !path_has_namespace(path->kind))
			return operator_changed_at(view, out);
		return path_has_package(path->kind) ? package_changed_at(view, path, out) :
						      namespace_changed_at(view, path, out);
	}
}

enum tree_answer tree_time(const struct view *view, const struct path *path, struct name *package)
{
	struct name newest;

	if (path_is_for_writing(path->kind) || !path_has_namespace(path->kind) || tree_package(view, path))
		return TREE_YES;
	if (path_has_package(path->kind)) {
		*package = path_package(path);
		return tree_has_package(view, package) == TREE_NO ? TREE_NO : TREE_ASK_PACKAGE;
	}
	if (!view->listing)
		return TREE_ASK_LISTING;
	if (!newest_in(view, path_namespace(path), &newest) || view_find(view, &newest))
		return TREE_YES;
	*package = newest;
	return TREE_ASK_PACKAGE;
}
