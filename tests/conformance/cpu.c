/*
 * cpu.c - fault-cpu-state: after a recovery the processor is as the ABI demands.
 *
 * SPDX-License-Identifier: MIT
 *
 * Only x86 has state that a jump out of the middle of a function leaves wrong: the x87 register stack, the direction
 * flag and the alignment flag. What the program set itself, the rounding mode, must stay everywhere.
 */
#include "conformance.h"

#include <fenv.h>
#include <math.h>
#include <string.h>

/* Sums of long double numbers: NaN where the x87 stack has no room. */
static __attribute__((noinline)) long double add_up(const volatile long double *numbers) {
  long double sum = 0;
  for (int i = 0; i < 8; i++)
    sum += numbers[i] * (numbers[7 - i] + (numbers[i] - numbers[(i + 3) % 8]) * (numbers[i] + 1));
  return sum;
}

static void expect_sums_right(void) {
  static const volatile long double numbers[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  long double sum = add_up(numbers);
  EXPECT(sum == sum);
  EXPECT(sum == 760.0L);
}

static void expect_exhausted(conf_damaged *one, mapfile_body body, int times) {
  conf_touch touch = {one->data + one->bad + 1, 0, 0};
  for (int i = 0; i < times; i++) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    EXPECT_STATUS(mapfile_try(one->file, &one->view, body, &touch, &fault), MAPFILE_UNKNOWN);
    EXPECT_UINT(fault.offset, one->bad + 1);
    expect_sums_right();
  }
  EXPECT_UINT(touch.reached, 0);
}

/* A fault in the midst of an expression. */
static mapfile_status MAPFILE_CALL expression_body(void *argument) {
  conf_touch *touch = argument;
  volatile long double a = 1.5L, b = 2.5L, c = 3.5L;
  volatile long double sum = a * b + (b * c + (c * a + (long double)conf_load(touch->at) * (a + b)));
  touch->reached += sum > 0;
  return MAPFILE_OK;
}

static void state_expression(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  expect_sums_right();
  expect_exhausted(&one, expression_body, 40);
  conf_undamage(&one);
}

#if CONF_X86

/* With all eight registers of the x87 stack in use. */
static mapfile_status MAPFILE_CALL x87_body(void *argument) {
  conf_touch *touch = argument;
  __asm__ volatile("fld1\n\tfld1\n\tfld1\n\tfld1\n\tfld1\n\tfld1\n\tfld1\n\tfld1\n\t"
                   "testb $1, (%0)\n\t"
                   "fstp %%st(0)\n\tfstp %%st(0)\n\tfstp %%st(0)\n\tfstp %%st(0)\n\t"
                   "fstp %%st(0)\n\tfstp %%st(0)\n\tfstp %%st(0)\n\tfstp %%st(0)"
                   :
                   : "r"(touch->at)
                   : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "cc", "memory");
  touch->reached++;
  return MAPFILE_OK;
}

/* With one register more in use at each recovery: eight of them leave no room. */
static mapfile_status MAPFILE_CALL x87_one_body(void *argument) {
  conf_touch *touch = argument;
  __asm__ volatile("fldpi\n\ttestb $1, (%0)\n\tfstp %%st(0)" : : "r"(touch->at) : "st", "cc", "memory");
  touch->reached++;
  return MAPFILE_OK;
}

/* MMX marks all x87 registers as used, until emms. */
static mapfile_status MAPFILE_CALL mmx_body(void *argument) {
  conf_touch *touch = argument;
  __asm__ volatile("pxor %%mm0, %%mm0\n\ttestb $1, (%0)\n\temms"
                   :
                   : "r"(touch->at)
                   : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "cc", "memory");
  touch->reached++;
  return MAPFILE_OK;
}

static void state_x87(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  expect_exhausted(&one, x87_body, 20);
  expect_exhausted(&one, x87_one_body, 40);
  expect_exhausted(&one, mmx_body, 20);
  conf_undamage(&one);
}

static uintptr_t read_flags(void) {
#if defined(__x86_64__)
  return (uintptr_t)__builtin_ia32_readeflags_u64();
#else
  return (uintptr_t)__builtin_ia32_readeflags_u32();
#endif
}

enum { DIRECTION_FLAG = 0x400, ALIGNMENT_FLAG = 0x40000 };

static mapfile_status MAPFILE_CALL direction_body(void *argument) {
  conf_touch *touch = argument;
  __asm__ volatile("std\n\ttestb $1, (%0)\n\tcld" : : "r"(touch->at) : "cc", "memory");
  touch->reached++;
  return MAPFILE_OK;
}

/* With the direction flag left set, memmove and rep stos run backwards over what is not theirs. */
static void state_direction(void) {
  conf_damaged one;
  unsigned char before[64], after[64];
  conf_not_under_valgrind("does not let a handler change the flags");
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int i = 0; i < 20; i++) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    conf_touch touch = {one.data + one.bad + 1, 0, 0};
    mapfile_status status = mapfile_try(one.file, &one.view, direction_body, &touch, &fault);
    uintptr_t flags = read_flags();
    unsigned char *to = after;
    uintptr_t count = sizeof after;
    memset(before, 0, sizeof before);
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(7) : "memory");
    __asm__ volatile("cld");
    EXPECT_STATUS(status, MAPFILE_UNKNOWN);
    EXPECT((flags & DIRECTION_FLAG) == 0);
    EXPECT(after[0] == 7 && after[63] == 7 && conf_is_zero(before, sizeof before));
  }
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

/* Set by hand, because a compiler moves code between two statements. The red zone is stepped over. */
static mapfile_status MAPFILE_CALL alignment_body(void *argument) {
  conf_touch *touch = argument;
#if defined(__x86_64__)
  __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x40000, (%%rsp)\n\tpopfq\n\t"
                   "testb $1, (%0)\n\t"
                   "pushfq\n\tandq $~0x40000, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp"
                   :
                   : "r"(touch->at)
                   : "cc", "memory");
#else
  __asm__ volatile("pushfl\n\torl $0x40000, (%%esp)\n\tpopfl\n\t"
                   "testb $1, (%0)\n\t"
                   "pushfl\n\tandl $~0x40000, (%%esp)\n\tpopfl"
                   :
                   : "r"(touch->at)
                   : "cc", "memory");
#endif
  touch->reached++;
  return MAPFILE_OK;
}

/* With the alignment flag left set, the next unaligned load is a fault. */
static void state_alignment(void) {
  conf_damaged one;
  if (!conf_bears_alignment_flag())
    conf_not_testable("the system, or what watches over the program, makes unaligned accesses of its own");
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_recovery(&one);
  for (int i = 0; i < 20; i++) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    conf_touch touch = {one.data + one.bad + 1, 0, 0};
    mapfile_status status = mapfile_try(one.file, &one.view, alignment_body, &touch, &fault);
    uintptr_t flags = read_flags();
    EXPECT_STATUS(status, MAPFILE_UNKNOWN);
    EXPECT((flags & ALIGNMENT_FLAG) == 0);
  }
  conf_expect_recovery(&one);
  conf_undamage(&one);
}

#else

static void state_x87(void) {
  conf_not_testable("this processor has no such state");
}

static void state_direction(void) {
  conf_not_testable("this processor has no such state");
}

static void state_alignment(void) {
  conf_not_testable("this processor has no such state");
}

#endif

/* The way numbers are rounded is the program's; cleaning up must not set it back. */
static void state_rounding(void) {
  static const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO, FE_TONEAREST};
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int i = 0; i < 4; i++) {
    if (fesetround(modes[i]) != 0)
      continue;
    volatile double third = 1.0;
    volatile long double long_third = 1.0L;
    /* Stored each time: the x87 would compare a rounded number with one that is longer. */
    volatile double divided = third / 3, again;
    volatile long double long_divided = long_third / 3, long_again;
    conf_expect_recovery(&one);
    EXPECT(fegetround() == modes[i]);
    again = third / 3;
    long_again = long_third / 3;
    EXPECT(again == divided);
    EXPECT(long_again == long_divided);
  }
  conf_undamage(&one);
}

/* Floating-point exceptions that the program asked to be told of. */
static void state_exceptions(void) {
  conf_damaged one;
  conf_not_under_valgrind("has no floating-point exceptions");
  conf_damage(&one, "file", 6, 3, conf_live());
  if (!conf_want_float_exceptions(true))
    conf_not_testable("the C library cannot enable floating-point exceptions");
  for (int i = 0; i < 20; i++) {
    conf_expect_recovery(&one);
    EXPECT(conf_wants_float_exceptions());
  }
  conf_want_float_exceptions(false);
  conf_undamage(&one);
}

static const conf_case table[] = {
    CONF_BOTH("fault-cpu-state", "expression", "After some faults floating-point sums are NaN.", state_expression),
    CONF_BOTH("fault-cpu-state", "x87", "After some faults floating-point sums are NaN.", state_x87),
    CONF_BOTH("fault-cpu-state", "direction", "After a fault copying runs backwards and destroys memory.",
              state_direction),
    CONF_BOTH("fault-cpu-state", "alignment", "After a fault unaligned accesses kill the program.", state_alignment),
    CONF_BOTH("fault-cpu-state", "rounding", "After a fault numbers are rounded differently.", state_rounding),
    CONF_BOTH("fault-cpu-state", "exceptions", "After a fault floating-point exceptions are set differently.",
              state_exceptions),
};

CONF_GROUP(conf_processor, "processor state");
