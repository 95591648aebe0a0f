/*
 * scan.c - walking over a range in pieces: through a map of the walk's own, or by reading.
 *
 * SPDX-License-Identifier: MIT
 *
 * The map is the walk's own so that pages can be let go behind it without hurting other views. Short ranges use the
 * pooled map instead: their pages are likely to be there already, and making a map costs more than they do.
 */
#include "internal.h"

/* Ranges up to this are walked in the pooled map and keep their pages. */
#define SHORT_RANGE (UINT64_C(4) << 20)
/* How far the walk gets before it lets go of what lies behind. */
#define RELEASE_STEP ((size_t)12 << 20)
#define MAPPED_PIECE ((size_t)1 << 20)
#define COPIED_PIECE ((size_t)256 << 10)
/* A walk maps its range in parts of at most this, so that it needs little address space. */
#define MAPPED_PART (mf_small_host() ? UINT64_C(64) << 20 : UINT64_C(64) << 30)

/* One part of a walk, in memory. */
typedef struct part {
  mf_walk *walk;
  const unsigned char *data;
  uint64_t offset, length;
  bool last;         /* the range ends here: no overlap follows */
  bool let_go;       /* release pages behind */
  uint64_t released; /* of length */
} part;

static void forget_cached(mapfile *file, uint64_t offset, uint64_t length) {
  if (mf_file_hold(file) != MAPFILE_OK)
    return;
  os_forget_cached(file->handle, offset, length);
  mf_file_let(file);
}

static void release_behind(part *over, uint64_t done) {
  if (!over->let_go || done - over->released < RELEASE_STEP)
    return;
  uintptr_t low = (uintptr_t)mf_page_down((uintptr_t)over->data + over->released);
  uintptr_t high = (uintptr_t)mf_page_down((uintptr_t)over->data + done);
  os_release_pages((void *)low, high - low);
  if ((over->walk->flags & MAPFILE_SCAN_ONCE) != 0)
    forget_cached(over->walk->file, mf_page_down(over->offset + over->released), high - low);
  over->released = done;
}

/* How far one piece takes the walk: to a page border of the file, so that a bad page costs no more of its neighbours
   than it must. */
static size_t piece_at(const mf_walk *walk, uint64_t offset) {
  return walk->piece - (size_t)(offset & (mf_page_size - 1));
}

/* Runs in a scope: what it has done lies in the walk, not in local variables. */
static mapfile_status walk_part(void *argument) {
  part *over = argument;
  mf_walk *walk = over->walk;
  for (uint64_t at = 0; at < over->length;) {
    uint64_t rest = over->length - at;
    size_t step = piece_at(walk, over->offset + at);
    /* The overlap is what the piece shares with the next one: it is looked at twice, but counted once. */
    bool final = rest <= step + walk->overlap;
    size_t piece = final ? (size_t)rest : step + walk->overlap;
    mapfile_status status = walk->chunk(walk->argument, over->data + at, piece, over->offset + at);
    if (status != MAPFILE_OK)
      return status;
    if (final) {
      walk->done += over->last ? rest : rest - walk->overlap;
      return MAPFILE_OK;
    }
    at += step;
    walk->done += step;
    release_behind(over, at);
  }
  return MAPFILE_OK;
}

static void settle_piece(mf_walk *walk, size_t preferred) {
  size_t page = mf_page_size;
  if (walk->piece == 0)
    walk->piece = preferred;
  if (walk->piece > SIZE_MAX / 4)
    walk->piece = SIZE_MAX / 4;
  /* No more than the range and its part of a page before it: it is also how much memory a walk by reading takes. */
  if (walk->piece > walk->length)
    walk->piece = (size_t)walk->length + page;
  walk->piece = (walk->piece + page - 1) & ~(page - 1);
}

/*
 * Through a map
 */

/* Walk again what lies between the last finished piece and the bad page, for a chunk that may be run twice. */
static mapfile_status walk_up_to(const part *over, const mapfile_view *view, uint64_t bad) {
  mf_walk *walk = over->walk;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  uint64_t from = walk->offset + walk->done;
  if (!walk->repeatable || bad <= from)
    return MAPFILE_OK;
  part before = {
      .walk = walk, .data = over->data + (from - over->offset), .offset = from, .length = bad - from, .last = true};
  mapfile_status status = mf_scope_clean(walk->file, view, walk_part, &before, &fault, &walk->onward);
  return fault.address != NULL ? MAPFILE_OK : status;
}

static mapfile_status run_guarded(part *over, const mapfile_view *view, bool *refused) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_status status = mf_scope_clean(over->walk->file, view, walk_part, over, &fault, &over->walk->onward);
  if (over->walk->onward != NULL)
    return status;
  /* A status of the callback's, not a fault; or there can be no scope here (SIGBUS is blocked): what is read needs
     none. */
  if (fault.address == NULL) {
    *refused = fault.status == MAPFILE_UNSUPPORTED;
    return status;
  }
  over->walk->faulted = true;
  status = mapfile_fault_explain(&fault);
  int64_t error = fault.native_error;
  mapfile_status before = walk_up_to(over, view, mf_page_down(fault.offset));
  mf_set_native_error(error);
  if (before == MAPFILE_OK)
    return status;
  over->walk->faulted = false;
  return before;
}

static mapfile_status walk_pooled(mf_walk *walk, bool *refused) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_status status = mapfile_pin(walk->file, walk->offset, walk->length, MAPFILE_LIVE, &view);
  if (status != MAPFILE_OK) {
    *refused = true;
    return status;
  }
  part over = {.walk = walk, .data = view.data, .offset = view.offset, .length = view.length, .last = true};
  status = run_guarded(&over, &view, refused);
  mapfile_unpin(&view);
  if (walk->onward != NULL)
    mf_scope_land(walk->onward);
  return status;
}

static mapfile_status walk_own_part(mf_walk *walk, uint64_t offset, uint64_t length, bool last, bool *refused) {
  mf_segment *segment;
  mapfile_status status = mf_segment_own(walk->file, MF_OWN_WALK, offset, (size_t)length, &segment);
  if (status != MAPFILE_OK) {
    *refused = true;
    return status;
  }
  os_advise_walk(segment->address, segment->length);
  unsigned char *data = segment->address + (offset - segment->offset);
  mapfile_view view = MAPFILE_VIEW_INIT;
  view.data = data;
  view.length = (size_t)length;
  view.offset = offset;
  view.internal[MF_VIEW_THING] = (uintptr_t)segment;
  view.internal[MF_VIEW_FILE] = (uintptr_t)walk->file;
  view.internal[MF_VIEW_MARK] = MF_MARK | MF_MARK_OWN;
  part over = {.walk = walk, .data = data, .offset = offset, .length = length, .last = last, .let_go = true};
  status = run_guarded(&over, &view, refused);
  if ((walk->flags & MAPFILE_SCAN_ONCE) != 0)
    os_release_pages(segment->address, segment->length);
  mf_segment_release(segment);
  if ((walk->flags & MAPFILE_SCAN_ONCE) != 0)
    forget_cached(walk->file, offset + over.released, length - over.released);
  if (walk->onward != NULL)
    mf_scope_land(walk->onward);
  return status;
}

static mapfile_status walk_own(mf_walk *walk, bool *refused) {
  uint64_t end = walk->offset + walk->length;
  while (walk->done < walk->length) {
    uint64_t at = walk->offset + walk->done;
    uint64_t length = end - at;
    bool last = length <= MAPPED_PART + walk->overlap;
    if (!last)
      length = MAPPED_PART + walk->overlap;
    mapfile_status status = walk_own_part(walk, at, length, last, refused);
    if (status != MAPFILE_OK)
      return status;
  }
  return MAPFILE_OK;
}

/*
 * By reading
 */

/* Read the next piece behind what is kept of the last. A short or failed read still gives what it got. */
static mapfile_status fill_buffer(mf_walk *walk, unsigned char *buffer, size_t kept, uint64_t at, size_t *filled) {
  uint64_t end = walk->offset + walk->length;
  uint64_t step = piece_at(walk, at);
  uint64_t want = end - at < step ? end - at : step;
  uint64_t good = want;
  size_t done;
  mapfile_status injected = mf_inject_cut(walk->file, at, &good);
  mapfile_status status = mf_read_plain(walk->file, at, buffer + kept, (size_t)good, &done);
  *filled = kept + done;
  if (status != MAPFILE_OK)
    return status;
  if (done < good)
    return MAPFILE_TRUNCATED;
  return injected;
}

typedef struct copying {
  mf_walk *walk;
  unsigned char *buffer;
} copying;

static mapfile_status walk_buffer(void *argument) {
  const copying *over = argument;
  mf_walk *walk = over->walk;
  unsigned char *buffer = over->buffer;
  mapfile_status status = MAPFILE_OK;
  uint64_t end = walk->offset + walk->length;
  uint64_t at = walk->offset + walk->done;
  size_t kept = 0;
  while (status == MAPFILE_OK && at < end) {
    size_t filled;
    status = fill_buffer(walk, buffer, kept, at, &filled);
    mapfile_status stop = MAPFILE_OK;
    if (filled > kept)
      stop = walk->chunk(walk->argument, buffer, filled, at - kept);
    if (stop != MAPFILE_OK)
      return stop;
    at += filled - kept;
    bool more = status == MAPFILE_OK && at < end;
    kept = !more ? 0 : filled < walk->overlap ? filled : walk->overlap;
    walk->done = at - walk->offset - kept;
    memmove(buffer, buffer + filled - kept, kept);
    if ((walk->flags & MAPFILE_SCAN_ONCE) != 0 && walk->file->stream == NULL)
      forget_cached(walk->file, at - filled, filled);
  }
  return status;
}

/* The buffer itself cannot fault, so the scope has nothing to cover; but chunk may, and must then not jump over us. */
static mapfile_status walk_buffer_inside(copying *over) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_view nothing = MAPFILE_VIEW_INIT;
  nothing.internal[MF_VIEW_FILE] = (uintptr_t)over->walk->file;
  nothing.internal[MF_VIEW_MARK] = MF_MARK | MF_MARK_PLAIN;
  mapfile_status status = mf_scope_clean(over->walk->file, &nothing, walk_buffer, over, &fault, &over->walk->onward);
  return fault.status == MAPFILE_UNSUPPORTED ? walk_buffer(over) : status;
}

static mapfile_status walk_copies(mf_walk *walk) {
  /* To a page border: systems copy faster to there. */
  unsigned char *memory = malloc(walk->piece + walk->overlap + mf_page_size);
  copying over = {walk, (unsigned char *)(uintptr_t)mf_page_up((uintptr_t)memory)};
  mf_set_native_error(0);
  if (memory == NULL)
    return MAPFILE_NO_MEMORY;
  mapfile_status status = mf_scope_is_inside() ? walk_buffer_inside(&over) : walk_buffer(&over);
  free(memory);
  if (walk->onward != NULL)
    mf_scope_land(walk->onward);
  return status;
}

/* A file that was cut shows zeros from its new end to the end of that page, and no fault: only the system can tell.
   Those were no bytes of the file, whatever ended the walk behind them. */
static mapfile_status look_at_end(mf_walk *walk, mapfile_status status) {
  os_file_info now;
  if ((walk->flags & MAPFILE_SCAN_COPY) != 0 || (walk->file->flags & MAPFILE_IMMUTABLE) != 0)
    return status;
  int64_t error = mapfile_native_error();
  if (mf_file_look(walk->file, &now) != MAPFILE_OK) {
    mf_set_native_error(error);
    return status;
  }
  walk->end = now.size;
  if (now.size >= walk->offset + walk->length)
    return status;
  uint64_t there = now.size > walk->offset ? now.size - walk->offset : 0;
  bool beyond = walk->done > there;
  if (beyond)
    walk->done = there;
  if (status != MAPFILE_OK && !(walk->faulted && beyond))
    return status;
  mf_set_native_error(0);
  return MAPFILE_TRUNCATED;
}

static mapfile_status walk_mapped(mf_walk *walk, bool *refused) {
  settle_piece(walk, MAPPED_PIECE);
  bool is_short = walk->length <= SHORT_RANGE && (walk->flags & MAPFILE_SCAN_ONCE) == 0;
  mapfile_status status = is_short ? walk_pooled(walk, refused) : walk_own(walk, refused);
  return *refused ? status : look_at_end(walk, status);
}

/* Maps are for what can be mapped; whatever stands in the way, reading is left. */
mapfile_status mf_walk_run(mf_walk *walk) {
  size_t piece = walk->piece;
  bool refused = true;
  walk->end = UINT64_MAX;
  if (walk->length == 0)
    return MAPFILE_OK;
  if ((walk->flags & MAPFILE_SCAN_COPY) == 0 && !walk->file->copies_first && !atomic_load(&walk->file->unmappable)) {
    refused = false;
    mapfile_status status = walk_mapped(walk, &refused);
    if (!refused)
      return status;
    walk->piece = piece;
  }
  settle_piece(walk, COPIED_PIECE);
  return walk_copies(walk);
}

static mapfile_status scan(mapfile *file, uint64_t offset, uint64_t length, size_t size, uint32_t flags,
                           mapfile_chunk chunk, void *argument, uint64_t *done) {
  uint64_t unwanted;
  uint64_t *count = done != NULL ? done : &unwanted;
  *count = 0;
  if (!mf_file_is_open(file) || chunk == NULL || (flags & ~(uint32_t)(MAPFILE_SCAN_COPY | MAPFILE_SCAN_ONCE)) != 0)
    return MAPFILE_INVALID;
  uint64_t there;
  mapfile_status fit = mf_range_fit(file, offset, &there, length);
  if (fit == MAPFILE_INVALID)
    return fit;
  mf_walk walk = {.file = file,
                  .offset = offset,
                  .length = there,
                  .piece = size,
                  .flags = flags,
                  .chunk = chunk,
                  .argument = argument};
  mapfile_status status = mf_walk_run(&walk);
  *count = walk.done;
  return status == MAPFILE_OK ? fit : status;
}

mapfile_status MAPFILE_CALL mapfile_scan(mapfile *file, uint64_t offset, uint64_t length, size_t size, uint32_t flags,
                                         mapfile_chunk chunk, void *argument, uint64_t *done) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, scan(file, offset, length, size, flags, chunk, argument, done));
}
