/*
 * idle.c - parks mapfiles that nobody has used for a while (the promise idle-release).
 *
 * SPDX-License-Identifier: MIT
 *
 * One thread for all mapfiles, which exists only while one of them has an idle time. It looks at those that have
 * something to give up, ten times in the shortest of their idle times; while there are none it sleeps until one is
 * mapped or opened again. Who uses a mapfile sets a mark, if it is not set; the thread takes the mark away. So use
 * costs no call, and a mapfile counts as in use until the look after the last one at which it was marked or pinned: it
 * is parked no earlier than its idle time after its last use, and no later than a tenth of that behind.
 *
 * The thread touches a mapfile only with the lock held, so one that is closed is gone from its sight at once.
 */
#include "internal.h"

/* How many mapfiles are looked at before others may have the lock. */
enum { LOOKS_AT_ONCE = 256, LONGEST_TICK_MS = 1000 };

static void run(void);

static mapfile_status start(void) {
  if (atomic_load(&mf_process_state.idle_running))
    return MAPFILE_OK;
  mapfile_status status = os_thread_start(run);
  if (status == MAPFILE_OK)
    atomic_store(&mf_process_state.idle_running, true);
  return status;
}

/* For want of a thread nothing fails, but where the program asked for one: it is tried again at the next map. */
static void start_if_possible(void) {
  int64_t error = mapfile_native_error();
  start();
  mf_set_native_error(error);
}

/*
 * What is watched: a ring
 */

void mf_idle_watch(mapfile *file) {
  mf_process *process = &mf_process_state;
  if (file->idle_next != NULL)
    return;
  mapfile *hand = process->idle_hand != NULL ? process->idle_hand : file;
  file->idle_next = hand;
  file->idle_previous = hand == file ? file : hand->idle_previous;
  file->idle_previous->idle_next = file;
  hand->idle_previous = file;
  process->idle_hand = hand;
  process->idle_watched++;
  /* When it was used is learnt at the next look. */
  atomic_store_explicit(&file->touched, 1, memory_order_relaxed);
  process->idle_stirred = true;
  start_if_possible();
  os_wake();
}

void mf_idle_unwatch(mapfile *file) {
  mf_process *process = &mf_process_state;
  if (file->idle_next == NULL)
    return;
  if (process->idle_hand == file)
    process->idle_hand = file->idle_next != file ? file->idle_next : NULL;
  file->idle_previous->idle_next = file->idle_next;
  file->idle_next->idle_previous = file->idle_previous;
  file->idle_next = file->idle_previous = NULL;
  process->idle_watched--;
}

mapfile_status mf_idle_begin(mapfile *file) {
  mapfile_status status = start();
  mf_process_state.idle_files++;
  if (OS_PARKING_CLOSES)
    mf_idle_watch(file);
  return status;
}

void mf_idle_end(mapfile *file) {
  mf_idle_unwatch(file);
  mf_process_state.idle_files--;
  if (mf_process_state.idle_files == 0)
    os_wake();
}

/* The thread is not there any more. Whoever uses what is mapped already notices by the mark; see mf_idle_touch. */
void mf_idle_after_fork(void) {
  atomic_store(&mf_process_state.idle_running, false);
  for (mapfile *file = mf_process_state.files; file != NULL; file = file->next)
    if (file->idle_ms != 0)
      atomic_store(&file->touched, 0);
}

/* Without the lock, or where the thread runs: it is needed as long as the mapfile is open. */
void mf_idle_touch(mapfile *file) {
  atomic_store_explicit(&file->touched, 1, memory_order_relaxed);
  if (file->idle_ms == 0 || atomic_load(&mf_process_state.idle_running))
    return;
  os_lock();
  start_if_possible();
  os_unlock();
}

/*
 * The thread
 */

static bool is_pinned(const mapfile *file) {
  if (atomic_load(&file->loose_views) != 0 || atomic_load(&file->users) != 0 || mf_windows_pins(file) != 0)
    return true;
  for (const mf_segment *segment = file->segments; segment != NULL; segment = segment->file_next)
    if (segment->stripes == NULL || mf_segment_pins(segment) != 0)
      return true;
  return false;
}

/* When its time has passed for sure: the clock's milliseconds are whole ones. */
static uint64_t due_at(const mapfile *file) {
  return file->idle_since + file->idle_ms + 1;
}

/* In how many milliseconds to look again. */
static uint64_t next_look(const mapfile *file, uint64_t now) {
  uint64_t tick = file->idle_ms / 10, due = due_at(file);
  if (tick > LONGEST_TICK_MS)
    tick = LONGEST_TICK_MS;
  if (due > now && due - now < tick)
    tick = due - now;
  return tick > 0 ? tick : 1;
}

/* Park it if it is time; else tell when to look again. */
static uint64_t look_at(mapfile *file, uint64_t now) {
  if (atomic_exchange_explicit(&file->touched, 0, memory_order_relaxed) != 0)
    file->idle_since = now;
  if (is_pinned(file)) {
    /* The end of a view leaves no mark: in use at the next look too. */
    atomic_store_explicit(&file->touched, 1, memory_order_relaxed);
    return next_look(file, now);
  }
  if (now >= due_at(file) && mf_file_release(file, false) == MAPFILE_OK)
    return UINT64_MAX;
  return next_look(file, now);
}

/* Others may have the lock in between, and change the ring. */
static uint64_t look_at_all(void) {
  mf_process *process = &mf_process_state;
  uint64_t next = UINT64_MAX, now = os_milliseconds();
  process->idle_stirred = false;
  for (uint64_t left = process->idle_watched, at = 1; left > 0 && process->idle_hand != NULL; left--, at++) {
    mapfile *file = process->idle_hand;
    process->idle_hand = file->idle_next;
    uint64_t wanted = look_at(file, now);
    if (wanted < next)
      next = wanted;
    if (at % LOOKS_AT_ONCE == 0) {
      os_unlock();
      os_lock();
      now = os_milliseconds();
    }
  }
  return process->idle_stirred ? 0 : next;
}

static void run(void) {
  os_lock();
  while (mf_process_state.idle_files > 0) {
    uint64_t wait = look_at_all();
    if (wait != 0 && mf_process_state.idle_files > 0)
      os_wait(wait < UINT32_MAX ? (uint32_t)wait : UINT32_MAX);
  }
  atomic_store(&mf_process_state.idle_running, false);
  os_unlock();
}
