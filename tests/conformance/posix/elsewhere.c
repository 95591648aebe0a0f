/*
 * elsewhere.c - other processes that change or hold the files of a case.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../elsewhere.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const bool conf_parking_closes = false;

static int open_anew(const char *path) {
  int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  return descriptor < 0 ? -1 : close(descriptor);
}

static int do_it(conf_deed deed, const char *path, const char *other, uint64_t size) {
  switch (deed) {
  case CONF_CUT:
    return truncate(path, (off_t)size);
  case CONF_REMOVE:
    return unlink(path);
  case CONF_REPLACE:
    return rename(other, path);
  default:
    return open_anew(path);
  }
}

static int wait_for(pid_t child) {
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR)
      return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The exit code is the system's error. */
bool conf_elsewhere(conf_deed deed, const char *path, const char *other, uint64_t size) {
  fflush(NULL);
  pid_t child = fork();
  if (child < 0)
    conf_not_testable("no child can be made: %s", strerror(errno));
  if (child == 0)
    _exit(do_it(deed, path, other, size) == 0 ? 0 : errno);
  int error = wait_for(child);
  if (error != 0 && error != EBUSY && error != ETXTBSY)
    conf_broken(__FILE__, __LINE__, "another process cannot change %s: %s", path, strerror(error));
  return error == 0;
}

/* In the child: say that the file is held, and hold it until the other end is closed. */
static _Noreturn void hold(const char *path, int channel) {
  mapfile *file;
  mapfile_view view = MAPFILE_VIEW_INIT;
  char byte = 0;
  if (mapfile_open(path, NULL, &file) != MAPFILE_OK ||
      mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view) != MAPFILE_OK || write(channel, &byte, 1) != 1)
    _exit(1);
  while (read(channel, &byte, 1) < 0 && errno == EINTR)
    continue;
  _exit(0);
}

void conf_holder_start(conf_holder *holder, const char *path) {
  int ends[2];
  char byte;
  fflush(NULL);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    conf_not_testable("no socket can be made: %s", strerror(errno));
  pid_t child = fork();
  if (child < 0)
    conf_not_testable("no child can be made: %s", strerror(errno));
  if (child == 0) {
    close(ends[0]);
    hold(path, ends[1]);
  }
  close(ends[1]);
  holder->process = child;
  holder->channel = ends[0];
  EXPECT(read(ends[0], &byte, 1) == 1);
}

void conf_holder_end(conf_holder *holder) {
  close((int)holder->channel);
  EXPECT(wait_for((pid_t)holder->process) == 0);
}

uint64_t conf_clock_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void conf_enter_folder(const char *folder) {
  EXPECT(chdir(folder) == 0);
}

void conf_make_folder(const char *path) {
  EXPECT(mkdir(path, 0777) == 0);
}
