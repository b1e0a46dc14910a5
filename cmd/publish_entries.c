/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs publish init, release, yank, grant, revoke: one entry each, which is published at once, or added to the
 * publish that is pending.
 */
#include "publish.h"
#include "client/store/wasm_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_NO_WAIT = 300, KEY_PERMISSION };

/* What the options say. */
struct own {
	const char *name, *version;
	unsigned permissions; /* 0: both */
	bool no_wait;
};

static int add_permission(const char *word, size_t length, unsigned *set, struct fault *flt)
{
	static const enum record_permission all[] = {PERMISSION_RELEASE, PERMISSION_YANK};
	const struct span text = {(const unsigned char *)word, length};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (span_is(text, pending_permission_name(all[i]))) {
			*set |= all[i];
			return 0;
		}
	}
	return fault_undecided(flt, FAULT_MISUSE, "there is no permission '%.*s': release or yank, or both with a "
			       "comma between", (int)(length < 64 ? length : 64), word);
}

static int read_permissions(const char *text, unsigned *set, struct fault *flt)
{
	int verdict = 0;

	for (;; text++) {
		size_t length = strcspn(text, ",");

		verdict = add_permission(text, length, set, flt);
		text += length;
		if (verdict || !*text)
			return verdict;
	}
}

static int take(void *user, int key, const char *value, struct fault *flt)
{
	struct own *own = user;

	switch (key) {
	case 'n':
		own->name = value;
		return 0;
	case 'v':
		own->version = value;
		return 0;
	case KEY_PERMISSION:
		return read_permissions(value, &own->permissions, flt);
	default:
		own->no_wait = true;
		return 0;
	}
}

/* ---- The entries ---- */

/* What one command is about. */
struct entry_command {
	int operands; /* arguments behind the package, which may be named by an option instead */
	/** Fill in the entry, without touching anything. */
	int (*read)(const struct own *own, const struct options *options, struct pending_entry *out,
		    struct fault *flt);
	/** Bring what it needs; NULL: nothing. */
	int (*prepare)(struct publishing *publishing, struct pending_entry *entry, struct fault *flt);
	/** Ask whether it is meant; NULL: it is not asked. */
	bool (*agreed)(const struct options *options, const struct own *own);
};

static int read_version(const struct own *own, struct pending_entry *out, struct fault *flt)
{
	struct semver version;

	if (!own->version)
		return fault_undecided(flt, FAULT_MISUSE, "which version? Say it with --version VERSION");
	if (semver_parse(span_of_text(own->version), &version, NULL))
		return fault_undecided(flt, FAULT_MISUSE, "'%.100s' is not a full version: write three numbers, such "
				       "as 1.0.0 (and no leading v)", own->version);
	strcpy(out->version, own->version);
	return 0;
}

/* The last argument: a file, or a key. */
static const char *operand(const struct options *options)
{
	return options->arguments[options->argument_count - 1];
}

static int read_init(const struct own *own, const struct options *options, struct pending_entry *out,
		     struct fault *flt)
{
	(void)own;
	(void)options;
	(void)flt;
	out->type = ENTRY_INIT;
	return 0;
}

static int read_release(const struct own *own, const struct options *options, struct pending_entry *out,
			struct fault *flt)
{
	(void)options;
	out->type = ENTRY_RELEASE;
	return read_version(own, out, flt);
}

static int read_yank(const struct own *own, const struct options *options, struct pending_entry *out,
		     struct fault *flt)
{
	(void)options;
	out->type = ENTRY_YANK;
	return read_version(own, out, flt);
}

static int read_public_key(const char *text, struct pending_entry *out, struct fault *flt)
{
	struct ecdsa_public_key *key;
	struct fault own = {0};

	if (ecdsa_public_key_parse(span_of_text(text), &key, &own))
		return fault_undecided(flt, FAULT_MISUSE, "the argument is not a public key, ecdsa-p256:..., as "
				       "'wargfs key info' prints it: %s", own.what);
	strcpy(out->key, ecdsa_public_key_text(key));
	out->key_id = *ecdsa_public_key_id(key);
	ecdsa_public_key_unref(key);
	return 0;
}

static int read_grant(const struct own *own, const struct options *options, struct pending_entry *out,
		      struct fault *flt)
{
	out->type = ENTRY_GRANT_FLAT;
	out->permissions = own->permissions ? own->permissions : PERMISSIONS_PACKAGE;
	return read_public_key(operand(options), out, flt);
}

/* The key itself will do as well: its id follows. */
static int read_revoke(const struct own *own, const struct options *options, struct pending_entry *out,
		       struct fault *flt)
{
	const char *text = operand(options);

	out->type = ENTRY_REVOKE_FLAT;
	out->permissions = own->permissions ? own->permissions : PERMISSIONS_PACKAGE;
	if (!digest_parse(span_of_text(text), &out->key_id, NULL))
		return 0;
	if (!read_public_key(text, out, NULL))
		return 0;
	return fault_undecided(flt, FAULT_MISUSE, "the argument is neither a key ID, sha256:..., nor a public key, "
			       "ecdsa-p256:...");
}

static bool agreed_to_yank(const struct options *options, const struct own *own)
{
	return output_ask(options, false, "A yank makes a version unavailable, for good.\nYank %s of %s?", own->version,
			  own->name);
}

/* ---- Staging a release's content ---- */

/* Of a pipe, what came out of it is looked at. */
static int check_wasm(int fd, const char *path, struct fault *flt)
{
	struct fault own = {0};
	struct stat status;

	if (fstat(fd, &status) || (S_ISDIR(status.st_mode) && (errno = EISDIR)))
		return fault_system(flt, errno, "%.150s", path);
	if (!S_ISREG(status.st_mode) || !wasm_file_check(fd, &own))
		return 0;
	if (own.verdict != WARG_INVALID)
		fault_pass(&own, flt);
	else if (status.st_size == 0)
		fault_invalid(flt, "is empty: it is not a WebAssembly file");
	else
		fault_invalid(flt, "is not a WebAssembly file: %s", own.what);
	if (own.verdict == WARG_INVALID)
		fault_subject(flt, "%.150s", path);
	else
		fault_at(flt, "%.150s", path);
	fault_blame(flt, FAULT_BY_USER);
	return own.verdict;
}

/* What was staged is what is published: it is looked at once more, as the file may have been written to meanwhile. */
static int check_staged(struct publishing *publishing, const struct digest *content, const char *path,
			struct fault *flt)
{
	uint64_t size;
	int fd = -1;
	int verdict = staging_open_content(publishing->staging, content, &fd, &size, flt);

	if (!verdict && fd < 0)
		verdict = fault_undecided(flt, FAULT_SYSTEM, "what was staged is gone again");
	if (!verdict)
		verdict = check_wasm(fd, path, flt);
	if (fd >= 0)
		close(fd);
	return verdict;
}

static int stage(struct publishing *publishing, struct pending_entry *entry, struct fault *flt)
{
	const char *path = operand(publishing->options);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int verdict;

	if (fd < 0)
		return fault_system(flt, errno, "%.150s", path);
	verdict = check_wasm(fd, path, flt);
	if (!verdict)
		verdict = publishing_hold(publishing, flt);
	if (!verdict && staging_add(publishing->staging, fd, &entry->content, NULL, flt)) {
		verdict = flt->verdict;
		fault_at(flt, "%.150s, staging it", path);
	}
	close(fd);
	return verdict ? verdict : check_staged(publishing, &entry->content, path, flt);
}

/* ---- Running ---- */

static int report_added(const struct publishing *publishing, const struct pending *added)
{
	struct json *json;

	if (!publishing->options->json) {
		publish_print_entry(PUBLISH_WORDS_ADDED, &added->name, &added->entries[0]);
		return STATUS_DONE;
	}
	json = json_new_object();
	json_put_text(json, "package", added->name.text);
	json_put_text(json, "state", "added");
	json_put(json, "entries", publish_new_entries(added));
	return output_json(publishing->command, json);
}

/* Into the publish that is pending, or out at once. */
static int add_or_submit(struct publishing *publishing, const struct name *name, const struct pending_entry *entry,
			 bool waits, int *status, struct fault *flt)
{
	struct pending what;
	int verdict;

	pending_init(&what, name);
	verdict = pending_add(&what, entry, flt);
	if (!verdict && publishing->is_open) {
		verdict = pending_change(publishing->store, name, entry, 1, flt);
		if (!verdict)
			*status = report_added(publishing, &what);
	} else if (!verdict) {
		*status = publishing_submit(publishing, &what, waits, flt);
	}
	pending_release(&what);
	return verdict;
}

static int work(struct publishing *publishing, const struct own *own, const struct entry_command *about, int *status,
		struct fault *flt)
{
	const struct options *options = publishing->options;
	struct pending_entry entry = {0};
	struct name name;
	int verdict;

	verdict = publish_read_name(own->name, &name, flt);
	if (!verdict)
		verdict = about->read(own, options, &entry, flt);
	if (verdict)
		return verdict;
	if (about->agreed && !about->agreed(options, own)) {
		failure_note(publishing->command->name, NOTE_STATE, name.text, "nothing was published");
		*status = STATUS_FAILED;
		return 0;
	}
	verdict = publishing_open(publishing, flt);
	if (verdict)
		return verdict;
	publishing_resume(publishing);
	verdict = publishing_look(publishing, flt);
	if (!verdict && publishing->is_open && strcmp(publishing->pending.name.text, name.text))
		verdict = fault_undecided(flt, FAULT_EXISTS, "a publish of %s is pending: submit or abort it first",
					  publishing->pending.name.text);
	if (!verdict && about->prepare)
		verdict = about->prepare(publishing, &entry, flt);
	return verdict ? verdict : add_or_submit(publishing, &name, &entry, !own->no_wait, status, flt);
}

/* The package is named by the first argument, or by an option. */
static int take_package(const struct entry_command *about, const struct options *options, struct own *own,
			struct fault *flt)
{
	if (options->argument_count <= about->operands)
		return 0;
	if (own->name)
		return fault_undecided(flt, FAULT_MISUSE, "the package is named twice: '%.100s' and '%.100s'",
				       options->arguments[0], own->name);
	own->name = options->arguments[0];
	return 0;
}

static int run_entry(const struct command *command, const struct entry_command *about, int argc, char **argv)
{
	struct publishing publishing;
	struct options options;
	struct own own = {0};
	struct fault flt = {0};
	int status;

	if (!options_parse(command, argc, argv, take, &own, &options, &status))
		return status;
	status = STATUS_DONE;
	publishing_init(&publishing, command, &options);
	if (take_package(about, &options, &own, &flt) || work(&publishing, &own, about, &status, &flt))
		status = options_fail(command, &flt);
	publishing_release(&publishing);
	return status;
}

/* ---- The commands ---- */

#define NAME {'n', "name", "PACKAGE", "the package"}
#define VERSION {'v', "version", "VERSION", "the version"}
#define NO_WAIT {KEY_NO_WAIT, "no-wait", NULL, "end as soon as the registry has taken the record"}

static const struct options_entry init_options[] = {NO_WAIT, {0}};
static const struct options_entry version_options[] = {NAME, VERSION, NO_WAIT, {0}};
static const struct options_entry permission_options[] = {
	NAME,
	{KEY_PERMISSION, "permission", "PERMISSIONS", "release, yank, or both with a comma between; default both"},
	NO_WAIT,
	{0}
};

static int run_init(const struct command *command, int argc, char **argv)
{
	static const struct entry_command about = {.read = read_init};

	return run_entry(command, &about, argc, argv);
}

static int run_release(const struct command *command, int argc, char **argv)
{
	static const struct entry_command about = {.operands = 1, .read = read_release, .prepare = stage};

	return run_entry(command, &about, argc, argv);
}

static int run_yank(const struct command *command, int argc, char **argv)
{
	static const struct entry_command about = {.read = read_yank, .agreed = agreed_to_yank};

	return run_entry(command, &about, argc, argv);
}

static int run_grant(const struct command *command, int argc, char **argv)
{
	static const struct entry_command about = {.operands = 1, .read = read_grant};

	return run_entry(command, &about, argc, argv);
}

static int run_revoke(const struct command *command, int argc, char **argv)
{
	static const struct entry_command about = {.operands = 1, .read = read_revoke};

	return run_entry(command, &about, argc, argv);
}

const struct command publish_init_command = {
	.name = "publish init",
	.arguments = "PACKAGE",
	.summary = "Publish a package without releases",
	.text = "\nWho signs it has all permissions on it. Not needed before a release, which initializes it too.\n",
	.least = 1,
	.most = 1,
	.options = init_options,
	.is_deed = true,
	.meets = true,
	.run = run_init,
};

const struct command publish_release_command = {
	.name = "publish release",
	.arguments = "[PACKAGE] PATH",
	.summary = "Publish a file as a version of a package",
	.text = "\nThe file has to be a Wasm component or module. It is done when the record is proven to be in the\n"
		"registry's log. A package that the registry does not have is initialized in the same record.\n",
	.least = 1,
	.most = 2,
	.options = version_options,
	.is_deed = true,
	.meets = true,
	.run = run_release,
};

const struct command publish_yank_command = {
	.name = "publish yank",
	.arguments = "[PACKAGE]",
	.summary = "Make a version unavailable, for good",
	.text = "\nAt a terminal you are asked first.\n",
	.most = 1,
	.asks = true,
	.options = version_options,
	.is_deed = true,
	.meets = true,
	.run = run_yank,
};

const struct command publish_grant_command = {
	.name = "publish grant",
	.arguments = "[PACKAGE] PUBLIC_KEY",
	.summary = "Give a key permissions on a package",
	.least = 1,
	.most = 2,
	.options = permission_options,
	.is_deed = true,
	.meets = true,
	.run = run_grant,
};

const struct command publish_revoke_command = {
	.name = "publish revoke",
	.arguments = "[PACKAGE] KEY_ID",
	.summary = "Take a key's permissions on a package",
	.text = "\nThe public key itself will do in place of its ID.\n",
	.least = 1,
	.most = 2,
	.options = permission_options,
	.is_deed = true,
	.meets = true,
	.run = run_revoke,
};
