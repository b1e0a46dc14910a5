/*
 * Names in the mount (see path.h).
 */
#include "path.h"

#include "verify/semver.h"

#include <stdio.h>
#include <string.h>

struct path path_root(void)
{
	return (struct path){ .kind = PATH_ROOT };
}

/* There is room: every name was checked against its cap. */
static void put(enum path_kind kind, const struct path *parent, struct span name, struct path *out)
{
	size_t end = strlen(parent->text);

	*out = (struct path){ .kind = kind };
	memcpy(out->text, parent->text, end);
	if (end)
		out->text[end++] = '/';
	memcpy(out->text + end, name.data, name.length);
}

/* The version in a file name, cut off its suffix. */
static bool split_file_name(const char *name, struct span *version)
{
	const size_t suffix = sizeof(PATH_SUFFIX) - 1;
	struct semver parsed;

	*version = span_of_text(name);
	if (version->length <= suffix || strcmp(name + version->length - suffix, PATH_SUFFIX) != 0)
		return false;
	version->length -= suffix;
	return semver_parse(*version, &parsed, NULL) == 0;
}

bool path_child(const struct path *parent, const char *name, struct path *out)
{
	struct span text = span_of_text(name);

	switch (parent->kind) {
	case PATH_ROOT:
	case PATH_NAMESPACE:
		if (!name_is_part(text))
			return false;
		put(parent->kind == PATH_ROOT ? PATH_NAMESPACE : PATH_PACKAGE, parent, text, out);
		return true;
	case PATH_PACKAGE:
		if (strcmp(name, PATH_LATEST_NAME) == 0) {
			put(PATH_LATEST, parent, text, out);
			return true;
		}
		if (!split_file_name(name, &text))
			return false;
		put(PATH_RELEASE, parent, text, out);
		return true;
	case PATH_RELEASE:
	case PATH_LATEST:
		break;
	}
	return false;
}

struct path path_parent(const struct path *path)
{
	const char *end = strrchr(path->text, '/');
	struct path parent = { .kind = PATH_ROOT };

	if (!end)
		return parent;
	parent.kind = path->kind == PATH_PACKAGE ? PATH_NAMESPACE : PATH_PACKAGE;
	memcpy(parent.text, path->text, (size_t)(end - path->text));
	return parent;
}

struct span path_namespace(const struct path *path)
{
	return (struct span){ (const unsigned char *)path->text, strcspn(path->text, "/") };
}

struct name path_package(const struct path *path)
{
	struct span namespace = path_namespace(path);
	const char *package = path->text + namespace.length + 1;
	struct name name = { .colon = namespace.length };

	snprintf(name.text, sizeof(name.text), "%.*s:%.*s", (int)namespace.length, path->text,
		 (int)strcspn(package, "/"), package);
	return name;
}

struct span path_version(const struct path *path)
{
	return span_of_text(strrchr(path->text, '/') + 1);
}

void path_file_name(const char *version, char out[static PATH_FILE_NAME_SIZE])
{
	snprintf(out, PATH_FILE_NAME_SIZE, "%s" PATH_SUFFIX, version);
}
