/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The registry, the mutator and the client (see scene.h).
 */
#include "scene.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/base/file.h"
#include "client/registry/registry.h"
#include "tests/unit/data.h"
#include "tests/unit/fake_registry.h"
#include "tests/unit/forge.h"
#include "tests/unit/scratch.h"

#define PACKAGES 4
#define TEXT_MOST (64u << 10)
#define PATIENT 60 /* seconds, where nothing is held back on purpose */

const char *const scene_kind_names[SCENE_KINDS] = {
	"well-known", "checkpoint", "logs", "names", "ledger", "records", "inclusion", "consistency", "sources",
	"size", "bytes",
};

static const char *const packages[PACKAGES] = { "test:good", "test:victim", "test:late", "test:none" };
static const char *const versions[] = { "1.0.0", "1.1.0", "1.2.0", "2.0.0", "0.1.0-rc.1" };
#define VERSIONS (sizeof(versions) / sizeof(versions[0]))

/* What may be shown at one checkpoint, in words. */
struct truth {
	struct checkpoint contents;
	char *packages[PACKAGES]; /* NULL: there is none */
	char *listing;
};

struct scene {
	struct fake_registry *fake;
	struct http *http;
	char folder[256];
	char home[300], stored[300]; /* of the client, and what one left at the first checkpoint */
	struct truth truths[2];      /* at the first checkpoint, and at the second */
	struct buf past;             /* the first checkpoint as it was answered */
	bool is_past;                /* whether it is told still */

	pthread_mutex_t mutex;
	struct pool pool;
	bool records; /* whether answers go into the pool */
	/* The lie. */
	bool is_lying, may_stall, always;
	enum scene_kind kind;
	unsigned turn; /* which of the answers of that kind is changed; with `always` all */
	struct chance chance;
	atomic_uint mutations;
	atomic_uint spoken, silent; /* of them: that said something else, that did not come */
	struct mutation mutation;
	struct buf last;

	struct registry *registry;
	struct scene_result *result;
};

static void must(int verdict)
{
	assert_int_equal(verdict, 0);
}

/* ---- What the registry has beyond the fake one: contents, and where it is ---- */

static void answer_sources(struct server_connection *connection, const struct scene *scene, const char *digest)
{
	char body[1024], dashed[DIGEST_TEXT_SIZE];

	snprintf(dashed, sizeof(dashed), "%s", digest);
	dashed[strlen("sha256")] = '-';
	snprintf(body, sizeof(body),
		 "{\"contentSources\":{\"%s\":[{\"type\":\"httpGet\",\"url\":\"%.100scontent/%s\"}]}}", digest,
		 fake_registry_url(scene->fake)->text, dashed);
	server_answer(connection, 200, span_of_text(body));
}

static void answer_bytes(struct server_connection *connection, const char *hex)
{
	for (size_t i = 0; i < VERSIONS; i++) {
		struct digest digest = digest_of(span_of_text(versions[i]));
		char text[DIGEST_TEXT_SIZE];

		digest_format(&digest, text);
		if (!strcmp(text + strlen("sha256:"), hex)) {
			server_answer(connection, 200, span_of_text(versions[i]));
			return;
		}
	}
	server_answer(connection, 404, span_of_text(""));
}

static void answer_other(struct server_connection *connection, const struct server_request *request, void *user)
{
	const struct scene *scene = user;
	char body[300];

	if (!strncmp(request->target, "/v1/content/sha256:", 19) && strlen(request->target) < 100) {
		answer_sources(connection, scene, request->target + strlen("/v1/content/"));
	} else if (!strncmp(request->target, "/content/sha256-", 16)) {
		answer_bytes(connection, request->target + 16);
	} else if (!strcmp(request->target, "/.well-known/wasm-pkg/registry.json")) {
		snprintf(body, sizeof(body), "{\"wargUrl\":\"%.100s\"}", fake_registry_url(scene->fake)->text);
		server_answer(connection, 200, span_of_text(body));
	} else {
		server_answer(connection, 404, span_of_text("{\"status\":404,\"message\":\"nothing\"}"));
	}
}

/* ---- The mutator ---- */

static void forget_mutations(struct scene *scene)
{
	pthread_mutex_lock(&scene->mutex);
	scene->mutations = scene->spoken = scene->silent = 0;
	scene->mutation = (struct mutation){ .travel = TRAVEL_WHOLE };
	pthread_mutex_unlock(&scene->mutex);
}

static enum scene_kind kind_of(const struct server_request *request)
{
	static const struct {
		const char *path;
		enum scene_kind kind;
	} kinds[] = {
		{ "/.well-known/", KIND_WELL_KNOWN },      { "/v1/fetch/checkpoint", KIND_CHECKPOINT },
		{ "/v1/fetch/logs", KIND_LOGS },           { "/v1/fetch/names", KIND_NAMES },
		{ "/v1/ledger", KIND_LEDGER },             { "/ledger.bin", KIND_RECORDS },
		{ "/v1/proof/inclusion", KIND_INCLUSION }, { "/v1/proof/consistency", KIND_CONSISTENCY },
		{ "/v1/content/", KIND_SOURCES },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strncmp(request->target, kinds[i].path, strlen(kinds[i].path)))
			return kinds[i].kind;
	if (strncmp(request->target, "/content/", 9) != 0)
		return SCENE_KINDS;
	return strcmp(request->method, "HEAD") ? KIND_BYTES : KIND_SIZE;
}

/* Whether this answer is to be changed. */
static bool is_chosen(struct scene *scene, enum scene_kind kind)
{
	return scene->is_lying && kind == scene->kind && (scene->always || scene->turn-- == 0);
}

static void remember_body(struct pool *pool, struct span body)
{
	struct buf *kept = &pool->bodies[pool->count];

	if (pool->count == POOL || !body.length)
		return;
	buf_init(kept, MUTATION_MOST);
	must(buf_append(kept, body, NULL));
	pool->count++;
}

static void tamper(struct server_connection *connection, const struct server_request *request, int status,
		   struct span body, void *user)
{
	struct scene *scene = user;
	enum scene_kind kind = kind_of(request);
	struct answer answer = { status, !strcmp(request->method, "HEAD"), body };
	enum travel travel = TRAVEL_WHOLE;
	struct buf out;

	buf_init(&out, 2 * MUTATION_MOST);
	pthread_mutex_lock(&scene->mutex);
	if (kind == KIND_CHECKPOINT && scene->is_past)
		answer.body = buf_span(&scene->past);
	if (scene->records)
		remember_body(&scene->pool, answer.body);
	if (is_chosen(scene, kind)) {
		mutate_answer(&scene->chance, &answer, &scene->pool, scene->may_stall, &out, &scene->mutation);
		travel = scene->mutation.travel;
		scene->mutations++;
		scene->spoken += scene->mutation.says_other;
		scene->silent += travel != TRAVEL_WHOLE;
		scene->last.length = 0;
		must(buf_append(&scene->last, buf_span(&out), NULL));
	} else {
		mutate_nothing(&answer, &out);
	}
	pthread_mutex_unlock(&scene->mutex);
	server_write(connection, buf_span(&out));
	if (travel == TRAVEL_SILENT || travel == TRAVEL_DRIBBLE)
		server_hang(connection);
	buf_release(&out);
}

/* ---- What a client shows, in words ---- */

static char *text_take(struct buf *text)
{
	char *copy;

	must(buf_append(text, (struct span){ (const unsigned char *)"", 1 }, NULL));
	copy = strdup((const char *)text->data);
	assert_non_null(copy);
	buf_release(text);
	return copy;
}

static void put_release(struct buf *text, const struct package_release *release)
{
	char record[DIGEST_TEXT_SIZE], by[DIGEST_TEXT_SIZE], content[DIGEST_TEXT_SIZE], yanked_by[DIGEST_TEXT_SIZE];

	digest_format(&release->record_id, record);
	digest_format(&release->by, by);
	digest_format(&release->content, content);
	if (release->yank)
		digest_format(&release->yank->by, yanked_by);
	/* What a state file does not keep of a yanked release is no difference. */
	must(buf_append_format(text, NULL, "%s %s by %s at %lld.%d %s%s\n", release->version, record, by,
			       (long long)release->time.seconds, (int)release->time.nanos,
			       release->yank ? "yanked by " : "content ", release->yank ? yanked_by : content));
}

static char *describe_package(const struct view_package *package)
{
	size_t count;
	const struct package_release *releases = package_log_releases(package->log, &count);
	struct buf text;

	buf_init(&text, TEXT_MOST);
	for (size_t i = 0; i < count; i++)
		put_release(&text, &releases[i]);
	return text_take(&text);
}

static char *describe_listing(const struct listing *listing)
{
	struct buf text;

	buf_init(&text, TEXT_MOST);
	for (size_t i = 0; i < listing->names.count; i++)
		must(buf_append_format(&text, NULL, "%s\n", name_list_text(&listing->names, i)));
	return text_take(&text);
}

/* ---- Truth ---- */

static void learn(struct scene *scene, struct truth *truth)
{
	struct view *view = registry_view(scene->registry);

	truth->contents = view->checkpoint.contents;
	for (size_t i = 0; i < PACKAGES; i++) {
		struct name name = forge_name(packages[i]);
		const struct view_package *package = view_find(view, &name);

		truth->packages[i] = package ? describe_package(package) : NULL;
	}
	assert_true(view->listing && view->listing->complete);
	truth->listing = describe_listing(view->listing);
	view_unref(view);
}

static const struct truth *truth_at(const struct scene *scene, uint64_t length)
{
	for (size_t i = 0; i < 2; i++)
		if (scene->truths[i].contents.log_length == length)
			return &scene->truths[i];
	return NULL;
}

static void complain(struct scene *scene, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The first thing that is wrong is kept. */
static void complain(struct scene *scene, const char *format, ...)
{
	va_list arguments;

	if (scene->result->wrong[0])
		return;
	va_start(arguments, format);
	vsnprintf(scene->result->wrong, sizeof(scene->result->wrong), format, arguments);
	va_end(arguments);
}

static void check_package(struct scene *scene, const struct view_package *package)
{
	const struct truth *truth = truth_at(scene, package->log_length);
	char *shown = describe_package(package);
	bool is_true = false;

	for (size_t i = 0; truth && i < PACKAGES; i++)
		if (truth->packages[i] && !strcmp(packages[i], view_package_name_text(package)))
			is_true = !strcmp(truth->packages[i], shown);
	if (!is_true)
		complain(scene, "believed of %s, at %llu records: %s", view_package_name_text(package),
			 (unsigned long long)package->log_length, shown);
	free(shown);
}

/* All of what is listed is there; and if that is said to be all, it is. */
static void check_listing(struct scene *scene, const struct truth *truth, const struct listing *listing)
{
	char *shown = describe_listing(listing);
	char line[CAP_NAME_PART * 2 + 4];

	if (listing->complete && strcmp(shown, truth->listing) != 0)
		complain(scene, "believed to be a complete listing: %s", shown);
	for (size_t i = 0; i < listing->names.count; i++) {
		snprintf(line, sizeof(line), "%s\n", name_list_text(&listing->names, i));
		if (!strstr(truth->listing, line))
			complain(scene, "believed to be a package: %s", line);
	}
	free(shown);
}

static int check_each(void *user, const struct view_package *package)
{
	check_package(user, package);
	return 0;
}

static void check_view(struct scene *scene, const struct view *before)
{
	struct view *view = registry_view(scene->registry);
	const struct checkpoint *shown = &view->checkpoint.contents;
	const struct truth *truth = truth_at(scene, shown->log_length);

	if (shown->log_length < before->checkpoint.contents.log_length)
		complain(scene, "went back to %llu records", (unsigned long long)shown->log_length);
	if (shown->log_length && (!truth || !digest_equals(&shown->log_root, &truth->contents.log_root) ||
				  !digest_equals(&shown->map_root, &truth->contents.map_root) ||
				  shown->timestamp != truth->contents.timestamp))
		complain(scene, "believed a checkpoint of %llu records", (unsigned long long)shown->log_length);
	view_trie_each(&view->packages, check_each, scene);
	if (view->listing && truth)
		check_listing(scene, truth, view->listing);
	view_unref(view);
}

/* ---- What a client does ---- */

/* Whatever fails has a sentence, and accuses only where something was said. */
static void check_fault(struct scene *scene, const char *what, int verdict, const struct fault *flt)
{
	char sentence[FAULT_SENTENCE_SIZE];

	if (!verdict)
		return;
	fault_sentence(flt, sentence);
	if (!scene->result->account[0])
		snprintf(scene->result->account, sizeof(scene->result->account), "%.12s: %.230s", what, sentence);
	if (!flt->what[0] || flt->verdict != verdict)
		complain(scene, "%s fails without a reason: %s", what, sentence);
	if (!scene->mutations || flt->kind == FAULT_ABSENT)
		return;
	if (scene->silent == scene->mutations && verdict == WARG_INVALID)
		complain(scene, "%s accuses, of an answer that did not come: %s", what, sentence);
	if (scene->spoken == scene->mutations && scene->kind >= KIND_CHECKPOINT && scene->kind <= KIND_CONSISTENCY &&
	    scene->kind != KIND_LEDGER && (flt->kind == FAULT_TIMEOUT || flt->kind == FAULT_UNREACHABLE))
		complain(scene, "%s blames the network for what was said: %s", what, sentence);
}

static void open_registry(struct scene *scene, const char *home, unsigned timeout)
{
	static char registries[400], contents[400], own[400], state[400];
	struct registry_options options = {
		.url = *fake_registry_url(scene->fake),
		.registries_dir = registries,
		.content_dir = contents,
		.own_dir = own,
		.state_dir = state,
		.timeout = timeout,
	};

	snprintf(registries, sizeof(registries), "%s/registries", home);
	snprintf(contents, sizeof(contents), "%s/content", home);
	snprintf(own, sizeof(own), "%s/own", home);
	snprintf(state, sizeof(state), "%s/state", home);
	must(registry_open(&options, &scene->registry, NULL));
}

/* Ask which registry the URL stands for. What is answered may not be known to be false. */
static void discover(struct scene *scene, unsigned timeout)
{
	struct fault flt = {0};
	const struct http_url *url = fake_registry_url(scene->fake);
	struct http_url found;
	int verdict = api_discover(scene->http, url, clock_in_seconds(timeout), &found, &flt);

	check_fault(scene, "discovery", verdict, &flt);
	if (!verdict && scene->kind != KIND_WELL_KNOWN && strcmp(found.text, url->text) != 0)
		complain(scene, "discovered %s", found.text);
}

/* @return how many of its parts failed */
static unsigned add_packages(struct scene *scene)
{
	struct fault faults[PACKAGES] = {0};
	struct name names[PACKAGES];
	struct view *view;
	unsigned failed = 0;

	for (size_t i = 0; i < PACKAGES; i++)
		names[i] = forge_name(packages[i]);
	registry_add(scene->registry, names, PACKAGES, faults);
	view = registry_view(scene->registry);
	for (size_t i = 0; i < PACKAGES; i++) {
		const struct truth *truth = truth_at(scene, view->checkpoint.contents.log_length);
		bool is_there = truth && truth->packages[i];

		check_fault(scene, packages[i], faults[i].verdict, &faults[i]);
		if (faults[i].kind == FAULT_ABSENT && is_there && view->listing && view->listing->complete)
			complain(scene, "%s is believed to be absent", packages[i]);
		if (!faults[i].verdict && !view_find(view, &names[i]))
			complain(scene, "%s was had, and is not there", packages[i]);
		failed += faults[i].verdict && !(faults[i].kind == FAULT_ABSENT && !is_there);
	}
	view_unref(view);
	return failed;
}

static int wait_for(struct blocking_waiter *waiter, struct scene *scene, const char *what)
{
	struct fault flt = {0};
	int verdict = blocking_waiter_wait(waiter, &flt);

	check_fault(scene, what, verdict, &flt);
	return verdict;
}

/* Have a content and compare it. */
static unsigned fetch(struct scene *scene, const char *version, unsigned timeout)
{
	struct content *content = registry_content(scene->registry);
	struct digest digest = digest_of(span_of_text(version));
	struct blocking_waiter waiter = {0};
	struct content_file *file;
	char bytes[64] = "";
	uint64_t size = 0;
	int verdict;

	blocking_waiter_init(&waiter, clock_in_seconds(timeout));
	content_fetch_size(content, &digest, &waiter.waiter);
	wait_for(&waiter, scene, "a size");
	waiter = (struct blocking_waiter){0};
	blocking_waiter_init(&waiter, clock_in_seconds(timeout));
	content_fetch(content, &digest, &waiter.waiter);
	verdict = wait_for(&waiter, scene, "a content");
	file = content_find(content, &digest);
	if (!verdict && !file)
		complain(scene, "a content was had, and is not there");
	if (file && (file->size != strlen(version) || pread(file->fd, bytes, sizeof(bytes), 0) != (ssize_t)file->size ||
		     memcmp(bytes, version, file->size) != 0))
		complain(scene, "a content of other bytes: %.60s", bytes);
	if (file && (!content_find_size(content, &digest, &size) || size != strlen(version)))
		complain(scene, "a content of another size: %llu", (unsigned long long)size);
	content_file_unref(file);
	return verdict != 0;
}

/* @return how much of it failed */
static unsigned do_everything(struct scene *scene, unsigned timeout)
{
	struct view *before = registry_view(scene->registry);
	struct fault flt = {0};
	unsigned failed = 0;
	int verdict;

	discover(scene, timeout);
	verdict = registry_refresh(scene->registry, &flt);
	check_fault(scene, "refresh", verdict, &flt);
	failed += verdict != 0;
	check_view(scene, before);
	flt = (struct fault){0};
	verdict = registry_list(scene->registry, &flt);
	check_fault(scene, "listing", verdict, &flt);
	failed += verdict != 0;
	failed += add_packages(scene);
	check_view(scene, before);
	failed += fetch(scene, versions[0], timeout) + fetch(scene, versions[1], timeout);
	view_unref(before);
	return failed;
}

/* Everything works again, and all that is shown is what there is. */
static void recover(struct scene *scene, bool may_take_time, const char *when)
{
	struct view *view;
	unsigned failed, tries = 0;

	forget_mutations(scene);
	scene->result->account[0] = '\0';
	do
		failed = do_everything(scene, PATIENT);
	while (failed && may_take_time && ++tries < PATIENT);
	view = registry_view(scene->registry);
	if (failed || view->checkpoint.contents.log_length != scene->truths[1].contents.log_length)
		complain(scene, "%s, %u things fail: %s", when, failed, scene->result->account);
	else if (!view->listing || !view->listing->complete)
		complain(scene, "%s, the listing is not complete", when);
	view_unref(view);
}

/* ---- Folders ---- */

static void copy_tree(const char *from, const char *to)
{
	DIR *folder = opendir(from);
	struct dirent *entry;
	struct stat status;

	assert_non_null(folder);
	assert_int_equal(mkdir(to, 0700), 0);
	while ((entry = readdir(folder))) {
		char source[600], target[600];
		struct buf bytes;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		assert_true(snprintf(source, sizeof(source), "%s/%s", from, entry->d_name) < (int)sizeof(source));
		assert_true(snprintf(target, sizeof(target), "%s/%s", to, entry->d_name) < (int)sizeof(target));
		assert_int_equal(lstat(source, &status), 0);
		if (S_ISDIR(status.st_mode)) {
			copy_tree(source, target);
			continue;
		}
		bytes = data_read(source);
		scratch_write(target, buf_span(&bytes));
		assert_int_equal(chmod(target, status.st_mode & 07777), 0);
		buf_release(&bytes);
	}
	closedir(folder);
}

static void remove_tree(const char *path)
{
	if (access(path, F_OK) == 0)
		must(file_remove_tree(AT_FDCWD, path, NULL));
}

/* ---- A run ---- */

static void be_honest(struct scene *scene)
{
	pthread_mutex_lock(&scene->mutex);
	scene->is_lying = false;
	scene->is_past = false;
	pthread_mutex_unlock(&scene->mutex);
}

/* What the client knows before it is lied to. */
static void prepare(struct scene *scene, enum scene_client client, unsigned timeout)
{
	remove_tree(scene->home);
	if (client == CLIENT_STORED)
		copy_tree(scene->stored, scene->home);
	else
		assert_int_equal(mkdir(scene->home, 0700), 0);
	open_registry(scene, scene->home, timeout);
	if (client == CLIENT_RUNNING) {
		pthread_mutex_lock(&scene->mutex);
		scene->is_past = true;
		pthread_mutex_unlock(&scene->mutex);
		if (do_everything(scene, PATIENT))
			complain(scene, "before any lie: %s", scene->result->account);
		be_honest(scene);
		scene->result->account[0] = '\0';
	}
}

void scene_run(struct scene *scene, uint64_t seed, enum scene_kind kind, struct scene_result *out)
{
	static const char *const words[] = { "fresh", "running", "stored" };
	struct chance chance = { seed * 2654435761u + 1 };
	enum scene_client client = (enum scene_client)chance_below(&chance, SCENE_CLIENTS);
	char account[512];
	unsigned timeout;

	*out = (struct scene_result){ .kind = kind };
	fake_registry_forget_heads(scene->fake);
	if (kind == SCENE_KINDS)
		out->kind = (enum scene_kind)chance_below(&chance, SCENE_KINDS);
	scene->result = out;
	scene->may_stall = chance_below(&chance, 300) == 0;
	timeout = scene->may_stall ? 1 : PATIENT;
	prepare(scene, client, timeout);
	forget_mutations(scene);
	pthread_mutex_lock(&scene->mutex);
	scene->kind = out->kind;
	scene->always = !scene->may_stall && chance_below(&chance, 2);
	scene->turn = (unsigned)chance_below(&chance, 3) / 2;
	scene->chance = chance;
	scene->last.length = 0;
	scene->is_lying = true;
	pthread_mutex_unlock(&scene->mutex);
	do_everything(scene, timeout);
	be_honest(scene);
	out->mutations = scene->mutations;
	snprintf(account, sizeof(account), "%s, %.20s, %.60s: %.160s", words[client], scene_kind_names[out->kind],
		 scene->mutation.what, out->account[0] ? out->account : "nothing fails");
	recover(scene, scene->may_stall, "honest again");
	registry_close(scene->registry);
	if (chance_below(&chance, 4) == 0) {
		open_registry(scene, scene->home, PATIENT);
		recover(scene, false, "opened again");
		registry_close(scene->registry);
	}
	snprintf(out->account, sizeof(out->account), "%.250s", account);
}

struct span scene_last_answer(const struct scene *scene)
{
	return buf_span(&scene->last);
}

/* ---- Beginning and end ---- */

/* At the checkpoint of now, learn the truth from an honest run. */
static void learn_at(struct scene *scene, struct truth *truth, const char *home)
{
	struct scene_result result = {0};

	scene->result = &result;
	/* Whatever is shown is the truth. */
	scene->truths[0].contents.log_length = scene->truths[1].contents.log_length = 0;
	remove_tree(home);
	assert_int_equal(mkdir(home, 0700), 0);
	open_registry(scene, home, PATIENT);
	must(registry_refresh(scene->registry, NULL));
	must(registry_list(scene->registry, NULL));
	add_packages(scene);
	learn(scene, truth);
	registry_close(scene->registry);
}

static void record_past(struct scene *scene)
{
	struct http_exchange exchange = { .cap = CAP_BODY_SMALL, .deadline = clock_in_seconds(PATIENT) };
	struct http_exchange *exchanges[] = { &exchange };
	char url[200];

	snprintf(url, sizeof(url), "%.100sv1/fetch/checkpoint", fake_registry_url(scene->fake)->text);
	exchange.url = url;
	http_run(scene->http, exchanges, 1);
	must(exchange.verdict);
	scene->past = exchange.received;
	buf_init(&exchange.received, 0);
	http_exchange_release(&exchange);
}

struct scene *scene_new(const char *folder)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct checkpoint first;

	assert_non_null(scene);
	snprintf(scene->folder, sizeof(scene->folder), "%s", folder);
	snprintf(scene->home, sizeof(scene->home), "%.250s/home", folder);
	snprintf(scene->stored, sizeof(scene->stored), "%.250s/stored", folder);
	buf_init(&scene->last, 2 * MUTATION_MOST);
	pthread_mutex_init(&scene->mutex, NULL);
	must(http_new(&scene->http, NULL));
	scene->fake = fake_registry_new();
	server_on(fake_registry_server(scene->fake), "*", answer_other, scene);
	server_on_answering(fake_registry_server(scene->fake), tamper, scene);
	fake_registry_release(scene->fake, packages[0], versions[0]);
	fake_registry_release(scene->fake, packages[1], versions[0]);
	fake_registry_release(scene->fake, packages[1], versions[1]);
	fake_registry_sign(scene->fake);
	scene->records = true;
	record_past(scene);
	learn_at(scene, &scene->truths[0], scene->stored);
	first = scene->truths[0].contents;
	fake_registry_release(scene->fake, packages[0], versions[2]);
	fake_registry_yank(scene->fake, packages[1], versions[0]);
	fake_registry_release(scene->fake, packages[2], versions[4]);
	fake_registry_release(scene->fake, packages[1], versions[3]);
	fake_registry_sign(scene->fake);
	learn_at(scene, &scene->truths[1], scene->home);
	scene->truths[0].contents = first;
	scene->records = false;
	assert_true(scene->truths[0].packages[1] && scene->truths[1].packages[2] && !scene->truths[0].packages[2] &&
		    !scene->truths[1].packages[3]);
	assert_string_not_equal(scene->truths[0].packages[1], scene->truths[1].packages[1]);
	assert_non_null(strstr(scene->truths[1].packages[1], "yanked"));
	return scene;
}

void scene_free(struct scene *scene)
{
	fake_registry_free(scene->fake);
	http_free(scene->http);
	for (size_t i = 0; i < 2; i++) {
		for (size_t j = 0; j < PACKAGES; j++)
			free(scene->truths[i].packages[j]);
		free(scene->truths[i].listing);
	}
	for (size_t i = 0; i < scene->pool.count; i++)
		buf_release(&scene->pool.bodies[i]);
	buf_release(&scene->past);
	buf_release(&scene->last);
	pthread_mutex_destroy(&scene->mutex);
	remove_tree(scene->home);
	remove_tree(scene->stored);
	free(scene);
}
