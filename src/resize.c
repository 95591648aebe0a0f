/*
 * resize.c - making a file longer or shorter.
 *
 * SPDX-License-Identifier: MIT
 *
 * Longer: nothing waits for views, and no view changes (the promise grow-live). Shorter: pins that come while the file
 * is being cut must not find bytes that are about to go; docs/protocol.md tells how (the promise shrink-pinned). The
 * lock is held while the size changes, so that it cannot be made shorter behind the back of one who makes it longer.
 */
#include "internal.h"

/* Where a map keeps the system from cutting the file: it may be an idle one, of this mapfile or of another. */
static mapfile_status cut_again(mapfile *file, uint64_t size) {
  os_identity identity;
  mf_segments_give_up(file, 0);
  if (os_handle_identity(file->handle, &identity) == MAPFILE_OK)
    mf_files_release(&identity, false);
  return os_set_size(file->handle, size);
}

static mapfile_status cut(mapfile *file, uint64_t size) {
  uint64_t before = atomic_load(&file->size);
  mf_fill_settle(file);
  mf_set_native_error(0);
  mapfile_status status = mf_segments_give_up(file, size);
  if (status != MAPFILE_OK)
    return status;
  atomic_store(&file->size, size);
  status = os_set_size(file->handle, size);
  if (status == MAPFILE_BUSY)
    status = cut_again(file, size);
  if (status != MAPFILE_OK)
    atomic_store(&file->size, before);
  return status;
}

static mapfile_status set_size(mapfile *file, uint64_t size) {
  os_file_info now;
  mapfile_status status = size < atomic_load(&file->size) ? cut(file, size) : os_set_size(file->handle, size);
  if (status != MAPFILE_OK)
    return status;
  /* What the size is now is known in any case. */
  if (os_file_look(file->handle, &now) != MAPFILE_OK) {
    now = file->known;
    now.size = size;
  }
  mf_file_learn(file, &now);
  mf_windows_drop(file);
  return MAPFILE_OK;
}

static mapfile_status resize_held(mapfile *file, uint64_t size, uint32_t flags) {
  mapfile_status status = MAPFILE_OK;
  if ((flags & MAPFILE_RESIZE_ALLOCATE) != 0 && size > 0)
    status = os_allocate(file->handle, size);
  if (status != MAPFILE_OK)
    return status;
  os_lock();
  status = set_size(file, size);
  os_unlock();
  return status;
}

static mapfile_status resize(mapfile *file, uint64_t size, uint32_t flags) {
  mf_set_native_error(0);
  if (!mf_file_is_open(file) || (flags & ~(uint32_t)MAPFILE_RESIZE_ALLOCATE) != 0)
    return MAPFILE_INVALID;
  if (file->stream != NULL)
    return MAPFILE_UNSUPPORTED;
  if ((file->flags & MAPFILE_WRITE) == 0)
    return MAPFILE_DENIED;
  if (size > INT64_MAX)
    return MAPFILE_LIMIT;
  mapfile_status status = mf_file_hold(file);
  if (status != MAPFILE_OK)
    return status;
  status = resize_held(file, size, flags);
  mf_file_let(file);
  return status;
}

mapfile_status MAPFILE_CALL mapfile_resize(mapfile *file, uint64_t size, uint32_t flags) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, resize(file, size, flags));
}
