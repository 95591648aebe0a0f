/*
 * scope.c - scopes: the stretches of a thread's execution in which a fault on a view becomes an error.
 *
 * SPDX-License-Identifier: MIT
 *
 * A scope is a struct in its caller's frame. The scopes of a thread form a list from the innermost outward; the
 * thread's own record (mf_this_thread) keeps their number and a ring of the innermost MF_RING of them with the
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

_Thread_local mf_thread mf_this_thread MF_TLS_MODEL;

/* Values of scope->state. */
enum { SCOPE_IDLE = 0, SCOPE_ARMED = 0x5c09e, SCOPE_FILLING = 0x5c0f1, SCOPE_FAULTED = 0x5c0fa };

/* What scope->internal holds. */
enum { IN_MARK = 0, IN_FRAME = 1, IN_DEPTH = 2, IN_SHADOWED_FRAME = 3, IN_VIEW = 4, IN_FILLED = 5 };

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

uint32_t mf_thread_number(void) {
  uint32_t number = atomic_fetch_add(&thread_numbers, 1);
  mf_this_thread.ordinal = number + 1;
  return number;
}

uint32_t mf_handler_flags(void) {
  return atomic_load(&handler_flags);
}

static uintptr_t mark_of(const mapfile_scope *scope) {
  return (uintptr_t)scope ^ (uintptr_t)0x6d61704du;
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
  if (status == MAPFILE_OK)
    status = os_stack_bounds(&thread->stack_low, &thread->stack_high);
  /* Promise fault-blocked: looked at here and not at each scope, because asking is a system call. */
  if (status == MAPFILE_OK)
    status = os_fault_prepare_thread(mf_handler_flags());
  if (status == MAPFILE_OK)
    thread->ready = 1;
  return status;
}

/*
 * The list of a thread's scopes
 */

static bool within(uintptr_t address, uintptr_t low, uintptr_t high) {
  return address >= low && address < high;
}

static bool on_own_stack(const mf_thread *thread, uintptr_t address) {
  return within(address, thread->stack_low, thread->stack_high);
}

static bool is_marked(const mapfile_scope *scope) {
  return scope->internal[IN_MARK] == mark_of(scope);
}

/* Seen from a frame at here: is the scope's frame gone? It is where it lies deeper on the same stack, on another stack
   while the thread runs on its own, where a scope of the same address is being entered, or where what has been laid
   over it broke its mark. */
static MF_UNINSTRUMENTED bool is_gone(const mf_thread *thread, const struct mf_ring_entry *entry, uintptr_t here,
                                      const mapfile_scope *entering) {
  bool here_own = on_own_stack(thread, here), entry_own = on_own_stack(thread, entry->frame);
  if (entry->scope == entering)
    return true;
  if (here_own != entry_own)
    return here_own;
  return entry->frame < here || !is_marked(entry->scope);
}

static void drop_gone(mf_thread *thread, uintptr_t here, const mapfile_scope *entering) {
  while (thread->depth > 0) {
    struct mf_ring_entry *top = &thread->ring[(thread->depth - 1) % MF_RING];
    if (top->scope == NULL || !is_gone(thread, top, here, entering))
      return;
    top->scope = NULL;
    thread->depth--;
  }
}

void mf_scope_prune(void) {
  mf_thread *thread = &mf_this_thread;
  if (thread->depth > 0)
    drop_gone(thread, (uintptr_t)__builtin_frame_address(0), NULL);
}

/* Where a scope that is not on the thread's stack stands, or 0 where the stack is nobody's that is known. */
static uintptr_t frame_elsewhere(const mf_thread *thread, uintptr_t scope, uintptr_t caller) {
  uintptr_t low, high;
  if (on_own_stack(thread, caller))
    return caller + FRAME_SLACK;
  if (!os_on_other_stack(caller, &low, &high))
    return 0;
  return within(scope, low, high) ? scope : caller + FRAME_SLACK;
}

static inline mapfile_status push(mf_thread *thread, mapfile_scope *scope, uint32_t state, uintptr_t caller) {
  uintptr_t frame = (uintptr_t)scope;
  if (!on_own_stack(thread, frame) || !on_own_stack(thread, caller)) {
    frame = frame_elsewhere(thread, frame, caller);
    if (frame == 0)
      return MAPFILE_UNSUPPORTED;
  }
  if (thread->depth > 0)
    drop_gone(thread, caller, scope);
  uint32_t depth = thread->depth;
  struct mf_ring_entry *entry = &thread->ring[depth % MF_RING];
  struct mf_ring_entry *outer = &thread->ring[(depth - 1) % MF_RING];
  scope->outer = depth > 0 ? outer->scope : NULL;
  scope->shadowed = entry->scope;
  scope->internal[IN_SHADOWED_FRAME] = entry->frame;
  scope->internal[IN_FRAME] = frame;
  scope->internal[IN_DEPTH] = depth;
  scope->internal[IN_MARK] = mark_of(scope);
  scope->state = state;
  /* The compiler may not move these stores past the guarded code, nor drop them: a handler reads them. */
  atomic_signal_fence(memory_order_seq_cst);
  entry->scope = scope;
  entry->frame = frame;
  thread->depth = depth + 1;
  atomic_signal_fence(memory_order_seq_cst);
  return MAPFILE_OK;
}

/* handler: also run by the fault handler, on the scope it leaves to. */
static inline void pop(mf_thread *thread, mapfile_scope *scope) {
  uint32_t depth = (uint32_t)scope->internal[IN_DEPTH];
  atomic_signal_fence(memory_order_seq_cst);
  for (uint32_t above = depth + 1; above < thread->depth && above <= depth + MF_RING; above++)
    thread->ring[above % MF_RING].scope = NULL;
  thread->ring[depth % MF_RING].scope = scope->shadowed;
  thread->ring[depth % MF_RING].frame = scope->internal[IN_SHADOWED_FRAME];
  thread->depth = depth;
  scope->internal[IN_MARK] = 0;
  atomic_signal_fence(memory_order_seq_cst);
}

/*
 * Entering
 */

/* The pages of a view: a fault in the same page, just outside, has the same cause (vector instructions read whole
   blocks). Plain memory cannot fault, and its neighbours are not ours: it has no range. */
static void take_range(mapfile_scope *scope, const mapfile_view *view) {
  unsigned thing = mf_view_thing(view);
  scope->low = scope->high = 0;
  if (thing != MF_MARK_POOLED && thing != MF_MARK_OWN)
    return;
  uintptr_t page = os_page_size();
  uintptr_t data = (uintptr_t)view->data;
  scope->low = data & ~(page - 1);
  scope->high = (data + view->length + page - 1) & ~(page - 1);
}

static inline bool arguments_fit(const mapfile *file, const mapfile_view *view) {
  if (!mf_file_is_open(file))
    return false;
  return view == NULL || (mf_view_is_pinned(view) && view->internal[MF_VIEW_FILE] == (uintptr_t)file);
}

static inline mapfile_status enter(mapfile_scope *scope, mapfile *file, const mapfile_view *view, mapfile_fault *fault,
                                   uint32_t state, uintptr_t caller) {
  mf_thread *thread = &mf_this_thread;
  if (!arguments_fit(file, view))
    return MAPFILE_INVALID;
  if (thread->ready == 0) {
    mapfile_status status = prepare_thread(thread);
    if (status != MAPFILE_OK)
      return status;
  }
  scope->file = file;
  scope->fault = fault;
  scope->internal[IN_VIEW] = (uintptr_t)view;
  scope->internal[IN_FILLED] = 0;
  if (view != NULL)
    take_range(scope, view);
  return push(thread, scope, state, caller);
}

static void begin_fault(mapfile_fault *fault) {
  uint32_t size = fault->size;
  mapfile_fault none = MAPFILE_FAULT_INIT;
  *fault = none;
  fault->size = size;
}

void MAPFILE_CALL mapfile_scope_enter(mapfile_scope *scope, mapfile *file, const mapfile_view *view,
                                      mapfile_fault *fault) {
  mapfile_status status = MAPFILE_INVALID;
  if (fault != NULL && fault->size >= sizeof *fault) {
    if (fault->status != MAPFILE_OK)
      begin_fault(fault);
    status = enter(scope, file, view, fault, SCOPE_ARMED, (uintptr_t)__builtin_frame_address(0));
    if (status == MAPFILE_OK)
      return;
    fault->status = status;
  }
  scope->state = SCOPE_IDLE;
  longjmp(scope->registers, 1);
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
    fault->length = os_page_size();
  }
  fault->filled_pages += filled;
  return MAPFILE_UNKNOWN;
}

static mapfile_status check_after(const mapfile_view *view, mapfile_fault *fault) {
  const mf_segment *segment = own_segment(view);
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

void MAPFILE_CALL mapfile_scope_leave(mapfile_scope *scope) {
  if (scope->state == SCOPE_ARMED) {
    pop(&mf_this_thread, scope);
    scope->state = SCOPE_IDLE;
    if (scope->internal[IN_VIEW] != 0) {
      const mf_segment *segment = own_segment((const mapfile_view *)scope->internal[IN_VIEW]);
      if (segment != NULL)
        report_filled(segment, scope->fault);
    }
  } else if (scope->state == SCOPE_FAULTED) {
    scope->state = SCOPE_IDLE;
    mf_trace(MAPFILE_EVENT_FAULT, scope->file, scope->fault->offset, scope->fault->length, scope->fault->status);
  }
}

/* Not instrumented, because AddressSanitizer could move the scope off the stack. */
MF_UNINSTRUMENTED static mapfile_status run_in_scope(mapfile *file, const mapfile_view *view, mapfile_body body,
                                                     void *argument, mapfile_fault *fault) {
  mapfile_scope scope;
  if (MAPFILE_SAVE_REGISTERS(scope.registers) != 0) {
    const mapfile_fault *taken = scope.fault;
    mf_trace(MAPFILE_EVENT_FAULT, taken->file, taken->offset, taken->length, taken->status);
    return taken->status;
  }
  mapfile_status status = enter(&scope, file, view, fault, SCOPE_ARMED, (uintptr_t)__builtin_frame_address(0));
  if (status != MAPFILE_OK)
    return fault->status = status;
  status = body(argument);
  pop(&mf_this_thread, &scope);
  return status;
}

mapfile_status MAPFILE_CALL mapfile_try(mapfile *file, const mapfile_view *view, mapfile_body body, void *argument,
                                        mapfile_fault *fault) {
  mapfile_fault unwanted = MAPFILE_FAULT_INIT;
  mapfile_fault *record = fault != NULL ? fault : &unwanted;
  if (body == NULL || record->size < sizeof *record) {
    mf_set_native_error(0);
    return MAPFILE_INVALID;
  }
  if (record->status != MAPFILE_OK)
    begin_fault(record);
  mapfile_status status = run_in_scope(file, view, body, argument, record);
  if (record->status != MAPFILE_OK || view == NULL)
    return status;
  if (mf_view_thing(view) == MF_MARK_OWN || (view->internal[MF_VIEW_MARK] & MF_MARK_VERIFY) != 0) {
    mapfile_status after = check_after(view, record);
    if (status == MAPFILE_OK)
      status = after;
  }
  return status;
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

static void let_segments_go(mapfile *file) {
  os_lock();
  if (--file->fill_scopes == 0) {
    mf_segment *next;
    for (mf_segment *segment = file->segments; segment != NULL; segment = next) {
      next = segment->file_next;
      if (segment->closing)
        mf_segment_give_up(segment);
    }
  }
  os_unlock();
}

static bool can_be_filled(const mapfile_view *view) {
  const mf_segment *segment = own_segment(view);
  return segment != NULL && (segment->kind == MF_OWN_FILL || segment->kind == MF_OWN_COPY);
}

mapfile_status MAPFILE_CALL mapfile_scope_begin(mapfile_scope *scope, mapfile *file, const mapfile_view *view) {
  if (scope == NULL || scope->size != sizeof *scope || scope->state != SCOPE_IDLE || !arguments_fit(file, view) ||
      (view != NULL && view->length != 0 && mf_view_thing(view) != MF_MARK_PLAIN && !can_be_filled(view))) {
    mf_set_native_error(0);
    return MAPFILE_INVALID;
  }
  hold_segments(file);
  mapfile_status status = enter(scope, file, view, NULL, SCOPE_FILLING, (uintptr_t)__builtin_frame_address(0));
  if (status != MAPFILE_OK)
    let_segments_go(file);
  return status;
}

/* All ZERO_FILL views of a mapfile, for a scope that covers it whole. */
static void report_all_filled(mapfile *file, mapfile_fault *fault) {
  os_lock();
  for (const mf_segment *segment = file->segments; segment != NULL; segment = segment->file_next)
    if (segment->kind == MF_OWN_FILL || segment->kind == MF_OWN_COPY)
      report_filled(segment, fault);
  os_unlock();
}

mapfile_status MAPFILE_CALL mapfile_scope_end(mapfile_scope *scope, mapfile_fault *fault) {
  mapfile_fault unwanted = MAPFILE_FAULT_INIT;
  mapfile_fault *record = fault != NULL ? fault : &unwanted;
  mf_thread *thread = &mf_this_thread;
  if (scope == NULL || scope->size != sizeof *scope || scope->state != SCOPE_FILLING ||
      scope->internal[IN_MARK] != mark_of(scope) || record->size < sizeof *record || thread->depth == 0 ||
      scope->internal[IN_DEPTH] >= thread->depth || thread->ring[scope->internal[IN_DEPTH] % MF_RING].scope != scope) {
    mf_set_native_error(0);
    return MAPFILE_INVALID;
  }
  mapfile *file = scope->file;
  const mapfile_view *view = (const mapfile_view *)scope->internal[IN_VIEW];
  begin_fault(record);
  pop(thread, scope);
  scope->state = SCOPE_IDLE;
  if (view != NULL)
    check_after(view, record);
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

/* The next scope outward that is alive, NULL: none. The ring is asked first, because it leads past dead frames without
   reading their memory; what lies beyond the ring is reached by the link in the last live scope. */
static MF_UNINSTRUMENTED mapfile_scope *next_alive(const mf_thread *thread, const os_fault *fault, uint32_t *back,
                                                   const mapfile_scope *last) {
  while (*back < thread->depth && *back < MF_RING) {
    const struct mf_ring_entry *entry = &thread->ring[(thread->depth - ++*back) % MF_RING];
    if (entry->scope != NULL && is_alive(thread, fault, entry->frame) && is_marked(entry->scope))
      return entry->scope;
  }
  for (mapfile_scope *scope = last != NULL ? last->outer : NULL; scope != NULL; scope = scope->outer) {
    /* A frame that died and was overlaid: nothing in it can be believed, nor what lies beyond. */
    if (!is_marked(scope))
      return NULL;
    if (is_alive(thread, fault, scope->internal[IN_FRAME]))
      return scope;
  }
  return NULL;
}

/* Does the scope cover the address? Then what does the address mean in the file? */
static bool covers(const mapfile_scope *scope, const os_fault *fault, uint64_t *offset) {
  const mapfile_view *view = (const mapfile_view *)scope->internal[IN_VIEW];
  if (view != NULL) {
    if (!within(fault->address, scope->low, scope->high))
      return false;
    *offset = view->offset + (uint64_t)(fault->address - (uintptr_t)view->data);
    return true;
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

/* Put zeros where the bad page is. The segment cannot be unmapped meanwhile: the scope holds it (hold_segments). */
static bool fill(mapfile_scope *scope, const os_fault *fault) {
  uintptr_t page = fault->address & ~(uintptr_t)(fault->length - 1);
  bool filled = false;
  mf_index_enter();
  mf_segment *segment = segment_of(scope->file, fault->address);
  if (segment != NULL && (segment->kind == MF_OWN_FILL || segment->kind == MF_OWN_COPY) &&
      fault->access != MAPFILE_FAULT_WRITE && page >= segment->node.low && page + fault->length <= segment->node.high)
    filled = os_fill_zeros((void *)page, (size_t)fault->length);
  if (filled) {
    uint64_t none = 0;
    uint64_t offset = segment->offset + (uint64_t)(page - (uintptr_t)segment->address);
    atomic_compare_exchange_strong(&segment->first_filled, &none, offset + 1);
    atomic_fetch_add(&segment->filled, 1);
    atomic_fetch_add(&scope->file->filled_pages, 1);
    atomic_fetch_add(&mf_process_state.filled_pages, 1);
    scope->internal[IN_FILLED]++;
  }
  mf_index_leave();
  return filled;
}

MF_UNINSTRUMENTED mapfile_scope *mf_scope_take(const os_fault *fault, bool *resume) {
  mf_thread *thread = &mf_this_thread;
  mapfile_scope *scope = NULL;
  uint32_t back = 0;
  *resume = false;
  while ((scope = next_alive(thread, fault, &back, scope)) != NULL) {
    uint64_t offset;
    if (!covers(scope, fault, &offset))
      continue;
    if (scope->state == SCOPE_FILLING) {
      if (!fill(scope, fault))
        continue;
      *resume = true;
      return NULL;
    }
    if (scope->state != SCOPE_ARMED)
      return NULL;
    record_fault(scope, fault, offset);
    pop(thread, scope);
    scope->state = SCOPE_FAULTED;
    return scope;
  }
  return NULL;
}

_Noreturn void MAPFILE_CALL mf_scope_land(void *scope) {
  longjmp(((mapfile_scope *)scope)->registers, 1);
}

/*
 * The process's handlers
 */

mapfile_status MAPFILE_CALL mapfile_handler_configure(uint32_t flags) {
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

mapfile_status MAPFILE_CALL mapfile_handler_check(void) {
  if (!atomic_load(&handlers_installed) || (mf_handler_flags() & MAPFILE_HANDLER_HOST) != 0)
    return MAPFILE_UNSUPPORTED;
  return os_fault_check(mf_handler_flags());
}

mapfile_status MAPFILE_CALL mapfile_handler_rearm(void) {
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

int MAPFILE_CALL mapfile_handle_address(void *address, void(MAPFILE_CALL **resume)(void *), void **argument) {
  os_fault fault = {.address = (uintptr_t)address, .status = MAPFILE_UNKNOWN, .length = os_page_size()};
  uintptr_t here = (uintptr_t)__builtin_frame_address(0);
  /* On the thread's own stack the interrupted code lies above this call; elsewhere its place is not known. */
  if (on_own_stack(&mf_this_thread, here))
    fault.stack_pointer = here;
  bool filled;
  mapfile_scope *scope = mf_scope_take(&fault, &filled);
  if (scope == NULL)
    return 0;
  *resume = mf_scope_land;
  *argument = scope;
  return 1;
}
