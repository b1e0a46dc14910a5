/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Mount options (see mount_options.h).
 */
#include "mount_options.h"

#include "client/base/nearest.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USUAL_TIMEOUT 30
#define USUAL_REFRESH 60
#define MOST_SECONDS 31536000 /* a year */
#define MOST_WORDS 4096       /* bytes of words that are passed on: a page, as mount(2) takes */

enum { KEY_RO = 1, KEY_RW, KEY_YANK, KEY_PUBLISH, KEY_TIMEOUT, KEY_REFRESH, KEY_MAX_AGE, KEY_OFFLINE,
       KEY_OPERATOR_KEY, KEY_CACERT, KEY_UID, KEY_GID, KEY_UMASK, KEY_PERMISSIONS, KEY_ALLOW_ROOT, KEY_FSNAME,
       KEY_REMOUNT, KEY_DEBUG, KEY_OTHERS };

const struct mount_options_word mount_options_words[] = {
	{"ro", NULL, "read-only, as usual", KEY_RO},
	{"rw", NULL, "what is written is published", KEY_RW},
	{"writable", NULL, "the same, also for mount(8), which says rw always", KEY_RW},
	{"yank", NULL, "a release that is removed is yanked", KEY_YANK},
	{"publish=", "WHEN", "what publishes: close (default), or only rename", KEY_PUBLISH},
	{"timeout=", "SEC", "how long a request waits for an answer (30)", KEY_TIMEOUT},
	{"refresh=", "SEC", "how often a new checkpoint is looked for (60); 0 for never", KEY_REFRESH},
	{"max_age=", "SEC", "how old a checkpoint may be; 0 for no bound, as usual", KEY_MAX_AGE},
	{"offline", NULL, "shows what the cache proves, without the network", KEY_OFFLINE},
	{"operator_key=", "KEYID", "demand this operator key of the registry: sha256:...", KEY_OPERATOR_KEY},
	{"cacert=", "FILE", "trust these certificates (PEM), not the system's", KEY_CACERT},
	{"uid=", "N", "the owner of everything", KEY_UID},
	{"gid=", "N", "the group of everything", KEY_GID},
	{"umask=", "OCTAL", "permissions to remove from all files", KEY_UMASK},
	{"default_permissions", NULL, "the kernel checks permissions, as it does anyway", KEY_PERMISSIONS},
	{"allow_other", NULL, "other users see the mount too", 0},
	{"allow_root", NULL, "root sees the mount too, and nobody else", KEY_ALLOW_ROOT},
	{"auto_unmount", NULL, "fusermount3 unmounts when the daemon dies", 0},
	{"fsname=", "NAME", "what is shown as mounted", KEY_FSNAME},
	{"remount", NULL, "unmount what is mounted there, and mount it with these options", KEY_REMOUNT},
	{"debug", NULL, "stay in the foreground, and print each request", KEY_DEBUG},
	{"nosuid", NULL, NULL, 0},
	{"suid", NULL, NULL, 0},
	{"nodev", NULL, NULL, 0},
	{"dev", NULL, NULL, 0},
	{"noexec", NULL, NULL, 0},
	{"exec", NULL, NULL, 0},
	{"noatime", NULL, NULL, 0},
	{"atime", NULL, NULL, 0},
	{"sync", NULL, NULL, 0},
	{"async", NULL, NULL, 0},
	{"dirsync", NULL, NULL, 0},
	/*
	 * For mount(8) and the system's start, and about times of access, of which a registry has none: nothing to do
	 * here. They are taken, as lines of fstab(5) are copied to command lines.
	 */
	{"defaults", NULL, NULL, KEY_OTHERS},
	{"auto", NULL, NULL, KEY_OTHERS},
	{"noauto", NULL, NULL, KEY_OTHERS},
	{"user", NULL, NULL, KEY_OTHERS},
	{"nouser", NULL, NULL, KEY_OTHERS},
	{"users", NULL, NULL, KEY_OTHERS},
	{"owner", NULL, NULL, KEY_OTHERS},
	{"group", NULL, NULL, KEY_OTHERS},
	{"_netdev", NULL, NULL, KEY_OTHERS},
	{"nofail", NULL, NULL, KEY_OTHERS},
	{"comment=", "...", NULL, KEY_OTHERS},
	{"x-", "...", NULL, KEY_OTHERS},
	{"X-", "...", NULL, KEY_OTHERS},
	{"relatime", NULL, NULL, KEY_OTHERS},
	{"norelatime", NULL, NULL, KEY_OTHERS},
	{"strictatime", NULL, NULL, KEY_OTHERS},
	{"nostrictatime", NULL, NULL, KEY_OTHERS},
	{"lazytime", NULL, NULL, KEY_OTHERS},
	{"nolazytime", NULL, NULL, KEY_OTHERS},
	{"diratime", NULL, NULL, KEY_OTHERS},
	{"nodiratime", NULL, NULL, KEY_OTHERS},
	{0}
};

void mount_options_init(struct mount_options *options)
{
	*options = (struct mount_options){
		.timeout = USUAL_TIMEOUT,
		.refresh = USUAL_REFRESH,
		.disk = -1,
		.uid = getuid(),
		.gid = getgid(),
	};
	buf_init(&options->passed, MOST_WORDS);
}

void mount_options_release(struct mount_options *options)
{
	free(options->fsname);
	options->fsname = NULL;
	buf_release(&options->passed);
	free(options->ca_file);
}

/* A whole number without sign in the given base, nothing behind it. */
static int read_number(const struct mount_options_word *word, const char *text, int base, unsigned long least,
		       unsigned long most, unsigned long *out, struct fault *flt)
{
	char last = base == 8 ? '7' : '9';
	unsigned long number = ULONG_MAX;
	char *end = NULL;

	errno = 0;
	if (*text >= '0' && *text <= last)
		number = strtoul(text, &end, base);
	if (!end || *end || errno || number < least || number > most)
		return fault_undecided(flt, FAULT_MISUSE,
				       base == 8 ? "-o %s has to be an octal number from %lo to %lo, not '%.40s'" :
						   "-o %s has to be a whole number from %lu to %lu, not '%.40s'",
				       word->word, least, most, text);
	*out = number;
	return 0;
}

/* How a word that takes a number is read. */
struct range {
	int base;
	unsigned long least, most;
};

static struct range range_of(int key)
{
	switch (key) {
	case KEY_TIMEOUT:
		return (struct range){ 10, 1, MOST_SECONDS };
	case KEY_REFRESH:
	case KEY_MAX_AGE:
		return (struct range){ 10, 0, MOST_SECONDS };
	case KEY_UMASK:
		return (struct range){ 8, 0, 0777 };
	default:
		/* (uid_t)-1 means "none" to the kernel. */
		return (struct range){ 10, 0, (uid_t)-2 };
	}
}

static int take_number(struct mount_options *options, const struct mount_options_word *word, const char *value,
		       struct fault *flt)
{
	struct range range = range_of(word->key);
	unsigned long number = 0;
	int verdict = read_number(word, value, range.base, range.least, range.most, &number, flt);

	if (verdict)
		return verdict;
	switch (word->key) {
	case KEY_TIMEOUT:
		options->timeout = (unsigned)number;
		break;
	case KEY_REFRESH:
		options->refresh = (unsigned)number;
		break;
	case KEY_MAX_AGE:
		options->max_age = (unsigned)number;
		break;
	case KEY_UID:
		options->uid = (uid_t)number;
		break;
	case KEY_GID:
		options->gid = (gid_t)number;
		break;
	default:
		options->umask = (mode_t)number;
		break;
	}
	return 0;
}

static int take_publish(struct mount_options *options, const char *value, struct fault *flt)
{
	options->publish_by_rename = strcmp(value, "rename") == 0;
	if (options->publish_by_rename || strcmp(value, "close") == 0)
		return 0;
	return fault_undecided(flt, FAULT_MISUSE, "-o publish= has to be close or rename, not '%.40s'", value);
}

static int take_text(char **field, const struct mount_options_word *word, const char *value, struct fault *flt)
{
	if (!*value)
		return fault_undecided(flt, FAULT_MISUSE, "-o %s needs a %s", word->word, word->value);
	free(*field);
	*field = strdup(value);
	return *field ? 0 : fault_no_memory(flt);
}

/* As the kernel knows no other way to let root in, everybody may enter, and no file has permissions for others. */
static int allow_root(struct mount_options *options, struct fault *flt)
{
	options->only_root = true;
	return buf_append_text(&options->passed, ",allow_other", flt);
}

static int take_operator_key(struct mount_options *options, const char *value, struct fault *flt)
{
	options->has_operator_key = true;
	/* Do not repeat the value: it may be a private key. */
	if (digest_parse(span_of_text(value), &options->operator_key, NULL))
		return fault_undecided(flt, FAULT_MISUSE, "-o operator_key= has to be a key id: sha256: and 64 digits");
	return 0;
}

static int take(struct mount_options *options, const struct mount_options_word *word, const char *value,
		struct fault *flt)
{
	switch (word->key) {
	case KEY_PERMISSIONS:
	case KEY_OTHERS:
		return 0;
	case KEY_ALLOW_ROOT:
		return allow_root(options, flt);
	case KEY_FSNAME:
		return take_text(&options->fsname, word, value, flt);
	case KEY_REMOUNT:
		options->remount = true;
		return 0;
	case KEY_DEBUG:
		options->debug = true;
		return buf_append_text(&options->passed, ",debug", flt);
	case KEY_RO:
	case KEY_RW:
		options->writable = word->key == KEY_RW;
		options->has_mode = true;
		return 0;
	case KEY_YANK:
		options->yank = true;
		return 0;
	case KEY_PUBLISH:
		return take_publish(options, value, flt);
	case KEY_OFFLINE:
		options->offline = true;
		return 0;
	case KEY_OPERATOR_KEY:
		return take_operator_key(options, value, flt);
	case KEY_CACERT:
		return take_text(&options->ca_file, word, value, flt);
	case 0:
		return buf_append_format(&options->passed, flt, ",%s", word->word);
	default:
		return take_number(options, word, value, flt);
	}
}

static const struct mount_options_word *find(const char *text)
{
	for (const struct mount_options_word *word = mount_options_words; word->word; word++) {
		if (word->value ? strncmp(text, word->word, strlen(word->word)) == 0 : strcmp(text, word->word) == 0)
			return word;
	}
	return NULL;
}

bool mount_options_has(const char *text)
{
	return find(text) != NULL;
}

/* @return the option that was probably meant, as it is written, or NULL */
static const char *find_meant(const char *typed, size_t length)
{
	struct nearest nearest = {.typed = typed, .length = length};
	const char *meant = NULL;

	for (const struct mount_options_word *word = mount_options_words; word->word; word++) {
		const char *before = nearest.word;
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(word->word, "="), word->word);
		nearest_offer(&nearest, name);
		if (nearest.word != before)
			nearest.word = meant = word->word;
	}
	return meant;
}

static int parse_word(struct mount_options *options, const char *text, struct fault *flt)
{
	const struct mount_options_word *word = find(text);

	if (!word) {
		size_t length = strcspn(text, "=");
		const char *meant = find_meant(text, length);

		return fault_undecided(flt, FAULT_MISUSE, "-o %.*s%s: there is no such mount option%s%s%s",
				       length < 60 ? (int)length : 60, text, text[length] ? "=..." : "",
				       meant ? ". Did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
	}
	return take(options, word, text + strlen(word->word), flt);
}

int mount_options_parse(struct mount_options *options, const char *text, struct fault *flt)
{
	char *copy = strdup(text), *rest = copy, *word;
	int verdict = 0;

	if (!copy)
		return fault_no_memory(flt);
	while (!verdict && (word = strsep(&rest, ",")))
		verdict = *word ? parse_word(options, word, flt) : 0;
	free(copy);
	return verdict;
}

int mount_options_check(const struct mount_options *options, struct fault *flt)
{
	if (options->yank && !options->writable)
		return fault_undecided(flt, FAULT_MISUSE, "-o yank is for a mount that may be written to: -o rw,yank");
	if (options->publish_by_rename && !options->writable)
		return fault_undecided(flt, FAULT_MISUSE,
				       "-o publish=rename needs a writable mount: -o rw,publish=rename");
	if (options->writable && options->offline)
		return fault_undecided(flt, FAULT_MISUSE, "-o rw publishes, which cannot be done with -o offline");
	return 0;
}
