/*
 * posix/try.c - mapfile_try in its usual case, in one piece of assembly, for x86-64.
 *
 * SPDX-License-Identifier: MIT
 *
 * What scope.c does in C for the other processors: the thread is prepared, has no other scope and runs on its own
 * stack; the record is as new; the view is pinned, of this mapfile and simple, or the mapfile is open. All else is left
 * to mf_try_with_care, which gets the arguments as they came. One piece, because half of what a scope costs are calls
 * and the registers that a compiler puts away for them. The scope is the frame, so the stack pointer needs no place in
 * it.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "../internal.h"

#if OS_HAS_TRY

/* What the assembly below knows: where things lie, and the numbers it compares with. */
_Static_assert(offsetof(mapfile_scope, size) == 0 && offsetof(mapfile_scope, state) == 8 &&
                   offsetof(mapfile_scope, file) == 16 && offsetof(mapfile_scope, view) == 24 &&
                   offsetof(mapfile_scope, fault) == 32 && offsetof(mapfile_scope, registers) == 48 &&
                   sizeof(mapfile_scope) <= 288,
               "scopes, and a frame of 296 bytes that holds one");
_Static_assert(offsetof(mf_thread, depth) == 0 && offsetof(mf_thread, stack_low) == 8 &&
                   offsetof(mf_thread, quick_size) == 24 && offsetof(mf_thread, ring) == 32,
               "threads");
_Static_assert(offsetof(mapfile_view, internal[MF_VIEW_FILE]) == 48 &&
                   offsetof(mapfile_view, internal[MF_VIEW_MARK]) == 56 && offsetof(mapfile, magic) == 0,
               "views and mapfiles");
_Static_assert(offsetof(mapfile_fault, size) == 0 && offsetof(mapfile_fault, status) == 4 &&
                   sizeof(mapfile_fault) == 120 && MAPFILE_OK == 0,
               "records, and that 120 is the first word of one that is as new");
_Static_assert((MF_MARK | MF_MARK_POOLED) == 0x4d760001 && MF_MARK_WINDOW - MF_MARK_POOLED == 3 &&
                   MF_MAGIC_OPEN == 0x4d46494c && MF_SCOPE_ARMED == 0x6d617001 && OS_SIZE_TRY == 3,
               "numbers");

#if defined(__CET__) && (__CET__ & 1) != 0
#define ENTRY "	endbr64\n"
#else
#define ENTRY ""
#endif
/* As registers.c has it; but no return is left out in going back there. */
#if defined(__CET__) && (__CET__ & 2) != 0
#define SAVE_SHADOW      \
  "	xorl %r10d, %r10d\n" \
  "	rdsspq %r10\n"       \
  "	subq $8, %r10\n"     \
  "	movq %r10, 112(%rsp)\n"
#else
#define SAVE_SHADOW ""
#endif

/* The registers are saved before the mark is set: a mark means that there is a place to land at. */
__asm__(".text\n"
        "	.p2align 6\n"
        "	.globl mapfile_try\n"
        "	.type mapfile_try, @function\n"
        "	.hidden mf_try_with_care, mf_finish_fault, mf_this_thread\n"
        "mapfile_try:\n"
        "	.cfi_startproc\n" ENTRY "	movq mf_this_thread@gottpoff(%rip), %r11\n"
        "	testq %rdx, %rdx\n"
        "	je 3f\n"
        "	testq %r8, %r8\n"
        "	je 3f\n"
        "	cmpl $0, %fs:(%r11)\n"
        "	jne 3f\n"
        "	subq $296, %rsp\n"
        "	.cfi_adjust_cfa_offset 296\n"
        "	movq %rsp, %r10\n"
        "	subq %fs:8(%r11), %r10\n"
        "	cmpq %fs:24(%r11), %r10\n"
        "	jae 2f\n"
        "	cmpq $120, (%r8)\n"
        "	jne 2f\n"
        "	testq %rsi, %rsi\n"
        "	je 1f\n"
        "	movq 56(%rsi), %r10\n"
        "	subq $0x4d760001, %r10\n"
        "	cmpq $3, %r10\n"
        "	ja 2f\n"
        "	cmpq 48(%rsi), %rdi\n"
        "	jne 2f\n"
        "0:	movq %rbx, %xmm0\n"
        "	movq %rbp, %xmm1\n"
        "	punpcklqdq %xmm1, %xmm0\n"
        "	movups %xmm0, 48(%rsp)\n"
        "	movq %r12, %xmm2\n"
        "	movq %r13, %xmm3\n"
        "	punpcklqdq %xmm3, %xmm2\n"
        "	movups %xmm2, 64(%rsp)\n"
        "	movq %r14, %xmm4\n"
        "	movq %r15, %xmm5\n"
        "	punpcklqdq %xmm5, %xmm4\n"
        "	movups %xmm4, 80(%rsp)\n" SAVE_SHADOW "	movl $3, (%rsp)\n"
        "	movq %rdi, 16(%rsp)\n"
        "	movq %rsi, 24(%rsp)\n"
        "	movq %r8, 32(%rsp)\n"
        "	xorq %rdi, %rsi\n"
        "	xorq %r8, %rsi\n"
        "	xorq %rsp, %rsi\n"
        "	xorq $0x6d617001, %rsi\n"
        "	movq %rsi, 8(%rsp)\n"
        "	movq %rsp, %fs:32(%r11)\n"
        "	movl $1, %fs:(%r11)\n"
        "	movq %rcx, %rdi\n"
        "	call *%rdx\n"
        "	movq mf_this_thread@gottpoff(%rip), %r11\n"
        "	movl $0, %fs:(%r11)\n"
        "	addq $296, %rsp\n"
        "	.cfi_adjust_cfa_offset -296\n"
        "	ret\n"
        "	.cfi_adjust_cfa_offset 296\n"
        "1:	testq %rdi, %rdi\n"
        "	je 2f\n"
        "	cmpl $0x4d46494c, (%rdi)\n"
        "	je 0b\n"
        "2:	addq $296, %rsp\n"
        "	.cfi_adjust_cfa_offset -296\n"
        "3:	jmp mf_try_with_care\n"
        "	.globl posix_try_landed\n"
        "	.hidden posix_try_landed\n"
        "posix_try_landed:\n"
        "	.cfi_adjust_cfa_offset 296\n"
        "	movq 32(%rsp), %rdi\n"
        "	addq $296, %rsp\n"
        "	.cfi_adjust_cfa_offset -296\n"
        "	jmp mf_finish_fault\n"
        "	.cfi_endproc\n"
        "	.size mapfile_try, .-mapfile_try\n");

extern const char posix_try_landed[];

uintptr_t posix_try_place(mapfile_scope *scope) {
  ((uintptr_t *)scope->registers)[POSIX_AT_STACK] = (uintptr_t)scope - sizeof(uintptr_t);
  return (uintptr_t)posix_try_landed;
}

#endif
