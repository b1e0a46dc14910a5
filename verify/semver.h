/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * SemVer 2.0.0 versions, and requirements in Cargo's grammar (protocol.md section 1; interop.md section C 12).
 */
#ifndef WARG_VERIFY_SEMVER_H
#define WARG_VERIFY_SEMVER_H

#include "buf.h"
#include "caps.h"

/** A version. Its texts are borrowed from what was parsed. */
struct semver {
	uint64_t major, minor, patch;
	struct span prerelease; /* without the '-'; empty if none */
	struct span build;      /* without the '+'; empty if none */
};

/** Parse a version of at most CAP_VERSION bytes. @return 0; WARG_INVALID for anything that is not SemVer 2.0.0 */
int semver_parse(struct span text, struct semver *out, struct fault *flt);

/** <0, 0, >0: the precedence of SemVer 2.0.0 section 11, ties broken by build metadata, so that the order is total. */
int semver_compare(const struct semver *a, const struct semver *b);

/** <0, 0, >0: pre-releases in the order of section 11. None at all is above every other. */
int semver_compare_prereleases(struct span a, struct span b);

enum semver_operator { SEMVER_EXACT, SEMVER_GREATER, SEMVER_GREATER_EQ, SEMVER_LESS, SEMVER_LESS_EQ, SEMVER_TILDE,
		       SEMVER_CARET, SEMVER_WILDCARD };

struct semver_comparator {
	enum semver_operator operator;
	uint64_t major, minor, patch;
	bool has_minor, has_patch;
	struct span prerelease;
};

/** A requirement: all comparators must hold. None at all is `*`. Its texts are borrowed from what was parsed. */
struct semver_requirement {
	struct semver_comparator comparators[CAP_COMPARATORS];
	size_t count;
};

/** Parse a requirement: what the Rust crate `semver` accepts, and nothing else. @return 0; WARG_INVALID */
int semver_requirement_parse(struct span text, struct semver_requirement *out, struct fault *flt);

/** Whether the version satisfies the requirement. Build metadata is ignored. */
bool semver_requirement_matches(const struct semver_requirement *requirement, const struct semver *version);

#endif
