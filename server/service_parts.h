/*
 * What the service is made of, for the files that answer requests. Not for others.
 */
#ifndef WARG_SERVER_SERVICE_PARTS_H
#define WARG_SERVER_SERVICE_PARTS_H

#include <pthread.h>

#include "client/clock.h"
#include "client/workers.h"
#include "committer.h"
#include "content_files.h"
#include "counters.h"
#include "follower.h"
#include "readers.h"
#include "service.h"

/** An upload under way; embed it. */
struct service_upload {
	struct digest record_id;
	struct service_upload *next, **link;
};

struct service {
	struct database *database; /* the committer's */
	struct readers *readers;
	struct content_files *contents;
	const struct ecdsa_private_key *key;
	const struct authorized_keys *authorized;
	struct committer *committer; /* NULL: a mirror */
	struct http *http;           /* to the origin; NULL: there is none */
	struct http_url origin;
	struct follower *follower;   /* NULL: no mirror */
	struct fault unseen;         /* the follower's: why the origin was not seen, the last time; 0: it was */
	struct workers *workers; /* for what waits for the disk */
	struct digest token;     /* its hash */
	bool has_token;
	char *base_url;          /* NULL: as each asks */
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

/** Note an upload, and that it is over. */
void service_upload_begin(struct service *service, struct service_upload *upload, const struct digest *record_id);
void service_upload_end(struct service *service, struct service_upload *upload);

/** Whether a token is the one that is wanted. Takes as long whatever it is. */
bool service_is_token(const struct service *service, struct span token);

#endif
