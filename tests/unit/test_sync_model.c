/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Updates at random, with and without the ledger, of two programs that share its folder, while the registry lies now
 * and then and the disk is damaged. What is shown as proven is what was published up to its checkpoint; and after an
 * update from an honest registry, everything is as if it had been built from nothing.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/sync/sync.h"
#include "fake_registry.h"
#include "forge.h"
#include "scratch.h"

#define PACKAGES 9
#define WANTED 8 /* the last package is never looked at: it makes the ledger long */
#define PROGRAMS 2
#define STEPS 40
#define RECORDS 8192

static struct http *http;

/** What was published of each package. */
struct published {
	bool is_signed; /* there is a checkpoint of it */
	unsigned releases[PACKAGES], yanks[PACKAGES], imports;
};

/** As a registry in client/ is: what it shows, and what the next update goes on from. */
struct program {
	struct ledger *ledger;
	struct view *view;       /* NULL: nothing was proven yet */
	struct listing *listing; /* the last one */
};

struct model {
	unsigned seed;
	struct fake_registry *fake, *other; /* `other` is of another branch */
	struct api api;
	uint64_t length;                    /* of the newest checkpoint of `fake` */
	unsigned others;                    /* records of `other` */
	char *folder;
	struct program programs[PROGRAMS];
	struct published now, at[RECORDS]; /* at[n]: with the checkpoint of n records */
};

static clock_ms soon(void)
{
	return clock_in_seconds(60);
}

static unsigned draw(struct model *model, unsigned below)
{
	return (unsigned)rand_r(&model->seed) / 7 % below;
}

static const char *text_of(size_t package)
{
	static const char *const texts[PACKAGES] = {"test:a", "test:b", "test:c", "test:d", "test:e",
						    "test:f", "test:g", "test:h", "test:filler"};

	return texts[package];
}

/* ---- The registry ---- */

static void publish(struct model *model)
{
	size_t package = draw(model, WANTED);
	char text[32];

	if (draw(model, 8) == 0) {
		snprintf(text, sizeof(text), "other%u", model->now.imports++);
		fake_registry_import(model->fake, text, "registry.example");
	} else if (model->now.yanks[package] < model->now.releases[package] && draw(model, 4) == 0) {
		snprintf(text, sizeof(text), "1.%u.0", model->now.yanks[package]++);
		fake_registry_yank(model->fake, text_of(package), text);
	} else {
		snprintf(text, sizeof(text), "1.%u.0", model->now.releases[package]++);
		fake_registry_release(model->fake, text_of(package), text);
	}
}

/* Full chunks of the ledger are read from the disk, and the last one is not. */
static void fill_chunks(struct model *model)
{
	char text[32];

	for (int i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "1.%u.0", model->now.releases[PACKAGES - 1]++);
		fake_registry_release(model->fake, text_of(PACKAGES - 1), text);
	}
}

static void sign(struct model *model)
{
	struct signed_checkpoint checkpoint;

	fake_registry_sign(model->fake);
	fake_registry_lie(model->fake, LIE_NONE, NULL);
	assert_int_equal(api_fetch_checkpoint(&model->api, soon(), &checkpoint, NULL), 0);
	assert_true(checkpoint.contents.log_length < RECORDS);
	model->length = checkpoint.contents.log_length;
	model->at[checkpoint.contents.log_length] = model->now;
	model->at[checkpoint.contents.log_length].is_signed = true;
}

/* ---- The disk ---- */

static void reopen(struct model *model, struct program *program)
{
	struct signed_checkpoint checkpoint;
	bool found;

	ledger_close(program->ledger);
	assert_int_equal(ledger_open(model->folder, "label", &program->ledger, NULL), 0);
	ledger_load(program->ledger, &checkpoint, &found, NULL);
}

static void damage(struct model *model)
{
	const off_t offset = 16 + (off_t)draw(model, 64 * 300);
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/label/ledger", model->folder);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return;
	assert_int_equal(pwrite(fd, "damage", 6, offset), 6);
	close(fd);
}

/* ---- What is shown ---- */

static void count_of(const struct package_log *log, unsigned *releases, unsigned *yanks)
{
	size_t count;
	const struct package_release *all = package_log_releases(log, &count);

	*releases = (unsigned)count;
	*yanks = 0;
	for (size_t i = 0; i < count; i++)
		*yanks += all[i].yank != NULL;
}

static void check_package(const struct published *published, size_t number, const struct view_package *package)
{
	unsigned releases, yanks;

	if (!package)
		return;
	count_of(package->log, &releases, &yanks);
	if (view_package_is_current(package)) {
		assert_int_equal(releases, published->releases[number]);
		assert_int_equal(yanks, published->yanks[number]);
	}
	assert_true(releases <= published->releases[number] && yanks <= published->yanks[number]);
}

static void check_listing(const struct view *view, const struct published *published)
{
	const struct listing *listing = view->listing;
	size_t there = 0, listed = 0;

	for (size_t i = 0; i < PACKAGES; i++) {
		struct name name = forge_name(text_of(i));

		there += published->releases[i] > 0;
		listed += listing_has(listing, &name);
		assert_true(!listing_has(listing, &name) || published->releases[i]);
	}
	assert_int_equal(listing->names.count, listed);
	if (listing->complete)
		assert_int_equal(listed, there);
	if (listing->length)
		assert_int_equal(listing->log_count, there);
	assert_true(!listing->length || listing->length == view->checkpoint.contents.log_length);
}

/* Whatever the registry said. */
static void check(const struct model *model, const struct view *view)
{
	const struct published *published = &model->at[view->checkpoint.contents.log_length];
	size_t count;

	assert_true(published->is_signed);
	for (size_t i = 0; i < PACKAGES; i++) {
		struct name name = forge_name(text_of(i));

		check_package(published, i, view_find(view, &name));
	}
	operator_log_namespaces(view->operator, &count);
	assert_int_equal(count, 1 + published->imports);
	if (view->listing)
		check_listing(view, published);
}

/* ---- As built from nothing ---- */

static int compare_package(void *user, const struct view_package *package)
{
	const struct name name = view_package_name(package);
	const struct view_package *fresh = view_find(user, &name);

	assert_non_null(fresh);
	assert_true(view_package_is_current(package));
	assert_true(digest_equals(&package_log_head(package->log)->record_id,
				  &package_log_head(fresh->log)->record_id));
	assert_int_equal(package->registry_index, fresh->registry_index);
	assert_string_equal(view_package_position(package).token, view_package_position(fresh).token);
	return 0;
}

static void compare_listings(const struct listing *listing, const struct listing *fresh)
{
	assert_int_equal(listing->complete, fresh->complete);
	assert_int_equal(listing->length, fresh->length);
	assert_int_equal(listing->operator_last, fresh->operator_last);
	assert_int_equal(listing->names.count, fresh->names.count);
	assert_int_equal(listing->log_count, fresh->log_count);
	for (size_t i = 0; i < fresh->names.count; i++) {
		assert_string_equal(name_list_text(&listing->names, i), name_list_text(&fresh->names, i));
		assert_int_equal(listing->last[i], fresh->last[i]);
	}
	for (size_t i = 0; i < fresh->log_count; i++) {
		assert_true(digest_equals(&listing->logs[i].id, &fresh->logs[i].id));
		assert_int_equal(listing->logs[i].last, fresh->logs[i].last);
	}
}

static void list_from_nothing(const struct model *model, const struct view *view, struct listing **out)
{
	char *folder = scratch_new();
	struct ledger *ledger;

	assert_int_equal(ledger_open(folder, "label", &ledger, NULL), 0);
	assert_int_equal(listing_update(&model->api, ledger, NULL, &view->checkpoint, NULL, soon(), out, NULL), 0);
	ledger_close(ledger);
	scratch_free(folder);
}

static void check_fresh(const struct model *model, const struct view *view)
{
	struct sync_wanted wanted[WANTED] = {0};
	struct listing *listing;
	struct view *fresh;

	for (size_t i = 0; i < WANTED; i++)
		wanted[i].name = forge_name(text_of(i));
	assert_int_equal(sync_refresh(&model->api, NULL, NULL, NULL, wanted, WANTED, soon(), &fresh, NULL, NULL), 0);
	assert_true(checkpoint_same_state(&view->checkpoint.contents, &fresh->checkpoint.contents));
	assert_int_equal(view->operator_position.registry_index, fresh->operator_position.registry_index);
	assert_int_equal(view_trie_each(&view->packages, compare_package, fresh), 0);
	list_from_nothing(model, fresh, &listing);
	assert_non_null(view->listing);
	compare_listings(view->listing, listing);
	listing_unref(listing);
	view_unref(fresh);
}

/* ---- The programs ---- */

static void adopt(struct program *program, struct view *next)
{
	view_unref(program->view);
	program->view = next;
	if (!next->listing)
		return;
	listing_unref(program->listing);
	program->listing = listing_ref(next->listing);
	if (next->listing->length)
		ledger_keep(program->ledger, &next->checkpoint);
}

/* As client/registry/registry_update.c does it. */
static void list(struct model *model, struct program *program)
{
	struct listing_known known;
	struct view *next;

	assert_int_equal(view_copy(program->view, &next, NULL), 0);
	listing_unref(next->listing);
	next->listing = NULL;
	known = (struct listing_known){.packages = &next->packages};
	if (listing_update(&model->api, program->ledger, program->listing, &next->checkpoint, &known, soon(),
			   &next->listing, NULL) && program->listing)
		assert_int_equal(listing_outdate(program->listing, &next->listing, NULL), 0);
	if (next->listing && (next->listing->length == next->checkpoint.contents.log_length || !next->listing->length))
		adopt(program, next);
	else
		view_unref(next);
}

static void refresh(struct model *model, struct program *program, bool is_honest)
{
	struct ledger *ledger = draw(model, 4) ? program->ledger : NULL;
	struct sync_wanted wanted = {.name = forge_name(text_of(draw(model, WANTED)))};
	struct sync_refused refused;
	struct view *next;
	int verdict = sync_refresh(&model->api, NULL, ledger, program->view, &wanted, draw(model, 2), soon(), &next,
				   &refused, NULL);

	operator_log_unref(refused.operator);
	if (is_honest)
		assert_int_equal(verdict, 0);
	if (verdict)
		return;
	check(model, next);
	adopt(program, next);
	if (!next->listing || !next->listing->complete)
		list(model, program);
	check(model, program->view);
}

static void add(struct model *model, struct program *program)
{
	struct sync_wanted wanted = {.name = forge_name(text_of(draw(model, WANTED)))};
	struct view *next;

	if (sync_add(&model->api, NULL, program->view, &wanted, 1, soon(), &next, NULL))
		return;
	check(model, next);
	adopt(program, next);
}

/* A longer checkpoint of another branch is refused by who has seen this one, and leaves nothing behind. */
static void show_branch(struct model *model, struct program *program)
{
	struct api api = model->api;
	struct signed_checkpoint offered = {0};
	struct view *next;
	char text[32];

	model->api.url = fake_registry_url(model->other);
	while (offered.contents.log_length <= model->length) {
		for (int i = 0; i < 100; i++) {
			snprintf(text, sizeof(text), "2.%u.0", model->others++);
			fake_registry_release(model->other, text_of(PACKAGES - 1), text);
		}
		fake_registry_sign(model->other);
		assert_int_equal(api_fetch_checkpoint(&model->api, soon(), &offered, NULL), 0);
	}
	assert_int_not_equal(sync_refresh(&model->api, NULL, program->ledger, program->view, NULL, 0, soon(), &next,
					  NULL, NULL), 0);
	model->api = api;
}

static void step(struct model *model)
{
	struct program *program = &model->programs[draw(model, PROGRAMS)];
	bool is_honest = draw(model, 3) == 0;

	for (unsigned count = draw(model, 5); count; count--)
		publish(model);
	if (draw(model, 20) == 0)
		fill_chunks(model);
	sign(model);
	if (draw(model, 8) == 0)
		damage(model);
	if (draw(model, 8) == 0)
		reopen(model, program);
	if (draw(model, 8) == 0 && program->view && program->view->checkpoint.contents.log_length > 2)
		show_branch(model, program);
	if (!is_honest)
		fake_registry_lie(model->fake, LIE_NONE + 1 + draw(model, LIE_LEDGER_NONE),
				  text_of(draw(model, PACKAGES)));
	refresh(model, program, is_honest);
	if (program->view && draw(model, 2))
		add(model, program);
	if (is_honest)
		check_fresh(model, program->view);
}

static void run(unsigned seed)
{
	struct model *model = calloc(1, sizeof(*model));

	assert_non_null(model);
	model->seed = seed;
	model->fake = fake_registry_new();
	model->other = fake_registry_new();
	model->api = (struct api){.http = http, .url = fake_registry_url(model->fake)};
	model->folder = scratch_new();
	for (size_t i = 0; i < PROGRAMS; i++)
		assert_int_equal(ledger_open(model->folder, "label", &model->programs[i].ledger, NULL), 0);
	sign(model);
	for (int i = 0; i < STEPS; i++)
		step(model);
	for (size_t i = 0; i < PROGRAMS; i++) {
		view_unref(model->programs[i].view);
		listing_unref(model->programs[i].listing);
		ledger_close(model->programs[i].ledger);
	}
	scratch_free(model->folder);
	fake_registry_free(model->other);
	fake_registry_free(model->fake);
	free(model);
}

/* WARGFS_MODEL_SEED is another seed to begin with. */
static void test_model(void **state)
{
	const char *text = getenv("WARGFS_MODEL_SEED");
	unsigned first = text ? (unsigned)strtoul(text, NULL, 10) : 1;

	(void)state;
	for (unsigned seed = first; seed < first + 2; seed++) {
		print_message("seed %u\n", seed);
		run(seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_model)};
	int failed;

	if (http_new(&http, NULL))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	http_free(http);
	return failed;
}
