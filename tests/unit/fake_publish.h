/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The other half of the registry in memory (fake_registry.h): it takes records and contents, and says where they stand,
 * honestly until it is told to lie.
 *
 * Honest is: a record that its log allows is published once its contents are there, under a checkpoint that is signed
 * at once; one that its log does not allow is rejected. A record that comes twice is what breaks the reference: the
 * connection is closed, and it is counted.
 */
#ifndef WARG_TESTS_FAKE_PUBLISH_H
#define WARG_TESTS_FAKE_PUBLISH_H

#include "fake_registry.h"

enum fake_publish_lie {
	PUBLISH_HONEST,
	/* The answer to a record, which is lost or no answer. */
	PUBLISH_LOST,              /* taken, and the connection closed */
	PUBLISH_LOST_BEFORE,       /* the connection closed, and not taken */
	PUBLISH_FAILS,             /* taken, and 500 */
	PUBLISH_FAILS_BEFORE,      /* 500, and not taken */
	PUBLISH_GARBAGE,           /* taken, and HTML */
	PUBLISH_HANGS,             /* taken, and nothing until the server is released */
	PUBLISH_REDIRECTS,         /* taken, and 303 to its state */
	/* Refusals. */
	PUBLISH_REFUSES,           /* 422, with a message that is not printable */
	PUBLISH_LOGIN,             /* 401 */
	PUBLISH_NO_NAMESPACE,      /* 404 */
	PUBLISH_IMPORTED,          /* 409 */
	PUBLISH_BUSY,              /* 503, with Retry-After */
	PUBLISH_CONFLICTS,         /* 409 of a record that nobody knows, for ever */
	PUBLISH_CONFLICTS_SELF,    /* taken, and 409 of the record itself */
	PUBLISH_REJECTS,           /* taken, and rejected with a reason that is not printable */
	PUBLISH_REJECTS_AND_DOES,  /* published, and said to be rejected */
	/* The state of a record. */
	PUBLISH_OTHER_RECORD,      /* of another record */
	PUBLISH_NO_STATE,          /* one that there is not */
	PUBLISH_SAYS_PUBLISHED,    /* published, which it is not, at an index that is the operator's */
	PUBLISH_SAYS_LATER,        /* published, which it is not, at an index behind the end */
	PUBLISH_OTHER_INDEX,       /* it is published, but at another index than said */
	PUBLISH_FORGETS,           /* taken, and from then on not known: 404 */
	PUBLISH_PROCESSES,         /* processing, for ever */
	/* Uploads. */
	PUBLISH_WANTS_OTHER,       /* a content that is not the record's */
	PUBLISH_WANTS_ELSEWHERE,   /* at another server: fake_publish_elsewhere() */
	PUBLISH_WANTS_HEADERS,     /* with a header that no upload has */
	PUBLISH_WANTS_FOR_EVER,    /* what was uploaded is missing still */
	PUBLISH_UPLOAD_REFUSED,    /* 400 */
	PUBLISH_UPLOAD_LOST,       /* taken, and the connection closed */
	PUBLISH_UPLOAD_FAILS,      /* 500, and not taken */
	PUBLISH_UPLOAD_REDIRECTS,  /* 307 to elsewhere */
	PUBLISH_LIES,              /* how many there are */
};

struct fake_publish;

/** Have a registry take records. Free it after the registry. */
struct fake_publish *fake_publish_new(struct fake_registry *fake);
/** NULL is fine. */
void fake_publish_free(struct fake_publish *publish);

/**
 * Tell this lie from now on.
 * @param times  so many times, and be honest from then on; 0: for ever
 */
void fake_publish_lie(struct fake_publish *publish, enum fake_publish_lie lie, unsigned times);
/** An URL on another server, with '/' at its end; borrowed. */
void fake_publish_elsewhere(struct fake_publish *publish, const char *url);
/** Be asked so many times after a record that has all contents before it is published. */
void fake_publish_delay(struct fake_publish *publish, unsigned polls);

/** Say of records that wait for their contents that they are processed, to who asks: as the reference does. */
void fake_publish_hide_missing(struct fake_publish *publish);
/** Have something done each time that a record comes, before it is looked at. NULL: nothing */
void fake_publish_meanwhile(struct fake_publish *publish, void (*meanwhile)(void *user), void *user);
/** Tell a lie about what is in the log (fake_registry.h) from when the next record is published. */
void fake_publish_then_lie(struct fake_publish *publish, enum fake_lie lie, const char *victim);

/** What came so far. */
struct fake_publish_counts {
	unsigned posts;     /* of records */
	unsigned repeated;  /* of those, records that had been taken already */
	unsigned polls;     /* records asked after */
	unsigned uploads;
	unsigned published; /* records */
};
struct fake_publish_counts fake_publish_counts(struct fake_publish *publish);

#endif
