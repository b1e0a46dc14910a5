/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The fault of each thread's last call that failed, and arguments that cannot be right (see door.h).
 */
#include "door.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static_assert((int)WARG_KIND_FORGED == FAULT_FORGED && (int)WARG_KIND_UNREACHABLE == FAULT_UNREACHABLE &&
	      (int)WARG_KIND_TIMEOUT == FAULT_TIMEOUT && (int)WARG_KIND_LOGIN == FAULT_LOGIN &&
	      (int)WARG_KIND_REFUSED == FAULT_REFUSED && (int)WARG_KIND_DENIED == FAULT_DENIED &&
	      (int)WARG_KIND_NO_KEY == FAULT_NO_KEY && (int)WARG_KIND_ABSENT == FAULT_ABSENT &&
	      (int)WARG_KIND_EXISTS == FAULT_EXISTS && (int)WARG_KIND_LIMIT == FAULT_LIMIT &&
	      (int)WARG_KIND_OVERSIZED == FAULT_OVERSIZED && (int)WARG_KIND_CANCELLED == FAULT_CANCELLED &&
	      (int)WARG_KIND_MISUSE == FAULT_MISUSE && (int)WARG_KIND_SYSTEM == FAULT_SYSTEM,
	      "the kinds of warg.h are those of fault.h");
static_assert((int)WARG_PARTY_REGISTRY == FAULT_BY_REGISTRY && (int)WARG_PARTY_SOURCE == FAULT_BY_SOURCE &&
	      (int)WARG_PARTY_CACHE == FAULT_BY_CACHE && (int)WARG_PARTY_NETWORK == FAULT_BY_NETWORK &&
	      (int)WARG_PARTY_USER == FAULT_BY_USER && (int)WARG_PARTY_SYSTEM == FAULT_BY_SYSTEM,
	      "the parties of warg.h are those of fault.h");
static_assert(WARG_DIGEST_SIZE == DIGEST_TEXT_SIZE, "a digest's text fits");

static _Thread_local struct {
	enum fault_kind kind;
	enum fault_party party;
	char text[FAULT_SENTENCE_SIZE];
} last;

int door_return(int verdict, const struct fault *flt)
{
	if (verdict) {
		last.kind = flt->kind;
		last.party = flt->party;
		fault_sentence(flt, last.text);
	}
	return verdict;
}

const char *warg_error_text(void)
{
	return last.text;
}

int warg_error_kind(void)
{
	return (int)last.kind;
}

int warg_error_party(void)
{
	return (int)last.party;
}

const char *warg_version(void)
{
	return WARGFS_VERSION;
}

static int misuse(struct fault *flt)
{
	fault_blame(flt, FAULT_BY_USER);
	return WARG_UNDECIDED;
}

int door_need(bool is_given, const char *what, struct fault *flt)
{
	if (is_given)
		return 0;
	fault_undecided(flt, FAULT_MISUSE, "%s is needed", what);
	return misuse(flt);
}

int door_read_name(const char *text, struct name *out, struct fault *flt)
{
	if (text && strlen(text) < sizeof(out->text) && !name_parse(span_of_text(text), out, NULL))
		return 0;
	fault_undecided(flt, FAULT_MISUSE, "'%.100s' is not a package name: namespace:package", text ? text : "");
	return misuse(flt);
}

int door_read_digest(const char *text, const char *what, struct digest *out, struct fault *flt)
{
	if (text && !digest_parse(span_of_text(text), out, NULL))
		return 0;
	fault_undecided(flt, FAULT_MISUSE, "%s is not a digest, sha256:...: '%.100s'", what, text ? text : "");
	return misuse(flt);
}
