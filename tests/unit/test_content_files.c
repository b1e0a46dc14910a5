/* Contents on their way, and where they lie: content_files.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	scratch_write_text(path("tmp/content-1234"), "half");
	assert_int_equal(content_files_open(scratch_path(folder, "contents"), LIMIT, &files, NULL), 0);
	assert_int_equal(scratch_count(path("tmp")), 0);
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
		TEST(strangers), TEST(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
