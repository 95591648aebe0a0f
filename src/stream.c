/*
 * stream.c - files that cannot be read twice, or that state no size: read into memory whole.
 *
 * SPDX-License-Identifier: MIT
 */
#include "internal.h"

enum { FIRST_ROOM = 64 * 1024 };

static mapfile_status grow(unsigned char **bytes, size_t *room, uint64_t limit) {
  /* One byte more than the limit shows that the stream is longer. */
  size_t most = limit < SIZE_MAX / 2 ? (size_t)limit + 1 : SIZE_MAX / 2;
  size_t larger = *room == 0 ? FIRST_ROOM : *room * 2;
  if (larger > most)
    larger = most;
  unsigned char *grown = realloc(*bytes, larger);
  if (grown == NULL)
    return MAPFILE_NO_MEMORY;
  *bytes = grown;
  *room = larger;
  return MAPFILE_OK;
}

mapfile_status mf_stream_load(mapfile *file, uint64_t limit) {
  unsigned char *bytes = NULL;
  size_t room = 0, used = 0, done = 0;
  mapfile_status status;
  do {
    used += done;
    status = used == room ? grow(&bytes, &room, limit) : MAPFILE_OK;
    if (status == MAPFILE_OK)
      status = os_read_stream(file->handle, used, bytes + used, room - used, &done);
    if (status == MAPFILE_OK && used + done > limit)
      status = MAPFILE_LIMIT;
  } while (status == MAPFILE_OK && done > 0);
  if (status != MAPFILE_OK) {
    free(bytes);
    return status;
  }
  file->stream = bytes;
  file->known.size = used;
  atomic_store(&file->copied_bytes, used);
  atomic_fetch_add(&mf_process_state.copied_bytes, used);
  return MAPFILE_OK;
}

void mf_stream_unload(mapfile *file) {
  if (file->stream == NULL)
    return;
  atomic_fetch_sub(&mf_process_state.copied_bytes, file->known.size);
  free(file->stream);
}
