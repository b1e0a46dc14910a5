/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Keys and their permissions, and the rules that both kinds of log have (see log_keys.h).
 */
#include "log_keys.h"

#include <inttypes.h>
#include <stdlib.h>

#include "array.h"
#include "caps.h"

/* ---- The set ---- */

void log_keys_release(struct log_keys *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		ecdsa_public_key_unref(keys->keys[i].key);
	free(keys->keys);
	*keys = (struct log_keys){ 0 };
}

int log_keys_copy(const struct log_keys *keys, struct log_keys *out, struct fault *flt)
{
	struct log_keys copy = { .capacity = keys->count };

	if (keys->count) {
		copy.keys = calloc(keys->count, sizeof(*copy.keys));
		if (!copy.keys)
			return fault_no_memory(flt);
	}
	for (; copy.count < keys->count; copy.count++) {
		copy.keys[copy.count] = keys->keys[copy.count];
		ecdsa_public_key_ref(copy.keys[copy.count].key);
	}
	*out = copy;
	return 0;
}

static struct log_key *find(const struct log_keys *keys, const struct digest *key_id)
{
	for (size_t i = 0; i < keys->count; i++)
		if (digest_equals(ecdsa_public_key_id(keys->keys[i].key), key_id))
			return &keys->keys[i];
	return NULL;
}

const struct log_key *log_keys_find(const struct log_keys *keys, const struct digest *key_id)
{
	return find(keys, key_id);
}

static int grow(struct log_keys *keys, struct fault *flt)
{
	if (keys->count >= CAP_LOG_KEYS)
		return fault_undecided(flt, FAULT_LIMIT, "the log knows more than %d keys", CAP_LOG_KEYS);
	return array_reserve(&keys->keys, keys->count, &keys->capacity, sizeof(*keys->keys), flt);
}

int log_keys_grant(struct log_keys *keys, struct ecdsa_public_key *key, unsigned permissions, struct fault *flt)
{
	struct log_key *known = find(keys, ecdsa_public_key_id(key));
	int ret;

	if (known) {
		known->permissions |= permissions;
		return 0;
	}
	ret = grow(keys, flt);
	if (ret)
		return ret;
	keys->keys[keys->count++] = (struct log_key){ ecdsa_public_key_ref(key), permissions };
	return 0;
}

/* ---- Permissions ---- */

static const char *name_of(unsigned permission)
{
	switch (permission) {
	case PERMISSION_RELEASE:
		return "release";
	case PERMISSION_YANK:
		return "yank";
	case PERMISSION_COMMIT:
		return "commit";
	case PERMISSION_DEFINE_NAMESPACE:
		return "defineNamespace";
	default:
		return "importNamespace";
	}
}

/** The lowest of the permissions. */
static unsigned lowest(unsigned permissions)
{
	return permissions & -permissions;
}

static int unknown_key(const struct digest *key_id, struct fault *flt)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(key_id, text);
	return fault_invalid(flt, "the log does not know the key %s", text);
}

static int lacks(const struct digest *key_id, unsigned missing, struct fault *flt)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(key_id, text);
	return fault_invalid(flt, "the key %s does not have the permission %s", text, name_of(lowest(missing)));
}

int log_keys_require(const struct log_keys *keys, const struct digest *key_id, unsigned permissions, struct fault *flt)
{
	const struct log_key *known = find(keys, key_id);

	if (!known)
		return unknown_key(key_id, flt);
	if (permissions & ~known->permissions)
		return lacks(key_id, permissions & ~known->permissions, flt);
	return 0;
}

int log_keys_revoke(struct log_keys *keys, const struct digest *key_id, unsigned permissions, struct fault *flt)
{
	struct log_key *known = find(keys, key_id);

	/* The reference publishes revokes without permissions; they change nothing. */
	if (!permissions)
		return 0;
	if (!known)
		return unknown_key(key_id, flt);
	if (permissions & ~known->permissions)
		return lacks(key_id, permissions & ~known->permissions, flt);
	known->permissions &= ~permissions;
	return 0;
}

/* ---- The rules ---- */

int log_keys_check_frame(const struct record *record, const struct log_head *head, struct fault *flt)
{
	if (!head && record->has_prev)
		return fault_invalid(flt, "the first record has a prev");
	if (head && !record->has_prev)
		return fault_invalid(flt, "the record has no prev, and is not the first");
	if (head && !digest_equals(&record->prev, &head->record_id))
		return fault_invalid(flt, "prev is not the id of the record before");
	if (record->version != 0)
		return fault_invalid(flt, "the protocol version is %" PRIu32 ", not 0", record->version);
	if (head && record_time_compare(record->time, head->time) < 0)
		return fault_invalid(flt, "the time is before that of the record before");
	if (!head && record->entry_count == 0)
		return fault_invalid(flt, "the first record has no entries");
	return 0;
}

int log_keys_check_order(const struct record_entry *entry, bool is_begun, struct fault *flt)
{
	if (entry->type == ENTRY_INIT && is_begun)
		return fault_invalid(flt, "init is not the log's first entry");
	if (entry->type != ENTRY_INIT && !is_begun)
		return fault_invalid(flt, "the log's first entry is not init");
	return 0;
}

static int init(struct log_keys *keys, struct ecdsa_public_key *key, const struct digest *signer, unsigned all,
		struct fault *flt)
{
	if (!digest_equals(ecdsa_public_key_id(key), signer))
		return fault_invalid(flt, "the key of init is not the signer's");
	return log_keys_grant(keys, key, all, flt);
}

/*
 * Find the key with this text, or parse it: parsing takes a hundred times as long.
 * @param out  one reference
 */
static int obtain(const struct log_keys *keys, struct span text, struct ecdsa_public_key **out, struct fault *flt)
{
	/* A key id is the hash of the key's text, which has only one valid form. */
	const struct digest id = digest_of(text);
	const struct log_key *known = find(keys, &id);

	if (!known)
		return ecdsa_recent_keys_parse(keys->recent, text, out, flt);
	*out = ecdsa_public_key_ref(known->key);
	return 0;
}

int log_keys_apply(struct log_keys *keys, const struct record_entry *entry, const struct digest *signer, unsigned all,
		   unsigned manage, struct fault *flt)
{
	struct ecdsa_public_key *key;
	int ret;

	if (entry->type != ENTRY_INIT) {
		ret = log_keys_require(keys, signer, manage | entry->permissions, flt);
		if (ret)
			return ret;
	}
	if (entry->type == ENTRY_REVOKE_FLAT)
		return log_keys_revoke(keys, &entry->key_id, entry->permissions, flt);
	ret = obtain(keys, entry->key, &key, flt);
	if (ret)
		return ret;
	if (entry->type == ENTRY_INIT)
		ret = init(keys, key, signer, all, flt);
	else
		ret = log_keys_grant(keys, key, entry->permissions, flt);
	ecdsa_public_key_unref(key);
	return ret;
}

bool log_keys_are_changed_by(const struct record *record)
{
	for (size_t i = 0; i < record->entry_count; i++) {
		switch (record->entries[i].type) {
		case ENTRY_INIT:
		case ENTRY_GRANT_FLAT:
		case ENTRY_REVOKE_FLAT:
			return true;
		default:
			break;
		}
	}
	return false;
}

int log_keys_check_signature(const struct log_keys *keys, enum record_kind kind,
			     const struct record_envelope *envelope, struct fault *flt)
{
	const struct log_key *signer = find(keys, &envelope->key_id);

	if (!signer)
		return unknown_key(&envelope->key_id, flt);
	return record_verify(kind, signer->key, envelope, flt);
}
