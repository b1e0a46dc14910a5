/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What becomes of records that are sent, and of contents that come: write_thread.h, record_state.h, waiting.h. */
#include <setjmp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "forge.h"
#include "scratch.h"
#include "server/write_thread.h"
#include "server/database_parts.h"
#include "server/operator_records.h"
#include "server/package_names.h"
#include "server/record_state.h"
#include "server/statement.h"

#define MOST 16

static char *folder;
static struct database *database, *reading;
static struct operator_log *operator;
static struct ecdsa_private_key *key, *publisher;
static struct write_thread *committer;
static struct append_state told; /* by the committer, last */
static unsigned tellings;

/* What the committer asks about. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct digest contents[MOST];
static size_t content_count;
static bool uploading;
static struct fault set_aside; /* the last fault reported */

static void stands(void *user, const struct append_state *state)
{
	(void)user;
	pthread_mutex_lock(&mutex);
	told = *state;
	tellings++;
	pthread_mutex_unlock(&mutex);
}

static bool is_uploading(void *user, const struct digest *record_id)
{
	bool is;

	(void)user;
	(void)record_id;
	pthread_mutex_lock(&mutex);
	is = uploading;
	pthread_mutex_unlock(&mutex);
	return is;
}

static bool has_content(void *user, const struct digest *content)
{
	bool has = false;

	(void)user;
	pthread_mutex_lock(&mutex);
	for (size_t i = 0; i < content_count; i++)
		has = has || digest_equals(&contents[i], content);
	pthread_mutex_unlock(&mutex);
	return has;
}

static void failed(void *user, const struct fault *flt)
{
	(void)user;
	pthread_mutex_lock(&mutex);
	set_aside = *flt;
	pthread_mutex_unlock(&mutex);
}

static uint64_t count_arrivals(void *user)
{
	uint64_t count;

	(void)user;
	pthread_mutex_lock(&mutex);
	count = content_count;
	pthread_mutex_unlock(&mutex);
	return count;
}

static void add_content(const char *text)
{
	pthread_mutex_lock(&mutex);
	contents[content_count++] = digest_of(span_of_text(text));
	pthread_mutex_unlock(&mutex);
}

static void start(void)
{
	const struct write_thread_host host = {
		.stands = stands,
		.is_uploading = is_uploading,
		.failed = failed,
		.has_content = has_content,
		.arrivals = count_arrivals,
	};
	struct append_state state;

	assert_int_equal(append_load(database, &state, NULL), 0);
	assert_int_equal(operator_records_load(database, &operator, NULL), 0);
	assert_int_equal(operator_records_ensure(database, &state, &operator, key,
						 &(struct operator_wish){"test", NULL}, 1, NULL),
			 0);
	told = state;
	assert_int_equal(write_thread_start(database, &state, key, &host, &committer, NULL), 0);
}

static void stop(void)
{
	write_thread_stop(committer);
	operator_log_unref(operator);
}

static int set_up(void **state)
{
	(void)state;
	folder = scratch_new();
	content_count = 0;
	uploading = false;
	tellings = 0;
	key = forge_key(1);
	publisher = forge_key(2);
	assert_int_equal(database_open(scratch_path(folder, "data"), &database, NULL), 0);
	start();
	assert_int_equal(database_open_reading(scratch_path(folder, "data"), &reading, NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	stop();
	database_close(reading);
	database_close(database);
	ecdsa_private_key_free(key);
	ecdsa_private_key_free(publisher);
	scratch_free(folder);
	return 0;
}

/* ---- Jobs ---- */

/* A record that is sent, and who waits for what comes of it. */
struct sent {
	struct write_thread_job job;
	struct forge_record record;
	struct digest releases[MOST];
	bool is_done;
};

static pthread_cond_t done_once = PTHREAD_COND_INITIALIZER;

static void done(struct write_thread_job *job)
{
	pthread_mutex_lock(&mutex);
	((struct sent *)job)->is_done = true;
	pthread_cond_broadcast(&done_once);
	pthread_mutex_unlock(&mutex);
}

static void await(struct sent *sent)
{
	pthread_mutex_lock(&mutex);
	while (!sent->is_done)
		pthread_cond_wait(&done_once, &mutex);
	pthread_mutex_unlock(&mutex);
}

/* @param prev  NULL: the first of its package */
static void make(struct sent *sent, const char *name, const struct sent *prev, const struct record_entry *entries,
		 size_t count, const struct ecdsa_private_key *signer)
{
	struct record_entry own[MOST];
	struct record record = {
		.kind = RECORD_PACKAGE,
		.has_prev = prev,
		.time = {1700000000, 0},
		.entries = own,
		.entry_count = count,
	};

	memset(sent, 0, sizeof(*sent));
	if (prev)
		record.prev = prev->record.id;
	memcpy(own, entries, count * sizeof(*entries));
	forge_record(RECORD_PACKAGE, &record, signer, &sent->record);
	sent->job = (struct write_thread_job){
		.task = WRITE_THREAD_SUBMIT,
		.name = forge_name(name),
		.done = done,
		.contents = sent->releases,
	};
	sent->job.record = (struct published_record){
		.log_id = name_log_id(&sent->job.name),
		.record_id = sent->record.id,
		.envelope = forge_envelope(&sent->record),
	};
	for (size_t i = 0; i < count; i++) {
		bool known = entries[i].type != ENTRY_RELEASE;

		for (size_t j = 0; j < sent->job.content_count; j++)
			known = known || digest_equals(&sent->releases[j], &entries[i].content);
		if (!known)
			sent->releases[sent->job.content_count++] = entries[i].content;
	}
}

/* Send it, and look at what comes of it. @return as its standing says; -1: it was refused */
static int send_it(struct sent *sent)
{
	sent->is_done = false;
	write_thread_give(committer, &sent->job);
	await(sent);
	assert_int_equal(sent->job.verdict, 0);
	return sent->job.refusal ? -1 : 0;
}

static struct record_state standing_of(const struct sent *sent)
{
	struct record_state standing = {0};
	bool has_log;

	assert_int_equal(record_state_read(reading, &sent->job.record.log_id, &sent->job.record.record_id, &standing,
					   &has_log, NULL),
			 0);
	return standing;
}

static void expect(const struct sent *sent, enum record_state_state state, uint64_t number)
{
	struct record_state standing = standing_of(sent);

	assert_int_equal(standing.state, state);
	if (state == RECORD_STATE_PUBLISHED)
		assert_int_equal(standing.registry_index, number);
	if (state == RECORD_STATE_SOURCING)
		assert_int_equal(standing.missing_count, number);
	record_state_release(&standing);
}

static void arrive(const char *text)
{
	struct sent sent = {
		.job = {.task = WRITE_THREAD_ARRIVE, .content = digest_of(span_of_text(text)), .done = done}};

	add_content(text);
	assert_int_equal(send_it(&sent), 0);
}

/* ---- Tests ---- */

static void published_at_once(void **state)
{
	const struct record_entry entries[] = {forge_init(publisher), forge_release("1.0.0", "a")};
	struct sent sent;

	(void)state;
	add_content("a");
	make(&sent, "test:a", NULL, entries, 2, publisher);
	assert_int_equal(send_it(&sent), 0);
	expect(&sent, RECORD_STATE_PUBLISHED, 1);
	assert_int_equal(told.roots.length, 2);
	assert_int_equal(checkpoint_verify(&told.last.checkpoint, operator, NULL), 0);
	/* Once more: nothing happens. */
	assert_int_equal(send_it(&sent), 0);
	assert_int_equal(told.roots.length, 2);
	forge_record_release(&sent.record);
}

static void contents_come(void **state)
{
	const struct record_entry entries[] = {
		forge_init(publisher),	     forge_release("1.0.0", "a"), forge_release("1.1.0", "b"),
		forge_release("1.2.0", "a"), forge_release("1.3.0", "c"),
	};
	struct sent sent;

	(void)state;
	add_content("c");
	make(&sent, "test:a", NULL, entries, 5, publisher);
	assert_int_equal(send_it(&sent), 0);
	expect(&sent, RECORD_STATE_SOURCING, 2);
	arrive("b");
	expect(&sent, RECORD_STATE_SOURCING, 1);
	arrive("nobody waits for this");
	expect(&sent, RECORD_STATE_SOURCING, 1);
	assert_int_equal(tellings, 0);
	arrive("a");
	expect(&sent, RECORD_STATE_PUBLISHED, 1);
	assert_int_equal(tellings, 1);
	forge_record_release(&sent.record);
}

/* Missing contents are not looked for again unless an upload completed since; present ones are. */
static void looked_for_before(void **state)
{
	static const struct {
		bool was_missing[3], is_late;
		uint64_t lacking; /* of "a" and "b", which are stored, and "c", which is not */
	} rows[] = {
		{{false, false, true}, false, 1},  {{true, false, true}, false, 2},  {{true, true, true}, true, 1},
		{{false, false, false}, false, 1}, {{false, false, false}, true, 1},
	};
	const struct record_entry entries[] = {
		forge_init(publisher),
		forge_release("1.0.0", "a"),
		forge_release("1.1.0", "b"),
		forge_release("1.2.0", "c"),
	};
	char name[16];

	(void)state;
	add_content("a");
	add_content("b");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sent sent;

		snprintf(name, sizeof(name), "test:p%zu", i);
		make(&sent, name, NULL, entries, 4, publisher);
		sent.job.are_missing = rows[i].was_missing;
		sent.job.arrivals = content_count - rows[i].is_late;
		assert_int_equal(send_it(&sent), 0);
		expect(&sent, RECORD_STATE_SOURCING, rows[i].lacking);
		forge_record_release(&sent.record);
	}
}

static void against_the_rules(void **state)
{
	const struct record_entry first[] = {forge_init(publisher), forge_release("1.0.0", "a")};
	const struct record_entry twice[] = {forge_release("1.0.0", "a")}, later[] = {forge_release("2.0.0", "z")};
	struct ecdsa_private_key *stranger = forge_key(9);
	struct sent one, two, three, four;
	struct record_state standing;

	(void)state;
	add_content("a");
	make(&one, "test:a", NULL, first, 2, publisher);
	send_it(&one);
	make(&two, "test:a", &one, twice, 1, publisher);
	assert_int_equal(send_it(&two), 0);
	standing = standing_of(&two);
	assert_int_equal(standing.state, RECORD_STATE_REJECTED);
	assert_non_null(strstr(standing.reason, "1.0.0"));
	/* A stranger's is not even remembered. */
	make(&three, "test:a", &one, later, 1, stranger);
	assert_int_equal(send_it(&three), -1);
	assert_int_equal(three.job.refusal, WRITE_THREAD_UNAUTHORIZED);
	assert_int_not_equal(record_state_read(reading, &three.job.record.log_id, &three.job.record.record_id,
					       &standing, &(bool){0}, NULL),
			     0);
	/* One that was changed on its way. */
	make(&four, "test:a", &one, later, 1, publisher);
	four.record.signature[30] ^= 1;
	assert_int_equal(send_it(&four), -1);
	assert_int_equal(four.job.refusal, WRITE_THREAD_UNAUTHORIZED);
	assert_int_equal(told.roots.length, 2);
	ecdsa_private_key_free(stranger);
	forge_record_release(&one.record);
	forge_record_release(&two.record);
	forge_record_release(&three.record);
	forge_record_release(&four.record);
}

/* A wrong signature or signer is reported before any other fault of a record. */
static void signature_first(void **state)
{
	static const char *const names[] = {"test:a", "test:new"};
	struct ecdsa_private_key *stranger = forge_key(9);
	const struct record_entry first[] = {forge_init(publisher)}, wrong[] = {forge_yank("1.0.0")};
	const struct record_entry theirs[] = {forge_init(stranger)};
	const struct {
		const struct record_entry *entries;
		const struct ecdsa_private_key *signer;
		bool has_prev, is_changed;
		const char *said;
	} rows[] = {
		{wrong, publisher, true, true, "signature `ecdsa-p256:"},
		{wrong, publisher, false, true, "` verification failed"},
		{wrong, stranger, true, false, "unknown key id `sha256:"},
		{theirs, stranger, false, false, "unknown key id `sha256:"},
	};
	struct sent one, sent;

	(void)state;
	make(&one, "test:a", NULL, first, 1, publisher);
	send_it(&one);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		make(&sent, names[0], rows[i].has_prev ? &one : NULL, rows[i].entries, 1, rows[i].signer);
		if (rows[i].is_changed)
			memcpy(sent.record.signature, one.record.signature, sizeof(sent.record.signature));
		assert_int_equal(send_it(&sent), -1);
		assert_int_equal(sent.job.refusal, WRITE_THREAD_UNAUTHORIZED);
		assert_non_null(strstr(sent.job.fault.what, rows[i].said));
		forge_record_release(&sent.record);
	}
	/* A new package has no known key. */
	make(&sent, names[1], &one, wrong, 1, publisher);
	assert_int_equal(send_it(&sent), -1);
	assert_non_null(strstr(sent.job.fault.what, "unknown key id `sha256:"));
	forge_record_release(&sent.record);
	forge_record_release(&one.record);
	ecdsa_private_key_free(stranger);
}

static void set_since(uint64_t since)
{
	struct statement *statement;

	assert_int_equal(statement_use(database, "UPDATE submitted SET since = ?", &statement, NULL), 0);
	statement_put_number(statement, 1, since);
	assert_int_equal(statement_run(statement, NULL), 0);
}

static void the_place_of_a_package(void **state)
{
	const struct record_entry first[] = {forge_init(publisher), forge_release("1.0.0", "a")};
	const struct record_entry other[] = {forge_init(publisher)};
	struct sent one, two;
	struct record_state standing;

	(void)state;
	make(&one, "test:a", NULL, first, 2, publisher);
	make(&two, "test:a", NULL, other, 1, publisher);
	send_it(&one);
	assert_int_equal(send_it(&two), -1);
	assert_int_equal(two.job.refusal, WRITE_THREAD_CONFLICT);
	assert_true(digest_equals(&two.job.other, &one.record.id));
	/* It waited for long, but something comes. */
	stop();
	set_since((uint64_t)time(NULL) - WRITE_THREAD_PATIENCE - 1);
	start();
	uploading = true;
	assert_int_equal(send_it(&two), -1);
	assert_int_equal(two.job.refusal, WRITE_THREAD_CONFLICT);
	/* And now nothing does. */
	uploading = false;
	assert_int_equal(send_it(&two), 0);
	expect(&two, RECORD_STATE_PUBLISHED, 1);
	standing = standing_of(&one);
	assert_int_equal(standing.state, RECORD_STATE_REJECTED);
	assert_non_null(strstr(standing.reason, "took its place"));
	forge_record_release(&one.record);
	forge_record_release(&two.record);
}

static void clock_set_back(void **state)
{
	const struct record_entry first[] = {forge_init(publisher), forge_release("1.0.0", "a")};
	const struct record_entry other[] = {forge_init(publisher)};
	struct sent one, two;

	(void)state;
	make(&one, "test:a", NULL, first, 2, publisher);
	make(&two, "test:a", NULL, other, 1, publisher);
	send_it(&one);
	stop();
	set_since((uint64_t)time(NULL) + 100000);
	start();
	assert_int_equal(send_it(&two), 0);
	expect(&two, RECORD_STATE_PUBLISHED, 1);
	forge_record_release(&one.record);
	forge_record_release(&two.record);
}

static void content_is_refused(void **state)
{
	const struct record_entry first[] = {forge_init(publisher), forge_release("1.0.0", "a")};
	struct sent one, no = {.job = {.task = WRITE_THREAD_REJECT, .reason = "it is text", .done = done}};
	struct record_state standing;

	(void)state;
	make(&one, "test:a", NULL, first, 2, publisher);
	send_it(&one);
	no.job.record = one.job.record;
	send_it(&no);
	standing = standing_of(&one);
	assert_int_equal(standing.state, RECORD_STATE_REJECTED);
	assert_string_equal(standing.reason, "it is text");
	arrive("a");
	expect(&one, RECORD_STATE_REJECTED, 0);
	forge_record_release(&one.record);
}

/* Many in one transaction, of one package and of several, and one among them that is against the rules. */
static void many_together(void **state)
{
	const struct record_entry init[] = {forge_init(publisher)};
	struct sent sent[MOST];
	char name[32];

	(void)state;
	for (int i = 0; i < MOST; i++) {
		snprintf(name, sizeof(name), "test:p%d", i / 2);
		make(&sent[i], name, i % 2 ? &sent[i - 1] : NULL, init, i % 2 ? 0 : 1, publisher);
	}
	/* As if they were there before the committer looked. */
	for (int i = 0; i < MOST; i++)
		write_thread_give(committer, &sent[i].job);
	for (int i = 0; i < MOST; i++) {
		await(&sent[i]);
		assert_int_equal(sent[i].job.verdict, 0);
		expect(&sent[i], RECORD_STATE_PUBLISHED, (uint64_t)i + 1);
		forge_record_release(&sent[i].record);
	}
	assert_int_equal(told.roots.length, MOST + 1);
}

/* The same record from two clients at once is one record. */
static void sent_twice_at_once(void **state)
{
	const struct record_entry init[] = {forge_init(publisher)};
	struct sent sent[2 * MOST];
	uint64_t count;
	bool found;
	char name[32];

	(void)state;
	for (int i = 0; i < 2 * MOST; i++) {
		snprintf(name, sizeof(name), "test:p%d", i / 2);
		make(&sent[i], name, NULL, init, 1, publisher);
	}
	for (int i = 0; i < 2 * MOST; i++)
		write_thread_give(committer, &sent[i].job);
	for (int i = 0; i < 2 * MOST; i++) {
		await(&sent[i]);
		assert_int_equal(sent[i].job.verdict, 0);
		expect(&sent[i], RECORD_STATE_PUBLISHED, (uint64_t)i / 2 + 1);
		forge_record_release(&sent[i].record);
	}
	assert_int_equal(statement_ask(reading, "SELECT count(*) FROM submitted", &found, &count, NULL), 0);
	assert_int_equal(count, 0);
}

/* The power went after a content had its name, and before that was noted. */
static void noted_at_the_start(void **state)
{
	const struct record_entry first[] = {forge_init(publisher), forge_release("1.0.0", "a")};
	struct sent one;

	(void)state;
	make(&one, "test:a", NULL, first, 2, publisher);
	send_it(&one);
	stop();
	add_content("a");
	start();
	expect(&one, RECORD_STATE_PUBLISHED, 1);
	forge_record_release(&one.record);
}

static void names(void **state)
{
	const struct record_entry init[] = {forge_init(publisher)};
	struct sent one;
	struct name name;
	struct fault flt = {0};

	(void)state;
	make(&one, "test:a", NULL, init, 1, publisher);
	assert_int_equal(package_names_find(reading, &one.job.record.log_id, &name, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	send_it(&one);
	assert_int_equal(package_names_find(reading, &one.job.record.log_id, &name, NULL), 0);
	assert_string_equal(name.text, "test:a");
	forge_record_release(&one.record);
}

/* The disk, or whoever writes to it, lies: what is in the database accuses nobody who publishes. */
static void broken_log(void **state)
{
	const struct record_entry init[] = {forge_init(publisher)}, none[] = {{0}};
	struct sent one, two;

	(void)state;
	make(&one, "test:a", NULL, init, 1, publisher);
	send_it(&one);
	stop();
	assert_int_equal(database_run(database, "UPDATE records SET content = x'00' WHERE registry_index = 1", NULL),
			 0);
	start();
	make(&two, "test:a", &one, none, 0, publisher);
	write_thread_give(committer, &two.job);
	await(&two);
	assert_int_equal(two.job.verdict, WARG_UNDECIDED);
	assert_int_equal(two.job.fault.kind, FAULT_SYSTEM);
	assert_non_null(strstr(two.job.fault.what, "broken"));
	forge_record_release(&one.record);
	forge_record_release(&two.record);
}

/* A record that would give its log too many keys is refused; another one in the same transaction is published. */
static void too_many_keys(void **state)
{
	struct record_entry *entries = calloc(CAP_LOG_KEYS + 1, sizeof(*entries));
	struct ecdsa_private_key **keys = calloc(CAP_LOG_KEYS, sizeof(*keys));
	const struct record_entry first[] = {forge_init(publisher)};
	struct record record = {
		.kind = RECORD_PACKAGE,
		.time = {1700000000, 0},
		.entries = entries,
		.entry_count = CAP_LOG_KEYS + 1,
	};
	struct sent many = {0}, beside;

	(void)state;
	make(&many, "test:many", NULL, first, 1, publisher);
	forge_record_release(&many.record);
	entries[0] = first[0];
	for (unsigned i = 0; i < CAP_LOG_KEYS; i++) {
		keys[i] = forge_key(100 + i);
		entries[1 + i] = forge_grant(keys[i], PERMISSION_YANK);
	}
	forge_record(RECORD_PACKAGE, &record, publisher, &many.record);
	many.job.record.record_id = many.record.id;
	many.job.record.envelope = forge_envelope(&many.record);
	make(&beside, "test:beside", NULL, first, 1, publisher);
	write_thread_give(committer, &many.job);
	write_thread_give(committer, &beside.job);
	await(&many);
	await(&beside);
	assert_int_equal(many.job.verdict, 0);
	assert_int_equal(many.job.refusal, WRITE_THREAD_EXCESSIVE);
	assert_non_null(strstr(many.job.fault.what, "keys"));
	expect(&beside, RECORD_STATE_PUBLISHED, 1);
	for (unsigned i = 0; i < CAP_LOG_KEYS; i++)
		ecdsa_private_key_free(keys[i]);
	free(keys);
	free(entries);
	forge_record_release(&many.record);
	forge_record_release(&beside.record);
}

/* A record after a damaged one cannot be judged and keeps waiting; other records are published. */
static void waits_behind_damage(void **state)
{
	const struct record_entry init[] = {forge_init(publisher)}, next[] = {forge_release("1.0.0", "a")};
	struct sent one, two, three;

	(void)state;
	make(&one, "test:a", NULL, init, 1, publisher);
	send_it(&one);
	make(&two, "test:a", &one, next, 1, publisher);
	send_it(&two);
	stop();
	assert_int_equal(database_run(database, "UPDATE records SET content = x'00' WHERE registry_index = 1", NULL),
			 0);
	start();
	set_aside = (struct fault){0};
	arrive("a");
	expect(&two, RECORD_STATE_SOURCING, 0);
	assert_non_null(strstr(set_aside.what, "broken"));
	assert_int_equal(set_aside.party, FAULT_BY_SYSTEM);
	make(&three, "test:b", NULL, init, 1, publisher);
	assert_int_equal(send_it(&three), 0);
	expect(&three, RECORD_STATE_PUBLISHED, 2);
	/* The next start serves nevertheless, and checks the record again. */
	stop();
	set_aside = (struct fault){0};
	start();
	assert_non_null(strstr(set_aside.what, "broken"));
	forge_record_release(&one.record);
	forge_record_release(&two.record);
	forge_record_release(&three.record);
}

/* A record is published exactly when its contents are stored, whatever count its row has. */
static void what_it_waits_for(void **state)
{
	static const char *const damages[] = {
		"UPDATE submitted SET lacking = 0",	    "DELETE FROM missing",
		"UPDATE submitted SET lacking = 7",	    "DELETE FROM missing; UPDATE submitted SET lacking = 0",
		"UPDATE missing SET digest = zeroblob(32)",
	};
	const struct record_entry entries[] = {forge_init(publisher), forge_release("1.0.0", "a")};
	struct sent one, ping;
	char name[32];

	(void)state;
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		content_count = 0;
		snprintf(name, sizeof(name), "test:p%zu", i);
		make(&one, name, NULL, entries, 2, publisher);
		send_it(&one);
		stop();
		assert_int_equal(database_run(database, damages[i], NULL), 0);
		start();
		snprintf(name, sizeof(name), "test:q%zu", i);
		make(&ping, name, NULL, entries, 1, publisher);
		assert_int_equal(send_it(&ping), 0);
		expect(&one, RECORD_STATE_SOURCING, 1);
		arrive("a");
		expect(&one, RECORD_STATE_PUBLISHED, 2 * i + 2);
		forge_record_release(&one.record);
		forge_record_release(&ping.record);
	}
}

/* If a content is removed between its upload and the notice, the record waits for it again. */
static void arrived_and_gone(void **state)
{
	const struct record_entry entries[] = {forge_init(publisher), forge_release("1.0.0", "a")};
	struct sent one, notice = {.job = {.task = WRITE_THREAD_ARRIVE, .done = done}};

	(void)state;
	make(&one, "test:a", NULL, entries, 2, publisher);
	send_it(&one);
	notice.job.content = one.releases[0];
	assert_int_equal(send_it(&notice), 0);
	expect(&one, RECORD_STATE_SOURCING, 1);
	arrive("a");
	expect(&one, RECORD_STATE_PUBLISHED, 1);
	forge_record_release(&one.record);
}

/* A map node damaged in a running server is not used: it is computed again, and the signed root is right. */
static void damaged_map(void **state)
{
	const struct record_entry init[] = {forge_init(publisher)};
	struct sent sent[4];
	char name[32];

	(void)state;
	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "test:p%d", i);
		make(&sent[i], name, NULL, init, 1, publisher);
		if (i == 2)
			assert_int_equal(database_run(database,
						      "UPDATE map_nodes SET left_hash = zeroblob(32),"
						      " right_hash = zeroblob(32) WHERE depth < 256",
						      NULL),
					 0);
		assert_int_equal(send_it(&sent[i]), 0);
		expect(&sent[i], RECORD_STATE_PUBLISHED, (uint64_t)i + 1);
		forge_record_release(&sent[i].record);
	}
	assert_int_equal(map_nodes_check(database, &told.last.map, NULL), 0);
	assert_int_equal(checkpoint_verify(&told.last.checkpoint, operator, NULL), 0);
}

/* The same if only readers meet the damage. */
static void damage_met_by_readers(void **state)
{
	const struct record_entry init[] = {forge_init(publisher)};
	struct sent one, two, mend = {.job = {.task = WRITE_THREAD_MEND, .done = done}};
	struct published_checkpoint last;

	(void)state;
	make(&one, "test:a", NULL, init, 1, publisher);
	send_it(&one);
	assert_int_equal(database_run(database,
				      "UPDATE map_nodes SET leaf_hash = zeroblob(32) WHERE depth = 256;"
				      "UPDATE log_nodes SET hash = zeroblob(32) WHERE node = 0",
				      NULL),
			 0);
	assert_int_equal(map_nodes_check(database, &told.last.map, NULL), WARG_INVALID);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(send_it(&mend), 0);
		assert_int_equal(published_last_checkpoint(database, &last, NULL), 0);
		assert_int_equal(map_nodes_check(database, &last.map, NULL), 0);
	}
	make(&two, "test:b", NULL, init, 1, publisher);
	assert_int_equal(send_it(&two), 0);
	expect(&two, RECORD_STATE_PUBLISHED, 2);
	forge_record_release(&one.record);
	forge_record_release(&two.record);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(published_at_once),  TEST(contents_come),	     TEST(looked_for_before),
		TEST(against_the_rules),  TEST(signature_first),     TEST(the_place_of_a_package),
		TEST(clock_set_back),	  TEST(content_is_refused),  TEST(many_together),
		TEST(sent_twice_at_once), TEST(noted_at_the_start),  TEST(names),
		TEST(broken_log),	  TEST(waits_behind_damage), TEST(what_it_waits_for),
		TEST(arrived_and_gone),	  TEST(damaged_map),	     TEST(damage_met_by_readers),
		TEST(too_many_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
