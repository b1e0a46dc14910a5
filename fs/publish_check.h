/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What is known before something is published: whether it can be.
 */
#ifndef WARGFS_FS_PUBLISH_CHECK_H
#define WARGFS_FS_PUBLISH_CHECK_H

#include "request.h"

/**
 * Whether a version can be published, as far as that can be known beforehand: its namespace is defined here, the
 * version is free, there is a key, and the key has the permission.
 * @param version  of a release
 * @return false: the request waits or has failed, and must not be touched
 */
bool publish_check_version(struct request *request, const struct path *version);

/**
 * Whether something can be put into a namespace: the operator has to define it.
 * @return false: the request waits or has failed, and must not be touched
 */
bool publish_check_namespace(struct request *request, const struct path *path);

#endif
