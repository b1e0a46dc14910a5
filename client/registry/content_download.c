/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Fetching a content: a worker hashes the cached file if there is one; otherwise the sources are tried in turn, the
 * bytes are hashed as they arrive, and the file gets its name only once they match.
 *
 * A process that downloads claims the content (store.h). Other processes wait until the claim is released, or its
 * holder makes no progress; they then download without a lock. Each process checks the cache again before a download
 * begins and before its result is kept, so that two concurrent downloads end with one file.
 */
#include "content_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/file.h"

#define ATTEMPTS 16          /* at one source: the first, and resumes after a broken connection */
#define MARK_EVERY 250       /* milliseconds between two notes in the claim */
#define SHORTEST_PAUSE 2     /* milliseconds between two looks at another's claim; each is twice as long, */
#define LONGEST_PAUSE 64     /* up to this */

struct fetch {
	struct content_task task; /* first */
	struct job job;
	struct store_claim claim;
	bool has_claim;
	clock_ms claim_marked;    /* when the bytes were noted in it last */
	struct completion pause; /* while another program has the claim; never completed */
	struct waiter alarm;      /* ends the pause */
	clock_ms pause_length;    /* 0: never paused */
	uint64_t others;          /* bytes that the other had, */
	clock_ms others_at;       /* when it was seen to make progress last */
	struct temp_file temp;
	bool has_temp;
	struct content_writer writer; /* into temp */
	struct fault outcome;     /* of the last exchange */
	uint64_t from;            /* where the current exchange began */
	bool accepts_ranges;      /* the current source does */
	unsigned attempts;        /* at the current source */
	size_t unpaid;            /* bytes received since the deadline was last extended */
};

struct content_task *content_new_fetch(void)
{
	struct fetch *fetch = calloc(1, sizeof(*fetch));

	if (!fetch)
		return NULL;
	fetch->claim.fd = fetch->temp.fd = -1;
	return &fetch->task;
}

static struct fetch *fetch_of(struct content_task *task)
{
	return (struct fetch *)task; /* its first member */
}

static void complete_fetch(struct fetch *fetch, int verdict)
{
	struct store *store = content_store(fetch->task.content);

	if (fetch->has_temp)
		store_discard_temp(store, &fetch->temp);
	if (fetch->has_claim)
		store_end_claim(store, &fetch->task.digest, &fetch->claim);
	content_complete(&fetch->task, verdict);
}

/* Give up with a fault of our own, which nobody else is to blame for. */
static void complete_with_own_fault(struct fetch *fetch, const struct fault *flt)
{
	fetch->task.fault = *flt;
	fault_blame(&fetch->task.fault, FAULT_BY_SYSTEM);
	complete_fetch(fetch, flt->verdict);
}

/* Whether the file has the digest, and was left alone while it was hashed. */
static int check_file(struct content_task *task, int fd, struct content_facts *facts, bool *matches, struct fault *flt)
{
	struct content_facts after;
	struct digest digest = {0};
	int r;

	r = content_look(fd, facts, flt);
	if (r)
		return r;
	if (facts->size > CAP_CONTENT) {
		*matches = false;
		return 0;
	}
	r = content_hash_file(task->content, fd, facts->size, &digest, flt);
	if (!r)
		r = content_look(fd, &after, flt);
	if (!r)
		*matches = content_facts_equal(facts, &after) && digest_equals(&digest, &task->digest);
	return r;
}

/* ---- Downloading ---- */

static void attempt(struct fetch *fetch);

static struct api_source *current(struct fetch *fetch)
{
	return &fetch->task.sources.sources[fetch->task.at];
}

/* Forget the bytes that came, of which none is being written. */
static int start_over(struct fetch *fetch, struct fault *flt)
{
	fetch->from = 0;
	content_writer_init(&fetch->writer, fetch->task.content, fetch->temp.fd);
	if (ftruncate(fetch->temp.fd, 0))
		return fault_system(flt, errno, "emptying a temporary file");
	return 0;
}

static void mark_claim(struct fetch *fetch, clock_ms now)
{
	if (!fetch->has_claim || now - fetch->claim_marked < MARK_EVERY)
		return;
	store_mark_claim(&fetch->claim, fetch->writer.received);
	fetch->claim_marked = now;
}

/* The source has sent its fair share: extend the deadline. */
static void put_off_end(struct fetch *fetch, clock_ms now)
{
	fetch->unpaid = 0;
	fetch->task.until = now + 2 * fetch->task.content->options.timeout;
}

static void note_progress(struct fetch *fetch, size_t bytes)
{
	clock_ms now = clock_now();

	mark_claim(fetch, now);
	fetch->unpaid += bytes;
	if (fetch->unpaid >= http_fair_share(fetch->task.content->options.timeout)) {
		put_off_end(fetch, now);
		fetch->task.exchange.deadline = fetch->task.until;
	}
}

/* Never trust a source's claimed length: the digest decides. */
static int check_size(const struct fetch *fetch, size_t more, struct fault *flt)
{
	if (fetch->writer.received + more > CAP_CONTENT)
		return fault_undecided(flt, FAULT_LIMIT, "larger than %llu bytes", CAP_CONTENT);
	return 0;
}

static int take_piece(struct http_exchange *exchange, struct span piece, struct fault *flt)
{
	struct fetch *fetch = exchange->user;
	int r = 0;

	/* Asked for the rest, it sends the whole. */
	if (fetch->from && exchange->status == 200)
		r = start_over(fetch, flt);
	if (!r)
		r = check_size(fetch, piece.length, flt);
	if (!r)
		r = content_writer_put(&fetch->writer, piece, flt);
	if (r) {
		if (r == WARG_INVALID || flt->kind == FAULT_LIMIT)
			fault_blame(flt, FAULT_BY_SOURCE);
		else
			fault_blame(flt, FAULT_BY_SYSTEM);
		return r;
	}
	atomic_fetch_add(&fetch->task.content->counters.received, piece.length);
	note_progress(fetch, piece.length);
	return 0;
}

/* Whether nothing is wrong with the other side: it would be no better elsewhere. */
static bool is_ours(const struct fault *flt)
{
	return flt->kind == FAULT_SYSTEM || flt->kind == FAULT_CANCELLED || flt->kind == FAULT_MISUSE;
}

static bool is_broken_connection(const struct fault *flt)
{
	return flt->kind == FAULT_UNREACHABLE || flt->kind == FAULT_TIMEOUT;
}

/* On to the next source. What came of a broken connection is worth keeping if the next one can go on from there. */
static int turn_to_next(struct fetch *fetch, bool keep, struct fault *flt)
{
	fetch->task.at++;
	fetch->attempts = 0;
	if (fetch->task.at == fetch->task.sources.count)
		return 0;
	fetch->accepts_ranges = current(fetch)->accepts_ranges;
	return keep && fetch->accepts_ranges ? 0 : start_over(fetch, flt);
}

/* Go on after an attempt that failed. */
static void go_on(struct fetch *fetch, const struct fault *why)
{
	bool broken = is_broken_connection(why);
	struct fault flt = {0};
	int r;

	if (clock_now() >= fetch->task.until) {
		content_note(&fetch->task, why);
		complete_fetch(fetch, fetch->task.fault.verdict);
		return;
	}
	if (broken && fetch->accepts_ranges && fetch->writer.received > fetch->from && fetch->attempts < ATTEMPTS) {
		attempt(fetch);
		return;
	}
	/*
	 * A source that does not take up where it or another broke off, or does so with the wrong bytes, gets one more
	 * try.
	 */
	if (!broken && fetch->from && fetch->attempts < ATTEMPTS) {
		fetch->accepts_ranges = false;
		r = start_over(fetch, &flt);
	} else {
		content_note(&fetch->task, why);
		r = turn_to_next(fetch, broken, &flt);
	}
	if (r)
		complete_with_own_fault(fetch, &flt);
	else if (fetch->task.at == fetch->task.sources.count)
		complete_fetch(fetch, fetch->task.fault.verdict);
	else
		attempt(fetch);
}

static void keep(struct fetch *fetch);

/* The digest of the bytes received so far; more may follow. */
static struct digest digest_so_far(const struct fetch *fetch)
{
	struct digest_stream stream = fetch->writer.stream;

	return digest_stream_final(&stream);
}

/* The body has ended and does not hash to the digest. */
static void refuse_received(struct fetch *fetch)
{
	const struct http_exchange *exchange = &fetch->task.exchange;
	struct digest digest = digest_so_far(fetch);
	char text[DIGEST_TEXT_SIZE];
	struct fault flt = {0};

	digest_format(&digest, text);
	if (http_is_web_page(exchange))
		fault_undecided(&flt, FAULT_UNREACHABLE, "answered with a web page (text/html), not with the content");
	else
		fault_invalid(&flt, "the source sends %llu bytes with the digest %s",
			      (unsigned long long)fetch->writer.received, text);
	http_url_fault_at(span_of_text(exchange->url), &flt);
	fault_blame(&flt, FAULT_BY_SOURCE);
	go_on(fetch, &flt);
}

/*
 * Whether the content is complete. Only the hash decides: if it matches, the content is kept even if Content-Length
 * promised more bytes or the source never ended its answer.
 */
static bool is_complete(const struct fetch *fetch)
{
	struct digest digest;

	if (fetch->outcome.verdict && fetch->writer.received == fetch->from)
		return false;
	digest = digest_so_far(fetch);
	return digest_equals(&digest, &fetch->task.digest);
}

/* An exchange is over, and what it brought is written and hashed. On a worker. */
static void written(struct content_writer *writer)
{
	struct fetch *fetch = (struct fetch *)(void *)((char *)writer - offsetof(struct fetch, writer));

	if (writer->fault.verdict)
		complete_with_own_fault(fetch, &writer->fault);
	else if (fetch->outcome.verdict && is_ours(&fetch->outcome))
		complete_with_own_fault(fetch, &fetch->outcome);
	else if (is_complete(fetch))
		keep(fetch);
	else if (!fetch->outcome.verdict)
		refuse_received(fetch);
	else
		go_on(fetch, &fetch->outcome);
}

static void downloaded(struct http_exchange *exchange)
{
	struct fetch *fetch = fetch_of(exchange->user);
	struct fault flt = {0};
	int r = content_end_exchange(&fetch->task, &flt);

	atomic_fetch_sub(&fetch->task.content->counters.running, 1);
	if (exchange->accepts_ranges)
		fetch->accepts_ranges = true;
	if (!r && fetch->from && exchange->status == 200 && fetch->writer.received == fetch->from)
		start_over(fetch, &flt); /* the whole, which is empty */
	fetch->outcome = flt;
	content_writer_end(&fetch->writer, written);
}

static void attempt(struct fetch *fetch)
{
	fetch->attempts++;
	fetch->from = fetch->writer.received;
	fetch->task.exchange = (struct http_exchange){
		.url = current(fetch)->url,
		.follow = true,
		/* While there is another source, that one is asked instead. */
		.repeats = fetch->task.at + 1 == fetch->task.sources.count,
		.range_from = fetch->writer.received,
		.cap = CAP_CONTENT,
		.deadline = fetch->task.until,
		.stall = fetch->task.content->options.timeout,
		.sink = take_piece,
		.done = downloaded,
	};
	atomic_fetch_add(&fetch->task.content->counters.running, 1);
	content_start_exchange(&fetch->task);
}

static void told_sources(struct content_task *task, int verdict)
{
	struct fetch *fetch = fetch_of(task);
	struct fault flt = {0};
	int r;

	if (verdict) {
		complete_fetch(fetch, verdict);
		return;
	}
	r = store_new_temp(content_store(task->content), &fetch->temp, &flt);
	fetch->has_temp = !r;
	if (!r)
		r = start_over(fetch, &flt);
	if (r) {
		complete_with_own_fault(fetch, &flt);
		return;
	}
	fetch->accepts_ranges = current(fetch)->accepts_ranges;
	attempt(fetch);
}

/* ---- On a worker ---- */

/* Whether the cached file could not be read, or changed while it was read: its bytes are then not known to be false. */
static bool is_unreadable(const struct fault *flt)
{
	return flt->kind == FAULT_SYSTEM && flt->errnum == EIO;
}

/*
 * What another process put there while we downloaded, if it is good. Then ours is not needed.
 * @param out  -1 if there is none
 */
static int find_others(struct fetch *fetch, int *out, struct content_facts *facts, struct fault *flt)
{
	struct fault own = {0};
	bool matches = false;
	uint64_t size = 0;
	int fd = -1;
	int r;

	*out = -1;
	r = store_open_content(content_store(fetch->task.content), &fetch->task.digest, &fd, &size, flt);
	if (r || fd < 0)
		return r;
	if (size == fetch->writer.received)
		r = check_file(&fetch->task, fd, facts, &matches, &own);
	if (r && is_unreadable(&own))
		r = 0;
	else
		fault_pass(&own, flt);
	if (!r && matches)
		*out = fd;
	else
		close(fd);
	return r;
}

/* Give our bytes their name. @param out  open for reading */
static int keep_ours(struct fetch *fetch, int *out, struct content_facts *facts, struct fault *flt)
{
	int r;

	fetch->has_temp = false;
	r = store_keep_temp(content_store(fetch->task.content), &fetch->temp, &fetch->task.digest, flt);
	if (r)
		return r;
	r = content_look(fetch->temp.fd, facts, flt);
	if (r)
		close(fetch->temp.fd);
	else
		*out = file_reopen_take(fetch->temp.fd);
	return r;
}

/* The bytes match: give them their name. */
static void keep(struct fetch *fetch)
{
	struct content_facts facts = {0};
	struct fault flt = {0};
	int r, fd;

	r = find_others(fetch, &fd, &facts, &flt);
	if (!r && fd < 0)
		r = keep_ours(fetch, &fd, &facts, &flt);
	if (r) {
		complete_with_own_fault(fetch, &flt);
		return;
	}
	atomic_fetch_add(&fetch->task.content->counters.done, 1);
	content_accept_take(&fetch->task, fd, &facts);
	complete_fetch(fetch, 0);
}

static struct fetch *fetch_of_job(struct job *job)
{
	return (struct fetch *)(void *)((char *)job - offsetof(struct fetch, job));
}

/*
 * Hash the cached file, and remove it if it does not match. A file that cannot be read stays until a download replaces
 * it; if there is no download, the task fails with the read error.
 * @return whether the task has finished
 */
static bool take_cached(struct fetch *fetch)
{
	struct store *store = content_store(fetch->task.content);
	struct content_facts facts;
	struct fault flt = {0};
	bool matches = false;
	uint64_t size;
	int fd = -1;
	int r;

	r = store_open_content(store, &fetch->task.digest, &fd, &size, &flt);
	if (!r && fd < 0)
		return false;
	if (!r) {
		r = check_file(&fetch->task, fd, &facts, &matches, &flt);
		if (r || !matches)
			close(fd);
	}
	if (r && is_unreadable(&flt)) {
		fault_at(&flt, "the cached copy");
		fault_blame(&flt, FAULT_BY_SYSTEM);
		content_note(&fetch->task, &flt);
		return false;
	}
	if (r) {
		complete_with_own_fault(fetch, &flt);
	} else if (matches) {
		atomic_fetch_add(&fetch->task.content->counters.hits, 1);
		content_accept_take(&fetch->task, fd, &facts);
		complete_fetch(fetch, 0);
	} else {
		/* If it cannot be removed, the download will say why when it cannot take its place. */
		store_remove_content(store, &fetch->task.digest, NULL);
	}
	return r || matches;
}

/* Whether another downloads it, and gets on with it. Else the claim is ours, or nobody's business. */
static bool is_claimed(struct fetch *fetch)
{
	const struct content *content = fetch->task.content;
	enum store_claim_state state;
	clock_ms now = clock_now();
	uint64_t bytes = 0;

	state = store_claim_content(content->options.store, &fetch->task.digest, &fetch->claim, &bytes);
	fetch->has_claim = state == STORE_CLAIM_OURS;
	if (state != STORE_CLAIM_OTHERS)
		return false;
	if (!fetch->pause_length ||
	    (bytes > fetch->others && bytes - fetch->others >= http_fair_share(content->options.timeout))) {
		fetch->others = bytes;
		fetch->others_at = now;
		put_off_end(fetch, now);
	}
	return now - fetch->others_at < content->options.timeout;
}

static void pause_over(struct waiter *alarm, int verdict, const struct fault *flt)
{
	struct fetch *fetch = (struct fetch *)(void *)((char *)alarm - offsetof(struct fetch, alarm));

	(void)verdict;
	(void)flt;
	workers_run(fetch->task.content->options.workers, &fetch->job);
}

/* Until the next look. The completion is never finished: the waiter is called at its deadline. */
static void take_pause(struct fetch *fetch)
{
	clock_ms length = fetch->pause_length ? 2 * fetch->pause_length : SHORTEST_PAUSE;

	fetch->pause_length = length < LONGEST_PAUSE ? length : LONGEST_PAUSE;
	fetch->alarm = (struct waiter){.done = pause_over, .deadline = clock_now() + fetch->pause_length};
	completion_join(fetch->task.content->options.deadlines, &fetch->pause, &fetch->alarm);
}

/* The cache has it not: download it, unless another does. */
static void claim(struct job *job)
{
	struct fetch *fetch = fetch_of_job(job);
	struct fault flt = {0};

	fetch->job.run = claim;
	if (!fetch->pause_length)
		put_off_end(fetch, clock_now());
	if (content_is_closing(fetch->task.content)) {
		fault_undecided(&flt, FAULT_CANCELLED, "the registry is being closed");
		complete_with_own_fault(fetch, &flt);
	} else if (is_claimed(fetch)) {
		take_pause(fetch);
	} else if (!take_cached(fetch)) {
		content_ask_sources(&fetch->task, told_sources);
	}
}

static void look(struct job *job)
{
	if (!take_cached(fetch_of_job(job)))
		claim(job);
}

void content_begin_fetch(struct content_task *task)
{
	struct fetch *fetch = fetch_of(task);

	fetch->job.run = look;
	workers_run(task->content->options.workers, &fetch->job);
}
