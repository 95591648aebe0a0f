/*
 * win32/fault.c - the vectored handler: takes faults that belong to scopes without a frame, leaves all others alone.
 *
 * SPDX-License-Identifier: MIT
 *
 * A vectored handler sees an exception before every frame does, so it must not touch what a frame should have: scopes
 * of mapfile_try that are frames are left to the search for a frame, in which frames further in come first. Everything
 * marked "handler" takes no lock and allocates nothing (promise handler-pure), and keeps LastError.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "fault.h"
#include "status.h"

#include <stdatomic.h>

static void *registration; /* locked */

/* What the record of an exception says of the access. */
enum { LOADING = 0, STORING = 1 }; /* else it was to be executed */

/* handler: may the page be accessed so? Then a fault there is not the program's doing: the page is bad. */
static bool is_allowed(DWORD protection, ULONG_PTR access) {
  const DWORD executable = PAGE_EXECUTE | PAGE_EXECUTE_READ | PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY;
  const DWORD writable = PAGE_READWRITE | PAGE_WRITECOPY | PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY;
  const DWORD readable = writable | PAGE_READONLY | PAGE_EXECUTE_READ;
  return (protection & (access == LOADING ? readable : access == STORING ? writable : executable)) != 0;
}

/* What can_take is asked about. */
typedef struct win_fault {
  os_fault fault; /* first, so that one is the other */
  const EXCEPTION_RECORD *record;
  const mapfile_scope *frame; /* the scope whose frame the system asks; NULL: it asks the vectored handler */
} win_fault;

/* handler: an access violation. In memory that allows the access the page is bad, as Wine says it of a file that became
   shorter; a page that allows nothing has been made so by mapfile_inject; anything else is the program's mistake, and
   taken only where it asked for that. */
static bool is_bad_page(os_fault *fault, ULONG_PTR access) {
  MEMORY_BASIC_INFORMATION memory;
  if (VirtualQuery((const void *)fault->address, &memory, sizeof memory) != sizeof memory)
    return false;
  bool committed = memory.State == MEM_COMMIT;
  if (committed && ((memory.Protect & PAGE_NOACCESS) != 0 || is_allowed(memory.Protect, access)))
    return true;
  fault->status = committed ? MAPFILE_PROTECTED : MAPFILE_RELEASED;
  return (mf_handler_flags() & MAPFILE_HANDLER_ACCESS) != 0;
}

/* handler: can this be what a bad page of a file raises? */
static bool is_page_fault(const EXCEPTION_RECORD *record, os_fault *fault) {
  if (record->NumberParameters < 2 ||
      (record->ExceptionCode != EXCEPTION_ACCESS_VIOLATION && record->ExceptionCode != EXCEPTION_IN_PAGE_ERROR))
    return false;
  bool has_status = record->ExceptionCode == EXCEPTION_IN_PAGE_ERROR && record->NumberParameters > 2;
  fault->status = MAPFILE_UNKNOWN;
  fault->length = mf_page_size;
  fault->address = record->ExceptionInformation[1];
  fault->access = record->ExceptionInformation[0] == STORING ? MAPFILE_FAULT_WRITE : MAPFILE_FAULT_READ;
  fault->code = (int64_t)(has_status ? (uint32_t)record->ExceptionInformation[2] : record->ExceptionCode);
  return true;
}

/* handler: what an access violation means is asked of the system, which takes as long as much of the rest: only once it
   is known that there is somebody to take it. */
static bool is_for(os_fault *fault, const mapfile_scope *scope) {
  const win_fault *asked = (const win_fault *)(const void *)fault;
  if (asked->frame != NULL ? scope != asked->frame : scope->size == OS_SIZE_FRAMED)
    return false;
  return asked->record->ExceptionCode != EXCEPTION_ACCESS_VIOLATION ||
         is_bad_page(fault, asked->record->ExceptionInformation[0]);
}

/* handler: others' threads raise exceptions by the thousand, which shall cost them nothing. */
static bool is_in_scope(void) {
  const mf_thread *thread = os_thread_in_handler();
  return thread != NULL && thread->depth != 0;
}

/* handler */
mapfile_scope *win_take(const EXCEPTION_POINTERS *pointers, const mapfile_scope *frame, bool *resume) {
  const CONTEXT *context = pointers->ContextRecord;
  win_fault asked = {{.can_take = is_for}, pointers->ExceptionRecord, frame};
  DWORD error = GetLastError();
  mapfile_scope *scope = NULL;
  *resume = false;
  if (is_in_scope() && is_page_fault(asked.record, &asked.fault)) {
#if defined(_WIN64)
    asked.fault.stack_pointer = context->Rsp;
#else
    asked.fault.stack_pointer = context->Esp;
#endif
    scope = mf_scope_take(&asked.fault, resume);
  }
  SetLastError(error);
  return scope;
}

#if defined(__GNUC__)

/* handler: have the thread go on in win_registers_restore, which brings back what the scope has saved. */
static void leave_to(CONTEXT *context, const mapfile_scope *scope) {
  const DWORD direction_flag = 0x400, alignment_flag = 0x40000;
#if defined(_WIN64)
  context->Rcx = (DWORD64)scope->registers;
  context->Rip = (DWORD64)win_registers_restore;
#else
  context->Ecx = (DWORD)scope->registers;
  context->Eip = (DWORD)win_registers_restore;
#endif
  /* The ABI wants both clear; the interrupted code may have been between std and cld. */
  context->EFlags &= ~(direction_flag | alignment_flag);
}

/* handler */
int MAPFILE_CALL mapfile_handle_exception(void *exception_pointers) {
  const EXCEPTION_POINTERS *pointers = exception_pointers;
  bool resume;
  mapfile_scope *scope = win_take(pointers, NULL, &resume);
  if (scope != NULL)
    leave_to(pointers->ContextRecord, scope);
  return scope != NULL || resume;
}

#else

/* handler: every scope is a frame; only zeros can be filled in from here. */
int MAPFILE_CALL mapfile_handle_exception(void *exception_pointers) {
  bool resume;
  win_take(exception_pointers, NULL, &resume);
  return resume;
}

#endif

int MAPFILE_CALL mapfile_handle_signal(int signo, void *siginfo, void *ucontext) {
  (void)signo;
  (void)siginfo;
  (void)ucontext;
  return 0;
}

bool os_fault_is_violation(int signo) {
  (void)signo;
  return false;
}

static LONG CALLBACK handle(EXCEPTION_POINTERS *pointers) {
  return mapfile_handle_exception(pointers) ? EXCEPTION_CONTINUE_EXECUTION : EXCEPTION_CONTINUE_SEARCH;
}

/*
 * Installing
 */

mapfile_status os_fault_install(uint32_t flags) {
  if ((flags & MAPFILE_HANDLER_HOST) != 0 || registration != NULL)
    return MAPFILE_OK;
  registration = AddVectoredExceptionHandler(1, handle);
  return registration != NULL ? MAPFILE_OK : win_status_of_last_error();
}

/* On top again. In between, for a moment, there is none: another thread's fault would find none. So the new one is put
   in first; that a fault comes to both does no harm. */
mapfile_status os_fault_rearm(uint32_t flags) {
  if ((flags & MAPFILE_HANDLER_HOST) != 0)
    return MAPFILE_UNSUPPORTED;
  void *added = AddVectoredExceptionHandler(1, handle);
  if (added == NULL)
    return win_status_of_last_error();
  if (registration != NULL)
    RemoveVectoredExceptionHandler(registration);
  registration = added;
  return MAPFILE_OK;
}

/* Vectored handlers cannot be replaced, and each hands on to the next. */
mapfile_status os_fault_check(uint32_t flags) {
  (void)flags;
  return registration != NULL ? MAPFILE_OK : MAPFILE_UNSUPPORTED;
}

/*
 * Threads and stacks
 */

/* Exceptions cannot be blocked; only a thread that has no record of its own cannot have scopes. */
mapfile_status os_fault_prepare_thread(uint32_t flags) {
  (void)flags;
  return win_find_thread(false) != NULL ? MAPFILE_OK : MAPFILE_NO_MEMORY;
}

/* Of the fiber, where it is one. */
mapfile_status os_stack_bounds(uintptr_t *low, uintptr_t *high) {
  *low = win_teb_word(TEB_STACK_BOTTOM);
  *high = win_teb_word(TEB_STACK_BASE);
  return MAPFILE_OK;
}

bool os_on_other_stack(uintptr_t here, uintptr_t *low, uintptr_t *high) {
  (void)here;
  (void)low;
  (void)high;
  return false;
}
