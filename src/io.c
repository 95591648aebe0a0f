/*
 * io.c - reading, comparing and sending: whole operations that need no scope.
 *
 * SPDX-License-Identifier: MIT
 */
#include "internal.h"

enum { SEND_BUFFER = 256 * 1024 };

static mapfile_status read_file(mapfile *file, uint64_t offset, void *buffer, size_t length, size_t *done) {
  *done = 0;
  mapfile_status status = mf_file_hold(file);
  if (status != MAPFILE_OK)
    return status;
  status = os_read_at(file->handle, offset, buffer, length, done);
  mf_file_let(file);
  return status;
}

mapfile_status mf_read_plain(mapfile *file, uint64_t offset, void *buffer, size_t length, size_t *done) {
  if (file->stream == NULL)
    return read_file(file, offset, buffer, length, done);
  uint64_t size = atomic_load(&file->size);
  uint64_t there = offset < size ? size - offset : 0;
  *done = length < there ? length : (size_t)there;
  if (*done > 0)
    memcpy(buffer, file->stream + offset, *done);
  return MAPFILE_OK;
}

static mapfile_status read_range(mapfile *file, uint64_t offset, void *buffer, size_t length, size_t *done) {
  size_t unwanted;
  size_t *count = done != NULL ? done : &unwanted;
  *count = 0;
  if (!mf_file_is_open(file) || (buffer == NULL && length > 0) || length > MF_LONGEST_BUFFER)
    return MAPFILE_INVALID;
  uint64_t there;
  mapfile_status fit = mf_range_fit(file, offset, &there, length);
  if (fit == MAPFILE_INVALID || there == 0)
    return fit;
  mapfile_status injected = mf_inject_cut(file, offset, &there);
  mapfile_status status = mf_read_plain(file, offset, buffer, (size_t)there, count);
  if (status != MAPFILE_OK)
    return status;
  if (*count < there)
    return MAPFILE_TRUNCATED;
  return injected != MAPFILE_OK ? injected : fit;
}

mapfile_status MAPFILE_CALL mapfile_read(mapfile *file, uint64_t offset, void *buffer, size_t length, size_t *done) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, read_range(file, offset, buffer, length, done));
}

/*
 * Comparing
 */

typedef struct comparison {
  const unsigned char *buffer; /* what belongs to offset */
  uint64_t offset;
  int order;
  uint64_t equal;
} comparison;

/* The file may be written while it is compared: each byte that decides is read once, and a difference that memcmp saw
   may be gone when it is looked for. */
static mapfile_status compare_piece(void *argument, const void *data, size_t length, uint64_t offset) {
  comparison *compared = argument;
  const volatile unsigned char *bytes = data;
  const unsigned char *wanted = compared->buffer + (size_t)(offset - compared->offset);
  if (memcmp(data, wanted, length) != 0) {
    for (size_t at = 0; at < length; at++) {
      unsigned char byte = bytes[at];
      if (byte == wanted[at])
        continue;
      compared->order = byte < wanted[at] ? -1 : 1;
      compared->equal = offset - compared->offset + at;
      return MAPFILE_CANCELLED;
    }
  }
  compared->equal = offset - compared->offset + length;
  return MAPFILE_OK;
}

static mapfile_status compare_range(mapfile *file, uint64_t offset, const void *buffer, size_t length, int *order,
                                    size_t *done) {
  size_t unwanted;
  size_t *count = done != NULL ? done : &unwanted;
  *count = 0;
  if (!mf_file_is_open(file) || order == NULL || (buffer == NULL && length > 0) || length > MF_LONGEST_BUFFER)
    return MAPFILE_INVALID;
  uint64_t there;
  mapfile_status fit = mf_range_fit(file, offset, &there, length);
  if (fit == MAPFILE_INVALID)
    return fit;
  comparison compared = {buffer, offset, 0, 0};
  mf_walk walk = {.file = file,
                  .offset = offset,
                  .length = there,
                  .repeatable = true,
                  .chunk = compare_piece,
                  .argument = &compared};
  mapfile_status status = mf_walk_run(&walk);
  if (offset + compared.equal >= walk.end && walk.end < offset + there) {
    /* What decided lies behind the file's new end, where a map shows zeros. */
    compared.equal = walk.end > offset ? walk.end - offset : 0;
    status = MAPFILE_TRUNCATED;
  }
  *count = (size_t)compared.equal;
  if (status == MAPFILE_CANCELLED)
    status = MAPFILE_OK;
  else if (status == MAPFILE_OK)
    status = fit;
  if (status == MAPFILE_OK)
    *order = compared.order;
  return status;
}

mapfile_status MAPFILE_CALL mapfile_compare(mapfile *file, uint64_t offset, const void *buffer, size_t length,
                                            int *order, size_t *done) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, compare_range(file, offset, buffer, length, order, done));
}

/*
 * Sending
 */

/* Through memory, for pairs that the kernel does not connect. What was read and not written is read again: files can
   be. */
static mapfile_status send_by_copy(mapfile *file, uint64_t offset, uint64_t length, intptr_t native, uint64_t *done) {
  size_t room = length < SEND_BUFFER ? (size_t)length : SEND_BUFFER;
  unsigned char *buffer = malloc(room);
  if (buffer == NULL)
    return MAPFILE_NO_MEMORY;
  mapfile_status status = MAPFILE_OK;
  while (status == MAPFILE_OK && *done < length) {
    size_t want = length - *done < room ? (size_t)(length - *done) : room;
    size_t got, written;
    mapfile_status bad = mf_read_plain(file, offset + *done, buffer, want, &got);
    if (bad == MAPFILE_OK && got < want)
      bad = MAPFILE_TRUNCATED;
    int64_t error = mapfile_native_error();
    status = os_write_stream(native, buffer, got, &written);
    *done += written;
    if (status == MAPFILE_OK && bad != MAPFILE_OK) {
      status = bad;
      mf_set_native_error(error);
    }
  }
  free(buffer);
  return status;
}

static mapfile_status send_range(mapfile *file, uint64_t offset, uint64_t length, intptr_t native, uint64_t *done) {
  while (file->stream == NULL && *done < length) {
    size_t sent;
    uint64_t rest = length - *done;
    size_t want = rest < SIZE_MAX / 2 ? (size_t)rest : SIZE_MAX / 2;
    mapfile_status status = mf_file_hold(file);
    if (status != MAPFILE_OK)
      return status;
    status = os_send_file(file->handle, offset + *done, want, native, &sent);
    mf_file_let(file);
    *done += sent;
    if (status == MAPFILE_UNSUPPORTED)
      break;
    if (status != MAPFILE_OK)
      return status;
    if (sent == 0)
      return MAPFILE_TRUNCATED;
  }
  return *done < length ? send_by_copy(file, offset, length, native, done) : MAPFILE_OK;
}

static mapfile_status send_fitting(mapfile *file, uint64_t offset, uint64_t length, intptr_t native, uint64_t *done) {
  uint64_t unwanted;
  uint64_t *count = done != NULL ? done : &unwanted;
  *count = 0;
  if (!mf_file_is_open(file))
    return MAPFILE_INVALID;
  uint64_t there;
  mapfile_status fit = mf_range_fit(file, offset, &there, length);
  if (fit == MAPFILE_INVALID)
    return fit;
  mapfile_status injected = mf_inject_cut(file, offset, &there);
  mapfile_status status = send_range(file, offset, there, native, count);
  if (status != MAPFILE_OK)
    return status;
  return injected != MAPFILE_OK ? injected : fit;
}

mapfile_status MAPFILE_CALL mapfile_send(mapfile *file, uint64_t offset, uint64_t length, intptr_t native,
                                         uint64_t *done) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, send_fitting(file, offset, length, native, done));
}
