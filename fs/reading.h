/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What is read of releases.
 */
#ifndef WARGFS_FS_READING_H
#define WARGFS_FS_READING_H

#include "client/registry/content.h"
#include "request.h"

/**
 * The content of request->node, a release, once its size can be told and its bytes be read: they have their digest.
 * @return a reference; NULL: the request waits or has failed, and must not be touched
 */
struct content_file *reading_content(struct request *request);

/** The true size of a release is about to be told in answer to a request that asks for it. */
void reading_told_size(const struct request *request);

#endif
