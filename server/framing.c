/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Checks all header lines (see framing.h): the library only looks at the first of several with one name.
 */
#include "framing.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* The header lines for the length and the host. */
struct framing {
	unsigned lengths, encodings, hosts;
	bool is_odd;
};

/*
 * Check that a name is a token (RFC 9110 section 5.6.2): with a space before the colon the library ignores a line that
 * a proxy may obey.
 */
static bool is_name(const char *name, size_t length)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)name[i]) && (!name[i] || !strchr(others, name[i])))
			return false;
	return length;
}

/* Refuse line breaks in a value: a proxy may read two lines. */
static bool is_value(const char *value, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)value[i] < ' ' && value[i] != '\t')
			return false;
	return true;
}

static enum MHD_Result look_at_header(void *user, enum MHD_ValueKind kind, const char *name, size_t name_length,
				      const char *value, size_t length)
{
	struct framing *framing = user;

	(void)kind;
	if (!is_name(name, name_length) || !is_value(value, length)) {
		framing->is_odd = true;
	} else if (!strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH)) {
		framing->lengths++;
		framing->is_odd |= !length || value[strspn(value, "0123456789")];
	} else if (!strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING)) {
		framing->encodings++;
		framing->is_odd |= !length || strcasecmp(value, "chunked");
	} else if (!strcasecmp(name, MHD_HTTP_HEADER_HOST)) {
		framing->hosts++;
	}
	return MHD_YES;
}

bool framing_is_clear(struct MHD_Connection *connection, bool has_body)
{
	struct framing framing = {0};

	MHD_get_connection_values_n(connection, MHD_HEADER_KIND, look_at_header, &framing);
	return !framing.is_odd && framing.lengths + framing.encodings <= 1 && framing.hosts <= 1 &&
	       framing.lengths + framing.encodings >= has_body;
}
