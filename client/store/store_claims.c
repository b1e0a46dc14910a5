/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Claims of contents: store.h.
 *
 * The file of a claim is made by who wants it, and removed by who has its lock. Somebody may have opened it in between:
 * a lock counts only while the file still has its name.
 */
#include "store_parts.h"

#include <unistd.h>

#include "client/base/file.h"
#include "verify/hex.h"

enum store_claim_state store_claim_content(struct store *store, const struct digest *digest, struct store_claim *out,
					   uint64_t *received)
{
	char name[DIGEST_TEXT_SIZE];
	int folder = -1;
	int fd = -1;
	int r;

	store_file_name(digest, name);
	if (file_open_inside(store->own_dir, STORE_CLAIM_FOLDER, true, &folder, NULL))
		return STORE_CLAIM_NONE;
	r = file_claim(folder, name, &fd, received, NULL);
	close(folder);
	if (r)
		return STORE_CLAIM_NONE;
	if (fd < 0)
		return STORE_CLAIM_OTHERS;
	*out = (struct store_claim){fd};
	/* Who had it before, and died, told of other bytes. */
	store_mark_claim(out, 0);
	return STORE_CLAIM_OURS;
}

void store_mark_claim(const struct store_claim *claim, uint64_t received)
{
	/* Others then wait less long for us: no harm. */
	if (ftruncate(claim->fd, (off_t)received))
		return;
}

void store_end_claim(struct store *store, const struct digest *digest, struct store_claim *claim)
{
	char name[DIGEST_TEXT_SIZE];
	int folder = -1;

	store_file_name(digest, name);
	if (!file_open_inside(store->own_dir, STORE_CLAIM_FOLDER, false, &folder, NULL) && folder >= 0) {
		file_end_claim(folder, name, claim->fd);
		close(folder);
	} else {
		close(claim->fd);
	}
	claim->fd = -1;
}

/* A registry can be called as the folder is: only what has a digest's name is a claim. */
static void sweep(int folder, const char *name, void *context)
{
	unsigned char digest[DIGEST_SIZE];

	(void)context;
	if (!hex_decode(span_of_text(name), digest, sizeof(digest), NULL))
		file_remove_unlocked(folder, name);
}

void store_sweep_claims(const struct store *store)
{
	file_walk(store->own_dir, STORE_CLAIM_FOLDER, sweep, NULL, NULL);
}
