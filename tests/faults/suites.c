/*
 * faults: real faults, each met through libmapfile. Started by tests/faults/run, which makes the file systems.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE 1
#include "suites.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void ck_fault(const mapfile_fault *fault, mapfile *file, const mapfile_view *view, uint64_t offset, uint32_t access) {
  ck_status(fault->status, MAPFILE_UNKNOWN);
  ck_assert_ptr_eq(fault->file, file);
  ck_assert_uint_eq(fault->offset, offset);
  ck_assert_ptr_eq(fault->address, (const char *)view->data + (offset - view->offset));
  ck_assert_msg(access_is(fault, access), "access %u, not %u", (unsigned)fault->access, (unsigned)access);
  ck_assert_int_eq(fault->signal, SIGBUS);
  ck_assert_int_eq(fault->code, BUS_ADRERR);
  ck_assert_int_eq(fault->native_error, 0);
  ck_assert_uint_eq(fault->length, page_size());
}

void ck_explained(mapfile_fault *fault, mapfile_status status, int64_t native) {
  ck_status(mapfile_fault_explain(fault), status);
  ck_status(fault->status, status);
  ck_assert_int_eq(fault->native_error, native);
}

mapfile *ck_open(const char *path, uint32_t access, uint32_t flags) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file = NULL;

  options.access = access;
  options.flags = flags;
  ck_status(mapfile_open(path, &options, &file), MAPFILE_OK);
  return file;
}

void ck_pin(mapfile *file, uint64_t offset, uint64_t length, uint32_t flags, mapfile_view *view) {
  ck_status(mapfile_pin(file, offset, length, flags, view), MAPFILE_OK);
  ck_assert_uint_eq(view->offset, offset);
}

static void ck_read(mapfile *file, uint64_t size, uint64_t bad, mapfile_status status, int64_t native) {
  static const uint64_t before[] = {1, 100, 4096, 10000, 40000};
  unsigned char *buffer = malloc((size_t)size);

  ck_assert_ptr_nonnull(buffer);
  for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
    uint64_t offset = bad - before[i];
    size_t done = 12345;

    memset(buffer, 0, (size_t)size);
    ck_status(mapfile_read(file, offset, buffer, (size_t)before[i], &done), MAPFILE_OK);
    ck_assert_uint_eq(done, before[i]);
    ck_assert(pattern_holds(buffer, done, offset));
    memset(buffer, 0, (size_t)size);
    done = 12345;
    ck_status(mapfile_read(file, offset, buffer, (size_t)(size - offset), &done), status);
    ck_assert_int_eq(mapfile_native_error(), native);
    ck_assert_uint_eq(done, before[i]);
    ck_assert(pattern_holds(buffer, done, offset));
    ck_status(mapfile_read(file, offset, buffer, (size_t)(size - offset), NULL), status);
  }
  free(buffer);
}

static void ck_compare(mapfile *file, uint64_t size, uint64_t bad, mapfile_status status, int64_t native) {
  unsigned char *buffer = malloc((size_t)size);
  int order = 77;
  size_t done = 12345;

  ck_assert_ptr_nonnull(buffer);
  pattern_fill(buffer, (size_t)size, 0);
  ck_status(mapfile_compare(file, 0, buffer, (size_t)size, &order, &done), status);
  ck_assert_int_eq(mapfile_native_error(), native);
  ck_assert_int_eq(order, 77);
  ck_assert_uint_eq(done, bad);
  buffer[bad - 10] = (unsigned char)(buffer[bad - 10] - 1);
  ck_status(mapfile_compare(file, 0, buffer, (size_t)size, &order, &done), MAPFILE_OK);
  ck_assert_int_gt(order, 0);
  ck_assert_uint_eq(done, bad - 10);
  free(buffer);
}

static void ck_find(mapfile *file, uint64_t size, uint64_t bad, mapfile_status status, int64_t native) {
  unsigned char needle[200];
  uint64_t found = 77, done = 12345;

  /* Of a pattern with a period of less than a page, only a needle with a wrong byte is nowhere. */
  pattern_fill(needle, sizeof needle, bad - sizeof needle);
  needle[100] = 0;
  ck_status(mapfile_find(file, 0, MAPFILE_TO_END, needle, sizeof needle, &found, &done), status);
  ck_assert_int_eq(mapfile_native_error(), native);
  ck_assert_uint_eq(found, 77);
  ck_assert_uint_le(done, bad);
  ck_assert_uint_ge(done, bad - sizeof needle);
  ck_status(mapfile_find(file, 5, bad - 5, needle, sizeof needle, &found, &done), MAPFILE_NOT_FOUND);
  pattern_fill(needle, sizeof needle, bad - sizeof needle);
  ck_status(mapfile_find(file, bad - 250, size - bad + 250, needle, sizeof needle, &found, &done), MAPFILE_OK);
  ck_assert_uint_eq(found, bad - sizeof needle);
}

typedef struct chunks {
  uint64_t next;
  int wrong;
} chunks;

static mapfile_status MAPFILE_CALL count_chunk(void *argument, const void *data, size_t length, uint64_t offset) {
  chunks *seen = argument;
  int holds = pattern_holds(data, length, offset); /* may jump out, so the record is made afterwards */

  seen->wrong += !holds || offset != seen->next;
  seen->next = offset + length;
  return MAPFILE_OK;
}

static void ck_scan(mapfile *file, uint64_t bad, mapfile_status status, int64_t native) {
  static const uint32_t flags[] = {0, MAPFILE_SCAN_COPY, MAPFILE_SCAN_ONCE, MAPFILE_SCAN_COPY | MAPFILE_SCAN_ONCE};

  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    for (int paged = 0; paged < 2; paged++) {
      chunks seen = {0, 0};
      uint64_t done = 12345;

      ck_status(mapfile_scan(file, 0, MAPFILE_TO_END, paged ? 1 : 0, flags[i], count_chunk, &seen, &done), status);
      ck_assert_int_eq(mapfile_native_error(), native);
      ck_assert_int_eq(seen.wrong, 0);
      ck_assert_uint_eq(seen.next, done);
      ck_assert_uint_le(done, bad);
      if (paged) {
        ck_assert_uint_eq(done, bad / page_size() * page_size());
      }
    }
  }
}

static void ck_send(mapfile *file, uint64_t bad, mapfile_status status, int64_t native) {
  FILE *receiver = tmpfile();
  unsigned char *buffer = malloc((size_t)bad);
  uint64_t done = 12345;

  ck_assert_ptr_nonnull(receiver);
  ck_assert_ptr_nonnull(buffer);
  ck_status(mapfile_send(file, 3, MAPFILE_TO_END, fileno(receiver), &done), status);
  ck_assert_int_eq(mapfile_native_error(), native);
  ck_assert_uint_eq(done, bad - 3);
  ck_assert_int_eq(lseek(fileno(receiver), 0, SEEK_END), (off_t)done);
  ck_assert_int_eq(pread(fileno(receiver), buffer, (size_t)bad, 0), (ssize_t)done);
  ck_assert(pattern_holds(buffer, (size_t)done, 3));
  free(buffer);
  fclose(receiver);
}

void ck_whole_operations(mapfile *file, uint64_t size, uint64_t bad, mapfile_status status, int64_t native) {
  ck_read(file, size, bad, status, native);
  ck_compare(file, size, bad, status, native);
  ck_find(file, size, bad, status, native);
  ck_scan(file, bad, status, native);
  ck_send(file, bad, status, native);
}

int main(void) {
  static Suite *(*const makers[])(void) = {eio_suite, truncated_suite, full_suite, cut_suite, poison_suite};
  SRunner *runner = srunner_create(NULL);
  int suites = 0, failed;

  setvbuf(stdout, NULL, _IONBF, 0); /* else a test's process prints again what its parent had not yet written */
  for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
    Suite *suite = makers[i]();

    if (suite != NULL) {
      srunner_add_suite(runner, suite);
      suites++;
    }
  }
  srunner_run_all(runner, CK_ENV);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return suites == 0 ? 77 : failed != 0;
}
