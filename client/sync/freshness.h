/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * How old what is believed is: the age of the newest checkpoint, by a clock that may be wrong and may jump.
 *
 * The clock on the wall is looked at once, when the measure begins; from then on it is taken to go as the clock that
 * counts from boot, which nobody sets. So whatever is done to the wall's clock later makes nothing fresh, and nothing
 * stale. A checkpoint's age is the time since it says that it was signed. One that comes from the future cannot be
 * measured so: its age is the time since it was first seen in this process, if it is newer than all that was seen; and
 * one that was seen before, by another process, has none.
 *
 * A checkpoint that is offered again, or an older one, makes nothing fresher.
 */
#ifndef WARG_CLIENT_FRESHNESS_H
#define WARG_CLIENT_FRESHNESS_H

#include "client/base/clock.h"
#include "verify/fault.h"

#include <stdbool.h>

/** Now, by both clocks, in milliseconds. */
struct freshness_now {
	int64_t wall; /* since 1970, as the clock on the wall has it */
	int64_t boot; /* since boot, sleep included */
};
struct freshness_now freshness_now(void);

/** All times are in milliseconds; FRESHNESS_NEVER where there is none. A value: may be copied. */
struct freshness {
	int64_t offset;   /* added to boot it gives the wall's time, as it was in the beginning */
	int64_t newest;   /* the latest time of signing that was seen, since 1970 */
	int64_t age_then; /* of the freshest checkpoint when it was first seen */
	int64_t seen;     /* and when that was, since boot */
	int64_t verified; /* when a checkpoint that was offered was last verified, since boot */
	int64_t came_at;  /* the age that this one had then */
	int64_t ahead;    /* by how much the last one that was seen was of the future; 0: it was not */
};
#define FRESHNESS_NEVER INT64_MIN

/** Where a checkpoint came from. */
enum freshness_source {
	FRESHNESS_OFFERED, /* the registry offered it now */
	FRESHNESS_KEPT,    /* it lay here */
};

/** Begin to measure. */
void freshness_init(struct freshness *freshness, struct freshness_now now);

/** A checkpoint was verified. @param timestamp  when it says it was signed, seconds since 1970 */
void freshness_see(struct freshness *freshness, uint64_t timestamp, enum freshness_source source,
		   struct freshness_now now);

/** A checkpoint lay here that is not the one believed now: none that is older can be new. */
void freshness_remember(struct freshness *freshness, uint64_t timestamp);

/** The age in seconds. @return false if it is not known */
bool freshness_age(const struct freshness *freshness, struct freshness_now now, uint64_t *out);

/** Seconds since the registry last offered a checkpoint that verified. @return false: this process saw none */
bool freshness_verified(const struct freshness *freshness, struct freshness_now now, uint64_t *out);

/** Milliseconds for which it is not stale yet. @param max_age  seconds; 0: nothing is ever stale, CLOCK_NEVER */
clock_ms freshness_left(const struct freshness *freshness, unsigned max_age, struct freshness_now now);

/**
 * Whether what may have changed may still be told.
 * @return 0; WARG_UNDECIDED with FAULT_TIMEOUT if it is older than `max_age` seconds: how old, and why that may be
 */
int freshness_check(const struct freshness *freshness, unsigned max_age, struct freshness_now now, struct fault *flt);

/**
 * Whether the registry's clock and the one here can both be right.
 * @return 0; WARG_UNDECIDED with FAULT_MISUSE, a sentence for the log, if the last checkpoint was of the future by more
 *         than CAP_CLOCK_AHEAD
 */
int freshness_check_clock(const struct freshness *freshness, struct fault *flt);

#endif
