/*
 * Searching a cached file for a string.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* memmem */
#endif

#include "bench.h"

#include <fcntl.h>
#include <mapfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { READ_SIZE = 256 << 10 };

struct search {
  const struct material *material;
  const char *needle;
  size_t length;
  uint64_t expected; /* where it is; UINT64_MAX: nowhere */
};

static const char *right_place(const struct search *search, uint64_t found) {
  return found == search->expected ? NULL : "found at the wrong place";
}

static uint64_t place_in_map(const struct search *search, bool *failed) {
  size_t size = (size_t)search->material->size;
  int descriptor = open(search->material->path, O_RDONLY | O_CLOEXEC);
  char *map = mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0);
  uint64_t place = UINT64_MAX;
  *failed = map == MAP_FAILED;
  if (!*failed) {
    char *hit = memmem(map, size, search->needle, search->length);
    place = hit != NULL ? (uint64_t)(hit - map) : UINT64_MAX;
    munmap(map, size);
  }
  close(descriptor);
  return place;
}

static const char *by_map(struct sample *sample) {
  bool failed;
  uint64_t place = place_in_map(sample->context, &failed);
  return failed ? "cannot map" : right_place(sample->context, place);
}

/* memmem in a buffer that keeps the end of the piece before, so that no place is missed. */
static const char *by_pread(struct sample *sample) {
  const struct search *search = sample->context;
  int descriptor = open(search->material->path, O_RDONLY | O_CLOEXEC);
  char *buffer = malloc(READ_SIZE + search->length);
  uint64_t offset = 0, place = UINT64_MAX;
  size_t kept = 0;
  ssize_t got = 0;
  while (buffer != NULL && place == UINT64_MAX &&
         (got = pread(descriptor, buffer + kept, READ_SIZE, (off_t)offset)) > 0) {
    size_t held = kept + (size_t)got;
    char *hit = memmem(buffer, held, search->needle, search->length);
    if (hit != NULL) {
      place = offset - kept + (uint64_t)(hit - buffer);
    }
    offset += (uint64_t)got;
    kept = held < search->length - 1 ? held : search->length - 1;
    memmove(buffer, buffer + held - kept, kept);
  }
  free(buffer);
  close(descriptor);
  return got < 0 ? "cannot read" : right_place(search, place);
}

static const char *by_library(struct sample *sample) {
  const struct search *search = sample->context;
  mapfile *file;
  uint64_t found = UINT64_MAX, done = 0;
  if (mapfile_open(search->material->path, NULL, &file) != MAPFILE_OK) {
    return "cannot open";
  }
  mapfile_status status = mapfile_find(file, 0, MAPFILE_TO_END, search->needle, search->length, &found, &done);
  if (mapfile_close(file) != MAPFILE_OK || (status != MAPFILE_OK && status != MAPFILE_NOT_FOUND)) {
    return mapfile_strerror(status);
  }
  return right_place(search, found);
}

static bool expect(struct group *group, struct search *search) {
  bool failed;
  search->expected = place_in_map(search, &failed);
  if (failed) {
    return group_fail(group, "cannot map");
  }
  if (search->material->made && search->expected == UINT64_MAX) {
    return group_fail(group, "the made file has no such string");
  }
  return true;
}

static void add_search(struct group *group, struct search *search, const char *what) {
  char name[MEASURE_NAME];
  snprintf(name, sizeof name, "memmem over mmap, %s", what);
  int map = group_add(group, name, by_map, search, 1);
  snprintf(name, sizeof name, "memmem over pread of 256 KiB, %s", what);
  int reading = group_add(group, name, by_pread, search, 1);
  snprintf(name, sizeof name, "mapfile_find, %s", what);
  int own = group_add(group, name, by_library, search, 1);
  group_compare(group, own, COMPARE_SPEED, map, 0);
  group_compare(group, own, COMPARE_SPEED, reading, 0);
}

void bench_find(struct group *group, const struct plan *plan) {
  struct search searches[2] = {{&plan->large, material_short_needle, MATERIAL_SHORT_NEEDLE, 0},
                               {&plan->large, material_needle, MATERIAL_NEEDLE, 0}};
  group_begin(group, "find", "ms", 1e3, "searching a cached file for a string at its very end");
  if (!expect(group, &searches[0]) || !expect(group, &searches[1])) {
    return;
  }
  add_search(group, &searches[0], "3 bytes");
  add_search(group, &searches[1], "12 bytes");
  group_measure(group);
}
