/*
 * window.c - windows: parts of a file that copied access keeps in memory and uses again.
 *
 * SPDX-License-Identifier: MIT
 *
 * Pinning what is kept takes no lock and, where nobody need be asked whether the file has changed, makes no system
 * call. It goes by the protocol of docs/protocol.md: who pins counts first and then looks at the gate; who takes a
 * window away shuts the gate first and then looks at the counts. Records are used again, for any mapfile, and freed
 * when no mapfile is open, so that a pin may look at one that has just been taken away.
 *
 * What is kept, and what goes:
 *
 * - The first touch of a part reads what was asked for and nothing else; only a part that is touched again soon is
 *   read as a whole window. So single accesses all over a large file cost no more than reading does, and push nothing
 *   out.
 * - New windows wait in a short queue. From its end those that were used again meanwhile go to the main queue, the
 *   others go. So a walk through a file pushes out nothing that is used often.
 * - Of the main queue goes what has not been used since it was last looked at. A part that comes back soon after it
 *   went from the short queue goes to the main one at once.
 *
 * A window is current while its mapfile is immutable, for revalidate_ms after the system was last asked, or when the
 * system, asked now, tells the same size and times as before the window was read. Times too close to that moment prove
 * nothing: the file may be written to once more within the same tick of its clock. A pinned window never changes:
 * where it is not current any more another takes its place.
 */
#include "internal.h"

enum { SMALLEST_SHIFT = 12, USUAL_SHIFT = 16, LARGEST_SHIFT = 20 };
/* About so many windows make a budget, where that leaves them between 64 KiB and 1 MiB. */
enum { WINDOWS_SHIFT = 12 };
enum { MOST_LOOKED_AT = 256, MOST_USED = 3, MOST_STEPS = 16, STRIPES = 4 };
/* A quarter of what a record may take of its window, and what the tables may have for each. */
enum { MOST_ENTRIES = 1 << 20, HEADS_FOR_EACH = 4, LEAST_TOUCHED = 64 };
/* The short queue's part of all windows. */
enum { SHORT_QUEUE_PART = 10 };
/* How much doubt asks for one touch more, and at most for all that are counted. */
enum { DOUBT_STEP = 32, MOST_DOUBT = 4 * DOUBT_STEP };
/* The coarsest clock of a file system that is known, and somewhat more. */
#define SETTLED_AFTER_MS INT64_C(3000)

enum window_state { WINDOW_LOADING, WINDOW_READY, WINDOW_OLD };

struct mf_window {
  /* Read by pins. All but the gate, the chain and the marks is changed only while the gate is shut and nobody has the
     window pinned. */
  _Alignas(MF_CACHE_LINE) atomic_uint gate; /* MF_GATE_... */
  atomic_uint used;                         /* touches since it was last looked at, at most MOST_USED */
  atomic_uint_fast64_t index;
  _Atomic(mf_window *) next; /* of its chain */
  mf_windows *set;
  unsigned char *bytes;
  size_t valid; /* bytes of the file in it */
  os_file_info stamp;
  bool settled;                /* the stamp can prove that nothing has changed */
  atomic_uint_fast64_t looked; /* when the system was last asked, in milliseconds */
  /* Locked. */
  void *memory, *block;
  enum window_state state;
  bool in_main;
  bool overtaken; /* written to while it was being read */
  mf_window *queue_next, *queue_previous;
  mf_window *file_next, *file_previous; /* all of a mapfile; spares by file_next */
  mf_stripe stripes[STRIPES];
};

/* A mapfile's table of windows of one size. Replaced by another, and kept, when the file has outgrown it. */
struct mf_windows {
  mapfile *file;
  unsigned shift;                    /* a window's size, as a power of two */
  size_t mask, touched_mask;         /* of heads and of touched */
  atomic_uint_fast64_t trusted_from; /* before this millisecond the file's times prove nothing */
  mf_windows *outgrown;              /* locked */
  _Atomic(mf_window *) *heads;       /* chains of windows, by index & mask */
  atomic_uint *touched;              /* parts touched lately that are not kept */
};

/* What one word of touched holds: a part's mark, whether it went from the short queue, how often it was touched. */
enum { TOUCHES = 7u, WENT = 8u, MARK = ~15u };

static struct {
  mf_window *spares;
  mf_queues *hand; /* all queues: the process's and those of mapfiles with a budget of their own; a ring */
  mf_queues queues;
  atomic_uint_fast64_t bytes, bytes_limit;
  uint64_t loads;
  uint64_t misses; /* of mapfiles that are closed */
} cache;           /* locked; bytes and their limit are read without */

static uint64_t default_bytes(void) {
  return (uint64_t)(mf_small_host() ? 32 : 64) << 20;
}

void mf_windows_begin(void) {
  cache.hand = cache.queues.next = cache.queues.previous = &cache.queues;
  atomic_store(&cache.bytes_limit, default_bytes());
}

static size_t room_of(const mf_windows *set) {
  return (size_t)1 << set->shift;
}

/* What a window counts for. Where it is large its record is less than a hundredth of it. */
static size_t charge_of(const mf_windows *set) {
  size_t room = room_of(set);
  return set->shift < USUAL_SHIFT ? room + sizeof(mf_window) + 2 * MF_CACHE_LINE : room;
}

static bool has_room(uint64_t used, uint64_t more, uint64_t limit) {
  return used <= limit && more <= limit - used;
}

static uint64_t limit_of(const mapfile *file) {
  uint64_t limit = atomic_load_explicit(&cache.bytes_limit, memory_order_relaxed);
  return limit < file->cache_limit ? limit : file->cache_limit;
}

/*
 * Queues: rings, of which the head is the next to be looked at
 */

static mf_queues *queues_for(mapfile *file) {
  return file->cache_limit != UINT64_MAX ? &file->queues : &cache.queues;
}

static mf_queues *queues_of(const mf_window *window) {
  return queues_for(window->set->file);
}

static mf_queue *queue_of(const mf_window *window) {
  mf_queues *queues = queues_of(window);
  return window->in_main ? &queues->main : &queues->shorter;
}

/* Behind all others. */
static void enqueue(mf_window *window) {
  mf_queue *into = queue_of(window);
  into->bytes += room_of(window->set);
  if (into->head == NULL) {
    window->queue_next = window->queue_previous = into->head = window;
    return;
  }
  window->queue_next = into->head;
  window->queue_previous = into->head->queue_previous;
  window->queue_previous->queue_next = window;
  into->head->queue_previous = window;
}

static void dequeue(mf_window *window) {
  mf_queue *from = queue_of(window);
  from->bytes -= room_of(window->set);
  if (window->queue_next == window) {
    from->head = NULL;
    return;
  }
  if (from->head == window)
    from->head = window->queue_next;
  window->queue_previous->queue_next = window->queue_next;
  window->queue_next->queue_previous = window->queue_previous;
}

static void link_queues(mf_queues *queues) {
  queues->next = cache.hand;
  queues->previous = cache.hand->previous;
  queues->previous->next = queues;
  cache.hand->previous = queues;
}

static void unlink_queues(mf_queues *queues) {
  if (queues->next == NULL)
    return;
  if (cache.hand == queues)
    cache.hand = queues->next;
  queues->previous->next = queues->next;
  queues->next->previous = queues->previous;
}

/*
 * What was touched lately: a small table, in which parts that are touched often keep their place
 */

static atomic_uint *touched_word(const mf_windows *set, uint64_t index, unsigned *mark) {
  uint64_t mixed = (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
  mixed = (mixed ^ mixed >> 32) * UINT64_C(0xd6e8feb86659fd93);
  mixed ^= mixed >> 32;
  *mark = (unsigned)mixed & MARK;
  return &set->touched[(mixed >> 32) & set->touched_mask];
}

static bool is_full(const mf_windows *set) {
  const mapfile *file = set->file;
  size_t more = charge_of(set);
  return !has_room(atomic_load_explicit(&file->cache_bytes, memory_order_relaxed), more, file->cache_limit) ||
         !has_room(atomic_load_explicit(&cache.bytes, memory_order_relaxed), more,
                   atomic_load_explicit(&cache.bytes_limit, memory_order_relaxed));
}

/* Now it has been touched once more. Worth a window of its own? Where others would have to go for it, it must have
   shown more than twice. Two threads at once may lose a touch: it does no harm. */
static bool is_worth_keeping(const mf_windows *set, uint64_t index) {
  unsigned mark, enough = 2;
  atomic_uint *word = touched_word(set, index, &mark);
  unsigned before = atomic_load_explicit(word, memory_order_relaxed), touches = before & TOUCHES;
  if (is_full(set))
    enough = 3 + atomic_load_explicit(&queues_for(set->file)->doubt, memory_order_relaxed) / DOUBT_STEP;
  if ((before & MARK) != mark && touches > 1) {
    atomic_store_explicit(word, before - 1, memory_order_relaxed);
    return false;
  }
  if ((before & MARK) != mark) {
    atomic_store_explicit(word, mark | 1, memory_order_relaxed);
    return false;
  }
  if (touches < TOUCHES)
    atomic_store_explicit(word, before + 1, memory_order_relaxed);
  return touches + 1 >= enough;
}

static bool take_went(const mf_windows *set, uint64_t index) {
  unsigned mark;
  atomic_uint *word = touched_word(set, index, &mark);
  unsigned before = atomic_load_explicit(word, memory_order_relaxed);
  if ((before & MARK) != mark)
    return false;
  atomic_store_explicit(word, 0, memory_order_relaxed);
  return (before & WENT) != 0;
}

static void remember_that_it_went(const mf_window *window) {
  unsigned mark;
  atomic_uint *word = touched_word(window->set, atomic_load(&window->index), &mark);
  atomic_store_explicit(word, mark | 1 | (window->in_main ? 0 : WENT), memory_order_relaxed);
}

/*
 * Taking away
 */

static uint64_t pins_of(const mf_window *window) {
  uint64_t sum = 0;
  for (unsigned stripe = 0; stripe < STRIPES; stripe++)
    sum += atomic_load(&window->stripes[stripe].pins);
  return sum;
}

static void unchain(mf_window *window) {
  const mf_windows *set = window->set;
  _Atomic(mf_window *) *link = &set->heads[atomic_load(&window->index) & set->mask];
  while (atomic_load_explicit(link, memory_order_relaxed) != window)
    link = &atomic_load_explicit(link, memory_order_relaxed)->next;
  /* The window keeps its own link, so that a pin that stands on it finds the way on. */
  atomic_store_explicit(link, atomic_load_explicit(&window->next, memory_order_relaxed), memory_order_release);
}

static void count(mapfile *file, int64_t bytes) {
  atomic_fetch_add_explicit(&file->cache_bytes, (uint64_t)bytes, memory_order_relaxed);
  atomic_fetch_add_explicit(&cache.bytes, (uint64_t)bytes, memory_order_relaxed);
}

/* Its memory goes; the record is kept for another window. Not chained and not queued any more. */
static void make_spare(mf_window *window) {
  mapfile *file = window->set->file;
  *(window->file_previous != NULL ? &window->file_previous->file_next : &file->first_window) = window->file_next;
  if (window->file_next != NULL)
    window->file_next->file_previous = window->file_previous;
  free(window->memory);
  window->memory = NULL;
  count(file, -(int64_t)charge_of(window->set));
  window->file_next = cache.spares;
  cache.spares = window;
}

/* False where it is pinned. */
static bool shut_gate(mf_window *window) {
  atomic_store(&window->gate, MF_GATE_CLOSED);
  return pins_of(window) == 0;
}

static bool try_take(mf_window *window) {
  if (!shut_gate(window)) {
    if (window->state == WINDOW_READY)
      atomic_store(&window->gate, MF_GATE_OPEN);
    return false;
  }
  if (window->state == WINDOW_READY) {
    remember_that_it_went(window);
    unchain(window);
  }
  dequeue(window);
  make_spare(window);
  return true;
}

/* Not current any more: nobody shall pin it again. Those who have it pinned keep it; it is the next to be looked at. */
static void retire(mf_window *window) {
  bool idle = shut_gate(window);
  unchain(window);
  dequeue(window);
  window->state = WINDOW_OLD;
  window->in_main = false;
  if (idle) {
    make_spare(window);
    return;
  }
  enqueue(window);
  queue_of(window)->head = window;
}

/* Did loading it pay? Where windows leave the short queue without having been used, it takes more to be loaded. */
static void judge(const mf_window *window, unsigned used) {
  atomic_uint *doubt = &queues_of(window)->doubt;
  unsigned before = atomic_load_explicit(doubt, memory_order_relaxed);
  if (used < 2 && before < MOST_DOUBT)
    atomic_store_explicit(doubt, before + 1, memory_order_relaxed);
  else if (used >= 2 && before > 0)
    atomic_store_explicit(doubt, before - 1, memory_order_relaxed);
}

/* Look at the head of a queue: it goes, or to the end of the queue that it belongs to. */
static bool look_at(mf_window *window) {
  unsigned used = atomic_load_explicit(&window->used, memory_order_relaxed);
  bool stays = used > 0 && window->state == WINDOW_READY;
  if (!window->in_main && window->state == WINDOW_READY)
    judge(window, used);
  if (!stays && try_take(window))
    return true;
  dequeue(window);
  if (stays) {
    atomic_store_explicit(&window->used, window->in_main ? used - 1 : 0, memory_order_relaxed);
    window->in_main = true;
  }
  enqueue(window);
  return false;
}

static bool take_one_of(mf_queues *queues) {
  for (unsigned looked = 0; looked < MOST_LOOKED_AT; looked++) {
    uint64_t all = queues->shorter.bytes + queues->main.bytes;
    bool from_short = queues->main.head == NULL || queues->shorter.bytes * SHORT_QUEUE_PART > all;
    mf_window *window = from_short && queues->shorter.head != NULL ? queues->shorter.head : queues->main.head;
    if (window == NULL)
      return false;
    if (look_at(window))
      return true;
  }
  return false;
}

/* Of all queues in turn. */
static bool take_one(void) {
  mf_queues *first = cache.hand;
  do {
    mf_queues *queues = cache.hand;
    cache.hand = queues->next;
    if (take_one_of(queues))
      return true;
  } while (cache.hand != first);
  return false;
}

static bool make_room(const mf_windows *set) {
  mapfile *file = set->file;
  uint64_t more = charge_of(set);
  if (more > limit_of(file))
    return false;
  while (!has_room(atomic_load(&file->cache_bytes), more, file->cache_limit))
    if (!take_one_of(&file->queues))
      return false;
  while (!has_room(atomic_load(&cache.bytes), more, atomic_load(&cache.bytes_limit)))
    if (!take_one())
      return false;
  return true;
}

/*
 * Tables
 */

static size_t power_above(uint64_t least) {
  size_t power = 1;
  while (power < least && power < MOST_ENTRIES)
    power *= 2;
  return power;
}

static unsigned shift_of_hint(uint64_t hint) {
  unsigned shift = USUAL_SHIFT;
  while (shift < LARGEST_SHIFT && UINT64_C(1) << shift < hint)
    shift++;
  return shift;
}

/* A window is as long as the file where that is short; else what the program wishes, or about a 4096th of the budget.
 */
static unsigned fitting_shift(const mapfile *file, uint64_t size, uint64_t limit) {
  unsigned shift = SMALLEST_SHIFT;
  while (shift < USUAL_SHIFT && size >> shift != 0 && size != UINT64_C(1) << shift)
    shift++;
  if (shift < USUAL_SHIFT)
    return shift;
  if (file->window_bytes != 0)
    return shift_of_hint(file->window_bytes);
  while (shift < LARGEST_SHIFT && limit >> (shift + 1) >= UINT64_C(1) << WINDOWS_SHIFT &&
         size >> (shift + 1) >= UINT64_C(1) << WINDOWS_SHIFT)
    shift++;
  return shift;
}

static size_t fitting_heads(uint64_t size, uint64_t limit, unsigned shift) {
  uint64_t parts = (size >> shift) + 1, most = limit >> shift;
  if (most < MOST_ENTRIES && parts > most * HEADS_FOR_EACH)
    parts = most * HEADS_FOR_EACH;
  return power_above(parts);
}

static mf_windows *make_set(mapfile *file) {
  uint64_t size = atomic_load(&file->size), limit = limit_of(file);
  unsigned shift = fitting_shift(file, size, limit);
  size_t heads = fitting_heads(size, limit, shift), touched = heads / 2 > LEAST_TOUCHED ? heads / 2 : LEAST_TOUCHED;
  mf_windows *set = mf_allocate(sizeof *set + heads * sizeof(*set->heads) + touched * sizeof(*set->touched));
  if (set == NULL)
    return NULL;
  set->file = file;
  set->shift = shift;
  set->heads = (_Atomic(mf_window *) *)(set + 1);
  set->touched = (atomic_uint *)(set->heads + heads);
  set->mask = heads - 1;
  set->touched_mask = touched - 1;
  if (file->cache_limit != UINT64_MAX && file->queues.next == NULL)
    link_queues(&file->queues);
  return set;
}

static mf_windows *set_of(mapfile *file) {
  mf_windows *set = atomic_load_explicit(&file->windows, memory_order_acquire);
  if (set != NULL || limit_of(file) < (UINT64_C(1) << SMALLEST_SHIFT))
    return set;
  os_lock();
  set = atomic_load(&file->windows);
  if (set == NULL)
    set = make_set(file);
  atomic_store(&file->windows, set);
  os_unlock();
  return set;
}

/* Are its windows too small, or its chains long, for what the file has become? */
static bool has_outgrown(const mf_windows *set) {
  uint64_t size = atomic_load(&set->file->size), limit = limit_of(set->file);
  unsigned shift = fitting_shift(set->file, size, limit);
  return set->shift < USUAL_SHIFT ? shift > set->shift
                                  : fitting_heads(size, limit, set->shift) / HEADS_FOR_EACH > set->mask + 1;
}

void mf_windows_drop(mapfile *file) {
  mf_windows *set = atomic_load(&file->windows);
  mf_window *next;
  file->drops++;
  for (mf_window *window = file->first_window; window != NULL; window = next) {
    next = window->file_next;
    if (window->state == WINDOW_READY)
      retire(window);
    else if (window->state == WINDOW_OLD)
      try_take(window);
  }
  if (set != NULL && has_outgrown(set)) {
    set->outgrown = file->outgrown;
    file->outgrown = set;
    atomic_store(&file->windows, NULL);
  }
}

uint64_t mf_windows_pins(const mapfile *file) {
  uint64_t sum = 0;
  for (const mf_window *window = file->first_window; window != NULL; window = window->file_next)
    sum += pins_of(window);
  return sum;
}

static void free_sets(mf_windows *set) {
  while (set != NULL) {
    mf_windows *gone = set;
    set = gone->outgrown;
    free(gone);
  }
}

void mf_windows_close(mapfile *file) {
  mf_windows_drop(file);
  free_sets(file->outgrown);
  free_sets(atomic_load(&file->windows));
  unlink_queues(&file->queues);
  cache.misses += atomic_load(&file->cache_misses);
  file->outgrown = NULL;
  atomic_store(&file->windows, NULL);
}

void mf_windows_end(void) {
  while (cache.spares != NULL) {
    mf_window *gone = cache.spares;
    cache.spares = gone->file_next;
    free(gone->block);
  }
}

/* Whoever was reading a window is not there. Its memory goes when it is looked at. */
void mf_windows_after_fork(void) {
  for (mapfile *file = mf_process_state.files; file != NULL; file = file->next)
    for (mf_window *window = file->first_window; window != NULL; window = window->file_next) {
      if (window->state != WINDOW_LOADING)
        continue;
      unchain(window);
      window->state = WINDOW_OLD;
      window->in_main = false;
      enqueue(window);
    }
}

/*
 * Budgets
 */

bool mf_windows_over_limit(void) {
  return atomic_load(&cache.bytes) > atomic_load(&cache.bytes_limit);
}

/* Every window is looked at as often as one may be spared. */
void mf_windows_set_limit(uint64_t bytes) {
  atomic_store(&cache.bytes_limit, bytes != 0 ? bytes : default_bytes());
  for (mapfile *file = mf_process_state.files; file != NULL && mf_windows_over_limit(); file = file->next) {
    mf_window *next;
    for (mf_window *window = file->first_window; window != NULL && mf_windows_over_limit(); window = next) {
      next = window->file_next;
      if (window->state != WINDOW_LOADING)
        try_take(window);
    }
  }
}

void mf_window_unpin(mf_window *window, mf_stripe *stripe) {
  atomic_fetch_sub(&stripe->pins, 1);
  if (mf_windows_over_limit() && window->state != WINDOW_LOADING)
    try_take(window);
}

void mf_windows_count(const mapfile *file, mapfile_statistics *counts) {
  if (file != NULL) {
    counts->cache_bytes = atomic_load(&file->cache_bytes);
    counts->cache_loads = file->cache_loads;
    counts->cache_misses = atomic_load(&file->cache_misses);
    return;
  }
  counts->cache_bytes = atomic_load(&cache.bytes);
  counts->cache_loads = cache.loads;
  counts->cache_misses = cache.misses;
  for (file = mf_process_state.files; file != NULL; file = file->next) {
    counts->pinned_views += mf_windows_pins(file);
    counts->cache_misses += atomic_load(&file->cache_misses);
  }
}

/*
 * Pinning what is kept
 */

static mf_stripe *stripe_of(mf_window *window) {
  return &window->stripes[mf_thread_ordinal() & (STRIPES - 1)];
}

static void let_go(mf_pinned *pinned) {
  atomic_fetch_sub_explicit(&pinned->stripe->pins, 1, memory_order_release);
}

static bool holds(const mf_window *window, size_t skip, size_t length) {
  return skip <= window->valid && length <= window->valid - skip;
}

/* First count, then look at the gate; and only then at what the record says, because it may have been given up and used
   again since it was found. */
static bool pin_found(mf_window *window, const mf_windows *set, uint64_t index, mf_pinned *pinned) {
  pinned->window = window;
  pinned->stripe = stripe_of(window);
  atomic_fetch_add(&pinned->stripe->pins, 1);
  if (atomic_load(&window->gate) == MF_GATE_OPEN && window->set == set &&
      atomic_load_explicit(&window->index, memory_order_relaxed) == index)
    return true;
  let_go(pinned);
  return false;
}

MF_HOT bool mf_window_pin_kept(mapfile *file, uint64_t offset, size_t length, mf_pinned *pinned) {
  mf_windows *set = atomic_load_explicit(&file->windows, memory_order_acquire);
  if (set == NULL)
    return false;
  uint64_t index = offset >> set->shift;
  size_t skip = (size_t)offset & (room_of(set) - 1);
  mf_window *window = atomic_load_explicit(&set->heads[index & set->mask], memory_order_acquire);
  for (unsigned steps = 0; window != NULL && steps < MOST_STEPS; steps++) {
    if (atomic_load_explicit(&window->index, memory_order_relaxed) == index) {
      if (!pin_found(window, set, index, pinned))
        return false;
      if (!holds(window, skip, length)) {
        let_go(pinned);
        return false;
      }
      unsigned used = atomic_load_explicit(&window->used, memory_order_relaxed);
      if (used < MOST_USED)
        atomic_store_explicit(&window->used, used + 1, memory_order_relaxed);
      mf_file_touch(file);
      pinned->bytes = window->bytes + skip;
      return true;
    }
    window = atomic_load_explicit(&window->next, memory_order_acquire);
  }
  return false;
}

/*
 * Is it current?
 */

/* What the system said of the file during one call. */
typedef struct answer {
  mapfile *file;
  bool asked, failed;
  bool settled; /* the times are old enough to prove something */
  os_file_info now;
  uint64_t when;
} answer;

static int64_t age_ms(const os_file_info *now) {
  int64_t latest = now->modified > now->changed ? now->modified : now->changed;
  return (os_file_clock() - latest) / 1000000;
}

static void take_answer(answer *system, const os_file_info *now) {
  system->now = *now;
  system->asked = true;
  system->settled = age_ms(now) >= SETTLED_AFTER_MS;
}

static bool ask(answer *system) {
  os_file_info now;
  if (system->asked || system->failed)
    return system->asked;
  system->when = os_milliseconds();
  system->failed = mf_file_look(system->file, &now) != MAPFILE_OK;
  if (!system->failed)
    take_answer(system, &now);
  return system->asked;
}

static bool is_immutable(const mapfile *file) {
  return (file->flags & MAPFILE_IMMUTABLE) != 0;
}

static bool is_same(const os_file_info *one, const os_file_info *other) {
  return mf_file_difference(one, other) == MAPFILE_OK;
}

static bool is_current(mf_window *window, answer *system) {
  uint64_t allowed = system->file->revalidate_ms;
  if (is_immutable(system->file))
    return true;
  if (!system->asked && allowed != 0 &&
      os_milliseconds() < atomic_load_explicit(&window->looked, memory_order_relaxed) + allowed)
    return true;
  if (!ask(system) || !window->settled || !is_same(&window->stamp, &system->now))
    return false;
  if (allowed != 0 && system->when > atomic_load_explicit(&window->looked, memory_order_relaxed))
    atomic_store_explicit(&window->looked, system->when, memory_order_relaxed);
  return true;
}

/* Let go a window that is not current, and have nobody pin it again. */
static void give_back_old(mf_pinned *pinned) {
  os_lock();
  let_go(pinned);
  if (pinned->window->state == WINDOW_READY && atomic_load(&pinned->window->gate) == MF_GATE_OPEN)
    retire(pinned->window);
  os_unlock();
}

/*
 * Loading
 */

static mf_window *find(const mf_windows *set, uint64_t index) {
  mf_window *window = atomic_load(&set->heads[index & set->mask]);
  while (window != NULL && atomic_load(&window->index) != index)
    window = atomic_load(&window->next);
  return window;
}

static mf_window *new_record(void) {
  mf_window *window = cache.spares;
  if (window != NULL) {
    cache.spares = window->file_next;
    return window;
  }
  unsigned char *block = mf_allocate(sizeof *window + MF_CACHE_LINE);
  if (block == NULL)
    return NULL;
  window = (mf_window *)(((uintptr_t)block + MF_CACHE_LINE - 1) & ~(uintptr_t)(MF_CACHE_LINE - 1));
  window->block = block;
  return window;
}

/* Locked. A window that is being loaded: others who want it wait for it. */
static mf_window *begin_load(mf_windows *set, uint64_t index) {
  mapfile *file = set->file;
  if (!make_room(set))
    return NULL;
  mf_window *window = new_record();
  if (window == NULL)
    return NULL;
  window->set = set;
  atomic_store_explicit(&window->index, index, memory_order_relaxed);
  window->state = WINDOW_LOADING;
  window->overtaken = false;
  count(file, (int64_t)charge_of(set));
  window->file_previous = NULL;
  window->file_next = file->first_window;
  if (window->file_next != NULL)
    window->file_next->file_previous = window;
  file->first_window = window;
  window->memory = malloc(room_of(set) + MF_CACHE_LINE);
  if (window->memory == NULL) {
    make_spare(window);
    return NULL;
  }
  window->bytes = (unsigned char *)(((uintptr_t)window->memory + MF_CACHE_LINE - 1) & ~(uintptr_t)(MF_CACHE_LINE - 1));
  _Atomic(mf_window *) *head = &set->heads[index & set->mask];
  atomic_store_explicit(&window->next, atomic_load(head), memory_order_relaxed);
  atomic_store_explicit(head, window, memory_order_release);
  return window;
}

/* Locked. The one who loaded it has it pinned before anybody else can. */
static void publish(mf_window *window, const answer *system, mf_pinned *pinned) {
  mapfile *file = window->set->file;
  window->settled = system->asked && system->settled;
  if (system->asked)
    window->stamp = system->now;
  atomic_store_explicit(&window->looked, system->when, memory_order_relaxed);
  atomic_store_explicit(&window->used, 0, memory_order_relaxed);
  window->in_main = take_went(window->set, atomic_load(&window->index));
  window->state = WINDOW_READY;
  enqueue(window);
  file->cache_loads++;
  cache.loads++;
  if (file->idle_ms != 0)
    mf_idle_watch(file);
  pinned->window = window;
  pinned->stripe = stripe_of(window);
  atomic_fetch_add(&pinned->stripe->pins, 1);
  atomic_store(&window->gate, MF_GATE_OPEN);
}

/* How much of the file lies in the window, as far as is known: so that the end need not be looked for by reading. */
static size_t wanted_bytes(const mf_windows *set, uint64_t index, const answer *system) {
  uint64_t start = index << set->shift;
  uint64_t size = system->asked ? system->now.size : atomic_load(&set->file->size);
  uint64_t there = size > start ? size - start : 0;
  return there < room_of(set) ? (size_t)there : room_of(set);
}

static mapfile_status read_parts(mapfile *file, uint64_t offset, const os_part *parts, unsigned count, size_t *done) {
  *done = 0;
  mapfile_status status = mf_file_hold(file);
  if (status != MAPFILE_OK)
    return status;
  status = os_read_parts(file->handle, offset, parts, count, done);
  mf_file_let(file);
  return status;
}

static void give_up_load(mf_window *window) {
  unchain(window);
  make_spare(window);
}

/* One window or neighbours, by one read. Called with the lock held, which is free meanwhile. Errors are left to the
   reading of what was asked for. */
static bool load(mf_window *const windows[], unsigned count, const answer *system, mf_pinned pinned[]) {
  const mf_windows *set = windows[0]->set;
  mapfile *file = set->file;
  uint64_t index = atomic_load(&windows[0]->index), drops = file->drops;
  os_part parts[OS_MOST_PARTS];
  size_t done;
  for (unsigned i = 0; i < count; i++)
    parts[i] = (os_part){windows[i]->bytes, wanted_bytes(set, index + i, system)};
  os_unlock();
  mapfile_status status = read_parts(file, index << set->shift, parts, count, &done);
  os_lock();
  bool good = status == MAPFILE_OK && drops == file->drops;
  for (unsigned i = 0; i < count; i++)
    good = good && !windows[i]->overtaken;
  for (unsigned i = 0; i < count; i++) {
    windows[i]->valid = done < parts[i].length ? done : parts[i].length;
    done -= windows[i]->valid;
    if (good)
      publish(windows[i], system, &pinned[i]);
    else
      give_up_load(windows[i]);
  }
  os_load_done();
  return good;
}

/* Is there any hope that a window loaded now can be used again? Asks the system where it has to. */
static bool may_load(mf_windows *set, answer *system) {
  mapfile *file = set->file;
  if (is_immutable(file))
    return true;
  if (!system->asked && file->revalidate_ms == 0 &&
      os_milliseconds() < atomic_load_explicit(&set->trusted_from, memory_order_relaxed))
    return false;
  if (!ask(system))
    return false;
  if (system->settled || file->revalidate_ms != 0)
    return true;
  int64_t age = age_ms(&system->now);
  int64_t rest = age < 0 || age > SETTLED_AFTER_MS ? SETTLED_AFTER_MS : SETTLED_AFTER_MS - age;
  atomic_store_explicit(&set->trusted_from, os_milliseconds() + (uint64_t)rest, memory_order_relaxed);
  return false;
}

enum outcome { NOT_HAD, HAD, FOUND };

/* Single flight: of all who want a window one reads it, the others wait. */
static enum outcome find_or_load(mf_windows *set, uint64_t index, const answer *system, mf_pinned *pinned) {
  enum outcome outcome = NOT_HAD;
  bool waited = false;
  os_lock();
  mf_window *window = atomic_load(&set->file->windows) == set ? find(set, index) : NULL;
  for (; window != NULL && window->state == WINDOW_LOADING; waited = true) {
    os_load_wait();
    window = find(set, index);
  }
  if (window != NULL) {
    outcome = pin_found(window, set, index, pinned) ? FOUND : NOT_HAD;
  } else if (!waited && atomic_load(&set->file->windows) == set) {
    window = begin_load(set, index);
    if (window != NULL && load(&window, 1, system, pinned))
      outcome = HAD;
  }
  os_unlock();
  return outcome;
}

/* Two neighbours that nobody keeps or reads. */
static bool load_two(mf_windows *set, uint64_t index, const answer *system, mf_pinned pinned[2]) {
  mf_window *windows[2] = {NULL, NULL};
  bool had = false;
  os_lock();
  if (atomic_load(&set->file->windows) == set && find(set, index) == NULL && find(set, index + 1) == NULL)
    windows[0] = begin_load(set, index);
  if (windows[0] != NULL)
    windows[1] = begin_load(set, index + 1);
  if (windows[1] != NULL)
    had = load(windows, 2, system, pinned);
  else if (windows[0] != NULL)
    give_up_load(windows[0]);
  os_unlock();
  return had;
}

enum loading { LOAD_NOTHING, LOAD_WHAT_IS_WORTH_IT, LOAD };

/* Not past the end of the window. */
static bool pin_window(answer *system, uint64_t offset, size_t length, enum loading loading, mf_pinned *pinned) {
  mapfile *file = system->file;
  bool wanted = loading == LOAD;
  if (mf_window_pin_kept(file, offset, length, pinned)) {
    if (is_current(pinned->window, system))
      return true;
    give_back_old(pinned);
    wanted = true;
  }
  mf_windows *set = loading != LOAD_NOTHING ? set_of(file) : NULL;
  if (set == NULL)
    return false;
  uint64_t index = offset >> set->shift;
  size_t skip = (size_t)offset & (room_of(set) - 1);
  if ((!wanted && !is_worth_keeping(set, index)) || !may_load(set, system))
    return false;
  enum outcome outcome = find_or_load(set, index, system, pinned);
  if (outcome == FOUND && !is_current(pinned->window, system)) {
    give_back_old(pinned);
    outcome = find_or_load(set, index, system, pinned);
  }
  if (outcome == NOT_HAD)
    return false;
  if (holds(pinned->window, skip, length) && (outcome == HAD || is_current(pinned->window, system))) {
    pinned->bytes = pinned->window->bytes + skip;
    return true;
  }
  let_go(pinned);
  return false;
}

/*
 * What the rest of the library calls
 */

static answer new_answer(mapfile *file, const os_file_info *told) {
  answer system = {.file = file};
  if (told != NULL)
    take_answer(&system, told);
  return system;
}

/* How much of [offset, offset + length) lies in the same window as its first byte. */
static size_t first_part(const mf_windows *set, uint64_t offset, size_t length) {
  size_t rest = room_of(set) - ((size_t)offset & (room_of(set) - 1));
  return length < rest ? length : rest;
}

bool mf_window_pin(mapfile *file, uint64_t offset, size_t length, const os_file_info *told, mf_pinned *pinned) {
  mf_windows *set = set_of(file);
  if (set == NULL || first_part(set, offset, length) != length)
    return false;
  answer system = new_answer(file, told);
  return pin_window(&system, offset, length, LOAD_WHAT_IS_WORTH_IT, pinned);
}

/* Take over a window that load_two has made. */
static bool take_loaded(mf_pinned *pinned, size_t skip, size_t length) {
  bool whole = holds(pinned->window, skip, length);
  pinned->bytes = pinned->window->bytes + skip;
  if (!whole)
    let_go(pinned);
  return whole;
}

/* Pin both windows of a range over their border: had says which. */
static void pin_two(answer *system, mf_windows *set, uint64_t offset, size_t first, size_t length, mf_pinned pinned[2],
                    bool had[2]) {
  uint64_t index = offset >> set->shift, border = offset + first;
  size_t second = length - first;
  had[0] = pin_window(system, offset, first, LOAD_NOTHING, &pinned[0]);
  had[1] = pin_window(system, border, second, LOAD_NOTHING, &pinned[1]);
  bool worth[2] = {!had[0] && is_worth_keeping(set, index), !had[1] && is_worth_keeping(set, index + 1)};
  if (worth[0] && worth[1] && may_load(set, system) && load_two(set, index, system, pinned)) {
    had[0] = take_loaded(&pinned[0], (size_t)offset & (room_of(set) - 1), first);
    had[1] = take_loaded(&pinned[1], 0, second);
    return;
  }
  if (worth[0])
    had[0] = pin_window(system, offset, first, LOAD, &pinned[0]);
  if (worth[1])
    had[1] = pin_window(system, border, second, LOAD, &pinned[1]);
}

/* A range no longer than a window that reaches over the border of two: how much of its start and its end was had. */
static void copy_two(answer *system, mf_windows *set, uint64_t offset, unsigned char *buffer, size_t length,
                     size_t *start, size_t *end) {
  size_t first = first_part(set, offset, length);
  mf_pinned pinned[2];
  bool had[2];
  pin_two(system, set, offset, first, length, pinned, had);
  if (had[0]) {
    memcpy(buffer, pinned[0].bytes, first);
    let_go(&pinned[0]);
    *start = first;
  }
  if (had[1]) {
    memcpy(buffer + first, pinned[1].bytes, length - first);
    let_go(&pinned[1]);
    *end = length - first;
  }
}

/* Copy what is kept from the start of a range. */
static size_t copy_start(answer *system, const mf_windows *set, uint64_t offset, unsigned char *buffer, size_t length) {
  size_t done = 0;
  mf_pinned pinned;
  while (done < length) {
    size_t part = first_part(set, offset + done, length - done);
    if (!pin_window(system, offset + done, part, LOAD_NOTHING, &pinned))
      break;
    memcpy(buffer + done, pinned.bytes, part);
    let_go(&pinned);
    done += part;
  }
  return done;
}

/* And from its end: how much of it. */
static size_t copy_end(answer *system, const mf_windows *set, uint64_t offset, unsigned char *buffer, size_t length) {
  size_t left = length;
  mf_pinned pinned;
  while (left > 0) {
    size_t part = (size_t)((offset + left) & (room_of(set) - 1));
    if (part == 0)
      part = room_of(set);
    if (part > left)
      part = left;
    if (!pin_window(system, offset + left - part, part, LOAD_NOTHING, &pinned))
      break;
    memcpy(buffer + left - part, pinned.bytes, part);
    let_go(&pinned);
    left -= part;
  }
  return length - left;
}

mapfile_status mf_window_read(mapfile *file, uint64_t offset, void *buffer, size_t length, const os_file_info *told,
                              size_t *done) {
  mf_windows *set = set_of(file);
  size_t start = 0, end = 0;
  if (set != NULL && first_part(set, offset, length) != length) {
    answer system = new_answer(file, told);
    if (length <= room_of(set)) {
      copy_two(&system, set, offset, buffer, length, &start, &end);
    } else {
      /* Long ranges are made of what there is: they would only push out what is used more often. */
      start = copy_start(&system, set, offset, buffer, length);
      end = copy_end(&system, set, offset + start, (unsigned char *)buffer + start, length - start);
    }
  }
  *done = length;
  if (start + end == length)
    return MAPFILE_OK;
  atomic_fetch_add_explicit(&file->cache_misses, 1, memory_order_relaxed);
  size_t wanted = length - start - end, got;
  mapfile_status status = mf_read_plain(file, offset + start, (unsigned char *)buffer + start, wanted, &got);
  if (got < wanted)
    *done = start + got;
  return status;
}

/*
 * What the library itself has written
 */

static void drop_one(mf_window *window) {
  if (window->state == WINDOW_READY)
    retire(window);
  else if (window->state == WINDOW_LOADING)
    window->overtaken = true;
}

/* Of a range of many windows it is quicker to look at all that there are. */
static void drop_long_range(mapfile *file, uint64_t first, uint64_t last) {
  mf_window *next;
  for (mf_window *window = file->first_window; window != NULL; window = next) {
    next = window->file_next;
    uint64_t index = atomic_load(&window->index);
    if (index >= first && index <= last)
      drop_one(window);
  }
}

void mf_windows_drop_range(mapfile *file, uint64_t low, uint64_t high) {
  const mf_windows *set = atomic_load(&file->windows);
  if (set == NULL)
    return;
  if (has_outgrown(set)) {
    mf_windows_drop(file);
    return;
  }
  uint64_t first = low >> set->shift, last = (high - 1) >> set->shift;
  if (last - first >= MOST_LOOKED_AT) {
    drop_long_range(file, first, last);
    return;
  }
  for (uint64_t index = first; index <= last; index++) {
    mf_window *window = find(set, index);
    if (window != NULL)
      drop_one(window);
  }
}
