/*
 * A small table, in which each log has one place (see package_logs.h).
 */
#include "package_logs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PLACES 256

struct package_logs {
	struct database *database;
	struct package_log *kept[PLACES]; /* NULL: nothing. Ours alone: they may be appended to */
};

int package_logs_new(struct database *database, struct package_logs **out, struct fault *flt)
{
	struct package_logs *logs = calloc(1, sizeof(*logs));

	if (!logs)
		return fault_no_memory(flt);
	logs->database = database;
	*out = logs;
	return 0;
}

void package_logs_forget(struct package_logs *logs)
{
	for (size_t i = 0; i < PLACES; i++) {
		package_log_unref(logs->kept[i]);
		logs->kept[i] = NULL;
	}
}

void package_logs_free(struct package_logs *logs)
{
	if (!logs)
		return;
	package_logs_forget(logs);
	free(logs);
}

/* ---- Rebuilding ---- */

static int append_one(void *user, const struct committed_record *record, struct fault *flt)
{
	int r = package_log_append(user, &record->envelope, flt);

	if (r)
		fault_at(flt, "record %" PRIu64, record->registry_index);
	return r;
}

int package_logs_load(struct database *database, const struct name *name, struct package_log **out, struct fault *flt)
{
	const struct digest log_id = name_log_id(name);
	struct package_log *log;
	int r = package_log_new(name, &log, flt);

	if (r)
		return r;
	r = committed_walk(database, &log_id, 0, CAP_LOG_LENGTH, CAP_LOG_LENGTH, append_one, log, flt);
	if (r)
		package_log_unref(log);
	else
		*out = log;
	return r;
}

static int rebuild(struct database *database, const struct name *name, struct package_log **out, struct fault *flt)
{
	struct fault own = {0};
	int r = package_logs_load(database, name, out, &own);

	/* It accuses the database, not the record that is to be the next. */
	if (r == WARG_INVALID)
		return fault_system(flt, EIO, "the log in the database is broken: %s", own.what);
	if (r)
		*flt = own;
	return r;
}

/* The place of a package, with its log in it. */
static int find(struct package_logs *logs, const struct name *name, struct package_log ***out, struct fault *flt)
{
	const struct digest log_id = name_log_id(name);
	struct package_log **place = &logs->kept[log_id.bytes[0] % PLACES];
	struct package_log *log = NULL;
	int r;

	if (!*place || strcmp(package_log_name(*place)->text, name->text)) {
		r = rebuild(logs->database, name, &log, flt);
		if (r)
			return r;
		package_log_unref(*place);
		*place = log;
	}
	*out = place;
	return 0;
}

/* ---- Checking ---- */

/* The keys that a record is signed with are its log's, or of its first record the one that is in it. */
static bool is_signed(const struct package_log *log, const struct record_envelope *envelope)
{
	struct log_keys own = {0};
	const struct log_keys *keys = package_log_keys(log);
	struct ecdsa_public_key *key = NULL;
	struct record record;
	bool is = false;

	if (record_decode(RECORD_PACKAGE, envelope->content, &record, NULL))
		return false;
	if (!package_log_head(log) && record.entry_count && record.entries[0].type == ENTRY_INIT &&
	    !ecdsa_public_key_parse(record.entries[0].key, &key, NULL) && !log_keys_grant(&own, key, 0, NULL))
		keys = &own;
	is = !log_keys_check_signature(keys, RECORD_PACKAGE, envelope, NULL);
	ecdsa_public_key_unref(key);
	log_keys_release(&own);
	record_release(&record);
	return is;
}

int package_logs_check(struct package_logs *logs, const struct name *name, const struct record_envelope *record,
		       bool append, bool *signed_by, struct fault *flt)
{
	struct package_log **place, *trial;
	int r = find(logs, name, &place, flt);

	if (r)
		return r;
	if (append) {
		r = package_log_append(*place, record, flt);
	} else {
		r = package_log_copy(*place, &trial, flt);
		if (r)
			return r;
		r = package_log_append(trial, record, flt);
		package_log_unref(trial);
	}
	if (r == WARG_INVALID)
		*signed_by = is_signed(*place, record);
	return r;
}
