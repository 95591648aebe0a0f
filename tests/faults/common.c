/*
 * What the tests of faults share on every system.
 *
 * SPDX-License-Identifier: MIT
 */
#include "common.h"
#include <errno.h>
#include <string.h>

void need_failed(const char *file, int line, const char *condition) {
  fprintf(stderr, "%s:%d: needed %s (errno %d: %s)\n", file, line, condition, errno, strerror(errno));
  abort();
}

unsigned char pattern(uint64_t offset) {
  return (unsigned char)(1 + (offset * 31 + (offset >> 12) * 7) % 255);
}

void pattern_fill(void *buffer, size_t length, uint64_t offset) {
  unsigned char *bytes = buffer;

  for (size_t i = 0; i < length; i++) {
    bytes[i] = pattern(offset + i);
  }
}

int pattern_holds(const void *buffer, size_t length, uint64_t offset) {
  const unsigned char *bytes = buffer;

  for (size_t i = 0; i < length; i++) {
    if (bytes[i] != pattern(offset + i)) {
      return 0;
    }
  }
  return 1;
}

int access_is(const mapfile_fault *fault, uint32_t access) {
#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__) || defined(__arm__) || defined(__powerpc64__)
  int told = getenv("MAPFILE_TEST_EMULATOR") == NULL;
#else
  int told = 0;
#endif
  return fault->access == access || (!told && fault->access == MAPFILE_FAULT_UNKNOWN);
}

/* Valgrind leaves out loads that nothing is made of. */
static volatile unsigned char seen_byte;

static mapfile_status MAPFILE_CALL read_byte(void *at) {
  seen_byte = *(volatile unsigned char *)at;
  return MAPFILE_OK;
}

static mapfile_status MAPFILE_CALL write_byte(void *at) {
  *(volatile unsigned char *)at = 'w';
  return MAPFILE_OK;
}

mapfile_status touch_read(mapfile *file, const mapfile_view *view, uint64_t offset, mapfile_fault *fault) {
  return mapfile_try(file, view, read_byte, (unsigned char *)view->data + (offset - view->offset), fault);
}

mapfile_status touch_write(mapfile *file, const mapfile_view *view, uint64_t offset, mapfile_fault *fault) {
  return mapfile_try(file, view, write_byte, (unsigned char *)view->data + (offset - view->offset), fault);
}
