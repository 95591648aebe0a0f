/*
 * APR's apr_mmap, for comparison.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"

#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_mmap.h>
#include <apr_pools.h>

static const char *open_once(const struct material *material, apr_pool_t *pool) {
  apr_file_t *file = NULL;
  apr_finfo_t info;
  apr_mmap_t *map = NULL;
  if (apr_file_open(&file, material->path, APR_FOPEN_READ | APR_FOPEN_BINARY, APR_FPROT_OS_DEFAULT, pool) !=
      APR_SUCCESS) {
    return "apr_file_open failed";
  }
  if (apr_file_info_get(&info, APR_FINFO_SIZE, file) != APR_SUCCESS ||
      apr_mmap_create(&map, file, 0, (apr_size_t)info.size, APR_MMAP_READ, pool) != APR_SUCCESS) {
    apr_file_close(file);
    return "apr_mmap_create failed";
  }
  uint64_t sum = sum_bytes(map->mm, map->size);
  apr_mmap_delete(map);
  apr_file_close(file);
  return sum == material->sum ? NULL : "wrong sum";
}

/* The pool is made once and cleared after each file, as a program that cares for speed does. */
const char *peer_apr_open(struct sample *sample) {
  const char *wrong = NULL;
  apr_pool_t *pool = NULL;
  if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) {
    return "apr_initialize failed";
  }
  sample_start(sample);
  for (uint64_t i = 0; i < sample->count && wrong == NULL; i++) {
    wrong = open_once(sample->context, pool);
    apr_pool_clear(pool);
  }
  sample_stop(sample);
  apr_pool_destroy(pool);
  apr_terminate();
  return wrong;
}
