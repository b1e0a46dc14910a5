/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Publishing a file as a version (see warg.h).
 */
#include "door.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/publish/publish.h"
#include "client/publish/staging.h"
#include "client/store/wasm_file.h"
#include "client/user/keyring.h"

/* One publish. */
struct publishing {
	struct warg *warg;
	struct registry *registry; /* that the package lives in */
	struct staging *staging;
	struct staging_hold hold;
	struct pending what;
	struct publish_uploads uploads;
	struct publisher *publisher;
	struct publish_result result;
	bool is_resumed; /* what is wanted was under way, and is published */
};

/* ---- The key ---- */

static int find_key(void *user, struct ecdsa_private_key **out, struct fault *flt)
{
	const struct publishing *publishing = user;
	const struct warg *warg = publishing->warg;
	const char *registry = warg->is_home ? NULL : warg->texts.url;
	struct config config;
	int r;

	if (warg->texts.signing_key)
		return ecdsa_private_key_parse(span_of_text(warg->texts.signing_key), out, flt);
	if (!warg->environment)
		return fault_undecided(flt, FAULT_NO_KEY, "the options have no key to sign with");
	if (publishing->registry != warg->home)
		registry = federation_name_of(warg->federation, publishing->registry);
	r = door_environment_load(warg->environment, &config, flt);
	if (r)
		return r;
	r = keyring_find_signing_key(&config, registry, out, flt);
	config_release(&config);
	return r;
}

/* ---- The content ---- */

static int check_wasm(int fd, struct fault *flt)
{
	int r = wasm_file_check(fd, flt);

	if (r == WARG_INVALID)
		fault_at(flt, "the file to be published is not WebAssembly");
	return r;
}

/* What was staged is what is published: that is what is checked. */
static int stage(struct publishing *publishing, int fd, struct digest *out, struct fault *flt)
{
	uint64_t size;
	int staged = -1;
	int r = staging_add(publishing->staging, fd, out, NULL, flt);

	if (!r)
		r = staging_open_content(publishing->staging, out, &staged, &size, flt);
	if (!r && staged < 0)
		r = fault_undecided(flt, FAULT_SYSTEM, "what was staged is gone again");
	if (!r)
		r = check_wasm(staged, flt);
	if (staged >= 0)
		close(staged);
	return r;
}

/* A regular file is looked at before its bytes are copied. */
static int check_file(int fd, struct fault *flt)
{
	struct stat status;

	return !fstat(fd, &status) && S_ISREG(status.st_mode) && !lseek(fd, 0, SEEK_CUR) ? check_wasm(fd, flt) : 0;
}

/* ---- The record ---- */

static void see_resumed(void *user, const struct pending *what, const struct publish_result *result, int verdict,
			const struct fault *flt)
{
	struct publishing *publishing = user;

	(void)flt;
	if (verdict || !what || !pending_wants_same(what, &publishing->what))
		return;
	publishing->is_resumed = true;
	publishing->result = *result;
}

static int submit(void *user, struct fault *flt)
{
	struct publishing *publishing = user;

	publish_resume(publishing->publisher, see_resumed, publishing, NULL);
	if (publishing->is_resumed)
		return 0;
	return publish_submit(publishing->publisher, &publishing->what, PUBLISH_PROVEN, &publishing->result, flt);
}

static void stop(void *user)
{
	struct publishing *publishing = user;

	publisher_stop(publishing->publisher);
}

static void measure(void *user, struct warg_progress *out)
{
	struct publishing *publishing = user;

	out->done = atomic_load(&publishing->uploads.sent);
	out->whole = atomic_load(&publishing->uploads.size);
}

static int open_publisher(struct publishing *publishing, struct fault *flt)
{
	const struct warg *warg = publishing->warg;
	const struct publisher_options options = {
		.registry = publishing->registry,
		.state_dir = warg->texts.state_dir,
		.label = trust_label(registry_trust(publishing->registry)),
		.home = registry_store(warg->home),
		.find_key = find_key,
		.user = publishing,
		.uploads = &publishing->uploads,
		.auto_init = !(warg->environment && warg->environment->config.disable_auto_package_init),
		.recent = PUBLISH_RECENT,
		.timeout = warg->timeout,
	};

	return publisher_open(&options, &publishing->publisher, flt);
}

static int open_staging(struct publishing *publishing, struct fault *flt)
{
	struct registry *registry = publishing->registry;
	int r = staging_open(publishing->warg->texts.state_dir, trust_label(registry_trust(registry)),
			     registry_store(registry), &publishing->staging, flt);

	return r ? r : staging_take_hold(publishing->staging, &publishing->hold, flt);
}

/* What could not be looked through is left to the next time. */
static void release(struct publishing *publishing)
{
	publisher_close(publishing->publisher);
	pending_release(&publishing->what);
	if (!publishing->staging)
		return;
	staging_end_hold(&publishing->hold);
	staging_sweep(publishing->staging, registry_store(publishing->warg->home), NULL);
	staging_close(publishing->staging);
}

static int publish(struct publishing *publishing, struct pending_entry *entry, int fd, struct fault *flt)
{
	const struct door_watch watch = {.what = "publish", .measure = measure, .stop = stop, .user = publishing};
	int r = check_file(fd, flt);

	if (!r)
		r = door_find_registry(publishing->warg, name_namespace(&publishing->what.name), true,
				       &publishing->registry, flt);
	if (!r)
		r = open_staging(publishing, flt);
	if (!r)
		r = stage(publishing, fd, &entry->content, flt);
	if (!r)
		r = pending_add(&publishing->what, entry, flt);
	if (!r)
		r = open_publisher(publishing, flt);
	return r ? r : door_run(publishing->warg, &watch, submit, publishing, flt);
}

static int read_entry(const char *version, struct pending_entry *out, struct fault *flt)
{
	struct semver parsed;
	int r = door_need(version && !semver_parse(span_of_text(version), &parsed, NULL),
			  "a full version, such as 1.0.0,", flt);

	out->type = ENTRY_RELEASE;
	if (!r)
		snprintf(out->version, sizeof(out->version), "%s", version);
	return r;
}

int warg_publish(struct warg *warg, const char *package, const char *version, int fd, char record[WARG_DIGEST_SIZE])
{
	static const struct digest none;
	struct publishing publishing = {.warg = warg, .hold = {.fd = -1}};
	struct pending_entry entry = {0};
	struct fault flt = {0};
	struct name name;
	int r = door_need(warg && fd >= 0, "a handle and a descriptor", &flt);

	if (record)
		record[0] = 0;
	if (!r && warg->is_offline)
		r = door_need(false, "a handle that is not offline", &flt);
	if (!r)
		r = door_read_name(package, &name, &flt);
	if (!r)
		r = read_entry(version, &entry, &flt);
	if (!r) {
		pending_init(&publishing.what, &name);
		r = publish(&publishing, &entry, fd, &flt);
		release(&publishing);
	}
	if (record && !digest_equals(&publishing.result.record_id, &none))
		digest_format(&publishing.result.record_id, record);
	return door_return(r, &flt);
}
