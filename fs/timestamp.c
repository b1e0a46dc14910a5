/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Time as text (see timestamp.h).
 */
#include "timestamp.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

void timestamp_format(struct record_time time, char out[static TIMESTAMP_SIZE])
{
	time_t seconds = (time_t)time.seconds;
	size_t used;
	struct tm tm;

	out[0] = 0;
	if (!gmtime_r(&seconds, &tm))
		return;
	used = strftime(out, TIMESTAMP_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	if (time.nanos)
		used += (size_t)snprintf(out + used, TIMESTAMP_SIZE - used, ".%09" PRId32, time.nanos);
	snprintf(out + used, TIMESTAMP_SIZE - used, "Z");
}
