/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Contents as files: `<content_dir>/files/sha256-<hex>`, as the reference server has them, each of them whole and
 * checked before it gets that name. What is on its way lies in `<content_dir>/tmp/`.
 */
#ifndef WARG_SERVER_CONTENT_FILES_H
#define WARG_SERVER_CONTENT_FILES_H

#include "verify/digest.h"

struct content_files;

/**
 * Open the folder, or make it (0700). Removes temporary files of a killed server, known by their names, and nothing
 * else.
 * @param limit  bytes of one content
 * @return 0; WARG_UNDECIDED: FAULT_EXISTS if another server has it, FAULT_MISUSE if it is neither empty nor a folder of
 *         contents: then nothing there is touched
 */
int content_files_open(const char *content_dir, uint64_t limit, struct content_files **out, struct fault *flt);
/** NULL is fine. */
void content_files_close(struct content_files *files);

/** Bytes that one content may have. */
uint64_t content_files_limit(const struct content_files *files);

/** Whether a content is stored, and would survive a power cut. */
bool content_files_have(struct content_files *files, const struct digest *digest);

/**
 * Number of contents stored since the start. While it does not change, a content that content_files_have() denied is
 * still missing.
 */
uint64_t content_files_arrivals(const struct content_files *files);

/** Descriptor of the folder. Borrowed. */
int content_files_folder(const struct content_files *files);

/** Room for a content's file name. */
#define CONTENT_FILE_NAME_SIZE 72
/** Its name: the text form with a dash for the colon. */
void content_file_name(const struct digest *digest, char out[static CONTENT_FILE_NAME_SIZE]);

/** Whether a file name is a content's, and of which. */
bool content_file_parse(const char *name, struct digest *out);

/** A content that can be read. */
struct content_file {
	int fd; /* close() it */
	uint64_t size;
	int64_t modified; /* seconds since 1970 */
};
/** @return 0; FAULT_ABSENT: there is none */
int content_files_read(const struct content_files *files, const struct digest *digest, struct content_file *out,
		       struct fault *flt);

/* ---- On its way ---- */

struct incoming;

/** What a content may be. */
enum incoming_kind {
	INCOMING_WASM, /* what is published here: a whole Wasm binary */
	INCOMING_ANY   /* what a registry elsewhere has taken already */
};

/** Begin to receive a content. @param digest  what it has to be */
int incoming_begin(struct content_files *files, const struct digest *digest, enum incoming_kind kind,
		   struct incoming **out, struct fault *flt);

/** What is wrong with one. */
enum incoming_verdict {
	INCOMING_FINE,
	INCOMING_OTHER,  /* the bytes are not those of the digest */
	INCOMING_REFUSED /* no Wasm binary, or past the limit: no record can have it */
};

/**
 * Take the bytes behind those that came before. What is wrong is told at the end, as all of it has to be heard.
 * @return 0; WARG_UNDECIDED: the disk
 */
int incoming_write(struct incoming *incoming, struct span bytes, struct fault *flt);

/**
 * All bytes came: judge them; with INCOMING_FINE the content has its name, synced.
 * @param flt  set with any other verdict, too: what is wrong with it
 * @return 0; WARG_UNDECIDED: the disk
 */
int incoming_keep(struct incoming *incoming, enum incoming_verdict *verdict, struct fault *flt);

/** Give it back; what was not kept is gone. NULL is fine. */
void incoming_free(struct incoming *incoming);

#endif
