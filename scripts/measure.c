/*
 * measure - run one program under a memory limit and tell its time, its largest resident set and how it ended.
 *
 * SPDX-License-Identifier: MIT
 *
 *     measure --result FILE [--cgroup DIR] [--address-space BYTES] [--user UID:GID] [--seconds N]
 *             [--truncate FILE --to BYTES] -- PROGRAM ARGUMENT...
 *
 * The program inherits the standard streams. --cgroup: it joins that memory cgroup first. --user: it runs as that user,
 * for a measure that root runs. --seconds: it is killed after that time, 300 by default. --truncate: once the program
 * has FILE open and has worked for 20 ms of processor time, it is stopped, FILE is cut to BYTES, and it goes on.
 *
 * FILE of --result receives one line: seconds, KiB, "exit" or "signal", and the number; "early" in place of "exit" or
 * "signal" where the program ended before FILE could be cut. GNU time would do for the first three, but Debian does not
 * install it, and a shell's own memory would count.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CANNOT_RUN = 125, WORK_BEFORE_CUT_MS = 20 };

struct order {
  const char *result;
  const char *cgroup;
  const char *truncate;
  off_t cut_to;
  rlim_t address_space; /* 0: not limited */
  long user, group;     /* -1: stay who we are */
  unsigned seconds;
  char **program;
};

static volatile sig_atomic_t child;

static void fail(const char *what) {
  fprintf(stderr, "measure: %s: %s\n", what, strerror(errno));
  exit(CANNOT_RUN);
}

static void kill_child(int number) {
  (void)number;
  if (child > 0)
    kill(child, SIGKILL);
}

static void join_cgroup(const char *directory) {
  char path[PATH_MAX];

  snprintf(path, sizeof path, "%s/cgroup.procs", directory);
  int descriptor = open(path, O_WRONLY | O_CLOEXEC);
  if (descriptor < 0 || write(descriptor, "0", 1) != 1)
    fail(path);
  close(descriptor);
}

static void become_program(const struct order *order) {
  struct rlimit none = {0, 0};

  setrlimit(RLIMIT_CORE, &none);
  if (order->cgroup != NULL)
    join_cgroup(order->cgroup);
  if (order->user >= 0 && (setgroups(0, NULL) != 0 || setgid((gid_t)order->group) != 0 || setuid((uid_t)order->user)))
    fail("--user");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (order->address_space != 0) {
    struct rlimit limit = {order->address_space, order->address_space};
    if (setrlimit(RLIMIT_AS, &limit) != 0)
      fail("--address-space");
  }
  execv(order->program[0], order->program);
  fail(order->program[0]);
}

/* Has the process a descriptor that is this file? */
static int has_open(pid_t pid, const struct stat *wanted) {
  char path[PATH_MAX];
  int found = 0;

  snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
  DIR *directory = opendir(path);
  struct dirent *entry;
  while (directory != NULL && !found && (entry = readdir(directory)) != NULL) {
    struct stat status;
    found = fstatat(dirfd(directory), entry->d_name, &status, 0) == 0 && status.st_dev == wanted->st_dev &&
            status.st_ino == wanted->st_ino;
  }
  if (directory != NULL)
    closedir(directory);
  return found;
}

static long processor_ms(pid_t pid) {
  clockid_t clock;
  struct timespec time;

  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0)
    return 0;
  return (long)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Cut the file while the program is in the middle of it. Returns 0 where the program ended first. */
static int cut_in_the_middle(const struct order *order, pid_t pid) {
  const struct timespec pause = {0, 1000000};
  struct stat wanted;
  siginfo_t state;
  long start = -1;

  if (stat(order->truncate, &wanted) != 0)
    fail(order->truncate);
  for (;;) {
    memset(&state, 0, sizeof state);
    if (waitid(P_PID, (id_t)pid, &state, WEXITED | WNOHANG | WNOWAIT) != 0 || state.si_pid == pid)
      return 0;
    if (start < 0 && has_open(pid, &wanted))
      start = processor_ms(pid);
    if (start >= 0 && processor_ms(pid) - start >= WORK_BEFORE_CUT_MS)
      break;
    nanosleep(&pause, NULL);
  }
  kill(pid, SIGSTOP);
  if (waitid(P_PID, (id_t)pid, &state, WEXITED | WSTOPPED | WNOWAIT) != 0 || state.si_code != CLD_STOPPED)
    return 0;
  if (truncate(order->truncate, order->cut_to) != 0)
    fail("truncate");
  kill(pid, SIGCONT);
  return 1;
}

static int run(const struct order *order) {
  struct timespec start, end;
  struct rusage usage;
  int status, cut = 1;

  signal(SIGALRM, kill_child);
  signal(SIGTERM, kill_child);
  signal(SIGINT, kill_child);
  clock_gettime(CLOCK_MONOTONIC, &start);
  pid_t pid = fork();
  if (pid < 0)
    fail("fork");
  if (pid == 0)
    become_program(order);
  child = pid;
  alarm(order->seconds);
  if (order->truncate != NULL)
    cut = cut_in_the_middle(order, pid);
  while (wait4(pid, &status, 0, &usage) < 0)
    if (errno != EINTR)
      fail("wait");
  child = 0;
  clock_gettime(CLOCK_MONOTONIC, &end);

  FILE *result = fopen(order->result, "w");
  if (result == NULL)
    fail(order->result);
  double seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) * 1e-9;
  fprintf(result, "%.4f %ld %s %d\n", seconds, usage.ru_maxrss,
          !cut                  ? "early"
          : WIFSIGNALED(status) ? "signal"
                                : "exit",
          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  return fclose(result) == 0 ? 0 : CANNOT_RUN;
}

/* Returns 0 where the option is not known. */
static int take(struct order *order, const char *option, const char *value) {
  if (strcmp(option, "--result") == 0)
    order->result = value;
  else if (strcmp(option, "--cgroup") == 0)
    order->cgroup = value;
  else if (strcmp(option, "--address-space") == 0)
    order->address_space = strtoull(value, NULL, 10);
  else if (strcmp(option, "--truncate") == 0)
    order->truncate = value;
  else if (strcmp(option, "--to") == 0)
    order->cut_to = (off_t)strtoll(value, NULL, 10);
  else if (strcmp(option, "--seconds") == 0)
    order->seconds = (unsigned)strtoul(value, NULL, 10);
  else
    return strcmp(option, "--user") == 0 && sscanf(value, "%ld:%ld", &order->user, &order->group) == 2;
  return 1;
}

int main(int argc, char **argv) {
  struct order order = {.user = -1, .group = -1, .seconds = 300};
  int i = 1;

  for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2)
    if (!take(&order, argv[i], argv[i + 1]))
      break;
  if (i + 1 >= argc || strcmp(argv[i], "--") != 0 || order.result == NULL) {
    fputs("measure: wrong options; its source says which there are\n", stderr);
    return CANNOT_RUN;
  }
  order.program = argv + i + 1;
  return run(&order);
}
