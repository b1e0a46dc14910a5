/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A folder of its own for a test, and what tests do in it. Whatever fails ends the test.
 */
#ifndef WARG_TESTS_SCRATCH_H
#define WARG_TESTS_SCRATCH_H

#include <sys/types.h>

#include "verify/buf.h"

/** Where temporary files go: $TMPDIR, or /tmp. */
const char *scratch_place(void);

/** Make a folder there. @return its absolute path; scratch_free() it */
char *scratch_new(void);
/** Remove the folder with all that is in it. */
void scratch_free(char *folder);

/** `folder`/`name`, in one of several buffers that are used in turn. */
const char *scratch_path(const char *folder, const char *name);

/** Put a file there, making its folders. */
void scratch_write(const char *path, struct span bytes);
void scratch_write_text(const char *path, const char *text);

/** Whether the file is there with exactly this text. */
bool scratch_holds(const char *path, const char *text);

/** How many entries a folder has, beside . and .. */
size_t scratch_count(const char *path);

#endif
