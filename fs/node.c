/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The table of nodes (see node.h): chains by number. A place whose number is taken by another place takes the next
 * turn.
 */
#include "node.h"

#include "draft.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEWEST_CHAINS 64

struct nodes {
	pthread_mutex_t mutex;
	struct digest key;
	struct node **chains;
	size_t chain_count; /* a power of two */
	size_t count;
	size_t counts[PATH_KINDS]; /* by kind */
};

/** What went wrong last at a node. */
struct node_error {
	uint64_t of; /* inode number of the failing node: this one, or one below it */
	char sentence[];
};

int nodes_new(const struct digest *key, struct nodes **out, struct fault *flt)
{
	struct nodes *nodes = calloc(1, sizeof(*nodes));
	struct path root = path_root();

	if (!nodes)
		return fault_no_memory(flt);
	nodes->key = *key;
	nodes->chain_count = FEWEST_CHAINS;
	nodes->chains = calloc(nodes->chain_count, sizeof(*nodes->chains));
	pthread_mutex_init(&nodes->mutex, NULL);
	/* The kernel knows the root from the start: its reference is never given back. */
	if (!nodes->chains || !nodes_enter(nodes, &root, NULL)) {
		nodes_free(nodes);
		return fault_no_memory(flt);
	}
	*out = nodes;
	return 0;
}

static void node_free(struct node *node)
{
	struct buf *document = path_has_text(node->kind) ? atomic_load(&node->document) : NULL;

	free(node->error);
	draft_free(node->draft);
	if (document)
		buf_release(document);
	free(document);
	free(node);
}

void nodes_free(struct nodes *nodes)
{
	if (!nodes)
		return;
	for (size_t i = 0; nodes->chains && i < nodes->chain_count; i++) {
		for (struct node *node = nodes->chains[i], *next; node; node = next) {
			next = node->next;
			node_free(node);
		}
	}
	free(nodes->chains);
	pthread_mutex_destroy(&nodes->mutex);
	free(nodes);
}

static struct node **chain_of(const struct nodes *nodes, uint64_t number)
{
	return &nodes->chains[number & (nodes->chain_count - 1)];
}

static struct node *find(const struct nodes *nodes, uint64_t number)
{
	struct node *node = *chain_of(nodes, number);

	while (node && node->number != number)
		node = node->next;
	return node;
}

static bool is_place(const struct node *node, const struct path *path, const struct digest *content)
{
	return node->kind == path->kind && (path_is_draft(path->kind) || strcmp(node->text, path->text) == 0) &&
	       (!path_has_digest(path->kind) || digest_equals(node_content(node), content));
}

/* Whether the next lookup of the place is to get another node. */
static bool is_spent(const struct node *node)
{
	return atomic_load(&node->retired) || (path_is_document(node->kind) && atomic_load(&node->asked));
}

/*
 * The node of a place, or NULL and the number that it is to have.
 * @param shown  the number of the first node of the place, which all its nodes are shown with; may be NULL
 */
static struct node *find_place(const struct nodes *nodes, const struct path *path, const struct digest *content,
			       uint64_t *number, uint64_t *shown)
{
	bool is_shown = !shown;

	for (unsigned turn = 0;; turn++) {
		struct node *node;
		bool is_its;

		*number = inode_number(&nodes->key, path, content, turn);
		node = find(nodes, *number);
		is_its = !node || is_place(node, path, content);
		if (is_its && !is_shown)
			*shown = *number;
		is_shown = is_shown || is_its;
		if (is_its && !(node && is_spent(node)))
			return node;
	}
}

/* Twice the chains. Without memory they get longer, no more. */
static void grow(struct nodes *nodes)
{
	struct node **old = nodes->chains;
	size_t old_count = nodes->chain_count;
	struct node **chains = calloc(old_count * 2, sizeof(*chains));

	if (!chains)
		return;
	nodes->chains = chains;
	nodes->chain_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++) {
		for (struct node *node = old[i], *next; node; node = next) {
			struct node **chain = chain_of(nodes, node->number);

			next = node->next;
			node->next = *chain;
			*chain = node;
		}
	}
	free(old);
}

static struct node *add(struct nodes *nodes, const struct path *path, const struct digest *content, uint64_t number,
			uint64_t shown)
{
	size_t length = strlen(path->text), digest = path_has_digest(path->kind) ? sizeof(*content) : 0;
	struct node *node = calloc(1, offsetof(struct node, text) + length + 1 + digest);
	struct node **chain;

	if (!node)
		return NULL;
	if (nodes->count >= nodes->chain_count)
		grow(nodes);
	node->number = number;
	node->shown = shown;
	node->kind = (unsigned char)path->kind;
	memcpy(node->text, path->text, length);
	if (digest)
		memcpy(node->text + length + 1, content, digest);
	chain = chain_of(nodes, number);
	node->next = *chain;
	*chain = node;
	nodes->count++;
	nodes->counts[node->kind]++;
	return node;
}

static void drop_if_unused(struct nodes *nodes, struct node *node)
{
	struct node **link = chain_of(nodes, node->number);

	if (node->lookups || node->references)
		return;
	while (*link != node)
		link = &(*link)->next;
	*link = node->next;
	nodes->count--;
	nodes->counts[node->kind]--;
	node_free(node);
}

static struct node *with_reference(struct node *node)
{
	if (node)
		node->references++;
	return node;
}

struct node *nodes_find(struct nodes *nodes, uint64_t number)
{
	struct node *node;

	pthread_mutex_lock(&nodes->mutex);
	node = with_reference(find(nodes, number));
	pthread_mutex_unlock(&nodes->mutex);
	return node;
}

struct node *nodes_find_path(struct nodes *nodes, const struct path *path, const struct digest *content)
{
	struct node *node;
	uint64_t number;

	pthread_mutex_lock(&nodes->mutex);
	node = with_reference(find_place(nodes, path, content, &number, NULL));
	pthread_mutex_unlock(&nodes->mutex);
	return node;
}

bool nodes_have_package(struct nodes *nodes, const struct name *package)
{
	bool have = false;

	for (enum path_kind kind = PATH_ROOT; kind < PATH_KINDS && !have; kind++) {
		struct node *node = NULL;
		struct path path;

		if (path_is_called_package(kind) && path_of(kind, package, &path))
			node = nodes_find_path(nodes, &path, NULL);
		have = node != NULL;
		nodes_unref(nodes, node);
	}
	return have;
}

/* A walk over the whole table, but only where there is something to be found. */
size_t nodes_collect(struct nodes *nodes, enum path_kind kind, struct node ***out)
{
	struct node **list = NULL;
	size_t count = 0;

	pthread_mutex_lock(&nodes->mutex);
	if (nodes->counts[kind])
		list = calloc(nodes->counts[kind], sizeof(*list));
	for (size_t i = 0; list && i < nodes->chain_count; i++) {
		for (struct node *node = nodes->chains[i]; node; node = node->next) {
			if (node->kind == kind)
				list[count++] = with_reference(node);
		}
	}
	pthread_mutex_unlock(&nodes->mutex);
	*out = list;
	return count;
}

struct node *nodes_enter_draft(struct nodes *nodes, const struct path *path, const struct digest *content,
			       struct draft *draft)
{
	struct node *node;
	uint64_t number, shown;

	pthread_mutex_lock(&nodes->mutex);
	node = find_place(nodes, path, content, &number, &shown);
	if (!node) {
		node = add(nodes, path, content, number, shown);
		if (node) {
			node->draft = draft;
			draft = NULL;
		}
	}
	node = with_reference(node);
	pthread_mutex_unlock(&nodes->mutex);
	draft_free(draft);
	return node;
}

struct node *nodes_enter(struct nodes *nodes, const struct path *path, const struct digest *content)
{
	return nodes_enter_draft(nodes, path, content, NULL);
}

void nodes_retire(struct nodes *nodes, const struct path *folder)
{
	struct node *node = nodes_find_path(nodes, folder, NULL);

	if (node)
		atomic_store(&node->retired, true);
	nodes_unref(nodes, node);
}

void nodes_look_up(struct nodes *nodes, struct node *node)
{
	pthread_mutex_lock(&nodes->mutex);
	node->lookups++;
	pthread_mutex_unlock(&nodes->mutex);
}

void nodes_forget(struct nodes *nodes, uint64_t number, uint64_t count)
{
	struct node *node;

	pthread_mutex_lock(&nodes->mutex);
	node = find(nodes, number);
	if (node) {
		node->lookups -= count < node->lookups ? count : node->lookups;
		drop_if_unused(nodes, node);
	}
	pthread_mutex_unlock(&nodes->mutex);
}

void nodes_ref(struct nodes *nodes, struct node *node)
{
	pthread_mutex_lock(&nodes->mutex);
	node->references++;
	pthread_mutex_unlock(&nodes->mutex);
}

void nodes_unref(struct nodes *nodes, struct node *node)
{
	if (!node)
		return;
	pthread_mutex_lock(&nodes->mutex);
	node->references--;
	drop_if_unused(nodes, node);
	pthread_mutex_unlock(&nodes->mutex);
}

uint64_t nodes_number(struct nodes *nodes, const struct path *path, const struct digest *content)
{
	const struct node *node;
	unsigned turn = 0;
	uint64_t number;

	pthread_mutex_lock(&nodes->mutex);
	do {
		number = inode_number(&nodes->key, path, content, turn++);
		node = find(nodes, number);
	} while (node && !is_place(node, path, content));
	pthread_mutex_unlock(&nodes->mutex);
	return number;
}

const struct digest *node_content(const struct node *node)
{
	static const struct digest none;

	return path_has_digest(node->kind) ? (const struct digest *)(node->text + strlen(node->text) + 1) : &none;
}

struct path node_path(const struct node *node)
{
	struct path path = { .kind = node->kind };

	snprintf(path.text, sizeof(path.text), "%s", node->text);
	return path;
}

/* Set the error of node `of`, at that node or a folder above it. Call with the mutex held. */
static void put_error(struct node *node, uint64_t of, const char *sentence)
{
	size_t size = sentence ? strlen(sentence) + 1 : 0;

	if (!sentence && !(node->error && node->error->of == of))
		return;
	free(node->error);
	node->error = sentence ? malloc(sizeof(*node->error) + size) : NULL;
	if (!node->error)
		return;
	node->error->of = of;
	memcpy(node->error->sentence, sentence, size);
}

/* The same, and in the folders above. Call with the mutex held. */
static void put_error_up(struct nodes *nodes, struct node *node, uint64_t of, const char *sentence)
{
	struct path path = node_path(node);
	uint64_t number;

	put_error(node, of, sentence);
	while (path.kind != PATH_ROOT) {
		struct node *folder;

		path = path_parent(&path);
		folder = find_place(nodes, &path, NULL, &number, NULL);
		if (folder)
			put_error(folder, of, sentence);
	}
}

void nodes_set_error(struct nodes *nodes, struct node *node, const char *sentence)
{
	pthread_mutex_lock(&nodes->mutex);
	put_error_up(nodes, node, node->number, sentence);
	pthread_mutex_unlock(&nodes->mutex);
}

void nodes_clear_error(struct nodes *nodes, struct node *node)
{
	pthread_mutex_lock(&nodes->mutex);
	if (node->error)
		put_error_up(nodes, node, node->error->of, NULL);
	pthread_mutex_unlock(&nodes->mutex);
}

bool nodes_error(struct nodes *nodes, struct node *node, char out[static FAULT_SENTENCE_SIZE])
{
	bool has;

	pthread_mutex_lock(&nodes->mutex);
	has = node->error != NULL;
	if (has)
		snprintf(out, FAULT_SENTENCE_SIZE, "%s", node->error->sentence);
	pthread_mutex_unlock(&nodes->mutex);
	return has;
}

const struct buf *node_document(const struct node *node)
{
	return path_has_text(node->kind) ? atomic_load(&node->document) : NULL;
}

const struct buf *node_set_document(struct node *node, struct buf *text)
{
	struct buf *own = malloc(sizeof(*own)), *former = NULL;

	if (!own) {
		buf_release(text);
		return NULL;
	}
	*own = *text;
	*text = (struct buf){ .cap = text->cap };
	if (atomic_compare_exchange_strong(&node->document, &former, own))
		return own;
	buf_release(own);
	free(own);
	return former;
}
