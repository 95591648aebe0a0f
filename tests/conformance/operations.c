/*
 * operations.c - whole operations: reading, finding, comparing, scanning and sending, with and without faults.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sizes on both sides of where the library changes its way of doing things. */
static const uint64_t sizes[] = {1, 4095, 70001, 1 << 20, 5000011};
enum { SIZES = sizeof sizes / sizeof sizes[0], LARGEST = 5000011 };

static unsigned char *room(size_t size) {
  unsigned char *bytes = malloc(size + 1);
  if (bytes == NULL)
    conf_not_testable("there is not enough memory");
  return bytes;
}

/* The page that is bad in a damaged file begins here. */
static uint64_t middle(uint64_t size) {
  return (size / 2 + conf_page - 1) / conf_page * conf_page;
}

/* whole-read */

static void read_ranges(void) {
  unsigned char *buffer = room(LARGEST);
  uint64_t state = 5;
  for (unsigned s = 0; s < SIZES; s++) {
    mapfile *file = conf_open(conf_make("file", sizes[s]), 0);
    for (int i = 0; i < 60; i++) {
      uint64_t offset = conf_random(&state) % (sizes[s] + 1);
      size_t most = (size_t)(sizes[s] - offset), done = 1;
      size_t length = i == 0 ? most : (size_t)(conf_random(&state) % ((i % 2 == 0 ? most : most % 9000) + 1));
      memset(buffer, 0xee, length + 1);
      EXPECT_STATUS(mapfile_read(file, offset, buffer, length, &done), MAPFILE_OK);
      EXPECT_UINT(done, length);
      EXPECT(conf_is_pattern(buffer, length, offset));
      EXPECT_UINT(buffer[length], 0xee);
    }
    conf_close(file);
  }
  free(buffer);
}

static void read_past_end(void) {
  unsigned char buffer[5000];
  mapfile *file = conf_open(conf_make("file", 4100), 0);
  size_t done = 1;
  EXPECT_STATUS(mapfile_read(file, 100, buffer, 5000, &done), MAPFILE_END);
  EXPECT_UINT(done, 4000);
  EXPECT(conf_is_pattern(buffer, 4000, 100));
  EXPECT_STATUS(mapfile_read(file, 4100, buffer, 1, &done), MAPFILE_END);
  EXPECT_UINT(done, 0);
  EXPECT_STATUS(mapfile_read(file, 4100, buffer, 0, &done), MAPFILE_OK);
  EXPECT_STATUS(mapfile_read(file, 9999, buffer, 10, &done), MAPFILE_END);
  EXPECT_UINT(done, 0);
  EXPECT_STATUS(mapfile_read(file, 0, buffer, 4100, NULL), MAPFILE_OK);
  conf_close(file);
}

/* The bytes before the failure are there, and their number is told. */
static void read_damaged(void) {
  static const uint64_t cuts[] = {0, 1, 100, 4096, 4097, 65536, 200000};
  unsigned char *buffer = room(300000);
  for (unsigned i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
    const char *path = conf_make("file", 300000);
    mapfile *file = conf_open(path, 0);
    mapfile_view view = MAPFILE_VIEW_INIT;
    size_t done = 1;
    uint64_t good = cuts[i];
    conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
    if (conf_faulty == CONF_REAL) {
      conf_truncate(path, good);
    } else {
      EXPECT_STATUS(mapfile_inject(file, good, MAPFILE_TO_END, MAPFILE_TRUNCATED), MAPFILE_OK);
      good -= good % conf_page;
    }
    EXPECT_STATUS(mapfile_read(file, 0, buffer, 300000, &done), MAPFILE_TRUNCATED);
    EXPECT_UINT(done, good);
    EXPECT(conf_is_pattern(buffer, done, 0));
    if (good >= 10) {
      EXPECT_STATUS(mapfile_read(file, good - 10, buffer, 20, &done), MAPFILE_TRUNCATED);
      EXPECT_UINT(done, 10);
      EXPECT_STATUS(mapfile_read(file, good - 10, buffer, 10, &done), MAPFILE_OK);
    }
    EXPECT_STATUS(mapfile_read(file, 250000, buffer, 10, &done), MAPFILE_TRUNCATED);
    EXPECT_UINT(done, 0);
    conf_unpin(&view);
    conf_close(file);
  }
  free(buffer);
}

static void read_causes(void) {
  static const mapfile_status causes[] = {MAPFILE_TRUNCATED, MAPFILE_IO, MAPFILE_NO_SPACE, MAPFILE_POISONED};
  unsigned char buffer[100];
  const uint64_t bad = 12 * conf_page + 848;
  mapfile *file = conf_open(conf_make("file", 2 * bad), 0);
  for (unsigned i = 0; i < sizeof causes / sizeof causes[0]; i++) {
    size_t done = 1;
    uint64_t found = 0, far = 0;
    int order = 0;
    EXPECT_STATUS(mapfile_inject(file, bad, 1, causes[i]), MAPFILE_OK);
    EXPECT_STATUS(mapfile_read(file, bad, buffer, 100, &done), causes[i]);
    EXPECT_STATUS(mapfile_compare(file, bad, buffer, 100, &order, &done), causes[i]);
    EXPECT_STATUS(mapfile_find(file, bad, 100, "x", 1, &found, &far), causes[i]);
    EXPECT_STATUS(mapfile_read(file, 0, buffer, 100, &done), MAPFILE_OK);
    EXPECT_STATUS(mapfile_inject(file, 0, MAPFILE_TO_END, MAPFILE_OK), MAPFILE_OK);
    EXPECT_STATUS(mapfile_read(file, bad, buffer, 100, &done), MAPFILE_OK);
    EXPECT(conf_is_pattern(buffer, 100, bad));
  }
  conf_close(file);
}

/* whole-find */

static void expect_found(mapfile *file, uint64_t offset, uint64_t length, const void *needle, size_t size,
                         uint64_t wanted) {
  uint64_t found = UINT64_MAX, done = 0;
  mapfile_status status = mapfile_find(file, offset, length, needle, size, &found, &done);
  if (status != MAPFILE_OK || found != wanted)
    conf_broken(__FILE__, __LINE__, "%zu bytes from %llu on: %s, found at %llu, wanted %llu", size,
                (unsigned long long)offset, conf_status_name(status), (unsigned long long)found,
                (unsigned long long)wanted);
}

static void expect_not_found(mapfile *file, uint64_t offset, uint64_t length, const void *needle, size_t size) {
  uint64_t found = UINT64_MAX, done = UINT64_MAX;
  EXPECT_STATUS(mapfile_find(file, offset, length, needle, size, &found, &done), MAPFILE_NOT_FOUND);
  EXPECT_UINT(found, UINT64_MAX);
}

static void find_at(mapfile *file, uint64_t at, size_t size) {
  static unsigned char needle[200];
  conf_pattern(needle, size, at);
  expect_found(file, 0, MAPFILE_TO_END, needle, size, at);
  expect_found(file, at, size, needle, size, at);
  expect_not_found(file, at, size - 1, needle, size);
  expect_not_found(file, at + 1, MAPFILE_TO_END, needle, size);
}

/* Needles that lie across every border at which a search may go on with another piece, by one byte and by all but one,
   in files whose pattern does not repeat. */
static void find_everywhere(void) {
  for (unsigned s = 1; s < SIZES; s++) {
    mapfile *file = conf_open(conf_make("file", sizes[s]), 0);
    unsigned char absent[20];
    find_at(file, 0, 20);
    find_at(file, 1, 200);
    find_at(file, sizes[s] - 20, 20);
    find_at(file, sizes[s] - 200, 200);
    for (uint64_t border = 4096; border + 200 < sizes[s]; border *= 2) {
      static const size_t lengths[] = {12, 20, 200};
      for (unsigned l = 0; l < 3; l++) {
        find_at(file, border - 1, lengths[l]);
        find_at(file, border - lengths[l] + 1, lengths[l]);
        find_at(file, border - lengths[l] / 2, lengths[l]);
      }
    }
    conf_pattern(absent, 20, sizes[s] + 5);
    expect_not_found(file, 0, MAPFILE_TO_END, absent, 20);
    conf_close(file);
  }
}

static void find_edges(void) {
  uint64_t found = 0, done = 0;
  static const char text[] = "aaabaaabaaaabaaac";
  mapfile *file = conf_open(conf_make_bytes("file", text, sizeof text - 1), 0);
  expect_found(file, 0, MAPFILE_TO_END, "aaaab", 5, 8);
  expect_found(file, 1, MAPFILE_TO_END, "aaab", 4, 4);
  expect_found(file, 0, MAPFILE_TO_END, "c", 1, 16);
  expect_found(file, 3, MAPFILE_TO_END, "b", 1, 3);
  expect_found(file, 4, MAPFILE_TO_END, "b", 1, 7);
  expect_found(file, 0, MAPFILE_TO_END, text, sizeof text - 1, 0);
  expect_not_found(file, 0, MAPFILE_TO_END, text, sizeof text);
  expect_not_found(file, 0, 16, "c", 1);
  expect_not_found(file, 17, MAPFILE_TO_END, "c", 1);
  expect_found(file, 17, 0, "", 0, 17);
  expect_found(file, 5, MAPFILE_TO_END, "", 0, 5);
  EXPECT_STATUS(mapfile_find(file, 0, 18, "zz", 2, &found, &done), MAPFILE_END);
  EXPECT_UINT(done, 17);
  EXPECT_STATUS(mapfile_find(file, 0, 18, "c", 1, &found, NULL), MAPFILE_OK);
  EXPECT_STATUS(mapfile_find(file, 18, 1, "c", 1, &found, &done), MAPFILE_END);
  EXPECT_STATUS(mapfile_find(file, 0, MAPFILE_TO_END, "zz", 2, &found, &done), MAPFILE_NOT_FOUND);
  EXPECT_UINT(done, 17);
  conf_close(file);
}

/* A needle longer than any piece. */
static void find_long_needle(void) {
  const size_t size = 1500000;
  unsigned char *needle = room(size);
  mapfile *file = conf_open(conf_make("file", LARGEST), 0);
  const uint64_t places[] = {0, 1, 777777, LARGEST - size};
  for (unsigned i = 0; i < 4; i++) {
    conf_pattern(needle, size, places[i]);
    expect_found(file, 0, MAPFILE_TO_END, needle, size, places[i]);
    needle[size - 1] ^= 1;
    expect_not_found(file, 0, MAPFILE_TO_END, needle, size);
  }
  conf_close(file);
  free(needle);
}

static void find_against_naive(void) {
  enum { SIZE = 30000 };
  static unsigned char bytes[SIZE];
  uint64_t state = 17;
  for (int i = 0; i < SIZE; i++)
    bytes[i] = (unsigned char)(conf_random(&state) % 3);
  mapfile *file = conf_open(conf_make_bytes("file", bytes, SIZE), 0);
  for (int i = 0; i < 300; i++) {
    uint64_t offset = conf_random(&state) % SIZE;
    uint64_t length = conf_random(&state) % (SIZE - offset + 1);
    unsigned char needle[12];
    size_t size = 1 + (size_t)(conf_random(&state) % 12);
    for (size_t n = 0; n < size; n++)
      needle[n] = (unsigned char)(conf_random(&state) % 3);
    uint64_t wanted = UINT64_MAX;
    for (uint64_t at = offset; length >= size && at <= offset + length - size && wanted == UINT64_MAX; at++)
      if (memcmp(bytes + at, needle, size) == 0)
        wanted = at;
    if (wanted == UINT64_MAX)
      expect_not_found(file, offset, length, needle, size);
    else
      expect_found(file, offset, length, needle, size, wanted);
  }
  conf_close(file);
}

/* What lies before the failure is found; what does not is an error with the bytes that were searched. */
static void find_damaged(void) {
  for (unsigned s = 2; s < SIZES; s++) {
    unsigned char needle[50];
    uint64_t found = 0, done = 0, bad = middle(sizes[s]);
    const char *path = conf_make("file", sizes[s]);
    mapfile *file = conf_open(path, 0);
    if (conf_faulty == CONF_REAL)
      conf_truncate(path, bad);
    else
      EXPECT_STATUS(mapfile_inject(file, bad, 1, MAPFILE_TRUNCATED), MAPFILE_OK);
    conf_pattern(needle, 50, bad - 50);
    expect_found(file, 0, MAPFILE_TO_END, needle, 50, bad - 50);
    conf_pattern(needle, 50, bad - 10);
    EXPECT_STATUS(mapfile_find(file, 0, MAPFILE_TO_END, needle, 50, &found, &done), MAPFILE_TRUNCATED);
    EXPECT(done <= bad && done + 50 > bad);
    EXPECT_STATUS(mapfile_find(file, 77, MAPFILE_TO_END, needle, 50, &found, &done), MAPFILE_TRUNCATED);
    EXPECT(done <= bad - 77 && done + 77 + 50 > bad);
    EXPECT_STATUS(mapfile_find(file, bad, MAPFILE_TO_END, needle, 50, &found, &done), MAPFILE_TRUNCATED);
    EXPECT_UINT(done, 0);
    if (conf_faulty == CONF_INJECTED && bad + conf_page + 50 <= sizes[s]) {
      conf_pattern(needle, 50, bad + conf_page);
      expect_found(file, bad + conf_page, MAPFILE_TO_END, needle, 50, bad + conf_page);
    }
    conf_close(file);
  }
}

/* The file ends in the middle of a page: behind the cut a map shows zeros that are no bytes of the file. */
static void find_beyond_cut(void) {
  for (unsigned s = 2; s < SIZES; s++) {
    static const unsigned char zeros[16];
    uint64_t found = UINT64_MAX, done = 0, cut = sizes[s] - 1000;
    unsigned char *buffer = room((size_t)sizes[s]);
    int order = 7;
    size_t equal = 0;
    const char *path = conf_make("file", sizes[s]);
    mapfile *file = conf_open(path, 0);
    mapfile_view view = MAPFILE_VIEW_INIT;
    conf_pin(file, 0, 10, MAPFILE_ANY, &view);
    conf_truncate(path, cut);
    EXPECT_STATUS(mapfile_find(file, 0, MAPFILE_TO_END, zeros, 16, &found, &done), MAPFILE_TRUNCATED);
    EXPECT_UINT(found, UINT64_MAX);
    EXPECT(done <= cut);
    conf_pattern(buffer, (size_t)sizes[s], 0);
    EXPECT_STATUS(mapfile_compare(file, 0, buffer, (size_t)sizes[s], &order, &equal), MAPFILE_TRUNCATED);
    EXPECT_UINT(equal, cut);
    EXPECT_STATUS(mapfile_read(file, 0, buffer, (size_t)sizes[s], &equal), MAPFILE_TRUNCATED);
    EXPECT_UINT(equal, cut);
    conf_unpin(&view);
    conf_close(file);
    free(buffer);
  }
}

/* The same, and the page behind the cut is bad for another reason: what lies between is still no byte of the file. */
static void find_between_cut_and_bad_page(void) {
  const mapfile_status causes[] = {MAPFILE_IO, MAPFILE_CHANGED, MAPFILE_POISONED};
  uint64_t bad = 3 * conf_page, cut = bad - 1000, from = conf_page + 7;
  unsigned char *buffer = room((size_t)(8 * conf_page));
  for (unsigned i = 0; i < 3; i++) {
    uint64_t found = UINT64_MAX, done = 0;
    int order = 7;
    size_t equal = 0;
    const char *path = conf_make("file", 8 * conf_page);
    mapfile *file = conf_open(path, 0);
    EXPECT_STATUS(mapfile_inject(file, bad, 1, causes[i]), MAPFILE_OK);
    conf_truncate(path, cut);
    EXPECT_STATUS(mapfile_find(file, from, MAPFILE_TO_END, "not there", 9, &found, &done), MAPFILE_TRUNCATED);
    EXPECT(done <= cut - from && done + 9 > cut - from);
    EXPECT_UINT(found, UINT64_MAX);
    EXPECT_STATUS(mapfile_find(file, cut + 1, MAPFILE_TO_END, "not there", 9, &found, &done), MAPFILE_TRUNCATED);
    EXPECT_UINT(done, 0);
    conf_pattern(buffer, (size_t)(8 * conf_page), 0);
    EXPECT_STATUS(mapfile_compare(file, 0, buffer, (size_t)(8 * conf_page), &order, &equal), MAPFILE_TRUNCATED);
    EXPECT_UINT(equal, cut);
    conf_close(file);
  }
  free(buffer);
}

/* whole-compare */

static void compare_all(void) {
  unsigned char *buffer = room(LARGEST);
  for (unsigned s = 0; s < SIZES; s++) {
    size_t size = (size_t)sizes[s], done = 0;
    mapfile *file = conf_open(conf_make("file", size), 0);
    int order = 9;
    conf_pattern(buffer, size, 0);
    EXPECT_STATUS(mapfile_compare(file, 0, buffer, size, &order, &done), MAPFILE_OK);
    EXPECT(order == 0);
    EXPECT_UINT(done, size);
    const size_t places[] = {0, size / 3, size - 1};
    for (unsigned p = 0; p < 3; p++) {
      unsigned char right = buffer[places[p]];
      buffer[places[p]] = (unsigned char)(right + 0x80);
      EXPECT_STATUS(mapfile_compare(file, 0, buffer, size, &order, &done), MAPFILE_OK);
      EXPECT(right < buffer[places[p]] ? order < 0 : order > 0);
      EXPECT_UINT(done, places[p]);
      buffer[places[p]] = right;
    }
    conf_close(file);
  }
  free(buffer);
}

static void compare_edges(void) {
  mapfile *file = conf_open(conf_make_bytes("file", "\x7f\x80zz", 4), 0);
  int order = 9;
  size_t done = 9;
  EXPECT_STATUS(mapfile_compare(file, 0, "\x80", 1, &order, &done), MAPFILE_OK);
  EXPECT(order < 0 && done == 0);
  EXPECT_STATUS(mapfile_compare(file, 1, "\x7f", 1, &order, &done), MAPFILE_OK);
  EXPECT(order > 0 && done == 0);
  EXPECT_STATUS(mapfile_compare(file, 2, "zzz", 3, &order, &done), MAPFILE_END);
  EXPECT_UINT(done, 2);
  EXPECT_STATUS(mapfile_compare(file, 2, "zy", 2, &order, NULL), MAPFILE_OK);
  EXPECT(order > 0);
  EXPECT_STATUS(mapfile_compare(file, 4, "", 0, &order, &done), MAPFILE_OK);
  EXPECT(order == 0 && done == 0);
  conf_close(file);
}

static void compare_damaged(void) {
  unsigned char *buffer = room(LARGEST);
  for (unsigned s = 2; s < SIZES; s++) {
    size_t size = (size_t)sizes[s], done = 0, bad = (size_t)middle(size);
    const char *path = conf_make("file", size);
    mapfile *file = conf_open(path, 0);
    int order = 9;
    conf_pattern(buffer, size, 0);
    if (conf_faulty == CONF_REAL)
      conf_truncate(path, bad);
    else
      EXPECT_STATUS(mapfile_inject(file, bad, 1, MAPFILE_TRUNCATED), MAPFILE_OK);
    EXPECT_STATUS(mapfile_compare(file, 0, buffer, size, &order, &done), MAPFILE_TRUNCATED);
    EXPECT_UINT(done, bad);
    EXPECT(order == 9);
    /* A difference before the failure settles it. */
    buffer[bad - 1] ^= 1;
    EXPECT_STATUS(mapfile_compare(file, 0, buffer, size, &order, &done), MAPFILE_OK);
    EXPECT_UINT(done, bad - 1);
    EXPECT(order != 0 && order != 9);
    conf_close(file);
  }
  free(buffer);
}

/* whole-scan */

typedef struct walk {
  uint64_t next, calls, longest, stop_after;
  mapfile_status word;
  uint64_t finished;
} walk;

static mapfile_status MAPFILE_CALL take_chunk(void *argument, const void *data, size_t length, uint64_t offset) {
  walk *progress = argument;
  EXPECT_UINT(offset, progress->next);
  EXPECT(length > 0);
  EXPECT(conf_is_pattern(data, length, offset));
  progress->next += length;
  progress->calls++;
  if (length > progress->longest)
    progress->longest = length;
  if (progress->stop_after != 0 && progress->calls >= progress->stop_after)
    return progress->word;
  progress->finished = progress->next;
  return MAPFILE_OK;
}

static void scan_all(void) {
  static const uint32_t flags[] = {0, MAPFILE_SCAN_COPY, MAPFILE_SCAN_ONCE, MAPFILE_SCAN_COPY | MAPFILE_SCAN_ONCE};
  static const size_t pieces[] = {0, 1, 4096, 5000, 100000, SIZE_MAX};
  for (unsigned s = 0; s < SIZES; s++) {
    mapfile *file = conf_open(conf_make("file", sizes[s]), 0);
    for (unsigned f = 0; f < 4; f++)
      for (unsigned p = 0; p < 6; p++)
        for (uint64_t from = 0; from < sizes[s]; from += sizes[s] / 2 + 1) {
          walk progress = {.next = from};
          uint64_t done = 1;
          EXPECT_STATUS(mapfile_scan(file, from, MAPFILE_TO_END, pieces[p], flags[f], take_chunk, &progress, &done),
                        MAPFILE_OK);
          EXPECT_UINT(done, sizes[s] - from);
          EXPECT_UINT(progress.next, sizes[s]);
          if (pieces[p] != 0 && pieces[p] < SIZE_MAX)
            EXPECT(progress.longest <= (pieces[p] + conf_page - 1) / conf_page * conf_page);
        }
    conf_close(file);
  }
}

static void scan_stops(void) {
  static const mapfile_status words[] = {MAPFILE_CANCELLED, MAPFILE_UNKNOWN, MAPFILE_END, 12345, -7};
  mapfile *file = conf_open(conf_make("file", 100 * conf_page + 5), 0);
  for (unsigned w = 0; w < 5; w++)
    for (uint32_t copy = 0; copy <= MAPFILE_SCAN_COPY; copy += MAPFILE_SCAN_COPY) {
      walk progress = {.next = 3, .stop_after = 4, .word = words[w]};
      uint64_t done = 1;
      EXPECT_STATUS(mapfile_scan(file, 3, MAPFILE_TO_END, 5 * conf_page, copy, take_chunk, &progress, &done), words[w]);
      EXPECT_UINT(progress.calls, 4);
      EXPECT_UINT(done, progress.finished - 3);
    }
  conf_close(file);
}

static void scan_past_end(void) {
  mapfile *file = conf_open(conf_make("file", 100000), 0);
  walk progress = {.next = 500};
  uint64_t done = 1;
  EXPECT_STATUS(mapfile_scan(file, 500, 100000, 0, 0, take_chunk, &progress, &done), MAPFILE_END);
  EXPECT_UINT(done, 99500);
  progress = (walk){.next = 100000};
  EXPECT_STATUS(mapfile_scan(file, 100000, 0, 0, 0, take_chunk, &progress, &done), MAPFILE_OK);
  EXPECT_UINT(progress.calls, 0);
  EXPECT_STATUS(mapfile_scan(file, 100001, MAPFILE_TO_END, 0, 0, take_chunk, &progress, &done), MAPFILE_END);
  EXPECT_UINT(progress.calls + done, 0);
  conf_close(file);
}

static mapfile_status MAPFILE_CALL take_careful_chunk(void *argument, const void *data, size_t length,
                                                      uint64_t offset) {
  walk *progress = argument;
  EXPECT_UINT(offset, progress->next);
  progress->calls++;
  EXPECT(conf_is_pattern(data, length, offset));
  progress->next += length;
  return MAPFILE_OK;
}

static void scan_damaged(void) {
  for (unsigned s = 2; s < SIZES; s++)
    for (uint32_t flags = 0; flags < 4; flags++) {
      uint64_t bad = middle(sizes[s]), done = 1;
      walk progress = {.next = 0};
      const char *path = conf_make("file", sizes[s]);
      mapfile *file = conf_open(path, 0);
      if (conf_faulty == CONF_REAL)
        conf_truncate(path, bad);
      else
        EXPECT_STATUS(mapfile_inject(file, bad, 1, MAPFILE_TRUNCATED), MAPFILE_OK);
      EXPECT_STATUS(mapfile_scan(file, 0, MAPFILE_TO_END, conf_page, flags, take_careful_chunk, &progress, &done),
                    MAPFILE_TRUNCATED);
      EXPECT_UINT(done, bad);
      EXPECT_UINT(progress.next, bad);
      conf_close(file);
    }
}

static mapfile_status MAPFILE_CALL hold_lock(void *argument, const void *data, size_t length, uint64_t offset) {
  walk *progress = argument;
  (void)offset;
  progress->calls++;
  bool right = conf_is_pattern(data, length, offset);
  progress->calls--;
  progress->next += length;
  return right ? MAPFILE_OK : MAPFILE_INVALID;
}

static mapfile_status MAPFILE_CALL take_any_chunk(void *argument, const void *data, size_t length, uint64_t offset) {
  const mapfile_status *word = argument;
  (void)data, (void)length, (void)offset;
  return *word;
}

/* What lies between a cut within a page and a bad page is no byte of the file. */
static void scan_between_cut_and_bad_page(void) {
  const char *path = conf_make("file", 8 * conf_page);
  mapfile *file = conf_open(path, 0);
  mapfile_status go_on = MAPFILE_OK;
  uint64_t done = 0;
  EXPECT_STATUS(mapfile_inject(file, 3 * conf_page, 1, MAPFILE_IO), MAPFILE_OK);
  conf_truncate(path, 3 * conf_page - 1000);
  for (uint32_t flags = 0; flags < 4; flags++) {
    EXPECT_STATUS(mapfile_scan(file, 7, MAPFILE_TO_END, conf_page, flags, take_any_chunk, &go_on, &done),
                  MAPFILE_TRUNCATED);
    EXPECT(done <= 3 * conf_page - 1007 && done >= 2 * conf_page - 7);
  }
  /* The word of the callback stays what it is. */
  const mapfile_status words[] = {MAPFILE_IO, MAPFILE_CANCELLED};
  for (unsigned w = 0; w < 2; w++) {
    mapfile_status word = words[w];
    EXPECT_STATUS(mapfile_scan(file, 7, MAPFILE_TO_END, conf_page, 0, take_any_chunk, &word, &done), word);
    EXPECT_UINT(done, 0);
  }
  conf_close(file);
}

/* With SCAN_COPY the callback is never left by a jump, whatever fails. */
static void scan_copy_never_jumps(void) {
  const char *path = conf_make("file", 1000000);
  mapfile *file = conf_open(path, 0);
  walk progress = {.next = 0};
  uint64_t done = 1, bad = middle(1000000);
  if (conf_faulty == CONF_REAL)
    conf_truncate(path, bad);
  else
    EXPECT_STATUS(mapfile_inject(file, bad, 1, MAPFILE_TRUNCATED), MAPFILE_OK);
  EXPECT_STATUS(mapfile_scan(file, 0, MAPFILE_TO_END, 0, MAPFILE_SCAN_COPY, hold_lock, &progress, &done),
                MAPFILE_TRUNCATED);
  EXPECT_UINT(progress.calls, 0);
  EXPECT_UINT(progress.next, done);
  EXPECT_UINT(done, bad);
  conf_close(file);
}

/* Scans within scans, and scopes within scans. */
static mapfile_status MAPFILE_CALL scan_again(void *argument, const void *data, size_t length, uint64_t offset) {
  conf_damaged *one = argument;
  walk progress = {.next = offset};
  conf_expect_fault(one->file, &one->view, one->data + one->bad + 5, one->bad + 5);
  EXPECT_STATUS(mapfile_scan(one->file, offset, length, conf_page, 0, take_chunk, &progress, NULL), MAPFILE_OK);
  EXPECT(conf_is_pattern(data, length, offset));
  return MAPFILE_OK;
}

static void scan_within_scan(void) {
  conf_damaged one;
  uint64_t done = 0;
  conf_damage(&one, "file", 40, 30, conf_live());
  EXPECT_STATUS(mapfile_scan(one.file, 0, one.bad, 4 * conf_page, 0, scan_again, &one, &done), MAPFILE_OK);
  EXPECT_UINT(done, one.bad);
  conf_undamage(&one);
}

/* whole-send */

static void send_to_file(void) {
  for (unsigned s = 0; s < SIZES; s++) {
    unsigned char *buffer = room((size_t)sizes[s] + 3);
    mapfile *file = conf_open(conf_make("file", sizes[s]), 0);
    intptr_t sink = conf_handle_open(conf_path("sink"), CONF_WRITE | CONF_ANEW);
    uint64_t done = 1;
    EXPECT(conf_handle_write(sink, "###", 3) == 3);
    EXPECT_STATUS(mapfile_send(file, 0, MAPFILE_TO_END, sink, &done), MAPFILE_OK);
    EXPECT_UINT(done, sizes[s]);
    EXPECT_UINT(conf_handle_position(sink), sizes[s] + 3);
    EXPECT_UINT(conf_file_size(conf_path("sink")), sizes[s] + 3);
    conf_read_bytes(conf_path("sink"), 0, buffer, (size_t)sizes[s] + 3);
    EXPECT(memcmp(buffer, "###", 3) == 0 && conf_is_pattern(buffer + 3, (size_t)sizes[s], 0));
    EXPECT_STATUS(mapfile_send(file, sizes[s] - 1, 5, sink, &done), MAPFILE_END);
    EXPECT_UINT(done, 1);
    EXPECT_STATUS(mapfile_send(file, sizes[s], MAPFILE_TO_END, sink, &done), MAPFILE_OK);
    EXPECT_UINT(done, 0);
    conf_handle_close(sink);
    conf_close(file);
    free(buffer);
  }
}

typedef struct drain {
  intptr_t handle;
  uint64_t offset, taken;
} drain;

static void take_all(void *argument) {
  drain *work = argument;
  unsigned char buffer[7777];
  int64_t got;
  while ((got = conf_handle_read(work->handle, buffer, sizeof buffer)) > 0) {
    EXPECT(conf_is_pattern(buffer, (size_t)got, work->offset + work->taken));
    work->taken += (uint64_t)got;
  }
}

static void send_through(const intptr_t ends[2], uint64_t size) {
  mapfile *file = conf_open(conf_make("file", size), 0);
  drain work = {ends[0], 11, 0};
  conf_thread thread;
  uint64_t done = 1;
  conf_thread_start(&thread, take_all, &work, 0);
  EXPECT_STATUS(mapfile_send(file, 11, MAPFILE_TO_END, ends[1], &done), MAPFILE_OK);
  EXPECT_UINT(done, size - 11);
  conf_handle_close(ends[1]);
  conf_thread_join(&thread);
  EXPECT_UINT(work.taken, size - 11);
  conf_handle_close(ends[0]);
  conf_close(file);
}

static void send_to_pipe(void) {
  intptr_t ends[2];
  conf_pipe(ends);
  send_through(ends, 3000000);
  if (!conf_sockets(ends))
    conf_not_testable("there are no sockets that can be written to as files");
  send_through(ends, 3000000);
}

/* A receiver that does not wait: go on where it stopped. */
static void send_nonblocking(void) {
  enum { SIZE = 1000000 };
  intptr_t ends[2];
  mapfile *file = conf_open(conf_make("file", SIZE), 0);
  unsigned char buffer[50000];
  uint64_t sent = 0, taken = 0;
  bool was_busy = false;
  conf_pipe(ends);
  if (!conf_do_not_wait(ends[1]))
    conf_not_testable("every pipe waits");
  while (sent < SIZE) {
    uint64_t done = UINT64_MAX;
    mapfile_status status = mapfile_send(file, sent, SIZE - sent, ends[1], &done);
    EXPECT(done <= SIZE - sent);
    sent += done;
    if (status == MAPFILE_OK) {
      EXPECT_UINT(sent, SIZE);
    } else {
      EXPECT_STATUS(status, MAPFILE_BUSY);
      was_busy = true;
      int64_t got = conf_handle_read(ends[0], buffer, sizeof buffer);
      EXPECT(got > 0 && conf_is_pattern(buffer, (size_t)got, taken));
      taken += (uint64_t)got;
    }
  }
  conf_handle_close(ends[1]);
  for (int64_t got; (got = conf_handle_read(ends[0], buffer, sizeof buffer)) > 0; taken += (uint64_t)got)
    EXPECT(conf_is_pattern(buffer, (size_t)got, taken));
  EXPECT_UINT(taken, SIZE);
  EXPECT(was_busy);
  conf_handle_close(ends[0]);
  conf_close(file);
}

static void send_refused(void) {
  mapfile *file = conf_open(conf_make("file", 100000), 0);
  uint64_t done = 1;
  intptr_t ends[2];
  intptr_t reading = conf_handle_open(conf_make("other", 10), CONF_READ);
  EXPECT_STATUS(mapfile_send(file, 0, MAPFILE_TO_END, reading, &done), MAPFILE_DENIED);
  EXPECT_UINT(done, 0);
  conf_handle_close(reading);
  EXPECT_ONE_OF(mapfile_send(file, 0, MAPFILE_TO_END, reading, &done), MAPFILE_INVALID, MAPFILE_DENIED);
  EXPECT_ONE_OF(mapfile_send(file, 0, MAPFILE_TO_END, -1, &done), MAPFILE_INVALID, MAPFILE_DENIED);
  intptr_t full = conf_full_device();
  if (full != -1) {
    EXPECT_STATUS(mapfile_send(file, 0, MAPFILE_TO_END, full, &done), MAPFILE_NO_SPACE);
    EXPECT(conf_is_error(mapfile_native_error(), CONF_NO_SPACE));
    EXPECT_UINT(done, 0);
    conf_handle_close(full);
  }
  conf_ignore_broken_pipes();
  conf_pipe(ends);
  conf_handle_close(ends[0]);
  mapfile_status status = mapfile_send(file, 0, MAPFILE_TO_END, ends[1], &done);
  EXPECT(status != MAPFILE_OK);
  EXPECT(conf_is_error(mapfile_native_error(), CONF_NO_READER));
  EXPECT_UINT(done, 0);
  conf_handle_close(ends[1]);
  conf_close(file);
}

static void send_damaged(void) {
  static const uint64_t cuts[] = {0, 100, 4096, 65536, 300000};
  for (unsigned i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
    static unsigned char buffer[400000];
    uint64_t good = cuts[i], done = 1;
    const char *path = conf_make("file", 400000);
    mapfile *file = conf_open(path, 0);
    intptr_t sink = conf_handle_open(conf_path("sink"), CONF_WRITE | CONF_ANEW);
    if (conf_faulty == CONF_REAL) {
      conf_truncate(path, good);
    } else {
      EXPECT_STATUS(mapfile_inject(file, good, MAPFILE_TO_END, MAPFILE_TRUNCATED), MAPFILE_OK);
      good -= good % conf_page;
    }
    EXPECT_STATUS(mapfile_send(file, 0, MAPFILE_TO_END, sink, &done), MAPFILE_TRUNCATED);
    EXPECT_UINT(done, good);
    EXPECT_UINT(conf_file_size(conf_path("sink")), good);
    conf_read_bytes(conf_path("sink"), 0, buffer, (size_t)good);
    EXPECT(conf_is_pattern(buffer, (size_t)good, 0));
    conf_handle_close(sink);
    conf_close(file);
  }
}

static mapfile_status touch_other(void *argument, const void *data, size_t length, uint64_t offset) {
  conf_damaged *other = argument;
  volatile unsigned char byte;
  (void)data;
  (void)length;
  if (offset > 0)
    byte = other->data[other->bad];
  (void)byte;
  return MAPFILE_OK;
}

typedef struct scans {
  conf_damaged *other;
  mapfile *file;
  uint32_t flags;
} scans;

static mapfile_status scan_and_touch(void *argument, const void *data, size_t length, uint64_t offset) {
  const scans *what = argument;
  (void)data;
  (void)length;
  (void)offset;
  return mapfile_scan(what->file, 0, MAPFILE_TO_END, conf_page, what->flags, touch_other, what->other, NULL);
}

static mapfile_status scan_twice(void *argument) {
  const scans *what = argument;
  return mapfile_scan(what->file, 0, MAPFILE_TO_END, 0, what->flags, scan_and_touch, argument, NULL);
}

/* What a callback touches faults in a scope outside the scan, and outside the scan around that: nothing of either is
   left behind. */
static void scan_left_by_outer(void) {
  static const uint32_t flags[] = {0, MAPFILE_SCAN_COPY, MAPFILE_SCAN_ONCE, MAPFILE_SCAN_COPY | MAPFILE_SCAN_ONCE};
  conf_damaged one;
  conf_damage(&one, "other", 6, 3, conf_live());
  mapfile *file = conf_open(conf_make("file", 9 << 20), 0);
  for (unsigned f = 0; f < sizeof flags / sizeof flags[0]; f++) {
    scans what = {&one, file, flags[f]};
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
    EXPECT_STATUS(mapfile_try(one.file, &one.view, scan_twice, &what, &fault), MAPFILE_UNKNOWN);
    EXPECT(fault.file == one.file);
    EXPECT_UINT(fault.offset, one.bad);
    EXPECT_STATUS(mapfile_stats(file, &counts), MAPFILE_OK);
    EXPECT_UINT(counts.pinned_views, 0);
    EXPECT_UINT(counts.maps, 0);
  }
  conf_close(file);
  conf_undamage(&one);
}

#define N CONF_NO_FAULTS
#define BOTH(promise, name, meaning, run)                                                                       \
  {promise, name, meaning, CONF_ANY, CONF_REAL, run}, {promise, name, meaning, CONF_ANY, CONF_INJECTED, run}, { \
    promise, name, meaning, CONF_ANY, CONF_IN_PAGE, run                                                         \
  }

static const conf_case table[] = {
    {"whole-read", "ranges", "Reading gives the wrong bytes.", CONF_ANY, N, read_ranges},
    {"whole-read", "past-end", "Reading past the end is not told.", CONF_ANY, N, read_past_end},
    BOTH("whole-read", "damaged", "Reading a file that fails gives wrong bytes or a wrong count.", read_damaged),
    {"whole-read", "causes", "The cause of a failed operation is reported wrongly.", CONF_ANY, CONF_INJECTED,
     read_causes},
    {"whole-find", "everywhere", "Bytes that are there are not found.", CONF_ANY, N, find_everywhere},
    {"whole-find", "edges", "Searching goes wrong at the edges of its range.", CONF_ANY, N, find_edges},
    {"whole-find", "long-needle", "Long strings are not found.", CONF_ANY, N, find_long_needle},
    {"whole-find", "against-naive", "Searching finds another place than the first.", CONF_ANY, N, find_against_naive},
    BOTH("whole-find", "damaged", "Searching a file that fails hides what was found, or the failure.", find_damaged),
    {"whole-find", "beyond-cut", "Bytes are found that the file does not have.", CONF_ANY, CONF_REAL, find_beyond_cut},
    {"whole-scan", "cut-and-bad-page", "Pieces are counted that the file does not have.", CONF_ANY, CONF_INJECTED,
     scan_between_cut_and_bad_page},
    {"whole-find", "cut-and-bad-page", "Bytes are searched that the file does not have.", CONF_ANY, CONF_INJECTED,
     find_between_cut_and_bad_page},
    {"whole-compare", "all", "Comparing gives a wrong answer.", CONF_ANY, N, compare_all},
    {"whole-compare", "edges", "Comparing gives a wrong order.", CONF_ANY, N, compare_edges},
    BOTH("whole-compare", "damaged", "Comparing with a file that fails gives a wrong answer.", compare_damaged),
    {"whole-scan", "all", "A scan leaves bytes out or hands them over twice.", CONF_ANY, N, scan_all},
    {"whole-scan", "stops", "A scan cannot be stopped, or loses the reason.", CONF_ANY, N, scan_stops},
    {"whole-scan", "past-end", "A scan past the end is not told.", CONF_ANY, N, scan_past_end},
    BOTH("whole-scan", "damaged", "A scan of a file that fails hands over wrong bytes or a wrong count.", scan_damaged),
    BOTH("whole-scan", "copy-never-jumps", "A callback that holds a lock is left by a jump.", scan_copy_never_jumps),
    {"whole-scan", "within-scan", "Scans and scopes within a scan disturb it.", CONF_ANY, CONF_INJECTED,
     scan_within_scan},
    {"whole-scan", "left-by-outer-scope", "A scan that a fault of other data ends holds on to its map for ever.",
     CONF_MAPPED, CONF_INJECTED, scan_left_by_outer},
    {"whole-send", "file", "Sending to a file writes the wrong bytes.", CONF_ANY, N, send_to_file},
    {"whole-send", "pipe", "Sending to a pipe or socket writes the wrong bytes.", CONF_ANY, N, send_to_pipe},
    {"whole-send", "nonblocking", "Sending to a descriptor that does not block loses bytes.", CONF_ANY, N,
     send_nonblocking},
    {"whole-send", "refused", "Errors of the receiver are reported wrongly.", CONF_ANY, N, send_refused},
    BOTH("whole-send", "damaged", "Sending a file that fails writes wrong bytes or a wrong count.", send_damaged),
};

CONF_GROUP(conf_operations, "whole operations");
