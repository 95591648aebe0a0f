/*
 * exhaustion.c - what the library does when a process has next to nothing left, address space, maps or descriptors, or
 * very many mapfiles.
 *
 * SPDX-License-Identifier: MIT
 *
 * Usage: stress-exhaustion
 *
 * Each part runs in a process of its own, so that no limit outlives it. Memory that cannot be had is not here: the test
 * of failing system calls lets each allocation fail in turn. Exit status 0, or 1 where something is wrong.
 */
#include "stress.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

enum { GUARD_SECONDS = 600, MARK = 10, MARKS = 6 };

static const char mark[] = "Here it is";
static char path[300];

/* Sanitizers, valgrind and emulators need address space and maps of their own, and time. */
static bool has_a_tool(void) {
  const uint64_t plain = 4000;
  return default_count(plain) != plain;
}

static mapfile *open_as(uint32_t access) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file;
  options.access = access;
  REQUIRE_STATUS(mapfile_open(path, &options, &file), MAPFILE_OK);
  return file;
}

/*
 * A file far larger than the address space that is left
 */

enum { BUDGET_MIB = 64, CACHE_MIB = 8 };

static uint64_t address_space_used(void) {
  FILE *statm = fopen("/proc/self/statm", "re");
  unsigned long long pages = 0;
  REQUIRE(statm != NULL && fscanf(statm, "%llu", &pages) == 1);
  fclose(statm);
  return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void limit_address_space(uint64_t budget) {
  struct rlimit limit = {0, RLIM_INFINITY};
  limit.rlim_cur = (rlim_t)(address_space_used() + budget);
  REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
}

/* Where a piece ends, in whatever size it is walked: at borders of windows, pieces and maps, and of 32 bits. */
static void place_marks(uint64_t size, uint64_t places[MARKS]) {
  places[0] = 7 * 65536 - 3;
  places[1] = 3 * MIB - 5;
  places[2] = 64 * MIB - 7;
  places[3] = 4 * GIB - 4;
  places[4] = 4 * GIB + 300 * MIB + 123;
  places[5] = size - MARK;
}

static bool make_far_file(uint64_t size, const uint64_t places[MARKS]) {
  int descriptor = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  REQUIRE(descriptor >= 0);
  bool made = ftruncate(descriptor, (off_t)size) == 0;
  for (int i = 0; made && i < MARKS; i++)
    REQUIRE(pwrite(descriptor, mark, MARK, (off_t)places[i]) == MARK);
  close(descriptor);
  return made;
}

static void check_budgets(void) {
  mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
  REQUIRE_STATUS(mapfile_stats(NULL, &counts), MAPFILE_OK);
  REQUIRE(counts.mapped_bytes <= (BUDGET_MIB - CACHE_MIB) * MIB && counts.cache_bytes <= CACHE_MIB * MIB);
}

static mapfile_status MAPFILE_CALL count_bytes(void *argument, const void *data, size_t length, uint64_t offset) {
  uint64_t *next = argument;
  (void)data;
  REQUIRE(offset == *next);
  *next += length;
  check_budgets();
  return MAPFILE_OK;
}

static void find_each(mapfile *file, const uint64_t places[MARKS]) {
  uint64_t from = 0, found, done;
  for (int i = 0; i < MARKS; i++) {
    REQUIRE_STATUS(mapfile_find(file, from, MAPFILE_TO_END, mark, MARK, &found, &done), MAPFILE_OK);
    REQUIRE(found == places[i] && done == found + MARK - from);
    from = found + 1;
    check_budgets();
  }
  REQUIRE_STATUS(mapfile_find(file, from, MAPFILE_TO_END, mark, MARK, &found, &done), MAPFILE_NOT_FOUND);
}

static void read_and_pin_each(mapfile *file, const uint64_t places[MARKS]) {
  for (int round = 0; round < 3; round++)
    for (int i = 0; i < MARKS; i++) {
      char bytes[MARK];
      size_t done;
      mapfile_view view = MAPFILE_VIEW_INIT;
      REQUIRE_STATUS(mapfile_read(file, places[i], bytes, MARK, &done), MAPFILE_OK);
      REQUIRE(done == MARK && memcmp(bytes, mark, MARK) == 0);
      REQUIRE_STATUS(mapfile_pin(file, places[i] - 50, 50 + MARK, MAPFILE_ANY, &view), MAPFILE_OK);
      REQUIRE(memcmp((const char *)view.data + 50, mark, MARK) == 0);
      REQUIRE_STATUS(mapfile_unpin(&view), MAPFILE_OK);
      check_budgets();
    }
}

/* What cannot be is said to be too much, and the sentence names what can. */
static void pin_whole(mapfile *file) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  const char *text = mapfile_strerror(MAPFILE_LIMIT);
  REQUIRE_STATUS(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view), MAPFILE_LIMIT);
  REQUIRE(strstr(text, "mapfile_scan") != NULL && strstr(text, "mapfile_read") != NULL);
}

static void far_file(void) {
  const uint64_t size = has_a_tool() ? 5 * GIB : 16 * GIB;
  uint64_t places[MARKS], next = 0, done;
  mapfile_limits limits = MAPFILE_LIMITS_INIT;
  place_marks(size, places);
  if (!make_far_file(size, places)) {
    printf("SKIP far file: the file system here has no files of that length\n");
    return;
  }
  mapfile *copied = open_as(MAPFILE_ACCESS_COPIED), *chosen = open_as(MAPFILE_ACCESS_AUTO);
  limits.map_bytes = (BUDGET_MIB - CACHE_MIB) * MIB;
  limits.cache_bytes = CACHE_MIB * MIB;
  REQUIRE_STATUS(mapfile_set_limits(&limits), MAPFILE_OK);
  if (!has_a_tool())
    limit_address_space(BUDGET_MIB * MIB);
  find_each(copied, places);
  read_and_pin_each(copied, places);
  read_and_pin_each(chosen, places);
  pin_whole(chosen);
  REQUIRE_STATUS(mapfile_scan(chosen, 0, MAPFILE_TO_END, 0, MAPFILE_SCAN_ONCE, count_bytes, &next, &done), MAPFILE_OK);
  REQUIRE(done == size && next == size);
  REQUIRE_STATUS(mapfile_close(copied), MAPFILE_OK);
  REQUIRE_STATUS(mapfile_close(chosen), MAPFILE_OK);
  printf("PASS far file: %" PRIu64 " GiB in %d MiB\n", size / GIB, BUDGET_MIB);
}

/*
 * No maps left
 */

enum { FILES = 8, FILE_SIZE = 1 << 20, ROUNDS = 400, SPARE_MAPS = 6 };

static void make_small_file(void) {
  static char words[FILE_SIZE];
  make_words(1, 0, words, sizeof words);
  int descriptor = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
  REQUIRE(descriptor >= 0 && write(descriptor, words, sizeof words) == FILE_SIZE);
  close(descriptor);
}

static void expect_words(const mapfile_view *view) {
  uint64_t word;
  memcpy(&word, view->data, sizeof word);
  REQUIRE(word == word_at(1, view->offset));
}

/* Every other page gets another protection, and so a map of its own, until the system has had enough. Returns the pages
   that were turned, 0 where it never has. */
static size_t take_all_maps(unsigned char *pages, size_t count, size_t page) {
  for (size_t i = 1; i < count; i += 2)
    if (mprotect(pages + i * page, page, PROT_READ) != 0)
      return errno == ENOMEM ? i : 0;
  return 0;
}

/* What is left after that; they go with the process. */
static void take_last_maps(size_t page) {
  for (int i = 0; i < 64; i++)
    if (mmap(NULL, page, i % 2 != 0 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) ==
        MAP_FAILED)
      return;
}

/* Some C libraries need a map for memory too. */
static bool has_memory(void) {
  void *volatile memory = malloc(16384);
  bool had = memory != NULL;
  free(memory);
  return had;
}

static unsigned pin_somewhere(mapfile *const files[FILES], uint64_t *random) {
  mapfile *file = files[random_below(random, FILES)];
  uint64_t offset = random_below(random, FILE_SIZE / 8 - 1) * 8;
  mapfile_view live = MAPFILE_VIEW_INIT, any = MAPFILE_VIEW_INIT;
  mapfile_status status = mapfile_pin(file, offset, 8, MAPFILE_LIVE, &live);
  REQUIRE(status == MAPFILE_OK || status == MAPFILE_LIMIT || (status == MAPFILE_NO_MEMORY && !has_memory()));
  mapfile_status copied = mapfile_pin(file, offset, 8, MAPFILE_ANY, &any);
  REQUIRE(copied == MAPFILE_OK || (copied == MAPFILE_NO_MEMORY && !has_memory()));
  if (copied == MAPFILE_OK) {
    expect_words(&any);
    REQUIRE_STATUS(mapfile_unpin(&any), MAPFILE_OK);
  }
  if (status != MAPFILE_OK)
    return 0;
  expect_words(&live);
  REQUIRE_STATUS(mapfile_unpin(&live), MAPFILE_OK);
  return 1;
}

static unsigned pin_here_and_there(mapfile *const files[FILES]) {
  uint64_t random = 1;
  unsigned live = 0;
  for (int i = 0; i < ROUNDS; i++)
    live += pin_somewhere(files, &random);
  return live;
}

static void no_maps(void) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), count = 140000;
  mapfile *files[FILES];
  if (has_a_tool()) {
    printf("SKIP no maps: the tool that runs this program needs maps of its own\n");
    return;
  }
  make_small_file();
  for (int i = 0; i < FILES; i++)
    files[i] = open_as(MAPFILE_ACCESS_MAPPED);
  unsigned char *pages = mmap(NULL, count * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(pages != MAP_FAILED);
  size_t turned = take_all_maps(pages, count, page);
  if (turned <= 2 * SPARE_MAPS) {
    printf("SKIP no maps: the system's limit of them is not met by %zu\n", count);
    return;
  }
  take_last_maps(page);
  unsigned without = pin_here_and_there(files);
  /* Some for the library: now each must do with what the others give up. */
  const size_t kept = turned - 2 * SPARE_MAPS;
  REQUIRE(munmap(pages + kept * page, 2 * SPARE_MAPS * page) == 0);
  unsigned with_few = pin_here_and_there(files);
  /* What was given back may be somebody's by now. */
  REQUIRE(munmap(pages, kept * page) == 0 && munmap(pages + turned * page, (count - turned) * page) == 0);
  REQUIRE(without == 0 && with_few == ROUNDS && pin_here_and_there(files) == ROUNDS);
  for (int i = 0; i < FILES; i++)
    REQUIRE_STATUS(mapfile_close(files[i]), MAPFILE_OK);
  printf("PASS no maps\n");
}

/*
 * No descriptors left
 */

static void no_descriptors(void) {
  enum { MOST = 60, ENOUGH = 30 };
  struct rlimit limit;
  mapfile *files[MOST];
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  make_small_file();
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = MOST - 10;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  for (int round = 0; round < 3; round++) {
    int count = 0;
    mapfile_status status;
    while ((status = mapfile_open(path, &options, &files[count])) == MAPFILE_OK) {
      REQUIRE_STATUS(mapfile_pin(files[count], 80, 8, MAPFILE_ANY, &view), MAPFILE_OK);
      expect_words(&view);
      REQUIRE_STATUS(mapfile_unpin(&view), MAPFILE_OK);
      REQUIRE(++count < MOST);
    }
    REQUIRE(status == MAPFILE_LIMIT && mapfile_native_error() == EMFILE && count >= ENOUGH);
    while (count > 0)
      REQUIRE_STATUS(mapfile_close(files[--count]), MAPFILE_OK);
  }
  printf("PASS no descriptors\n");
}

/*
 * A hundred thousand mapfiles
 */

/* The most that may be opened, raised where that is allowed. */
static size_t most_descriptors(size_t wanted) {
  struct rlimit limit;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
  struct rlimit raised = {wanted, wanted};
  if (limit.rlim_cur < wanted && setrlimit(RLIMIT_NOFILE, &raised) == 0)
    return wanted;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  return (size_t)limit.rlim_cur;
}

/* Each is pinned, with fewer maps than mapfiles; none fails that has a descriptor. */
static void many_mapfiles(void) {
  enum { SPARE = 100, MAPS = 1000 };
  const size_t wanted = (size_t)default_count(100000);
  const size_t most = most_descriptors(wanted + SPARE);
  mapfile **files = calloc(wanted, sizeof(mapfile *));
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
  mapfile_limits limits = MAPFILE_LIMITS_INIT;
  mapfile_status status = MAPFILE_OK;
  size_t count = 0;
  REQUIRE(files != NULL);
  make_small_file();
  limits.map_count = MAPS;
  REQUIRE_STATUS(mapfile_set_limits(&limits), MAPFILE_OK);
  while (count < wanted && (status = mapfile_open(path, NULL, &files[count])) == MAPFILE_OK)
    count++;
  if (status != MAPFILE_OK) {
    REQUIRE(status == MAPFILE_LIMIT && mapfile_native_error() == EMFILE && count + SPARE >= most);
    REQUIRE_STATUS(mapfile_close(files[--count]), MAPFILE_OK);
  }
  const size_t own = count;
  /* Where there are not so many descriptors, the others share one. */
  const int lent = open(path, O_RDONLY | O_CLOEXEC);
  REQUIRE(lent >= 0);
  while (count < wanted)
    REQUIRE_STATUS(mapfile_open_handle(lent, NULL, &files[count++]), MAPFILE_OK);
  for (size_t at = 0; at < 2 * count; at++) {
    REQUIRE_STATUS(mapfile_pin(files[at % count], 80, 8, MAPFILE_LIVE, &view), MAPFILE_OK);
    expect_words(&view);
    REQUIRE_STATUS(mapfile_unpin(&view), MAPFILE_OK);
  }
  REQUIRE_STATUS(mapfile_stats(NULL, &counts), MAPFILE_OK);
  REQUIRE(counts.open_files == count && counts.maps <= MAPS);
  for (size_t at = 0; at < count; at++)
    REQUIRE_STATUS(mapfile_close(files[at]), MAPFILE_OK);
  REQUIRE_STATUS(mapfile_stats(NULL, &counts), MAPFILE_OK);
  REQUIRE(counts.open_files == 0 && counts.maps == 0);
  close(lent);
  free(files);
  printf("PASS many mapfiles (%zu, %zu of them with a descriptor of their own)\n", count, own);
}

static int run(void (*part)(void)) {
  int status = 0;
  fflush(stdout);
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(GUARD_SECONDS);
    part();
    fflush(stdout);
    _exit(0);
  }
  REQUIRE(waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status))
    printf("FAIL a part died of signal %d\n", WTERMSIG(status));
  return status != 0;
}

/* Where holes are read without taking memory, if there is such a place. */
static void choose_folder(void) {
  struct stat look;
  if (stat("/dev/shm", &look) == 0 && access("/dev/shm", W_OK) == 0)
    setenv("TMPDIR", "/dev/shm", 1);
  make_folder("exhaustion");
}

int main(void) {
  choose_folder();
  snprintf(path, sizeof path, "%s/file", stress_folder);
  int bad = run(far_file) + run(no_maps) + run(no_descriptors) + run(many_mapfiles);
  remove_folder();
  return bad != 0;
}
