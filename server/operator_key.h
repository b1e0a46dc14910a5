/*
 * The operator's key: given as text or in a file, or made at the first start and kept in the data folder.
 */
#ifndef WARG_SERVER_OPERATOR_KEY_H
#define WARG_SERVER_OPERATOR_KEY_H

#include "verify/ecdsa.h"

/** The name of the file in the data folder, mode 0600. */
#define OPERATOR_KEY_FILE "operator.key"

/** Parse a key, with or without a newline behind it. */
int operator_key_parse(struct span text, struct ecdsa_private_key **out, struct fault *flt);

/** Read it from a file. @return 0; WARG_UNDECIDED: EACCES if others than its owner may read the file */
int operator_key_read(const char *path, struct ecdsa_private_key **out, struct fault *flt);

/**
 * A key that is kept in the data folder. Whoever makes one has a lock.
 * @param name  of its file
 * @param make  make one, synced, where there is none
 * @return 0; FAULT_NO_KEY: there is none
 */
int operator_key_keep(const char *data_dir, const char *name, bool make, struct ecdsa_private_key **out,
		      struct fault *flt);

#endif
