/*
 * segment.c - segments: maps of parts of a file, pinned by counting, given up through a gate.
 *
 * SPDX-License-Identifier: MIT
 *
 * The protocol is told and proved in docs/protocol.md. In short: a pin counts first and then looks at the gate; who
 * gives a segment up shuts the gate first and then sums the counts. Both sides are sequentially consistent, so one of
 * them sees the other. Segment records are kept by their mapfile until it is closed, because a pin may still look at
 * a record that has just been given up.
 */
#include "internal.h"

/* The longest segment made ahead of need: plenty for any file, little against 47 bits of address space. */
#define LONGEST_SEGMENT (mf_small_host() ? UINT64_C(1) << 26 : UINT64_C(1) << 40)
/* Room for growth past the end of the file: an eighth of it, within these bounds. */
#define LEAST_SLACK (UINT64_C(64) << 10)
#define MOST_SLACK (UINT64_C(1) << 30)

static bool is_pooled(enum mf_segment_kind kind) {
  return kind == MF_POOLED_READ || kind == MF_POOLED_WRITE;
}

enum os_map_kind mf_segment_map_kind(enum mf_segment_kind kind) {
  if (kind == MF_POOLED_WRITE)
    return OS_MAP_WRITE;
  return kind == MF_OWN_PRIVATE ? OS_MAP_PRIVATE : OS_MAP_READ;
}

/* A pooled segment's stripes follow its record, from the next cache line on. */
static mf_segment *allocate(enum mf_segment_kind kind) {
  size_t stripes = is_pooled(kind) ? mf_process_state.stripes + 1 : 0;
  mf_segment *segment = mf_allocate(sizeof *segment + stripes * sizeof(mf_stripe));
  if (segment == NULL || stripes == 0)
    return segment;
  uintptr_t behind = (uintptr_t)(segment + 1);
  segment->stripes = (mf_stripe *)((behind + MF_CACHE_LINE - 1) & ~(uintptr_t)(MF_CACHE_LINE - 1));
  return segment;
}

/* A record that nobody can be looking at: a spare one while no fault handler runs, else a new one. */
mf_segment *mf_segment_new(mapfile *file, enum mf_segment_kind kind) {
  mf_segment *segment = NULL;
  if (is_pooled(kind) && file->spares != NULL && mf_index_quiet()) {
    segment = file->spares;
    file->spares = segment->spare_next;
  } else {
    segment = allocate(kind);
  }
  if (segment == NULL)
    return NULL;
  segment->file = file;
  segment->kind = kind;
  segment->closing = false;
  segment->fillable = kind == MF_OWN_FILL;
  atomic_store_explicit(&segment->used, 0, memory_order_relaxed);
  atomic_store_explicit(&segment->filled, 0, memory_order_relaxed);
  atomic_store_explicit(&segment->first_filled, 0, memory_order_relaxed);
  return segment;
}

/* Pooled segments in front, the newest first, and behind them those of single views, of which there may be many: who
   looks for a pooled one can stop at the first other. */
static void link_to_file(mf_segment *segment) {
  mapfile *file = segment->file;
  bool in_front = is_pooled(segment->kind);
  segment->file_previous = in_front ? NULL : file->last_segment;
  segment->file_next = in_front ? file->segments : NULL;
  *(segment->file_previous != NULL ? &segment->file_previous->file_next : &file->segments) = segment;
  *(segment->file_next != NULL ? &segment->file_next->file_previous : &file->last_segment) = segment;
}

static void unlink_from_file(mf_segment *segment) {
  mapfile *file = segment->file;
  *(segment->file_previous != NULL ? &segment->file_previous->file_next : &file->segments) = segment->file_next;
  *(segment->file_next != NULL ? &segment->file_next->file_previous : &file->last_segment) = segment->file_previous;
}

static void link_to_clock(mf_segment *segment) {
  mf_segment *hand = mf_process_state.clock_hand;
  if (hand == NULL) {
    segment->clock_next = segment->clock_previous = segment;
    mf_process_state.clock_hand = segment;
    return;
  }
  /* Behind the hand: the last to be looked at. */
  segment->clock_next = hand;
  segment->clock_previous = hand->clock_previous;
  hand->clock_previous->clock_next = segment;
  hand->clock_previous = segment;
}

static void unlink_from_clock(mf_segment *segment) {
  if (segment->clock_next == segment) {
    mf_process_state.clock_hand = NULL;
    return;
  }
  if (mf_process_state.clock_hand == segment)
    mf_process_state.clock_hand = segment->clock_next;
  segment->clock_previous->clock_next = segment->clock_next;
  segment->clock_next->clock_previous = segment->clock_previous;
}

/* With the file held. Make the map, counted before it exists so that the budgets hold at every instant. */
mapfile_status mf_segment_map(mf_segment *segment, uint64_t offset, size_t length) {
  mapfile *file = segment->file;
  void *address;
  mf_budget_count(file, 1, (int64_t)length);
  mapfile_status status = MAPFILE_LIMIT;
  if (!mf_hook_fails_map())
    status = os_map(file->handle, offset, length, mf_segment_map_kind(segment->kind), &address);
  if (status != MAPFILE_OK) {
    mf_budget_count(file, -1, -(int64_t)length);
    return status;
  }
  segment->address = address;
  segment->offset = offset;
  segment->length = length;
  file->maps_made++;
  mf_process_state.maps_made++;
  mf_trace(MAPFILE_EVENT_MAP, file, offset, length, MAPFILE_OK);
  return MAPFILE_OK;
}

/* Make the segment known: to the fault handler, to the eviction clock and, last, to pins. */
mapfile_status mf_segment_publish(mf_segment *segment) {
  mapfile_status status = mf_inject_apply(segment);
  if (status != MAPFILE_OK)
    return status;
  mf_index_insert(segment);
  link_to_file(segment);
  if (segment->file->idle_ms != 0)
    mf_idle_watch(segment->file);
  if (is_pooled(segment->kind)) {
    link_to_clock(segment);
    atomic_store_explicit(&segment->gate, MF_GATE_OPEN, memory_order_release);
  }
  return MAPFILE_OK;
}

/* Bytes of address space that a segment is charged for; copied views are charged as memory instead. */
static uint64_t charged_bytes(const mf_segment *segment) {
  return segment->kind == MF_OWN_COPY ? 0 : segment->length;
}

static void unmap(mf_segment *segment) {
  mapfile *file = segment->file;
  os_unmap(segment->address, segment->length);
  mf_budget_count(file, -1, -(int64_t)charged_bytes(segment));
  if (segment->kind != MF_OWN_COPY)
    mf_trace(MAPFILE_EVENT_UNMAP, file, segment->offset, segment->length, MAPFILE_OK);
}

/* Undo mf_segment_map for a segment that was never published. */
static void drop_unpublished(mf_segment *segment) {
  unmap(segment);
  if (is_pooled(segment->kind)) {
    segment->spare_next = segment->file->spares;
    segment->file->spares = segment;
  } else {
    free(segment);
  }
}

/* Pins look for a segment in the slots of the windows it reaches into, and nowhere else. */
static void clear_slots(const mf_segment *segment) {
  mapfile *file = segment->file;
  uint64_t first = segment->offset >> file->slot_shift;
  uint64_t last = (segment->offset + segment->length - 1) >> file->slot_shift;
  for (uint64_t window = first; window <= last && window < first + MF_SLOTS; window++) {
    _Atomic(mf_segment *) *slot = &file->slots[segment->kind == MF_POOLED_WRITE][window % MF_SLOTS];
    if (atomic_load_explicit(slot, memory_order_relaxed) == segment)
      atomic_store_explicit(slot, NULL, memory_order_relaxed);
  }
}

void mf_segment_give_up(mf_segment *segment) {
  mapfile *file = segment->file;
  mf_index_remove(segment);
  unlink_from_file(segment);
  unmap(segment);
  if (!is_pooled(segment->kind)) {
    free(segment->failing);
    segment->failing = NULL;
    mf_index_retire(segment);
    return;
  }
  unlink_from_clock(segment);
  clear_slots(segment);
  segment->spare_next = file->spares;
  file->spares = segment;
}

uint64_t mf_segment_pins(const mf_segment *segment) {
  uint64_t sum = 0;
  for (unsigned stripe = 0; stripe < mf_process_state.stripes; stripe++)
    sum += atomic_load(&segment->stripes[stripe].pins);
  return sum;
}

bool mf_segment_try_evict(mf_segment *segment) {
  atomic_store(&segment->gate, MF_GATE_CLOSED);
  if (mf_segment_pins(segment) != 0) {
    atomic_store(&segment->gate, MF_GATE_OPEN);
    return false;
  }
  mf_segment_give_up(segment);
  return true;
}

/*
 * Pooled segments
 */

typedef struct span {
  uint64_t offset;
  uint64_t length;
} span;

/* How far into the file maps are worth making: its size and some room to grow. */
static uint64_t wanted_end(const mapfile *file) {
  uint64_t size = atomic_load(&file->size);
  uint64_t slack = size / 8;
  if (!os_map_may_pass_end())
    return size;
  if (slack < LEAST_SLACK)
    slack = LEAST_SLACK;
  if (slack > MOST_SLACK)
    slack = MOST_SLACK;
  uint64_t wanted = size < UINT64_MAX - slack ? size + slack : size;
  return mf_page_up(wanted < file->reserve ? file->reserve : wanted);
}

/* The whole file and room to grow, or a window of it where a budget is smaller. Empty where that does not hold the
   range asked for. */
static span preferred_span(const mapfile *file, uint64_t offset, uint64_t length) {
  span none = {0, 0};
  uint64_t longest = mf_budget_window(file), end = wanted_end(file);
  if (longest > LONGEST_SEGMENT)
    longest = LONGEST_SEGMENT;
  span window = {offset / longest * longest, longest};
  if (end <= window.offset)
    return none;
  if (end - window.offset < window.length)
    window.length = end - window.offset;
  return offset + length <= window.offset + window.length ? window : none;
}

static span exact_span(uint64_t offset, uint64_t length) {
  span exact = {offset & ~(uint64_t)(mf_map_unit - 1), 0};
  exact.length = mf_page_up(offset + length) - exact.offset;
  return exact;
}

static bool span_fits_memory(span wanted) {
  return wanted.length != 0 && wanted.length <= SIZE_MAX / 2;
}

/* thoroughly: look at every idle map before giving up, however long it takes, because nothing but a map will do. */
static mapfile_status map_span(mf_segment *segment, span wanted, bool thoroughly) {
  if (!span_fits_memory(wanted))
    return MAPFILE_LIMIT;
  if (!mf_budget_make_room(segment->file, 1, wanted.length, thoroughly)) {
    mf_set_native_error(0);
    return MAPFILE_LIMIT;
  }
  return mf_segment_map(segment, wanted.offset, (size_t)wanted.length);
}

/* The system itself refused, though the budgets allow it: idle maps of ours may be what fills its limit. */
static mapfile_status map_after_eviction(mf_segment *segment, span exact, bool thoroughly) {
  if (!span_fits_memory(exact) || !mf_budget_make_room(segment->file, 1, exact.length, thoroughly) ||
      !mf_budget_evict_idle(64))
    return MAPFILE_LIMIT;
  return map_span(segment, exact, thoroughly);
}

/* The promise pin-fallback, in its order: the preferred size, the exact one, then again with idle maps given up. */
static mapfile_status map_somehow(mf_segment *segment, uint64_t offset, uint64_t length, bool thoroughly) {
  span preferred = preferred_span(segment->file, offset, length);
  span exact = exact_span(offset, length);
  mapfile_status status = map_span(segment, preferred, thoroughly);
  /* TRUNCATED: where maps may not pass the end, the file is shorter than it was known to be. */
  if (status == MAPFILE_LIMIT || status == MAPFILE_UNSUPPORTED || status == MAPFILE_TRUNCATED)
    status = map_span(segment, exact, thoroughly);
  return status == MAPFILE_LIMIT ? map_after_eviction(segment, exact, thoroughly) : status;
}

static mf_segment *find_covering(mapfile *file, enum mf_segment_kind kind, uint64_t offset, size_t length) {
  for (mf_segment *segment = file->segments; segment != NULL && is_pooled(segment->kind); segment = segment->file_next)
    if (segment->kind == kind && mf_segment_covers(segment, offset, length))
      return segment;
  return NULL;
}

/* Smaller segments that a new one makes needless go as soon as nobody has them pinned. */
static void give_up_covered(mf_segment *larger) {
  mf_segment *next;
  for (mf_segment *segment = larger->file->segments; segment != NULL && is_pooled(segment->kind); segment = next) {
    next = segment->file_next;
    if (segment != larger && segment->kind == larger->kind &&
        mf_segment_covers(larger, segment->offset, segment->length))
      mf_segment_try_evict(segment);
  }
}

static mapfile_status make_pooled(mapfile *file, enum mf_segment_kind kind, uint64_t offset, size_t length,
                                  bool thoroughly, mf_segment **made) {
  mf_segment *segment = mf_segment_new(file, kind);
  if (segment == NULL)
    return MAPFILE_NO_MEMORY;
  mapfile_status status = map_somehow(segment, offset, length, thoroughly);
  if (status != MAPFILE_OK) {
    segment->spare_next = file->spares;
    file->spares = segment;
    return status;
  }
  status = mf_segment_publish(segment);
  if (status != MAPFILE_OK) {
    drop_unpublished(segment);
    return status;
  }
  give_up_covered(segment);
  *made = segment;
  return MAPFILE_OK;
}

/* The file may have been made shorter since the range was compared with its size. */
static mapfile_status still_fits(const mapfile *file, uint64_t offset, size_t length) {
  if (offset + length <= atomic_load(&file->size))
    return MAPFILE_OK;
  mf_set_native_error(0);
  return MAPFILE_END;
}

mapfile_status mf_segment_pin_slowly(mapfile *file, unsigned pool, uint64_t offset, size_t length, bool thoroughly,
                                     mf_segment **segment, mf_stripe **stripe) {
  enum mf_segment_kind kind = mf_pool_kind(pool);
  mf_segment *found = NULL;
  mapfile_status status = mf_file_hold(file);
  if (status != MAPFILE_OK)
    return status;
  os_lock();
  status = still_fits(file, offset, length);
  if (status == MAPFILE_OK)
    found = find_covering(file, kind, offset, length);
  if (status == MAPFILE_OK && found == NULL)
    status = make_pooled(file, kind, offset, length, thoroughly, &found);
  if (status == MAPFILE_OK) {
    /* With the lock held nobody shuts the gate, so counting is enough. */
    *stripe = &found->stripes[mf_thread_ordinal() & (mf_process_state.stripes - 1)];
    atomic_fetch_add(&(*stripe)->pins, 1);
    atomic_store_explicit(&found->used, 1, memory_order_relaxed);
    atomic_store_explicit(&file->slots[pool][(offset >> file->slot_shift) % MF_SLOTS], found, memory_order_release);
    *segment = found;
  }
  os_unlock();
  mf_file_let(file);
  return status;
}

/*
 * Segments of one view
 */

static mapfile_status map_own(mf_segment *segment, uint64_t offset, size_t length) {
  span exact = exact_span(offset, length);
  mapfile_status status = map_span(segment, exact, false);
  return status == MAPFILE_LIMIT ? map_after_eviction(segment, exact, false) : status;
}

static mapfile_status memory_for_copy(mf_segment *segment, uint64_t offset, size_t length) {
  span exact = exact_span(offset, length);
  void *address;
  if (!span_fits_memory(exact))
    return MAPFILE_LIMIT;
  if (!mf_budget_make_room(segment->file, 1, 0, false))
    return MAPFILE_LIMIT;
  mapfile_status status = os_memory((size_t)exact.length, &address);
  if (status != MAPFILE_OK)
    return status;
  segment->address = address;
  segment->offset = exact.offset;
  segment->length = (size_t)exact.length;
  mf_budget_count(segment->file, 1, 0);
  return MAPFILE_OK;
}

static mapfile_status make_own(mapfile *file, enum mf_segment_kind kind, uint64_t offset, size_t length,
                               mf_segment **made) {
  mf_segment *segment = mf_segment_new(file, kind);
  if (segment == NULL)
    return MAPFILE_NO_MEMORY;
  mapfile_status status =
      kind == MF_OWN_COPY ? memory_for_copy(segment, offset, length) : map_own(segment, offset, length);
  if (status != MAPFILE_OK) {
    free(segment);
    return status;
  }
  /* A copy's pages are made to fail by its maker, after it has read them. */
  if (kind == MF_OWN_COPY) {
    mf_index_insert(segment);
    link_to_file(segment);
  } else {
    status = mf_segment_publish(segment);
  }
  if (status != MAPFILE_OK)
    drop_unpublished(segment);
  else
    *made = segment;
  return status;
}

mapfile_status mf_segment_own(mapfile *file, enum mf_segment_kind kind, uint64_t offset, size_t length,
                              mf_segment **made) {
  bool maps = kind != MF_OWN_COPY;
  mapfile_status status = maps ? mf_file_hold(file) : MAPFILE_OK;
  if (status != MAPFILE_OK)
    return status;
  os_lock();
  status = maps ? still_fits(file, offset, length) : MAPFILE_OK;
  if (status == MAPFILE_OK)
    status = make_own(file, kind, offset, length, made);
  os_unlock();
  if (maps)
    mf_file_let(file);
  return status;
}

/* Let a view's own segment go; kept for the while that a zero-fill scope is open, because the scope's handler may be
   about to put zeros at its address, which must not mean anything else by then. */
void mf_segment_release(mf_segment *segment) {
  os_lock();
  mf_fill_settle(segment->file);
  if (segment->fillable && segment->file->fill_scopes > 0)
    segment->closing = segment->file->has_closing = true;
  else
    mf_segment_give_up(segment);
  os_unlock();
}

/* Copied views do not lean on the file. */
static bool leans_beyond(const mf_segment *segment, uint64_t end) {
  return segment->kind != MF_OWN_COPY && segment->offset + segment->length > end;
}

/* Shut the gates of the pooled segments concerned. False: something is pinned. */
static bool shut_gates(mapfile *file, uint64_t end) {
  for (mf_segment *segment = file->segments; segment != NULL; segment = segment->file_next) {
    if (!leans_beyond(segment, end))
      continue;
    if (!is_pooled(segment->kind))
      return false;
    atomic_store(&segment->gate, MF_GATE_CLOSED);
    if (mf_segment_pins(segment) != 0)
      return false;
  }
  return true;
}

static void open_gates(mapfile *file) {
  for (mf_segment *segment = file->segments; segment != NULL && is_pooled(segment->kind); segment = segment->file_next)
    atomic_store(&segment->gate, MF_GATE_OPEN);
}

mapfile_status mf_segments_give_up(mapfile *file, uint64_t end) {
  if (!shut_gates(file, end)) {
    open_gates(file);
    return MAPFILE_BUSY;
  }
  mf_segment *next;
  for (mf_segment *segment = file->segments; segment != NULL; segment = next) {
    next = segment->file_next;
    if (leans_beyond(segment, end))
      mf_segment_give_up(segment);
  }
  return MAPFILE_OK;
}

/* Give up all segments, or none and BUSY where one is pinned. Closing is exclusive, so no gate is needed. */
mapfile_status mf_segments_close(mapfile *file) {
  for (mf_segment *segment = file->segments; segment != NULL; segment = segment->file_next)
    if (!is_pooled(segment->kind) || mf_segment_pins(segment) != 0)
      return MAPFILE_BUSY;
  while (file->segments != NULL)
    mf_segment_give_up(file->segments);
  while (file->spares != NULL) {
    mf_segment *segment = file->spares;
    file->spares = segment->spare_next;
    mf_index_retire(segment);
  }
  return MAPFILE_OK;
}
