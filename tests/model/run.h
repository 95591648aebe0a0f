/*
 * run.h - running episodes, and making a failed one shorter.
 *
 * SPDX-License-Identifier: MIT
 *
 * An episode is a sequence of steps on files and mapfiles of its own, from nothing to nothing. What it is follows from
 * the seed and its number alone.
 */
#ifndef MODEL_RUN_H
#define MODEL_RUN_H

#include <stdbool.h>
#include <stdint.h>

/* Steps by number: those of an episode that are not left out. */
typedef struct step_list {
  uint32_t *numbers;
  uint32_t count;
} step_list;

typedef struct run_settings {
  uint64_t seed, ops;
  unsigned threads;
  const char *folder; /* of the test's own */
  bool one;           /* only this episode */
  uint64_t episode;
  const step_list *keep; /* NULL: all */
  bool printing;
} run_settings;

/* Run until so many calls have been made. The exit code; where something is wrong, it does not return. */
int run_here(const run_settings *of);

/* How many steps an episode has. */
uint32_t episode_length(uint64_t seed, uint64_t number, unsigned threads);

/* Run it all in another process; where that fails, find the shortest sequence that does, and print it. */
int run_guarded(const run_settings *of);

/* "0-3,7", to be given to --keep. */
bool steps_parse(const char *text, step_list *steps);
char *steps_text(const step_list *steps);

/* In the test's folder. */
#define PROGRESS_NAME "progress"
#define OUTPUT_NAME "output"
#define FILES_NAME "files"

#endif
