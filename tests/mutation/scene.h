/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * An honest registry before a mutator, and a client of it: what it believes is compared with the truth.
 */
#ifndef WARG_TESTS_MUTATION_SCENE_H
#define WARG_TESTS_MUTATION_SCENE_H

#include "mutate.h"

#include <stdbool.h>

/** Whom the client is when it is lied to. */
enum scene_client {
	CLIENT_FRESH,   /* one that never met the registry */
	CLIENT_RUNNING, /* one that knows it well, in the middle of its life, while the registry grows */
	CLIENT_STORED,  /* one that starts from what another left, while the registry grew */
};
#define SCENE_CLIENTS 3

/** Kinds of answers. */
enum scene_kind {
	KIND_WELL_KNOWN,
	KIND_CHECKPOINT,
	KIND_LOGS,
	KIND_NAMES,
	KIND_LEDGER,
	KIND_RECORDS,
	KIND_INCLUSION,
	KIND_CONSISTENCY,
	KIND_SOURCES,
	KIND_SIZE,
	KIND_BYTES,
	SCENE_KINDS,
};
extern const char *const scene_kind_names[SCENE_KINDS];

struct scene;

/** Fails the process when it cannot be set up. `folder` is emptied and used. */
struct scene *scene_new(const char *folder);
void scene_free(struct scene *scene);

/** What a run came to. */
struct scene_result {
	enum scene_kind kind;
	unsigned mutations;  /* answers that were changed; 0: none of that kind was asked for */
	char wrong[1024];    /* "": nothing; else what was believed, or said, or did not recover */
	char account[256];   /* who was told what, and what came of it */
};

/**
 * Lie to one client once, as chance has it, and then be honest.
 * @param kind  SCENE_KINDS: any
 */
void scene_run(struct scene *scene, uint64_t seed, enum scene_kind kind, struct scene_result *out);

/** The last changed answer as it was sent. Borrowed until the next run. */
struct span scene_last_answer(const struct scene *scene);

#endif
