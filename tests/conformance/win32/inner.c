/*
 * inner.c - a foreign frame of structured exception handling.
 *
 * SPDX-License-Identifier: MIT
 */
#include "inner.h"

#include <setjmp.h>

static void note(inner_frame *frame, const EXCEPTION_RECORD *record) {
  frame->asked++;
  frame->code = record->ExceptionCode;
  frame->address = record->NumberParameters > 1 ? record->ExceptionInformation[1] : 0;
}

#if defined(_WIN64)

/* The frame keeps its argument where the handler finds it; the landing lies behind the call. */
bool inner_call(inner_frame *frame, void (*body)(void *), void *argument);
EXCEPTION_DISPOSITION inner_handler(EXCEPTION_RECORD *record, void *established, CONTEXT *context,
                                    DISPATCHER_CONTEXT *dispatcher);
extern char inner_landed[];

__asm__(".text\n"
        "	.globl inner_call\n"
        "	.def inner_call; .scl 2; .type 32; .endef\n"
        "	.seh_proc inner_call\n"
        "inner_call:\n"
        "	subq $56, %rsp\n"
        "	.seh_stackalloc 56\n"
        "	.seh_endprologue\n"
        "	.seh_handler inner_handler, @except, @unwind\n"
        "	movq %rcx, 40(%rsp)\n"
        "	movq %r8, %rcx\n"
        "	callq *%rdx\n"
        "	xorl %eax, %eax\n"
        "1:	addq $56, %rsp\n"
        "	ret\n"
        "	.globl inner_landed\n"
        "inner_landed:\n"
        "	emms\n"
        "	movl $1, %eax\n"
        "	jmp 1b\n"
        "	.seh_endproc\n");

EXCEPTION_DISPOSITION inner_handler(EXCEPTION_RECORD *record, void *established, CONTEXT *context,
                                    DISPATCHER_CONTEXT *dispatcher) {
  inner_frame *frame = *(inner_frame **)(void *)((char *)established + 40);
  (void)context;
  if ((record->ExceptionFlags & (EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND)) != 0) {
    if ((record->ExceptionFlags & EXCEPTION_TARGET_UNWIND) == 0)
      frame->left++;
    return ExceptionContinueSearch;
  }
  note(frame, record);
  if (frame->takes)
    RtlUnwindEx(established, inner_landed, record, NULL, dispatcher->ContextRecord, dispatcher->HistoryTable);
  return ExceptionContinueSearch;
}

bool inner_run(inner_frame *frame) {
  return inner_call(frame, frame->body, frame->argument);
}

#else

typedef struct registration {
  struct registration *previous;
  void *handler;
  inner_frame *frame;
  jmp_buf out;
} registration;

static EXCEPTION_DISPOSITION handle(EXCEPTION_RECORD *record, void *established, CONTEXT *context, void *dispatcher) {
  registration *entry = established;
  (void)context, (void)dispatcher;
  if ((record->ExceptionFlags & (EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND)) != 0) {
    entry->frame->left++;
    return ExceptionContinueSearch;
  }
  note(entry->frame, record);
  if (entry->frame->takes)
    longjmp(entry->out, 1);
  return ExceptionContinueSearch;
}

static registration *first(void) {
  registration *entry;
  __asm__ volatile("movl %%fs:0, %0" : "=r"(entry));
  return entry;
}

static void set_first(registration *entry) {
  __asm__ volatile("movl %0, %%fs:0" : : "r"(entry) : "memory");
}

bool inner_run(inner_frame *frame) {
  registration entry;
  entry.handler = (void *)(uintptr_t)handle;
  entry.frame = frame;
  entry.previous = first();
  bool taken = setjmp(entry.out) != 0;
  if (!taken) {
    set_first(&entry);
    frame->body(frame->argument);
  }
  set_first(entry.previous);
  return taken;
}

#endif

#if defined(MF_HAVE_TRY)

static int judge(inner_frame *frame, const EXCEPTION_POINTERS *pointers) {
  note(frame, pointers->ExceptionRecord);
  return frame->takes ? EXCEPTION_EXECUTE_HANDLER : EXCEPTION_CONTINUE_SEARCH;
}

static void run_and_clean_up(inner_frame *frame) {
  __try {
    frame->body(frame->argument);
  } __finally {
    if (AbnormalTermination())
      frame->left++;
  }
}

bool inner_run_compiled(inner_frame *frame) {
  __try {
    run_and_clean_up(frame);
  } __except (judge(frame, GetExceptionInformation())) {
    return true;
  }
  return false;
}

#else

bool inner_run_compiled(inner_frame *frame) {
  return inner_run(frame);
}

#endif
