/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * log_root RECORDS: how long it takes, in seconds, to compute the root of a log of so many records from the two ids of
 * each, as a listing does.
 */
#include "verify/merkle_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	unsigned long records = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	struct digest log_id = {{1}}, record_id = {{2}}, leaf;
	struct merkle_log_roots roots = {0};
	double start;

	if (!records) {
		fprintf(stderr, "usage: log_root RECORDS\n");
		return 2;
	}
	start = now();
	for (unsigned long i = 0; i < records; i++) {
		memcpy(record_id.bytes, &i, sizeof(i));
		leaf = merkle_log_leaf(&log_id, &record_id);
		merkle_log_roots_append(&roots, &leaf);
	}
	leaf = merkle_log_roots_fold(&roots);
	printf("%.6f\n", now() - start);
	return !leaf.bytes[0] && !leaf.bytes[1]; /* somebody looks at it */
}
