/*
 * writing.c - write-visible and write-error: what is written shows everywhere at once, and what cannot be written is
 * told, with the number of bytes that were.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conformance.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 64 * 1024, HOUR_MS = 3600 * 1000, TOUCHES = 4 };

static unsigned char *room(size_t size) {
  unsigned char *bytes = calloc(1, size + 1);
  if (bytes == NULL)
    conf_not_testable("there is not enough memory");
  return bytes;
}

static void fill(unsigned char *bytes, size_t length, uint64_t *random) {
  for (size_t at = 0; at < length; at++)
    bytes[at] = (unsigned char)conf_random(random);
}

static void write_all(mapfile *file, uint64_t offset, const void *bytes, size_t length) {
  size_t done = length + 1;
  EXPECT_STATUS(mapfile_write(file, offset, bytes, length, &done), MAPFILE_OK);
  EXPECT_UINT(done, length);
}

static void expect_size(mapfile *file, uint64_t wanted) {
  uint64_t size = UINT64_MAX;
  EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  EXPECT_UINT(size, wanted);
}

static void expect_pinned(mapfile *file, uint64_t offset, const void *bytes, size_t length, uint32_t flags) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, offset, length, flags, &view);
  EXPECT(length == 0 || memcmp(view.data, bytes, length) == 0);
  conf_unpin(&view);
}

/* By every way there is. */
static void expect_bytes(mapfile *file, uint64_t offset, const unsigned char *bytes, size_t length) {
  unsigned char *buffer = room(length);
  size_t done = 0;
  int order = 1;
  expect_pinned(file, offset, bytes, length, MAPFILE_ANY);
  expect_pinned(file, offset, bytes, length, MAPFILE_COPY);
  EXPECT_STATUS(mapfile_read(file, offset, buffer, length, &done), MAPFILE_OK);
  EXPECT(done == length && memcmp(buffer, bytes, length) == 0);
  EXPECT_STATUS(mapfile_compare(file, offset, bytes, length, &order, NULL), MAPFILE_OK);
  EXPECT(order == 0);
  free(buffer);
}

static void expect_in_file(const char *path, const unsigned char *bytes, size_t size) {
  unsigned char *buffer = room(size);
  EXPECT_UINT(conf_file_size(path), size);
  conf_read_bytes(path, 0, buffer, size);
  EXPECT(memcmp(buffer, bytes, size) == 0);
  free(buffer);
}

/*
 * write-visible
 */

/* Against a copy of the file in memory. */
static void everywhere(void) {
  enum { FIRST = 3 * WINDOW + 77, MOST = 9 * WINDOW, LONGEST = 2 * WINDOW, ROUNDS = 400 };
  unsigned char *wanted = room(MOST), *bytes = room(LONGEST);
  const char *path = conf_make("file", FIRST);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  mapfile_view live = MAPFILE_VIEW_INIT, copy = MAPFILE_VIEW_INIT;
  uint64_t random = 11, size = FIRST;
  conf_pattern(wanted, FIRST, 0);
  conf_pin(file, 0, FIRST, conf_live(), &live);
  conf_pin(file, 0, FIRST, MAPFILE_COPY, &copy);
  for (int i = 0; i < ROUNDS; i++) {
    size_t length = (size_t)(conf_random(&random) % (i % 4 == 0 ? LONGEST : 3000));
    uint64_t offset = conf_random(&random) % (i % 8 == 0 ? MOST - length : size);
    if (length > MOST - offset)
      length = (size_t)(MOST - offset);
    fill(bytes, length, &random);
    write_all(file, offset, bytes, length);
    memcpy(wanted + offset, bytes, length);
    size = length > 0 && offset + length > size ? offset + length : size;
    expect_size(file, size);
    if (offset <= size)
      expect_bytes(file, offset, wanted + offset, length);
    if (live.kind == MAPFILE_KIND_LIVE)
      EXPECT(memcmp(live.data, wanted, FIRST) == 0);
  }
  EXPECT(conf_is_pattern(copy.data, FIRST, 0));
  expect_bytes(file, 0, wanted, (size_t)size);
  expect_in_file(path, wanted, (size_t)size);
  conf_unpin(&live);
  conf_unpin(&copy);
  conf_close(file);
  free(wanted);
  free(bytes);
}

/* Longer, with views pinned at the old end. */
static void grows(void) {
  static const unsigned char text[] = "at the new end";
  uint64_t size = 2 * conf_page + 10, far = 40 * conf_page + 3;
  const char *path = conf_make("file", size);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  mapfile_view live = MAPFILE_VIEW_INIT, copy = MAPFILE_VIEW_INIT, none = MAPFILE_VIEW_INIT;
  uint64_t found = 0;
  conf_pin(file, 0, MAPFILE_TO_END, conf_live(), &live);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_COPY, &copy);
  write_all(file, size, text, sizeof text);
  expect_size(file, size + sizeof text);
  expect_bytes(file, size, text, sizeof text);
  write_all(file, far, text, sizeof text);
  expect_size(file, far + sizeof text);
  expect_bytes(file, far, text, sizeof text);
  EXPECT_STATUS(mapfile_find(file, size + sizeof text, MAPFILE_TO_END, text, sizeof text, &found, NULL), MAPFILE_OK);
  EXPECT_UINT(found, far);
  conf_pin(file, size + sizeof text, far - size - sizeof text, MAPFILE_ANY, &none);
  EXPECT(conf_is_zero(none.data, none.length));
  conf_unpin(&none);
  EXPECT(conf_is_pattern(live.data, live.length, 0) && conf_is_pattern(copy.data, copy.length, 0));
  EXPECT_UINT(conf_file_size(path), far + sizeof text);
  conf_unpin(&live);
  conf_unpin(&copy);
  /* Nothing is nothing, wherever it is. */
  write_all(file, 2 * far, NULL, 0);
  expect_size(file, far + sizeof text);
  EXPECT_UINT(conf_file_size(path), far + sizeof text);
  conf_close(file);
}

/* The size that is known is never below what was written, nor above what is there. */
static void size_as_it_is(void) {
  const char *path = conf_make("file", 100);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  conf_write_pattern(path, 100, 900);
  write_all(file, 50, "ab", 2);
  expect_size(file, 100);
  write_all(file, 100, "cd", 2);
  expect_size(file, 102);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_CHANGED);
  expect_size(file, 1000);
  conf_truncate(path, 10);
  write_all(file, 18, "ef", 2);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_TRUNCATED);
  expect_size(file, 20);
  expect_pinned(file, 10, "\0\0\0\0\0\0\0\0ef", 10, MAPFILE_ANY);
  EXPECT_STATUS(mapfile_resize(file, 5, 0), MAPFILE_OK);
  write_all(file, 6, "gh", 2);
  expect_size(file, 8);
  EXPECT_UINT(conf_file_size(path), 8);
  conf_close(file);
}

/* Whoever sees a byte sees what was written before it. */
typedef struct order {
  mapfile *file;
  mapfile_view view;
  unsigned char first, second; /* as they were seen */
} order;

enum { STEPS = 200, PASSES = 30 };

static void write_in_order(void *argument) {
  const order *of = argument;
  for (unsigned i = 1; i <= STEPS; i++) {
    unsigned char byte = (unsigned char)i;
    write_all(of->file, 5, &byte, 1);
    write_all(of->file, 3 * conf_page + 7, &byte, 1);
  }
}

static unsigned char see(const order *of, uint64_t offset) {
  unsigned char byte = 0;
  if (of->view.kind == MAPFILE_KIND_LIVE)
    return (unsigned char)conf_load((const char *)of->view.data + offset);
  EXPECT_STATUS(mapfile_read(of->file, offset, &byte, 1, NULL), MAPFILE_OK);
  return byte;
}

static void in_order(void) {
  order of = {.view = MAPFILE_VIEW_INIT};
  of.file = conf_open(conf_make("file", 4 * conf_page), MAPFILE_WRITE);
  conf_pin(of.file, 0, MAPFILE_TO_END, conf_live(), &of.view);
  for (int pass = 0; pass < PASSES; pass++) {
    conf_thread writer;
    write_all(of.file, 5, "", 1);
    write_all(of.file, 3 * conf_page + 7, "", 1);
    conf_thread_start(&writer, write_in_order, &of, 0);
    do {
      of.second = see(&of, 3 * conf_page + 7);
      of.first = see(&of, 5);
      EXPECT(of.first >= of.second);
    } while (of.second < STEPS);
    conf_thread_join(&writer);
  }
  conf_unpin(&of.view);
  conf_close(of.file);
}

static void by_others(void) {
  const char *path = conf_make("file", 3 * conf_page);
  mapfile *file = conf_open(path, MAPFILE_WRITE), *other = conf_open(path, 0);
  mapfile_view live = MAPFILE_VIEW_INIT;
  conf_pin(other, 0, MAPFILE_TO_END, conf_live(), &live);
  for (int i = 0; i < TOUCHES; i++)
    expect_pinned(other, 0, live.data, 100, MAPFILE_ANY);
  conf_wait_for_clock();
  write_all(file, 50, "other bytes", 11);
  expect_pinned(other, 50, "other bytes", 11, MAPFILE_ANY);
  if (live.kind == MAPFILE_KIND_LIVE)
    EXPECT(memcmp((const char *)live.data + 50, "other bytes", 11) == 0);
  EXPECT_STATUS(mapfile_check(other), MAPFILE_CHANGED);
  conf_unpin(&live);
  conf_close(other);
  conf_close(file);
}

/* A handle of the program's stays where it stood. */
static void by_handle(void) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file = NULL;
  const char *path = conf_make("file", 1000);
  intptr_t native = conf_handle_open(path, CONF_READ | CONF_WRITE);
  char start[10];
  EXPECT(native != -1 && conf_handle_read(native, start, sizeof start) == (int64_t)sizeof start);
  options.flags = MAPFILE_WRITE;
  options.access = conf_access;
  EXPECT_STATUS(mapfile_open_handle(native, &options, &file), MAPFILE_OK);
  write_all(file, 995, "0123456789", 10);
  expect_size(file, 1005);
  expect_pinned(file, 995, "0123456789", 10, MAPFILE_ANY);
  EXPECT_UINT(conf_handle_position(native), sizeof start);
  conf_close(file);
  conf_handle_close(native);
}

static void parked(void) {
  const char *path = conf_make("file", 1000);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  for (int i = 0; i < 3; i++) {
    char text[16];
    int length = snprintf(text, sizeof text, "parked %d", i);
    EXPECT_STATUS(mapfile_park(file), MAPFILE_OK);
    write_all(file, (uint64_t)(i * 500), text, (size_t)length);
    expect_pinned(file, (uint64_t)(i * 500), text, (size_t)length, MAPFILE_ANY);
  }
  conf_close(file);
}

/*
 * Windows of copied access, which nobody is asked about
 */

static mapfile *open_trusting(const char *path, uint64_t cache_bytes) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file = NULL;
  options.access = MAPFILE_ACCESS_COPIED;
  options.flags = MAPFILE_WRITE;
  options.cache_bytes = cache_bytes;
  options.revalidate_ms = HOUR_MS;
  EXPECT_STATUS(mapfile_open(path, &options, &file), MAPFILE_OK);
  return file;
}

static void warm(mapfile *file, uint64_t offset) {
  uint64_t loads = conf_stats(file).cache_loads;
  mapfile_view view = MAPFILE_VIEW_INIT;
  for (int i = 0; i < TOUCHES; i++) {
    conf_pin(file, offset, 10, MAPFILE_ANY, &view);
    conf_unpin(&view);
  }
  EXPECT(conf_stats(file).cache_loads > loads);
}

static void expect_kept(mapfile *file, uint64_t offset, size_t length, const unsigned char *bytes) {
  mapfile_statistics before = conf_stats(file);
  expect_pinned(file, offset, bytes, length, MAPFILE_ANY);
  EXPECT_UINT(conf_stats(file).cache_loads, before.cache_loads);
  EXPECT_UINT(conf_stats(file).cache_misses, before.cache_misses);
}

static void windows_written(void) {
  enum { WINDOWS = 6, SIZE = WINDOWS * WINDOW };
  unsigned char *wanted = room(SIZE), *bytes = room(SIZE);
  mapfile *file = open_trusting(conf_make("file", SIZE), 0);
  mapfile_view old = MAPFILE_VIEW_INIT;
  uint64_t random = 3;
  conf_pattern(wanted, SIZE, 0);
  for (unsigned i = 0; i < WINDOWS; i++)
    warm(file, i * WINDOW);
  conf_pin(file, WINDOW, WINDOW, MAPFILE_ANY, &old);
  EXPECT_UINT(conf_stats(file).copied_bytes, 0);
  /* One window; the border of two; all of two and the ends of their neighbours. */
  const uint64_t parts[][2] = {
      {WINDOW + 100, 50}, {3 * WINDOW - 5, 10}, {4 * WINDOW - 1, 1}, {WINDOW - 7, 2 * WINDOW + 14}};
  for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    uint64_t offset = parts[i][0];
    size_t length = (size_t)parts[i][1];
    fill(bytes, length, &random);
    memcpy(wanted + offset, bytes, length);
    write_all(file, offset, bytes, length);
    expect_pinned(file, offset, bytes, length, MAPFILE_ANY);
    expect_kept(file, 5 * WINDOW, WINDOW, wanted + 5 * WINDOW);
    if (i < 3)
      expect_kept(file, 0, WINDOW, wanted);
    for (int times = 0; times < TOUCHES; times++)
      for (unsigned at = 0; at < WINDOWS; at++)
        expect_pinned(file, at * WINDOW, wanted + at * WINDOW, WINDOW, MAPFILE_ANY);
  }
  EXPECT(conf_is_pattern(old.data, old.length, WINDOW));
  conf_unpin(&old);
  expect_bytes(file, 0, wanted, SIZE);
  conf_close(file);
  free(wanted);
  free(bytes);
}

/* The window that the file ended in holds more now; and so may all of them. */
static void windows_grown(void) {
  enum { MOST = 40 * WINDOW };
  static const uint64_t ends[] = {10, 100, 4096, 5000, WINDOW - 1, WINDOW + 1, 3 * WINDOW, 5 * WINDOW + 17, MOST};
  unsigned char *wanted = room(MOST);
  mapfile *file = open_trusting(conf_make("file", 7), 0);
  uint64_t size = 7;
  conf_pattern(wanted, MOST, 0);
  for (unsigned i = 0; i < sizeof ends / sizeof ends[0]; i++) {
    /* Every other time with a gap. */
    uint64_t from = i % 2 == 0 || ends[i] - 3 < size ? size : ends[i] - 3;
    for (int times = 0; times < TOUCHES; times++)
      expect_pinned(file, size - 1, wanted + size - 1, 1, MAPFILE_ANY);
    memset(wanted + size, 0, (size_t)(from - size));
    write_all(file, from, wanted + from, (size_t)(ends[i] - from));
    size = ends[i];
    for (int times = 0; times < TOUCHES; times++) {
      uint64_t length = size < 1000 ? size : 1000;
      expect_pinned(file, size - length, wanted + size - length, (size_t)length, MAPFILE_ANY);
      expect_pinned(file, size - 1, wanted + size - 1, 1, MAPFILE_ANY);
    }
    expect_kept(file, size - 1, 1, wanted + size - 1);
  }
  expect_bytes(file, 0, wanted, MOST);
  conf_close(file);
  free(wanted);
}

/* Of the window that the file ended in more can be kept, even if nothing was written to it. */
static void windows_behind_end(void) {
  enum { END = 20 * WINDOW + 100 };
  static const unsigned char none[1000];
  mapfile *file = open_trusting(conf_make("file", END), 0);
  warm(file, END - 10);
  write_all(file, END + 2 * WINDOW, "x", 1);
  for (int times = 0; times < TOUCHES; times++)
    expect_pinned(file, END, none, sizeof none, MAPFILE_ANY);
  expect_kept(file, END, sizeof none, none);
  conf_close(file);
}

/* While windows come and go nobody is shown less than what had been written when he asked. */
enum { READERS = 3, PLACES = 8, WRITES = 20000 };

typedef struct race {
  mapfile *file;
  atomic_uint begun[PLACES], ended[PLACES]; /* writes */
  atomic_uint readers, stop, judged;
  bool is_remote; /* the file system lies in another program, or another machine */
} race;

/* Linux lets such a file system show old bytes, to plain reads too that begin when the write has ended. */
static bool lies_elsewhere(const char *path) {
  char system[64];
  conf_file_system(path, system, sizeof system);
  return strncmp(system, "fuse", 4) == 0 || strncmp(system, "nfs", 3) == 0 || strncmp(system, "smb", 3) == 0;
}

static void read_newest(void *argument) {
  race *of = argument;
  uint64_t random = 77 + atomic_fetch_add(&of->readers, 1);
  while (atomic_load(&of->stop) == 0) {
    mapfile_view view = MAPFILE_VIEW_INIT;
    unsigned place = (unsigned)(conf_random(&random) % PLACES), before = atomic_load(&of->ended[place]);
    conf_pin(of->file, place * WINDOW / 2 + 9, 1, MAPFILE_ANY, &view);
    unsigned char byte = *(const volatile unsigned char *)view.data;
    unsigned after = atomic_load(&of->begun[place]);
    conf_unpin(&view);
    if (after - before >= 256)
      continue;
    atomic_fetch_add(&of->judged, 1);
    /* On such a file system it may be old, but only from before the write that came last. */
    unsigned allowed = of->is_remote ? 1 : 0;
    if ((unsigned char)(byte - before + allowed) > after - before + allowed)
      conf_broken(__FILE__, __LINE__, "a view shows write %u (of 256), when %u were done and %u begun", byte, before,
                  after);
  }
}

static void while_loading(void) {
  const char *path = conf_make("file", PLACES * WINDOW / 2);
  race of = {.file = open_trusting(path, 2 * WINDOW), .is_remote = lies_elsewhere(path)};
  conf_thread threads[READERS];
  const unsigned writes = (unsigned)conf_rounds(WRITES);
  uint64_t random = 5;
  for (unsigned place = 0; place < PLACES; place++)
    write_all(of.file, place * WINDOW / 2 + 9, "", 1);
  for (int i = 0; i < READERS; i++)
    conf_thread_start(&threads[i], read_newest, &of, 0);
  for (unsigned i = 0; i < writes || atomic_load(&of.judged) < writes; i++) {
    unsigned place = (unsigned)(conf_random(&random) % PLACES);
    unsigned char byte = (unsigned char)(atomic_fetch_add(&of.begun[place], 1) + 1);
    write_all(of.file, place * WINDOW / 2 + 9, &byte, 1);
    atomic_fetch_add(&of.ended[place], 1);
  }
  atomic_store(&of.stop, 1);
  for (int i = 0; i < READERS; i++)
    conf_thread_join(&threads[i]);
  EXPECT(conf_stats(of.file).cache_loads > 0);
  conf_close(of.file);
}

/*
 * Private views
 */

static void commit_all(const mapfile_view *view, size_t from, size_t length) {
  size_t done = length + 1;
  EXPECT_STATUS(mapfile_commit(view, from, length, &done), MAPFILE_OK);
  EXPECT_UINT(done, length);
}

static void commit_parts(uint32_t flags) {
  size_t size = (size_t)(6 * conf_page + 100), first = 77;
  unsigned char *wanted = room(size);
  const char *path = conf_make("file", size);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  mapfile_view own = MAPFILE_VIEW_INIT, live = MAPFILE_VIEW_INIT;
  conf_pattern(wanted, size, 0);
  conf_pin(file, first, MAPFILE_TO_END, flags, &own);
  conf_pin(file, 0, MAPFILE_TO_END, conf_live(), &live);
  EXPECT_UINT(own.kind, MAPFILE_KIND_PRIVATE);
  unsigned char *data = own.data;
  memset(data, 'a', 10);
  memset(data + 2 * conf_page, 'b', 3 * conf_page);
  data[own.length - 1] = 'c';
  expect_in_file(path, wanted, size);
  /* Of what was stored only a part, over a page's border. */
  commit_all(&own, (size_t)(3 * conf_page - 5), 10);
  memset(wanted + first + 3 * conf_page - 5, 'b', 10);
  expect_in_file(path, wanted, size);
  expect_bytes(file, 0, wanted, size);
  if (live.kind == MAPFILE_KIND_LIVE)
    EXPECT(memcmp(live.data, wanted, size) == 0);
  EXPECT(data[0] == 'a' && data[2 * conf_page] == 'b' && data[5 * conf_page - 1] == 'b');
  commit_all(&own, own.length, 0);
  expect_in_file(path, wanted, size);
  /* What others write where nothing is committed stays. */
  write_all(file, first, "others", 6);
  commit_all(&own, (size_t)(2 * conf_page), own.length - (size_t)(2 * conf_page));
  memcpy(wanted + first, "others", 6);
  memset(wanted + first + 2 * conf_page, 'b', 3 * conf_page);
  wanted[size - 1] = 'c';
  expect_in_file(path, wanted, size);
  EXPECT(data[0] == 'a' && data[9] == 'a');
  /* It can be stored to and committed again. */
  data[1] = 'd';
  commit_all(&own, 0, own.length);
  memcpy(wanted + first, "adaaaaaaaa", 10);
  expect_in_file(path, wanted, size);
  expect_bytes(file, 0, wanted, size);
  conf_unpin(&own);
  conf_unpin(&live);
  conf_close(file);
  free(wanted);
}

static void commits(void) {
  commit_parts(MAPFILE_PRIVATE);
  commit_parts(MAPFILE_PRIVATE | MAPFILE_COPY);
}

/*
 * write-error
 */

static void expect_refused(mapfile *file, uint64_t offset, const void *bytes, size_t length, mapfile_status wanted) {
  size_t done = 77;
  EXPECT_STATUS(mapfile_write(file, offset, bytes, length, &done), wanted);
  EXPECT_UINT(done, 0);
  EXPECT_UINT(mapfile_native_error(), 0);
}

static void expect_not_committed(const mapfile_view *view, size_t from, size_t length, mapfile_status wanted) {
  size_t done = 77;
  EXPECT_STATUS(mapfile_commit(view, from, length, &done), wanted);
  EXPECT_UINT(done, 0);
}

static void refused(void) {
  static const unsigned char bytes[10];
  const char *path = conf_make("file", 1000);
  mapfile *file = conf_open(path, MAPFILE_WRITE), *reader = conf_open(path, 0);
  mapfile *vowed = conf_open(path, MAPFILE_WRITE | MAPFILE_IMMUTABLE);
  expect_refused(NULL, 0, bytes, 10, MAPFILE_INVALID);
  expect_refused(file, 0, NULL, 10, MAPFILE_INVALID);
  expect_refused(file, UINT64_MAX - 9, bytes, 10, MAPFILE_INVALID);
  expect_refused(file, 0, bytes, SIZE_MAX, MAPFILE_INVALID);
  expect_refused(file, UINT64_MAX - 10, bytes, 10, MAPFILE_LIMIT);
  expect_refused(file, (uint64_t)INT64_MAX - 9, bytes, 10, MAPFILE_LIMIT);
  expect_refused(file, UINT64_MAX, bytes, 0, MAPFILE_LIMIT);
  expect_refused(reader, 0, bytes, 10, MAPFILE_DENIED);
  expect_refused(reader, 0, bytes, 0, MAPFILE_DENIED);
  expect_refused(vowed, 0, bytes, 10, MAPFILE_DENIED);
  EXPECT_STATUS(mapfile_write(file, 0, bytes, 0, NULL), MAPFILE_OK);
  conf_close(vowed);
  conf_close(reader);
  expect_size(file, 1000);
  conf_close(file);
  EXPECT_UINT(conf_file_size(path), 1000);
}

static void commit_refused(void) {
  const char *path = conf_make("file", 1000);
  mapfile *file = conf_open(path, MAPFILE_WRITE), *reader = conf_open(path, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  expect_not_committed(NULL, 0, 0, MAPFILE_INVALID);
  expect_not_committed(&view, 0, 0, MAPFILE_INVALID);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  expect_not_committed(&view, 0, 10, MAPFILE_INVALID);
  conf_unpin(&view);
  conf_pin(file, 500, MAPFILE_TO_END, MAPFILE_PRIVATE, &view);
  expect_not_committed(&view, 501, 0, MAPFILE_INVALID);
  expect_not_committed(&view, 491, 10, MAPFILE_INVALID);
  expect_not_committed(&view, 10, SIZE_MAX, MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_commit(&view, 0, 500, NULL), MAPFILE_OK);
  conf_unpin(&view);
  expect_not_committed(&view, 0, 10, MAPFILE_INVALID);
  conf_pin(reader, 0, MAPFILE_TO_END, MAPFILE_PRIVATE, &view);
  memset(view.data, 'x', 100);
  expect_not_committed(&view, 0, 100, MAPFILE_DENIED);
  conf_unpin(&view);
  conf_close(reader);
  conf_close(file);
  unsigned char start[100];
  conf_read_bytes(path, 0, start, sizeof start);
  EXPECT(conf_is_pattern(start, sizeof start, 0));
}

static void stream(void) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile *file = NULL;
  intptr_t ends[2];
  conf_pipe(ends);
  EXPECT(conf_handle_write(ends[1], "stream", 6) == 6);
  conf_handle_close(ends[1]);
  options.flags = MAPFILE_STREAM | MAPFILE_ADOPT;
  EXPECT_STATUS(mapfile_open_handle(ends[0], &options, &file), MAPFILE_OK);
  expect_refused(file, 0, "x", 1, MAPFILE_UNSUPPORTED);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_PRIVATE, &view);
  expect_not_committed(&view, 0, 6, MAPFILE_UNSUPPORTED);
  conf_unpin(&view);
  conf_close(file);
}

/* Up to the bad page, and not a byte further. */
static void injected(void) {
  static const mapfile_status causes[] = {MAPFILE_IO, MAPFILE_NO_SPACE, MAPFILE_TRUNCATED, MAPFILE_UNKNOWN};
  size_t size = (size_t)(8 * conf_page), bad = (size_t)(5 * conf_page), done;
  unsigned char *wanted = room(size), *bytes = room(size);
  for (unsigned i = 0; i < sizeof causes / sizeof causes[0]; i++) {
    const char *path = conf_make("file", size);
    mapfile *file = conf_open(path, MAPFILE_WRITE);
    mapfile_view own = MAPFILE_VIEW_INIT;
    conf_pattern(wanted, size, 0);
    memset(bytes, 'w', size);
    conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_PRIVATE, &own);
    EXPECT_STATUS(mapfile_inject(file, bad + 10, 1, causes[i]), MAPFILE_OK);
    EXPECT_STATUS(mapfile_write(file, 100, bytes, size - 100, &done), causes[i]);
    EXPECT_UINT(done, bad - 100);
    EXPECT_UINT(mapfile_native_error(), 0);
    memset(wanted + 100, 'w', bad - 100);
    expect_in_file(path, wanted, size);
    expect_refused(file, bad + 5, bytes, 10, causes[i]);
    EXPECT_STATUS(mapfile_commit(&own, bad - 3, 10, &done), causes[i]);
    EXPECT_UINT(done, 3);
    write_all(file, bad + conf_page, bytes, 10);
    memset(wanted + bad + conf_page, 'w', 10);
    EXPECT_STATUS(mapfile_inject(file, 0, MAPFILE_TO_END, MAPFILE_OK), MAPFILE_OK);
    write_all(file, bad, bytes, 10);
    memset(wanted + bad, 'w', 10);
    conf_unpin(&own);
    expect_bytes(file, 0, wanted, bad - 3);
    expect_bytes(file, bad, wanted + bad, size - bad);
    conf_close(file);
  }
  free(wanted);
  free(bytes);
}

/* What is to be written lies in a view, which fails in the middle. */
static void bad_source(void) {
  static const size_t starts[] = {0, 1, 4000};
  conf_damaged one;
  conf_damage(&one, "source", 6, 3, conf_live());
  for (unsigned i = 0; i < sizeof starts / sizeof starts[0]; i++) {
    size_t length = (size_t)one.bad - starts[i], done = 0;
    const char *path = conf_make("file", 10);
    mapfile *file = conf_open(path, MAPFILE_WRITE);
    unsigned char *bytes = room(length);
    EXPECT_STATUS(mapfile_write(file, 5, one.data + starts[i], (size_t)one.size - starts[i], &done), MAPFILE_TRUNCATED);
    EXPECT_UINT(done, length);
    expect_size(file, 5 + length);
    conf_read_bytes(path, 5, bytes, length);
    EXPECT(conf_is_pattern(bytes, length, starts[i]));
    EXPECT_STATUS(mapfile_write(file, 0, one.data + one.bad + 9, 10, &done), MAPFILE_TRUNCATED);
    EXPECT_UINT(done, 0);
    EXPECT_UINT(conf_file_size(path), 5 + length);
    free(bytes);
    conf_close(file);
  }
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

/* Memory that is nobody's. */
static void no_source(void) {
  const char *path = conf_make("file", 10);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  const unsigned char *page = conf_foreign_page("foreign");
  size_t done = 77;
  EXPECT_STATUS(mapfile_write(file, 0, page, 10, &done), MAPFILE_INVALID);
  EXPECT_UINT(done, 0);
  EXPECT(mapfile_native_error() != 0);
  EXPECT_UINT(conf_file_size(path), 10);
  conf_foreign_heal(page);
  write_all(file, 0, page, 10);
  conf_close(file);
}

/* The file was cut under a private view: what was never stored to is gone, and the rest is written. */
static void commit_cut(void) {
  size_t size = (size_t)(8 * conf_page), kept = (size_t)(3 * conf_page), done = 0;
  const char *path = conf_make("file", size);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  mapfile_view own = MAPFILE_VIEW_INIT;
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_PRIVATE, &own);
  memset((char *)own.data + conf_page, 'x', 10);
  conf_truncate(path, kept);
  EXPECT_STATUS(mapfile_commit(&own, 5, size - 5, &done), MAPFILE_TRUNCATED);
  EXPECT_UINT(done, kept - 5);
  EXPECT_UINT(conf_file_size(path), kept);
  unsigned char page[10];
  conf_read_bytes(path, conf_page, page, sizeof page);
  EXPECT(memcmp(page, "xxxxxxxxxx", 10) == 0);
  EXPECT_STATUS(mapfile_commit(&own, kept + 7, 10, &done), MAPFILE_TRUNCATED);
  EXPECT_UINT(done, 0);
  EXPECT_UINT(conf_file_size(path), kept);
  conf_unpin(&own);
  conf_close(file);
}

#define N CONF_NO_FAULTS

static const conf_case table[] = {
    {"write-visible", "everywhere", "What was written is not what is read.", CONF_ANY, N, everywhere},
    {"write-visible", "grows", "A file that is written to behind its end does not grow as it should.", CONF_ANY, N,
     grows},
    {"write-visible", "size", "After writing the known size is wrong.", CONF_ANY, N, size_as_it_is},
    {"write-visible", "in-order", "A later write is seen before an earlier one.", CONF_ANY, N, in_order},
    {"write-visible", "by-others", "Others do not see what was written.", CONF_ANY, N, by_others},
    {"write-visible", "by-handle", "Writing moves the position of the program's handle.", CONF_ANY, N, by_handle},
    {"write-visible", "parked", "A parked file cannot be written to.", CONF_ANY, N, parked},
    {"write-visible", "windows", "A copied view is older than what was written.", CONF_ONCE, N, windows_written},
    {"write-visible", "windows-grown", "A copied view misses what was appended.", CONF_ONCE, N, windows_grown},
    {"write-visible", "windows-behind-end", "What follows the old end of a file is read again and again.", CONF_ONCE, N,
     windows_behind_end},
    {"write-visible", "while-loading", "A copied view that is made while others write is older than it may be.",
     CONF_ONCE, N, while_loading},
    {"write-visible", "commit", "What is committed of a private view is not what comes into the file.", CONF_ANY, N,
     commits},
    {"write-error", "refused", "What must not be written is written, or refused for a wrong reason.", CONF_ANY, N,
     refused},
    {"write-error", "commit-refused", "What cannot be committed is committed, or refused for a wrong reason.", CONF_ANY,
     N, commit_refused},
    {"write-error", "stream", "A stream is written to.", CONF_ONCE, N, stream},
    {"write-error", "bad-target", "A test of recovery does not reach writing.", CONF_ANY, CONF_INJECTED, injected},
    CONF_BOTH("write-error", "bad-source", "Writing from a view whose file fails kills, or is not told.", bad_source),
    {"write-error", "no-source", "Writing from memory that cannot be read kills, or is not told.", CONF_ANY, N,
     no_source},
    {"write-error", "commit-cut", "Committing a view of a file that was cut kills, or is not told.", CONF_MAPPED,
     CONF_REAL, commit_cut},
};

CONF_GROUP(conf_writing, "writing");
