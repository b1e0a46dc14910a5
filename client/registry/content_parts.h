/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What content.c, content_task.c, content_exchange.c, content_download.c, content_write.c and content_sizes.c
 * share. Not for others.
 *
 * A task is one digest being fetched, or its size being found out. It waits in its gate's queue for its turn, begins,
 * and goes from step to step on the event loop and the workers until it is completed. It belongs to whoever runs the
 * current step.
 */
#ifndef WARG_CLIENT_CONTENT_PARTS_H
#define WARG_CLIENT_CONTENT_PARTS_H

#include <sys/stat.h>

#include "client/base/digest_hash.h"
#include "content.h"

enum content_kind { CONTENT_FETCH, CONTENT_SIZE, CONTENT_KINDS };

struct content_task {
	struct content *content;
	struct content_entry *entry;           /* stays as long as the task is its task */
	enum content_kind kind;
	struct digest digest;
	struct completion completion;
	struct fault fault;                    /* what has gone wrong so far; in the end, why it failed */
	struct http_exchange exchange;         /* the one under way, or the last */
	struct buf url;                        /* of the call for the sources */
	struct api_sources sources;
	size_t at;                             /* the source that is tried */
	clock_ms until;                        /* given up then: twice the time-out after the last progress */
	void (*told_sources)(struct content_task *task, int verdict);

	/* Under the content's mutex. */
	unsigned references;
	bool exchanging;                       /* `exchange` is under way */
	bool finished;
	struct content_queue *queue;           /* NULL: has begun */
	struct content_task *next, *previous;  /* in it */
};

/* Begin: called when it is the task's turn, by any thread. */
void content_begin_fetch(struct content_task *task);
void content_begin_size(struct content_task *task);
/* A task of this kind, zeroed; NULL without memory. */
struct content_task *content_new_fetch(void);

/** Ask the registry where the content can be had. Then `told` is called: with 0, or with the task's fault set. */
void content_ask_sources(struct content_task *task, void (*told)(struct content_task *task, int verdict));

/** Start the task's exchange, whose request half is filled in, at the current source. */
void content_start_exchange(struct content_task *task);

/** To be called first by every `done`: takes the answer. @param wanted  the status that is hoped for, beside 206 */
int content_end_exchange(struct content_task *task, struct fault *flt);

/** Keep a fault for the case that the task fails. A lie says more than anything else. */
void content_note(struct content_task *task, const struct fault *flt);

/** The task is over, well if `verdict` is 0, else with its own fault. The task's memory is gone then. */
void content_complete(struct content_task *task, int verdict);

/** What is open at `fd` now. */
int content_look(int fd, struct content_facts *out, struct fault *flt);
/** Whether both are of one file that was not touched in between. */
bool content_facts_equal(const struct content_facts *a, const struct content_facts *b);

/**
 * The file with these facts, open at `fd`, has the digest: content_find() may hand it out. Steals `fd`. Until
 * content_let_go() this thread finds that very file: who is told here that it came gets it, also where somebody has
 * cleared the cache meanwhile.
 */
void content_accept_take(struct content_task *task, int fd, const struct content_facts *facts);
/** Those who waited for a content were told. */
void content_let_go(struct content *content, const struct digest *digest);

/** Hash a file of that size. @return 0; WARG_UNDECIDED: EIO if the file is shorter than that */
int content_hash_file(struct content *content, int fd, uint64_t size, struct digest *out, struct fault *flt);

/**
 * Writes a content into an empty file and hashes it, on the workers: whoever receives it, the event loop, waits for
 * neither. What is held in memory is bounded, for all contents together.
 */
struct content_writer {
	struct content *content;
	int fd;

	/* Of whoever gives the bytes. */
	uint64_t received;
	struct content_block *filling;

	/* Of the job that is under way. */
	struct job job;
	uint64_t done;               /* so many bytes are written and hashed, */
	struct digest_stream stream; /* by this */
	uint64_t syncing;            /* and the disk was told to begin with so many */

	/* Under the content's mutex. */
	struct content_block *first, *last; /* not yet written. What lies in no block lies in the file */
	uint64_t told;               /* what the jobs know of */
	bool busy;                   /* a job is under way */
	void (*ended)(struct content_writer *writer);
	struct fault fault;          /* of the disk: then no more is done */
};

/** Begin anew; nothing is under way. */
void content_writer_init(struct content_writer *writer, struct content *content, int fd);
/** Take what comes next. @return 0, or why it, or something before it, could not be written */
int content_writer_put(struct content_writer *writer, struct span piece, struct fault *flt);
/**
 * Call `ended`, on a worker, when all is written and hashed, or cannot be, which `fault` says then. Nothing is under
 * way: it may give up the writer, or more may be put.
 */
void content_writer_end(struct content_writer *writer, void (*ended)(struct content_writer *writer));
/** Give up the memory, when nobody writes. The mutex is held. */
void content_free_blocks(struct content *content);

/** Whether content_free() waits for us. */
bool content_is_closing(struct content *content);
/** Where the contents lie. */
struct store *content_store(struct content *content);

struct content_counters_kept {
	atomic_uint_fast64_t running, done, failed, received, hits;
};

struct content_queue {
	struct content_task *first, *last;
	size_t count;
};

/** How many tasks of a kind are under way at once, and those that wait for their turn. */
struct content_gate {
	unsigned running, most;
	bool letting_in;             /* somebody is at it */
	struct content_queue wanted; /* somebody waits for these */
	struct content_queue ahead;
};

/** A digest that has verified, or that somebody is busy with. */
struct content_entry {
	struct content_entry *next; /* in its bucket */
	struct digest digest;
	bool verified;
	struct content_facts facts;
	struct content_file *fresh; /* it has just come, and those who wait are being told; else NULL. A reference */
	pthread_t notifying_thread; /* by whom */
	struct content_task *tasks[CONTENT_KINDS];
};

#define CONTENT_BUCKETS 1024u /* a power of two */

struct content {
	struct content_options options;
	struct digest_hash hash;
	struct content_counters_kept counters;

	pthread_mutex_t mutex; /* guards all below. The event loop's own lock may be taken inside it */
	pthread_cond_t gone;   /* the last task is gone */
	bool closing;
	size_t tasks;          /* that exist */
	struct content_gate gates[CONTENT_KINDS];
	struct content_entry *buckets[CONTENT_BUCKETS];
	size_t verified;       /* entries that are */
	unsigned hand;         /* the bucket where room is looked for next */
	struct content_block *spare_blocks;
	unsigned blocks;       /* that exist */
};

/* ---- content.c: entries. The mutex is held ---- */

/** The digest's entry, found or made; NULL without memory. */
struct content_entry *content_entry_add(struct content *content, const struct digest *digest);
/** Take an entry away if it says nothing any more. */
void content_entry_drop(struct content *content, struct content_entry *entry);

/* ---- content_task.c ---- */

/** Join the task for this digest, or start it. */
void content_join(struct content *content, enum content_kind kind, const struct digest *digest,
		  struct waiter *waiter);
/** A verdict for one waiter, by the same rules as if there had been work. */
void content_tell(struct content *content, struct waiter *waiter, const struct fault *flt);
/** Put a question for a size behind those that others wait for, unless too many are there. */
void content_queue_ahead(struct content *content, const struct digest *digest);
/** Let those begin whose turn it is. */
void content_let_in(struct content *content, enum content_kind kind);
/** Cancel all tasks, take no more, and wait until the last one is gone. */
void content_end_tasks(struct content *content);

#endif
