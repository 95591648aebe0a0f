/*
 * frames.c - the promises about stacks on POSIX: forks, threads that are cancelled, alternate and given stacks, and
 * libraries that are unloaded.
 *
 * SPDX-License-Identifier: MIT
 */
#include "posix.h"

#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <ucontext.h>
#endif

/* fault-fork */

static void recover_and_close(void *argument) {
  conf_damaged *one = argument;
  for (int i = 0; i < 10; i++)
    conf_expect_recovery(one);
  conf_undamage(one);
}

static mapfile_status MAPFILE_CALL fork_in_scope(void *argument) {
  conf_damaged *one = argument;
  conf_child(recover_and_close, one);
  conf_expect_recovery(one);
  conf_load(one->data + one->bad + 50);
  return MAPFILE_OK;
}

static void fork_within(void) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_child(recover_and_close, &one);
  for (int i = 0; i < 5; i++) {
    EXPECT_STATUS(mapfile_try(one.file, NULL, fork_in_scope, &one, &fault), MAPFILE_UNKNOWN);
    EXPECT_RECORD(&fault, one.file, one.data + one.bad + 50, one.bad + 50, MAPFILE_FAULT_READ);
  }
  conf_undamage(&one);
}

static mapfile_status MAPFILE_CALL touch_in_child(void *argument) {
  conf_damaged *one = argument;
  int status = 0;
  /* The scope that was entered before the fork is the child's too: the fault is caught in it. */
  pid_t child = fork();
  if (child == 0) {
    conf_load(one->data + one->bad + 60);
    _exit(9);
  }
  EXPECT(waitpid(child, &status, 0) == child);
  EXPECT(WIFEXITED(status));
  return 1000 + WEXITSTATUS(status);
}

static void fork_and_fault_in_scope(void) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 6, 3, conf_live());
  pid_t us = getpid();
  mapfile_status status = mapfile_try(one.file, &one.view, touch_in_child, &one, &fault);
  if (getpid() != us)
    _exit(status == MAPFILE_UNKNOWN && fault.offset == one.bad + 60 ? 5 : 6);
  EXPECT_STATUS(status, 1005);
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

/* fault-thread-exit */

static void *recover_in_thread(void *argument) {
  conf_expect_recovery(argument);
  return NULL;
}

static mapfile_status MAPFILE_CALL wait_to_be_cancelled(void *argument) {
  (void)argument;
  for (;;) {
    pthread_testcancel();
    conf_sleep_ms(1);
  }
  return MAPFILE_OK;
}

static void *be_cancelled(void *argument) {
  conf_damaged *one = argument;
  conf_expect_recovery(one);
  mapfile_try(one->file, NULL, wait_to_be_cancelled, NULL, NULL);
  return NULL;
}

static void thread_cancelled(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int i = 0; i < 20; i++) {
    pthread_t thread;
    void *result = NULL;
    EXPECT(pthread_create(&thread, NULL, be_cancelled, &one) == 0);
    EXPECT(pthread_cancel(thread) == 0);
    pthread_join(thread, &result);
    EXPECT(pthread_create(&thread, NULL, recover_in_thread, &one) == 0);
    pthread_join(thread, NULL);
  }
  conf_undamage(&one);
}

/* threads: a thread is cancelled at its own points alone, and never with something of the library's in its hands. */

typedef struct cancelled {
  const char *path;
  mapfile *file;
  atomic_bool begun;
} cancelled;

/* A frame of its own: AddressSanitizer minds what is left of one that a cancelled thread did not return from. */
static __attribute__((noinline)) void call_everything(const cancelled *with) {
  char bytes[100];
  size_t count;
  uint64_t found, done;
  mapfile *own = conf_open(with->path, MAPFILE_WRITE);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(own, 5, 1000, MAPFILE_COPY, &view);
  conf_unpin(&view);
  conf_close(own);
  conf_pin(with->file, 77, 5000, MAPFILE_COPY | MAPFILE_VERIFY, &view);
  EXPECT_STATUS(mapfile_read(with->file, 9, bytes, sizeof bytes, &count), MAPFILE_OK);
  EXPECT_STATUS(mapfile_write(with->file, 9, bytes, sizeof bytes, &count), MAPFILE_OK);
  EXPECT_STATUS(mapfile_find(with->file, 0, MAPFILE_TO_END, "no such thing", 13, &found, &done), MAPFILE_NOT_FOUND);
  conf_unpin(&view);
}

static void *call_on(void *argument) {
  cancelled *with = argument;
  for (;;) {
    atomic_store(&with->begun, true);
    call_everything(with);
    pthread_testcancel();
  }
  return NULL;
}

static void cancelled_amid_calls(void) {
  const uint64_t descriptors = conf_descriptors();
  cancelled with = {conf_make("file", 100000), NULL, false};
  with.file = conf_open(with.path, MAPFILE_WRITE);
  for (int i = 0; i < 30; i++) {
    pthread_t thread;
    void *result = NULL;
    atomic_store(&with.begun, false);
    EXPECT(pthread_create(&thread, NULL, call_on, &with) == 0);
    while (!atomic_load(&with.begun))
      sched_yield();
    conf_sleep_ms((unsigned)i % 3);
    EXPECT(pthread_cancel(thread) == 0);
    EXPECT(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    EXPECT_UINT(conf_stats(with.file).pinned_views, 0);
    EXPECT_UINT(conf_stats(NULL).open_files, 1);
  }
  EXPECT_STATUS(mapfile_park(with.file), MAPFILE_OK);
  conf_close(with.file);
  EXPECT_UINT(conf_descriptors(), descriptors);
}

/* fault-altstack */

enum { OTHER_STACK = 256 * 1024 };

static void use_other_stack(void) {
  stack_t stack;
  memset(&stack, 0, sizeof stack);
  stack.ss_sp = malloc(OTHER_STACK);
  stack.ss_size = OTHER_STACK;
  EXPECT(stack.ss_sp != NULL && sigaltstack(&stack, NULL) == 0);
}

static void drop_other_stack(void) {
  stack_t none, old;
  memset(&none, 0, sizeof none);
  none.ss_flags = SS_DISABLE;
  EXPECT(sigaltstack(&none, &old) == 0);
  free(old.ss_sp);
}

static void recover_often(void *argument) {
  conf_damaged *one = argument;
  stack_t now;
  use_other_stack();
  for (int i = 0; i < 300; i++) {
    conf_expect_recovery(one);
    EXPECT(sigaltstack(NULL, &now) == 0);
    EXPECT(now.ss_flags == 0 && now.ss_size == OTHER_STACK);
  }
  drop_other_stack();
}

static void altstack_used(void) {
  conf_damaged one;
  conf_thread threads[4];
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int i = 0; i < 4; i++)
    conf_thread_start(&threads[i], recover_often, &one, 0);
  for (int i = 0; i < 4; i++)
    conf_thread_join(&threads[i]);
  recover_often(&one);
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

/* A handler that runs on the alternate stack and has scopes of its own there, with scopes of the interrupted code open
   on the thread's stack. raise() delivers the signal at a place where any call is safe. */

static conf_damaged *in_handler;
static volatile sig_atomic_t handler_ran;

static void scoping_handler(int signo) {
  (void)signo;
  conf_expect_recovery(in_handler);
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_touch touch = {in_handler->data + in_handler->bad + 9, 0, 0};
  EXPECT_STATUS(mapfile_try(in_handler->file, &in_handler->view, conf_touch_body, &touch, &fault), MAPFILE_UNKNOWN);
  handler_ran++;
}

static mapfile_status MAPFILE_CALL raise_in_scope(void *argument) {
  conf_damaged *one = argument;
  raise(SIGUSR1);
  conf_expect_recovery(one);
  conf_load(one->data + one->bad + 70);
  return MAPFILE_OK;
}

static void altstack_scopes(void) {
  conf_damaged one;
  struct sigaction action;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  if (conf_under("ThreadSanitizer"))
    conf_not_testable("ThreadSanitizer runs handlers late, with all signals blocked");
  conf_damage(&one, "file", 6, 3, conf_live());
  in_handler = &one;
  memset(&action, 0, sizeof action);
  action.sa_handler = scoping_handler;
  action.sa_flags = SA_ONSTACK;
  EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
  use_other_stack();
  conf_expect_recovery(&one);
  raise(SIGUSR1);
  for (int i = 2; i <= 20; i++) {
    EXPECT_STATUS(mapfile_try(one.file, NULL, raise_in_scope, &one, &fault), MAPFILE_UNKNOWN);
    EXPECT_RECORD(&fault, one.file, one.data + one.bad + 70, one.bad + 70, MAPFILE_FAULT_READ);
    EXPECT_UINT(handler_ran, i);
  }
  drop_other_stack();
  conf_undamage(&one);
}

static conf_damaged *faulting;

static void faulting_handler(int signo) {
  (void)signo;
  conf_load(conf_die_at(faulting->data + faulting->bad + 33));
}

static mapfile_status MAPFILE_CALL raise_only(void *argument) {
  (void)argument;
  raise(SIGUSR1);
  return MAPFILE_OK;
}

/* A handler on the alternate stack faults itself: the scope of the code that it interrupted is not for it. */
static void die_in_handler(void *argument) {
  conf_damaged one;
  struct sigaction action;
  (void)argument;
  conf_damage(&one, "file", 6, 3, conf_live());
  faulting = &one;
  memset(&action, 0, sizeof action);
  action.sa_handler = faulting_handler;
  action.sa_flags = SA_ONSTACK;
  EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
  use_other_stack();
  conf_expect_recovery(&one);
  mapfile_try(one.file, NULL, raise_only, NULL, NULL);
}

static void altstack_handler_dies(void) {
  conf_expect_kills(die_in_handler, NULL);
}

/* A stack that is nobody's: coroutines may be moved or freed while a scope is open. */

#ifdef __GLIBC__
static ucontext_t main_context, coroutine_context;
static conf_damaged *coroutine_damage;
static mapfile_status coroutine_status;
static int coroutine_reached, coroutine_way;

static void coroutine(void) {
  conf_damaged *one = coroutine_damage;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_touch touch = {one->data, 0, 0};
  coroutine_status = mapfile_try(one->file, &one->view, conf_touch_body, &touch, NULL);
  coroutine_reached = touch.reached;
#ifdef MAPFILE_TRY
  volatile int way = 0;
  MAPFILE_TRY(one->file, &one->view, &fault) {
    way = 1;
  }
  MAPFILE_CATCH {
    way = 2;
  }
  MAPFILE_END_TRY
  coroutine_way = way;
#else
  coroutine_way = 2;
  (void)fault;
#endif
  swapcontext(&coroutine_context, &main_context);
}
#endif

static void coroutine_stack(void) {
#ifdef __GLIBC__
  conf_damaged one;
  if (conf_instrument() != NULL)
    conf_not_testable("%s does not know other stacks", conf_instrument());
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  coroutine_damage = &one;
  EXPECT(getcontext(&coroutine_context) == 0);
  coroutine_context.uc_stack.ss_sp = malloc(OTHER_STACK);
  coroutine_context.uc_stack.ss_size = OTHER_STACK;
  coroutine_context.uc_link = &main_context;
  makecontext(&coroutine_context, coroutine, 0);
  EXPECT(swapcontext(&main_context, &coroutine_context) == 0);
  EXPECT_STATUS(coroutine_status, MAPFILE_UNSUPPORTED);
  EXPECT_UINT(coroutine_reached, 0);
  EXPECT_UINT(coroutine_way, 2);
  free(coroutine_context.uc_stack.ss_sp);
  conf_expect_recovery(&one);
  conf_undamage(&one);
#else
  conf_not_testable("the C library has no makecontext");
#endif
}

/* fault-small-stack */

/* A stack that the program made itself, such as a thread pool's. */
static void given_stack(void) {
  conf_damaged one;
  pthread_attr_t attributes;
  pthread_t thread;
  size_t size = 1 << 20;
  void *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT(stack != MAP_FAILED);
  conf_damage(&one, "file", 6, 3, conf_live());
  pthread_attr_init(&attributes);
  EXPECT(pthread_attr_setstack(&attributes, stack, size) == 0);
  EXPECT(pthread_create(&thread, &attributes, recover_in_thread, &one) == 0);
  pthread_join(thread, NULL);
  pthread_attr_destroy(&attributes);
  munmap(stack, size);
  conf_undamage(&one);
}

/* The main thread's stack grows: scopes far down, where it has not been before. */
static __attribute__((noinline)) void recover_far_down(conf_damaged *one, unsigned megabytes) {
  volatile char room[1 << 20];
  room[0] = room[sizeof room - 1] = 1;
  if (megabytes > 0)
    recover_far_down(one, megabytes - 1);
  else
    conf_expect_recovery(one);
  EXPECT(room[0] + room[sizeof room - 1] == 2);
}

static void grown_stack(void) {
  conf_damaged one;
  conf_not_under_valgrind("cannot deliver a signal far down a stack that has just grown");
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  recover_far_down(&one, 5);
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

/* fault-dlopen: a program that is not linked with the library loads and unloads it. It says itself what it found; exit
   code 77 means that it could not try. */
static void load_and_unload(void) {
  const char *library = getenv("MAPFILE_TEST_LIBRARY"), *loader = getenv("MAPFILE_TEST_LOADER");
  int status = 0;
  if (library == NULL || *library == '\0' || loader == NULL || *loader == '\0')
    conf_not_testable("MAPFILE_TEST_LIBRARY and MAPFILE_TEST_LOADER do not name the shared library and its loader");
  pid_t child = fork();
  if (child == 0) {
    /* What it prints is its own protocol, not a record of this one. */
    dup2(2, 1);
    execl(loader, loader, library, (char *)NULL);
    _exit(127);
  }
  EXPECT(waitpid(child, &status, 0) == child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
    conf_not_testable("the library cannot be loaded here");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    conf_broken(__FILE__, __LINE__, "the loading program ended with status %#x; it says why on standard error",
                (unsigned)status);
}

#define N CONF_NO_FAULTS
#define BOTH(promise, name, meaning, run)                  \
  {promise, name, meaning, CONF_MAPPED, CONF_REAL, run}, { \
    promise, name, meaning, CONF_ANY, CONF_INJECTED, run   \
  }

static const conf_case table[] = {
    BOTH("fault-fork", "within", "Recovery fails in a child, or in its parent.", fork_within),
    BOTH("fault-fork", "in-scope", "A scope that was open when the process forked does not work in the child.",
         fork_and_fault_in_scope),
    BOTH("fault-thread-exit", "cancelled", "A thread that was cancelled in a scope breaks later threads.",
         thread_cancelled),
    {"threads", "cancelled", "A thread that is cancelled leaves a mapfile, or the library, locked.", CONF_ANY,
     CONF_NO_FAULTS, cancelled_amid_calls},
    BOTH("fault-altstack", "used", "Recovery fails where the handler runs on an alternate stack.", altstack_used),
    BOTH("fault-altstack", "scopes", "Scopes on the alternate stack catch the wrong faults.", altstack_scopes),
    BOTH("fault-altstack", "handler-dies", "A fault of a signal handler is caught by the code it interrupted.",
         altstack_handler_dies),
    BOTH("fault-altstack", "coroutine", "A scope on a coroutine's stack is entered though it cannot be left.",
         coroutine_stack),
    BOTH("fault-small-stack", "given", "Recovery fails on stacks that the program made.", given_stack),
    BOTH("fault-small-stack", "grown", "Recovery fails far down the main thread's stack.", grown_stack),
    {"fault-dlopen", "load-and-unload", "Unloading the library leaves a handler that is not there.", CONF_ONCE,
     CONF_REAL, load_and_unload},
};

CONF_GROUP(conf_stacks, "stacks on POSIX");
