/*
 * posix/registers.c - saving and restoring the registers that a function must keep, for scopes on Linux.
 *
 * SPDX-License-Identifier: MIT
 *
 * setjmp would do, and does elsewhere (MAPFILE_USE_SETJMP). But it costs as much as all the rest of a scope: it
 * scrambles addresses, it is a call of its own, and what is to survive it must be kept in memory by the compiler. Of
 * these two routines one saves and enters in a single call, and the other runs a function, which is no second return at
 * all.
 *
 * The modes of floating point are not saved: a landing keeps those of the interrupted code, as the ABI has it (promise
 * fault-cpu-state).
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "../os.h"

#include <stdatomic.h>

/* The registers saved by setjmp are good as long as this frame stands. */
os_outcome posix_run_setjmp(mapfile_scope *scope, mapfile_body body, void *argument) {
  if (MAPFILE_SETJMP(scope->registers) != 0)
    return (os_outcome){.landed = 1};
  scope->size = OS_SIZE_SETJMP;
  atomic_signal_fence(memory_order_seq_cst);
  return (os_outcome){.status = body(argument)};
}

#ifndef MAPFILE_SAVES_REGISTERS

_Noreturn void os_land(mapfile_scope *scope) {
  longjmp(scope->registers, 1);
}

#else

#define IN_SCOPE 48
#define IN_SCOPE_TEXT "48"
#define SIZE_RUN 2
#define SIZE_RUN_TEXT "2"
_Static_assert(offsetof(mapfile_scope, registers) == IN_SCOPE && offsetof(mapfile_scope, size) == 0 &&
                   SIZE_RUN == OS_SIZE_RUN,
               "the assembly below knows scopes");

#if defined(__x86_64__)

/* In a scope: six registers, the stack pointer, where to go on, the shadow stack's pointer. */
_Static_assert(sizeof(mapfile_registers) >= 9 * sizeof(uintptr_t), "there is room for the registers");
enum { AT_STACK = POSIX_AT_STACK, AT_PLACE = 7 };

/* What Intel calls CET: the processor looks where calls lead and returns go, in a process all of whose parts say that
   they know of it. Where it does not these instructions do nothing, and the shadow stack's pointer is 0. */
#if defined(__CET__) && (__CET__ & 1) != 0
#define ENTRY "	endbr64\n"
#define JUMP "	notrack jmp "
#else
#define ENTRY ""
#define JUMP "	jmp "
#endif
#if defined(__CET__) && (__CET__ & 2) != 0
#define SAVE_SHADOW      \
  "	xorl %r11d, %r11d\n" \
  "	rdsspq %r11\n"       \
  "	movq %r11, 64+" IN_SCOPE_TEXT "(%rdi)\n"
/* What was pushed since, and one more because a return is left out. The instruction takes 255 steps at most. */
#define RESTORE_SHADOW     \
  "	xorl %eax, %eax\n"     \
  "	rdsspq %rax\n"         \
  "	testq %rax, %rax\n"    \
  "	jz 3f\n"               \
  "	movq 64(%rdi), %rcx\n" \
  "	subq %rax, %rcx\n"     \
  "	shrq $3, %rcx\n"       \
  "	incq %rcx\n"           \
  "	movl $255, %eax\n"     \
  "2:	cmpq %rax, %rcx\n"   \
  "	cmovbq %rcx, %rax\n"   \
  "	incsspq %rax\n"        \
  "	subq %rax, %rcx\n"     \
  "	ja 2b\n"               \
  "3:\n"
#else
#define SAVE_SHADOW ""
#define RESTORE_SHADOW ""
#endif

/* Two by two, since it is stores that a scope costs. */
#define SAVE                                        \
  "	movq %rbx, %xmm0\n"                             \
  "	movq %rbp, %xmm1\n"                             \
  "	punpcklqdq %xmm1, %xmm0\n"                      \
  "	movups %xmm0, 0+" IN_SCOPE_TEXT "(%rdi)\n"  \
  "	movq %r12, %xmm2\n"                             \
  "	movq %r13, %xmm3\n"                             \
  "	punpcklqdq %xmm3, %xmm2\n"                      \
  "	movups %xmm2, 16+" IN_SCOPE_TEXT "(%rdi)\n" \
  "	movq %r14, %xmm4\n"                             \
  "	movq %r15, %xmm5\n"                             \
  "	punpcklqdq %xmm5, %xmm4\n"                      \
  "	movups %xmm4, 32+" IN_SCOPE_TEXT "(%rdi)\n" SAVE_SHADOW

/* The place to go on is the return address, which is overwritten after mapfile_scope_save has returned; that of
   posix_run stays where it is. */
__asm__(".text\n"
        "	.p2align 6\n"
        "	.globl mapfile_scope_save\n"
        "	.type mapfile_scope_save, @function\n"
        "	.hidden mf_scope_enter_saved\n"
        "mapfile_scope_save:\n"
        "	.cfi_startproc\n" ENTRY SAVE "	movq %rsp, %xmm6\n"
        "	movhps (%rsp), %xmm6\n"
        "	movups %xmm6, 48+" IN_SCOPE_TEXT "(%rdi)\n"
        "	jmp mf_scope_enter_saved\n"
        "	.cfi_endproc\n"
        "	.size mapfile_scope_save, .-mapfile_scope_save\n"

        "	.p2align 6\n"
        "	.globl posix_run\n"
        "	.hidden posix_run\n"
        "	.type posix_run, @function\n"
        "posix_run:\n"
        "	.cfi_startproc\n" ENTRY SAVE "	movq %rsp, 48+" IN_SCOPE_TEXT "(%rdi)\n"
        "	movl $" SIZE_RUN_TEXT ", (%rdi)\n"
        "	subq $8, %rsp\n"
        "	.cfi_adjust_cfa_offset 8\n"
        "	movq %rdx, %rdi\n"
        "	call *%rsi\n"
        "	addq $8, %rsp\n"
        "	.cfi_adjust_cfa_offset -8\n"
        "	xorl %edx, %edx\n"
        "	ret\n"
        "	.cfi_endproc\n"
        "	.size posix_run, .-posix_run\n"

        "	.p2align 4\n"
        "	.globl posix_go_on\n"
        "	.hidden posix_go_on\n"
        "	.type posix_go_on, @function\n"
        "posix_go_on:\n"
        "	.cfi_startproc\n"
        "	.cfi_undefined rip\n" ENTRY RESTORE_SHADOW "	movq (%rdi), %rbx\n"
        "	movq 8(%rdi), %rbp\n"
        "	movq 16(%rdi), %r12\n"
        "	movq 24(%rdi), %r13\n"
        "	movq 32(%rdi), %r14\n"
        "	movq 40(%rdi), %r15\n"
        "	movq 48(%rdi), %rsp\n"
        "	addq $8, %rsp\n"
        "	movl $1, %eax\n"
        "	movl %eax, %edx\n" JUMP "*%rsi\n"
        "	.cfi_endproc\n"
        "	.size posix_go_on, .-posix_go_on\n");

static uintptr_t place_to_go_on(mapfile_scope *scope) {
  const uintptr_t *registers = (const uintptr_t *)scope->registers;
#if OS_HAS_TRY
  if (scope->size == OS_SIZE_TRY)
    return posix_try_place(scope);
#endif
  return scope->size == OS_SIZE_RUN ? *(const uintptr_t *)registers[AT_STACK] : registers[AT_PLACE];
}

#elif defined(__aarch64__)

/* In a scope: x19 to x30, the lower halves of v8 to v15, the stack pointer. */
_Static_assert(sizeof(mapfile_registers) >= 21 * sizeof(uintptr_t), "there is room for the registers");
enum { AT_PLACE = 11 };

/* Where the processor may check where calls lead, this marks a place for them; elsewhere it does nothing. */
#define ENTRY "	hint #34\n"

#define SAVE                              \
  "	add x9, x0, #" IN_SCOPE_TEXT "\n" \
  "	mov x10, sp\n"                        \
  "	stp x19, x20, [x9]\n"                 \
  "	stp x21, x22, [x9, #16]\n"            \
  "	stp x23, x24, [x9, #32]\n"            \
  "	stp x25, x26, [x9, #48]\n"            \
  "	stp x27, x28, [x9, #64]\n"            \
  "	stp x29, x30, [x9, #80]\n"            \
  "	stp d8, d9, [x9, #96]\n"              \
  "	stp d10, d11, [x9, #112]\n"           \
  "	stp d12, d13, [x9, #128]\n"           \
  "	stp d14, d15, [x9, #144]\n"           \
  "	str x10, [x9, #160]\n"

__asm__(".text\n"
        "	.p2align 4\n"
        "	.globl mapfile_scope_save\n"
        "	.type mapfile_scope_save, %function\n"
        "	.hidden mf_scope_enter_saved\n"
        "mapfile_scope_save:\n"
        "	.cfi_startproc\n" ENTRY SAVE "	b mf_scope_enter_saved\n"
        "	.cfi_endproc\n"
        "	.size mapfile_scope_save, .-mapfile_scope_save\n"

        "	.p2align 4\n"
        "	.globl posix_run\n"
        "	.hidden posix_run\n"
        "	.type posix_run, %function\n"
        "posix_run:\n"
        "	.cfi_startproc\n" ENTRY SAVE "	mov w9, #" SIZE_RUN_TEXT "\n"
        "	str w9, [x0]\n"
        "	stp x29, x30, [sp, #-16]!\n"
        "	.cfi_adjust_cfa_offset 16\n"
        "	.cfi_rel_offset x29, 0\n"
        "	.cfi_rel_offset x30, 8\n"
        "	mov x29, sp\n"
        "	mov x0, x2\n"
        "	blr x1\n"
        "	ldp x29, x30, [sp], #16\n"
        "	.cfi_restore x29\n"
        "	.cfi_restore x30\n"
        "	.cfi_adjust_cfa_offset -16\n"
        "	mov x1, #0\n"
        "	ret\n"
        "	.cfi_endproc\n"
        "	.size posix_run, .-posix_run\n"

        "	.p2align 4\n"
        "	.globl posix_go_on\n"
        "	.hidden posix_go_on\n"
        "	.type posix_go_on, %function\n"
        "posix_go_on:\n"
        "	.cfi_startproc\n"
        "	.cfi_undefined x30\n" ENTRY "	ldp x19, x20, [x0]\n"
        "	ldp x21, x22, [x0, #16]\n"
        "	ldp x23, x24, [x0, #32]\n"
        "	ldp x25, x26, [x0, #48]\n"
        "	ldp x27, x28, [x0, #64]\n"
        "	ldp x29, x30, [x0, #80]\n"
        "	ldp d8, d9, [x0, #96]\n"
        "	ldp d10, d11, [x0, #112]\n"
        "	ldp d12, d13, [x0, #128]\n"
        "	ldp d14, d15, [x0, #144]\n"
        "	ldr x10, [x0, #160]\n"
        "	mov sp, x10\n"
        "	mov x9, x1\n"
        "	mov x0, #1\n"
        "	mov x1, #1\n"
        "	ret x9\n"
        "	.cfi_endproc\n"
        "	.size posix_go_on, .-posix_go_on\n");

static uintptr_t place_to_go_on(mapfile_scope *scope) {
  return ((const uintptr_t *)scope->registers)[AT_PLACE];
}

#endif

/* Tells AddressSanitizer what longjmp would tell it: the frames in between are gone. */
#pragma weak __asan_handle_no_return
void __asan_handle_no_return(void);

_Noreturn void posix_go_on(const void *registers, uintptr_t place);

_Noreturn void os_land(mapfile_scope *scope) {
  if (scope->size == OS_SIZE_SETJMP)
    longjmp(scope->registers, 1);
  if (__asan_handle_no_return != NULL)
    __asan_handle_no_return();
  posix_go_on(scope->registers, place_to_go_on(scope));
}

#endif
