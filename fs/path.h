/*
 * Where something is in the mount, and the names that can be there:
 *
 *   /                                    the root
 *   /<namespace>                         a namespace
 *   /<namespace>/<package>               a package
 *   /<namespace>/<package>/<version>.wasm  a release
 *   /<namespace>/<package>/latest.wasm     the symbolic link to the best one
 *
 * Only about form: whether a thing is there is the registry's business.
 */
#ifndef WARGFS_FS_PATH_H
#define WARGFS_FS_PATH_H

#include "verify/name.h"

#define PATH_SUFFIX ".wasm"
#define PATH_LATEST_NAME "latest" PATH_SUFFIX

enum path_kind { PATH_ROOT, PATH_NAMESPACE, PATH_PACKAGE, PATH_RELEASE, PATH_LATEST };

/** A place. A value: may be copied. */
struct path {
	enum path_kind kind;
	/** "", "ns", "ns/pkg", "ns/pkg/1.0.0", "ns/pkg/latest.wasm": without the suffix of a release. */
	char text[2 * CAP_NAME_PART + CAP_VERSION + 3];
};

/** The root. */
struct path path_root(void);

/** The place called `name` in `parent`. @return whether there can be one */
bool path_child(const struct path *parent, const char *name, struct path *out);

/** The folder that holds a place; the root's is the root. */
struct path path_parent(const struct path *path);

/** The namespace of a place that is not the root. Borrowed. */
struct span path_namespace(const struct path *path);

/** The package of a place that is a package or in one. */
struct name path_package(const struct path *path);

/** The version of a release. Borrowed. */
struct span path_version(const struct path *path);

/** The release's file name: its version with the suffix. */
#define PATH_FILE_NAME_SIZE (CAP_VERSION + sizeof(PATH_SUFFIX))
void path_file_name(const char *version, char out[static PATH_FILE_NAME_SIZE]);

#endif
