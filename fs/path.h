/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Where something is in the mount, and the names that can be there:
 *
 *   /                                           the root
 *   /<namespace>/<package>/<version>.wasm       a release
 *   /<namespace>/<package>/latest.wasm          a link to the best release
 *   /<namespace>/<package>/<requirement>.wasm   a link to the best one that satisfies it: "^1.2.wasm", "*.wasm"
 *   /<namespace>/<package>/.yanked/<version>    who yanked it, and when
 *   /.latest/<namespace>/<package>.wasm         a link to that package's latest.wasm
 *   /.warg/status, checkpoint, operator.json, metrics
 *   /.warg/log/<namespace>/<package>.json       the package's log
 *   /.warg/proof/<namespace>/<package>/<version>.json   all that proves a release, yanked or not, to somebody else
 *   /.warg/receipts/<namespace>/<package>/<record>.json the same of a record that was published from here
 *
 * In a mount that may be written to also:
 *
 *   /<namespace>/<package>/<any other name>              a file that was written here and is not published
 *   /<namespace>/<package>/.<any other name>/<any name>  the same, in a folder that a program has made for a while
 *   /.publish/<namespace>/<package>/                     the open transaction
 *   /.publish/<namespace>/<package>/<version>.wasm       a release that is to be in its record
 *   /.publish/<namespace>/<package>/<any other name>     a file that was written there
 *   /.publish/<namespace>/<package>/.<any other name>/<any name>  the same, in a folder
 *
 * Only about form: whether a thing is there is the registry's business, or the staging's.
 */
#ifndef WARGFS_FS_PATH_H
#define WARGFS_FS_PATH_H

#include "verify/name.h"

#include <limits.h>
#include <sys/types.h>

enum path_kind {
	PATH_ROOT,
	PATH_NAMESPACE,
	PATH_PACKAGE,
	PATH_RELEASE,
	PATH_LATEST,
	PATH_REQUIREMENT,
	PATH_YANKED, /* the folder */
	PATH_YANKED_VERSION,
	PATH_LINKS, /* /.latest */
	PATH_LINKS_NAMESPACE,
	PATH_LINK,
	PATH_WARG,
	PATH_STATUS,
	PATH_CHECKPOINT,
	PATH_OPERATOR,
	PATH_METRICS,
	PATH_LOGS, /* /.warg/log */
	PATH_LOGS_NAMESPACE,
	PATH_LOG,
	PATH_PROOFS, /* /.warg/proof */
	PATH_PROOFS_NAMESPACE,
	PATH_PROOFS_PACKAGE,
	PATH_PROOF,
	PATH_RECEIPTS, /* /.warg/receipts */
	PATH_RECEIPTS_NAMESPACE,
	PATH_RECEIPTS_PACKAGE,
	PATH_RECEIPT,
	PATH_STAGED, /* from here on: only where a mount may be written to */
	PATH_STAGED_FOLDER, /* a folder of such files, which a program has made */
	PATH_STAGED_INNER,  /* a file in it */
	PATH_STAGED_LINK, /* a link that a program has made, whatever it is called (links.h) */
	PATH_TRANSACTIONS, /* /.publish */
	PATH_TRANSACTIONS_NAMESPACE,
	PATH_TRANSACTION,
	PATH_ENTRY,
	PATH_ENTRY_STAGED,
	PATH_ENTRY_FOLDER, /* as PATH_STAGED_FOLDER */
	PATH_ENTRY_INNER,
	PATH_KINDS /* how many there are */
};

/** Room for four names of NAME_MAX bytes, with what stands before and between them. */
#define PATH_SIZE (4 * NAME_MAX + 16)

/** A place. A value: may be copied. */
struct path {
	enum path_kind kind;
	char text[PATH_SIZE]; /* as it is in the mount, without the slash before it */
};

/** The root. */
struct path path_root(void);

/** The place called `name` in `parent`. @return whether there can be one */
bool path_child(const struct path *parent, const char *name, struct path *out);

/**
 * The place of a kind in the folder for such places.
 * @param stem  its name without what always follows, such as ".wasm"; not looked at when such places have one name only
 * @param out   may be `folder`
 * @return false if the name would be longer than a file's name can be
 */
bool path_join(const struct path *folder, enum path_kind kind, struct span stem, struct path *out);

/** Whether places of a kind are in mounts that may be written to, and in no others. */
bool path_is_for_writing(enum path_kind kind);

/** Whether a place is a file that was written to the mount and is not published. */
bool path_is_draft(enum path_kind kind);

/** Whether several things may come one after another under a place's name: then they are told apart by a digest. */
bool path_has_digest(enum path_kind kind);

/**
 * The file that was written under the name of `path` and is not published.
 * @return false if nothing can be written in its folder
 */
bool path_as_draft(const struct path *path, struct path *out);

/**
 * The folder of drafts with the name of `path`, which no name tells from a file.
 * @return false if there can be no folder of that name
 */
bool path_as_folder(const struct path *path, struct path *out);

/** Whether a place is such a folder, or in one. */
bool path_is_inner(enum path_kind kind);

/** The folder that holds a place; the root's is the root. */
struct path path_parent(const struct path *path);

/** The folder of a package. */
struct path path_of_package(const struct name *name);

/**
 * The place of a kind for a package, or its namespace, or as it is where it is of none.
 * @param name  NULL for a kind that is of no namespace
 * @return false if its name would be longer than a file's name can be, or says more than the package's does
 */
bool path_of(enum path_kind kind, const struct name *name, struct path *out);

/** The last part of a place's path: what it is called in its folder. Borrowed. */
const char *path_name(const struct path *path);

/** S_IFDIR, S_IFREG or S_IFLNK. */
mode_t path_type(enum path_kind kind);

/** The kinds of places that a folder holds under one name each: the next one behind `after`, or PATH_KINDS. */
enum path_kind path_next_fixed(enum path_kind folder, enum path_kind after);

/** The kind of places in a folder that are called like namespaces or packages, whatever follows; PATH_KINDS: none. */
enum path_kind path_parts_in(enum path_kind folder);

/** Whether a place is called like a namespace, like a package, or like a version, whatever follows. */
bool path_is_called_namespace(enum path_kind kind);
bool path_is_called_package(enum path_kind kind);
bool path_is_called_version(enum path_kind kind);

/** The kind of the folder that holds places of a kind. */
enum path_kind path_folder(enum path_kind kind);

/** Whether a place is a file whose text is made for whoever opens it: all in /.warg. */
bool path_is_document(enum path_kind kind);

/** Whether a place is a file whose text is made here, kept with its node: a document, or one in .yanked. */
bool path_has_text(enum path_kind kind);

/** Whether a place is of one namespace, or of one package. */
bool path_has_namespace(enum path_kind kind);
bool path_has_package(enum path_kind kind);

/** The namespace of a place that has one. Borrowed. */
struct span path_namespace(const struct path *path);

/** The package of a place that has one. */
struct name path_package(const struct path *path);

/** The name without what always follows: a version, a requirement. Borrowed. */
struct span path_stem(const struct path *path);

/** The record of a place that has one. */
struct digest path_record(const struct path *path);

/** The version of a place that has one, with a NUL. */
void path_version(const struct path *path, char out[static CAP_VERSION + 1]);

#endif
