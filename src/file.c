/*
 * file.c - opening and closing, and what is known of a file.
 *
 * SPDX-License-Identifier: MIT
 */
#include "internal.h"

enum {
  KNOWN_FLAGS = MAPFILE_WRITE | MAPFILE_CREATE | MAPFILE_TRUNCATE | MAPFILE_EXCLUSIVE | MAPFILE_IMMUTABLE |
                MAPFILE_STREAM | MAPFILE_ADOPT | MAPFILE_SEPARATE_CACHE,
  PATH_ONLY_FLAGS = MAPFILE_CREATE | MAPFILE_TRUNCATE | MAPFILE_EXCLUSIVE,
  KNOWN_SHARES = MAPFILE_SHARE_READ | MAPFILE_SHARE_WRITE | MAPFILE_SHARE_DELETE | MAPFILE_SHARE_NONE
};

#define DEFAULT_STREAM_LIMIT (UINT64_C(64) << 20)
/* Where an open file is in nobody's way there is nothing to hurry for. */
#define DEFAULT_IDLE_MS (OS_PARKING_CLOSES ? UINT32_C(2000) : MAPFILE_IDLE_NEVER)

/* Members that every version has: a struct that does not even hold these is a mistake. */
#define LEAST_OPTIONS_SIZE offsetof(mapfile_options, map_bytes)

/* Take over options of any version: what an older header does not have is the default, what a newer one has must be
   zero. */
static mapfile_status take_options(const mapfile_options *given, mapfile_options *options) {
  mapfile_options defaults = MAPFILE_OPTIONS_INIT;
  *options = defaults;
  if (given == NULL)
    return MAPFILE_OK;
  if (given->size < LEAST_OPTIONS_SIZE)
    return MAPFILE_INVALID;
  if (given->size > sizeof *options &&
      !mf_all_zero((const unsigned char *)given + sizeof *options, given->size - sizeof *options))
    return MAPFILE_UNSUPPORTED;
  memcpy(options, given, given->size < sizeof *options ? given->size : sizeof *options);
  if (!mf_all_zero(options->reserved, sizeof options->reserved) || (options->flags & ~(uint32_t)KNOWN_FLAGS) != 0 ||
      (options->share & ~(uint32_t)KNOWN_SHARES) != 0)
    return MAPFILE_UNSUPPORTED;
  if (options->access > MAPFILE_ACCESS_COPIED)
    return MAPFILE_INVALID;
  if ((options->flags & MAPFILE_SEPARATE_CACHE) != 0 && options->access == MAPFILE_ACCESS_MAPPED)
    return MAPFILE_INVALID;
  if ((options->flags & MAPFILE_CREATE) != 0)
    options->flags |= MAPFILE_WRITE;
  if ((options->flags & MAPFILE_TRUNCATE) != 0 && (options->flags & MAPFILE_WRITE) == 0)
    return MAPFILE_INVALID;
  if ((options->flags & MAPFILE_EXCLUSIVE) != 0 && (options->flags & MAPFILE_CREATE) == 0)
    return MAPFILE_INVALID;
  if ((options->flags & MAPFILE_STREAM) != 0 && (options->flags & MAPFILE_WRITE) != 0)
    return MAPFILE_INVALID;
  if ((options->share & MAPFILE_SHARE_NONE) != 0 && options->share != MAPFILE_SHARE_NONE)
    return MAPFILE_INVALID;
  if (options->stream_limit == 0)
    options->stream_limit = DEFAULT_STREAM_LIMIT;
  return MAPFILE_OK;
}

static unsigned slot_shift(const mapfile *file) {
  const unsigned longest = 40;
  size_t window = mf_budget_window(file);
  unsigned shift = 0;
  if (window == SIZE_MAX)
    return longest;
  for (; window > 1 && shift < longest; window >>= 1)
    shift++;
  return shift;
}

/* Is it a kind of file that can be opened as it was asked? A /proc file states no size: as a stream it is read. */
static mapfile_status check_kind(mapfile *file, const mapfile_options *options) {
  mapfile_status status = os_file_look(file->handle, &file->known);
  if (status != MAPFILE_OK)
    return status;
  bool stream = (options->flags & MAPFILE_STREAM) != 0;
  mf_set_native_error(0);
  if (file->known.kind == OS_FILE_STREAM && stream)
    return mf_stream_load(file, options->stream_limit);
  if (file->known.kind != OS_FILE_REGULAR)
    return MAPFILE_UNSUPPORTED;
  if (file->known.size == 0 && stream)
    return mf_stream_load(file, options->stream_limit);
  return MAPFILE_OK;
}

static uint32_t idle_time(const mapfile *file, const mapfile_options *options) {
  uint32_t wanted = options->idle_ms != 0 ? options->idle_ms : DEFAULT_IDLE_MS;
  return wanted != MAPFILE_IDLE_NEVER && file->stream == NULL ? wanted : 0;
}

static void link_to_process(mapfile *file) {
  file->next = mf_process_state.files;
  if (file->next != NULL)
    file->next->previous = file;
  mf_process_state.files = file;
  mf_process_state.open_files++;
}

static void unlink_from_process(mapfile *file) {
  if (file->idle_ms != 0)
    mf_idle_end(file);
  *(file->previous != NULL ? &file->previous->next : &mf_process_state.files) = file->next;
  if (file->next != NULL)
    file->next->previous = file->previous;
  mf_process_state.open_files--;
}

/* From here on other threads may see it: the idle one, and those that remove names. Cannot fail for a stream. */
static mapfile_status enter_process(mapfile *file, const mapfile_options *options) {
  os_lock();
  file->slot_shift = slot_shift(file);
  file->magic = MF_MAGIC_OPEN;
  link_to_process(file);
  mapfile_status status = file->idle_ms != 0 ? mf_idle_begin(file) : MAPFILE_OK;
  bool refused = status != MAPFILE_OK && options->idle_ms != 0;
  if (refused)
    unlink_from_process(file);
  os_unlock();
  return refused ? status : MAPFILE_OK;
}

/* What a mapfile is made of. */
typedef struct source {
  intptr_t handle, native;
  bool owned;
  os_name *name;
} source;

static void take_over(mapfile *file, const source *from, const mapfile_options *options) {
  file->handle = from->handle;
  file->native = from->native;
  file->owned = from->owned;
  file->name = from->name;
  file->flags = options->flags;
  file->access = options->access;
  file->share = options->share;
  file->map_bytes_limit = options->map_bytes != 0 ? options->map_bytes : UINT64_MAX;
  file->map_count_limit = options->map_count != 0 ? options->map_count : UINT64_MAX;
  file->cache_limit = options->cache_bytes != 0 ? options->cache_bytes : UINT64_MAX;
  file->revalidate_ms = options->revalidate_ms;
  file->window_bytes = options->window_bytes;
  file->reserve = options->reserve;
  atomic_init(&file->touched, 1);
}

/* How access is chosen where the program leaves it to the library (docs/limits.md). */
static void choose_access(mapfile *file) {
  bool unified = OS_UNIFIED_CACHE && !mf_hook_separate_cache() && (file->flags & MAPFILE_SEPARATE_CACHE) == 0;
  bool only_read = file->access == MAPFILE_ACCESS_COPIED || file->stream != NULL || !os_may_map(file->handle);
  atomic_init(&file->unmappable, only_read);
  file->separate_cache = !unified && file->access == MAPFILE_ACCESS_AUTO;
  file->copies_first = file->separate_cache || (file->access == MAPFILE_ACCESS_AUTO && mf_small_host());
}

static mapfile_status begin_use(mapfile *file, const mapfile_options *options) {
  mapfile_status status = check_kind(file, options);
  if (status != MAPFILE_OK)
    return status;
  atomic_init(&file->size, file->known.size);
  choose_access(file);
  file->idle_ms = idle_time(file, options);
  return enter_process(file, options);
}

/* Where this fails, the source is still the caller's. */
static mapfile_status open_common(const source *from, const mapfile_options *options, mapfile **opened) {
  mapfile *file = mf_allocate(sizeof *file);
  mf_set_native_error(0);
  if (file == NULL)
    return MAPFILE_NO_MEMORY;
  take_over(file, from, options);
  mapfile_status status = begin_use(file, options);
  if (status != MAPFILE_OK) {
    free(file);
    return status;
  }
  *opened = file;
  mf_trace(MAPFILE_EVENT_OPEN, file, 0, file->known.size, MAPFILE_OK);
  return MAPFILE_OK;
}

static mapfile_status open_path(const char *path, const mapfile_options *given, mapfile **file) {
  mapfile_options options;
  mapfile_status status = take_options(given, &options);
  if (status == MAPFILE_OK && (path == NULL || path[0] == '\0' || file == NULL))
    status = MAPFILE_INVALID;
  if (status == MAPFILE_OK && (options.flags & MAPFILE_ADOPT) != 0)
    status = MAPFILE_INVALID;
  if (status != MAPFILE_OK) {
    mf_set_native_error(0);
    return status;
  }
  status = mf_begin();
  if (status != MAPFILE_OK)
    return status;
  source from = {.native = MF_NO_HANDLE, .owned = true};
  status = os_open(path, options.flags, options.share, options.create_mode, &from.handle, &from.name);
  if (status != MAPFILE_OK)
    return status;
  status = open_common(&from, &options, file);
  if (status != MAPFILE_OK) {
    int64_t error = mapfile_native_error();
    os_close(from.handle);
    os_name_free(from.name);
    mf_set_native_error(error);
  }
  return status;
}

mapfile_status MAPFILE_CALL mapfile_open(const char *path, const mapfile_options *given, mapfile **file) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, open_path(path, given, file));
}

static mapfile_status open_handle(intptr_t native, const mapfile_options *options, mapfile **file) {
  source from = {.native = native, .owned = (options->flags & MAPFILE_ADOPT) != 0};
  mf_set_native_error(0);
  if (file == NULL || (options->flags & PATH_ONLY_FLAGS) != 0 || options->share != MAPFILE_SHARE_DEFAULT)
    return MAPFILE_INVALID;
  mapfile_status status = mf_begin();
  if (status == MAPFILE_OK)
    status = os_handle_allows(native, options->flags);
  if (status == MAPFILE_OK)
    status = os_own_handle(native, options->flags, &from.handle);
  if (status != MAPFILE_OK)
    return status;
  status = open_common(&from, options, file);
  if (status != MAPFILE_OK && from.handle != native) {
    int64_t error = mapfile_native_error();
    os_close(from.handle);
    mf_set_native_error(error);
  }
  return status;
}

static mapfile_status open_native(intptr_t native, const mapfile_options *given, mapfile **file) {
  mapfile_options options;
  /* Even options that are refused can say who owns the descriptor. */
  bool adopt = given != NULL && given->size >= LEAST_OPTIONS_SIZE && (given->flags & MAPFILE_ADOPT) != 0;
  mapfile_status status = take_options(given, &options);
  if (status == MAPFILE_OK)
    status = open_handle(native, &options, file);
  else
    mf_set_native_error(0);
  if (status != MAPFILE_OK && adopt && native >= 0) {
    int64_t error = mapfile_native_error();
    os_close(native);
    mf_set_native_error(error);
  }
  return status;
}

mapfile_status MAPFILE_CALL mapfile_open_handle(intptr_t native, const mapfile_options *given, mapfile **file) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, open_native(native, given, file));
}

/* Nothing is left of a file that is parked. */
static mapfile_status close_handles(const mapfile *file) {
  mapfile_status status = MAPFILE_OK;
  if (file->native == MF_NO_HANDLE)
    return file->handle != MF_NO_HANDLE ? os_close(file->handle) : MAPFILE_OK;
  if (file->handle != file->native)
    status = os_close(file->handle);
  if (file->owned) {
    mapfile_status other = os_close(file->native);
    status = status == MAPFILE_OK ? other : status;
  }
  return status;
}

static mapfile_status close_file(mapfile *file) {
  mapfile_status status = MAPFILE_OK;
  if (file == NULL)
    return MAPFILE_OK;
  if (!mf_file_is_open(file))
    return MAPFILE_INVALID;
  os_lock();
  mf_fill_settle(file);
  if (atomic_load(&file->loose_views) != 0 || file->fill_scopes != 0 || mf_windows_pins(file) != 0)
    status = MAPFILE_BUSY;
  else
    status = mf_segments_close(file);
  if (status == MAPFILE_OK) {
    mf_inject_forget(file);
    mf_windows_close(file);
    unlink_from_process(file);
    if (mf_process_state.open_files == 0)
      mf_windows_end();
    file->magic = MF_MAGIC_CLOSED;
  }
  os_unlock();
  if (status != MAPFILE_OK)
    return status;
  mf_stream_unload(file);
  status = close_handles(file);
  os_name_free(file->name);
  mf_trace(MAPFILE_EVENT_CLOSE, file, 0, 0, status);
  free(file);
  return status;
}

mapfile_status MAPFILE_CALL mapfile_close(mapfile *file) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, close_file(file));
}

mapfile_status MAPFILE_CALL mapfile_size(mapfile *file, uint64_t *size) {
  if (!mf_file_is_open(file) || size == NULL) {
    mf_set_native_error(0);
    return MAPFILE_INVALID;
  }
  *size = atomic_load(&file->size);
  return MAPFILE_OK;
}

mapfile_status mf_file_difference(const os_file_info *before, const os_file_info *now) {
  if (now->size < before->size)
    return MAPFILE_TRUNCATED;
  if (now->size != before->size || now->modified != before->modified || now->changed != before->changed)
    return MAPFILE_CHANGED;
  return MAPFILE_OK;
}

mapfile_status mf_file_look(mapfile *file, os_file_info *now) {
  mapfile_status status = mf_file_hold(file);
  if (status != MAPFILE_OK)
    return status;
  status = os_file_look(file->handle, now);
  mf_file_let(file);
  return status;
}

void mf_file_learn(mapfile *file, const os_file_info *now) {
  bool changed = mf_file_difference(&file->known, now) != MAPFILE_OK;
  file->known = *now;
  file->looks++;
  atomic_store(&file->size, now->size);
  if (changed)
    mf_windows_drop(file);
}

/* The lock is not held while the system is asked, so another thread may have learned something newer meanwhile; then
   this look is thrown away and the system is asked again. Whoever is first gets through. */
mapfile_status mf_file_refresh(mapfile *file, os_file_info *now, mapfile_status *difference) {
  bool newest;
  do {
    os_lock();
    uint64_t looks = file->looks;
    os_unlock();
    mapfile_status status = mf_file_look(file, now);
    if (status != MAPFILE_OK)
      return status;
    os_lock();
    newest = looks == file->looks;
    if (newest) {
      *difference = mf_file_difference(&file->known, now);
      mf_file_learn(file, now);
    }
    os_unlock();
  } while (!newest);
  return MAPFILE_OK;
}

static mapfile_status check(mapfile *file) {
  os_file_info now;
  mapfile_status difference;
  if (!mf_file_is_open(file))
    return MAPFILE_INVALID;
  if (file->stream != NULL)
    return MAPFILE_OK;
  mapfile_status status = mf_file_refresh(file, &now, &difference);
  return status == MAPFILE_OK ? difference : status;
}

mapfile_status MAPFILE_CALL mapfile_check(mapfile *file) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, check(file));
}
