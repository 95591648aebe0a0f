/*
 * names.c - park-release, idle-release, remove-mapped, rename-mapped, grow-live, shrink-pinned: files that are in use
 * can still be removed, replaced and cut, and the mapfile survives it.
 *
 * SPDX-License-Identifier: MIT
 *
 * Where parking closes the file (conf_parking_closes), its name may come to mean another one, and the mapfile says so.
 * Elsewhere the descriptor is kept, and with it the old file.
 */
#include "elsewhere.h"

#include <stdatomic.h>
#include <string.h>

#define SIZE (8 * conf_page)

static mapfile *open_idle(const char *path, uint32_t idle_ms) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file = NULL;
  options.access = conf_access;
  options.idle_ms = idle_ms;
  EXPECT_STATUS(mapfile_open(path, &options, &file), MAPFILE_OK);
  return file;
}

/* Pin all of it, look, and let go: what was mapped stays mapped and idle. */
static void look_at_all(mapfile *file, uint64_t size) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT_UINT(view.length, size);
  EXPECT(conf_is_pattern(view.data, view.length, 0));
  conf_unpin(&view);
}

static void park(mapfile *file) {
  EXPECT_STATUS(mapfile_park(file), MAPFILE_OK);
  EXPECT_UINT(conf_stats(file).maps, 0);
  EXPECT_UINT(conf_stats(file).mapped_bytes, 0);
}

/* Some other file, with bytes that are not the pattern. */
static const char *make_other(const char *name) {
  return conf_make_bytes(name, "another file", 12);
}

/*
 * park-release
 */

static void park_pinned(void) {
  static const uint32_t flags[] = {MAPFILE_ANY, MAPFILE_COPY, MAPFILE_PRIVATE, MAPFILE_ZERO_FILL, MAPFILE_VERIFY};
  mapfile *file = conf_open(conf_make("file", SIZE), 0);
  for (int i = 0; i < 5; i++)
    for (uint64_t length = 0; length <= 3 * conf_page; length += 3 * conf_page) {
      mapfile_view view = MAPFILE_VIEW_INIT;
      conf_pin(file, 5, length, flags[i], &view);
      mapfile_statistics before = conf_stats(file);
      EXPECT_STATUS(mapfile_park(file), MAPFILE_BUSY);
      EXPECT_UINT(conf_stats(file).maps, before.maps);
      EXPECT_UINT(conf_stats(file).parks, before.parks);
      EXPECT_UINT(conf_stats(file).pinned_views, 1);
      EXPECT(conf_is_pattern(view.data, view.length, 5));
      look_at_all(file, SIZE);
      conf_unpin(&view);
      park(file);
    }
  conf_close(file);
}

static void park_in_scope(void) {
  mapfile *file = conf_open(conf_make("file", SIZE), 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_scope scope;
  conf_pin(file, 0, SIZE, MAPFILE_ZERO_FILL, &view);
  MAPFILE_SCOPE_INIT(&scope);
  EXPECT_STATUS(mapfile_scope_begin(&scope, file, &view), MAPFILE_OK);
  conf_unpin(&view);
  EXPECT_STATUS(mapfile_park(file), MAPFILE_BUSY);
  EXPECT_STATUS(mapfile_scope_end(&scope, NULL), MAPFILE_OK);
  park(file);
  conf_close(file);
}

static mapfile_status MAPFILE_CALL park_inside(void *argument, const void *data, size_t length, uint64_t offset) {
  mapfile *file = argument;
  mapfile_status status = mapfile_park(file);
  EXPECT(conf_is_pattern(data, length, offset));
  EXPECT_ONE_OF(status, MAPFILE_OK, MAPFILE_BUSY);
  EXPECT(status == MAPFILE_BUSY || conf_stats(file).maps == 0);
  return MAPFILE_OK;
}

/* Each call after a park of its own. */

static void read_parked(mapfile *file) {
  unsigned char bytes[1000];
  size_t done;
  EXPECT_STATUS(mapfile_read(file, 17, bytes, sizeof bytes, &done), MAPFILE_OK);
  EXPECT(done == sizeof bytes && conf_is_pattern(bytes, done, 17));
}

static void pin_parked(mapfile *file) {
  static const uint32_t flags[] = {MAPFILE_ANY,       MAPFILE_COPY,   MAPFILE_PRIVATE,
                                   MAPFILE_ZERO_FILL, MAPFILE_VERIFY, MAPFILE_COPY | MAPFILE_VERIFY};
  for (int i = 0; i < 6; i++) {
    mapfile_view view = MAPFILE_VIEW_INIT;
    park(file);
    conf_pin(file, 100, 2 * conf_page, flags[i], &view);
    EXPECT(conf_is_pattern(view.data, view.length, 100));
    if ((flags[i] & MAPFILE_VERIFY) != 0)
      EXPECT_STATUS(mapfile_view_check(&view), MAPFILE_OK);
    conf_unpin(&view);
  }
}

static void scan_parked(mapfile *file) {
  uint64_t done;
  EXPECT_STATUS(mapfile_scan(file, 3, MAPFILE_TO_END, conf_page, 0, park_inside, file, &done), MAPFILE_OK);
  EXPECT_UINT(done, SIZE - 3);
  park(file);
  EXPECT_STATUS(
      mapfile_scan(file, 3, MAPFILE_TO_END, conf_page, MAPFILE_SCAN_COPY | MAPFILE_SCAN_ONCE, park_inside, file, &done),
      MAPFILE_OK);
  EXPECT_UINT(done, SIZE - 3);
}

static void search_parked(mapfile *file) {
  unsigned char bytes[64];
  uint64_t found;
  int order = 1;
  conf_pattern(bytes, sizeof bytes, conf_page + 11);
  EXPECT_STATUS(mapfile_find(file, 0, MAPFILE_TO_END, bytes, sizeof bytes, &found, NULL), MAPFILE_OK);
  EXPECT(found <= conf_page + 11);
  park(file);
  EXPECT_STATUS(mapfile_compare(file, conf_page + 11, bytes, sizeof bytes, &order, NULL), MAPFILE_OK);
  EXPECT(order == 0);
}

static void look_parked(mapfile *file) {
  uint64_t size;
  EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  EXPECT_UINT(size, SIZE);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_OK);
}

static void inject_parked(mapfile *file) {
  unsigned char byte;
  EXPECT_STATUS(mapfile_inject(file, conf_page, 1, MAPFILE_IO), MAPFILE_OK);
  park(file);
  EXPECT_STATUS(mapfile_read(file, conf_page, &byte, 1, NULL), MAPFILE_IO);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  conf_expect_fault(file, &view, (unsigned char *)view.data + conf_page, conf_page);
  conf_unpin(&view);
  park(file);
  EXPECT_STATUS(mapfile_inject(file, 0, MAPFILE_TO_END, MAPFILE_OK), MAPFILE_OK);
}

static void use_parked(void) {
  static void (*const uses[])(mapfile *) = {read_parked,   pin_parked,  scan_parked,
                                            search_parked, look_parked, inject_parked};
  mapfile *file = conf_open(conf_make("file", SIZE), 0);
  for (int mapped = 0; mapped < 2; mapped++)
    for (int i = 0; i < 6; i++) {
      if (mapped)
        look_at_all(file, SIZE);
      park(file);
      uses[i](file);
      look_at_all(file, SIZE);
    }
  conf_close(file);
}

/* A fault is explained although its mapfile was parked since. */
static void explain_parked(void) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 4, 2, MAPFILE_ANY);
  conf_touch touch = {one.data + one.bad, 0, 0};
  EXPECT_STATUS(mapfile_try(one.file, &one.view, conf_touch_body, &touch, &fault), MAPFILE_UNKNOWN);
  conf_unpin(&one.view);
  park(one.file);
  EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_TRUNCATED);
  conf_close(one.file);
}

static uint64_t parks_told;

static void MAPFILE_CALL hear_of_parks(void *argument, const mapfile_event *event) {
  (void)argument;
  if (event->kind == MAPFILE_EVENT_PARK)
    parks_told++;
}

static void count_parks(void) {
  mapfile_set_trace(hear_of_parks, NULL);
  const char *path = conf_make("file", SIZE);
  uint64_t before = conf_stats(NULL).parks;
  mapfile *file = open_idle(path, MAPFILE_IDLE_NEVER);
  look_at_all(file, SIZE);
  park(file);
  uint64_t parks = conf_stats(file).parks;
  EXPECT(parks == 1 || (conf_access == MAPFILE_ACCESS_COPIED && !conf_parking_closes));
  /* Parked already: nothing happens. */
  park(file);
  EXPECT_UINT(conf_stats(file).parks, parks);
  EXPECT_UINT(conf_stats(NULL).parks, before + parks);
  EXPECT_UINT(parks_told, parks);
  mapfile_set_trace(NULL, NULL);
  conf_close(file);
}

/* What parking lets go of: the maps, and the handle where it keeps others from the file. */
static void lets_go(void) {
  const char *path = conf_make("file", SIZE);
  mapfile *file = open_idle(path, MAPFILE_IDLE_NEVER);
  look_at_all(file, SIZE);
  uint64_t open = conf_descriptors();
  park(file);
  EXPECT_UINT(conf_descriptors(), conf_parking_closes ? open - 1 : open);
  look_at_all(file, SIZE);
  EXPECT_UINT(conf_descriptors(), open);
  park(file);
  conf_close(file);
  EXPECT_UINT(conf_descriptors(), open - 1);
}

/* The bytes of the old file, where it was kept; else STALE, and everything that needs no file works. */
static void expect_old_or_stale(mapfile *file, mapfile_status status) {
  uint64_t size;
  mapfile_view view = MAPFILE_VIEW_INIT;
  EXPECT_STATUS(status, conf_parking_closes ? MAPFILE_STALE : MAPFILE_OK);
  if (!conf_parking_closes) {
    look_at_all(file, SIZE);
    return;
  }
  EXPECT_STATUS(mapfile_pin(file, 0, 1, MAPFILE_ANY, &view), MAPFILE_STALE);
  EXPECT_STATUS(mapfile_pin(file, 0, 1, MAPFILE_COPY, &view), MAPFILE_STALE);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_STALE);
  EXPECT(view.kind == MAPFILE_KIND_NONE);
  EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  EXPECT_UINT(size, SIZE);
  EXPECT_UINT(conf_stats(file).pinned_views, 0);
  EXPECT_STATUS(mapfile_park(file), MAPFILE_OK);
}

static void replaced_while_parked(void) {
  unsigned char byte;
  const char *path = conf_make("file", SIZE);
  mapfile *file = conf_open(path, 0);
  look_at_all(file, SIZE);
  park(file);
  EXPECT(conf_elsewhere(CONF_REPLACE, conf_path("kept"), path, 0));
  expect_old_or_stale(file, mapfile_read(file, 0, &byte, 1, NULL));
  EXPECT(conf_elsewhere(CONF_REPLACE, path, make_other("other"), 0));
  expect_old_or_stale(file, mapfile_read(file, 0, &byte, 1, NULL));
  /* The right file under the name again. */
  EXPECT(conf_elsewhere(CONF_REPLACE, path, conf_path("kept"), 0));
  look_at_all(file, SIZE);
  conf_close(file);
}

static void removed_while_parked(void) {
  unsigned char byte;
  const char *path = conf_make("file", SIZE);
  mapfile *file = conf_open(path, 0);
  look_at_all(file, SIZE);
  park(file);
  EXPECT(conf_elsewhere(CONF_REMOVE, path, NULL, 0));
  expect_old_or_stale(file, mapfile_read(file, 0, &byte, 1, NULL));
  /* A new file of that name, perhaps with the number of the old one, is another file all the same. Under Wine, where
     files have no time of creation, the number is all there is: there other files take it first. */
  for (unsigned i = 0; conf_parking_closes && i < 32; i++) {
    char name[32];
    snprintf(name, sizeof name, "between-%u", i);
    conf_make(name, 1);
  }
  conf_make("file", SIZE);
  expect_old_or_stale(file, mapfile_read(file, 0, &byte, 1, NULL));
  conf_close(file);
}

static void cut_while_parked(void) {
  unsigned char byte;
  const char *path = conf_make("file", SIZE);
  uint64_t left = 3 * conf_page;
  mapfile *file = conf_open(path, 0);
  look_at_all(file, SIZE);
  park(file);
  EXPECT(conf_elsewhere(CONF_CUT, path, NULL, left));
  EXPECT_STATUS(mapfile_read(file, left, &byte, 1, NULL), MAPFILE_TRUNCATED);
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_status status = mapfile_pin(file, left, conf_page, MAPFILE_ANY, &view);
  /* A map may have been made; then touching it is the fault. */
  EXPECT_ONE_OF(status, MAPFILE_OK, MAPFILE_TRUNCATED);
  if (status == MAPFILE_OK) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    conf_touch touch = {view.data, 0, 0};
    EXPECT(view.kind == MAPFILE_KIND_LIVE);
    EXPECT_STATUS(mapfile_try(file, &view, conf_touch_body, &touch, &fault), MAPFILE_UNKNOWN);
    EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_TRUNCATED);
    conf_unpin(&view);
  }
  /* What is still there can be had. */
  conf_pin(file, 0, left, MAPFILE_ANY, &view);
  EXPECT(conf_is_pattern(view.data, view.length, 0));
  conf_unpin(&view);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_TRUNCATED);
  look_at_all(file, left);
  conf_close(file);
}

/* Another process needs nothing but a parked mapfile to do what it likes with the file. */
static void others_may(void) {
  static const conf_deed deeds[] = {CONF_CUT, CONF_EMPTY, CONF_REPLACE, CONF_REMOVE};
  for (int i = 0; i < 4; i++) {
    unsigned char byte;
    const char *path = conf_make("file", SIZE), *other = make_other("other");
    mapfile *file = conf_open(path, 0);
    look_at_all(file, SIZE);
    bool early = conf_elsewhere(deeds[i], path, other, conf_page);
    if (!conf_parking_closes)
      EXPECT(early);
    if (!early) {
      EXPECT_UINT(conf_file_size(path), SIZE);
      look_at_all(file, SIZE);
      park(file);
      EXPECT(conf_elsewhere(deeds[i], path, other, conf_page));
      EXPECT_ONE_OF(mapfile_read(file, SIZE - 1, &byte, 1, NULL), MAPFILE_TRUNCATED, MAPFILE_STALE);
    }
    conf_close(file);
  }
}

/* The folder is the one that was the current one when the file was opened. */
static void relative_path(void) {
  conf_make("file", SIZE);
  const char *folder = conf_path("folder");
  conf_make_folder(folder);
  conf_enter_folder(conf_path(""));
  mapfile *file = conf_open("file", 0);
  conf_enter_folder(folder);
  park(file);
  look_at_all(file, SIZE);
  conf_enter_folder(conf_path(""));
  conf_close(file);
}

/* What cannot be opened again is not closed: UNSUPPORTED where that would be needed. */
static void given_handle(void) {
  const char *path = conf_make("file", SIZE);
  for (int adopt = 0; adopt < 2; adopt++) {
    mapfile_options options = MAPFILE_OPTIONS_INIT;
    mapfile *file = NULL;
    options.access = conf_access;
    options.flags = adopt ? MAPFILE_ADOPT : 0;
    intptr_t handle = conf_handle_open(path, CONF_READ);
    EXPECT_STATUS(mapfile_open_handle(handle, &options, &file), MAPFILE_OK);
    look_at_all(file, SIZE);
    EXPECT_STATUS(mapfile_park(file), conf_parking_closes ? MAPFILE_UNSUPPORTED : MAPFILE_OK);
    look_at_all(file, SIZE);
    conf_close(file);
    if (!adopt)
      conf_handle_close(handle);
  }
}

typedef struct parker {
  mapfile *file;
  uint64_t seed;
  int rounds;
} parker;

/* Whatever others do, what is pinned stays and what is read is right. */
static void park_and_use(void *argument) {
  parker *work = argument;
  for (int i = 0; i < work->rounds; i++) {
    unsigned char bytes[300];
    mapfile_view view = MAPFILE_VIEW_INIT;
    uint64_t at = conf_random(&work->seed) % (SIZE - sizeof bytes);
    switch (conf_random(&work->seed) % 4) {
    case 0:
      EXPECT_ONE_OF(mapfile_park(work->file), MAPFILE_OK, MAPFILE_BUSY);
      break;
    case 1:
      EXPECT_STATUS(mapfile_read(work->file, at, bytes, sizeof bytes, NULL), MAPFILE_OK);
      EXPECT(conf_is_pattern(bytes, sizeof bytes, at));
      break;
    default:
      conf_pin(work->file, at, sizeof bytes, i % 5 == 0 ? MAPFILE_COPY : MAPFILE_ANY, &view);
      EXPECT(conf_is_pattern(view.data, view.length, at));
      conf_unpin(&view);
    }
  }
}

static void run_threads(mapfile *file) {
  conf_thread threads[4];
  parker work[4];
  for (unsigned i = 0; i < 4; i++) {
    work[i] = (parker){file, 31 + i, conf_instrument() != NULL ? 1000 : conf_rounds(10000)};
    conf_thread_start(&threads[i], park_and_use, &work[i], 0);
  }
  for (unsigned i = 0; i < 4; i++)
    conf_thread_join(&threads[i]);
  EXPECT_UINT(conf_stats(file).pinned_views, 0);
  park(file);
}

static void park_in_threads(void) {
  mapfile *file = conf_open(conf_make("file", SIZE), 0);
  run_threads(file);
  conf_close(file);
}

/*
 * idle-release
 */

enum { IDLE_MS = 60 };

/* Long enough for the busiest machine: only a thread that never comes fails here. */
enum { PATIENCE_MS = 30000 };

static void do_nothing(void *argument) {
  (void)argument;
}

/* Before the first of our own: some tools start one beside the first thread there is. */
static uint64_t threads_at_first(void) {
  conf_thread thread;
  conf_thread_start(&thread, do_nothing, NULL, 0);
  conf_thread_join(&thread);
  conf_sleep_ms(1);
  return conf_threads();
}

static bool is_released(mapfile *file, uint64_t parks) {
  mapfile_statistics now = conf_stats(file);
  return now.maps == 0 && (now.parks > parks || (conf_access == MAPFILE_ACCESS_COPIED && !conf_parking_closes));
}

static void wait_for_release(mapfile *file, uint64_t parks) {
  for (uint64_t began = conf_clock_ms(); !is_released(file, parks); conf_sleep_ms(1))
    if (conf_clock_ms() - began > PATIENCE_MS)
      conf_broken(__FILE__, __LINE__, "an idle mapfile was not parked");
}

static void idle_parks(void) {
  mapfile *file = open_idle(conf_make("file", SIZE), IDLE_MS);
  for (int i = 0; i < 3; i++) {
    uint64_t parks = conf_stats(file).parks;
    look_at_all(file, SIZE);
    wait_for_release(file, parks);
  }
  look_at_all(file, SIZE);
  conf_close(file);
}

/* Never while a view is pinned, and not before its time has passed. */
static void idle_not_early(void) {
  mapfile *file = open_idle(conf_make("file", SIZE), IDLE_MS);
  mapfile_view view = MAPFILE_VIEW_INIT;
  for (int i = 0; i < 5; i++) {
    conf_pin(file, 0, 1, conf_live(), &view);
    uint64_t parks = conf_stats(file).parks;
    conf_sleep_ms(3 * IDLE_MS);
    EXPECT_UINT(conf_stats(file).parks, parks);
    EXPECT(conf_is_pattern(view.data, 1, 0));
    conf_unpin(&view);
    uint64_t used = conf_clock_ms();
    while (!is_released(file, parks) && conf_clock_ms() - used < PATIENCE_MS)
      conf_sleep_ms(1);
    /* The clock's steps. */
    EXPECT(conf_clock_ms() + 2 - used >= IDLE_MS || conf_access == MAPFILE_ACCESS_COPIED);
  }
  conf_close(file);
}

/* In use now and then, each time before it is due. */
static void idle_in_use(void) {
  unsigned char byte;
  mapfile *file = open_idle(conf_make("file", SIZE), 10 * IDLE_MS);
  look_at_all(file, SIZE);
  uint64_t parks = conf_stats(file).parks, began = conf_clock_ms(), last = began, longest = 0;
  while (conf_clock_ms() - began < 30 * IDLE_MS) {
    mapfile_view view = MAPFILE_VIEW_INIT;
    conf_pin(file, 0, 1, MAPFILE_ANY, &view);
    conf_unpin(&view);
    EXPECT_STATUS(mapfile_read(file, 0, &byte, 1, NULL), MAPFILE_OK);
    uint64_t now = conf_clock_ms();
    longest = now - last > longest ? now - last : longest;
    last = now;
    conf_sleep_ms(IDLE_MS);
  }
  if (longest + 2 < 10 * IDLE_MS)
    EXPECT_UINT(conf_stats(file).parks, parks);
  conf_close(file);
}

/* One that has nothing more to do may need a while to be gone. */
static void wait_for_threads(uint64_t wanted) {
  EXPECT(conf_threads() >= wanted);
  for (uint64_t began = conf_clock_ms(); conf_threads() > wanted; conf_sleep_ms(1))
    if (conf_clock_ms() - began > PATIENCE_MS)
      conf_broken(__FILE__, __LINE__, "a thread is left that nobody needs");
}

static void idle_thread_ends(void) {
  const char *path = conf_make("file", SIZE);
  uint64_t before = threads_at_first();
  if (before == UINT64_MAX)
    conf_not_testable("the system does not tell how many threads there are");
  mapfile *never = open_idle(path, MAPFILE_IDLE_NEVER);
  look_at_all(never, SIZE);
  EXPECT_UINT(conf_threads(), before);
  for (int i = 0; i < 20; i++) {
    mapfile *one = open_idle(path, 10 * PATIENCE_MS), *other = open_idle(path, IDLE_MS);
    wait_for_threads(before + 1);
    look_at_all(one, SIZE);
    look_at_all(other, SIZE);
    conf_close(one);
    wait_for_threads(before + 1);
    conf_close(other);
    if (i % 2 == 0)
      wait_for_threads(before);
  }
  wait_for_threads(before);
  EXPECT_UINT(conf_stats(never).parks, 0);
  conf_close(never);
}

/* The longest times there are, and none of them ends at once. */
static void idle_long_times(void) {
  static const uint32_t times[] = {1, 9, 10, INT32_MAX, UINT32_MAX - 1};
  const char *path = conf_make("file", SIZE);
  for (int i = 0; i < 5; i++) {
    mapfile *file = open_idle(path, times[i]);
    look_at_all(file, SIZE);
    if (times[i] < IDLE_MS)
      wait_for_release(file, 0);
    else
      conf_sleep_ms(IDLE_MS);
    if (times[i] > PATIENCE_MS)
      EXPECT_UINT(conf_stats(file).parks, 0);
    conf_close(file);
  }
}

static void use_idle_in_child(void *argument) {
  mapfile *file = argument;
  /* An emulator may have threads of its own. */
  uint64_t parks = conf_stats(file).parks, threads = conf_emulated() ? conf_threads() : 1;
  look_at_all(file, SIZE);
  wait_for_release(file, parks);
  mapfile *other = open_idle(conf_path("file"), IDLE_MS);
  conf_close(file);
  look_at_all(other, SIZE);
  wait_for_release(other, 0);
  conf_close(other);
  wait_for_threads(threads);
}

/* The thread does not exist in a child; one is started there when it is needed. */
static void idle_forks(void) {
  if (conf_under("ThreadSanitizer"))
    conf_not_testable("ThreadSanitizer allows no new threads in a child");
  mapfile *file = open_idle(conf_make("file", SIZE), IDLE_MS);
  /* Once, so that the thread has begun: while one does, some tools hold locks that no child finds free again. */
  look_at_all(file, SIZE);
  wait_for_release(file, 0);
  conf_child(use_idle_in_child, file);
  look_at_all(file, SIZE);
  conf_child(use_idle_in_child, file);
  conf_close(file);
}

static void idle_others_may(void) {
  static const conf_deed deeds[] = {CONF_CUT, CONF_EMPTY, CONF_REPLACE, CONF_REMOVE};
  for (int i = 0; i < 4; i++) {
    unsigned char byte;
    const char *path = conf_make("file", SIZE), *other = make_other("other");
    mapfile *file = open_idle(path, IDLE_MS);
    look_at_all(file, SIZE);
    wait_for_release(file, 0);
    EXPECT(conf_elsewhere(deeds[i], path, other, conf_page));
    bool kept = !conf_parking_closes && deeds[i] != CONF_CUT && deeds[i] != CONF_EMPTY;
    if (kept)
      look_at_all(file, SIZE);
    else
      EXPECT_ONE_OF(mapfile_read(file, SIZE - 1, &byte, 1, NULL), MAPFILE_TRUNCATED, MAPFILE_STALE);
    conf_close(file);
  }
}

/* Opened, used and closed by many threads while the library's own looks at all of them. */
static void open_idle_files(void *argument) {
  parker *work = argument;
  for (int i = 0; i < work->rounds; i++) {
    mapfile *file = open_idle(conf_path("file"), 1 + (uint32_t)(conf_random(&work->seed) % 3));
    for (int j = 0; j < 3; j++) {
      look_at_all(file, SIZE);
      if (conf_random(&work->seed) % 4 == 0)
        conf_sleep_ms(3);
    }
    conf_close(file);
  }
}

static void idle_in_threads(void) {
  const char *path = conf_make("file", SIZE);
  uint64_t before = threads_at_first();
  mapfile *file = open_idle(path, 1);
  run_threads(file);
  conf_close(file);
  /* conf_path is not for threads that run side by side. */
  parker work = {NULL, 5, conf_instrument() != NULL ? 20 : conf_rounds(200)};
  conf_thread thread;
  mapfile *other = open_idle(path, 2);
  conf_thread_start(&thread, open_idle_files, &work, 0);
  for (int i = conf_rounds(200); i > 0; i--) {
    look_at_all(other, SIZE);
    conf_sleep_ms(i % 4 == 0 ? 3 : 0);
  }
  conf_thread_join(&thread);
  conf_close(other);
  if (before != UINT64_MAX)
    wait_for_threads(before);
}

/*
 * remove-mapped and rename-mapped
 */

static void expect_gone(const char *path) {
  mapfile *file = NULL;
  EXPECT_STATUS(mapfile_open(path, NULL, &file), MAPFILE_NOT_FOUND);
}

/* The file at path holds the pattern. */
static void expect_file(const char *path, uint64_t size) {
  mapfile *file = conf_open(path, 0);
  look_at_all(file, size);
  conf_close(file);
}

/* What a mapfile still gives after its file has lost its name: all, unless it had to be parked for that. */
static void expect_usable(mapfile *file, uint64_t size) {
  unsigned char byte;
  mapfile_status status = mapfile_read(file, 9, &byte, 1, NULL);
  if (conf_parking_closes && status == MAPFILE_STALE)
    return;
  EXPECT_STATUS(status, MAPFILE_OK);
  look_at_all(file, size);
}

static void remove_idle(void) {
  const char *path = conf_make("file", SIZE);
  mapfile *file = conf_open(path, 0), *writer = conf_open(path, MAPFILE_WRITE);
  look_at_all(file, SIZE);
  look_at_all(writer, SIZE);
  EXPECT_STATUS(mapfile_remove(path), MAPFILE_OK);
  expect_gone(path);
  expect_usable(file, SIZE);
  expect_usable(writer, SIZE);
  conf_make("file", conf_page);
  expect_file(path, conf_page);
  conf_close(file);
  conf_close(writer);
}

static void remove_pinned(void) {
  static const uint32_t flags[] = {MAPFILE_ANY, MAPFILE_COPY, MAPFILE_PRIVATE};
  const char *path = NULL;
  for (int i = 0; i < 3; i++) {
    path = conf_make("file", SIZE);
    mapfile *file = conf_open(path, 0);
    mapfile_view view = MAPFILE_VIEW_INIT;
    conf_pin(file, 0, MAPFILE_TO_END, flags[i], &view);
    mapfile_status status = mapfile_remove(path);
    EXPECT(status == MAPFILE_OK || (status == MAPFILE_BUSY && conf_parking_closes));
    EXPECT(conf_is_pattern(view.data, view.length, 0));
    EXPECT_UINT(conf_stats(file).pinned_views, 1);
    if (status == MAPFILE_OK)
      expect_gone(path);
    else
      expect_file(path, SIZE);
    conf_unpin(&view);
    conf_close(file);
    if (status == MAPFILE_BUSY)
      EXPECT_STATUS(mapfile_remove(path), MAPFILE_OK);
    expect_gone(path);
  }
}

static void remove_held_elsewhere(void) {
  conf_holder holder;
  const char *path = conf_make("file", SIZE);
  conf_holder_start(&holder, path);
  mapfile_status status = mapfile_remove(path);
  EXPECT(status == MAPFILE_OK || (status == MAPFILE_BUSY && conf_parking_closes));
  if (status == MAPFILE_OK)
    expect_gone(path);
  else
    expect_file(path, SIZE);
  conf_holder_end(&holder);
  if (status == MAPFILE_BUSY)
    EXPECT_STATUS(mapfile_remove(path), MAPFILE_OK);
  expect_gone(path);
}

static void remove_bad_names(void) {
  conf_make_folder(conf_path("folder"));
  EXPECT_STATUS(mapfile_remove(NULL), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_remove(""), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_remove(conf_path("absent")), MAPFILE_NOT_FOUND);
  EXPECT_STATUS(mapfile_remove(conf_path("absent/file")), MAPFILE_NOT_FOUND);
  EXPECT_STATUS(mapfile_remove(conf_path("folder")), MAPFILE_UNSUPPORTED);
}

/* The mapfiles of the file that is replaced, and of the one that replaces it. */
static void rename_idle(void) {
  const char *from = conf_make("new", conf_page), *to = conf_make("file", SIZE);
  mapfile *replaced = conf_open(to, 0), *replacing = conf_open(from, 0);
  look_at_all(replaced, SIZE);
  look_at_all(replacing, conf_page);
  EXPECT_STATUS(mapfile_rename(from, to), MAPFILE_OK);
  expect_gone(from);
  expect_file(to, conf_page);
  expect_usable(replaced, SIZE);
  expect_usable(replacing, conf_page);
  conf_close(replaced);
  conf_close(replacing);
}

static void rename_pinned(void) {
  for (int target = 0; target < 2; target++) {
    const char *from = conf_make("new", SIZE), *to = conf_make("file", 2 * SIZE);
    mapfile *file = conf_open(target ? to : from, 0);
    mapfile_view view = MAPFILE_VIEW_INIT;
    conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
    mapfile_status status = mapfile_rename(from, to);
    EXPECT(status == MAPFILE_OK || (status == MAPFILE_BUSY && conf_parking_closes));
    EXPECT(conf_is_pattern(view.data, view.length, 0));
    if (status == MAPFILE_OK)
      expect_gone(from);
    else
      expect_file(from, SIZE);
    expect_file(to, status == MAPFILE_OK ? SIZE : 2 * SIZE);
    conf_unpin(&view);
    conf_close(file);
  }
}

static void rename_held_elsewhere(void) {
  conf_holder holder;
  const char *from = conf_make("new", SIZE), *to = conf_make("file", 2 * SIZE);
  conf_holder_start(&holder, to);
  mapfile_status status = mapfile_rename(from, to);
  EXPECT(status == MAPFILE_OK || (status == MAPFILE_BUSY && conf_parking_closes));
  expect_file(to, status == MAPFILE_OK ? SIZE : 2 * SIZE);
  conf_holder_end(&holder);
  if (status == MAPFILE_BUSY)
    EXPECT_STATUS(mapfile_rename(from, to), MAPFILE_OK);
  expect_gone(from);
  expect_file(to, SIZE);
}

static void rename_bad_names(void) {
  const char *path = conf_make("file", SIZE), *folder = conf_path("folder");
  conf_make_folder(folder);
  EXPECT_STATUS(mapfile_rename(NULL, path), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_rename(path, NULL), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_rename("", path), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_rename(path, ""), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_rename(conf_path("absent"), path), MAPFILE_NOT_FOUND);
  EXPECT_STATUS(mapfile_rename(path, conf_path("absent/file")), MAPFILE_NOT_FOUND);
  EXPECT_STATUS(mapfile_rename(path, folder), MAPFILE_UNSUPPORTED);
  EXPECT_STATUS(mapfile_rename(folder, path), MAPFILE_UNSUPPORTED);
  EXPECT_STATUS(mapfile_rename(folder, conf_path("other")), MAPFILE_UNSUPPORTED);
  expect_file(path, SIZE);
  /* To itself: nothing happens to it. */
  EXPECT_STATUS(mapfile_rename(path, path), MAPFILE_OK);
  expect_file(path, SIZE);
}

/*
 * grow-live
 */

static void expect_size(mapfile *file, const char *path, uint64_t wanted) {
  uint64_t size;
  EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  EXPECT_UINT(size, wanted);
  EXPECT_UINT(conf_file_size(path), wanted);
  /* It is not a change by someone else. */
  EXPECT_STATUS(mapfile_check(file), MAPFILE_OK);
}

static void expect_zeros(mapfile *file, uint64_t from, uint64_t to) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, from, to - from, MAPFILE_ANY, &view);
  EXPECT(conf_is_zero(view.data, view.length));
  conf_unpin(&view);
}

static void grow_pinned(void) {
  static const uint32_t flags[] = {MAPFILE_ANY, MAPFILE_COPY, MAPFILE_PRIVATE, MAPFILE_ZERO_FILL};
  mapfile_view views[4];
  const char *path = conf_make("file", SIZE + 5);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  for (int i = 0; i < 4; i++) {
    mapfile_view fresh = MAPFILE_VIEW_INIT;
    views[i] = fresh;
    conf_pin(file, 3, SIZE + 2, flags[i], &views[i]);
  }
  /* By a little, and by far more than any map has room for. */
  static const uint64_t more[] = {0, 1, 4096, 100000, 50u << 20};
  uint64_t size = SIZE + 5;
  for (int i = 0; i < 5; i++) {
    size += more[i];
    EXPECT_STATUS(mapfile_resize(file, size, 0), MAPFILE_OK);
    expect_size(file, path, size);
    for (int j = 0; j < 4; j++)
      EXPECT(conf_is_pattern(views[j].data, views[j].length, 3));
    expect_zeros(file, SIZE + 5, size);
  }
  for (int i = 0; i < 4; i++)
    conf_unpin(&views[i]);
  conf_close(file);
}

static mapfile_status MAPFILE_CALL grow_inside(void *argument, const void *data, size_t length, uint64_t offset) {
  mapfile *file = argument;
  uint64_t size;
  EXPECT(conf_is_pattern(data, length, offset));
  EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  EXPECT_STATUS(mapfile_resize(file, size + conf_page + 1, 0), MAPFILE_OK);
  return MAPFILE_OK;
}

static void grow_in_scan(void) {
  const char *path = conf_make("file", SIZE);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  uint64_t done;
  for (uint32_t flags = 0; flags <= MAPFILE_SCAN_COPY; flags += MAPFILE_SCAN_COPY) {
    EXPECT_STATUS(mapfile_scan(file, 0, SIZE, conf_page, flags, grow_inside, file, &done), MAPFILE_OK);
    EXPECT_UINT(done, SIZE);
  }
  expect_size(file, path, SIZE + 16 * (conf_page + 1));
  conf_close(file);
}

static void grow_and_store(void) {
  const char *path = conf_make("file", conf_page);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  mapfile_view view = MAPFILE_VIEW_INIT;
  unsigned char byte;
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_SHARED, &view);
  EXPECT_STATUS(mapfile_resize(file, SIZE, 0), MAPFILE_OK);
  conf_store(view.data, 0x5a);
  conf_unpin(&view);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_SHARED, &view);
  EXPECT_UINT(view.length, SIZE);
  conf_store((unsigned char *)view.data + SIZE - 1, 0x77);
  conf_unpin(&view);
  EXPECT_STATUS(mapfile_read(file, 0, &byte, 1, NULL), MAPFILE_OK);
  EXPECT_UINT(byte, 0x5a);
  EXPECT_STATUS(mapfile_read(file, SIZE - 1, &byte, 1, NULL), MAPFILE_OK);
  EXPECT_UINT(byte, 0x77);
  conf_close(file);
}

static void grow_reserving(void) {
  const char *path = conf_make_sparse("file", SIZE);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  mapfile_status status = mapfile_resize(file, 3 * SIZE, MAPFILE_RESIZE_ALLOCATE);
  if (status == MAPFILE_UNSUPPORTED) {
    expect_size(file, path, SIZE);
    conf_close(file);
    conf_differs("this file system cannot reserve space");
  }
  EXPECT_STATUS(status, MAPFILE_OK);
  expect_size(file, path, 3 * SIZE);
  expect_zeros(file, 0, 3 * SIZE);
  EXPECT_STATUS(mapfile_resize(file, 10, MAPFILE_RESIZE_ALLOCATE), MAPFILE_OK);
  EXPECT_STATUS(mapfile_resize(file, 0, MAPFILE_RESIZE_ALLOCATE), MAPFILE_OK);
  expect_size(file, path, 0);
  conf_close(file);
}

static void resize_parked(void) {
  const char *path = conf_make("file", SIZE);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  look_at_all(file, SIZE);
  park(file);
  EXPECT_STATUS(mapfile_resize(file, 2 * SIZE, 0), MAPFILE_OK);
  expect_size(file, path, 2 * SIZE);
  park(file);
  EXPECT_STATUS(mapfile_resize(file, 3, 0), MAPFILE_OK);
  expect_size(file, path, 3);
  conf_close(file);
}

/*
 * shrink-pinned
 */

static void shrink_pinned(void) {
  static const uint32_t flags[] = {MAPFILE_LIVE, MAPFILE_PRIVATE, MAPFILE_ZERO_FILL, MAPFILE_SHARED};
  const char *path = conf_make("file", SIZE);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  for (int i = 0; i < 4; i++) {
    mapfile_view view = MAPFILE_VIEW_INIT;
    conf_pin(file, SIZE - conf_page, conf_page, flags[i], &view);
    if (view.kind == MAPFILE_KIND_COPIED) {
      conf_unpin(&view);
      continue;
    }
    EXPECT_STATUS(mapfile_resize(file, SIZE - 1, 0), MAPFILE_BUSY);
    EXPECT_STATUS(mapfile_resize(file, 0, 0), MAPFILE_BUSY);
    EXPECT_UINT(mapfile_native_error(), 0);
    expect_size(file, path, SIZE);
    EXPECT(conf_is_pattern(view.data, view.length, view.offset));
    look_at_all(file, SIZE);
    /* Not shorter. */
    EXPECT_STATUS(mapfile_resize(file, SIZE, 0), MAPFILE_OK);
    conf_unpin(&view);
  }
  EXPECT_STATUS(mapfile_resize(file, SIZE - 1, 0), MAPFILE_OK);
  expect_size(file, path, SIZE - 1);
  look_at_all(file, SIZE - 1);
  conf_close(file);
}

/* Copied views keep their bytes; idle maps are in nobody's way. */
static void shrink_idle(void) {
  mapfile_view copy = MAPFILE_VIEW_INIT, view = MAPFILE_VIEW_INIT;
  const char *path = conf_make("file", SIZE);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  look_at_all(file, SIZE);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_COPY, &copy);
  for (uint64_t size = SIZE - 7; size > conf_page; size -= conf_page + 13) {
    EXPECT_STATUS(mapfile_resize(file, size, 0), MAPFILE_OK);
    expect_size(file, path, size);
    look_at_all(file, size);
    EXPECT_STATUS(mapfile_pin(file, size, 1, MAPFILE_ANY, &view), MAPFILE_END);
    EXPECT_STATUS(mapfile_pin(file, 0, size + 1, MAPFILE_COPY, &view), MAPFILE_END);
  }
  EXPECT(conf_is_pattern(copy.data, copy.length, 0));
  /* What is cut off is gone: it reads as zeros when the file grows again. */
  EXPECT_STATUS(mapfile_resize(file, 100, 0), MAPFILE_OK);
  EXPECT_STATUS(mapfile_resize(file, SIZE, 0), MAPFILE_OK);
  expect_zeros(file, 100, SIZE);
  EXPECT_STATUS(mapfile_resize(file, 0, 0), MAPFILE_OK);
  expect_size(file, path, 0);
  conf_unpin(&copy);
  conf_close(file);
}

static void resize_misused(void) {
  const char *path = conf_make("file", SIZE);
  mapfile *file = conf_open(path, 0), *writer = conf_open(path, MAPFILE_WRITE);
  EXPECT_STATUS(mapfile_resize(NULL, 1, 0), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_resize(writer, 1, 2), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_resize(writer, 1, UINT32_MAX), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_resize(file, 1, 0), MAPFILE_DENIED);
  EXPECT_STATUS(mapfile_resize(file, 10 * SIZE, MAPFILE_RESIZE_ALLOCATE), MAPFILE_DENIED);
  EXPECT_STATUS(mapfile_resize(writer, UINT64_MAX, 0), MAPFILE_LIMIT);
  EXPECT_STATUS(mapfile_resize(writer, UINT64_MAX / 2 + 1, MAPFILE_RESIZE_ALLOCATE), MAPFILE_LIMIT);
  expect_size(file, path, SIZE);
  /* Some file systems have room for anything that holds nothing. */
  EXPECT_ONE_OF(mapfile_resize(writer, INT64_MAX, 0), MAPFILE_LIMIT, MAPFILE_NO_SPACE, MAPFILE_OK);
  EXPECT_STATUS(mapfile_resize(writer, SIZE, 0), MAPFILE_OK);
  expect_size(writer, path, SIZE);
  conf_close(file);
  conf_close(writer);
}

static void park_misused(void) {
  EXPECT_STATUS(mapfile_park(NULL), MAPFILE_INVALID);
}

static void shares(void) {
  mapfile *file = NULL;
  const uint32_t all = MAPFILE_SHARE_READ | MAPFILE_SHARE_WRITE | MAPFILE_SHARE_DELETE;
  const char *path = conf_make("file", SIZE);
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  options.access = conf_access;
  options.share = all;
  EXPECT_STATUS(mapfile_open(path, &options, &file), MAPFILE_OK);
  look_at_all(file, SIZE);
  conf_close(file);
  options.share = MAPFILE_SHARE_NONE | MAPFILE_SHARE_READ;
  EXPECT_STATUS(mapfile_open(path, &options, &file), MAPFILE_INVALID);
  options.share = 1u << 4;
  EXPECT_STATUS(mapfile_open(path, &options, &file), MAPFILE_UNSUPPORTED);
  static const uint32_t some[] = {MAPFILE_SHARE_NONE, MAPFILE_SHARE_READ, MAPFILE_SHARE_READ | MAPFILE_SHARE_WRITE};
  for (int i = 0; i < 3; i++) {
    options.share = some[i];
    mapfile_status status = mapfile_open(path, &options, &file);
    EXPECT_STATUS(status, conf_parking_closes ? MAPFILE_OK : MAPFILE_UNSUPPORTED);
    if (status != MAPFILE_OK)
      continue;
    look_at_all(file, SIZE);
    EXPECT(!conf_elsewhere(CONF_REMOVE, path, NULL, 0));
    conf_close(file);
  }
  options.share = all;
  intptr_t handle = conf_handle_open(path, CONF_READ);
  EXPECT_STATUS(mapfile_open_handle(handle, &options, &file), MAPFILE_INVALID);
  conf_handle_close(handle);
}

#define N CONF_NO_FAULTS

static const conf_case table[] = {
    {"park-release", "pinned", "What is pinned can lose its map.", CONF_ANY, N, park_pinned},
    {"park-release", "scope", "A zero-fill scope can lose its map.", CONF_ANY, N, park_in_scope},
    {"park-release", "use", "A parked file cannot be used again.", CONF_ANY, N, use_parked},
    CONF_BOTH("park-release", "explain", "A fault cannot be explained after parking.", explain_parked),
    {"park-release", "count", "Parking is not counted as it is.", CONF_ANY, N, count_parks},
    {"park-release", "lets-go", "A parked file still keeps others from it.", CONF_ANY, N, lets_go},
    {"park-release", "replaced", "A parked file comes back as another one.", CONF_ANY, N, replaced_while_parked},
    {"park-release", "removed", "A parked file comes back as another one.", CONF_ANY, N, removed_while_parked},
    {"park-release", "cut", "Bytes that are gone are not noticed.", CONF_ANY, N, cut_while_parked},
    {"park-release", "others-may", "Others cannot change a parked file.", CONF_ANY, N, others_may},
    {"park-release", "relative-path", "A parked file is looked for in the wrong folder.", CONF_ANY, N, relative_path},
    {"park-release", "given-handle", "A handle of the program's is closed.", CONF_ANY, N, given_handle},
    {"park-release", "threads", "Parking disturbs other threads.", CONF_ANY, N, park_in_threads},
    {"park-release", "input", "A mistake in a call can crash the program.", CONF_ONCE, N, park_misused},
    {"idle-release", "parks", "Idle files stay locked.", CONF_ANY, N, idle_parks},
    {"idle-release", "not-early", "Files in use are given up.", CONF_ANY, N, idle_not_early},
    {"idle-release", "in-use", "Files in use are given up.", CONF_ANY, N, idle_in_use},
    {"idle-release", "thread-ends", "A thread of the library's is left behind.", CONF_ANY, N, idle_thread_ends},
    {"idle-release", "long-times", "An idle time is taken for another.", CONF_ANY, N, idle_long_times},
    {"idle-release", "fork", "Idle files stay mapped in a child.", CONF_MAPPED | CONF_FORKS, N, idle_forks},
    {"idle-release", "others-may", "Others cannot change an idle file.", CONF_ANY, N, idle_others_may},
    {"idle-release", "threads", "Parking idle files disturbs other threads.", CONF_ANY, N, idle_in_threads},
    {"remove-mapped", "idle", "A file that was mapped cannot be removed.", CONF_ANY, N, remove_idle},
    {"remove-mapped", "pinned", "Removing a file breaks what is pinned.", CONF_ANY, N, remove_pinned},
    {"remove-mapped", "held-elsewhere", "Removing a file in use leaves a mess.", CONF_ONCE, N, remove_held_elsewhere},
    {"remove-mapped", "input", "A mistake in a call can crash the program.", CONF_ONCE, N, remove_bad_names},
    {"rename-mapped", "idle", "A file that was mapped cannot be replaced.", CONF_ANY, N, rename_idle},
    {"rename-mapped", "pinned", "Replacing a file breaks what is pinned.", CONF_ANY, N, rename_pinned},
    {"rename-mapped", "held-elsewhere", "Replacing a file in use leaves a mess.", CONF_ONCE, N, rename_held_elsewhere},
    {"rename-mapped", "input", "A mistake in a call can crash the program.", CONF_ONCE, N, rename_bad_names},
    {"grow-live", "pinned", "A file cannot grow while it is mapped.", CONF_ANY, N, grow_pinned},
    {"grow-live", "scan", "A file cannot grow while it is read.", CONF_ANY, N, grow_in_scan},
    {"grow-live", "store", "What has grown cannot be written.", CONF_MAPPED, N, grow_and_store},
    {"grow-live", "allocate", "Space is not reserved.", CONF_ANY, N, grow_reserving},
    {"grow-live", "parked", "A parked file cannot be resized.", CONF_ANY, N, resize_parked},
    {"shrink-pinned", "pinned", "A view loses its bytes.", CONF_MAPPED, N, shrink_pinned},
    {"shrink-pinned", "idle", "A file that was mapped cannot be cut.", CONF_ANY, N, shrink_idle},
    {"shrink-pinned", "input", "A mistake in a call can crash the program.", CONF_ANY, N, resize_misused},
    {"open-input", "shares", "Sharing is not as it was asked.", CONF_ANY, N, shares},
};
CONF_GROUP(conf_names, "names and locks");
