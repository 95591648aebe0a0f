/*
 * files.c - files, folders and handles for the conformance cases, on Windows.
 *
 * SPDX-License-Identifier: MIT
 */
#include <winsock2.h>

#include "win32.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <winioctl.h>

#define SHARE_ALL (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)

#define MUST(condition, what)                                                    \
  do {                                                                           \
    if (!(condition))                                                            \
      conf_not_testable("%s failed: %s", what, conf_error_text(GetLastError())); \
  } while (0)

/* Names */

wchar_t *conf_units(const char *text) {
  int count = MultiByteToWideChar(CP_UTF8, 0, text, -1, NULL, 0);
  wchar_t *units = malloc(((size_t)count + 1) * sizeof *units);
  if (units == NULL)
    conf_not_testable("there is not enough memory");
  units[0] = 0;
  MultiByteToWideChar(CP_UTF8, 0, text, -1, units, count);
  return units;
}

static wchar_t *full_name(const wchar_t *units) {
  DWORD room = GetFullPathNameW(units, 0, NULL, NULL);
  wchar_t *full = malloc(((size_t)room + 1) * sizeof *full);
  if (full == NULL)
    conf_not_testable("there is not enough memory");
  full[0] = 0;
  GetFullPathNameW(units, room, full, NULL);
  return full;
}

wchar_t *conf_wide(const char *path) {
  wchar_t *units = conf_units(path);
  if (wcsncmp(units, L"\\\\?\\", 4) == 0)
    return units;
  wchar_t *full = full_name(units);
  bool server = wcsncmp(full, L"\\\\", 2) == 0;
  wchar_t *wide = malloc((wcslen(full) + 10) * sizeof *wide);
  if (wide == NULL)
    conf_not_testable("there is not enough memory");
  wcscpy(wide, server ? L"\\\\?\\UNC\\" : L"\\\\?\\");
  wcscat(wide, full + (server ? 2 : 0));
  free(full);
  free(units);
  return wide;
}

static char *utf8(const wchar_t *units) {
  int count = WideCharToMultiByte(CP_UTF8, 0, units, -1, NULL, 0, NULL, NULL);
  char *text = malloc((size_t)count + 1);
  if (text == NULL)
    conf_not_testable("there is not enough memory");
  WideCharToMultiByte(CP_UTF8, 0, units, -1, text, count, NULL, NULL);
  return text;
}

const char *conf_error_text(int64_t native) {
  static char text[256];
  wchar_t units[200];
  DWORD count = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, (DWORD)native, 0,
                               units, sizeof units / sizeof units[0], NULL);
  while (count > 0 && units[count - 1] <= L' ')
    count--;
  int used = WideCharToMultiByte(CP_UTF8, 0, units, (int)count, text, (int)sizeof text - 24, NULL, NULL);
  snprintf(text + used, sizeof text - (size_t)used, "%serror %ld", used > 0 ? ", " : "", (long)native);
  return text;
}

bool conf_is_error(int64_t native, conf_error what) {
  switch (what) {
  case CONF_ABSENT:
    return native == ERROR_FILE_NOT_FOUND || native == ERROR_PATH_NOT_FOUND;
  case CONF_NO_SPACE:
    return native == ERROR_DISK_FULL || native == ERROR_HANDLE_DISK_FULL;
  default:
    return native == ERROR_NO_DATA || native == ERROR_BROKEN_PIPE;
  }
}

/* Files */

HANDLE conf_native_open(const char *path, DWORD access, DWORD disposition, DWORD flags) {
  wchar_t *name = conf_wide(path);
  HANDLE handle = CreateFileW(name, access, SHARE_ALL, NULL, disposition, flags, NULL);
  DWORD error = GetLastError();
  free(name);
  SetLastError(error);
  return handle;
}

static HANDLE must_open(const char *path, DWORD access, DWORD disposition) {
  HANDLE handle = conf_native_open(path, access, disposition, FILE_ATTRIBUTE_NORMAL);
  MUST(handle != INVALID_HANDLE_VALUE, path);
  return handle;
}

static OVERLAPPED place(uint64_t offset) {
  OVERLAPPED at;
  memset(&at, 0, sizeof at);
  at.Offset = (DWORD)offset;
  at.OffsetHigh = (DWORD)(offset >> 32);
  return at;
}

static void must_write(HANDLE handle, const void *bytes, size_t size, uint64_t offset) {
  for (size_t done = 0; done < size;) {
    OVERLAPPED at = place(offset + done);
    DWORD now = 0;
    MUST(WriteFile(handle, (const char *)bytes + done, (DWORD)(size - done), &now, &at) && now > 0,
         "writing a test file");
    done += now;
  }
}

static void must_write_pattern(HANDLE handle, uint64_t offset, uint64_t size) {
  unsigned char buffer[65536];
  for (uint64_t done = 0; done < size;) {
    size_t now = size - done < sizeof buffer ? (size_t)(size - done) : sizeof buffer;
    conf_pattern(buffer, now, offset + done);
    must_write(handle, buffer, now, offset + done);
    done += now;
  }
}

const char *conf_make(const char *name, uint64_t size) {
  const char *path = conf_path(name);
  HANDLE handle = must_open(path, GENERIC_READ | GENERIC_WRITE, CREATE_ALWAYS);
  must_write_pattern(handle, 0, size);
  CloseHandle(handle);
  return path;
}

const char *conf_make_bytes(const char *name, const void *bytes, size_t size) {
  const char *path = conf_path(name);
  HANDLE handle = must_open(path, GENERIC_READ | GENERIC_WRITE, CREATE_ALWAYS);
  must_write(handle, bytes, size, 0);
  CloseHandle(handle);
  return path;
}

static bool set_size(HANDLE handle, uint64_t size) {
  FILE_END_OF_FILE_INFO end;
  end.EndOfFile.QuadPart = (LONGLONG)size;
  return SetFileInformationByHandle(handle, FileEndOfFileInfo, &end, sizeof end);
}

const char *conf_make_sparse(const char *name, uint64_t size) {
  const char *path = conf_path(name);
  HANDLE handle = must_open(path, GENERIC_READ | GENERIC_WRITE, CREATE_ALWAYS);
  FILE_STANDARD_INFO info;
  DWORD got = 0;
  DeviceIoControl(handle, FSCTL_SET_SPARSE, NULL, 0, NULL, 0, &got, NULL);
  if (!set_size(handle, size))
    conf_not_testable("no sparse file of %" PRIu64 " bytes can be made: %s", size, conf_error_text(GetLastError()));
  if (GetFileInformationByHandleEx(handle, FileStandardInfo, &info, sizeof info) &&
      (uint64_t)info.AllocationSize.QuadPart > size / 2)
    conf_not_testable("the file system has no sparse files");
  CloseHandle(handle);
  return path;
}

/*
 * Cutting. Windows does not let anyone cut a file that is mapped. Wine cannot keep a process of the system below from
 * doing so; then the maps fault as they would on a network file system of Windows.
 */

uint64_t conf_handles_lost;

static void run_below(const wchar_t *program, wchar_t *line) {
  static uint64_t lost_each = UINT64_MAX;
  STARTUPINFOW start = {.cb = sizeof start};
  PROCESS_INFORMATION process;
  uint64_t before = lost_each == UINT64_MAX ? conf_descriptors() : 0;
  MUST(CreateProcessW(program, line, NULL, NULL, FALSE, 0, NULL, NULL, &start, &process), "starting truncate");
  /* What it says of the process is not to be used. */
  if (lost_each == UINT64_MAX)
    lost_each = conf_descriptors() - before;
  conf_handles_lost += lost_each;
}

/* There is no waiting for a process below; what it does is seen. */
static void wait_for_size(const char *path, uint64_t size) {
  for (int i = 0; conf_file_size(path) != size; i++) {
    if (i == 20000)
      conf_not_testable("a process of the system below could not cut the test file");
    conf_sleep_ms(1);
  }
}

static void cut_below(const char *path, uint64_t size) {
  typedef char *(CDECL * unix_name)(const wchar_t *);
  unix_name name_below =
      (unix_name)(void (*)(void))GetProcAddress(GetModuleHandleW(L"kernel32.dll"), "wine_get_unix_file_name");
  if (name_below == NULL)
    conf_differs("the system does not let a file be cut that is mapped");
  wchar_t *name = conf_wide(path);
  char *below = name_below(name);
  char line[9000];
  MUST(below != NULL, "finding a file's name in the system below");
  snprintf(line, sizeof line, "truncate -s %" PRIu64 " \"%s\"", size, below);
  wchar_t *units = conf_units(line);
  run_below(L"\\\\?\\unix\\usr\\bin\\truncate", units);
  wait_for_size(path, size);
  free(units);
  HeapFree(GetProcessHeap(), 0, below);
  free(name);
}

static DWORD cut(const char *path, uint64_t size) {
  HANDLE handle = conf_native_open(path, GENERIC_WRITE, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL);
  if (handle == INVALID_HANDLE_VALUE)
    return GetLastError();
  DWORD error = set_size(handle, size) ? 0 : GetLastError();
  CloseHandle(handle);
  return error;
}

static void cut_or_differ(const char *path, uint64_t size, DWORD error) {
  if (error == ERROR_USER_MAPPED_FILE)
    cut_below(path, size);
  else if (error != 0)
    conf_not_testable("cutting a test file failed: %s", conf_error_text(error));
}

void conf_truncate(const char *path, uint64_t size) {
  cut_or_differ(path, size, cut(path, size));
}

int conf_cut_here(const char *path, const char *size) {
  return (int)cut(path, strtoull(size, NULL, 10));
}

void conf_truncate_elsewhere(const char *path, uint64_t size) {
  char text[24];
  snprintf(text, sizeof text, "%" PRIu64, size);
  conf_start how = {.words = {"--cut", path, text, NULL}};
  cut_or_differ(path, size, conf_run_self(&how));
}

void conf_write_pattern(const char *path, uint64_t offset, size_t length) {
  HANDLE handle = must_open(path, GENERIC_READ | GENERIC_WRITE, OPEN_EXISTING);
  must_write_pattern(handle, offset, length);
  CloseHandle(handle);
}

void conf_write_bytes(const char *path, uint64_t offset, const void *bytes, size_t length) {
  HANDLE handle = must_open(path, GENERIC_READ | GENERIC_WRITE, OPEN_EXISTING);
  must_write(handle, bytes, length, offset);
  CloseHandle(handle);
}

void conf_read_bytes(const char *path, uint64_t offset, void *bytes, size_t length) {
  HANDLE handle = must_open(path, GENERIC_READ, OPEN_EXISTING);
  OVERLAPPED at = place(offset);
  DWORD got = 0;
  MUST(length == 0 || (ReadFile(handle, bytes, (DWORD)length, &got, &at) && got == length), "reading a test file");
  CloseHandle(handle);
}

uint64_t conf_file_size(const char *path) {
  HANDLE handle = must_open(path, FILE_READ_ATTRIBUTES, OPEN_EXISTING);
  LARGE_INTEGER size;
  MUST(GetFileSizeEx(handle, &size), path);
  CloseHandle(handle);
  return (uint64_t)size.QuadPart;
}

bool conf_rename(const char *from, const char *to) {
  wchar_t *old_name = conf_wide(from), *new_name = conf_wide(to);
  bool done = MoveFileExW(old_name, new_name, MOVEFILE_REPLACE_EXISTING);
  free(old_name);
  free(new_name);
  return done;
}

bool conf_remove(const char *path) {
  wchar_t *name = conf_wide(path);
  bool done = DeleteFileW(name);
  free(name);
  return done;
}

const char *const conf_odd_names[] = {"-begins-with-dash",
                                      "percent %s %n",
                                      "quotes ' and ` and signs !#$&()+,;=@[]^{}~",
                                      "dots...in the middle",
                                      " begins with a space",
                                      "nul but longer",
                                      "con-",
                                      NULL};

/* Handles */

static bool is_socket(intptr_t handle) {
  int kind = 0, size = sizeof kind;
  return getsockopt((SOCKET)handle, SOL_SOCKET, SO_TYPE, (char *)&kind, &size) == 0;
}

intptr_t conf_handle_open(const char *path, unsigned how) {
  DWORD access = ((how & CONF_READ) != 0 ? GENERIC_READ : 0) | ((how & CONF_WRITE) != 0 ? GENERIC_WRITE : 0);
  return (intptr_t)must_open(path, access, (how & CONF_ANEW) != 0 ? CREATE_ALWAYS : OPEN_EXISTING);
}

void conf_handle_close(intptr_t handle) {
  if (is_socket(handle))
    closesocket((SOCKET)handle);
  else
    CloseHandle((HANDLE)handle);
}

int64_t conf_handle_read(intptr_t handle, void *buffer, size_t length) {
  DWORD got = 0;
  if (is_socket(handle))
    return recv((SOCKET)handle, buffer, (int)length, 0);
  if (!ReadFile((HANDLE)handle, buffer, (DWORD)length, &got, NULL))
    return GetLastError() == ERROR_BROKEN_PIPE ? 0 : -1;
  return got;
}

int64_t conf_handle_write(intptr_t handle, const void *buffer, size_t length) {
  DWORD written = 0;
  return WriteFile((HANDLE)handle, buffer, (DWORD)length, &written, NULL) ? (int64_t)written : -1;
}

uint64_t conf_handle_position(intptr_t handle) {
  LARGE_INTEGER none = {.QuadPart = 0}, position;
  return SetFilePointerEx((HANDLE)handle, none, &position, FILE_CURRENT) ? (uint64_t)position.QuadPart : UINT64_MAX;
}

void conf_pipe(intptr_t ends[2]) {
  HANDLE reading, writing;
  MUST(CreatePipe(&reading, &writing, NULL, 0), "making a pipe");
  ends[0] = (intptr_t)reading;
  ends[1] = (intptr_t)writing;
}

/* The server of Wine 8 dies where a socket that is full is written to as a file. */
static bool sockets_are_files(void) {
  const char *version = conf_wine_version();
  return version == NULL || strtol(version, NULL, 10) >= 9;
}

bool conf_sockets(intptr_t ends[2]) {
  WSADATA data;
  struct sockaddr_in address;
  int size = sizeof address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (!sockets_are_files() || WSAStartup(MAKEWORD(2, 2), &data) != 0)
    return false;
  SOCKET listener = socket(AF_INET, SOCK_STREAM, 0), caller = socket(AF_INET, SOCK_STREAM, 0);
  bool ready = listener != INVALID_SOCKET && caller != INVALID_SOCKET &&
               bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0 &&
               getsockname(listener, (struct sockaddr *)&address, &size) == 0 &&
               connect(caller, (struct sockaddr *)&address, size) == 0;
  SOCKET answerer = ready ? accept(listener, NULL, NULL) : INVALID_SOCKET;
  closesocket(listener);
  ends[0] = (intptr_t)answerer;
  ends[1] = (intptr_t)caller;
  return answerer != INVALID_SOCKET;
}

bool conf_do_not_wait(intptr_t handle) {
  DWORD mode = PIPE_NOWAIT;
  return SetNamedPipeHandleState((HANDLE)handle, &mode, NULL, NULL);
}

intptr_t conf_full_device(void) {
  return -1;
}

/* Folders */

int64_t conf_folder_make(const char *inside, const char *prefix, char *path, size_t size) {
  LARGE_INTEGER now;
  QueryPerformanceCounter(&now);
  uint64_t state = (uint64_t)now.QuadPart * 2654435761u + GetCurrentProcessId() * 2u + 1;
  for (int i = 0; i < 100; i++) {
    int length = snprintf(path, size, "%s\\%s%06x", inside, prefix, (unsigned)(conf_random(&state) >> 40));
    if (length < 0 || (size_t)length >= size)
      return ERROR_FILENAME_EXCED_RANGE;
    wchar_t *name = conf_wide(path);
    DWORD error = CreateDirectoryW(name, NULL) ? 0 : GetLastError();
    free(name);
    if (error != ERROR_ALREADY_EXISTS)
      return error;
  }
  return ERROR_ALREADY_EXISTS;
}

/* What a process that has just died held open may take a moment to be let go. */
static void remove_entry(const wchar_t *name, bool folder) {
  for (int i = 0; i < 50; i++) {
    if (folder ? RemoveDirectoryW(name) : DeleteFileW(name))
      return;
    SetFileAttributesW(name, FILE_ATTRIBUTE_NORMAL);
    Sleep(i < 5 ? 0 : 20);
  }
}

static void remove_folder(const wchar_t *path) {
  size_t length = wcslen(path);
  wchar_t *name = malloc((length + 300) * sizeof *name);
  WIN32_FIND_DATAW entry;
  if (name == NULL)
    return;
  wcscpy(name, path);
  wcscpy(name + length, L"\\*");
  HANDLE search = FindFirstFileW(name, &entry);
  for (BOOL more = search != INVALID_HANDLE_VALUE; more; more = FindNextFileW(search, &entry)) {
    bool folder = (entry.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    if (wcscmp(entry.cFileName, L".") == 0 || wcscmp(entry.cFileName, L"..") == 0)
      continue;
    wcscpy(name + length + 1, entry.cFileName);
    if (folder && (entry.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) == 0)
      remove_folder(name);
    else
      remove_entry(name, folder);
  }
  if (search != INVALID_HANDLE_VALUE)
    FindClose(search);
  free(name);
  remove_entry(path, true);
}

void conf_folder_remove(const char *path) {
  wchar_t *name = conf_wide(path);
  remove_folder(name);
  free(name);
}

int64_t conf_resolve(const char *path, char *absolute, size_t size) {
  wchar_t *units = conf_units(path), *full = full_name(units);
  DWORD attributes = GetFileAttributesW(full);
  DWORD error = attributes == INVALID_FILE_ATTRIBUTES ? GetLastError() : 0;
  char *text = utf8(full);
  size_t length = strlen(text);
  if (length > 3 && text[length - 1] == '\\')
    text[length - 1] = '\0';
  int written = snprintf(absolute, size, "%s", text);
  if (error == 0 && (written < 0 || (size_t)written >= size))
    error = ERROR_FILENAME_EXCED_RANGE;
  free(text);
  free(full);
  free(units);
  return error;
}

static void volume_name(const char *path, char *text, size_t size) {
  wchar_t root[300], kind[64];
  wchar_t *name = conf_wide(path);
  snprintf(text, size, "an unknown file system");
  if (GetVolumePathNameW(name, root, 300) && GetVolumeInformationW(root, NULL, 0, NULL, NULL, NULL, kind, 64)) {
    char *told = utf8(kind);
    snprintf(text, size, "%s", told);
    free(told);
  }
  free(name);
}

void conf_file_system(const char *path, char *text, size_t size) {
  typedef LONG(WINAPI * get_version)(OSVERSIONINFOW *);
  HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
  get_version version = (get_version)(void (*)(void))GetProcAddress(ntdll, "RtlGetVersion");
  const char *wine = conf_wine_version();
  OSVERSIONINFOW told = {.dwOSVersionInfoSize = sizeof told};
  char volume[64];
  volume_name(path, volume, sizeof volume);
  if (version != NULL)
    version(&told);
  snprintf(text, size, "%s, Windows %lu.%lu.%lu%s%s", volume, told.dwMajorVersion, told.dwMinorVersion,
           told.dwBuildNumber, wine != NULL ? " by Wine " : "", wine != NULL ? wine : "");
}

const char *conf_program_path(const char *called_as) {
  static wchar_t units[4096];
  DWORD length = GetModuleFileNameW(NULL, units, 4096);
  return length > 0 && length < 4096 ? utf8(units) : called_as;
}

const char *conf_wine_version(void) {
  typedef const char *(CDECL * get_wine_version)(void);
  get_wine_version version =
      (get_wine_version)(void (*)(void))GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "wine_get_version");
  return version != NULL ? version() : NULL;
}
