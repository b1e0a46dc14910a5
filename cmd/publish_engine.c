/*
 * The publish commands and the engine: what is gone on with, what is submitted, and what is said of it (see publish.h).
 */
#include "client/journal.h"
#include "client/keyring.h"
#include "client/receipts.h"
#include "publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DAY 86400 /* seconds */

/* What journal, staging and receipts lie under. */
static const char *label_of(const struct registry *registry)
{
	return trust_label(registry_trust(registry));
}

static int find_key(void *user, struct ecdsa_private_key **out, struct fault *flt)
{
	const struct publishing *publishing = user;

	return session_find_signing_key(&publishing->session, publishing->keyed_as, out, flt);
}

static int open_engine(struct publishing *publishing, struct registry *registry, struct fault *flt)
{
	const struct config *config = &publishing->session.config;
	const struct publisher_options options = {
		.registry = registry,
		.state_dir = config->state_dir,
		.label = label_of(registry),
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

/* Where memory runs out, trying once more is told that it was published already. */
static void keep_resumed(struct publishing *publishing, const struct pending *what, const struct publish_result *result)
{
	struct publishing_resumed *more = reallocarray(publishing->resumed, publishing->resumed_count + 1,
						       sizeof(*more));

	if (!more)
		return;
	publishing->resumed = more;
	more += publishing->resumed_count;
	more->result = *result;
	if (!pending_copy(what, &more->what, NULL))
		publishing->resumed_count++;
}

static void told(void *user, const struct pending *what, const struct publish_result *result, int verdict,
		 const struct fault *flt)
{
	struct publishing *publishing = user;
	char record[DIGEST_TEXT_SIZE];

	digest_format(&result->record_id, record);
	if (what)
		fprintf(stderr, "record `%s` of package `%s`, which was left under way, %s\n", record,
			what->name.text, verdict ? "did not come through" : "is published");
	else
		fprintf(stderr, "record `%s`, which was left under way, cannot be gone on with\n", record);
	if (verdict)
		options_fail(publishing->command, flt);
	else if (what)
		keep_resumed(publishing, what, result);
}

/* What the journal of a registry holds, and nobody drives. */
struct leftovers {
	size_t doubtful; /* signed, sent perhaps: what is done now may depend on them */
	size_t accepted; /* the registry has them, and all that is left is their proof */
};

static void count_leftover(struct journal *journal, const struct digest *id, struct leftovers *out)
{
	struct journal_entry entry = {0};
	bool found = false, is_read = !journal_load(journal, id, &entry, &found, NULL);

	if (journal_is_claimed(journal, id))
		found = false;
	else if (!is_read || (found && entry.stage != JOURNAL_ACCEPTED))
		out->doubtful++;
	else if (found)
		out->accepted++;
	journal_entry_release(&entry);
}

static struct leftovers count_leftovers(const struct publishing *publishing, const struct registry *registry)
{
	struct leftovers leftovers = {0};
	struct journal *journal = NULL;
	struct digest *ids = NULL;
	size_t count = 0;

	if (journal_open(publishing->session.config.state_dir, label_of(registry), &journal, NULL))
		return leftovers;
	journal_list(journal, &ids, &count, NULL);
	for (size_t i = 0; i < count; i++)
		count_leftover(journal, &ids[i], &leftovers);
	free(ids);
	journal_close(journal);
	return leftovers;
}

/* Open the engine on a registry, and go on with what is in doubt there. */
static int go_on(struct publishing *publishing, struct registry *registry, struct fault *flt)
{
	int verdict = open_engine(publishing, registry, flt);

	if (!verdict && count_leftovers(publishing, registry).doubtful)
		publish_resume(publishing->publisher, told, publishing, NULL);
	return verdict;
}

void publishing_resume(struct publishing *publishing)
{
	struct fault flt = {0};

	if (go_on(publishing, publishing->session.registry, &flt))
		options_fail(publishing->command, &flt);
}

/* Have those proven that were not waited for: under the checkpoint that proved what was just published, most likely. */
static void see_to_the_rest(struct publishing *publishing)
{
	if (count_leftovers(publishing, publishing->registry).accepted)
		publish_resume(publishing->publisher, told, publishing, NULL);
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
	struct leftovers leftovers = count_leftovers(publishing, publishing->session.registry);
	size_t count = leftovers.doubtful + leftovers.accepted;

	if (count)
		fprintf(stderr, "%zu %s under way: see 'wargfs publish list'\n", count,
			count == 1 ? "record is" : "records are");
}

/* ---- Submitting ---- */

/* Another registry has its staging elsewhere. */
static int open_elsewhere(struct publishing *publishing, struct fault *flt)
{
	int verdict = staging_open(publishing->session.config.state_dir, label_of(publishing->registry),
				   registry_store(publishing->registry), &publishing->elsewhere, flt);

	return verdict ? verdict : staging_take_hold(publishing->elsewhere, &publishing->hold_elsewhere, flt);
}

/* A record whose content cannot be had must not be sent: the registry would wait for it. */
static int check_content(struct publishing *publishing, const struct pending_entry *entry, struct fault *flt)
{
	char text[DIGEST_TEXT_SIZE];
	struct digest digest;
	uint64_t size;
	int fd = -1;
	int verdict = staging_open_content(publishing->staging, &entry->content, &fd, &size, flt);

	digest_format(&entry->content, text);
	if (!verdict && fd < 0)
		verdict = fault_undecided(flt, FAULT_ABSENT, "the content of version %s, %s, is not staged any more",
					  entry->version, text);
	if (!verdict && publishing->elsewhere)
		verdict = staging_add(publishing->elsewhere, fd, &digest, NULL, flt);
	if (fd >= 0)
		close(fd);
	return verdict;
}

/* All is staged, and where the engine looks for it. What is not from the file was staged a moment ago. */
static int check_contents(struct publishing *publishing, const struct pending *what, struct fault *flt)
{
	bool is_elsewhere = publishing->registry != publishing->session.registry;
	int verdict = is_elsewhere ? open_elsewhere(publishing, flt) : 0;

	for (size_t i = 0; !verdict && (is_elsewhere || what->is_stored) && i < what->count; i++)
		if (what->entries[i].type == ENTRY_RELEASE)
			verdict = check_content(publishing, &what->entries[i], flt);
	return verdict;
}

/* Of what is proven. @param out  buf_release() it; empty where memory ran out */
static const char *receipt_of(const struct publishing *publishing, const struct name *name,
			      const struct publish_result *result, struct buf *out)
{
	const char *label = label_of(publishing->registry);

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
	else if (result->early > DAY)
		fprintf(stderr, "the clock here is %lld days ahead of the registry's: %s has a record of then\n",
			(long long)result->early / DAY, what->name.text);
	if (!failed || digest_equals(&result->record_id, &none))
		return;
	digest_format(&result->record_id, record);
	fprintf(stderr, "it may be published yet: 'wargfs publish wait %s %s' goes on with it\n", what->name.text,
		record);
}

/* What was to be published, if it was left under way and is published now; else NULL. */
static const struct publish_result *find_resumed(const struct publishing *publishing, const struct pending *what)
{
	for (size_t i = 0; i < publishing->resumed_count; i++)
		if (pending_wants_same(what, &publishing->resumed[i].what))
			return &publishing->resumed[i].result;
	return NULL;
}

int publishing_submit(struct publishing *publishing, const struct pending *what, bool waits, struct fault *flt)
{
	const struct publish_result *resumed;
	struct publish_result result = {0};
	int verdict;

	progress_begin(&publishing->session.progress, what->name.text, NULL, NULL);
	verdict = publishing_choose(publishing, &what->name, flt);
	resumed = find_resumed(publishing, what);
	if (!verdict && !resumed)
		verdict = check_contents(publishing, what, flt);
	if (!verdict && resumed)
		result = *resumed;
	else if (!verdict)
		verdict = publish_submit(publishing->publisher, what, waits ? PUBLISH_PROVEN : PUBLISH_ACCEPTED,
					 &result, flt);
	progress_end(&publishing->session.progress);
	if (!verdict) {
		int status = report(publishing, what, &result);

		remark(what, &result, false);
		if (waits)
			see_to_the_rest(publishing);
		return status;
	}
	options_fail(publishing->command, flt);
	remark(what, &result, true);
	return options_status_of(flt);
}
