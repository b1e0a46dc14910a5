/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The state machine of the operator's log (see operator_log.h). It is built as package_log is.
 */
#include "operator_log.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "caps.h"
#include "name.h"
#include "text_index.h"

struct operator_log {
	atomic_uint references;
	bool has_head;
	struct log_head head;
	struct log_keys keys;
	struct operator_namespace *namespaces;
	size_t count, capacity;
	struct text_index by_name; /* of `namespaces` */
};

/* ---- Memory ---- */

static struct operator_log *new_log(void)
{
	struct operator_log *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	atomic_init(&log->references, 1);
	return log;
}

int operator_log_new(struct operator_log **out, struct fault *flt)
{
	struct operator_log *log = new_log();

	if (!log)
		return fault_no_memory(flt);
	*out = log;
	return 0;
}

struct operator_log *operator_log_ref(struct operator_log *log)
{
	atomic_fetch_add_explicit(&log->references, 1, memory_order_relaxed);
	return log;
}

static void free_namespace(struct operator_namespace *namespace)
{
	free((char *)(uintptr_t)namespace->name);
	free((char *)(uintptr_t)namespace->registry);
}

void operator_log_unref(struct operator_log *log)
{
	if (!log || atomic_fetch_sub_explicit(&log->references, 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < log->count; i++)
		free_namespace(&log->namespaces[i]);
	free(log->namespaces);
	text_index_release(&log->by_name);
	log_keys_release(&log->keys);
	free(log);
}

static int copy_namespaces(const struct operator_log *log, struct operator_log *copy, struct fault *flt)
{
	if (log->count == 0)
		return 0;
	copy->namespaces = calloc(log->count, sizeof(*copy->namespaces));
	if (!copy->namespaces)
		return fault_no_memory(flt);
	copy->capacity = log->count;
	for (; copy->count < log->count; copy->count++) {
		const struct operator_namespace *from = &log->namespaces[copy->count];
		struct operator_namespace to = { strdup(from->name), from->registry ? strdup(from->registry) : NULL };

		if (!to.name || (from->registry && !to.registry)) {
			free_namespace(&to);
			return fault_no_memory(flt);
		}
		copy->namespaces[copy->count] = to;
	}
	return text_index_copy(&log->by_name, &copy->by_name, flt);
}

int operator_log_copy(const struct operator_log *log, struct operator_log **out, struct fault *flt)
{
	struct operator_log *copy = new_log();
	int ret;

	if (!copy)
		return fault_no_memory(flt);
	copy->has_head = log->has_head;
	copy->head = log->head;
	ret = log_keys_copy(&log->keys, &copy->keys, flt);
	if (!ret)
		ret = copy_namespaces(log, copy, flt);
	if (ret) {
		operator_log_unref(copy);
		return ret;
	}
	*out = copy;
	return 0;
}

/* ---- Namespaces ---- */

static struct span name_at(const void *namespaces, uint32_t place)
{
	return span_of_text(((const struct operator_namespace *)namespaces)[place].name);
}

static struct text_index_texts names(const struct operator_log *log)
{
	return (struct text_index_texts){ log->namespaces, name_at };
}

const struct operator_namespace *operator_log_find(const struct operator_log *log, struct span name)
{
	uint32_t place;

	if (!text_index_find(&log->by_name, names(log), name, &place))
		return NULL;
	return &log->namespaces[place];
}

static int reserve_namespace(struct operator_log *log, struct fault *flt)
{
	int ret;

	if (log->count >= CAP_NAMESPACES)
		return fault_undecided(flt, FAULT_LIMIT, "the registry has more than %d namespaces", CAP_NAMESPACES);
	ret = array_reserve(&log->namespaces, log->count, &log->capacity, sizeof(*log->namespaces), flt);
	return ret ? ret : text_index_reserve(&log->by_name, names(log), flt);
}

/** @param registry  empty: defined here */
static int add_namespace(struct operator_log *log, struct span name, struct span registry, struct fault *flt)
{
	struct operator_namespace namespace = { 0 };
	int ret;

	if (operator_log_find(log, name))
		return fault_invalid(flt, "the namespace %.*s is defined or imported a second time", (int)name.length,
				     (const char *)name.data);
	ret = reserve_namespace(log, flt);
	if (ret)
		return ret;
	namespace.name = strndup((const char *)name.data, name.length);
	if (registry.length > 0)
		namespace.registry = strndup((const char *)registry.data, registry.length);
	if (!namespace.name || (registry.length > 0 && !namespace.registry)) {
		free_namespace(&namespace);
		return fault_no_memory(flt);
	}
	log->namespaces[log->count++] = namespace;
	text_index_add(&log->by_name, names(log));
	return 0;
}

/* ---- Appending ---- */

static int apply(struct operator_log *log, bool is_begun, const struct record_entry *entry,
		 const struct digest *signer, struct fault *flt)
{
	int ret;

	ret = log_keys_check_order(entry, is_begun, flt);
	if (ret)
		return ret;
	switch (entry->type) {
	case ENTRY_DEFINE_NAMESPACE:
		ret = log_keys_require(&log->keys, signer, PERMISSION_DEFINE_NAMESPACE, flt);
		break;
	case ENTRY_IMPORT_NAMESPACE:
		ret = log_keys_require(&log->keys, signer, PERMISSION_IMPORT_NAMESPACE, flt);
		break;
	default:
		return log_keys_apply(&log->keys, entry, signer, PERMISSIONS_OPERATOR, PERMISSION_COMMIT, flt);
	}
	return ret ? ret : add_namespace(log, entry->namespace, entry->registry, flt);
}

static int apply_all(struct operator_log *log, const struct record *record, const struct record_envelope *envelope,
		     struct fault *flt)
{
	int ret;

	for (size_t i = 0; i < record->entry_count; i++) {
		ret = apply(log, log->has_head || i > 0, &record->entries[i], &envelope->key_id, flt);
		if (ret) {
			fault_at(flt, "entry %zu", i);
			return ret;
		}
	}
	return log_keys_check_signature(&log->keys, RECORD_OPERATOR, envelope, flt);
}

static void undo(struct operator_log *log, size_t namespaces_before, struct log_keys *keys_before)
{
	text_index_cut(&log->by_name, namespaces_before);
	while (log->count > namespaces_before)
		free_namespace(&log->namespaces[--log->count]);
	log_keys_release(&log->keys);
	log->keys = *keys_before;
	*keys_before = (struct log_keys){ 0 };
}

static int append_record(struct operator_log *log, const struct record *record, const struct record_envelope *envelope,
			 struct fault *flt)
{
	size_t namespaces_before = log->count;
	struct log_keys keys_before;
	int ret;

	ret = log_keys_check_frame(record, operator_log_head(log), flt);
	if (ret)
		return ret;
	/* An operator's log has few records: its keys are copied for each. */
	ret = log_keys_copy(&log->keys, &keys_before, flt);
	if (ret)
		return ret;
	ret = apply_all(log, record, envelope, flt);
	if (ret) {
		undo(log, namespaces_before, &keys_before);
	} else {
		log->head = (struct log_head){ record->id, record->time };
		log->has_head = true;
	}
	log_keys_release(&keys_before);
	return ret;
}

int operator_log_append(struct operator_log *log, const struct record_envelope *envelope, struct fault *flt)
{
	struct record record;
	int ret;

	ret = record_decode(RECORD_OPERATOR, envelope->content, &record, flt);
	if (ret)
		return ret;
	ret = append_record(log, &record, envelope, flt);
	record_release(&record);
	return ret;
}

/* ---- Asking ---- */

const struct log_head *operator_log_head(const struct operator_log *log)
{
	return log->has_head ? &log->head : NULL;
}

const struct log_keys *operator_log_keys(const struct operator_log *log)
{
	return &log->keys;
}

const struct digest *operator_log_first_key(const struct operator_log *log)
{
	return log->keys.count ? ecdsa_public_key_id(log->keys.keys[0].key) : NULL;
}

const struct operator_namespace *operator_log_namespaces(const struct operator_log *log, size_t *count)
{
	*count = log->count;
	return log->namespaces;
}

/* ---- Restoring ---- */

int operator_log_restore_key(struct operator_log *log, struct ecdsa_public_key *key, unsigned permissions,
			     struct fault *flt)
{
	if (permissions & ~(unsigned)PERMISSIONS_OPERATOR)
		return fault_invalid(flt, "a permission that operators do not have");
	if (log_keys_find(&log->keys, ecdsa_public_key_id(key)))
		return fault_invalid(flt, "a key is there twice");
	return log_keys_grant(&log->keys, key, permissions, flt);
}

int operator_log_restore_namespace(struct operator_log *log, struct span name, struct span registry,
				   struct fault *flt)
{
	if (!log->has_head)
		return fault_invalid(flt, "namespaces without a head");
	if (!name_is_part(name))
		return fault_invalid(flt, "a namespace is not lowercase kebab-case");
	return add_namespace(log, name, registry, flt);
}

int operator_log_restore_head(struct operator_log *log, const struct log_head *head, struct fault *flt)
{
	if (log->has_head)
		return fault_invalid(flt, "a second head");
	if (log->keys.count == 0)
		return fault_invalid(flt, "a head without keys");
	log->head = *head;
	log->has_head = true;
	return 0;
}
