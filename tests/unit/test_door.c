/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The library's door, warg.h: each function against a registry in memory that lies on request, from several threads,
 * with a callback that cancels, and without memory.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/base/json.h"
#include "client/warg.h"
#include "fake_publish.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"

#define SOURCE "/source"
#define MODULE "\0asm\1\0\0\0\0\5\4name"

struct scene {
	struct fake_registry *fake;
	struct fake_publish *publish;
	char *folder;
	char *registries, *contents, *cache, *state;
	char sources[512]; /* the answer that says where the content of test:good 1.0.0 is */
	struct warg_options options;
	struct warg *warg;
};

static struct digest content_digest(void)
{
	return digest_of(span_of_text("1.0.0")); /* as forge_release() has it */
}

/* Say that the content of version 1.0.0 is to be had at SOURCE. */
static void tell_source(struct scene *scene)
{
	static char path[128];
	char text[DIGEST_TEXT_SIZE];
	struct digest digest = content_digest();
	struct embedded_registry *server = fake_registry_server(scene->fake);

	digest_format(&digest, text);
	snprintf(path, sizeof(path), "/v1/content/%s", text);
	snprintf(scene->sources, sizeof(scene->sources),
		 "{\"contentSources\":{\"%s\":[{\"type\":\"httpGet\",\"url\":\"%s%s\"}]}}", text, server_url(server),
		 SOURCE + 1);
	server_on_answer(server, path, 200, span_of_text(scene->sources));
}

/* Have it come as `bytes`. */
static void serve(struct scene *scene, const char *bytes)
{
	tell_source(scene);
	server_on_answer(fake_registry_server(scene->fake), SOURCE, 200, span_of_text(bytes));
}

static char *path_in(const struct scene *scene, const char *name)
{
	return strdup(scratch_path(scene->folder, name));
}

static struct scene scene_new(void)
{
	struct scene scene = {.fake = fake_registry_new(), .folder = scratch_new()};

	scene.publish = fake_publish_new(scene.fake);
	scene.registries = path_in(&scene, "registries");
	scene.contents = path_in(&scene, "content");
	scene.cache = path_in(&scene, "cache");
	scene.state = path_in(&scene, "state");
	scene.options = (struct warg_options){
		.size = sizeof(scene.options),
		.url = fake_registry_url(scene.fake)->text,
		.registries_dir = scene.registries,
		.content_dir = scene.contents,
		.cache_dir = scene.cache,
		.state_dir = scene.state,
		.timeout = 60,
	};
	fake_registry_release(scene.fake, "test:good", "0.9.0");
	fake_registry_release(scene.fake, "test:good", "1.0.0");
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_yank(scene.fake, "test:good", "1.1.0");
	fake_registry_release(scene.fake, "test:victim", "1.0.0");
	fake_registry_sign(scene.fake);
	return scene;
}

static void open_it(struct scene *scene)
{
	assert_int_equal(warg_open(&scene->options, &scene->warg), 0);
}

static struct scene scene_open(void)
{
	struct scene scene = scene_new();

	open_it(&scene);
	return scene;
}

static void scene_release(struct scene *scene)
{
	warg_close(scene->warg);
	fake_registry_free(scene->fake);
	fake_publish_free(scene->publish);
	scratch_free(scene->folder);
	free(scene->registries);
	free(scene->contents);
	free(scene->cache);
	free(scene->state);
}

#define assert_failed(call, verdict, kind, party) do { \
	assert_int_equal(call, verdict); \
	assert_int_equal(warg_error_kind(), kind); \
	assert_int_equal(warg_error_party(), party); \
	assert_true(warg_error_text()[0]); \
	assert_null(strchr(warg_error_text(), '\n')); \
} while (0)

/* A file that is gone when it is closed. */
static int new_file(struct span bytes)
{
	int fd = memfd_create("door", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes.data, bytes.length), (ssize_t)bytes.length);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void assert_holds(int fd, const char *text)
{
	char got[256] = "";

	assert_int_equal(pread(fd, got, sizeof(got) - 1, 0), (ssize_t)strlen(text));
	assert_string_equal(got, text);
}

/* ---- Walks ---- */

struct seen {
	char text[512];
	int stops;
};

static int see(void *user, const char *name)
{
	struct seen *seen = user;

	strcat(strcat(seen->text, name), " ");
	return seen->stops;
}

static int see_release(void *user, const struct warg_release *release)
{
	struct seen *seen = user;

	assert_string_equal(release->package, "test:good");
	assert_true(release->digest && release->record && release->released_by && release->registry[0]);
	assert_null(release->operator_key);
	strcat(strcat(seen->text, release->version), release->yanked_by ? "! " : " ");
	return seen->stops;
}

static void test_walks(void **state)
{
	struct scene scene = scene_open();
	struct seen seen = {0};
	uint64_t length = 0;
	int complete = 0;

	(void)state;
	assert_int_equal(warg_refresh(scene.warg, &length), 0);
	assert_true(length > 2);
	assert_int_equal(warg_each_namespace(scene.warg, see, &seen, &complete), 0);
	assert_string_equal(seen.text, "test ");
	assert_true(complete);
	seen = (struct seen){0};
	assert_int_equal(warg_each_package(scene.warg, "test", see, &seen, &complete), 0);
	assert_string_equal(seen.text, "test:good test:victim ");
	seen = (struct seen){"", 1};
	assert_int_equal(warg_each_package(scene.warg, "test", see, &seen, NULL), 0);
	assert_string_equal(seen.text, "test:good ");
	seen = (struct seen){0};
	assert_int_equal(warg_each_release(scene.warg, "test:good", see_release, &seen), 0);
	assert_string_equal(seen.text, "0.9.0 1.0.0 1.1.0! ");
	scene_release(&scene);
}

static void test_absent(void **state)
{
	struct scene scene = scene_open();
	struct warg_release *release = NULL;
	struct seen seen = {0};

	(void)state;
	assert_failed(warg_each_package(scene.warg, "none", see, &seen, NULL), WARG_UNDECIDED, WARG_KIND_ABSENT,
		      WARG_PARTY_UNKNOWN);
	assert_int_equal(warg_each_release(scene.warg, "test:none", see_release, &seen), WARG_UNDECIDED);
	assert_int_equal(warg_error_kind(), WARG_KIND_ABSENT);
	assert_int_equal(warg_resolve(scene.warg, "test:good", "^2", &release), WARG_UNDECIDED);
	assert_int_equal(warg_error_kind(), WARG_KIND_ABSENT);
	assert_int_equal(warg_resolve(scene.warg, "test:good", "1.1.0", &release), WARG_UNDECIDED);
	assert_int_equal(warg_error_kind(), WARG_KIND_ABSENT);
	assert_non_null(strstr(warg_error_text(), "yanked"));
	assert_null(release);
	scene_release(&scene);
}

/* What a registry has no ledger for cannot be listed in full. */
static void test_incomplete(void **state)
{
	struct scene scene = scene_open();
	struct seen seen = {0};
	int complete = 1;

	(void)state;
	fake_registry_lie(scene.fake, LIE_LEDGER_NONE, NULL);
	assert_int_equal(warg_each_namespace(scene.warg, see, &seen, &complete), 0);
	assert_string_equal(seen.text, "test ");
	assert_false(complete);
	scene_release(&scene);
}

/* ---- Fetching ---- */

static struct warg_release *resolve(struct scene *scene, const char *requirement)
{
	struct warg_release *release = NULL;

	assert_int_equal(warg_resolve(scene->warg, "test:good", requirement, &release), 0);
	return release;
}

static void test_fetched(void **state)
{
	struct scene scene = scene_open();
	struct warg_release *release = resolve(&scene, "^1");
	struct digest digest = content_digest();
	char text[DIGEST_TEXT_SIZE];
	int fd = new_file((struct span){0});

	(void)state;
	digest_format(&digest, text);
	assert_string_equal(release->version, "1.0.0");
	assert_string_equal(release->digest, text);
	serve(&scene, "1.0.0");
	assert_int_equal(warg_fetch(scene.warg, release, fd), 0);
	assert_holds(fd, "1.0.0");
	close(fd);
	warg_release_free(release);
	scene_release(&scene);
}

/* Bytes that are not the content are not written, and their source is accused. */
static void test_false_content(void **state)
{
	struct scene scene = scene_open();
	struct warg_release *release = resolve(&scene, "1.0.0");
	int fd = new_file((struct span){0});

	(void)state;
	serve(&scene, "1.0.1");
	assert_failed(warg_fetch(scene.warg, release, fd), WARG_INVALID, WARG_KIND_FORGED, WARG_PARTY_SOURCE);
	assert_holds(fd, "");
	close(fd);
	warg_release_free(release);
	scene_release(&scene);
}

/* Another program writes to the cached file, between its hashing and its copying. */
static int write_to_cache(void *user, const struct warg_progress *progress)
{
	const struct scene *scene = user;
	struct digest digest = content_digest();
	char text[DIGEST_TEXT_SIZE], name[128];
	int fd;

	if (strcmp(progress->what, "content") || progress->whole != strlen("1.0.0"))
		return 0;
	digest_format(&digest, text);
	snprintf(name, sizeof(name), "content/sha256/%s", text + strlen("sha256:"));
	fd = open(scratch_path(scene->folder, name), O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	assert_int_equal(pwrite(fd, "2", 1, 0), 1);
	close(fd);
	return 0;
}

static void test_changed_cache(void **state)
{
	struct scene scene = scene_new();
	struct warg_release *release;
	int fd = new_file((struct span){0});

	(void)state;
	scene.options.progress = write_to_cache;
	scene.options.user = &scene;
	open_it(&scene);
	release = resolve(&scene, "1.0.0");
	serve(&scene, "1.0.0");
	assert_failed(warg_fetch(scene.warg, release, fd), WARG_INVALID, WARG_KIND_FORGED, WARG_PARTY_CACHE);
	close(fd);
	warg_release_free(release);
	scene_release(&scene);
}

/* A lie of the registry accuses it, and nothing of it is shown. */
static void test_false_registry(void **state)
{
	static const struct {
		enum fake_lie lie;
		int kind;
	} lies[] = {
		{LIE_KEY_UNKNOWN, WARG_KIND_FORGED}, {LIE_LOG_ROOT, WARG_KIND_FORGED}, {LIE_RECORD, WARG_KIND_FORGED},
		{LIE_WITHHELD, WARG_KIND_FORGED}, {LIE_OPERATOR_RECORD, WARG_KIND_FORGED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct scene scene = scene_open();
		struct warg_release *release = NULL;

		fake_registry_lie(scene.fake, lies[i].lie, "test:good");
		assert_failed(warg_resolve(scene.warg, "test:good", NULL, &release), WARG_INVALID, lies[i].kind,
			      WARG_PARTY_REGISTRY);
		assert_null(release);
		scene_release(&scene);
	}
}

static void test_operator_key(void **state)
{
	struct scene scene = scene_new();
	uint64_t length = 7;

	(void)state;
	scene.options.operator_key = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
	open_it(&scene);
	assert_int_equal(warg_refresh(scene.warg, &length), WARG_INVALID);
	assert_int_equal(warg_error_kind(), WARG_KIND_FORGED);
	assert_int_equal(length, 7);
	scene_release(&scene);
}

/* ---- Offline ---- */

static void test_offline(void **state)
{
	struct scene scene = scene_new();
	struct warg *warg = NULL;
	struct warg_release *release;
	struct seen seen = {0};
	int fd = new_file((struct span){0}), complete = 1;
	unsigned asked;

	(void)state;
	scene.options.offline = 1;
	assert_int_equal(warg_open(&scene.options, &warg), WARG_UNDECIDED);
	assert_int_equal(warg_error_kind(), WARG_KIND_ABSENT);
	assert_null(warg);

	scene.options.offline = 0;
	open_it(&scene);
	serve(&scene, "1.0.0");
	assert_int_equal(warg_each_namespace(scene.warg, see, &seen, NULL), 0);
	release = resolve(&scene, "1.0.0");
	assert_int_equal(warg_fetch(scene.warg, release, fd), 0);
	warg_release_free(release);
	warg_close(scene.warg);
	asked = server_requests(fake_registry_server(scene.fake));

	scene.options.offline = 1;
	open_it(&scene);
	seen = (struct seen){0};
	assert_int_equal(warg_each_package(scene.warg, "test", see, &seen, &complete), 0);
	assert_string_equal(seen.text, "test:good test:victim ");
	assert_false(complete);
	release = resolve(&scene, "*");
	assert_string_equal(release->version, "1.0.0");
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(warg_fetch(scene.warg, release, fd), 0);
	assert_holds(fd, "1.0.0");
	warg_release_free(release);
	release = resolve(&scene, "0.9.0");
	assert_int_equal(warg_fetch(scene.warg, release, fd), WARG_UNDECIDED);
	warg_release_free(release);
	assert_int_equal(warg_publish(scene.warg, "test:new", "1.0.0", fd, NULL), WARG_UNDECIDED);
	assert_int_equal(warg_error_kind(), WARG_KIND_MISUSE);
	assert_int_equal(server_requests(fake_registry_server(scene.fake)), asked);
	close(fd);
	scene_release(&scene);
}

/* ---- Proof documents ---- */

static size_t prove(struct scene *scene, char *out, size_t size)
{
	struct warg_release *release = resolve(scene, "1.0.0");
	int fd = new_file((struct span){0});
	ssize_t length;

	assert_int_equal(warg_prove(scene->warg, release, fd), 0);
	length = pread(fd, out, size, 0);
	assert_true(length > 0 && (size_t)length < size);
	close(fd);
	warg_release_free(release);
	return (size_t)length;
}

static void test_proof(void **state)
{
	struct scene scene = scene_open();
	char document[1 << 16], key[WARG_DIGEST_SIZE];
	size_t length = prove(&scene, document, sizeof(document));
	int right = new_file(span_of_text("1.0.0")), wrong = new_file(span_of_text("1.0.1"));
	struct warg_release *release = NULL;

	(void)state;
	assert_int_equal(warg_check_proof(document, length, right, NULL, &release), 0);
	assert_string_equal(release->package, "test:good");
	assert_string_equal(release->version, "1.0.0");
	strcpy(key, release->operator_key);
	warg_release_free(release);
	assert_int_equal(warg_check_proof(document, length, -1, key, NULL), 0);
	release = NULL;
	assert_failed(warg_check_proof(document, length, wrong, NULL, &release), WARG_INVALID, WARG_KIND_FORGED,
		      WARG_PARTY_UNKNOWN);
	assert_null(release);
	key[strlen(key) - 1] ^= 1;
	assert_int_equal(warg_check_proof(document, length, -1, key, NULL), WARG_INVALID);
	assert_int_equal(warg_check_proof(document, length, -1, "key", NULL), WARG_UNDECIDED);
	assert_int_equal(warg_error_kind(), WARG_KIND_MISUSE);
	assert_int_equal(warg_check_proof(document, length - 10, -1, NULL, NULL), WARG_INVALID);
	assert_int_equal(warg_check_proof("", 0, -1, NULL, NULL), WARG_INVALID);
	*strstr(document, "1.0.0") = '2';
	assert_int_equal(warg_check_proof(document, length, -1, NULL, NULL), WARG_INVALID);
	close(right);
	close(wrong);
	scene_release(&scene);
}

/* ---- Publishing ---- */

static const struct span module = {(const unsigned char *)MODULE, sizeof(MODULE) - 1};

/* The key that the fake registry's packages belong to, as a text. */
static void use_key(struct scene *scene, struct buf *text)
{
	struct ecdsa_private_key *key = forge_key(2);

	buf_init(text, 256);
	assert_int_equal(ecdsa_private_key_format(key, text, NULL), 0);
	assert_int_equal(buf_append(text, (struct span){(const unsigned char *)"", 1}, NULL), 0);
	ecdsa_private_key_free(key);
	scene->options.signing_key = (const char *)text->data;
}

static void test_published(void **state)
{
	struct scene scene = scene_new();
	char record[WARG_DIGEST_SIZE] = "";
	struct warg_release *release = NULL;
	int fd = new_file(module);
	struct buf key;

	(void)state;
	use_key(&scene, &key);
	open_it(&scene);
	assert_int_equal(warg_publish(scene.warg, "test:new", "1.0.0", fd, record), 0);
	assert_int_equal(warg_resolve(scene.warg, "test:new", NULL, &release), 0);
	assert_string_equal(release->record, record);
	warg_release_free(release);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(warg_publish(scene.warg, "test:new", "1.0.0", fd, record), WARG_UNDECIDED);
	assert_int_equal(warg_error_kind(), WARG_KIND_EXISTS);
	assert_string_equal(record, "");
	assert_int_equal(fake_publish_counts(scene.publish).published, 1);
	close(fd);
	buf_release(&key);
	scene_release(&scene);
}

static void test_not_published(void **state)
{
	struct scene scene = scene_open();
	int fd = new_file(module), text = new_file(span_of_text("text")), ends[2];
	char record[WARG_DIGEST_SIZE];

	(void)state;
	assert_int_equal(warg_publish(scene.warg, "test:new", "1.0.0", fd, record), WARG_UNDECIDED);
	assert_int_equal(warg_error_kind(), WARG_KIND_NO_KEY);
	assert_failed(warg_publish(scene.warg, "test:new", "1.0.0", text, record), WARG_INVALID, WARG_KIND_FORGED,
		      WARG_PARTY_USER);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], "text", 4), 4);
	close(ends[1]);
	assert_int_equal(warg_publish(scene.warg, "test:new", "1.0.0", ends[0], record), WARG_INVALID);
	assert_int_equal(warg_publish(scene.warg, "test:new", "1", fd, record), WARG_UNDECIDED);
	assert_int_equal(warg_error_kind(), WARG_KIND_MISUSE);
	assert_int_equal(fake_publish_counts(scene.publish).posts, 0);
	close(ends[0]);
	close(fd);
	close(text);
	scene_release(&scene);
}

/* The registry's answer is lost: the record is under way, and the same call goes on with it. */
static void test_goes_on(void **state)
{
	struct scene scene = scene_new();
	char record[WARG_DIGEST_SIZE] = "", again[WARG_DIGEST_SIZE] = "";
	int fd = new_file(module);
	struct buf key;

	(void)state;
	use_key(&scene, &key);
	scene.options.timeout = 2;
	open_it(&scene);
	fake_publish_lie(scene.publish, PUBLISH_PROCESSES, 0);
	assert_int_equal(warg_publish(scene.warg, "test:new", "1.0.0", fd, record), WARG_UNDECIDED);
	assert_true(record[0]);
	fake_publish_lie(scene.publish, PUBLISH_HONEST, 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(warg_publish(scene.warg, "test:new", "1.0.0", fd, again), 0);
	assert_string_equal(record, again);
	assert_int_equal(fake_publish_counts(scene.publish).published, 1);
	close(fd);
	buf_release(&key);
	scene_release(&scene);
}

/* ---- Cancelling ---- */

/* A callback that cancels once it has been told of this so often. */
struct patience {
	const char *what;
	int left;
};

static int lose_patience(void *user, const struct warg_progress *progress)
{
	struct patience *patience = user;

	assert_int_equal(progress->size, sizeof(*progress));
	return !strcmp(progress->what, patience->what) && patience->left-- <= 0;
}

static void hang(struct server_connection *connection, const struct server_request *request, void *user)
{
	(void)request;
	(void)user;
	server_hang(connection);
}

static void test_cancelled_content(void **state)
{
	struct scene scene = scene_new();
	struct patience patience = {.what = "content", .left = 2};
	struct warg_release *release;
	int fd = new_file((struct span){0});

	(void)state;
	scene.options.progress = lose_patience;
	scene.options.user = &patience;
	open_it(&scene);
	release = resolve(&scene, NULL);
	tell_source(&scene);
	server_on(fake_registry_server(scene.fake), SOURCE, hang, NULL);
	assert_failed(warg_fetch(scene.warg, release, fd), WARG_UNDECIDED, WARG_KIND_CANCELLED, WARG_PARTY_USER);
	assert_holds(fd, "");
	server_release(fake_registry_server(scene.fake));
	close(fd);
	warg_release_free(release);
	scene_release(&scene);
}

/* Each call ends when its callback says so, though the registry answers nothing. */
static void test_cancelled(void **state)
{
	struct scene scene = scene_new();
	struct patience patience = {.what = "none"};
	struct warg_release *release = NULL;
	struct seen seen = {0};
	struct buf key;
	int fd = new_file(module);

	(void)state;
	use_key(&scene, &key);
	scene.options.progress = lose_patience;
	scene.options.user = &patience;
	open_it(&scene);
	fake_registry_gather(scene.fake, "v1/fetch/checkpoint", 2);
	patience = (struct patience){.what = "registry", .left = 2};
	assert_int_equal(warg_refresh(scene.warg, NULL), WARG_UNDECIDED);
	assert_int_equal(warg_error_kind(), WARG_KIND_CANCELLED);
	patience = (struct patience){.what = "package", .left = 2};
	assert_int_equal(warg_resolve(scene.warg, "test:good", NULL, &release), WARG_UNDECIDED);
	assert_int_equal(warg_error_kind(), WARG_KIND_CANCELLED);
	fake_registry_gather(scene.fake, "v1/fetch/checkpoint", 0);
	server_release(fake_registry_server(scene.fake));
	patience = (struct patience){.what = "listing", .left = 0};
	assert_int_equal(warg_each_namespace(scene.warg, see, &seen, NULL), WARG_UNDECIDED);
	assert_int_equal(warg_error_kind(), WARG_KIND_CANCELLED);
	fake_publish_lie(scene.publish, PUBLISH_PROCESSES, 0);
	patience = (struct patience){.what = "publish", .left = 5};
	assert_int_equal(warg_publish(scene.warg, "test:new", "1.0.0", fd, NULL), WARG_UNDECIDED);
	assert_int_equal(warg_error_kind(), WARG_KIND_CANCELLED);
	assert_null(release);
	assert_string_equal(seen.text, "");
	close(fd);
	buf_release(&key);
	scene_release(&scene);
}

/* Discovery that hangs is cancelled as well. */
static void test_cancelled_opening(void **state)
{
	struct scene scene = scene_new();
	struct patience patience = {.what = "registry", .left = 1};
	struct warg *warg = NULL;

	(void)state;
	server_on(fake_registry_server(scene.fake), "/.well-known/wasm-pkg/registry.json", hang, NULL);
	scene.options.progress = lose_patience;
	scene.options.user = &patience;
	assert_failed(warg_open(&scene.options, &warg), WARG_UNDECIDED, WARG_KIND_CANCELLED, WARG_PARTY_USER);
	assert_null(warg);
	scene_release(&scene);
}

/* ---- Threads ---- */

/* Two threads, each with a handle, or both with one; and each has its own last failure. */
static void *work(void *argument)
{
	struct warg *warg = argument;

	for (int i = 0; i < 5; i++) {
		struct warg_release *release = NULL;
		struct seen seen = {0};
		int fd = new_file((struct span){0});

		assert_int_equal(warg_each_package(warg, "test", see, &seen, NULL), 0);
		assert_int_equal(warg_resolve(warg, "test:good", "=1.0.0", &release), 0);
		assert_int_equal(warg_fetch(warg, release, fd), 0);
		assert_holds(fd, "1.0.0");
		warg_release_free(release);
		assert_int_equal(warg_resolve(warg, "test:none", NULL, &release), WARG_UNDECIDED);
		assert_non_null(strstr(warg_error_text(), "test:none"));
		close(fd);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct scene scene = scene_open();
	struct warg *other = NULL;
	pthread_t threads[3];

	(void)state;
	serve(&scene, "1.0.0");
	assert_int_equal(warg_open(&scene.options, &other), 0);
	assert_failed(warg_resolve(NULL, NULL, NULL, NULL), WARG_UNDECIDED, WARG_KIND_MISUSE, WARG_PARTY_USER);
	assert_int_equal(pthread_create(&threads[0], NULL, work, scene.warg), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, work, scene.warg), 0);
	assert_int_equal(pthread_create(&threads[2], NULL, work, other), 0);
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(warg_error_kind(), WARG_KIND_MISUSE);
	warg_close(other);
	scene_release(&scene);
}

/* ---- Arguments ---- */

static void test_options(void **state)
{
	struct scene scene = scene_new();
	struct {
		struct warg_options options;
		char later[64];
	} grown = {.options = scene.options};
	struct warg *warg = NULL;

	(void)state;
	assert_int_equal(warg_open(NULL, &warg), WARG_UNDECIDED);
	assert_int_equal(warg_open(&scene.options, NULL), WARG_UNDECIDED);
	scene.options.size = 8;
	assert_int_equal(warg_open(&scene.options, &warg), WARG_UNDECIDED);
	scene.options.size = 1 << 20;
	assert_int_equal(warg_open(&scene.options, &warg), WARG_UNDECIDED);
	/* Members of a later version are fine as long as they are not set. */
	grown.options.size = sizeof(grown);
	assert_int_equal(warg_open(&grown.options, &warg), 0);
	warg_close(warg);
	warg = NULL;
	grown.later[40] = 1;
	assert_failed(warg_open(&grown.options, &warg), WARG_UNDECIDED, WARG_KIND_MISUSE, WARG_PARTY_USER);
	assert_non_null(strstr(warg_error_text(), "later version"));
	scene.options.size = sizeof(scene.options);
	scene.options.state_dir = "state";
	assert_int_equal(warg_open(&scene.options, &warg), WARG_UNDECIDED);
	scene.options.state_dir = scene.state;
	scene.options.url = "ftp://x/";
	assert_int_equal(warg_open(&scene.options, &warg), WARG_UNDECIDED);
	scene.options.url = fake_registry_url(scene.fake)->text;
	scene.options.operator_key = "key";
	assert_int_equal(warg_open(&scene.options, &warg), WARG_UNDECIDED);
	scene.options.operator_key = NULL;
	scene.options.signing_key = "key";
	assert_int_equal(warg_open(&scene.options, &warg), WARG_UNDECIDED);
	scene.options.signing_key = NULL;
	scene.options.token = "a\nb";
	assert_int_equal(warg_open(&scene.options, &warg), WARG_UNDECIDED);
	scene.options.token = NULL;
	scene.options.ca_file = "/nowhere";
	assert_failed(warg_open(&scene.options, &warg), WARG_UNDECIDED, WARG_KIND_MISUSE, WARG_PARTY_USER);
	assert_null(warg);
	scene_release(&scene);
}

static void test_misuse(void **state)
{
	struct scene scene = scene_open();
	struct warg_release empty = {0}, *release = NULL;
	char version[5000];
	struct seen seen = {0};

	(void)state;
	memset(version, '1', sizeof(version) - 1);
	version[sizeof(version) - 1] = 0;
	assert_int_equal(warg_resolve(scene.warg, "test", NULL, &release), WARG_UNDECIDED);
	assert_int_equal(warg_resolve(scene.warg, version, NULL, &release), WARG_UNDECIDED);
	assert_int_equal(warg_resolve(scene.warg, "test:good", version, &release), WARG_UNDECIDED);
	assert_failed(warg_resolve(scene.warg, "test:good", "v1", &release), WARG_UNDECIDED, WARG_KIND_MISUSE,
		      WARG_PARTY_UNKNOWN);
	assert_int_equal(warg_fetch(scene.warg, &empty, 1), WARG_UNDECIDED);
	assert_int_equal(warg_prove(scene.warg, &empty, 1), WARG_UNDECIDED);
	empty.package = "test:good";
	assert_int_equal(warg_fetch(scene.warg, &empty, 1), WARG_UNDECIDED);
	assert_int_equal(warg_prove(scene.warg, &empty, 1), WARG_UNDECIDED);
	empty.version = "7.0.0";
	assert_int_equal(warg_prove(scene.warg, &empty, 1), WARG_UNDECIDED);
	assert_int_equal(warg_error_kind(), WARG_KIND_ABSENT);
	assert_int_equal(warg_fetch(scene.warg, &empty, -1), WARG_UNDECIDED);
	assert_int_equal(warg_each_package(scene.warg, "Test", see, &seen, NULL), WARG_UNDECIDED);
	assert_int_equal(warg_each_package(scene.warg, NULL, see, &seen, NULL), WARG_UNDECIDED);
	assert_int_equal(warg_each_namespace(scene.warg, NULL, NULL, NULL), WARG_UNDECIDED);
	assert_int_equal(warg_check_proof(NULL, 1, -1, NULL, NULL), WARG_UNDECIDED);
	warg_release_free(NULL);
	warg_close(NULL);
	warg_options_release(NULL);
	assert_true(warg_version()[0]);
	scene_release(&scene);
}

/* ---- The environment ---- */

static void set(const char *name, const char *value)
{
	assert_int_equal(value ? setenv(name, value, 1) : unsetenv(name), 0);
}

/* Options of a user whose home is the scene's folder. */
static void use_environment(struct scene *scene, struct warg_options *options)
{
	const char *file = scratch_path(scene->folder, "config.json");
	char text[CAP_URL + 128];

	set("HOME", scene->folder);
	set("XDG_CONFIG_HOME", NULL);
	set("XDG_CACHE_HOME", NULL);
	set("XDG_STATE_HOME", NULL);
	for (const char *const *name = (const char *const[]){"CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR",
	     "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", NULL}; *name; name++)
		set(*name, NULL);
	snprintf(text, sizeof(text), "{\"homeUrl\": \"%s\", \"keyringBackend\": \"flat-file\"}",
		 fake_registry_url(scene->fake)->text);
	scratch_write_text(file, text);
	options->state_dir = scene->state;
	assert_int_equal(warg_options_from_environment(options, file), 0);
}

static void test_environment(void **state)
{
	struct scene scene = scene_new();
	struct warg_options options = {.size = sizeof(options)};
	struct warg *warg = NULL;

	(void)state;
	use_environment(&scene, &options);
	assert_string_equal(options.url, fake_registry_url(scene.fake)->text);
	assert_ptr_equal(options.state_dir, scene.state);
	assert_int_equal(strncmp(options.cache_dir, scene.folder, strlen(scene.folder)), 0);
	assert_int_equal(warg_options_from_environment(&options, NULL), WARG_UNDECIDED);
	assert_int_equal(warg_open(&options, &warg), 0);
	warg_options_release(&options);
	assert_null(options.url);
	assert_ptr_equal(options.state_dir, scene.state);
	/* The handle keeps what it needs. */
	assert_int_equal(warg_refresh(warg, NULL), 0);
	assert_int_equal(warg_publish(warg, "test:new", "1.0.0", -1, NULL), WARG_UNDECIDED);
	warg_close(warg);
	assert_int_equal(warg_options_from_environment(&options, "/nowhere/config.json"), WARG_UNDECIDED);
	assert_null(options.environment);
	scene_release(&scene);
}

/* ---- Other registries, and tokens ---- */

/* A namespace that the operator imports is listed, and its packages come from the other registry. */
static void test_elsewhere(void **state)
{
	struct fake_registry *other = fake_registry_new_by("other", 5);
	struct warg_release *release = NULL;
	struct scene scene = scene_new();
	struct seen seen = {0};

	(void)state;
	fake_registry_release(other, "other:good", "2.0.0");
	fake_registry_sign(other);
	fake_registry_import(scene.fake, "other", fake_registry_domain(other));
	fake_registry_sign(scene.fake);
	open_it(&scene);
	assert_int_equal(warg_each_namespace(scene.warg, see, &seen, NULL), 0);
	assert_string_equal(seen.text, "other test ");
	seen = (struct seen){0};
	assert_int_equal(warg_each_package(scene.warg, "other", see, &seen, NULL), 0);
	assert_string_equal(seen.text, "other:good ");
	assert_int_equal(warg_resolve(scene.warg, "other:good", NULL, &release), 0);
	assert_string_equal(release->version, "2.0.0");
	assert_string_equal(release->registry, fake_registry_domain(other));
	warg_release_free(release);
	/* What the other one lies about is told of it. */
	fake_registry_lie(other, LIE_KEY_UNKNOWN, NULL);
	fake_registry_release(other, "other:good", "2.1.0");
	fake_registry_sign(other);
	assert_failed(warg_resolve(scene.warg, "other:good", NULL, &release), WARG_INVALID, WARG_KIND_FORGED,
		      WARG_PARTY_REGISTRY);
	assert_non_null(strstr(warg_error_text(), fake_registry_domain(other)));
	scene_release(&scene);
	fake_registry_free(other);
}

/* The first resolve of a namespace that the home registry has only just imported. */
static void test_imported_late(void **state)
{
	struct fake_registry *other = fake_registry_new_by("other", 5);
	struct warg_release *release = NULL;
	struct scene scene = scene_open();

	(void)state;
	fake_registry_release(other, "other:good", "2.0.0");
	fake_registry_sign(other);
	assert_int_equal(warg_resolve(scene.warg, "other:good", NULL, &release), WARG_UNDECIDED);
	assert_int_equal(warg_error_kind(), WARG_KIND_ABSENT);
	fake_registry_import(scene.fake, "other", fake_registry_domain(other));
	fake_registry_sign(scene.fake);
	assert_int_equal(warg_resolve(scene.warg, "other:good", NULL, &release), 0);
	assert_string_equal(release->version, "2.0.0");
	warg_release_free(release);
	scene_release(&scene);
	fake_registry_free(other);
}

/* A hint is followed where the configuration lets it be, and is only told of otherwise. */
static void test_hint(void **state)
{
	struct fake_registry *other = fake_registry_new_by("other", 5);
	struct warg_options options = {.size = sizeof(options)};
	struct warg_release *release = NULL;
	struct scene scene = scene_open();
	char hint[128];

	(void)state;
	fake_registry_release(other, "other:good", "2.0.0");
	fake_registry_sign(other);
	snprintf(hint, sizeof(hint), "other=%s", fake_registry_domain(other));
	fake_registry_hint(scene.fake, hint);
	assert_int_equal(warg_resolve(scene.warg, "other:good", NULL, &release), WARG_UNDECIDED);
	assert_int_equal(warg_error_kind(), WARG_KIND_ABSENT);
	assert_non_null(strstr(warg_error_text(), fake_registry_domain(other)));
	warg_close(scene.warg);

	use_environment(&scene, &options);
	assert_int_equal(warg_open(&options, &scene.warg), 0);
	warg_options_release(&options);
	assert_int_equal(warg_resolve(scene.warg, "other:good", NULL, &release), 0);
	assert_string_equal(release->version, "2.0.0");
	warg_release_free(release);
	scene_release(&scene);
	fake_registry_free(other);
}

static void test_token(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	fake_registry_demand(scene.fake, "secret");
	open_it(&scene);
	assert_failed(warg_refresh(scene.warg, NULL), WARG_UNDECIDED, WARG_KIND_LOGIN, WARG_PARTY_REGISTRY);
	warg_close(scene.warg);
	scene.options.token = "secret";
	open_it(&scene);
	assert_int_equal(warg_refresh(scene.warg, NULL), 0);
	scene_release(&scene);
}

/* ---- Without memory ---- */

static int try_check(void *context, struct fault *flt)
{
	struct buf *document = context;
	int r = warg_check_proof(document->data, document->length, -1, NULL, NULL);

	if (r) {
		assert_int_equal(warg_error_kind(), WARG_KIND_SYSTEM);
		fault_no_memory(flt);
	}
	return r;
}

static int try_open(void *context, struct fault *flt)
{
	struct scene *scene = context;
	struct warg *warg = NULL;
	int r = warg_open(&scene->options, &warg);

	if (r) {
		assert_null(warg);
		fault_undecided(flt, (enum fault_kind)warg_error_kind(), "%s", warg_error_text());
	}
	warg_close(warg);
	return r;
}

static int try_resolve(void *context, struct fault *flt)
{
	struct scene *scene = context;
	struct warg_release *release = NULL;
	int r = warg_resolve(scene->warg, "test:good", "^1", &release);

	if (r) {
		assert_null(release);
		fault_undecided(flt, (enum fault_kind)warg_error_kind(), "%s", warg_error_text());
	}
	warg_release_free(release);
	return r;
}

static void test_without_memory(void **state)
{
	struct scene scene = scene_open();
	char text[1 << 16];
	struct buf document;

	(void)state;
	buf_init(&document, sizeof(text));
	assert_int_equal(buf_append(&document, (struct span){(unsigned char *)text, prove(&scene, text, sizeof(text))},
				    NULL), 0);
	torture(try_check, &document);
	torture_any(try_resolve, &scene);
	torture_some(try_open, &scene, 7);
	buf_release(&document);
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walks),
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_fetched),
		cmocka_unit_test(test_false_content),
		cmocka_unit_test(test_changed_cache),
		cmocka_unit_test(test_false_registry),
		cmocka_unit_test(test_operator_key),
		cmocka_unit_test(test_offline),
		cmocka_unit_test(test_proof),
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_not_published),
		cmocka_unit_test(test_goes_on),
		cmocka_unit_test(test_cancelled_content),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_cancelled_opening),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_elsewhere),
		cmocka_unit_test(test_imported_late),
		cmocka_unit_test(test_hint),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
