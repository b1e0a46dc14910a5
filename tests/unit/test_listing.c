/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Listings against a registry that lies about its ledger and its names.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/sync/view.h"
#include "fake_registry.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"

static struct http *http;

struct scene {
	struct fake_registry *fake;
	struct api api;
	char *folder;
	struct ledger *ledger;
	struct listing *listing;
};

static void open_ledger(struct scene *scene)
{
	assert_int_equal(ledger_open(scene->folder, "label", &scene->ledger, NULL), 0);
}

static struct scene scene_new(void)
{
	struct scene scene = {.fake = fake_registry_new(), .folder = scratch_new()};

	open_ledger(&scene);
	scene.api = (struct api){.http = http, .url = fake_registry_url(scene.fake)};
	fake_registry_release(scene.fake, "test:good", "1.0.0");
	fake_registry_release(scene.fake, "test:victim", "1.0.0");
	fake_registry_release(scene.fake, "test-two:fine", "1.0.0");
	fake_registry_sign(scene.fake);
	return scene;
}

static void scene_release(struct scene *scene)
{
	listing_unref(scene->listing);
	ledger_close(scene->ledger);
	scratch_free(scene->folder);
	fake_registry_free(scene->fake);
}

/* As after a restart: nothing but what lies on disk. */
static void restart(struct scene *scene, int loaded)
{
	struct signed_checkpoint checkpoint;
	bool found;

	listing_unref(scene->listing);
	scene->listing = NULL;
	ledger_close(scene->ledger);
	open_ledger(scene);
	assert_int_equal(ledger_load(scene->ledger, &checkpoint, &found, NULL), loaded);
	fake_registry_gather(scene->fake, "", 0);
}

/* Each name has the last record of its log. */
static void check_last(const struct listing *listing)
{
	assert_non_null(listing->last);
	for (size_t i = 0; i < listing->names.count; i++) {
		struct name name = name_list_at(&listing->names, i);
		struct digest log_id = name_log_id(&name);

		assert_int_equal(listing->last[i], listing_find_log(listing, &log_id)->last);
		assert_int_equal(listing_index(listing, &name), i);
	}
}

/* Bring the scene's listing to the registry's checkpoint, which nobody lies about here. */
static int update_knowing(struct scene *scene, const struct view_trie *known, struct fault *flt)
{
	const struct listing_known all = {.packages = known};
	struct signed_checkpoint checkpoint;
	struct listing *next;
	int verdict;

	assert_int_equal(api_fetch_checkpoint(&scene->api, clock_in_seconds(60), &checkpoint, NULL), 0);
	verdict = listing_update(&scene->api, scene->ledger, scene->listing, &checkpoint, &all,
				 clock_in_seconds(60), &next, flt);
	if (!verdict) {
		ledger_keep(scene->ledger, &checkpoint);
		listing_unref(scene->listing);
		scene->listing = next;
		if (next->length)
			check_last(next);
	}
	return verdict;
}

static int update(struct scene *scene, struct fault *flt)
{
	return update_knowing(scene, NULL, flt);
}

/* A view that knows packages by their names alone. */
static struct view *knowing(const char *const *texts)
{
	const struct store_position position = {.known = true};
	struct view *view;

	assert_int_equal(view_copy(NULL, &view, NULL), 0);
	for (; *texts; texts++) {
		struct name name = forge_name(*texts);
		struct view_package *package;
		struct package_log *log;

		assert_int_equal(package_log_new(&name, &log, NULL), 0);
		assert_int_equal(view_package_new(log, &position, 1, NULL, &package, NULL), 0);
		package_log_unref(log);
		assert_int_equal(view_put_take(view, package, NULL), 0);
	}
	return view;
}

static bool has(const struct scene *scene, const char *text)
{
	struct name name = forge_name(text);

	return listing_has(scene->listing, &name);
}

#define MANY 150000u
#define LOGS 100000u

/* Records of many logs, most of one record, in no order. */
static uint64_t log_of(uint64_t index)
{
	return index * 7919 % MANY % LOGS;
}

static struct digest id_of(uint64_t number)
{
	return digest_of((struct span){(const unsigned char *)&number, sizeof(number)});
}

/* A ledger longer than one merge: every log is there, with its last record. */
static void test_many_logs(void **state)
{
	struct api_ledger_entry *entries = calloc(MANY, sizeof(*entries));
	struct signed_checkpoint checkpoint = {.contents.log_length = MANY};
	uint64_t *last = calloc(LOGS, sizeof(*last));
	struct merkle_log_roots roots = {0};
	struct scene scene = scene_new();

	(void)state;
	assert_true(entries && last);
	for (uint64_t i = 0; i < MANY; i++) {
		struct digest leaf;

		entries[i] = (struct api_ledger_entry){id_of(log_of(i)), id_of(MANY + i)};
		last[log_of(i)] = i;
		leaf = merkle_log_leaf(&entries[i].log_id, &entries[i].record_id);
		merkle_log_roots_append(&roots, &leaf);
	}
	checkpoint.contents.log_root = merkle_log_roots_fold(&roots);
	assert_int_equal(ledger_append(scene.ledger, entries, MANY, &checkpoint, NULL), 0);
	assert_int_equal(listing_load(scene.ledger, &checkpoint.contents, &scene.listing, NULL), 0);
	assert_int_equal(scene.listing->log_count, LOGS);
	assert_false(scene.listing->complete);
	for (uint64_t i = 0; i < LOGS; i++) {
		struct digest id = id_of(i);

		assert_int_equal(listing_find_log(scene.listing, &id)->last, last[i]);
		assert_true(!i || digest_compare(&scene.listing->logs[i - 1].id, &scene.listing->logs[i].id) < 0);
	}
	free(last);
	free(entries);
	scene_release(&scene);
}

/* The ledger breaks off after a record and a few bytes, wherever the request starts. */
static void break_ledger(struct server_connection *connection, const struct server_request *request, int status,
			 struct span body, void *user)
{
	const char *range = strcasestr(request->head, "range: bytes=");
	size_t from = range ? strtoul(range + strlen("range: bytes="), NULL, 10) : 0;
	char head[200];

	(void)user;
	from = from < body.length ? from : body.length;
	snprintf(head, sizeof(head), "HTTP/1.1 %d Fine\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n"
		 "content-range: bytes %zu-%zu/%zu\r\nconnection: close\r\n\r\n", range ? 206 : status,
		 body.length - from, from, body.length, body.length);
	body = (struct span){body.data + from, body.length - from};
	if (!strcmp(request->target, "/ledger.bin") && body.length > 70)
		body.length = 70;
	server_write_text(connection, head);
	server_write(connection, body);
}

/* Received ledger records are kept between attempts: a ledger may take longer than one time-out. */
static void test_slow(void **state)
{
	struct scene scene = scene_new();
	struct fault flt = {0};
	unsigned tries = 1;

	(void)state;
	server_on_answering(fake_registry_server(scene.fake), break_ledger, NULL);
	while (tries < 20 && update(&scene, &flt)) {
		assert_int_equal(flt.kind, FAULT_UNREACHABLE);
		flt = (struct fault){0};
		tries++;
	}
	assert_int_equal(tries, 5);
	assert_true(scene.listing->complete);
	assert_int_equal(scene.listing->names.count, 3);
	/* Later records are appended. */
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(update(&scene, NULL), 0);
	assert_int_equal(scene.listing->length, 6);
	scene_release(&scene);
}

/** Only the first so many requests for names are answered. */
struct patience {
	atomic_uint left;
};

static void break_names(struct server_connection *connection, const struct server_request *request, int status,
			struct span body, void *user)
{
	struct patience *patience = user;
	char head[200];

	if (!strcmp(request->target, "/v1/fetch/names") && !atomic_load(&patience->left))
		return;
	if (!strcmp(request->target, "/v1/fetch/names"))
		atomic_fetch_sub(&patience->left, 1);
	snprintf(head, sizeof(head), "HTTP/1.1 %d Fine\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n"
		 "connection: close\r\n\r\n", status, body.length);
	server_write_text(connection, head);
	server_write(connection, body);
}

/* Received names are not requested again, even if other names are missing. */
static void test_slow_names(void **state)
{
	struct scene scene = scene_new();
	struct patience patience = {2};
	struct fault flt = {0};

	(void)state;
	for (unsigned i = 0; i < 2 * CAP_REQUEST_NAMES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "test:p%u", i);
		fake_registry_release(scene.fake, name, "1.0.0");
	}
	fake_registry_sign(scene.fake);
	server_on_answering(fake_registry_server(scene.fake), break_names, &patience);
	assert_int_equal(update(&scene, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_UNREACHABLE);
	fake_registry_gather(scene.fake, "", 0);
	atomic_store(&patience.left, 1);
	assert_int_equal(update(&scene, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 1);
	assert_true(scene.listing->complete);
	assert_int_equal(scene.listing->names.count, 3 + 2 * CAP_REQUEST_NAMES);
	scene_release(&scene);
}

/* A lie is not kept: records that lead to no root are fetched again. */
static void test_lie_is_not_kept(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	fake_registry_lie(scene.fake, LIE_LEDGER_CHANGED, NULL);
	assert_int_equal(update(&scene, NULL), WARG_INVALID);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	assert_int_equal(update(&scene, NULL), 0);
	assert_true(scene.listing->complete);
	scene_release(&scene);
}

static void test_complete(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	assert_int_equal(update(&scene, NULL), 0);
	assert_true(scene.listing->complete);
	assert_int_equal(scene.listing->names.count, 3);
	assert_int_equal(scene.listing->log_count, 3);
	assert_int_equal(scene.listing->length, 5);
	assert_string_equal(name_list_text(&scene.listing->names, 0), "test-two:fine");
	assert_string_equal(name_list_text(&scene.listing->names, 1), "test:good");
	assert_string_equal(name_list_text(&scene.listing->names, 2), "test:victim");
	assert_true(has(&scene, "test:good"));
	assert_false(has(&scene, "test:goo"));
	assert_int_equal(listing_first_in(scene.listing, span_of_text("test")), 1);
	assert_int_equal(listing_first_in(scene.listing, span_of_text("test-two")), 0);
	assert_int_equal(listing_first_in(scene.listing, span_of_text("zebra")), 3);
	scene_release(&scene);
}

/* Only the growth is fetched, and only new names are asked for. */
static void test_growth(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	assert_int_equal(update(&scene, NULL), 0);
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_sign(scene.fake);
	fake_registry_gather(scene.fake, "", 0);
	assert_int_equal(update(&scene, NULL), 0);
	assert_int_equal(scene.listing->length, 6);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 0);
	fake_registry_release(scene.fake, "test:new", "1.0.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(update(&scene, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 1);
	assert_true(has(&scene, "test:new"));
	assert_true(scene.listing->complete);

	/* Nothing new: nothing is asked. */
	fake_registry_gather(scene.fake, "", 0);
	assert_int_equal(update(&scene, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/ledger"), 0);
	assert_int_equal(scene.listing->names.count, 4);
	scene_release(&scene);
}

/* The ledger runs past the checkpoint: what is not under it yet is not listed. */
static void test_cut_at_the_checkpoint(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	fake_registry_release(scene.fake, "test:later", "1.0.0");
	assert_int_equal(update(&scene, NULL), 0);
	assert_false(has(&scene, "test:later"));
	assert_int_equal(scene.listing->names.count, 3);
	scene_release(&scene);
}

static void test_lies(void **state)
{
	static const enum fake_lie lies[] = {LIE_LEDGER_SHORT, LIE_LEDGER_REORDERED, LIE_LEDGER_CHANGED,
					     LIE_NAMES_SWAPPED};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		for (int grown = 0; grown < 2; grown++) {
			struct scene scene = scene_new();
			struct listing *before;
			struct fault flt = {0};

			if (grown) {
				assert_int_equal(update(&scene, NULL), 0);
				fake_registry_release(scene.fake, "test:one", "1.0.0");
				fake_registry_release(scene.fake, "test:two", "1.0.0");
				fake_registry_sign(scene.fake);
			}
			before = scene.listing;
			fake_registry_lie(scene.fake, lies[i], NULL);
			assert_int_equal(update(&scene, &flt), WARG_INVALID);
			assert_int_equal(flt.party, FAULT_BY_REGISTRY);
			assert_ptr_equal(scene.listing, before);
			fake_registry_lie(scene.fake, LIE_NONE, NULL);
			assert_int_equal(update(&scene, NULL), 0);
			assert_true(scene.listing->complete);
			assert_int_equal(scene.listing->names.count, grown ? 5 : 3);
			scene_release(&scene);
		}
	}
}

static void test_names_withheld(void **state)
{
	struct scene scene = scene_new();
	struct view *known = knowing((const char *const[]){"test:victim", NULL});

	(void)state;
	fake_registry_lie(scene.fake, LIE_NAMES_WITHHELD, "test:victim");
	assert_int_equal(update(&scene, NULL), 0);
	assert_false(scene.listing->complete);
	assert_int_equal(scene.listing->names.count, 2);
	assert_int_equal(scene.listing->log_count, 3);
	/* Known otherwise, it needs not be told. */
	assert_int_equal(update_knowing(&scene, &known->packages, NULL), 0);
	assert_true(scene.listing->complete);
	assert_true(has(&scene, "test:victim"));
	view_unref(known);
	scene_release(&scene);
}

/* Logs with invalid names: the listing is complete without them, and reports them. */
static void test_refused_names(void **state)
{
	struct scene scene = scene_new();
	struct ecdsa_private_key *key = forge_key(2);
	struct listing *outdated;
	struct forge_record made;
	struct record_envelope envelope;
	char name[310] = "test:";
	struct fault flt;

	(void)state;
	memset(name + 5, 'a', 300);
	forge_content(RECORD_PACKAGE, span_of_text("whatever it is"), key, &made);
	envelope = forge_envelope(&made);
	fake_registry_put(scene.fake, name, &envelope);
	fake_registry_put(scene.fake, "Not:Kebab", &envelope);
	fake_registry_sign(scene.fake);
	for (int i = 0; i < 2; i++) {
		fake_registry_gather(scene.fake, "", 0);
		assert_int_equal(update(&scene, NULL), 0);
		assert_true(scene.listing->complete);
		assert_int_equal(scene.listing->names.count, 3);
		assert_int_equal(scene.listing->log_count, 5);
		assert_int_equal(scene.listing->refused_count, 2);
		/* Refused names are not requested again. */
		assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), i ? 0 : 1);
	}
	for (size_t i = 0; i < 2; i++) {
		const struct listing_refused *refused = &scene.listing->refused[i];
		bool is_long = refused->length == 305;

		listing_tell_refused(refused, &flt);
		assert_int_equal(flt.kind, FAULT_OVERSIZED);
		assert_non_null(strstr(flt.where, is_long ? "package test:aaa" : "package Not:Kebab"));
		assert_non_null(strstr(flt.what, is_long ? "305 bytes" : "9 bytes"));
	}
	assert_int_equal(listing_outdate(scene.listing, &outdated, NULL), 0);
	assert_int_equal(outdated->refused_count, 2);
	listing_unref(outdated);
	/* The stored names suffice, and only those that hash to a log are used. */
	fake_registry_gather(scene.fake, "", 0);
	ledger_keep_names(scene.ledger, &(struct name_list){0}, 0, span_of_text("Not:There\n"));
	restart(&scene, 0);
	assert_int_equal(update(&scene, NULL), 0);
	assert_true(scene.listing->complete && scene.listing->refused_count == 2);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 0);
	/* A further name is added; the known ones stay. */
	fake_registry_release(scene.fake, "test:more", "1.0.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(update(&scene, NULL), 0);
	assert_true(scene.listing->complete && scene.listing->refused_count == 2 && has(&scene, "test:more"));
	forge_record_release(&made);
	ecdsa_private_key_free(key);
	scene_release(&scene);
}

static void test_no_ledger(void **state)
{
	struct scene scene = scene_new();
	struct view *known = knowing((const char *const[]){"test:victim", "test:good", NULL});

	(void)state;
	fake_registry_lie(scene.fake, LIE_LEDGER_NONE, NULL);
	assert_int_equal(update_knowing(&scene, &known->packages, NULL), 0);
	assert_false(scene.listing->complete);
	assert_int_equal(scene.listing->names.count, 2);
	assert_int_equal(scene.listing->length, 0);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	assert_int_equal(update_knowing(&scene, &known->packages, NULL), 0);
	assert_true(scene.listing->complete);
	assert_int_equal(scene.listing->names.count, 3);
	view_unref(known);
	scene_release(&scene);
}

/* A ledger is damaged where it lies, and the registry gives it no more: no part of it is taken for the whole. */
static void test_damaged_and_gone(void **state)
{
	struct scene scene = scene_new();
	char *path;
	int fd;

	(void)state;
	for (int i = 0; i < 300; i++) {
		char version[16];

		snprintf(version, sizeof(version), "2.%d.0", i);
		fake_registry_release(scene.fake, i < 150 ? "test:good" : "test:late", version);
	}
	fake_registry_sign(scene.fake);
	assert_int_equal(update(&scene, NULL), 0);
	listing_unref(scene.listing);
	scene.listing = NULL;
	assert_true(asprintf(&path, "%s/label/ledger", scene.folder) > 0);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "damage", 6, 16 + 64 * 100), 6);
	close(fd);
	free(path);
	fake_registry_lie(scene.fake, LIE_LEDGER_NONE, NULL);
	assert_int_equal(update(&scene, NULL), 0);
	assert_int_equal(scene.listing->length, 0);
	assert_int_equal(scene.listing->log_count, 0);
	assert_false(scene.listing->complete);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	assert_int_equal(update(&scene, NULL), 0);
	assert_true(scene.listing->complete);
	assert_int_equal(scene.listing->names.count, 4);
	scene_release(&scene);
}

/* A name that is known, and of no log under this checkpoint, is not listed. */
static void test_known_but_not_there(void **state)
{
	struct scene scene = scene_new();
	struct view *known = knowing((const char *const[]){"test:elsewhere", NULL});

	(void)state;
	fake_registry_lie(scene.fake, LIE_NAMES_WITHHELD, "test:victim");
	assert_int_equal(update_knowing(&scene, &known->packages, NULL), 0);
	assert_false(scene.listing->complete);
	assert_false(has(&scene, "test:elsewhere"));
	view_unref(known);
	scene_release(&scene);
}

/* What lies on disk is gone on from: nothing is fetched twice, over restarts, and each log's last record is known. */
static void test_restart(void **state)
{
	const struct listing_log *log;
	struct scene scene = scene_new();
	struct name name = forge_name("test:good");
	struct digest id = name_log_id(&name);

	(void)state;
	assert_int_equal(update(&scene, NULL), 0);
	restart(&scene, 0);
	assert_int_equal(update(&scene, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/ledger"), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 0);
	assert_true(scene.listing->complete);
	assert_int_equal(scene.listing->names.count, 3);
	log = listing_find_log(scene.listing, &id);
	assert_non_null(log);
	assert_int_equal(log->last, 2);
	assert_true(scene.listing->operator_last < 2);

	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_release(scene.fake, "test:new", "1.0.0");
	fake_registry_sign(scene.fake);
	restart(&scene, 0);
	assert_int_equal(update(&scene, NULL), 0);
	assert_int_equal(listing_find_log(scene.listing, &id)->last, 5);
	assert_int_equal(scene.listing->names.count, 4);
	restart(&scene, 0);
	assert_int_equal(update(&scene, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/ledger"), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 0);
	assert_int_equal(scene.listing->names.count, 4);
	assert_int_equal(scene.listing->length, 7);
	scene_release(&scene);
}

/* A ledger of another registry, proven there, lies in the folder: it is fetched anew, and nobody is accused. */
static void test_false_ledger(void **state)
{
	struct scene scene = scene_new(), other = scene_new();
	struct ledger *ours = scene.ledger;

	(void)state;
	fake_registry_release(scene.fake, "test:more", "1.0.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(update(&other, NULL), 0);
	restart(&other, 0);
	scene.ledger = other.ledger;
	assert_int_equal(update(&scene, NULL), 0);
	assert_true(scene.listing->complete);
	assert_int_equal(scene.listing->names.count, 4);
	scene.ledger = ours;
	/* It was written over. */
	restart(&other, 0);
	assert_int_equal(ledger_length(other.ledger), 6);
	scene_release(&scene);
	scene_release(&other);
}

/* Names that lie on disk are believed where they hash to a log, and nowhere else. */
static void test_false_names(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	assert_int_equal(update(&scene, NULL), 0);
	scratch_write_text(scratch_path(scene.folder, "label/names"),
			   "wargfs names 1\ntest:invented\ntest:good\n\n:::\ntest:victi");
	restart(&scene, 0);
	assert_int_equal(update(&scene, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 1);
	assert_false(has(&scene, "test:invented"));
	assert_true(has(&scene, "test:victim"));
	assert_int_equal(scene.listing->names.count, 3);
	/* The torn line did not swallow the next one. */
	restart(&scene, 0);
	assert_int_equal(update(&scene, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 0);
	assert_int_equal(scene.listing->names.count, 3);
	/* One of another version is written anew. */
	scratch_write_text(scratch_path(scene.folder, "label/names"), "wargfs names 2\ntest:good\n");
	restart(&scene, 0);
	assert_int_equal(update(&scene, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 1);
	restart(&scene, 0);
	assert_int_equal(update(&scene, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 0);
	scene_release(&scene);
}

static int update_once(void *context, struct fault *flt)
{
	struct scene *scene = context;
	struct signed_checkpoint checkpoint;
	struct listing *next = NULL;
	int verdict;

	verdict = api_fetch_checkpoint(&scene->api, clock_in_seconds(60), &checkpoint, flt);
	if (!verdict)
		verdict = listing_update(&scene->api, scene->ledger, scene->listing, &checkpoint, NULL,
					 clock_in_seconds(60), &next, flt);
	listing_unref(next);
	return verdict;
}

static void test_torture(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	torture(update_once, &scene);
	assert_int_equal(update(&scene, NULL), 0);
	fake_registry_release(scene.fake, "test:new", "1.0.0");
	fake_registry_sign(scene.fake);
	torture(update_once, &scene);
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete), cmocka_unit_test(test_slow), cmocka_unit_test(test_many_logs),
		cmocka_unit_test(test_slow_names),
	        cmocka_unit_test(test_lie_is_not_kept),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_cut_at_the_checkpoint),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_names_withheld),
		cmocka_unit_test(test_refused_names),
		cmocka_unit_test(test_no_ledger),
		cmocka_unit_test(test_damaged_and_gone),
		cmocka_unit_test(test_known_but_not_there),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_false_ledger),
		cmocka_unit_test(test_false_names),
		cmocka_unit_test(test_torture),
	};
	int failed;

	if (http_new(&http, NULL))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	http_free(http);
	return failed;
}
