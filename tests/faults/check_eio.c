/*
 * A file system that reports errors: what the library makes of them. Needs the FUSE mount.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE 1
#include "suites.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static char *path;
static uint64_t bad, bad_end, size;
static const uint32_t accesses[] = {MAPFILE_ACCESS_MAPPED, MAPFILE_ACCESS_COPIED};

/* A file of 64 pages, of which the two from the 16th on fail. */
static void setup(void) {
  control("clear");
  bad = 16 * page_size();
  bad_end = 18 * page_size();
  size = 64 * page_size();
  path = make_file(place("FUSE"), "eio", size);
}

static void go_bad(const char *kind, const char *error) {
  control("%s %s %llu %llu eio", kind, error, (unsigned long long)bad, (unsigned long long)(bad_end - bad));
}

static void teardown(void) {
  control("clear");
  unlink(path);
  free(path);
}

START_TEST(eio_fault) {
  static const uint64_t places[] = {0, 1, 5, 4095};
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile *file;

  go_bad("read", "EIO");
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);
  ck_pin(file, 7, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  for (uint64_t page = bad; page < bad_end; page += page_size()) {
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
      ck_status(touch_read(file, &view, page + places[i], &fault), MAPFILE_UNKNOWN);
      ck_fault(&fault, file, &view, page + places[i], MAPFILE_FAULT_READ);
      ck_explained(&fault, MAPFILE_IO, EIO);
    }
  }
  ck_status(touch_read(file, &view, bad - 1, &fault), MAPFILE_OK);
  ck_status(fault.status, MAPFILE_OK);
  ck_status(touch_read(file, &view, bad_end, &fault), MAPFILE_OK);
  ck_status(touch_read(file, &view, size - 1, &fault), MAPFILE_OK);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(eio_fault_in_place) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  volatile uint64_t reached = 0;
  volatile int caught = 0;
  mapfile *file;

  go_bad("read", "EIO");
  file = ck_open(path, MAPFILE_ACCESS_AUTO, 0);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  MAPFILE_TRY(file, NULL, &fault) {
    for (uint64_t at = 0; at < size; at++) {
      reached = at;
      ck_assert_uint_eq(((volatile unsigned char *)view.data)[at], pattern(at));
    }
  }
  MAPFILE_CATCH {
    caught++;
  }
  MAPFILE_END_TRY
  ck_assert_int_eq(caught, 1);
  ck_assert_uint_eq(reached, bad);
  ck_fault(&fault, file, &view, bad, MAPFILE_FAULT_READ);
  ck_explained(&fault, MAPFILE_IO, EIO);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(eio_errno) {
  static const struct {
    const char *name;
    int value;
  } errors[] = {{"EIO", EIO}, {"EREMOTEIO", EREMOTEIO}, {"EBADMSG", EBADMSG}, {"EUCLEAN", EUCLEAN}};
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  size_t done;
  char byte;
  mapfile *file;

  go_bad("read", errors[_i].name);
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  ck_status(touch_read(file, &view, bad + 9, &fault), MAPFILE_UNKNOWN);
  ck_explained(&fault, MAPFILE_IO, errors[_i].value);
  ck_status(mapfile_read(file, bad, &byte, 1, &done), MAPFILE_IO);
  ck_assert_int_eq(mapfile_native_error(), errors[_i].value);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(eio_healed) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile *file;

  go_bad("read", "EIO");
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  ck_status(touch_read(file, &view, bad + 9, &fault), MAPFILE_UNKNOWN);
  control("clear");
  ck_explained(&fault, MAPFILE_UNKNOWN, 0);
  ck_status(touch_read(file, &view, bad + 9, &fault), MAPFILE_OK);
  ck_assert(pattern_holds(view.data, view.length, 0));
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(eio_whole_operations) {
  mapfile *file;

  go_bad("read", "EIO");
  file = ck_open(path, accesses[_i], 0);
  ck_whole_operations(file, size, bad, MAPFILE_IO, EIO);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(eio_copied_pin) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile *file;

  go_bad("read", "EIO");
  file = ck_open(path, accesses[_i], 0);
  ck_status(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_COPY, &view), MAPFILE_IO);
  ck_assert_int_eq(mapfile_native_error(), EIO);
  ck_assert_ptr_null(view.data);
  ck_assert_uint_eq(view.kind, MAPFILE_KIND_NONE);
  ck_status(mapfile_unpin(&view), MAPFILE_INVALID);
  ck_pin(file, 5, bad - 5, MAPFILE_COPY, &view);
  ck_assert(pattern_holds(view.data, view.length, 5));
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_pin(file, bad_end, size - bad_end, MAPFILE_COPY, &view);
  ck_assert(pattern_holds(view.data, view.length, bad_end));
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

/* A copy is there already: what happens to the device afterwards is nothing to it. */
START_TEST(eio_copy_stays) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile *file = ck_open(path, accesses[_i], 0);

  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_COPY, &view);
  go_bad("read", "EIO");
  ck_assert(pattern_holds(view.data, view.length, 0));
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(eio_private) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile *file;

  go_bad("read", "EIO");
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);
  ck_pin(file, bad - page_size(), 4 * page_size(), MAPFILE_PRIVATE, &view);
  ck_assert_uint_eq(view.kind, MAPFILE_KIND_PRIVATE);
  ck_status(touch_write(file, &view, bad - 1, &fault), MAPFILE_OK);
  ck_status(touch_write(file, &view, bad + 1, &fault), MAPFILE_UNKNOWN);
  ck_fault(&fault, file, &view, bad + 1, MAPFILE_FAULT_WRITE);
  ck_explained(&fault, MAPFILE_IO, EIO);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(eio_from_call) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  unsigned char *data;
  int ends[2];
  mapfile *file;
  ssize_t done;

  go_bad("read", "EIO");
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  data = view.data;
  ck_assert_int_eq(pipe(ends), 0);
  errno = 0;
  done = write(ends[1], data + bad + 100, 200);
  ck_assert(done == -1 && errno == EFAULT);
  ck_status(mapfile_fault_from_call(file, &view, data + bad + 100, 200, done, &fault), MAPFILE_UNKNOWN);
  ck_assert_uint_eq(fault.offset, bad + 100);
  ck_explained(&fault, MAPFILE_IO, EIO);
  done = write(ends[1], data + bad - 96, 200);
  ck_assert_int_lt(done, 200);
  ck_status(mapfile_fault_from_call(file, &view, data + bad - 96, 200, done, &fault), MAPFILE_UNKNOWN);
  ck_assert_uint_eq(fault.offset, bad);
  ck_explained(&fault, MAPFILE_IO, EIO);
  ck_status(mapfile_fault_from_call(file, &view, data, 200, 100, &fault), MAPFILE_OK);
  ck_status(fault.status, MAPFILE_OK);
  close(ends[0]);
  close(ends[1]);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(eio_zero_fill) {
  mapfile_statistics statistics = MAPFILE_STATISTICS_INIT;
  mapfile_view view = MAPFILE_VIEW_INIT, other = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_scope scope;
  unsigned char *data;
  mapfile *file;

  go_bad("read", "EIO");
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL, &view);
  ck_pin(file, 0, bad, MAPFILE_ZERO_FILL, &other);
  data = view.data;
  MAPFILE_SCOPE_INIT(&scope);
  ck_status(mapfile_scope_begin(&scope, file, _i ? NULL : &view), MAPFILE_OK);
  ck_assert(pattern_holds(data, (size_t)bad, 0));
  ck_assert_uint_eq(data[bad_end - 1], 0); /* the second bad page before the first */
  for (uint64_t at = bad; at < bad_end; at++) {
    ck_assert_uint_eq(data[at], 0);
  }
  ck_assert(pattern_holds(data + bad_end, (size_t)(size - bad_end), bad_end));
  ck_assert(pattern_holds(other.data, other.length, 0));
  ck_status(mapfile_scope_end(&scope, &fault), MAPFILE_UNKNOWN);
  ck_assert_uint_eq(fault.filled_pages, 2);
  ck_assert_uint_eq(fault.offset / page_size(), (bad_end - 1) / page_size()); /* the first that was met */
  ck_explained(&fault, MAPFILE_IO, EIO);
  ck_status(mapfile_stats(file, &statistics), MAPFILE_OK);
  ck_assert_uint_eq(statistics.filled_pages, 2);
  ck_status(mapfile_unpin(&view), MAPFILE_UNKNOWN);
  ck_status(mapfile_unpin(&other), MAPFILE_OK);
  ck_pin(file, bad, bad_end - bad, MAPFILE_LIVE, &view);
  ck_status(touch_read(file, &view, bad, &fault), MAPFILE_UNKNOWN); /* other views are not filled */
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(eio_check) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile *file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);

  ck_status(mapfile_check(file), MAPFILE_OK);
  control("getattr EIO 0 0 eio");
  ck_status(mapfile_check(file), MAPFILE_IO);
  ck_assert_int_eq(mapfile_native_error(), EIO);
  control("clear");
  ck_status(mapfile_check(file), MAPFILE_OK);
  ck_pin(file, 0, 1, MAPFILE_VERIFY, &view);
  control("getattr EIO 0 0 eio");
  ck_status(mapfile_view_check(&view), MAPFILE_IO);
  control("clear");
  ck_status(mapfile_view_check(&view), MAPFILE_OK);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(eio_open) {
  static const struct {
    const char *name;
    int value;
    mapfile_status status;
  } errors[] = {{"EIO", EIO, MAPFILE_IO},
                {"EACCES", EACCES, MAPFILE_DENIED},
                {"EPERM", EPERM, MAPFILE_DENIED},
                {"EROFS", EROFS, MAPFILE_DENIED},
                {"ENFILE", ENFILE, MAPFILE_LIMIT},
                {"EMFILE", EMFILE, MAPFILE_LIMIT},
                {"ENOENT", ENOENT, MAPFILE_NOT_FOUND},
                {"ENOMEM", ENOMEM, MAPFILE_NO_MEMORY},
                {"EBUSY", EBUSY, MAPFILE_BUSY}};
  mapfile *file = NULL;

  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
    control("open %s 0 0 eio", errors[i].name);
    ck_status(mapfile_open(path, NULL, &file), errors[i].status);
    ck_assert_int_eq(mapfile_native_error(), errors[i].value);
    ck_assert_ptr_null(file);
    control("clear");
  }
}
END_TEST

START_TEST(eio_close) {
  static const struct {
    const char *name;
    int value;
    mapfile_status status;
  } errors[] = {{"EIO", EIO, MAPFILE_IO}, {"ENOSPC", ENOSPC, MAPFILE_NO_SPACE}, {"EDQUOT", EDQUOT, MAPFILE_NO_SPACE}};
  residue before, after = {0};
  mapfile *file;

  control("flush %s 0 0 eio", errors[_i].name);
  for (int again = 0; again < 12; again++) {
    before = after; /* the last but one: by then what is made once, or kept for later, has been made */
    file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);
    ck_status(mapfile_close(file), errors[_i].status);
    ck_assert_int_eq(mapfile_native_error(), errors[_i].value);
    residue_take(&after);
  }
  ck_assert_int_eq(residue_differs("after a close that failed", &before, &after), 0);
}
END_TEST

/* A store into a page that cannot be read is a fault; one into a page that cannot be written is not, because it goes to
   the cache: the error comes when the pages are written back, at the latest on closing. */
START_TEST(eio_shared_store) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile *file;

  go_bad("read", "EIO");
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, MAPFILE_WRITE);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_SHARED, &view);
  ck_status(touch_write(file, &view, bad + 3, &fault), MAPFILE_UNKNOWN);
  ck_fault(&fault, file, &view, bad + 3, MAPFILE_FAULT_WRITE);
  ck_explained(&fault, MAPFILE_IO, EIO);
  control("clear");
  go_bad("write", "EIO");
  ck_status(touch_write(file, &view, bad + 3, &fault), MAPFILE_OK);
  ck_assert_uint_eq(((volatile unsigned char *)view.data)[bad + 3], 'w');
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_IO);
  ck_assert_int_eq(mapfile_native_error(), EIO);
}
END_TEST

START_TEST(eio_shared_store_reaches_file) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  unsigned char byte = 0;
  mapfile *file = ck_open(path, MAPFILE_ACCESS_MAPPED, MAPFILE_WRITE);

  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_SHARED, &view);
  ck_status(touch_write(file, &view, bad + 3, &fault), MAPFILE_OK);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
  control("drop eio");
  file = ck_open(path, MAPFILE_ACCESS_COPIED, 0);
  ck_status(mapfile_read(file, bad + 3, &byte, 1, NULL), MAPFILE_OK);
  ck_assert_uint_eq(byte, 'w');
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

/* What comes before the bytes that cannot be written is written and counted, as far as the system does it. */
static void write_over_bad(uint32_t access, const char *error, int value, mapfile_status status) {
  unsigned char *bytes = malloc((size_t)size);
  mapfile_view view = MAPFILE_VIEW_INIT;
  size_t done = 12345;
  mapfile *file;

  ck_assert_ptr_nonnull(bytes);
  pattern_fill(bytes, (size_t)size, 777);
  file = ck_open(path, access, MAPFILE_WRITE);
  go_bad("write", error);
  ck_status(mapfile_write(file, 0, bytes, (size_t)size, &done), status);
  ck_assert_int_eq(mapfile_native_error(), value);
  ck_assert_uint_le(done, bad);
  ck_pin(file, 0, done, MAPFILE_ANY, &view);
  ck_assert(pattern_holds(view.data, done, 777));
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_write(file, bad + 5, bytes, 10, &done), status);
  ck_assert_uint_eq(done, 0);
  ck_status(mapfile_write(file, bad_end, bytes + bad_end, (size_t)(size - bad_end), &done), MAPFILE_OK);
  control("clear");
  ck_status(mapfile_write(file, 0, bytes, (size_t)bad_end, &done), MAPFILE_OK);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  ck_assert(pattern_holds(view.data, view.length, 777));
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
  free(bytes);
}

START_TEST(eio_write) {
  static const struct {
    const char *name;
    int value;
    mapfile_status status;
  } errors[] = {{"EIO", EIO, MAPFILE_IO},
                {"EREMOTEIO", EREMOTEIO, MAPFILE_IO},
                {"ENOENT", ENOENT, MAPFILE_IO},
                {"ENOSPC", ENOSPC, MAPFILE_NO_SPACE},
                {"EDQUOT", EDQUOT, MAPFILE_NO_SPACE},
                {"EFBIG", EFBIG, MAPFILE_LIMIT},
                {"EROFS", EROFS, MAPFILE_DENIED},
                {"EACCES", EACCES, MAPFILE_DENIED}};

  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
    write_over_bad(accesses[_i], errors[i].name, errors[i].value, errors[i].status);
  }
}
END_TEST

/* The bytes to be written cannot be read: those of a view of another file, and of a private view that was not stored to
   everywhere. */
START_TEST(eio_source) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  char *target = make_file(place("FUSE"), "target", 10);
  size_t done = 12345;
  uint64_t known = 0;
  mapfile *file, *other;

  go_bad("read", "EIO");
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, MAPFILE_WRITE);
  other = ck_open(target, MAPFILE_ACCESS_MAPPED, MAPFILE_WRITE);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  ck_status(mapfile_write(other, 3, (const char *)view.data + 100, view.length - 100, &done), MAPFILE_IO);
  ck_assert_int_eq(mapfile_native_error(), EIO);
  ck_assert_uint_eq(done, bad - 100);
  ck_status(mapfile_size(other, &known), MAPFILE_OK);
  ck_assert_uint_eq(known, 3 + done);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_pin(other, 3, MAPFILE_TO_END, MAPFILE_ANY, &view);
  ck_assert(pattern_holds(view.data, view.length, 100));
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(other), MAPFILE_OK);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_PRIVATE, &view);
  memset(view.data, 'p', 10);
  ck_status(mapfile_commit(&view, 5, view.length - 5, &done), MAPFILE_IO);
  ck_assert_int_eq(mapfile_native_error(), EIO);
  ck_assert_uint_eq(done, bad - 5);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  control("clear");
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  ck_assert(pattern_holds(view.data, 5, 0) && memcmp((const char *)view.data + 5, "ppppp", 5) == 0);
  ck_assert(pattern_holds((const char *)view.data + 10, (size_t)size - 10, 10));
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
  unlink(target);
  free(target);
}
END_TEST

Suite *eio_suite(void) {
  Suite *suite;
  TCase *tests;

  if (place("FUSE") == NULL) {
    skip("errors of a FUSE file system", "FUSE");
    return NULL;
  }
  suite = suite_create("file system errors");
  tests = tcase_create("FUSE");
  tcase_set_timeout(tests, 120);
  tcase_add_checked_fixture(tests, setup, teardown);
  tcase_add_test(tests, eio_fault);
  tcase_add_test(tests, eio_fault_in_place);
  tcase_add_loop_test(tests, eio_errno, 0, 4);
  tcase_add_test(tests, eio_healed);
  tcase_add_loop_test(tests, eio_whole_operations, 0, 2);
  tcase_add_loop_test(tests, eio_copied_pin, 0, 2);
  tcase_add_loop_test(tests, eio_copy_stays, 0, 2);
  tcase_add_test(tests, eio_private);
  tcase_add_test(tests, eio_from_call);
  tcase_add_loop_test(tests, eio_zero_fill, 0, 2);
  tcase_add_test(tests, eio_check);
  tcase_add_test(tests, eio_open);
  tcase_add_loop_test(tests, eio_close, 0, 3);
  tcase_add_test(tests, eio_shared_store);
  tcase_add_test(tests, eio_shared_store_reaches_file);
  tcase_add_loop_test(tests, eio_write, 0, 2);
  tcase_add_test(tests, eio_source);
  suite_add_tcase(suite, tests);
  return suite;
}
