/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Contents on their way, and where they lie: content_files.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "scratch.h"
#include "server/content_files.h"
#include "torture.h"

#define MODULE "\0asm\1\0\0\0\0\5\4name"
#define SIZE 15u
#define LIMIT 100u

static char *folder;
static struct content_files *files;
static struct span module;
static struct digest digest;

/* The result of fsync() of a folder, and a hook called before it. */
static int sync_error;
static void (*before_sync)(void);

int fsync(int fd)
{
	struct stat status;

	if (fstat(fd, &status) || !S_ISDIR(status.st_mode))
		return (int)syscall(SYS_fsync, fd);
	if (before_sync)
		before_sync();
	errno = sync_error;
	return sync_error ? -1 : (int)syscall(SYS_fsync, fd);
}

static int set_up(void **state)
{
	(void)state;
	folder = scratch_new();
	module = (struct span){(const unsigned char *)MODULE, SIZE};
	digest = digest_of(module);
	return content_files_open(scratch_path(folder, "contents"), LIMIT, &files, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	content_files_close(files);
	scratch_free(folder);
	return 0;
}

static const char *path(const char *name)
{
	return scratch_path(scratch_path(folder, "contents"), name);
}

/* @param expected  the digest that it is received as */
static enum incoming_verdict receive(struct span bytes, const struct digest *expected, size_t piece,
				     struct fault *flt)
{
	struct incoming *incoming;
	enum incoming_verdict verdict;

	assert_int_equal(incoming_begin(files, expected, INCOMING_WASM, &incoming, NULL), 0);
	for (size_t at = 0; at < bytes.length; at += piece) {
		size_t length = bytes.length - at < piece ? bytes.length - at : piece;

		assert_int_equal(incoming_write(incoming, (struct span){bytes.data + at, length}, NULL), 0);
	}
	assert_int_equal(incoming_keep(incoming, &verdict, flt), 0);
	incoming_free(incoming);
	assert_int_equal(scratch_count(path("tmp")), 0);
	return verdict;
}

static void kept(void **state)
{
	struct content_file file;
	char name[CONTENT_FILE_NAME_SIZE];
	unsigned char bytes[SIZE + 1];
	struct fault flt = {0};

	(void)state;
	assert_false(content_files_have(files, &digest));
	assert_int_equal(content_files_read(files, &digest, &file, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	for (size_t piece = 1; piece <= SIZE; piece++)
		assert_int_equal(receive(module, &digest, piece, NULL), INCOMING_FINE);
	assert_true(content_files_have(files, &digest));
	assert_int_equal(content_files_read(files, &digest, &file, NULL), 0);
	assert_int_equal(file.size, SIZE);
	assert_int_equal(read(file.fd, bytes, sizeof(bytes)), SIZE);
	assert_memory_equal(bytes, MODULE, SIZE);
	close(file.fd);
	content_file_name(&digest, name);
	assert_memory_equal(name, "sha256-", 7);
	assert_int_equal(access(path("files"), F_OK), 0);
	assert_int_equal(scratch_count(path("files")), 1);
}

static void refused(void **state)
{
	unsigned char large[LIMIT + 1] = "\0asm\1\0\0\0\0\x5b";
	const struct span texts[] = {
		span_of_text("no module"), {module.data, SIZE - 1}, {module.data, 7}, {0},
		{large, LIMIT + 1},
	};
	struct digest largest;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const struct digest own = digest_of(texts[i]);
		struct fault flt = {0};

		assert_int_equal(receive(texts[i], &own, 4, &flt), INCOMING_REFUSED);
		assert_true(*flt.what);
		assert_false(content_files_have(files, &own));
	}
	/* As large as may be. */
	large[9] = LIMIT - 10;
	largest = digest_of((struct span){large, LIMIT});
	assert_int_equal(receive((struct span){large, LIMIT}, &largest, 50, NULL), INCOMING_FINE);
}

static void other_bytes(void **state)
{
	const struct digest other = digest_of(span_of_text("other"));
	struct fault flt = {0};

	(void)state;
	assert_int_equal(receive(module, &other, 4, &flt), INCOMING_OTHER);
	assert_non_null(strstr(flt.what, "does not match"));
	assert_int_equal(scratch_count(path("files")), 0);
}

static void given_up(void **state)
{
	struct incoming *incoming;

	(void)state;
	assert_int_equal(incoming_begin(files, &digest, INCOMING_WASM, &incoming, NULL), 0);
	assert_int_equal(incoming_write(incoming, module, NULL), 0);
	assert_int_equal(scratch_count(path("tmp")), 1);
	incoming_free(incoming);
	incoming_free(NULL);
	assert_int_equal(scratch_count(path("tmp")), 0);
}

static void one_server(void **state)
{
	struct content_files *other;
	struct fault flt = {0};

	(void)state;
	assert_int_equal(content_files_open(scratch_path(folder, "contents"), LIMIT, &other, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_EXISTS);
}

static void left_behind(void **state)
{
	(void)state;
	content_files_close(files);
	scratch_write_text(path("tmp/content-0123456789abcdef"), "half");
	assert_int_equal(content_files_open(scratch_path(folder, "contents"), LIMIT, &files, NULL), 0);
	assert_int_equal(scratch_count(path("tmp")), 0);
}

/* Only files with this program's names, and of its kind, are removed. */
static void not_ours(void **state)
{
	static const char *const kept[] = {"tmp/thesis.txt", "tmp/content-1234", "tmp/content-0123456789abcdeF",
					   "tmp/content-fedcba9876543210/note", "tmp/below/content-0123456789abcdef"};
	const size_t count = sizeof(kept) / sizeof(kept[0]);

	(void)state;
	assert_int_equal(receive(module, &digest, SIZE, NULL), INCOMING_FINE);
	content_files_close(files);
	for (size_t i = 0; i < count; i++)
		scratch_write_text(path(kept[i]), "kept");
	scratch_write_text(path("letter.txt"), "kept");
	assert_int_equal(symlink("../letter.txt", path("tmp/content-1111111111111111")), 0);
	assert_int_equal(content_files_open(scratch_path(folder, "contents"), LIMIT, &files, NULL), 0);
	for (size_t i = 0; i < count; i++)
		assert_true(scratch_holds(path(kept[i]), "kept"));
	assert_int_equal(access(path("tmp/content-1111111111111111"), F_OK), 0);
}

/* A folder that is neither empty nor has contents is not touched. */
static void strange_folder(void **state)
{
	static const struct {
		const char *file;
		bool is_fine;
	} rows[] = {
		{"tmp/thesis.txt", false}, {"files/thesis.txt", false}, {"thesis.txt", false}, {".profile", false},
		{"tmp/content-0123456789abcdef/x", true}, {"tmp", false}, {"lost+found/x", true},
		{"tmp/content-0123456789abcdef", true}, {"lock", true}, {"files/sha256-12", false},
	};
	char name[32];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct content_files *other = NULL;
		struct fault flt = {0};
		const char *top;

		snprintf(name, sizeof(name), "other%zu", i);
		top = scratch_path(folder, name);
		scratch_write_text(scratch_path(top, rows[i].file), "kept");
		assert_int_equal(content_files_open(top, LIMIT, &other, &flt), rows[i].is_fine ? 0 : WARG_UNDECIDED);
		assert_int_equal(!other, !rows[i].is_fine);
		content_files_close(other);
		if (rows[i].is_fine)
			continue;
		assert_int_equal(flt.kind, FAULT_MISUSE);
		assert_non_null(strstr(flt.what, "other things"));
		assert_true(scratch_holds(scratch_path(top, rows[i].file), "kept"));
		assert_int_equal(scratch_count(top), 1);
	}
}

static void is_not_there_yet(void)
{
	char name[CONTENT_FILE_NAME_SIZE], below[128];

	content_file_name(&digest, name);
	snprintf(below, sizeof(below), "files/%s", name);
	assert_int_equal(access(path(below), F_OK), 0);
	assert_false(content_files_have(files, &digest));
}

/* A content that a power cut could still remove does not count. */
static void unsynced(void **state)
{
	struct incoming *incoming;
	enum incoming_verdict verdict;
	struct fault flt = {0};

	(void)state;
	before_sync = is_not_there_yet;
	sync_error = EIO;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(incoming_begin(files, &digest, INCOMING_WASM, &incoming, NULL), 0);
		assert_int_equal(incoming_write(incoming, module, NULL), 0);
		flt = (struct fault){0};
		assert_int_equal(incoming_keep(incoming, &verdict, &flt), WARG_UNDECIDED);
		assert_int_equal(flt.errnum, EIO);
		incoming_free(incoming);
		assert_false(content_files_have(files, &digest));
	}
	sync_error = 0;
	assert_int_equal(receive(module, &digest, SIZE, NULL), INCOMING_FINE);
	before_sync = NULL;
	assert_true(content_files_have(files, &digest));
	/* A stored content stays while it is uploaded again. */
	sync_error = EIO;
	assert_int_equal(incoming_begin(files, &digest, INCOMING_WASM, &incoming, NULL), 0);
	assert_int_equal(incoming_write(incoming, module, NULL), 0);
	assert_int_equal(incoming_keep(incoming, &verdict, NULL), WARG_UNDECIDED);
	incoming_free(incoming);
	sync_error = 0;
	assert_true(content_files_have(files, &digest));
}

/* Where a content should be lies something else. */
static void strangers(void **state)
{
	char name[CONTENT_FILE_NAME_SIZE], below[128];
	struct content_file file;

	(void)state;
	content_file_name(&digest, name);
	snprintf(below, sizeof(below), "files/%s", name);
	assert_int_equal(symlink("/etc/passwd", path(below)), 0);
	assert_false(content_files_have(files, &digest));
	assert_int_equal(content_files_read(files, &digest, &file, NULL), WARG_UNDECIDED);
	assert_int_equal(receive(module, &digest, 4, NULL), INCOMING_FINE);
	assert_true(content_files_have(files, &digest));
}

static int receive_again(void *context, struct fault *flt)
{
	struct incoming *incoming;
	int r = incoming_begin(context, &digest, INCOMING_WASM, &incoming, flt);

	if (!r)
		incoming_free(incoming);
	return r;
}

static void without_memory(void **state)
{
	(void)state;
	torture(receive_again, files);
	assert_int_equal(scratch_count(path("tmp")), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(kept), TEST(refused), TEST(other_bytes), TEST(given_up), TEST(one_server), TEST(left_behind),
		TEST(not_ours), TEST(strange_folder), TEST(unsynced),
		TEST(strangers), TEST(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
