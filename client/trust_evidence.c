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

#include "file.h"
#include "json.h"
#include "store_state.h"

/** Frees the value. */
static int write_evidence(const struct trust *trust, struct json *value, const char *name, struct fault *flt)
{
	int folder = -1;
	struct buf text;
	int r;

	buf_init(&text, CAP_FILE_CONFIG);
	r = json_render(value, JSON_PRETTY, &text, flt);
	if (!r)
		r = file_open_top(trust->evidence, &folder, flt);
	if (!r)
		r = file_replace(folder, name, TRUST_FILE_MODE, buf_span(&text), flt);
	if (!r)
		r = file_sync(folder, flt);
	if (folder >= 0)
		close(folder);
	buf_release(&text);
	json_free(value);
	return r;
}

static struct json *new_charge(enum trust_charge charge)
{
	struct json *value = json_new_object();

	json_put_text(value, "charge", trust_charge_name(charge));
	return value;
}

struct latch {
	enum trust_charge charge;
	const char *evidence;
};

/** The first one stays. */
static bool latch(struct trust_anchor *anchor, const void *argument)
{
	const struct latch *latch = argument;

	if (!anchor->known || anchor->evidence[0])
		return false;
	anchor->charge = latch->charge;
	snprintf(anchor->evidence, sizeof(anchor->evidence), "%s", latch->evidence);
	return true;
}

/** Whether the one who signed the anchor's checkpoint signed this one. */
static bool is_signed_by_anchor(const struct trust_anchor *anchor, const struct signed_checkpoint *checkpoint)
{
	struct ecdsa_public_key *key = NULL;
	struct operator_log *log = NULL;
	bool is_signed = !ecdsa_public_key_parse(span_of_text(anchor->signer), &key, NULL) &&
			 !operator_log_new(&log, NULL) &&
			 !operator_log_restore_key(log, key, PERMISSION_COMMIT, NULL) &&
			 !checkpoint_verify(checkpoint, log, NULL);

	operator_log_unref(log);
	ecdsa_public_key_unref(key);
	return is_signed;
}

int trust_accuse(const struct trust *trust, enum trust_charge charge, const struct signed_checkpoint *offered,
		 const struct operator_log *operator, char kept[static 256], struct fault *flt)
{
	const struct signed_checkpoint *held;
	char root[DIGEST_TEXT_SIZE];
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
	value = new_charge(charge);
	json_put(value, "held", store_state_new_checkpoint(held));
	json_put(value, "offered", store_state_new_checkpoint(offered));
	r = write_evidence(trust, value, kept, flt);
	if (!r && charge == TRUST_FORK)
		r = trust_change(trust, latch, &(struct latch){ charge, kept }, flt);
	if (r)
		kept[0] = '\0';
	return r;
}

/** Whole or not at all, as file_replace() does with what is in memory. The folder is locked. */
static int write_whole(const struct trust *trust, int folder, const char *name,
		       int (*give)(void *user, int fd, struct fault *flt), void *user, struct fault *flt)
{
	char temporary[300];
	int fd, r;

	snprintf(temporary, sizeof(temporary), ".%s", name);
	unlinkat(folder, temporary, 0);
	fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, TRUST_FILE_MODE);
	if (fd < 0)
		return fault_system(flt, errno, "making %.150s/%s", trust->evidence, temporary);
	r = give(user, fd, flt);
	if (!r)
		r = file_sync(fd, flt);
	if (!r && renameat(folder, temporary, folder, name))
		r = fault_system(flt, errno, "making %.150s/%s", trust->evidence, name);
	if (!r)
		r = file_sync(folder, flt);
	if (r)
		unlinkat(folder, temporary, 0);
	close(fd);
	return r;
}

/** Whoever has the lock writes the same. */
static int write_ledger(const struct trust *trust, const char *name, int (*give)(void *user, int fd, struct fault *flt),
			void *user, struct fault *flt)
{
	bool had = false;
	int folder = -1;
	int r;

	r = file_open_top(trust->evidence, &folder, flt);
	if (r)
		return r;
	r = file_lock(folder, TRUST_LOCK_WAIT, &had, flt);
	if (!r && had)
		r = write_whole(trust, folder, name, give, user, flt);
	close(folder);
	return r;
}

int trust_accuse_map(const struct trust *trust, const struct signed_checkpoint *offered, const struct digest *map_root,
		     int (*give)(void *user, int fd, struct fault *flt), void *user, char kept[static 256],
		     struct fault *flt)
{
	struct json *value = new_charge(TRUST_MAP);
	char root[DIGEST_TEXT_SIZE], ledger[256];
	int r;

	digest_format(&offered->contents.map_root, root);
	snprintf(kept, 256, "map-%" PRIu64 "-%.16s.json", offered->contents.log_length, root + strlen("sha256:"));
	snprintf(ledger, sizeof(ledger), "map-%" PRIu64 "-%.16s.ledger", offered->contents.log_length,
		 root + strlen("sha256:"));
	json_put(value, "offered", store_state_new_checkpoint(offered));
	json_put_digest(value, "mapRoot", map_root);
	json_put_text(value, "ledger", ledger);
	r = write_evidence(trust, value, kept, flt);
	if (!r)
		r = trust_change(trust, latch, &(struct latch){ TRUST_MAP, kept }, flt);
	if (r)
		kept[0] = '\0';
	/* Last: as long as the registry gives it, it can be had again, and the disk may have no room for it. */
	return r ? r : write_ledger(trust, ledger, give, user, flt);
}
