/*
 * What the tests of real faults share: files with known bytes, places that fail, and a look at what a test left behind.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FAULTY_H
#define FAULTY_H

#include "mapfile.h"
#include <signal.h>
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

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define FAULTY_SANITIZED 2 /* by a sanitizer with which a process takes long to begin */
#elif defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define FAULTY_SANITIZED 1
#else
#define FAULTY_SANITIZED 0
#endif

size_t page_size(void);

/* The byte that every test file has at offset; never 0, so that a zero is known for what it is. */
unsigned char pattern(uint64_t offset);
void pattern_fill(void *buffer, size_t length, uint64_t offset);

/* Does buffer hold the file's bytes from offset on? */
int pattern_holds(const void *buffer, size_t length, uint64_t offset);

/* The folder of the kind FUSE, TMPFS, EXT4 or CUT that the script run has made, or NULL. */
const char *place(const char *kind);

/* Does this process run under valgrind? */
int under_valgrind(void);

/* Say that the tests of this kind are not run, and why. */
void skip(const char *tests, const char *kind);

/* Make folder/name with size bytes of the pattern and return its path, which the caller frees. */
char *make_file(const char *folder, const char *name, uint64_t size);

/* Do something to a file from another process, as a stranger would. */
void stranger_truncates(const char *path, uint64_t size);
void stranger_writes(const char *path, uint64_t offset, size_t length);

/* Shrink the file to size and grow it back with its old bytes until its times show it. */
void stranger_shrinks_and_grows(const char *path, uint64_t size);

/* Send a line to the control file of the FUSE mount. */
void control(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Fill the file system that holds folder, through folder/filler, until nothing fits. */
void fill_up(const char *folder);
void empty_again(const char *folder);

/* One access of one byte in a scope. */
mapfile_status touch_read(mapfile *file, const mapfile_view *view, uint64_t offset, mapfile_fault *fault);
mapfile_status touch_write(mapfile *file, const mapfile_view *view, uint64_t offset, mapfile_fault *fault);

/* What a process holds, and how it takes signals. */
typedef struct residue {
  size_t maps, descriptors, heap;
  sigset_t mask;
  stack_t stack;
  struct sigaction actions[65];
} residue;

void residue_take(residue *now);

/* Print what differs, prefixed with what; returns the number of differences. */
int residue_differs(const char *what, const residue *before, const residue *after);

#endif
