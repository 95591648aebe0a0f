/*
 * model.c - the model: files, mapfiles and views, and how they hang together.
 *
 * SPDX-License-Identifier: MIT
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MARGIN_PAGES = 8 };

size_t page_size;

uint64_t page_down(uint64_t offset) {
  return offset & ~(uint64_t)(page_size - 1);
}

uint64_t page_up(uint64_t offset) {
  return page_down(offset + page_size - 1);
}

static uint64_t least(uint64_t one, uint64_t other) {
  return one < other ? one : other;
}

static uint64_t most(uint64_t one, uint64_t other) {
  return one > other ? one : other;
}

/*
 * Files
 */

disk *disk_new(size_t room, uint64_t origin) {
  disk *made = calloc(1, sizeof *made);
  if (made == NULL)
    return NULL;
  made->bytes = calloc(1, room + MARGIN_PAGES * page_size);
  made->origin = origin;
  made->room = room;
  made->users = 1;
  if (made->bytes != NULL)
    return made;
  free(made);
  return NULL;
}

void disk_drop(disk *of) {
  if (of == NULL || --of->users > 0)
    return;
  free(of->bytes);
  free(of);
}

const unsigned char *disk_at(const disk *of, uint64_t offset) {
  return of->bytes + (offset - of->origin);
}

uint64_t disk_end(const disk *of) {
  return of->origin + of->room;
}

look look_at(const disk *of) {
  return (look){of->size, of->moves, of->stamp, of->vague};
}

statuses look_difference(const look *before, const disk *now) {
  if (now->size < before->size)
    return ONE(MAPFILE_TRUNCATED);
  if (now->size > before->size)
    return ONE(MAPFILE_CHANGED);
  if (before->vague || now->vague)
    return ONE(MAPFILE_OK) | ONE(MAPFILE_CHANGED);
  if (before->stamp != now->stamp)
    return ONE(MAPFILE_CHANGED);
  /* Two times of the clock may be one tick of it. */
  return ONE(MAPFILE_OK) | (before->moves != now->moves ? ONE(MAPFILE_CHANGED) : 0);
}

/*
 * Mapfiles
 */

bool opened_begin(opened *one, disk *of) {
  one->pages = of->room / page_size + MARGIN_PAGES;
  one->bad = calloc(one->pages + 1, sizeof *one->bad);
  one->of = of;
  one->known = look_at(of);
  of->users++;
  return one->bad != NULL;
}

void opened_end(opened *one) {
  disk_drop(one->of);
  free(one->bad);
  *one = (opened){.native = -1};
}

static size_t page_index(const opened *one, uint64_t offset) {
  uint64_t page = (offset - one->of->origin) / page_size;
  return page < one->pages ? (size_t)page : one->pages;
}

mapfile_status opened_bad(const opened *one, uint64_t offset) {
  return one->bad[page_index(one, offset)];
}

uint64_t opened_first_bad(const opened *one, uint64_t offset, uint64_t end) {
  while (offset < end && opened_bad(one, offset) == MAPFILE_OK)
    offset = page_down(offset) + page_size;
  return least(offset, end);
}

bool opened_any_bad(const opened *one, uint64_t offset, uint64_t length) {
  return opened_first_bad(one, offset, offset + length) < offset + length;
}

bool opened_is_vowed(const opened *one) {
  return one->file != NULL && (one->flags & MAPFILE_IMMUTABLE) != 0;
}

reach opened_reach(const opened *one, uint64_t offset, uint64_t length) {
  uint64_t end = offset + length, size = one->of->size;
  uint64_t bad = opened_first_bad(one, offset, end);
  uint64_t stop = most(offset, least(bad, size));
  reach found = {least(stop, end) - offset, 0};
  if (found.good == length)
    return found;
  if (size < end && size <= bad)
    found.then |= ONE(MAPFILE_TRUNCATED);
  /* A map shows the page that the file ends in whole, so what is noticed may be the injection behind it. */
  if (bad < end && bad <= most(offset, page_up(size)))
    found.then |= ONE(opened_bad(one, bad));
  return found;
}

fit fit_range(uint64_t offset, uint64_t length, uint64_t size) {
  if (length != MAPFILE_TO_END && length > UINT64_MAX - offset)
    return (fit){0, ONE(MAPFILE_INVALID) | ONE(MAPFILE_END), true};
  if (offset > size)
    return (fit){0, ONE(MAPFILE_END), false};
  if (length == MAPFILE_TO_END)
    return (fit){size - offset, 0, false};
  return (fit){least(length, size - offset), length > size - offset ? ONE(MAPFILE_END) : 0, false};
}

/*
 * Views
 */

pinned *pinned_new(void) {
  pinned *made = calloc(1, sizeof *made);
  if (made != NULL)
    made->view.size = (uint32_t)sizeof made->view;
  return made;
}

void pinned_free(pinned *one) {
  for (int i = 0; one != NULL && i < IMAGES; i++) {
    free(one->images[i].states);
    free(one->images[i].own);
    free(one->images[i].other);
  }
  free(one);
}

uint64_t pinned_page(const pinned *one, size_t page, uint64_t *end) {
  uint64_t start = page_down(one->offset) + page * page_size;
  *end = least(start + page_size, one->offset + one->length);
  return most(start, one->offset);
}

size_t pinned_page_of(const pinned *one, uint64_t offset) {
  return (size_t)((page_down(offset) - page_down(one->offset)) / page_size);
}

static void copy_file(const pinned *one, unsigned char *bytes, uint64_t from, uint64_t end) {
  memcpy(bytes + (from - one->offset), disk_at(one->by->of, from), (size_t)(end - from));
}

/* What a copy holds when it is pinned. A zero-fill copy has zeros where the file has nothing any more. */
static void read_copy(pinned *one, image *as) {
  for (size_t page = 0; page < one->pages; page++) {
    uint64_t end, from = pinned_page(one, page, &end), size = one->by->of->size;
    copy_file(one, as->own, from, end);
    as->states[page] = PAGE_OWN;
    if (end > size && one->filled++ == 0)
      one->first_filled = most(from, size);
    if (opened_bad(one->by, from) != MAPFILE_OK)
      as->states[page] = PAGE_BAD;
  }
}

static bool image_begin(pinned *one, int which) {
  image *as = &one->images[which];
  as->possible = true;
  as->follows = which == AS_MAP;
  as->states = calloc(one->pages + 1, 1);
  as->own = malloc(one->length + 1);
  as->other = malloc(one->length + 1);
  return as->states != NULL && as->own != NULL && as->other != NULL;
}

bool pinned_begin(pinned *one, opened *by, uint32_t flags, bool may_map, bool may_copy) {
  one->by = by;
  one->flags = flags;
  one->offset = one->view.offset;
  one->length = one->view.length;
  one->pages = (size_t)((page_up(one->offset + one->length) - page_down(one->offset)) / page_size);
  if (one->length == 0)
    one->pages = 0;
  one->since = look_at(by->of);
  if (may_map && !image_begin(one, AS_MAP))
    return false;
  /* A copy that needs bytes which are gone could not have been made. */
  if (may_copy && (flags & MAPFILE_ZERO_FILL) == 0 && one->offset + one->length > by->of->size && one->length > 0)
    return may_map;
  if (may_copy && !image_begin(one, AS_COPY))
    return false;
  if (may_copy)
    read_copy(one, &one->images[AS_COPY]);
  return true;
}

bool pinned_is_open(const pinned *one, uint64_t offset, uint64_t length) {
  for (size_t page = 0; page < one->pages; page++) {
    uint64_t end, from = pinned_page(one, page, &end);
    if (end <= offset || from >= offset + length)
      continue;
    for (int i = 0; i < IMAGES; i++)
      if (one->images[i].possible && one->images[i].states[page] == PAGE_OPEN)
        return true;
  }
  return false;
}

/* What a page fails with by this explanation; OK: it does not. */
static mapfile_status image_failure(const pinned *one, const image *as, size_t page) {
  uint64_t end, from = pinned_page(one, page, &end);
  mapfile_status bad = opened_bad(one->by, from);
  unsigned char state = as->states[page];
  if (!as->follows)
    return state == PAGE_BAD ? bad : MAPFILE_OK;
  if (state != PAGE_FILE)
    return MAPFILE_OK;
  if (bad == MAPFILE_OK && page_down(from) >= one->by->of->size)
    return MAPFILE_TRUNCATED;
  return bad;
}

static bool same_bytes(const pinned *one, const sight *seen, const unsigned char *own) {
  return memcmp(seen->bytes, own + (seen->offset - one->offset), seen->length) == 0;
}

/* Behind the end of the file a map's last page shows something that nobody promises. */
static bool same_as_file(const pinned *one, const sight *seen) {
  const disk *of = one->by->of;
  if (seen->offset >= of->size)
    return true;
  size_t length = (size_t)least(seen->length, of->size - seen->offset);
  return memcmp(seen->bytes, disk_at(of, seen->offset), length) == 0;
}

static bool image_agrees(const pinned *one, const image *as, const sight *seen) {
  size_t page = pinned_page_of(one, seen->offset);
  unsigned char state = as->states[page];
  if (state == PAGE_OPEN)
    return true;
  mapfile_status failure = image_failure(one, as, page);
  if (failure != MAPFILE_OK || seen->bytes == NULL)
    return seen->bytes == NULL && seen->cause == failure;
  if (state == PAGE_FILE)
    return same_as_file(one, seen);
  return same_bytes(one, seen, as->own) || (state == PAGE_EITHER && same_bytes(one, seen, as->other));
}

/* Only what was seen whole tells which of two it is. */
static void image_choose(const pinned *one, image *as, const sight *seen) {
  size_t page = pinned_page_of(one, seen->offset);
  uint64_t end, from = pinned_page(one, page, &end);
  if (as->states[page] != PAGE_EITHER || seen->offset != from || seen->offset + seen->length != end)
    return;
  memcpy(as->own + (from - one->offset), seen->bytes, seen->length);
  as->states[page] = PAGE_OWN;
}

bool pinned_settle(pinned *one, const sight *seen) {
  bool any = false;
  for (int i = 0; i < IMAGES; i++) {
    image *as = &one->images[i];
    if (!as->possible)
      continue;
    as->possible = image_agrees(one, as, seen);
    any = any || as->possible;
    if (as->possible && seen->bytes != NULL)
      image_choose(one, as, seen);
  }
  return any;
}

bool pinned_fails(const pinned *one, uint64_t offset) {
  for (int i = 0; i < IMAGES; i++)
    if (one->images[i].possible)
      return image_failure(one, &one->images[i], pinned_page_of(one, offset)) != MAPFILE_OK;
  return false;
}

void pinned_describe(const pinned *one, size_t page, char *text, size_t size) {
  static const char *const names[] = {"the file's bytes", "bytes of its own",      "zeros",
                                      "a fault",          "what it was read with", "anything"};
  size_t used = 0;
  text[0] = '\0';
  for (int i = 0; i < IMAGES; i++) {
    const image *as = &one->images[i];
    if (as->states == NULL || used >= size)
      continue;
    mapfile_status failure = image_failure(one, as, page);
    const char *what = failure != MAPFILE_OK ? mapfile_strerror(failure) : names[as->states[page]];
    int length =
        snprintf(text + used, size - used, "%sas a %s: %s", used > 0 ? ", " : "", as->follows ? "map" : "copy", what);
    used += length > 0 ? (size_t)length : 0;
  }
}

/* A private page's own bytes begin as what it showed when it was first stored to. */
static void image_store(const pinned *one, image *as, uint64_t offset, const unsigned char *bytes, size_t length) {
  size_t page = pinned_page_of(one, offset);
  uint64_t end, from = pinned_page(one, page, &end);
  if (as->states[page] == PAGE_OPEN)
    return;
  if (as->states[page] == PAGE_FILE)
    copy_file(one, as->own, from, end);
  as->states[page] = PAGE_OWN;
  memcpy(as->own + (offset - one->offset), bytes, length);
}

void pinned_store(pinned *one, uint64_t offset, const unsigned char *bytes, size_t length) {
  while (length > 0) {
    size_t step = (size_t)least(length, page_down(offset) + page_size - offset);
    for (int i = 0; i < IMAGES; i++)
      if (one->images[i].possible)
        image_store(one, &one->images[i], offset, bytes, step);
    offset += step;
    bytes += step;
    length -= step;
  }
}

bool pinned_fill(pinned *one, size_t page) {
  bool filled = false;
  uint64_t end, from = pinned_page(one, page, &end);
  for (int i = 0; i < IMAGES; i++) {
    image *as = &one->images[i];
    if (!as->possible || image_failure(one, as, page) == MAPFILE_OK)
      continue;
    as->states[page] = PAGE_FILLED;
    memset(as->own + (from - one->offset), 0, (size_t)(end - from));
    filled = true;
  }
  if (filled && one->filled++ == 0)
    one->first_filled = from;
  return filled;
}

/*
 * Worlds
 */

void world_move(const world *in, disk *of) {
  if (!in->crowded)
    of->moves++;
}

void world_write(world *in, disk *of, uint64_t offset, const unsigned char *bytes, size_t length) {
  if (length == 0)
    return;
  memcpy(of->bytes + (offset - of->origin), bytes, length);
  if (in->crowded)
    return;
  if (offset + length > of->size)
    of->size = offset + length;
  of->stamp = 0;
  of->moves++;
}

/* What a private map made of pages that the file loses is not promised to anybody. */
static void lose_private_pages(const pinned *one, uint64_t size) {
  const image *as = &one->images[AS_MAP];
  for (size_t page = 0; as->possible && page < one->pages; page++) {
    uint64_t end, from = pinned_page(one, page, &end);
    if (as->states[page] == PAGE_OWN && page_down(from) + page_size > size)
      as->states[page] = PAGE_OPEN;
  }
}

void world_set_size(world *in, disk *of, uint64_t size) {
  uint64_t keep = most(size, of->origin);
  if (size < of->size) {
    if (of->size > keep)
      memset(of->bytes + (keep - of->origin), 0, (size_t)(of->size - keep));
    for (int i = 0; i < VIEWS; i++)
      if (in->views[i] != NULL && in->views[i]->by != NULL && in->views[i]->by->of == of)
        lose_private_pages(in->views[i], size);
  }
  /* Whether a size that stays the same gives a file another time is the system's affair. */
  if (size == of->size && of->stamp != 0)
    of->vague = true;
  if (size != of->size)
    of->stamp = 0;
  of->size = size;
  world_move(in, of);
}

/* A page of a view begins to fail, or to fail in another way. What was written to a private map's is lost. */
static void image_spoil(image *as, size_t page, bool was_bad) {
  if (!as->follows)
    return;
  if (was_bad && as->states[page] == PAGE_FILLED)
    as->states[page] = PAGE_OPEN; /* zeros "for good", and yet failing anew: the header does not decide */
  else if (!was_bad)
    as->states[page] = PAGE_FILE;
}

/* A page is made good again. Copies that did not fail there keep their bytes; those that did are read again, or show
   what was read when they were pinned. */
static void image_mend(const pinned *one, image *as, size_t page) {
  uint64_t end, from = pinned_page(one, page, &end);
  if (as->states[page] == PAGE_FILLED)
    as->states[page] = PAGE_OPEN; /* zeros "for good", and yet good again */
  if (as->follows || as->states[page] != PAGE_BAD)
    return;
  copy_file(one, as->other, from, end);
  as->states[page] = PAGE_EITHER;
}

static void inject_view(const pinned *one, image *as, uint64_t low, uint64_t high, mapfile_status status) {
  for (size_t page = 0; as->possible && page < one->pages; page++) {
    uint64_t end, from = pinned_page(one, page, &end);
    bool was_bad = opened_bad(one->by, from) != MAPFILE_OK;
    if (from < low || from >= high)
      continue;
    if (status != MAPFILE_OK)
      image_spoil(as, page, was_bad);
    else if (was_bad)
      image_mend(one, as, page);
  }
}

void world_inject(world *in, slots of, opened *one, uint64_t offset, uint64_t length, mapfile_status status) {
  uint64_t low = page_down(offset), high = length == MAPFILE_TO_END ? UINT64_MAX : page_up(offset + length);
  if (length == 0)
    return;
  for (unsigned i = of.first; i < of.first + of.count; i++)
    for (int as = 0; in->views[i] != NULL && in->views[i]->by == one && as < IMAGES; as++)
      inject_view(in->views[i], &in->views[i]->images[as], low, high, status);
  for (size_t page = page_index(one, low); page < one->pages && one->of->origin + page * page_size < high; page++)
    one->bad[page] = status;
  if (high == UINT64_MAX)
    one->bad[one->pages] = status;
}

bool world_is_vowed(const world *in, const disk *of) {
  for (int i = 0; i < OPENED; i++)
    if (in->opened[i].of == of && opened_is_vowed(&in->opened[i]))
      return true;
  return false;
}

unsigned world_pinned(const world *in, const opened *one, bool with_maps) {
  unsigned count = 0;
  for (int i = 0; i < VIEWS + EXCHANGED; i++) {
    const pinned *view = i < VIEWS ? in->views[i] : in->exchanged[i - VIEWS];
    if (view != NULL && (one == NULL || view->by == one) && (!with_maps || view->length > 0))
      count++;
  }
  return count;
}
