/*
 * windows.c - copied-current and others: what copied access keeps in memory is never older than was allowed, never
 * changes under its reader, and takes no more memory than was allowed.
 *
 * SPDX-License-Identifier: MIT
 *
 * Whether bytes were read again is told by the library's own counts: cache_loads, windows read, and cache_misses, pins
 * that read for themselves.
 */
#include "conformance.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { WINDOW = 64 * 1024, TOUCHES = 4 };

static mapfile *open_copied(const char *path, uint32_t flags, uint64_t cache_bytes, uint32_t revalidate_ms) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file = NULL;
  options.access = MAPFILE_ACCESS_COPIED;
  options.flags = flags;
  options.cache_bytes = cache_bytes;
  options.revalidate_ms = revalidate_ms;
  EXPECT_STATUS(mapfile_open(path, &options, &file), MAPFILE_OK);
  return file;
}

static void set_cache_limit(uint64_t bytes) {
  mapfile_limits limits = MAPFILE_LIMITS_INIT;
  limits.cache_bytes = bytes;
  EXPECT_STATUS(mapfile_set_limits(&limits), MAPFILE_OK);
}

/* Pin, compare with the pattern, unpin. */
static void look(mapfile *file, uint64_t offset, uint64_t length) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, offset, length, MAPFILE_ANY, &view);
  EXPECT_UINT(view.kind, MAPFILE_KIND_COPIED);
  EXPECT(conf_is_pattern(view.data, view.length, offset));
  conf_unpin(&view);
}

static void expect_bytes(mapfile *file, uint64_t offset, const void *bytes, size_t length) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, offset, length, MAPFILE_ANY, &view);
  EXPECT(memcmp(view.data, bytes, length) == 0);
  conf_unpin(&view);
}

/* Touch a part until it is kept. */
static void warm(mapfile *file, uint64_t offset) {
  uint64_t loads = conf_stats(file).cache_loads;
  for (int i = 0; i < TOUCHES; i++)
    look(file, offset, 100);
  EXPECT(conf_stats(file).cache_loads > loads);
}

/* From here on nothing is read any more. */
static void expect_kept(mapfile *file, uint64_t offset, uint64_t length) {
  mapfile_statistics before = conf_stats(file);
  for (int i = 0; i < TOUCHES; i++)
    look(file, offset, length);
  EXPECT_UINT(conf_stats(file).cache_loads, before.cache_loads);
  EXPECT_UINT(conf_stats(file).cache_misses, before.cache_misses);
}

/*
 * Current
 */

static void used_again(void) {
  mapfile *file = open_copied(conf_make("file", 3 * WINDOW + 77), MAPFILE_IMMUTABLE, 0, 0);
  look(file, 5, 100);
  EXPECT_UINT(conf_stats(file).cache_loads, 0);
  EXPECT_UINT(conf_stats(file).cache_bytes, 0);
  EXPECT_UINT(conf_stats(file).cache_misses, 1);
  look(file, 4000, 100);
  EXPECT_UINT(conf_stats(file).cache_loads, 1);
  EXPECT(conf_stats(file).cache_bytes >= WINDOW);
  expect_kept(file, 0, WINDOW);
  expect_kept(file, WINDOW - 1, 1);
  expect_kept(file, 777, 5000);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, 9, 9, MAPFILE_COPY, &view);
  EXPECT_UINT(conf_stats(file).pinned_views, 1);
  EXPECT_UINT(conf_stats(NULL).pinned_views, 1);
  EXPECT_UINT(conf_stats(file).copied_bytes, 0);
  conf_unpin(&view);
  EXPECT_UINT(conf_stats(file).pinned_views, 0);
  conf_close(file);
  EXPECT_UINT(conf_stats(NULL).cache_bytes, 0);
}

/* Times of files are believed when they are some seconds old. */
enum { SETTLING_MS = 3300 };

static void rewrite(const char *path) {
  static const char other[] = "other bytes";
  conf_write_bytes(path, 50, other, sizeof other);
}

/* Changes of others are seen by the next pin, whatever they do to the size. */
static void changes_are_seen(void) {
  enum { REWRITTEN, APPENDED, REGROWN, UNTOUCHED, FILES };
  static const char *const names[FILES] = {"rewritten", "appended", "regrown", "untouched"};
  const char *paths[FILES];
  mapfile *files[FILES];
  static const char zeros[100];
  for (int i = 0; i < FILES; i++)
    paths[i] = conf_make(names[i], 2 * WINDOW);
  conf_sleep_ms(SETTLING_MS);
  for (int i = 0; i < FILES; i++) {
    files[i] = open_copied(paths[i], 0, 0, 0);
    warm(files[i], 0);
    warm(files[i], WINDOW);
    expect_kept(files[i], WINDOW, WINDOW);
  }
  rewrite(paths[REWRITTEN]);
  expect_bytes(files[REWRITTEN], 50, "other bytes", 12);
  rewrite(paths[REWRITTEN]);
  conf_write_bytes(paths[REWRITTEN], 50, "third", 5);
  expect_bytes(files[REWRITTEN], 50, "third bytes", 12);
  conf_write_pattern(paths[APPENDED], 2 * WINDOW, 100);
  look(files[APPENDED], 2 * WINDOW - 100, 100);
  EXPECT_STATUS(mapfile_check(files[APPENDED]), MAPFILE_CHANGED);
  look(files[APPENDED], 2 * WINDOW - 100, 200);
  conf_truncate_elsewhere(paths[REGROWN], WINDOW);
  mapfile_view view = MAPFILE_VIEW_INIT;
  EXPECT_STATUS(mapfile_pin(files[REGROWN], WINDOW + 5, 100, MAPFILE_ANY, &view), MAPFILE_TRUNCATED);
  conf_truncate_elsewhere(paths[REGROWN], 2 * WINDOW);
  expect_bytes(files[REGROWN], WINDOW + 5, zeros, sizeof zeros);
  expect_kept(files[UNTOUCHED], 0, WINDOW);
  for (int i = 0; i < FILES; i++)
    conf_close(files[i]);
}

/* A file that was written to a moment ago may be once more without its times telling: it is read for each pin. */
static void fresh_times_prove_nothing(void) {
  const char *path = conf_make("file", WINDOW);
  mapfile *file = open_copied(path, 0, 0, 0);
  char bytes[16];
  for (int i = 0; i < 50; i++) {
    snprintf(bytes, sizeof bytes, "%015d", i);
    conf_write_bytes(path, 1000, bytes, sizeof bytes);
    expect_bytes(file, 1000, bytes, sizeof bytes);
    expect_bytes(file, 1000, bytes, sizeof bytes);
  }
  conf_close(file);
}

static void stale_as_allowed(void) {
  enum { HOUR = 3600 * 1000, SHORT_MS = 300 };
  const char *path = conf_make("file", 2 * WINDOW);
  mapfile *patient = open_copied(path, 0, 0, HOUR), *hasty = open_copied(path, 0, 0, SHORT_MS);
  warm(patient, 0);
  warm(hasty, 0);
  expect_kept(patient, 0, WINDOW);
  rewrite(path);
  expect_kept(patient, 0, WINDOW);
  conf_sleep_ms(SHORT_MS + 50);
  expect_bytes(hasty, 50, "other bytes", 12);
  expect_kept(patient, 0, WINDOW);
  /* Whoever asks knows, and sees what he knows of. */
  conf_wait_for_clock();
  conf_write_bytes(path, 50, "third", 5);
  EXPECT_STATUS(mapfile_check(patient), MAPFILE_CHANGED);
  expect_bytes(patient, 50, "third bytes", 12);
  conf_close(patient);
  conf_close(hasty);
}

static void verified_pins_ask(void) {
  const char *path = conf_make("file", 2 * WINDOW);
  mapfile *file = open_copied(path, 0, 0, 3600 * 1000);
  mapfile_view view = MAPFILE_VIEW_INIT;
  warm(file, 0);
  conf_wait_for_clock();
  rewrite(path);
  conf_pin(file, 50, 12, MAPFILE_VERIFY, &view);
  EXPECT(memcmp(view.data, "other bytes", 12) == 0);
  EXPECT_STATUS(mapfile_view_check(&view), MAPFILE_OK);
  conf_unpin(&view);
  conf_close(file);
}

/* Who vouches for a file is believed until he asks. */
static void immutable_is_not_asked(void) {
  const char *path = conf_make("file", 2 * WINDOW);
  mapfile *file = open_copied(path, MAPFILE_IMMUTABLE, 0, 0);
  warm(file, 0);
  conf_wait_for_clock();
  rewrite(path);
  expect_kept(file, 0, WINDOW);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_CHANGED);
  expect_bytes(file, 50, "other bytes", 12);
  conf_close(file);
}

/*
 * Stable
 */

static void pinned_windows_stay(void) {
  const char *path = conf_make("file", 2 * WINDOW);
  mapfile *file = open_copied(path, MAPFILE_WRITE, 0, 3600 * 1000);
  mapfile_view old = MAPFILE_VIEW_INIT;
  warm(file, 0);
  conf_pin(file, 0, WINDOW, MAPFILE_ANY, &old);
  EXPECT_UINT(conf_stats(file).copied_bytes, 0);
  conf_wait_for_clock();
  rewrite(path);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_CHANGED);
  for (int i = 0; i < TOUCHES; i++)
    expect_bytes(file, 50, "other bytes", 12);
  EXPECT(conf_is_pattern(old.data, old.length, 0));
  EXPECT_STATUS(mapfile_resize(file, 10, 0), MAPFILE_OK);
  EXPECT(conf_is_pattern(old.data, old.length, 0));
  conf_unpin(&old);
  EXPECT_STATUS(mapfile_pin(file, 10, 1, MAPFILE_ANY, &old), MAPFILE_END);
  look(file, 0, 10);
  conf_close(file);
  EXPECT_UINT(conf_stats(NULL).cache_bytes, 0);
}

/* Any range, over as many windows as it will. */
static void ranges_anywhere(void) {
  enum { SIZE = 9 * WINDOW + 12345, ROUNDS = 3000 };
  mapfile *file = open_copied(conf_make("file", SIZE), MAPFILE_IMMUTABLE, 6 * WINDOW, 0);
  uint64_t random = 7;
  for (int i = 0; i < ROUNDS; i++) {
    uint64_t offset = conf_random(&random) % SIZE, length = 1 + conf_random(&random) % (i % 8 == 0 ? SIZE : 3000);
    look(file, offset, length < SIZE - offset ? length : SIZE - offset);
    look(file, SIZE - 1 - offset % 3000, MAPFILE_TO_END);
  }
  EXPECT(conf_stats(file).cache_loads > 0);
  conf_close(file);
}

/* A file shorter than a window needs no more than its own length; and it may become long. */
static void short_files_grow(void) {
  static const uint64_t sizes[] = {1, 4095, 4096, 4097, 30000, WINDOW - 1, WINDOW, WINDOW + 1, 40 * WINDOW};
  const char *path = conf_make("file", 0);
  mapfile *file = open_copied(path, MAPFILE_IMMUTABLE | MAPFILE_WRITE, 0, 0);
  uint64_t before = 0;
  for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    EXPECT_STATUS(mapfile_resize(file, sizes[i], 0), MAPFILE_OK);
    conf_write_pattern(path, before, (size_t)(sizes[i] - before));
    before = sizes[i];
    for (int times = 0; times < TOUCHES; times++)
      look(file, sizes[i] - 1, 1);
    EXPECT(conf_stats(file).cache_bytes >= sizes[i] % WINDOW);
    EXPECT(conf_stats(file).cache_bytes < 2 * sizes[i] + 16384);
    expect_kept(file, sizes[i] - 1, 1);
  }
  conf_close(file);
}

/*
 * Threads and budgets
 */

enum { CROWD = 4 };

typedef struct crowd {
  mapfile *file;
  uint64_t size;
  unsigned rounds;
  atomic_uint number, ended;
} crowd;

static void pin_in_order(void *argument) {
  crowd *of = argument;
  for (uint64_t at = 0; at < of->size; at += WINDOW)
    for (int i = 0; i < TOUCHES; i++)
      look(of->file, at + 100, 1000);
}

static void run_crowd(crowd *of, void (*run)(void *)) {
  conf_thread threads[CROWD];
  for (int i = 0; i < CROWD; i++)
    conf_thread_start(&threads[i], run, of, 0);
  for (int i = 0; i < CROWD; i++)
    conf_thread_join(&threads[i]);
}

static void one_thread_loads(void) {
  enum { WINDOWS = 64 };
  crowd of = {.size = WINDOWS * WINDOW};
  of.file = open_copied(conf_make("file", of.size), MAPFILE_IMMUTABLE, 0, 0);
  run_crowd(&of, pin_in_order);
  EXPECT_UINT(conf_stats(of.file).cache_loads, WINDOWS);
  EXPECT_UINT(conf_stats(of.file).cache_bytes, WINDOWS * WINDOW);
  conf_close(of.file);
}

enum { FILE_BUDGET = 5 * WINDOW, PROCESS_BUDGET = 8 * WINDOW };

static void expect_within_budget(mapfile *file) {
  uint64_t own = conf_stats(file).cache_bytes, all = conf_stats(NULL).cache_bytes;
  if (own > FILE_BUDGET || all > PROCESS_BUDGET)
    conf_broken(__FILE__, __LINE__, "windows take %llu bytes, %llu in all", (unsigned long long)own,
                (unsigned long long)all);
}

static void pin_at_random(void *argument) {
  crowd *of = argument;
  uint64_t random = 100 + atomic_fetch_add(&of->number, 1);
  mapfile_view held[3] = {MAPFILE_VIEW_INIT, MAPFILE_VIEW_INIT, MAPFILE_VIEW_INIT};
  for (unsigned i = 0; i < of->rounds; i++) {
    mapfile_view *view = &held[conf_random(&random) % 3];
    if (view->kind != MAPFILE_KIND_NONE) {
      EXPECT(conf_is_pattern(view->data, view->length, view->offset));
      conf_unpin(view);
    }
    conf_pin(of->file, conf_random(&random) % (of->size - 5000), 1 + conf_random(&random) % 5000, MAPFILE_ANY, view);
    if (i % 16 == 0)
      expect_within_budget(of->file);
  }
  for (int i = 0; i < 3; i++)
    if (held[i].kind != MAPFILE_KIND_NONE)
      conf_unpin(&held[i]);
  atomic_fetch_add(&of->ended, 1);
}

static void budgets_hold(void) {
  crowd of = {.size = 32 * WINDOW, .rounds = 5000};
  set_cache_limit(PROCESS_BUDGET);
  of.file = open_copied(conf_make("file", of.size), MAPFILE_IMMUTABLE, FILE_BUDGET, 0);
  mapfile *other = open_copied(conf_make("other", of.size), MAPFILE_IMMUTABLE, 0, 0);
  for (uint64_t at = 0; at < of.size; at += WINDOW)
    for (int i = 0; i < TOUCHES; i++)
      look(other, at, 10);
  expect_within_budget(of.file);
  run_crowd(&of, pin_at_random);
  expect_within_budget(of.file);
  EXPECT_UINT(conf_stats(of.file).pinned_views, 0);
  EXPECT(conf_stats(of.file).cache_loads > 0);
  conf_close(of.file);
  conf_close(other);
}

static void all_pinned(void) {
  enum { VIEWS = 6 };
  mapfile_view views[VIEWS];
  mapfile *file = open_copied(conf_make("file", VIEWS * WINDOW), MAPFILE_IMMUTABLE, 2 * WINDOW, 0);
  for (unsigned i = 0; i < VIEWS; i++) {
    mapfile_view fresh = MAPFILE_VIEW_INIT;
    views[i] = fresh;
    for (int times = 0; times < 2 * TOUCHES; times++)
      look(file, i * WINDOW + 10, 10);
    conf_pin(file, i * WINDOW, WINDOW, MAPFILE_ANY, &views[i]);
    EXPECT(conf_stats(file).cache_bytes <= 2 * WINDOW);
  }
  EXPECT_UINT(conf_stats(file).pinned_views, VIEWS);
  EXPECT_UINT(conf_stats(file).copied_bytes, (VIEWS - 2) * WINDOW);
  /* Lower than what is pinned: what is unpinned goes. */
  set_cache_limit(WINDOW);
  for (unsigned i = 0; i < VIEWS; i++) {
    EXPECT(conf_is_pattern(views[i].data, views[i].length, views[i].offset));
    conf_unpin(&views[i]);
  }
  EXPECT(conf_stats(file).cache_bytes <= WINDOW);
  set_cache_limit(1);
  EXPECT_UINT(conf_stats(file).cache_bytes, 0);
  uint64_t loads = conf_stats(file).cache_loads;
  for (int i = 0; i < TOUCHES; i++)
    look(file, 0, 100);
  EXPECT_UINT(conf_stats(file).cache_loads, loads);
  set_cache_limit(0);
  warm(file, 0);
  conf_close(file);
}

/* Parts that are used often stay while others pass by. */
static void walks_push_nothing_out(void) {
  enum { BUDGET = 16, OFTEN = 8, PASSING = 200 };
  mapfile *file = open_copied(conf_make("file", (OFTEN + PASSING) * WINDOW), MAPFILE_IMMUTABLE, BUDGET * WINDOW, 0);
  for (unsigned i = 0; i < OFTEN; i++)
    warm(file, i * WINDOW);
  for (unsigned at = 0; at < PASSING; at++) {
    for (uint64_t within = 0; within < WINDOW; within += WINDOW / 8)
      look(file, (OFTEN + at) * WINDOW + within, 4096);
    for (unsigned i = 0; i < OFTEN; i++)
      look(file, i * WINDOW + at, 50);
  }
  for (unsigned i = 0; i < OFTEN; i++)
    expect_kept(file, i * WINDOW, WINDOW);
  conf_close(file);
}

/*
 * With the rest of the library
 */

static void busy_while_pinned(void) {
  mapfile *file = open_copied(conf_make("file", 2 * WINDOW), MAPFILE_IMMUTABLE, 0, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  warm(file, 0);
  conf_pin(file, 100, 1000, MAPFILE_ANY, &view);
  EXPECT_UINT(conf_stats(file).copied_bytes, 0);
  EXPECT_STATUS(mapfile_close(file), MAPFILE_BUSY);
  EXPECT_STATUS(mapfile_park(file), MAPFILE_BUSY);
  EXPECT(conf_is_pattern(view.data, view.length, 100));
  conf_unpin(&view);
  EXPECT_STATUS(mapfile_park(file), MAPFILE_OK);
  EXPECT_UINT(conf_stats(file).cache_bytes, 0);
  look(file, 100, 1000);
  conf_close(file);
}

static void injected_beside_windows(void) {
  uint64_t bad = 4 * conf_page, size = 2 * bad > 2 * WINDOW ? 2 * bad : 2 * WINDOW;
  mapfile *file = open_copied(conf_make("file", size), MAPFILE_IMMUTABLE, 0, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  warm(file, 0);
  EXPECT_STATUS(mapfile_inject(file, bad, 1, MAPFILE_IO), MAPFILE_OK);
  look(file, 0, bad);
  look(file, bad + conf_page, 100);
  conf_pin(file, 0, bad + 10, MAPFILE_ANY, &view);
  conf_expect_good(file, &view, view.data);
  conf_expect_fault(file, &view, (const char *)view.data + bad, bad);
  conf_unpin(&view);
  EXPECT_STATUS(mapfile_inject(file, bad, 1, MAPFILE_OK), MAPFILE_OK);
  expect_kept(file, 0, WINDOW);
  conf_close(file);
}

static void use_what_was_inherited(void *argument) {
  mapfile_view *view = argument;
  mapfile *file = (mapfile *)(uintptr_t)view->stamp[2];
  view->stamp[2] = 0;
  EXPECT(conf_is_pattern(view->data, view->length, view->offset));
  expect_kept(file, 0, WINDOW);
  warm(file, WINDOW);
  conf_unpin(view);
  conf_close(file);
  EXPECT_UINT(conf_stats(NULL).cache_bytes, 0);
}

static void forked(void) {
  mapfile *file = open_copied(conf_make("file", 4 * WINDOW), MAPFILE_IMMUTABLE, 0, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  warm(file, 0);
  conf_pin(file, 20, 2000, MAPFILE_ANY, &view);
  view.stamp[2] = (uint64_t)(uintptr_t)file;
  conf_child(use_what_was_inherited, &view);
  EXPECT(conf_is_pattern(view.data, view.length, 20));
  conf_unpin(&view);
  conf_close(file);
}

/* A window is as long as the hint says, within limits; the file's last one is no longer than the others. */
static void sized_by_hint(void) {
  static const struct {
    uint32_t hint;
    uint64_t bytes;
  } sizes[] = {{1, 65536},       {65536, 65536},     {65537, 131072},
               {300000, 524288}, {1 << 20, 1 << 20}, {UINT32_MAX, 1 << 20}};
  const char *path = conf_make("file", 3 << 20);
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    mapfile_options options = MAPFILE_OPTIONS_INIT;
    mapfile *file = NULL;
    options.access = MAPFILE_ACCESS_COPIED;
    options.flags = MAPFILE_IMMUTABLE;
    options.window_bytes = sizes[i].hint;
    EXPECT_STATUS(mapfile_open(path, &options, &file), MAPFILE_OK);
    warm(file, (2 << 20) + 77);
    EXPECT_UINT(conf_stats(file).cache_bytes, sizes[i].bytes);
    expect_kept(file, 2 << 20, sizes[i].bytes);
    conf_close(file);
  }
}

/* Two neighbours that are wanted together are loaded together. */
static void neighbours(void) {
  mapfile *file = open_copied(conf_make("file", 5 * WINDOW), MAPFILE_IMMUTABLE, 0, 0);
  for (int i = 0; i < TOUCHES && conf_stats(file).cache_loads == 0; i++)
    look(file, 2 * WINDOW - 50, 100);
  EXPECT_UINT(conf_stats(file).cache_loads, 2);
  expect_kept(file, 2 * WINDOW - 50, 100);
  expect_kept(file, WINDOW, WINDOW);
  expect_kept(file, 2 * WINDOW, WINDOW);
  conf_close(file);
}

static const conf_case table[] = {
    {"copied-current", "used-again", "Copied access reads the same bytes again and again, or forgets to.", CONF_ONCE,
     CONF_NO_FAULTS, used_again},
    {"copied-current", "changes-are-seen", "A copied view shows bytes that were replaced before it was pinned.",
     CONF_ONCE, CONF_NO_FAULTS, changes_are_seen},
    {"copied-current", "fresh-times", "A copied view misses a change that came soon after another.", CONF_ONCE,
     CONF_NO_FAULTS, fresh_times_prove_nothing},
    {"copied-current", "stale-as-allowed", "A copied view is older than revalidate_ms allows.", CONF_ONCE,
     CONF_NO_FAULTS, stale_as_allowed},
    {"copied-current", "verified-pins-ask", "A verified copied view shows older bytes than its stamp says.", CONF_ONCE,
     CONF_NO_FAULTS, verified_pins_ask},
    {"copied-current", "immutable", "A file that was vouched for is asked about, or a known change is not shown.",
     CONF_ONCE, CONF_NO_FAULTS, immutable_is_not_asked},
    {"pin-stable", "windows", "The bytes of a copied view change while it is pinned.", CONF_ONCE, CONF_NO_FAULTS,
     pinned_windows_stay},
    {"pin-anywhere", "over-windows", "A copied view of some range shows wrong bytes.", CONF_ONCE, CONF_NO_FAULTS,
     ranges_anywhere},
    {"pin-anywhere", "neighbouring-windows", "Two parts of a file that are wanted together are read one by one.",
     CONF_ONCE, CONF_NO_FAULTS, neighbours},
    {"pin-budget", "window-sizes", "Windows are not as long as the program wishes.", CONF_ONCE, CONF_NO_FAULTS,
     sized_by_hint},
    {"pin-anywhere", "short-files-grow", "A short file takes much memory, or one that grew is read wrongly.", CONF_ONCE,
     CONF_NO_FAULTS, short_files_grow},
    {"threads", "one-loads", "Several threads read the same bytes at the same time.", CONF_ONCE, CONF_NO_FAULTS,
     one_thread_loads},
    {"pin-budget", "windows", "Kept parts of files take more memory than was allowed.", CONF_ONCE, CONF_NO_FAULTS,
     budgets_hold},
    {"pin-budget", "windows-all-pinned", "A file cannot be read any more when all memory for it is pinned.", CONF_ONCE,
     CONF_NO_FAULTS, all_pinned},
    {"pin-budget", "walks-push-nothing-out", "One walk through a file pushes out what is used all the time.", CONF_ONCE,
     CONF_NO_FAULTS, walks_push_nothing_out},
    {"close-pinned", "windows", "A mapfile is closed or parked under a pinned copy.", CONF_ONCE, CONF_NO_FAULTS,
     busy_while_pinned},
    {"copied-equals-mapped", "injected-beside-windows", "A test of recovery does not reach kept bytes.", CONF_ONCE,
     CONF_INJECTED, injected_beside_windows},
    {"fork", "windows", "A child cannot use kept parts of a file.", CONF_ONCE | CONF_FORKS, CONF_NO_FAULTS, forked},
};

CONF_GROUP(conf_windows, "windows that copied access keeps");
