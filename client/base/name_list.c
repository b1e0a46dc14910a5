/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Many names: name_list.h.
 */
#include "name_list.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(CAP_LISTED_NAMES < UINT32_MAX, "an offset is of 32 bits");

void name_list_release(struct name_list *list)
{
	free(list->texts);
	free(list->offsets);
	*list = (struct name_list){0};
}

int name_list_copy(const struct name_list *list, struct name_list *out, struct fault *flt)
{
	struct name_list copy = {.length = list->length, .room = list->length, .count = list->count,
				 .capacity = list->count, .sorted = list->sorted};

	if (!list->count)
		return 0;
	copy.texts = malloc(copy.room);
	copy.offsets = calloc(copy.capacity, sizeof(*copy.offsets));
	if (!copy.texts || !copy.offsets) {
		name_list_release(&copy);
		return fault_no_memory(flt);
	}
	memcpy(copy.texts, list->texts, list->length);
	memcpy(copy.offsets, list->offsets, list->count * sizeof(*copy.offsets));
	*out = copy;
	return 0;
}

/* Grow by half, or to what is needed if that is more: doubling would waste much memory in large lists. */
static size_t next_size(size_t size, size_t needed)
{
	size += size / 2;
	return size < needed ? needed : size;
}

static int reserve(struct name_list *list, size_t length, struct fault *flt)
{
	if (length > CAP_LISTED_NAMES - list->length)
		return fault_undecided(flt, FAULT_LIMIT, "its packages have names of more than %u bytes in all",
				       CAP_LISTED_NAMES);
	if (list->room - list->length < length) {
		size_t room = next_size(list->room, list->length + length);
		char *texts = realloc(list->texts, room);

		if (!texts)
			return fault_no_memory(flt);
		list->texts = texts;
		list->room = room;
	}
	if (list->count == list->capacity) {
		size_t capacity = next_size(list->capacity, list->count + 16);
		uint32_t *offsets = reallocarray(list->offsets, capacity, sizeof(*offsets));

		if (!offsets)
			return fault_no_memory(flt);
		list->offsets = offsets;
		list->capacity = capacity;
	}
	return 0;
}

int name_list_add(struct name_list *list, const struct name *name, struct fault *flt)
{
	size_t length = strlen(name->text) + 1;
	int r = reserve(list, length, flt);

	if (r)
		return r;
	memcpy(list->texts + list->length, name->text, length);
	list->offsets[list->count++] = (uint32_t)list->length;
	list->length += length;
	return 0;
}

static int compare(const void *a, const void *b, void *texts)
{
	return strcmp((const char *)texts + *(const uint32_t *)a, (const char *)texts + *(const uint32_t *)b);
}

/* Merge the sorted names from `middle` on with those before, from the back. Needs memory for the former. */
static bool merge(struct name_list *list, size_t middle)
{
	size_t left = middle, right = list->count - middle;
	uint32_t *offsets = list->offsets, *tail = calloc(right + 1, sizeof(*tail));

	if (!tail)
		return false;
	memcpy(tail, offsets + middle, right * sizeof(*tail));
	for (size_t to = list->count; right; to--) {
		if (left && compare(&offsets[left - 1], &tail[right - 1], list->texts) > 0)
			offsets[to - 1] = offsets[--left];
		else
			offsets[to - 1] = tail[--right];
	}
	free(tail);
	return true;
}

void name_list_sort(struct name_list *list)
{
	size_t kept = 0, sorted = list->sorted;

	if (list->count == sorted)
		return;
	qsort_r(list->offsets + sorted, list->count - sorted, sizeof(*list->offsets), compare, list->texts);
	if (sorted && !merge(list, sorted))
		qsort_r(list->offsets, list->count, sizeof(*list->offsets), compare, list->texts);
	for (size_t i = 1; i < list->count; i++)
		if (strcmp(name_list_text(list, kept), name_list_text(list, i)))
			list->offsets[++kept] = list->offsets[i];
	list->count = list->sorted = kept + 1;
}

const char *name_list_text(const struct name_list *list, size_t place)
{
	return list->texts + list->offsets[place];
}

struct span name_list_namespace(const struct name_list *list, size_t place)
{
	const char *text = name_list_text(list, place);

	return (struct span){(const unsigned char *)text, strcspn(text, ":")};
}

struct span name_list_package(const struct name_list *list, size_t place)
{
	const char *text = name_list_text(list, place);

	return span_of_text(text + strcspn(text, ":") + 1);
}

struct name name_list_at(const struct name_list *list, size_t place)
{
	struct name name;

	strcpy(name.text, name_list_text(list, place));
	name.colon = strcspn(name.text, ":");
	return name;
}

size_t name_list_find(const struct name_list *list, const char *text)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(name_list_text(list, middle), text) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
