/*
 * Records of the operator's own log (see operator_records.h; protocol.md section 4).
 */
#include "operator_records.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "verify/name.h"

static int append_one(void *user, const struct committed_record *record, struct fault *flt)
{
	return operator_log_append(user, &record->envelope, flt);
}

int operator_records_load(struct database *database, struct operator_log **out, struct fault *flt)
{
	const struct digest log_id = name_operator_log_id();
	struct operator_log *log;
	int r = operator_log_new(&log, flt);

	if (r)
		return r;
	r = committed_walk(database, &log_id, 0, CAP_LOG_LENGTH, CAP_LOG_LENGTH, append_one, log, flt);
	if (r) {
		fault_at(flt, "the operator's log in the database");
		operator_log_unref(log);
	} else {
		*out = log;
	}
	return r;
}

/* ---- What lacks ---- */

static int check_wish(const struct operator_log *log, const struct operator_wish *wish, bool *lacks,
		      struct fault *flt)
{
	const struct operator_namespace *there = operator_log_find(log, span_of_text(wish->name));

	*lacks = !there;
	if (!name_is_part(span_of_text(wish->name)))
		return fault_undecided(flt, FAULT_MISUSE, "'%.100s' is no namespace: lower-case words with - between",
				       wish->name);
	if (!there || (!there->registry && !wish->registry))
		return 0;
	if (there->registry && wish->registry && !strcmp(there->registry, wish->registry))
		return 0;
	if (there->registry)
		return fault_undecided(flt, FAULT_MISUSE, "the namespace %s is imported from %.150s for good",
				       wish->name, there->registry);
	return fault_undecided(flt, FAULT_MISUSE, "the namespace %s is defined here for good", wish->name);
}

static bool is_wished_before(const struct operator_wish *wishes, size_t place)
{
	for (size_t i = 0; i < place; i++)
		if (!strcmp(wishes[i].name, wishes[place].name))
			return true;
	return false;
}

/* @param entries  room for one more than there are wishes */
static int collect(const struct operator_log *log, struct ecdsa_public_key *key, const struct operator_wish *wishes,
		   size_t count, struct record_entry *entries, size_t *entry_count, struct fault *flt)
{
	bool lacks = false;
	int r = 0;

	*entry_count = 0;
	if (!operator_log_head(log))
		entries[(*entry_count)++] = (struct record_entry){
			.type = ENTRY_INIT, .key = span_of_text(ecdsa_public_key_text(key)),
		};
	for (size_t i = 0; i < count && !r; i++) {
		r = check_wish(log, &wishes[i], &lacks, flt);
		if (r || !lacks || is_wished_before(wishes, i))
			continue;
		entries[(*entry_count)++] = (struct record_entry){
			.type = wishes[i].registry ? ENTRY_IMPORT_NAMESPACE : ENTRY_DEFINE_NAMESPACE,
			.namespace = span_of_text(wishes[i].name),
			.registry = span_of_text(wishes[i].registry ? wishes[i].registry : ""),
		};
	}
	return r;
}

/* ---- The record ---- */

static struct record_time time_after(const struct log_head *head)
{
	struct timespec now;
	struct record_time time;

	clock_gettime(CLOCK_REALTIME, &now);
	time = (struct record_time){now.tv_sec, (int32_t)now.tv_nsec};
	return head && record_time_compare(time, head->time) < 0 ? head->time : time;
}

static int commit_record(struct database *database, struct commit_state *state, struct operator_log *log,
			 const struct ecdsa_private_key *key, struct record *record, struct buf *content,
			 struct buf *signature, struct fault *flt)
{
	struct committed_record entering = {0};
	int r = record_encode(record, content, flt);

	if (!r)
		r = record_sign(RECORD_OPERATOR, key, buf_span(content), signature, flt);
	if (r)
		return r;
	entering.log_id = name_operator_log_id();
	entering.record_id = record_id(RECORD_OPERATOR, buf_span(content));
	entering.envelope = (struct record_envelope){
		buf_span(content), *ecdsa_public_key_id(ecdsa_private_key_public(key)), buf_span(signature),
	};
	r = operator_log_append(log, &entering.envelope, flt);
	/* It is our own record: what is wrong is who signs it. */
	if (r == WARG_INVALID && flt)
		flt->kind = FAULT_DENIED, flt->verdict = WARG_UNDECIDED;
	return r ? r : commit_records(database, state, &entering, 1, key, (uint64_t)time(NULL), flt);
}

static int append_record(struct database *database, struct commit_state *state, struct operator_log *log,
			 const struct ecdsa_private_key *key, struct record_entry *entries, size_t count,
			 struct fault *flt)
{
	const struct log_head *head = operator_log_head(log);
	struct record record = {
		.kind = RECORD_OPERATOR, .has_prev = head, .time = time_after(head),
		.entries = entries, .entry_count = count,
	};
	struct buf content, signature;
	int r;

	if (head)
		record.prev = head->record_id;
	buf_init(&content, CAP_RECORD);
	buf_init(&signature, CAP_SIGNATURE_TEXT);
	r = commit_record(database, state, log, key, &record, &content, &signature, flt);
	buf_release(&content);
	buf_release(&signature);
	return r;
}

/* Checkpoints have to be signed by a key that may. */
static int check_key(const struct operator_log *log, const struct ecdsa_private_key *key, struct fault *flt)
{
	const struct digest *key_id = ecdsa_public_key_id(ecdsa_private_key_public(key));

	if (!log_keys_require(operator_log_keys(log), key_id, PERMISSION_COMMIT, NULL))
		return 0;
	return fault_undecided(flt, FAULT_DENIED, "the operator's key is not one of this registry: it was begun with "
			       "another");
}

int operator_records_ensure(struct database *database, struct commit_state *state, struct operator_log **log,
			    const struct ecdsa_private_key *key, const struct operator_wish *wishes, size_t count,
			    struct fault *flt)
{
	struct record_entry *entries = calloc(count + 1, sizeof(*entries));
	struct operator_log *next = NULL;
	size_t lacking = 0;
	int r = 0;

	if (!entries)
		return fault_no_memory(flt);
	if (operator_log_head(*log))
		r = check_key(*log, key, flt);
	if (!r)
		r = collect(*log, ecdsa_private_key_public(key), wishes, count, entries, &lacking, flt);
	if (!r && lacking)
		r = operator_log_copy(*log, &next, flt);
	if (!r && lacking)
		r = append_record(database, state, next, key, entries, lacking, flt);
	free(entries);
	if (r || !lacking) {
		operator_log_unref(next);
		return r;
	}
	operator_log_unref(*log);
	*log = next;
	return 0;
}
