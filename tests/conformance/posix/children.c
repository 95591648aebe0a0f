/*
 * children.c - child processes of a case: such as must do well, and such as must die in a certain way.
 *
 * SPDX-License-Identifier: MIT
 *
 * How a child died is seen twice: in its exit status, and, where the system lets a parent trace its child, in the
 * siginfo of the last SIGBUS before its death, which is what a core file would hold.
 */
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/ptrace.h>
#endif

const bool conf_can_fork = true;

static int record_pipe = -1;

void conf_record_write(int descriptor, conf_outcome outcome, const char *text) {
  char record[4096];
  int length = snprintf(record, sizeof record, "%c%s", "hdnb"[outcome], text);
  size_t size = (size_t)length < sizeof record ? (size_t)length : sizeof record - 1;
  while (write(descriptor, record, size) < 0 && errno == EINTR)
    continue;
}

static void stop_in_child(conf_outcome outcome, const char *text) {
  conf_record_write(record_pipe, outcome, text);
  _exit(90 + (int)outcome);
}

static void must_pipe(int ends[2]) {
  if (pipe(ends) != 0)
    conf_not_testable("no pipe can be made: %s", strerror(errno));
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  fcntl(ends[1], F_SETFD, FD_CLOEXEC);
}

/* Returns 0 in the child, which ends with this process. */
static pid_t must_fork(int ends[2]) {
  must_pipe(ends);
  fflush(NULL);
  pid_t parent = getpid();
  pid_t child = fork();
  if (child < 0)
    conf_not_testable("no child can be made: %s", strerror(errno));
  if (child == 0) {
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    if (getppid() != parent)
      _exit(90);
    close(ends[0]);
    record_pipe = ends[1];
    conf_stop = stop_in_child;
    return 0;
  }
  close(ends[1]);
  return child;
}

/* The record of a child that has ended: nothing that it left behind may keep us waiting. */
static void take_record(int descriptor) {
  char record[4096];
  const char *text;
  fcntl(descriptor, F_SETFL, O_NONBLOCK);
  ssize_t size = read(descriptor, record, sizeof record - 1);
  close(descriptor);
  if (size <= 0)
    return;
  record[size] = '\0';
  conf_outcome outcome = conf_record_parse(record, &text);
  if (outcome != CONF_HOLDS) {
    char longer[4096 + 32];
    snprintf(longer, sizeof longer, "%s (in a child)", text);
    conf_stop(outcome, longer);
  }
}

static void describe(int status, conf_end *end) {
  end->exited = WIFEXITED(status);
  end->code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  end->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

void conf_child(void (*body)(void *), void *argument) {
  int ends[2], status = 0;
  conf_end end;
  pid_t child = must_fork(ends);
  if (child == 0) {
    body(argument);
    _exit(0);
  }
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    continue;
  memset(&end, 0, sizeof end);
  describe(status, &end);
  take_record(ends[0]);
  if (!end.exited) {
    char name[32];
    conf_signal_name(end.signal, name, sizeof name);
    conf_broken(__FILE__, __LINE__, "a child died of %s", name);
  }
  if (end.code != 0)
    conf_broken(__FILE__, __LINE__, "a child ended with exit code %d", end.code);
}

#ifdef __linux__

static void note_delivery(pid_t thread, conf_end *end) {
  siginfo_t info;
  if (ptrace(PTRACE_GETSIGINFO, thread, NULL, &info) != 0)
    return;
  end->deliveries++;
  end->address = info.si_addr;
  end->si_code = info.si_code;
  end->sender = info.si_code <= 0 ? (int64_t)info.si_pid : 0;
}

/* Pass on what a stopped thread of the child was stopped for. */
static void let_go_on(pid_t thread, int status, void (*at_first_bus)(void *), void *bus_argument, conf_end *end) {
  int number = WSTOPSIG(status);
  bool event = (status >> 16) != 0;
  if (number == SIGBUS && !event) {
    note_delivery(thread, end);
    if (end->deliveries == 1 && at_first_bus != NULL)
      at_first_bus(bus_argument);
  }
  if (event || number == SIGSTOP || number == SIGTRAP)
    number = 0;
  ptrace(PTRACE_CONT, thread, NULL, (void *)(intptr_t)number);
}

static int watch_until_the_end(pid_t child, void (*at_first_bus)(void *), void *bus_argument, conf_end *end) {
  for (;;) {
    int status = 0;
    pid_t thread = waitpid(-1, &status, __WALL);
    if (thread < 0) {
      if (errno == EINTR)
        continue;
      conf_broken(__FILE__, __LINE__, "waiting for a child failed: %s", strerror(errno));
    }
    if (WIFSTOPPED(status)) {
      if (thread == child && !end->traced) {
        end->traced = true;
        ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL));
      }
      let_go_on(thread, status, at_first_bus, bus_argument, end);
    } else if (thread == child) {
      return status;
    }
  }
}

static void ask_to_be_traced(void) {
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
    raise(SIGSTOP);
}

#else

static int watch_until_the_end(pid_t child, void (*at_first_bus)(void *), void *bus_argument, conf_end *end) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    continue;
  (void)at_first_bus, (void)bus_argument, (void)end;
  return status;
}

static void ask_to_be_traced(void) {
}

#endif

void conf_watch(void (*body)(void *), void *argument, void (*at_first_bus)(void *), void *bus_argument, conf_end *end) {
  int ends[2];
  conf_not_under_valgrind("ends otherwise than the process would");
  pid_t child = must_fork(ends);
  memset(end, 0, sizeof *end);
  if (child == 0) {
    ask_to_be_traced();
    body(argument);
    _exit(0);
  }
  int status = watch_until_the_end(child, at_first_bus, bus_argument, end);
  describe(status, end);
  take_record(ends[0]);
  if (at_first_bus != NULL && !end->traced)
    conf_not_testable("this process may not trace its children");
}

void conf_expect_death(const char *file, int line, const conf_end *end, const void *address, int code) {
  if (end->exited)
    conf_broken(file, line, "the child lived on and ended with exit code %d", end->code);
  if (end->signal != SIGBUS) {
    char name[32];
    conf_signal_name(end->signal, name, sizeof name);
    conf_broken(file, line, "the child died of %s, not SIGBUS", name);
  }
  if (!end->traced)
    return;
  if (code > 0 && !conf_is_place(end->address, address))
    conf_broken(file, line, "the child died with address %p, not %p", end->address, address);
  if (end->si_code != code)
    conf_broken(file, line, "the child died with signal code %d, not %d", end->si_code, code);
}

/* The address at which a child is to die, seen by its parent. */
static const void *volatile *where;

const void *conf_die_at(const void *address) {
  *where = address;
  return address;
}

void conf_expect_kills(void (*body)(void *), void *argument) {
  conf_end end;
  if (where == NULL)
    where = mmap(NULL, sizeof *where, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (where == MAP_FAILED)
    conf_not_testable("no memory can be shared with a child");
  conf_watch(body, argument, NULL, NULL, &end);
  EXPECT_DEATH(&end, *where, BUS_ADRERR);
}

void conf_become_nobody(void) {
  if (geteuid() != 0)
    conf_not_testable("only root can take another user's place");
  if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
    conf_not_testable("cannot take the place of another user: %s", strerror(errno));
}

int conf_probe(int count, char **words) {
  if (count == 3 && strcmp(words[1], "--probe-closed") == 0)
    return conf_descriptor_open(atoi(words[2])) ? 1 : 0;
  return -1;
}

void conf_signal_name(int number, char *text, size_t size) {
  static const struct {
    int number;
    const char *name;
  } names[] = {{SIGBUS, "SIGBUS"},   {SIGSEGV, "SIGSEGV"}, {SIGABRT, "SIGABRT"},
               {SIGKILL, "SIGKILL"}, {SIGALRM, "SIGALRM"}, {SIGPIPE, "SIGPIPE"},
               {SIGTRAP, "SIGTRAP"}, {SIGILL, "SIGILL"},   {SIGFPE, "SIGFPE"}};
  snprintf(text, size, "signal %d", number);
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (names[i].number == number)
      snprintf(text, size, "%s", names[i].name);
}
