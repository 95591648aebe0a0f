/*
 * run.c - running episodes: one thread alone with the library, or several lanes at once.
 *
 * SPDX-License-Identifier: MIT
 *
 * How the model stays exact with several lanes. Each lane has files and mapfiles of its own, of which nobody else
 * knows. Beside them there is a world that all share: before the lanes start, the main thread does steps on it as if it
 * were alone, and then looks at each mapfile, so that the size known is the true one. While the lanes are at work
 * nobody changes that size, opens or closes there. A lane reads, pins, writes and injects only within its window of a
 * shared file: a few pages that are its own, which it alone changes or makes fail, and one page on either side that
 * nobody changes. So each byte and each status it gets is known for certain, but for three things: the times of a
 * shared file (CHANGED or OK), parking (BUSY or OK), and LIMIT where the others may have used up a budget.
 */
#include "run.h"

#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  STEPS = 220,     /* of an episode of one thread */
  ROUNDS = 3,      /* of one with lanes: the main thread's turn, then the lanes' */
  MAIN_STEPS = 14, /* in a round */
  LANE_STEPS = 30,
  FIRST_STEPS = 4, /* that make files and open them */
  SMALL_PAGES = 24,
  MEDIUM_ROOM = 1200 << 10, /* a few pieces of those that ranges are read in */
  MEDIUM_ONE_IN = 12,
  LARGE_ROOM = 9 << 20, /* what walks do at borders of some megabytes */
  LARGE_ONE_IN = 48,
  /* A sequence takes a moment; one that is run alone, to see whether it fails, must not keep others waiting. */
  WATCH_SECONDS = 100,
  WATCH_ONE_SECONDS = 10
};

typedef struct whole {
  episode of;
  unsigned rounds;
  step *steps;
  uint32_t count;
  lane main, lanes[MOST_LANES];
  uint32_t starts[ROUNDS][MOST_LANES + 2]; /* of the main thread's steps and each lane's */
} whole;

/*
 * What an episode is
 */

static unsigned lanes_of(uint64_t number, unsigned threads) {
  return threads > 1 && number % 2 == 1 ? threads : 0;
}

uint32_t episode_length(uint64_t seed, uint64_t number, unsigned threads) {
  unsigned lanes = lanes_of(number, threads);
  (void)seed;
  return lanes == 0 ? STEPS : ROUNDS * (MAIN_STEPS + lanes * LANE_STEPS);
}

static const step_kind *kind_named(const char *name) {
  for (unsigned i = 0; i < step_kind_count; i++)
    if (strcmp(step_kinds[i].name, name) == 0)
      return &step_kinds[i];
  return &step_kinds[0];
}

/* The first steps of a world have to make something for the others. */
static void draw_steps(whole *all, uint32_t *at, uint32_t count, uint64_t *random, bool may_share, bool first) {
  for (uint32_t i = 0; i < count; i++, (*at)++) {
    all->steps[*at] = draw_step(random, *at, may_share, may_share);
    if (!first || i >= 2 * FIRST_STEPS)
      continue;
    all->steps[*at].kind = kind_named(i % 2 == 0 ? "make" : "open");
    all->steps[*at].shared = false;
  }
}

static void draw_episode(whole *all) {
  uint64_t random = all->of.seed;
  uint32_t at = 0;
  if (all->of.lanes == 0) {
    draw_steps(all, &at, STEPS, &random, false, true);
    return;
  }
  for (unsigned round = 0; round < ROUNDS; round++) {
    all->starts[round][0] = at;
    draw_steps(all, &at, MAIN_STEPS, &random, false, round == 0);
    for (unsigned i = 1; i <= all->of.lanes; i++) {
      all->starts[round][i] = at;
      draw_steps(all, &at, LANE_STEPS, &random, true, round == 0);
    }
    all->starts[round][all->of.lanes + 1] = at;
  }
}

static void leave_out(whole *all, const step_list *keep) {
  uint32_t next = 0;
  for (uint32_t i = 0; keep != NULL && i < all->count; i++) {
    if (next < keep->count && keep->numbers[next] == i)
      next++;
    else
      all->steps[i].kind = NULL;
  }
}

/*
 * Worlds
 */

static size_t draw_room(uint64_t seed, unsigned lanes) {
  if (lanes > 0)
    return (lanes * (OWN_PAGES + 1) + 4) * page_size;
  if (mix(seed) % LARGE_ONE_IN == 0)
    return (size_t)page_up(LARGE_ROOM);
  if (mix(seed) % MEDIUM_ONE_IN == 1)
    return (size_t)page_up(MEDIUM_ROOM);
  return page_size > 16384 ? 8 * page_size : SMALL_PAGES * page_size;
}

static void world_begin(world *made, const episode *of, const char *prefix) {
  *made = (world){.room = draw_room(of->seed, of->lanes)};
  snprintf(made->folder, sizeof made->folder, "%s", of->folder);
  snprintf(made->prefix, sizeof made->prefix, "%s", prefix);
  for (int i = 0; i < OPENED; i++)
    made->opened[i].native = -1;
}

static void worlds_begin(whole *all) {
  static world worlds[MOST_LANES + 1];
  unsigned lanes = all->of.lanes;
  char prefix[8] = "";
  all->of.worlds = worlds;
  all->of.world_count = lanes + 1;
  world_begin(&worlds[0], &all->of, lanes > 0 ? "s" : "");
  all->main = (lane){.of = &all->of, .own = &worlds[0]};
  for (unsigned i = 1; i <= lanes; i++) {
    snprintf(prefix, sizeof prefix, "%u", i);
    world_begin(&worlds[i], &all->of, prefix);
    all->lanes[i - 1] = (lane){.of = &all->of,
                               .number = i,
                               .own = &worlds[i],
                               .shared = &worlds[0],
                               .mine = {(i - 1) * (VIEWS / lanes), VIEWS / lanes}};
  }
}

/* Let everything go and see that nothing is left. */
static void world_end(lane *in, world *on) {
  for (unsigned slot = 0; slot < VIEWS; slot++)
    if (on->views[slot] != NULL) {
      look_at_view(in, on, on->views[slot], true);
      pinned_free(unpin_view(in, on, slot));
    }
  for (int i = 0; i < OPENED; i++)
    if (on->opened[i].file != NULL)
      close_mapfile(in, on, &on->opened[i]);
  look_at_files(in, on);
  for (int i = 0; i < NAMES; i++) {
    disk_drop(on->named[i]);
    on->named[i] = NULL;
  }
}

static void set_process_limits(lane *in, limits wanted) {
  mapfile_limits given = MAPFILE_LIMITS_INIT;
  given.map_count = wanted.count;
  given.map_bytes = wanted.bytes;
  calling(in, "mapfile_set_limits({map_count %" PRIu64 ", map_bytes %" PRIu64 "})", wanted.count, wanted.bytes);
  ended(in, mapfile_set_limits(&given), ONE(MAPFILE_OK));
  in->of->now = wanted;
}

static void look_for_leaks(lane *in, uint64_t handles) {
  mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
  calling(in, "mapfile_stats(NULL)");
  ended(in, mapfile_stats(NULL, &counts), ONE(MAPFILE_OK));
  EXPECT(in, counts.open_files == 0 && counts.pinned_views == 0, "%" PRIu64 " mapfiles and %" PRIu64 " views are left",
         counts.open_files, counts.pinned_views);
  EXPECT(in, counts.maps == 0 && counts.mapped_bytes == 0, "%" PRIu64 " maps of %" PRIu64 " bytes are left",
         counts.maps, counts.mapped_bytes);
  EXPECT(in, counts.copied_bytes == 0, "%" PRIu64 " copied bytes are left", counts.copied_bytes);
  uint64_t now = platform_handles();
  EXPECT(in, now == handles, "%" PRIu64 " descriptors are open, there were %" PRIu64, now, handles);
}

/*
 * Running
 */

static void do_steps(whole *all, lane *in, uint32_t from, uint32_t end) {
  for (uint32_t i = from; i < end; i++)
    if (all->steps[i].kind != NULL)
      lane_step(in, &all->steps[i]);
  in->now = NULL;
}

typedef struct lane_work {
  whole *all;
  lane *in;
  uint32_t from, end;
} lane_work;

static void work(void *argument) {
  const lane_work *mine = argument;
  do_steps(mine->all, mine->in, mine->from, mine->end);
}

/* A view that the main thread pinned goes to the lane that has its slot, if all of it lies in the lane's window. */
static bool may_keep(const whole *all, const world *shared, unsigned slot) {
  const pinned *view = shared->views[slot];
  for (unsigned i = 0; i < all->of.lanes; i++) {
    const lane *in = &all->lanes[i];
    window part = window_of(in, shared, view->by->of);
    if (slot >= in->mine.first && slot < in->mine.first + in->mine.count)
      return view->offset >= part.low && view->offset + view->length <= part.high;
  }
  return false;
}

/* From here on the lanes rely on the sizes; the times may be anything. */
static void crowd_begin(whole *all) {
  world *shared = &all->of.worlds[0];
  shared->crowded = true;
  for (unsigned slot = 0; slot < VIEWS; slot++)
    if (shared->views[slot] != NULL && !may_keep(all, shared, slot))
      pinned_free(unpin_view(&all->main, shared, slot));
  for (int i = 0; i < OPENED; i++) {
    opened *one = &shared->opened[i];
    if (one->file == NULL)
      continue;
    calling(&all->main, "mapfile_check(%sm%d)", shared->prefix, i);
    ended(&all->main, mapfile_check(one->file), one->stream ? ONE(MAPFILE_OK) : look_difference(&one->known, one->of));
    one->known = look_at(one->of);
    one->of->vague = true;
  }
  for (int i = 0; i < NAMES; i++)
    if (shared->named[i] != NULL)
      shared->named[i]->vague = true;
  all->of.crowd = true;
}

static void crowd_end(whole *all) {
  world *shared = &all->of.worlds[0];
  shared->crowded = false;
  all->of.crowd = false;
  for (int i = 0; i < EXCHANGED; i++) {
    if (shared->exchanged[i] == NULL)
      continue;
    calling(&all->main, "mapfile_unpin(a view that was handed over)");
    ended(&all->main, mapfile_unpin(&shared->exchanged[i]->view), ONE(MAPFILE_OK));
    pinned_free(shared->exchanged[i]);
    shared->exchanged[i] = NULL;
  }
  set_process_limits(&all->main, all->of.most);
}

static void run_lanes(whole *all, unsigned round) {
  platform_thread threads[MOST_LANES];
  lane_work works[MOST_LANES];
  const uint32_t *starts = all->starts[round];
  crowd_begin(all);
  for (unsigned i = 0; i < all->of.lanes; i++) {
    works[i] = (lane_work){all, &all->lanes[i], starts[i + 1], starts[i + 2]};
    EXPECT(&all->main, platform_start(&threads[i], work, &works[i]), "there is no thread for a lane");
  }
  for (unsigned i = 0; i < all->of.lanes; i++)
    platform_join(&threads[i]);
  crowd_end(all);
}

/* Half of the episodes with lanes have budgets for the process, which nobody exceeds. */
static void begin_lanes(whole *all) {
  uint64_t random = mix(all->of.seed);
  if (draw_one_in(&random, 2)) {
    all->of.most.count = 4 + draw_below(&random, 20);
    all->of.most.bytes = (8 + draw_below(&random, 100)) * page_size;
  }
  set_process_limits(&all->main, all->of.most);
}

static void run_all(whole *all) {
  if (all->of.lanes == 0) {
    do_steps(all, &all->main, 0, all->count);
    return;
  }
  begin_lanes(all);
  for (unsigned round = 0; round < ROUNDS; round++) {
    do_steps(all, &all->main, all->starts[round][0], all->starts[round][1]);
    run_lanes(all, round);
  }
}

static uint64_t calls_of(const whole *all) {
  uint64_t sum = all->main.calls;
  for (unsigned i = 0; i < all->of.lanes; i++)
    sum += all->lanes[i].calls;
  return sum;
}

/* Each lane's world is ended by its lane, so that what is said of it is said in its name. */
static void end_all(whole *all, uint64_t handles) {
  for (unsigned i = 0; i < all->of.lanes; i++)
    world_end(&all->lanes[i], all->lanes[i].own);
  world_end(&all->main, all->main.own);
  set_process_limits(&all->main, (limits){0, 0});
  look_for_leaks(&all->main, handles);
}

static uint64_t run_episode(const run_settings *of, uint64_t number) {
  static whole all;
  char inner[256];
  all = (whole){.of = {.seed = mix(of->seed + number * UINT64_C(0x9e3779b97f4a7c15) + 1),
                       .lanes = lanes_of(number, of->threads),
                       .printing = of->printing},
                .count = episode_length(of->seed, number, of->threads)};
  snprintf(all.of.folder, sizeof all.of.folder, "%s/" FILES_NAME, of->folder);
  snprintf(inner, sizeof inner, "%s/folder", all.of.folder);
  worlds_begin(&all);
  all.steps = calloc(all.count, sizeof *all.steps);
  EXPECT(&all.main, all.steps != NULL, "there is no memory for the test");
  draw_episode(&all);
  leave_out(&all, of->keep);
  EXPECT(&all.main, platform_make_inner_folder(inner), "there is no folder for the test");
  uint64_t handles = platform_handles();
  run_all(&all);
  end_all(&all, handles);
  free(all.steps);
  platform_empty_folder(all.of.folder);
  return calls_of(&all);
}

/* For the process that waits: which episode it was, if this one dies. */
static void tell_progress(const run_settings *of, uint64_t number) {
  char path[300];
  snprintf(path, sizeof path, "%s/" PROGRESS_NAME, of->folder);
  FILE *file = fopen(path, "w");
  if (file == NULL)
    return;
  fprintf(file, "%" PRIu64 "\n", number);
  fclose(file);
}

static unsigned watch_seconds(bool one) {
  const char *factor = getenv("MAPFILE_TEST_TIME_FACTOR");
  int times = factor != NULL ? atoi(factor) : 1;
  return (one ? WATCH_ONE_SECONDS : WATCH_SECONDS) * (unsigned)(times > 1 ? times : 1);
}

/* What a run of some length must have met; else it is not the test it is meant to be. */
static int look_at_counts_met(uint64_t calls) {
  static const struct {
    const char *call;
    mapfile_status status;
  } wanted[] = {{"mapfile_pin", MAPFILE_OK},
                {"mapfile_pin", MAPFILE_END},
                {"mapfile_pin", MAPFILE_LIMIT},
                {"mapfile_pin", MAPFILE_UNSUPPORTED},
                {"mapfile_pin", MAPFILE_TRUNCATED},
                {"mapfile_unpin", MAPFILE_UNKNOWN},
                {"mapfile_check", MAPFILE_TRUNCATED},
                {"mapfile_check", MAPFILE_CHANGED},
                {"mapfile_try", MAPFILE_UNKNOWN},
                {"MAPFILE_TRY", MAPFILE_UNKNOWN},
                {"mapfile_scope_end", MAPFILE_UNKNOWN},
                {"mapfile_fault_explain", MAPFILE_IO},
                {"mapfile_fault_explain", MAPFILE_TRUNCATED},
                {"mapfile_close", MAPFILE_BUSY},
                {"mapfile_park", MAPFILE_BUSY},
                {"mapfile_resize", MAPFILE_BUSY},
                {"mapfile_read", MAPFILE_IO},
                {"mapfile_read", MAPFILE_TRUNCATED},
                {"mapfile_find", MAPFILE_OK},
                {"mapfile_find", MAPFILE_IO},
                {"mapfile_compare", MAPFILE_IO},
                {"mapfile_scan", MAPFILE_IO},
                {"mapfile_scan", MAPFILE_TRUNCATED},
                {"mapfile_send", MAPFILE_IO},
                {"mapfile_write", MAPFILE_OK},
                {"mapfile_write", MAPFILE_IO},
                {"mapfile_write", MAPFILE_DENIED},
                {"mapfile_commit", MAPFILE_OK},
                {"mapfile_commit", MAPFILE_TRUNCATED}};
  const uint64_t enough = 20000;
  int missing = 0;
  for (size_t i = 0; calls >= enough && i < sizeof wanted / sizeof wanted[0]; i++) {
    if (count_of(wanted[i].call, wanted[i].status) > 0)
      continue;
    printf("FAILED: no %s was ever %s\n", wanted[i].call, status_name(wanted[i].status));
    missing++;
  }
  return missing > 0;
}

int run_here(const run_settings *of) {
  uint64_t calls = 0, number = of->one ? of->episode : 0, episodes = 0;
  page_size = platform_page();
  for (; of->one ? episodes == 0 : calls < of->ops; number++, episodes++) {
    tell_progress(of, number);
    platform_watchdog(watch_seconds(of->one));
    calls += run_episode(of, number);
  }
  platform_watchdog(0);
  if (of->one)
    return 0;
  printf("seed %" PRIu64 ": %" PRIu64 " calls in %" PRIu64 " sequences\n", of->seed, calls, episodes);
  counts_print();
  return look_at_counts_met(calls);
}
