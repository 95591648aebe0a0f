/*
 * truncations: another process truncates a file over and over, and puts its bytes back, while four threads read it in
 * every way the library has. Each reading must end with right bytes or with an error that tells why not.
 *
 * SPDX-License-Identifier: MIT
 *
 *     truncations [--count N] [KIND|FOLDER]
 *
 * KIND is TMPFS, EXT4 or FUSE, a place that tests/faults/run makes; default: the usual folder for files of tests. N is
 * the least number of truncations, 10,000 unless given here or in MAPFILE_TEST_TRUNCATIONS. A byte may be the file's or
 * 0: a file that shrank and grew back holds zeros until it is written to again, and no system tells a reader so.
 */
#include "system.h"
#include <stdatomic.h>
#include <string.h>

enum { READERS = 4, PAGES = 24, ENOUGH = 100 };

static atomic_int satisfied; /* readers that have met enough faults */
static cutter *stranger;
static char *path;
static size_t size;
static unsigned char *right; /* the file's bytes */

typedef struct reader {
  mapfile *file;
  uint64_t random;
  unsigned char *buffer;
  receiver receiver;
  unsigned long rounds, faults, shorter, filled, statuses[MAPFILE_STALE + 1];
} reader;

static uint64_t next(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static void wrong(const char *what, mapfile_status status) {
  fprintf(stderr, "truncations: %s: %s\n", what, mapfile_strerror(status));
  abort();
}

/* Each byte is loaded once: a second time it may be another. */
static int right_or_zero(const void *data, size_t length, uint64_t offset) {
  const volatile unsigned char *bytes = data;
  int good = 1;

  for (size_t i = 0; i < length; i++) {
    unsigned char byte = bytes[i];

    good &= byte == right[offset + i] || byte == 0;
  }
  return good;
}

/* What a call may say while the file changes. */
static void expected(reader *me, const char *what, mapfile_status status) {
  if (status == MAPFILE_END) {
    mapfile_check(me->file); /* someone has learnt a short size: the file may be long again */
  } else if (status != MAPFILE_OK && status != MAPFILE_TRUNCATED && status != MAPFILE_CHANGED &&
             status != MAPFILE_UNKNOWN) {
    wrong(what, status);
  }
  me->statuses[status]++;
}

static void explained(reader *me, const mapfile_view *view, mapfile_fault *fault) {
  mapfile_status cause;

  me->faults++;
  need(fault->file == me->file && fault->status == MAPFILE_UNKNOWN && access_is(fault, MAPFILE_FAULT_READ));
  need(fault->offset >= view->offset && fault->offset - view->offset < view->length);
  need((const char *)fault->address - (const char *)view->data == (ptrdiff_t)(fault->offset - view->offset));
  cause = mapfile_fault_explain(fault);
  if (cause != MAPFILE_TRUNCATED && cause != MAPFILE_CHANGED && cause != MAPFILE_UNKNOWN) {
    wrong("explained as", cause);
  }
}

static mapfile_status MAPFILE_CALL look(void *argument) {
  const mapfile_view *view = argument;

  return right_or_zero(view->data, view->length, view->offset) ? MAPFILE_OK : MAPFILE_INVALID;
}

static void look_again(reader *me) {
  uint64_t length = 0;

  expected(me, "check", mapfile_check(me->file));
  need(mapfile_size(me->file, &length) == MAPFILE_OK && length <= size);
}

/* Pin some of the file, or all of it. Returns 0 where the known size does not allow it. */
static int pin(reader *me, uint32_t flags, mapfile_view *view) {
  uint64_t offset = next(&me->random) % size;
  uint64_t length = next(&me->random) % 2 ? MAPFILE_TO_END : next(&me->random) % (size - offset) + 1;
  mapfile_status status;

  if (next(&me->random) % 4 == 0) {
    flags |= MAPFILE_VERIFY;
  }
  status = mapfile_pin(me->file, offset, length, flags, view);
  expected(me, "pin", status);
  return status == MAPFILE_OK;
}

static void read_in_callback(reader *me) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_status status;

  if (pin(me, MAPFILE_ANY, &view)) {
    status = mapfile_try(me->file, next(&me->random) % 2 ? &view : NULL, look, &view, &fault);
    expected(me, "try", status);
    if (fault.address != NULL) { /* else VERIFY has spoken */
      explained(me, &view, &fault);
    }
    need(mapfile_unpin(&view) == MAPFILE_OK);
  }
}

static void read_in_place(reader *me) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  volatile int good = 1;

  if (pin(me, MAPFILE_ANY, &view)) {
    MAPFILE_TRY(me->file, &view, &fault) {
      good = right_or_zero(view.data, view.length, view.offset);
    }
    MAPFILE_CATCH {
      explained(me, &view, &fault);
    }
    MAPFILE_END_TRY
    need(good);
    need(mapfile_unpin(&view) == MAPFILE_OK);
  }
}

static void read_copied_view(reader *me) {
  mapfile_view view = MAPFILE_VIEW_INIT;

  if (pin(me, MAPFILE_COPY, &view)) {
    need(right_or_zero(view.data, view.length, view.offset));
    need(mapfile_unpin(&view) == MAPFILE_OK);
  }
}

static void read_with_zeros(reader *me) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_scope scope;
  mapfile_status status;

  if (pin(me, MAPFILE_ZERO_FILL, &view)) {
    MAPFILE_SCOPE_INIT(&scope);
    need(mapfile_scope_begin(&scope, me->file, &view) == MAPFILE_OK);
    need(right_or_zero(view.data, view.length, view.offset));
    status = mapfile_scope_end(&scope, &fault);
    expected(me, "scope_end", status);
    me->filled += (unsigned long)fault.filled_pages;
    need((fault.filled_pages > 0) == (status == MAPFILE_UNKNOWN));
    status = mapfile_unpin(&view);
    need(status == (fault.filled_pages > 0 ? MAPFILE_UNKNOWN : MAPFILE_OK));
  }
}

static void read_whole_operations(reader *me) {
  static const unsigned char nowhere[2] = {9, 9};
  uint64_t offset = next(&me->random) % size, found = 0, searched = 0;
  size_t length = (size_t)(next(&me->random) % (size - offset)) + 1, done = 0;
  int order = 0;
  mapfile_status status = mapfile_read(me->file, offset, me->buffer, length, &done);

  expected(me, "read", status);
  need(done <= length && (status != MAPFILE_OK || done == length));
  need(right_or_zero(me->buffer, done, offset));
  me->shorter += status == MAPFILE_TRUNCATED;
  status = mapfile_find(me->file, offset, length, nowhere, sizeof nowhere, &found, &searched);
  if (status != MAPFILE_NOT_FOUND) {
    need(status != MAPFILE_OK && searched <= length);
    expected(me, "find", status);
  }
  status = mapfile_compare(me->file, offset, right + offset, length, &order, &done);
  expected(me, "compare", status);
  need(done <= length && (status != MAPFILE_OK || order <= 0) && (status == MAPFILE_OK || done < length));
}

static mapfile_status MAPFILE_CALL look_at_chunk(void *argument, const void *data, size_t length, uint64_t offset) {
  uint64_t *next_offset = argument;

  if (offset != *next_offset || !right_or_zero(data, length, offset)) {
    return MAPFILE_INVALID;
  }
  *next_offset = offset + length;
  return MAPFILE_OK;
}

static void read_stream_wise(reader *me) {
  static const uint32_t flags[] = {0, MAPFILE_SCAN_COPY, MAPFILE_SCAN_ONCE};
  uint64_t offset = next(&me->random) % size, reached = offset, done = 0;
  mapfile_status status = mapfile_scan(me->file, offset, size - offset, next(&me->random) % 2 ? 1 : 0,
                                       flags[next(&me->random) % 3], look_at_chunk, &reached, &done);

  expected(me, "scan", status);
  /* Of a page that was cut, chunk saw zeros, which were then not counted. */
  need(reached >= offset + done && (status != MAPFILE_OK || (reached == size && done == size - offset)));
  receiver_empty(&me->receiver);
  status = mapfile_send(me->file, offset, size - offset, me->receiver.native, &done);
  expected(me, "send", status);
  need(receiver_take(&me->receiver, me->buffer, size) == done && (status != MAPFILE_OK || done == size - offset));
  need(right_or_zero(me->buffer, (size_t)done, offset));
}

static void read_on(void *argument) {
  static void (*const ways[])(reader *) = {read_in_callback, read_in_place,         read_copied_view,
                                           read_with_zeros,  read_whole_operations, read_stream_wise,
                                           read_in_callback, read_in_place,         look_again};
  reader *me = argument;
  int enough = 0;

  for (; cutter_runs(stranger); me->rounds++) {
    ways[next(&me->random) % (sizeof ways / sizeof *ways)](me);
    if (!enough && me->faults + me->shorter >= ENOUGH) {
      enough = 1;
      if (atomic_fetch_add(&satisfied, 1) + 1 == READERS) {
        cutter_enough(stranger);
      }
    }
  }
}

static mapfile *open_it(uint32_t access) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file = NULL;
  mapfile_status status;

  options.access = access;
  status = mapfile_open(path, &options, &file);
  if (status != MAPFILE_OK) {
    wrong("open", status);
  }
  return file;
}

static void report(const reader *me, const char *how) {
  printf("  reader of %s: %lu rounds, %lu faults recovered, %lu short reads, %lu pages filled;", how, me->rounds,
         me->faults, me->shorter, me->filled);
  for (mapfile_status status = 0; status <= MAPFILE_STALE; status++) {
    if (me->statuses[status] > 0) {
      printf(" %lu %s;", me->statuses[status], mapfile_strerror(status));
    }
  }
  printf("\n");
}

/* Three share a mapfile that is mapped, one has a mapfile that is read. */
static int run(const char *folder, unsigned long count) {
  mapfile *mapped = open_it(MAPFILE_ACCESS_MAPPED), *copied = open_it(MAPFILE_ACCESS_COPIED);
  static reader readers[READERS];
  unsigned long faults = 0, cuts;

  stranger = cutter_start(path, right, size, count);
  if (stranger == NULL) {
    printf("SKIP truncations: the system does not let a file be cut that is mapped\n");
    need(mapfile_close(mapped) == MAPFILE_OK && mapfile_close(copied) == MAPFILE_OK);
    return 77;
  }
  for (unsigned i = 0; i < READERS; i++) {
    readers[i].file = i == READERS - 1 ? copied : mapped;
    readers[i].random = 1234567u + i;
    readers[i].buffer = malloc(size);
    need(readers[i].buffer != NULL);
    receiver_make(&readers[i].receiver, folder, i);
  }
  in_a_crowd(read_on, readers, sizeof readers[0], READERS);
  for (unsigned i = 0; i < READERS; i++) {
    report(&readers[i], i == READERS - 1 ? "copies" : "maps");
    faults += readers[i].faults;
    free(readers[i].buffer);
    receiver_remove(&readers[i].receiver);
  }
  cuts = cutter_end(stranger);
  need(mapfile_close(mapped) == MAPFILE_OK && mapfile_close(copied) == MAPFILE_OK);
  printf("truncations: %lu, faults recovered: %lu\n", cuts, faults);
  return faults > 0 && cuts >= count ? 0 : 1;
}

int main(int argc, char **argv) {
  const char *text = getenv("MAPFILE_TEST_TRUNCATIONS"), *folder;
  unsigned long count = text != NULL ? strtoul(text, NULL, 10) : 10000;
  char name[64];
  int result;

  if (argc == 4 && strcmp(argv[1], "--count") == 0) {
    count = strtoul(argv[2], NULL, 10);
  } else if (argc > 2) {
    fprintf(stderr, "usage: truncations [--count N] [KIND|FOLDER]\n");
    return 2;
  }
  folder = argc == 1 ? usual_folder() : folder_for("truncations", argv[argc - 1]);
  if (folder == NULL) {
    return 77;
  }
  end_after(580);
  size = PAGES * page_size();
  snprintf(name, sizeof name, "mapfile-truncated.%lu", process_number());
  path = make_file(folder, name, size);
  right = malloc(size);
  need(right != NULL);
  pattern_fill(right, size, 0);
  result = run(folder, count);
  remove_file(path);
  free(right);
  free(path);
  return result;
}
