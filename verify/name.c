/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Package names and the ids of their logs: name.h.
 */
#include "name.h"

#include <string.h>

#include "wire.h"

static bool is_letter(unsigned char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

bool name_is_part(struct span text)
{
	bool starts = true; /* a word starts here */

	if (text.length > CAP_NAME_PART)
		return false;
	for (size_t i = 0; i < text.length; i++) {
		unsigned char c = text.data[i];

		if (starts ? !is_letter(c) : !is_letter(c) && !is_digit(c) && c != '-')
			return false;
		starts = c == '-';
	}
	return !starts;
}

/* A stranger's text, cut for a message. */
#define QUOTED "\"%.*s\""
#define QUOTE(text) (int)((text).length < 100 ? (text).length : 100), (const char *)(text).data

int name_join(struct span namespace, struct span package, struct name *out, struct fault *flt)
{
	if (!name_is_part(namespace))
		return fault_invalid(flt, QUOTED " is not a namespace", QUOTE(namespace));
	if (!name_is_part(package))
		return fault_invalid(flt, QUOTED " is not a package's name", QUOTE(package));
	memcpy(out->text, namespace.data, namespace.length);
	out->colon = namespace.length;
	out->text[out->colon] = ':';
	memcpy(out->text + out->colon + 1, package.data, package.length);
	out->text[out->colon + 1 + package.length] = '\0';
	return 0;
}

int name_parse(struct span text, struct name *out, struct fault *flt)
{
	const unsigned char *colon = text.length ? memchr(text.data, ':', text.length) : NULL;
	size_t before;

	if (!colon)
		return fault_invalid(flt, QUOTED " is not a package name: it has no colon", QUOTE(text));
	before = (size_t)(colon - text.data);
	return name_join((struct span){ text.data, before }, (struct span){ colon + 1, text.length - before - 1 }, out,
			 flt);
}

struct span name_namespace(const struct name *name)
{
	return (struct span){ (const unsigned char *)name->text, name->colon };
}

struct span name_package(const struct name *name)
{
	return span_of_text(name->text + name->colon + 1);
}

struct digest name_log_id_of_text(struct span text)
{
	unsigned char leb[WIRE_VARINT_SIZE];
	const struct span parts[] = {
		span_of_text("WARG-PACKAGE-LOG-ID-V0:WARG-PACKAGE-ID-V0"),
		{ leb, wire_format_varint(text.length, leb) },
		text,
	};

	return digest_of_parts(parts, sizeof(parts) / sizeof(parts[0]));
}

struct digest name_log_id(const struct name *name)
{
	return name_log_id_of_text(span_of_text(name->text));
}

struct digest name_operator_log_id(void)
{
	return digest_of(span_of_text("WARG-OPERATOR-LOG-ID-V0"));
}
