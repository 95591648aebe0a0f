/*
 * libsigsegv.c - scopes in a program that uses libsigsegv: side by side with it, and behind it by the adapter.
 *
 * SPDX-License-Identifier: MIT
 *
 * libsigsegv is under the GPL: this program, linked with it, may be passed on under the GPL only. Each case runs in a
 * process of its own, because what they test is the process's handlers. Usage: libsigsegv [CASE...]
 */
#include <mapfile-sigsegv.h>
#include <mapfile.h>

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sigsegv.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

enum { MANY = 2000, THREADS = 4, SKIPPED = 77 };

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

/*
 * A file of two pages, the second of which can be cut off
 */

static size_t page;
static int descriptor = -1;
static mapfile *file;
static mapfile_view view = MAPFILE_VIEW_INIT;

static void make_file(void) {
  char path[4096];
  const char *folder = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/libsigsegv-XXXXXX", folder != NULL ? folder : "/tmp");
  descriptor = mkstemp(path);
  NEED(descriptor >= 0);
  unlink(path);
  NEED(ftruncate(descriptor, (off_t)(2 * page)) == 0);
  NEED(mapfile_open_handle(descriptor, NULL, &file) == MAPFILE_OK);
  NEED(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view) == MAPFILE_OK);
}

static mapfile_status MAPFILE_CALL read_bytes(void *argument) {
  const volatile char *bytes = argument;
  return bytes[page - 1] == bytes[page] ? MAPFILE_OK : MAPFILE_INVALID;
}

static mapfile_status MAPFILE_CALL write_byte(void *argument) {
  *(volatile char *)argument = 1;
  return MAPFILE_OK;
}

/* The first scope of the process puts the library's SIGBUS handler in place. */
static void use_scope(void) {
  NEED(mapfile_try(file, &view, read_bytes, view.data, NULL) == MAPFILE_OK);
}

static void recover_from_cut(void) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  NEED(ftruncate(descriptor, (off_t)page) == 0);
  NEED(mapfile_try(file, &view, read_bytes, view.data, &fault) == MAPFILE_UNKNOWN);
  NEED(fault.offset == page && fault.signal == SIGBUS && mapfile_fault_explain(&fault) == MAPFILE_TRUNCATED);
  NEED(ftruncate(descriptor, (off_t)(2 * page)) == 0);
  use_scope();
}

static void recover_from_write(void) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  char *target = (char *)view.data + 5;
  NEED(mapfile_try(file, &view, write_byte, target, &fault) == MAPFILE_PROTECTED);
  NEED(fault.offset == 5 && fault.signal == SIGSEGV && fault.address == target && fault.file == file);
  NEED(fault.access == MAPFILE_FAULT_UNKNOWN && mapfile_fault_explain(&fault) == MAPFILE_PROTECTED);
}

/*
 * Masks and handlers
 */

static bool same_mask(const sigset_t *one, const sigset_t *other) {
  for (int signo = 1; signo < 32; signo++)
    if (sigismember(one, signo) != sigismember(other, signo))
      return false;
  return true;
}

static sigset_t mask_now(void) {
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  return mask;
}

static struct sigaction action_of(int signo) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  sigaction(signo, NULL, &action);
  return action;
}

/* With some signals blocked that libsigsegv would block too, and the rest not: each must be as it was. */
static void recover_with_own_mask(void) {
  sigset_t some, before, after;
  sigemptyset(&some);
  sigaddset(&some, SIGUSR1);
  sigaddset(&some, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &some, NULL);
  before = mask_now();
  recover_from_write();
  after = mask_now();
  NEED(same_mask(&before, &after));
  pthread_sigmask(SIG_UNBLOCK, &some, NULL);
  before = mask_now();
  recover_from_write();
  after = mask_now();
  NEED(same_mask(&before, &after));
}

/*
 * The program's own use of libsigsegv
 */

static char *own_page;
static volatile int own_faults, own_faults_serious;
static sigset_t own_mask;

/* Make the page good again that the program had forbidden. */
static int repair(void *address, int serious) {
  own_mask = mask_now();
  if (own_page == NULL || (char *)address < own_page || (char *)address >= own_page + page)
    return 0;
  own_faults++;
  own_faults_serious += serious;
  return mprotect(own_page, page, PROT_READ | PROT_WRITE) == 0;
}

static void make_own_page(void) {
  own_page = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  NEED(own_page != MAP_FAILED);
}

static void fault_in_own_page(void) {
  int before = own_faults;
  NEED(mprotect(own_page, page, PROT_NONE) == 0);
  *(volatile char *)own_page = 1;
  NEED(own_faults == before + 1);
}

static mapfile_status MAPFILE_CALL touch_own_page(void *argument) {
  (void)argument;
  fault_in_own_page();
  return MAPFILE_OK;
}

static void fault_in_own_page_in_scope(void) {
  NEED(mapfile_try(file, &view, touch_own_page, NULL, NULL) == MAPFILE_OK);
}

/*
 * Stack overflow
 */

static char extra_stack[65536];
static sigjmp_buf after_overflow;
static volatile int overflows, emergencies;

static void leave_overflow(void *unused1, void *unused2, void *unused3) {
  (void)unused1;
  (void)unused2;
  (void)unused3;
  siglongjmp(after_overflow, 1);
}

static void on_overflow(int emergency, stackoverflow_context_t context) {
  (void)context;
  overflows++;
  emergencies += emergency;
  sigsegv_leave_handler(leave_overflow, NULL, NULL, NULL);
}

/* Not a tail call, and not to be seen through. */
__attribute__((noinline)) static int use_stack(volatile char *above, int depth) {
  volatile char bytes[1000];
  bytes[0] = above != NULL ? *above : 0;
  int result = depth < 0 ? 0 : use_stack(bytes, depth + 1);
  return result + bytes[0];
}

static mapfile_status MAPFILE_CALL overflow_body(void *argument) {
  (void)argument;
  return use_stack(NULL, 1) == 0 ? MAPFILE_OK : MAPFILE_INVALID;
}

static void overflow_in_scope(void) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  int before = overflows;
  if (sigsetjmp(after_overflow, 1) == 0) {
    mapfile_try(file, &view, overflow_body, NULL, &fault);
    FAIL("the stack has an end");
  }
  NEED(overflows == before + 1 && emergencies == 0 && fault.status == MAPFILE_OK);
}

static void install_overflow_handler(void) {
  NEED(stackoverflow_install_handler(on_overflow, extra_stack, sizeof extra_stack) == 0);
}

/*
 * Side by side
 */

static void together(void) {
  for (int i = 0; i < MANY; i++)
    recover_from_cut();
  fault_in_own_page();
  fault_in_own_page_in_scope();
  recover_from_cut();
  NEED(mapfile_handler_check() == MAPFILE_OK);
}

static void case_libsigsegv_first(void) {
  NEED(sigsegv_install_handler(repair) == 0);
  make_own_page();
  make_file();
  together();
}

static void case_libsigsegv_last(void) {
  make_file();
  recover_from_cut();
  NEED(sigsegv_install_handler(repair) == 0);
  make_own_page();
  together();
}

static void case_overflow_first(void) {
  install_overflow_handler();
  make_file();
  for (int i = 0; i < 3; i++) {
    recover_from_cut();
    overflow_in_scope();
  }
  recover_from_cut();
}

static void case_overflow_last(void) {
  make_file();
  recover_from_cut();
  install_overflow_handler();
  for (int i = 0; i < 3; i++) {
    overflow_in_scope();
    recover_from_cut();
  }
}

/* A scope that a stack overflow has left is not jumped to: the fault outside of it ends the process. */
static void case_left_scope_is_dead(void) {
  make_file();
  install_overflow_handler();
  overflow_in_scope();
  NEED(ftruncate(descriptor, (off_t)page) == 0);
  read_bytes(view.data);
  FAIL("the page cannot be read");
}

static void case_bad_page_elsewhere(void) {
  NEED(sigsegv_install_handler(repair) == 0);
  make_file();
  use_scope();
  NEED(ftruncate(descriptor, (off_t)page) == 0);
  read_bytes(view.data);
  FAIL("the page cannot be read");
}

/*
 * Attached
 */

static void attached_together(void) {
  for (int i = 0; i < MANY; i++) {
    recover_from_write();
    recover_from_cut();
  }
  recover_with_own_mask();
  fault_in_own_page();
  fault_in_own_page_in_scope();
  recover_from_write();
}

static void case_attach(void) {
  make_own_page();
  make_file();
  NEED(mapfile_sigsegv_attach(repair) == MAPFILE_OK);
  attached_together();
}

static void case_attach_over_libsigsegv(void) {
  NEED(sigsegv_install_handler(repair) == 0);
  make_own_page();
  make_file();
  recover_from_cut();
  NEED(mapfile_sigsegv_attach(repair) == MAPFILE_OK);
  attached_together();
}

static void case_attach_after_overflow_handler(void) {
  install_overflow_handler();
  NEED(mapfile_sigsegv_attach(repair) == MAPFILE_OK);
  make_own_page();
  make_file();
  attached_together();
  for (int i = 0; i < 3; i++) {
    overflow_in_scope();
    recover_from_write();
    recover_from_cut();
  }
}

static void case_attach_before_overflow_handler(void) {
  NEED(mapfile_sigsegv_attach(repair) == MAPFILE_OK);
  make_own_page();
  make_file();
  for (int i = 0; i < 3; i++) {
    /* Each time libsigsegv installs its signal handler anew. */
    install_overflow_handler();
    recover_with_own_mask();
    overflow_in_scope();
    recover_with_own_mask();
  }
  attached_together();
}

/* All that libsigsegv blocks is blocked already: the mask then looks the same either way. */
static void case_attach_all_blocked(void) {
  make_file();
  NEED(mapfile_sigsegv_attach(NULL) == MAPFILE_OK);
  sigset_t all, before, after;
  sigfillset(&all);
  sigdelset(&all, SIGBUS);
  sigdelset(&all, SIGSEGV);
  use_scope();
  pthread_sigmask(SIG_SETMASK, &all, NULL);
  before = mask_now();
  for (int i = 0; i < 3; i++)
    recover_from_write();
  install_overflow_handler();
  recover_from_write();
  after = mask_now();
  NEED(same_mask(&before, &after));
}

static mapfile_status MAPFILE_CALL release_and_read(void *argument) {
  mapfile_view *own = argument;
  const volatile char *bytes = own->data;
  mapfile_unpin(own);
  return bytes[0] == 0 ? MAPFILE_OK : MAPFILE_INVALID;
}

static void case_attach_released(void) {
  mapfile_view own = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  make_file();
  NEED(mapfile_sigsegv_attach(NULL) == MAPFILE_OK);
  NEED(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_PRIVATE, &own) == MAPFILE_OK);
  NEED(mapfile_try(file, &own, release_and_read, &own, &fault) == MAPFILE_RELEASED);
  NEED(fault.offset == 0 && fault.signal == SIGSEGV);
}

static atomic_int threads_done;

static void *recover_in_thread(void *argument) {
  (void)argument;
  for (int i = 0; i < MANY; i++)
    recover_with_own_mask();
  atomic_fetch_add(&threads_done, 1);
  return NULL;
}

static void case_attach_threads(void) {
  pthread_t threads[THREADS];
  make_file();
  NEED(mapfile_sigsegv_attach(NULL) == MAPFILE_OK);
  for (int i = 0; i < THREADS; i++)
    NEED(pthread_create(&threads[i], NULL, recover_in_thread, NULL) == 0);
  /* Meanwhile libsigsegv's signal handler is installed again and again. */
  while (atomic_load(&threads_done) < THREADS)
    install_overflow_handler();
  for (int i = 0; i < THREADS; i++)
    NEED(pthread_join(threads[i], NULL) == 0);
  overflow_in_scope();
}

/* The program's handler sees what libsigsegv would have shown it: the same calls, the same signals blocked. */
static void case_attach_passes_on(void) {
  make_own_page();
  NEED(sigsegv_install_handler(repair) == 0);
  fault_in_own_page();
  sigset_t usual = own_mask;
  make_file();
  NEED(mapfile_sigsegv_attach(repair) == MAPFILE_OK);
  recover_from_write();
  fault_in_own_page_in_scope();
  NEED(same_mask(&usual, &own_mask));
  NEED(sigismember(&own_mask, SIGUSR1) == 1);
  NEED(own_faults == 2 && own_faults_serious == 0);
}

/* Zero-fill scopes cannot take a write to a read-only view: it is the program's. */
static char *lent;

static int allow_lent(void *address, int serious) {
  (void)serious;
  own_faults++;
  return (char *)address == lent && mprotect(lent, page, PROT_READ | PROT_WRITE) == 0;
}

static void case_attach_zero_fill(void) {
  mapfile_view own = MAPFILE_VIEW_INIT;
  mapfile_scope scope;
  make_file();
  NEED(pwrite(descriptor, "abc", 3, 0) == 3);
  NEED(mapfile_sigsegv_attach(allow_lent) == MAPFILE_OK);
  NEED(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_COPY | MAPFILE_ZERO_FILL, &own) == MAPFILE_OK);
  lent = own.data;
  MAPFILE_SCOPE_INIT(&scope);
  NEED(mapfile_scope_begin(&scope, file, &own) == MAPFILE_OK);
  if (mprotect(lent, page, PROT_READ) == 0)
    *(volatile char *)lent = 'x';
  NEED(own_faults == 1 && memcmp(lent, "xbc", 3) == 0);
  NEED(mapfile_scope_end(&scope, NULL) == MAPFILE_OK);
}

static void case_attached_dies_elsewhere(void) {
  make_file();
  NEED(mapfile_sigsegv_attach(repair) == MAPFILE_OK);
  recover_from_write();
  write_byte(view.data);
  FAIL("the view cannot be written to");
}

/* Asking changes nothing. */
static mapfile_status MAPFILE_CALL ask(void *argument) {
  NEED(mapfile_handle_address(SIGSEGV, argument, NULL, NULL) == 1);
  NEED(mapfile_handle_address(0, argument, NULL, NULL) == 1);
  NEED(mapfile_handle_address(SIGSEGV, &page, NULL, NULL) == 0);
  return write_byte(argument);
}

static void case_asking(void) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  make_file();
  NEED(mapfile_sigsegv_attach(NULL) == MAPFILE_OK);
  NEED(mapfile_handle_address(SIGSEGV, view.data, NULL, NULL) == 0);
  NEED(mapfile_try(file, &view, ask, view.data, &fault) == MAPFILE_PROTECTED);
  NEED(mapfile_handle_address(SIGSEGV, view.data, NULL, NULL) == 0);
}

/*
 * Another library's handler above libsigsegv's
 */

static struct sigaction below;
static volatile int above_calls;

static void above(int signo, siginfo_t *info, void *context) {
  above_calls++;
  below.sa_sigaction(signo, info, context);
}

static struct sigaction install_above(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = above;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGUSR2);
  NEED(sigaction(SIGSEGV, &action, &below) == 0);
  return action;
}

static void case_attach_chained(void) {
  make_file();
  make_own_page();
  NEED(mapfile_sigsegv_attach(repair) == MAPFILE_OK);
  install_above();
  sigset_t before = mask_now();
  for (int i = 0; i < MANY; i++)
    recover_from_write();
  sigset_t after = mask_now();
  NEED(above_calls == MANY && same_mask(&before, &after));
  fault_in_own_page();
}

/*
 * Detached
 */

static void plain_handler(int signo) {
  (void)signo;
  own_faults++;
  mprotect(own_page, page, PROT_READ | PROT_WRITE);
}

static bool same_action(const struct sigaction *one, const struct sigaction *other) {
  return one->sa_sigaction == other->sa_sigaction && one->sa_flags == other->sa_flags &&
         same_mask(&one->sa_mask, &other->sa_mask);
}

static void case_detach_to_plain_handler(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = plain_handler;
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGUSR1);
  NEED(sigaction(SIGSEGV, &action, NULL) == 0);
  struct sigaction before = action_of(SIGSEGV);
  make_own_page();
  make_file();
  NEED(mapfile_sigsegv_detach() == MAPFILE_INVALID);
  for (int i = 0; i < 3; i++) {
    NEED(mapfile_sigsegv_attach(NULL) == MAPFILE_OK);
    NEED(mapfile_sigsegv_attach(NULL) == MAPFILE_OK);
    recover_from_write();
    NEED(mapfile_sigsegv_detach() == MAPFILE_OK);
    struct sigaction after = action_of(SIGSEGV);
    NEED(same_action(&before, &after));
    fault_in_own_page();
    recover_from_cut();
  }
  NEED(mapfile_sigsegv_detach() == MAPFILE_INVALID);
}

static void case_detach_to_libsigsegv(void) {
  make_own_page();
  NEED(sigsegv_install_handler(repair) == 0);
  struct sigaction before = action_of(SIGSEGV);
  make_file();
  for (int i = 0; i < 3; i++) {
    NEED(mapfile_sigsegv_attach(repair) == MAPFILE_OK);
    recover_from_write();
    NEED(mapfile_sigsegv_detach() == MAPFILE_OK);
    struct sigaction after = action_of(SIGSEGV);
    NEED(same_action(&before, &after));
    fault_in_own_page_in_scope();
  }
}

static void case_detach_keeps_overflow_handler(void) {
  make_own_page();
  make_file();
  NEED(mapfile_sigsegv_attach(repair) == MAPFILE_OK);
  install_overflow_handler();
  struct sigaction before = action_of(SIGSEGV);
  recover_from_write();
  NEED(mapfile_sigsegv_detach() == MAPFILE_OK);
  struct sigaction after = action_of(SIGSEGV);
  NEED(same_action(&before, &after));
  overflow_in_scope();
  recover_from_cut();
}

static void case_detach_under_another(void) {
  make_own_page();
  make_file();
  NEED(mapfile_sigsegv_attach(repair) == MAPFILE_OK);
  install_above();
  struct sigaction before = action_of(SIGSEGV);
  recover_from_write();
  NEED(mapfile_sigsegv_detach() == MAPFILE_CHANGED);
  struct sigaction after = action_of(SIGSEGV);
  NEED(same_action(&before, &after));
  fault_in_own_page_in_scope();
  NEED(mapfile_sigsegv_attach(repair) == MAPFILE_OK);
  recover_from_write();
}

static void case_detached_dies(void) {
  make_file();
  NEED(mapfile_sigsegv_attach(repair) == MAPFILE_OK);
  recover_from_write();
  NEED(mapfile_sigsegv_detach() == MAPFILE_OK);
  mapfile_try(file, &view, write_byte, view.data, NULL);
  FAIL("nobody takes this");
}

/*
 * Running the cases
 */

typedef struct test_case {
  const char *name;
  void (*run)(void);
  int dies_of;
  bool leaves_handler; /* leaves libsigsegv's handler by a jump */
} test_case;

static const test_case cases[] = {
    {"libsigsegv-first", case_libsigsegv_first, 0, false},
    {"libsigsegv-last", case_libsigsegv_last, 0, false},
    {"overflow-first", case_overflow_first, 0, true},
    {"overflow-last", case_overflow_last, 0, true},
    {"left-scope-is-dead", case_left_scope_is_dead, SIGBUS, true},
    {"bad-page-elsewhere", case_bad_page_elsewhere, SIGBUS, false},
    {"attach", case_attach, 0, true},
    {"attach-over-libsigsegv", case_attach_over_libsigsegv, 0, true},
    {"attach-after-overflow-handler", case_attach_after_overflow_handler, 0, true},
    {"attach-before-overflow-handler", case_attach_before_overflow_handler, 0, true},
    {"attach-all-blocked", case_attach_all_blocked, 0, true},
    {"attach-released", case_attach_released, 0, true},
    {"attach-threads", case_attach_threads, 0, true},
    {"attach-passes-on", case_attach_passes_on, 0, true},
    {"attach-zero-fill", case_attach_zero_fill, 0, false},
    {"attached-dies-elsewhere", case_attached_dies_elsewhere, SIGSEGV, true},
    {"asking", case_asking, 0, true},
    {"attach-chained", case_attach_chained, 0, true},
    {"detach-to-plain-handler", case_detach_to_plain_handler, 0, true},
    {"detach-to-libsigsegv", case_detach_to_libsigsegv, 0, true},
    {"detach-keeps-overflow-handler", case_detach_keeps_overflow_handler, 0, true},
    {"detach-under-another", case_detach_under_another, 0, true},
    {"detached-dies", case_detached_dies, SIGSEGV, true},
};

/* In the child. Limits: no core file, a stack that overflows soon, an end. */
static _Noreturn void run_here(const test_case *one) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  alarm(120);
  page = (size_t)sysconf(_SC_PAGESIZE);
  one->run();
  _exit(0);
}

static bool run_apart(const test_case *one, int number) {
  int status = 0;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0)
    run_here(one);
  if (child < 0 || waitpid(child, &status, 0) != child) {
    printf("not ok %d - %s: no process\n", number, one->name);
    return false;
  }
  bool good = one->dies_of == 0 ? WIFEXITED(status) && WEXITSTATUS(status) == 0
                                : WIFSIGNALED(status) && WTERMSIG(status) == one->dies_of;
  printf("%s %d - %s", good ? "ok" : "not ok", number, one->name);
  if (!good && WIFSIGNALED(status))
    printf(": killed by signal %d", WTERMSIG(status));
  puts("");
  return good;
}

static bool is_wanted(const char *name, int count, char **wanted) {
  for (int i = 0; i < count; i++)
    if (strcmp(name, wanted[i]) == 0)
      return true;
  return count == 0;
}

static bool under_valgrind(void) {
  const char *preload = getenv("LD_PRELOAD");
  return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

int main(int argc, char **argv) {
  int failed = 0;
  if (under_valgrind()) {
    puts("1..0 # SKIP valgrind takes forbidden accesses for mistakes and stack overflows for the end");
    return SKIPPED;
  }
  struct rlimit small = {1 << 20, RLIM_INFINITY};
  getrlimit(RLIMIT_STACK, &small);
  small.rlim_cur = 1 << 20;
  setrlimit(RLIMIT_STACK, &small);
  int number = 0;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    if (!is_wanted(cases[i].name, argc - 1, argv + 1))
      continue;
    number++;
    if (UNDER_TSAN && cases[i].leaves_handler)
      printf("ok %d - %s # SKIP ThreadSanitizer does not know jumps out of handlers, libsigsegv no other way\n", number,
             cases[i].name);
    else if (!run_apart(&cases[i], number))
      failed++;
  }
  printf("1..%d\n", number);
  return failed != 0;
}
