/*
 * process.c - the promises about the process: threads, forks, leaks, a handler that waits for nobody, and the calls
 * that concern it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conformance.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* threads */

enum { THREADS = 6, SIZE = 700000 };

typedef struct worker {
  mapfile *file;
  uint64_t seed;
  int rounds;
} worker;

static mapfile_status MAPFILE_CALL check_chunk(void *argument, const void *data, size_t length, uint64_t offset) {
  (void)argument;
  return conf_is_pattern(data, length, offset) ? MAPFILE_OK : MAPFILE_INVALID;
}

static void do_anything(mapfile *file, uint64_t *seed) {
  static const uint32_t flags[] = {MAPFILE_ANY,     MAPFILE_COPY,      MAPFILE_VERIFY,
                                   MAPFILE_PRIVATE, MAPFILE_ZERO_FILL, MAPFILE_ANY};
  mapfile_view view = MAPFILE_VIEW_INIT;
  unsigned char buffer[3000];
  uint64_t offset = conf_random(seed) % (SIZE - 4000), size = 0, found = 0, done = 0;
  size_t count = 0;
  int order = 0;
  mapfile_scope scope;
  switch (conf_random(seed) % 9) {
  case 0:
    EXPECT_STATUS(mapfile_read(file, offset, buffer, sizeof buffer, &count), MAPFILE_OK);
    EXPECT(conf_is_pattern(buffer, sizeof buffer, offset));
    return;
  case 1:
    conf_pattern(buffer, 30, offset + 3000);
    EXPECT_STATUS(mapfile_find(file, offset, MAPFILE_TO_END, buffer, 30, &found, &done), MAPFILE_OK);
    EXPECT_UINT(found, offset + 3000);
    return;
  case 2:
    conf_pattern(buffer, sizeof buffer, offset);
    EXPECT_STATUS(mapfile_compare(file, offset, buffer, sizeof buffer, &order, &count), MAPFILE_OK);
    EXPECT(order == 0);
    return;
  case 3:
    EXPECT_STATUS(mapfile_scan(file, offset, 4000, 0, 0, check_chunk, NULL, &done), MAPFILE_OK);
    return;
  case 4:
    EXPECT_STATUS(mapfile_check(file), MAPFILE_OK);
    EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
    EXPECT_UINT(size, SIZE);
    conf_stats(file);
    conf_stats(NULL);
    return;
  case 5:
    conf_pin(file, offset, 4000, MAPFILE_ZERO_FILL, &view);
    MAPFILE_SCOPE_INIT(&scope);
    EXPECT_STATUS(mapfile_scope_begin(&scope, file, &view), MAPFILE_OK);
    EXPECT(conf_is_pattern(view.data, view.length, offset));
    EXPECT_STATUS(mapfile_scope_end(&scope, NULL), MAPFILE_OK);
    conf_unpin(&view);
    return;
  default:
    conf_pin(file, offset, 4000, flags[conf_random(seed) % 6], &view);
    conf_expect_good(file, conf_random(seed) % 2 == 0 ? &view : NULL, view.data);
    EXPECT(conf_is_pattern(view.data, view.length, offset));
    conf_unpin(&view);
    return;
  }
}

static void work_on_one(void *argument) {
  worker *work = argument;
  for (int i = 0; i < work->rounds; i++)
    do_anything(work->file, &work->seed);
}

static void threads_share(void) {
  mapfile *file = conf_open(conf_make("file", SIZE), 0);
  conf_thread threads[THREADS];
  worker work[THREADS];
  for (unsigned i = 0; i < THREADS; i++) {
    work[i] = (worker){file, 31 + i, 400};
    conf_thread_start(&threads[i], work_on_one, &work[i], 0);
  }
  for (unsigned i = 0; i < THREADS; i++)
    conf_thread_join(&threads[i]);
  EXPECT_UINT(conf_stats(file).pinned_views, 0);
  EXPECT_UINT(conf_stats(file).copied_bytes, 0);
  conf_close(file);
}

/* Each thread opens and closes mapfiles of its own over the same file. */
static const char *shared_path;

static void open_and_close(void *argument) {
  worker *work = argument;
  for (int i = 0; i < work->rounds; i++) {
    mapfile *file = conf_open(shared_path, 0);
    for (int j = 0; j < 3; j++)
      do_anything(file, &work->seed);
    conf_close(file);
  }
}

static void threads_open(void) {
  conf_thread threads[THREADS];
  worker work[THREADS];
  shared_path = conf_make("file", SIZE);
  for (unsigned i = 0; i < THREADS; i++) {
    work[i] = (worker){NULL, 77 + i, 60};
    conf_thread_start(&threads[i], open_and_close, &work[i], 0);
  }
  for (unsigned i = 0; i < THREADS; i++)
    conf_thread_join(&threads[i]);
  EXPECT_UINT(conf_stats(NULL).open_files, 0);
  EXPECT_UINT(conf_stats(NULL).maps, 0);
}

/* Some threads touch good pages, some bad ones, and one makes pages bad and good again. */

typedef struct storm {
  conf_damaged *one;
  atomic_bool *stop;
  uint64_t seed;
  int faults;
} storm;

static void touch_in_storm(void *argument) {
  storm *work = argument;
  while (!atomic_load(work->stop)) {
    uint64_t at = conf_random(&work->seed) % work->one->size;
    conf_touch touch = {work->one->data + at, 0, 0};
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    mapfile_status status =
        mapfile_try(work->one->file, at % 2 == 0 ? &work->one->view : NULL, conf_touch_body, &touch, &fault);
    if (status == MAPFILE_OK) {
      EXPECT_UINT(touch.value, conf_byte(at));
      EXPECT_UINT(touch.reached, 1);
      continue;
    }
    EXPECT_STATUS(status, MAPFILE_UNKNOWN);
    EXPECT_RECORD(&fault, work->one->file, touch.at, at, MAPFILE_FAULT_READ);
    /* By the time it is asked for, the page may be good again. */
    EXPECT_ONE_OF(mapfile_fault_explain(&fault), MAPFILE_IO, MAPFILE_UNKNOWN);
    work->faults++;
  }
}

static void threads_storm(void) {
  conf_damaged one;
  conf_thread threads[4];
  storm work[4];
  atomic_bool stop = false;
  uint64_t state = 9;
  int faults = 0;
  conf_damage(&one, "file", 64, 64, MAPFILE_LIVE);
  for (unsigned i = 0; i < 4; i++) {
    work[i] = (storm){&one, &stop, 600 + i, 0};
    conf_thread_start(&threads[i], touch_in_storm, &work[i], 0);
  }
  for (int i = 0; i < 400; i++) {
    uint64_t from = conf_random(&state) % one.size, length = conf_random(&state) % (20 * conf_page);
    EXPECT_STATUS(mapfile_inject(one.file, from, length, i % 3 == 2 ? MAPFILE_OK : MAPFILE_IO), MAPFILE_OK);
    if (i % 8 == 0)
      conf_sleep_ms(1);
  }
  atomic_store(&stop, true);
  for (unsigned i = 0; i < 4; i++) {
    conf_thread_join(&threads[i]);
    faults += work[i].faults;
  }
  EXPECT(faults > 0);
  EXPECT_STATUS(mapfile_inject(one.file, 0, MAPFILE_TO_END, MAPFILE_OK), MAPFILE_OK);
  EXPECT(conf_is_pattern(one.data, (size_t)one.size, 0));
  conf_undamage(&one);
}

static void unpin_elsewhere(void *argument) {
  mapfile_view *views = argument;
  for (int i = 0; i < 4; i++)
    conf_unpin(&views[i]);
}

static void threads_hand_over(void) {
  static const uint32_t flags[] = {MAPFILE_ANY, MAPFILE_COPY, MAPFILE_PRIVATE, MAPFILE_ZERO_FILL};
  mapfile *file = conf_open(conf_make("file", SIZE), 0);
  for (int round = 0; round < 50; round++) {
    mapfile_view views[4];
    conf_thread thread;
    for (int i = 0; i < 4; i++) {
      mapfile_view fresh = MAPFILE_VIEW_INIT;
      views[i] = fresh;
      conf_pin(file, (uint64_t)(100 * i), 5000, flags[i], &views[i]);
    }
    conf_thread_start(&thread, unpin_elsewhere, views, 0);
    conf_thread_join(&thread);
    EXPECT_STATUS(mapfile_unpin(&views[0]), MAPFILE_INVALID);
  }
  conf_close(file);
}

/* no-leaks */

static void fail_in_every_way(mapfile *file) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile *other = NULL;
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  EXPECT_STATUS(mapfile_pin(file, SIZE, 1, MAPFILE_ANY, &view), MAPFILE_END);
  EXPECT_STATUS(mapfile_pin(file, 0, 10, MAPFILE_LIVE | MAPFILE_COPY, &view), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_open(conf_path("absent"), NULL, &other), MAPFILE_NOT_FOUND);
  EXPECT_STATUS(mapfile_open(conf_path(""), NULL, &other), MAPFILE_UNSUPPORTED);
  options.flags = MAPFILE_CREATE | MAPFILE_EXCLUSIVE;
  EXPECT_STATUS(mapfile_open(conf_path("file"), &options, &other), MAPFILE_EXISTS);
  options.reserved[2] = 1;
  EXPECT_STATUS(mapfile_open(conf_path("file"), &options, &other), MAPFILE_UNSUPPORTED);
}

static void live_a_little(uint64_t *seed) {
  conf_damaged one;
  mapfile *file = conf_open(conf_path("file"), 0);
  for (int i = 0; i < 10; i++)
    do_anything(file, seed);
  fail_in_every_way(file);
  conf_close(file);
  conf_damage(&one, "damaged", 6, 3, conf_live());
  conf_expect_fault(one.file, &one.view, one.data + one.bad, one.bad);
  mapfile_view filled = MAPFILE_VIEW_INIT;
  mapfile_scope scope;
  conf_pin(one.file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL, &filled);
  MAPFILE_SCOPE_INIT(&scope);
  EXPECT_STATUS(mapfile_scope_begin(&scope, one.file, &filled), MAPFILE_OK);
  EXPECT_UINT(conf_load((char *)filled.data + one.bad), 0);
  EXPECT_STATUS(mapfile_scope_end(&scope, NULL), MAPFILE_UNKNOWN);
  EXPECT_STATUS(mapfile_unpin(&filled), MAPFILE_UNKNOWN);
  conf_undamage(&one);
}

static void no_leaks(void) {
  conf_holdings before;
  uint64_t seed = 12;
  conf_make("file", SIZE);
  for (int i = 0; i < 10; i++)
    live_a_little(&seed);
  conf_count_holdings(&before);
  for (int i = 0; i < 150; i++)
    live_a_little(&seed);
  EXPECT_NO_LEAK(&before);
  mapfile_statistics now = conf_stats(NULL);
  EXPECT_UINT(now.open_files + now.pinned_views + now.maps + now.mapped_bytes + now.copied_bytes, 0);
}

static void live_in_thread(void *argument) {
  live_a_little(argument);
}

static void no_leaks_threads(void) {
  conf_holdings before;
  uint64_t seed = 13;
  conf_make("file", SIZE);
  for (int i = 0; i < 110; i++) {
    conf_thread thread;
    if (i == 10)
      conf_count_holdings(&before);
    conf_thread_start(&thread, live_in_thread, &seed, 0);
    conf_thread_join(&thread);
  }
  EXPECT_NO_LEAK(&before);
}

/* handler-pure: faults while another thread is inside the library, or holds the dynamic linker's lock. */

static atomic_int gate; /* 0: nobody waits, 1: the other thread waits within, 2: it may go on */

static void hold_until_told(void) {
  int closed = 0;
  if (!atomic_compare_exchange_strong(&gate, &closed, 1))
    return;
  /* Not for ever: a handler that waits for this thread must show as a failure, not as a hang of both. */
  for (int i = 0; i < 20000 && atomic_load(&gate) == 1; i++)
    conf_sleep_ms(1);
}

static void MAPFILE_CALL trace_and_hold(void *argument, const mapfile_event *event) {
  if (event->kind == MAPFILE_EVENT_MAP && event->file == *(mapfile **)argument)
    hold_until_told();
}

static void pin_and_hold(void *argument) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(*(mapfile **)argument, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  conf_unpin(&view);
}

/* One fault that is filled and one that is left by a jump, both while the other thread stands still. */
static void fault_meanwhile(conf_damaged *one, conf_damaged *filled, mapfile_scope *scope) {
  while (atomic_load(&gate) != 1)
    conf_sleep_ms(1);
  conf_touch touch = {one->data + one->bad + 3, 0, 0};
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  EXPECT_UINT(conf_load(filled->data + filled->bad), 0);
  EXPECT_STATUS(mapfile_try(one->file, &one->view, conf_touch_body, &touch, &fault), MAPFILE_UNKNOWN);
  EXPECT_STATUS(mapfile_try(one->file, NULL, conf_touch_body, &touch, &fault), MAPFILE_UNKNOWN);
  EXPECT_UINT(atomic_load(&gate), 1);
  atomic_store(&gate, 2);
  EXPECT_STATUS(mapfile_scope_end(scope, NULL), MAPFILE_UNKNOWN);
}

static void damage_both(conf_damaged *one, conf_damaged *filled, mapfile_scope *scope) {
  conf_damage(one, "one", 6, 3, conf_live());
  conf_damage(filled, "filled", 6, 3, MAPFILE_ZERO_FILL);
  MAPFILE_SCOPE_INIT(scope);
  conf_expect_good(one->file, NULL, one->data);
  EXPECT_STATUS(mapfile_scope_begin(scope, filled->file, &filled->view), MAPFILE_OK);
}

static void pure_library_lock(void) {
  conf_damaged one, filled;
  mapfile_scope scope;
  conf_thread thread;
  mapfile *held = conf_open(conf_make("held", 5 * conf_page), 0);
  mapfile_set_trace(trace_and_hold, &held);
  damage_both(&one, &filled, &scope);
  conf_thread_start(&thread, pin_and_hold, &held, 0);
  fault_meanwhile(&one, &filled, &scope);
  conf_thread_join(&thread);
  mapfile_set_trace(NULL, NULL);
  EXPECT_STATUS(mapfile_unpin(&filled.view), MAPFILE_UNKNOWN);
  conf_close(filled.file);
  conf_undamage(&one);
  conf_close(held);
}

static void hold_linker(void *argument) {
  bool *held = argument;
  *held = conf_hold_linker(hold_until_told);
  /* Where it cannot be held, let the other thread go on all the same. */
  if (!*held)
    atomic_store(&gate, 1);
}

static void pure_linker_lock(void) {
  bool held = false;
  conf_damaged one, filled;
  mapfile_scope scope;
  conf_thread thread;
  if (conf_instrument() != NULL)
    conf_not_testable("%s needs the dynamic linker in signal handlers", conf_instrument());
  damage_both(&one, &filled, &scope);
  conf_thread_start(&thread, hold_linker, &held, 0);
  fault_meanwhile(&one, &filled, &scope);
  conf_thread_join(&thread);
  if (!held)
    conf_not_testable("the dynamic linker's lock cannot be held");
  EXPECT_STATUS(mapfile_unpin(&filled.view), MAPFILE_UNKNOWN);
  conf_close(filled.file);
  conf_undamage(&one);
}

/* fork */

typedef struct inherited {
  mapfile *file;
  mapfile_view *view;
  uint64_t seed;
} inherited;

static void use_inherited(void *argument) {
  inherited *given = argument;
  EXPECT(conf_is_pattern(given->view->data, given->view->length, given->view->offset));
  for (int i = 0; i < 20; i++)
    do_anything(given->file, &given->seed);
  EXPECT_STATUS(mapfile_close(given->file), MAPFILE_BUSY);
  conf_unpin(given->view);
  conf_close(given->file);
  mapfile *again = conf_open(conf_path("file"), 0);
  do_anything(again, &given->seed);
  conf_close(again);
}

static void fork_inherits(void) {
  mapfile *file = conf_open(conf_make("file", SIZE), 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, 1000, 100000, MAPFILE_ANY, &view);
  inherited given = {file, &view, 5};
  conf_child(use_inherited, &given);
  EXPECT(conf_is_pattern(view.data, view.length, 1000));
  conf_unpin(&view);
  conf_pin(file, 7, 500, MAPFILE_COPY, &view);
  conf_child(use_inherited, &given);
  conf_unpin(&view);
  conf_close(file);
}

static atomic_bool stop_working;

static void work_until_told(void *argument) {
  worker *work = argument;
  while (!atomic_load(&stop_working)) {
    do_anything(work->file, &work->seed);
    mapfile *other = conf_open(shared_path, 0);
    do_anything(other, &work->seed);
    conf_close(other);
  }
}

static void use_after_fork(void *argument) {
  inherited *given = argument;
  for (int i = 0; i < 10; i++)
    do_anything(given->file, &given->seed);
  mapfile *other = conf_open(conf_path("file"), 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(other, 5, 5000, conf_live(), &view);
  conf_unpin(&view);
  EXPECT_STATUS(mapfile_inject(other, 0, 1, MAPFILE_IO), MAPFILE_OK);
  conf_pin(other, 0, 5000, MAPFILE_ANY, &view);
  conf_expect_fault(other, &view, view.data, 0);
  conf_unpin(&view);
  conf_close(other);
}

/* The fork may happen while other threads, which the child does not have, are inside the library. */
static void fork_amid_threads(void) {
  conf_thread threads[3];
  worker work[3];
  const char *instrument = conf_instrument();
  if (conf_emulated())
    conf_not_testable("a child forked while another thread holds a lock of the emulator's waits for it for ever");
  if (conf_under("AddressSanitizer") || conf_under("ThreadSanitizer"))
    conf_not_testable("a child forked while another thread allocates waits for the locks of %s for ever", instrument);
  shared_path = conf_make("file", SIZE);
  mapfile *file = conf_open(shared_path, 0);
  int forks = instrument != NULL ? 5 : 40;
  for (unsigned i = 0; i < 3; i++) {
    work[i] = (worker){file, 50 + i, 0};
    conf_thread_start(&threads[i], work_until_told, &work[i], 0);
  }
  for (int i = 0; i < forks; i++) {
    inherited given = {file, NULL, 1 + (uint64_t)i};
    conf_child(use_after_fork, &given);
  }
  atomic_store(&stop_working, true);
  for (unsigned i = 0; i < 3; i++)
    conf_thread_join(&threads[i]);
  conf_close(file);
}

/* Calls about the process */

static void strings(void) {
  const char *version = NULL;
  char wanted[32];
  snprintf(wanted, sizeof wanted, "%d.%d.%d", MAPFILE_VERSION_MAJOR, MAPFILE_VERSION_MINOR, MAPFILE_VERSION_PATCH);
  EXPECT_UINT(mapfile_version(NULL), MAPFILE_VERSION_NUMBER);
  EXPECT_UINT(mapfile_version(&version), MAPFILE_VERSION_NUMBER);
  EXPECT(version != NULL && strcmp(version, wanted) == 0);
  for (mapfile_status one = MAPFILE_OK; one <= MAPFILE_STALE; one++) {
    EXPECT(mapfile_strerror(one) != NULL && strlen(mapfile_strerror(one)) > 1);
    for (mapfile_status other = MAPFILE_OK; other < one; other++)
      EXPECT(strcmp(mapfile_strerror(one), mapfile_strerror(other)) != 0);
  }
  static const mapfile_status strange[] = {-1, 21, 1000, INT32_MIN, INT32_MAX};
  for (int i = 0; i < 5; i++)
    EXPECT(mapfile_strerror(strange[i]) != NULL && strlen(mapfile_strerror(strange[i])) > 1);
}

static void other_error(void *argument) {
  mapfile *file = NULL;
  (void)argument;
  EXPECT(mapfile_native_error() == 0);
  EXPECT_STATUS(mapfile_open(conf_path(""), NULL, &file), MAPFILE_UNSUPPORTED);
}

static void native_error(void) {
  mapfile *file = NULL;
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_thread thread;
  EXPECT(mapfile_native_error() == 0);
  EXPECT_STATUS(mapfile_open(conf_path("absent"), NULL, &file), MAPFILE_NOT_FOUND);
  EXPECT(conf_is_error(mapfile_native_error(), CONF_ABSENT));
  conf_thread_start(&thread, other_error, NULL, 0);
  conf_thread_join(&thread);
  EXPECT(conf_is_error(mapfile_native_error(), CONF_ABSENT));
  file = conf_open(conf_make("file", 10), 0);
  conf_pin(file, 0, 10, MAPFILE_ANY, &view);
  conf_unpin(&view);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_OK);
  EXPECT(conf_is_error(mapfile_native_error(), CONF_ABSENT));
  EXPECT_STATUS(mapfile_pin(file, 11, 1, MAPFILE_ANY, &view), MAPFILE_END);
  EXPECT(mapfile_native_error() == 0);
  conf_close(file);
}

typedef struct tally {
  unsigned of[16];
  mapfile_event last[16];
} tally;

static void MAPFILE_CALL count_event(void *argument, const mapfile_event *event) {
  tally *counted = argument;
  EXPECT(event->size >= sizeof *event && event->kind < 16);
  counted->of[event->kind]++;
  counted->last[event->kind] = *event;
}

static void trace_events(void) {
  tally counted;
  conf_damaged one;
  mapfile_scope scope;
  memset(&counted, 0, sizeof counted);
  mapfile_set_trace(count_event, &counted);
  conf_damage(&one, "file", 6, 3, MAPFILE_LIVE);
  EXPECT_UINT(counted.of[MAPFILE_EVENT_OPEN], 1);
  EXPECT(counted.of[MAPFILE_EVENT_MAP] >= 1);
  EXPECT(counted.last[MAPFILE_EVENT_OPEN].file == one.file && counted.last[MAPFILE_EVENT_MAP].file == one.file);
  EXPECT_UINT(counted.of[MAPFILE_EVENT_FAULT], 0);
  conf_expect_fault(one.file, &one.view, one.data + one.bad + 2, one.bad + 2);
  EXPECT_UINT(counted.of[MAPFILE_EVENT_FAULT], 1);
  EXPECT_UINT(counted.last[MAPFILE_EVENT_FAULT].offset, one.bad + 2);
  EXPECT_STATUS(counted.last[MAPFILE_EVENT_FAULT].status, MAPFILE_UNKNOWN);
  mapfile_view filled = MAPFILE_VIEW_INIT;
  conf_pin(one.file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL, &filled);
  MAPFILE_SCOPE_INIT(&scope);
  EXPECT_STATUS(mapfile_scope_begin(&scope, one.file, &filled), MAPFILE_OK);
  EXPECT_UINT(conf_load((char *)filled.data + one.bad), 0);
  EXPECT_UINT(counted.of[MAPFILE_EVENT_FILL], 0);
  EXPECT_STATUS(mapfile_scope_end(&scope, NULL), MAPFILE_UNKNOWN);
  EXPECT_UINT(counted.of[MAPFILE_EVENT_FILL], 1);
  EXPECT_STATUS(mapfile_unpin(&filled), MAPFILE_UNKNOWN);
  conf_undamage(&one);
  EXPECT_UINT(counted.of[MAPFILE_EVENT_CLOSE], 1);
  EXPECT_UINT(counted.of[MAPFILE_EVENT_MAP], counted.of[MAPFILE_EVENT_UNMAP] + counted.of[MAPFILE_EVENT_EVICT]);
  mapfile_set_trace(NULL, NULL);
  unsigned before = counted.of[MAPFILE_EVENT_OPEN];
  conf_close(conf_open(conf_make("other", 1), 0));
  EXPECT_UINT(counted.of[MAPFILE_EVENT_OPEN], before);
}

static void configure(void) {
  conf_damaged one;
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_UNSUPPORTED);
  EXPECT_STATUS(mapfile_handler_configure(1u << 20), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_handler_configure(MAPFILE_HANDLER_HOST), MAPFILE_OK);
  EXPECT_STATUS(mapfile_handler_configure(0), MAPFILE_OK);
  EXPECT_STATUS(mapfile_handler_rearm(), MAPFILE_OK);
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_OK);
  EXPECT_STATUS(mapfile_handler_configure(0), MAPFILE_OK);
  EXPECT_STATUS(mapfile_handler_configure(MAPFILE_HANDLER_UNBLOCK), MAPFILE_BUSY);
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_fault(one.file, &one.view, one.data + one.bad, one.bad);
  EXPECT_STATUS(mapfile_handler_configure(MAPFILE_HANDLER_ACCESS), MAPFILE_BUSY);
  EXPECT_STATUS(mapfile_handler_configure(0), MAPFILE_OK);
  conf_undamage(&one);
}

/* Access violations, for programs that ask for them. */

static mapfile_status MAPFILE_CALL store_body(void *argument) {
  conf_touch *touch = argument;
  conf_store((void *)(uintptr_t)touch->at, 0);
  touch->reached++;
  return MAPFILE_OK;
}

static void access_protected(void) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_view view = MAPFILE_VIEW_INIT;
  EXPECT_STATUS(mapfile_handler_configure(MAPFILE_HANDLER_ACCESS), MAPFILE_OK);
  mapfile *file = conf_open(conf_make("file", 4 * conf_page), 0);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  for (int i = 0; i < 20; i++) {
    conf_touch touch = {(unsigned char *)view.data + conf_page + 5, 0, 0};
    EXPECT_STATUS(mapfile_try(file, &view, store_body, &touch, &fault), MAPFILE_PROTECTED);
    EXPECT_UINT(touch.reached, 0);
    EXPECT_RECORD(&fault, file, touch.at, conf_page + 5, MAPFILE_FAULT_WRITE);
    EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_PROTECTED);
    conf_expect_good(file, &view, touch.at);
  }
  conf_unpin(&view);
  conf_close(file);
}

static mapfile_status MAPFILE_CALL release_and_touch(void *argument) {
  mapfile_view *view = argument;
  const unsigned char *data = view->data;
  conf_unpin(view);
  conf_load(data + 3);
  return MAPFILE_OK;
}

static void access_released(void) {
  conf_not_under_valgrind("objects to touching what was let go");
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_view view = MAPFILE_VIEW_INIT;
  EXPECT_STATUS(mapfile_handler_configure(MAPFILE_HANDLER_ACCESS), MAPFILE_OK);
  mapfile *file = conf_open(conf_make("file", 4 * conf_page), 0);
  /* A private view's memory goes with it. */
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_PRIVATE, &view);
  const void *data = view.data;
  EXPECT_STATUS(mapfile_try(file, &view, release_and_touch, &view, &fault), MAPFILE_RELEASED);
  EXPECT_RECORD(&fault, file, (const unsigned char *)data + 3, 3, MAPFILE_FAULT_READ);
  conf_close(file);
}

#define N CONF_NO_FAULTS

static const conf_case table[] = {
    {"threads", "share", "Threads that share a mapfile disturb one another.", CONF_ANY, N, threads_share},
    {"threads", "open", "Threads that open and close mapfiles disturb one another.", CONF_ANY, N, threads_open},
    {"threads", "storm", "Faults in some threads disturb others.", CONF_MAPPED, CONF_INJECTED, threads_storm},
    {"threads", "hand-over", "A view cannot be let go by another thread.", CONF_ANY, N, threads_hand_over},
    CONF_BOTH("no-leaks", "mixed", "Descriptors, maps, threads or memory leak.", no_leaks),
    CONF_BOTH("no-leaks", "threads", "Descriptors, maps, threads or memory leak with each thread.", no_leaks_threads),
    {"handler-pure", "library-lock", "A fault waits for another thread: the program can hang.",
     CONF_MAPPED | CONF_FILLS, CONF_REAL, pure_library_lock},
    {"handler-pure", "library-lock", "A fault waits for another thread: the program can hang.", CONF_MAPPED,
     CONF_INJECTED, pure_library_lock},
    {"handler-pure", "linker-lock", "A fault waits for the dynamic linker: the program can hang.",
     CONF_MAPPED | CONF_FILLS, CONF_REAL, pure_linker_lock},
    {"handler-pure", "linker-lock", "A fault waits for the dynamic linker: the program can hang.", CONF_ANY,
     CONF_INJECTED, pure_linker_lock},
    {"fork", "inherits", "A child cannot use what it inherited.", CONF_ANY | CONF_FORKS, N, fork_inherits},
    {"fork", "amid-threads", "A child of a program with threads can hang.", CONF_ANY | CONF_FORKS, CONF_INJECTED,
     fork_amid_threads},
    {"process", "strings", "A status has no words.", CONF_ONCE, N, strings},
    {"process", "native-error", "The system's error is lost or of another thread.", CONF_ANY, N, native_error},
    {"process", "trace", "What the library does is not told.", CONF_MAPPED, CONF_REAL, trace_events},
    {"process", "configure", "The handler cannot be configured, or is changed behind one's back.", CONF_ANY,
     CONF_INJECTED, configure},
    {"fault-cause", "protected", "A store into a read-only view is not told.", CONF_MAPPED, CONF_REAL,
     access_protected},
    {"fault-cause", "released", "A touch of a view that was let go is not told.", CONF_MAPPED, CONF_REAL,
     access_released},
};

CONF_GROUP(conf_process, "process");
