/*
 * input.c - bad input: every wrong argument is a defined status, and leaves nothing behind.
 *
 * SPDX-License-Identifier: MIT
 *
 * What is wrong about a path is tried in opening.c and posix/special.c.
 */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mapfile_status MAPFILE_CALL do_nothing(void *argument) {
  (void)argument;
  return MAPFILE_OK;
}

static mapfile_status MAPFILE_CALL no_chunk(void *argument, const void *data, size_t length, uint64_t offset) {
  (void)argument, (void)data, (void)length, (void)offset;
  return MAPFILE_OK;
}

/* A mapfile, and what was held before and must be held after. */
typedef struct subject {
  conf_holdings before;
  mapfile *file;
  mapfile_statistics counts;
} subject;

static void prepare(subject *one) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  const char *path = conf_make("subject", 3 * conf_page);
  mapfile *warm_up = conf_open(path, 0);
  conf_pin(warm_up, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  conf_unpin(&view);
  conf_pin(warm_up, 0, MAPFILE_TO_END, MAPFILE_COPY, &view);
  conf_unpin(&view);
  conf_close(warm_up);
  conf_count_holdings(&one->before);
  one->file = conf_open(path, 0);
  one->counts = conf_stats(one->file);
}

static void finish(subject *one) {
  mapfile_statistics now = conf_stats(one->file);
  EXPECT_UINT(now.pinned_views, one->counts.pinned_views);
  EXPECT_UINT(now.copied_bytes, one->counts.copied_bytes);
  conf_close(one->file);
  EXPECT_NO_LEAK(&one->before);
  EXPECT_UINT(conf_stats(NULL).open_files, 0);
}

static void null_open(void) {
  subject one;
  mapfile *file = (mapfile *)&one;
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  prepare(&one);
  EXPECT_STATUS(mapfile_open(NULL, NULL, &file), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_open(NULL, &options, &file), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_open(conf_path("subject"), NULL, NULL), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_open("", NULL, &file), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_open_handle(-1, NULL, &file), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_open_handle(0, NULL, NULL), MAPFILE_INVALID);
  /* Left as it was when a call fails. */
  EXPECT((void *)file == (void *)&one);
  EXPECT_STATUS(mapfile_close(NULL), MAPFILE_OK);
  finish(&one);
}

static void null_file(void) {
  subject one;
  uint64_t size = 9, done = 9, found = 9;
  size_t count = 9;
  int order = 9;
  unsigned char buffer[4];
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  prepare(&one);
  EXPECT_STATUS(mapfile_size(NULL, &size), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_size(one.file, NULL), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_check(NULL), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_pin(NULL, 0, 1, 0, &view), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_pin(one.file, 0, 1, 0, NULL), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_unpin(NULL), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_view_check(NULL), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_try(NULL, NULL, do_nothing, NULL, &fault), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_try(one.file, NULL, NULL, NULL, &fault), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_fault_explain(NULL), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_fault_from_call(NULL, NULL, buffer, 1, -1, &fault), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_fault_from_call(one.file, NULL, buffer, 1, -1, &fault), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_stats(one.file, NULL), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_set_limits(NULL), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_inject(NULL, 0, 1, MAPFILE_IO), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_read(NULL, 0, buffer, 1, &count), MAPFILE_INVALID);
  EXPECT_UINT(count, 0);
  EXPECT_STATUS(mapfile_find(NULL, 0, 1, "x", 1, &found, &done), MAPFILE_INVALID);
  EXPECT_UINT(done, 0);
  EXPECT_STATUS(mapfile_compare(NULL, 0, buffer, 1, &order, &count), MAPFILE_INVALID);
  done = 9;
  EXPECT_STATUS(mapfile_scan(NULL, 0, 1, 0, 0, no_chunk, NULL, &done), MAPFILE_INVALID);
  EXPECT_UINT(done, 0);
  EXPECT_STATUS(mapfile_send(NULL, 0, 1, 1, &done), MAPFILE_INVALID);
  EXPECT(size == 9 && found == 9 && order == 9);
  finish(&one);
}

static void null_buffers(void) {
  subject one;
  uint64_t done = 9, found = 9;
  size_t count = 9;
  int order = 9;
  prepare(&one);
  EXPECT_STATUS(mapfile_read(one.file, 0, NULL, 1, &count), MAPFILE_INVALID);
  EXPECT_UINT(count, 0);
  EXPECT_STATUS(mapfile_read(one.file, 0, NULL, 0, &count), MAPFILE_OK);
  EXPECT_STATUS(mapfile_find(one.file, 0, 1, NULL, 1, &found, &done), MAPFILE_INVALID);
  EXPECT_UINT(done, 0);
  EXPECT_STATUS(mapfile_find(one.file, 0, 1, "x", 1, NULL, &done), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_find(one.file, 0, 1, NULL, 0, &found, &done), MAPFILE_OK);
  EXPECT_STATUS(mapfile_compare(one.file, 0, NULL, 1, &order, &count), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_compare(one.file, 0, "x", 1, NULL, &count), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_scan(one.file, 0, 1, 0, 0, NULL, NULL, &done), MAPFILE_INVALID);
  EXPECT_UINT(done, 0);
  EXPECT(found == 0 && order == 9);
  finish(&one);
}

static void overflows(void) {
  static const uint64_t large[] = {UINT64_MAX - 1, UINT64_C(1) << 63, (UINT64_C(1) << 63) - 1, UINT64_MAX - 4095};
  subject one;
  mapfile_view view = MAPFILE_VIEW_INIT;
  unsigned char buffer[16];
  prepare(&one);
  for (int i = 0; i < 4; i++) {
    uint64_t done = 9, found = 9;
    size_t count = 9;
    int order = 9;
    bool wraps = large[i] > UINT64_MAX - 16;
    mapfile_status wanted = wraps ? MAPFILE_INVALID : MAPFILE_END;
    EXPECT_ONE_OF(mapfile_pin(one.file, large[i], 16, 0, &view), MAPFILE_END, MAPFILE_INVALID);
    EXPECT_ONE_OF(mapfile_pin(one.file, 16, large[i], 0, &view), MAPFILE_END, MAPFILE_INVALID);
    EXPECT_ONE_OF(mapfile_pin(one.file, large[i], large[i], MAPFILE_COPY, &view), MAPFILE_END, MAPFILE_INVALID);
    EXPECT_STATUS(mapfile_pin(one.file, large[i], MAPFILE_TO_END, MAPFILE_VERIFY, &view), MAPFILE_END);
    EXPECT_STATUS(mapfile_read(one.file, large[i], buffer, 16, &count), wanted);
    EXPECT_UINT(count, 0);
    EXPECT_STATUS(mapfile_find(one.file, large[i], 16, "x", 1, &found, &done), wanted);
    EXPECT_UINT(done, 0);
    EXPECT_STATUS(mapfile_compare(one.file, large[i], buffer, 16, &order, &count), wanted);
    EXPECT_STATUS(mapfile_scan(one.file, large[i], 16, 0, 0, no_chunk, NULL, &done), wanted);
    EXPECT_STATUS(mapfile_send(one.file, large[i], 16, 1, &done), wanted);
    EXPECT_UINT(done, 0);
    EXPECT_ONE_OF(mapfile_inject(one.file, large[i], 16, MAPFILE_IO), MAPFILE_OK, MAPFILE_INVALID);
  }
  EXPECT_STATUS(mapfile_inject(one.file, UINT64_MAX - 1, 16, MAPFILE_IO), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_inject(one.file, 0, MAPFILE_TO_END, MAPFILE_OK), MAPFILE_OK);
  EXPECT_UINT(view.kind, MAPFILE_KIND_NONE);
  finish(&one);
}

/* Lengths that no buffer has. Nothing past what there is may be touched. */
static void absurd_lengths(void) {
  subject one;
  uint64_t found = 9, done = 9;
  size_t count = 9, size = 3 * conf_page;
  int order = 9;
  unsigned char *buffer = malloc(size);
  prepare(&one);
  conf_pattern(buffer, size, 0);
  /* Refused, or cut to what there is. */
  mapfile_status status = mapfile_read(one.file, 0, buffer, SIZE_MAX, &count);
  EXPECT_ONE_OF(status, MAPFILE_END, MAPFILE_INVALID);
  EXPECT_UINT(count, status == MAPFILE_END ? size : 0);
  EXPECT_STATUS(mapfile_read(one.file, 0, buffer, SIZE_MAX / 2, &count), MAPFILE_END);
  EXPECT_UINT(count, size);
  EXPECT(conf_is_pattern(buffer, size, 0));
  EXPECT_ONE_OF(mapfile_read(one.file, size, buffer, SIZE_MAX, &count), MAPFILE_END, MAPFILE_INVALID);
  EXPECT_UINT(count, 0);
  EXPECT_STATUS(mapfile_compare(one.file, 0, buffer, SIZE_MAX / 2, &order, &count), MAPFILE_END);
  EXPECT_UINT(count, size);
  EXPECT_ONE_OF(mapfile_compare(one.file, 1, buffer, SIZE_MAX, &order, &count), MAPFILE_OK, MAPFILE_INVALID);
  EXPECT_ONE_OF(mapfile_find(one.file, 0, MAPFILE_TO_END, buffer, SIZE_MAX, &found, &done), MAPFILE_NOT_FOUND,
                MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_scan(one.file, 0, UINT64_MAX - 1, 0, 0, no_chunk, NULL, &done), MAPFILE_END);
  EXPECT_UINT(done, size);
  EXPECT_STATUS(mapfile_scan(one.file, 0, MAPFILE_TO_END, SIZE_MAX, MAPFILE_SCAN_COPY, no_chunk, NULL, &done),
                MAPFILE_OK);
  EXPECT_UINT(done, size);
  free(buffer);
  finish(&one);
}

static void contradicting_flags(void) {
  static const uint32_t wrong[] = {MAPFILE_LIVE | MAPFILE_COPY,
                                   MAPFILE_COPY | MAPFILE_SHARED,
                                   MAPFILE_PRIVATE | MAPFILE_SHARED,
                                   MAPFILE_ZERO_FILL | MAPFILE_PRIVATE,
                                   MAPFILE_ZERO_FILL | MAPFILE_SHARED,
                                   1u << 6,
                                   1u << 31,
                                   UINT32_MAX};
  subject one;
  mapfile_view view = MAPFILE_VIEW_INIT;
  uint64_t done = 9;
  prepare(&one);
  mapfile *writable = conf_open(conf_path("subject"), MAPFILE_WRITE);
  for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    EXPECT_STATUS(mapfile_pin(writable, 0, 10, wrong[i], &view), MAPFILE_INVALID);
    EXPECT_STATUS(mapfile_pin(writable, 0, 0, wrong[i], &view), MAPFILE_INVALID);
  }
  EXPECT_UINT(view.kind, MAPFILE_KIND_NONE);
  EXPECT_STATUS(mapfile_scan(one.file, 0, 10, 0, 1u << 9, no_chunk, NULL, &done), MAPFILE_INVALID);
  static const mapfile_status no_cause[] = {MAPFILE_INVALID, MAPFILE_BUSY, MAPFILE_END, MAPFILE_STALE, -1, 77};
  for (unsigned i = 0; i < sizeof no_cause / sizeof no_cause[0]; i++)
    EXPECT_STATUS(mapfile_inject(one.file, 0, 10, no_cause[i]), MAPFILE_INVALID);
  conf_close(writable);
  finish(&one);
}

/* Larger structs of a newer header may come; smaller ones cannot hold what would be written. */
static void too_small(mapfile *file, const mapfile_view *good) {
  for (uint32_t cut = 1; cut <= 64; cut += 7) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    mapfile_statistics statistics = MAPFILE_STATISTICS_INIT;
    mapfile_limits limits = MAPFILE_LIMITS_INIT;
    fault.size -= cut;
    statistics.size -= cut;
    limits.size -= cut;
    EXPECT_STATUS(mapfile_try(file, good, do_nothing, NULL, &fault), MAPFILE_INVALID);
    EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_INVALID);
    EXPECT_STATUS(mapfile_fault_from_call(file, good, good->data, 1, -1, &fault), MAPFILE_INVALID);
    EXPECT_STATUS(fault.status, MAPFILE_OK);
    EXPECT_STATUS(mapfile_stats(file, &statistics), MAPFILE_INVALID);
    EXPECT_UINT(statistics.open_files, 0);
    EXPECT_STATUS(mapfile_set_limits(&limits), MAPFILE_INVALID);
  }
}

static void wrong_sizes(void) {
  static const uint32_t wrong[] = {0, 1, 4, sizeof(mapfile_view) - 1, 1 << 20, UINT32_MAX};
  subject one;
  mapfile_view good = MAPFILE_VIEW_INIT;
  prepare(&one);
  conf_pin(one.file, 0, 10, 0, &good);
  for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    mapfile_view view = MAPFILE_VIEW_INIT;
    mapfile_scope scope;
    view.size = wrong[i];
    EXPECT_STATUS(mapfile_pin(one.file, 0, 10, 0, &view), MAPFILE_INVALID);
    EXPECT_STATUS(mapfile_unpin(&view), MAPFILE_INVALID);
    EXPECT_STATUS(mapfile_view_check(&view), MAPFILE_INVALID);
    EXPECT_STATUS(mapfile_try(one.file, &view, do_nothing, NULL, NULL), MAPFILE_INVALID);
    MAPFILE_SCOPE_INIT(&scope);
    scope.size = wrong[i];
    EXPECT_STATUS(mapfile_scope_begin(&scope, one.file, NULL), MAPFILE_INVALID);
  }
  too_small(one.file, &good);
  mapfile_limits reserved = MAPFILE_LIMITS_INIT;
  reserved.reserved[4] = 1;
  EXPECT_STATUS(mapfile_set_limits(&reserved), MAPFILE_INVALID);
  conf_unpin(&good);
  finish(&one);
}

static mapfile_status open_with(const mapfile_options *options, mapfile **file) {
  return mapfile_open(conf_path("subject"), options, file);
}

static void wrong_options(void) {
  subject one;
  mapfile *file = NULL;
  prepare(&one);
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  options.access = 3;
  EXPECT_STATUS(open_with(&options, &file), MAPFILE_INVALID);
  options.access = UINT32_MAX;
  EXPECT_STATUS(open_with(&options, &file), MAPFILE_INVALID);
  options.access = conf_access;
  static const uint32_t contradicting[] = {MAPFILE_TRUNCATE, MAPFILE_EXCLUSIVE, MAPFILE_WRITE | MAPFILE_EXCLUSIVE,
                                           MAPFILE_ADOPT};
  for (int i = 0; i < 4; i++) {
    options.flags = contradicting[i];
    EXPECT_STATUS(open_with(&options, &file), MAPFILE_INVALID);
  }
  /* Flags that this library does not know: it cannot do what they ask. */
  static const uint32_t unknown[] = {1u << 8, 1u << 16, 1u << 31};
  for (int i = 0; i < 3; i++) {
    options.flags = unknown[i];
    EXPECT_STATUS(open_with(&options, &file), MAPFILE_UNSUPPORTED);
  }
  options.flags = 0;
  for (size_t i = 0; i < sizeof options.reserved / sizeof options.reserved[0]; i++) {
    options.reserved[i] = 1;
    EXPECT_STATUS(open_with(&options, &file), MAPFILE_UNSUPPORTED);
    options.reserved[i] = 0;
  }
  EXPECT(file == NULL);
  EXPECT_UINT(conf_file_size(conf_path("subject")), 3 * conf_page);
  /* Absurd numbers are limits that are never reached. */
  options.map_bytes = options.map_count = options.stream_limit = UINT64_MAX;
  options.reserve = UINT64_MAX;
  mapfile_status status = open_with(&options, &file);
  EXPECT_ONE_OF(status, MAPFILE_OK, MAPFILE_LIMIT);
  if (status == MAPFILE_OK) {
    mapfile_view view = MAPFILE_VIEW_INIT;
    conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
    EXPECT(conf_is_pattern(view.data, view.length, 0));
    conf_unpin(&view);
    conf_close(file);
  }
  finish(&one);
}

/* Options as an older or a newer header would have them. */
static void other_versions(void) {
  union {
    mapfile_options options;
    unsigned char bytes[sizeof(mapfile_options) + 64];
  } newer;
  subject one;
  mapfile *file = NULL;
  prepare(&one);
  mapfile_options initial = MAPFILE_OPTIONS_INIT;
  memset(&newer, 0, sizeof newer);
  newer.options = initial;
  newer.options.access = conf_access;
  newer.options.size = (uint32_t)sizeof newer;
  EXPECT_STATUS(open_with(&newer.options, &file), MAPFILE_OK);
  conf_close(file);
  file = NULL;
  for (size_t at = sizeof(mapfile_options); at < sizeof newer; at += 9) {
    newer.bytes[at] = 1;
    EXPECT_STATUS(open_with(&newer.options, &file), MAPFILE_UNSUPPORTED);
    newer.bytes[at] = 0;
  }
  /* A header of before this one can only have been shorter. What it lacks is as if it were zero, whatever lies there.
   */
  size_t least = offsetof(mapfile_options, map_bytes);
  memset(newer.bytes + least, 0xff, sizeof newer - least);
  newer.options.size = (uint32_t)least;
  EXPECT_STATUS(open_with(&newer.options, &file), MAPFILE_OK);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  conf_unpin(&view);
  conf_close(file);
  file = NULL;
  static const uint32_t too_small[] = {0, 1, 3, 4};
  for (int i = 0; i < 3; i++) {
    newer.options.size = too_small[i];
    EXPECT_STATUS(open_with(&newer.options, &file), MAPFILE_INVALID);
  }
  EXPECT(file == NULL);
  finish(&one);
}

static void views_misused(void) {
  subject one;
  mapfile_view view = MAPFILE_VIEW_INIT, other = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  static const uint32_t flags[] = {MAPFILE_ANY, MAPFILE_COPY, MAPFILE_PRIVATE, MAPFILE_ZERO_FILL};
  prepare(&one);
  mapfile *second = conf_open(conf_make("second", 100), 0);
  EXPECT_STATUS(mapfile_unpin(&view), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_try(one.file, &view, do_nothing, NULL, &fault), MAPFILE_INVALID);
  for (int i = 0; i < 4; i++) {
    for (uint64_t length = 0; length <= 100; length += 100) {
      conf_pin(one.file, 5, length, flags[i], &view);
      const void *data = view.data;
      /* Pinned already: nothing happens to it. */
      EXPECT_STATUS(mapfile_pin(one.file, 0, 10, 0, &view), MAPFILE_INVALID);
      EXPECT_STATUS(mapfile_pin(second, 0, 10, 0, &view), MAPFILE_INVALID);
      EXPECT(view.data == data && view.length == length && view.offset == 5);
      EXPECT_UINT(conf_stats(one.file).pinned_views, 1);
      /* Of another mapfile. */
      EXPECT_STATUS(mapfile_try(second, &view, do_nothing, NULL, &fault), MAPFILE_INVALID);
      EXPECT_STATUS(fault.status, MAPFILE_INVALID);
      EXPECT_STATUS(mapfile_fault_from_call(second, &view, view.data, (size_t)length, -1, &fault), MAPFILE_INVALID);
      conf_unpin(&view);
      EXPECT_STATUS(mapfile_unpin(&view), MAPFILE_INVALID);
      EXPECT_STATUS(mapfile_try(one.file, &view, do_nothing, NULL, &fault), MAPFILE_INVALID);
      EXPECT_STATUS(mapfile_view_check(&view), MAPFILE_INVALID);
      EXPECT_STATUS(mapfile_fault_from_call(one.file, &view, data, (size_t)length, -1, &fault), MAPFILE_INVALID);
    }
  }
  memset(&other, 0x41, sizeof other);
  other.size = (uint32_t)sizeof other;
  EXPECT_STATUS(mapfile_unpin(&other), MAPFILE_INVALID);
  memset(&other, 0, sizeof other);
  EXPECT_STATUS(mapfile_unpin(&other), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_pin(one.file, 0, 1, 0, &other), MAPFILE_INVALID);
  conf_close(second);
  finish(&one);
}

/* A pin that fails leaves the view as it was. */
static void view_left_as_it_was(void) {
  subject one;
  mapfile_view view = MAPFILE_VIEW_INIT;
  prepare(&one);
  const mapfile_view before = view;
  EXPECT_STATUS(mapfile_pin(one.file, 3 * conf_page, 1, MAPFILE_VERIFY, &view), MAPFILE_END);
  EXPECT_STATUS(mapfile_pin(one.file, 0, 1, MAPFILE_SHARED, &view), MAPFILE_DENIED);
  EXPECT(view.kind == before.kind && view.data == before.data && view.length == before.length &&
         view.offset == before.offset && view.size == before.size);
  finish(&one);
}

/* Objects that are gone. The library may read the memory of a closed mapfile to notice, so nothing that watches memory
   may be watching. */
static void closed_objects(void) {
  subject one;
  prepare(&one);
  if (conf_instrument() != NULL)
    conf_not_testable("%s ends a program that touches what was closed", conf_instrument());
  mapfile *file = conf_open(conf_path("subject"), 0);
  conf_close(file);
  EXPECT_STATUS(mapfile_close(file), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_INVALID);
  unsigned char not_a_file[4096];
  memset(not_a_file, 0x33, sizeof not_a_file);
  mapfile_view view = MAPFILE_VIEW_INIT;
  EXPECT_STATUS(mapfile_close((mapfile *)(void *)not_a_file), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_pin((mapfile *)(void *)not_a_file, 0, 1, 0, &view), MAPFILE_INVALID);
  EXPECT_UINT(not_a_file[0], 0x33);
  finish(&one);
}

#define N CONF_NO_FAULTS

static const conf_case table[] = {
    {"bad-input", "open", "A wrong argument to opening crashes or leaks.", CONF_ANY, N, null_open},
    {"bad-input", "no-file", "A NULL mapfile or view crashes.", CONF_ANY, N, null_file},
    {"bad-input", "no-buffer", "A NULL buffer crashes.", CONF_ANY, N, null_buffers},
    {"bad-input", "overflow", "Offsets and lengths that overflow are taken for small ones.", CONF_ANY, N, overflows},
    {"bad-input", "absurd-lengths", "Absurd lengths read or write past a buffer.", CONF_ANY, N, absurd_lengths},
    {"bad-input", "flags", "Flags that contradict one another are accepted.", CONF_ANY, N, contradicting_flags},
    {"bad-input", "sizes", "Structs of the wrong size are written to.", CONF_ANY, N, wrong_sizes},
    {"bad-input", "options", "Options that make no sense, or are not known, are accepted.", CONF_ANY, N, wrong_options},
    {"bad-input", "other-versions", "Programs built with an older or newer header misbehave.", CONF_ANY, N,
     other_versions},
    {"bad-input", "views", "Views that are pinned twice or let go twice corrupt memory.", CONF_ANY, N, views_misused},
    {"bad-input", "view-left", "A pin that failed changes the view.", CONF_ANY, N, view_left_as_it_was},
    {"bad-input", "closed", "A mapfile that was closed twice corrupts memory.", CONF_ANY, N, closed_objects},
};

CONF_GROUP(conf_input, "bad input");
