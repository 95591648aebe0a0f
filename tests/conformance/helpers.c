/*
 * helpers.c - expectations and help for the conformance cases, with nothing that belongs to one system.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conformance.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t conf_access;
conf_source conf_faulty;
size_t conf_page, conf_map_unit;
conf_stopper conf_stop;
const char *conf_self;

static char folder_path[4096];

void conf_remember_folder(const char *folder) {
  snprintf(folder_path, sizeof folder_path, "%s", folder);
}

/* Ending a case */

static _Noreturn void stop(conf_outcome outcome, const char *text) {
  conf_stop(outcome, text);
  abort();
}

void conf_broken(const char *file, int line, const char *format, ...) {
  char text[2048];
  const char *slash = strrchr(file, '/');
  int used = snprintf(text, sizeof text, "%s:%d: ", slash != NULL ? slash + 1 : file, line);
  va_list words;
  va_start(words, format);
  vsnprintf(text + used, sizeof text - (size_t)used, format, words);
  va_end(words);
  stop(CONF_BROKEN, text);
}

void conf_differs(const char *format, ...) {
  char text[2048];
  va_list words;
  va_start(words, format);
  vsnprintf(text, sizeof text, format, words);
  va_end(words);
  stop(CONF_DIFFERS, text);
}

void conf_not_testable(const char *format, ...) {
  char text[2048];
  va_list words;
  va_start(words, format);
  vsnprintf(text, sizeof text, format, words);
  va_end(words);
  stop(CONF_NOT_TESTABLE, text);
}

const char *conf_status_name(mapfile_status status) {
  static const char *const names[] = {"OK",        "INVALID",   "NO_MEMORY", "NOT_FOUND",   "EXISTS",   "DENIED",
                                      "BUSY",      "LIMIT",     "TIMEOUT",   "UNSUPPORTED", "UNKNOWN",  "CANCELLED",
                                      "END",       "TRUNCATED", "CHANGED",   "IO",          "NO_SPACE", "POISONED",
                                      "PROTECTED", "RELEASED",  "STALE"};
  static _Thread_local char other[32];
  if (status >= 0 && (size_t)status < sizeof names / sizeof names[0])
    return names[status];
  snprintf(other, sizeof other, "status %ld", (long)status);
  return other;
}

void conf_expect_status(const char *file, int line, const char *call, mapfile_status status, mapfile_status wanted) {
  if (status != wanted)
    conf_broken(file, line, "%s gave %s, not %s (native error %lld)", call, conf_status_name(status),
                conf_status_name(wanted), (long long)mapfile_native_error());
}

void conf_expect_uint(const char *file, int line, const char *what, uint64_t value, uint64_t wanted) {
  if (value != wanted)
    conf_broken(file, line, "%s is %llu, not %llu", what, (unsigned long long)value, (unsigned long long)wanted);
}

void conf_expect_one_of(const char *file, int line, const char *call, mapfile_status status,
                        const mapfile_status *wanted) {
  char list[256] = "";
  for (const mapfile_status *one = wanted; *one >= 0; one++) {
    if (*one == status)
      return;
    size_t used = strlen(list);
    snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? " or " : "", conf_status_name(*one));
  }
  conf_broken(file, line, "%s gave %s, not %s", call, conf_status_name(status), list);
}

/* The pattern. A multiplicative hash: neighbouring bytes differ and no page equals another. */

unsigned char conf_byte(uint64_t offset) {
  uint64_t mixed = (offset + 1) * UINT64_C(0x9e3779b97f4a7c15);
  mixed ^= mixed >> 29;
  return (unsigned char)((mixed * UINT64_C(0xbf58476d1ce4e5b9)) >> 56);
}

void conf_pattern(void *buffer, size_t length, uint64_t offset) {
  unsigned char *bytes = buffer;
  for (size_t i = 0; i < length; i++)
    bytes[i] = conf_byte(offset + i);
}

bool conf_is_pattern(const void *data, size_t length, uint64_t offset) {
  const volatile unsigned char *bytes = data;
  for (size_t i = 0; i < length; i++)
    if (bytes[i] != conf_byte(offset + i))
      return false;
  return true;
}

bool conf_is_zero(const void *data, size_t length) {
  const volatile unsigned char *bytes = data;
  for (size_t i = 0; i < length; i++)
    if (bytes[i] != 0)
      return false;
  return true;
}

const char *conf_path(const char *name) {
  static char paths[16][8192];
  static atomic_uint next;
  char *path = paths[atomic_fetch_add(&next, 1) % 16];
  snprintf(path, sizeof paths[0], "%s/%s", folder_path, name);
  return path;
}

/* The library, expected to be well */

mapfile *conf_open(const char *path, uint32_t flags) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file = NULL;
  options.flags = flags;
  options.access = conf_access;
  EXPECT_STATUS(mapfile_open(path, &options, &file), MAPFILE_OK);
  EXPECT(file != NULL);
  return file;
}

void conf_close(mapfile *file) {
  EXPECT_STATUS(mapfile_close(file), MAPFILE_OK);
}

void conf_pin(mapfile *file, uint64_t offset, uint64_t length, uint32_t flags, mapfile_view *view) {
  mapfile_status status = mapfile_pin(file, offset, length, flags, view);
  if (status != MAPFILE_OK)
    conf_broken(__FILE__, __LINE__, "pin of %llu bytes at %llu with flags %#x gave %s (native error %lld)",
                (unsigned long long)length, (unsigned long long)offset, (unsigned)flags, conf_status_name(status),
                (long long)mapfile_native_error());
  EXPECT(view->data != NULL);
  EXPECT_UINT(view->offset, offset);
  if (length != MAPFILE_TO_END)
    EXPECT_UINT(view->length, length);
}

void conf_unpin(mapfile_view *view) {
  EXPECT_STATUS(mapfile_unpin(view), MAPFILE_OK);
}

uint32_t conf_live(void) {
  return conf_access == MAPFILE_ACCESS_COPIED ? MAPFILE_ANY : MAPFILE_LIVE;
}

mapfile_statistics conf_stats(mapfile *file) {
  mapfile_statistics statistics = MAPFILE_STATISTICS_INIT;
  EXPECT_STATUS(mapfile_stats(file, &statistics), MAPFILE_OK);
  return statistics;
}

/* Damage */

void conf_damage(conf_damaged *one, const char *name, unsigned pages, unsigned first_bad, uint32_t pin_flags) {
  mapfile_view empty = MAPFILE_VIEW_INIT;
  one->view = empty;
  one->size = pages * conf_page;
  one->bad = first_bad * conf_page;
  one->path = conf_make(name, one->size);
  one->file = conf_open(one->path, (pin_flags & MAPFILE_SHARED) != 0 ? MAPFILE_WRITE : 0);
  if (conf_faulty == CONF_INJECTED)
    EXPECT_STATUS(mapfile_inject(one->file, one->bad, MAPFILE_TO_END, MAPFILE_TRUNCATED), MAPFILE_OK);
  conf_pin(one->file, 0, MAPFILE_TO_END, pin_flags, &one->view);
  EXPECT_UINT(one->view.length, one->size);
  if (conf_faulty == CONF_REAL)
    conf_truncate(one->path, one->bad);
  one->data = one->view.data;
}

void conf_undamage(conf_damaged *one) {
  conf_unpin(&one->view);
  conf_close(one->file);
}

/* Touching */

/* What is read goes here, so that nobody leaves the reading out, valgrind neither. */
static _Thread_local volatile unsigned sink;

__attribute__((noinline)) unsigned conf_load(const void *at) {
  sink = *(const volatile unsigned char *)at;
  return sink;
}

__attribute__((noinline)) void conf_store(void *at, unsigned value) {
  *(volatile unsigned char *)at = (unsigned char)value;
}

mapfile_status MAPFILE_CALL conf_touch_body(void *argument) {
  conf_touch *touch = argument;
  touch->value = conf_load(touch->at);
  touch->reached = touch->reached + 1;
  return MAPFILE_OK;
}

void conf_expect_good(mapfile *file, const mapfile_view *view, const void *at) {
  conf_touch touch = {at, 0, 0};
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  EXPECT_STATUS(mapfile_try(file, view, conf_touch_body, &touch, &fault), MAPFILE_OK);
  EXPECT_UINT(touch.reached, 1);
  EXPECT_STATUS(fault.status, MAPFILE_OK);
}

void conf_expect_fault(mapfile *file, const mapfile_view *view, const void *at, uint64_t offset) {
  conf_touch touch = {at, 0, 0};
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  EXPECT_STATUS(mapfile_try(file, view, conf_touch_body, &touch, &fault), MAPFILE_UNKNOWN);
  EXPECT_UINT(touch.reached, 0);
  EXPECT_RECORD(&fault, file, at, offset, MAPFILE_FAULT_READ);
}

bool conf_is_place(const void *told, const void *byte) {
  const uintptr_t unit = CONF_EXACT ? 1 : (uintptr_t)conf_page;
  return (uintptr_t)told / unit == (uintptr_t)byte / unit;
}

void conf_expect_record(const char *file_name, int line, const mapfile_fault *fault, const mapfile *file,
                        const void *address, uint64_t offset, uint32_t access) {
  uint64_t page = (uint64_t)conf_page;
  uint64_t told = CONF_EXACT ? fault->offset : fault->offset / page * page;
  uint64_t wanted = CONF_EXACT ? offset : offset / page * page;
  if (told != wanted)
    conf_broken(file_name, line, "the fault record says offset %llu, not %llu", (unsigned long long)fault->offset,
                (unsigned long long)offset);
  if (!conf_is_place(fault->address, address))
    conf_broken(file_name, line, "the fault record says address %p, not %p", fault->address, address);
  if (fault->file != file)
    conf_broken(file_name, line, "the fault record names another mapfile");
  bool untold = fault->access == MAPFILE_FAULT_UNKNOWN && (!CONF_EXACT || conf_emulated());
  if (fault->access != access && !untold)
    conf_broken(file_name, line, "the fault record says access %u, not %u", (unsigned)fault->access, (unsigned)access);
  if (fault->length == 0)
    conf_broken(file_name, line, "the fault record gives the bad place no length");
  if (fault->filled_pages != 0)
    conf_broken(file_name, line, "the fault record speaks of filled pages");
}

void conf_expect_recovery(const conf_damaged *one) {
  conf_expect_fault(one->file, &one->view, one->data + one->bad + 3, one->bad + 3);
  conf_expect_fault(one->file, NULL, one->data + one->bad, one->bad);
}

int conf_rounds(int usual) {
  const char *text = getenv("MAPFILE_TEST_ROUNDS");
  long percent = text != NULL ? strtol(text, NULL, 10) : 100;
  return percent >= 1 && percent < 100 ? (int)(usual * percent / 100) + 1 : usual;
}

bool conf_hooked(const char *hook) {
  const char *hooks = getenv("MAPFILE_TEST_HOOKS");
  return hooks != NULL && strstr(hooks, hook) != NULL;
}

bool conf_emulated(void) {
  return getenv("MAPFILE_TEST_EMULATOR") != NULL;
}

bool conf_under(const char *instrument) {
  const char *name = conf_instrument();
  return name != NULL && strcmp(name, instrument) == 0;
}

static volatile unsigned char touched;

static void touch_stack(size_t pages) {
  volatile unsigned char page[4096];
  page[0] = (unsigned char)pages;
  if (pages > 0)
    touch_stack(pages - 1);
  touched = page[0];
}

void conf_grow_stack(void) {
  if (conf_under("valgrind"))
    touch_stack(256);
}

void conf_not_under_valgrind(const char *why) {
  if (conf_under("valgrind"))
    conf_not_testable("valgrind %s", why);
}

/* xorshift64*: the same numbers on every system. */
uint64_t conf_random(uint64_t *state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Records */

conf_outcome conf_record_parse(const char *record, const char **text) {
  *text = record[0] != '\0' ? record + 1 : "";
  switch (record[0]) {
  case 'h':
    return CONF_HOLDS;
  case 'd':
    return CONF_DIFFERS;
  case 'n':
    return CONF_NOT_TESTABLE;
  default:
    return CONF_BROKEN;
  }
}
