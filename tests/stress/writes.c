/*
 * writes.c - a stress test of writing: writers against those who pin and read what is written, mapped and copied.
 *
 * SPDX-License-Identifier: MIT
 *
 * Usage: stress-writes [OPERATIONS [SEED]]
 *
 * A file is made of places, each a counter of 8 bytes that is repeated over 64. One writer for each second place raises
 * its counters, through one mapfile or the other: by mapfile_write, or by storing into a private view and committing
 * it. It says before each write which number it begins, and afterwards which it has done. Readers look at what was
 * done, pin or read the place, look at what was begun, and find a number in between in its first byte; a copied view
 * shows the same at its end as at its beginning, however often the place was written to meanwhile. One thread makes the
 * file longer by writing behind its end, one has windows given up by parking, resizing and small budgets.
 *
 * OPERATIONS is the number of writes that each writer makes at least, and of all looks. Exit status 0 or 1.
 */
#include "stress.h"

#include <stdatomic.h>

enum {
  PLACES = 64,
  PLACE_SIZE = 64,
  STRIDE = 12 << 10, /* some windows of copied access, with several places in each */
  WRITERS = 2,
  READERS = 3,
  FILES = 2, /* mapped and copied */
  GUARD_SECONDS = 600
};

#define FIRST_SIZE ((uint64_t)PLACES * STRIDE)
#define MOST_GROWTH ((uint64_t)1 << 20)

static mapfile *files[FILES];
static atomic_uint begun[PLACES], ended[PLACES];
static atomic_uint writers_running;
static atomic_uint_fast64_t looks, spanned, appended;
static uint64_t operations, seed;

static uint64_t offset_of(unsigned place) {
  return (uint64_t)place * STRIDE + place % 7 * 100;
}

/* All bytes of a place are the low byte of its number: so half a write can be told from none. */
static void write_place(mapfile *file, unsigned place) {
  unsigned char bytes[PLACE_SIZE];
  size_t done = 0;
  memset(bytes, (int)((atomic_fetch_add(&begun[place], 1) + 1) & 255), sizeof bytes);
  REQUIRE_STATUS(mapfile_write(file, offset_of(place), bytes, sizeof bytes, &done), MAPFILE_OK);
  REQUIRE(done == sizeof bytes);
  atomic_fetch_add(&ended[place], 1);
}

static void commit_place(mapfile *file, unsigned place) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  size_t done = 0;
  REQUIRE_STATUS(mapfile_pin(file, offset_of(place) - place % 7, PLACE_SIZE + 6, MAPFILE_PRIVATE, &view), MAPFILE_OK);
  unsigned char *bytes = (unsigned char *)view.data + place % 7;
  memset(bytes, (int)((atomic_fetch_add(&begun[place], 1) + 1) & 255), PLACE_SIZE);
  REQUIRE_STATUS(mapfile_commit(&view, place % 7, PLACE_SIZE, &done), MAPFILE_OK);
  REQUIRE(done == PLACE_SIZE);
  atomic_fetch_add(&ended[place], 1);
  REQUIRE_STATUS(mapfile_unpin(&view), MAPFILE_OK);
}

static void *write_places(void *argument) {
  unsigned number = (unsigned)(uintptr_t)argument;
  uint64_t random = seed + 100 + number;
  for (uint64_t i = 0; i < operations || atomic_load(&looks) < operations; i++) {
    unsigned place = (unsigned)random_below(&random, PLACES / WRITERS) * WRITERS + number;
    /* Only what is written through the mapfile that is read shows at once in its windows. */
    mapfile *file = files[place / 2 % FILES];
    if (random_below(&random, 4) == 0)
      commit_place(file, place);
    else
      write_place(file, place);
  }
  atomic_fetch_sub(&writers_running, 1);
  return NULL;
}

static void judge(unsigned place, unsigned char byte, unsigned before, unsigned after) {
  atomic_fetch_add_explicit(&looks, 1, memory_order_relaxed);
  if (after - before < 256 && (unsigned char)(byte - before) > after - before)
    fail("place %u shows write %u (of 256), when %u were done and %u begun", place, byte, before, after);
}

/* ThreadSanitizer does not see what the system writes, so the load of a byte of a live view is no race to it. */
static unsigned char first_byte(const mapfile_view *view) {
  return *(const volatile unsigned char *)view->data;
}

static void look_by_pin(mapfile *file, unsigned place, uint32_t flags, uint64_t *random) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  unsigned char copy[PLACE_SIZE];
  unsigned before = atomic_load(&ended[place]);
  REQUIRE_STATUS(mapfile_pin(file, offset_of(place), PLACE_SIZE, flags, &view), MAPFILE_OK);
  unsigned char byte = first_byte(&view);
  judge(place, byte, before, atomic_load(&begun[place]));
  if (view.kind == MAPFILE_KIND_COPIED) {
    memcpy(copy, view.data, sizeof copy);
    if (random_below(random, 8) == 0)
      rest(20000);
    REQUIRE(memcmp(copy, view.data, sizeof copy) == 0 && copy[0] == byte);
  }
  REQUIRE_STATUS(mapfile_unpin(&view), MAPFILE_OK);
}

static void look_by_read(mapfile *file, unsigned place) {
  unsigned char bytes[PLACE_SIZE];
  unsigned before = atomic_load(&ended[place]);
  REQUIRE_STATUS(mapfile_read(file, offset_of(place), bytes, sizeof bytes, NULL), MAPFILE_OK);
  judge(place, bytes[0], before, atomic_load(&begun[place]));
}

/* One pin over all windows between two places. */
static void look_over_windows(mapfile *file, unsigned place) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  unsigned last = place + 12, before = atomic_load(&ended[place]), before_last = atomic_load(&ended[last]);
  uint64_t length = offset_of(last) + PLACE_SIZE - offset_of(place);
  REQUIRE_STATUS(mapfile_pin(file, offset_of(place), length, MAPFILE_ANY, &view), MAPFILE_OK);
  unsigned char byte = first_byte(&view);
  unsigned char byte_last = *((const volatile unsigned char *)view.data + (size_t)(offset_of(last) - offset_of(place)));
  judge(place, byte, before, atomic_load(&begun[place]));
  judge(last, byte_last, before_last, atomic_load(&begun[last]));
  atomic_fetch_add_explicit(&spanned, 1, memory_order_relaxed);
  REQUIRE_STATUS(mapfile_unpin(&view), MAPFILE_OK);
}

static void *look_at_places(void *argument) {
  uint64_t random = seed + 200 + (uint64_t)(uintptr_t)argument;
  while (atomic_load(&writers_running) > 0) {
    unsigned place = (unsigned)random_below(&random, PLACES);
    mapfile *file = files[place / 2 % FILES];
    switch (random_below(&random, 8)) {
    case 0:
      look_by_read(file, place);
      break;
    case 1:
      look_by_pin(file, place, MAPFILE_COPY, &random);
      break;
    case 2:
      place = (unsigned)random_below(&random, (PLACES - 12) / 4) * 4 + 2;
      look_over_windows(files[1], place);
      break;
    default:
      look_by_pin(file, place, MAPFILE_ANY, &random);
    }
  }
  return NULL;
}

/* Behind the end: the size is known at once, and the words are there. */
static void *append(void *argument) {
  uint64_t random = seed + 300, end = FIRST_SIZE;
  char words[4096];
  (void)argument;
  while (atomic_load(&writers_running) > 0) {
    mapfile *file = files[random_below(&random, FILES)];
    size_t length = (1 + (size_t)random_below(&random, sizeof words / 8)) * 8;
    if (end + length > FIRST_SIZE + MOST_GROWTH)
      break;
    make_words(seed, end, words, length);
    REQUIRE_STATUS(mapfile_write(file, end, words, length, NULL), MAPFILE_OK);
    mapfile_view view = MAPFILE_VIEW_INIT;
    uint64_t size = 0;
    REQUIRE_STATUS(mapfile_size(file, &size), MAPFILE_OK);
    REQUIRE(size >= end + length);
    REQUIRE_STATUS(mapfile_pin(file, end, length, MAPFILE_ANY, &view), MAPFILE_OK);
    REQUIRE(memcmp(view.data, words, length) == 0);
    REQUIRE_STATUS(mapfile_unpin(&view), MAPFILE_OK);
    end += length;
    atomic_fetch_add(&appended, length);
    rest(100000);
  }
  return NULL;
}

/* A look that comes late must not take the new size back; nor may windows outlive a budget. */
static void *disturb(void *argument) {
  uint64_t random = seed + 400;
  (void)argument;
  while (atomic_load(&writers_running) > 0) {
    mapfile_limits limits = MAPFILE_LIMITS_INIT;
    limits.cache_bytes = (1 + random_below(&random, 12)) * (64 << 10);
    REQUIRE_STATUS(mapfile_set_limits(&limits), MAPFILE_OK);
    mapfile *file = files[random_below(&random, FILES)];
    mapfile_status status = random_below(&random, 4) == 0 ? mapfile_park(file) : mapfile_check(file);
    REQUIRE(status == MAPFILE_OK || status == MAPFILE_CHANGED || status == MAPFILE_BUSY);
    rest(200000);
  }
  return NULL;
}

static void open_files(void) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  char path[300];
  REQUIRE((size_t)snprintf(path, sizeof path, "%s/file", stress_folder) < sizeof path);
  int descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  REQUIRE(descriptor >= 0 && ftruncate(descriptor, (off_t)FIRST_SIZE) == 0);
  close(descriptor);
  options.flags = MAPFILE_WRITE;
  options.access = MAPFILE_ACCESS_MAPPED;
  REQUIRE_STATUS(mapfile_open(path, &options, &files[0]), MAPFILE_OK);
  /* Nobody is asked: it is the library's own knowledge that keeps windows current. */
  options.access = MAPFILE_ACCESS_COPIED;
  options.revalidate_ms = UINT32_MAX;
  REQUIRE_STATUS(mapfile_open(path, &options, &files[1]), MAPFILE_OK);
}

/* Each place shows the last write to it. */
static void look_at_end(void) {
  for (unsigned place = 0; place < PLACES; place++)
    for (int i = 0; i < FILES; i++) {
      unsigned char bytes[PLACE_SIZE], wanted[PLACE_SIZE];
      REQUIRE(atomic_load(&begun[place]) == atomic_load(&ended[place]));
      memset(wanted, (int)(atomic_load(&ended[place]) & 255), sizeof wanted);
      REQUIRE_STATUS(mapfile_read(files[i], offset_of(place), bytes, sizeof bytes, NULL), MAPFILE_OK);
      REQUIRE(memcmp(bytes, wanted, sizeof bytes) == 0);
    }
}

static void run_threads(void) {
  pthread_t threads[WRITERS + READERS + 2];
  size_t count = 0;
  atomic_store(&writers_running, WRITERS);
  for (uintptr_t i = 0; i < WRITERS; i++)
    REQUIRE(pthread_create(&threads[count++], NULL, write_places, (void *)i) == 0);
  for (uintptr_t i = 0; i < READERS; i++)
    REQUIRE(pthread_create(&threads[count++], NULL, look_at_places, (void *)i) == 0);
  REQUIRE(pthread_create(&threads[count++], NULL, append, NULL) == 0);
  REQUIRE(pthread_create(&threads[count++], NULL, disturb, NULL) == 0);
  for (size_t i = 0; i < count; i++)
    REQUIRE(pthread_join(threads[i], NULL) == 0);
}

int main(int count, char **arguments) {
  mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
  operations = argument_or(count, arguments, 1, default_count(100000));
  seed = argument_or(count, arguments, 2, new_seed());
  printf("%" PRIu64 " writes a writer and looks, seed %" PRIu64 "\n", operations, seed);
  fflush(stdout);
  alarm(GUARD_SECONDS);
  make_folder("writes");
  open_files();
  run_threads();
  look_at_end();
  REQUIRE_STATUS(mapfile_stats(files[1], &counts), MAPFILE_OK);
  printf("%" PRIu64 " looks, %" PRIu64 " over several windows; %" PRIu64 " bytes appended; %" PRIu64
         " windows loaded, %" PRIu64 " pins read for themselves\n",
         atomic_load(&looks), atomic_load(&spanned), atomic_load(&appended), counts.cache_loads, counts.cache_misses);
  REQUIRE(counts.cache_loads > 0 && atomic_load(&looks) > 0);
  for (int i = 0; i < FILES; i++)
    REQUIRE_STATUS(mapfile_close(files[i]), MAPFILE_OK);
  REQUIRE_STATUS(mapfile_stats(NULL, &counts), MAPFILE_OK);
  REQUIRE(counts.pinned_views == 0 && counts.maps == 0 && counts.cache_bytes == 0 && counts.copied_bytes == 0);
  remove_folder();
  return 0;
}
