/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the files store*.c share. Not for other files.
 */
#ifndef WARG_CLIENT_STORE_PARTS_H
#define WARG_CLIENT_STORE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "client/base/digest_hash.h"
#include "store.h"
#include "store_state.h"

struct store_size {
	struct digest digest;
	uint64_t size;
	bool used;
};

/** Sizes by digest: open addressing, at most half full. */
struct store_sizes {
	pthread_mutex_t mutex; /* guards all below */
	bool loaded;
	bool usable;           /* the file's first line is ours: append to it, else replace the file */
	bool torn;             /* the file's last line has no end */
	struct digest_hash hash;
	struct store_size *slots;
	size_t capacity;       /* a power of two, or 0 */
	size_t count;
};

/*
 * Paths, not descriptors: the reference's `reset` and `clear` remove whole folders under us, and a descriptor of a
 * folder that was removed is of no use.
 */
struct store {
	char *registries_dir, *content_dir, *own_dir, *label;
	struct store_sizes sizes;
	atomic_bool is_swept; /* store_sweep_logs() was done */
};

#define STORE_LOG_FOLDER "package-logs"
#define STORE_HASH_FOLDER "sha256"
#define STORE_TEMP_FOLDER "temp"
#define STORE_LOCK_FILE ".lock"
#define STORE_CLAIM_FOLDER "downloads" /* in our own folder */

/** Opens a folder that has a lock. @param fd  -1 if there is none and `make` is false */
typedef int store_opener(const struct store *store, bool make, int *fd, struct fault *flt);

/**
 * Take the lock of a folder, within STORE_LOCK_WAIT. The reference's `reset` and `clear` remove folder and lock file
 * while they hold it: who waited has the lock of a file that nobody else will look at, and starts again.
 * @param folder, lock  close() both, in this order, if `*had`
 */
int store_lock(const struct store *store, store_opener *open_folder, int *folder, int *lock, bool *had,
	       struct fault *flt);

/** Open package-logs/sha256 inside the registry's folder. @param fd  as above */
int store_open_logs(int registry, bool make, int *fd, struct fault *flt);

/** The file name of a digest: its 64 digits. */
void store_file_name(const struct digest *digest, char out[static DIGEST_TEXT_SIZE]);

/* The loads, in a folder that is open already. */
int store_read_checkpoint(int registry, struct signed_checkpoint *out, bool *found, struct fault *flt);
int store_read_operator(int registry, struct operator_log **log, struct store_state *state, struct fault *flt);
int store_read_package(int logs, const struct name *name, struct ecdsa_recent_keys *keys, struct package_log **log,
		       struct store_state *state, struct fault *flt);

/** Whether two logs are in the same state, as far as a state file tells. */
bool store_same_operator(const struct operator_log *a, const struct operator_log *b);
bool store_same_package(const struct package_log *a, const struct package_log *b);

/** Remove temp files of ours whose writers are gone. */
void store_sweep_temps(const struct store *store);
/** Remove claims whose holders are gone. */
void store_sweep_claims(const struct store *store);

/** Nothing is read before the first question. */
int store_sizes_init(struct store_sizes *sizes, struct fault *flt);
/** Gives the memory back; what was remembered is in the file. */
void store_sizes_release(struct store_sizes *sizes);

#endif
