/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What is to be published: kept, found again, shared with the cache, never swept away under anybody: staging.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/publish/journal.h"
#include "client/publish/pending.h"
#include "client/publish/staging.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"
#include "verify/caps.h"
#include "verify/hex.h"

#define LABEL "127.0.0.1-18741"
#define CONTENTS LABEL "/staging/contents"
#define FILES LABEL "/staging/files"

struct place {
	char *path;
	char state[4096];
	struct store *store;
	struct staging *staging;
	struct staging_hold hold;
};

static int set_up(void **state)
{
	static struct place place;
	char registries[4096], content[4096], own[4096];

	place.path = scratch_new();
	strcpy(place.state, scratch_path(place.path, "state"));
	strcpy(registries, scratch_path(place.path, "cache/registries"));
	strcpy(content, scratch_path(place.path, "cache/content"));
	strcpy(own, scratch_path(place.path, "own"));
	assert_int_equal(store_open(registries, content, own, LABEL, &place.store, NULL), 0);
	assert_int_equal(staging_open(place.state, LABEL, place.store, &place.staging, NULL), 0);
	assert_int_equal(staging_take_hold(place.staging, &place.hold, NULL), 0);
	*state = &place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;

	staging_end_hold(&place->hold);
	staging_close(place->staging);
	store_close(place->store);
	scratch_free(place->path);
	return 0;
}

static const char *named(const char *folder, const struct digest *digest)
{
	char hex[DIGEST_TEXT_SIZE];

	hex_encode(digest_span(digest), hex);
	return scratch_path(folder, hex);
}

static const char *content_path(const struct place *place, const struct digest *digest)
{
	return named(scratch_path(place->state, CONTENTS), digest);
}

static const char *cached_path(const struct place *place, const struct digest *digest)
{
	return named(scratch_path(place->path, "cache/content/sha256"), digest);
}

static const char *written_path(const struct place *place, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), FILES "/test/a/%s", name);
	return scratch_path(place->state, path);
}

static struct digest add(struct place *place, const char *text)
{
	struct digest digest, expected = digest_of(span_of_text(text));
	const char *path = scratch_path(place->path, "source");
	uint64_t size = 0;
	int fd;

	scratch_write_text(path, text);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(staging_add(place->staging, fd, &digest, &size, NULL), 0);
	close(fd);
	assert_int_equal(size, strlen(text));
	assert_true(digest_equals(&digest, &expected));
	return digest;
}

static int open_content(struct place *place, const struct digest *digest)
{
	struct fault flt = {0};
	uint64_t size;
	int fd = -7;

	assert_int_equal(staging_open_content(place->staging, digest, &fd, &size, &flt), 0);
	return fd;
}

/* How long a content is, for who only looks. */
static void test_size(void **state)
{
	struct place *place = *state;
	struct digest digest = add(place, "a few bytes"), none = {"none"};
	uint64_t size = 7;

	assert_true(staging_find_size(place->staging, &digest, &size));
	assert_int_equal(size, strlen("a few bytes"));
	assert_int_equal(unlink(content_path(place, &digest)), 0);
	size = 7;
	assert_true(staging_find_size(place->staging, &digest, &size));
	assert_int_equal(size, strlen("a few bytes"));
	assert_false(staging_find_size(place->staging, &none, &size));
}

static bool opens(struct place *place, const struct digest *digest, const char *text)
{
	char bytes[256] = "";
	int fd = open_content(place, digest);
	ssize_t count;

	if (fd < 0)
		return false;
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	count = read(fd, bytes, sizeof(bytes) - 1);
	close(fd);
	return count == (ssize_t)strlen(text) && !strcmp(bytes, text);
}

static void test_add(void **state)
{
	struct place *place = *state;
	struct digest digest = add(place, "added");
	struct stat here, cached;

	assert_true(scratch_holds(scratch_path(place->path, "source"), "added"));
	/* The person's file is another one: to write to it changes nothing here. */
	scratch_write_text(scratch_path(place->path, "source"), "other");
	assert_true(opens(place, &digest, "added"));
	assert_true(scratch_holds(cached_path(place, &digest), "added"));
	assert_int_equal(stat(content_path(place, &digest), &here), 0);
	assert_int_equal(here.st_mode & 07777, 0600);
	assert_int_equal(stat(cached_path(place, &digest), &cached), 0);
	assert_int_equal(here.st_ino, cached.st_ino);
	/* The same bytes again are the same content. */
	add(place, "added");
	assert_true(opens(place, &digest, "added"));
	assert_int_equal(scratch_count(scratch_path(place->state, CONTENTS)), 1);
}

static void test_add_big(void **state)
{
	enum { SIZE = 3 << 20 };
	struct place *place = *state;
	unsigned char *bytes = malloc(SIZE);
	struct digest expected, digest;
	uint64_t size;
	int fd;

	assert_non_null(bytes);
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (unsigned char)(i * 7 + (i >> 11));
	scratch_write(scratch_path(place->path, "big"), (struct span){bytes, SIZE});
	expected = digest_of((struct span){bytes, SIZE});
	free(bytes);
	fd = open(scratch_path(place->path, "big"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(staging_add(place->staging, fd, &digest, &size, NULL), 0);
	assert_true(digest_equals(&digest, &expected));
	assert_int_equal(size, SIZE);
	close(fd);
	fd = open_content(place, &digest);
	assert_true(fd >= 0);
	close(fd);
}

/* Past the limit of the disk, or of what a content may be, nothing stays behind. */
static void test_no_space(void **state)
{
	const struct rlimit small = {1000, 1000};
	struct place *place = *state;
	struct digest digest;
	struct fault flt = {0};
	pid_t child;
	int status;

	scratch_write_text(scratch_path(place->path, "long"), "");
	assert_int_equal(truncate(scratch_path(place->path, "long"), 100000), 0);
	child = fork();
	if (!child) {
		int fd = open(scratch_path(place->path, "long"), O_RDONLY | O_CLOEXEC);

		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &small);
		_exit(staging_add(place->staging, fd, &digest, NULL, &flt) == WARG_UNDECIDED && flt.errnum == EFBIG ?
		      0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(scratch_count(scratch_path(place->state, CONTENTS)), 0);
}

/* As the reference leaves it: in the cache only. */
static void test_from_cache(void **state)
{
	struct place *place = *state;
	struct digest digest = digest_of(span_of_text("staged by the reference"));
	struct stat here, cached;

	scratch_write_text(cached_path(place, &digest), "staged by the reference");
	assert_true(opens(place, &digest, "staged by the reference"));
	assert_int_equal(stat(content_path(place, &digest), &here), 0);
	assert_int_equal(stat(cached_path(place, &digest), &cached), 0);
	assert_int_not_equal(here.st_ino, cached.st_ino);
	/* From now on it is safe from whoever clears the cache. */
	assert_int_equal(unlink(cached_path(place, &digest)), 0);
	assert_true(opens(place, &digest, "staged by the reference"));
}

static void test_bytes_that_lie(void **state)
{
	struct place *place = *state;
	struct digest digest = digest_of(span_of_text("promised"));

	assert_int_equal(open_content(place, &digest), -1);
	scratch_write_text(cached_path(place, &digest), "other");
	assert_int_equal(open_content(place, &digest), -1);
	scratch_write_text(content_path(place, &digest), "another");
	assert_int_equal(open_content(place, &digest), -1);
	assert_int_equal(scratch_count(scratch_path(place->state, CONTENTS)), 0);
	/* What lies here lies, what is in the cache does not. */
	scratch_write_text(content_path(place, &digest), "another");
	scratch_write_text(cached_path(place, &digest), "promised");
	assert_true(opens(place, &digest, "promised"));
	/* What is in the cache lies, and is what others read: it is put right. */
	scratch_write_text(cached_path(place, &digest), "other");
	add(place, "promised");
	assert_true(scratch_holds(cached_path(place, &digest), "promised"));
}

static void test_links(void **state)
{
	struct place *place = *state;
	struct digest digest = digest_of(span_of_text("promised"));

	scratch_write_text(scratch_path(place->path, "victim"), "promised");
	assert_int_equal(symlink(scratch_path(place->path, "victim"), content_path(place, &digest)), 0);
	assert_int_equal(open_content(place, &digest), -1);
	add(place, "promised");
	assert_true(opens(place, &digest, "promised"));
	assert_true(scratch_holds(scratch_path(place->path, "victim"), "promised"));
}

/* Without a cache that can be written to, what is to be published is kept no less. */
static void test_without_cache(void **state)
{
	struct place *place = *state;
	struct digest digest;

	assert_int_equal(rename(scratch_path(place->path, "cache/content"), scratch_path(place->path, "away")), 0);
	scratch_write_text(scratch_path(place->path, "cache/content"), "no folder");
	digest = add(place, "kept");
	assert_true(opens(place, &digest, "kept"));
	digest = add(place, "added");
	assert_true(opens(place, &digest, "added"));
}

/* ---- Sweeping ---- */

static void sweep(struct place *place)
{
	struct fault flt = {0};

	staging_end_hold(&place->hold);
	assert_int_equal(staging_sweep(place->staging, NULL, &flt), 0);
	assert_int_equal(staging_take_hold(place->staging, &place->hold, NULL), 0);
}

static void name_in_pending(struct place *place, const struct digest *content)
{
	struct pending_entry entry = {.type = ENTRY_RELEASE, .version = "1.0.0", .content = *content};
	struct name name = forge_name("test:a");

	assert_int_equal(pending_begin(place->store, &name, NULL), 0);
	assert_int_equal(pending_change(place->store, &name, &entry, 1, NULL), 0);
}

/* A record that releases the content whose text is `content`. */
static void name_in_journal(struct place *place, const char *content)
{
	struct ecdsa_private_key *key = forge_key(2);
	struct record_entry entry = forge_release("1.0.0", content);
	struct record record = {.kind = RECORD_PACKAGE, .time = {1, 0}, .entries = &entry, .entry_count = 1};
	struct journal_entry journalled = {.name = forge_name("test:b")};
	struct forge_record made;
	struct journal *journal;
	struct journal_claim claim;
	bool had;

	forge_record(RECORD_PACKAGE, &record, key, &made);
	strcpy(journalled.key, ecdsa_public_key_text(ecdsa_private_key_public(key)));
	strcpy(journalled.signature, made.signature);
	buf_init(&journalled.content, CAP_RECORD);
	assert_int_equal(buf_append(&journalled.content, buf_span(&made.content), NULL), 0);
	assert_int_equal(journal_open(place->state, LABEL, &journal, NULL), 0);
	assert_int_equal(journal_claim(journal, &made.id, &claim, &had, NULL), 0);
	assert_int_equal(journal_put(journal, &claim, &journalled, NULL), 0);
	journal_end_claim(journal, &claim);
	journal_close(journal);
	journal_entry_release(&journalled);
	forge_record_release(&made);
	ecdsa_private_key_free(key);
}

static void test_sweep(void **state)
{
	struct place *place = *state;
	struct digest pending = add(place, "pending"), journalled = add(place, "journalled");
	struct digest lost = add(place, "lost");

	name_in_pending(place, &pending);
	name_in_journal(place, "journalled");
	scratch_write_text(scratch_path(place->state, CONTENTS "/.new-0123"), "half");
	scratch_write_text(scratch_path(place->state, CONTENTS "/a person's"), "own");
	/* Somebody works on it. */
	assert_int_equal(staging_sweep(place->staging, NULL, NULL), 0);
	assert_int_equal(scratch_count(scratch_path(place->state, CONTENTS)), 5);
	sweep(place);
	assert_int_equal(scratch_count(scratch_path(place->state, CONTENTS)), 3);
	assert_true(opens(place, &pending, "pending"));
	assert_true(opens(place, &journalled, "journalled"));
	assert_int_equal(access(content_path(place, &lost), F_OK), -1);
	/* In the cache it stays: it may be published already. */
	assert_true(scratch_holds(cached_path(place, &lost), "lost"));
	assert_true(scratch_holds(scratch_path(place->state, CONTENTS "/a person's"), "own"));
}

/* Who cannot tell what is named removes nothing. */
static void test_sweep_blindly(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};

	add(place, "content");
	scratch_write_text(scratch_path(place->path, "cache/registries/" LABEL "/pending-publish.json"), "{");
	staging_end_hold(&place->hold);
	assert_int_equal(staging_sweep(place->staging, NULL, &flt), WARG_INVALID);
	assert_int_equal(scratch_count(scratch_path(place->state, CONTENTS)), 1);
}

static void test_hold_of_the_dead(void **state)
{
	struct place *place = *state;
	int pipes[2], status;
	pid_t child;
	char byte;

	add(place, "content");
	staging_end_hold(&place->hold);
	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (!child) {
		struct staging_hold hold;

		if (!staging_take_hold(place->staging, &hold, NULL) && write(pipes[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_int_equal(staging_sweep(place->staging, NULL, NULL), 0);
	assert_int_equal(scratch_count(scratch_path(place->state, CONTENTS)), 1);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(staging_sweep(place->staging, NULL, NULL), 0);
	assert_int_equal(scratch_count(scratch_path(place->state, CONTENTS)), 0);
	close(pipes[0]);
	close(pipes[1]);
}

/* ---- Files ---- */

static void test_list_files(void **state)
{
	struct place *place = *state;
	struct staging_file *files;
	size_t count = 7;

	assert_int_equal(staging_list_files(place->staging, &files, &count, NULL), 0);
	assert_int_equal(count, 0);
	free(files);
	scratch_write_text(written_path(place, "1.0.0.wasm.part"), "12345");
	scratch_write_text(scratch_path(place->state, FILES "/Test/a/x"), "no namespace");
	scratch_write_text(scratch_path(place->state, FILES "/test/file"), "no folder");
	assert_int_equal(symlink(scratch_path(place->state, FILES "/test/a"),
				 scratch_path(place->state, FILES "/test/link")), 0);
	assert_int_equal(symlink("1.0.0.wasm.part", written_path(place, "link")), 0);
	assert_int_equal(staging_list_files(place->staging, &files, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_string_equal(files[0].name.text, "test:a");
	assert_string_equal(files[0].file, "1.0.0.wasm.part");
	assert_int_equal(files[0].size, 5);
	assert_true(files[0].modified > 1700000000);
	free(files);
}

/* ---- Claims ---- */

/* A mount at this path; or, without a claim, a command. */
static struct staging *another(const struct place *place, bool (*is_ending)(const char *owner), const char *owner)
{
	struct staging *staging = NULL;

	assert_int_equal(staging_open(place->state, LABEL, place->store, &staging, NULL), 0);
	if (is_ending)
		assert_int_equal(staging_claim_files(staging, owner, is_ending, NULL), 0);
	return staging;
}

static bool stands(const char *owner)
{
	assert_string_equal(owner, "/mnt/first");
	return false;
}

/* Called until the mount has ended: here at the second call. */
static struct staging *ending;
static unsigned asked;

static bool is_ending(const char *owner)
{
	(void)owner;
	if (asked++ == 1) {
		staging_close(ending);
		ending = NULL;
	}
	return true;
}

static size_t count_files(struct staging *staging)
{
	struct staging_file *files = NULL;
	size_t count = 0;

	assert_int_equal(staging_list_files(staging, &files, &count, NULL), 0);
	free(files);
	return count;
}

/* Each mount uses a folder of its own; commands, which claim none, see all. */
static void test_claims(void **state)
{
	struct place *place = *state;
	struct staging *first, *second, *third;

	scratch_write_text(written_path(place, "old"), "from before there were claims");
	first = another(place, stands, "/mnt/first");
	second = another(place, stands, "/mnt/second");
	scratch_write_text(scratch_path(place->state, LABEL "/staging/files-2/test/a/new"), "of the second");
	scratch_write_text(scratch_path(place->state, LABEL "/staging/files-2/.publish/test/b/c"), "of the second");
	scratch_write_text(scratch_path(place->state, LABEL "/staging/files-2/test/a/old"), "has its name taken");
	assert_int_equal(count_files(first), 1);
	assert_int_equal(count_files(second), 2);
	assert_int_equal(count_files(place->staging), 3);
	staging_close(second);
	staging_close(first);
	assert_int_equal(count_files(place->staging), 3);
	first = another(place, stands, "/mnt/first");
	assert_int_equal(count_files(first), 2);
	assert_true(scratch_holds(written_path(place, "new"), "of the second"));
	assert_true(scratch_holds(written_path(place, "old"), "from before there were claims"));
	assert_true(scratch_holds(scratch_path(place->state, FILES "/.publish/test/b/c"), "of the second"));
	assert_int_equal(scratch_count(scratch_path(place->state, LABEL "/staging/files-2")), 1);
	/* A claim waits for an ending mount. */
	asked = 0;
	ending = first;
	third = another(place, is_ending, "/mnt/third");
	assert_null(ending);
	assert_int_equal(count_files(third), 2);
	staging_close(third);
}

/* The number of mounts is bounded. */
static void test_claims_run_out(void **state)
{
	struct place *place = *state;
	struct staging *mounts[CAP_STAGING_MOUNTS], *one_more = another(place, NULL, NULL);
	struct fault flt = {0};

	for (size_t i = 0; i < CAP_STAGING_MOUNTS; i++)
		mounts[i] = another(place, stands, "/mnt/first");
	assert_int_equal(staging_claim_files(one_more, "/mnt/first", stands, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.errnum, EBUSY);
	staging_close(one_more);
	for (size_t i = 0; i < CAP_STAGING_MOUNTS; i++)
		staging_close(mounts[i]);
}

/* Two at once keep the same, and each finds it. */
static void test_together(void **state)
{
	enum { PROCESSES = 4, EACH = 20 };
	struct place *place = *state;
	struct digest digest = digest_of(span_of_text("the same"));
	const char *source = scratch_path(place->path, "source");
	int status;

	scratch_write_text(source, "the same");
	for (int i = 0; i < PROCESSES; i++) {
		pid_t child = fork();

		assert_true(child >= 0);
		for (int j = 0; !child && j < EACH; j++) {
			int fd = open(source, O_RDONLY | O_CLOEXEC);

			if (staging_add(place->staging, fd, &digest, NULL, NULL) || !opens(place, &digest, "the same"))
				_exit(1);
			close(fd);
		}
		if (!child)
			_exit(0);
	}
	for (int i = 0; i < PROCESSES; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(scratch_count(scratch_path(place->state, CONTENTS)), 1);
}

static int live(void *context, struct fault *flt)
{
	struct place *place = context;
	struct staging *staging = NULL;
	struct digest digest = digest_of(span_of_text("journalled"));
	struct staging_file *files = NULL;
	uint64_t size;
	size_t count;
	int fd = -1;
	int r = staging_open(place->state, LABEL, place->store, &staging, flt);

	if (!r)
		r = staging_claim_files(staging, "/mnt/first", stands, flt);
	if (!r)
		r = staging_open_content(staging, &digest, &fd, &size, flt);
	if (fd >= 0)
		close(fd);
	if (!r)
		r = staging_list_files(staging, &files, &count, flt);
	if (!r)
		r = staging_sweep(staging, NULL, flt);
	free(files);
	staging_close(staging);
	return r;
}

static void test_torture(void **state)
{
	struct place *place = *state;
	struct digest digest = add(place, "journalled");

	name_in_journal(place, "journalled");
	name_in_pending(place, &digest);
	scratch_write_text(written_path(place, "left"), "behind");
	staging_end_hold(&place->hold);
	torture(live, place);
	assert_true(opens(place, &digest, "journalled"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_add),
		TEST(test_size),
		TEST(test_add_big),
		TEST(test_no_space),
		TEST(test_from_cache),
		TEST(test_bytes_that_lie),
		TEST(test_links),
		TEST(test_without_cache),
		TEST(test_sweep),
		TEST(test_sweep_blindly),
		TEST(test_hold_of_the_dead),
		TEST(test_list_files),
		TEST(test_claims),
		TEST(test_claims_run_out),
		TEST(test_together),
		TEST(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
