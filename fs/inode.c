/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Inode numbers (see inode.h).
 */
#include "inode.h"

#include <string.h>
#include <sys/stat.h>

/*
 * Links have smaller numbers than files. cp copies a folder in the order of inode numbers, so it makes latest.wasm in
 * the target while that has no release yet, and so no such link.
 */
#define BEHIND_LINKS ((uint64_t)1 << 62)

uint64_t inode_number(const struct digest *key, const struct path *path, const struct digest *content, unsigned turn)
{
	const unsigned char frame[5] = { (unsigned char)path->kind, (unsigned char)(turn >> 24),
					 (unsigned char)(turn >> 16), (unsigned char)(turn >> 8), (unsigned char)turn };
	struct span parts[4] = { digest_span(key), { frame, sizeof(frame) } };
	struct digest hash;
	uint64_t number;
	size_t count = 2;

	if (path->kind == PATH_ROOT)
		return INODE_ROOT;
	if (path_has_digest(path->kind))
		parts[count++] = digest_span(content);
	if (!path_is_draft(path->kind))
		parts[count++] = span_of_text(path->text);
	hash = digest_of_parts(parts, count);
	memcpy(&number, hash.bytes, sizeof(number));
	number &= BEHIND_LINKS - 1;
	if (path_type(path->kind) != S_IFLNK)
		number |= BEHIND_LINKS;
	return number > INODE_ROOT ? number : number + 2;
}
