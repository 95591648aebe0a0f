/*
 * Pinning and unpinning within a range that is mapped already, by one thread and by two.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* processor sets */
#endif

#include "bench.h"

#include <mapfile.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { PINS = 100000, SPINS = 1000000, LENGTH = 4096, FILE_SIZE = 1 << 20, CREW = 2 };

static struct {
  mapfile *files[CREW];
  mapfile_view whole[CREW]; /* keeps the segment mapped, and tells where each page must be */
  atomic_uint_fast64_t counter;
} here;

/* A worker does its part count times, and says what was wrong. */
struct worker {
  const char *(*part)(struct worker *worker);
  uint64_t count;
  int file;
  int processor; /* -1: any */
  pthread_barrier_t *awake;
  atomic_int *ready;
  double started, stopped;
  const char *wrong;
};

static const char *pin_part(struct worker *worker) {
  mapfile *file = here.files[worker->file];
  const char *base = here.whole[worker->file].data;
  mapfile_view view = MAPFILE_VIEW_INIT;
  for (uint64_t i = 0; i < worker->count; i++) {
    uint64_t offset = i * LENGTH % FILE_SIZE;
    if (mapfile_pin(file, offset, LENGTH, MAPFILE_LIVE, &view) != MAPFILE_OK) {
      return "mapfile_pin failed";
    }
    if (view.data != base + offset || view.length != LENGTH) {
      return "the view is somewhere else";
    }
    if (mapfile_unpin(&view) != MAPFILE_OK) {
      return "mapfile_unpin failed";
    }
  }
  return NULL;
}

/* The least that counting can do where all threads share one counter. */
static const char *counter_part(struct worker *worker) {
  for (uint64_t i = 0; i < worker->count; i++) {
    atomic_fetch_add(&here.counter, 1);
    atomic_fetch_sub(&here.counter, 1);
  }
  return NULL;
}

/* Work within the processor: twice as fast on two of them, unless the second one is busy with something else. */
static const char *spin_part(struct worker *worker) {
  volatile uint64_t result;
  uint64_t state = 1;
  for (uint64_t i = 0; i < worker->count; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
  }
  result = state;
  (void)result;
  return NULL;
}

static void *work(void *argument) {
  struct worker *worker = argument;
  if (worker->processor >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)worker->processor, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
  }
  /* First sleeping until both are there, then spinning, so that they start at the same moment. */
  pthread_barrier_wait(worker->awake);
  atomic_fetch_add(worker->ready, 1);
  while (atomic_load(worker->ready) < CREW) {
  }
  worker->started = measure_now();
  worker->wrong = worker->part(worker);
  worker->stopped = measure_now();
  return NULL;
}

/* The first processors this process may use; false where there is only one. */
static bool two_processors(int processors[CREW]) {
  cpu_set_t set;
  int found = 0;
  if (sched_getaffinity(0, sizeof set, &set) != 0) {
    return false;
  }
  for (size_t i = 0; i < CPU_SETSIZE && found < CREW; i++) {
    if (CPU_ISSET(i, &set)) {
      processors[found++] = (int)i;
    }
  }
  return found == CREW;
}

/* Two threads start together; the time is from the first one's start to the last one's end, for all their work. */
static const char *run_crew(struct sample *sample, const char *(*part)(struct worker *), int second_file) {
  struct worker workers[CREW];
  pthread_t threads[CREW];
  atomic_int ready = 0;
  pthread_barrier_t awake;
  int processors[CREW];
  if (!two_processors(processors) || pthread_barrier_init(&awake, NULL, CREW) != 0) {
    return "there is one processor only";
  }
  for (int i = 0; i < CREW; i++) {
    workers[i] =
        (struct worker){part, sample->count, i == 0 ? 0 : second_file, processors[i], &awake, &ready, 0, 0, NULL};
    if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0) {
      return "cannot make a thread";
    }
  }
  for (int i = 0; i < CREW; i++) {
    pthread_join(threads[i], NULL);
  }
  pthread_barrier_destroy(&awake);
  double from = workers[0].started < workers[1].started ? workers[0].started : workers[1].started;
  double to = workers[0].stopped > workers[1].stopped ? workers[0].stopped : workers[1].stopped;
  sample->own_clock = true;
  sample->seconds = to - from;
  sample->count *= CREW;
  return workers[0].wrong != NULL ? workers[0].wrong : workers[1].wrong;
}

static const char *run_alone(struct sample *sample, const char *(*part)(struct worker *)) {
  struct worker worker = {part, sample->count, 0, -1, NULL, NULL, 0, 0, NULL};
  return part(&worker);
}

static const char *pin_alone(struct sample *sample) {
  return run_alone(sample, pin_part);
}

static const char *pin_one_file(struct sample *sample) {
  return run_crew(sample, pin_part, 0);
}

static const char *pin_two_files(struct sample *sample) {
  return run_crew(sample, pin_part, 1);
}

static const char *count_alone(struct sample *sample) {
  return run_alone(sample, counter_part);
}

static const char *count_together(struct sample *sample) {
  return run_crew(sample, counter_part, 0);
}

static const char *spin_alone(struct sample *sample) {
  return run_alone(sample, spin_part);
}

static const char *spin_together(struct sample *sample) {
  return run_crew(sample, spin_part, 0);
}

static bool open_material(struct group *group) {
  for (int i = 0; i < CREW; i++) {
    struct material material;
    char name[] = "pin0";
    name[3] = (char)('0' + i);
    here.whole[i] = (mapfile_view)MAPFILE_VIEW_INIT;
    if (!material_make(&material, name, FILE_SIZE) || mapfile_open(material.path, NULL, &here.files[i]) != MAPFILE_OK ||
        mapfile_pin(here.files[i], 0, MAPFILE_TO_END, MAPFILE_LIVE, &here.whole[i]) != MAPFILE_OK) {
      return group_fail(group, "cannot make, open and pin a file");
    }
    if (sum_bytes(here.whole[i].data, here.whole[i].length) != material.sum) {
      return group_fail(group, "the view has other bytes than the file");
    }
  }
  return true;
}

/* Every pin must be gone again: then closing works, and not before. */
static void close_material(struct group *group) {
  for (int i = 0; i < CREW; i++) {
    mapfile_statistics statistics = MAPFILE_STATISTICS_INIT;
    if (mapfile_stats(here.files[i], &statistics) != MAPFILE_OK || statistics.pinned_views != 1) {
      group_fail(group, "%llu views are pinned instead of 1", (unsigned long long)statistics.pinned_views);
    }
    mapfile_unpin(&here.whole[i]);
    if (mapfile_close(here.files[i]) != MAPFILE_OK) {
      group_fail(group, "cannot close");
    }
  }
}

static void add_pairs(struct group *group, int alone) {
  int processors[CREW];
  if (!two_processors(processors)) {
    group_note(group, "one processor only: nothing is said about two threads");
    return;
  }
  int same = group_add(group, "pin + unpin, two threads on one file", pin_one_file, NULL, PINS);
  int apart = group_add(group, "pin + unpin, two threads on two files", pin_two_files, NULL, PINS);
  group_compare(group, same, COMPARE_SPEED, alone, 1.7)->needs_cores = true;
  group_compare(group, apart, COMPARE_SPEED, alone, 0);
  int counting = group_add(group, "one shared counter up and down", count_alone, NULL, PINS);
  int shared = group_add(group, "one shared counter, two threads", count_together, NULL, PINS);
  group_compare(group, shared, COMPARE_SPEED, counting, 0);
  group->cores_one = group_add(group, "arithmetic, one thread", spin_alone, NULL, SPINS);
  group->cores_two = group_add(group, "arithmetic, two threads", spin_together, NULL, SPINS);
  group_compare(group, group->cores_two, COMPARE_SPEED, group->cores_one, 0);
}

void bench_pin(struct group *group, const struct plan *plan) {
  (void)plan;
  group_begin(group, "pin", "ns", 1e9, "pin + unpin of 4 KiB in a mapped range (for two threads: time by all pins)");
  if (!open_material(group)) {
    return;
  }
  int alone = group_add(group, "pin + unpin, one thread", pin_alone, NULL, PINS);
  group_compare(group, alone, COMPARE_COST, -1, 25);
  add_pairs(group, alone);
  if (group_measure(group) && group->cores_one >= 0) {
    group_note(group, "arithmetic alone: %.2fx on two processors",
               group->comparisons[group->comparison_count - 1].ratio);
  }
  close_material(group);
}
