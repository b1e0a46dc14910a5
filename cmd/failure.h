/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * How a command tells that it failed, and what else a person should know: the exit statuses, and the sentence or, with
 * --json, the object on stderr.
 *
 * wargfs(1) documents both; scripts depend on them.
 */
#ifndef WARGFS_CMD_FAILURE_H
#define WARGFS_CMD_FAILURE_H

#include "verify/fault.h"

#include <stdbool.h>

/** What a command ends with. 0 to 3 are the oldest; the rest are kinds of what was STATUS_FAILED once. */
enum failure_status {
	STATUS_DONE = 0,
	STATUS_FAILED = 1,      /* a local fault, or of several kinds */
	STATUS_MISUSE = 2,      /* the command line or the configuration */
	STATUS_UNVERIFIED = 3,  /* what the registry or a content source sent did not verify */
	STATUS_ABSENT = 4,      /* the registry, or what is stored, does not have it */
	STATUS_REFUSED = 5,     /* the registry or a rule forbids it, or it is there already */
	STATUS_UNREACHABLE = 6, /* no connection, no answer in time, or the server cannot serve now */
	STATUS_LOGIN = 7,       /* no key to sign with, or no login */
};

/** The exit status for a fault. */
int failure_status_of(const struct fault *flt);

/** The exit status for two parts of one command: 3 if one is 3, the common one, or else STATUS_FAILED. */
int failure_join(int a, int b);

/** Whether failures are told as JSON from now on. Call it before threads are started. */
void failure_set_json(bool as_json);

/** Whether they are. */
bool failure_is_json(void);

/**
 * Tell of a fault on stderr: "wargfs COMMAND: SENTENCE", or one line of JSON.
 * @param command  "" outside of any command
 * @return what to end with
 */
int failure_tell(const char *command, const struct fault *flt);

/** What a note is about, in one word, for programs. */
#define NOTE_FIRST_CONTACT "first_contact" /* a registry's operator was pinned */
#define NOTE_WARNING "warning"             /* something should be looked into */
#define NOTE_STATE "state"                 /* how something stands that the command left as it is */

/**
 * Tell on stderr of what is no failure: "wargfs COMMAND: SENTENCE", or one line of JSON.
 * @param command  "" for what is not of this command alone
 * @param kind     one of NOTE_
 * @param subject  the registry, package or file that it is about; NULL: none
 */
void failure_note(const char *command, const char *kind, const char *subject, const char *sentence, ...)
	__attribute__((format(printf, 4, 5)));

#endif
