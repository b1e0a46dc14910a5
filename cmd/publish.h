/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the publish commands have in common: the registry with its open transaction, the staging, the engine, and the
 * words for what becomes of an entry.
 */
#ifndef WARGFS_CMD_PUBLISH_H
#define WARGFS_CMD_PUBLISH_H

#include "client/publish/publish.h"
#include "client/publish/staging.h"
#include "output.h"
#include "session.h"

extern const struct command publish_init_command, publish_release_command, publish_yank_command, publish_grant_command,
	publish_revoke_command, publish_start_command, publish_list_command, publish_abort_command,
	publish_submit_command, publish_wait_command;

/** A record that was left under way, and was brought to its proof by this command. */
struct publishing_resumed {
	struct pending what;
	struct publish_result result;
};

/** Begin with publishing_init(); release it whatever became of it. */
struct publishing {
	const struct command *command;
	const struct options *options;
	struct session session;
	struct store *store;         /* of the home registry, whose folder has the open transaction; borrowed */
	struct staging *staging;     /* of the home registry */
	struct staging *elsewhere;   /* of the registry that the package lives in, if that is another; else NULL */
	struct staging_hold hold, hold_elsewhere;
	struct registry *registry;   /* that the package lives in; NULL before publishing_choose() */
	struct publisher *publisher; /* on it */
	const char *keyed_as;        /* which registry's key signs: as typed, or a domain; NULL: the home registry's */
	struct publish_uploads uploads;
	const char *name;            /* of the package that is published, for the line at the terminal */
	struct publishing_resumed *resumed;
	size_t resumed_count;
	bool is_published;           /* something is in the log now that mounts do not show as yet */
	struct pending pending;      /* the open transaction, while `is_open` */
	bool is_open;
};

/** Nothing is opened yet. */
void publishing_init(struct publishing *publishing, const struct command *command, const struct options *options);
/** Find the registry, and open its staging. Only discovery needs the network, and does without where it was there. */
int publishing_open(struct publishing *publishing, struct fault *flt);
/** Sweeps the staging on the way out. */
void publishing_release(struct publishing *publishing);

/** Read the open transaction anew. */
int publishing_look(struct publishing *publishing, struct fault *flt);

/**
 * If records were left in doubt in the home registry and nobody drives them: go on with them, and tell of each on
 * stderr. One that fails is told of, and stands in nobody's way.
 */
void publishing_resume(struct publishing *publishing);
/** Choose the registry that a package lives in, and open the engine on it; what is in doubt there is gone on with. */
int publishing_choose(struct publishing *publishing, const struct name *name, struct fault *flt);

/** Tell on stderr that records were left under way, if there are any, for commands that do not go on with them. */
void publishing_tell_journal(struct publishing *publishing);

/** Have contents safe from a sweep until the end. */
int publishing_hold(struct publishing *publishing, struct fault *flt);

/**
 * Publish, and print what came of it. What was left under way, and was just gone on with, is not published again: who
 * tries once more means that one.
 * @param waits  until it is proven; else until the registry has taken it
 * @return what to end with
 */
int publishing_submit(struct publishing *publishing, const struct pending *what, bool waits, struct fault *flt);

/** The result of a publish, or of the wait for one, as JSON. */
struct json *publishing_new_result(const struct publishing *publishing, const struct pending *what,
				   const struct publish_result *result);

/** Print where the receipt of a record lies that is proven. */
void publishing_print_receipt(const struct publishing *publishing, const struct name *name,
			      const struct publish_result *result);

/**
 * Run a command whose only option of its own is --no-wait, if that.
 * @param work  called once all is open; sets `*status`, which is STATUS_DONE, or fails
 */
typedef int publishing_worker(struct publishing *publishing, bool waits, int *status, struct fault *flt);
int publishing_run(const struct command *command, publishing_worker *work, int argc, char **argv);

/** A set of permissions as the reference writes it: "release,yank". */
void publish_permissions(unsigned set, char out[static 32]);

/** The ways to speak of an entry, each in the reference's words. */
enum publish_words { PUBLISH_WORDS_LISTED, PUBLISH_WORDS_ADDED, PUBLISH_WORDS_DONE };
void publish_print_entry(enum publish_words words, const struct name *name, const struct pending_entry *entry);

/** The entries as JSON, each as in the file. */
struct json *publish_new_entries(const struct pending *pending);

/** Parse a package name given with an option; one that was not given is misuse as well. */
int publish_read_name(const char *text, struct name *out, struct fault *flt);

#endif
