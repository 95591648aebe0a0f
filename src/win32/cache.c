/*
 * win32/cache.c - advice to the system's cache.
 *
 * SPDX-License-Identifier: MIT
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "../os.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

/* The system reads ahead of a walk by itself. */
void os_advise_walk(void *address, size_t length) {
  (void)address;
  (void)length;
}

/* Unlocking pages that are not locked takes them out of the working set. */
void os_release_pages(void *address, size_t length) {
  DWORD error = GetLastError();
  VirtualUnlock(address, length);
  SetLastError(error);
}

/* There is no such call; pages outside every working set are the first to go. */
void os_forget_cached(intptr_t handle, uint64_t offset, uint64_t length) {
  (void)handle;
  (void)offset;
  (void)length;
}
