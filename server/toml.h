/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * TOML 1.0.0 (https://toml.io/en/v1.0.0), the whole of it: a document as a tree of values.
 *
 * Numbers and dates are checked and kept as they are written, since nothing here computes with them. The size of a
 * document is bounded by its reader, the depth of the tree by CAP_TOML_DEPTH.
 */
#ifndef WARG_SERVER_TOML_H
#define WARG_SERVER_TOML_H

#include "verify/buf.h"

enum toml_type {
	TOML_TABLE, TOML_ARRAY, TOML_STRING, TOML_BOOL, TOML_INTEGER, TOML_FLOAT,
	TOML_DATETIME, TOML_LOCAL_DATETIME, TOML_LOCAL_DATE, TOML_LOCAL_TIME,
};

/** How a table or array came to be, which decides how it may grow. */
enum toml_origin {
	TOML_IMPLIED,  /* by the header of a table in it: may get a header of its own */
	TOML_HEADED,   /* by its own header */
	TOML_DOTTED,   /* by a dotted key: further dotted keys of the same table may go through it */
	TOML_INLINE,   /* a value in braces or brackets: complete */
	TOML_REPEATED, /* an array of tables: [[…]] appends to it */
};

struct toml_value {
	enum toml_type type;
	enum toml_origin origin; /* of a table or array */
	unsigned line;           /* where it begins */
	unsigned depth;          /* of the document: 0 */
	struct buf key;          /* its name in its table */
	struct buf text;         /* of a string; a number, date or boolean as it is written */
	struct toml_value *first, *last, *next; /* its values, in their order; the next one of its table or array */
	void *index;             /* of a table: a search tree of its values by key */
};

/**
 * Parse a document. The fault names the line.
 * @param out  the document's table; toml_free() it
 * @return 0; WARG_INVALID; WARG_UNDECIDED without memory, or with FAULT_LIMIT if the tree is too deep
 */
int toml_parse(struct span text, struct toml_value **out, struct fault *flt);
/** NULL is fine. */
void toml_free(struct toml_value *value);

/** The value of this name in a table. @return NULL: there is none */
struct toml_value *toml_find(const struct toml_value *table, struct span key);

#endif
