/*
 * Full file systems: a store into a hole of a shared view finds no room. Needs the tmpfs of fixed size, the small ext4.
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

static const char *folders[2];
static int folder_count;
static char path[4096];
static uint64_t size, hole;

/* 16 pages of which all but the first are holes. */
static void make(int folder) {
  char *made = make_file(folders[folder], "holes", page_size());

  snprintf(path, sizeof path, "%s", made);
  free(made);
  hole = 8 * page_size();
  size = 16 * page_size();
  ck_assert_int_eq(truncate(path, (off_t)size), 0);
}

static void teardown(void) {
  for (int i = 0; i < folder_count; i++) {
    char name[4096];

    empty_again(folders[i]);
    snprintf(name, sizeof name, "%s/holes", folders[i]);
    unlink(name);
  }
}

START_TEST(full_store) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile *file;

  make(_i);
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, MAPFILE_WRITE);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_SHARED, &view);
  fill_up(folders[_i]);
  ck_status(touch_write(file, &view, 10, &fault), MAPFILE_OK); /* this page has its block */
  ck_status(touch_write(file, &view, hole + 10, &fault), MAPFILE_UNKNOWN);
  ck_fault(&fault, file, &view, hole + 10, MAPFILE_FAULT_WRITE);
  ck_explained(&fault, MAPFILE_NO_SPACE, ENOSPC);
  empty_again(folders[_i]);
  ck_status(touch_write(file, &view, hole + 10, &fault), MAPFILE_OK);
  ck_assert_uint_eq(((volatile unsigned char *)view.data)[hole + 10], 'w');
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

/* Room is made before the cause is asked for: then it cannot be told any more, and is not guessed. */
START_TEST(full_no_longer) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile *file;
  mapfile_status cause;

  make(_i);
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, MAPFILE_WRITE);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_SHARED, &view);
  fill_up(folders[_i]);
  ck_status(touch_write(file, &view, hole, &fault), MAPFILE_UNKNOWN);
  empty_again(folders[_i]);
  sync(); /* ext4 gives blocks back when the transaction is committed */
  cause = mapfile_fault_explain(&fault);
  ck_assert_msg(cause == MAPFILE_UNKNOWN || cause == MAPFILE_CHANGED, "cause %s", mapfile_strerror(cause));
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

/* Reading is no matter of room where the file system does not allocate for it (tmpfs does for maps). */
START_TEST(full_read) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  unsigned char *buffer = malloc(16 * page_size());
  size_t done = 0;
  mapfile *file;
  mapfile_status result;

  make(_i);
  ck_assert_ptr_nonnull(buffer);
  file = ck_open(path, MAPFILE_ACCESS_MAPPED, 0);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  fill_up(folders[_i]);
  result = touch_read(file, &view, hole + 10, &fault);
  if (result == MAPFILE_OK) {
    ck_assert_uint_eq(((volatile unsigned char *)view.data)[hole + 10], 0);
  } else {
    ck_fault(&fault, file, &view, hole + 10, MAPFILE_FAULT_READ);
    ck_explained(&fault, MAPFILE_NO_SPACE, ENOSPC);
  }
  result = mapfile_read(file, 0, buffer, (size_t)size, &done);
  ck_assert_msg(result == MAPFILE_OK || result == MAPFILE_NO_SPACE, "read says %s", mapfile_strerror(result));
  ck_assert_uint_ge(done, result == MAPFILE_OK ? size : page_size());
  ck_assert(pattern_holds(buffer, page_size(), 0));
  free(buffer);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(full_send) {
  char *source = make_file(folders[_i], "source", 40 * page_size());
  char receiver[4096];
  struct stat state;
  uint64_t done = 12345;
  mapfile *file;
  int fd;

  snprintf(receiver, sizeof receiver, "%s/holes", folders[_i]);
  file = ck_open(source, MAPFILE_ACCESS_AUTO, 0);
  fd = open(receiver, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  ck_assert_int_ge(fd, 0);
  fill_up(folders[_i]);
  ck_status(mapfile_send(file, 0, MAPFILE_TO_END, fd, &done), MAPFILE_NO_SPACE);
  ck_assert_int_eq(mapfile_native_error(), ENOSPC);
  ck_assert_int_eq(fstat(fd, &state), 0);
  ck_assert_uint_eq(done, (uint64_t)state.st_size);
  close(fd);
  unlink(source);
  free(source);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

static const uint32_t accesses[] = {MAPFILE_ACCESS_MAPPED, MAPFILE_ACCESS_COPIED};

static void ck_in_file(mapfile *file, uint64_t offset, const unsigned char *bytes, size_t length) {
  mapfile_view view = MAPFILE_VIEW_INIT;

  ck_pin(file, offset, length, MAPFILE_ANY, &view);
  ck_assert(length == 0 || memcmp(view.data, bytes, length) == 0);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
}

/* What fits is written and counted; the rest is an error, and can be written once there is room. */
static void write_into_full(int folder, uint32_t access) {
  size_t length = 15 * page_size(), done = 12345;
  unsigned char *bytes = malloc(length);
  uint64_t known = 0;
  mapfile *file;

  ck_assert_ptr_nonnull(bytes);
  make(folder);
  pattern_fill(bytes, length, 999);
  file = ck_open(path, access, MAPFILE_WRITE);
  fill_up(folders[folder]);
  ck_status(mapfile_write(file, 10, bytes, 100, NULL), MAPFILE_OK); /* this page has its block */
  ck_status(mapfile_write(file, 10, bytes, length, &done), MAPFILE_NO_SPACE);
  ck_assert_int_eq(mapfile_native_error(), ENOSPC);
  ck_assert_uint_ge(done, page_size() - 10);
  ck_assert_uint_lt(done, length);
  ck_in_file(file, 10, bytes, page_size() - 10);
  ck_status(mapfile_write(file, 4 * size, bytes, length, &done), MAPFILE_NO_SPACE);
  ck_assert_uint_lt(done, length);
  ck_status(mapfile_size(file, &known), MAPFILE_OK);
  ck_assert_uint_eq(known, done > 0 ? 4 * size + done : size);
  empty_again(folders[folder]);
  sync();
  ck_status(mapfile_write(file, 10, bytes, length, &done), MAPFILE_OK);
  ck_assert_uint_eq(done, length);
  ck_in_file(file, 10, bytes, length);
  ck_status(mapfile_close(file), MAPFILE_OK);
  free(bytes);
}

START_TEST(full_write) {
  for (size_t i = 0; i < sizeof accesses / sizeof *accesses; i++) {
    write_into_full(_i, accesses[i]);
  }
}
END_TEST

/* tmpfs fills the holes that a map only reads. */
static void make_holes_again(void) {
  int fd = open(path, O_RDWR | O_CLOEXEC);
  off_t first = (off_t)page_size();

  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first, (off_t)size - first), 0);
  close(fd);
}

/* The view has its bytes, and keeps them until there is room for them. */
static void commit_into_full(int folder, uint32_t access) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  size_t done = 12345, whole;
  mapfile *file;

  make(folder);
  file = ck_open(path, access, MAPFILE_WRITE);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_PRIVATE, &view);
  whole = view.length;
  pattern_fill(view.data, whole, 555);
  make_holes_again();
  fill_up(folders[folder]);
  ck_status(mapfile_commit(&view, 0, whole, &done), MAPFILE_NO_SPACE);
  ck_assert_int_eq(mapfile_native_error(), ENOSPC);
  ck_assert_uint_ge(done, page_size());
  ck_assert_uint_lt(done, whole);
  ck_assert(pattern_holds(view.data, whole, 555));
  empty_again(folders[folder]);
  sync();
  ck_status(mapfile_commit(&view, done, whole - done, &done), MAPFILE_OK);
  ck_in_file(file, 0, view.data, whole);
  ck_assert(pattern_holds(view.data, whole, 555));
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}

START_TEST(full_commit) {
  for (size_t i = 0; i < sizeof accesses / sizeof *accesses; i++) {
    commit_into_full(_i, accesses[i]);
  }
}
END_TEST

/* A FUSE file system learns of stores only when the kernel writes them back: closing tells. */
START_TEST(full_behind_the_cache) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  char *name = make_file(place("FUSE"), "late", 16 * page_size());
  mapfile *file = ck_open(name, MAPFILE_ACCESS_MAPPED, MAPFILE_WRITE);

  control("clear");
  control("write ENOSPC 0 end late");
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_SHARED, &view);
  ck_status(touch_write(file, &view, 5 * page_size(), &fault), MAPFILE_OK);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_NO_SPACE);
  ck_assert_int_eq(mapfile_native_error(), ENOSPC);
  control("clear");
  unlink(name);
  free(name);
}
END_TEST

static void add_full(const char *kind) {
  if (place(kind) != NULL) {
    folders[folder_count++] = place(kind);
  } else {
    skip("a full file system of this kind", kind);
  }
}

Suite *full_suite(void) {
  Suite *suite;
  TCase *tests;

  add_full("TMPFS");
  add_full("EXT4");
  if (folder_count == 0 && place("FUSE") == NULL) {
    return NULL;
  }
  suite = suite_create("no space");
  tests = tcase_create("full file system");
  tcase_set_timeout(tests, 120);
  tcase_add_checked_fixture(tests, NULL, teardown);
  tcase_add_loop_test(tests, full_store, 0, folder_count);
  tcase_add_loop_test(tests, full_no_longer, 0, folder_count);
  tcase_add_loop_test(tests, full_read, 0, folder_count);
  tcase_add_loop_test(tests, full_send, 0, folder_count);
  tcase_add_loop_test(tests, full_write, 0, folder_count);
  tcase_add_loop_test(tests, full_commit, 0, folder_count);
  if (place("FUSE") != NULL) {
    tcase_add_test(tests, full_behind_the_cache);
  }
  suite_add_tcase(suite, tests);
  return suite;
}
