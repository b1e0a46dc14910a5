/*
 * What verify.c, verify_proof.c and verify_stored.c share. Not for other commands.
 */
#ifndef WARGFS_CMD_VERIFY_H
#define WARGFS_CMD_VERIFY_H

#include "options.h"
#include "verify/digest.h"

/** The command's own options. */
struct verify {
	const char *proof;        /* NULL: not given */
	const char *content;      /* NULL: not given */
	bool has_operator_key;
	struct digest operator_key;
};

/** Open and hash a file that the user named. */
int verify_hash_file(const char *path, struct digest *out, struct fault *flt);

/** Check a proof document. @return what to end with, as of those that follow */
int verify_proof(const struct command *command, const struct options *options, const struct verify *verify);

/** Prove anew what is stored of the registry: of the packages that are named, or of all. */
int verify_stored(const struct command *command, const struct options *options);

/** Say which releases the files are. */
int verify_files(const struct command *command, const struct options *options);

#endif
