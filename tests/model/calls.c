/*
 * calls.c - drawing steps, doing them, and telling what was called.
 *
 * SPDX-License-Identifier: MIT
 */
#include "calls.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Random numbers
 */

uint64_t mix(uint64_t x) {
  x ^= x >> 30;
  x *= UINT64_C(0xbf58476d1ce4e5b9);
  x ^= x >> 27;
  x *= UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

uint64_t draw(uint64_t *random) {
  *random += UINT64_C(0x9e3779b97f4a7c15);
  return mix(*random);
}

uint64_t draw_below(uint64_t *random, uint64_t bound) {
  return bound > 0 ? draw(random) % bound : 0;
}

bool draw_one_in(uint64_t *random, uint64_t many) {
  return draw_below(random, many) == 0;
}

/*
 * Steps
 */

/* What several lanes may do to one mapfile at the same time without making the model inexact: whatever reads, and what
   changes only the lane's own pages, their injections and its own views. Size, names and options stay as they are. */
const step_kind step_kinds[] = {{"make", step_make, 4, 0},
                                {"open", step_open, 9, 0},
                                {"open_handle", step_open_handle, 3, 0},
                                {"open_pipe", step_open_pipe, 2, 0},
                                {"close", step_close, 4, 0},
                                {"remove", step_remove, 2, 0},
                                {"rename", step_rename, 3, 0},
                                {"resize", step_resize, 6, 1},
                                {"write", step_write, 9, 6},
                                {"commit", step_commit, 8, 5},
                                {"outside_write", step_outside_write, 7, 5},
                                {"outside_resize", step_outside_resize, 4, 0},
                                {"outside_time", step_outside_time, 2, 0},
                                {"size", step_size, 2, 1},
                                {"check", step_check, 6, 2},
                                {"stats", step_stats, 2, 1},
                                {"limits", step_limits, 3, 2},
                                {"park", step_park, 4, 4},
                                {"inject", step_inject, 7, 5},
                                {"mend", step_mend, 5, 4},
                                {"pin", step_pin, 34, 30},
                                {"unpin", step_unpin, 16, 16},
                                {"exchange", step_exchange, 0, 6},
                                {"view_check", step_view_check, 5, 3},
                                {"look", step_look, 4, 4},
                                {"touch", step_touch, 12, 10},
                                {"store", step_store, 12, 10},
                                {"fill", step_fill, 8, 5},
                                {"from_call", step_from_call, 4, 3},
                                {"read", step_read, 8, 8},
                                {"find", step_find, 8, 8},
                                {"compare", step_compare, 6, 6},
                                {"scan", step_scan, 8, 8},
                                {"send", step_send, 6, 5}};
const unsigned step_kind_count = sizeof step_kinds / sizeof step_kinds[0];

static const step_kind *draw_kind(uint64_t *random, bool crowded) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < step_kind_count; i++)
    sum += crowded ? step_kinds[i].crowded_weight : step_kinds[i].weight;
  uint64_t at = draw_below(random, sum);
  for (unsigned i = 0; i < step_kind_count; i++) {
    unsigned weight = crowded ? step_kinds[i].crowded_weight : step_kinds[i].weight;
    if (at < weight)
      return &step_kinds[i];
    at -= weight;
  }
  return &step_kinds[0];
}

step draw_step(uint64_t *random, uint32_t number, bool may_share, bool crowded) {
  step drawn = {.number = number};
  drawn.shared = may_share && draw_below(random, 3) != 0;
  drawn.kind = draw_kind(random, drawn.shared && crowded);
  drawn.random = draw(random);
  return drawn;
}

/* How much is looked at after a step belongs to the step: else leaving others out would change what is seen. */
void lane_step(lane *in, const step *what) {
  uint64_t random = what->random;
  world *on = what->shared ? in->shared : in->own;
  in->now = what;
  in->call[0] = '\0';
  what->kind->run(in, on, &random);
  uint64_t how = mix(what->random);
  if (how % 2 == 0)
    look_at_counts(in, on);
  if (how / 2 % 4 == 0)
    look_at_views(in, on);
  if (how / 8 % 16 == 0)
    look_at_files(in, on);
}

bool is_alone(const lane *in) {
  return !in->of->crowd;
}

/*
 * Names of things
 */

const char *status_name(mapfile_status status) {
  static const char *const names[] = {"OK",        "INVALID",   "NO_MEMORY", "NOT_FOUND",   "EXISTS",   "DENIED",
                                      "BUSY",      "LIMIT",     "TIMEOUT",   "UNSUPPORTED", "UNKNOWN",  "CANCELLED",
                                      "END",       "TRUNCATED", "CHANGED",   "IO",          "NO_SPACE", "POISONED",
                                      "PROTECTED", "RELEASED",  "STALE"};
  return status >= 0 && (size_t)status < sizeof names / sizeof names[0] ? names[status] : "no status";
}

const char *flags_text(uint32_t flags, const flag_name *names, const char *none) {
  static _Thread_local char texts[4][160];
  static _Thread_local unsigned turn;
  char *text = texts[turn++ % 4];
  size_t size = sizeof texts[0], used = 0;
  text[0] = '\0';
  for (; names->name != NULL; names++) {
    if ((flags & names->flag) != names->flag || used >= size)
      continue;
    int length = snprintf(text + used, size - used, "%s%s", used > 0 ? "|" : "", names->name);
    used += length > 0 ? (size_t)length : 0;
    flags &= ~names->flag;
  }
  if (flags != 0 && used < size)
    snprintf(text + used, size - used, "%s%#" PRIx32, used > 0 ? "|" : "", flags);
  return text[0] != '\0' ? text : none;
}

static void statuses_text(statuses set, char *text, size_t size) {
  size_t used = 0;
  text[0] = '\0';
  for (mapfile_status status = 0; status <= MAPFILE_STALE; status++) {
    if ((set & ONE(status)) == 0 || used >= size)
      continue;
    int length = snprintf(text + used, size - used, "%s%s", used > 0 ? " or " : "", status_name(status));
    used += length > 0 ? (size_t)length : 0;
  }
}

/*
 * How often which call ended how
 */

static const char *const counted[] = {
    "mapfile_open",        "mapfile_open_handle", "mapfile_close",         "mapfile_size",
    "mapfile_check",       "mapfile_stats",       "mapfile_pin",           "mapfile_unpin",
    "mapfile_view_check",  "mapfile_set_limits",  "mapfile_try",           "MAPFILE_TRY",
    "mapfile_scope_begin", "mapfile_scope_end",   "mapfile_fault_explain", "mapfile_read",
    "mapfile_find",        "mapfile_compare",     "mapfile_scan",          "mapfile_send",
    "mapfile_park",        "mapfile_remove",      "mapfile_rename",        "mapfile_fault_from_call",
    "mapfile_resize",      "mapfile_inject",      "mapfile_write",         "mapfile_commit"};
enum { COUNTED = sizeof counted / sizeof counted[0] };
static atomic_uint_fast64_t counts[COUNTED][MAPFILE_STALE + 1];

static int counted_index(const char *call) {
  size_t length = strcspn(call, "(");
  for (int i = 0; i < COUNTED; i++)
    if (strlen(counted[i]) == length && memcmp(counted[i], call, length) == 0)
      return i;
  return -1;
}

void count_call(const char *call, mapfile_status status) {
  int index = counted_index(call);
  if (index >= 0 && status >= 0 && status <= MAPFILE_STALE)
    atomic_fetch_add_explicit(&counts[index][status], 1, memory_order_relaxed);
}

uint64_t count_of(const char *call, mapfile_status status) {
  int index = counted_index(call);
  return index >= 0 ? atomic_load(&counts[index][status]) : 0;
}

void counts_print(void) {
  for (int i = 0; i < COUNTED; i++) {
    printf("  %-24s", counted[i]);
    for (mapfile_status status = 0; status <= MAPFILE_STALE; status++)
      if (atomic_load(&counts[i][status]) > 0)
        printf(" %s %" PRIu64, status_name(status), (uint64_t)atomic_load(&counts[i][status]));
    printf("\n");
  }
}

/*
 * Telling
 */

static void print_prefix(const lane *in) {
  if (in->number > 0)
    printf("lane %u ", in->number);
  printf("%4" PRIu32 "  ", in->now != NULL ? in->now->number : 0);
}

/* In print, a call stands there before it is made: a crash then shows which. */
void calling(lane *in, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(in->call, sizeof in->call, format, arguments);
  va_end(arguments);
  in->calls++;
  if (!in->of->printing)
    return;
  platform_lock();
  print_prefix(in);
  printf("%s%s", in->call, in->number > 0 ? "\n" : "");
  fflush(stdout);
  platform_unlock();
}

void note(lane *in, const char *format, ...) {
  va_list arguments;
  if (!in->of->printing)
    return;
  platform_lock();
  if (in->number > 0)
    print_prefix(in);
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  printf("\n");
  platform_unlock();
}

void done(lane *in, bool worked) {
  note(in, " -> %s", worked ? "done" : "failed");
  EXPECT(in, worked, "the system refused it");
}

void ended(lane *in, mapfile_status status, statuses allowed) {
  char text[200];
  count_call(in->call, status);
  note(in, " -> %s", status_name(status));
  if (status >= 0 && status <= MAPFILE_STALE && (allowed & ONE(status)) != 0)
    return;
  statuses_text(allowed, text, sizeof text);
  broken(in, "it returned %s (%d), only %s is right; native error %" PRId64, status_name(status), (int)status, text,
         mapfile_native_error());
}

void broken(lane *in, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  platform_lock();
  printf("%sFAILED in step %" PRIu32 " (%s)", in->of->printing ? "\n" : "", in->now != NULL ? in->now->number : 0,
         in->now != NULL ? in->now->kind->name : "the end");
  if (in->number > 0)
    printf(" of lane %u", in->number);
  printf(", after %s:\n  ", in->call);
  vprintf(format, arguments);
  printf("\n");
  va_end(arguments);
  fflush(stdout);
  platform_end(1);
}

void *allocate(lane *in, size_t length) {
  void *memory = malloc(length + 1);
  EXPECT(in, memory != NULL, "there is no memory for the test");
  return memory;
}

/*
 * What steps work on
 */

window window_of(const lane *in, const world *on, const disk *of) {
  if (!on->crowded)
    return (window){of->origin, disk_end(of), of->origin, disk_end(of)};
  uint64_t low = of->origin + (uint64_t)(in->number - 1) * (OWN_PAGES + 1) * page_size;
  return (window){low, low + (OWN_PAGES + 2) * page_size, low + page_size, low + (OWN_PAGES + 1) * page_size};
}

static uint64_t near(uint64_t place, uint64_t *random) {
  uint64_t steps[] = {1, 2, 7, page_size, page_size + 1, draw_below(random, 3 * page_size)};
  uint64_t away = steps[draw_below(random, sizeof steps / sizeof steps[0])];
  switch (draw_below(random, 4)) {
  case 0:
    return place > away ? place - away : 0;
  case 1:
    return place + away;
  default:
    return place;
  }
}

/* Where things happen: at borders of pages, and around the ends that the library and the file have. */
uint64_t draw_offset(const lane *in, const world *on, const opened *one, uint64_t *random) {
  window part = window_of(in, on, one->of);
  uint64_t pages = (part.high - part.low) / page_size, offset;
  uint64_t there = one->known.size > part.low ? one->known.size - part.low : 0;
  switch (draw_below(random, 12)) {
  case 0:
    offset = near(one->known.size, random);
    break;
  case 1:
    offset = near(one->of->size, random);
    break;
  case 2:
  case 3:
    offset = part.low;
    break;
  case 4:
    offset = part.low + draw_below(random, part.high - part.low + 1);
    break;
  case 5:
    offset = near(part.low + draw_below(random, pages + 1) * page_size, random);
    break;
  case 6:
  case 7:
  case 8:
    offset = part.low + draw_below(random, there / page_size + 1) * page_size;
    break;
  default:
    offset = part.low + draw_below(random, there + 1);
  }
  uint64_t last = on->crowded ? part.high : part.high + 4 * page_size;
  return offset < part.low ? part.low : offset > last ? last : offset;
}

uint64_t draw_length(const lane *in, const world *on, const opened *one, uint64_t offset, uint64_t *random) {
  uint64_t rest = one->known.size > offset ? one->known.size - offset : 0;
  uint64_t pages = draw_below(random, 4) * page_size;
  uint64_t choices[] = {MAPFILE_TO_END,
                        rest,
                        near(rest, random),
                        pages,
                        pages + page_up(offset) - offset,
                        1 + draw_below(random, 64),
                        0,
                        draw_below(random, rest + 1),
                        1 + draw_below(random, 3 * page_size)};
  uint64_t length = choices[draw_below(random, sizeof choices / sizeof choices[0])];
  if (!on->crowded)
    return length;
  window part = window_of(in, on, one->of);
  uint64_t longest = part.high - offset;
  if (length == MAPFILE_TO_END && offset + rest <= part.high)
    return length;
  return length < longest ? length : longest;
}

/* Some bytes are like the ones elsewhere, so that there is something to be found more than once. */
void draw_bytes(unsigned char *bytes, size_t length, uint64_t *random) {
  uint64_t style = draw_below(random, 4), word = 0;
  for (size_t at = 0; at < length; at++) {
    if (at % 8 == 0)
      word = draw(random);
    unsigned char byte = (unsigned char)(word >> at % 8 * 8);
    bytes[at] = style == 0 ? (unsigned char)('a' + byte % 2) : style == 1 ? 'x' : byte;
  }
}

slots slots_of(const lane *in, const world *on) {
  return on == in->shared && in->number > 0 ? in->mine : (slots){0, VIEWS};
}

opened *draw_opened(world *on, uint64_t *random) {
  unsigned first = (unsigned)draw_below(random, OPENED);
  for (unsigned i = 0; i < OPENED; i++)
    if (on->opened[(first + i) % OPENED].file != NULL)
      return &on->opened[(first + i) % OPENED];
  return NULL;
}

pinned *draw_view(const lane *in, world *on, uint64_t *random, unsigned *slot) {
  slots mine = slots_of(in, on);
  unsigned first = (unsigned)draw_below(random, mine.count);
  for (unsigned i = 0; i < mine.count; i++) {
    *slot = mine.first + (first + i) % mine.count;
    if (on->views[*slot] != NULL)
      return on->views[*slot];
  }
  return NULL;
}

int opened_number(const world *on, const opened *one) {
  return (int)(one - on->opened);
}

const char *name_path(const world *on, unsigned name) {
  static _Thread_local char paths[4][300];
  static _Thread_local unsigned turn;
  char *path = paths[turn++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s%c", on->folder, on->prefix, (char)('a' + name));
  return path;
}
