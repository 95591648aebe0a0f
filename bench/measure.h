/*
 * Measuring several ways of doing one thing, in turns, so that whatever else the machine does hits all of them alike.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  MEASURE_ROUNDS = 101,
  MEASURE_CONTENDERS = 48,
  MEASURE_COMPARISONS = 64,
  MEASURE_NOTES = 6,
  MEASURE_TEXT = 160,
  MEASURE_NAME = 64
};

/* One timing of one contender. Where it calls start and stop itself only the time between them counts, else all. */
struct sample {
  void *context;
  uint64_t count; /* how often to do it; it may be lowered or raised to what was done */
  double seconds;
  double started;
  bool own_clock;
};

/* Does the thing sample->count times. Returns NULL where every answer was right, else what was wrong. */
typedef const char *(*contender_run)(struct sample *sample);

struct contender {
  char name[MEASURE_NAME];
  contender_run run;
  void *context;
  uint64_t count;
  double cost[MEASURE_ROUNDS]; /* seconds each, by round */
  bool disturbed;              /* another program had the processor for a while during the last sample */
};

enum comparison_kind {
  COMPARE_TIME,  /* own time by the peer's; a target is the most it may be */
  COMPARE_SPEED, /* the peer's time by own; a target is the least it may be */
  COMPARE_COST   /* own time alone, in the group's unit; a target is the most it may be */
};

struct comparison {
  enum comparison_kind kind;
  int contender, peer;
  double target;    /* 0: none */
  bool needs_cores; /* worthless where the second processor was busy */
  bool judged;      /* the rest is the result */
  double ratio;
};

/* A table of the report. Lives in memory that the measuring process shares with the printing one: no pointers into
   the heap, and run is called in the measuring process only. */
struct group {
  char name[MEASURE_NAME];
  char title[MEASURE_TEXT];
  char unit[8];
  double scale; /* units in a second */
  int rounds;
  bool fixed_order; /* contenders build on one another: never turn their order */
  int cores_one;    /* contenders that do the same work on one and on two processors; -1 where not looked at */
  int cores_two;
  int quiet_rounds; /* rounds in which the second processor was free */
  int interrupted;  /* samples that were disturbed in spite of trying again */
  double others;    /* processors that the rest of the machine kept busy meanwhile */
  struct contender contenders[MEASURE_CONTENDERS];
  int contender_count;
  struct comparison comparisons[MEASURE_COMPARISONS];
  int comparison_count;
  char notes[MEASURE_NOTES][MEASURE_TEXT];
  int note_count;
  char failure[MEASURE_TEXT]; /* a wrong answer, or what could not be set up */
  bool finished;
};

void group_begin(struct group *group, const char *name, const char *unit, double scale, const char *title);

/* Returns the contender's number, or -1 where run is NULL (a peer that this build has not): comparisons with it are
   left out. */
int group_add(struct group *group, const char *name, contender_run run, void *context, uint64_t count);

struct comparison *group_compare(struct group *group, int contender, enum comparison_kind kind, int peer,
                                 double target);

/* Set the failure where there is none yet. Returns false. */
bool group_fail(struct group *group, const char *format, ...) __attribute__((format(printf, 2, 3)));
void group_note(struct group *group, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Run one round that is not counted, then the others, then judge. False where an answer was wrong. */
bool group_measure(struct group *group);

double group_median(const struct group *group, int contender);

/* Lowest and highest cost of a contender. */
void group_extent(const struct group *group, int contender, double *low, double *high);

/* In a run: count only what lies between these two; they may be called many times. */
void sample_start(struct sample *sample);
void sample_stop(struct sample *sample);

/*
 * Clocks, of the platform
 */

/* A clock that is never set, in seconds. */
double measure_now(void);

/* How often the system has taken the processor from this process to give it to another; 0 where it does not tell. */
long measure_lost_processor(void);

/* Seconds of processor time that this process has used. */
double measure_processor_clock(void);

/* The same, and that of the whole machine; 0 where it does not tell. */
void measure_processor_time(double *machine, double *own);

#ifdef __cplusplus
}
#endif

#endif
