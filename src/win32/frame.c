/*
 * win32/frame.c - scopes that are real frames of structured exception handling.
 *
 * SPDX-License-Identifier: MIT
 *
 * A frame gets an exception after the frames further in, whose clean-up is then run on the way out; a vectored handler
 * would steal it from them. Written with __try where the compiler has it, else, on x86-64, by describing the frame to
 * the system in assembly.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "fault.h"

#if defined(__GNUC__)
#include <x86intrin.h>
#endif

#if defined(MF_HAVE_TRY) || defined(_WIN64)

/* Raised to go on to a frame further out from normal context; its parameter is the scope. Customer code, facility
   'm', 'f'. */
#define LANDING_CODE 0xe06d6601u

/* handler: the filter of a scope's frame. */
static LONG filter(const EXCEPTION_POINTERS *pointers, mapfile_scope *scope) {
  const EXCEPTION_RECORD *record = pointers->ExceptionRecord;
  bool resume;
  if (record->ExceptionCode == LANDING_CODE)
    return record->NumberParameters == 1 && record->ExceptionInformation[0] == (ULONG_PTR)scope
               ? EXCEPTION_EXECUTE_HANDLER
               : EXCEPTION_CONTINUE_SEARCH;
  if (win_take(pointers, scope, &resume) != NULL)
    return EXCEPTION_EXECUTE_HANDLER;
  return resume ? EXCEPTION_CONTINUE_EXECUTION : EXCEPTION_CONTINUE_SEARCH;
}

_Noreturn void win_land_framed(mapfile_scope *scope) {
  ULONG_PTR parameter = (ULONG_PTR)scope;
  RaiseException(LANDING_CODE, EXCEPTION_NONCONTINUABLE, 1, &parameter);
  /* Nobody took it: the frame is gone, against the rules of scopes. */
  TerminateProcess(GetCurrentProcess(), LANDING_CODE);
  for (;;)
    continue;
}

#else

_Noreturn void win_land_framed(mapfile_scope *scope) {
  win_registers_restore(scope->registers);
}

#endif

#if defined(MF_HAVE_TRY)

/* What the ABI demands of the processor: the interrupted expression may have filled the x87's registers half, turned
   the direction, or asked for alignment. */
static void put_in_order(void) {
  const uintptr_t direction_flag = 0x400, alignment_flag = 0x40000;
#if defined(__GNUC__)
  __asm__ volatile("emms" ::: "memory");
#elif !defined(_WIN64)
  _mm_empty();
#endif
  __writeeflags(__readeflags() & ~(direction_flag | alignment_flag));
}

bool win_run_framed(mapfile_scope *scope, mapfile_body body, void *argument, mapfile_status *status) {
  scope->size = OS_SIZE_FRAMED;
  __try {
    *status = body(argument);
  } __except (filter(GetExceptionInformation(), scope)) {
    put_in_order();
    return true;
  }
  return false;
}

#elif defined(_WIN64)

bool win_frame_call(mapfile_scope *scope, mapfile_body body, void *argument, mapfile_status *status);
extern char win_frame_landed[];
/* Only the assembly names it. */
__attribute__((used)) EXCEPTION_DISPOSITION win_frame_handler(EXCEPTION_RECORD *record, void *frame, CONTEXT *context,
                                                              DISPATCHER_CONTEXT *dispatcher);

/* Where the frame keeps the scope, from its stack pointer. */
#define FRAME_SCOPE 32
#define FRAME_SCOPE_TEXT "32"

/* It lands behind the call, where the processor is put in order: the interrupted expression may have filled the x87's
   registers half, turned the direction, or asked for alignment (flags 0x400 and 0x40000). */
__asm__(".text\n"
        "	.p2align 4\n"
        "	.globl win_frame_call\n"
        "	.def win_frame_call; .scl 2; .type 32; .endef\n"
        "	.seh_proc win_frame_call\n"
        "win_frame_call:\n"
        "	pushq %rbx\n"
        "	.seh_pushreg %rbx\n"
        "	subq $48, %rsp\n"
        "	.seh_stackalloc 48\n"
        "	.seh_endprologue\n"
        "	.seh_handler win_frame_handler, @except\n"
        "	movq %rcx, " FRAME_SCOPE_TEXT "(%rsp)\n"
        "	movq %r9, %rbx\n"
        "	movq %r8, %rcx\n"
        "	callq *%rdx\n"
        "	movl %eax, (%rbx)\n"
        "	xorl %eax, %eax\n"
        "1:	addq $48, %rsp\n"
        "	popq %rbx\n"
        "	ret\n"
        "	.globl win_frame_landed\n"
        "win_frame_landed:\n"
        "	emms\n"
        "	pushfq\n"
        "	andl $~0x40400, (%rsp)\n"
        "	popfq\n"
        "	movl $1, %eax\n"
        "	jmp 1b\n"
        "	.seh_endproc\n");

/* handler: what the system calls for the frame, in its search for a handler and again when it leaves frames. */
EXCEPTION_DISPOSITION win_frame_handler(EXCEPTION_RECORD *record, void *frame, CONTEXT *context,
                                        DISPATCHER_CONTEXT *dispatcher) {
  const DWORD leaving = EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND;
  if ((record->ExceptionFlags & leaving) != 0)
    return ExceptionContinueSearch;
  mapfile_scope *scope = *(mapfile_scope **)(void *)((char *)frame + FRAME_SCOPE);
  EXCEPTION_POINTERS pointers = {record, context};
  switch (filter(&pointers, scope)) {
  case EXCEPTION_CONTINUE_EXECUTION:
    return ExceptionContinueExecution;
  case EXCEPTION_CONTINUE_SEARCH:
    return ExceptionContinueSearch;
  default:
    RtlUnwindEx(frame, win_frame_landed, record, NULL, dispatcher->ContextRecord, dispatcher->HistoryTable);
    return ExceptionContinueSearch;
  }
}

bool win_run_framed(mapfile_scope *scope, mapfile_body body, void *argument, mapfile_status *status) {
  scope->size = OS_SIZE_FRAMED;
  return win_frame_call(scope, body, argument, status);
}

#endif
