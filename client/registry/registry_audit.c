/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the audit finds, and what comes of it (see audit.h, trust.h).
 *
 * A map that is not the one that the log makes is the operator's own contradiction, under one signature: it is kept,
 * said, and latches as a fork does. What was proven before goes on being served: the log says it, and the log holds.
 */
#include "registry_parts.h"

#include "client/base/file.h"

#include <inttypes.h>

/** Where the ledger is written to, up to a checkpoint. */
struct giving {
	struct registry *registry;
	uint64_t length;
	int fd;
};

static int write_entries(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count,
			 struct fault *flt)
{
	const struct giving *giving = user;

	(void)index;
	return file_write_all(giving->fd, (struct span){ (const unsigned char *)entries, count * sizeof(*entries) },
			      flt);
}

static int give_ledger(void *user, int fd, struct fault *flt)
{
	struct giving *giving = user;

	giving->fd = fd;
	return ledger_read(giving->registry->ledger, 0, giving->length, write_entries, giving, flt);
}

static void judged(void *user, const struct signed_checkpoint *checkpoint, const struct digest *map_root, bool agrees)
{
	struct registry *registry = user;
	struct giving giving = { .registry = registry, .length = checkpoint->contents.log_length };
	struct fault flt = {0}, own = {0};
	char kept[256] = "";

	if (agrees)
		return;
	fault_invalid(&flt, "the map of the checkpoint at length %" PRIu64 " is not the one that its log makes",
		      checkpoint->contents.log_length);
	fault_blame(&flt, FAULT_BY_REGISTRY);
	if (registry->trust)
		trust_accuse_map(registry->trust, checkpoint, map_root, give_ledger, &giving, kept, &own);
	if (kept[0])
		fault_add(&flt, "evidence: %s/%s", trust_evidence_folder(registry->trust), kept);
	registry_report(registry, &flt);
	registry_report(registry, &own);
}

static void failed(void *user, const struct fault *flt)
{
	registry_report(user, flt);
}

int registry_start_audit(struct registry *registry, struct fault *flt)
{
	const struct audit_options options = {
		.ledger = registry->ledger,
		.judged = judged,
		.failed = failed,
		.user = registry,
	};
	const struct view *view = registry->view;
	int verdict = audit_new(&options, &registry->audit, flt);

	/* What was listed in the cache already. */
	if (!verdict && view->listing && view->listing->length)
		audit_want(registry->audit, &view->checkpoint);
	return verdict;
}
