/*
 * frames.c - the promises about stacks on Windows: threads that are ended from outside, and stacks that have grown.
 *
 * SPDX-License-Identifier: MIT
 */
#include "win32.h"

/* fault-thread-exit */

static mapfile_status MAPFILE_CALL wait_for_the_end(void *argument) {
  SetEvent(argument);
  Sleep(INFINITE);
  return MAPFILE_OK;
}

static conf_damaged *shared;

static void wait_in_scope(void *argument) {
  conf_expect_recovery(shared);
  mapfile_try(shared->file, NULL, wait_for_the_end, argument, NULL);
}

static void recover(void *argument) {
  conf_expect_recovery(argument);
}

/* What a thread that is ended so holds stays held; but it must not hold anything of the library's in a scope. */
static void thread_terminated(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  shared = &one;
  for (int i = 0; i < 20; i++) {
    conf_thread victim, other;
    HANDLE ready = CreateEventW(NULL, TRUE, FALSE, NULL);
    conf_thread_start(&victim, wait_in_scope, ready, 0);
    EXPECT(WaitForSingleObject(ready, 20000) == WAIT_OBJECT_0);
    EXPECT(TerminateThread((HANDLE)victim.handle, 7));
    conf_thread_join(&victim);
    CloseHandle(ready);
    conf_thread_start(&other, recover, &one, 0);
    conf_thread_join(&other);
  }
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

/* fault-small-stack: scopes far down, where the stack has not been before. */

static __attribute__((noinline)) void recover_far_down(conf_damaged *one, unsigned steps) {
  volatile char room[1 << 16];
  room[0] = room[sizeof room - 1] = 1;
  if (steps > 0)
    recover_far_down(one, steps - 1);
  else
    conf_expect_recovery(one);
  EXPECT(room[0] + room[sizeof room - 1] == 2);
}

static void go_far_down(void *argument) {
  conf_expect_recovery(argument);
  recover_far_down(argument, 200);
  conf_expect_recovery(argument);
}

static void grown_stack(void) {
  conf_damaged one;
  conf_thread thread;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  recover_far_down(&one, 8);
  conf_expect_recovery(&one);
  conf_thread_start(&thread, go_far_down, &one, 32 << 20);
  conf_thread_join(&thread);
  conf_undamage(&one);
}

static const conf_case table[] = {
    CONF_BOTH("fault-thread-exit", "terminated", "A thread that was ended in a scope breaks later threads.",
              thread_terminated),
    CONF_BOTH("fault-small-stack", "grown", "Recovery fails far down a stack.", grown_stack),
};

CONF_GROUP(conf_stacks, "stacks on Windows");
