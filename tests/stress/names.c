/*
 * names.c - a stress test of parking, idle parking and resizing against pins and reads.
 *
 * SPDX-License-Identifier: MIT
 *
 * Usage: stress-names [OPERATIONS [SEED]]
 *
 * First four workers pin, read, walk and park one mapfile that is also parked whenever it is idle for a millisecond,
 * while others open and close mapfiles of the same file with idle times of their own. Then four workers pin ranges of a
 * file and read them without a scope, while one thread makes it shorter and longer through the same mapfile: what is
 * pinned must stay there, since a file is not cut while views may reach beyond its new end, so a single fault ends the
 * test. Each 8-byte word of a file depends on its offset.
 *
 * OPERATIONS is the number of each worker; what the other threads do goes on until they are done. Exit status 0 or 1.
 */
#include "stress.h"

#include <sched.h>
#include <stdatomic.h>

enum { WORKERS = 4, OPENERS = 2, SIZE = 1 << 20, LEAST_SIZE = 4096, LONGEST_RANGE = 40000, GUARD_SECONDS = 600 };

static const uint64_t file_seed = 77;
static uint64_t operations, seed;
static char path[300], other_path[300];
static mapfile *file;
static atomic_uint workers_running;
static atomic_uint_fast64_t parks, parks_busy, cuts, cuts_busy, ends, views_held;

static void make_file(void) {
  static char words[SIZE];
  make_words(file_seed, 0, words, sizeof words);
  int descriptor = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
  REQUIRE(descriptor >= 0 && write(descriptor, words, sizeof words) == SIZE);
  close(descriptor);
}

/* zeros: what was cut off and has grown again may read as zeros. */
static void verify(const void *data, uint64_t offset, size_t length, bool zeros) {
  for (uint64_t at = (offset + 7) & ~UINT64_C(7); at + 8 <= offset + length; at += 8 * 31) {
    uint64_t word;
    memcpy(&word, (const char *)data + (at - offset), sizeof word);
    if (word != word_at(file_seed, at) && (word != 0 || !zeros))
      fail("wrong word %016" PRIx64 " at %" PRIu64 " of %" PRIu64 " + %zu", word, at, offset, length);
  }
}

static void open_with(uint32_t flags, uint32_t idle_ms, mapfile **opened) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  options.flags = flags;
  options.idle_ms = idle_ms;
  REQUIRE_STATUS(mapfile_open(path, &options, opened), MAPFILE_OK);
}

static void pin_and_verify(mapfile *of, uint64_t offset, size_t length, uint32_t flags, uint64_t *random) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  REQUIRE_STATUS(mapfile_pin(of, offset, length, flags, &view), MAPFILE_OK);
  verify(view.data, offset, view.length, false);
  if (random_below(random, 64) == 0)
    rest(1000000);
  verify(view.data, offset, view.length, false);
  REQUIRE_STATUS(mapfile_unpin(&view), MAPFILE_OK);
}

/*
 * Parking
 */

static mapfile_status MAPFILE_CALL verify_chunk(void *argument, const void *data, size_t length, uint64_t offset) {
  (void)argument;
  verify(data, offset, length, false);
  return MAPFILE_OK;
}

static void park(void) {
  mapfile_status status = mapfile_park(file);
  REQUIRE(status == MAPFILE_OK || status == MAPFILE_BUSY);
  atomic_fetch_add(status == MAPFILE_OK ? &parks : &parks_busy, 1);
}

static void do_anything(uint64_t *random) {
  static const uint32_t flags[] = {MAPFILE_ANY, MAPFILE_LIVE, MAPFILE_COPY, MAPFILE_PRIVATE, MAPFILE_VERIFY};
  char buffer[4096];
  uint64_t offset = random_below(random, SIZE - LONGEST_RANGE), length = 1 + random_below(random, LONGEST_RANGE);
  switch (random_below(random, 10)) {
  case 0:
    park();
    break;
  case 1:
  case 2:
    REQUIRE_STATUS(mapfile_read(file, offset, buffer, sizeof buffer, NULL), MAPFILE_OK);
    verify(buffer, offset, sizeof buffer, false);
    break;
  case 3:
    REQUIRE_STATUS(
        mapfile_scan(file, offset, length, 4096, (uint32_t)random_below(random, 4), verify_chunk, NULL, NULL),
        MAPFILE_OK);
    break;
  case 4:
    if (random_below(random, 16) == 0)
      rest(3000000);
    break;
  default:
    pin_and_verify(file, offset, (size_t)length, flags[random_below(random, 5)], random);
  }
}

static void *use_and_park(void *argument) {
  uint64_t random = seed + (uintptr_t)argument;
  for (uint64_t i = 0; i < operations; i++)
    do_anything(&random);
  atomic_fetch_sub(&workers_running, 1);
  return NULL;
}

static void *open_and_close(void *argument) {
  uint64_t random = seed + 100 + (uintptr_t)argument;
  while (atomic_load(&workers_running) > 0) {
    mapfile *own;
    open_with(0, 1 + (uint32_t)random_below(&random, 4), &own);
    for (int i = 0; i < 3; i++) {
      pin_and_verify(own, random_below(&random, SIZE - LONGEST_RANGE), LONGEST_RANGE, MAPFILE_ANY, &random);
      rest((long)random_below(&random, 3000000));
    }
    REQUIRE_STATUS(mapfile_close(own), MAPFILE_OK);
  }
  return NULL;
}

static void run(void *(*work)(void *), void *(*beside)(void *), uintptr_t others) {
  pthread_t threads[WORKERS + OPENERS];
  atomic_store(&workers_running, WORKERS);
  for (uintptr_t i = 0; i < WORKERS + others; i++)
    REQUIRE(pthread_create(&threads[i], NULL, i < WORKERS ? work : beside, (void *)i) == 0);
  for (uintptr_t i = 0; i < WORKERS + others; i++)
    REQUIRE(pthread_join(threads[i], NULL) == 0);
}

static void run_parking(void) {
  mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
  open_with(0, 1, &file);
  run(use_and_park, open_and_close, OPENERS);
  REQUIRE_STATUS(mapfile_stats(file, &counts), MAPFILE_OK);
  printf("%" PRIu64 " parked by a call, %" PRIu64 " BUSY, %" PRIu64 " in all\n", atomic_load(&parks),
         atomic_load(&parks_busy), counts.parks);
  REQUIRE(counts.pinned_views == 0 && atomic_load(&parks) > 0);
  REQUIRE_STATUS(mapfile_close(file), MAPFILE_OK);
}

/*
 * Resizing
 */

/* A range that fits the size as it is known now; by the time it is pinned it may not. */
static void pin_what_may_go(uint64_t *random) {
  static const uint32_t flags[] = {MAPFILE_LIVE, MAPFILE_LIVE, MAPFILE_LIVE, MAPFILE_PRIVATE};
  mapfile_view view = MAPFILE_VIEW_INIT;
  uint64_t size;
  REQUIRE_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  uint64_t most = size < LONGEST_RANGE ? size : LONGEST_RANGE, length = 1 + random_below(random, most);
  uint64_t offset = random_below(random, 2) == 0 ? size - length : random_below(random, size - length + 1);
  mapfile_status status = mapfile_pin(file, offset, length, flags[random_below(random, 4)], &view);
  if (status == MAPFILE_END) {
    atomic_fetch_add(&ends, 1);
    return;
  }
  REQUIRE_STATUS(status, MAPFILE_OK);
  verify(view.data, offset, view.length, true);
  if (random_below(random, 1024) == 0)
    rest(100000);
  verify(view.data, offset, view.length, true);
  REQUIRE_STATUS(mapfile_unpin(&view), MAPFILE_OK);
  atomic_fetch_add(&views_held, 1);
}

static void *pin_while_cut(void *argument) {
  uint64_t random = seed + 200 + (uintptr_t)argument;
  for (uint64_t i = 0; i < operations; i++) {
    pin_what_may_go(&random);
    if (random_below(&random, 16) == 0)
      sched_yield();
  }
  atomic_fetch_sub(&workers_running, 1);
  return NULL;
}

static void *cut_and_grow(void *argument) {
  uint64_t random = seed + 300;
  (void)argument;
  while (atomic_load(&workers_running) > 0) {
    /* No word is cut in two. */
    uint64_t before, size = LEAST_SIZE + random_below(&random, (SIZE - LEAST_SIZE) / 8) * 8;
    REQUIRE_STATUS(mapfile_size(file, &before), MAPFILE_OK);
    mapfile_status status = mapfile_resize(file, size, 0);
    REQUIRE(status == MAPFILE_OK || (status == MAPFILE_BUSY && size < before));
    if (size < before)
      atomic_fetch_add(status == MAPFILE_OK ? &cuts : &cuts_busy, 1);
  }
  return NULL;
}

static void run_resizing(void) {
  mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
  open_with(MAPFILE_WRITE, MAPFILE_IDLE_NEVER, &file);
  run(pin_while_cut, cut_and_grow, 1);
  REQUIRE_STATUS(mapfile_stats(file, &counts), MAPFILE_OK);
  printf("%" PRIu64 " times shorter, %" PRIu64 " BUSY; %" PRIu64 " views, %" PRIu64 " pins behind the end\n",
         atomic_load(&cuts), atomic_load(&cuts_busy), atomic_load(&views_held), atomic_load(&ends));
  REQUIRE(counts.pinned_views == 0 && atomic_load(&cuts) > 0 && atomic_load(&views_held) > 0);
  REQUIRE_STATUS(mapfile_close(file), MAPFILE_OK);
}

int main(int count, char **arguments) {
  mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
  operations = argument_or(count, arguments, 1, default_count(20000));
  seed = argument_or(count, arguments, 2, new_seed());
  printf("%" PRIu64 " operations a worker, seed %" PRIu64 "\n", operations, seed);
  fflush(stdout);
  alarm(GUARD_SECONDS);
  make_folder("names");
  snprintf(path, sizeof path, "%s/file", stress_folder);
  snprintf(other_path, sizeof other_path, "%s/other", stress_folder);
  make_file();
  run_parking();
  run_resizing();
  REQUIRE_STATUS(mapfile_rename(path, other_path), MAPFILE_OK);
  REQUIRE_STATUS(mapfile_remove(other_path), MAPFILE_OK);
  REQUIRE_STATUS(mapfile_stats(NULL, &counts), MAPFILE_OK);
  REQUIRE(counts.open_files == 0 && counts.maps == 0 && counts.mapped_bytes == 0 && counts.copied_bytes == 0);
  remove_folder();
  return 0;
}
