/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs clear: remove the contents that lie in the cache.
 */
#include "commands.h"
#include "client/store/store.h"
#include "output.h"
#include "session.h"

#include <inttypes.h>
#include <stdio.h>

static int report(const struct command *command, const struct options *options, uint64_t bytes, uint64_t files)
{
	struct json *json;
	char size[32];

	if (options->json) {
		json = json_new_object();
		json_put_uint(json, "files", files);
		json_put_uint(json, "bytes", bytes);
		return output_json(command, json);
	}
	output_size(bytes, size);
	printf("%" PRIu64 " %s removed, %s\n", files, files == 1 ? "content" : "contents", size);
	return STATUS_DONE;
}

static int clear(const struct command *command, const struct options *options, struct session *session)
{
	uint64_t bytes = 0, files = 0;
	struct fault flt = {0};

	if (session_load(session, options, &flt))
		return options_fail(command, &flt);
	if (!output_ask(options, false, "Remove all contents in %s?", session->config.content_dir))
		return STATUS_FAILED;
	if (store_clear_contents(session->config.content_dir, &bytes, &files, &flt))
		return options_fail(command, &flt);
	return report(command, options, bytes, files);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct session session = {0};
	struct options options;
	int status;

	if (!options_parse(command, argc, argv, NULL, NULL, &options, &status))
		return status;
	if (options.registry)
		return options_misused(command->name, "registries share their contents: those of one registry cannot "
				       "be cleared alone, so leave --registry away");
	status = clear(command, &options, &session);
	session_release(&session);
	return status;
}

const struct command clear_command = {
	.name = "clear",
	.arguments = "",
	.summary = "Remove the contents that lie in the cache",
	.text = "\nThe contents of all registries, which share them. Logs and checkpoints stay. What a mount has open\n"
		"stays readable; what it needs again it fetches again.\n",
	.asks = true,
	.is_deed = true,
	.run = run,
};
