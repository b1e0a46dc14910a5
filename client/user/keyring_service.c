/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The desktop's keyring, by D-Bus: keyring.h, interop.md section C 10; the Secret Service API of freedesktop.org.
 *
 * libsecret brings GLib along, and GLib its threads and some megabytes: it is loaded when the first secret is asked
 * for, and a program that never asks is none the bigger. Each call runs on a thread of its own, which its caller waits
 * for with a deadline: whatever a bus or a prompt does, nobody hangs. A thread that does not even mind being cancelled
 * is left behind with all that it works on.
 */
#include "keyring.h"

#include <dlfcn.h>
#include <errno.h>
#include <libsecret/secret.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/base/clock.h"
#include "client/base/thread.h"
#include "keyring_parts.h"

#define LIBRARY "libsecret-1.so.0"
#define GRACE 2 /* seconds that a cancelled call has to give up */

unsigned keyring_service_patience = KEYRING_PATIENCE;

/* ---- The library ---- */

/* What is used of it and of GLib. */
static struct {
	__typeof__(g_bus_get_sync) *bus_get;
	__typeof__(g_cancellable_cancel) *cancel;
	__typeof__(g_cancellable_new) *cancellable_new;
	__typeof__(g_dbus_connection_set_exit_on_close) *set_exit_on_close;
	__typeof__(g_error_free) *error_free;
	__typeof__(g_hash_table_insert) *table_insert;
	__typeof__(g_hash_table_new) *table_new;
	__typeof__(g_hash_table_unref) *table_unref;
	__typeof__(g_list_free) *list_free;
	__typeof__(g_object_unref) *object_unref;
	__typeof__(g_str_equal) *str_equal;
	__typeof__(g_str_hash) *str_hash;
	__typeof__(secret_item_delete_sync) *item_delete;
	__typeof__(secret_item_get_locked) *item_is_locked;
	__typeof__(secret_item_get_secret) *item_secret;
	__typeof__(secret_item_load_secret_sync) *item_load;
	__typeof__(secret_item_set_secret_sync) *item_set;
	__typeof__(secret_service_get_type) *service_type;
	__typeof__(secret_service_open_sync) *service_open;
	__typeof__(secret_service_search_sync) *service_search;
	__typeof__(secret_service_store_sync) *service_store;
	__typeof__(secret_value_get) *value_get;
	__typeof__(secret_value_new) *value_new;
	__typeof__(secret_value_unref) *value_unref;
	char why[128]; /* it could not be loaded; "": it was */
} lib;

static const struct {
	const char *name;
	void *at; /* a pointer in `lib` */
} symbols[] = {
	{"g_bus_get_sync", &lib.bus_get},
	{"g_cancellable_cancel", &lib.cancel},
	{"g_cancellable_new", &lib.cancellable_new},
	{"g_dbus_connection_set_exit_on_close", &lib.set_exit_on_close},
	{"g_error_free", &lib.error_free},
	{"g_hash_table_insert", &lib.table_insert},
	{"g_hash_table_new", &lib.table_new},
	{"g_hash_table_unref", &lib.table_unref},
	{"g_list_free", &lib.list_free},
	{"g_object_unref", &lib.object_unref},
	{"g_str_equal", &lib.str_equal},
	{"g_str_hash", &lib.str_hash},
	{"secret_item_delete_sync", &lib.item_delete},
	{"secret_item_get_locked", &lib.item_is_locked},
	{"secret_item_get_secret", &lib.item_secret},
	{"secret_item_load_secret_sync", &lib.item_load},
	{"secret_item_set_secret_sync", &lib.item_set},
	{"secret_service_get_type", &lib.service_type},
	{"secret_service_open_sync", &lib.service_open},
	{"secret_service_search_sync", &lib.service_search},
	{"secret_service_store_sync", &lib.service_store},
	{"secret_value_get", &lib.value_get},
	{"secret_value_new", &lib.value_new},
	{"secret_value_unref", &lib.value_unref},
};

/* It stays until the process ends: GLib cannot be unloaded. */
static void load(void)
{
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	void *address;

	if (!handle) {
		snprintf(lib.why, sizeof(lib.why), "%s is not installed", LIBRARY);
		return;
	}
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		address = dlsym(handle, symbols[i].name);
		if (!address) {
			snprintf(lib.why, sizeof(lib.why), "%s has no %s", LIBRARY, symbols[i].name);
			return;
		}
		memcpy(symbols[i].at, &address, sizeof(address));
	}
}

static int load_once(struct fault *flt)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	return lib.why[0] ? keyring_unavailable(flt, lib.why) : 0;
}

/* ---- A call ---- */

enum purpose { FIND, SET, REMOVE };

struct call {
	struct call *next; /* calls whose result a thread waits for */
	pthread_mutex_t mutex;
	pthread_cond_t ended;
	bool is_over;      /* the rest is the caller's again */
	bool is_abandoned; /* nobody waits: whoever ends it frees it */
	bool is_stopped;   /* the program ends */
	GCancellable *cancellable;
	enum purpose purpose;
	char *service, *user;
	struct buf secret; /* to set, or found */
	bool found;
	int verdict;
	struct fault fault;
};

static void free_call(struct call *call)
{
	if (call->cancellable)
		lib.object_unref(call->cancellable);
	pthread_cond_destroy(&call->ended);
	pthread_mutex_destroy(&call->mutex);
	free(call->service);
	free(call->user);
	buf_wipe(&call->secret);
	free(call);
}

static struct call *new_call(enum purpose purpose, const struct keyring_entry *entry)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	pthread_mutex_init(&call->mutex, NULL);
	thread_condition_init(&call->ended);
	buf_init(&call->secret, CAP_SECRET);
	call->purpose = purpose;
	call->service = strdup(entry->service);
	call->user = strdup(entry->user);
	call->cancellable = lib.cancellable_new();
	if (call->service && call->user)
		return call;
	free_call(call);
	return NULL;
}

/* ---- On its thread ---- */

/* GLib's sentences have typographic quotes: what is not ASCII becomes one that is. */
static void copy_plainly(const char *text, char *out, size_t size)
{
	size_t length = 0;

	for (; *text && length + 1 < size; text++) {
		if ((unsigned char)*text < 0x80)
			out[length++] = *text;
		else if (!length || out[length - 1] != '\'')
			out[length++] = '\'';
	}
	out[length] = '\0';
}

static int failed(GError *error, struct fault *flt)
{
	char why[128];

	copy_plainly(error ? error->message : "it does not say why", why, sizeof(why));
	if (error)
		lib.error_free(error);
	return keyring_unavailable(flt, why);
}

static void insert(GHashTable *attributes, const char *name, const char *value)
{
	lib.table_insert(attributes, (void *)(uintptr_t)name, (void *)(uintptr_t)value);
}

/* What the reference's entries are found by. Borrows the call's texts. */
static GHashTable *attributes_of(const struct call *call)
{
	GHashTable *attributes = lib.table_new(lib.str_hash, lib.str_equal);

	insert(attributes, "target", "default");
	insert(attributes, "service", call->service);
	insert(attributes, "username", call->user);
	return attributes;
}

static int read_item(struct call *call, SecretItem *item, struct fault *flt)
{
	GError *error = NULL;
	SecretValue *value;
	const char *text;
	gsize length = 0;
	int r;

	if (lib.item_is_locked(item))
		return keyring_unavailable(flt, "it is locked: unlock it first");
	if (!lib.item_load(item, call->cancellable, &error))
		return failed(error, flt);
	value = lib.item_secret(item);
	if (!value)
		return failed(NULL, flt);
	text = lib.value_get(value, &length);
	if (length > CAP_SECRET)
		r = fault_invalid(flt, "it is longer than %u bytes", CAP_SECRET);
	else
		r = buf_append(&call->secret, (struct span){(const unsigned char *)text, length}, flt);
	lib.value_unref(value);
	return r;
}

static int find_in(struct call *call, GList *items, struct fault *flt)
{
	if (!items)
		return 0;
	call->found = true;
	if (items->next)
		return fault_invalid(flt, "it is there more than once: to set it anew, or to delete it, repairs that");
	return read_item(call, items->data, flt);
}

static int remove_all(struct call *call, GList *items, struct fault *flt)
{
	GError *error = NULL;

	for (; items; items = items->next) {
		if (lib.item_is_locked(items->data))
			return keyring_unavailable(flt, "it is locked: unlock it first");
		if (!lib.item_delete(items->data, call->cancellable, &error))
			return failed(error, flt);
		call->found = true;
	}
	return 0;
}

/* Put it into the default collection. */
static int create(struct call *call, SecretService *service, SecretValue *value, struct fault *flt)
{
	GHashTable *attributes = attributes_of(call);
	GError *error = NULL;
	char label[256];
	gboolean stored;

	insert(attributes, "application", "rust-keyring");
	snprintf(label, sizeof(label), "%s of %s", call->service, call->user);
	stored = lib.service_store(service, NULL, attributes, SECRET_COLLECTION_DEFAULT, label, value,
				   call->cancellable, &error);
	lib.table_unref(attributes);
	return stored ? 0 : failed(error, flt);
}

/* On the item that is there, as the reference does; two that match would be one too many for it. */
static int set_in(struct call *call, SecretService *service, GList *items, struct fault *flt)
{
	SecretValue *value = lib.value_new((const char *)call->secret.data, (gssize)call->secret.length, "text/plain");
	GError *error = NULL;
	int r = 0;

	if (!items)
		r = create(call, service, value, flt);
	else if (lib.item_is_locked(items->data))
		r = keyring_unavailable(flt, "it is locked: unlock it first");
	else if (!lib.item_set(items->data, value, call->cancellable, &error))
		r = failed(error, flt);
	lib.value_unref(value);
	return r || !items ? r : remove_all(call, items->next, flt);
}

static int use(struct call *call, SecretService *service, struct fault *flt)
{
	GHashTable *attributes = attributes_of(call);
	GError *error = NULL;
	GList *items = lib.service_search(service, NULL, attributes, SECRET_SEARCH_ALL | SECRET_SEARCH_UNLOCK,
					  call->cancellable, &error);
	int r;

	lib.table_unref(attributes);
	if (error)
		return failed(error, flt);
	switch (call->purpose) {
	case FIND:
		r = find_in(call, items, flt);
		break;
	case SET:
		r = set_in(call, service, items, flt);
		break;
	default:
		r = remove_all(call, items, flt);
	}
	for (GList *item = items; item; item = item->next)
		lib.object_unref(item->data);
	lib.list_free(items);
	return r;
}

static int talk(struct call *call, struct fault *flt)
{
	GError *error = NULL;
	GDBusConnection *bus = lib.bus_get(G_BUS_TYPE_SESSION, call->cancellable, &error);
	SecretService *service;
	int r;

	if (!bus)
		return failed(error, flt);
	/* GLib would end the process with the session; a mount outlives that. */
	lib.set_exit_on_close(bus, FALSE);
	service = lib.service_open(lib.service_type(), NULL, SECRET_SERVICE_OPEN_SESSION, call->cancellable, &error);
	if (service) {
		r = use(call, service, flt);
		lib.object_unref(service);
	} else {
		r = failed(error, flt);
	}
	lib.object_unref(bus);
	return r;
}

static void *run_call(void *argument)
{
	struct call *call = argument;
	struct fault flt = {0};
	int verdict = talk(call, &flt);
	bool is_abandoned;

	pthread_mutex_lock(&call->mutex);
	call->verdict = verdict;
	call->fault = flt;
	call->is_over = true;
	is_abandoned = call->is_abandoned;
	pthread_cond_signal(&call->ended);
	pthread_mutex_unlock(&call->mutex);
	if (is_abandoned)
		free_call(call);
	return NULL;
}

/* ---- Waiting for it ---- */

/* Calls that somebody waits for, and whether the program ends. The list's mutex is taken before a call's. */
static pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct call *first_call;
static bool stopped;

static void enlist(struct call *call)
{
	pthread_mutex_lock(&list_mutex);
	call->next = first_call;
	first_call = call;
	pthread_mutex_lock(&call->mutex);
	call->is_stopped = stopped;
	pthread_mutex_unlock(&call->mutex);
	pthread_mutex_unlock(&list_mutex);
}

static void unlist(struct call *call)
{
	struct call **place = &first_call;

	pthread_mutex_lock(&list_mutex);
	while (*place != call)
		place = &(*place)->next;
	*place = call->next;
	pthread_mutex_unlock(&list_mutex);
}

void keyring_service_stop(void)
{
	pthread_mutex_lock(&list_mutex);
	stopped = true;
	for (struct call *call = first_call; call; call = call->next) {
		pthread_mutex_lock(&call->mutex);
		call->is_stopped = true;
		pthread_cond_broadcast(&call->ended);
		pthread_mutex_unlock(&call->mutex);
	}
	pthread_mutex_unlock(&list_mutex);
}

/* Under its mutex. @param until_stopped  end with keyring_service_stop() */
static void wait_for(struct call *call, unsigned seconds, bool until_stopped)
{
	clock_ms deadline = clock_in_seconds(seconds);
	const struct timespec at = {.tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000};

	while (!call->is_over && !(until_stopped && call->is_stopped) &&
	       pthread_cond_timedwait(&call->ended, &call->mutex, &at) != ETIMEDOUT)
		;
}

static void wait_in_list(struct call *call)
{
	enlist(call);
	pthread_mutex_lock(&call->mutex);
	wait_for(call, keyring_service_patience, true);
	pthread_mutex_unlock(&call->mutex);
	unlist(call);
}

/* A thread that no signal goes to, nor to those that GLib starts from it. */
static int start(struct call *call, struct fault *flt)
{
	pthread_t thread;
	int error = thread_start(&thread, run_call, call);

	if (error)
		return fault_system(flt, error, "the keyring's thread cannot be started");
	pthread_detach(thread);
	return 0;
}

/*
 * Run it to its end, or to that of our patience.
 * @return its verdict, and `call` is the caller's to free; else, with `*out` NULL, it was left behind
 */
static int finish(struct call **out, struct fault *flt)
{
	struct call *call = *out;
	int verdict = start(call, flt);

	if (verdict)
		return verdict;
	wait_in_list(call);
	pthread_mutex_lock(&call->mutex);
	if (!call->is_over) {
		verdict = call->is_stopped ? fault_undecided(flt, FAULT_CANCELLED, "the program ends") :
			  fault_undecided(flt, FAULT_TIMEOUT, "it did not answer within %u s: it may be locked, and "
					  "waiting for its password", keyring_service_patience);
		lib.cancel(call->cancellable);
		wait_for(call, GRACE, false);
	}
	if (!call->is_over) {
		call->is_abandoned = true;
		*out = NULL;
	} else if (!verdict) {
		verdict = call->verdict;
		fault_pass(&call->fault, flt);
	}
	pthread_mutex_unlock(&call->mutex);
	return verdict;
}

/* ---- The backend ---- */

/* @param given  to set; else nothing  @param out  of what is found; NULL: of no interest */
static int ask(enum purpose purpose, const struct keyring_entry *entry, struct span given, struct buf *out,
	       bool *found, struct fault *flt)
{
	struct call *call;
	int r = load_once(flt);

	if (r)
		return r;
	call = new_call(purpose, entry);
	if (!call)
		return fault_no_memory(flt);
	r = buf_append(&call->secret, given, flt);
	if (!r)
		r = finish(&call, flt);
	if (!r && out)
		r = buf_append(out, buf_span(&call->secret), flt);
	if (!r && found)
		*found = call->found;
	if (call)
		free_call(call);
	return r;
}

static int find(const struct config *config, const struct keyring_entry *entry, struct buf *out, bool *found,
		struct fault *flt)
{
	(void)config;
	return ask(FIND, entry, (struct span){0}, out, found, flt);
}

static int set(const struct config *config, const struct keyring_entry *entry, struct span secret, struct fault *flt)
{
	(void)config;
	return ask(SET, entry, secret, NULL, NULL, flt);
}

static int remove_entry(const struct config *config, const struct keyring_entry *entry, bool *found, struct fault *flt)
{
	(void)config;
	return ask(REMOVE, entry, (struct span){0}, NULL, found, flt);
}

const struct keyring_backend keyring_service = {
	.name = "secret-service",
	.place = "the desktop's keyring",
	.find = find,
	.set = set,
	.remove = remove_entry,
};
