/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The state machine of package logs (see package_log.h).
 *
 * A record's entries are applied to the state one by one, as later ones may build on earlier ones; its signature is
 * checked last, as its key may come with it. If anything fails, what was applied is undone.
 */
#include "package_log.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "text_index.h"

struct package_log {
	atomic_uint references;
	bool has_head;
	struct log_head head;
	struct digest transcript;
	bool is_restored; /* the transcript is not known */
	struct log_keys keys;
	struct package_release *releases;
	size_t count, capacity;
	struct text_index by_version; /* of `releases` */
	/*
	 * The place of what package_log_best() found without a requirement, or one of these. Readers side by side find
	 * the same; only an append, with nobody beside it, makes it unknown again.
	 */
	_Atomic uint32_t best;
	uint16_t colon; /* of the name */
	char name[];    /* its text, at its own length */
};
#define BEST_UNKNOWN UINT32_MAX
#define BEST_NONE (UINT32_MAX - 1)

/* ---- Memory ---- */

/* @param name  a text with its colon at `colon` */
static struct package_log *new_log(const char *name, size_t colon)
{
	size_t length = strlen(name);
	struct package_log *log = calloc(1, sizeof(*log) + length + 1);

	if (!log)
		return NULL;
	atomic_init(&log->references, 1);
	atomic_init(&log->best, BEST_UNKNOWN);
	log->colon = (uint16_t)colon;
	memcpy(log->name, name, length);
	return log;
}

int package_log_new(const struct name *name, struct package_log **out, struct fault *flt)
{
	struct package_log *log = new_log(name->text, name->colon);

	if (!log)
		return fault_no_memory(flt);
	*out = log;
	return 0;
}

struct package_log *package_log_ref(struct package_log *log)
{
	atomic_fetch_add_explicit(&log->references, 1, memory_order_relaxed);
	return log;
}

static void free_release(struct package_release *release)
{
	free((char *)(uintptr_t)release->version);
	free((struct package_yank *)(uintptr_t)release->yank);
}

/* Set what a release owns to copies of its own. @return false without memory: it owns nothing then */
static bool copy_owned(struct package_release *release, struct span version, const struct package_yank *yank)
{
	struct package_yank *own_yank = yank ? malloc(sizeof(*own_yank)) : NULL;

	release->version = strndup((const char *)version.data, version.length);
	release->yank = own_yank;
	if (!release->version || (yank && !own_yank)) {
		free_release(release);
		return false;
	}
	if (yank)
		*own_yank = *yank;
	return true;
}

void package_log_unref(struct package_log *log)
{
	if (!log || atomic_fetch_sub_explicit(&log->references, 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < log->count; i++)
		free_release(&log->releases[i]);
	free(log->releases);
	text_index_release(&log->by_version);
	log_keys_release(&log->keys);
	free(log);
}

static int copy_releases(const struct package_log *log, struct package_log *copy, struct fault *flt)
{
	if (log->count == 0)
		return 0;
	copy->releases = calloc(log->count, sizeof(*copy->releases));
	if (!copy->releases)
		return fault_no_memory(flt);
	copy->capacity = log->count;
	for (; copy->count < log->count; copy->count++) {
		const struct package_release *release = &log->releases[copy->count];

		copy->releases[copy->count] = *release;
		if (!copy_owned(&copy->releases[copy->count], span_of_text(release->version), release->yank))
			return fault_no_memory(flt);
	}
	return text_index_copy(&log->by_version, &copy->by_version, flt);
}

int package_log_copy(const struct package_log *log, struct package_log **out, struct fault *flt)
{
	struct package_log *copy = new_log(log->name, log->colon);
	int ret;

	if (!copy)
		return fault_no_memory(flt);
	copy->has_head = log->has_head;
	copy->head = log->head;
	copy->transcript = log->transcript;
	copy->is_restored = log->is_restored;
	ret = log_keys_copy(&log->keys, &copy->keys, flt);
	if (!ret)
		ret = copy_releases(log, copy, flt);
	if (ret) {
		package_log_unref(copy);
		return ret;
	}
	*out = copy;
	return 0;
}

/* ---- Releases ---- */

static struct span version_at(const void *releases, uint32_t place)
{
	return span_of_text(((const struct package_release *)releases)[place].version);
}

static struct text_index_texts versions(const struct package_log *log)
{
	return (struct text_index_texts){ log->releases, version_at };
}

static struct package_release *find(const struct package_log *log, struct span version)
{
	uint32_t place;

	if (!text_index_find(&log->by_version, versions(log), version, &place))
		return NULL;
	return &log->releases[place];
}

static int reserve_release(struct package_log *log, struct fault *flt)
{
	int ret;

	if (log->count >= CAP_LOG_RELEASES)
		return fault_undecided(flt, FAULT_LIMIT, "the package has more than %d releases", CAP_LOG_RELEASES);
	ret = array_reserve(&log->releases, log->count, &log->capacity, sizeof(*log->releases), flt);
	return ret ? ret : text_index_reserve(&log->by_version, versions(log), flt);
}

/** Add a release with copies of its version, which must be new, and of its yank. */
static int add_release(struct package_log *log, const struct package_release *release, struct span version,
		       struct fault *flt)
{
	struct package_release *added;
	int ret;

	if (find(log, version))
		return fault_invalid(flt, "version %.*s is released a second time", (int)version.length,
				     (const char *)version.data);
	ret = reserve_release(log, flt);
	if (ret)
		return ret;
	added = &log->releases[log->count];
	*added = *release;
	if (!copy_owned(added, version, release->yank))
		return fault_no_memory(flt);
	log->count++;
	log->best = BEST_UNKNOWN;
	text_index_add(&log->by_version, versions(log));
	return 0;
}

/* ---- Appending ---- */

/** What an append needs to know of its record, and to undo it. */
struct append {
	const struct record *record;
	const struct digest *signer;
	size_t applied;          /* entries */
	size_t releases_before;
	bool has_keys_before;
	struct log_keys keys_before;
};

static int apply_yank(struct package_log *log, const struct append *append, const struct record_entry *entry,
		      struct fault *flt)
{
	struct package_release *release = find(log, entry->version);
	struct package_yank *yank;

	if (!release)
		return fault_invalid(flt, "version %.*s is yanked and was never released", (int)entry->version.length,
				     (const char *)entry->version.data);
	if (release->yank)
		return fault_invalid(flt, "version %s is yanked a second time", release->version);
	yank = malloc(sizeof(*yank));
	if (!yank)
		return fault_no_memory(flt);
	*yank = (struct package_yank){ *append->signer, append->record->time };
	release->yank = yank;
	log->best = BEST_UNKNOWN;
	return 0;
}

static int apply(struct package_log *log, const struct append *append, const struct record_entry *entry,
		 struct fault *flt)
{
	struct package_release release;
	int ret;

	ret = log_keys_check_order(entry, log->has_head || append->applied > 0, flt);
	if (ret)
		return ret;
	switch (entry->type) {
	case ENTRY_RELEASE:
		ret = log_keys_require(&log->keys, append->signer, PERMISSION_RELEASE, flt);
		release = (struct package_release){ .record_id = append->record->id,
						    .by = *append->signer,
						    .time = append->record->time,
						    .content = entry->content };
		return ret ? ret : add_release(log, &release, entry->version, flt);
	case ENTRY_YANK:
		ret = log_keys_require(&log->keys, append->signer, PERMISSION_YANK, flt);
		return ret ? ret : apply_yank(log, append, entry, flt);
	default:
		return log_keys_apply(&log->keys, entry, append->signer, PERMISSIONS_PACKAGE, 0, flt);
	}
}

static void undo(struct package_log *log, struct append *append)
{
	for (size_t i = 0; i < append->applied; i++) {
		const struct record_entry *entry = &append->record->entries[i];
		struct package_release *release = entry->type == ENTRY_YANK ? find(log, entry->version) : NULL;

		if (release) {
			free((struct package_yank *)(uintptr_t)release->yank);
			release->yank = NULL;
		}
	}
	log->best = BEST_UNKNOWN;
	text_index_cut(&log->by_version, append->releases_before);
	while (log->count > append->releases_before)
		free_release(&log->releases[--log->count]);
	if (append->has_keys_before) {
		log_keys_release(&log->keys);
		log->keys = append->keys_before;
		append->keys_before = (struct log_keys){ 0 };
	}
}

/** How a record is appended. */
enum mode {
	MODE_APPEND, /* all rules, and it stays */
	MODE_CHECK,  /* all rules, and it is undone */
	MODE_REPLAY  /* all but the signature, and it stays */
};

static int apply_all(struct package_log *log, struct append *append, const struct record_envelope *envelope,
		     enum mode mode, struct fault *flt)
{
	int ret;

	for (; append->applied < append->record->entry_count; append->applied++) {
		ret = apply(log, append, &append->record->entries[append->applied], flt);
		if (ret) {
			fault_at(flt, "entry %zu", append->applied);
			return ret;
		}
	}
	return mode == MODE_REPLAY ? 0 : log_keys_check_signature(&log->keys, RECORD_PACKAGE, envelope, flt);
}

static int append_record(struct package_log *log, const struct record *record, const struct record_envelope *envelope,
			 enum mode mode, struct fault *flt)
{
	struct append append = { .record = record, .signer = &envelope->key_id, .releases_before = log->count };
	int ret;

	ret = log_keys_check_frame(record, package_log_head(log), flt);
	if (ret)
		return ret;
	if (log_keys_are_changed_by(record)) {
		ret = log_keys_copy(&log->keys, &append.keys_before, flt);
		if (ret)
			return ret;
		append.has_keys_before = true;
	}
	ret = apply_all(log, &append, envelope, mode, flt);
	if (ret || mode == MODE_CHECK) {
		undo(log, &append);
	} else {
		log->head = (struct log_head){ record->id, record->time };
		log->has_head = true;
		log->transcript = package_log_transcribe(&log->transcript, envelope, &record->id);
	}
	log_keys_release(&append.keys_before);
	return ret;
}

static int decode_and_append(struct package_log *log, const struct record_envelope *envelope, enum mode mode,
			     struct fault *flt)
{
	struct record record;
	int ret;

	ret = record_decode(RECORD_PACKAGE, envelope->content, &record, flt);
	if (ret)
		return ret;
	ret = append_record(log, &record, envelope, mode, flt);
	record_release(&record);
	return ret;
}

int package_log_append(struct package_log *log, const struct record_envelope *envelope, struct fault *flt)
{
	return decode_and_append(log, envelope, MODE_APPEND, flt);
}

int package_log_check(struct package_log *log, const struct record_envelope *envelope, struct fault *flt)
{
	return decode_and_append(log, envelope, MODE_CHECK, flt);
}

int package_log_replay(struct package_log *log, const struct record_envelope *envelope, struct fault *flt)
{
	return decode_and_append(log, envelope, MODE_REPLAY, flt);
}

void package_log_use_keys(struct package_log *log, struct ecdsa_recent_keys *recent)
{
	log->keys.recent = recent;
}

struct digest package_log_transcribe(const struct digest *transcript, const struct record_envelope *envelope,
				     const struct digest *record_id)
{
	/* All but the last are of one length, so that no two rows of parts are the same bytes. */
	const struct span parts[] = { digest_span(transcript), digest_span(record_id), digest_span(&envelope->key_id),
				      envelope->signature };

	return digest_of_parts(parts, sizeof(parts) / sizeof(parts[0]));
}

bool package_log_transcript(const struct package_log *log, struct digest *out)
{
	*out = log->transcript;
	return !log->is_restored;
}

/* ---- Asking ---- */

struct name package_log_name(const struct package_log *log)
{
	struct name name = { .colon = log->colon };

	memcpy(name.text, log->name, strlen(log->name));
	return name;
}

const char *package_log_name_text(const struct package_log *log)
{
	return log->name;
}

struct span package_log_name_namespace(const struct package_log *log)
{
	return (struct span){ (const unsigned char *)log->name, log->colon };
}

struct span package_log_name_package(const struct package_log *log)
{
	return span_of_text(log->name + log->colon + 1);
}

const struct log_head *package_log_head(const struct package_log *log)
{
	return log->has_head ? &log->head : NULL;
}

const struct log_keys *package_log_keys(const struct package_log *log)
{
	return &log->keys;
}

const struct package_release *package_log_releases(const struct package_log *log, size_t *count)
{
	*count = log->count;
	return log->releases;
}

const struct package_release *package_log_find(const struct package_log *log, struct span version)
{
	return find(log, version);
}

/** The greatest of the releases that are not yanked and that the requirement, or else `all`, lets through. */
static const struct package_release *greatest(const struct package_log *log,
					      const struct semver_requirement *requirement, bool all)
{
	const struct package_release *best = NULL;
	struct semver version, best_version;

	for (size_t i = 0; i < log->count; i++) {
		const struct package_release *release = &log->releases[i];

		/* It was checked to be SemVer when it came in. */
		if (release->yank || semver_parse(span_of_text(release->version), &version, NULL))
			continue;
		if (requirement ? !semver_requirement_matches(requirement, &version) :
				  !all && version.prerelease.length > 0)
			continue;
		if (best && semver_compare(&version, &best_version) <= 0)
			continue;
		best = release;
		best_version = version;
	}
	return best;
}

static uint32_t find_best(const struct package_log *log)
{
	const struct package_release *best = greatest(log, NULL, false);

	if (!best)
		best = greatest(log, NULL, true);
	return best ? (uint32_t)(best - log->releases) : BEST_NONE;
}

const struct package_release *package_log_best(const struct package_log *log,
					       const struct semver_requirement *requirement)
{
	_Atomic uint32_t *known = &((struct package_log *)(uintptr_t)log)->best;
	uint32_t best;

	if (requirement)
		return greatest(log, requirement, false);
	best = atomic_load_explicit(known, memory_order_relaxed);
	if (best == BEST_UNKNOWN) {
		best = find_best(log);
		atomic_store_explicit(known, best, memory_order_relaxed);
	}
	return best == BEST_NONE ? NULL : &log->releases[best];
}

/* ---- Restoring ---- */

int package_log_restore_key(struct package_log *log, struct ecdsa_public_key *key, unsigned permissions,
			    struct fault *flt)
{
	if (permissions & ~(unsigned)PERMISSIONS_PACKAGE)
		return fault_invalid(flt, "a permission that packages do not have");
	if (log_keys_find(&log->keys, ecdsa_public_key_id(key)))
		return fault_invalid(flt, "a key is there twice");
	return log_keys_grant(&log->keys, key, permissions, flt);
}

int package_log_restore_release(struct package_log *log, const struct package_release *release, struct fault *flt)
{
	struct span version = span_of_text(release->version);
	struct semver parsed;
	int ret;

	if (!log->has_head)
		return fault_invalid(flt, "releases without a head");
	ret = semver_parse(version, &parsed, flt);
	return ret ? ret : add_release(log, release, version, flt);
}

int package_log_restore_head(struct package_log *log, const struct log_head *head, struct fault *flt)
{
	if (log->has_head)
		return fault_invalid(flt, "a second head");
	if (log->keys.count == 0)
		return fault_invalid(flt, "a head without keys");
	log->head = *head;
	log->has_head = true;
	log->is_restored = true;
	return 0;
}
