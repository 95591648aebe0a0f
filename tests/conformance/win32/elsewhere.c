/*
 * elsewhere.c - other processes that change or hold the files of a case, on Windows.
 *
 * SPDX-License-Identifier: MIT
 */
#include "win32.h"

#include "../elsewhere.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const bool conf_parking_closes = true;

/* In the other process. The exit code is the system's error. */

static DWORD open_anew(const char *path) {
  HANDLE handle = conf_native_open(path, GENERIC_WRITE, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL);
  if (handle == INVALID_HANDLE_VALUE)
    return GetLastError();
  CloseHandle(handle);
  return 0;
}

int conf_deed_here(const char *number, const char *path, const char *other, const char *size) {
  switch ((conf_deed)strtoul(number, NULL, 10)) {
  case CONF_CUT:
    return conf_cut_here(path, size);
  case CONF_REMOVE:
    return conf_remove(path) ? 0 : (int)GetLastError();
  case CONF_REPLACE:
    return conf_rename(other, path) ? 0 : (int)GetLastError();
  default:
    return (int)open_anew(path);
  }
}

/* Pin the file, say so, and hold it until told to let go. */
int conf_pin_here(const char *path, const char *ready_and_go) {
  mapfile *file;
  mapfile_view view = MAPFILE_VIEW_INIT;
  HANDLE ready = conf_handle_of(ready_and_go), go = conf_handle_of(strchr(ready_and_go, ',') + 1);
  bool pinned = mapfile_open(path, NULL, &file) == MAPFILE_OK &&
                mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view) == MAPFILE_OK;
  SetEvent(ready);
  WaitForSingleObject(go, 20000);
  return pinned ? 0 : 1;
}

/* In the case */

static bool is_refusal(DWORD error) {
  return error == ERROR_SHARING_VIOLATION || error == ERROR_LOCK_VIOLATION || error == ERROR_ACCESS_DENIED ||
         error == ERROR_USER_MAPPED_FILE || error == ERROR_DELETE_PENDING;
}

bool conf_elsewhere(conf_deed deed, const char *path, const char *other, uint64_t size) {
  char number[16], text[24];
  snprintf(number, sizeof number, "%d", (int)deed);
  snprintf(text, sizeof text, "%" PRIu64, size);
  conf_start how = {.words = {"--deed", number, path, other != NULL ? other : "", text}};
  DWORD error = conf_run_self(&how);
  if (error != 0 && !is_refusal(error))
    conf_broken(__FILE__, __LINE__, "another process cannot change %s: %s", path, conf_error_text(error));
  return error == 0;
}

void conf_holder_start(conf_holder *holder, const char *path) {
  conf_other other;
  conf_other_start(&other, "--pin", path, NULL);
  holder->process = (intptr_t)other.process;
  holder->channel = (intptr_t)other.go;
}

void conf_holder_end(conf_holder *holder) {
  conf_other other = {(HANDLE)holder->channel, (HANDLE)holder->process};
  conf_other_end(&other);
}

uint64_t conf_clock_ms(void) {
  return GetTickCount64();
}

void conf_enter_folder(const char *folder) {
  wchar_t *name = conf_units(folder);
  EXPECT(SetCurrentDirectoryW(name));
  free(name);
}

void conf_make_folder(const char *path) {
  wchar_t *name = conf_wide(path);
  EXPECT(CreateDirectoryW(name, NULL));
  free(name);
}
