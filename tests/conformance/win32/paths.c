/*
 * paths.c - opening on Windows: names at the limits and beyond, other processes, and what they inherit.
 *
 * SPDX-License-Identifier: MIT
 */
#include "win32.h"

#include <stdlib.h>
#include <string.h>

static mapfile_status open_path(const char *path, uint32_t flags, mapfile **file) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  options.flags = flags;
  options.access = conf_access;
  return mapfile_open(path, &options, file);
}

static void expect_bytes(const char *path, uint64_t size) {
  mapfile *file = NULL;
  mapfile_view view = MAPFILE_VIEW_INIT;
  EXPECT_STATUS(open_path(path, 0, &file), MAPFILE_OK);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT_UINT(view.length, size);
  EXPECT(conf_is_pattern(view.data, view.length, 0));
  conf_unpin(&view);
  conf_close(file);
}

static void expect_refused(const char *path, mapfile_status wanted) {
  mapfile *file = NULL;
  EXPECT_STATUS(open_path(path, 0, &file), wanted);
  EXPECT_STATUS(open_path(path, MAPFILE_WRITE, &file), wanted);
  EXPECT_STATUS(open_path(path, MAPFILE_CREATE, &file), wanted);
  EXPECT(file == NULL);
}

/* Nothing but "file" lies in the folder. */
static void expect_alone(void) {
  WIN32_FIND_DATAW entry;
  wchar_t *pattern = conf_wide(conf_path("*"));
  HANDLE search = FindFirstFileW(pattern, &entry);
  EXPECT(search != INVALID_HANDLE_VALUE);
  for (BOOL more = TRUE; more; more = FindNextFileW(search, &entry))
    EXPECT(wcscmp(entry.cFileName, L".") == 0 || wcscmp(entry.cFileName, L"..") == 0 ||
           wcscmp(entry.cFileName, L"file") == 0);
  FindClose(search);
  free(pattern);
}

/* Not UTF-8. A half of a surrogate pair is a name that may exist. */
static void invalid_names(void) {
  static const char *const wrong[] = {"\xff", "a\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf",
                                      "\xf8\x88\x80\x80\x80", "\xf4\x90\x80\x80", "ab\xe6\x97",
                                      /* A pair, written as two halves. */
                                      "\xed\xa0\xbd\xed\xb8\x80"};
  static const char *const halves[] = {"\xed\xa0\x80", "\xed\xbf\xbf end", "\xed\xb8\x80\xed\xa0\xbd"};
  mapfile *file = NULL;
  conf_make("file", 10);
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    expect_refused(wrong[i], MAPFILE_INVALID);
    expect_refused(conf_path(wrong[i]), MAPFILE_INVALID);
  }
  expect_alone();
  for (size_t i = 0; i < sizeof halves / sizeof halves[0]; i++) {
    EXPECT_STATUS(open_path(conf_path(halves[i]), 0, &file), MAPFILE_NOT_FOUND);
    /* File systems whose own names are UTF-8 cannot have it. */
    mapfile_status status = open_path(conf_path(halves[i]), MAPFILE_CREATE, &file);
    if (status != MAPFILE_OK)
      continue;
    conf_close(file);
    EXPECT_STATUS(open_path(conf_path(halves[i]), 0, &file), MAPFILE_OK);
    conf_close(file);
    file = NULL;
  }
}

/* Devices lie in every folder, under any ending. */
static void reserved_names(void) {
  static const char *const names[] = {"NUL",  "nul",      "Con",     "aux",         "PRN",    "COM1",
                                      "com9", "LPT1",     "nul.txt", "aux.c",       "CON.",   "com1.x",
                                      "NUL:", "nul .txt", "LPT9",    "COM\xc2\xb9", "CONIN$", "conout$"};
  conf_make("file", 10);
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    mapfile *file = NULL;
    expect_refused(names[i], names[i][strlen(names[i]) - 1] == '.' ? MAPFILE_INVALID : MAPFILE_UNSUPPORTED);
    EXPECT_ONE_OF(open_path(conf_path(names[i]), MAPFILE_CREATE, &file), MAPFILE_UNSUPPORTED, MAPFILE_INVALID);
    EXPECT(file == NULL);
  }
  expect_alone();
}

/* The system drops dots and spaces at the end: another file would be opened than was named. */
static void trailing_names(void) {
  static const char *const names[] = {"file.", "file ", "file...", "file. .", "file.  ", "x/../file.", "folder./file"};
  conf_make("file", 10);
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    expect_refused(conf_path(names[i]), MAPFILE_INVALID);
  expect_alone();
  expect_bytes(conf_path("./file"), 10);
  expect_bytes(conf_path("x/../file"), 10);
}

/* With the system's own prefix a name is as it stands. */
static void verbatim_names(void) {
  mapfile *file = NULL;
  wchar_t *folder = conf_wide(conf_path(""));
  char name[4200];
  conf_make("file", 10);
  WideCharToMultiByte(CP_UTF8, 0, folder, -1, name, 4096, NULL, NULL);
  free(folder);
  size_t length = strlen(name);
  strcpy(name + length, "file");
  expect_bytes(name, 10);
  strcpy(name + length, "./file");
  EXPECT_ONE_OF(open_path(name, 0, &file), MAPFILE_NOT_FOUND, MAPFILE_INVALID);
  /* Where the file system has such names, the file that is named is meant. */
  strcpy(name + length, "file.");
  mapfile_status status = open_path(name, MAPFILE_CREATE | MAPFILE_EXCLUSIVE, &file);
  EXPECT_ONE_OF(status, MAPFILE_OK, MAPFILE_INVALID, MAPFILE_NOT_FOUND);
  if (status == MAPFILE_OK) {
    uint64_t size = 1;
    EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
    EXPECT_UINT(size, 0);
    conf_close(file);
  }
  EXPECT_UINT(conf_file_size(conf_path("file")), 10);
}

/* Folders within folders until the path is as long as asked. Returns a path for a file of size bytes there. */
static char *make_deep(size_t length, uint64_t size) {
  static const char part[] = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567";
  char *path = malloc(length + 400);
  EXPECT(path != NULL);
  strcpy(path, conf_path("deep"));
  while (strlen(path) < length) {
    wchar_t *name = conf_wide(path);
    BOOL made = CreateDirectoryW(name, NULL);
    free(name);
    if (!made)
      conf_not_testable("a folder whose path has %u characters cannot be made", (unsigned)strlen(path));
    strcat(path, "/");
    strcat(path, part);
  }
  HANDLE handle = conf_native_open(path, GENERIC_WRITE, CREATE_NEW, 0);
  EXPECT(handle != INVALID_HANDLE_VALUE);
  CloseHandle(handle);
  conf_write_pattern(path, 0, (size_t)size);
  return path;
}

static void long_paths(void) {
  static const size_t lengths[] = {270, 1000, 3800};
  mapfile *file = NULL;
  for (int i = 0; i < 3; i++) {
    char *path = make_deep(lengths[i], 3000);
    expect_bytes(path, 3000);
    strcat(path, "+");
    EXPECT_STATUS(open_path(path, 0, &file), MAPFILE_NOT_FOUND);
    EXPECT_STATUS(open_path(path, MAPFILE_CREATE | MAPFILE_EXCLUSIVE, &file), MAPFILE_OK);
    conf_close(file);
    file = NULL;
    free(path);
    conf_folder_remove(conf_path("deep"));
  }
}

/* Longer than any name can be, as a path and as one element of it. */
static void too_long_paths(void) {
  static const size_t lengths[] = {300, 5000, 32766, 32767, 32768, 65536, 1 << 20};
  mapfile *file = NULL;
  for (int i = 0; i < 7; i++) {
    char *path = malloc(lengths[i] + 10);
    EXPECT(path != NULL);
    memset(path, 'a', lengths[i]);
    path[lengths[i]] = '\0';
    EXPECT_STATUS(open_path(path, 0, &file), MAPFILE_NOT_FOUND);
    for (size_t at = 1; at < lengths[i]; at += 2)
      path[at] = '/';
    EXPECT_STATUS(open_path(path, 0, &file), MAPFILE_NOT_FOUND);
    EXPECT_STATUS(open_path(path, MAPFILE_CREATE, &file), MAPFILE_NOT_FOUND);
    free(path);
  }
  EXPECT(file == NULL);
}

/* Relative paths mean what they mean to the system, and are resolved once. */
static void relative_paths(void) {
  mapfile *file = NULL;
  mapfile_view view = MAPFILE_VIEW_INIT;
  wchar_t *folder = conf_wide(conf_path("folder")), *root = conf_units("C:\\");
  conf_make("file", 1000);
  EXPECT(CreateDirectoryW(folder, NULL));
  conf_make("folder/file", 2000);
  EXPECT(SetCurrentDirectoryW(folder + 4));
  expect_bytes("file", 2000);
  expect_bytes("./file", 2000);
  expect_bytes("..\\file", 1000);
  expect_bytes("../folder//file", 2000);
  EXPECT_STATUS(open_path("file", 0, &file), MAPFILE_OK);
  EXPECT(SetCurrentDirectoryW(root));
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_VERIFY, &view);
  EXPECT_UINT(view.length, 2000);
  conf_unpin(&view);
  conf_close(file);
  free(folder);
  free(root);
}

static void read_only_files(void) {
  mapfile *file = NULL;
  const char *path = conf_make("file", 100);
  wchar_t *name = conf_wide(path);
  EXPECT(SetFileAttributesW(name, FILE_ATTRIBUTE_READONLY));
  expect_bytes(path, 100);
  HANDLE allowed = conf_native_open(path, GENERIC_WRITE, OPEN_EXISTING, 0);
  if (allowed != INVALID_HANDLE_VALUE)
    conf_not_testable("this user may write to files that are read-only");
  EXPECT_STATUS(open_path(path, MAPFILE_WRITE, &file), MAPFILE_DENIED);
  EXPECT(mapfile_native_error() == ERROR_ACCESS_DENIED);
  EXPECT_STATUS(open_path(path, MAPFILE_WRITE | MAPFILE_TRUNCATE, &file), MAPFILE_DENIED);
  EXPECT(file == NULL);
  EXPECT_UINT(conf_file_size(path), 100);
  EXPECT(SetFileAttributesW(name, FILE_ATTRIBUTE_NORMAL));
  free(name);
}

/* Another process that holds the file open */

/* In the other process: hold the file, say so, and wait to be told to let go. */
int conf_hold_file(const char *path, const char *sharing, const char *ready_and_go) {
  wchar_t *name = conf_wide(path);
  HANDLE ready = conf_handle_of(ready_and_go), go = conf_handle_of(strchr(ready_and_go, ',') + 1);
  HANDLE held =
      CreateFileW(name, GENERIC_READ | GENERIC_WRITE, (DWORD)strtoul(sharing, NULL, 16), NULL, OPEN_EXISTING, 0, NULL);
  SetEvent(ready);
  WaitForSingleObject(go, 20000);
  return held != INVALID_HANDLE_VALUE ? 0 : 1;
}

static void held_elsewhere(void) {
  const char *path = conf_make("file", 1000);
  mapfile *file = NULL;
  conf_other other;
  expect_bytes(path, 1000);
  conf_other_start(&other, "--hold", path, "0");
  uint64_t before = conf_descriptors();
  EXPECT_STATUS(open_path(path, 0, &file), MAPFILE_BUSY);
  EXPECT(mapfile_native_error() == ERROR_SHARING_VIOLATION);
  EXPECT_STATUS(open_path(path, MAPFILE_WRITE, &file), MAPFILE_BUSY);
  EXPECT_STATUS(open_path(path, MAPFILE_CREATE, &file), MAPFILE_BUSY);
  EXPECT(file == NULL);
  EXPECT_UINT(conf_descriptors(), before);
  conf_other_end(&other);
  expect_bytes(path, 1000);
  /* It lets others read. */
  conf_other_start(&other, "--hold", path, conf_hex(FILE_SHARE_READ));
  expect_bytes(path, 1000);
  EXPECT_STATUS(open_path(path, MAPFILE_WRITE, &file), MAPFILE_BUSY);
  conf_other_end(&other);
  EXPECT(file == NULL);
}

/* What other processes inherit */

int conf_probe_handle(const char *number) {
  return GetFileType(conf_handle_of(number)) == FILE_TYPE_DISK ? 1 : 0;
}

static bool reaches_children(HANDLE handle) {
  conf_start how = {.words = {"--probe-handle", conf_hex((uintptr_t)handle)}, .inherits_all = true};
  DWORD code = conf_run_self(&how);
  EXPECT(code <= 1);
  return code == 1;
}

enum { HANDLES = 1024 };

static HANDLE nth_handle(unsigned number) {
  return (HANDLE)(uintptr_t)(number * 4u + 4u);
}

static void not_inherited(void) {
  static bool before[HANDLES];
  DWORD flags;
  mapfile_view view = MAPFILE_VIEW_INIT;
  const char *path = conf_make("file", 100000);
  mapfile *made = NULL;
  for (unsigned i = 0; i < HANDLES; i++)
    before[i] = GetHandleInformation(nth_handle(i), &flags);
  mapfile *file = conf_open(path, 0);
  EXPECT_STATUS(open_path(conf_path("made"), MAPFILE_CREATE, &made), MAPFILE_OK);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  unsigned found = 0;
  for (unsigned i = 0; i < HANDLES; i++) {
    if (before[i] || !GetHandleInformation(nth_handle(i), &flags))
      continue;
    found++;
    EXPECT((flags & HANDLE_FLAG_INHERIT) == 0);
    if (GetFileType(nth_handle(i)) == FILE_TYPE_DISK)
      EXPECT(!reaches_children(nth_handle(i)));
  }
  EXPECT(found >= 2);
  HANDLE plain = conf_native_open(path, GENERIC_READ, OPEN_EXISTING, 0);
  SetHandleInformation(plain, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
  EXPECT(reaches_children(plain));
  CloseHandle(plain);
  conf_unpin(&view);
  conf_close(file);
  conf_close(made);
}

/* A server's file, such as this machine's own by way of its administrative share: read, not mapped. */
static void remote_files(void) {
  char path[5000];
  const char *local = conf_make("file", 100000);
  mapfile *file = NULL;
  mapfile_view view = MAPFILE_VIEW_INIT;
  snprintf(path, sizeof path, "\\\\localhost\\%c$%s", local[0], local + 2);
  HANDLE probe = local[1] == ':' ? conf_native_open(path, GENERIC_READ, OPEN_EXISTING, 0) : INVALID_HANDLE_VALUE;
  if (probe == INVALID_HANDLE_VALUE)
    conf_not_testable("this machine does not serve the folder to itself");
  CloseHandle(probe);
  expect_bytes(path, 100000);
  EXPECT_STATUS(open_path(path, 0, &file), MAPFILE_OK);
  EXPECT_STATUS(mapfile_pin(file, 0, 10, MAPFILE_LIVE, &view), MAPFILE_UNSUPPORTED);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT_UINT(view.kind, MAPFILE_KIND_COPIED);
  conf_unpin(&view);
  conf_close(file);
}

#define N CONF_NO_FAULTS

static const conf_case table[] = {
    {"open-names", "invalid", "Names that are not UTF-8 open some other file.", CONF_ANY, N, invalid_names},
    {"open-names", "reserved", "A device is opened in place of a file.", CONF_ANY, N, reserved_names},
    {"open-names", "trailing", "Another file is opened than was named.", CONF_ANY, N, trailing_names},
    {"open-names", "verbatim", "Names with the system's own prefix are changed.", CONF_ANY, N, verbatim_names},
    {"open-names", "long-path", "Files with paths of more than 260 characters cannot be opened.", CONF_ANY, N,
     long_paths},
    {"open-names", "too-long", "A path that is too long is not refused cleanly.", CONF_ANY, N, too_long_paths},
    {"open-names", "relative", "Relative paths mean something else than to other programs.", CONF_ANY, N,
     relative_paths},
    {"open-names", "read-only", "Files that may not be written are reported as something else.", CONF_ANY, N,
     read_only_files},
    {"open-names", "held", "A file that another process has to itself is reported as something else.", CONF_ANY, N,
     held_elsewhere},
    {"open-names", "not-inherited", "Programs that this one starts inherit its files.", CONF_ANY, N, not_inherited},
    {"pin-fallback", "remote", "Files of a server, which may go away, are mapped.", CONF_ANY, N, remote_files},
};

CONF_GROUP(conf_paths, "names on Windows");
