/*
 * win32/map.c - maps and pages.
 *
 * SPDX-License-Identifier: MIT
 *
 * Views of section objects begin at multiples of the allocation granularity and end where the file does. The section
 * itself is closed as soon as the view is there: the view keeps it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "../os.h"
#include "status.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

size_t os_page_size(void) {
  SYSTEM_INFO system;
  GetSystemInfo(&system);
  return system.dwPageSize;
}

size_t os_map_unit(void) {
  SYSTEM_INFO system;
  GetSystemInfo(&system);
  return system.dwAllocationGranularity;
}

uint64_t os_map_count_limit(void) {
  return UINT64_MAX;
}

bool os_map_may_pass_end(void) {
  return false;
}

static mapfile_status map_status(DWORD error) {
  mf_set_native_error((int64_t)error);
  switch (error) {
  case ERROR_NOT_ENOUGH_MEMORY:
  case ERROR_NO_SYSTEM_RESOURCES:
  case ERROR_COMMITMENT_LIMIT:
  case ERROR_NOT_ENOUGH_QUOTA:
  case ERROR_WORKING_SET_QUOTA:
  case ERROR_INVALID_ADDRESS:
    return MAPFILE_LIMIT;
  /* The file has become empty, or shorter than its section shall be. */
  case ERROR_FILE_INVALID:
    return MAPFILE_TRUNCATED;
  case ERROR_INVALID_PARAMETER:
  case ERROR_BAD_EXE_FORMAT:
    return MAPFILE_UNSUPPORTED;
  default:
    return win_status_from_error(error);
  }
}

static DWORD section_protection(enum os_map_kind kind) {
  if (kind == OS_MAP_WRITE)
    return PAGE_READWRITE;
  return kind == OS_MAP_PRIVATE ? PAGE_WRITECOPY : PAGE_READONLY;
}

static DWORD view_access(enum os_map_kind kind) {
  if (kind == OS_MAP_WRITE)
    return FILE_MAP_WRITE;
  return kind == OS_MAP_PRIVATE ? FILE_MAP_COPY : FILE_MAP_READ;
}

/* How many of the bytes asked for the file holds, where all their pages can be mapped; 0: not all. */
static size_t bytes_to_map(uint64_t size, uint64_t offset, size_t length) {
  uint64_t page = mf_page_size;
  uint64_t last_page_end = size < UINT64_MAX - page ? (size + page - 1) / page * page : size;
  if (offset >= size || length > last_page_end - offset)
    return 0;
  return length < size - offset ? length : (size_t)(size - offset);
}

/* The section could be had for this use, so what is denied is bytes that it does not have: they have just gone. */
static mapfile_status view_status(DWORD error) {
  if (error != ERROR_ACCESS_DENIED)
    return map_status(error);
  mf_set_native_error(0);
  return MAPFILE_TRUNCATED;
}

mapfile_status os_map(intptr_t handle, uint64_t offset, size_t length, enum os_map_kind kind, void **address) {
  LARGE_INTEGER size;
  if (!GetFileSizeEx((HANDLE)handle, &size))
    return win_status_of_last_error();
  size_t there = bytes_to_map((uint64_t)size.QuadPart, offset, length);
  if (there == 0) {
    mf_set_native_error(0);
    return MAPFILE_TRUNCATED;
  }
  HANDLE section = CreateFileMappingW((HANDLE)handle, NULL, section_protection(kind), 0, 0, NULL);
  if (section == NULL)
    return map_status(GetLastError());
  void *view = MapViewOfFile(section, view_access(kind), (DWORD)(offset >> 32), (DWORD)offset, there);
  DWORD error = GetLastError();
  CloseHandle(section);
  if (view == NULL)
    return view_status(error);
  *address = view;
  return MAPFILE_OK;
}

/* The pages are the view's still; os_memory_fail has only forbidden them. */
mapfile_status os_map_over(intptr_t handle, uint64_t offset, size_t length, enum os_map_kind kind, void *address) {
  DWORD before;
  (void)handle;
  (void)offset;
  if (!VirtualProtect(address, length, section_protection(kind), &before))
    return map_status(GetLastError());
  return MAPFILE_OK;
}

mapfile_status os_memory(size_t length, void **address) {
  void *memory = VirtualAlloc(NULL, length, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
  if (memory == NULL)
    return map_status(GetLastError());
  *address = memory;
  return MAPFILE_OK;
}

/* Those pages that are to fail stay as they are. */
void os_memory_seal(void *address, size_t length) {
  DWORD before;
  MEMORY_BASIC_INFORMATION alike;
  for (unsigned char *at = address, *end = at + length; at < end; at += alike.RegionSize) {
    if (VirtualQuery(at, &alike, sizeof alike) != sizeof alike)
      return;
    if (alike.RegionSize > (size_t)(end - at))
      alike.RegionSize = (size_t)(end - at);
    if ((alike.Protect & PAGE_NOACCESS) == 0)
      VirtualProtect(at, alike.RegionSize, PAGE_READONLY, &before);
  }
}

/* Memory of ours, not a map. */
static bool is_memory(const void *address) {
  MEMORY_BASIC_INFORMATION memory;
  return VirtualQuery(address, &memory, sizeof memory) == sizeof memory && memory.Type == MEM_PRIVATE;
}

/* Memory becomes zeros before it is forbidden: os_fill_zeros has then only to allow it again, at one stroke, and no
   thread ever reads anything else there (promise fault-zero-fill). */
mapfile_status os_memory_fail(void *address, size_t length) {
  DWORD before;
  if (is_memory(address)) {
    if (!VirtualProtect(address, length, PAGE_READWRITE, &before))
      return map_status(GetLastError());
    ZeroMemory(address, length);
  }
  return VirtualProtect(address, length, PAGE_NOACCESS, &before) ? MAPFILE_OK : map_status(GetLastError());
}

mapfile_status os_memory_again(void *address, size_t length) {
  DWORD before;
  if (!VirtualProtect(address, length, PAGE_READWRITE, &before))
    return map_status(GetLastError());
  ZeroMemory(address, length);
  return MAPFILE_OK;
}

/* Both kinds of memory come here; which it is, the system knows. */
void os_unmap(void *address, size_t length) {
  (void)length;
  if (!UnmapViewOfFile(address))
    VirtualFree(address, 0, MEM_RELEASE);
}

/* Only copied memory is filled (OS_FILLS_MAPS), and it holds zeros already. Another thread may have done so meanwhile.
 */
bool os_fill_zeros(void *address, size_t length) {
  DWORD before;
  return VirtualProtect(address, length, PAGE_READONLY, &before);
}
