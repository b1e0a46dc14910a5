/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Registries made up in memory, for tests: keys, signed records, the log, the map, checkpoints and proofs.
 *
 * Everything is honest and deterministic but for signatures; lies are told by changing what comes out. A failure inside
 * fails the test.
 */
#ifndef WARG_TESTS_FORGE_H
#define WARG_TESTS_FORGE_H

#include "verify/checkpoint.h"
#include "verify/merkle_log.h"
#include "verify/merkle_map.h"
#include "verify/name.h"

/** The same private key for the same number, above 0. Free with ecdsa_private_key_free(). */
struct ecdsa_private_key *forge_key(unsigned number);

/** A record as it travels. Release with forge_record_release(). */
struct forge_record {
	struct digest log_id;
	struct digest id;
	struct digest key_id;
	struct buf content;
	char signature[CAP_SIGNATURE_TEXT + 1];
};

/** Encode a record's content as it stands, and sign it. */
void forge_record(enum record_kind kind, const struct record *record, const struct ecdsa_private_key *key,
		  struct forge_record *out);
/** Sign content bytes, whatever they are. `out` owns a copy. */
void forge_content(enum record_kind kind, struct span content, const struct ecdsa_private_key *key,
		   struct forge_record *out);
void forge_record_release(struct forge_record *record);

/** The record as an envelope; borrowed. */
struct record_envelope forge_envelope(const struct forge_record *record);

/** A parsed name. */
struct name forge_name(const char *text);

/** Entries. Texts are borrowed. */
struct record_entry forge_init(const struct ecdsa_private_key *key);
struct record_entry forge_grant(const struct ecdsa_private_key *key, unsigned permissions);
struct record_entry forge_revoke(const struct ecdsa_private_key *key, unsigned permissions);
/** @param content  any text: the release's content is its hash */
struct record_entry forge_release(const char *version, const char *content);
struct record_entry forge_yank(const char *version);
struct record_entry forge_namespace(const char *namespace);
struct record_entry forge_import(const char *namespace, const char *registry);

/** An operator's log of one record: init, and up to eight entries. One reference. */
struct operator_log *forge_operator(const struct record_entry *entries, size_t count);

/** A registry. The operator's log is its first; its keys are numbers 1 (operator) and 2 (packages). */
struct forge {
	struct ecdsa_private_key *operator_key, *package_key;
	struct forge_record *records; /* by registry index */
	size_t count;
	struct merkle_log *log;
};

/** A registry with one record, which defines `namespace`. Release with forge_close(). */
void forge_open(struct forge *forge, const char *namespace);
/** The same, by another operator: the key forge_key(operator). */
void forge_open_by(struct forge *forge, const char *namespace, unsigned operator);
void forge_close(struct forge *forge);

/** Append a record signed by `key`, after the log's last one, a second later than the registry's last. */
void forge_append(struct forge *forge, enum record_kind kind, const char *name, const struct record_entry *entries,
		  size_t count, const struct ecdsa_private_key *key);

/** Append any record under any package name, valid or not. */
void forge_append_made(struct forge *forge, const char *name, const struct record_envelope *envelope);

/** Append a record to a package: init as well if it is the first, and a release of `version`. */
void forge_publish(struct forge *forge, const char *name, const char *version, const char *content);

/** A package of `records` records: releases 0.0.0, 0.0.1, … */
void forge_package(struct forge *forge, const char *name, size_t records);

/** The index of the log's last record below `length`, or -1. */
int64_t forge_head(const struct forge *forge, const struct digest *log_id, uint64_t length);

/** The checkpoint at `length`, signed by the operator. */
struct signed_checkpoint forge_checkpoint(const struct forge *forge, uint64_t length, uint64_t timestamp);

/** Proofs of inclusion of the records at `indices`, each its log's last at `length`. Release both. */
void forge_prove_inclusion(const struct forge *forge, uint64_t length, const uint64_t *indices, size_t count,
			   struct merkle_log_bundle *log, struct merkle_map_bundle *map);
void forge_prove_consistency(const struct forge *forge, uint64_t from, uint64_t to, struct merkle_log_bundle *out);

#endif
