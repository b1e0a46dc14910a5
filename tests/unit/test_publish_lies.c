/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The publisher against a registry that lies to it (fake_publish.h): whatever the registry says, nothing is sent twice
 * or to another server, nothing is believed that is not proven, nothing is lost, and every wait ends. The same with
 * each allocation failing in turn.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/publish/journal.h"
#include "client/publish/publish.h"
#include "client/publish/staging.h"
#include "fake_publish.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"

#define LONG 60 /* seconds: more than anything honest takes */

/* A person's machine, and a registry. */
struct scene {
	struct fake_registry *fake;
	struct fake_publish *taking;
	struct embedded_registry *elsewhere;
	char *folder, registries[512], contents[512], own[512], state[512];
	struct registry *registry;
	struct publisher *publisher;
};

static struct buf key_text;

static int find_key(void *user, struct ecdsa_private_key **out, struct fault *flt)
{
	(void)user;
	return ecdsa_private_key_parse(buf_span(&key_text), out, flt);
}

static void open_registry(struct scene *scene, unsigned timeout)
{
	struct registry_options options = {
		.url = *fake_registry_url(scene->fake),
		.registries_dir = scene->registries,
		.content_dir = scene->contents,
		.own_dir = scene->own,
		.state_dir = scene->state,
		.timeout = timeout,
	};

	assert_int_equal(registry_open(&options, &scene->registry, NULL), 0);
}

static struct publisher *new_publisher(const struct scene *scene, unsigned timeout)
{
	struct publisher *publisher;
	struct publisher_options options = {
		.registry = scene->registry,
		.state_dir = scene->state,
		.label = fake_registry_url(scene->fake)->label,
		.find_key = find_key,
		.auto_init = true,
		.timeout = timeout,
	};

	assert_int_equal(publisher_open(&options, &publisher, NULL), 0);
	return publisher;
}

static void close_both(struct scene *scene)
{
	publisher_close(scene->publisher);
	registry_close(scene->registry);
}

/* What the next run sees. */
static void reopen(struct scene *scene)
{
	close_both(scene);
	open_registry(scene, LONG);
	scene->publisher = new_publisher(scene, LONG);
}

static struct staging *open_staging(const struct scene *scene)
{
	struct staging *staging;

	assert_int_equal(staging_open(scene->state, fake_registry_url(scene->fake)->label,
				      registry_store(scene->registry), &staging, NULL), 0);
	return staging;
}

/* test:old is there already. */
static struct scene *scene_new(unsigned timeout)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	scene->fake = fake_registry_new();
	scene->taking = fake_publish_new(scene->fake);
	scene->elsewhere = server_new();
	scene->folder = scratch_new();
	fake_registry_release(scene->fake, "test:old", "0.1.0");
	fake_registry_release(scene->fake, "test:good", "0.1.0");
	fake_registry_sign(scene->fake);
	fake_publish_elsewhere(scene->taking, server_url(scene->elsewhere));
	snprintf(scene->registries, sizeof(scene->registries), "%s/registries", scene->folder);
	snprintf(scene->contents, sizeof(scene->contents), "%s/content", scene->folder);
	snprintf(scene->own, sizeof(scene->own), "%s/own", scene->folder);
	snprintf(scene->state, sizeof(scene->state), "%s/state", scene->folder);
	open_registry(scene, timeout);
	scene->publisher = new_publisher(scene, timeout);
	return scene;
}

static void scene_free(struct scene *scene)
{
	close_both(scene);
	fake_registry_free(scene->fake);
	fake_publish_free(scene->taking);
	server_free(scene->elsewhere);
	scratch_free(scene->folder);
	free(scene);
}

/* Stage a module that is like no other. */
static struct digest stage(struct staging *staging, const char *version)
{
	char bytes[300] = "\0asm\1\0\0\0";
	size_t length = strlen(version);
	struct digest digest;
	int fd = memfd_create("content", MFD_CLOEXEC);

	assert_true(fd >= 0 && length < 100);
	bytes[9] = (char)(length + 2);
	bytes[10] = 1;
	bytes[11] = 'v';
	memcpy(bytes + 12, version, length);
	assert_int_equal(write(fd, bytes, 12 + length), 12 + length);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(staging_add(staging, fd, &digest, NULL, NULL), 0);
	close(fd);
	return digest;
}

/* What publishes a version; its content is staged. */
static struct pending prepare(struct staging *staging, const char *package, const char *version)
{
	struct pending_entry entry = { .type = ENTRY_RELEASE, .content = stage(staging, version) };
	struct name name = forge_name(package);
	struct pending what;

	snprintf(entry.version, sizeof(entry.version), "%s", version);
	pending_init(&what, &name);
	assert_int_equal(pending_add(&what, &entry, NULL), 0);
	return what;
}

/* @param content  what was staged for it */
static int submit(struct scene *scene, const char *package, const char *version, struct publish_result *out,
		  struct digest *content, struct fault *flt)
{
	struct staging *staging = open_staging(scene);
	struct staging_hold hold;
	struct pending what;
	int r;

	assert_int_equal(staging_take_hold(staging, &hold, NULL), 0);
	what = prepare(staging, package, version);
	*content = what.entries[0].content;
	r = publish_submit(scene->publisher, &what, PUBLISH_PROVEN, out, flt);
	pending_release(&what);
	staging_end_hold(&hold);
	staging_close(staging);
	return r;
}

static size_t journalled(const struct scene *scene)
{
	struct journal *journal;
	struct digest *ids;
	size_t count;

	assert_int_equal(journal_open(scene->state, fake_registry_url(scene->fake)->label, &journal, NULL), 0);
	assert_int_equal(journal_list(journal, &ids, &count, NULL), 0);
	free(ids);
	journal_close(journal);
	return count;
}

/* Whether a content can still be had for an upload. */
static bool is_staged(const struct scene *scene, const struct digest *content)
{
	struct staging *staging = open_staging(scene);
	uint64_t size;
	int fd = -1;

	assert_int_equal(staging_open_content(staging, content, &fd, &size, NULL), 0);
	if (fd >= 0)
		close(fd);
	staging_close(staging);
	return fd >= 0;
}

static bool is_released(struct scene *scene, const char *package, const char *version)
{
	struct view *view = registry_view(scene->registry);
	struct name name = forge_name(package);
	const struct view_package *found = view_find(view, &name);
	bool released = found && package_log_find(found->log, span_of_text(version));

	view_unref(view);
	return released;
}

/* What is asked of each lie, and of what comes after it. */
enum outcome {
	SUCCEEDS,  /* in spite of it */
	GOES_ON,   /* it is given up for now, stays in the journal, and an honest registry has it published later */
	IS_LATCHED, /* the same, but the registry was caught, and is not spoken to before somebody has looked */
	IS_OVER,   /* refused for good: nothing of it is in the journal */
};

static const struct row {
	const char *name;
	enum fake_publish_lie lie;
	unsigned times;
	enum fake_lie then; /* the lie about the log, once it is there */
	enum outcome outcome;
	enum fault_kind kind;
	const char *says;
	const char *package;
	unsigned timeout, posts, polls, uploads; /* the last three: at most */
	unsigned delay; /* as of fake_publish_delay(): then its word for it is asked for */
} rows[] = {
#define NEW "test:new"
#define OLD "test:old"
	/* The answer to a record. */
	{ "honest", PUBLISH_HONEST, 0, 0, SUCCEEDS, 0, NULL, NEW, LONG, 1, 2, 1, 0 },
	{ "honest, in a package that there is", PUBLISH_HONEST, 0, 0, SUCCEEDS, 0, NULL, OLD, LONG, 1, 2, 1, 0 },
	{ "its answer is lost", PUBLISH_LOST, 1, 0, SUCCEEDS, 0, NULL, NEW, LONG, 1, 3, 1, 0 },
	{ "the record is lost", PUBLISH_LOST_BEFORE, 1, 0, SUCCEEDS, 0, NULL, NEW, LONG, 2, 8, 1, 0 },
	{ "it fails, and has it", PUBLISH_FAILS, 1, 0, SUCCEEDS, 0, NULL, OLD, LONG, 1, 3, 1, 0 },
	{ "it fails, and has it not", PUBLISH_FAILS_BEFORE, 1, 0, SUCCEEDS, 0, NULL, NEW, LONG, 2, 8, 1, 0 },
	{ "it fails always", PUBLISH_FAILS_BEFORE, 0, 0, GOES_ON, FAULT_UNREACHABLE, "oh", NEW, LONG, 4, 20, 0, 0 },
	{ "it loses each record", PUBLISH_LOST_BEFORE, 0, 0, GOES_ON, FAULT_UNREACHABLE, NULL, OLD, LONG, 4, 20, 0, 0 },
	{ "it answers with HTML", PUBLISH_GARBAGE, 1, 0, GOES_ON, FAULT_FORGED, "no JSON", NEW, LONG, 1, 2, 0, 0 },
	{ "it hangs", PUBLISH_HANGS, 1, 0, SUCCEEDS, 0, NULL, NEW, 3, 1, 3, 1, 0 },
	{ "it sends us elsewhere", PUBLISH_REDIRECTS, 1, 0, SUCCEEDS, 0, NULL, NEW, LONG, 1, 3, 1, 0 },
	/* Refusals. */
	{ "it refuses", PUBLISH_REFUSES, 0, 0, IS_OVER, FAULT_REFUSED, "not\\x1b[2J that", NEW, LONG, 1, 0, 0, 0 },
	{ "it wants a login", PUBLISH_LOGIN, 0, 0, IS_OVER, FAULT_LOGIN, "not that key", NEW, LONG, 1, 0, 0, 0 },
	{ "it has no such namespace", PUBLISH_NO_NAMESPACE, 0, 0, IS_OVER, FAULT_ABSENT, "test", NEW, LONG, 1,
	  0, 0, 0 },
	{ "another has the namespace", PUBLISH_IMPORTED, 0, 0, IS_OVER, FAULT_REFUSED, "another registry", NEW, LONG,
	  1, 0, 0, 0 },
	{ "it is busy once", PUBLISH_BUSY, 1, 0, SUCCEEDS, 0, NULL, NEW, LONG, 2, 8, 1, 0 },
	{ "it is busy", PUBLISH_BUSY, 0, 0, GOES_ON, FAULT_UNREACHABLE, "cannot serve now", NEW, LONG, 4, 20, 0, 0 },
	{ "another is before it, always", PUBLISH_CONFLICTS, 0, 0, IS_OVER, FAULT_REFUSED, "under way", NEW, LONG,
	  16, 64, 0, 0 },
	{ "it is before itself", PUBLISH_CONFLICTS_SELF, 1, 0, SUCCEEDS, 0, NULL, NEW, LONG, 1, 3, 1, 0 },
	{ "it rejects", PUBLISH_REJECTS, 0, 0, IS_OVER, FAULT_REFUSED, "never\\x1b[2J", NEW, 1, 1, 3, 1, 0 },
	{ "it rejects what it publishes", PUBLISH_REJECTS_AND_DOES, 0, 0, SUCCEEDS, 0, NULL, OLD, LONG, 1, 3, 1, 0 },
	/* The state of a record. */
	{ "another record", PUBLISH_OTHER_RECORD, 1, 0, GOES_ON, FAULT_FORGED, "another record", NEW, LONG, 1,
	  0, 0, 0 },
	{ "always another record", PUBLISH_OTHER_RECORD, 0, 0, GOES_ON, FAULT_FORGED, "another record", OLD, LONG, 1,
	  0, 0, 0 },
	{ "no state that there is", PUBLISH_NO_STATE, 1, 0, GOES_ON, FAULT_FORGED, "in no state", NEW, LONG, 1,
	  0, 0, 0 },
	{ "published, which it is not", PUBLISH_SAYS_PUBLISHED, 0, 0, GOES_ON, FAULT_FORGED, "not among its first 4",
	  NEW, LONG, 1, 0, 0, 0 },
	{ "published where another is", PUBLISH_SAYS_PUBLISHED, 0, 0, GOES_ON, FAULT_FORGED, NULL, OLD, LONG, 1, 0,
	  0, 0 },
	{ "published later", PUBLISH_SAYS_LATER, 0, 0, GOES_ON, FAULT_TIMEOUT, NULL, OLD, 1, 1, 0, 0, 0 },
	{ "published further on", PUBLISH_OTHER_INDEX, 0, 0, GOES_ON, FAULT_TIMEOUT, NULL, OLD, 1, 1, 20, 1, 1 },
	{ "published further on, and proven", PUBLISH_OTHER_INDEX, 0, 0, SUCCEEDS, 0, NULL, OLD, LONG, 1, 0, 1, 0 },
	{ "processing without end", PUBLISH_PROCESSES, 0, 0, GOES_ON, FAULT_TIMEOUT, NULL, NEW, 1, 1, 20, 1, 0 },
	{ "it forgets once", PUBLISH_FORGETS, 1, 0, SUCCEEDS, 0, NULL, NEW, LONG, 1, 4, 1, 1 },
	{ "it forgets", PUBLISH_FORGETS, 0, 0, GOES_ON, FAULT_FORGED, "that it has none", NEW, LONG, 1, 8, 1, 1 },
	{ "it forgets what is proven", PUBLISH_FORGETS, 0, 0, SUCCEEDS, 0, NULL, NEW, LONG, 1, 0, 1, 0 },
	/* Uploads. */
	{ "a content that is not its own", PUBLISH_WANTS_OTHER, 0, 0, GOES_ON, FAULT_FORGED, "no such content", NEW,
	  LONG, 1, 0, 0, 0 },
	{ "at another server", PUBLISH_WANTS_ELSEWHERE, 0, 0, GOES_ON, FAULT_FORGED, "another server", NEW, LONG, 1, 0,
	  0, 0 },
	{ "with another header", PUBLISH_WANTS_HEADERS, 0, 0, GOES_ON, FAULT_FORGED, "no header", OLD, LONG, 1,
	  0, 0, 0 },
	{ "what it has, without end", PUBLISH_WANTS_FOR_EVER, 0, 0, GOES_ON, FAULT_REFUSED, "that it was given", NEW,
	  LONG, 1, 8, 8, 1 },
	{ "what it has, and is proven", PUBLISH_WANTS_FOR_EVER, 0, 0, SUCCEEDS, 0, NULL, NEW, LONG, 1, 0, 1, 0 },
	{ "an upload refused", PUBLISH_UPLOAD_REFUSED, 0, 0, GOES_ON, FAULT_REFUSED, "not that", NEW, LONG, 1,
	  4, 4, 0 },
	{ "an upload whose answer is lost", PUBLISH_UPLOAD_LOST, 1, 0, SUCCEEDS, 0, NULL, NEW, LONG, 1, 3, 1, 0 },
	{ "an upload that fails once", PUBLISH_UPLOAD_FAILS, 1, 0, SUCCEEDS, 0, NULL, NEW, LONG, 1, 4, 2, 0 },
	{ "an upload that fails", PUBLISH_UPLOAD_FAILS, 0, 0, GOES_ON, FAULT_UNREACHABLE, "oh", OLD, LONG, 1, 8, 8, 0 },
	{ "an upload sent elsewhere", PUBLISH_UPLOAD_REDIRECTS, 0, 0, GOES_ON, FAULT_UNREACHABLE, NULL, NEW, LONG, 1,
	  8, 8, 0 },
	/* The log that it is to be in. */
	{ "it is kept back", 0, 0, LIE_WITHHELD, GOES_ON, FAULT_FORGED, NULL, OLD, LONG, 1, 3, 1, 0 },
	{ "its log is empty", 0, 0, LIE_EMPTY, GOES_ON, FAULT_FORGED, NULL, NEW, LONG, 1, 3, 1, 0 },
	{ "its log is absent", 0, 0, LIE_ABSENT, GOES_ON, FAULT_FORGED, "not among its first 5", NEW, LONG, 1, 3,
	  1, 0 },
	{ "its log is another's", 0, 0, LIE_OTHER_LOG, GOES_ON, FAULT_FORGED, NULL, NEW, LONG, 1, 3, 1, 0 },
	{ "a byte of it is another", 0, 0, LIE_RECORD, GOES_ON, FAULT_FORGED, NULL, OLD, LONG, 1, 3, 1, 0 },
	{ "it stands further on", 0, 0, LIE_INDEX, GOES_ON, FAULT_FORGED, NULL, OLD, LONG, 1, 3, 1, 0 },
	{ "the proof is another's", 0, 0, LIE_PROOFS_OTHER, GOES_ON, FAULT_FORGED, NULL, OLD, LONG, 1, 3, 1, 0 },
	{ "the proof is refused", 0, 0, LIE_PROOFS_REFUSED, GOES_ON, FAULT_REFUSED, NULL, OLD, LONG, 1, 3, 1, 0 },
	{ "the checkpoint is a stranger's", 0, 0, LIE_KEY_UNKNOWN, GOES_ON, FAULT_FORGED, NULL, OLD, LONG, 1, 3, 1, 0 },
	{ "the checkpoint's time is another", 0, 0, LIE_TIME, GOES_ON, FAULT_FORGED, NULL, NEW, LONG, 1, 3, 1, 0 },
	{ "the checkpoint is HTML", 0, 0, LIE_GARBAGE, GOES_ON, FAULT_FORGED, NULL, NEW, LONG, 1, 3, 1, 0 },
	{ "the log's root is another", 0, 0, LIE_LOG_ROOT, IS_LATCHED, FAULT_FORGED, NULL, OLD, LONG, 1, 3, 1, 0 },
	{ "it is in another history", 0, 0, LIE_ROLLBACK, IS_LATCHED, FAULT_FORGED, NULL, OLD, LONG, 1, 3, 1, 0 },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void check_counts(struct scene *scene, const struct row *row)
{
	struct fake_publish_counts counts = fake_publish_counts(scene->taking);

	print_message("    %u posts, %u polls, %u uploads, %u published\n", counts.posts, counts.polls,
		      counts.uploads, counts.published);
	assert_int_equal(counts.repeated, 0);
	assert_true(counts.posts <= row->posts);
	assert_true(counts.polls <= row->polls);
	assert_true(counts.uploads <= row->uploads);
	assert_int_equal(server_connections(scene->elsewhere), 0);
}

static void print_fault(const char *when, const struct fault *flt)
{
	char sentence[FAULT_SENTENCE_SIZE];

	fault_sentence(flt, sentence);
	print_message("    %s: %s\n", when, sentence);
}

/* The registry is honest again, and another program runs: what is in the journal is published, and nothing is twice. */
static void check_later(struct scene *scene, const struct row *row)
{
	struct publish_result result;
	struct fault flt = { 0 };
	struct digest content;
	int r;

	fake_publish_lie(scene->taking, PUBLISH_HONEST, 0);
	fake_publish_then_lie(scene->taking, LIE_NONE, NULL);
	fake_registry_lie(scene->fake, LIE_NONE, NULL);
	server_release(fake_registry_server(scene->fake));
	reopen(scene);
	r = publish_resume(scene->publisher, NULL, NULL, &flt);
	print_fault("later", &flt);
	assert_int_equal(r, 0);
	assert_int_equal(journalled(scene), 0);
	r = submit(scene, row->package, "1.0.0", &result, &content, &flt);
	print_fault("once more", &flt);
	if (row->outcome == IS_OVER) {
		assert_int_equal(r, 0);
		assert_true(result.is_proven);
	} else {
		assert_int_equal(r, WARG_UNDECIDED);
		assert_int_equal(flt.kind, FAULT_EXISTS);
	}
	assert_true(is_released(scene, row->package, "1.0.0"));
	assert_int_equal(fake_publish_counts(scene->taking).published, 1);
	assert_int_equal(fake_publish_counts(scene->taking).repeated, 0);
	assert_int_equal(server_connections(scene->elsewhere), 0);
}

static void check_failed(struct scene *scene, const struct row *row, const struct publish_result *result,
			 const struct digest *content, const struct fault *flt)
{
	static const struct digest none;
	bool goes_on = row->outcome == GOES_ON || row->outcome == IS_LATCHED;
	char sentence[FAULT_SENTENCE_SIZE];

	fault_sentence(flt, sentence);
	assert_int_equal(flt->kind, row->kind);
	assert_false(result->is_proven);
	assert_int_equal(digest_equals(&result->record_id, &none), !goes_on);
	assert_true(is_staged(scene, content));
	assert_int_equal(journalled(scene), goes_on);
	if (row->says)
		assert_non_null(strstr(sentence, row->says));
}

static void test_row(void **given)
{
	const struct row *row = *given;
	struct scene *scene = scene_new(row->timeout);
	struct publish_result result = { .is_proven = true };
	struct fault flt = { 0 };
	struct digest content;
	int r;

	fake_publish_lie(scene->taking, row->lie, row->times);
	fake_publish_delay(scene->taking, row->delay);
	fake_publish_then_lie(scene->taking, row->then, row->package);
	r = submit(scene, row->package, "1.0.0", &result, &content, &flt);
	print_fault("then", &flt);
	check_counts(scene, row);
	if (row->outcome == SUCCEEDS) {
		assert_int_equal(r, 0);
		assert_true(result.is_proven && result.is_published && result.log_length > 4);
		assert_true(is_released(scene, row->package, "1.0.0"));
	} else {
		assert_int_not_equal(r, 0);
		check_failed(scene, row, &result, &content, &flt);
	}
	if (row->outcome != IS_LATCHED)
		check_later(scene, row);
	scene_free(scene);
}

/* ---- Lies by chance ---- */

#define SEEDS 3
#define WORKERS 4
#define PACKAGES 3
#define RELEASES 6 /* of each worker */
#define BRIEF 5    /* seconds for which they wait: who fails is gone on with later */

/* Two programs with two threads each publish at the same time, and another thread has the registry change its mind. */
struct chance {
	struct scene *scene;
	struct publisher *publishers[2];
	unsigned seed;
	atomic_bool over;
};
struct worker {
	struct chance *chance;
	unsigned number;
	unsigned failed;
	pthread_t thread;
};

/* One that never ends would only make everybody wait; and what is forgotten often enough may be sent again. */
static bool is_passing(enum fake_publish_lie lie)
{
	return lie != PUBLISH_HANGS && lie != PUBLISH_PROCESSES && lie != PUBLISH_FORGETS;
}

static void *change_mind(void *user)
{
	struct chance *chance = user;
	unsigned seed = chance->seed;

	while (!atomic_load(&chance->over)) {
		enum fake_publish_lie lie = rows[(unsigned)rand_r(&seed) % ROWS].lie;

		fake_publish_lie(chance->scene->taking, is_passing(lie) ? lie : PUBLISH_HONEST,
				 1 + (unsigned)rand_r(&seed) % 3);
		fake_publish_delay(chance->scene->taking, (unsigned)rand_r(&seed) % 3);
		usleep((unsigned)rand_r(&seed) % 30000);
	}
	return NULL;
}

static struct pending nth(const struct scene *scene, unsigned worker, unsigned i)
{
	struct staging *staging = open_staging(scene);
	char package[32], version[32];
	struct pending what;

	snprintf(package, sizeof(package), "test:p%u", (worker + i) % PACKAGES);
	snprintf(version, sizeof(version), "%u.%u.0", worker, i);
	what = prepare(staging, package, version);
	staging_close(staging);
	return what;
}

static void *publish_some(void *user)
{
	struct worker *worker = user;
	struct chance *chance = worker->chance;

	for (unsigned i = 0; i < RELEASES; i++) {
		struct pending what = nth(chance->scene, worker->number, i);
		struct publish_result result = { 0 };
		struct fault flt = { 0 };
		int r = publish_submit(chance->publishers[worker->number % 2], &what, PUBLISH_PROVEN, &result, &flt);

		worker->failed += r || !result.is_proven;
		pending_release(&what);
	}
	return NULL;
}

/* The registry is honest, and another program runs: each release is there, once, whatever became of it before. */
static void check_all(struct scene *scene)
{
	struct fake_publish_counts counts;
	struct publish_result result;

	fake_publish_lie(scene->taking, PUBLISH_HONEST, 0);
	fake_publish_delay(scene->taking, 0);
	reopen(scene);
	publish_resume(scene->publisher, NULL, NULL, NULL);
	for (unsigned i = 0; i < WORKERS * RELEASES; i++) {
		struct pending what = nth(scene, i % WORKERS, i / WORKERS);
		struct fault flt = { 0 };

		if (publish_submit(scene->publisher, &what, PUBLISH_PROVEN, &result, &flt))
			assert_int_equal(flt.kind, FAULT_EXISTS);
		assert_true(is_released(scene, what.name.text, what.entries[0].version));
		pending_release(&what);
	}
	counts = fake_publish_counts(scene->taking);
	print_message("    %u posts, %u polls, %u uploads\n", counts.posts, counts.polls, counts.uploads);
	assert_int_equal(counts.published, WORKERS * RELEASES);
	assert_int_equal(counts.repeated, 0);
	assert_int_equal(server_connections(scene->elsewhere), 0);
	assert_int_equal(journalled(scene), 0);
}

static void run_by_chance(unsigned seed)
{
	struct chance chance = { .scene = scene_new(BRIEF), .seed = seed };
	struct staging *staging = open_staging(chance.scene);
	struct worker workers[WORKERS];
	struct staging_hold hold;
	pthread_t liar;

	assert_int_equal(staging_take_hold(staging, &hold, NULL), 0);
	chance.publishers[0] = chance.scene->publisher;
	chance.publishers[1] = new_publisher(chance.scene, BRIEF);
	assert_int_equal(pthread_create(&liar, NULL, change_mind, &chance), 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){ .chance = &chance, .number = i };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, publish_some, &workers[i]), 0);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		pthread_join(workers[i].thread, NULL);
		print_message("    seed %u, worker %u: %u failed\n", seed, i, workers[i].failed);
	}
	atomic_store(&chance.over, true);
	pthread_join(liar, NULL);
	publisher_close(chance.publishers[1]);
	check_all(chance.scene);
	staging_end_hold(&hold);
	staging_close(staging);
	scene_free(chance.scene);
}

static void test_chance(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= SEEDS; seed++)
		run_by_chance(seed);
}

/* ---- Without memory ---- */

/*
 * Publishes: each try needs one of its own, to a package of its own: receipts of longer logs would need more memory
 * from try to try.
 */
#define PREPARED 100
#define STEP 11   /* of the 2400 allocations that there are, one in so many is failed: a minute for all */
#define ENOUGH 30 /* before there is a new registry: many packages take their time */

struct tight {
	struct scene *scene;
	struct staging *staging;
	struct staging_hold hold;
	struct pending whats[PREPARED];
	unsigned next;
};

static void tight_begin(struct tight *tight)
{
	char package[32], version[32];

	tight->scene = scene_new(LONG);
	tight->staging = open_staging(tight->scene);
	tight->next = 0;
	assert_int_equal(staging_take_hold(tight->staging, &tight->hold, NULL), 0);
	for (unsigned i = 0; i < PREPARED; i++) {
		snprintf(package, sizeof(package), "test:p%u", i);
		snprintf(version, sizeof(version), "1.0.%u", i);
		tight->whats[i] = prepare(tight->staging, package, version);
	}
}

static void tight_end(struct tight *tight)
{
	for (unsigned i = 0; i < PREPARED; i++)
		pending_release(&tight->whats[i]);
	staging_end_hold(&tight->hold);
	staging_close(tight->staging);
	scene_free(tight->scene);
}

/* There is memory again: what was under way is published, and nothing was twice. */
static void recover(struct tight *tight, const struct pending *what)
{
	struct publisher *publisher = tight->scene->publisher;
	struct fake_publish_counts counts;
	struct publish_result result;
	struct fault flt = { 0 };

	assert_int_equal(publish_resume(publisher, NULL, NULL, NULL), 0);
	if (publish_submit(publisher, what, PUBLISH_PROVEN, &result, &flt))
		assert_int_equal(flt.kind, FAULT_EXISTS);
	counts = fake_publish_counts(tight->scene->taking);
	assert_int_equal(counts.published, tight->next);
	assert_int_equal(counts.repeated, 0);
	assert_int_equal(journalled(tight->scene), 0);
	if (tight->next < ENOUGH)
		return;
	tight_end(tight);
	tight_begin(tight);
}

static int publish_tightly(void *context, struct fault *flt)
{
	struct tight *tight = context;
	struct publish_result result;
	int r;

	assert_true(tight->next < PREPARED);
	r = publish_submit(tight->scene->publisher, &tight->whats[tight->next], PUBLISH_PROVEN, &result, flt);
	tight->next++;
	if (r) {
		assert_int_equal(flt->errnum, ENOMEM);
		recover(tight, &tight->whats[tight->next - 1]);
	}
	return r;
}

static void test_torture(void **state)
{
	static struct tight tight;

	(void)state;
	tight_begin(&tight);
	print_message("  %zu allocations\n", torture_some(publish_tightly, &tight, STEP));
	tight_end(&tight);
}

static int set_up(void **state)
{
	struct ecdsa_private_key *key = forge_key(2);

	(void)state;
	buf_init(&key_text, CAP_KEY_TEXT);
	assert_int_equal(ecdsa_private_key_format(key, &key_text, NULL), 0);
	ecdsa_private_key_free(key);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buf_wipe(&key_text);
	return 0;
}

int main(void)
{
	struct CMUnitTest tests[ROWS + 2];

	for (size_t i = 0; i < ROWS; i++)
		tests[i] = (struct CMUnitTest){ .name = rows[i].name, .test_func = test_row,
						.initial_state = (void *)(uintptr_t)&rows[i] };
	tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(test_chance);
	tests[ROWS + 1] = (struct CMUnitTest)cmocka_unit_test(test_torture);
	return _cmocka_run_group_tests("lies to who publishes", tests, ROWS + 2, set_up, tear_down);
}
