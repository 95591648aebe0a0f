/*
 * range.c - fault-range: a scope takes the faults of what it covers, and no others.
 *
 * SPDX-License-Identifier: MIT
 *
 * What must kill the process is tried in a child.
 */
#include "conformance.h"

/* Touch what lies at the address within a scope over view (or the mapfile), which does not cover it. */
static void touch_outside(mapfile *file, const mapfile_view *view, const void *address) {
  conf_touch touch = {conf_die_at(address), 0, 0};
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_try(file, view, conf_touch_body, &touch, &fault);
}

static void after_scope(void *argument) {
  conf_damaged one;
  (void)argument;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  conf_load(conf_die_at(one.data + one.bad + 77));
}

static void in_other_view(void *argument) {
  conf_damaged one;
  mapfile_view head = MAPFILE_VIEW_INIT;
  (void)argument;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_pin(one.file, 0, 2 * conf_page, conf_live(), &head);
  conf_expect_recovery(&one);
  touch_outside(one.file, &head, one.data + one.bad + 1);
}

static void in_next_page(void *argument) {
  conf_damaged one;
  mapfile_view part = MAPFILE_VIEW_INIT;
  (void)argument;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_pin(one.file, 5, 4 * conf_page - 5, conf_live(), &part);
  const unsigned char *data = (const unsigned char *)part.data - 5;
  conf_expect_fault(one.file, &part, data + 4 * conf_page - 1, 4 * conf_page - 1);
  touch_outside(one.file, &part, part.kind == MAPFILE_KIND_LIVE ? data + 4 * conf_page : one.data + 4 * conf_page);
}

static void in_other_file(void *argument) {
  conf_damaged one, other;
  (void)argument;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_damage(&other, "other", 6, 3, conf_live());
  conf_expect_recovery(&one);
  touch_outside(one.file, NULL, other.data + other.bad + 2);
}

static void in_foreign_map(void *argument) {
  conf_damaged one;
  (void)argument;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  touch_outside(one.file, NULL, conf_foreign_page("foreign") + 123);
}

static void load_in_thread(void *argument) {
  conf_load(argument);
}

static mapfile_status MAPFILE_CALL wait_for_thread(void *argument) {
  conf_thread thread;
  conf_thread_start(&thread, load_in_thread, argument, 0);
  conf_thread_join(&thread);
  return MAPFILE_OK;
}

static void in_other_thread(void *argument) {
  conf_damaged one;
  (void)argument;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  void *address = (void *)(uintptr_t)conf_die_at(one.data + one.bad + 9);
  mapfile_try(one.file, NULL, wait_for_thread, address, NULL);
}

static void range_after_scope(void) {
  conf_expect_kills(after_scope, NULL);
}

static void range_other_view(void) {
  conf_expect_kills(in_other_view, NULL);
}

static void range_next_page(void) {
  conf_expect_kills(in_next_page, NULL);
}

static void range_other_file(void) {
  conf_expect_kills(in_other_file, NULL);
}

static void range_foreign(void) {
  conf_expect_kills(in_foreign_map, NULL);
}

static void range_other_thread(void) {
  conf_expect_kills(in_other_thread, NULL);
}

static const conf_case table[] = {
    CONF_BOTH("fault-range", "after-scope", "A fault after a scope has ended is hidden.", range_after_scope),
    CONF_BOTH("fault-range", "other-view", "A scope swallows faults of another view.", range_other_view),
    CONF_BOTH("fault-range", "next-page", "A scope swallows faults beside its view.", range_next_page),
    CONF_BOTH("fault-range", "other-file", "A scope swallows faults of another file.", range_other_file),
    CONF_BOTH("fault-range", "foreign", "A scope swallows faults of other code, or they die without their address.",
              range_foreign),
    CONF_BOTH("fault-range", "other-thread", "A scope swallows faults of another thread.", range_other_thread),
};

CONF_GROUP(conf_range, "range of scopes");
