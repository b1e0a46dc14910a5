/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * libwarg: a Warg registry, verified. libwarg(3) has an example.
 *
 * A program opens a registry, looks for packages and releases, fetches contents, publishes, and checks proof documents.
 * What a registry, a cache or a document says is checked before a function returns it: signatures of the operator and
 * of publishers, the registry's log and map, and the digest of each content.
 *
 * Calling sequence: fill in a struct warg_options, by hand or with warg_options_from_environment(); warg_open(); any of
 * the functions that take a struct warg, from any thread, several at once; warg_close(), when no call is running.
 *
 * A function that returns int returns 0, or a negative number after a failure: WARG_INVALID or WARG_UNDECIDED. Outputs
 * are then unchanged. warg_error_text() says what failed. The library prints nothing, ends no program, handles no
 * signals, and reads the environment only in warg_options_from_environment(). A struct warg has threads of its own: a
 * program that forks uses it in one of the two processes only.
 */
#ifndef WARG_H
#define WARG_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WARG_API __attribute__((visibility("default")))
#else
#define WARG_API
#endif

/** The bytes are forged or malformed: the other side, or a file, is at fault. A retry does not help. */
#define WARG_INVALID (-1)
/** The result could not be determined: the network, a bound, no memory, a wrong argument. */
#define WARG_UNDECIDED (-2)

/** What kind of failure it was. Numbers stay; later versions may add some. */
enum warg_kind {
	WARG_KIND_NONE = 0,         /* nothing failed */
	WARG_KIND_FORGED = 1,       /* forged or malformed data: the kind of WARG_INVALID */
	WARG_KIND_UNREACHABLE = 2,  /* no connection, or the server cannot serve now; or offline, and not cached */
	WARG_KIND_TIMEOUT = 3,      /* no answer in time */
	WARG_KIND_LOGIN = 4,        /* the registry wants a token, or another one */
	WARG_KIND_REFUSED = 5,      /* the registry refuses, with a reason */
	WARG_KIND_DENIED = 6,       /* the key lacks a permission */
	WARG_KIND_NO_KEY = 7,       /* there is no key to sign with */
	WARG_KIND_ABSENT = 8,       /* no such namespace, package, release or content */
	WARG_KIND_EXISTS = 9,       /* it exists already */
	WARG_KIND_LIMIT = 10,       /* more than the library takes */
	WARG_KIND_OVERSIZED = 11,   /* a record of a log is larger than the library takes: the log is not read */
	WARG_KIND_CANCELLED = 12,   /* the progress callback asked for the end */
	WARG_KIND_MISUSE = 13,      /* an argument that cannot be right */
	WARG_KIND_SYSTEM = 14       /* this machine: memory, files, descriptors */
};

/** Whose doing a failure is. Numbers stay; later versions may add some. */
enum warg_party {
	WARG_PARTY_UNKNOWN = 0,
	WARG_PARTY_REGISTRY = 1,    /* the registry's answers */
	WARG_PARTY_SOURCE = 2,      /* the server that a content comes from, which may be another one */
	WARG_PARTY_CACHE = 3,       /* files of the folders that the options name */
	WARG_PARTY_NETWORK = 4,
	WARG_PARTY_USER = 5,        /* the caller: an argument, or a file to be published */
	WARG_PARTY_SYSTEM = 6       /* this machine */
};

/** A registry that is open, with those that its namespaces live in. Close it with warg_close(). */
struct warg;
/** What the environment and the configuration say; part of options. */
struct warg_environment;

/** How far a call is. `size` grows with later versions. */
struct warg_progress {
	size_t size;                /* sizeof(struct warg_progress), of the library */
	const char *what;           /* "registry", "package", "listing", "content", "proof" or "publish" */
	uint64_t done, whole;       /* bytes of a content; `whole` is 0 while it is not known */
};

/**
 * How to open a registry. All zero but `size`, and then what is needed. Texts are UTF-8, and copied by warg_open().
 * NULL and 0: not set.
 */
struct warg_options {
	size_t size;                /* sizeof(struct warg_options), of the caller */
	const char *url;            /* the registry's: "https://registry.example/"; needed */
	/* Absolute paths of folders; all four are needed, and made where they are missing. */
	const char *registries_dir; /* logs of packages and operators, as the client warg keeps them */
	const char *content_dir;    /* contents, likewise */
	const char *cache_dir;      /* what else can be fetched again */
	const char *state_dir;      /* pinned operator keys, checkpoints, records that are being published */
	const char *namespace_map;  /* path of a file that says which namespaces live in which other registry */
	/*
	 * How requests travel. A process has one such setting: the first registry that is opened chooses it, and one
	 * that is opened with another setting is refused with WARG_KIND_MISUSE.
	 */
	const char *ca_file;        /* path of trusted certificates in PEM, in place of the system's */
	const char *proxy;          /* for https, as curl takes it */
	const char *no_proxy;       /* hosts that are reached without it, with commas between */
	const char *operator_key;   /* "sha256:..." that the operator's first key must have; else it is pinned when
				       the registry is first opened */
	const char *token;          /* bearer token for this registry */
	const char *signing_key;    /* "ecdsa-p256:...", the private key that signs what is published */
	int offline;                /* not 0: only what the folders hold is used, and nothing is sent */
	unsigned timeout;           /* seconds to wait for an answer; 0: 30 */
	/*
	 * Called every 100 milliseconds on the thread that is in a call, while that call waits, and once before it
	 * waits. Not 0: the call ends soon, with WARG_KIND_CANCELLED. It must not call the library.
	 */
	int (*progress)(void *user, const struct warg_progress *progress);
	void *user;                 /* for `progress` */
	struct warg_environment *environment; /* set by warg_options_from_environment() */
};

/** A release. Texts are NUL-terminated. The library makes it: later versions may add members at the end. */
struct warg_release {
	const char *package;        /* "namespace:name" */
	const char *version;        /* "1.0.0" */
	const char *digest;         /* of the content: "sha256:..."; NULL: yanked, and no longer known */
	const char *record;         /* id of the record that released it */
	const char *released_by;    /* key id of its signer */
	int64_t released_at;        /* seconds since 1970, as the signer says */
	const char *yanked_by;      /* key id; NULL: it was not yanked */
	int64_t yanked_at;
	const char *registry;       /* that has it: the URL of the one that is open, or the domain of another one.
				       By a document: the URL that it claims */
	const char *operator_key;   /* by a document: key id of the operator's first key; else NULL */
};

/** The library's version: "0.1.0". */
WARG_API const char *warg_version(void);

/**
 * What failed in this thread's last call that failed, in one sentence without a newline: "sha256:…: the content source
 * sent other bytes". "" before the first. Valid until this thread's next call.
 */
WARG_API const char *warg_error_text(void);
/** Its kind: an enum warg_kind. */
WARG_API int warg_error_kind(void);
/** Whose doing it is: an enum warg_party. Only WARG_KIND_FORGED accuses. */
WARG_API int warg_error_party(void);

/**
 * Fill in what is not set by what the program wargfs and the client warg use: the home registry's URL, the folders and
 * the namespace map of the configuration, certificates and proxy of the settings and the environment. Keys and tokens
 * are looked for in the user's keyring when they are needed, and operator keys in the settings of wargfs. Reads the
 * environment, so no other thread may change it meanwhile.
 * @param options  `size` is set; warg_options_release() it
 * @param config   path of the configuration; NULL: it is looked for, as wargfs(1) says
 */
WARG_API int warg_options_from_environment(struct warg_options *options, const char *config);
/** Give back what warg_options_from_environment() took; those members are zero afterwards. NULL is fine. */
WARG_API void warg_options_release(struct warg_options *options);

/**
 * Open a registry. Online this asks which registry the URL stands for, and no more; what is proven comes with the calls
 * below. Offline the folders must hold a listing, which warg_each_namespace() fetches: else WARG_KIND_ABSENT.
 * @param out  warg_close() it
 */
WARG_API int warg_open(const struct warg_options *options, struct warg **out);
/** Close it. NULL is fine. */
WARG_API void warg_close(struct warg *warg);

/**
 * Bring the registry to its newest checkpoint, and check that its log has grown from the one before. The other calls do
 * that themselves: this is for a program that wants to know whether the registry answers.
 * @param log_length  number of records in the registry's log; may be NULL
 */
WARG_API int warg_refresh(struct warg *warg, uint64_t *log_length);

/**
 * Call `each` for each namespace, sorted by name.
 * @param each      not 0 ends the walk, which is no failure. May call the library, but not warg_close()
 * @param complete  0: the registry has no ledger, withholds names, or is offline, so that there may be more. May be
 *                  NULL
 */
WARG_API int warg_each_namespace(struct warg *warg, int (*each)(void *user, const char *name), void *user,
				 int *complete);
/** Call `each` for each package of a namespace, with its whole name, as warg_each_namespace() does. */
WARG_API int warg_each_package(struct warg *warg, const char *name_space,
			       int (*each)(void *user, const char *package), void *user, int *complete);
/**
 * Call `each` for each release of a package, yanked ones included, in the order in which they were released.
 * @param package  "namespace:name"
 * @param each     the release is valid until it returns; as for warg_each_namespace()
 */
WARG_API int warg_each_release(struct warg *warg, const char *package,
			       int (*each)(void *user, const struct warg_release *release), void *user);

/**
 * Find the greatest version that satisfies a requirement and is not yanked.
 * @param requirement  "1.2.0", "^1.2", ">=1, <3", "*": what begins with a digit means exactly that, all else is in
 *                     Cargo's grammar. NULL: "*"
 * @param out          warg_release_free() it
 */
WARG_API int warg_resolve(struct warg *warg, const char *package, const char *requirement,
			  struct warg_release **out);
/** NULL is fine. */
WARG_API void warg_release_free(struct warg_release *release);

/**
 * Write a release's content to a descriptor, from its position on. The content is fetched into the cache, or found
 * there, and hashed, before the first byte is written.
 * @param release  of which `package` and `digest` are used
 */
WARG_API int warg_fetch(struct warg *warg, const struct warg_release *release, int fd);

/**
 * Write a release's proof document to a descriptor: a file with which warg_check_proof() and `wargfs verify --proof`
 * check the release again, offline.
 * @param release  of which `package` and `version` are used
 */
WARG_API int warg_prove(struct warg *warg, const struct warg_release *release, int fd);
/**
 * Check a proof document of a release or of a record, alone and offline.
 * @param document      its `size` bytes
 * @param content       a descriptor: what stands behind its position must be the release's content, or one of those
 *                      that the record releases. -1: not compared
 * @param operator_key  "sha256:..." that the operator's first key must have. NULL: compare the result's yourself
 * @param out           what is proven; warg_release_free() it; may be NULL. Of a record that was not compared with a
 *                      content, `version` and `digest` are NULL
 */
WARG_API int warg_check_proof(const void *document, size_t size, int content, const char *operator_key,
			      struct warg_release **out);

/** Room for a digest's text with its NUL. */
#define WARG_DIGEST_SIZE 72

/**
 * Publish a file as a version of a package, and wait until the record is proven to be in the registry's log. A package
 * that the registry does not have is initialised in the same record. What was left under way, by this or another
 * program, is gone on with first, so that nothing is published twice.
 * @param fd      what stands behind its position must be a WebAssembly component or module
 * @param record  the record's id; may be NULL. After a failure too, if the record is under way: the next call with the
 *                same arguments goes on with it. Else ""
 */
WARG_API int warg_publish(struct warg *warg, const char *package, const char *version, int fd,
			  char record[WARG_DIGEST_SIZE]);

#ifdef __cplusplus
}
#endif

#endif
