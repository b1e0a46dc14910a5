/*
 * wargfs publish: the group, and what its commands have in common (see publish.h).
 */
#include "publish.h"
#include "client/journal.h"
#include "client/keyring.h"
#include "client/receipts.h"
#include "commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAY 86400 /* seconds */

static const struct command *const group[] = {
	&publish_init_command, &publish_release_command, &publish_yank_command, &publish_grant_command,
	&publish_revoke_command, &publish_start_command, &publish_list_command, &publish_abort_command,
	&publish_submit_command, &publish_wait_command, NULL,
};

const struct command publish_command = {
	.name = "publish",
	.arguments = "",
	.summary = "Publish releases, and change who may",
	.text = "\nWhile a publish is pending, which 'publish start' begins, the others add to it, and 'publish\n"
		"submit' publishes it as one record. The client warg shares it: either can end what the other began.\n",
	.group = group,
};

/* ---- Opening ---- */

void publishing_init(struct publishing *publishing, const struct command *command, const struct options *options)
{
	*publishing = (struct publishing){
		.command = command, .options = options, .hold = {.fd = -1}, .hold_elsewhere = {.fd = -1},
		.keyed_as = options->registry,
	};
}

int publishing_open(struct publishing *publishing, struct fault *flt)
{
	struct session *session = &publishing->session;
	struct session_open how = {.starts_from_cache = true};
	int verdict = session_load(session, publishing->options, flt);

	if (!verdict)
		verdict = session_choose(session, NULL, publishing->options, flt);
	if (!verdict)
		verdict = session_open(session, &how, flt);
	if (verdict)
		return verdict;
	publishing->store = registry_store(session->registry);
	return staging_open(session->config.state_dir, session->url.label, publishing->store, &publishing->staging,
			    flt);
}

/* What could not be looked through is left to the next time. */
static void close_staging(struct publishing *publishing, struct staging *staging, struct staging_hold *hold)
{
	staging_end_hold(hold);
	if (staging)
		staging_sweep(staging, publishing->store, NULL);
	staging_close(staging);
}

void publishing_release(struct publishing *publishing)
{
	publisher_close(publishing->publisher);
	close_staging(publishing, publishing->elsewhere, &publishing->hold_elsewhere);
	close_staging(publishing, publishing->staging, &publishing->hold);
	if (publishing->is_open)
		pending_release(&publishing->pending);
	session_release(&publishing->session);
}

int publishing_look(struct publishing *publishing, struct fault *flt)
{
	struct pending pending = {0};
	bool found = false;
	int verdict = pending_load(publishing->store, &pending, &found, flt);

	if (verdict)
		return verdict;
	if (publishing->is_open)
		pending_release(&publishing->pending);
	publishing->is_open = found;
	publishing->pending = pending;
	return 0;
}

int publishing_hold(struct publishing *publishing, struct fault *flt)
{
	return staging_take_hold(publishing->staging, &publishing->hold, flt);
}

/* ---- The engine ---- */

static int find_key(void *user, struct ecdsa_private_key **out, struct fault *flt)
{
	const struct publishing *publishing = user;

	return keyring_find_signing_key(&publishing->session.config, publishing->keyed_as, out, flt);
}

static int open_engine(struct publishing *publishing, struct registry *registry, struct fault *flt)
{
	const struct config *config = &publishing->session.config;
	const struct publisher_options options = {
		.registry = registry,
		.state_dir = config->state_dir,
		.label = trust_label(registry_trust(registry)),
		.home = publishing->store,
		.find_key = find_key,
		.user = publishing,
		.auto_init = !config->disable_auto_package_init,
		.timeout = SESSION_TIMEOUT,
	};
	struct publisher *publisher;
	int verdict = publisher_open(&options, &publisher, flt);

	if (verdict)
		return verdict;
	publisher_close(publishing->publisher);
	publishing->publisher = publisher;
	publishing->registry = registry;
	return 0;
}

/* ---- What was left under way ---- */

static void told(void *user, const struct name *name, const struct publish_result *result, int verdict,
		 const struct fault *flt)
{
	const struct publishing *publishing = user;
	char record[DIGEST_TEXT_SIZE];

	digest_format(&result->record_id, record);
	fprintf(stderr, "record `%s` of package `%s`, which was left under way, %s\n", record, name->text,
		verdict ? "did not come through" : "is published");
	if (verdict)
		options_fail(publishing->command, flt);
}

static size_t count_journal(const struct publishing *publishing, const char *label)
{
	struct journal *journal = NULL;
	struct digest *ids = NULL;
	size_t count = 0;

	if (journal_open(publishing->session.config.state_dir, label, &journal, NULL))
		return 0;
	journal_list(journal, &ids, &count, NULL);
	free(ids);
	journal_close(journal);
	return count;
}

/* Open the engine on a registry, and go on with what was left under way there. */
static int go_on(struct publishing *publishing, struct registry *registry, struct fault *flt)
{
	int verdict = open_engine(publishing, registry, flt);

	if (!verdict && count_journal(publishing, trust_label(registry_trust(registry))))
		publish_resume(publishing->publisher, told, publishing, NULL);
	return verdict;
}

void publishing_resume(struct publishing *publishing)
{
	struct fault flt = {0};

	if (go_on(publishing, publishing->session.registry, &flt))
		options_fail(publishing->command, &flt);
}

int publishing_choose(struct publishing *publishing, const struct name *name, struct fault *flt)
{
	struct session *session = &publishing->session;
	struct registry *registry = NULL;
	int verdict = session_registry_of(session, name_namespace(name), &registry, flt);

	if (verdict)
		return verdict;
	if (registry != session->registry && !publishing->options->registry)
		publishing->keyed_as = federation_name_of(session->federation, registry);
	return registry == publishing->registry ? 0 : go_on(publishing, registry, flt);
}

void publishing_tell_journal(struct publishing *publishing)
{
	size_t count = count_journal(publishing, publishing->session.url.label);

	if (count)
		fprintf(stderr, "%zu %s under way: see 'wargfs publish list'\n", count,
			count == 1 ? "record is" : "records are");
}

/* ---- Submitting ---- */

static int bring_content(struct publishing *publishing, const struct digest *content, struct fault *flt)
{
	struct digest digest;
	uint64_t size;
	int fd = -1;
	int verdict = staging_open_content(publishing->staging, content, &fd, &size, flt);

	/* Of one that is gone the engine tells. */
	if (verdict || fd < 0)
		return verdict;
	verdict = staging_add(publishing->elsewhere, fd, &digest, NULL, flt);
	close(fd);
	return verdict;
}

/* A package elsewhere has its staging elsewhere: bring what was staged at home there. */
static int bring_contents(struct publishing *publishing, const struct pending *what, struct fault *flt)
{
	int verdict;

	if (publishing->registry == publishing->session.registry)
		return 0;
	verdict = staging_open(publishing->session.config.state_dir, trust_label(registry_trust(publishing->registry)),
			       registry_store(publishing->registry), &publishing->elsewhere, flt);
	if (!verdict)
		verdict = staging_take_hold(publishing->elsewhere, &publishing->hold_elsewhere, flt);
	for (size_t i = 0; !verdict && i < what->count; i++)
		if (what->entries[i].type == ENTRY_RELEASE)
			verdict = bring_content(publishing, &what->entries[i].content, flt);
	return verdict;
}

/* Of what is proven. @param out  buf_release() it; empty where memory ran out */
static const char *receipt_of(const struct publishing *publishing, const struct name *name,
			      const struct publish_result *result, struct buf *out)
{
	const char *label = trust_label(registry_trust(publishing->registry));

	buf_init(out, 4 * CAP_URL);
	receipts_path(publishing->session.config.state_dir, label, name, &result->record_id, out, NULL);
	return out->length ? (const char *)out->data : "";
}

void publishing_print_receipt(const struct publishing *publishing, const struct name *name,
			      const struct publish_result *result)
{
	struct buf path;

	printf("its receipt: %s\n", receipt_of(publishing, name, result, &path));
	buf_release(&path);
}

static void put_receipt(struct json *json, const struct publishing *publishing, const struct name *name,
			const struct publish_result *result)
{
	struct buf path;

	json_put_text(json, "receipt", receipt_of(publishing, name, result, &path));
	buf_release(&path);
}

struct json *publishing_new_result(const struct publishing *publishing, const struct pending *what,
				   const struct publish_result *result)
{
	struct json *json = json_new_object();

	json_put_text(json, "registry", federation_name_of(publishing->session.federation, publishing->registry));
	json_put_text(json, "package", what->name.text);
	json_put_text(json, "state", result->is_proven ? "published" : "submitted");
	json_put_digest(json, "record", &result->record_id);
	if (result->is_published)
		json_put_uint(json, "registryIndex", result->registry_index);
	if (result->is_proven) {
		json_put_uint(json, "logLength", result->log_length);
		put_receipt(json, publishing, &what->name, result);
	}
	json_put(json, "entries", publish_new_entries(what));
	return json;
}

static int report(const struct publishing *publishing, const struct pending *what, const struct publish_result *result)
{
	char record[DIGEST_TEXT_SIZE];

	if (publishing->options->json)
		return output_json(publishing->command, publishing_new_result(publishing, what, result));
	digest_format(&result->record_id, record);
	if (!result->is_proven)
		printf("submitted record `%s` for publishing\n", record);
	for (size_t i = 0; result->is_proven && i < what->count; i++)
		publish_print_entry(PUBLISH_WORDS_DONE, &what->name, &what->entries[i]);
	return STATUS_DONE;
}

/* What a person should hear of that no program has to. */
static void remark(const struct pending *what, const struct publish_result *result, bool failed)
{
	static const struct digest none;
	char record[DIGEST_TEXT_SIZE];

	if (result->ahead > DAY)
		fprintf(stderr, "the last record of %s is %lld days ahead of the clock here: this one has its date\n",
			what->name.text, (long long)result->ahead / DAY);
	if (!failed || digest_equals(&result->record_id, &none))
		return;
	digest_format(&result->record_id, record);
	fprintf(stderr, "it may be published yet: 'wargfs publish wait %s %s' goes on with it\n", what->name.text,
		record);
}

int publishing_submit(struct publishing *publishing, const struct pending *what, bool waits, struct fault *flt)
{
	struct publish_result result = {0};
	int verdict;

	progress_begin(&publishing->session.progress, what->name.text, NULL, NULL);
	verdict = publishing_choose(publishing, &what->name, flt);
	if (!verdict)
		verdict = bring_contents(publishing, what, flt);
	if (!verdict)
		verdict = publish_submit(publishing->publisher, what, waits ? PUBLISH_PROVEN : PUBLISH_ACCEPTED,
					 &result, flt);
	progress_end(&publishing->session.progress);
	if (!verdict) {
		remark(what, &result, false);
		return report(publishing, what, &result);
	}
	options_fail(publishing->command, flt);
	remark(what, &result, true);
	return options_status_of(flt);
}

/* ---- Running ---- */

static int take(void *user, int key, const char *value, struct fault *flt)
{
	bool *no_wait = user;

	(void)key;
	(void)value;
	(void)flt;
	*no_wait = true;
	return 0;
}

int publishing_run(const struct command *command, publishing_worker *work, int argc, char **argv)
{
	struct publishing publishing;
	struct options options;
	bool no_wait = false;
	struct fault flt = {0};
	int status, verdict;

	if (!options_parse(command, argc, argv, take, &no_wait, &options, &status))
		return status;
	status = STATUS_DONE;
	publishing_init(&publishing, command, &options);
	verdict = publishing_open(&publishing, &flt);
	if (!verdict)
		verdict = work(&publishing, !no_wait, &status, &flt);
	if (verdict)
		status = options_fail(command, &flt);
	publishing_release(&publishing);
	return status;
}

/* ---- Words ---- */

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
		      fault_undecided(flt, FAULT_MISUSE, "which package? Say it with --name PACKAGE");
}
