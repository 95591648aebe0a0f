/*
 * win32/status.h - Windows errors as statuses.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MF_WIN32_STATUS_H
#define MF_WIN32_STATUS_H

#include "../os.h"

/* Both set the native error too. error as GetLastError has it. */
mapfile_status win_status_from_error(uint32_t error);
mapfile_status win_status_of_last_error(void);

#endif
