/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Rebuilding the map from the ledger (see audit.h).
 */
#include "audit.h"
#include "client/base/thread.h"

#include "verify/merkle_map.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>

struct audit {
	struct audit_options options;
	pthread_t thread;
	atomic_bool closing;

	pthread_mutex_t mutex;
	pthread_cond_t wanted;
	struct signed_checkpoint next; /* with log_length 0: none is wanted */
	struct audit_progress progress;

	/* The thread's own: log and map, as far as the ledger was read. */
	struct merkle_map *map;
	struct merkle_log_roots roots;
	bool is_too_large; /* it grows only: what was too much will be */
};

/* ---- Rebuilding ---- */

static void forget(struct audit *audit)
{
	merkle_map_free(audit->map);
	audit->map = NULL;
	audit->roots = (struct merkle_log_roots){0};
}

static void note_progress(struct audit *audit)
{
	pthread_mutex_lock(&audit->mutex);
	audit->progress.rebuilt = audit->roots.length;
	pthread_mutex_unlock(&audit->mutex);
}

/* A piece of the ledger: short enough that between two of them the end need not wait. */
static int take(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count, struct fault *flt)
{
	struct audit *audit = user;

	(void)index;
	if (atomic_load(&audit->closing))
		return fault_undecided(flt, FAULT_CANCELLED, "the audit ends");
	for (size_t i = 0; i < count; i++) {
		const struct merkle_map_entry entry = { entries[i].log_id, entries[i].record_id };
		struct digest leaf = merkle_log_leaf(&entry.log_id, &entry.record_id);
		int verdict = merkle_map_set(audit->map, &entry, flt);

		if (verdict)
			return verdict;
		merkle_log_roots_append(&audit->roots, &leaf);
	}
	if (merkle_map_count(audit->map) > CAP_AUDIT_LOGS)
		return fault_undecided(flt, FAULT_LIMIT, "it has more than %u logs", CAP_AUDIT_LOGS);
	/* Most of the work: done here, it is done piece by piece. */
	merkle_map_root(audit->map);
	note_progress(audit);
	return 0;
}

static int read_up_to(struct audit *audit, const struct checkpoint *checkpoint, struct fault *flt)
{
	struct digest root;
	int verdict = audit->map ? 0 : merkle_map_new(&audit->map, flt);

	if (!verdict)
		verdict = ledger_read(audit->options.ledger, audit->roots.length, checkpoint->log_length, take, audit,
				      flt);
	if (verdict)
		return verdict;
	root = merkle_log_roots_fold(&audit->roots);
	if (!digest_equals(&root, &checkpoint->log_root))
		return fault_undecided(flt, FAULT_MISUSE, "the ledger is not that of the checkpoint");
	return 0;
}

/* ---- Judging ---- */

static void judge(struct audit *audit, const struct signed_checkpoint *checkpoint)
{
	struct digest root = merkle_map_root(audit->map);
	bool agrees = digest_equals(&root, &checkpoint->contents.map_root);

	pthread_mutex_lock(&audit->mutex);
	audit->progress.agrees = agrees && (audit->progress.agrees || !audit->progress.judged);
	audit->progress.judged = checkpoint->contents.log_length;
	audit->progress.wanted = audit->next.contents.log_length;
	pthread_mutex_unlock(&audit->mutex);
	audit->options.judged(audit->options.user, checkpoint, &root, agrees);
}

/* What was read before may be of a ledger that was found to be damaged and fetched anew: then all is read again. */
static void examine(struct audit *audit, const struct signed_checkpoint *checkpoint)
{
	const struct checkpoint *contents = &checkpoint->contents;
	bool was_begun = audit->roots.length;
	struct fault flt = {0};

	read_up_to(audit, contents, &flt);
	if (flt.kind == FAULT_MISUSE && was_begun) {
		forget(audit);
		flt = (struct fault){0};
		read_up_to(audit, contents, &flt);
	}
	if (!flt.verdict) {
		judge(audit, checkpoint);
		return;
	}
	/* Nothing that is half read is gone on from. */
	forget(audit);
	audit->is_too_large = flt.kind == FAULT_LIMIT;
	fault_at(&flt, "audit of the map at length %" PRIu64, contents->log_length);
	if (flt.kind != FAULT_CANCELLED)
		audit->options.failed(audit->options.user, &flt);
}

/* @return false at the end */
static bool wait_for_one(struct audit *audit, struct signed_checkpoint *out)
{
	pthread_mutex_lock(&audit->mutex);
	audit->progress.wanted = audit->next.contents.log_length;
	while (!atomic_load(&audit->closing) && !audit->next.contents.log_length)
		pthread_cond_wait(&audit->wanted, &audit->mutex);
	*out = audit->next;
	audit->next = (struct signed_checkpoint){0};
	pthread_mutex_unlock(&audit->mutex);
	return !atomic_load(&audit->closing);
}

static void *run(void *argument)
{
	struct signed_checkpoint checkpoint;
	struct audit *audit = argument;

	/* Linux has a priority for each thread; 0 is this one. Without, it is only less polite. */
	setpriority(PRIO_PROCESS, 0, 19);
	while (wait_for_one(audit, &checkpoint))
		if (!audit->is_too_large)
			examine(audit, &checkpoint);
	return NULL;
}

/* ---- From outside ---- */

int audit_new(const struct audit_options *options, struct audit **out, struct fault *flt)
{
	struct audit *audit = calloc(1, sizeof(*audit));
	int error;

	if (!audit)
		return fault_no_memory(flt);
	audit->options = *options;
	pthread_mutex_init(&audit->mutex, NULL);
	pthread_cond_init(&audit->wanted, NULL);
	error = thread_start(&audit->thread, run, audit);
	if (error) {
		pthread_cond_destroy(&audit->wanted);
		pthread_mutex_destroy(&audit->mutex);
		free(audit);
		return fault_system(flt, error, "the thread of the audit cannot be started");
	}
	*out = audit;
	return 0;
}

void audit_free(struct audit *audit)
{
	if (!audit)
		return;
	pthread_mutex_lock(&audit->mutex);
	atomic_store(&audit->closing, true);
	pthread_cond_signal(&audit->wanted);
	pthread_mutex_unlock(&audit->mutex);
	pthread_join(audit->thread, NULL);
	merkle_map_free(audit->map);
	pthread_cond_destroy(&audit->wanted);
	pthread_mutex_destroy(&audit->mutex);
	free(audit);
}

void audit_want(struct audit *audit, const struct signed_checkpoint *checkpoint)
{
	pthread_mutex_lock(&audit->mutex);
	audit->next = *checkpoint;
	audit->progress.wanted = checkpoint->contents.log_length;
	pthread_cond_signal(&audit->wanted);
	pthread_mutex_unlock(&audit->mutex);
}

void audit_look(struct audit *audit, struct audit_progress *out)
{
	pthread_mutex_lock(&audit->mutex);
	*out = audit->progress;
	pthread_mutex_unlock(&audit->mutex);
}
