/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs verify --proof: a document that proves itself, up to one thing, which is whose key the operator's is.
 */
#include "verify.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/file.h"
#include "client/publish/pending.h"
#include "client/publish/receipts.h"
#include "client/store/trust.h"
#include "client/sync/proof.h"
#include "output.h"
#include "session.h"

/* How the operator's key is known. */
enum known { KNOWN_NOT, KNOWN_GIVEN, KNOWN_PINNED };

/* What is to be printed. */
struct result {
	struct proof proof;
	struct release_proof_finding finding;
	struct pending did; /* what the record did that it is of; nothing in a proof of a release */
	enum known known;
	struct json *registries; /* labels of the registries with this operator key, by the local pins */
};

/* A receipt as it lies on the disk takes the package's records from beside it. */
static int complete(const char *path, struct proof *proof, struct fault *flt)
{
	const char *slash = strrchr(path, '/');
	char *above = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	int folder = above && proof->beside ? open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, r = 0;

	if (!above)
		r = fault_no_memory(flt);
	else if (proof->beside && folder < 0)
		r = fault_system(flt, errno, "the folder of %.100s", path);
	else if (proof->beside)
		r = receipts_complete(folder, proof, flt);
	if (folder >= 0)
		close(folder);
	free(above);
	if (r == WARG_UNDECIDED && flt->kind == FAULT_ABSENT)
		fault_at(flt, "%.100s", path);
	return r;
}

static int read_proof(const char *path, struct proof *out, struct fault *flt)
{
	struct buf text;
	int verdict;

	buf_init(&text, CAP_PROOF);
	verdict = file_read_path(path, &text, flt);
	if (!verdict && text.length >= 4 && memcmp(text.data, "\0asm", 4) == 0)
		verdict = fault_undecided(flt, FAULT_MISUSE, "%.100s is not a proof document: it is WebAssembly. "
					  "Usage: wargfs verify --proof FILE.json --content FILE.wasm", path);
	if (!verdict)
		verdict = proof_parse(buf_span(&text), out, flt);
	if (!verdict)
		verdict = complete(path, out, flt);
	if (verdict == WARG_INVALID)
		fault_at(flt, "%.100s is not a proof document", path);
	buf_release(&text);
	return verdict;
}

/* ---- Whose key it is ---- */

static int check_key(const struct release_proof_finding *finding, const struct digest *expected, const char *how,
		     struct fault *flt)
{
	char text[DIGEST_TEXT_SIZE];

	if (digest_equals(&finding->operator_key, expected))
		return 0;
	digest_format(&finding->operator_key, text);
	return fault_invalid(flt, "the operator's first key is %s, and not the one that %.100s", text, how);
}

/* The local trust anchor has this label: the document must not contradict it. */
static int check_anchor(struct result *result, const char *label, const struct trust_anchor *anchor,
			struct fault *flt)
{
	const struct checkpoint *proven = &result->proof.checkpoint.contents;
	const struct checkpoint *seen = &anchor->checkpoint.contents;
	char how[128];
	int verdict;

	snprintf(how, sizeof(how), "was pinned here for %.80s", label);
	verdict = check_key(&result->finding, &anchor->operator_key, how, flt);
	if (verdict)
		return verdict;
	result->known = KNOWN_PINNED;
	json_add_text(result->registries, label);
	if (anchor->evidence[0])
		return fault_invalid(flt, "the registry was seen to fork, and is not believed any more: see %.100s",
				     anchor->evidence);
	if (proven->log_length == seen->log_length && !checkpoint_same_state(proven, seen))
		return fault_invalid(flt, "a fork: at length %" PRIu64 " a checkpoint with other roots was seen here",
				     proven->log_length);
	return 0;
}

/*
 * Compare with the trust anchor of a label, if there is one.
 * @param is_meant  the document, or the caller, names this registry: another key is a contradiction. Otherwise the
 *                  label only counts if its registry has the same key
 */
static int look_under(const char *state_dir, const char *label, bool is_meant, struct result *result,
		      struct fault *flt)
{
	struct trust_anchor anchor = {0};
	struct fault own = {0};
	int verdict = trust_peek(state_dir, label, &anchor, &own);

	if (verdict && is_meant)
		*flt = own;
	else if (verdict)
		verdict = 0;
	else if (anchor.known && (is_meant || digest_equals(&anchor.operator_key, &result->finding.operator_key)))
		verdict = check_anchor(result, label, &anchor, flt);
	return verdict;
}

static int is_label(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/*
 * Only the operator's key proves which registry a document is from. So the output names the registries with that key by
 * the local pins, not the one that the document claims.
 */
static int look_everywhere(const char *state_dir, const char *claimed, struct result *result, struct fault *flt)
{
	struct dirent **folders;
	int count = scandir(state_dir, &folders, is_label, alphasort);
	int verdict = 0;

	if (count < 0)
		return errno == ENOMEM ? fault_no_memory(flt) : 0;
	for (int i = 0; i < count; i++) {
		const char *label = folders[i]->d_name;

		if (!verdict)
			verdict = look_under(state_dir, label, !strcmp(label, claimed), result, flt);
		free(folders[i]);
	}
	free(folders);
	return verdict;
}

/* Neither a trust anchor nor, without --config, a configuration is required. */
static int look_here(const struct options *options, struct result *result, struct fault *flt)
{
	struct session session = {0};
	struct http_url url;
	struct fault own = {0};
	int verdict = options->registry ? http_url_parse(options->registry, &url, flt) : 0;

	if (verdict)
		return verdict;
	verdict = session_load(&session, options, &own);
	if (verdict && options->config)
		*flt = own;
	else if (verdict)
		verdict = 0;
	else if (options->registry)
		verdict = look_under(session.config.state_dir, url.label, true, result, flt);
	else
		verdict = look_everywhere(session.config.state_dir, result->proof.registry.label, result, flt);
	session_release(&session);
	return verdict;
}

static int judge_key(const struct options *options, struct result *result, struct fault *flt)
{
	int verdict = look_here(options, result, flt);

	if (!verdict && options->has_operator_key) {
		verdict = check_key(&result->finding, &options->operator_key, "was given", flt);
		result->known = KNOWN_GIVEN;
	}
	return verdict;
}

/* A record may release many. */
static bool has_content(const struct result *result, const struct digest *digest)
{
	if (!result->proof.of_record)
		return digest_equals(digest, &result->proof.content);
	for (size_t i = 0; i < result->did.count; i++)
		if (result->did.entries[i].type == ENTRY_RELEASE &&
		    digest_equals(digest, &result->did.entries[i].content))
			return true;
	return false;
}

static int check_content(const char *path, const struct result *result, struct fault *flt)
{
	char text[DIGEST_TEXT_SIZE];
	struct digest digest;
	int verdict = verify_hash_file(path, &digest, flt);

	if (verdict || has_content(result, &digest))
		return verdict;
	digest_format(&digest, text);
	return fault_invalid(flt, "%.100s is not the content: its digest is %s", path, text);
}

/* ---- The result ---- */

static void print_digest(const char *name, const struct digest *digest, const char *more)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	printf("%-12s %s%s\n", name, text, more);
}

static void print_deed(const char *name, struct record_time time, const struct digest *by)
{
	char text[DIGEST_TEXT_SIZE], when[64];

	digest_format(by, text);
	output_time(time.seconds, when);
	printf("%-12s %s, by %s\n", name, when, text);
}

static void print_release(const struct result *result, const char *content)
{
	printf("%s %s is proven\n", result->proof.name.text, result->proof.version);
	print_digest("digest", &result->finding.content, "");
	if (content)
		printf("%-12s %s has this digest\n", "content", output_shown(content).text);
	print_deed("released", result->finding.time, &result->finding.by);
	if (result->finding.yanked)
		print_deed("YANKED", result->finding.yanked_at, &result->finding.yanked_by);
}

static void print_entry(const struct pending_entry *entry)
{
	static const char *const words[] = {
		[ENTRY_INIT] = "initialized",
		[ENTRY_GRANT_FLAT] = "granted",
		[ENTRY_REVOKE_FLAT] = "revoked",
		[ENTRY_RELEASE] = "released",
		[ENTRY_YANK] = "yanked",
	};
	char text[DIGEST_TEXT_SIZE];

	printf("%-12s", words[entry->type]);
	if (entry->type == ENTRY_RELEASE || entry->type == ENTRY_YANK)
		printf(" %s", entry->version);
	if (entry->type == ENTRY_RELEASE) {
		digest_format(&entry->content, text);
		printf(", %s", text);
	}
	if (entry->permissions) {
		digest_format(&entry->key_id, text);
		printf("%s%s, %s", entry->permissions & PERMISSION_RELEASE ? " release" : "",
		       entry->permissions & PERMISSION_YANK ? " yank" : "", text);
	}
	printf("\n");
}

static void print_record(const struct result *result, const char *content)
{
	char id[DIGEST_TEXT_SIZE];

	digest_format(&result->proof.record_id, id);
	printf("%s record %s is proven\n", result->proof.name.text, id);
	for (size_t i = 0; i < result->did.count; i++)
		print_entry(&result->did.entries[i]);
	if (content)
		printf("%-12s %s is released by it\n", "content", output_shown(content).text);
	print_deed("signed", result->finding.time, &result->finding.by);
}

static void print(const struct result *result, const char *content)
{
	const struct proof *proof = &result->proof;
	char when[64];

	if (proof->of_record)
		print_record(result, content);
	else
		print_release(result, content);
	output_time((int64_t)proof->checkpoint.contents.timestamp, when);
	printf("%-12s length %" PRIu64 ", signed %s\n", "checkpoint", proof->checkpoint.contents.log_length, when);
	print_digest("operator", &result->finding.operator_key,
		     result->known == KNOWN_GIVEN ? ", as given" :
		     result->known == KNOWN_PINNED ? ", as pinned here" : "");
	for (size_t i = 0; i < json_count(result->registries); i++) {
		struct span label;

		if (!json_as_text(json_at(result->registries, i), &label, NULL))
			printf("%-12s %.*s, by its key\n", "registry", (int)label.length, (const char *)label.data);
	}
}

static void warn(const struct result *result)
{
	if (result->finding.yanked)
		failure_note("verify", NOTE_WARNING, NULL, "warning: the release was yanked");
	if (result->known == KNOWN_NOT)
		failure_note("verify", NOTE_WARNING, NULL, "warning: nothing here says whether that is the operator's "
			     "key: compare it with one that you trust, or give that one with --operator-key");
}

static void put_release(struct json *json, const struct result *result)
{
	const struct release_proof_finding *finding = &result->finding;

	json_put_text(json, "version", result->proof.version);
	json_put_digest(json, "digest", &finding->content);
	json_put_digest(json, "recordId", &finding->record_id);
	json_put_digest(json, "releasedBy", &finding->by);
	json_put_uint(json, "releasedAt", (uint64_t)finding->time.seconds);
	json_put_bool(json, "yanked", finding->yanked);
	if (finding->yanked) {
		json_put_digest(json, "yankedBy", &finding->yanked_by);
		json_put_uint(json, "yankedAt", (uint64_t)finding->yanked_at.seconds);
	}
}

static void put_record(struct json *json, const struct result *result)
{
	struct json *entries = json_new_list();

	json_put_digest(json, "recordId", &result->finding.record_id);
	json_put_digest(json, "signedBy", &result->finding.by);
	json_put_uint(json, "signedAt", (uint64_t)result->finding.time.seconds);
	for (size_t i = 0; i < result->did.count; i++)
		json_add(entries, pending_entry_new_json(&result->did.entries[i]));
	json_put(json, "entries", entries);
}

static int print_json(const struct command *command, struct result *result, const char *content)
{
	static const char *const known[] = {[KNOWN_GIVEN] = "given", [KNOWN_PINNED] = "pinned"};
	const struct proof *proof = &result->proof;
	struct json *json = json_new_object();

	json_put_text(json, "package", proof->name.text);
	if (proof->of_record)
		put_record(json, result);
	else
		put_release(json, result);
	json_put(json, "registries", result->registries);
	result->registries = NULL;
	json_put_uint(json, "logLength", proof->checkpoint.contents.log_length);
	json_put_uint(json, "timestamp", proof->checkpoint.contents.timestamp);
	json_put_digest(json, "operatorKey", &result->finding.operator_key);
	if (result->known == KNOWN_NOT)
		json_put_null(json, "operatorKeyIs");
	else
		json_put_text(json, "operatorKeyIs", known[result->known]);
	if (content)
		json_put_shown(json, "content", content);
	else
		json_put_null(json, "content");
	return output_json(command, json);
}

/* What the record did, now that it is proven. */
static int read_record(struct result *result, struct fault *flt)
{
	const struct proof *proof = &result->proof;
	struct record record;
	int verdict;

	if (!proof->of_record)
		return 0;
	verdict = record_decode(RECORD_PACKAGE, buf_span(&proof->package.records[result->finding.record_at].content),
				&record, flt);
	if (verdict)
		return verdict;
	verdict = pending_copy_record(&proof->name, &record, &result->did, flt);
	record_release(&record);
	return verdict;
}

int verify_proof(const struct command *command, const struct options *options, const struct verify *verify)
{
	struct result result = {.registries = json_new_list()};
	struct fault flt = {0};
	int verdict, status;

	verdict = read_proof(verify->proof, &result.proof, &flt);
	if (!verdict) {
		verdict = proof_check(&result.proof, &result.finding, &flt);
		if (!verdict)
			verdict = read_record(&result, &flt);
		if (!verdict)
			verdict = judge_key(options, &result, &flt);
		if (!verdict && verify->content)
			verdict = check_content(verify->content, &result, &flt);
		if (verdict == WARG_INVALID)
			fault_at(&flt, "%.100s", verify->proof);
	}
	if (verdict)
		status = options_fail(command, &flt);
	else if (options->json)
		status = print_json(command, &result, verify->content);
	else
		print(&result, verify->content);
	if (!verdict) {
		status = options->json ? status : STATUS_DONE;
		fflush(stdout);
		warn(&result);
	}
	json_free(result.registries);
	pending_release(&result.did);
	proof_release(&result.proof);
	return status;
}
