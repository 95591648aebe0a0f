/*
 * special.c - opening on POSIX: what is no plain file, descriptors, permissions, and names at the limits.
 *
 * SPDX-License-Identifier: MIT
 */
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static mapfile_options options_for(uint32_t flags) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  options.flags = flags;
  options.access = conf_access;
  return options;
}

static mapfile_status open_path(const char *path, uint32_t flags, mapfile **file) {
  mapfile_options options = options_for(flags);
  return mapfile_open(path, &options, file);
}

static mapfile_status open_descriptor(intptr_t descriptor, uint32_t flags, mapfile **file) {
  mapfile_options options = options_for(flags);
  return mapfile_open_handle(descriptor, &options, file);
}

/* Neither the path nor a descriptor of it opens, and nothing stays behind. */
static void expect_refused(const char *path, int descriptor, uint32_t flags) {
  mapfile *file = NULL;
  uint64_t before = conf_descriptors();
  if (path != NULL)
    EXPECT_STATUS(open_path(path, flags, &file), MAPFILE_UNSUPPORTED);
  if (descriptor >= 0) {
    EXPECT_STATUS(open_descriptor(descriptor, flags, &file), MAPFILE_UNSUPPORTED);
    EXPECT(conf_descriptor_open(descriptor));
  }
  EXPECT(file == NULL);
  EXPECT_UINT(conf_descriptors(), before);
}

/* open-special */

static void folders(void) {
  const char *path = conf_path("folder");
  EXPECT(mkdir(path, 0755) == 0);
  int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  expect_refused(path, descriptor, 0);
  expect_refused(path, -1, MAPFILE_WRITE);
  expect_refused(path, -1, MAPFILE_CREATE);
  expect_refused(path, descriptor, MAPFILE_STREAM);
  expect_refused(conf_path("folder/"), -1, 0);
  expect_refused(conf_path("."), -1, 0);
  expect_refused("/", -1, 0);
  close(descriptor);
}

static void sockets(void) {
  int pair[2], bound = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  expect_refused(NULL, pair[0], 0);
  expect_refused(NULL, pair[0], MAPFILE_STREAM);
  /* The name of a socket must be short: bind it from within the folder. This process has the folder to itself. */
  EXPECT(chdir(conf_path("")) == 0);
  strcpy(address.sun_path, "socket");
  if (bind(bound, (struct sockaddr *)&address, sizeof address) != 0)
    conf_not_testable("no socket can be made in this file system: %s", strerror(errno));
  expect_refused(conf_path("socket"), bound, 0);
  expect_refused(conf_path("socket"), bound, MAPFILE_STREAM);
  expect_refused(conf_path("socket"), -1, MAPFILE_WRITE);
  close(bound);
  close(pair[0]);
  close(pair[1]);
}

static void devices(void) {
  static const char *const paths[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/urandom"};
  for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
    int descriptor = open(paths[i], O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0)
      continue;
    expect_refused(paths[i], descriptor, 0);
    expect_refused(paths[i], descriptor, MAPFILE_STREAM);
    expect_refused(paths[i], -1, MAPFILE_WRITE);
    close(descriptor);
  }
}

static const char *make_fifo(void) {
  const char *path = conf_path("fifo");
  if (mkfifo(path, 0600) != 0)
    conf_not_testable("no FIFO can be made in this file system: %s", strerror(errno));
  return path;
}

/* With no one at the other end a plain open would wait for ever. */
static void fifo_refused(void) {
  const char *path = make_fifo();
  expect_refused(path, -1, 0);
  expect_refused(path, -1, MAPFILE_WRITE);
  int both = open(path, O_RDWR | O_CLOEXEC);
  EXPECT(both >= 0);
  EXPECT(write(both, "abc", 3) == 3);
  expect_refused(path, both, 0);
  /* Nothing was taken from it. */
  char left[4] = "";
  EXPECT(read(both, left, 3) == 3);
  EXPECT(strcmp(left, "abc") == 0);
  close(both);
}

static void fifo_without_writer(void) {
  const char *path = make_fifo();
  mapfile *file = NULL;
  mapfile_status status = open_path(path, MAPFILE_STREAM, &file);
  EXPECT_STATUS(status, MAPFILE_OK);
  uint64_t size = 1;
  EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  EXPECT_UINT(size, 0);
  conf_close(file);
}

enum { STREAM_SIZE = 200001, PIECE = 7001 };

static void feed(int descriptor) {
  unsigned char piece[PIECE];
  for (uint64_t done = 0; done < STREAM_SIZE;) {
    size_t now = STREAM_SIZE - done < PIECE ? (size_t)(STREAM_SIZE - done) : PIECE;
    conf_pattern(piece, now, done);
    size_t sent = 0;
    while (sent < now) {
      ssize_t wrote = write(descriptor, piece + sent, now - sent);
      if (wrote <= 0)
        _exit(1);
      sent += (size_t)wrote;
    }
    done += now;
    conf_sleep_ms(1);
  }
  _exit(0);
}

static void expect_stream(mapfile *file) {
  mapfile_view view = MAPFILE_VIEW_INIT, part = MAPFILE_VIEW_INIT;
  unsigned char bytes[100];
  uint64_t size = 0;
  size_t done = 0;
  EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  EXPECT_UINT(size, STREAM_SIZE);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT_UINT(view.length, STREAM_SIZE);
  EXPECT_UINT(view.kind, MAPFILE_KIND_COPIED);
  EXPECT(conf_is_pattern(view.data, view.length, 0));
  conf_pin(file, 77777, 1234, MAPFILE_ANY, &part);
  EXPECT(conf_is_pattern(part.data, part.length, 77777));
  EXPECT_STATUS(mapfile_read(file, 1001, bytes, sizeof bytes, &done), MAPFILE_OK);
  EXPECT(conf_is_pattern(bytes, sizeof bytes, 1001));
  EXPECT_STATUS(mapfile_check(file), MAPFILE_OK);
  conf_expect_good(file, &part, part.data);
  conf_unpin(&view);
  EXPECT_STATUS(mapfile_pin(file, 0, 1, MAPFILE_LIVE, &view), MAPFILE_UNSUPPORTED);
  EXPECT_STATUS(mapfile_pin(file, 0, STREAM_SIZE + 1, MAPFILE_ANY, &view), MAPFILE_END);
  conf_pin(file, 5, 10, MAPFILE_PRIVATE, &view);
  conf_store(view.data, 1u + conf_byte(5));
  EXPECT_UINT(conf_load(part.data), conf_byte(77777));
  conf_unpin(&view);
  conf_pin(file, 5, 10, MAPFILE_ANY, &view);
  EXPECT(conf_is_pattern(view.data, 10, 5));
  conf_unpin(&view);
  conf_unpin(&part);
}

static void reap(pid_t child) {
  int status = 0;
  EXPECT(waitpid(child, &status, 0) == child);
  EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void fifo_stream(void) {
  const char *path = make_fifo();
  mapfile *file = NULL;
  /* Open at both ends, so that the child does not wait for a reader; the library is the only one that reads. */
  int descriptor = open(path, O_RDWR | O_CLOEXEC);
  EXPECT(descriptor >= 0);
  pid_t child = fork();
  if (child == 0)
    feed(descriptor);
  close(descriptor);
  EXPECT_STATUS(open_path(path, MAPFILE_STREAM, &file), MAPFILE_OK);
  reap(child);
  expect_stream(file);
  conf_close(file);
}

static void pipe_stream(void) {
  mapfile *file = NULL;
  int ends[2];
  EXPECT(pipe(ends) == 0);
  expect_refused(NULL, ends[0], 0);
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    feed(ends[1]);
  }
  close(ends[1]);
  EXPECT_STATUS(open_descriptor(ends[0], MAPFILE_STREAM, &file), MAPFILE_OK);
  reap(child);
  expect_stream(file);
  conf_close(file);
  EXPECT(conf_descriptor_open(ends[0]));
  close(ends[0]);
}

/* A descriptor that does not block must not be taken for one that has ended. */
static void pipe_stream_nonblocking(void) {
  mapfile *file = NULL;
  int ends[2];
  EXPECT(pipe(ends) == 0);
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    conf_sleep_ms(30);
    feed(ends[1]);
  }
  close(ends[1]);
  EXPECT(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
  EXPECT_STATUS(open_descriptor(ends[0], MAPFILE_STREAM, &file), MAPFILE_OK);
  reap(child);
  EXPECT((fcntl(ends[0], F_GETFL) & O_NONBLOCK) != 0);
  expect_stream(file);
  conf_close(file);
  close(ends[0]);
}

static mapfile_status open_stream_of(size_t size, uint64_t limit, mapfile **file) {
  mapfile_options options = options_for(MAPFILE_STREAM);
  unsigned char bytes[2000];
  int ends[2];
  EXPECT(pipe(ends) == 0);
  conf_pattern(bytes, size, 0);
  EXPECT(write(ends[1], bytes, size) == (ssize_t)size);
  close(ends[1]);
  options.stream_limit = limit;
  mapfile_status status = mapfile_open_handle(ends[0], &options, file);
  close(ends[0]);
  return status;
}

static void stream_limit(void) {
  mapfile *file = NULL;
  mapfile_view view = MAPFILE_VIEW_INIT;
  uint64_t before = conf_stats(NULL).copied_bytes;
  EXPECT_STATUS(open_stream_of(1001, 1000, &file), MAPFILE_LIMIT);
  EXPECT(file == NULL);
  EXPECT_STATUS(open_stream_of(1000, 1000, &file), MAPFILE_OK);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT_UINT(view.length, 1000);
  EXPECT(conf_is_pattern(view.data, 1000, 0));
  conf_unpin(&view);
  conf_close(file);
  EXPECT_UINT(conf_stats(NULL).copied_bytes, before);
}

/* Files of /proc state no size; with STREAM they are read whole. */
static void proc_stream(void) {
  static const char *const paths[] = {"/proc/version", "/proc/filesystems", "/proc/self/cmdline"};
  for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
    mapfile *file = NULL;
    mapfile_view view = MAPFILE_VIEW_INIT;
    static char wanted[65536];
    int descriptor = open(paths[i], O_RDONLY | O_CLOEXEC);
    ssize_t size = descriptor >= 0 ? read(descriptor, wanted, sizeof wanted) : -1;
    if (size <= 0)
      conf_not_testable("there is no %s", paths[i]);
    close(descriptor);
    EXPECT_STATUS(open_path(paths[i], MAPFILE_STREAM, &file), MAPFILE_OK);
    conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
    EXPECT_UINT(view.length, (uint64_t)size);
    EXPECT(memcmp(view.data, wanted, (size_t)size) == 0);
    conf_unpin(&view);
    EXPECT_STATUS(mapfile_check(file), MAPFILE_OK);
    conf_close(file);
  }
}

/* STREAM on a file that has a size changes nothing for the caller. */
static void plain_stream(void) {
  mapfile *file = NULL;
  mapfile_view view = MAPFILE_VIEW_INIT;
  EXPECT_STATUS(open_path(conf_make("plain", 70000), MAPFILE_STREAM, &file), MAPFILE_OK);
  conf_pin(file, 1, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT_UINT(view.length, 69999);
  EXPECT(conf_is_pattern(view.data, view.length, 1));
  conf_unpin(&view);
  conf_close(file);
  EXPECT_STATUS(open_path(conf_make("empty", 0), MAPFILE_STREAM, &file), MAPFILE_OK);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT_UINT(view.length, 0);
  conf_unpin(&view);
  conf_close(file);
}

/* Another process holds a lease: it is told to let go, but opening does not wait for it. */
static void leased(void) {
#ifdef F_SETLEASE
  const char *path = conf_make("file", 100);
  mapfile *file = NULL;
  int ready[2], status = 0;
  char word = 0;
  EXPECT(pipe(ready) == 0);
  pid_t child = fork();
  if (child == 0) {
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    signal(SIGIO, SIG_IGN);
    word = descriptor >= 0 && fcntl(descriptor, F_SETLEASE, F_WRLCK) == 0 ? 'y' : 'n';
    (void)!write(ready[1], &word, 1);
    close(ready[1]);
    conf_sleep_ms(60000);
    _exit(0);
  }
  EXPECT(read(ready[0], &word, 1) == 1);
  mapfile_status answer = word == 'y' ? open_path(path, 0, &file) : MAPFILE_OK;
  kill(child, SIGKILL);
  EXPECT(waitpid(child, &status, 0) == child);
  if (word != 'y')
    conf_not_testable("the file system has no leases");
  EXPECT_STATUS(answer, MAPFILE_BUSY);
  EXPECT_STATUS(open_path(path, 0, &file), MAPFILE_OK);
  conf_close(file);
#else
  conf_not_testable("the system has no leases");
#endif
}

/* No descriptor is left. */
static void too_many_open(void) {
  struct rlimit usual, few;
  mapfile *file = NULL;
  const char *path = conf_make("file", 100);
  conf_close(conf_open(path, 0));
  EXPECT(getrlimit(RLIMIT_NOFILE, &usual) == 0);
  int next = open(path, O_RDONLY | O_CLOEXEC);
  few = usual;
  few.rlim_cur = (rlim_t)next + 1;
  EXPECT(setrlimit(RLIMIT_NOFILE, &few) == 0);
  mapfile_status status = open_path(path, 0, &file);
  int64_t error = mapfile_native_error();
  mapfile_status handle_status = open_descriptor(next, 0, &file);
  EXPECT(setrlimit(RLIMIT_NOFILE, &usual) == 0);
  EXPECT_STATUS(status, MAPFILE_LIMIT);
  EXPECT(error == EMFILE);
  /* A borrowed descriptor needs no other. */
  EXPECT_STATUS(handle_status, MAPFILE_OK);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT(conf_is_pattern(view.data, view.length, 0));
  conf_unpin(&view);
  conf_close(file);
  close(next);
}

/* open-names */

/* Bytes that are no UTF-8: POSIX names are bytes. Some file systems refuse them, and then so do we. */
static void bytes_names(void) {
  static const char *const names[] = {"latin-\xe9", "\xff\xfe", "cut \xe6\x97", "\x01\x7f", "\xc0\xaf"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    mapfile *file = NULL;
    const char *path = conf_path(names[i]);
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0)
      conf_differs("the file system takes no names that are not UTF-8: %s", strerror(errno));
    EXPECT(write(descriptor, "bytes", 5) == 5);
    close(descriptor);
    EXPECT_STATUS(open_path(path, 0, &file), MAPFILE_OK);
    uint64_t size = 0;
    EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
    EXPECT_UINT(size, 5);
    conf_close(file);
  }
}

/* The file system itself says what is wrong with the name. */
static void expect_too_long(const char *path) {
  mapfile *file = NULL;
  errno = 0;
  EXPECT(open(path, O_RDONLY | O_CLOEXEC) == -1);
  int wanted = errno;
  EXPECT_ONE_OF(open_path(path, 0, &file), MAPFILE_INVALID, MAPFILE_NOT_FOUND);
  EXPECT(mapfile_native_error() == wanted);
  int made = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (made >= 0) {
    close(made);
    return;
  }
  EXPECT_ONE_OF(open_path(path, MAPFILE_CREATE, &file), MAPFILE_INVALID, MAPFILE_NOT_FOUND);
  EXPECT(file == NULL);
}

static void long_names(void) {
  long most = pathconf(conf_path(""), _PC_NAME_MAX);
  char name[4096];
  mapfile *file = NULL;
  if (most < 14 || most > 4000)
    conf_not_testable("the file system states no greatest length of a name");
  memset(name, 'n', sizeof name);
  name[most] = '\0';
  EXPECT_STATUS(open_path(conf_make(name, 10), 0, &file), MAPFILE_OK);
  conf_close(file);
  name[most] = 'n';
  name[most + 1] = '\0';
  expect_too_long(conf_path(name));
}

/* Folders in one another until the path is PATH_MAX - 1 bytes long, the most a system call takes. */
static void long_paths(void) {
  char path[PATH_MAX + 64];
  mapfile *file = NULL;
  snprintf(path, sizeof path, "%s", conf_path("d"));
  EXPECT(mkdir(path, 0755) == 0);
  while (strlen(path) < PATH_MAX - 1) {
    size_t used = strlen(path), room = PATH_MAX - 1 - used;
    size_t piece = room > 101 ? 100 : room - 1;
    if (room - piece - 1 == 1)
      piece--;
    path[used] = '/';
    memset(path + used + 1, 'p', piece);
    path[used + 1 + piece] = '\0';
    if (strlen(path) == PATH_MAX - 1)
      break;
    if (mkdir(path, 0755) != 0)
      conf_not_testable("folders cannot be nested so deep: %s", strerror(errno));
  }
  EXPECT_UINT(strlen(path), PATH_MAX - 1);
  EXPECT_STATUS(open_path(path, MAPFILE_CREATE, &file), MAPFILE_OK);
  conf_close(file);
  EXPECT_STATUS(open_path(path, 0, &file), MAPFILE_OK);
  conf_close(file);
  strcat(path, "q");
  expect_too_long(path);
}

static void links_and_relative(void) {
  mapfile *file = NULL;
  conf_make("target", 123);
  EXPECT(chdir(conf_path("")) == 0);
  EXPECT_STATUS(open_path("target", 0, &file), MAPFILE_OK);
  conf_close(file);
  EXPECT_STATUS(open_path("./../././target", 0, &file), MAPFILE_NOT_FOUND);
  if (symlink("target", "link") != 0 || symlink("nowhere", "dangling") != 0 || symlink("loop", "loop") != 0)
    conf_not_testable("no symbolic link can be made in this file system: %s", strerror(errno));
  uint64_t size = 0;
  EXPECT_STATUS(open_path("link", 0, &file), MAPFILE_OK);
  EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  EXPECT_UINT(size, 123);
  conf_close(file);
  file = NULL;
  EXPECT_STATUS(open_path("dangling", 0, &file), MAPFILE_NOT_FOUND);
  EXPECT_ONE_OF(open_path("loop", 0, &file), MAPFILE_NOT_FOUND, MAPFILE_INVALID);
  EXPECT(file == NULL);
}

/* Does a program that this one becomes find the descriptor open? */
static bool survives_exec(int descriptor) {
  char number[16];
  int status = 0;
  snprintf(number, sizeof number, "%d", descriptor);
  pid_t child = fork();
  if (child == 0) {
    execl(conf_self, conf_self, "--probe-closed", number, (char *)NULL);
    _exit(2);
  }
  EXPECT(waitpid(child, &status, 0) == child);
  if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
    conf_not_testable("this program cannot be run again");
  return WEXITSTATUS(status) == 1;
}

/* Every descriptor that the library opens, for itself and for its views. */
static void close_on_exec(void) {
  bool before[256];
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile *made = NULL;
  const char *path = conf_make("file", 100000);
  for (int i = 0; i < 256; i++)
    before[i] = conf_descriptor_open(i);
  mapfile *file = conf_open(path, 0);
  EXPECT_STATUS(open_path(conf_path("made"), MAPFILE_CREATE, &made), MAPFILE_OK);
  EXPECT_STATUS(mapfile_inject(file, 0, 1, MAPFILE_IO), MAPFILE_OK);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  int found = 0;
  for (int i = 0; i < 256; i++) {
    if (before[i] || !conf_descriptor_open(i))
      continue;
    found++;
    EXPECT((fcntl(i, F_GETFD) & FD_CLOEXEC) != 0);
    EXPECT(!survives_exec(i));
  }
  EXPECT(found >= 2);
  int open_one = open(path, O_RDONLY);
  EXPECT(survives_exec(open_one));
  close(open_one);
  conf_unpin(&view);
  conf_close(file);
  conf_close(made);
}

static void try_unreadable(void *argument) {
  mapfile *file = NULL;
  (void)argument;
  conf_become_nobody();
  if (access("readable", R_OK) != 0)
    conf_not_testable("another user cannot reach the folder");
  EXPECT_STATUS(open_path("readable", 0, &file), MAPFILE_OK);
  conf_close(file);
  file = NULL;
  EXPECT_STATUS(open_path("readable", MAPFILE_WRITE, &file), MAPFILE_DENIED);
  EXPECT(mapfile_native_error() == EACCES);
  EXPECT_STATUS(open_path("unreadable", 0, &file), MAPFILE_DENIED);
  EXPECT_STATUS(open_path("closed/file", 0, &file), MAPFILE_DENIED);
  EXPECT_STATUS(open_path("new", MAPFILE_CREATE, &file), MAPFILE_DENIED);
  EXPECT(file == NULL);
}

static void permissions(void) {
  EXPECT(chmod(conf_make("unreadable", 10), 0000) == 0);
  EXPECT(chmod(conf_make("readable", 10), 0444) == 0);
  EXPECT(mkdir(conf_path("closed"), 0700) == 0);
  conf_make("closed/file", 10);
  if (chmod(conf_path(""), 0755) != 0 || chdir(conf_path("")) != 0)
    conf_not_testable("the folder cannot be opened to other users");
  if (geteuid() == 0)
    conf_child(try_unreadable, NULL);
  mapfile *file = NULL;
  if (geteuid() != 0)
    EXPECT_STATUS(open_path("unreadable", 0, &file), MAPFILE_DENIED);
}

static void create_mode(void) {
  mapfile_options options = options_for(MAPFILE_CREATE);
  mapfile *file = NULL;
  struct stat info;
  umask(022);
  EXPECT_STATUS(mapfile_open(conf_path("usual"), &options, &file), MAPFILE_OK);
  conf_close(file);
  EXPECT(stat(conf_path("usual"), &info) == 0);
  EXPECT_UINT(info.st_mode & 0777, 0644);
  options.create_mode = 0620;
  EXPECT_STATUS(mapfile_open(conf_path("asked"), &options, &file), MAPFILE_OK);
  conf_close(file);
  EXPECT(stat(conf_path("asked"), &info) == 0);
  EXPECT_UINT(info.st_mode & 0777, 0600);
  umask(027);
  EXPECT_STATUS(open_path(conf_path("masked"), MAPFILE_CREATE, &file), MAPFILE_OK);
  EXPECT_UINT(umask(022), 027);
  conf_close(file);
  EXPECT(stat(conf_path("masked"), &info) == 0);
  EXPECT_UINT(info.st_mode & 0777, 0640);
}

/* open-handle */

static mapfile_status MAPFILE_CALL ignore_chunk(void *argument, const void *data, size_t length, uint64_t offset) {
  (void)argument, (void)data, (void)length, (void)offset;
  return MAPFILE_OK;
}

/* Everything that reads a mapfile, once. */
static void use_in_every_way(mapfile *file, uint64_t size) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  static unsigned char buffer[300000];
  uint64_t found = 0, far = 0;
  int order = 0;
  size_t done = 0;
  static const uint32_t flags[] = {MAPFILE_ANY, MAPFILE_COPY, MAPFILE_VERIFY, MAPFILE_PRIVATE};
  for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
    conf_pin(file, 100, MAPFILE_TO_END, flags[i], &view);
    conf_expect_good(file, &view, view.data);
    conf_unpin(&view);
  }
  EXPECT_STATUS(mapfile_read(file, 10, buffer, (size_t)size - 10, &done), MAPFILE_OK);
  EXPECT_STATUS(mapfile_compare(file, 10, buffer, (size_t)size - 10, &order, &done), MAPFILE_OK);
  EXPECT(order == 0);
  EXPECT_STATUS(mapfile_find(file, 0, MAPFILE_TO_END, buffer + size - 110, 100, &found, &far), MAPFILE_OK);
  EXPECT_STATUS(mapfile_scan(file, 0, MAPFILE_TO_END, 0, MAPFILE_SCAN_ONCE, ignore_chunk, NULL, &far), MAPFILE_OK);
  EXPECT_STATUS(mapfile_scan(file, 0, MAPFILE_TO_END, 0, MAPFILE_SCAN_COPY, ignore_chunk, NULL, &far), MAPFILE_OK);
  int sink = open(conf_path("sink"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  EXPECT_STATUS(mapfile_send(file, 0, MAPFILE_TO_END, sink, &far), MAPFILE_OK);
  close(sink);
  mapfile_check(file);
}

/* Never closed, never duplicated, its position where it was. */
static void borrowed(void) {
  enum { SIZE = 250000 };
  mapfile *file = NULL;
  int descriptor = open(conf_make("file", SIZE), O_RDONLY | O_CLOEXEC);
  EXPECT(lseek(descriptor, 4321, SEEK_SET) == 4321);
  uint64_t before = conf_descriptors();
  EXPECT_STATUS(open_descriptor(descriptor, 0, &file), MAPFILE_OK);
  EXPECT_UINT(conf_descriptors(), before);
  use_in_every_way(file, SIZE);
  EXPECT_UINT(conf_descriptors(), before);
  EXPECT_UINT(lseek(descriptor, 0, SEEK_CUR), 4321);
  conf_close(file);
  EXPECT(conf_descriptor_open(descriptor));
  EXPECT_UINT(lseek(descriptor, 0, SEEK_CUR), 4321);
  unsigned char byte = 0;
  EXPECT(read(descriptor, &byte, 1) == 1);
  EXPECT_UINT(byte, conf_byte(4321));
  close(descriptor);
}

/* A borrowed descriptor whose file has lost its name has no other way to be reached. */
static void borrowed_nameless(void) {
  mapfile *file = NULL;
  const char *path = conf_make("file", 100000);
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  EXPECT(unlink(path) == 0);
  EXPECT_STATUS(open_descriptor(descriptor, 0, &file), MAPFILE_OK);
  use_in_every_way(file, 100000);
  conf_close(file);
  close(descriptor);
}

/* Exit code of a child that asks who holds a lock on the file: 1 when somebody does. */
static bool is_locked(const char *path) {
  int status = 0;
  pid_t child = fork();
  if (child == 0) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0 || fcntl(descriptor, F_GETLK, &lock) != 0)
      _exit(2);
    _exit(lock.l_type == F_UNLCK ? 0 : 1);
  }
  EXPECT(waitpid(child, &status, 0) == child);
  EXPECT(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
  return WEXITSTATUS(status) == 1;
}

/* Closing any descriptor of a file drops all fcntl locks that the process has on it. */
static void borrowed_locks(void) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 100};
  mapfile *file = NULL;
  const char *path = conf_make("file", 100000);
  int descriptor = open(path, O_RDWR | O_CLOEXEC);
  if (fcntl(descriptor, F_SETLK, &lock) != 0 || !is_locked(path))
    conf_not_testable("the file system has no fcntl locks");
  EXPECT_STATUS(open_descriptor(descriptor, MAPFILE_WRITE, &file), MAPFILE_OK);
  EXPECT(is_locked(path));
  use_in_every_way(file, 100000);
  EXPECT(is_locked(path));
  conf_close(file);
  EXPECT(is_locked(path));
  file = NULL;
  EXPECT_STATUS(open_descriptor(descriptor, MAPFILE_CREATE, &file), MAPFILE_INVALID);
  EXPECT(is_locked(path));
  close(descriptor);
  EXPECT(!is_locked(path));
}

static void adopted(void) {
  mapfile *file = NULL;
  const char *path = conf_make("file", 100000);
  int descriptor = open(path, O_RDONLY);
  uint64_t before = conf_descriptors();
  EXPECT_STATUS(open_descriptor(descriptor, MAPFILE_ADOPT, &file), MAPFILE_OK);
  EXPECT_UINT(conf_descriptors(), before);
  use_in_every_way(file, 100000);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, 0, 10, MAPFILE_ANY, &view);
  EXPECT_STATUS(mapfile_close(file), MAPFILE_BUSY);
  EXPECT(conf_descriptor_open(descriptor));
  conf_unpin(&view);
  conf_close(file);
  EXPECT(!conf_descriptor_open(descriptor));
  EXPECT_UINT(conf_descriptors(), before - 1);
}

static void expect_adoption_fails(int descriptor, mapfile_options options, mapfile_status wanted) {
  mapfile *file = NULL;
  EXPECT(descriptor >= 0);
  options.flags |= MAPFILE_ADOPT;
  EXPECT_STATUS(mapfile_open_handle(descriptor, &options, &file), wanted);
  EXPECT(file == NULL);
  EXPECT(!conf_descriptor_open(descriptor));
}

/* Who adopts closes, also when nothing comes of it. */
static void adopted_and_failed(void) {
  const char *path = conf_make("file", 100);
  mapfile_options options = options_for(0);
  int ends[2];
  uint64_t before = conf_descriptors();
  EXPECT(pipe(ends) == 0);
  expect_adoption_fails(ends[0], options, MAPFILE_UNSUPPORTED);
  close(ends[1]);
  expect_adoption_fails(open(conf_path(""), O_RDONLY | O_DIRECTORY), options, MAPFILE_UNSUPPORTED);
  expect_adoption_fails(open("/dev/null", O_RDONLY), options, MAPFILE_UNSUPPORTED);
  expect_adoption_fails(open(path, O_WRONLY), options, MAPFILE_DENIED);
  expect_adoption_fails(open(path, O_RDONLY), options_for(MAPFILE_WRITE), MAPFILE_DENIED);
  expect_adoption_fails(open(path, O_RDWR), options_for(MAPFILE_CREATE), MAPFILE_INVALID);
  expect_adoption_fails(open(path, O_RDWR), options_for(MAPFILE_WRITE | MAPFILE_TRUNCATE), MAPFILE_INVALID);
  options.access = 77;
  expect_adoption_fails(open(path, O_RDONLY), options, MAPFILE_INVALID);
  options = options_for(MAPFILE_ADOPT);
  int descriptor = open(path, O_RDONLY);
  EXPECT_STATUS(mapfile_open_handle(descriptor, &options, NULL), MAPFILE_INVALID);
  EXPECT(!conf_descriptor_open(descriptor));
  EXPECT_UINT(conf_descriptors(), before);
}

/* Without ADOPT a failure leaves the descriptor alone. */
static void borrowed_and_failed(void) {
  const char *path = conf_make("file", 100);
  mapfile *file = NULL;
  int reading = open(path, O_RDONLY), writing = open(path, O_WRONLY);
  EXPECT_STATUS(open_descriptor(reading, MAPFILE_WRITE, &file), MAPFILE_DENIED);
  EXPECT_STATUS(open_descriptor(writing, 0, &file), MAPFILE_DENIED);
  EXPECT_STATUS(open_descriptor(writing, MAPFILE_WRITE, &file), MAPFILE_DENIED);
  EXPECT_STATUS(open_descriptor(reading, MAPFILE_CREATE, &file), MAPFILE_INVALID);
  EXPECT_STATUS(open_descriptor(reading, MAPFILE_WRITE | MAPFILE_TRUNCATE, &file), MAPFILE_INVALID);
  EXPECT_STATUS(open_descriptor(reading, MAPFILE_EXCLUSIVE, &file), MAPFILE_INVALID);
  EXPECT(conf_descriptor_open(reading) && conf_descriptor_open(writing));
  EXPECT_UINT(conf_file_size(path), 100);
#ifdef O_PATH
  int bare = open(path, O_PATH);
  EXPECT_ONE_OF(open_descriptor(bare, 0, &file), MAPFILE_DENIED, MAPFILE_INVALID);
  close(bare);
#endif
  EXPECT(file == NULL);
  close(reading);
  close(writing);
}

static void no_descriptor(void) {
  mapfile *file = NULL;
  int closed = open("/", O_RDONLY);
  close(closed);
  EXPECT_STATUS(open_descriptor(-1, 0, &file), MAPFILE_INVALID);
  EXPECT_STATUS(open_descriptor(closed, 0, &file), MAPFILE_INVALID);
  EXPECT_STATUS(open_descriptor(INT_MAX, 0, &file), MAPFILE_INVALID);
  EXPECT_STATUS(open_descriptor(INTPTR_MIN, 0, &file), MAPFILE_INVALID);
  EXPECT_STATUS(open_descriptor(closed, MAPFILE_ADOPT, &file), MAPFILE_INVALID);
#if INTPTR_MAX > INT_MAX
  /* Must not be cut to a descriptor that is open. */
  int plain = open(conf_make("file", 10), O_RDONLY);
  EXPECT_STATUS(open_descriptor(((intptr_t)1 << 32) + plain, MAPFILE_ADOPT, &file), MAPFILE_INVALID);
  EXPECT(conf_descriptor_open(plain));
  close(plain);
#endif
  EXPECT(file == NULL);
}

/* Descriptor 0 is as good as any. */
static void descriptor_zero(void) {
  mapfile *file = NULL;
  const char *path = conf_make("file", 5000);
  close(0);
  EXPECT(open(path, O_RDONLY) == 0);
  EXPECT_STATUS(open_descriptor(0, MAPFILE_ADOPT, &file), MAPFILE_OK);
  use_in_every_way(file, 5000);
  conf_close(file);
  EXPECT(!conf_descriptor_open(0));
  file = conf_open(path, 0);
  EXPECT(conf_descriptor_open(0));
  use_in_every_way(file, 5000);
  conf_close(file);
  EXPECT(!conf_descriptor_open(0));
}

#define N CONF_NO_FAULTS

static const conf_case table[] = {
    {"open-special", "folder", "A folder is not refused cleanly.", CONF_ANY, N, folders},
    {"open-special", "socket", "A socket is not refused cleanly.", CONF_ANY, N, sockets},
    {"open-special", "device", "A device is not refused cleanly, or read without end.", CONF_ANY, N, devices},
    {"open-special", "fifo-refused", "Opening a FIFO can hang the program or take bytes from it.", CONF_ANY, N,
     fifo_refused},
    {"open-special", "fifo-without-writer", "Reading a FIFO that nobody writes to can hang the program.", CONF_ANY, N,
     fifo_without_writer},
    {"open-special", "fifo-stream", "A FIFO is not read whole.", CONF_ANY, N, fifo_stream},
    {"open-special", "pipe-stream", "A pipe is not read whole.", CONF_ANY, N, pipe_stream},
    {"open-special", "pipe-stream-nonblocking", "A pipe that does not block is cut short.", CONF_ANY, N,
     pipe_stream_nonblocking},
    {"open-special", "stream-limit", "A stream can take more memory than was allowed.", CONF_ANY, N, stream_limit},
    {"open-special", "proc-stream", "Files of /proc seem to be empty.", CONF_ANY, N, proc_stream},
    {"open-special", "plain-stream", "Plain files cannot be opened where streams may be given.", CONF_ANY, N,
     plain_stream},
    {"open-special", "leased", "Opening waits for another process to let go of a lease.", CONF_ANY, N, leased},
    {"open-handle", "too-many", "Running out of descriptors is reported as something else.", CONF_ANY, N,
     too_many_open},
    {"open-names", "bytes", "Files whose names are not UTF-8 cannot be opened.", CONF_ANY, N, bytes_names},
    {"open-names", "long-name", "Files with the longest names cannot be opened.", CONF_ANY, N, long_names},
    {"open-names", "long-path", "Files with the longest paths cannot be opened.", CONF_ANY, N, long_paths},
    {"open-names", "links", "Symbolic links or relative paths mean something else than to open.", CONF_ANY, N,
     links_and_relative},
    {"open-names", "close-on-exec", "Programs that this one starts inherit its files.", CONF_ANY, N, close_on_exec},
    {"open-names", "permissions", "Files that may not be opened are reported as something else.", CONF_ANY, N,
     permissions},
    {"open-names", "create-mode", "Files are created with the wrong permissions.", CONF_ANY, N, create_mode},
    {"open-handle", "borrowed", "A borrowed descriptor is closed, duplicated, or moved.", CONF_ANY, N, borrowed},
    {"open-handle", "borrowed-nameless", "A file without a name cannot be used through its descriptor.", CONF_ANY, N,
     borrowed_nameless},
    {"open-handle", "borrowed-locks", "Using the library drops the program's locks: files are corrupted.", CONF_ANY, N,
     borrowed_locks},
    {"open-handle", "borrowed-and-failed", "A descriptor that was only lent is closed on failure.", CONF_ANY, N,
     borrowed_and_failed},
    {"open-handle", "adopted", "A descriptor that was given away leaks, or is closed too soon.", CONF_ANY, N, adopted},
    {"open-handle", "adopted-and-failed", "A descriptor that was given away leaks on failure.", CONF_ANY, N,
     adopted_and_failed},
    {"open-handle", "no-descriptor", "A descriptor that is not open is mistaken for another.", CONF_ANY, N,
     no_descriptor},
    {"open-handle", "descriptor-zero", "A program that closed its standard input cannot use the library.", CONF_ANY, N,
     descriptor_zero},
};

CONF_GROUP(conf_special, "opening on POSIX");
