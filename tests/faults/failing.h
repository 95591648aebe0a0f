/*
 * Making the library's calls of the C library fail, one by one. The program is linked with -Wl,@syscalls.wrap, so that
 * each of them goes through failing.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FAILING_H
#define FAILING_H

#include <stddef.h>

enum failing_mode {
  FAIL_ONCE, /* the nth call */
  FAIL_EVER, /* the nth call, and from then on each call of that function */
  FAIL_TWICE /* the nth call, and the one that comes apart calls after it */
};

/* What is to fail, and what came of it. It lies in memory that the test's processes share. */
typedef struct failing_plan {
  enum failing_mode mode;
  unsigned long nth; /* 0: none */
  unsigned apart;
  unsigned choice; /* which of the errors that the call may have */
  /* Found out: */
  unsigned long calls;
  unsigned failed;  /* calls made to fail so far */
  int exhausted;    /* the nth call has no such choice */
  int error;        /* of the call that failed last; FAIL_SHORT: it did less than asked */
  char call[32];    /* its name */
  char first[32];   /* the name of the nth call */
  long live_blocks; /* of memory that the library holds */
} failing_plan;

enum { FAIL_SHORT = -1, FAILING_CALLS = 64, FAILING_NAME = 32 };

extern failing_plan *failing;

/* The names of all calls that were made to fail in any run, in shared memory too; may be NULL. */
extern char (*failing_covered)[FAILING_NAME];

/* Only calls between these two count and fail: those that the library makes. */
void failing_enter(void);
void failing_leave(void);

/* Unmap what munmap was made to leave. Returns the number of such maps. */
size_t failing_unmap_left(void);

#endif
