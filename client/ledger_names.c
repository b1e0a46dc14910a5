/*
 * The names of a registry's logs, kept in our own folder: the file `names`, a name a line (see ledger.h).
 */
#include "ledger_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "lines.h"

#define NAMES_FILE "names"
#define NAMES_HEADER "wargfs names 1\n"
#define NAMES_MODE 0666 /* less the umask */

/* ---- Reading ---- */

struct harvest {
	struct name *names;
	size_t count, capacity;
	bool is_short; /* of memory */
};

static bool make_room(struct harvest *harvest)
{
	size_t capacity = harvest->capacity ? 2 * harvest->capacity : 64;
	struct name *names;

	if (harvest->count < harvest->capacity)
		return true;
	names = reallocarray(harvest->names, capacity, sizeof(*names));
	if (!names)
		return false;
	harvest->names = names;
	harvest->capacity = capacity;
	return true;
}

/* What is no name is passed over. */
static void take_name(void *user, struct span line)
{
	struct harvest *harvest = user;
	struct name name;

	if (harvest->is_short || name_parse(line, &name, NULL))
		return;
	harvest->is_short = !make_room(harvest);
	if (!harvest->is_short)
		harvest->names[harvest->count++] = name;
}

int ledger_load_names(struct ledger *ledger, struct name **out, size_t *count, struct fault *flt)
{
	struct harvest harvest = {0};
	int folder = -1, fd = -1;
	int r;

	r = ledger_open_folder(ledger, false, &folder, flt);
	if (!r && folder >= 0)
		r = file_open(folder, NAMES_FILE, &fd, NULL, flt);
	if (folder >= 0)
		close(folder);
	if (fd >= 0) {
		lines_read(fd, NAMES_HEADER, CAP_FILE_NAMES, take_name, &harvest);
		close(fd);
	}
	if (!r && harvest.is_short)
		r = fault_no_memory(flt);
	if (r) {
		free(harvest.names);
		return r;
	}
	*out = harvest.names;
	*count = harvest.count;
	return 0;
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

static int render(const struct name *names, size_t count, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; !r && i < count; i++)
		r = buf_append_format(out, NULL, "%s\n", names[i].text);
	return r;
}

/* Put the lines behind the others with one write, so that two programs may do so at once. */
static bool append(int folder, const struct buf *lines)
{
	bool is_torn = false;
	int fd = open_to_append(folder, &is_torn);
	ssize_t length = (ssize_t)lines->length;
	bool written;

	if (fd < 0)
		return false;
	/* What comes short costs a question. */
	written = (!is_torn || write(fd, "\n", 1) == 1) && write(fd, lines->data, lines->length) == length;
	close(fd);
	return written || errno == ENOSPC;
}

static void write_anew(int folder, const struct buf *lines)
{
	bool had = false;
	struct buf text;

	buf_init(&text, CAP_FILE_NAMES);
	if (!file_lock(folder, LEDGER_LOCK_WAIT, &had, NULL) && had && !buf_append_text(&text, NAMES_HEADER, NULL) &&
	    !buf_append(&text, buf_span(lines), NULL))
		file_replace(folder, NAMES_FILE, NAMES_MODE, buf_span(&text), NULL);
	buf_release(&text);
}

void ledger_keep_names(struct ledger *ledger, const struct name *names, size_t count)
{
	struct buf lines;
	int folder = -1;

	buf_init(&lines, CAP_FILE_NAMES);
	if (!render(names, count, &lines) && !ledger_open_folder(ledger, true, &folder, NULL)) {
		if (!append(folder, &lines))
			write_anew(folder, &lines);
		close(folder);
	}
	buf_release(&lines);
}
