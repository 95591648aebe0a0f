/*
 * zero_fill.c - fault-zero-fill: scopes that never jump.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conformance.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static mapfile_status begin(mapfile_scope *scope, mapfile *file, const mapfile_view *view) {
  MAPFILE_SCOPE_INIT(scope);
  return mapfile_scope_begin(scope, file, view);
}

/* What a damaged view looks like once its bad pages are zeros. */
static void expect_filled_bytes(const conf_damaged *one) {
  EXPECT(conf_is_pattern(one->data, (size_t)one->bad, 0));
  EXPECT(conf_is_zero(one->data + one->bad, (size_t)(one->size - one->bad)));
}

static void undamage_filled(conf_damaged *one) {
  EXPECT_STATUS(mapfile_unpin(&one->view), MAPFILE_UNKNOWN);
  EXPECT_UINT(one->view.kind, MAPFILE_KIND_NONE);
  conf_close(one->file);
}

static void expect_filled_record(const mapfile_fault *fault, const conf_damaged *one, uint64_t first, uint64_t pages) {
  EXPECT_STATUS(fault->status, MAPFILE_UNKNOWN);
  EXPECT(fault->file == one->file);
  EXPECT_UINT(fault->filled_pages, pages);
  EXPECT_UINT(fault->offset / conf_page, first / conf_page);
}

static void whole_view(void) {
  for (int over_file = 0; over_file < 2; over_file++) {
    conf_damaged one;
    mapfile_scope scope;
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    uint64_t before = conf_stats(NULL).filled_pages;
    conf_damage(&one, "file", 8, 3, MAPFILE_ZERO_FILL);
    EXPECT_STATUS(begin(&scope, one.file, over_file ? NULL : &one.view), MAPFILE_OK);
    expect_filled_bytes(&one);
    expect_filled_bytes(&one);
    EXPECT_STATUS(mapfile_scope_end(&scope, &fault), MAPFILE_UNKNOWN);
    expect_filled_record(&fault, &one, one.bad, 5);
    EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_TRUNCATED);
    EXPECT_UINT(conf_stats(NULL).filled_pages, before + 5);
    EXPECT_UINT(conf_stats(one.file).filled_pages, 5);
    undamage_filled(&one);
  }
}

static void nothing_filled(void) {
  conf_damaged one;
  mapfile_scope scope;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 8, 3, MAPFILE_ZERO_FILL);
  for (int i = 0; i < 3; i++) {
    EXPECT_STATUS(begin(&scope, one.file, i == 0 ? NULL : &one.view), MAPFILE_OK);
    EXPECT(conf_is_pattern(one.data, (size_t)one.bad, 0));
    EXPECT_STATUS(mapfile_scope_end(&scope, i == 1 ? NULL : &fault), MAPFILE_OK);
    EXPECT_STATUS(fault.status, MAPFILE_OK);
    EXPECT_UINT(fault.filled_pages, 0);
  }
  conf_undamage(&one);
}

/* Zeros stay zeros, and every later scope over the view says so. */
static void sticky(void) {
  conf_damaged one;
  mapfile_scope scope;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 8, 3, MAPFILE_ZERO_FILL);
  EXPECT_STATUS(begin(&scope, one.file, &one.view), MAPFILE_OK);
  EXPECT_UINT(conf_load(one.data + 5 * conf_page + 9), 0);
  EXPECT_STATUS(mapfile_scope_end(&scope, NULL), MAPFILE_UNKNOWN);
  /* The file is whole again; what was filled is not. */
  if (conf_faulty == CONF_REAL)
    conf_write_pattern(one.path, one.bad, (size_t)(one.size - one.bad));
  for (int i = 0; i < 3; i++) {
    EXPECT_STATUS(begin(&scope, one.file, i == 1 ? NULL : &one.view), MAPFILE_OK);
    EXPECT(conf_is_zero(one.data + 5 * conf_page, conf_page));
    EXPECT_STATUS(mapfile_scope_end(&scope, &fault), MAPFILE_UNKNOWN);
    expect_filled_record(&fault, &one, 5 * conf_page, 1);
  }
  /* A scope of the jumping kind over the view tells as well. */
  conf_touch touch = {one.data, 0, 0};
  EXPECT_STATUS(mapfile_try(one.file, &one.view, conf_touch_body, &touch, &fault), MAPFILE_UNKNOWN);
  EXPECT_UINT(touch.reached, 1);
  undamage_filled(&one);
}

/* The pages of other views, present and later, are the file's still. */
static void others_untouched(void) {
  const char *path = conf_make("file", 6 * conf_page);
  mapfile *file = conf_open(path, 0);
  mapfile_view filled = MAPFILE_VIEW_INIT, live = MAPFILE_VIEW_INIT, later = MAPFILE_VIEW_INIT;
  mapfile_scope scope;
  EXPECT_STATUS(mapfile_inject(file, 2 * conf_page, conf_page, MAPFILE_IO), MAPFILE_OK);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL, &filled);
  conf_pin(file, 0, MAPFILE_TO_END, conf_live(), &live);
  EXPECT_STATUS(begin(&scope, file, &filled), MAPFILE_OK);
  EXPECT_UINT(conf_load((char *)filled.data + 2 * conf_page), 0);
  EXPECT_STATUS(mapfile_scope_end(&scope, NULL), MAPFILE_UNKNOWN);
  conf_expect_fault(file, &live, (char *)live.data + 2 * conf_page, 2 * conf_page);
  EXPECT_STATUS(mapfile_inject(file, 0, MAPFILE_TO_END, MAPFILE_OK), MAPFILE_OK);
  if (live.kind == MAPFILE_KIND_LIVE)
    EXPECT(conf_is_pattern(live.data, live.length, 0));
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &later);
  EXPECT(conf_is_pattern(later.data, later.length, 0));
  conf_unpin(&later);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL, &later);
  EXPECT(conf_is_pattern(later.data, later.length, 0));
  conf_unpin(&later);
  conf_unpin(&live);
  EXPECT_STATUS(mapfile_unpin(&filled), MAPFILE_UNKNOWN);
  conf_close(file);
}

static mapfile_status MAPFILE_CALL touch_other(void *argument) {
  conf_damaged *both = argument;
  mapfile_scope scope;
  EXPECT_STATUS(begin(&scope, both[0].file, &both[0].view), MAPFILE_OK);
  EXPECT_UINT(conf_load(both[0].data + both[0].bad), 0);
  conf_load(both[1].data + both[1].bad + 4);
  return MAPFILE_OK;
}

/* What the zero-fill scope does not cover goes to the scope around it; filling is for ZERO_FILL views only. */
static void only_its_own(void) {
  conf_damaged both[2];
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_scope scope;
  conf_damage(&both[0], "filled", 6, 3, MAPFILE_ZERO_FILL);
  conf_damage(&both[1], "plain", 6, 3, conf_live());
  EXPECT_STATUS(begin(&scope, both[1].file, &both[1].view), MAPFILE_INVALID);
  EXPECT_STATUS(begin(&scope, both[1].file, NULL), MAPFILE_OK);
  conf_touch touch = {both[1].data + both[1].bad + 4, 0, 0};
  EXPECT_STATUS(mapfile_try(both[1].file, &both[1].view, conf_touch_body, &touch, &fault), MAPFILE_UNKNOWN);
  EXPECT_RECORD(&fault, both[1].file, touch.at, both[1].bad + 4, MAPFILE_FAULT_READ);
  EXPECT_STATUS(mapfile_scope_end(&scope, NULL), MAPFILE_OK);
  conf_undamage(&both[1]);
  conf_undamage(&both[0]);
}

static void passes_outward(void) {
  conf_damaged both[2];
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&both[0], "filled", 6, 3, MAPFILE_ZERO_FILL);
  conf_damage(&both[1], "plain", 6, 3, conf_live());
  EXPECT_STATUS(mapfile_try(both[1].file, NULL, touch_other, both, &fault), MAPFILE_UNKNOWN);
  EXPECT_RECORD(&fault, both[1].file, both[1].data + both[1].bad + 4, both[1].bad + 4, MAPFILE_FAULT_READ);
  conf_expect_fault(both[1].file, &both[1].view, both[1].data + both[1].bad, both[1].bad);
  conf_undamage(&both[1]);
}

/* A scope over the whole mapfile fills its ZERO_FILL views; a fault of another view of the same mapfile goes on
 * outward. */

static mapfile_view live_view = MAPFILE_VIEW_INIT;

static mapfile_status MAPFILE_CALL fill_all_touch_live(void *argument) {
  conf_damaged *one = argument;
  mapfile_scope scope;
  EXPECT_STATUS(begin(&scope, one->file, NULL), MAPFILE_OK);
  EXPECT_UINT(conf_load(one->data + one->bad), 0);
  conf_load((const unsigned char *)live_view.data + one->bad + 9);
  return MAPFILE_OK;
}

static void live_views_pass(void) {
  static const uint32_t flags[] = {MAPFILE_ANY, MAPFILE_PRIVATE};
  for (int i = 0; i < 2; i++) {
    conf_damaged one;
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    const char *name = i == 0 ? "first" : "second";
    conf_source source = conf_faulty;
    if (source == CONF_REAL) {
      /* Both views are pinned before the cut. */
      conf_faulty = CONF_NO_FAULTS;
      conf_damage(&one, name, 6, 3, MAPFILE_ZERO_FILL);
      conf_pin(one.file, 0, MAPFILE_TO_END, flags[i], &live_view);
      conf_truncate(one.path, one.bad);
      conf_faulty = source;
    } else {
      conf_damage(&one, name, 6, 3, MAPFILE_ZERO_FILL);
      conf_pin(one.file, 0, MAPFILE_TO_END, flags[i], &live_view);
    }
    EXPECT_STATUS(mapfile_try(one.file, NULL, fill_all_touch_live, &one, &fault), MAPFILE_UNKNOWN);
    EXPECT_RECORD(&fault, one.file, (unsigned char *)live_view.data + one.bad + 9, one.bad + 9, MAPFILE_FAULT_READ);
    conf_expect_fault(one.file, &live_view, (unsigned char *)live_view.data + one.bad + 9, one.bad + 9);
    conf_unpin(&live_view);
  }
}

/* The innermost scope that covers the address takes the fault, of whichever kind it is. */
static mapfile_status MAPFILE_CALL fill_within(void *argument) {
  conf_damaged *one = argument;
  mapfile_scope scope;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  EXPECT_STATUS(begin(&scope, one->file, &one->view), MAPFILE_OK);
  EXPECT_UINT(conf_load(one->data + one->bad), 0);
  EXPECT_STATUS(mapfile_scope_end(&scope, &fault), MAPFILE_UNKNOWN);
  EXPECT_UINT(fault.filled_pages, 1);
  conf_load(one->data + one->bad + conf_page + 6);
  return MAPFILE_OK;
}

static void nesting(void) {
  conf_damaged one;
  mapfile_scope scope;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 8, 3, MAPFILE_ZERO_FILL);
  /* A jumping scope within a filling one jumps. */
  EXPECT_STATUS(begin(&scope, one.file, NULL), MAPFILE_OK);
  conf_expect_fault(one.file, &one.view, one.data + one.bad + 4, one.bad + 4);
  EXPECT_STATUS(mapfile_scope_end(&scope, &fault), MAPFILE_OK);
  /* A filling scope within a jumping one fills; after it the jumping one jumps. */
  EXPECT_STATUS(mapfile_try(one.file, NULL, fill_within, &one, &fault), MAPFILE_UNKNOWN);
  EXPECT_UINT(fault.offset, one.bad + conf_page + 6);
  undamage_filled(&one);
}

static void two_views(void) {
  const char *path = conf_make("file", 8 * conf_page);
  mapfile *file = conf_open(path, 0);
  mapfile_view head = MAPFILE_VIEW_INIT, tail = MAPFILE_VIEW_INIT;
  mapfile_scope scope;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  EXPECT_STATUS(mapfile_inject(file, 2 * conf_page, 4 * conf_page, MAPFILE_IO), MAPFILE_OK);
  conf_pin(file, 10, 4 * conf_page - 10, MAPFILE_ZERO_FILL, &head);
  conf_pin(file, 4 * conf_page, MAPFILE_TO_END, MAPFILE_ZERO_FILL, &tail);
  EXPECT_STATUS(begin(&scope, file, NULL), MAPFILE_OK);
  EXPECT_UINT(conf_load((char *)tail.data + 5), 0);
  EXPECT_UINT(conf_load((char *)head.data + 2 * conf_page), 0);
  EXPECT_UINT(conf_load((char *)tail.data + conf_page + 5), 0);
  EXPECT_STATUS(mapfile_scope_end(&scope, &fault), MAPFILE_UNKNOWN);
  EXPECT_UINT(fault.filled_pages, 3);
  EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_IO);
  /* A scope over one of them speaks of that one. */
  EXPECT_STATUS(begin(&scope, file, &head), MAPFILE_OK);
  EXPECT_STATUS(mapfile_scope_end(&scope, &fault), MAPFILE_UNKNOWN);
  EXPECT_UINT(fault.filled_pages, 1);
  EXPECT_UINT(fault.offset / conf_page, 2);
  EXPECT_STATUS(mapfile_unpin(&head), MAPFILE_UNKNOWN);
  EXPECT_STATUS(mapfile_unpin(&tail), MAPFILE_UNKNOWN);
  conf_close(file);
}

/* While a scope is open, the memory stays, even if the view is let go; and the mapfile stays open. */
static void unpinned_in_scope(bool over_file) {
  conf_damaged one;
  mapfile_scope scope;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 8, 3, MAPFILE_ZERO_FILL);
  EXPECT_STATUS(begin(&scope, one.file, over_file ? NULL : &one.view), MAPFILE_OK);
  EXPECT_UINT(conf_load(one.data + one.bad), 0);
  EXPECT_STATUS(mapfile_unpin(&one.view), MAPFILE_UNKNOWN);
  EXPECT_STATUS(mapfile_close(one.file), MAPFILE_BUSY);
  if (over_file && conf_access != MAPFILE_ACCESS_COPIED) {
    EXPECT_UINT(conf_load(one.data + one.bad + conf_page), 0);
    EXPECT(conf_is_pattern(one.data, (size_t)one.bad, 0));
  }
  EXPECT_STATUS(mapfile_scope_end(&scope, &fault), MAPFILE_UNKNOWN);
  EXPECT(fault.filled_pages >= 1);
  conf_close(one.file);
  EXPECT_UINT(conf_stats(NULL).maps, 0);
}

static void unpinned_within(void) {
  unpinned_in_scope(true);
  unpinned_in_scope(false);
}

static void busy_while_open(void) {
  mapfile *file = conf_open(conf_make("file", 100), 0);
  mapfile_scope scope;
  EXPECT_STATUS(begin(&scope, file, NULL), MAPFILE_OK);
  EXPECT_STATUS(mapfile_close(file), MAPFILE_BUSY);
  EXPECT_STATUS(mapfile_scope_end(&scope, NULL), MAPFILE_OK);
  conf_close(file);
}

/* Order and place of the ends */

typedef struct foreign_end {
  mapfile_scope *scope;
  mapfile_status status;
} foreign_end;

static void end_elsewhere(void *argument) {
  foreign_end *plan = argument;
  plan->status = mapfile_scope_end(plan->scope, NULL);
}

static void wrong_ends(void) {
  mapfile *file = conf_open(conf_make("file", 4 * conf_page), 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_scope outer, inner, never;
  mapfile_fault fault = MAPFILE_FAULT_INIT, small = MAPFILE_FAULT_INIT;
  conf_thread thread;
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL, &view);
  memset(&never, 0, sizeof never);
  MAPFILE_SCOPE_INIT(&never);
  EXPECT_STATUS(mapfile_scope_end(&never, &fault), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_scope_end(NULL, &fault), MAPFILE_INVALID);
  EXPECT_STATUS(begin(&outer, file, &view), MAPFILE_OK);
  EXPECT_STATUS(mapfile_scope_begin(&outer, file, &view), MAPFILE_INVALID);
  EXPECT_STATUS(begin(&inner, file, &view), MAPFILE_OK);
  foreign_end plan = {&inner, MAPFILE_OK};
  conf_thread_start(&thread, end_elsewhere, &plan, 0);
  conf_thread_join(&thread);
  EXPECT_STATUS(plan.status, MAPFILE_INVALID);
  small.size = 4;
  EXPECT_STATUS(mapfile_scope_end(&inner, &small), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_scope_end(&inner, &fault), MAPFILE_OK);
  EXPECT_STATUS(mapfile_scope_end(&inner, &fault), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_scope_end(&outer, &fault), MAPFILE_OK);
  EXPECT_STATUS(mapfile_scope_end(&outer, &fault), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_scope_begin(NULL, file, &view), MAPFILE_INVALID);
  EXPECT_STATUS(begin(&inner, NULL, &view), MAPFILE_INVALID);
  never.size = 12;
  EXPECT_STATUS(mapfile_scope_begin(&never, file, &view), MAPFILE_INVALID);
  conf_unpin(&view);
  EXPECT_STATUS(begin(&inner, file, &view), MAPFILE_INVALID);
  /* A scope struct may be used again. */
  for (int i = 0; i < 3; i++) {
    EXPECT_STATUS(mapfile_scope_begin(&outer, file, NULL), MAPFILE_OK);
    EXPECT_STATUS(mapfile_scope_end(&outer, NULL), MAPFILE_OK);
  }
  conf_close(file);
}

/* VERIFY is heard here too. */
static void verified(void) {
  const char *path = conf_make("file", 4 * conf_page);
  mapfile *file = conf_open(path, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_scope scope;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL | MAPFILE_VERIFY, &view);
  EXPECT_STATUS(begin(&scope, file, &view), MAPFILE_OK);
  EXPECT_STATUS(mapfile_scope_end(&scope, &fault), MAPFILE_OK);
  conf_wait_for_clock();
  EXPECT_STATUS(begin(&scope, file, &view), MAPFILE_OK);
  conf_truncate(path, 3 * conf_page);
  EXPECT_STATUS(mapfile_scope_end(&scope, &fault), MAPFILE_TRUNCATED);
  EXPECT_STATUS(fault.status, MAPFILE_TRUNCATED);
  conf_unpin(&view);
  conf_close(file);
}

/* A copied view cannot fault later: pages that could not be read are filled when it is pinned. */
static void filled_when_pinned(void) {
  const char *path = conf_make("file", 6 * conf_page);
  mapfile *file = conf_open(path, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_scope scope;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  if (conf_emulated() && conf_page > 4096 && conf_access == MAPFILE_ACCESS_MAPPED)
    conf_not_testable("under the emulator a map ends within the large page in which its file does");
  conf_truncate(path, 2 * conf_page + 100);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL, &view);
  EXPECT_STATUS(begin(&scope, file, &view), MAPFILE_OK);
  EXPECT(conf_is_pattern(view.data, 2 * conf_page + 100, 0));
  EXPECT(conf_is_zero((char *)view.data + 2 * conf_page + 100, 4 * conf_page - 100));
  EXPECT_STATUS(mapfile_scope_end(&scope, &fault), MAPFILE_UNKNOWN);
  EXPECT(fault.filled_pages >= 3);
  EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_TRUNCATED);
  EXPECT_STATUS(mapfile_unpin(&view), MAPFILE_UNKNOWN);
  conf_close(file);
}

/* Many pages, and every second one: the worst that filling does to the number of maps. */
static void many_pages(void) {
  enum { PAGES = 1000 };
  const char *path = conf_make("file", PAGES * conf_page);
  mapfile *file = conf_open(path, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_scope scope;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  EXPECT_STATUS(mapfile_inject(file, 0, MAPFILE_TO_END, MAPFILE_IO), MAPFILE_OK);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL, &view);
  EXPECT_STATUS(begin(&scope, file, &view), MAPFILE_OK);
  for (size_t i = 1; i < PAGES; i += 2)
    EXPECT_UINT(conf_load((char *)view.data + i * conf_page), 0);
  EXPECT_STATUS(mapfile_scope_end(&scope, &fault), MAPFILE_UNKNOWN);
  EXPECT_UINT(fault.filled_pages, PAGES / 2);
  EXPECT_STATUS(mapfile_unpin(&view), MAPFILE_UNKNOWN);
  EXPECT_STATUS(mapfile_inject(file, 0, MAPFILE_TO_END, MAPFILE_OK), MAPFILE_OK);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT(conf_is_pattern(view.data, view.length, 0));
  conf_unpin(&view);
  conf_close(file);
}

/* Threads that touch the same bad pages at the same time. */

typedef struct filler {
  conf_damaged *one;
  atomic_int *ready;
} filler;

static void fill_at_once(void *argument) {
  filler *work = argument;
  mapfile_scope scope;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  EXPECT_STATUS(begin(&scope, work->one->file, &work->one->view), MAPFILE_OK);
  atomic_fetch_sub(work->ready, 1);
  while (atomic_load(work->ready) > 0)
    continue;
  for (uint64_t at = work->one->bad; at < work->one->size; at += conf_page)
    EXPECT_UINT(conf_load(work->one->data + at + 1), 0);
  EXPECT_STATUS(mapfile_scope_end(&scope, &fault), MAPFILE_UNKNOWN);
  EXPECT(fault.filled_pages >= 1);
}

static void threads_at_once(void) {
  enum { THREADS = 4 };
  for (int round = 0; round < 20; round++) {
    conf_damaged one;
    conf_thread threads[THREADS];
    atomic_int ready = THREADS;
    filler work = {&one, &ready};
    conf_damage(&one, "file", 12, 2, MAPFILE_ZERO_FILL);
    for (int i = 0; i < THREADS; i++)
      conf_thread_start(&threads[i], fill_at_once, &work, 0);
    for (int i = 0; i < THREADS; i++)
      conf_thread_join(&threads[i]);
    expect_filled_bytes(&one);
    undamage_filled(&one);
  }
}

/* A child that fills pages does so for itself. */

static mapfile_scope forked_scope;

static void fill_in_child(void *argument) {
  conf_damaged *one = argument;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  expect_filled_bytes(one);
  EXPECT_STATUS(mapfile_scope_end(&forked_scope, &fault), MAPFILE_UNKNOWN);
  EXPECT_UINT(fault.filled_pages, (one->size - one->bad) / conf_page);
  undamage_filled(one);
}

static void forked(void) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 8, 3, MAPFILE_ZERO_FILL);
  EXPECT_STATUS(begin(&forked_scope, one.file, &one.view), MAPFILE_OK);
  conf_child(fill_in_child, &one);
  EXPECT_STATUS(mapfile_scope_end(&forked_scope, &fault), MAPFILE_OK);
  EXPECT_UINT(fault.filled_pages, 0);
  conf_expect_fault(one.file, &one.view, one.data + one.bad, one.bad);
  conf_undamage(&one);
}

#define N CONF_NO_FAULTS
#define BOTH(promise, name, meaning, run)                             \
  {promise, name, meaning, CONF_MAPPED | CONF_FILLS, CONF_REAL, run}, \
      {promise, name, meaning, CONF_ANY, CONF_INJECTED, run}, {       \
    promise, name, meaning, CONF_ANY, CONF_IN_PAGE, run               \
  }

static const conf_case table[] = {
    BOTH("fault-zero-fill", "whole-view", "Bad pages do not become zeros, or are not reported.", whole_view),
    BOTH("fault-zero-fill", "nothing", "Pages are reported as filled that were not.", nothing_filled),
    BOTH("fault-zero-fill", "sticky", "Filled pages are forgotten: zeros pass for the file's bytes.", sticky),
    {"fault-zero-fill", "others", "Filled pages are seen in other views.", CONF_ANY, CONF_INJECTED, others_untouched},
    BOTH("fault-zero-fill", "only-its-own", "Pages of other views are filled.", only_its_own),
    BOTH("fault-zero-fill", "outward", "Faults elsewhere do not reach the scope around.", passes_outward),
    BOTH("fault-zero-fill", "other-views", "Pages of views that were not pinned to be filled are filled.",
         live_views_pass),
    BOTH("fault-zero-fill", "nesting", "A fault reaches the wrong kind of scope.", nesting),
    {"fault-zero-fill", "two-views", "Filled pages of several views are counted wrongly.", CONF_ANY, CONF_INJECTED,
     two_views},
    BOTH("fault-zero-fill", "unpinned", "Memory of a view that was let go vanishes within a scope.", unpinned_within),
    {"fault-zero-fill", "busy", "A mapfile can be closed under an open scope.", CONF_ANY, N, busy_while_open},
    {"fault-zero-fill", "wrong-ends", "Scopes that end in the wrong order or place go unnoticed.", CONF_ANY, N,
     wrong_ends},
    {"fault-zero-fill", "verified", "A change of the file goes unnoticed in a scope that verifies.", CONF_ANY,
     CONF_REAL, verified},
    {"fault-zero-fill", "filled-when-pinned", "Bytes that are gone are not reported as filled.", CONF_ANY, CONF_REAL,
     filled_when_pinned},
    {"fault-zero-fill", "many-pages", "Many filled pages break the view.", CONF_ANY, CONF_INJECTED, many_pages},
    {"fault-zero-fill", "forked", "Pages that a child filled are mixed up with its parent's.",
     CONF_MAPPED | CONF_FILLS | CONF_FORKS, CONF_REAL, forked},
    {"fault-zero-fill", "forked", "Pages that a child filled are mixed up with its parent's.", CONF_ANY | CONF_FORKS,
     CONF_INJECTED, forked},
    BOTH("fault-zero-fill", "threads", "Threads that meet the same bad page fail.", threads_at_once),
};

CONF_GROUP(conf_zero_fill, "zero-fill scopes");
