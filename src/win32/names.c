/*
 * win32/names.c - removing and renaming files.
 *
 * SPDX-License-Identifier: MIT
 *
 * Promises remove-mapped and rename-mapped. Windows can remove a name at once while others have the file open (what it
 * calls POSIX semantics), from Windows 10 on and on file systems that know how; without that a file that is open keeps
 * its name until the last handle is closed, so such a file is taken for busy, until the caller asks for it to be moved
 * aside first. A file that is mapped can be moved away, but neither removed nor replaced.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "../hooks.h"
#include "../os.h"
#include "name.h"
#include "status.h"

#include <stdlib.h>
#include <string.h>

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

/* By number, because not every header has them. */
enum { DISPOSITION_EX = 21, RENAME_EX = 22 };
/* With POSIX semantics; and, which not every system knows that knows these, whatever the read-only attribute says. */
enum { DELETE_NOW = 0x1 | 0x2, DELETE_READ_ONLY = 0x10 };
enum { REPLACE_NOW = 0x1 | 0x2, REPLACE_READ_ONLY = 0x40 };

enum { SHARE_ALL = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE };

/* Does the error say that the system or its file system does not have the call? */
static bool is_unknown_call(DWORD error) {
  return error == ERROR_INVALID_PARAMETER || error == ERROR_INVALID_FUNCTION || error == ERROR_NOT_SUPPORTED ||
         error == ERROR_CALL_NOT_IMPLEMENTED;
}

/* A link itself, not what it leads to; folders too, so that they can be told. */
static HANDLE open_entry(const wchar_t *name, DWORD access, DWORD share) {
  return CreateFileW(
      name, access, share, NULL, OPEN_EXISTING,
      FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_BACKUP_SEMANTICS | SECURITY_SQOS_PRESENT | SECURITY_ANONYMOUS, NULL);
}

static DWORD attributes_of(HANDLE entry) {
  FILE_BASIC_INFO basic;
  return GetFileInformationByHandleEx(entry, FileBasicInfo, &basic, sizeof basic) ? basic.FileAttributes : 0;
}

static mapfile_status busy(DWORD error) {
  mf_set_native_error((int64_t)error);
  return MAPFILE_BUSY;
}

mapfile_status os_path_identity(const char *path, os_identity *identity) {
  wchar_t *name;
  mapfile_status status = win_full_name(path, &name);
  if (status != MAPFILE_OK)
    return status;
  HANDLE entry = open_entry(name, FILE_READ_ATTRIBUTES, SHARE_ALL);
  free(name);
  if (entry == INVALID_HANDLE_VALUE)
    return win_status_of_last_error();
  status = os_handle_identity((intptr_t)entry, identity);
  CloseHandle(entry);
  return status;
}

/* Open for removing or renaming. That succeeds where it is permitted, so what is denied later is so for another
   reason. */
static mapfile_status open_to_move(const wchar_t *name, DWORD share, HANDLE *entry) {
  HANDLE opened = open_entry(name, DELETE | FILE_READ_ATTRIBUTES | SYNCHRONIZE, share);
  if (opened == INVALID_HANDLE_VALUE)
    return win_status_of_last_error();
  if ((attributes_of(opened) & FILE_ATTRIBUTE_DIRECTORY) != 0) {
    CloseHandle(opened);
    mf_set_native_error(0);
    return MAPFILE_UNSUPPORTED;
  }
  *entry = opened;
  return MAPFILE_OK;
}

/*
 * Removing
 */

/* Returns the error, 0 for none. */
static DWORD delete_with(HANDLE entry, DWORD flags) {
  struct {
    DWORD flags;
  } how = {flags};
  if (mf_hook_old_delete())
    return ERROR_INVALID_PARAMETER;
  return SetFileInformationByHandle(entry, (FILE_INFO_BY_HANDLE_CLASS)DISPOSITION_EX, &how, sizeof how)
             ? 0
             : GetLastError();
}

/* *minds: a read-only attribute may be why it failed. */
static DWORD delete_at_once(HANDLE entry, bool *minds) {
  DWORD error = delete_with(entry, DELETE_NOW | DELETE_READ_ONLY);
  *minds = is_unknown_call(error);
  return *minds ? delete_with(entry, DELETE_NOW) : error;
}

static DWORD delete_when_closed(HANDLE entry) {
  FILE_DISPOSITION_INFO how = {TRUE};
  return SetFileInformationByHandle(entry, FileDispositionInfo, &how, sizeof how) ? 0 : GetLastError();
}

/* The entry could be opened for it: what denies it now is a map, unless the file must not be written. */
static mapfile_status status_of_deleting(HANDLE entry, DWORD error, bool minds) {
  bool read_only = minds && (attributes_of(entry) & FILE_ATTRIBUTE_READONLY) != 0;
  return error == ERROR_ACCESS_DENIED && !read_only ? busy(error) : win_status_from_error(error);
}

/* Without POSIX semantics: only where nobody else has it open, so that the name goes with our handle. */
static mapfile_status remove_alone(const wchar_t *name) {
  HANDLE entry;
  mapfile_status status = open_to_move(name, 0, &entry);
  if (status != MAPFILE_OK)
    return status;
  DWORD error = delete_when_closed(entry);
  if (error != 0)
    status = status_of_deleting(entry, error, true);
  CloseHandle(entry);
  return status;
}

static mapfile_status remove_name(const wchar_t *name) {
  HANDLE entry;
  mapfile_status status = open_to_move(name, SHARE_ALL, &entry);
  if (status != MAPFILE_OK)
    return status;
  bool minds;
  DWORD error = delete_at_once(entry, &minds);
  if (error != 0 && !is_unknown_call(error))
    status = status_of_deleting(entry, error, minds);
  CloseHandle(entry);
  return error != 0 && is_unknown_call(error) ? remove_alone(name) : status;
}

mapfile_status os_remove(const char *path) {
  wchar_t *name;
  mapfile_status status = win_full_name(path, &name);
  if (status != MAPFILE_OK)
    return status;
  status = remove_name(name);
  free(name);
  return status;
}

/*
 * Renaming
 */

/* What both ways of renaming are given: FILE_RENAME_INFO, whose first member is a BOOLEAN or flags. */
typedef struct renaming {
  DWORD flags;
  HANDLE folder;
  DWORD length; /* bytes of name */
  wchar_t name[1];
} renaming;

static DWORD rename_with(HANDLE entry, FILE_INFO_BY_HANDLE_CLASS call, DWORD flags, renaming *how, DWORD size) {
  how->flags = flags;
  if (call != FileRenameInfo && mf_hook_old_delete())
    return ERROR_INVALID_PARAMETER;
  return SetFileInformationByHandle(entry, call, how, size) ? 0 : GetLastError();
}

/* *minds as above, of the file that is replaced. */
static DWORD rename_somehow(HANDLE entry, bool replace, renaming *how, DWORD size, bool *minds) {
  const FILE_INFO_BY_HANDLE_CLASS rename_ex = (FILE_INFO_BY_HANDLE_CLASS)RENAME_EX;
  DWORD error = ERROR_NOT_SUPPORTED;
  if (replace)
    error = rename_with(entry, rename_ex, REPLACE_NOW | REPLACE_READ_ONLY, how, size);
  *minds = is_unknown_call(error);
  if (replace && *minds)
    error = rename_with(entry, rename_ex, REPLACE_NOW, how, size);
  return is_unknown_call(error) ? rename_with(entry, FileRenameInfo, replace, how, size) : error;
}

static DWORD rename_entry(HANDLE entry, const wchar_t *to, bool replace, bool *minds) {
  size_t length = wcslen(to) * sizeof *to;
  size_t size = sizeof(renaming) + length;
  renaming *how = calloc(1, size);
  if (how == NULL)
    return ERROR_NOT_ENOUGH_MEMORY;
  how->length = (DWORD)length;
  memcpy(how->name, to, length);
  DWORD error = rename_somehow(entry, replace, how, (DWORD)size, minds);
  free(how);
  return error;
}

/* A denial after the entry could be opened is about the target: a folder, a file that must not be written or is in use,
   or a folder where nothing may be made. */
static mapfile_status status_of_renaming(const wchar_t *to, DWORD error, bool minds) {
  DWORD target = error == ERROR_ACCESS_DENIED ? GetFileAttributesW(to) : INVALID_FILE_ATTRIBUTES;
  if (target == INVALID_FILE_ATTRIBUTES)
    return win_status_from_error(error);
  mf_set_native_error((int64_t)error);
  if ((target & FILE_ATTRIBUTE_DIRECTORY) != 0)
    return MAPFILE_UNSUPPORTED;
  return minds && (target & FILE_ATTRIBUTE_READONLY) != 0 ? MAPFILE_DENIED : MAPFILE_BUSY;
}

static mapfile_status rename_name(const wchar_t *from, const wchar_t *to) {
  HANDLE entry;
  mapfile_status status = open_to_move(from, SHARE_ALL, &entry);
  if (status != MAPFILE_OK)
    return status;
  bool minds;
  DWORD error = rename_entry(entry, to, true, &minds);
  CloseHandle(entry);
  return error == 0 ? MAPFILE_OK : status_of_renaming(to, error, minds);
}

mapfile_status os_rename(const char *from, const char *to) {
  wchar_t *names[2] = {NULL, NULL};
  mapfile_status status = win_full_name(from, &names[0]);
  if (status == MAPFILE_OK)
    status = win_full_name(to, &names[1]);
  if (status == MAPFILE_OK)
    status = rename_name(names[0], names[1]);
  free(names[0]);
  free(names[1]);
  return status;
}

/*
 * Moving aside
 */

/* A name in the same folder that nobody else makes at this moment. Not the file's with more behind it: that could be
   too long. */
static wchar_t *name_beside(const wchar_t *name) {
  static LONG count;
  const size_t room = 64;
  const wchar_t *last = wcsrchr(name, L'\\');
  size_t folder = last != NULL ? (size_t)(last - name) + 1 : 0;
  wchar_t *made = malloc((folder + room) * sizeof *made);
  if (made == NULL)
    return NULL;
  memcpy(made, name, folder * sizeof *made);
  swprintf(made + folder, room, L"mapfile-%lx-%llx-%lx.removed", (unsigned long)GetCurrentProcessId(),
           (unsigned long long)GetTickCount64(), (unsigned long)InterlockedIncrement(&count));
  return made;
}

static mapfile_status remove_moved(HANDLE entry, const wchar_t *name) {
  bool minds;
  DWORD error = delete_at_once(entry, &minds);
  if (is_unknown_call(error))
    error = delete_when_closed(entry);
  if (error == 0)
    return MAPFILE_OK;
  rename_entry(entry, name, false, &minds);
  return busy(error);
}

static mapfile_status remove_aside(const wchar_t *name) {
  HANDLE entry;
  mapfile_status status = open_to_move(name, SHARE_ALL, &entry);
  if (status != MAPFILE_OK)
    return status;
  wchar_t *aside = name_beside(name);
  bool minds;
  DWORD error = aside != NULL ? rename_entry(entry, aside, false, &minds) : ERROR_NOT_ENOUGH_MEMORY;
  status = error == 0 ? remove_moved(entry, name) : busy(error);
  free(aside);
  CloseHandle(entry);
  return status;
}

mapfile_status os_remove_aside(const char *path) {
  wchar_t *name;
  mapfile_status status = win_full_name(path, &name);
  if (status != MAPFILE_OK)
    return status;
  status = remove_aside(name);
  free(name);
  return status;
}
