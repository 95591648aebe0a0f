/*
 * truncations: another process truncates a file over and over, and puts its bytes back, while four threads read it in
 * every way the library has. Each reading must end with right bytes or with an error that tells why not.
 *
 * SPDX-License-Identifier: MIT
 *
 *     truncations [--count N] KIND|FOLDER
 *
 * KIND is TMPFS, EXT4 or FUSE, a place that tests/faults/run makes. N is the least number of truncations, 10,000 unless
 * given here or in MAPFILE_TEST_TRUNCATIONS. A byte may be the file's or 0: a file that shrank and grew back holds
 * zeros until it is written to again, and no system tells a reader so.
 */
#define _GNU_SOURCE 1
#include "faulty.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READERS = 4, PAGES = 24, ENOUGH = 100 };

/* What the processes share. */
static struct shared {
  atomic_ulong truncations;
  atomic_int satisfied; /* readers that have met enough faults */
} * shared;

static char *path;
static size_t size;
static unsigned char *right; /* the file's bytes */

typedef struct reader {
  mapfile *file;
  uint64_t random;
  unsigned char *buffer;
  int receiver;
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

/* The process that does the harm. */
static void truncate_over_and_over(unsigned long count) {
  uint64_t random = 88172645463325252u;
  int fd = open(path, O_RDWR | O_CLOEXEC);

  need(fd >= 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (atomic_load(&shared->truncations) < count || atomic_load(&shared->satisfied) < READERS) {
    size_t length = (size_t)(next(&random) % size);

    need(ftruncate(fd, (off_t)length) == 0);
    atomic_fetch_add(&shared->truncations, 1);
    sched_yield(); /* let someone see it */
    if (next(&random) % 2 == 0) {
      need(ftruncate(fd, (off_t)size) == 0); /* zeros first, then the bytes */
    }
    need(pwrite(fd, right + length, size - length, (off_t)length) == (ssize_t)(size - length));
  }
  _exit(0);
}

static int right_or_zero(const void *data, size_t length, uint64_t offset) {
  const unsigned char *bytes = data;
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
  need(fault->file == me->file && fault->status == MAPFILE_UNKNOWN && fault->access == MAPFILE_FAULT_READ);
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
  need(ftruncate(me->receiver, 0) == 0 && lseek(me->receiver, 0, SEEK_SET) == 0);
  status = mapfile_send(me->file, offset, size - offset, me->receiver, &done);
  expected(me, "send", status);
  need(lseek(me->receiver, 0, SEEK_END) == (off_t)done && (status != MAPFILE_OK || done == size - offset));
  need(pread(me->receiver, me->buffer, (size_t)done, 0) == (ssize_t)done);
  need(right_or_zero(me->buffer, (size_t)done, offset));
}

static int child_runs(void) {
  siginfo_t info;

  memset(&info, 0, sizeof info);
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

static void *read_on(void *argument) {
  static void (*const ways[])(reader *) = {read_in_callback, read_in_place,         read_copied_view,
                                           read_with_zeros,  read_whole_operations, read_stream_wise,
                                           read_in_callback, read_in_place,         look_again};
  reader *me = argument;
  int satisfied = 0;

  for (; child_runs(); me->rounds++) {
    ways[next(&me->random) % (sizeof ways / sizeof *ways)](me);
    if (!satisfied && me->faults + me->shorter >= ENOUGH) {
      atomic_fetch_add(&shared->satisfied, 1);
      satisfied = 1;
    }
  }
  return NULL;
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
static int run(unsigned long count) {
  mapfile *mapped = open_it(MAPFILE_ACCESS_MAPPED), *copied = open_it(MAPFILE_ACCESS_COPIED);
  static reader readers[READERS];
  pthread_t threads[READERS];
  unsigned long faults = 0;
  pid_t child;
  int state = 0;

  child = fork();
  need(child >= 0);
  if (child == 0) {
    truncate_over_and_over(count);
  }
  for (int i = 0; i < READERS; i++) {
    readers[i].file = i == READERS - 1 ? copied : mapped;
    readers[i].random = 1234567u + (unsigned)i;
    readers[i].buffer = malloc(size);
    readers[i].receiver = memfd_create("receiver", MFD_CLOEXEC);
    need(readers[i].buffer != NULL && readers[i].receiver >= 0);
    need(pthread_create(&threads[i], NULL, read_on, &readers[i]) == 0);
  }
  for (int i = 0; i < READERS; i++) {
    need(pthread_join(threads[i], NULL) == 0);
    report(&readers[i], i == READERS - 1 ? "copies" : "maps");
    faults += readers[i].faults;
    free(readers[i].buffer);
    close(readers[i].receiver);
  }
  need(waitpid(child, &state, 0) == child && state == 0);
  need(mapfile_close(mapped) == MAPFILE_OK && mapfile_close(copied) == MAPFILE_OK);
  printf("truncations: %lu, faults recovered: %lu\n", atomic_load(&shared->truncations), faults);
  return faults > 0 && atomic_load(&shared->truncations) >= count ? 0 : 1;
}

int main(int argc, char **argv) {
  const char *text = getenv("MAPFILE_TEST_TRUNCATIONS"), *folder;
  unsigned long count = text != NULL ? strtoul(text, NULL, 10) : 10000;
  int result;

  if (argc == 4 && strcmp(argv[1], "--count") == 0) {
    count = strtoul(argv[2], NULL, 10);
  } else if (argc != 2) {
    fprintf(stderr, "usage: truncations [--count N] KIND|FOLDER\n");
    return 2;
  }
  folder = strchr(argv[argc - 1], '/') != NULL ? argv[argc - 1] : place(argv[argc - 1]);
  if (folder == NULL) {
    skip("truncations", argv[argc - 1]);
    return 77;
  }
  alarm(580);
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  need(shared != MAP_FAILED);
  size = PAGES * page_size();
  path = make_file(folder, "truncated", size);
  right = malloc(size);
  need(right != NULL);
  pattern_fill(right, size, 0);
  result = run(count);
  unlink(path);
  free(right);
  free(path);
  return result;
}
