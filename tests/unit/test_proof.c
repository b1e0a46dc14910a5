/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Proof documents: fetched from a registry that may lie, written, read, and checked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/net/records.h"
#include "client/sync/proof.h"
#include "client/sync/sync.h"
#include "data.h"
#include "fake_registry.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"
#include "verify/hex.h"

#define DOCUMENT "tests/data/invalid/proof-honest/proof"

static struct http *http;

static clock_ms soon(void)
{
	return clock_in_seconds(60);
}

/* ---- Fetching ---- */

/* A registry, and a checkpoint of it that was verified. */
struct scene {
	struct fake_registry *fake;
	struct api api;
	struct view *view;
	struct name name;
	struct archive *archive; /* NULL: none */
	char *folder;
};

/* What the view has lies in an archive. */
static void make_archive(struct scene *scene)
{
	/* Both in one round: a proof of the victim alone would be kept, and used. */
	struct sync_wanted wanted[2] = {{.name = scene->name}, {.name = forge_name("test:good")}};
	bool saved;

	scene->folder = scratch_new();
	assert_int_equal(archive_open(scene->folder, "label", &scene->archive, NULL), 0);
	view_unref(scene->view);
	assert_int_equal(sync_refresh(&scene->api, scene->archive, NULL, NULL, wanted, 2, soon(), &scene->view, NULL,
				      NULL),
			 0);
	archive_accept(scene->archive);
	assert_int_equal(archive_save(scene->archive, &saved, NULL), 0);
	assert_true(saved);
}

static struct scene scene_new(void)
{
	struct scene scene = {.fake = fake_registry_new(), .name = forge_name("test:victim")};

	scene.api = (struct api){.http = http, .url = fake_registry_url(scene.fake)};
	fake_registry_release(scene.fake, "test:victim", "1.0.0");
	fake_registry_release(scene.fake, "test:good", "1.0.0");
	fake_registry_release(scene.fake, "test:victim", "1.1.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(sync_refresh(&scene.api, NULL, NULL, NULL, NULL, 0, soon(), &scene.view, NULL, NULL), 0);
	return scene;
}

static void scene_release(struct scene *scene)
{
	view_unref(scene->view);
	archive_close(scene->archive);
	if (scene->folder)
		scratch_free(scene->folder);
	fake_registry_free(scene->fake);
}

static int fetch(const struct scene *scene, const char *version, struct proof *out, struct fault *flt)
{
	return proof_fetch(&scene->api, scene->archive, soon(), scene->view, &scene->name, version, out, flt);
}

/* By way of its text, as a third party gets it. */
static void check_elsewhere(const struct proof *proof, const char *content)
{
	struct digest digest = digest_of(span_of_text(content));
	struct release_proof_finding finding;
	struct fault flt = {0};
	struct proof read;
	struct buf text;

	buf_init(&text, CAP_PROOF);
	assert_int_equal(proof_render(proof, &text, NULL), 0);
	assert_int_equal(text.data[text.length - 1], '\n');
	assert_int_equal(proof_parse(buf_span(&text), &read, &flt), 0);
	assert_int_equal(proof_check(&read, &finding, &flt), 0);
	assert_true(digest_equals(&finding.content, &digest));
	assert_true(digest_equals(&read.content, &digest));
	assert_string_equal(read.registry.text, proof->registry.text);
	proof_release(&read);
	buf_release(&text);
}

static void test_fetched(void **state)
{
	struct scene scene = scene_new();
	struct proof proof;

	(void)state;
	assert_int_equal(fetch(&scene, "1.0.0", &proof, NULL), 0);
	assert_int_equal(proof.operator.count, 2);
	assert_int_equal(proof.package.count, 2);
	check_elsewhere(&proof, "1.0.0");
	proof_release(&proof);
	assert_int_equal(fake_registry_count(scene.fake, "v1/proof/inclusion"), 2); /* the view's, and ours */
	scene_release(&scene);
}

/* The registry has moved on: the proof is of the checkpoint that was asked for. */
static void test_fetched_behind(void **state)
{
	struct scene scene = scene_new();
	struct proof proof;

	(void)state;
	fake_registry_release(scene.fake, "test:victim", "1.2.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(fetch(&scene, "1.1.0", &proof, NULL), 0);
	assert_int_equal(proof.package.count, 2);
	check_elsewhere(&proof, "1.1.0");
	proof_release(&proof);
	scene_release(&scene);
}

static void test_fetched_in_pages(void **state)
{
	struct scene scene = scene_new();
	struct proof proof;

	(void)state;
	fake_registry_page(scene.fake, 1);
	assert_int_equal(fetch(&scene, "1.1.0", &proof, NULL), 0);
	check_elsewhere(&proof, "1.1.0");
	proof_release(&proof);
	scene_release(&scene);
}

/* Where the records lie in the archive, only the proof of inclusion is fetched. */
static void test_from_the_archive(void **state)
{
	struct scene scene = scene_new();
	unsigned before;
	struct proof proof;

	(void)state;
	make_archive(&scene);
	before = fake_registry_count(scene.fake, "v1/fetch/logs");
	assert_int_equal(fetch(&scene, "1.0.0", &proof, NULL), 0);
	assert_int_equal(proof.operator.count, 2);
	assert_int_equal(proof.package.count, 2);
	check_elsewhere(&proof, "1.0.0");
	proof_release(&proof);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/logs"), before);
	scene_release(&scene);
}

/* Where the view was proven by the very proof, nothing is fetched. */
static void test_from_the_view(void **state)
{
	struct scene scene = scene_new();
	struct sync_wanted wanted = {.name = scene.name};
	struct proof proof;
	unsigned before;

	(void)state;
	make_archive(&scene);
	view_unref(scene.view);
	assert_int_equal(sync_refresh(&scene.api, NULL, NULL, NULL, &wanted, 1, soon(), &scene.view, NULL, NULL), 0);
	before = server_requests(fake_registry_server(scene.fake));
	assert_int_equal(fetch(&scene, "1.0.0", &proof, NULL), 0);
	check_elsewhere(&proof, "1.0.0");
	proof_release(&proof);
	assert_int_equal(server_requests(fake_registry_server(scene.fake)), before);
	/* It is not one of another head. */
	fake_registry_release(scene.fake, "test:victim", "1.2.0");
	fake_registry_sign(scene.fake);
	view_unref(scene.view);
	assert_int_equal(sync_refresh(&scene.api, NULL, NULL, NULL, &wanted, 1, soon(), &scene.view, NULL, NULL), 0);
	assert_int_equal(fetch(&scene, "1.2.0", &proof, NULL), 0);
	check_elsewhere(&proof, "1.2.0");
	proof_release(&proof);
	scene_release(&scene);
}

/* Every byte of it flipped in turn, and the file cut at every place: the proof is the same, and nobody is blamed. */
static void test_damaged_archive(void **state)
{
	struct scene scene = scene_new();
	struct buf good, bad;
	char file[256], hex[DIGEST_TEXT_SIZE];
	struct digest log_id = name_log_id(&scene.name);
	const char *path;

	(void)state;
	make_archive(&scene);
	hex_encode(digest_span(&log_id), hex);
	snprintf(file, sizeof(file), "%s/label/records/%s", scene.folder, hex);
	path = file;
	good = data_read(path);
	for (size_t i = 0; i < good.length; i += 7) {
		struct fault flt = {0};
		struct proof proof;

		buf_init(&bad, 1 << 20);
		assert_int_equal(buf_append(&bad, buf_span(&good), NULL), 0);
		bad.data[i] ^= 4;
		if (i % 2)
			bad.length = i;
		scratch_write(path, buf_span(&bad));
		if (fetch(&scene, "1.1.0", &proof, &flt))
			fail_msg("byte %zu: %s", i, flt.what);
		check_elsewhere(&proof, "1.1.0");
		proof_release(&proof);
		buf_release(&bad);
	}
	buf_release(&good);
	scene_release(&scene);
}

/* A registry whose proof does not hold is blamed as without an archive, and one that is away is not asked twice. */
static void test_lies_beside_the_archive(void **state)
{
	struct scene scene = scene_new();
	struct fault flt = {0};
	struct proof proof;

	(void)state;
	make_archive(&scene);
	fake_registry_lie(scene.fake, LIE_PROOFS_FEWER, "test:victim");
	assert_int_equal(fetch(&scene, "1.0.0", &proof, &flt), WARG_INVALID);
	assert_int_equal(flt.party, FAULT_BY_REGISTRY);
	scene_release(&scene);
}

static void test_no_such_release(void **state)
{
	struct scene scene = scene_new();
	struct fault flt = {0};
	char version[CAP_VERSION + 2];
	struct proof proof;

	(void)state;
	assert_int_equal(fetch(&scene, "9.0.0", &proof, &flt), WARG_INVALID);
	memset(version, '1', sizeof(version) - 1);
	version[sizeof(version) - 1] = '\0';
	flt = (struct fault){0};
	assert_int_equal(fetch(&scene, version, &proof, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_MISUSE);
	scene_release(&scene);
}

/* A record with no release has a document as well, and one that has. */
static void test_of_a_record(void **state)
{
	struct scene scene = scene_new();
	struct digest nobody = digest_of(span_of_text("nobody"));
	struct release_proof_finding finding;
	struct fault flt = {0};
	struct proof proof, read;
	struct buf text, mixed;

	(void)state;
	fake_registry_yank(scene.fake, "test:victim", "1.0.0");
	fake_registry_sign(scene.fake);
	make_archive(&scene);
	buf_init(&text, CAP_PROOF);
	buf_init(&mixed, CAP_PROOF);
	for (size_t at = 0; at < 3; at++) {
		struct digest id;

		assert_int_equal(fetch(&scene, "1.0.0", &proof, NULL), 0);
		assert_int_equal(proof.package.count, 3);
		id = record_id(RECORD_PACKAGE, buf_span(&proof.package.records[at].content));
		proof_release(&proof);
		assert_int_equal(proof_fetch_record(&scene.api, scene.archive, soon(), scene.view, &scene.name, &id,
						    &proof, NULL), 0);
		text.length = 0;
		assert_int_equal(proof_render(&proof, &text, NULL), 0);
		proof_release(&proof);
		assert_int_equal(proof_parse(buf_span(&text), &read, NULL), 0);
		assert_true(read.of_record);
		assert_int_equal(proof_check(&read, &finding, NULL), 0);
		assert_int_equal(finding.record_at, at);
		assert_true(digest_equals(&finding.record_id, &id));
		/* It speaks of one record, and of no other. */
		read.record_id.bytes[0] ^= 1;
		assert_int_equal(proof_check(&read, &finding, NULL), WARG_INVALID);
		proof_release(&read);
	}
	/* Nor is it a release's with another name. */
	assert_int_equal(buf_append_text(&mixed, "{\"version\": \"1.0.0\",", NULL), 0);
	assert_int_equal(buf_append(&mixed, (struct span){text.data + 1, text.length - 1}, NULL), 0);
	assert_int_equal(proof_parse(buf_span(&mixed), &read, &flt), WARG_INVALID);
	flt = (struct fault){0};
	assert_int_equal(proof_fetch_record(&scene.api, scene.archive, soon(), scene.view, &scene.name, &nobody, &proof,
					    &flt), WARG_INVALID);
	assert_int_equal(flt.party, FAULT_BY_REGISTRY);
	buf_release(&text);
	buf_release(&mixed);
	scene_release(&scene);
}

static void test_lies(void **state)
{
	static const struct {
		enum fake_lie lie;
		enum fault_kind kind;
	} lies[] = {
		{LIE_PROOFS_FEWER, FAULT_FORGED},  {LIE_PROOFS_MORE, FAULT_FORGED},
		{LIE_PROOFS_REORDERED, FAULT_FORGED}, {LIE_PROOFS_OTHER, FAULT_FORGED},
		{LIE_MAP_FEWER, FAULT_FORGED},     {LIE_PROOFS_REFUSED, FAULT_REFUSED},
		{LIE_OTHER_LOG, FAULT_FORGED},     {LIE_WITHHELD, FAULT_FORGED},
		{LIE_EMPTY, FAULT_FORGED},         {LIE_ABSENT, FAULT_REFUSED},
		{LIE_RECORD, FAULT_FORGED},        {LIE_INDEX, FAULT_FORGED},
		{LIE_INDEX_PAST, FAULT_FORGED},    {LIE_INDEX_ORDER, FAULT_FORGED},
		{LIE_OPERATOR_RECORD, FAULT_FORGED}, {LIE_MORE, FAULT_FORGED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct scene scene = scene_new();
		struct fault flt = {0};
		struct proof proof;

		fake_registry_lie(scene.fake, lies[i].lie, "test:victim");
		if (!fetch(&scene, "1.0.0", &proof, &flt))
			fail_msg("lie %d is believed", lies[i].lie);
		if (flt.kind != lies[i].kind)
			fail_msg("lie %d: kind %d: %s", lies[i].lie, flt.kind, flt.what);
		assert_int_equal(flt.party, FAULT_BY_REGISTRY);
		scene_release(&scene);
	}
}

static void test_tokens(void **state)
{
	static const enum fake_lie lies[] = {LIE_TOKENS, LIE_TOKENS_HANG_UP};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct scene scene = scene_new();
		struct fault flt = {0};
		struct proof proof;

		fake_registry_page(scene.fake, 1);
		fake_registry_lie(scene.fake, lies[i], NULL);
		assert_int_equal(fetch(&scene, "1.0.0", &proof, &flt), WARG_UNDECIDED);
		assert_int_equal(flt.kind, FAULT_REFUSED);
		scene_release(&scene);
	}
}

static void test_records(void **state)
{
	struct scene scene = scene_new();
	struct name nobody = forge_name("test:nobody");
	struct fault flt = {0};
	struct api_logs logs;

	(void)state;
	assert_int_equal(records_fetch(&scene.api, soon(), 5, NULL, &logs, NULL), 0);
	assert_int_equal(logs.operator.count, 2);
	assert_int_equal(logs.package_count, 0);
	api_logs_release(&logs);
	assert_int_equal(records_fetch(&scene.api, soon(), 5, &nobody, &logs, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	scene_release(&scene);
}

/* ---- Documents ---- */

/* What is written is what was read. */
static void test_round_trip(void **state)
{
	struct buf text = data_read(DOCUMENT), once, twice;
	struct proof proof;

	(void)state;
	buf_init(&once, CAP_PROOF);
	buf_init(&twice, CAP_PROOF);
	assert_int_equal(proof_parse(buf_span(&text), &proof, NULL), 0);
	assert_int_equal(proof_render(&proof, &once, NULL), 0);
	proof_release(&proof);
	assert_int_equal(proof_parse(buf_span(&once), &proof, NULL), 0);
	assert_int_equal(proof_render(&proof, &twice, NULL), 0);
	proof_release(&proof);
	assert_true(span_equals(buf_span(&once), buf_span(&twice)));
	buf_release(&once);
	buf_release(&twice);
	buf_release(&text);
}

static void test_render_past_the_cap(void **state)
{
	struct buf text = data_read(DOCUMENT), out;
	struct fault flt = {0};
	struct proof proof;

	(void)state;
	assert_int_equal(proof_parse(buf_span(&text), &proof, NULL), 0);
	buf_init(&out, 1000);
	assert_int_equal(buf_append_text(&out, "before", NULL), 0);
	assert_int_equal(proof_render(&proof, &out, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
	assert_int_equal(out.length, 6);
	buf_release(&out);
	proof_release(&proof);
	buf_release(&text);
}

/* The document with `put` in place of its package's records. */
static int parse_with_records(const char *put, size_t times, struct fault *flt)
{
	struct buf text = data_read(DOCUMENT), changed;
	const char *start = strstr((const char *)text.data, "\"packageRecords\":[");
	const char *end = strstr(start, "],\"inclusion\"");
	struct proof proof;
	int verdict;

	assert_non_null(start);
	assert_non_null(end);
	start += strlen("\"packageRecords\":[");
	buf_init(&changed, CAP_PROOF);
	assert_int_equal(buf_append(&changed, (struct span){text.data, (size_t)(start - (char *)text.data)}, NULL), 0);
	for (size_t i = 0; i < times; i++)
		assert_int_equal(buf_append_text(&changed, put + !i, NULL), 0);
	assert_int_equal(buf_append(&changed, (struct span){(const unsigned char *)end,
							    text.length - (size_t)(end - (char *)text.data)}, NULL), 0);
	verdict = proof_parse(buf_span(&changed), &proof, flt);
	buf_release(&changed);
	buf_release(&text);
	return verdict;
}

static void test_many_records(void **state)
{
	struct fault flt = {0};

	(void)state;
	assert_int_equal(parse_with_records(",0", CAP_PROOF_RECORDS + 1, &flt), WARG_INVALID);
	assert_non_null(strstr(flt.what, "more records than it has room for"));
	flt = (struct fault){0};
	assert_int_equal(parse_with_records(",0", CAP_PROOF_RECORDS, &flt), WARG_INVALID);
	assert_non_null(strstr(flt.what, "not an object"));
}

static void test_too_large(void **state)
{
	struct fault flt = {0};
	struct proof proof;

	(void)state;
	/* The bytes are not looked at. */
	assert_int_equal(proof_parse((struct span){(const unsigned char *)"", (size_t)CAP_PROOF + 1}, &proof, &flt),
			 WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
}

static int try_all(void *context, struct fault *flt)
{
	struct release_proof_finding finding;
	struct proof proof;
	struct buf text;
	int verdict = proof_parse(buf_span(context), &proof, flt);

	if (verdict)
		return verdict;
	verdict = proof_check(&proof, &finding, flt);
	buf_init(&text, CAP_PROOF);
	if (!verdict)
		verdict = proof_render(&proof, &text, flt);
	buf_release(&text);
	proof_release(&proof);
	return verdict;
}

static void test_torture(void **state)
{
	struct buf text = data_read(DOCUMENT);

	(void)state;
	torture(try_all, &text);
	buf_release(&text);
}

static int try_fetch(void *context, struct fault *flt)
{
	struct proof proof;
	int verdict = fetch(context, "1.0.0", &proof, flt);

	if (!verdict)
		proof_release(&proof);
	return verdict;
}

static void test_torture_fetch(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	torture(try_fetch, &scene);
	make_archive(&scene);
	torture(try_fetch, &scene);
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fetched),
		cmocka_unit_test(test_fetched_behind),
		cmocka_unit_test(test_fetched_in_pages),
		cmocka_unit_test(test_from_the_archive),
		cmocka_unit_test(test_from_the_view),
		cmocka_unit_test(test_damaged_archive),
		cmocka_unit_test(test_lies_beside_the_archive),
		cmocka_unit_test(test_no_such_release),
		cmocka_unit_test(test_of_a_record),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_render_past_the_cap),
		cmocka_unit_test(test_many_records),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_torture),
		cmocka_unit_test(test_torture_fetch),
	};
	int failed;

	if (http_new(&http, NULL))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	http_free(http);
	return failed;
}
