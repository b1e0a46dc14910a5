/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Many package names, for a listing: each takes its text and four bytes, while a struct name takes 520.
 */
#ifndef WARG_CLIENT_NAME_LIST_H
#define WARG_CLIENT_NAME_LIST_H

#include "verify/name.h"

/** Names by index. All-zero: an empty list. */
struct name_list {
	char *texts;       /* one after the other, each with its NUL */
	size_t length, room;
	uint32_t *offsets; /* offsets of the names in `texts` */
	size_t count, capacity;
	size_t sorted; /* how many of the first ones are sorted, each once */
};

/** Give the memory back; empty afterwards. */
void name_list_release(struct name_list *list);

/** A copy of its own. @param out  all-zero */
int name_list_copy(const struct name_list *list, struct name_list *out, struct fault *flt);

/** Append a name. @return 0; WARG_UNDECIDED with FAULT_LIMIT past CAP_LISTED_NAMES bytes in all */
int name_list_add(struct name_list *list, const struct name *name, struct fault *flt);

/**
 * Sort the names by their texts, and drop duplicates. Names that were added since the last time are sorted, and merged
 * with those before. Offsets stay: only their order changes.
 */
void name_list_sort(struct name_list *list);

/** The name at an index, as a copy; and its text, borrowed from the list. */
struct name name_list_at(const struct name_list *list, size_t place);
const char *name_list_text(const struct name_list *list, size_t place);
struct span name_list_namespace(const struct name_list *list, size_t place);
struct span name_list_package(const struct name_list *list, size_t place);

/** The index of the first name that is not below `text`. The list must be sorted. */
size_t name_list_find(const struct name_list *list, const char *text);

#endif
