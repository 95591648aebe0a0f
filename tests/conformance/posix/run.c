/*
 * run.c - one case in a process of its own, with a time limit, on POSIX.
 *
 * SPDX-License-Identifier: MIT
 *
 * The process is a new one, not only a fork, so that every case begins with a library that has done nothing yet. It
 * leads a process group, which is ended with it.
 */
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Where the record goes, for the process that conf_run_process starts. */
enum { RECORD_DESCRIPTOR = 3 };

void conf_report(conf_outcome outcome, const char *text) {
  conf_record_write(RECORD_DESCRIPTOR, outcome, text);
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static _Noreturn void become(const conf_run *run, int record) {
  setpgid(0, 0);
  int nothing = open("/dev/null", O_RDONLY);
  if (nothing >= 0)
    dup2(nothing, 0);
  /* Nothing a case prints may get between the lines of the table. */
  dup2(2, 1);
  if (record == RECORD_DESCRIPTOR)
    fcntl(record, F_SETFD, 0);
  else
    dup2(record, RECORD_DESCRIPTOR);
  for (int other = RECORD_DESCRIPTOR + 1; other < 64; other++)
    close(other);
  execv(run->program, run->words);
  _exit(127);
}

/* Collect the record until the process has ended or its time is over. Descendants may keep the pipe open. */
static void listen_to(conf_run *run, pid_t child, int record) {
  int64_t end = now_ms() + (int64_t)run->seconds * 1000;
  size_t size = 0;
  bool open_still = true;
  siginfo_t info;
  for (;;) {
    struct pollfd wait = {open_still ? record : -1, POLLIN, 0};
    if (poll(&wait, 1, 20) > 0) {
      ssize_t now = read(record, run->record + size, sizeof run->record - 1 - size);
      if (now > 0)
        size += (size_t)now;
      else if (now == 0 || errno != EINTR)
        open_still = false;
    }
    memset(&info, 0, sizeof info);
    if (waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child) {
      ssize_t rest = open_still ? read(record, run->record + size, sizeof run->record - 1 - size) : 0;
      if (rest > 0)
        size += (size_t)rest;
      return;
    }
    if (now_ms() >= end || *run->stop != 0) {
      run->timed_out = true;
      return;
    }
  }
}

void conf_ignore_broken_pipes(void) {
  signal(SIGPIPE, SIG_IGN);
}

int64_t conf_run_process(conf_run *run) {
  int ends[2], status = 0;
  memset(run->record, 0, sizeof run->record);
  run->death[0] = '\0';
  run->timed_out = false;
  if (pipe(ends) != 0)
    return errno;
  pid_t child = fork();
  if (child < 0) {
    int error = errno;
    close(ends[0]);
    close(ends[1]);
    return error;
  }
  if (child == 0) {
    close(ends[0]);
    become(run, ends[1]);
  }
  setpgid(child, child);
  close(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  listen_to(run, child, ends[0]);
  close(ends[0]);
  kill(-child, SIGKILL);
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    continue;
  run->code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  if (WIFSIGNALED(status))
    conf_signal_name(WTERMSIG(status), run->death, sizeof run->death);
  return 0;
}
