/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The user's configuration: config.json as the reference finds, reads and writes it (protocol.md section 8, interop.md
 * section C 9), and the folders that follow from it.
 */
#ifndef WARG_CLIENT_CONFIG_H
#define WARG_CLIENT_CONFIG_H

#include "verify/buf.h"

/**
 * What the environment says; config_environment_read() fills it in, tests make it up. Borrowed. NULL: unset or empty.
 */
struct config_environment {
	const char *home;
	const char *xdg_config_home;
	const char *xdg_cache_home;
	const char *xdg_state_home;
	const char *xdg_data_home;
	const char *xdg_runtime_dir;
	const char *working_directory;
	/* As curl(1) reads them; a program that runs with another user's rights does not. */
	const char *ca_file;   /* CURL_CA_BUNDLE, else SSL_CERT_FILE */
	const char *ca_folder; /* SSL_CERT_DIR, unless CURL_CA_BUNDLE is set */
	const char *proxy;     /* https_proxy, HTTPS_PROXY, all_proxy or ALL_PROXY, the first that is set */
	const char *no_proxy;  /* no_proxy, else NO_PROXY */
};

/** config.json. Texts are owned; NULL: not set. Release with config_release(). */
struct config {
	char *file;       /* where it was read from, or where it would be written */
	bool found;       /* whether that file was there */
	bool is_local;    /* found in the working directory or a parent */
	char *passed_over; /* the nearest such file that is ignored, as others may write it; NULL: none */
	/* For config_save(): the file that was read, its text (NULL: no file), the base of relative paths */
	char *read_from, *read_text, *working_directory;
	char *home_url;
	char *registries_dir;     /* absolute, the default when not set */
	char *content_dir;        /* likewise */
	char *namespace_map_path; /* likewise */
	bool registries_dir_set, content_dir_set, namespace_map_path_set; /* whether the file says so */
	char **keys;      /* registries with a signing key of their own, as typed, and "default"; owned, as the list */
	size_t key_count;
	bool keyring_auth;
	bool ignore_federation_hints;
	bool disable_auto_accept_federation_hints;
	bool disable_auto_package_init;
	bool disable_interactive;
	char *keyring_backend; /* NULL: the platform's */
	/* $CONFIG_DIR/warg/keyring, whichever file was read: where flat-file keeps keys; NULL: there is no home */
	char *keyring_dir;
	char *settings_file; /* $CONFIG_DIR/wargfs/settings.json (settings.h), likewise */
	char *cache_dir;  /* $CACHE_DIR/wargfs: what is ours and can be rebuilt */
	char *state_dir;  /* $XDG_STATE_HOME/wargfs: what is ours and must not be lost */
};

/**
 * Read the process's environment. For cmd/ and warg_options_from_environment(): nothing else in client/ looks at the
 * environment.
 */
int config_environment_read(struct config_environment *out, struct fault *flt);
void config_environment_release(struct config_environment *environment);

/** $XDG_STATE_HOME/wargfs: `state_dir` of a config. @param out  free() it @return 0; FAULT_MISUSE: there is no home */
int config_name_state(const struct config_environment *environment, char **out, struct fault *flt);

/**
 * Find and read the configuration: `file` if given (must exist then), else warg-config.json in the working directory or
 * a parent, else $CONFIG_DIR/warg/config.json. None there: the defaults, with `found` false. A warg-config.json is
 * ignored unless it belongs to the caller or root, and neither group nor others may write to it.
 * @return 0; WARG_INVALID if the file is malformed; WARG_UNDECIDED if it cannot be read
 */
int config_load(const char *file, const struct config_environment *environment, struct config *out, struct fault *flt);
void config_release(struct config *config);

/** Set one of the texts of a config: free the old one, copy `text` (NULL: unset). */
int config_set_text(char **field, const char *text, struct fault *flt);

/** Whether `keys` names the registry, or "default". */
bool config_has_key(const struct config *config, const char *name);
/** Have `keys` name it, once. */
int config_add_key(struct config *config, const char *name, struct fault *flt);
/** Have `keys` not name it. */
void config_remove_key(struct config *config, const char *name);

/**
 * Write the configuration to `config->file`, making its folder: pretty JSON, absolute paths, temp, fsync, rename. If
 * another program has written the file since config_load(), this merges: only the members that the caller changed are
 * changed in the new file. If both changed the same member, the caller's value wins.
 */
int config_save(struct config *config, struct fault *flt);

#endif
