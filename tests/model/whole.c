/*
 * whole.c - steps that read, search, compare, walk over and send ranges.
 *
 * SPDX-License-Identifier: MIT
 */
#include "calls.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A range, and how far it can be read. */
typedef struct range {
  opened *one;
  uint64_t offset, length;
  fit fits;
  reach reaches;
} range;

static const unsigned char *bytes_of(const range *of) {
  return disk_at(of->one->of, of->offset);
}

/* What a call says of it that has nothing to say of its own. */
static statuses range_statuses(const range *of) {
  if (of->reaches.then != 0)
    return of->reaches.then;
  return of->fits.refusals != 0 ? of->fits.refusals : ONE(MAPFILE_OK);
}

/* Far beyond any end, or not in the file at all: nothing may come of it. */
static bool is_nowhere(const range *of) {
  return of->fits.overflows || of->offset > of->one->known.size;
}

static range range_at(opened *one, uint64_t offset, uint64_t length) {
  range of = {one, offset, length, fit_range(offset, length, one->known.size), {0, 0}};
  if (!is_nowhere(&of))
    of.reaches = opened_reach(one, offset, of.fits.there);
  return of;
}

static range draw_range(const lane *in, const world *on, opened *one, uint64_t *random) {
  uint64_t offset = draw_offset(in, on, one, random);
  uint64_t length = draw_length(in, on, one, offset, random);
  if (draw_one_in(random, 60)) {
    offset = UINT64_MAX - draw_below(random, 5000);
    length = draw_below(random, 10000);
  }
  return range_at(one, offset, length);
}

/* For calls that take a buffer, which is as long as the range. */
static range draw_buffer_range(const lane *in, const world *on, opened *one, uint64_t *random) {
  range of = draw_range(in, on, one, random);
  if (of.length <= on->room + 4 * page_size)
    return of;
  return range_at(one, of.offset, on->crowded ? of.fits.there : 1 + draw_below(random, on->room));
}

static void call_range(lane *in, const world *on, const char *call, const range *of, const char *more) {
  calling(in, "%s(%sm%d, %" PRIu64 ", %" PRIu64 "%s%s)", call, on->prefix, opened_number(on, of->one), of->offset,
          of->length, of->length == MAPFILE_TO_END ? " = to the end" : "", more);
}

static void expect_count(lane *in, const range *of, uint64_t got, uint64_t wanted) {
  EXPECT(in, got == wanted,
         "%" PRIu64 " bytes were done, not %" PRIu64 " (the file has %" PRIu64 ", known were %" PRIu64 ")", got, wanted,
         of->one->of->size, of->one->known.size);
}

static void expect_no_more(lane *in, const range *of, uint64_t got) {
  EXPECT(in, got <= of->reaches.good, "%" PRIu64 " bytes were done, but only %" PRIu64 " can be read", got,
         of->reaches.good);
}

/*
 * Reading
 */

void step_read(lane *in, world *on, uint64_t *random) {
  opened *one = draw_opened(on, random);
  if (one == NULL)
    return;
  range of = draw_buffer_range(in, on, one, random);
  size_t length = (size_t)of.length, got = SIZE_MAX;
  unsigned char *buffer = allocate(in, length);
  call_range(in, on, "mapfile_read", &of, "");
  mapfile_status status = mapfile_read(one->file, of.offset, buffer, length, &got);
  ended(in, status, range_statuses(&of));
  expect_count(in, &of, got, of.reaches.good);
  EXPECT(in, got == 0 || memcmp(buffer, bytes_of(&of), got) == 0, "other bytes were read");
  free(buffer);
}

/*
 * Finding
 */

typedef struct needle {
  unsigned char *bytes;
  size_t length;
} needle;

/* A place for a needle: anywhere, or where a range that is taken in pieces is likely to be cut. */
static uint64_t draw_border(const range *of, size_t length, uint64_t *random) {
  static const uint64_t pieces[] = {64 << 10, 256 << 10, 256 << 10, 1 << 20};
  uint64_t piece = pieces[draw_below(random, sizeof pieces / sizeof pieces[0])];
  uint64_t last = of->reaches.good - length, at = draw_below(random, last + 1);
  uint64_t start = draw_one_in(random, 2) ? 0 : page_down(of->offset);
  uint64_t border = start + (of->offset + at - start) / piece * piece;
  uint64_t cuts[] = {1, length > 0 ? length - 1 : 0, draw_below(random, length + 1)};
  uint64_t place = border - cuts[draw_below(random, 3)] - of->offset;
  return !draw_one_in(random, 4) && place <= last ? place : at;
}

/* What is there somewhere in the range, perhaps but for a byte; or not. */
static needle draw_needle(lane *in, const range *of, uint64_t *random) {
  static const uint64_t lengths[] = {0, 1, 2, 3, 8, 30, 30, 300, 300, 5000};
  needle drawn = {NULL, (size_t)lengths[draw_below(random, sizeof lengths / sizeof lengths[0])]};
  drawn.bytes = allocate(in, drawn.length);
  draw_bytes(drawn.bytes, drawn.length, random);
  if (of->reaches.good == 0 || drawn.length > of->reaches.good || draw_one_in(random, 4))
    return drawn;
  uint64_t at = draw_border(of, drawn.length, random);
  memcpy(drawn.bytes, bytes_of(of) + at, drawn.length);
  if (drawn.length > 0 && draw_one_in(random, 4))
    drawn.bytes[draw_below(random, drawn.length)] ^= 1;
  return drawn;
}

/* What is known of a place, by the bytes that can be read. */
enum place { DIFFERS, MAY_BE_EQUAL, EQUAL };

static enum place look_at_place(const range *of, const needle *wanted, uint64_t place) {
  enum place found = EQUAL;
  for (size_t at = 0; at < wanted->length;) {
    uint64_t offset = of->offset + place + at;
    size_t part = (size_t)(page_down(offset) + page_size - offset);
    part = part < wanted->length - at ? part : wanted->length - at;
    uint64_t size = of->one->of->size;
    bool bad = opened_bad(of->one, offset) != MAPFILE_OK;
    size_t known = bad || offset >= size ? 0 : size - offset < part ? (size_t)(size - offset) : part;
    if (known > 0 && memcmp(bytes_of(of) + place + at, wanted->bytes + at, known) != 0)
      return DIFFERS;
    if (known < part)
      found = MAY_BE_EQUAL;
    at += part;
  }
  return found;
}

/* The first place in the range that does not certainly differ; UINT64_MAX: none. */
static uint64_t find_place(const range *of, const needle *wanted, enum place *found) {
  const unsigned char *bytes = bytes_of(of);
  for (uint64_t at = 0; wanted->length <= of->fits.there && at <= of->fits.there - wanted->length; at++) {
    if (at < of->reaches.good) {
      const unsigned char *next = memchr(bytes + at, wanted->bytes[0], (size_t)(of->reaches.good - at));
      at = next != NULL ? (uint64_t)(next - bytes) : of->reaches.good;
      if (at > of->fits.there - wanted->length)
        break;
    }
    *found = look_at_place(of, wanted, at);
    if (*found != DIFFERS)
      return at;
  }
  return UINT64_MAX;
}

/* All that bytes of the range which cannot be read may be the reason for. */
static statuses later_statuses(const range *of) {
  uint64_t end = of->offset + of->fits.there;
  statuses all = end > of->one->of->size ? ONE(MAPFILE_TRUNCATED) : 0;
  for (uint64_t at = of->offset; at < end; at = page_down(at) + page_size) {
    mapfile_status bad = opened_bad(of->one, at);
    all |= bad != MAPFILE_OK ? ONE(bad) : 0;
  }
  return all;
}

/* Bytes that cannot be read are an error. But a search for more than a byte may never come to look at the first of
   them, where others tell already that the needle is not there. */
static statuses find_statuses(const range *of, const needle *wanted, uint64_t place, enum place found) {
  statuses none = of->fits.refusals != 0 ? of->fits.refusals : ONE(MAPFILE_NOT_FOUND);
  if (is_nowhere(of))
    return of->fits.refusals;
  if (wanted->length == 0)
    return ONE(MAPFILE_OK) | of->fits.refusals;
  if (place != UINT64_MAX && place + wanted->length <= of->reaches.good)
    return ONE(MAPFILE_OK);
  statuses errors = of->reaches.then;
  if (errors != 0 && wanted->length > 1)
    errors |= later_statuses(of);
  if (place == UINT64_MAX)
    return errors | none;
  return errors | (found == EQUAL ? ONE(MAPFILE_OK) : 0);
}

/* After an error all was searched up to there: each place in it certainly differs. */
static void look_at_searched(lane *in, const range *of, const needle *wanted, uint64_t place, uint64_t got) {
  uint64_t most = place == UINT64_MAX || wanted->length == 0 ? of->fits.there : place + wanted->length - 1;
  EXPECT(in, got <= most, "%" PRIu64 " bytes were searched, but only %" PRIu64 " can be, and %" PRIu64 " read", got,
         most, of->reaches.good);
}

void step_find(lane *in, world *on, uint64_t *random) {
  opened *one = draw_opened(on, random);
  uint64_t at = 77, got = UINT64_MAX, place = UINT64_MAX;
  enum place found = DIFFERS;
  char more[40];
  if (one == NULL)
    return;
  range of = draw_range(in, on, one, random);
  needle wanted = draw_needle(in, &of, random);
  if (!is_nowhere(&of))
    place = wanted.length > 0 ? find_place(&of, &wanted, &found) : 0;
  snprintf(more, sizeof more, ", %zu bytes", wanted.length);
  call_range(in, on, "mapfile_find", &of, more);
  mapfile_status status = mapfile_find(one->file, of.offset, of.length, wanted.bytes, wanted.length, &at, &got);
  ended(in, status, find_statuses(&of, &wanted, place, found));
  uint64_t expected = status == MAPFILE_OK ? of.offset + place : 77;
  EXPECT(in, at == expected, "found at %" PRIu64 ", not at %" PRIu64, at, expected);
  if (status != MAPFILE_OK)
    look_at_searched(in, &of, &wanted, place, got);
  free(wanted.bytes);
}

/*
 * Comparing
 */

void step_compare(lane *in, world *on, uint64_t *random) {
  opened *one = draw_opened(on, random);
  if (one == NULL)
    return;
  range of = draw_buffer_range(in, on, one, random);
  size_t length = (size_t)of.length, got = SIZE_MAX;
  uint64_t differs = UINT64_MAX;
  int order = 77, expected = 0;
  unsigned char *buffer = allocate(in, length);
  memset(buffer, 'x', length);
  if (of.reaches.good > 0)
    memcpy(buffer, bytes_of(&of), (size_t)of.reaches.good);
  if (of.reaches.good > 0 && !draw_one_in(random, 3)) {
    differs = draw_below(random, of.reaches.good);
    buffer[differs] ^= (unsigned char)(1 + draw_below(random, 255));
    expected = bytes_of(&of)[differs] < buffer[differs] ? -1 : 1;
  }
  call_range(in, on, "mapfile_compare", &of, differs != UINT64_MAX ? ", with a difference" : "");
  mapfile_status status = mapfile_compare(one->file, of.offset, buffer, length, &order, &got);
  ended(in, status, differs != UINT64_MAX ? ONE(MAPFILE_OK) | of.fits.refusals : range_statuses(&of));
  if (status == MAPFILE_OK) {
    EXPECT(in, (order > 0) - (order < 0) == expected, "the order is %d, not %d", order, expected);
    expect_count(in, &of, got, differs != UINT64_MAX ? differs : of.fits.there);
  } else {
    EXPECT(in, order == 77, "the call failed, and yet the order was set");
    expect_no_more(in, &of, got);
  }
  free(buffer);
}

/*
 * Walking
 */

typedef struct walk {
  lane *in;
  const range *of;
  uint64_t next;        /* where the next piece must begin */
  uint64_t finished;    /* bytes of the pieces that came to their end */
  size_t longest;       /* of a piece; 0: any */
  unsigned pieces_left; /* then the walk is stopped */
  bool stopped;
  unsigned char *buffer;
} walk;

/* A piece may be left in the middle, where a page cannot be reached: what counts is stored last. */
static mapfile_status MAPFILE_CALL look_at_piece(void *argument, const void *data, size_t length, uint64_t offset) {
  walk *over = argument;
  const range *of = over->of;
  const volatile unsigned char *bytes = data;
  EXPECT(over->in, offset == over->next, "a piece begins at %" PRIu64 ", not at %" PRIu64, offset, over->next);
  EXPECT(over->in, length > 0 && length <= of->offset + of->fits.there - offset, "a piece has %zu bytes", length);
  EXPECT(over->in, over->longest == 0 || length <= over->longest, "a piece has %zu bytes, allowed are %zu", length,
         over->longest);
  for (size_t at = 0; at < length; at++)
    over->buffer[at] = bytes[at];
  /* Behind the file's end, in its last page, nothing is promised. */
  uint64_t size = of->one->of->size, there = offset < size ? size - offset : 0;
  size_t known = there < length ? (size_t)there : length;
  EXPECT(over->in, memcmp(over->buffer, disk_at(of->one->of, offset), known) == 0,
         "the piece of %zu bytes at %" PRIu64 " holds other bytes", length, offset);
  if (over->pieces_left-- == 0) {
    over->stopped = true;
    return MAPFILE_CANCELLED;
  }
  over->next = offset + length;
  over->finished += length;
  return MAPFILE_OK;
}

static size_t draw_piece(uint64_t *random) {
  const size_t choices[] = {
      0, 0, 1, page_size, page_size + 1, 3 * page_size, SIZE_MAX, (size_t)draw_below(random, 100000)};
  return choices[draw_below(random, sizeof choices / sizeof choices[0])];
}

static void look_at_walk(lane *in, const walk *over, uint64_t got) {
  const range *of = over->of;
  uint64_t size = of->one->of->size, there = size > of->offset ? size - of->offset : 0;
  bool cut = over->finished > there && got == there;
  EXPECT(in, got == over->finished || cut,
         "%" PRIu64 " bytes were done, but the pieces that were finished had %" PRIu64, got, over->finished);
  expect_no_more(in, of, got);
  if (!over->stopped && of->reaches.then == 0)
    expect_count(in, of, got, of->fits.there);
  /* All whole pieces before a bad page were to be had. */
  if (!over->stopped && over->longest > 0)
    EXPECT(in, got + over->longest >= of->reaches.good,
           "%" PRIu64 " bytes were done, though %" PRIu64 " can be read in pieces of %zu", got, of->reaches.good,
           over->longest);
}

void step_scan(lane *in, world *on, uint64_t *random) {
  static const flag_name flag_names[] = {{MAPFILE_SCAN_COPY, "COPY"}, {MAPFILE_SCAN_ONCE, "ONCE"}, {0, NULL}};
  opened *one = draw_opened(on, random);
  uint64_t got = UINT64_MAX;
  char more[60];
  if (one == NULL)
    return;
  range of = draw_range(in, on, one, random);
  size_t piece = draw_piece(random);
  uint32_t flags = (uint32_t)draw_below(random, draw_one_in(random, 30) ? 8 : 4);
  walk over = {.in = in, .of = &of, .next = of.offset, .pieces_left = UINT_MAX};
  if (piece > 0 && piece <= SIZE_MAX / 4)
    over.longest = (size_t)page_up(piece);
  if (draw_one_in(random, 4))
    over.pieces_left = (unsigned)draw_below(random, 4);
  over.buffer = allocate(in, (size_t)of.fits.there);
  snprintf(more, sizeof more, ", pieces of %zu, %s%s", piece, flags_text(flags, flag_names, "0"),
           over.pieces_left < UINT_MAX ? ", to be stopped" : "");
  call_range(in, on, "mapfile_scan", &of, more);
  mapfile_status status = mapfile_scan(one->file, of.offset, of.length, piece, flags, look_at_piece, &over, &got);
  statuses allowed = over.stopped ? ONE(MAPFILE_CANCELLED) : range_statuses(&of);
  if (flags > (MAPFILE_SCAN_COPY | MAPFILE_SCAN_ONCE))
    allowed = ONE(MAPFILE_INVALID);
  ended(in, status, allowed);
  if (status != MAPFILE_INVALID)
    look_at_walk(in, &over, got);
  free(over.buffer);
}

/*
 * Sending
 */

enum receiver { TO_FILE, TO_APPENDED, TO_PIPE, TO_READ_ONLY, TO_NOTHING };

static const char *const receiver_names[] = {", a file", ", a file, appending", ", a pipe", ", a file to be read",
                                             ", -1"};

static enum receiver draw_receiver(uint64_t *random) {
  switch (draw_below(random, 20)) {
  case 0:
    return TO_READ_ONLY;
  case 1:
    return TO_NOTHING;
  default:
    return (enum receiver)draw_below(random, TO_READ_ONLY);
  }
}

typedef struct sending {
  enum receiver to;
  intptr_t native, other; /* other: a pipe's end to be read */
  char path[320];
} sending;

/* A file of the lane's own, emptied. */
static void open_receiver(lane *in, const world *on, sending *of) {
  static const unsigned ways[] = {PLATFORM_READ | PLATFORM_WRITE, PLATFORM_WRITE | PLATFORM_APPEND, 0, PLATFORM_READ};
  uint64_t size;
  intptr_t ends[2];
  of->native = of->other = -1;
  snprintf(of->path, sizeof of->path, "%s/received-%u", on->folder, in->number);
  if (of->to == TO_NOTHING)
    return;
  if (of->to == TO_PIPE) {
    EXPECT(in, platform_pipe(ends), "there is no pipe for the test");
    of->other = ends[0];
    of->native = ends[1];
    return;
  }
  bool made = platform_size(of->path, &size) ? platform_set_size(of->path, 0) : platform_make(of->path);
  of->native = made ? platform_open(of->path, ways[of->to]) : -1;
  EXPECT(in, of->native >= 0, "there is no file to send to");
}

/* Did it get these bytes and no more? */
static bool received(const sending *of, const unsigned char *wanted, size_t length, unsigned char *buffer) {
  uint64_t size = 0;
  if (of->to == TO_PIPE) {
    size_t got = 0;
    while (got < length) {
      int64_t more = platform_handle_read(of->other, buffer + got, length - got);
      if (more <= 0)
        return false;
      got += (size_t)more;
    }
    return length == 0 || memcmp(buffer, wanted, length) == 0;
  }
  if (!platform_size(of->path, &size) || size != length)
    return false;
  return length == 0 || (platform_read(of->path, 0, buffer, length) && memcmp(buffer, wanted, length) == 0);
}

static void close_receiver(const sending *of) {
  if (of->native >= 0)
    platform_close(of->native);
  if (of->other >= 0)
    platform_close(of->other);
}

static statuses send_statuses(const range *of, enum receiver to) {
  bool refuses = to == TO_READ_ONLY || to == TO_NOTHING;
  if (is_nowhere(of))
    return of->fits.refusals;
  if (refuses && of->reaches.good > 0)
    return ONE(MAPFILE_DENIED);
  return range_statuses(of) | (refuses ? ONE(MAPFILE_DENIED) : 0) | (to == TO_PIPE ? ONE(MAPFILE_BUSY) : 0);
}

void step_send(lane *in, world *on, uint64_t *random) {
  opened *one = draw_opened(on, random);
  sending to = {.to = draw_receiver(random)};
  uint64_t got = UINT64_MAX;
  if (one == NULL)
    return;
  range of = draw_range(in, on, one, random);
  open_receiver(in, on, &to);
  call_range(in, on, "mapfile_send", &of, receiver_names[to.to]);
  mapfile_status status = mapfile_send(one->file, of.offset, of.length, to.native, &got);
  ended(in, status, send_statuses(&of, to.to));
  expect_no_more(in, &of, got);
  /* What is full does not find out that there would be nothing more to send. */
  bool more = got < of.reaches.good || (of.reaches.then & ONE(MAPFILE_TRUNCATED)) != 0;
  if (status == MAPFILE_BUSY)
    EXPECT(in, more && got > 0, "the pipe was full after %" PRIu64 " bytes", got);
  else if (status != MAPFILE_DENIED)
    expect_count(in, &of, got, of.reaches.good);
  unsigned char *buffer = allocate(in, (size_t)got);
  if (to.to != TO_NOTHING && to.to != TO_READ_ONLY)
    EXPECT(in, received(&to, is_nowhere(&of) ? NULL : bytes_of(&of), (size_t)got, buffer), "other bytes were received");
  free(buffer);
  close_receiver(&to);
}
