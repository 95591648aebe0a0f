/*
 * stress.h - what the stress tests share: random numbers, files whose every word is known, and how they fail.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef STRESS_H
#define STRESS_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "mapfile.h"

#if defined(__SANITIZE_THREAD__)
#define STRESS_SANITIZER "thread"
#elif defined(__SANITIZE_ADDRESS__)
#define STRESS_SANITIZER "address"
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define STRESS_SANITIZER "thread"
#elif __has_feature(address_sanitizer)
#define STRESS_SANITIZER "address"
#endif
#endif

/* The test's own folder, which goes with the process. */
static char stress_folder[256];

static inline void remove_folder(void) {
  DIR *folder = stress_folder[0] != '\0' ? opendir(stress_folder) : NULL;
  if (folder == NULL)
    return;
  for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
    if (entry->d_name[0] != '.')
      unlinkat(dirfd(folder), entry->d_name, 0);
  closedir(folder);
  rmdir(stress_folder);
}

/* Print what went wrong and end the process at once: other threads may be stuck by then. */
__attribute__((format(printf, 1, 2), noreturn)) static inline void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fflush(stdout);
  fputs("FAILED: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  remove_folder();
  _exit(1);
}

#define REQUIRE(condition)                               \
  do {                                                   \
    if (!(condition))                                    \
      fail("%s:%d: %s", __FILE__, __LINE__, #condition); \
  } while (0)

#define REQUIRE_STATUS(call, wanted) require_status((call), (wanted), #call, __FILE__, __LINE__)

static inline void require_status(mapfile_status status, mapfile_status wanted, const char *call, const char *file,
                                  int line) {
  if (status != wanted)
    fail("%s:%d: %s is \"%s\", not \"%s\" (native error %" PRId64 ")", file, line, call, mapfile_strerror(status),
         mapfile_strerror(wanted), mapfile_native_error());
}

/* splitmix64: each thread has a state of its own, so that a run is the same for the same seed but for the scheduling.
 */
static inline uint64_t mix(uint64_t x) {
  x ^= x >> 30;
  x *= UINT64_C(0xbf58476d1ce4e5b9);
  x ^= x >> 27;
  x *= UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

static inline uint64_t next_random(uint64_t *state) {
  *state += UINT64_C(0x9e3779b97f4a7c15);
  return mix(*state);
}

static inline uint64_t random_below(uint64_t *state, uint64_t bound) {
  return next_random(state) % bound;
}

/* The word of a file that begins at offset, a multiple of 8. */
static inline uint64_t word_at(uint64_t file_seed, uint64_t offset) {
  return mix(file_seed + offset + 1);
}

/* Fill buffer with the words of [offset, offset + length), both multiples of 8. */
static inline void make_words(uint64_t file_seed, uint64_t offset, void *buffer, size_t length) {
  for (size_t at = 0; at < length; at += sizeof(uint64_t)) {
    uint64_t word = word_at(file_seed, offset + at);
    memcpy((char *)buffer + at, &word, sizeof word);
  }
}

/* Append length bytes of the right words to a file of size bytes. */
static inline bool append_words(int descriptor, uint64_t file_seed, uint64_t size, size_t length) {
  char buffer[4096];
  for (size_t done = 0; done < length; done += sizeof buffer) {
    make_words(file_seed, size + done, buffer, sizeof buffer);
    if (pwrite(descriptor, buffer, sizeof buffer, (off_t)(size + done)) != (ssize_t)sizeof buffer)
      return false;
  }
  return true;
}

/* A folder of its own inside TMPDIR. */
static inline void make_folder(const char *name) {
  const char *parent = getenv("TMPDIR");
  int length = snprintf(stress_folder, sizeof stress_folder, "%s/mapfile-%s.XXXXXX",
                        parent != NULL && *parent != '\0' ? parent : "/tmp", name);
  if (length < 0 || (size_t)length >= sizeof stress_folder || mkdtemp(stress_folder) == NULL) {
    stress_folder[0] = '\0';
    fail("cannot make a folder: %s", strerror(errno));
  }
}

static inline uint64_t argument_or(int count, char **arguments, int index, uint64_t otherwise) {
  if (index >= count)
    return otherwise;
  char *end;
  errno = 0;
  unsigned long long value = strtoull(arguments[index], &end, 0);
  if (errno != 0 || *end != '\0' || end == arguments[index])
    fail("not a number: %s", arguments[index]);
  return value;
}

/* How much to do where no argument says: less under a tool that slows the test down by MAPFILE_TEST_TIME_FACTOR. */
static inline uint64_t default_count(uint64_t plain) {
#ifdef STRESS_SANITIZER
  uint64_t factor = 10;
#else
  uint64_t factor = 1;
#endif
  const char *given = getenv("MAPFILE_TEST_TIME_FACTOR");
  if (given != NULL && atoi(given) > 0)
    factor = (uint64_t)atoi(given);
  return plain / factor > 400 ? plain / factor : 400;
}

static inline bool under_valgrind(void) {
  const char *preloaded = getenv("LD_PRELOAD");
  return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

static inline bool under_thread_sanitizer(void) {
#ifdef STRESS_SANITIZER
  return strcmp(STRESS_SANITIZER, "thread") == 0;
#else
  return false;
#endif
}

/* The clock's and the process's number: another seed in each run, printed so that it can be given again. */
static inline uint64_t new_seed(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return mix((uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec + (uint64_t)getpid()) & UINT64_C(0xffffffff);
}

static inline void rest(long nanoseconds) {
  struct timespec pause = {0, nanoseconds};
  nanosleep(&pause, NULL);
}

#endif
