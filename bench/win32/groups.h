/*
 * The groups of the benchmark on Windows, and the file they work on.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_WIN32_GROUPS_H
#define BENCH_WIN32_GROUPS_H

#include "../measure.h"

#include <mapfile.h>

enum { BENCH_UNIT = 64 * 1024, BENCH_SIZE = 8 * BENCH_UNIT };

/* A file of BENCH_SIZE bytes, opened and pinned whole, as a map. */
struct bench_file {
  char path[300];
  mapfile *file;
  mapfile_view view;
};

/* False with the group's failure set. */
bool bench_file_open(struct group *group, struct bench_file *file);
/* Closes and removes it. */
void bench_file_close(struct group *group, struct bench_file *file);

void bench_scope(struct group *group);
void bench_fault(struct group *group);
void bench_pin(struct group *group);
void bench_park(struct group *group);

/* registers.c: save the registers that a function must keep, and nothing else. */
int bench_save(uintptr_t *registers) __attribute__((returns_twice));
/* Go back there; a handler makes a thread go on here with registers in the first argument's place. */
void bench_restore(const uintptr_t *registers);

/* registers.c: run body(argument) in the least frame that takes any exception raised in it: 1, or 0 where there was
   none. Only where frames are described by tables. */
int bench_frame(void (*body)(void *argument), void *argument);

#endif
