/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The state of one package's log: feed records in order, ask what was released (protocol.md section 4).
 *
 * A log that others can see is immutable and counted by references. To go on, copy it, append to the copy, and publish
 * the copy.
 */
#ifndef WARG_VERIFY_PACKAGE_LOG_H
#define WARG_VERIFY_PACKAGE_LOG_H

#include "log_keys.h"
#include "name.h"
#include "semver.h"

/** Who yanked a release, and when. */
struct package_yank {
	struct digest by; /* key id */
	struct record_time at;
};

/** A version that was released, and perhaps yanked later. */
struct package_release {
	const char *version; /* NUL-terminated, owned by the log */
	struct digest record_id;
	struct digest by; /* key id */
	struct record_time time;
	struct digest content; /* all zero when yanked and restored from a state file, which does not keep it */
	const struct package_yank *yank; /* owned by the log; NULL: it was not yanked */
};

struct package_log;

/** A log without records; one reference. */
int package_log_new(const struct name *name, struct package_log **out, struct fault *flt);
struct package_log *package_log_ref(struct package_log *log);
/** NULL is fine. */
void package_log_unref(struct package_log *log);

/** A copy that may be appended to; one reference. */
int package_log_copy(const struct package_log *log, struct package_log **out, struct fault *flt);

/**
 * Have keys of records that are appended from now on looked for among these before they are parsed. They are borrowed
 * for appending alone; copies know nothing of them. NULL: no more.
 */
void package_log_use_keys(struct package_log *log, struct ecdsa_recent_keys *recent);

/**
 * Validate the next record and make it the head.
 *
 * All rules of protocol.md section 4, in its order. A record that fails leaves no trace in the state. Stricter than the
 * reference: a key that `init` or `grant_flat` holds in uncompressed form is refused (protocol.md section 1).
 *
 * @return 0; WARG_INVALID if a rule is broken, the fault names the rule; WARG_UNDECIDED over a cap or without memory
 */
int package_log_append(struct package_log *log, const struct record_envelope *envelope, struct fault *flt);

/**
 * Validate the next record as package_log_append() does, without changing the log. The cost depends on the record, not
 * on the length of the log.
 */
int package_log_check(struct package_log *log, const struct record_envelope *envelope, struct fault *flt);

/**
 * Append a record whose signature this machine verified before storing it: checks all rules of package_log_append() but
 * the signature, in a tenth of the time.
 */
int package_log_replay(struct package_log *log, const struct record_envelope *envelope, struct fault *flt);

/** Whose log it is. */
struct name package_log_name(const struct package_log *log);
/** Its text, NUL-terminated, and the part before and behind its colon. They live as long as the log. */
const char *package_log_name_text(const struct package_log *log);
struct span package_log_name_namespace(const struct package_log *log);
struct span package_log_name_package(const struct package_log *log);

/**
 * What a log was fed, as one digest: its records with their signatures, in order. Two logs of the same transcript were
 * fed the same bytes. It grows from an all-zero one, record by record.
 * @param record_id  record_id() of the envelope's content
 */
struct digest package_log_transcribe(const struct digest *transcript, const struct record_envelope *envelope,
				     const struct digest *record_id);
/** The transcript. @return false: not known, as the log was put together from a state */
bool package_log_transcript(const struct package_log *log, struct digest *out);

/** The head, or NULL before the first record. Borrowed until the next append. */
const struct log_head *package_log_head(const struct package_log *log);

/** The keys that the log knows. Borrowed until the next append. */
const struct log_keys *package_log_keys(const struct package_log *log);

/** All releases in the order of the log, yanked ones included. Borrowed until the next append. */
const struct package_release *package_log_releases(const struct package_log *log, size_t *count);

/** The release with exactly this version text, yanked or not, or NULL. Not slower when there are many. */
const struct package_release *package_log_find(const struct package_log *log, struct span version);

/**
 * The greatest version that satisfies the requirement and is not yanked, or NULL.
 * @param requirement  NULL: any version that is no pre-release, or else any version at all; that is found once only
 */
const struct package_release *package_log_best(const struct package_log *log,
					       const struct semver_requirement *requirement);

/*
 * Putting a log together from a state that was stored (protocol.md section 8). Each refuses with WARG_INVALID what no
 * sequence of records could have led to: a version twice or not SemVer, a permission that packages do not have,
 * releases without a head.
 */
int package_log_restore_key(struct package_log *log, struct ecdsa_public_key *key, unsigned permissions,
			    struct fault *flt);
int package_log_restore_release(struct package_log *log, const struct package_release *release, struct fault *flt);
int package_log_restore_head(struct package_log *log, const struct log_head *head, struct fault *flt);

#endif
