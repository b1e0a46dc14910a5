/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Proof documents on demand (see registry.h): made beside the updater, as they take round trips of their own and change
 * nothing that is believed.
 *
 * The last ones stay for a while: whoever waited finds his there, and so does who opens the same again. All that were
 * made together are no larger than the largest one may be.
 */
#include "registry_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/sync/proof.h"

/* Threads that make proofs: they wait for the network most of the time. */
#define PROVERS 2
/* Documents that stay, and their bytes. */
#define KEPT_PROOFS 16
#define KEPT_BYTES CAP_PROOF

/* ---- Documents ---- */

void registry_proof_unref(struct registry_proof *proof)
{
	if (!proof || atomic_fetch_sub_explicit(&proof->references, 1, memory_order_acq_rel) > 1)
		return;
	buf_release(&proof->text);
	free(proof);
}

static bool is_of(const struct registry_proof *proof, const struct name *name, const char *version)
{
	return !strcmp(proof->name.text, name->text) && !strcmp(proof->version, version);
}

struct registry_proof *registry_find_proof(struct registry *registry, const struct name *name, const char *version,
					   uint64_t least)
{
	struct registry_proof *proof;

	pthread_mutex_lock(&registry->mutex);
	proof = registry->proofs;
	while (proof && !(is_of(proof, name, version) && proof->log_length >= least))
		proof = proof->next;
	if (proof)
		atomic_fetch_add_explicit(&proof->references, 1, memory_order_relaxed);
	pthread_mutex_unlock(&registry->mutex);
	return proof;
}

/* Forget what is too old, or of the same release as the newest. The mutex is held. */
static void forget_old(struct registry *registry)
{
	const struct registry_proof *newest = registry->proofs;
	size_t count = 1, bytes = newest->text.length;

	for (struct registry_proof **link = &registry->proofs->next; *link;) {
		struct registry_proof *proof = *link;

		if (count < KEPT_PROOFS && proof->text.length <= KEPT_BYTES - bytes &&
		    !is_of(proof, &newest->name, newest->version)) {
			count++;
			bytes += proof->text.length;
			link = &proof->next;
		} else {
			*link = proof->next;
			registry_proof_unref(proof);
		}
	}
}

/* Steals the reference. */
static void keep(struct registry *registry, struct registry_proof *proof)
{
	pthread_mutex_lock(&registry->mutex);
	proof->next = registry->proofs;
	registry->proofs = proof;
	forget_old(registry);
	pthread_mutex_unlock(&registry->mutex);
}

/* ---- Making one ---- */

/* @return NULL if it cannot be */
static struct registry_proof *render(const struct proof *proof, struct fault *flt)
{
	struct registry_proof *made = calloc(1, sizeof(*made));

	if (!made) {
		fault_no_memory(flt);
		return NULL;
	}
	atomic_init(&made->references, 1);
	made->name = proof->name;
	memcpy(made->version, proof->version, sizeof(made->version));
	made->log_length = proof->checkpoint.contents.log_length;
	buf_init(&made->text, CAP_PROOF);
	if (!proof_render(proof, &made->text, flt))
		return made;
	registry_proof_unref(made);
	return NULL;
}

static int find_release(const struct view *view, const struct proof_want *want, struct fault *flt)
{
	const struct view_package *package = view_find(view, &want->name);

	if (package && package_log_find(package->log, span_of_text(want->version)))
		return 0;
	return fault_undecided(flt, FAULT_ABSENT, "%s has no release %s", want->name.text, want->version);
}

/* The updater's archive is the updater's alone: this one only reads. Without it everything is fetched. */
struct archive *registry_open_archive(const struct registry *registry)
{
	const struct registry_options *options = &registry->options;
	struct archive *archive = NULL;

	archive_open(options->own_dir, options->folder ? options->folder : options->url.label, &archive, NULL);
	return archive;
}

static void make(struct registry *registry, const struct proof_want *want, struct fault *flt)
{
	struct view *view = registry_view(registry);
	struct archive *archive = registry_open_archive(registry);
	struct registry_proof *made;
	struct proof proof;
	int verdict = find_release(view, want, flt);

	if (!verdict)
		verdict = proof_fetch(&registry->api, archive, want->deadline, view, &want->name, want->version,
				      &proof, flt);
	archive_close(archive);
	view_unref(view);
	if (verdict)
		return;
	made = render(&proof, flt);
	proof_release(&proof);
	if (made)
		keep(registry, made);
}

/* ---- Wants ---- */

/* @return false at the end */
static bool begin(struct registry *registry, struct proof_want *want)
{
	bool closing;

	pthread_mutex_lock(&registry->mutex);
	closing = registry->closing;
	want->deadline = registry_deadline(registry);
	pthread_mutex_unlock(&registry->mutex);
	return !closing;
}

/* Nobody finds the want any more, and everybody who did has joined it. */
static void take_away(struct registry *registry, struct proof_want *want)
{
	struct proof_want **link = &registry->proof_wants;

	pthread_mutex_lock(&registry->mutex);
	while (*link != want)
		link = &(*link)->next;
	*link = want->next;
	while (want->joining)
		pthread_cond_wait(&registry->joined, &registry->mutex);
	pthread_mutex_unlock(&registry->mutex);
}

static void run(struct job *job)
{
	struct proof_want *want = (struct proof_want *)job;
	struct registry *registry = want->registry;
	struct fault flt = {0};

	if (!begin(registry, want))
		fault_undecided(&flt, FAULT_CANCELLED, "the registry is being closed");
	else if (!completion_is_awaited(registry->deadlines, &want->completion))
		fault_undecided(&flt, FAULT_CANCELLED, "the program that waited for the proof does not any more");
	else
		make(registry, want, &flt);
	take_away(registry, want);
	completion_finish(registry->deadlines, &want->completion, flt.verdict, &flt);
	free(want);
}

static struct proof_want *new_want(struct registry *registry, const struct name *name, const char *version)
{
	struct proof_want *want = calloc(1, sizeof(*want));

	if (!want)
		return NULL;
	want->job.run = run;
	want->registry = registry;
	want->deadline = CLOCK_NEVER;
	want->name = *name;
	snprintf(want->version, sizeof(want->version), "%s", version);
	want->next = registry->proof_wants;
	registry->proof_wants = want;
	return want;
}

/*
 * Whether one who comes now should wait for this: not for work that has had more than half of its time already, and
 * would fail him before his own is over.
 */
static bool is_joinable(const struct registry *registry, const struct proof_want *want)
{
	return clock_left(want->deadline) >= (clock_ms)registry->options.timeout * 1000 / 2;
}

static bool is_for(const struct proof_want *want, const struct name *name, const char *version)
{
	return !strcmp(want->name.text, name->text) && !strcmp(want->version, version);
}

/* The want for this release; NULL if there can be none. @param is_new  it has to be run. The mutex is held */
static struct proof_want *find_want(struct registry *registry, const struct name *name, const char *version,
				    bool *is_new, struct fault *flt)
{
	struct proof_want *want = registry->proof_wants;

	*is_new = false;
	if (registry->closing) {
		fault_undecided(flt, FAULT_CANCELLED, "the registry is being closed");
		return NULL;
	}
	if (!registry->provers && workers_new(PROVERS, &registry->provers, flt))
		return NULL;
	while (want && !(is_for(want, name, version) && is_joinable(registry, want)))
		want = want->next;
	if (want)
		return want;
	*is_new = true;
	want = new_want(registry, name, version);
	if (!want)
		fault_no_memory(flt);
	return want;
}

void registry_want_proof(struct registry *registry, const struct name *name, const char *version,
			 struct waiter *waiter)
{
	struct proof_want *want;
	struct fault flt = {0};
	bool is_new;

	pthread_mutex_lock(&registry->mutex);
	want = find_want(registry, name, version, &is_new, &flt);
	if (want)
		want->joining++;
	pthread_mutex_unlock(&registry->mutex);
	if (!want) {
		registry_refuse(registry, waiter, &flt);
		return;
	}
	completion_join(registry->deadlines, &want->completion, waiter);
	if (is_new)
		workers_run(registry->provers, &want->job);
	pthread_mutex_lock(&registry->mutex);
	want->joining--;
	pthread_cond_broadcast(&registry->joined);
	pthread_mutex_unlock(&registry->mutex);
}

void registry_release_proofs(struct registry *registry)
{
	workers_free(registry->provers);
	while (registry->proofs) {
		struct registry_proof *proof = registry->proofs;

		registry->proofs = proof->next;
		registry_proof_unref(proof);
	}
}
