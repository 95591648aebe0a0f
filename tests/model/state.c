/*
 * state.c - steps that ask for the state of mapfiles and change it: size, check, counts, limits, parking, injections.
 *
 * SPDX-License-Identifier: MIT
 */
#include "calls.h"

#include <string.h>

void step_size(lane *in, world *on, uint64_t *random) {
  opened *one = draw_opened(on, random);
  uint64_t size = UINT64_MAX;
  if (one == NULL)
    return;
  bool invalid = draw_one_in(random, 10);
  calling(in, "mapfile_size(%s%s%d)", invalid ? "NULL for " : "", on->prefix, opened_number(on, one));
  ended(in, mapfile_size(invalid ? NULL : one->file, &size), ONE(invalid ? MAPFILE_INVALID : MAPFILE_OK));
  uint64_t wanted = invalid ? UINT64_MAX : one->known.size;
  EXPECT(in, size == wanted, "the size is %" PRIu64 ", not %" PRIu64, size, wanted);
}

void step_check(lane *in, world *on, uint64_t *random) {
  opened *one = draw_opened(on, random);
  if (one == NULL)
    return;
  calling(in, "mapfile_check(%sm%d)", on->prefix, opened_number(on, one));
  ended(in, mapfile_check(one->file), one->stream ? ONE(MAPFILE_OK) : look_difference(&one->known, one->of));
  if (!on->crowded)
    one->known = look_at(one->of);
}

/*
 * Counts
 */

static mapfile_statistics counts_of(lane *in, mapfile *file) {
  mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
  mapfile_status status = mapfile_stats(file, &counts);
  EXPECT(in, status == MAPFILE_OK, "mapfile_stats afterwards: %s", status_name(status));
  return counts;
}

static void look_at_mapfile(lane *in, world *on, const opened *one) {
  mapfile_statistics counts = counts_of(in, one->file);
  int number = opened_number(on, one);
  EXPECT(in, counts.open_files == 1, "%sm%d is %" PRIu64 " mapfiles", on->prefix, number, counts.open_files);
  EXPECT(in, one->map_count == 0 || counts.maps <= one->map_count, "%sm%d has %" PRIu64 " maps, its budget is %" PRIu64,
         on->prefix, number, counts.maps, one->map_count);
  EXPECT(in, one->map_bytes == 0 || counts.mapped_bytes <= one->map_bytes,
         "%sm%d has mapped %" PRIu64 " bytes, its budget is %" PRIu64, on->prefix, number, counts.mapped_bytes,
         one->map_bytes);
  if (on->crowded)
    return;
  unsigned views = world_pinned(on, one, false);
  EXPECT(in, counts.pinned_views == views, "%sm%d has %" PRIu64 " views pinned, not %u", on->prefix, number,
         counts.pinned_views, views);
}

/* Over its limits the process may only be by what was pinned when they were lowered. */
static void look_at_limits(lane *in, const mapfile_statistics *counts, unsigned views) {
  limits now = in->of->now;
  if (now.count != 0)
    EXPECT(in, counts->map_count_limit == now.count, "the limit of maps is %" PRIu64 ", not %" PRIu64,
           counts->map_count_limit, now.count);
  if (now.bytes != 0)
    EXPECT(in, counts->map_bytes_limit == now.bytes, "the limit of mapped bytes is %" PRIu64 ", not %" PRIu64,
           counts->map_bytes_limit, now.bytes);
  if (in->filling)
    return;
  uint64_t most = counts->map_count_limit > views ? counts->map_count_limit : views;
  EXPECT(in, counts->maps <= most, "the process has %" PRIu64 " maps, its limit is %" PRIu64 ", %u views are pinned",
         counts->maps, counts->map_count_limit, views);
  EXPECT(in, views > 0 || counts->mapped_bytes <= counts->map_bytes_limit,
         "the process has mapped %" PRIu64 " bytes, its limit is %" PRIu64, counts->mapped_bytes,
         counts->map_bytes_limit);
}

/* Where several lanes are at work: they never set limits beyond what was there when nothing was pinned. */
static void look_at_most(lane *in, const mapfile_statistics *counts) {
  limits most = in->of->most;
  EXPECT(in, most.count == 0 || counts->maps <= most.count,
         "the process has %" PRIu64 " maps, the limit was never more than %" PRIu64, counts->maps, most.count);
  EXPECT(in, most.bytes == 0 || counts->mapped_bytes <= most.bytes,
         "the process has mapped %" PRIu64 " bytes, the limit was never more than %" PRIu64, counts->mapped_bytes,
         most.bytes);
}

void look_at_counts(lane *in, world *on) {
  unsigned open = 0;
  for (unsigned i = 0; i < OPENED; i++)
    if (on->opened[i].file != NULL) {
      look_at_mapfile(in, on, &on->opened[i]);
      open++;
    }
  mapfile_statistics counts = counts_of(in, NULL);
  if (!is_alone(in)) {
    look_at_most(in, &counts);
    return;
  }
  unsigned views = 0;
  for (unsigned i = 0; i < in->of->world_count; i++)
    views += world_pinned(&in->of->worlds[i], NULL, true);
  look_at_limits(in, &counts, views);
  if (in->of->world_count > 1)
    return;
  views = world_pinned(on, NULL, false);
  EXPECT(in, counts.open_files == open, "%" PRIu64 " mapfiles are open, not %u", counts.open_files, open);
  EXPECT(in, counts.pinned_views == views, "%" PRIu64 " views are pinned, not %u", counts.pinned_views, views);
}

void step_stats(lane *in, world *on, uint64_t *random) {
  mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
  opened *one = draw_opened(on, random);
  mapfile *file = one != NULL && draw_one_in(random, 2) ? one->file : NULL;
  bool small = draw_one_in(random, 4), none = draw_one_in(random, 8);
  if (small)
    counts.size = 16;
  calling(in, "mapfile_stats(%s, %s)", file != NULL ? "a mapfile" : "NULL",
          none    ? "NULL"
          : small ? "too small a struct"
                  : "counts");
  ended(in, mapfile_stats(file, none ? NULL : &counts), ONE(none || small ? MAPFILE_INVALID : MAPFILE_OK));
  EXPECT(in, !small || counts.open_files == 0, "a struct that was too small has been written to");
  look_at_counts(in, on);
}

/*
 * Budgets
 */

/* It fits as things are; or once all that is not pinned is evicted. */
static bool fits(uint64_t used, uint64_t more, uint64_t limit, bool evictable) {
  return (used <= limit && more <= limit - used) || (evictable && more <= limit);
}

/* One map more, of so many bytes. views: those pinned that may hold a map each. */
static bool budget_fits(const mapfile_statistics *counts, uint64_t more, unsigned views) {
  if (counts->map_bytes_limit == UINT64_MAX && views + 1 <= counts->map_count_limit)
    return true;
  return fits(counts->maps, 1, counts->map_count_limit, views == 0) &&
         fits(counts->mapped_bytes, more, counts->map_bytes_limit, views == 0);
}

static bool process_fits(lane *in, uint64_t more) {
  mapfile_statistics counts = counts_of(in, NULL);
  unsigned views = 0;
  if (!is_alone(in))
    return in->of->most.count == 0 && in->of->most.bytes == 0 && counts.map_bytes_limit == UINT64_MAX;
  for (unsigned i = 0; i < in->of->world_count; i++)
    views += world_pinned(&in->of->worlds[i], NULL, true);
  return budget_fits(&counts, more, views);
}

bool has_room(lane *in, world *on, opened *one, uint64_t offset, uint64_t length, bool only_count) {
  uint64_t more = only_count ? 0 : page_up(offset + length) - page_down(offset);
  if (!process_fits(in, more))
    return false;
  if (one->map_bytes == 0 && one->map_count == 0)
    return true;
  mapfile_statistics counts = counts_of(in, one->file);
  return !on->crowded && budget_fits(&counts, more, world_pinned(on, one, true));
}

static uint64_t draw_limit(uint64_t most, uint64_t bound, uint64_t *random) {
  if (most != 0)
    return 1 + draw_below(random, most);
  return draw_one_in(random, 3) ? 0 : 1 + draw_below(random, bound);
}

void step_limits(lane *in, world *on, uint64_t *random) {
  mapfile_limits given = MAPFILE_LIMITS_INIT;
  const episode *of = in->of;
  uint64_t wrong = draw_below(random, 40);
  /* Where there are several lanes, each counts on what the others do not exceed. */
  if (of->lanes > 1 && of->most.count == 0)
    return;
  given.map_count = draw_limit(of->most.count, 8, random);
  given.map_bytes = draw_limit(of->most.bytes / page_size, 3 * on->room / page_size, random) * page_size;
  if (wrong == 0)
    given.size = 8;
  if (wrong == 1)
    given.reserved0 = 1;
  if (wrong == 2)
    given.reserved[draw_below(random, sizeof given.reserved / sizeof given.reserved[0])] = 1;
  calling(in, "mapfile_set_limits({map_count %" PRIu64 ", map_bytes %" PRIu64 "%s})", given.map_count, given.map_bytes,
          wrong < 3    ? ", wrong"
          : wrong == 3 ? ", NULL"
                       : "");
  mapfile_status status = mapfile_set_limits(wrong == 3 ? NULL : &given);
  ended(in, status, ONE(wrong < 4 ? MAPFILE_INVALID : MAPFILE_OK));
  if (status != MAPFILE_OK || !is_alone(in))
    return;
  in->of->now.count = given.map_count;
  in->of->now.bytes = given.map_bytes;
  look_at_counts(in, on);
}

/*
 * Parking
 */

void step_park(lane *in, world *on, uint64_t *random) {
  opened *one = draw_opened(on, random);
  slots mine = slots_of(in, on);
  statuses allowed = ONE(MAPFILE_OK) | (on->crowded ? ONE(MAPFILE_BUSY) : 0);
  if (one == NULL)
    return;
  for (unsigned i = mine.first; i < mine.first + mine.count; i++)
    if (on->views[i] != NULL && on->views[i]->by == one)
      allowed = ONE(MAPFILE_BUSY);
  calling(in, "mapfile_park(%sm%d)", on->prefix, opened_number(on, one));
  ended(in, mapfile_park(one->file), allowed);
}

/*
 * Injections
 */

static mapfile_status draw_injected(uint64_t *random) {
  static const mapfile_status good[] = {MAPFILE_TRUNCATED, MAPFILE_IO,       MAPFILE_IO,
                                        MAPFILE_NO_SPACE,  MAPFILE_POISONED, MAPFILE_PROTECTED,
                                        MAPFILE_RELEASED,  MAPFILE_CHANGED,  MAPFILE_UNKNOWN};
  static const mapfile_status wrong[] = {MAPFILE_INVALID, MAPFILE_NOT_FOUND, MAPFILE_BUSY,  MAPFILE_LIMIT,
                                         MAPFILE_END,     MAPFILE_CANCELLED, MAPFILE_STALE, 99};
  if (draw_one_in(random, 24))
    return wrong[draw_below(random, sizeof wrong / sizeof wrong[0])];
  return good[draw_below(random, sizeof good / sizeof good[0])];
}

static bool is_injectable(mapfile_status status) {
  const statuses all = ONE(MAPFILE_OK) | ONE(MAPFILE_TRUNCATED) | ONE(MAPFILE_IO) | ONE(MAPFILE_NO_SPACE) |
                       ONE(MAPFILE_POISONED) | ONE(MAPFILE_PROTECTED) | ONE(MAPFILE_RELEASED) | ONE(MAPFILE_CHANGED) |
                       ONE(MAPFILE_UNKNOWN);
  return status >= 0 && status <= MAPFILE_STALE && (all & ONE(status)) != 0;
}

typedef struct range {
  uint64_t offset, length;
} range;

static range draw_pages(const lane *in, const world *on, const opened *one, uint64_t *random) {
  window part = window_of(in, on, one->of);
  range drawn = {part.change_low + draw_below(random, part.change_high - part.change_low), 0};
  uint64_t longest = part.change_high - drawn.offset;
  drawn.length = 1 + draw_below(random, draw_one_in(random, 3) ? 4 * page_size : page_size);
  if (on->crowded)
    return (range){drawn.offset, drawn.length < longest ? drawn.length : longest};
  if (draw_one_in(random, 10))
    drawn.length = MAPFILE_TO_END;
  if (draw_one_in(random, 20))
    drawn.length = 0;
  if (draw_one_in(random, 40))
    drawn = (range){UINT64_MAX - draw_below(random, 3 * page_size), 4 * page_size};
  return drawn;
}

static void inject(lane *in, world *on, opened *one, range at, mapfile_status status) {
  bool overflows = at.length != MAPFILE_TO_END && at.length > UINT64_MAX - at.offset;
  bool worked = !overflows && is_injectable(status);
  calling(in, "mapfile_inject(%sm%d, %" PRIu64 ", %" PRIu64 "%s, %s)", on->prefix, opened_number(on, one), at.offset,
          at.length, at.length == MAPFILE_TO_END ? " = to the end" : "", status_name(status));
  ended(in, mapfile_inject(one->file, at.offset, at.length, status), ONE(worked ? MAPFILE_OK : MAPFILE_INVALID));
  if (worked)
    world_inject(on, slots_of(in, on), one, at.offset, at.length, status);
}

void step_inject(lane *in, world *on, uint64_t *random) {
  opened *one = draw_opened(on, random);
  if (one != NULL)
    inject(in, on, one, draw_pages(in, on, one, random), draw_injected(random));
}

void step_mend(lane *in, world *on, uint64_t *random) {
  opened *one = draw_opened(on, random);
  if (one == NULL)
    return;
  range all = {one->of->origin, MAPFILE_TO_END};
  range some = draw_pages(in, on, one, random);
  inject(in, on, one, !on->crowded && draw_one_in(random, 2) ? all : some, MAPFILE_OK);
}
