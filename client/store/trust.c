/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
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

#include "client/base/file.h"
#include "client/base/json.h"
#include "client/base/seal.h"
#include "client/net/checkpoint_json.h"

#define TRUST_FILE "trust"
#define EVIDENCE_FOLDER "evidence"
#define KIND "wargfs trust 2"
#define KIND_BEFORE "wargfs trust 1\n" /* it had no seal */
#define FOLDER_MODE 0700

/* ---- Folders ---- */

/** Make the folders that nobody else is to look into. */
static int make_folders(const struct trust *trust, struct fault *flt)
{
	const size_t above = (size_t)(strrchr(trust->folder, '/') - trust->folder) + 1;
	char *state_dir = strndup(trust->folder, above - 1);
	int top = -1, r;

	if (!state_dir)
		return fault_no_memory(flt);
	r = file_open_top(state_dir, &top, flt);
	free(state_dir);
	if (r)
		return r;
	if (faccessat(top, trust->evidence + above, F_OK, 0)) {
		r = file_make_folder(top, trust->folder + above, FOLDER_MODE, flt);
		if (!r)
			r = file_make_folder(top, trust->evidence + above, FOLDER_MODE, flt);
	}
	close(top);
	return r;
}

/** The folders are made again where they are missing: they are removed of a registry that never proved anything. */
static int open_folder(const struct trust *trust, int *fd, struct fault *flt)
{
	int r = make_folders(trust, flt);

	return r ? r : file_open_top(trust->folder, fd, flt);
}

/** Whether an open folder has no name any more. */
static bool is_removed(int folder)
{
	struct stat seen;

	return fstat(folder, &seen) == 0 && !seen.st_nlink;
}

/** Open the folder and lock it. @param had  whether the lock was had in time */
static int open_locked(const struct trust *trust, int *fd, bool *had, struct fault *flt)
{
	for (;;) {
		int r = open_folder(trust, fd, flt);

		if (r)
			return r;
		r = file_lock(*fd, TRUST_LOCK_WAIT, had, flt);
		if (!r && !is_removed(*fd))
			return 0;
		close(*fd);
		*fd = -1;
		if (r)
			return r;
	}
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
		r = make_folders(trust, flt);
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

bool trust_charge_latches(struct span name, enum trust_charge *out)
{
	static const enum trust_charge charges[] = { TRUST_FORK, TRUST_MAP };

	for (size_t i = 0; i < sizeof(charges) / sizeof(charges[0]); i++) {
		if (!span_is(name, trust_charge_name(charges[i])))
			continue;
		*out = charges[i];
		return true;
	}
	return false;
}

/* Version 1 had the latch in this file, as a member named after the charge. */
static int read_old_latch(const struct json *value, struct trust_anchor *out, struct fault *flt)
{
	struct json_walk at = json_walk(value);

	while (json_step(&at))
		if (trust_charge_latches(span_of_text(at.name), &out->charge))
			return json_read_text_into(value, at.name, out->evidence, sizeof(out->evidence), flt);
	return 0;
}

/*
 * Check the signature: a checkpoint that was never signed must neither bind nor accuse a registry. The seal proves
 * nothing here, as any process of the user can write one.
 */
static int check_signature(const struct trust_anchor *anchor, struct fault *flt)
{
	struct ecdsa_public_key *key = NULL;
	int r = ecdsa_public_key_parse(span_of_text(anchor->signer), &key, flt);

	if (!r)
		r = checkpoint_verify_key(&anchor->checkpoint, key, flt);
	ecdsa_public_key_unref(key);
	if (r)
		fault_at(flt, "\"checkpoint\"");
	return r;
}

static int read_members(const struct json *value, struct trust_anchor *anchor, struct fault *flt)
{
	const struct json *checkpoint;
	int r = json_read_digest(value, "operatorKey", &anchor->operator_key, flt);

	if (!r)
		r = json_read_object(value, "checkpoint", &checkpoint, flt);
	if (!r)
		r = checkpoint_json_read(checkpoint, &anchor->checkpoint, flt);
	if (!r)
		r = json_read_text_into(value, "signer", anchor->signer, sizeof(anchor->signer), flt);
	if (!r)
		r = read_old_latch(value, anchor, flt);
	return r ? r : check_signature(anchor, flt);
}

static int read_body(struct span text, struct span *out, struct fault *flt)
{
	const size_t before = strlen(KIND_BEFORE);

	if (text.length < before || memcmp(text.data, KIND_BEFORE, before) != 0)
		return seal_open(text, KIND, out, flt);
	*out = (struct span){ text.data + before, text.length - before };
	return 0;
}

static int parse(struct span text, struct trust_anchor *out, struct fault *flt)
{
	struct trust_anchor anchor = { .known = true };
	struct json *value = NULL;
	struct span body;
	int r;

	r = read_body(text, &body, flt);
	if (!r)
		r = json_parse(body, &value, flt);
	if (!r)
		r = read_members(value, &anchor, flt);
	json_free(value);
	if (!r)
		*out = anchor;
	return r;
}

static int load(int folder, const char *path, struct trust_anchor *out, struct fault *flt)
{
	struct trust_anchor anchor = { 0 };
	bool found = false;
	struct buf text;
	int r;

	buf_init(&text, CAP_FILE_CONFIG);
	r = file_read(folder, TRUST_FILE, &text, &found, flt);
	if (!r && found)
		r = parse(buf_span(&text), &anchor, flt);
	buf_release(&text);
	if (!r)
		r = trust_read_latch(folder, &anchor, flt);
	if (!r)
		*out = anchor;
	if (r == WARG_INVALID)
		fault_add(flt, "\"wargfs reset\" begins anew");
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
	if (!r) {
		out->is_demanding = trust->is_demanding;
		out->demanded = trust->demanded;
	}
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
	struct buf body, text;
	int r;

	json_put_digest(value, "operatorKey", &anchor->operator_key);
	json_put(value, "checkpoint", checkpoint_json_new(&anchor->checkpoint));
	json_put_text(value, "signer", anchor->signer);
	buf_init(&body, CAP_FILE_CONFIG);
	buf_init(&text, CAP_FILE_CONFIG);
	r = json_render(value, JSON_PRETTY, &body, flt);
	if (!r)
		r = seal_put(KIND, buf_span(&body), &text, flt);
	if (!r)
		r = file_replace(folder, TRUST_FILE, TRUST_FILE_MODE, buf_span(&text), flt);
	if (!r)
		r = file_sync(folder, flt);
	buf_release(&text);
	buf_release(&body);
	json_free(value);
	return r;
}

/* ---- The operator ---- */

void trust_demand(struct trust *trust, const struct digest *operator_key)
{
	trust->is_demanding = true;
	trust->demanded = *operator_key;
}

int trust_check_demand(const struct trust_anchor *anchor, const struct operator_log *operator, struct fault *flt)
{
	const struct digest *key = operator_log_first_key(operator);
	char has[DIGEST_TEXT_SIZE] = "none", demanded[DIGEST_TEXT_SIZE];

	if (!anchor->is_demanding || (key && digest_equals(key, &anchor->demanded)))
		return 0;
	if (key)
		digest_format(key, has);
	digest_format(&anchor->demanded, demanded);
	return fault_invalid(flt, "the operator's first key is %s, and not %s, which is demanded", has, demanded);
}

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

/** A checkpoint that may become the anchor. */
struct anchor_update {
	const struct digest *operator_key;
	const struct signed_checkpoint *checkpoint;
	const char *signer;
	const struct trust_anchor *held;
};

static bool is_held(const struct trust_anchor *anchor, const struct trust_anchor *held)
{
	return held->known && digest_equals(&held->operator_key, &anchor->operator_key) &&
	       checkpoint_same_state(&held->checkpoint.contents, &anchor->checkpoint.contents);
}

static enum trust_standing judge(const struct trust_anchor *anchor, const struct anchor_update *update)
{
	const struct checkpoint *ours = &update->checkpoint->contents, *theirs = &anchor->checkpoint.contents;

	if (anchor->evidence[0])
		return TRUST_MOVED;
	if (!anchor->known)
		return update->held->known ? TRUST_MOVED : TRUST_STANDS;
	if (!digest_equals(&anchor->operator_key, update->operator_key))
		return TRUST_MOVED;
	if (checkpoint_same_state(ours, theirs))
		return TRUST_STANDS;
	if (ours->log_length == theirs->log_length)
		return TRUST_CONTRADICTED;
	return is_held(anchor, update->held) ? TRUST_STANDS : TRUST_MOVED;
}

/* Compute the anchor that includes the checkpoint. @return whether there is anything to write */
static bool raise_anchor(struct trust_anchor *anchor, const struct anchor_update *update)
{
	if (anchor->known && anchor->checkpoint.contents.log_length >= update->checkpoint->contents.log_length)
		return false;
	if (!anchor->known)
		anchor->operator_key = *update->operator_key;
	anchor->known = true;
	anchor->checkpoint = *update->checkpoint;
	snprintf(anchor->signer, sizeof(anchor->signer), "%s", update->signer);
	return true;
}

static int remember(const struct trust *trust, const struct anchor_update *update, enum trust_standing *standing,
		    struct fault *flt)
{
	struct trust_anchor anchor;
	bool had = false;
	int folder = -1;
	int r;

	r = open_locked(trust, &folder, &had, flt);
	if (r)
		return r;
	r = load(folder, trust->folder, &anchor, flt);
	if (!r) {
		*standing = judge(&anchor, update);
		if (had && *standing == TRUST_STANDS && raise_anchor(&anchor, update))
			r = save(folder, &anchor, flt);
	}
	close(folder);
	return r;
}

int trust_remember(const struct trust *trust, const struct operator_log *operator,
		   const struct signed_checkpoint *checkpoint, const struct trust_anchor *held,
		   enum trust_standing *standing, struct fault *flt)
{
	const struct log_key *signer = log_keys_find(operator_log_keys(operator), &checkpoint->key_id);
	struct anchor_update update = {operator_log_first_key(operator), checkpoint, NULL, held};

	if (!update.operator_key || !signer)
		return fault_undecided(flt, FAULT_MISUSE, "an operator without the key cannot be pinned");
	update.signer = ecdsa_public_key_text(signer->key);
	return remember(trust, &update, standing, flt);
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
		r = trust_remove_latch(folder, flt);
	if (!r)
		r = file_sync(folder, flt);
	close(folder);
	return r;
}
