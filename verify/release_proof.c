/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Checking a release, or a record, from the operator's first record up (see release_proof.h).
 */
#include "release_proof.h"

#include <inttypes.h>
#include <string.h>

#include "merkle_log.h"
#include "merkle_map.h"

/* ---- Logs ---- */

/* The records stand in the order of the registry's log, all of them below the checkpoint. */
static int check_places(const struct release_proof_log *log, uint64_t log_length, struct fault *flt)
{
	if (!log->count)
		return fault_invalid(flt, "it has no records");
	for (size_t i = 0; i < log->count; i++) {
		uint64_t index = log->records[i].registry_index;

		if (index >= log_length)
			return fault_invalid(flt, "record %zu: a registry's log of %" PRIu64 " records has none at %"
					     PRIu64, i, log_length, index);
		if (i && index <= log->records[i - 1].registry_index)
			return fault_invalid(flt, "record %zu: its place is not behind that of the one before", i);
	}
	return 0;
}

static int replay_operator(const struct release_proof *proof, struct operator_log **out, struct fault *flt)
{
	struct operator_log *log = NULL;
	int r = check_places(&proof->operator, proof->checkpoint.contents.log_length, flt);

	if (!r)
		r = operator_log_new(&log, flt);
	for (size_t i = 0; !r && i < proof->operator.count; i++) {
		r = operator_log_append(log, &proof->operator.records[i].envelope, flt);
		if (r)
			fault_at(flt, "record %zu", i);
	}
	if (r) {
		fault_at(flt, "the operator's log");
		operator_log_unref(log);
		return r;
	}
	*out = log;
	return 0;
}

/* The record to prove. A flag tells whether it was found: an all-zero id is valid. */
struct proven_record {
	bool found;
	struct release_proof_finding finding;
};

/* The record at `at` was validated, and is the head. */
static void note_record(const struct release_proof *proof, size_t at, const struct log_head *head,
			struct proven_record *out)
{
	if (!proof->record || !digest_equals(proof->record, &head->record_id))
		return;
	out->found = true;
	out->finding.record_id = head->record_id;
	out->finding.by = proof->package.records[at].envelope.key_id;
	out->finding.time = head->time;
	out->finding.record_at = at;
}

/* Whether the log that was validated before was fed these records. */
static bool is_known(const struct release_proof *proof)
{
	struct digest known, transcript = {{0}};

	if (!proof->known || strcmp(package_log_name_text(proof->known), proof->name.text) ||
	    !package_log_transcript(proof->known, &known))
		return false;
	for (size_t i = 0; i < proof->package.count; i++) {
		const struct record_envelope *envelope = &proof->package.records[i].envelope;
		struct digest id = record_id(RECORD_PACKAGE, envelope->content);

		transcript = package_log_transcribe(&transcript, envelope, &id);
	}
	return digest_equals(&transcript, &known);
}

/* The record that is to be proven, in a log that is known. */
static int find_known(const struct release_proof *proof, struct proven_record *out, struct fault *flt)
{
	struct record record;
	int r = 0;

	for (size_t i = proof->record ? proof->package.count : 0; i-- && !out->found && !r;) {
		struct span content = proof->package.records[i].envelope.content;
		struct digest id = record_id(RECORD_PACKAGE, content);

		if (!digest_equals(&id, proof->record))
			continue;
		r = record_decode(RECORD_PACKAGE, content, &record, flt);
		if (r)
			break;
		note_record(proof, i, &(struct log_head){record.id, record.time}, out);
		record_release(&record);
	}
	return r;
}

/* The last record alone, whose signature may be another one than that which was validated. */
static int check_last(const struct release_proof *proof, struct fault *flt)
{
	const struct record_envelope *last = &proof->package.records[0].envelope;
	const struct digest id = record_id(RECORD_PACKAGE, last->content);
	const struct log_head *head = proof->known ? package_log_head(proof->known) : NULL;

	if (proof->package.count != 1 || !head || !digest_equals(&head->record_id, &id) ||
	    strcmp(package_log_name_text(proof->known), proof->name.text))
		return fault_invalid(flt, "the package ends with another record");
	return log_keys_check_signature(package_log_keys(proof->known), RECORD_PACKAGE, last, flt);
}

/* @param record  filled in when the record that is to be proven comes by */
static int replay_package(const struct release_proof *proof, struct package_log **out, struct proven_record *record,
			  struct fault *flt)
{
	struct package_log *log = NULL;
	int r = check_places(&proof->package, proof->checkpoint.contents.log_length, flt);

	if (!r && proof->is_last_alone)
		r = check_last(proof, flt);
	if (!r && (proof->is_last_alone || is_known(proof))) {
		*out = package_log_ref(proof->known);
		return find_known(proof, record, flt);
	}
	if (!r)
		r = package_log_new(&proof->name, &log, flt);
	for (size_t i = 0; !r && i < proof->package.count; i++) {
		r = package_log_append(log, &proof->package.records[i].envelope, flt);
		if (r)
			fault_at(flt, "record %zu", i);
		else
			note_record(proof, i, package_log_head(log), record);
	}
	if (r) {
		fault_at(flt, "package %s", proof->name.text);
		package_log_unref(log);
		return r;
	}
	*out = log;
	return 0;
}

/* ---- Inclusion ---- */

static int check_log(const struct release_proof *proof, const struct merkle_map_entry heads[2], struct fault *flt)
{
	const struct checkpoint *checkpoint = &proof->checkpoint.contents;
	const struct release_proof_log *logs[2] = {&proof->operator, &proof->package};
	struct merkle_log_leaf_at leaves[2];
	struct merkle_log_bundle bundle;
	int r = merkle_log_bundle_decode(proof->log_bundle, &bundle, flt);

	if (r)
		return r;
	for (int i = 0; i < 2; i++) {
		leaves[i].index = logs[i]->records[logs[i]->count - 1].registry_index;
		leaves[i].leaf = merkle_log_leaf(&heads[i].log_id, &heads[i].record_id);
	}
	r = merkle_log_check_inclusion(&bundle, checkpoint->log_length, &checkpoint->log_root, leaves, 2, flt);
	merkle_log_bundle_release(&bundle);
	return r;
}

static int check_map(const struct release_proof *proof, const struct merkle_map_entry heads[2], struct fault *flt)
{
	struct merkle_map_bundle bundle;
	int r = merkle_map_bundle_decode(proof->map_bundle, &bundle, flt);

	if (r)
		return r;
	r = merkle_map_check_inclusion(&bundle, &proof->checkpoint.contents.map_root, heads, 2, flt);
	merkle_map_bundle_release(&bundle);
	return r;
}

/* Both logs have a record. */
static int check_heads(const struct release_proof *proof, const struct operator_log *operator,
		       const struct package_log *package, struct fault *flt)
{
	const struct merkle_map_entry heads[2] = {
		{name_operator_log_id(), operator_log_head(operator)->record_id},
		{name_log_id(&proof->name), package_log_head(package)->record_id},
	};
	int r = check_log(proof, heads, flt);

	if (!r)
		r = check_map(proof, heads, flt);
	if (r)
		fault_at(flt, "the proof of inclusion");
	return r;
}

/* ---- The record, or the release ---- */

static int find_record(const struct release_proof *proof, const struct operator_log *operator,
		       const struct proven_record *record, struct release_proof_finding *out, struct fault *flt)
{
	char id[DIGEST_TEXT_SIZE];

	if (record->found) {
		*out = record->finding;
		out->operator_key = *operator_log_first_key(operator);
		return 0;
	}
	digest_format(proof->record, id);
	return fault_invalid(flt, "package %s has no record %s", proof->name.text, id);
}

static int check_release(const struct release_proof *proof, const struct package_release *release, struct fault *flt)
{
	char digest[DIGEST_TEXT_SIZE];

	if (!release)
		return fault_invalid(flt, "package %s has no release %.*s", proof->name.text,
				     (int)(proof->version.length < 64 ? proof->version.length : 64),
				     (const char *)proof->version.data);
	if (!proof->content || digest_equals(&release->content, proof->content))
		return 0;
	digest_format(&release->content, digest);
	return fault_invalid(flt, "the content of %s %.64s is %s", proof->name.text, release->version, digest);
}

static int find_release(const struct release_proof *proof, const struct operator_log *operator,
			const struct package_log *package, struct release_proof_finding *out, struct fault *flt)
{
	const struct package_release *release = package_log_find(package, proof->version);
	int r = check_release(proof, release, flt);

	if (r)
		return r;
	*out = (struct release_proof_finding){
		.operator_key = *operator_log_first_key(operator),
		.content = release->content,
		.record_id = release->record_id,
		.by = release->by,
		.time = release->time,
		.yanked = release->yank,
	};
	if (release->yank) {
		out->yanked_by = release->yank->by;
		out->yanked_at = release->yank->at;
	}
	return 0;
}

int release_proof_check(const struct release_proof *proof, struct release_proof_finding *out, struct fault *flt)
{
	uint64_t length = proof->checkpoint.contents.log_length;
	struct proven_record record = {0};
	struct operator_log *operator = NULL;
	struct package_log *package = NULL;
	int r;

	if (!length || length > CAP_LOG_LENGTH)
		return fault_invalid(flt, "the checkpoint: no log has %" PRIu64 " records", length);
	r = replay_operator(proof, &operator, flt);
	if (!r) {
		r = checkpoint_verify(&proof->checkpoint, operator, flt);
		if (r)
			fault_at(flt, "the checkpoint");
	}
	if (!r)
		r = replay_package(proof, &package, &record, flt);
	if (!r)
		r = check_heads(proof, operator, package, flt);
	if (!r && proof->record)
		r = find_record(proof, operator, &record, out, flt);
	else if (!r)
		r = find_release(proof, operator, package, out, flt);
	operator_log_unref(operator);
	package_log_unref(package);
	return r;
}
