/*
 * sigsegv/sigsegv.c - puts libmapfile's host-callable handler behind libsigsegv's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libsigsegv calls its one global handler with an address, first with serious 0, and again with serious 1 when the
 * fault was no stack overflow; what lies in between, the interrupted signal mask above all, it keeps to itself. A
 * handler that leaves by sigsegv_leave_handler must put the mask back, and would have to guess it: libsigsegv blocks
 * some twenty signals while its handler runs, and which of them the interrupted code had blocked itself cannot be seen
 * any more. So these are taken out of the mask of libsigsegv's sigaction. The handler then runs with the mask of the
 * interrupted code and SIGSEGV, which that code cannot have blocked. For everything that is not ours the signals are
 * blocked first thing, so that the program's handlers run as they always did.
 *
 * libsigsegv installs its sigaction anew now and then (stackoverflow_install_handler does). That is noticed at the next
 * fault: the mask is taken out again and the faulting instruction is let run once more, to fault with its own mask.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "mapfile-sigsegv.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sigsegv.h>
#include <stdatomic.h>
#include <stdbool.h>

#ifndef MF_TLS_MODEL
#define MF_TLS_MODEL
#endif

#ifndef NSIG
#define NSIG 32
#endif

/* A signal that libsigsegv may have hooked. */
typedef struct hook {
  int signo;
  bool hooked;
  struct sigaction before; /* what was there at the first attach */
} hook;

static hook hooks[] = {{.signo = SIGSEGV}, {.signo = SIGBUS}};

enum { SEGV = 0, BUS = 1, HOOKS = 2 };

/* How libsigsegv installs its handler. Learnt at the first attach, the same ever after but for SA_ONSTACK. */
static struct sigaction theirs;
static bool learnt;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool attached;
static _Atomic(mapfile_sigsegv_handler) program_handler;

/* The address of a fault that was let happen again. */
static _Thread_local const void *repeated MF_TLS_MODEL;

/*
 * Sets of signals
 */

static bool holds_any(const sigset_t *set, const sigset_t *others) {
  for (int signo = 1; signo < NSIG; signo++)
    if (sigismember(others, signo) == 1 && sigismember(set, signo) == 1)
      return true;
  return false;
}

static bool holds_all(const sigset_t *set, const sigset_t *others) {
  for (int signo = 1; signo < NSIG; signo++)
    if (sigismember(others, signo) == 1 && sigismember(set, signo) != 1)
      return false;
  return true;
}

static void add_all(sigset_t *set, const sigset_t *others) {
  for (int signo = 1; signo < NSIG; signo++)
    if (sigismember(others, signo) == 1)
      sigaddset(set, signo);
}

/*
 * libsigsegv's sigaction
 */

static bool is_theirs(const struct sigaction *action) {
  return learnt && (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == theirs.sa_sigaction;
}

static void set_mask(const sigset_t *mask) {
  for (unsigned i = 0; i < HOOKS; i++) {
    struct sigaction now;
    if (!hooks[i].hooked || sigaction(hooks[i].signo, NULL, &now) != 0 || !is_theirs(&now))
      continue;
    now.sa_mask = *mask;
    sigaction(hooks[i].signo, &now, NULL);
  }
}

static void take_mask_out(void) {
  sigset_t none;
  sigemptyset(&none);
  set_mask(&none);
}

/*
 * In the handler
 */

/* handler: which signals are blocked now that were not when the fault happened? false: that cannot be told before the
   fault has happened once more. */
static bool find_blocked(const void *address, sigset_t *blocked) {
  struct sigaction now;
  sigset_t mask;
  sigemptyset(blocked);
  for (unsigned i = 0; i < HOOKS; i++)
    if (hooks[i].hooked)
      sigaddset(blocked, hooks[i].signo);
  sigaction(SIGSEGV, NULL, &now);
  if (!is_theirs(&now)) {
    /* Another library's handler lies above and calls libsigsegv's. Its mask is its own affair: all that it may have
       blocked is unblocked, since a signal that stays blocked for ever is worse than one that comes a little early. */
    add_all(blocked, &now.sa_mask);
    add_all(blocked, &theirs.sa_mask);
    return true;
  }
  if (holds_any(&now.sa_mask, &theirs.sa_mask)) {
    take_mask_out();
    return false;
  }
  /* The mask may have been taken out by another thread since this one came here. */
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  if (repeated != address && holds_all(&mask, &theirs.sa_mask)) {
    repeated = address;
    return false;
  }
  return true;
}

/* handler: the last step, on the way out of it. */
static void go_on(void *resume, void *argument, void *unused) {
  (void)unused;
  ((void(MAPFILE_CALL *)(void *))(uintptr_t)resume)(argument);
}

static int handle(void *address, int serious) {
  int error = errno;
  int signo = hooks[BUS].hooked ? 0 : SIGSEGV;
  if (atomic_load(&attached) && mapfile_handle_address(signo, address, NULL, NULL)) {
    void(MAPFILE_CALL * resume)(void *);
    void *argument;
    sigset_t blocked;
    if (!find_blocked(address, &blocked)) {
      errno = error;
      return 1;
    }
    repeated = NULL;
    if (mapfile_handle_address(signo, address, &resume, &argument)) {
      pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
      errno = error;
      return sigsegv_leave_handler(go_on, (void *)(uintptr_t)resume, argument, NULL);
    }
  }
  /* As libsigsegv has it: for the program's handler here, and for its stack-overflow handler after this one. */
  if (atomic_load(&attached))
    pthread_sigmask(SIG_BLOCK, &theirs.sa_mask, NULL);
  errno = error;
  mapfile_sigsegv_handler handler = atomic_load(&program_handler);
  return handler != NULL ? handler(address, serious) : 0;
}

/*
 * Attaching
 */

/* locked: what libsigsegv has just installed. */
static void learn(void) {
  struct sigaction now;
  for (unsigned i = 0; i < HOOKS; i++) {
    if (sigaction(hooks[i].signo, NULL, &now) != 0)
      continue;
    if (i == SEGV && !learnt) {
      theirs = now;
      learnt = true;
    }
    hooks[i].hooked = is_theirs(&now);
  }
}

mapfile_status MAPFILE_CALL mapfile_sigsegv_attach(mapfile_sigsegv_handler handler) {
  mapfile_status status = MAPFILE_OK;
  pthread_mutex_lock(&lock);
  if (!atomic_load(&attached))
    for (unsigned i = 0; i < HOOKS; i++)
      sigaction(hooks[i].signo, NULL, &hooks[i].before);
  mapfile_sigsegv_handler former = atomic_exchange(&program_handler, handler);
  if (sigsegv_install_handler(handle) == 0) {
    if (!atomic_load(&attached))
      learn();
    atomic_store(&attached, true);
    take_mask_out();
  } else {
    atomic_store(&program_handler, former);
    status = MAPFILE_UNSUPPORTED;
  }
  pthread_mutex_unlock(&lock);
  return status;
}

/* locked: put back what was there before libsigsegv. A stack-overflow handler, which shows in SA_ONSTACK, stays. */
static void put_back(void) {
  for (unsigned i = 0; i < HOOKS; i++) {
    struct sigaction now;
    if (hooks[i].hooked && sigaction(hooks[i].signo, NULL, &now) == 0 && is_theirs(&now) &&
        (now.sa_flags & SA_ONSTACK) == 0)
      sigaction(hooks[i].signo, &hooks[i].before, NULL);
  }
  set_mask(&theirs.sa_mask);
}

mapfile_status MAPFILE_CALL mapfile_sigsegv_detach(void) {
  struct sigaction now;
  mapfile_status status = MAPFILE_OK;
  pthread_mutex_lock(&lock);
  mapfile_sigsegv_handler handler = atomic_load(&program_handler);
  if (!atomic_load(&attached)) {
    status = MAPFILE_INVALID;
  } else if (sigaction(SIGSEGV, NULL, &now) != 0 || !is_theirs(&now)) {
    atomic_store(&attached, false);
    status = MAPFILE_CHANGED;
  } else {
    atomic_store(&attached, false);
    if (!is_theirs(&hooks[SEGV].before))
      put_back();
    else if (handler != NULL)
      sigsegv_install_handler(handler);
    else
      sigsegv_deinstall_handler();
    set_mask(&theirs.sa_mask);
  }
  pthread_mutex_unlock(&lock);
  return status;
}
