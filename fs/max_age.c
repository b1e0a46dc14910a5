/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Requests and the age of what they are told (see max_age.h).
 */
#include "max_age.h"

/* All kinds from there on are of places in there. */
static bool is_exempt(const struct path *path)
{
	return path->kind >= PATH_WARG;
}

/* Why there is no newer one belongs to it. */
static void fail(struct request *request, struct fault *flt)
{
	char why[FAULT_SENTENCE_SIZE];

	if (request->fault.verdict) {
		fault_sentence(&request->fault, why);
		fault_add(flt, "%s", why);
	}
	request_fail_with(request, flt);
}

bool max_age_allows(struct request *request)
{
	struct freshness freshness;
	struct fault flt = {0};

	if (request->is_fresh || !request->mount->options.max_age || is_exempt(&request->path))
		return true;
	registry_freshness(request->registry, &freshness);
	if (freshness_check(&freshness, request->mount->options.max_age, freshness_now(), &flt) == 0) {
		/* For all that it does from now on. What it wanted of the old checkpoint it may want of the new one. */
		request->is_fresh = true;
		if (request_has_wanted(request, REQUEST_REFRESH)) {
			request->fault = (struct fault){0};
			request->wanted = REQUEST_REFRESH;
		}
		return true;
	}
	if (request_has_wanted(request, REQUEST_REFRESH))
		fail(request, &flt);
	else
		request_want_refresh(request);
	return false;
}

double max_age_timeout(const struct mount *mount, const struct path *path)
{
	struct registry *registry;
	struct freshness freshness;

	if (!mount->options.max_age || is_exempt(path))
		return MOUNT_FOREVER;
	registry = mount_registry(mount, path);
	if (!registry)
		return 0;
	registry_freshness(registry, &freshness);
	return (double)freshness_left(&freshness, mount->options.max_age, freshness_now()) / 1000;
}

double max_age_timeout_of_link(const struct mount *mount, const struct path *path)
{
	return mount->options.writable ? 0 : max_age_timeout(mount, path);
}
