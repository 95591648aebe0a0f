/*
 * scope.c - scopes: the stretches of a thread's execution in which a fault on a view becomes an error.
 *
 * SPDX-License-Identifier: MIT
 *
 * A scope is a struct in its caller's frame. The scopes of a thread form a list from the innermost outward; the
 * thread's own record (os_thread) keeps their number and a ring of the innermost MF_RING of them with the
 * addresses of their frames. The ring is there because a foreign longjmp may leave a scope without ending it: the frame
 * is then dead and its memory anybody's, so a link kept in it cannot be followed, but the ring still leads to the
 * scopes outside it.
 *
 * When is a scope alive? When its frame lies on the same stack as the interrupted stack pointer and at or above it
 * (stacks grow down). So a dead frame is never jumped to (promise fault-dead-frame), and a signal handler that runs on
 * the alternate stack does not jump out into the code it interrupted. A frame that died and was overlaid by a deeper
 * call lies above the stack pointer again; its mark, which depends on its address, tells it from live scopes, and each
 * pin and unpin forgets the scopes below it (mf_scope_prune).
 */
#include "internal.h"

/* scope->state of a scope that is entered: one of these, mixed with its address and with the pointers in it, so that
   rubbish and copies are not taken for one, and the handler does not follow the pointers of a dead frame that has been
   overlaid in part. 0: not entered. */
enum {
  SCOPE_IDLE = 0,
  SCOPE_ARMED = MF_SCOPE_ARMED,
  SCOPE_FILLING = 0x6d617002,
  SCOPE_FAULTED = 0x6d617003,
  SCOPE_CLEANING = 0x6d617004 /* armed, and not jumped over: it has something to clean up */
};

/* scope->size of a scope that os_run has not yet made a place to land at. Should a signal handler be so bold as to
   fault on its view just then, there is no scope. */
enum { SIZE_UNSAVED = 0 };

/* What scope->internal holds. */
enum {
  IN_SHADOWED = 0, /* what stood in this scope's place of the ring: the scope MF_RING levels further out */
  IN_FRAME = 1,    /* where a scope that is not on the thread's own stack stands */
  IN_ONWARD = 2,   /* a cleaning scope's: where to go when that is done */
  IN_FILLED = 3    /* a zero-fill scope's over one view: the view's segment, which stays when the view is unpinned */
};

/* A scope that does not lie on the stack itself (a sanitizer moved it) is placed by the frame of the function that
   entered it; this much above, because that function's caller may have popped arguments since. */
enum { FRAME_SLACK = 256 };

/* For functions that read the memory of frames that may be gone. */
#if defined(__GNUC__)
#define MF_UNINSTRUMENTED __attribute__((no_sanitize_address))
#else
#define MF_UNINSTRUMENTED
#endif

static atomic_uint thread_numbers;
static atomic_uint handler_flags;
static atomic_bool handlers_installed;

uint32_t mf_thread_number(mf_thread *thread) {
  uint32_t number = atomic_fetch_add(&thread_numbers, 1);
  thread->ordinal = number + 1;
  return number;
}

uint32_t mf_handler_flags(void) {
  return atomic_load(&handler_flags);
}

static inline MF_UNINSTRUMENTED uintptr_t state_of(const mapfile_scope *scope, uintptr_t state) {
  return (uintptr_t)scope ^ (uintptr_t)scope->file ^ (uintptr_t)scope->view ^ (uintptr_t)scope->fault ^ state;
}

/*
 * Preparing: once for the process, once for each thread
 */

static mapfile_status install_handlers(void) {
  if (atomic_load(&handlers_installed))
    return MAPFILE_OK;
  os_lock();
  mapfile_status status = MAPFILE_OK;
  if (!atomic_load(&handlers_installed)) {
    status = os_fault_install(mf_handler_flags());
    if (status == MAPFILE_OK)
      atomic_store(&handlers_installed, true);
  }
  os_unlock();
  return status;
}

static mapfile_status prepare_thread(mf_thread *thread) {
  mapfile_status status = mf_begin();
  if (status == MAPFILE_OK)
    status = install_handlers();
  uintptr_t low, high;
  if (status == MAPFILE_OK)
    status = os_stack_bounds(&low, &high);
  /* Promise fault-blocked: looked at here and not at each scope, because asking is a system call. */
  if (status == MAPFILE_OK)
    status = os_fault_prepare_thread(mf_handler_flags());
  if (status != MAPFILE_OK)
    return MAPFILE_UNSUPPORTED;
  /* Last: where the stack has a size, scopes are entered without another look. */
  thread->stack_low = low;
  thread->stack_size = high - low;
  thread->quick_size = os_follows_calls() ? 0 : high - low;
  thread->ready = 1;
  return MAPFILE_OK;
}

/*
 * The list of a thread's scopes
 */

static inline bool within(uintptr_t address, uintptr_t low, uintptr_t high) {
  return address >= low && address < high;
}

static inline bool on_own_stack(const mf_thread *thread, uintptr_t address) {
  return address - thread->stack_low < thread->stack_size;
}

static inline MF_UNINSTRUMENTED bool is_entered(const mapfile_scope *scope) {
  return scope->state == state_of(scope, SCOPE_ARMED) || scope->state == state_of(scope, SCOPE_FILLING) ||
         scope->state == state_of(scope, SCOPE_CLEANING);
}

/* One without a place to land at is not left to, but its frame stands, and the way to those outside it leads through
   it. */
static inline MF_UNINSTRUMENTED bool can_land_at(const mapfile_scope *scope) {
  return scope->size != SIZE_UNSAVED && is_entered(scope);
}

static inline mapfile_scope *scope_of(uintptr_t entry) {
  return (mapfile_scope *)(entry & ~(uintptr_t)MF_ELSEWHERE);
}

static MF_UNINSTRUMENTED uintptr_t frame_of(uintptr_t entry) {
  return (entry & MF_ELSEWHERE) != 0 ? scope_of(entry)->internal[IN_FRAME] : entry;
}

/* Seen from a frame at here: is the scope's frame gone? It is where it lies deeper on the same stack, on another stack
   while the thread runs on its own, where a scope of the same address is being entered, or where what has been laid
   over it broke its mark. */
static MF_UNINSTRUMENTED bool is_gone(const mf_thread *thread, uintptr_t entry, uintptr_t here,
                                      const mapfile_scope *entering) {
  uintptr_t frame = frame_of(entry);
  bool here_own = on_own_stack(thread, here), frame_own = on_own_stack(thread, frame);
  if (scope_of(entry) == entering)
    return true;
  if (here_own != frame_own)
    return here_own;
  return frame < here || !is_entered(scope_of(entry));
}

static void drop_gone(mf_thread *thread, uintptr_t here, const mapfile_scope *entering) {
  while (thread->depth > 0) {
    uintptr_t *top = &thread->ring[(thread->depth - 1) % MF_RING];
    if (*top == 0 || !is_gone(thread, *top, here, entering))
      return;
    *top = 0;
    thread->depth--;
  }
}

void mf_scope_prune(void) {
  mf_thread *thread = os_thread();
  if (thread->depth > 0)
    drop_gone(thread, OS_FRAME_ADDRESS(), NULL);
}

/* Place a scope that is not on the thread's own stack; UNSUPPORTED where it runs on a stack that nobody knows. */
static mapfile_status place_elsewhere(const mf_thread *thread, mapfile_scope *scope, uintptr_t caller) {
  uintptr_t low, high, frame = (uintptr_t)scope;
  mf_set_native_error(0);
  if (!on_own_stack(thread, caller)) {
    if (!os_on_other_stack(caller, &low, &high))
      return MAPFILE_UNSUPPORTED;
    scope->internal[IN_FRAME] = within(frame, low, high) ? frame : caller + FRAME_SLACK;
  } else {
    scope->internal[IN_FRAME] = caller + FRAME_SLACK;
  }
  return MAPFILE_OK;
}

/* The compiler may not move what is stored in between past the guarded code, nor drop it: a handler reads it. */
static inline void push(mf_thread *thread, mapfile_scope *scope, uintptr_t entry, uint32_t depth, uintptr_t state) {
  uintptr_t *place = &thread->ring[depth % MF_RING];
  /* Only where there is something to shadow: each load of what the last scope has just stored costs as much as all the
     rest. */
  if (depth >= MF_RING)
    scope->internal[IN_SHADOWED] = *place;
  scope->state = state_of(scope, state);
  atomic_signal_fence(memory_order_seq_cst);
  *place = entry;
  thread->depth = depth + 1;
  atomic_signal_fence(memory_order_seq_cst);
}

/* Inner scopes that were never left: their frames are gone. */
static void forget_inner(mf_thread *thread, uint32_t depth) {
  for (uint32_t above = depth + 1; above < thread->depth && above <= depth + MF_RING; above++)
    thread->ring[above % MF_RING] = 0;
}

/* handler: also run by the fault handler, on the scope it leaves to. */
static inline void pop(mf_thread *thread, mapfile_scope *scope, uint32_t depth, uintptr_t state) {
  atomic_signal_fence(memory_order_seq_cst);
  if (thread->depth != depth + 1)
    forget_inner(thread, depth);
  if (depth >= MF_RING)
    thread->ring[depth % MF_RING] = scope->internal[IN_SHADOWED];
  thread->depth = depth;
  scope->state = state;
  atomic_signal_fence(memory_order_seq_cst);
}

/*
 * Entering
 */

static inline bool arguments_fit(const mapfile *file, const mapfile_view *view) {
  if (!mf_file_is_open(file))
    return false;
  return view == NULL || (mf_view_is_pinned(view) && view->internal[MF_VIEW_FILE] == (uintptr_t)file);
}

static void begin_fault(mapfile_fault *fault) {
  uint32_t size = fault->size;
  mapfile_fault none = MAPFILE_FAULT_INIT;
  *fault = none;
  fault->size = size;
}

static bool record_fits(const mapfile_fault *fault) {
  return fault == NULL || fault->size >= sizeof *fault;
}

/* Everything there is to look at on entering. Not inlined, so that the usual case below stays short. */
static MF_NOINLINE mapfile_status enter_with_care(mapfile_scope *scope, mapfile *file, const mapfile_view *view,
                                                  mapfile_fault *fault, uintptr_t state) {
  mf_thread *thread = os_thread();
  uintptr_t here = OS_FRAME_ADDRESS();
  mapfile_status status = MAPFILE_OK;
  int64_t before = mf_native_begin();
  if (!record_fits(fault) || !arguments_fit(file, view))
    return MAPFILE_INVALID;
  if (fault != NULL && fault->status != MAPFILE_OK)
    begin_fault(fault);
  if (thread->ready == 0)
    status = prepare_thread(thread);
  uintptr_t entry = (uintptr_t)scope;
  if (status == MAPFILE_OK && !on_own_stack(thread, entry)) {
    status = place_elsewhere(thread, scope, here);
    entry |= MF_ELSEWHERE;
  }
  if (status != MAPFILE_OK)
    return status;
  drop_gone(thread, here, scope);
  scope->file = file;
  scope->view = view;
  scope->fault = fault;
  scope->leave = NULL;
  scope->depth = thread->depth;
  push(thread, scope, entry, thread->depth, state);
  return mf_native_end(before, MAPFILE_OK);
}

/* A record that fits and holds no fault, as it begins. */
static const struct record_start {
  uint32_t size;
  mapfile_status status;
} empty_record = {(uint32_t)sizeof(mapfile_fault), MAPFILE_OK};

/* The usual case, in as few steps as it can be had: the thread is prepared (else its stack has no size), the scope lies
   on its stack and is the outermost, the record is as new. False: look with care. */
static inline bool enter_quickly(mapfile_scope *scope, mapfile *file, const mapfile_view *view, mapfile_fault *fault,
                                 uint32_t size) {
  mf_thread *thread = os_thread_guess();
  bool usual = thread != NULL && thread->depth == 0 && on_own_stack(thread, (uintptr_t)scope) &&
               memcmp(fault, &empty_record, sizeof empty_record) == 0;
  if (MF_UNLIKELY(!usual))
    return false;
  /* The mapfile of a pinned view is open. */
  usual =
      view != NULL ? mf_view_is_simple(view) && view->internal[MF_VIEW_FILE] == (uintptr_t)file : mf_file_is_open(file);
  if (MF_UNLIKELY(!usual))
    return false;
  scope->size = size;
  scope->file = file;
  scope->view = view;
  scope->fault = fault;
  if (size != SIZE_UNSAVED)
    scope->leave = &thread->depth;
  push(thread, scope, (uintptr_t)scope, 0, SCOPE_ARMED);
  return true;
}

static mapfile_status record_refusal(mapfile_fault *fault, mapfile_status status) {
  if (fault != NULL && record_fits(fault))
    fault->status = status;
  return status;
}

static MF_NOINLINE int enter_or_jump(mapfile_scope *scope, mapfile *file, const mapfile_view *view,
                                     mapfile_fault *fault) {
  mapfile_status status = MAPFILE_INVALID;
  if (fault != NULL)
    status = enter_with_care(scope, file, view, fault, SCOPE_ARMED);
  if (status == MAPFILE_OK)
    return 0;
  record_refusal(fault, status);
  scope->leave = NULL;
  scope->state = SCOPE_IDLE;
  os_land(scope);
}

static inline int enter_in_place(mapfile_scope *scope, mapfile *file, const mapfile_view *view, mapfile_fault *fault,
                                 uint32_t size) {
  if (fault != NULL && enter_quickly(scope, file, view, fault, size))
    return 0;
  scope->size = size;
  return enter_or_jump(scope, file, view, fault);
}

MF_HOT int MAPFILE_CALL mapfile_scope_enter(mapfile_scope *scope, mapfile *file, const mapfile_view *view,
                                            mapfile_fault *fault) {
  return enter_in_place(scope, file, view, fault, (uint32_t)sizeof *scope);
}

MF_HOT MF_USED int MAPFILE_SAVE_CALL mf_scope_enter_saved(mapfile_scope *scope, mapfile *file, const mapfile_view *view,
                                                          mapfile_fault *fault) {
  return enter_in_place(scope, file, view, fault, OS_SIZE_SAVED);
}

/*
 * Leaving
 */

static mf_segment *own_segment(const mapfile_view *view) {
  return view != NULL && mf_view_is_pinned(view) && mf_view_thing(view) == MF_MARK_OWN
             ? (mf_segment *)view->internal[MF_VIEW_THING]
             : NULL;
}

/* The sticky mark of a view whose bad pages were replaced by zeros, by whichever thread. */
static mapfile_status report_filled(const mf_segment *segment, mapfile_fault *fault) {
  unsigned filled = atomic_load(&segment->filled);
  if (filled == 0)
    return MAPFILE_OK;
  uint64_t offset = atomic_load(&segment->first_filled) - 1;
  if (fault->filled_pages == 0) {
    fault->status = MAPFILE_UNKNOWN;
    fault->file = segment->file;
    fault->offset = offset;
    fault->address = segment->address + (offset - segment->offset);
    fault->length = mf_page_size;
  }
  fault->filled_pages += filled;
  return MAPFILE_UNKNOWN;
}

static mapfile_status check_after(const mapfile_view *view, const mf_segment *segment, mapfile_fault *fault) {
  mapfile_status status = MAPFILE_OK;
  if (segment != NULL)
    status = report_filled(segment, fault);
  if (status == MAPFILE_OK && view != NULL && mf_view_is_pinned(view) &&
      (view->internal[MF_VIEW_MARK] & MF_MARK_VERIFY) != 0) {
    status = mapfile_view_check(view);
    if (status != MAPFILE_OK) {
      fault->status = status;
      fault->file = (mapfile *)view->internal[MF_VIEW_FILE];
      fault->offset = view->offset;
    }
  }
  return status;
}

static MF_NOINLINE void leave_with_care(mapfile_scope *scope) {
  if (scope->state == state_of(scope, SCOPE_FAULTED))
    mf_trace(MAPFILE_EVENT_FAULT, scope->file, scope->fault->offset, scope->fault->length, scope->fault->status);
  else if (own_segment(scope->view) != NULL)
    report_filled(own_segment(scope->view), scope->fault);
  scope->state = SCOPE_IDLE;
}

void MAPFILE_CALL mapfile_scope_leave(mapfile_scope *scope) {
  if (scope->state == SCOPE_IDLE)
    return;
  if (scope->state == state_of(scope, SCOPE_ARMED)) {
    pop(os_thread(), scope, scope->depth, SCOPE_IDLE);
    if (scope->view == NULL || mf_view_thing(scope->view) != MF_MARK_OWN)
      return;
  }
  leave_with_care(scope);
}

/* What the callback form does at its end beyond the scope itself, rarely. */
static MF_NOINLINE mapfile_status finish_with_care(mapfile_scope *scope, mapfile_status status) {
  const mapfile_view *view = scope->view;
  pop(os_thread(), scope, scope->depth, SCOPE_IDLE);
  if (view == NULL || mf_view_is_simple(view))
    return status;
  mapfile_status after = check_after(view, own_segment(view), scope->fault);
  return status == MAPFILE_OK ? after : status;
}

MF_NOINLINE MF_USED mapfile_status mf_finish_fault(const mapfile_fault *fault) {
  mf_trace(MAPFILE_EVENT_FAULT, fault->file, fault->offset, fault->length, fault->status);
  return fault->status;
}

/* Not instrumented, as nothing that has a scope in its frame: AddressSanitizer could move the scope off the stack. */
MF_NOINLINE MF_USED MF_UNINSTRUMENTED mapfile_status mf_try_with_care(mapfile *file, const mapfile_view *view,
                                                                      mapfile_body body, void *argument,
                                                                      mapfile_fault *fault) {
  mapfile_scope scope;
  mapfile_fault unwanted = MAPFILE_FAULT_INIT;
  if (body == NULL)
    return MAPFILE_INVALID;
  if (fault == NULL)
    fault = &unwanted;
  scope.size = SIZE_UNSAVED;
  mapfile_status status = enter_with_care(&scope, file, view, fault, SCOPE_ARMED);
  if (status != MAPFILE_OK)
    return record_refusal(fault, status);
  os_outcome outcome = os_run(&scope, body, argument);
  if (outcome.landed != 0)
    return mf_finish_fault(fault);
  return finish_with_care(&scope, (mapfile_status)outcome.status);
}

#if !OS_HAS_TRY

/* What mapfile_scope_leave_quickly of the header does, for a scope that enter_quickly entered. */
static inline void leave_outermost(void) {
  atomic_signal_fence(memory_order_seq_cst);
  os_thread()->depth = 0;
  atomic_signal_fence(memory_order_seq_cst);
}

/* What is rare is done elsewhere, so that the usual case needs no memory but the scope's: it is stores that a scope
   costs. */
MF_HOT MF_UNINSTRUMENTED mapfile_status MAPFILE_CALL mapfile_try(mapfile *file, const mapfile_view *view,
                                                                 mapfile_body body, void *argument,
                                                                 mapfile_fault *fault) {
  mapfile_scope scope;
  if (MF_UNLIKELY(body == NULL || fault == NULL || !enter_quickly(&scope, file, view, fault, SIZE_UNSAVED)))
    return mf_try_with_care(file, view, body, argument, fault);
  os_outcome outcome = os_run(&scope, body, argument);
  if (MF_UNLIKELY(outcome.landed != 0))
    return mf_finish_fault(scope.fault);
  leave_outermost();
  return (mapfile_status)outcome.status;
}

#endif

MF_UNINSTRUMENTED mapfile_status mf_scope_clean(mapfile *file, const mapfile_view *view, mapfile_body body,
                                                void *argument, mapfile_fault *fault, mapfile_scope **onward) {
  mapfile_scope scope;
  *onward = NULL;
  scope.size = SIZE_UNSAVED;
  mapfile_status status = enter_with_care(&scope, file, view, fault, SCOPE_CLEANING);
  if (status != MAPFILE_OK)
    return record_refusal(fault, status);
  scope.internal[IN_ONWARD] = 0;
  os_outcome outcome = os_run(&scope, body, argument);
  if (outcome.landed != 0) {
    *onward = (mapfile_scope *)scope.internal[IN_ONWARD];
    return *onward == NULL ? mf_finish_fault(fault) : MAPFILE_UNKNOWN;
  }
  return finish_with_care(&scope, (mapfile_status)outcome.status);
}

bool mf_scope_is_inside(void) {
  return os_thread()->depth != 0;
}

/*
 * Zero-fill scopes
 */

/* While a zero-fill scope is open, its mapfile's ZERO_FILL segments stay mapped: the handler may be about to replace a
   page of theirs, and must not hit what another thread has mapped there meanwhile. */
static void hold_segments(mapfile *file) {
  os_lock();
  file->fill_scopes++;
  os_unlock();
}

void mf_fill_settle(mapfile *file) {
  file->fill_scopes -= atomic_exchange(&file->fills_jumped, 0);
  if (file->fill_scopes == 0 && file->has_closing) {
    file->has_closing = false;
    mf_segment *next;
    for (mf_segment *segment = file->segments; segment != NULL; segment = next) {
      next = segment->file_next;
      if (segment->closing)
        mf_segment_give_up(segment);
    }
  }
}

static void let_segments_go(mapfile *file) {
  os_lock();
  file->fill_scopes--;
  mf_fill_settle(file);
  os_unlock();
}

static bool can_be_filled(const mapfile_view *view) {
  const mf_segment *segment = own_segment(view);
  return segment != NULL && segment->fillable;
}

mapfile_status MAPFILE_CALL mapfile_scope_begin(mapfile_scope *scope, mapfile *file, const mapfile_view *view) {
  if (scope == NULL || scope->size != sizeof *scope || scope->state != SCOPE_IDLE || !arguments_fit(file, view) ||
      (view != NULL && view->length != 0 && mf_view_thing(view) != MF_MARK_PLAIN && !can_be_filled(view))) {
    mf_set_native_error(0);
    return MAPFILE_INVALID;
  }
  hold_segments(file);
  mapfile_status status = enter_with_care(scope, file, view, NULL, SCOPE_FILLING);
  if (status == MAPFILE_OK)
    scope->internal[IN_FILLED] = (uintptr_t)own_segment(view);
  else
    let_segments_go(file);
  return status;
}

/* All ZERO_FILL views of a mapfile, for a scope that covers it whole. */
static void report_all_filled(mapfile *file, mapfile_fault *fault) {
  os_lock();
  for (const mf_segment *segment = file->segments; segment != NULL; segment = segment->file_next)
    if (segment->fillable)
      report_filled(segment, fault);
  os_unlock();
}

/* Is it the innermost scope of this thread, a zero-fill one? */
static bool can_end(const mf_thread *thread, const mapfile_scope *scope) {
  return scope->size == sizeof *scope && scope->state != SCOPE_IDLE && scope->state == state_of(scope, SCOPE_FILLING) &&
         thread->depth == scope->depth + 1 && scope_of(thread->ring[scope->depth % MF_RING]) == scope;
}

mapfile_status MAPFILE_CALL mapfile_scope_end(mapfile_scope *scope, mapfile_fault *fault) {
  mapfile_fault unwanted = MAPFILE_FAULT_INIT;
  mapfile_fault *record = fault != NULL ? fault : &unwanted;
  mf_thread *thread = os_thread();
  mf_scope_prune();
  if (scope == NULL || record->size < sizeof *record || !can_end(thread, scope)) {
    mf_set_native_error(0);
    return MAPFILE_INVALID;
  }
  mapfile *file = scope->file;
  const mapfile_view *view = scope->view;
  begin_fault(record);
  pop(thread, scope, scope->depth, SCOPE_IDLE);
  if (view != NULL)
    check_after(view, (const mf_segment *)scope->internal[IN_FILLED], record);
  else
    report_all_filled(file, record);
  if (record->filled_pages != 0)
    mf_trace(MAPFILE_EVENT_FILL, file, record->offset, record->length, record->status);
  let_segments_go(file);
  return record->status;
}

/*
 * Faults: everything from here to mf_scope_land runs in the signal handler
 */

/* The segment of a mapfile that holds an address; it stays readable until mf_index_leave. */
static mf_segment *segment_of(const mapfile *file, uintptr_t address) {
  mf_segment *segment = mf_index_find(address);
  return segment != NULL && segment->file == file ? segment : NULL;
}

static bool on_same_stack(const mf_thread *thread, const os_fault *fault, uintptr_t frame) {
  if (fault->stack_pointer == 0 || on_own_stack(thread, fault->stack_pointer))
    return on_own_stack(thread, frame);
  return within(fault->stack_pointer, fault->other_low, fault->other_high) &&
         within(frame, fault->other_low, fault->other_high);
}

static bool is_alive(const mf_thread *thread, const os_fault *fault, uintptr_t frame) {
  return on_same_stack(thread, fault, frame) && frame >= fault->stack_pointer;
}

/* The entry of the ring, or of the past that the ring's entries shadow, for the scope at a depth. 0: not known. */
static MF_UNINSTRUMENTED uintptr_t entry_at(const mf_thread *thread, const os_fault *fault, uint32_t depth) {
  uintptr_t entry = thread->ring[depth % MF_RING];
  uint32_t innermost = thread->depth - 1;
  for (uint32_t shadows = (innermost - depth) / MF_RING; shadows > 0 && entry != 0; shadows--) {
    /* The memory of a frame that is gone must not be read. */
    if (!is_alive(thread, fault, frame_of(entry)) || !is_entered(scope_of(entry)))
      return 0;
    entry = scope_of(entry)->internal[IN_SHADOWED];
  }
  return entry;
}

/* The next scope outward from *depth that is alive, NULL: none. */
static MF_UNINSTRUMENTED mapfile_scope *next_alive(const mf_thread *thread, const os_fault *fault, uint32_t *depth) {
  while (*depth > 0) {
    uintptr_t entry = entry_at(thread, fault, --*depth);
    if (entry != 0 && is_alive(thread, fault, frame_of(entry)) && can_land_at(scope_of(entry)))
      return scope_of(entry);
  }
  return NULL;
}

/* The pages of a view: a fault in the same page, just outside, has the same cause (vector instructions read whole
   blocks). Plain memory cannot fault, and its neighbours are not ours: it has no range. */
static bool in_pages_of(const mapfile_view *view, uintptr_t address) {
  unsigned thing = mf_view_thing(view);
  uintptr_t data = (uintptr_t)view->data;
  if (thing != MF_MARK_POOLED && thing != MF_MARK_OWN)
    return false;
  return within(address, (uintptr_t)mf_page_down(data), (uintptr_t)mf_page_up(data + view->length));
}

/* Does the scope cover the address? Then what does the address mean in the file? */
static bool covers(const mapfile_scope *scope, const os_fault *fault, uint64_t *offset) {
  const mapfile_view *view = scope->view;
  if (view != NULL) {
    *offset = view->offset + (uint64_t)(int64_t)(intptr_t)(fault->address - (uintptr_t)view->data);
    return in_pages_of(view, fault->address);
  }
  mf_index_enter();
  const mf_segment *segment = segment_of(scope->file, fault->address);
  if (segment != NULL)
    *offset = segment->offset + (uint64_t)(fault->address - (uintptr_t)segment->address);
  mf_index_leave();
  return segment != NULL;
}

static void record_fault(mapfile_scope *scope, const os_fault *fault, uint64_t offset) {
  mapfile_fault *record = scope->fault;
  record->status = fault->status;
  record->file = scope->file;
  record->offset = offset;
  record->address = (const void *)fault->address;
  record->access = fault->access;
  record->signal = fault->signal;
  record->code = fault->code;
  record->native_error = 0;
  record->length = fault->length;
}

/* Is the page bad, and would zeros help? Where the access was merely forbidden it would happen again, for ever. */
static bool can_be_mended(const os_fault *fault) {
  return fault->access != MAPFILE_FAULT_WRITE && fault->status != MAPFILE_PROTECTED &&
         fault->status != MAPFILE_RELEASED && !fault->address_only;
}

/* Put zeros where the bad page is. The segment cannot be unmapped meanwhile: the scope holds it (hold_segments). */
static bool fill(mapfile_scope *scope, const os_fault *fault) {
  uintptr_t page = fault->address & ~(uintptr_t)(fault->length - 1);
  bool filled = false;
  mf_index_enter();
  mf_segment *segment = segment_of(scope->file, fault->address);
  if (segment != NULL && segment->fillable && can_be_mended(fault) && page >= segment->node.low &&
      page + fault->length <= segment->node.high)
    filled = os_fill_zeros((void *)page, (size_t)fault->length);
  if (filled) {
    uint64_t none = 0;
    uint64_t offset = segment->offset + (uint64_t)(page - (uintptr_t)segment->address);
    atomic_compare_exchange_strong(&segment->first_filled, &none, offset + 1);
    atomic_fetch_add(&segment->filled, 1);
    atomic_fetch_add(&scope->file->filled_pages, 1);
    atomic_fetch_add(&mf_process_state.filled_pages, 1);
  }
  mf_index_leave();
  return filled;
}

/* The first stop on the way to the scope at depth: the innermost cleaning scope inside it, or the scope itself. */
static MF_UNINSTRUMENTED mapfile_scope *first_stop(const mf_thread *thread, const os_fault *fault,
                                                   mapfile_scope *target, uint32_t depth) {
  uint32_t inner = thread->depth;
  mapfile_scope *left;
  while (inner > depth + 1 && (left = next_alive(thread, fault, &inner)) != NULL && inner > depth)
    if (left->state == state_of(left, SCOPE_CLEANING))
      return left;
  return target;
}

/* Of the scopes inside depth that are being jumped over: a zero-fill scope will never be ended, so what it holds is not
   held any more; cleaning scopes are visited on the way, from the innermost outward. */
static MF_UNINSTRUMENTED void jump_over_inner(const mf_thread *thread, const os_fault *fault, mapfile_scope *target,
                                              uint32_t depth) {
  mapfile_scope *last = NULL, *left;
  uint32_t inner = thread->depth;
  while (inner > depth + 1 && (left = next_alive(thread, fault, &inner)) != NULL && inner > depth) {
    if (left->state == state_of(left, SCOPE_FILLING))
      atomic_fetch_add(&left->file->fills_jumped, 1);
    if (left->state != state_of(left, SCOPE_CLEANING))
      continue;
    if (last != NULL)
      last->internal[IN_ONWARD] = (uintptr_t)left;
    last = left;
    last->internal[IN_ONWARD] = (uintptr_t)target;
  }
}

/* Leave the scope at a depth and, with it, those inside. They took the places of scopes outside it in the ring, which
   are found by what they shadow as long as they are alive. */
static MF_UNINSTRUMENTED void pop_to(mf_thread *thread, const os_fault *fault, mapfile_scope *scope, uint32_t depth) {
  uintptr_t outer[MF_RING];
  uint32_t most = depth < MF_RING - 1 ? depth : MF_RING - 1;
  bool inside = thread->depth != depth + 1;
  for (uint32_t out = 1; inside && out <= most; out++)
    outer[out] = entry_at(thread, fault, depth - out);
  jump_over_inner(thread, fault, scope, depth);
  pop(thread, scope, depth, state_of(scope, SCOPE_FAULTED));
  for (uint32_t out = 1; inside && out <= most; out++)
    thread->ring[(depth - out) % MF_RING] = outer[out];
}

static bool can_be_taken(os_fault *fault, const mapfile_scope *scope) {
  return fault->can_take == NULL || fault->can_take(fault, scope);
}

MF_UNINSTRUMENTED mapfile_scope *mf_scope_take(os_fault *fault, bool *resume) {
  mf_thread *thread = os_thread_in_handler();
  mapfile_scope *scope;
  uint32_t depth = thread != NULL ? thread->depth : 0;
  *resume = false;
  while (depth > 0 && (scope = next_alive(thread, fault, &depth)) != NULL) {
    uint64_t offset;
    if (!covers(scope, fault, &offset))
      continue;
    if (scope->state == state_of(scope, SCOPE_FILLING)) {
      if (!can_be_taken(fault, scope) || !fill(scope, fault))
        continue;
      *resume = true;
      return NULL;
    }
    mapfile_scope *landing = first_stop(thread, fault, scope, depth);
    if (!can_be_taken(fault, landing))
      return NULL;
    record_fault(scope, fault, offset);
    pop_to(thread, fault, scope, depth);
    scope->leave = NULL;
    return landing;
  }
  return NULL;
}

_Noreturn void MAPFILE_CALL mf_scope_land(void *scope) {
  os_land(scope);
}

/*
 * The process's handlers
 */

static mapfile_status configure(uint32_t flags) {
  const uint32_t known = MAPFILE_HANDLER_HOST | MAPFILE_HANDLER_UNBLOCK | MAPFILE_HANDLER_ACCESS;
  if ((flags & ~known) != 0)
    return MAPFILE_INVALID;
  mapfile_status status = mf_begin();
  if (status != MAPFILE_OK)
    return status;
  os_lock();
  if (atomic_load(&handlers_installed) && flags != mf_handler_flags())
    status = MAPFILE_BUSY;
  else
    atomic_store(&handler_flags, flags);
  os_unlock();
  return status;
}

mapfile_status MAPFILE_CALL mapfile_handler_configure(uint32_t flags) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, configure(flags));
}

static mapfile_status check_handler(void) {
  if (!atomic_load(&handlers_installed) || (mf_handler_flags() & MAPFILE_HANDLER_HOST) != 0)
    return MAPFILE_UNSUPPORTED;
  return os_fault_check(mf_handler_flags());
}

mapfile_status MAPFILE_CALL mapfile_handler_check(void) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, check_handler());
}

static mapfile_status rearm(void) {
  if ((mf_handler_flags() & MAPFILE_HANDLER_HOST) != 0)
    return MAPFILE_UNSUPPORTED;
  mapfile_status status = mf_begin();
  if (status == MAPFILE_OK)
    status = install_handlers();
  if (status != MAPFILE_OK)
    return status;
  os_lock();
  status = os_fault_rearm(mf_handler_flags());
  os_unlock();
  return status;
}

mapfile_status MAPFILE_CALL mapfile_handler_rearm(void) {
  int64_t before = mf_native_begin();
  return mf_native_end(before, rearm());
}

/* What a signal says of an address where it can only mean a forbidden access. */
static mapfile_status violation_at(uintptr_t address) {
  mf_index_enter();
  bool mapped = mf_index_find(address) != NULL;
  mf_index_leave();
  return mapped ? MAPFILE_PROTECTED : MAPFILE_RELEASED;
}

/* handler: does a scope cover the address that would take the fault? */
static MF_UNINSTRUMENTED bool would_take(const os_fault *fault) {
  const mf_thread *thread = os_thread_in_handler();
  uint32_t depth = thread->depth;
  mapfile_scope *scope;
  uint64_t offset;
  while ((scope = next_alive(thread, fault, &depth)) != NULL)
    if (scope->state == state_of(scope, SCOPE_ARMED) && covers(scope, fault, &offset))
      return true;
  return false;
}

int MAPFILE_CALL mapfile_handle_address(int signo, void *address, void(MAPFILE_CALL **resume)(void *),
                                        void **argument) {
  os_fault fault = {.address = (uintptr_t)address,
                    .status = MAPFILE_UNKNOWN,
                    .signal = signo,
                    .length = mf_page_size,
                    .address_only = true};
  const mf_thread *thread = os_thread_in_handler();
  uintptr_t here = OS_FRAME_ADDRESS();
  if (thread == NULL)
    return 0;
  /* On the thread's own stack the interrupted code lies above this call; elsewhere its place is not known. */
  if (on_own_stack(thread, here))
    fault.stack_pointer = here;
  if (resume == NULL)
    return would_take(&fault);
  if (os_fault_is_violation(signo))
    fault.status = violation_at(fault.address);
  bool filled;
  mapfile_scope *scope = mf_scope_take(&fault, &filled);
  if (scope == NULL)
    return 0;
  *resume = mf_scope_land;
  *argument = scope;
  return 1;
}
