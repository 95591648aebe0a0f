/*
 * 10, 1,000 and 100,000 mapfiles open at once: does a call cost more the more there are?
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"

#include <fcntl.h>
#include <mapfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Many descriptors of few files: what is asked is what the library's own records cost, not the file system's. */
enum {
  FILES = 16,
  FILE_SIZE = 4096,
  HOT = 10,
  HOT_TURNS = 200,
  SPARE = 64,
  SLICE = 250,
  LEVELS = 5,
  MOST = 100000,
  ROUNDS = 9
};

/* What "flat" means here, as a number. */
static const double flat = 1.5;

enum phase { PHASE_OPEN, PHASE_FIRST, PHASE_HOT, PHASE_AGAIN, PHASE_CLOSE, PHASES };

static const char *const phase_names[PHASES] = {"open", "first pin + unpin (makes a map)", "pin + unpin of ten of them",
                                                "pin + unpin of each in turn", "close"};

static struct material files[FILES];
static unsigned char first_byte[FILES];

/* One life: open all, pin all, pin ten, pin all again, close all. A round does enough lives for the clock. */
struct level {
  uint64_t open_at_once;
  uint64_t lives;
  bool borrowed; /* mapfiles of a few descriptors that stay open, where the system allows no more descriptors */
  struct tally {
    double seconds;
    uint64_t calls;
  } tallies[PHASES][2]; /* of slices that were left alone, and of the others */
  uint64_t kept_maps;   /* how many the plain way keeps: as many as the library's budget */
};

static struct level own_levels[LEVELS];
static struct level raw_levels[LEVELS];
static mapfile **handles;
static int *descriptors;
static int lent[FILES];
static void **maps;

/* A phase is measured in slices, and those in which another program had the processor are left out where there are
   others: 100,000 calls take too long to be ever left alone. */
struct slice {
  struct level *level;
  enum phase phase;
  uint64_t calls;
  long lost;
  double started;
};

static void slice_start(struct slice *slice) {
  slice->calls = 0;
  slice->lost = measure_lost_processor();
  slice->started = measure_now();
}

static struct slice phase_begin(struct level *level, enum phase phase) {
  struct slice slice = {level, phase, 0, 0, 0};
  slice_start(&slice);
  return slice;
}

static void phase_end(const struct slice *slice) {
  double elapsed = measure_now() - slice->started;
  bool disturbed = slice->lost != measure_lost_processor();
  struct tally *tally = &slice->level->tallies[slice->phase][disturbed];
  tally->seconds += elapsed;
  tally->calls += slice->calls;
}

/* After each call of the phase. */
static inline void phase_call(struct slice *slice) {
  if (++slice->calls == SLICE) {
    phase_end(slice);
    slice_start(slice);
  }
}

static const char *pin_one(uint64_t number) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  if (mapfile_pin(handles[number], 0, MAPFILE_TO_END, MAPFILE_ANY, &view) != MAPFILE_OK) {
    return "mapfile_pin failed";
  }
  bool right = view.length == FILE_SIZE && *(const unsigned char *)view.data == first_byte[number % FILES];
  return mapfile_unpin(&view) == MAPFILE_OK && right ? NULL : "wrong bytes";
}

static const char *pin_all(struct level *level, enum phase phase) {
  struct slice slice = phase_begin(level, phase);
  const char *wrong = NULL;
  for (uint64_t i = 0; i < level->open_at_once && wrong == NULL; i++) {
    wrong = pin_one(i);
    phase_call(&slice);
  }
  phase_end(&slice);
  return wrong;
}

static const char *pin_ten(struct level *level) {
  uint64_t step = level->open_at_once / HOT;
  const char *wrong = NULL;
  for (uint64_t i = 0; i < HOT && wrong == NULL; i++) {
    wrong = pin_one(i * step);
  }
  struct slice slice = phase_begin(level, PHASE_HOT);
  for (uint64_t i = 0; i < HOT * HOT_TURNS && wrong == NULL; i++) {
    wrong = pin_one(i % HOT * step);
    phase_call(&slice);
  }
  phase_end(&slice);
  return wrong;
}

static const char *check_counts(const struct level *level) {
  mapfile_statistics statistics = MAPFILE_STATISTICS_INIT;
  if (mapfile_stats(NULL, &statistics) != MAPFILE_OK || statistics.open_files != level->open_at_once ||
      statistics.pinned_views != 0 || statistics.maps > statistics.map_count_limit) {
    return "the statistics are wrong, or the budget was exceeded";
  }
  return NULL;
}

static const char *live_once(struct level *level) {
  const char *wrong = NULL;
  struct slice opening = phase_begin(level, PHASE_OPEN);
  for (uint64_t i = 0; i < level->open_at_once; i++) {
    mapfile_status status = level->borrowed ? mapfile_open_handle(lent[i % FILES], NULL, &handles[i])
                                            : mapfile_open(files[i % FILES].path, NULL, &handles[i]);
    if (status != MAPFILE_OK) {
      return mapfile_strerror(status);
    }
    phase_call(&opening);
  }
  phase_end(&opening);
  wrong = pin_all(level, PHASE_FIRST);
  wrong = wrong != NULL ? wrong : pin_ten(level);
  wrong = wrong != NULL ? wrong : pin_all(level, PHASE_AGAIN);
  wrong = wrong != NULL ? wrong : check_counts(level);
  struct slice closing = phase_begin(level, PHASE_CLOSE);
  for (uint64_t i = 0; i < level->open_at_once; i++) {
    if (mapfile_close(handles[i]) != MAPFILE_OK) {
      wrong = "mapfile_close failed";
    }
    phase_call(&closing);
  }
  phase_end(&closing);
  return wrong;
}

/* The plain way with the same number of maps: the oldest one goes when the next would be too many. */
static const char *map_all_plainly(struct level *level, enum phase phase) {
  uint64_t number = level->open_at_once;
  struct slice slice = phase_begin(level, phase);
  for (uint64_t i = 0; i < number; i++) {
    uint64_t oldest = number > level->kept_maps ? (i + number - level->kept_maps) % number : i;
    if (maps[oldest] != NULL) {
      munmap(maps[oldest], FILE_SIZE);
      maps[oldest] = NULL;
    }
    maps[i] = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, descriptors[i], 0);
    if (maps[i] == MAP_FAILED || *(const unsigned char *)maps[i] != first_byte[i % FILES]) {
      return "cannot map, or wrong bytes";
    }
    phase_call(&slice);
  }
  phase_end(&slice);
  return NULL;
}

static const char *live_plainly(struct level *level) {
  struct slice opening = phase_begin(level, PHASE_OPEN);
  for (uint64_t i = 0; i < level->open_at_once; i++) {
    struct stat state;
    descriptors[i] = level->borrowed ? lent[i % FILES] : open(files[i % FILES].path, O_RDONLY | O_CLOEXEC);
    if (descriptors[i] < 0 || fstat(descriptors[i], &state) != 0 || state.st_size != FILE_SIZE) {
      return "open failed";
    }
    phase_call(&opening);
  }
  phase_end(&opening);
  const char *wrong = map_all_plainly(level, PHASE_FIRST);
  if (wrong == NULL && level->open_at_once > level->kept_maps) {
    wrong = map_all_plainly(level, PHASE_AGAIN);
  }
  struct slice closing = phase_begin(level, PHASE_CLOSE);
  for (uint64_t i = 0; i < level->open_at_once; i++) {
    if (maps[i] != NULL) {
      munmap(maps[i], FILE_SIZE);
      maps[i] = NULL;
    }
    if (!level->borrowed) {
      close(descriptors[i]);
    }
    phase_call(&closing);
  }
  phase_end(&closing);
  return wrong;
}

/* The first contender of a level lives the lives; the others only report what its phases took. */
static const char *live(struct level *level, const char *(*once)(struct level *)) {
  const char *wrong = NULL;
  memset(level->tallies, 0, sizeof level->tallies);
  for (uint64_t i = 0; i < level->lives && wrong == NULL; i++) {
    wrong = once(level);
  }
  return wrong;
}

static const char *report(struct sample *sample, const struct level *level, enum phase phase) {
  const struct tally *tally = level->tallies[phase];
  tally = tally[0].calls > 0 ? &tally[0] : &tally[1];
  sample->own_clock = true;
  sample->seconds = tally->seconds;
  sample->count = tally->calls;
  return NULL;
}

static const char *run_own(struct sample *sample) {
  const char *wrong = live(sample->context, live_once);
  return wrong != NULL ? wrong : report(sample, sample->context, PHASE_OPEN);
}

static const char *run_plain(struct sample *sample) {
  const char *wrong = live(sample->context, live_plainly);
  return wrong != NULL ? wrong : report(sample, sample->context, PHASE_OPEN);
}

static const char *tell_first(struct sample *sample) {
  return report(sample, sample->context, PHASE_FIRST);
}

static const char *tell_hot(struct sample *sample) {
  return report(sample, sample->context, PHASE_HOT);
}

static const char *tell_again(struct sample *sample) {
  return report(sample, sample->context, PHASE_AGAIN);
}

static const char *tell_close(struct sample *sample) {
  return report(sample, sample->context, PHASE_CLOSE);
}

/* Returns how many files may be open at once, at most MOST. */
static uint64_t raise_file_limit(struct group *group) {
  struct rlimit limit;
  const rlim_t wanted = MOST + SPARE;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return 0;
  }
  if (limit.rlim_cur < wanted) {
    struct rlimit higher = {wanted, limit.rlim_max < wanted ? wanted : limit.rlim_max};
    struct rlimit highest = {limit.rlim_max, limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &higher) != 0 && setrlimit(RLIMIT_NOFILE, &highest) != 0) {
      group_note(group, "RLIMIT_NOFILE cannot be raised");
    }
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur < wanted) {
    group_note(group, "RLIMIT_NOFILE allows %llu descriptors only: 100,000 mapfiles borrow %d of them",
               (unsigned long long)limit.rlim_cur, FILES);
    return limit.rlim_cur > SPARE ? limit.rlim_cur - SPARE : 0;
  }
  return MOST;
}

static bool open_material(struct group *group) {
  for (int i = 0; i < FILES; i++) {
    char name[16];
    snprintf(name, sizeof name, "many%d", i);
    if (!material_make(&files[i], name, FILE_SIZE)) {
      return group_fail(group, "cannot make a file");
    }
    /* Each file is told apart by its first byte. */
    first_byte[i] = (unsigned char)('A' + i);
    lent[i] = open(files[i].path, O_RDWR | O_CLOEXEC);
    if (lent[i] < 0 || pwrite(lent[i], &first_byte[i], 1, 0) != 1) {
      return group_fail(group, "cannot write a file");
    }
  }
  handles = calloc(MOST, sizeof *handles);
  descriptors = calloc(MOST, sizeof *descriptors);
  maps = calloc(MOST, sizeof *maps);
  return (handles != NULL && descriptors != NULL && maps != NULL) || group_fail(group, "no memory");
}

static void level_name(char name[MEASURE_NAME], const struct level *level, const char *phase) {
  snprintf(name, MEASURE_NAME, "%llu%s: %s", (unsigned long long)level->open_at_once,
           level->borrowed ? " borrowed" : "", phase);
}

/* Adds the five phases of a level; returns the number of the first. */
static int add_own(struct group *group, struct level *level) {
  static const contender_run runs[PHASES] = {run_own, tell_first, tell_hot, tell_again, tell_close};
  int first = group->contender_count;
  for (int phase = 0; phase < PHASES; phase++) {
    char name[MEASURE_NAME];
    level_name(name, level, phase_names[phase]);
    group_add(group, name, runs[phase], level, 1);
  }
  return first;
}

/* Where the phases of the plain way are, -1 for those it has not. */
struct plain {
  int open, first, again;
};

static struct plain add_plain(struct group *group, struct level *level) {
  struct plain plain;
  char name[MEASURE_NAME];
  level_name(name, level, "plain open + fstat");
  plain.open = group_add(group, name, run_plain, level, 1);
  level_name(name, level, "plain mmap + touch");
  plain.first = group_add(group, name, tell_first, level, 1);
  level_name(name, level, "plain munmap + mmap + touch");
  plain.again = group_add(group, name, level->open_at_once > level->kept_maps ? tell_again : NULL, level, 1);
  level_name(name, level, "plain munmap and close");
  group_add(group, name, tell_close, level, 1);
  return plain;
}

/* Each call against the same with ten mapfiles open, and against the plain way. Where more are open than maps may be
   made, a call that needs a new map also gives one up: that is no more flat, but the plain way has to do it too. */
static void compare_levels(struct group *group, const struct level *level, int own, int own_of_ten,
                           struct plain plain) {
  bool gives_up = level->open_at_once > level->kept_maps;
  for (int phase = 0; phase < PHASES && own != own_of_ten; phase++) {
    if (!gives_up || (phase != PHASE_FIRST && phase != PHASE_AGAIN)) {
      bool same_work = phase == PHASE_OPEN || phase == PHASE_HOT;
      group_compare(group, own + phase, COMPARE_TIME, own_of_ten + phase, same_work ? flat : 0);
    }
  }
  group_compare(group, own + PHASE_OPEN, COMPARE_TIME, plain.open, 0);
  group_compare(group, own + PHASE_FIRST, COMPARE_TIME, plain.first, gives_up ? flat : 0);
  group_compare(group, own + PHASE_AGAIN, COMPARE_TIME, plain.again, flat);
}

static void add_levels(struct group *group, uint64_t most, uint64_t budget) {
  const struct level levels[LEVELS] = {{10, 1000, false, {{{0, 0}, {0, 0}}}, budget},
                                       {1000, 10, false, {{{0, 0}, {0, 0}}}, budget},
                                       {most, 1, false, {{{0, 0}, {0, 0}}}, budget},
                                       {10, 1000, true, {{{0, 0}, {0, 0}}}, budget},
                                       {MOST, 1, true, {{{0, 0}, {0, 0}}}, budget}};
  int count = most < MOST ? LEVELS : 3;
  int own_of_ten = 0;
  for (int i = 0; i < count; i++) {
    own_levels[i] = raw_levels[i] = levels[i];
    int own = add_own(group, &own_levels[i]);
    struct plain plain = add_plain(group, &raw_levels[i]);
    own_of_ten = levels[i].open_at_once == 10 ? own : own_of_ten;
    compare_levels(group, &levels[i], own, own_of_ten, plain);
  }
}

void bench_many(struct group *group, const struct plan *plan) {
  mapfile_statistics statistics = MAPFILE_STATISTICS_INIT;
  (void)plan;
  group->rounds = group->rounds < ROUNDS ? group->rounds : ROUNDS;
  group_begin(group, "many", "ns", 1e9, "a call, with so many mapfiles open at once, by the default map-count budget");
  group->fixed_order = true;
  uint64_t most = raise_file_limit(group);
  if (!open_material(group)) {
    return;
  }
  if (most < 2000 || mapfile_stats(NULL, &statistics) != MAPFILE_OK) {
    group_fail(group, "too few files may be open");
    return;
  }
  add_levels(group, most, statistics.map_count_limit);
  group_note(group, "all are descriptors of %d files of %d bytes; the budget is %llu maps", FILES, FILE_SIZE,
             (unsigned long long)statistics.map_count_limit);
  group_measure(group);
  for (int i = 0; i < FILES; i++) {
    close(lent[i]);
  }
  free(handles);
  free(descriptors);
  free(maps);
}
