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

/** Read it from a file. @return 0; WARG_UNDECIDED: EACCES if others than its owner may read the file */
int key_file_read(const char *path, struct ecdsa_private_key **out, struct fault *flt);

/**
 * A key that is kept in the data folder. Whoever makes one has a lock.
 * @param name  of its file
 * @param make  make one, synced, where there is none
 * @return 0; FAULT_NO_KEY: there is none
 */
int key_file_keep(const char *data_dir, const char *name, bool make, struct ecdsa_private_key **out,
		      struct fault *flt);

#endif
