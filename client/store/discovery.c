/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Pinning the registry behind a URL (see discovery.h).
 */
#include "discovery.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/file.h"
#include "client/base/seal.h"
#include "trust.h"

#define FILE_NAME "discovered"
#define KIND "wargfs discovered 2"
#define KIND_BEFORE "wargfs discovered 1\n" /* it had no seal */
#define FOLDER_MODE 0700
#define FILE_MODE 0600
#define LOCK_WAIT 200 /* milliseconds */

/* @param fd  -1 if there is none and `make` is false */
static int open_folder(const char *state_dir, const char *label, bool make, int *fd)
{
	int top = -1;
	int r;

	*fd = -1;
	r = file_open_top(state_dir, &top, NULL);
	if (r)
		return r;
	if (make && faccessat(top, label, F_OK, 0))
		r = file_make_folder(top, label, FOLDER_MODE, NULL);
	if (!r)
		r = file_open_folder(top, label, false, fd, NULL);
	close(top);
	return r;
}

/* ---- The file: a sealed URL. An unsealed one with a flipped bit would accuse the registry ---- */

struct pin {
	struct http_url url;
	bool is_known;
	bool has_seal; /* false: the file is of version 1, which had none */
};

static int tell_damage(struct fault *flt)
{
	return fault_invalid(flt, "it is damaged: 'wargfs reset --registry URL' pins the URL anew");
}

/* @param exact  refuse what is not in normal form, which earlier versions had with more slashes */
static int parse_url(struct span body, bool exact, struct http_url *out, struct fault *flt)
{
	char line[CAP_URL + 1];
	struct fault own = {0};

	if (!body.length || body.length > sizeof(line) || body.data[body.length - 1] != '\n')
		return tell_damage(flt);
	memcpy(line, body.data, body.length - 1);
	line[body.length - 1] = '\0';
	if (http_url_parse(line, out, &own) && own.kind == FAULT_SYSTEM) {
		fault_pass(&own, flt);
		return own.verdict;
	}
	return own.verdict || (exact && strcmp(line, out->text)) ? tell_damage(flt) : 0;
}

static int parse(struct span text, struct pin *out, struct fault *flt)
{
	const size_t before = strlen(KIND_BEFORE);
	struct span body;

	out->has_seal = text.length < before || memcmp(text.data, KIND_BEFORE, before) != 0;
	if (!out->has_seal)
		body = (struct span){ text.data + before, text.length - before };
	else if (seal_open(text, KIND, &body, NULL))
		return tell_damage(flt);
	return parse_url(body, !out->has_seal, &out->url, flt);
}

static int read_file(int folder, struct pin *out, struct fault *flt)
{
	struct buf text;
	int r;

	buf_init(&text, CAP_FILE_CONFIG);
	r = file_read(folder, FILE_NAME, &text, &out->is_known, flt);
	if (!r && out->is_known)
		r = parse(buf_span(&text), out, flt);
	buf_release(&text);
	return r;
}

static int blame_file(const char *state_dir, const char *label, int verdict, struct fault *flt)
{
	fault_at(flt, "%.120s/%.80s/" FILE_NAME, state_dir, label);
	fault_blame(flt, FAULT_BY_CACHE);
	return verdict;
}

/*
 * Find the registry pinned for `url`: from the file, or `url` itself if it has a trust anchor.
 * @param folder  -1: does not exist
 */
static int find_pin(int folder, const char *state_dir, const struct http_url *url, struct pin *out, struct fault *flt)
{
	struct trust_anchor anchor = {0};
	int r = 0;

	*out = (struct pin){0};
	if (folder >= 0)
		r = read_file(folder, out, flt);
	if (r)
		return blame_file(state_dir, url->label, r, flt);
	if (out->is_known)
		return 0;
	*out = (struct pin){ .url = *url, .has_seal = true }; /* sealed by the trust file */
	/* A damaged anchor is reported where it is used, not here. */
	out->is_known = !trust_peek(state_dir, url->label, &anchor, NULL) && anchor.known;
	return 0;
}

int discovery_recall(const char *state_dir, const struct http_url *url, struct http_url *out, struct fault *flt)
{
	struct pin pin;
	int folder, r;

	if (open_folder(state_dir, url->label, false, &folder))
		folder = -1;
	r = find_pin(folder, state_dir, url, &pin, flt);
	if (folder >= 0)
		close(folder);
	if (!r)
		*out = pin.url;
	return r;
}

/* ---- Pinning ---- */

static int check_pin(const struct http_url *pinned, const struct http_url *found, struct fault *flt)
{
	if (!strcmp(pinned->text, found->text))
		return 0;
	fault_invalid(flt, "it leads to %.75s now, and is pinned to %.75s: refused; 'wargfs reset --registry "
		      "URL' accepts the new one", found->text, pinned->text);
	fault_blame(flt, FAULT_BY_REGISTRY);
	return WARG_INVALID;
}

static void write_file(int folder, const struct http_url *found)
{
	char line[CAP_URL + 2];
	struct buf text;

	snprintf(line, sizeof(line), "%s\n", found->text);
	buf_init(&text, CAP_FILE_CONFIG);
	if (!seal_put(KIND, span_of_text(line), &text, NULL) &&
	    !file_replace(folder, FILE_NAME, FILE_MODE, buf_span(&text), NULL))
		file_sync(folder, NULL);
	buf_release(&text);
}

/* @param pins  write the pin if there is none, or one without a seal */
static int check(const char *state_dir, const struct http_url *url, const struct http_url *found, bool pins,
		 struct fault *flt)
{
	bool had = false;
	struct pin pin;
	int folder, r;

	/* Without a writable folder there is no pin. */
	if (open_folder(state_dir, url->label, pins, &folder) || folder < 0)
		folder = -1;
	/* If two processes pin at the same time, the second is checked against the pin of the first. */
	if (pins && folder >= 0 && file_lock(folder, LOCK_WAIT, &had, NULL))
		had = false;
	r = find_pin(folder, state_dir, url, &pin, flt);
	if (!r && pin.is_known)
		r = check_pin(&pin.url, found, flt);
	if (!r && had && !(pin.is_known && pin.has_seal))
		write_file(folder, found);
	if (folder >= 0)
		close(folder);
	if (r)
		fault_at(flt, "%s", http_url_name(url));
	return r;
}

int discovery_check(const char *state_dir, const struct http_url *url, const struct http_url *found, struct fault *flt)
{
	return check(state_dir, url, found, false, flt);
}

int discovery_pin(const char *state_dir, const struct http_url *url, const struct http_url *found, struct fault *flt)
{
	return check(state_dir, url, found, true, flt);
}

int discovery_forget(const char *state_dir, const char *label, struct fault *flt)
{
	int folder, r = 0;

	if (open_folder(state_dir, label, false, &folder) || folder < 0)
		return 0;
	if (unlinkat(folder, FILE_NAME, 0) && errno != ENOENT)
		r = fault_system(flt, errno, "removing %.150s/%.80s/" FILE_NAME, state_dir, label);
	if (!r)
		r = file_sync(folder, flt);
	close(folder);
	return r;
}
