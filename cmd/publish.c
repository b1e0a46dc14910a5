/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs publish: the group, and what its commands have in common (see publish.h).
 */
#include "publish.h"
#include "commands.h"
#include "sockets.h"

#include <stdlib.h>
#include <string.h>

static const struct command *const group[] = {
	&publish_init_command, &publish_release_command, &publish_yank_command, &publish_grant_command,
	&publish_revoke_command, &publish_start_command, &publish_list_command, &publish_abort_command,
	&publish_submit_command, &publish_wait_command, NULL,
};

const struct command publish_command = {
	.name = "publish",
	.arguments = "",
	.summary = "Publish releases, and change who may",
	.text = "\nWhile a publish is pending, which 'publish start' begins, the others add to it, and 'publish\n"
		"submit' publishes it as one record. The client warg shares it: either can end what the other began.\n",
	.group = group,
};

/* ---- Opening ---- */

void publishing_init(struct publishing *publishing, const struct command *command, const struct options *options)
{
	*publishing = (struct publishing){
		.command = command, .options = options, .hold = {.fd = -1}, .hold_elsewhere = {.fd = -1},
		.keyed_as = options->registry,
	};
}

int publishing_open(struct publishing *publishing, struct fault *flt)
{
	struct session *session = &publishing->session;
	struct session_open how = {.starts_from_cache = true};
	int verdict = session_load(session, publishing->options, flt);

	if (!verdict)
		verdict = session_choose(session, NULL, publishing->options, flt);
	if (!verdict)
		verdict = session_open(session, &how, flt);
	if (verdict)
		return verdict;
	publishing->store = registry_store(session->registry);
	return staging_open(session->config.state_dir, session->url.label, publishing->store, &publishing->staging,
			    flt);
}

/* What could not be looked through is left to the next time. */
static void close_staging(struct publishing *publishing, struct staging *staging, struct staging_hold *hold)
{
	staging_end_hold(hold);
	if (staging)
		staging_sweep(staging, publishing->store, NULL);
	staging_close(staging);
}

/* Programs are to see through this user's mounts what has just been published. */
static void refresh_mounts(const struct publishing *publishing)
{
	const struct session *session = &publishing->session;
	const char *home = session->url.text, *elsewhere = registry_url(publishing->registry)->text;

	sockets_refresh(&session->environment, home);
	if (strcmp(home, elsewhere) != 0)
		sockets_refresh(&session->environment, elsewhere);
}

void publishing_release(struct publishing *publishing)
{
	if (publishing->is_published)
		refresh_mounts(publishing);
	publisher_close(publishing->publisher);
	for (size_t i = 0; i < publishing->resumed_count; i++)
		pending_release(&publishing->resumed[i].what);
	free(publishing->resumed);
	close_staging(publishing, publishing->elsewhere, &publishing->hold_elsewhere);
	close_staging(publishing, publishing->staging, &publishing->hold);
	if (publishing->is_open)
		pending_release(&publishing->pending);
	session_release(&publishing->session);
}

int publishing_look(struct publishing *publishing, struct fault *flt)
{
	struct pending pending = {0};
	bool found = false;
	int verdict = pending_load(publishing->store, &pending, &found, flt);

	if (verdict)
		return verdict;
	if (publishing->is_open)
		pending_release(&publishing->pending);
	publishing->is_open = found;
	publishing->pending = pending;
	return 0;
}

int publishing_hold(struct publishing *publishing, struct fault *flt)
{
	return staging_take_hold(publishing->staging, &publishing->hold, flt);
}

/* ---- Running ---- */

static int take(void *user, int key, const char *value, struct fault *flt)
{
	bool *no_wait = user;

	(void)key;
	(void)value;
	(void)flt;
	*no_wait = true;
	return 0;
}

int publishing_run(const struct command *command, publishing_worker *work, int argc, char **argv)
{
	struct publishing publishing;
	struct options options;
	bool no_wait = false;
	struct fault flt = {0};
	int status, verdict;

	if (!options_parse(command, argc, argv, take, &no_wait, &options, &status))
		return status;
	status = STATUS_DONE;
	publishing_init(&publishing, command, &options);
	verdict = publishing_open(&publishing, &flt);
	if (!verdict)
		verdict = work(&publishing, !no_wait, &status, &flt);
	if (verdict)
		status = options_fail(command, &flt);
	publishing_release(&publishing);
	return status;
}
