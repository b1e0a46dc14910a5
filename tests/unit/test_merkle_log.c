/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The log as a Merkle tree: RFC 6962's shape, the recorded proofs, and that nothing else passes for one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/base/json.h"
#include "data.h"
#include "torture.h"
#include "verify/base64.h"
#include "verify/hex.h"
#include "verify/merkle_log.h"
#include "verify/merkle_node.h"

#define MOST 70 /* lengths that are gone through one by one: past a power of two */

/* ---- RFC 6962's shape ---- */

static struct digest digest_of_hex(const char *digits)
{
	struct digest digest;

	assert_int_equal(hex_decode(span_of_text(digits), digest.bytes, DIGEST_SIZE, NULL), 0);
	return digest;
}

/* The leaves of Certificate Transparency's own tests, and the roots of the logs that they make. */
static void test_rfc_6962(void **state)
{
	static const char *const leaves[] = {
		"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
	};
	static const char *const roots[] = {
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	};
	struct merkle_log_roots grown = { 0 };
	struct digest nothing = digest_of((struct span){ NULL, 0 }), empty = merkle_log_roots_fold(&grown);

	(void)state;
	assert_true(digest_equals(&empty, &nothing));
	for (size_t i = 0; i < 8; i++) {
		unsigned char leaf[17] = { 0x00 };
		size_t size = strlen(leaves[i]) / 2;
		struct digest hash, root, expected = digest_of_hex(roots[i]);

		assert_int_equal(hex_decode(span_of_text(leaves[i]), leaf + 1, size, NULL), 0);
		hash = digest_of((struct span){ leaf, size + 1 });
		merkle_log_roots_append(&grown, &hash);
		root = merkle_log_roots_fold(&grown);
		assert_true(digest_equals(&root, &expected));
	}
}

/* ---- Our prover against our checks ---- */

static struct digest leaf_at(uint64_t index)
{
	return digest_of((struct span){ (const unsigned char *)&index, sizeof(index) });
}

static struct merkle_log *make_log(uint64_t length)
{
	struct merkle_log *log;

	assert_int_equal(merkle_log_new(&log, NULL), 0);
	for (uint64_t i = 0; i < length; i++) {
		struct digest leaf = leaf_at(i);

		assert_int_equal(merkle_log_append(log, &leaf, NULL), 0);
	}
	return log;
}

/* The root as RFC 6962 section 2.1 defines it, from scratch. */
static struct digest plain_root(uint64_t first, uint64_t count)
{
	struct digest left, right;
	uint64_t split = 1;

	if (count == 1)
		return leaf_at(first);
	while (2 * split < count)
		split *= 2;
	left = plain_root(first, split);
	right = plain_root(first + split, count - split);
	return merkle_node_branch(&left, &right);
}

static void test_roots(void **state)
{
	struct merkle_log *log = make_log(MOST);
	struct merkle_log_roots grown = { 0 };

	(void)state;
	for (uint64_t length = 1; length <= MOST; length++) {
		struct digest leaf = leaf_at(length - 1), expected = plain_root(0, length), root;

		merkle_log_roots_append(&grown, &leaf);
		root = merkle_log_roots_fold(&grown);
		assert_true(digest_equals(&root, &expected));
		root = merkle_log_root(log, length);
		assert_true(digest_equals(&root, &expected));
	}
	assert_int_equal(merkle_log_length(log), MOST);
	merkle_log_free(log);
}

static void test_inclusion(void **state)
{
	struct merkle_log *log = make_log(MOST);

	(void)state;
	for (uint64_t length = 1; length <= MOST; length++) {
		struct digest root = merkle_log_root(log, length);

		for (uint64_t index = 0; index < length; index++) {
			uint64_t indices[] = { index, length - 1 - index, index };
			struct merkle_log_leaf_at leaves[3];
			struct merkle_log_bundle bundle;

			for (size_t i = 0; i < 3; i++)
				leaves[i] = (struct merkle_log_leaf_at){ indices[i], leaf_at(indices[i]) };
			for (size_t count = 1; count <= 3; count++) {
				assert_int_equal(merkle_log_prove_inclusion(log, length, indices, count, &bundle, NULL),
						 0);
				assert_int_equal(merkle_log_check_inclusion(&bundle, length, &root, leaves, count,
									    NULL), 0);
				leaves[count - 1].leaf.bytes[3] ^= 1;
				assert_int_equal(merkle_log_check_inclusion(&bundle, length, &root, leaves, count,
									    NULL), WARG_INVALID);
				leaves[count - 1].leaf.bytes[3] ^= 1;
				merkle_log_bundle_release(&bundle);
			}
		}
	}
	merkle_log_free(log);
}

static void test_consistency(void **state)
{
	struct merkle_log *log = make_log(MOST);

	(void)state;
	for (uint64_t from = 1; from < MOST; from++) {
		for (uint64_t to = from + 1; to <= MOST; to++) {
			struct digest old_root = merkle_log_root(log, from), new_root = merkle_log_root(log, to);
			struct merkle_log_bundle bundle;

			assert_int_equal(merkle_log_prove_consistency(log, from, to, &bundle, NULL), 0);
			assert_int_equal(merkle_log_check_consistency(&bundle, from, &old_root, to, &new_root, NULL),
					 0);
			old_root.bytes[0] ^= 1;
			assert_int_equal(merkle_log_check_consistency(&bundle, from, &old_root, to, &new_root, NULL),
					 WARG_INVALID);
			merkle_log_bundle_release(&bundle);
		}
	}
	merkle_log_free(log);
}

/* What is asked for decides, not what the bundle says of itself: protocol.md section 9, numbers 1 and 2. */
static void test_other_questions(void **state)
{
	struct merkle_log *log = make_log(20);
	struct digest root = merkle_log_root(log, 20), old = merkle_log_root(log, 7);
	uint64_t indices[] = { 3, 12 };
	struct merkle_log_leaf_at leaves[] = { { 3, leaf_at(3) }, { 12, leaf_at(12) } };
	struct merkle_log_leaf_at swapped[] = { leaves[1], leaves[0] }, other[] = { leaves[0], { 13, leaf_at(13) } };
	struct merkle_log_leaf_at beyond = { 20, leaf_at(20) };
	struct merkle_log_bundle bundle, growth;

	(void)state;
	assert_int_equal(merkle_log_prove_inclusion(log, 20, indices, 2, &bundle, NULL), 0);
	assert_int_equal(merkle_log_check_inclusion(&bundle, 20, &root, leaves, 2, NULL), 0);
	assert_int_equal(merkle_log_check_inclusion(&bundle, 20, &root, leaves, 1, NULL), WARG_INVALID);
	assert_int_equal(merkle_log_check_inclusion(&bundle, 20, &root, swapped, 2, NULL), WARG_INVALID);
	assert_int_equal(merkle_log_check_inclusion(&bundle, 20, &root, other, 2, NULL), WARG_INVALID);
	assert_int_equal(merkle_log_check_inclusion(&bundle, 19, &root, leaves, 2, NULL), WARG_INVALID);
	assert_int_equal(merkle_log_check_inclusion(&bundle, 20, &root, &beyond, 1, NULL), WARG_INVALID);
	assert_int_equal(merkle_log_check_inclusion(&bundle, 20, &root, leaves, 0, NULL), WARG_UNDECIDED);
	assert_int_equal(merkle_log_prove_consistency(log, 7, 20, &growth, NULL), 0);
	assert_int_equal(merkle_log_check_inclusion(&growth, 20, &root, leaves, 2, NULL), WARG_INVALID);
	assert_int_equal(merkle_log_check_consistency(&bundle, 7, &old, 20, &root, NULL), WARG_INVALID);
	assert_int_equal(merkle_log_check_consistency(&growth, 6, &old, 20, &root, NULL), WARG_INVALID);
	assert_int_equal(merkle_log_check_consistency(&growth, 20, &old, 20, &root, NULL), WARG_UNDECIDED);
	assert_int_equal(merkle_log_check_consistency(&growth, 0, &old, 20, &root, NULL), WARG_UNDECIDED);
	merkle_log_bundle_release(&bundle);
	merkle_log_bundle_release(&growth);
	merkle_log_free(log);
}

static void test_misuse_of_the_prover(void **state)
{
	struct merkle_log *log = make_log(3);
	struct merkle_log_bundle bundle;
	uint64_t beyond = 2;

	(void)state;
	assert_int_equal(merkle_log_prove_inclusion(log, 2, &beyond, 1, &bundle, NULL), WARG_UNDECIDED);
	assert_int_equal(merkle_log_prove_inclusion(log, 4, &beyond, 1, &bundle, NULL), WARG_UNDECIDED);
	assert_int_equal(merkle_log_prove_inclusion(log, 3, &beyond, 0, &bundle, NULL), WARG_UNDECIDED);
	assert_int_equal(merkle_log_prove_consistency(log, 0, 3, &bundle, NULL), WARG_UNDECIDED);
	assert_int_equal(merkle_log_prove_consistency(log, 3, 2, &bundle, NULL), WARG_UNDECIDED);
	assert_int_equal(merkle_log_prove_consistency(log, 3, 4, &bundle, NULL), WARG_UNDECIDED);
	merkle_log_free(log);
}

/* ---- Recorded ---- */

static struct digest digest_member(const struct json *value, const char *name)
{
	struct digest digest;

	assert_int_equal(json_read_digest(value, name, &digest, NULL), 0);
	return digest;
}

static uint64_t uint_member(const struct json *value, const char *name)
{
	uint64_t number;

	assert_int_equal(json_read_uint(value, name, &number, NULL), 0);
	return number;
}

static struct buf bytes_member(const struct json *value, const char *name)
{
	struct span text;
	struct buf bytes;

	buf_init(&bytes, CAP_BODY_PROOF);
	assert_int_equal(json_read_text(value, name, &text, NULL), 0);
	assert_int_equal(base64_decode(text, &bytes, NULL), 0);
	return bytes;
}

static struct json *read_json(const char *path)
{
	struct buf text = data_read(path);
	struct json *value;

	assert_int_equal(json_parse(buf_span(&text), &value, NULL), 0);
	buf_release(&text);
	return value;
}

static struct merkle_log_leaf_at leaf_of_ledger(const struct buf *ledger, uint64_t index)
{
	struct digest ids[2];

	assert_true(64 * index + 64 <= ledger->length);
	memcpy(ids, ledger->data + 64 * index, 64);
	return (struct merkle_log_leaf_at){ index, merkle_log_leaf(&ids[0], &ids[1]) };
}

static struct merkle_log *log_of_ledger(const struct buf *ledger)
{
	struct merkle_log *log;

	assert_int_equal(merkle_log_new(&log, NULL), 0);
	for (uint64_t i = 0; i < ledger->length / 64; i++) {
		struct merkle_log_leaf_at leaf = leaf_of_ledger(ledger, i);

		assert_int_equal(merkle_log_append(log, &leaf.leaf, NULL), 0);
	}
	return log;
}

/* Decoded and encoded again it is the same to the byte, and so is what our own prover makes. */
static void compare(const struct buf *recorded, const struct merkle_log_bundle *ours)
{
	struct merkle_log_bundle decoded;
	struct buf again;

	buf_init(&again, CAP_BODY_PROOF);
	assert_int_equal(merkle_log_bundle_decode(buf_span(recorded), &decoded, NULL), 0);
	assert_int_equal(merkle_log_bundle_encode(&decoded, &again, NULL), 0);
	assert_true(span_equals(buf_span(recorded), buf_span(&again)));
	buf_release(&again);
	assert_int_equal(merkle_log_bundle_encode(ours, &again, NULL), 0);
	assert_true(span_equals(buf_span(recorded), buf_span(&again)));
	buf_release(&again);
	merkle_log_bundle_release(&decoded);
}

/* No byte of a proof may be another one. */
static void mutate_inclusion(struct buf *bytes, uint64_t length, const struct digest *root,
			     const struct merkle_log_leaf_at *leaves, size_t count)
{
	struct merkle_log_bundle bundle;

	for (size_t i = 0; i < bytes->length; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			int verdict;

			bytes->data[i] ^= (unsigned char)(1 << bit);
			verdict = merkle_log_bundle_decode(buf_span(bytes), &bundle, NULL);
			if (!verdict) {
				verdict = merkle_log_check_inclusion(&bundle, length, root, leaves, count, NULL);
				merkle_log_bundle_release(&bundle);
			}
			assert_int_not_equal(verdict, 0);
			bytes->data[i] ^= (unsigned char)(1 << bit);
		}
	}
	for (size_t cut = 0; cut < bytes->length; cut++) {
		int verdict = merkle_log_bundle_decode((struct span){ bytes->data, cut }, &bundle, NULL);

		if (!verdict) {
			verdict = merkle_log_check_inclusion(&bundle, length, root, leaves, count, NULL);
			merkle_log_bundle_release(&bundle);
		}
		assert_int_not_equal(verdict, 0);
	}
}

static void check_recorded_inclusion(const struct json *value, const struct buf *ledger, const struct merkle_log *log,
				     const uint64_t *indices, size_t count)
{
	struct digest root = digest_member(value, "logRoot");
	uint64_t length = uint_member(value, "logLength");
	struct buf bytes = bytes_member(value, "log");
	struct merkle_log_leaf_at leaves[16];
	struct merkle_log_bundle bundle, ours;

	for (size_t i = 0; i < count; i++)
		leaves[i] = leaf_of_ledger(ledger, indices[i]);
	assert_int_equal(merkle_log_bundle_decode(buf_span(&bytes), &bundle, NULL), 0);
	assert_int_equal(merkle_log_check_inclusion(&bundle, length, &root, leaves, count, NULL), 0);
	assert_int_equal(merkle_log_prove_inclusion(log, length, indices, count, &ours, NULL), 0);
	compare(&bytes, &ours);
	mutate_inclusion(&bytes, length, &root, leaves, count);
	merkle_log_bundle_release(&bundle);
	merkle_log_bundle_release(&ours);
	buf_release(&bytes);
}

static void test_recorded_inclusion(void **state)
{
	struct json *value = read_json("tests/data/valid/reference/inclusion.json");
	struct buf ledger = data_read("tests/data/valid/reference/ledger.bin");
	struct merkle_log *log = log_of_ledger(&ledger);

	(void)state;
	assert_int_equal(json_count(value), 54);
	for (size_t i = 0; i < json_count(value); i++) {
		uint64_t index = uint_member(json_at(value, i), "index");

		check_recorded_inclusion(json_at(value, i), &ledger, log, &index, 1);
	}
	merkle_log_free(log);
	buf_release(&ledger);
	json_free(value);
}

static void test_recorded_inclusion_of_many(void **state)
{
	struct json *value = read_json("tests/data/valid/reference-multi/inclusion.json");
	struct buf ledger = data_read("tests/data/valid/reference-multi/ledger.bin");
	struct merkle_log *log = log_of_ledger(&ledger);

	(void)state;
	assert_true(json_count(value) > 0);
	for (size_t i = 0; i < json_count(value); i++) {
		const struct json *list;
		uint64_t indices[16];

		assert_int_equal(json_read_list(json_at(value, i), "leafs", &list, NULL), 0);
		assert_true(json_count(list) <= 16);
		for (size_t j = 0; j < json_count(list); j++)
			assert_int_equal(json_as_uint(json_at(list, j), &indices[j], NULL), 0);
		check_recorded_inclusion(json_at(value, i), &ledger, log, indices, json_count(list));
	}
	merkle_log_free(log);
	buf_release(&ledger);
	json_free(value);
}

static void test_recorded_consistency(void **state)
{
	struct json *value = read_json("tests/data/valid/reference/consistency.json");
	struct buf ledger = data_read("tests/data/valid/reference/ledger.bin");
	struct merkle_log *log = log_of_ledger(&ledger);

	(void)state;
	assert_int_equal(json_count(value), 91);
	for (size_t i = 0; i < json_count(value); i++) {
		const struct json *one = json_at(value, i);
		struct digest old_root = digest_member(one, "oldRoot"), new_root = digest_member(one, "newRoot");
		uint64_t from = uint_member(one, "from"), to = uint_member(one, "to");
		struct buf bytes = bytes_member(one, "proof");
		struct merkle_log_bundle bundle, ours;

		assert_int_equal(merkle_log_bundle_decode(buf_span(&bytes), &bundle, NULL), 0);
		assert_int_equal(merkle_log_check_consistency(&bundle, from, &old_root, to, &new_root, NULL), 0);
		assert_int_equal(merkle_log_prove_consistency(log, from, to, &ours, NULL), 0);
		compare(&bytes, &ours);
		for (size_t at = 0; at < bundle.hash_count; at++) {
			bundle.hashes[at].hash.bytes[7] ^= 4;
			assert_int_equal(merkle_log_check_consistency(&bundle, from, &old_root, to, &new_root, NULL),
					 WARG_INVALID);
			bundle.hashes[at].hash.bytes[7] ^= 4;
		}
		merkle_log_bundle_release(&bundle);
		merkle_log_bundle_release(&ours);
		buf_release(&bytes);
	}
	merkle_log_free(log);
	buf_release(&ledger);
	json_free(value);
}

/* ---- Every allocation failed once ---- */

static int prove_and_check(void *context, struct fault *flt)
{
	const uint64_t indices[] = { 1, 6 };
	const struct merkle_log_leaf_at leaves[] = { { 1, leaf_at(1) }, { 6, leaf_at(6) } };
	struct merkle_log_bundle bundle = { 0 }, decoded = { 0 }, growth = { 0 };
	struct merkle_log *log = NULL;
	struct buf bytes;
	int verdict;

	(void)context;
	buf_init(&bytes, CAP_BODY_PROOF);
	verdict = merkle_log_new(&log, flt);
	for (uint64_t i = 0; !verdict && i < MOST; i++) {
		struct digest leaf = leaf_at(i);

		verdict = merkle_log_append(log, &leaf, flt);
	}
	if (!verdict)
		verdict = merkle_log_prove_inclusion(log, MOST, indices, 2, &bundle, flt);
	if (!verdict)
		verdict = merkle_log_prove_consistency(log, 5, MOST, &growth, flt);
	if (!verdict)
		verdict = merkle_log_bundle_encode(&bundle, &bytes, flt);
	if (verdict)
		assert_int_equal(bytes.length, 0);
	if (!verdict)
		verdict = merkle_log_bundle_decode(buf_span(&bytes), &decoded, flt);
	if (!verdict) {
		struct digest root = merkle_log_root(log, MOST), old = merkle_log_root(log, 5);

		verdict = merkle_log_check_inclusion(&decoded, MOST, &root, leaves, 2, flt);
		if (!verdict)
			verdict = merkle_log_check_consistency(&growth, 5, &old, MOST, &root, flt);
	}
	merkle_log_bundle_release(&bundle);
	merkle_log_bundle_release(&decoded);
	merkle_log_bundle_release(&growth);
	merkle_log_free(log);
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
		cmocka_unit_test(test_rfc_6962),
		cmocka_unit_test(test_roots),
		cmocka_unit_test(test_inclusion),
		cmocka_unit_test(test_consistency),
		cmocka_unit_test(test_other_questions),
		cmocka_unit_test(test_misuse_of_the_prover),
		cmocka_unit_test(test_recorded_inclusion),
		cmocka_unit_test(test_recorded_inclusion_of_many),
		cmocka_unit_test(test_recorded_consistency),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
