/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What is stored, held against a registry from its first records on: what is in order, what is named, who is blamed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/sync/recheck.h"
#include "client/sync/sync.h"
#include "data.h"
#include "fake_registry.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"
#include "verify/hex.h"

#define LABEL "registry"

static struct http *http;

/* A registry, and a cache that was brought to it. */
struct scene {
	struct fake_registry *fake;
	struct api api;
	char *folder;
	struct store *store;
	struct archive *archive;
	struct trust_anchor anchor;
};

static clock_ms soon(void)
{
	return clock_in_seconds(60);
}

/* Store what the registry has now. */
static void save(struct scene *scene)
{
	static const char *const names[] = {"test:good", "test:victim"};
	struct sync_wanted wanted[2] = {{.name = forge_name(names[0])}, {.name = forge_name(names[1])}};
	struct store_package packages[2];
	struct view *view;
	bool written;

	assert_int_equal(sync_refresh(&scene->api, scene->archive, NULL, NULL, wanted, 2, soon(), &view, NULL, NULL),
			 0);
	assert_int_equal(view->packages.count, 2);
	for (int i = 0; i < 2; i++) {
		const struct view_package *package = view_find(view, &wanted[i].name);

		packages[i] = (struct store_package){package->log, view_package_position(package)};
	}

	const struct store_update update = {
		.checkpoint = &view->checkpoint,
		.operator = view->operator,
		.operator_position = view->operator_position,
		.packages = packages,
		.package_count = 2,
	};

	assert_int_equal(store_save(scene->store, &update, &written, NULL), 0);
	assert_true(written);
	archive_accept(scene->archive);
	assert_int_equal(archive_save(scene->archive, &written, NULL), 0);
	assert_true(written);
	view_unref(view);
}

static struct scene scene_new(void)
{
	struct scene scene = {.fake = fake_registry_new(), .folder = scratch_new()};

	scene.api = (struct api){.http = http, .url = fake_registry_url(scene.fake)};
	assert_int_equal(store_open(scratch_path(scene.folder, "registries"), scratch_path(scene.folder, "content"),
				    scratch_path(scene.folder, "own"), LABEL, &scene.store, NULL), 0);
	assert_int_equal(archive_open(scratch_path(scene.folder, "own"), LABEL, &scene.archive, NULL), 0);
	fake_registry_release(scene.fake, "test:good", "1.0.0");
	fake_registry_release(scene.fake, "test:victim", "1.0.0");
	fake_registry_release(scene.fake, "test:victim", "1.1.0");
	fake_registry_sign(scene.fake);
	save(&scene);
	return scene;
}

static void scene_release(struct scene *scene)
{
	store_close(scene->store);
	archive_close(scene->archive);
	scratch_free(scene->folder);
	fake_registry_free(scene->fake);
}

static void move_on(struct scene *scene)
{
	fake_registry_release(scene->fake, "test:victim", "1.2.0");
	fake_registry_release(scene->fake, "test:good", "1.1.0");
	fake_registry_sign(scene->fake);
}

static const char *registry_file(const struct scene *scene, const char *name)
{
	return scratch_path(scratch_path(scene->folder, "registries/" LABEL), name);
}

static const char *state_file(const struct scene *scene, const char *package)
{
	struct name name = forge_name(package);
	struct digest id = name_log_id(&name);
	char hex[DIGEST_TEXT_SIZE];

	hex_encode(digest_span(&id), hex);
	return scratch_path(registry_file(scene, "package-logs/sha256"), hex);
}

/* Put the text `put` in place of `find`, wherever it stands. */
static void edit(const char *path, const char *find, const char *put)
{
	struct buf text = data_read(path), changed;
	const char *at, *next;

	assert_int_equal(buf_append(&text, (struct span){(const unsigned char *)"", 1}, NULL), 0);
	at = (const char *)text.data;
	buf_init(&changed, 1 << 20);
	if (!strstr(at, find))
		fail_msg("%s is not in %s", find, at);
	for (; (next = strstr(at, find)); at = next + strlen(find)) {
		assert_int_equal(buf_append(&changed, (struct span){(const unsigned char *)at, (size_t)(next - at)},
					    NULL), 0);
		assert_int_equal(buf_append_text(&changed, put, NULL), 0);
	}
	assert_int_equal(buf_append_text(&changed, at, NULL), 0);
	scratch_write(path, buf_span(&changed));
	buf_release(&changed);
	buf_release(&text);
}

/* ---- Checks ---- */

static void check_named(const struct scene *scene, const struct name *names, size_t count, struct recheck *out)
{
	struct fault flt = {0};

	if (recheck_prove(&scene->api, scene->store, scene->archive, &scene->anchor, names, count, false, soon(), out,
			  &flt))
		fail_msg("%s", flt.what);
	recheck_compare(out);
}

static int prove_all(const struct scene *scene, struct recheck *out, struct fault *flt)
{
	struct name *names = NULL;
	size_t count;
	int verdict = store_list_packages(scene->store, &names, &count, flt);

	if (!verdict)
		verdict = recheck_prove(&scene->api, scene->store, scene->archive, &scene->anchor, names, count, true,
					soon(), out, flt);
	free(names);
	return verdict;
}

static void check(const struct scene *scene, struct recheck *out)
{
	struct fault flt = {0};

	if (prove_all(scene, out, &flt))
		fail_msg("%s", flt.what);
	recheck_compare(out);
}

static const struct recheck_log *log_of(const struct recheck *recheck, const char *name)
{
	for (size_t i = 0; i < recheck->count; i++)
		if (name ? !strcmp(recheck->logs[i].name.text, name) : recheck->logs[i].is_operator)
			return &recheck->logs[i];
	fail_msg("%s was not looked at", name ? name : "the operator's log");
	return recheck->logs;
}

/* All logs but this one are good. @param name  NULL: the operator's; "": all are */
static void check_others(const struct recheck *recheck, const char *name)
{
	for (size_t i = 0; i < recheck->count; i++) {
		const struct recheck_log *log = &recheck->logs[i];

		if (name ? !strcmp(log->name.text, name) && *name : log->is_operator)
			continue;
		if (log->fault.verdict)
			fail_msg("%s: %s", log->name.text, log->fault.what);
		if (log->difference_count)
			fail_msg("%s: %s: %s, %s", log->name.text, log->differences->what, log->differences->stored,
				 log->differences->proven);
	}
}

static void check_good(const struct scene *scene)
{
	struct recheck recheck;

	check(scene, &recheck);
	assert_int_equal(recheck.count, 3);
	check_others(&recheck, "");
	recheck_release(&recheck);
}

/* ---- What is in order ---- */

static void test_good(void **state)
{
	struct scene scene = scene_new();
	struct recheck recheck;

	(void)state;
	check(&scene, &recheck);
	check_others(&recheck, "");
	assert_int_equal(log_of(&recheck, "test:victim")->releases, 2);
	assert_true(log_of(&recheck, "test:victim")->is_stored);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/logs"), 2); /* ours, and that of save() */
	recheck_release(&recheck);
	scene_release(&scene);
}

/* What is older than the registry is what the log was then. */
static void test_behind(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	move_on(&scene);
	check_good(&scene);
	scene_release(&scene);
}

static void test_nothing_stored(void **state)
{
	struct scene scene = scene_new();
	struct name names[] = {forge_name("test:victim"), forge_name("test:nobody")};
	struct recheck recheck;

	(void)state;
	assert_int_equal(remove(state_file(&scene, "test:victim")), 0);
	check_named(&scene, names, 2, &recheck);
	assert_int_equal(recheck.count, 3);
	check_others(&recheck, "test:nobody");
	assert_false(log_of(&recheck, "test:victim")->is_stored);
	assert_int_equal(log_of(&recheck, "test:nobody")->fault.kind, FAULT_ABSENT);
	recheck_release(&recheck);
	scene_release(&scene);
}

/* ---- What is not: each edit of a file, what has to be named, and what stands on either side ---- */

static const struct edit_case {
	const char *package; /* NULL: the operator's log; "": the checkpoint */
	const char *find, *put;
	const char *what, *stored, *proven;
} edits[] = {
	{"test:victim", "\"1.1.0\"", "\"1.3.0\"", "version 1.3.0: state", "released", "none"},
	{"test:victim", "\"release\",\n        \"yank\"", "\"release\"", "permissions of key sha256:", "release",
	 "release,yank"},
	{"test:victim", "\"status\": \"released\"", "\"status\": \"released\", \"note\": 0", NULL, NULL, NULL},
	{"test:victim", "\"headRegistryIndex\": 4", "\"headRegistryIndex\": 3", "registry index of the head", "3", "4"},
	{NULL, "\"test\": {", "\"other\": {", "namespace other", "defined here", "none"},
	{NULL, "\"commit\",", "", "permissions of key sha256:", "defineNamespace,importNamespace",
	 "commit,defineNamespace,importNamespace"},
	{NULL, "\"headRegistryIndex\": 1", "\"headRegistryIndex\": 0", "registry index of the head", "0", "1"},
	{"", "\"timestamp\": 2001", "\"timestamp\": 2002", "checkpoint", "the signature does not verify",
	 "one that the operator signed"},
	{"", "\"logLength\": 5", "\"logLength\": 4", "checkpoint", "the signature does not verify",
	 "one that the operator signed"},
};

static const char *file_of(const struct scene *scene, const char *package)
{
	if (!package)
		return registry_file(scene, "operator.log");
	return *package ? state_file(scene, package) : registry_file(scene, "checkpoint");
}

/* Whether one of the differences is that. */
static bool has(const struct recheck_log *log, const char *what, const char *stored, const char *proven)
{
	for (size_t i = 0; i < log->difference_count; i++)
		if (!strncmp(log->differences[i].what, what, strlen(what)) &&
		    strstr(log->differences[i].stored, stored) && strstr(log->differences[i].proven, proven))
			return true;
	return false;
}

static void check_edit(const struct edit_case *edited, bool behind)
{
	const char *log_name = edited->package && !*edited->package ? NULL : edited->package;
	struct scene scene = scene_new();
	const struct recheck_log *log;
	struct recheck recheck;

	edit(file_of(&scene, edited->package), edited->find, edited->put);
	if (behind)
		move_on(&scene);
	check(&scene, &recheck);
	check_others(&recheck, edited->what ? log_name : "");
	log = log_of(&recheck, log_name);
	if (edited->what && !has(log, edited->what, edited->stored, edited->proven))
		fail_msg("%s: %zu differences: %s", edited->put, log->difference_count,
			 log->differences ? log->differences->what : "none");
	recheck_release(&recheck);
	scene_release(&scene);
}

static void test_edits(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		check_edit(&edits[i], false);
		check_edit(&edits[i], true);
	}
}

/* The content of a release in a state file is another. */
static void test_content_in_state(void **state)
{
	struct digest right = digest_of(span_of_text("1.1.0")), wrong = digest_of(span_of_text("1.1.1"));
	char texts[2][DIGEST_TEXT_SIZE];
	struct scene scene = scene_new();
	struct recheck recheck;

	(void)state;
	digest_format(&right, texts[0]);
	digest_format(&wrong, texts[1]);
	edit(state_file(&scene, "test:victim"), texts[0], texts[1]);
	check(&scene, &recheck);
	check_others(&recheck, "test:victim");
	assert_int_equal(log_of(&recheck, "test:victim")->difference_count, 1);
	assert_true(has(log_of(&recheck, "test:victim"), "version 1.1.0: content", texts[1], texts[0]));
	recheck_release(&recheck);
	scene_release(&scene);
}

/* A head that no record of the log is. */
static void test_invented_head(void **state)
{
	struct scene scene = scene_new();
	struct name victim = forge_name("test:victim");
	struct store_position position;
	struct package_log *log = NULL;
	char head[DIGEST_TEXT_SIZE];
	struct recheck recheck;

	(void)state;
	assert_int_equal(store_load_package(scene.store, &victim, &log, &position, NULL), 0);
	digest_format(&package_log_head(log)->record_id, head);
	package_log_unref(log);
	edit(state_file(&scene, "test:victim"), head,
	     "sha256:0000000000000000000000000000000000000000000000000000000000000000");
	check(&scene, &recheck);
	check_others(&recheck, "test:victim");
	assert_int_equal(log_of(&recheck, "test:victim")->difference_count, 1);
	assert_true(has(log_of(&recheck, "test:victim"), "head, which is no record of the log", "sha256:0000",
			"none"));
	recheck_release(&recheck);
	scene_release(&scene);
}

/* A state file that is cut short, and one that is no state. */
static void test_damaged_files(void **state)
{
	struct scene scene = scene_new();
	struct name victim = forge_name("test:victim");
	struct recheck recheck;

	(void)state;
	scratch_write_text(state_file(&scene, "test:victim"), "{\"name\": \"test:vi");
	check(&scene, &recheck);
	assert_int_equal(recheck.count, 3);
	assert_true(recheck.logs[2].is_unnamed);
	assert_int_equal(recheck.logs[2].difference_count, 1);
	recheck_release(&recheck);
	/* By its name it is known whose it should be. */
	check_named(&scene, &victim, 1, &recheck);
	assert_int_equal(recheck.count, 2);
	assert_int_equal(log_of(&recheck, "test:victim")->difference_count, 1);
	recheck_release(&recheck);
	/* It says whose it is, and nothing else that could be. */
	scratch_write_text(state_file(&scene, "test:victim"), "{\"name\": \"test:victim\", \"state\": 5}");
	check(&scene, &recheck);
	check_others(&recheck, "test:victim");
	assert_true(has(log_of(&recheck, "test:victim"), "file", "\"state\" is not", "another one"));
	recheck_release(&recheck);
	scene_release(&scene);
}

static void test_contents(void **state)
{
	struct digest digest = digest_of(span_of_text("1.1.0"));
	struct scene scene = scene_new();
	struct recheck recheck;
	char name[128], hex[DIGEST_TEXT_SIZE];

	(void)state;
	hex_encode(digest_span(&digest), hex);
	snprintf(name, sizeof(name), "content/sha256/%s", hex);
	scratch_write_text(scratch_path(scene.folder, name), "1.1.0");
	check(&scene, &recheck);
	check_others(&recheck, "");
	assert_int_equal(log_of(&recheck, "test:victim")->contents, 1);
	recheck_release(&recheck);
	scratch_write_text(scratch_path(scene.folder, name), "1.1.x");
	check(&scene, &recheck);
	assert_true(has(log_of(&recheck, "test:victim"), "version 1.1.0: bytes in the cache", "sha256:", hex));
	recheck_release(&recheck);
	scene_release(&scene);
}

/* The records that are kept: a byte of the last one's signature, in each of the logs. */
static void test_records(void **state)
{
	struct name victim = forge_name("test:victim");
	struct digest log_ids[] = {name_log_id(&victim), name_operator_log_id()};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const char *package = i ? NULL : "test:victim";
		struct scene scene = scene_new();
		char name[160], hex[DIGEST_TEXT_SIZE];
		struct recheck recheck;
		struct buf text;

		hex_encode(digest_span(&log_ids[i]), hex);
		snprintf(name, sizeof(name), "own/" LABEL "/records/%s", hex);
		text = data_read(scratch_path(scene.folder, name));
		text.data[text.length - 90] ^= 1; /* behind it is the fetch token */
		scratch_write(scratch_path(scene.folder, name), buf_span(&text));
		check(&scene, &recheck);
		check_others(&recheck, package);
		assert_int_equal(log_of(&recheck, package)->difference_count, 1);
		assert_true(has(log_of(&recheck, package), "records", "", "the log's own"));
		recheck_release(&recheck);
		buf_release(&text);
		scene_release(&scene);
	}
}

/* More than is kept is counted. */
static void test_many_differences(void **state)
{
	struct scene scene = scene_new();
	struct recheck recheck;

	(void)state;
	for (int i = 0; i < RECHECK_DIFFERENCES + 10; i++) {
		char version[16];

		snprintf(version, sizeof(version), "2.0.%d", i);
		fake_registry_release(scene.fake, "test:victim", version);
	}
	fake_registry_sign(scene.fake);
	save(&scene);
	edit(state_file(&scene, "test:victim"), "\"2.0.", "\"3.0.");
	check(&scene, &recheck);
	assert_int_equal(log_of(&recheck, "test:victim")->difference_count, 2 * (RECHECK_DIFFERENCES + 10));
	recheck_release(&recheck);
	scene_release(&scene);
}

/* ---- A registry that lies ---- */

static void test_lies(void **state)
{
	static const enum fake_lie lies[] = {LIE_RECORD, LIE_OTHER_LOG, LIE_EMPTY, LIE_WITHHELD};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct scene scene = scene_new();
		struct recheck recheck;

		fake_registry_lie(scene.fake, lies[i], "test:victim");
		check(&scene, &recheck);
		check_others(&recheck, "test:victim");
		if (!log_of(&recheck, "test:victim")->fault.verdict)
			fail_msg("lie %d is believed", lies[i]);
		recheck_release(&recheck);
		scene_release(&scene);
	}
}

/* It went back behind what is stored, or what is remembered. */
static void test_rollback(void **state)
{
	struct scene scene = scene_new();
	struct fault flt = {0};
	struct recheck recheck;
	bool found;

	(void)state;
	assert_int_equal(remove(state_file(&scene, "test:victim")), 0);
	assert_int_equal(remove(state_file(&scene, "test:good")), 0);
	fake_registry_lie(scene.fake, LIE_ROLLBACK, NULL);
	check(&scene, &recheck);
	assert_int_equal(log_of(&recheck, NULL)->fault.verdict, WARG_INVALID);
	assert_int_equal(log_of(&recheck, NULL)->fault.party, FAULT_BY_REGISTRY);
	assert_non_null(strstr(log_of(&recheck, NULL)->fault.what, "a rollback"));
	recheck_release(&recheck);

	scene.anchor.known = true;
	assert_int_equal(store_load_checkpoint(scene.store, &scene.anchor.checkpoint, &found, NULL), 0);
	assert_int_equal(prove_all(&scene, &recheck, &flt), WARG_INVALID);
	assert_non_null(strstr(flt.what, "a rollback"));
	scene_release(&scene);
}

static void test_another_operator(void **state)
{
	struct scene scene = scene_new();
	struct fault flt = {0};
	struct recheck recheck;
	bool found;

	(void)state;
	scene.anchor.known = true;
	assert_int_equal(store_load_checkpoint(scene.store, &scene.anchor.checkpoint, &found, NULL), 0);
	assert_int_equal(prove_all(&scene, &recheck, &flt), WARG_INVALID);
	assert_int_equal(flt.party, FAULT_BY_REGISTRY);
	scene_release(&scene);
}

/* ---- No memory is no difference ---- */

/* Of what was proven, so that no round trip is made for each allocation. */
static int try_compare(void *context, struct fault *flt)
{
	struct recheck *recheck = context;

	for (size_t i = 0; i < recheck->count; i++)
		recheck->logs[i].fault = (struct fault){0};
	recheck_compare(recheck);
	for (size_t i = 0; i < recheck->count; i++) {
		assert_int_equal(recheck->logs[i].difference_count, 0);
		if (recheck->logs[i].fault.verdict && !flt->verdict)
			*flt = recheck->logs[i].fault;
	}
	return flt->verdict;
}

static void test_torture(void **state)
{
	struct scene scene = scene_new();
	struct fault flt = {0};
	struct recheck recheck;

	(void)state;
	assert_int_equal(prove_all(&scene, &recheck, &flt), 0);
	torture(try_compare, &recheck);
	recheck_release(&recheck);
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_behind),
		cmocka_unit_test(test_nothing_stored),
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_content_in_state),
		cmocka_unit_test(test_invented_head),
		cmocka_unit_test(test_damaged_files),
		cmocka_unit_test(test_contents),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_many_differences),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_rollback),
		cmocka_unit_test(test_another_operator),
		cmocka_unit_test(test_torture),
	};
	int failed;

	if (http_new(&http, NULL))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	http_free(http);
	return failed;
}
