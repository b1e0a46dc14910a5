/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Names of registries by their labels (see local_names.h).
 */
#include "local_names.h"
#include "client/store/discovery.h"
#include "client/base/file.h"
#include "client/net/http_local.h"
#include "local.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "folder"
#define FILE_MODE 0600

/* @return the folder of what is remembered of the registry; -1: there is none */
static int open_folder(const struct config *config, const char *label)
{
	int top, folder = -1;

	if (file_open_top(config->state_dir, &top, NULL))
		return -1;
	if (file_open_folder(top, label, false, &folder, NULL))
		folder = -1;
	close(top);
	return folder;
}

/* @return whether there is such a file */
static bool read_name(int folder, char out[static LOCAL_NAMES_SIZE])
{
	struct buf text;
	bool found = false;

	buf_init(&text, LOCAL_NAMES_SIZE - 1);
	found = !file_read(folder, FILE_NAME, &text, &found, NULL) && found && text.length &&
		!memchr(text.data, '\0', text.length);
	if (found)
		snprintf(out, LOCAL_NAMES_SIZE, "%.*s", (int)text.length, (const char *)text.data);
	buf_release(&text);
	return found && local_folder_of(out);
}

void local_names_remember(const struct config *config, const struct http_url *url)
{
	const char *name = http_url_name(url);
	char before[LOCAL_NAMES_SIZE];
	int folder;

	if (!local_folder_of(name) || strlen(name) >= LOCAL_NAMES_SIZE)
		return;
	folder = open_folder(config, url->label);
	if (folder < 0)
		return;
	if (!read_name(folder, before) || strcmp(before, name))
		file_replace(folder, FILE_NAME, FILE_MODE, span_of_text(name), NULL);
	close(folder);
}

static bool find_local(const struct config *config, const char *label, char out[static LOCAL_NAMES_SIZE])
{
	int folder = open_folder(config, label);
	bool found = folder >= 0 && read_name(folder, out);

	if (folder >= 0)
		close(folder);
	return found;
}

/* The URL that led there, if it was pinned to itself: its scheme is known then. */
static bool find_pinned(const struct config *config, const char *label, struct http_url *url)
{
	struct http_url pinned;

	return http_url_of_label(label, url) && !discovery_recall(config->state_dir, url, &pinned, NULL) &&
	       !strcmp(pinned.label, label) && (*url = pinned, true);
}

void local_names_find(const struct config *config, const char *label, char out[static LOCAL_NAMES_SIZE])
{
	struct http_url url;

	if (find_local(config, label, out))
		return;
	if (find_pinned(config, label, &url) || http_url_of_label(label, &url))
		snprintf(out, LOCAL_NAMES_SIZE, "%s", url.text);
	else
		snprintf(out, LOCAL_NAMES_SIZE, "%.4000s", label);
}
