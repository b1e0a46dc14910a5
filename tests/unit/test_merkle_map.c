/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The map: its root however it came about, the recorded proofs, and that nothing else passes for one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/base/json.h"
#include "data.h"
#include "proto.h"
#include "torture.h"
#include "verify/base64.h"
#include "verify/merkle_map.h"
#include "verify/merkle_map_tree.h"
#include "verify/merkle_node.h"

#define MANY 200

static struct digest digest_at(const char *what, uint64_t number)
{
	const struct span parts[] = { span_of_text(what), { (const unsigned char *)&number, sizeof(number) } };

	return digest_of_parts(parts, 2);
}

static struct merkle_map_entry entry_at(uint64_t number, uint64_t record)
{
	return (struct merkle_map_entry){ digest_at("log", number), digest_at("record", record) };
}

static struct merkle_map *new_map(void)
{
	struct merkle_map *map;

	assert_int_equal(merkle_map_new(&map, NULL), 0);
	return map;
}

static void set(struct merkle_map *map, struct merkle_map_entry entry)
{
	assert_int_equal(merkle_map_set(map, &entry, NULL), 0);
}

static bool root_is(struct merkle_map *map, const struct digest *expected)
{
	struct digest root = merkle_map_root(map);

	return digest_equals(&root, expected);
}

/* ---- Roots ---- */

/* The root of all that lies below `depth`, as protocol.md section 5 defines it, from scratch. Reorders the entries. */
static struct digest plain_root(const struct merkle_map_empties *empties, struct merkle_map_entry *entries,
				size_t count, size_t depth)
{
	struct digest left, right;
	size_t lefts = 0;

	if (count == 0)
		return empties->at[CAP_MAP_HEIGHT - depth];
	if (depth == CAP_MAP_HEIGHT)
		return merkle_map_tree_leaf(&entries[0].record_id);
	for (size_t i = 0; i < count; i++) {
		struct digest path = merkle_map_tree_path(&entries[i].log_id);
		struct merkle_map_entry entry = entries[i];

		if (merkle_map_tree_turns_right(&path, depth))
			continue;
		entries[i] = entries[lefts];
		entries[lefts++] = entry;
	}
	left = plain_root(empties, entries, lefts, depth + 1);
	right = plain_root(empties, entries + lefts, count - lefts, depth + 1);
	return merkle_node_branch(&left, &right);
}

static void test_empties(void **state)
{
	const unsigned char zero = 0;
	struct merkle_map_empties empties;
	struct merkle_map *map = new_map();
	struct digest hash = digest_of((struct span){ &zero, 1 });

	(void)state;
	merkle_map_empties_init(&empties);
	for (size_t height = 0; height <= CAP_MAP_HEIGHT; height++) {
		assert_true(digest_equals(&empties.at[height], &hash));
		hash = merkle_node_branch(&hash, &hash);
	}
	assert_true(root_is(map, &empties.at[CAP_MAP_HEIGHT]));
	merkle_map_free(map);
	merkle_map_free(NULL);
}

/* Asked for after every change, or once in the end, in this order or another: it is the same root. */
static void test_roots(void **state)
{
	struct merkle_map *grown = new_map(), *other = new_map();
	struct merkle_map_entry entries[MANY];
	struct merkle_map_empties empties;
	struct digest root;

	(void)state;
	merkle_map_empties_init(&empties);
	for (size_t count = 1; count <= MANY; count++) {
		set(grown, entry_at(count - 1, count - 1));
		for (size_t i = 0; i < count; i++)
			entries[i] = entry_at(i, i);
		root = merkle_map_root(grown);
		if (count <= 10 || count % 50 == 0) {
			struct digest expected = plain_root(&empties, entries, count, 0);

			assert_true(digest_equals(&root, &expected));
		}
	}
	for (size_t i = 0; i < MANY; i++)
		set(other, entry_at((i * 77 + 5) % MANY, (i * 77 + 5) % MANY));
	assert_true(root_is(other, &root));
	merkle_map_free(grown);
	merkle_map_free(other);
}

static struct merkle_map_entry entry_named(unsigned number)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", number);
	return (struct merkle_map_entry){ digest_of(span_of_text(text)), digest_at("record", number) };
}

/*
 * Two that part far down, on either side of the depth up to which a leaf's way is kept. They were found among six
 * million.
 */
static void test_near_each_other(void **state)
{
	static const struct {
		unsigned a, b;
		size_t depth;
	} rows[] = { { 2494737, 3287258, 40 }, { 1812295, 3398176, 41 }, { 4389127, 595548, 44 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct merkle_map_entry entries[] = { entry_named(rows[i].a), entry_at(1, 1), entry_named(rows[i].b) };
		struct digest a = merkle_map_tree_path(&entries[0].log_id);
		struct digest b = merkle_map_tree_path(&entries[2].log_id);
		struct merkle_map *map = new_map();
		struct merkle_map_empties empties;

		merkle_map_empties_init(&empties);
		for (size_t depth = 0; depth <= rows[i].depth; depth++)
			assert_int_equal(merkle_map_tree_turns_right(&a, depth) !=
					 merkle_map_tree_turns_right(&b, depth), depth == rows[i].depth);
		for (size_t count = 1; count <= 3; count++) {
			struct merkle_map_entry sorted[3];
			struct digest expected;

			memcpy(sorted, entries, sizeof(entries));
			expected = plain_root(&empties, sorted, count, 0);
			set(map, entries[count - 1]);
			assert_true(root_is(map, &expected));
		}
		merkle_map_free(map);
	}
}

static void test_replaced(void **state)
{
	struct merkle_map *map = new_map(), *fresh = new_map();
	struct digest before, after;

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		set(map, entry_at(i, i));
	before = merkle_map_root(map);
	for (size_t i = 0; i < MANY; i += 3) {
		set(map, entry_at(i, i + 1000));
		if (i % 2)
			merkle_map_root(map);
	}
	after = merkle_map_root(map);
	assert_false(digest_equals(&before, &after));
	for (size_t i = MANY; i-- > 0;)
		set(fresh, entry_at(i, i % 3 ? i : i + 1000));
	assert_true(root_is(fresh, &after));
	for (size_t i = 0; i < MANY; i++)
		set(map, entry_at(i, i));
	assert_true(root_is(map, &before));
	set(map, entry_at(7, 7)); /* again the same */
	assert_true(root_is(map, &before));
	merkle_map_free(map);
	merkle_map_free(fresh);
}

/* ---- Our prover against our check ---- */

static int check(const struct merkle_map_bundle *bundle, const struct digest *root,
		 const struct merkle_map_entry *entries, size_t count, const char *why)
{
	struct fault flt = { 0 };
	int verdict = merkle_map_check_inclusion(bundle, root, entries, count, &flt);

	assert_int_equal(verdict, flt.verdict);
	if (why && !strstr(flt.what, why))
		fail_msg("not refused for '%s': %s", why, flt.what);
	return verdict;
}

static void test_proofs(void **state)
{
	struct merkle_map *map = new_map();

	(void)state;
	for (size_t count = 1; count <= 40; count++) {
		struct digest log_ids[40], root;
		struct merkle_map_entry entries[40];
		struct merkle_map_bundle bundle;

		set(map, entry_at(count - 1, count - 1));
		root = merkle_map_root(map);
		for (size_t i = 0; i < count; i++) {
			entries[i] = entry_at(count - 1 - i, count - 1 - i);
			log_ids[i] = entries[i].log_id;
		}
		assert_int_equal(merkle_map_prove(map, log_ids, count, &bundle, NULL), 0);
		assert_int_equal(check(&bundle, &root, entries, count, NULL), 0);
		entries[count / 2].record_id.bytes[0] ^= 1;
		assert_int_equal(check(&bundle, &root, entries, count, "another map root"), WARG_INVALID);
		entries[count / 2].record_id.bytes[0] ^= 1;
		entries[count / 2].log_id.bytes[31] ^= 128;
		assert_int_equal(check(&bundle, &root, entries, count, "another map root"), WARG_INVALID);
		merkle_map_bundle_release(&bundle);
	}
	merkle_map_free(map);
}

/* As many proofs as leaves, in their order: protocol.md section 9, number 1. */
static void test_other_questions(void **state)
{
	struct merkle_map *map = new_map();
	struct merkle_map_entry entries[] = { entry_at(1, 1), entry_at(2, 2), entry_at(3, 3) };
	struct merkle_map_entry swapped[] = { entries[1], entries[0], entries[2] };
	struct digest log_ids[3], root, unknown = digest_at("log", 99);
	struct merkle_map_bundle bundle, fewer;
	struct fault flt = { 0 };

	(void)state;
	assert_int_equal(merkle_map_prove(map, &unknown, 1, &bundle, NULL), WARG_UNDECIDED);
	for (size_t i = 0; i < 3; i++) {
		set(map, entries[i]);
		log_ids[i] = entries[i].log_id;
	}
	root = merkle_map_root(map);
	assert_int_equal(merkle_map_prove(map, log_ids, 3, &bundle, NULL), 0);
	assert_int_equal(check(&bundle, &root, entries, 3, NULL), 0);
	assert_int_equal(check(&bundle, &root, entries, 2, "for 3 logs, not 2"), WARG_INVALID);
	assert_int_equal(check(&bundle, &root, swapped, 3, "another map root"), WARG_INVALID);
	assert_int_equal(merkle_map_check_inclusion(&bundle, &root, entries, 0, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_MISUSE);
	fewer = (struct merkle_map_bundle){ bundle.paths, 2 };
	assert_int_equal(check(&fewer, &root, entries, 3, "for 2 logs, not 3"), WARG_INVALID);
	fewer.count = 0;
	assert_int_equal(check(&fewer, &root, entries, 3, "for 0 logs, not 3"), WARG_INVALID);
	/* One hash less, at either end. */
	bundle.paths[1].count--;
	assert_int_equal(check(&bundle, &root, entries, 3, "another map root"), WARG_INVALID);
	bundle.paths[1].hashes[0] = bundle.paths[1].hashes[bundle.paths[1].count];
	assert_int_equal(check(&bundle, &root, entries, 3, "another map root"), WARG_INVALID);
	merkle_map_bundle_release(&bundle);

	assert_int_equal(merkle_map_prove(map, &unknown, 1, &bundle, &flt), WARG_UNDECIDED);
	assert_int_equal(merkle_map_prove(map, log_ids, (size_t)CAP_PROOF_LEAVES + 1, &bundle, NULL), WARG_UNDECIDED);
	merkle_map_free(map);
}

/* ---- The forms on the wire ---- */

static int decode(struct span bytes, struct merkle_map_bundle *out, struct fault *flt)
{
	int verdict;

	*flt = (struct fault){ 0 };
	verdict = merkle_map_bundle_decode(bytes, out, flt);
	assert_int_equal(verdict, flt->verdict);
	return verdict;
}

/* A leaf that is alone has empty siblings only. They may all be left out, or be there without a hash. */
static void test_lone_leaf(void **state)
{
	static const size_t counts[] = { 0, 1, 2, 255, 256 };
	struct merkle_map_entry entry = entry_at(4, 4);
	struct merkle_map *map = new_map();
	struct merkle_map_bundle bundle;
	struct digest root;
	struct fault flt;

	(void)state;
	set(map, entry);
	root = merkle_map_root(map);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct buf path, bytes;

		buf_init(&path, SIZE_MAX);
		buf_init(&bytes, SIZE_MAX);
		for (size_t j = 0; j < counts[i]; j++)
			assert_int_equal(buf_append(&path, (struct span){ (const unsigned char *)"\x0a", 2 }, NULL), 0);
		assert_int_equal(buf_append_text(&bytes, "\x0a", NULL), 0);
		if (counts[i] < 64)
			assert_int_equal(buf_append_format(&bytes, NULL, "%c", (int)path.length), 0);
		else
			assert_int_equal(buf_append_format(&bytes, NULL, "%c%c", (int)(path.length & 127) | 128,
							   (int)(path.length >> 7)), 0);
		assert_int_equal(buf_append(&bytes, buf_span(&path), NULL), 0);
		assert_int_equal(decode(buf_span(&bytes), &bundle, &flt), 0);
		assert_int_equal(bundle.paths[0].count, counts[i]);
		assert_int_equal(check(&bundle, &root, &entry, 1, NULL), 0);
		merkle_map_bundle_release(&bundle);
		buf_release(&path);
		buf_release(&bytes);
	}
	assert_int_equal(merkle_map_prove(map, &entry.log_id, 1, &bundle, NULL), 0);
	assert_int_equal(bundle.paths[0].count, 1); /* the reference never sends none at all */
	merkle_map_bundle_release(&bundle);
	merkle_map_free(map);
}

/* Written in full, a hash that was absent is the one that it stood for. */
static void test_absent_hashes(void **state)
{
	struct merkle_map *map = new_map();
	struct merkle_map_entry entry = entry_at(0, 0);
	struct merkle_map_bundle honest, decoded;
	struct merkle_map_empties empties;
	struct digest root;
	struct buf bytes, again, with_absent;
	struct fault flt;
	size_t absent = 0;

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		set(map, entry_at(i, i));
	root = merkle_map_root(map);
	merkle_map_empties_init(&empties);
	assert_int_equal(merkle_map_prove(map, &entry.log_id, 1, &honest, NULL), 0);
	buf_init(&with_absent, SIZE_MAX);
	for (size_t i = 0; i < honest.paths[0].count; i++) {
		const struct digest *hash = &honest.paths[0].hashes[i];
		char digits[2 * DIGEST_SIZE + 8];

		if (digest_equals(hash, &empties.at[CAP_MAP_HEIGHT - honest.paths[0].count + i])) {
			assert_int_equal(buf_append_text(&with_absent, "1() ", NULL), 0);
			absent++;
			continue;
		}
		digest_format(hash, digits);
		assert_int_equal(buf_append_format(&with_absent, NULL, "1(x0a20%s) ", digits + strlen("sha256:")), 0);
	}
	assert_int_equal(buf_append(&with_absent, (struct span){ (const unsigned char *)"", 1 }, NULL), 0);
	bytes = proto_write((const char *)with_absent.data);
	buf_release(&with_absent);
	buf_init(&with_absent, SIZE_MAX);
	assert_int_equal(buf_append_format(&with_absent, NULL, "%c%c%c", 0x0a, (int)(bytes.length & 127) | 128,
					   (int)(bytes.length >> 7)), 0);
	assert_true(bytes.length >= 128 && bytes.length < 16384);
	assert_int_equal(buf_append(&with_absent, buf_span(&bytes), NULL), 0);
	assert_int_equal(decode(buf_span(&with_absent), &decoded, &flt), 0);
	assert_int_equal(check(&decoded, &root, &entry, 1, NULL), 0);
	buf_release(&bytes);

	buf_init(&bytes, SIZE_MAX);
	buf_init(&again, SIZE_MAX);
	assert_int_equal(merkle_map_bundle_encode(&honest, &bytes, NULL), 0);
	assert_int_equal(merkle_map_bundle_encode(&decoded, &again, NULL), 0);
	assert_true(span_equals(buf_span(&bytes), buf_span(&again)));
	assert_int_equal(bytes.length > with_absent.length, absent > 0);
	buf_release(&bytes);
	buf_release(&again);
	buf_release(&with_absent);
	merkle_map_bundle_release(&honest);
	merkle_map_bundle_release(&decoded);
	merkle_map_free(map);
}

static void test_malformed(void **state)
{
	static const struct {
		const char *notation, *why;
	} cases[] = {
		{ "2()", "an unknown field 2" },
		{ "1=5", "the wrong wire type" },
		{ "1(2())", "an unknown field 2" },
		{ "1(1=5)", "the wrong wire type" },
		{ "1(1(2=1))", "an unknown field 2" },
		{ "1(1(1=1))", "the wrong wire type" },
		{ "1(1(1''))", "has 0 bytes, not 32" },
		{ "1(1(1'0123456789012345678901234567890'))", "has 31 bytes, not 32" },
		{ "1(1(1'012345678901234567890123456789012'))", "has 33 bytes, not 32" },
		{ "1(1(1'01234567890123456789012345678901' 1'01234567890123456789012345678901'))", "there twice" },
		{ "1() x0a", "cut short" },
		{ "1() x0a05", "past the end" },
		{ "1(x0a05)", "past the end" },
		{ "1(x8a00)", "longer than it has to be" },
	};
	struct merkle_map_bundle bundle = { NULL, 77 };
	struct fault flt;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf bytes = proto_write(cases[i].notation);

		assert_int_equal(decode(buf_span(&bytes), &bundle, &flt), WARG_INVALID);
		if (!strstr(flt.what, cases[i].why))
			fail_msg("%s: refused for another reason than '%s': %s", cases[i].notation, cases[i].why,
				 flt.what);
		assert_int_equal(bundle.count, 77);
		buf_release(&bytes);
	}
	assert_int_equal(decode((struct span){ NULL, 0 }, &bundle, &flt), 0);
	assert_int_equal(bundle.count, 0);
	merkle_map_bundle_release(&bundle);
}

/* `paths` paths of `hashes` absent hashes each: two bytes a hash. */
static struct buf absent_hashes(size_t paths, size_t hashes)
{
	unsigned char *data = malloc(paths * (2 * hashes + 3));
	struct buf out = { .cap = SIZE_MAX, .data = data };

	assert_non_null(data);
	out.capacity = paths * (2 * hashes + 3);
	for (size_t i = 0; i < paths; i++) {
		data[out.length++] = 0x0a;
		if (hashes >= 64)
			data[out.length++] = (unsigned char)((2 * hashes & 127) | 128);
		data[out.length++] = (unsigned char)(hashes >= 64 ? 2 * hashes >> 7 : 2 * hashes);
		for (size_t j = 0; j < hashes; j++) {
			data[out.length++] = 0x0a;
			data[out.length++] = 0;
		}
	}
	return out;
}

static void test_caps(void **state)
{
	static const struct {
		size_t paths, hashes;
		int verdict;
	} cases[] = {
		{ 1, CAP_MAP_HEIGHT, 0 },
		{ 1, CAP_MAP_HEIGHT + 1, WARG_INVALID },
		{ CAP_PROOF_LEAVES, 0, 0 },
		{ CAP_PROOF_LEAVES + 1, 0, WARG_UNDECIDED },
		{ CAP_MAP_PROOF_HASHES / 256, 256, 0 },
		{ CAP_MAP_PROOF_HASHES / 256 + 1, 256, WARG_UNDECIDED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf bytes = absent_hashes(cases[i].paths, cases[i].hashes);
		struct merkle_map_bundle bundle = { NULL, 0 };
		struct fault flt;

		assert_int_equal(decode(buf_span(&bytes), &bundle, &flt), cases[i].verdict);
		assert_int_equal(bundle.count, cases[i].verdict ? 0 : cases[i].paths);
		if (cases[i].verdict == WARG_UNDECIDED)
			assert_int_equal(flt.kind, FAULT_LIMIT);
		if (cases[i].verdict == WARG_INVALID)
			assert_non_null(strstr(flt.what, "longer than the map is high"));
		merkle_map_bundle_release(&bundle);
		buf_release(&bytes);
	}
}

/* A bundle that did not come from the wire is held to the map's height all the same. */
static void test_too_long_a_path(void **state)
{
	struct digest hashes[CAP_MAP_HEIGHT + 1] = { 0 };
	struct merkle_map_path path = { hashes, CAP_MAP_HEIGHT + 1 };
	struct merkle_map_bundle bundle = { &path, 1 };
	struct merkle_map_entry entry = entry_at(1, 1);

	(void)state;
	assert_int_equal(check(&bundle, &hashes[0], &entry, 1, "longer than the map is high"), WARG_INVALID);
}

/* ---- Recorded ---- */

struct recorded {
	struct json *proofs;
	struct buf ledger;
};

static void read_recorded(const char *folder, struct recorded *out)
{
	char path[128];
	struct buf text;

	snprintf(path, sizeof(path), "tests/data/valid/%s/inclusion.json", folder);
	text = data_read(path);
	assert_int_equal(json_parse(buf_span(&text), &out->proofs, NULL), 0);
	buf_release(&text);
	snprintf(path, sizeof(path), "tests/data/valid/%s/ledger.bin", folder);
	out->ledger = data_read(path);
}

static void recorded_release(struct recorded *recorded)
{
	json_free(recorded->proofs);
	buf_release(&recorded->ledger);
}

static struct merkle_map_entry entry_of_ledger(const struct buf *ledger, uint64_t index)
{
	struct merkle_map_entry entry;

	assert_true(64 * index + 64 <= ledger->length);
	memcpy(&entry, ledger->data + 64 * index, 64);
	return entry;
}

static struct merkle_map *map_of_ledger(const struct buf *ledger, uint64_t length)
{
	struct merkle_map *map = new_map();

	for (uint64_t i = 0; i < length; i++)
		set(map, entry_of_ledger(ledger, i));
	return map;
}

/* No bit of a proof may be another one. */
static void mutate(struct buf *bytes, const struct digest *root, const struct merkle_map_entry *entries, size_t count)
{
	struct merkle_map_bundle bundle;

	for (size_t i = 0; i < 8 * bytes->length; i++) {
		int verdict;

		bytes->data[i / 8] ^= (unsigned char)(1 << i % 8);
		verdict = merkle_map_bundle_decode(buf_span(bytes), &bundle, NULL);
		if (!verdict) {
			verdict = merkle_map_check_inclusion(&bundle, root, entries, count, NULL);
			merkle_map_bundle_release(&bundle);
		}
		assert_int_not_equal(verdict, 0);
		bytes->data[i / 8] ^= (unsigned char)(1 << i % 8);
	}
	for (size_t cut = 0; cut < bytes->length; cut++) {
		int verdict = merkle_map_bundle_decode((struct span){ bytes->data, cut }, &bundle, NULL);

		if (!verdict) {
			verdict = merkle_map_check_inclusion(&bundle, root, entries, count, NULL);
			merkle_map_bundle_release(&bundle);
		}
		assert_int_not_equal(verdict, 0);
	}
}

static void assert_encodes_to(const struct merkle_map_bundle *bundle, const struct buf *expected)
{
	struct buf bytes;

	buf_init(&bytes, CAP_BODY_PROOF);
	assert_int_equal(merkle_map_bundle_encode(bundle, &bytes, NULL), 0);
	assert_true(span_equals(buf_span(expected), buf_span(&bytes)));
	buf_release(&bytes);
}

/* Decoded and encoded again it is the same to the byte, and so is what our own prover makes of the ledger. */
static void check_recorded(const struct json *value, const struct buf *ledger, const uint64_t *indices, size_t count,
			   bool mutated)
{
	struct merkle_map_entry entries[16];
	struct merkle_map_bundle bundle, ours;
	struct digest root, log_ids[16];
	struct merkle_map *map;
	struct span text;
	struct buf bytes;
	uint64_t length;

	assert_int_equal(json_read_digest(value, "mapRoot", &root, NULL), 0);
	assert_int_equal(json_read_uint(value, "logLength", &length, NULL), 0);
	assert_int_equal(json_read_text(value, "map", &text, NULL), 0);
	buf_init(&bytes, CAP_BODY_PROOF);
	assert_int_equal(base64_decode(text, &bytes, NULL), 0);
	for (size_t i = 0; i < count; i++) {
		entries[i] = entry_of_ledger(ledger, indices[i]);
		log_ids[i] = entries[i].log_id;
	}
	map = map_of_ledger(ledger, length);
	assert_true(root_is(map, &root));
	assert_int_equal(merkle_map_bundle_decode(buf_span(&bytes), &bundle, NULL), 0);
	assert_int_equal(check(&bundle, &root, entries, count, NULL), 0);
	assert_encodes_to(&bundle, &bytes);
	assert_int_equal(merkle_map_prove(map, log_ids, count, &ours, NULL), 0);
	assert_encodes_to(&ours, &bytes);
	if (mutated)
		mutate(&bytes, &root, entries, count);
	merkle_map_bundle_release(&bundle);
	merkle_map_bundle_release(&ours);
	merkle_map_free(map);
	buf_release(&bytes);
}

static void test_recorded(void **state)
{
	struct recorded recorded;

	(void)state;
	read_recorded("reference", &recorded);
	assert_int_equal(json_count(recorded.proofs), 54);
	for (size_t i = 0; i < json_count(recorded.proofs); i++) {
		uint64_t index;

		assert_int_equal(json_read_uint(json_at(recorded.proofs, i), "index", &index, NULL), 0);
		check_recorded(json_at(recorded.proofs, i), &recorded.ledger, &index, 1, i % 6 == 0);
	}
	recorded_release(&recorded);
}

static void test_recorded_of_many(void **state)
{
	struct recorded recorded;

	(void)state;
	read_recorded("reference-multi", &recorded);
	assert_true(json_count(recorded.proofs) > 0);
	for (size_t i = 0; i < json_count(recorded.proofs); i++) {
		const struct json *list;
		uint64_t indices[16];

		assert_int_equal(json_read_list(json_at(recorded.proofs, i), "leafs", &list, NULL), 0);
		assert_true(json_count(list) <= 16);
		for (size_t j = 0; j < json_count(list); j++)
			assert_int_equal(json_as_uint(json_at(list, j), &indices[j], NULL), 0);
		check_recorded(json_at(recorded.proofs, i), &recorded.ledger, indices, json_count(list),
			       i % 6 == 0);
	}
	recorded_release(&recorded);
}

/* ---- Every allocation failed once ---- */

static int prove_and_check(void *context, struct fault *flt)
{
	const struct merkle_map_entry entries[] = { entry_at(3, 3), entry_at(17, 17) };
	const struct digest log_ids[] = { entries[0].log_id, entries[1].log_id };
	struct merkle_map_bundle bundle = { 0 }, decoded = { 0 };
	struct merkle_map *map = NULL;
	struct buf bytes;
	int verdict;

	(void)context;
	buf_init(&bytes, CAP_BODY_PROOF);
	verdict = merkle_map_new(&map, flt);
	for (uint64_t i = 0; !verdict && i < 20; i++) {
		struct merkle_map_entry entry = entry_at(i, i);
		struct digest before = merkle_map_root(map);

		verdict = merkle_map_set(map, &entry, flt);
		if (verdict)
			assert_true(root_is(map, &before));
	}
	if (!verdict)
		verdict = merkle_map_prove(map, log_ids, 2, &bundle, flt);
	if (!verdict)
		verdict = merkle_map_bundle_encode(&bundle, &bytes, flt);
	if (verdict)
		assert_int_equal(bytes.length, 0);
	if (!verdict)
		verdict = merkle_map_bundle_decode(buf_span(&bytes), &decoded, flt);
	if (!verdict) {
		struct digest root = merkle_map_root(map);

		verdict = merkle_map_check_inclusion(&decoded, &root, entries, 2, flt);
	}
	merkle_map_bundle_release(&bundle);
	merkle_map_bundle_release(&decoded);
	merkle_map_free(map);
	buf_release(&bytes);
	return verdict;
}

static void test_torture(void **state)
{
	(void)state;
	torture(prove_and_check, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empties),
		cmocka_unit_test(test_roots),
		cmocka_unit_test(test_near_each_other),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_proofs),
		cmocka_unit_test(test_other_questions),
		cmocka_unit_test(test_lone_leaf),
		cmocka_unit_test(test_absent_hashes),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_too_long_a_path),
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_recorded_of_many),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
