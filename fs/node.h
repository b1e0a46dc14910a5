/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Nodes: the places that the kernel knows by number, or that a request works on.
 *
 * A table holds them; a node lives while the kernel remembers lookups of it or somebody holds a reference. A place has
 * one, but for a document, which has one for each text of it that somebody still has open, and a folder that was
 * removed and made again, which may still have the removed one (nodes_retire()).
 */
#ifndef WARGFS_FS_NODE_H
#define WARGFS_FS_NODE_H

#include "client/base/clock.h"
#include "inode.h"
#include "verify/buf.h"

#include <stdatomic.h>

/** One may be kept for each name that the kernel knows: what no place needs at the same time lies in one spot. */
struct node {
	uint64_t number;
	uint64_t shown; /* st_ino: the number of the first node of the place */
	struct draft *draft; /* of a file that was written here; else NULL */
	union {
		/** Of a release: the size, if it is `verified`. Then it never changes. */
		_Atomic uint64_t size;
		/** Of a place that path_has_text(): node_document(). */
		_Atomic(struct buf *) document;
		/** Of a namespace: where in the listing the packages end that the last request fetched. */
		_Atomic size_t ahead_from;
	};
	union {
		/** Of a file: the last size that the kernel was told and that was not counted; 0: none. */
		_Atomic uint64_t claimed;
		/** Of a namespace: when the last request fetched packages. */
		_Atomic clock_ms ahead_at;
	};
	union {
		/** Of a file: how often the kernel was told a size that was not counted. */
		atomic_uint guesses;
		/** Of a namespace: how many packages the last request fetched. */
		atomic_uint ahead;
	};
	/** The log length at which fetching this node's time failed; 0: it did not. */
	_Atomic uint32_t vain;

	/* The table's own. */
	struct node *next;
	uint64_t lookups;
	struct node_error *error; /* NULL: none */
	unsigned references;

	/** Of a release: whether `size` is known, counted from verified bytes. */
	atomic_bool verified;
	/** Of a document: somebody asked for its text. Who looks the place up from then on gets another node. */
	atomic_bool asked;
	/** The kernel takes its inode for removed (nodes_retire()). */
	atomic_bool retired;
	/** Of a package: it was listed since sizes were last asked for ahead. Of a namespace: it was listed. */
	atomic_bool listed;

	unsigned char kind; /* enum path_kind */
	char text[];        /* the path's; behind it the digest, of a place that has one */
};

struct nodes;

/** @param key  see inode.h */
int nodes_new(const struct digest *key, struct nodes **out, struct fault *flt);
/** Nobody may hold a reference any more; lookups that were not forgotten do not matter. NULL is fine. */
void nodes_free(struct nodes *nodes);

/** The node with a number that the kernel named, with a reference; NULL if there is none. */
struct node *nodes_find(struct nodes *nodes, uint64_t number);

/** The node of a place with a reference, if the kernel knows it; else NULL. @param content  as inode_number() */
struct node *nodes_find_path(struct nodes *nodes, const struct path *path, const struct digest *content);

/** Whether the kernel knows a place that stands for the package: it does if it knows one in it. */
bool nodes_have_package(struct nodes *nodes, const struct name *package);

/**
 * The nodes of a kind that the kernel knows, each with a reference.
 * @param out  free() it; NULL if there are none, or without memory
 */
size_t nodes_collect(struct nodes *nodes, enum path_kind kind, struct node ***out);

/** The node of a place with a reference, made where missing. @return NULL without memory */
struct node *nodes_enter(struct nodes *nodes, const struct path *path, const struct digest *content);

/**
 * The node of a file that was written here, as nodes_enter(). Its `text` is the path by which it became known: where it
 * is now is known to `staged`.
 * @param staged  stolen, also without memory; freed if the node is there already
 */
struct node *nodes_enter_draft(struct nodes *nodes, const struct path *path, const struct digest *identity,
			       struct draft *draft);

/**
 * The kernel is about to mark the inode of a folder as removed, for good: after rmdir(), and after another folder was
 * renamed to its name. It finds nothing in such an inode any more. The next lookup gets another node, and thereby
 * another inode; it has the same st_ino. A place without a node is fine.
 */
void nodes_retire(struct nodes *nodes, const struct path *folder);

/** The kernel is about to learn of a node once more; or it forgot it `count` times. */
void nodes_look_up(struct nodes *nodes, struct node *node);
void nodes_forget(struct nodes *nodes, uint64_t number, uint64_t count);

/** One reference more. */
void nodes_ref(struct nodes *nodes, struct node *node);
/** NULL is fine. */
void nodes_unref(struct nodes *nodes, struct node *node);

/** The number that a place is shown with (st_ino), however many nodes it has. */
uint64_t nodes_number(struct nodes *nodes, const struct path *path, const struct digest *content);

/** Where a node is. */
struct path node_path(const struct node *node);

/** The digest of a place that has one (path_has_digest()); else zero. */
const struct digest *node_content(const struct node *node);

/**
 * Set the last error of a node and of the folders above it, up to the root. NULL: clear it, and in the folders above if
 * they still have the same error. Copies the text; without memory it is dropped.
 */
void nodes_set_error(struct nodes *nodes, struct node *node, const char *sentence);
/** Clear the last error after a success, even if it came from a node below this one. */
void nodes_clear_error(struct nodes *nodes, struct node *node);
/** @return whether there is an error */
bool nodes_error(struct nodes *nodes, struct node *node, char out[static FAULT_SENTENCE_SIZE]);

/** The text of a document; NULL: it was not made yet. Lives as long as the node, and never changes. */
const struct buf *node_document(const struct node *node);
/** Set it, unless somebody was faster. Steals it. @return the node's text; NULL without memory */
const struct buf *node_set_document(struct node *node, struct buf *text);

#endif
