/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Wasm binaries in files (see wasm_file.h).
 */
#include "wasm_file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "verify/caps.h"

#define PIECE 4096 /* the heads of many small sections, and not much of a large one */

static int read_piece(int fd, uint64_t at, unsigned char *out, size_t *count, struct fault *flt)
{
	ssize_t n;

	do
		n = pread(fd, out, PIECE, (off_t)at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fault_system(flt, errno, "cannot read");
	*count = (size_t)n;
	return 0;
}

static int check(int fd, uint64_t size, struct fault *flt)
{
	struct wasm_framing framing;
	unsigned char piece[PIECE];
	size_t count = 1;
	int r = 0;

	wasm_framing_init(&framing);
	/* One that becomes shorter meanwhile is not whole. */
	while (!r && count && framing.length < size) {
		uint64_t skip = wasm_framing_skip(&framing);

		wasm_framing_pass(&framing, skip < size - framing.length ? skip : size - framing.length);
		r = read_piece(fd, framing.length, piece, &count, flt);
		if (!r)
			r = wasm_framing_append(&framing, (struct span){ piece, count }, flt);
	}
	return r ? r : wasm_framing_end(&framing, flt);
}

int wasm_file_check(int fd, struct fault *flt)
{
	struct stat about;
	int r;

	if (fstat(fd, &about))
		return fault_system(flt, errno, "cannot look at the file");
	if (!S_ISREG(about.st_mode))
		return fault_system(flt, EINVAL, "not a regular file");
	if ((uint64_t)about.st_size > CAP_CONTENT)
		return fault_undecided(flt, FAULT_LIMIT, "it is longer than %llu bytes", CAP_CONTENT);
	r = check(fd, (uint64_t)about.st_size, flt);
	if (r == WARG_INVALID)
		fault_blame(flt, FAULT_BY_USER);
	return r;
}
