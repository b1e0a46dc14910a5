/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Names that lead nowhere (see absent.h).
 */
#include "absent.h"
#include "client/base/nearest.h"
#include "client/sync/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Proven namespaces are few: no registry is asked for more. */
static void offer_namespaces(struct registry *registry, struct nearest *meant, struct name *kept)
{
	struct view *view = registry_view(registry);
	const struct operator_namespace *namespaces;
	size_t count = 0;

	namespaces = view->operator ? operator_log_namespaces(view->operator, &count) : NULL;
	for (size_t i = 0; i < count; i++) {
		const char *before = meant->word;

		nearest_offer(meant, namespaces[i].name);
		if (meant->word != before)
			snprintf(kept->text, sizeof(kept->text), "%s", namespaces[i].name);
	}
	if (meant->word)
		meant->word = kept->text;
	view_unref(view);
}

static void suggest(const struct nearest *meant, struct fault *flt)
{
	if (meant->word)
		fault_add(flt, "did you mean '%.200s'?", meant->word);
}

void absent_suggest(struct registry *registry, const struct name *name, struct fault *flt)
{
	struct nearest meant = {.typed = name->text, .length = strlen(name->text)};
	struct name *names = NULL;
	size_t count = 0;

	if (!registry || flt->kind != FAULT_ABSENT)
		return;
	/* Those that somebody used here: looking for the names of all of them takes time. */
	if (store_list_packages(registry_store(registry), &names, &count, NULL))
		return;
	for (size_t i = 0; i < count; i++)
		nearest_offer(&meant, names[i].text);
	suggest(&meant, flt);
	free(names);
}

int absent_package(struct registry *registry, const struct name *name, struct fault *flt)
{
	int verdict = fault_undecided(flt, FAULT_ABSENT, "has no package %.200s", name->text);

	fault_subject(flt, "%s", registry_name(registry));
	absent_suggest(registry, name, flt);
	return verdict;
}

int absent_namespace(struct registry *registry, const char *namespace, struct fault *flt)
{
	int verdict = fault_undecided(flt, FAULT_ABSENT, "has no namespace %.100s", namespace);
	struct nearest meant = {.typed = namespace, .length = strlen(namespace)};
	struct name kept = {0};

	fault_subject(flt, "%s", registry_name(registry));
	offer_namespaces(registry, &meant, &kept);
	suggest(&meant, flt);
	return verdict;
}
