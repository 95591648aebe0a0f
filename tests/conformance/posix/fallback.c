/*
 * fallback.c - pin-fallback on POSIX: what cannot be mapped as planned is mapped otherwise, or read.
 *
 * SPDX-License-Identifier: MIT
 */
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void expect_bytes(mapfile *file, uint64_t offset, size_t length, uint32_t flags) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, offset, length, flags, &view);
  EXPECT(conf_is_pattern(view.data, length, offset));
  conf_unpin(&view);
}

/* With mlockall, every map must fit in what may be locked: a map larger than the file is refused. */
static void pin_while_locked(void *argument) {
  mapfile **files = argument;
  struct rlimit limit;
  mapfile_view view = MAPFILE_VIEW_INIT;
  EXPECT(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
  limit.rlim_cur = 2 << 20;
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < limit.rlim_cur)
    limit.rlim_cur = limit.rlim_max;
  EXPECT(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
  if (geteuid() == 0)
    conf_become_nobody();
  if (mlockall(MCL_FUTURE) != 0)
    conf_not_testable("memory cannot be locked: %s", strerror(errno));
  if (mmap(NULL, 64 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
    conf_not_testable("the system does not limit locked memory");
  expect_bytes(files[0], 0, 200000, MAPFILE_ANY);
  expect_bytes(files[0], 0, 200000, conf_live());
  expect_bytes(files[1], 20 << 20, 4 * conf_page, MAPFILE_ANY);
  EXPECT_ONE_OF(mapfile_pin(files[1], 0, MAPFILE_TO_END, MAPFILE_ANY, &view), MAPFILE_LIMIT, MAPFILE_NO_MEMORY);
  expect_bytes(files[1], 20 << 20, 4 * conf_page, MAPFILE_COPY);
}

static void locked_memory(void) {
  mapfile *files[2];
  if (conf_instrument() != NULL)
    conf_not_testable("locked memory cannot be limited under %s", conf_instrument());
  files[0] = conf_open(conf_make("small", 200000), 0);
  const char *path = conf_make_sparse("sparse", 64 << 20);
  conf_write_pattern(path, 20 << 20, 4 * conf_page);
  files[1] = conf_open(path, 0);
  conf_child(pin_while_locked, files);
  conf_close(files[0]);
  conf_close(files[1]);
}

static unsigned fallbacks_told;

static void MAPFILE_CALL count_fallbacks(void *argument, const mapfile_event *event) {
  (void)argument;
  if (event->kind == MAPFILE_EVENT_FALLBACK) {
    EXPECT(event->status != MAPFILE_OK);
    fallbacks_told++;
  }
}

/* A file that has a size and bytes, but cannot be mapped: files of sysfs are such. */
static void unmappable(void) {
  static const char *const paths[] = {"/sys/kernel/notes", "/sys/firmware/acpi/tables/FACP", "/sys/kernel/mm/notes"};
  static unsigned char wanted[1 << 16];
  ssize_t size = -1;
  const char *path = NULL;
  for (unsigned i = 0; i < 3 && size <= 0; i++) {
    struct stat info;
    int descriptor = open(path = paths[i], O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
      continue;
    void *map = mmap(NULL, conf_page, PROT_READ, MAP_SHARED, descriptor, 0);
    if (map == MAP_FAILED && fstat(descriptor, &info) == 0 && info.st_size > 16)
      size = read(descriptor, wanted, sizeof wanted) == info.st_size ? (ssize_t)info.st_size : -1;
    close(descriptor);
  }
  if (size <= 0)
    conf_not_testable("there is no file that can be read and not mapped");
  mapfile *file = conf_open(path, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_set_trace(count_fallbacks, NULL);
  for (int i = 0; i < 3; i++) {
    conf_pin(file, 3, MAPFILE_TO_END, i == 1 ? MAPFILE_PRIVATE : MAPFILE_ANY, &view);
    EXPECT_UINT(view.length, (uint64_t)size - 3);
    EXPECT(memcmp(view.data, wanted + 3, view.length) == 0);
    EXPECT(view.kind != MAPFILE_KIND_LIVE);
    conf_expect_good(file, &view, view.data);
    conf_unpin(&view);
  }
  EXPECT_STATUS(mapfile_pin(file, 0, 1, MAPFILE_LIVE, &view), MAPFILE_UNSUPPORTED);
  if (conf_access != MAPFILE_ACCESS_COPIED) {
    EXPECT(conf_stats(file).fallbacks >= 1);
    EXPECT(fallbacks_told >= 1);
  }
  uint64_t found = 0, done = 0;
  EXPECT_STATUS(mapfile_find(file, 0, MAPFILE_TO_END, wanted + size - 8, 8, &found, &done), MAPFILE_OK);
  conf_close(file);
}

#define N CONF_NO_FAULTS

static const conf_case table[] = {
    {"pin-fallback", "locked-memory", "A program that locks its memory cannot use the library.", CONF_ANY, N,
     locked_memory},
    {"pin-fallback", "unmappable", "Files that cannot be mapped cannot be used.", CONF_ANY, N, unmappable},
};

CONF_GROUP(conf_unmappable, "falling back on POSIX");
