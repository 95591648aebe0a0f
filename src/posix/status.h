/*
 * posix/status.h - errno as a status.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MF_POSIX_STATUS_H
#define MF_POSIX_STATUS_H

#include "../os.h"

#include <limits.h>

/* Sets the native error too. */
mapfile_status mf_status_from_errno(int error);

#endif
