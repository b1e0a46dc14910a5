/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Views and the packages in them (see view.h).
 */
#include "view.h"

#include <stdlib.h>
#include <string.h>

/* Whether a token is the text of the head's record id. */
static bool is_token_of_head(const struct package_log *log, const char *token)
{
	const struct log_head *head = package_log_head(log);
	char text[DIGEST_TEXT_SIZE];

	if (!head)
		return false;
	digest_format(&head->record_id, text);
	return !strcmp(text, token);
}

int view_package_new(struct package_log *log, const struct store_position *position, uint64_t log_length,
		     const struct fault *fault, struct view_package **out, struct fault *flt)
{
	bool has_head_token = is_token_of_head(log, position->token);
	size_t length = has_head_token ? 0 : strlen(position->token) + 1;
	struct view_package *package = calloc(1, sizeof(*package) + length);
	struct name name = package_log_name(log);

	if (!package)
		return fault_no_memory(flt);
	if (fault && !(package->fault = malloc(sizeof(*fault)))) {
		free(package);
		return fault_no_memory(flt);
	}
	if (fault)
		*package->fault = *fault;
	atomic_init(&package->references, 1);
	package->log_id = name_log_id(&name);
	package->log = package_log_ref(log);
	package->is_placed = position->known;
	package->is_kept = position->is_kept;
	atomic_init(&package->is_looked_at, true);
	package->has_head_token = has_head_token;
	package->registry_index = (uint32_t)position->registry_index;
	package->archived = position->archived;
	memcpy(package->token, position->token, length);
	package->log_length = (uint32_t)log_length;
	*out = package;
	return 0;
}

struct view_package *view_package_ref(struct view_package *package)
{
	atomic_fetch_add_explicit(&package->references, 1, memory_order_relaxed);
	return package;
}

void view_package_unref(struct view_package *package)
{
	if (!package || atomic_fetch_sub_explicit(&package->references, 1, memory_order_acq_rel) > 1)
		return;
	package_log_unref(package->log);
	free(package->fault);
	free(package);
}

int view_proof_new(const uint64_t heads[2], const struct merkle_log_bundle *log, const struct merkle_map_bundle *map,
		   struct view_proof **out, struct fault *flt)
{
	struct view_proof *proof = calloc(1, sizeof(*proof));
	int r;

	if (!proof)
		return fault_no_memory(flt);
	atomic_init(&proof->references, 1);
	proof->heads[0] = heads[0];
	proof->heads[1] = heads[1];
	buf_init(&proof->log_bundle, CAP_BODY_PROOF);
	buf_init(&proof->map_bundle, CAP_BODY_PROOF);
	r = merkle_log_bundle_encode(log, &proof->log_bundle, flt);
	if (!r)
		r = merkle_map_bundle_encode(map, &proof->map_bundle, flt);
	if (r)
		view_proof_unref(proof);
	else
		*out = proof;
	return r;
}

struct view_proof *view_proof_ref(struct view_proof *proof)
{
	if (proof)
		atomic_fetch_add_explicit(&proof->references, 1, memory_order_relaxed);
	return proof;
}

void view_proof_unref(struct view_proof *proof)
{
	if (!proof || atomic_fetch_sub_explicit(&proof->references, 1, memory_order_acq_rel) > 1)
		return;
	buf_release(&proof->log_bundle);
	buf_release(&proof->map_bundle);
	free(proof);
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
	view_trie_release(&view->packages);
	operator_log_unref(view->operator);
	listing_unref(view->listing);
	view_proof_unref(view->proof);
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
	copy->packages = view_trie_copy(&view->packages);
	copy->checkpoint = view->checkpoint;
	copy->operator = view->operator ? operator_log_ref(view->operator) : NULL;
	copy->operator_position = view->operator_position;
	copy->listing = view->listing ? listing_ref(view->listing) : NULL;
	copy->proof = view_proof_ref(view->proof);
	copy->verified_at = view->verified_at;
	*out = copy;
	return 0;
}

struct store_position view_package_position(const struct view_package *package)
{
	struct store_position position = {
		.known = package->is_placed,
		.registry_index = package->registry_index,
		.is_kept = package->is_kept,
		.archived = package->archived,
	};

	if (package->has_head_token)
		digest_format(&package_log_head(package->log)->record_id, position.token);
	else
		memcpy(position.token, package->token, strlen(package->token));
	return position;
}

struct name view_package_name(const struct view_package *package)
{
	return package_log_name(package->log);
}

const char *view_package_name_text(const struct view_package *package)
{
	return package_log_name_text(package->log);
}

const struct fault *view_package_fault(const struct view_package *package)
{
	static const struct fault none;

	return package->fault ? package->fault : &none;
}

bool view_package_is_current(const struct view_package *package)
{
	return !package->fault;
}

const struct view_package *view_find(const struct view *view, const struct name *name)
{
	struct digest log_id = name_log_id(name);
	struct view_package *package = view_trie_find(&view->packages, &log_id);

	/* Most of the time it is noted already: others' caches are left alone. */
	if (package && !atomic_load_explicit(&package->is_looked_at, memory_order_relaxed))
		atomic_store(&package->is_looked_at, true);
	return package;
}

bool view_package_forget_look(const struct view_package *package)
{
	return atomic_exchange(&((struct view_package *)(uintptr_t)package)->is_looked_at, false);
}

static int list_package(void *user, const struct view_package *package)
{
	const struct view_package ***next = user;

	*(*next)++ = package;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	const struct view_package *const *left = a, *const *right = b;

	return strcmp(view_package_name_text(*left), view_package_name_text(*right));
}

int view_sort(const struct view *view, const struct view_package ***out, struct fault *flt)
{
	const struct view_package **list = calloc(view->packages.count + 1, sizeof(*list)), **next = list;

	if (!list)
		return fault_no_memory(flt);
	view_trie_each(&view->packages, list_package, &next);
	qsort(list, view->packages.count, sizeof(*list), compare_names);
	*out = list;
	return 0;
}

int view_put_take(struct view *view, struct view_package *package, struct fault *flt)
{
	return view_trie_put_take(&view->packages, package, flt);
}
