/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Receipts in the mount (see receipt.h).
 */
#include "receipt.h"

#include "client/publish/receipts.h"
#include "verify/hex.h"

#include <stdlib.h>

/* @param out  receipts_close() it; NULL: nothing is remembered of the registry, or it is not open */
static int open_receipts(struct mount *mount, const struct path *path, struct receipts **out, struct fault *flt)
{
	struct registry *registry = mount_registry(mount, path);
	const struct trust *trust = registry ? registry_trust(registry) : NULL;

	*out = NULL;
	return trust ? receipts_open(registry_state_dir(registry), trust_label(trust), out, flt) : 0;
}

int receipt_render(struct mount *mount, const struct path *path, struct buf *out, struct fault *flt)
{
	struct digest record = path_record(path);
	struct name name = path_package(path);
	struct receipts *receipts;
	bool found = false;
	int verdict = open_receipts(mount, path, &receipts, flt);

	if (!verdict && receipts)
		verdict = receipts_read(receipts, &name, &record, out, &found, flt);
	receipts_close(receipts);
	return verdict || found ? verdict : fault_undecided(flt, FAULT_ABSENT, "there is no such receipt");
}

/* ---- Finding ---- */

/* One that is there stays there; one that is not may come at any time. */
void receipt_attempt_lookup(struct request *request)
{
	const struct fuse_entry_param nothing = { 0 };
	struct fault flt = {0};

	if (!receipt_render(request->mount, &request->path, NULL, &flt)) {
		request_reply_entry(request, nodes_enter(request->mount->nodes, &request->path, NULL), MOUNT_FOREVER);
	} else if (flt.kind == FAULT_ABSENT) {
		request_settle(request);
		fuse_reply_entry(request->fuse, &nothing);
		request_free(request);
	} else {
		request_fail_with(request, &flt);
	}
}

/* ---- Listing ---- */

static int append(struct tree_entries *entries, const struct digest *ids, size_t count, struct receipt_listed **out,
		  struct fault *flt)
{
	struct receipt_listed *listed = calloc(count + 1, sizeof(*listed));
	struct tree_entry *grown;

	grown = listed ? reallocarray(entries->entries, entries->count + count + 1, sizeof(*grown)) : NULL;
	if (!grown) {
		free(listed);
		return fault_no_memory(flt);
	}
	entries->entries = grown;
	for (size_t i = 0; i < count; i++) {
		hex_encode(digest_span(&ids[i]), listed[i].stem);
		grown[entries->count++] = (struct tree_entry){
			.kind = PATH_RECEIPT, .stem = span_of_text(listed[i].stem),
		};
	}
	*out = listed;
	return 0;
}

int receipt_list(struct mount *mount, const struct path *folder, struct tree_entries *entries,
		 struct receipt_listed **out, struct fault *flt)
{
	struct name name = path_package(folder);
	struct digest *ids = NULL;
	struct receipts *receipts;
	size_t count = 0;
	int verdict = open_receipts(mount, folder, &receipts, flt);

	if (!verdict && receipts)
		verdict = receipts_list(receipts, &name, &ids, &count, flt);
	if (!verdict)
		verdict = append(entries, ids, count, out, flt);
	free(ids);
	receipts_close(receipts);
	return verdict;
}
