/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Every bound on what a stranger may send, and why it is what it is.
 */
#ifndef WARG_VERIFY_CAPS_H
#define WARG_VERIFY_CAPS_H

/* Texts */
#define CAP_NAME_PART 255   /* a namespace or a package is a file name, and NAME_MAX is 255 */
#define CAP_NAME_CARRIED (2u << 20) /* longest name accepted on the wire, though refused here: the reference's bound */
#define CAP_VERSION 250     /* a version is a file name with ".wasm" behind it */
#define CAP_COMPARATORS 32  /* the bound of the Rust crate `semver`, which the reference uses */
#define CAP_OPTIONS 4096    /* bytes of a struct warg_options, also of later versions */
#define CAP_REQUIREMENT 4096 /* a requirement as it is typed: CAP_COMPARATORS of more than a hundred bytes */
#define CAP_KEY_TEXT 128    /* "ecdsa-p256:" and base64 of 33 bytes is 55; room for a message about a longer one */
#define CAP_SIGNATURE_TEXT 128 /* "ecdsa-p256:" and base64 of at most 72 bytes of DER is 107 */
#define CAP_URL 4096        /* longer than any URL that servers take */
#define CAP_DOMAIN 261      /* a host of 255 bytes, a colon, a port of five digits */
#define CAP_MESSAGE 512     /* a server's own words: as much as a person will read */
#define CAP_FETCH_TOKEN 256 /* the reference's are record ids of 71 bytes */

/* Records */
#define CAP_RECORD (1u << 20)      /* the reference refuses bodies over 2 MB, and base64 takes a third */
#define CAP_RECORD_CARRIED (2u << 20) /* one that the server hands on, though refused here: the reference's bound */
#define CAP_RECORD_ENTRIES 16384   /* a record of CAP_RECORD bytes holds about that many releases */
#define CAP_SECONDS 253402300799ull /* google.protobuf.Timestamp ends with the year 9999 */
#define CAP_CLOCK_AHEAD 30         /* seconds that a checkpoint may be ahead of the clock here: no two agree */
#define CAP_LOG_KEYS 4096          /* keys ever known to one log */
#define CAP_LOG_RELEASES 1000000   /* versions of one package */
#define CAP_NAMESPACES 100000      /* namespaces of one registry */

/* The registry's log and map */
#define CAP_LOG_LENGTH 0x7fffffffu     /* node numbers are 2 × index and travel as uint32 */
#define CAP_LOG_HEIGHT 32              /* so no path is longer than this */
#define CAP_MAP_HEIGHT 256             /* bits of a SHA-256 */
#define CAP_AUDIT_LOGS (1u << 18)      /* logs of a map that is audited: 190 bytes of memory each, beside the listing */
#define CAP_PROOF_LEAVES 65536         /* leaves that one bundle may speak of; more are asked for in several */
#define CAP_PROOF_HASHES (1u << 20)    /* hashes in one log bundle: 32 bytes each, so 36 MB on the wire */
#define CAP_MAP_PROOF_HASHES (1u << 21) /* hashes in one map bundle, 64 MB: CAP_PROOF_LEAVES paths of 32 */

/* Answers */
#define CAP_HEADERS (64u << 10)        /* all header lines of an exchange, those of redirects included */
#define CAP_BODY_SMALL (64u << 10)     /* checkpoint, well-known, errors, content sources */
#define CAP_BODY_NAMES (4u << 20)      /* 1000 names of at most 512 bytes, with their ids; or one refused name */
#define CAP_BODY_LOGS (8u << 20)       /* one page of logs: 11,000 records of 700 bytes; longer answers are halved */
#define CAP_BODIES (32u << 20)         /* the answers of all calls that run at the same time: pages of logs, of names */
#define CAP_KNOWN (1u << 16)           /* logs that a mount keeps and nobody looks at: 600 bytes of memory each */
#define CAP_AHEAD (256u << 10)         /* bytes of one package's log while nobody waits for it: some 800 records */
#define CAP_LOGS_HELD (16u << 20)      /* bytes of records held before the caller must process them */
#define CAP_BODY_RECORD (16u << 20)    /* a record's state: an upload of 1400 bytes for each release that it can hold */
#define CAP_BODY_PROOF (4u << 20)      /* 1024 heads of 1.3 KB three times; longer answers are halved */
#define CAP_BODY_LEDGER (256u << 20)   /* 4 million records of 64 bytes */
#define CAP_CONTENT (4ull << 30)       /* one component; the format itself ends at 4 GiB */
/*
 * Bytes a second that a content's source has to send, measured over each time-out; a slower source is given up. So a
 * slow source holds one of the 16 download slots for at most twice the time-out (the second one is for the next
 * source). A line of 16 KiB/s is enough for all 16.
 */
#define CAP_CONTENT_RATE 1024
#define CAP_JSON_DEPTH 32              /* nesting in an answer; the deepest honest one is 6 */
/*
 * JSON values in an answer, of up to 250 bytes of memory each beside their text: 32 MB. The largest honest answers have
 * 7 for each of CAP_RECORD_ENTRIES missing contents of a record, or 6 for each record of a page.
 */
#define CAP_JSON_VALUES (1u << 17)
#define CAP_JSON_VALUES_FILE (1u << 23) /* in a local file: a package's state has 8 for each release */
#define CAP_REDIRECTS 5                /* for content only */
#define CAP_SPLITS 4096                /* further requests of one call after answers that were too long */
#define CAP_LISTED_LOGS (1u << 20)     /* logs of a listing: 40 bytes of memory each, twice while it grows */
#define CAP_LISTED_NAMES (64u << 20)   /* bytes of a listing's names, with a NUL each: 64 for each of those logs */
#define CAP_LISTED_REFUSED 4096        /* refused names that a listing reports: 110 bytes of memory each */
#define CAP_PAGES 100000               /* `more` rounds of one update: 1000 records each */
#define CAP_RETRY_AFTER 3600           /* seconds for which a registry may ask for peace: not to silence us for good */
#define CAP_REPEATS 3                  /* of one request that a server or gateway puts off, each after a wait */
#define CAP_SOURCES 16                 /* content sources of one digest */
#define CAP_UPLOAD_HEADER (8u << 10)   /* a header that an upload is to carry: as much as servers take of one line */
#define CAP_LEDGER_SOURCES 10000       /* ledger parts: 1000 records each on the reference */

/* Proof documents */
#define CAP_PROOF (64u << 20)          /* the logs of one package and the operator: some 150,000 records */
#define CAP_PROOF_RECORDS (CAP_PROOF / 200) /* the members of one take more than 200 bytes */

/* Publishing */
#define CAP_PUBLISH_SIGNATURES 16      /* of one publish: each but the last lost a race against another record */
#define CAP_PUBLISH_SENDS 3            /* of one record, each after the registry said that it does not have it */
#define CAP_UPLOAD_ROUNDS 4            /* times that one record's contents are uploaded: uploads can break, too */
#define CAP_UPLOAD_RATE 4096           /* bytes a second: an upload that is slower in all is given up */

/* Requests */
#define CAP_REQUEST (3u << 19)         /* a record of CAP_RECORD bytes in base64; the reference takes 2 MB */
#define CAP_REQUEST_NAMES 1000         /* more are silently left out by the reference */
#define CAP_REQUEST_RECORDS 1000       /* `limit` of fetch/logs: the most that the reference takes */

/* What a server of ours takes, and gives */
#define CAP_SERVED_BODY (2u << 20)     /* a request's body; the reference takes 2 MB */
#define CAP_SERVED_VALUES 65536        /* values in its JSON, of 230 bytes at worst; 26,000 packages are two each */
#define CAP_SERVED_ANSWER (20u << 20)  /* an answer made in memory: one of CAP_SERVED_LOGS, and one record each */
#define CAP_SERVED_LOGS (8u << 20)     /* contents of records in one answer to fetch/logs: the rest comes with `more` */
#define CAP_SERVED_NAMES_BYTES (2u << 20) /* names of one answer together; one alone may be CAP_NAME_CARRIED */
#define CAP_SERVED_NAMES 1000          /* names of one answer, as the reference */
#define CAP_SERVED_LEAVES 14336        /* leaves proven in one answer: what `warg` can name in CAP_SERVED_BODY */
#define CAP_SERVED_ASIDE (4u << 10)    /* bytes of a request that is handled at once: larger ones wait a millisecond */
#define CAP_SERVED_AT_ONCE (256u << 10) /* the same for an answer */
#define CAP_SERVED_MISSING 256         /* the same for missing contents of a record */
#define CAP_SERVED_LOG_CACHE (32u << 20) /* logs kept in memory to validate the next record: 100,000 releases in all */
#define CAP_CHECKED_LOG 256            /* records of a registry that is checked before it serves, not meanwhile */
#define CAP_CHECKED_MAP 5000           /* packages whose map is checked after a server's start: half a second */
#define CAP_SERVED_CONNECTIONS 4096    /* open at a time */
#define CAP_SERVED_HEADERS (32u << 10) /* memory of a connection: all of a request's header lines, and its path */
#define CAP_SERVED_MEMORY (120u << 20) /* request bodies and unread answers of all clients: five of the largest */
#define CAP_CLIENT_MEMORY (24u << 20)  /* the same for one client: one answer of any size, and a hundred usual ones */
#define CAP_CLIENT_CONNECTIONS 256     /* of one client: 9 MiB of headers, 25 MiB with TLS; some sixteen mounts */
#define CAP_SERVED_IDLE 30             /* seconds without a byte after which a connection is closed */
#define CAP_SERVED_HEAD 60             /* seconds from one request to the next one's header, with CAP_SERVED_IDLE */
#define CAP_SERVED_REQUEST 60          /* seconds for a request of CAP_SERVED_BODY to come in whole */
#define CAP_SERVED_GRACE 30            /* seconds for which an upload, or the reader of an answer, may be slower */
#define CAP_SERVED_RATE 4096           /* than so many bytes a second in all: CAP_UPLOAD_RATE */

/* Resource limits that a long-running process needs: it warns at its start if they are lower */
#define LEAST_DESCRIPTORS 1024         /* descriptors: one a connection, and a few dozen files; a login shell's limit */
#define LEAST_THREADS 256              /* threads of the user: CAP_PUBLISHES, and five for each of a few registries */
#define LEAST_MEMORY (512ull << 20)    /* bytes: CAP_FILE_STATE, twice */
#define LEAST_STACK (1u << 20)         /* bytes a thread: the largest frames are some 100 KiB, plus libraries */

/* Federation */
#define CAP_REGISTRIES 32              /* others than the home registry, open at a time: five threads each */
#define CAP_HINTS 64                   /* hints that one command may get: one for each namespace that it asks about */

/* Files that lie in the cache or configuration */
#define CAP_FILE_STATE (256u << 20)    /* one package's state: a million versions of 256 bytes */
#define CAP_FILE_CONFIG (1u << 20)
#define CAP_TOML_DEPTH 64              /* nesting in such a file, whose reader is recursive; ours have a depth of 3 */
#define CAP_FILE_CERTIFICATES (4u << 20) /* trusted certificates: a system's are 220 kB */
#define CAP_FILE_LOG (1u << 20)        /* log of a local registry's server: weeks of it, and as much in the old file */
#define CAP_SECRET (8u << 10)          /* a key or a token in a keyring: a token has to fit into a header line */
#define CAP_FILE_PENDING (16u << 20)   /* CAP_RECORD_ENTRIES entries of at most 450 bytes, twice over */
#define CAP_FILE_JOURNAL (2u << 20)    /* a record of CAP_RECORD bytes in base64 */
#define CAP_JOURNAL 65536              /* records under way: each one was signed here */
#define CAP_RECEIPTS 1000000           /* receipts of one package: a record each */
#define CAP_PUBLISHES 64               /* concurrent publishes of one mount: each is a thread that mostly waits */
#define CAP_CHORES 8 /* other concurrent blocking jobs of one mount: each waits for the disk or a keyring */
#define CAP_STAGED_FILES 65536         /* files that were written to a mount and are not published */
#define CAP_STAGING_MOUNTS 64          /* writable mounts of one registry that one user may have at a time */
#define CAP_CALLER_DESCRIPTORS 4096    /* descriptors looked at of a program that closes an empty file: few have 1024 */
#define CAP_NAMESPACE_MAP 4096         /* namespaces in the map: each one was asked for once, or typed */
#define CAP_FILE_SIZES (64u << 20)     /* CAP_SIZES lines of at most 77 bytes, several times over */
#define CAP_FILE_LEDGER (1u << 30)     /* 16 million records of 64 bytes: four times what one part can bring */
#define CAP_FILE_RECORDS (1u << 30)    /* one log's records: a million of them, of a kilobyte */
#define CAP_FILE_NAMES (512u << 20)    /* a million names of 512 bytes */
#define CAP_SIZES (1u << 17)           /* sizes remembered: 100 bytes of memory each */
#define CAP_VERIFIED (1u << 14)        /* contents known to have matched: 200 bytes of memory each */
#define CAP_SIZES_AHEAD (1u << 12)     /* sizes that wait to be asked for while nobody waits for them */

#endif
