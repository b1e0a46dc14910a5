/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Measuring an age (see freshness.h).
 */
#include "freshness.h"

#include "verify/caps.h"

#include <inttypes.h>
#include <time.h>

static int64_t milliseconds(clockid_t clock)
{
	struct timespec now;

	/* Cannot fail: these clocks are always there, and the pointer is ours. */
	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct freshness_now freshness_now(void)
{
	return (struct freshness_now){ milliseconds(CLOCK_REALTIME), milliseconds(CLOCK_BOOTTIME) };
}

void freshness_init(struct freshness *freshness, struct freshness_now now)
{
	*freshness = (struct freshness){
		.offset = now.wall - now.boot,
		.newest = FRESHNESS_NEVER,
		.age_then = FRESHNESS_NEVER,
		.seen = FRESHNESS_NEVER,
		.verified = FRESHNESS_NEVER,
		.came_at = FRESHNESS_NEVER,
	};
}

/* FRESHNESS_NEVER: not known. */
static int64_t age_of(const struct freshness *freshness, struct freshness_now now)
{
	if (freshness->age_then == FRESHNESS_NEVER)
		return FRESHNESS_NEVER;
	return freshness->age_then + (now.boot - freshness->seen);
}

/* The age that a checkpoint has at first sight; FRESHNESS_NEVER: it cannot be told, or tells nothing. */
static int64_t age_at_sight(const struct freshness *freshness, int64_t signed_at, enum freshness_source source,
			    struct freshness_now now)
{
	int64_t age = now.boot + freshness->offset - signed_at;

	if (age < -CAP_CLOCK_AHEAD * 1000) {
		/* Measured by another clock it must at least be new: that clock may have been set back since. */
		if (signed_at <= freshness->newest)
			return FRESHNESS_NEVER;
		/* A machine that started without the time may have it now. */
		age = now.wall - signed_at;
		if (age < -CAP_CLOCK_AHEAD * 1000 && source == FRESHNESS_KEPT)
			return FRESHNESS_NEVER;
	}
	return age > 0 ? age : 0;
}

/* By how much a time is ahead of both the clock as it was and as it is. */
static int64_t ahead_of(const struct freshness *freshness, int64_t signed_at, struct freshness_now now)
{
	int64_t wall = now.boot + freshness->offset;
	int64_t ahead = signed_at - (now.wall > wall ? now.wall : wall);

	return ahead > CAP_CLOCK_AHEAD * 1000 ? ahead : 0;
}

static int64_t time_of(uint64_t timestamp)
{
	return (int64_t)(timestamp < CAP_SECONDS ? timestamp : CAP_SECONDS) * 1000;
}

void freshness_remember(struct freshness *freshness, uint64_t timestamp)
{
	int64_t signed_at = time_of(timestamp);

	if (signed_at > freshness->newest)
		freshness->newest = signed_at;
}

void freshness_see(struct freshness *freshness, uint64_t timestamp, enum freshness_source source,
		   struct freshness_now now)
{
	int64_t signed_at = time_of(timestamp);
	int64_t age = age_at_sight(freshness, signed_at, source, now), known = age_of(freshness, now);

	if (age != FRESHNESS_NEVER && (known == FRESHNESS_NEVER || age < known)) {
		freshness->age_then = age;
		freshness->seen = now.boot;
	}
	freshness_remember(freshness, timestamp);
	if (source == FRESHNESS_OFFERED) {
		freshness->verified = now.boot;
		freshness->came_at = age;
	}
	freshness->ahead = ahead_of(freshness, signed_at, now);
}

bool freshness_age(const struct freshness *freshness, struct freshness_now now, uint64_t *out)
{
	int64_t age = age_of(freshness, now);

	if (age == FRESHNESS_NEVER)
		return false;
	*out = (uint64_t)age / 1000;
	return true;
}

bool freshness_verified(const struct freshness *freshness, struct freshness_now now, uint64_t *out)
{
	if (freshness->verified == FRESHNESS_NEVER)
		return false;
	*out = (uint64_t)(now.boot - freshness->verified) / 1000;
	return true;
}

clock_ms freshness_left(const struct freshness *freshness, unsigned max_age, struct freshness_now now)
{
	int64_t age = age_of(freshness, now), most = (int64_t)max_age * 1000;

	if (!max_age)
		return CLOCK_NEVER;
	return age != FRESHNESS_NEVER && age < most ? most - age : 0;
}

int freshness_check(const struct freshness *freshness, unsigned max_age, struct freshness_now now, struct fault *flt)
{
	uint64_t age;

	if (freshness_left(freshness, max_age, now))
		return 0;
	if (freshness_age(freshness, now, &age))
		fault_undecided(flt, FAULT_TIMEOUT, "the newest checkpoint is %" PRIu64 " s old, and max_age is %u s",
				age, max_age);
	else
		fault_undecided(flt, FAULT_TIMEOUT, "the age of the newest checkpoint is not known, and max_age is "
				"%u s", max_age);
	if (freshness->came_at > (int64_t)max_age * 1000)
		fault_add(flt, "it was too old when it came: the registry signs no newer one, or the clock here is "
			  "wrong");
	if (freshness->ahead)
		fault_add(flt, "it is %" PRId64 " s ahead of the clock here: one of the two is wrong",
			  freshness->ahead / 1000);
	return WARG_UNDECIDED;
}

int freshness_check_clock(const struct freshness *freshness, struct fault *flt)
{
	if (!freshness->ahead)
		return 0;
	return fault_undecided(flt, FAULT_MISUSE, "the clock here or the registry's is wrong by %" PRId64 " s: the "
			       "checkpoint is of the future", freshness->ahead / 1000);
}
