/*
 * posix/thread.c - the lock, start-up, fork.
 *
 * SPDX-License-Identifier: MIT
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "../os.h"
#include "status.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

_Thread_local mf_thread mf_this_thread MF_TLS_MODEL;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool begun;

void os_lock(void) {
  pthread_mutex_lock(&lock);
}

void os_unlock(void) {
  pthread_mutex_unlock(&lock);
}

/* Promise fork: the lock is taken around the fork, so the child finds all that it guards in order, and free. */
static void in_child(void) {
  mf_process_after_fork();
  pthread_mutex_unlock(&lock);
}

/* Not pthread_once: what fails for want of memory is tried again by the next call. */
mapfile_status os_begin_once(void) {
  int error = 0;
  if (atomic_load_explicit(&begun, memory_order_acquire))
    return MAPFILE_OK;
  os_lock();
  if (!atomic_load(&begun)) {
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
