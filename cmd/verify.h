/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the files of verify share. Not for other commands.
 */
#ifndef WARGFS_CMD_VERIFY_H
#define WARGFS_CMD_VERIFY_H

#include "client/base/json.h"
#include "client/sync/recheck.h"
#include "options.h"
#include "session.h"

/** The command's own options. */
struct verify {
	const char *proof;        /* NULL: not given */
	const char *content;      /* NULL: not given */
};

/** Open and hash a file that the user named. */
int verify_hash_file(const char *path, struct digest *out, struct fault *flt);

/** Check a proof document. @return what to end with, as of those that follow */
int verify_proof(const struct command *command, const struct options *options, const struct verify *verify);

/** Prove anew what is stored of the registry: of the packages that are named, or of all. */
int verify_stored(const struct command *command, const struct options *options);

/** Say which releases the files are. */
int verify_files(const struct command *command, const struct options *options);

/* ---- What is stored, registry by registry ---- */

/** What is looked at in one registry. */
struct verify_part {
	char domain[CAP_DOMAIN + 1];       /* "": the home registry */
	char namespace[CAP_NAME_PART + 1]; /* one that lives there */
	struct registry *registry;
	struct archive *archive;           /* of our own: the registry's is the registry's */
	struct name *names;
	size_t count;
	struct fault fault;                /* why nothing could be proven */
	struct recheck recheck;
};

/** The command at work. Zero it, set the first three; release it whatever became of it. */
struct verify_task {
	const struct command *command;
	const struct options *options;
	bool all; /* all packages that are stored, not those that are named */
	struct session session;
	struct session_namespaces known;
	struct verify_part *parts; /* the home registry's first */
	size_t count;
};

/**
 * Open the registry, and have what is stored proven anew, there and in others.
 * @param compares  and have the state files and contents compared
 * @return 0, also where a registry cannot be proven: its part says why
 */
int verify_task_run(struct verify_task *task, bool compares, struct fault *flt);
void verify_task_release(struct verify_task *task);

/** Say what went wrong. @return what to end with for that */
int verify_task_tell_faults(const struct verify_task *task);

/** Put the home registry's members, and the list of others. */
void verify_task_put_registries(struct json *json, const struct verify_task *task);

/** What a part's registry is called. Borrowed. */
const char *verify_name_of(const struct verify_task *task, const struct verify_part *part);

#endif
