/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * That a new checkpoint continues what was proven and remembered before (see sync.h; protocol.md sections 5 and 7).
 */
#include "sync_parts.h"

#include <inttypes.h>

/** The checkpoints that the next one must be consistent with, each once. */
struct open_contents {
	const struct checkpoint *each[3];
	size_t count;
};

static void hold(struct open_contents *held, const struct checkpoint *checkpoint)
{
	if (!checkpoint->log_length)
		return;
	for (size_t i = 0; i < held->count; i++)
		if (checkpoint_same_state(held->each[i], checkpoint))
			return;
	held->each[held->count++] = checkpoint;
}

static struct open_contents held_to(const struct view *base)
{
	struct open_contents held = {.count = 0};

	if (!base)
		return held;
	hold(&held, &base->held[0].contents);
	hold(&held, &base->held[1].contents);
	/* After a start from the cache the view may be of a shorter checkpoint. */
	hold(&held, &base->checkpoint.contents);
	return held;
}

static int check_step(const struct checkpoint *before, const struct checkpoint *checkpoint,
		      struct sync_refused *refused, struct fault *flt)
{
	if (checkpoint->log_length < before->log_length) {
		refused->contradiction = SYNC_ROLLBACK;
		return fault_invalid(flt, "a rollback: the log has %" PRIu64 " records, and had %" PRIu64 " before",
				     checkpoint->log_length, before->log_length);
	}
	if (checkpoint->log_length == before->log_length && !checkpoint_same_state(checkpoint, before)) {
		refused->contradiction = SYNC_FORK;
		return fault_invalid(flt, "a fork: at length %" PRIu64 " log or map had another root before",
				     checkpoint->log_length);
	}
	return 0;
}

int sync_check_growth(const struct view *base, const struct checkpoint *checkpoint, struct sync_refused *refused,
		      struct fault *flt)
{
	struct open_contents held = held_to(base);
	int verdict = 0;

	for (size_t i = 0; i < held.count && !verdict; i++)
		verdict = check_step(held.each[i], checkpoint, refused, flt);
	return verdict;
}

static int check_grown(const struct api *api, const struct checkpoint *before, const struct checkpoint *checkpoint,
		       clock_ms deadline, struct fault *flt)
{
	struct merkle_log_bundle proof = {0};
	int verdict;

	if (before->log_length == checkpoint->log_length)
		return 0;
	verdict = api_prove_consistency(api, deadline, before->log_length, checkpoint->log_length, &proof, flt);
	if (verdict)
		return verdict;
	verdict = merkle_log_check_consistency(&proof, before->log_length, &before->log_root, checkpoint->log_length,
					       &checkpoint->log_root, flt);
	if (verdict)
		fault_at(flt, "proof of consistency from %" PRIu64, before->log_length);
	merkle_log_bundle_release(&proof);
	return verdict;
}

int sync_check_consistency(const struct sync *sync, const struct view *base, struct fault *flt)
{
	struct open_contents held = held_to(base);
	int verdict = 0;

	for (size_t i = 0; i < held.count && !verdict; i++)
		if (!sync->is_extension || !checkpoint_same_state(held.each[i], &base->checkpoint.contents))
			verdict = check_grown(sync->api, held.each[i], &sync->checkpoint->contents, sync->deadline,
					      flt);
	return verdict;
}
