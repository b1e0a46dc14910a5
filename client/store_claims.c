/*
 * Claims of contents: store.h.
 *
 * The file of a claim is made by who wants it, and removed by who has its lock. Somebody may have opened it in between:
 * a lock counts only while the file still has its name.
 */
#include "store_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "verify/hex.h"

#define CLAIM_MODE 0600
#define CLAIM_TRIES 16 /* at a file that others take away under us */

/* One try. @param gone  the file lost its name before the lock was had: try once more */
static enum store_claim_state claim_file(int folder, const char *name, int *out, uint64_t *received, bool *gone)
{
	/* O_NONBLOCK: a pipe that somebody put there must not hold us up. */
	int fd = openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, CLAIM_MODE);
	enum store_claim_state state = STORE_CLAIM_NONE;
	struct stat status;

	*gone = false;
	if (fd < 0 || fstat(fd, &status) || !S_ISREG(status.st_mode))
		goto out;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno == EWOULDBLOCK) {
			state = STORE_CLAIM_OTHERS;
			*received = (uint64_t)status.st_size;
		}
		goto out;
	}
	*gone = fstat(fd, &status) || !status.st_nlink;
	if (*gone)
		goto out;
	*out = fd;
	return STORE_CLAIM_OURS;

out:
	if (fd >= 0)
		close(fd);
	return state;
}

enum store_claim_state store_claim_content(struct store *store, const struct digest *digest, struct store_claim *out,
					   uint64_t *received)
{
	enum store_claim_state state = STORE_CLAIM_NONE;
	char name[DIGEST_TEXT_SIZE];
	bool gone = true;
	int folder = -1;
	int fd = -1;

	store_file_name(digest, name);
	if (file_open_inside(store->own_dir, STORE_CLAIM_FOLDER, true, &folder, NULL))
		return STORE_CLAIM_NONE;
	for (int tries = 0; gone && tries < CLAIM_TRIES; tries++)
		state = claim_file(folder, name, &fd, received, &gone);
	close(folder);
	if (state == STORE_CLAIM_OURS) {
		*out = (struct store_claim){fd};
		/* Who had it before, and died, told of other bytes. */
		store_mark_claim(out, 0);
	}
	return state;
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
		unlinkat(folder, name, 0);
		close(folder);
	}
	close(claim->fd);
	claim->fd = -1;
}

/* A registry can be called as the folder is: only what has a digest's name is a claim. */
static void sweep(int folder, const char *name, void *context)
{
	unsigned char digest[DIGEST_SIZE];

	(void)context;
	if (!hex_decode(span_of_text(name), digest, sizeof(digest), NULL))
		store_sweep_file(folder, name);
}

void store_sweep_claims(const struct store *store)
{
	store_walk(store->own_dir, STORE_CLAIM_FOLDER, sweep, NULL, NULL);
}
