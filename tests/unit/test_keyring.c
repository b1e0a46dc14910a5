/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Keys and tokens, where the reference keeps them: keyring.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/user/keyring.h"
#include "client/user/keyring_parts.h"
#include "scratch.h"
#include "torture.h"

#define HOME "http://127.0.0.1:8090/"
#define HOME_LABEL "127.0.0.1-8090"
#define KEY_OF(user) "service=warg-signing-key&user=" user

/* Private keys that are told apart. */
static const char *const texts[] = {
	"ecdsa-p256:I+UlDo0HxyBBFeelhPPWmD+LnklOpqZDkrFP5VduASk=",
	"ecdsa-p256:eKFEXOpi0Ht/VNkdr392Skgkdq/I/RWv+fuOikxg07Y=",
	"ecdsa-p256:eadbbpGGF5G+gp805bylYCZvEGJczp6iZagXNyyo/tk=",
};

struct place {
	char *path;
	struct config config;
};

static char *copy(const char *text)
{
	char *copied = strdup(text);

	assert_non_null(copied);
	return copied;
}

static void use_backend(struct config *config, const char *name)
{
	free(config->keyring_backend);
	config->keyring_backend = copy(name);
}

static int set_up(void **state)
{
	static struct place place;

	place = (struct place){.path = scratch_new()};
	place.config.keyring_dir = copy(scratch_path(place.path, "warg/keyring"));
	place.config.home_url = copy(HOME);
	use_backend(&place.config, "flat-file");
	*state = &place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;
	struct config *config = &place->config;

	/* The kernel's are those of all that the user runs: of ours nothing stays, whatever became of the test. */
	for (size_t i = 0; i < config->key_count && !strcmp(keyring_backend_of(config), "linux-keyutils"); i++)
		keyring_delete_signing_key(config, config->keys[i], NULL);
	config_release(config);
	scratch_free(place->path);
	return 0;
}

static const char *file(const struct place *place, const char *name)
{
	return scratch_path(place->config.keyring_dir, name);
}

static struct ecdsa_private_key *parse(const char *text)
{
	struct ecdsa_private_key *key;
	struct fault flt = {0};

	assert_int_equal(ecdsa_private_key_parse(span_of_text(text), &key, &flt), 0);
	return key;
}

static bool is_key(const struct ecdsa_private_key *key, const char *text)
{
	struct ecdsa_private_key *wanted = parse(text);
	bool is = digest_equals(ecdsa_public_key_id(ecdsa_private_key_public(key)),
				ecdsa_public_key_id(ecdsa_private_key_public(wanted)));

	ecdsa_private_key_free(wanted);
	return is;
}

/* @param wanted  the key's text; NULL: there is none */
static void check_found(const struct config *config, const char *registry, const char *wanted)
{
	struct ecdsa_private_key *key = NULL;
	struct fault flt = {0};
	int r = keyring_find_signing_key(config, registry, &key, &flt);

	if (!wanted) {
		assert_int_equal(r, WARG_UNDECIDED);
		assert_int_equal(flt.kind, FAULT_NO_KEY);
		assert_null(key);
		return;
	}
	assert_int_equal(r, 0);
	assert_true(is_key(key, wanted));
	ecdsa_private_key_free(key);
}

static void set(const struct config *config, const char *registry, const char *text)
{
	struct ecdsa_private_key *key = parse(text);
	struct fault flt = {0};

	if (keyring_set_signing_key(config, registry, key, &flt))
		fail_msg("%s: %s", flt.where, flt.what);
	ecdsa_private_key_free(key);
}

static void add_keys(struct config *config, const char *const *names)
{
	struct fault flt = {0};

	for (; *names; names++)
		assert_int_equal(config_add_key(config, *names, &flt), 0);
}

/* Which entry is looked for, as the reference looks; and in which order both are that we know of the home registry. */
static void test_choice(void **state)
{
	static const struct {
		const char *keys[4], *registry;
		const char *files[3]; /* what lies there: texts[0] in the first, and so on */
		int found;            /* which one is taken; -1: none */
	} cases[] = {
		{{"default"}, NULL, {KEY_OF("default")}, 0},
		{{NULL}, NULL, {KEY_OF("default")}, -1},
		{{"default"}, NULL, {NULL}, -1},
		{{NULL}, "https://a.example", {KEY_OF("default")}, 0},
		{{"https://a.example"}, "https://a.example",
		 {KEY_OF("default"), KEY_OF("https%3A%2F%2Fa.example")}, 1},
		{{"https://a.example"}, "https://a.example/",
		 {KEY_OF("default"), KEY_OF("https%3A%2F%2Fa.example")}, 0},
		{{"https://a.example"}, "https://a.example", {KEY_OF("default")}, -1},
		{{"default", HOME}, NULL, {KEY_OF("default"), KEY_OF(HOME_LABEL)}, 1},
		{{"default", HOME}, NULL,
		 {KEY_OF("default"), KEY_OF("http%3A%2F%2F127.0.0.1%3A8090%2F")}, 1},
		{{HOME}, NULL, {KEY_OF(HOME_LABEL), KEY_OF("http%3A%2F%2F127.0.0.1%3A8090%2F")}, 0},
		{{HOME}, HOME, {KEY_OF(HOME_LABEL), KEY_OF("http%3A%2F%2F127.0.0.1%3A8090%2F")}, 1},
		{{HOME}, HOME, {KEY_OF(HOME_LABEL)}, 0},
		{{"default", HOME}, NULL, {KEY_OF("default")}, -1},
		{{"wa.example"}, "wa.example", {KEY_OF("wa.example")}, 0},
		{{"a b*c~\xc3\xa9&="}, "a b*c~\xc3\xa9&=", {KEY_OF("a+b*c%7E%C3%A9%26%3D")}, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct place *place;

		set_up(state);
		place = *state;
		add_keys(&place->config, cases[i].keys);
		for (size_t j = 0; j < 3 && cases[i].files[j]; j++)
			scratch_write_text(file(place, cases[i].files[j]), texts[j]);
		check_found(&place->config, cases[i].registry, cases[i].found < 0 ? NULL : texts[cases[i].found]);
		tear_down(state);
	}
}

/* What is set lies where the reference looks for it, and replaces what lies where only we would look. */
static void test_set_and_delete(void **state)
{
	struct place *place = *state;
	struct config *config = &place->config;
	struct fault flt = {0};
	struct stat status;

	add_keys(config, (const char *const[]){"default", NULL});
	set(config, NULL, texts[0]);
	assert_true(scratch_holds(file(place, KEY_OF("default")), texts[0]));
	assert_int_equal(scratch_count(config->keyring_dir), 1);
	assert_int_equal(stat(file(place, KEY_OF("default")), &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_int_equal(stat(config->keyring_dir, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);

	add_keys(config, (const char *const[]){HOME, NULL});
	set(config, HOME, texts[1]);
	assert_true(scratch_holds(file(place, KEY_OF("http%3A%2F%2F127.0.0.1%3A8090%2F")), texts[1]));
	assert_int_equal(scratch_count(config->keyring_dir), 2);
	set(config, NULL, texts[2]);
	assert_true(scratch_holds(file(place, KEY_OF("http%3A%2F%2F127.0.0.1%3A8090%2F")), texts[2]));
	assert_true(scratch_holds(file(place, KEY_OF(HOME_LABEL)), texts[2]));
	assert_true(scratch_holds(file(place, KEY_OF("default")), texts[0]));

	assert_int_equal(keyring_delete_signing_key(config, NULL, &flt), 0);
	assert_int_equal(scratch_count(config->keyring_dir), 1);
	assert_int_equal(keyring_delete_signing_key(config, NULL, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_NO_KEY);
	flt = (struct fault){0};
	config_remove_key(config, HOME);
	assert_int_equal(keyring_delete_signing_key(config, NULL, &flt), 0);
	assert_int_equal(scratch_count(config->keyring_dir), 0);
}

/* A process killed while it writes a secret leaves a temporary file: the next write removes it. */
static void test_leftovers(void **state)
{
	static const char *const left[] = {"." KEY_OF("default") ".wargfs", "." KEY_OF("other") ".wargfs"};
	struct place *place = *state;
	struct config *config = &place->config;
	struct fault flt = {0};

	add_keys(config, (const char *const[]){"default", NULL});
	for (size_t i = 0; i < 3; i++) {
		struct ecdsa_private_key *key = NULL;

		set(config, NULL, texts[0]);
		scratch_write_text(file(place, left[0]), texts[1]);
		scratch_write_text(file(place, left[1]), texts[1]);
		if (i == 0)
			set(config, NULL, texts[0]);
		else if (i == 1)
			assert_int_equal(keyring_find_signing_key(config, NULL, &key, &flt), 0);
		else
			assert_int_equal(keyring_delete_signing_key(config, NULL, &flt), 0);
		ecdsa_private_key_free(key);
		assert_int_equal(scratch_count(config->keyring_dir), i < 2);
	}
}

static struct http_url url_of(const char *text)
{
	struct http_url url;

	assert_int_equal(http_url_parse(text, &url, NULL), 0);
	return url;
}

static void test_tokens(void **state)
{
	struct place *place = *state;
	struct config *config = &place->config;
	const struct http_url url = url_of("https://Wa.Example:8443/base");
	const char *name = "service=warg-auth-token%3Awa.example-8443_base&user=wa.example-8443_base";
	struct fault flt = {0};
	struct buf token;
	bool found = true;

	assert_string_equal(url.label, "wa.example-8443_base");
	buf_init(&token, CAP_SECRET);
	config->keyring_auth = true;
	assert_int_equal(keyring_find_token(config, &url, &token, &found, &flt), 0);
	assert_false(found);
	assert_int_equal(keyring_set_token(config, &url, span_of_text("first"), &flt), 0);
	assert_int_equal(keyring_set_token(config, &url, span_of_text("second"), &flt), 0);
	assert_true(scratch_holds(file(place, name), "second"));
	assert_int_equal(scratch_count(config->keyring_dir), 1);
	assert_int_equal(keyring_find_token(config, &url, &token, &found, &flt), 0);
	assert_true(found && span_is(buf_span(&token), "second"));

	/* Where tokens are not in use, none is looked for; nor is one that could not be sent used. */
	config->keyring_auth = false;
	assert_int_equal(keyring_find_token(config, &url, &token, &found, &flt), 0);
	assert_false(found);
	config->keyring_auth = true;
	scratch_write_text(file(place, name), "two\r\nlines");
	assert_int_equal(keyring_find_token(config, &url, &token, &found, &flt), WARG_INVALID);
	assert_true(span_is(buf_span(&token), "second"));
	flt = (struct fault){0};

	assert_int_equal(keyring_delete_token(config, &url, &found, &flt), 0);
	assert_true(found);
	assert_int_equal(keyring_delete_token(config, &url, &found, &flt), 0);
	assert_false(found);
	buf_wipe(&token);
}

static void test_bad_tokens(void **state)
{
	static const char *const bad[] = {"", "a b", " a", "a\n", "a\tb", "\x7f", "caf\xc3\xa9"};
	struct place *place = *state;
	const struct http_url url = url_of(HOME);
	char *longest = malloc(CAP_SECRET + 2);
	struct fault flt = {0};

	assert_non_null(longest);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		flt = (struct fault){0};
		assert_int_equal(keyring_set_token(&place->config, &url, span_of_text(bad[i]), &flt), WARG_INVALID);
	}
	memset(longest, 'a', CAP_SECRET + 1);
	longest[CAP_SECRET + 1] = '\0';
	flt = (struct fault){0};
	assert_int_equal(keyring_check_token(span_of_text(longest), &flt), WARG_INVALID);
	longest[CAP_SECRET] = '\0';
	flt = (struct fault){0};
	assert_int_equal(keyring_set_token(&place->config, &url, span_of_text(longest), &flt), 0);
	free(longest);
}

/* ---- What others put there ---- */

static int find_default(struct config *config, struct fault *flt)
{
	struct ecdsa_private_key *key = NULL;
	int r;

	*flt = (struct fault){0};
	r = keyring_find_signing_key(config, NULL, &key, flt);
	ecdsa_private_key_free(key);
	return r;
}

static void test_garbage(void **state)
{
	static const char *const garbage[] = {
		"", "\n", "hello", "ecdsa-p256:", "ecdsa-p256:AAAA", "ecdsa-p256:????",
		"ecdsa-p256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"ecdsa-p256:I+UlDo0HxyBBFeelhPPWmD+LnklOpqZDkrFP5VduASk=\n\n",
	};
	struct place *place = *state;
	struct fault flt;

	add_keys(&place->config, (const char *const[]){"default", NULL});
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		scratch_write_text(file(place, KEY_OF("default")), garbage[i]);
		assert_int_equal(find_default(&place->config, &flt), WARG_INVALID);
		assert_int_equal(flt.party, FAULT_BY_SYSTEM);
		assert_true(i < 2 || !strstr(flt.what, garbage[i])); /* it may be a secret no less */
	}
	/* What an editor leaves behind is forgiven, and garbage replaced. */
	scratch_write_text(file(place, KEY_OF("default")), "ecdsa-p256:I+UlDo0HxyBBFeelhPPWmD+LnklOpqZDkrFP5VduASk=\n");
	check_found(&place->config, NULL, texts[0]);
	scratch_write_text(file(place, KEY_OF("default")), "hello");
	set(&place->config, NULL, texts[1]);
	check_found(&place->config, NULL, texts[1]);
}

static void test_huge(void **state)
{
	struct place *place = *state;
	struct fault flt;

	add_keys(&place->config, (const char *const[]){"default", NULL});
	scratch_write_text(file(place, KEY_OF("default")), "x");
	assert_int_equal(truncate(file(place, KEY_OF("default")), 1ll << 40), 0);
	assert_int_equal(find_default(&place->config, &flt), WARG_INVALID);
	set(&place->config, NULL, texts[0]);
	check_found(&place->config, NULL, texts[0]);
}

/* Neither links nor pipes are read or written through; a set or a delete takes them away. */
static void test_no_files(void **state)
{
	struct place *place = *state;
	const char *other = scratch_path(place->path, "other");
	const char *name = file(place, KEY_OF("default"));
	struct fault flt;

	add_keys(&place->config, (const char *const[]){"default", NULL});
	scratch_write_text(other, texts[0]);
	scratch_write_text(name, "");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(unlink(name), 0);
		assert_int_equal(symlink(i ? "nowhere" : other, name), 0);
		assert_int_equal(find_default(&place->config, &flt), WARG_INVALID);
		set(&place->config, NULL, texts[1]);
		check_found(&place->config, NULL, texts[1]);
		assert_true(scratch_holds(other, texts[0]));
	}
	assert_int_equal(unlink(name), 0);
	assert_int_equal(mkfifo(name, 0600), 0);
	assert_int_equal(find_default(&place->config, &flt), WARG_INVALID);
	flt = (struct fault){0};
	assert_int_equal(keyring_delete_signing_key(&place->config, NULL, &flt), 0);
	assert_int_equal(scratch_count(place->config.keyring_dir), 0);

	assert_int_equal(mkdir(name, 0700), 0);
	assert_int_equal(find_default(&place->config, &flt), WARG_INVALID);
	flt = (struct fault){0};
	assert_int_equal(keyring_delete_signing_key(&place->config, NULL, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_SYSTEM);
}

/* A link that waits where the new file is written first leads nowhere either. */
static void test_link_in_the_way(void **state)
{
	struct place *place = *state;
	const char *other = scratch_path(place->path, "other");

	add_keys(&place->config, (const char *const[]){"default", NULL});
	scratch_write_text(other, "mine");
	scratch_write_text(file(place, "x"), "");
	assert_int_equal(symlink(other, file(place, "." KEY_OF("default") ".wargfs")), 0);
	set(&place->config, NULL, texts[0]);
	check_found(&place->config, NULL, texts[0]);
	assert_true(scratch_holds(other, "mine"));
}

static void test_folder(void **state)
{
	struct place *place = *state;
	struct config *config = &place->config;
	struct stat status;
	struct fault flt;

	add_keys(config, (const char *const[]){"default", NULL});
	scratch_write_text(config->keyring_dir, "no folder");
	assert_int_equal(find_default(config, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_SYSTEM);
	assert_int_equal(unlink(config->keyring_dir), 0);

	/* One that others could look into is closed to them before anything is put there. */
	assert_int_equal(mkdir(config->keyring_dir, 0755), 0);
	set(config, NULL, texts[0]);
	assert_int_equal(stat(config->keyring_dir, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);

	free(config->keyring_dir);
	config->keyring_dir = NULL;
	assert_int_equal(find_default(config, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_NO_KEY);
}

/* What another user put there is neither read nor written: needs root, to be two users. */
static void test_owners(void **state)
{
	struct place *place = *state;
	struct ecdsa_private_key *key;
	struct fault flt;

	if (geteuid())
		skip();
	key = parse(texts[1]);
	add_keys(&place->config, (const char *const[]){"default", NULL});
	set(&place->config, NULL, texts[0]);
	assert_int_equal(chown(file(place, KEY_OF("default")), 1, 1), 0);
	assert_int_equal(find_default(&place->config, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.errnum, EPERM);
	set(&place->config, NULL, texts[0]);
	check_found(&place->config, NULL, texts[0]);

	assert_int_equal(chown(place->config.keyring_dir, 1, 1), 0);
	assert_int_equal(find_default(&place->config, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.errnum, EPERM);
	flt = (struct fault){0};
	assert_int_equal(keyring_set_signing_key(&place->config, NULL, key, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.errnum, EPERM);
	ecdsa_private_key_free(key);
}

/* ---- The other backends ---- */

static void test_backends(void **state)
{
	struct place *place = *state;
	struct config *config = &place->config;
	struct fault flt = {0};

	add_keys(config, (const char *const[]){"default", NULL});
	use_backend(config, "mock");
	set(config, NULL, texts[0]);
	check_found(config, NULL, NULL);
	use_backend(config, "paper");
	assert_int_equal(find_default(config, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_MISUSE);
	assert_true(keyring_is_known("secret-service") && keyring_is_known("flat-file"));
	assert_true(keyring_is_known("linux-keyutils") && keyring_is_known("mock"));
	assert_false(keyring_is_known("paper") || keyring_is_known(""));
	free(config->keyring_backend);
	config->keyring_backend = NULL;
	assert_string_equal(keyring_backend_of(config), "secret-service");
}

static long keyctl(int operation, long a, long b, long c, long d)
{
	return syscall(SYS_keyctl, operation, a, b, c, d);
}

/* In a session of its own, and of a registry that nobody else has. */
static void test_kernel(void **state)
{
	struct place *place = *state;
	struct config *config = &place->config;
	char registry[64], description[128], read[128];
	struct fault flt = {0};
	long id;

	if (keyctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) < 0 ||
	    syscall(SYS_add_key, "user", "wargfs-test", "x", 1, KEY_SPEC_SESSION_KEYRING) < 0)
		skip(); /* a container that has none */
	use_backend(config, "linux-keyutils");
	snprintf(registry, sizeof(registry), "https://test-%d.example", (int)getpid());
	snprintf(description, sizeof(description), "keyring-rs:%s@warg-signing-key", registry);
	add_keys(config, (const char *const[]){registry, NULL});
	check_found(config, registry, NULL);
	set(config, registry, texts[0]);
	id = keyctl(KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, (intptr_t)"user", (intptr_t)description, 0);
	assert_true(id >= 0);
	assert_int_equal(keyctl(KEYCTL_READ, id, (intptr_t)read, sizeof(read), 0), strlen(texts[0]));
	assert_memory_equal(read, texts[0], strlen(texts[0]));
	set(config, registry, texts[1]);

	/* In another session the persistent keyring has it, where there is one; and nobody looked for it before. */
	assert_true(keyctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) >= 0);
	if (keyctl(KEYCTL_GET_PERSISTENT, -1, KEY_SPEC_PROCESS_KEYRING, 0, 0) >= 0)
		check_found(config, registry, texts[1]);
	else
		set(config, registry, texts[1]);
	assert_int_equal(keyring_delete_signing_key(config, registry, &flt), 0);
	check_found(config, registry, NULL);
	assert_int_equal(keyring_delete_signing_key(config, registry, &flt), WARG_UNDECIDED);
}

#ifndef __SANITIZE_THREAD__ /* which cannot see how GLib, built without it, keeps its threads apart */
/* Where there is no bus that is said, with what can be done. */
static void test_no_bus(void **state)
{
	struct place *place = *state;
	struct fault flt;

	setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);
	add_keys(&place->config, (const char *const[]){"default", NULL});
	use_backend(&place->config, "secret-service");
	assert_int_equal(find_default(&place->config, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_NO_KEY);
	assert_non_null(strstr(flt.what, "--keyring-backend flat-file"));
}

/* Have the keyring asked on a bus that takes the call and never says a word. @return the bus: close() it */
static int use_silent_bus(struct place *place)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char bus[256];

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", scratch_path(place->path, "bus"));
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 5), 0);
	snprintf(bus, sizeof(bus), "unix:path=%s", address.sun_path);
	setenv("DBUS_SESSION_BUS_ADDRESS", bus, 1);
	add_keys(&place->config, (const char *const[]){"default", NULL});
	use_backend(&place->config, "secret-service");
	return listener;
}

/* It holds nobody up. */
static void test_silent_bus(void **state)
{
	struct place *place = *state;
	int listener = use_silent_bus(place);
	struct fault flt;

	keyring_service_patience = 1;
	assert_int_equal(find_default(&place->config, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_TIMEOUT);
	keyring_service_patience = KEYRING_PATIENCE;
	close(listener);
}

static void *stop_when_called(void *listener)
{
	int caller = accept(*(int *)listener, NULL, NULL);

	keyring_stop();
	return (void *)(intptr_t)caller;
}

/* A program that ends gives up its calls, those of now and later ones. The last test of the bus: it stays so. */
static void test_stop(void **state)
{
	struct place *place = *state;
	int listener = use_silent_bus(place);
	pthread_t stopper;
	struct fault flt;
	void *caller;

	assert_int_equal(pthread_create(&stopper, NULL, stop_when_called, &listener), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(find_default(&place->config, &flt), WARG_UNDECIDED);
		assert_int_equal(flt.kind, FAULT_CANCELLED);
	}
	pthread_join(stopper, &caller);
	close((int)(intptr_t)caller);
	close(listener);
}
#endif

/* ---- Torture ---- */

/* As scratch_holds(), without memory of its own. */
static bool holds(const char *path, const char *text)
{
	int fd = open(path, O_RDONLY);
	char read_text[128];
	ssize_t length = read(fd, read_text, sizeof(read_text));

	close(fd);
	return length == (ssize_t)strlen(text) && !memcmp(read_text, text, strlen(text));
}

static int find_once(void *context, struct fault *flt)
{
	const struct place *place = context;
	struct ecdsa_private_key *key = NULL;
	int r = keyring_find_signing_key(&place->config, NULL, &key, flt);

	assert_true((r == 0) == (key != NULL));
	ecdsa_private_key_free(key);
	return r;
}

static int set_once(void *context, struct fault *flt)
{
	const struct place *place = context;
	struct ecdsa_private_key *key;
	int r = ecdsa_private_key_parse(span_of_text(texts[1]), &key, flt);

	if (r)
		return r;
	r = keyring_set_signing_key(&place->config, NULL, key, flt);
	ecdsa_private_key_free(key);
	assert_true(holds(file(place, KEY_OF("default")), texts[1]) ||
		    (r && holds(file(place, KEY_OF("default")), texts[0])));
	return r;
}

static int find_token_once(void *context, struct fault *flt)
{
	const struct place *place = context;
	static struct http_url url;
	bool found = false;
	struct buf token;
	int r;

	if (!url.label[0] && (r = http_url_parse(HOME, &url, flt)))
		return r;
	buf_init(&token, CAP_SECRET);
	r = keyring_find_token(&place->config, &url, &token, &found, flt);
	assert_true((r == 0) == found && found == (token.length > 0));
	buf_wipe(&token);
	return r;
}

static void test_torture(void **state)
{
	struct place *place = *state;
	const struct http_url url = url_of(HOME);
	struct fault flt = {0};

	add_keys(&place->config, (const char *const[]){"default", NULL});
	place->config.keyring_auth = true;
	set(&place->config, NULL, texts[0]);
	assert_int_equal(keyring_set_token(&place->config, &url, span_of_text("token"), &flt), 0);
	torture(find_once, place);
	torture(set_once, place);
	torture(find_token_once, place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choice),
		cmocka_unit_test_setup_teardown(test_set_and_delete, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_leftovers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_tokens, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_tokens, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_garbage, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_huge, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_link_in_the_way, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_folder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_owners, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_backends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kernel, set_up, tear_down),
#ifndef __SANITIZE_THREAD__
		cmocka_unit_test_setup_teardown(test_no_bus, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_silent_bus, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stop, set_up, tear_down),
#endif
		cmocka_unit_test_setup_teardown(test_torture, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
