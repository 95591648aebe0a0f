/*
 * names.c - removing and renaming files, also such as are in use (the promises remove-mapped and rename-mapped).
 *
 * SPDX-License-Identifier: MIT
 *
 * What keeps a file from going may be this very process: maps of it that nobody has pinned. They are given up, then,
 * towards the end, the handles of idle mapfiles too, whose name may not lead to them afterwards; in between there are
 * pauses, because others (virus scanners, indexers) hold files for moments.
 */
#include "internal.h"

enum { ROUNDS = 8, CLOSING_ROUNDS = 2 };

/* What is being done: to a name, or with the name to for a rename. */
typedef struct change {
  const char *path, *to;
} change;

static mapfile_status attempt(const change *wanted) {
  return wanted->to != NULL ? os_rename(wanted->path, wanted->to) : os_remove(wanted->path);
}

static void release(const char *path, bool closing) {
  os_identity identity;
  if (path == NULL || os_path_identity(path, &identity) != MAPFILE_OK)
    return;
  os_lock();
  mf_files_release(&identity, closing);
  os_unlock();
}

/* First without a pause, then after 1, 2, 4 ... 64 milliseconds. */
static mapfile_status try_again(const change *wanted) {
  mapfile_status status = MAPFILE_BUSY;
  for (unsigned round = 0; status == MAPFILE_BUSY && round < ROUNDS; round++) {
    if (round > 0)
      os_sleep(UINT32_C(1) << (round - 1));
    /* A mapfile of the file that gets another name would not find it again: those are closed last. */
    release(wanted->path, round >= ROUNDS - (wanted->to != NULL ? 1 : CLOSING_ROUNDS));
    release(wanted->to, round >= ROUNDS - CLOSING_ROUNDS);
    status = attempt(wanted);
  }
  return status;
}

static mapfile_status apply(const change *wanted) {
  mapfile_status status = mf_begin();
  if (status != MAPFILE_OK)
    return status;
  status = attempt(wanted);
  if (status == MAPFILE_BUSY)
    status = try_again(wanted);
  if (status == MAPFILE_BUSY && wanted->to == NULL)
    status = os_remove_aside(wanted->path);
  return status;
}

static bool is_name(const char *path) {
  return path != NULL && path[0] != '\0';
}

static mapfile_status refuse(void) {
  mf_set_native_error(0);
  return MAPFILE_INVALID;
}

mapfile_status MAPFILE_CALL mapfile_remove(const char *path) {
  change wanted = {path, NULL};
  int64_t before = mf_native_begin();
  return mf_native_end(before, is_name(path) ? apply(&wanted) : refuse());
}

mapfile_status MAPFILE_CALL mapfile_rename(const char *from, const char *to) {
  change wanted = {from, to};
  int64_t before = mf_native_begin();
  return mf_native_end(before, is_name(from) && is_name(to) ? apply(&wanted) : refuse());
}
