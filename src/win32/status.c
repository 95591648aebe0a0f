/*
 * win32/status.c - Windows errors as statuses.
 *
 * SPDX-License-Identifier: MIT
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "status.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

mapfile_status win_status_from_error(uint32_t error) {
  mf_set_native_error((int64_t)error);
  switch (error) {
  case ERROR_FILE_NOT_FOUND:
  case ERROR_PATH_NOT_FOUND:
  case ERROR_INVALID_DRIVE:
  case ERROR_BAD_NETPATH:
  case ERROR_BAD_NET_NAME:
  case ERROR_BAD_PATHNAME:
  case ERROR_FILENAME_EXCED_RANGE:
  case ERROR_DIRECTORY:
  case ERROR_CANT_RESOLVE_FILENAME:
  case ERROR_NOT_READY:
    return MAPFILE_NOT_FOUND;
  case ERROR_FILE_EXISTS:
  case ERROR_ALREADY_EXISTS:
    return MAPFILE_EXISTS;
  case ERROR_ACCESS_DENIED:
  case ERROR_WRITE_PROTECT:
  case ERROR_PRIVILEGE_NOT_HELD:
  case ERROR_NETWORK_ACCESS_DENIED:
  case ERROR_CANT_ACCESS_FILE:
  case 225: /* ERROR_VIRUS_INFECTED; like some below, not in every header */
    return MAPFILE_DENIED;
  /* Held by another process, or by a map of it. */
  case ERROR_SHARING_VIOLATION:
  case ERROR_LOCK_VIOLATION:
  case ERROR_USER_MAPPED_FILE:
  case ERROR_DELETE_PENDING:
  case ERROR_BUSY:
  case ERROR_OPLOCK_NOT_GRANTED:
  case ERROR_PIPE_BUSY:
  case ERROR_NO_DATA:
    return MAPFILE_BUSY;
  case ERROR_TOO_MANY_OPEN_FILES:
  case ERROR_FILE_TOO_LARGE:
  case 665: /* ERROR_FILE_SYSTEM_LIMITATION */
  case ERROR_NOT_ENOUGH_QUOTA:
    return MAPFILE_LIMIT;
  case ERROR_NOT_ENOUGH_MEMORY:
  case ERROR_OUTOFMEMORY:
  case ERROR_NO_SYSTEM_RESOURCES:
  case ERROR_COMMITMENT_LIMIT:
    return MAPFILE_NO_MEMORY;
  case ERROR_INVALID_FUNCTION:
  case ERROR_NOT_SUPPORTED:
  case ERROR_CALL_NOT_IMPLEMENTED:
  case ERROR_BAD_DEVICE:
  case ERROR_BAD_DEV_TYPE:
  case ERROR_NOT_SAME_DEVICE:
    return MAPFILE_UNSUPPORTED;
  case ERROR_DISK_FULL:
  case ERROR_HANDLE_DISK_FULL:
  case 1295: /* ERROR_DISK_QUOTA_EXCEEDED */
    return MAPFILE_NO_SPACE;
  case ERROR_INVALID_HANDLE:
  case ERROR_INVALID_PARAMETER:
  case ERROR_INVALID_NAME:
    return MAPFILE_INVALID;
  default:
    return MAPFILE_IO;
  }
}

mapfile_status win_status_of_last_error(void) {
  return win_status_from_error(GetLastError());
}
