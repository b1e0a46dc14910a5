/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A table of names (see package_names.h).
 */
#include "package_names.h"

#include "statement.h"

int package_names_add_text(struct database *database, const struct digest *log_id, struct span text, struct fault *flt)
{
	struct statement *statement;
	int r = statement_use(database,
			      "INSERT INTO packages (log_id, name) VALUES (?, ?) ON CONFLICT (log_id)"
			      " DO UPDATE SET name = excluded.name WHERE name IS NOT excluded.name",
			      &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 1, log_id);
	statement_put_span(statement, 2, text);
	return statement_run(statement, flt);
}

int package_names_add(struct database *database, const struct name *name, struct fault *flt)
{
	const struct digest log_id = name_log_id(name);

	return package_names_add_text(database, &log_id, span_of_text(name->text), flt);
}

int package_names_find_text(struct database *database, const struct digest *log_id, struct buf *out, struct fault *flt)
{
	struct statement *statement;
	struct digest named;
	struct span name;
	int r = statement_use(database, "SELECT name FROM packages WHERE log_id = ?", &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 1, log_id);
	r = statement_find(statement, "there is no such package", flt);
	if (r)
		return r;
	name = statement_span(statement, 0);
	named = name_log_id_of_text(name);
	if (!digest_equals(&named, log_id))
		r = fault_invalid(flt, "its stored name is %.*s", (int)(name.length < 200 ? name.length : 200),
				  name.data ? (const char *)name.data : "");
	else
		r = buf_append(out, name, flt);
	statement_end(statement);
	return r;
}

int package_names_find(struct database *database, const struct digest *log_id, struct name *out, struct fault *flt)
{
	struct buf text;
	int r;

	buf_init(&text, CAP_NAME_CARRIED);
	r = package_names_find_text(database, log_id, &text, flt);
	if (!r)
		r = name_parse(buf_span(&text), out, flt);
	buf_release(&text);
	return r;
}
