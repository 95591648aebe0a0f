/*
 * inner.h - a foreign frame of structured exception handling, as other code between a scope and a fault may have one.
 *
 * SPDX-License-Identifier: MIT
 *
 * On x86-64 frames are described beside the code, in assembly here; on x86-32 they are a list in memory.
 */
#ifndef MAPFILE_CONFORMANCE_INNER_H
#define MAPFILE_CONFORMANCE_INNER_H

#include "win32.h"

typedef struct inner_frame {
  void (*body)(void *argument);
  void *argument;
  bool takes;         /* the exception, if it is asked; else lets it pass */
  volatile int asked; /* how often, and of what */
  volatile DWORD code;
  volatile uintptr_t address;
  volatile int left; /* how often it was told to clean up because it is left */
} inner_frame;

/* Run the body in such a frame: false after it returned, true after an exception that the frame took. */
bool inner_run(inner_frame *frame);
/* The same in one that the compiler makes, with a termination handler; like the other where it has none. */
bool inner_run_compiled(inner_frame *frame);

#endif
