/*
 * Files that another process makes shorter, on each file system that is there.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE 1
#include "suites.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char *const kinds[] = {"FUSE", "TMPFS", "EXT4"};
static const char *folders[3];
static int folder_count;
static char *path;
static uint64_t size, cut;

/* 64 pages, to be cut in the middle of the 21st. */
static void make(int folder) {
  size = 64 * page_size();
  cut = 20 * page_size() + 1000;
  path = make_file(folders[folder], "shrinking", size);
}

static void teardown(void) {
  for (int i = 0; i < folder_count; i++) {
    char name[4096];

    snprintf(name, sizeof name, "%s/shrinking", folders[i]);
    unlink(name);
  }
}

static uint64_t first_lost(void) {
  return (cut / page_size() + 1) * page_size();
}

START_TEST(truncated_fault) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile *file;

  make(_i);
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);
  ck_pin(file, 3, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  stranger_truncates(path, cut);
  ck_status(touch_read(file, &view, cut - 1, &fault), MAPFILE_OK);
  ck_assert_uint_eq(*((unsigned char *)view.data + cut - 4), pattern(cut - 1));
  /* What follows in the last page is zeros, without a fault: no system tells more. */
  ck_status(touch_read(file, &view, cut, &fault), MAPFILE_OK);
  ck_assert_uint_eq(*((unsigned char *)view.data + cut - 3), 0);
  ck_status(touch_read(file, &view, first_lost(), &fault), MAPFILE_UNKNOWN);
  ck_fault(&fault, file, &view, first_lost(), MAPFILE_FAULT_READ);
  ck_explained(&fault, MAPFILE_TRUNCATED, 0);
  ck_status(touch_read(file, &view, size - 1, &fault), MAPFILE_UNKNOWN);
  ck_fault(&fault, file, &view, size - 1, MAPFILE_FAULT_READ);
  ck_explained(&fault, MAPFILE_TRUNCATED, 0);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(truncated_then_grown) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile *file;

  make(_i);
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  stranger_truncates(path, cut);
  ck_status(touch_read(file, &view, size - 1, &fault), MAPFILE_UNKNOWN);
  stranger_shrinks_and_grows(path, cut); /* until the times differ from those of the short file */
  stranger_writes(path, cut, (size_t)(size - cut));
  ck_explained(&fault, MAPFILE_CHANGED, 0);
  ck_status(touch_read(file, &view, size - 1, &fault), MAPFILE_OK);
  ck_assert(pattern_holds(view.data, view.length, 0));
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(truncated_verify) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile *file;

  make(_i);
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_VERIFY, &view);
  ck_status(touch_read(file, &view, 0, &fault), MAPFILE_OK);
  stranger_shrinks_and_grows(path, cut);
  ck_status(touch_read(file, &view, 0, &fault), MAPFILE_CHANGED);
  ck_status(mapfile_view_check(&view), MAPFILE_CHANGED);
  stranger_truncates(path, cut);
  ck_status(touch_read(file, &view, 0, &fault), MAPFILE_TRUNCATED);
  ck_status(mapfile_view_check(&view), MAPFILE_TRUNCATED);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_pin(file, 0, size, MAPFILE_VERIFY, &view), MAPFILE_END);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_VERIFY, &view);
  ck_assert_uint_eq(view.length, cut);
  ck_assert(pattern_holds(view.data, view.length, 0));
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(truncated_whole_operations) {
  mapfile *file;

  make(_i / 2);
  cut = 20 * page_size();
  file = ck_open(path, _i % 2 ? MAPFILE_ACCESS_COPIED : MAPFILE_ACCESS_MAPPED, 0);
  stranger_truncates(path, cut);
  ck_whole_operations(file, size, cut, MAPFILE_TRUNCATED, 0);
  ck_status(mapfile_check(file), MAPFILE_TRUNCATED);
  ck_status(mapfile_check(file), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

static mapfile_status MAPFILE_CALL take_chunk(void *argument, const void *data, size_t length, uint64_t offset) {
  (void)data;
  *(uint64_t *)argument = offset + length;
  return MAPFILE_OK;
}

/* A cut within a page leaves zeros there that do not fault. They are not the file's bytes: no whole operation may take
   them for that, and none may call a file whole that is not. */
static void ck_cut_in_page(mapfile *file) {
  unsigned char *buffer = malloc((size_t)size), zeros[8] = {0};
  uint64_t found = 77, searched = 12345, reached = 0;
  size_t done = 12345;
  int order = 77;

  ck_assert_ptr_nonnull(buffer);
  ck_status(mapfile_read(file, 0, buffer, (size_t)size, &done), MAPFILE_TRUNCATED);
  ck_assert_uint_eq(done, cut);
  ck_assert(pattern_holds(buffer, done, 0));
  pattern_fill(buffer, (size_t)size, 0);
  ck_status(mapfile_compare(file, 0, buffer, (size_t)size, &order, &done), MAPFILE_TRUNCATED);
  ck_assert_uint_eq(done, cut);
  ck_assert_int_eq(order, 77);
  buffer[cut - 1]++;
  ck_status(mapfile_compare(file, 0, buffer, (size_t)size, &order, &done), MAPFILE_OK);
  ck_assert_uint_eq(done, cut - 1);
  ck_assert_int_lt(order, 0);
  ck_status(mapfile_find(file, 0, MAPFILE_TO_END, zeros, sizeof zeros, &found, &searched), MAPFILE_TRUNCATED);
  ck_assert_uint_eq(found, 77);
  ck_assert_uint_le(searched, cut);
  ck_assert_uint_ge(searched, cut - sizeof zeros);
  ck_status(mapfile_scan(file, 0, MAPFILE_TO_END, 0, 0, take_chunk, &reached, &searched), MAPFILE_TRUNCATED);
  ck_assert_uint_le(searched, cut);
  free(buffer);
}

START_TEST(truncated_in_page) {
  mapfile *file;

  make(_i / 2);
  file = ck_open(path, _i % 2 ? MAPFILE_ACCESS_COPIED : MAPFILE_ACCESS_MAPPED, 0);
  stranger_truncates(path, cut);
  ck_cut_in_page(file);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(truncated_in_last_page) {
  mapfile *file;

  make(_i / 2);
  cut = size - 100;
  file = ck_open(path, _i % 2 ? MAPFILE_ACCESS_COPIED : MAPFILE_ACCESS_MAPPED, 0);
  stranger_truncates(path, cut);
  ck_cut_in_page(file);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(truncated_copied_pin) {
  mapfile_view view = MAPFILE_VIEW_INIT, kept = MAPFILE_VIEW_INIT;
  mapfile *file;

  make(_i / 2);
  file = ck_open(path, _i % 2 ? MAPFILE_ACCESS_COPIED : MAPFILE_ACCESS_MAPPED, 0);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_COPY, &kept);
  stranger_truncates(path, cut);
  ck_status(mapfile_pin(file, 0, size, MAPFILE_COPY, &view), MAPFILE_TRUNCATED);
  ck_assert_ptr_null(view.data);
  ck_pin(file, 0, cut, MAPFILE_COPY, &view);
  ck_assert(pattern_holds(view.data, view.length, 0));
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_assert(pattern_holds(kept.data, kept.length, 0));
  ck_status(mapfile_unpin(&kept), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(truncated_zero_fill) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_scope scope;
  unsigned char *data;
  mapfile *file;

  if (getenv("MAPFILE_TEST_EMULATOR") != NULL && page_size() > 4096) {
    printf("SKIP zeros behind a cut within a page: an emulated map with large pages ends where its file does\n");
    return;
  }
  make(_i);
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL | MAPFILE_VERIFY, &view);
  data = view.data;
  MAPFILE_SCOPE_INIT(&scope);
  ck_status(mapfile_scope_begin(&scope, file, &view), MAPFILE_OK);
  stranger_truncates(path, cut);
  ck_assert(pattern_holds(data, (size_t)cut, 0));
  for (uint64_t at = cut; at < size; at++) {
    ck_assert_uint_eq(data[at], 0);
  }
  ck_status(mapfile_scope_end(&scope, &fault), MAPFILE_UNKNOWN);
  ck_assert_uint_eq(fault.filled_pages, 64 - 21);
  ck_assert_uint_eq(fault.offset, first_lost());
  ck_explained(&fault, MAPFILE_TRUNCATED, 0);
  /* The zeros stay, also for later scopes and when the file has its bytes again, and are told of each time. */
  stranger_writes(path, cut, (size_t)(size - cut));
  ck_status(mapfile_scope_begin(&scope, file, &view), MAPFILE_OK);
  ck_assert_uint_eq(data[size - 1], 0);
  ck_status(mapfile_scope_end(&scope, NULL), MAPFILE_UNKNOWN);
  ck_status(mapfile_unpin(&view), MAPFILE_UNKNOWN);
  ck_pin(file, 0, size, MAPFILE_ZERO_FILL, &view);
  ck_assert(pattern_holds(view.data, view.length, 0));
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(truncated_zero_fill_good) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_scope scope;
  mapfile *file;

  make(_i);
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL | MAPFILE_VERIFY, &view);
  MAPFILE_SCOPE_INIT(&scope);
  ck_status(mapfile_scope_begin(&scope, file, &view), MAPFILE_OK);
  ck_assert(pattern_holds(view.data, view.length, 0));
  ck_status(mapfile_close(file), MAPFILE_BUSY);
  ck_status(mapfile_scope_end(&scope, &fault), MAPFILE_OK);
  ck_assert_uint_eq(fault.filled_pages, 0);
  ck_status(mapfile_scope_begin(&scope, file, &view), MAPFILE_OK);
  stranger_truncates(path, cut); /* noticed by VERIFY although nothing was touched */
  ck_status(mapfile_scope_end(&scope, &fault), MAPFILE_TRUNCATED);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(truncated_shared_store) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile *file;

  make(_i);
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, MAPFILE_WRITE);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_SHARED, &view);
  ck_status(touch_write(file, &view, size - 7, &fault), MAPFILE_OK);
  stranger_truncates(path, cut);
  ck_status(touch_write(file, &view, size - 7, &fault), MAPFILE_UNKNOWN);
  ck_fault(&fault, file, &view, size - 7, MAPFILE_FAULT_WRITE);
  ck_explained(&fault, MAPFILE_TRUNCATED, 0);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(truncated_to_nothing) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  uint64_t length = 77;
  mapfile *file;

  make(_i);
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  stranger_truncates(path, 0);
  ck_status(touch_read(file, &view, 0, &fault), MAPFILE_UNKNOWN);
  ck_fault(&fault, file, &view, 0, MAPFILE_FAULT_READ);
  ck_explained(&fault, MAPFILE_TRUNCATED, 0);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_check(file), MAPFILE_TRUNCATED);
  ck_status(mapfile_size(file, &length), MAPFILE_OK);
  ck_assert_uint_eq(length, 0);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  ck_assert_uint_eq(view.length, 0);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

Suite *truncated_suite(void) {
  Suite *suite;
  TCase *tests;

  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (place(kinds[i]) != NULL) {
      folders[folder_count++] = place(kinds[i]);
    } else {
      skip("truncation of a file there", kinds[i]);
    }
  }
  if (folder_count == 0) {
    return NULL;
  }
  if (place("FUSE") != NULL) {
    control("clear");
  }
  suite = suite_create("truncation");
  tests = tcase_create("by another process");
  tcase_set_timeout(tests, 120);
  tcase_add_checked_fixture(tests, NULL, teardown);
  tcase_add_loop_test(tests, truncated_fault, 0, folder_count);
  tcase_add_loop_test(tests, truncated_then_grown, 0, folder_count);
  tcase_add_loop_test(tests, truncated_verify, 0, folder_count);
  tcase_add_loop_test(tests, truncated_whole_operations, 0, 2 * folder_count);
  tcase_add_loop_test(tests, truncated_in_page, 0, 2 * folder_count);
  tcase_add_loop_test(tests, truncated_in_last_page, 0, 2 * folder_count);
  tcase_add_loop_test(tests, truncated_copied_pin, 0, 2 * folder_count);
  tcase_add_loop_test(tests, truncated_zero_fill, 0, folder_count);
  tcase_add_loop_test(tests, truncated_zero_fill_good, 0, folder_count);
  tcase_add_loop_test(tests, truncated_shared_store, 0, folder_count);
  tcase_add_loop_test(tests, truncated_to_nothing, 0, folder_count);
  suite_add_tcase(suite, tests);
  return suite;
}
