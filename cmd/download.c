/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs download: a release into the cache, and into a file (interop.md section D).
 */
#include "absent.h"
#include "commands.h"
#include "fetch_contents.h"
#include "output.h"
#include "progress.h"
#include "verify/release_choice.h"
#include "write_file.h"
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

/* @param out  a new reference */
static int fetch(struct registry *registry, const struct digest *digest, const char *what,
		 struct content_file **out, struct fault *flt)
{
	struct fetch_contents_want want = {.registry = registry, .digest = *digest};
	int verdict = fetch_contents_fetch(what, &want, 1);

	if (verdict) {
		*flt = want.fault;
		return verdict;
	}
	*out = content_find(registry_content(registry), digest);
	return *out ? 0 : fault_undecided(flt, FAULT_SYSTEM, "the content is gone from the cache again");
}

/* Where to write, or NULL if nowhere. @param name  its part behind the colon and ".wasm" */
static char *choose_output(const struct options *options, const char *output, const char *name)
{
	char *path = NULL;

	if (output)
		return write_file_target(output, name);
	if (access(name, F_OK) == 0 ? output_ask(options, false, "Write over %s in the current folder?", name) :
				      output_ask(options, true, "Write %s in the current folder?", name))
		path = strdup(name);
	return path;
}

static int report(const struct command *command, const struct options *options, const struct session *session,
		  const struct registry *registry, const struct name *name, const struct package_release *release,
		  uint64_t size, const char *written)
{
	FILE *to = written && strcmp(written, "-") == 0 ? stderr : stdout;
	char digest[DIGEST_TEXT_SIZE], cached[4096], human[32];

	digest_format(&release->content, digest);
	session_content_path(session, &release->content, cached, sizeof(cached));
	if (options->json) {
		struct json *json = json_new_object();

		json_put_shown(json, "registry", federation_name_of(session->federation, registry));
		json_put_text(json, "package", name->text);
		json_put_text(json, "version", release->version);
		json_put_text(json, "digest", digest);
		json_put_uint(json, "size", size);
		json_put_shown(json, "cached", cached);
		if (written)
			json_put_shown(json, "written", written);
		else
			json_put_null(json, "written");
		return output_json(command, json);
	}
	output_size(size, human);
	fprintf(to, "%s %s, %s\n%s\n", name->text, release->version, human, digest);
	if (registry != session->registry)
		fprintf(to, "from %s\n", output_shown(federation_name_of(session->federation, registry)).text);
	fprintf(to, "%s %s\n", written ? "written to" : "kept in the cache:",
		output_shown(written ? written : cached).text);
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
	verdict = write_file_copy(file->fd, file->size, target, flt);
	if (verdict)
		free(target);
	else
		*written = target;
	return verdict;
}

/* Bring the package to the newest checkpoint. @param out  the registry that it lives in */
static int update(struct session *session, const struct options *options, const struct name *name,
		  struct registry **out, struct fault *flt)
{
	int verdict;

	progress_begin(&session->progress, name->text, NULL, NULL);
	verdict = session_start(session, options, flt);
	if (!verdict)
		verdict = session_update_package(session, name, out, flt);
	progress_end(&session->progress);
	return verdict;
}

static int download(const struct command *command, const struct options *options, const struct own *own,
		    struct session *session, struct fault *flt)
{
	const struct package_release *release = NULL;
	const struct view_package *package;
	struct content_file *file = NULL;
	struct registry *registry = NULL;
	char *written = NULL;
	char what[CAP_NAME_PART * 2 + CAP_VERSION + 8];
	struct view *view;
	struct name name;
	int verdict;

	verdict = session_read_name(options->arguments[0], &name, flt);
	if (!verdict)
		verdict = update(session, options, &name, &registry, flt);
	if (verdict)
		return verdict;

	view = registry_view(registry);
	package = view_find(view, &name);
	verdict = package ? release_choose(package->log, own->requirement, &release, flt) :
			    absent_package(registry, &name, flt);
	if (release) {
		snprintf(what, sizeof(what), "%s %s", name.text, release->version);
		verdict = fetch(registry, &release->content, what, &file, flt);
	}
	if (!verdict)
		verdict = save(options, own, &name, file, &written, flt);
	if (!verdict && release &&
	    report(command, options, session, registry, &name, release, file->size, written) != STATUS_DONE)
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
	if (options.json && own.output && strcmp(own.output, "-") == 0)
		return options_misused(command->name, "--json and --output - cannot go together: each writes to the "
				       "standard output");
	status = STATUS_DONE;
	if (download(command, &options, &own, &session, &flt))
		status = options_fail(command, &flt);
	session_release(&session);
	fetch_contents_die_of_signal();
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
	.meets = true,
	.run = run,
};
