/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The shape of the map: empty subtrees, paths, leaves.
 * Source: protocol.md section 5.
 */
#include "merkle_map_tree.h"

#include "merkle_node.h"

void merkle_map_empties_init(struct merkle_map_empties *empties)
{
	static const unsigned char leaf[] = { 0x00 };

	empties->at[0] = digest_of((struct span){ leaf, sizeof(leaf) });
	for (size_t height = 1; height <= CAP_MAP_HEIGHT; height++)
		empties->at[height] = merkle_node_branch(&empties->at[height - 1], &empties->at[height - 1]);
}

struct digest merkle_map_tree_path(const struct digest *log_id)
{
	return digest_of(digest_span(log_id));
}

bool merkle_map_tree_turns_right(const struct digest *path, size_t depth)
{
	return path->bytes[depth / 8] >> (7 - depth % 8) & 1;
}

size_t merkle_map_tree_parting(const struct digest *a, const struct digest *b)
{
	for (size_t i = 0; i < DIGEST_SIZE; i++) {
		unsigned difference = a->bytes[i] ^ b->bytes[i];

		if (difference)
			return 8 * i + (size_t)__builtin_clz(difference << 24);
	}
	return CAP_MAP_HEIGHT;
}

struct digest merkle_map_tree_leaf(const struct digest *record_id)
{
	/* 00 marks a leaf; the length of an id's text, 71, fits one byte of leb(). */
	static const char prefix[] = "\0WARG-MAP-LEAF-V0";
	static const unsigned char text_length = DIGEST_TEXT_SIZE - 1;
	char text[DIGEST_TEXT_SIZE];

	digest_format(record_id, text);
	const struct span parts[] = {
		{ (const unsigned char *)prefix, sizeof(prefix) - 1 },
		{ &text_length, 1 },
		{ (const unsigned char *)text, text_length },
	};
	return digest_of_parts(parts, sizeof(parts) / sizeof(parts[0]));
}

struct digest merkle_map_tree_step(const struct digest *path, size_t depth, const struct digest *hash,
				   const struct digest *sibling)
{
	if (merkle_map_tree_turns_right(path, depth))
		return merkle_node_branch(sibling, hash);
	return merkle_node_branch(hash, sibling);
}

struct digest merkle_map_tree_lift(const struct merkle_map_empties *empties, const struct digest *path, size_t from,
				   size_t to, struct digest hash)
{
	for (size_t depth = from; depth-- > to;)
		hash = merkle_map_tree_step(path, depth, &hash, &empties->at[CAP_MAP_HEIGHT - 1 - depth]);
	return hash;
}
