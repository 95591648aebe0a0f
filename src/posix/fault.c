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

#include "../internal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef BUS_MCEERR_AR
#define BUS_MCEERR_AR 4
#define BUS_MCEERR_AO 5
#endif

/*
 * The handlers that were there before ours. Each time ours is installed over another one, a record is put in front;
 * records are never changed nor freed, because a handler may be reading them.
 */

typedef struct previous {
  struct sigaction action;
  atomic_bool spent;            /* SA_RESETHAND, and called once */
  const struct previous *older; /* what was there when the one before was installed; for handlers that chain to us */
} previous;

enum { MOST_PREVIOUS = 16 };

typedef struct signal_state {
  int signo;
  previous records[MOST_PREVIOUS];
  unsigned used;                    /* locked */
  _Atomic(const previous *) newest; /* NULL: none of ours is installed */
} signal_state;

static signal_state bus = {.signo = SIGBUS};
static signal_state segv = {.signo = SIGSEGV};

static signal_state *state_of(int signo) {
  if (signo == SIGBUS)
    return &bus;
  return signo == SIGSEGV ? &segv : NULL;
}

/* A previous handler that chains to ours calls it again for the same signal. The mark says that this thread is handing
   a fault on, and how deep, so that the second call goes to the handler before that one and not round in a circle. A
   previous handler may also never return (it jumps); then the mark is stale, which the frame's address, the context and
   the fault's address show. */
static _Thread_local struct declining {
  uintptr_t frame;
  const void *context;
  const void *address;
  unsigned depth;
} declining MF_TLS_MODEL;

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
static void call_previous(const previous *record, int signo, siginfo_t *info, void *context) {
  const struct sigaction *action = &record->action;
  sigset_t blocked = action->sa_mask, saved, own;
  pthread_sigmask(SIG_BLOCK, &blocked, &saved);
  sigemptyset(&own);
  sigaddset(&own, signo);
  pthread_sigmask((action->sa_flags & SA_NODEFER) != 0 && !sigismember(&blocked, signo) ? SIG_UNBLOCK : SIG_BLOCK, &own,
                  NULL);
  if (((unsigned)action->sa_flags & (unsigned)SA_RESETHAND) != 0)
    atomic_store(&((previous *)(uintptr_t)record)->spent, true);
  if ((action->sa_flags & SA_SIGINFO) != 0)
    action->sa_sigaction(signo, info, context);
  else
    action->sa_handler(signo);
  pthread_sigmask(SIG_SETMASK, &saved, NULL);
}

static bool sent_by_kernel(const siginfo_t *info) {
  return info->si_code > 0;
}

/* handler */
static void hand_to(const previous *record, int signo, siginfo_t *info, void *context) {
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

/* handler */
static void decline(int signo, siginfo_t *info, void *context) {
  uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
  struct declining outer = declining;
  bool chained = outer.context == context && outer.address == info->si_addr && frame < outer.frame;
  unsigned depth = chained ? outer.depth + 1 : 0;
  const previous *record = atomic_load(&state_of(signo)->newest);
  for (unsigned passed = 0; passed < depth && record != NULL; passed++)
    record = record->older;
  declining = (struct declining){frame, context, info->si_addr, depth};
  atomic_signal_fence(memory_order_seq_cst);
  hand_to(record, signo, info, context);
  atomic_signal_fence(memory_order_seq_cst);
  if (chained)
    declining = outer;
  else
    declining = (struct declining){0, NULL, NULL, 0};
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
  landed(scope);
#endif
}

/* handler */
int MAPFILE_CALL mapfile_handle_signal(int signo, void *siginfo, void *ucontext) {
  const siginfo_t *info = siginfo;
  ucontext_t *context = ucontext;
  os_fault fault;
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

static void handle(int signo, siginfo_t *info, void *context) {
  int error = errno;
  if (!mapfile_handle_signal(signo, info, context))
    decline(signo, info, context);
  errno = error;
}

/*
 * Installing
 */

static bool is_ours(const struct sigaction *action) {
  return (action->sa_flags & SA_SIGINFO) != 0 && action->sa_sigaction == handle;
}

static mapfile_status install(signal_state *state) {
  struct sigaction now, ours;
  if (sigaction(state->signo, NULL, &now) != 0)
    return mf_status_from_errno(errno);
  if (is_ours(&now))
    return MAPFILE_OK;
  if (state->used == MOST_PREVIOUS)
    return MAPFILE_LIMIT;
  previous *record = &state->records[state->used];
  record->action = now;
  atomic_store(&record->spent, false);
  record->older = atomic_load(&state->newest);
  memset(&ours, 0, sizeof ours);
  ours.sa_sigaction = handle;
  /* SA_ONSTACK: a thread may have little stack of its own left; without an alternate stack it means nothing. */
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  /* System calls that a signal sent by a process interrupts go on, or not, as with the previous handler. */
  if ((now.sa_flags & SA_RESTART) != 0 || ((now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_IGN))
    ours.sa_flags |= SA_RESTART;
  sigemptyset(&ours.sa_mask);
  /* The record first: from the next line on the handler may need it. */
  const previous *before = record->older;
  atomic_store(&state->newest, record);
  if (sigaction(state->signo, &ours, NULL) != 0) {
    int error = errno;
    atomic_store(&state->newest, before);
    return mf_status_from_errno(error);
  }
  state->used++;
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
    return mf_status_from_errno(errno);
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

/* The main thread's stack grows; some C libraries tell only how far it has grown. */
static void stretch_main_stack(uintptr_t *low, uintptr_t high) {
  const uintptr_t most = sizeof(void *) > 4 ? (uintptr_t)1 << 30 : (uintptr_t)64 << 20;
  struct rlimit limit;
  uintptr_t room = most;
  if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < most)
    room = (uintptr_t)limit.rlim_cur;
  if (high - *low < room && room < high)
    *low = high - room;
}

mapfile_status os_stack_bounds(uintptr_t *low, uintptr_t *high) {
  pthread_attr_t attributes;
  void *start;
  size_t size;
  int error = pthread_getattr_np(pthread_self(), &attributes);
  if (error != 0)
    return mf_status_from_errno(error);
  error = pthread_attr_getstack(&attributes, &start, &size);
  pthread_attr_destroy(&attributes);
  if (error != 0)
    return mf_status_from_errno(error);
  *low = (uintptr_t)start;
  *high = *low + size;
#ifdef __linux__
  if (getpid() == (pid_t)syscall(SYS_gettid))
    stretch_main_stack(low, *high);
#endif
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
