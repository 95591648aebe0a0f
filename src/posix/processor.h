/*
 * posix/processor.h - what of an interrupted context differs by processor: the stack pointer, whether the access was a
 * write, and how to make the thread go on in a function of ours.
 *
 * SPDX-License-Identifier: MIT
 *
 * A landing pad is used where the whole state that the ABI prescribes at a function's entry is known: x86-64 and
 * aarch64 on Linux. Elsewhere the handler jumps out by itself, which leaves that state to the C library's longjmp.
 * Everything here runs in the signal handler.
 */
#ifndef MF_POSIX_PROCESSOR_H
#define MF_POSIX_PROCESSOR_H

#include "../os.h"

#include <string.h>
#include <ucontext.h>
#if defined(__x86_64__) || defined(__i386__)
#include <x86intrin.h>
#endif

typedef void (*processor_landing)(void *argument);

#if defined(__linux__) && defined(__x86_64__) && !defined(__ILP32__)

#define PROCESSOR_HAS_LANDING 1

static inline uintptr_t processor_stack_pointer(const ucontext_t *context) {
  return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
}

static inline uint32_t processor_access(const ucontext_t *context) {
  /* Bit 1 of the page fault's error code. */
  return (context->uc_mcontext.gregs[REG_ERR] & 2) != 0 ? MAPFILE_FAULT_WRITE : MAPFILE_FAULT_READ;
}

static inline void processor_land(ucontext_t *context, processor_landing landing, void *argument) {
  const greg_t direction_flag = 0x400, alignment_flag = 0x40000;
  greg_t *registers = context->uc_mcontext.gregs;
  uintptr_t stack = (uintptr_t)registers[REG_RSP];
  /* As a call leaves it: 16-byte aligned, less the return address. What a leaf function may keep below its stack
     pointer need not be spared: that frame is given up. */
  registers[REG_RSP] = (greg_t)((stack & ~(uintptr_t)15) - sizeof(void *));
  registers[REG_RDI] = (greg_t)(uintptr_t)argument;
  registers[REG_RIP] = (greg_t)(uintptr_t)landing;
  /* The ABI wants both clear on entry to a function; the interrupted code may have been between std and cld. */
  registers[REG_EFL] &= ~(direction_flag | alignment_flag);
}

/* First thing on the landing pad: empty the x87 register stack, which the interrupted expression may have half filled;
   eight such recoveries would leave no room in it and every sum a NaN. */
static inline void processor_clean(void) {
  __asm__ volatile("emms" ::: "memory");
}

#elif defined(__linux__) && defined(__aarch64__)

#define PROCESSOR_HAS_LANDING 1

static inline uintptr_t processor_stack_pointer(const ucontext_t *context) {
  return (uintptr_t)context->uc_mcontext.sp;
}

static inline uint32_t processor_access(const ucontext_t *context) {
  /* The kernel adds records to the context; the one with the exception syndrome has the write bit. */
  const uint32_t syndrome_magic = 0x45535201, write_bit = 1u << 6;
  const unsigned char *at = (const unsigned char *)context->uc_mcontext.__reserved;
  const unsigned char *end = at + sizeof context->uc_mcontext.__reserved;
  while (end - at >= 16) {
    const uint32_t *record = (const uint32_t *)(const void *)at;
    if (record[0] == 0 || record[1] < 8 || record[1] > (size_t)(end - at))
      break;
    if (record[0] == syndrome_magic)
      return (record[2] & write_bit) != 0 ? MAPFILE_FAULT_WRITE : MAPFILE_FAULT_READ;
    at += record[1];
  }
  return MAPFILE_FAULT_UNKNOWN;
}

static inline void processor_land(ucontext_t *context, processor_landing landing, void *argument) {
  /* BTYPE says how the last branch was made; the landing pad is not reached by one. */
  const uint64_t branch_type = UINT64_C(3) << 10;
  context->uc_mcontext.sp = context->uc_mcontext.sp & ~UINT64_C(15);
  context->uc_mcontext.regs[0] = (uintptr_t)argument;
  context->uc_mcontext.pc = (uintptr_t)landing;
  context->uc_mcontext.pstate &= ~branch_type;
}

static inline void processor_clean(void) {
}

#else

#define PROCESSOR_HAS_LANDING 0

static inline uint32_t processor_access(const ucontext_t *context) {
#if defined(__linux__) && (defined(__i386__) || defined(__x86_64__))
  return (context->uc_mcontext.gregs[REG_ERR] & 2) != 0 ? MAPFILE_FAULT_WRITE : MAPFILE_FAULT_READ;
#elif defined(__linux__) && defined(__arm__)
  /* Where the trap is 14 the error code is the fault status register, whose bit 11 says that it was a write. */
  if (context->uc_mcontext.trap_no != 14)
    return MAPFILE_FAULT_UNKNOWN;
  return (context->uc_mcontext.error_code & (1u << 11)) != 0 ? MAPFILE_FAULT_WRITE : MAPFILE_FAULT_READ;
#elif defined(__linux__) && defined(__powerpc64__)
  /* After a data storage interrupt bit 25 of DSISR says that it was a store. */
  enum { TRAP = 40, DSISR = 42, DATA_STORAGE = 0x300 };
  if ((context->uc_mcontext.gp_regs[TRAP] & ~0xfUL) != DATA_STORAGE)
    return MAPFILE_FAULT_UNKNOWN;
  return (context->uc_mcontext.gp_regs[DSISR] & (1UL << 25)) != 0 ? MAPFILE_FAULT_WRITE : MAPFILE_FAULT_READ;
#else
  (void)context;
  return MAPFILE_FAULT_UNKNOWN;
#endif
}

/* 0 where it is not known: scopes are then told alive by their marks alone. */
static inline uintptr_t processor_stack_pointer(const ucontext_t *context) {
#if defined(__linux__) && defined(__i386__)
  return (uintptr_t)context->uc_mcontext.gregs[REG_ESP];
#elif defined(__linux__) && defined(__x86_64__)
  return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__linux__) && defined(__arm__)
  return (uintptr_t)context->uc_mcontext.arm_sp;
#elif defined(__linux__) && defined(__powerpc64__)
  return (uintptr_t)context->uc_mcontext.gp_regs[1];
#elif defined(__linux__) && defined(__s390__)
  return (uintptr_t)context->uc_mcontext.gregs[15];
#elif defined(__linux__) && defined(__riscv)
  return (uintptr_t)context->uc_mcontext.__gregs[2];
#else
  (void)context;
  return 0;
#endif
}

#endif

/* The kernel gives a handler the processor's usual floating-point modes on x86 and powerpc (rounding, precision, traps)
   and no exception flags, where the ABI has a function keep its caller's: a jump out of the handler must put back those
   of the interrupted code. The other processors' modes stay as they are. */
#if defined(__linux__) && (defined(__x86_64__) || defined(__i386__))

/* The register stack stays empty, as the handler has it. A flag whose trap is on would be an exception at the next
   instruction, so those are left out; the code they are from has taken it already. */
static inline void processor_restore_x87(uint16_t control, uint16_t status) {
  const uint32_t flags = 0x3f;
  uint32_t environment[7];
  __asm__ volatile("fnstenv %0" : "=m"(environment));
  environment[0] = (environment[0] & 0xffff0000u) | control;
  environment[1] = (environment[1] & ~flags) | (status & control & flags);
  __asm__ volatile("fldenv %0" ::"m"(environment));
}

/* A handler begins with the alignment flag of the code it interrupts. */
static inline void processor_clear_alignment(void) {
#ifdef __x86_64__
  __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~UINT64_C(0x40000));
#else
  __builtin_ia32_writeeflags_u32(__builtin_ia32_readeflags_u32() & ~0x40000u);
#endif
}

#endif

#if defined(__linux__) && defined(__x86_64__)

static inline void processor_restore_modes(const ucontext_t *context) {
  processor_clear_alignment();
  if (context->uc_mcontext.fpregs == NULL)
    return;
  uint32_t vector_control = context->uc_mcontext.fpregs->mxcsr;
  __asm__ volatile("ldmxcsr %0" ::"m"(vector_control));
  processor_restore_x87((uint16_t)context->uc_mcontext.fpregs->cwd, (uint16_t)context->uc_mcontext.fpregs->swd);
}

#elif defined(__linux__) && defined(__i386__)

static inline void processor_restore_modes(const ucontext_t *context) {
  /* What the C library declares is followed by what came with SSE, if the upper half of status is 0. */
  struct state {
    uint32_t control, flags, others[5];
    uint16_t registers[8][5];
    uint32_t status, environment[6], vector_control;
  } const *state = (const void *)context->uc_mcontext.fpregs;
  processor_clear_alignment();
  if (state == NULL)
    return;
  processor_restore_x87((uint16_t)state->control, (uint16_t)state->flags);
  if (state->status >> 16 == 0 && __builtin_cpu_supports("sse")) {
    uint32_t vector_control = state->vector_control;
    __asm__ volatile("ldmxcsr %0" ::"m"(vector_control));
  }
}

#elif defined(__linux__) && defined(__powerpc64__)

static inline void processor_restore_modes(const ucontext_t *context) {
  /* The register comes after the 32 of numbers. A flag whose trap is on would be an exception at once. */
  const uint64_t invalid_trap = 0x80, invalid_flags = 0x01f80700, other_traps = 0x78;
  double control;
  uint64_t bits;
  memcpy(&bits, &context->uc_mcontext.fp_regs[32], sizeof bits);
  if ((bits & invalid_trap) != 0)
    bits &= ~invalid_flags;
  bits &= ~((bits & other_traps) << 22);
  memcpy(&control, &bits, sizeof control);
#ifdef _ARCH_PWR6
  /* All 64 bits, with the mode of decimal numbers. */
  __asm__ volatile("mtfsf 255,%0,1,0" ::"d"(control));
#else
  __asm__ volatile("mtfsf 255,%0" ::"d"(control));
#endif
}

#else

static inline void processor_restore_modes(const ucontext_t *context) {
  (void)context;
}

#endif

/* First thing in the handler: code that checks its own alignment may have been interrupted, and the kernel leaves that
   check on; our code, and the C library's, is not written for it. */
static inline void processor_begin_handler(void) {
#if defined(__x86_64__) || defined(__i386__)
  if ((__readeflags() & 0x40000u) != 0)
    __writeeflags(__readeflags() & ~0x40000u);
#endif
}

/* MF_RECOVERY_JUMP: jump from the handler even where a landing pad is possible. */
#if defined(MF_RECOVERY_JUMP) || !PROCESSOR_HAS_LANDING
#define MF_USE_LANDING 0
#else
#define MF_USE_LANDING 1
#endif

#endif
