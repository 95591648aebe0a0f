/*
 * views.c - steps that pin views, let them go and hand them over.
 *
 * SPDX-License-Identifier: MIT
 */
#include "calls.h"

#include <string.h>

#define UNKNOWN_FLAG (UINT32_C(1) << 20)

static const flag_name pin_flags[] = {{MAPFILE_LIVE, "LIVE"},
                                      {MAPFILE_COPY, "COPY"},
                                      {MAPFILE_VERIFY, "VERIFY"},
                                      {MAPFILE_PRIVATE, "PRIVATE"},
                                      {MAPFILE_SHARED, "SHARED"},
                                      {MAPFILE_ZERO_FILL, "ZERO_FILL"},
                                      {0, NULL}};
static const char *const kind_names[] = {"NONE", "LIVE", "COPIED", "PRIVATE"};

/*
 * What a pin may do
 */

static bool contradicts(uint32_t flags) {
  uint32_t writable = flags & (MAPFILE_PRIVATE | MAPFILE_SHARED);
  if ((flags & UNKNOWN_FLAG) != 0 || writable == (MAPFILE_PRIVATE | MAPFILE_SHARED))
    return true;
  if ((flags & MAPFILE_COPY) != 0 && (flags & (MAPFILE_LIVE | MAPFILE_SHARED)) != 0)
    return true;
  if ((flags & MAPFILE_PRIVATE) != 0 && (flags & MAPFILE_LIVE) != 0)
    return true;
  return (flags & MAPFILE_ZERO_FILL) != 0 && writable != 0;
}

static bool only_copies(const opened *one) {
  return one->access == MAPFILE_ACCESS_COPIED || one->stream;
}

static statuses flags_refusals(const opened *one, uint32_t flags) {
  statuses refusals = contradicts(flags) ? ONE(MAPFILE_INVALID) : 0;
  if ((flags & MAPFILE_SHARED) != 0 && (one->flags & MAPFILE_WRITE) == 0)
    refusals |= ONE(MAPFILE_DENIED);
  if ((flags & (MAPFILE_SHARED | MAPFILE_LIVE)) != 0 && only_copies(one))
    refusals |= ONE(MAPFILE_UNSUPPORTED);
  return refusals;
}

/* Everything there is to know of a pin before it is made. */
typedef struct plan {
  opened *one;
  uint64_t offset, length;
  uint32_t flags;
  statuses refusals; /* of the flags */
  fit fits;
  statuses allowed;
  bool may_map, may_copy;
} plan;

/* A copy is read at once; one with pages that fail, or may be filled, takes a place among the maps. */
static statuses copy_statuses(lane *in, world *on, const plan *of) {
  uint64_t end = of->offset + of->fits.there;
  bool fills = (of->flags & MAPFILE_ZERO_FILL) != 0;
  bool injected = opened_any_bad(of->one, of->offset, of->fits.there);
  statuses allowed = end > of->one->of->size && !fills ? ONE(MAPFILE_TRUNCATED) : ONE(MAPFILE_OK);
  if ((injected || fills) && !has_room(in, on, of->one, of->offset, of->fits.there, true))
    allowed |= ONE(MAPFILE_LIMIT);
  return allowed;
}

static void expect_range(lane *in, world *on, plan *of) {
  const uint32_t only_map = MAPFILE_LIVE | MAPFILE_SHARED;
  bool room = has_room(in, on, of->one, of->offset, of->fits.there, false);
  bool separate = (of->one->flags & MAPFILE_SEPARATE_CACHE) != 0 && (of->flags & (only_map | MAPFILE_PRIVATE)) == 0;
  of->may_map = (of->flags & MAPFILE_COPY) == 0 && !only_copies(of->one) && !separate;
  of->may_copy = !of->may_map;
  of->allowed = ONE(MAPFILE_OK);
  if (!of->may_map) {
    of->allowed = copy_statuses(in, on, of);
  } else if ((of->flags & only_map) != 0) {
    of->allowed |= room ? 0 : ONE(MAPFILE_LIMIT);
  } else if (!room || of->one->access == MAPFILE_ACCESS_AUTO) {
    of->may_copy = true;
    of->allowed |= copy_statuses(in, on, of);
  }
}

static plan plan_pin(lane *in, world *on, opened *one, uint64_t offset, uint64_t length, uint32_t flags) {
  plan of = {.one = one, .offset = offset, .length = length, .flags = flags};
  uint64_t size = (flags & MAPFILE_VERIFY) != 0 && !one->stream ? one->of->size : one->known.size;
  of.refusals = flags_refusals(one, flags);
  of.fits = fit_range(offset, length, size);
  of.allowed = of.refusals | of.fits.refusals;
  if (of.allowed == 0 && of.fits.there == 0) {
    of.allowed = ONE(MAPFILE_OK);
    of.may_map = !only_copies(one) && (flags & MAPFILE_COPY) == 0;
    of.may_copy = true;
  } else if (of.allowed == 0) {
    expect_range(in, on, &of);
  }
  return of;
}

/*
 * Pinning
 */

static uint32_t draw_flags(uint64_t *random) {
  static const uint32_t usual[] = {MAPFILE_ANY,
                                   MAPFILE_ANY,
                                   MAPFILE_LIVE,
                                   MAPFILE_LIVE,
                                   MAPFILE_COPY,
                                   MAPFILE_COPY,
                                   MAPFILE_PRIVATE,
                                   MAPFILE_PRIVATE,
                                   MAPFILE_SHARED,
                                   MAPFILE_SHARED,
                                   MAPFILE_ZERO_FILL,
                                   MAPFILE_ZERO_FILL,
                                   MAPFILE_COPY | MAPFILE_PRIVATE,
                                   MAPFILE_COPY | MAPFILE_ZERO_FILL};
  if (draw_one_in(random, 12))
    return (uint32_t)draw_below(random, 64) | (draw_one_in(random, 10) ? UNKNOWN_FLAG : 0);
  uint32_t verify = draw_one_in(random, 4) ? MAPFILE_VERIFY : 0;
  return usual[draw_below(random, sizeof usual / sizeof usual[0])] | verify;
}

static bool kind_fits(const plan *of, uint32_t kind) {
  if ((of->flags & MAPFILE_PRIVATE) != 0)
    return kind == MAPFILE_KIND_PRIVATE;
  return (kind == MAPFILE_KIND_LIVE && of->may_map) || (kind == MAPFILE_KIND_COPIED && of->may_copy);
}

/* What the library asked of the system by the way is known from now on. */
static void learn(const world *on, const plan *of, mapfile_status status) {
  if ((of->flags & MAPFILE_VERIFY) == 0 || of->one->stream || on->crowded)
    return;
  bool for_certain = status == MAPFILE_OK || (of->refusals == 0 && !of->fits.overflows);
  uint64_t size = of->one->known.size;
  mapfile_size(of->one->file, &size);
  if (for_certain || size == of->one->of->size)
    of->one->known = look_at(of->one->of);
  /* A call that was refused may have asked or not. */
  if (!for_certain)
    of->one->known.vague = true;
}

static void was_pinned(lane *in, pinned *view, const plan *of) {
  const mapfile_view *got = &view->view;
  EXPECT(in, got->offset == of->offset && got->length == of->fits.there && got->data != NULL,
         "the view is %zu bytes at %" PRIu64 ", data %p", got->length, got->offset, got->data);
  EXPECT(in, got->length == 0 || kind_fits(of, got->kind), "the view's kind is %s",
         got->kind <= MAPFILE_KIND_PRIVATE ? kind_names[got->kind] : "unknown");
  bool is_private = got->kind == MAPFILE_KIND_PRIVATE;
  bool may_map = is_private ? of->may_map : got->kind == MAPFILE_KIND_LIVE;
  bool may_copy = is_private ? of->may_copy : got->kind == MAPFILE_KIND_COPIED;
  EXPECT(in, pinned_begin(view, of->one, of->flags, may_map, may_copy), "there is no memory for the test");
  note(in, "      kind %s, %zu bytes", kind_names[got->kind], got->length);
}

static bool is_untouched(const mapfile_view *view) {
  return view->kind == MAPFILE_KIND_NONE && view->data == NULL && view->length == 0 && view->offset == 0;
}

static void pin(lane *in, world *on, unsigned slot, plan *of) {
  pinned *view = pinned_new();
  EXPECT(in, view != NULL, "there is no memory for the test");
  mapfile_status status = mapfile_pin(of->one->file, of->offset, of->length, of->flags, &view->view);
  ended(in, status, of->allowed);
  learn(on, of, status);
  if (status != MAPFILE_OK) {
    EXPECT(in, is_untouched(&view->view), "the call failed and yet the view was changed");
    pinned_free(view);
    return;
  }
  was_pinned(in, view, of);
  on->views[slot] = view;
}

/* A view that is pinned, none, or a struct of another size. */
static void pin_wrongly(lane *in, world *on, const plan *of, unsigned slot, uint64_t *random) {
  mapfile_view small = MAPFILE_VIEW_INIT;
  pinned *taken = on->views[slot];
  mapfile_view *view = taken != NULL ? &taken->view : NULL;
  if (view == NULL && draw_one_in(random, 2)) {
    view = &small;
    view->size = 8;
  }
  uint32_t flags = of->flags & ~(uint32_t)MAPFILE_VERIFY;
  plan plain = plan_pin(in, on, of->one, of->offset, of->length, flags);
  note(in, "  (into %s)", view == NULL ? "NULL" : view == &small ? "too small a struct" : "a view that is pinned");
  statuses allowed = plain.refusals | plain.fits.refusals | ONE(MAPFILE_INVALID);
  ended(in, mapfile_pin(of->one->file, of->offset, of->length, flags, view), allowed);
}

void step_pin(lane *in, world *on, uint64_t *random) {
  opened *one = draw_opened(on, random);
  slots mine = slots_of(in, on);
  unsigned first = (unsigned)draw_below(random, mine.count), slot = VIEWS;
  if (one == NULL)
    return;
  for (unsigned i = 0; i < mine.count && slot == VIEWS; i++)
    if (on->views[mine.first + (first + i) % mine.count] == NULL)
      slot = mine.first + (first + i) % mine.count;
  uint64_t offset = draw_offset(in, on, one, random);
  uint64_t length = draw_length(in, on, one, offset, random);
  if (draw_one_in(random, 50)) {
    offset = UINT64_MAX - draw_below(random, 5000);
    length = draw_below(random, 10000);
  }
  plan of = plan_pin(in, on, one, offset, length, draw_flags(random));
  bool wrongly = draw_one_in(random, 40);
  if (wrongly)
    slot = mine.first + first;
  if (slot == VIEWS)
    return;
  calling(in, "mapfile_pin(%sm%d, %" PRIu64 ", %" PRIu64 "%s, %s, %sv%u)", on->prefix, opened_number(on, one), offset,
          length, length == MAPFILE_TO_END ? " = to the end" : "", flags_text(of.flags, pin_flags, "ANY"), on->prefix,
          slot);
  if (wrongly) {
    pin_wrongly(in, on, &of, slot, random);
    return;
  }
  pin(in, on, slot, &of);
  if (on->views[slot] != NULL && !draw_one_in(random, 4))
    look_at_view(in, on, on->views[slot], true);
}

/*
 * Unpinning
 */

pinned *unpin_view(lane *in, world *on, unsigned slot) {
  pinned *view = on->views[slot];
  calling(in, "mapfile_unpin(%sv%u)", on->prefix, slot);
  ended(in, mapfile_unpin(&view->view), ONE(view->filled > 0 ? MAPFILE_UNKNOWN : MAPFILE_OK));
  EXPECT(in, view->view.kind == MAPFILE_KIND_NONE, "the view's kind is still %s", kind_names[view->view.kind]);
  on->views[slot] = NULL;
  if (view->offset % 4 == 1) {
    mapfile_status again = mapfile_unpin(&view->view);
    EXPECT(in, again == MAPFILE_INVALID, "unpinned twice: %s", status_name(again));
  }
  return view;
}

void step_unpin(lane *in, world *on, uint64_t *random) {
  unsigned slot;
  pinned *view = draw_view(in, on, random, &slot);
  mapfile_view none = MAPFILE_VIEW_INIT;
  if (draw_one_in(random, 30)) {
    calling(in, "mapfile_unpin(a view that is not pinned)");
    ended(in, mapfile_unpin(&none), ONE(MAPFILE_INVALID));
  } else if (view != NULL) {
    if (draw_below(random, 4) != 0)
      look_at_view(in, on, view, true);
    pinned_free(unpin_view(in, on, slot));
  }
}

/* May another lane have it? What it shows must be the same for all. */
static bool is_common(const pinned *view) {
  uint64_t first = (view->offset - view->by->of->origin) / page_size;
  for (size_t page = 0; page < view->pages; page++)
    if ((first + page) % (OWN_PAGES + 1) != 0)
      return false;
  return view->pages > 0 && (view->flags & (MAPFILE_PRIVATE | MAPFILE_ZERO_FILL)) == 0;
}

/* Give a view away and take the one that lies there: whoever unpins it is then another than who pinned it. */
void step_exchange(lane *in, world *on, uint64_t *random) {
  unsigned slot, place = (unsigned)draw_below(random, EXCHANGED);
  pinned *view = draw_view(in, on, random, &slot);
  if (!on->crowded || view == NULL || !is_common(view))
    return;
  calling(in, "(hand over %sv%u)", on->prefix, slot);
  platform_lock();
  on->views[slot] = on->exchanged[place];
  on->exchanged[place] = view;
  platform_unlock();
  done(in, true);
  if (on->views[slot] != NULL)
    look_at_view(in, on, on->views[slot], true);
}

/*
 * Has the file changed?
 */

statuses view_difference(const pinned *view) {
  statuses found = view->by->stream ? ONE(MAPFILE_OK) : look_difference(&view->since, view->by->of);
  /* Shorter, but not so far as to reach into the view. */
  if (found == ONE(MAPFILE_TRUNCATED) && view->by->of->size >= view->offset + view->length)
    return ONE(MAPFILE_CHANGED);
  return found;
}

void step_view_check(lane *in, world *on, uint64_t *random) {
  unsigned slot;
  pinned *view = draw_view(in, on, random, &slot);
  mapfile_view none = MAPFILE_VIEW_INIT;
  /* Most are not pinned for this. */
  for (int i = 0; i < 6 && view != NULL && (view->flags & MAPFILE_VERIFY) == 0; i++)
    view = draw_view(in, on, random, &slot);
  if (draw_one_in(random, 20)) {
    calling(in, "mapfile_view_check(a view that is not pinned)");
    ended(in, mapfile_view_check(&none), ONE(MAPFILE_INVALID));
  } else if (view != NULL) {
    bool verifies = (view->flags & MAPFILE_VERIFY) != 0;
    calling(in, "mapfile_view_check(%sv%u)", on->prefix, slot);
    ended(in, mapfile_view_check(&view->view), verifies ? view_difference(view) : ONE(MAPFILE_INVALID));
  }
}
