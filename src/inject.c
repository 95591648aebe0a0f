/*
 * inject.c - makes ranges of a file fail on request, so that programs can test their recovery.
 *
 * SPDX-License-Identifier: MIT
 *
 * An injected page of a map is replaced by one that faults as a page past the end of a file does, so what the program
 * then meets is a real fault that takes the real way. Only its explanation is made up.
 */
#include "internal.h"

static bool can_be_injected(mapfile_status status) {
  switch (status) {
  case MAPFILE_OK:
  case MAPFILE_TRUNCATED:
  case MAPFILE_CHANGED:
  case MAPFILE_IO:
  case MAPFILE_NO_SPACE:
  case MAPFILE_POISONED:
  case MAPFILE_PROTECTED:
  case MAPFILE_RELEASED:
  case MAPFILE_UNKNOWN:
    return true;
  default:
    return false;
  }
}

mapfile_status mf_inject_cut(mapfile *file, uint64_t offset, uint64_t *length) {
  mapfile_status status = MAPFILE_OK;
  if (atomic_load(&file->injected) == 0)
    return MAPFILE_OK;
  os_lock();
  for (const mf_injection *bad = file->injections; bad != NULL; bad = bad->next) {
    if (bad->high <= offset || (bad->low > offset && bad->low - offset >= *length))
      continue;
    if (*length == 0)
      continue;
    *length = bad->low > offset ? bad->low - offset : 0;
    status = bad->status;
  }
  os_unlock();
  return status;
}

mapfile_status mf_inject_status(mapfile *file, uint64_t offset) {
  mapfile_status status = MAPFILE_OK;
  if (atomic_load(&file->injected) == 0)
    return MAPFILE_OK;
  os_lock();
  for (const mf_injection *bad = file->injections; bad != NULL; bad = bad->next)
    if (offset >= bad->low && offset < bad->high)
      status = bad->status;
  os_unlock();
  return status;
}

/* The part of a segment that lies in [low, high). */
static bool overlap(const mf_segment *segment, uint64_t low, uint64_t high, unsigned char **address, uint64_t *offset,
                    size_t *length) {
  uint64_t end = segment->offset + segment->length;
  if (low < segment->offset)
    low = segment->offset;
  if (high > end)
    high = end;
  if (low >= high)
    return false;
  *address = segment->address + (low - segment->offset);
  *offset = low;
  *length = (size_t)(high - low);
  return true;
}

static mapfile_status make_fail(const mf_segment *segment, uint64_t low, uint64_t high) {
  unsigned char *address;
  uint64_t offset;
  size_t length;
  if (!overlap(segment, low, high, &address, &offset, &length))
    return MAPFILE_OK;
  return os_memory_fail(address, length);
}

/* Pages of a copy that were made to fail get the file's bytes as they are now; all others keep theirs. */
static mapfile_status make_copy_good(mapfile *file, const mf_segment *segment, unsigned char *address, size_t length) {
  size_t first = (size_t)(address - segment->address) / mf_page_size, pages = length / mf_page_size, done;
  mapfile_status status = MAPFILE_OK;
  for (size_t page = first; status == MAPFILE_OK && segment->failing != NULL && page < first + pages; page++) {
    if (segment->failing[page] == 0)
      continue;
    unsigned char *at = segment->address + page * mf_page_size;
    status = os_memory_again(at, mf_page_size);
    if (status == MAPFILE_OK)
      status = mf_read_plain(file, segment->offset + page * mf_page_size, at, mf_page_size, &done);
    if (status == MAPFILE_OK && segment->fillable)
      os_memory_seal(at, mf_page_size);
    segment->failing[page] = status != MAPFILE_OK;
  }
  return status;
}

/* A private view's pages lose what was written to them: they come from the file again. */
static mapfile_status make_good(mapfile *file, const mf_segment *segment, uint64_t low, uint64_t high) {
  unsigned char *address;
  uint64_t offset;
  size_t length;
  if (!overlap(segment, low, high, &address, &offset, &length))
    return MAPFILE_OK;
  if (segment->kind == MF_OWN_COPY)
    return make_copy_good(file, segment, address, length);
  return os_map_over(file->handle, offset, length, mf_segment_map_kind(segment->kind), address);
}

/* A copy's pages fail from its beginning or never: which do has to be known when they are made good. */
static mapfile_status note_failing(mf_segment *segment, uint64_t low, uint64_t high) {
  unsigned char *address;
  uint64_t offset;
  size_t length;
  if (segment->kind != MF_OWN_COPY || !overlap(segment, low, high, &address, &offset, &length))
    return MAPFILE_OK;
  if (segment->failing == NULL)
    segment->failing = mf_allocate(segment->length / mf_page_size);
  if (segment->failing == NULL)
    return MAPFILE_NO_MEMORY;
  memset(segment->failing + (size_t)(address - segment->address) / mf_page_size, 1, length / mf_page_size);
  return MAPFILE_OK;
}

mapfile_status mf_inject_apply(mf_segment *segment) {
  for (const mf_injection *bad = segment->file->injections; bad != NULL; bad = bad->next) {
    mapfile_status status = note_failing(segment, bad->low, bad->high);
    if (status == MAPFILE_OK)
      status = make_fail(segment, bad->low, bad->high);
    if (status != MAPFILE_OK)
      return status;
  }
  return MAPFILE_OK;
}

void mf_inject_forget(mapfile *file) {
  while (file->injections != NULL) {
    mf_injection *gone = file->injections;
    file->injections = gone->next;
    free(gone);
  }
}

/* Make what fails of [low, high) good in every segment. Nothing else is touched: a private view keeps what was written
   to its other pages, a copied one the bytes that it has. */
static mapfile_status restore(mapfile *file, uint64_t low, uint64_t high) {
  mapfile_status status = MAPFILE_OK;
  for (const mf_injection *bad = file->injections; bad != NULL; bad = bad->next) {
    uint64_t from = bad->low > low ? bad->low : low, to = bad->high < high ? bad->high : high;
    mf_segment *segment = from < to ? file->segments : NULL;
    for (; segment != NULL && status == MAPFILE_OK; segment = segment->file_next)
      status = make_good(file, segment, from, to);
  }
  return status;
}

/* The first stretch of [*low, high) that does not fail yet; false: there is none. */
static bool next_good(const mapfile *file, uint64_t *low, uint64_t high, uint64_t *end) {
  const mf_injection *bad = file->injections;
  while (bad != NULL) {
    bool covers = bad->low <= *low && *low < bad->high;
    if (covers)
      *low = bad->high;
    bad = covers ? file->injections : bad->next;
  }
  *end = high;
  for (bad = file->injections; bad != NULL; bad = bad->next)
    if (bad->low >= *low && bad->low < *end)
      *end = bad->low;
  return *low < high;
}

/* Take [low, high) out of the list. What is cut in two needs the spare record. */
static void cut_out(mapfile *file, uint64_t low, uint64_t high, mf_injection **spare) {
  mf_injection **link = &file->injections;
  while (*link != NULL) {
    mf_injection *bad = *link;
    if (bad->high <= low || bad->low >= high) {
      link = &bad->next;
    } else if (bad->low >= low && bad->high <= high) {
      *link = bad->next;
      free(bad);
      atomic_fetch_sub(&file->injected, 1);
    } else if (bad->low < low && bad->high > high) {
      mf_injection *rest = *spare;
      *spare = NULL;
      *rest = (mf_injection){bad->next, high, bad->high, bad->status};
      bad->high = low;
      bad->next = rest;
      atomic_fetch_add(&file->injected, 1);
      return;
    } else {
      if (bad->low < low)
        bad->high = low;
      else
        bad->low = high;
      link = &bad->next;
    }
  }
}

/* Segments from the first up to, not including, last. Copied views that are pinned keep their bytes: they were read
   before. */
static mapfile_status fail_stretch(mapfile *file, uint64_t low, uint64_t high, mf_segment **last) {
  for (mf_segment *segment = file->segments; segment != *last; segment = segment->file_next) {
    mapfile_status status = segment->kind == MF_OWN_COPY ? MAPFILE_OK : make_fail(segment, low, high);
    if (status != MAPFILE_OK) {
      *last = segment;
      return status;
    }
  }
  return MAPFILE_OK;
}

static bool mend_stretch(mapfile *file, uint64_t low, uint64_t high, const mf_segment *last) {
  bool mended = true;
  for (mf_segment *segment = file->segments; segment != last; segment = segment->file_next)
    if (segment->kind != MF_OWN_COPY && make_good(file, segment, low, high) != MAPFILE_OK)
      mended = false;
  return mended;
}

/* All or nothing, but for what was written to a private view's pages that had to be taken back. */
static mapfile_status fail_everywhere(mapfile *file, uint64_t low, uint64_t high, bool *mended) {
  uint64_t end;
  for (uint64_t from = low; next_good(file, &from, high, &end); from = end) {
    mf_segment *last = NULL;
    mapfile_status status = fail_stretch(file, from, end, &last);
    if (status == MAPFILE_OK)
      continue;
    int64_t error = mapfile_native_error();
    *mended = mend_stretch(file, from, end, last);
    uint64_t failed = from;
    for (from = low; from < failed && next_good(file, &from, failed, &end); from = end)
      *mended &= mend_stretch(file, from, end, NULL);
    mf_set_native_error(error);
    return status;
  }
  return MAPFILE_OK;
}

static mapfile_status inject_locked(mapfile *file, uint64_t low, uint64_t high, mapfile_status wanted,
                                    mf_injection *records[2]) {
  bool mended = true;
  mapfile_status status = wanted == MAPFILE_OK ? restore(file, low, high) : fail_everywhere(file, low, high, &mended);
  /* What could not be taken back fails, so it is recorded: making the range good again mends it. */
  if (status != MAPFILE_OK && mended)
    return status;
  cut_out(file, low, high, &records[0]);
  if (wanted == MAPFILE_OK)
    return MAPFILE_OK;
  *records[1] = (mf_injection){file->injections, low, high, wanted};
  file->injections = records[1];
  records[1] = NULL;
  atomic_fetch_add(&file->injected, 1);
  return status;
}

/* Pages may have to be mapped, or read, again. */
static mapfile_status inject_held(mapfile *file, uint64_t low, uint64_t high, mapfile_status wanted,
                                  mf_injection *records[2]) {
  mapfile_status status = file->stream == NULL ? mf_file_hold(file) : MAPFILE_OK;
  if (status != MAPFILE_OK)
    return status;
  os_lock();
  status = inject_locked(file, low, high, wanted, records);
  if (status == MAPFILE_DENIED)
    status = MAPFILE_UNSUPPORTED;
  os_unlock();
  if (file->stream == NULL)
    mf_file_let(file);
  return status;
}

static mapfile_status inject_range(mapfile *file, uint64_t low, uint64_t high, mapfile_status wanted) {
  mf_injection *records[2] = {malloc(sizeof(mf_injection)), malloc(sizeof(mf_injection))};
  mapfile_status status = MAPFILE_NO_MEMORY;
  if (records[0] != NULL && records[1] != NULL)
    status = inject_held(file, low, high, wanted, records);
  free(records[0]);
  free(records[1]);
  return status;
}

static mapfile_status inject(mapfile *file, uint64_t offset, uint64_t length, mapfile_status wanted) {
  if (!mf_file_is_open(file) || !can_be_injected(wanted) || (length != MAPFILE_TO_END && length > UINT64_MAX - offset))
    return MAPFILE_INVALID;
  if (length == 0)
    return MAPFILE_OK;
  uint64_t low = mf_page_down(offset);
  uint64_t high = length == MAPFILE_TO_END ? UINT64_MAX : mf_page_up(offset + length);
  if (high <= low) /* the last page there is */
    high = UINT64_MAX;
  return inject_range(file, low, high, wanted);
}

mapfile_status MAPFILE_CALL mapfile_inject(mapfile *file, uint64_t offset, uint64_t length, mapfile_status wanted) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, inject(file, offset, length, wanted));
}
