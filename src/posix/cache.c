/*
 * posix/cache.c - advice to the system's page cache.
 *
 * SPDX-License-Identifier: MIT
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "../os.h"

#include <fcntl.h>
#include <sys/mman.h>

void os_advise_walk(void *address, size_t length) {
#ifdef MADV_HUGEPAGE
  /* On a file this makes each read-ahead as large as a huge page, where the device's own is small; unlike WILLNEED,
     which leaves single pages behind that every later walk pays for. */
  madvise(address, length, MADV_HUGEPAGE);
#else
  madvise(address, length, MADV_SEQUENTIAL);
#endif
}

void os_release_pages(void *address, size_t length) {
  madvise(address, length, MADV_DONTNEED);
}

void os_forget_cached(intptr_t handle, uint64_t offset, uint64_t length) {
#ifdef POSIX_FADV_DONTNEED
  posix_fadvise((int)handle, (off_t)offset, (off_t)length, POSIX_FADV_DONTNEED);
#else
  (void)handle;
  (void)offset;
  (void)length;
#endif
}
