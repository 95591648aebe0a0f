/*
 * park.c - parking: giving up what keeps other programs from a file, and opening it again at the next use.
 *
 * SPDX-License-Identifier: MIT
 *
 * Where parking closes the file, the count and the gate of docs/protocol.md are used once more: who needs the handle
 * counts itself first and then looks whether the mapfile is parked; who parks says so first and then looks at the
 * count. Both are sequentially consistent, so one of them sees the other, and nobody uses a handle that is closed.
 */
#include "internal.h"

static bool is_same(const os_identity *one, const os_identity *other) {
  return one->volume == other->volume && one->id[0] == other->id[0] && one->id[1] == other->id[1] &&
         one->created == other->created;
}

/*
 * Opening again
 */

/* What was parked, if it still is. */
static bool look_parked(mapfile *file, os_identity *identity, bool *identified) {
  os_lock();
  bool parked = atomic_load(&file->parked);
  *identity = file->identity;
  *identified = file->identified;
  os_unlock();
  return parked;
}

/* The same file as before, or STALE: a number that was used again, or a name, must not pass for it. */
static mapfile_status open_same(const mapfile *file, const os_identity *wanted, bool identified, intptr_t *handle) {
  os_identity found;
  mapfile_status status = os_reopen(file->name, file->flags, file->share, handle);
  if (status != MAPFILE_OK)
    return status == MAPFILE_NOT_FOUND ? MAPFILE_STALE : status;
  if (identified && os_handle_identity(*handle, &found) == MAPFILE_OK && is_same(wanted, &found))
    return MAPFILE_OK;
  os_close(*handle);
  mf_set_native_error(0);
  return MAPFILE_STALE;
}

/* The system is asked without the lock; of several threads that do so, the first one's handle is taken. */
static mapfile_status unpark(mapfile *file) {
  os_identity identity;
  bool identified;
  intptr_t handle;
  if (!look_parked(file, &identity, &identified))
    return MAPFILE_OK;
  mapfile_status status = open_same(file, &identity, identified, &handle);
  if (status != MAPFILE_OK)
    return status;
  os_lock();
  bool first = atomic_load(&file->parked);
  if (first) {
    file->handle = handle;
    atomic_store(&file->parked, false);
    if (file->idle_ms != 0)
      mf_idle_watch(file);
  }
  os_unlock();
  return first ? MAPFILE_OK : os_close(handle);
}

mapfile_status mf_file_hold_open(mapfile *file) {
  atomic_fetch_add(&file->users, 1);
  while (MF_UNLIKELY(atomic_load(&file->parked))) {
    atomic_fetch_sub(&file->users, 1);
    mapfile_status status = unpark(file);
    if (status != MAPFILE_OK)
      return status;
    atomic_fetch_add(&file->users, 1);
  }
  return MAPFILE_OK;
}

/*
 * Parking
 */

/* Will the handle be closed? Only one that can be had again; and without having been asked only where it is sure to be
   found again. */
static bool may_close(mapfile *file, bool asked) {
  if (!OS_PARKING_CLOSES || file->name == NULL || atomic_load(&file->parked))
    return false;
  file->identified = os_handle_identity(file->handle, &file->identity) == MAPFILE_OK;
  return file->identified || asked;
}

static mapfile_status shut(mapfile *file) {
  atomic_store(&file->parked, true);
  if (atomic_load(&file->users) == 0)
    return MAPFILE_OK;
  atomic_store(&file->parked, false);
  return MAPFILE_BUSY;
}

mapfile_status mf_file_release(mapfile *file, bool asked) {
  mf_fill_settle(file);
  if (atomic_load(&file->loose_views) != 0 || file->fill_scopes != 0 || mf_windows_pins(file) != 0)
    return MAPFILE_BUSY;
  bool closing = may_close(file, asked);
  bool parks = closing || file->segments != NULL || file->first_window != NULL;
  mapfile_status status = closing ? shut(file) : MAPFILE_OK;
  if (status != MAPFILE_OK)
    return status;
  status = mf_segments_give_up(file, 0);
  if (status != MAPFILE_OK) {
    if (closing)
      atomic_store(&file->parked, false);
    return status;
  }
  if (closing) {
    os_close(file->handle);
    file->handle = MF_NO_HANDLE;
  }
  mf_windows_drop(file);
  mf_idle_unwatch(file);
  if (parks) {
    file->parks++;
    mf_process_state.parks++;
    mf_trace(MAPFILE_EVENT_PARK, file, 0, 0, MAPFILE_OK);
  }
  return MAPFILE_OK;
}

void mf_files_release(const os_identity *same, bool closing) {
  os_identity of;
  for (mapfile *file = mf_process_state.files; file != NULL; file = file->next) {
    if (atomic_load(&file->parked) || os_handle_identity(file->handle, &of) != MAPFILE_OK || !is_same(same, &of))
      continue;
    if (closing)
      mf_file_release(file, true);
    else
      mf_segments_give_up(file, 0);
  }
}

static mapfile_status park(mapfile *file) {
  mf_set_native_error(0);
  if (!mf_file_is_open(file))
    return MAPFILE_INVALID;
  if (OS_PARKING_CLOSES && file->native != MF_NO_HANDLE)
    return MAPFILE_UNSUPPORTED;
  os_lock();
  mapfile_status status = mf_file_release(file, true);
  os_unlock();
  if (status != MAPFILE_OK)
    mf_set_native_error(0);
  return status;
}

mapfile_status MAPFILE_CALL mapfile_park(mapfile *file) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, park(file));
}
