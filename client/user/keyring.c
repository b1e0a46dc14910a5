/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Which entries of the keyring are whose: keyring.h.
 */
#include "keyring.h"

#include <stdio.h>
#include <string.h>

#include "keyring_parts.h"

#define SIGNING_KEY "warg-signing-key"
#define AUTH_TOKEN "warg-auth-token:"
#define DEFAULT_KEY "default"

/* ---- Backends ---- */

static int mock_find(const struct config *config, const struct keyring_entry *entry, struct buf *out, bool *found,
		     struct fault *flt)
{
	(void)config;
	(void)entry;
	(void)out;
	(void)flt;
	*found = false;
	return 0;
}

static int mock_set(const struct config *config, const struct keyring_entry *entry, struct span secret,
		    struct fault *flt)
{
	(void)config;
	(void)entry;
	(void)secret;
	(void)flt;
	return 0;
}

static int mock_remove(const struct config *config, const struct keyring_entry *entry, bool *found, struct fault *flt)
{
	return mock_find(config, entry, NULL, found, flt);
}

/* As the reference's, which keeps nothing from one use to the next. */
static const struct keyring_backend keyring_mock = {
	.name = "mock",
	.place = "the mock keyring",
	.find = mock_find,
	.set = mock_set,
	.remove = mock_remove,
};

/* The first is the default. */
static const struct keyring_backend *const backends[] = {&keyring_service, &keyring_file, &keyring_kernel,
							  &keyring_mock};

static const struct keyring_backend *find_backend(const char *name)
{
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
		if (strcmp(backends[i]->name, name) == 0)
			return backends[i];
	}
	return NULL;
}

bool keyring_is_known(const char *backend)
{
	return find_backend(backend) != NULL;
}

const char *keyring_backend_of(const struct config *config)
{
	return config->keyring_backend ? config->keyring_backend : backends[0]->name;
}

static int choose_backend(const struct config *config, const struct keyring_backend **out, struct fault *flt)
{
	const struct keyring_backend *backend = find_backend(keyring_backend_of(config));

	if (!backend)
		return fault_undecided(flt, FAULT_MISUSE, "there is no keyring backend '%.40s': the configuration may "
				       "name " KEYRING_BACKENDS, config->keyring_backend);
	*out = backend;
	return 0;
}

int keyring_unavailable(struct fault *flt, const char *why)
{
	return fault_undecided(flt, FAULT_NO_KEY, "cannot be used in this session: %.120s", why);
}

/* Which secret it is: "the signing key", "the signing key for https://…", "the token for team.example". */
static void describe(const struct keyring_entry *entry, char out[static 160])
{
	bool is_key = strcmp(entry->service, SIGNING_KEY) == 0;

	if (is_key && strcmp(entry->user, DEFAULT_KEY) == 0)
		snprintf(out, 160, "the signing key");
	else
		snprintf(out, 160, "the %s for %.100s", is_key ? "signing key" : "token", entry->user);
}

/* Say which secret it was and where, and that the registry has nothing to do with it. */
static int told(const struct keyring_backend *backend, const struct config *config, const struct keyring_entry *entry,
		int verdict, struct fault *flt)
{
	const char *place = backend->place ? backend->place : config->keyring_dir;
	char secret[160];

	if (!verdict || !flt)
		return verdict;
	describe(entry, secret);
	if (flt->kind == FAULT_NO_KEY && backend->place) {
		fault_subject(flt, "%s", backend->place);
		fault_add(flt, "to keep %s in a file: wargfs %s --keyring-backend flat-file", secret,
			  strcmp(entry->service, SIGNING_KEY) == 0 ? "key new" : "login");
	} else {
		fault_at(flt, "%s%s%.80s", secret, place ? " in " : "", place ? place : "");
	}
	fault_blame(flt, FAULT_BY_SYSTEM);
	return verdict;
}

static int find(const struct keyring_backend *backend, const struct config *config, const struct keyring_entry *entry,
		struct buf *out, bool *found, struct fault *flt)
{
	return told(backend, config, entry, backend->find(config, entry, out, found, flt), flt);
}

static int set(const struct keyring_backend *backend, const struct config *config, const struct keyring_entry *entry,
	       struct span secret, struct fault *flt)
{
	return told(backend, config, entry, backend->set(config, entry, secret, flt), flt);
}

static int remove_entry(const struct keyring_backend *backend, const struct config *config,
			const struct keyring_entry *entry, bool *found, struct fault *flt)
{
	return told(backend, config, entry, backend->remove(config, entry, found, flt), flt);
}

/* ---- Signing keys ---- */

/*
 * Under whose name a key is kept, the one that the reference would use first. It writes the key of the home registry
 * under the URL when it is told the URL, and looks under the label when it is not: both are the same key.
 */
struct users {
	const char *names[2];
	size_t count;
	char label[CAP_URL + 1];
};

const char *keyring_key_name(const struct config *config, const char *registry)
{
	if (registry)
		return config_has_key(config, registry) ? registry : DEFAULT_KEY;
	return config->home_url && config_has_key(config, config->home_url) ? config->home_url : DEFAULT_KEY;
}

static void find_users(const struct config *config, const char *registry, struct users *out)
{
	const char *name = keyring_key_name(config, registry);
	struct http_url url;

	out->count = 0;
	if (strcmp(name, DEFAULT_KEY) && !http_url_parse(name, &url, NULL) && strcmp(name, url.label)) {
		memcpy(out->label, url.label, sizeof(url.label));
		out->names[out->count++] = out->label;
	}
	out->names[out->count++] = name;
	if (registry && out->count == 2) {
		out->names[0] = name;
		out->names[1] = out->label;
	}
}

static int no_key(const struct config *config, const char *registry, struct fault *flt)
{
	const char *name = keyring_key_name(config, registry);

	if (strcmp(name, DEFAULT_KEY) == 0)
		return fault_undecided(flt, FAULT_NO_KEY, "there is no key to sign with: 'wargfs key new' makes one, "
				       "'wargfs key set' takes one that there is");
	return fault_undecided(flt, FAULT_NO_KEY, "the keyring has no key for %.100s: 'wargfs key new --registry URL' "
			       "makes one, 'wargfs key set' takes one that there is", name);
}

int keyring_find_signing_key(const struct config *config, const char *registry, struct ecdsa_private_key **out,
			     struct fault *flt)
{
	struct keyring_entry entry = {SIGNING_KEY, NULL};
	const struct keyring_backend *backend;
	struct users users;
	bool found = false;
	struct buf text;
	int r;

	/* Without a registry the reference takes no key that its configuration does not name. */
	if (!registry && !config_has_key(config, keyring_key_name(config, NULL)))
		return no_key(config, registry, flt);
	r = choose_backend(config, &backend, flt);
	if (r)
		return r;
	find_users(config, registry, &users);
	buf_init(&text, CAP_SECRET);
	for (size_t i = 0; i < users.count && !r && !found; i++) {
		entry.user = users.names[i];
		r = find(backend, config, &entry, &text, &found, flt);
	}
	if (!r && !found)
		r = no_key(config, registry, flt);
	else if (!r)
		r = told(backend, config, &entry, ecdsa_private_key_parse(buf_span(&text), out, flt), flt);
	buf_wipe(&text);
	return r;
}

/* Whether anything is kept there, be it what it may. */
static int is_kept(const struct keyring_backend *backend, const struct config *config,
		   const struct keyring_entry *entry, bool *kept, struct fault *flt)
{
	struct fault own = {0};
	struct buf text;
	int r;

	buf_init(&text, CAP_SECRET);
	r = find(backend, config, entry, &text, kept, &own);
	buf_wipe(&text);
	if (r == WARG_INVALID) {
		*kept = true;
		return 0;
	}
	fault_pass(&own, flt);
	return r;
}

int keyring_set_signing_key(const struct config *config, const char *registry, const struct ecdsa_private_key *key,
			    struct fault *flt)
{
	const struct keyring_backend *backend;
	struct users users;
	struct buf text;
	int r = choose_backend(config, &backend, flt);

	if (r)
		return r;
	find_users(config, registry, &users);
	buf_init(&text, CAP_SECRET);
	r = ecdsa_private_key_format(key, &text, flt);
	for (size_t i = 0; i < users.count && !r; i++) {
		const struct keyring_entry entry = {SIGNING_KEY, users.names[i]};
		bool kept = true;

		if (i)
			r = is_kept(backend, config, &entry, &kept, flt);
		if (!r && kept)
			r = set(backend, config, &entry, buf_span(&text), flt);
	}
	buf_wipe(&text);
	return r;
}

int keyring_delete_signing_key(const struct config *config, const char *registry, struct fault *flt)
{
	const struct keyring_backend *backend;
	struct users users;
	bool found, any = false;
	int r = choose_backend(config, &backend, flt);

	if (r)
		return r;
	find_users(config, registry, &users);
	for (size_t i = 0; i < users.count && !r; i++) {
		const struct keyring_entry entry = {SIGNING_KEY, users.names[i]};

		r = remove_entry(backend, config, &entry, &found, flt);
		any = any || (!r && found);
	}
	return r || any ? r : no_key(config, registry, flt);
}

/* ---- Tokens ---- */

/* @param service  of the token's entry; has to live as long as that */
static int token_entry(const struct http_url *url, char *service, size_t size, struct keyring_entry *out,
		       struct fault *flt)
{
	size_t prefix = strlen(AUTH_TOKEN), length = strlen(url->label);

	if (prefix + length >= size)
		return fault_undecided(flt, FAULT_LIMIT, "the registry's URL is too long to keep a token for");
	memcpy(service, AUTH_TOKEN, prefix);
	memcpy(service + prefix, url->label, length + 1);
	*out = (struct keyring_entry){service, url->label};
	return 0;
}

int keyring_check_token(struct span token, struct fault *flt)
{
	if (!token.length)
		return fault_invalid(flt, "a token is not empty");
	if (token.length > CAP_SECRET)
		return fault_invalid(flt, "a token is not longer than %u bytes", CAP_SECRET);
	for (size_t i = 0; i < token.length; i++) {
		if (token.data[i] <= ' ' || token.data[i] > '~')
			return fault_invalid(flt, "a token has no white space, and no character outside of ASCII");
	}
	return 0;
}

int keyring_find_token(const struct config *config, const struct http_url *url, struct buf *out, bool *found,
		       struct fault *flt)
{
	char service[sizeof(AUTH_TOKEN) + CAP_URL];
	const struct keyring_backend *backend;
	struct keyring_entry entry;
	bool is_there = false;
	struct buf token;
	int r;

	if (!config->keyring_auth) {
		*found = false;
		return 0;
	}
	r = choose_backend(config, &backend, flt);
	if (!r)
		r = token_entry(url, service, sizeof(service), &entry, flt);
	if (r)
		return r;
	buf_init(&token, CAP_SECRET);
	r = find(backend, config, &entry, &token, &is_there, flt);
	if (!r && is_there)
		r = told(backend, config, &entry, keyring_check_token(buf_span(&token), flt), flt);
	if (!r && is_there)
		r = buf_append(out, buf_span(&token), flt);
	buf_wipe(&token);
	if (!r)
		*found = is_there;
	return r;
}

int keyring_set_token(const struct config *config, const struct http_url *url, struct span token, struct fault *flt)
{
	char service[sizeof(AUTH_TOKEN) + CAP_URL];
	const struct keyring_backend *backend;
	struct keyring_entry entry;
	int r = keyring_check_token(token, flt);

	if (!r)
		r = choose_backend(config, &backend, flt);
	if (!r)
		r = token_entry(url, service, sizeof(service), &entry, flt);
	return r ? r : set(backend, config, &entry, token, flt);
}

int keyring_delete_token(const struct config *config, const struct http_url *url, bool *found, struct fault *flt)
{
	char service[sizeof(AUTH_TOKEN) + CAP_URL];
	const struct keyring_backend *backend;
	struct keyring_entry entry;
	int r = choose_backend(config, &backend, flt);

	if (!r)
		r = token_entry(url, service, sizeof(service), &entry, flt);
	return r ? r : remove_entry(backend, config, &entry, found, flt);
}

bool keyring_find_exposed(const struct config *config, char *out)
{
	return !strcmp(keyring_backend_of(config), keyring_file.name) && keyring_file_find_exposed(config, out);
}

void keyring_stop(void)
{
	keyring_service_stop();
}
