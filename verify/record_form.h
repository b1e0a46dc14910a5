/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The messages that stand in the oneof of an entry, as a table: what record's decoder and encoder know of them.
 * For record's own files. Source: protocol.md section 4.
 */
#ifndef WARG_VERIFY_RECORD_FORM_H
#define WARG_VERIFY_RECORD_FORM_H

#include "record.h"

enum record_field { RECORD_PREV = 1, RECORD_VERSION = 2, RECORD_TIME = 3, RECORD_ENTRIES = 4 };
enum time_field { TIME_SECONDS = 1, TIME_NANOS = 2 };

/** What a field of an entry says. */
enum record_meaning {
	MEANS_NOTHING, /* there is no such field */
	MEANS_KEY,
	MEANS_HASH_ALGORITHM,
	MEANS_PERMISSIONS,
	MEANS_KEY_ID,
	MEANS_VERSION,
	MEANS_CONTENT,
	MEANS_NAMESPACE,
	MEANS_REGISTRY,
	MEANINGS,
};

#define RECORD_ENTRY_FORMS 5
#define RECORD_ENTRY_FIELDS 2

struct record_form {
	enum record_entry_type type;
	const char *name;
	enum record_meaning fields[RECORD_ENTRY_FIELDS]; /* by field number, from 1 on */
};

/** The forms of a kind's entries, by field number in the oneof, from 1 on. */
extern const struct record_form record_forms[2][RECORD_ENTRY_FORMS];

/** What a field is called in its message. */
const char *record_meaning_name(enum record_meaning meaning);

/**
 * The permission with this number in its kind's enum, which counts from 1.
 * @return a bit of enum record_permission; 0 if there is no such permission
 */
unsigned record_permission_bit(enum record_kind kind, uint64_t number);

#endif
