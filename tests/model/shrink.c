/*
 * shrink.c - runs the sequences in a child process, and where one fails, leaves out of it what can be left out.
 *
 * SPDX-License-Identifier: MIT
 *
 * Delta debugging (Zeller and Hildebrandt): the sequence is cut into parts, and run again without one of them at a
 * time; if it still fails, that part is gone for good; if none can go, the parts are halved. Each try is a child
 * process, so it may die or hang as well as find something wrong. With several lanes a failure may depend on their
 * timing: then a try is repeated, and only what fails again is kept.
 */
#include "run.h"

#include "platform.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TRIES = 1500, LANE_REPEATS = 6, FIRST_REPEATS = 20, FEW_STEPS = 20 };

typedef struct hunt {
  const run_settings *of;
  uint64_t episode;
  unsigned tries, repeats;
  char death[200];
} hunt;

/*
 * Lists of steps
 */

bool steps_parse(const char *text, step_list *steps) {
  uint32_t room = 16;
  steps->count = 0;
  steps->numbers = malloc(room * sizeof *steps->numbers);
  while (steps->numbers != NULL && *text != '\0') {
    char *end;
    unsigned long first = strtoul(text, &end, 10), last = first;
    if (*end == '-')
      last = strtoul(end + 1, &end, 10);
    if (end == text || (*end != ',' && *end != '\0') || last < first || last > UINT32_MAX / 4)
      return false;
    for (unsigned long i = first; i <= last; i++) {
      if (steps->count == room)
        steps->numbers = realloc(steps->numbers, (room *= 2) * sizeof *steps->numbers);
      if (steps->numbers == NULL)
        return false;
      steps->numbers[steps->count++] = (uint32_t)i;
    }
    text = *end == ',' ? end + 1 : end;
  }
  return steps->numbers != NULL;
}

char *steps_text(const step_list *steps) {
  size_t size = steps->count * 24 + 1, used = 0;
  char *text = malloc(size);
  if (text == NULL)
    return NULL;
  text[0] = '\0';
  for (uint32_t i = 0; i < steps->count;) {
    uint32_t last = i;
    while (last + 1 < steps->count && steps->numbers[last + 1] == steps->numbers[last] + 1)
      last++;
    int length = snprintf(text + used, size - used, last > i ? "%s%" PRIu32 "-%" PRIu32 : "%s%" PRIu32,
                          used > 0 ? "," : "", steps->numbers[i], steps->numbers[last]);
    used += length > 0 ? (size_t)length : 0;
    i = last + 1;
  }
  return text;
}

/*
 * Child processes
 */

static void clean_folder(const char *folder) {
  char path[300];
  snprintf(path, sizeof path, "%s/" FILES_NAME, folder);
  platform_remove_folder(path);
  platform_make_inner_folder(path);
}

static int run_child(const run_settings *of, char *death, size_t size) {
  char seed[32], ops[32], threads[32], episode[32], output[300];
  char *keep = of->keep != NULL ? steps_text(of->keep) : NULL;
  snprintf(seed, sizeof seed, "%" PRIu64, of->seed);
  snprintf(ops, sizeof ops, "%" PRIu64, of->ops);
  snprintf(threads, sizeof threads, "%u", of->threads);
  snprintf(episode, sizeof episode, "%" PRIu64, of->episode);
  snprintf(output, sizeof output, "%s/" OUTPUT_NAME, of->folder);
  char *words[16] = {"model",     "--folder", (char *)(uintptr_t)of->folder, "--seed", seed, "--ops", ops,
                     "--threads", threads};
  int count = 9;
  if (of->one) {
    words[count++] = "--episode";
    words[count++] = episode;
  }
  if (keep != NULL) {
    words[count++] = "--keep";
    words[count++] = keep;
  }
  if (of->printing)
    words[count++] = "--print";
  clean_folder(of->folder);
  int code = platform_child(count, words, output, death, size);
  free(keep);
  return code;
}

static void print_output(const char *folder) {
  char path[300], line[512];
  snprintf(path, sizeof path, "%s/" OUTPUT_NAME, folder);
  FILE *file = fopen(path, "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL)
    fputs(line, stdout);
  if (file != NULL)
    fclose(file);
}

static uint64_t last_episode(const char *folder) {
  char path[300];
  uint64_t number = 0;
  snprintf(path, sizeof path, "%s/" PROGRESS_NAME, folder);
  FILE *file = fopen(path, "r");
  if (file == NULL)
    return 0;
  if (fscanf(file, "%" SCNu64, &number) != 1)
    number = 0;
  fclose(file);
  return number;
}

/*
 * Delta debugging
 */

/* Does it fail with these steps alone? */
static bool fails(hunt *on, const step_list *steps, unsigned repeats) {
  run_settings of = *on->of;
  of.one = true;
  of.episode = on->episode;
  of.keep = steps;
  of.printing = false;
  for (unsigned i = 0; i < repeats && on->tries < MOST_TRIES; i++) {
    on->tries++;
    if (run_child(&of, on->death, sizeof on->death) != 0)
      return true;
  }
  return false;
}

/* All but [from, end). */
static void without(const step_list *steps, uint32_t from, uint32_t end, step_list *rest) {
  memcpy(rest->numbers, steps->numbers, from * sizeof *rest->numbers);
  memcpy(rest->numbers + from, steps->numbers + end, (steps->count - end) * sizeof *rest->numbers);
  rest->count = steps->count - (end - from);
}

static void take(step_list *steps, step_list *rest) {
  step_list shorter = *rest;
  *rest = *steps;
  *steps = shorter;
}

/* Try to leave out each part of this many steps, the last first: what comes later depends on what was before. */
static bool drop_parts(hunt *on, step_list *steps, step_list *rest, uint32_t part) {
  bool dropped = false;
  for (uint32_t end = steps->count; end > 0;) {
    uint32_t from = end > part ? end - part : 0;
    without(steps, from, end, rest);
    if (fails(on, rest, on->repeats)) {
      take(steps, rest);
      dropped = true;
    }
    end = from;
  }
  return dropped;
}

/* Two that are only needed for one another, such as opening and closing. */
static bool drop_pair(hunt *on, step_list *steps, step_list *rest) {
  for (uint32_t second = steps->count; second-- > 1;)
    for (uint32_t first = second; first-- > 0;) {
      without(steps, second, second + 1, rest);
      memmove(rest->numbers + first, rest->numbers + first + 1, (rest->count - first - 1) * sizeof *rest->numbers);
      rest->count--;
      if (fails(on, rest, on->repeats)) {
        take(steps, rest);
        return true;
      }
    }
  return false;
}

static void drop_singly(hunt *on, step_list *steps, step_list *rest, uint32_t part) {
  while (part > 0 && on->tries < MOST_TRIES) {
    bool dropped = drop_parts(on, steps, rest, part);
    if (part > 1)
      part = (part + 1) / 2;
    else if (!dropped)
      return;
  }
}

static void shrink(hunt *on, step_list *steps) {
  step_list rest = {malloc((steps->count + 1) * sizeof *rest.numbers), 0};
  if (rest.numbers == NULL)
    return;
  drop_singly(on, steps, &rest, (steps->count + 1) / 2);
  while (steps->count <= FEW_STEPS && drop_pair(on, steps, &rest))
    drop_singly(on, steps, &rest, 1);
  free(rest.numbers);
}

static void print_sequence(hunt *on, const step_list *steps) {
  run_settings of = *on->of;
  of.one = true;
  of.episode = on->episode;
  of.keep = steps;
  of.printing = true;
  char *text = steps_text(steps);
  printf("\nthe shortest sequence that was found, %" PRIu32 " steps:\n\n", steps->count);
  for (unsigned i = 0; i < on->repeats; i++) {
    int code = run_child(&of, on->death, sizeof on->death);
    if (code == 0 && i + 1 < on->repeats)
      continue;
    print_output(of.folder);
    if (code < 0)
      printf("\n%s\n", on->death);
    break;
  }
  printf("\nto run it again: --seed %" PRIu64 " --threads %u --episode %" PRIu64 " --keep %s --print\n", of.seed,
         of.threads, on->episode, text != NULL ? text : "?");
  free(text);
}

static void look_for_sequence(const run_settings *of) {
  hunt on = {.of = of, .episode = of->one ? of->episode : last_episode(of->folder), .repeats = 1};
  uint32_t count = episode_length(of->seed, on.episode, of->threads);
  step_list steps = {malloc((count + 1) * sizeof *steps.numbers), count};
  for (uint32_t i = 0; steps.numbers != NULL && i < count; i++)
    steps.numbers[i] = i;
  if (of->threads > 1 && on.episode % 2 == 1)
    on.repeats = LANE_REPEATS;
  printf("sequence %" PRIu64 " of seed %" PRIu64 " fails; leaving out what it does not need ...\n", on.episode,
         of->seed);
  fflush(stdout);
  if (steps.numbers == NULL || !fails(&on, &steps, on.repeats > 1 ? FIRST_REPEATS : 2)) {
    printf("it did not fail again by itself: it needs those before it, or a certain timing\n");
  } else {
    shrink(&on, &steps);
    print_sequence(&on, &steps);
  }
  free(steps.numbers);
}

int run_guarded(const run_settings *of) {
  char death[200] = "";
  int code = run_child(of, death, sizeof death);
  print_output(of->folder);
  if (code < 0)
    printf("FAILED: %s\n", death);
  if (code != 0 && of->keep == NULL)
    look_for_sequence(of);
  fflush(stdout);
  return code != 0;
}
