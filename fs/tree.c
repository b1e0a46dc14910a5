/*
 * The tree that a view stands for (see tree.h).
 *
 * Namespaces that the operator imported from another registry are not there: their packages are not this registry's.
 */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

static int compare_spans(struct span a, struct span b)
{
	int order = memcmp(a.data, b.data, a.length < b.length ? a.length : b.length);

	return order ? order : (a.length > b.length) - (a.length < b.length);
}

/* The index of the first package that is not below `namespace:`. */
static size_t first_in(const struct view *view, struct span namespace)
{
	size_t low = 0, high = view->package_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct name *name = &view->packages[middle]->name;
		int order = strncmp(name->text, (const char *)namespace.data, namespace.length);

		if (order < 0 || (order == 0 && name->text[namespace.length] < ':'))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_in(const struct name *name, struct span namespace)
{
	return span_equals(name_namespace(name), namespace);
}

static bool knows_package_in(const struct view *view, struct span namespace)
{
	size_t first = first_in(view, namespace);

	return first < view->package_count && is_in(&view->packages[first]->name, namespace);
}

static bool lists_package_in(const struct listing *listing, struct span namespace)
{
	size_t first = listing_first_in(listing, namespace);

	return first < listing->count && is_in(&listing->names[first], namespace);
}

enum tree_answer tree_has_namespace(const struct view *view, struct span namespace)
{
	const struct operator_namespace *defined = view->operator ? operator_log_find(view->operator, namespace) : NULL;

	if ((defined && !defined->registry) || knows_package_in(view, namespace))
		return TREE_YES;
	if (!view->listing)
		return TREE_ASK_LISTING;
	return lists_package_in(view->listing, namespace) ? TREE_YES : TREE_NO;
}

enum tree_answer tree_has_package(const struct view *view, const struct name *name)
{
	if (view_find(view, name))
		return TREE_YES;
	if (view->listing && listing_has(view->listing, name))
		return TREE_YES;
	return view->listing && view->listing->complete ? TREE_NO : TREE_ASK_PACKAGE;
}

const struct package_release *tree_find_release(const struct view_package *package, struct span version)
{
	const struct package_release *release = package_log_find(package->log, version);

	return release && !release->yanked ? release : NULL;
}

static int compare_entries(const void *a, const void *b)
{
	return compare_spans(((const struct tree_entry *)a)->text, ((const struct tree_entry *)b)->text);
}

static void add(struct tree_entries *entries, struct span text)
{
	/* Most repetitions stand side by side: sorting has less to do. */
	if (entries->count && span_equals(entries->entries[entries->count - 1].text, text))
		return;
	entries->entries[entries->count++] = (struct tree_entry){ .text = text };
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

static void list_root(const struct view *view, struct tree_entries *out)
{
	size_t count = 0;
	const struct operator_namespace *namespaces =
		view->operator ? operator_log_namespaces(view->operator, &count) : NULL;

	for (size_t i = 0; i < count; i++) {
		if (!namespaces[i].registry)
			add(out, span_of_text(namespaces[i].name));
	}
	for (size_t i = 0; i < view->package_count; i++)
		add(out, name_namespace(&view->packages[i]->name));
	for (size_t i = 0; view->listing && i < view->listing->count; i++)
		add(out, name_namespace(&view->listing->names[i]));
	sort(out);
}

static void list_namespace(const struct view *view, struct span namespace, struct tree_entries *out)
{
	const struct listing *listing = view->listing;

	for (size_t i = first_in(view, namespace);
	     i < view->package_count && is_in(&view->packages[i]->name, namespace); i++)
		add(out, name_package(&view->packages[i]->name));
	for (size_t i = listing ? listing_first_in(listing, namespace) : 0;
	     listing && i < listing->count && is_in(&listing->names[i], namespace); i++)
		add(out, name_package(&listing->names[i]));
	sort(out);
}

static void list_package(const struct package_log *log, struct tree_entries *out)
{
	size_t count;
	const struct package_release *releases = package_log_releases(log, &count);

	for (size_t i = 0; i < count; i++) {
		if (!releases[i].yanked)
			out->entries[out->count++] = (struct tree_entry){ span_of_text(releases[i].version),
									  &releases[i] };
	}
	if (package_log_best(log, NULL))
		add(out, span_of_text(PATH_LATEST_NAME));
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
	return count + view->package_count + (view->listing ? view->listing->count : 0) + 1;
}

static const struct view_package *package_at(const struct view *view, const struct path *path)
{
	struct name name;

	if (path->kind < PATH_PACKAGE)
		return NULL;
	name = path_package(path);
	return view_find(view, &name);
}

int tree_list(const struct view *view, const struct path *folder, struct tree_entries *out, struct fault *flt)
{
	const struct view_package *package = package_at(view, folder);
	struct tree_entries entries = {0};

	entries.entries = calloc(most_entries(view, package), sizeof(*entries.entries));
	if (!entries.entries)
		return fault_no_memory(flt);
	if (folder->kind == PATH_ROOT)
		list_root(view, &entries);
	else if (folder->kind == PATH_NAMESPACE)
		list_namespace(view, path_namespace(folder), &entries);
	else if (package)
		list_package(package->log, &entries);
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

	if (folder->kind < PATH_PACKAGE)
		return view->listing && view->listing->complete;
	package = package_at(view, folder);
	return package && !package->fault.verdict;
}

static void take_later(const struct log_head *head, bool *known, struct record_time *latest)
{
	if (head && (!*known || record_time_compare(head->time, *latest) > 0)) {
		*latest = head->time;
		*known = true;
	}
}

bool tree_changed_at(const struct view *view, const struct path *folder, struct record_time *out)
{
	const struct view_package *package = package_at(view, folder);
	struct span namespace = path_namespace(folder);
	bool known = false;

	if (package) {
		take_later(package_log_head(package->log), &known, out);
		return known;
	}
	if (folder->kind == PATH_ROOT && view->operator)
		take_later(operator_log_head(view->operator), &known, out);
	for (size_t i = folder->kind == PATH_NAMESPACE ? first_in(view, namespace) : 0;
	     folder->kind < PATH_PACKAGE && i < view->package_count; i++) {
		const struct view_package *each = view->packages[i];

		if (folder->kind == PATH_NAMESPACE && !is_in(&each->name, namespace))
			break;
		take_later(package_log_head(each->log), &known, out);
	}
	return known;
}
