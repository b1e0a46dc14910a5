/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Records of the operator's own log (see operator_records.h; protocol.md section 4).
 */
#include "operator_records.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/net/domain.h"
#include "statement.h"
#include "verify/name.h"

static int append_one(void *user, const struct published_record *record, struct fault *flt)
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
	r = published_walk_whole(database, &log_id, append_one, log, flt);
	if (r) {
		fault_at(flt, "the operator's log in the database");
		operator_log_unref(log);
	} else {
		*out = log;
	}
	return r;
}

/* ---- Damaged signatures ---- */

struct mending {
	struct database *database;
	struct operator_log *log;
	const struct ecdsa_private_key *key;
};

/* Sign a record again whose bytes match its id, if this key may sign it here. */
static int sign_anew(struct mending *mending, const struct published_record *record, struct fault *flt)
{
	static const char text[] = "UPDATE records SET signature = ?, key_id = ? WHERE registry_index = ?";
	struct record_envelope envelope = {.content = record->envelope.content};
	struct statement *statement;
	struct buf signature;
	int r;

	buf_init(&signature, CAP_SIGNATURE_TEXT);
	envelope.key_id = *ecdsa_public_key_id(ecdsa_private_key_public(mending->key));
	r = record_sign(RECORD_OPERATOR, mending->key, envelope.content, &signature, flt);
	envelope.signature = buf_span(&signature);
	if (!r)
		r = operator_log_append(mending->log, &envelope, flt);
	if (!r)
		r = statement_use(mending->database, text, &statement, flt);
	if (!r) {
		statement_put_span(statement, 1, envelope.signature);
		statement_put_digest(statement, 2, &envelope.key_id);
		statement_put_number(statement, 3, record->registry_index);
		r = statement_run(statement, flt);
	}
	buf_release(&signature);
	return r;
}

static int mend_one(void *user, const struct published_record *record, struct fault *flt)
{
	struct mending *mending = user;
	struct fault own = {0};
	int r = operator_log_append(mending->log, &record->envelope, &own);

	if (r == WARG_INVALID)
		return sign_anew(mending, record, flt);
	if (r)
		*flt = own;
	return r;
}

int operator_records_mend(struct database *database, const struct ecdsa_private_key *key, struct operator_log **out,
			  struct fault *flt)
{
	const struct digest log_id = name_operator_log_id();
	struct mending mending = {database, NULL, key};
	int r = operator_log_new(&mending.log, flt);

	if (!r)
		r = database_begin(database, flt);
	if (!r)
		r = published_walk_whole(database, &log_id, mend_one, &mending, flt);
	if (!r)
		r = database_commit(database, flt);
	if (!r) {
		*out = mending.log;
		return 0;
	}
	database_rollback(database);
	operator_log_unref(mending.log);
	return r;
}

/* ---- What lacks ---- */

/*
 * A signed namespace cannot be taken back, so check it with the function that clients read it with.
 * @param domain  of an imported namespace, as written in the record; "" for others
 */
static int read_domain(const struct operator_wish *wish, char domain[static CAP_DOMAIN + 1], struct fault *flt)
{
	struct fault own = {0};
	int r;

	*domain = 0;
	if (!wish->registry)
		return 0;
	r = domain_read(span_of_text(wish->registry), domain, &own);
	if (r == WARG_UNDECIDED)
		*flt = own;
	else if (r)
		r = fault_undecided(flt, FAULT_MISUSE, "the namespace %.100s: %s", wish->name, own.what);
	return r;
}

static bool is_same_domain(const char *there, const char *domain)
{
	char normal[CAP_DOMAIN + 1];

	return !strcmp(there, domain) ||
	       (!domain_read(span_of_text(there), normal, NULL) && !strcmp(normal, domain));
}

static int check_wish(const struct operator_log *log, const struct operator_wish *wish, char *domain, bool *lacks,
		      struct fault *flt)
{
	const struct operator_namespace *there = operator_log_find(log, span_of_text(wish->name));

	*lacks = !there;
	/* Namespaces signed before this check existed stay. */
	if (there && there->registry && wish->registry && !strcmp(there->registry, wish->registry))
		return 0;
	if (read_domain(wish, domain, flt))
		return flt->verdict;
	if (!name_is_part(span_of_text(wish->name)))
		return fault_undecided(flt, FAULT_MISUSE, "'%.100s' is not a namespace: lowercase words joined by '-'",
				       wish->name);
	if (!there || (!there->registry && !wish->registry))
		return 0;
	if (there->registry && wish->registry && is_same_domain(there->registry, domain))
		return 0;
	if (there->registry)
		return fault_undecided(flt, FAULT_MISUSE, "the namespace %s is imported from %.150s already, and stays "
				       "so",
				       wish->name, there->registry);
	return fault_undecided(flt, FAULT_MISUSE, "the namespace %s is defined here already, and stays so", wish->name);
}

/* @param before  whether the same wish precedes it */
static int check_before(const struct operator_wish *wishes, char (*domains)[CAP_DOMAIN + 1], size_t place, bool *before,
			struct fault *flt)
{
	*before = false;
	for (size_t i = 0; i < place; i++) {
		if (strcmp(wishes[i].name, wishes[place].name))
			continue;
		*before = true;
		if (strcmp(domains[i], domains[place]))
			return fault_undecided(flt, FAULT_MISUSE, "the namespace %.100s is given twice, with different "
					       "registries",
					       wishes[i].name);
	}
	return 0;
}

/* @param entries  has room for one more than the wishes; borrows from `domains`, which has room for as many */
static int collect(const struct operator_log *log, struct ecdsa_public_key *key, const struct operator_wish *wishes,
		   size_t count, char (*domains)[CAP_DOMAIN + 1], struct record_entry *entries, size_t *entry_count,
		   struct fault *flt)
{
	bool lacks = false, is_before = false;
	int r = 0;

	*entry_count = 0;
	if (!operator_log_head(log))
		entries[(*entry_count)++] = (struct record_entry){
			.type = ENTRY_INIT, .key = span_of_text(ecdsa_public_key_text(key)),
		};
	for (size_t i = 0; i < count && !r; i++) {
		r = check_wish(log, &wishes[i], domains[i], &lacks, flt);
		if (!r)
			r = check_before(wishes, domains, i, &is_before, flt);
		if (r || !lacks || is_before)
			continue;
		entries[(*entry_count)++] = (struct record_entry){
			.type = wishes[i].registry ? ENTRY_IMPORT_NAMESPACE : ENTRY_DEFINE_NAMESPACE,
			.namespace = span_of_text(wishes[i].name),
			.registry = span_of_text(domains[i]),
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

static int commit_record(struct database *database, struct append_state *state, struct operator_log *log,
			 const struct ecdsa_private_key *key, struct record *record, struct buf *content,
			 struct buf *signature, struct fault *flt)
{
	struct published_record entering = {0};
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
	return r ? r : append_records(database, state, &entering, 1, key, (uint64_t)time(NULL), flt);
}

static int append_record(struct database *database, struct append_state *state, struct operator_log *log,
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

int operator_records_ensure(struct database *database, struct append_state *state, struct operator_log **log,
			    const struct ecdsa_private_key *key, const struct operator_wish *wishes, size_t count,
			    struct fault *flt)
{
	struct record_entry *entries = calloc(count + 1, sizeof(*entries));
	char (*domains)[CAP_DOMAIN + 1] = calloc(count + 1, sizeof(*domains));
	struct operator_log *next = NULL;
	size_t lacking = 0;
	int r = entries && domains ? 0 : fault_no_memory(flt);

	if (!r && operator_log_head(*log))
		r = check_key(*log, key, flt);
	if (!r)
		r = collect(*log, ecdsa_private_key_public(key), wishes, count, domains, entries, &lacking,
			    flt);
	if (!r && lacking)
		r = operator_log_copy(*log, &next, flt);
	if (!r && lacking)
		r = append_record(database, state, next, key, entries, lacking, flt);
	free(entries);
	free(domains);
	if (r || !lacking) {
		operator_log_unref(next);
		return r;
	}
	operator_log_unref(*log);
	*log = next;
	return 0;
}
