/*
 * Remembering what URLs stand for (see discovery.h).
 */
#include "discovery.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

#define FILE_NAME "discovered"
#define HEADER "wargfs discovered 1\n"
#define FOLDER_MODE 0700
#define FILE_MODE 0600
#define LOCK_WAIT 200 /* milliseconds */

/* @param fd  -1 if there is none and `make` is false */
static int open_folder(const char *state_dir, const struct http_url *url, bool make, int *fd)
{
	int top = -1;
	int r;

	*fd = -1;
	r = file_open_top(state_dir, &top, NULL);
	if (r)
		return r;
	if (make && mkdirat(top, url->label, FOLDER_MODE) && errno != EEXIST)
		r = WARG_UNDECIDED;
	if (!r)
		r = file_open_folder(top, url->label, false, fd, NULL);
	close(top);
	return r;
}

static bool parse(struct span text, struct http_url *out)
{
	const size_t head = strlen(HEADER);
	char line[CAP_URL + 1];

	if (text.length <= head || memcmp(text.data, HEADER, head) || text.data[text.length - 1] != '\n' ||
	    text.length - head - 1 >= sizeof(line))
		return false;
	memcpy(line, text.data + head, text.length - head - 1);
	line[text.length - head - 1] = '\0';
	return strlen(line) == text.length - head - 1 && !http_url_parse(line, out, NULL);
}

static bool read_file(int folder, struct http_url *out)
{
	bool found = false;
	struct buf text;
	bool is_good;

	buf_init(&text, CAP_FILE_CONFIG);
	is_good = !file_read(folder, FILE_NAME, &text, &found, NULL) && found && parse(buf_span(&text), out);
	buf_release(&text);
	return is_good;
}

struct http_url discovery_recall(const char *state_dir, const struct http_url *url)
{
	struct http_url found = *url;
	int folder;

	if (open_folder(state_dir, url, false, &folder) || folder < 0)
		return *url;
	if (!read_file(folder, &found))
		found = *url;
	close(folder);
	return found;
}

static void write_file(int folder, const struct http_url *found)
{
	char text[sizeof(HEADER) + CAP_URL + 2];
	bool had = false;

	snprintf(text, sizeof(text), HEADER "%s\n", found->text);
	if (!file_lock(folder, LOCK_WAIT, &had, NULL) && had &&
	    !file_replace(folder, FILE_NAME, FILE_MODE, span_of_text(text), NULL))
		file_sync(folder, NULL);
}

void discovery_remember(const char *state_dir, const struct http_url *url, const struct http_url *found)
{
	struct http_url before = discovery_recall(state_dir, url);
	int folder;

	/* That a URL stands for itself goes without saying. */
	if (!strcmp(before.text, found->text) || open_folder(state_dir, url, true, &folder) || folder < 0)
		return;
	write_file(folder, found);
	close(folder);
}
