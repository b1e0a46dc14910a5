/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What ledger.c, ledger_file.c and ledger_names.c share. Not for others.
 */
#ifndef WARG_CLIENT_LEDGER_PARTS_H
#define WARG_CLIENT_LEDGER_PARTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "ledger.h"

/** Records that are hashed together: few enough to be read for the sake of one, enough to keep few hashes. */
#define LEDGER_CHUNK 256u
#define LEDGER_ENTRY sizeof(struct api_ledger_entry)
_Static_assert(sizeof(struct api_ledger_entry) == 64, "entries lie on disk as they lie in memory");

#define LEDGER_FILE "ledger"
#define LEDGER_HEADER "wargfs ledger 1\n"
#define LEDGER_HEADER_SIZE (sizeof(LEDGER_HEADER) - 1)
#define LEDGER_MODE 0666       /* less the umask */
#define LEDGER_LOCK_WAIT 200   /* milliseconds */

/** The records, as far as they have to be in memory. */
struct ledger_records {
	struct merkle_log_roots roots;
	struct digest *chunks; /* hashes of the full chunks */
	size_t capacity;       /* chunks that there is room for */
	struct api_ledger_entry tail[LEDGER_CHUNK]; /* the last chunk, which is not full */
};

struct ledger {
	char *own_dir, *label; /* paths, not descriptors: `reset` removes folders under us */
	unsigned epoch;         /* how often records were forgotten */
	atomic_bool checkpoint_is_stale; /* the stored checkpoint is of another ledger, or not signed */

	pthread_mutex_t mutex; /* guards all below against those who read */
	int fd;                /* where the records lie, behind a header; -1: nowhere yet */
	bool is_named;         /* `fd` is the file in the folder, and may be appended to */
	bool is_in_doubt, is_damaged;
	struct ledger_records records;

	bool has_more_names; /* stored since the last load */
	/* Appending thread only. */
	struct api_ledger_spool spool; /* records not proven yet. fd -1: none */
	struct api_ledger_tail tail;   /* where records that come next are looked for beside the checkpoint */
	bool expects_growth;
};

/** Records to append: in memory, or in a file. */
struct ledger_growth {
	const struct api_ledger_entry *entries; /* NULL: they are in `fd`, from offset 0 */
	int fd;
	size_t count;
};

/** Call `take` with the records of a growth, piece by piece, as ledger_read() does; `index` is the first one's. */
int ledger_walk_growth(const struct ledger_growth *growth, uint64_t index,
		       int (*take)(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count,
				   struct fault *flt),
		       void *user, struct fault *flt);

/** Where the record lies in the file. */
off_t ledger_offset(uint64_t index);

/** Put records into the file behind those that are there: the one with a name, else one without. */
int ledger_put(struct ledger *ledger, const struct ledger_growth *growth, struct fault *flt);

/** Make an unlinked file in our own folder, or a memfd if that fails. */
int ledger_open_spool(const struct ledger *ledger, int *fd, struct fault *flt);

/**
 * Keep the checkpoint beside the file, while that has its name.
 * @param fd  the file, which holds what the checkpoint speaks of
 * @return as ledger_keep()
 */
bool ledger_keep_checkpoint(struct ledger *ledger, int fd, const struct signed_checkpoint *checkpoint);

/** @param found  false if there is none */
int ledger_read_checkpoint(int folder, struct signed_checkpoint *out, bool *found, struct fault *flt);

/** Our own folder. @param fd  -1 if there is none and `make` is false */
int ledger_open_folder(const struct ledger *ledger, bool make, int *fd, struct fault *flt);

/** Open the file for reading, and for writing where that may be done. @param fd  -1 if there is none of ours */
int ledger_open_file(int folder, int *fd, bool *is_writable, uint64_t *size, struct fault *flt);

/** Read at a place as many bytes as there are, up to `size`. @return how many; -1 on error, with errno */
ssize_t ledger_read_at(int fd, void *out, size_t size, off_t offset);

#endif
