/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The names of a registry's logs, kept in our own folder: the file `names`, a name a line (see ledger.h).
 */
#include "ledger_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/file.h"
#include "client/base/lines.h"

#define NAMES_FILE "names"
#define NAMES_HEADER "wargfs names 1\n"
#define AT_ONCE (1u << 20) /* bytes that are written at once */
#define NAMES_MODE 0666 /* less the umask */

/* ---- Reading ---- */

struct ledger_fetch {
	int (*take)(void *user, struct span text, struct fault *flt);
	void *user;
	struct fault *flt;
	int verdict;
};

static void take_line(void *user, struct span line)
{
	struct ledger_fetch *ledger_fetch = user;

	if (!ledger_fetch->verdict)
		ledger_fetch->verdict = ledger_fetch->take(ledger_fetch->user, line, ledger_fetch->flt);
}

int ledger_load_names(struct ledger *ledger, int (*take)(void *user, struct span text, struct fault *flt), void *user,
		      struct fault *flt)
{
	struct ledger_fetch ledger_fetch = {take, user, flt, 0};
	int folder = -1, fd = -1;
	int r;

	r = ledger_open_folder(ledger, false, &folder, flt);
	if (!r && folder >= 0)
		r = file_open(folder, NAMES_FILE, &fd, NULL, flt);
	if (folder >= 0)
		close(folder);
	if (fd >= 0) {
		lines_read(fd, NAMES_HEADER, CAP_FILE_NAMES, take_line, &ledger_fetch);
		close(fd);
	}
	if (!r)
		ledger->has_more_names = false;
	return r ? r : ledger_fetch.verdict;
}

bool ledger_has_more_names(const struct ledger *ledger)
{
	return ledger->has_more_names;
}

/* ---- Keeping ---- */

static void take_nothing(void *user, struct span line)
{
	(void)user;
	(void)line;
}

/* Open the file at its end. @param is_torn  its last line has no end. @return -1 if there is none of ours */
static int open_to_append(int folder, bool *is_torn)
{
	int fd = openat(folder, NAMES_FILE, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct lines_read read = {0};
	struct stat status;

	if (fd >= 0 && !fstat(fd, &status) && S_ISREG(status.st_mode) && status.st_nlink == 1)
		read = lines_read(fd, NAMES_HEADER, CAP_FILE_NAMES, take_nothing, NULL);
	*is_torn = read.is_torn;
	if (fd >= 0 && !read.is_ours) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Format one write of names from `first` on. @return the index after the last one; `first` on failure */
static size_t render(const struct name_list *names, size_t first, struct buf *out)
{
	out->length = 0;
	for (size_t i = first; i < names->count; i++)
		if (buf_append_format(out, NULL, "%s\n", name_list_text(names, i)))
			return out->length ? i : first;
	return names->count;
}

static bool write_lines(int fd, struct span lines)
{
	return !lines.length || write(fd, lines.data, lines.length) == (ssize_t)lines.length;
}

/* Append lines with a single write each time, so that two programs may append at the same time. */
static bool append(int folder, const struct name_list *names, size_t first, struct span others)
{
	bool is_torn = false, written;
	int fd = open_to_append(folder, &is_torn);
	struct buf lines;

	if (fd < 0)
		return false;
	buf_init(&lines, AT_ONCE);
	written = (!is_torn || write_lines(fd, span_of_text("\n"))) && write_lines(fd, others);
	while (written && first < names->count) {
		size_t next = render(names, first, &lines);

		/* A short write only costs a later request. */
		written = next > first && write_lines(fd, buf_span(&lines));
		first = next;
	}
	close(fd);
	buf_release(&lines);
	return written || errno == ENOSPC;
}

static bool begin_file(int folder)
{
	bool had = false;

	return !file_lock(folder, LEDGER_LOCK_WAIT, &had, NULL) && had &&
	       !file_replace_unsynced(folder, NAMES_FILE, NAMES_MODE, span_of_text(NAMES_HEADER), NULL);
}

void ledger_keep_names(struct ledger *ledger, const struct name_list *names, size_t first, struct span others)
{
	int folder = -1;

	if ((first == names->count && !others.length) || ledger_open_folder(ledger, true, &folder, NULL))
		return;
	ledger->has_more_names = true;
	if (!append(folder, names, first, others) && begin_file(folder))
		append(folder, names, first, others);
	close(folder);
}
