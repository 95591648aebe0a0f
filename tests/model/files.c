/*
 * files.c - steps that make, name, resize and change files.
 *
 * SPDX-License-Identifier: MIT
 */
#include "calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A hole that 32 bits of offset do not reach over. */
#define FAR_ORIGIN ((UINT64_C(4) << 30) + (UINT64_C(64) << 10) * 3)
/* Times that no clock gives: in the year 2001. */
#define FIRST_STAMP UINT64_C(1000000000)
#define UNKNOWN_FLAG (UINT32_C(1) << 20)

/*
 * Behind the library's back
 */

static uint64_t draw_size(const world *on, const disk *of, uint64_t *random) {
  uint64_t choices[] = {0,
                        on->room,
                        1 + draw_below(random, page_size),
                        draw_below(random, on->room + 1),
                        draw_below(random, on->room + 1),
                        on->room - draw_below(random, on->room / 4),
                        draw_below(random, on->room / page_size + 1) * page_size};
  return of->origin + choices[draw_below(random, sizeof choices / sizeof choices[0])];
}

void step_make(lane *in, world *on, uint64_t *random) {
  unsigned name = (unsigned)draw_below(random, NAMES);
  const char *path = name_path(on, name);
  if (on->named[name] != NULL)
    return;
  disk *of = disk_new(on->room, draw_one_in(random, 8) ? FAR_ORIGIN : 0);
  EXPECT(in, of != NULL, "there is no memory for the test");
  size_t length = (size_t)(draw_size(on, of, random) - of->origin);
  unsigned char *bytes = allocate(in, length);
  draw_bytes(bytes, length, random);
  calling(in, "outside: make %s%c, %zu bytes%s", on->prefix, 'a' + name, length,
          of->origin > 0 && length > 0 ? " behind a hole" : "");
  bool worked = platform_make(path) && (length == 0 || platform_write(path, of->origin, bytes, length));
  on->named[name] = of;
  world_write(on, of, of->origin, bytes, length);
  free(bytes);
  done(in, worked);
}

static disk *draw_disk(world *on, uint64_t *random, unsigned *name) {
  unsigned first = (unsigned)draw_below(random, NAMES);
  for (unsigned i = 0; i < NAMES; i++) {
    *name = (first + i) % NAMES;
    if (on->named[*name] != NULL && !world_is_vowed(on, on->named[*name]))
      return on->named[*name];
  }
  return NULL;
}

void step_outside_write(lane *in, world *on, uint64_t *random) {
  unsigned name;
  disk *of = draw_disk(on, random, &name);
  if (of == NULL)
    return;
  window part = window_of(in, on, of);
  uint64_t offset = part.change_low + draw_below(random, part.change_high - part.change_low);
  uint64_t end = offset + 1 + draw_below(random, draw_one_in(random, 4) ? 3 * page_size : 100);
  if (end > part.change_high)
    end = part.change_high;
  if (on->crowded && end > of->size)
    end = of->size;
  if (end <= offset)
    return;
  size_t length = (size_t)(end - offset);
  unsigned char *bytes = allocate(in, length);
  draw_bytes(bytes, length, random);
  calling(in, "outside: write %s%c, offset %" PRIu64 ", length %zu", on->prefix, 'a' + name, offset, length);
  bool worked = platform_write(name_path(on, name), offset, bytes, length);
  world_write(on, of, offset, bytes, length);
  free(bytes);
  done(in, worked);
}

void step_outside_resize(lane *in, world *on, uint64_t *random) {
  unsigned name;
  disk *of = draw_disk(on, random, &name);
  if (of == NULL)
    return;
  uint64_t size = draw_size(on, of, random);
  calling(in, "outside: resize %s%c to %" PRIu64, on->prefix, 'a' + name, size);
  bool worked = platform_set_size(name_path(on, name), size);
  world_set_size(on, of, size);
  done(in, worked);
}

void step_outside_time(lane *in, world *on, uint64_t *random) {
  unsigned name;
  disk *of = draw_disk(on, random, &name);
  if (of == NULL)
    return;
  uint64_t stamp = FIRST_STAMP + ++on->last_stamp;
  calling(in, "outside: give %s%c another time", on->prefix, 'a' + name);
  of->stamp = stamp;
  world_move(on, of);
  done(in, platform_set_time(name_path(on, name), stamp));
}

void look_at_files(lane *in, world *on) {
  for (unsigned name = 0; name < NAMES && !on->crowded; name++) {
    const disk *of = on->named[name];
    const char *path = name_path(on, name);
    uint64_t size = 0;
    bool there = platform_size(path, &size);
    EXPECT(in, there == (of != NULL), "file %s%c %s", on->prefix, 'a' + name, there ? "is there" : "is not there");
    if (of == NULL)
      continue;
    EXPECT(in, size == of->size, "file %s%c has %" PRIu64 " bytes, not %" PRIu64, on->prefix, 'a' + name, size,
           of->size);
    if (size <= of->origin)
      continue;
    size_t length = (size_t)(size - of->origin);
    unsigned char *bytes = allocate(in, length);
    bool same = platform_read(path, of->origin, bytes, length) && memcmp(bytes, of->bytes, length) == 0;
    free(bytes);
    EXPECT(in, same, "file %s%c does not hold what was written", on->prefix, 'a' + name);
  }
}

/*
 * Names
 */

static statuses name_refusals(const world *on, const place *at) {
  switch (at->what) {
  case AT_FOLDER:
    return ONE(MAPFILE_UNSUPPORTED);
  case AT_NO_FOLDER:
    return ONE(MAPFILE_NOT_FOUND);
  case AT_NAME:
    return on->named[at->name] == NULL ? ONE(MAPFILE_NOT_FOUND) : 0;
  default:
    return ONE(MAPFILE_INVALID);
  }
}

static bool is_vowed(const world *on, const place *at) {
  return at->what == AT_NAME && on->named[at->name] != NULL && world_is_vowed(on, on->named[at->name]);
}

void step_remove(lane *in, world *on, uint64_t *random) {
  place at = draw_place(on, random);
  char where[32];
  /* Even a name more or less shows in the times of a file that nobody is to change. */
  if (is_vowed(on, &at))
    return;
  describe_place(on, &at, where, sizeof where);
  calling(in, "mapfile_remove(%s)", where);
  statuses refusals = name_refusals(on, &at);
  mapfile_status status = mapfile_remove(given_path(&at));
  ended(in, status, refusals != 0 ? refusals : ONE(MAPFILE_OK));
  if (status == MAPFILE_OK) {
    world_move(on, on->named[at.name]);
    disk_drop(on->named[at.name]);
    on->named[at.name] = NULL;
  }
  look_at_files(in, on);
}

static void was_renamed(const world *in, disk **from, disk **to) {
  world_move(in, *from);
  if (from == to)
    return;
  if (*to != NULL)
    world_move(in, *to);
  disk_drop(*to);
  *to = *from;
  *from = NULL;
}

void step_rename(lane *in, world *on, uint64_t *random) {
  place from = draw_place(on, random), to = draw_place(on, random);
  char first[32], second[32];
  if (is_vowed(on, &from) || is_vowed(on, &to))
    return;
  describe_place(on, &from, first, sizeof first);
  describe_place(on, &to, second, sizeof second);
  calling(in, "mapfile_rename(%s, %s)", first, second);
  statuses refusals = name_refusals(on, &from);
  if (to.what != AT_NAME)
    refusals |= name_refusals(on, &to);
  mapfile_status status = mapfile_rename(given_path(&from), given_path(&to));
  ended(in, status, refusals != 0 ? refusals : ONE(MAPFILE_OK));
  if (status == MAPFILE_OK)
    was_renamed(on, &on->named[from.name], &on->named[to.name]);
  look_at_files(in, on);
}

/*
 * Resizing
 */

/* Views that may keep the end from going there: some must, if they are maps for certain. */
static statuses busy_views(const world *on, const opened *one, uint64_t size) {
  statuses found = ONE(MAPFILE_OK);
  if (size >= one->known.size)
    return found;
  for (int i = 0; i < VIEWS; i++) {
    const pinned *view = on->views[i];
    if (view == NULL || view->by != one || view->length == 0 || !view->images[AS_MAP].possible)
      continue;
    if (view->offset + view->length > size && !view->images[AS_COPY].possible)
      return ONE(MAPFILE_BUSY);
    found |= ONE(MAPFILE_BUSY);
  }
  return found;
}

static statuses resize_refusals(const opened *one, uint64_t size, uint32_t flags) {
  statuses refusals = (flags & ~(uint32_t)MAPFILE_RESIZE_ALLOCATE) != 0 ? ONE(MAPFILE_INVALID) : 0;
  if (one->stream)
    refusals |= ONE(MAPFILE_UNSUPPORTED);
  if ((one->flags & MAPFILE_WRITE) == 0)
    refusals |= ONE(MAPFILE_DENIED);
  if (size > INT64_MAX)
    refusals |= ONE(MAPFILE_LIMIT);
  return refusals;
}

static uint32_t draw_resize_flags(const world *on, const opened *one, uint64_t *random) {
  if (on->crowded)
    return 0;
  if (draw_one_in(random, 30))
    return UNKNOWN_FLAG;
  /* All of a hole allocated would be gigabytes. */
  return one->of->origin == 0 && draw_one_in(random, 4) ? MAPFILE_RESIZE_ALLOCATE : 0;
}

static uint64_t draw_new_size(const lane *in, const world *on, const opened *one, uint64_t *random) {
  if (on->crowded)
    return one->of->size;
  if (draw_one_in(random, 40))
    return (UINT64_C(1) << 63) + draw(random) % 1000;
  if (draw_one_in(random, 2))
    return draw_size(on, one->of, random);
  uint64_t size = draw_offset(in, on, one, random);
  return size < disk_end(one->of) ? size : disk_end(one->of);
}

void step_resize(lane *in, world *on, uint64_t *random) {
  opened *one = draw_opened(on, random);
  if (one == NULL || world_is_vowed(on, one->of))
    return;
  uint64_t size = draw_new_size(in, on, one, random);
  uint32_t flags = draw_resize_flags(on, one, random);
  calling(in, "mapfile_resize(%sm%d, %" PRIu64 ", %s)", on->prefix, opened_number(on, one), size,
          flags == 0                         ? "0"
          : flags == MAPFILE_RESIZE_ALLOCATE ? "ALLOCATE"
                                             : "an unknown flag");
  statuses allowed = resize_refusals(one, size, flags);
  if (allowed == 0) {
    allowed = busy_views(on, one, size);
    if (flags != 0)
      allowed |= ONE(MAPFILE_UNSUPPORTED) | ONE(MAPFILE_NO_SPACE);
  }
  mapfile_status status = mapfile_resize(one->file, size, flags);
  ended(in, status, allowed);
  if (status == MAPFILE_OK && !on->crowded) {
    world_set_size(on, one->of, size);
    one->known = look_at(one->of);
  } else if (status != MAPFILE_OK && flags != 0) {
    world_move(on, one->of);
  }
  look_at_files(in, on);
}
