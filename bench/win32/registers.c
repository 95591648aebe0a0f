/*
 * The least that a scope has to do: saving the registers that a function must keep, and going back to them, or being a
 * frame that takes exceptions. By other hands than the library's, so that neither is measured by itself.
 *
 * SPDX-License-Identifier: MIT
 */
#include "groups.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#if defined(_WIN64)
__asm__(".text\n"
        "	.p2align 6\n"
        "	.globl bench_save\n"
        "bench_save:\n"
        "	movq (%rsp), %rax\n"
        "	movq %rax, (%rcx)\n"
        "	leaq 8(%rsp), %rax\n"
        "	movq %rax, 8(%rcx)\n"
        "	movq %rbx, 16(%rcx)\n"
        "	movq %rbp, 24(%rcx)\n"
        "	movq %rsi, 32(%rcx)\n"
        "	movq %rdi, 40(%rcx)\n"
        "	movq %r12, 48(%rcx)\n"
        "	movq %r13, 56(%rcx)\n"
        "	movq %r14, 64(%rcx)\n"
        "	movq %r15, 72(%rcx)\n"
        "	movups %xmm6, 80(%rcx)\n"
        "	movups %xmm7, 96(%rcx)\n"
        "	movups %xmm8, 112(%rcx)\n"
        "	movups %xmm9, 128(%rcx)\n"
        "	movups %xmm10, 144(%rcx)\n"
        "	movups %xmm11, 160(%rcx)\n"
        "	movups %xmm12, 176(%rcx)\n"
        "	movups %xmm13, 192(%rcx)\n"
        "	movups %xmm14, 208(%rcx)\n"
        "	movups %xmm15, 224(%rcx)\n"
        "	xorl %eax, %eax\n"
        "	ret\n"
        "	.globl bench_restore\n"
        "bench_restore:\n"
        "	movq 16(%rcx), %rbx\n"
        "	movq 24(%rcx), %rbp\n"
        "	movq 32(%rcx), %rsi\n"
        "	movq 40(%rcx), %rdi\n"
        "	movq 48(%rcx), %r12\n"
        "	movq 56(%rcx), %r13\n"
        "	movq 64(%rcx), %r14\n"
        "	movq 72(%rcx), %r15\n"
        "	movups 80(%rcx), %xmm6\n"
        "	movups 96(%rcx), %xmm7\n"
        "	movups 112(%rcx), %xmm8\n"
        "	movups 128(%rcx), %xmm9\n"
        "	movups 144(%rcx), %xmm10\n"
        "	movups 160(%rcx), %xmm11\n"
        "	movups 176(%rcx), %xmm12\n"
        "	movups 192(%rcx), %xmm13\n"
        "	movups 208(%rcx), %xmm14\n"
        "	movups 224(%rcx), %xmm15\n"
        "	movl $1, %eax\n"
        "	movq 8(%rcx), %rsp\n"
        "	jmp *(%rcx)\n"
        "	.p2align 4\n"
        "	.globl bench_frame\n"
        "	.def bench_frame; .scl 2; .type 32; .endef\n"
        "	.seh_proc bench_frame\n"
        "bench_frame:\n"
        "	subq $40, %rsp\n"
        "	.seh_stackalloc 40\n"
        "	.seh_endprologue\n"
        "	.seh_handler bench_frame_handler, @except\n"
        "	movq %rcx, %rax\n"
        "	movq %rdx, %rcx\n"
        "	callq *%rax\n"
        "	xorl %eax, %eax\n"
        "1:	addq $40, %rsp\n"
        "	ret\n"
        "	.globl bench_frame_landed\n"
        "bench_frame_landed:\n"
        "	movl $1, %eax\n"
        "	jmp 1b\n"
        "	.seh_endproc\n");

extern char bench_frame_landed[];
/* Only the assembly names it. */
__attribute__((used)) EXCEPTION_DISPOSITION bench_frame_handler(EXCEPTION_RECORD *record, void *frame, CONTEXT *context,
                                                                DISPATCHER_CONTEXT *dispatcher) {
  (void)context;
  if ((record->ExceptionFlags & (EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND)) == 0) {
    RtlUnwindEx(frame, bench_frame_landed, record, NULL, dispatcher->ContextRecord, dispatcher->HistoryTable);
  }
  return ExceptionContinueSearch;
}
#else
__asm__(".text\n"
        "	.p2align 6\n"
        "	.globl _bench_save\n"
        "_bench_save:\n"
        "	movl 4(%esp), %ecx\n"
        "	movl (%esp), %eax\n"
        "	movl %eax, (%ecx)\n"
        "	leal 4(%esp), %eax\n"
        "	movl %eax, 4(%ecx)\n"
        "	movl %ebx, 8(%ecx)\n"
        "	movl %ebp, 12(%ecx)\n"
        "	movl %esi, 16(%ecx)\n"
        "	movl %edi, 20(%ecx)\n"
        "	movl %fs:0, %eax\n"
        "	movl %eax, 24(%ecx)\n"
        "	xorl %eax, %eax\n"
        "	ret\n"
        "	.globl _bench_restore\n"
        "_bench_restore:\n"
        "	movl 24(%ecx), %eax\n"
        "	movl %eax, %fs:0\n"
        "	movl 8(%ecx), %ebx\n"
        "	movl 12(%ecx), %ebp\n"
        "	movl 16(%ecx), %esi\n"
        "	movl 20(%ecx), %edi\n"
        "	movl $1, %eax\n"
        "	movl 4(%ecx), %esp\n"
        "	jmp *(%ecx)\n");
#endif
