/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Failures of commands (see failure.h).
 */
#include "failure.h"
#include "client/base/json.h"
#include "output.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_MOST (1 << 16) /* bytes of a fault or note as JSON: far more than its texts can take */
#define NOTE_MOST 4600      /* bytes of a note: a path, and what is said of it */

static bool tells_json;

int failure_status_of(const struct fault *flt)
{
	static const int statuses[FAULT_SYSTEM + 1] = {
		[FAULT_NONE] = STATUS_FAILED,
		[FAULT_FORGED] = STATUS_UNVERIFIED,
		[FAULT_UNREACHABLE] = STATUS_UNREACHABLE,
		[FAULT_TIMEOUT] = STATUS_UNREACHABLE,
		[FAULT_LOGIN] = STATUS_LOGIN,
		[FAULT_REFUSED] = STATUS_REFUSED,
		[FAULT_DENIED] = STATUS_REFUSED,
		[FAULT_NO_KEY] = STATUS_LOGIN,
		[FAULT_ABSENT] = STATUS_ABSENT,
		[FAULT_EXISTS] = STATUS_REFUSED,
		[FAULT_LIMIT] = STATUS_FAILED,
		[FAULT_OVERSIZED] = STATUS_FAILED,
		[FAULT_CANCELLED] = STATUS_FAILED,
		[FAULT_MISUSE] = STATUS_MISUSE,
		[FAULT_SYSTEM] = STATUS_FAILED,
	};

	/* A damaged file of this machine accuses no registry. */
	if (flt->kind == FAULT_FORGED &&
	    (flt->party == FAULT_BY_CACHE || flt->party == FAULT_BY_USER || flt->party == FAULT_BY_SYSTEM))
		return STATUS_FAILED;
	return statuses[flt->kind];
}

int failure_join(int a, int b)
{
	if (a == b || b == STATUS_DONE)
		return a;
	if (a == STATUS_DONE)
		return b;
	return a == STATUS_UNVERIFIED || b == STATUS_UNVERIFIED ? STATUS_UNVERIFIED : STATUS_FAILED;
}

void failure_set_json(bool as_json)
{
	tells_json = as_json;
}

bool failure_is_json(void)
{
	return tells_json;
}

/* Damage of a file here is no forgery. */
static const char *kind_of(const struct fault *flt)
{
	return flt->kind == FAULT_FORGED && failure_status_of(flt) == STATUS_FAILED ? "damaged" :
										       fault_kind_name(flt->kind);
}

static struct json *new_error(const char *command, const struct fault *flt, const char *sentence)
{
	struct json *json = json_new_object(), *error = json_new_object();

	if (*command)
		json_put_text(error, "command", command);
	json_put_text(error, "kind", kind_of(flt));
	if (*flt->where)
		json_put_text(error, "subject", flt->where);
	else
		json_put_null(error, "subject");
	json_put_text(error, "reason", flt->what);
	json_put_text(error, "message", sentence);
	if (flt->errnum && strerrorname_np(flt->errnum))
		json_put_text(error, "errno", strerrorname_np(flt->errnum));
	json_put_uint(error, "status", (uint64_t)failure_status_of(flt));
	json_put(json, "error", error);
	return json;
}

/* @param json  freed  @return whether it could be rendered */
static bool put_json(struct json *json)
{
	struct buf line;
	bool done;

	buf_init(&line, LINE_MOST);
	done = !json_render(json, JSON_SHOWN_COMPACT, &line, NULL);
	if (done)
		fprintf(stderr, "%.*s\n", (int)line.length, (const char *)line.data);
	buf_release(&line);
	json_free(json);
	return done;
}

static void put_text(const char *command, const char *sentence)
{
	fprintf(stderr, "wargfs%s%s: %s\n", *command ? " " : "", command, output_shown(sentence).text);
}

int failure_tell(const char *command, const struct fault *flt)
{
	char sentence[FAULT_SENTENCE_SIZE];

	fault_sentence(flt, sentence);
	if (!tells_json || !put_json(new_error(command, flt, sentence)))
		put_text(command, sentence);
	return failure_status_of(flt);
}

static struct json *new_note(const char *command, const char *kind, const char *subject, const char *sentence)
{
	struct json *json = json_new_object(), *note = json_new_object();

	if (*command)
		json_put_text(note, "command", command);
	json_put_text(note, "kind", kind);
	if (subject)
		json_put_shown(note, "subject", subject);
	else
		json_put_null(note, "subject");
	json_put_shown(note, "message", sentence);
	json_put(json, "note", note);
	return json;
}

void failure_note(const char *command, const char *kind, const char *subject, const char *sentence, ...)
{
	char text[NOTE_MOST];
	va_list arguments;

	va_start(arguments, sentence);
	vsnprintf(text, sizeof(text), sentence, arguments);
	va_end(arguments);
	if (!tells_json || !put_json(new_note(command, kind, subject, text)))
		put_text(command, text);
}
