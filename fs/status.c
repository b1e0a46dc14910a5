/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The status socket (see status.h).
 */
#include "status.h"

#include "asking.h"
#include "client/base/json.h"
#include "client/base/thread.h"
#include "refreshing.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* Whoever connects and then says nothing, or does not read, holds up others no longer than this. */
#define LINE_SECONDS 1
#define SEND_SECONDS 1

struct status {
	struct mount *mount;
	pthread_t thread;
	int socket, stop;
};

static void put_known(struct json *json, const char *name, bool known, uint64_t seconds)
{
	if (known)
		json_put_uint(json, name, seconds);
	else
		json_put_null(json, name);
}

static void put_age(struct json *json, struct mount *mount, struct registry *registry)
{
	const struct freshness_now now = freshness_now();
	struct freshness freshness;
	uint64_t seconds = 0;
	struct fault flt = {0};
	bool known;

	registry_freshness(registry, &freshness);
	known = freshness_age(&freshness, now, &seconds);
	put_known(json, "age", known, seconds);
	known = freshness_verified(&freshness, now, &seconds);
	put_known(json, "verifiedAgo", known, seconds);
	put_known(json, "maxAge", mount->options.max_age, mount->options.max_age);
	json_put_bool(json, "stale", !freshness_left(&freshness, mount->options.max_age, now));
	if (freshness_check_clock(&freshness, &flt))
		json_put_text(json, "clock", flt.what);
}

static void put_checkpoint(struct json *json, struct mount *mount, struct registry *registry, const struct view *view)
{
	const struct checkpoint *contents = &view->checkpoint.contents;
	struct json *checkpoint = json_new_object();

	json_put_uint(checkpoint, "logLength", contents->log_length);
	json_put_digest(checkpoint, "logRoot", &contents->log_root);
	json_put_digest(checkpoint, "mapRoot", &contents->map_root);
	json_put_uint(checkpoint, "timestamp", contents->timestamp);
	json_put_uint(checkpoint, "verifiedAt", view->verified_at > 0 ? (uint64_t)view->verified_at : 0);
	put_age(checkpoint, mount, registry);
	json_put_digest(checkpoint, "keyId", &view->checkpoint.key_id);
	json_put(json, "checkpoint", checkpoint);
}

/* What the registry is held to, and whether it broke its word. */
static void put_trust(struct json *json, const struct registry *registry)
{
	const struct trust *kept = registry_trust(registry);
	struct trust_anchor anchor;
	struct json *trust;

	if (!kept || trust_load(kept, &anchor, NULL) || !anchor.known)
		return;
	trust = json_new_object();
	json_put_digest(trust, "operatorKey", &anchor.operator_key);
	json_put_uint(trust, "logLength", anchor.checkpoint.contents.log_length);
	if (anchor.evidence[0]) {
		json_put_text(trust, anchor.charge == TRUST_MAP ? "map" : "fork", anchor.evidence);
		json_put_shown(trust, "evidence", trust_evidence_folder(kept));
	}
	json_put(json, "trust", trust);
}

/* How far the map was rebuilt from the ledger, which nobody waits for. */
static void put_audit(struct json *json, struct registry *registry)
{
	struct audit_progress progress;
	struct json *audit;

	if (!registry_audit(registry, &progress))
		return;
	audit = json_new_object();
	put_known(audit, "logLength", progress.judged, progress.judged);
	if (progress.judged)
		json_put_bool(audit, "agrees", progress.agrees);
	put_known(audit, "wanted", progress.wanted, progress.wanted);
	json_put_uint(audit, "rebuilt", progress.rebuilt);
	json_put(json, "audit", audit);
}

static void put_cache(struct json *json, struct mount *mount)
{
	struct json *cache = json_new_object();
	uint64_t bytes, files;

	if (store_measure_contents(registry_store(mount_registry(mount, NULL)), &bytes, &files, NULL) == 0) {
		json_put_uint(cache, "bytes", bytes);
		json_put_uint(cache, "files", files);
	}
	json_put(json, "cache", cache);
}

static void put_downloads(struct json *json, struct mount *mount)
{
	struct json *downloads = json_new_object();
	struct content_counters counters;

	content_count(registry_content(mount_registry(mount, NULL)), &counters);
	json_put_uint(downloads, "running", counters.downloads_running);
	json_put_uint(downloads, "done", counters.downloads_done);
	json_put_uint(downloads, "failed", counters.downloads_failed);
	json_put_uint(downloads, "bytesReceived", counters.bytes_received);
	json_put_uint(downloads, "cacheHits", counters.cache_hits);
	json_put(json, "downloads", downloads);
}

static void put_last_error(struct json *json, struct mount *mount)
{
	char sentence[FAULT_SENTENCE_SIZE];
	int64_t when;

	if (log_last(mount->log, sentence, &when)) {
		json_put_text(json, "lastError", sentence);
		json_put_uint(json, "lastErrorAt", (uint64_t)when);
	} else {
		json_put_null(json, "lastError");
	}
}

#define REFUSED_MOST 100 /* sentences in one status */

/* List packages that cannot be shown, as no file can have their names. */
static void put_refused_names(struct json *json, const struct view *view)
{
	const struct listing *listing = view->listing;
	struct json *list = json_new_list();
	char sentence[FAULT_SENTENCE_SIZE];
	struct fault flt;

	for (size_t i = 0; listing && i < listing->refused_count && i < REFUSED_MOST; i++) {
		listing_tell_refused(&listing->refused[i], &flt);
		fault_sentence(&flt, sentence);
		json_add_text(list, sentence);
	}
	json_put(json, "refusedNames", list);
}

/* What is believed of a registry. */
static void put_registry(struct json *json, struct mount *mount, struct registry *registry)
{
	struct view *view = registry_view(registry);

	put_checkpoint(json, mount, registry, view);
	put_trust(json, registry);
	put_audit(json, registry);
	json_put_uint(json, "packagesKnown", view->packages.count);
	put_refused_names(json, view);
	view_unref(view);
}

/* The other registries that somebody needed. */
static void put_others(struct json *json, struct mount *mount)
{
	struct registry *registries[CAP_REGISTRIES + 1];
	size_t count = federation_registries(mount->federation, registries);
	struct json *list = json_new_list();

	for (size_t i = 1; i < count; i++) {
		struct json *other = json_new_object();
		char sentence[FAULT_SENTENCE_SIZE];
		struct fault flt;

		json_put_text(other, "registry", federation_name_of(mount->federation, registries[i]));
		put_registry(other, mount, registries[i]);
		registry_last_fault(registries[i], &flt);
		fault_sentence(&flt, sentence);
		if (flt.verdict)
			json_put_text(other, "lastError", sentence);
		else
			json_put_null(other, "lastError");
		json_add(list, other);
	}
	json_put(json, "otherRegistries", list);
}

int status_render(struct mount *mount, struct buf *out, struct fault *flt)
{
	struct json *json = json_new_object();
	struct registry *registry = mount_registry(mount, NULL);
	int verdict;

	json_put_shown(json, "mountpoint", mount->folder);
	json_put_uint(json, "pid", (uint64_t)getpid());
	json_put_text(json, "version", WARGFS_VERSION);
	json_put_shown(json, "registry", http_url_name(registry_url(registry)));
	json_put_uint(json, "uptime", (uint64_t)(clock_now() - mount->started_at) / 1000);
	json_put_bool(json, "offline", mount->options.offline);
	put_registry(json, mount, registry);
	put_others(json, mount);
	put_cache(json, mount);
	put_downloads(json, mount);
	put_last_error(json, mount);
	verdict = json_render(json, JSON_SHOWN_COMPACT, out, flt);
	json_free(json);
	return verdict;
}

static void send_status(struct status *status, int to)
{
	const struct timeval patience = { .tv_sec = SEND_SECONDS };
	struct buf text;
	size_t sent = 0;

	buf_init(&text, ASKING_MOST);
	setsockopt(to, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (status_render(status->mount, &text, NULL) == 0) {
		while (sent < text.length) {
			ssize_t count = send(to, text.data + sent, text.length - sent, MSG_NOSIGNAL);

			if (count <= 0)
				break;
			sent += (size_t)count;
		}
	}
	buf_release(&text);
}

/* @return false if no whole line came in time */
static bool read_line(int from, char line[static ASKING_LINE_SIZE])
{
	struct pollfd watched = { .fd = from, .events = POLLIN };
	clock_ms deadline = clock_in_seconds(LINE_SECONDS);
	size_t length = 0;

	while (length < ASKING_LINE_SIZE && poll(&watched, 1, clock_left(deadline)) > 0) {
		ssize_t got = recv(from, line + length, ASKING_LINE_SIZE - length, MSG_DONTWAIT);
		char *end = got > 0 ? memchr(line + length, '\n', (size_t)got) : NULL;

		if (end)
			*end = 0;
		if (end || got <= 0)
			return end;
		length += (size_t)got;
	}
	return false;
}

/* Takes over the connection. */
static void answer(struct status *status, int to)
{
	const struct http_url *home = registry_url(status->mount->registry);
	const size_t refresh = sizeof(ASKING_REFRESH) - 1;
	char line[ASKING_LINE_SIZE];

	bool is_read = read_line(to, line);

	if (is_read && strncmp(line, ASKING_REFRESH, refresh) == 0 && strcmp(line + refresh, home->text) == 0) {
		refreshing_begin(status->mount, to);
		return;
	}
	if (is_read && strcmp(line, ASKING_STATUS) == 0)
		send_status(status, to);
	close(to);
}

static void *run(void *argument)
{
	struct status *status = argument;
	struct pollfd watched[2] = { { .fd = status->socket, .events = POLLIN },
				     { .fd = status->stop, .events = POLLIN } };

	while (!watched[1].revents) {
		int to;

		if (poll(watched, 2, -1) < 0 && errno != EINTR)
			break;
		if (!(watched[0].revents & POLLIN))
			continue;
		to = accept4(status->socket, NULL, NULL, SOCK_CLOEXEC);
		if (to < 0)
			continue;
		answer(status, to);
	}
	return NULL;
}

int status_start(struct mount *mount, int socket, struct status **out, struct fault *flt)
{
	struct status *status = calloc(1, sizeof(*status));
	int error;

	if (!status) {
		close(socket);
		return fault_no_memory(flt);
	}
	*status = (struct status){ .mount = mount, .socket = socket };
	status->stop = eventfd(0, EFD_CLOEXEC);
	error = status->stop < 0 ? errno : thread_start(&status->thread, run, status);
	if (error) {
		if (status->stop >= 0)
			close(status->stop);
		close(socket);
		free(status);
		return fault_system(flt, error, "the thread that tells the status cannot be started");
	}
	*out = status;
	return 0;
}

void status_stop(struct status *status)
{
	if (!status)
		return;
	eventfd_write(status->stop, 1);
	pthread_join(status->thread, NULL);
	close(status->stop);
	close(status->socket);
	free(status);
}
