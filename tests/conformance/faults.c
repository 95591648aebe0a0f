/*
 * faults.c - the promises of scopes: which faults become which errors. No signal is named here.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conformance.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* fault-cause */

static void explain_injected(void) {
  static const mapfile_status causes[] = {MAPFILE_TRUNCATED, MAPFILE_IO,       MAPFILE_NO_SPACE, MAPFILE_POISONED,
                                          MAPFILE_PROTECTED, MAPFILE_RELEASED, MAPFILE_CHANGED,  MAPFILE_UNKNOWN};
  mapfile *file = conf_open(conf_make("file", 6 * conf_page), 0);
  for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
    mapfile_view view = MAPFILE_VIEW_INIT;
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    uint64_t bad = 2 * conf_page;
    EXPECT_STATUS(mapfile_inject(file, bad + 7, 10, causes[i]), MAPFILE_OK);
    conf_pin(file, 10, MAPFILE_TO_END, MAPFILE_ANY, &view);
    const unsigned char *data = (const unsigned char *)view.data - 10;
    conf_expect_good(file, &view, data + bad - 1);
    conf_touch touch = {data + bad, 0, 0};
    mapfile_status status = mapfile_try(file, &view, conf_touch_body, &touch, &fault);
    EXPECT(status == fault.status);
    EXPECT_ONE_OF(status, MAPFILE_UNKNOWN, causes[i]);
    EXPECT_UINT(touch.reached, 0);
    EXPECT_RECORD(&fault, file, data + bad, bad, MAPFILE_FAULT_READ);
    EXPECT_STATUS(mapfile_fault_explain(&fault), causes[i]);
    EXPECT_STATUS(fault.status, causes[i]);
    EXPECT_STATUS(mapfile_fault_explain(&fault), causes[i]);
    conf_expect_good(file, &view, data + bad + conf_page);
    conf_unpin(&view);
    EXPECT_STATUS(mapfile_inject(file, 0, MAPFILE_TO_END, MAPFILE_OK), MAPFILE_OK);
    conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
    EXPECT(conf_is_pattern(view.data, view.length, 0));
    conf_unpin(&view);
  }
  conf_close(file);
}

/* A range is injected, and made good again, under live views that are pinned already; copies keep their bytes. */
static void inject_under_views(void) {
  mapfile *file = conf_open(conf_make("file", 6 * conf_page), 0);
  mapfile_view live = MAPFILE_VIEW_INIT, copy = MAPFILE_VIEW_INIT;
  conf_pin(file, 0, MAPFILE_TO_END, conf_live(), &live);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_COPY, &copy);
  const unsigned char *data = live.data;
  EXPECT_STATUS(mapfile_inject(file, conf_page, 2 * conf_page, MAPFILE_IO), MAPFILE_OK);
  if (live.kind == MAPFILE_KIND_LIVE) {
    conf_expect_fault(file, &live, data + conf_page, conf_page);
    conf_expect_fault(file, &live, data + 3 * conf_page - 1, 3 * conf_page - 1);
    conf_expect_good(file, &live, data + conf_page - 1);
    conf_expect_good(file, &live, data + 3 * conf_page);
  }
  EXPECT(conf_is_pattern(copy.data, copy.length, 0));
  EXPECT_STATUS(mapfile_inject(file, 2 * conf_page, 1, MAPFILE_OK), MAPFILE_OK);
  if (live.kind == MAPFILE_KIND_LIVE) {
    conf_expect_fault(file, &live, data + conf_page, conf_page);
    conf_expect_good(file, &live, data + 2 * conf_page);
  }
  EXPECT_STATUS(mapfile_inject(file, 0, MAPFILE_TO_END, MAPFILE_OK), MAPFILE_OK);
  EXPECT(conf_is_pattern(live.data, live.length, 0));
  EXPECT(conf_is_pattern(copy.data, copy.length, 0));
  conf_unpin(&live);
  conf_unpin(&copy);
  conf_close(file);
}

/* Making a range good gives a copy the pages that failed in it, and takes it none of the others, whatever the file
   holds by now. */
static void mend_copies(void) {
  static const uint32_t flags[] = {MAPFILE_COPY, MAPFILE_COPY | MAPFILE_ZERO_FILL};
  static const unsigned char other[1] = {0xa5};
  for (int i = 0; i < 2; i++) {
    const char *path = conf_make("file", 6 * conf_page);
    mapfile *file = conf_open(path, 0);
    mapfile_view copy = MAPFILE_VIEW_INIT;
    EXPECT_STATUS(mapfile_inject(file, conf_page, 1, MAPFILE_IO), MAPFILE_OK);
    conf_pin(file, 0, MAPFILE_TO_END, flags[i], &copy);
    EXPECT_STATUS(mapfile_inject(file, 3 * conf_page, conf_page, MAPFILE_IO), MAPFILE_OK);
    conf_write_bytes(path, 3 * conf_page + 7, other, 1);
    conf_write_bytes(path, 4 * conf_page + 7, other, 1);
    EXPECT_STATUS(mapfile_inject(file, 0, MAPFILE_TO_END, MAPFILE_OK), MAPFILE_OK);
    EXPECT(conf_is_pattern(copy.data, copy.length, 0));
    conf_unpin(&copy);
    conf_close(file);
  }
}

/* Cut by this process through another descriptor, and by another process. On access copied the pin finds out. */
static void cut_and_explain(void (*cut)(const char *path, uint64_t size)) {
  const char *path = conf_make("file", 8 * conf_page);
  mapfile *file = conf_open(path, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  if (conf_access == MAPFILE_ACCESS_COPIED) {
    cut(path, 3 * conf_page + 100);
    EXPECT_STATUS(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view), MAPFILE_TRUNCATED);
    EXPECT_STATUS(mapfile_pin(file, 4 * conf_page, 1, MAPFILE_ANY, &view), MAPFILE_TRUNCATED);
    conf_pin(file, 0, 3 * conf_page + 100, MAPFILE_ANY, &view);
    EXPECT(conf_is_pattern(view.data, view.length, 0));
    conf_unpin(&view);
    conf_close(file);
    return;
  }
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  const unsigned char *data = view.data;
  cut(path, 3 * conf_page + 100);
  conf_expect_good(file, &view, data + 3 * conf_page + 99);
  conf_touch touch = {data + 4 * conf_page + 5, 0, 0};
  EXPECT_STATUS(mapfile_try(file, &view, conf_touch_body, &touch, &fault), MAPFILE_UNKNOWN);
  EXPECT_RECORD(&fault, file, touch.at, 4 * conf_page + 5, MAPFILE_FAULT_READ);
  EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_TRUNCATED);
  cut(path, 0);
  EXPECT_STATUS(mapfile_try(file, &view, conf_touch_body, &(conf_touch){data, 0, 0}, &fault), MAPFILE_UNKNOWN);
  EXPECT_RECORD(&fault, file, data, 0, MAPFILE_FAULT_READ);
  EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_TRUNCATED);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_TRUNCATED);
  conf_unpin(&view);
  conf_close(file);
}

static void cut_here(void) {
  cut_and_explain(conf_truncate);
}

static void cut_elsewhere(void) {
  cut_and_explain(conf_truncate_elsewhere);
}

/* The file has grown back before anyone asked for the cause: saying TRUNCATED would be a guess. */
static void healed_before_explain(void) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_wait_for_clock();
  conf_damage(&one, "file", 8, 3, MAPFILE_LIVE);
  conf_touch touch = {one.data + one.bad + 9, 0, 0};
  EXPECT_STATUS(mapfile_try(one.file, &one.view, conf_touch_body, &touch, &fault), MAPFILE_UNKNOWN);
  conf_truncate(one.path, one.size);
  EXPECT_ONE_OF(mapfile_fault_explain(&fault), MAPFILE_CHANGED, MAPFILE_UNKNOWN);
  conf_expect_good(one.file, &one.view, one.data + one.bad + 9);
  conf_undamage(&one);
}

static void nothing_to_explain(void) {
  mapfile *file = conf_open(conf_make("file", 100), 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_OK);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT_STATUS(mapfile_try(file, &view, conf_touch_body, &(conf_touch){view.data, 0, 0}, &fault), MAPFILE_OK);
  EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_OK);
  EXPECT(fault.file == NULL);
  conf_unpin(&view);
  conf_close(file);
}

/* A record that held a fault is clean again after a scope without one. */
static void record_used_again(void) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 4, 2, conf_live());
  EXPECT_STATUS(mapfile_try(one.file, &one.view, conf_touch_body, &(conf_touch){one.data + one.bad, 0, 0}, &fault),
                MAPFILE_UNKNOWN);
  EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_TRUNCATED);
  EXPECT_STATUS(mapfile_try(one.file, &one.view, conf_touch_body, &(conf_touch){one.data, 0, 0}, &fault), MAPFILE_OK);
  EXPECT_STATUS(fault.status, MAPFILE_OK);
  EXPECT(fault.file == NULL && fault.address == NULL);
  EXPECT_UINT(fault.offset, 0);
  EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_OK);
  conf_undamage(&one);
}

/* The cause can be asked for as long as the mapfile is open, from any thread. */
static void explain_elsewhere(void *argument) {
  EXPECT_STATUS(mapfile_fault_explain(argument), MAPFILE_TRUNCATED);
}

static void explained_after_unpin(void) {
  conf_damaged one;
  conf_thread thread;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 6, 3, conf_live());
  EXPECT_STATUS(mapfile_try(one.file, &one.view, conf_touch_body, &(conf_touch){one.data + one.bad, 0, 0}, &fault),
                MAPFILE_UNKNOWN);
  conf_unpin(&one.view);
  conf_thread_start(&thread, explain_elsewhere, &fault, 0);
  conf_thread_join(&thread);
  EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_TRUNCATED);
  conf_close(one.file);
}

/* fault-exact */

static void every_offset(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_good(one.file, &one.view, one.data + one.bad - 1);
  for (uint64_t at = one.bad; at < one.bad + conf_page; at += 61)
    conf_expect_fault(one.file, &one.view, one.data + at, at);
  const uint64_t edges[] = {one.bad, one.bad + 1, one.bad + conf_page - 1, one.bad + conf_page, one.size - 1};
  for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
    conf_expect_fault(one.file, &one.view, one.data + edges[i], edges[i]);
    conf_expect_fault(one.file, NULL, one.data + edges[i], edges[i]);
  }
  conf_undamage(&one);
}

/* Views that begin at odd places: the offset is the file's, not the view's. */
static void odd_views(void) {
  const uint64_t starts[] = {1, 4095, conf_page + 17, 2 * conf_page, 3 * conf_page + 5};
  const char *path = conf_make("file", 8 * conf_page);
  mapfile *file = conf_open(path, 0);
  if (conf_faulty == CONF_INJECTED)
    EXPECT_STATUS(mapfile_inject(file, 4 * conf_page, MAPFILE_TO_END, MAPFILE_TRUNCATED), MAPFILE_OK);
  for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
    mapfile_view view = MAPFILE_VIEW_INIT;
    conf_pin(file, starts[i], 6 * conf_page - starts[i], conf_live(), &view);
    if (conf_faulty == CONF_REAL)
      conf_truncate(path, 4 * conf_page);
    const unsigned char *data = (const unsigned char *)view.data - starts[i];
    conf_expect_good(file, &view, data + 4 * conf_page - 1);
    conf_expect_fault(file, &view, data + 4 * conf_page + 3, 4 * conf_page + 3);
    conf_expect_fault(file, NULL, data + 6 * conf_page - 1, 6 * conf_page - 1);
    if (conf_faulty == CONF_REAL)
      conf_truncate(path, 8 * conf_page);
    conf_unpin(&view);
  }
  conf_close(file);
}

static mapfile_status MAPFILE_CALL store_body(void *argument) {
  conf_touch *touch = argument;
  conf_store((void *)(uintptr_t)touch->at, 1);
  touch->reached = touch->reached + 1;
  return MAPFILE_OK;
}

static void writes(void) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_view probe = MAPFILE_VIEW_INIT;
  mapfile *other = conf_open(conf_make("probe", 10), MAPFILE_WRITE);
  if (mapfile_pin(other, 0, 10, MAPFILE_SHARED, &probe) == MAPFILE_UNSUPPORTED)
    conf_differs("the file system has no writable maps");
  conf_unpin(&probe);
  conf_close(other);
  conf_damage(&one, "file", 6, 3, MAPFILE_SHARED);
  for (uint64_t at = one.bad; at < one.size; at += 777) {
    conf_touch touch = {one.data + at, 0, 0};
    EXPECT_STATUS(mapfile_try(one.file, &one.view, store_body, &touch, &fault), MAPFILE_UNKNOWN);
    EXPECT_UINT(touch.reached, 0);
    EXPECT_RECORD(&fault, one.file, touch.at, at, MAPFILE_FAULT_WRITE);
    conf_expect_fault(one.file, &one.view, touch.at, at);
  }
  EXPECT_STATUS(mapfile_try(one.file, &one.view, store_body, &(conf_touch){one.data, 0, 0}, &fault), MAPFILE_OK);
  EXPECT_STATUS(fault.status, MAPFILE_OK);
  conf_undamage(&one);
}

/* A private view of a file that is cut loses its pages too. */
static void private_writes(void) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 6, 3, MAPFILE_PRIVATE);
  conf_touch touch = {one.data + one.bad + 50, 0, 0};
  EXPECT_STATUS(mapfile_try(one.file, &one.view, store_body, &touch, &fault), MAPFILE_UNKNOWN);
  EXPECT_RECORD(&fault, one.file, touch.at, one.bad + 50, MAPFILE_FAULT_WRITE);
  conf_expect_fault(one.file, &one.view, touch.at, one.bad + 50);
  EXPECT_STATUS(mapfile_try(one.file, &one.view, store_body, &(conf_touch){one.data, 0, 0}, &fault), MAPFILE_OK);
  conf_undamage(&one);
}

typedef struct copying {
  const unsigned char *from;
  unsigned char *to;
  size_t length;
} copying;

static mapfile_status MAPFILE_CALL copy_body(void *argument) {
  const copying *work = argument;
  memcpy(work->to, work->from, work->length);
  return MAPFILE_OK;
}

/* What library code and wide instructions touch: the fault lies in the first bad page, wherever the copy began. */
static void library_code(void) {
  conf_damaged one;
  static unsigned char buffer[8 * 65536];
  conf_damage(&one, "file", 8, 4, conf_live());
  for (size_t before = 1; before < 3 * conf_page; before = before * 2 + 1) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    copying work = {one.data + one.bad - before, buffer, before + 100};
    EXPECT_STATUS(mapfile_try(one.file, &one.view, copy_body, &work, &fault), MAPFILE_UNKNOWN);
    EXPECT(fault.offset >= one.bad && fault.offset < one.bad + conf_page);
    EXPECT(fault.address == one.data + fault.offset);
    work.length = before;
    EXPECT_STATUS(mapfile_try(one.file, &one.view, copy_body, &work, &fault), MAPFILE_OK);
    EXPECT(conf_is_pattern(buffer, before, one.bad - before));
  }
  conf_undamage(&one);
}

static mapfile_status MAPFILE_CALL load_wide(void *argument) {
  conf_touch *touch = argument;
  uint64_t value;
  const unsigned char *from = touch->at;
  __asm__ volatile("" : "+r"(from));
  memcpy(&value, from, sizeof value);
  __asm__ volatile("" ::"r"(&value) : "memory");
  touch->value = (unsigned)value;
  return MAPFILE_OK;
}

/* Eight bytes of which some lie in the good page. */
static void straddling(void) {
  conf_damaged one;
  conf_damage(&one, "file", 4, 2, conf_live());
  for (uint64_t before = 1; before < 8; before++) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    conf_touch touch = {one.data + one.bad - before, 0, 0};
    EXPECT_STATUS(mapfile_try(one.file, &one.view, load_wide, &touch, &fault), MAPFILE_UNKNOWN);
    EXPECT(fault.offset >= one.bad - before && fault.offset < one.bad + 8);
    EXPECT(fault.address == one.data + fault.offset);
  }
  conf_undamage(&one);
}

/* The body's own word passes through, whatever it is. */
static mapfile_status MAPFILE_CALL say(void *argument) {
  return *(mapfile_status *)argument;
}

static void own_status(void) {
  static const mapfile_status said[] = {MAPFILE_OK, MAPFILE_UNKNOWN, MAPFILE_INVALID, -1, 12345, INT32_MIN, INT32_MAX};
  mapfile *file = conf_open(conf_make("file", 100), 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    mapfile_status words = said[i];
    EXPECT_STATUS(mapfile_try(file, &view, say, &words, &fault), words);
    EXPECT_STATUS(fault.status, MAPFILE_OK);
    EXPECT_STATUS(mapfile_try(file, NULL, say, &words, NULL), words);
  }
  conf_unpin(&view);
  conf_close(file);
}

/* Threads, each with a view and a place of its own. */

typedef struct toucher {
  mapfile *file;
  const mapfile_view *view;
  uint64_t first, size, seed;
  int rounds;
} toucher;

static void touch_much(void *argument) {
  toucher *work = argument;
  const unsigned char *data = work->view->data;
  for (int i = 0; i < work->rounds; i++) {
    uint64_t at = work->first + conf_random(&work->seed) % (work->size - work->first);
    conf_expect_fault(work->file, i % 2 == 0 ? work->view : NULL, data + at, at);
    uint64_t good = conf_random(&work->seed) % work->first;
    conf_expect_good(work->file, work->view, data + good);
  }
}

static void from_threads(void) {
  enum { THREADS = 8 };
  conf_damaged one;
  conf_thread threads[THREADS];
  toucher work[THREADS];
  conf_damage(&one, "file", 20, 7, conf_live());
  for (unsigned i = 0; i < THREADS; i++) {
    work[i] = (toucher){one.file, &one.view, one.bad, one.size, 99 + i, 200};
    conf_thread_start(&threads[i], touch_much, &work[i], 0);
  }
  for (unsigned i = 0; i < THREADS; i++)
    conf_thread_join(&threads[i]);
  conf_undamage(&one);
}

/* Nesting: the innermost scope that covers the address takes the fault. */

typedef struct nest {
  mapfile *inner_file;
  const mapfile_view *inner_view;
  const unsigned char *inner_at, *outer_at;
  mapfile_fault *inner_fault;
  mapfile_status inner_status;
  int after_inner;
} nest;

static mapfile_status MAPFILE_CALL inner_then_outer(void *argument) {
  nest *plan = argument;
  conf_touch touch = {plan->inner_at, 0, 0};
  plan->inner_status = mapfile_try(plan->inner_file, plan->inner_view, conf_touch_body, &touch, plan->inner_fault);
  plan->after_inner++;
  if (plan->outer_at != NULL)
    plan->inner_status = (mapfile_status)conf_load(plan->outer_at);
  return MAPFILE_OK;
}

static void nested(void) {
  conf_damaged a, b;
  mapfile_fault inner = MAPFILE_FAULT_INIT, outer = MAPFILE_FAULT_INIT;
  conf_damage(&a, "a", 6, 3, conf_live());
  conf_damage(&b, "b", 6, 2, conf_live());
  /* A fault of the inner view: caught within, the outer scope goes on. */
  nest plan = {b.file, &b.view, b.data + b.bad + 1, NULL, &inner, MAPFILE_OK, 0};
  EXPECT_STATUS(mapfile_try(a.file, &a.view, inner_then_outer, &plan, &outer), MAPFILE_OK);
  EXPECT_STATUS(plan.inner_status, MAPFILE_UNKNOWN);
  EXPECT_RECORD(&inner, b.file, b.data + b.bad + 1, b.bad + 1, MAPFILE_FAULT_READ);
  EXPECT_STATUS(outer.status, MAPFILE_OK);
  EXPECT_UINT(plan.after_inner, 1);
  /* Then one of the outer view, after the inner scope has ended. */
  mapfile_fault again = MAPFILE_FAULT_INIT;
  plan = (nest){b.file, &b.view, b.data + b.bad + 1, a.data + a.bad + 2, &again, MAPFILE_OK, 0};
  EXPECT_STATUS(mapfile_try(a.file, &a.view, inner_then_outer, &plan, &outer), MAPFILE_UNKNOWN);
  EXPECT_UINT(plan.after_inner, 1);
  EXPECT_RECORD(&outer, a.file, a.data + a.bad + 2, a.bad + 2, MAPFILE_FAULT_READ);
  /* A fault of the outer view while the inner scope is open: both are left, the outer one tells. */
  mapfile_fault untouched = MAPFILE_FAULT_INIT, took = MAPFILE_FAULT_INIT;
  plan = (nest){b.file, &b.view, a.data + a.bad + 3, NULL, &untouched, MAPFILE_OK, 0};
  EXPECT_STATUS(mapfile_try(a.file, NULL, inner_then_outer, &plan, &took), MAPFILE_UNKNOWN);
  EXPECT_UINT(plan.after_inner, 0);
  EXPECT_STATUS(untouched.status, MAPFILE_OK);
  EXPECT_RECORD(&took, a.file, a.data + a.bad + 3, a.bad + 3, MAPFILE_FAULT_READ);
  /* And nothing of that is left behind. */
  conf_expect_fault(b.file, &b.view, b.data + b.bad, b.bad);
  conf_expect_fault(a.file, NULL, a.data + a.bad, a.bad);
  conf_undamage(&a);
  conf_undamage(&b);
}

/* Scopes within scopes within scopes, many more than any table could be sized for, and a fault for one of them. */

typedef struct stack_of_scopes {
  conf_damaged *good, *bad;
  int depth, catcher, reached;
  const unsigned char *at;
} stack_of_scopes;

static mapfile_status MAPFILE_CALL descend(void *argument) {
  stack_of_scopes *plan = argument;
  if (plan->depth == 0) {
    plan->reached++;
    return (mapfile_status)(conf_load(plan->at) * 0);
  }
  conf_damaged *of = plan->depth == plan->catcher ? plan->bad : plan->good;
  plan->depth--;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_status status = mapfile_try(of->file, plan->depth % 2 == 0 ? &of->view : NULL, descend, plan, &fault);
  if (status == MAPFILE_UNKNOWN) {
    EXPECT(of == plan->bad);
    EXPECT_RECORD(&fault, of->file, plan->at, (uint64_t)(plan->at - of->data), MAPFILE_FAULT_READ);
    return 1000;
  }
  return status;
}

static void nested_deeply(void) {
  conf_damaged good, bad;
  conf_damage(&good, "good", 4, 4, conf_live());
  conf_damage(&bad, "bad", 4, 1, conf_live());
  for (int depth = 1; depth <= 64; depth++)
    for (int catcher = depth; catcher >= 1; catcher -= 1 + depth / 9) {
      stack_of_scopes plan = {&good, &bad, depth, catcher, 0, bad.data + bad.bad + (unsigned)depth};
      EXPECT_STATUS(descend(&plan), 1000);
      EXPECT_UINT(plan.reached, 1);
    }
  conf_undamage(&good);
  conf_undamage(&bad);
}

/* Through any number of frames, and through frames of the C library. */

static const unsigned char *compare_at;

static int compare_bad(const void *one, const void *other) {
  return conf_load(compare_at) != 0 ? (one > other) - (one < other) : 0;
}

static __attribute__((noinline)) unsigned recurse(unsigned depth, const void *at) {
  volatile unsigned char frame[64];
  frame[depth % 64] = (unsigned char)depth;
  return depth == 0 ? conf_load(at) : recurse(depth - 1, at) + frame[depth % 64];
}

static mapfile_status MAPFILE_CALL recurse_body(void *argument) {
  conf_touch *touch = argument;
  /* valgrind cannot deliver a signal far down a stack that has just grown. */
  touch->value = recurse(conf_under("valgrind") ? 100 : 5000, touch->at);
  return MAPFILE_OK;
}

static mapfile_status MAPFILE_CALL sort_body(void *argument) {
  int numbers[100] = {0};
  (void)argument;
  qsort(numbers, 100, sizeof numbers[0], compare_bad);
  return MAPFILE_OK;
}

static void through_frames(void) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_touch touch = {one.data + one.bad + 123, 0, 0};
  EXPECT_STATUS(mapfile_try(one.file, &one.view, recurse_body, &touch, &fault), MAPFILE_UNKNOWN);
  EXPECT_RECORD(&fault, one.file, touch.at, one.bad + 123, MAPFILE_FAULT_READ);
  compare_at = one.data + one.bad + 321;
  EXPECT_STATUS(mapfile_try(one.file, &one.view, sort_body, NULL, &fault), MAPFILE_UNKNOWN);
  EXPECT_RECORD(&fault, one.file, compare_at, one.bad + 321, MAPFILE_FAULT_READ);
  conf_undamage(&one);
}

static void many_times(void) {
  conf_damaged one;
  conf_holdings before;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_fault(one.file, &one.view, one.data + one.bad, one.bad);
  conf_count_holdings(&before);
  for (unsigned i = 0; i < 10000; i++) {
    uint64_t at = one.bad + i % (3 * (unsigned)conf_page);
    conf_expect_fault(one.file, i % 2 == 0 ? &one.view : NULL, one.data + at, at);
  }
  EXPECT_NO_LEAK(&before);
  conf_undamage(&one);
}

/* In place */

#ifdef MAPFILE_TRY

static __attribute__((noinline)) int touch_in_place(mapfile *file, const mapfile_view *view, const void *at,
                                                    mapfile_fault *fault) {
  volatile int way = 0;
  MAPFILE_TRY(file, view, fault) {
    way = way | 1;
    conf_load(at);
    way = way | 2;
  }
  MAPFILE_CATCH {
    way = way | 4;
  }
  MAPFILE_END_TRY
  return way;
}

static void in_place(void) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT, empty = MAPFILE_FAULT_INIT, small = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 6, 3, conf_live());
  for (uint64_t at = one.bad; at < one.size; at += 1001) {
    EXPECT_UINT(touch_in_place(one.file, &one.view, one.data + at, &fault), 1 | 4);
    EXPECT_RECORD(&fault, one.file, one.data + at, at, MAPFILE_FAULT_READ);
    EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_TRUNCATED);
    EXPECT_UINT(touch_in_place(one.file, NULL, one.data + at - one.bad, &fault), 1 | 2);
    EXPECT_STATUS(fault.status, MAPFILE_OK);
  }
  /* What cannot be entered goes to the CATCH block. */
  EXPECT_UINT(touch_in_place(NULL, NULL, one.data, &empty), 4);
  EXPECT_STATUS(empty.status, MAPFILE_INVALID);
  mapfile_view unpinned = MAPFILE_VIEW_INIT;
  EXPECT_UINT(touch_in_place(one.file, &unpinned, one.data, &empty), 4);
  EXPECT_STATUS(empty.status, MAPFILE_INVALID);
  small.size = 8;
  EXPECT_UINT(touch_in_place(one.file, &one.view, one.data, &small), 4);
  conf_undamage(&one);
}

/* A record of the same function: what the compiler knew of it before the fault is no longer so. */
static __attribute__((noinline)) uint64_t own_record(mapfile *file, const void *at, mapfile_status *status) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  MAPFILE_TRY(file, NULL, &fault) {
    conf_load(at);
  }
  MAPFILE_CATCH {
    *status = fault.status;
    return fault.offset;
  }
  MAPFILE_END_TRY
  *status = fault.status;
  return fault.offset;
}

static void in_place_own_record(void) {
  conf_damaged one;
  mapfile_status status = MAPFILE_OK;
  conf_damage(&one, "file", 6, 3, conf_live());
  for (uint64_t at = one.bad; at < one.size; at += 1001) {
    uint64_t told = own_record(one.file, one.data + at, &status);
    EXPECT_UINT(CONF_EXACT ? told : told / conf_page, CONF_EXACT ? at : at / conf_page);
    EXPECT_STATUS(status, MAPFILE_UNKNOWN);
    EXPECT_UINT(own_record(one.file, one.data + at - one.bad, &status), 0);
    EXPECT_STATUS(status, MAPFILE_OK);
  }
  conf_undamage(&one);
}

/* Each way out of the block: 0 its end, 1 break, 2 continue, 3 return, 4 goto. */
static __attribute__((noinline)) int leave_by(int way, mapfile *file, const mapfile_view *view, mapfile_fault *fault) {
  for (volatile int round = 0; round < 1; round = round + 1) {
    MAPFILE_TRY(file, view, fault) {
      conf_load(view->data);
      if (way == 1)
        break;
      if (way == 2)
        continue;
      if (way == 3)
        return way;
      if (way == 4)
        goto out;
    }
    MAPFILE_CATCH {
      return -1;
    }
    MAPFILE_END_TRY
  }
out:
  return way;
}

static __attribute__((noinline)) int leave_catch_by(int way, mapfile *file, const mapfile_view *view, const void *at,
                                                    mapfile_fault *fault) {
  for (volatile int round = 0; round < 1; round = round + 1) {
    MAPFILE_TRY(file, view, fault) {
      conf_load(at);
      return -1;
    }
    MAPFILE_CATCH {
      if (way == 1)
        break;
      if (way == 2)
        continue;
      if (way == 3)
        return way;
      if (way == 4)
        goto out;
    }
    MAPFILE_END_TRY
  }
out:
  return way;
}

typedef struct leaving {
  conf_damaged *outer, *inner;
  int way;
} leaving;

/* After each way out, a fault of the inner view must reach the outer scope: the inner one is no more. */
static mapfile_status MAPFILE_CALL leave_then_touch(void *argument) {
  const leaving *plan = argument;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  if (plan->way < 5)
    EXPECT_UINT(leave_by(plan->way, plan->inner->file, &plan->inner->view, &fault), plan->way);
  else
    EXPECT_UINT(leave_catch_by(plan->way - 5, plan->inner->file, &plan->inner->view,
                               plan->inner->data + plan->inner->bad, &fault),
                plan->way - 5);
  conf_load(plan->inner->data + plan->inner->bad + 1);
  return MAPFILE_OK;
}

static void left_by_jumping_out(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int way = 0; way < 10; way++) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    leaving plan = {&one, &one, way};
    EXPECT_STATUS(mapfile_try(one.file, NULL, leave_then_touch, &plan, &fault), MAPFILE_UNKNOWN);
    EXPECT_RECORD(&fault, one.file, one.data + one.bad + 1, one.bad + 1, MAPFILE_FAULT_READ);
  }
  conf_undamage(&one);
}

/* Nested blocks of a macro are not understood by the formatter. */
/* clang-format off */
static __attribute__((noinline)) int three_in_place(conf_damaged *a, conf_damaged *b, const void *at) {
  volatile int way = 0;
  mapfile_fault first = MAPFILE_FAULT_INIT, second = MAPFILE_FAULT_INIT, third = MAPFILE_FAULT_INIT;
  MAPFILE_TRY(a->file, NULL, &first) {
    MAPFILE_TRY(b->file, &b->view, &second) {
      MAPFILE_TRY(b->file, NULL, &third) {
        conf_load(at);
      }
      MAPFILE_CATCH {
        way = way + 100;
      }
      MAPFILE_END_TRY
      conf_load(b->data + b->bad);
    }
    MAPFILE_CATCH {
      way = way + 10;
      conf_load(a->data + a->bad);
    }
    MAPFILE_END_TRY
  }
  MAPFILE_CATCH {
    way = way + 1;
  }
  MAPFILE_END_TRY
  return way;
}
/* clang-format on */

static void nested_in_place(void) {
  conf_damaged a, b;
  conf_damage(&a, "a", 6, 3, conf_live());
  conf_damage(&b, "b", 6, 3, conf_live());
  for (int i = 0; i < 20; i++) {
    EXPECT_UINT(three_in_place(&a, &b, b.data), 11);
    EXPECT_UINT(three_in_place(&a, &b, b.data + b.bad), 111);
    EXPECT_UINT(three_in_place(&a, &b, a.data + a.bad), 1);
  }
  conf_undamage(&a);
  conf_undamage(&b);
}

/* Much that lives in registers over the scope is there after it. */
static __attribute__((noinline)) uint64_t keep_values(mapfile *file, const mapfile_view *view, const void *at,
                                                      mapfile_fault *fault, uint64_t a, uint64_t b, uint64_t c) {
  const uint64_t d = a * b, e = b * c, f = c * a, g = d ^ e, h = e ^ f, i = d + f, j = g * h + i;
  MAPFILE_TRY(file, view, fault) {
    conf_load(at);
  }
  MAPFILE_CATCH {
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j;
  }
  MAPFILE_END_TRY
  return 0;
}

static uint64_t values_wanted(uint64_t a, uint64_t b, uint64_t c) {
  uint64_t d = a * b, e = b * c, f = c * a, g = d ^ e, h = e ^ f, i = d + f, j = g * h + i;
  return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j;
}

static void values_kept(void) {
  conf_damaged one;
  uint64_t state = 3;
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int i = 0; i < 100; i++) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    uint64_t a = conf_random(&state), b = conf_random(&state), c = conf_random(&state);
    EXPECT_UINT(keep_values(one.file, &one.view, one.data + one.bad, &fault, a, b, c), values_wanted(a, b, c));
  }
  conf_undamage(&one);
}

#endif

/* fault-changed */

static void show_times(void) {
  /* Does this file system show at all that a file was cut and grew back? Asked of the library's own check, on another
     file, because it looks at the same times. */
  const char *path = conf_make("times", conf_page);
  mapfile *file = conf_open(path, 0);
  conf_wait_for_clock();
  conf_truncate(path, 0);
  conf_truncate(path, conf_page);
  mapfile_status status = mapfile_check(file);
  conf_close(file);
  if (status == MAPFILE_OK)
    conf_differs("the times of this file system do not show that a file was cut and grew back");
}

static mapfile_status MAPFILE_CALL do_nothing(void *argument) {
  (void)argument;
  return MAPFILE_OK;
}

typedef struct regrow {
  const char *path;
  uint64_t size;
} regrow;

static mapfile_status MAPFILE_CALL shrink_and_regrow(void *argument) {
  const regrow *plan = argument;
  conf_truncate(plan->path, 0);
  conf_truncate(plan->path, plan->size);
  return MAPFILE_OK;
}

/* The file shrinks and grows back within the scope: zeros where bytes were, and no fault. */
static void regrown_in_scope(void) {
  show_times();
  regrow plan = {conf_make("file", 3 * conf_page), 3 * conf_page};
  mapfile *file = conf_open(plan.path, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_pin(file, 10, MAPFILE_TO_END, MAPFILE_VERIFY, &view);
  EXPECT_STATUS(mapfile_try(file, &view, do_nothing, NULL, &fault), MAPFILE_OK);
  EXPECT_STATUS(mapfile_view_check(&view), MAPFILE_OK);
  conf_wait_for_clock();
  EXPECT_STATUS(mapfile_try(file, &view, shrink_and_regrow, &plan, &fault), MAPFILE_CHANGED);
  EXPECT_STATUS(fault.status, MAPFILE_CHANGED);
  EXPECT_STATUS(mapfile_view_check(&view), MAPFILE_CHANGED);
  /* The known state is not touched by any of that. */
  EXPECT_STATUS(mapfile_check(file), MAPFILE_CHANGED);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_OK);
  EXPECT_STATUS(mapfile_view_check(&view), MAPFILE_CHANGED);
  conf_unpin(&view);
  conf_pin(file, 10, MAPFILE_TO_END, MAPFILE_VERIFY, &view);
  EXPECT_STATUS(mapfile_view_check(&view), MAPFILE_OK);
  conf_unpin(&view);
  conf_close(file);
}

static void shrunk_and_checked(void) {
  const char *path = conf_make("file", 4 * conf_page);
  mapfile *file = conf_open(path, 0);
  mapfile_view head = MAPFILE_VIEW_INIT, tail = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_pin(file, 0, conf_page, MAPFILE_VERIFY, &head);
  conf_pin(file, conf_page, MAPFILE_TO_END, MAPFILE_VERIFY, &tail);
  conf_wait_for_clock();
  conf_truncate_elsewhere(path, 3 * conf_page);
  EXPECT_STATUS(mapfile_view_check(&tail), MAPFILE_TRUNCATED);
  EXPECT_STATUS(mapfile_view_check(&head), MAPFILE_CHANGED);
  EXPECT_STATUS(mapfile_try(file, &tail, do_nothing, NULL, &fault), MAPFILE_TRUNCATED);
  EXPECT_STATUS(mapfile_try(file, &head, do_nothing, NULL, &fault), MAPFILE_CHANGED);
  /* A body that says something is not spoken over. */
  mapfile_status word = 77;
  EXPECT_STATUS(mapfile_try(file, &tail, say, &word, &fault), 77);
  conf_unpin(&head);
  conf_unpin(&tail);
  conf_close(file);
}

static void written_and_checked(void) {
  const char *path = conf_make("file", 4 * conf_page);
  mapfile *file = conf_open(path, 0);
  mapfile_view view = MAPFILE_VIEW_INIT, plain = MAPFILE_VIEW_INIT;
  show_times();
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_VERIFY, &view);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &plain);
  EXPECT_STATUS(mapfile_view_check(&plain), MAPFILE_INVALID);
  conf_wait_for_clock();
  conf_write_bytes(path, 5, "other", 5);
  EXPECT_STATUS(mapfile_view_check(&view), MAPFILE_CHANGED);
  EXPECT_STATUS(mapfile_try(file, &view, do_nothing, NULL, NULL), MAPFILE_CHANGED);
  EXPECT_STATUS(mapfile_try(file, &plain, do_nothing, NULL, NULL), MAPFILE_OK);
  conf_unpin(&view);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_VERIFY, &view);
  conf_wait_for_clock();
  conf_write_pattern(path, 4 * conf_page, 100);
  EXPECT_STATUS(mapfile_view_check(&view), MAPFILE_CHANGED);
  conf_unpin(&view);
  conf_unpin(&plain);
  conf_close(file);
}

#define N CONF_NO_FAULTS

static const conf_case table[] = {
    {"fault-cause", "injected", "The cause of a failure is reported wrongly.", CONF_ANY, CONF_INJECTED,
     explain_injected},
    {"fault-cause", "under-views", "Injected faults do not reach views that are pinned, or stay.", CONF_ANY,
     CONF_INJECTED, inject_under_views},
    {"fault-cause", "mended-copies", "A copied view changes when an injected range is made good.", CONF_ANY,
     CONF_INJECTED, mend_copies},
    {"fault-cause", "cut-here", "A file that was cut is reported as something else, or kills the program.", CONF_ANY,
     CONF_REAL, cut_here},
    {"fault-cause", "cut-elsewhere", "Another process can kill this one by cutting a file.", CONF_ANY, CONF_REAL,
     cut_elsewhere},
    {"fault-cause", "healed", "A cause is guessed after it has gone.", CONF_MAPPED, CONF_REAL, healed_before_explain},
    {"fault-cause", "nothing", "A fault is reported where there was none.", CONF_ANY, N, nothing_to_explain},
    CONF_BOTH("fault-cause", "record-again", "A fault record keeps what an earlier scope left in it.",
              record_used_again),
    CONF_BOTH("fault-cause", "after-unpin", "The cause of a fault is lost when its view is let go.",
              explained_after_unpin),
    CONF_BOTH("fault-exact", "every-offset", "The offset of a fault is reported wrongly.", every_offset),
    CONF_BOTH("fault-exact", "odd-views", "The offset of a fault is wrong in views at odd places.", odd_views),
    {"fault-exact", "writes", "Stores to a file that was cut are not recovered, or reported as reads.", CONF_MAPPED,
     CONF_REAL, writes},
    {"fault-exact", "writes", "Injected faults of stores are not recovered, or reported as reads.", CONF_MAPPED,
     CONF_INJECTED, writes},
    {"fault-exact", "private-writes", "Stores to a private view of a file that was cut kill the program.", CONF_MAPPED,
     CONF_REAL, private_writes},
    CONF_BOTH("fault-exact", "library-code", "Faults in memcpy and the like are reported wrongly.", library_code),
    CONF_BOTH("fault-exact", "straddling", "A load that begins in a good page is reported wrongly.", straddling),
    {"fault-exact", "own-status", "What the guarded code returns is lost.", CONF_ANY, N, own_status},
    CONF_BOTH("fault-exact", "threads", "Faults of several threads are mixed up.", from_threads),
    CONF_BOTH("fault-exact", "nested", "A fault reaches the wrong one of two nested scopes.", nested),
    CONF_BOTH("fault-exact", "nested-deeply", "A fault reaches the wrong one of many nested scopes.", nested_deeply),
    CONF_BOTH("fault-exact", "frames", "Faults deep in the call stack are not recovered.", through_frames),
    CONF_BOTH("fault-exact", "many-times", "After many faults recovery fails, or something leaks.", many_times),
#ifdef MAPFILE_TRY
    CONF_BOTH("fault-exact", "in-place", "MAPFILE_TRY does not catch what it should.", in_place),
    CONF_BOTH("fault-exact", "own-record", "MAPFILE_CATCH does not see the fault in a record of its function.",
              in_place_own_record),
    CONF_BOTH("fault-exact", "nested-in-place", "Nested MAPFILE_TRY blocks catch each other's faults.",
              nested_in_place),
    CONF_BOTH("fault-exact", "values-kept", "Variables are lost by a recovery.", values_kept),
    CONF_BOTH("fault-dead-frame", "left-by-jumping-out",
              "A scope left by break or return stays armed and is jumped to.", left_by_jumping_out),
#endif
    {"fault-changed", "regrown", "A file that shrank and grew back is taken for unchanged.", CONF_ANY, CONF_REAL,
     regrown_in_scope},
    {"fault-changed", "shrunk", "A file that shrank is taken for unchanged.", CONF_ANY, CONF_REAL, shrunk_and_checked},
    {"fault-changed", "written", "A file that was written to is taken for unchanged.", CONF_ANY, CONF_REAL,
     written_and_checked},
};

CONF_GROUP(conf_faults, "faults");
