/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Updates against a registry that lies: what is believed, what is refused, and who is blamed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/sync/sync.h"
#include "fake_registry.h"
#include "forge.h"
#include "torture.h"

static struct http *http;

/* A registry with a victim and two good packages, and a view of it. */
struct scene {
	struct fake_registry *fake;
	struct api api;
	struct view *view;
};

static clock_ms soon(void)
{
	return clock_in_seconds(60);
}

static int refresh(struct scene *scene, struct fault *flt)
{
	struct view *next;
	int verdict = sync_refresh(&scene->api, NULL, NULL, scene->view, NULL, 0, soon(), &next, NULL, flt);

	if (!verdict) {
		view_unref(scene->view);
		scene->view = next;
	}
	return verdict;
}

/* Add packages; each has to come to `verdicts`, or to 0 where that is NULL. */
static void add(struct scene *scene, const char *const *names, size_t count, const int *verdicts)
{
	struct sync_wanted *wanted = calloc(count, sizeof(*wanted));
	struct view *next;

	assert_non_null(wanted);
	for (size_t i = 0; i < count; i++)
		wanted[i].name = forge_name(names[i]);
	assert_int_equal(sync_add(&scene->api, NULL, scene->view, wanted, count, soon(), &next, NULL), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(wanted[i].fault.verdict, verdicts ? verdicts[i] : 0);
	view_unref(scene->view);
	scene->view = next;
	free(wanted);
}

static struct scene scene_new(void)
{
	struct scene scene = {.fake = fake_registry_new()};

	scene.api = (struct api){.http = http, .url = fake_registry_url(scene.fake)};
	fake_registry_release(scene.fake, "test:good", "1.0.0");
	fake_registry_release(scene.fake, "test:victim", "1.0.0");
	fake_registry_release(scene.fake, "test:fine", "1.0.0");
	fake_registry_sign(scene.fake);
	return scene;
}

static void scene_release(struct scene *scene)
{
	view_unref(scene->view);
	fake_registry_free(scene->fake);
}

/* A scene whose view has all packages, while the registry has moved on. */
static struct scene scene_behind(void)
{
	static const char *const names[] = {"test:good", "test:victim", "test:fine"};
	struct scene scene = scene_new();

	assert_int_equal(refresh(&scene, NULL), 0);
	add(&scene, names, 3, NULL);
	fake_registry_release(scene.fake, "test:victim", "1.1.0");
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_release(scene.fake, "test:victim", "1.2.0");
	fake_registry_release(scene.fake, "test:fine", "1.1.0");
	fake_registry_sign(scene.fake);
	return scene;
}

static size_t releases(const struct view *view, const char *text)
{
	struct name name = forge_name(text);
	const struct view_package *package = view_find(view, &name);
	size_t count = 0;

	if (package)
		package_log_releases(package->log, &count);
	return count;
}

static const struct fault *fault_of(const struct view *view, const char *text)
{
	struct name name = forge_name(text);

	return view_package_fault(view_find(view, &name));
}

/* ---- The honest registry ---- */

static void test_first_contact(void **state)
{
	static const char *const names[] = {"test:good", "test:nothing", "test:fine"};
	static const int verdicts[] = {0, WARG_UNDECIDED, 0};
	struct scene scene = scene_new();

	(void)state;
	assert_int_equal(refresh(&scene, NULL), 0);
	assert_int_equal(scene.view->checkpoint.contents.log_length, 5);
	assert_true(scene.view->verified_at > 0);
	assert_int_equal(scene.view->packages.count, 0);
	add(&scene, names, 3, verdicts);
	assert_int_equal(scene.view->packages.count, 2);
	assert_int_equal(releases(scene.view, "test:good"), 1);
	scene_release(&scene);
}

static int is_at_nine(void *user, const struct view_package *package)
{
	(void)user;
	assert_int_equal(package->log_length, 9);
	return 0;
}

static void test_growth(void **state)
{
	struct scene scene = scene_behind();

	(void)state;
	assert_int_equal(refresh(&scene, NULL), 0);
	assert_int_equal(releases(scene.view, "test:good"), 2);
	assert_int_equal(releases(scene.view, "test:victim"), 3);
	assert_int_equal(view_trie_each(&scene.view->packages, is_at_nine, NULL), 0);
	scene_release(&scene);
}

/* A record that is committed, and not yet under a checkpoint: the package does not exist yet. */
static void test_not_yet(void **state)
{
	static const char *const names[] = {"test:later"};
	static const int verdicts[] = {WARG_UNDECIDED};
	struct scene scene = scene_new();

	(void)state;
	assert_int_equal(refresh(&scene, NULL), 0);
	fake_registry_release(scene.fake, "test:later", "1.0.0");
	add(&scene, names, 1, verdicts);
	fake_registry_sign(scene.fake);
	assert_int_equal(refresh(&scene, NULL), 0);
	add(&scene, names, 1, NULL);
	scene_release(&scene);
}

static void test_signed_anew_is_one_request(void **state)
{
	struct scene scene = scene_behind();
	unsigned before;
	uint64_t timestamp;

	(void)state;
	assert_int_equal(refresh(&scene, NULL), 0);
	timestamp = scene.view->checkpoint.contents.timestamp;
	fake_registry_sign(scene.fake);
	before = server_requests(fake_registry_server(scene.fake));
	assert_int_equal(refresh(&scene, NULL), 0);
	assert_int_equal(server_requests(fake_registry_server(scene.fake)), before + 1);
	assert_int_equal(scene.view->checkpoint.contents.timestamp, timestamp + 1);
	scene_release(&scene);
}

static void test_pages(void **state)
{
	static const char *const names[] = {"test:long", "test:good"};
	struct scene scene = scene_new();

	(void)state;
	for (unsigned i = 0; i < 7; i++) {
		char version[16];

		snprintf(version, sizeof(version), "1.%u.0", i);
		fake_registry_release(scene.fake, "test:long", version);
	}
	fake_registry_sign(scene.fake);
	fake_registry_page(scene.fake, 2);
	assert_int_equal(refresh(&scene, NULL), 0);
	add(&scene, names, 2, NULL);
	assert_int_equal(releases(scene.view, "test:long"), 7);
	scene_release(&scene);
}

#define MANY 500

/*
 * Four round trips for any number of packages: one call each for checkpoint, inclusion and consistency, and those for
 * logs all under way before the first of them is answered.
 */
static void test_round_trips(void **state)
{
	static char texts[MANY][32];
	const char *names[MANY];
	struct scene scene = scene_new();
	unsigned together = (MANY + 63) / 64;

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		snprintf(texts[i], sizeof(texts[i]), "test:p%zu", i);
		names[i] = texts[i];
		fake_registry_release(scene.fake, texts[i], "1.0.0");
	}
	fake_registry_sign(scene.fake);
	assert_int_equal(refresh(&scene, NULL), 0);
	add(&scene, names, MANY, NULL);
	for (size_t i = 0; i < MANY; i++)
		fake_registry_release(scene.fake, texts[i], "1.1.0");
	fake_registry_sign(scene.fake);
	fake_registry_gather(scene.fake, "v1/fetch/logs", together);
	assert_int_equal(refresh(&scene, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/checkpoint"), 1);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/logs"), together);
	assert_int_equal(fake_registry_count(scene.fake, "v1/proof/inclusion"), 1);
	assert_int_equal(fake_registry_count(scene.fake, "v1/proof/consistency"), 1);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(releases(scene.view, texts[i]), 2);
	scene_release(&scene);
}

/* ---- Lies that refuse the whole ---- */

struct refusal {
	const char *what;
	enum fake_lie lie;
	int verdict;
	const char *says; /* a part of the fault: several checks may catch a lie, and the first is to */
};

static const struct refusal refusals[] = {
	{"a key that is unknown", LIE_KEY_UNKNOWN, WARG_INVALID, ""},
	{"a key without COMMIT", LIE_KEY_NO_COMMIT, WARG_INVALID, ""},
	{"another length", LIE_LENGTH, WARG_INVALID, ""},
	{"another log root", LIE_LOG_ROOT, WARG_INVALID, ""},
	{"another map root", LIE_MAP_ROOT, WARG_INVALID, ""},
	{"another time than was signed", LIE_TIME, WARG_INVALID, ""},
	{"a rollback", LIE_ROLLBACK, WARG_INVALID, "a rollback"},
	{"HTML", LIE_GARBAGE, WARG_INVALID, ""},
	{"a hash of the consistency proof", LIE_CONSISTENCY_HASH, WARG_INVALID, ""},
	{"a consistency proof of another length", LIE_CONSISTENCY_FROM, WARG_INVALID, ""},
	{"no consistency proof", LIE_CONSISTENCY_NONE, WARG_UNDECIDED, ""},
	{"more proofs", LIE_PROOFS_MORE, WARG_INVALID, ""},
	{"more records that never come", LIE_MORE, WARG_INVALID, "sends none"},
};

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		struct scene scene = scene_behind();
		struct view *before = scene.view;
		struct fault flt = {0};
		int verdict;

		fake_registry_lie(scene.fake, refusals[i].lie, NULL);
		verdict = refresh(&scene, &flt);
		if (verdict != refusals[i].verdict || !strstr(flt.what, refusals[i].says))
			fail_msg("%s: verdict %d, %s", refusals[i].what, verdict, flt.what);
		assert_int_equal(flt.verdict, verdict);
		assert_int_equal(flt.party, FAULT_BY_REGISTRY);
		assert_ptr_equal(scene.view, before);
		assert_int_equal(releases(scene.view, "test:victim"), 1);

		fake_registry_lie(scene.fake, LIE_NONE, NULL);
		assert_int_equal(refresh(&scene, NULL), 0);
		assert_int_equal(releases(scene.view, "test:victim"), 3);
		scene_release(&scene);
	}
}

/* A known, wanted package whose new records are a lie stays as it was, and the fault is reported. */
static void test_known_and_wanted(void **state)
{
	struct scene scene = scene_behind();
	struct sync_wanted wanted = {.name = forge_name("test:victim")};
	struct view *next;

	(void)state;
	fake_registry_lie(scene.fake, LIE_RECORD, "test:victim");
	assert_int_equal(sync_refresh(&scene.api, NULL, NULL, scene.view, &wanted, 1, soon(), &next, NULL, NULL), 0);
	assert_int_equal(wanted.fault.verdict, WARG_INVALID);
	assert_int_equal(releases(next, "test:victim"), 1);
	view_unref(next);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	assert_int_equal(sync_refresh(&scene.api, NULL, NULL, scene.view, &wanted, 1, soon(), &next, NULL, NULL), 0);
	assert_int_equal(wanted.fault.verdict, 0);
	assert_int_equal(releases(next, "test:victim"), 3);
	view_unref(next);
	scene_release(&scene);
}

/*
 * What is shown is of a shorter checkpoint than one that was believed before: the registry is held to both, and brings
 * what is shown along.
 */
static void test_held_to_more(void **state)
{
	struct scene scene = scene_behind(), other = scene_new();
	struct signed_checkpoint held;
	struct fault flt = {0};

	(void)state;
	assert_int_equal(api_fetch_checkpoint(&scene.api, soon(), &held, NULL), 0);
	scene.view->held[0] = held;
	fake_registry_lie(scene.fake, LIE_ROLLBACK, NULL);
	assert_int_equal(refresh(&scene, &flt), WARG_INVALID);
	assert_non_null(strstr(flt.what, "a rollback"));
	fake_registry_lie(scene.fake, LIE_LOG_ROOT, NULL);
	flt = (struct fault){0};
	assert_int_equal(refresh(&scene, &flt), WARG_INVALID);
	assert_non_null(strstr(flt.what, "a fork"));
	/* What is shown must have grown into it, too. */
	fake_registry_lie(scene.fake, LIE_CONSISTENCY_HASH, NULL);
	assert_int_equal(refresh(&scene, NULL), WARG_INVALID);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	assert_int_equal(refresh(&scene, NULL), 0);
	assert_int_equal(scene.view->held[0].contents.log_length, 0);
	assert_int_equal(releases(scene.view, "test:victim"), 3);
	scene_release(&scene);

	/* A held one of another history, which the registry did not grow out of. */
	scene = scene_behind();
	fake_registry_release(other.fake, "test:elsewhere", "1.0.0");
	fake_registry_sign(other.fake);
	assert_int_equal(api_fetch_checkpoint(&other.api, soon(), &scene.view->held[1], NULL), 0);
	assert_int_equal(refresh(&scene, NULL), WARG_INVALID);
	scene_release(&other);
	scene_release(&scene);
}

/* The operator contradicts himself at the length that we have. */
static void test_fork(void **state)
{
	static const enum fake_lie lies[] = {LIE_LOG_ROOT, LIE_MAP_ROOT};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct scene scene = scene_behind();
		struct fault flt = {0};

		assert_int_equal(refresh(&scene, NULL), 0);
		fake_registry_lie(scene.fake, lies[i], NULL);
		assert_int_equal(refresh(&scene, &flt), WARG_INVALID);
		assert_non_null(strstr(flt.what, "a fork"));
		fake_registry_lie(scene.fake, LIE_NONE, NULL);
		assert_int_equal(refresh(&scene, NULL), 0);
		scene_release(&scene);
	}
}

/* At first contact there is nothing yet that a lie could contradict but the lie itself. */
static void test_first_contact_refused(void **state)
{
	static const enum fake_lie lies[] = {LIE_KEY_UNKNOWN, LIE_KEY_NO_COMMIT, LIE_LOG_ROOT, LIE_MAP_ROOT, LIE_TIME,
					     LIE_OPERATOR_RECORD, LIE_PROOFS_MORE, LIE_GARBAGE};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct scene scene = scene_new();

		fake_registry_lie(scene.fake, lies[i], NULL);
		assert_int_equal(refresh(&scene, NULL), WARG_INVALID);
		assert_null(scene.view);
		fake_registry_lie(scene.fake, LIE_NONE, NULL);
		assert_int_equal(refresh(&scene, NULL), 0);
		scene_release(&scene);
	}
}

/* ---- Lies about one package ---- */

static const struct refusal packages[] = {
	{"another package's records", LIE_OTHER_LOG, WARG_INVALID, ""},
	{"a record withheld", LIE_WITHHELD, WARG_INVALID, ""},
	{"no log", LIE_ABSENT, WARG_INVALID, "proven to be there"},
	{"a changed record", LIE_RECORD, WARG_INVALID, ""},
	{"an index behind the end", LIE_INDEX_PAST, WARG_INVALID, "no such record"},
	{"another index", LIE_INDEX, WARG_INVALID, ""},
	{"all indices the same", LIE_INDEX_ORDER, WARG_INVALID, "does not come after"},
	{"a refused proof", LIE_PROOFS_REFUSED, WARG_UNDECIDED, ""},
};

static void test_one_bad_package_hides_no_other(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(packages) / sizeof(packages[0]); i++) {
		struct scene scene = scene_behind();
		int verdict;

		fake_registry_lie(scene.fake, packages[i].lie, "test:victim");
		assert_int_equal(refresh(&scene, NULL), 0);
		verdict = fault_of(scene.view, "test:victim")->verdict;
		if (verdict != packages[i].verdict ||
		    !strstr(fault_of(scene.view, "test:victim")->what, packages[i].says))
			fail_msg("%s: verdict %d, %s", packages[i].what, verdict,
				 fault_of(scene.view, "test:victim")->what);
		assert_int_equal(fault_of(scene.view, "test:victim")->party, FAULT_BY_REGISTRY);
		assert_non_null(strstr(fault_of(scene.view, "test:victim")->where, "test:victim"));
		assert_int_equal(releases(scene.view, "test:victim"), 1);
		assert_int_equal(releases(scene.view, "test:good"), 2);
		assert_int_equal(releases(scene.view, "test:fine"), 2);
		assert_int_equal(fault_of(scene.view, "test:good")->verdict, 0);

		/* The checkpoint is the same; what failed is tried again all the same. */
		fake_registry_lie(scene.fake, LIE_NONE, NULL);
		assert_int_equal(refresh(&scene, NULL), 0);
		assert_int_equal(fault_of(scene.view, "test:victim")->verdict, 0);
		assert_int_equal(releases(scene.view, "test:victim"), 3);
		scene_release(&scene);
	}
}

/* A record of `size` bytes, otherwise well-formed. */
static struct forge_record oversized(size_t size, const struct ecdsa_private_key *key)
{
	struct forge_record made;
	struct buf content;

	buf_init(&content, size);
	assert_int_equal(buf_reserve(&content, size, NULL), 0);
	memset(content.data, 'x', size);
	content.length = size;
	forge_content(RECORD_PACKAGE, buf_span(&content), key, &made);
	buf_release(&content);
	return made;
}

/* A record past a bound is a fault of its package, whether it fits into an answer or not. */
static void test_one_too_large(void **state)
{
	static const char *const names[] = {"test:good", "test:victim", "test:fine"};
	static const size_t sizes[] = {CAP_RECORD + 1, CAP_RECORD_CARRIED + 1};
	struct ecdsa_private_key *key = forge_key(2);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct scene scene = scene_new();
		struct forge_record made = oversized(sizes[i], key);
		const struct record_envelope envelope = forge_envelope(&made);
		struct sync_wanted wanted[3] = {0};
		struct view *next;

		fake_registry_put(scene.fake, "test:victim", &envelope);
		fake_registry_sign(scene.fake);
		assert_int_equal(refresh(&scene, NULL), 0);
		fake_registry_gather(scene.fake, "", 0);
		for (size_t j = 0; j < 3; j++)
			wanted[j].name = forge_name(names[j]);
		assert_int_equal(sync_add(&scene.api, NULL, scene.view, wanted, 3, clock_in_seconds(60), &next, NULL),
				 0);
		view_unref(scene.view);
		scene.view = next;
		assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/logs"), 1);
		assert_int_equal(releases(scene.view, "test:good"), 1);
		assert_int_equal(releases(scene.view, "test:fine"), 1);
		assert_int_equal(wanted[0].fault.verdict, 0);
		assert_int_equal(wanted[1].fault.verdict, WARG_UNDECIDED);
		assert_int_equal(wanted[1].fault.kind, FAULT_OVERSIZED);
		assert_int_equal(wanted[1].fault.party, FAULT_BY_REGISTRY);
		assert_non_null(strstr(wanted[1].fault.where, "package test:victim"));
		assert_null(strstr(wanted[1].fault.where, "operator"));
		forge_record_release(&made);
		scene_release(&scene);
	}
	ecdsa_private_key_free(key);
}

static void test_one_bad_package_of_those_added(void **state)
{
	static const char *const names[] = {"test:fine", "test:victim", "test:good"};
	static const enum fake_lie lies[] = {LIE_OTHER_LOG, LIE_RECORD, LIE_INDEX, LIE_INDEX_PAST, LIE_EMPTY,
					     LIE_ABSENT, LIE_PROOFS_REFUSED};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct scene scene = scene_behind();
		int verdicts[] = {0, lies[i] == LIE_EMPTY || lies[i] == LIE_ABSENT || lies[i] == LIE_PROOFS_REFUSED ?
					     WARG_UNDECIDED : WARG_INVALID, 0};

		view_unref(scene.view);
		scene.view = NULL;
		assert_int_equal(refresh(&scene, NULL), 0);
		fake_registry_lie(scene.fake, lies[i], "test:victim");
		add(&scene, names, 3, verdicts);
		assert_int_equal(scene.view->packages.count, 2);
		fake_registry_lie(scene.fake, LIE_NONE, NULL);
		add(&scene, names, 3, NULL);
		assert_int_equal(scene.view->packages.count, 3);
		scene_release(&scene);
	}
}

/* Several bad ones among many are found by halving; nothing is asked for without end. */
static void test_bad_ones_among_many(void **state)
{
	char text[32];
	const char *names[64];
	static char texts[64][32];
	struct scene scene = scene_new();
	int verdicts[64] = {0};

	(void)state;
	for (size_t i = 0; i < 64; i++) {
		snprintf(texts[i], sizeof(text), "test:p%zu", i);
		names[i] = texts[i];
		fake_registry_release(scene.fake, texts[i], "1.0.0");
	}
	fake_registry_sign(scene.fake);
	assert_int_equal(refresh(&scene, NULL), 0);
	fake_registry_gather(scene.fake, "", 0);
	fake_registry_lie(scene.fake, LIE_PROOFS_REFUSED, "test:p17");
	verdicts[17] = WARG_UNDECIDED;
	add(&scene, names, 64, verdicts);
	assert_int_equal(scene.view->packages.count, 63);
	assert_int_equal(fake_registry_count(scene.fake, "v1/proof/inclusion"), 1 + 2 * 6);
	scene_release(&scene);
}

/* With every proof a lie, the calls stay bounded, and everything that was proven stays. */
static void test_nothing_but_lies_is_bounded(void **state)
{
	struct scene scene = scene_behind();

	(void)state;
	fake_registry_gather(scene.fake, "", 0);
	fake_registry_lie(scene.fake, LIE_PROOFS_MORE, NULL);
	assert_int_equal(refresh(&scene, NULL), WARG_INVALID);
	assert_true(fake_registry_count(scene.fake, "v1/proof/inclusion") <= 7);
	assert_int_equal(releases(scene.view, "test:good"), 1);
	scene_release(&scene);
}

static int is_as_it_was(void *user, const struct view_package *package)
{
	size_t count;

	(void)user;
	package_log_releases(package->log, &count);
	assert_int_equal(view_package_fault(package)->verdict, WARG_INVALID);
	assert_int_equal(package->log_length, 5);
	assert_int_equal(count, 1);
	return 0;
}

/* Proofs of the operator's record alone, whatever is asked for: it is proven, and the packages stay as they were. */
static void test_proofs_of_something_else(void **state)
{
	struct scene scene = scene_behind();

	(void)state;
	fake_registry_lie(scene.fake, LIE_PROOFS_OTHER, NULL);
	assert_int_equal(refresh(&scene, NULL), 0);
	assert_int_equal(view_trie_each(&scene.view->packages, is_as_it_was, NULL), 0);
	scene_release(&scene);
}

/* Proofs of all together, in another order or too few: alone, each of them can still be had, and is no lie. */
static void test_proofs_that_are_good_alone(void **state)
{
	static const enum fake_lie lies[] = {LIE_PROOFS_FEWER, LIE_PROOFS_REORDERED, LIE_MAP_FEWER,
					     LIE_PROOFS_LONG};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct scene scene = scene_behind();

		fake_registry_lie(scene.fake, lies[i], NULL);
		assert_int_equal(refresh(&scene, NULL), 0);
		assert_int_equal(releases(scene.view, "test:victim"), 3);
		assert_true(fake_registry_count(scene.fake, "v1/proof/inclusion") > 2);
		scene_release(&scene);
	}
}

/* ---- What lay in the store ---- */

/* A log as a store would give it, to be forged at will. */
static struct sync_wanted stored_of(const struct view *view, const char *text)
{
	struct name name = forge_name(text);
	const struct view_package *package = view_find(view, &name);

	return (struct sync_wanted){
		.name = name,
		.stored = package_log_ref(package->log),
		.stored_position = view_package_position(package),
	};
}

static void forget_index(struct sync_wanted *wanted)
{
	wanted->stored_position.known = false;
}

static void move_index(struct sync_wanted *wanted)
{
	wanted->stored_position.registry_index = 0;
}

static void index_past_end(struct sync_wanted *wanted)
{
	wanted->stored_position.registry_index = 1000;
}

static void forget_token(struct sync_wanted *wanted)
{
	wanted->stored_position.token[0] = '\0';
}

static void unknown_token(struct sync_wanted *wanted)
{
	strcpy(wanted->stored_position.token, "nobody-knows");
}

static void nothing(struct sync_wanted *wanted)
{
	(void)wanted;
}

/* A state that nobody ever signed, of the same package. */
static void forged_state(struct sync_wanted *wanted)
{
	struct log_head head = *package_log_head(wanted->stored);
	const struct log_key *key = &package_log_keys(wanted->stored)->keys[0];
	struct package_log *forged;

	head.record_id.bytes[0] ^= 1;
	assert_int_equal(package_log_new(&wanted->name, &forged, NULL), 0);
	assert_int_equal(package_log_restore_key(forged, key->key, key->permissions, NULL), 0);
	assert_int_equal(package_log_restore_head(forged, &head, NULL), 0);
	package_log_unref(wanted->stored);
	wanted->stored = forged;
}

static void test_stored(void **state)
{
	static const struct {
		const char *what;
		void (*forge)(struct sync_wanted *wanted);
		enum fake_lie lie; /* of the registry's, where that makes the state useless */
	} cases[] = {
		{"a good one", nothing, LIE_NONE},
		{"no index", forget_index, LIE_NONE},
		{"another index", move_index, LIE_NONE},
		{"an index past the end", index_past_end, LIE_NONE},
		{"no token", forget_token, LIE_NONE},
		{"an unknown token", unknown_token, LIE_NONE},
		{"a forged state", forged_state, LIE_NONE},
		{"a registry that lost its tokens", nothing, LIE_TOKENS},
		{"a registry that hangs up on tokens", nothing, LIE_TOKENS_HANG_UP},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int grown = 0; grown < 2; grown++) {
			struct scene scene = scene_behind();
			struct sync_wanted wanted[2] = {stored_of(scene.view, "test:victim"),
							{.name = forge_name("test:good")}};
			struct view_trie known = {0};
			struct view *next;

			cases[i].forge(&wanted[0]);
			if (!grown) {
				/* At the checkpoint at which it was stored. */
				known = scene.view->packages;
				scene.view->packages = (struct view_trie){0};
			} else {
				view_unref(scene.view);
				scene.view = NULL;
				assert_int_equal(refresh(&scene, NULL), 0);
			}
			fake_registry_lie(scene.fake, cases[i].lie, NULL);
			assert_int_equal(sync_add(&scene.api, NULL, scene.view, wanted, 2, soon(), &next, NULL), 0);
			if (wanted[0].fault.verdict || wanted[1].fault.verdict)
				fail_msg("%s: %s%s", cases[i].what, wanted[0].fault.what, wanted[1].fault.what);
			assert_int_equal(releases(next, "test:victim"), grown ? 3 : 1);
			assert_int_equal(releases(next, "test:good"), grown ? 2 : 1);
			if (!grown)
				scene.view->packages = known;
			package_log_unref(wanted[0].stored);
			view_unref(next);
			scene_release(&scene);
		}
	}
}

/* The registry forgot all tokens: what was proven has to come again from the first record, and does. */
static void test_tokens_forgotten(void **state)
{
	struct scene scene = scene_behind();

	(void)state;
	fake_registry_lie(scene.fake, LIE_TOKENS, NULL);
	assert_int_equal(refresh(&scene, NULL), 0);
	assert_int_equal(releases(scene.view, "test:victim"), 3);
	scene_release(&scene);
}

/*
 * The operator's log from the store: forged, it is given up; with a good checkpoint beside it, a rollback is still
 * one.
 */
static void test_stored_operator(void **state)
{
	struct scene scene = scene_behind();
	const struct log_key *key = &operator_log_keys(scene.view->operator)->keys[1];
	struct operator_log *forged;
	struct view *stored;

	(void)state;
	assert_int_equal(view_copy(scene.view, &stored, NULL), 0);
	stored->verified_at = 0;
	view_unref(scene.view);
	scene.view = stored;
	fake_registry_lie(scene.fake, LIE_ROLLBACK, NULL);
	assert_int_equal(refresh(&scene, NULL), WARG_INVALID);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	assert_int_equal(operator_log_new(&forged, NULL), 0);
	assert_int_equal(operator_log_restore_key(forged, key->key, key->permissions, NULL), 0);
	assert_int_equal(operator_log_restore_head(forged, operator_log_head(stored->operator), NULL), 0);
	operator_log_unref(stored->operator);
	stored->operator = forged;
	assert_int_equal(refresh(&scene, NULL), 0);
	assert_true(scene.view->verified_at > 0);
	scene_release(&scene);
}

/* ---- The network and memory ---- */

static void test_unreachable(void **state)
{
	struct scene scene = scene_behind();
	struct http_url nowhere;
	struct fault flt = {0};

	(void)state;
	assert_int_equal(http_url_parse("http://127.0.0.1:1/", &nowhere, NULL), 0);
	scene.api.url = &nowhere;
	assert_int_equal(refresh(&scene, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_UNREACHABLE);
	scene_release(&scene);
}

static void test_deadline(void **state)
{
	struct scene scene = scene_behind();
	struct view *next;
	struct fault flt = {0};

	(void)state;
	assert_int_equal(sync_refresh(&scene.api, NULL, NULL, scene.view, NULL, 0, clock_now(), &next, NULL, &flt),
			 WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_TIMEOUT);
	scene_release(&scene);
}

/* Packages fail for lack of memory, each for itself, or the whole does: no verdict is ever INVALID. */
static int take_fault(void *user, const struct view_package *package)
{
	*(struct fault *)user = *view_package_fault(package);
	return view_package_fault(package)->verdict;
}

static int refresh_once(void *context, struct fault *flt)
{
	struct scene *scene = context;
	struct view *next = NULL;
	int verdict = sync_refresh(&scene->api, NULL, NULL, scene->view, NULL, 0, soon(), &next, NULL, flt);

	if (!verdict)
		verdict = view_trie_each_failed(&next->packages, take_fault, flt);
	view_unref(next);
	return verdict;
}

static void test_torture(void **state)
{
	struct scene scene = scene_behind();

	(void)state;
	torture(refresh_once, &scene);
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_contact),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_not_yet),
		cmocka_unit_test(test_signed_anew_is_one_request),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_known_and_wanted),
		cmocka_unit_test(test_held_to_more),
		cmocka_unit_test(test_first_contact_refused),
		cmocka_unit_test(test_one_bad_package_hides_no_other),
		cmocka_unit_test(test_one_too_large),
		cmocka_unit_test(test_one_bad_package_of_those_added),
		cmocka_unit_test(test_bad_ones_among_many),
		cmocka_unit_test(test_nothing_but_lies_is_bounded),
		cmocka_unit_test(test_proofs_of_something_else),
		cmocka_unit_test(test_proofs_that_are_good_alone),
		cmocka_unit_test(test_stored),
		cmocka_unit_test(test_tokens_forgotten),
		cmocka_unit_test(test_stored_operator),
		cmocka_unit_test(test_unreachable),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_torture),
	};
	int failed;

	if (http_new(&http, NULL))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	http_free(http);
	return failed;
}
