/*
 * posix/map.c - maps and pages.
 *
 * SPDX-License-Identifier: MIT
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "../os.h"
#include "cancel.h"
#include "status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_feature)
#define MF_CLANG_SANITIZES_THREADS __has_feature(thread_sanitizer)
#else
#define MF_CLANG_SANITIZES_THREADS 0
#endif

size_t os_page_size(void) {
  return (size_t)sysconf(_SC_PAGESIZE);
}

size_t os_map_unit(void) {
  return os_page_size();
}

static ssize_t read_map_count_limit(char *text, size_t room) {
  int descriptor = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return -1;
  ssize_t got = read(descriptor, text, room);
  close(descriptor);
  return got;
}

uint64_t os_map_count_limit(void) {
  char text[32];
  ssize_t got;
  WITHOUT_CANCELLATION(got = read_map_count_limit(text, sizeof text - 1));
  if (got <= 0)
    return UINT64_MAX;
  text[got] = '\0';
  unsigned long long limit = strtoull(text, NULL, 10);
  return limit > 0 ? limit : UINT64_MAX;
}

bool os_map_may_pass_end(void) {
  return true;
}

static mapfile_status map_status(int error) {
  switch (error) {
  /* EAGAIN: locked memory; EOVERFLOW: more than the system can map at this offset. */
  case ENOMEM:
  case EAGAIN:
  case EOVERFLOW:
    mf_set_native_error(error);
    return MAPFILE_LIMIT;
  case EINVAL:
    mf_set_native_error(error);
    return MAPFILE_UNSUPPORTED;
  default:
    return mf_status_from_errno(error);
  }
}

/* Put pages somewhere, or over pages of ours. Other threads may touch those meanwhile, which is what they are for;
   ThreadSanitizer, which takes mmap for a write to all of them, would call that a race: it is not told. */
static void *map_pages(void *address, size_t length, int protection, int how, int descriptor, off_t offset) {
#if defined(__SANITIZE_THREAD__) || MF_CLANG_SANITIZES_THREADS
  if ((how & MAP_FIXED) != 0)
    return (void *)syscall(SYS_mmap, address, length, protection, how, descriptor, offset);
#endif
  return mmap(address, length, protection, how, descriptor, offset);
}

static mapfile_status map_at(intptr_t handle, uint64_t offset, size_t length, enum os_map_kind kind, void *wanted,
                             int fixed, void **address) {
  int protection = kind == OS_MAP_READ ? PROT_READ : PROT_READ | PROT_WRITE;
  int sharing = kind == OS_MAP_PRIVATE ? MAP_PRIVATE : MAP_SHARED;
#ifdef MAP_NORESERVE
  /* Private pages are charged when they are written, not all at once: a view of a large file must not need as much
     swap. */
  if (kind == OS_MAP_PRIVATE)
    sharing |= MAP_NORESERVE;
#endif
  void *made = map_pages(wanted, length, protection, sharing | fixed, (int)handle, (off_t)offset);
  if (made == MAP_FAILED)
    return map_status(errno);
  *address = made;
  return MAPFILE_OK;
}

mapfile_status os_map(intptr_t handle, uint64_t offset, size_t length, enum os_map_kind kind, void **address) {
  return map_at(handle, offset, length, kind, NULL, 0, address);
}

mapfile_status os_map_over(intptr_t handle, uint64_t offset, size_t length, enum os_map_kind kind, void *address) {
  void *made;
  return map_at(handle, offset, length, kind, address, MAP_FIXED, &made);
}

static mapfile_status anonymous(void *wanted, size_t length, int fixed, void **address) {
  void *made = map_pages(wanted, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
  if (made == MAP_FAILED)
    return map_status(errno);
  *address = made;
  return MAPFILE_OK;
}

mapfile_status os_memory(size_t length, void **address) {
  return anonymous(NULL, length, 0, address);
}

void os_memory_seal(void *address, size_t length) {
  mprotect(address, length, PROT_READ);
}

mapfile_status os_memory_again(void *address, size_t length) {
  void *made;
  return anonymous(address, length, MAP_FIXED, &made);
}

/* An empty file that no name leads to: every page of a map of it lies past its end. */
static int open_nothing(void) {
#ifdef HAVE_MEMFD_CREATE
  int descriptor = memfd_create("mapfile", MFD_CLOEXEC);
  if (descriptor >= 0 || errno == EMFILE || errno == ENFILE || errno == ENOMEM)
    return descriptor;
#endif
  char name[] = "/tmp/mapfile-XXXXXX";
  int made;
  WITHOUT_CANCELLATION(made = mkostemp(name, O_CLOEXEC));
  if (made >= 0)
    unlink(name);
  return made;
}

mapfile_status os_memory_fail(void *address, size_t length) {
  int descriptor = open_nothing();
  if (descriptor < 0) {
    mapfile_status refused = mf_status_from_errno(errno);
    return refused == MAPFILE_LIMIT || refused == MAPFILE_NO_MEMORY ? refused : MAPFILE_UNSUPPORTED;
  }
  mapfile_status status = MAPFILE_OK;
  void *made = map_pages(address, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, 0);
  if (made == MAP_FAILED)
    status = map_status(errno);
  WITHOUT_CANCELLATION(close(descriptor));
  return status;
}

void os_unmap(void *address, size_t length) {
  munmap(address, length);
}

bool os_fill_zeros(void *address, size_t length) {
  int error = errno;
  void *made = map_pages(address, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  errno = error;
  return made != MAP_FAILED;
}
