/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Forged inputs: every folder of tests/data/invalid holds a case.json, which says what is received and which words the
 * fault must have. A new attack is a new folder (see the README.md there); tests/data/make_invalid wrote those that are
 * there.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/net/api_parts.h"
#include "client/sync/proof.h"
#include "data.h"
#include "forge.h"
#include "proto.h"
#include "verify/base64.h"
#include "verify/hex.h"
#include "verify/package_log.h"
#include "verify/wasm.h"

#define FOLDER "tests/data/invalid"

/* ---- Members of a case; the test fails without them ---- */

static struct span text_of(const struct json *object, const char *name)
{
	struct span text = { NULL, 0 };

	if (json_read_text(object, name, &text, NULL))
		fail_msg("the case has no text %s", name);
	return text;
}

static uint64_t number_of(const struct json *object, const char *name)
{
	uint64_t number = 0;

	if (json_read_uint(object, name, &number, NULL))
		fail_msg("the case has no number %s", name);
	return number;
}

static struct digest digest_member(const struct json *object, const char *name)
{
	struct digest digest = { { 0 } };

	if (json_read_digest(object, name, &digest, NULL))
		fail_msg("the case has no hash %s", name);
	return digest;
}

static const struct json *list_of(const struct json *object, const char *name)
{
	const struct json *list = NULL;

	if (json_read_list(object, name, &list, NULL))
		fail_msg("the case has no list %s", name);
	return list;
}

static struct buf base64_of(const struct json *object, const char *name)
{
	struct buf bytes;

	buf_init(&bytes, CAP_BODY_PROOF);
	if (base64_decode(text_of(object, name), &bytes, NULL))
		fail_msg("the case has no base64 %s", name);
	return bytes;
}

/* ---- Records ---- */

/** Put the text that a placeholder, at `*at`, stands for behind `out`. */
static void fill_in(const char **at, const char *prev, struct buf *out)
{
	struct ecdsa_private_key *key = NULL;
	char id[DIGEST_TEXT_SIZE];
	unsigned number = 0;

	if (!strncmp(*at, "{prev}", 6)) {
		assert_int_equal(buf_append_text(out, prev, NULL), 0);
	} else if (sscanf(*at, "{key %u}", &number) == 1) {
		key = forge_key(number);
		assert_int_equal(buf_append_text(out, ecdsa_public_key_text(ecdsa_private_key_public(key)), NULL), 0);
	} else if (sscanf(*at, "{id %u}", &number) == 1) {
		key = forge_key(number);
		digest_format(ecdsa_public_key_id(ecdsa_private_key_public(key)), id);
		assert_int_equal(buf_append_text(out, id, NULL), 0);
	} else {
		fail_msg("no placeholder: %s", *at);
	}
	ecdsa_private_key_free(key);
	*at = strchr(*at, '}') + 1;
}

static struct buf content_of(const struct json *value, const struct digest *before)
{
	struct span notation = text_of(value, "content");
	char prev[DIGEST_TEXT_SIZE], *plain = strndup((const char *)notation.data, notation.length);
	struct buf filled, content;

	assert_non_null(plain);
	digest_format(before, prev);
	buf_init(&filled, CAP_RECORD);
	for (const char *at = plain; *at;) {
		if (*at == '{')
			fill_in(&at, prev, &filled);
		else
			assert_int_equal(buf_append(&filled, (struct span){ (const unsigned char *)at++, 1 }, NULL), 0);
	}
	assert_int_equal(buf_append(&filled, (struct span){ (const unsigned char *)"", 1 }, NULL), 0);
	content = proto_write((const char *)filled.data);
	buf_release(&filled);
	free(plain);
	return content;
}

/** Make the record that comes after the one with id `before`. */
static void make_record(enum record_kind kind, const struct json *value, const struct digest *before,
			struct forge_record *out)
{
	unsigned signer = (unsigned)number_of(value, "signer"), signed_by = signer;
	struct buf content = content_of(value, before);
	struct ecdsa_private_key *claimed = forge_key(signer), *key;

	if (json_member(value, "signed_by"))
		signed_by = (unsigned)number_of(value, "signed_by");
	if (json_member(value, "signed_as"))
		kind = span_is(text_of(value, "signed_as"), "operator") ? RECORD_OPERATOR : RECORD_PACKAGE;
	key = forge_key(signed_by);
	forge_content(kind, buf_span(&content), key, out);
	out->key_id = *ecdsa_public_key_id(ecdsa_private_key_public(claimed));
	if (json_member(value, "signature")) {
		struct span signature = text_of(value, "signature");

		assert_true(signature.length <= CAP_SIGNATURE_TEXT);
		memset(out->signature, 0, sizeof(out->signature));
		memcpy(out->signature, signature.data, signature.length);
	}
	ecdsa_private_key_free(claimed);
	ecdsa_private_key_free(key);
	buf_release(&content);
}

/** A log of either kind. */
struct log {
	struct package_log *package;
	struct operator_log *operator;
};

static int append(const struct log *log, const struct record_envelope *envelope, struct fault *flt)
{
	return log->package ? package_log_append(log->package, envelope, flt) :
			      operator_log_append(log->operator, envelope, flt);
}

/** Append all records. @return the last one's verdict; the others must be good */
static int append_all(const struct log *log, const struct json *records, struct fault *flt)
{
	enum record_kind kind = log->package ? RECORD_PACKAGE : RECORD_OPERATOR;
	struct digest before = { { 0 } };
	int verdict = 0;

	for (size_t i = 0; i < json_count(records); i++) {
		struct forge_record record;
		struct record_envelope envelope;

		if (verdict)
			fail_msg("record %zu is refused already: %s", i - 1, flt->what);
		make_record(kind, json_at(records, i), &before, &record);
		before = record_id(kind, buf_span(&record.content));
		envelope = forge_envelope(&record);
		verdict = append(log, &envelope, flt);
		forge_record_release(&record);
	}
	return verdict;
}

static void open_log(enum record_kind kind, struct log *log)
{
	struct name name = forge_name("test:package");

	*log = (struct log){ NULL, NULL };
	if (kind == RECORD_PACKAGE)
		assert_int_equal(package_log_new(&name, &log->package, NULL), 0);
	else
		assert_int_equal(operator_log_new(&log->operator, NULL), 0);
}

static void close_log(struct log *log)
{
	package_log_unref(log->package);
	operator_log_unref(log->operator);
}

static int run_package(const struct json *value, struct fault *flt)
{
	struct log log;
	int verdict;

	open_log(RECORD_PACKAGE, &log);
	verdict = append_all(&log, list_of(value, "records"), flt);
	close_log(&log);
	return verdict;
}

static int run_operator(const struct json *value, struct fault *flt)
{
	struct log log;
	int verdict;

	open_log(RECORD_OPERATOR, &log);
	verdict = append_all(&log, list_of(value, "records"), flt);
	close_log(&log);
	return verdict;
}

/* ---- Checkpoints and proofs ---- */

static struct checkpoint contents_of(const struct json *value)
{
	return (struct checkpoint){ .log_length = number_of(value, "logLength"),
				    .log_root = digest_member(value, "logRoot"),
				    .map_root = digest_member(value, "mapRoot"),
				    .timestamp = number_of(value, "timestamp") };
}

static int run_checkpoint(const struct json *value, struct fault *flt)
{
	struct checkpoint contents = contents_of(json_member(value, "signed"));
	struct ecdsa_private_key *key = forge_key((unsigned)number_of(value, "signer"));
	struct signed_checkpoint checkpoint = { 0 };
	struct log log;
	int verdict;

	open_log(RECORD_OPERATOR, &log);
	assert_int_equal(append_all(&log, list_of(value, "records"), flt), 0);
	assert_int_equal(checkpoint_sign(&contents, key, &checkpoint, NULL), 0);
	checkpoint.contents = contents_of(json_member(value, "sent"));
	verdict = checkpoint_verify(&checkpoint, log.operator, flt);
	ecdsa_private_key_free(key);
	close_log(&log);
	return verdict;
}

static int check_log(const struct json *value, const struct merkle_log_bundle *bundle, struct fault *flt)
{
	const struct json *list = list_of(value, "leaves");
	struct digest root = digest_member(value, "logRoot");
	struct merkle_log_leaf_at leaves[16];

	assert_true(json_count(list) <= 16);
	for (size_t i = 0; i < json_count(list); i++) {
		struct digest log_id = digest_member(json_at(list, i), "logId");
		struct digest id = digest_member(json_at(list, i), "recordId");

		leaves[i].index = number_of(json_at(list, i), "index");
		leaves[i].leaf = merkle_log_leaf(&log_id, &id);
	}
	return merkle_log_check_inclusion(bundle, number_of(value, "logLength"), &root, leaves, json_count(list), flt);
}

static int check_map(const struct json *value, const struct merkle_map_bundle *bundle, struct fault *flt)
{
	const struct json *list = list_of(value, "leaves");
	struct digest root = digest_member(value, "mapRoot");
	struct merkle_map_entry entries[16];

	assert_true(json_count(list) <= 16);
	for (size_t i = 0; i < json_count(list); i++)
		entries[i] = (struct merkle_map_entry){ digest_member(json_at(list, i), "logId"),
							digest_member(json_at(list, i), "recordId") };
	return merkle_map_check_inclusion(bundle, &root, entries, json_count(list), flt);
}

static int check_growth(const struct json *value, const struct merkle_log_bundle *bundle, struct fault *flt)
{
	struct digest old_root = digest_member(value, "oldRoot"), new_root = digest_member(value, "newRoot");

	return merkle_log_check_consistency(bundle, number_of(value, "from"), &old_root, number_of(value, "to"),
					    &new_root, flt);
}

static int run_inclusion(const struct json *value, struct fault *flt)
{
	struct buf log_bytes = base64_of(value, "log"), map_bytes = base64_of(value, "map");
	struct merkle_log_bundle log;
	struct merkle_map_bundle map;
	int verdict;

	verdict = merkle_log_bundle_decode(buf_span(&log_bytes), &log, flt);
	if (!verdict) {
		verdict = check_log(value, &log, flt);
		merkle_log_bundle_release(&log);
	}
	if (!verdict)
		verdict = merkle_map_bundle_decode(buf_span(&map_bytes), &map, flt);
	if (!verdict) {
		verdict = check_map(value, &map, flt);
		merkle_map_bundle_release(&map);
	}
	buf_release(&log_bytes);
	buf_release(&map_bytes);
	return verdict;
}

static int run_consistency(const struct json *value, struct fault *flt)
{
	struct buf bytes = base64_of(value, "proof");
	struct merkle_log_bundle bundle;
	int verdict;

	verdict = merkle_log_bundle_decode(buf_span(&bytes), &bundle, flt);
	if (!verdict) {
		verdict = check_growth(value, &bundle, flt);
		merkle_log_bundle_release(&bundle);
	}
	buf_release(&bytes);
	return verdict;
}

/* ---- Answers of a registry: the file `answer` is the body, `asked` is what it answers ---- */

#define MOST 16 /* packages, leaves or names in one case */

/** A list of texts, parsed one by one. @return how many */
static size_t names_of(const struct json *asked, struct name out[static MOST])
{
	const struct json *list = list_of(asked, "packages");

	assert_true(json_count(list) <= MOST);
	for (size_t i = 0; i < json_count(list); i++) {
		struct span text;

		assert_int_equal(json_as_text(json_at(list, i), &text, NULL), 0);
		assert_int_equal(name_parse(text, &out[i], NULL), 0);
	}
	return json_count(list);
}

static int append_received(const struct log *log, const struct api_log *received, struct fault *flt)
{
	int verdict = 0;

	for (size_t i = 0; !verdict && i < received->count; i++) {
		struct record_envelope envelope = api_record_envelope(&received->records[i]);

		verdict = append(log, &envelope, flt);
		if (verdict)
			fault_at(flt, "record %zu", i);
	}
	return verdict;
}

/** Validate all records of a log. The operator's is the one without a name. */
static int validate(const struct name *name, const struct api_log *received, struct fault *flt)
{
	struct log log = { NULL, NULL };
	int verdict;

	if (name)
		assert_int_equal(package_log_new(name, &log.package, NULL), 0);
	else
		assert_int_equal(operator_log_new(&log.operator, NULL), 0);
	verdict = append_received(&log, received, flt);
	close_log(&log);
	return verdict;
}

static int answer_logs(const struct json *asked, const struct http_exchange *answer, struct fault *flt)
{
	struct api_logs logs = { .operator.log_id = name_operator_log_id() };
	struct name names[MOST];
	int verdict;

	logs.packages = calloc(MOST, sizeof(*logs.packages));
	assert_non_null(logs.packages);
	logs.package_count = names_of(asked, names);
	for (size_t i = 0; i < logs.package_count; i++)
		logs.packages[i].log_id = name_log_id(&names[i]);
	verdict = api_decode_logs(answer, &logs, NULL, flt);
	/* A fault of one log does not affect the others. */
	for (size_t i = 0; i <= logs.package_count; i++) {
		const struct fault *fault = i ? logs.packages[i - 1].fault : logs.operator.fault;

		if (verdict || !fault)
			continue;
		*flt = *fault;
		verdict = flt->verdict;
	}
	if (!verdict)
		verdict = validate(NULL, &logs.operator, flt);
	for (size_t i = 0; !verdict && i < logs.package_count; i++)
		verdict = validate(&names[i], &logs.packages[i], flt);
	api_logs_release(&logs);
	return verdict;
}

/** `asked` is an honest answer with the operator's log. */
static int answer_checkpoint(const struct json *asked, const struct http_exchange *answer, struct fault *flt)
{
	struct http_exchange known = { .url = answer->url, .status = 200 };
	struct signed_checkpoint checkpoint;
	struct api_logs logs = { 0 };
	struct log log;
	int verdict;

	open_log(RECORD_OPERATOR, &log);
	buf_init(&known.received, CAP_BODY_LOGS);
	assert_int_equal(json_render(asked, JSON_COMPACT, &known.received, NULL), 0);
	assert_int_equal(api_decode_logs(&known, &logs, NULL, NULL), 0);
	assert_int_equal(append_received(&log, &logs.operator, NULL), 0);
	verdict = api_decode_checkpoint(answer, &checkpoint, flt);
	if (!verdict)
		verdict = checkpoint_verify(&checkpoint, log.operator, flt);
	api_logs_release(&logs);
	http_exchange_release(&known);
	close_log(&log);
	return verdict;
}

static int answer_names(const struct json *asked, const struct http_exchange *answer, struct fault *flt)
{
	struct name names[MOST], found[MOST];
	struct digest log_ids[MOST];
	size_t count = names_of(asked, names);
	int verdict;

	for (size_t i = 0; i < count; i++)
		log_ids[i] = name_log_id(&names[i]);
	verdict = api_decode_names(answer, log_ids, count, found, NULL, flt);
	for (size_t i = 0; !verdict && i < count; i++)
		assert_string_equal(found[i].text, names[i].text);
	return verdict;
}

static int answer_inclusion(const struct json *asked, const struct http_exchange *answer, struct fault *flt)
{
	struct merkle_log_bundle log;
	struct merkle_map_bundle map;
	int verdict;

	verdict = api_decode_inclusion(answer, &log, &map, flt);
	if (verdict)
		return verdict;
	verdict = check_log(asked, &log, flt);
	if (!verdict)
		verdict = check_map(asked, &map, flt);
	merkle_log_bundle_release(&log);
	merkle_map_bundle_release(&map);
	return verdict;
}

static int answer_consistency(const struct json *asked, const struct http_exchange *answer, struct fault *flt)
{
	struct merkle_log_bundle bundle;
	int verdict;

	verdict = api_decode_consistency(answer, &bundle, flt);
	if (verdict)
		return verdict;
	verdict = check_growth(asked, &bundle, flt);
	merkle_log_bundle_release(&bundle);
	return verdict;
}

static struct http_url base_url(void)
{
	struct http_url url;

	assert_int_equal(http_url_parse("http://127.0.0.1:8090", &url, NULL), 0);
	return url;
}

static int answer_ledger(const struct json *asked, const struct http_exchange *answer, struct fault *flt)
{
	const struct http_url url = base_url();
	struct api_ledger ledger;
	int verdict;

	(void)asked;
	verdict = api_decode_ledger(&url, answer, &ledger, flt);
	if (!verdict)
		api_ledger_release(&ledger);
	return verdict;
}

static int answer_sources(const struct json *asked, const struct http_exchange *answer, struct fault *flt)
{
	struct digest content = digest_member(asked, "content");
	const struct http_url url = base_url();
	const struct api api = { .url = &url };
	struct api_sources sources;
	int verdict;

	verdict = api_sources_decode(&api, &content, answer, &sources, flt);
	if (!verdict)
		api_sources_release(&sources);
	return verdict;
}

/** `asked` is the record's id and the contents that it releases. */
static int answer_record(const struct json *asked, const struct http_exchange *answer, struct fault *flt)
{
	struct digest id = digest_member(asked, "recordId");
	const struct json *contents = list_of(asked, "contents");
	struct record_entry entries[MOST] = { 0 };
	struct record record = { .entries = entries, .entry_count = json_count(contents) };
	const struct http_url url = base_url();
	struct api_record_state state;
	struct api_conflict conflict;
	struct span text;
	int verdict;

	assert_true(record.entry_count <= MOST);
	for (size_t i = 0; i < record.entry_count; i++) {
		entries[i].type = ENTRY_RELEASE;
		assert_int_equal(json_as_text(json_at(contents, i), &text, NULL), 0);
		assert_int_equal(digest_parse(text, &entries[i].content, NULL), 0);
	}
	verdict = api_decode_conflict(answer, &conflict, flt);
	if (!verdict)
		verdict = api_decode_record(&url, answer, &id, &record, &state, flt);
	if (!verdict)
		api_record_state_release(&state);
	return verdict;
}

static int answer_discovery(const struct json *asked, const struct http_exchange *answer, struct fault *flt)
{
	const struct http_url url = base_url();
	struct http_url found;

	(void)asked;
	return api_decode_discovery(&url, answer, &found, flt);
}

static int run_answer(const struct json *value, int (*run)(const struct json *, const struct http_exchange *,
							    struct fault *), const char *folder, struct fault *flt)
{
	struct http_exchange answer = { .url = "http://127.0.0.1:8090/", .status = 200 };
	const struct json *asked;
	char path[512];
	int verdict;

	if (json_read_object(value, "asked", &asked, NULL))
		fail_msg("the case does not say what was asked");
	if (json_member(value, "status"))
		answer.status = (int)number_of(value, "status");
	snprintf(path, sizeof(path), FOLDER "/%s/answer", folder);
	answer.received = data_read(path);
	verdict = run(asked, &answer, flt);
	http_exchange_release(&answer);
	return verdict;
}

/* ---- Proof documents: the file `proof` ---- */

static int check_document(struct span text, struct fault *flt)
{
	struct release_proof_finding finding;
	struct proof proof;
	int verdict = proof_parse(text, &proof, flt);

	if (verdict)
		return verdict;
	verdict = proof_check(&proof, &finding, flt);
	proof_release(&proof);
	return verdict;
}

static int run_file(int (*check)(struct span, struct fault *), const char *folder, const char *name, struct fault *flt)
{
	struct buf text;
	char path[512];
	int verdict;

	snprintf(path, sizeof(path), FOLDER "/%s/%s", folder, name);
	text = data_read(path);
	verdict = check(buf_span(&text), flt);
	buf_release(&text);
	return verdict;
}

/* ---- Texts ---- */

static int parse_hash(struct span text, struct fault *flt)
{
	struct digest digest;

	return digest_parse(text, &digest, flt);
}

static int parse_base64(struct span text, struct fault *flt)
{
	struct buf bytes;
	int verdict;

	buf_init(&bytes, CAP_RECORD);
	verdict = base64_decode(text, &bytes, flt);
	buf_release(&bytes);
	return verdict;
}

static int parse_key(struct span text, struct fault *flt)
{
	struct ecdsa_public_key *key = NULL;
	int verdict = ecdsa_public_key_parse(text, &key, flt);

	ecdsa_public_key_unref(key);
	return verdict;
}

static int parse_name(struct span text, struct fault *flt)
{
	struct name name;

	return name_parse(text, &name, flt);
}

static int parse_version(struct span text, struct fault *flt)
{
	struct semver version;

	return semver_parse(text, &version, flt);
}

static int parse_wasm(struct span text, struct fault *flt)
{
	struct wasm_framing framing;
	int verdict;

	wasm_framing_init(&framing);
	verdict = wasm_framing_append(&framing, text, flt);
	return verdict ? verdict : wasm_framing_end(&framing, flt);
}

static int parse_json(struct span text, struct fault *flt)
{
	struct json *value = NULL;
	int verdict = json_parse(text, &value, flt);

	json_free(value);
	return verdict;
}

static int run_text(const struct json *value, int (*parse)(struct span, struct fault *), struct fault *flt)
{
	unsigned char bytes[256];
	struct span text;

	if (json_member(value, "hex")) {
		text = text_of(value, "hex");
		assert_true(text.length <= 2 * sizeof(bytes));
		assert_int_equal(hex_decode(text, bytes, text.length / 2, NULL), 0);
		return parse((struct span){ bytes, text.length / 2 }, flt);
	}
	return parse(text_of(value, "text"), flt);
}

/* ---- Folders ---- */

/** How a kind is run: one of four ways. */
static const struct kind {
	const char *name;
	int (*run)(const struct json *, struct fault *);
	int (*parse)(struct span, struct fault *);
	int (*answer)(const struct json *, const struct http_exchange *, struct fault *);
	int (*file)(struct span, struct fault *);
} kinds[] = {
	{ .name = "package", .run = run_package },
	{ .name = "operator", .run = run_operator },
	{ .name = "checkpoint", .run = run_checkpoint },
	{ .name = "inclusion", .run = run_inclusion },
	{ .name = "consistency", .run = run_consistency },
	{ .name = "proof", .file = check_document },
	{ .name = "hash", .parse = parse_hash },
	{ .name = "base64", .parse = parse_base64 },
	{ .name = "key", .parse = parse_key },
	{ .name = "name", .parse = parse_name },
	{ .name = "version", .parse = parse_version },
	{ .name = "json", .parse = parse_json },
	{ .name = "wasm", .parse = parse_wasm },
	{ .name = "answer-logs", .answer = answer_logs },
	{ .name = "answer-checkpoint", .answer = answer_checkpoint },
	{ .name = "answer-names", .answer = answer_names },
	{ .name = "answer-inclusion", .answer = answer_inclusion },
	{ .name = "answer-consistency", .answer = answer_consistency },
	{ .name = "answer-ledger", .answer = answer_ledger },
	{ .name = "answer-sources", .answer = answer_sources },
	{ .name = "answer-record", .answer = answer_record },
	{ .name = "answer-discovery", .answer = answer_discovery },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/** Of which kinds an honest case was seen. */
static bool honest[KINDS];

static size_t kind_of(const struct json *value)
{
	for (size_t i = 0; i < KINDS; i++)
		if (span_is(text_of(value, "kind"), kinds[i].name))
			return i;
	fail_msg("a case of no kind");
	return 0;
}

static int run(const struct kind *kind, const struct json *value, const char *folder, struct fault *flt)
{
	if (kind->answer)
		return run_answer(value, kind->answer, folder, flt);
	if (kind->file)
		return run_file(kind->file, folder, kind->name, flt);
	return kind->run ? kind->run(value, flt) : run_text(value, kind->parse, flt);
}

static int expected_verdict(const struct json *value)
{
	struct span text;

	if (!json_member(value, "verdict"))
		return WARG_INVALID;
	text = text_of(value, "verdict");
	if (span_is(text, "valid"))
		return 0;
	assert_true(span_is(text, "undecided"));
	return WARG_UNDECIDED;
}

static void check_words(const struct json *value, const char *sentence)
{
	char words[256];

	snprintf(words, sizeof(words), "%.*s", (int)text_of(value, "words").length,
		 (const char *)text_of(value, "words").data);
	assert_true(words[0] != '\0');
	if (!strstr(sentence, words))
		fail_msg("refused, but not for '%s': %s", words, sentence);
}

static void test_case(void **state)
{
	const char *name = *state;
	char path[512], sentence[FAULT_SENTENCE_SIZE];
	struct fault flt = { 0 };
	struct json *value;
	struct buf text;
	int verdict, expected;

	snprintf(path, sizeof(path), FOLDER "/%s/case.json", name);
	text = data_read(path);
	assert_int_equal(json_parse(buf_span(&text), &value, NULL), 0);
	expected = expected_verdict(value);
	verdict = run(&kinds[kind_of(value)], value, name, &flt);
	fault_sentence(&flt, sentence);
	if (verdict != expected || flt.verdict != expected || (flt.kind == FAULT_FORGED) != (expected == WARG_INVALID))
		fail_msg("verdict %d: %s", verdict, sentence);
	if (expected)
		check_words(value, sentence);
	else
		honest[kind_of(value)] = true;
	json_free(value);
	buf_release(&text);
}

/* Of each kind one case is honest and passes, so that the others do not fail for how they are put. Runs last. */
static void test_honest(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++)
		if (!honest[i])
			fail_msg("no honest case of kind %s passed", kinds[i].name);
}

static int is_case(const struct dirent *entry)
{
	return !strchr(entry->d_name, '.'); /* README.md is none */
}

int main(void)
{
	struct dirent **entries;
	int count = scandir(FOLDER, &entries, is_case, alphasort), failed;
	struct CMUnitTest *tests;

	if (count <= 0) {
		fprintf(stderr, "there are no cases in %s\n", FOLDER);
		return 1;
	}
	tests = calloc((size_t)count + 1, sizeof(*tests));
	if (!tests)
		return 1;
	for (int i = 0; i < count; i++)
		tests[i] = (struct CMUnitTest){ .name = entries[i]->d_name,
						.test_func = test_case,
						.initial_state = entries[i]->d_name };
	tests[count] = (struct CMUnitTest)cmocka_unit_test(test_honest);
	failed = _cmocka_run_group_tests("invalid", tests, (size_t)count + 1, NULL, NULL);
	for (int i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
	free(tests);
	return failed != 0;
}
