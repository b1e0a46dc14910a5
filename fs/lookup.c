/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Finding names and answering stat(): lookup, getattr, readlink, forget.
 *
 * A lookup never waits for a size: while it waits the kernel lets nobody else look up the same name, not even to be
 * killed. It answers with a size that holds for no time, so that stat() asks for it by getattr, where each waits
 * alone. Nor does it wait for a document's text: that is made for who asks for its size, or reads.
 */
#include "max_age.h"
#include "document.h"
#include "links.h"
#include "operations.h"
#include "reading.h"
#include "receipt.h"
#include "repeat.h"
#include "draft.h"
#include "times.h"
#include "transaction.h"
#include "tree.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/*
 * An absence that is proven holds until the invalidation thread takes it back; any other is asked again. The
 * invalidation thread does not know which requirements were asked for and met by nothing, nor what is written through
 * other mounts.
 */
static double absence_timeout(const struct request *request, enum tree_answer answer)
{
	if (answer != TREE_NO || request->path.kind == PATH_REQUIREMENT || request->mount->staging)
		return 0;
	return max_age_timeout(request->mount, &request->path);
}

static void reply_absent(struct request *request, double timeout)
{
	const struct fuse_entry_param nothing = { .entry_timeout = timeout };

	request_settle(request);
	fuse_reply_entry(request->fuse, &nothing);
	request_free(request);
}

/* What is there stays there, but for where links lead to. */
static bool may_change(const struct path *path)
{
	return path_type(path->kind) == S_IFLNK;
}

static void reply_entry(struct request *request, const struct view *view)
{
	const struct package_release *release = tree_release(view, &request->path);
	struct mount *mount = request->mount;
	struct node *node = nodes_enter(mount->nodes, &request->path, release ? &release->content : NULL);
	double timeout = may_change(&request->path) ? max_age_timeout_of_link(mount, &request->path) : MOUNT_FOREVER;

	/* The next one who opens a document gets another text. */
	request_reply_entry(request, node, path_is_document(request->path.kind) ? 0 : timeout);
}

/*
 * The package's own log is the shorter way to know whether it is there. Where it is said not to be, or does not verify,
 * the listing may still have it: then it is shown, for its folder to say what is wrong. Where no listing can tell, the
 * registry's word is all that can be had.
 */
static void ask_for_package(struct request *request)
{
	struct name name = path_package(&request->path);
	bool of_package = path_is_called_package(request->path.kind);
	bool is_for_listing = request->fault.kind == FAULT_ABSENT || request->fault.kind == FAULT_FORGED;

	if (of_package && is_for_listing && !request_has_wanted(request, REQUEST_LISTING))
		request_want_listing(request);
	else if (of_package && request_has_wanted(request, REQUEST_PACKAGE) && !request->fault.verdict)
		reply_absent(request, 0);
	else
		request_want_package(request, &name);
}

static void answer_lookup(struct request *request, const struct view *view, enum tree_answer answer)
{
	switch (answer) {
	case TREE_YES:
		reply_entry(request, view);
		break;
	case TREE_NO:
	case TREE_UNSEEN:
		reply_absent(request, absence_timeout(request, answer));
		break;
	case TREE_DOUBT:
		request_fail_with(request, view_package_fault(tree_package(view, &request->path)));
		break;
	case TREE_ASK_LISTING:
		request_want_listing(request);
		break;
	case TREE_ASK_PACKAGE:
		ask_for_package(request);
		break;
	}
}

/* Whether the answer is a question as yet. To ask it tells nothing, and what the cache proves may answer it. */
static bool is_question(const struct request *request, enum tree_answer answer)
{
	return (answer == TREE_ASK_PACKAGE && !request_has_wanted(request, REQUEST_PACKAGE)) ||
	       (answer == TREE_ASK_LISTING && !request_has_wanted(request, REQUEST_LISTING));
}

/*
 * What was written here is found where the registry has nothing of that name, or cannot tell, and a folder that was
 * made here before it is asked. @return whether that was the answer
 */
static bool find_staged(struct request *request, const struct view *view, enum tree_answer answer)
{
	bool is_file = path_as_draft(&request->path, &(struct path){0});
	struct name name;

	if (!request->mount->staging || answer == TREE_YES)
		return false;
	if (is_file && answer == TREE_ASK_PACKAGE && !request->fault.verdict) {
		name = path_package(&request->path);
		if (tree_has_package(view, &name) != TREE_NO)
			return false;
	}
	if (draft_reply_entry(request))
		return true;
	/* In a folder that was made here there is nothing else. */
	if (!is_file || answer != TREE_ASK_PACKAGE || (request->fault.verdict && request->fault.kind != FAULT_ABSENT))
		return false;
	reply_absent(request, 0);
	return true;
}

static void attempt_lookup_in_view(struct request *request)
{
	struct view *view = registry_view(request->registry);
	bool is_told = request->is_elsewhere && !path_has_package(request->path.kind);
	enum tree_answer answer = is_told ? TREE_YES : tree_has(view, &request->path);
	struct node *repeat = repeat_find(request);

	if (repeat)
		request_reply_entry(request, repeat, 0);
	if (repeat || find_staged(request, view, answer)) {
		view_unref(view);
		return;
	}
	if ((answer == TREE_YES && !may_change(&request->path)) || is_question(request, answer) ||
	    max_age_allows(request))
		answer_lookup(request, view, answer);
	view_unref(view);
}

static void attempt_lookup(struct request *request)
{
	if (links_reply_entry(request)) {
		return;
	} else if (request->path.kind == PATH_STAGED || path_is_inner(request->path.kind)) {
		if (!draft_reply_entry(request))
			reply_absent(request, 0);
	} else if (request->path.kind == PATH_RECEIPT) {
		receipt_attempt_lookup(request);
	} else if (path_is_for_writing(request->path.kind)) {
		transaction_attempt_lookup(request);
	} else {
		attempt_lookup_in_view(request);
	}
}

void operations_lookup(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
	struct mount *mount = fuse_req_userdata(fuse);
	struct node *folder = nodes_find(mount->nodes, parent);
	struct request request = { .attempt = attempt_lookup };
	bool can_be = false;

	metrics_count(&mount->metrics, METRICS_LOOKUP);
	if (folder) {
		struct path path = node_path(folder);

		can_be = path_child(&path, name, &request.path) &&
			 (mount->staging || !path_is_for_writing(request.path.kind));
	}
	nodes_unref(mount->nodes, folder);
	if (can_be) {
		request_begin(fuse, parent, &request);
	} else {
		/* For good: no registry can have such a name. */
		const struct fuse_entry_param nothing = { .entry_timeout = MOUNT_FOREVER };

		fuse_reply_entry(fuse, &nothing);
	}
}

void operations_forget(fuse_req_t fuse, fuse_ino_t number, uint64_t count)
{
	struct mount *mount = fuse_req_userdata(fuse);

	nodes_forget(mount->nodes, number, count);
	fuse_reply_none(fuse);
}

void operations_forget_multi(fuse_req_t fuse, size_t count, struct fuse_forget_data *forgets)
{
	struct mount *mount = fuse_req_userdata(fuse);

	for (size_t i = 0; i < count; i++)
		nodes_forget(mount->nodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(fuse);
}

/*
 * The first stat() of a file in a folder that was just listed is taken for the first of many: sizes of the files
 * beside it are asked for side by side. `ls` alone asks for none.
 */
static void prefetch_beside(struct mount *mount, const struct view *view, const struct path *path)
{
	struct registry *registry = mount_registry(mount, path);
	struct content *content = registry ? registry_content(registry) : NULL;
	struct path folder = path_parent(path);
	struct node *node = nodes_find_path(mount->nodes, &folder, NULL);
	struct tree_entries entries = {0};
	struct digest *digests = NULL;
	size_t count = 0;

	if (content && node && atomic_exchange(&node->listed, false) && tree_list(view, &folder, &entries, NULL) == 0)
		digests = calloc(entries.count + 1, sizeof(*digests));
	for (size_t i = 0; digests && i < entries.count; i++) {
		const struct package_release *release = entries.entries[i].release;
		uint64_t size;

		if (release && !content_find_size(content, &release->content, &size))
			digests[count++] = release->content;
	}
	if (count)
		content_prefetch_sizes(content, digests, count);
	free(digests);
	tree_entries_release(&entries);
	nodes_unref(mount->nodes, node);
}

static void reply_attributes(struct request *request)
{
	struct view *view = registry_view(request->registry);
	struct stat stat;
	double timeout = mount_attributes(request->mount, view, request->node, &stat);

	view_unref(view);
	if (timeout)
		reading_told_size(request);
	else if (request->lacks_time)
		timeout = TIMES_UNKNOWN_SECONDS;
	request_settle(request);
	fuse_reply_attr(request->fuse, &stat, timeout);
	request_free(request);
}

static void answer_with_true_size(struct request *request)
{
	struct content_file *content = reading_content(request);

	if (!content)
		return;
	content_file_unref(content);
	reply_attributes(request);
}

static void want_size(struct request *request)
{
	struct view *view = registry_view(request->registry);

	prefetch_beside(request->mount, view, &request->path);
	view_unref(view);
	request_want_size(request, node_content(request->node));
}

/* Whether the size was requested, and the sources gave none, or an impossible one. */
static bool has_no_claim(const struct request *request)
{
	return request_has_wanted(request, REQUEST_SIZE) && request->fault.party == FAULT_BY_SOURCE &&
	       (request->fault.kind == FAULT_LIMIT || request->fault.kind == FAULT_REFUSED);
}

/*
 * The size could not be found out. stat() returns a size that no content has instead of an error, so that the name
 * exists with all its attributes, the reason among them, and only reading fails.
 */
static void answer_without_size(struct request *request)
{
	mount_tell(request->mount, request->node, &request->fault);
	reply_attributes(request);
}

/*
 * Never believe a claimed size of 0: a program would not read the file at all. Without a plausible claim only the
 * content itself gives the size.
 */
static void answer_of_release(struct request *request)
{
	const struct node *node = request->node;
	uint64_t size = 0;
	bool is_claimed = content_find_size(registry_content(request->registry), node_content(node), &size);

	if (atomic_load(&node->verified) || (size && !request->is_to_be_read))
		reply_attributes(request);
	else if (request->is_to_be_read)
		answer_with_true_size(request);
	else if (!is_claimed && !request_has_wanted(request, REQUEST_SIZE))
		want_size(request);
	else if ((is_claimed || has_no_claim(request)) && !request_has_wanted(request, REQUEST_CONTENT))
		answer_with_true_size(request);
	else if (request->fault.verdict)
		answer_without_size(request);
	else
		answer_with_true_size(request);
}

void operations_answer_attributes(struct request *request)
{
	enum path_kind kind = request->node->kind;

	if (kind == PATH_RELEASE)
		answer_of_release(request);
	else if (path_is_document(kind) && !document_text(request))
		return;
	else if (path_type(kind) == S_IFREG || !times_want(request))
		reply_attributes(request);
}

void operations_getattr(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file)
{
	/* The kernel names the file to somebody who reads or seeks, but not where it answers stat() or fstat(). */
	const struct request request = { .attempt = operations_answer_attributes, .is_to_be_read = file };
	struct mount *mount = fuse_req_userdata(fuse);

	metrics_count(&mount->metrics, METRICS_GETATTR);
	request_begin(fuse, number, &request);
}

static void attempt_readlink(struct request *request)
{
	struct view *view = registry_view(request->registry);
	char target[PATH_SIZE];

	if (max_age_allows(request)) {
		bool found = tree_link(view, &request->path, target) ||
			     links_target(request->mount, &request->path, target);

		request_settle(request);
		if (found)
			fuse_reply_readlink(request->fuse, target);
		else
			fuse_reply_err(request->fuse, ENOENT);
		request_free(request);
	}
	view_unref(view);
}

void operations_readlink(fuse_req_t fuse, fuse_ino_t number)
{
	const struct request request = { .attempt = attempt_readlink };
	struct mount *mount = fuse_req_userdata(fuse);

	metrics_count(&mount->metrics, METRICS_READLINK);
	request_begin(fuse, number, &request);
}
