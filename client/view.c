/*
 * Views and the packages in them (see view.h).
 */
#include "view.h"

#include <stdlib.h>
#include <string.h>

int view_package_new(const struct name *name, struct package_log *log, const struct store_position *position,
		     uint64_t log_length, struct view_package **out, struct fault *flt)
{
	struct view_package *package = calloc(1, sizeof(*package));

	if (!package)
		return fault_no_memory(flt);
	atomic_init(&package->references, 1);
	package->name = *name;
	package->log = package_log_ref(log);
	package->position = *position;
	package->log_length = log_length;
	*out = package;
	return 0;
}

static struct view_package *view_package_ref(struct view_package *package)
{
	atomic_fetch_add_explicit(&package->references, 1, memory_order_relaxed);
	return package;
}

void view_package_unref(struct view_package *package)
{
	if (!package || atomic_fetch_sub_explicit(&package->references, 1, memory_order_acq_rel) > 1)
		return;
	package_log_unref(package->log);
	free(package);
}

struct view *view_ref(struct view *view)
{
	atomic_fetch_add_explicit(&view->references, 1, memory_order_relaxed);
	return view;
}

void view_unref(struct view *view)
{
	if (!view || atomic_fetch_sub_explicit(&view->references, 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < view->package_count; i++)
		view_package_unref(view->packages[i]);
	free(view->packages);
	operator_log_unref(view->operator);
	listing_unref(view->listing);
	free(view);
}

int view_copy(const struct view *view, struct view **out, struct fault *flt)
{
	struct view *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return fault_no_memory(flt);
	atomic_init(&copy->references, 1);
	if (!view) {
		*out = copy;
		return 0;
	}
	if (view->package_count) {
		copy->packages = calloc(view->package_count, sizeof(struct view_package *));
		if (!copy->packages) {
			free(copy);
			return fault_no_memory(flt);
		}
	}
	for (; copy->package_count < view->package_count; copy->package_count++)
		copy->packages[copy->package_count] = view_package_ref(view->packages[copy->package_count]);
	copy->checkpoint = view->checkpoint;
	copy->operator = view->operator ? operator_log_ref(view->operator) : NULL;
	copy->operator_position = view->operator_position;
	copy->listing = view->listing ? listing_ref(view->listing) : NULL;
	copy->verified_at = view->verified_at;
	*out = copy;
	return 0;
}

/* The index of the first package that is not below `name`. */
static size_t lower_bound(const struct view *view, const struct name *name)
{
	size_t low = 0, high = view->package_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(view->packages[middle]->name.text, name->text) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool stands_at(const struct view *view, size_t index, const struct name *name)
{
	return index < view->package_count && strcmp(view->packages[index]->name.text, name->text) == 0;
}

const struct view_package *view_find(const struct view *view, const struct name *name)
{
	size_t index = lower_bound(view, name);

	return stands_at(view, index, name) ? view->packages[index] : NULL;
}

int view_put_take(struct view *view, struct view_package *package, struct fault *flt)
{
	size_t index = lower_bound(view, &package->name);
	struct view_package **grown;

	if (stands_at(view, index, &package->name)) {
		view_package_unref(view->packages[index]);
		view->packages[index] = package;
		return 0;
	}
	grown = reallocarray(view->packages, view->package_count + 1, sizeof(struct view_package *));
	if (!grown) {
		view_package_unref(package);
		return fault_no_memory(flt);
	}
	view->packages = grown;
	memmove(grown + index + 1, grown + index, (view->package_count - index) * sizeof(struct view_package *));
	grown[index] = package;
	view->package_count++;
	return 0;
}
