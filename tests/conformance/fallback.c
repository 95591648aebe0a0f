/*
 * fallback.c - pin-fallback: what cannot be mapped as planned is mapped otherwise, or read.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conformance.h"

#include <stdio.h>

static void expect_bytes(mapfile *file, uint64_t offset, size_t length, uint32_t flags) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, offset, length, flags, &view);
  EXPECT(conf_is_pattern(view.data, length, offset));
  conf_unpin(&view);
}

/* Little address space is left: a small range of a large file can still be pinned, and the whole be searched. */
static void little_address_space(void) {
  const uint64_t size = UINT64_C(512) << 20, mark = UINT64_C(300) << 20;
  unsigned char needle[64];
  uint64_t found = 0, done = 0;
  const char *path = conf_make_sparse("sparse", size);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_write_pattern(path, mark, 8 * conf_page);
  conf_pattern(needle, sizeof needle, mark + 1000);
  mapfile *file = conf_open(path, 0);
  conf_limit_address_space(16 << 20);
  expect_bytes(file, mark, 8 * conf_page, MAPFILE_ANY);
  expect_bytes(file, mark + 5, 100, MAPFILE_COPY);
  if (conf_access != MAPFILE_ACCESS_COPIED) {
    expect_bytes(file, mark + 5, 100, MAPFILE_LIVE);
    EXPECT_STATUS(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view), MAPFILE_LIMIT);
    EXPECT_STATUS(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view), MAPFILE_LIMIT);
  }
  EXPECT_STATUS(mapfile_find(file, 0, MAPFILE_TO_END, needle, sizeof needle, &found, &done), MAPFILE_OK);
  EXPECT_UINT(found, mark + 1000);
  conf_unlimit_address_space();
  conf_pin(file, 0, size / 2, conf_live(), &view);
  EXPECT_UINT(conf_load((char *)view.data + 77), 0);
  conf_unpin(&view);
  conf_close(file);
}

/* Idle maps give way. */
static void idle_maps_give_way(void) {
  enum { FILES = 12 };
  const uint64_t size = 10 << 20;
  mapfile *files[FILES];
  mapfile_view view = MAPFILE_VIEW_INIT;
  for (unsigned i = 0; i < FILES; i++) {
    char name[32];
    snprintf(name, sizeof name, "sparse-%u", i);
    const char *path = conf_make_sparse(name, size);
    conf_write_pattern(path, size - 10, 10);
    files[i] = conf_open(path, 0);
  }
  conf_limit_address_space(40 << 20);
  for (unsigned round = 0; round < 3; round++)
    for (unsigned i = 0; i < FILES; i++) {
      conf_pin(files[i], 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
      EXPECT(conf_is_pattern((char *)view.data + size - 10, 10, size - 10));
      conf_unpin(&view);
    }
  EXPECT(conf_stats(NULL).evictions > 0);
  conf_unlimit_address_space();
  for (unsigned i = 0; i < FILES; i++)
    conf_close(files[i]);
}

#define N CONF_NO_FAULTS

static const conf_case table[] = {
    {"pin-fallback", "little-address-space", "A program with little address space cannot use large files.", CONF_ANY, N,
     little_address_space},
    {"pin-fallback", "idle-maps", "Idle maps keep other files from being mapped.", CONF_MAPPED, N, idle_maps_give_way},
};

CONF_GROUP(conf_fallback, "falling back");
