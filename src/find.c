/*
 * find.c - finding bytes in a file.
 *
 * SPDX-License-Identifier: MIT
 */
#include "internal.h"

/* Pieces are at least as long as a needle longer than this; each piece takes up its length once more in overlap. */
#define SHORT_NEEDLE ((size_t)64 << 10)

typedef struct search {
  const unsigned char *needle;
  size_t length;
  uint64_t found;
} search;

static mapfile_status search_piece(void *argument, const void *data, size_t length, uint64_t offset) {
  search *wanted = argument;
  if (length < wanted->length)
    return MAPFILE_OK;
  const unsigned char *hit = mf_find_bytes(data, length, wanted->needle, wanted->length);
  if (hit == NULL)
    return MAPFILE_OK;
  wanted->found = offset + (uint64_t)(hit - (const unsigned char *)data);
  return MAPFILE_CANCELLED;
}

static mapfile_status find(mapfile *file, uint64_t offset, uint64_t length, const void *needle, size_t needle_length,
                           uint64_t *found, uint64_t *done) {
  uint64_t unwanted;
  uint64_t *count = done != NULL ? done : &unwanted;
  *count = 0;
  if (!mf_file_is_open(file) || found == NULL || (needle == NULL && needle_length > 0) || needle_length > SIZE_MAX / 4)
    return MAPFILE_INVALID;
  uint64_t there;
  mapfile_status fit = mf_range_fit(file, offset, &there, length);
  if (fit == MAPFILE_INVALID || (fit != MAPFILE_OK && there == 0))
    return fit;
  if (needle_length == 0) {
    *found = offset;
    return MAPFILE_OK;
  }
  if (needle_length > there) {
    *count = there;
    return fit == MAPFILE_OK ? MAPFILE_NOT_FOUND : fit;
  }
  search wanted = {needle, needle_length, 0};
  mf_walk walk = {.file = file,
                  .offset = offset,
                  .length = there,
                  .piece = needle_length > SHORT_NEEDLE ? needle_length : 0,
                  .overlap = needle_length - 1,
                  .repeatable = true,
                  .chunk = search_piece,
                  .argument = &wanted};
  mapfile_status status = mf_walk_run(&walk);
  *count = walk.done;
  if (status == MAPFILE_CANCELLED && wanted.found + needle_length > walk.end) {
    /* Found in the zeros behind the file's new end; so all before it was searched. */
    *count = walk.end > offset ? walk.end - offset : 0;
    return MAPFILE_TRUNCATED;
  }
  if (status == MAPFILE_CANCELLED) {
    *found = wanted.found;
    *count = wanted.found + needle_length - offset;
    return MAPFILE_OK;
  }
  if (status != MAPFILE_OK)
    return status;
  return fit == MAPFILE_OK ? MAPFILE_NOT_FOUND : fit;
}

mapfile_status MAPFILE_CALL mapfile_find(mapfile *file, uint64_t offset, uint64_t length, const void *needle,
                                         size_t needle_length, uint64_t *found, uint64_t *done) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, find(file, offset, length, needle, needle_length, found, done));
}
