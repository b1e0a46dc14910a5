/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The registry's log: the hash of a leaf, and the root grown leaf by leaf.
 * Source: protocol.md section 5; RFC 6962 section 2.1.
 */
#include "merkle_log.h"

#include "merkle_node.h"

struct digest merkle_log_leaf(const struct digest *log_id, const struct digest *record_id)
{
	/* 00 marks a leaf; the length of an id's text, 71, fits one byte of leb(). */
	static const char prefix[] = "\0WARG-LOG-LEAF-V0";
	static const unsigned char text_length = DIGEST_TEXT_SIZE - 1;
	char log_text[DIGEST_TEXT_SIZE], record_text[DIGEST_TEXT_SIZE];

	digest_format(log_id, log_text);
	digest_format(record_id, record_text);
	const struct span parts[] = {
		{ (const unsigned char *)prefix, sizeof(prefix) - 1 },
		{ &text_length, 1 },
		{ (const unsigned char *)log_text, text_length },
		{ &text_length, 1 },
		{ (const unsigned char *)record_text, text_length },
	};
	return digest_of_parts(parts, sizeof(parts) / sizeof(parts[0]));
}

void merkle_log_roots_append(struct merkle_log_roots *roots, const struct digest *leaf)
{
	int count = __builtin_popcountll(roots->length);
	struct digest hash = *leaf;

	/* Each one bit at the low end is a balanced tree as tall as the one that is carried: they join. */
	for (uint64_t bits = roots->length; bits & 1; bits >>= 1)
		hash = merkle_node_branch(&roots->roots[--count], &hash);
	roots->roots[count] = hash;
	roots->length++;
}

struct digest merkle_log_roots_fold(const struct merkle_log_roots *roots)
{
	int count = __builtin_popcountll(roots->length);
	struct digest root;

	if (count == 0)
		return digest_of((struct span){ NULL, 0 });
	root = roots->roots[--count];
	while (count > 0)
		root = merkle_node_branch(&roots->roots[--count], &root);
	return root;
}
