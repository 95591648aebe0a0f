/*
 * budget.c - how many maps and how much address space there may be, and what is given up for more.
 *
 * SPDX-License-Identifier: MIT
 *
 * Promise pin-budget: the counts never exceed the limits, not even for an instant; so they are raised before a map is
 * made and lowered after it is gone, under the lock. Victims are found by a clock over all pooled segments: a segment
 * that was pinned since the hand last passed is spared once.
 */
#include "internal.h"

mf_process mf_process_state;

/* How many segments one attempt looks at. Bounded, so that a pin that can do without a map costs the same however many
   segments are pinned. */
enum { MOST_LOOKED_AT = 64 };

static uint64_t default_map_count(void) {
  uint64_t most = os_map_count_limit();
  return most == UINT64_MAX ? UINT64_MAX : most / 4 * 3;
}

static uint64_t default_map_bytes(void) {
  return mf_small_host() ? UINT64_C(256) << 20 : UINT64_MAX;
}

void mf_budget_begin(void) {
  unsigned wanted = 2 * os_processors();
  mf_process_state.stripes = 4;
  while (mf_process_state.stripes < wanted && mf_process_state.stripes < 16)
    mf_process_state.stripes *= 2;
  mf_process_state.map_count_limit = default_map_count();
  mf_process_state.map_bytes_limit = default_map_bytes();
}

void mf_budget_count(mapfile *file, int64_t maps, int64_t bytes) {
  file->maps += (uint64_t)maps;
  file->mapped_bytes += (uint64_t)bytes;
  mf_process_state.maps += (uint64_t)maps;
  mf_process_state.mapped_bytes += (uint64_t)bytes;
}

static bool has_room(uint64_t used, uint64_t more, uint64_t limit) {
  return used <= limit && more <= limit - used;
}

static bool file_has_room(const mapfile *file, uint64_t maps, uint64_t bytes) {
  return has_room(file->maps, maps, file->map_count_limit) &&
         has_room(file->mapped_bytes, bytes, file->map_bytes_limit);
}

static bool process_has_room(uint64_t maps, uint64_t bytes) {
  return has_room(mf_process_state.maps, maps, mf_process_state.map_count_limit) &&
         has_room(mf_process_state.mapped_bytes, bytes, mf_process_state.map_bytes_limit);
}

static bool evict(mf_segment *segment) {
  mapfile *file = segment->file;
  uint64_t offset = segment->offset, length = segment->length;
  if (!mf_segment_try_evict(segment))
    return false;
  file->evictions++;
  mf_process_state.evictions++;
  mf_trace(MAPFILE_EVENT_EVICT, file, offset, length, MAPFILE_OK);
  return true;
}

/* Evict one idle segment of the process: the clock, as far as most segments; what was used is spared the first time
   round. */
static bool evict_by_clock(uint64_t most) {
  for (uint64_t looked = 0; looked < 2 * most && mf_process_state.clock_hand != NULL; looked++) {
    mf_segment *segment = mf_process_state.clock_hand;
    mf_process_state.clock_hand = segment->clock_next;
    if (looked < most && atomic_exchange(&segment->used, 0) != 0)
      continue;
    if (evict(segment))
      return true;
  }
  return false;
}

/* Evict one idle segment of a mapfile, the one made first. */
static bool evict_of_file(mapfile *file) {
  mf_segment *oldest = NULL;
  for (mf_segment *segment = file->segments; segment != NULL && segment->stripes != NULL; segment = segment->file_next)
    oldest = segment;
  for (mf_segment *segment = oldest; segment != NULL; segment = segment->file_previous)
    if (evict(segment))
      return true;
  return false;
}

bool mf_budget_make_room(mapfile *file, uint64_t maps, uint64_t bytes, bool thoroughly) {
  uint64_t most = thoroughly ? mf_process_state.maps : MOST_LOOKED_AT;
  while (!file_has_room(file, maps, bytes))
    if (bytes > file->map_bytes_limit || maps > file->map_count_limit || !evict_of_file(file))
      return false;
  while (!process_has_room(maps, bytes))
    if (bytes > mf_process_state.map_bytes_limit || maps > mf_process_state.map_count_limit || !evict_by_clock(most))
      return false;
  return true;
}

bool mf_budget_evict_idle(unsigned most) {
  unsigned evicted = 0;
  while (evicted < most && evict_by_clock(MOST_LOOKED_AT))
    evicted++;
  return evicted > 0;
}

/* How long one segment may be so that several fit the byte budget; SIZE_MAX where there is none. */
size_t mf_budget_window(const mapfile *file) {
  uint64_t budget = file->map_bytes_limit;
  if (budget > mf_process_state.map_bytes_limit)
    budget = mf_process_state.map_bytes_limit;
  if (budget == UINT64_MAX)
    return SIZE_MAX;
  size_t window = mf_map_unit;
  while (window <= budget / 16 && window < (size_t)1 << 30)
    window *= 2;
  return window;
}

static void note_excess(void) {
  atomic_store(&mf_process_state.over_limits, !process_has_room(0, 0) || mf_windows_over_limit());
}

/* Every pooled segment is looked at once: set_limits may take as long as there are maps, a pin may not. */
static void give_up_excess(void) {
  for (uint64_t left = mf_process_state.maps; left > 0 && !process_has_room(0, 0); left--) {
    mf_segment *segment = mf_process_state.clock_hand;
    if (segment == NULL)
      break;
    mf_process_state.clock_hand = segment->clock_next;
    evict(segment);
  }
  note_excess();
}

/* Unpin while the limits are exceeded. Counted down under the lock, so that the segment cannot be gone before it has
   been looked at: its mapfile may be closed by another thread as soon as nothing of it is pinned. */
void mf_budget_unpin(unsigned mark, uintptr_t thing, mf_stripe *stripe) {
  os_lock();
  if (mark == MF_MARK_WINDOW) {
    mf_window_unpin((mf_window *)thing, stripe);
  } else {
    atomic_fetch_sub(&stripe->pins, 1);
    if (!process_has_room(0, 0))
      evict((mf_segment *)thing);
  }
  note_excess();
  os_unlock();
}

static mapfile_status set_limits(const mapfile_limits *limits) {
  if (limits == NULL || limits->size < sizeof *limits || limits->reserved0 != 0 ||
      !mf_all_zero(limits->reserved, sizeof limits->reserved))
    return MAPFILE_INVALID;
  mapfile_status status = mf_begin();
  if (status != MAPFILE_OK)
    return status;
  os_lock();
  mf_process_state.map_count_limit = limits->map_count != 0 ? limits->map_count : default_map_count();
  mf_process_state.map_bytes_limit = limits->map_bytes != 0 ? limits->map_bytes : default_map_bytes();
  mf_windows_set_limit(limits->cache_bytes);
  give_up_excess();
  os_unlock();
  return MAPFILE_OK;
}

mapfile_status MAPFILE_CALL mapfile_set_limits(const mapfile_limits *limits) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, set_limits(limits));
}

static uint64_t pinned_views(const mapfile *file) {
  uint64_t sum = atomic_load(&file->loose_views) + mf_windows_pins(file);
  for (const mf_segment *segment = file->segments; segment != NULL && segment->stripes != NULL;
       segment = segment->file_next)
    sum += mf_segment_pins(segment);
  return sum;
}

static void count_file(const mapfile *file, mapfile_statistics *counts) {
  counts->open_files = 1;
  counts->pinned_views = pinned_views(file);
  counts->maps = file->maps;
  counts->mapped_bytes = file->mapped_bytes;
  counts->copied_bytes = atomic_load(&file->copied_bytes);
  counts->maps_made = file->maps_made;
  counts->evictions = file->evictions;
  counts->fallbacks = file->fallbacks;
  counts->parks = file->parks;
  counts->filled_pages = atomic_load(&file->filled_pages);
  counts->map_count_limit = file->map_count_limit;
  counts->map_bytes_limit = file->map_bytes_limit;
  mf_windows_count(file, counts);
}

static void count_process(mapfile_statistics *counts) {
  mf_segment *hand = mf_process_state.clock_hand;
  counts->open_files = mf_process_state.open_files;
  counts->pinned_views = atomic_load(&mf_process_state.loose_views);
  if (hand != NULL) {
    mf_segment *segment = hand;
    do {
      counts->pinned_views += mf_segment_pins(segment);
      segment = segment->clock_next;
    } while (segment != hand);
  }
  counts->maps = mf_process_state.maps;
  counts->mapped_bytes = mf_process_state.mapped_bytes;
  counts->copied_bytes = atomic_load(&mf_process_state.copied_bytes);
  counts->maps_made = mf_process_state.maps_made;
  counts->evictions = mf_process_state.evictions;
  counts->fallbacks = mf_process_state.fallbacks;
  counts->parks = mf_process_state.parks;
  counts->filled_pages = atomic_load(&mf_process_state.filled_pages);
  counts->map_count_limit = mf_process_state.map_count_limit;
  counts->map_bytes_limit = mf_process_state.map_bytes_limit;
  mf_windows_count(NULL, counts);
}

static mapfile_status count(mapfile *file, mapfile_statistics *statistics) {
  if (statistics == NULL || statistics->size < sizeof *statistics || (file != NULL && !mf_file_is_open(file)))
    return MAPFILE_INVALID;
  mapfile_status status = mf_begin();
  if (status != MAPFILE_OK)
    return status;
  mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
  counts.size = statistics->size;
  os_lock();
  if (file != NULL)
    count_file(file, &counts);
  else
    count_process(&counts);
  os_unlock();
  memcpy(statistics, &counts, sizeof counts);
  return MAPFILE_OK;
}

mapfile_status MAPFILE_CALL mapfile_stats(mapfile *file, mapfile_statistics *statistics) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, count(file, statistics));
}
