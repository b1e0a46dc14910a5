/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The server's database: who may open it, what outlives an end, and what a wrong file is: database.h, statement.h. */
#include <errno.h>
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

#include "scratch.h"
#include "server/database_parts.h"
#include "server/schema.h"
#include "server/statement.h"
#include "torture.h"

static char *folder;
static const char *data_dir;

static int set_up(void **state)
{
	(void)state;
	folder = scratch_new();
	data_dir = scratch_path(folder, "data");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scratch_free(folder);
	return 0;
}

static struct database *open_database(void)
{
	struct database *database;
	struct fault flt = {0};
	int r = database_open(data_dir, &database, &flt);

	if (r)
		fail_msg("%s", flt.what);
	return database;
}

static int try_put(struct database *database, uint64_t node, struct fault *flt)
{
	const struct digest hash = digest_of(span_of_text("some node"));
	struct statement *statement;
	int r = statement_use(database, "INSERT INTO log_nodes (node, hash) VALUES (?, ?)", &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, node);
	statement_put_digest(statement, 2, &hash);
	return statement_run(statement, flt);
}

static void put(struct database *database, uint64_t node)
{
	assert_int_equal(try_put(database, node, NULL), 0);
}

static uint64_t count(struct database *database)
{
	struct statement *statement;
	bool found = false;
	uint64_t number;

	assert_int_equal(statement_use(database, "SELECT count(*) FROM log_nodes", &statement, NULL), 0);
	assert_int_equal(statement_step(statement, &found, NULL), 0);
	assert_true(found);
	number = statement_number(statement, 0);
	statement_end(statement);
	return number;
}

static void begin(struct database *database)
{
	assert_int_equal(database_begin(database, NULL), 0);
}

static void commit(struct database *database)
{
	assert_int_equal(database_commit(database, NULL), 0);
}

static void test_kept(void **state)
{
	struct database *database = open_database();
	struct stat seen;

	(void)state;
	assert_int_equal(stat(data_dir, &seen), 0);
	assert_int_equal(seen.st_mode & 0777, 0700);
	begin(database);
	put(database, 0);
	commit(database);
	begin(database);
	put(database, 1);
	database_rollback(database);
	database_rollback(database);
	begin(database);
	put(database, 2);
	database_close(database);
	database = open_database();
	assert_int_equal(count(database), 1);
	database_close(database);
}

static void test_one_writer(void **state)
{
	struct database *database = open_database(), *other = NULL;
	struct fault flt = {0};

	(void)state;
	assert_int_equal(database_open(data_dir, &other, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_EXISTS);
	assert_null(other);
	database_close(database);
	database_close(open_database());
}

/* Each reads from one moment, whatever is written meanwhile, and cannot write. */
static void test_readers(void **state)
{
	struct database *database = open_database(), *reader = NULL;

	(void)state;
	assert_int_equal(database_open_reading(data_dir, &reader, NULL), 0);
	begin(reader);
	assert_int_equal(count(reader), 0);
	begin(database);
	put(database, 0);
	commit(database);
	assert_int_equal(count(reader), 0);
	commit(reader);
	assert_int_equal(count(reader), 1);
	assert_int_not_equal(try_put(reader, 1, NULL), 0);
	database_close(reader);
	database_close(database);
}

static void test_nothing_there(void **state)
{
	struct database *reader = NULL;
	struct fault flt = {0};

	(void)state;
	assert_int_equal(database_open_reading(data_dir, &reader, &flt), WARG_UNDECIDED);
	assert_null(reader);
	assert_int_equal(access(data_dir, F_OK), -1);
}

static void test_no_database(void **state)
{
	struct database *database = NULL;
	struct fault flt = {0};

	(void)state;
	scratch_write_text(scratch_path(folder, "data/registry.db"), "This is a text, and no database at all.\n"
			   "It goes on for a while, so that nobody takes it for a file that is being made.\n");
	assert_int_equal(database_open(data_dir, &database, &flt), WARG_INVALID);
	assert_null(database);
}

static void test_of_the_future(void **state)
{
	struct database *database = open_database();
	struct fault flt = {0};

	(void)state;
	assert_int_equal(database_run(database, "PRAGMA user_version = 999", NULL), 0);
	database_close(database);
	database = NULL;
	assert_int_equal(database_open(data_dir, &database, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
	assert_null(database);
}

/* What was committed is there, what was not is not, and the folder is free. */
static void test_killed(void **state)
{
	pid_t other = fork();
	struct database *database;
	int status;

	(void)state;
	if (other == 0) {
		database = open_database();
		begin(database);
		put(database, 0);
		commit(database);
		begin(database);
		put(database, 1);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_true(WIFSIGNALED(status));
	database = open_database();
	assert_int_equal(count(database), 1);
	database_close(database);
}

/* A disk that is full refuses, and takes more once there is room. */
static void test_full(void **state)
{
	struct database *database = open_database();
	struct rlimit all, little;
	struct fault flt = {0};
	uint64_t node = 0, kept;
	int r = 0;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
	little = (struct rlimit){64 << 10, all.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	while (!r && node < 10000) {
		r = database_begin(database, &flt);
		for (int i = 0; i < 10 && !r; i++)
			r = try_put(database, node++, &flt);
		if (!r)
			r = database_commit(database, &flt);
	}
	assert_int_equal(r, WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_SYSTEM);
	database_rollback(database);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
	kept = count(database);
	assert_int_equal(kept % 10, 0);
	begin(database);
	put(database, 20000);
	commit(database);
	assert_int_equal(count(database), kept + 1);
	database_close(database);
}

/* What the tables do not take. */
static void test_constraints(void **state)
{
	struct database *database = open_database();
	struct fault flt = {0};

	(void)state;
	put(database, 0);
	assert_int_equal(try_put(database, 0, &flt), WARG_INVALID);
	assert_int_not_equal(database_run(database, "INSERT INTO log_nodes VALUES (1, x'00')", NULL), 0);
	assert_int_equal(count(database), 1);
	database_close(database);
}

static int open_once(void *context, struct fault *flt)
{
	struct database *database = NULL;
	int r = database_open(data_dir, &database, flt);

	(void)context;
	if (r)
		assert_null(database);
	database_close(database);
	return r;
}

static void test_torture(void **state)
{
	(void)state;
	torture(open_once, NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kept), TEST(test_one_writer), TEST(test_readers), TEST(test_nothing_there),
		TEST(test_no_database), TEST(test_of_the_future), TEST(test_killed), TEST(test_full),
		TEST(test_constraints), TEST(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
