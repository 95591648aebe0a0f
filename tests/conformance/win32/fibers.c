/*
 * fibers.c - fault-fibers: each fiber has scopes of its own, wherever it runs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "win32.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

/* The fiber that the calling thread itself is. */
static _Thread_local void *thread_fiber;

static void *main_fiber(void) {
  if (thread_fiber == NULL)
    thread_fiber = ConvertThreadToFiberEx(NULL, FIBER_FLAG_FLOAT_SWITCH);
  EXPECT(thread_fiber != NULL);
  return thread_fiber;
}

static void be_a_thread_again(void) {
  EXPECT(ConvertFiberToThread());
  thread_fiber = NULL;
}

typedef struct traveller {
  void *fiber, *back; /* where to switch to when it has nothing to do */
  conf_damaged *one;
  int rounds;
  bool in_place;
  volatile int faults, done;
} traveller;

static void give_way(const traveller *me) {
  SwitchToFiber(me->back);
}

/* Away and back again within the scope, then a fault. */
static mapfile_status MAPFILE_CALL go_away_and_fault(void *argument) {
  traveller *me = argument;
  give_way(me);
  conf_load(me->one->data);
  give_way(me);
  conf_load(me->one->data + me->one->bad + 5);
  return MAPFILE_OK;
}

static __attribute__((noinline)) mapfile_status travel_in_place(traveller *me, mapfile_fault *fault) {
  volatile mapfile_status status = MAPFILE_OK;
  MAPFILE_TRY(me->one->file, NULL, fault) {
    status = go_away_and_fault(me);
  }
  MAPFILE_CATCH {
    status = fault->status;
  }
  MAPFILE_END_TRY
  return status;
}

static void CALLBACK travel(void *argument) {
  traveller *me = argument;
  for (int i = 0; i < me->rounds; i++) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    mapfile_status status = me->in_place != (i % 3 == 0)
                                ? travel_in_place(me, &fault)
                                : mapfile_try(me->one->file, &me->one->view, go_away_and_fault, me, &fault);
    EXPECT_STATUS(status, MAPFILE_UNKNOWN);
    EXPECT_RECORD(&fault, me->one->file, me->one->data + me->one->bad + 5, me->one->bad + 5, MAPFILE_FAULT_READ);
    me->faults++;
    give_way(me);
  }
  me->done = 1;
  for (;;)
    give_way(me);
}

static void set_out(traveller *me, conf_damaged *one, int rounds, bool in_place) {
  memset(me, 0, sizeof *me);
  me->one = one;
  me->rounds = rounds;
  me->in_place = in_place;
  me->back = main_fiber();
  me->fiber = CreateFiberEx(0, 0, FIBER_FLAG_FLOAT_SWITCH, travel, me);
  if (me->fiber == NULL)
    conf_not_testable("no fiber can be made: %s", conf_error_text(GetLastError()));
}

static void take_turns(traveller *all, unsigned count) {
  for (bool more = true; more;) {
    more = false;
    for (unsigned i = 0; i < count; i++)
      if (!all[i].done) {
        SwitchToFiber(all[i].fiber);
        more = true;
      }
  }
  for (unsigned i = 0; i < count; i++) {
    EXPECT_UINT(all[i].faults, all[i].rounds);
    DeleteFiber(all[i].fiber);
  }
}

/* Two fibers in scopes over different views, each of which faults while the other is in its scope. */
static void two_fibers(void) {
  conf_damaged both[2];
  traveller all[2];
  conf_damage(&both[0], "a", 6, 3, conf_live());
  conf_damage(&both[1], "b", 6, 2, conf_live());
  for (int form = 0; form < 4; form++) {
    set_out(&all[0], &both[0], 20, (form & 1) != 0);
    set_out(&all[1], &both[1], 30, (form & 2) != 0);
    take_turns(all, 2);
    conf_expect_recovery(&both[0]);
    conf_expect_recovery(&both[1]);
  }
  conf_undamage(&both[0]);
  conf_undamage(&both[1]);
}

static void many_fibers(void) {
  enum { MANY = 40 };
  conf_damaged one;
  static traveller all[MANY];
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int i = 0; i < MANY; i++)
    set_out(&all[i], &one, 3 + i % 5, i % 2 == 0);
  take_turns(all, MANY);
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

/* The main fiber is in scopes meanwhile. */
static mapfile_status MAPFILE_CALL take_turns_in_scope(void *argument) {
  traveller *all = argument;
  take_turns(all, 2);
  conf_load(all[0].one->data + all[0].one->bad + 9);
  return MAPFILE_OK;
}

static void within_scope(void) {
  conf_damaged both[2];
  traveller all[2];
  conf_damage(&both[0], "a", 6, 3, conf_live());
  conf_damage(&both[1], "b", 6, 2, conf_live());
  for (int i = 0; i < 4; i++) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    set_out(&all[0], &both[0], 5, i % 2 == 0);
    set_out(&all[1], &both[1], 6, i % 2 != 0);
    EXPECT_STATUS(mapfile_try(both[0].file, NULL, take_turns_in_scope, all, &fault), MAPFILE_UNKNOWN);
    EXPECT_RECORD(&fault, both[0].file, both[0].data + both[0].bad + 9, both[0].bad + 9, MAPFILE_FAULT_READ);
  }
  conf_undamage(&both[0]);
  conf_undamage(&both[1]);
}

/* A thread that has had scopes becomes a fiber, and a thread again. */
static void convert(void *argument) {
  conf_damaged *one = argument;
  for (int i = 0; i < 5; i++) {
    traveller me;
    conf_expect_recovery(one);
    set_out(&me, one, 3, i % 2 == 0);
    conf_expect_recovery(one);
    take_turns(&me, 1);
    conf_expect_recovery(one);
    be_a_thread_again();
    conf_expect_recovery(one);
  }
}

static mapfile_status MAPFILE_CALL convert_and_fault(void *argument) {
  conf_damaged *one = argument;
  main_fiber();
  conf_expect_recovery(one);
  conf_load(one->data + one->bad + 8);
  return MAPFILE_OK;
}

static void converted(void) {
  conf_damaged one;
  conf_thread thread;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 6, 3, conf_live());
  convert(&one);
  conf_thread_start(&thread, convert, &one, 0);
  conf_thread_join(&thread);
  /* Within a scope. */
  EXPECT_STATUS(mapfile_try(one.file, NULL, convert_and_fault, &one, &fault), MAPFILE_UNKNOWN);
  EXPECT_RECORD(&fault, one.file, one.data + one.bad + 8, one.bad + 8, MAPFILE_FAULT_READ);
  be_a_thread_again();
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

/* A fiber is deleted while it is in a scope; the next one may get its stack. */
static void deleted(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  for (int i = 0; i < 100; i++) {
    traveller me;
    set_out(&me, &one, 5, i % 2 == 0);
    for (int turns = 0; turns <= i % 4; turns++)
      SwitchToFiber(me.fiber);
    DeleteFiber(me.fiber);
    conf_expect_recovery(&one);
  }
  conf_undamage(&one);
}

/* What a deleted fiber had does not leak. */
static void no_leak(void) {
  conf_damaged one;
  conf_holdings before;
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int i = 0; i < 220; i++) {
    traveller me;
    if (i == 20)
      conf_count_holdings(&before);
    set_out(&me, &one, 2, i % 2 == 0);
    if (i % 2 == 0) {
      take_turns(&me, 1);
    } else {
      SwitchToFiber(me.fiber);
      DeleteFiber(me.fiber);
    }
  }
  EXPECT_NO_LEAK(&before);
  conf_undamage(&one);
}

/* A fiber goes on in another thread, in the middle of a scope. */

static void switch_in_thread(void *argument) {
  traveller *me = argument;
  me->back = main_fiber();
  conf_expect_recovery(me->one);
  SwitchToFiber(me->fiber);
  conf_expect_recovery(me->one);
  be_a_thread_again();
}

static void moved(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int form = 0; form < 2; form++) {
    traveller me;
    conf_thread thread;
    set_out(&me, &one, 10, form != 0);
    while (!me.done) {
      me.back = main_fiber();
      SwitchToFiber(me.fiber);
      conf_thread_start(&thread, switch_in_thread, &me, 0);
      conf_thread_join(&thread);
    }
    EXPECT_UINT(me.faults, 10);
    DeleteFiber(me.fiber);
    conf_expect_recovery(&one);
  }
  conf_undamage(&one);
}

/* A fault of a fiber that is in no scope is nobody's, though the fiber that switched to it is in one. */

typedef struct victim {
  void *back;
  const void *at;
} victim;

static void CALLBACK touch_in_fiber(void *argument) {
  victim *me = argument;
  conf_load(conf_die_at(me->at));
  SwitchToFiber(me->back);
}

static mapfile_status MAPFILE_CALL switch_to_victim(void *argument) {
  SwitchToFiber(CreateFiber(0, touch_in_fiber, argument));
  return MAPFILE_OK;
}

static void die_in_fiber(void *argument) {
  conf_damaged one;
  (void)argument;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  victim me = {main_fiber(), one.data + one.bad + 7};
  mapfile_try(one.file, NULL, switch_to_victim, &me, NULL);
}

/* And the other way round: the scope is in a fiber that has been left or deleted. */
static void die_after_fiber(void *argument) {
  conf_damaged one;
  traveller me;
  (void)argument;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  set_out(&me, &one, 5, argument != NULL);
  SwitchToFiber(me.fiber);
  conf_load(conf_die_at(one.data + one.bad + 8));
}

static void die_after_deleted_fiber(void *argument) {
  conf_damaged one;
  traveller me;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  set_out(&me, &one, 5, argument != NULL);
  SwitchToFiber(me.fiber);
  DeleteFiber(me.fiber);
  conf_load(conf_die_at(one.data + one.bad + 9));
}

static void not_of_others(void) {
  static int in_place;
  conf_expect_kills(die_in_fiber, NULL);
  conf_expect_kills(die_after_fiber, NULL);
  conf_expect_kills(die_after_fiber, &in_place);
  conf_expect_kills(die_after_deleted_fiber, NULL);
  conf_expect_kills(die_after_deleted_fiber, &in_place);
}

/* A scope on a fiber's stack that is left by a jump. */

static jmp_buf way_out;

static mapfile_status MAPFILE_CALL jump_out(void *argument) {
  (void)argument;
  longjmp(way_out, 1);
}

static __attribute__((noinline)) void leave_by_jump(conf_damaged *one) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  if (setjmp(way_out) == 0)
    mapfile_try(one->file, NULL, jump_out, NULL, &fault);
}

static void CALLBACK leave_in_fiber(void *argument) {
  traveller *me = argument;
  for (int i = 0; i < 20; i++) {
    leave_by_jump(me->one);
    conf_expect_recovery(me->one);
    give_way(me);
  }
  me->done = 1;
  for (;;)
    give_way(me);
}

static void left_by_jump(void) {
  conf_damaged one;
  traveller me;
  conf_damage(&one, "file", 6, 3, conf_live());
  memset(&me, 0, sizeof me);
  me.one = &one;
  me.back = main_fiber();
  me.fiber = CreateFiber(0, leave_in_fiber, &me);
  EXPECT(me.fiber != NULL);
  while (!me.done) {
    SwitchToFiber(me.fiber);
    leave_by_jump(&one);
    conf_expect_recovery(&one);
  }
  DeleteFiber(me.fiber);
  conf_undamage(&one);
}

static const conf_case table[] = {
    CONF_BOTH("fault-fibers", "two", "A fault of one fiber is caught by another.", two_fibers),
    CONF_BOTH("fault-fibers", "many", "Recovery fails where there are many fibers.", many_fibers),
    CONF_BOTH("fault-fibers", "within-scope", "Switching fibers in a scope breaks it.", within_scope),
    CONF_BOTH("fault-fibers", "converted", "A thread that becomes a fiber loses its scopes.", converted),
    CONF_BOTH("fault-fibers", "deleted", "A fiber that is deleted in a scope breaks later ones.", deleted),
    CONF_BOTH("fault-fibers", "moved", "A fiber that goes on in another thread loses its scopes.", moved),
    CONF_BOTH("fault-fibers", "not-of-others", "A fault is caught by a fiber that does not run.", not_of_others),
    CONF_BOTH("fault-fibers", "left-by-jump", "A scope in a fiber that was left by longjmp is jumped to.",
              left_by_jump),
    {"no-leaks", "fibers", "Each fiber leaks.", CONF_ANY, CONF_INJECTED, no_leak},
};

CONF_GROUP(conf_fibers, "fibers");
