/*
 * What the tests of faults share on every system: files with known bytes, and single accesses.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FAULTY_COMMON_H
#define FAULTY_COMMON_H

#include "mapfile.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* For what must hold for the test itself to make sense, and for programs without Check. */
#define need(condition)                            \
  do {                                             \
    if (!(condition)) {                            \
      need_failed(__FILE__, __LINE__, #condition); \
    }                                              \
  } while (0)

_Noreturn void need_failed(const char *file, int line, const char *condition);

size_t page_size(void);

/* The byte that every test file has at offset; never 0, so that a zero is known for what it is. */
unsigned char pattern(uint64_t offset);
void pattern_fill(void *buffer, size_t length, uint64_t offset);

/* Does buffer hold the file's bytes from offset on? */
int pattern_holds(const void *buffer, size_t length, uint64_t offset);

/* Make folder/name with size bytes of the pattern and return its path, which the caller frees. */
char *make_file(const char *folder, const char *name, uint64_t size);

/* Does the record say so, or does the processor, or its emulator (MAPFILE_TEST_EMULATOR), not tell? */
int access_is(const mapfile_fault *fault, uint32_t access);

/* One access of one byte in a scope. */
mapfile_status touch_read(mapfile *file, const mapfile_view *view, uint64_t offset, mapfile_fault *fault);
mapfile_status touch_write(mapfile *file, const mapfile_view *view, uint64_t offset, mapfile_fault *fault);

#endif
