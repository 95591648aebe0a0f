/*
 * touch.c - steps that touch views in scopes of all forms, and what is seen of them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Does the processor report the very byte, or only its page? */
#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__) || defined(__arm__) || defined(__powerpc64__)
enum { IS_EXACT = 1 };
#else
enum { IS_EXACT = 0 };
#endif

/*
 * Touching. What a scope jumps out of lies in memory, and is plain code: no function of the C library's is left half
 * done.
 */

typedef struct moving {
  volatile unsigned char *view;
  unsigned char *other;
  size_t length;
} moving;

typedef uintptr_t word __attribute__((may_alias));

static mapfile_status MAPFILE_CALL load(void *argument) {
  const moving *range = argument;
  const volatile unsigned char *from = range->view;
  unsigned char *to = range->other;
  size_t at = 0;
  for (; at < range->length && (uintptr_t)(from + at) % sizeof(word) != 0; at++)
    to[at] = from[at];
  for (; range->length - at >= sizeof(word); at += sizeof(word)) {
    word loaded = *(const volatile word *)(const volatile void *)(from + at);
    memcpy(to + at, &loaded, sizeof loaded);
  }
  for (; at < range->length; at++)
    to[at] = from[at];
  return MAPFILE_OK;
}

static mapfile_status MAPFILE_CALL store(void *argument) {
  const moving *range = argument;
  for (size_t at = 0; at < range->length; at++)
    range->view[at] = range->other[at];
  return MAPFILE_OK;
}

static volatile unsigned char *view_at(const pinned *view, uint64_t offset) {
  return (volatile unsigned char *)view->view.data + (offset - view->offset);
}

/*
 * What a fault says. first: the first byte that was touched of the range in which it happened.
 */

static void look_at_record(lane *in, const pinned *view, const mapfile_fault *fault, uint64_t first, uint32_t access) {
  uint64_t page = page_down(fault->offset), expected = page > first ? page : first;
  EXPECT(in, fault->file == view->by->file, "the fault is of another mapfile");
  EXPECT(in, fault->offset >= page_down(first) && fault->offset < view->offset + view->length,
         "the fault is at %" PRIu64 ", but %" PRIu64 " and on were touched", fault->offset, first);
  EXPECT(in, !IS_EXACT || fault->offset == expected, "the fault is at %" PRIu64 ", not %" PRIu64, fault->offset,
         expected);
  EXPECT(in, (uintptr_t)fault->address - (uintptr_t)view->view.data == fault->offset - view->offset,
         "the fault's address %p is not that of its offset %" PRIu64, fault->address, fault->offset);
  bool told = IS_EXACT && getenv("MAPFILE_TEST_EMULATOR") == NULL;
  EXPECT(in, fault->access == access || (!told && fault->access == MAPFILE_FAULT_UNKNOWN),
         "the fault's access is %" PRIu32, fault->access);
  EXPECT(in, fault->length > 0, "the fault is 0 bytes long");
}

static mapfile_status explain(lane *in, mapfile_fault *fault) {
  mapfile_status cause = mapfile_fault_explain(fault);
  count_call("mapfile_fault_explain", cause);
  EXPECT(in, cause == fault->status, "explained as %s, but the record says %s", status_name(cause),
         status_name(fault->status));
  return cause;
}

/* What a scope ends with where a page could not be reached. */
static bool is_fault_status(mapfile_status status) {
  const statuses known_at_once = ONE(MAPFILE_POISONED) | ONE(MAPFILE_PROTECTED) | ONE(MAPFILE_RELEASED);
  return status > 0 && ((ONE(MAPFILE_UNKNOWN) | known_at_once) & ONE(status)) != 0;
}

/*
 * Agreeing with the model
 */

static void settle(lane *in, const world *on, pinned *view, const sight *seen) {
  char expected[300];
  pinned_describe(view, pinned_page_of(view, seen->offset), expected, sizeof expected);
  if (pinned_settle(view, seen))
    return;
  char got[100] = "other bytes";
  if (seen->bytes == NULL)
    snprintf(got, sizeof got, "a fault (%s)", mapfile_strerror(seen->cause));
  broken(in, "the view of %zu bytes at %" PRIu64 " of %sm%d shows at %" PRIu64 " + %zu %s; expected %s", view->length,
         view->offset, on->prefix, opened_number(on, view->by), seen->offset, seen->length, got, expected);
}

/* Bytes that were loaded, page by page; behind them, up to a fault or the end. bad: what could not be reached, or
   NULL. */
static void settle_range(lane *in, const world *on, pinned *view, uint64_t from, uint64_t end,
                         const unsigned char *bytes, const mapfile_fault *bad, mapfile_status cause) {
  uint64_t reached = bad != NULL ? page_down(bad->offset) : end;
  for (uint64_t at = from; at < end && at < reached;) {
    uint64_t next = page_down(at) + page_size;
    next = next < end ? next : end;
    sight seen = {at, (size_t)(next - at), bytes + (at - from), MAPFILE_OK};
    settle(in, on, view, &seen);
    at = next;
  }
  if (bad == NULL)
    return;
  uint64_t at = reached > from ? reached : from;
  sight seen = {at, 1, NULL, cause};
  settle(in, on, view, &seen);
}

/* A scope over the mapfile, whatever the view's flags are, and a part of one page. */
static void peek(lane *in, world *on, pinned *view, uint64_t from, uint64_t end, unsigned char *buffer) {
  moving range = {view_at(view, from), buffer, (size_t)(end - from)};
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_status status = mapfile_try(view->by->file, NULL, load, &range, &fault);
  if (status == MAPFILE_OK) {
    settle_range(in, on, view, from, end, buffer, NULL, MAPFILE_OK);
    return;
  }
  EXPECT(in, is_fault_status(status) && status == fault.status, "looking at a view: %s, the record says %s",
         status_name(status), status_name(fault.status));
  look_at_record(in, view, &fault, from, MAPFILE_FAULT_READ);
  settle_range(in, on, view, from, end, buffer, &fault, explain(in, &fault));
}

void look_at_view(lane *in, world *on, pinned *view, bool thoroughly) {
  unsigned char *buffer = allocate(in, page_size);
  for (size_t page = 0; page < view->pages; page++) {
    uint64_t end, from = pinned_page(view, page, &end);
    if (thoroughly || end - from <= 8) {
      peek(in, on, view, from, end, buffer);
      continue;
    }
    peek(in, on, view, from, from + 4, buffer);
    peek(in, on, view, end - 4, end, buffer);
  }
  free(buffer);
}

void look_at_views(lane *in, world *on) {
  slots mine = slots_of(in, on);
  for (unsigned i = mine.first; i < mine.first + mine.count; i++)
    if (on->views[i] != NULL)
      look_at_view(in, on, on->views[i], false);
}

void step_look(lane *in, world *on, uint64_t *random) {
  unsigned slot;
  pinned *view = draw_view(in, on, random, &slot);
  if (view == NULL)
    return;
  calling(in, "(look at %sv%u)", on->prefix, slot);
  look_at_view(in, on, view, true);
  done(in, true);
}

/*
 * Scopes of all forms
 */

enum form { TRY_VIEW, TRY_FILE, IN_PLACE_VIEW, IN_PLACE_FILE, NESTED_VIEW, NESTED_FILE, FORMS };

static const char *const form_names[] = {"the view",
                                         "its mapfile",
                                         "the view",
                                         "its mapfile",
                                         "the view, and inside it another",
                                         "its mapfile, and inside it another view"};

typedef struct touch {
  pinned *view, *inner;
  enum form form;
  mapfile_body body;
  moving range;
  mapfile_fault *fault, inside; /* inside: what the inner scope took */
} touch;

/* Two views of one map may share a page; then the inner scope covers it too. */
static bool may_share_pages(const pinned *one, const pinned *other) {
  uint64_t end = page_up(one->offset + one->length), other_end = page_up(other->offset + other->length);
  return one->by == other->by && page_down(one->offset) < other_end && page_down(other->offset) < end;
}

static mapfile_status MAPFILE_CALL touch_inside(void *argument) {
  touch *what = argument;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_status status = mapfile_try(what->inner->by->file, &what->inner->view, what->body, &what->range, &fault);
  if (fault.address == NULL || fault.filled_pages != 0)
    return MAPFILE_OK;
  what->inside = fault;
  return may_share_pages(what->view, what->inner) ? status : MAPFILE_CANCELLED;
}

/* The status that mapfile_try would have given. */
static mapfile_status touch_in_place(touch *what) {
  const mapfile_view *covered = what->form == IN_PLACE_VIEW ? &what->view->view : NULL;
  volatile bool caught = false;
  MAPFILE_TRY(what->view->by->file, covered, what->fault) {
    what->body(&what->range);
  }
  MAPFILE_CATCH {
    caught = true;
  }
  MAPFILE_END_TRY
  count_call("MAPFILE_TRY", caught ? what->fault->status : MAPFILE_OK);
  return caught ? what->fault->status : MAPFILE_OK;
}

static mapfile_status touch_somehow(touch *what) {
  mapfile *file = what->view->by->file;
  const mapfile_view *view = &what->view->view;
  switch (what->form) {
  case TRY_VIEW:
    return mapfile_try(file, view, what->body, &what->range, what->fault);
  case TRY_FILE:
    return mapfile_try(file, NULL, what->body, &what->range, what->fault);
  case NESTED_VIEW:
    return mapfile_try(file, view, touch_inside, what, what->fault);
  case NESTED_FILE:
    return mapfile_try(file, NULL, touch_inside, what, what->fault);
  default:
    return touch_in_place(what);
  }
}

static bool is_in_place(enum form form) {
  return form == IN_PLACE_VIEW || form == IN_PLACE_FILE;
}

/* What the scope says where every byte was reached. */
static statuses good_end(const pinned *view, enum form form) {
  bool over_view = form == TRY_VIEW || form == NESTED_VIEW;
  if (over_view && view->filled > 0)
    return ONE(MAPFILE_UNKNOWN);
  return over_view && (view->flags & MAPFILE_VERIFY) != 0 ? view_difference(view) : ONE(MAPFILE_OK);
}

/* Touch [from, end). Returns the fault's cause, OK where there was none. */
static mapfile_status touch_range(lane *in, touch *what, uint64_t from, mapfile_fault *fault, uint32_t access) {
  what->fault = fault;
  mapfile_status status = touch_somehow(what);
  if (what->inside.address != NULL)
    *fault = what->inside;
  bool faulted = fault->address != NULL && fault->filled_pages == 0;
  if (!faulted) {
    ended(in, status, good_end(what->view, what->form));
    return MAPFILE_OK;
  }
  ended(in, status, ONE(MAPFILE_UNKNOWN) | ONE(MAPFILE_POISONED) | ONE(MAPFILE_PROTECTED) | ONE(MAPFILE_RELEASED));
  EXPECT(in, fault->status == status, "the record says %s", status_name(fault->status));
  look_at_record(in, what->view, fault, from, access);
  mapfile_status cause = explain(in, fault);
  note(in, "      a fault at %" PRIu64 ": %s", fault->offset, status_name(cause));
  return cause;
}

/* Some part of a view, of which something is promised. False: there is none. */
static bool draw_part(const pinned *view, uint64_t *random, uint64_t *from, uint64_t *end) {
  *from = view->offset + draw_below(random, view->length);
  *end = *from + 1 + draw_below(random, view->offset + view->length - *from);
  if (draw_one_in(random, 4)) {
    *from = view->offset;
    *end = view->offset + view->length;
  }
  return view->length > 0 && !pinned_is_open(view, *from, *end - *from);
}

static void call_touch(lane *in, const world *on, const touch *what, const char *how, unsigned slot, uint64_t from,
                       uint64_t end) {
  calling(in, "%s(over %s: %s %sv%u, %" PRIu64 " + %" PRIu64 ")",
          is_in_place(what->form) ? "MAPFILE_TRY" : "mapfile_try", form_names[what->form], how, on->prefix, slot, from,
          end - from);
}

/* Scopes that cannot be entered: nothing runs. */
static mapfile_status MAPFILE_CALL must_not_run(void *argument) {
  *(bool *)argument = true;
  return MAPFILE_OK;
}

static void touch_wrongly(lane *in, const pinned *view, uint64_t *random) {
  mapfile_view none = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  bool ran = false;
  uint64_t what = draw_below(random, 4);
  if (what == 0)
    fault.size = 8;
  static const char *const wrong[] = {"too small a record", "a view that is not pinned", "no mapfile", "no body"};
  calling(in, "mapfile_try(%s)", wrong[what]);
  mapfile_status status = mapfile_try(what == 2 ? NULL : view->by->file, what == 1 ? &none : &view->view,
                                      what == 3 ? NULL : must_not_run, &ran, &fault);
  ended(in, status, ONE(MAPFILE_INVALID));
  EXPECT(in, !ran, "the body ran all the same");
}

void step_touch(lane *in, world *on, uint64_t *random) {
  unsigned slot, inner;
  uint64_t from, end;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  pinned *view = draw_view(in, on, random, &slot);
  if (view != NULL && draw_one_in(random, 30)) {
    touch_wrongly(in, view, random);
    return;
  }
  if (view == NULL || !draw_part(view, random, &from, &end))
    return;
  unsigned char *buffer = allocate(in, (size_t)(end - from));
  touch what = {.view = view,
                .inner = draw_view(in, on, random, &inner),
                .form = (enum form)draw_below(random, FORMS),
                .body = load,
                .range = {view_at(view, from), buffer, (size_t)(end - from)}};
  call_touch(in, on, &what, "load", slot, from, end);
  mapfile_status cause = touch_range(in, &what, from, &fault, MAPFILE_FAULT_READ);
  settle_range(in, on, view, from, end, buffer, cause != MAPFILE_OK ? &fault : NULL, cause);
  free(buffer);
}

/*
 * Storing
 */

/* Into which part of a view may be stored: what lies behind the file's end would vanish or stay as it likes, and other
   lanes' pages are theirs. */
static bool cut_to_writable(const lane *in, const world *on, const pinned *view, uint64_t *from, uint64_t *end) {
  window part = window_of(in, on, view->by->of);
  uint64_t high = part.change_high < view->by->of->size ? part.change_high : view->by->of->size;
  *from = *from < part.change_low ? part.change_low : *from;
  *end = *end > high ? high : *end;
  if ((view->flags & MAPFILE_SHARED) != 0 && world_is_vowed(on, view->by->of))
    return false;
  return *from < *end && (view->flags & (MAPFILE_SHARED | MAPFILE_PRIVATE)) != 0;
}

static void was_stored(world *on, pinned *view, uint64_t from, uint64_t end, const unsigned char *bytes) {
  disk *of = view->by->of;
  if (end <= from)
    return;
  if ((view->flags & MAPFILE_SHARED) == 0) {
    pinned_store(view, from, bytes, (size_t)(end - from));
    return;
  }
  world_write(on, of, from, bytes, (size_t)(end - from));
}

/* When stores show in the file's times is the system's affair. */
static void expect_stores(const world *on, const pinned *view) {
  if ((view->flags & MAPFILE_SHARED) != 0 && !on->crowded)
    view->by->of->vague = true;
}

void step_store(lane *in, world *on, uint64_t *random) {
  unsigned slot, inner;
  uint64_t from, end;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  pinned *view = draw_view(in, on, random, &slot);
  if (view == NULL || !draw_part(view, random, &from, &end) || !cut_to_writable(in, on, view, &from, &end))
    return;
  /* What it holds must be settled before it changes. */
  look_at_view(in, on, view, true);
  unsigned char *bytes = allocate(in, (size_t)(end - from));
  draw_bytes(bytes, (size_t)(end - from), random);
  touch what = {.view = view,
                .inner = draw_view(in, on, random, &inner),
                .form = (enum form)draw_below(random, FORMS),
                .body = store,
                .range = {view_at(view, from), bytes, (size_t)(end - from)}};
  call_touch(in, on, &what, "store", slot, from, end);
  expect_stores(on, view);
  mapfile_status cause = touch_range(in, &what, from, &fault, MAPFILE_FAULT_WRITE);
  uint64_t reached = cause != MAPFILE_OK ? page_down(fault.offset) : end;
  was_stored(on, view, from, reached, bytes);
  if (cause != MAPFILE_OK)
    settle_range(in, on, view, fault.offset, fault.offset + 1, bytes, &fault, cause);
  free(bytes);
  look_at_view(in, on, view, true);
}

/*
 * Committing
 */

/* Some part of a view, by a range of the file. In a crowd: of what is the lane's own to change. */
static bool draw_committed(const lane *in, const world *on, const pinned *view, uint64_t *random, uint64_t *from,
                           uint64_t *end) {
  window part = window_of(in, on, view->by->of);
  if (!draw_part(view, random, from, end))
    return false;
  uint64_t high = on->crowded && view->by->of->size < part.change_high ? view->by->of->size : part.change_high;
  *from = *from < part.change_low ? part.change_low : *from;
  *end = *end > high ? high : *end;
  return *from < *end;
}

/* What the view shows there, up to the first page that cannot be reached. Returns where that is, or end. */
static uint64_t load_part(lane *in, const world *on, pinned *view, uint64_t from, uint64_t end, unsigned char *bytes,
                          mapfile_status *cause) {
  moving range = {view_at(view, from), bytes, (size_t)(end - from)};
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_status status = mapfile_try(view->by->file, NULL, load, &range, &fault);
  *cause = status;
  if (status != MAPFILE_OK)
    *cause = explain(in, &fault);
  settle_range(in, on, view, from, end, bytes, status != MAPFILE_OK ? &fault : NULL, *cause);
  if (status == MAPFILE_OK)
    return end;
  return page_down(fault.offset) > from ? page_down(fault.offset) : from;
}

static void commit(lane *in, world *on, pinned *view, unsigned slot, uint64_t from, uint64_t end) {
  opened *one = view->by;
  mapfile_status cause;
  size_t length = (size_t)(end - from), got = SIZE_MAX;
  uint64_t good;
  unsigned char *bytes = allocate(in, length);
  uint64_t reached = load_part(in, on, view, from, end, bytes, &cause);
  calling(in, "mapfile_commit(%sv%u, %" PRIu64 " + %zu)", on->prefix, slot, from, length);
  statuses allowed = write_statuses(one, from, length, &good);
  /* A page that cannot be read comes before one that cannot be written, or is the same. */
  if (good > reached - from) {
    allowed = ONE(cause);
    good = reached - from;
  }
  mapfile_status status = mapfile_commit(&view->view, (size_t)(from - view->offset), length, &got);
  ended(in, status, allowed);
  EXPECT(in, got == good, "%zu bytes were written, not %" PRIu64, got, good);
  written(on, one, from, bytes, got);
  free(bytes);
}

static void commit_wrongly(lane *in, const pinned *view, uint64_t *random) {
  mapfile_view none = MAPFILE_VIEW_INIT;
  size_t got = SIZE_MAX;
  bool unpinned = draw_one_in(random, 3);
  calling(in, "mapfile_commit(%s)", unpinned ? "a view that is not pinned" : "more than the view");
  ended(in, mapfile_commit(unpinned ? &none : &view->view, view->length, 1, &got), ONE(MAPFILE_INVALID));
  EXPECT(in, got == 0, "%zu bytes were written", got);
}

void step_commit(lane *in, world *on, uint64_t *random) {
  unsigned slot;
  uint64_t from, end;
  pinned *view = draw_view(in, on, random, &slot);
  /* Most are not private. */
  for (int i = 0; i < 16 && view != NULL && (view->flags & MAPFILE_PRIVATE) == 0; i++)
    view = draw_view(in, on, random, &slot);
  if (view == NULL || (world_is_vowed(on, view->by->of) && !opened_is_vowed(view->by)))
    return;
  bool is_private = (view->flags & MAPFILE_PRIVATE) != 0;
  if (draw_one_in(random, 16))
    commit_wrongly(in, view, random);
  if (!is_private || !draw_committed(in, on, view, random, &from, &end))
    return;
  commit(in, on, view, slot, from, end);
  look_at_files(in, on);
  look_at_views(in, on);
}

/*
 * EFAULT made a record
 */

void step_from_call(lane *in, world *on, uint64_t *random) {
  unsigned slot;
  uint64_t from, end;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  pinned *view = draw_view(in, on, random, &slot);
  if (view == NULL || !draw_part(view, random, &from, &end))
    return;
  size_t length = (size_t)(end - from);
  int64_t moved = draw_one_in(random, 2) ? (int64_t)draw_below(random, length + 1) : 0;
  /* After EFAULT pages are stored to, which shows in the file's times; other lanes may look at them meanwhile. */
  if (draw_one_in(random, 3) && !on->crowded && !world_is_vowed(on, view->by->of))
    moved = -1;
  bool outside = draw_one_in(random, 12);
  calling(in, "mapfile_fault_from_call(%sv%u, %" PRIu64 " + %zu, %" PRId64 "%s)", on->prefix, slot, from, length, moved,
          outside ? ", too long" : "");
  if (moved < 0)
    expect_stores(on, view);
  size_t given = outside ? view->length + 1 : length;
  mapfile_status status = mapfile_fault_from_call(view->by->file, &view->view, (void *)(uintptr_t)view_at(view, from),
                                                  given, moved, &fault);
  if (outside) {
    ended(in, status, ONE(MAPFILE_INVALID));
    return;
  }
  uint64_t first = from + (moved > 0 ? (uint64_t)moved : 0);
  mapfile_status cause = MAPFILE_OK;
  if (fault.address != NULL && fault.filled_pages == 0) {
    ended(in, status, ONE(MAPFILE_UNKNOWN) | ONE(MAPFILE_POISONED) | ONE(MAPFILE_PROTECTED) | ONE(MAPFILE_RELEASED));
    look_at_record(in, view, &fault, first, fault.access);
    cause = explain(in, &fault);
  } else {
    ended(in, status, good_end(view, TRY_VIEW));
  }
  /* Of the pages touched the first that fails is the one, and after this look it is known which fail. */
  look_at_view(in, on, view, true);
  for (uint64_t at = first; at < end; at = page_down(at) + page_size) {
    bool fails = cause != MAPFILE_OK && page_down(at) == page_down(fault.offset);
    EXPECT(in, pinned_fails(view, at) == fails, "the page at %" PRIu64 " %s", at,
           fails ? "was said to fail" : "fails, and was not said to");
    if (fails)
      break;
  }
}

/*
 * Zero-fill scopes
 */

static bool is_fillable(const pinned *view) {
  return view != NULL && (view->flags & MAPFILE_ZERO_FILL) != 0 && view->length > 0;
}

/* Touch pages of a view, some of which become zeros. There is no other scope: a page that is not filled kills. */
static void fill_pages(lane *in, world *on, pinned *view, uint64_t *random) {
  unsigned char *buffer = allocate(in, page_size);
  for (size_t page = 0; page < view->pages; page++) {
    uint64_t end, from = pinned_page(view, page, &end);
    if (draw_one_in(random, 4) || pinned_is_open(view, from, end - from))
      continue;
    moving range = {view_at(view, from), buffer, (size_t)(end - from)};
    load(&range);
    if (pinned_fill(view, page))
      note(in, "      page at %" PRIu64 " becomes zeros", from);
    settle_range(in, on, view, from, end, buffer, NULL, MAPFILE_OK);
  }
  free(buffer);
}

typedef struct filling {
  opened *one;
  pinned *view; /* NULL: all of the mapfile */
  unsigned slot;
  pinned *gone;      /* unpinned meanwhile; what the scope has of it must stay where it is */
  uint64_t unpinned; /* pages filled of that */
  bool view_gone;
} filling;

static bool covers(const filling *of, const pinned *view) {
  return is_fillable(view) && view->by == of->one && (of->view == NULL || of->view == view);
}

static void fill_all(lane *in, world *on, filling *of, uint64_t *random) {
  slots mine = slots_of(in, on);
  for (unsigned i = mine.first; i < mine.first + mine.count; i++)
    if (covers(of, on->views[i]))
      fill_pages(in, on, on->views[i], random);
}

/* A view may be unpinned while the scope over it is open. */
static void unpin_inside(lane *in, world *on, filling *of) {
  of->gone = unpin_view(in, on, of->slot);
  of->unpinned = of->gone->filled;
  of->view_gone = of->view == of->gone;
}

static void act_inside(lane *in, world *on, filling *of, uint64_t *random) {
  if (draw_one_in(random, 4) && !on->crowded) {
    calling(in, "mapfile_close(%sm%d)", on->prefix, opened_number(on, of->one));
    ended(in, mapfile_close(of->one->file), ONE(MAPFILE_BUSY));
  }
  if (draw_one_in(random, 4)) {
    calling(in, "mapfile_park(%sm%d)", on->prefix, opened_number(on, of->one));
    ended(in, mapfile_park(of->one->file), ONE(MAPFILE_BUSY));
  }
  if (draw_one_in(random, 4))
    look_at_views(in, on);
  if (draw_one_in(random, 6))
    unpin_inside(in, on, of);
}

static uint64_t filled_of(const lane *in, const world *on, const filling *of) {
  slots mine = slots_of(in, on);
  uint64_t filled = 0;
  for (unsigned i = mine.first; i < mine.first + mine.count; i++)
    if (!of->view_gone && covers(of, on->views[i]))
      filled += on->views[i]->filled;
  return filled;
}

/* Where zeros were put: the first place of one of the views. */
static bool is_first_filled(const lane *in, const world *on, const filling *of, uint64_t offset) {
  slots mine = slots_of(in, on);
  for (unsigned i = mine.first; i < mine.first + mine.count; i++)
    if (covers(of, on->views[i]) && on->views[i]->filled > 0 &&
        page_down(on->views[i]->first_filled) == page_down(offset))
      return true;
  return false;
}

static void end_filling(lane *in, world *on, filling *of, mapfile_scope *scope, uint64_t *random) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_fault *record = draw_one_in(random, 4) ? NULL : &fault;
  uint64_t filled = filled_of(in, on, of);
  statuses allowed = ONE(filled + of->unpinned > 0 ? MAPFILE_UNKNOWN : MAPFILE_OK);
  if (allowed == ONE(MAPFILE_OK) && of->view != NULL && !of->view_gone && (of->view->flags & MAPFILE_VERIFY) != 0)
    allowed = view_difference(of->view);
  calling(in, "mapfile_scope_end(%s)", record != NULL ? "record" : "NULL");
  mapfile_status status = mapfile_scope_end(scope, record);
  ended(in, status, allowed);
  if (record == NULL || of->view_gone)
    return;
  EXPECT(in, fault.filled_pages >= filled && fault.filled_pages <= filled + of->unpinned,
         "%" PRIu64 " pages were filled, not %" PRIu64, fault.filled_pages, filled);
  EXPECT(in, fault.status == status, "the record says %s", status_name(fault.status));
  if (filled > 0 && of->unpinned == 0)
    EXPECT(in, is_first_filled(in, on, of, fault.offset), "the page at %" PRIu64 " was not the first to be filled",
           fault.offset);
}

/* Scopes that cannot begin. */
static bool fill_wrongly(lane *in, world *on, const pinned *view, uint64_t *random) {
  mapfile_scope scope;
  bool has_memory = is_fillable(view) || view->length == 0 || view->by->stream;
  MAPFILE_SCOPE_INIT(&scope);
  if (!draw_one_in(random, 3) || has_memory)
    return false;
  calling(in, "mapfile_scope_begin(%sm%d, a view without memory of its own)", on->prefix, opened_number(on, view->by));
  ended(in, mapfile_scope_begin(&scope, view->by->file, &view->view), ONE(MAPFILE_INVALID));
  mapfile_status status = mapfile_scope_end(&scope, NULL);
  EXPECT(in, status == MAPFILE_INVALID, "a scope that never began ends: %s", status_name(status));
  return true;
}

/* The scope lies in this function's frame, as it has to. */
void step_fill(lane *in, world *on, uint64_t *random) {
  mapfile_scope scope;
  filling of = {0};
  pinned *view = draw_view(in, on, random, &of.slot);
  if (view == NULL || fill_wrongly(in, on, view, random) || !is_fillable(view))
    return;
  of.one = view->by;
  of.view = on->crowded || draw_one_in(random, 2) ? view : NULL;
  MAPFILE_SCOPE_INIT(&scope);
  calling(in, "mapfile_scope_begin(%sm%d, %s%s%u)", on->prefix, opened_number(on, of.one),
          of.view != NULL ? on->prefix : "NULL, as for ", "v", of.slot);
  mapfile_status status = mapfile_scope_begin(&scope, of.one->file, of.view != NULL ? &view->view : NULL);
  ended(in, status, ONE(MAPFILE_OK));
  in->filling = true;
  fill_all(in, on, &of, random);
  act_inside(in, on, &of, random);
  end_filling(in, on, &of, &scope, random);
  in->filling = false;
  pinned_free(of.gone);
  if (draw_one_in(random, 8)) {
    mapfile_status again = mapfile_scope_end(&scope, NULL);
    EXPECT(in, again == MAPFILE_INVALID, "the scope ended twice: %s", status_name(again));
  }
}
