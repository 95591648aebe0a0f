/*
 * signals.c - the promises about SIGBUS: which faults are left to others, and living with other handlers.
 *
 * SPDX-License-Identifier: MIT
 *
 * What must kill the process is tried in a child, whose last siginfo is looked at.
 */
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

/* Seen by a case and by its children. */
static struct note {
  const void *volatile address;
  volatile pid_t sender;
  const char *path;
  uint64_t size;
} * note;

static void make_note(void) {
  note = mmap(NULL, sizeof *note, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (note == MAP_FAILED)
    conf_not_testable("no memory can be shared with a child");
}

/* Touch what lies at note->address within a scope over view (or the mapfile), which does not cover it. */
static void touch_noted(mapfile *file, const mapfile_view *view) {
  conf_touch touch = {(const unsigned char *)note->address, 0, 0};
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_try(file, view, conf_touch_body, &touch, &fault);
}

/* fault-range */

static void in_foreign_map(void *argument) {
  conf_damaged *one = argument;
  conf_damage(one, "file", 6, 3, conf_live());
  conf_expect_recovery(one);
  note->address = conf_foreign_page("foreign") + 123;
  touch_noted(one->file, NULL);
}

static void ignoring(void *argument) {
  signal(SIGBUS, SIG_IGN);
  in_foreign_map(argument);
}

static void expect_kills(void (*body)(void *), void (*at_first_bus)(void *)) {
  conf_damaged one;
  conf_end end;
  make_note();
  conf_watch(body, &one, at_first_bus, NULL, &end);
  EXPECT_DEATH(&end, note->address, BUS_ADRERR);
}

static void range_ignored(void) {
  expect_kills(ignoring, NULL);
}

/* Between the first delivery of the signal and the handler, the page becomes readable again. */
static void heal_from_parent(void *argument) {
  (void)argument;
  conf_truncate(conf_path("foreign"), conf_page);
}

static void only_foreign(void *argument) {
  mapfile *file = conf_open(conf_make("file", 100), 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  (void)argument;
  conf_pin(file, 0, MAPFILE_TO_END, conf_live(), &view);
  conf_expect_good(file, &view, view.data);
  note->address = conf_foreign_page("foreign") + 123;
  touch_noted(file, &view);
}

static void range_healed(void) {
  expect_kills(only_foreign, heal_from_parent);
}

/* Faults of other kinds are nobody's business here. */
static void touch_nothing(void *argument) {
  conf_damaged *one = argument;
  signal(SIGSEGV, SIG_DFL);
  conf_damage(one, "file", 6, 3, conf_live());
  conf_expect_recovery(one);
  note->address = (const void *)0x10;
  touch_noted(one->file, NULL);
}

static void range_segv(void) {
  conf_damaged one;
  conf_end end;
  make_note();
  conf_watch(touch_nothing, &one, NULL, NULL, &end);
  EXPECT(!end.exited && end.signal == SIGSEGV);
  EXPECT_UINT(end.deliveries, end.traced ? 2 : 0);
}

/* What the record says of the signal. */
static void raw_record(void) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_touch touch = {one.data + one.bad + 2, 0, 0};
  EXPECT_STATUS(mapfile_try(one.file, &one.view, conf_touch_body, &touch, &fault), MAPFILE_UNKNOWN);
  EXPECT_UINT(fault.signal, SIGBUS);
  EXPECT_UINT(fault.code, BUS_ADRERR);
  EXPECT_UINT(fault.native_error, 0);
  EXPECT_UINT(fault.length, conf_page);
  conf_undamage(&one);
}

/* A foreign handler that was there first, and what it was given. */

static struct seen {
  volatile sig_atomic_t calls, code, number, blocked_bus, blocked_usr1, errno_then;
  const void *volatile address;
  volatile uintptr_t program_counter;
  volatile pid_t sender;
  volatile int value;
} seen;

static void note_signal(int signo, siginfo_t *info) {
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  seen.calls++;
  seen.number = signo;
  seen.code = info->si_code;
  seen.address = info->si_addr;
  seen.sender = info->si_pid;
  seen.value = info->si_code == SI_QUEUE ? info->si_value.sival_int : 0;
  seen.blocked_bus = sigismember(&mask, SIGBUS);
  seen.blocked_usr1 = sigismember(&mask, SIGUSR1);
}

static void healing(int signo, siginfo_t *info, void *context) {
  note_signal(signo, info);
  (void)context;
  if (info->si_code > 0)
    conf_foreign_heal(info->si_addr);
}

static void install(void (*handler)(int, siginfo_t *, void *), int flags, struct sigaction *before) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  sigemptyset(&action.sa_mask);
  EXPECT(sigaction(SIGBUS, &action, before) == 0);
}

/* For a handler that goes on behind a load: the load, the return from its function, and where a context has the program
   counter and what the function returns. */
#if defined(__linux__) && defined(__x86_64__)
#define LOAD "movzbl (%rdi), %eax"
#define RETURN "ret"
#define COUNTER(context) ((context)->uc_mcontext.gregs[REG_RIP])
#define RETURNED(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined(__linux__) && defined(__aarch64__)
#define LOAD "ldrb w0, [x0]"
#define RETURN "ret"
#define COUNTER(context) ((context)->uc_mcontext.pc)
#define RETURNED(context) ((context)->uc_mcontext.regs[0])
#elif defined(__linux__) && defined(__thumb2__)
#define LOAD "ldrb r0, [r0]"
#define RETURN "bx lr\n.thumb"
#define CODE ".arm\n"
#define COUNTER(context) ((context)->uc_mcontext.arm_pc)
#define RETURNED(context) ((context)->uc_mcontext.arm_r0)
#elif defined(__linux__) && defined(__s390x__)
#define LOAD "llgc %r2, 0(%r2)"
#define RETURN "br %r14"
#define COUNTER(context) ((context)->uc_mcontext.psw.addr)
#define RETURNED(context) ((context)->uc_mcontext.gregs[2])
#elif defined(__linux__) && defined(__powerpc64__) && defined(_CALL_ELF) && _CALL_ELF == 2
#define LOAD "lbz 3, 0(3)"
#define RETURN "blr"
#define COUNTER(context) ((context)->uc_mcontext.gp_regs[32])
#define RETURNED(context) ((context)->uc_mcontext.gp_regs[3])
#endif

#ifdef LOAD
#define CAN_SKIP 1
#ifndef CODE
#define CODE
#endif
/* One load whose place is known. */
__asm__(".text\n" CODE
        ".balign 4\n.globl signals_load\n.type signals_load, %function\nsignals_load:\n.globl signals_load_at\n"
        "signals_load_at:\n" LOAD "\n.globl signals_load_skip\nsignals_load_skip:\n" RETURN
        "\n.size signals_load, . - signals_load\n");
unsigned signals_load(const void *at) __asm__("signals_load");
extern const char signals_load_at[], signals_load_skip[];

/* Takes the context it is given at its word: goes on behind the load. */
static void skipping(int signo, siginfo_t *info, void *context) {
  ucontext_t *interrupted = context;
  note_signal(signo, info);
  seen.program_counter = (uintptr_t)COUNTER(interrupted);
  COUNTER(interrupted) = (__typeof__(COUNTER(interrupted)))(uintptr_t)signals_load_skip;
  RETURNED(interrupted) = 0x5a5;
}
#else
#define CAN_SKIP 0
#endif

#if CAN_SKIP
static mapfile_status MAPFILE_CALL load_skipped(void *argument) {
  conf_touch *touch = argument;
  touch->value = signals_load(touch->at);
  touch->reached++;
  return MAPFILE_OK;
}
#endif

static void range_original(void) {
#if CAN_SKIP
  conf_damaged one;
  install(skipping, 0, NULL);
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_touch touch = {conf_foreign_page("foreign") + 45, 0, 0};
  for (int i = 0; i < 50; i++) {
    conf_expect_recovery(&one);
    EXPECT_STATUS(mapfile_try(one.file, NULL, load_skipped, &touch, NULL), MAPFILE_OK);
    EXPECT_UINT(touch.value, 0x5a5);
    EXPECT_UINT(touch.reached, i + 1);
    EXPECT_UINT(seen.calls, i + 1);
    EXPECT(conf_is_place(seen.address, touch.at));
    EXPECT(seen.code == BUS_ADRERR && seen.number == SIGBUS);
    EXPECT_UINT(seen.program_counter, (uintptr_t)signals_load_at);
    EXPECT(seen.blocked_bus);
  }
  conf_undamage(&one);
#else
  conf_not_testable("the test does not know how to skip an instruction on this processor");
#endif
}

/* A view is a foreign address too once no scope covers it. */
static void range_to_previous(void) {
  conf_damaged one;
  install(healing, 0, NULL);
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  EXPECT_UINT(seen.calls, 0);
  conf_load(one.data + one.bad + 5);
  EXPECT_UINT(seen.calls, 1);
  EXPECT(conf_is_place(seen.address, one.data + one.bad + 5));
  conf_expect_fault(one.file, &one.view, one.data + one.bad + conf_page, one.bad + conf_page);
  EXPECT_UINT(seen.calls, 1);
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_OK);
}

/* fault-user */

typedef void (*sender)(void);

static void by_kill(void) {
  kill(getpid(), SIGBUS);
}

static void by_raise(void) {
  raise(SIGBUS);
}

static void by_pthread(void) {
  pthread_kill(pthread_self(), SIGBUS);
}

static void by_sigqueue(void) {
  union sigval value = {.sival_int = 4242};
  sigqueue(getpid(), SIGBUS, value);
}

/* The child waits until this process is out of fork, where ThreadSanitizer cannot take a signal. */
static void by_other_process(void) {
  int ends[2];
  char word = 0;
  EXPECT(pipe(ends) == 0);
  pid_t us = getpid(), child = fork();
  if (child == 0) {
    close(ends[1]);
    (void)!read(ends[0], &word, 1);
    kill(us, SIGBUS);
    _exit(0);
  }
  close(ends[0]);
  close(ends[1]);
  while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
    continue;
}

static const struct {
  sender send;
  int code;
} senders[] = {
    {by_kill, SI_USER},   {by_sigqueue, SI_QUEUE}, {by_other_process, SI_USER},
#ifdef SI_TKILL
    {by_raise, SI_TKILL}, {by_pthread, SI_TKILL},
#else
    {by_raise, SI_USER}, {by_pthread, SI_USER},
#endif
};
enum { SENDERS = sizeof senders / sizeof senders[0] };

static mapfile_status MAPFILE_CALL send_in_scope(void *argument) {
  (*(sender *)argument)();
  return MAPFILE_OK;
}

static void send_everywhere(conf_damaged *one, sender send, void (*expect)(int count)) {
  int count = 0;
  for (int i = 0; i < 3; i++) {
    send();
    expect(++count);
    conf_expect_recovery(one);
    EXPECT_STATUS(mapfile_try(one->file, NULL, send_in_scope, &send, NULL), MAPFILE_OK);
    expect(++count);
    EXPECT_STATUS(mapfile_try(one->file, &one->view, send_in_scope, &send, NULL), MAPFILE_OK);
    expect(++count);
    conf_expect_recovery(one);
    EXPECT_STATUS(mapfile_handler_check(), MAPFILE_OK);
  }
}

/* A signal that a process sends itself is there when the call returns; only valgrind may take its time. */
static void expect_seen(int count) {
  for (int i = 0; i < 5000 && seen.calls < count && conf_instrument() != NULL; i++)
    conf_sleep_ms(1);
  EXPECT_UINT(seen.calls, count);
}

static void expect_nothing(int count) {
  (void)count;
}

static void user_to_handler(void) {
  conf_damaged one;
  install(healing, 0, NULL);
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  for (unsigned i = 0; i < SENDERS; i++) {
    seen.calls = 0;
    send_everywhere(&one, senders[i].send, expect_seen);
    EXPECT(seen.code == senders[i].code && seen.number == SIGBUS);
    if (senders[i].send != by_other_process)
      EXPECT(seen.sender == getpid());
    if (senders[i].code == SI_QUEUE)
      EXPECT_UINT(seen.value, 4242);
  }
  conf_undamage(&one);
}

static void user_ignored(void) {
  conf_damaged one;
  signal(SIGBUS, SIG_IGN);
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  for (unsigned i = 0; i < SENDERS; i++)
    send_everywhere(&one, senders[i].send, expect_nothing);
  conf_undamage(&one);
}

static void send_to_default(void *argument) {
  unsigned which = *(unsigned *)argument;
  conf_damaged one;
  sender send = senders[which / 2].send;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  note->sender = getpid();
  if (which % 2 == 0)
    send();
  else
    mapfile_try(one.file, &one.view, send_in_scope, &send, NULL);
}

static void user_default(void) {
  make_note();
  for (unsigned which = 0; which < 2 * SENDERS; which++) {
    conf_end end;
    conf_watch(send_to_default, &which, NULL, NULL, &end);
    EXPECT_DEATH(&end, NULL, senders[which / 2].code);
    if (end.traced && senders[which / 2].send != by_other_process)
      EXPECT_UINT(end.sender, note->sender);
  }
}

/* si_addr and si_pid lie at the same place: a signal that was sent can look as if it had an address in a view. */

#if defined(__linux__) && defined(SYS_rt_sigqueueinfo)
static siginfo_t made_up;

static mapfile_status MAPFILE_CALL send_made_up(void *argument) {
  int *result = argument;
  *result = (int)syscall(SYS_rt_sigqueueinfo, getpid(), SIGBUS, &made_up);
  return MAPFILE_OK;
}
#endif

static void user_alias(void) {
#if defined(__linux__) && defined(SYS_rt_sigqueueinfo)
  static const int codes[] = {SI_USER, SI_QUEUE, SI_TKILL, SI_TIMER, -60};
  conf_damaged one;
  int sent = 0;
  install(healing, 0, NULL);
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  for (unsigned i = 0; i < 2 * sizeof codes / sizeof codes[0]; i++) {
    int result = -1;
    memset(&made_up, 0, sizeof made_up);
    made_up.si_signo = SIGBUS;
    made_up.si_code = codes[i / 2];
    made_up.si_addr = (void *)(uintptr_t)(one.data + one.bad);
    EXPECT_STATUS(mapfile_try(one.file, i % 2 == 0 ? &one.view : NULL, send_made_up, &result, NULL), MAPFILE_OK);
    if (result != 0)
      continue;
    expect_seen(++sent);
    EXPECT(seen.code == codes[i / 2]);
    conf_expect_recovery(&one);
  }
  EXPECT(sent > 0);
  conf_undamage(&one);
#else
  conf_not_testable("the system cannot send a signal with made-up information");
#endif
}

/* fault-order */

static struct chain {
  struct sigaction next;
  volatile sig_atomic_t calls;
} chain_one, chain_two;

static void pass_on(struct chain *link, int signo, siginfo_t *info, void *context) {
  link->calls++;
  if ((link->next.sa_flags & SA_SIGINFO) != 0)
    link->next.sa_sigaction(signo, info, context);
  else if (link->next.sa_handler != SIG_DFL && link->next.sa_handler != SIG_IGN)
    link->next.sa_handler(signo);
}

static void chaining_one(int signo, siginfo_t *info, void *context) {
  pass_on(&chain_one, signo, info, context);
}

static void chaining_two(int signo, siginfo_t *info, void *context) {
  pass_on(&chain_two, signo, info, context);
}

static void touch_foreign(conf_damaged *one, const char *name) {
  conf_touch touch = {conf_foreign_page(name) + 7, 0, 0};
  EXPECT_STATUS(mapfile_try(one->file, NULL, conf_touch_body, &touch, NULL), MAPFILE_OK);
  EXPECT_UINT(touch.reached, 1);
  conf_load(conf_foreign_page(name) + 8);
}

static void order_before(void) {
  conf_damaged one;
  install(healing, 0, NULL);
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int i = 1; i <= 30; i++) {
    conf_expect_recovery(&one);
    touch_foreign(&one, "foreign");
    EXPECT_UINT(seen.calls, 2 * i);
  }
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_OK);
  conf_undamage(&one);
}

static void order_after_chaining(void) {
  conf_damaged one;
  install(healing, 0, NULL);
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  install(chaining_one, SA_ONSTACK, &chain_one.next);
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_CHANGED);
  for (int i = 1; i <= 30; i++) {
    conf_expect_recovery(&one);
    touch_foreign(&one, "foreign");
    EXPECT_UINT(seen.calls, 2 * i);
    EXPECT_UINT(chain_one.calls, 4 * i);
  }
  /* The foreign handler goes again, and all is as before it came. */
  EXPECT(sigaction(SIGBUS, &chain_one.next, NULL) == 0);
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_OK);
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

static void chaining_to_default(void *argument) {
  conf_damaged *one = argument;
  conf_damage(one, "file", 6, 3, conf_live());
  conf_expect_recovery(one);
  install(chaining_one, 0, &chain_one.next);
  conf_expect_recovery(one);
  note->address = conf_foreign_page("foreign") + 123;
  touch_noted(one->file, NULL);
}

static void order_after_chaining_to_default(void) {
  expect_kills(chaining_to_default, NULL);
}

static void order_lost(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_UNSUPPORTED);
  conf_expect_recovery(&one);
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_OK);
  install(healing, 0, NULL);
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_CHANGED);
  EXPECT_STATUS(mapfile_handler_rearm(), MAPFILE_OK);
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_OK);
  EXPECT_STATUS(mapfile_handler_rearm(), MAPFILE_OK);
  for (int i = 1; i <= 30; i++) {
    conf_expect_recovery(&one);
    touch_foreign(&one, "foreign");
    EXPECT_UINT(seen.calls, 2 * i);
  }
  signal(SIGBUS, SIG_DFL);
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_CHANGED);
  EXPECT_STATUS(mapfile_handler_rearm(), MAPFILE_OK);
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_OK);
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

/* First ours, then one that chains to ours, then ours again above it: round and round, if nobody looks out. */
static void order_rearmed_over_chaining(void) {
  conf_damaged one;
  install(healing, 0, NULL);
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  install(chaining_one, 0, &chain_one.next);
  EXPECT_STATUS(mapfile_handler_rearm(), MAPFILE_OK);
  for (int i = 1; i <= 30; i++) {
    conf_expect_recovery(&one);
    touch_foreign(&one, "foreign");
    EXPECT_UINT(seen.calls, 2 * i);
    EXPECT_UINT(chain_one.calls, 2 * i);
  }
  /* And once more, with another. */
  install(chaining_two, 0, &chain_two.next);
  EXPECT_STATUS(mapfile_handler_rearm(), MAPFILE_OK);
  for (int i = 1; i <= 30; i++) {
    conf_expect_recovery(&one);
    touch_foreign(&one, "foreign");
    EXPECT_UINT(seen.calls, 60 + 2 * i);
    EXPECT_UINT(chain_two.calls, 2 * i);
  }
  /* Signals that are sent take the same way. */
  int before = seen.calls;
  raise(SIGBUS);
  expect_seen(before + 1);
  by_sigqueue();
  expect_seen(before + 2);
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

/* The handler that chains is installed again, over the library's second entry, and has forgotten where it chained to at
   first: what it remembers now leads to itself. */
static void order_chaining_again(void) {
  conf_damaged one;
  install(healing, 0, NULL);
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  for (int i = 0; i < 4; i++) {
    install(chaining_one, 0, &chain_one.next);
    EXPECT_STATUS(mapfile_handler_rearm(), MAPFILE_OK);
    conf_expect_recovery(&one);
    int before = seen.calls;
    touch_foreign(&one, "foreign");
    EXPECT_UINT(seen.calls, before + 2);
    raise(SIGBUS);
    expect_seen(before + 3);
  }
  conf_undamage(&one);
}

static void rearmed_to_default(void *argument) {
  conf_damaged *one = argument;
  conf_damage(one, "file", 6, 3, conf_live());
  conf_expect_recovery(one);
  install(chaining_one, 0, &chain_one.next);
  EXPECT_STATUS(mapfile_handler_rearm(), MAPFILE_OK);
  conf_expect_recovery(one);
  note->address = conf_foreign_page("foreign") + 123;
  touch_noted(one->file, NULL);
}

static void order_rearmed_to_default(void) {
  expect_kills(rearmed_to_default, NULL);
}

/* A foreign library that takes its handler away by putting back what it found before ours came. */
static void order_taken_away(void) {
  conf_damaged one;
  struct sigaction first;
  install(healing, 0, NULL);
  install(chaining_one, 0, &chain_one.next);
  first = chain_one.next;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  EXPECT(sigaction(SIGBUS, &first, NULL) == 0);
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_CHANGED);
  EXPECT_STATUS(mapfile_handler_rearm(), MAPFILE_OK);
  conf_expect_recovery(&one);
  touch_foreign(&one, "foreign");
  EXPECT_UINT(seen.calls, 2);
  EXPECT_UINT(chain_one.calls, 0);
  conf_undamage(&one);
}

/* Foreign handlers of which each is another: one function per number. */
#define OTHER(number)                                                     \
  static void other_##number(int signo, siginfo_t *info, void *context) { \
    (void)signo, (void)context;                                           \
    if (info->si_code > 0)                                                \
      conf_foreign_heal(info->si_addr);                                   \
    seen.calls = number;                                                  \
  }
OTHER(1)
OTHER(2)
OTHER(3)
OTHER(4)
OTHER(5)
OTHER(6)
OTHER(7)
OTHER(8)
OTHER(9)
OTHER(10)
OTHER(11)
OTHER(12)
OTHER(13)
OTHER(14)
OTHER(15)
OTHER(16)
OTHER(17)
OTHER(18)

static void order_many(void) {
  static void (*const others[])(int, siginfo_t *, void *) = {
      other_1,  other_2,  other_3,  other_4,  other_5,  other_6,  other_7,  other_8,  other_9,
      other_10, other_11, other_12, other_13, other_14, other_15, other_16, other_17, other_18};
  enum { MANY = sizeof others / sizeof others[0] };
  conf_damaged one;
  int most = 0;
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int i = 0; i < MANY; i++) {
    install(others[i], 0, NULL);
    mapfile_status status = mapfile_handler_rearm();
    if (status == MAPFILE_LIMIT)
      break;
    EXPECT_STATUS(status, MAPFILE_OK);
    most = i + 1;
    conf_expect_recovery(&one);
    touch_foreign(&one, "foreign");
    EXPECT_UINT(seen.calls, most);
  }
  EXPECT(most >= 15);
  EXPECT(most < MANY);
  /* Refused: the foreign handler is still the one, and the library says so. */
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_CHANGED);
  raise(SIGBUS);
  EXPECT_UINT(seen.calls, most + 1);
}

/* The same two take turns for ever: no new record each time. */
static void order_turns(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int i = 0; i < 100; i++) {
    install(i % 2 == 0 ? other_1 : other_2, 0, NULL);
    EXPECT_STATUS(mapfile_handler_rearm(), MAPFILE_OK);
    conf_expect_recovery(&one);
    touch_foreign(&one, "foreign");
    EXPECT_UINT(seen.calls, i % 2 == 0 ? 1 : 2);
  }
  conf_undamage(&one);
}

/* The flags and the mask of the previous handler count as if the system had called it. */

static void install_masking(int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = healing;
  action.sa_flags = SA_SIGINFO | flags;
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGUSR1);
  EXPECT(sigaction(SIGBUS, &action, NULL) == 0);
}

static void expect_unmasked(void) {
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  EXPECT(!sigismember(&mask, SIGUSR1) && !sigismember(&mask, SIGBUS));
}

static void order_mask_of_previous(void) {
  conf_damaged one;
  install_masking(0);
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  touch_foreign(&one, "foreign");
  EXPECT(seen.blocked_usr1 && seen.blocked_bus);
  expect_unmasked();
  install_masking(SA_NODEFER);
  EXPECT_STATUS(mapfile_handler_rearm(), MAPFILE_OK);
  touch_foreign(&one, "foreign");
  EXPECT(seen.blocked_usr1 && !seen.blocked_bus);
  expect_unmasked();
  raise(SIGBUS);
  EXPECT(seen.blocked_usr1 && !seen.blocked_bus);
  expect_unmasked();
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

static void plain_handler(int signo) {
  seen.calls++;
  seen.number = signo;
}

/* A handler of the old kind gets the number. It cannot heal anything, so it is asked by a sent signal. */
static void order_plain_previous(void) {
  conf_damaged one;
  signal(SIGBUS, plain_handler);
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  for (int i = 1; i <= 10; i++) {
    raise(SIGBUS);
    EXPECT_UINT(seen.calls, i);
    EXPECT(seen.number == SIGBUS);
    conf_expect_recovery(&one);
  }
  conf_undamage(&one);
}

static void use_up_reset_hand(void *argument) {
  conf_damaged *one = argument;
  install(healing, (int)SA_RESETHAND, NULL);
  conf_damage(one, "file", 6, 3, conf_live());
  conf_expect_recovery(one);
  conf_load(conf_foreign_page("first") + 1);
  EXPECT_UINT(seen.calls, 1);
  conf_expect_recovery(one);
  note->address = conf_foreign_page("second") + 2;
  touch_noted(one->file, NULL);
}

static void order_reset_hand(void) {
  expect_kills(use_up_reset_hand, NULL);
}

/* A previous handler that never returns. */

static sigjmp_buf way_out;

static void jumping(int signo, siginfo_t *info, void *context) {
  note_signal(signo, info);
  (void)context;
  siglongjmp(way_out, 1);
}

static mapfile_status MAPFILE_CALL jump_body(void *argument) {
  conf_load(argument);
  return MAPFILE_OK;
}

static __attribute__((noinline)) int jump_out_of(conf_damaged *one, unsigned char *foreign, bool in_scope) {
  if (sigsetjmp(way_out, 1) != 0)
    return 1;
  if (in_scope)
    mapfile_try(one->file, NULL, jump_body, foreign, NULL);
  else
    conf_load(foreign);
  return 0;
}

static void order_jumping_previous(void) {
  conf_damaged one;
  install(jumping, 0, NULL);
  conf_damage(&one, "file", 6, 3, conf_live());
  unsigned char *foreign = conf_foreign_page("foreign");
  for (int i = 1; i <= 60; i++) {
    EXPECT_UINT(jump_out_of(&one, foreign + i, i % 3 != 0), 1);
    EXPECT_UINT(seen.calls, i);
    EXPECT(conf_is_place(seen.address, foreign + i));
    expect_unmasked();
    if (i % 2 == 0)
      conf_expect_recovery(&one);
  }
  conf_undamage(&one);
}

/* The same with a handler above ours that chains and one below that jumps. */
static void order_jumping_under_chain(void) {
  conf_damaged one;
  install(jumping, 0, NULL);
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  install(chaining_one, 0, &chain_one.next);
  EXPECT_STATUS(mapfile_handler_rearm(), MAPFILE_OK);
  unsigned char *foreign = conf_foreign_page("foreign");
  for (int i = 1; i <= 60; i++) {
    EXPECT_UINT(jump_out_of(&one, foreign + (i % 2) * 5, i % 3 != 0), 1);
    EXPECT_UINT(seen.calls, i);
    EXPECT_UINT(chain_one.calls, i);
    conf_expect_recovery(&one);
  }
  conf_undamage(&one);
}

/* The host owns the signal. */

static volatile sig_atomic_t host_calls, host_taken;

static void hosting(int signo, siginfo_t *info, void *context) {
  host_calls++;
  if (mapfile_handle_signal(signo, info, context)) {
    host_taken++;
    return;
  }
  healing(signo, info, context);
}

static void order_host(void) {
  conf_damaged one;
  struct sigaction now;
  EXPECT_STATUS(mapfile_handler_configure(MAPFILE_HANDLER_HOST), MAPFILE_OK);
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_good(one.file, &one.view, one.data);
  EXPECT(sigaction(SIGBUS, NULL, &now) == 0);
  EXPECT((now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL);
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_UNSUPPORTED);
  EXPECT_STATUS(mapfile_handler_rearm(), MAPFILE_UNSUPPORTED);
  EXPECT_STATUS(mapfile_handler_configure(MAPFILE_HANDLER_HOST), MAPFILE_OK);
  EXPECT_STATUS(mapfile_handler_configure(0), MAPFILE_BUSY);
  install(hosting, SA_ONSTACK, NULL);
  for (int i = 1; i <= 30; i++) {
    conf_expect_recovery(&one);
    touch_foreign(&one, "foreign");
    raise(SIGBUS);
    EXPECT_UINT(host_calls, 5 * i);
    EXPECT_UINT(seen.calls, 3 * i);
  }
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_UNSUPPORTED);
  expect_unmasked();
  conf_undamage(&one);
}

/* A host that learns an address only, as libsigsegv's users do, and goes on in a function of its choice. */

static volatile sig_atomic_t address_given, address_taken;

static void addressing(int signo, siginfo_t *info, void *context) {
  void(MAPFILE_CALL * resume)(void *) = NULL;
  void *argument = NULL;
  address_given++;
  if (info->si_code <= 0 || !mapfile_handle_address(signo, info->si_addr, &resume, &argument)) {
    healing(signo, info, context);
    return;
  }
  address_taken++;
#if defined(__linux__) && defined(__x86_64__)
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  registers[REG_RDI] = (greg_t)(uintptr_t)argument;
  registers[REG_RIP] = (greg_t)(uintptr_t)resume;
  registers[REG_RSP] = (greg_t)((((uintptr_t)registers[REG_RSP] - 256) & ~(uintptr_t)15) - 8);
#else
  pthread_sigmask(SIG_SETMASK, &((ucontext_t *)context)->uc_sigmask, NULL);
  resume(argument);
#endif
}

static void order_address(void) {
  conf_damaged one;
  conf_not_under_valgrind("does not follow a handler that moves the stack pointer");
  EXPECT_STATUS(mapfile_handler_configure(MAPFILE_HANDLER_HOST), MAPFILE_OK);
  conf_damage(&one, "file", 6, 3, conf_live());
  install(addressing, 0, NULL);
  for (int i = 1; i <= 30; i++) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    conf_touch touch = {one.data + one.bad + 11, 0, 0};
    EXPECT_STATUS(mapfile_try(one.file, &one.view, conf_touch_body, &touch, &fault), MAPFILE_UNKNOWN);
    EXPECT_RECORD(&fault, one.file, touch.at, one.bad + 11, MAPFILE_FAULT_UNKNOWN);
    EXPECT_UINT(touch.reached, 0);
    EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_TRUNCATED);
    EXPECT_UINT(address_taken, i);
    touch_foreign(&one, "foreign");
    EXPECT_UINT(seen.calls, 2 * i);
  }
  expect_unmasked();
  conf_undamage(&one);
}

/* fault-mask */

typedef struct state {
  sigset_t mask, pending;
  stack_t stack;
  struct sigaction actions[65];
} state;

static void take_state(state *now) {
  memset(now, 0, sizeof *now);
  pthread_sigmask(SIG_BLOCK, NULL, &now->mask);
  sigpending(&now->pending);
  sigaltstack(NULL, &now->stack);
  for (int number = 1; number <= 64; number++)
    if (number != 32 && number != 33)
      sigaction(number, NULL, &now->actions[number]);
}

static void expect_same_state(const state *before, bool with_bus) {
  static state now;
  take_state(&now);
  for (int number = 1; number <= 64; number++) {
    const struct sigaction *old = &before->actions[number], *new = &now.actions[number];
    EXPECT(sigismember(&before->mask, number) == sigismember(&now.mask, number));
    EXPECT(sigismember(&before->pending, number) == sigismember(&now.pending, number));
    if (number == SIGBUS && !with_bus)
      continue;
    EXPECT(old->sa_handler == new->sa_handler && old->sa_flags == new->sa_flags);
  }
  EXPECT(before->stack.ss_sp == now.stack.ss_sp && before->stack.ss_size == now.stack.ss_size &&
         before->stack.ss_flags == now.stack.ss_flags);
}

static void mask_kept(void) {
  static state before, after_first;
  static unsigned char other_stack[65536];
  conf_damaged one;
  sigset_t blocked;
  stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
  signal(SIGUSR2, plain_handler);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, NULL);
  EXPECT(sigaltstack(&stack, NULL) == 0);
  raise(SIGUSR1);
  take_state(&before);
  conf_damage(&one, "file", 6, 3, conf_live());
  expect_same_state(&before, true);
  conf_expect_recovery(&one);
  expect_same_state(&before, false);
  take_state(&after_first);
  for (int i = 0; i < 1000; i++)
    conf_expect_recovery(&one);
  expect_same_state(&after_first, true);
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  EXPECT_STATUS(mapfile_try(one.file, &one.view, conf_touch_body, &(conf_touch){one.data + one.bad, 0, 0}, &fault),
                MAPFILE_UNKNOWN);
  mapfile_fault_explain(&fault);
  conf_undamage(&one);
  expect_same_state(&after_first, true);
}

static mapfile_status MAPFILE_CALL block_then_touch(void *argument) {
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &blocked, NULL);
  conf_load(argument);
  return MAPFILE_OK;
}

/* What the guarded code did to the mask stays: recovery restores the moment of the fault. */
static void mask_of_the_moment(void) {
  conf_damaged one;
  sigset_t mask;
  conf_damage(&one, "file", 6, 3, conf_live());
  EXPECT_STATUS(mapfile_try(one.file, NULL, block_then_touch, (void *)(uintptr_t)(one.data + one.bad), NULL),
                MAPFILE_UNKNOWN);
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  EXPECT(sigismember(&mask, SIGUSR2) && !sigismember(&mask, SIGBUS) && !sigismember(&mask, SIGUSR1));
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

static void errno_body_set(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  for (int i = 0; i < 20; i++) {
    conf_touch touch = {one.data + one.bad + 1, 0, 0};
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    errno = 4321;
    mapfile_status status = mapfile_try(one.file, &one.view, conf_touch_body, &touch, &fault);
    int after = errno;
    EXPECT_STATUS(status, MAPFILE_UNKNOWN);
    EXPECT_UINT(after, 4321);
  }
  conf_undamage(&one);
}

/* Signals come at any moment, also between the fault and the catch: a profiler's, say. */

static volatile sig_atomic_t ticks;

static void tick(int signo) {
  volatile char room[2000];
  room[0] = room[1999] = (char)signo;
  ticks += room[0] == room[1999];
}

static void start_ticking(void) {
  struct sigaction action;
  struct itimerval often = {{0, 500}, {0, 500}};
  memset(&action, 0, sizeof action);
  action.sa_handler = tick;
  EXPECT(sigaction(SIGALRM, &action, NULL) == 0);
  EXPECT(setitimer(ITIMER_REAL, &often, NULL) == 0);
}

static void stop_ticking(void) {
  struct itimerval never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &never, NULL);
  EXPECT(ticks > 0);
}

static void mask_ticking(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  start_ticking();
  for (int i = 0; i < 3000 || ticks < 5; i++)
    conf_expect_recovery(&one);
  stop_ticking();
  conf_undamage(&one);
}

/* Every call that waits goes on after a signal. */

typedef struct drain {
  int descriptor;
  uint64_t taken;
} drain;

static void drain_slowly(void *argument) {
  drain *work = argument;
  unsigned char buffer[5000];
  ssize_t got;
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, NULL);
  while ((got = read(work->descriptor, buffer, sizeof buffer)) > 0) {
    EXPECT(conf_is_pattern(buffer, (size_t)got, work->taken));
    work->taken += (uint64_t)got;
    conf_sleep_ms(1);
  }
}

static void feed_slowly(int descriptor) {
  unsigned char piece[1000];
  for (unsigned i = 0; i < 100; i++) {
    conf_pattern(piece, sizeof piece, i * sizeof piece);
    if (write(descriptor, piece, sizeof piece) != sizeof piece)
      _exit(1);
    conf_sleep_ms(1);
  }
  _exit(0);
}

static void waiting_calls_go_on(void) {
  enum { SIZE = 400000 };
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file = conf_open(conf_make("file", SIZE), 0), *stream = NULL;
  mapfile_view view = MAPFILE_VIEW_INIT;
  uint64_t done = 0;
  conf_thread thread;
  int ends[2];
  EXPECT(pipe(ends) == 0);
  drain work = {ends[0], 0};
  conf_thread_start(&thread, drain_slowly, &work, 0);
  start_ticking();
  EXPECT_STATUS(mapfile_send(file, 0, MAPFILE_TO_END, ends[1], &done), MAPFILE_OK);
  EXPECT_UINT(done, SIZE);
  close(ends[1]);
  stop_ticking();
  conf_thread_join(&thread);
  EXPECT_UINT(work.taken, SIZE);
  close(ends[0]);
  EXPECT(pipe(ends) == 0);
  pid_t child = fork();
  if (child == 0)
    feed_slowly(ends[1]);
  close(ends[1]);
  options.flags = MAPFILE_STREAM;
  ticks = 0;
  start_ticking();
  EXPECT_STATUS(mapfile_open_handle(ends[0], &options, &stream), MAPFILE_OK);
  stop_ticking();
  while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
    continue;
  conf_pin(stream, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT_UINT(view.length, 100000);
  EXPECT(conf_is_pattern(view.data, view.length, 0));
  conf_unpin(&view);
  conf_close(stream);
  close(ends[0]);
  conf_close(file);
}

/* fault-blocked */

static void block_bus(int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGBUS);
  EXPECT(pthread_sigmask(how, &set, NULL) == 0);
}

static int in_place_way(mapfile *file, const mapfile_view *view, mapfile_fault *fault) {
  volatile int way = 0;
#ifdef MAPFILE_TRY
  MAPFILE_TRY(file, view, fault) {
    way = 1;
  }
  MAPFILE_CATCH {
    way = 2;
  }
  MAPFILE_END_TRY
#else
  fault->status = MAPFILE_UNSUPPORTED, (void)file, (void)view;
  way = 2;
#endif
  return way;
}

static void blocked_thread(void *argument) {
  conf_damaged *one = argument;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_scope scope;
  conf_touch touch = {one->data + one->bad, 0, 0};
  block_bus(SIG_BLOCK);
  EXPECT_STATUS(mapfile_try(one->file, &one->view, conf_touch_body, &touch, &fault), MAPFILE_UNSUPPORTED);
  EXPECT_STATUS(fault.status, MAPFILE_UNSUPPORTED);
  EXPECT_UINT(touch.reached, 0);
  EXPECT_UINT(in_place_way(one->file, &one->view, &fault), 2);
  EXPECT_STATUS(fault.status, MAPFILE_UNSUPPORTED);
  conf_pin(one->file, 0, conf_page, MAPFILE_ZERO_FILL, &view);
  MAPFILE_SCOPE_INIT(&scope);
  EXPECT_STATUS(mapfile_scope_begin(&scope, one->file, &view), MAPFILE_UNSUPPORTED);
  conf_unpin(&view);
  EXPECT_STATUS(mapfile_fault_from_call(one->file, &one->view, one->data, 10, -1, &fault), MAPFILE_UNSUPPORTED);
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  EXPECT(sigismember(&mask, SIGBUS));
  /* Not for ever: it is looked at again when the signal is let through. */
  block_bus(SIG_UNBLOCK);
  conf_expect_recovery(one);
}

static void blocked_first(void) {
  conf_damaged one;
  conf_thread thread;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_thread_start(&thread, blocked_thread, &one, 0);
  conf_thread_join(&thread);
  conf_expect_recovery(&one);
  conf_thread_start(&thread, blocked_thread, &one, 0);
  conf_thread_join(&thread);
  conf_undamage(&one);
}

static void unblocked_thread(void *argument) {
  conf_damaged *one = argument;
  sigset_t mask, others;
  sigemptyset(&others);
  sigaddset(&others, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &others, NULL);
  block_bus(SIG_BLOCK);
  conf_expect_recovery(one);
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  EXPECT(sigismember(&mask, SIGUSR1) && !sigismember(&mask, SIGBUS));
}

static void blocked_and_unblocked(void) {
  conf_damaged one;
  conf_thread thread;
  EXPECT_STATUS(mapfile_handler_configure(MAPFILE_HANDLER_UNBLOCK), MAPFILE_OK);
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int i = 0; i < 3; i++) {
    conf_thread_start(&thread, unblocked_thread, &one, 0);
    conf_thread_join(&thread);
  }
  conf_undamage(&one);
}

static mapfile_status MAPFILE_CALL take_chunk(void *argument, const void *data, size_t length, uint64_t offset) {
  (void)offset;
  *(unsigned *)argument += conf_load(data) + conf_load((const char *)data + length - 1);
  return MAPFILE_OK;
}

/* Whole operations need no scope of the caller's, so they work where scopes do not. */
static void operations_while_blocked(void *argument) {
  conf_damaged *one = argument;
  static unsigned char buffer[1 << 16];
  uint64_t found = 0, far = 0;
  unsigned sum = 0;
  size_t done = 0;
  int order = 0;
  block_bus(SIG_BLOCK);
  EXPECT_STATUS(mapfile_read(one->file, 0, buffer, 3 * conf_page, &done), MAPFILE_OK);
  EXPECT_STATUS(mapfile_compare(one->file, 0, buffer, 2 * conf_page, &order, &done), MAPFILE_OK);
  EXPECT_STATUS(mapfile_find(one->file, 0, one->bad, buffer + conf_page, 50, &found, &far), MAPFILE_OK);
  EXPECT_STATUS(mapfile_scan(one->file, 0, one->bad, 0, 0, take_chunk, &sum, &far), MAPFILE_OK);
  EXPECT_STATUS(mapfile_find(one->file, 0, MAPFILE_TO_END, "@@@not there@@@", 15, &found, &far), MAPFILE_TRUNCATED);
  EXPECT_STATUS(mapfile_scan(one->file, 0, MAPFILE_TO_END, 0, 0, take_chunk, &sum, &far), MAPFILE_TRUNCATED);
}

static void blocked_operations(void) {
  conf_damaged one;
  conf_thread thread;
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_thread_start(&thread, operations_while_blocked, &one, 0);
  conf_thread_join(&thread);
  conf_undamage(&one);
}

/* fault-syscall */

static void expect_call_fault(conf_damaged *one, const unsigned char *address, size_t length, int64_t done,
                              uint64_t offset) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  EXPECT_STATUS(mapfile_fault_from_call(one->file, &one->view, address, length, done, &fault), MAPFILE_UNKNOWN);
  EXPECT(fault.file == one->file);
  EXPECT_UINT(fault.offset, offset);
  EXPECT(fault.address == one->data + offset);
  EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_TRUNCATED);
}

static void syscall_write(void) {
  conf_damaged one;
  int ends[2], sockets[2];
  conf_damage(&one, "file", 6, 3, conf_live());
  EXPECT(pipe(ends) == 0);
  EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
  int sink = open(conf_path("sink"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  /* Nothing of it can be had. */
  const unsigned char *bad = one.data + one.bad + 100;
  errno = 0;
  EXPECT(write(ends[1], bad, 50) == -1 && errno == EFAULT);
  expect_call_fault(&one, bad, 50, -1, one.bad + 100);
  EXPECT(send(sockets[0], bad, 50, 0) == -1 && errno == EFAULT);
  expect_call_fault(&one, bad, 50, -1, one.bad + 100);
  EXPECT(pwrite(sink, bad, 50, 0) == -1 && errno == EFAULT);
  expect_call_fault(&one, bad, 50, -1, one.bad + 100);
  /* The first part of it can: the count is short, or the call fails whole. */
  const unsigned char *across = one.data + one.bad - 96;
  ssize_t done = write(sink, across, 200);
  EXPECT(done < 200);
  expect_call_fault(&one, across, 200, done, one.bad);
  done = write(ends[1], across, 200);
  EXPECT(done < 200);
  expect_call_fault(&one, across, 200, done, one.bad);
  close(sink);
  close(ends[0]);
  close(ends[1]);
  close(sockets[0]);
  close(sockets[1]);
  conf_undamage(&one);
}

/* The kernel stores into the view. */
static void syscall_read(void) {
  conf_damaged one;
  int source = open(conf_make("source", 1000), O_RDONLY | O_CLOEXEC);
  conf_damage(&one, "file", 6, 3, MAPFILE_PRIVATE);
  unsigned char *across = (unsigned char *)one.view.data + one.bad - 96;
  ssize_t done = read(source, across, 200);
  EXPECT(done < 200);
  expect_call_fault(&one, across, 200, done, one.bad);
  close(source);
  conf_undamage(&one);
}

/* A short count that had another reason is no fault. */
static void syscall_innocent(void) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 6, 3, conf_live());
  EXPECT_STATUS(mapfile_fault_from_call(one.file, &one.view, one.data, 3 * conf_page, 17, &fault), MAPFILE_OK);
  EXPECT_STATUS(fault.status, MAPFILE_OK);
  EXPECT_STATUS(mapfile_fault_from_call(one.file, &one.view, one.data, 3 * conf_page, -1, &fault), MAPFILE_OK);
  EXPECT_STATUS(mapfile_fault_from_call(one.file, &one.view, one.data, 4 * conf_page, (int64_t)(4 * conf_page), &fault),
                MAPFILE_OK);
  EXPECT_STATUS(mapfile_fault_from_call(one.file, &one.view, one.data, (size_t)one.size + 1, -1, &fault),
                MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_fault_from_call(one.file, &one.view, one.data - 1, 1, -1, &fault), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_fault_from_call(one.file, &one.view, one.data + one.size + 1, 0, -1, &fault), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_fault_from_call(one.file, &one.view, one.data, 10, 11, &fault), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_fault_from_call(one.file, &one.view, &fault, 1, -1, &fault), MAPFILE_INVALID);
  conf_undamage(&one);
}

#define N CONF_NO_FAULTS
#define BOTH(promise, name, meaning, run)                  \
  {promise, name, meaning, CONF_MAPPED, CONF_REAL, run}, { \
    promise, name, meaning, CONF_ANY, CONF_INJECTED, run   \
  }

static const conf_case table[] = {
    BOTH("fault-range", "ignored", "A fault spins for ever where SIGBUS was ignored.", range_ignored),
    {"fault-range", "healed", "A program that should have died lives on, or recovery no longer works.", CONF_MAPPED,
     CONF_REAL, range_healed},
    BOTH("fault-range", "segv", "Faults of other kinds do not kill as they should.", range_segv),
    BOTH("fault-exact", "raw", "The fault record does not say what the system said.", raw_record),
    BOTH("fault-range", "original", "Other handlers do not see the original signal and context.", range_original),
    BOTH("fault-range", "to-previous", "Other handlers do not get what is theirs.", range_to_previous),
    BOTH("fault-user", "to-handler", "Signals sent by processes do not reach their handler.", user_to_handler),
    BOTH("fault-user", "ignored", "Signals that were ignored kill the program or stop recovery.", user_ignored),
    BOTH("fault-user", "default", "Signals sent by processes do not kill, or not as they should.", user_default),
    BOTH("fault-user", "alias", "A signal that was sent is taken for a fault.", user_alias),
    BOTH("fault-order", "before", "A handler installed before the library's no longer works.", order_before),
    BOTH("fault-order", "after-chaining", "Recovery fails under a handler that chains to the library's.",
         order_after_chaining),
    BOTH("fault-order", "after-chaining-to-default", "A fault does not kill under a handler that chains.",
         order_after_chaining_to_default),
    BOTH("fault-order", "lost", "A handler that was replaced is not noticed, or cannot be put back.", order_lost),
    BOTH("fault-order", "rearmed-over-chaining", "Two handlers that call each other hang the program.",
         order_rearmed_over_chaining),
    BOTH("fault-order", "chaining-again", "A handler that is installed again calls itself for ever.",
         order_chaining_again),
    BOTH("fault-order", "rearmed-to-default", "Two handlers that call each other hide a fault.",
         order_rearmed_to_default),
    BOTH("fault-order", "taken-away", "A handler that went away is still called.", order_taken_away),
    BOTH("fault-order", "many", "Many handlers over one another break recovery.", order_many),
    BOTH("fault-order", "turns", "Putting the handler back again and again stops working.", order_turns),
    BOTH("fault-order", "mask-of-previous", "Another handler runs with the wrong signals blocked.",
         order_mask_of_previous),
    BOTH("fault-order", "plain-previous", "A handler of the old kind no longer works.", order_plain_previous),
    BOTH("fault-order", "reset-hand", "A handler that was to run once runs again.", order_reset_hand),
    BOTH("fault-order", "jumping-previous", "Recovery fails after another handler has jumped.", order_jumping_previous),
    BOTH("fault-order", "jumping-under-chain", "Handing on fails after another handler has jumped.",
         order_jumping_under_chain),
    BOTH("fault-order", "host", "A program that owns its handlers cannot use the library.", order_host),
    BOTH("fault-order", "address", "A program whose handlers learn only an address cannot use the library.",
         order_address),
    BOTH("fault-mask", "kept", "Recovery changes the signal mask, the alternate stack or handlers.", mask_kept),
    BOTH("fault-mask", "of-the-moment", "Recovery undoes what the guarded code did to the signal mask.",
         mask_of_the_moment),
    BOTH("fault-mask", "errno", "Recovery changes errno.", errno_body_set),
    BOTH("fault-mask", "ticking", "Recovery fails when other signals come meanwhile.", mask_ticking),
    {"fault-mask", "waiting-calls", "Calls that wait fail when a signal comes.", CONF_ANY, N, waiting_calls_go_on},
    BOTH("fault-blocked", "first", "A fault kills where SIGBUS is blocked, though the scope was entered.",
         blocked_first),
    BOTH("fault-blocked", "unblocked", "Asking to unblock SIGBUS does not help.", blocked_and_unblocked),
    BOTH("fault-blocked", "operations", "Reading and searching fail where SIGBUS is blocked.", blocked_operations),
    BOTH("fault-syscall", "write", "A system call that fails on a view is not explained.", syscall_write),
    {"fault-syscall", "read", "A system call that stores into a view is not explained.", CONF_MAPPED, CONF_REAL,
     syscall_read},
    BOTH("fault-syscall", "innocent", "A short count with another reason is taken for a fault.", syscall_innocent),
};

CONF_GROUP(conf_signals, "signals");
