/*
 * status.c - status texts, the native error and the version.
 *
 * SPDX-License-Identifier: MIT
 */
#include "internal.h"

static const char *const texts[] = {
    [MAPFILE_OK] = "done",
    [MAPFILE_INVALID] = "invalid argument",
    [MAPFILE_NO_MEMORY] = "out of memory",
    [MAPFILE_NOT_FOUND] = "not found",
    [MAPFILE_EXISTS] = "exists already",
    [MAPFILE_DENIED] = "permission denied",
    [MAPFILE_BUSY] = "in use",
    [MAPFILE_LIMIT] = "a budget or system limit is reached; pin less, or use mapfile_scan or mapfile_read",
    [MAPFILE_TIMEOUT] = "timed out",
    [MAPFILE_UNSUPPORTED] = "not supported for this file or on this system",
    [MAPFILE_UNKNOWN] = "the page could not be reached; the cause is not known",
    [MAPFILE_CANCELLED] = "cancelled",
    [MAPFILE_END] = "past the end of the file",
    [MAPFILE_TRUNCATED] = "the file was truncated",
    [MAPFILE_CHANGED] = "the file was changed",
    [MAPFILE_IO] = "input/output error",
    [MAPFILE_NO_SPACE] = "no space left",
    [MAPFILE_POISONED] = "the memory page is broken (hardware error)",
    [MAPFILE_PROTECTED] = "the view does not allow this access",
    [MAPFILE_RELEASED] = "the view has been let go",
    [MAPFILE_STALE] = "the name now means another file",
};

const char *MAPFILE_CALL mapfile_strerror(mapfile_status status) {
  if (status < 0 || (size_t)status >= MF_COUNTED(texts))
    return "unknown status";
  return texts[status];
}

int64_t MAPFILE_CALL mapfile_native_error(void) {
  return os_thread()->native_error;
}

void mf_set_native_error(int64_t error) {
  os_thread()->native_error = error;
}

#define MF_TEXT(x) #x
#define MF_TEXT_OF(x) MF_TEXT(x)

uint32_t MAPFILE_CALL mapfile_version(const char **text) {
  if (text != NULL)
    *text =
        MF_TEXT_OF(MAPFILE_VERSION_MAJOR) "." MF_TEXT_OF(MAPFILE_VERSION_MINOR) "." MF_TEXT_OF(MAPFILE_VERSION_PATCH);
  return MAPFILE_VERSION_NUMBER;
}
