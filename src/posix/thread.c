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
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int begin_error;

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

static void begin(void) {
  mf_process_begin();
  begin_error = pthread_atfork(os_lock, os_unlock, in_child);
}

mapfile_status os_begin_once(void) {
  pthread_once(&once, begin);
  return begin_error == 0 ? MAPFILE_OK : mf_status_from_errno(begin_error);
}

unsigned os_processors(void) {
  long number = sysconf(_SC_NPROCESSORS_ONLN);
  return number > 0 ? (unsigned)number : 1;
}
