/*
 * posix/thread.c - the lock, start-up, fork, and the library's own thread.
 *
 * SPDX-License-Identifier: MIT
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "../internal.h"
#include "cancel.h"
#include "status.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

MF_USED _Thread_local mf_thread mf_this_thread MF_TLS_MODEL;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken; /* made at the start, and anew in a child */
static pthread_cond_t loaded = PTHREAD_COND_INITIALIZER;
static atomic_bool begun;

/* A clock that nobody sets, where waiting can go by it. */
#if defined(_POSIX_CLOCK_SELECTION) && _POSIX_CLOCK_SELECTION > 0
#define WAITING_CLOCK CLOCK_MONOTONIC
#else
#define WAITING_CLOCK CLOCK_REALTIME
#endif

void os_lock(void) {
  pthread_mutex_lock(&lock);
}

void os_unlock(void) {
  pthread_mutex_unlock(&lock);
}

static int make_condition(void) {
  pthread_condattr_t attributes;
  int error = pthread_condattr_init(&attributes);
  if (error != 0)
    return error;
#if defined(_POSIX_CLOCK_SELECTION) && _POSIX_CLOCK_SELECTION > 0
  error = pthread_condattr_setclock(&attributes, WAITING_CLOCK);
#endif
  if (error == 0)
    error = pthread_cond_init(&woken, &attributes);
  pthread_condattr_destroy(&attributes);
  return error;
}

/* Promise fork: the lock is taken around the fork, so the child finds all that it guards in order, and free. The thread
   that waited is not there, and what it left in the condition variable means nothing. */
static void in_child(void) {
  static const pthread_cond_t fresh = PTHREAD_COND_INITIALIZER;
  loaded = fresh;
  make_condition();
  mf_process_after_fork();
  mf_idle_after_fork();
  pthread_mutex_unlock(&lock);
}

/* Not pthread_once: what fails for want of memory is tried again by the next call. */
mapfile_status os_begin_once(void) {
  int error = 0;
  if (atomic_load_explicit(&begun, memory_order_acquire))
    return MAPFILE_OK;
  os_lock();
  if (!atomic_load(&begun)) {
    error = make_condition();
    if (error == 0)
      error = pthread_atfork(os_lock, os_unlock, in_child);
    if (error == 0) {
      mf_process_begin();
      atomic_store(&begun, true);
    }
  }
  os_unlock();
  return error == 0 ? MAPFILE_OK : mf_status_from_errno(error);
}

unsigned os_processors(void) {
  long number = sysconf(_SC_NPROCESSORS_ONLN);
  return number > 0 ? (unsigned)number : 1;
}

uint64_t os_milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int64_t os_file_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
}

void os_load_wait(void) {
  WITHOUT_CANCELLATION(pthread_cond_wait(&loaded, &lock));
}

void os_load_done(void) {
  pthread_cond_broadcast(&loaded);
}

void os_sleep(uint32_t milliseconds) {
  struct timespec rest = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
  int result;
  do
    WITHOUT_CANCELLATION(result = nanosleep(&rest, &rest));
  while (result != 0 && errno == EINTR);
}

/*
 * The library's own thread
 */

/* Enough for a trace hook that prints; where static thread-local storage leaves too little of it, the system's size. */
enum { STACK_SIZE = 256 * 1024 };

static void *run_thread(void *run) {
  (*(void (**)(void))run)();
  return NULL;
}

static int start_thread(void *run, size_t stack) {
  pthread_attr_t attributes;
  pthread_t thread;
  int error = pthread_attr_init(&attributes);
  if (error != 0)
    return error;
  error = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  if (error == 0 && stack != 0)
    error = pthread_attr_setstacksize(&attributes, stack);
  if (error == 0)
    error = pthread_create(&thread, &attributes, run_thread, run);
  pthread_attr_destroy(&attributes);
  return error;
}

/* The signals of the program are for the program's threads: a new thread has its maker's mask. */
mapfile_status os_thread_start(void (*run)(void)) {
  static void (*kept)(void);
  sigset_t all, before;
  kept = run;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = start_thread(&kept, STACK_SIZE);
  if (error == EINVAL)
    error = start_thread(&kept, 0);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error == 0)
    return MAPFILE_OK;
  mf_set_native_error(error);
  return MAPFILE_LIMIT;
}

/* The end of a wait, by the condition variable's clock. */
static struct timespec time_from_now(uint32_t milliseconds) {
  struct timespec end;
  clock_gettime(WAITING_CLOCK, &end);
  end.tv_sec += (time_t)(milliseconds / 1000);
  end.tv_nsec += (long)(milliseconds % 1000) * 1000000;
  if (end.tv_nsec >= 1000000000) {
    end.tv_nsec -= 1000000000;
    end.tv_sec++;
  }
  return end;
}

void os_wait(uint32_t milliseconds) {
  if (milliseconds == UINT32_MAX) {
    pthread_cond_wait(&woken, &lock);
    return;
  }
  struct timespec end = time_from_now(milliseconds);
  pthread_cond_timedwait(&woken, &lock, &end);
}

void os_wake(void) {
  pthread_cond_signal(&woken);
}
