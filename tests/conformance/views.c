/*
 * views.c - the promises of views: where they may lie, how long they last, what they show.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* pin-anywhere */

static void pin_and_compare(mapfile *file, uint64_t offset, uint64_t length, uint32_t flags, uint64_t size) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  uint64_t wanted = length == MAPFILE_TO_END ? size - offset : length;
  conf_pin(file, offset, length, flags, &view);
  EXPECT_UINT(view.length, wanted);
  EXPECT(conf_is_pattern(view.data, view.length, offset));
  conf_unpin(&view);
}

static void unaligned(void) {
  uint64_t size = 3 * conf_page + 123;
  mapfile *file = conf_open(conf_make("file", size), 0);
  const uint64_t page = conf_page;
  const uint64_t edges[] = {0, 1, 2, 7, page - 1, page, page + 1, 2 * page - 3, 3 * page, 3 * page + 122, size};
  const size_t count = sizeof edges / sizeof edges[0];
  for (size_t from = 0; from < count; from++)
    for (size_t to = from; to < count; to++) {
      pin_and_compare(file, edges[from], edges[to] - edges[from], MAPFILE_ANY, size);
      pin_and_compare(file, edges[from], edges[to] - edges[from], MAPFILE_COPY, size);
      pin_and_compare(file, edges[from], edges[to] - edges[from], MAPFILE_PRIVATE, size);
      pin_and_compare(file, edges[from], edges[to] - edges[from], conf_live() | MAPFILE_VERIFY, size);
      pin_and_compare(file, edges[from], edges[to] - edges[from], MAPFILE_ZERO_FILL, size);
    }
  conf_close(file);
}

static void to_end(void) {
  uint64_t size = 5 * conf_page + 1;
  mapfile *file = conf_open(conf_make("file", size), 0);
  for (uint64_t offset = size - 3 * conf_page; offset <= size; offset += 111)
    pin_and_compare(file, offset, MAPFILE_TO_END, MAPFILE_ANY, size);
  pin_and_compare(file, size - 1, MAPFILE_TO_END, MAPFILE_ANY, size);
  pin_and_compare(file, size, MAPFILE_TO_END, MAPFILE_ANY, size);
  pin_and_compare(file, 0, MAPFILE_TO_END, MAPFILE_ANY, size);
  conf_close(file);
}

static void random_ranges(void) {
  static const uint32_t flags[] = {MAPFILE_ANY,     MAPFILE_COPY,      MAPFILE_VERIFY,
                                   MAPFILE_PRIVATE, MAPFILE_ZERO_FILL, MAPFILE_COPY | MAPFILE_VERIFY};
  uint64_t size = 300001, state = 88172645463325252u;
  mapfile *file = conf_open(conf_make("file", size), 0);
  for (int i = 0; i < 1000; i++) {
    uint64_t offset = conf_random(&state) % size;
    uint64_t most = conf_random(&state) % 4 == 0 ? size - offset : 100;
    uint64_t length = conf_random(&state) % ((most < size - offset ? most : size - offset) + 1);
    pin_and_compare(file, offset, length, flags[conf_random(&state) % 6], size);
  }
  conf_close(file);
}

/* The kind of a view is what was asked for. */
static void kinds(void) {
  mapfile *file = conf_open(conf_make("file", 100000), MAPFILE_WRITE);
  mapfile_view view = MAPFILE_VIEW_INIT;
  bool maps = conf_access == MAPFILE_ACCESS_MAPPED;
  conf_pin(file, 1, 1000, MAPFILE_ANY, &view);
  if (maps)
    EXPECT_UINT(view.kind, MAPFILE_KIND_LIVE);
  if (conf_access == MAPFILE_ACCESS_COPIED)
    EXPECT_UINT(view.kind, MAPFILE_KIND_COPIED);
  conf_unpin(&view);
  EXPECT_UINT(view.kind, MAPFILE_KIND_NONE);
  conf_pin(file, 1, 1000, MAPFILE_COPY, &view);
  EXPECT_UINT(view.kind, MAPFILE_KIND_COPIED);
  conf_unpin(&view);
  conf_pin(file, 1, 1000, MAPFILE_PRIVATE, &view);
  EXPECT(view.kind == MAPFILE_KIND_PRIVATE || (!maps && view.kind == MAPFILE_KIND_COPIED));
  conf_unpin(&view);
  if (conf_access == MAPFILE_ACCESS_COPIED) {
    EXPECT_STATUS(mapfile_pin(file, 0, 10, MAPFILE_LIVE, &view), MAPFILE_UNSUPPORTED);
    EXPECT_STATUS(mapfile_pin(file, 0, 10, MAPFILE_SHARED, &view), MAPFILE_UNSUPPORTED);
    EXPECT_UINT(view.kind, MAPFILE_KIND_NONE);
  } else {
    conf_pin(file, 1, 1000, MAPFILE_LIVE, &view);
    EXPECT_UINT(view.kind, MAPFILE_KIND_LIVE);
    conf_unpin(&view);
    conf_pin(file, 1, 1000, MAPFILE_SHARED, &view);
    EXPECT_UINT(view.kind, MAPFILE_KIND_LIVE);
    conf_unpin(&view);
  }
  conf_close(file);
}

/* Marks around 4 GiB and 5 GiB in a file that is a hole otherwise. */
static void far_offsets(void) {
  const uint64_t four = UINT64_C(1) << 32, size = UINT64_C(5) << 30;
  const uint64_t marks[] = {four - 3, four, four + 5, size - 1};
  if (conf_emulated() && sizeof(void *) == 4 && conf_access == MAPFILE_ACCESS_MAPPED)
    conf_not_testable("the emulator cuts the offset of a 32-bit program's map to 32 bits");
  const char *path = conf_make_sparse("sparse", size);
  for (size_t i = 0; i < 4; i++)
    conf_write_pattern(path, marks[i], 1);
  mapfile *file = conf_open(path, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  uint64_t known = 0;
  EXPECT_STATUS(mapfile_size(file, &known), MAPFILE_OK);
  EXPECT_UINT(known, size);
  for (size_t i = 0; i < 4; i++) {
    unsigned char byte = 0;
    conf_pin(file, marks[i], 1, MAPFILE_ANY, &view);
    EXPECT_UINT(conf_load(view.data), conf_byte(marks[i]));
    conf_unpin(&view);
    EXPECT_STATUS(mapfile_read(file, marks[i], &byte, 1, NULL), MAPFILE_OK);
    EXPECT_UINT(byte, conf_byte(marks[i]));
  }
  conf_pin(file, four - 100, 200, MAPFILE_ANY, &view);
  for (size_t i = 0; i < 200; i++) {
    uint64_t at = four - 100 + i;
    bool marked = at == marks[0] || at == marks[1] || at == marks[2];
    EXPECT_UINT(conf_load((const char *)view.data + i), marked ? conf_byte(at) : 0);
  }
  conf_unpin(&view);
  conf_pin(file, size - 1, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT_UINT(view.length, 1);
  conf_unpin(&view);
  EXPECT_STATUS(mapfile_pin(file, size - 1, 2, MAPFILE_ANY, &view), MAPFILE_END);
  /* An offset must not be cut to 32 bits. */
  EXPECT_STATUS(mapfile_pin(file, size + 10, 1, MAPFILE_ANY, &view), MAPFILE_END);
  conf_close(file);
}

static void whole_far_file(void) {
  const uint64_t size = UINT64_C(5) << 30;
  const char *path = conf_make_sparse("sparse", size);
  conf_write_pattern(path, size - 1, 1);
  if (sizeof(void *) < 8 || conf_hooked("small-host"))
    conf_not_testable("the file is larger than the address space");
  mapfile *file = conf_open(path, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  EXPECT_UINT(view.length, size);
  EXPECT_UINT(conf_load((const char *)view.data + (size - 1)), conf_byte(size - 1));
  conf_unpin(&view);
  conf_close(file);
}

static void many_views(void) {
  enum { COUNT = 200 };
  static mapfile_view views[COUNT];
  uint64_t size = 100000, state = 7;
  mapfile *file = conf_open(conf_make("file", size), 0);
  for (unsigned i = 0; i < COUNT; i++) {
    mapfile_view fresh = MAPFILE_VIEW_INIT;
    views[i] = fresh;
    uint64_t offset = conf_random(&state) % size;
    conf_pin(file, offset, conf_random(&state) % (size - offset), i % 3 == 0 ? MAPFILE_COPY : MAPFILE_ANY, &views[i]);
  }
  EXPECT_UINT(conf_stats(file).pinned_views, COUNT);
  for (unsigned i = 0; i < COUNT; i++)
    EXPECT(conf_is_pattern(views[i].data, views[i].length, views[i].offset));
  for (unsigned i = 0; i < COUNT; i++) {
    unsigned other = (i * 77) % COUNT;
    conf_unpin(&views[other]);
    unsigned next = ((i + 1) * 77) % COUNT;
    if (i + 1 < COUNT)
      EXPECT(conf_is_pattern(views[next].data, views[next].length, views[next].offset));
  }
  mapfile_statistics now = conf_stats(file);
  EXPECT_UINT(now.pinned_views, 0);
  EXPECT_UINT(now.copied_bytes, 0);
  conf_close(file);
}

/* What is written to a private view is seen there and nowhere else. */
static void private_views(void) {
  const char *path = conf_make("file", 20000);
  mapfile *file = conf_open(path, 0);
  mapfile_view one = MAPFILE_VIEW_INIT, other = MAPFILE_VIEW_INIT, plain = MAPFILE_VIEW_INIT;
  unsigned char bytes[20000];
  conf_pin(file, 50, 10000, MAPFILE_PRIVATE, &one);
  conf_pin(file, 50, 10000, MAPFILE_PRIVATE, &other);
  memset(one.data, 0x11, one.length);
  EXPECT(conf_is_pattern(other.data, other.length, 50));
  memset(other.data, 0x22, other.length);
  EXPECT_UINT(conf_load(one.data), 0x11);
  EXPECT_UINT(conf_load((char *)one.data + 9999), 0x11);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &plain);
  EXPECT(conf_is_pattern(plain.data, plain.length, 0));
  conf_unpin(&plain);
  conf_unpin(&one);
  conf_unpin(&other);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_PRIVATE, &one);
  EXPECT(conf_is_pattern(one.data, one.length, 0));
  conf_unpin(&one);
  conf_close(file);
  conf_read_bytes(path, 0, bytes, sizeof bytes);
  EXPECT(conf_is_pattern(bytes, sizeof bytes, 0));
}

/* Stores through a shared view reach the file and every live view of it. */
static void shared_views(void) {
  const char *path = conf_make("file", 20000);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  mapfile_view shared = MAPFILE_VIEW_INIT, live = MAPFILE_VIEW_INIT;
  unsigned char bytes[5];
  mapfile_status status = mapfile_pin(file, 777, 9000, MAPFILE_SHARED, &shared);
  if (status == MAPFILE_UNSUPPORTED)
    conf_differs("the file system has no writable maps (native error %lld)", (long long)mapfile_native_error());
  EXPECT_STATUS(status, MAPFILE_OK);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &live);
  memcpy((char *)shared.data + 4000, "store", 5);
  EXPECT(memcmp((char *)live.data + 4777, "store", 5) == 0);
  conf_read_bytes(path, 4777, bytes, 5);
  EXPECT(memcmp(bytes, "store", 5) == 0);
  conf_unpin(&shared);
  conf_unpin(&live);
  conf_close(file);
  conf_read_bytes(path, 4777, bytes, 5);
  EXPECT(memcmp(bytes, "store", 5) == 0);
}

static void shared_denied(void) {
  mapfile *file = conf_open(conf_make("file", 20000), 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  EXPECT_STATUS(mapfile_pin(file, 0, 10, MAPFILE_SHARED, &view), MAPFILE_DENIED);
  EXPECT_UINT(view.kind, MAPFILE_KIND_NONE);
  conf_close(file);
}

/* pin-past-end */

static void past_known_end(void) {
  uint64_t size = 2 * conf_page + 17;
  mapfile *file = conf_open(conf_make("file", size), 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  for (uint32_t verify = 0; verify <= MAPFILE_VERIFY; verify += MAPFILE_VERIFY) {
    conf_pin(file, size, 0, verify, &view);
    conf_unpin(&view);
    EXPECT_STATUS(mapfile_pin(file, size, 1, verify, &view), MAPFILE_END);
    EXPECT_STATUS(mapfile_pin(file, size + 1, 0, verify, &view), MAPFILE_END);
    EXPECT_STATUS(mapfile_pin(file, size + 1, MAPFILE_TO_END, verify, &view), MAPFILE_END);
    EXPECT_STATUS(mapfile_pin(file, 0, size + 1, verify, &view), MAPFILE_END);
    EXPECT_STATUS(mapfile_pin(file, size - 1, 2, verify, &view), MAPFILE_END);
    EXPECT_STATUS(mapfile_pin(file, UINT64_C(1) << 40, 1, verify, &view), MAPFILE_END);
    EXPECT_UINT(view.kind, MAPFILE_KIND_NONE);
  }
  EXPECT_UINT(conf_stats(file).pinned_views, 0);
  conf_close(file);
}

static void past_end_after_growth(void) {
  uint64_t size = conf_page + 5, more = 9 * conf_page, known = 0;
  const char *path = conf_make("file", size);
  mapfile *file = conf_open(path, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_write_pattern(path, size, (size_t)(more - size));
  EXPECT_STATUS(mapfile_pin(file, size, 1, MAPFILE_ANY, &view), MAPFILE_END);
  pin_and_compare(file, 0, MAPFILE_TO_END, MAPFILE_ANY, size);
  pin_and_compare(file, size - 3, more - size, MAPFILE_VERIFY, more);
  EXPECT_STATUS(mapfile_size(file, &known), MAPFILE_OK);
  EXPECT_UINT(known, more);
  pin_and_compare(file, 0, MAPFILE_TO_END, MAPFILE_ANY, more);
  conf_write_pattern(path, more, 100);
  EXPECT_STATUS(mapfile_pin(file, more, 100, MAPFILE_ANY, &view), MAPFILE_END);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_CHANGED);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_OK);
  pin_and_compare(file, more, 100, MAPFILE_ANY, more + 100);
  conf_close(file);
}

static void past_end_after_shrinking(void) {
  uint64_t size = 9 * conf_page, less = 2 * conf_page + 9, known = 0;
  const char *path = conf_make("file", size);
  mapfile *file = conf_open(path, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_truncate_elsewhere(path, less);
  EXPECT_STATUS(mapfile_size(file, &known), MAPFILE_OK);
  EXPECT_UINT(known, size);
  EXPECT_STATUS(mapfile_pin(file, 0, size, MAPFILE_VERIFY, &view), MAPFILE_END);
  pin_and_compare(file, 3, MAPFILE_TO_END, MAPFILE_VERIFY, less);
  EXPECT_STATUS(mapfile_size(file, &known), MAPFILE_OK);
  EXPECT_UINT(known, less);
  EXPECT_STATUS(mapfile_pin(file, less, 1, MAPFILE_ANY, &view), MAPFILE_END);
  conf_truncate(path, 10);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_TRUNCATED);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_OK);
  EXPECT_STATUS(mapfile_pin(file, 10, 1, MAPFILE_ANY, &view), MAPFILE_END);
  pin_and_compare(file, 0, MAPFILE_TO_END, MAPFILE_ANY, 10);
  conf_close(file);
}

/* Without VERIFY a copy of bytes that are gone is TRUNCATED: nothing is made up. */
static void copy_of_what_is_gone(void) {
  uint64_t size = 9 * conf_page, less = 2 * conf_page + 9;
  const char *path = conf_make("file", size);
  mapfile *file = conf_open(path, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_truncate(path, less);
  EXPECT_STATUS(mapfile_pin(file, 0, size, MAPFILE_COPY, &view), MAPFILE_TRUNCATED);
  EXPECT_STATUS(mapfile_pin(file, less - 1, 2, MAPFILE_COPY, &view), MAPFILE_TRUNCATED);
  EXPECT_STATUS(mapfile_pin(file, 8 * conf_page, 1, MAPFILE_COPY, &view), MAPFILE_TRUNCATED);
  EXPECT_UINT(view.kind, MAPFILE_KIND_NONE);
  pin_and_compare(file, 1, less - 1, MAPFILE_COPY, size);
  EXPECT_UINT(conf_stats(file).copied_bytes, 0);
  conf_close(file);
}

/* pin-stable */

/* Everything that may happen to a file while a view of it is pinned, apart from losing the view's bytes. */
static void live_through_it_all(const char *path, mapfile *file, uint64_t size) {
  mapfile_view other = MAPFILE_VIEW_INIT;
  conf_write_pattern(path, size, (size_t)size * 20);
  for (int i = 0; i < 50; i++) {
    conf_pin(file, (uint64_t)i * 31, 1000, i % 2 == 0 ? MAPFILE_ANY : MAPFILE_VERIFY, &other);
    conf_unpin(&other);
  }
  EXPECT_ONE_OF(mapfile_check(file), MAPFILE_CHANGED, MAPFILE_OK);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &other);
  EXPECT_UINT(other.length, size * 21);
  EXPECT(conf_is_pattern(other.data, other.length, 0));
  conf_unpin(&other);
  char moved[8192];
  snprintf(moved, sizeof moved, "%s-moved", path);
  EXPECT(conf_rename(path, moved));
  conf_pin(file, size, size, MAPFILE_VERIFY, &other);
  conf_unpin(&other);
  EXPECT(conf_remove(moved) || conf_mapped_keep_name);
  conf_pin(file, size, size, MAPFILE_ANY, &other);
  EXPECT(conf_is_pattern(other.data, other.length, size));
  conf_unpin(&other);
}

static void stable_pointer(void) {
  uint64_t size = 3 * conf_page + 50;
  const char *path = conf_make("file", size);
  mapfile *file = conf_open(path, 0);
  mapfile_view any = MAPFILE_VIEW_INIT, copy = MAPFILE_VIEW_INIT, own = MAPFILE_VIEW_INIT;
  conf_pin(file, 10, MAPFILE_TO_END, MAPFILE_ANY, &any);
  conf_pin(file, 10, MAPFILE_TO_END, MAPFILE_COPY, &copy);
  conf_pin(file, 10, MAPFILE_TO_END, MAPFILE_PRIVATE, &own);
  const void *data = any.data;
  memset(own.data, 0x55, own.length);
  live_through_it_all(path, file, size);
  EXPECT(any.data == data);
  EXPECT(conf_is_pattern(any.data, any.length, 10));
  EXPECT(conf_is_pattern(copy.data, copy.length, 10));
  for (size_t i = 0; i < own.length; i++)
    EXPECT_UINT(conf_load((char *)own.data + i), 0x55);
  conf_unpin(&any);
  conf_unpin(&copy);
  conf_unpin(&own);
  conf_close(file);
}

/* A copied view's bytes stay, whatever is done to the file. Small copies and large ones are made in different ways. */
static void stable_copy(void) {
  const uint64_t sizes[] = {10, 3 * conf_page, 70000, 3000000};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    const char *path = conf_make("file", sizes[i]);
    mapfile *file = conf_open(path, 0);
    mapfile_view view = MAPFILE_VIEW_INIT;
    conf_pin(file, 1, MAPFILE_TO_END, MAPFILE_COPY, &view);
    const void *data = view.data;
    conf_write_bytes(path, 0, "overwritten", sizes[i] < 11 ? (size_t)sizes[i] : 11);
    EXPECT(conf_is_pattern(view.data, view.length, 1));
    conf_truncate(path, 0);
    EXPECT(conf_is_pattern(view.data, view.length, 1));
    EXPECT(conf_remove(path) || conf_mapped_keep_name);
    EXPECT(view.data == data);
    EXPECT(conf_is_pattern(view.data, view.length, 1));
    conf_unpin(&view);
    conf_close(file);
  }
}

static void live_shows_changes(void) {
  const char *path = conf_make("file", 3 * conf_page);
  mapfile *file = conf_open(path, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, 5, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  EXPECT(conf_is_pattern(view.data, view.length, 5));
  conf_write_bytes(path, conf_page + 5, "changed", 7);
  EXPECT(memcmp((char *)view.data + conf_page, "changed", 7) == 0);
  conf_unpin(&view);
  conf_close(file);
}

/* The name is given to another file while this one is pinned: the view is of the file, not of the name. */
static void renamed_over(void) {
  const char *path = conf_make("file", 50000);
  mapfile *file = conf_open(path, 0);
  mapfile_view view = MAPFILE_VIEW_INIT, later = MAPFILE_VIEW_INIT;
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  if (!conf_rename(conf_make_bytes("other", "something else", 14), path)) {
    EXPECT(conf_mapped_keep_name);
    conf_differs("the name of a file that is mapped cannot be given to another");
  }
  EXPECT(conf_is_pattern(view.data, view.length, 0));
  conf_pin(file, 100, 40000, MAPFILE_VERIFY, &later);
  EXPECT(conf_is_pattern(later.data, later.length, 100));
  conf_unpin(&later);
  conf_unpin(&view);
  conf_close(file);
}

/* With reserve, a file that grows up to there needs no new map, and its views lie where the earlier ones did. */
static void reserve(void) {
  const char *path = conf_make("file", conf_page);
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile_view first = MAPFILE_VIEW_INIT, view = MAPFILE_VIEW_INIT;
  mapfile *file = NULL;
  options.access = conf_access;
  options.reserve = 100 * conf_page;
  EXPECT_STATUS(mapfile_open(path, &options, &file), MAPFILE_OK);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &first);
  uint64_t made = conf_stats(file).maps_made;
  for (uint64_t pages = 2; pages <= 100; pages += 7) {
    conf_write_pattern(path, 0, (size_t)pages * conf_page);
    conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE | MAPFILE_VERIFY, &view);
    EXPECT_UINT(view.length, pages * conf_page);
    EXPECT(view.data == first.data || !conf_maps_pass_end);
    EXPECT(conf_is_pattern(view.data, view.length, 0));
    conf_unpin(&view);
  }
  if (!conf_maps_pass_end)
    conf_differs("a map cannot reach past the end of its file: growth takes new maps");
  EXPECT_UINT(conf_stats(file).maps_made, made);
  conf_unpin(&first);
  conf_close(file);
}

/* Who vouches that a file does not change gets the same views. */
static void immutable(void) {
  uint64_t size = 3 * conf_page + 123;
  mapfile *file = conf_open(conf_make("file", size), MAPFILE_IMMUTABLE);
  for (uint64_t from = 0; from <= size; from += 997) {
    pin_and_compare(file, from, MAPFILE_TO_END, MAPFILE_ANY, size);
    pin_and_compare(file, from, MAPFILE_TO_END, conf_live() | MAPFILE_VERIFY, size);
  }
  EXPECT_STATUS(mapfile_check(file), MAPFILE_OK);
  conf_close(file);
}

/* close-pinned */

static void close_with_views(void) {
  enum { COUNT = 100 };
  static mapfile_view views[COUNT];
  static const uint32_t flags[] = {MAPFILE_ANY, MAPFILE_COPY, MAPFILE_PRIVATE, MAPFILE_ZERO_FILL};
  mapfile *file = conf_open(conf_make("file", 50000), 0);
  for (unsigned i = 0; i < COUNT; i++) {
    mapfile_view fresh = MAPFILE_VIEW_INIT;
    views[i] = fresh;
    conf_pin(file, i * 100, 10000, flags[i % 4], &views[i]);
  }
  for (unsigned i = 0; i < COUNT; i++) {
    EXPECT_STATUS(mapfile_close(file), MAPFILE_BUSY);
    EXPECT_UINT(conf_stats(file).pinned_views, COUNT - i);
    EXPECT(conf_is_pattern(views[i].data, views[i].length, views[i].offset));
    conf_unpin(&views[i]);
  }
  /* After all the refusals it is as good as before. */
  pin_and_compare(file, 0, MAPFILE_TO_END, MAPFILE_ANY, 50000);
  conf_close(file);
}

static void close_with_empty_view(void) {
  mapfile *file = conf_open(conf_make("file", 5000), 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, 700, 0, MAPFILE_ANY, &view);
  EXPECT_STATUS(mapfile_close(file), MAPFILE_BUSY);
  conf_unpin(&view);
  conf_close(file);
}

/* copied-equals-mapped */

typedef struct answer {
  mapfile_status status;
  uint64_t numbers[3];
} answer;

enum { TWIN_SIZE = 200003 };

static mapfile_status MAPFILE_CALL add_chunk(void *argument, const void *data, size_t length, uint64_t offset) {
  answer *sum = argument;
  const unsigned char *bytes = data;
  if (offset != sum->numbers[0])
    return MAPFILE_CANCELLED;
  for (size_t i = 0; i < length; i++)
    sum->numbers[1] = sum->numbers[1] * 31 + bytes[i];
  sum->numbers[0] += length;
  return MAPFILE_OK;
}

static answer ask_view(mapfile *file, uint64_t offset, uint64_t length, uint32_t flags) {
  answer found = {MAPFILE_OK, {0, 0, 0}};
  mapfile_view view = MAPFILE_VIEW_INIT;
  found.status = mapfile_pin(file, offset, length, flags, &view);
  if (found.status != MAPFILE_OK)
    return found;
  const unsigned char *bytes = view.data;
  for (size_t i = 0; i < view.length; i++)
    found.numbers[1] = found.numbers[1] * 31 + bytes[i];
  found.numbers[0] = view.length;
  found.numbers[2] = view.offset;
  conf_unpin(&view);
  return found;
}

/* One question out of all that can be asked of a mapfile. Buffers are large enough for every length asked. */
static answer ask(mapfile *file, unsigned what, uint64_t offset, uint64_t length, const unsigned char *needle,
                  size_t needle_length) {
  static unsigned char buffer[TWIN_SIZE * 3];
  answer found = {MAPFILE_OK, {0, 0, 0}};
  int order = 0;
  size_t done = 0;
  switch (what) {
  case 0:
    return ask_view(file, offset, length, MAPFILE_ANY);
  case 1:
    return ask_view(file, offset, length, MAPFILE_VERIFY);
  case 2:
    return ask_view(file, offset, length, MAPFILE_PRIVATE);
  case 3:
    memset(buffer, 0, sizeof buffer);
    found.status = mapfile_read(file, offset, buffer, (size_t)length, &done);
    for (size_t i = 0; i < sizeof buffer; i++)
      found.numbers[1] = found.numbers[1] * 31 + buffer[i];
    found.numbers[0] = done;
    return found;
  case 4:
    found.status = mapfile_find(file, offset, length, needle, needle_length, &found.numbers[1], &found.numbers[0]);
    if (found.status == MAPFILE_OK)
      found.numbers[0] = 0;
    return found;
  case 5:
    found.status = mapfile_compare(file, offset, needle, needle_length, &order, &done);
    found.numbers[0] = (uint64_t)(order > 0) - (uint64_t)(order < 0);
    found.numbers[1] = done;
    return found;
  case 6:
    found.numbers[0] = offset;
    found.status = mapfile_scan(file, offset, length, 0, 0, add_chunk, &found, &found.numbers[2]);
    return found;
  default:
    found.status = mapfile_size(file, &found.numbers[0]);
    return found;
  }
}

static void ask_both(mapfile *one, mapfile *other, int times, uint64_t size, uint64_t *state) {
  unsigned char needle[40];
  for (int i = 0; i < times; i++) {
    unsigned what = (unsigned)(conf_random(state) % 8);
    uint64_t offset = conf_random(state) % (size + size / 16 + 2);
    uint64_t length = conf_random(state) % 8 == 0 ? size - offset % size : conf_random(state) % 5000;
    size_t needle_length = 1 + (size_t)(conf_random(state) % sizeof needle);
    conf_pattern(needle, sizeof needle, conf_random(state) % size);
    answer first = ask(one, what, offset, length, needle, needle_length);
    answer second = ask(other, what, offset, length, needle, needle_length);
    if (first.status != second.status || memcmp(first.numbers, second.numbers, sizeof first.numbers) != 0)
      conf_broken(
          __FILE__, __LINE__, "question %u at %llu + %llu: mapped says %s %llu %llu %llu, copied %s %llu %llu %llu",
          what, (unsigned long long)offset, (unsigned long long)length, conf_status_name(first.status),
          (unsigned long long)first.numbers[0], (unsigned long long)first.numbers[1],
          (unsigned long long)first.numbers[2], conf_status_name(second.status), (unsigned long long)second.numbers[0],
          (unsigned long long)second.numbers[1], (unsigned long long)second.numbers[2]);
  }
}

static void twins(void) {
  const char *path = conf_make("file", TWIN_SIZE);
  uint64_t state = 20220109;
  conf_access = MAPFILE_ACCESS_MAPPED;
  mapfile *one = conf_open(path, 0);
  conf_access = MAPFILE_ACCESS_COPIED;
  mapfile *other = conf_open(path, 0);
  ask_both(one, other, 500, TWIN_SIZE, &state);
  conf_write_pattern(path, TWIN_SIZE, TWIN_SIZE);
  ask_both(one, other, 200, TWIN_SIZE * 2, &state);
  /* OK where the last question was a VERIFY pin. */
  EXPECT_ONE_OF(mapfile_check(one), MAPFILE_CHANGED, MAPFILE_OK);
  EXPECT_ONE_OF(mapfile_check(other), MAPFILE_CHANGED, MAPFILE_OK);
  ask_both(one, other, 200, TWIN_SIZE * 2, &state);
  conf_truncate(path, 50000);
  EXPECT_STATUS(mapfile_check(one), MAPFILE_TRUNCATED);
  EXPECT_STATUS(mapfile_check(other), MAPFILE_TRUNCATED);
  ask_both(one, other, 200, 50000, &state);
  conf_close(one);
  conf_close(other);
}

/* The same with injected failures: reading, finding and comparing. A scan may differ: with maps it hands over pieces
   that are left by a jump, with copies the good start of a piece. */
static void twins_damaged(void) {
  const char *path = conf_make("file", TWIN_SIZE);
  uint64_t state = 4711;
  conf_access = MAPFILE_ACCESS_MAPPED;
  mapfile *one = conf_open(path, 0);
  conf_access = MAPFILE_ACCESS_COPIED;
  mapfile *other = conf_open(path, 0);
  mapfile *both[] = {one, other};
  for (int i = 0; i < 2; i++) {
    EXPECT_STATUS(mapfile_inject(both[i], 60000, 1, MAPFILE_IO), MAPFILE_OK);
    EXPECT_STATUS(mapfile_inject(both[i], 150000, 20000, MAPFILE_NO_SPACE), MAPFILE_OK);
  }
  for (int i = 0; i < 300; i++) {
    unsigned char needle[40];
    unsigned what = 3 + (unsigned)(conf_random(&state) % 3);
    uint64_t offset = conf_random(&state) % TWIN_SIZE;
    uint64_t length = conf_random(&state) % (TWIN_SIZE - offset + 1);
    size_t needle_length = 1 + (size_t)(conf_random(&state) % sizeof needle);
    conf_pattern(needle, sizeof needle, conf_random(&state) % 2 == 0 ? offset : conf_random(&state) % TWIN_SIZE);
    answer first = ask(one, what, offset, length, needle, needle_length);
    answer second = ask(other, what, offset, length, needle, needle_length);
    if (first.status != second.status || first.numbers[0] != second.numbers[0])
      conf_broken(__FILE__, __LINE__, "question %u at %llu + %llu: mapped says %s %llu, copied %s %llu", what,
                  (unsigned long long)offset, (unsigned long long)length, conf_status_name(first.status),
                  (unsigned long long)first.numbers[0], conf_status_name(second.status),
                  (unsigned long long)second.numbers[0]);
  }
  conf_close(one);
  conf_close(other);
}

#define N CONF_NO_FAULTS

static const conf_case table[] = {
    {"pin-anywhere", "unaligned", "Views at odd offsets or of odd lengths show the wrong bytes.", CONF_ANY, N,
     unaligned},
    {"pin-anywhere", "to-end", "Views to the end of a file have the wrong length.", CONF_ANY, N, to_end},
    {"pin-anywhere", "random", "Some views show the wrong bytes.", CONF_ANY, N, random_ranges},
    {"pin-anywhere", "kinds", "A view is of another kind than was asked for.", CONF_ANY, N, kinds},
    {"pin-anywhere", "beyond-4-gib", "Files larger than 4 GiB cannot be used.", CONF_ANY, N, far_offsets},
    {"pin-anywhere", "whole-beyond-4-gib", "Files larger than 4 GiB cannot be mapped whole.", CONF_MAPPED, N,
     whole_far_file},
    {"pin-anywhere", "immutable", "A file that is vouched for cannot be used.", CONF_ANY, N, immutable},
    {"pin-anywhere", "many", "Many views at once disturb one another.", CONF_ANY, N, many_views},
    {"pin-anywhere", "private", "What is written to a private view reaches the file or other views.", CONF_ANY, N,
     private_views},
    {"pin-anywhere", "shared", "What is written to a shared view does not reach the file.", CONF_MAPPED, N,
     shared_views},
    {"pin-anywhere", "shared-denied", "A file that was opened for reading can be written.", CONF_MAPPED, N,
     shared_denied},
    {"pin-past-end", "known-size", "Views can reach past the end of a file.", CONF_ANY, N, past_known_end},
    {"pin-past-end", "grown", "The new bytes of a file that grew cannot be had.", CONF_ANY, N, past_end_after_growth},
    {"pin-past-end", "shrunk", "A view that was to be verified reaches past the end.", CONF_ANY, N,
     past_end_after_shrinking},
    {"pin-past-end", "copy-of-what-is-gone", "A copy holds bytes that the file does not have.", CONF_ANY, N,
     copy_of_what_is_gone},
    {"pin-stable", "pointer", "A pinned view moves or changes while the file grows or loses its name.", CONF_ANY, N,
     stable_pointer},
    {"pin-stable", "reserve", "Reserving room for growth has no effect.", CONF_MAPPED, N, reserve},
    {"pin-stable", "copy", "A copied view changes when the file does.", CONF_ANY, N, stable_copy},
    {"pin-stable", "live", "A live view does not show what others write to the file.", CONF_MAPPED, N,
     live_shows_changes},
    {"pin-stable", "renamed-over", "A view changes when another file takes the name.", CONF_ANY, N, renamed_over},
    {"close-pinned", "views", "A mapfile can be closed under its views.", CONF_ANY, N, close_with_views},
    {"close-pinned", "empty-view", "A mapfile can be closed under a view of no bytes.", CONF_ANY, N,
     close_with_empty_view},
    {"copied-equals-mapped", "answers", "A program works differently where files are read, not mapped.", CONF_ONCE, N,
     twins},
    {"copied-equals-mapped", "errors", "Errors are reported differently where files are read, not mapped.", CONF_ONCE,
     CONF_INJECTED, twins_damaged},
};

CONF_GROUP(conf_views, "views");
