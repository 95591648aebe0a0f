/*
 * explain.c - finds the cause of a fault, in normal context, when the program asks for it.
 *
 * SPDX-License-Identifier: MIT
 *
 * Promise fault-cause: never a guess. A page that can be read now was not readable for a reason that is gone: CHANGED
 * where the file has changed since the library last looked, else UNKNOWN.
 */
#include "internal.h"

/* Read the page where the fault was: the system then says what it could not say in the signal. */
static mapfile_status probe_page(const mapfile_fault *fault) {
  size_t page = mf_page_size;
  unsigned char *buffer = malloc(page);
  if (buffer == NULL)
    return MAPFILE_NO_MEMORY;
  size_t done;
  mapfile_status status = mf_read_plain(fault->file, mf_page_down(fault->offset), buffer, page, &done);
  free(buffer);
  if (status == MAPFILE_OK && done == 0)
    return MAPFILE_TRUNCATED;
  return status;
}

static mapfile_status look_for_change(mapfile *file, mapfile_fault *fault) {
  os_file_info now;
  mapfile_status status = mf_file_look(file, &now);
  if (status != MAPFILE_OK) {
    fault->native_error = mapfile_native_error();
    return MAPFILE_UNKNOWN;
  }
  if (fault->offset >= now.size)
    return MAPFILE_TRUNCATED;
  os_lock();
  status = mf_file_difference(&file->known, &now);
  os_unlock();
  return status == MAPFILE_OK ? MAPFILE_UNKNOWN : MAPFILE_CHANGED;
}

/* Not asked of a borrowed descriptor, whose position the question would move. */
static bool page_is_hole(const mapfile *file, uint64_t offset) {
  return file->owned && os_is_hole(file->handle, mf_page_down(offset), mf_page_size);
}

/* With the file held: all the questions are about the same one. */
static mapfile_status ask_system(mapfile *file, mapfile_fault *fault) {
  mapfile_status changed = look_for_change(file, fault);
  if (changed == MAPFILE_TRUNCATED || fault->native_error != 0)
    return changed;
  mapfile_status status = probe_page(fault);
  if (status == MAPFILE_IO || status == MAPFILE_POISONED || status == MAPFILE_NO_SPACE || status == MAPFILE_TRUNCATED) {
    fault->native_error = status == MAPFILE_TRUNCATED ? 0 : mapfile_native_error();
    return status;
  }
  /* The page can be read, but to hold it in a map needed space that is not there. For a store that is so in a full file
     system; for a load only where the page is a hole, which some file systems (tmpfs) fill even then. */
  if ((fault->access == MAPFILE_FAULT_WRITE || page_is_hole(file, fault->offset)) &&
      os_file_system_full(file->handle)) {
    fault->native_error = mapfile_native_error();
    return MAPFILE_NO_SPACE;
  }
  return changed;
}

static mapfile_status find_cause(mapfile *file, mapfile_fault *fault) {
  mapfile_status status = mf_inject_status(file, fault->offset);
  if (status != MAPFILE_OK)
    return status;
  /* The system's own word: poisoned, protected, released. */
  if (fault->status != MAPFILE_UNKNOWN || file->stream != NULL)
    return fault->status;
  status = mf_file_hold(file);
  if (status != MAPFILE_OK) {
    fault->native_error = mapfile_native_error();
    return MAPFILE_UNKNOWN;
  }
  status = ask_system(file, fault);
  mf_file_let(file);
  return status;
}

static mapfile_status explain(mapfile_fault *fault) {
  if (fault == NULL || fault->size < sizeof *fault)
    return MAPFILE_INVALID;
  /* A record that names no page (a scope that was not entered, VERIFY's word) says all there is. */
  if (fault->status == MAPFILE_OK || fault->file == NULL || fault->address == NULL)
    return fault->status;
  fault->native_error = 0;
  fault->status = find_cause(fault->file, fault);
  return fault->status;
}

mapfile_status MAPFILE_CALL mapfile_fault_explain(mapfile_fault *fault) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, explain(fault));
}

/*
 * EFAULT and short counts of system calls
 */

typedef struct touching {
  unsigned char *at;
  size_t length;
  bool store;
  unsigned seen; /* what was loaded: a load that nobody wants is one that tools may leave out */
} touching;

/* A store that changes nothing, whatever others store there meanwhile. */
static unsigned touch(unsigned char *at, bool store) {
  if (store)
    return atomic_fetch_or((_Atomic unsigned char *)at, 0);
  return *(volatile unsigned char *)at;
}

static unsigned touch_each(unsigned char *at, size_t length, bool store) {
  const unsigned char *end = at + length;
  unsigned seen = 0;
  while (at < end) {
    seen += touch(at, store);
    size_t to_next = mf_page_size - ((uintptr_t)at & (mf_page_size - 1));
    if (to_next >= (size_t)(end - at))
      break;
    at += to_next;
  }
  return seen;
}

static mapfile_status touch_pages(void *argument) {
  touching *range = argument;
  range->seen = touch_each(range->at, range->length, false);
  if (range->store)
    range->seen += touch_each(range->at, range->length, true);
  return MAPFILE_OK;
}

/* Pages that can be read, and yet the system could not reach them: in a SHARED view it may have been storing, into a
   hole of a full file system. Only where the call gave nothing at all: a short count has many reasons, and storing
   fills holes. */
static bool may_store(const mapfile_view *view, int64_t done) {
  return done < 0 && mf_view_thing(view) == MF_MARK_POOLED &&
         ((const mf_segment *)view->internal[MF_VIEW_THING])->kind == MF_POOLED_WRITE;
}

static mapfile_status fault_from_call(mapfile *file, const mapfile_view *view, const void *address, size_t length,
                                      int64_t done, mapfile_fault *fault) {
  if (view == NULL || !mf_view_is_pinned(view) || fault == NULL || (done > 0 && (uint64_t)done > length))
    return MAPFILE_INVALID;
  uintptr_t low = (uintptr_t)view->data, at = (uintptr_t)address;
  if (at < low || at - low > view->length || length > view->length - (at - low))
    return MAPFILE_INVALID;
  size_t skipped = done > 0 ? (size_t)done : 0;
  touching range = {(unsigned char *)view->data + (at - low) + skipped, length - skipped, may_store(view, done), 0};
  return mapfile_try(file, view, touch_pages, &range, fault);
}

mapfile_status MAPFILE_CALL mapfile_fault_from_call(mapfile *file, const mapfile_view *view, const void *address,
                                                    size_t length, int64_t done, mapfile_fault *fault) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, fault_from_call(file, view, address, length, done, fault));
}
