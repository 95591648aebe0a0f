/*
 * win32/file.h - what file.c and names.c share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MF_WIN32_FILE_H
#define MF_WIN32_FILE_H

#include "../os.h"

#include <wchar.h>

/* The full name of an open file, to be freed. */
mapfile_status win_name_of_handle(void *handle, wchar_t **name);

#endif
