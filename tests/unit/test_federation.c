/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A home registry and others: who is asked what, whose word counts, and that nobody gets what is not theirs.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/registry/federation.h"
#include "fake_registry.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"

#define TIMEOUT 60
#define MANY 70 /* packages: an update of so many goes by the stored ledger */
#define WELL_KNOWN "/.well-known/wasm-pkg/registry.json"

struct scene {
	struct fake_registry *home, *other, *third; /* with the namespaces test, other, other */
	char *folder;
	char registries[512], contents[512], own[512], state[512], map[512];
	enum federation_hints hints;
	bool accepts;
	unsigned timeout; /* 0: TIMEOUT */
	unsigned asked;
	struct federation *federation;
	struct registry *where;
	struct credential *credential; /* token of the home registry: "secret" */
	const char *other_token;       /* token stored for the other one; NULL: none */
};

static int find_token(void *user, const struct http_url *url, struct buf *token, struct fault *flt)
{
	struct scene *scene = user;

	assert_string_equal(url->text, fake_registry_url(scene->other)->text);
	return scene->other_token ? buf_append_text(token, scene->other_token, flt) : 0;
}

static bool accept_it(void *user, const char *namespace, const char *domain)
{
	struct scene *scene = user;

	assert_string_equal(namespace, "other");
	assert_string_equal(domain, fake_registry_domain(scene->other));
	scene->asked++;
	return scene->accepts;
}

static int try_open(struct scene *scene, struct fault *flt)
{
	const struct federation_options options = {
		.home = {
			.url = *fake_registry_url(scene->home),
			.registries_dir = scene->registries,
			.content_dir = scene->contents,
			.own_dir = scene->own,
			.state_dir = scene->state,
			.credential = scene->credential,
			.timeout = scene->timeout ? scene->timeout : TIMEOUT,
		},
		.map = scene->map,
		.hints = scene->hints,
		.accept = accept_it,
		.user = scene,
		.tokens = {.find = find_token, .user = scene},
	};

	return federation_open(&options, &scene->federation, flt);
}

static void open_it(struct scene *scene)
{
	assert_int_equal(try_open(scene, NULL), 0);
}

static void scene_init(struct scene *scene)
{
	const struct credential_source none = {0};

	*scene = (struct scene){
		.home = fake_registry_new(),
		.other = fake_registry_new_by("other", 5),
		.third = fake_registry_new_by("other", 6),
		.folder = scratch_new(),
	};
	snprintf(scene->registries, sizeof(scene->registries), "%s/registries", scene->folder);
	snprintf(scene->contents, sizeof(scene->contents), "%s/content", scene->folder);
	snprintf(scene->own, sizeof(scene->own), "%s/own", scene->folder);
	snprintf(scene->state, sizeof(scene->state), "%s/state", scene->folder);
	snprintf(scene->map, sizeof(scene->map), "%s/namespaces", scene->folder);
	fake_registry_release(scene->home, "test:good", "1.0.0");
	fake_registry_release(scene->other, "other:thing", "1.0.0");
	fake_registry_release(scene->third, "other:thing", "2.0.0");
	fake_registry_release(scene->third, "other:thing", "2.0.1");
	fake_registry_sign(scene->home);
	fake_registry_sign(scene->other);
	fake_registry_sign(scene->third);
	assert_int_equal(credential_new(fake_registry_url(scene->home), span_of_text("secret"), &none,
					&scene->credential, NULL), 0);
}

static void scene_release(struct scene *scene)
{
	federation_close(scene->federation);
	credential_unref(scene->credential);
	fake_registry_free(scene->home);
	fake_registry_free(scene->other);
	fake_registry_free(scene->third);
	scratch_free(scene->folder);
}

static void reopen(struct scene *scene)
{
	federation_close(scene->federation);
	open_it(scene);
}

static void map_to(const struct scene *scene, const char *namespace, const char *domain)
{
	assert_int_equal(namespaces_add(scene->map, span_of_text(namespace), domain, NULL), 0);
}

static void import_from(const struct scene *scene, const char *domain)
{
	fake_registry_import(scene->home, "other", domain);
	fake_registry_sign(scene->home);
}

/* Update one package. @return its own verdict */
static int update(struct scene *scene, const char *text, struct fault *flt)
{
	struct name name = forge_name(text);
	struct fault own = {0};

	scene->where = NULL;
	federation_update(scene->federation, &name, 1, &scene->where, &own, NULL);
	if (flt)
		*flt = own;
	return own.verdict;
}

static size_t releases(struct registry *registry, const char *text)
{
	struct view *view = registry_view(registry);
	struct name name = forge_name(text);
	const struct view_package *package = view_find(view, &name);
	size_t count = 0;

	if (package)
		package_log_releases(package->log, &count);
	view_unref(view);
	return count;
}

static bool has_folder(const char *parent, const char *name)
{
	return access(scratch_path(parent, name), F_OK) == 0;
}

/* That other:thing comes from `other`, which has one release of it. */
static void expect_from_other(struct scene *scene)
{
	struct fault flt = {0};

	if (update(scene, "other:thing", &flt))
		fail_msg("%s: %s", flt.where, flt.what);
	assert_ptr_not_equal(scene->where, federation_home(scene->federation));
	assert_string_equal(federation_name_of(scene->federation, scene->where), fake_registry_domain(scene->other));
	assert_int_equal(releases(scene->where, "other:thing"), 1);
}

static void expect_absent(struct scene *scene, const char *words)
{
	struct fault flt = {0};

	assert_int_equal(update(scene, "other:thing", &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	if (words)
		assert_non_null(strstr(flt.what, words));
	else
		assert_null(strstr(flt.what, "hint"));
	assert_int_equal(server_requests(fake_registry_server(scene->other)), 0);
	assert_int_equal(access(scene->map, F_OK), -1);
}

/* ---- Whom to talk to ---- */

/* The home registry answers 501: the other one is talked to, without the token, and what is its own lies apart. */
static void test_direct(void **state)
{
	struct scene scene;
	const char *domain;

	(void)state;
	scene_init(&scene);
	domain = fake_registry_domain(scene.other);
	map_to(&scene, "other", domain);
	open_it(&scene);
	expect_from_other(&scene);
	assert_int_equal(fake_registry_count_header(scene.home, "warg-registry:"), 1);
	assert_true(fake_registry_count_header(scene.home, "authorization: bearer secret") > 1);
	assert_int_equal(fake_registry_count_header(scene.other, "warg-registry:"), 0);
	assert_int_equal(fake_registry_count_header(scene.other, "authorization:"), 0);
	assert_int_equal(update(&scene, "test:good", NULL), 0);
	assert_ptr_equal(scene.where, federation_home(scene.federation));
	federation_close(scene.federation);
	scene.federation = NULL;
	assert_true(has_folder(scratch_path(scene.registries, domain), "checkpoint"));
	assert_true(has_folder(scene.state, fake_registry_url(scene.other)->label));
	assert_true(has_folder(scene.state, fake_registry_url(scene.home)->label));
	scene_release(&scene);
}

/* Asked once, and 501: nobody asks again for the next one. */
static void test_asked_once(void **state)
{
	struct scene scene;

	(void)state;
	scene_init(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.other));
	map_to(&scene, "more", fake_registry_domain(scene.third));
	open_it(&scene);
	expect_from_other(&scene);
	assert_int_equal(update(&scene, "more:thing", NULL), WARG_UNDECIDED);
	assert_int_equal(fake_registry_count_header(scene.home, "warg-registry:"), 1);
	scene_release(&scene);
}

static void test_spoken_for(void **state)
{
	struct scene scene;
	char trust[2 * CAP_URL + 2];

	(void)state;
	scene_init(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.other));
	fake_registry_speak(scene.home, FAKE_SPEAKS, scene.other);
	open_it(&scene);
	expect_from_other(&scene);
	assert_int_equal(server_requests(fake_registry_server(scene.other)), 0);
	assert_true(fake_registry_count_header(scene.home, "warg-registry:") > 3);
	/* What the home registry says of another one does not become what is remembered of that one itself. */
	snprintf(trust, sizeof(trust), "%s@%s", fake_registry_url(scene.other)->label,
		 fake_registry_url(scene.home)->label);
	assert_true(has_folder(scene.state, trust));
	assert_false(has_folder(scene.state, fake_registry_url(scene.other)->label));
	scene_release(&scene);
}

/* The home registry demands a login: every request to it, also one for the other registry, carries its token. */
static void test_spoken_for_with_a_login(void **state)
{
	struct scene scene;

	(void)state;
	scene_init(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.other));
	fake_registry_speak(scene.home, FAKE_SPEAKS, scene.other);
	fake_registry_demand(scene.home, "secret");
	open_it(&scene);
	expect_from_other(&scene);
	assert_int_equal(server_requests(fake_registry_server(scene.other)), 0);
	assert_int_equal(fake_registry_count_header(scene.home, "authorization: bearer secret"),
			 server_requests(fake_registry_server(scene.home)));
	scene_release(&scene);
}

/* Another registry demands a login: it gets its own stored token, never the home registry's. */
static void test_direct_with_a_login(void **state)
{
	struct scene scene;
	struct fault flt = {0};

	(void)state;
	scene_init(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.other));
	fake_registry_demand(scene.home, "secret");
	fake_registry_demand(scene.other, "its own");
	open_it(&scene);
	assert_int_equal(update(&scene, "other:thing", &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LOGIN);
	assert_int_equal(fake_registry_count_header(scene.other, "authorization:"), 0);
	scene.other_token = "its own";
	expect_from_other(&scene);
	assert_int_equal(fake_registry_count_header(scene.other, "authorization: bearer secret"), 0);
	assert_int_equal(fake_registry_count_header(scene.home, "authorization: bearer its own"), 0);
	scene_release(&scene);
}

/* It passes Warg-Registry over: its own key must not become that of the other one. */
static void test_header_ignored(void **state)
{
	struct scene scene;

	(void)state;
	scene_init(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.other));
	fake_registry_speak(scene.home, FAKE_IGNORES, NULL);
	open_it(&scene);
	expect_from_other(&scene);
	assert_int_equal(fake_registry_count_header(scene.home, "warg-registry:"), 1);
	scene_release(&scene);
}

static void test_hangs_up(void **state)
{
	struct scene scene;

	(void)state;
	scene_init(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.other));
	fake_registry_speak(scene.home, FAKE_HANGS_UP, NULL);
	open_it(&scene);
	expect_from_other(&scene);
	scene_release(&scene);
}

/* It says nothing at all: that takes a part of the time, and is not tried again. */
static void test_home_says_nothing(void **state)
{
	struct scene scene;

	(void)state;
	scene_init(&scene);
	scene.timeout = 4;
	map_to(&scene, "other", fake_registry_domain(scene.other));
	map_to(&scene, "more", fake_registry_domain(scene.third));
	fake_registry_speak(scene.home, FAKE_HANGS, NULL);
	open_it(&scene);
	expect_from_other(&scene);
	assert_int_equal(update(&scene, "more:thing", NULL), WARG_UNDECIDED);
	assert_int_equal(fake_registry_count_header(scene.home, "warg-registry:"), 1);
	scene_release(&scene);
}

/* It lies about another registry: that one's packages are not believed, its own are as before. */
static void test_speaker_lies(void **state)
{
	struct scene scene;

	(void)state;
	scene_init(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.other));
	fake_registry_speak(scene.home, FAKE_SPEAKS, scene.other);
	fake_registry_lie(scene.other, LIE_LOG_ROOT, NULL);
	open_it(&scene);
	assert_int_equal(update(&scene, "other:thing", NULL), WARG_INVALID);
	assert_int_equal(update(&scene, "test:good", NULL), 0);
	scene_release(&scene);
}

/* ---- Discovery ---- */

/* @param form  with an @ where the URL comes */
static void discover(struct scene *scene, const char *form, const char *url, char body[static 8192])
{
	size_t at = strcspn(form, "@");

	snprintf(body, 8192, "%.*s%s%s", (int)at, form, url, form + at + 1);
	server_on_answer(fake_registry_server(scene->other), WELL_KNOWN, 200, span_of_text(body));
}

static void test_discovery(void **state)
{
	static const char *const forms[] = {
		"{\"wargUrl\":\"@\"}",
		"{\"preferredProtocol\":\"warg\",\"warg\":{\"url\":\"@\"}}",
		"{\"preferredProtocol\":\"oci\",\"warg\":{\"url\":\"@\"},\"oci\":{\"registry\":\"a.example\"}}",
		"{\"wargUrl\":\"@\",\"warg\":{\"url\":\"https://elsewhere.example\"}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct scene scene;
		char body[8192];

		scene_init(&scene);
		map_to(&scene, "other", fake_registry_domain(scene.other));
		discover(&scene, forms[i], fake_registry_url(scene.third)->text, body);
		open_it(&scene);
		assert_int_equal(update(&scene, "other:thing", NULL), 0);
		assert_int_equal(releases(scene.where, "other:thing"), 2);
		assert_string_equal(federation_name_of(scene.federation, scene.where),
				    fake_registry_domain(scene.other));
		assert_int_equal(server_requests(fake_registry_server(scene.other)), 1);
		/* It is the registry that it led to that is remembered. */
		assert_true(has_folder(scene.state, fake_registry_url(scene.third)->label));
		scene_release(&scene);
	}
}

/* A domain's registry is pinned: a change is refused, and affects no other registry. */
static void test_discovery_changes(void **state)
{
	struct fault flt = {0};
	struct scene scene;
	char body[8192];

	(void)state;
	scene_init(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.other));
	open_it(&scene);
	expect_from_other(&scene);
	federation_close(scene.federation);
	discover(&scene, "{\"wargUrl\":\"@\"}", fake_registry_url(scene.third)->text, body);
	open_it(&scene);
	assert_int_equal(update(&scene, "other:thing", &flt), WARG_INVALID);
	assert_non_null(strstr(flt.what, "wargfs reset"));
	assert_int_equal(server_requests(fake_registry_server(scene.third)), 0);
	assert_int_equal(update(&scene, "test:good", NULL), 0);
	scene_release(&scene);
}

static void test_bad_discovery(void **state)
{
	static const char *const forms[] = {
		"{\"wargUrl\":\"http://elsewhere.example/@\"}", "{\"warg\":{\"url\":\"file:///etc/@\"}}", "<html>@",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct fault flt = {0};
		struct scene scene;
		char body[8192];

		scene_init(&scene);
		map_to(&scene, "other", fake_registry_domain(scene.other));
		discover(&scene, forms[i], "x", body);
		open_it(&scene);
		assert_int_equal(update(&scene, "other:thing", &flt), WARG_INVALID);
		assert_non_null(strstr(flt.where, fake_registry_domain(scene.other)));
		assert_int_equal(update(&scene, "test:good", NULL), 0);
		scene_release(&scene);
	}
}

/* A way that leads back home ends there. */
static void test_discovery_leads_home(void **state)
{
	struct scene scene;
	char body[8192];

	(void)state;
	scene_init(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.other));
	discover(&scene, "{\"wargUrl\":\"@\"}", fake_registry_url(scene.home)->text, body);
	open_it(&scene);
	assert_int_equal(update(&scene, "other:thing", NULL), WARG_UNDECIDED);
	assert_ptr_equal(scene.where, federation_home(scene.federation));
	scene_release(&scene);
}

static void test_mapped_to_home(void **state)
{
	struct scene scene;

	(void)state;
	scene_init(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.home));
	open_it(&scene);
	assert_int_equal(update(&scene, "other:thing", NULL), WARG_UNDECIDED);
	assert_ptr_equal(scene.where, federation_home(scene.federation));
	assert_int_equal(fake_registry_count_header(scene.home, "warg-registry:"), 0);
	scene_release(&scene);
}

/* ---- Whose word counts ---- */

static void test_import(void **state)
{
	struct scene scene;
	struct registry *registry;

	(void)state;
	scene_init(&scene);
	import_from(&scene, fake_registry_domain(scene.other));
	open_it(&scene);
	expect_from_other(&scene);
	reopen(&scene);
	assert_int_equal(federation_registry_of(scene.federation, span_of_text("other"), &registry, NULL), 0);
	assert_ptr_not_equal(registry, federation_home(scene.federation));
	assert_int_equal(federation_registry_of(scene.federation, span_of_text("test"), &registry, NULL), 0);
	assert_ptr_equal(registry, federation_home(scene.federation));
	scene_release(&scene);
}

static void test_import_against_map(void **state)
{
	struct scene scene;

	(void)state;
	scene_init(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.third));
	import_from(&scene, fake_registry_domain(scene.other));
	open_it(&scene);
	expect_from_other(&scene);
	assert_int_equal(server_requests(fake_registry_server(scene.third)), 0);
	scene_release(&scene);
}

static void test_definition_against_map(void **state)
{
	struct scene scene;

	(void)state;
	scene_init(&scene);
	map_to(&scene, "test", fake_registry_domain(scene.other));
	open_it(&scene);
	assert_int_equal(update(&scene, "test:good", NULL), 0);
	assert_ptr_equal(scene.where, federation_home(scene.federation));
	assert_int_equal(server_requests(fake_registry_server(scene.other)), 0);
	scene_release(&scene);
}

static void test_import_against_hint(void **state)
{
	struct scene scene;
	char hint[128];

	(void)state;
	scene_init(&scene);
	snprintf(hint, sizeof(hint), "other=%s", fake_registry_domain(scene.third));
	fake_registry_hint(scene.home, hint);
	import_from(&scene, fake_registry_domain(scene.other));
	open_it(&scene);
	expect_from_other(&scene);
	assert_int_equal(server_requests(fake_registry_server(scene.third)), 0);
	assert_int_equal(access(scene.map, F_OK), -1);
	scene_release(&scene);
}

/* What the operator imports from is no domain: that is a lie of the registry's about this namespace, and no other. */
static void test_bad_import(void **state)
{
	struct fault flt = {0};
	struct scene scene;

	(void)state;
	scene_init(&scene);
	import_from(&scene, "../../x");
	open_it(&scene);
	assert_int_equal(update(&scene, "other:thing", &flt), WARG_INVALID);
	assert_int_equal(flt.party, FAULT_BY_REGISTRY);
	assert_int_equal(update(&scene, "test:good", NULL), 0);
	scene_release(&scene);
}

/* The map is no map: what the operator tells of is had no less. */
static void test_bad_map(void **state)
{
	struct fault flt = {0};
	struct scene scene;

	(void)state;
	scene_init(&scene);
	scratch_write_text(scene.map, "{");
	open_it(&scene);
	assert_int_equal(update(&scene, "test:good", NULL), 0);
	assert_int_equal(update(&scene, "other:thing", &flt), WARG_INVALID);
	assert_int_equal(flt.party, FAULT_BY_CACHE);
	unlink(scene.map);
	map_to(&scene, "other", fake_registry_domain(scene.other));
	expect_from_other(&scene);
	scene_release(&scene);
}

/* Other programs write the map while we look. */
static void test_map_changes(void **state)
{
	struct scene scene;

	(void)state;
	scene_init(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.other));
	open_it(&scene);
	expect_from_other(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.third));
	assert_int_equal(update(&scene, "other:thing", NULL), 0);
	assert_int_equal(releases(scene.where, "other:thing"), 2);
	assert_int_equal(unlink(scene.map), 0);
	assert_int_equal(update(&scene, "other:thing", NULL), WARG_UNDECIDED);
	assert_ptr_equal(scene.where, federation_home(scene.federation));
	scene_release(&scene);
}

/* Each says that the other one has it. */
static void test_loop(void **state)
{
	struct scene scene;
	struct fault flt = {0};
	char hint[128];

	(void)state;
	scene_init(&scene);
	fake_registry_import(scene.home, "lost", fake_registry_domain(scene.other));
	fake_registry_sign(scene.home);
	fake_registry_import(scene.other, "lost", fake_registry_domain(scene.home));
	fake_registry_sign(scene.other);
	snprintf(hint, sizeof(hint), "lost=%s", fake_registry_domain(scene.home));
	fake_registry_hint(scene.other, hint);
	open_it(&scene);
	assert_int_equal(update(&scene, "lost:thing", &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	assert_int_equal(fake_registry_count(scene.home, "v1/fetch/logs"), 2);
	assert_int_equal(fake_registry_count(scene.other, "v1/fetch/logs"), 2);
	assert_int_equal(access(scene.map, F_OK), -1);
	scene_release(&scene);
}

/* ---- Hints ---- */

static void hinting_scene_init(struct scene *scene, enum federation_hints hints, char hint[static 128])
{
	scene_init(scene);
	scene->hints = hints;
	snprintf(hint, 128, "other=%s", fake_registry_domain(scene->other));
	fake_registry_hint(scene->home, hint);
}

static void test_hint_taken(void **state)
{
	struct scene scene;
	char hint[128], map[256];

	(void)state;
	hinting_scene_init(&scene, FEDERATION_HINTS_TAKEN, hint);
	open_it(&scene);
	expect_from_other(&scene);
	snprintf(map, sizeof(map), "{\"other\":\"%s\"}", fake_registry_domain(scene.other));
	assert_true(scratch_holds(scene.map, map));
	/* From now on it is in the map. */
	fake_registry_hint(scene.home, NULL);
	reopen(&scene);
	expect_from_other(&scene);
	assert_int_equal(scene.asked, 0);
	scene_release(&scene);
}

static void test_hint_asked(void **state)
{
	struct scene scene;
	char hint[128];

	(void)state;
	hinting_scene_init(&scene, FEDERATION_HINTS_ASKED, hint);
	open_it(&scene);
	expect_absent(&scene, "it hints at the registry");
	assert_int_equal(scene.asked, 1);
	scene.accepts = true;
	expect_from_other(&scene);
	assert_int_equal(scene.asked, 2);
	expect_from_other(&scene);
	assert_int_equal(scene.asked, 2);
	scene_release(&scene);
}

static void test_hint_told(void **state)
{
	struct scene scene;
	char hint[128];

	(void)state;
	hinting_scene_init(&scene, FEDERATION_HINTS_TOLD, hint);
	open_it(&scene);
	expect_absent(&scene, fake_registry_domain(scene.other));
	scene_release(&scene);
}

static void test_hint_ignored(void **state)
{
	struct scene scene;
	char hint[128];

	(void)state;
	hinting_scene_init(&scene, FEDERATION_HINTS_IGNORED, hint);
	open_it(&scene);
	expect_absent(&scene, NULL);
	scene_release(&scene);
}

/* Also of a registry whose listing says that there is no such package. */
static void test_hint_beside_listing(void **state)
{
	struct scene scene;
	char hint[128];

	(void)state;
	hinting_scene_init(&scene, FEDERATION_HINTS_TAKEN, hint);
	open_it(&scene);
	assert_int_equal(registry_refresh(federation_home(scene.federation), NULL), 0);
	assert_int_equal(registry_list(federation_home(scene.federation), NULL), 0);
	expect_from_other(&scene);
	scene_release(&scene);
}

/* And among so many that the stored ledger tells of them first: it knows of nobody who lives elsewhere. */
static void test_hint_among_many(void **state)
{
	struct registry *where[MANY];
	struct fault faults[MANY];
	struct name names[MANY];
	struct scene scene;
	char hint[128], text[24];

	(void)state;
	hinting_scene_init(&scene, FEDERATION_HINTS_TAKEN, hint);
	for (unsigned i = 1; i < MANY; i++) {
		snprintf(text, sizeof(text), "test:many%u", i);
		fake_registry_release(scene.home, text, "1.0.0");
		names[i] = forge_name(text);
	}
	names[0] = forge_name("other:thing");
	fake_registry_sign(scene.home);
	open_it(&scene);
	assert_int_equal(registry_refresh(federation_home(scene.federation), NULL), 0);
	assert_int_equal(registry_list(federation_home(scene.federation), NULL), 0);
	assert_int_equal(federation_update(scene.federation, names, MANY, where, faults, NULL), 0);
	for (unsigned i = 1; i < MANY; i++)
		assert_int_equal(faults[i].verdict, 0);
	assert_int_equal(faults[0].verdict, 0);
	assert_int_equal(releases(where[0], "other:thing"), 1);
	scene_release(&scene);
}

static void test_bad_hints(void **state)
{
	static const char *const hints[] = {
		"test=127.0.0.1:1", "another=127.0.0.1:1", "other=../../x", "other=http://elsewhere.example", "other=",
		"other=elsewhere.example/x", "other", "=", "other=a b",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		struct scene scene;

		scene_init(&scene);
		fake_registry_hint(scene.home, hints[i]);
		open_it(&scene);
		expect_absent(&scene, NULL);
		scene_release(&scene);
	}
}

static void test_hint_home(void **state)
{
	struct scene scene;
	char hint[128];

	(void)state;
	scene_init(&scene);
	snprintf(hint, sizeof(hint), "other=%s", fake_registry_domain(scene.home));
	fake_registry_hint(scene.home, hint);
	open_it(&scene);
	expect_absent(&scene, NULL);
	scene_release(&scene);
}

/* A package that the home registry has not, of a namespace that it defines: a hint would lead its users astray. */
static void test_hint_for_its_own(void **state)
{
	struct scene scene;
	char hint[128];
	struct fault flt = {0};

	(void)state;
	scene_init(&scene);
	snprintf(hint, sizeof(hint), "test=%s", fake_registry_domain(scene.other));
	fake_registry_hint(scene.home, hint);
	open_it(&scene);
	assert_int_equal(update(&scene, "test:nobody", &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	assert_int_equal(access(scene.map, F_OK), -1);
	assert_int_equal(server_requests(fake_registry_server(scene.other)), 0);
	scene_release(&scene);
}

/* ---- Each for itself ---- */

static void test_other_lies(void **state)
{
	struct name names[2] = {forge_name("other:thing"), forge_name("test:good")};
	struct registry *registries[2];
	struct fault faults[2];
	struct scene scene;

	(void)state;
	scene_init(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.other));
	fake_registry_lie(scene.other, LIE_GARBAGE, NULL);
	open_it(&scene);
	assert_int_equal(federation_update(scene.federation, names, 2, registries, faults, NULL), 0);
	assert_int_equal(faults[0].verdict, WARG_INVALID);
	assert_int_equal(faults[1].verdict, 0);
	fake_registry_lie(scene.other, LIE_NONE, NULL);
	expect_from_other(&scene);
	scene_release(&scene);
}

static void test_home_lies(void **state)
{
	struct scene scene;

	(void)state;
	scene_init(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.other));
	fake_registry_lie(scene.home, LIE_GARBAGE, NULL);
	open_it(&scene);
	assert_int_equal(update(&scene, "test:good", NULL), WARG_INVALID);
	expect_from_other(&scene);
	scene_release(&scene);
}

/* Another registry is held to its word as the home registry is. */
static void test_other_rolls_back(void **state)
{
	struct scene scene;

	(void)state;
	scene_init(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.other));
	open_it(&scene);
	expect_from_other(&scene);
	reopen(&scene);
	fake_registry_lie(scene.other, LIE_ROLLBACK, NULL);
	assert_int_equal(update(&scene, "other:thing", NULL), WARG_INVALID);
	assert_int_equal(update(&scene, "test:good", NULL), 0);
	scene_release(&scene);
}

static void test_away(void **state)
{
	struct fault flt = {0};
	struct scene scene;
	char domain[64];

	(void)state;
	scene_init(&scene);
	snprintf(domain, sizeof(domain), "%s", fake_registry_domain(scene.other));
	map_to(&scene, "other", domain);
	fake_registry_free(scene.other);
	open_it(&scene);
	assert_int_equal(update(&scene, "other:thing", &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_UNREACHABLE);
	assert_non_null(strstr(flt.where, domain));
	assert_non_null(strstr(flt.what, "501"));
	assert_int_equal(update(&scene, "test:good", NULL), 0);
	scene.other = fake_registry_new_by("other", 5);
	scene_release(&scene);
}

static void test_too_many(void **state)
{
	struct fault flt = {0};
	struct scene scene;

	(void)state;
	scene_init(&scene);
	open_it(&scene);
	for (unsigned i = 0; i <= CAP_REGISTRIES; i++) {
		struct blocking_waiter blocking;
		char domain[32];

		snprintf(domain, sizeof(domain), "127.0.0.1:%u", i + 1);
		blocking_waiter_init(&blocking, clock_in_seconds(TIMEOUT));
		federation_want_registry(scene.federation, domain, &blocking.waiter);
		assert_int_equal(blocking_waiter_wait(&blocking, &flt), WARG_UNDECIDED);
		assert_int_equal(flt.kind, i < CAP_REGISTRIES ? FAULT_UNREACHABLE : FAULT_LIMIT);
		flt = (struct fault){0};
	}
	scene_release(&scene);
}

/* ---- Threads, and the end ---- */

#define CROWD 16

static void *want_other(void *user)
{
	struct scene *scene = user;
	struct registry *registry = NULL;

	if (federation_registry_of(scene->federation, span_of_text("other"), &registry, NULL))
		return NULL;
	return registry;
}

static void test_crowd(void **state)
{
	pthread_t threads[CROWD];
	struct scene scene;
	void *first = NULL;

	(void)state;
	scene_init(&scene);
	map_to(&scene, "other", fake_registry_domain(scene.other));
	open_it(&scene);
	for (size_t i = 0; i < CROWD; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, want_other, &scene), 0);
	for (size_t i = 0; i < CROWD; i++) {
		void *registry;

		assert_int_equal(pthread_join(threads[i], &registry), 0);
		assert_non_null(registry);
		assert_true(!first || first == registry);
		first = registry;
	}
	assert_int_equal(server_requests(fake_registry_server(scene.other)), 1);
	scene_release(&scene);
}

static void hang(struct server_connection *connection, const struct server_request *request, void *user)
{
	(void)request;
	(void)user;
	server_hang(connection);
}

/* An end does not wait for a registry that says nothing, and whoever waits for it is told. */
static void test_close_while_opening(void **state)
{
	struct blocking_waiter blocking;
	struct fault flt = {0};
	struct scene scene;

	(void)state;
	scene_init(&scene);
	server_on(fake_registry_server(scene.other), WELL_KNOWN, hang, NULL);
	open_it(&scene);
	blocking_waiter_init(&blocking, CLOCK_NEVER);
	federation_want_registry(scene.federation, fake_registry_domain(scene.other), &blocking.waiter);
	server_wait_for(fake_registry_server(scene.other), 1);
	federation_close(scene.federation);
	scene.federation = NULL;
	assert_int_equal(blocking_waiter_wait(&blocking, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_CANCELLED);
	scene_release(&scene);
}

static void test_leave(void **state)
{
	struct blocking_waiter blocking, second;
	struct scene scene;

	(void)state;
	scene_init(&scene);
	server_on(fake_registry_server(scene.other), WELL_KNOWN, hang, NULL);
	open_it(&scene);
	blocking_waiter_init(&blocking, CLOCK_NEVER);
	federation_want_registry(scene.federation, fake_registry_domain(scene.other), &blocking.waiter);
	server_wait_for(fake_registry_server(scene.other), 1);
	assert_true(federation_leave(scene.federation, &blocking.waiter));
	/* It is opened all the same, for whoever comes later. */
	server_release(fake_registry_server(scene.other));
	blocking_waiter_init(&second, clock_in_seconds(TIMEOUT));
	federation_want_registry(scene.federation, fake_registry_domain(scene.other), &second.waiter);
	blocking_waiter_wait(&second, NULL);
	blocking.is_done = true;
	blocking_waiter_wait(&blocking, NULL);
	scene_release(&scene);
}

static int open_and_close(void *context, struct fault *flt)
{
	struct scene *scene = context;
	int r = try_open(scene, flt);

	if (r)
		return r;
	federation_close(scene->federation);
	scene->federation = NULL;
	return 0;
}

static void test_torture(void **state)
{
	struct scene scene;

	(void)state;
	scene_init(&scene);
	torture(open_and_close, &scene);
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_direct), cmocka_unit_test(test_asked_once), cmocka_unit_test(test_spoken_for),
		cmocka_unit_test(test_spoken_for_with_a_login), cmocka_unit_test(test_direct_with_a_login),
		cmocka_unit_test(test_header_ignored), cmocka_unit_test(test_hangs_up),
		cmocka_unit_test(test_home_says_nothing),
		cmocka_unit_test(test_speaker_lies), cmocka_unit_test(test_discovery),
		cmocka_unit_test(test_discovery_changes),
		cmocka_unit_test(test_bad_discovery), cmocka_unit_test(test_discovery_leads_home),
		cmocka_unit_test(test_mapped_to_home), cmocka_unit_test(test_import),
		cmocka_unit_test(test_import_against_map), cmocka_unit_test(test_definition_against_map),
		cmocka_unit_test(test_import_against_hint), cmocka_unit_test(test_bad_import),
		cmocka_unit_test(test_bad_map), cmocka_unit_test(test_map_changes),
		cmocka_unit_test(test_loop), cmocka_unit_test(test_hint_taken),
		cmocka_unit_test(test_hint_asked), cmocka_unit_test(test_hint_told),
		cmocka_unit_test(test_hint_ignored),
		cmocka_unit_test(test_hint_beside_listing),
		cmocka_unit_test(test_hint_among_many), cmocka_unit_test(test_bad_hints),
		cmocka_unit_test(test_hint_home), cmocka_unit_test(test_hint_for_its_own),
		cmocka_unit_test(test_other_lies), cmocka_unit_test(test_home_lies),
		cmocka_unit_test(test_other_rolls_back), cmocka_unit_test(test_away), cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_crowd), cmocka_unit_test(test_close_while_opening), cmocka_unit_test(test_leave),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
