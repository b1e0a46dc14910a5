/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Publishing, against a registry that keeps what it is sent, and lies on request: nothing is lost, nothing comes twice.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/base/file.h"
#include "client/publish/publish_parts.h"
#include "client/sync/proof.h"
#include "fake_publish.h"
#include "forge.h"
#include "scratch.h"

/* Seconds. Long: for what ends before its deadline. Short: for what is to wait in vain. */
#define LONG 60
#define SHORT 2

struct scene {
	struct fake_registry *fake;
	struct fake_publish *publish;
	char *folder;
	char *registries, *contents, *own, *state; /* borrowed by the registry, wherever the scene is */
	struct registry *registry;
	struct publisher *publisher;
	unsigned key;    /* that signs; 0: there is none */
	clock_ms recent; /* as in publisher_options */
	bool no_init;
};

static int find_key(void *user, struct ecdsa_private_key **out, struct fault *flt)
{
	const struct scene *scene = user;

	if (!scene->key)
		return fault_undecided(flt, FAULT_NO_KEY, "no key");
	*out = forge_key(scene->key);
	return 0;
}

static void open_publisher(struct scene *scene, unsigned timeout)
{
	const struct publisher_options options = {
		.registry = scene->registry,
		.state_dir = scene->state,
		.label = "label",
		.find_key = find_key,
		.user = scene,
		.auto_init = !scene->no_init,
		.recent = scene->recent,
		.timeout = timeout,
	};

	assert_int_equal(publisher_open(&options, &scene->publisher, NULL), 0);
}

static void open_registry(struct scene *scene)
{
	const struct registry_options options = {
		.url = *fake_registry_url(scene->fake),
		.registries_dir = scene->registries,
		.content_dir = scene->contents,
		.own_dir = scene->own,
		.timeout = LONG,
	};

	assert_int_equal(registry_open(&options, &scene->registry, NULL), 0);
}

static struct scene scene_new(void)
{
	struct scene scene = {.fake = fake_registry_new(), .folder = scratch_new(), .key = 2};

	scene.publish = fake_publish_new(scene.fake);
	scene.registries = strdup(scratch_path(scene.folder, "registries"));
	scene.contents = strdup(scratch_path(scene.folder, "content"));
	scene.own = strdup(scratch_path(scene.folder, "own"));
	scene.state = strdup(scratch_path(scene.folder, "state"));
	open_registry(&scene);
	return scene;
}

static void close_publisher(struct scene *scene)
{
	publisher_close(scene->publisher);
	scene->publisher = NULL;
}

static void scene_release(struct scene *scene)
{
	close_publisher(scene);
	registry_close(scene->registry);
	fake_registry_free(scene->fake);
	fake_publish_free(scene->publish);
	scratch_free(scene->folder);
	free(scene->registries);
	free(scene->contents);
	free(scene->own);
	free(scene->state);
}

/* ---- What is published ---- */

/* A content of this text, staged. */
static struct digest stage(struct scene *scene, const char *text)
{
	struct staging *staging;
	const char *path = scratch_path(scene->folder, "source");
	struct staging_hold hold;
	struct digest digest;
	int fd;

	scratch_write_text(path, text);
	assert_int_equal(staging_open(scene->state, "label", registry_store(scene->registry), &staging, NULL), 0);
	assert_int_equal(staging_take_hold(staging, &hold, NULL), 0);
	assert_int_equal(file_open(-1, path, &fd, NULL, NULL), 0);
	assert_int_equal(staging_add(staging, fd, &digest, NULL, NULL), 0);
	close(fd);
	staging_end_hold(&hold);
	staging_close(staging);
	return digest;
}

static struct pending_entry release_of(struct scene *scene, const char *version)
{
	struct pending_entry entry = {.type = ENTRY_RELEASE, .content = stage(scene, version)};

	snprintf(entry.version, sizeof(entry.version), "%s", version);
	return entry;
}

static struct pending pending_of(const char *package, const struct pending_entry *entries, size_t count)
{
	struct name name = forge_name(package);
	struct pending pending;

	pending_init(&pending, &name);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(pending_add(&pending, &entries[i], NULL), 0);
	return pending;
}

static int submit_entry(struct scene *scene, const char *package, const struct pending_entry *entry,
			enum publish_until until, struct publish_result *out, struct fault *flt)
{
	struct pending pending = pending_of(package, entry, entry ? 1 : 0);
	int r = publish_submit(scene->publisher, &pending, until, out, flt);

	pending_release(&pending);
	return r;
}

static int submit(struct scene *scene, const char *package, const char *version, struct publish_result *out,
		  struct fault *flt)
{
	struct pending_entry entry = release_of(scene, version);

	return submit_entry(scene, package, &entry, PUBLISH_PROVEN, out, flt);
}

/* ---- What came of it ---- */

static size_t journalled(struct scene *scene)
{
	struct digest *ids = NULL;
	struct journal *journal;
	size_t count;

	assert_int_equal(journal_open(scene->state, "label", &journal, NULL), 0);
	assert_int_equal(journal_list(journal, &ids, &count, NULL), 0);
	journal_close(journal);
	free(ids);
	return count;
}

/* Whether there is a receipt, which holds. */
static bool has_receipt(struct scene *scene, const char *package, const struct digest *record_id)
{
	struct release_proof_finding finding;
	struct name name = forge_name(package);
	struct receipts *receipts;
	struct proof proof;
	struct buf text;
	bool found;

	buf_init(&text, CAP_PROOF);
	assert_int_equal(receipts_open(scene->state, "label", &receipts, NULL), 0);
	assert_int_equal(receipts_read(receipts, &name, record_id, &text, &found, NULL), 0);
	if (found) {
		assert_int_equal(proof_parse(buf_span(&text), &proof, NULL), 0);
		assert_int_equal(proof_check(&proof, &finding, NULL), 0);
		assert_true(proof.of_record);
		assert_true(digest_equals(&finding.record_id, record_id));
		proof_release(&proof);
	}
	receipts_close(receipts);
	buf_release(&text);
	return found;
}

static size_t published(struct scene *scene)
{
	return fake_publish_counts(scene->publish).published;
}

/* It is published once, proven, and nothing is left. */
static void check_done(struct scene *scene, const char *package, const struct publish_result *result)
{
	assert_true(result->is_proven);
	assert_true(result->is_published);
	assert_true(has_receipt(scene, package, &result->record_id));
	assert_int_equal(journalled(scene), 0);
	assert_int_equal(fake_publish_counts(scene->publish).repeated, 0);
}

static void assert_nothing_sent(struct scene *scene)
{
	assert_int_equal(fake_publish_counts(scene->publish).posts, 0);
	assert_int_equal(fake_publish_counts(scene->publish).uploads, 0);
	assert_int_equal(journalled(scene), 0);
}

/* ---- What goes well ---- */

static void test_release(void **state)
{
	struct scene scene = scene_new();
	struct publish_result result;
	struct digest content = digest_of(span_of_text("1.0.0"));
	struct fault flt = {0};
	uint64_t size;
	int fd;

	(void)state;
	open_publisher(&scene, LONG);
	assert_int_equal(submit(&scene, "test:new", "1.0.0", &result, &flt), 0);
	check_done(&scene, "test:new", &result);
	assert_int_equal(result.registry_index, 2);
	assert_int_equal(result.log_length, 3);
	assert_int_equal(result.ahead, 0);
	/* Reading back asks nobody. */
	assert_true(content_find_size(registry_content(scene.registry), &content, &size));
	assert_int_equal(size, 5);
	assert_int_equal(store_open_content(registry_store(scene.registry), &content, &fd, &size, NULL), 0);
	assert_true(fd >= 0);
	close(fd);
	/* The next one needs no init, and no upload of what is there. */
	assert_int_equal(submit(&scene, "test:new", "1.1.0", &result, &flt), 0);
	check_done(&scene, "test:new", &result);
	assert_int_equal(published(&scene), 2);
	close_publisher(&scene);
	assert_int_equal(scratch_count(scratch_path(scene.state, "label/staging/contents")), 0);
	scene_release(&scene);
}

static void list(struct scene *scene)
{
	assert_int_equal(registry_refresh(scene->registry, NULL), 0);
	assert_int_equal(registry_list(scene->registry, NULL), 0);
	fake_registry_gather(scene->fake, "", 0);
}

static void check_requests(struct scene *scene, unsigned checkpoints, unsigned lists)
{
	assert_int_equal(fake_registry_count(scene->fake, "v1/fetch/checkpoint"), checkpoints);
	assert_int_equal(fake_registry_count(scene->fake, "v1/ledger"), lists);
	assert_int_equal(fake_registry_count(scene->fake, "v1/fetch/names"), 0);
	assert_int_equal(fake_registry_count(scene->fake, "v1/fetch/logs"), 1);
	assert_int_equal(fake_registry_count(scene->fake, "v1/proof/inclusion"), 1);
	assert_int_equal(fake_registry_count(scene->fake, "v1/proof/consistency"), 0);
	assert_int_equal(fake_publish_counts(scene->publish).polls, 0);
}

/*
 * Behind a round that is recent: record, content, checkpoint beside growth, logs beside proof; in a package that there
 * is, and in a new one. The receipt costs nothing.
 */
static void test_requests(void **state)
{
	struct scene scene = scene_new();
	struct publish_result result;

	(void)state;
	scene.recent = CLOCK_NEVER;
	open_publisher(&scene, LONG);
	list(&scene);
	assert_int_equal(submit(&scene, "test:new", "1.0.0", &result, NULL), 0);
	check_requests(&scene, 1, 0);
	check_done(&scene, "test:new", &result);
	fake_registry_gather(scene.fake, "", 0);
	assert_int_equal(submit(&scene, "test:new", "1.1.0", &result, NULL), 0);
	check_requests(&scene, 1, 0);
	check_done(&scene, "test:new", &result);
	assert_int_equal(fake_publish_counts(scene.publish).posts, 2);
	assert_int_equal(fake_publish_counts(scene.publish).uploads, 2);
	/* Else the newest checkpoint is asked for first. */
	close_publisher(&scene);
	scene.recent = 0;
	open_publisher(&scene, LONG);
	fake_registry_gather(scene.fake, "", 0);
	assert_int_equal(submit(&scene, "test:new", "1.2.0", &result, NULL), 0);
	check_requests(&scene, 2, 0);
	check_done(&scene, "test:new", &result);
	scene_release(&scene);
}

/* Others came meanwhile: what is recent is no longer the newest, and the record is signed anew. */
static void test_recent_is_not_newest(void **state)
{
	static const struct {
		const char *came, *package; /* the package that a version came of, and the one that is published */
		enum fault_kind kind;
	} cases[] = {
		{"1.1.0", "test:old", FAULT_NONE},
		{"1.2.0", "test:old", FAULT_EXISTS},
		{"1.1.0", "test:new", FAULT_NONE}, /* which was absent a moment ago */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene scene = scene_new();
		struct name old = forge_name("test:old");
		struct publish_result result;
		struct fault flt = {0};

		scene.recent = CLOCK_NEVER;
		fake_registry_release(scene.fake, "test:old", "1.0.0");
		fake_registry_sign(scene.fake);
		open_publisher(&scene, LONG);
		list(&scene);
		assert_int_equal(registry_add(scene.registry, &old, 1, &flt), 0);
		fake_registry_release(scene.fake, cases[i].package, cases[i].came);
		fake_registry_sign(scene.fake);
		assert_int_equal(submit(&scene, cases[i].package, "1.2.0", &result, &flt),
				 cases[i].kind ? WARG_UNDECIDED : 0);
		assert_int_equal(flt.kind, cases[i].kind);
		assert_int_equal(journalled(&scene), 0);
		if (!cases[i].kind)
			check_done(&scene, cases[i].package, &result);
		scene_release(&scene);
	}
}

/* Who was allowed by others meanwhile, and what has come by others, is not refused for what is only recent. */
static void test_recent_does_not_refuse(void **state)
{
	struct ecdsa_private_key *other = forge_key(5);
	const struct ecdsa_public_key *public = ecdsa_private_key_public(other);
	const struct name name = forge_name("test:old");
	struct pending_entry grant = {.type = ENTRY_GRANT_FLAT, .permissions = PERMISSIONS_PACKAGE,
				      .key_id = *ecdsa_public_key_id(public)},
			     yank = {.type = ENTRY_YANK, .version = "1.1.0"};
	struct scene theirs = scene_new(), scene;
	struct publish_result result;

	(void)state;
	fake_registry_release(theirs.fake, "test:old", "1.0.0");
	fake_registry_sign(theirs.fake);
	open_publisher(&theirs, LONG);
	/* Another user's machine. */
	scene = theirs;
	scene.folder = scratch_new();
	scene.registries = strdup(scratch_path(scene.folder, "registries"));
	scene.contents = strdup(scratch_path(scene.folder, "content"));
	scene.own = strdup(scratch_path(scene.folder, "own"));
	scene.state = strdup(scratch_path(scene.folder, "state"));
	scene.key = 5;
	scene.recent = CLOCK_NEVER;
	open_registry(&scene);
	open_publisher(&scene, LONG);
	list(&scene);
	assert_int_equal(registry_add(scene.registry, &name, 1, &(struct fault){0}), 0);
	strcpy(grant.key, ecdsa_public_key_text(public));
	assert_int_equal(submit_entry(&theirs, "test:old", &grant, PUBLISH_PROVEN, &result, NULL), 0);
	assert_int_equal(submit(&scene, "test:old", "1.2.0", &result, NULL), 0);
	check_done(&scene, "test:old", &result);
	assert_int_equal(submit(&theirs, "test:old", "1.1.0", &result, NULL), 0);
	assert_int_equal(submit_entry(&scene, "test:old", &yank, PUBLISH_PROVEN, &result, NULL), 0);
	check_done(&scene, "test:old", &result);
	publisher_close(scene.publisher);
	registry_close(scene.registry);
	scratch_free(scene.folder);
	free(scene.registries);
	free(scene.contents);
	free(scene.own);
	free(scene.state);
	scene_release(&theirs);
	ecdsa_private_key_free(other);
}

/* What a round found is not gone on from once a later one failed: nothing is sent to a registry that contradicts it. */
static void test_recent_is_refuted(void **state)
{
	static const struct {
		enum fake_lie lie;
		int verdict;
	} cases[] = {{LIE_ROLLBACK, WARG_INVALID}, {LIE_KEY_UNKNOWN, WARG_INVALID}, {LIE_GARBAGE, WARG_INVALID}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene scene = scene_new();
		struct publish_result result;
		struct fault flt = {0};

		scene.recent = CLOCK_NEVER;
		fake_registry_release(scene.fake, "test:old", "1.0.0");
		fake_registry_sign(scene.fake);
		open_publisher(&scene, LONG);
		list(&scene);
		fake_registry_lie(scene.fake, cases[i].lie, NULL);
		assert_int_equal(registry_refresh(scene.registry, NULL), cases[i].verdict);
		assert_int_equal(submit(&scene, "test:new", "1.0.0", &result, &flt), cases[i].verdict);
		assert_nothing_sent(&scene);
		fake_registry_lie(scene.fake, LIE_NONE, NULL);
		assert_int_equal(submit(&scene, "test:new", "1.0.0", &result, NULL), 0);
		check_done(&scene, "test:new", &result);
		scene_release(&scene);
	}
}

/** A registry that has somebody else's record, and breaks off its second answer with a checkpoint from then on. */
struct race {
	struct fake_registry *fake;
	atomic_bool is_over;
	atomic_uint checkpoints; /* until then */
};

static void lose_race(void *user)
{
	struct race *race = user;

	if (atomic_exchange(&race->is_over, true))
		return;
	fake_registry_release(race->fake, "test:old", "1.1.0");
	fake_registry_sign(race->fake);
	atomic_store(&race->checkpoints, 2);
}

static void break_checkpoint(struct server_connection *connection, const struct server_request *request, int status,
			     struct span body, void *user)
{
	struct race *race = user;
	char head[128];

	/* A part of an answer: nobody sends the request again by himself. */
	if (strstr(request->target, "checkpoint") && atomic_load(&race->checkpoints) &&
	    atomic_fetch_sub(&race->checkpoints, 1) == 1) {
		server_write_text(connection, "HTTP/1.1 200 Ok\r\nContent-Length: 100\r\n\r\n{");
		return;
	}
	snprintf(head, sizeof(head), "HTTP/1.1 %d Ok\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		 status, body.length);
	server_write_text(connection, head);
	server_write(connection, body);
}

/* A record that lost a race is signed anew, also where the network fails for a moment just then. */
static void test_lost_race_and_connection(void **state)
{
	struct scene scene = scene_new();
	struct race race = {.fake = scene.fake};
	struct publish_result result;
	struct fault flt = {0};

	(void)state;
	server_on_answering(fake_registry_server(scene.fake), break_checkpoint, &race);
	fake_registry_release(scene.fake, "test:old", "1.0.0");
	fake_registry_sign(scene.fake);
	fake_publish_meanwhile(scene.publish, lose_race, &race);
	open_publisher(&scene, LONG);
	if (submit(&scene, "test:old", "1.2.0", &result, &flt))
		fail_msg("%s: %s", flt.where, flt.what);
	assert_int_equal(atomic_load(&race.checkpoints), 0);
	check_done(&scene, "test:old", &result);
	scene_release(&scene);
}

static bool says_no(void *user)
{
	++*(unsigned *)user;
	return false;
}

static bool says_yes(void *user)
{
	++*(unsigned *)user;
	return true;
}

/* What nobody wants any more is given up before it is sent, with nothing left of it; and can be wanted once more. */
static void test_unwanted(void **state)
{
	struct scene scene = scene_new();
	struct pending_entry entry = release_of(&scene, "1.0.0");
	struct pending pending = pending_of("test:new", &entry, 1);
	struct publish_result result;
	struct fault flt = {0};
	unsigned asked = 0;

	(void)state;
	open_publisher(&scene, LONG);
	assert_int_equal(publish_submit_while(scene.publisher, &pending, PUBLISH_PROVEN, says_no, &asked, &result,
					      &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_CANCELLED);
	assert_int_equal(asked, 1);
	assert_true(digest_equals(&result.record_id, &(struct digest){{0}}));
	assert_int_equal(published(&scene), 0);
	assert_int_equal(fake_publish_counts(scene.publish).posts, 0);
	assert_int_equal(journalled(&scene), 0);
	assert_int_equal(publish_submit_while(scene.publisher, &pending, PUBLISH_PROVEN, says_yes, &asked, &result,
					      &flt), 0);
	assert_int_equal(asked, 2);
	check_done(&scene, "test:new", &result);
	pending_release(&pending);
	scene_release(&scene);
}

/* A whole transaction is one record. */
static void test_batch(void **state)
{
	struct scene scene = scene_new();
	struct ecdsa_private_key *other = forge_key(5);
	const struct ecdsa_public_key *public = ecdsa_private_key_public(other);
	struct pending_entry entries[4] = {
		release_of(&scene, "1.0.0"),
		release_of(&scene, "1.1.0"),
		{.type = ENTRY_YANK, .version = "1.0.0"},
		{.type = ENTRY_GRANT_FLAT, .permissions = PERMISSION_YANK, .key_id = *ecdsa_public_key_id(public)},
	};
	struct publish_result result;
	struct pending pending;

	(void)state;
	strcpy(entries[3].key, ecdsa_public_key_text(public));
	pending = pending_of("test:new", entries, 3);
	assert_int_equal(pending_add(&pending, &entries[3], NULL), 0);
	open_publisher(&scene, LONG);
	assert_int_equal(publish_submit(scene.publisher, &pending, PUBLISH_PROVEN, &result, NULL), 0);
	check_done(&scene, "test:new", &result);
	assert_int_equal(fake_publish_counts(scene.publish).posts, 1);
	assert_int_equal(fake_publish_counts(scene.publish).uploads, 2);
	/* The other key may yank, and not release. */
	scene.key = 5;
	entries[0] = (struct pending_entry){.type = ENTRY_YANK, .version = "1.1.0"};
	assert_int_equal(submit_entry(&scene, "test:new", &entries[0], PUBLISH_PROVEN, &result, NULL), 0);
	check_done(&scene, "test:new", &result);
	pending_release(&pending);
	ecdsa_private_key_free(other);
	scene_release(&scene);
}

/* The open transaction of a record that the registry rejected once it had the contents is there still. */
static void test_rejected_transaction(void **state)
{
	static const enum publish_until untils[] = {PUBLISH_ACCEPTED, PUBLISH_PROVEN};

	(void)state;
	for (size_t i = 0; i < sizeof(untils) / sizeof(untils[0]); i++) {
		struct scene scene = scene_new();
		struct store *store = registry_store(scene.registry);
		struct name name = forge_name("test:new");
		struct pending_entry entry = release_of(&scene, "1.0.0");
		struct pending pending = {0};
		struct publish_result result;
		struct fault flt = {0};
		bool found = false;

		assert_int_equal(pending_begin(store, &name, NULL), 0);
		assert_int_equal(pending_change(store, &name, &entry, 1, NULL), 0);
		assert_int_equal(pending_load(store, &pending, &found, NULL), 0);
		open_publisher(&scene, SHORT);
		fake_publish_lie(scene.publish, PUBLISH_REJECTS, 0);
		assert_int_equal(publish_submit(scene.publisher, &pending, untils[i], &result, &flt), WARG_UNDECIDED);
		assert_int_equal(flt.kind, FAULT_REFUSED);
		pending_release(&pending);
		assert_int_equal(pending_load(store, &pending, &found, NULL), 0);
		assert_true(found);
		pending_release(&pending);
		assert_int_equal(journalled(&scene), 0);
		scene_release(&scene);
	}
}

/* The open transaction goes as soon as the record was taken. */
static void test_open_transaction(void **state)
{
	struct scene scene = scene_new();
	struct store *store = registry_store(scene.registry);
	struct name name = forge_name("test:new");
	struct pending_entry entry = release_of(&scene, "1.0.0");
	struct pending pending = {0};
	struct publish_result result;
	bool found = false;

	(void)state;
	assert_int_equal(pending_begin(store, &name, NULL), 0);
	assert_int_equal(pending_change(store, &name, &entry, 1, NULL), 0);
	assert_int_equal(pending_load(store, &pending, &found, NULL), 0);
	assert_true(found);
	open_publisher(&scene, LONG);
	fake_publish_lie(scene.publish, PUBLISH_REFUSES, 1);
	assert_int_not_equal(publish_submit(scene.publisher, &pending, PUBLISH_ACCEPTED, &result, NULL), 0);
	assert_int_equal(journalled(&scene), 0);
	fake_publish_lie(scene.publish, PUBLISH_HONEST, 0);
	fake_publish_delay(scene.publish, 3);
	assert_int_equal(publish_submit(scene.publisher, &pending, PUBLISH_ACCEPTED, &result, NULL), 0);
	pending_release(&pending);
	assert_int_equal(pending_load(store, &pending, &found, NULL), 0);
	assert_false(found);
	assert_false(result.is_proven);
	assert_int_equal(journalled(&scene), 1);
	assert_int_equal(publish_wait(scene.publisher, &name, &result.record_id, &result, NULL), 0);
	check_done(&scene, "test:new", &result);
	scene_release(&scene);
}

/* Who did not send it can wait for it too, and gets a receipt. */
static void test_wait_for_others(void **state)
{
	struct scene scene = scene_new();
	struct name name = forge_name("test:new");
	struct publish_result result, waited;
	struct digest nobody = digest_of(span_of_text("nobody"));
	struct fault flt = {0};

	(void)state;
	open_publisher(&scene, LONG);
	assert_int_equal(submit(&scene, "test:new", "1.0.0", &result, NULL), 0);
	assert_int_equal(file_remove_tree(-1, scratch_path(scene.state, "label/receipts"), NULL), 0);
	close_publisher(&scene);
	open_publisher(&scene, LONG);
	assert_int_equal(publish_wait(scene.publisher, &name, &result.record_id, &waited, NULL), 0);
	check_done(&scene, "test:new", &waited);
	assert_int_equal(publish_wait(scene.publisher, &name, &nobody, &waited, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	scene_release(&scene);
}

/* ---- What is said before anything is sent ---- */

static void test_refused_beforehand(void **state)
{
	struct scene scene = scene_new();
	struct ecdsa_private_key *other = forge_key(5);
	struct pending_entry init = {.type = ENTRY_INIT}, none = {.type = ENTRY_YANK, .version = "7.0.0"},
			     yanked = {.type = ENTRY_YANK, .version = "1.0.0"},
			     revoke = {.type = ENTRY_REVOKE_FLAT, .permissions = PERMISSION_YANK,
				       .key_id = *ecdsa_public_key_id(ecdsa_private_key_public(other))},
			     free_one = release_of(&scene, "2.0.0"), taken = release_of(&scene, "1.0.0");
	const struct {
		const char *package;
		const struct pending_entry *entry;
		unsigned key;
		bool no_init;
		enum fault_kind kind;
	} cases[] = {
		{"test:there", &taken, 2, false, FAULT_EXISTS},
		{"test:there", &init, 2, false, FAULT_EXISTS},
		{"test:there", &yanked, 2, false, FAULT_EXISTS},
		{"test:there", &none, 2, false, FAULT_ABSENT},
		{"test:there", &free_one, 5, false, FAULT_DENIED},
		{"test:there", &revoke, 2, false, FAULT_MISUSE},
		{"test:there", &free_one, 0, false, FAULT_NO_KEY},
		{"test:there", NULL, 2, false, FAULT_ABSENT},
		{"nowhere:there", &free_one, 2, false, FAULT_ABSENT},
		{"elsewhere:there", &free_one, 2, false, FAULT_REFUSED},
		{"test:new", &free_one, 2, true, FAULT_ABSENT},
		{"test:new", &none, 2, false, FAULT_ABSENT},
	};

	(void)state;
	fake_registry_release(scene.fake, "test:there", "1.0.0");
	fake_registry_yank(scene.fake, "test:there", "1.0.0");
	fake_registry_import(scene.fake, "elsewhere", "other.example");
	fake_registry_sign(scene.fake);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct publish_result result;
		struct fault flt = {0};

		scene.key = cases[i].key;
		scene.no_init = cases[i].no_init;
		open_publisher(&scene, LONG);
		assert_int_equal(submit_entry(&scene, cases[i].package, cases[i].entry, PUBLISH_PROVEN, &result, &flt),
				 WARG_UNDECIDED);
		if (flt.kind != cases[i].kind)
			fail_msg("case %zu: kind %d: %s", i, flt.kind, flt.what);
		assert_nothing_sent(&scene);
		close_publisher(&scene);
	}
	ecdsa_private_key_free(other);
	scene_release(&scene);
}

/* ---- Answers that do not come, or are none ---- */

/* A lie that is told once, and does no harm. */
static void check_overcome(enum fake_publish_lie lie, unsigned times, unsigned posts)
{
	struct scene scene = scene_new();
	struct publish_result result;
	struct fault flt = {0};

	open_publisher(&scene, LONG);
	fake_publish_lie(scene.publish, lie, times);
	if (submit(&scene, "test:new", "1.0.0", &result, &flt))
		fail_msg("lie %d: %s", lie, flt.what);
	check_done(&scene, "test:new", &result);
	assert_int_equal(published(&scene), 1);
	assert_int_equal(fake_publish_counts(scene.publish).posts, posts);
	scene_release(&scene);
}

static void test_overcome(void **state)
{
	(void)state;
	check_overcome(PUBLISH_LOST, 1, 1);
	check_overcome(PUBLISH_FAILS, 1, 1);
	check_overcome(PUBLISH_LOST_BEFORE, 1, 2);
	check_overcome(PUBLISH_LOST_BEFORE, 2, 3);
	check_overcome(PUBLISH_FAILS_BEFORE, 1, 2);
	check_overcome(PUBLISH_BUSY, 1, 2);
	check_overcome(PUBLISH_CONFLICTS_SELF, 1, 1);
	check_overcome(PUBLISH_UPLOAD_LOST, 1, 1);
	check_overcome(PUBLISH_UPLOAD_FAILS, 1, 1);
	check_overcome(PUBLISH_WANTS_FOR_EVER, 2, 1);
	check_overcome(PUBLISH_FORGETS, 2, 1);
	check_overcome(PUBLISH_CONFLICTS, 1, 2);
	check_overcome(PUBLISH_REJECTS_AND_DOES, 1, 1);
}

/* What ends a publish for good: neither the journal nor the registry has it. */
static void test_refused(void **state)
{
	static const struct {
		enum fake_publish_lie lie;
		enum fault_kind kind;
	} cases[] = {
		{PUBLISH_REFUSES, FAULT_REFUSED},
		{PUBLISH_LOGIN, FAULT_LOGIN},
		{PUBLISH_NO_NAMESPACE, FAULT_ABSENT},
		{PUBLISH_IMPORTED, FAULT_REFUSED},
		{PUBLISH_CONFLICTS, FAULT_REFUSED},
		{PUBLISH_REJECTS, FAULT_REFUSED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene scene = scene_new();
		struct publish_result result;
		struct fault flt = {0};

		open_publisher(&scene, LONG);
		fake_publish_lie(scene.publish, cases[i].lie, 0);
		assert_int_equal(submit(&scene, "test:new", "1.0.0", &result, &flt), WARG_UNDECIDED);
		if (flt.kind != cases[i].kind)
			fail_msg("case %zu: kind %d: %s", i, flt.kind, flt.what);
		assert_int_equal(journalled(&scene), 0);
		assert_int_equal(published(&scene), 0);
		assert_int_equal(fake_publish_counts(scene.publish).repeated, 0);
		/* What is staged stays: once more, and it is published. */
		fake_publish_lie(scene.publish, PUBLISH_HONEST, 0);
		assert_int_equal(submit(&scene, "test:new", "1.0.0", &result, &flt), 0);
		check_done(&scene, "test:new", &result);
		scene_release(&scene);
	}
}

/*
 * Submit test:new 1.0.0 with a short deadline, which is to pass once the record is in the journal. A deadline that is
 * too short for this machine passes before; the next one is twice as long. The publisher is open afterwards.
 */
static int submit_in_vain(struct scene *scene, struct publish_result *out, struct fault *flt)
{
	for (unsigned timeout = SHORT;; timeout *= 2) {
		int r;

		open_publisher(scene, timeout);
		r = submit(scene, "test:new", "1.0.0", out, flt);
		if (flt->kind != FAULT_TIMEOUT || journalled(scene) || timeout >= LONG)
			return r;
		close_publisher(scene);
		*flt = (struct fault){0};
	}
}

static int submit_in_time(struct scene *scene, struct publish_result *out, struct fault *flt)
{
	open_publisher(scene, LONG);
	return submit(scene, "test:new", "1.0.0", out, flt);
}

/*
 * What leaves it in doubt: the journal has it, and the next run, with a registry that is honest by then, publishes it;
 * once.
 */
static void test_in_doubt(void **state)
{
	static const struct {
		enum fake_publish_lie lie;
		int verdict;
		enum fault_kind kind;
	} cases[] = {
		{PUBLISH_LOST_BEFORE, WARG_UNDECIDED, FAULT_UNREACHABLE},
		{PUBLISH_FAILS_BEFORE, WARG_UNDECIDED, FAULT_UNREACHABLE},
		{PUBLISH_BUSY, WARG_UNDECIDED, FAULT_UNREACHABLE},
		{PUBLISH_GARBAGE, WARG_INVALID, FAULT_FORGED},
		{PUBLISH_OTHER_RECORD, WARG_INVALID, FAULT_FORGED},
		{PUBLISH_NO_STATE, WARG_INVALID, FAULT_FORGED},
		{PUBLISH_SAYS_PUBLISHED, WARG_INVALID, FAULT_FORGED},
		{PUBLISH_SAYS_LATER, WARG_UNDECIDED, FAULT_TIMEOUT},
		{PUBLISH_FORGETS, WARG_INVALID, FAULT_FORGED},
		{PUBLISH_PROCESSES, WARG_UNDECIDED, FAULT_TIMEOUT},
		{PUBLISH_WANTS_OTHER, WARG_INVALID, FAULT_FORGED},
		{PUBLISH_WANTS_ELSEWHERE, WARG_INVALID, FAULT_FORGED},
		{PUBLISH_WANTS_HEADERS, WARG_INVALID, FAULT_FORGED},
		{PUBLISH_WANTS_FOR_EVER, WARG_UNDECIDED, FAULT_REFUSED},
		{PUBLISH_UPLOAD_REFUSED, WARG_UNDECIDED, FAULT_REFUSED},
		{PUBLISH_UPLOAD_FAILS, WARG_UNDECIDED, FAULT_UNREACHABLE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene scene = scene_new();
		struct publish_result result;
		struct fault flt = {0};
		int r;

		fake_publish_lie(scene.publish, cases[i].lie, 0);
		fake_publish_delay(scene.publish, 1);
		r = cases[i].kind == FAULT_TIMEOUT ? submit_in_vain(&scene, &result, &flt) :
						     submit_in_time(&scene, &result, &flt);
		assert_int_equal(r, cases[i].verdict);
		if (flt.kind != cases[i].kind)
			fail_msg("case %zu: kind %d: %s", i, flt.kind, flt.what);
		assert_int_equal(journalled(&scene), 1);
		close_publisher(&scene);
		fake_publish_lie(scene.publish, PUBLISH_HONEST, 0);
		open_publisher(&scene, LONG);
		if (publish_resume(scene.publisher, NULL, NULL, &flt))
			fail_msg("case %zu: not resumed: %s", i, flt.what);
		assert_true(has_receipt(&scene, "test:new", &result.record_id));
		assert_int_equal(journalled(&scene), 0);
		assert_int_equal(published(&scene), 1);
		assert_int_equal(fake_publish_counts(scene.publish).repeated, 0);
		scene_release(&scene);
	}
}

/* ---- Somebody else is faster ---- */

/* What happens in the registry when the first record comes. */
struct meanwhile {
	struct scene *scene;
	const char *version; /* that somebody else releases of test:new */
	bool is_signed;      /* and under a checkpoint at once */
	unsigned calls;
};

static void others_publish(void *user)
{
	struct meanwhile *meanwhile = user;
	struct fake_registry *fake = meanwhile->scene->fake;

	if (meanwhile->calls++)
		return;
	fake_registry_release(fake, "test:new", meanwhile->version);
	if (meanwhile->is_signed)
		fake_registry_sign(fake);
}

/*
 * The next checkpoint is signed only after the record was rejected: once the publisher, which has the answer to its
 * record then, asks for a checkpoint.
 */
static void *sign_after_rejection(void *user)
{
	struct scene *scene = user;
	unsigned asked;

	while (!fake_publish_counts(scene->publish).posts)
		usleep(1000);
	asked = fake_registry_count(scene->fake, "v1/fetch/checkpoint");
	while (fake_registry_count(scene->fake, "v1/fetch/checkpoint") == asked)
		usleep(1000);
	fake_registry_sign(scene->fake);
	return NULL;
}

/*
 * The package may be there before, or be initialised meanwhile; the record is rejected, or refused at once; the other's
 * is under a checkpoint soon, or at once.
 */
static void test_outrun(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct scene scene = scene_new();
		bool is_there = i & 1, is_refused = i & 2, is_taken = i & 4;
		struct meanwhile meanwhile = {&scene, is_taken ? "2.0.0" : "1.0.0", is_refused, 0};
		struct publish_result result;
		struct fault flt = {0};
		pthread_t signer;
		int r;

		if (is_there)
			fake_registry_release(scene.fake, "test:new", "0.9.0");
		fake_registry_sign(scene.fake);
		open_publisher(&scene, LONG);
		fake_publish_meanwhile(scene.publish, others_publish, &meanwhile);
		if (is_refused)
			fake_publish_lie(scene.publish, PUBLISH_REFUSES, 1);
		else
			assert_int_equal(pthread_create(&signer, NULL, sign_after_rejection, &scene), 0);
		r = submit(&scene, "test:new", "2.0.0", &result, &flt);
		if (!is_refused)
			pthread_join(signer, NULL);
		if (is_taken) {
			assert_int_equal(r, WARG_UNDECIDED);
			assert_int_equal(flt.kind, FAULT_EXISTS);
			assert_int_equal(journalled(&scene), 0);
		} else {
			if (r)
				fail_msg("case %u: %s", i, flt.what);
			check_done(&scene, "test:new", &result);
		}
		assert_int_equal(published(&scene), is_taken ? 0 : 1);
		scene_release(&scene);
	}
}

/* Many at once, of one package or of many; one version, or as many. */
struct crowd {
	struct scene *scene;
	const char *package;
	char own_package[32], version[16];
	struct pending_entry entry;
	struct publish_result result;
	struct fault flt;
	pthread_t thread;
};

static void *submit_one(void *user)
{
	struct crowd *crowd = user;

	submit_entry(crowd->scene, crowd->package, &crowd->entry, PUBLISH_PROVEN, &crowd->result, &crowd->flt);
	return NULL;
}

#define CROWD 8

static size_t run_crowd(struct scene *scene, bool one_package, bool one_version)
{
	struct crowd crowd[CROWD] = {0};
	size_t done = 0;

	for (int i = 0; i < CROWD; i++) {
		crowd[i].scene = scene;
		snprintf(crowd[i].own_package, sizeof(crowd[i].own_package), "test:new%d", i);
		crowd[i].package = one_package ? "test:new" : crowd[i].own_package;
		snprintf(crowd[i].version, sizeof(crowd[i].version), "1.%d.0", one_version ? 0 : i);
		crowd[i].entry = release_of(scene, crowd[i].version);
	}
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(pthread_create(&crowd[i].thread, NULL, submit_one, &crowd[i]), 0);
	for (int i = 0; i < CROWD; i++)
		pthread_join(crowd[i].thread, NULL);
	for (int i = 0; i < CROWD; i++) {
		if (!crowd[i].flt.verdict) {
			check_done(scene, crowd[i].package, &crowd[i].result);
			done++;
		} else if (!one_version || crowd[i].flt.kind != FAULT_EXISTS) {
			fail_msg("%d: %s", i, crowd[i].flt.what);
		}
	}
	assert_int_equal(published(scene), done);
	return done;
}

static void test_crowd(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		struct scene scene = scene_new();

		open_publisher(&scene, LONG);
		assert_int_equal(run_crowd(&scene, i > 0, i == 2), i == 2 ? 1 : CROWD);
		scene_release(&scene);
	}
}

/* Two publishers, as two programs: they take turns no less. */
static void test_two_publishers(void **state)
{
	struct scene scene = scene_new(), second = scene;
	struct crowd crowd = {.scene = &second, .package = "test:new"};
	struct publish_result result;
	struct fault flt = {0};

	(void)state;
	open_publisher(&scene, LONG);
	open_publisher(&second, LONG);
	crowd.entry = release_of(&scene, "1.1.0");
	assert_int_equal(pthread_create(&crowd.thread, NULL, submit_one, &crowd), 0);
	assert_int_equal(submit(&scene, "test:new", "1.0.0", &result, &flt), 0);
	pthread_join(crowd.thread, NULL);
	assert_int_equal(crowd.flt.verdict, 0);
	check_done(&scene, "test:new", &result);
	check_done(&scene, "test:new", &crowd.result);
	assert_int_equal(published(&scene), 2);
	close_publisher(&second);
	scene_release(&scene);
}

/* Another has the turn for as long as the whole timeout, and longer if there is much to upload. */
struct slow {
	struct journal *journal;
	struct journal_claim turn;
	unsigned timeout; /* of the publisher that waits for the turn, in seconds */
};

/* The turn must last beyond the whole time-out, so this test waits for the clock. */
static void *end_turn_late(void *user)
{
	struct slow *slow = user;

	usleep(slow->timeout * 1500000);
	journal_end_claim(slow->journal, &slow->turn);
	return NULL;
}

/* Submit while another has the turn: with `bytes` to upload, until after the timeout; without, until it is over. */
static int submit_behind_turn(unsigned timeout, uint64_t bytes, struct fault *flt)
{
	struct scene scene = scene_new();
	struct name name = forge_name("test:new");
	struct digest log_id = name_log_id(&name);
	struct slow slow = {.timeout = timeout};
	struct publish_result result;
	pthread_t ender;
	bool had;
	int r;

	open_publisher(&scene, timeout);
	assert_int_equal(journal_open(scene.state, "label", &slow.journal, NULL), 0);
	assert_int_equal(journal_claim(slow.journal, &log_id, &slow.turn, &had, NULL), 0);
	assert_true(had);
	journal_mark_claim(&slow.turn, bytes);
	assert_int_equal(journal_read_mark(slow.journal, &log_id), bytes);
	if (bytes)
		assert_int_equal(pthread_create(&ender, NULL, end_turn_late, &slow), 0);
	r = submit(&scene, "test:new", "1.0.0", &result, flt);
	if (bytes)
		pthread_join(ender, NULL);
	else
		journal_end_claim(slow.journal, &slow.turn);
	assert_int_equal(journal_read_mark(slow.journal, &log_id), 0);
	journal_close(slow.journal);
	scene_release(&scene);
	return r;
}

static void test_slow_turn(void **state)
{
	unsigned timeout = SHORT;
	struct fault flt = {0};

	(void)state;
	assert_int_equal(submit_behind_turn(timeout, 0, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_TIMEOUT);
	/* A deadline that is too short for this machine may pass after the turn; the next one is twice as long. */
	do {
		flt = (struct fault){0};
		submit_behind_turn(timeout, CAP_UPLOAD_RATE * LONG, &flt);
		timeout *= 2;
	} while (flt.kind == FAULT_TIMEOUT && timeout <= LONG);
	assert_int_equal(flt.kind, FAULT_NONE);
}

static void sign_at_second(void *user)
{
	struct meanwhile *meanwhile = user;

	if (++meanwhile->calls == 2)
		fake_registry_sign(meanwhile->scene->fake);
}

/* The record that ours stands on is rejected in the end: ours is not, but signed anew. */
static void test_base_lost(void **state)
{
	struct scene scene = scene_new();
	struct meanwhile meanwhile = {.scene = &scene};
	struct pending_entry entry = release_of(&scene, "1.0.0");
	struct publish_result first, second;
	struct fault flt = {0};

	(void)state;
	open_publisher(&scene, LONG);
	fake_publish_delay(scene.publish, 3);
	assert_int_equal(submit_entry(&scene, "test:new", &entry, PUBLISH_ACCEPTED, &first, &flt), 0);
	/* Which nobody sees as yet. */
	fake_registry_release(scene.fake, "test:new", "0.1.0");
	fake_publish_meanwhile(scene.publish, sign_at_second, &meanwhile);
	if (submit(&scene, "test:new", "2.0.0", &second, &flt))
		fail_msg("%s", flt.what);
	assert_true(second.is_proven);
	assert_int_equal(meanwhile.calls, 3);
	/* The other one is signed anew by who goes on with it. */
	assert_int_equal(publish_resume(scene.publisher, NULL, NULL, &flt), 0);
	assert_int_equal(published(&scene), 2);
	check_done(&scene, "test:new", &second);
	scene_release(&scene);
}

/* ---- Clocks ---- */

/* A record of the future is there: ours is of no earlier time, and that is told. */
static void test_clock_behind(void **state)
{
	struct scene scene = scene_new();
	struct ecdsa_private_key *key = forge_key(2);
	struct record_entry init = forge_init(key);
	struct record record = {
		.kind = RECORD_PACKAGE, .time = {.seconds = 253402300000}, .entries = &init, .entry_count = 1,
	};
	struct forge_record forged;
	struct record_envelope envelope;
	struct publish_result result;
	uint64_t index;

	(void)state;
	forge_record(RECORD_PACKAGE, &record, key, &forged);
	envelope = forge_envelope(&forged);
	assert_int_equal(fake_registry_take(scene.fake, "test:new", &envelope, &index, NULL), 0);
	fake_registry_sign(scene.fake);
	open_publisher(&scene, LONG);
	assert_int_equal(submit(&scene, "test:new", "1.0.0", &result, NULL), 0);
	check_done(&scene, "test:new", &result);
	assert_true(result.ahead > 86400);
	/* The checkpoints of this registry are of 1970. */
	assert_true(result.early > 250000000000);
	forge_record_release(&forged);
	ecdsa_private_key_free(key);
	scene_release(&scene);
}

/* ---- Going on ---- */

/* A publish of test:new 1.0.0 that never arrived, and whose publisher is gone. */
static struct scene scene_in_doubt(struct publish_result *result)
{
	struct scene scene = scene_new();
	struct fault flt = {0};

	fake_publish_lie(scene.publish, PUBLISH_LOST_BEFORE, 0);
	assert_int_equal(submit_in_time(&scene, result, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_UNREACHABLE);
	assert_int_equal(journalled(&scene), 1);
	close_publisher(&scene);
	fake_publish_lie(scene.publish, PUBLISH_HONEST, 0);
	return scene;
}

struct told {
	unsigned count;
	struct name name;
	struct publish_result result;
	struct fault fault;
};

static void note(void *user, const struct pending *what, const struct publish_result *result, int verdict,
		 const struct fault *flt)
{
	struct told *told = user;

	told->count++;
	told->name = what ? what->name : (struct name){0};
	told->result = *result;
	told->fault = *flt;
	assert_int_equal(verdict, flt->verdict);
}

/* Who tries once more goes on with the same record. */
static void test_adopted(void **state)
{
	struct publish_result first, second;
	struct scene scene = scene_in_doubt(&first);

	(void)state;
	open_publisher(&scene, LONG);
	assert_int_equal(submit(&scene, "test:new", "1.0.0", &second, NULL), 0);
	assert_true(digest_equals(&first.record_id, &second.record_id));
	check_done(&scene, "test:new", &second);
	assert_int_equal(published(&scene), 1);
	scene_release(&scene);
}

/* Another publish of the package does not wait for it, and it is signed anew behind that one. */
static void test_left_behind(void **state)
{
	struct publish_result first, second;
	struct scene scene = scene_in_doubt(&first);
	struct told told = {0};

	(void)state;
	open_publisher(&scene, LONG);
	assert_int_equal(submit(&scene, "test:new", "2.0.0", &second, NULL), 0);
	assert_int_equal(journalled(&scene), 1);
	assert_int_equal(publish_resume(scene.publisher, note, &told, NULL), 0);
	assert_int_equal(told.count, 1);
	assert_string_equal(told.name.text, "test:new");
	assert_false(digest_equals(&first.record_id, &told.result.record_id));
	check_done(&scene, "test:new", &told.result);
	assert_int_equal(published(&scene), 2);
	/* Once is enough. */
	assert_int_equal(publish_resume(scene.publisher, note, &told, NULL), 0);
	assert_int_equal(told.count, 1);
	scene_release(&scene);
}

static void test_version_taken_meanwhile(void **state)
{
	struct publish_result first;
	struct scene scene = scene_in_doubt(&first);
	struct told told = {0};
	struct fault flt = {0};

	(void)state;
	fake_registry_release(scene.fake, "test:new", "1.0.0");
	fake_registry_sign(scene.fake);
	open_publisher(&scene, LONG);
	assert_int_equal(publish_resume(scene.publisher, note, &told, &flt), WARG_UNDECIDED);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.fault.kind, FAULT_EXISTS);
	assert_int_equal(flt.kind, FAULT_EXISTS);
	assert_int_equal(journalled(&scene), 0);
	assert_int_equal(published(&scene), 0);
	scene_release(&scene);
}

/* Without the key it cannot be signed anew: it stays, until there is one. */
static void test_key_lost_meanwhile(void **state)
{
	struct publish_result first;
	struct scene scene = scene_in_doubt(&first);
	struct told told = {0};
	struct fault flt = {0};

	(void)state;
	fake_registry_release(scene.fake, "test:new", "0.9.0");
	fake_registry_sign(scene.fake);
	scene.key = 0;
	open_publisher(&scene, LONG);
	assert_int_equal(publish_resume(scene.publisher, note, &told, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_NO_KEY);
	assert_int_equal(journalled(&scene), 1);
	scene.key = 2;
	assert_int_equal(publish_resume(scene.publisher, note, &told, NULL), 0);
	check_done(&scene, "test:new", &told.result);
	assert_int_equal(published(&scene), 1);
	scene_release(&scene);
}

static void test_content_lost_meanwhile(void **state)
{
	struct publish_result first;
	struct scene scene = scene_in_doubt(&first);
	struct fault flt = {0};

	(void)state;
	assert_int_equal(file_remove_tree(-1, scratch_path(scene.state, "label/staging"), NULL), 0);
	assert_int_equal(file_remove_tree(-1, scratch_path(scene.contents, "sha256"), NULL), 0);
	registry_close(scene.registry);
	open_registry(&scene);
	open_publisher(&scene, LONG);
	assert_int_equal(publish_resume(scene.publisher, NULL, NULL, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	assert_int_equal(journalled(&scene), 1);
	stage(&scene, "1.0.0");
	assert_int_equal(publish_resume(scene.publisher, NULL, NULL, &flt), 0);
	assert_int_equal(journalled(&scene), 0);
	assert_int_equal(published(&scene), 1);
	scene_release(&scene);
}

/* Whatever the registry says of the record: it is in the log, and that is what counts. */
static void test_in_the_log_already(void **state)
{
	struct scene scene = scene_new(), other = scene;
	struct pending_entry entry = release_of(&scene, "1.0.0");
	struct name name = forge_name("test:new");
	struct publish_result first, waited;
	struct told told = {0};

	(void)state;
	open_publisher(&scene, LONG);
	fake_publish_delay(scene.publish, 3);
	assert_int_equal(submit_entry(&scene, "test:new", &entry, PUBLISH_ACCEPTED, &first, NULL), 0);
	/* Somebody else, who knows nothing of our journal, waits for it. */
	other.state = strdup(scratch_path(scene.folder, "other"));
	open_publisher(&other, LONG);
	assert_int_equal(publish_wait(other.publisher, &name, &first.record_id, &waited, NULL), 0);
	close_publisher(&other);
	free(other.state);
	fake_publish_lie(scene.publish, PUBLISH_FORGETS, 0);
	assert_int_equal(journalled(&scene), 1);
	if (publish_resume(scene.publisher, note, &told, NULL))
		fail_msg("%s: %s", told.fault.where, told.fault.what);
	check_done(&scene, "test:new", &told.result);
	assert_true(digest_equals(&told.result.record_id, &first.record_id));
	assert_int_equal(told.result.registry_index, 2);
	assert_int_equal(fake_publish_counts(scene.publish).posts, 1);
	scene_release(&scene);
}

/* One that does not read is told of, and hides no other. */
static void test_unreadable(void **state)
{
	struct publish_result first;
	struct scene scene = scene_in_doubt(&first);
	struct told told = {0};
	struct fault flt = {0};

	(void)state;
	scratch_write_text(scratch_path(scene.state, "label/journal/"
			   "00000000000000000000000000000000000000000000000000000000000000aa.json"), "{");
	open_publisher(&scene, LONG);
	assert_int_equal(publish_resume(scene.publisher, note, &told, &flt), WARG_INVALID);
	assert_int_equal(flt.party, FAULT_BY_CACHE);
	assert_int_equal(told.count, 2);
	assert_int_equal(journalled(&scene), 1);
	assert_int_equal(published(&scene), 1);
	scene_release(&scene);
}

/* Whoever died between signing anew and forgetting the record before left two: only one of them counts. */
static void test_replaced(void **state)
{
	struct publish_result first;
	struct scene scene = scene_in_doubt(&first);
	struct ecdsa_private_key *key = forge_key(2);
	struct record_entry entries[2] = {forge_init(key), forge_release("1.0.0", "1.0.0")};
	struct record record = {
		.kind = RECORD_PACKAGE, .time = {.seconds = 5}, .entries = entries, .entry_count = 2,
	};
	struct journal_entry entry = {
		.name = forge_name("test:new"), .stage = JOURNAL_SENT, .replaces = true, .replaced = first.record_id,
	};
	struct journal_claim claim = {.fd = -1};
	struct told told = {0};
	struct forge_record forged;
	struct journal *journal;
	bool had;

	(void)state;
	forge_record(RECORD_PACKAGE, &record, key, &forged);
	entry.content = forged.content;
	strcpy(entry.signature, forged.signature);
	strcpy(entry.key, ecdsa_public_key_text(ecdsa_private_key_public(key)));
	assert_int_equal(journal_open(scene.state, "label", &journal, NULL), 0);
	assert_int_equal(journal_claim(journal, &forged.id, &claim, &had, NULL), 0);
	assert_int_equal(journal_put(journal, &claim, &entry, NULL), 0);
	journal_end_claim(journal, &claim);
	journal_close(journal);
	assert_int_equal(journalled(&scene), 2);
	open_publisher(&scene, LONG);
	assert_int_equal(publish_resume(scene.publisher, note, &told, NULL), 0);
	assert_int_equal(told.count, 1);
	assert_true(digest_equals(&told.result.record_id, &forged.id));
	check_done(&scene, "test:new", &told.result);
	assert_int_equal(published(&scene), 1);
	forge_record_release(&forged);
	ecdsa_private_key_free(key);
	scene_release(&scene);
}

/* The answer that says where to upload got lost, and the reference does not say it again. */
static void test_upload_without_address(void **state)
{
	struct scene scene = scene_new();
	struct publish_result result;

	(void)state;
	open_publisher(&scene, LONG);
	fake_publish_hide_missing(scene.publish);
	fake_publish_lie(scene.publish, PUBLISH_LOST, 1);
	assert_int_equal(submit(&scene, "test:new", "1.0.0", &result, NULL), 0);
	check_done(&scene, "test:new", &result);
	scene_release(&scene);
}

/* ---- Ends ---- */

static void *close_later(void *user)
{
	struct scene *scene = user;

	while (fake_publish_counts(scene->publish).polls < 3)
		usleep(1000);
	publisher_close(scene->publisher);
	return NULL;
}

/* A wait is ended by closing, and the next run goes on. */
static void test_closed(void **state)
{
	struct scene scene = scene_new();
	struct publish_result result;
	struct fault flt = {0};
	pthread_t closer;

	(void)state;
	open_publisher(&scene, LONG);
	fake_publish_lie(scene.publish, PUBLISH_PROCESSES, 0);
	assert_int_equal(pthread_create(&closer, NULL, close_later, &scene), 0);
	assert_int_equal(submit(&scene, "test:new", "1.0.0", &result, &flt), WARG_UNDECIDED);
	pthread_join(closer, NULL);
	assert_int_equal(flt.kind, FAULT_CANCELLED);
	assert_int_equal(journalled(&scene), 1);
	fake_publish_lie(scene.publish, PUBLISH_HONEST, 0);
	open_publisher(&scene, LONG);
	assert_int_equal(publish_resume(scene.publisher, NULL, NULL, NULL), 0);
	assert_int_equal(journalled(&scene), 0);
	assert_int_equal(published(&scene), 1);
	scene_release(&scene);
}

/* The n-th answer never comes, and the publisher is gone before it would: what was done by then was done. */
struct cut {
	struct scene *scene;
	pthread_mutex_t mutex;
	unsigned answers, at; /* 0: none is cut off */
	bool is_cut;
};

static void cut_off(struct server_connection *connection, const struct server_request *request, int status,
		    struct span body, void *user)
{
	struct cut *cut = user;
	char head[128];
	bool is_cut;

	(void)request;
	pthread_mutex_lock(&cut->mutex);
	is_cut = ++cut->answers == cut->at;
	cut->is_cut |= is_cut;
	pthread_mutex_unlock(&cut->mutex);
	if (is_cut)
		return;
	snprintf(head, sizeof(head), "HTTP/1.1 %d No\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		 status, body.length);
	server_write_text(connection, head);
	server_write(connection, body);
}

static bool is_cut(struct cut *cut)
{
	bool was;

	pthread_mutex_lock(&cut->mutex);
	was = cut->is_cut;
	pthread_mutex_unlock(&cut->mutex);
	return was;
}

static void *close_when_cut(void *user)
{
	struct cut *cut = user;

	while (!is_cut(cut))
		usleep(200);
	publisher_close(cut->scene->publisher);
	return NULL;
}

static void test_cut_off_anywhere(void **state)
{
	bool was_cut = true;

	(void)state;
	for (unsigned at = 1; was_cut; at++) {
		struct scene scene = scene_new();
		struct cut cut = {.scene = &scene, .mutex = PTHREAD_MUTEX_INITIALIZER, .at = at};
		struct publish_result result;
		struct fault flt = {0};
		pthread_t closer;

		server_on_answering(fake_registry_server(scene.fake), cut_off, &cut);
		open_publisher(&scene, LONG);
		assert_int_equal(pthread_create(&closer, NULL, close_when_cut, &cut), 0);
		submit(&scene, "test:new", "1.0.0", &result, &flt);
		was_cut = is_cut(&cut);
		pthread_mutex_lock(&cut.mutex);
		cut.is_cut = true;
		cut.at = 0;
		pthread_mutex_unlock(&cut.mutex);
		pthread_join(closer, NULL);
		open_publisher(&scene, LONG);
		if (publish_resume(scene.publisher, NULL, NULL, &flt))
			fail_msg("answer %u: %s", at, flt.what);
		/* What never came to be signed was told, and is tried once more. */
		if (!published(&scene))
			assert_int_equal(submit(&scene, "test:new", "1.0.0", &result, NULL), 0);
		assert_int_equal(published(&scene), 1);
		assert_int_equal(journalled(&scene), 0);
		assert_int_equal(fake_publish_counts(scene.publish).repeated, 0);
		scene_release(&scene);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_recent_is_not_newest),
		cmocka_unit_test(test_recent_does_not_refuse),
		cmocka_unit_test(test_recent_is_refuted),
		cmocka_unit_test(test_lost_race_and_connection),
		cmocka_unit_test(test_unwanted),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_rejected_transaction),
		cmocka_unit_test(test_open_transaction),
		cmocka_unit_test(test_wait_for_others),
		cmocka_unit_test(test_refused_beforehand),
		cmocka_unit_test(test_overcome),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_in_doubt),
		cmocka_unit_test(test_outrun),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_two_publishers),
		cmocka_unit_test(test_slow_turn),
		cmocka_unit_test(test_base_lost),
		cmocka_unit_test(test_clock_behind),
		cmocka_unit_test(test_adopted),
		cmocka_unit_test(test_left_behind),
		cmocka_unit_test(test_version_taken_meanwhile),
		cmocka_unit_test(test_key_lost_meanwhile),
		cmocka_unit_test(test_content_lost_meanwhile),
		cmocka_unit_test(test_in_the_log_already),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_upload_without_address),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_cut_off_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
