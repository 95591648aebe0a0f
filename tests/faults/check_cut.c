/*
 * A disk that has lost its end: ext4 on a loop device whose backing file was cut. Needs the folder CUT, with the file
 * victim, which held the pattern before.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE 1
#include "suites.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[4096];
static uint64_t size, bad;

/* Where the loss begins is up to the file system: it is asked by plain reads. */
static void setup(void) {
  unsigned char *page = malloc(page_size());
  struct stat state;
  int fd;

  ck_assert_ptr_nonnull(page);
  snprintf(path, sizeof path, "%s/victim", place("CUT"));
  fd = open(path, O_RDONLY | O_CLOEXEC);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(fstat(fd, &state), 0);
  size = (uint64_t)state.st_size;
  for (bad = 0; bad < size && pread(fd, page, page_size(), (off_t)bad) > 0; bad += page_size()) {
    ck_assert(pattern_holds(page, page_size(), bad));
  }
  ck_assert_msg(bad > 40000 && bad < size, "the cut spared or took the whole file");
  errno = 0;
  ck_assert_int_eq(pread(fd, page, page_size(), (off_t)(size - page_size())), -1);
  ck_assert_int_eq(errno, EIO);
  close(fd);
  free(page);
}

START_TEST(cut_fault) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile *file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);

  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  ck_assert(pattern_holds(view.data, (size_t)bad, 0));
  ck_status(touch_read(file, &view, bad + 77, &fault), MAPFILE_UNKNOWN);
  ck_fault(&fault, file, &view, bad + 77, MAPFILE_FAULT_READ);
  ck_explained(&fault, MAPFILE_IO, EIO);
  ck_status(touch_read(file, &view, size - 1, &fault), MAPFILE_UNKNOWN);
  ck_fault(&fault, file, &view, size - 1, MAPFILE_FAULT_READ);
  ck_explained(&fault, MAPFILE_IO, EIO);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(cut_whole_operations) {
  mapfile *file = ck_open(path, _i ? MAPFILE_ACCESS_COPIED : MAPFILE_ACCESS_MAPPED, 0);

  ck_whole_operations(file, size, bad, MAPFILE_IO, EIO);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(cut_copied_pin) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile *file = ck_open(path, _i ? MAPFILE_ACCESS_COPIED : MAPFILE_ACCESS_MAPPED, 0);

  ck_status(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_COPY, &view), MAPFILE_IO);
  ck_assert_int_eq(mapfile_native_error(), EIO);
  ck_pin(file, 0, bad, MAPFILE_COPY, &view);
  ck_assert(pattern_holds(view.data, view.length, 0));
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(cut_zero_fill) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_scope scope;
  unsigned char *data;
  mapfile *file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);

  ck_pin(file, 0, bad + 3 * page_size(), MAPFILE_ZERO_FILL, &view);
  data = view.data;
  MAPFILE_SCOPE_INIT(&scope);
  ck_status(mapfile_scope_begin(&scope, file, &view), MAPFILE_OK);
  for (uint64_t at = 0; at < view.length; at++) {
    ck_assert_uint_eq(data[at], at < bad ? pattern(at) : 0);
  }
  ck_status(mapfile_scope_end(&scope, &fault), MAPFILE_UNKNOWN);
  ck_assert_uint_eq(fault.filled_pages, 3);
  ck_assert_uint_eq(fault.offset, bad);
  ck_explained(&fault, MAPFILE_IO, EIO);
  ck_status(mapfile_unpin(&view), MAPFILE_UNKNOWN);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

Suite *cut_suite(void) {
  Suite *suite;
  TCase *tests;

  if (place("CUT") == NULL) {
    skip("a disk that has lost its end", "CUT");
    return NULL;
  }
  suite = suite_create("lost disk");
  tests = tcase_create("loop device with its backing file cut");
  tcase_set_timeout(tests, 120);
  tcase_add_checked_fixture(tests, setup, NULL);
  tcase_add_test(tests, cut_fault);
  tcase_add_loop_test(tests, cut_whole_operations, 0, 2);
  tcase_add_loop_test(tests, cut_copied_pin, 0, 2);
  tcase_add_test(tests, cut_zero_fill);
  suite_add_tcase(suite, tests);
  return suite;
}
