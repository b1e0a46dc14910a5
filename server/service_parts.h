/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the service is made of, for the files that answer requests. Not for others.
 */
#ifndef WARG_SERVER_SERVICE_PARTS_H
#define WARG_SERVER_SERVICE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "client/base/clock.h"
#include "client/base/workers.h"
#include "collector.h"
#include "write_thread.h"
#include "content_files.h"
#include "counters.h"
#include "mirror.h"
#include "readers.h"
#include "service.h"

/** An upload under way; embed it. */
struct service_upload {
	struct digest record_id;
	clock_ms begun;
	_Atomic uint64_t received;
	_Atomic bool is_whole; /* complete, and being written to disk */
	struct service_upload *next, **link;
};

struct service {
	struct database *database; /* the write thread's */
	struct readers *readers;
	struct content_files *contents;
	const struct ecdsa_private_key *key;
	pthread_rwlock_t access; /* guards the members below, which service_set_access() replaces */
	const struct authorized_keys *authorized; /* NULL: any key that the package's log permits */
	struct digest token;                      /* its hash */
	bool has_token;
	struct write_thread *writer; /* NULL: a mirror */
	struct collector *collector; /* as in the write thread */
	struct write_thread_job mending;
	atomic_flag has_met_damage;
	struct http *http;           /* to the origin; NULL: there is none */
	struct http_url origin;
	struct mirror *mirror; /* NULL: no mirror */
	struct fault unseen; /* the mirror's: why the origin was not seen, the last time; 0: it was */
	struct workers *workers; /* for what waits for the disk */
	bool is_closed;          /* the operator's log is damaged: publishes are refused */
	bool is_unchecked; /* the write thread checks the log before it decides on anything */
	_Atomic uint64_t gaps;   /* number of lost records: there is no ledger if it is not 0 */
	char *public_url;        /* as in service_options */
	char *content_url;       /* likewise; never NULL if public_url is not */
	struct counters counters;
	void (*failed)(void *user, const struct fault *flt);
	void *user;

	pthread_mutex_t mutex; /* for what follows */
	struct operator_log *operator;       /* grows where there is an origin */
	struct signed_checkpoint checkpoint; /* the newest */
	clock_ms signed_at;
	clock_ms seen_at;                    /* when the origin was seen to be well; 0: not yet */
	struct service_upload *uploads;
};

/**
 * The newest checkpoint, signed not long ago: one that got old is signed anew, so that clients see that the registry
 * lives.
 */
int service_checkpoint(struct service *service, struct signed_checkpoint *out, struct fault *flt);

/** Of a mirror: seconds since its origin was seen to be well; since the machine started if it was not yet. */
uint64_t service_origin_age(struct service *service);

/** Report damage met in the database: the write thread then checks and repairs it. From any thread; does not block. */
void service_mend(struct service *service);

/** Note an upload, and that it is over. */
void service_upload_begin(struct service *service, struct service_upload *upload, const struct digest *record_id);
void service_upload_end(struct service *service, struct service_upload *upload);
/** Note that more of an upload has arrived; that it is complete. */
void service_upload_progress(struct service_upload *upload, uint64_t bytes);
void service_upload_arrived(struct service_upload *upload);

/** Whether a token permits publishing; always true if the server demands none. Compares in constant time. */
bool service_lets_in(struct service *service, struct span token);

/** Whether a record's signer is authorized for its entries. As authorized_keys_check(). */
int service_check_policy(struct service *service, const struct name *name, const struct digest *key_id,
			 const struct record *record, struct fault *flt);

#endif
