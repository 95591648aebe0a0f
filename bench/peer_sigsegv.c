/*
 * A fault caught and left by libsigsegv, for comparison.
 *
 * libsigsegv is under the GPL: a benchmark program linked with it may be passed on under the GPL only.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"

#include <setjmp.h>
#include <signal.h>
#include <sigsegv.h>

static sigjmp_buf way_back;
static sigset_t mask;
static void *expected;
static uint64_t caught;

static void go_back(void *first, void *second, void *third) {
  (void)first;
  (void)second;
  (void)third;
  siglongjmp(way_back, 1);
}

static int take_fault(void *address, int serious) {
  (void)serious;
  if (address != expected) {
    return 0;
  }
  caught++;
  sigprocmask(SIG_SETMASK, &mask, NULL); /* libsigsegv leaves this to its user */
  return sigsegv_leave_handler(go_back, NULL, NULL, NULL);
}

static void touch_often(uint64_t count) {
  for (volatile uint64_t i = 0; i < count; i++) {
    if (sigsetjmp(way_back, 0) == 0) {
      *(volatile char *)expected = 1;
    }
  }
}

const char *peer_sigsegv_fault(struct sample *sample) {
  struct sigaction before;
  sigaction(SIGSEGV, NULL, &before);
  sigprocmask(SIG_SETMASK, NULL, &mask);
  expected = sample->context;
  caught = 0;
  if (sigsegv_install_handler(take_fault) != 0) {
    return "sigsegv_install_handler failed";
  }
  sample_start(sample);
  touch_often(sample->count);
  sample_stop(sample);
  sigsegv_deinstall_handler();
  sigaction(SIGSEGV, &before, NULL);
  return caught == sample->count ? NULL : "wrong number of faults";
}
