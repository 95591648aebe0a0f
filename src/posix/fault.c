/*
 * posix/fault.c - the signal handler: takes the faults that are ours, hands on those that are not.
 *
 * SPDX-License-Identifier: MIT
 *
 * Promises kept here: fault-range, fault-user, fault-order, fault-mask, fault-cpu-state, handler-pure. docs/faults.md
 * tells the reasons at length. Every function marked "handler" runs in the signal handler: no lock, no allocation.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "../os.h"
#include "processor.h"
#include "status.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/auxv.h>
#endif
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef BUS_MCEERR_AR
#define BUS_MCEERR_AR 4
#define BUS_MCEERR_AO 5
#endif

/*
 * The handlers that were there before ours. Each time ours is installed over another one, it takes a free record and
 * with it the entry below of the same number, which hands on to that record, or an older one, alone. So a handler that
 * was installed over one entry and goes back to it, by a call, by raise or by putting it back and letting the fault
 * happen again, gets on to what was there before that entry, and never round in a circle through a later one (promise
 * fault-order). A record is used again only when nobody can go back to its entry any more.
 */

typedef struct previous {
  struct sigaction action;
  atomic_uint turn;       /* the how-manieth installation it belongs to, 0: free */
  atomic_bool spent;      /* SA_RESETHAND, and called once */
  atomic_bool superseded; /* the same handler was installed again over a later entry, and is called from there */
} previous;

enum { MOST_PREVIOUS = 16 };

typedef struct signal_state {
  int signo;
  previous records[MOST_PREVIOUS];
  unsigned turns; /* installations so far; locked */
} signal_state;

static signal_state bus = {.signo = SIGBUS};
static signal_state segv = {.signo = SIGSEGV};

static signal_state *state_of(int signo) {
  if (signo == SIGBUS)
    return &bus;
  return signo == SIGSEGV ? &segv : NULL;
}

/*
 * Handing on
 */

/* handler: what a default action does, with the signal's own information: the signal is queued to this thread again and
   strikes when the handler returns, even if the fault has healed meanwhile. */
static void die_by_default(int signo, siginfo_t *info) {
  struct sigaction standard;
  memset(&standard, 0, sizeof standard);
  standard.sa_handler = SIG_DFL;
  sigemptyset(&standard.sa_mask);
  sigaction(signo, &standard, NULL);
#if defined(__linux__) && defined(SYS_rt_tgsigqueueinfo)
  if (syscall(SYS_rt_tgsigqueueinfo, getpid(), (pid_t)syscall(SYS_gettid), signo, info) == 0)
    return;
#endif
  /* Sent by the kernel: it happens again when the handler returns. Sent by a process: do it again. */
  if (info == NULL || info->si_code <= 0)
    raise(signo);
}

/* handler: call a handler as the system would have: its mask, SA_NODEFER and SA_RESETHAND count. */
static void call_previous(previous *record, int signo, siginfo_t *info, void *context) {
  const struct sigaction *action = &record->action;
  sigset_t blocked = action->sa_mask, saved, own;
  pthread_sigmask(SIG_BLOCK, &blocked, &saved);
  sigemptyset(&own);
  sigaddset(&own, signo);
  pthread_sigmask((action->sa_flags & SA_NODEFER) != 0 && !sigismember(&blocked, signo) ? SIG_UNBLOCK : SIG_BLOCK, &own,
                  NULL);
  if (((unsigned)action->sa_flags & (unsigned)SA_RESETHAND) != 0)
    atomic_store(&record->spent, true);
  if ((action->sa_flags & SA_SIGINFO) != 0)
    action->sa_sigaction(signo, info, context);
  else
    action->sa_handler(signo);
  pthread_sigmask(SIG_SETMASK, &saved, NULL);
}

static bool sent_by_kernel(const siginfo_t *info) {
  return info->si_code > 0;
}

/* handler: the record that an entry hands on to, NULL: none. A handler that was installed again over a later entry has
   forgotten what it was installed over before: called once more from the earlier entry, it would come back here. */
static previous *record_of(signal_state *state, unsigned entry) {
  unsigned last = atomic_load(&state->records[entry].turn), best_turn = 0;
  previous *best = NULL;
  for (unsigned i = 0; i < MOST_PREVIOUS; i++) {
    unsigned turn = atomic_load(&state->records[i].turn);
    if (turn > best_turn && turn <= last && !atomic_load(&state->records[i].superseded)) {
      best = &state->records[i];
      best_turn = turn;
    }
  }
  return best;
}

/* handler */
static void hand_to(previous *record, int signo, siginfo_t *info, void *context) {
  bool none = record == NULL || atomic_load(&record->spent) ||
              ((record->action.sa_flags & SA_SIGINFO) == 0 && record->action.sa_handler == SIG_DFL);
  if (!none && (record->action.sa_flags & SA_SIGINFO) == 0 && record->action.sa_handler == SIG_IGN) {
    /* The kernel does not let its own faults be ignored; calling that handled would repeat the fault for ever. */
    if (!sent_by_kernel(info))
      return;
    none = true;
  }
  if (none)
    die_by_default(signo, info);
  else
    call_previous(record, signo, info, context);
}

/*
 * Taking
 */

/* handler: is this a fault of the kind that a bad page of a file raises? Everything else is never matched: what a
   process sent has no address (si_addr aliases si_pid), alignment errors and asynchronous reports are not about a page
   that was touched. */
static bool is_page_fault(int signo, const siginfo_t *info, os_fault *fault) {
  fault->status = MAPFILE_UNKNOWN;
  fault->length = mf_page_size;
  if (signo == SIGBUS) {
    if (info->si_code == BUS_MCEERR_AR) {
      fault->status = MAPFILE_POISONED;
#ifdef si_addr_lsb
      if (info->si_addr_lsb > 0 && info->si_addr_lsb < 32 && (UINT64_C(1) << info->si_addr_lsb) > fault->length)
        fault->length = UINT64_C(1) << info->si_addr_lsb;
#endif
      return true;
    }
    return info->si_code == BUS_ADRERR || info->si_code == BUS_OBJERR;
  }
  if (signo != SIGSEGV || (mf_handler_flags() & MAPFILE_HANDLER_ACCESS) == 0)
    return false;
  fault->status = info->si_code == SEGV_ACCERR ? MAPFILE_PROTECTED : MAPFILE_RELEASED;
  return info->si_code == SEGV_ACCERR || info->si_code == SEGV_MAPERR;
}

bool os_fault_is_violation(int signo) {
#ifdef __linux__
  return signo == SIGSEGV;
#else
  (void)signo;
  return false;
#endif
}

/* On the landing pad: normal context, but for the registers that the interrupted code had in use. */
static _Noreturn void landed(void *scope) {
#if MF_USE_LANDING
  processor_clean();
#endif
  mf_scope_land(scope);
}

/* handler: make the thread go on at the scope. Where it returns, so must the handler. */
static void leave_to(mapfile_scope *scope, ucontext_t *context) {
#if MF_USE_LANDING
  /* The handler returns as usual, so the kernel restores the mask and the stack, and sanitizers see nothing odd. */
  processor_land(context, landed, scope);
#else
  /* longjmp restores no mask (saving it would cost each scope a system call): the interrupted one is put back here. */
  pthread_sigmask(SIG_SETMASK, &context->uc_sigmask, NULL);
  processor_restore_modes(context);
  landed(scope);
#endif
}

/* handler */
int MAPFILE_CALL mapfile_handle_signal(int signo, void *siginfo, void *ucontext) {
  const siginfo_t *info = siginfo;
  ucontext_t *context = ucontext;
  os_fault fault = {.address_only = false};
  processor_begin_handler();
  if (!is_page_fault(signo, info, &fault))
    return 0;
  fault.address = (uintptr_t)info->si_addr;
  fault.stack_pointer = processor_stack_pointer(context);
  fault.other_low = (uintptr_t)context->uc_stack.ss_sp;
  fault.other_high = fault.other_low + context->uc_stack.ss_size;
  fault.access = processor_access(context);
  fault.signal = signo;
  fault.code = info->si_code;
  bool resume;
  mapfile_scope *scope = mf_scope_take(&fault, &resume);
  if (scope != NULL)
    leave_to(scope, context);
  return scope != NULL || resume;
}

int MAPFILE_CALL mapfile_handle_exception(void *exception_pointers) {
  (void)exception_pointers;
  return 0;
}

static void handle(unsigned entry, int signo, siginfo_t *info, void *context) {
  int error = errno;
  if (!mapfile_handle_signal(signo, info, context))
    hand_to(record_of(state_of(signo), entry), signo, info, context);
  errno = error;
}

#define ENTRY(number)                                                      \
  static void handle_##number(int signo, siginfo_t *info, void *context) { \
    handle(number, signo, info, context);                                  \
  }

ENTRY(0)
ENTRY(1)
ENTRY(2)
ENTRY(3)
ENTRY(4)
ENTRY(5)
ENTRY(6)
ENTRY(7)
ENTRY(8)
ENTRY(9)
ENTRY(10)
ENTRY(11)
ENTRY(12)
ENTRY(13)
ENTRY(14)
ENTRY(15)

static void (*const entries[MOST_PREVIOUS])(int, siginfo_t *, void *) = {
    handle_0, handle_1, handle_2,  handle_3,  handle_4,  handle_5,  handle_6,  handle_7,
    handle_8, handle_9, handle_10, handle_11, handle_12, handle_13, handle_14, handle_15};

/*
 * Installing
 */

static bool is_ours(const struct sigaction *action) {
  if ((action->sa_flags & SA_SIGINFO) == 0)
    return false;
  for (unsigned i = 0; i < MOST_PREVIOUS; i++)
    if (action->sa_sigaction == entries[i])
      return true;
  return false;
}

/* The same function, and not one of the system's own actions, which chain to nobody. */
static bool same_handler(const struct sigaction *one, const struct sigaction *other) {
  if (((one->sa_flags ^ other->sa_flags) & SA_SIGINFO) != 0)
    return false;
  if ((one->sa_flags & SA_SIGINFO) != 0)
    return one->sa_sigaction == other->sa_sigaction;
  return one->sa_handler == other->sa_handler && one->sa_handler != SIG_DFL && one->sa_handler != SIG_IGN;
}

/* The system does not let handlers be looked at or installed: a sandbox. */
static mapfile_status refused(int error) {
  mf_set_native_error(error);
  return MAPFILE_UNSUPPORTED;
}

static bool is_system_action(const struct sigaction *action) {
  return (action->sa_flags & SA_SIGINFO) == 0 && (action->sa_handler == SIG_DFL || action->sa_handler == SIG_IGN);
}

/* Can nobody go back to this record's entry? That is known of what was laid over the entry, which is the next record: a
   system action remembers nothing, and a handler that was installed again since remembers a later entry. The record
   must not be needed as another's elder either. */
static bool is_forgotten(const signal_state *state, const previous *record) {
  const previous *next = NULL;
  for (unsigned i = 0; i < MOST_PREVIOUS; i++) {
    const previous *other = &state->records[i];
    if (other->turn > record->turn && (next == NULL || other->turn < next->turn))
      next = other;
  }
  if (next == NULL)
    return false;
  return is_system_action(&next->action) || (record->superseded && next->superseded);
}

static previous *free_record(signal_state *state) {
  for (unsigned i = 0; i < MOST_PREVIOUS; i++)
    if (state->records[i].turn == 0)
      return &state->records[i];
  for (unsigned i = 0; i < MOST_PREVIOUS; i++)
    if (is_forgotten(state, &state->records[i]))
      return &state->records[i];
  return NULL;
}

static void supersede(signal_state *state, const previous *latest) {
  for (unsigned i = 0; i < MOST_PREVIOUS; i++)
    if (&state->records[i] != latest && state->records[i].turn != 0 &&
        same_handler(&state->records[i].action, &latest->action))
      atomic_store(&state->records[i].superseded, true);
}

static mapfile_status install(signal_state *state) {
  struct sigaction now, ours;
  if (sigaction(state->signo, NULL, &now) != 0)
    return refused(errno);
  if (is_ours(&now))
    return MAPFILE_OK;
  previous *record = free_record(state);
  if (record == NULL)
    return MAPFILE_LIMIT;
  atomic_store(&record->turn, 0);
  record->action = now;
  atomic_store(&record->spent, false);
  atomic_store(&record->superseded, false);
  atomic_store(&record->turn, ++state->turns);
  memset(&ours, 0, sizeof ours);
  ours.sa_sigaction = entries[record - state->records];
  /* SA_ONSTACK: a thread may have little stack of its own left; without an alternate stack it means nothing. */
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  /* System calls that a signal sent by a process interrupts go on, or not, as with the previous handler. */
  if ((now.sa_flags & SA_RESTART) != 0 || ((now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_IGN))
    ours.sa_flags |= SA_RESTART;
  sigemptyset(&ours.sa_mask);
  if (sigaction(state->signo, &ours, NULL) != 0) {
    int error = errno;
    atomic_store(&record->turn, 0);
    return refused(error);
  }
  supersede(state, record);
  return MAPFILE_OK;
}

mapfile_status os_fault_install(uint32_t flags) {
  if ((flags & MAPFILE_HANDLER_HOST) != 0)
    return MAPFILE_OK;
  mapfile_status status = install(&bus);
  if (status == MAPFILE_OK && (flags & MAPFILE_HANDLER_ACCESS) != 0)
    status = install(&segv);
  return status;
}

mapfile_status os_fault_rearm(uint32_t flags) {
  return os_fault_install(flags);
}

static mapfile_status check(const signal_state *state) {
  struct sigaction now;
  if (sigaction(state->signo, NULL, &now) != 0)
    return refused(errno);
  return is_ours(&now) ? MAPFILE_OK : MAPFILE_CHANGED;
}

mapfile_status os_fault_check(uint32_t flags) {
  mapfile_status status = check(&bus);
  if (status == MAPFILE_OK && (flags & MAPFILE_HANDLER_ACCESS) != 0)
    status = check(&segv);
  return status;
}

/*
 * Threads and stacks
 */

mapfile_status os_fault_prepare_thread(uint32_t flags) {
  sigset_t wanted, blocked;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGBUS);
  if ((flags & MAPFILE_HANDLER_ACCESS) != 0)
    sigaddset(&wanted, SIGSEGV);
  if ((flags & MAPFILE_HANDLER_UNBLOCK) != 0) {
    int error = pthread_sigmask(SIG_UNBLOCK, &wanted, NULL);
    return error == 0 ? MAPFILE_OK : mf_status_from_errno(error);
  }
  int error = pthread_sigmask(SIG_BLOCK, NULL, &blocked);
  if (error != 0)
    return mf_status_from_errno(error);
  mf_set_native_error(0);
  if (sigismember(&blocked, SIGBUS))
    return MAPFILE_UNSUPPORTED;
  if ((flags & MAPFILE_HANDLER_ACCESS) != 0 && sigismember(&blocked, SIGSEGV))
    return MAPFILE_UNSUPPORTED;
  return MAPFILE_OK;
}

/* The main thread's stack grows, and C libraries look for its bounds in /proc or by trying. The kernel has put the
   program's name and some random bytes above its first frame, so its top is known without either. */
static bool main_stack_bounds(uintptr_t *low, uintptr_t *high) {
#ifdef __linux__
  const uintptr_t most = sizeof(void *) > 4 ? (uintptr_t)1 << 30 : (uintptr_t)64 << 20, usual = (uintptr_t)8 << 20;
  struct rlimit limit;
  uintptr_t room = usual, here = (uintptr_t)__builtin_frame_address(0);
  uintptr_t name = (uintptr_t)getauxval(AT_EXECFN), random = (uintptr_t)getauxval(AT_RANDOM);
  uintptr_t top = name > random ? name : random;
  if (getpid() != (pid_t)syscall(SYS_gettid) || top <= here)
    return false;
  if (getrlimit(RLIMIT_STACK, &limit) == 0)
    room = limit.rlim_cur < most ? (uintptr_t)limit.rlim_cur : most;
  /* Not this stack after all: a process forked by another thread than the main one runs on that thread's stack. */
  if (top - here > room)
    return false;
  *high = top;
  *low = room < top ? top - room : 0;
  return true;
#else
  (void)low;
  (void)high;
  return false;
#endif
}

mapfile_status os_stack_bounds(uintptr_t *low, uintptr_t *high) {
  pthread_attr_t attributes;
  void *start;
  size_t size;
  if (main_stack_bounds(low, high))
    return MAPFILE_OK;
  int error = pthread_getattr_np(pthread_self(), &attributes);
  if (error != 0)
    return mf_status_from_errno(error);
  error = pthread_attr_getstack(&attributes, &start, &size);
  pthread_attr_destroy(&attributes);
  if (error != 0)
    return mf_status_from_errno(error);
  *low = (uintptr_t)start;
  *high = *low + size;
  return MAPFILE_OK;
}

bool os_on_other_stack(uintptr_t here, uintptr_t *low, uintptr_t *high) {
  stack_t other;
  if (sigaltstack(NULL, &other) != 0 || (other.ss_flags & SS_ONSTACK) == 0)
    return false;
  *low = (uintptr_t)other.ss_sp;
  *high = *low + other.ss_size;
  return here >= *low && here < *high;
}
