/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What went wrong, where, and whose doing it is.
 *
 * Every function that can fail takes a `struct fault *` last and returns 0 or a negative verdict.
 * The first fault wins: once a fault is set, later ones do not overwrite it; callers on the way up only add
 * where it happened and who sent the bytes. The caller that asked starts with `struct fault flt = {0};`.
 */
#ifndef WARG_VERIFY_FAULT_H
#define WARG_VERIFY_FAULT_H

#include <stdbool.h>
#include <stddef.h>

/** The bytes are a lie or malformed. Accuses the peer; never retried into acceptance. */
#define WARG_INVALID (-1)
/** We could not find out: no memory, a limit of ours, the network. Accuses nobody. */
#define WARG_UNDECIDED (-2)

enum fault_kind {
	FAULT_NONE = 0,
	FAULT_FORGED,      /* a lie or malformed data: the one kind whose verdict is WARG_INVALID */
	FAULT_UNREACHABLE, /* no connection, or the server says that it cannot serve now */
	FAULT_TIMEOUT,     /* a deadline passed */
	FAULT_LOGIN,       /* the registry wants a login */
	FAULT_REFUSED,     /* the registry understood and refuses */
	FAULT_DENIED,      /* the key lacks the permission */
	FAULT_NO_KEY,      /* there is no key to sign with */
	FAULT_ABSENT,      /* the thing does not exist */
	FAULT_EXISTS,      /* the thing exists already */
	FAULT_LIMIT,       /* more than caps.h allows */
	FAULT_OVERSIZED,   /* of a log: a record exceeds a bound of caps.h, so the log is not read here */
	FAULT_CANCELLED,   /* whoever asked does not want it any more */
	FAULT_MISUSE,      /* the caller's argument cannot be what it has to be */
	FAULT_SYSTEM,      /* a local fault; errnum says which */
};

enum fault_party {
	FAULT_BY_UNKNOWN = 0,
	FAULT_BY_REGISTRY, /* the registry's own answers */
	FAULT_BY_SOURCE,   /* a content source, which may be another host */
	FAULT_BY_CACHE,    /* files that lay in the cache or configuration */
	FAULT_BY_NETWORK,
	FAULT_BY_USER,
	FAULT_BY_SYSTEM,
};

/** A fault. All texts are printable (printable.h): one line of UTF-8, other bytes escaped. */
struct fault {
	int verdict; /* 0 while nothing is wrong */
	enum fault_kind kind;
	enum fault_party party;
	bool is_clause;  /* `what` is said of the end of `where`: "has no package y" */
	int errnum;      /* with FAULT_SYSTEM, else 0 */
	unsigned wait;   /* seconds that the other side asks for before it is asked again; 0: it does not */
	char where[256]; /* "package example:hello, record 3, entry 1"; "" when not known */
	char what[384];  /* "the signature does not verify" */
};

/** Room that fault_sentence() needs for any fault. */
#define FAULT_SENTENCE_SIZE 720

/** Set a fault of kind FAULT_FORGED. Returns WARG_INVALID. `flt` may be NULL, here and below. */
int fault_invalid(struct fault *flt, const char *what, ...) __attribute__((format(printf, 2, 3)));

/** Set a fault of a kind other than FAULT_FORGED and FAULT_SYSTEM. Returns WARG_UNDECIDED. */
int fault_undecided(struct fault *flt, enum fault_kind kind, const char *what, ...)
	__attribute__((format(printf, 3, 4)));

/** Set a fault of kind FAULT_SYSTEM with an errno; its text is appended to `what`. Returns WARG_UNDECIDED. */
int fault_system(struct fault *flt, int errnum, const char *what, ...) __attribute__((format(printf, 3, 4)));

/** The fault of an allocation that failed: fault_system() with ENOMEM. Returns WARG_UNDECIDED. */
int fault_no_memory(struct fault *flt);

/** Say where: put the text in front of what `where` holds already, with ", " between. Does nothing without a fault. */
void fault_at(struct fault *flt, const char *where, ...) __attribute__((format(printf, 2, 3)));

/** As fault_at(), of what is wrong with the subject: "http://x/ has no package y", without a colon between. */
void fault_subject(struct fault *flt, const char *subject, ...) __attribute__((format(printf, 2, 3)));

/** Add to what is wrong: put the text behind it, with "; " between. Does nothing without a fault. */
void fault_add(struct fault *flt, const char *more, ...) __attribute__((format(printf, 2, 3)));

/** Say whose doing it is, unless that is known already. Does nothing when no fault is set. */
void fault_blame(struct fault *flt, enum fault_party party);

/** Copy a fault, if there is one, unless `to` has one already. `to` may be NULL. */
void fault_pass(const struct fault *from, struct fault *to);

/**
 * Of a search for what may be absent, which is no fault then.
 * @param r      what the search returned, with its fault in `own`
 * @param found  whether it is there
 * @return 0 also if it is absent; else `r`, with the fault in `flt`
 */
int fault_unless_absent(int r, const struct fault *own, bool *found, struct fault *flt);

/** A kind in one word, "absent": for programs, so it never changes. */
const char *fault_kind_name(enum fault_kind kind);

/** Who is accused, with ": " behind, to stand in front of `where`; "" where nobody is. Only FAULT_FORGED accuses. */
const char *fault_accusation(const struct fault *flt);

/**
 * The fault as one sentence without a newline: "package example:hello, record 3: …". Whose doing it is, is said only
 * of what was forged; otherwise `where` and `what` have to name what they speak of.
 */
void fault_sentence(const struct fault *flt, char out[static FAULT_SENTENCE_SIZE]);

#endif
