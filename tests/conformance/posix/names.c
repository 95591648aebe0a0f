/*
 * names.c - what the promises about names and locks mean on POSIX: links, mount points, signals, limits.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../elsewhere.h"
#include "posix.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#include <sys/mount.h>
#endif

#define SIZE (4 * conf_page)

static mapfile *open_idle(const char *path, uint32_t idle_ms) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file = NULL;
  options.access = conf_access;
  options.idle_ms = idle_ms;
  EXPECT_STATUS(mapfile_open(path, &options, &file), MAPFILE_OK);
  return file;
}

static void look_at_all(mapfile *file) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT(view.length == SIZE && conf_is_pattern(view.data, view.length, 0));
  conf_unpin(&view);
}

static bool is_link(const char *path) {
  struct stat look;
  return lstat(path, &look) == 0 && S_ISLNK(look.st_mode);
}

/* A link is removed, renamed and replaced itself, wherever it leads. */
static void links(void) {
  const char *path = conf_make("file", SIZE), *link = conf_path("link"), *moved = conf_path("moved");
  EXPECT(symlink(path, link) == 0);
  mapfile *file = conf_open(link, 0);
  EXPECT_STATUS(mapfile_rename(link, moved), MAPFILE_OK);
  EXPECT(is_link(moved) && !is_link(link));
  EXPECT_STATUS(mapfile_remove(moved), MAPFILE_OK);
  EXPECT(access(path, F_OK) == 0 && !is_link(moved));
  EXPECT(symlink(conf_path("absent"), link) == 0);
  EXPECT_STATUS(mapfile_rename(conf_make("other", 10), link), MAPFILE_OK);
  EXPECT(!is_link(link) && conf_file_size(link) == 10);
  EXPECT(symlink(conf_path("absent"), moved) == 0);
  EXPECT_STATUS(mapfile_remove(moved), MAPFILE_OK);
  look_at_all(file);
  conf_close(file);
}

/* A link to a folder is no folder. */
static void links_to_folders(void) {
  const char *folder = conf_path("folder"), *link = conf_path("link"), *moved = conf_path("moved");
  conf_make_folder(folder);
  EXPECT(symlink(folder, link) == 0);
  EXPECT_STATUS(mapfile_rename(link, moved), MAPFILE_OK);
  EXPECT_STATUS(mapfile_remove(moved), MAPFILE_OK);
  EXPECT(access(folder, F_OK) == 0);
}

static void other_file_system(void) {
  const char *path = conf_make("file", SIZE);
  if (access("/proc", F_OK) != 0)
    conf_not_testable("there is no other file system");
  EXPECT_STATUS(mapfile_rename(path, "/proc/mapfile"), MAPFILE_UNSUPPORTED);
  EXPECT_UINT(conf_file_size(path), SIZE);
}

/* In a folder of another user's. */
static void may_not(void *argument) {
  const char *path = argument;
  conf_become_nobody();
  EXPECT_STATUS(mapfile_remove(path), MAPFILE_DENIED);
  EXPECT_STATUS(mapfile_rename(path, conf_path("other")), MAPFILE_DENIED);
}

static void permissions(void) {
  const char *path = conf_make("file", SIZE);
  EXPECT(chmod(conf_path(""), 0755) == 0);
  conf_child(may_not, (void *)(uintptr_t)path);
  EXPECT_UINT(conf_file_size(path), SIZE);
}

#ifdef __linux__
/* A file that something is mounted on is in use for good: BUSY, and all is as it was, but for maps of it that nobody
   had pinned. */
static void busy_in_child(void *argument) {
  const char *path = conf_make("file", SIZE), *other = conf_make("other", SIZE);
  (void)argument;
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount(path, path, "none", MS_BIND, NULL) != 0)
    conf_not_testable("nothing can be mounted here: %s", strerror(errno));
  mapfile *idle = conf_open(path, 0), *pinned = conf_open(path, 0), *unrelated = conf_open(other, 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  look_at_all(idle);
  look_at_all(unrelated);
  conf_pin(pinned, 0, MAPFILE_TO_END, conf_live(), &view);
  uint64_t maps = conf_stats(pinned).maps, others = conf_stats(unrelated).maps;
  EXPECT_STATUS(mapfile_remove(path), MAPFILE_BUSY);
  EXPECT_UINT(mapfile_native_error(), EBUSY);
  EXPECT_UINT(conf_stats(idle).maps, 0);
  EXPECT_UINT(conf_stats(pinned).maps, maps);
  EXPECT_UINT(conf_stats(unrelated).maps, others);
  EXPECT_STATUS(mapfile_rename(path, conf_path("new")), MAPFILE_BUSY);
  look_at_all(idle);
  EXPECT_STATUS(mapfile_rename(other, path), MAPFILE_BUSY);
  EXPECT(conf_is_pattern(view.data, view.length, 0));
  EXPECT(conf_file_size(path) == SIZE && conf_file_size(other) == SIZE);
  conf_unpin(&view);
  conf_close(idle);
  conf_close(pinned);
  conf_close(unrelated);
  umount(path);
}

static void busy(void) {
  conf_child(busy_in_child, NULL);
}
#else
static void busy(void) {
  conf_not_testable("there is no way to make a file busy on this system");
}
#endif

/* The process's limit is a status, not a signal. */
static void size_limit(void) {
  struct rlimit limit = {3 * SIZE, RLIM_INFINITY};
  const char *path = conf_make("file", SIZE);
  mapfile *file = conf_open(path, MAPFILE_WRITE);
  EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  EXPECT_STATUS(mapfile_resize(file, 3 * SIZE + 1, 0), MAPFILE_LIMIT);
  EXPECT_STATUS(mapfile_resize(file, 3 * SIZE + 1, MAPFILE_RESIZE_ALLOCATE), MAPFILE_LIMIT);
  EXPECT_UINT(conf_file_size(path), SIZE);
  EXPECT_STATUS(mapfile_resize(file, 3 * SIZE, 0), MAPFILE_OK);
  EXPECT_UINT(conf_file_size(path), 3 * SIZE);
  conf_close(file);
}

static volatile sig_atomic_t caught;

static void catch_it(int number) {
  (void)number;
  caught = 1;
}

/* A signal to the process is for the program's threads. */
static void idle_takes_no_signals(void) {
  sigset_t wanted, before, pending;
  mapfile *file = open_idle(conf_make("file", SIZE), 5);
  look_at_all(file);
  signal(SIGUSR1, catch_it);
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGUSR1);
  EXPECT(sigprocmask(SIG_BLOCK, &wanted, &before) == 0);
  EXPECT(kill(getpid(), SIGUSR1) == 0);
  for (int i = 0; i < 10; i++) {
    look_at_all(file);
    conf_sleep_ms(6);
  }
  EXPECT(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) && caught == 0);
  EXPECT(sigprocmask(SIG_SETMASK, &before, NULL) == 0);
  EXPECT(caught == 1);
  /* The mask of the caller is its own again. */
  EXPECT(sigprocmask(SIG_SETMASK, NULL, &before) == 0 && !sigismember(&before, SIGUSR1));
  conf_close(file);
}

static void exit_with_idle(void *argument) {
  mapfile *file = open_idle(conf_path("file"), argument != NULL ? 1 : 100000);
  look_at_all(file);
  exit(0);
}

/* The end of the process does not wait for the thread. */
static void idle_exits(void) {
  conf_make("file", SIZE);
  for (int i = 0; i < 10; i++)
    conf_child(exit_with_idle, i % 2 == 0 ? "soon" : NULL);
}

#define N CONF_NO_FAULTS

static const conf_case table[] = {
    {"remove-mapped", "links", "A file is removed for a link that leads to it.", CONF_ANY, N, links},
    {"remove-mapped", "links-to-folders", "A link to a folder is taken for one.", CONF_ONCE, N, links_to_folders},
    {"rename-mapped", "other-file-system", "A file is lost between file systems.", CONF_ONCE, N, other_file_system},
    {"remove-mapped", "permissions", "What is forbidden is reported as something else.", CONF_ONCE, N, permissions},
    {"remove-mapped", "busy", "A file that cannot be removed is not left as it was.", CONF_ANY, N, busy},
    {"grow-live", "size-limit", "Growing past a limit kills the program.", CONF_ANY, N, size_limit},
    {"idle-release", "signals", "The program's signals go to a thread of the library's.", CONF_ANY, N,
     idle_takes_no_signals},
    {"idle-release", "exit", "The program does not end.", CONF_ANY, N, idle_exits},
};

CONF_GROUP(conf_posix_names, "names and locks on POSIX");
