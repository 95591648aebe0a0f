/*
 * dlopen.c - the library loaded by dlopen, used, and closed by dlclose: what it leaves behind must go on working.
 *
 * SPDX-License-Identifier: MIT
 *
 * Promise fault-dlopen. The program is not linked with the library; an argument or MAPFILE_LIBRARY says where it is,
 * else it is looked for as a build leaves it. Each case runs in a process of its own. Needs no Check; prints TAP.
 */
#include "requeue.h"

#include <mapfile.h>

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 300, THREADS = 4, SKIPPED = 77 };

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

static const char *library_path;
static size_t page;

/* What is read goes here, so that nobody, valgrind neither, leaves the reading out. */
static volatile char sink;

/*
 * The library, as dlsym gives it
 */

typedef struct library {
  void *handle;
  mapfile_status(MAPFILE_CALL *open_handle)(intptr_t, const mapfile_options *, mapfile **);
  mapfile_status(MAPFILE_CALL *close)(mapfile *);
  mapfile_status(MAPFILE_CALL *pin)(mapfile *, uint64_t, uint64_t, uint32_t, mapfile_view *);
  mapfile_status(MAPFILE_CALL *unpin)(mapfile_view *);
  mapfile_status(MAPFILE_CALL *run)(mapfile *, const mapfile_view *, mapfile_body, void *, mapfile_fault *);
  mapfile_status(MAPFILE_CALL *explain)(mapfile_fault *);
  mapfile_status(MAPFILE_CALL *check)(void);
} library;

/* ISO C knows no way from an object's address to a function's; POSIX has them alike. */
static void look_up(void *handle, const char *name, void *function) {
  void *symbol = dlsym(handle, name);
  if (symbol == NULL)
    fprintf(stderr, "  %s\n", dlerror());
  NEED(symbol != NULL);
  memcpy(function, &symbol, sizeof symbol);
}

static library load(void) {
  library with = {.handle = dlopen(library_path, RTLD_NOW | RTLD_LOCAL)};
  if (with.handle == NULL)
    fprintf(stderr, "  %s\n", dlerror());
  NEED(with.handle != NULL);
  look_up(with.handle, "mapfile_open_handle", &with.open_handle);
  look_up(with.handle, "mapfile_close", &with.close);
  look_up(with.handle, "mapfile_pin", &with.pin);
  look_up(with.handle, "mapfile_unpin", &with.unpin);
  look_up(with.handle, "mapfile_try", &with.run);
  look_up(with.handle, "mapfile_fault_explain", &with.explain);
  look_up(with.handle, "mapfile_handler_check", &with.check);
  return with;
}

static void unload(library *with) {
  NEED(dlclose(with->handle) == 0);
  with->handle = NULL;
}

/*
 * A file whose second page is cut off
 */

static int make_file(void) {
  char path[4096];
  const char *folder = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/dlopen-XXXXXX", folder != NULL ? folder : "/tmp");
  int descriptor = mkstemp(path);
  NEED(descriptor >= 0);
  unlink(path);
  NEED(ftruncate(descriptor, (off_t)(2 * page)) == 0);
  return descriptor;
}

static mapfile_status MAPFILE_CALL read_bytes(void *argument) {
  const volatile char *bytes = argument;
  return bytes[0] == bytes[page] ? MAPFILE_OK : MAPFILE_INVALID;
}

/* Open, pin, cut, recover, let everything go. */
static void recover(const library *with) {
  mapfile *file = NULL;
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  int descriptor = make_file();
  NEED(with->open_handle(descriptor, NULL, &file) == MAPFILE_OK);
  NEED(with->pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view) == MAPFILE_OK);
  NEED(with->run(file, &view, read_bytes, view.data, &fault) == MAPFILE_OK);
  NEED(ftruncate(descriptor, (off_t)page) == 0);
  NEED(with->run(file, &view, read_bytes, view.data, &fault) == MAPFILE_UNKNOWN);
  NEED(fault.offset == page && with->explain(&fault) == MAPFILE_TRUNCATED);
  NEED(with->unpin(&view) == MAPFILE_OK);
  NEED(with->close(file) == MAPFILE_OK);
  NEED(close(descriptor) == 0);
}

static char *cut_map(void) {
  int descriptor = make_file();
  char *bytes = mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, descriptor, 0);
  NEED(bytes != MAP_FAILED && ftruncate(descriptor, (off_t)page) == 0 && close(descriptor) == 0);
  return bytes;
}

static void touch_cut_map(void) {
  sink = *(volatile char *)(cut_map() + page + 3);
}

/*
 * A handler of the program's own, there before the library
 */

static sigjmp_buf after_fault;
static void *volatile seen_address;
static volatile int seen_code, seen;

static void on_bus(int signo, siginfo_t *info, void *context) {
  (void)context;
  seen++;
  seen_code = info->si_code;
  seen_address = info->si_addr;
  if (info->si_code > 0)
    siglongjmp(after_fault, signo);
}

static void install_own_handler(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_bus;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  NEED(sigaction(SIGBUS, &action, NULL) == 0);
}

static void expect_own_fault(void) {
  char *bytes = cut_map();
  int before = seen;
  if (sigsetjmp(after_fault, 1) == 0) {
    sink = *(volatile char *)(bytes + page + 9);
    FAIL("the page cannot be read");
  }
  NEED(seen == before + 1 && seen_address == bytes + page + 9 && seen_code == BUS_ADRERR);
  munmap(bytes, 2 * page);
}

static void expect_own_signal(void) {
  int before = seen;
  NEED(raise(SIGBUS) == 0);
  NEED(seen == before + 1 && seen_code <= 0);
}

/*
 * Cases
 */

static void case_used_and_closed(void) {
  library with = load();
  recover(&with);
  NEED(with.check() == MAPFILE_OK);
  unload(&with);
  touch_cut_map();
}

static void case_signal_after_close(void) {
  library with = load();
  recover(&with);
  unload(&with);
  raise(SIGBUS);
}

static void case_ignored_signal_after_close(void) {
  signal(SIGBUS, SIG_IGN);
  library with = load();
  recover(&with);
  unload(&with);
  raise(SIGBUS);
}

static void case_own_handler_after_close(void) {
  install_own_handler();
  library with = load();
  recover(&with);
  expect_own_fault();
  unload(&with);
  for (int i = 0; i < MANY; i++) {
    expect_own_fault();
    expect_own_signal();
  }
}

static void case_again_and_again(void) {
  install_own_handler();
  for (int i = 0; i < MANY; i++) {
    library with = load();
    recover(&with);
    unload(&with);
    expect_own_fault();
    expect_own_signal();
  }
}

static void case_unused(void) {
  install_own_handler();
  struct sigaction before, after;
  memset(&before, 0, sizeof before);
  memset(&after, 0, sizeof after);
  sigaction(SIGBUS, NULL, &before);
  library with = load();
  NEED(with.check() == MAPFILE_UNSUPPORTED);
  unload(&with);
  sigaction(SIGBUS, NULL, &after);
  NEED(before.sa_sigaction == after.sa_sigaction);
  expect_own_fault();
}

/* Threads that were there before the library have to get its thread-local variables, too. */
static _Atomic(library *) shared;
static atomic_bool closed;
static atomic_int recovered;

static void *work(void *argument) {
  (void)argument;
  library *with;
  while ((with = atomic_load(&shared)) == NULL)
    usleep(1000);
  for (int i = 0; i < MANY; i++)
    recover(with);
  atomic_fetch_add(&recovered, 1);
  while (!atomic_load(&closed))
    usleep(1000);
  return NULL;
}

static void start_threads(pthread_t *threads) {
  for (int i = 0; i < THREADS; i++)
    NEED(pthread_create(&threads[i], NULL, work, NULL) == 0);
}

static void case_threads(void) {
  pthread_t before[THREADS], after[THREADS];
  install_own_handler();
  start_threads(before);
  library with = load();
  atomic_store(&shared, &with);
  start_threads(after);
  while (atomic_load(&recovered) < 2 * THREADS)
    usleep(1000);
  unload(&with);
  atomic_store(&closed, true);
  /* These threads have been in scopes and end after the library was closed. */
  for (int i = 0; i < THREADS; i++)
    NEED(pthread_join(before[i], NULL) == 0 && pthread_join(after[i], NULL) == 0);
  expect_own_fault();
}

/*
 * Running the cases
 */

typedef struct test_case {
  const char *name;
  void (*run)(void);
  int dies_of;
} test_case;

static const test_case cases[] = {
    {"fault after closing kills as ever", case_used_and_closed, SIGBUS},
    {"signal after closing kills as ever", case_signal_after_close, SIGBUS},
    {"ignored signal stays ignored after closing", case_ignored_signal_after_close, 0},
    {"own handler works on after closing", case_own_handler_after_close, 0},
    {"opened and closed again and again", case_again_and_again, 0},
    {"opened and closed without use", case_unused, 0},
    {"threads older and younger than the library", case_threads, 0},
};

static _Noreturn void run_here(const test_case *one) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  alarm(120);
  one->run();
  _exit(0);
}

static bool run_apart(const test_case *one, int number) {
  int status = 0;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0)
    run_here(one);
  bool good = child > 0 && waitpid(child, &status, 0) == child;
  if (good)
    good = one->dies_of == 0 ? WIFEXITED(status) && WEXITSTATUS(status) == 0
                             : WIFSIGNALED(status) && WTERMSIG(status) == one->dies_of;
  printf("%s %d - %s", good ? "ok" : "not ok", number, one->name);
  if (!good)
    printf(" (wait status %#x)", (unsigned)status);
  puts("");
  return good;
}

static const char *find_library(int argc, char **argv) {
  static const char *const places[] = {".libs/libmapfile.so", ".libs/libmapfile.dylib"};
  if (argc > 1)
    return argv[1];
  if (getenv("MAPFILE_LIBRARY") != NULL)
    return getenv("MAPFILE_LIBRARY");
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
    if (access(places[i], R_OK) == 0)
      return places[i];
  return NULL;
}

int main(int argc, char **argv) {
  int failed = 0, number = 0;
  page = (size_t)sysconf(_SC_PAGESIZE);
  library_path = find_library(argc, argv);
  if (library_path == NULL) {
    puts("1..0 # SKIP the shared library has not been built");
    return SKIPPED;
  }
  bool requeue = can_requeue();
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    number++;
    if (cases[i].dies_of != 0 && !requeue)
      printf("ok %d - %s # SKIP " CANNOT_REQUEUE "\n", number, cases[i].name);
    else
      failed += !run_apart(&cases[i], number);
  }
  printf("1..%d\n", number);
  return failed != 0;
}
