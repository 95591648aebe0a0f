/*
 * chains.c - other handlers of SIGBUS over the library's, with the library's put on top again: a fault that nobody
 * takes must pass each of them once and then kill, however they hand it on. No way round in a circle.
 *
 * SPDX-License-Identifier: MIT
 *
 * Promise fault-order. Each case runs in a process of its own. Needs no Check; prints TAP.
 */
#include "requeue.h"

#include <mapfile.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OTHERS = 3, SKIPPED = 77 };

/* Say what is wrong and end the case. */
#define FAIL(what)                                      \
  do {                                                  \
    fprintf(stderr, "  line %d: %s\n", __LINE__, what); \
    _exit(1);                                           \
  } while (0)
#define NEED(condition)            \
  do {                             \
    if (!(condition))              \
      FAIL("not so: " #condition); \
  } while (0)

/* Shared with the parent: how often each of the other handlers was called. */
static volatile int *calls;
static size_t page;

/*
 * Other libraries, each with a handler that remembers what it was installed over, as such libraries do
 */

typedef enum style {
  CALLS,          /* calls what was there before */
  RAISES,         /* puts back what was there before and sends itself the signal again */
  PUTS_BACK,      /* puts back what was there before and returns: the fault happens again */
  CALLS_PUT_BACK, /* puts back what was there before, and calls it */
} style;

typedef struct other {
  style how;
  struct sigaction before;
} other;

static other others[OTHERS];

static void hand_back(other *self, int signo, siginfo_t *info, void *context) {
  const struct sigaction *before = &self->before;
  if (self->how != CALLS)
    sigaction(signo, before, NULL);
  if (self->how == RAISES)
    raise(signo);
  if (self->how != CALLS && self->how != CALLS_PUT_BACK)
    return;
  if ((before->sa_flags & SA_SIGINFO) != 0)
    before->sa_sigaction(signo, info, context);
  else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN)
    before->sa_handler(signo);
  else
    signal(signo, SIG_DFL);
}

static void count(int which, int signo, siginfo_t *info, void *context) {
  /* Far more than any case should need: stop here and not in some other way. */
  if (++calls[which] > 50)
    _exit(2);
  hand_back(&others[which], signo, info, context);
}

static void handler_0(int signo, siginfo_t *info, void *context) {
  count(0, signo, info, context);
}

static void handler_1(int signo, siginfo_t *info, void *context) {
  count(1, signo, info, context);
}

static void handler_2(int signo, siginfo_t *info, void *context) {
  count(2, signo, info, context);
}

static void install(int which, style how) {
  static void (*const handlers[OTHERS])(int, siginfo_t *, void *) = {handler_0, handler_1, handler_2};
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handlers[which];
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  others[which].how = how;
  NEED(sigaction(SIGBUS, &action, &others[which].before) == 0);
}

/*
 * The library
 */

static mapfile_status MAPFILE_CALL read_bytes(void *argument) {
  const volatile char *bytes = argument;
  return bytes[0] == bytes[page] ? MAPFILE_OK : MAPFILE_INVALID;
}

static int make_file(void) {
  char path[4096];
  const char *folder = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/chains-XXXXXX", folder != NULL ? folder : "/tmp");
  int descriptor = mkstemp(path);
  NEED(descriptor >= 0);
  unlink(path);
  NEED(ftruncate(descriptor, (off_t)(2 * page)) == 0);
  return descriptor;
}

static void recover(void) {
  mapfile *file = NULL;
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  int descriptor = make_file();
  NEED(mapfile_open_handle(descriptor, NULL, &file) == MAPFILE_OK);
  NEED(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view) == MAPFILE_OK);
  NEED(mapfile_try(file, &view, read_bytes, view.data, &fault) == MAPFILE_OK);
  NEED(ftruncate(descriptor, (off_t)page) == 0);
  NEED(mapfile_try(file, &view, read_bytes, view.data, &fault) == MAPFILE_UNKNOWN && fault.offset == page);
  NEED(mapfile_unpin(&view) == MAPFILE_OK && mapfile_close(file) == MAPFILE_OK && close(descriptor) == 0);
}

static void come_on_top(void) {
  NEED(mapfile_handler_check() == MAPFILE_CHANGED);
  NEED(mapfile_handler_rearm() == MAPFILE_OK);
  NEED(mapfile_handler_check() == MAPFILE_OK);
  recover();
}

/* Outside every scope. */
static void die(void) {
  int descriptor = make_file();
  char *bytes = mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, descriptor, 0);
  NEED(bytes != MAP_FAILED && ftruncate(descriptor, (off_t)page) == 0);
  (void)*(volatile char *)(bytes + page);
  FAIL("the page cannot be read");
}

/*
 * Cases
 */

static void one_over(style how) {
  recover();
  install(0, how);
  come_on_top();
  die();
}

static void one_under_and_over(style how) {
  install(1, how);
  recover();
  install(0, how);
  come_on_top();
  die();
}

/* The library's handler lies over the other's, which then is installed once more. */
static void one_twice(style how) {
  recover();
  install(0, how);
  come_on_top();
  install(0, how);
  come_on_top();
  die();
}

static void one_around(style how) {
  install(0, how);
  recover();
  install(0, how);
  come_on_top();
  die();
}

static void three_in_turn(style how) {
  recover();
  for (int i = 0; i < OTHERS; i++) {
    install(i, how);
    come_on_top();
  }
  die();
}

/* The first is installed again above the second. */
static void two_crossed(style how) {
  recover();
  install(0, how);
  come_on_top();
  install(1, how);
  come_on_top();
  install(0, how);
  come_on_top();
  die();
}

/* A handler that goes away takes what was there before it back, and the library's later ones with it. */
static void one_gone(style how) {
  recover();
  install(0, how);
  come_on_top();
  NEED(sigaction(SIGBUS, &others[0].before, NULL) == 0);
  NEED(mapfile_handler_check() == MAPFILE_OK);
  recover();
  die();
}

static void sent(style how) {
  recover();
  install(0, how);
  come_on_top();
  raise(SIGBUS);
  /* Put back or not, the default action has killed by now. */
  FAIL("the signal that was sent did not kill");
}

/* More often than there are places for what was there before: those that nobody can go back to are used again. */
static void hundred_in_turn(style how) {
  recover();
  for (int i = 0; i < 33 * OTHERS; i++) {
    install(i % OTHERS, how);
    come_on_top();
    recover();
  }
  die();
}

typedef struct test_case {
  const char *name;
  void (*run)(style how);
  int dies_of;
  int expected[OTHERS];
} test_case;

static const test_case cases[] = {
    {"one handler over the library's", one_over, SIGBUS, {1, 0, 0}},
    {"one below, one above", one_under_and_over, SIGBUS, {1, 1, 0}},
    {"one handler, installed twice", one_twice, SIGBUS, {1, 0, 0}},
    {"one handler, below and above", one_around, SIGBUS, {1, 0, 0}},
    {"three handlers in turn", three_in_turn, SIGBUS, {1, 1, 1}},
    {"two handlers, one of them twice", two_crossed, SIGBUS, {1, 1, 0}},
    {"one handler that has gone away", one_gone, SIGBUS, {0, 0, 0}},
    {"a signal that is sent", sent, SIGBUS, {1, 0, 0}},
    {"a hundred times in turn", hundred_in_turn, SIGBUS, {1, 1, 1}},
};

static const struct {
  style how;
  const char *name;
} styles[] = {
    {CALLS, "calling"},
    {RAISES, "raising"},
    {PUTS_BACK, "putting back"},
    {CALLS_PUT_BACK, "putting back and calling"},
};

/*
 * Running the cases
 */

static _Noreturn void run_here(const test_case *one, style how) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  alarm(60);
  one->run(how);
  _exit(0);
}

static bool as_expected(const test_case *one, int status) {
  if (one->dies_of != 0 ? !WIFSIGNALED(status) || WTERMSIG(status) != one->dies_of
                        : !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return false;
  for (int i = 0; i < OTHERS; i++)
    if (calls[i] != one->expected[i])
      return false;
  return true;
}

static bool run_apart(const test_case *one, style how, const char *how_name, int number) {
  int status = 0;
  fflush(stdout);
  for (int i = 0; i < OTHERS; i++)
    calls[i] = 0;
  pid_t child = fork();
  if (child == 0)
    run_here(one, how);
  bool good = child > 0 && waitpid(child, &status, 0) == child && as_expected(one, status);
  printf("%s %d - %s, %s", good ? "ok" : "not ok", number, one->name, how_name);
  if (!good)
    printf(": wait status %#x, calls %d %d %d", (unsigned)status, calls[0], calls[1], calls[2]);
  puts("");
  return good;
}

int main(void) {
  int failed = 0, number = 0;
  if (!can_requeue()) {
    puts("1..0 # SKIP " CANNOT_REQUEUE);
    return SKIPPED;
  }
  page = (size_t)sysconf(_SC_PAGESIZE);
  calls = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (calls == MAP_FAILED)
    return 1;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    for (size_t j = 0; j < sizeof styles / sizeof styles[0]; j++) {
      /* Putting back and returning says nothing to a signal that was sent: it does not happen again. */
      if (cases[i].run == sent && styles[j].how == PUTS_BACK)
        continue;
      failed += !run_apart(&cases[i], styles[j].how, styles[j].name, ++number);
    }
  printf("1..%d\n", number);
  return failed != 0;
}
