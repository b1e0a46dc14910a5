/*
 * wargfs verify, of what is stored: all of it held against the registry, from the first records on (see
 * client/recheck.h); and which releases a file is.
 */
#include "verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/recheck.h"
#include "output.h"
#include "session.h"

/* Open the registry, and have what is stored of it proven anew. @param names  NULL: all packages */
static int prove(struct session *session, const struct options *options, const struct name *names, size_t count,
		 struct recheck *out, struct fault *flt)
{
	struct trust_anchor anchor = {0};
	int verdict = session_start(session, options, flt);

	if (!verdict && registry_trust(session->registry))
		verdict = trust_load(registry_trust(session->registry), &anchor, flt);
	if (verdict)
		return verdict;
	return recheck_prove(registry_api(session->registry), registry_store(session->registry), &anchor, names, count,
			     registry_deadline(session->registry), out, flt);
}

static int worse(int a, int b)
{
	return a > b ? a : b;
}

static void put_checkpoint(struct json *json, const struct session *session, const struct view *view)
{
	json_put_text(json, "registry", session->url.text);
	json_put_uint(json, "logLength", view->checkpoint.contents.log_length);
	json_put_uint(json, "timestamp", view->checkpoint.contents.timestamp);
	json_put_digest(json, "operatorKey", operator_log_first_key(view->operator));
}

/* ---- What is stored ---- */

/* What a log is called. */
static void name_log(const struct recheck_log *log, char out[static 600])
{
	char id[DIGEST_TEXT_SIZE];

	digest_format(&log->log_id, id);
	snprintf(out, 600, "%s", log->is_operator ? "operator" : log->is_unnamed ? id : log->name.text);
}

static void print_log(const struct recheck_log *log)
{
	size_t kept = log->difference_count < RECHECK_DIFFERENCES ? log->difference_count : RECHECK_DIFFERENCES;
	char name[600];

	name_log(log, name);
	for (size_t i = 0; i < kept && log->differences; i++)
		printf("%s: %s: stored %s, proven %s\n", name, log->differences[i].what, log->differences[i].stored,
		       log->differences[i].proven);
	if (log->difference_count > kept)
		printf("%s: and %zu more\n", name, log->difference_count - kept);
	if (log->difference_count || log->fault.verdict)
		return;
	if (log->is_operator)
		printf("%s: good\n", name);
	else
		printf("%s: good, %zu %s, %zu in the cache%s\n", name, log->releases,
		       log->releases == 1 ? "release" : "releases", log->contents,
		       log->is_stored ? "" : ", no state stored");
}

static void print(const struct session *session, const struct recheck *recheck)
{
	size_t bad = 0;

	for (size_t i = 0; i < recheck->count; i++) {
		print_log(&recheck->logs[i]);
		bad += recheck->logs[i].difference_count || recheck->logs[i].fault.verdict;
	}
	printf("%zu of %zu %s good, held against %s at log length %" PRIu64 "\n", recheck->count - bad, recheck->count,
	       recheck->count == 1 ? "log" : "logs", session->url.text, recheck->view->checkpoint.contents.log_length);
}

static struct json *new_differences(const struct recheck_log *log)
{
	struct json *list = json_new_list();

	for (size_t i = 0; i < log->difference_count && i < RECHECK_DIFFERENCES && log->differences; i++) {
		struct json *one = json_new_object();

		json_put_text(one, "what", log->differences[i].what);
		json_put_text(one, "stored", log->differences[i].stored);
		json_put_text(one, "proven", log->differences[i].proven);
		json_add(list, one);
	}
	return list;
}

static struct json *new_log(const struct recheck_log *log)
{
	struct json *json = json_new_object();
	char sentence[FAULT_SENTENCE_SIZE];

	if (!log->is_operator && !log->is_unnamed)
		json_put_text(json, "package", log->name.text);
	json_put_digest(json, "logId", &log->log_id);
	json_put_bool(json, "good", !log->difference_count && !log->fault.verdict);
	if (!log->is_operator && !log->is_unnamed) {
		json_put_uint(json, "releases", log->releases);
		json_put_uint(json, "contents", log->contents);
	}
	json_put_uint(json, "differenceCount", log->difference_count);
	json_put(json, "differences", new_differences(log));
	if (log->fault.verdict) {
		fault_sentence(&log->fault, sentence);
		json_put_text(json, "error", sentence);
	}
	return json;
}

static int print_json(const struct command *command, const struct session *session, const struct recheck *recheck)
{
	struct json *json = json_new_object(), *logs = json_new_list();

	put_checkpoint(json, session, recheck->view);
	for (size_t i = 0; i < recheck->count; i++)
		json_add(logs, new_log(&recheck->logs[i]));
	json_put(json, "logs", logs);
	return output_json(command, json);
}

static int report(const struct command *command, const struct options *options, const struct session *session,
		  const struct recheck *recheck)
{
	int status = STATUS_DONE;

	for (size_t i = 0; i < recheck->count; i++) {
		if (recheck->logs[i].fault.verdict)
			status = worse(status, options_fail(command, &recheck->logs[i].fault));
		if (recheck->logs[i].difference_count)
			status = STATUS_UNVERIFIED;
	}
	if (options->json)
		return worse(status, print_json(command, session, recheck));
	print(session, recheck);
	return status;
}

static bool is_among(const struct name *names, size_t count, const struct name *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(names[i].text, name->text))
			return true;
	return false;
}

/* The packages that are named, each once. @param out  free() it; NULL if none is named */
static int read_names(const struct options *options, struct name **out, size_t *count, struct fault *flt)
{
	struct name *names = NULL;
	int verdict = 0;

	*count = 0;
	if (options->argument_count) {
		names = calloc((size_t)options->argument_count, sizeof(*names));
		if (!names)
			return fault_no_memory(flt);
	}
	for (int i = 0; !verdict && i < options->argument_count; i++) {
		verdict = session_read_name(options->arguments[i], &names[*count], flt);
		if (!verdict && !is_among(names, *count, &names[*count]))
			++*count;
	}
	if (verdict)
		free(names);
	else
		*out = names;
	return verdict;
}

int verify_stored(const struct command *command, const struct options *options)
{
	struct session session = {0};
	struct recheck recheck = {0};
	struct name *names = NULL;
	struct fault flt = {0};
	size_t count;
	int status, verdict;

	verdict = read_names(options, &names, &count, &flt);
	if (!verdict)
		verdict = prove(&session, options, names, count, &recheck, &flt);
	if (verdict) {
		status = options_fail(command, &flt);
	} else {
		recheck_compare(&recheck);
		status = report(command, options, &session, &recheck);
	}
	recheck_release(&recheck);
	session_release(&session);
	free(names);
	return status;
}

/* ---- Which release a file is ---- */

static struct json *new_release(const struct name *name, const struct package_release *release)
{
	struct json *json = json_new_object();

	json_put_text(json, "package", name->text);
	json_put_text(json, "version", release->version);
	json_put_digest(json, "releasedBy", &release->by);
	json_put_uint(json, "releasedAt", (uint64_t)release->time.seconds);
	json_put_bool(json, "yanked", release->yanked);
	return json;
}

static void print_release(const char *path, const struct name *name, const struct package_release *release)
{
	char when[64];

	output_time(release->time.seconds, when);
	printf("%s: %s %s, released %s%s\n", path, name->text, release->version, when,
	       release->yanked ? ", YANKED" : "");
}

/* All releases with this content. @param list  takes them, with --json; else they are printed. @return how many */
static size_t find_releases(const struct view *view, const struct digest *digest, const char *path, struct json *list)
{
	size_t found = 0;

	for (size_t i = 0; i < view->package_count; i++) {
		const struct view_package *package = view->packages[i];
		const struct package_release *releases;
		size_t count;

		releases = package_log_releases(package->log, &count);
		for (size_t j = 0; j < count; j++) {
			if (!digest_equals(&releases[j].content, digest))
				continue;
			found++;
			if (list)
				json_add(list, new_release(&package->name, &releases[j]));
			else
				print_release(path, &package->name, &releases[j]);
		}
	}
	return found;
}

/* One file. @param files  takes the result, with --json */
static int identify(const struct command *command, const struct recheck *recheck, const char *path,
		    struct json *files)
{
	struct json *list = files ? json_new_list() : NULL, *file;
	char text[DIGEST_TEXT_SIZE];
	struct fault flt = {0};
	struct digest digest;
	size_t found;

	if (verify_hash_file(path, &digest, &flt)) {
		json_free(list);
		return options_fail(command, &flt);
	}
	digest_format(&digest, text);
	found = find_releases(recheck->view, &digest, path, list);
	if (files) {
		file = json_new_object();
		json_put_text(file, "file", path);
		json_put_text(file, "digest", text);
		json_put(file, "releases", list);
		json_add(files, file);
	}
	if (found)
		return STATUS_DONE;
	fault_undecided(&flt, FAULT_ABSENT, "%.100s, %s, is no release of a package whose log is stored here", path,
			text);
	return options_fail(command, &flt);
}

static int identify_all(const struct command *command, const struct options *options, const struct session *session,
			const struct recheck *recheck)
{
	struct json *json = options->json ? json_new_object() : NULL;
	struct json *files = json ? json_new_list() : NULL;
	int status = STATUS_DONE;

	for (size_t i = 0; i < recheck->count; i++)
		if (recheck->logs[i].fault.verdict)
			status = worse(status, options_fail(command, &recheck->logs[i].fault));
	for (int i = 0; i < options->argument_count; i++)
		status = worse(status, identify(command, recheck, options->arguments[i], files));
	if (json) {
		put_checkpoint(json, session, recheck->view);
		json_put(json, "files", files);
		return worse(status, output_json(command, json));
	}
	printf("by the logs of %s at length %" PRIu64 "\n", session->url.text,
	       recheck->view->checkpoint.contents.log_length);
	return status;
}

int verify_files(const struct command *command, const struct options *options)
{
	struct session session = {0};
	struct recheck recheck = {0};
	struct fault flt = {0};
	int status;

	if (prove(&session, options, NULL, 0, &recheck, &flt))
		status = options_fail(command, &flt);
	else
		status = identify_all(command, options, &session, &recheck);
	recheck_release(&recheck);
	session_release(&session);
	return status;
}
