/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * From what is to be published to a signed record in the journal: everything that can be told before anything is sent
 * is told here (see publish_parts.h).
 */
#include "publish_parts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/base/nearest.h"

/* ---- What the record is to stand on ---- */

/** The package's log as it will be when what is on its way has come. */
struct publish_base {
	struct package_log *log; /* ours to append to */
	struct view *view;
	const struct view_package *package; /* NULL: none is proven */
	bool is_recalled; /* as of a recent round, not of one for it */
	bool is_chained;
};

static void publish_base_release(struct publish_base *base)
{
	package_log_unref(base->log);
	view_unref(base->view);
}

/** Records of the package that are in the journal and have been accepted. */
struct chain {
	struct journal_entry *entries;
	size_t count;
};

static void chain_release(struct chain *chain)
{
	for (size_t i = 0; i < chain->count; i++)
		journal_entry_release(&chain->entries[i]);
	free(chain->entries);
}

/* Before the view is brought up to date: what leaves the journal meanwhile is in the view then. */
static int load_chain(const struct publication *publication, struct chain *out, struct fault *flt)
{
	struct journal *journal = publication->publisher->journal;
	struct digest *ids = NULL;
	size_t count = 0;
	int r = journal_list(journal, &ids, &count, flt);

	*out = (struct chain){0};
	if (!r && count) {
		out->entries = calloc(count, sizeof(*out->entries));
		if (!out->entries)
			r = fault_no_memory(flt);
	}
	for (size_t i = 0; !r && i < count; i++) {
		struct journal_entry *entry = &out->entries[out->count];
		bool found = false;

		/* One that does not read is not accepted, for all that we know. */
		if (journal_load_of(journal, &ids[i], &publication->name, entry, &found, NULL) || !found)
			continue;
		if (entry->stage == JOURNAL_ACCEPTED &&
		    !(publication->has_entry && digest_equals(&ids[i], &publication->entry.record.id))) {
			out->count++;
		} else {
			journal_entry_release(entry);
			*entry = (struct journal_entry){0};
		}
	}
	free(ids);
	return r;
}

static bool stands_on(const struct record *record, const struct log_head *head)
{
	return record->has_prev ? head && digest_equals(&record->prev, &head->record_id) : !head;
}

/* Whether the registry says that it is still on its way into the log. */
static bool is_coming(const struct publisher *publisher, const struct journal_entry *entry)
{
	struct api_record_state state;
	bool coming;

	if (api_fetch_record(&publisher->api, publisher_deadline(publisher), &entry->name, &entry->record.id, NULL,
			     &state, NULL))
		return false;
	coming = state.status == API_RECORD_PROCESSING || state.status == API_RECORD_PUBLISHED;
	api_record_state_release(&state);
	return coming;
}

/* Append those that stand one on the other. */
static void append_chain(const struct publisher *publisher, const struct chain *chain, struct publish_base *base)
{
	size_t i = 0;

	while (i < chain->count) {
		const struct journal_entry *entry = &chain->entries[i++];
		const struct record_envelope envelope = journal_entry_envelope(entry);

		if (!stands_on(&entry->record, package_log_head(base->log)) || !is_coming(publisher, entry) ||
		    package_log_append(base->log, &envelope, NULL))
			continue;
		base->is_chained = true;
		i = 0;
	}
}

/* @param recall  a recent round will do */
static int load_base(struct publication *publication, bool recall, struct publish_base *out, struct fault *flt)
{
	struct publisher *publisher = publication->publisher;
	struct chain chain;
	bool absent = false;
	int r = load_chain(publication, &chain, flt);

	*out = (struct publish_base){0};
	out->is_recalled = recall && !publication->is_dead && publisher_recall(publisher, &publication->name, &absent);
	if (!r && !out->is_recalled)
		r = publisher_update(publisher, &publication->name, &absent, flt);
	if (r)
		goto end;
	out->view = registry_view(publisher->options.registry);
	out->package = absent ? NULL : view_find(out->view, &publication->name);
	r = out->package ? package_log_copy(out->package->log, &out->log, flt) :
			   package_log_new(&publication->name, &out->log, flt);
	if (r)
		goto end;
	publication->had_head = out->package != NULL;
	if (out->package)
		publication->head = package_log_head(out->package->log)->record_id;
	/* Who was refused on top of what is not proven waits until it is. */
	if (!publication->is_dead)
		append_chain(publisher, &chain, out);
end:
	chain_release(&chain);
	if (r)
		publish_base_release(out);
	return r;
}

/* ---- Checks ---- */

static int no_namespace(const struct operator_log *operator, struct span text, struct fault *flt)
{
	struct nearest meant = {.typed = (const char *)text.data, .length = text.length};
	const struct operator_namespace *namespaces;
	size_t count;

	namespaces = operator_log_namespaces(operator, &count);
	for (size_t i = 0; i < count; i++)
		nearest_offer(&meant, namespaces[i].name);
	fault_undecided(flt, FAULT_ABSENT, "the registry's operator has no namespace %.*s", (int)text.length,
			(const char *)text.data);
	if (meant.word)
		fault_add(flt, "did you mean '%.100s'?", meant.word);
	return WARG_UNDECIDED;
}

static int check_namespace(const struct publication *publication, const struct publish_base *base, struct fault *flt)
{
	struct span text = name_namespace(&publication->name);
	const struct operator_namespace *namespace = operator_log_find(base->view->operator, text);

	if (!namespace)
		return no_namespace(base->view->operator, text, flt);
	if (namespace->registry)
		return fault_undecided(flt, FAULT_REFUSED, "the namespace %s lives in the registry %.150s",
				       namespace->name, namespace->registry);
	return 0;
}

/* Whether an entry before this one releases the version. */
static bool releases(const struct pending *what, size_t end, const char *version)
{
	for (size_t i = 0; i < end; i++)
		if (what->entries[i].type == ENTRY_RELEASE && !strcmp(what->entries[i].version, version))
			return true;
	return false;
}

static int check_version(const struct pending *what, size_t at, const struct package_log *log, struct fault *flt)
{
	const struct pending_entry *entry = &what->entries[at];
	const struct package_release *release = package_log_find(log, span_of_text(entry->version));

	if (entry->type == ENTRY_RELEASE && release)
		return fault_undecided(flt, FAULT_EXISTS, "version %s was released already%s", entry->version,
				       release->yank ? ", and yanked" : "");
	if (entry->type == ENTRY_YANK && !release && !releases(what, at, entry->version))
		return fault_undecided(flt, FAULT_ABSENT, "there is no version %s", entry->version);
	if (entry->type == ENTRY_YANK && release && release->yank)
		return fault_undecided(flt, FAULT_EXISTS, "version %s is yanked already", entry->version);
	return 0;
}

/* Whether the record has to begin with an init. */
static int check_init(const struct publication *publication, const struct publish_base *base, bool *init,
		      struct fault *flt)
{
	const struct pending *what = publication->what;
	bool asked = what->count && what->entries[0].type == ENTRY_INIT;

	if (package_log_head(base->log)) {
		*init = false;
		if (asked && what->count == 1)
			return fault_undecided(flt, FAULT_EXISTS, "the package exists already");
		return 0;
	}
	*init = true;
	if (!asked && !publication->publisher->options.auto_init)
		return fault_undecided(flt, FAULT_ABSENT, "there is no such package: it has to be initialized first");
	return 0;
}

static int check_contents(const struct publication *publication, const struct publish_base *base, bool *init,
			  struct fault *flt)
{
	const struct pending *what = publication->what;
	int r = check_namespace(publication, base, flt);

	if (!r && !what->count)
		r = fault_undecided(flt, FAULT_ABSENT, "it has no entries: there is nothing to publish");
	for (size_t i = 0; !r && i < what->count; i++)
		r = check_version(what, i, base->log, flt);
	return r ? r : check_init(publication, base, init, flt);
}

static unsigned needed(const struct pending_entry *entry)
{
	switch (entry->type) {
	case ENTRY_RELEASE:
		return PERMISSION_RELEASE;
	case ENTRY_YANK:
		return PERMISSION_YANK;
	case ENTRY_GRANT_FLAT:
	case ENTRY_REVOKE_FLAT:
		return entry->permissions;
	default:
		return 0;
	}
}

/* @param init  the record makes the key the first one, which may do everything */
static int check_permissions(const struct publication *publication, const struct publish_base *base, bool init,
			     struct fault *flt)
{
	const struct ecdsa_public_key *key = ecdsa_private_key_public(publication->key);
	const struct log_key *known = log_keys_find(package_log_keys(base->log), ecdsa_public_key_id(key));
	const char *may, *option;
	unsigned lacks = 0;
	char text[DIGEST_TEXT_SIZE];

	if (init)
		return 0;
	for (size_t i = 0; i < publication->what->count; i++)
		lacks |= needed(&publication->what->entries[i]) & ~(known ? known->permissions : 0);
	if (!lacks)
		return 0;
	digest_format(ecdsa_public_key_id(key), text);
	may = lacks == PERMISSIONS_PACKAGE ? "release and yank" : pending_permission_name(lacks);
	option = lacks == PERMISSIONS_PACKAGE ? "release,yank" : may;
	return fault_undecided(flt, FAULT_DENIED, "the key %s is not allowed to %s there. An owner of the package may "
			       "grant it: wargfs publish grant %.100s --permission %s %s", text, may,
			       publication->name.text, option, ecdsa_public_key_text(key));
}

/* ---- The record ---- */

/* The later of now and the head's: one from the past would not be valid. @param ahead  by how much that is later */
static struct record_time record_time(const struct log_head *head, int64_t *now, int64_t *ahead)
{
	struct timespec clock;
	struct record_time time;

	clock_gettime(CLOCK_REALTIME, &clock);
	time = (struct record_time){clock.tv_sec, (int32_t)clock.tv_nsec};
	*now = clock.tv_sec;
	*ahead = 0;
	if (!head || record_time_compare(time, head->time) >= 0)
		return time;
	*ahead = head->time.seconds - time.seconds;
	return head->time;
}

static struct record_entry record_entry(const struct pending_entry *entry)
{
	return (struct record_entry){
		.type = entry->type,
		.permissions = entry->permissions,
		.key = span_of_text(entry->key),
		.key_id = entry->key_id,
		.version = span_of_text(entry->version),
		.content = entry->content,
	};
}

/* @param out  free() its entries */
static int lay_out(const struct publication *publication, bool init, struct record *out, struct fault *flt)
{
	const struct ecdsa_public_key *key = ecdsa_private_key_public(publication->key);
	const struct pending *what = publication->what;

	out->entries = calloc(what->count + 1, sizeof(*out->entries));
	if (!out->entries)
		return fault_no_memory(flt);
	if (init)
		out->entries[out->entry_count++] = (struct record_entry){
			.type = ENTRY_INIT,
			.key = span_of_text(ecdsa_public_key_text(key)),
			.key_id = *ecdsa_public_key_id(key),
		};
	for (size_t i = 0; i < what->count; i++)
		if (what->entries[i].type != ENTRY_INIT)
			out->entries[out->entry_count++] = record_entry(&what->entries[i]);
	return 0;
}

static int encode(const struct publication *publication, const struct publish_base *base, bool init,
		  struct journal_entry *out, int64_t *ahead, struct fault *flt)
{
	const struct log_head *head = package_log_head(base->log);
	struct record record = {.kind = RECORD_PACKAGE, .has_prev = head != NULL};
	int r = lay_out(publication, init, &record, flt);

	if (head)
		record.prev = head->record_id;
	record.time = record_time(head, &out->signed_at, ahead);
	if (out->signed_at < 0)
		out->signed_at = 0;
	buf_init(&out->content, CAP_RECORD);
	if (!r)
		r = record_encode(&record, &out->content, flt);
	free(record.entries);
	return r;
}

static int sign(const struct publication *publication, struct journal_entry *out, struct fault *flt)
{
	const struct ecdsa_public_key *key = ecdsa_private_key_public(publication->key);
	struct buf signature;
	int r;

	strcpy(out->key, ecdsa_public_key_text(key));
	buf_init(&signature, CAP_SIGNATURE_TEXT);
	r = record_sign(RECORD_PACKAGE, publication->key, buf_span(&out->content), &signature, flt);
	if (!r) {
		memcpy(out->signature, signature.data, signature.length);
		out->signature[signature.length] = '\0';
	}
	buf_release(&signature);
	return r ? r : journal_entry_complete(out, flt);
}

/* What no log could have is the doing of who asked for it: the log is what it is. */
static int try_out(const struct publish_base *base, const struct journal_entry *entry, struct fault *flt)
{
	const struct record_envelope envelope = journal_entry_envelope(entry);
	bool has_more = entry->record.entry_count > 1;
	struct fault own = {0};
	int r = package_log_append(base->log, &envelope, &own);

	/* Of one entry, which one goes without saying. */
	if (r == WARG_INVALID)
		return fault_undecided(flt, FAULT_MISUSE, "%.100s%s%s", has_more ? own.where : "",
				       has_more && own.where[0] ? ": " : "", own.what);
	if (r && flt && !flt->verdict)
		*flt = own;
	return r;
}

/* As long as it takes to sign, and no longer: what comes then may take minutes. */
static int find_key(struct publication *publication, struct fault *flt)
{
	const struct publisher_options *options = &publication->publisher->options;

	return options->find_key(options->user, &publication->key, flt);
}

static void forget_key(struct publication *publication)
{
	ecdsa_private_key_free(publication->key);
	publication->key = NULL;
}

/* @param out  journal_entry_release() it on success */
static int make_entry(struct publication *publication, const struct publish_base *base, struct journal_entry *out,
		      int64_t *ahead, struct fault *flt)
{
	struct journal_entry entry = {
		.name = publication->name,
		.stage = JOURNAL_SENT, /* it will be, the next moment */
		.from_pending = publication->what->is_stored,
		.pending = publication->what->text,
		.replaces = publication->has_entry,
	};
	bool init = false;
	int r = check_contents(publication, base, &init, flt);

	if (publication->has_entry)
		entry.replaced = publication->entry.record.id;
	if (!r)
		r = find_key(publication, flt);
	if (!r)
		r = check_permissions(publication, base, init, flt);
	if (!r)
		r = encode(publication, base, init, &entry, ahead, flt);
	if (!r)
		r = sign(publication, &entry, flt);
	forget_key(publication);
	if (!r)
		r = try_out(base, &entry, flt);
	if (r)
		journal_entry_release(&entry);
	else
		*out = entry;
	return r;
}

/* ---- The journal ---- */

/* The new record is in the journal in the place of the one before, if there was one. */
static int enter(struct publication *publication, struct journal_entry *entry, struct fault *flt)
{
	struct journal *journal = publication->publisher->journal;
	struct journal_claim claim = {.fd = -1};
	bool had = false;
	int r = journal_claim(journal, &entry->record.id, &claim, &had, flt);

	if (!r && !had)
		r = fault_undecided(flt, FAULT_EXISTS, "the very record is being published by another program");
	if (!r)
		r = journal_put(journal, &claim, entry, flt);
	if (r) {
		/* It may be there for all that: it was not sent, and is to go. */
		if (had)
			journal_remove(journal, &claim, NULL);
		journal_end_claim(journal, &claim);
		journal_entry_release(entry);
		return r;
	}
	/* Failing that, the entry says by itself that the other one is nobody's. */
	if (publication->has_entry)
		publication_forget(publication, NULL);
	publication_take(publication, entry, &claim);
	publication->is_unsent = true;
	return 0;
}

static int sign_anew(struct publication *publication, const struct publish_base *base, struct fault *flt)
{
	struct journal_entry entry;
	int64_t ahead = 0;
	int r = make_entry(publication, base, &entry, &ahead, flt);

	if (!r)
		r = enter(publication, &entry, flt);
	if (r)
		return r;
	publication->is_chained = base->is_chained;
	publication->result.ahead = ahead;
	return 0;
}

bool publication_is_in(const struct publication *publication, const struct view_package *package)
{
	const struct record *record = &publication->entry.record;

	if (!package)
		return false;
	if (digest_equals(&package_log_head(package->log)->record_id, &record->id))
		return true;
	for (size_t i = 0; i < record->entry_count; i++) {
		const struct record_entry *entry = &record->entries[i];
		const struct package_release *release =
			entry->type == ENTRY_RELEASE ? package_log_find(package->log, entry->version) : NULL;

		if (release && digest_equals(&release->record_id, &record->id))
			return true;
	}
	return false;
}

/* @param published  as publication_make_valid() */
static int make_valid(struct publication *publication, const struct publish_base *base, bool *published,
		      struct fault *flt)
{
	struct fault own = {0};
	int r = 0;

	*published = publication->has_entry && publication_is_in(publication, base->package);
	if (*published)
		return 0;
	if (publication->has_entry && !publication->is_dead) {
		r = try_out(base, &publication->entry, &own);
		publication->is_dead = own.kind == FAULT_MISUSE && !base->is_recalled;
		publication->is_chained = base->is_chained;
		if (!publication->is_dead)
			fault_pass(&own, flt);
	}
	if (publication->has_entry && !publication->is_dead)
		return r;
	return sign_anew(publication, base, flt);
}

/* Refusals that records which came since a round may have made untrue: of versions, of keys, of namespaces. */
static bool may_be_outdated(const struct fault *flt)
{
	return flt->kind == FAULT_ABSENT || flt->kind == FAULT_DENIED || flt->kind == FAULT_REFUSED ||
	       flt->kind == FAULT_MISUSE;
}

int publication_make_valid(struct publication *publication, bool *published, struct fault *flt)
{
	for (bool recall = true;; recall = false) {
		struct fault own = {0};
		struct publish_base base;
		int r = load_base(publication, recall, &base, flt);

		if (r)
			return r;
		r = make_valid(publication, &base, published, &own);
		publish_base_release(&base);
		if (r && base.is_recalled && may_be_outdated(&own))
			continue;
		fault_pass(&own, flt);
		return r;
	}
}
