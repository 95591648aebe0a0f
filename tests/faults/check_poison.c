/*
 * Poisoned memory: userfaultfd's UFFDIO_POISON on the memory of a live view. Needs root or a system that allows it.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE 1
#include "suites.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UFFDIO_POISON /* Linux 6.6 */
struct uffdio_poison {
  struct uffdio_range range;
  __u64 mode;
  __s64 updated;
};
#define UFFDIO_POISON _IOWR(0xAA, 0x08, struct uffdio_poison)
#define UFFD_FEATURE_POISON (1 << 14)
#endif

static char why_not[128];

/* A descriptor that can poison, or -1 with the reason in why_not. */
static int poisoner(void) {
  struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_POISON};
  int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

  if (uffd < 0) {
    snprintf(why_not, sizeof why_not, "userfaultfd is not allowed: %s", strerror(errno));
    return -1;
  }
  if (ioctl(uffd, UFFDIO_API, &api) != 0) {
    snprintf(why_not, sizeof why_not, "this kernel has no UFFDIO_POISON: %s", strerror(errno));
    close(uffd);
    return -1;
  }
  return uffd;
}

/* Poison length bytes at offset of a view that begins at a page. The hole stays the kernel's to fill elsewhere. */
static int poison(const mapfile_view *view, uint64_t offset, uint64_t length) {
  struct uffdio_register area = {.range = {(uintptr_t)view->data + offset, length},
                                 .mode = UFFDIO_REGISTER_MODE_MISSING};
  struct uffdio_poison bad = {.range = area.range};
  int uffd = poisoner();

  ck_assert_int_ge(uffd, 0);
  ck_assert_int_eq(ioctl(uffd, UFFDIO_REGISTER, &area), 0);
  ck_assert_int_eq(ioctl(uffd, UFFDIO_POISON, &bad), 0);
  return uffd;
}

/* In memory, with the pattern except in its fifth and sixth page, which are holes and can be poisoned. */
static int make(uint64_t size) {
  unsigned char *page = malloc(page_size());
  int fd = memfd_create("poison", MFD_CLOEXEC);

  ck_assert_ptr_nonnull(page);
  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
  for (uint64_t at = 0; at < size; at += page_size()) {
    pattern_fill(page, page_size(), at);
    if (at / page_size() != 4 && at / page_size() != 5) {
      ck_assert_int_eq(pwrite(fd, page, page_size(), (off_t)at), (ssize_t)page_size());
    }
  }
  free(page);
  return fd;
}

/* Where the kernel says that it is memory, this is known at once and for good; where it does not (it was built without
   memory failure), the page can be read now and nothing shows why not. */
static void ck_poisoned(mapfile_status result, mapfile_fault *fault) {
  if (fault->code == BUS_MCEERR_AR) {
    ck_status(result, MAPFILE_POISONED);
    ck_explained(fault, MAPFILE_POISONED, 0);
  } else {
    ck_status(result, MAPFILE_UNKNOWN);
    ck_assert_int_eq(fault->code, BUS_ADRERR);
    ck_explained(fault, MAPFILE_UNKNOWN, 0);
  }
}

START_TEST(poison_fault) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile *file;
  uint64_t page = page_size();
  int uffd, fd = make(16 * page);
  mapfile_status result;

  options.flags = MAPFILE_ADOPT;
  options.access = MAPFILE_ACCESS_MAPPED;
  ck_status(mapfile_open_handle(fd, &options, &file), MAPFILE_OK);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  uffd = poison(&view, 4 * page, 2 * page);
  for (int again = 0; again < 3; again++) {
    result = touch_read(file, &view, 4 * page + 9, &fault);
    ck_assert_uint_eq(fault.offset, 4 * page + 9);
    ck_assert_ptr_eq(fault.address, (char *)view.data + 4 * page + 9);
    ck_assert(access_is(&fault, MAPFILE_FAULT_READ));
    ck_assert_int_eq(fault.signal, SIGBUS);
    ck_poisoned(result, &fault);
  }
  ck_status(touch_read(file, &view, 4 * page - 1, &fault), MAPFILE_OK);
  ck_status(touch_read(file, &view, 6 * page, &fault), MAPFILE_OK);
  close(uffd);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

typedef struct chunks_seen {
  uint64_t bytes, sum;
} chunks_seen;

static mapfile_status MAPFILE_CALL see_chunk(void *argument, const void *data, size_t length, uint64_t offset) {
  chunks_seen *seen = argument;
  const volatile unsigned char *bytes = data;
  uint64_t sum = 0;

  (void)offset;
  for (size_t i = 0; i < length; i++) {
    sum += bytes[i];
  }
  seen->bytes += length;
  seen->sum += sum;
  return MAPFILE_OK;
}

START_TEST(poison_whole_operations) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile_view view = MAPFILE_VIEW_INIT;
  unsigned char *buffer;
  mapfile *file;
  size_t page = page_size();
  uint64_t done = 0;
  int uffd, order, fd = make(16 * page);
  size_t equal;
  mapfile_status result;
  chunks_seen seen = {0, 0};

  options.flags = MAPFILE_ADOPT;
  options.access = MAPFILE_ACCESS_MAPPED;
  buffer = malloc(16 * page);
  ck_assert_ptr_nonnull(buffer);
  pattern_fill(buffer, 16 * page, 0);
  memset(buffer + 4 * page, 0, 2 * page);
  ck_status(mapfile_open_handle(fd, &options, &file), MAPFILE_OK);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  uffd = poison(&view, 4 * page, 2 * page);
  /* Through the map the page is bad, through a read it is a hole of zeros: either is right, nothing else is. */
  result = mapfile_scan(file, 0, MAPFILE_TO_END, page, 0, see_chunk, &seen, &done);
  ck_assert(result == MAPFILE_OK || result == MAPFILE_UNKNOWN || result == MAPFILE_POISONED);
  ck_assert_uint_eq(done, result == MAPFILE_OK ? 16 * page : 4 * page);
  ck_assert_uint_eq(seen.bytes, done);
  result = mapfile_compare(file, 0, buffer, 16 * page, &order, &equal);
  ck_assert(result == MAPFILE_OK || result == MAPFILE_UNKNOWN || result == MAPFILE_POISONED);
  ck_assert_uint_eq(equal, result == MAPFILE_OK ? 16 * page : 4 * page);
  close(uffd);
  free(buffer);
  ck_status(mapfile_unpin(&view), MAPFILE_OK);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

START_TEST(poison_zero_fill) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_scope scope;
  mapfile *file;
  uint64_t page = page_size();
  int uffd, fd = make(16 * page);

  options.flags = MAPFILE_ADOPT;
  options.access = MAPFILE_ACCESS_MAPPED;
  ck_status(mapfile_open_handle(fd, &options, &file), MAPFILE_OK);
  ck_pin(file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL, &view);
  uffd = poison(&view, 4 * page, 2 * page);
  MAPFILE_SCOPE_INIT(&scope);
  ck_status(mapfile_scope_begin(&scope, file, &view), MAPFILE_OK);
  for (uint64_t at = 0; at < 16 * page; at++) {
    ck_assert_uint_eq(((unsigned char *)view.data)[at], at / page == 4 || at / page == 5 ? 0 : pattern(at));
  }
  ck_status(mapfile_scope_end(&scope, &fault), MAPFILE_UNKNOWN);
  ck_assert_uint_eq(fault.filled_pages, 2);
  ck_assert_uint_eq(fault.offset, 4 * page);
  close(uffd);
  ck_status(mapfile_unpin(&view), MAPFILE_UNKNOWN);
  ck_status(mapfile_close(file), MAPFILE_OK);
}
END_TEST

Suite *poison_suite(void) {
  int uffd = poisoner();
  Suite *suite;
  TCase *tests;

  if (uffd < 0) {
    printf("SKIP poisoned memory: %s\n", why_not);
    return NULL;
  }
  close(uffd);
  suite = suite_create("poison");
  tests = tcase_create("UFFDIO_POISON");
  tcase_set_timeout(tests, 120);
  tcase_add_test(tests, poison_fault);
  tcase_add_test(tests, poison_whole_operations);
  tcase_add_test(tests, poison_zero_fill);
  suite_add_tcase(suite, tests);
  return suite;
}
