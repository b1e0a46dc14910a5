/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Contents that are held open.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/open_contents.h"
#include "scratch.h"

static struct digest digest_number(unsigned number)
{
	struct digest digest = {0};

	memcpy(digest.bytes, &number, sizeof(number));
	return digest;
}

/* A file that verified, with one reference. */
static struct content_file *new_file(const char *path)
{
	struct content_file *file = calloc(1, sizeof(*file));
	struct stat status;

	assert_non_null(file);
	scratch_write_text(path, "bytes");
	file->fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(file->fd >= 0);
	assert_int_equal(fstat(file->fd, &status), 0);
	atomic_init(&file->references, 1);
	file->size = (uint64_t)status.st_size;
	file->facts = (struct content_facts){status.st_dev, status.st_ino, file->size, status.st_mtim, status.st_ctim};
	return file;
}

static bool finds(struct open_contents *held, unsigned number)
{
	struct digest digest = digest_number(number);
	struct content_file *file = open_contents_find(held, &digest);

	content_file_unref(file);
	return file;
}

static void keep(struct open_contents *held, unsigned number, struct content_file *file)
{
	struct digest digest = digest_number(number);

	open_contents_keep(held, &digest, file);
}

static void test_held(void **state)
{
	char *folder = scratch_new();
	struct content_file *file = new_file(scratch_path(folder, "a")), *other = new_file(scratch_path(folder, "b"));
	struct open_contents *held;

	(void)state;
	assert_int_equal(open_contents_new(&held, NULL), 0);
	assert_false(finds(held, 0));
	keep(held, 0, file);
	assert_int_equal(atomic_load(&file->references), 2);
	assert_true(finds(held, 0));
	assert_false(finds(held, 1));

	/* In the place of what was held of the same content. */
	keep(held, 0, other);
	assert_int_equal(atomic_load(&file->references), 1);
	keep(held, 0, file);

	/* Without its name it is still what it was; changed, it is not. */
	assert_int_equal(unlink(scratch_path(folder, "a")), 0);
	assert_true(finds(held, 0));
	keep(held, 1, other);
	scratch_write_text(scratch_path(folder, "b"), "other bytes");
	assert_false(finds(held, 1));
	assert_int_equal(atomic_load(&other->references), 1);

	content_file_unref(other);
	assert_int_equal(atomic_load(&file->references), 2);
	open_contents_free(held);
	assert_int_equal(atomic_load(&file->references), 1);
	content_file_unref(file);
	scratch_free(folder);
}

static void test_bounds(void **state)
{
	char *folder = scratch_new();
	struct content_file *file = new_file(scratch_path(folder, "a"));
	clock_ms now;
	struct open_contents *held;

	(void)state;
	assert_int_equal(open_contents_new(&held, NULL), 0);
	for (unsigned i = 0; i < OPEN_CONTENTS_MOST + 10; i++)
		keep(held, i, file);
	assert_int_equal(atomic_load(&file->references), OPEN_CONTENTS_MOST + 1);
	assert_true(finds(held, OPEN_CONTENTS_MOST + 9));

	/* After a while nobody reads. */
	now = clock_now();
	open_contents_let_go(held, now);
	assert_int_equal(atomic_load(&file->references), OPEN_CONTENTS_MOST + 1);
	open_contents_let_go(held, now + OPEN_CONTENTS_SECONDS * 1000);
	assert_int_equal(atomic_load(&file->references), 1);
	assert_false(finds(held, OPEN_CONTENTS_MOST + 9));
	keep(held, 1, file);
	assert_true(finds(held, 1));
	open_contents_free(held);
	content_file_unref(file);
	scratch_free(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_held), cmocka_unit_test(test_bounds)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
