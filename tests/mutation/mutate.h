/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Honest answers turned into others, by chance: bytes, JSON, the protobuf inside of it, headers, and how all of it
 * travels.
 *
 * Nothing here knows what would be believed: some of what comes out means what it meant before.
 */
#ifndef WARG_TESTS_MUTATION_MUTATE_H
#define WARG_TESTS_MUTATION_MUTATE_H

#include "chance.h"
#include "verify/buf.h"

/** No answer of the tests comes near this. */
#define MUTATION_MOST (8u << 20)

/** How an answer travels. */
enum travel {
	TRAVEL_WHOLE,
	TRAVEL_CUT,     /* part of it, then the end */
	TRAVEL_CLOSED,  /* the end */
	TRAVEL_SILENT,  /* nothing, for as long as somebody waits */
	TRAVEL_DRIBBLE, /* part of it, and then nothing */
};

/** What was done to an answer. */
struct mutation {
	enum travel travel; /* any but TRAVEL_WHOLE: nothing false was said, it just did not come */
	bool says_other;    /* status and headers are as before, and only the body says something else */
	char what[160];     /* in words */
};

/** An answer as a registry gives it. */
struct answer {
	int status;
	bool is_head; /* of a HEAD request: the body's length is told, and no body sent */
	struct span body;
};

/** Bodies of answers of all kinds, to be mixed up. */
#define POOL 24
struct pool {
	struct buf bodies[POOL];
	size_t count;
};

/** The whole answer as it is, head and all, appended to `out`. */
void mutate_nothing(const struct answer *answer, struct buf *out);

/**
 * Another answer, appended to `out`.
 * @param may_stall  whether it may come so slowly that only a deadline ends it
 */
void mutate_answer(struct chance *chance, const struct answer *answer, const struct pool *pool, bool may_stall,
		   struct buf *out, struct mutation *mutation);

/** Change bytes in place: some are flipped, cut off, taken out, repeated, put in, or come from elsewhere. */
void mutate_bytes(struct chance *chance, struct buf *bytes, const struct pool *pool);
/** Change a protobuf message in place. Falls back on its bytes where it is none. */
void mutate_protobuf(struct chance *chance, struct buf *message);
/** Change a JSON text in place. @return false, and unchanged, if it is none */
bool mutate_json(struct chance *chance, struct buf *text, const struct pool *pool);

/** Replace `length` bytes at `at` by others. What would pass MUTATION_MOST is left as it was. */
void mutate_splice(struct buf *bytes, size_t at, size_t length, struct span by);

#endif
