/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Checking a proof document, alone and offline (see warg.h).
 */
#include "door.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/base/file.h"
#include "client/sync/proof.h"

/* A document, and what it proves. */
struct checked {
	struct proof proof;
	struct release_proof_finding finding;
	struct span version;   /* of the release; of a record's, the one with the content that was compared; or empty */
	struct digest content; /* likewise */
	struct record record;  /* that the document is of, or nothing */
};

static int check_operator(const struct checked *checked, const char *expected, struct fault *flt)
{
	char text[DIGEST_TEXT_SIZE];
	struct digest digest;
	int r = expected ? door_read_digest(expected, "the operator's key", &digest, flt) : 0;

	if (r || !expected || digest_equals(&checked->finding.operator_key, &digest))
		return r;
	digest_format(&checked->finding.operator_key, text);
	return fault_invalid(flt, "the operator's first key is %s, and not the one that was given", text);
}

static int read_record(struct checked *checked, struct fault *flt)
{
	const struct proof *proof = &checked->proof;

	if (proof->of_record)
		return record_decode(RECORD_PACKAGE,
				     buf_span(&proof->package.records[checked->finding.record_at].content),
				     &checked->record, flt);
	checked->version = span_of_text(proof->version);
	checked->content = checked->finding.content;
	return 0;
}

/* A record may release many. */
static bool find_content(struct checked *checked, const struct digest *digest)
{
	if (!checked->proof.of_record)
		return digest_equals(digest, &checked->content);
	for (size_t i = 0; i < checked->record.entry_count; i++) {
		const struct record_entry *entry = &checked->record.entries[i];

		if (entry->type != ENTRY_RELEASE || !digest_equals(digest, &entry->content))
			continue;
		checked->version = entry->version;
		checked->content = entry->content;
		return true;
	}
	return false;
}

static int check_content(struct checked *checked, int fd, struct fault *flt)
{
	char text[DIGEST_TEXT_SIZE];
	struct digest digest;
	int r = fd < 0 ? 0 : file_hash(fd, &digest, flt);

	if (r || fd < 0 || find_content(checked, &digest))
		return r;
	digest_format(&digest, text);
	return fault_invalid(flt, "what was given is not the content: its digest is %s", text);
}

static int show(const struct checked *checked, struct warg_release **out, struct fault *flt)
{
	const struct release_proof_finding *finding = &checked->finding;
	struct package_yank yank = {.by = finding->yanked_by, .at = finding->yanked_at};
	struct package_release release = {
		.record_id = finding->record_id, .by = finding->by, .time = finding->time,
		.content = checked->content, .yank = finding->yanked ? &yank : NULL,
	};
	struct door_release *made = malloc(sizeof(*made));
	char version[CAP_VERSION + 1];

	if (!made)
		return fault_no_memory(flt);
	snprintf(version, sizeof(version), "%.*s", (int)checked->version.length, (const char *)checked->version.data);
	release.version = version;
	door_fill_release(&checked->proof.name, &release, checked->proof.registry.text, made);
	if (!checked->version.length)
		made->release.version = made->release.digest = NULL;
	digest_format(&finding->operator_key, made->operator_key);
	made->release.operator_key = made->operator_key;
	*out = &made->release;
	return 0;
}

static int check(struct checked *checked, struct span document, int fd, const char *operator_key,
		 struct warg_release **out, struct fault *flt)
{
	int r = proof_parse(document, &checked->proof, flt);

	if (!r)
		r = proof_check(&checked->proof, &checked->finding, flt);
	if (!r)
		r = read_record(checked, flt);
	if (!r)
		r = check_operator(checked, operator_key, flt);
	if (!r)
		r = check_content(checked, fd, flt);
	return r || !out ? r : show(checked, out, flt);
}

int warg_check_proof(const void *document, size_t size, int content, const char *operator_key,
		     struct warg_release **out)
{
	const struct span text = {document, size};
	struct checked checked = {0};
	struct fault flt = {0};
	int r = door_need(document, "a document", &flt);

	if (!r && size > CAP_PROOF)
		r = fault_undecided(&flt, FAULT_LIMIT, "the document has more than %u bytes", CAP_PROOF);
	if (!r)
		r = check(&checked, text, content, operator_key, out, &flt);
	record_release(&checked.record);
	proof_release(&checked.proof);
	return door_return(r, &flt);
}
