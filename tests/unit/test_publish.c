/*
 * Publishing, against a registry that keeps what it is sent, and lies on request: nothing is lost, nothing comes twice.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/file.h"
#include "client/proof.h"
#include "client/publish_parts.h"
#include "fake_publish.h"
#include "forge.h"
#include "scratch.h"

/* Seconds. Long: for what goes well. Short: for what is to wait in vain. */
#define LONG 60
#define SHORT 1

struct scene {
	struct fake_registry *fake;
	struct fake_publish *publish;
	char *folder;
	char registries[512], contents[512], own[512], state[512];
	struct registry *registry;
	struct publisher *publisher;
	unsigned key;    /* that signs; 0: there is none */
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
	snprintf(scene.registries, sizeof(scene.registries), "%s/registries", scene.folder);
	snprintf(scene.contents, sizeof(scene.contents), "%s/content", scene.folder);
	snprintf(scene.own, sizeof(scene.own), "%s/own", scene.folder);
	snprintf(scene.state, sizeof(scene.state), "%s/state", scene.folder);
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
		{"test:there", NULL, 2, false, FAULT_MISUSE},
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

		open_publisher(&scene, SHORT);
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

		open_publisher(&scene, SHORT);
		fake_publish_lie(scene.publish, cases[i].lie, 0);
		assert_int_equal(submit(&scene, "test:new", "1.0.0", &result, &flt), cases[i].verdict);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_release),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_open_transaction),
		cmocka_unit_test(test_wait_for_others),
		cmocka_unit_test(test_refused_beforehand),
		cmocka_unit_test(test_overcome),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_in_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
