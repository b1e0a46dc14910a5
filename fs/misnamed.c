/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Reasons for names (see misnamed.h).
 */
#include "misnamed.h"

#include "verify/printable.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define FILES "a file is written into the folder of a package, as NAMESPACE/PACKAGE/1.0.0.wasm"

static int explain_rule(const struct path *folder, struct fault *flt)
{
	enum path_kind part = path_parts_in(folder->kind);

	if (part != PATH_KINDS && path_type(part) == S_IFDIR && path_is_called_namespace(part))
		return fault_undecided(flt, FAULT_MISUSE, "a namespace is lowercase words joined by '-'; " FILES);
	if (part != PATH_KINDS && path_type(part) == S_IFDIR && path_is_called_package(part))
		return fault_undecided(flt, FAULT_MISUSE,
				       "a package's name is lowercase words joined by '-'; " FILES);
	return fault_undecided(flt, FAULT_MISUSE, "nothing can be made here; " FILES);
}

int misnamed_in(const struct path *folder, const char *name, int errnum, struct fault *flt)
{
	int own = errnum;

	if (strlen(name) > NAME_MAX)
		own = ENAMETOOLONG;
	else if (!printable_is(span_of_text(name)))
		own = EILSEQ;
	if (own == ENAMETOOLONG)
		fault_undecided(flt, FAULT_MISUSE, "a name has at most %d bytes", NAME_MAX);
	else if (own == EILSEQ)
		fault_undecided(flt, FAULT_MISUSE, "a name is UTF-8, and all its characters can be shown");
	else
		explain_rule(folder, flt);
	fault_at(flt, "%.200s", name);
	return own;
}

int misnamed_file(const struct path *file, struct fault *flt)
{
	if (path_is_called_namespace(file->kind) || path_is_called_package(file->kind))
		return fault_undecided(flt, FAULT_REFUSED, FILES);
	return fault_undecided(flt, FAULT_REFUSED, "nothing can be written here; " FILES);
}
