/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Which registry a namespace lives in, where that is not the home registry (protocol.md sections 6 and 8, interop.md
 * A 10 and 11).
 *
 * Three can tell, and what comes first counts:
 *
 * 1. The home registry's operator, in its log, which is signed and proven: it defines the namespace, or imports it from
 *    another registry.
 * 2. The namespace map, a file that is shared with the reference client. A person may have written the entry, but it
 *    may as well have been a hint once, so that it does not stand against what is proven.
 * 3. The registry's hint with a 404, from the network and proven by nobody. Once it is taken it is in the map.
 *
 * Another registry's word on namespaces counts for nothing: only the home registry is asked, so there are no chains,
 * and no loops.
 *
 * A registry is named by its domain: domain.h.
 */
#ifndef WARG_CLIENT_NAMESPACES_H
#define WARG_CLIENT_NAMESPACES_H

#include "client/net/domain.h"
#include "verify/name.h"
#include "verify/operator_log.h"

/** Who tells. */
enum namespaces_source {
	NAMESPACES_DEFINED, /* the operator: it lives at home */
	NAMESPACES_IMPORT,  /* the operator: elsewhere */
	NAMESPACES_MAP,     /* the map: elsewhere */
	NAMESPACES_NOBODY,  /* then it is looked for at home */
};

/** Where a namespace lives. */
struct namespaces_place {
	enum namespaces_source source;
	char domain[CAP_DOMAIN + 1]; /* "": at home */
};

/** An entry of the map. */
struct namespaces_entry {
	char namespace[CAP_NAME_PART + 1];
	char domain[CAP_DOMAIN + 1]; /* "": what the file says is no domain */
};

/** The map, in the order of the file. */
struct namespaces {
	struct namespaces_entry *entries;
	size_t count;
};

/**
 * Read the map. A file that is not there or is empty is an empty map. An entry whose domain is none is kept, so that
 * who asks for its namespace is told; one of no namespace is passed over.
 * @return 0; WARG_INVALID, blamed on this machine's files, if it is no map
 */
int namespaces_load(const char *path, struct namespaces *out, struct fault *flt);
/** Give the memory back; empty afterwards. */
void namespaces_release(struct namespaces *map);

/** Put an entry into the map, in the place of the one that is there: read, temp, fsync, rename, the folder locked. */
int namespaces_add(const char *path, struct span namespace, const char *domain, struct fault *flt);

/**
 * Where a namespace lives.
 * @param operator  the home registry's; NULL: not known
 * @return 0; WARG_INVALID if who tells names no domain
 */
int namespaces_find(const struct operator_log *operator, const struct namespaces *map, struct span namespace,
		    struct namespaces_place *out, struct fault *flt);

/** What one of the two says of a namespace. */
struct namespaces_listed {
	struct namespaces_entry entry;
	enum namespaces_source source; /* NAMESPACES_IMPORT or NAMESPACES_MAP */
	bool overruled;                /* by the operator: it does not count */
};

/** Everything that is said of namespaces that live elsewhere, the operator's imports first. @param out  free() it */
int namespaces_list(const struct operator_log *operator, const struct namespaces *map, struct namespaces_listed **out,
		    size_t *count, struct fault *flt);

#endif
