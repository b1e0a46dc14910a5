/*
 * wargfs download: a release into the cache, and into a file (interop.md section D).
 */
#include "commands.h"
#include "output.h"
#include "progress.h"
#include "save.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct options_entry entries[] = {
	{'v', "version", "REQUIREMENT", "a version, or what it has to satisfy (^1.2, >=1, <3); default *"},
	{'o', "output", "FILE", "write it there; a folder means FOLDER/<package>.wasm, - means stdout"},
	{0}
};

struct own {
	const char *requirement;
	const char *output;
};

static int take(void *user, int key, const char *value, struct fault *flt)
{
	struct own *own = user;

	(void)flt;
	if (key == 'v')
		own->requirement = value;
	else
		own->output = value;
	return 0;
}

/*
 * Read a requirement as the reference's words have it: what begins with a digit means exactly that, so `1.2` is `=1.2`.
 * @param prefixed  keeps the text that `out` borrows from
 */
static int read_requirement(const char *text, struct buf *prefixed, struct semver_requirement *out, struct fault *flt)
{
	int verdict;

	if (*text >= '0' && *text <= '9') {
		verdict = buf_append_format(prefixed, flt, "=%s", text);
		if (verdict)
			return verdict;
		if (semver_requirement_parse(buf_span(prefixed), out, NULL) == 0)
			return 0;
	}
	if (semver_requirement_parse(span_of_text(text), out, NULL))
		return fault_undecided(flt, FAULT_MISUSE, "'%.100s' is neither a version nor a requirement", text);
	return 0;
}

/* Say which versions there are, when the one that was asked for is not. */
static int absent(const struct package_log *log, const char *asked, struct fault *flt)
{
	const struct package_release *best = package_log_best(log, NULL);
	const struct package_release *exact = package_log_find(log, span_of_text(asked));
	const char *name = package_log_name(log)->text;

	if (exact && exact->yanked)
		return fault_undecided(flt, FAULT_ABSENT, "version %s of %.100s was yanked", exact->version, name);
	if (!best)
		return fault_undecided(flt, FAULT_ABSENT, "%.100s has no release", name);
	return fault_undecided(flt, FAULT_ABSENT, "%.100s has no version %.60s; the latest is %s", name, asked,
			       best->version);
}

/* Choose the release. `log` must stay as long as what is chosen. */
static int choose(const struct package_log *log, const char *asked, const struct package_release **out,
		  struct fault *flt)
{
	const struct package_release *release;
	struct semver_requirement requirement;
	struct semver version;
	struct buf prefixed;
	int verdict = 0;

	buf_init(&prefixed, 4096);
	if (!asked) {
		release = package_log_best(log, NULL);
	} else if (semver_parse(span_of_text(asked), &version, NULL) == 0) {
		release = package_log_find(log, span_of_text(asked));
	} else {
		verdict = read_requirement(asked, &prefixed, &requirement, flt);
		release = verdict ? NULL : package_log_best(log, &requirement);
	}
	if (!verdict && (!release || release->yanked))
		verdict = absent(log, asked ? asked : "*", flt);
	if (!verdict)
		*out = release;
	buf_release(&prefixed);
	return verdict;
}

static int fetch(struct registry *registry, const struct digest *digest, const char *what,
		 struct content_file **out, struct fault *flt)
{
	struct progress progress = { .registry = registry, .content = digest, .what = what };
	struct blocking_waiter blocking;
	int verdict;

	blocking_waiter_init(&blocking, CLOCK_NEVER);
	content_fetch(registry_content(registry), digest, &blocking.waiter);
	verdict = progress_wait(&progress, &blocking, flt);
	if (verdict)
		return verdict;
	*out = content_find(registry_content(registry), digest);
	if (!*out)
		return fault_undecided(flt, FAULT_SYSTEM, "the content is gone from the cache again");
	return 0;
}

/* Where to write, or NULL if nowhere. @param name  its part behind the colon and ".wasm" */
static char *choose_output(const struct options *options, const char *output, const char *name)
{
	char *path = NULL;

	if (output)
		return save_target(output, name);
	if (access(name, F_OK) == 0 ? output_ask(options, false, "Write over %s in the current folder?", name) :
				      output_ask(options, true, "Write %s in the current folder?", name))
		path = strdup(name);
	return path;
}

static int report(const struct command *command, const struct options *options, const struct session *session,
		  const struct name *name, const struct package_release *release, uint64_t size, const char *written)
{
	FILE *to = written && strcmp(written, "-") == 0 ? stderr : stdout;
	char digest[DIGEST_TEXT_SIZE], cached[4096], human[32];

	digest_format(&release->content, digest);
	snprintf(cached, sizeof(cached), "%s/sha256/%s", session->config.content_dir, digest + strlen("sha256:"));
	if (options->json) {
		struct json *json = json_new_object();

		json_put_text(json, "package", name->text);
		json_put_text(json, "version", release->version);
		json_put_text(json, "digest", digest);
		json_put_uint(json, "size", size);
		json_put_text(json, "cached", cached);
		if (written)
			json_put_text(json, "written", written);
		else
			json_put_null(json, "written");
		return output_json(command, json);
	}
	output_size(size, human);
	fprintf(to, "%s %s, %s\n%s\n", name->text, release->version, human, digest);
	fprintf(to, "%s %s\n", written ? "written to" : "kept in the cache:", written ? written : cached);
	return STATUS_DONE;
}

static int save(const struct options *options, const struct own *own, const struct name *name,
		struct content_file *file, char **written, struct fault *flt)
{
	char usual[CAP_NAME_PART + sizeof(".wasm")];
	struct span package = name_package(name);
	char *target;
	int verdict;

	snprintf(usual, sizeof(usual), "%.*s.wasm", (int)package.length, (const char *)package.data);
	target = choose_output(options, own->output, usual);
	if (!target)
		return own->output ? fault_no_memory(flt) : 0;
	verdict = save_copy(file->fd, file->size, target, flt);
	if (verdict)
		free(target);
	else
		*written = target;
	return verdict;
}

static int download(const struct command *command, const struct options *options, const struct own *own,
		    struct session *session, struct fault *flt)
{
	const struct package_release *release = NULL;
	const struct view_package *package;
	struct content_file *file = NULL;
	struct fault own_fault = {0};
	char *written = NULL;
	char what[CAP_NAME_PART * 2 + CAP_VERSION + 8];
	struct view *view;
	struct name name;
	int verdict;

	verdict = session_read_name(options->arguments[0], &name, flt);
	if (!verdict)
		verdict = session_start(session, options, flt);
	if (!verdict)
		verdict = registry_update(session->registry, &name, 1, &own_fault, flt);
	if (verdict)
		return verdict;
	if (own_fault.verdict) {
		*flt = own_fault;
		return own_fault.verdict;
	}

	view = registry_view(session->registry);
	package = view_find(view, &name);
	verdict = package ? choose(package->log, own->requirement, &release, flt) :
			    fault_undecided(flt, FAULT_ABSENT, "the registry has no package %.100s", name.text);
	if (release) {
		snprintf(what, sizeof(what), "%s %s", name.text, release->version);
		verdict = fetch(session->registry, &release->content, what, &file, flt);
	}
	if (!verdict)
		verdict = save(options, own, &name, file, &written, flt);
	if (!verdict && release &&
	    report(command, options, session, &name, release, file->size, written) != STATUS_DONE)
		verdict = fault_undecided(flt, FAULT_SYSTEM, "the result could not be printed");
	free(written);
	content_file_unref(file);
	view_unref(view);
	return verdict;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct session session = {0};
	struct options options;
	struct own own = {0};
	struct fault flt = {0};
	int status;

	if (!options_parse(command, argc, argv, take, &own, &options, &status))
		return status;
	if (options.json && own.output && strcmp(own.output, "-") == 0) {
		fprintf(stderr, "wargfs download: --json and --output - both want stdout\n");
		return STATUS_MISUSE;
	}
	status = STATUS_DONE;
	if (download(command, &options, &own, &session, &flt))
		status = options_fail(command, &flt);
	session_release(&session);
	progress_die_of_signal();
	return status;
}

const struct command download_command = {
	.name = "download",
	.arguments = "PACKAGE",
	.summary = "Download a release of a package, proven",
	.text = "\nPACKAGE is namespace:package. The content is checked against the registry's log and kept in the\n"
		"cache. Without --output you are asked whether to write it to <package>.wasm here as well.\n",
	.least = 1,
	.most = 1,
	.asks = true,
	.options = entries,
	.run = run,
};
