/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What is said of an entry, in the reference's words (see publish.h).
 */
#include "publish.h"

#include <stdio.h>
#include <string.h>

void publish_permissions(unsigned set, char out[static 32])
{
	static const enum record_permission all[] = {PERMISSION_RELEASE, PERMISSION_YANK};

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!(set & all[i]))
			continue;
		if (out[0])
			strcat(out, ",");
		strcat(out, pending_permission_name(all[i]));
	}
}

static void print_init(enum publish_words words, const char *name)
{
	if (words == PUBLISH_WORDS_LISTED)
		printf("initialize package\n");
	else if (words == PUBLISH_WORDS_ADDED)
		printf("added initialization of package `%s` to pending publish\n", name);
	else
		printf("published initialization of package `%s`\n", name);
}

static void print_release(enum publish_words words, const char *name, const struct pending_entry *entry)
{
	char content[DIGEST_TEXT_SIZE];

	digest_format(&entry->content, content);
	if (words == PUBLISH_WORDS_LISTED)
		printf("release %s with content digest `%s`\n", entry->version, content);
	else if (words == PUBLISH_WORDS_ADDED)
		printf("added release of version %s for package `%s` to pending publish\n", entry->version, name);
	else
		printf("published version %s of package `%s`\n", entry->version, name);
}

static void print_yank(enum publish_words words, const char *name, const struct pending_entry *entry)
{
	if (words == PUBLISH_WORDS_LISTED)
		printf("yank %s\n", entry->version);
	else if (words == PUBLISH_WORDS_ADDED)
		printf("added yank of version %s for package `%s` to pending publish\n", entry->version, name);
	else
		printf("yanked version %s of package `%s`\n", entry->version, name);
}

static void print_permissions(enum publish_words words, const char *name, const struct pending_entry *entry)
{
	bool is_grant = entry->type == ENTRY_GRANT_FLAT;
	const char *towards = is_grant ? "to" : "from";
	char key[DIGEST_TEXT_SIZE], set[32];

	digest_format(&entry->key_id, key);
	publish_permissions(entry->permissions, set);
	if (words == PUBLISH_WORDS_LISTED)
		printf("%s (%s) %s `%s`\n", is_grant ? "grant" : "revoke", set, towards, key);
	else if (words == PUBLISH_WORDS_ADDED)
		printf("added %s of (%s) %s key ID `%s` for package `%s` to pending publish\n",
		       is_grant ? "grant" : "revoke", set, towards, key, name);
	else
		printf("%s (%s) %s key ID `%s` for package `%s`\n", is_grant ? "granted" : "revoked", set, towards, key,
		       name);
}

void publish_print_entry(enum publish_words words, const struct name *name, const struct pending_entry *entry)
{
	switch (entry->type) {
	case ENTRY_INIT:
		print_init(words, name->text);
		break;
	case ENTRY_RELEASE:
		print_release(words, name->text, entry);
		break;
	case ENTRY_YANK:
		print_yank(words, name->text, entry);
		break;
	default:
		print_permissions(words, name->text, entry);
		break;
	}
}

struct json *publish_new_entries(const struct pending *pending)
{
	struct json *list = json_new_list();

	for (size_t i = 0; i < pending->count; i++)
		json_add(list, pending_entry_new_json(&pending->entries[i]));
	return list;
}

int publish_read_name(const char *text, struct name *out, struct fault *flt)
{
	return text ? session_read_name(text, out, flt) :
		      fault_undecided(flt, FAULT_MISUSE,
				      "which package? Name it as an argument, or with --name PACKAGE");
}
