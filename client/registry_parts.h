/*
 * What registry.c and registry_round.c share. Not for others.
 */
#ifndef WARG_CLIENT_REGISTRY_PARTS_H
#define WARG_CLIENT_REGISTRY_PARTS_H

#include "registry.h"
#include "sync.h"

enum want_kind { WANT_REFRESH, WANT_LISTING, WANT_PACKAGE };

/** Something that is wanted of the updater's next round. */
struct want {
	enum want_kind kind;
	struct name name;    /* of WANT_PACKAGE */
	struct flight flight;
	struct fault fault;  /* how it went; verdict 0: well */
	struct want *next;
};

struct registry {
	struct registry_options options; /* texts are copies below */
	char *token;
	struct http *http;
	struct airport *airport;
	struct workers *workers;
	struct store *store;
	struct content *content;
	struct api api;
	pthread_t updater;
	bool is_running;

	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t stirred; /* a want came, or the end */
	bool closing;
	struct want *wants, **last_want;
	struct view *view;
	struct fault last_fault;

	/* The updater's own. */
	struct view *start;  /* what lay in the store, to grow from at first contact; NULL: nothing, or used up */
	struct view *saved;  /* the view that is on disk; NULL: none yet */
	clock_ms refresh_at; /* when to look for a new checkpoint */
};

/** One round: do what `wants` want, and refresh if it is time. Fills in their faults; lands nothing. */
void registry_round(struct registry *registry, struct want *wants);

/** Swap the next view in and tell `changed`. Steals `next`. */
void registry_swap_take(struct registry *registry, struct view *next);

/** Remember a fault as the last one; `flt` may hold none: then all is well. */
void registry_note(struct registry *registry, const struct fault *flt);

#endif
