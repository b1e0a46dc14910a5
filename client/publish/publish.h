/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Publishing: from what a person wants in a record to a record that is proven to be in the registry's log
 * (interop.md sections A 8, B 3, 5, 7, 8 and 11).
 *
 * A record is signed once, journalled, sent, given the contents that the registry lacks, waited for, and proven; then
 * it has a receipt (receipts.h), and neither the journal nor the staging knows it any more. No step is taken before the
 * one before it is on disk, so that whatever dies, here or there, the next run goes on: publish_resume(). A record that
 * may have been sent is never sent again before the registry said that it does not have it; and a publish is only ever
 * signed anew after its record before is known never to be accepted (it was refused, or the log has gone on without
 * it), under an entry that takes the place of the other's. So nothing is published twice, and nothing is lost.
 *
 * All calls block, from any thread, many at once, and each wait has an end. Records of one package take turns, from
 * their signature until the registry has the record and its contents, between processes too; each is signed on top of
 * those that are on their way. Of different packages they do not wait for each other.
 */
#ifndef WARG_CLIENT_PUBLISH_H
#define WARG_CLIENT_PUBLISH_H

#include "client/registry/registry.h"
#include "pending.h"

struct publisher;

/** What a person who publishes takes to be recent: `recent` of publisher_options. */
#define PUBLISH_RECENT 2000 /* milliseconds */

/** How far the uploads are, to be looked at from any thread; of a publisher that publishes one record at a time. */
struct publish_uploads {
	_Atomic uint64_t sent, size;    /* bytes of the present content, 0 before the first */
	_Atomic uint64_t number, count; /* which of the record's contents that is, from 0, and how many there are */
};

/** All borrowed but the numbers. */
struct publisher_options {
	struct registry *registry;     /* that has the package; used for what is proven */
	const char *state_dir, *label; /* of journal, staging and receipts, as trust_open() */
	struct store *home;            /* the home registry's, with the open transaction; NULL: the registry's own */
	/** The key to sign with, asked for when something is to be signed; ecdsa_private_key_free() it. */
	int (*find_key)(void *user, struct ecdsa_private_key **out, struct fault *flt);
	void *user;
	struct publish_uploads *uploads; /* NULL: nobody looks */
	bool auto_init;   /* put an init in front where the package does not exist */
	/*
	 * Milliseconds for which what a round of the registry found is taken to be the newest: a record is signed on
	 * top of that without asking first. What is refused for it, here or there, is tried once more with what is the
	 * newest then. 0: it is always asked for
	 */
	clock_ms recent;
	/* seconds for which the registry is waited for, each time: an answer, its turn, the record's publishing, its
	   proof. Uploads may take longer, as long as they go on (CAP_UPLOAD_RATE) */
	unsigned timeout;
};

/** Open journal, staging and receipts, start a thread for the network. */
int publisher_open(const struct publisher_options *options, struct publisher **out, struct fault *flt);
/**
 * Whoever is in a call comes back with FAULT_CANCELLED, and is waited for; what the journal holds then, the next run
 * goes on with. From any thread. NULL is fine. Before the registry is closed.
 */
void publisher_close(struct publisher *publisher);

/**
 * Whoever is in a call, or makes one from now on, comes back with FAULT_CANCELLED. For who cannot tell who is about to
 * make one: publisher_close() once nobody is. NULL is fine.
 */
void publisher_stop(struct publisher *publisher);

/** When a publish is done. */
enum publish_until {
	PUBLISH_ACCEPTED, /* the registry has the record and its contents; the rest is left to publish_wait() */
	PUBLISH_PROVEN,   /* it is proven to be in the log, and there is a receipt */
};

struct publish_result {
	struct digest record_id;
	bool is_published;       /* the registry says that it is at `registry_index` */
	uint64_t registry_index;
	bool is_proven;          /* in the log of `log_length` records; there is a receipt */
	uint64_t log_length;
	/* seconds by which the record's time was put ahead of the clock here, as the package's last record is from its
	   future; and by which it is later than the checkpoint that proves it. Over a day a clock is wrong, and a
	   person should hear of it: whoever has the right one cannot publish the package before that time by himself */
	int64_t ahead, early;
};

/**
 * Publish: one record with these entries. What can be told beforehand is told before anything is sent.
 *
 * @param what   its `head` is not looked at. From the file, if it `is_stored`: once the registry took the record, the
 *               file goes as well. Its contents lie in the staging or the content cache; the caller has a hold on the
 *               staging (staging.h) until this returns
 * @param out    on success. In part also on failure: `record_id` if there is a record under way, else all zero
 * @return 0; WARG_INVALID if the registry lies; WARG_UNDECIDED with
 *         FAULT_EXISTS: the version, or the package that is to be initialised alone, exists; or a yanked one is yanked
 *         FAULT_ABSENT: the namespace, the package (without auto_init), the version to be yanked, or a staged content
 *         FAULT_DENIED: the key lacks a permission; FAULT_NO_KEY, or whatever find_key() says
 *         FAULT_MISUSE: no package's log can have such a record: nothing in it, a key that is revoked and has it not
 *         FAULT_REFUSED, FAULT_LOGIN: the registry refused or rejected it, with its reason; the contents stay staged
 *         FAULT_TIMEOUT, FAULT_UNREACHABLE, FAULT_CANCELLED: if `record_id` is set it may be published yet, and the
 *         journal has it
 */
int publish_submit(struct publisher *publisher, const struct pending *what, enum publish_until until,
		   struct publish_result *out, struct fault *flt);

/**
 * publish_submit() for somebody who may leave: what is not wanted any more when everything is ready to be sent is given
 * up, with FAULT_CANCELLED, and leaves no record behind. What was sent goes on to its end.
 */
int publish_submit_while(struct publisher *publisher, const struct pending *what, enum publish_until until,
			 bool (*is_wanted)(void *user), void *user, struct publish_result *out, struct fault *flt);

/**
 * Wait until a record is proven, whoever sent it, and keep a receipt. One that the journal has and nobody drives is
 * driven on.
 * @return as publish_submit(); FAULT_ABSENT if neither the journal nor the registry knows it
 */
int publish_wait(struct publisher *publisher, const struct name *name, const struct digest *record_id,
		 struct publish_result *out, struct fault *flt);

/**
 * How it went with a record that was left over.
 * @param what     what it publishes; NULL: it cannot be read
 * @param verdict  0: it is proven; else `flt` says why not
 */
typedef void publish_resumed(void *user, const struct pending *what, const struct publish_result *result, int verdict,
			     const struct fault *flt);

/**
 * Go on with all records that the journal holds and nobody drives, until each is proven. One that the registry never
 * got is sent, or signed anew if the log has grown meanwhile. One whose time is over, or that is in doubt still, stays
 * in the journal; one that is refused, or cannot be valid any more (its version was taken by another, say), leaves it,
 * and is told of.
 * @param told  called for each, one after the other. May be NULL
 * @return 0 if each one is proven, or is driven by somebody else; else the worst verdict, with the first such fault
 */
int publish_resume(struct publisher *publisher, publish_resumed *told, void *user, struct fault *flt);

#endif
