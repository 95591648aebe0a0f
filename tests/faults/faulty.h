/*
 * What the tests of real faults share: files with known bytes, places that fail, and a look at what a test left behind.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FAULTY_H
#define FAULTY_H

#include "common.h"
#include <signal.h>

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

/* The folder of the kind FUSE, TMPFS, EXT4 or CUT that the script run has made, or NULL. */
const char *place(const char *kind);

/* Does this process run under valgrind? */
int under_valgrind(void);

/* Say that the tests of this kind are not run, and why. */
void skip(const char *tests, const char *kind);

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
