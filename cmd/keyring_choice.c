/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Where keys and tokens are to be kept (see keyring_choice.h).
 */
#include "keyring_choice.h"
#include "client/user/keyring.h"
#include "output.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int keyring_choice_read(const char *value, const char **out, struct fault *flt)
{
	if (!keyring_is_known(value))
		return fault_undecided(flt, FAULT_MISUSE, "there is no keyring backend '%.40s': there are "
				       "" KEYRING_BACKENDS, value);
	*out = value;
	return 0;
}

/* Whether this session has a message bus, where GLib looks for it: a desktop's keyring can only be behind one. */
static bool has_bus(const struct config_environment *environment)
{
	const char *address = getenv("DBUS_SESSION_BUS_ADDRESS");
	char path[4096];

	if (address && *address)
		return true;
	if (!environment->xdg_runtime_dir)
		return false;
	snprintf(path, sizeof(path), "%s/bus", environment->xdg_runtime_dir);
	return access(path, F_OK) == 0;
}

int keyring_choice_make(const struct options *options, const struct config_environment *environment, const char *given,
			struct config *config, struct fault *flt)
{
	const char *backend = given;

	if (!backend && !config->keyring_backend && isatty(STDIN_FILENO) && isatty(STDERR_FILENO) &&
	    !output_ask(options, has_bus(environment), "Keep it in the desktop's keyring? Else it is kept in a file "
			"that only you can read."))
		backend = "flat-file";
	return backend ? config_set_text(&config->keyring_backend, backend, flt) : 0;
}
