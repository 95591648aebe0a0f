/*
 * Opening a file, reading every byte and closing it, in the ways that are in use.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"

#include <fcntl.h>
#include <mapfile.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct summed {
  const mapfile_view *view;
  uint64_t sum;
};

static mapfile_status MAPFILE_CALL sum_body(void *argument) {
  struct summed *summed = argument;
  summed->sum = sum_bytes(summed->view->data, summed->view->length);
  return MAPFILE_OK;
}

static const char *library_open(struct sample *sample, uint32_t flags, uint32_t kind) {
  const struct material *material = sample->context;
  for (uint64_t i = 0; i < sample->count; i++) {
    mapfile *file;
    mapfile_view view = MAPFILE_VIEW_INIT;
    struct summed summed = {&view, 0};
    if (mapfile_open(material->path, NULL, &file) != MAPFILE_OK ||
        mapfile_pin(file, 0, MAPFILE_TO_END, flags, &view) != MAPFILE_OK || view.kind != kind) {
      return "cannot open and pin";
    }
    /* A copy needs no scope; a map is read in one, as a careful program would. */
    mapfile_status status =
        kind == MAPFILE_KIND_COPIED ? sum_body(&summed) : mapfile_try(file, &view, sum_body, &summed, NULL);
    if (status != MAPFILE_OK || summed.sum != material->sum) {
      return "wrong sum";
    }
    if (mapfile_unpin(&view) != MAPFILE_OK || mapfile_close(file) != MAPFILE_OK) {
      return "cannot unpin and close";
    }
  }
  return NULL;
}

static const char *live_pin(struct sample *sample) {
  return library_open(sample, MAPFILE_LIVE, MAPFILE_KIND_LIVE);
}

static const char *copy_pin(struct sample *sample) {
  return library_open(sample, MAPFILE_COPY, MAPFILE_KIND_COPIED);
}

static const char *raw_map(struct sample *sample) {
  const struct material *material = sample->context;
  for (uint64_t i = 0; i < sample->count; i++) {
    struct stat state;
    int descriptor = open(material->path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 || fstat(descriptor, &state) != 0) {
      return "cannot open";
    }
    size_t size = (size_t)state.st_size;
    void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0);
    if (map == MAP_FAILED) {
      return "cannot map";
    }
    uint64_t sum = sum_bytes(map, size);
    munmap(map, size);
    close(descriptor);
    if (sum != material->sum) {
      return "wrong sum";
    }
  }
  return NULL;
}

static const char *read_into_heap(struct sample *sample) {
  const struct material *material = sample->context;
  for (uint64_t i = 0; i < sample->count; i++) {
    struct stat state;
    int descriptor = open(material->path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 || fstat(descriptor, &state) != 0) {
      return "cannot open";
    }
    size_t size = (size_t)state.st_size;
    char *memory = malloc(size);
    if (memory == NULL || read(descriptor, memory, size) != (ssize_t)size) {
      free(memory);
      return "cannot read";
    }
    uint64_t sum = sum_bytes(memory, size);
    free(memory);
    close(descriptor);
    if (sum != material->sum) {
      return "wrong sum";
    }
  }
  return NULL;
}

/* Up to 64 KiB a copied pin has targets. */
static void measure_size(struct group *group, const char *name, const char *title, uint64_t size, uint64_t count) {
  bool small = size <= 64 << 10;
  struct material material;
  group_begin(group, name, "us", 1e6, title);
  if (!material_make(&material, name, size)) {
    group_fail(group, "cannot make a file");
    return;
  }
  int map = group_add(group, "raw mmap", raw_map, &material, count);
  int heap = group_add(group, "open + fstat + read + malloc", read_into_heap, &material, count);
  int peers[] = {group_add(group, "GLib GMappedFile", peer_glib_open, &material, count),
                 group_add(group, "APR apr_mmap", peer_apr_open, &material, count),
                 group_add(group, "Boost mapped_region", peer_boost_open, &material, count)};
  int live = group_add(group, "mapfile, live pin", live_pin, &material, count);
  int copy = group_add(group, "mapfile, copied pin", copy_pin, &material, count);
  group_compare(group, live, COMPARE_TIME, map, 1.1);
  group_compare(group, live, COMPARE_TIME, heap, 0);
  group_compare(group, copy, COMPARE_TIME, map, small ? 0.55 : 0);
  group_compare(group, copy, COMPARE_TIME, heap, small ? 1.15 : 0);
  for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
    group_compare(group, live, COMPARE_TIME, peers[i], 0);
    group_compare(group, copy, COMPARE_TIME, peers[i], 0);
  }
  group_measure(group);
}

void bench_open_1k(struct group *group, const struct plan *plan) {
  (void)plan;
  measure_size(group, "open-1K", "open, read every byte, close: 1 KiB", 1 << 10, 100);
}

void bench_open_16k(struct group *group, const struct plan *plan) {
  (void)plan;
  measure_size(group, "open-16K", "open, read every byte, close: 16 KiB", 16 << 10, 100);
}

void bench_open_64k(struct group *group, const struct plan *plan) {
  (void)plan;
  measure_size(group, "open-64K", "open, read every byte, close: 64 KiB", 64 << 10, 60);
}

void bench_open_1m(struct group *group, const struct plan *plan) {
  (void)plan;
  measure_size(group, "open-1M", "open, read every byte, close: 1 MiB", 1 << 20, 20);
}
