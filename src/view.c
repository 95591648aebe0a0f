/*
 * view.c - pinning and unpinning.
 *
 * SPDX-License-Identifier: MIT
 */
#include "internal.h"

enum {
  KNOWN_FLAGS = MAPFILE_LIVE | MAPFILE_COPY | MAPFILE_VERIFY | MAPFILE_PRIVATE | MAPFILE_SHARED | MAPFILE_ZERO_FILL
};

/* The longest range that a pin reads because it could not be mapped. A caller who wants more in memory says COPY. */
#define LONGEST_FALLBACK (mf_small_host() ? UINT64_C(64) << 20 : UINT64_C(1) << 30)

/* What an empty view points at: never NULL, never to be read. */
static unsigned char nothing[1];

static mapfile_status refuse(mapfile_status status) {
  mf_set_native_error(0);
  return status;
}

static bool flags_make_sense(uint32_t flags) {
  uint32_t writable = flags & (MAPFILE_PRIVATE | MAPFILE_SHARED);
  if ((flags & ~(uint32_t)KNOWN_FLAGS) != 0)
    return false;
  if ((flags & MAPFILE_COPY) != 0 && (flags & (MAPFILE_LIVE | MAPFILE_SHARED)) != 0)
    return false;
  if (writable == (MAPFILE_PRIVATE | MAPFILE_SHARED))
    return false;
  if ((flags & MAPFILE_PRIVATE) != 0 && (flags & MAPFILE_LIVE) != 0)
    return false;
  return (flags & MAPFILE_ZERO_FILL) == 0 || writable == 0;
}

static void fill_view(mapfile_view *view, mapfile *file, uint64_t offset, size_t length, void *data, uint32_t kind) {
  view->kind = kind;
  view->data = data;
  view->length = length;
  view->offset = offset;
  view->internal[MF_VIEW_FILE] = (uintptr_t)file;
}

static void mark_loose(mapfile_view *view, mapfile *file, unsigned thing, void *pointer) {
  view->internal[MF_VIEW_THING] = (uintptr_t)pointer;
  view->internal[MF_VIEW_STRIPE] = 0;
  view->internal[MF_VIEW_MARK] = (uintptr_t)(MF_MARK | thing);
  atomic_fetch_add(&file->loose_views, 1);
  atomic_fetch_add(&mf_process_state.loose_views, 1);
}

static void fill_pooled(mapfile_view *view, mapfile *file, uint64_t offset, size_t length, mf_segment *segment,
                        mf_stripe *stripe) {
  fill_view(view, file, offset, length, segment->address + (offset - segment->offset), MAPFILE_KIND_LIVE);
  view->internal[MF_VIEW_THING] = (uintptr_t)segment;
  view->internal[MF_VIEW_STRIPE] = (uintptr_t)stripe;
  view->internal[MF_VIEW_MARK] = MF_MARK | MF_MARK_POOLED;
}

static void fill_window(mapfile_view *view, mapfile *file, uint64_t offset, size_t length, const mf_pinned *pinned) {
  fill_view(view, file, offset, length, pinned->bytes, MAPFILE_KIND_COPIED);
  view->internal[MF_VIEW_THING] = (uintptr_t)pinned->window;
  view->internal[MF_VIEW_STRIPE] = (uintptr_t)pinned->stripe;
  view->internal[MF_VIEW_MARK] = MF_MARK | MF_MARK_WINDOW;
}

/* Promise: a pin inside a mapped segment makes no system call and takes no lock. First count, then look at the gate
   (docs/protocol.md); in the other order an eviction between the two would unmap what this view shows. */
static bool pin_mapped(mapfile *file, unsigned pool, uint64_t offset, size_t length, mapfile_view *view) {
  unsigned slot = (unsigned)(offset >> file->slot_shift) % MF_SLOTS;
  mf_segment *segment = atomic_load_explicit(&file->slots[pool][slot], memory_order_acquire);
  if (segment == NULL)
    return false;
  mf_stripe *stripe = &segment->stripes[mf_thread_ordinal() & (mf_process_state.stripes - 1)];
  atomic_fetch_add(&stripe->pins, 1);
  /* The kind too: the record may have been given up and used again for the other pool since it was found here. And the
     size: the file may have been made shorter since the range was compared with it. */
  if (atomic_load(&segment->gate) != MF_GATE_OPEN || segment->kind != mf_pool_kind(pool) ||
      !mf_segment_covers(segment, offset, length) || offset + length > atomic_load(&file->size)) {
    atomic_fetch_sub(&stripe->pins, 1);
    return false;
  }
  if (atomic_load_explicit(&segment->used, memory_order_relaxed) == 0)
    atomic_store_explicit(&segment->used, 1, memory_order_relaxed);
  mf_file_touch(file);
  fill_pooled(view, file, offset, length, segment, stripe);
  return true;
}

/* May a map that is there be used? Not where it need not show what the file calls do, unless a map was asked for. */
static bool shows_file(const mapfile *file, uint32_t flags) {
  return !file->separate_cache || (flags & (MAPFILE_LIVE | MAPFILE_SHARED)) != 0;
}

/* Promise: the same in a window of a file that nobody changes. */
static bool pin_kept(mapfile *file, uint64_t offset, size_t length, uint32_t flags, mapfile_view *view) {
  mf_pinned pinned;
  if ((flags & ~(uint32_t)MAPFILE_COPY) != 0 || (file->flags & MAPFILE_IMMUTABLE) == 0 ||
      atomic_load(&file->injected) != 0 || !mf_window_pin_kept(file, offset, length, &pinned))
    return false;
  fill_window(view, file, offset, length, &pinned);
  return true;
}

/*
 * Copies
 */

/* told: what the system has just told of a file of which windows are kept. */
static mapfile_status copy_to_memory(mapfile *file, uint64_t offset, size_t length, bool windowed,
                                     const os_file_info *told, mapfile_view *view) {
  if (length > SIZE_MAX / 2 - sizeof(mf_copy))
    return MAPFILE_LIMIT;
  /* The bytes lie to cache lines as a map's would: what is aligned in the file is aligned in memory. */
  mf_copy *copy = malloc(3 * MF_CACHE_LINE + length);
  if (copy == NULL)
    return MAPFILE_NO_MEMORY;
  uintptr_t line = ((uintptr_t)(copy + 1) + MF_CACHE_LINE - 1) & ~(uintptr_t)(MF_CACHE_LINE - 1);
  unsigned char *bytes = (unsigned char *)line + (offset & (MF_CACHE_LINE - 1));
  size_t done;
  mapfile_status status = windowed ? mf_window_read(file, offset, bytes, length, told, &done)
                                   : mf_read_plain(file, offset, bytes, length, &done);
  if (status == MAPFILE_OK && done < length)
    status = MAPFILE_TRUNCATED;
  if (status != MAPFILE_OK) {
    free(copy);
    return status;
  }
  copy->length = length;
  atomic_fetch_add(&file->copied_bytes, length);
  atomic_fetch_add(&mf_process_state.copied_bytes, length);
  mark_loose(view, file, MF_MARK_COPY, copy);
  fill_view(view, file, offset, length, bytes, MAPFILE_KIND_COPIED);
  return MAPFILE_OK;
}

/* Read a page of a copy that may be filled with zeros where it cannot be read. The view needs the bytes up to end; the
   file may have been cut before them since its size was last asked. */
static mapfile_status read_or_fill(mapfile *file, mf_segment *segment, size_t from, size_t length, uint64_t end,
                                   bool fill) {
  size_t done;
  mapfile_status status = mf_read_plain(file, segment->offset + from, segment->address + from, length, &done);
  if (status == MAPFILE_OK && (done == length || segment->offset + from + done >= end))
    return MAPFILE_OK;
  if (status == MAPFILE_OK)
    status = MAPFILE_TRUNCATED;
  if (!fill)
    return status;
  memset(segment->address + from + done, 0, length - done);
  uint64_t none = 0;
  atomic_compare_exchange_strong(&segment->first_filled, &none, segment->offset + from + done + 1);
  atomic_fetch_add(&segment->filled, 1);
  atomic_fetch_add(&file->filled_pages, 1);
  atomic_fetch_add(&mf_process_state.filled_pages, 1);
  return MAPFILE_OK;
}

static mapfile_status read_pages(mapfile *file, mf_segment *segment, uint64_t end, bool fill) {
  size_t step = fill ? mf_page_size : segment->length;
  for (size_t from = 0; from < segment->length; from += step) {
    mapfile_status status = read_or_fill(file, segment, from, step, end, fill);
    if (status != MAPFILE_OK)
      return status;
  }
  return MAPFILE_OK;
}

/* A copy in pages of its own, as a map's would lie: for injected ranges, which fault, and for ZERO_FILL. */
static mapfile_status copy_to_pages(mapfile *file, uint64_t offset, size_t length, uint32_t flags, mapfile_view *view) {
  mf_segment *segment;
  mapfile_status status = mf_segment_own(file, MF_OWN_COPY, offset, length, &segment);
  if (status != MAPFILE_OK)
    return status;
  segment->fillable = (flags & MAPFILE_ZERO_FILL) != 0;
  status = read_pages(file, segment, offset + length, (flags & MAPFILE_ZERO_FILL) != 0);
  os_lock();
  if (status == MAPFILE_OK)
    status = mf_inject_apply(segment);
  if (status != MAPFILE_OK)
    mf_segment_give_up(segment);
  os_unlock();
  if (status != MAPFILE_OK)
    return status;
  if ((flags & MAPFILE_ZERO_FILL) != 0)
    os_memory_seal(segment->address, segment->length);
  atomic_fetch_add(&file->copied_bytes, segment->length);
  atomic_fetch_add(&mf_process_state.copied_bytes, segment->length);
  mark_loose(view, file, MF_MARK_OWN, segment);
  fill_view(view, file, offset, length, segment->address + (offset - segment->offset), MAPFILE_KIND_COPIED);
  return MAPFILE_OK;
}

static os_file_info stamp_of(const mapfile_view *view) {
  return (os_file_info){OS_FILE_REGULAR, view->stamp[0], (int64_t)view->stamp[1], (int64_t)view->stamp[2]};
}

/* From a window where the file is not mapped, and no memory of the view's own is needed. */
static mapfile_status copy_plain(mapfile *file, uint64_t offset, size_t length, uint32_t flags, mapfile_view *view) {
  mf_pinned pinned;
  os_file_info told = stamp_of(view);
  const os_file_info *asked = (flags & MAPFILE_VERIFY) != 0 ? &told : NULL;
  bool windowed = (file->copies_first || atomic_load_explicit(&file->unmappable, memory_order_relaxed)) &&
                  file->stream == NULL && (flags & MAPFILE_PRIVATE) == 0;
  if (!windowed || !mf_window_pin(file, offset, length, asked, &pinned))
    return copy_to_memory(file, offset, length, windowed, asked, view);
  fill_window(view, file, offset, length, &pinned);
  return MAPFILE_OK;
}

static mapfile_status pin_copy(mapfile *file, uint64_t offset, size_t length, uint32_t flags, mapfile_view *view) {
  mapfile_status status;
  mf_set_native_error(0);
  uint64_t good = length;
  bool injected = mf_inject_cut(file, offset, &good) != MAPFILE_OK;
  if (injected || (flags & MAPFILE_ZERO_FILL) != 0) {
    status = copy_to_pages(file, offset, length, flags, view);
  } else if (file->stream != NULL && (flags & MAPFILE_PRIVATE) == 0) {
    mark_loose(view, file, MF_MARK_PLAIN, NULL);
    fill_view(view, file, offset, length, file->stream + offset, MAPFILE_KIND_COPIED);
    status = MAPFILE_OK;
  } else {
    status = copy_plain(file, offset, length, flags, view);
  }
  if (status == MAPFILE_OK && (flags & MAPFILE_PRIVATE) != 0)
    view->kind = MAPFILE_KIND_PRIVATE;
  return status;
}

/*
 * Maps
 */

static mapfile_status pin_own_map(mapfile *file, enum mf_segment_kind kind, uint64_t offset, size_t length,
                                  mapfile_view *view) {
  mf_segment *segment;
  mapfile_status status = mf_segment_own(file, kind, offset, length, &segment);
  if (status != MAPFILE_OK)
    return status;
  mark_loose(view, file, MF_MARK_OWN, segment);
  fill_view(view, file, offset, length, segment->address + (offset - segment->offset),
            kind == MF_OWN_PRIVATE ? MAPFILE_KIND_PRIVATE : MAPFILE_KIND_LIVE);
  return MAPFILE_OK;
}

static mapfile_status pin_map(mapfile *file, uint64_t offset, size_t length, uint32_t flags, mapfile_view *view) {
  if (atomic_load_explicit(&file->unmappable, memory_order_relaxed))
    return MAPFILE_UNSUPPORTED;
  if ((flags & MAPFILE_PRIVATE) != 0)
    return pin_own_map(file, MF_OWN_PRIVATE, offset, length, view);
  if ((flags & MAPFILE_ZERO_FILL) != 0)
    return pin_own_map(file, MF_OWN_FILL, offset, length, view);
  unsigned pool = (flags & MAPFILE_SHARED) != 0;
  mf_segment *segment;
  mf_stripe *stripe;
  mapfile_status status = mf_segment_pin_slowly(file, pool, offset, length,
                                                (flags & (MAPFILE_LIVE | MAPFILE_SHARED)) != 0, &segment, &stripe);
  if (status == MAPFILE_OK)
    fill_pooled(view, file, offset, length, segment, stripe);
  if (status == MAPFILE_UNSUPPORTED && pool == 0)
    atomic_store(&file->unmappable, true);
  return status;
}

/* The promise pin-fallback: what cannot be mapped is read, unless only a map will do. */
static mapfile_status fall_back(mapfile *file, uint64_t offset, size_t length, uint32_t flags, mapfile_status why,
                                mapfile_view *view) {
  bool chosen = file->access == MAPFILE_ACCESS_COPIED || file->stream != NULL;
  if (length > LONGEST_FALLBACK && !chosen)
    return MAPFILE_LIMIT;
  int64_t error = mapfile_native_error();
  mapfile_status status = pin_copy(file, offset, length, flags, view);
  if (status == MAPFILE_NO_MEMORY && why == MAPFILE_LIMIT) {
    mf_set_native_error(error);
    return why;
  }
  if (status != MAPFILE_OK || chosen)
    return status;
  os_lock();
  file->fallbacks++;
  mf_process_state.fallbacks++;
  os_unlock();
  mf_trace(MAPFILE_EVENT_FALLBACK, file, offset, length, why);
  return MAPFILE_OK;
}

static bool worth_falling_back(mapfile_status why) {
  return why == MAPFILE_LIMIT || why == MAPFILE_UNSUPPORTED || why == MAPFILE_DENIED || why == MAPFILE_NO_MEMORY;
}

/* Where maps are not the first choice all that need not be one is copied; but for what is too long to have twice. */
static bool needs_copy(const mapfile *file, size_t length, uint32_t flags) {
  const uint32_t map_only = MAPFILE_LIVE | MAPFILE_SHARED | MAPFILE_PRIVATE;
  if ((flags & MAPFILE_COPY) != 0)
    return true;
  if (!file->copies_first || (flags & map_only) != 0)
    return false;
  return file->separate_cache || length <= LONGEST_FALLBACK;
}

/* What the view would be if it held anything. */
static uint32_t kind_of_empty(const mapfile *file, uint32_t flags) {
  if ((flags & MAPFILE_PRIVATE) != 0)
    return MAPFILE_KIND_PRIVATE;
  return needs_copy(file, 0, flags) || atomic_load(&file->unmappable) ? MAPFILE_KIND_COPIED : MAPFILE_KIND_LIVE;
}

static mapfile_status pin_range(mapfile *file, uint64_t offset, size_t length, uint32_t flags, mapfile_view *view) {
  if (length == 0) {
    mark_loose(view, file, MF_MARK_PLAIN, NULL);
    fill_view(view, file, offset, 0, nothing, kind_of_empty(file, flags));
    return MAPFILE_OK;
  }
  /* Where bad pages of a map cannot be replaced, memory is filled. */
  bool only_copies = !OS_FILLS_MAPS && (flags & MAPFILE_ZERO_FILL) != 0;
  if (only_copies && (flags & MAPFILE_LIVE) != 0)
    return refuse(MAPFILE_UNSUPPORTED);
  mapfile_status status = MAPFILE_NO_MEMORY;
  if (only_copies || needs_copy(file, length, flags)) {
    status = pin_copy(file, offset, length, flags, view);
    /* A map needs less memory. */
    bool may_map = !only_copies && (flags & MAPFILE_COPY) == 0 && !file->separate_cache;
    if (status != MAPFILE_NO_MEMORY || !may_map)
      return status;
  }
  status = pin_map(file, offset, length, flags, view);
  if (status == MAPFILE_OK || (flags & (MAPFILE_LIVE | MAPFILE_SHARED)) != 0 || !worth_falling_back(status))
    return status;
  return fall_back(file, offset, length, flags, status, view);
}

/* Promise pin-past-end: with VERIFY the true size counts, and the view remembers what the file looked like. */
static mapfile_status verify(mapfile *file, mapfile_view *view) {
  if (file->stream != NULL)
    return MAPFILE_OK;
  os_file_info now;
  mapfile_status difference;
  mapfile_status status = mf_file_refresh(file, &now, &difference);
  if (status != MAPFILE_OK)
    return status;
  view->stamp[0] = now.size;
  view->stamp[1] = (uint64_t)now.modified;
  view->stamp[2] = (uint64_t)now.changed;
  return MAPFILE_OK;
}

mapfile_status mf_range_fit(mapfile *file, uint64_t offset, uint64_t *length, uint64_t asked) {
  uint64_t size = atomic_load_explicit(&file->size, memory_order_acquire);
  *length = 0;
  if (asked != MAPFILE_TO_END && asked > UINT64_MAX - offset)
    return refuse(MAPFILE_INVALID);
  if (offset > size)
    return refuse(MAPFILE_END);
  *length = size - offset;
  if (asked == MAPFILE_TO_END)
    return MAPFILE_OK;
  if (asked > *length)
    return refuse(MAPFILE_END);
  *length = asked;
  return MAPFILE_OK;
}

static mapfile_status check_pin(mapfile *file, uint32_t flags, const mapfile_view *view) {
  if (!mf_file_is_open(file) || view == NULL || view->size != sizeof *view || mf_view_is_pinned(view) ||
      !flags_make_sense(flags))
    return refuse(MAPFILE_INVALID);
  if ((flags & MAPFILE_SHARED) != 0 && (file->flags & MAPFILE_WRITE) == 0)
    return refuse(MAPFILE_DENIED);
  if ((flags & (MAPFILE_SHARED | MAPFILE_LIVE)) != 0 && (file->access == MAPFILE_ACCESS_COPIED || file->stream != NULL))
    return refuse(MAPFILE_UNSUPPORTED);
  return MAPFILE_OK;
}

mapfile_status MAPFILE_CALL mapfile_pin(mapfile *file, uint64_t offset, uint64_t length, uint32_t flags,
                                        mapfile_view *view) {
  mapfile_status status = check_pin(file, flags, view);
  if (status == MAPFILE_OK && (flags & MAPFILE_VERIFY) != 0)
    status = verify(file, view);
  if (status != MAPFILE_OK)
    return status;
  status = mf_range_fit(file, offset, &length, length);
  if (status != MAPFILE_OK)
    return status;
  if (length > SIZE_MAX / 2)
    return refuse(MAPFILE_LIMIT);
  mf_scope_prune();
  const uint32_t needs_more = MAPFILE_COPY | MAPFILE_PRIVATE | MAPFILE_ZERO_FILL;
  bool pinned = length != 0 && (((flags & needs_more) == 0 && shows_file(file, flags) &&
                                 pin_mapped(file, (flags & MAPFILE_SHARED) != 0, offset, (size_t)length, view)) ||
                                pin_kept(file, offset, (size_t)length, flags, view));
  if (!pinned) {
    int64_t before = mf_native_begin();
    status = mf_native_end(before, pin_range(file, offset, (size_t)length, flags, view));
  }
  if (status == MAPFILE_OK && (flags & MAPFILE_VERIFY) != 0)
    view->internal[MF_VIEW_MARK] |= MF_MARK_VERIFY;
  return status;
}

/*
 * Unpinning
 */

static mapfile_status let_go_own(mapfile *file, mf_segment *segment) {
  unsigned filled = atomic_load(&segment->filled);
  if (segment->kind == MF_OWN_COPY) {
    atomic_fetch_sub(&file->copied_bytes, segment->length);
    atomic_fetch_sub(&mf_process_state.copied_bytes, segment->length);
  }
  mf_segment_release(segment);
  return filled != 0 ? MAPFILE_UNKNOWN : MAPFILE_OK;
}

static mapfile_status let_go_loose(mapfile_view *view, mapfile *file) {
  mapfile_status status = MAPFILE_OK;
  unsigned thing = mf_view_thing(view);
  if (thing == MF_MARK_OWN)
    status = let_go_own(file, (mf_segment *)view->internal[MF_VIEW_THING]);
  if (thing == MF_MARK_COPY) {
    mf_copy *copy = (mf_copy *)view->internal[MF_VIEW_THING];
    atomic_fetch_sub(&file->copied_bytes, copy->length);
    atomic_fetch_sub(&mf_process_state.copied_bytes, copy->length);
    free(copy);
  }
  atomic_fetch_sub(&mf_process_state.loose_views, 1);
  atomic_fetch_sub(&file->loose_views, 1);
  return status;
}

mapfile_status MAPFILE_CALL mapfile_unpin(mapfile_view *view) {
  mapfile_status status = MAPFILE_OK;
  if (view == NULL || view->size != sizeof *view || !mf_view_is_pinned(view))
    return refuse(MAPFILE_INVALID);
  mf_scope_prune();
  unsigned mark = mf_view_thing(view);
  if (mark != MF_MARK_POOLED && mark != MF_MARK_WINDOW)
    status = let_go_loose(view, (mapfile *)view->internal[MF_VIEW_FILE]);
  view->kind = MAPFILE_KIND_NONE;
  /* Not pinned any more; what it was stays, so that a scope can tell what its range meant. */
  view->internal[MF_VIEW_MARK] &= MF_MARK_THING;
  if (view->internal[MF_VIEW_STRIPE] != 0) {
    mf_stripe *stripe = (mf_stripe *)view->internal[MF_VIEW_STRIPE];
    view->internal[MF_VIEW_STRIPE] = 0;
    if (MF_UNLIKELY(atomic_load_explicit(&mf_process_state.over_limits, memory_order_relaxed))) {
      mf_budget_unpin(mark, view->internal[MF_VIEW_THING], stripe);
      return status;
    }
    /* Release: what this thread read of the view happened before an eviction that sees the count. Last, because the
       mapfile may be closed by another thread from here on. */
    atomic_fetch_sub_explicit(&stripe->pins, 1, memory_order_release);
  }
  return status;
}

static mapfile_status check_view(const mapfile_view *view) {
  if (view == NULL || !mf_view_is_pinned(view) || (view->internal[MF_VIEW_MARK] & MF_MARK_VERIFY) == 0)
    return refuse(MAPFILE_INVALID);
  mapfile *file = (mapfile *)view->internal[MF_VIEW_FILE];
  if (file->stream != NULL)
    return MAPFILE_OK;
  os_file_info before = stamp_of(view);
  os_file_info now;
  mapfile_status status = mf_file_look(file, &now);
  if (status != MAPFILE_OK)
    return status;
  status = mf_file_difference(&before, &now);
  /* Shorter, but not so far as to reach into the view. */
  if (status == MAPFILE_TRUNCATED && now.size >= view->offset + view->length)
    return MAPFILE_CHANGED;
  return status;
}

mapfile_status MAPFILE_CALL mapfile_view_check(const mapfile_view *view) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, check_view(view));
}
