/*
 * main.c - the model test: random sequences of all calls, compared with what a model of the files allows.
 *
 * SPDX-License-Identifier: MIT
 *
 * Usage: model [--ops N] [--seed S] [--threads T] [--episode K [--keep STEPS] [--print]]
 *
 * Makes N calls, in sequences of some hundred that each begin with nothing: every other with one thread alone, whose
 * every status and byte is known; the rest with T threads (1: none of these). Without a seed half of them have a fixed
 * one and half another in each run, which is printed. When something is wrong, the sequence is run again in child
 * processes with parts left out, until nothing more can be; what is left is printed as calls, with the arguments that
 * run it again. --episode runs one sequence alone, --keep only these of its steps, --print tells each call.
 *
 * MAPFILE_TEST_TIME_FACTOR divides the number of calls made without --ops. Exit status: 0, 1 where something is wrong,
 * 2 for wrong arguments.
 */
#include "calls.h"
#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USUAL_OPS = 100000, LEAST_OPS = 1000, USUAL_THREADS = 3, FIXED_SEED = 1 };

typedef struct arguments {
  run_settings run;
  bool has_ops, has_seed;
  step_list keep;
} arguments;

static bool take_number(const char *text, uint64_t *number) {
  char *end;
  if (text == NULL)
    return false;
  errno = 0;
  *number = strtoull(text, &end, 0);
  return errno == 0 && *end == '\0' && end != text;
}

/* An option with its value; false: it makes no sense. */
static bool take_option(arguments *given, const char *option, const char *value) {
  uint64_t number = 0;
  bool is_number = take_number(value, &number);
  if (strcmp(option, "--folder") == 0) {
    given->run.folder = value;
    return value != NULL;
  }
  if (strcmp(option, "--keep") == 0) {
    given->run.keep = &given->keep;
    return value != NULL && steps_parse(value, &given->keep);
  }
  if (strcmp(option, "--ops") == 0) {
    given->run.ops = number;
    given->has_ops = true;
  } else if (strcmp(option, "--seed") == 0) {
    given->run.seed = number;
    given->has_seed = true;
  } else if (strcmp(option, "--threads") == 0) {
    given->run.threads = (unsigned)number;
    return is_number && number <= MOST_LANES;
  } else if (strcmp(option, "--episode") == 0) {
    given->run.episode = number;
    given->run.one = true;
  } else {
    return false;
  }
  return is_number;
}

static bool take_arguments(arguments *given, int count, char **words) {
  for (int i = 1; i < count; i++) {
    if (strcmp(words[i], "--print") == 0) {
      given->run.printing = true;
      continue;
    }
    if (!take_option(given, words[i], i + 1 < count ? words[i + 1] : NULL))
      return false;
    i++;
  }
  return true;
}

static uint64_t usual_ops(void) {
  const char *factor = getenv("MAPFILE_TEST_TIME_FACTOR");
  int times = factor != NULL ? atoi(factor) : 1;
  uint64_t ops = USUAL_OPS / (unsigned)(times > 1 ? times : 1);
  return ops > LEAST_OPS ? ops : LEAST_OPS;
}

static int run_seed(const arguments *given, uint64_t seed, uint64_t ops) {
  run_settings of = given->run;
  of.seed = seed;
  of.ops = ops;
  printf("seed %" PRIu64 ", %" PRIu64 " calls\n", seed, ops);
  fflush(stdout);
  return run_guarded(&of);
}

static int run_seeds(const arguments *given) {
  uint64_t ops = given->has_ops ? given->run.ops : usual_ops();
  if (platform_cuts_offsets())
    printf("SKIP offsets that 32 bits do not reach: the emulator cuts those of maps\n");
  if (given->has_seed || given->run.one)
    return run_seed(given, given->run.seed, ops);
  int code = run_seed(given, FIXED_SEED, ops / 2);
  return run_seed(given, platform_new_seed(), ops - ops / 2) | code;
}

int model_main(int count, char **words) {
  arguments given = {.run = {.seed = FIXED_SEED, .threads = USUAL_THREADS}};
  char folder[200];
  int code = 2;
  if (platform_hindrance() != NULL) {
    printf("SKIP model: %s\n", platform_hindrance());
    return 77;
  }
  if (!take_arguments(&given, count, words)) {
    fprintf(stderr, "usage: model [--ops N] [--seed S] [--threads T] [--episode K [--keep STEPS] [--print]]\n");
  } else if (given.run.folder != NULL) {
    code = run_here(&given.run);
  } else if (!platform_make_folder(folder, sizeof folder)) {
    fprintf(stderr, "there is no folder for the test\n");
  } else {
    given.run.folder = folder;
    code = run_seeds(&given);
    char files[300];
    snprintf(files, sizeof files, "%s/" FILES_NAME, folder);
    platform_remove_folder(files);
    platform_remove_folder(folder);
  }
  free(given.keep.numbers);
  return code;
}

int main(int count, char **words) {
  return model_main(count, words);
}
