/*
 * What the tests of real faults share.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE 1
#include "faulty.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if FAULTY_SANITIZED
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

size_t page_size(void) {
  return (size_t)sysconf(_SC_PAGESIZE);
}

const char *place(const char *kind) {
  char name[64];

  snprintf(name, sizeof name, "MAPFILE_TEST_%s", kind);
  return getenv(name);
}

int under_valgrind(void) {
  const char *preloaded = getenv("LD_PRELOAD");

  return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

void skip(const char *tests, const char *kind) {
  char name[64];
  const char *why;

  snprintf(name, sizeof name, "MAPFILE_TEST_%s_WHY", kind);
  why = getenv(name);
  printf("SKIP %s: %s\n", tests, why != NULL ? why : "tests/faults/run has not made the file system it needs");
  fflush(stdout);
}

char *make_file(const char *folder, const char *name, uint64_t size) {
  char *path = NULL;
  unsigned char block[4096];
  int fd;

  need(asprintf(&path, "%s/%s", folder, name) > 0);
  fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  need(fd >= 0);
  for (uint64_t at = 0; at < size;) {
    size_t length = size - at < sizeof block ? (size_t)(size - at) : sizeof block;

    pattern_fill(block, length, at);
    need(pwrite(fd, block, length, (off_t)at) == (ssize_t)length);
    at += length;
  }
  need(close(fd) == 0);
  return path;
}

static void in_child(void (*act)(const char *, uint64_t, size_t), const char *path, uint64_t offset, size_t length) {
  int state;
  pid_t child = fork();

  need(child >= 0);
  if (child == 0) {
    act(path, offset, length);
    _exit(0);
  }
  need(waitpid(child, &state, 0) == child && WIFEXITED(state) && WEXITSTATUS(state) == 0);
}

static void truncate_it(const char *path, uint64_t size, size_t unused) {
  (void)unused;
  need(truncate(path, (off_t)size) == 0);
}

static void write_it(const char *path, uint64_t offset, size_t length) {
  unsigned char *bytes = malloc(length);
  int fd = open(path, O_WRONLY | O_CLOEXEC);

  need(bytes != NULL && fd >= 0);
  pattern_fill(bytes, length, offset);
  need(pwrite(fd, bytes, length, (off_t)offset) == (ssize_t)length && close(fd) == 0);
  free(bytes);
}

void stranger_truncates(const char *path, uint64_t size) {
  in_child(truncate_it, path, size, 0);
}

void stranger_writes(const char *path, uint64_t offset, size_t length) {
  in_child(write_it, path, offset, length);
}

void stranger_shrinks_and_grows(const char *path, uint64_t size) {
  struct stat before, after;

  need(stat(path, &before) == 0);
  do {
    stranger_truncates(path, size);
    stranger_writes(path, size, (size_t)((uint64_t)before.st_size - size));
    need(stat(path, &after) == 0);
  } while (after.st_mtim.tv_sec == before.st_mtim.tv_sec && after.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
}

void control(const char *format, ...) {
  char path[4096], line[4096];
  va_list arguments;
  int length, fd;

  need(place("FUSE") != NULL);
  snprintf(path, sizeof path, "%s/.control", place("FUSE"));
  va_start(arguments, format);
  length = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  fd = open(path, O_WRONLY | O_CLOEXEC);
  need(fd >= 0);
  need(write(fd, line, (size_t)length) == length);
  need(close(fd) == 0);
}

void fill_up(const char *folder) {
  static const unsigned char block[65536] = {1};
  char path[4096];
  size_t step = sizeof block;
  int fd;

  snprintf(path, sizeof path, "%s/filler", folder);
  fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  need(fd >= 0);
  while (step >= 512) {
    if (write(fd, block, step) < (ssize_t)step) {
      need(errno == ENOSPC || errno == 0);
      step /= 2;
    }
    errno = 0;
  }
  need(fsync(fd) == 0 || errno == ENOSPC);
  need(close(fd) == 0 || errno == ENOSPC);
}

void empty_again(const char *folder) {
  char path[4096];

  snprintf(path, sizeof path, "%s/filler", folder);
  unlink(path);
}

/* The C library's heap may be one map or several: it is counted by itself. A sanitizer makes maps of its own as it
   goes, and an emulator does not say which are the heap's; among them only those of the tests' files and of failing
   pages can be told. */
static int is_counted(const char *line) {
  if (FAULTY_SANITIZED || getenv("MAPFILE_TEST_EMULATOR") != NULL) {
    return strstr(line, "/mapfile-") != NULL || strstr(line, "/memfd:") != NULL;
  }
  return strstr(line, "[heap]") == NULL;
}

static size_t count_maps(void) {
  FILE *maps = fopen("/proc/self/maps", "re");
  size_t count = 0;
  char line[4096 + 256];

  need(maps != NULL);
  while (fgets(line, sizeof line, maps) != NULL) {
    count += strchr(line, '\n') != NULL && is_counted(line);
  }
  fclose(maps);
  return count;
}

static size_t count_descriptors(void) {
  DIR *folder = opendir("/proc/self/fd");
  size_t count = 0;

  need(folder != NULL);
  while (readdir(folder) != NULL) {
    count++;
  }
  closedir(folder);
  return count;
}

static size_t count_heap(void) {
#if FAULTY_SANITIZED
  return __sanitizer_get_current_allocated_bytes();
#elif defined(__GLIBC__)
  struct mallinfo2 info = mallinfo2();

  return info.uordblks + info.hblkhd;
#else
  /* Other C libraries do not tell: leaks are then the sanitizers' to find. */
  return 0;
#endif
}

void residue_take(residue *now) {
  memset(now, 0, sizeof *now);
  now->descriptors = count_descriptors();
  now->maps = count_maps();
  now->heap = count_heap();
  need(sigprocmask(SIG_SETMASK, NULL, &now->mask) == 0);
  need(sigaltstack(NULL, &now->stack) == 0);
  for (int signal = 1; signal < 65; signal++) {
    sigaction(signal, NULL, &now->actions[signal]);
  }
}

static int differs(const char *what, const char *name, size_t before, size_t after) {
  if (before != after) {
    printf("%s: %s was %zu, is %zu\n", what, name, before, after);
  }
  return before != after;
}

/* Which one it is that is left. */
static void show_maps(void) {
  FILE *maps = fopen("/proc/self/maps", "re");
  char line[512];

  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    fputs(line, stdout);
  }
  if (maps != NULL) {
    fclose(maps);
  }
}

int residue_differs(const char *what, const residue *before, const residue *after) {
  int differences = differs(what, "count of maps", before->maps, after->maps) +
                    differs(what, "count of descriptors", before->descriptors, after->descriptors) +
                    differs(what, "bytes of heap", before->heap, after->heap);

  if (before->maps != after->maps) {
    show_maps();
  }
  for (int signal = 1; signal < 65; signal++) {
    const struct sigaction *a = &before->actions[signal], *b = &after->actions[signal];
    char name[64];

    snprintf(name, sizeof name, "block of signal %d", signal);
    differences += differs(what, name, (size_t)sigismember(&before->mask, signal) & 1,
                           (size_t)sigismember(&after->mask, signal) & 1);
    if (a->sa_sigaction != b->sa_sigaction || a->sa_flags != b->sa_flags) {
      printf("%s: the handler of signal %d changed\n", what, signal);
      differences++;
    }
  }
  if (before->stack.ss_sp != after->stack.ss_sp || before->stack.ss_size != after->stack.ss_size ||
      before->stack.ss_flags != after->stack.ss_flags) {
    printf("%s: the alternate signal stack changed\n", what);
    differences++;
  }
  fflush(stdout);
  return differences;
}
