/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Files that others may have put there: file.h. */
#include <errno.h>
#include <stdatomic.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/base/clock.h"
#include "client/base/file.h"
#include "scratch.h"
#include "torture.h"

struct place {
	char *path;
	int fd;
};

static int set_up(void **state)
{
	static struct place place;

	place.path = scratch_new();
	place.fd = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = &place;
	return place.fd < 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;

	close(place->fd);
	scratch_free(place->path);
	return 0;
}

static int expect_system(int verdict, const struct fault *flt, int errnum)
{
	return verdict == WARG_UNDECIDED && flt->kind == FAULT_SYSTEM && flt->errnum == errnum;
}

/* ---- Recording fsync() ---- */

#define SYNCED 64

static struct {
	char paths[SYNCED][512];
	size_t count;
} synced;

static atomic_uint begun, failing; /* shared syncs; those that are to fail */
static _Thread_local bool is_counted;

/* Replaces the C library's: records the file it is called for. */
int fsync(int fd)
{
	char link[64];
	ssize_t length;

	if (is_counted) {
		begun++;
		if (failing) {
			failing--;
			errno = EIO;
			return -1;
		}
		return (int)syscall(SYS_fsync, fd);
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = synced.count < SYNCED ? readlink(link, synced.paths[synced.count], sizeof(synced.paths[0]) - 1) : -1;
	if (length > 0)
		synced.paths[synced.count++][length] = '\0';
	return (int)syscall(SYS_fsync, fd);
}

static bool was_synced(const char *path)
{
	size_t i = 0;

	while (i < synced.count && strcmp(synced.paths[i], path))
		i++;
	return i < synced.count;
}

/* A new folder's parent is synced before files in it may count as durable. */
static void test_new_folders_are_synced(void **state)
{
	static const char *const above[] = {"", "/a", "/a/b"}, *const private[] = {"", "/s", "/s/label"};
	struct place *place = *state;
	char path[512];
	int fd = -1;

	synced.count = 0;
	assert_int_equal(file_open_top(scratch_path(place->path, "a/b//c"), &fd, NULL), 0);
	close(fd);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", place->path, above[i]);
		assert_true(was_synced(path));
	}
	synced.count = 0;
	assert_int_equal(file_open_folder(place->fd, "inner", true, &fd, NULL), 0);
	close(fd);
	assert_true(was_synced(place->path));
	synced.count = 0;
	assert_int_equal(file_open_inside(scratch_path(place->path, "top"), "inner", true, &fd, NULL), 0);
	close(fd);
	assert_true(was_synced(place->path));
	/* What is in there can be fetched again. */
	assert_false(was_synced(scratch_path(place->path, "top")));
	for (size_t again = 0; again < 2; again++) {
		synced.count = 0;
		assert_int_equal(file_open_private(scratch_path(place->path, "s"), "label", "journal", &fd, NULL), 0);
		close(fd);
		for (size_t i = 0; i < 3; i++) {
			snprintf(path, sizeof(path), "%s%s", place->path, private[i]);
			assert_int_equal(was_synced(path), !again);
		}
	}
}

/* ---- Shared syncs ---- */

#define SHARERS 8
#define TIMES 50

/* Of what a thread did before the call, a sync that began after it has returned. */
static void *share(void *argument)
{
	const struct place *place = argument;

	is_counted = true;
	for (size_t i = 0; i < TIMES; i++) {
		const unsigned before = begun;

		assert_int_equal(file_sync_shared(place->fd, NULL), 0);
		assert_true(begun > before);
	}
	return NULL;
}

static void test_shared(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	pthread_t threads[SHARERS];

	begun = 0;
	for (size_t i = 0; i < SHARERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, share, place), 0);
	for (size_t i = 0; i < SHARERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(begun <= SHARERS * TIMES);
	/* A sync that fails is told, and the next one is a new one. */
	is_counted = true;
	failing = 1;
	assert_true(expect_system(file_sync_shared(place->fd, &flt), &flt, EIO));
	assert_int_equal(file_sync_shared(place->fd, NULL), 0);
	is_counted = false;
}

/* Existing folders are synced, too: another process may have made them just now. But only once. */
static void test_names_are_synced_once(void **state)
{
	struct place *place = *state;

	assert_int_equal(mkdirat(place->fd, "inner", 0700), 0);
	for (size_t again = 0; again < 3; again++) {
		synced.count = 0;
		assert_int_equal(file_sync_name(place->fd, "inner", NULL), 0);
		assert_int_equal(was_synced(place->path), !again);
	}
	/* It may have the old one's number. */
	assert_int_equal(unlinkat(place->fd, "inner", AT_REMOVEDIR), 0);
	for (size_t again = 0; again < 2; again++) {
		synced.count = 0;
		assert_int_equal(file_make_folder(place->fd, "inner", 0700, NULL), 0);
		assert_int_equal(was_synced(place->path), !again);
	}
}

static void test_open_top(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	char deep[8192];
	struct stat status;
	int fd = -1;

	assert_int_equal(file_open_top(scratch_path(place->path, "a/b//c"), &fd, &flt), 0);
	close(fd);
	assert_int_equal(stat(scratch_path(place->path, "a/b/c"), &status), 0);
	assert_true(S_ISDIR(status.st_mode));
	assert_int_equal(file_open_top(scratch_path(place->path, "a/b/c/"), &fd, &flt), 0);
	close(fd);
	/* Links on the way are the user's own. */
	assert_int_equal(symlink("a", scratch_path(place->path, "link")), 0);
	assert_int_equal(file_open_top(scratch_path(place->path, "link/d"), &fd, &flt), 0);
	close(fd);
	assert_int_equal(access(scratch_path(place->path, "a/d"), F_OK), 0);

	scratch_write_text(scratch_path(place->path, "file"), "x");
	fd = -7;
	assert_true(expect_system(file_open_top(scratch_path(place->path, "file"), &fd, &flt), &flt, ENOTDIR));
	flt = (struct fault){0};
	assert_true(expect_system(file_open_top(scratch_path(place->path, "file/x"), &fd, &flt), &flt, ENOTDIR));
	memset(deep, 'x', sizeof(deep) - 1);
	deep[0] = '/';
	deep[sizeof(deep) - 1] = '\0';
	flt = (struct fault){0};
	assert_true(expect_system(file_open_top(deep, &fd, &flt), &flt, ENAMETOOLONG));
	assert_int_equal(fd, -7);
}

/* @return the inode of the folder that a path leads to */
static ino_t opened_at(const char *path)
{
	struct stat status;
	int fd = -1;

	assert_int_equal(file_open_top(path, &fd, NULL), 0);
	assert_int_equal(fstat(fd, &status), 0);
	close(fd);
	assert_int_equal(file_open_inside(path, "inner", true, &fd, NULL), 0);
	close(fd);
	return status.st_ino;
}

/* The kept folder is used whatever is at its path now, until it is removed itself. */
static void test_hold_top(void **state)
{
	struct place *place = *state;
	char held[4096], moved[4096];
	struct stat status;
	ino_t inode;

	snprintf(held, sizeof(held), "%s/held", place->path);
	snprintf(moved, sizeof(moved), "%s/moved", place->path);
	file_hold_top(held);
	inode = opened_at(held);
	assert_int_equal(rename(held, moved), 0);
	assert_int_equal(mkdir(held, 0700), 0);
	assert_int_equal(opened_at(held), inode);
	assert_int_equal(rmdir(held), 0);
	assert_int_equal(opened_at(held), inode);
	assert_int_equal(rmdir(scratch_path(moved, "inner")), 0);
	assert_int_equal(rmdir(moved), 0);
	assert_int_not_equal(opened_at(held), inode);
	assert_int_equal(stat(held, &status), 0);
	/* Too many folders, and one that cannot be opened, do no harm. */
	for (int i = 0; i < 2 * FILE_TOPS; i++)
		file_hold_top(place->path);
	file_hold_top("/proc/self/status/none");
	assert_int_equal(opened_at(place->path), opened_at(place->path));
}

static void test_open_folder(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	int fd = -7;

	assert_int_equal(file_open_folder(place->fd, "none", false, &fd, &flt), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(file_open_folder(place->fd, "made", true, &fd, &flt), 0);
	close(fd);
	assert_int_equal(symlink("made", scratch_path(place->path, "link")), 0);
	scratch_write_text(scratch_path(place->path, "file"), "x");
	assert_int_equal(file_open_folder(place->fd, "link", false, &fd, &flt), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(file_open_folder(place->fd, "file", false, &fd, &flt), 0);
	assert_int_equal(fd, -1);
	fd = -7;
	assert_int_equal(file_open_folder(place->fd, "link", true, &fd, &flt), WARG_UNDECIDED);
	flt = (struct fault){0};
	assert_true(expect_system(file_open_folder(place->fd, "file", true, &fd, &flt), &flt, ENOTDIR));
	assert_int_equal(fd, -7);
}

/* Whatever is no regular file of this name counts as none, and holds nobody up. */
/* Who only looks makes nothing. */
static void test_open_inside(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	int fd = -7;

	assert_int_equal(file_open_inside(scratch_path(place->path, "no/where"), "in", false, &fd, &flt), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(access(scratch_path(place->path, "no"), F_OK), -1);
	assert_int_equal(file_open_inside(scratch_path(place->path, "no/where"), "in", true, &fd, &flt), 0);
	close(fd);
	assert_int_equal(access(scratch_path(place->path, "no/where/in"), F_OK), 0);
}

static void test_open_others(void **state)
{
	static const char *const names[] = {"none", "folder", "link", "pipe", "socket", "file/below"};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct place *place = *state;
	struct fault flt = {0};
	struct buf text;
	bool found;
	int fd, listening;

	scratch_write_text(scratch_path(place->path, "file"), "content");
	assert_int_equal(mkdir(scratch_path(place->path, "folder"), 0777), 0);
	assert_int_equal(symlink("file", scratch_path(place->path, "link")), 0);
	assert_int_equal(mkfifo(scratch_path(place->path, "pipe"), 0666), 0);
	listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(address.sun_path, scratch_path(place->path, "socket"));
	assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof(address)), 0);
	buf_init(&text, 100);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		fd = -7;
		found = true;
		assert_int_equal(file_open(place->fd, names[i], &fd, NULL, &flt), 0);
		assert_int_equal(fd, -1);
		assert_int_equal(file_read(place->fd, names[i], &text, &found, &flt), 0);
		assert_false(found);
		assert_int_equal(text.length, 0);
	}
	close(listening);
}

static void test_read(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	unsigned char big[40000];
	struct buf text;
	uint64_t size = 0;
	bool found = false;
	int fd = -1;

	memset(big, 7, sizeof(big));
	scratch_write(scratch_path(place->path, "big"), (struct span){big, sizeof(big)});
	assert_int_equal(file_open(place->fd, "big", &fd, &size, &flt), 0);
	assert_int_equal(size, sizeof(big));
	close(fd);
	buf_init(&text, sizeof(big));
	assert_int_equal(file_read(place->fd, "big", &text, &found, &flt), 0);
	assert_true(found);
	assert_true(span_equals(buf_span(&text), (struct span){big, sizeof(big)}));
	buf_release(&text);
	buf_init(&text, sizeof(big) - 1);
	assert_int_equal(file_read(place->fd, "big", &text, &found, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
	buf_release(&text);
}

static void test_read_error(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	struct buf text;

	buf_init(&text, 100);
	/* A folder opens, but does not read: what an unreadable disk would give. */
	assert_true(expect_system(file_read_all(place->fd, &text, &flt), &flt, EISDIR));
	buf_release(&text);
}

static void test_replace(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	struct stat status;
	char name[300];

	umask(022);
	assert_int_equal(file_replace(place->fd, "a", 0666, span_of_text("one"), &flt), 0);
	assert_int_equal(stat(scratch_path(place->path, "a"), &status), 0);
	assert_int_equal(status.st_mode & 07777, 0644);
	/* A crash left its temporary file, longer than what comes; somebody planted a link. */
	scratch_write_text(scratch_path(place->path, ".a.wargfs"), "a longer one that was left");
	assert_int_equal(file_replace(place->fd, "a", 0600, span_of_text("two"), &flt), 0);
	assert_true(scratch_holds(scratch_path(place->path, "a"), "two"));
	scratch_write_text(scratch_path(place->path, "victim"), "safe");
	assert_int_equal(symlink("victim", scratch_path(place->path, ".b.wargfs")), 0);
	assert_int_equal(symlink("victim", scratch_path(place->path, "b")), 0);
	assert_int_equal(file_replace(place->fd, "b", 0600, span_of_text("new"), &flt), 0);
	assert_true(scratch_holds(scratch_path(place->path, "victim"), "safe"));
	assert_int_equal(lstat(scratch_path(place->path, "b"), &status), 0);
	assert_true(S_ISREG(status.st_mode));

	/* What cannot be replaced stays, and nothing is left behind. */
	assert_int_equal(mkdir(scratch_path(place->path, "folder"), 0777), 0);
	assert_true(expect_system(file_replace(place->fd, "folder", 0600, span_of_text("x"), &flt), &flt, EISDIR));
	assert_int_not_equal(access(scratch_path(place->path, ".folder.wargfs"), F_OK), 0);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	flt = (struct fault){0};
	assert_true(expect_system(file_replace(place->fd, name, 0600, span_of_text("x"), &flt), &flt, ENAMETOOLONG));
	assert_int_equal(scratch_count(place->path), 4);
}

static void test_write_error(void **state)
{
	struct fault flt = {0};
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_true(full >= 0);
	assert_true(expect_system(file_write_all(full, span_of_text("x"), &flt), &flt, ENOSPC));
	close(full);
}

static void test_lock(void **state)
{
	struct place *place = *state;
	int one = open(place->path, O_RDONLY | O_CLOEXEC), other = open(place->path, O_RDONLY | O_CLOEXEC);
	struct fault flt = {0};
	clock_ms start;
	bool had = false;

	assert_int_equal(file_lock(one, 0, &had, &flt), 0);
	assert_true(had);
	start = clock_now();
	assert_int_equal(file_lock(other, 50, &had, &flt), 0);
	assert_false(had);
	assert_true(clock_now() - start >= 50);
	close(one);
	assert_int_equal(file_lock(other, 0, &had, &flt), 0);
	assert_true(had);
	close(other);
	assert_true(expect_system(file_lock(-1, 0, &had, &flt), &flt, EBADF));
}

static void test_lock_shared(void **state)
{
	struct place *place = *state;
	int one = open(place->path, O_RDONLY | O_CLOEXEC), other = open(place->path, O_RDONLY | O_CLOEXEC);
	int third = open(place->path, O_RDONLY | O_CLOEXEC);
	bool had = false;

	assert_int_equal(file_lock_shared(one, 0, &had, NULL), 0);
	assert_true(had);
	assert_int_equal(file_lock_shared(other, 0, &had, NULL), 0);
	assert_true(had);
	assert_int_equal(file_lock(third, 0, &had, NULL), 0);
	assert_false(had);
	close(one);
	close(other);
	assert_int_equal(file_lock(third, 0, &had, NULL), 0);
	assert_true(had);
	close(third);
}

static void test_claim(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	uint64_t size = 0;
	int one = -7, other = -7;

	assert_int_equal(file_claim(place->fd, "claim", &one, NULL, &flt), 0);
	assert_true(one >= 0);
	assert_int_equal(ftruncate(one, 77), 0);
	assert_int_equal(file_claim(place->fd, "claim", &other, &size, &flt), 0);
	assert_int_equal(other, -1);
	assert_int_equal(size, 77);
	file_end_claim(place->fd, "claim", one);
	assert_int_equal(access(scratch_path(place->path, "claim"), F_OK), -1);
	/* Whoever died left the file; it is nobody's. */
	scratch_write_text(scratch_path(place->path, "claim"), "left");
	assert_int_equal(file_claim(place->fd, "claim", &one, NULL, &flt), 0);
	assert_true(one >= 0);
	file_end_claim(place->fd, "claim", one);
	/* What is no file cannot be had, and holds nobody up. */
	assert_int_equal(mkfifo(scratch_path(place->path, "pipe"), 0600), 0);
	assert_int_equal(symlink("victim", scratch_path(place->path, "link")), 0);
	one = -7;
	assert_int_equal(file_claim(place->fd, "pipe", &one, NULL, &flt), WARG_UNDECIDED);
	assert_int_equal(file_claim(place->fd, "link", &one, NULL, NULL), WARG_UNDECIDED);
	assert_int_equal(access(scratch_path(place->path, "victim"), F_OK), -1);
	assert_int_equal(one, -7);
}

static void test_open_private(void **state)
{
	static const char *const labels[] = {"", ".", "..", "a/b", ".a"};
	struct place *place = *state;
	struct fault flt = {0};
	struct stat seen;
	int fd = -1;

	umask(022);
	assert_int_equal(file_open_private(scratch_path(place->path, "state"), "label", "own", &fd, &flt), 0);
	assert_int_equal(fstat(fd, &seen), 0);
	assert_int_equal(seen.st_mode & 07777, 0700);
	close(fd);
	assert_int_equal(stat(scratch_path(place->path, "state/label"), &seen), 0);
	assert_int_equal(seen.st_mode & 07777, 0700);
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		flt = (struct fault){0};
		assert_int_equal(file_open_private(place->path, labels[i], "own", &fd, &flt), WARG_UNDECIDED);
		assert_int_equal(flt.kind, FAULT_MISUSE);
	}
	/* Not through a link that somebody put there. */
	assert_int_equal(symlink("state/label", scratch_path(place->path, "link")), 0);
	assert_int_equal(file_open_private(place->path, "link", "own", &fd, NULL), WARG_UNDECIDED);
	if (geteuid())
		return;
	flt = (struct fault){0};
	assert_int_equal(chown(scratch_path(place->path, "state/label"), 12345, 12345), 0);
	assert_true(expect_system(file_open_private(scratch_path(place->path, "state"), "label", "own", &fd, &flt),
				  &flt, EPERM));
}

static void test_copy(void **state)
{
	struct place *place = *state;
	struct digest digest, expected = digest_of(span_of_text("lo, world"));
	struct fault flt = {0};
	uint64_t size = 0;
	int from, to;

	scratch_write_text(scratch_path(place->path, "from"), "hello, world");
	from = open(scratch_path(place->path, "from"), O_RDONLY | O_CLOEXEC);
	to = open(scratch_path(place->path, "to"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(lseek(from, 3, SEEK_SET), 3);
	assert_int_equal(file_copy(from, to, 9, &digest, &size, &flt), 0);
	assert_int_equal(size, 9);
	assert_true(digest_equals(&digest, &expected));
	assert_true(scratch_holds(scratch_path(place->path, "to"), "lo, world"));
	assert_int_equal(lseek(from, 0, SEEK_SET), 0);
	assert_int_equal(file_copy(from, to, 11, &digest, &size, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
	close(to);
	to = open("/dev/full", O_RDWR | O_CLOEXEC);
	flt = (struct fault){0};
	assert_int_equal(lseek(from, 0, SEEK_SET), 0);
	assert_true(expect_system(file_copy(from, to, 12, &digest, &size, &flt), &flt, ENOSPC));
	close(from);
	close(to);
}

static void test_new_name(void **state)
{
	char one[64], other[64];
	struct fault flt = {0};

	(void)state;
	assert_int_equal(file_new_name("p-", one, sizeof(one), &flt), 0);
	assert_int_equal(file_new_name("p-", other, sizeof(other), &flt), 0);
	assert_int_equal(strlen(one), 18);
	assert_memory_equal(one, "p-", 2);
	assert_string_not_equal(one, other);
}

static int read_once(void *context, struct fault *flt)
{
	struct place *place = context;
	struct buf text;
	bool found = false;
	int r;

	buf_init(&text, 100000);
	r = file_read(place->fd, "file", &text, &found, flt);
	buf_release(&text);
	return r;
}

static void test_torture(void **state)
{
	struct place *place = *state;

	scratch_write_text(scratch_path(place->path, "file"), "text");
	torture(read_once, place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_new_folders_are_synced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names_are_synced_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_shared, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_open_top, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hold_top, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_open_folder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_open_inside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_open_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_read_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_replace, set_up, tear_down),
		cmocka_unit_test(test_write_error),
		cmocka_unit_test_setup_teardown(test_lock, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lock_shared, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_claim, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_open_private, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_copy, set_up, tear_down),
		cmocka_unit_test(test_new_name),
		cmocka_unit_test_setup_teardown(test_torture, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
