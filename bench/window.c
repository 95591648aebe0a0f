/*
 * Windows that copied access keeps: how fast they are pinned, how often they are there, against other caches.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* processor sets */
#endif

#include "bench.h"

#include <fcntl.h>
#include <mapfile.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { PINS = 20000, READS = 1000, DISK_READS = 100, LENGTH = 4096, CREW = 2 };
enum { WINDOW = 64 << 10, PARTS = 1024, KEPT = PARTS / 2, TRACE = 200000, STEP = 500 };

static struct {
  struct material material; /* of PARTS windows */
  int descriptor;
  mapfile *kept;   /* all of its first half is kept */
  mapfile *cold;   /* hardly anything is */
  mapfile *zipf;   /* half of it may be */
  uint32_t *trace; /* pages of 4 KiB, their parts by Zipf's law */
  uint64_t *sums;
  struct page_trace peer;
} here;

static uint64_t next_random(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  return *state ^= *state << 17;
}

static uint64_t first_word(const void *data) {
  uint64_t word;
  memcpy(&word, data, sizeof word);
  return word;
}

/*
 * Speed
 */

static const char *pin_pages(mapfile *file, uint64_t pages, uint64_t count, uint64_t state) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  uint64_t sum = 0;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t offset = (next_random(&state) >> 32) * pages >> 32;
    if (mapfile_pin(file, offset * LENGTH, LENGTH, MAPFILE_ANY, &view) != MAPFILE_OK) {
      return "mapfile_pin failed";
    }
    sum += view.length;
    if (mapfile_unpin(&view) != MAPFILE_OK) {
      return "mapfile_unpin failed";
    }
  }
  return sum == count * LENGTH ? NULL : "views of another length";
}

static const char *pin_kept(struct sample *sample) {
  return pin_pages(here.kept, (uint64_t)KEPT * WINDOW / LENGTH, sample->count, 88172645463325252u);
}

static const char *pin_cold(struct sample *sample) {
  static uint64_t state = 777;
  state++;
  return pin_pages(here.cold, here.material.size / LENGTH, sample->count, state);
}

static const char *read_cold(struct sample *sample) {
  static uint64_t seed = 777777;
  static char buffer[LENGTH] __attribute__((aligned(LENGTH)));
  uint64_t state = ++seed;
  for (uint64_t i = 0; i < sample->count; i++) {
    uint64_t offset = (next_random(&state) >> 32) * (here.material.size / LENGTH) >> 32;
    if (pread(here.descriptor, buffer, LENGTH, (off_t)(offset * LENGTH)) != LENGTH) {
      return "pread failed";
    }
  }
  return NULL;
}

/* The same with the file on the disk alone. What empties the system's cache is not timed. */
static const char *from_disk(struct sample *sample, contender_run run) {
  struct sample inner = {.count = sample->count};
  if (posix_fadvise(here.descriptor, 0, 0, POSIX_FADV_DONTNEED) != 0) {
    return "cannot empty the cache";
  }
  sample_start(sample);
  const char *wrong = run(&inner);
  sample_stop(sample);
  return wrong;
}

static const char *pin_from_disk(struct sample *sample) {
  return from_disk(sample, pin_cold);
}

static const char *read_from_disk(struct sample *sample) {
  return from_disk(sample, read_cold);
}

struct worker {
  uint64_t count, state;
  int processor;
  bool spins;
  pthread_barrier_t *together;
  double started, stopped;
  const char *wrong;
};

static void *work(void *argument) {
  struct worker *worker = argument;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((size_t)worker->processor, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
  pthread_barrier_wait(worker->together);
  worker->started = measure_now();
  if (worker->spins) {
    volatile uint64_t result;
    uint64_t state = 1;
    for (uint64_t i = 0; i < worker->count; i++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
    }
    result = state;
    (void)result;
  } else {
    worker->wrong = pin_pages(here.kept, (uint64_t)KEPT * WINDOW / LENGTH, worker->count, worker->state);
  }
  worker->stopped = measure_now();
  return NULL;
}

static const char *run_crew(struct sample *sample, int crew, bool spins) {
  struct worker workers[CREW];
  pthread_t threads[CREW];
  pthread_barrier_t together;
  cpu_set_t set;
  int processor = 0;
  if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) < CREW ||
      pthread_barrier_init(&together, NULL, (unsigned)crew) != 0) {
    return "there is one processor only";
  }
  for (int i = 0; i < crew; i++, processor++) {
    while (!CPU_ISSET((size_t)processor, &set)) {
      processor++;
    }
    workers[i] = (struct worker){sample->count, 4711u + (unsigned)i, processor, spins, &together, 0, 0, NULL};
    if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0) {
      return "cannot make a thread";
    }
  }
  sample->own_clock = true;
  double from = 0, to = 0;
  const char *wrong = NULL;
  for (int i = 0; i < crew; i++) {
    pthread_join(threads[i], NULL);
    from = i == 0 || workers[i].started < from ? workers[i].started : from;
    to = workers[i].stopped > to ? workers[i].stopped : to;
    wrong = workers[i].wrong != NULL ? workers[i].wrong : wrong;
  }
  pthread_barrier_destroy(&together);
  sample->seconds = to - from;
  sample->count *= (uint64_t)crew;
  return wrong;
}

static const char *pin_together(struct sample *sample) {
  return run_crew(sample, CREW, false);
}

static const char *spin_alone(struct sample *sample) {
  return run_crew(sample, 1, true);
}

static const char *spin_together(struct sample *sample) {
  return run_crew(sample, CREW, true);
}

/*
 * How often a part is there: two other ways to choose what goes, on the same trace. Lists of parts, the first the one
 * used last.
 */

enum list { NOWHERE, RECENT, OFTEN, GONE_RECENT, GONE_OFTEN, LISTS };

static struct {
  unsigned char where[PARTS];
  int next[PARTS], previous[PARTS], first[LISTS], last[LISTS], length[LISTS];
  double target; /* of the length of RECENT */
} lists;

static void clear_lists(void) {
  memset(&lists, 0, sizeof lists);
  for (int list = 0; list < LISTS; list++) {
    lists.first[list] = lists.last[list] = -1;
  }
}

static void put(int part, enum list list) {
  lists.where[part] = (unsigned char)list;
  lists.next[part] = lists.first[list];
  lists.previous[part] = -1;
  *(lists.first[list] >= 0 ? &lists.previous[lists.first[list]] : &lists.last[list]) = part;
  lists.first[list] = part;
  lists.length[list]++;
}

static void take(int part) {
  int list = lists.where[part];
  *(lists.previous[part] >= 0 ? &lists.next[lists.previous[part]] : &lists.first[list]) = lists.next[part];
  *(lists.next[part] >= 0 ? &lists.previous[lists.next[part]] : &lists.last[list]) = lists.previous[part];
  lists.length[list]--;
  lists.where[part] = NOWHERE;
}

static void move_last(enum list from, enum list to) {
  int part = lists.last[from];
  take(part);
  if (to != NOWHERE) {
    put(part, to);
  }
}

static bool lru(int part) {
  bool there = lists.where[part] == RECENT;
  if (there) {
    take(part);
  } else if (lists.length[RECENT] == KEPT) {
    move_last(RECENT, NOWHERE);
  }
  put(part, RECENT);
  return there;
}

/* Megiddo and Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", 2003. */
static void arc_replace(bool gone_often) {
  double length = lists.length[RECENT];
  if (length > 0 && (length > lists.target || (gone_often && length >= lists.target))) {
    move_last(RECENT, GONE_RECENT);
  } else {
    move_last(OFTEN, GONE_OFTEN);
  }
}

static void arc_adapt(bool to_recent) {
  double recent = lists.length[GONE_RECENT], often = lists.length[GONE_OFTEN];
  double step = to_recent ? fmax(1, often / recent) : fmax(1, recent / often);
  lists.target = to_recent ? fmin(KEPT, lists.target + step) : fmax(0, lists.target - step);
}

static void arc_make_room(void) {
  int recent = lists.length[RECENT] + lists.length[GONE_RECENT];
  int all = recent + lists.length[OFTEN] + lists.length[GONE_OFTEN];
  if (recent == KEPT && lists.length[RECENT] == KEPT) {
    move_last(RECENT, NOWHERE);
  } else if (recent == KEPT) {
    move_last(GONE_RECENT, NOWHERE);
    arc_replace(false);
  } else if (all >= KEPT) {
    if (all == 2 * KEPT) {
      move_last(GONE_OFTEN, NOWHERE);
    }
    arc_replace(false);
  }
}

static bool arc(int part) {
  enum list was = (enum list)lists.where[part];
  if (was == NOWHERE) {
    arc_make_room();
    put(part, RECENT);
    return false;
  }
  if (was == GONE_RECENT || was == GONE_OFTEN) {
    arc_adapt(was == GONE_RECENT);
    arc_replace(was == GONE_OFTEN);
  }
  take(part);
  put(part, OFTEN);
  return was == RECENT || was == OFTEN;
}

static double simulate(bool (*use)(int part)) {
  int there = 0;
  clear_lists();
  for (int i = 0; i < TRACE; i++) {
    there += use((int)(here.trace[i] / (WINDOW / LENGTH)));
  }
  return (double)there / TRACE;
}

static bool make_trace(void) {
  static double share[PARTS];
  static uint32_t name[PARTS];
  double all = 0;
  uint64_t state = 12345;
  for (uint32_t i = 0; i < PARTS; i++) {
    uint32_t other = (uint32_t)(next_random(&state) % (i + 1));
    all += 1 / pow(i + 1, 0.99);
    share[i] = all;
    name[i] = name[other];
    name[other] = i;
  }
  here.trace = malloc(TRACE * sizeof *here.trace);
  for (int i = 0; here.trace != NULL && i < TRACE; i++) {
    double wanted = (double)(next_random(&state) >> 11) / 9007199254740992.0 * all;
    int low = 0, high = PARTS - 1;
    while (low < high) {
      int middle = (low + high) / 2;
      *(share[middle] < wanted ? &low : &high) = share[middle] < wanted ? middle + 1 : middle;
    }
    here.trace[i] = name[low] * (WINDOW / LENGTH) + (uint32_t)(next_random(&state) % (WINDOW / LENGTH));
  }
  return here.trace != NULL;
}

static bool sum_trace(void) {
  here.sums = calloc(TRACE + 1, sizeof *here.sums);
  for (int i = 0; here.sums != NULL && i < TRACE; i++) {
    uint64_t word;
    if (pread(here.descriptor, &word, sizeof word, (off_t)here.trace[i] * LENGTH) != (ssize_t)sizeof word) {
      return false;
    }
    here.sums[i + 1] = here.sums[i] + word;
  }
  return here.sums != NULL;
}

/*
 * Going through the trace
 */

static const char *zipf_by_library(struct sample *sample) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  static uint64_t at;
  uint64_t sum = 0, from = trace_step(&here.peer, &at, sample->count), end = from + sample->count;
  for (uint64_t i = from; i < end; i++) {
    if (mapfile_pin(here.zipf, (uint64_t)here.trace[i] * LENGTH, LENGTH, MAPFILE_ANY, &view) != MAPFILE_OK) {
      return "mapfile_pin failed";
    }
    sum += first_word(view.data);
    mapfile_unpin(&view);
  }
  return sum == here.sums[end] - here.sums[from] ? NULL : "wrong sum";
}

static const char *zipf_by_pread(struct sample *sample) {
  static char buffer[LENGTH] __attribute__((aligned(LENGTH)));
  static uint64_t at;
  uint64_t sum = 0, from = trace_step(&here.peer, &at, sample->count), end = from + sample->count;
  for (uint64_t i = from; i < end; i++) {
    if (pread(here.descriptor, buffer, LENGTH, (off_t)here.trace[i] * LENGTH) != LENGTH) {
      return "pread failed";
    }
    sum += first_word(buffer);
  }
  return sum == here.sums[end] - here.sums[from] ? NULL : "wrong sum";
}

/* As libgit2 keeps windows of its packs: a list behind one lock, each with a count of users and the time of its last
   use; when there are too many, the unused one that was used longest ago goes. */
struct listed {
  struct listed *next;
  uint64_t offset, last_used;
  int users;
  unsigned char bytes[WINDOW];
};

static struct {
  pthread_mutex_t lock;
  struct listed *first;
  uint64_t time;
  int count;
} listed = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct listed *listed_without_use(void) {
  struct listed **oldest = NULL;
  for (struct listed **link = &listed.first; *link != NULL; link = &(*link)->next) {
    if ((*link)->users == 0 && (oldest == NULL || (*link)->last_used < (*oldest)->last_used)) {
      oldest = link;
    }
  }
  struct listed *window = oldest != NULL ? *oldest : NULL;
  if (window != NULL) {
    *oldest = window->next;
  }
  return window;
}

static struct listed *listed_pin(uint64_t offset) {
  pthread_mutex_lock(&listed.lock);
  struct listed *window = listed.first;
  while (window != NULL && (offset < window->offset || offset >= window->offset + WINDOW)) {
    window = window->next;
  }
  if (window == NULL) {
    window = listed.count == KEPT ? listed_without_use() : malloc(sizeof *window);
    listed.count += listed.count == KEPT ? 0 : 1;
    if (window != NULL) {
      window->offset = offset / WINDOW * WINDOW;
      window->users = 0;
      window->next = listed.first;
      listed.first = window;
      if (pread(here.descriptor, window->bytes, WINDOW, (off_t)window->offset) != WINDOW) {
        abort();
      }
    }
  }
  if (window != NULL) {
    window->users++;
    window->last_used = ++listed.time;
  }
  pthread_mutex_unlock(&listed.lock);
  return window;
}

static void listed_unpin(struct listed *window) {
  pthread_mutex_lock(&listed.lock);
  window->users--;
  pthread_mutex_unlock(&listed.lock);
}

static const char *zipf_by_list(struct sample *sample) {
  static uint64_t at;
  uint64_t sum = 0, from = trace_step(&here.peer, &at, sample->count), end = from + sample->count;
  for (uint64_t i = from; i < end; i++) {
    uint64_t offset = (uint64_t)here.trace[i] * LENGTH;
    struct listed *window = listed_pin(offset);
    if (window == NULL) {
      return "no window";
    }
    sum += first_word(window->bytes + (offset - window->offset));
    listed_unpin(window);
  }
  return sum == here.sums[end] - here.sums[from] ? NULL : "wrong sum";
}

/*
 * The whole
 */

static mapfile *open_with(uint64_t cache_bytes) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file = NULL;
  options.access = MAPFILE_ACCESS_COPIED;
  options.flags = MAPFILE_IMMUTABLE;
  options.cache_bytes = cache_bytes;
  return mapfile_open(here.material.path, &options, &file) == MAPFILE_OK ? file : NULL;
}

/* What the C library has given out; 0 where it does not tell. */
static double allocated(void) {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
  struct mallinfo2 all = mallinfo2();
  return (double)all.uordblks + (double)all.hblkhd;
#else
  return 0;
#endif
}

/* All that a full budget takes, tables and records too. */
static void tell_memory(struct group *group) {
  const double budget = (double)KEPT * WINDOW;
  double before = allocated();
  mapfile *file = before != 0 ? open_with((uint64_t)KEPT * WINDOW) : NULL;
  for (int i = 0; file != NULL && i < 40; i++) {
    if (pin_pages(file, (uint64_t)KEPT * WINDOW / LENGTH, PINS, 99 + (uint64_t)i) != NULL) {
      group_fail(group, "cannot pin");
    }
  }
  if (file == NULL) {
    group_note(group, "memory: this C library does not tell how much was allocated");
    return;
  }
  double above = allocated() - before - budget;
  group_note(group, "a full budget of %.0f MiB takes %.0f bytes (%.2f%%) more: %s", budget / (1 << 20), above,
             above * 100 / budget, above <= budget / 100 + 65536 ? "target met" : "target MISSED");
  mapfile_close(file);
}

static bool set_up(struct group *group) {
  mapfile_limits limits = MAPFILE_LIMITS_INIT;
  limits.cache_bytes = 4 * (uint64_t)KEPT * WINDOW;
  if (mapfile_set_limits(&limits) != MAPFILE_OK ||
      !material_make(&here.material, "windows", (uint64_t)PARTS * WINDOW)) {
    return group_fail(group, "cannot make a file");
  }
  here.descriptor = open(here.material.path, O_RDONLY | O_CLOEXEC);
  here.kept = open_with((uint64_t)KEPT * WINDOW);
  here.cold = open_with(16 * WINDOW);
  here.zipf = open_with((uint64_t)KEPT * WINDOW);
  if (here.descriptor < 0 || fsync(here.descriptor) != 0 || here.kept == NULL || here.cold == NULL ||
      here.zipf == NULL || !make_trace()) {
    return group_fail(group, "cannot open the file");
  }
  if (!sum_trace()) {
    return group_fail(group, "cannot read");
  }
  here.peer = (struct page_trace){here.descriptor, KEPT, here.trace, here.sums, TRACE};
  for (int i = 0; i < 100; i++) {
    struct sample warming = {.count = PINS};
    if (pin_kept(&warming) != NULL) {
      return group_fail(group, "cannot pin");
    }
  }
  return true;
}

/* Of the trace from the start, with nothing kept. */
static bool tell_hit_rates(struct group *group) {
  mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
  struct sample sample = {.count = TRACE};
  const char *wrong = zipf_by_library(&sample);
  if (wrong != NULL || mapfile_stats(here.zipf, &counts) != MAPFILE_OK) {
    return group_fail(group, "%s", wrong != NULL ? wrong : "mapfile_stats failed");
  }
  double library = 1 - (double)(counts.cache_loads + counts.cache_misses) / TRACE;
  double by_lru = simulate(lru), by_arc = simulate(arc);
  group_note(group, "Zipf 0.99, budget for half of %d parts, hits: library %.4f, LRU %.4f, ARC %.4f: %s", PARTS,
             library, by_lru, by_arc, library >= by_lru && library >= 0.95 * by_arc ? "target met" : "target MISSED");
  group_note(group, "%llu windows were read; they take %.2f%% of the budget", (unsigned long long)counts.cache_loads,
             (double)counts.cache_bytes * 100 / ((double)KEPT * WINDOW));
  return true;
}

void bench_window(struct group *group, const struct plan *plan) {
  (void)plan;
  group_begin(group, "window", "ns", 1e9, "copied access: pin + unpin of 4 KiB (for two threads: time by all pins)");
  if (!set_up(group) || !tell_hit_rates(group)) {
    return;
  }
  tell_memory(group);
  int kept = group_add(group, "in kept windows, at random", pin_kept, NULL, PINS);
  group_compare(group, kept, COMPARE_COST, -1, 40);
  int together = group_add(group, "the same, two threads", pin_together, NULL, PINS);
  group_compare(group, together, COMPARE_SPEED, kept, 1.7)->needs_cores = true;
  int cold = group_add(group, "at random, cold: on the disk", pin_from_disk, NULL, DISK_READS);
  int reading = group_add(group, "pread of 4 KiB at random, cold", read_from_disk, NULL, DISK_READS);
  group_compare(group, cold, COMPARE_SPEED, reading, 0.95);
  int cached = group_add(group, "at random, in the system's cache", pin_cold, NULL, READS);
  int reading_cached = group_add(group, "pread of 4 KiB at random, the same", read_cold, NULL, READS);
  group_compare(group, cached, COMPARE_SPEED, reading_cached, 0);
  int zipf = group_add(group, "Zipf 0.99, half of it kept", zipf_by_library, NULL, STEP);
  int pages = group_add(group, "SQLite's page cache, same trace", peer_sqlite_pages, &here.peer, STEP);
  int list = group_add(group, "a list of windows (libgit2's way)", zipf_by_list, NULL, STEP);
  int plain = group_add(group, "pread of 4 KiB, same trace", zipf_by_pread, NULL, STEP);
  group_compare(group, zipf, COMPARE_SPEED, pages, 1);
  group_compare(group, zipf, COMPARE_SPEED, list, 1);
  group_compare(group, zipf, COMPARE_SPEED, plain, 1);
  group->cores_one = group_add(group, "arithmetic, one thread", spin_alone, NULL, PINS * 10);
  group->cores_two = group_add(group, "arithmetic, two threads", spin_together, NULL, PINS * 10);
  group_compare(group, group->cores_two, COMPARE_SPEED, group->cores_one, 0);
  group_measure(group);
  if (mapfile_close(here.kept) != MAPFILE_OK || mapfile_close(here.cold) != MAPFILE_OK ||
      mapfile_close(here.zipf) != MAPFILE_OK) {
    group_fail(group, "cannot close");
  }
}
