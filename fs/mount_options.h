/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What may stand behind -o when mounting.
 *
 * Every word that is accepted works; what a kernel or fusermount understands is passed on to it.
 */
#ifndef WARGFS_FS_MOUNT_OPTIONS_H
#define WARGFS_FS_MOUNT_OPTIONS_H

#include "verify/buf.h"
#include "verify/digest.h"

#include <sys/types.h>

/** A word that is accepted, for parsing and for --help. A table of them ends with an all-zero one. */
struct mount_options_word {
	const char *word;  /* with '=' at its end when it takes a value */
	const char *value; /* what the value is called; NULL: none */
	const char *text;
	int key;           /* 0: passed on as it is */
};
extern const struct mount_options_word mount_options_words[];

struct mount_options {
	const char *source; /* the registry as typed, shown as mounted, borrowed; NULL: the registry's URL */
	char *fsname;      /* what is shown as mounted instead, owned; NULL: not given */
	bool remount;      /* what is mounted there ends, and is mounted again with these options */
	bool only_root;    /* of all other users only root may see it */
	bool debug;        /* libfuse prints each request; implies the foreground */
	unsigned timeout;  /* seconds that anybody waits for an answer */
	unsigned refresh;  /* seconds between looks for a new checkpoint; 0: never by itself */
	unsigned max_age;  /* seconds that a checkpoint may be old for what may have changed to be told; 0: no bound */
	bool offline;      /* nothing is ever sent */
	int disk;          /* a folder of the local registry, borrowed; -1: the registry is not local */
	bool has_operator_key;
	struct digest operator_key; /* key id that the operator must have */
	char *ca_file;     /* certificates that are trusted, as given; NULL: not given */
	bool writable;     /* what is written is published */
	bool has_mode;     /* ro or rw was among the words */
	bool yank;         /* a release that is removed is yanked */
	bool publish_by_rename; /* only a rename publishes, not close() */
	uid_t uid;         /* owner of everything */
	gid_t gid;
	mode_t umask;      /* taken away from all permissions */
	struct buf passed; /* words for the kernel and fusermount, each with a comma before it */
};

/** The usual values; the owner is who calls. Release with mount_options_release(). */
void mount_options_init(struct mount_options *options);
void mount_options_release(struct mount_options *options);

/** Whether a word may stand behind -o, whatever its value. */
bool mount_options_has(const char *text);

/** Check, when all words are known, that they go together. */
int mount_options_check(const struct mount_options *options, struct fault *flt);

/** Parse the words of one -o. @return 0; WARG_UNDECIDED with FAULT_MISUSE and a sentence that names the word */
int mount_options_parse(struct mount_options *options, const char *text, struct fault *flt);

#endif
