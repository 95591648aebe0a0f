/*
 * win32/fault.h - what the vectored handler and the frames share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MF_WIN32_FAULT_H
#define MF_WIN32_FAULT_H

#include "../os.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

/* handler: the scope that takes the exception; NULL with *resume set: go on where it was. With frame: only if that is
   where to land, without: only if it is no frame. */
mapfile_scope *win_take(const EXCEPTION_POINTERS *pointers, const mapfile_scope *frame, bool *resume);

#endif
