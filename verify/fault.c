/*
 * Faults: fault.h.
 */
#include "fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Texts may quote a stranger: nothing that a terminal or a log would act on gets through. */
static void make_printable(char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			*text = '?';
	}
}

/* The first fault wins: what comes after it changes nothing. */
static void set(struct fault *flt, int verdict, enum fault_kind kind, int errnum, const char *what, va_list arguments)
{
	if (!flt || flt->verdict)
		return;
	flt->verdict = verdict;
	flt->kind = kind;
	flt->errnum = errnum;
	vsnprintf(flt->what, sizeof(flt->what), what, arguments);
	make_printable(flt->what);
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

void fault_at(struct fault *flt, const char *where, ...)
{
	char inner[sizeof(flt->where)];
	va_list arguments;
	size_t length;

	if (!flt || !flt->verdict)
		return;
	memcpy(inner, flt->where, sizeof(inner));
	va_start(arguments, where);
	vsnprintf(flt->where, sizeof(flt->where), where, arguments);
	va_end(arguments);
	make_printable(flt->where);
	length = strlen(flt->where);
	if (inner[0])
		snprintf(flt->where + length, sizeof(flt->where) - length, ", %s", inner);
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
	vsnprintf(flt->what + length, sizeof(flt->what) - length, more, arguments);
	va_end(arguments);
	make_printable(flt->what);
}

void fault_blame(struct fault *flt, enum fault_party party)
{
	if (flt && flt->verdict && flt->party == FAULT_BY_UNKNOWN)
		flt->party = party;
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

static const char *party_text(enum fault_party party)
{
	switch (party) {
	case FAULT_BY_REGISTRY:
		return "the registry: ";
	case FAULT_BY_SOURCE:
		return "the content source: ";
	case FAULT_BY_CACHE:
		return "the files on this machine: ";
	case FAULT_BY_NETWORK:
		return "the network: ";
	case FAULT_BY_USER:
		return "the request: ";
	case FAULT_BY_SYSTEM:
		return "this machine: ";
	case FAULT_BY_UNKNOWN:
		break;
	}
	return "";
}

void fault_sentence(const struct fault *flt, char out[static FAULT_SENTENCE_SIZE])
{
	snprintf(out, FAULT_SENTENCE_SIZE, "%s%s%s%s", party_text(flt->party), flt->where, flt->where[0] ? ": " : "",
		 flt->verdict ? flt->what : "nothing is wrong");
}
