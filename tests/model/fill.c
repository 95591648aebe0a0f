/*
 * fill.c - the step that opens a zero-fill scope, in which pages that cannot be reached become zeros.
 *
 * SPDX-License-Identifier: MIT
 */
#include "calls.h"

#include <stdlib.h>

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
    load_bytes(view, from, end, buffer);
    if (pinned_fill(view, page))
      note(in, "      page at %" PRIu64 " becomes zeros", from);
    settle_bytes(in, on, view, from, end, buffer);
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
