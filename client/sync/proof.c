/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Proof documents (see proof.h): their text, and the way from there to the check.
 */
#include "proof.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/net/checkpoint_json.h"
#include "client/net/record_json.h"
#include "client/net/records.h"

#define FORMAT_RELEASE "warg-release-proof"
#define FORMAT_RECORD "warg-record-proof"
#define FORMAT_VERSION 1
#define FORMAT_BESIDE 2 /* the package's records lie beside it */

/* The members of a document and of what is in it; of a checkpoint, those of the API. */
static const char *const release_members[] = {
	"format", "formatVersion", "registry", "package", "version", "digest", "checkpoint", "operatorRecords",
	"packageRecords", "inclusion", NULL,
};
static const char *const record_proof_members[] = {
	"format", "formatVersion", "registry", "package", "record", "checkpoint", "operatorRecords", "packageRecords",
	"inclusion", NULL,
};
static const char *const beside_members[] = {
	"format", "formatVersion", "registry", "package", "record", "checkpoint", "operatorRecords",
	"packageRecordsBeside", "inclusion", NULL,
};
static const char *const registry_members[] = {"url", "label", NULL};
static const char *const checkpoint_members[] = {"contents", "keyId", "signature", NULL};
static const char *const contents_members[] = {"logLength", "logRoot", "mapRoot", "timestamp", NULL};
static const char *const record_members[] = {"contentBytes", "keyId", "signature", "registryIndex", NULL};
static const char *const inclusion_members[] = {"log", "map", NULL};

static void init(struct proof *proof)
{
	*proof = (struct proof){.operator.log_id = name_operator_log_id()};
	buf_init(&proof->log_bundle, CAP_PROOF);
	buf_init(&proof->map_bundle, CAP_PROOF);
}

/* Everything but what the proof is of. */
static void forget_records(struct proof *proof)
{
	api_log_release(&proof->operator);
	api_log_release(&proof->package);
	buf_release(&proof->log_bundle);
	buf_release(&proof->map_bundle);
}

void proof_release(struct proof *proof)
{
	forget_records(proof);
	init(proof);
}

/* ---- Reading ---- */

/* The URL is in the form that we would write it in, and its label follows from it: neither can hold anything else. */
static int read_registry(const struct json *value, struct http_url *out, struct fault *flt)
{
	struct span url, label;
	const struct json *registry = NULL;
	struct fault own = {0};
	char *text;
	int r = json_read_object(value, "registry", &registry, flt);

	if (!r)
		r = json_check_members(registry, registry_members, flt);
	if (!r)
		r = json_read_text(registry, "url", &url, flt);
	if (!r)
		r = json_read_text(registry, "label", &label, flt);
	if (r)
		return r;
	text = strndup((const char *)url.data, url.length);
	if (!text)
		return fault_no_memory(flt);
	r = http_url_parse(text, out, &own);
	free(text);
	if (own.kind == FAULT_SYSTEM) {
		if (flt && !flt->verdict)
			*flt = own;
		return r;
	}
	if (r || !span_is(url, out->text) || !span_is(label, out->label))
		return fault_invalid(flt, "\"registry\" is no URL with its label");
	return 0;
}

static int read_release(const struct json *value, struct proof *out, struct fault *flt)
{
	struct span version;
	struct semver semver;
	int r = json_read_text(value, "version", &version, flt);

	if (!r)
		r = semver_parse(version, &semver, flt);
	if (!r)
		r = json_read_digest(value, "digest", &out->content, flt);
	if (r)
		return r;
	memcpy(out->version, version.data, version.length);
	out->version[version.length] = '\0';
	return 0;
}

/* What it speaks of. */
static int read_subject(const struct json *value, struct proof *out, struct fault *flt)
{
	struct span name;
	int r = json_read_text(value, "package", &name, flt);

	if (!r)
		r = name_parse(name, &out->name, flt);
	if (r)
		return r;
	return out->of_record ? json_read_digest(value, "record", &out->record_id, flt) :
				read_release(value, out, flt);
}

static int read_checkpoint(const struct json *value, struct signed_checkpoint *out, struct fault *flt)
{
	const struct json *checkpoint = NULL, *contents = NULL;
	int r = json_read_object(value, "checkpoint", &checkpoint, flt);

	if (!r)
		r = json_check_members(checkpoint, checkpoint_members, flt);
	if (!r)
		r = json_read_object(checkpoint, "contents", &contents, flt);
	if (!r)
		r = json_check_members(contents, contents_members, flt);
	if (!r)
		r = checkpoint_json_read(checkpoint, out, flt);
	if (r)
		fault_at(flt, "\"checkpoint\"");
	return r;
}

static int read_records(const struct json *list, struct api_log *out, struct fault *flt)
{
	size_t count = json_count(list);
	int r = 0;

	if (count > CAP_PROOF_RECORDS)
		return fault_invalid(flt, "it has more records than it has room for");
	out->records = calloc(count + 1, sizeof(*out->records));
	if (!out->records)
		return fault_no_memory(flt);
	while (!r && out->count < count) {
		const struct json *record = json_at(list, out->count);

		r = json_check_members(record, record_members, flt);
		if (!r)
			r = record_json_read(record, &out->records[out->count++], flt);
	}
	return r;
}

static int read_log(const struct json *value, const char *name, struct api_log *out, struct fault *flt)
{
	const struct json *list = NULL;
	int r = json_read_list(value, name, &list, flt);

	if (!r)
		r = read_records(list, out, flt);
	if (r)
		fault_at(flt, "\"%s\"", name);
	return r;
}

static int read_inclusion(const struct json *value, struct proof *out, struct fault *flt)
{
	const struct json *inclusion = NULL;
	int r = json_read_object(value, "inclusion", &inclusion, flt);

	if (!r)
		r = json_check_members(inclusion, inclusion_members, flt);
	if (!r)
		r = json_read_base64(inclusion, "log", &out->log_bundle, flt);
	if (!r)
		r = json_read_base64(inclusion, "map", &out->map_bundle, flt);
	return r;
}

static bool is_of_record(const struct json *value)
{
	const struct json *format = json_member(value, "format");
	struct span text;

	return format && !json_as_text(format, &text, NULL) && span_is(text, FORMAT_RECORD);
}

static int read_beside(const struct json *value, struct proof *out, struct fault *flt)
{
	int r = json_read_uint(value, "packageRecordsBeside", &out->beside, flt);

	if (!r && (!out->beside || out->beside > CAP_PROOF_RECORDS))
		r = fault_invalid(flt, "\"packageRecordsBeside\" is no number of records");
	return r;
}

/* @param out  to be released even on failure */
static int read_document(const struct json *value, struct proof *out, struct fault *flt)
{
	uint64_t version = 0;
	int r;

	if (!json_is_an_object(value))
		return fault_invalid(flt, "it is not an object");
	out->of_record = is_of_record(value);
	/* First of all: other versions may have other members. */
	r = json_check_format(value, out->of_record ? FORMAT_RECORD : FORMAT_RELEASE,
			      out->of_record ? FORMAT_BESIDE : FORMAT_VERSION, flt);
	if (!r)
		r = json_read_uint(value, "formatVersion", &version, flt);
	if (!r)
		r = json_check_members(value, version == FORMAT_BESIDE ? beside_members :
				       out->of_record ? record_proof_members : release_members, flt);
	if (!r)
		r = read_registry(value, &out->registry, flt);
	if (!r)
		r = read_subject(value, out, flt);
	if (!r)
		r = read_checkpoint(value, &out->checkpoint, flt);
	if (!r)
		r = read_log(value, "operatorRecords", &out->operator, flt);
	if (!r)
		r = version == FORMAT_BESIDE ? read_beside(value, out, flt) :
					       read_log(value, "packageRecords", &out->package, flt);
	if (!r)
		r = read_inclusion(value, out, flt);
	out->package.log_id = name_log_id(&out->name);
	return r;
}

int proof_parse(struct span text, struct proof *out, struct fault *flt)
{
	struct json *value = NULL;
	struct proof proof;
	int r;

	if (text.length > CAP_PROOF)
		return fault_undecided(flt, FAULT_LIMIT, "it is larger than %u bytes", CAP_PROOF);
	r = json_parse_within(text, CAP_JSON_VALUES_FILE, &value, flt);
	if (r)
		return r;
	init(&proof);
	r = read_document(value, &proof, flt);
	json_free(value);
	if (r)
		proof_release(&proof);
	else
		*out = proof;
	return r;
}

/* ---- Writing ---- */

static struct json *new_records(const struct api_log *log)
{
	struct json *list = json_new_list();

	for (size_t i = 0; i < log->count; i++)
		json_add(list, record_json_new(&log->records[i]));
	return list;
}

int proof_render_record(const struct api_record *record, struct buf *out, struct fault *flt)
{
	struct json *value = record_json_new(record);
	int r = json_render(value, JSON_COMPACT, out, flt);

	json_free(value);
	return r ? r : buf_append_text(out, "\n", flt);
}

int proof_parse_record(struct span line, struct api_record *out, struct fault *flt)
{
	struct json *value = NULL;
	int r = json_parse(line, &value, flt);

	if (r)
		return r;
	*out = (struct api_record){0};
	r = json_check_members(value, record_members, flt);
	if (!r)
		r = record_json_read(value, out, flt);
	if (r)
		buf_release(&out->content);
	json_free(value);
	return r;
}

static struct json *new_document(const struct proof *proof)
{
	struct json *value = json_new_object(), *registry = json_new_object(), *inclusion = json_new_object();

	json_put_text(value, "format", proof->of_record ? FORMAT_RECORD : FORMAT_RELEASE);
	json_put_uint(value, "formatVersion", proof->beside ? FORMAT_BESIDE : FORMAT_VERSION);
	json_put_text(registry, "url", proof->registry.text);
	json_put_text(registry, "label", proof->registry.label);
	json_put(value, "registry", registry);
	json_put_text(value, "package", proof->name.text);
	if (proof->of_record) {
		json_put_digest(value, "record", &proof->record_id);
	} else {
		json_put_text(value, "version", proof->version);
		json_put_digest(value, "digest", &proof->content);
	}
	json_put(value, "checkpoint", checkpoint_json_new(&proof->checkpoint));
	json_put(value, "operatorRecords", new_records(&proof->operator));
	if (proof->beside)
		json_put_uint(value, "packageRecordsBeside", proof->beside + proof->package.count);
	else
		json_put(value, "packageRecords", new_records(&proof->package));
	json_put_base64(inclusion, "log", buf_span(&proof->log_bundle));
	json_put_base64(inclusion, "map", buf_span(&proof->map_bundle));
	json_put(value, "inclusion", inclusion);
	return value;
}

int proof_render(const struct proof *proof, struct buf *out, struct fault *flt)
{
	struct json *value = new_document(proof);
	size_t before = out->length;
	int r = json_render(value, JSON_PRETTY, out, flt);

	json_free(value);
	if (!r)
		r = buf_append_text(out, "\n", flt);
	if (r)
		out->length = before;
	return r;
}

/* ---- Checking ---- */

/* @param out  free() its records */
static int lend_log(const struct api_log *log, struct release_proof_log *out, struct fault *flt)
{
	struct release_proof_record *records = calloc(log->count + 1, sizeof(*records));

	if (!records)
		return fault_no_memory(flt);
	for (size_t i = 0; i < log->count; i++) {
		records[i].envelope = api_record_envelope(&log->records[i]);
		records[i].registry_index = log->records[i].registry_index;
	}
	*out = (struct release_proof_log){records, log->count};
	return 0;
}

/*
 * @param content  NULL: whatever the release has
 * @param known    as in release_proof
 */
static int check(const struct proof *proof, const struct digest *content, struct package_log *known,
		 struct release_proof_finding *out, struct fault *flt)
{
	struct release_proof bare = {
		.name = proof->name,
		.record = proof->of_record ? &proof->record_id : NULL,
		.version = span_of_text(proof->version),
		.content = content,
		.known = known,
		.is_last_alone = known && proof->beside,
		.checkpoint = proof->checkpoint,
		.log_bundle = buf_span(&proof->log_bundle),
		.map_bundle = buf_span(&proof->map_bundle),
	};
	int r = lend_log(&proof->operator, &bare.operator, flt);

	if (!r)
		r = lend_log(&proof->package, &bare.package, flt);
	if (!r)
		r = release_proof_check(&bare, out, flt);
	free((void *)(uintptr_t)bare.operator.records);
	free((void *)(uintptr_t)bare.package.records);
	return r;
}

int proof_check(const struct proof *proof, struct release_proof_finding *out, struct fault *flt)
{
	return check(proof, &proof->content, NULL, out, flt);
}

/* ---- Fetching ---- */

/*
 * Take both logs from the archive, up to the heads that were proven at the checkpoint.
 * @return whether it has them
 */
static bool copy_logs(struct archive *archive, const struct view *view, struct proof *proof)
{
	const struct view_package *package = view_find(view, &proof->name);
	const struct digest log_id = name_log_id(&proof->name), operator_id = name_operator_log_id();

	if (!archive || !package || !view_package_is_current(package) ||
	    !checkpoint_same_state(&proof->checkpoint.contents, &view->checkpoint.contents))
		return false;
	if (!archive_copy_records(archive, &operator_id, &operator_log_head(view->operator)->record_id,
				  &proof->operator, NULL) && proof->operator.count)
		archive_copy_records(archive, &log_id, &package_log_head(package->log)->record_id, &proof->package,
				     NULL);
	if (proof->operator.count && proof->package.count)
		return true;
	api_log_release(&proof->operator);
	api_log_release(&proof->package);
	return false;
}

static int fetch_logs(const struct api *api, clock_ms deadline, struct proof *proof, struct fault *flt)
{
	struct api_logs logs;
	int r = records_fetch(api, deadline, proof->checkpoint.contents.log_length, &proof->name, &logs, flt);

	if (r)
		return r;
	proof->operator = logs.operator;
	proof->package = logs.packages[0];
	free(logs.packages);
	if (!proof->operator.count || !proof->package.count)
		return fault_invalid(flt, "it keeps back records that were proven to be there");
	return 0;
}

/* The view's update may have checked the very proof. @return false: not taken */
static bool copy_inclusion(const struct view *view, const uint64_t heads[2], struct proof *proof)
{
	const struct view_proof *checked = view->proof;

	if (!checked || checked->heads[0] != heads[0] || checked->heads[1] != heads[1])
		return false;
	if (!buf_append(&proof->log_bundle, buf_span(&checked->log_bundle), NULL) &&
	    !buf_append(&proof->map_bundle, buf_span(&checked->map_bundle), NULL))
		return true;
	proof->log_bundle.length = proof->map_bundle.length = 0;
	return false;
}

static int fetch_inclusion(const struct api *api, clock_ms deadline, const struct view *view, struct proof *proof,
			   struct fault *flt)
{
	const uint64_t heads[2] = {
		proof->operator.records[proof->operator.count - 1].registry_index,
		proof->package.records[proof->package.count - 1].registry_index,
	};
	uint64_t length = proof->checkpoint.contents.log_length;
	struct merkle_log_bundle log;
	struct merkle_map_bundle map;
	int r;

	if (heads[0] >= length || heads[1] >= length)
		return fault_invalid(flt, "a head is not among the first %" PRIu64 " records", length);
	if (copy_inclusion(view, heads, proof))
		return 0;
	r = api_prove_inclusion(api, deadline, length, heads, 2, &log, &map, flt);
	if (r)
		return r;
	r = merkle_log_bundle_encode(&log, &proof->log_bundle, flt);
	if (!r)
		r = merkle_map_bundle_encode(&map, &proof->map_bundle, flt);
	merkle_log_bundle_release(&log);
	merkle_map_bundle_release(&map);
	return r;
}

/* The logs are there. */
static int complete(const struct api *api, clock_ms deadline, const struct view *view, struct proof *proof,
		    struct fault *flt)
{
	const struct view_package *package = view_find(view, &proof->name);
	struct release_proof_finding finding;
	int r = fetch_inclusion(api, deadline, view, proof, flt);

	if (!r)
		r = check(proof, NULL, package ? package->log : NULL, &finding, flt);
	if (!r)
		proof->content = finding.content;
	return r;
}

/* What lies in the archive may have been damaged: only what was fetched is held against the registry. */
static int fetch(const struct api *api, struct archive *archive, clock_ms deadline, const struct view *view,
		 struct proof *proof, struct fault *flt)
{
	struct fault own = {0};
	int r;

	if (copy_logs(archive, view, proof)) {
		r = complete(api, deadline, view, proof, &own);
		if (!r)
			return 0;
		if (own.kind != FAULT_FORGED && own.kind != FAULT_REFUSED && own.kind != FAULT_LIMIT) {
			fault_pass(&own, flt);
			return r;
		}
		forget_records(proof);
	}
	r = fetch_logs(api, deadline, proof, flt);
	return r ? r : complete(api, deadline, view, proof, flt);
}

static void init_fetch(struct proof *proof, const struct api *api, const struct view *view, const struct name *name)
{
	init(proof);
	/* One registry may speak for another: the proof is of that one. */
	proof->registry = *api->url;
	if (api->registry && http_url_parse(api->registry, &proof->registry, NULL))
		proof->registry = *api->url;
	proof->name = *name;
	proof->checkpoint = view->checkpoint;
}

/* @param proof  says what it is to be of; released on failure */
static int fetch_or_blame(const struct api *api, struct archive *archive, clock_ms deadline, const struct view *view,
			  struct proof *proof, struct proof *out, struct fault *flt)
{
	struct fault own = {0};
	char id[DIGEST_TEXT_SIZE];
	int r = fetch(api, archive, deadline, view, proof, &own);

	if (!r) {
		*out = *proof;
		return 0;
	}
	/* What was proven to be there cannot be absent. */
	if (own.kind == FAULT_ABSENT)
		own.kind = FAULT_REFUSED;
	if (own.kind == FAULT_FORGED || own.kind == FAULT_REFUSED)
		fault_blame(&own, FAULT_BY_REGISTRY);
	digest_format(&proof->record_id, id);
	fault_at(&own, "proof of %s %s", proof->name.text, proof->of_record ? id : proof->version);
	proof_release(proof);
	if (flt && !flt->verdict)
		*flt = own;
	return r;
}

int proof_fetch(const struct api *api, struct archive *archive, clock_ms deadline, const struct view *view,
		const struct name *name, const char *version, struct proof *out, struct fault *flt)
{
	struct proof proof;

	if (strlen(version) > CAP_VERSION)
		return fault_undecided(flt, FAULT_MISUSE, "no version is longer than %d bytes", CAP_VERSION);
	init_fetch(&proof, api, view, name);
	strcpy(proof.version, version);
	return fetch_or_blame(api, archive, deadline, view, &proof, out, flt);
}

/* The record as a document has it, at the place that the view has proven. */
static int take_record(const struct record_envelope *last, uint64_t registry_index, struct proof *proof)
{
	struct api_record *record = calloc(1, sizeof(*record));

	if (!record || last->signature.length > CAP_SIGNATURE_TEXT) {
		free(record);
		return WARG_UNDECIDED;
	}
	proof->package.records = record;
	proof->package.count = 1;
	buf_init(&record->content, CAP_RECORD);
	record->key_id = last->key_id;
	record->registry_index = registry_index;
	memcpy(record->signature, last->signature.data, last->signature.length);
	return buf_append(&record->content, last->content, NULL);
}

static int check_last(const struct view *view, struct proof *proof)
{
	const struct view_package *package = view_find(view, &proof->name);
	struct release_proof_finding finding;

	if (!package || !view_package_is_current(package) || !proof->operator.count ||
	    proof->operator.records[proof->operator.count - 1].registry_index != view->proof->heads[0] ||
	    !copy_inclusion(view, view->proof->heads, proof))
		return WARG_UNDECIDED;
	return check(proof, NULL, package->log, &finding, NULL);
}

bool proof_take_last(const struct api *api, struct archive *archive, const struct view *view, const struct name *name,
		     uint64_t beside, const struct record_envelope *last, struct proof *out)
{
	const struct digest operator_id = name_operator_log_id();
	struct proof proof;

	if (!archive || !view->proof)
		return false;
	init_fetch(&proof, api, view, name);
	proof.of_record = true;
	proof.record_id = record_id(RECORD_PACKAGE, last->content);
	proof.package.log_id = name_log_id(name);
	proof.beside = beside;
	if (take_record(last, view->proof->heads[1], &proof) ||
	    archive_copy_records(archive, &operator_id, &operator_log_head(view->operator)->record_id, &proof.operator,
				 NULL) ||
	    check_last(view, &proof)) {
		proof_release(&proof);
		return false;
	}
	*out = proof;
	return true;
}

int proof_fetch_record(const struct api *api, struct archive *archive, clock_ms deadline, const struct view *view,
		       const struct name *name, const struct digest *record_id, struct proof *out, struct fault *flt)
{
	struct proof proof;

	init_fetch(&proof, api, view, name);
	proof.of_record = true;
	proof.record_id = *record_id;
	return fetch_or_blame(api, archive, deadline, view, &proof, out, flt);
}
