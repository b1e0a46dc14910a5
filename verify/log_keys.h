/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What package logs and the operator log have in common: a head, and keys with permissions (protocol.md section 4).
 */
#ifndef WARG_VERIFY_LOG_KEYS_H
#define WARG_VERIFY_LOG_KEYS_H

#include "record.h"

/** The last record that was validated. */
struct log_head {
	struct digest record_id;
	struct record_time time;
};

/** A key known to a log. It stays known when its last permission is revoked. */
struct log_key {
	struct ecdsa_public_key *key; /* one reference */
	unsigned permissions;         /* a set of enum record_permission, perhaps empty */
};

/** The keys of one log, in the order in which they became known. */
struct log_keys {
	struct log_key *keys;
	size_t count, capacity;
	struct ecdsa_recent_keys *recent; /* looked at before a key is parsed; borrowed, not copied; may be NULL */
};

/** Give back all references and memory; empty afterwards. An all-zero struct is an empty set. */
void log_keys_release(struct log_keys *keys);

/** Copy into an empty `out`. */
int log_keys_copy(const struct log_keys *keys, struct log_keys *out, struct fault *flt);

/** The key with this id, or NULL. Borrowed until the set changes. */
const struct log_key *log_keys_find(const struct log_keys *keys, const struct digest *key_id);

/**
 * Make `key` known, if it is not, and add permissions to it.
 * @param key  borrowed; the set takes its own reference
 * @return 0; WARG_UNDECIDED over CAP_LOG_KEYS or without memory
 */
int log_keys_grant(struct log_keys *keys, struct ecdsa_public_key *key, unsigned permissions, struct fault *flt);

/**
 * Revoke permissions. @return 0, also for an empty list, even of an unknown key; WARG_INVALID if the key is unknown or
 * lacks one of them
 */
int log_keys_revoke(struct log_keys *keys, const struct digest *key_id, unsigned permissions, struct fault *flt);

/** @return 0; WARG_INVALID if the key is not known or lacks one of `permissions`, which the fault names */
int log_keys_require(const struct log_keys *keys, const struct digest *key_id, unsigned permissions, struct fault *flt);

/**
 * The rules that a record's frame must meet: `prev` (rule 1), `version` (rule 2), `time` (rule 3).
 * @param head  NULL before the first record
 */
int log_keys_check_frame(const struct record *record, const struct log_head *head, struct fault *flt);

/**
 * Where an entry may stand (rule 4): `init` first of all and only there; a first record with no entries is refused too.
 * @param is_begun  whether an entry came before, in this record or an earlier one
 */
int log_keys_check_order(const struct record_entry *entry, bool is_begun, struct fault *flt);

/**
 * Apply an entry of a kind that both logs have: init, grant or revoke (rule 4).
 *
 * @param signer  key id of the record's envelope
 * @param all     what `init` gives its key
 * @param manage  what the signer needs to grant and revoke, beside each permission that it gives or takes
 * @return 0; WARG_INVALID if a rule is broken; WARG_UNDECIDED over CAP_LOG_KEYS or without memory
 */
int log_keys_apply(struct log_keys *keys, const struct record_entry *entry, const struct digest *signer, unsigned all,
		   unsigned manage, struct fault *flt);

/** Whether a record changes keys: only then does undoing it need a copy of them. */
bool log_keys_are_changed_by(const struct record *record);

/** Rule 5: the signer is known, and the signature verifies. */
int log_keys_check_signature(const struct log_keys *keys, enum record_kind kind,
			     const struct record_envelope *envelope, struct fault *flt);

#endif
