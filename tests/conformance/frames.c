/*
 * frames.c - the promises about frames: scopes of threads that end, of small stacks, and such as a jump has left.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conformance.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

/* fault-thread-exit */

static mapfile_status MAPFILE_CALL exit_thread(void *argument) {
  (void)argument;
  conf_thread_exit();
}

static void exit_in_scope(void *argument) {
  conf_damaged *one = argument;
  conf_expect_recovery(one);
  mapfile_try(one->file, NULL, exit_thread, NULL, NULL);
}

static void recover(void *argument) {
  conf_expect_recovery(argument);
}

/* The next thread gets the stack of the one before, with its dead scopes on it. */
static void thread_exits(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int i = 0; i < 200; i++) {
    conf_thread leaver, other;
    conf_thread_start(&leaver, exit_in_scope, &one, 0);
    conf_thread_join(&leaver);
    conf_thread_start(&other, recover, &one, 0);
    conf_thread_join(&other);
  }
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

static void load_in_thread(void *argument) {
  conf_load(argument);
}

static void die_after_exit(void *argument) {
  conf_damaged one;
  conf_thread thread;
  (void)argument;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_thread_start(&thread, exit_in_scope, &one, 0);
  conf_thread_join(&thread);
  conf_thread_start(&thread, load_in_thread, (void *)(uintptr_t)conf_die_at(one.data + one.bad + 5), 0);
  conf_thread_join(&thread);
}

static void thread_exits_and_other_dies(void) {
  conf_expect_kills(die_after_exit, NULL);
}

/* fault-small-stack */

static void recover_thrice(void *argument) {
  for (int i = 0; i < 3; i++)
    conf_expect_recovery(argument);
}

static void small_stack(void) {
  conf_damaged one;
  conf_thread thread;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_thread_start(&thread, recover_thrice, &one, conf_small_stack());
  conf_thread_join(&thread);
  conf_undamage(&one);
}

/* fault-dead-frame */

static jmp_buf way_out;

static mapfile_status MAPFILE_CALL jump_out(void *argument) {
  (void)argument;
  longjmp(way_out, 1);
}

static __attribute__((noinline)) void leave_callback(conf_damaged *one) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  if (setjmp(way_out) == 0)
    mapfile_try(one->file, &one->view, jump_out, NULL, &fault);
}

static mapfile_status MAPFILE_CALL leave_nested_body(void *argument) {
  conf_damaged *one = argument;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  return mapfile_try(one->file, &one->view, jump_out, NULL, &fault);
}

static __attribute__((noinline)) void leave_nested(conf_damaged *one) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  if (setjmp(way_out) == 0)
    mapfile_try(one->file, NULL, leave_nested_body, one, &fault);
}

#ifdef MAPFILE_TRY
static __attribute__((noinline)) void leave_in_place_inner(conf_damaged *one) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  MAPFILE_TRY(one->file, NULL, &fault) {
    longjmp(way_out, 1);
  }
  MAPFILE_CATCH {
    _Exit(98);
  }
  MAPFILE_END_TRY
}

static __attribute__((noinline)) void leave_in_place(conf_damaged *one) {
  if (setjmp(way_out) == 0)
    leave_in_place_inner(one);
}
#endif

typedef void (*leaver)(conf_damaged *one);

static const leaver leavers[] = {leave_callback, leave_nested,
#ifdef MAPFILE_TRY
                                 leave_in_place
#endif
};
enum { LEAVERS = sizeof leavers / sizeof leavers[0] };

static unsigned leaver_to_try;

static void die_beside(void *argument) {
  conf_damaged one;
  (void)argument;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  leavers[leaver_to_try](&one);
  conf_load(conf_die_at(one.data + one.bad + 5));
}

/* The stack has been used again, deeper than the dead frame lay. */
static __attribute__((noinline)) void touch_below(const void *where, size_t depth, int filler) {
  volatile char *room = __builtin_alloca(depth);
  memset((char *)room, filler, depth);
  conf_load(where);
  room[depth - 1] = room[0];
}

static void die_below(void *argument) {
  conf_damaged one;
  (void)argument;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  leavers[leaver_to_try](&one);
  touch_below(conf_die_at(one.data + one.bad + 6), 65536, 0x5a);
}

/* The same without anything written over the dead frame. */
static __attribute__((noinline)) void touch_below_untouched(const void *where, size_t depth) {
  volatile char *room = __builtin_alloca(depth);
  room[0] = 0;
  conf_load(where);
  room[1] = room[0];
}

static void die_below_untouched(void *argument) {
  conf_damaged one;
  (void)argument;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  leavers[leaver_to_try](&one);
  mapfile_view other = MAPFILE_VIEW_INIT;
  conf_pin(one.file, 0, 10, MAPFILE_ANY, &other);
  conf_unpin(&other);
  touch_below_untouched(conf_die_at(one.data + one.bad + 7), 16384);
}

static void dead_frame_beside(void) {
  for (leaver_to_try = 0; leaver_to_try < LEAVERS; leaver_to_try++)
    conf_expect_kills(die_beside, NULL);
}

static void dead_frame_below(void) {
  for (leaver_to_try = 0; leaver_to_try < LEAVERS; leaver_to_try++)
    conf_expect_kills(die_below, NULL);
}

static void dead_frame_after_pin(void) {
  for (leaver_to_try = 0; leaver_to_try < LEAVERS; leaver_to_try++)
    conf_expect_kills(die_below_untouched, NULL);
}

/* A dead scope within a live one: the live one takes the fault, beside the dead frame and below it. */
typedef struct outer_plan {
  conf_damaged *one;
  leaver leave;
  size_t depth;
  int filler;
} outer_plan;

static mapfile_status MAPFILE_CALL leave_then_fault(void *argument) {
  const outer_plan *plan = argument;
  plan->leave(plan->one);
  const void *where = plan->one->data + plan->one->bad + 8;
  if (plan->depth > 0)
    touch_below(where, plan->depth, plan->filler);
  else
    conf_load(where);
  return MAPFILE_OK;
}

static void dead_frame_in_live(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  static const size_t depths[] = {0, 16, 64, 256, 1024, 4096, 65536};
  static const int fillers[] = {0, 0x5a, 0xff};
  for (unsigned i = 0; i < LEAVERS; i++)
    for (unsigned d = 0; d < 7; d++)
      for (unsigned f = 0; f < 3; f++) {
        mapfile_fault fault = MAPFILE_FAULT_INIT;
        outer_plan plan = {&one, leavers[i], depths[d], fillers[f]};
        EXPECT_STATUS(mapfile_try(one.file, NULL, leave_then_fault, &plan, &fault), MAPFILE_UNKNOWN);
        EXPECT_RECORD(&fault, one.file, one.data + one.bad + 8, one.bad + 8, MAPFILE_FAULT_READ);
        conf_expect_recovery(&one);
      }
  conf_undamage(&one);
}

/* Many scopes are left so, one after another and one within another, and never ended. */
static mapfile_status MAPFILE_CALL go_deeper(void *argument) {
  outer_plan *plan = argument;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  if (plan->depth-- == 0)
    longjmp(way_out, 1);
  return mapfile_try(plan->one->file, plan->depth % 2 == 0 ? &plan->one->view : NULL, go_deeper, plan, &fault);
}

static __attribute__((noinline)) void leave_many(conf_damaged *one, size_t depth) {
  outer_plan plan = {one, NULL, depth, 0};
  if (setjmp(way_out) == 0)
    go_deeper(&plan);
}

static void dead_frames_many(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  for (size_t i = 0; i < 200; i++) {
    leave_many(&one, i % 40);
    if (i % 7 == 0)
      conf_expect_recovery(&one);
  }
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

/* A scope of the same frame is left and entered again and again, without ever ending. */
static __attribute__((noinline)) int leave_in_loop(conf_damaged *one) {
  static volatile int rounds;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  rounds = 0;
  if (setjmp(way_out) == 0)
    rounds = 0;
  rounds++;
  if (rounds < 100)
    mapfile_try(one->file, NULL, jump_out, NULL, &fault);
  return rounds;
}

static void dead_frame_in_loop(void) {
  conf_damaged one;
  conf_not_under_valgrind("objects to looking at frames that are gone");
  conf_damage(&one, "file", 6, 3, conf_live());
  EXPECT_UINT(leave_in_loop(&one), 100);
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

/* A zero-fill scope that was left by a jump still keeps its mapfile open, and can be ended where it was begun. */
static __attribute__((noinline)) void leave_zero_fill(mapfile *file, const mapfile_view *view, mapfile_scope *scope) {
  if (setjmp(way_out) == 0) {
    EXPECT_STATUS(mapfile_scope_begin(scope, file, view), MAPFILE_OK);
    jump_out(NULL);
  }
}

static void dead_frame_zero_fill(void) {
  mapfile_scope scope;
  mapfile *file = conf_open(conf_make("file", 4 * conf_page), 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL, &view);
  MAPFILE_SCOPE_INIT(&scope);
  leave_zero_fill(file, &view, &scope);
  EXPECT_STATUS(mapfile_scope_end(&scope, NULL), MAPFILE_OK);
  conf_unpin(&view);
  conf_close(file);
}

#define N CONF_NO_FAULTS

static const conf_case table[] = {
    CONF_BOTH("fault-thread-exit", "exit", "A thread that ended in a scope breaks later threads.", thread_exits),
    CONF_BOTH("fault-thread-exit", "exit-then-fault", "A thread that ended in a scope leaves it armed.",
              thread_exits_and_other_dies),
    CONF_BOTH("fault-small-stack", "small", "Recovery needs more stack than small threads have.", small_stack),
    CONF_BOTH("fault-dead-frame", "beside", "A fault jumps into a function that has returned.", dead_frame_beside),
    CONF_BOTH("fault-dead-frame", "below", "A fault jumps into a frame that other calls have overwritten.",
              dead_frame_below),
    CONF_BOTH("fault-dead-frame", "after-pin", "A fault jumps into a frame that was left by longjmp.",
              dead_frame_after_pin),
    CONF_BOTH("fault-dead-frame", "in-live", "A scope left by longjmp hides the one around it.", dead_frame_in_live),
    CONF_BOTH("fault-dead-frame", "many", "Many scopes left by longjmp break recovery.", dead_frames_many),
    CONF_BOTH("fault-dead-frame", "loop", "A scope left by longjmp in a loop breaks recovery.", dead_frame_in_loop),
    {"fault-dead-frame", "zero-fill", "A zero-fill scope left by longjmp cannot be ended.", CONF_ANY, N,
     dead_frame_zero_fill},
};

CONF_GROUP(conf_frames, "frames");
