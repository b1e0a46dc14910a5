/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A hash table of connected clients (see clients.h).
 */
#include "clients.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "verify/caps.h"

#define SLOTS 1024

/* Key of a client: the part of the address that identifies it. */
struct key {
	sa_family_t family;
	unsigned char bytes[8];
};

struct client {
	struct clients *clients;
	struct key key;
	struct client *chained;
	unsigned connections;
	size_t held;
	size_t unread; /* of these */
	struct lane_place place;
};

struct clients {
	unsigned connections; /* of one client */
	struct lanes *lanes;
	pthread_mutex_t mutex; /* for what follows, and for the clients */
	size_t held;
	struct client *slots[SLOTS];
};

int clients_new(unsigned connections, struct lanes *lanes, struct clients **out, struct fault *flt)
{
	struct clients *clients = calloc(1, sizeof(*clients));

	if (!clients)
		return fault_no_memory(flt);
	clients->connections = connections;
	clients->lanes = lanes;
	pthread_mutex_init(&clients->mutex, NULL);
	*out = clients;
	return 0;
}

void clients_free(struct clients *clients)
{
	if (!clients)
		return;
	pthread_mutex_destroy(&clients->mutex);
	free(clients);
}

/* ---- Addresses ---- */

static struct key key_of(const struct sockaddr *address)
{
	struct key key = {.family = address ? address->sa_family : AF_UNSPEC};

	if (key.family == AF_INET) {
		const struct sockaddr_in *inet = (const struct sockaddr_in *)(const void *)address;

		memcpy(key.bytes, &inet->sin_addr, sizeof(inet->sin_addr));
	} else if (key.family == AF_INET6) {
		const struct in6_addr *inet = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
		const bool is_mapped = IN6_IS_ADDR_V4MAPPED(inet);

		if (is_mapped)
			key.family = AF_INET;
		memcpy(key.bytes, inet->s6_addr + (is_mapped ? 12 : 0), is_mapped ? 4 : 8);
	}
	return key;
}

/* No keyed hash: an attacker who can choose addresses to fill one chain has one per connection anyway. */
static struct client **slot_of(struct clients *clients, const struct key *key)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < sizeof(key->bytes); i++)
		hash = (hash ^ key->bytes[i]) * 16777619u;
	return &clients->slots[hash % SLOTS];
}

/* With the mutex. @return NULL: there is none */
static struct client *find(struct clients *clients, const struct key *key)
{
	struct client *client = *slot_of(clients, key);

	while (client && (client->key.family != key->family ||
			  memcmp(client->key.bytes, key->bytes, sizeof(key->bytes))))
		client = client->chained;
	return client;
}

bool clients_admit(struct clients *clients, const struct sockaddr *address)
{
	const struct key key = key_of(address);
	const struct client *client;
	bool may;

	if (key.family != AF_INET && key.family != AF_INET6)
		return true;
	pthread_mutex_lock(&clients->mutex);
	client = find(clients, &key);
	may = !client || client->connections < clients->connections;
	pthread_mutex_unlock(&clients->mutex);
	return may;
}

/* With the mutex. */
static struct client *add(struct clients *clients, const struct key *key)
{
	struct client *client = calloc(1, sizeof(*client)), **slot = slot_of(clients, key);

	if (!client)
		return NULL;
	client->clients = clients;
	client->key = *key;
	lane_place_init(&client->place);
	client->chained = *slot;
	*slot = client;
	return client;
}

struct client *clients_enter(struct clients *clients, const struct sockaddr *address)
{
	const struct key key = key_of(address);
	struct client *client;

	pthread_mutex_lock(&clients->mutex);
	client = find(clients, &key);
	if (!client)
		client = add(clients, &key);
	if (client)
		client->connections++;
	pthread_mutex_unlock(&clients->mutex);
	return client;
}

void client_leave(struct client *client)
{
	struct clients *clients = client ? client->clients : NULL;
	struct client **link;

	if (!client)
		return;
	pthread_mutex_lock(&clients->mutex);
	if (!--client->connections) {
		link = slot_of(clients, &client->key);
		while (*link != client)
			link = &(*link)->chained;
		*link = client->chained;
		free(client);
	}
	pthread_mutex_unlock(&clients->mutex);
}

struct lane_place *client_place(struct client *client)
{
	return &client->place;
}

/* ---- Bytes ---- */

/* With the mutex. */
static bool fits(const struct client *client, size_t bytes)
{
	return bytes <= CAP_CLIENT_MEMORY - client->held && bytes <= CAP_SERVED_MEMORY - client->clients->held;
}

bool client_has_room(struct client *client, size_t bytes)
{
	bool has;

	pthread_mutex_lock(&client->clients->mutex);
	has = fits(client, bytes);
	pthread_mutex_unlock(&client->clients->mutex);
	return has;
}

bool client_hold(struct client *client, size_t bytes)
{
	bool has;

	pthread_mutex_lock(&client->clients->mutex);
	has = fits(client, bytes);
	if (has) {
		client->held += bytes;
		client->clients->held += bytes;
	}
	pthread_mutex_unlock(&client->clients->mutex);
	return has;
}

void client_let_go(struct client *client, size_t bytes)
{
	if (!bytes)
		return;
	pthread_mutex_lock(&client->clients->mutex);
	client->held -= bytes;
	client->clients->held -= bytes;
	pthread_mutex_unlock(&client->clients->mutex);
}

/* Call the lanes under the mutex, so that they see the changes in order. */
static void set_unread(struct client *client, size_t bytes)
{
	const bool before = client->unread > CAP_CLIENT_MEMORY / 2, now = bytes > CAP_CLIENT_MEMORY / 2;

	client->unread = bytes;
	if (now != before)
		lanes_hold_up(client->clients->lanes, &client->place, now);
}

void client_answers(struct client *client, size_t bytes)
{
	if (!bytes)
		return;
	pthread_mutex_lock(&client->clients->mutex);
	set_unread(client, client->unread + bytes);
	pthread_mutex_unlock(&client->clients->mutex);
}

void client_has_answer(struct client *client, size_t bytes)
{
	if (!bytes)
		return;
	pthread_mutex_lock(&client->clients->mutex);
	set_unread(client, client->unread - bytes);
	pthread_mutex_unlock(&client->clients->mutex);
}
