/*
 * write.c - writing into a file: bytes of the program's, and those of a private view.
 *
 * SPDX-License-Identifier: MIT
 *
 * All goes through the system's file calls and nothing through a map, so that errors are statuses, and live views and
 * the maps of other processes show the bytes at once. What is behind the old end is then known to be there, and windows
 * that were read before are used no more (the promise write-visible). Nobody is waited for: the lock is held for that,
 * and not while the system writes.
 */
#include "internal.h"

typedef struct writing {
  mapfile *file;
  uint64_t offset;
  const unsigned char *bytes;
  size_t length, done;
} writing;

/*
 * Writing
 */

static mapfile_status write_some(writing *of, size_t most) {
  size_t rest = of->length - of->done, moved;
  mapfile_status status =
      os_write_at(of->file->handle, of->offset + of->done, of->bytes + of->done, rest < most ? rest : most, &moved);
  of->done += moved;
  return status;
}

/* Why can the memory not be read? A view's cannot because its file's page cannot be had; the handler is not needed to
   find that out. */
static mapfile_status look_for_cause(const unsigned char *at) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  int64_t error = mapfile_native_error();
  mf_index_enter();
  const mf_segment *segment = mf_index_find((uintptr_t)at);
  if (segment != NULL) {
    fault.file = segment->file;
    fault.offset = segment->offset + (uint64_t)(at - segment->address);
  }
  mf_index_leave();
  if (fault.file == NULL)
    return MAPFILE_INVALID;
  fault.status = MAPFILE_UNKNOWN;
  fault.address = at;
  fault.access = MAPFILE_FAULT_READ;
  fault.length = mf_page_size;
  mapfile_status status = mapfile_fault_explain(&fault);
  mf_set_native_error(status == MAPFILE_UNKNOWN ? error : fault.native_error);
  return status;
}

/* Systems differ in how much they write of memory that cannot be read whole. Page by page it is all that can be, and
   the page that cannot is known. */
static mapfile_status write_bytes(writing *of) {
  mapfile_status status = write_some(of, SIZE_MAX);
  if (status != MAPFILE_UNKNOWN)
    return status;
  do
    status = write_some(of, mf_page_size - ((uintptr_t)(of->bytes + of->done) & (mf_page_size - 1)));
  while (status == MAPFILE_OK && of->done < of->length);
  return status == MAPFILE_UNKNOWN ? look_for_cause(of->bytes + of->done) : status;
}

/*
 * What the rest of the library is to know of it
 */

enum { NO_LOOKS = 0 };

/* How often the system had been asked before, if it is going to matter; 1 and more. */
static uint64_t looks_before(const writing *of) {
  if (of->offset + of->length <= atomic_load(&of->file->size))
    return NO_LOOKS;
  os_lock();
  uint64_t looks = of->file->looks + 1;
  os_unlock();
  return looks;
}

/* Locked. The file is at least so long now, unless somebody has cut it since. Who has asked the system meanwhile may
   have been told of that; then it is asked again. */
static void raise_size(mapfile *file, uint64_t end, uint64_t looks) {
  os_file_info now;
  if (end <= atomic_load(&file->size))
    return;
  if (file->looks + 1 != looks && os_file_look(file->handle, &now) == MAPFILE_OK && now.size < end)
    end = now.size;
  if (end <= atomic_load(&file->size))
    return;
  file->known.size = end;
  file->looks++;
  atomic_store(&file->size, end);
}

/* Also where writing has failed: the system may have written more than it tells. */
static void make_known(const writing *of, uint64_t looks) {
  mapfile *file = of->file;
  uint64_t end = of->offset + of->done;
  if (end <= atomic_load(&file->size) && atomic_load(&file->windows) == NULL)
    return;
  int64_t error = mapfile_native_error();
  os_lock();
  if (of->done > 0)
    raise_size(file, end, looks);
  mf_windows_drop_range(file, of->offset, of->offset + of->length);
  os_unlock();
  mf_set_native_error(error);
}

static mapfile_status write_held(writing *of) {
  /* Only the program's own descriptor may be one that puts all at the end. */
  mapfile_status status = of->file->native != MF_NO_HANDLE ? os_writes_where_asked(of->file->handle) : MAPFILE_OK;
  if (status != MAPFILE_OK)
    return status;
  uint64_t looks = looks_before(of);
  status = write_bytes(of);
  make_known(of, looks);
  return status;
}

/*
 * The calls
 */

static mapfile_status may_write(const mapfile *file, uint64_t offset, size_t length) {
  if (file->stream != NULL)
    return MAPFILE_UNSUPPORTED;
  /* What was vouched for is not changed by the library either: windows of it are never looked at again. */
  if ((file->flags & MAPFILE_WRITE) == 0 || (file->flags & MAPFILE_IMMUTABLE) != 0)
    return MAPFILE_DENIED;
  return offset > INT64_MAX || length > INT64_MAX - offset ? MAPFILE_LIMIT : MAPFILE_OK;
}

static mapfile_status write_range(mapfile *file, uint64_t offset, const void *bytes, size_t length, size_t *done) {
  uint64_t good = length;
  mapfile_status status = may_write(file, offset, length);
  if (status != MAPFILE_OK || length == 0)
    return status;
  mapfile_status injected = mf_inject_cut(file, offset, &good);
  if (good == 0)
    return injected;
  writing of = {.file = file, .offset = offset, .bytes = bytes, .length = (size_t)good};
  status = mf_file_hold(file);
  if (status != MAPFILE_OK)
    return status;
  status = write_held(&of);
  mf_file_let(file);
  *done = of.done;
  return status == MAPFILE_OK ? injected : status;
}

static mapfile_status write_buffer(mapfile *file, uint64_t offset, const void *buffer, size_t length, size_t *done) {
  size_t unwanted;
  size_t *count = done != NULL ? done : &unwanted;
  *count = 0;
  if (!mf_file_is_open(file) || (buffer == NULL && length > 0) || length > MF_LONGEST_BUFFER ||
      length > UINT64_MAX - offset)
    return MAPFILE_INVALID;
  return write_range(file, offset, buffer, length, count);
}

mapfile_status MAPFILE_CALL mapfile_write(mapfile *file, uint64_t offset, const void *buffer, size_t length,
                                          size_t *done) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, write_buffer(file, offset, buffer, length, done));
}

static bool is_mapped(const mapfile_view *view) {
  return mf_view_thing(view) == MF_MARK_OWN &&
         ((const mf_segment *)view->internal[MF_VIEW_THING])->kind == MF_OWN_PRIVATE;
}

/* Whole pages of a private map that lie behind the end of a file that was cut are gone, with what was stored to them.
   Linux may lengthen the file before it looks at the memory, and then writes zeros in their place. */
static mapfile_status cut_to_file(mapfile *file, uint64_t offset, size_t *length) {
  os_file_info now;
  mapfile_status status = mf_file_look(file, &now);
  if (status != MAPFILE_OK)
    return status;
  uint64_t end = mf_page_up(now.size), there = end > offset ? end - offset : 0;
  if (*length <= there)
    return MAPFILE_OK;
  *length = (size_t)there;
  return MAPFILE_TRUNCATED;
}

static mapfile_status commit_range(const mapfile_view *view, size_t from, size_t length, size_t *done) {
  mapfile *file = (mapfile *)view->internal[MF_VIEW_FILE];
  uint64_t offset = view->offset + from;
  mapfile_status reason = may_write(file, offset, length);
  if (reason == MAPFILE_OK && is_mapped(view))
    reason = cut_to_file(file, offset, &length);
  if (reason != MAPFILE_OK && reason != MAPFILE_TRUNCATED)
    return reason;
  mapfile_status status = write_range(file, offset, (const unsigned char *)view->data + from, length, done);
  if (status != MAPFILE_OK || reason == MAPFILE_OK)
    return status;
  mapfile_status injected = mf_inject_status(file, offset + length);
  return injected != MAPFILE_OK ? injected : reason;
}

static mapfile_status commit(const mapfile_view *view, size_t from, size_t length, size_t *done) {
  size_t unwanted;
  size_t *count = done != NULL ? done : &unwanted;
  *count = 0;
  if (view == NULL || view->size != sizeof *view || !mf_view_is_pinned(view) || view->kind != MAPFILE_KIND_PRIVATE ||
      from > view->length || length > view->length - from)
    return MAPFILE_INVALID;
  return commit_range(view, from, length, count);
}

mapfile_status MAPFILE_CALL mapfile_commit(const mapfile_view *view, size_t from, size_t length, size_t *done) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, commit(view, from, length, done));
}
