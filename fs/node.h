/*
 * Nodes: the places that the kernel knows by number, or that a request works on.
 *
 * A table holds them; a node lives while the kernel remembers lookups of it or somebody holds a reference. A place has
 * one, but a document: it has one for each text of it that somebody still has open.
 */
#ifndef WARGFS_FS_NODE_H
#define WARGFS_FS_NODE_H

#include "inode.h"
#include "verify/buf.h"

#include <stdatomic.h>

struct node {
	uint64_t number;
	struct digest content; /* of a place that has a digest (path_has_digest()); else zero */
	struct staged *staged; /* of a file that was written here; else NULL */

	/** Of a release: whether `size` is known, counted from verified bytes. Then it never changes. */
	atomic_bool verified;
	_Atomic uint64_t size;
	/** How often the kernel was told a size that was not counted, and the last one that was claimed; 0: none. */
	atomic_uint guesses;
	_Atomic uint64_t claimed;
	/** Of a document: somebody asked for its text. Who looks the place up from then on gets another node. */
	atomic_bool asked;
	/** Of a package: it was listed since sizes were last asked for ahead. */
	atomic_bool listed;

	/* The table's own. */
	struct node *next;
	uint64_t lookups;
	unsigned references;
	char *error;
	_Atomic(struct buf *) document;

	enum path_kind kind;
	char text[]; /* the path's */
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
struct node *nodes_enter_staged(struct nodes *nodes, const struct path *path, const struct digest *identity,
				struct staged *staged);

/** The kernel is about to learn of a node once more; or it forgot it `count` times. */
void nodes_look_up(struct nodes *nodes, struct node *node);
void nodes_forget(struct nodes *nodes, uint64_t number, uint64_t count);

/** One reference more. */
void nodes_ref(struct nodes *nodes, struct node *node);
/** NULL is fine. */
void nodes_unref(struct nodes *nodes, struct node *node);

/** The number that a place is shown with: its node's; of a document always the same. */
uint64_t nodes_number(struct nodes *nodes, const struct path *path, const struct digest *content);

/** Where a node is. */
struct path node_path(const struct node *node);

/** What went wrong here last; NULL: nothing any more. The text is copied; without memory nothing is remembered. */
void nodes_set_error(struct nodes *nodes, struct node *node, const char *sentence);
/** @return whether there is an error */
bool nodes_error(struct nodes *nodes, struct node *node, char out[static FAULT_SENTENCE_SIZE]);

/** The text of a document; NULL: it was not made yet. Lives as long as the node, and never changes. */
const struct buf *node_document(const struct node *node);
/** Set it, unless somebody was faster. Steals it. @return the node's text; NULL without memory */
const struct buf *node_set_document(struct node *node, struct buf *text);

#endif
