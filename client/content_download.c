/*
 * A content is brought here: what lies in the cache is hashed on a worker; else the sources are tried in turn, the
 * bytes are hashed as they come, and they get their name only once they match.
 *
 * Other processes do the same. Who downloads claims the content (store.h), and others wait until the claim is given up,
 * or until its holder makes no progress: no lock is needed for what happens then. The cache is looked at once more
 * before a download begins and before its result is kept, so that two who download side by side end with one file.
 */
#include "content_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define ATTEMPTS 16          /* at one source: the first, and resumes after a broken connection */
#define LEAST_PROGRESS 4096u /* bytes in each `timeout`: who sends less holds a place that others need */
#define MARK_EVERY 250       /* milliseconds between two notes in the claim */
#define SHORTEST_PAUSE 2     /* milliseconds between two looks at another's claim; each is twice as long, */
#define LONGEST_PAUSE 64     /* up to this */

struct fetch {
	struct content_task task; /* first */
	struct job job;
	struct store_claim claim;
	bool has_claim;
	clock_ms claim_marked;    /* when the bytes were noted in it last */
	struct flight pause;      /* while another has the claim; nobody lands it */
	struct waiter alarm;      /* ends the pause */
	clock_ms pause_length;    /* 0: never paused */
	uint64_t others;          /* bytes that the other had, */
	clock_ms others_at;       /* when it was seen to make progress last */
	struct store_temp temp;
	bool has_temp;
	struct content_writer writer; /* into temp */
	struct fault outcome;     /* of the last exchange */
	uint64_t from;            /* where the current exchange began */
	bool accepts_ranges;      /* the current source does */
	unsigned attempts;        /* at the current source */
	clock_ms marked;          /* when progress was looked at last, */
	uint64_t mark;            /* and how much had come then */
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

static void land(struct fetch *fetch, int verdict)
{
	struct store *store = content_store(fetch->task.content);

	if (fetch->has_temp)
		store_discard_temp(store, &fetch->temp);
	if (fetch->has_claim)
		store_end_claim(store, &fetch->task.digest, &fetch->claim);
	content_land(&fetch->task, verdict);
}

/* Give up with a fault of our own, which nobody else is to blame for. */
static void land_local(struct fetch *fetch, const struct fault *flt)
{
	fetch->task.fault = *flt;
	fault_blame(&fetch->task.fault, FAULT_BY_SYSTEM);
	land(fetch, flt->verdict);
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
	fetch->from = fetch->mark = 0;
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

/* Whether the source keeps the place that it takes with reason. */
static int check_progress(struct fetch *fetch, struct fault *flt)
{
	clock_ms now = clock_now();

	mark_claim(fetch, now);
	if (now - fetch->marked < fetch->task.content->options.timeout)
		return 0;
	if (fetch->writer.received - fetch->mark < LEAST_PROGRESS)
		return fault_undecided(flt, FAULT_TIMEOUT, "the source sends less than %u bytes in the time allowed",
				       LEAST_PROGRESS);
	fetch->marked = now;
	fetch->mark = fetch->writer.received;
	return 0;
}

static int check_size(struct fetch *fetch, size_t more, struct fault *flt)
{
	const struct api_source *source = current(fetch);

	if (source->has_size && fetch->writer.received + more > source->size)
		return fault_invalid(flt, "the source sends more than the %llu bytes that were claimed",
				     (unsigned long long)source->size);
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
	return check_progress(fetch, flt);
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
		land_local(fetch, &flt);
	else if (fetch->task.at == fetch->task.sources.count)
		land(fetch, fetch->task.fault.verdict);
	else
		attempt(fetch);
}

static void keep(struct fetch *fetch);

/* The body came to its end. Its hash is the only thing that counts. */
static void check_received(struct fetch *fetch)
{
	const struct http_exchange *exchange = &fetch->task.exchange;
	struct digest digest = digest_stream_final(&fetch->writer.stream);
	char text[DIGEST_TEXT_SIZE];
	struct fault flt = {0};

	if (digest_equals(&digest, &fetch->task.digest)) {
		keep(fetch);
		return;
	}
	digest_format(&digest, text);
	fault_invalid(&flt, "the source sends %llu bytes with the digest %s",
		      (unsigned long long)fetch->writer.received, text);
	fault_at(&flt, "%.*s", (int)strcspn(exchange->url, "?#"), exchange->url);
	fault_blame(&flt, FAULT_BY_SOURCE);
	go_on(fetch, &flt);
}

/* An exchange is over, and what it brought is written and hashed. On a worker. */
static void written(struct content_writer *writer)
{
	struct fetch *fetch = (struct fetch *)(void *)((char *)writer - offsetof(struct fetch, writer));

	if (writer->fault.verdict)
		land_local(fetch, &writer->fault);
	else if (!fetch->outcome.verdict)
		check_received(fetch);
	else if (is_ours(&fetch->outcome))
		land_local(fetch, &fetch->outcome);
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
	fetch->from = fetch->mark = fetch->writer.received;
	fetch->marked = clock_now();
	fetch->task.exchange = (struct http_exchange){
		.url = current(fetch)->url,
		.follow = true,
		.range_from = fetch->writer.received,
		.cap = CAP_CONTENT,
		.deadline = CLOCK_NEVER,
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
		land(fetch, verdict);
		return;
	}
	r = store_new_temp(content_store(task->content), &fetch->temp, &flt);
	fetch->has_temp = !r;
	if (!r)
		r = start_over(fetch, &flt);
	if (r) {
		land_local(fetch, &flt);
		return;
	}
	fetch->accepts_ranges = current(fetch)->accepts_ranges;
	attempt(fetch);
}

/* ---- On a worker ---- */

/*
 * What another process put there while we downloaded, if it is good. Then ours is not needed.
 * @param out  -1 if there is none
 */
static int find_others(struct fetch *fetch, int *out, struct content_facts *facts, struct fault *flt)
{
	bool matches = false;
	uint64_t size = 0;
	int fd = -1;
	int r;

	*out = -1;
	r = store_open_content(content_store(fetch->task.content), &fetch->task.digest, &fd, &size, flt);
	if (r || fd < 0)
		return r;
	if (size == fetch->writer.received)
		r = check_file(&fetch->task, fd, facts, &matches, flt);
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
		land_local(fetch, &flt);
		return;
	}
	atomic_fetch_add(&fetch->task.content->counters.done, 1);
	content_accept_take(&fetch->task, fd, &facts);
	land(fetch, 0);
}

static struct fetch *fetch_of_job(struct job *job)
{
	return (struct fetch *)(void *)((char *)job - offsetof(struct fetch, job));
}

/*
 * Hash what lies in the cache. What does not match is no content: away with it.
 * @return whether the task has landed
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
	if (r) {
		land_local(fetch, &flt);
	} else if (matches) {
		atomic_fetch_add(&fetch->task.content->counters.hits, 1);
		content_accept_take(&fetch->task, fd, &facts);
		land(fetch, 0);
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
	if (!fetch->pause_length || (bytes > fetch->others && bytes - fetch->others >= LEAST_PROGRESS)) {
		fetch->others = bytes;
		fetch->others_at = now;
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

/* Until the next look. Nobody lands the flight: the alarm goes off at its deadline. */
static void take_pause(struct fetch *fetch)
{
	clock_ms length = fetch->pause_length ? 2 * fetch->pause_length : SHORTEST_PAUSE;

	fetch->pause_length = length < LONGEST_PAUSE ? length : LONGEST_PAUSE;
	fetch->alarm = (struct waiter){.done = pause_over, .deadline = clock_now() + fetch->pause_length};
	flight_join(fetch->task.content->options.airport, &fetch->pause, &fetch->alarm);
}

/* The cache has it not: download it, unless another does. */
static void claim(struct job *job)
{
	struct fetch *fetch = fetch_of_job(job);
	struct fault flt = {0};

	fetch->job.run = claim;
	if (content_is_closing(fetch->task.content)) {
		fault_undecided(&flt, FAULT_CANCELLED, "the registry is being closed");
		land_local(fetch, &flt);
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
