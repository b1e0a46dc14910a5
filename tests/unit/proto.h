/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Protobuf in a notation that people can read, for forged messages:
 *
 *   3(…)      field 3, with a message inside
 *   3'text'   field 3, with a text
 *   3=5       field 3, a varint
 *   x0aff     these bytes as they are
 *
 * with spaces between. Lengths come out right, so that a lie is told where it is meant to be; x… is for those about
 * form.
 */
#ifndef WARG_TESTS_PROTO_H
#define WARG_TESTS_PROTO_H

#include "verify/buf.h"

/** Write what the notation says. The test fails if it says nothing. Give the bytes back with buf_release(). */
struct buf proto_write(const char *notation);

#endif
