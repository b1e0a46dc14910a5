/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Reading lines: lines.h.
 */
#include "lines.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/** The file as it is read, piece by piece: a line is kept until its end comes. */
struct reading {
	const char *header;
	void (*take)(void *user, struct span line);
	void *user;
	struct lines_read result;
	uint64_t bytes;
	unsigned char line[LINES_LONGEST];
	size_t length; /* of the line; one more than fits where it is too long to be kept */
};

static void end_line(struct reading *reading)
{
	struct span line = {reading->line, reading->length};
	bool is_first = !reading->result.is_ours;

	reading->length = 0;
	if (is_first) {
		reading->result.is_ours = line.length == strlen(reading->header) - 1 &&
					  !memcmp(line.data, reading->header, line.length);
		return;
	}
	reading->result.count++;
	if (line.length <= sizeof(reading->line))
		reading->take(reading->user, line);
}

/* @return false if it is none of ours */
static bool take_piece(struct reading *reading, struct span piece)
{
	for (size_t i = 0; i < piece.length; i++) {
		if (piece.data[i] == '\n') {
			end_line(reading);
			if (!reading->result.is_ours)
				return false;
			continue;
		}
		if (reading->length < sizeof(reading->line))
			reading->line[reading->length] = piece.data[i];
		if (reading->length <= sizeof(reading->line))
			reading->length++;
	}
	reading->bytes += piece.length;
	return true;
}

/* Whether the file's size exceeds the cap: a sparse file costs its size to read, and no room on the disk. */
static bool is_too_long(int fd, uint64_t cap)
{
	struct stat status;

	return !fstat(fd, &status) && status.st_size > 0 && (uint64_t)status.st_size > cap;
}

struct lines_read lines_read(int fd, const char *header, uint64_t cap, void (*take)(void *user, struct span line),
			     void *user)
{
	struct reading reading = {.header = header, .take = take, .user = user};
	unsigned char piece[16384];
	ssize_t count;

	if (is_too_long(fd, cap))
		return reading.result;
	while ((count = read(fd, piece, sizeof(piece))) != 0) {
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0 || reading.bytes > cap || !take_piece(&reading, (struct span){piece, (size_t)count})) {
			reading.result.is_ours = false;
			return reading.result;
		}
	}
	reading.result.is_torn = reading.length > 0;
	return reading.result;
}
