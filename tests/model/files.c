/*
 * files.c - steps that make, open, close, name and change files.
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

enum { RESERVED = sizeof((mapfile_options *)0)->reserved / sizeof((mapfile_options *)0)->reserved[0] };

static const flag_name open_flags[] = {{MAPFILE_WRITE, "WRITE"},
                                       {MAPFILE_CREATE, "CREATE"},
                                       {MAPFILE_TRUNCATE, "TRUNCATE"},
                                       {MAPFILE_EXCLUSIVE, "EXCLUSIVE"},
                                       {MAPFILE_IMMUTABLE, "IMMUTABLE"},
                                       {MAPFILE_STREAM, "STREAM"},
                                       {MAPFILE_ADOPT, "ADOPT"},
                                       {MAPFILE_SEPARATE_CACHE, "SEPARATE_CACHE"},
                                       {0, NULL}};
static const char *const access_names[] = {"auto", "mapped", "copied"};

/*
 * Behind the library's back
 */

static uint64_t far_origin(void) {
  return platform_cuts_offsets() ? 0 : FAR_ORIGIN;
}

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
  disk *of = disk_new(on->room, draw_one_in(random, 8) ? far_origin() : 0);
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
 * Options
 */

static uint32_t draw_open_flags(uint64_t *random) {
  uint32_t flags = draw_one_in(random, 3) ? 0 : MAPFILE_WRITE;
  flags |= draw_one_in(random, 8) ? MAPFILE_CREATE : 0;
  flags |= draw_one_in(random, 16) ? MAPFILE_TRUNCATE : 0;
  flags |= draw_one_in(random, 24) ? MAPFILE_EXCLUSIVE : 0;
  flags |= draw_one_in(random, 12) ? MAPFILE_IMMUTABLE : 0;
  flags |= draw_one_in(random, 16) ? MAPFILE_STREAM : 0;
  flags |= draw_one_in(random, 8) ? MAPFILE_SEPARATE_CACHE : 0;
  return flags;
}

static uint32_t draw_share(uint64_t *random) {
  const uint32_t all = MAPFILE_SHARE_READ | MAPFILE_SHARE_WRITE | MAPFILE_SHARE_DELETE;
  switch (draw_below(random, 24)) {
  case 0:
    return MAPFILE_SHARE_NONE;
  case 1:
    return (uint32_t)draw_below(random, all + 1);
  case 2:
  case 3:
    return all;
  default:
    return MAPFILE_SHARE_DEFAULT;
  }
}

static uint32_t draw_idle(uint64_t *random) {
  switch (draw_below(random, 6)) {
  case 0:
    return 1 + (uint32_t)draw_below(random, 5);
  case 1:
    return MAPFILE_IDLE_NEVER;
  default:
    return 0;
  }
}

/* Now and then what no library of this version takes. */
static void spoil_options(mapfile_options *options, uint64_t *random) {
  switch (draw_below(random, 120)) {
  case 0:
    options->size = 8;
    break;
  case 1:
    options->reserved[draw_below(random, RESERVED)] = 1;
    break;
  case 2:
    options->flags |= UNKNOWN_FLAG;
    break;
  case 3:
    options->access = 7;
    break;
  case 4:
    options->share = UNKNOWN_FLAG;
    break;
  case 5:
    options->share = MAPFILE_SHARE_NONE | MAPFILE_SHARE_READ;
    break;
  }
}

static mapfile_options draw_options(const world *on, uint64_t *random) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  options.flags = draw_open_flags(random);
  options.access = (uint32_t)draw_below(random, 3);
  if (draw_one_in(random, 3))
    options.map_bytes = (1 + draw_below(random, 2 * on->room / page_size)) * page_size;
  if (draw_one_in(random, 3))
    options.map_count = 1 + draw_below(random, 4);
  if (draw_one_in(random, 6))
    options.reserve = draw_below(random, 4 * on->room);
  if (draw_one_in(random, 3))
    options.cache_bytes = 1 + draw_below(random, 2 * on->room);
  options.idle_ms = draw_idle(random);
  options.share = draw_share(random);
  spoil_options(&options, random);
  return options;
}

/* What is wrong with the options themselves, whatever file they are for. */
static statuses options_refusals(const mapfile_options *options) {
  const uint32_t all = MAPFILE_SHARE_READ | MAPFILE_SHARE_WRITE | MAPFILE_SHARE_DELETE;
  bool writes = (options->flags & (MAPFILE_WRITE | MAPFILE_CREATE)) != 0;
  statuses refusals = 0;
  if (options->size != sizeof *options)
    return ONE(MAPFILE_INVALID);
  for (int i = 0; i < RESERVED; i++)
    refusals |= options->reserved[i] != 0 ? ONE(MAPFILE_UNSUPPORTED) : 0;
  if ((options->flags & UNKNOWN_FLAG) != 0)
    refusals |= ONE(MAPFILE_UNSUPPORTED);
  if (options->access > MAPFILE_ACCESS_COPIED)
    refusals |= ONE(MAPFILE_INVALID);
  if (options->share != MAPFILE_SHARE_DEFAULT && options->share != all)
    refusals |= ONE(MAPFILE_UNSUPPORTED);
  if ((options->share & MAPFILE_SHARE_NONE) != 0 && options->share != MAPFILE_SHARE_NONE)
    refusals |= ONE(MAPFILE_INVALID);
  if ((options->flags & MAPFILE_SEPARATE_CACHE) != 0 && options->access == MAPFILE_ACCESS_MAPPED)
    refusals |= ONE(MAPFILE_INVALID);
  if ((options->flags & MAPFILE_TRUNCATE) != 0 && !writes)
    refusals |= ONE(MAPFILE_INVALID);
  if ((options->flags & MAPFILE_EXCLUSIVE) != 0 && (options->flags & MAPFILE_CREATE) == 0)
    refusals |= ONE(MAPFILE_INVALID);
  if ((options->flags & MAPFILE_STREAM) != 0 && writes)
    refusals |= ONE(MAPFILE_INVALID);
  return refusals;
}

static void describe_options(const mapfile_options *options, char *text, size_t size) {
  const char *access = options->access <= MAPFILE_ACCESS_COPIED ? access_names[options->access] : "7";
  snprintf(text, size,
           "{%s, access %s, map_bytes %" PRIu64 ", map_count %" PRIu64 ", reserve %" PRIu64 ", stream_limit %" PRIu64
           ", cache_bytes %" PRIu64 ", idle_ms %" PRIu32 ", share %#" PRIx32 "%s%s}",
           flags_text(options->flags, open_flags, "0"), access, options->map_bytes, options->map_count,
           options->reserve, options->stream_limit, options->cache_bytes, options->idle_ms, options->share,
           options->size != sizeof *options ? ", size too small" : "",
           (options_refusals(options) & ONE(MAPFILE_UNSUPPORTED)) != 0 ? ", unknown members" : "");
}

static opened *free_opened(world *on, uint64_t *random) {
  unsigned first = (unsigned)draw_below(random, OPENED);
  for (unsigned i = 0; i < OPENED; i++)
    if (on->opened[(first + i) % OPENED].file == NULL)
      return &on->opened[(first + i) % OPENED];
  return NULL;
}

static void begin_mapfile(lane *in, opened *one, mapfile *file, disk *of, const mapfile_options *options) {
  EXPECT(in, opened_begin(one, of), "there is no memory for the test");
  one->file = file;
  one->flags = options->flags | ((options->flags & MAPFILE_CREATE) != 0 ? (uint32_t)MAPFILE_WRITE : 0);
  one->access = options->access;
  one->map_bytes = options->map_bytes;
  one->map_count = options->map_count;
  one->native = -1;
}

/* A stream's bytes are the library's from opening on. */
static void begin_stream(lane *in, opened *one, mapfile *file, const unsigned char *bytes, size_t length,
                         const mapfile_options *options) {
  disk *of = disk_new((size_t)page_up(length), 0);
  EXPECT(in, of != NULL, "there is no memory for the test");
  if (length > 0)
    memcpy(of->bytes, bytes, length);
  of->size = length;
  begin_mapfile(in, one, file, of, options);
  one->stream = true;
  disk_drop(of);
}

/*
 * Opening
 */

enum { AT_NAME, AT_FOLDER, AT_NO_FOLDER, AT_EMPTY, AT_NULL };

typedef struct place {
  int what;
  unsigned name;
  char path[320];
} place;

static place draw_place(const world *on, uint64_t *random) {
  place drawn = {.name = (unsigned)draw_below(random, NAMES)};
  uint64_t what = draw_below(random, 80);
  drawn.what = what < 4 ? AT_FOLDER + (int)what : AT_NAME;
  snprintf(drawn.path, sizeof drawn.path, "%s", name_path(on, drawn.name));
  if (drawn.what == AT_FOLDER)
    snprintf(drawn.path, sizeof drawn.path, "%s/folder", on->folder);
  if (drawn.what == AT_NO_FOLDER)
    snprintf(drawn.path, sizeof drawn.path, "%s/none/a", on->folder);
  if (drawn.what == AT_EMPTY)
    drawn.path[0] = '\0';
  return drawn;
}

static const char *given_path(const place *at) {
  return at->what != AT_NULL ? at->path : NULL;
}

static void describe_place(const world *on, const place *at, char *text, size_t size) {
  static const char *const odd[] = {"", "a folder", "a file in no folder", "\"\"", "NULL"};
  if (at->what == AT_NAME)
    snprintf(text, size, "%s%c", on->prefix, 'a' + at->name);
  else
    snprintf(text, size, "%s", odd[at->what]);
}

/* What the place has against being opened so. */
static statuses place_refusals(const world *on, const place *at, uint32_t flags) {
  bool exclusive = (flags & MAPFILE_CREATE) != 0 && (flags & MAPFILE_EXCLUSIVE) != 0;
  switch (at->what) {
  case AT_FOLDER:
    return ONE(MAPFILE_UNSUPPORTED) | (exclusive ? ONE(MAPFILE_EXISTS) : 0);
  case AT_NO_FOLDER:
    return ONE(MAPFILE_NOT_FOUND);
  case AT_EMPTY:
  case AT_NULL:
    return ONE(MAPFILE_INVALID);
  }
  if (on->named[at->name] == NULL)
    return (flags & MAPFILE_CREATE) == 0 ? ONE(MAPFILE_NOT_FOUND) : 0;
  return exclusive ? ONE(MAPFILE_EXISTS) : 0;
}

static void was_opened(lane *in, world *on, opened *one, mapfile *file, const place *at,
                       const mapfile_options *options) {
  disk **of = &on->named[at->name];
  if (*of == NULL)
    *of = disk_new(on->room, 0);
  else if ((options->flags & MAPFILE_TRUNCATE) != 0)
    world_set_size(on, *of, 0);
  EXPECT(in, *of != NULL, "there is no memory for the test");
  if ((options->flags & MAPFILE_STREAM) != 0 && (*of)->size == 0)
    begin_stream(in, one, file, NULL, 0, options);
  else
    begin_mapfile(in, one, file, *of, options);
}

/* Mostly there is something. */
static place draw_place_to_open(const world *on, uint64_t *random) {
  place at = draw_place(on, random);
  for (int i = 0; i < 3 && at.what == AT_NAME && on->named[at.name] == NULL; i++)
    at = draw_place(on, random);
  return at;
}

void step_open(lane *in, world *on, uint64_t *random) {
  opened *one = free_opened(on, random);
  place at = draw_place_to_open(on, random);
  mapfile_options options = draw_options(on, random);
  mapfile *file = NULL;
  char text[200], where[32];
  if (one == NULL)
    return;
  if (draw_one_in(random, 60))
    options.flags |= MAPFILE_ADOPT;
  if (on->named[at.name] != NULL && world_is_vowed(on, on->named[at.name]))
    options.flags &= ~(uint32_t)MAPFILE_TRUNCATE;
  describe_options(&options, text, sizeof text);
  describe_place(on, &at, where, sizeof where);
  calling(in, "mapfile_open(%s, %s, %sm%d)", where, text, on->prefix, opened_number(on, one));
  statuses refusals = options_refusals(&options) | place_refusals(on, &at, options.flags);
  if ((options.flags & MAPFILE_ADOPT) != 0)
    refusals |= ONE(MAPFILE_INVALID);
  mapfile_status status = mapfile_open(given_path(&at), &options, &file);
  ended(in, status, refusals != 0 ? refusals : ONE(MAPFILE_OK));
  EXPECT(in, (file != NULL) == (status == MAPFILE_OK), "the mapfile was %s", file != NULL ? "set" : "not set");
  if (status == MAPFILE_OK)
    was_opened(in, on, one, file, &at, &options);
  else
    look_at_files(in, on);
}

/*
 * Opening by a descriptor
 */

/* What the descriptor has against it. */
static statuses handle_refusals(intptr_t native, unsigned how, uint32_t flags) {
  bool writes = (flags & (MAPFILE_WRITE | MAPFILE_CREATE)) != 0;
  statuses refusals = 0;
  if (native < 0)
    return ONE(MAPFILE_INVALID);
  if ((how & PLATFORM_READ) == 0 || (writes && (how & PLATFORM_WRITE) == 0))
    refusals |= ONE(MAPFILE_DENIED);
  return refusals;
}

/* Whose the descriptor is by now. */
static void settle_handle(lane *in, opened *one, intptr_t native, bool adopted, bool worked) {
  if (native < 0)
    return;
  if (adopted && !worked && is_alone(in))
    EXPECT(in, !platform_is_open(native), "an adopted descriptor is still open after the call failed");
  if (!adopted)
    EXPECT(in, platform_is_open(native), "a borrowed descriptor was closed");
  if (!adopted && worked)
    one->native = native;
  if (!adopted && !worked)
    platform_close(native);
}

static mapfile_options draw_handle_options(const world *on, uint64_t *random) {
  mapfile_options options = draw_options(on, random);
  /* Options that cannot be read do not say whose the descriptor is. */
  options.size = (uint32_t)sizeof options;
  if (!draw_one_in(random, 10))
    options.flags &= ~(uint32_t)(MAPFILE_CREATE | MAPFILE_TRUNCATE | MAPFILE_EXCLUSIVE);
  if (!draw_one_in(random, 10))
    options.share = MAPFILE_SHARE_DEFAULT;
  if (draw_one_in(random, 2))
    options.flags |= MAPFILE_ADOPT;
  return options;
}

static statuses own_refusals(const mapfile_options *options) {
  statuses refusals = options_refusals(options);
  if ((options->flags & (MAPFILE_CREATE | MAPFILE_TRUNCATE | MAPFILE_EXCLUSIVE)) != 0 || options->share != 0)
    refusals |= ONE(MAPFILE_INVALID);
  return refusals;
}

void step_open_handle(lane *in, world *on, uint64_t *random) {
  static const unsigned ways[] = {PLATFORM_READ, PLATFORM_READ | PLATFORM_WRITE, PLATFORM_READ | PLATFORM_WRITE,
                                  PLATFORM_WRITE};
  opened *one = free_opened(on, random);
  unsigned name = (unsigned)draw_below(random, NAMES), how = ways[draw_below(random, 4)];
  disk *of = on->named[name];
  mapfile_options options = draw_handle_options(on, random);
  mapfile *file = NULL;
  char text[200];
  if (one == NULL || of == NULL)
    return;
  bool adopted = (options.flags & MAPFILE_ADOPT) != 0;
  intptr_t native = draw_one_in(random, 20) ? -1 : platform_open(name_path(on, name), how);
  if (native >= 0)
    platform_set_position(native, 7);
  describe_options(&options, text, sizeof text);
  calling(in, "mapfile_open_handle(%s for %s%s%s%c, %s, %sm%d)", native < 0 ? "-1" : "a descriptor",
          (how & PLATFORM_READ) != 0 ? "reading" : "", (how & PLATFORM_WRITE) != 0 ? " writing " : " ", on->prefix,
          'a' + name, text, on->prefix, opened_number(on, one));
  statuses refusals = own_refusals(&options) | handle_refusals(native, how, options.flags);
  mapfile_status status = mapfile_open_handle(native, &options, &file);
  ended(in, status, refusals != 0 ? refusals : ONE(MAPFILE_OK));
  settle_handle(in, one, native, adopted, status == MAPFILE_OK);
  if (status != MAPFILE_OK)
    return;
  intptr_t borrowed = adopted ? -1 : native;
  if ((options.flags & MAPFILE_STREAM) != 0 && of->size == 0)
    begin_stream(in, one, file, NULL, 0, &options);
  else
    begin_mapfile(in, one, file, of, &options);
  one->native = borrowed;
}

/* A pipe with bytes in it, whose writing end is closed. Returns how many there are. */
static size_t fill_pipe(lane *in, const unsigned char *bytes, size_t length, intptr_t *native) {
  intptr_t ends[2];
  EXPECT(in, platform_pipe(ends), "there is no pipe for the test");
  int64_t written = length > 0 ? platform_handle_write(ends[1], bytes, length) : 0;
  platform_close(ends[1]);
  *native = ends[0];
  return written > 0 ? (size_t)written : 0;
}

void step_open_pipe(lane *in, world *on, uint64_t *random) {
  opened *one = free_opened(on, random);
  mapfile_options options = draw_handle_options(on, random);
  mapfile *file = NULL;
  char text[200];
  intptr_t native;
  if (one == NULL)
    return;
  options.flags |= draw_one_in(random, 10) ? 0 : MAPFILE_STREAM;
  options.flags &= ~(uint32_t)(draw_one_in(random, 10) ? 0 : MAPFILE_WRITE);
  size_t length = (size_t)draw_below(random, 60000);
  options.stream_limit = draw_one_in(random, 2) ? 0 : 1 + draw_below(random, 60000);
  unsigned char *bytes = allocate(in, length);
  draw_bytes(bytes, length, random);
  length = fill_pipe(in, bytes, length, &native);
  describe_options(&options, text, sizeof text);
  calling(in, "mapfile_open_handle(a pipe with %zu bytes, %s, %sm%d)", length, text, on->prefix,
          opened_number(on, one));
  bool adopted = (options.flags & MAPFILE_ADOPT) != 0;
  statuses refusals = own_refusals(&options) | handle_refusals(native, PLATFORM_READ, options.flags);
  if ((options.flags & MAPFILE_STREAM) == 0)
    refusals |= ONE(MAPFILE_UNSUPPORTED);
  if (options.stream_limit != 0 && length > options.stream_limit)
    refusals |= ONE(MAPFILE_LIMIT);
  mapfile_status status = mapfile_open_handle(native, &options, &file);
  ended(in, status, refusals != 0 ? refusals : ONE(MAPFILE_OK));
  settle_handle(in, one, native, adopted, status == MAPFILE_OK);
  if (status == MAPFILE_OK) {
    begin_stream(in, one, file, bytes, length, &options);
    one->native = adopted ? -1 : native;
  }
  free(bytes);
}

/*
 * Closing
 */

void close_mapfile(lane *in, world *on, opened *one) {
  bool busy = world_pinned(on, one, false) > 0;
  intptr_t native = one->native;
  bool stream = one->stream;
  calling(in, "mapfile_close(%sm%d)", on->prefix, opened_number(on, one));
  mapfile_status status = mapfile_close(one->file);
  ended(in, status, busy ? ONE(MAPFILE_BUSY) : ONE(MAPFILE_OK));
  if (status != MAPFILE_OK)
    return;
  opened_end(one);
  if (native < 0)
    return;
  EXPECT(in, platform_is_open(native), "a borrowed descriptor was closed");
  if (!stream)
    EXPECT(in, platform_position(native) == 7, "the position of a borrowed descriptor has moved");
  platform_close(native);
}

void step_close(lane *in, world *on, uint64_t *random) {
  opened *one = draw_opened(on, random);
  if (draw_one_in(random, 12)) {
    calling(in, "mapfile_close(NULL)");
    ended(in, mapfile_close(NULL), ONE(MAPFILE_OK));
  } else if (one != NULL) {
    close_mapfile(in, on, one);
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
 * Writing
 */

static statuses write_refusals(const opened *one, uint64_t offset, uint64_t length) {
  statuses refusals = 0;
  if (length > UINT64_MAX - offset)
    return ONE(MAPFILE_INVALID);
  if (one->stream)
    refusals |= ONE(MAPFILE_UNSUPPORTED);
  if ((one->flags & MAPFILE_WRITE) == 0 || (one->flags & MAPFILE_IMMUTABLE) != 0)
    refusals |= ONE(MAPFILE_DENIED);
  if (offset > INT64_MAX || length > INT64_MAX - offset)
    refusals |= ONE(MAPFILE_LIMIT);
  return refusals;
}

void written(world *on, opened *one, uint64_t offset, const unsigned char *bytes, size_t length) {
  world_write(on, one->of, offset, bytes, length);
  if (!on->crowded && length > 0 && offset + length > one->known.size)
    one->known.size = offset + length;
}

statuses write_statuses(const opened *one, uint64_t offset, uint64_t length, uint64_t *good) {
  statuses refusals = write_refusals(one, offset, length);
  *good = 0;
  if (refusals != 0)
    return refusals;
  uint64_t bad = opened_first_bad(one, offset, offset + length);
  *good = bad - offset;
  return ONE(*good < length ? opened_bad(one, bad) : MAPFILE_OK);
}

/* Not where the size would change that others rely on, nor beyond what the model has of the file. */
static bool draw_writing(const lane *in, const world *on, const opened *one, uint64_t *random, uint64_t *offset,
                         uint64_t *length) {
  window part = window_of(in, on, one->of);
  uint64_t high = part.change_high;
  if (on->crowded && high > one->of->size)
    high = one->of->size;
  if (high < part.change_low)
    return false;
  *offset = draw_offset(in, on, one, random);
  *offset = *offset < part.change_low ? part.change_low : *offset > high ? high : *offset;
  *length = draw_below(random, draw_one_in(random, 4) ? 4 * page_size : 200);
  if (*length > high - *offset)
    *length = high - *offset;
  return true;
}

void step_write(lane *in, world *on, uint64_t *random) {
  opened *one = draw_opened(on, random);
  uint64_t offset, length, good;
  size_t got = SIZE_MAX;
  if (one == NULL || (world_is_vowed(on, one->of) && !opened_is_vowed(one)) ||
      !draw_writing(in, on, one, random, &offset, &length))
    return;
  unsigned char *bytes = allocate(in, (size_t)length);
  draw_bytes(bytes, (size_t)length, random);
  uint64_t wrong = draw_below(random, 60);
  if (wrong < 2 && length > 0)
    offset = (wrong == 0 ? UINT64_MAX : (uint64_t)INT64_MAX) - draw_below(random, length);
  calling(in, "mapfile_write(%sm%d, %" PRIu64 ", %" PRIu64 ")", on->prefix, opened_number(on, one), offset, length);
  statuses allowed = write_statuses(one, offset, length, &good);
  mapfile_status status = mapfile_write(one->file, offset, bytes, (size_t)length, &got);
  ended(in, status, allowed);
  EXPECT(in, got == good, "%zu bytes were written, not %" PRIu64, got, good);
  written(on, one, offset, bytes, got);
  free(bytes);
  look_at_files(in, on);
  look_at_views(in, on);
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
