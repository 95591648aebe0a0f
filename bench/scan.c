/*
 * Reading a whole file that is in the page cache, from start to end.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* posix_fadvise beside the C library's own names */
#endif

#include "bench.h"

#include <fcntl.h>
#include <mapfile.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { READ_SIZE = 256 << 10, AHEAD = 128 << 10 };

/* All contenders sum by the same code, and begin with opening and end with closing the file. */

static const char *by_map(struct sample *sample) {
  const struct material *material = sample->context;
  int descriptor = open(material->path, O_RDONLY | O_CLOEXEC);
  void *map = mmap(NULL, (size_t)material->size, PROT_READ, MAP_SHARED, descriptor, 0);
  if (map == MAP_FAILED) {
    return "cannot map";
  }
  uint64_t sum = sum_bytes(map, (size_t)material->size);
  munmap(map, (size_t)material->size);
  close(descriptor);
  return sum == material->sum ? NULL : "wrong sum";
}

static const char *by_pread(struct sample *sample) {
  const struct material *material = sample->context;
  int descriptor = open(material->path, O_RDONLY | O_CLOEXEC);
  char *buffer = aligned_alloc(4096, READ_SIZE);
  uint64_t sum = 0, offset = 0;
  ssize_t got = 0;
  while (buffer != NULL && (got = pread(descriptor, buffer, READ_SIZE, (off_t)offset)) > 0) {
    sum += sum_bytes(buffer, (size_t)got);
    offset += (uint64_t)got;
  }
  free(buffer);
  close(descriptor);
  return got == 0 && offset == material->size && sum == material->sum ? NULL : "wrong sum";
}

struct progress {
  uint64_t sum, next;
  bool gap;
};

static mapfile_status MAPFILE_CALL sum_chunk(void *argument, const void *data, size_t length, uint64_t offset) {
  struct progress *progress = argument;
  progress->gap |= offset != progress->next;
  progress->sum += sum_bytes(data, length);
  progress->next = offset + length;
  return MAPFILE_OK;
}

static const char *by_scan(struct sample *sample, uint32_t flags) {
  const struct material *material = sample->context;
  mapfile *file;
  struct progress progress = {0, 0, false};
  uint64_t done = 0;
  if (mapfile_open(material->path, NULL, &file) != MAPFILE_OK) {
    return "cannot open";
  }
  mapfile_status status = mapfile_scan(file, 0, MAPFILE_TO_END, 0, flags, sum_chunk, &progress, &done);
  if (mapfile_close(file) != MAPFILE_OK || status != MAPFILE_OK) {
    return mapfile_strerror(status);
  }
  return progress.sum == material->sum && done == material->size && !progress.gap ? NULL : "wrong sum";
}

static const char *by_library(struct sample *sample) {
  return by_scan(sample, 0);
}

static const char *by_library_copying(struct sample *sample) {
  return by_scan(sample, MAPFILE_SCAN_COPY);
}

static const char *by_view(struct sample *sample) {
  const struct material *material = sample->context;
  mapfile *file;
  mapfile_view view = MAPFILE_VIEW_INIT;
  if (mapfile_open(material->path, NULL, &file) != MAPFILE_OK ||
      mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view) != MAPFILE_OK) {
    return "cannot open and pin";
  }
  uint64_t sum = sum_bytes(view.data, view.length);
  mapfile_unpin(&view);
  mapfile_close(file);
  return sum == material->sum ? NULL : "wrong sum";
}

static void compare_all(struct group *group, struct material *material) {
  int map = group_add(group, "raw mmap", by_map, material, 1);
  int reading = group_add(group, "pread of 256 KiB", by_pread, material, 1);
  int scan = group_add(group, "mapfile_scan", by_library, material, 1);
  int copying = group_add(group, "mapfile_scan, MAPFILE_SCAN_COPY", by_library_copying, material, 1);
  int view = group_add(group, "one live view of all", by_view, material, 1);
  group_compare(group, scan, COMPARE_SPEED, map, 0.98);
  group_compare(group, scan, COMPARE_SPEED, reading, 0);
  group_compare(group, copying, COMPARE_SPEED, map, 0);
  group_compare(group, copying, COMPARE_SPEED, reading, 0.95);
  group_compare(group, view, COMPARE_SPEED, map, 0);
  if (group_measure(group)) {
    double gigabytes = (double)material->size / 1e9;
    group_note(group, "%.0f MiB; GB/s: raw mmap %.1f, pread %.1f, mapfile_scan %.1f", (double)material->size / 1048576,
               gigabytes / group_median(group, map), gigabytes / group_median(group, reading),
               gigabytes / group_median(group, scan));
  }
}

void bench_scan(struct group *group, const struct plan *plan) {
  struct material material = plan->large;
  group_begin(group, "scan", "ms", 1e3, "summing a cached file, as it was written");
  compare_all(group, &material);
}

/* Bring the file into the cache in pages of the smallest size, as reading ahead by request leaves it. */
static bool cache_in_small_pages(struct group *group, const struct material *material) {
  int descriptor = open(material->path, O_RDWR | O_CLOEXEC);
  if (descriptor < 0 || fsync(descriptor) != 0 || posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) != 0) {
    return group_fail(group, "cannot empty the cache");
  }
  for (uint64_t offset = 0; offset < material->size; offset += AHEAD) {
    posix_fadvise(descriptor, (off_t)offset, AHEAD, POSIX_FADV_WILLNEED);
  }
  struct sample sample = {NULL, 1, 0, 0, false};
  struct material copy = *material;
  sample.context = &copy;
  close(descriptor);
  const char *wrong = by_pread(&sample);
  return wrong == NULL || group_fail(group, "%s", wrong);
}

void bench_scan_small_pages(struct group *group, const struct plan *plan) {
  struct material material = plan->large;
  group_begin(group, "scan-small", "ms", 1e3,
              "summing a cached file that was read ahead by POSIX_FADV_WILLNEED (small pages)");
  if (!material.made) {
    group_note(group, "skipped: the cache state of a file that was given is left alone");
    return;
  }
  if (cache_in_small_pages(group, &material)) {
    compare_all(group, &material);
  }
}
