/*
 * A table of names (see packages.h).
 */
#include "packages.h"

#include "statement.h"

int packages_add(struct database *database, const struct name *name, struct fault *flt)
{
	const struct digest log_id = name_log_id(name);
	struct statement *statement;
	int r = statement_use(database, "INSERT OR IGNORE INTO packages (log_id, name) VALUES (?, ?)", &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 1, &log_id);
	statement_put_span(statement, 2, span_of_text(name->text));
	return statement_run(statement, flt);
}

int packages_find(struct database *database, const struct digest *log_id, struct name *out, struct fault *flt)
{
	struct statement *statement;
	int r = statement_use(database, "SELECT name FROM packages WHERE log_id = ?", &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 1, log_id);
	r = statement_find(statement, "there is no such package", flt);
	if (!r)
		r = name_parse(statement_span(statement, 0), out, flt);
	statement_end(statement);
	return r;
}
