/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The messages that stand in the oneof of an entry. Source: protocol.md section 4.
 */
#include "record_form.h"

const struct record_form record_forms[2][RECORD_ENTRY_FORMS] = {
	[RECORD_PACKAGE] = {
		{ ENTRY_INIT, "init", { MEANS_KEY, MEANS_HASH_ALGORITHM } },
		{ ENTRY_GRANT_FLAT, "grant_flat", { MEANS_KEY, MEANS_PERMISSIONS } },
		{ ENTRY_REVOKE_FLAT, "revoke_flat", { MEANS_KEY_ID, MEANS_PERMISSIONS } },
		{ ENTRY_RELEASE, "release", { MEANS_VERSION, MEANS_CONTENT } },
		{ ENTRY_YANK, "yank", { MEANS_VERSION, MEANS_NOTHING } },
	},
	[RECORD_OPERATOR] = {
		{ ENTRY_INIT, "init", { MEANS_HASH_ALGORITHM, MEANS_KEY } }, /* the other way round than for packages */
		{ ENTRY_GRANT_FLAT, "grant_flat", { MEANS_KEY, MEANS_PERMISSIONS } },
		{ ENTRY_REVOKE_FLAT, "revoke_flat", { MEANS_KEY_ID, MEANS_PERMISSIONS } },
		{ ENTRY_DEFINE_NAMESPACE, "define_namespace", { MEANS_NAMESPACE, MEANS_NOTHING } },
		{ ENTRY_IMPORT_NAMESPACE, "import_namespace", { MEANS_NAMESPACE, MEANS_REGISTRY } },
	},
};

const char *record_meaning_name(enum record_meaning meaning)
{
	static const char *const names[MEANINGS] = {
		[MEANS_NOTHING] = "nothing",
		[MEANS_KEY] = "key",
		[MEANS_HASH_ALGORITHM] = "hash algorithm",
		[MEANS_PERMISSIONS] = "permissions",
		[MEANS_KEY_ID] = "key id",
		[MEANS_VERSION] = "version",
		[MEANS_CONTENT] = "content hash",
		[MEANS_NAMESPACE] = "namespace",
		[MEANS_REGISTRY] = "registry",
	};

	return names[meaning];
}

unsigned record_permission_bit(enum record_kind kind, uint64_t number)
{
	unsigned first = kind == RECORD_PACKAGE ? PERMISSION_RELEASE : PERMISSION_COMMIT;
	unsigned all = kind == RECORD_PACKAGE ? PERMISSIONS_PACKAGE : PERMISSIONS_OPERATOR;

	if (number == 0 || number > 8)
		return 0;
	return first << (number - 1) & all;
}
