/*
 * posix.c - the system's part of the model test, for POSIX.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif

#include "platform.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *platform_hindrance(void) {
  const char *preloaded = getenv("LD_PRELOAD");
  if (preloaded != NULL && strstr(preloaded, "vgpreload") != NULL)
    return "valgrind cannot extend the main stack for the frame of a signal handler, and fails in itself";
  if (getenv("MAPFILE_TEST_EMULATOR") != NULL && platform_page() > 4096)
    return "a map ends within the emulator's large page where its file does, and not, as it should, at the page's end";
  return NULL;
}

size_t platform_page(void) {
  return (size_t)sysconf(_SC_PAGESIZE);
}

uint64_t platform_new_seed(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return ((uint64_t)now.tv_sec * 1000003 + (uint64_t)now.tv_nsec + (uint64_t)getpid() * 7919) & UINT64_C(0xffffffff);
}

/*
 * Folders
 */

bool platform_make_folder(char *path, size_t size) {
  const char *parent = getenv("TMPDIR");
  int length = snprintf(path, size, "%s/mapfile-model.XXXXXX", parent != NULL && *parent != '\0' ? parent : "/tmp");
  return length > 0 && (size_t)length < size && mkdtemp(path) != NULL;
}

void platform_empty_folder(const char *path) {
  DIR *folder = opendir(path);
  if (folder == NULL)
    return;
  for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      if (unlinkat(dirfd(folder), entry->d_name, 0) != 0)
        unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR);
  closedir(folder);
}

void platform_remove_folder(const char *path) {
  platform_empty_folder(path);
  rmdir(path);
}

bool platform_make_inner_folder(const char *path) {
  return mkdir(path, 0700) == 0;
}

void platform_remove_inner_folder(const char *path) {
  rmdir(path);
}

bool platform_cuts_offsets(void) {
  return sizeof(void *) == 4 && getenv("MAPFILE_TEST_EMULATOR") != NULL;
}

/*
 * Files
 */

bool platform_make(const char *path) {
  int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  return descriptor >= 0 && close(descriptor) == 0;
}

/* All or nothing: short counts do not happen to small files on a disk with room. */
bool platform_write(const char *path, uint64_t offset, const void *bytes, size_t length) {
  int descriptor = open(path, O_WRONLY | O_CLOEXEC);
  if (descriptor < 0)
    return false;
  bool written = pwrite(descriptor, bytes, length, (off_t)offset) == (ssize_t)length;
  return close(descriptor) == 0 && written;
}

bool platform_read(const char *path, uint64_t offset, void *bytes, size_t length) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return false;
  bool got = pread(descriptor, bytes, length, (off_t)offset) == (ssize_t)length;
  return close(descriptor) == 0 && got;
}

bool platform_set_size(const char *path, uint64_t size) {
  return truncate(path, (off_t)size) == 0;
}

bool platform_set_time(const char *path, uint64_t seconds) {
  const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)seconds}};
  return utimensat(AT_FDCWD, path, times, 0) == 0;
}

bool platform_size(const char *path, uint64_t *size) {
  struct stat look;
  if (lstat(path, &look) != 0)
    return false;
  *size = (uint64_t)look.st_size;
  return true;
}

/*
 * Descriptors
 */

intptr_t platform_open(const char *path, unsigned how) {
  int flags = O_RDONLY;
  if ((how & PLATFORM_WRITE) != 0)
    flags = (how & PLATFORM_READ) != 0 ? O_RDWR : O_WRONLY;
  if ((how & PLATFORM_APPEND) != 0)
    flags |= O_APPEND;
  return open(path, flags | O_CLOEXEC);
}

void platform_close(intptr_t handle) {
  close((int)handle);
}

bool platform_is_open(intptr_t handle) {
  return fcntl((int)handle, F_GETFD) >= 0;
}

uint64_t platform_position(intptr_t handle) {
  return (uint64_t)lseek((int)handle, 0, SEEK_CUR);
}

void platform_set_position(intptr_t handle, uint64_t position) {
  lseek((int)handle, (off_t)position, SEEK_SET);
}

bool platform_pipe(intptr_t ends[2]) {
  int both[2];
  if (pipe(both) != 0)
    return false;
  fcntl(both[1], F_SETFL, O_NONBLOCK);
  ends[0] = both[0];
  ends[1] = both[1];
  return true;
}

int64_t platform_handle_read(intptr_t handle, void *buffer, size_t length) {
  return read((int)handle, buffer, length);
}

int64_t platform_handle_write(intptr_t handle, const void *buffer, size_t length) {
  return write((int)handle, buffer, length);
}

uint64_t platform_handles(void) {
  uint64_t count = 0;
  DIR *folder = opendir("/proc/self/fd");
  if (folder == NULL)
    return 0;
  while (readdir(folder) != NULL)
    count++;
  closedir(folder);
  return count;
}

/*
 * Threads
 */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *run_thread(void *argument) {
  const platform_thread *thread = argument;
  thread->run(thread->argument);
  return NULL;
}

bool platform_start(platform_thread *thread, void (*run)(void *), void *argument) {
  pthread_t started;
  thread->run = run;
  thread->argument = argument;
  if (pthread_create(&started, NULL, run_thread, thread) != 0)
    return false;
  thread->handle = (uintptr_t)started;
  return true;
}

void platform_join(platform_thread *thread) {
  pthread_join((pthread_t)thread->handle, NULL);
}

void platform_lock(void) {
  pthread_mutex_lock(&lock);
}

void platform_unlock(void) {
  pthread_mutex_unlock(&lock);
}

/*
 * Processes
 */

void platform_watchdog(unsigned seconds) {
  alarm(seconds);
}

void platform_end(int code) {
  _exit(code);
}

static int run_child(int count, char **arguments, const char *output) {
  int file = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || dup2(file, STDOUT_FILENO) < 0 || dup2(file, STDERR_FILENO) < 0)
    return 2;
  close(file);
  /* What a send to a pipe that nobody reads would do; no step makes one, but the child must not die of it. */
  signal(SIGPIPE, SIG_IGN);
  int code = model_main(count, arguments);
  fflush(stdout);
  return code;
}

/* A copy of this process instead of the program run anew, which could not be had under an emulator. */
int platform_child(int count, char **arguments, const char *output, char *death, size_t size) {
  int state;
  fflush(stdout);
  fflush(stderr);
  pid_t child = fork();
  if (child == 0)
    exit(run_child(count, arguments, output));
  if (child < 0 || waitpid(child, &state, 0) != child) {
    snprintf(death, size, "there is no process: %s", strerror(errno));
    return -1;
  }
  if (WIFEXITED(state))
    return WEXITSTATUS(state);
  bool hung = WTERMSIG(state) == SIGALRM;
  snprintf(death, size, hung ? "it did not come to an end" : "it died: %s", strsignal(WTERMSIG(state)));
  return -1;
}
