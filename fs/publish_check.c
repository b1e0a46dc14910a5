/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What is known before something is published (see publish_check.h).
 */
#include "publish_check.h"

#include "errmap.h"
#include "publishing.h"
#include "tree.h"

#include <stdlib.h>

static void fail(struct request *request, const struct path *path, enum fault_kind kind, const char *what)
{
	struct fault flt = {0};

	fault_undecided(&flt, kind, "%s", what);
	publishing_tell(request->mount, path, &flt);
	request_fail(request, errmap_errno(&flt));
}

/* Whether there is a key, and what it may do. */
struct permit {
	struct blocking_job blocking_job;
	struct name name;
};

static int check_key(const struct permit *permit, const struct digest *key_id, struct fault *flt)
{
	struct view *view = registry_view(permit->blocking_job.mount->registry);
	const struct view_package *package = view_find(view, &permit->name);
	const struct log_keys *keys = package ? package_log_keys(package->log) : NULL;
	const struct log_key *key = keys ? log_keys_find(keys, key_id) : NULL;
	bool may = !package || (key && (key->permissions & PERMISSION_RELEASE));
	char id[DIGEST_TEXT_SIZE];

	view_unref(view);
	digest_format(key_id, id);
	return may ? 0 : fault_undecided(flt, FAULT_DENIED, "the key %s may not release versions of %.100s: an owner "
					 "of the package has to grant it (wargfs publish "
					 "grant)", id, permit->name.text);
}

static int run_permit(struct blocking_job *blocking_job, struct fault *flt)
{
	struct permit *permit = (struct permit *)blocking_job;
	struct ecdsa_private_key *key = NULL;
	const struct mount_publishing *publishing = &blocking_job->mount->publishing;
	int verdict = publishing->find_key(publishing->user, &key, flt);

	if (!verdict)
		verdict = check_key(permit, ecdsa_public_key_id(ecdsa_private_key_public(key)), flt);
	ecdsa_private_key_free(key);
	return verdict;
}

static void free_permit(struct blocking_job *blocking_job)
{
	free(blocking_job);
}

static struct blocking_job *new_permit(struct mount *mount, const struct name *name)
{
	struct permit *permit = calloc(1, sizeof(*permit));

	if (!permit)
		return NULL;
	permit->name = *name;
	blocking_job_init(&permit->blocking_job, mount, run_permit, free_permit);
	return &permit->blocking_job;
}

/* What the operator says of a namespace may be news: before it is denied the newest checkpoint is looked at. */
bool publish_check_namespace(struct request *request, const struct path *path)
{
	struct view *view = registry_view(request->mount->registry);
	struct span namespace = path_namespace(path);
	bool is_known = view->operator;
	const struct operator_namespace *defined = is_known ? operator_log_find(view->operator, namespace) : NULL;
	bool is_here = defined && !defined->registry, is_imported = defined && defined->registry;

	view_unref(view);
	if (request->is_elsewhere || is_imported)
		fail(request, path, FAULT_REFUSED, "its namespace lives in another registry: mount that one to publish "
		     "there");
	else if (is_known && !is_here && !request_has_wanted(request, REQUEST_REFRESH))
		request_want_refresh(request);
	else if (is_known && !is_here)
		fail(request, path, FAULT_REFUSED, "there is no such namespace: the registry's operator has to define "
		     "it first");
	else
		return true;
	return false;
}

/* A version that is taken, here or there. */
static bool is_taken(struct request *request, const struct view *view, const struct path *version)
{
	const struct package_release *release = tree_release(view, version);

	if (release && release->yank)
		fail(request, version, FAULT_EXISTS, "this version was released and yanked: it never comes again");
	else if (release)
		fail(request, version, FAULT_EXISTS, "this version is released already");
	else if (publishing_is_claimed(request->mount, version))
		fail(request, version, FAULT_EXISTS, "this version is being published already");
	else
		return false;
	return true;
}

/* The package's log says what is taken, and who may. One that is not there yet has none. */
static bool knows_package(struct request *request, const struct view *view, const struct name *name)
{
	enum tree_answer answer = tree_has_package(view, name);

	if (view_find(view, name) || answer == TREE_NO)
		return true;
	if (!request_has_wanted(request, REQUEST_PACKAGE))
		request_want_package(request, name);
	else if (!request_has_wanted(request, REQUEST_PERMIT) && request->fault.verdict &&
		 request->fault.kind != FAULT_ABSENT)
		request_fail_with(request, &request->fault);
	else
		return true;
	return false;
}

static bool has_permit(struct request *request, const struct path *version, const struct name *name)
{
	struct fault flt = request->fault;

	if (!request_has_wanted(request, REQUEST_PERMIT)) {
		request_want_chore(request, REQUEST_PERMIT, new_permit(request->mount, name));
		return false;
	}
	if (!flt.verdict)
		return true;
	publishing_tell(request->mount, version, &flt);
	request_fail(request, errmap_errno(&flt));
	return false;
}

bool publish_check_version(struct request *request, const struct path *version)
{
	struct name name = path_package(version);
	struct view *view;
	bool goes_on;

	if (!publish_check_namespace(request, version))
		return false;
	view = registry_view(request->registry);
	goes_on = !is_taken(request, view, version) && knows_package(request, view, &name);
	view_unref(view);
	return goes_on && has_permit(request, version, &name);
}
