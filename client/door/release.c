/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Releases: found, fetched, and with the document that proves them (see warg.h).
 */
#include "door.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/file.h"
#include "verify/release_choice.h"

#define PIECE (256 << 10) /* bytes that are read, hashed and written at a time */

void door_fill_release(const struct name *name, const struct package_release *release, const char *registry,
		       struct door_release *out)
{
	static const struct digest unknown;
	bool has_digest = !digest_equals(&release->content, &unknown);

	*out = (struct door_release){
		.release = {
			.package = out->package, .version = out->version, .digest = has_digest ? out->digest : NULL,
			.record = out->record, .released_by = out->released_by, .released_at = release->time.seconds,
			.registry = out->registry,
		},
	};
	snprintf(out->package, sizeof(out->package), "%s", name->text);
	snprintf(out->version, sizeof(out->version), "%s", release->version);
	snprintf(out->registry, sizeof(out->registry), "%s", registry);
	digest_format(&release->content, out->digest);
	digest_format(&release->record_id, out->record);
	digest_format(&release->by, out->released_by);
	if (!release->yank)
		return;
	digest_format(&release->yank->by, out->yanked_by);
	out->release.yanked_by = out->yanked_by;
	out->release.yanked_at = release->yank->at.seconds;
}

void warg_release_free(struct warg_release *release)
{
	free(release);
}

/* ---- Finding ---- */

static int resolve(struct warg *warg, const struct name *name, const char *requirement, struct door_release **out,
		   struct fault *flt)
{
	const struct package_release *release = NULL;
	const struct view_package *package;
	struct door_release *made;
	struct registry *registry;
	struct view *view;
	int r = door_bring_package(warg, name, &registry, &view, &package, flt);

	if (r)
		return r;
	r = release_choose(package->log, requirement, &release, flt);
	made = r ? NULL : malloc(sizeof(*made));
	if (!r && !made)
		r = fault_no_memory(flt);
	if (!r) {
		door_fill_release(name, release, federation_name_of(warg->federation, registry), made);
		*out = made;
	}
	view_unref(view);
	return r;
}

int warg_resolve(struct warg *warg, const char *package, const char *requirement, struct warg_release **out)
{
	struct door_release *release;
	struct fault flt = {0};
	struct name name;
	int r = door_need(warg && out, "a handle, and a place for the release,", &flt);

	if (!r)
		r = door_read_name(package, &name, &flt);
	if (!r)
		r = door_need(!requirement || strlen(requirement) < CAP_REQUIREMENT, "a requirement of a usual length",
			      &flt);
	if (!r)
		r = resolve(warg, &name, requirement, &release, &flt);
	if (!r)
		*out = &release->release;
	return door_return(r, &flt);
}

/* ---- Fetching ---- */

/* A content on its way here, and then to the caller's descriptor. */
struct transfer {
	struct content *content;
	struct digest digest;
	uint64_t before; /* bytes that were received before this download */
	uint64_t written, size; /* of the second way; size 0: the first */
};

static void measure(void *user, struct warg_progress *out)
{
	struct content_counters counters;
	struct transfer *transfer = user;

	if (transfer->size) {
		out->done = transfer->written;
		out->whole = transfer->size;
		return;
	}
	content_count(transfer->content, &counters);
	out->done = counters.bytes_received - transfer->before;
	if (!content_find_size(transfer->content, &transfer->digest, &out->whole) || out->whole < out->done)
		out->whole = 0;
}

static int bring_content(const struct warg *warg, struct transfer *transfer, struct content_file **out,
			 struct fault *flt)
{
	const struct door_watch watch = {.what = "content", .measure = measure, .user = transfer};
	struct content_counters counters;
	struct door_wait wait;
	int r;

	content_count(transfer->content, &counters);
	transfer->before = counters.bytes_received;
	r = door_ask(warg, &watch, flt);
	if (r)
		return r;
	door_wait_init(&wait, CLOCK_NEVER);
	content_fetch(transfer->content, &transfer->digest, &wait.waiter);
	r = door_wait_end(warg, &wait, &watch, flt);
	if (r)
		return r;
	*out = content_find(transfer->content, &transfer->digest);
	return *out ? 0 : fault_undecided(flt, FAULT_SYSTEM, "the content is gone from the cache again");
}

static int read_piece(const struct content_file *file, uint64_t offset, unsigned char *piece, size_t *length,
		      struct fault *flt)
{
	ssize_t got;

	do
		got = pread(file->fd, piece, PIECE, (off_t)offset);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return fault_system(flt, got ? errno : EIO, "the cached content cannot be read");
	*length = (size_t)got;
	return 0;
}

/* Another program may have written to the cached file since it was hashed, so it is hashed again on its way out. */
static int copy(const struct warg *warg, struct transfer *transfer, const struct content_file *file, int fd,
		unsigned char *piece, struct fault *flt)
{
	const struct door_watch watch = {.what = "content", .measure = measure, .user = transfer};
	struct digest_stream stream;
	struct digest found;
	int r = 0;

	transfer->size = file->size;
	digest_stream_init(&stream);
	while (!r && transfer->written < file->size) {
		struct span bytes = {piece, 0};

		r = door_ask(warg, &watch, flt);
		if (!r)
			r = read_piece(file, transfer->written, piece, &bytes.length, flt);
		if (r)
			break;
		digest_stream_update(&stream, bytes);
		r = file_write_all(fd, bytes, flt);
		transfer->written += bytes.length;
	}
	found = digest_stream_final(&stream);
	if (!r && !digest_equals(&found, &transfer->digest)) {
		r = fault_invalid(flt, "the cached content was changed while it was copied");
		fault_blame(flt, FAULT_BY_CACHE);
	}
	return r;
}

static int fetch(struct warg *warg, const struct name *name, const struct digest *digest, int fd, struct fault *flt)
{
	struct transfer transfer = {.digest = *digest};
	struct content_file *file = NULL;
	struct registry *registry;
	unsigned char *piece;
	int r = door_find_registry(warg, name_namespace(name), false, &registry, flt);

	if (r)
		return r;
	transfer.content = registry_content(registry);
	r = bring_content(warg, &transfer, &file, flt);
	if (r)
		return r;
	piece = malloc(PIECE);
	r = piece ? copy(warg, &transfer, file, fd, piece, flt) : fault_no_memory(flt);
	free(piece);
	content_file_unref(file);
	return r;
}

int warg_fetch(struct warg *warg, const struct warg_release *release, int fd)
{
	struct fault flt = {0};
	struct digest digest;
	struct name name;
	int r = door_need(warg && release && fd >= 0, "a handle, a release and a descriptor", &flt);

	if (!r)
		r = door_read_name(release->package, &name, &flt);
	if (!r)
		r = door_read_digest(release->digest, "the release's content", &digest, &flt);
	if (!r)
		r = fetch(warg, &name, &digest, fd, &flt);
	return door_return(r, &flt);
}

/* ---- Proving ---- */

static int prove(struct warg *warg, const struct name *name, const char *version, int fd, struct fault *flt)
{
	const struct door_watch watch = {.what = "proof"};
	struct registry_proof *proof = NULL;
	const struct view_package *package;
	struct registry *registry;
	struct door_wait wait;
	struct view *view;
	int r = door_bring_package(warg, name, &registry, &view, &package, flt);

	if (!r)
		r = door_ask(warg, &watch, flt);
	else
		return r;
	if (!r) {
		door_wait_init(&wait, registry_deadline(registry));
		registry_want_proof(registry, name, version, &wait.waiter);
		r = door_wait_end(warg, &wait, &watch, flt);
	}
	if (!r) {
		proof = registry_find_proof(registry, name, version, view->checkpoint.contents.log_length);
		r = proof ? file_write_all(fd, buf_span(&proof->text), flt) :
			    fault_undecided(flt, FAULT_SYSTEM, "the document is gone again");
	}
	registry_proof_unref(proof);
	view_unref(view);
	return r;
}

int warg_prove(struct warg *warg, const struct warg_release *release, int fd)
{
	struct semver version;
	struct fault flt = {0};
	struct name name;
	int r = door_need(warg && release && fd >= 0, "a handle, a release and a descriptor", &flt);

	if (!r)
		r = door_read_name(release->package, &name, &flt);
	if (!r)
		r = door_need(release->version && !semver_parse(span_of_text(release->version), &version, NULL),
			      "a version", &flt);
	if (!r)
		r = prove(warg, &name, release->version, fd, &flt);
	return door_return(r, &flt);
}
