/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Keeping what accuses a registry (see trust.h).
 */
#include "trust_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/base/file.h"
#include "client/base/json.h"
#include "client/base/seal.h"
#include "client/base/temp_file.h"
#include "client/net/checkpoint_json.h"

#define LATCH_FILE "latch"
#define LATCH_KIND "wargfs latch 1"
#define TEMP_TRIES 16 /* if another process removes the file meanwhile */

/* ---- Files ---- */

/** Writes the content of a file. */
struct writing {
	int (*give)(void *user, int fd, struct fault *flt);
	void *user;
};

/*
 * Write the file under a temporary name and link it to its own, so that it is there whole or not at all. Another
 * process that writes the same name writes the same content, so no lock is needed: an accusation must not have to wait
 * for one.
 */
static int put_file(const char *path, const char *name, const struct writing *writing, struct fault *flt)
{
	struct temp_file temp;
	bool made = false;
	int folder = -1;
	int r = file_open_top(path, &folder, flt);

	if (r)
		return r;
	temp_file_sweep(path, ".");
	for (int tries = 0; !r && !made && tries < TEMP_TRIES; tries++)
		r = temp_file_make(folder, &temp, &made, flt);
	if (!r && !made)
		r = fault_system(flt, EAGAIN, "making a temporary file in %.150s", path);
	if (!r)
		r = writing->give(writing->user, temp.fd, flt);
	if (!r)
		r = file_sync(temp.fd, flt);
	if (!r && renameat(folder, temp.name, folder, name))
		r = fault_system(flt, errno, "making %.150s/%s", path, name);
	if (!r)
		r = file_sync(folder, flt);
	if (made && r)
		unlinkat(folder, temp.name, 0);
	if (made)
		close(temp.fd);
	close(folder);
	return r;
}

static int give_span(void *user, int fd, struct fault *flt)
{
	const struct span *bytes = user;

	return file_write_all(fd, *bytes, flt);
}

/** Frees the value. @param kind  NULL: write it without a seal */
static int put_json(const char *path, struct json *value, const char *kind, const char *name, struct fault *flt)
{
	struct span bytes;
	const struct writing writing = { give_span, &bytes };
	struct buf text, sealed;
	int r;

	buf_init(&text, CAP_FILE_CONFIG);
	buf_init(&sealed, CAP_FILE_CONFIG);
	r = json_render(value, JSON_PRETTY, &text, flt);
	if (!r && kind)
		r = seal_put(kind, buf_span(&text), &sealed, flt);
	bytes = buf_span(kind ? &sealed : &text);
	if (!r)
		r = put_file(path, name, &writing, flt);
	buf_release(&sealed);
	buf_release(&text);
	json_free(value);
	return r;
}

/* ---- The latch: a file of its own, so that it can be set without the anchor's lock ---- */

static int parse_latch(struct span text, struct trust_anchor *out, struct fault *flt)
{
	struct span body, charge, evidence;
	struct json *value = NULL;
	int r = seal_open(text, LATCH_KIND, &body, flt);

	if (!r)
		r = json_parse(body, &value, flt);
	if (!r)
		r = json_read_text(value, "charge", &charge, flt);
	if (!r)
		r = json_read_text(value, "evidence", &evidence, flt);
	if (!r && (!trust_charge_latches(charge, &out->charge) || evidence.length >= sizeof(out->evidence)))
		r = fault_invalid(flt, "it is no latch of ours");
	if (!r)
		snprintf(out->evidence, sizeof(out->evidence), "%.*s", (int)evidence.length,
			 (const char *)evidence.data);
	json_free(value);
	return r;
}

int trust_read_latch(int folder, struct trust_anchor *out, struct fault *flt)
{
	struct fault own = { 0 };
	bool found = false;
	struct buf text;
	int r;

	buf_init(&text, CAP_FILE_CONFIG);
	r = file_read(folder, LATCH_FILE, &text, &found, &own);
	if (!r && found)
		r = parse_latch(buf_span(&text), out, &own);
	buf_release(&text);
	if (r == WARG_INVALID || own.kind == FAULT_LIMIT) {
		fault_invalid(flt, "\"" LATCH_FILE "\" beside it is damaged, which is there once a registry was seen "
			      "to fork");
		return WARG_INVALID;
	}
	if (r && flt && !flt->verdict)
		*flt = own;
	return r;
}

int trust_remove_latch(int folder, struct fault *flt)
{
	if (unlinkat(folder, LATCH_FILE, 0) && errno != ENOENT)
		return fault_system(flt, errno, "removing " LATCH_FILE);
	return 0;
}

/** The first one stays. */
static int latch(const struct trust *trust, enum trust_charge charge, const char *evidence, struct fault *flt)
{
	struct trust_anchor anchor;
	struct json *value;
	int r = trust_load(trust, &anchor, flt);

	if (r || !anchor.known || anchor.evidence[0])
		return r;
	value = json_new_object();
	json_put_text(value, "charge", trust_charge_name(charge));
	json_put_text(value, "evidence", evidence);
	return put_json(trust->folder, value, LATCH_KIND, LATCH_FILE, flt);
}

/* ---- Accusing ---- */

static struct json *new_charge(enum trust_charge charge)
{
	struct json *value = json_new_object();

	json_put_text(value, "charge", trust_charge_name(charge));
	return value;
}

/** Whether the one who signed the anchor's checkpoint signed this one. */
static bool is_signed_by_anchor(const struct trust_anchor *anchor, const struct signed_checkpoint *checkpoint)
{
	struct ecdsa_public_key *key = NULL;
	bool is_signed = !ecdsa_public_key_parse(span_of_text(anchor->signer), &key, NULL) &&
			 !checkpoint_verify_key(checkpoint, key, NULL);

	ecdsa_public_key_unref(key);
	return is_signed;
}

/* ".ledger" in place of ".json". */
static void name_ledger(const char *kept, char out[static 256])
{
	snprintf(out, 256, "%.*s.ledger", (int)(strlen(kept) - strlen(".json")), kept);
}

/*
 * Written last: the disk may have no room for a ledger, and the registry may still give it later.
 * @param ledger  may be NULL
 */
static int put_ledger(const struct trust *trust, const char *name, const struct writing *ledger, struct fault *flt)
{
	return ledger ? put_file(trust->evidence, name, ledger, flt) : 0;
}

/* @param ledger  of the offered checkpoint; NULL: the two checkpoints suffice */
static int accuse(const struct trust *trust, enum trust_charge charge, const struct signed_checkpoint *offered,
		  const struct operator_log *operator, const struct writing *ledger, char kept[static 256],
		  struct fault *flt)
{
	char root[DIGEST_TEXT_SIZE], ledger_name[256];
	const struct signed_checkpoint *held;
	struct trust_anchor anchor;
	struct json *value;
	int r;

	kept[0] = '\0';
	r = trust_load(trust, &anchor, flt);
	if (r || !anchor.known)
		return r;
	if (!is_signed_by_anchor(&anchor, offered) && (!operator || checkpoint_verify(offered, operator, NULL)))
		return 0;
	held = &anchor.checkpoint;
	/* A name that the same pair has every time: however often it is offered, it is one file. */
	digest_format(&offered->contents.log_root, root);
	snprintf(kept, 256, "%s-%" PRIu64 "-%" PRIu64 "-%.16s.json", trust_charge_name(charge),
		 held->contents.log_length, offered->contents.log_length, root + strlen("sha256:"));
	name_ledger(kept, ledger_name);
	value = new_charge(charge);
	json_put(value, "held", checkpoint_json_new(held));
	json_put(value, "offered", checkpoint_json_new(offered));
	if (ledger)
		json_put_text(value, "ledger", ledger_name);
	r = put_json(trust->evidence, value, NULL, kept, flt);
	if (!r && charge == TRUST_FORK)
		r = latch(trust, charge, kept, flt);
	if (r)
		kept[0] = '\0';
	return r ? r : put_ledger(trust, ledger_name, ledger, flt);
}

int trust_accuse(const struct trust *trust, enum trust_charge charge, const struct signed_checkpoint *offered,
		 const struct operator_log *operator, char kept[static 256], struct fault *flt)
{
	return accuse(trust, charge, offered, operator, NULL, kept, flt);
}

int trust_accuse_fork(const struct trust *trust, const struct signed_checkpoint *offered,
		      const struct operator_log *operator, int (*give)(void *user, int fd, struct fault *flt),
		      void *user, char kept[static 256], struct fault *flt)
{
	const struct writing ledger = { give, user };

	return accuse(trust, TRUST_FORK, offered, operator, &ledger, kept, flt);
}

int trust_accuse_map(const struct trust *trust, const struct signed_checkpoint *offered, const struct digest *map_root,
		     int (*give)(void *user, int fd, struct fault *flt), void *user, char kept[static 256],
		     struct fault *flt)
{
	const struct writing writing = { give, user };
	struct json *value = new_charge(TRUST_MAP);
	char root[DIGEST_TEXT_SIZE], ledger[256];
	int r;

	digest_format(&offered->contents.map_root, root);
	snprintf(kept, 256, "map-%" PRIu64 "-%.16s.json", offered->contents.log_length, root + strlen("sha256:"));
	name_ledger(kept, ledger);
	json_put(value, "offered", checkpoint_json_new(offered));
	json_put_digest(value, "mapRoot", map_root);
	json_put_text(value, "ledger", ledger);
	r = put_json(trust->evidence, value, NULL, kept, flt);
	if (!r)
		r = latch(trust, TRUST_MAP, kept, flt);
	if (r)
		kept[0] = '\0';
	return r ? r : put_ledger(trust, ledger, &writing, flt);
}
