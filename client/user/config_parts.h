/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What config.c and config_save.c share. Not for others.
 */
#ifndef WARG_CLIENT_CONFIG_PARTS_H
#define WARG_CLIENT_CONFIG_PARTS_H

#include "config.h"

/**
 * Read the text of the file `config->file`; members that it does not name keep their values.
 * @param environment  only its working directory is looked at
 */
int config_parse(struct span text, const struct config_environment *environment, struct config *config,
		 struct fault *flt);

/** Remember the file's text for a later config_save(). */
int config_note_read(struct config *config, struct span text, struct fault *flt);

#endif
