/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Package names: "namespace:name", both lowercase kebab-case (protocol.md section 1).
 */
#ifndef WARG_VERIFY_NAME_H
#define WARG_VERIFY_NAME_H

#include "caps.h"
#include "digest.h"

/** A package name. A value: may be copied. */
struct name {
	char text[CAP_NAME_PART * 2 + 2]; /* NUL-terminated, with the colon */
	size_t colon;                     /* its position */
};

/**
 * Whether `text` is one part of a name: words joined by single '-', each a lowercase letter followed by lowercase
 * letters or digits, at most CAP_NAME_PART bytes.
 */
bool name_is_part(struct span text);

/** Parse "namespace:name". @return 0; WARG_INVALID for anything else */
int name_parse(struct span text, struct name *out, struct fault *flt);

/** Put a name together from its two parts. @return 0; WARG_INVALID if one of them is none */
int name_join(struct span namespace, struct span package, struct name *out, struct fault *flt);

/** The part before the colon; borrowed from `name`. */
struct span name_namespace(const struct name *name);

/** The part behind the colon; borrowed from `name`. */
struct span name_package(const struct name *name);

/** The package's log id (protocol.md section 2). */
struct digest name_log_id(const struct name *name);

/** The log id of any text: a registry may have logs with names that are refused here. */
struct digest name_log_id_of_text(struct span text);

/** The operator's log id (protocol.md section 2). */
struct digest name_operator_log_id(void);

#endif
