/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Fetching the names of logs (protocol.md section 6; interop.md section B 5): many calls at the same time, each
 * repeated without log ids that the registry does not know, or in halves if its answer is too long.
 */
#include "api_parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- Answers ---- */

static int refuse_name(const struct api_refusal *refusal, size_t place, struct span text, struct fault *flt)
{
	return refusal ? refusal->take(refusal->user, place, text, flt) : 0;
}

/** A name must hash to its log id. A name that does, and is not valid here, goes to the caller's refusal callback. */
static int read_name(const char *member, const struct json *value, const struct digest *log_id, size_t place,
		     struct name *out, const struct api_refusal *refusal, struct fault *flt)
{
	struct digest hashed;
	struct span text;
	int r;

	*out = (struct name){ 0 };
	r = json_as_text(value, &text, flt);
	if (!r) {
		hashed = name_log_id_of_text(text);
		if (digest_equals(&hashed, log_id))
			return name_parse(text, out, NULL) ? refuse_name(refusal, place, text, flt) : 0;
		r = name_parse(text, out, flt);
	}
	if (r) {
		fault_at(flt, "the name of log %s", member);
		return r;
	}
	return fault_invalid(flt, "%.150s is not the name of log %s", out->text, member);
}

int api_decode_names(const struct http_exchange *exchange, const struct digest *log_ids, size_t count,
		     struct name *out, const struct api_refusal *refusal, struct fault *flt)
{
	const struct json *packages = NULL, *value;
	char id[DIGEST_TEXT_SIZE];
	struct json *body = NULL;
	int r = api_answer_read(exchange, NULL, &body, flt);

	if (r)
		return r;
	r = json_read_object(body, "packages", &packages, flt);
	for (size_t i = 0; !r && i < count; i++) {
		digest_format(&log_ids[i], id);
		value = json_member(packages, id);
		if (value)
			r = read_name(id, value, &log_ids[i], i, &out[i], refusal, flt);
		else
			out[i] = (struct name){ 0 };
	}
	if (r)
		api_blame_answer(exchange, flt);
	json_free(body);
	return r;
}

/* ---- Calls ---- */

static int begin_names(struct api_call *call, const struct api *api, clock_ms deadline, const struct digest *log_ids,
		       size_t count, struct fault *flt)
{
	struct json *body = json_new_object(), *list = json_new_list();
	char id[DIGEST_TEXT_SIZE];

	for (size_t i = 0; i < count; i++) {
		digest_format(&log_ids[i], id);
		json_add_text(list, id);
	}
	json_put(body, "packages", list);
	if (!body)
		return fault_no_memory(flt);
	return api_call_init(call, api, "v1/fetch/names", body, CAP_BODY_NAMES, deadline, flt);
}

/** Logs requested in one call, and their indices in the caller's list. */
struct crowd {
	size_t count;
	struct digest log_ids[CAP_REQUEST_NAMES];
	size_t places[CAP_REQUEST_NAMES];
};

/** One unknown log makes the whole call a 404: remove it from the crowd. @return whether the crowd had it */
static bool drop_missing(struct crowd *crowd, const struct api_missing *missing)
{
	struct digest id;

	if (strcmp(missing->type, "log") != 0 || digest_parse(span_of_text(missing->id), &id, NULL))
		return false;
	for (size_t i = 0; i < crowd->count; i++) {
		if (!digest_equals(&crowd->log_ids[i], &id))
			continue;
		crowd->count--;
		crowd->log_ids[i] = crowd->log_ids[crowd->count];
		crowd->places[i] = crowd->places[crowd->count];
		return true;
	}
	return false;
}

/** State shared by all crowds. */
struct naming {
	const struct api *api;
	clock_ms deadline;
	unsigned splits; /* requests that may still be sent after answers that were too long */
	struct name *out;
	const struct api_refusal *refusal; /* may be NULL */
	const struct crowd *crowd;         /* the crowd whose answer is being decoded */
	bool is_any_told;
	struct fault lost; /* why the name of a single log could not be fetched */
};

/** Translate an index in the crowd to an index in the caller's list. */
static int refuse_of_crowd(void *user, size_t place, struct span text, struct fault *flt)
{
	const struct naming *naming = user;

	return refuse_name(naming->refusal, naming->crowd->places[place], text, flt);
}

static int fetch_crowd(struct naming *naming, struct crowd *crowd, struct fault *flt);

/** The answer was too long: request each half. A single name that is too long stays empty. */
static int fetch_half_crowds(struct naming *naming, const struct crowd *crowd, const struct fault *why,
			     struct fault *flt)
{
	size_t middle = crowd->count / 2;
	struct crowd *half;
	int r = 0;

	if (!middle) {
		naming->lost = *why;
		return 0;
	}
	half = malloc(sizeof(*half));
	if (!half)
		return fault_no_memory(flt);
	for (size_t first = 0; !r && first < crowd->count; first += first ? crowd->count : middle) {
		half->count = first ? crowd->count - middle : middle;
		memcpy(half->log_ids, crowd->log_ids + first, half->count * sizeof(*half->log_ids));
		memcpy(half->places, crowd->places + first, half->count * sizeof(*half->places));
		r = fetch_crowd(naming, half, flt);
	}
	free(half);
	return r;
}

/** Whether the answer exceeds our bound, or the request the registry's (413). */
static bool is_too_long(const struct http_exchange *exchange, const struct fault *fault)
{
	return fault->kind == FAULT_LIMIT || (!exchange->verdict && exchange->status == 413);
}

/** Decode a crowd's answer. The names left in the crowd are to be requested again. */
static int take_names(struct naming *naming, struct api_call *call, struct crowd *crowd, struct fault *flt)
{
	const struct http_exchange *exchange = &call->exchange;
	struct name *names = calloc(crowd->count, sizeof(*names));
	const struct api_refusal refusal = { refuse_of_crowd, naming };
	struct api_missing missing = { 0 };
	struct fault own = { 0 };
	bool is_long;
	int r = names ? 0 : fault_no_memory(&own);

	naming->crowd = crowd;
	if (!r && !exchange->verdict && exchange->status == 404)
		r = api_answer_refused(exchange, &missing, &own);
	else if (!r)
		r = api_decode_names(exchange, crowd->log_ids, crowd->count, names, &refusal, &own);
	if (r && own.kind == FAULT_ABSENT && drop_missing(crowd, &missing)) {
		free(names);
		return 0;
	}
	for (size_t i = 0; !r && i < crowd->count; i++)
		naming->out[crowd->places[i]] = names[i];
	is_long = r && is_too_long(exchange, &own);
	api_call_release(call);
	*call = (struct api_call){ 0 };
	if (is_long && naming->splits) {
		const struct fault why = own;

		own = (struct fault){ 0 };
		r = fetch_half_crowds(naming, crowd, &why, &own);
	} else if (!r) {
		naming->is_any_told = true;
	}
	crowd->count = 0;
	free(names);
	if (r && flt && !flt->verdict)
		*flt = own;
	return r;
}

static int fetch_crowd(struct naming *naming, struct crowd *crowd, struct fault *flt)
{
	int r = 0;

	while (crowd->count && !r) {
		struct api_call call = { 0 };

		if (!naming->splits)
			return fault_undecided(flt, FAULT_LIMIT, "too many of the registry's answers are too long");
		naming->splits--;
		r = begin_names(&call, naming->api, naming->deadline, crowd->log_ids, crowd->count, flt);
		if (!r)
			r = api_run(naming->api, &call, 1, flt);
		if (!r)
			r = take_names(naming, &call, crowd, flt);
		api_call_release(&call);
	}
	return r;
}

/**
 * Request all crowds at the same time, and again the names left in them. Names of one crowd are kept if another fails.
 */
static int fetch_crowds(struct naming *naming, struct crowd *crowds, struct api_call *calls, size_t count,
			struct fault *flt)
{
	size_t left = count, begun;
	bool has_run;
	int r = 0;

	while (left && !r) {
		for (begun = 0; !r && begun < left; begun++)
			r = begin_names(&calls[begun], naming->api, naming->deadline, crowds[begun].log_ids,
					crowds[begun].count, flt);
		if (!r)
			r = api_run(naming->api, calls, left, flt);
		has_run = !r;
		left = 0;
		for (size_t i = 0; i < begun; i++) {
			int one = has_run ? take_names(naming, &calls[i], &crowds[i], r ? NULL : flt) : r;

			r = r ? r : one;
			api_call_release(&calls[i]);
			if (!r && crowds[i].count && left++ != i)
				crowds[left - 1] = crowds[i];
		}
	}
	return r;
}

/** Fetch up to API_NAMES_AT_ONCE names. @param first  index of the first log in the caller's list */
static int fetch_some(struct naming *naming, const struct digest *log_ids, size_t first, size_t count,
		      struct fault *flt)
{
	size_t parts = (count + CAP_REQUEST_NAMES - 1) / CAP_REQUEST_NAMES;
	struct api_call *calls = calloc(parts, sizeof(*calls));
	struct crowd *crowds = calloc(parts, sizeof(*crowds));
	int r = calls && crowds ? 0 : fault_no_memory(flt);

	for (size_t i = 0; !r && i < count; i++) {
		struct crowd *crowd = &crowds[i / CAP_REQUEST_NAMES];

		crowd->log_ids[crowd->count] = log_ids[first + i];
		crowd->places[crowd->count++] = first + i;
	}
	if (!r)
		r = fetch_crowds(naming, crowds, calls, parts, flt);
	free(crowds);
	free(calls);
	return r;
}

int api_fetch_names(const struct api *api, clock_ms deadline, const struct digest *log_ids, size_t count,
		    struct name *out, const struct api_refusal *refusal, struct fault *flt)
{
	struct naming naming = { api, deadline, CAP_SPLITS, out, refusal, NULL, false, { 0 } };
	int r = 0;

	for (size_t i = 0; i < count; i++)
		out[i].text[0] = '\0';
	for (size_t first = 0; !r && first < count; first += API_NAMES_AT_ONCE)
		r = fetch_some(&naming, log_ids, first,
			       count - first < API_NAMES_AT_ONCE ? count - first : API_NAMES_AT_ONCE, flt);
	if (!r && naming.lost.verdict && !naming.is_any_told) {
		r = naming.lost.verdict;
		if (flt && !flt->verdict)
			*flt = naming.lost;
	}
	return r;
}
