/*
 * Inode numbers (see inode.h).
 */
#include "inode.h"

#include <string.h>

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
	if (!path_is_staged(path->kind))
		parts[count++] = span_of_text(path->text);
	hash = digest_of_parts(parts, count);
	memcpy(&number, hash.bytes, sizeof(number));
	number &= INT64_MAX;
	return number > INODE_ROOT ? number : number + 2;
}
