/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The publish commands and the engine: what is gone on with, what is submitted, and what is said of it (see publish.h).
 */
#include "client/publish/journal.h"
#include "client/publish/receipts.h"
#include "client/user/keyring.h"
#include "interruption.h"
#include "publish.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
		.uploads = &publishing->uploads,
		.auto_init = !config->disable_auto_package_init,
		.recent = PUBLISH_RECENT,
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
		failure_note(publishing->command->name, NOTE_STATE, what->name.text,
			     "record `%s` of package `%s`, which was left under way, %s", record, what->name.text,
			     verdict ? "could not be published" : "is published");
	else
		failure_note(publishing->command->name, NOTE_WARNING, record,
			     "record `%s`, which was left under way, cannot be gone on with", record);
	if (verdict)
		options_fail(publishing->command, flt);
	else if (what)
		keep_resumed(publishing, what, result);
	publishing->is_published = publishing->is_published || !verdict;
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
		failure_note(publishing->command->name, NOTE_STATE, NULL, "%zu %s under way: see 'wargfs publish "
			     "list'", count, count == 1 ? "record is" : "records are");
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

	printf("its receipt: %s\n", output_shown(receipt_of(publishing, name, result, &path)).text);
	buf_release(&path);
}

static void put_receipt(struct json *json, const struct publishing *publishing, const struct name *name,
			const struct publish_result *result)
{
	struct buf path;

	json_put_shown(json, "receipt", receipt_of(publishing, name, result, &path));
	buf_release(&path);
}

struct json *publishing_new_result(const struct publishing *publishing, const struct pending *what,
				   const struct publish_result *result)
{
	struct json *json = json_new_object();

	json_put_shown(json, "registry", federation_name_of(publishing->session.federation, publishing->registry));
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
static void remark(const char *command, const struct pending *what, const struct publish_result *result, bool failed)
{
	const char *name = what->name.text;
	static const struct digest none;
	char record[DIGEST_TEXT_SIZE];

	if (result->ahead > DAY)
		failure_note(command, NOTE_WARNING, name, "the last record of %s is %lld days ahead of the clock of "
			     "this machine: the new one has the date of that record", name,
			     (long long)result->ahead / DAY);
	else if (result->early > DAY)
		failure_note(command, NOTE_WARNING, name, "the clock of this machine is %lld days ahead of the "
			     "registry's: the new record of %s has that date", (long long)result->early / DAY, name);
	if (!failed || digest_equals(&result->record_id, &none))
		return;
	digest_format(&result->record_id, record);
	failure_note(command, NOTE_STATE, name, "it may be published yet: 'wargfs publish wait %s %s' goes on with "
		     "it", name, record);
}

/* What was to be published, if it was left under way and is published now; else NULL. */
static const struct publish_result *find_resumed(const struct publishing *publishing, const struct pending *what)
{
	for (size_t i = 0; i < publishing->resumed_count; i++)
		if (pending_wants_same(what, &publishing->resumed[i].what))
			return &publishing->resumed[i].result;
	return NULL;
}

/* The content that is uploaded; when all were sent, only how long the registry takes. */
static void measure(void *user, struct progress_state *state)
{
	struct publishing *publishing = user;
	struct publish_uploads *uploads = &publishing->uploads;
	uint64_t number = atomic_load(&uploads->number) + 1, count = atomic_load(&uploads->count);

	state->whole = atomic_load(&uploads->size);
	state->done = atomic_load(&uploads->sent);
	if (number == count && state->done == state->whole)
		state->whole = state->done = 0;
	if (count > 1 && state->whole)
		snprintf(state->what, sizeof(state->what), "%s, content %" PRIu64 " of %" PRIu64,
			 publishing->name, number, count);
	else
		snprintf(state->what, sizeof(state->what), "%s%s", publishing->name,
			 count && !state->whole ? ", uploaded" : "");
}

/* ---- Ctrl-C ---- */

/* What a publish that is interrupted is about. */
struct submission {
	const struct publishing *publishing;
	const struct name *name;
};

/* The record of the package that is under way, and how far. @return whether there is one */
static bool find_under_way(const struct submission *submission, struct digest *record, enum journal_stage *stage)
{
	const struct publishing *publishing = submission->publishing;
	struct journal *journal = NULL;
	struct digest *ids = NULL;
	bool found = false;
	size_t count = 0;

	if (!publishing->registry ||
	    journal_open(publishing->session.config.state_dir, label_of(publishing->registry), &journal, NULL))
		return false;
	journal_list(journal, &ids, &count, NULL);
	for (size_t i = 0; i < count && !found; i++) {
		struct journal_entry entry = {0};
		bool is_there = false;

		if (!journal_load(journal, &ids[i], &entry, &is_there, NULL) && is_there &&
		    !strcmp(entry.name.text, submission->name->text)) {
			found = true;
			*record = ids[i];
			*stage = entry.stage;
		}
		journal_entry_release(&entry);
	}
	free(ids);
	journal_close(journal);
	return found;
}

static void tell_interrupted(void *user)
{
	const struct submission *submission = user;
	const char *name = submission->name->text;
	enum journal_stage stage = JOURNAL_SIGNED;
	char text[DIGEST_TEXT_SIZE];
	struct digest record;
	struct fault flt = {0};

	if (!find_under_way(submission, &record, &stage)) {
		fault_undecided(&flt, FAULT_CANCELLED, "interrupted: nothing of %s was sent", name);
	} else {
		digest_format(&record, text);
		fault_undecided(&flt, FAULT_CANCELLED, "interrupted: the record %s of %s %s; the same command goes on "
				"with it, and publishes nothing twice", text, name,
				stage == JOURNAL_ACCEPTED ? "was taken by the registry, and is not proven yet" :
				stage == JOURNAL_SENT ? "was sent, and may be published yet" :
							"is signed, and was not sent");
	}
	failure_tell(submission->publishing->command->name, &flt);
}

int publishing_submit(struct publishing *publishing, const struct pending *what, bool waits, struct fault *flt)
{
	const struct publish_result *resumed;
	struct submission submission = {publishing, &what->name};
	struct publish_result result = {0};
	struct interruption interruption;
	int verdict;

	publishing->name = what->name.text;
	interruption_begin(&interruption, tell_interrupted, &submission);
	progress_begin(&publishing->session.progress, what->name.text, measure, publishing);
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
	interruption_end(&interruption);
	if (!verdict) {
		int status = report(publishing, what, &result);

		publishing->is_published = publishing->is_published || result.is_proven;
		remark(publishing->command->name, what, &result, false);
		if (waits)
			see_to_the_rest(publishing);
		return status;
	}
	options_fail(publishing->command, flt);
	remark(publishing->command->name, what, &result, true);
	return failure_status_of(flt);
}
