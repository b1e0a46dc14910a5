/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Fetching logs whole (see records.h), page by page.
 */
#include "records.h"

#include <stdlib.h>

/* What a record takes beside its content, here and in a document. */
#define RECORD_FRAME 300

static const char *last_token(const struct api_log *log)
{
	return log->count ? log->records[log->count - 1].token : NULL;
}

/* Take the records of a page, and count them. */
static int take(struct api_log *to, struct api_log *from, size_t *size, struct fault *flt)
{
	struct api_record *records;

	if (from->fault) {
		if (flt && !flt->verdict)
			*flt = *from->fault;
		return from->fault->verdict;
	}
	if (!from->count)
		return 0;
	records = reallocarray(to->records, to->count + from->count, sizeof(*records));
	if (!records)
		return fault_no_memory(flt);
	to->records = records;
	for (size_t i = 0; i < from->count; i++) {
		*size += from->records[i].content.length + RECORD_FRAME;
		to->records[to->count++] = from->records[i];
	}
	free(from->records);
	from->records = NULL;
	from->count = 0;
	if (*size > CAP_PROOF)
		return fault_undecided(flt, FAULT_LIMIT, "its records are larger than %u bytes", CAP_PROOF);
	return 0;
}

static int take_page(struct api_logs *logs, struct api_logs *page, size_t *size, struct fault *flt)
{
	size_t before = *size;
	int r = take(&logs->operator, &page->operator, size, flt);

	if (!r && logs->package_count)
		r = take(&logs->packages[0], &page->packages[0], size, flt);
	if (!r && page->more && *size == before)
		return fault_invalid(flt, "it says that there are more records, and sends none");
	return r;
}

/* @param more  whether another page has to be asked for */
static int fetch_page(const struct api *api, clock_ms deadline, uint64_t log_length, struct api_logs *logs,
		      size_t *size, bool *more, struct fault *flt)
{
	const struct api_wanted operator = {.token = last_token(&logs->operator)};
	struct api_wanted package = {{{0}}, NULL};
	const struct digest nobody = {{0}};
	struct api_absent absent;
	struct api_logs page;
	int r;

	if (logs->package_count)
		package = (struct api_wanted){logs->packages[0].log_id, last_token(&logs->packages[0])};
	r = api_fetch_logs(api, deadline, log_length, &operator, logs->package_count ? &package : NULL,
			   logs->package_count, &page, &absent, flt);
	if (r) {
		/* Only a log can be absent: a token that is not known is one that the registry gave us. */
		if (flt && flt->kind == FAULT_ABSENT && digest_equals(&absent.log_id, &nobody))
			flt->kind = FAULT_REFUSED;
		return r;
	}
	*more = page.more;
	r = take_page(logs, &page, size, flt);
	api_logs_release(&page);
	return r;
}

int records_fetch(const struct api *api, clock_ms deadline, uint64_t log_length, const struct name *package,
		  struct api_logs *out, struct fault *flt)
{
	struct api_logs logs = {.operator.log_id = name_operator_log_id()};
	size_t size = 0;
	bool more = true;
	int r = 0;

	if (package) {
		logs.packages = calloc(1, sizeof(*logs.packages));
		if (!logs.packages)
			return fault_no_memory(flt);
		logs.packages[0].log_id = name_log_id(package);
		logs.package_count = 1;
	}
	while (!r && more)
		r = fetch_page(api, deadline, log_length, &logs, &size, &more, flt);
	if (r) {
		fault_blame(flt, FAULT_BY_REGISTRY);
		api_logs_release(&logs);
		return r;
	}
	*out = logs;
	return 0;
}
