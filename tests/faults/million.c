/*
 * million: a million faults recovered in a row, then as many again in four threads. Nothing may be lost on the way, and
 * nothing left behind.
 *
 * SPDX-License-Identifier: MIT
 *
 *     million [--count N] [FOLDER]
 *
 * N is the number of faults in each of the two parts (rounded down to a multiple of 8); 1,000,000 unless given here or
 * in MAPFILE_TEST_FAULTS. The file that is cut short lies in FOLDER; default: the usual folder for such. Where the
 * system does not let a file be cut that is mapped, its failure is injected.
 */
#include "system.h"
#include <string.h>

enum { THREADS = 4, PAGES = 16, KEPT = 3 };

static _Thread_local volatile unsigned char seen_byte; /* so that valgrind does not leave out the load */
static char *path;
static size_t size, kept;

typedef struct work {
  mapfile *file;
  unsigned long count;
  unsigned long good, bad;
} work;

static int right(const mapfile_fault *fault, const work *me, const mapfile_view *view, uint64_t offset) {
  return fault->status == MAPFILE_UNKNOWN && fault->file == me->file && fault->offset == offset &&
         fault->address == (const char *)view->data + (offset - view->offset) && fault->signal == fault_signal &&
         access_is(fault, MAPFILE_FAULT_READ);
}

static void by_callback(work *me, const mapfile_view *view, uint64_t offset) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_status status = touch_read(me->file, view, offset, &fault);

  if (status == MAPFILE_UNKNOWN && right(&fault, me, view, offset)) {
    me->good++;
  } else {
    me->bad++;
  }
}

static void in_place(work *me, const mapfile_view *view, uint64_t offset) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  const volatile unsigned char *data = view->data;
  mapfile *file = me->file;

  MAPFILE_TRY(file, offset % 2 ? view : NULL, &fault) {
    seen_byte = data[offset - view->offset];
    me->bad++;
  }
  MAPFILE_CATCH {
    if (right(&fault, me, view, offset)) {
      me->good++;
    } else {
      me->bad++;
    }
  }
  MAPFILE_END_TRY
}

static void touch_in_scope_of(work *me, const mapfile_view *inner, const volatile unsigned char *at,
                              mapfile_fault *fault) {
  mapfile *file = me->file;

  MAPFILE_TRY(file, inner, fault) {
    seen_byte = *at;
    me->bad++;
  }
  MAPFILE_CATCH {
    me->bad++;
  }
  MAPFILE_END_TRY
}

/* An inner scope that does not cover the page, and an outer one that does. */
static void nested(work *me, const mapfile_view *view, uint64_t offset) {
  mapfile_view inner = MAPFILE_VIEW_INIT;
  mapfile_fault outer_fault = MAPFILE_FAULT_INIT, inner_fault = MAPFILE_FAULT_INIT;
  const volatile unsigned char *data = view->data;
  mapfile *file = me->file;

  need(mapfile_pin(file, 0, kept, MAPFILE_LIVE, &inner) == MAPFILE_OK);
  MAPFILE_TRY(file, view, &outer_fault) {
    touch_in_scope_of(me, &inner, data + (offset - view->offset), &inner_fault);
  }
  MAPFILE_CATCH {
    if (right(&outer_fault, me, view, offset) && inner_fault.status == MAPFILE_OK) {
      me->good++;
    } else {
      me->bad++;
    }
  }
  MAPFILE_END_TRY
  need(mapfile_unpin(&inner) == MAPFILE_OK);
}

/* Of every eight faults four are caught by callback, three in place and one by an outer scope. */
static void work_through(void *argument) {
  work *me = argument;
  mapfile_view view = MAPFILE_VIEW_INIT;

  need(mapfile_pin(me->file, 5, MAPFILE_TO_END, MAPFILE_LIVE, &view) == MAPFILE_OK);
  for (unsigned long i = 0; i < me->count; i++) {
    uint64_t offset = kept + i * 4093 % (size - kept);

    if (i % 8 == 7) {
      nested(me, &view, offset);
    } else if (i % 2 == 0) {
      by_callback(me, &view, offset);
    } else {
      in_place(me, &view, offset);
    }
  }
  need(mapfile_unpin(&view) == MAPFILE_OK);
  me->bad += (unsigned long)takes_faults_otherwise();
}

static mapfile_view whole = MAPFILE_VIEW_INIT;

static mapfile *open_and_cut(void) {
  mapfile *file = NULL;

  need(set_length(path, size));
  need(mapfile_open(path, NULL, &file) == MAPFILE_OK);
  /* Mapped before it is cut: some systems map no more than there is. */
  need(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &whole) == MAPFILE_OK);
  if (!set_length(path, kept)) {
    need(mapfile_inject(file, kept, MAPFILE_TO_END, MAPFILE_TRUNCATED) == MAPFILE_OK);
  }
  return file;
}

/* Returns the number of faults that were not recovered as they should be. */
static unsigned long in_a_row(unsigned long count) {
  work me = {.file = open_and_cut(), .count = count};

  work_through(&me);
  need(mapfile_unpin(&whole) == MAPFILE_OK);
  need(mapfile_close(me.file) == MAPFILE_OK);
  return me.bad + (count - me.good);
}

static unsigned long in_threads(unsigned long count) {
  mapfile *file = open_and_cut();
  work works[THREADS];
  unsigned long bad = 0;

  memset(works, 0, sizeof works);
  for (int i = 0; i < THREADS; i++) {
    works[i].file = file;
    works[i].count = count / THREADS;
  }
  in_a_crowd(work_through, works, sizeof works[0], THREADS);
  for (int i = 0; i < THREADS; i++) {
    bad += works[i].bad + (works[i].count - works[i].good);
  }
  need(mapfile_unpin(&whole) == MAPFILE_OK);
  need(mapfile_close(file) == MAPFILE_OK);
  return bad;
}

/* Run a part and look at what it leaves behind. Short runs and looks before it make what is made once, and fill the C
   library's cache of freed blocks (7 of each size), which it counts as used. */
static int part(const char *name, unsigned long (*run)(unsigned long), unsigned long count) {
  unsigned long bad = 0;
  int left;

  for (int i = 0; i < 10; i++) {
    bad += run(THREADS * 8);
    holdings_remember();
  }
  bad += run(count);
  left = holdings_differ(name);
  printf("%s: %lu faults, %lu wrong, %d things left behind\n", name, count, bad, left);
  return bad != 0 || left != 0;
}

int main(int argc, char **argv) {
  grow_stack();
  const char *text = getenv("MAPFILE_TEST_FAULTS"), *folder;
  unsigned long count = text != NULL ? strtoul(text, NULL, 10) : 1000000;
  mapfile_statistics statistics = MAPFILE_STATISTICS_INIT;
  char name[64];
  int failed, at = 1;

  if (argc > 2 && strcmp(argv[1], "--count") == 0) {
    count = strtoul(argv[2], NULL, 10);
    at = 3;
  }
  count -= count % (THREADS * 2);
  if (argc > at + 1 || count == 0) {
    fprintf(stderr, "usage: million [--count N] [FOLDER]\n");
    return 2;
  }
  folder = argc > at ? argv[at] : usual_folder();
  end_after(580);
  setvbuf(stdout, NULL, _IONBF, 0);
  size = PAGES * page_size();
  kept = KEPT * page_size();
  snprintf(name, sizeof name, "mapfile-million.%lu", process_number());
  path = make_file(folder, name, size);
  failed = part("in a row", in_a_row, count);
  failed |= part("in threads", in_threads, count);
  need(mapfile_stats(NULL, &statistics) == MAPFILE_OK);
  if (statistics.open_files != 0 || statistics.pinned_views != 0 || statistics.maps != 0) {
    printf("the library still counts open files, views or maps\n");
    failed = 1;
  }
  remove_file(path);
  free(path);
  return failed;
}
