/*
 * pins.c - a stress test of pins against those who take maps away: eviction, use of records again, growth and closing.
 *
 * SPDX-License-Identifier: MIT
 *
 * Usage: stress-pins [OPERATIONS [SEED]]
 *
 * Six workers pin, read and unpin ranges of three mapfiles whose budgets are so small that maps are given up and made
 * again all the time, and hand views to one another, so that the thread that unpins is often not the one that pinned.
 * Beside them one thread changes the budgets of the process, one has another process append to the files and looks
 * for the change, and two open and close mapfiles of their own, which must be BUSY while views are pinned. Each 8-byte
 * word of a file depends on the file and its offset, so that a view of the wrong range is noticed, and of memory that
 * is no longer mapped anyway. At the end nothing may be pinned, mapped or allocated.
 *
 * OPERATIONS is the number of pins of each worker; what the other threads do is counted by it too. Exit status 0 or 1.
 */
#include "stress.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
  FILES = 3,
  HOT_THREADS = 5, /* more than a segment has stripes on a small machine */
  HOT_FACTOR = 20,
  HOT_RUN = 32, /* pins of a window before the other's turn */
  WORKERS = 6,
  OPENERS = 2,
  HELD = 4,     /* views that a worker holds at most */
  EXCHANGE = 8, /* places where views are handed over */
  FIRST_SIZE = 1 << 20,
  GROWTH = 64 << 10,
  GROWTHS = 48, /* of each file */
  GUARD_SECONDS = 600
};

/* The most that the limits of the process are ever set to. */
enum { MOST_MAPS = 32, MOST_MAPPED = 8 << 20 };

typedef struct test_file {
  char path[300];
  uint64_t seed;
  int descriptor; /* the appending process's */
  mapfile *file;
  mapfile_options options;
  atomic_uint_fast64_t size; /* at least so long */
} test_file;

typedef struct held_view {
  mapfile_view view;
  test_file *of;
  bool written; /* PRIVATE, with bytes of its own at the start */
} held_view;

static test_file files[FILES];
static _Atomic(held_view *) exchange[EXCHANGE];
static atomic_uint_fast64_t pins_done, unpins_by_others, copies, limits_met, busy_closes, workers_running,
    checks_changed, hot_mapped;
static uint64_t operations, seed, hot_evictions;
static int to_writer, from_writer;

/*
 * Views
 */

static void verify_view(const held_view *held) {
  const mapfile_view *view = &held->view;
  uint64_t first = (view->offset + 7) & ~UINT64_C(7);
  uint64_t end = view->offset + view->length;
  size_t step = view->length > 2048 ? 8 * 61 : 8;
  if (held->written)
    first += 8;
  for (uint64_t at = first; at + 8 <= end; at += step) {
    uint64_t word;
    memcpy(&word, (const char *)view->data + (at - view->offset), sizeof word);
    if (word != word_at(held->of->seed, at))
      fail("%s: wrong word %016" PRIx64 " at %" PRIu64 " in the view of %" PRIu64 " + %zu, kind %u", held->of->path,
           word, at, view->offset, view->length, view->kind);
  }
}

static uint32_t random_flags(uint64_t *random, bool writable) {
  switch (random_below(random, 16)) {
  case 0:
    return MAPFILE_COPY;
  case 1:
    return MAPFILE_PRIVATE;
  case 2:
    return MAPFILE_ZERO_FILL;
  case 3:
    return MAPFILE_VERIFY;
  case 4:
    return MAPFILE_LIVE | MAPFILE_VERIFY;
  case 5:
  case 6:
    return writable ? MAPFILE_SHARED : MAPFILE_LIVE;
  case 7:
  case 8:
    return MAPFILE_LIVE;
  default:
    return MAPFILE_ANY;
  }
}

/* Pin a random range. NULL: the budgets did not allow a map, and only a map (or memory like one) would do. */
static held_view *pin_something(test_file *of, mapfile *file, uint64_t *random) {
  const uint32_t needs_map = MAPFILE_LIVE | MAPFILE_SHARED | MAPFILE_ZERO_FILL;
  held_view *held = calloc(1, sizeof *held);
  uint64_t size;
  REQUIRE(held != NULL);
  held->view.size = sizeof held->view;
  held->of = of;
  REQUIRE_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  REQUIRE(size >= FIRST_SIZE);
  uint64_t offset = random_below(random, size);
  uint64_t most = size - offset;
  uint64_t length = 1 + random_below(random, random_below(random, 32) == 0 ? 256 << 10 : 16 << 10);
  if (length > most)
    length = random_below(random, 2) == 0 ? most : MAPFILE_TO_END;
  uint32_t flags = random_flags(random, (of->options.flags & MAPFILE_WRITE) != 0);
  mapfile_status status = mapfile_pin(file, offset, length, flags, &held->view);
  if (status == MAPFILE_LIMIT && (flags & needs_map) != 0) {
    atomic_fetch_add(&limits_met, 1);
    free(held);
    return NULL;
  }
  if (status != MAPFILE_OK)
    fail("pin of %" PRIu64 " + %" PRIu64 ", flags %#x, size %" PRIu64 ": %s (native error %" PRId64 ")", offset, length,
         flags, size, mapfile_strerror(status), mapfile_native_error());
  REQUIRE(held->view.offset == offset && (length == MAPFILE_TO_END || held->view.length == length));
  if (held->view.kind == MAPFILE_KIND_COPIED)
    atomic_fetch_add(&copies, 1);
  if (flags == MAPFILE_PRIVATE && held->view.length >= 16 && offset % 8 == 0) {
    memset(held->view.data, 0x5a, 8);
    held->written = true;
  }
  return held;
}

static void let_go(held_view *held) {
  verify_view(held);
  if (held->written)
    REQUIRE(memcmp(held->view.data, "ZZZZZZZZ", 8) == 0);
  REQUIRE_STATUS(mapfile_unpin(&held->view), MAPFILE_OK);
  REQUIRE(mapfile_unpin(&held->view) == MAPFILE_INVALID);
  free(held);
}

/* Put a view where another thread finds it, and unpin the one that was there. */
static void hand_over(held_view *held, uint64_t *random) {
  held_view *other = atomic_exchange(&exchange[random_below(random, EXCHANGE)], held);
  if (other == NULL)
    return;
  atomic_fetch_add(&unpins_by_others, 1);
  let_go(other);
}

/*
 * Threads
 */

static void *work(void *argument) {
  uint64_t random = seed + 1000 + (uint64_t)(uintptr_t)argument;
  held_view *held[HELD] = {NULL};
  for (uint64_t done = 0; done < operations; done++) {
    held_view **place = &held[random_below(&random, HELD)];
    if (*place != NULL && random_below(&random, 4) == 0)
      hand_over(*place, &random);
    else if (*place != NULL)
      let_go(*place);
    test_file *of = &files[random_below(&random, FILES)];
    *place = pin_something(of, of->file, &random);
    if (*place != NULL)
      verify_view(*place);
    atomic_fetch_add_explicit(&pins_done, 1, memory_order_relaxed);
  }
  for (int i = 0; i < HELD; i++)
    if (held[i] != NULL)
      let_go(held[i]);
  atomic_fetch_sub(&workers_running, 1);
  return NULL;
}

static void check_own_budget(mapfile *file, const mapfile_options *options) {
  mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
  REQUIRE_STATUS(mapfile_stats(file, &counts), MAPFILE_OK);
  REQUIRE(options->map_count == 0 || counts.maps <= options->map_count);
  REQUIRE(options->map_bytes == 0 || counts.mapped_bytes <= options->map_bytes);
}

static held_view *pin_copy(test_file *of, mapfile *file, uint64_t *random) {
  held_view *held = calloc(1, sizeof *held);
  REQUIRE(held != NULL);
  held->view.size = sizeof held->view;
  held->of = of;
  REQUIRE_STATUS(mapfile_pin(file, random_below(random, FIRST_SIZE - 100), 100, MAPFILE_ANY, &held->view), MAPFILE_OK);
  REQUIRE(held->view.kind == MAPFILE_KIND_COPIED);
  return held;
}

/* Open, pin, fail to close, unpin, close: while others evict for their own budgets. */
static void open_and_close_once(uint64_t *random) {
  const test_file *of = &files[random_below(random, FILES)];
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file;
  held_view *held[3] = {NULL};
  bool pinned = false;
  options.map_count = random_below(random, 3);
  options.access = random_below(random, 8) == 0 ? MAPFILE_ACCESS_COPIED : MAPFILE_ACCESS_MAPPED;
  REQUIRE_STATUS(mapfile_open(of->path, &options, &file), MAPFILE_OK);
  test_file own = {.seed = of->seed, .file = file, .options = options};
  memcpy(own.path, of->path, sizeof own.path);
  unsigned count = (unsigned)random_below(random, 4);
  for (unsigned i = 0; i < count; i++) {
    held[i] =
        options.access == MAPFILE_ACCESS_COPIED ? pin_copy(&own, file, random) : pin_something(&own, file, random);
    pinned = pinned || held[i] != NULL;
  }
  check_own_budget(file, &options);
  if (pinned) {
    REQUIRE_STATUS(mapfile_close(file), MAPFILE_BUSY);
    atomic_fetch_add(&busy_closes, 1);
  }
  for (unsigned i = 0; i < count; i++)
    if (held[i] != NULL)
      let_go(held[i]);
  REQUIRE_STATUS(mapfile_close(file), MAPFILE_OK);
}

static void *open_and_close(void *argument) {
  uint64_t random = seed + 2000 + (uint64_t)(uintptr_t)argument;
  while (atomic_load(&workers_running) > 0 || atomic_load(&busy_closes) == 0)
    open_and_close_once(&random);
  return NULL;
}

/* The files only grow, whoever looks, and however many look at once. */
static void look_for_change(test_file *of) {
  mapfile_status status = mapfile_check(of->file);
  if (status != MAPFILE_OK && status != MAPFILE_CHANGED)
    fail("%s: mapfile_check of a file that only grows: %s", of->path, mapfile_strerror(status));
  if (status == MAPFILE_CHANGED)
    atomic_fetch_add(&checks_changed, 1);
}

static void set_limits(uint64_t maps, uint64_t bytes) {
  mapfile_limits limits = MAPFILE_LIMITS_INIT;
  limits.map_count = maps;
  limits.map_bytes = bytes;
  REQUIRE_STATUS(mapfile_set_limits(&limits), MAPFILE_OK);
}

static void *change_limits(void *argument) {
  uint64_t random = seed + 3000;
  (void)argument;
  while (atomic_load(&workers_running) > 0) {
    mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
    uint64_t maps = 4 + random_below(&random, MOST_MAPS - 3);
    set_limits(maps, (256 << 10) + random_below(&random, MOST_MAPPED - (256 << 10)));
    for (int i = 0; i < 4; i++) {
      REQUIRE_STATUS(mapfile_stats(NULL, &counts), MAPFILE_OK);
      REQUIRE(counts.maps <= MOST_MAPS && counts.mapped_bytes <= MOST_MAPPED);
      for (int f = 0; f < FILES; f++) {
        check_own_budget(files[f].file, &files[f].options);
        look_for_change(&files[f]);
      }
      rest(500000);
    }
  }
  return NULL;
}

/* The size the file must have by now is known after a look: the new end can be pinned. */
static void look_for_growth(test_file *of, uint64_t *random) {
  uint64_t wanted = atomic_load(&of->size), size;
  look_for_change(of);
  REQUIRE_STATUS(mapfile_size(of->file, &size), MAPFILE_OK);
  if (size < wanted)
    fail("%s: known size %" PRIu64 " after a check, but it has had %" PRIu64, of->path, size, wanted);
  held_view held = {.view = MAPFILE_VIEW_INIT, .of = of};
  uint64_t length = 1 + random_below(random, GROWTH);
  REQUIRE_STATUS(mapfile_pin(of->file, wanted - length, length, MAPFILE_ANY, &held.view), MAPFILE_OK);
  verify_view(&held);
  REQUIRE_STATUS(mapfile_unpin(&held.view), MAPFILE_OK);
}

static void *grow(void *argument) {
  uint64_t random = seed + 4000;
  uint64_t total = operations * WORKERS;
  (void)argument;
  for (uint64_t step = 0; step < (uint64_t)GROWTHS * FILES; step++) {
    while (atomic_load(&pins_done) < total * step / ((uint64_t)GROWTHS * FILES) && atomic_load(&workers_running) > 0)
      rest(200000);
    char index = (char)(step % FILES), reply;
    test_file *of = &files[(int)index];
    REQUIRE(write(to_writer, &index, 1) == 1);
    REQUIRE(read(from_writer, &reply, 1) == 1 && reply == index);
    atomic_fetch_add(&of->size, GROWTH);
    look_for_growth(of, &random);
  }
  return NULL;
}

/*
 * The tightest race: threads that pin and unpin two windows of a mapfile that may have only one map, as fast as they
 * can. Each pin that misses takes the map, if idle at that instant, and its record away from the others.
 */

typedef struct hot_thread {
  mapfile *file;
  uint64_t number;
} hot_thread;

static void *pin_hotly(void *argument) {
  const hot_thread *self = argument;
  mapfile_view view = MAPFILE_VIEW_INIT;
  uint64_t mapped = 0;
  for (uint64_t i = 0; i < operations * HOT_FACTOR; i++) {
    /* Some pins of one window, so that most find it mapped, then of the other. */
    uint64_t offset = (i / HOT_RUN + self->number) % 2 * (256 << 10) + i % HOT_RUN * 8;
    REQUIRE_STATUS(mapfile_pin(self->file, offset, 8, MAPFILE_ANY, &view), MAPFILE_OK);
    uint64_t word;
    memcpy(&word, view.data, sizeof word);
    if (word != word_at(files[0].seed, offset))
      fail("wrong word %016" PRIx64 " at %" PRIu64 ", kind %u", word, offset, view.kind);
    mapped += view.kind == MAPFILE_KIND_LIVE;
    REQUIRE_STATUS(mapfile_unpin(&view), MAPFILE_OK);
  }
  atomic_fetch_add(&hot_mapped, mapped);
  return NULL;
}

static void run_hot_threads(void) {
  pthread_t threads[HOT_THREADS];
  hot_thread hot[HOT_THREADS];
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
  mapfile *file;
  /* Views that are still to be unpinned may fill the small limits of the process. */
  set_limits(0, 0);
  options.access = MAPFILE_ACCESS_MAPPED;
  options.map_bytes = 128 << 10;
  options.map_count = 1;
  REQUIRE_STATUS(mapfile_open(files[0].path, &options, &file), MAPFILE_OK);
  for (int i = 0; i < HOT_THREADS; i++) {
    hot[i].file = file;
    hot[i].number = (uint64_t)i;
    REQUIRE(pthread_create(&threads[i], NULL, pin_hotly, &hot[i]) == 0);
  }
  for (int i = 0; i < HOT_THREADS; i++)
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  REQUIRE_STATUS(mapfile_stats(file, &counts), MAPFILE_OK);
  hot_evictions = counts.evictions;
  REQUIRE_STATUS(mapfile_close(file), MAPFILE_OK);
}

/*
 * The same for windows that copied access keeps: budgets of one to four windows, so that they go and come all the time,
 * views held over that, limits that change, and all windows dropped by parking and by resizing.
 */

enum { WINDOW_THREADS = 5, WINDOW_SIZE = 64 << 10, WINDOW_HELD = 3 };

static atomic_uint_fast64_t window_threads_running, busy_parks;

static void check_words(const mapfile_view *view) {
  for (size_t at = 0; at + 8 <= view->length; at += 8) {
    uint64_t word;
    memcpy(&word, (const char *)view->data + at, sizeof word);
    if (word != word_at(files[0].seed, view->offset + at))
      fail("wrong word %016" PRIx64 " in a window, at %" PRIu64, word, view->offset + at);
  }
}

static void *pin_windows(void *argument) {
  const hot_thread *self = argument;
  uint64_t random = seed + 5000 + self->number;
  mapfile_view held[WINDOW_HELD] = {MAPFILE_VIEW_INIT, MAPFILE_VIEW_INIT, MAPFILE_VIEW_INIT};
  for (uint64_t i = 0; i < operations * 4; i++) {
    mapfile_view *view = &held[random_below(&random, WINDOW_HELD)];
    if (view->kind != MAPFILE_KIND_NONE) {
      check_words(view);
      REQUIRE_STATUS(mapfile_unpin(view), MAPFILE_OK);
    }
    /* Seldom over the border of two windows, mostly in one of a few. */
    uint64_t window = random_below(&random, random_below(&random, 8) == 0 ? 16 : 3);
    uint64_t offset = window * WINDOW_SIZE + random_below(&random, WINDOW_SIZE / 8 - 16) * 8;
    if (random_below(&random, 32) == 0)
      offset = (window % 14 + 1) * WINDOW_SIZE - 64;
    REQUIRE_STATUS(mapfile_pin(self->file, offset, 128, MAPFILE_ANY, view), MAPFILE_OK);
    check_words(view);
  }
  for (int i = 0; i < WINDOW_HELD; i++)
    if (held[i].kind != MAPFILE_KIND_NONE)
      REQUIRE_STATUS(mapfile_unpin(&held[i]), MAPFILE_OK);
  atomic_fetch_sub(&window_threads_running, 1);
  return NULL;
}

static void *drop_windows(void *argument) {
  const hot_thread *self = argument;
  uint64_t random = seed + 6000;
  while (atomic_load(&window_threads_running) > 0) {
    mapfile_limits limits = MAPFILE_LIMITS_INIT;
    mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
    limits.cache_bytes = (1 + random_below(&random, 8)) * (WINDOW_SIZE / 2);
    REQUIRE_STATUS(mapfile_set_limits(&limits), MAPFILE_OK);
    if (random_below(&random, 8) == 0 && mapfile_park(self->file) == MAPFILE_BUSY)
      atomic_fetch_add(&busy_parks, 1);
    REQUIRE_STATUS(mapfile_resize(self->file, FIRST_SIZE + random_below(&random, WINDOW_SIZE), 0), MAPFILE_OK);
    REQUIRE_STATUS(mapfile_stats(NULL, &counts), MAPFILE_OK);
    REQUIRE(counts.cache_bytes <= 4 * WINDOW_SIZE);
    rest(100000);
  }
  return NULL;
}

static void run_window_threads(void) {
  pthread_t threads[WINDOW_THREADS + 1];
  hot_thread hot[WINDOW_THREADS + 1];
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile_limits limits = MAPFILE_LIMITS_INIT;
  mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
  mapfile *file;
  char path[300];
  limits.cache_bytes = 4 * WINDOW_SIZE;
  REQUIRE_STATUS(mapfile_set_limits(&limits), MAPFILE_OK);
  options.access = MAPFILE_ACCESS_COPIED;
  options.flags = MAPFILE_IMMUTABLE | MAPFILE_WRITE;
  REQUIRE((size_t)snprintf(path, sizeof path, "%s/windows", stress_folder) < sizeof path);
  int descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  REQUIRE(descriptor >= 0 && append_words(descriptor, files[0].seed, 0, FIRST_SIZE));
  close(descriptor);
  REQUIRE_STATUS(mapfile_open(path, &options, &file), MAPFILE_OK);
  atomic_store(&window_threads_running, WINDOW_THREADS);
  for (int i = 0; i <= WINDOW_THREADS; i++) {
    hot[i].file = file;
    hot[i].number = (uint64_t)i;
    REQUIRE(pthread_create(&threads[i], NULL, i < WINDOW_THREADS ? pin_windows : drop_windows, &hot[i]) == 0);
  }
  for (int i = 0; i <= WINDOW_THREADS; i++)
    REQUIRE(pthread_join(threads[i], NULL) == 0);
  REQUIRE_STATUS(mapfile_stats(file, &counts), MAPFILE_OK);
  printf("windows: %" PRIu64 " pins, %" PRIu64 " loads, %" PRIu64 " read for themselves, %" PRIu64 " parks BUSY\n",
         operations * 4 * WINDOW_THREADS, counts.cache_loads, counts.cache_misses, atomic_load(&busy_parks));
  REQUIRE(counts.cache_loads > 0 && counts.pinned_views == 0);
  REQUIRE_STATUS(mapfile_close(file), MAPFILE_OK);
  set_limits(0, 0);
}

/*
 * The appending process
 */

static void append_on_command(int commands, int replies) {
  uint64_t sizes[FILES] = {FIRST_SIZE, FIRST_SIZE, FIRST_SIZE};
  char index;
  alarm(GUARD_SECONDS);
  while (read(commands, &index, 1) == 1) {
    test_file *of = &files[(int)index];
    if (!append_words(of->descriptor, of->seed, sizes[(int)index], GROWTH))
      _exit(1);
    sizes[(int)index] += GROWTH;
    if (write(replies, &index, 1) != 1)
      _exit(1);
  }
  _exit(0);
}

static pid_t start_writer(void) {
  int commands[2], replies[2];
  REQUIRE(pipe(commands) == 0 && pipe(replies) == 0);
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    close(commands[1]);
    close(replies[0]);
    append_on_command(commands[0], replies[1]);
  }
  close(commands[0]);
  close(replies[1]);
  to_writer = commands[1];
  from_writer = replies[0];
  return child;
}

/*
 * The whole
 */

static void make_files(void) {
  for (int i = 0; i < FILES; i++) {
    test_file *of = &files[i];
    mapfile_options none = MAPFILE_OPTIONS_INIT;
    REQUIRE((size_t)snprintf(of->path, sizeof of->path, "%s/file-%d", stress_folder, i) < sizeof of->path);
    of->seed = mix(seed + (uint64_t)i);
    of->descriptor = open(of->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    REQUIRE(of->descriptor >= 0 && append_words(of->descriptor, of->seed, 0, FIRST_SIZE));
    none.access = MAPFILE_ACCESS_MAPPED;
    of->options = none;
    atomic_store(&of->size, FIRST_SIZE);
  }
  /* Small windows of the file, few of them at a time. */
  files[0].options.map_bytes = 128 << 10;
  files[0].options.map_count = 6;
  files[0].options.flags = MAPFILE_WRITE;
  /* Two maps, each of the whole file where the process's limits allow it: new ones as the file grows. */
  files[1].options.map_count = 2;
  /* The third has only the limits of the process. */
}

static void open_files(void) {
  for (int i = 0; i < FILES; i++)
    REQUIRE_STATUS(mapfile_open(files[i].path, &files[i].options, &files[i].file), MAPFILE_OK);
}

static void empty_exchange(void) {
  for (int i = 0; i < EXCHANGE; i++) {
    held_view *held = atomic_exchange(&exchange[i], NULL);
    if (held != NULL)
      let_go(held);
  }
}

static void run_threads(void) {
  pthread_t threads[WORKERS + OPENERS + 2];
  size_t count = 0;
  atomic_store(&workers_running, WORKERS);
  for (uintptr_t i = 0; i < WORKERS; i++)
    REQUIRE(pthread_create(&threads[count++], NULL, work, (void *)i) == 0);
  for (uintptr_t i = 0; i < OPENERS; i++)
    REQUIRE(pthread_create(&threads[count++], NULL, open_and_close, (void *)i) == 0);
  REQUIRE(pthread_create(&threads[count++], NULL, change_limits, NULL) == 0);
  REQUIRE(pthread_create(&threads[count++], NULL, grow, NULL) == 0);
  for (size_t i = 0; i < count; i++)
    REQUIRE(pthread_join(threads[i], NULL) == 0);
}

static void close_and_count(void) {
  mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
  REQUIRE_STATUS(mapfile_stats(NULL, &counts), MAPFILE_OK);
  REQUIRE(counts.pinned_views > 0 || atomic_load(&unpins_by_others) == 0);
  empty_exchange();
  REQUIRE_STATUS(mapfile_stats(NULL, &counts), MAPFILE_OK);
  printf("%" PRIu64 " pins, %" PRIu64 " unpinned by another thread, %" PRIu64 " copied, %" PRIu64 " LIMIT; %" PRIu64
         " maps made, %" PRIu64 " evictions, %" PRIu64 " fallbacks; %" PRIu64 " closes BUSY, %" PRIu64
         " changes seen\n",
         atomic_load(&pins_done), atomic_load(&unpins_by_others), atomic_load(&copies), atomic_load(&limits_met),
         counts.maps_made, counts.evictions, counts.fallbacks, atomic_load(&busy_closes), atomic_load(&checks_changed));
  printf("two windows, one map: %" PRIu64 " of %" PRIu64 " pins mapped, %" PRIu64 " evictions\n",
         atomic_load(&hot_mapped), operations * HOT_FACTOR * HOT_THREADS, hot_evictions);
  REQUIRE(counts.pinned_views == 0 && counts.copied_bytes == 0 && counts.open_files == FILES);
  /* What this test is for must have happened. */
  REQUIRE(counts.evictions > operations / 100 && hot_evictions > 0 && atomic_load(&hot_mapped) > 0);
  REQUIRE(atomic_load(&unpins_by_others) > operations / 100 && atomic_load(&busy_closes) > 0);
  for (int i = 0; i < FILES; i++)
    REQUIRE_STATUS(mapfile_close(files[i].file), MAPFILE_OK);
  REQUIRE_STATUS(mapfile_stats(NULL, &counts), MAPFILE_OK);
  REQUIRE(counts.open_files == 0 && counts.maps == 0 && counts.mapped_bytes == 0);
}

int main(int count, char **arguments) {
  operations = argument_or(count, arguments, 1, default_count(40000));
  seed = argument_or(count, arguments, 2, new_seed());
  printf("%" PRIu64 " operations a worker, seed %" PRIu64 "\n", operations, seed);
  fflush(stdout);
  alarm(GUARD_SECONDS);
  make_folder("pins");
  make_files();
  set_limits(MOST_MAPS, MOST_MAPPED);
  pid_t child = start_writer();
  open_files();
  run_threads();
  run_hot_threads();
  run_window_threads();
  close(to_writer);
  int state;
  REQUIRE(waitpid(child, &state, 0) == child && WIFEXITED(state) && WEXITSTATUS(state) == 0);
  close_and_count();
  for (int i = 0; i < FILES; i++)
    close(files[i].descriptor);
  remove_folder();
  return 0;
}
