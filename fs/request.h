/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Requests that may have to wait for the registry.
 *
 * A request is attempted at once on the FUSE thread. An attempt either finishes the request, or wants something of the
 * registry and returns; once the registry has it, the attempt is made again on the thread that completed it. Nothing is
 * wanted twice, so that attempts come to an end. Whoever waits can be interrupted, and has one deadline for all that it
 * wants, but for contents: those end by themselves when they make no progress.
 *
 * Interrupts: libfuse calls the interrupt function holding the request's lock. request_finish() takes that lock once
 * more, through fuse_req_interrupt_func(), before the request is freed: from there on no interrupt function runs or
 * will.
 */
#ifndef WARGFS_FS_REQUEST_H
#define WARGFS_FS_REQUEST_H

#include "blocking_job.h"
#include "mount_parts.h"

/** What a request has wanted already. */
enum request_want {
	REQUEST_LISTING = 1 << 0,
	REQUEST_PACKAGE = 1 << 1,
	REQUEST_SIZE = 1 << 2,
	REQUEST_CONTENT = 1 << 3,
	REQUEST_REFRESH = 1 << 4,
	REQUEST_PROOF = 1 << 5,
	REQUEST_REGISTRY = 1 << 6,
	REQUEST_PERMIT = 1 << 7, /* blocking jobs: whether something may be done, */
	REQUEST_DEED = 1 << 8, /* and that it is */
};

struct request {
	struct waiter waiter; /* first, so that one is found from the other */
	fuse_req_t fuse;
	struct mount *mount;
	struct registry *registry; /* the place's; the home registry stands in for one that is not needed */
	struct node *node; /* one reference */
	/** Finishes the request or wants something. */
	void (*attempt)(struct request *request);
	unsigned wanted;    /* a set of enum request_want */
	struct fault fault; /* of what was wanted last; verdict 0: it is there now */
	bool can_be_interrupted;
	bool needs_registry; /* also of a namespace: that it is there is not enough */
	bool is_elsewhere;   /* the place's namespace lives in another registry */
	bool is_to_be_read; /* attributes are asked for by somebody who is about to read */
	bool lacks_time; /* the node's time is unknown, and cannot be fetched now (times.h) */
	bool is_fresh; /* it was told that what may have changed may be told (max_age.h) */

	/* What the operations need. */
	struct fuse_file_info file;
	unsigned guesses; /* the node's, when the request came */
	size_t size; /* of what is read, */
	off_t offset;
	struct path path; /* what is asked about: the node itself, or for a lookup the child */
	struct path from; /* what is to be renamed to that */
	unsigned flags;   /* of a rename */
	mode_t mode;      /* of what is made */
	char target[NAME_MAX + 1]; /* of a link that is made; "": one that cannot be */
	struct stat attributes; /* to be set: */
	int to_set;             /* those named here */
	struct node *other;     /* a reference; NULL: none */
	struct blocking_job *blocking_job; /* a reference; NULL: none */
};

/**
 * Begin a request on the node with this number, and attempt it; replies itself when that cannot be.
 * @param request  its `path` is that of a child, or else the root: then it becomes the node's own
 */
void request_begin(fuse_req_t fuse, uint64_t number, const struct request *request);

/**
 * The same for something in the folder with this number.
 * @param errnum  replied when no such name can be there at all; the reason is told at the folder, but for ENOENT
 */
void request_begin_in(fuse_req_t fuse, uint64_t folder, const char *name, int errnum, const struct request *request);

/**
 * Want something, once what was wanted before is completed. The request must not be touched afterwards.
 * If it was wanted already the request fails: with the fault of that, or EIO.
 */
void request_want_listing(struct request *request);
void request_want_package(struct request *request, const struct name *name);
/** Packages, or without any the listing, as registry_want_spare(). @param want  REQUEST_PACKAGE or REQUEST_LISTING */
void request_want_spare(struct request *request, enum request_want want, const struct name *names, size_t count);
void request_want_size(struct request *request, const struct digest *content);
void request_want_content(struct request *request, const struct digest *content);
void request_want_refresh(struct request *request);
void request_want_proof(struct request *request, const struct name *name, const char *version);

/**
 * The same for a blocking job; a blocking job that nobody waits for any more goes on or gives up as it likes.
 * @param want   REQUEST_PERMIT or REQUEST_DEED
 * @param blocking job  its reference is taken over; NULL: there was no memory for it
 */
void request_want_chore(struct request *request, enum request_want want, struct blocking_job *blocking_job);

/** The same for a blocking job that was begun; as blocking_job_join(). A reference is taken. */
void request_join_chore(struct request *request, enum request_want want, struct blocking_job *blocking_job);

/** Whether this was wanted before. */
bool request_has_wanted(const struct request *request, enum request_want want);

/**
 * Reply with an entry, and free the request.
 * @param node     its reference is taken over; NULL: there was no memory for it
 * @param timeout  seconds that the kernel may keep the name for
 */
void request_reply_entry(struct request *request, struct node *node, double timeout);
/** Reply that it was done, and free the request. */
void request_succeed(struct request *request);

/** No interrupt comes any more: call it before replying. */
void request_settle(struct request *request);
/** Free a request that was settled and replied to. */
void request_free(struct request *request);

/** Reply with an errno, or with the errno of a fault, which is logged; settle and free. */
void request_fail(struct request *request, int errnum);
void request_fail_with(struct request *request, const struct fault *flt);

#endif
