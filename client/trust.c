/*
 * Remembering a registry (see trust.h).
 */
#include "trust_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "json.h"
#include "store_state.h"

#define TRUST_FILE "trust"
#define EVIDENCE_FOLDER "evidence"
#define VERSION_LINE "wargfs trust 1\n"
#define FOLDER_MODE 0700

/* ---- Folders ---- */

static int open_folder(const struct trust *trust, int *fd, struct fault *flt)
{
	return file_open_top(trust->folder, fd, flt);
}

/** Make the folders that nobody else is to look into. */
static int make_folders(const struct trust *trust, const char *state_dir, struct fault *flt)
{
	int top = -1, r;

	r = file_open_top(state_dir, &top, flt);
	if (r)
		return r;
	close(top);
	if ((mkdir(trust->folder, FOLDER_MODE) && errno != EEXIST) ||
	    (mkdir(trust->evidence, FOLDER_MODE) && errno != EEXIST))
		return fault_system(flt, errno, "making the folder %.150s", trust->evidence);
	return 0;
}

int trust_open(const char *state_dir, const char *label, struct trust **out, struct fault *flt)
{
	struct trust *trust = calloc(1, sizeof(*trust));
	struct buf path;
	int r;

	if (!trust)
		return fault_no_memory(flt);
	buf_init(&path, 2 * CAP_URL);
	r = buf_append_format(&path, flt, "%s/%s/" EVIDENCE_FOLDER "%c", state_dir, label, 0);
	if (!r) {
		trust->evidence = strdup((const char *)path.data);
		trust->folder = strndup((const char *)path.data, path.length - sizeof("/" EVIDENCE_FOLDER));
		if (!trust->evidence || !trust->folder)
			r = fault_no_memory(flt);
	}
	buf_release(&path);
	if (!r)
		r = make_folders(trust, state_dir, flt);
	if (r)
		trust_close(trust);
	else
		*out = trust;
	return r;
}

void trust_close(struct trust *trust)
{
	if (!trust)
		return;
	free(trust->folder);
	free(trust->evidence);
	free(trust);
}

const char *trust_evidence_folder(const struct trust *trust)
{
	return trust->evidence;
}

const char *trust_label(const struct trust *trust)
{
	return strrchr(trust->folder, '/') + 1;
}

/* ---- The file ---- */

const char *trust_charge_name(enum trust_charge charge)
{
	switch (charge) {
	case TRUST_ROLLBACK:
		return "rollback";
	case TRUST_FORK:
		return "fork";
	case TRUST_INCONSISTENT:
		return "inconsistent";
	case TRUST_MAP:
		return "map";
	default:
		return "operator";
	}
}

static int read_text(const struct json *value, const char *name, char *out, size_t size, struct fault *flt)
{
	struct span text;
	int r = json_read_text(value, name, &text, flt);

	if (r)
		return r;
	if (text.length >= size)
		return fault_invalid(flt, "\"%s\" is longer than it can be", name);
	memcpy(out, text.data, text.length);
	out[text.length] = '\0';
	return 0;
}

/* Under the name of the charge. */
static int read_latch(const struct json *value, struct trust_anchor *out, struct fault *flt)
{
	static const enum trust_charge charges[] = { TRUST_FORK, TRUST_MAP };

	for (size_t i = 0; i < sizeof(charges) / sizeof(charges[0]); i++) {
		const char *name = trust_charge_name(charges[i]);

		if (!json_member(value, name))
			continue;
		out->charge = charges[i];
		return read_text(value, name, out->evidence, sizeof(out->evidence), flt);
	}
	return 0;
}

static int parse(struct span text, struct trust_anchor *out, struct fault *flt)
{
	const size_t head = strlen(VERSION_LINE);
	struct trust_anchor anchor = { .known = true };
	const struct json *checkpoint;
	struct json *value = NULL;
	int r;

	if (text.length < head || memcmp(text.data, VERSION_LINE, head) != 0)
		return fault_invalid(flt, "it does not begin with the line \"%.*s\"", (int)head - 1, VERSION_LINE);
	r = json_parse((struct span){ text.data + head, text.length - head }, &value, flt);
	if (!r)
		r = json_read_digest(value, "operatorKey", &anchor.operator_key, flt);
	if (!r)
		r = json_read_object(value, "checkpoint", &checkpoint, flt);
	if (!r)
		r = store_state_read_checkpoint(checkpoint, &anchor.checkpoint, flt);
	if (!r)
		r = read_text(value, "signer", anchor.signer, sizeof(anchor.signer), flt);
	if (!r)
		r = read_latch(value, &anchor, flt);
	json_free(value);
	if (!r)
		*out = anchor;
	return r;
}

static int load(int folder, const char *path, struct trust_anchor *out, struct fault *flt)
{
	bool found = false;
	struct buf text;
	int r;

	buf_init(&text, CAP_FILE_CONFIG);
	r = file_read(folder, TRUST_FILE, &text, &found, flt);
	if (!r && !found)
		*out = (struct trust_anchor){ 0 };
	else if (!r)
		r = parse(buf_span(&text), out, flt);
	buf_release(&text);
	if (r) {
		fault_at(flt, "%.200s/" TRUST_FILE, path);
		fault_blame(flt, FAULT_BY_CACHE);
	}
	return r;
}

int trust_load(const struct trust *trust, struct trust_anchor *out, struct fault *flt)
{
	int folder = -1;
	int r;

	r = open_folder(trust, &folder, flt);
	if (r)
		return r;
	r = load(folder, trust->folder, out, flt);
	close(folder);
	return r;
}

int trust_peek(const char *state_dir, const char *label, struct trust_anchor *out, struct fault *flt)
{
	struct buf path;
	int folder, r;

	buf_init(&path, 2 * CAP_URL);
	r = buf_append_format(&path, flt, "%s/%s%c", state_dir, label, 0);
	if (!r) {
		folder = open((const char *)path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (folder >= 0)
			r = load(folder, (const char *)path.data, out, flt);
		else if (errno == ENOENT || errno == ENOTDIR)
			*out = (struct trust_anchor){ 0 };
		else
			r = fault_system(flt, errno, "opening the folder %.200s", (const char *)path.data);
		if (folder >= 0)
			close(folder);
	}
	buf_release(&path);
	return r;
}

static int save(int folder, const struct trust_anchor *anchor, struct fault *flt)
{
	struct json *value = json_new_object();
	struct buf text;
	int r;

	json_put_digest(value, "operatorKey", &anchor->operator_key);
	json_put(value, "checkpoint", store_state_new_checkpoint(&anchor->checkpoint));
	json_put_text(value, "signer", anchor->signer);
	if (anchor->evidence[0])
		json_put_text(value, trust_charge_name(anchor->charge), anchor->evidence);
	buf_init(&text, CAP_FILE_CONFIG);
	r = buf_append_text(&text, VERSION_LINE, flt);
	if (!r)
		r = json_render(value, JSON_PRETTY, &text, flt);
	if (!r)
		r = file_replace(folder, TRUST_FILE, TRUST_FILE_MODE, buf_span(&text), flt);
	if (!r)
		r = file_sync(folder, flt);
	buf_release(&text);
	json_free(value);
	return r;
}

/* ---- The operator ---- */

int trust_check_operator(const struct trust_anchor *anchor, const struct operator_log *operator, struct fault *flt)
{
	const struct digest *key = operator_log_first_key(operator);
	char pinned[DIGEST_TEXT_SIZE];

	if (!anchor->known)
		return 0;
	if (key && digest_equals(key, &anchor->operator_key))
		return 0;
	digest_format(&anchor->operator_key, pinned);
	return fault_invalid(flt, "the operator's first key is not %s, which it was when the registry was first met",
			     pinned);
}

/* ---- Remembering ---- */

int trust_change(const struct trust *trust, bool (*apply)(struct trust_anchor *anchor, const void *argument),
		 const void *argument, struct fault *flt)
{
	struct trust_anchor anchor;
	bool had = false;
	int folder = -1;
	int r;

	r = open_folder(trust, &folder, flt);
	if (r)
		return r;
	r = file_lock(folder, TRUST_LOCK_WAIT, &had, flt);
	if (!r && had)
		r = load(folder, trust->folder, &anchor, flt);
	if (!r && had && apply(&anchor, argument))
		r = save(folder, &anchor, flt);
	close(folder);
	return r;
}

struct news {
	const struct digest *operator_key;
	const struct signed_checkpoint *checkpoint;
	const char *signer;
};

/** @return whether there is anything to write */
static bool raise_anchor(struct trust_anchor *anchor, const void *argument)
{
	const struct news *news = argument;

	if (anchor->known && anchor->checkpoint.contents.log_length >= news->checkpoint->contents.log_length)
		return false;
	if (!anchor->known)
		anchor->operator_key = *news->operator_key;
	anchor->known = true;
	anchor->checkpoint = *news->checkpoint;
	snprintf(anchor->signer, sizeof(anchor->signer), "%s", news->signer);
	return true;
}

int trust_remember(const struct trust *trust, const struct operator_log *operator,
		   const struct signed_checkpoint *checkpoint, struct fault *flt)
{
	const struct log_key *signer = log_keys_find(operator_log_keys(operator), &checkpoint->key_id);
	struct news news = { operator_log_first_key(operator), checkpoint, NULL };

	if (!news.operator_key || !signer)
		return fault_undecided(flt, FAULT_MISUSE, "an operator without the key cannot be pinned");
	news.signer = ecdsa_public_key_text(signer->key);
	return trust_change(trust, raise_anchor, &news, flt);
}

int trust_forget(const struct trust *trust, struct fault *flt)
{
	int folder = -1;
	int r;

	r = open_folder(trust, &folder, flt);
	if (r)
		return r;
	if (unlinkat(folder, TRUST_FILE, 0) && errno != ENOENT)
		r = fault_system(flt, errno, "removing %.200s/" TRUST_FILE, trust->folder);
	if (!r)
		r = file_sync(folder, flt);
	close(folder);
	return r;
}
