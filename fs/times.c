/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Fetching times (see times.h).
 */
#include "times.h"

#include "draft.h"
#include "tree.h"

#include <stdlib.h>
#include <string.h>

#define PATIENCE 5      /* seconds that a request waits for a time */
#define REST 30         /* seconds for which no request waits after a failure */
#define MOST_AHEAD 1024 /* about the number that a protocol request names */
#define MOST_LOOKED_AT (16 * MOST_AHEAD) /* known packages among them are passed over: so many, and no more */
#define WALK_PAUSE 1000 /* milliseconds: requests of one program come closer together */
#define SLOW (PATIENCE * 1000 / 4) /* milliseconds: twice as many packages take no more than half of the patience */

bool times_are_vain(const struct view *view, const struct node *node)
{
	uint64_t length = atomic_load(&node->vain);

	return length && length == view->checkpoint.contents.log_length;
}

/* A folder made locally has its own time, unless the registry is known to have the package. */
static bool is_made_here(const struct request *request, const struct view *view)
{
	struct name name;
	struct path package;

	if (!request->mount->staging || request->is_elsewhere || !path_has_package(request->path.kind))
		return false;
	name = path_package(&request->path);
	package = path_of_package(&name);
	return !(view->listing && listing_has(view->listing, &name)) &&
	       draft_has_folder(request->mount, &package, NULL);
}

/* Whether two requests are sequential: no unknown package lies between them. */
static bool follows(const struct view *view, size_t last, size_t index)
{
	if (index > last + MOST_LOOKED_AT)
		return false;
	for (; last < index; last++) {
		struct name name = name_list_at(&view->listing->names, last);

		if (!view_find(view, &name))
			return false;
	}
	return last == index;
}

/* What to fetch with the requested package: `size` - 1 unknown ones, from the place `from` of the listing on. */
struct window {
	size_t size, from;
	bool wraps; /* behind the namespace's last package comes its first */
};

/* Whether the folder was listed, and the last request is so recent that a program looks at all that is in it. */
static bool is_walked(struct node *node)
{
	return atomic_load(&node->listed) && clock_now() - atomic_load(&node->ahead_at) < WALK_PAUSE;
}

/*
 * A program that looks at one package after the other will look at all: fetch others along with the requested one,
 * twice as many each time. `ls -l` goes in the listing's order, and the others are those that follow. `find` and
 * `rm -r` go through a folder of more than 10,000 entries in the order of inode numbers: others are fetched from where
 * the last request ended.
 */
static struct window window_for(struct node *node, const struct view *view, size_t index)
{
	const size_t last_size = atomic_load(&node->ahead), last_end = atomic_load(&node->ahead_from);
	struct window window = { .size = 2 * last_size, .from = index + 1 };

	if (!follows(view, last_end, index)) {
		if (is_walked(node))
			window = (struct window){ .size = 2 * last_size, .from = last_end, .wraps = true };
		else
			window.size = 1;
	}
	if (!window.size || window.size > MOST_AHEAD)
		window.size = window.size ? MOST_AHEAD : 1;
	return window;
}

/*
 * Collect unknown packages of a namespace until there are as many as the window has.
 * @param names  of the window's size; `count` of them are there, the requested one
 * @return the place in the listing behind the last one that was looked at
 */
static size_t fill(const struct view *view, const struct window *window, struct name *names, size_t *count)
{
	const struct span namespace = name_namespace(&names[0]);
	const struct listing *listing = view->listing;
	size_t at = window->from;
	bool wraps = window->wraps;

	for (size_t i = 0; i < MOST_LOOKED_AT && *count < window->size; i++) {
		struct name name;

		if (at >= listing->names.count || !span_equals(name_list_namespace(&listing->names, at), namespace)) {
			if (!wraps)
				break;
			wraps = false;
			at = listing_first_in(listing, namespace);
			continue;
		}
		name = name_list_at(&listing->names, at++);
		if (!view_find(view, &name) && strcmp(name.text, names[0].text))
			names[(*count)++] = name;
	}
	return at;
}

/*
 * Collect a package, and unknown ones of its namespace to be fetched with it.
 * @param out  free() it; NULL without memory
 */
static size_t gather(struct request *request, const struct view *view, const struct name *first, struct name **out)
{
	struct path folder = path_parent(&request->path);
	struct node *node = view->listing && path_is_called_package(request->path.kind) ?
				    nodes_find_path(request->mount->nodes, &folder, NULL) : NULL;
	struct window window = { .size = 1 };
	size_t count = 0;

	if (node)
		window = window_for(node, view, listing_index(view->listing, first));
	*out = calloc(window.size, sizeof(**out));
	if (*out)
		(*out)[count++] = *first;
	if (node && *out) {
		atomic_store(&node->ahead_from, fill(view, &window, *out, &count));
		atomic_store(&node->ahead, (unsigned)window.size);
		atomic_store(&node->ahead_at, clock_now());
	}
	nodes_unref(request->mount->nodes, node);
	return count;
}

/*
 * Packages were fetched. The next ones come after this, however long it took; and if it took long there are no more of
 * them, or only half as many: requests are not to wait in vain for what others may want.
 */
static void note_pace(struct request *request)
{
	const clock_ms took = PATIENCE * 1000 - clock_left(request->waiter.deadline);
	struct path folder = path_parent(&request->path);
	struct node *node = path_is_called_package(request->path.kind) ?
				    nodes_find_path(request->mount->nodes, &folder, NULL) : NULL;

	if (!node)
		return;
	atomic_store(&node->ahead_at, clock_now());
	if (took > SLOW)
		atomic_store(&node->ahead, atomic_load(&node->ahead) / (took > 2 * SLOW ? 4 : 2));
	nodes_unref(request->mount->nodes, node);
}

static bool want_listing(struct request *request)
{
	request_want_spare(request, REQUEST_LISTING, NULL, 0);
	return true;
}

static bool want_packages(struct request *request, const struct view *view, const struct name *first)
{
	struct name *names;
	size_t count = gather(request, view, first, &names);

	if (!names)
		return false;
	request_want_spare(request, REQUEST_PACKAGE, names, count);
	free(names);
	return true;
}

/* The fetch did not give the time: set when to try again. */
static void note_failure(struct request *request, const struct view *view)
{
	const struct fault *flt = &request->fault;

	if (!flt->verdict)
		return;
	if (flt->verdict == WARG_INVALID || flt->kind == FAULT_ABSENT || flt->kind == FAULT_LIMIT) {
		atomic_store(&request->node->vain, (uint32_t)view->checkpoint.contents.log_length);
	} else if (flt->kind == FAULT_TIMEOUT && !clock_left(request->waiter.deadline)) {
		atomic_store(&request->mount->times_rest, clock_in_seconds(REST));
		registry_refresh_soon(request->registry); /* an update finds out whether the registry is unreachable */
	}
}

static bool may_ask(const struct request *request, const struct view *view)
{
	return !clock_left(atomic_load(&request->mount->times_rest)) && !times_are_vain(view, request->node);
}

bool times_want(struct request *request)
{
	bool is_told = request->is_elsewhere && !path_has_package(request->path.kind), waits = false;
	struct view *view = registry_view(request->registry);
	struct name package = {0};
	enum tree_answer answer = is_told ? TREE_YES : tree_time(view, &request->path, &package);

	if (request_has_wanted(request, REQUEST_PACKAGE))
		note_pace(request);
	if ((answer == TREE_ASK_LISTING || answer == TREE_ASK_PACKAGE) && !is_made_here(request, view)) {
		enum request_want want = answer == TREE_ASK_LISTING ? REQUEST_LISTING : REQUEST_PACKAGE;

		if (!request_has_wanted(request, REQUEST_LISTING | REQUEST_PACKAGE))
			request->waiter.deadline = clock_in_seconds(PATIENCE);
		if (request_has_wanted(request, want))
			note_failure(request, view);
		else if (may_ask(request, view))
			waits = want == REQUEST_PACKAGE ? want_packages(request, view, &package) :
							  want_listing(request);
		if (!waits)
			request->lacks_time = true;
	}
	view_unref(view);
	return waits;
}
