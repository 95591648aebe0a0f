/*
 * win32/registers.c - saving and restoring the registers that a function must keep, for scopes that are no frames.
 *
 * SPDX-License-Identifier: MIT
 *
 * Not by the C runtime's setjmp: its longjmp unwinds the frames in between, which dies where one of them cannot be
 * unwound, and under control-flow guard. The modes of floating point are not saved: a landing keeps those that the
 * interrupted code had (promise fault-cpu-state), and empties the x87's registers.
 *
 * For compilers that take GNU's assembly. Others have no in-place scopes, so they need none of this.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "../os.h"

#if defined(__GNUC__)

/* Where a scope keeps its registers. */
#if defined(_WIN64)
#define IN_SCOPE 48
#define IN_SCOPE_TEXT "48"
#else
#define IN_SCOPE 28
#define IN_SCOPE_TEXT "28"
#endif
_Static_assert(offsetof(mapfile_scope, registers) == IN_SCOPE, "the assembly below knows where the registers go");

#ifdef DLL_EXPORT
/* What declspec(dllexport) would say. */
__asm__(".section .drectve,\"yn\"\n"
        "	.ascii \" -export:\\\"mapfile_scope_save\\\"\"\n");
#endif

#if defined(_WIN64)

/* Of the ten vector registers all 128 bits are the caller's; the others go two by two, since it is stores that this
   costs. Goes on in mf_scope_enter_saved, whose 0 it returns. */
__asm__(".text\n"
        "	.p2align 6\n"
        "	.globl mapfile_scope_save\n"
        "	.def mapfile_scope_save; .scl 2; .type 32; .endef\n"
        "mapfile_scope_save:\n"
        "	leaq " IN_SCOPE_TEXT "(%rcx), %r10\n"
        "	movq %rbx, %xmm0\n"
        "	movq %rbp, %xmm4\n"
        "	punpcklqdq %xmm4, %xmm0\n"
        "	movups %xmm0, (%r10)\n"
        "	movq %rsi, %xmm1\n"
        "	movq %rdi, %xmm4\n"
        "	punpcklqdq %xmm4, %xmm1\n"
        "	movups %xmm1, 16(%r10)\n"
        "	movq %r12, %xmm2\n"
        "	movq %r13, %xmm4\n"
        "	punpcklqdq %xmm4, %xmm2\n"
        "	movups %xmm2, 32(%r10)\n"
        "	movq %r14, %xmm3\n"
        "	movq %r15, %xmm4\n"
        "	punpcklqdq %xmm4, %xmm3\n"
        "	movups %xmm3, 48(%r10)\n"
        "	leaq 8(%rsp), %rax\n"
        "	movq %rax, %xmm5\n"
        "	movhps (%rsp), %xmm5\n"
        "	movups %xmm5, 64(%r10)\n"
        "	movups %xmm6, 80(%r10)\n"
        "	movups %xmm7, 96(%r10)\n"
        "	movups %xmm8, 112(%r10)\n"
        "	movups %xmm9, 128(%r10)\n"
        "	movups %xmm10, 144(%r10)\n"
        "	movups %xmm11, 160(%r10)\n"
        "	movups %xmm12, 176(%r10)\n"
        "	movups %xmm13, 192(%r10)\n"
        "	movups %xmm14, 208(%r10)\n"
        "	movups %xmm15, 224(%r10)\n"
        "	jmp mf_scope_enter_saved\n"
        "	.p2align 4\n"
        "	.globl win_registers_restore\n"
        "	.def win_registers_restore; .scl 2; .type 32; .endef\n"
        "win_registers_restore:\n"
        "	cld\n"
        "	emms\n"
        "	movq (%rcx), %rbx\n"
        "	movq 8(%rcx), %rbp\n"
        "	movq 16(%rcx), %rsi\n"
        "	movq 24(%rcx), %rdi\n"
        "	movq 32(%rcx), %r12\n"
        "	movq 40(%rcx), %r13\n"
        "	movq 48(%rcx), %r14\n"
        "	movq 56(%rcx), %r15\n"
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
        "	movq 64(%rcx), %rsp\n"
        "	jmp *72(%rcx)\n");

#else

#define SIZE_SAVED 1
#define SIZE_SAVED_TEXT "1"
_Static_assert(SIZE_SAVED == OS_SIZE_SAVED && offsetof(mapfile_scope, size) == 0, "the assembly below knows scopes");

/* The chain of frames of structured exception handling, at fs:[0], goes back too: it must not lead through frames that
   are left. Both routines have three arguments in eax, edx and ecx; saving leaves them there. */
#define SAVE                                     \
  "	movl %ebx, 0+" IN_SCOPE_TEXT "(%eax)\n"  \
  "	movl %ebp, 4+" IN_SCOPE_TEXT "(%eax)\n"  \
  "	movl %esi, 8+" IN_SCOPE_TEXT "(%eax)\n"  \
  "	movl %edi, 12+" IN_SCOPE_TEXT "(%eax)\n" \
  "	movl %fs:0, %ebx\n"                          \
  "	movl %ebx, 24+" IN_SCOPE_TEXT "(%eax)\n" \
  "	leal 4(%esp), %ebx\n"                        \
  "	movl %ebx, 16+" IN_SCOPE_TEXT "(%eax)\n" \
  "	movl (%esp), %ebx\n"                         \
  "	movl %ebx, 20+" IN_SCOPE_TEXT "(%eax)\n" \
  "	movl 0+" IN_SCOPE_TEXT "(%eax), %ebx\n"

__asm__(".text\n"
        "	.p2align 4\n"
        "	.globl _mapfile_scope_save\n"
        "	.def _mapfile_scope_save; .scl 2; .type 32; .endef\n"
        "_mapfile_scope_save:\n" SAVE "	jmp _mf_scope_enter_saved\n"
        "	.p2align 4\n"
        "	.globl _win_run\n"
        "	.def _win_run; .scl 2; .type 32; .endef\n"
        "_win_run:\n" SAVE "	movl $" SIZE_SAVED_TEXT ", (%eax)\n"
        "	subl $12, %esp\n"
        "	movl %ecx, (%esp)\n"
        "	call *%edx\n"
        "	addl $12, %esp\n"
        "	xorl %edx, %edx\n"
        "	ret\n"
        "	.p2align 4\n"
        "	.globl @win_registers_restore@4\n"
        "	.def @win_registers_restore@4; .scl 2; .type 32; .endef\n"
        "@win_registers_restore@4:\n"
        "	cld\n"
        "	emms\n"
        "	movl 24(%ecx), %eax\n"
        "	movl %eax, %fs:0\n"
        "	movl (%ecx), %ebx\n"
        "	movl 4(%ecx), %ebp\n"
        "	movl 8(%ecx), %esi\n"
        "	movl 12(%ecx), %edi\n"
        "	movl $1, %eax\n"
        "	movl %eax, %edx\n"
        "	movl 16(%ecx), %esp\n"
        "	jmp *20(%ecx)\n");

#endif

#endif
