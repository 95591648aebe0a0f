/*
 * syscalls: makes every call of the C library that libmapfile makes fail in turn, with each error it may have, and
 * looks at what the library makes of it: a status that the header allows, the right native error, right bytes where it
 * says OK, nothing left behind, and a library that works afterwards.
 *
 * SPDX-License-Identifier: MIT
 *
 *     syscalls [FOLDER]
 *     syscalls --repeat SCENARIO,WARM,MODE,APART,NTH,CHOICE [FOLDER]    one run, as a line of the output names it
 *
 * Each scenario is run in processes of its own: with the first call failing, with the second, and so on until it ends
 * before the nth call; at the start of a process (cold) and after the scenario has run once (warm); with one call
 * failing, with all later calls of the same function too, and with another soon after it. FOLDER is where the files go;
 * default: TMPDIR, else /tmp.
 */
#define _GNU_SOURCE 1
#include "failing.h"
#include "faulty.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGES = 12, KEPT = 4, BAD = 9, MOST_WRONG = 10 };

/* What the processes of the test share. */
static struct board {
  failing_plan plan;
  residue reference;         /* what an undisturbed process holds at the end */
  long reference_blocks;     /* of memory */
  char step[64];             /* the call that runs, or ran last */
  int warm;                  /* how this run began */
  unsigned long nth;         /* the call that it made fail */
  unsigned long runs, steps; /* in all */
  char covered[FAILING_CALLS][FAILING_NAME];
} * board;

static char *path;
static size_t size, page;
static unsigned char *right;
static const char *scenario_name;
static int emulated; /* each process takes long */

/*
 * Steps: one call of the library each
 */

#define BIT(status) (1u << (status))

/* What the header allows each call to return besides OK, as far as a failing system can be the reason. */
enum {
  FROM_OPEN = BIT(MAPFILE_NOT_FOUND) | BIT(MAPFILE_DENIED) | BIT(MAPFILE_UNSUPPORTED) | BIT(MAPFILE_BUSY) |
              BIT(MAPFILE_LIMIT) | BIT(MAPFILE_NO_MEMORY) | BIT(MAPFILE_IO),
  FROM_PIN = BIT(MAPFILE_LIMIT) | BIT(MAPFILE_UNSUPPORTED) | BIT(MAPFILE_DENIED) | BIT(MAPFILE_NO_MEMORY) |
             BIT(MAPFILE_IO) | BIT(MAPFILE_NO_SPACE),
  FROM_SCOPE = BIT(MAPFILE_UNSUPPORTED),
  FROM_SCOPE_VERIFIED = FROM_SCOPE | BIT(MAPFILE_IO),
  FROM_CHECK = BIT(MAPFILE_IO),
  FROM_EXPLAIN = BIT(MAPFILE_UNKNOWN) | BIT(MAPFILE_IO),
  FROM_WHOLE =
      BIT(MAPFILE_IO) | BIT(MAPFILE_NO_SPACE) | BIT(MAPFILE_NO_MEMORY) | BIT(MAPFILE_LIMIT) | BIT(MAPFILE_UNKNOWN),
  FROM_SEND = FROM_WHOLE | BIT(MAPFILE_BUSY) | BIT(MAPFILE_DENIED),
  FROM_INJECT = BIT(MAPFILE_LIMIT) | BIT(MAPFILE_NO_MEMORY) | BIT(MAPFILE_UNSUPPORTED),
  FROM_REARM = BIT(MAPFILE_UNSUPPORTED) | BIT(MAPFILE_LIMIT),
  FROM_CLOSE = BIT(MAPFILE_IO) | BIT(MAPFILE_NO_SPACE),
  FROM_RESIZE = BIT(MAPFILE_IO) | BIT(MAPFILE_NO_SPACE) | BIT(MAPFILE_BUSY) | BIT(MAPFILE_DENIED) | BIT(MAPFILE_LIMIT) |
                BIT(MAPFILE_UNSUPPORTED),
  FROM_WRITE = BIT(MAPFILE_IO) | BIT(MAPFILE_NO_SPACE) | BIT(MAPFILE_LIMIT) | BIT(MAPFILE_DENIED) |
               BIT(MAPFILE_NO_MEMORY) | BIT(MAPFILE_INVALID),
  FROM_COMMIT = FROM_WRITE | BIT(MAPFILE_UNKNOWN) | BIT(MAPFILE_CHANGED),
  FROM_NAMES = BIT(MAPFILE_NOT_FOUND) | BIT(MAPFILE_DENIED) | BIT(MAPFILE_BUSY) | BIT(MAPFILE_IO) |
               BIT(MAPFILE_NO_SPACE) | BIT(MAPFILE_UNSUPPORTED) | BIT(MAPFILE_NO_MEMORY),
  NOTHING = 0
};

static unsigned failed_before; /* calls made to fail before this step */
static mapfile_status result;

/* Tell of the run that goes wrong, so that it can be repeated. */
static void tell(const failing_plan *plan, const char *what) {
  printf("WRONG: %s in %s (%s); made to fail: %s, %s. --repeat '%s,%d,%d,%u,%lu,%u'\n", what, board->step,
         mapfile_strerror(result), plan->call, plan->error == FAIL_SHORT ? "a short count" : strerror(plan->error),
         scenario_name, board->warm, (int)plan->mode, plan->apart, plan->nth, plan->choice);
}

_Noreturn static void wrong(const char *what) {
  failing_plan plan = board->plan;

  plan.nth = board->nth;
  tell(&plan, what);
  fflush(stdout);
  _exit(1);
}

#define must(condition)  \
  do {                   \
    if (!(condition)) {  \
      wrong(#condition); \
    }                    \
  } while (0)

static void step_begins(const char *name) {
  snprintf(board->step, sizeof board->step, "%s", name);
  board->steps++;
  failed_before = board->plan.failed;
  failing_enter();
}

static int failed_in_step(void) {
  return board->plan.failed != failed_before;
}

/* Did the call return what it does in a good world? If not, it must have had a reason, and say so. */
static int as_expected(mapfile_status expected, unsigned allowed) {
  failing_leave();
  if (result == expected) {
    return 1;
  }
  must(result >= 0 && result <= MAPFILE_STALE);
  if (!failed_in_step() && board->plan.failed > 0) {
    return 0; /* a consequence: looked at where the step before allows it */
  }
  must(failed_in_step());
  must((allowed & BIT(result)) != 0 || result == MAPFILE_OK);
  must(board->plan.mode != FAIL_ONCE || result == MAPFILE_OK || mapfile_native_error() == board->plan.error ||
       mapfile_native_error() == 0);
  return 0;
}

/* Run a call of the library as a step; true where it returned what was expected. */
#define STEP(name, expected, allowed, call) (step_begins(name), result = (call), as_expected(expected, allowed))

static mapfile_status MAPFILE_CALL add_up(void *argument) {
  const mapfile_view *view = argument;
  const unsigned char *data = view->data;
  int good = 1;

  for (size_t i = 0; i < view->length; i++) {
    good &= data[i] == right[view->offset + i];
  }
  return good ? MAPFILE_OK : MAPFILE_STALE;
}

static mapfile_status MAPFILE_CALL do_nothing(void *argument) {
  (void)argument;
  return MAPFILE_OK;
}

static void unpin(mapfile_view *view, mapfile_status expected) {
  must(STEP("unpin", expected, NOTHING, mapfile_unpin(view)));
}

static void close_file(mapfile *file) {
  (void)STEP("close", MAPFILE_OK, FROM_CLOSE, mapfile_close(file));
  must(result == MAPFILE_OK || failed_in_step());
}

/*
 * What is done with a file
 */

static void with_view(mapfile *file, const char *name, uint32_t flags) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;

  if (!STEP(name, MAPFILE_OK, FROM_PIN, mapfile_pin(file, 100, MAPFILE_TO_END, flags, &view))) {
    must(view.data == NULL && view.kind == MAPFILE_KIND_NONE);
    return;
  }
  must(view.length == size - 100);
  if ((flags & MAPFILE_ZERO_FILL) != 0 && failed_in_step() && add_up(&view) != MAPFILE_OK) {
    unpin(&view, MAPFILE_UNKNOWN); /* a page that could not be read is zeros, and told of */
    return;
  }
  must(add_up(&view) == MAPFILE_OK);
  (void)STEP("try", MAPFILE_OK, (flags & MAPFILE_VERIFY) != 0 ? FROM_SCOPE_VERIFIED : FROM_SCOPE,
             mapfile_try(file, &view, add_up, &view, &fault));
  if ((flags & (MAPFILE_PRIVATE | MAPFILE_SHARED)) != 0) {
    ((unsigned char *)view.data)[page] = right[100 + page];
  }
  if ((flags & MAPFILE_VERIFY) != 0) {
    (void)STEP("view_check", MAPFILE_OK, FROM_CHECK, mapfile_view_check(&view));
  }
  unpin(&view, MAPFILE_OK);
}

static void with_whole_operations(mapfile *file) {
  unsigned char *buffer = malloc(size);
  uint64_t found = 0, searched = 0;
  size_t done = 0;
  int order = 1;

  must(buffer != NULL);
  if (STEP("read", MAPFILE_OK, FROM_WHOLE, mapfile_read(file, 1, buffer, size - 1, &done))) {
    must(done == size - 1);
  }
  must(done <= size - 1 && memcmp(buffer, right + 1, done) == 0);
  if (STEP("compare", MAPFILE_OK, FROM_WHOLE, mapfile_compare(file, 1, right + 1, size - 1, &order, &done))) {
    must(order == 0 && done == size - 1);
  }
  must(done <= size - 1);
  if (STEP("find", MAPFILE_OK, FROM_WHOLE,
           mapfile_find(file, page, MAPFILE_TO_END, right + size - 100, 100, &found, &searched))) {
    must(found >= page && found <= size - 100 && memcmp(right + found, right + size - 100, 100) == 0);
  }
  must(searched <= size);
  free(buffer);
}

typedef struct seen {
  uint64_t next;
  int good;
} seen;

static mapfile_status MAPFILE_CALL look_at_chunk(void *argument, const void *data, size_t length, uint64_t offset) {
  seen *so_far = argument;

  so_far->good &= offset == so_far->next && memcmp(data, right + offset, length) == 0;
  so_far->next = offset + length;
  return MAPFILE_OK;
}

static void with_scan(mapfile *file, const char *name, uint32_t flags) {
  seen so_far = {3, 1};
  uint64_t done = 0;

  if (STEP(name, MAPFILE_OK, FROM_WHOLE,
           mapfile_scan(file, 3, MAPFILE_TO_END, page, flags, look_at_chunk, &so_far, &done))) {
    must(done == size - 3);
  }
  must(so_far.good && so_far.next == 3 + done);
}

static void with_send(mapfile *file, const char *name, int flags) {
  int receiver = memfd_create("receiver", MFD_CLOEXEC);
  unsigned char *buffer = malloc(size);
  uint64_t done = 0;

  must(receiver >= 0 && buffer != NULL && fcntl(receiver, F_SETFL, flags) == 0);
  if (STEP(name, MAPFILE_OK, FROM_SEND, mapfile_send(file, 3, MAPFILE_TO_END, receiver, &done))) {
    must(done == size - 3);
  }
  must(lseek(receiver, 0, SEEK_END) == (off_t)done && pread(receiver, buffer, size, 0) == (ssize_t)done);
  must(memcmp(buffer, right + 3, (size_t)done) == 0);
  free(buffer);
  close(receiver);
}

/* A page is made bad and good again while two views lie over it. */
static void with_injection(mapfile *file) {
  mapfile_view view = MAPFILE_VIEW_INIT, own = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  size_t done = 0;
  unsigned char bytes[2];
  int injected, live;

  live = STEP("pin", MAPFILE_OK, FROM_PIN, mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view));
  if (!STEP("pin private", MAPFILE_OK, FROM_PIN, mapfile_pin(file, 0, size, MAPFILE_PRIVATE, &own))) {
    must(own.data == NULL);
  }
  injected = STEP("inject", MAPFILE_OK, FROM_INJECT, mapfile_inject(file, BAD * page, page, MAPFILE_IO));
  if (live && view.kind == MAPFILE_KIND_LIVE) {
    mapfile_status touched = injected ? MAPFILE_UNKNOWN : MAPFILE_OK;

    step_begins("touch of what was made bad");
    result = touch_read(file, &view, BAD * page + 5, &fault);
    if (as_expected(touched, FROM_SCOPE) && injected) {
      must(fault.offset == BAD * page + 5);
      (void)STEP("explain", MAPFILE_IO, FROM_EXPLAIN, mapfile_fault_explain(&fault));
    }
  }
  (void)STEP("read what was made bad", injected ? MAPFILE_IO : MAPFILE_OK, FROM_WHOLE,
             mapfile_read(file, BAD * page - 1, bytes, 2, &done));
  must(done <= (injected ? 1 : 2) && memcmp(bytes, right + BAD * page - 1, done) == 0);
  while (!STEP("inject OK", MAPFILE_OK, FROM_INJECT, mapfile_inject(file, BAD * page, page, MAPFILE_OK))) {
    must(failed_in_step());
    board->plan.mode = board->plan.mode == FAIL_EVER ? FAIL_ONCE : board->plan.mode;
  }
  must(!live || add_up(&view) == MAPFILE_OK);
  must(own.data == NULL || add_up(&own) == MAPFILE_OK);
  if (own.data != NULL) {
    unpin(&own, MAPFILE_OK);
  }
  if (live) {
    unpin(&view, MAPFILE_OK);
  }
}

static void restore_file(void) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);

  must(fd >= 0 && ftruncate(fd, (off_t)size) == 0 && pwrite(fd, right, size, 0) == (ssize_t)size && close(fd) == 0);
}

static void with_zero_fill(mapfile *file, mapfile_view *view) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_scope scope;
  int filled;

  MAPFILE_SCOPE_INIT(&scope);
  if (!STEP("scope_begin", MAPFILE_OK, FROM_SCOPE, mapfile_scope_begin(&scope, file, view))) {
    return;
  }
  step_begins("touch in a zero-fill scope"); /* a death by SIGBUS is allowed here: see run_child */
  result = ((volatile unsigned char *)view->data)[BAD * page] == 0 ? MAPFILE_OK : MAPFILE_STALE;
  must(as_expected(MAPFILE_OK, NOTHING));
  filled = STEP("scope_end", MAPFILE_UNKNOWN, NOTHING, mapfile_scope_end(&scope, &fault));
  must(filled && fault.filled_pages == 1 && fault.offset == BAD * page);
  (void)STEP("explain", MAPFILE_TRUNCATED, FROM_EXPLAIN, mapfile_fault_explain(&fault));
}

/* The file is cut short under two views. */
static void with_truncation(mapfile *file) {
  mapfile_view view = MAPFILE_VIEW_INIT, fill = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  int pinned, fillable;

  pinned = STEP("pin", MAPFILE_OK, FROM_PIN, mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view));
  fillable = STEP("pin zero-fill", MAPFILE_OK, FROM_PIN, mapfile_pin(file, 0, size, MAPFILE_ZERO_FILL, &fill));
  must(truncate(path, (off_t)(KEPT * page)) == 0);
  if (pinned && view.kind == MAPFILE_KIND_LIVE) {
    step_begins("touch past the end");
    result = touch_read(file, &view, BAD * page + 7, &fault);
    if (as_expected(MAPFILE_UNKNOWN, FROM_SCOPE)) {
      must(fault.offset == BAD * page + 7);
      (void)STEP("explain", MAPFILE_TRUNCATED, FROM_EXPLAIN, mapfile_fault_explain(&fault));
    }
  }
  if (fillable && fill.kind == MAPFILE_KIND_LIVE) {
    with_zero_fill(file, &fill);
  }
  if (fillable) {
    step_begins("unpin zero-fill");
    result = mapfile_unpin(&fill);
    (void)as_expected(result, NOTHING);
    must(result == MAPFILE_OK || result == MAPFILE_UNKNOWN);
  }
  if (pinned) {
    unpin(&view, MAPFILE_OK);
  }
  (void)STEP("check", MAPFILE_TRUNCATED, FROM_CHECK, mapfile_check(file));
  restore_file();
  (void)STEP("check", MAPFILE_CHANGED, FROM_CHECK, mapfile_check(file));
  if (result != MAPFILE_CHANGED) {
    (void)STEP("check", MAPFILE_CHANGED, FROM_CHECK, mapfile_check(file));
  }
}

static mapfile *open_path(uint32_t access, uint32_t flags, uint64_t map_bytes) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file = NULL;

  options.access = access;
  options.flags = flags;
  options.map_bytes = map_bytes;
  if (!STEP("open", MAPFILE_OK, FROM_OPEN, mapfile_open(path, &options, &file))) {
    must(file == NULL);
  }
  return file;
}

/*
 * Scenarios
 */

static void mapped(void) {
  mapfile *file = open_path(MAPFILE_ACCESS_MAPPED, MAPFILE_WRITE, 0);

  if (file == NULL) {
    return;
  }
  with_view(file, "pin", MAPFILE_ANY);
  with_view(file, "pin live", MAPFILE_LIVE | MAPFILE_VERIFY);
  with_view(file, "pin copy", MAPFILE_COPY);
  with_view(file, "pin private", MAPFILE_PRIVATE);
  with_view(file, "pin shared", MAPFILE_SHARED);
  with_whole_operations(file);
  with_scan(file, "scan", 0);
  with_scan(file, "scan copy", MAPFILE_SCAN_COPY);
  with_scan(file, "scan once", MAPFILE_SCAN_ONCE);
  with_send(file, "send", 0);
  with_send(file, "send to an appending receiver", O_APPEND);
  close_file(file);
}

static void bad_pages(void) {
  mapfile *file = open_path(MAPFILE_ACCESS_MAPPED, 0, 0);

  if (file != NULL) {
    with_injection(file);
    with_truncation(file);
    close_file(file);
  }
}

static void copied(void) {
  mapfile *file = open_path(MAPFILE_ACCESS_COPIED, 0, 0);

  if (file == NULL) {
    return;
  }
  with_view(file, "pin", MAPFILE_ANY | MAPFILE_VERIFY);
  with_view(file, "pin private", MAPFILE_PRIVATE);
  with_view(file, "pin zero-fill", MAPFILE_ZERO_FILL);
  with_whole_operations(file);
  with_scan(file, "scan", 0);
  with_injection(file);
  close_file(file);
}

static void check_grown(const mapfile_view *view) {
  const unsigned char *data = view->data;

  for (size_t i = 0; i < view->length; i++) {
    must(data[i] == (view->offset + i < size ? right[view->offset + i] : 0));
  }
}

/* Parts of a longer file that are used again: within a window and over the border of two. What cannot be kept is read.
 */
static void windows(void) {
  const uint64_t border = 65536, starts[] = {2 * border + 100, border - 50};
  mapfile *file;

  must(truncate(path, (off_t)(size + 3 * border)) == 0);
  file = open_path(MAPFILE_ACCESS_COPIED, MAPFILE_IMMUTABLE, 0);
  for (int i = 0; file != NULL && i < 8; i++) {
    mapfile_view view = MAPFILE_VIEW_INIT;

    if (STEP("pin", MAPFILE_OK, FROM_PIN, mapfile_pin(file, starts[i % 2], 100, MAPFILE_ANY, &view))) {
      check_grown(&view);
      unpin(&view, MAPFILE_OK);
    }
  }
  if (file != NULL) {
    close_file(file);
  }
}

/* So little address space that maps must be given up for others. */
static void little_space(void) {
  mapfile *file = open_path(MAPFILE_ACCESS_MAPPED, 0, 2 * page);
  mapfile_view views[3] = {MAPFILE_VIEW_INIT, MAPFILE_VIEW_INIT, MAPFILE_VIEW_INIT};

  if (file == NULL) {
    return;
  }
  for (size_t i = 0; i < PAGES; i++) {
    mapfile_view *view = &views[i % 3];

    if (STEP("pin a page", MAPFILE_OK, FROM_PIN, mapfile_pin(file, i * page, page, MAPFILE_ANY, view))) {
      must(add_up(view) == MAPFILE_OK);
      unpin(view, MAPFILE_OK);
    }
  }
  for (size_t i = 0; i < 3; i++) {
    if (STEP("pin a page and keep it", MAPFILE_OK, FROM_PIN,
             mapfile_pin(file, i * page, page, MAPFILE_ANY, &views[i]))) {
      must(add_up(&views[i]) == MAPFILE_OK);
    }
  }
  for (size_t i = 0; i < 3; i++) {
    if (views[i].kind != MAPFILE_KIND_NONE) {
      unpin(&views[i], MAPFILE_OK);
    }
  }
  close_file(file);
}

static void stream(void) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file = NULL;
  int ends[2];

  must(pipe(ends) == 0 && write(ends[1], right, 3000) == 3000 && close(ends[1]) == 0);
  options.flags = MAPFILE_STREAM | MAPFILE_ADOPT;
  if (STEP("open_handle of a pipe", MAPFILE_OK, FROM_OPEN, mapfile_open_handle(ends[0], &options, &file))) {
    mapfile_view view = MAPFILE_VIEW_INIT;

    if (STEP("pin", MAPFILE_OK, FROM_PIN, mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view))) {
      must(view.length == 3000 && add_up(&view) == MAPFILE_OK);
      unpin(&view, MAPFILE_OK);
    }
    close_file(file);
  }
  must(fcntl(ends[0], F_GETFD) == -1); /* adopted, also on failure */
}

static void borrowed(void) {
  int fd = open(path, O_RDWR | O_CLOEXEC);
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file = NULL;

  must(fd >= 0);
  options.flags = MAPFILE_WRITE;
  if (STEP("open_handle", MAPFILE_OK, FROM_OPEN, mapfile_open_handle(fd, &options, &file))) {
    with_view(file, "pin", MAPFILE_ANY);
    (void)STEP("write", MAPFILE_OK, FROM_WRITE, mapfile_write(file, 5, right + 5, page, NULL));
    (void)STEP("handler_check", MAPFILE_OK, BIT(MAPFILE_UNSUPPORTED), mapfile_handler_check());
    (void)STEP("handler_rearm", MAPFILE_OK, FROM_REARM, mapfile_handler_rearm());
    close_file(file);
  }
  must(close(fd) == 0);
}

/* A page is gone and comes back as a hole before the cause is asked for. */
static void healed(void) {
  mapfile *file = open_path(MAPFILE_ACCESS_MAPPED, 0, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;

  if (file == NULL) {
    return;
  }
  if (STEP("pin", MAPFILE_OK, FROM_PIN, mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view))) {
    must(truncate(path, (off_t)(KEPT * page)) == 0);
    step_begins("touch past the end");
    result = touch_read(file, &view, BAD * page + 7, &fault);
    if (as_expected(MAPFILE_UNKNOWN, FROM_SCOPE)) {
      must(truncate(path, (off_t)size) == 0);
      (void)STEP("explain", MAPFILE_CHANGED, FROM_EXPLAIN, mapfile_fault_explain(&fault));
    }
    unpin(&view, MAPFILE_OK);
  }
  close_file(file);
}

static void resize(mapfile *file, const char *name, uint64_t wanted, uint32_t flags) {
  uint64_t before, after;

  must(mapfile_size(file, &before) == MAPFILE_OK);
  (void)STEP(name, MAPFILE_OK, FROM_RESIZE, mapfile_resize(file, wanted, flags));
  must(mapfile_size(file, &after) == MAPFILE_OK && after == (result == MAPFILE_OK ? wanted : before));
}

/* Shorter with a view in the way, longer with one, and parked in between. */
static void resized(void) {
  mapfile *file = open_path(MAPFILE_ACCESS_MAPPED, MAPFILE_WRITE, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;

  if (file == NULL) {
    return;
  }
  if (STEP("pin", MAPFILE_OK, FROM_PIN, mapfile_pin(file, 0, size, MAPFILE_LIVE, &view))) {
    must(STEP("park, pinned", MAPFILE_BUSY, NOTHING, mapfile_park(file)));
    must(STEP("resize, pinned", MAPFILE_BUSY, NOTHING, mapfile_resize(file, page, 0)));
    resize(file, "grow, pinned", 2 * size, 0);
    must(add_up(&view) == MAPFILE_OK);
    unpin(&view, MAPFILE_OK);
  }
  must(STEP("park", MAPFILE_OK, NOTHING, mapfile_park(file)));
  resize(file, "shrink", size, 0);
  if (result == MAPFILE_OK) {
    with_view(file, "pin", MAPFILE_LIVE);
  }
  resize(file, "grow and allocate", size + page, MAPFILE_RESIZE_ALLOCATE);
  resize(file, "shrink again", size, 0);
  if (result == MAPFILE_OK) {
    with_view(file, "pin", MAPFILE_COPY);
  }
  close_file(file);
}

/* What the file holds, as the system tells. */
static void must_hold(const unsigned char *wanted, size_t offset, size_t length) {
  unsigned char *bytes = malloc(length + 1);
  int fd = open(path, O_RDONLY | O_CLOEXEC);

  must(bytes != NULL && fd >= 0 && pread(fd, bytes, length, (off_t)offset) == (ssize_t)length);
  must(memcmp(bytes, wanted, length) == 0 && close(fd) == 0);
  free(bytes);
}

static void write_some(mapfile *file, const char *name, size_t offset, const unsigned char *bytes, size_t length) {
  uint64_t before = 0, after = 0;
  size_t done = length + 1;

  must(mapfile_size(file, &before) == MAPFILE_OK);
  if (STEP(name, MAPFILE_OK, FROM_WRITE, mapfile_write(file, offset, bytes, length, &done))) {
    must(done == length);
  }
  must(done <= length && mapfile_size(file, &after) == MAPFILE_OK);
  must(after == (done > 0 && offset + done > before ? offset + done : before));
  must_hold(bytes, offset, done);
}

static void commit_some(mapfile *file, const char *name, uint32_t flags) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  size_t done = 12345;

  if (!STEP("pin private", MAPFILE_OK, FROM_PIN, mapfile_pin(file, 0, size, flags, &view))) {
    return;
  }
  memset((unsigned char *)view.data + page, 'c', page);
  if (STEP(name, MAPFILE_OK, FROM_COMMIT, mapfile_commit(&view, 100, 3 * page, &done))) {
    must(done == 3 * page);
  }
  must(done <= 3 * page);
  must_hold((const unsigned char *)view.data + 100, 100, done);
  unpin(&view, MAPFILE_OK);
}

static void written_by(uint32_t access) {
  mapfile *file = open_path(access, MAPFILE_WRITE, 0);
  unsigned char *bytes = malloc(3 * page);

  must(bytes != NULL);
  memset(bytes, 'w', 3 * page);
  if (file != NULL) {
    write_some(file, "write", page - 7, bytes, 3 * page);
    write_some(file, "write behind the end", size + page, bytes, page);
    commit_some(file, "commit", MAPFILE_PRIVATE);
    commit_some(file, "commit of a copy", MAPFILE_PRIVATE | MAPFILE_COPY);
    close_file(file);
  }
  free(bytes);
  must(truncate(path, (off_t)size) == 0);
}

static void written(void) {
  written_by(MAPFILE_ACCESS_MAPPED);
  written_by(MAPFILE_ACCESS_COPIED);
}

static int exists(const char *name) {
  return access(name, F_OK) == 0;
}

static void renamed(void) {
  char from[512], to[512];
  int fd;

  snprintf(from, sizeof from, "%s.from", path);
  snprintf(to, sizeof to, "%s.to", path);
  fd = open(from, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  must(fd >= 0 && close(fd) == 0);
  (void)STEP("rename", MAPFILE_OK, FROM_NAMES, mapfile_rename(from, to));
  must(exists(from) == (result != MAPFILE_OK) && exists(to) == (result == MAPFILE_OK));
  (void)STEP("rename back", MAPFILE_OK, FROM_NAMES, mapfile_rename(to, from));
  must(exists(from) + exists(to) == 1);
  if (!exists(from)) {
    must(rename(to, from) == 0);
  }
  (void)STEP("remove", MAPFILE_OK, FROM_NAMES, mapfile_remove(from));
  must(exists(from) == (result != MAPFILE_OK));
  unlink(from);
}

static void *end_at_once(void *argument) {
  return argument;
}

static int count_threads(void) {
  int count = -2; /* . and .. */
  DIR *tasks = opendir("/proc/self/task");

  must(tasks != NULL);
  while (readdir(tasks) != NULL) {
    count++;
  }
  closedir(tasks);
  return count;
}

/* The library's thread only ever looks here: the idle time does not pass. */
static void idle(void) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file = NULL;
  pthread_t thread;
  int threads;

  /* The C library keeps its stack, for where ours is refused. */
  must(pthread_create(&thread, NULL, end_at_once, NULL) == 0 && pthread_join(thread, NULL) == 0);
  threads = count_threads();
  options.idle_ms = 3600000;
  if (STEP("open with an idle time", MAPFILE_OK, FROM_OPEN, mapfile_open(path, &options, &file))) {
    with_view(file, "pin", MAPFILE_ANY);
    must(STEP("park", MAPFILE_OK, NOTHING, mapfile_park(file)));
    with_view(file, "pin again", MAPFILE_ANY);
    close_file(file);
  }
  while (count_threads() > threads) {
    usleep(100);
  }
}

/* The sanitizers do not know that the stack is another one, and musl has no makecontext. */
#if !FAULTY_SANITIZED && defined(__GLIBC__)
#define HAS_OTHER_STACKS 1
#else
#define HAS_OTHER_STACKS 0
#endif
#if HAS_OTHER_STACKS
static mapfile *foreign_file;
static ucontext_t own_stack, foreign_stack;

static void scope_on_foreign_stack(void) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;

  must(STEP("try on a foreign stack", MAPFILE_UNSUPPORTED, FROM_SCOPE,
            mapfile_try(foreign_file, NULL, do_nothing, NULL, &fault)));
}

/* A coroutine's stack is neither the thread's own nor its alternate one. */
static void another_stack(void) {
  enum { STACK = 256 * 1024 };
  char *stack = malloc(STACK);

  foreign_file = open_path(MAPFILE_ACCESS_MAPPED, 0, 0);
  must(stack != NULL && getcontext(&foreign_stack) == 0);
  if (foreign_file != NULL) {
    with_view(foreign_file, "pin", MAPFILE_ANY);
    foreign_stack.uc_stack.ss_sp = stack;
    foreign_stack.uc_stack.ss_size = STACK;
    foreign_stack.uc_link = &own_stack;
    makecontext(&foreign_stack, scope_on_foreign_stack, 0);
    must(swapcontext(&own_stack, &foreign_stack) == 0);
    close_file(foreign_file);
  }
  free(stack);
}
#endif

/* Where there are no coroutines: a signal handler on the alternate stack. The thread sanitizer takes all that it calls
   for unsafe there, though the signal is raised by the thread itself. */
#if !FAULTY_SANITIZED && !HAS_OTHER_STACKS
static mapfile *interrupted_file;

static void scope_on_alternate_stack(int signo) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;

  (void)signo;
  (void)STEP("try on the alternate stack", MAPFILE_OK, FROM_SCOPE,
             mapfile_try(interrupted_file, NULL, do_nothing, NULL, &fault));
}

static void alternate_stack(void) {
  enum { STACK = 256 * 1024 };
  stack_t alternate = {.ss_sp = malloc(STACK), .ss_size = STACK}, before;
  struct sigaction action = {.sa_handler = scope_on_alternate_stack, .sa_flags = SA_ONSTACK}, old;

  interrupted_file = open_path(MAPFILE_ACCESS_MAPPED, 0, 0);
  must(alternate.ss_sp != NULL && sigaltstack(&alternate, &before) == 0);
  must(sigaction(SIGUSR1, &action, &old) == 0);
  if (interrupted_file != NULL) {
    must(raise(SIGUSR1) == 0);
    close_file(interrupted_file);
  }
  must(sigaction(SIGUSR1, &old, NULL) == 0 && sigaltstack(&before, NULL) == 0);
  free(alternate.ss_sp);
}
#endif

static void *try_in_thread(void *file) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;

  (void)STEP("try in a thread", MAPFILE_OK, FROM_SCOPE, mapfile_try(file, NULL, do_nothing, NULL, &fault));
  (void)STEP("try in a thread", MAPFILE_OK, FROM_SCOPE, mapfile_try(file, NULL, do_nothing, NULL, &fault));
  return NULL;
}

/* Each thread is made fit for scopes when it enters its first. */
static void another_thread(void) {
  mapfile *file = open_path(MAPFILE_ACCESS_MAPPED, 0, 0);
  pthread_t thread;

  if (file != NULL) {
    must(pthread_create(&thread, NULL, try_in_thread, file) == 0 && pthread_join(thread, NULL) == 0);
    close_file(file);
  }
}

/* The handler hands the fault on, and the process dies of it, whatever fails meanwhile. */
static void not_ours(void) {
  mapfile_view view = MAPFILE_VIEW_INIT, part = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile *file = open_path(MAPFILE_ACCESS_MAPPED, 0, 0);

  must(file != NULL || failed_in_step());
  if (file == NULL || !STEP("pin", MAPFILE_OK, FROM_PIN, mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view)) ||
      !STEP("pin", MAPFILE_OK, FROM_PIN, mapfile_pin(file, 0, page, MAPFILE_LIVE, &part))) {
    raise(SIGBUS);
  }
  must(truncate(path, (off_t)(KEPT * page)) == 0);
  step_begins("touch outside of the scope");
  result = touch_read(file, &part, BAD * page, &fault);
  (void)as_expected(MAPFILE_UNSUPPORTED, NOTHING);
  must(result == MAPFILE_UNSUPPORTED && failed_in_step());
  raise(SIGBUS);
}

static const struct scenario {
  const char *name;
  void (*act)(void);
  int dies;
} scenarios[] = {
    {"mapped", mapped, 0},
    {"bad pages", bad_pages, 0},
    {"copied", copied, 0},
    {"windows", windows, 0},
    {"little space", little_space, 0},
    {"a stream", stream, 0},
    {"borrowed", borrowed, 0},
    {"healed", healed, 0},
    {"another thread", another_thread, 0},
    {"resized", resized, 0},
    {"written", written, 0},
    {"renamed", renamed, 0},
    {"idle", idle, 0},
#if !FAULTY_SANITIZED && !HAS_OTHER_STACKS
    {"the alternate stack", alternate_stack, 0},
#endif
#if HAS_OTHER_STACKS
    {"another stack", another_stack, 0},
#endif
    {"not ours", not_ours, 1},
};

/*
 * Running them
 */

static void undisturbed(const struct scenario *what) {
  failing_plan *plan = &board->plan, kept = *plan;

  plan->nth = 0;
  plan->failed = 0;
  restore_file();
  what->act();
  plan->nth = kept.nth;
}

/* A thread that has ended may still be giving back its stack: what is left is what stays. */
static void take_what_is_left(residue *now, int is_reference) {
  int quiet = 0;

  residue_take(now);
  for (int i = 0; i < 1000 && (is_reference ? quiet < 10 : now->maps > board->reference.maps); i++) {
    residue before = *now;

    usleep(1000);
    residue_take(now);
    quiet = now->maps == before.maps ? quiet + 1 : 0;
  }
}

static void disturbed(const struct scenario *what) {
  board->plan.calls = 0;
  restore_file();
  what->act();
}

/* The child's life: perhaps a good run, a bad one, and a good one to see that all is well again. */
static void live(const struct scenario *what, int warm, int is_reference) {
  failing_plan *plan = &board->plan;
  failing_plan plan_of_run;
  residue now;

  signal(SIGPIPE, SIG_IGN);
  alarm(FAULTY_SANITIZED ? 60 : 20);
  if (warm) {
    undisturbed(what);
  }
  disturbed(what);
  plan_of_run = *plan;
  if (plan->nth == 0 || (plan->failed > 0 && !what->dies)) {
    undisturbed(what);
    failing_unmap_left();
    plan_of_run.live_blocks = plan->live_blocks;
    take_what_is_left(&now, is_reference);
    if (is_reference) {
      board->reference = now;
      board->reference_blocks = plan->live_blocks;
    } else {
      *plan = plan_of_run;
      snprintf(board->step, sizeof board->step, "the end");
      now.heap = board->reference.heap; /* the C library's own; the library's blocks are counted one by one */
      must(plan->live_blocks == board->reference_blocks);
      must(residue_differs(scenario_name, &board->reference, &now) == 0);
    }
  }
  *plan = plan_of_run;
  _exit(0);
}

/* In two places a death by SIGBUS is what is promised: where a fault is nobody's, and where the zero-fill scope cannot
   have its page of zeros, because nothing else could be done without a jump. */
static int may_die(const struct scenario *what) {
  return what->dies || (strcmp(board->step, "touch in a zero-fill scope") == 0 && board->plan.failed > 0 &&
                        (strcmp(board->plan.call, "mmap") == 0 || strcmp(board->plan.first, "mmap") == 0));
}

/* Returns 0, or 1 where something is wrong. */
static int run_child(const struct scenario *what, int warm, int is_reference, const failing_plan *wanted) {
  failing_plan *plan = &board->plan;
  pid_t child;
  int state;

  *plan = *wanted;
  board->warm = warm;
  board->nth = wanted->nth;
  board->runs++;
  child = fork();
  need(child >= 0);
  if (child == 0) {
    live(what, warm, is_reference);
  }
  need(waitpid(child, &state, 0) == child);
  if (WIFSIGNALED(state) && WTERMSIG(state) == SIGBUS && may_die(what)) {
    return 0;
  }
  if (WIFSIGNALED(state) || (what->dies && WEXITSTATUS(state) == 0)) {
    plan->nth = wanted->nth;
    tell(plan, WIFSIGNALED(state) ? strsignal(WTERMSIG(state)) : "survived");
    return 1;
  }
  return WEXITSTATUS(state) != 0;
}

/* All calls of a scenario in turn, in one way of failing. Returns the number of things that are wrong. */
static int fail_each(const struct scenario *what, int warm, enum failing_mode mode, unsigned apart) {
  failing_plan plan;
  int bad, more = 1;

  memset(&plan, 0, sizeof plan);
  plan.mode = mode;
  plan.apart = apart;
  bad = run_child(what, warm, !what->dies, &plan);
  for (plan.nth = 1; more && bad < MOST_WRONG; plan.nth++) {
    int choices = 1;

    for (plan.choice = 0; choices && bad < MOST_WRONG; plan.choice++) {
      int failed = run_child(what, warm, 0, &plan);

      bad += failed;
      more = failed || board->plan.calls >= plan.nth;
      choices = more && !emulated && !board->plan.exhausted && (mode != FAIL_TWICE || !FAULTY_SANITIZED);
    }
  }
  return bad;
}

/* The ways of failing that go beyond one call. */
static int fail_more(const struct scenario *what, int warm) {
  int bad = fail_each(what, warm, FAIL_EVER, 0);

  for (unsigned apart = 1; apart <= (FAULTY_SANITIZED ? 1 : 3); apart++) {
    bad += fail_each(what, warm, FAIL_TWICE, apart);
  }
  return bad;
}

static int fail_scenario(const struct scenario *what) {
  int all_bad = 0;

  scenario_name = what->name;
  for (int warm = 0; warm <= (what->dies || emulated ? 0 : 1); warm++) {
    int bad = fail_each(what, warm, FAIL_ONCE, 0);

    if (!what->dies && !emulated && FAULTY_SANITIZED < 2) {
      bad += fail_more(what, warm);
    }
    printf("%s %s, %s\n", bad == 0 ? "ok" : "WRONG", what->name, warm ? "warm" : "cold");
    all_bad += bad;
  }
  return all_bad;
}

/* What the scenarios never reach is not tested. Returns the number of such calls. */
static int find_uncovered(void) {
  static const char *const all[] = {"open",           "close",
                                    "fcntl",          "fstat",
                                    "fstatvfs",       "lseek",
                                    "getrlimit",      "madvise",
                                    "mmap",           "poll",
                                    "memfd_create",   "read",
                                    "mkostemp",       "mprotect",
                                    "munmap",         "pread",
                                    "write",          "unlink",
                                    "posix_fadvise",  "malloc",
                                    "pthread_atfork", "pthread_getattr_np",
                                    "sendfile",       "sigaction",
                                    "syscall",        "sysconf",
                                    "sigaltstack",    "lstat",
                                    "ftruncate",      "fallocate",
                                    "rename",         "preadv",
                                    "pwrite",         "pthread_cond_init",
                                    "pthread_create", "pthread_attr_setstacksize"};
  int missing = 0;

  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    int found = 0;

    for (int j = 0; j < FAILING_CALLS; j++) {
      found |= strcmp(board->covered[j], all[i]) == 0;
    }
    if (!found) {
      printf("WRONG: no scenario reached %s\n", all[i]);
      missing++;
    }
  }
  return missing;
}

static int repeat(char *text) {
  failing_plan plan;
  const char *name = strsep(&text, ",");
  unsigned numbers[5] = {0};
  int bad = 0;

  memset(&plan, 0, sizeof plan);
  for (size_t i = 0; i < 5; i++) {
    const char *number = strsep(&text, ",");

    numbers[i] = number == NULL ? 0 : (unsigned)strtoul(number, NULL, 10);
  }
  for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
    if (strcmp(scenarios[i].name, name) == 0) {
      scenario_name = name;
      bad += run_child(&scenarios[i], (int)numbers[0], !scenarios[i].dies, &plan);
      plan.mode = (enum failing_mode)numbers[1];
      plan.apart = numbers[2];
      plan.nth = numbers[3];
      plan.choice = numbers[4];
      bad += run_child(&scenarios[i], (int)numbers[0], 0, &plan);
    }
  }
  return bad;
}

int main(int argc, char **argv) {
  int one = argc > 2 && strcmp(argv[1], "--repeat") == 0, at = one ? 3 : 1, bad = 0;
  const char *folder = argc > at ? argv[at] : getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
  char name[64];

  setvbuf(stdout, NULL, _IONBF, 0);
  if (under_valgrind()) {
    printf("SKIP system calls: thousands of processes are too many for valgrind\n");
    return 77;
  }
  emulated = getenv("MAPFILE_TEST_EMULATOR") != NULL;
  if (emulated) {
    printf(
        "SKIP calls failing otherwise than once, early and with one error: thousands of processes are too many for an "
        "emulator\n");
  }
  alarm(580);
  board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  need(board != MAP_FAILED);
  failing = &board->plan;
  failing_covered = board->covered;
  page = page_size();
  size = PAGES * page;
  right = malloc(size);
  need(right != NULL);
  pattern_fill(right, size, 0);
  snprintf(name, sizeof name, "mapfile-syscalls.%ld", (long)getpid());
  path = make_file(folder, name, size);
  for (size_t i = 0; !one && i < sizeof scenarios / sizeof *scenarios; i++) {
    bad += fail_scenario(&scenarios[i]);
  }
  bad += one ? repeat(argv[2]) : FAULTY_SANITIZED || emulated ? 0 : find_uncovered();
  printf("system calls: %lu runs, %lu calls of the library, %d wrong\n", board->runs, board->steps, bad);
  unlink(path);
  free(path);
  free(right);
  return bad != 0;
}
