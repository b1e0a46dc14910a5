/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The texts of documents (see document.h).
 */
#include "document.h"

#include "client/store/store_state.h"
#include "receipt.h"
#include "status.h"
#include "timestamp.h"
#include "tree.h"

#include <inttypes.h>

static int end_line(int verdict, struct buf *out, struct fault *flt)
{
	return verdict ? verdict : buf_append_text(out, "\n", flt);
}

/* ---- As the reference's state files ---- */

static int render_operator(struct mount *mount, const struct view *view, const struct path *path, struct buf *out,
			   struct fault *flt)
{
	const struct store_state state = {
		.position = view->operator_position,
		.has_checkpoint = true,
		.checkpoint = view->checkpoint.contents,
	};

	if (!view->operator)
		return fault_undecided(flt, FAULT_ABSENT, "the operator's log is not known yet");
	return store_state_render_operator(view->operator, registry_url(mount_registry(mount, path))->label, &state,
					   out, flt);
}

/* At the checkpoint at which it was proven: what is known of an older one is its length. */
static int render_log(struct mount *mount, const struct view *view, const struct path *path, struct buf *out,
		      struct fault *flt)
{
	const struct view_package *package = tree_package(view, path);
	struct store_state state = { .checkpoint = view->checkpoint.contents };

	if (!package)
		return fault_undecided(flt, FAULT_ABSENT, "the package's log is not known yet");
	state.position = view_package_position(package);
	state.has_checkpoint = view_package_is_current(package);
	return store_state_render_package(package->log, registry_url(mount_registry(mount, path))->label, &state, out,
					  flt);
}

/* ---- A version that was yanked ---- */

static int put_time(struct buf *out, const char *label, struct record_time time, struct fault *flt)
{
	char text[TIMESTAMP_SIZE];

	timestamp_format(time, text);
	return buf_append_format(out, flt, "%s: %s\n", label, text);
}

static int put_digest(struct buf *out, const char *label, const struct digest *digest, struct fault *flt)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	return buf_append_format(out, flt, "%s: %s\n", label, text);
}

static int render_yanked(const struct view *view, const struct path *path, struct buf *out, struct fault *flt)
{
	const struct package_release *release = tree_release(view, path);
	int verdict;

	if (!release || !release->yank)
		return fault_undecided(flt, FAULT_ABSENT, "it is not known to be yanked");
	verdict = buf_append_format(out, flt, "package: %s\nversion: %s\n", path_package(path).text, release->version);
	if (!verdict)
		verdict = put_digest(out, "yanked-by", &release->yank->by, flt);
	if (!verdict)
		verdict = put_time(out, "yanked-at", release->yank->at, flt);
	if (!verdict)
		verdict = put_digest(out, "released-by", &release->by, flt);
	if (!verdict)
		verdict = put_time(out, "released-at", release->time, flt);
	return verdict ? verdict : put_digest(out, "record", &release->record_id, flt);
}

/* ---- Metrics, in the text format of Prometheus; man/wargfs-mount.1 lists them ---- */

#define PREFIX "wargfs_mount_"

static int put_head(struct buf *out, const char *name, const char *type, const char *help, struct fault *flt)
{
	return buf_append_format(out, flt, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static int put_operations(const struct metrics *metrics, struct buf *out, struct fault *flt)
{
	int verdict = put_head(out, "requests_total", "counter", "Requests of the kernel, by operation.", flt);

	for (int i = 0; !verdict && i < METRICS_OPERATIONS; i++)
		verdict = buf_append_format(out, flt, PREFIX "requests_total{operation=\"%s\"} %" PRIu64 "\n",
					    metrics_operation_name(i), metrics_get(&metrics->operations[i]));
	return verdict;
}

static int put_faults(const struct metrics *metrics, struct buf *out, struct fault *flt)
{
	int verdict = put_head(out, "faults_total", "counter", "Faults, by kind.", flt);

	for (int i = FAULT_NONE + 1; !verdict && i <= FAULT_SYSTEM; i++)
		verdict = buf_append_format(out, flt, PREFIX "faults_total{kind=\"%s\"} %" PRIu64 "\n",
					    fault_kind_name(i), metrics_get(&metrics->faults[i]));
	return verdict;
}

struct metric {
	const char *name, *type; /* name NULL: it is not known, and left out */
	uint64_t value;
	const char *help;
};

static int put_metrics(const struct metric *metrics, size_t count, struct buf *out, struct fault *flt)
{
	int verdict = 0;

	for (const struct metric *each = metrics; !verdict && each < metrics + count; each++) {
		if (!each->name)
			continue;
		verdict = put_head(out, each->name, each->type, each->help, flt);
		if (!verdict)
			verdict = buf_append_format(out, flt, PREFIX "%s %" PRIu64 "\n", each->name, each->value);
	}
	return verdict;
}

static int put_contents(struct mount *mount, struct buf *out, struct fault *flt)
{
	struct content_counters contents;

	content_count(registry_content(mount_registry(mount, NULL)), &contents);
	const struct metric metrics[] = {
		{"read_bytes_total", "counter", metrics_get(&mount->metrics.bytes_read), "Bytes that were read."},
		{"cache_hits_total", "counter", contents.cache_hits, "Contents that were in the cache when wanted."},
		{"cache_misses_total", "counter",
		 contents.downloads_done + contents.downloads_failed + contents.downloads_running,
		 "Contents that were not."},
		{"downloads_total", "counter", contents.downloads_done, "Contents that were downloaded."},
		{"downloads_failed_total", "counter", contents.downloads_failed, "Downloads that failed."},
		{"downloads_running", "gauge", contents.downloads_running, "Downloads that run now."},
		{"received_bytes_total", "counter", contents.bytes_received, "Bytes of contents that were received."},
	};

	return put_metrics(metrics, sizeof(metrics) / sizeof(metrics[0]), out, flt);
}

static int put_view(struct mount *mount, const struct view *view, struct buf *out, struct fault *flt)
{
	const struct freshness_now now = freshness_now();
	uint64_t age = 0, verified = 0;
	bool knows_age, was_verified;
	struct freshness freshness;

	registry_freshness(mount_registry(mount, NULL), &freshness);
	knows_age = freshness_age(&freshness, now, &age);
	was_verified = freshness_verified(&freshness, now, &verified);
	const struct metric metrics[] = {
		{"checkpoint_length", "gauge", view->checkpoint.contents.log_length,
		 "Records in the log at the checkpoint that is shown."},
		{knows_age ? "checkpoint_age_seconds" : NULL, "gauge", age, "Since that checkpoint was signed."},
		{was_verified ? "checkpoint_verified_age_seconds" : NULL, "gauge", verified,
		 "Since the registry last proved it to be its newest."},
		{"packages_known", "gauge", view->packages.count, "Packages whose logs are loaded."},
		{"packages_listed", "gauge", view->listing ? view->listing->names.count : 0,
		 "Packages in the registry's listing; 0 before it was listed."},
		{"uptime_seconds", "gauge", (uint64_t)(clock_now() - mount->started_at) / 1000,
		 "Since the mount began."},
	};

	return put_metrics(metrics, sizeof(metrics) / sizeof(metrics[0]), out, flt);
}

static int render_metrics(struct mount *mount, const struct view *view, struct buf *out, struct fault *flt)
{
	int verdict = put_operations(&mount->metrics, out, flt);

	if (!verdict)
		verdict = put_faults(&mount->metrics, out, flt);
	if (!verdict)
		verdict = put_contents(mount, out, flt);
	return verdict ? verdict : put_view(mount, view, out, flt);
}

int document_render(struct mount *mount, const struct view *view, const struct path *path, struct buf *out,
		    struct fault *flt)
{
	switch (path->kind) {
	case PATH_STATUS:
		return end_line(status_render(mount, out, flt), out, flt);
	case PATH_CHECKPOINT:
		return end_line(checkpoint_json_render(&view->checkpoint, out, flt), out, flt);
	case PATH_OPERATOR:
		return end_line(render_operator(mount, view, path, out, flt), out, flt);
	case PATH_LOG:
		return end_line(render_log(mount, view, path, out, flt), out, flt);
	case PATH_METRICS:
		return render_metrics(mount, view, out, flt);
	case PATH_RECEIPT:
		return receipt_render(mount, path, out, flt);
	case PATH_YANKED_VERSION:
		return render_yanked(view, path, out, flt);
	default:
		return fault_undecided(flt, FAULT_MISUSE, "%s is no document", path->text);
	}
}

/* ---- A node's text ---- */

/* Takes over the text, which was made with this verdict. */
static const struct buf *keep(struct request *request, struct buf *text, int verdict, struct fault *flt)
{
	const struct buf *kept = NULL;

	if (verdict) {
		buf_release(text);
	} else {
		kept = node_set_document(request->node, text);
		if (!kept)
			fault_no_memory(flt);
	}
	if (kept)
		nodes_set_error(request->mount->nodes, request->node, NULL);
	else
		request_fail_with(request, flt);
	return kept;
}

static const struct buf *render(struct request *request, const struct view *view)
{
	struct fault flt = {0};
	struct buf text;
	int verdict;

	buf_init(&text, DOCUMENT_MOST);
	verdict = document_render(request->mount, view, &request->path, &text, &flt);
	return keep(request, &text, verdict, &flt);
}

static const struct buf *copy_proof(struct request *request, const struct registry_proof *proof)
{
	struct fault flt = {0};
	struct buf text;
	int verdict;

	buf_init(&text, DOCUMENT_MOST);
	verdict = buf_append(&text, buf_span(&proof->text), &flt);
	return keep(request, &text, verdict, &flt);
}

/*
 * A proof of the view's checkpoint. One that was made for this request will do, also where the view has moved on since.
 */
static const struct buf *find_proof(struct request *request, const struct view *view)
{
	uint64_t least = request_has_wanted(request, REQUEST_PROOF) ? 0 : view->checkpoint.contents.log_length;
	struct name name = path_package(&request->path);
	struct registry_proof *proof = NULL;
	char version[CAP_VERSION + 1];
	const struct buf *text = NULL;

	path_version(&request->path, version);
	if (!request->fault.verdict)
		proof = registry_find_proof(request->registry, &name, version, least);
	if (proof)
		text = copy_proof(request, proof);
	else
		request_want_proof(request, &name, version);
	registry_proof_unref(proof);
	return text;
}

const struct buf *document_text(struct request *request)
{
	const struct buf *text = node_document(request->node);
	struct view *view;
	struct name name;

	if (text)
		return text;
	atomic_store(&request->node->asked, true);
	view = registry_view(request->registry);
	if (request->path.kind != PATH_RECEIPT && path_has_package(request->path.kind) &&
	    !tree_package(view, &request->path)) {
		name = path_package(&request->path);
		request_want_package(request, &name);
	} else if (request->path.kind == PATH_PROOF) {
		text = find_proof(request, view);
	} else {
		text = render(request, view);
	}
	view_unref(view);
	return text;
}
