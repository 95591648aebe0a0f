/*
 * Interleaved rounds, medians, and how busy the rest of the machine was.
 *
 * SPDX-License-Identifier: MIT
 */
#include "measure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two processors that do twice the work of one in at most this many times its time count as free. */
static const double free_cores_time = 1.12;

/* A round with a busy second processor is taken again, at most this many times the rounds asked for. A sample in which
   the system gave the processor to another program is taken again so many times, unless it is a long one, which will
   hardly ever be left alone. */
enum { PATIENCE = 12, TRIES = 6 };
static const double long_sample = 0.02;

void sample_start(struct sample *sample) {
  sample->own_clock = true;
  sample->started = measure_now();
}

void sample_stop(struct sample *sample) {
  sample->seconds += measure_now() - sample->started;
}

void group_begin(struct group *group, const char *name, const char *unit, double scale, const char *title) {
  int rounds = group->rounds;
  memset(group, 0, sizeof *group);
  group->rounds = rounds;
  group->scale = scale;
  group->cores_one = group->cores_two = -1;
  snprintf(group->name, sizeof group->name, "%s", name);
  snprintf(group->unit, sizeof group->unit, "%s", unit);
  snprintf(group->title, sizeof group->title, "%s", title);
}

int group_add(struct group *group, const char *name, contender_run run, void *context, uint64_t count) {
  if (run == NULL) {
    return -1;
  }
  if (group->contender_count == MEASURE_CONTENDERS) {
    group_fail(group, "too many contenders");
    return -1;
  }
  struct contender *contender = &group->contenders[group->contender_count];
  snprintf(contender->name, sizeof contender->name, "%s", name);
  contender->run = run;
  contender->context = context;
  contender->count = count;
  return group->contender_count++;
}

struct comparison *group_compare(struct group *group, int contender, enum comparison_kind kind, int peer,
                                 double target) {
  static struct comparison nowhere;
  if (contender < 0 || (kind != COMPARE_COST && peer < 0)) {
    return &nowhere;
  }
  if (group->comparison_count == MEASURE_COMPARISONS) {
    group_fail(group, "too many comparisons");
    return &nowhere;
  }
  struct comparison *comparison = &group->comparisons[group->comparison_count++];
  memset(comparison, 0, sizeof *comparison);
  comparison->kind = kind;
  comparison->contender = contender;
  comparison->peer = peer;
  comparison->target = target;
  return comparison;
}

bool group_fail(struct group *group, const char *format, ...) {
  if (group->failure[0] == '\0') {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(group->failure, sizeof group->failure, format, arguments);
    va_end(arguments);
  }
  return false;
}

void group_note(struct group *group, const char *format, ...) {
  if (group->note_count < MEASURE_NOTES) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(group->notes[group->note_count++], MEASURE_TEXT, format, arguments);
    va_end(arguments);
  }
}

static int by_size(const void *left, const void *right) {
  double a = *(const double *)left;
  double b = *(const double *)right;
  return (a > b) - (a < b);
}

static double median_of(const double *values, int count) {
  double sorted[MEASURE_ROUNDS];
  memcpy(sorted, values, (size_t)count * sizeof *values);
  qsort(sorted, (size_t)count, sizeof *sorted, by_size);
  return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

double group_median(const struct group *group, int contender) {
  return median_of(group->contenders[contender].cost, group->rounds);
}

void group_extent(const struct group *group, int contender, double *low, double *high) {
  const double *cost = group->contenders[contender].cost;
  *low = *high = cost[0];
  for (int i = 1; i < group->rounds; i++) {
    *low = cost[i] < *low ? cost[i] : *low;
    *high = cost[i] > *high ? cost[i] : *high;
  }
}

/* Takes one sample, as the round's cost. In a disturbed one the processor's time is the better measure, where there is
   only the whole run to measure: all contenders work on what is cached, and none waits for anything. */
static bool measure_once(struct group *group, struct contender *contender, int round, double *all) {
  struct sample sample = {contender->context, contender->count, 0, 0, false};
  long lost = measure_lost_processor();
  double used = measure_processor_clock();
  double started = measure_now();
  const char *wrong = contender->run(&sample);
  *all = measure_now() - started;
  used = measure_processor_clock() - used;
  contender->disturbed = lost != measure_lost_processor();
  if (wrong != NULL) {
    return group_fail(group, "%s: %s", contender->name, wrong);
  }
  if (sample.count == 0) {
    return group_fail(group, "%s: nothing was done", contender->name);
  }
  double seconds = sample.own_clock ? sample.seconds : contender->disturbed ? used : *all;
  contender->cost[round] = seconds / (double)sample.count;
  return true;
}

static bool measure_contender(struct group *group, int number, int round) {
  struct contender *contender = &group->contenders[number];
  double all = 0;
  contender->disturbed = true;
  for (int i = 0; i < TRIES && contender->disturbed && all < long_sample; i++) {
    if (!measure_once(group, contender, round, &all)) {
      return false;
    }
  }
  return true;
}

/* Every second round goes backwards, and each begins with another contender. */
static bool measure_round(struct group *group, int turn, int round) {
  int count = group->contender_count;
  for (int i = 0; i < count; i++) {
    int number = (i + turn / 2) % count;
    if (turn % 2 == 1) {
      number = count - 1 - number;
    }
    if (!measure_contender(group, group->fixed_order ? i : number, round)) {
      return false;
    }
  }
  return true;
}

/* Both contenders give their cost for a piece of work, so two free processors halve it. */
static bool second_core_free(const struct group *group, int round) {
  double one = group->contenders[group->cores_one].cost[round];
  double two = group->contenders[group->cores_two].cost[round];
  return two * 2 <= one * free_cores_time;
}

/* Was the round as it has to be for the comparisons that need two processors? */
static bool is_quiet(const struct group *group, int round) {
  if (group->cores_one < 0 || group->cores_two < 0) {
    return true;
  }
  for (int i = 0; i < group->comparison_count; i++) {
    const struct comparison *comparison = &group->comparisons[i];
    if (comparison->needs_cores &&
        (group->contenders[comparison->contender].disturbed || group->contenders[comparison->peer].disturbed)) {
      return false;
    }
  }
  return second_core_free(group, round);
}

static bool measure_rounds(struct group *group) {
  int turn = 1;
  for (int round = 0; round < group->rounds; turn++) {
    if (!measure_round(group, turn, round)) {
      return false;
    }
    bool quiet = is_quiet(group, round);
    if (!quiet && turn <= group->rounds * PATIENCE) {
      continue;
    }
    group->quiet_rounds += quiet ? 1 : 0;
    for (int i = 0; i < group->contender_count; i++) {
      group->interrupted += group->contenders[i].disturbed ? 1 : 0;
    }
    round++;
  }
  return true;
}

static void judge(struct group *group) {
  double ratios[MEASURE_ROUNDS];
  for (int i = 0; i < group->comparison_count; i++) {
    struct comparison *comparison = &group->comparisons[i];
    const double *own = group->contenders[comparison->contender].cost;
    for (int round = 0; round < group->rounds; round++) {
      double peer = comparison->kind == COMPARE_COST ? 1 : group->contenders[comparison->peer].cost[round];
      ratios[round] = comparison->kind == COMPARE_SPEED  ? peer / own[round]
                      : comparison->kind == COMPARE_TIME ? own[round] / peer
                                                         : own[round] * group->scale;
    }
    comparison->ratio = median_of(ratios, group->rounds);
    comparison->judged = !comparison->needs_cores || group->quiet_rounds >= group->rounds;
  }
}

bool group_measure(struct group *group) {
  double machine_before, machine_after, own_before, own_after;
  if (group->failure[0] != '\0' || !measure_round(group, 0, 0)) {
    return false;
  }
  measure_processor_time(&machine_before, &own_before);
  double started = measure_now();
  if (!measure_rounds(group)) {
    return false;
  }
  double elapsed = measure_now() - started;
  measure_processor_time(&machine_after, &own_after);
  double others = (machine_after - machine_before - (own_after - own_before)) / elapsed;
  group->others = others > 0 ? others : 0;
  judge(group);
  group->finished = true;
  return true;
}
