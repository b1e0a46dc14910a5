/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What wargfs verify looks at, and in which registries it lives: all of it proven anew from the first records on (see
 * client/sync/recheck.h).
 */
#include "verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"

/* ---- Whose packages ---- */

static struct verify_part *find_part(const struct verify_task *task, const char *domain)
{
	for (size_t i = 0; i < task->count; i++)
		if (!strcmp(task->parts[i].domain, domain))
			return &task->parts[i];
	return NULL;
}

static int add_part(struct verify_task *task, const char *domain, struct span namespace, struct verify_part **out,
		    struct fault *flt)
{
	struct verify_part *parts = reallocarray(task->parts, task->count + 1, sizeof(*parts));

	if (!parts)
		return fault_no_memory(flt);
	task->parts = parts;
	*out = &parts[task->count++];
	**out = (struct verify_part){0};
	snprintf((*out)->domain, sizeof((*out)->domain), "%s", domain);
	snprintf((*out)->namespace, sizeof((*out)->namespace), "%.*s", (int)namespace.length,
		 (const char *)namespace.data);
	return 0;
}

/* Each once. */
static int add_name(struct verify_part *part, const struct name *name, struct fault *flt)
{
	struct name *names;

	for (size_t i = 0; i < part->count; i++)
		if (!strcmp(part->names[i].text, name->text))
			return 0;
	names = reallocarray(part->names, part->count + 1, sizeof(*names));
	if (!names)
		return fault_no_memory(flt);
	part->names = names;
	part->names[part->count++] = *name;
	return 0;
}

/* Where a package lives. Where nobody names a domain, it will be said of the package. */
static void find_place(const struct verify_task *task, const struct name *name, struct namespaces_place *out)
{
	*out = (struct namespaces_place){0};
	namespaces_find(task->known.operator, &task->known.map, name_namespace(name), out, NULL);
}

static int add_named(struct verify_task *task, const char *text, struct fault *flt)
{
	struct namespaces_place place;
	struct verify_part *part;
	struct name name;
	int verdict = session_read_name(text, &name, flt);

	if (verdict)
		return verdict;
	find_place(task, &name, &place);
	part = find_part(task, place.domain);
	if (!part)
		verdict = add_part(task, place.domain, name_namespace(&name), &part, flt);
	return verdict ? verdict : add_name(part, &name, flt);
}

/* What lies in a registry's folder, but for packages of namespaces that live elsewhere. */
static int add_stored(const struct verify_task *task, struct store *store, struct verify_part *part, struct fault *flt)
{
	struct name *names;
	size_t count;
	int verdict = store_list_packages(store, &names, &count, flt);

	if (verdict)
		return verdict;
	for (size_t i = 0; !verdict && i < count; i++) {
		struct namespaces_place place;

		find_place(task, &names[i], &place);
		if (!strcmp(place.domain, part->domain))
			verdict = add_name(part, &names[i], flt);
	}
	free(names);
	return verdict;
}

/* Another registry, if anything is stored of it. */
static int add_other(struct verify_task *task, const struct namespaces_entry *entry, struct fault *flt)
{
	const struct config *config = &task->session.config;
	char path[2 * CAP_URL];
	struct store *store;
	struct verify_part *part;
	int verdict;

	snprintf(path, sizeof(path), "%s/%s", config->registries_dir, entry->domain);
	if (!entry->domain[0] || find_part(task, entry->domain) || access(path, F_OK))
		return 0;
	verdict = add_part(task, entry->domain, span_of_text(entry->namespace), &part, flt);
	if (!verdict)
		verdict = store_open(config->registries_dir, config->content_dir, config->cache_dir, entry->domain,
				     &store, flt);
	if (verdict)
		return verdict;
	verdict = add_stored(task, store, part, flt);
	store_close(store);
	return verdict;
}

static int add_all(struct verify_task *task, struct fault *flt)
{
	struct namespaces_listed *listed = NULL;
	struct verify_part *home;
	size_t count = 0;
	int verdict = add_part(task, "", (struct span){0}, &home, flt);

	if (!verdict)
		verdict = add_stored(task, registry_store(task->session.registry), home, flt);
	if (!verdict)
		verdict = namespaces_list(task->known.operator, &task->known.map, &listed, &count, flt);
	for (size_t i = 0; !verdict && i < count; i++)
		if (!listed[i].overruled)
			verdict = add_other(task, &listed[i].entry, flt);
	free(listed);
	return verdict;
}

static int add_parts(struct verify_task *task, struct fault *flt)
{
	int verdict = session_read_namespaces(&task->session, &task->known, flt);

	if (!verdict && task->all)
		return add_all(task, flt);
	for (int i = 0; !verdict && i < task->options->argument_count; i++)
		verdict = add_named(task, task->options->arguments[i], flt);
	return verdict;
}

/* ---- Proving ---- */

static int prove(struct verify_task *task, struct verify_part *part, struct fault *flt)
{
	struct trust_anchor anchor = {0};
	int verdict = 0;

	part->registry = task->session.registry;
	if (part->domain[0])
		verdict = session_registry_of(&task->session, span_of_text(part->namespace), &part->registry, flt);
	if (!verdict && registry_trust(part->registry))
		verdict = trust_load(registry_trust(part->registry), &anchor, flt);
	if (!verdict)
		verdict = archive_open(task->session.config.cache_dir,
				       part->domain[0] ? part->domain : task->session.url.label, &part->archive, flt);
	if (verdict)
		return verdict;
	return recheck_prove(registry_api(part->registry), registry_store(part->registry), part->archive, &anchor,
			     part->names, part->count, task->all, registry_deadline(part->registry), &part->recheck,
			     flt);
}

/* The home registry comes first: asking it for others refreshes what is stored of it. */
int verify_task_run(struct verify_task *task, bool compares, struct fault *flt)
{
	int verdict = session_start(&task->session, task->options, flt);

	if (!verdict)
		verdict = add_parts(task, flt);
	if (verdict)
		return verdict;
	progress_begin(&task->session.progress, "logs and contents", NULL, NULL);
	for (size_t i = 0; i < task->count; i++) {
		struct verify_part *part = &task->parts[i];

		if (!prove(task, part, &part->fault) && compares)
			recheck_compare(&part->recheck);
	}
	progress_end(&task->session.progress);
	return 0;
}

void verify_task_release(struct verify_task *task)
{
	for (size_t i = 0; i < task->count; i++) {
		recheck_release(&task->parts[i].recheck);
		archive_close(task->parts[i].archive);
		free(task->parts[i].names);
	}
	free(task->parts);
	session_namespaces_release(&task->known);
	session_release(&task->session);
}

const char *verify_name_of(const struct verify_task *task, const struct verify_part *part)
{
	return part->domain[0] ? part->domain : http_url_name(&task->session.url);
}

static void put_registry(struct json *json, const struct verify_task *task, const struct verify_part *part)
{
	const struct view *view = part->recheck.view;

	json_put_text(json, "registry", verify_name_of(task, part));
	if (!view)
		return;
	json_put_uint(json, "logLength", view->checkpoint.contents.log_length);
	json_put_uint(json, "timestamp", view->checkpoint.contents.timestamp);
	json_put_digest(json, "operatorKey", operator_log_first_key(view->operator));
}

void verify_task_put_registries(struct json *json, const struct verify_task *task)
{
	struct json *others = json_new_list();
	const struct verify_part *home = find_part(task, "");

	if (home)
		put_registry(json, task, home);
	for (size_t i = 0; i < task->count; i++) {
		struct json *other;

		if (!task->parts[i].domain[0])
			continue;
		other = json_new_object();
		put_registry(other, task, &task->parts[i]);
		json_add(others, other);
	}
	json_put(json, "otherRegistries", others);
}

int verify_task_tell_faults(const struct verify_task *task)
{
	int status = STATUS_DONE;

	for (size_t i = 0; i < task->count; i++) {
		const struct verify_part *part = &task->parts[i];

		if (part->fault.verdict)
			status = failure_join(status, options_fail(task->command, &part->fault));
		for (size_t j = 0; j < part->recheck.count; j++)
			if (part->recheck.logs[j].fault.verdict)
				status = failure_join(status, options_fail(task->command,
									   &part->recheck.logs[j].fault));
	}
	return status;
}
