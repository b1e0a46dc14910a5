/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Folders for tests: scratch.h.
 */
#include "scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "data.h"

const char *scratch_place(void)
{
	const char *place = getenv("TMPDIR");

	return place && *place ? place : "/tmp";
}

char *scratch_new(void)
{
	char *folder;

	assert_true(asprintf(&folder, "%s/wargfs-test-XXXXXX", scratch_place()) > 0);
	assert_non_null(mkdtemp(folder));
	return folder;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

void scratch_free(char *folder)
{
	assert_int_equal(nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(folder);
}

const char *scratch_path(const char *folder, const char *name)
{
	static _Thread_local char buffers[8][4096];
	static _Thread_local unsigned turn;
	char *out = buffers[turn++ % 8];

	assert_true(snprintf(out, sizeof(buffers[0]), "%s/%s", folder, name) < (int)sizeof(buffers[0]));
	return out;
}

static void make_folders(const char *path)
{
	char part[4096];

	for (size_t i = 1; path[i]; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		mkdir(part, 0777);
	}
}

void scratch_write(const char *path, struct span bytes)
{
	int fd;

	make_folders(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.length ? (const char *)bytes.data : "", bytes.length), bytes.length);
	close(fd);
}

void scratch_write_text(const char *path, const char *text)
{
	scratch_write(path, span_of_text(text));
}

bool scratch_holds(const char *path, const char *text)
{
	struct buf found = data_read(path);
	bool same = span_is(buf_span(&found), text);

	buf_release(&found);
	return same;
}

size_t scratch_count(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(folder);
	while ((entry = readdir(folder)))
		count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
	closedir(folder);
	return count;
}
