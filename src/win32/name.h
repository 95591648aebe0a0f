/*
 * win32/name.h - names of files, as the system wants them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MF_WIN32_NAME_H
#define MF_WIN32_NAME_H

#include "../os.h"

#include <wchar.h>

/* The full name for a path in UTF-8, with the prefix that lifts the limit of 260 characters; free it. INVALID: not
   UTF-8 (halves of surrogate pairs are let through, so that every name there is can be written), or an element that
   ends in a dot or a space, which the system would drop; UNSUPPORTED: the name of a device; NOT_FOUND: longer than any
   name can be; NO_MEMORY. */
mapfile_status win_full_name(const char *path, wchar_t **name);

#endif
