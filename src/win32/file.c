/*
 * win32/file.c - files: opening, looking, reading, writing.
 *
 * SPDX-License-Identifier: MIT
 *
 * All reading goes through a handle of the library's own, opened for overlapped access: it has no position, so that of
 * a caller's handle never moves, and threads do not wait for one another.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "../os.h"
#include "name.h"
#include "status.h"

#include <stdlib.h>

#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#include <winioctl.h>

/* The most one system call is asked to move: servers and pipes refuse more than they have memory for. */
#define MOST_AT_ONCE ((size_t)1 << 24)

/*
 * What ntdll knows that the documented calls do not tell under every system
 */

typedef struct status_block {
  void *status;
  ULONG_PTR information;
} status_block;

typedef LONG(WINAPI *query_object)(HANDLE, int, void *, ULONG, ULONG *);
typedef LONG(WINAPI *query_file)(HANDLE, status_block *, void *, ULONG, int);

enum { OBJECT_BASIC = 0, OBJECT_TYPE = 2, VOLUME_SIZE = 3, VOLUME_DEVICE = 4, VOLUME_ATTRIBUTES = 5, FILE_MODE = 16 };

static FARPROC of_ntdll(const char *name) {
  HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
  return ntdll != NULL ? GetProcAddress(ntdll, name) : NULL;
}

/* Function pointers of another type by way of one that fits all. */
#define NTDLL(type, name) ((type)(void (*)(void))of_ntdll(name))

/* What the handle was opened for; all, where that cannot be told. */
static ACCESS_MASK granted_access(HANDLE handle) {
  struct {
    ULONG attributes;
    ACCESS_MASK granted;
    ULONG others[12];
  } basic;
  query_object query = NTDLL(query_object, "NtQueryObject");
  if (query == NULL || query(handle, OBJECT_BASIC, &basic, sizeof basic, NULL) != 0)
    return GENERIC_ALL | FILE_READ_DATA | FILE_WRITE_DATA;
  return basic.granted;
}

/* GetFileType takes other objects for files on some systems. */
static bool is_file_object(HANDLE handle) {
  struct {
    USHORT length, room;
    wchar_t *text;
    wchar_t space[512];
  } type;
  query_object query = NTDLL(query_object, "NtQueryObject");
  if (query == NULL || query(handle, OBJECT_TYPE, &type, sizeof type, NULL) != 0)
    return true;
  return type.length == 4 * sizeof(wchar_t) && wcsncmp(type.text, L"File", 4) == 0;
}

enum { UNBUFFERED = 0x8, ALERTABLE = 0x10, NOT_ALERTABLE = 0x20 };

/* Was the handle opened in one of these ways? So it is taken to be where that cannot be told. */
static bool has_mode(HANDLE handle, ULONG modes) {
  ULONG mode = 0;
  status_block block;
  query_file query = NTDLL(query_file, "NtQueryInformationFile");
  return query == NULL || query(handle, &block, &mode, sizeof mode, FILE_MODE) != 0 || (mode & modes) != 0;
}

/* Does the handle keep a position and do one thing at a time? */
static bool is_synchronous(HANDLE handle) {
  return has_mode(handle, ALERTABLE | NOT_ALERTABLE);
}

static bool ask_volume(HANDLE handle, int what, void *answer, ULONG size) {
  status_block block;
  query_file query = NTDLL(query_file, "NtQueryVolumeInformationFile");
  return query != NULL && query(handle, &block, answer, size, what) == 0;
}

/*
 * Opening
 */

static DWORD desired_access(uint32_t flags) {
  return (flags & MAPFILE_WRITE) != 0 ? GENERIC_READ | GENERIC_WRITE : GENERIC_READ;
}

/* Others may do as they like unless the program forbids it, as on POSIX. */
static DWORD sharing(uint32_t share) {
  if (share == MAPFILE_SHARE_DEFAULT)
    return FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
  return ((share & MAPFILE_SHARE_READ) != 0 ? FILE_SHARE_READ : 0) |
         ((share & MAPFILE_SHARE_WRITE) != 0 ? FILE_SHARE_WRITE : 0) |
         ((share & MAPFILE_SHARE_DELETE) != 0 ? FILE_SHARE_DELETE : 0);
}

static DWORD disposition(uint32_t flags) {
  if ((flags & MAPFILE_EXCLUSIVE) != 0)
    return CREATE_NEW;
  return (flags & MAPFILE_CREATE) != 0 ? OPEN_ALWAYS : OPEN_EXISTING;
}

/* A folder is refused with the same error as a file that may not be opened. */
static mapfile_status status_of_opening(const wchar_t *name, DWORD error) {
  DWORD attributes = error == ERROR_ACCESS_DENIED ? GetFileAttributesW(name) : INVALID_FILE_ATTRIBUTES;
  if (attributes == INVALID_FILE_ATTRIBUTES || (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0)
    return win_status_from_error(error);
  mf_set_native_error((int64_t)error);
  return MAPFILE_UNSUPPORTED;
}

static mapfile_status open_name(const wchar_t *name, uint32_t flags, uint32_t share, DWORD how, HANDLE *handle) {
  /* The file's server, if it is a named pipe after all, must not act in this program's name. */
  const DWORD attributes = FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_ANONYMOUS;
  HANDLE opened = CreateFileW(name, desired_access(flags), sharing(share), NULL, how, attributes, NULL);
  if (opened == INVALID_HANDLE_VALUE)
    return status_of_opening(name, GetLastError());
  *handle = opened;
  return MAPFILE_OK;
}

mapfile_status os_set_size(intptr_t handle, uint64_t size) {
  FILE_END_OF_FILE_INFO end;
  if (size > INT64_MAX) {
    mf_set_native_error(0);
    return MAPFILE_LIMIT;
  }
  end.EndOfFile.QuadPart = (LONGLONG)size;
  if (SetFileInformationByHandle((HANDLE)handle, FileEndOfFileInfo, &end, sizeof end))
    return MAPFILE_OK;
  DWORD error = GetLastError();
  /* A size that no file of this file system can have. */
  if (error != ERROR_INVALID_PARAMETER)
    return win_status_from_error(error);
  mf_set_native_error((int64_t)error);
  return MAPFILE_LIMIT;
}

/* Space behind the end can be had, but none for holes; and to ask for less than the file has would cut it. */
mapfile_status os_allocate(intptr_t handle, uint64_t length) {
  const DWORD with_holes = FILE_ATTRIBUTE_SPARSE_FILE | FILE_ATTRIBUTE_COMPRESSED;
  FILE_BASIC_INFO basic;
  FILE_STANDARD_INFO now;
  FILE_ALLOCATION_INFO wanted;
  if (!GetFileInformationByHandleEx((HANDLE)handle, FileBasicInfo, &basic, sizeof basic) ||
      !GetFileInformationByHandleEx((HANDLE)handle, FileStandardInfo, &now, sizeof now))
    return win_status_of_last_error();
  if ((basic.FileAttributes & with_holes) != 0 || now.AllocationSize.QuadPart < now.EndOfFile.QuadPart)
    return win_status_from_error(ERROR_NOT_SUPPORTED);
  if (length <= (uint64_t)now.AllocationSize.QuadPart)
    return MAPFILE_OK;
  wanted.AllocationSize.QuadPart = (LONGLONG)length;
  return SetFileInformationByHandle((HANDLE)handle, FileAllocationInfo, &wanted, sizeof wanted)
             ? MAPFILE_OK
             : win_status_of_last_error();
}

/* The name as it was resolved when the file was opened: the current folder may change. */
struct os_name {
  wchar_t *text;
};

void os_name_free(os_name *name) {
  if (name == NULL)
    return;
  free(name->text);
  free(name);
}

static mapfile_status open_and_empty(const os_name *name, uint32_t flags, uint32_t share, intptr_t *handle) {
  HANDLE opened = INVALID_HANDLE_VALUE;
  mapfile_status status = open_name(name->text, flags, share, disposition(flags), &opened);
  if (status == MAPFILE_OK && (flags & MAPFILE_TRUNCATE) != 0) {
    status = os_set_size((intptr_t)opened, 0);
    if (status != MAPFILE_OK)
      CloseHandle(opened);
  }
  if (status == MAPFILE_OK)
    *handle = (intptr_t)opened;
  return status;
}

mapfile_status os_open(const char *path, uint32_t flags, uint32_t share, uint32_t create_mode, intptr_t *handle,
                       os_name **name) {
  (void)create_mode;
  os_name *made = calloc(1, sizeof *made);
  if (made == NULL)
    return MAPFILE_NO_MEMORY;
  mapfile_status status = win_full_name(path, &made->text);
  if (status == MAPFILE_OK)
    status = open_and_empty(made, flags, share, handle);
  if (status == MAPFILE_OK)
    *name = made;
  else
    os_name_free(made);
  return status;
}

mapfile_status os_reopen(const os_name *name, uint32_t flags, uint32_t share, intptr_t *handle) {
  HANDLE opened = INVALID_HANDLE_VALUE;
  mapfile_status status = open_name(name->text, flags, share, OPEN_EXISTING, &opened);
  if (status == MAPFILE_OK)
    *handle = (intptr_t)opened;
  return status;
}

mapfile_status os_close(intptr_t handle) {
  return CloseHandle((HANDLE)handle) ? MAPFILE_OK : win_status_of_last_error();
}

/*
 * Handles that the program gave
 */

mapfile_status os_handle_allows(intptr_t native, uint32_t flags) {
  HANDLE handle = (HANDLE)native;
  DWORD wanted = (flags & MAPFILE_WRITE) != 0 ? FILE_READ_DATA | FILE_WRITE_DATA : FILE_READ_DATA;
  DWORD inheritance;
  if (handle == NULL || handle == INVALID_HANDLE_VALUE || !GetHandleInformation(handle, &inheritance))
    return win_status_from_error(ERROR_INVALID_HANDLE);
  if (!is_file_object(handle))
    return MAPFILE_OK; /* os_file_look says what it is */
  if ((granted_access(handle) & wanted) != wanted)
    return win_status_from_error(ERROR_ACCESS_DENIED);
  return MAPFILE_OK;
}

static bool are_different(HANDLE one, HANDLE other) {
  os_identity a, b;
  return os_handle_identity((intptr_t)one, &a) == MAPFILE_OK && os_handle_identity((intptr_t)other, &b) == MAPFILE_OK &&
         (a.volume != b.volume || a.id[0] != b.id[0] || a.id[1] != b.id[1]);
}

/* A folder, say, is nothing to be opened anew; os_file_look says what it is. */
static bool is_plain_file(HANDLE handle) {
  FILE_BASIC_INFO basic;
  return GetFileType(handle) == FILE_TYPE_DISK && is_file_object(handle) &&
         (!GetFileInformationByHandleEx(handle, FileBasicInfo, &basic, sizeof basic) ||
          (basic.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) == 0);
}

/* A handle without a position can be used as it is, unless it takes only whole sectors. Others are opened anew. That
   is the same file on Windows, whatever its name is now; Wine goes by the name, and tells all files apart. */
mapfile_status os_own_handle(intptr_t native, uint32_t flags, intptr_t *own) {
  HANDLE handle = (HANDLE)native;
  *own = native;
  if (!is_plain_file(handle) || !has_mode(handle, ALERTABLE | NOT_ALERTABLE | UNBUFFERED))
    return MAPFILE_OK;
  HANDLE opened = ReOpenFile(handle, desired_access(flags), sharing(MAPFILE_SHARE_DEFAULT), FILE_FLAG_OVERLAPPED);
  if (opened == INVALID_HANDLE_VALUE)
    return win_status_of_last_error();
  if (are_different(handle, opened)) {
    CloseHandle(opened);
    mf_set_native_error(0);
    return MAPFILE_UNSUPPORTED;
  }
  *own = (intptr_t)opened;
  return MAPFILE_OK;
}

/*
 * What file and what file system it is
 */

static bool is_local(HANDLE handle) {
  const ULONG network = 0x14, remote = 0x10;
  struct {
    ULONG type, characteristics;
  } device;
  return ask_volume(handle, VOLUME_DEVICE, &device, sizeof device) && device.type != network &&
         (device.characteristics & remote) == 0;
}

/* Is the file on one of these file systems? */
static bool is_kept_by(HANDLE handle, const wchar_t *const *systems, size_t count) {
  struct {
    ULONG flags;
    LONG longest;
    ULONG length;
    wchar_t name[64];
  } volume;
  if (!ask_volume(handle, VOLUME_ATTRIBUTES, &volume, sizeof volume - sizeof(wchar_t)) ||
      volume.length > sizeof volume.name - sizeof(wchar_t))
    return false;
  volume.name[volume.length / sizeof(wchar_t)] = 0;
  for (size_t i = 0; i < count; i++)
    if (wcscmp(volume.name, systems[i]) == 0)
      return true;
  return false;
}

/* Maps of remote files are not coherent with reads, and errors come to them late or never. */
bool os_may_map(intptr_t handle) {
  static const wchar_t *const known[] = {L"NTFS", L"ReFS", L"FAT", L"FAT32", L"exFAT", L"UDF", L"CDFS"};
  return is_local((HANDLE)handle) && is_kept_by((HANDLE)handle, known, sizeof known / sizeof known[0]);
}

/* Wine gives the time of the last write where the system below keeps no other. */
static bool has_times_of_creation(void) {
  return of_ntdll("wine_get_version") == NULL;
}

/* Before Windows 8 there are only these shorter numbers. Elsewhere than on NTFS they may change, or mean two files. */
static bool identify_as_before(HANDLE handle, os_identity *identity) {
  static const wchar_t *const lasting[] = {L"NTFS"};
  BY_HANDLE_FILE_INFORMATION file;
  if (!GetFileInformationByHandle(handle, &file) || !is_kept_by(handle, lasting, 1))
    return false;
  identity->volume = file.dwVolumeSerialNumber;
  identity->id[0] = (uint64_t)file.nFileIndexHigh << 32 | file.nFileIndexLow;
  identity->id[1] = 0;
  return true;
}

static bool identify(HANDLE handle, os_identity *identity) {
  FILE_ID_INFO id;
  if (!GetFileInformationByHandleEx(handle, FileIdInfo, &id, sizeof id))
    return identify_as_before(handle, identity);
  identity->volume = id.VolumeSerialNumber;
  memcpy(identity->id, &id.FileId, sizeof identity->id);
  return true;
}

mapfile_status os_handle_identity(intptr_t handle, os_identity *identity) {
  FILE_BASIC_INFO basic;
  if (!identify((HANDLE)handle, identity) ||
      !GetFileInformationByHandleEx((HANDLE)handle, FileBasicInfo, &basic, sizeof basic)) {
    mf_set_native_error((int64_t)GetLastError());
    return MAPFILE_UNSUPPORTED;
  }
  identity->created = has_times_of_creation() ? basic.CreationTime.QuadPart : 0;
  return MAPFILE_OK;
}

/*
 * Looking
 */

/* 100 nanoseconds since 1601 to nanoseconds since 1970; unsigned, because what wraps still differs. */
static int64_t nanoseconds(LARGE_INTEGER time) {
  const uint64_t unix_begins = UINT64_C(116444736000000000);
  return (int64_t)(((uint64_t)time.QuadPart - unix_begins) * 100);
}

static enum os_file_kind kind_of(HANDLE handle, DWORD attributes) {
  return GetFileType(handle) == FILE_TYPE_DISK && (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0 ? OS_FILE_REGULAR
                                                                                               : OS_FILE_OTHER;
}

/* A whole disk passes for a file, but has none of a file's properties. */
static mapfile_status status_of_looking(DWORD error) {
  if (error == ERROR_INVALID_PARAMETER || win_status_from_error(error) == MAPFILE_UNSUPPORTED)
    return MAPFILE_OK;
  mf_set_native_error((int64_t)error);
  return MAPFILE_IO;
}

mapfile_status os_file_look(intptr_t native, os_file_info *info) {
  HANDLE handle = (HANDLE)native;
  FILE_BASIC_INFO basic;
  FILE_STANDARD_INFO standard;
  memset(info, 0, sizeof *info);
  if (GetFileType(handle) == FILE_TYPE_PIPE) {
    info->kind = OS_FILE_STREAM;
    return MAPFILE_OK;
  }
  info->kind = OS_FILE_OTHER;
  if (GetFileType(handle) != FILE_TYPE_DISK || !is_file_object(handle))
    return MAPFILE_OK;
  if (!GetFileInformationByHandleEx(handle, FileBasicInfo, &basic, sizeof basic) ||
      !GetFileInformationByHandleEx(handle, FileStandardInfo, &standard, sizeof standard))
    return status_of_looking(GetLastError());
  info->kind = kind_of(handle, basic.FileAttributes);
  info->size = (uint64_t)standard.EndOfFile.QuadPart;
  info->modified = nanoseconds(basic.LastWriteTime);
  info->changed = nanoseconds(basic.ChangeTime);
  return MAPFILE_OK;
}

/*
 * Reading and writing
 */

/* What reading reports is about the bytes: NOT_FOUND must not seem to be the answer of a search. */
static mapfile_status status_of_reading(DWORD error) {
  mapfile_status status = win_status_from_error(error);
  switch (status) {
  case MAPFILE_NO_MEMORY:
  case MAPFILE_NO_SPACE:
  case MAPFILE_INVALID:
  case MAPFILE_BUSY: /* bytes that another process has locked */
    return status;
  default:
    return MAPFILE_IO;
  }
}

/* The event's lowest bit, which is not part of it, keeps the system from telling a port that the program may have tied
   its own handle to. */
static OVERLAPPED overlapped_at(uint64_t offset, HANDLE event) {
  OVERLAPPED at;
  memset(&at, 0, sizeof at);
  at.Offset = (DWORD)offset;
  at.OffsetHigh = (DWORD)(offset >> 32);
  at.hEvent = (HANDLE)((ULONG_PTR)event | 1);
  return at;
}

/* One read or write that may be going on when its call returns. Returns the error, 0 for none; one of them says that
   there is more than was asked for, which has been read. */
static DWORD finish(BOOL begun, HANDLE handle, OVERLAPPED *at, DWORD *moved) {
  DWORD error = begun ? 0 : GetLastError();
  if (error != 0 && error != ERROR_IO_PENDING && error != ERROR_MORE_DATA)
    return error;
  return GetOverlappedResult(handle, at, moved, TRUE) ? 0 : GetLastError();
}

mapfile_status os_read_at(intptr_t handle, uint64_t offset, void *buffer, size_t length, size_t *done) {
  *done = 0;
  HANDLE event = length > 0 ? win_thread_event() : NULL;
  if (length > 0 && event == NULL)
    return win_status_of_last_error();
  while (*done < length) {
    size_t want = length - *done < MOST_AT_ONCE ? length - *done : MOST_AT_ONCE;
    DWORD got = 0;
    OVERLAPPED at = overlapped_at(offset + *done, event);
    BOOL begun = ReadFile((HANDLE)handle, (char *)buffer + *done, (DWORD)want, NULL, &at);
    DWORD error = finish(begun, (HANDLE)handle, &at, &got);
    if (error == ERROR_HANDLE_EOF || (error == 0 && got == 0))
      return MAPFILE_OK;
    if (error != 0)
      return status_of_reading(error);
    *done += got;
  }
  return MAPFILE_OK;
}

/* The system's call for several places takes whole pages, and only around its cache. */
mapfile_status os_read_parts(intptr_t handle, uint64_t offset, const os_part *parts, unsigned count, size_t *done) {
  *done = 0;
  for (unsigned i = 0; i < count; i++) {
    size_t got;
    mapfile_status status = os_read_at(handle, offset + *done, parts[i].buffer, parts[i].length, &got);
    *done += got;
    if (status != MAPFILE_OK || got < parts[i].length)
      return status;
  }
  return MAPFILE_OK;
}

/* Begin at the handle's position, where it has one, else at offset; to a pipe neither matters. */
static DWORD read_once(HANDLE handle, uint64_t offset, void *buffer, DWORD length, DWORD *got) {
  if (is_synchronous(handle))
    return ReadFile(handle, buffer, length, got, NULL) ? 0 : GetLastError();
  HANDLE event = win_thread_event();
  if (event == NULL)
    return GetLastError();
  OVERLAPPED at = overlapped_at(offset, event);
  return finish(ReadFile(handle, buffer, length, NULL, &at), handle, &at, got);
}

/* Nothing can be read from a pipe where nothing was written to it: only an error is its end. */
static bool is_pipe(HANDLE handle) {
  return GetNamedPipeInfo(handle, NULL, NULL, NULL, NULL);
}

mapfile_status os_read_stream(intptr_t native, uint64_t offset, void *buffer, size_t length, size_t *done) {
  HANDLE handle = (HANDLE)native;
  DWORD got = 0, error;
  *done = 0;
  do
    error = read_once(handle, offset, buffer, (DWORD)(length < MOST_AT_ONCE ? length : MOST_AT_ONCE), &got);
  while (error == 0 && got == 0 && is_pipe(handle));
  if (error == ERROR_BROKEN_PIPE || error == ERROR_HANDLE_EOF)
    return MAPFILE_OK;
  *done = got;
  /* A pipe of messages: the rest of this one comes with the next read. */
  return error == 0 || error == ERROR_MORE_DATA ? MAPFILE_OK : status_of_reading(error);
}

static DWORD write_once(HANDLE handle, bool synchronous, const void *buffer, DWORD length, DWORD *written) {
  if (synchronous)
    return WriteFile(handle, buffer, length, written, NULL) ? 0 : GetLastError();
  HANDLE event = win_thread_event();
  if (event == NULL)
    return GetLastError();
  OVERLAPPED at = overlapped_at(0, event);
  return finish(WriteFile(handle, buffer, length, NULL, &at), handle, &at, written);
}

/* Nobody has opened it for this, or nobody reads it any more. */
static mapfile_status status_of_receiver(DWORD error) {
  if (error == ERROR_INVALID_HANDLE)
    return win_status_from_error(ERROR_ACCESS_DENIED);
  if (error == ERROR_NO_DATA || error == ERROR_BROKEN_PIPE) {
    mf_set_native_error((int64_t)error);
    return MAPFILE_IO;
  }
  return win_status_from_error(error);
}

mapfile_status os_write_stream(intptr_t native, const void *buffer, size_t length, size_t *done) {
  HANDLE handle = (HANDLE)native;
  *done = 0;
  if (handle == NULL || handle == INVALID_HANDLE_VALUE)
    return status_of_receiver(ERROR_INVALID_HANDLE);
  bool synchronous = is_synchronous(handle);
  /* Where would a file begin that has no position? The caller has not said. */
  if (!synchronous && GetFileType(handle) == FILE_TYPE_DISK) {
    mf_set_native_error(0);
    return MAPFILE_UNSUPPORTED;
  }
  size_t most = MOST_AT_ONCE;
  while (*done < length) {
    size_t want = length - *done < most ? length - *done : most;
    DWORD written = 0;
    DWORD error = write_once(handle, synchronous, (const char *)buffer + *done, (DWORD)want, &written);
    *done += written;
    if (error != 0)
      return status_of_receiver(error);
    /* A pipe that does not wait takes nothing of what does not fit whole. */
    if (written == 0 && want == 1)
      return win_status_from_error(ERROR_PIPE_BUSY);
    if (written == 0)
      most = want / 2;
  }
  return MAPFILE_OK;
}

/* UNKNOWN: the memory to be written could not be read. A place that no file of this file system has is a wrong
   parameter, as in os_set_size. */
static mapfile_status status_of_writing(DWORD error) {
  mapfile_status status = win_status_from_error(error);
  switch (error) {
  case ERROR_NOACCESS:
  case ERROR_SWAPERROR:
  case ERROR_INVALID_USER_BUFFER:
    return MAPFILE_UNKNOWN;
  case ERROR_INVALID_PARAMETER:
    return MAPFILE_LIMIT;
  }
  return status == MAPFILE_NOT_FOUND || status == MAPFILE_EXISTS ? MAPFILE_IO : status;
}

mapfile_status os_write_at(intptr_t handle, uint64_t offset, const void *buffer, size_t length, size_t *done) {
  *done = 0;
  HANDLE event = length > 0 ? win_thread_event() : NULL;
  if (length > 0 && event == NULL)
    return win_status_of_last_error();
  while (*done < length) {
    size_t want = length - *done < MOST_AT_ONCE ? length - *done : MOST_AT_ONCE;
    DWORD put = 0;
    OVERLAPPED at = overlapped_at(offset + *done, event);
    BOOL begun = WriteFile((HANDLE)handle, (const char *)buffer + *done, (DWORD)want, NULL, &at);
    DWORD error = finish(begun, (HANDLE)handle, &at, &put);
    if (error != 0 || put == 0)
      return status_of_writing(error != 0 ? error : ERROR_WRITE_FAULT);
    *done += put;
  }
  return MAPFILE_OK;
}

/* A handle that may write anywhere heeds the offset, whatever else it may do. */
mapfile_status os_writes_where_asked(intptr_t handle) {
  (void)handle;
  return MAPFILE_OK;
}

mapfile_status os_send_file(intptr_t file, uint64_t offset, size_t length, intptr_t handle, size_t *done) {
  (void)file;
  (void)offset;
  (void)length;
  (void)handle;
  *done = 0;
  return MAPFILE_UNSUPPORTED;
}

bool os_is_hole(intptr_t native, uint64_t offset, uint64_t length) {
  HANDLE handle = (HANDLE)native, event = win_thread_event();
  FILE_ALLOCATED_RANGE_BUFFER asked, found;
  DWORD got = 0;
  if (event == NULL)
    return false;
  asked.FileOffset.QuadPart = (LONGLONG)offset;
  asked.Length.QuadPart = (LONGLONG)length;
  OVERLAPPED at = overlapped_at(0, event);
  BOOL begun =
      DeviceIoControl(handle, FSCTL_QUERY_ALLOCATED_RANGES, &asked, sizeof asked, &found, sizeof found, NULL, &at);
  return finish(begun, handle, &at, &got) == 0 && got == 0;
}

bool os_file_system_full(intptr_t handle) {
  struct {
    LARGE_INTEGER units, left;
    ULONG sectors, bytes;
  } volume;
  if (!ask_volume((HANDLE)handle, VOLUME_SIZE, &volume, sizeof volume) ||
      (uint64_t)volume.left.QuadPart * volume.sectors * volume.bytes >= mf_page_size)
    return false;
  mf_set_native_error(ERROR_DISK_FULL);
  return true;
}
