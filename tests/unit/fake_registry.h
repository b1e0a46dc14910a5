/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A registry in memory, behind a real socket, that answers every call honestly until it is told to lie: one lie at a
 * time.
 *
 * It is a forge (forge.h) behind a server (server.h), so that what it says is true unless a lie is told. All of it
 * fails the test when it cannot do what it is asked.
 */
#ifndef WARG_TESTS_FAKE_REGISTRY_H
#define WARG_TESTS_FAKE_REGISTRY_H

#include "client/net/api.h"
#include "server.h"

enum fake_lie {
	LIE_NONE,
	/* The checkpoint. */
	LIE_KEY_UNKNOWN,       /* signed by a key that the operator's log does not know */
	LIE_KEY_NO_COMMIT,     /* by one that may not sign checkpoints */
	LIE_LENGTH,            /* signed well, but of one record fewer than its roots are of */
	LIE_LOG_ROOT,          /* signed well, with a log root that is none */
	LIE_MAP_ROOT,
	LIE_TIME,              /* another time than was signed */
	LIE_ROLLBACK,          /* the first checkpoint that there was */
	LIE_GARBAGE,           /* HTML in place of any answer */
	/* Consistency. */
	LIE_CONSISTENCY_HASH,  /* one hash changed */
	LIE_CONSISTENCY_FROM,  /* a proof from another length */
	LIE_CONSISTENCY_NONE,  /* 422 */
	/* Inclusion. */
	LIE_PROOFS_FEWER,
	LIE_PROOFS_MORE,
	LIE_PROOFS_REORDERED,
	LIE_PROOFS_OTHER,      /* of the operator's last record in place of all */
	LIE_MAP_FEWER,
	LIE_PROOFS_LONG,       /* of more than one record together: longer than any answer that is taken */
	LIE_PROOFS_REFUSED,    /* 422 for whatever has the victim in it */
	/* The victim's log. */
	LIE_OTHER_LOG,         /* another package's records */
	LIE_WITHHELD,          /* its last record is kept back */
	LIE_EMPTY,             /* it has no records */
	LIE_ABSENT,            /* 404 */
	LIE_RECORD,            /* one byte of each record is changed */
	LIE_INDEX,             /* its last record stands one further on */
	LIE_INDEX_PAST,        /* behind the end */
	LIE_INDEX_ORDER,       /* all its records stand in one place */
	LIE_OPERATOR_RECORD,   /* one byte of each record of the operator's is changed */
	/* All logs. */
	LIE_MORE,              /* there is always more, and it never comes */
	LIE_TOKENS,            /* no token is known: 404 */
	LIE_TOKENS_HANG_UP,    /* the same, as the reference has it */
	/* Names and ledger. */
	LIE_NAMES_SWAPPED,
	LIE_NAMES_WITHHELD,    /* the victim's */
	LIE_LEDGER_SHORT,
	LIE_LEDGER_REORDERED,
	LIE_LEDGER_CHANGED,
	LIE_LEDGER_NONE,       /* 501 */
};

struct fake_registry;

/** A registry with an operator, the namespace `test`, and a first checkpoint of two records. */
struct fake_registry *fake_registry_new(void);
/** The same with another namespace, by another operator: the key forge_key(operator). */
struct fake_registry *fake_registry_new_by(const char *namespace, unsigned operator);
void fake_registry_free(struct fake_registry *fake);
/** Its server: for what is to hang, and to be counted. */
struct embedded_registry *fake_registry_server(struct fake_registry *fake);
const struct http_url *fake_registry_url(const struct fake_registry *fake);

/** Publish a version, with the package's init where it is new. It shows at the next checkpoint. */
void fake_registry_release(struct fake_registry *fake, const char *package, const char *version);
/** Have the operator import a namespace. It shows at the next checkpoint. */
void fake_registry_import(struct fake_registry *fake, const char *namespace, const char *registry);
/** Yank a version. It shows at the next checkpoint. */
void fake_registry_yank(struct fake_registry *fake, const char *package, const char *version);
/**
 * Take a record that was made elsewhere, if its log allows it; it shows at the next checkpoint.
 * @param index  where it stands in the registry's log then
 * @return 0, or the log's verdict
 */
int fake_registry_take(struct fake_registry *fake, const char *package, const struct record_envelope *envelope,
		       uint64_t *index, struct fault *flt);
/** Publish any record under any package name, valid or not; otherwise as the functions above. */
void fake_registry_put(struct fake_registry *fake, const char *package, const struct record_envelope *envelope);
/** Sign a checkpoint of all that was published. */
void fake_registry_sign(struct fake_registry *fake);

/** Tell this lie from now on. @param victim  the package that is lied about; NULL where none is */
void fake_registry_lie(struct fake_registry *fake, enum fake_lie lie, const char *victim);
/** What a request with Warg-Registry gets. */
enum fake_speech {
	FAKE_REFUSES,   /* 501, as the reference has it */
	FAKE_IGNORES,   /* what it gets without */
	FAKE_HANGS_UP,
	FAKE_HANGS,     /* nothing, until its server is released */
	FAKE_SPEAKS,    /* the words of the other registry */
};
/** @param other  whom it speaks for; its words go through this one's server */
void fake_registry_speak(struct fake_registry *fake, enum fake_speech speech, struct fake_registry *other);
/** Answer 401 to requests without this token. NULL: demand none */
void fake_registry_demand(struct fake_registry *fake, const char *token);
/** Send this with each 404 of a log, as Warg-Registry-Hint. NULL: nothing */
void fake_registry_hint(struct fake_registry *fake, const char *hint);
/** Its domain: address and port. */
const char *fake_registry_domain(const struct fake_registry *fake);
/** How many requests had this header, "authorization: bearer x" say; without regard to case. */
unsigned fake_registry_count_header(struct fake_registry *fake, const char *line);

/** Give at most this many records of each log in one answer. */
void fake_registry_page(struct fake_registry *fake, size_t records);
/** Forget the heads of requests that came: it remembers only so many. */
void fake_registry_forget_heads(struct fake_registry *fake);
/** How many requests came for this path, "v1/fetch/logs" say. */
unsigned fake_registry_count(struct fake_registry *fake, const char *path);
/** Forget all counts, and let answers for `path` wait until `together` requests for it came: 0, none do. */
void fake_registry_gather(struct fake_registry *fake, const char *path, unsigned together);

#endif
