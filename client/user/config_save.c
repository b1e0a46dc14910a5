/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Writing the configuration: config.h.
 *
 * Between config_load() and config_save() a command may wait for its user, and another program may write the file. So
 * config_save() reads the file again under the lock. If the text has changed, it takes the members in which `config`
 * differs from the first text, and changes those in the new one.
 */
#include "config_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/file.h"
#include "client/base/json.h"
#include "verify/caps.h"

#define CONFIG_MODE 0666 /* less the umask, as the reference */

/* ---- The text ---- */

static void put_text(struct json *value, const char *name, const char *text)
{
	if (text)
		json_put_text(value, name, text);
}

static void put_keys(struct json *value, const struct config *config)
{
	struct json *list;

	if (!config->key_count)
		return;
	list = json_new_list();
	for (size_t i = 0; i < config->key_count; i++)
		json_add_text(list, config->keys[i]);
	json_put(value, "keys", list);
}

/* The members in the reference's order; it leaves out texts that are not set and an empty list of keys, not flags. */
static int render(const struct config *config, struct buf *out, struct fault *flt)
{
	struct json *value = json_new_object();
	int r;

	put_text(value, "homeUrl", config->home_url);
	put_text(value, "registriesDir", config->registries_dir_set ? config->registries_dir : NULL);
	put_text(value, "contentDir", config->content_dir_set ? config->content_dir : NULL);
	put_text(value, "namespaceMapPath", config->namespace_map_path_set ? config->namespace_map_path : NULL);
	put_keys(value, config);
	json_put_bool(value, "keyringAuth", config->keyring_auth);
	json_put_bool(value, "ignoreFederationHints", config->ignore_federation_hints);
	json_put_bool(value, "disableAutoAcceptFederationHints", config->disable_auto_accept_federation_hints);
	json_put_bool(value, "disableAutoPackageInit", config->disable_auto_package_init);
	json_put_bool(value, "disableInteractive", config->disable_interactive);
	put_text(value, "keyringBackend", config->keyring_backend);
	r = json_render(value, JSON_PRETTY, out, flt);
	json_free(value);
	return r;
}

int config_note_read(struct config *config, struct span text, struct fault *flt)
{
	char *copy = strndup((const char *)text.data, text.length);

	if (!copy)
		return fault_no_memory(flt);
	free(config->read_text);
	config->read_text = copy;
	return 0;
}

/* ---- Merging with what another program wrote ---- */

static bool differ(const char *a, const char *b)
{
	return !a || !b ? a != b : strcmp(a, b) != 0;
}

static int merge_text(const char *before, const char *ours, char **out, struct fault *flt)
{
	return differ(before, ours) ? config_set_text(out, ours, flt) : 0;
}

static int merge_path(const char *before, bool was_set, const char *ours, bool is_set, char **out, bool *out_set,
		      struct fault *flt)
{
	if (!differ(was_set ? before : NULL, is_set ? ours : NULL))
		return 0;
	*out_set = is_set;
	return config_set_text(out, is_set ? ours : NULL, flt);
}

static void merge_flag(bool before, bool ours, bool *out)
{
	if (before != ours)
		*out = ours;
}

static int merge_keys(const struct config *before, const struct config *ours, struct config *out, struct fault *flt)
{
	int r = 0;

	for (size_t i = 0; i < before->key_count; i++)
		if (!config_has_key(ours, before->keys[i]))
			config_remove_key(out, before->keys[i]);
	for (size_t i = 0; !r && i < ours->key_count; i++)
		if (!config_has_key(before, ours->keys[i]))
			r = config_add_key(out, ours->keys[i], flt);
	return r;
}

static int merge(const struct config *before, const struct config *ours, struct config *out, struct fault *flt)
{
	int r = merge_text(before->home_url, ours->home_url, &out->home_url, flt);

	if (!r)
		r = merge_text(before->keyring_backend, ours->keyring_backend, &out->keyring_backend, flt);
	if (!r)
		r = merge_path(before->registries_dir, before->registries_dir_set, ours->registries_dir,
			       ours->registries_dir_set, &out->registries_dir, &out->registries_dir_set, flt);
	if (!r)
		r = merge_path(before->content_dir, before->content_dir_set, ours->content_dir, ours->content_dir_set,
			       &out->content_dir, &out->content_dir_set, flt);
	if (!r)
		r = merge_path(before->namespace_map_path, before->namespace_map_path_set, ours->namespace_map_path,
			       ours->namespace_map_path_set, &out->namespace_map_path, &out->namespace_map_path_set,
			       flt);
	merge_flag(before->keyring_auth, ours->keyring_auth, &out->keyring_auth);
	merge_flag(before->ignore_federation_hints, ours->ignore_federation_hints, &out->ignore_federation_hints);
	merge_flag(before->disable_auto_accept_federation_hints, ours->disable_auto_accept_federation_hints,
		   &out->disable_auto_accept_federation_hints);
	merge_flag(before->disable_auto_package_init, ours->disable_auto_package_init,
		   &out->disable_auto_package_init);
	merge_flag(before->disable_interactive, ours->disable_interactive, &out->disable_interactive);
	return r ? r : merge_keys(before, ours, out, flt);
}

/* Parse a text of the file. @param text  without data: there was no file @param out  config_release() it */
static int parse_other(const struct config *config, struct span text, struct config *out, struct fault *flt)
{
	const struct config_environment environment = {.working_directory = config->working_directory};
	int r = config_set_text(&out->file, config->read_from, flt);

	return r || !text.data ? r : config_parse(text, &environment, out, flt);
}

/* @param there  the file's text now; without data: there is no file */
static int render_changed(const struct config *config, struct span there, struct buf *out, struct fault *flt)
{
	struct span read = config->read_text ? span_of_text(config->read_text) : (struct span){0};
	struct config before = {0}, other = {0};
	int r;

	r = parse_other(config, read, &before, flt);
	if (!r)
		r = parse_other(config, there, &other, flt);
	if (!r)
		r = merge(&before, config, &other, flt);
	if (!r)
		r = render(&other, out, flt);
	config_release(&before);
	config_release(&other);
	return r;
}

/* ---- The file ---- */

/* Whether the file to write is the one that was read, and its text has changed since. */
static bool is_changed(const struct config *config, struct span there)
{
	if (differ(config->file, config->read_from))
		return false;
	if (!config->read_text || !there.data)
		return there.data != NULL;
	return !span_is(there, config->read_text);
}

/* Write the file. The caller holds the lock of its folder. */
static int write_locked(struct config *config, int folder, const char *name, struct fault *flt)
{
	struct buf there, ours, changed;
	struct span now = {0}, text;
	bool found = false;
	int r;

	buf_init(&there, CAP_FILE_CONFIG);
	buf_init(&ours, CAP_FILE_CONFIG);
	buf_init(&changed, CAP_FILE_CONFIG);
	r = file_read(folder, name, &there, &found, flt);
	if (found)
		now = there.data ? buf_span(&there) : span_of_text("");
	if (!r)
		r = render(config, &ours, flt);
	text = buf_span(&ours);
	if (!r && is_changed(config, now)) {
		r = render_changed(config, now, &changed, flt);
		text = buf_span(&changed);
	}
	if (!r)
		r = file_replace_locked(folder, name, CONFIG_MODE, text, flt);
	/* Later changes are relative to what was just written. */
	if (!r && !differ(config->file, config->read_from))
		r = config_note_read(config, buf_span(&ours), flt);
	buf_release(&changed);
	buf_release(&ours);
	buf_release(&there);
	return r;
}

static int replace(struct config *config, const char *path, struct fault *flt)
{
	const char *name;
	int fd = -1;
	int r;

	r = file_open_parent(path, &fd, &name, flt);
	if (!r)
		r = file_lock_or_fail(fd, flt);
	if (!r)
		r = write_locked(config, fd, name, flt);
	if (fd >= 0)
		close(fd);
	return r;
}

int config_save(struct config *config, struct fault *flt)
{
	/* If the file is a symbolic link (dotfiles kept elsewhere), replace its target, not the link. */
	char *target = realpath(config->file, NULL);
	int r = !target && errno == ENOMEM ? fault_no_memory(flt) : 0;

	if (!r)
		r = replace(config, target ? target : config->file, flt);
	if (r)
		fault_at(flt, "file %s", config->file);
	free(target);
	return r;
}
