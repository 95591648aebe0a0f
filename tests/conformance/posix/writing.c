/*
 * writing.c - what the promises about writing mean on POSIX: the limit for sizes of files, descriptors that append,
 * blocked signals.
 *
 * SPDX-License-Identifier: MIT
 */
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SIZE (4 * conf_page)

/* The process's limit is a status and no signal, and what lies below it is written. */
static void size_limit(void) {
  struct rlimit limit = {SIZE + 100, RLIM_INFINITY};
  const char *path = conf_make("file", SIZE);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  char bytes[300];
  size_t done = 0;
  memset(bytes, 'w', sizeof bytes);
  EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  EXPECT_STATUS(mapfile_write(file, SIZE - 50, bytes, sizeof bytes, &done), MAPFILE_LIMIT);
  EXPECT_UINT(mapfile_native_error(), EFBIG);
  EXPECT_UINT(done, 150);
  EXPECT_UINT(conf_file_size(path), SIZE + 100);
  uint64_t size = 0;
  EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  EXPECT_UINT(size, SIZE + 100);
  EXPECT_STATUS(mapfile_write(file, SIZE + 100, bytes, 1, &done), MAPFILE_LIMIT);
  EXPECT_UINT(done, 0);
  /* Also where the file is longer already. */
  limit.rlim_cur = 100;
  EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  EXPECT_STATUS(mapfile_write(file, 200, bytes, 1, &done), MAPFILE_LIMIT);
  EXPECT_STATUS(mapfile_write(file, 90, bytes, 10, &done), MAPFILE_OK);
  limit.rlim_cur = RLIM_INFINITY;
  EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  conf_close(file);
}

/* What no file of this file system can be long enough for. */
static void beyond_the_file_system(void) {
  const char *path = conf_make("file", SIZE);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  size_t done = 7;
  mapfile_status status = mapfile_write(file, (uint64_t)INT64_MAX - 1, "x", 1, &done);
  /* Some have no such limit, but then no room for the block that says where it is. */
  EXPECT_ONE_OF(status, MAPFILE_LIMIT, MAPFILE_NO_SPACE, MAPFILE_OK);
  EXPECT_UINT(done, status == MAPFILE_OK);
  conf_close(file);
}

/* Linux writes at the end whatever is asked for; nobody would notice. */
static void appending(void) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  const char *path = conf_make("file", SIZE);
  int descriptor = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
  mapfile *file = NULL;
  size_t done = 7;
  EXPECT(descriptor >= 0);
  options.flags = MAPFILE_WRITE;
  options.access = conf_access;
  EXPECT_STATUS(mapfile_open_handle(descriptor, &options, &file), MAPFILE_OK);
  EXPECT_STATUS(mapfile_write(file, 10, "abc", 3, &done), MAPFILE_UNSUPPORTED);
  EXPECT_UINT(done, 0);
  EXPECT_UINT(conf_file_size(path), SIZE);
  EXPECT(fcntl(descriptor, F_SETFL, 0) == 0);
  EXPECT_STATUS(mapfile_write(file, 10, "abc", 3, &done), MAPFILE_OK);
  EXPECT_UINT(conf_file_size(path), SIZE);
  conf_close(file);
  close(descriptor);
}

/* Where no scope can be entered a view that fails is no reason to die either. */
static void signals_blocked(void) {
  const char *path = conf_make("file", SIZE), *source = conf_make("source", SIZE);
  mapfile *file = conf_open(path, MAPFILE_WRITE), *other = conf_open(source, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  sigset_t wanted, before;
  size_t done = 7;
  sigfillset(&wanted);
  EXPECT(sigprocmask(SIG_BLOCK, &wanted, &before) == 0);
  conf_pin(other, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  conf_truncate(source, conf_page);
  EXPECT_STATUS(mapfile_write(file, 0, view.data, view.length, &done), MAPFILE_TRUNCATED);
  EXPECT_UINT(done, conf_page);
  EXPECT(sigprocmask(SIG_SETMASK, &before, NULL) == 0);
  conf_unpin(&view);
  conf_close(file);
  conf_close(other);
}

#define N CONF_NO_FAULTS

static const conf_case table[] = {
    {"write-error", "size-limit", "Writing past a limit kills the program.", CONF_ANY, N, size_limit},
    {"write-error", "beyond-the-file-system", "Writing where no file reaches is not refused.", CONF_ONCE, N,
     beyond_the_file_system},
    {"write-error", "appending", "Bytes are written at the end instead of where they belong.", CONF_ANY, N, appending},
    {"write-error", "signals-blocked", "Writing from a view that fails kills where signals are blocked.", CONF_MAPPED,
     CONF_REAL, signals_blocked},
};

CONF_GROUP(conf_posix_writing, "writing on POSIX");
