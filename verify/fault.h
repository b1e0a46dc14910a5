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

/** A fault. All texts are printable ASCII: other bytes were replaced by '?' when they were set. */
struct fault {
	int verdict; /* 0 while nothing is wrong */
	enum fault_kind kind;
	enum fault_party party;
	int errnum;      /* with FAULT_SYSTEM, else 0 */
	unsigned wait;   /* seconds that the other side asks for before it is asked again; 0: it does not */
	char where[256]; /* "package example:hello, record 3, entry 1"; "" when not known */
	char what[256];  /* "the signature does not verify" */
};

/** Room that fault_sentence() needs for any fault. */
#define FAULT_SENTENCE_SIZE 640

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

/** Add to what is wrong: put the text behind it, with "; " between. Does nothing without a fault. */
void fault_add(struct fault *flt, const char *more, ...) __attribute__((format(printf, 2, 3)));

/** Say whose doing it is, unless that is known already. Does nothing when no fault is set. */
void fault_blame(struct fault *flt, enum fault_party party);

/**
 * Of a search for what may be absent, which is no fault then.
 * @param r      what the search returned, with its fault in `own`
 * @param found  whether it is there
 * @return 0 also if it is absent; else `r`, with the fault in `flt`
 */
int fault_unless_absent(int r, const struct fault *own, bool *found, struct fault *flt);

/** The fault as one sentence without a newline: "the registry: package example:hello, record 3: …". */
void fault_sentence(const struct fault *flt, char out[static FAULT_SENTENCE_SIZE]);

#endif
