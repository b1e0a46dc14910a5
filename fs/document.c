/*
 * The texts of documents (see document.h).
 */
#include "document.h"

#include "client/store_state.h"
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
	state.position = package->position;
	state.has_checkpoint = package->log_length == state.checkpoint.log_length;
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

	if (!release || !release->yanked)
		return fault_undecided(flt, FAULT_ABSENT, "it is not known to be yanked");
	verdict = buf_append_format(out, flt, "package: %s\nversion: %s\n", path_package(path).text, release->version);
	if (!verdict)
		verdict = put_digest(out, "yanked-by", &release->yanked_by, flt);
	if (!verdict)
		verdict = put_time(out, "yanked-at", release->yanked_at, flt);
	if (!verdict)
		verdict = put_digest(out, "released-by", &release->by, flt);
	if (!verdict)
		verdict = put_time(out, "released-at", release->time, flt);
	return verdict ? verdict : put_digest(out, "record", &release->record_id, flt);
}

/* ---- Metrics, in the text format of Prometheus ---- */

static int put_metric(struct buf *out, const char *name, const char *type, uint64_t value, struct fault *flt)
{
	return buf_append_format(out, flt, "# TYPE wargfs_%s %s\nwargfs_%s %" PRIu64 "\n", name, type, name, value);
}

static int put_operations(const struct metrics *metrics, struct buf *out, struct fault *flt)
{
	int verdict = buf_append_text(out, "# TYPE wargfs_requests_total counter\n", flt);

	for (int i = 0; !verdict && i < METRICS_OPERATIONS; i++)
		verdict = buf_append_format(out, flt, "wargfs_requests_total{operation=\"%s\"} %" PRIu64 "\n",
					    metrics_operation_name(i), metrics_get(&metrics->operations[i]));
	return verdict;
}

static int put_faults(const struct metrics *metrics, struct buf *out, struct fault *flt)
{
	int verdict = buf_append_text(out, "# TYPE wargfs_faults_total counter\n", flt);

	for (int i = FAULT_NONE + 1; !verdict && i <= FAULT_SYSTEM; i++)
		verdict = buf_append_format(out, flt, "wargfs_faults_total{kind=\"%s\"} %" PRIu64 "\n",
					    metrics_fault_name(i), metrics_get(&metrics->faults[i]));
	return verdict;
}

static int render_metrics(struct mount *mount, const struct view *view, struct buf *out, struct fault *flt)
{
	const struct freshness_now now = freshness_now();
	uint64_t age = 0, verified = 0;
	bool knows_age, was_verified;
	struct freshness freshness;
	struct content_counters contents;
	int verdict = put_operations(&mount->metrics, out, flt);

	content_count(registry_content(mount_registry(mount, NULL)), &contents);
	registry_freshness(mount_registry(mount, NULL), &freshness);
	knows_age = freshness_age(&freshness, now, &age);
	was_verified = freshness_verified(&freshness, now, &verified);
	const struct {
		const char *name, *type; /* NULL: it is not known, and left out */
		uint64_t value;
	} rows[] = {
		{"read_bytes_total", "counter", metrics_get(&mount->metrics.bytes_read)},
		{"cache_hits_total", "counter", contents.cache_hits},
		{"cache_misses_total", "counter",
		 contents.downloads_done + contents.downloads_failed + contents.downloads_running},
		{"downloads_total", "counter", contents.downloads_done},
		{"downloads_failed_total", "counter", contents.downloads_failed},
		{"downloads_running", "gauge", contents.downloads_running},
		{"received_bytes_total", "counter", contents.bytes_received},
		{"checkpoint_length", "gauge", view->checkpoint.contents.log_length},
		{knows_age ? "checkpoint_age_seconds" : NULL, "gauge", age},
		{was_verified ? "checkpoint_verified_age_seconds" : NULL, "gauge", verified},
		{"packages_known", "gauge", view->package_count},
		{"packages_listed", "gauge", view->listing ? view->listing->count : 0},
		{"uptime_seconds", "gauge", (uint64_t)(clock_now() - mount->started_at) / 1000},
	};
	if (!verdict)
		verdict = put_faults(&mount->metrics, out, flt);
	for (size_t i = 0; !verdict && i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].name)
			verdict = put_metric(out, rows[i].name, rows[i].type, rows[i].value, flt);
	return verdict;
}

int document_render(struct mount *mount, const struct view *view, const struct path *path, struct buf *out,
		    struct fault *flt)
{
	switch (path->kind) {
	case PATH_STATUS:
		return end_line(status_render(mount, out, flt), out, flt);
	case PATH_CHECKPOINT:
		return end_line(store_state_render_checkpoint(&view->checkpoint, out, flt), out, flt);
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
