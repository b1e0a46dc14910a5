/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The state of the operator's log: who may sign checkpoints, and which namespaces there are (protocol.md section 4).
 *
 * Immutable once others can see it, like package_log.
 */
#ifndef WARG_VERIFY_OPERATOR_LOG_H
#define WARG_VERIFY_OPERATOR_LOG_H

#include "log_keys.h"

struct operator_namespace {
	const char *name;     /* NUL-terminated, owned by the log */
	const char *registry; /* the registry that it is imported from; NULL when it is defined here */
};

struct operator_log;

/** A log without records; one reference. */
int operator_log_new(struct operator_log **out, struct fault *flt);
struct operator_log *operator_log_ref(struct operator_log *log);
/** NULL is fine. */
void operator_log_unref(struct operator_log *log);

/** A copy that may be appended to; one reference. */
int operator_log_copy(const struct operator_log *log, struct operator_log **out, struct fault *flt);

/**
 * Validate the next record and make it the head. As package_log_append(); stricter than the reference: the key of
 * `init` must be the signer's.
 */
int operator_log_append(struct operator_log *log, const struct record_envelope *envelope, struct fault *flt);

/** The head, or NULL before the first record. Borrowed until the next append. */
const struct log_head *operator_log_head(const struct operator_log *log);

/** The keys that the log knows. Borrowed until the next append. */
const struct log_keys *operator_log_keys(const struct operator_log *log);

/** Key id of the key of `init`: what a stranger has to know of the operator. NULL before the first record. Borrowed. */
const struct digest *operator_log_first_key(const struct operator_log *log);

/** All namespaces in the order of the log. Borrowed until the next append. */
const struct operator_namespace *operator_log_namespaces(const struct operator_log *log, size_t *count);

/** The namespace of this name, or NULL. */
const struct operator_namespace *operator_log_find(const struct operator_log *log, struct span name);

/* Putting a log together from a state that was stored; as package_log_restore_…(). */
int operator_log_restore_key(struct operator_log *log, struct ecdsa_public_key *key, unsigned permissions,
			     struct fault *flt);
/** @param registry  empty: defined here */
int operator_log_restore_namespace(struct operator_log *log, struct span name, struct span registry,
				   struct fault *flt);
int operator_log_restore_head(struct operator_log *log, const struct log_head *head, struct fault *flt);

#endif
