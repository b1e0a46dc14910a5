/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Records: the signed units of which package logs and the operator log are made (protocol.md sections 2 to 4).
 *
 * A record borrows from the content bytes that it was decoded from: they are what was hashed and signed, and are never
 * encoded again. Keep them as long as the record.
 */
#ifndef WARG_VERIFY_RECORD_H
#define WARG_VERIFY_RECORD_H

#include "ecdsa.h"

/** The kind of log that a record belongs to: it decides the entries, and the prefixes of ids and signatures. */
enum record_kind { RECORD_PACKAGE, RECORD_OPERATOR };

/** A point in time: seconds since 1970 and 0 … 999,999,999 nanoseconds (google.protobuf.Timestamp). */
struct record_time {
	int64_t seconds;
	int32_t nanos;
};

/** <0, 0, >0: earlier, same, later. */
int record_time_compare(struct record_time a, struct record_time b);

/** Permissions of a key, as bits. Those of packages and those of the operator share the type, never a log. */
enum record_permission {
	PERMISSION_RELEASE = 1 << 0,
	PERMISSION_YANK = 1 << 1,
	PERMISSION_COMMIT = 1 << 2,
	PERMISSION_DEFINE_NAMESPACE = 1 << 3,
	PERMISSION_IMPORT_NAMESPACE = 1 << 4,
};
#define PERMISSIONS_PACKAGE (PERMISSION_RELEASE | PERMISSION_YANK)
#define PERMISSIONS_OPERATOR (PERMISSION_COMMIT | PERMISSION_DEFINE_NAMESPACE | PERMISSION_IMPORT_NAMESPACE)

enum record_entry_type {
	ENTRY_INIT,             /* key; the hash algorithm is always sha256 */
	ENTRY_GRANT_FLAT,       /* key, permissions */
	ENTRY_REVOKE_FLAT,      /* key_id, permissions */
	ENTRY_RELEASE,          /* version, content; packages only */
	ENTRY_YANK,             /* version; packages only */
	ENTRY_DEFINE_NAMESPACE, /* namespace; operator only */
	ENTRY_IMPORT_NAMESPACE, /* namespace, registry; operator only */
};

struct record_entry {
	enum record_entry_type type;
	unsigned permissions;         /* a set of enum record_permission */
	struct span key;              /* text of a public key; not parsed yet */
	struct digest key_id;
	struct span version;          /* checked to be SemVer */
	struct digest content;
	struct span namespace;        /* checked to be a part of a name */
	struct span registry;         /* 1 … CAP_URL bytes of printable ASCII */
};

struct record {
	enum record_kind kind;
	struct digest id;
	bool has_prev;
	struct digest prev;
	uint32_t version;
	struct record_time time;
	struct record_entry *entries; /* owned */
	size_t entry_count;
};

/** A record as it travels: its content bytes with the signer's key id and signature. All borrowed. */
struct record_envelope {
	struct span content;
	struct digest key_id;
	struct span signature; /* text form */
};

/**
 * Decode content bytes and compute the record's id.
 *
 * Checks form only: the protobuf, the texts in it, permissions that exist, a time from 1970 to 9999, at most
 * CAP_RECORD_ENTRIES entries. Packed and unpacked permissions are both read, as the reference does (interop.md section
 * B 11). What the log's state has to say is the business of package_log and operator_log.
 *
 * @param out  release with record_release()
 * @return 0; WARG_INVALID for malformed bytes; WARG_UNDECIDED over CAP_RECORD, CAP_RECORD_ENTRIES, or without memory
 */
int record_decode(enum record_kind kind, struct span content, struct record *out, struct fault *flt);

/**
 * Find the contents that a package's record releases, as the reference reads it, also in a record that record_decode()
 * refuses: a server that serves such a record must serve its contents, too. Skips what cannot be parsed.
 *
 * @param take  called for each content, maybe twice for the same; non-zero ends the walk
 * @return 0, or what `take` returned
 */
int record_walk_contents(struct span content, int (*take)(void *user, const struct digest *digest, struct fault *flt),
			 void *user, struct fault *flt);

/** Give the entries back; empty afterwards. */
void record_release(struct record *record);

/** Encode a record's content as the reference does and append it to `out`; `id` is not looked at. */
int record_encode(const struct record *record, struct buf *out, struct fault *flt);

/** H(prefix of the kind || content): protocol.md section 2. */
struct digest record_id(enum record_kind kind, struct span content);

/** Check the signature of a record's content. Errors as ecdsa_verify(). */
int record_verify(enum record_kind kind, const struct ecdsa_public_key *key, const struct record_envelope *envelope,
		  struct fault *flt);

/** Sign content bytes; append the signature's text form to `out`. */
int record_sign(enum record_kind kind, const struct ecdsa_private_key *key, struct span content, struct buf *out,
		struct fault *flt);

#endif
