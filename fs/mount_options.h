/*
 * What may stand behind -o when mounting.
 *
 * Every word that is accepted works; what a kernel or fusermount understands is passed on to it.
 */
#ifndef WARGFS_FS_MOUNT_OPTIONS_H
#define WARGFS_FS_MOUNT_OPTIONS_H

#include "verify/buf.h"

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
	const char *source; /* what is shown as mounted, borrowed; NULL: the registry's URL */
	unsigned timeout;  /* seconds that anybody waits for an answer */
	unsigned refresh;  /* seconds between looks for a new checkpoint; 0: never by itself */
	unsigned max_age;  /* seconds that a checkpoint may be old for what may have changed to be told; 0: no bound */
	bool offline;      /* nothing is ever sent */
	bool writable;     /* what is written is published */
	bool has_mode;     /* ro or rw was among the words */
	bool yank;         /* a release that is removed is yanked */
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
