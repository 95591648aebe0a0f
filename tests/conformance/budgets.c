/*
 * budgets.c - pin-budget: the address space and the number of maps stay within what was allowed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conformance.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static mapfile *open_with_budget(const char *path, uint64_t count, uint64_t bytes) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file = NULL;
  options.access = conf_access;
  options.map_count = count;
  options.map_bytes = bytes;
  EXPECT_STATUS(mapfile_open(path, &options, &file), MAPFILE_OK);
  return file;
}

static void expect_within(mapfile *file, uint64_t count, uint64_t bytes) {
  mapfile_statistics now = conf_stats(file);
  if (count != 0 && now.maps > count)
    conf_broken(__FILE__, __LINE__, "%llu maps, the budget is %llu", (unsigned long long)now.maps,
                (unsigned long long)count);
  if (bytes != 0 && now.mapped_bytes > bytes)
    conf_broken(__FILE__, __LINE__, "%llu bytes are mapped, the budget is %llu", (unsigned long long)now.mapped_bytes,
                (unsigned long long)bytes);
}

enum { FAR_APART = 40, VIEWS = 24 };

/* Where everything is pinned and the budget is used up, ANY pins go on as copies. */
static void any_pins_go_on(void) {
  uint64_t size = FAR_APART * VIEWS * conf_page;
  mapfile *file = open_with_budget(conf_make("file", size), 4, 64 * conf_page);
  mapfile_view views[VIEWS];
  expect_within(file, 4, 64 * conf_page);
  for (unsigned i = 0; i < VIEWS; i++) {
    mapfile_view fresh = MAPFILE_VIEW_INIT;
    views[i] = fresh;
    conf_pin(file, i * FAR_APART * conf_page + 3, 4 * conf_page, MAPFILE_ANY, &views[i]);
    expect_within(file, 4, 64 * conf_page);
  }
  for (unsigned i = 0; i < VIEWS; i++) {
    EXPECT(conf_is_pattern(views[i].data, views[i].length, views[i].offset));
    conf_unpin(&views[i]);
    expect_within(file, 4, 64 * conf_page);
  }
  EXPECT_UINT(conf_stats(file).copied_bytes, 0);
  conf_close(file);
}

/* LIVE pins reach LIMIT, and work again when others have been let go. */
static void live_pins_reach_limit(void) {
  uint64_t size = FAR_APART * VIEWS * conf_page;
  mapfile *file = open_with_budget(conf_make("file", size), 4, 64 * conf_page);
  mapfile_view views[VIEWS];
  unsigned pinned = 0;
  for (; pinned < VIEWS; pinned++) {
    mapfile_view fresh = MAPFILE_VIEW_INIT;
    views[pinned] = fresh;
    mapfile_status status =
        mapfile_pin(file, pinned * FAR_APART * conf_page, 4 * conf_page, MAPFILE_LIVE, &views[pinned]);
    expect_within(file, 4, 64 * conf_page);
    if (status == MAPFILE_LIMIT)
      break;
    EXPECT_STATUS(status, MAPFILE_OK);
  }
  EXPECT(pinned >= 1 && pinned < VIEWS);
  uint64_t refused = pinned * FAR_APART * conf_page;
  for (unsigned i = 0; i < pinned; i++) {
    EXPECT(conf_is_pattern(views[i].data, views[i].length, views[i].offset));
    conf_unpin(&views[i]);
  }
  conf_pin(file, refused, 4 * conf_page, MAPFILE_LIVE, &views[0]);
  expect_within(file, 4, 64 * conf_page);
  EXPECT(conf_is_pattern(views[0].data, views[0].length, refused));
  EXPECT(conf_stats(file).evictions > 0);
  conf_unpin(&views[0]);
  conf_close(file);
}

/* Maps of a view's own count as well. */
static void own_maps_count(void) {
  static const uint32_t flags[] = {MAPFILE_PRIVATE, MAPFILE_ZERO_FILL, MAPFILE_ANY};
  uint64_t size = FAR_APART * VIEWS * conf_page;
  mapfile *file = open_with_budget(conf_make("file", size), 3, 0);
  mapfile_view views[VIEWS];
  for (unsigned i = 0; i < VIEWS; i++) {
    mapfile_view fresh = MAPFILE_VIEW_INIT;
    views[i] = fresh;
    mapfile_status status = mapfile_pin(file, i * FAR_APART * conf_page + 1, 5 * conf_page, flags[i % 3], &views[i]);
    expect_within(file, 3, 0);
    /* A view that needs a map of its own may be refused; ANY pins are copied. */
    if (flags[i % 3] == MAPFILE_ANY)
      EXPECT_STATUS(status, MAPFILE_OK);
    else
      EXPECT_ONE_OF(status, MAPFILE_OK, MAPFILE_LIMIT);
    if (status == MAPFILE_OK)
      EXPECT(conf_is_pattern(views[i].data, views[i].length, views[i].offset));
  }
  for (unsigned i = 0; i < VIEWS; i++)
    if (views[i].kind != MAPFILE_KIND_NONE)
      conf_unpin(&views[i]);
  conf_close(file);
}

/* A budget of one map walks through the whole file. */
static void one_map_walks(void) {
  uint64_t size = 500 * conf_page + 99;
  /* A map reaches to whole units at both ends. */
  uint64_t budget = 16 * conf_page + 2 * (conf_map_unit - conf_page);
  mapfile *file = open_with_budget(conf_make("file", size), 1, budget);
  mapfile_view view = MAPFILE_VIEW_INIT;
  for (uint64_t at = 0; at < size; at += 7 * conf_page + 5) {
    uint64_t length = size - at < 8 * conf_page ? size - at : 8 * conf_page;
    conf_pin(file, at, length, conf_live(), &view);
    EXPECT(conf_is_pattern(view.data, view.length, at));
    expect_within(file, 1, budget);
    conf_unpin(&view);
    expect_within(file, 1, budget);
  }
  conf_close(file);
}

enum { FILES = 20 };

static void set_limits(uint64_t count, uint64_t bytes) {
  mapfile_limits limits = MAPFILE_LIMITS_INIT;
  limits.map_count = count;
  limits.map_bytes = bytes;
  EXPECT_STATUS(mapfile_set_limits(&limits), MAPFILE_OK);
}

static void open_many(mapfile *files[FILES]) {
  for (unsigned i = 0; i < FILES; i++) {
    char name[32];
    snprintf(name, sizeof name, "file-%u", i);
    files[i] = conf_open(conf_make(name, 3 * conf_page + i), 0);
  }
}

/* The budgets of the process hold over all mapfiles. */
static void process_limit(void) {
  mapfile *files[FILES];
  mapfile_view views[FILES];
  unsigned pinned = 0;
  open_many(files);
  set_limits(8, 0);
  EXPECT_UINT(conf_stats(NULL).map_count_limit, 8);
  for (unsigned i = 0; i < FILES; i++) {
    mapfile_view fresh = MAPFILE_VIEW_INIT;
    views[i] = fresh;
    mapfile_status status = mapfile_pin(files[i], 0, MAPFILE_TO_END, MAPFILE_LIVE, &views[i]);
    expect_within(NULL, 8, 0);
    if (status == MAPFILE_LIMIT)
      break;
    EXPECT_STATUS(status, MAPFILE_OK);
    pinned++;
  }
  EXPECT(pinned >= 1 && pinned <= 8);
  conf_unpin(&views[0]);
  conf_pin(files[pinned], 0, MAPFILE_TO_END, MAPFILE_LIVE, &views[pinned]);
  expect_within(NULL, 8, 0);
  for (unsigned i = 1; i <= pinned; i++) {
    EXPECT(conf_is_pattern(views[i].data, views[i].length, 0));
    conf_unpin(&views[i]);
  }
  for (unsigned i = 0; i < FILES; i++)
    conf_close(files[i]);
  EXPECT_UINT(conf_stats(NULL).maps, 0);
  EXPECT_UINT(conf_stats(NULL).mapped_bytes, 0);
}

/* Setting a smaller budget takes effect at once on idle maps, and later on pinned ones. */
static void process_limit_lowered(void) {
  mapfile *files[FILES];
  mapfile_view views[FILES], more = MAPFILE_VIEW_INIT;
  open_many(files);
  for (unsigned i = 0; i < FILES; i++) {
    mapfile_view fresh = MAPFILE_VIEW_INIT;
    views[i] = fresh;
    conf_pin(files[i], 0, MAPFILE_TO_END, MAPFILE_LIVE, &views[i]);
  }
  for (unsigned i = 10; i < FILES; i++)
    conf_unpin(&views[i]);
  set_limits(5, 0);
  EXPECT(conf_stats(NULL).maps <= 10);
  EXPECT_STATUS(mapfile_pin(files[15], 0, MAPFILE_TO_END, MAPFILE_LIVE, &more), MAPFILE_LIMIT);
  for (unsigned i = 0; i < 8; i++) {
    EXPECT(conf_is_pattern(views[i].data, views[i].length, 0));
    conf_unpin(&views[i]);
  }
  expect_within(NULL, 5, 0);
  conf_pin(files[15], 0, MAPFILE_TO_END, MAPFILE_LIVE, &more);
  expect_within(NULL, 5, 0);
  conf_unpin(&more);
  conf_unpin(&views[8]);
  conf_unpin(&views[9]);
  set_limits(0, 0);
  for (unsigned i = 0; i < FILES; i++)
    conf_pin(files[i], 0, MAPFILE_TO_END, MAPFILE_LIVE, &views[i]);
  EXPECT(conf_stats(NULL).maps >= FILES);
  for (unsigned i = 0; i < FILES; i++) {
    conf_unpin(&views[i]);
    conf_close(files[i]);
  }
}

static void process_limit_bytes(void) {
  mapfile *files[FILES];
  mapfile_view views[FILES];
  open_many(files);
  set_limits(0, 40 * conf_page);
  for (unsigned i = 0; i < FILES; i++) {
    mapfile_view fresh = MAPFILE_VIEW_INIT;
    views[i] = fresh;
    conf_pin(files[i], 0, MAPFILE_TO_END, MAPFILE_ANY, &views[i]);
    expect_within(NULL, 0, 40 * conf_page);
  }
  for (unsigned i = 0; i < FILES; i++) {
    EXPECT(conf_is_pattern(views[i].data, views[i].length, 0));
    conf_unpin(&views[i]);
    conf_close(files[i]);
  }
}

/* Threads that pin and unpin all the time, and one that looks. */

typedef struct busy {
  mapfile *file;
  uint64_t size, seed;
  atomic_bool *stop;
} busy;

static void pin_all_the_time(void *argument) {
  busy *work = argument;
  mapfile_view view = MAPFILE_VIEW_INIT;
  while (!atomic_load(work->stop)) {
    uint64_t offset = conf_random(&work->seed) % (work->size - 6 * conf_page);
    mapfile_status status = mapfile_pin(work->file, offset, 5 * conf_page,
                                        conf_random(&work->seed) % 2 == 0 ? MAPFILE_ANY : conf_live(), &view);
    if (status == MAPFILE_LIMIT)
      continue;
    EXPECT_STATUS(status, MAPFILE_OK);
    EXPECT(conf_is_pattern(view.data, 16, offset));
    EXPECT(conf_is_pattern((char *)view.data + view.length - 16, 16, offset + view.length - 16));
    conf_unpin(&view);
  }
}

static void budget_with_threads(void) {
  enum { THREADS = 4 };
  uint64_t size = 600 * conf_page;
  mapfile *file = open_with_budget(conf_make("file", size), 3, 60 * conf_page);
  conf_thread threads[THREADS];
  busy work[THREADS];
  atomic_bool stop = false;
  for (unsigned i = 0; i < THREADS; i++) {
    work[i] = (busy){file, size, 1000 + i, &stop};
    conf_thread_start(&threads[i], pin_all_the_time, &work[i], 0);
  }
  for (int i = conf_rounds(300); i > 0; i--) {
    expect_within(file, 3, 60 * conf_page);
    conf_sleep_ms(1);
  }
  atomic_store(&stop, true);
  for (unsigned i = 0; i < THREADS; i++)
    conf_thread_join(&threads[i]);
  EXPECT_UINT(conf_stats(file).pinned_views, 0);
  conf_close(file);
}

/* A range that neither a map nor memory can hold. The address space is limited so that memory is not really tried. */
static void nothing_can_help(void) {
  uint64_t size = UINT64_C(1) << 30;
  const char *path = conf_make_sparse("sparse", size);
  mapfile *file = open_with_budget(path, 4, 64 * conf_page);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_limit_address_space(64 << 20);
  if (conf_access == MAPFILE_ACCESS_COPIED) {
    EXPECT_ONE_OF(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view), MAPFILE_LIMIT, MAPFILE_NO_MEMORY);
  } else {
    EXPECT_STATUS(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view), MAPFILE_LIMIT);
    EXPECT_STATUS(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view), MAPFILE_LIMIT);
  }
  EXPECT_UINT(view.kind, MAPFILE_KIND_NONE);
  conf_unlimit_address_space();
  conf_pin(file, size - 10, 10, MAPFILE_ANY, &view);
  EXPECT(conf_is_zero(view.data, 10));
  conf_unpin(&view);
  conf_close(file);
}

static void statistics_balance(void) {
  mapfile_statistics before = conf_stats(NULL);
  mapfile *file = conf_open(conf_make("file", 100000), 0);
  mapfile_view one = MAPFILE_VIEW_INIT, two = MAPFILE_VIEW_INIT;
  EXPECT_UINT(conf_stats(NULL).open_files, before.open_files + 1);
  EXPECT_UINT(conf_stats(file).open_files, 1);
  conf_pin(file, 0, MAPFILE_TO_END, conf_live(), &one);
  conf_pin(file, 0, 70000, MAPFILE_COPY, &two);
  mapfile_statistics now = conf_stats(file);
  EXPECT_UINT(now.pinned_views, 2);
  EXPECT(now.copied_bytes >= 70000);
  if (conf_access != MAPFILE_ACCESS_COPIED) {
    EXPECT(now.maps >= 1 && now.maps_made >= 1);
    EXPECT(now.mapped_bytes >= 100000);
  } else {
    EXPECT_UINT(now.maps, 0);
    EXPECT_UINT(now.mapped_bytes, 0);
    EXPECT(now.copied_bytes >= 170000);
  }
  EXPECT_UINT(conf_stats(NULL).pinned_views, before.pinned_views + 2);
  conf_unpin(&one);
  conf_unpin(&two);
  EXPECT_UINT(conf_stats(file).pinned_views, 0);
  EXPECT_UINT(conf_stats(file).copied_bytes, 0);
  conf_close(file);
  now = conf_stats(NULL);
  EXPECT_UINT(now.open_files, before.open_files);
  EXPECT_UINT(now.maps, before.maps);
  EXPECT_UINT(now.mapped_bytes, before.mapped_bytes);
  EXPECT_UINT(now.copied_bytes, before.copied_bytes);
}

#define N CONF_NO_FAULTS

static const conf_case table[] = {
    {"pin-budget", "any-pins-go-on", "A budget makes pins fail that could have been copies.", CONF_ANY, N,
     any_pins_go_on},
    {"pin-budget", "live-pins-reach-limit", "A mapfile takes more address space than it was allowed.", CONF_MAPPED, N,
     live_pins_reach_limit},
    {"pin-budget", "own-maps", "Private views are not counted in the budget.", CONF_ANY, N, own_maps_count},
    {"pin-budget", "one-map", "A large file cannot be walked through with a small budget.", CONF_ANY, N, one_map_walks},
    {"pin-budget", "process", "All mapfiles together have more maps than they were allowed.", CONF_MAPPED, N,
     process_limit},
    {"pin-budget", "process-lowered", "Lowering the budget has no effect, or cannot be undone.", CONF_MAPPED, N,
     process_limit_lowered},
    {"pin-budget", "process-bytes", "All mapfiles together take more address space than they were allowed.", CONF_ANY,
     N, process_limit_bytes},
    {"pin-budget", "threads", "Threads together exceed the budget.", CONF_ANY, N, budget_with_threads},
    {"pin-budget", "nothing-can-help", "A range that is too large is not refused cleanly.", CONF_ANY, N,
     nothing_can_help},
    {"pin-budget", "statistics", "The statistics are wrong.", CONF_ANY, N, statistics_balance},
};

CONF_GROUP(conf_budgets, "budgets");
