/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * From a signed record to a registry that has it with all its contents (see publish_parts.h; interop.md A 8 and B 3, 7,
 * 8).
 */
#include "publish_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Milliseconds between looks, at first and later: for one's turn; at a record, which takes the reference seconds. */
#define TURN_FIRST 10
#define TURN_LONGEST 200
#define ASK_FIRST 20
#define ASK_LONGEST 400
/*
 * How often the registry has to say that it has no such record before that is believed of one whose sending broke off:
 * a proxy may have it still. And milliseconds before it is asked again, at first and later.
 */
#define DOUBT_ASKS 4
#define DOUBT_FIRST 100
#define DOUBT_LONGEST 1000

/* ---- Turns ---- */

/* Whoever has the turn has as long for its uploads. */
static clock_ms upload_deadline(clock_ms begin, unsigned timeout, uint64_t size)
{
	uint64_t seconds = timeout + size / CAP_UPLOAD_RATE;

	return seconds < INT32_MAX ? begin + (clock_ms)seconds * 1000 : CLOCK_NEVER;
}

int publication_take_turn(struct publication *publication, struct fault *flt)
{
	struct publisher *publisher = publication->publisher;
	struct retry_delay patience = retry_delay_new(CLOCK_NEVER, TURN_FIRST, TURN_LONGEST);
	const struct digest log_id = name_log_id(&publication->name);
	clock_ms begin = clock_now();

	for (;;) {
		bool had = false;
		/* Log ids and record ids never meet: their hashes begin with other words. */
		int r = journal_claim(publisher->journal, &log_id, &publication->turn, &had, flt);

		if (r || had)
			return r;
		patience.deadline = upload_deadline(begin, publisher->options.timeout,
						    journal_read_mark(publisher->journal, &log_id));
		r = retry_delay_wait(publisher, &patience, 0, flt);
		if (r) {
			fault_at(flt, "waiting for others who publish it");
			return r;
		}
	}
}

void publication_end_turn(struct publication *publication)
{
	journal_end_claim(publication->publisher->journal, &publication->turn);
}

/* ---- Asking ---- */

static void keep(const struct fault *own, struct fault *flt)
{
	if (flt && !flt->verdict)
		*flt = *own;
}

int publication_ask(struct publication *publication, struct api_record_state *out, bool *known, struct fault *flt)
{
	struct publisher *publisher = publication->publisher;
	const struct record *record = publication->has_entry ? &publication->entry.record : NULL;
	struct retry_delay patience = retry_delay_new(publisher_deadline(publisher), ASK_FIRST, DOUBT_LONGEST);

	for (;;) {
		struct fault own = {0}, over = {0};
		int r = api_fetch_record(&publisher->api, publisher_deadline(publisher), &publication->name,
					 &publication->result.record_id, record, out, &own);

		*known = !r;
		if (!r || own.kind == FAULT_ABSENT)
			return 0;
		if (retry_delay_helps(&own))
			retry_delay_wait(publisher, &patience, own.wait, &over);
		if (over.kind == FAULT_CANCELLED)
			own = over;
		if (!retry_delay_helps(&own) || over.verdict) {
			keep(&own, flt);
			return own.verdict;
		}
	}
}

int publication_ask_in_doubt(struct publication *publication, struct api_record_state *out, bool *known,
			     struct fault *flt)
{
	struct publisher *publisher = publication->publisher;
	struct retry_delay patience = retry_delay_new(publisher_deadline(publisher), DOUBT_FIRST, DOUBT_LONGEST);
	int r = publication_ask(publication, out, known, flt);

	for (int asks = 1; !r && !*known && asks < DOUBT_ASKS; asks++) {
		struct fault own = {0};

		r = retry_delay_wait(publisher, &patience, 0, &own);
		if (own.kind == FAULT_TIMEOUT)
			return 0;
		keep(&own, flt);
		if (!r)
			r = publication_ask(publication, out, known, flt);
	}
	return r;
}

/* ---- Sending ---- */

/* @param refused  it did not arrive, for certain */
static int post(struct publication *publication, struct api_record_state *out, bool *refused, struct fault *flt)
{
	struct publisher *publisher = publication->publisher;
	const struct record_envelope envelope = journal_entry_envelope(&publication->entry);
	int r;

	publication->is_unsent = false;
	r = api_publish_record(&publisher->api, publisher_deadline(publisher), &publication->name, &envelope, out,
			       &publication->conflict, flt);
	*refused = r && api_record_refused(flt);
	if (publication->conflict.type == API_CONFLICT_RECORD &&
	    digest_equals(&publication->conflict.record_id, &publication->entry.record.id)) {
		publication->conflict.type = API_CONFLICT_NONE;
		*refused = false;
	}
	return r;
}

/* A record of which nobody knows whether it arrived: wait for what the registry asks for, and ask. */
static int find_out(struct publication *publication, const struct fault *why, struct api_record_state *out, bool *known,
		    struct fault *flt)
{
	struct publisher *publisher = publication->publisher;
	struct retry_delay patience = retry_delay_new(publisher_deadline(publisher), ASK_FIRST, ASK_LONGEST);
	struct fault own = {0};

	if (why->wait && retry_delay_wait(publisher, &patience, why->wait, &own)) {
		keep(own.kind == FAULT_TIMEOUT ? why : &own, flt);
		return own.verdict;
	}
	return publication_ask_in_doubt(publication, out, known, flt);
}

int publication_send(struct publication *publication, struct api_record_state *out, bool *asked, struct fault *flt)
{
	for (int sends = 1;; sends++) {
		struct fault own = {0};
		bool refused = false;
		int r = post(publication, out, &refused, &own);

		*asked = false;
		if (!r)
			return 0;
		if (refused)
			publication->is_dead = true;
		/* A lie is no answer, and a fault of ours no reason to ask; the next run will. */
		if (refused || (!retry_delay_helps(&own) && own.kind != FAULT_REFUSED)) {
			keep(&own, flt);
			return r;
		}
		r = find_out(publication, &own, out, asked, flt);
		if (r || *asked)
			return r;
		if (sends >= CAP_PUBLISH_SENDS) {
			keep(&own, flt);
			return own.verdict;
		}
	}
}

/* ---- Contents ---- */

/* @param number  which of the `count` contents of this round it is, from 0 */
static void note_upload(struct publisher *publisher, uint64_t number, uint64_t count, struct http_file *file)
{
	struct publish_uploads *uploads = publisher->options.uploads;

	if (!uploads)
		return;
	atomic_store(&uploads->sent, 0);
	atomic_store(&uploads->size, file->length);
	atomic_store(&uploads->number, number);
	atomic_store(&uploads->count, count);
	file->sent = &uploads->sent;
}

static int upload(struct publication *publication, const struct api_upload *upload, uint64_t number, uint64_t count,
		  struct fault *flt)
{
	struct publisher *publisher = publication->publisher;
	clock_ms stall = (clock_ms)publisher->options.timeout * 1000;
	struct http_file file = {.fd = -1};
	char digest[DIGEST_TEXT_SIZE];
	int r = staging_open_content(publisher->staging, &upload->content, &file.fd, &file.length, flt);

	if (r)
		return r;
	digest_format(&upload->content, digest);
	if (file.fd < 0)
		return fault_undecided(flt, FAULT_ABSENT, "the content %s is not staged any more", digest);
	publication->sent += file.length;
	if (publication->turn.fd >= 0)
		journal_mark_claim(&publication->turn, publication->sent);
	note_upload(publisher, number, count, &file);
	r = api_upload_content(&publisher->api, upload_deadline(clock_now(), publisher->options.timeout, file.length),
			       stall, upload, &file, flt);
	close(file.fd);
	if (r)
		fault_at(flt, "uploading %s", digest);
	return r;
}

/*
 * What an upload that failed means: where the registry may have it, or does not want it any more, the record's state
 * tells; it is kept in case that does not go on.
 */
static int upload_all(struct publication *publication, const struct api_record_state *state, struct fault *last,
		      struct fault *flt)
{
	for (size_t i = 0; i < state->upload_count; i++) {
		struct fault own = {0};
		int r = upload(publication, &state->uploads[i], i, state->upload_count, &own);

		if (!r)
			continue;
		if (!retry_delay_helps(&own) && own.kind != FAULT_REFUSED && own.kind != FAULT_LOGIN) {
			keep(&own, flt);
			return r;
		}
		*last = own;
	}
	return 0;
}

/* "v1/package/{log id}/record/{record id}/content/{digest}": where registries have had their uploads so far. */
static int usual_upload(const struct publication *publication, const struct digest *content, struct api_upload *out,
			struct fault *flt)
{
	const struct digest log_id = name_log_id(&publication->name);
	char log[DIGEST_TEXT_SIZE], record[DIGEST_TEXT_SIZE], text[DIGEST_TEXT_SIZE], path[4 * DIGEST_TEXT_SIZE];
	int r;

	digest_format(&log_id, log);
	digest_format(&publication->entry.record.id, record);
	digest_format(content, text);
	snprintf(path, sizeof(path), "v1/package/%s/record/%s/content/%s", log, record, text);
	*out = (struct api_upload){.content = *content, .method = HTTP_POST};
	buf_init(&out->url, CAP_URL + 1);
	r = http_url_resolve(publication->publisher->api.url, span_of_text(path), &out->url, flt);
	if (!r)
		r = buf_append(&out->url, (struct span){(const unsigned char *)"", 1}, flt);
	if (r)
		buf_release(&out->url);
	return r;
}

/*
 * The answer that said where to upload what got lost, and the registry does not say it again: it calls a record that
 * waits for its contents processing. What it has already, it refuses.
 */
static int upload_blindly(struct publication *publication, struct fault *flt)
{
	const struct record *record = &publication->entry.record;

	for (size_t i = 0; i < record->entry_count; i++) {
		struct api_upload usual;
		struct fault own = {0};
		int r;

		if (record->entries[i].type != ENTRY_RELEASE)
			continue;
		r = usual_upload(publication, &record->entries[i].content, &usual, flt);
		if (r)
			return r;
		r = upload(publication, &usual, i, record->entry_count, &own);
		buf_release(&usual.url);
		if (r && own.kind != FAULT_REFUSED && own.kind != FAULT_ABSENT && own.kind != FAULT_LOGIN) {
			keep(&own, flt);
			return r;
		}
	}
	return 0;
}

static int ask_again(struct publication *publication, struct api_record_state *state, struct fault *flt)
{
	struct api_record_state next = {0};
	bool known = false;
	int r = publication_ask_in_doubt(publication, &next, &known, flt);

	if (!r && !known) {
		r = fault_invalid(flt, "it took the record, and says that it has none");
		fault_blame(flt, FAULT_BY_REGISTRY);
	}
	if (r)
		return r;
	api_record_state_release(state);
	*state = next;
	return 0;
}

/* One round of uploads, and where the record stands then. */
static int go_round(struct publication *publication, struct api_record_state *state, struct fault *flt)
{
	struct publisher *publisher = publication->publisher;
	struct retry_delay patience = retry_delay_new(publisher_deadline(publisher), ASK_FIRST, ASK_LONGEST);
	struct fault last = {0};
	int r;

	if (publication->rounds >= CAP_UPLOAD_ROUNDS)
		return fault_undecided(flt, FAULT_REFUSED, "it asks for contents that it was given");
	for (unsigned i = 0; i < publication->rounds; i++) {
		r = retry_delay_wait(publisher, &patience, 0, flt);
		if (r)
			return r;
	}
	publication->rounds++;
	r = upload_all(publication, state, &last, flt);
	/* The checkpoint will tell, or the question after the record that follows where it does not. */
	if (!r && !last.verdict && publication->until == PUBLISH_PROVEN && publication->rounds == 1) {
		state->status = API_RECORD_PROCESSING;
		publication->is_presumed = true;
		return 0;
	}
	if (!r)
		r = ask_again(publication, state, flt);
	if (!r && last.verdict && state->status == API_RECORD_SOURCING &&
	    (publication->rounds >= CAP_UPLOAD_ROUNDS || !retry_delay_helps(&last))) {
		keep(&last, flt);
		r = last.verdict;
	}
	return r;
}

int publication_stock(struct publication *publication, struct api_record_state *state, bool asked, struct fault *flt)
{
	int r = 0;

	if (asked && state->status == API_RECORD_PROCESSING && publication->entry.stage < JOURNAL_ACCEPTED &&
	    !publication->is_stocked)
		r = upload_blindly(publication, flt);
	while (!r && state->status == API_RECORD_SOURCING)
		r = go_round(publication, state, flt);
	if (r)
		return r;
	publication->is_stocked = true;
	if (state->status == API_RECORD_REJECTED) {
		publication->is_dead = true;
		r = fault_undecided(flt, FAULT_REFUSED, "it was rejected: %.200s", state->reason);
		fault_blame(flt, FAULT_BY_REGISTRY);
	} else if (state->status == API_RECORD_PUBLISHED) {
		publication->result.is_published = true;
		publication->result.registry_index = state->registry_index;
	}
	return r;
}
