/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Faults: fault.h.
 */
#include "fault.h"

#include "printable.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Longer than any text of a fault, so that only the printable form is truncated, between two characters. */
#define RAW_SIZE 1024

/* Texts may quote a stranger: nothing that a terminal or a log would act on gets through. */
static void write_printable(char *out, size_t size, const char *format, va_list arguments)
{
	char raw[RAW_SIZE];

	vsnprintf(raw, sizeof(raw), format, arguments);
	printable_write(span_of_text(raw), out, size);
}

/* The first fault wins: what comes after it changes nothing. */
static void set(struct fault *flt, int verdict, enum fault_kind kind, int errnum, const char *what, va_list arguments)
{
	if (!flt || flt->verdict)
		return;
	flt->verdict = verdict;
	flt->kind = kind;
	flt->errnum = errnum;
	write_printable(flt->what, sizeof(flt->what), what, arguments);
}

int fault_invalid(struct fault *flt, const char *what, ...)
{
	va_list arguments;

	va_start(arguments, what);
	set(flt, WARG_INVALID, FAULT_FORGED, 0, what, arguments);
	va_end(arguments);
	return WARG_INVALID;
}

int fault_undecided(struct fault *flt, enum fault_kind kind, const char *what, ...)
{
	va_list arguments;

	va_start(arguments, what);
	set(flt, WARG_UNDECIDED, kind, 0, what, arguments);
	va_end(arguments);
	return WARG_UNDECIDED;
}

static void append_error(struct fault *flt, int errnum)
{
	const char *text = strerrordesc_np(errnum);
	size_t length = strlen(flt->what);

	if (text)
		snprintf(flt->what + length, sizeof(flt->what) - length, ": %s", text);
	else
		snprintf(flt->what + length, sizeof(flt->what) - length, ": error %d", errnum);
}

int fault_system(struct fault *flt, int errnum, const char *what, ...)
{
	bool first = flt && !flt->verdict;
	va_list arguments;

	va_start(arguments, what);
	set(flt, WARG_UNDECIDED, FAULT_SYSTEM, errnum, what, arguments);
	va_end(arguments);
	if (first)
		append_error(flt, errnum);
	return WARG_UNDECIDED;
}

int fault_no_memory(struct fault *flt)
{
	return fault_system(flt, ENOMEM, "no memory");
}

static void put_in_front(struct fault *flt, const char *where, va_list arguments)
{
	char outer[sizeof(flt->where)], whole[2 * sizeof(flt->where) + 2];

	write_printable(outer, sizeof(outer), where, arguments);
	snprintf(whole, sizeof(whole), "%s%s%s", outer, flt->where[0] ? ", " : "", flt->where);
	printable_write(span_of_text(whole), flt->where, sizeof(flt->where));
}

void fault_at(struct fault *flt, const char *where, ...)
{
	va_list arguments;

	if (!flt || !flt->verdict)
		return;
	va_start(arguments, where);
	put_in_front(flt, where, arguments);
	va_end(arguments);
}

void fault_subject(struct fault *flt, const char *subject, ...)
{
	va_list arguments;

	if (!flt || !flt->verdict)
		return;
	flt->is_clause = !flt->where[0];
	va_start(arguments, subject);
	put_in_front(flt, subject, arguments);
	va_end(arguments);
}

void fault_add(struct fault *flt, const char *more, ...)
{
	va_list arguments;
	size_t length;

	if (!flt || !flt->verdict)
		return;
	length = strlen(flt->what);
	snprintf(flt->what + length, sizeof(flt->what) - length, "; ");
	length = strlen(flt->what);
	va_start(arguments, more);
	write_printable(flt->what + length, sizeof(flt->what) - length, more, arguments);
	va_end(arguments);
}

void fault_blame(struct fault *flt, enum fault_party party)
{
	if (flt && flt->verdict && flt->party == FAULT_BY_UNKNOWN)
		flt->party = party;
}

void fault_pass(const struct fault *from, struct fault *to)
{
	if (from->verdict && to && !to->verdict)
		*to = *from;
}

int fault_unless_absent(int r, const struct fault *own, bool *found, struct fault *flt)
{
	*found = !r;
	if (!r || own->kind == FAULT_ABSENT)
		return 0;
	if (flt)
		*flt = *own;
	return r;
}

const char *fault_kind_name(enum fault_kind kind)
{
	static const char *const names[FAULT_SYSTEM + 1] = {
		[FAULT_NONE] = "none",       [FAULT_FORGED] = "forged",       [FAULT_UNREACHABLE] = "unreachable",
		[FAULT_TIMEOUT] = "timeout", [FAULT_LOGIN] = "login",         [FAULT_REFUSED] = "refused",
		[FAULT_DENIED] = "denied",   [FAULT_NO_KEY] = "no_key",       [FAULT_ABSENT] = "absent",
		[FAULT_EXISTS] = "exists",   [FAULT_LIMIT] = "limit",         [FAULT_CANCELLED] = "cancelled",
		[FAULT_MISUSE] = "misuse",   [FAULT_SYSTEM] = "system",       [FAULT_OVERSIZED] = "oversized",
	};

	return names[kind];
}

const char *fault_accusation(const struct fault *flt)
{
	if (flt->kind != FAULT_FORGED)
		return "";
	switch (flt->party) {
	case FAULT_BY_REGISTRY:
		return "the registry's answer is not valid: ";
	case FAULT_BY_SOURCE:
		return "the content source's answer is not valid: ";
	default:
		return "";
	}
}

void fault_sentence(const struct fault *flt, char out[static FAULT_SENTENCE_SIZE])
{
	const char *gap = !flt->where[0] ? "" : flt->is_clause ? " " : ": ";

	snprintf(out, FAULT_SENTENCE_SIZE, "%s%s%s%s", fault_accusation(flt), flt->where, gap,
		 flt->verdict ? flt->what : "nothing is wrong");
}
