/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The configuration, as the reference finds, reads and writes it: config.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/user/config.h"
#include "data.h"
#include "scratch.h"
#include "torture.h"
#include "verify/caps.h"

#define RECORDED "tests/data/valid/config-reference/config.json"

struct place {
	char *path;
	char home[4096], work[4096], config_dir[4096];
	struct config_environment environment;
};

static int set_up(void **state)
{
	static struct place place;

	place = (struct place){.path = scratch_new()};
	strcpy(place.home, scratch_path(place.path, "home"));
	strcpy(place.work, scratch_path(place.path, "home/work/inner"));
	strcpy(place.config_dir, scratch_path(place.home, ".config/warg"));
	scratch_write_text(scratch_path(place.work, "other"), "");
	place.environment.home = place.home;
	place.environment.working_directory = place.work;
	*state = &place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;

	scratch_free(place->path);
	return 0;
}

static void load(const struct place *place, const char *file, struct config *out)
{
	struct fault flt = {0};

	assert_int_equal(config_load(file, &place->environment, out, &flt), 0);
}

static void test_defaults(void **state)
{
	struct place *place = *state;
	struct config config;

	load(place, NULL, &config);
	assert_false(config.found);
	assert_string_equal(config.file, scratch_path(place->home, ".config/warg/config.json"));
	assert_string_equal(config.registries_dir, scratch_path(place->home, ".cache/warg/registries"));
	assert_string_equal(config.content_dir, scratch_path(place->home, ".cache/warg/content"));
	assert_string_equal(config.namespace_map_path, scratch_path(place->home, ".cache/warg/namespaces"));
	assert_string_equal(config.keyring_dir, scratch_path(place->home, ".config/warg/keyring"));
	assert_string_equal(config.cache_dir, scratch_path(place->home, ".cache/wargfs"));
	assert_string_equal(config.state_dir, scratch_path(place->home, ".local/state/wargfs"));
	assert_false(config.registries_dir_set || config.content_dir_set || config.namespace_map_path_set);
	assert_null(config.home_url);
	assert_int_equal(config.key_count, 0);
	config_release(&config);

	place->environment = (struct config_environment){.xdg_config_home = "/c", .xdg_cache_home = "/k",
							  .xdg_state_home = "/s", .working_directory = place->work};
	load(place, NULL, &config);
	assert_string_equal(config.file, "/c/warg/config.json");
	assert_string_equal(config.content_dir, "/k/warg/content");
	assert_string_equal(config.cache_dir, "/k/wargfs");
	assert_string_equal(config.state_dir, "/s/wargfs");
	config_release(&config);
}

static void test_homeless(void **state)
{
	struct place *place = *state;
	struct config config = {.key_count = 77};
	struct fault flt = {0};

	place->environment.home = NULL;
	assert_int_equal(config_load(NULL, &place->environment, &config, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_MISUSE);
	assert_int_equal(config.key_count, 77);
}

/* A file that another user owns or may write is skipped and reported; the next one is used. */
static void test_not_trusted(void **state)
{
	static const struct {
		mode_t mode;
		bool is_others, is_linked, counts;
	} rows[] = {
		{0644, false, false, true}, {0400, false, false, true}, {0664, false, false, false},
		{0646, false, false, false}, {0644, true, false, false}, {0600, true, false, false},
		{0644, false, true, false}, /* another user's link to a file of ours */
	};
	struct place *place = *state;
	char nearest[4096], target[4096];
	struct config config;

	strcpy(nearest, scratch_path(place->work, "warg-config.json"));
	strcpy(target, scratch_path(place->path, "target"));
	scratch_write_text(scratch_path(place->home, "warg-config.json"), "{\"homeUrl\":\"above\"}");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *file = rows[i].is_linked ? target : nearest;

		if ((rows[i].is_others || rows[i].is_linked) && geteuid())
			continue; /* only root may chown */
		scratch_write_text(file, "{\"homeUrl\":\"nearest\"}");
		assert_int_equal(chmod(file, rows[i].mode), 0);
		if (rows[i].is_others)
			assert_int_equal(chown(file, 65534, (gid_t)-1), 0);
		if (rows[i].is_linked) {
			assert_int_equal(symlink(target, nearest), 0);
			assert_int_equal(lchown(nearest, 65534, (gid_t)-1), 0);
		}
		load(place, NULL, &config);
		assert_string_equal(config.home_url, rows[i].counts ? "nearest" : "above");
		if (rows[i].counts)
			assert_null(config.passed_over);
		else
			assert_string_equal(config.passed_over, nearest);
		config_release(&config);
		/* A file that the caller named is used regardless of its owner. */
		load(place, nearest, &config);
		assert_string_equal(config.home_url, "nearest");
		config_release(&config);
		assert_int_equal(unlink(nearest), 0);
	}
}

/* The nearest warg-config.json wins over the user's own file, and only a regular file counts. */
static void test_found(void **state)
{
	struct place *place = *state;
	struct config config;

	scratch_write_text(scratch_path(place->config_dir, "config.json"), "{\"homeUrl\":\"own\"}");
	load(place, NULL, &config);
	assert_true(config.found);
	assert_string_equal(config.home_url, "own");
	config_release(&config);

	scratch_write_text(scratch_path(place->home, "warg-config.json"), "{\"homeUrl\":\"above\"}");
	load(place, NULL, &config);
	assert_string_equal(config.home_url, "above");
	assert_string_equal(config.file, scratch_path(place->home, "warg-config.json"));
	config_release(&config);

	assert_int_equal(mkdir(scratch_path(place->home, "work/warg-config.json"), 0777), 0);
	scratch_write_text(scratch_path(place->path, "elsewhere"), "{\"homeUrl\":\"linked\"}");
	load(place, NULL, &config);
	assert_string_equal(config.home_url, "above");
	config_release(&config);
	assert_int_equal(symlink(scratch_path(place->path, "elsewhere"), scratch_path(place->work, "warg-config.json")),
			 0);
	load(place, NULL, &config);
	assert_string_equal(config.home_url, "linked");
	config_release(&config);

	scratch_write_text(scratch_path(place->work, "given.json"), "{\"homeUrl\":\"given\"}");
	load(place, "given.json", &config);
	assert_string_equal(config.home_url, "given");
	assert_string_equal(config.file, scratch_path(place->work, "given.json"));
	config_release(&config);
}

static void test_recorded(void **state)
{
	struct place *place = *state;
	struct buf text = data_read(RECORDED);
	struct config config;
	struct fault flt = {0};

	scratch_write(scratch_path(place->config_dir, "config.json"), buf_span(&text));
	load(place, NULL, &config);
	assert_string_equal(config.home_url, "http://127.0.0.1:18741/");
	assert_int_equal(config.key_count, 1);
	assert_string_equal(config.keys[0], "default");
	assert_string_equal(config.keyring_backend, "flat-file");
	/* Written again, it is the same byte for byte. */
	assert_int_equal(config_set_text(&config.file, scratch_path(place->path, "deep/er/copy"), &flt), 0);
	assert_int_equal(config_save(&config, &flt), 0);
	assert_int_equal(buf_append(&text, (struct span){(const unsigned char *)"", 1}, &flt), 0);
	assert_true(scratch_holds(scratch_path(place->path, "deep/er/copy"), (const char *)text.data));
	assert_int_equal(scratch_count(scratch_path(place->path, "deep/er")), 1);
	config_release(&config);
	buf_release(&text);
}

/* Folders are relative to the file, the namespace map to the working directory. */
static void test_paths(void **state)
{
	struct place *place = *state;
	struct config config;

	scratch_write_text(scratch_path(place->config_dir, "config.json"),
			   "{\"registriesDir\":\"r\",\"contentDir\":\"/abs/c\",\"namespaceMapPath\":\"../n\"}");
	load(place, NULL, &config);
	assert_string_equal(config.registries_dir, scratch_path(place->config_dir, "r"));
	assert_string_equal(config.content_dir, "/abs/c");
	assert_string_equal(config.namespace_map_path, scratch_path(place->work, "../n"));
	assert_true(config.registries_dir_set && config.content_dir_set && config.namespace_map_path_set);
	config_release(&config);
}

static void test_everything_kept(void **state)
{
	struct place *place = *state;
	struct config config, again;
	struct fault flt = {0};
	struct stat status;

	scratch_write_text(scratch_path(place->path, "target"),
			   "{\"homeUrl\":\"h\",\"registriesDir\":\"r\",\"contentDir\":\"c\",\"namespaceMapPath\":\"n\","
			   "\"keys\":[\"a\",\"b\"],\"keyringAuth\":true,\"ignoreFederationHints\":true,"
			   "\"disableAutoAcceptFederationHints\":true,\"disableAutoPackageInit\":true,"
			   "\"disableInteractive\":true,\"keyringBackend\":\"mock\",\"unknown\":[1]}");
	assert_int_equal(chmod(scratch_path(place->path, "target"), 0600), 0);
	assert_int_equal(symlink("../target", scratch_path(place->home, "link")), 0);
	load(place, scratch_path(place->home, "link"), &config);
	assert_int_equal(config_save(&config, &flt), 0);
	/* The link is still one, its target keeps its mode. */
	assert_int_equal(lstat(scratch_path(place->home, "link"), &status), 0);
	assert_true(S_ISLNK(status.st_mode));
	assert_int_equal(stat(scratch_path(place->home, "link"), &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	load(place, scratch_path(place->home, "link"), &again);
	assert_string_equal(again.registries_dir, config.registries_dir);
	assert_string_equal(again.content_dir, config.content_dir);
	assert_string_equal(again.namespace_map_path, config.namespace_map_path);
	assert_int_equal(again.key_count, 2);
	assert_string_equal(again.keys[1], "b");
	assert_true(again.keyring_auth && again.ignore_federation_hints && again.disable_interactive);
	assert_true(again.disable_auto_accept_federation_hints && again.disable_auto_package_init);
	assert_string_equal(again.keyring_backend, "mock");
	config_release(&config);
	config_release(&again);
}

static void test_malformed(void **state)
{
	static const char *const texts[] = {
		"", "nonsense", "[]", "\"text\"", "null", "{\"homeUrl\":1}", "{\"homeUrl\":\"a\",\"homeUrl\":\"b\"}",
		"{\"homeUrl\":\"a\\u0000b\"}", "{\"keys\":{}}", "{\"keys\":[1]}", "{\"keyringAuth\":\"yes\"}",
		"{\"registriesDir\":[]}", "{} {}", "{\"disableInteractive\":0}", "{\"homeUrl\":\"\xff\"}",
	};
	struct place *place = *state;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct config config = {.key_count = 77};
		struct fault flt = {0};

		scratch_write_text(scratch_path(place->config_dir, "config.json"), texts[i]);
		assert_int_equal(config_load(NULL, &place->environment, &config, &flt), WARG_INVALID);
		assert_int_equal(flt.party, FAULT_BY_CACHE);
		assert_non_null(strstr(flt.where, "config.json"));
		assert_int_equal(config.key_count, 77);
	}
}

static void test_unreadable(void **state)
{
	struct place *place = *state;
	struct config config = {0};
	struct fault flt = {0};
	struct buf big;

	assert_int_equal(config_load("none.json", &place->environment, &config, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.errnum, ENOENT);
	flt = (struct fault){0};
	assert_int_equal(config_load(place->home, &place->environment, &config, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.errnum, EISDIR);
	flt = (struct fault){0};
	buf_init(&big, CAP_FILE_CONFIG + 1);
	for (size_t i = 0; i < CAP_FILE_CONFIG + 1; i += 1)
		assert_int_equal(buf_append_text(&big, " ", &flt), 0);
	scratch_write(scratch_path(place->work, "big"), buf_span(&big));
	buf_release(&big);
	assert_int_equal(config_load("big", &place->environment, &config, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
}

static void test_locked(void **state)
{
	struct place *place = *state;
	struct config config;
	struct fault flt = {0};
	int fd;

	load(place, NULL, &config);
	assert_int_equal(config_save(&config, &flt), 0);
	fd = open(place->config_dir, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(config_set_text(&config.home_url, "new", &flt), 0);
	assert_int_equal(config_save(&config, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.errnum, EAGAIN);
	close(fd);
	config_release(&config);
	load(place, NULL, &config);
	assert_null(config.home_url);
	config_release(&config);
}

static void test_environment(void **state)
{
	struct config_environment environment;
	struct fault flt = {0};
	char here[4096];

	(void)state;
	setenv("HOME", "/the/home", 1);
	setenv("XDG_CONFIG_HOME", "", 1);
	setenv("XDG_CACHE_HOME", "relative", 1);
	setenv("XDG_STATE_HOME", "/the/state", 1);
	setenv("XDG_DATA_HOME", "/the/data", 1);
	unsetenv("XDG_RUNTIME_DIR");
	assert_int_equal(config_environment_read(&environment, &flt), 0);
	assert_string_equal(environment.home, "/the/home");
	assert_null(environment.xdg_config_home);
	assert_null(environment.xdg_cache_home);
	assert_string_equal(environment.xdg_state_home, "/the/state");
	assert_string_equal(environment.xdg_data_home, "/the/data");
	assert_null(environment.xdg_runtime_dir);
	assert_string_equal(environment.working_directory, getcwd(here, sizeof(here)));
	config_environment_release(&environment);
	unsetenv("HOME");
	unsetenv("https_proxy");
	unsetenv("CURL_CA_BUNDLE");
	setenv("SSL_CERT_FILE", "a.pem", 1);
	setenv("SSL_CERT_DIR", "/d", 1);
	setenv("HTTPS_PROXY", "http://b:1", 1);
	setenv("ALL_PROXY", "http://c:1", 1);
	setenv("no_proxy", "", 1);
	setenv("NO_PROXY", "x,y", 1);
	assert_int_equal(config_environment_read(&environment, &flt), 0);
	assert_string_equal(environment.ca_file, "a.pem");
	assert_string_equal(environment.ca_folder, "/d");
	assert_string_equal(environment.proxy, "http://b:1");
	assert_string_equal(environment.no_proxy, "x,y");
	config_environment_release(&environment);
	setenv("CURL_CA_BUNDLE", "e.pem", 1);
	assert_int_equal(config_environment_read(&environment, &flt), 0);
	assert_non_null(environment.home);
	assert_string_equal(environment.ca_file, "e.pem");
	assert_null(environment.ca_folder);
	config_environment_release(&environment);
}

/* ---- With the reference itself ---- */

/* The reference's program, or NULL where it is not installed. */
static const char *find_reference(void)
{
	static char path[4096];
	const char *folder = getenv("WARGFS_REFERENCE"), *home = getenv("HOME");

	if (folder)
		snprintf(path, sizeof(path), "%s/bin/warg", folder);
	else
		snprintf(path, sizeof(path), "%s/.cache/wargfs-reference/0.10.0/bin/warg", home ? home : "");
	return access(path, X_OK) ? NULL : path;
}

/* Run `warg config` in the place's home; no registry answers there, which it says after it has written. */
static void run_reference(const struct place *place, const char *program, const char *const *arguments)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		setenv("HOME", place->home, 1);
		unsetenv("XDG_CONFIG_HOME");
		unsetenv("XDG_CACHE_HOME");
		if (!chdir(place->work))
			execv(program, (char *const *)(uintptr_t)arguments);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 127);
}

static void test_reference(void **state)
{
	struct place *place = *state;
	const char *program = find_reference(), *contents = scratch_path(scratch_place(), "contents");
	const char *const first[] = {"warg", "config", "--registry", "http://127.0.0.1:9", "--registries-dir", "regs",
				     "--content-dir", contents, "--ignore-federation-hints", "true",
				     "--keyring-backend", "flat-file", NULL};
	const char *const second[] = {"warg", "config", "--registry", "http://127.0.0.1:10", NULL};
	struct config config;
	struct fault flt = {0};

	if (!program)
		skip();
	run_reference(place, program, first);
	load(place, NULL, &config);
	assert_true(config.found);
	assert_string_equal(config.home_url, "http://127.0.0.1:9/");
	assert_string_equal(config.content_dir, scratch_path(place->config_dir, "../../../../contents"));
	assert_true(config.registries_dir_set);
	assert_true(config.ignore_federation_hints);
	assert_string_equal(config.keyring_backend, "flat-file");
	/* It reads what we write, and keeps it. */
	config.disable_interactive = true;
	assert_int_equal(config_set_text(&config.content_dir, "/tmp/of-ours", &flt), 0);
	assert_int_equal(config_save(&config, &flt), 0);
	config_release(&config);
	run_reference(place, program, second);
	load(place, NULL, &config);
	assert_string_equal(config.home_url, "http://127.0.0.1:10/");
	assert_non_null(strstr(config.content_dir, "of-ours"));
	config_release(&config);
}

static int save_once(void *context, struct fault *flt)
{
	return config_save(context, flt);
}

static int read_environment_once(void *context, struct fault *flt)
{
	struct config_environment environment;
	int r = config_environment_read(&environment, flt);

	(void)context;
	if (!r)
		config_environment_release(&environment);
	return r;
}

/* What the list of keys names is named once, until it is not; the others stay. */
static void test_keys(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	struct config config;

	load(place, NULL, &config);
	assert_false(config_has_key(&config, "default"));
	config_remove_key(&config, "default");
	assert_int_equal(config_add_key(&config, "default", &flt), 0);
	assert_int_equal(config_add_key(&config, "https://a.example", &flt), 0);
	assert_int_equal(config_add_key(&config, "b", &flt), 0);
	assert_int_equal(config_add_key(&config, "default", &flt), 0);
	assert_int_equal(config.key_count, 3);
	assert_int_equal(config_save(&config, &flt), 0);
	config_release(&config);

	load(place, NULL, &config);
	assert_int_equal(config.key_count, 3);
	config_remove_key(&config, "default");
	assert_false(config_has_key(&config, "default"));
	assert_true(config_has_key(&config, "https://a.example") && config_has_key(&config, "b"));
	assert_false(config_has_key(&config, "https://a.example/"));
	config_remove_key(&config, "https://a.example");
	config_remove_key(&config, "b");
	assert_int_equal(config.key_count, 0);
	config_release(&config);
}

static int add_key_once(void *context, struct fault *flt)
{
	struct config *config = context;
	size_t before = config->key_count;
	int r = config_add_key(config, "c", flt);

	assert_int_equal(config->key_count, r ? before : before + 1);
	config_remove_key(config, "c");
	return r;
}

static void test_torture(void **state)
{
	struct place *place = *state;
	struct config config;

	scratch_write_text(scratch_path(place->config_dir, "config.json"),
			   "{\"homeUrl\":\"h\",\"registriesDir\":\"r\",\"keys\":[\"a\",\"b\"],"
			   "\"keyringBackend\":\"mock\"}");
	load(place, NULL, &config);
	torture(save_once, &config);
	torture(add_key_once, &config);
	config_release(&config);
	torture(read_environment_once, NULL);
}

/* ---- Two programs at once ---- */

/* The changes of both programs are in the file, in either order, and unchanged members stay. */
static void test_two_writers(void **state)
{
	struct place *place = *state;
	struct config first, second, found;

	for (size_t i = 0; i < 2; i++) {
		unlink(scratch_path(place->config_dir, "config.json"));
		if (i) /* whether the file existed before */
			scratch_write_text(scratch_path(place->config_dir, "config.json"),
					   "{\"homeUrl\":\"https://before.example/\",\"keys\":[\"a\",\"b\"],"
					   "\"namespaceMapPath\":\"maps/here\"}");
		load(place, NULL, &first);
		load(place, NULL, &second);
		assert_int_equal(config_set_text(&first.home_url, "https://first.example/", NULL), 0);
		assert_int_equal(config_add_key(&first, "first", NULL), 0);
		first.keyring_auth = true;
		assert_int_equal(config_save(&first, NULL), 0);
		assert_int_equal(config_set_text(&second.content_dir, "/second", NULL), 0);
		second.content_dir_set = true;
		assert_int_equal(config_add_key(&second, "second", NULL), 0);
		config_remove_key(&second, "a");
		second.ignore_federation_hints = true;
		assert_int_equal(config_save(&second, NULL), 0);
		/* Saving again does not undo what the other program wrote. */
		second.disable_interactive = true;
		assert_int_equal(config_save(&second, NULL), 0);
		first.keyring_auth = false;
		assert_int_equal(config_save(&first, NULL), 0);

		load(place, NULL, &found);
		assert_string_equal(found.home_url, "https://first.example/");
		assert_string_equal(found.content_dir, "/second");
		assert_true(found.content_dir_set && !found.registries_dir_set);
		assert_true(found.ignore_federation_hints && found.disable_interactive && !found.keyring_auth);
		assert_true(config_has_key(&found, "first") && config_has_key(&found, "second"));
		assert_false(config_has_key(&found, "a"));
		assert_int_equal(config_has_key(&found, "b"), i);
		assert_int_equal(found.namespace_map_path_set, i);
		if (i)
			assert_string_equal(found.namespace_map_path, scratch_path(place->work, "maps/here"));
		config_release(&found);
		config_release(&first);
		config_release(&second);
	}
}

/* If both changed one member, the last one wins; a file that another program broke is not overwritten. */
static void test_two_writers_of_one_member(void **state)
{
	struct place *place = *state;
	struct config first, second, found;
	struct fault flt = {0};

	load(place, NULL, &first);
	load(place, NULL, &second);
	assert_int_equal(config_set_text(&first.home_url, "https://first.example/", NULL), 0);
	assert_int_equal(config_save(&first, NULL), 0);
	assert_int_equal(config_set_text(&second.home_url, "https://second.example/", NULL), 0);
	assert_int_equal(config_save(&second, NULL), 0);
	load(place, NULL, &found);
	assert_string_equal(found.home_url, "https://second.example/");
	config_release(&found);
	scratch_write_text(scratch_path(place->config_dir, "config.json"), "{");
	assert_int_equal(config_save(&second, &flt), WARG_INVALID);
	assert_true(scratch_holds(scratch_path(place->config_dir, "config.json"), "{"));
	config_release(&first);
	config_release(&second);
}

/* Replaces the C library's: a busy disk must not exceed the time-out of a lock. */
int fsync(int fd)
{
	(void)fd;
	return 0;
}

#define WRITERS 4

static void test_many_writers(void **state)
{
	struct place *place = *state;
	struct config config;
	int status;

	for (int i = 0; i < WRITERS; i++) {
		if (fork())
			continue;
		for (int j = 0; j < 4; j++) {
			char name[32];

			snprintf(name, sizeof(name), "key-%d-%d", i, j);
			if (config_load(NULL, &place->environment, &config, NULL) ||
			    config_add_key(&config, name, NULL) || config_save(&config, NULL))
				_exit(1);
			config_release(&config);
		}
		_exit(0);
	}
	for (int i = 0; i < WRITERS; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	load(place, NULL, &config);
	assert_int_equal(config.key_count, 4 * WRITERS);
	config_release(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reference, set_up, tear_down), /* before HOME is changed */
		cmocka_unit_test_setup_teardown(test_defaults, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_homeless, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_trusted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_recorded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_paths, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_everything_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_malformed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unreadable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_locked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_keys, set_up, tear_down),
		cmocka_unit_test(test_environment),
		cmocka_unit_test_setup_teardown(test_two_writers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_writers_of_one_member, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_writers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_torture, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
