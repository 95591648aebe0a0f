/*
 * pure.c - handler-pure: the fault handler allocates nothing and takes no lock.
 *
 * SPDX-License-Identifier: MIT
 *
 * This program has an allocator and a pthread_mutex_lock of its own, which the library gets too. They abort when they
 * are called between the entry of a SIGBUS handler and its end. Needs no Check: prints what it does, exits with 0, 1
 * or 77 (not possible here, and why).
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "mapfile.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define INSTRUMENTED 1
#endif
#endif

enum { SKIPPED = 77 };

#if defined(__GLIBC__) && !defined(INSTRUMENTED)

/* glibc's own allocator under the names it keeps for programs that replace malloc. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *memory);

static _Thread_local volatile int in_handler __attribute__((tls_model("initial-exec")));
static volatile int calls_seen;

static void forbid(const char *what) {
  calls_seen = 1;
  if (in_handler == 0)
    return;
  (void)!write(2, "called in the handler: ", 23);
  (void)!write(2, what, strlen(what));
  (void)!write(2, "\n", 1);
  abort();
}

void *malloc(size_t size) {
  forbid("malloc");
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  forbid("calloc");
  return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
  forbid("realloc");
  return __libc_realloc(old, size);
}

void free(void *memory) {
  forbid("free");
  __libc_free(memory);
}

void *memalign(size_t alignment, size_t size) {
  forbid("memalign");
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  forbid("aligned_alloc");
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
  forbid("posix_memalign");
  *memory = __libc_memalign(alignment, size);
  return *memory != NULL ? 0 : ENOMEM;
}

static int (*real_lock)(pthread_mutex_t *);

int pthread_mutex_lock(pthread_mutex_t *mutex) {
  forbid("pthread_mutex_lock");
  /* Before main has found the real one there is one thread only, and nobody to wait for. */
  return real_lock != NULL ? real_lock(mutex) : pthread_mutex_trylock(mutex);
}

#define NEED(condition)                                                 \
  do {                                                                  \
    if (!(condition)) {                                                 \
      fprintf(stderr, "pure.c:%d: not so: %s\n", __LINE__, #condition); \
      _exit(1);                                                         \
    }                                                                   \
  } while (0)

static size_t page;
static mapfile *file;
static mapfile_view view = MAPFILE_VIEW_INIT, filled = MAPFILE_VIEW_INIT;
static struct sigaction inner;
static volatile sig_atomic_t host_declined;

/* Around the library's own handler: whatever it does happens between these two lines. */
static void around(int signo, siginfo_t *info, void *context) {
  in_handler++;
  inner.sa_sigaction(signo, info, context);
  in_handler--;
}

static void heal(void *address) {
  uintptr_t low = (uintptr_t)address & ~((uintptr_t)page - 1);
  if (mmap((void *)low, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
    _exit(1);
}

/* A host that owns the signal. */
static void hosting(int signo, siginfo_t *info, void *context) {
  in_handler++;
  int taken = mapfile_handle_signal(signo, info, context);
  in_handler--;
  if (!taken) {
    host_declined++;
    if (info->si_code > 0)
      heal(info->si_addr);
  }
}

static void install(void (*handler)(int, siginfo_t *, void *)) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  NEED(sigaction(SIGBUS, &action, &inner) == 0);
}

static mapfile_status touch(void *address) {
  (void)*(volatile unsigned char *)address;
  return MAPFILE_OK;
}

/* In every kind of scope. The handler may be left by a jump: it has then ended. */
static void fault_in_scopes(void) {
  unsigned char *bad = (unsigned char *)view.data + 3 * page + 5;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  NEED(mapfile_try(file, &view, touch, bad, &fault) == MAPFILE_UNKNOWN);
  in_handler = 0;
  NEED(fault.offset == 3 * page + 5);
  NEED(mapfile_try(file, NULL, touch, bad, &fault) == MAPFILE_UNKNOWN);
  in_handler = 0;
#ifdef MAPFILE_TRY
  volatile int caught = 0;
  MAPFILE_TRY(file, NULL, &fault) {
    touch(bad);
  }
  MAPFILE_CATCH {
    in_handler = 0;
    caught = 1;
  }
  MAPFILE_END_TRY
  NEED(caught);
#endif
}

static void fault_in_fill(size_t which) {
  mapfile_scope scope;
  MAPFILE_SCOPE_INIT(&scope);
  NEED(mapfile_scope_begin(&scope, file, &filled) == MAPFILE_OK);
  touch((unsigned char *)filled.data + (3 + which) * page);
  NEED(in_handler == 0);
  NEED(mapfile_scope_end(&scope, NULL) == MAPFILE_UNKNOWN);
}

static void *in_new_thread(void *argument) {
  fault_in_scopes();
  (void)argument;
  return NULL;
}

static void prepare(void) {
  char path[4096];
  const char *folder = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/mapfile-pure-XXXXXX", folder != NULL && *folder != '\0' ? folder : "/tmp");
  int descriptor = mkstemp(path);
  NEED(descriptor >= 0);
  unlink(path);
  NEED(ftruncate(descriptor, (off_t)(300 * page)) == 0);
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  options.flags = MAPFILE_ADOPT;
  options.access = MAPFILE_ACCESS_MAPPED;
  NEED(mapfile_open_handle(descriptor, &options, &file) == MAPFILE_OK);
  NEED(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view) == MAPFILE_OK);
  NEED(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL, &filled) == MAPFILE_OK);
  NEED(ftruncate(descriptor, (off_t)(3 * page)) == 0);
}

static void run_all(void) {
  for (size_t i = 0; i < 100; i++) {
    pthread_t thread;
    fault_in_scopes();
    fault_in_fill(i);
    NEED(pthread_create(&thread, NULL, in_new_thread, NULL) == 0);
    NEED(pthread_join(thread, NULL) == 0);
  }
}

/* The library's handler, with a healing one below it that it hands foreign faults to. */
static volatile sig_atomic_t below_called;

static void below(int signo, siginfo_t *info, void *context) {
  (void)signo, (void)context;
  below_called++;
  if (info->si_code > 0)
    heal(info->si_addr);
}

static int installed_case(void) {
  prepare();
  install(below);
  NEED(mapfile_handler_rearm() == MAPFILE_OK);
  install(around);
  run_all();
  touch((unsigned char *)view.data + 200 * page);
  NEED(below_called == 1);
  raise(SIGBUS);
  NEED(below_called == 2);
  NEED(in_handler == 0);
  return 0;
}

static int hosted_case(void) {
  NEED(mapfile_handler_configure(MAPFILE_HANDLER_HOST) == MAPFILE_OK);
  prepare();
  install(hosting);
  run_all();
  touch((unsigned char *)view.data + 200 * page);
  raise(SIGBUS);
  NEED(host_declined == 2);
  return 0;
}

/* Would a call be noticed at all? The volatile pointer keeps compilers from leaving the pair of calls out. */
static void allocate(void) {
  void *volatile memory = malloc(10);
  free(memory);
}

static int self_test(void) {
  close(2);
  in_handler = 1;
  allocate();
  return 0;
}

static int run_case(int (*one)(void)) {
  int status = 0;
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(one());
  }
  NEED(waitpid(child, &status, 0) == child);
  return status;
}

int main(void) {
  page = (size_t)sysconf(_SC_PAGESIZE);
  *(void **)&real_lock = dlsym(RTLD_NEXT, "pthread_mutex_lock");
  NEED(real_lock != NULL);
  allocate();
  if (calls_seen != 1) {
    puts("skipped: the C library's allocator cannot be replaced here");
    return 77;
  }
  int status = run_case(self_test);
  NEED(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  status = run_case(installed_case);
  printf("installed handler: %s\n", status == 0 ? "ok" : "BROKEN");
  int hosted = run_case(hosted_case);
  printf("handler called by its host: %s\n", hosted == 0 ? "ok" : "BROKEN");
  return status == 0 && hosted == 0 ? 0 : 1;
}

#else

int main(void) {
  puts("skipped: the C library's allocator cannot be replaced, or a sanitizer has replaced it already");
  return SKIPPED;
}

#endif
