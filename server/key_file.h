/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Private keys in files, the operator's above all: given as text or in a file, or made at the first start and kept in
 * the data folder.
 */
#ifndef WARG_SERVER_KEY_FILE_H
#define WARG_SERVER_KEY_FILE_H

#include "verify/ecdsa.h"

/** The name of the operator's in the data folder, mode 0600. */
#define KEY_FILE_OPERATOR "operator.key"

/** Parse a key, with or without a newline behind it. */
int key_file_parse(struct span text, struct ecdsa_private_key **out, struct fault *flt);

/**
 * Check that no others may read a file with a secret. One that we cannot make private, as it is another user's or on a
 * read-only file system, is fine: secrets of containers are handed over like that.
 * @param fd         may be opened with O_PATH
 * @param what       "key", "token"
 * @param is_shared  set if others may read it nonetheless, for a warning; may be NULL
 * @return 0; WARG_UNDECIDED: EACCES
 */
int key_file_check_mode(int fd, const char *path, const char *what, bool *is_shared, struct fault *flt);

/** Read it from a file. @return 0; WARG_UNDECIDED: as key_file_check_mode() */
int key_file_read(const char *path, struct ecdsa_private_key **out, struct fault *flt);

/**
 * Load a key from the data folder. With `make` the caller must hold the folder's lock.
 * @param folder  the open data folder, which may have been moved from its path
 * @param name    of its file
 * @param make    make a missing key, synced
 * @return 0; FAULT_NO_KEY: there is none
 */
int key_file_keep(int folder, const char *name, bool make, struct ecdsa_private_key **out, struct fault *flt);

#endif
