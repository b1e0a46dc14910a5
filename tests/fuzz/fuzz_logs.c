/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Both state machines against a model of protocol.md section 4, written a second time and small: an input is a little
 * program that makes records, signed well or badly, of a few keys, versions and namespaces. Verdicts and states have to
 * be those of the model, record by record.
 *
 * The first byte chooses the kind of log. Then each record is six bytes (signer, signature, prev, version, time, number
 * of entries), and each entry three (type, key or text, permissions).
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "verify/base64.h"
#include "verify/operator_log.h"
#include "verify/package_log.h"

#define KEYS 3
#define TEXTS 4
#define ENTRIES 4

static const char *const versions[TEXTS] = { "1.0.0", "1.0.0+b", "2.0.0-rc.1", "10.0.0" };
static const char *const namespaces[TEXTS] = { "a", "ab", "a-b", "z" };

static struct ecdsa_private_key *keys[KEYS];

/** What a log should hold. A value, so that a record that fails is forgotten by copying back. */
struct model {
	bool begun, has_head;
	bool known[KEYS];
	unsigned permissions[KEYS];
	unsigned state[TEXTS]; /* 0: none, 1: released, defined or imported, 2: yanked */
};

/** A log of either kind. */
struct log {
	enum record_kind kind;
	struct package_log *package;
	struct operator_log *operator;
};

struct input {
	const uint8_t *data;
	size_t size;
};

static unsigned take(struct input *input)
{
	if (input->size == 0)
		return 0;
	input->size--;
	return *input->data++;
}

static void make_keys(void)
{
	unsigned char scalar[32] = { 0 };
	struct buf text;

	for (unsigned i = 0; i < KEYS && !keys[i]; i++) {
		scalar[31] = (unsigned char)(i + 1);
		buf_init(&text, SIZE_MAX);
		fuzz_require(buf_append_text(&text, "ecdsa-p256:", NULL) == 0);
		fuzz_require(base64_encode((struct span){ scalar, sizeof(scalar) }, &text, NULL) == 0);
		fuzz_require(ecdsa_private_key_parse(buf_span(&text), &keys[i], NULL) == 0);
		buf_release(&text);
	}
}

static const struct digest *id_of(unsigned key)
{
	return ecdsa_public_key_id(ecdsa_private_key_public(keys[key]));
}

/* ---- The model ---- */

static unsigned all_of(enum record_kind kind)
{
	return kind == RECORD_PACKAGE ? PERMISSIONS_PACKAGE : PERMISSIONS_OPERATOR;
}

static bool may(const struct model *model, unsigned signer, unsigned permissions)
{
	return model->known[signer] && (model->permissions[signer] & permissions) == permissions;
}

/** @param key, text  which of them the entry names @return whether the rules allow the entry */
static bool model_entry(struct model *model, enum record_kind kind, const struct record_entry *entry, unsigned signer,
			unsigned key, unsigned text)
{
	unsigned manage = kind == RECORD_OPERATOR ? PERMISSION_COMMIT : 0;
	bool begun = model->begun;

	model->begun = true;
	if ((entry->type == ENTRY_INIT) == begun)
		return false;
	switch (entry->type) {
	case ENTRY_INIT:
		model->known[key] = true;
		model->permissions[key] = all_of(kind);
		return key == signer;
	case ENTRY_GRANT_FLAT:
		if (!may(model, signer, manage | entry->permissions))
			return false;
		model->known[key] = true;
		model->permissions[key] |= entry->permissions;
		return true;
	case ENTRY_REVOKE_FLAT:
		/* A key that is not known has no permissions, and may be revoked none. */
		if (!may(model, signer, manage | entry->permissions) ||
		    (model->permissions[key] & entry->permissions) != entry->permissions)
			return false;
		model->permissions[key] &= ~entry->permissions;
		return true;
	case ENTRY_YANK:
		if (!may(model, signer, PERMISSION_YANK) || model->state[text] != 1)
			return false;
		model->state[text] = 2;
		return true;
	default:
		if (!may(model, signer,
			 entry->type == ENTRY_RELEASE		 ? PERMISSION_RELEASE :
			 entry->type == ENTRY_DEFINE_NAMESPACE ? PERMISSION_DEFINE_NAMESPACE :
								   PERMISSION_IMPORT_NAMESPACE) ||
		    model->state[text] != 0)
			return false;
		model->state[text] = 1;
		return true;
	}
}

/* ---- The logs ---- */

static const struct log_head *head_of(const struct log *log)
{
	return log->package ? package_log_head(log->package) : operator_log_head(log->operator);
}

static void require_texts(const struct log *log, const struct model *model)
{
	size_t count, expected = 0;

	for (size_t i = 0; i < TEXTS; i++) {
		expected += model->state[i] != 0;
		if (log->package) {
			const struct package_release *found = package_log_find(log->package, span_of_text(versions[i]));

			fuzz_require((found != NULL) == (model->state[i] != 0));
			fuzz_require(!found || !found->yank != (model->state[i] == 2));
		} else {
			fuzz_require((operator_log_find(log->operator, span_of_text(namespaces[i])) != NULL) ==
				     (model->state[i] != 0));
		}
	}
	if (log->package)
		package_log_releases(log->package, &count);
	else
		operator_log_namespaces(log->operator, &count);
	fuzz_require(count == expected);
}

static void require_state(const struct log *log, const struct model *model)
{
	const struct log_keys *known = log->package ? package_log_keys(log->package) : operator_log_keys(log->operator);
	size_t expected = 0;

	for (unsigned i = 0; i < KEYS; i++) {
		const struct log_key *key = log_keys_find(known, id_of(i));

		expected += model->known[i];
		fuzz_require((key != NULL) == model->known[i]);
		fuzz_require(!key || key->permissions == model->permissions[i]);
	}
	fuzz_require(known->count == expected);
	fuzz_require((head_of(log) != NULL) == model->has_head);
	require_texts(log, model);
}

static int append(const struct log *log, const struct record_envelope *envelope, struct fault *flt)
{
	return log->package ? package_log_append(log->package, envelope, flt) :
			      operator_log_append(log->operator, envelope, flt);
}

/* ---- Records ---- */

static struct record_entry read_entry(struct input *input, enum record_kind kind, unsigned *key, unsigned *text)
{
	static const enum record_entry_type types[2][5] = {
		{ ENTRY_INIT, ENTRY_GRANT_FLAT, ENTRY_REVOKE_FLAT, ENTRY_RELEASE, ENTRY_YANK },
		{ ENTRY_INIT, ENTRY_GRANT_FLAT, ENTRY_REVOKE_FLAT, ENTRY_DEFINE_NAMESPACE, ENTRY_IMPORT_NAMESPACE },
	};
	struct record_entry entry = { .type = types[kind][take(input) % 5] };
	unsigned which = take(input);

	*key = which % KEYS;
	*text = which % TEXTS;
	entry.permissions = take(input) & all_of(kind);
	entry.key = span_of_text(ecdsa_public_key_text(ecdsa_private_key_public(keys[*key])));
	entry.key_id = *id_of(*key);
	entry.version = span_of_text(versions[*text]);
	entry.namespace = span_of_text(namespaces[*text]);
	entry.registry = span_of_text("registry.example");
	return entry;
}

/** @return whether the rules on the frame allow it */
static bool read_frame(struct input *input, const struct log_head *head, struct record *record)
{
	unsigned prev = take(input) % 8, version = take(input) % 8, time = take(input);
	bool good = true;

	record->has_prev = head != NULL;
	if (head)
		record->prev = head->record_id;
	if (prev == 1) {
		record->has_prev = !record->has_prev;
		good = false;
	} else if (prev == 2 && head) {
		record->prev.bytes[time % DIGEST_SIZE] ^= 1;
		good = false;
	}
	record->version = version == 1;
	record->time = head ? head->time : (struct record_time){ 1000, 0 };
	if (time % 8 == 1) {
		record->time.seconds--;
		good = good && !head;
	} else if (time % 8 < 5) {
		record->time.nanos += time % 2;
	}
	return good && version != 1;
}

/** Make a record, append it, and see that the log does what the model says. */
static void try_record(struct input *input, const struct log *log, struct model *model)
{
	struct model next = *model;
	struct record_entry entries[ENTRIES];
	struct record record = { .kind = log->kind, .entries = entries };
	unsigned signer = take(input) % KEYS, signature = take(input) % 8, key, text;
	struct buf content, signed_by;
	struct fault flt = { 0 };
	bool good;
	int r;

	good = read_frame(input, head_of(log), &record);
	record.entry_count = take(input) % (ENTRIES + 1);
	for (size_t i = 0; i < record.entry_count; i++) {
		entries[i] = read_entry(input, log->kind, &key, &text);
		good = good && model_entry(&next, log->kind, &entries[i], signer, key, text);
	}
	good = good && next.begun && next.known[signer] && signature != 1 && signature != 2;
	next.has_head = true;

	buf_init(&content, SIZE_MAX);
	buf_init(&signed_by, SIZE_MAX);
	fuzz_require(record_encode(&record, &content, NULL) == 0);
	fuzz_require(record_sign(signature == 1 ? !log->kind : log->kind,
				 keys[signature == 2 ? (signer + 1) % KEYS : signer], buf_span(&content), &signed_by,
				 NULL) == 0);
	r = append(log, &(struct record_envelope){ buf_span(&content), *id_of(signer), buf_span(&signed_by) }, &flt);
	fuzz_require_verdict(r, &flt);
	fuzz_require((r == 0) == good);
	if (good)
		*model = next;
	require_state(log, model);
	buf_release(&content);
	buf_release(&signed_by);
}

static void open_log(struct log *log)
{
	struct name name;

	if (log->kind == RECORD_OPERATOR) {
		fuzz_require(operator_log_new(&log->operator, NULL) == 0);
		return;
	}
	fuzz_require(name_parse(span_of_text("a:b"), &name, NULL) == 0);
	fuzz_require(package_log_new(&name, &log->package, NULL) == 0);
}

/** Go on with a copy, so that it has to be as good. */
static void copy_log(struct log *log)
{
	struct log copy = { .kind = log->kind };

	if (log->package)
		fuzz_require(package_log_copy(log->package, &copy.package, NULL) == 0);
	else
		fuzz_require(operator_log_copy(log->operator, &copy.operator, NULL) == 0);
	package_log_unref(log->package);
	operator_log_unref(log->operator);
	*log = copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct model model = { 0 };
	struct log log = { 0 };

	make_keys();
	log.kind = take(&input) & 1 ? RECORD_OPERATOR : RECORD_PACKAGE;
	open_log(&log);
	for (unsigned records = 0; input.size > 0 && records < 24; records++) {
		try_record(&input, &log, &model);
		if (records % 4 == 3)
			copy_log(&log);
	}
	package_log_unref(log.package);
	operator_log_unref(log.operator);
	return 0;
}
