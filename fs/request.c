/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Requests that wait (see request.h).
 */
#include "request.h"

#include "federated.h"
#include "errmap.h"
#include "misnamed.h"

#include <errno.h>
#include <stdlib.h>

/* The registry was opened, or not. */
static void take_registry(struct request *request)
{
	if (!request->fault.verdict)
		request->registry = mount_registry(request->mount, &request->path);
	if (request->registry)
		request->attempt(request);
	else if (request->fault.verdict)
		request_fail_with(request, &request->fault);
	else
		request_fail(request, EIO);
}

static void finished(struct waiter *waiter, int verdict, const struct fault *flt)
{
	struct request *request = (struct request *)waiter;

	request->fault = (struct fault){0};
	if (verdict)
		request->fault = *flt;
	if (verdict && flt->kind == FAULT_CANCELLED)
		request_fail(request, errmap_errno(flt));
	else if (!request->registry)
		take_registry(request);
	else
		request->attempt(request);
}

/*
 * Called with the request's lock held. What did not wait any more is being attempted again on another thread, or has
 * not joined yet: then its next wait ends at once, as cancelled.
 *
 * Replying here is safe: libfuse counts a reference of its own while it runs this for an interrupt that arrived.
 * Where it runs it at once from fuse_req_interrupt_func(), the waiter has never joined, and nothing is replied here.
 */
static void interrupted(fuse_req_t fuse, void *data)
{
	struct request *request = data;

	if (!federation_leave(request->mount->federation, &request->waiter))
		return;
	fuse_reply_err(fuse, EINTR);
	request_free(request);
}

/* @return whether to go on; otherwise the request has failed */
static bool begin_to_want(struct request *request, enum request_want want)
{
	if (request->wanted & (unsigned)want) {
		if (request->fault.verdict)
			request_fail_with(request, &request->fault);
		else
			request_fail(request, EIO);
		return false;
	}
	request->wanted |= (unsigned)want;
	if (!request->can_be_interrupted) {
		request->can_be_interrupted = true;
		fuse_req_interrupt_func(request->fuse, interrupted, request);
	}
	return true;
}

/* Attempt it, once the registry is there that it needs. */
static void attempt_there(struct request *request)
{
	struct mount *mount = request->mount;
	struct namespaces_place place;
	struct fault flt = {0};

	if (federated_find(mount, &request->path, &place, &flt)) {
		request_fail_with(request, &flt);
		return;
	}
	request->is_elsewhere = place.domain[0];
	request->registry = federation_registry(mount->federation, place.domain);
	if (!request->registry && !request->needs_registry && !path_has_package(request->path.kind))
		request->registry = mount->registry;
	if (request->registry)
		request->attempt(request);
	else if (begin_to_want(request, REQUEST_REGISTRY))
		federation_want_registry(mount->federation, place.domain, &request->waiter);
}

void request_begin(fuse_req_t fuse, uint64_t number, const struct request *request)
{
	struct mount *mount = fuse_req_userdata(fuse);
	struct node *node = nodes_find(mount->nodes, number);
	struct request *own = node ? malloc(sizeof(*own)) : NULL;

	if (!own) {
		nodes_unref(mount->nodes, node);
		fuse_reply_err(fuse, node ? ENOMEM : EIO);
		return;
	}
	*own = *request;
	own->fuse = fuse;
	own->mount = mount;
	own->node = node;
	own->guesses = atomic_load(&node->guesses);
	if (own->path.kind == PATH_ROOT)
		own->path = node_path(node);
	own->waiter.done = finished;
	own->waiter.deadline = registry_deadline(mount->registry);
	attempt_there(own);
}

static int tell_misnamed(struct mount *mount, struct node *folder, const char *name, int errnum)
{
	const struct path path = node_path(folder);
	struct fault flt = {0};

	errnum = misnamed_in(&path, name, errnum, &flt);
	mount_tell(mount, folder, &flt);
	return errnum;
}

void request_begin_in(fuse_req_t fuse, uint64_t folder, const char *name, int errnum, const struct request *request)
{
	struct mount *mount = fuse_req_userdata(fuse);
	struct node *node = nodes_find(mount->nodes, folder);
	struct request own = *request;
	struct path path = path_root();

	if (node)
		path = node_path(node);
	if (node && path_child(&path, name, &own.path))
		request_begin(fuse, folder, &own);
	else
		fuse_reply_err(fuse, node && errnum != ENOENT ? tell_misnamed(mount, node, name, errnum) : errnum);
	nodes_unref(mount->nodes, node);
}

void request_want_listing(struct request *request)
{
	if (begin_to_want(request, REQUEST_LISTING))
		registry_want_listing(request->registry, &request->waiter);
}

void request_want_package(struct request *request, const struct name *name)
{
	if (begin_to_want(request, REQUEST_PACKAGE))
		registry_want_package(request->registry, name, &request->waiter);
}

void request_want_spare(struct request *request, enum request_want want, const struct name *names, size_t count)
{
	if (begin_to_want(request, want))
		registry_want_spare(request->registry, names, count, &request->waiter);
}

void request_want_size(struct request *request, const struct digest *content)
{
	if (begin_to_want(request, REQUEST_SIZE))
		content_fetch_size(registry_content(request->registry), content, &request->waiter);
}

void request_want_content(struct request *request, const struct digest *content)
{
	request->waiter.deadline = CLOCK_NEVER;
	if (begin_to_want(request, REQUEST_CONTENT))
		content_fetch(registry_content(request->registry), content, &request->waiter);
}

void request_want_refresh(struct request *request)
{
	if (begin_to_want(request, REQUEST_REFRESH))
		registry_want_refresh(request->registry, &request->waiter);
}

void request_want_proof(struct request *request, const struct name *name, const char *version)
{
	if (begin_to_want(request, REQUEST_PROOF))
		registry_want_proof(request->registry, name, version, &request->waiter);
}

void request_want_chore(struct request *request, enum request_want want, struct blocking_job *blocking_job)
{
	if (!blocking_job) {
		request_fail(request, ENOMEM);
		return;
	}
	blocking_job_unref(request->blocking_job);
	request->blocking_job = blocking_job;
	/* It ends by itself: what takes long is what is sent and made progress. */
	request->waiter.deadline = CLOCK_NEVER;
	if (begin_to_want(request, want))
		blocking_job_begin(blocking_job, &request->waiter);
}

void request_join_chore(struct request *request, enum request_want want, struct blocking_job *blocking_job)
{
	blocking_job_unref(request->blocking_job);
	request->blocking_job = blocking_job_ref(blocking_job);
	request->waiter.deadline = CLOCK_NEVER;
	if (begin_to_want(request, want))
		blocking_job_join(blocking_job, &request->waiter);
}

bool request_has_wanted(const struct request *request, enum request_want want)
{
	return request->wanted & (unsigned)want;
}

void request_reply_entry(struct request *request, struct node *node, double timeout)
{
	struct fuse_entry_param entry = { .entry_timeout = timeout };
	struct mount *mount = request->mount;
	struct view *view;

	if (!node) {
		request_fail(request, ENOMEM);
		return;
	}
	view = registry_view(request->registry);
	entry.ino = node->number;
	entry.attr_timeout = mount_attributes(mount, view, node, &entry.attr);
	view_unref(view);
	nodes_look_up(mount->nodes, node);
	request_settle(request);
	if (fuse_reply_entry(request->fuse, &entry) < 0)
		nodes_forget(mount->nodes, node->number, 1);
	nodes_unref(mount->nodes, node);
	request_free(request);
}

void request_succeed(struct request *request)
{
	request_settle(request);
	fuse_reply_err(request->fuse, 0);
	request_free(request);
}

void request_settle(struct request *request)
{
	if (request->can_be_interrupted)
		fuse_req_interrupt_func(request->fuse, NULL, NULL);
	request->can_be_interrupted = false;
}

void request_free(struct request *request)
{
	nodes_unref(request->mount->nodes, request->node);
	nodes_unref(request->mount->nodes, request->other);
	blocking_job_unref(request->blocking_job);
	free(request);
}

void request_fail(struct request *request, int errnum)
{
	request_settle(request);
	fuse_reply_err(request->fuse, errnum);
	request_free(request);
}

void request_fail_with(struct request *request, const struct fault *flt)
{
	mount_tell(request->mount, request->node, flt);
	request_fail(request, errmap_errno(flt));
}
