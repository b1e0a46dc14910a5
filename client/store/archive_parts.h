/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What archive.c and archive_save.c share. Not for others.
 *
 * A record in a file: ARCHIVE_FRAME bytes (big-endian: registry index, 8 bytes; key id, 32; the lengths of content,
 * signature and fetch token, 4 each), then those three.
 */
#ifndef WARG_CLIENT_ARCHIVE_PARTS_H
#define WARG_CLIENT_ARCHIVE_PARTS_H

#include <pthread.h>

#include "archive.h"

#define ARCHIVE_FOLDER "records"
#define ARCHIVE_HEADER "wargfs records 1\n"
#define ARCHIVE_HEADER_SIZE (sizeof(ARCHIVE_HEADER) - 1)
#define ARCHIVE_FRAME (8 + DIGEST_SIZE + 3 * 4)

/** Growths in the order in which they came. */
struct archive_list {
	struct archive_growth *first, **last;
};

struct archive {
	char *own_dir, *label; /* paths, not descriptors: `reset` removes folders under us */
	struct archive_list kept;
	pthread_mutex_t saving;       /* held by who saves: growths are written in the order in which they came */
	pthread_mutex_t mutex;        /* guards `accepted` */
	struct archive_list accepted;
	struct ecdsa_recent_keys keys; /* of the logs that were loaded and fetched lately: few publish much */
};

/** The folder of records. @param fd  -1 if there is none and `make` is false */
int archive_open_folder(const struct archive *archive, bool make, int *fd, struct fault *flt);

/** Open a log's file behind its line of version. @param fd  -1 if there is none of ours */
int archive_open_file(int folder, const struct digest *log_id, int *fd, uint64_t *size, struct fault *flt);

/** The name of a log's file. */
void archive_file_name(const struct digest *log_id, char out[static DIGEST_TEXT_SIZE]);

/** An empty list. */
void archive_list_init(struct archive_list *list);
/** Free them all; the list is empty then. */
void archive_list_release(struct archive_list *list);

#endif
