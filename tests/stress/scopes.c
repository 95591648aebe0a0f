/*
 * scopes.c - a stress test of scopes: nested ones in many short-lived threads, with real and injected faults, and
 * signals.
 *
 * SPDX-License-Identifier: MIT
 *
 * Usage: stress-scopes [ROUNDS [SEED [LANES]]]
 *
 * In each lane (4 at least) threads follow one another, each with a stack and an alternate signal stack of a kind
 * chosen at random. A thread nests up to 12 scopes of both forms over views and whole mapfiles, touches a byte at the
 * bottom, and must find itself in the catch of the innermost scope that covers the byte, with exact offset, address and
 * access. Pages fail because another process cuts the file and fills it again all the time, or by mapfile_inject, some
 * of them for ever and some on and off. Other rounds fill with zeros, or leave a scope by a longjmp of their own.
 * Meanwhile a thread sends SIGUSR1 and SIGBUS to the lanes: the first has a handler that was installed before the
 * library's, the second must come to the handler that was there before the library's.
 *
 * ROUNDS are those of each lane. Exit status 0 or 1.
 */
#include "stress.h"

#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum {
  MOST_LANES = 16,
  PAGES = 64,
  STEADY_PAGES = 16,  /* of the cut file: never cut */
  FLICKER_PAGES = 16, /* the last pages of the injected file: made to fail and good again all the time */
  MOST_DEPTH = 12,    /* more than the scopes that a thread remembers by itself */
  ROUNDS_OF_A_LIFE = 40,
  GUARD_SECONDS = 600
};

typedef struct test_file {
  char path[300];
  uint64_t seed;
  mapfile *file;
} test_file;

enum { STEADY, INJECTED, CUT, FILES };

enum { OTHER_STACK = 64 << 10 };

enum form { IN_PLACE, CALLBACK };

typedef struct nest_level {
  enum form form;
  mapfile *file;
  const mapfile_view *view; /* NULL: all of the mapfile */
} nest_level;

/* What one thread does in one round. */
typedef struct nest_plan {
  nest_level levels[MOST_DEPTH];
  int depth, expected, caught; /* the level that must catch, and did; -1: none */
  const volatile unsigned char *touch;
  uint64_t offset; /* of the byte touched */
  unsigned value;
  mapfile_fault fault;
  jmp_buf out;
} nest_plan;

typedef struct thread_lane {
  pthread_mutex_t mutex;
  pthread_t thread;
  bool alive;
  unsigned sent;       /* SIGUSR1, to the present thread */
  atomic_uint handled; /* by it */
  uint64_t random;
  uint64_t rounds_left;
} thread_lane;

static test_file files[FILES];
static thread_lane lanes[MOST_LANES];
static size_t page_size, lane_count;
static uint64_t rounds, seed;
static bool send_faults; /* SIGBUS, as a process would send it */
static bool send_singly; /* the next SIGUSR1 only when the last has been handled */
static _Thread_local thread_lane *own_lane;
static atomic_uint lanes_running;
static atomic_uint_fast64_t real_faults, injected_faults, fills, traced_faults, traced_fills, user_signals, user_faults,
    threads_made, deepest_reached, jumps;

/*
 * Signals
 */

static void on_user_signal(int number) {
  (void)number;
  atomic_fetch_add(&user_signals, 1);
  if (own_lane != NULL)
    atomic_fetch_add(&own_lane->handled, 1);
}

/* Was there before the library: sees only what somebody sent. A fault that the kernel tells of is a scope's. */
static void on_foreign_fault(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)context;
  if (info->si_code > 0) {
    static const char text[] = "FAILED: a fault inside a scope came to the previous handler\n";
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
      _exit(2);
    _exit(1);
  }
  atomic_fetch_add(&user_faults, 1);
}

static void install_handlers(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  action.sa_handler = on_user_signal;
  REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
  action.sa_flags = SA_RESTART | SA_ONSTACK | SA_SIGINFO;
  action.sa_sigaction = on_foreign_fault;
  REQUIRE(sigaction(SIGBUS, &action, NULL) == 0);
}

static void send_signal(thread_lane *to, int number) {
  pthread_mutex_lock(&to->mutex);
  if (to->alive && (number != SIGUSR1 || !send_singly || to->sent == atomic_load(&to->handled))) {
    REQUIRE(pthread_kill(to->thread, number) == 0);
    to->sent += number == SIGUSR1;
  }
  pthread_mutex_unlock(&to->mutex);
}

static void *send_signals(void *argument) {
  uint64_t random = seed + 5000;
  (void)argument;
  while (atomic_load(&lanes_running) > 0) {
    thread_lane *to = &lanes[random_below(&random, lane_count)];
    send_signal(to, send_faults && random_below(&random, 4) == 0 ? SIGBUS : SIGUSR1);
    rest(20000);
  }
  return NULL;
}

static void on_event(void *argument, const mapfile_event *event) {
  (void)argument;
  if (event->kind == MAPFILE_EVENT_FAULT)
    atomic_fetch_add(&traced_faults, 1);
  if (event->kind == MAPFILE_EVENT_FILL)
    atomic_fetch_add(&traced_fills, 1);
}

/*
 * Nested scopes
 */

static int descend(nest_plan *plan, int at);

typedef struct nest_step {
  nest_plan *plan;
  int at;
} nest_step;

static mapfile_status go_deeper(void *argument) {
  nest_step *step = argument;
  return descend(step->plan, step->at + 1) == 0 ? MAPFILE_OK : MAPFILE_CANCELLED;
}

/* The scope at a level has taken the fault. */
static void caught(nest_plan *plan, int at, const mapfile_fault *fault) {
  if (at != plan->expected)
    fail("the scope at level %d of %d caught the fault, not that at %d (%s)", at, plan->depth, plan->expected,
         mapfile_strerror(fault->status));
  plan->caught = at;
  plan->fault = *fault;
}

static int callback_level(nest_plan *plan, int at) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  nest_step step = {plan, at};
  const nest_level *level = &plan->levels[at];
  mapfile_status status = mapfile_try(level->file, level->view, go_deeper, &step, &fault);
  if (fault.status == MAPFILE_OK)
    return status == MAPFILE_OK ? 0 : 1;
  if (status != fault.status)
    fail("mapfile_try returned \"%s\", its record says \"%s\"", mapfile_strerror(status),
         mapfile_strerror(fault.status));
  caught(plan, at, &fault);
  return 1;
}

static int in_place_level(nest_plan *plan, int at) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  const nest_level *level = &plan->levels[at];
  MAPFILE_TRY(level->file, level->view, &fault) {
    /* One way of leaving for levels of even number, another for the others. */
    if (at % 2 == 0)
      return descend(plan, at + 1);
    if (descend(plan, at + 1) != 0)
      return 1;
  }
  MAPFILE_CATCH {
    caught(plan, at, &fault);
    return 1;
  }
  MAPFILE_END_TRY
  return 0;
}

/* The byte may be made to fail by another thread at this moment: that is what the test is about, and no data race. */
#if defined(__clang__)
__attribute__((noinline, no_sanitize("thread")))
#else
__attribute__((noinline, no_sanitize_thread))
#endif
static unsigned
touch_byte(const volatile unsigned char *at) {
  return *at;
}

/* 0: nothing faulted; 1: a scope at this level or further in caught a fault. */
static int descend(nest_plan *plan, int at) {
  if (at == plan->depth) {
    plan->value = touch_byte(plan->touch);
    return 0;
  }
  return plan->levels[at].form == IN_PLACE ? in_place_level(plan, at) : callback_level(plan, at);
}

static void pin_all(test_file *of, mapfile_view *view) {
  mapfile_view unpinned = MAPFILE_VIEW_INIT;
  *view = unpinned;
  REQUIRE_STATUS(mapfile_pin(of->file, 0, MAPFILE_TO_END, MAPFILE_LIVE, view), MAPFILE_OK);
}

static void add_level(nest_plan *plan, uint64_t *random, const mapfile_view *view, mapfile *file) {
  nest_level *level = &plan->levels[plan->depth++];
  level->form = random_below(random, 2) == 0 ? IN_PLACE : CALLBACK;
  level->file = file;
  level->view = random_below(random, 2) == 0 ? view : NULL;
}

/* The scopes over the file that is touched and over the steady one, in random order; the outermost always covers. */
static void make_plan(nest_plan *plan, uint64_t *random, const mapfile_view *target, mapfile *target_file,
                      const mapfile_view *other) {
  int depth = 1 + (int)random_below(random, MOST_DEPTH);
  plan->depth = 0;
  plan->caught = -1;
  for (int i = 0; i < depth; i++) {
    bool covers = i == 0 || random_below(random, 3) == 0;
    if (covers)
      plan->expected = i;
    add_level(plan, random, covers ? target : other, covers ? target_file : files[STEADY].file);
  }
  if ((uint64_t)depth > atomic_load(&deepest_reached))
    atomic_store(&deepest_reached, (uint64_t)depth);
}

static void check_record(const nest_plan *plan, mapfile *file) {
  const mapfile_fault *fault = &plan->fault;
  REQUIRE(fault->file == file);
  REQUIRE(fault->offset == plan->offset);
  REQUIRE(fault->address == (const void *)plan->touch);
  REQUIRE(fault->access == MAPFILE_FAULT_READ || fault->access == MAPFILE_FAULT_UNKNOWN);
  REQUIRE(fault->signal == SIGBUS);
}

static unsigned char byte_at(const test_file *of, uint64_t offset) {
  uint64_t word = word_at(of->seed, offset & ~UINT64_C(7));
  return ((const unsigned char *)&word)[offset & 7];
}

static mapfile_status injected_status(uint64_t page) {
  static const mapfile_status kinds[] = {MAPFILE_IO, MAPFILE_NO_SPACE, MAPFILE_POISONED, MAPFILE_TRUNCATED};
  return page < PAGES - FLICKER_PAGES && page % 2 == 1 ? kinds[page / 2 % 4] : MAPFILE_OK;
}

static void touch_injected(uint64_t *random) {
  test_file *of = &files[INJECTED];
  mapfile_view target, other;
  nest_plan plan = {.fault = MAPFILE_FAULT_INIT};
  pin_all(of, &target);
  pin_all(&files[STEADY], &other);
  make_plan(&plan, random, &target, of->file, &other);
  plan.offset = random_below(random, PAGES * page_size);
  plan.touch = (const unsigned char *)target.data + plan.offset;
  uint64_t page = plan.offset / page_size;
  mapfile_status wanted = injected_status(page);
  int left = descend(&plan, 0);
  if (left != 0) {
    REQUIRE(wanted != MAPFILE_OK || page >= PAGES - FLICKER_PAGES);
    atomic_fetch_add(&injected_faults, 1);
    check_record(&plan, of->file);
    mapfile_status why = mapfile_fault_explain(&plan.fault);
    if (wanted != MAPFILE_OK ? why != wanted : why != MAPFILE_IO && why != MAPFILE_UNKNOWN)
      fail("an injected fault in page %" PRIu64 " is explained as \"%s\"", page, mapfile_strerror(why));
  } else {
    REQUIRE(wanted == MAPFILE_OK);
    REQUIRE(plan.value == byte_at(of, plan.offset));
  }
  REQUIRE_STATUS(mapfile_unpin(&other), MAPFILE_OK);
  REQUIRE_STATUS(mapfile_unpin(&target), MAPFILE_OK);
}

static void touch_cut(uint64_t *random) {
  test_file *of = &files[CUT];
  mapfile_view target, other;
  nest_plan plan = {.fault = MAPFILE_FAULT_INIT};
  pin_all(of, &target);
  pin_all(&files[STEADY], &other);
  make_plan(&plan, random, &target, of->file, &other);
  plan.offset = random_below(random, PAGES * page_size);
  plan.touch = (const unsigned char *)target.data + plan.offset;
  bool steady = plan.offset < STEADY_PAGES * page_size;
  if (descend(&plan, 0) != 0) {
    REQUIRE(!steady);
    atomic_fetch_add(&real_faults, 1);
    check_record(&plan, of->file);
    mapfile_status why = mapfile_fault_explain(&plan.fault);
    if (why != MAPFILE_TRUNCATED && why != MAPFILE_CHANGED && why != MAPFILE_UNKNOWN)
      fail("a fault by truncation is explained as \"%s\"", mapfile_strerror(why));
  } else if (steady) {
    REQUIRE(plan.value == byte_at(of, plan.offset));
  }
  REQUIRE_STATUS(mapfile_unpin(&other), MAPFILE_OK);
  REQUIRE_STATUS(mapfile_unpin(&target), MAPFILE_OK);
}

/*
 * Zero-fill, and scopes left by a longjmp
 */

static void fill_pages(uint64_t *random) {
  test_file *of = &files[INJECTED];
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_scope scope;
  uint64_t first = random_below(random, PAGES - FLICKER_PAGES - 8), bad = 0;
  REQUIRE_STATUS(mapfile_pin(of->file, first * page_size, 4 * page_size, MAPFILE_ZERO_FILL, &view), MAPFILE_OK);
  MAPFILE_SCOPE_INIT(&scope);
  REQUIRE_STATUS(mapfile_scope_begin(&scope, of->file, random_below(random, 2) == 0 ? &view : NULL), MAPFILE_OK);
  for (uint64_t page = first; page < first + 4; page++) {
    uint64_t offset = page * page_size + random_below(random, page_size);
    unsigned value = ((const volatile unsigned char *)view.data)[offset - view.offset];
    bool fails = injected_status(page) != MAPFILE_OK;
    REQUIRE(value == (fails ? 0 : byte_at(of, offset)));
    bad += fails;
  }
  mapfile_status status = mapfile_scope_end(&scope, &fault);
  /* A scope over the whole mapfile also tells of other threads' views. */
  REQUIRE(bad == 2 && status == MAPFILE_UNKNOWN && fault.filled_pages >= bad);
  REQUIRE_STATUS(mapfile_unpin(&view), MAPFILE_UNKNOWN);
  atomic_fetch_add(&fills, 1);
}

static __attribute__((noinline)) void leave_by_longjmp(nest_plan *plan, const mapfile_view *view) {
  volatile char room[512];
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  room[0] = 0;
  MAPFILE_TRY(files[STEADY].file, view, &fault) {
    room[511] = room[0];
    longjmp(plan->out, 1);
  }
  MAPFILE_CATCH {
    fail("a scope that was left caught a fault");
  }
  MAPFILE_END_TRY
}

/* A scope whose frame is gone may neither catch what comes later nor hide the scopes outside it. */
static void jump_out(uint64_t *random) {
  mapfile_view view;
  nest_plan plan = {.fault = MAPFILE_FAULT_INIT};
  pin_all(&files[STEADY], &view);
  if (setjmp(plan.out) == 0)
    leave_by_longjmp(&plan, &view);
  atomic_fetch_add(&jumps, 1);
  touch_injected(random);
  REQUIRE_STATUS(mapfile_unpin(&view), MAPFILE_OK);
}

/*
 * Threads
 */

static void one_round(uint64_t *random) {
  switch (random_below(random, 16)) {
  case 0:
    fill_pages(random);
    break;
  case 1:
    jump_out(random);
    break;
  case 2:
  case 3:
  case 4:
  case 5:
  case 6:
    touch_injected(random);
    break;
  default:
    touch_cut(random);
  }
}

static void set_alive(thread_lane *lane, bool alive) {
  pthread_mutex_lock(&lane->mutex);
  lane->thread = pthread_self();
  lane->alive = alive;
  lane->sent = 0;
  atomic_store(&lane->handled, 0);
  pthread_mutex_unlock(&lane->mutex);
}

static void check_same_signals(const sigset_t *mask, const stack_t *stack) {
  sigset_t mask_now;
  stack_t stack_now;
  REQUIRE(pthread_sigmask(SIG_BLOCK, NULL, &mask_now) == 0 && sigaltstack(NULL, &stack_now) == 0);
  for (int number = 1; number < 32; number++)
    REQUIRE(sigismember(&mask_now, number) == sigismember(mask, number));
  REQUIRE(stack_now.ss_sp == stack->ss_sp && stack_now.ss_size == stack->ss_size &&
          stack_now.ss_flags == stack->ss_flags);
}

static void *live(void *argument) {
  thread_lane *lane = own_lane = argument;
  void *other = NULL;
  sigset_t mask;
  stack_t stack;
  /* The sanitizers bring an alternate stack of their own. */
#ifndef STRESS_SANITIZER
  if (random_below(&lane->random, 2) == 0) {
    other = malloc(OTHER_STACK);
    REQUIRE(other != NULL);
    stack_t own = {.ss_sp = other, .ss_size = OTHER_STACK};
    REQUIRE(sigaltstack(&own, NULL) == 0);
  }
#endif
  REQUIRE(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0 && sigaltstack(NULL, &stack) == 0);
  set_alive(lane, true);
  for (int i = 0; i < ROUNDS_OF_A_LIFE && lane->rounds_left > 0; i++, lane->rounds_left--)
    one_round(&lane->random);
  set_alive(lane, false);
  check_same_signals(&mask, &stack);
  if (other != NULL) {
    stack_t none = {.ss_flags = SS_DISABLE};
    REQUIRE(sigaltstack(&none, NULL) == 0);
    free(other);
  }
  return NULL;
}

static bool signals_seen(void) {
  return atomic_load(&user_signals) > 0 && (atomic_load(&user_faults) > 0 || !send_faults);
}

/* One lane: a thread after the other, and more of them than asked for where no signal has found one yet. */
static void *run_lane(void *argument) {
  thread_lane *lane = argument;
#ifdef STRESS_SANITIZER
  const size_t small_stack = 1 << 20;
#else
  const size_t small_stack = (size_t)PTHREAD_STACK_MIN + (96 << 10);
#endif
  while (lane->rounds_left > 0 || !signals_seen()) {
    pthread_t thread;
    if (lane->rounds_left == 0)
      lane->rounds_left = ROUNDS_OF_A_LIFE;
    pthread_attr_t attributes;
    REQUIRE(pthread_attr_init(&attributes) == 0);
    if (random_below(&lane->random, 2) == 0)
      REQUIRE(pthread_attr_setstacksize(&attributes, small_stack) == 0);
    REQUIRE(pthread_create(&thread, &attributes, live, lane) == 0);
    pthread_attr_destroy(&attributes);
    REQUIRE(pthread_join(thread, NULL) == 0);
    atomic_fetch_add(&threads_made, 1);
  }
  atomic_fetch_sub(&lanes_running, 1);
  return NULL;
}

/* Pages that fail and are good again while they are touched. */
static void *flicker(void *argument) {
  uint64_t random = seed + 6000;
  (void)argument;
  while (atomic_load(&lanes_running) > 0) {
    uint64_t first = PAGES - FLICKER_PAGES + random_below(&random, FLICKER_PAGES);
    uint64_t count = 1 + random_below(&random, PAGES - first);
    mapfile_status status = random_below(&random, 2) == 0 ? MAPFILE_IO : MAPFILE_OK;
    REQUIRE_STATUS(mapfile_inject(files[INJECTED].file, first * page_size, count * page_size, status), MAPFILE_OK);
    rest(100000);
  }
  REQUIRE_STATUS(
      mapfile_inject(files[INJECTED].file, (PAGES - FLICKER_PAGES) * page_size, FLICKER_PAGES * page_size, MAPFILE_OK),
      MAPFILE_OK);
  return NULL;
}

/*
 * The process that cuts the file
 */

static void cut_until_closed(int end, int descriptor) {
  struct pollfd poll_end = {.fd = end, .events = POLLIN};
  alarm(GUARD_SECONDS);
  while (poll(&poll_end, 1, 0) == 0) {
    uint64_t steady = STEADY_PAGES * page_size;
    if (ftruncate(descriptor, (off_t)steady) != 0)
      _exit(1);
    rest(50000);
    if (!append_words(descriptor, files[CUT].seed, steady, (PAGES - STEADY_PAGES) * page_size))
      _exit(1);
    rest(20000);
  }
  _exit(0);
}

static pid_t start_cutter(int *end) {
  int ends[2];
  int descriptor = open(files[CUT].path, O_RDWR | O_CLOEXEC);
  REQUIRE(descriptor >= 0 && pipe(ends) == 0);
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    close(ends[1]);
    cut_until_closed(ends[0], descriptor);
  }
  close(ends[0]);
  close(descriptor);
  *end = ends[1];
  return child;
}

/*
 * The whole
 */

static void make_file(int index) {
  test_file *of = &files[index];
  REQUIRE((size_t)snprintf(of->path, sizeof of->path, "%s/file-%d", stress_folder, index) < sizeof of->path);
  of->seed = mix(seed + (uint64_t)index);
  int descriptor = open(of->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  REQUIRE(descriptor >= 0 && append_words(descriptor, of->seed, 0, PAGES * page_size) && close(descriptor) == 0);
  REQUIRE_STATUS(mapfile_open(of->path, NULL, &of->file), MAPFILE_OK);
}

static void inject_for_ever(void) {
  for (uint64_t page = 0; page < PAGES; page++)
    if (injected_status(page) != MAPFILE_OK)
      REQUIRE_STATUS(mapfile_inject(files[INJECTED].file, page * page_size, page_size, injected_status(page)),
                     MAPFILE_OK);
}

static void run_threads(void) {
  pthread_t threads[MOST_LANES + 2];
  atomic_store(&lanes_running, (unsigned)lane_count);
  for (size_t i = 0; i < lane_count; i++) {
    pthread_mutex_init(&lanes[i].mutex, NULL);
    lanes[i].random = seed + i * 1000;
    lanes[i].rounds_left = rounds;
    REQUIRE(pthread_create(&threads[i], NULL, run_lane, &lanes[i]) == 0);
  }
  REQUIRE(pthread_create(&threads[lane_count], NULL, send_signals, NULL) == 0);
  REQUIRE(pthread_create(&threads[lane_count + 1], NULL, flicker, NULL) == 0);
  for (size_t i = 0; i < lane_count + 2; i++)
    REQUIRE(pthread_join(threads[i], NULL) == 0);
}

static void check_counts(void) {
  mapfile_statistics counts = MAPFILE_STATISTICS_INIT;
  printf("%" PRIu64 " threads, %" PRIu64 " real faults, %" PRIu64 " injected, %" PRIu64 " zero-fill scopes, %" PRIu64
         " left by longjmp, depth %" PRIu64 "; %" PRIu64 " SIGUSR1, %" PRIu64 " SIGBUS sent and delivered\n",
         atomic_load(&threads_made), atomic_load(&real_faults), atomic_load(&injected_faults), atomic_load(&fills),
         atomic_load(&jumps), atomic_load(&deepest_reached), atomic_load(&user_signals), atomic_load(&user_faults));
  /* What this test is for must have happened, and each fault have been told of once. */
  REQUIRE(atomic_load(&real_faults) > 0 && atomic_load(&injected_faults) > rounds / 8);
  REQUIRE(signals_seen() && atomic_load(&fills) > 0);
  REQUIRE(atomic_load(&traced_faults) == atomic_load(&real_faults) + atomic_load(&injected_faults));
  REQUIRE(atomic_load(&traced_fills) == atomic_load(&fills));
  REQUIRE_STATUS(mapfile_handler_check(), MAPFILE_OK);
  for (int i = 0; i < FILES; i++)
    REQUIRE_STATUS(mapfile_close(files[i].file), MAPFILE_OK);
  REQUIRE_STATUS(mapfile_stats(NULL, &counts), MAPFILE_OK);
  REQUIRE(counts.open_files == 0 && counts.pinned_views == 0 && counts.maps == 0 && counts.copied_bytes == 0);
}

/* Two tools have SIGBUS down as a signal that never comes from outside. */
static const char *reason_to_send_none(void) {
  if (under_valgrind())
    return "valgrind may stop with a failed assertion of its own where one interrupts a system call";
  if (under_thread_sanitizer())
    return "ThreadSanitizer runs the handler even where one interrupts its own code with its locks held";
  return NULL;
}

int main(int count, char **arguments) {
  rounds = argument_or(count, arguments, 1, default_count(60000));
  seed = argument_or(count, arguments, 2, new_seed());
  lane_count = (size_t)argument_or(count, arguments, 3, 4);
  if (lane_count < 4 || lane_count > MOST_LANES)
    fail("4 to %d lanes", MOST_LANES);
  printf("%" PRIu64 " rounds in each of %zu lanes, seed %" PRIu64 "\n", rounds, lane_count, seed);
  alarm(GUARD_SECONDS);
  page_size = (size_t)sysconf(_SC_PAGESIZE);
  send_faults = reason_to_send_none() == NULL;
  /* ThreadSanitizer forgets to unblock signals where a second one arrives just before it runs the handler of the first.
   */
  send_singly = under_thread_sanitizer();
  if (!send_faults)
    printf("no SIGBUS is sent: %s\n", reason_to_send_none());
  fflush(stdout);
  install_handlers();
  make_folder("scopes");
  mapfile_set_trace(on_event, NULL);
  for (int i = 0; i < FILES; i++)
    make_file(i);
  inject_for_ever();
  int end, state;
  pid_t child = start_cutter(&end);
  run_threads();
  close(end);
  REQUIRE(waitpid(child, &state, 0) == child && WIFEXITED(state) && WEXITSTATUS(state) == 0);
  check_counts();
  remove_folder();
  return 0;
}
