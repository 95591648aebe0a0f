/*
 * exceptions.c - the promises about exceptions: which are left to others, and living with other handlers.
 *
 * SPDX-License-Identifier: MIT
 */
#include "inner.h"

#include <stdlib.h>
#include <string.h>

/* What a scope's fault is told as. */
static DWORD fault_code(void) {
  return conf_running->faults == CONF_IN_PAGE ? EXCEPTION_IN_PAGE_ERROR : EXCEPTION_ACCESS_VIOLATION;
}

/* In place, the way that was taken: 1 its end, 2 CATCH. */
static __attribute__((noinline)) int touch_in_place(mapfile *file, const mapfile_view *view, const void *at,
                                                    mapfile_fault *fault) {
  volatile int way = 0;
  MAPFILE_TRY(file, view, fault) {
    conf_load(at);
    way = 1;
  }
  MAPFILE_CATCH {
    way = 2;
  }
  MAPFILE_END_TRY
  return way;
}

/* A fault for each form of scope. */
static void recover(const conf_damaged *one) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  const unsigned char *at = one->data + one->bad + 3;
  conf_expect_recovery(one);
  EXPECT_UINT(touch_in_place(one->file, &one->view, at, &fault), 2);
  EXPECT_RECORD(&fault, one->file, at, one->bad + 3, MAPFILE_FAULT_READ);
  EXPECT_UINT(touch_in_place(one->file, NULL, one->data, &fault), 1);
}

/* Vectored handlers of others */

static struct seen {
  volatile LONG calls;
  volatile DWORD code;
  volatile uintptr_t address, program_counter;
} seen;

static uintptr_t program_counter_of(const CONTEXT *context) {
#if defined(_WIN64)
  return (uintptr_t)context->Rip;
#else
  return (uintptr_t)context->Eip;
#endif
}

static void note(const EXCEPTION_POINTERS *pointers) {
  const EXCEPTION_RECORD *record = pointers->ExceptionRecord;
  seen.calls++;
  seen.code = record->ExceptionCode;
  seen.address = record->NumberParameters > 1 ? record->ExceptionInformation[1] : 0;
  seen.program_counter = program_counter_of(pointers->ContextRecord);
}

static bool is_fault(const EXCEPTION_POINTERS *pointers) {
  DWORD code = pointers->ExceptionRecord->ExceptionCode;
  return code == EXCEPTION_ACCESS_VIOLATION || code == EXCEPTION_IN_PAGE_ERROR;
}

/* Only looks on. */
static volatile LONG looks;

static LONG CALLBACK looking(EXCEPTION_POINTERS *pointers) {
  if (is_fault(pointers))
    looks++;
  return EXCEPTION_CONTINUE_SEARCH;
}

/* Mends what is its own, and nothing else. */
static const unsigned char *volatile to_mend;

static LONG CALLBACK mending(EXCEPTION_POINTERS *pointers) {
  if (!is_fault(pointers) || to_mend == NULL ||
      pointers->ExceptionRecord->ExceptionInformation[1] - (uintptr_t)to_mend >= conf_page)
    return EXCEPTION_CONTINUE_SEARCH;
  note(pointers);
  conf_allow(to_mend);
  return EXCEPTION_CONTINUE_EXECUTION;
}

/* Foreign faults, in scopes of both forms and outside, reach the handler that mends. */
static void touch_foreign(conf_damaged *one) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  unsigned char *page = conf_foreign_page("foreign");
  LONG before = seen.calls;
  conf_touch touch = {page + 7, 0, 0};
  to_mend = page;
  EXPECT_STATUS(mapfile_try(one->file, NULL, conf_touch_body, &touch, &fault), MAPFILE_OK);
  EXPECT_UINT(touch.reached, 1);
  EXPECT(seen.address == (uintptr_t)page + 7);
  conf_forbid(page);
  EXPECT_UINT(touch_in_place(one->file, &one->view, page + 8, &fault), 1);
  EXPECT(seen.address == (uintptr_t)page + 8);
  conf_forbid(page);
  conf_load(page + 9);
  EXPECT(seen.address == (uintptr_t)page + 9);
  EXPECT_UINT(seen.code, fault_code());
  EXPECT_UINT(seen.calls, before + 3);
  to_mend = NULL;
  VirtualFree(page, 0, MEM_RELEASE);
}

static void order_before(void) {
  conf_damaged one;
  void *handler = AddVectoredExceptionHandler(1, mending);
  EXPECT(handler != NULL);
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int i = 0; i < 30; i++) {
    recover(&one);
    touch_foreign(&one);
  }
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_OK);
  conf_undamage(&one);
}

static void order_after(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  recover(&one);
  void *first = AddVectoredExceptionHandler(1, mending);
  EXPECT(first != NULL);
  for (int i = 0; i < 30; i++) {
    recover(&one);
    touch_foreign(&one);
  }
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_OK);
  /* It goes again, and one comes at the end of the line. */
  EXPECT(RemoveVectoredExceptionHandler(first) != 0);
  recover(&one);
  EXPECT(AddVectoredExceptionHandler(0, mending) != NULL);
  for (int i = 0; i < 30; i++) {
    recover(&one);
    touch_foreign(&one);
  }
  conf_undamage(&one);
}

/* One that looks on sees each fault once, before the library's takes it. */
static void order_looking(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  recover(&one);
  EXPECT(AddVectoredExceptionHandler(1, looking) != NULL);
  for (int i = 1; i <= 30; i++) {
    recover(&one);
    EXPECT_UINT(looks, 3 * i);
  }
  conf_undamage(&one);
}

static void order_rearmed(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  EXPECT(AddVectoredExceptionHandler(1, mending) != NULL);
  for (int i = 0; i < 30; i++) {
    EXPECT_STATUS(mapfile_handler_rearm(), MAPFILE_OK);
    EXPECT_STATUS(mapfile_handler_check(), MAPFILE_OK);
    if (i % 3 == 1)
      EXPECT(AddVectoredExceptionHandler(1, looking) != NULL);
    recover(&one);
    touch_foreign(&one);
  }
  conf_undamage(&one);
}

/* Those that are asked after somebody has taken an exception. */
static LONG CALLBACK going_on(EXCEPTION_POINTERS *pointers) {
  (void)pointers;
  return EXCEPTION_CONTINUE_SEARCH;
}

static void order_continue(void) {
  conf_damaged one;
  EXPECT(AddVectoredContinueHandler(1, going_on) != NULL);
  EXPECT(AddVectoredExceptionHandler(0, mending) != NULL);
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int i = 0; i < 30; i++) {
    recover(&one);
    touch_foreign(&one);
  }
  conf_undamage(&one);
}

/* The last of all: asked for what nobody else has taken. */
static LONG WINAPI mending_last(EXCEPTION_POINTERS *pointers) {
  return mending(pointers);
}

static void order_unhandled(void) {
  conf_damaged one;
  SetUnhandledExceptionFilter(mending_last);
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int i = 0; i < 10; i++) {
    recover(&one);
    touch_foreign(&one);
  }
  conf_undamage(&one);
}

/* The exception and the context that others are given are the original ones: a handler can go on behind the load. */

__asm__(".text\n"
#if defined(_WIN64)
        ".globl exceptions_load\nexceptions_load:\n.globl exceptions_load_at\nexceptions_load_at:\n"
        "	movzbl (%rcx), %eax\n.globl exceptions_load_skip\nexceptions_load_skip:\n	ret\n"
#else
        ".globl _exceptions_load\n_exceptions_load:\n	movl 4(%esp), %ecx\n"
        ".globl _exceptions_load_at\n_exceptions_load_at:\n"
        "	movzbl (%ecx), %eax\n.globl _exceptions_load_skip\n_exceptions_load_skip:\n	ret\n"
#endif
);
unsigned exceptions_load(const void *at);
extern const char exceptions_load_at[], exceptions_load_skip[];

static LONG CALLBACK skipping(EXCEPTION_POINTERS *pointers) {
  if (!is_fault(pointers) || program_counter_of(pointers->ContextRecord) != (uintptr_t)exceptions_load_at)
    return EXCEPTION_CONTINUE_SEARCH;
  note(pointers);
#if defined(_WIN64)
  pointers->ContextRecord->Rip = (DWORD64)(uintptr_t)exceptions_load_skip;
  pointers->ContextRecord->Rax = 0x5a5;
#else
  pointers->ContextRecord->Eip = (DWORD)(uintptr_t)exceptions_load_skip;
  pointers->ContextRecord->Eax = 0x5a5;
#endif
  return EXCEPTION_CONTINUE_EXECUTION;
}

static mapfile_status MAPFILE_CALL load_skipped(void *argument) {
  conf_touch *touch = argument;
  touch->value = exceptions_load(touch->at);
  touch->reached++;
  return MAPFILE_OK;
}

static void range_original(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  EXPECT(AddVectoredExceptionHandler(0, skipping) != NULL);
  conf_touch touch = {conf_foreign_page("foreign") + 45, 0, 0};
  for (int i = 0; i < 50; i++) {
    recover(&one);
    EXPECT_STATUS(mapfile_try(one.file, NULL, load_skipped, &touch, NULL), MAPFILE_OK);
    EXPECT_UINT(touch.value, 0x5a5);
    EXPECT_UINT(touch.reached, i + 1);
    EXPECT_UINT(seen.calls, i + 1);
    EXPECT(seen.address == (uintptr_t)touch.at);
    EXPECT_UINT(seen.code, fault_code());
    EXPECT_UINT(seen.program_counter, (uintptr_t)exceptions_load_at);
  }
  conf_undamage(&one);
}

/* A view is a foreign address too once no scope covers it. */
static void range_to_previous(void) {
  conf_damaged one;
  EXPECT(AddVectoredExceptionHandler(1, skipping) != NULL);
  conf_damage(&one, "file", 6, 3, conf_live());
  recover(&one);
  EXPECT_UINT(seen.calls, 0);
  EXPECT_UINT(exceptions_load(one.data + one.bad + 5), 0x5a5);
  EXPECT_UINT(seen.calls, 1);
  EXPECT(seen.address == (uintptr_t)one.data + one.bad + 5);
  conf_expect_fault(one.file, &one.view, one.data + one.bad + conf_page, one.bad + conf_page);
  EXPECT_UINT(seen.calls, 1);
  conf_undamage(&one);
}

/* Faults that are no file's are nobody's business here. */

static void touch_nothing(void *argument) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  (void)argument;
  conf_damage(&one, "file", 6, 3, conf_live());
  recover(&one);
  conf_touch touch = {conf_die_at((const void *)0x10), 0, 0};
  mapfile_try(one.file, NULL, conf_touch_body, &touch, &fault);
}

static void touch_nothing_in_place(void *argument) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  (void)argument;
  conf_damage(&one, "file", 6, 3, conf_live());
  recover(&one);
  touch_in_place(one.file, NULL, conf_die_at((const void *)0x10), &fault);
}

static mapfile_status MAPFILE_CALL store_body(void *argument) {
  conf_store(argument, 1);
  return MAPFILE_OK;
}

/* A store into a read-only view is the program's mistake, which it has not asked to be told of. */
static void store_read_only(void *argument) {
  mapfile *file = conf_open(conf_make("file", 3 * conf_page), 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  (void)argument;
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view);
  conf_expect_good(file, &view, view.data);
  void *at = (char *)view.data + 77;
  conf_die_at(at);
  mapfile_try(file, &view, store_body, at, NULL);
}

/* So is a call into a view, also where reading there is made good. Not on 32 bits, where a system may allow it. */
#if defined(_WIN64)
static void call_filled(void *argument) {
  mapfile *file = conf_open(conf_make("file", 3 * conf_page), 0);
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_scope scope;
  (void)argument;
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL, &view);
  MAPFILE_SCOPE_INIT(&scope);
  EXPECT_STATUS(mapfile_scope_begin(&scope, file, &view), MAPFILE_OK);
  ((void (*)(void))(uintptr_t)conf_die_at((const char *)view.data + 77))();
}

static void range_called(void) {
  conf_expect_kills(call_filled, NULL);
}
#endif

static void range_nothing(void) {
  conf_expect_kills(touch_nothing, NULL);
  conf_expect_kills(touch_nothing_in_place, NULL);
}

static void range_read_only(void) {
  conf_expect_kills(store_read_only, NULL);
}

/* Exceptions of other kinds pass through scopes. */

#define OTHER_CODE 0xe0001234u

static LONG CALLBACK resuming(EXCEPTION_POINTERS *pointers) {
  if (pointers->ExceptionRecord->ExceptionCode != OTHER_CODE)
    return EXCEPTION_CONTINUE_SEARCH;
  note(pointers);
  return EXCEPTION_CONTINUE_EXECUTION;
}

static mapfile_status MAPFILE_CALL raise_other(void *argument) {
  const conf_damaged *one = argument;
  ULONG_PTR like_a_fault[2] = {0, (ULONG_PTR)one->data + (ULONG_PTR)one->bad};
  RaiseException(OTHER_CODE, 0, 2, like_a_fault);
  RaiseException(OTHER_CODE, 0, 0, NULL);
  /* Goes through the system as an exception as well. */
  OutputDebugStringA("mapfile-conformance: a word from within a scope\n");
  OutputDebugStringW(L"mapfile-conformance: and one in Unicode\n");
  return 1234;
}

static void range_other_kinds(void) {
  conf_damaged one;
  volatile int way = 0;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  EXPECT(AddVectoredExceptionHandler(0, resuming) != NULL);
  conf_damage(&one, "file", 6, 3, conf_live());
  recover(&one);
  for (int i = 1; i <= 10; i++) {
    EXPECT_STATUS(mapfile_try(one.file, NULL, raise_other, &one, &fault), 1234);
    EXPECT_STATUS(fault.status, MAPFILE_OK);
    MAPFILE_TRY(one.file, &one.view, &fault) {
      way = raise_other(&one);
    }
    MAPFILE_CATCH {
      way = 2;
    }
    MAPFILE_END_TRY
    EXPECT_UINT(way, 1234);
    EXPECT_UINT(seen.calls, 4 * i);
    recover(&one);
  }
  conf_undamage(&one);
}

/* Raised, not met: a file system filter or another library may do so. */

typedef struct raised {
  ULONG_PTR parameters[3];
  DWORD count;
} raised;

static mapfile_status MAPFILE_CALL raise_in_page(void *argument) {
  const raised *what = argument;
  RaiseException(EXCEPTION_IN_PAGE_ERROR, 0, what->count, what->parameters);
  return MAPFILE_OK;
}

static void expect_raised(const conf_damaged *one, const mapfile_fault *fault, uint64_t offset, DWORD code,
                          uint32_t access) {
  EXPECT_RECORD(fault, one->file, one->data + offset, offset, access);
  EXPECT_STATUS(fault->status, MAPFILE_UNKNOWN);
  EXPECT_UINT(fault->code, code);
  EXPECT_UINT(fault->signal, 0);
}

static __attribute__((noinline)) int raise_in_place(const conf_damaged *one, raised *what, mapfile_fault *fault) {
  volatile int way = 0;
  MAPFILE_TRY(one->file, NULL, fault) {
    raise_in_page(what);
    way = 1;
  }
  MAPFILE_CATCH {
    way = 2;
  }
  MAPFILE_END_TRY
  return way;
}

static void exact_raised(void) {
  static const DWORD codes[] = {CONF_DISK_STATUS, 0xc0000185u, 0xc000003fu, 0xc000020cu};
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  recover(&one);
  for (uint32_t i = 0; i < 40; i++) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    DWORD code = codes[i % 4];
    /* Good pages too: who raises says that they are bad. */
    uint64_t offset = (i * 1237u) % (one.size - one.bad) + (i % 3 == 0 ? 0 : one.bad);
    if (one.view.kind != MAPFILE_KIND_LIVE)
      offset = one.bad + offset % (one.size - one.bad);
    raised what = {{i % 2, (ULONG_PTR)one.data + (ULONG_PTR)offset, code}, 3};
    uint32_t access = i % 2 == 0 ? MAPFILE_FAULT_READ : MAPFILE_FAULT_WRITE;
    EXPECT_STATUS(mapfile_try(one.file, &one.view, raise_in_page, &what, &fault), MAPFILE_UNKNOWN);
    expect_raised(&one, &fault, offset, code, access);
    mapfile_fault again = MAPFILE_FAULT_INIT;
    EXPECT_UINT(raise_in_place(&one, &what, &again), 2);
    expect_raised(&one, &again, offset, code, access);
  }
  conf_undamage(&one);
}

/* What the record says of the exception. */
static void exact_raw(void) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 6, 3, conf_live());
  DWORD wanted = conf_running->faults == CONF_IN_PAGE ? CONF_DISK_STATUS : (DWORD)EXCEPTION_ACCESS_VIOLATION;
  for (int i = 0; i < 2; i++) {
    conf_touch touch = {one.data + one.bad + 2, 0, 0};
    if (i == 0)
      EXPECT_STATUS(mapfile_try(one.file, &one.view, conf_touch_body, &touch, &fault), MAPFILE_UNKNOWN);
    else
      EXPECT_UINT(touch_in_place(one.file, &one.view, touch.at, &fault), 2);
    EXPECT_UINT(fault.signal, 0);
    EXPECT_UINT(fault.code, wanted);
    EXPECT_UINT(fault.native_error, 0);
    EXPECT_UINT(fault.length, conf_page);
  }
  conf_undamage(&one);
}

/* The host owns the handlers. */

static volatile LONG host_calls, host_taken;

static LONG CALLBACK hosting(EXCEPTION_POINTERS *pointers) {
  host_calls++;
  if (mapfile_handle_exception(pointers)) {
    host_taken++;
    return EXCEPTION_CONTINUE_EXECUTION;
  }
  return mending(pointers);
}

static void order_host(void) {
  conf_damaged one;
  EXPECT_STATUS(mapfile_handler_configure(MAPFILE_HANDLER_HOST), MAPFILE_OK);
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_expect_good(one.file, &one.view, one.data);
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_UNSUPPORTED);
  EXPECT_STATUS(mapfile_handler_rearm(), MAPFILE_UNSUPPORTED);
  EXPECT_STATUS(mapfile_handler_configure(MAPFILE_HANDLER_HOST), MAPFILE_OK);
  EXPECT_STATUS(mapfile_handler_configure(0), MAPFILE_BUSY);
  EXPECT(AddVectoredExceptionHandler(1, hosting) != NULL);
  for (int i = 1; i <= 30; i++) {
    recover(&one);
    touch_foreign(&one);
  }
  EXPECT(host_calls > 0 && host_taken > 0);
  EXPECT_STATUS(mapfile_handler_check(), MAPFILE_UNSUPPORTED);
  EXPECT_UINT(mapfile_handle_signal(11, NULL, NULL), 0);
  conf_undamage(&one);
}

static mapfile_status MAPFILE_CALL do_nothing(void *argument) {
  (void)argument;
  return MAPFILE_OK;
}

/* A host that has not installed its handler yet: what is not taken kills, as without the library. */
static void fault_without_host(void *argument) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  (void)argument;
  EXPECT_STATUS(mapfile_handler_configure(MAPFILE_HANDLER_HOST), MAPFILE_OK);
  conf_damage(&one, "file", 6, 3, conf_live());
  EXPECT_STATUS(mapfile_try(one.file, &one.view, do_nothing, NULL, &fault), MAPFILE_OK);
  touch_in_place(one.file, NULL, conf_die_at(one.data + one.bad + 1), &fault);
}

static void order_host_absent(void) {
  conf_expect_kills(fault_without_host, NULL);
}

/* Foreign frames between a scope and a fault */

static void load_for_frame(void *argument) {
  conf_load(argument);
}

static mapfile_status MAPFILE_CALL run_inner(void *argument) {
  return inner_run(argument) ? 1001 : 1000;
}

static mapfile_status MAPFILE_CALL run_inner_compiled(void *argument) {
  return inner_run_compiled(argument) ? 1001 : 1000;
}

/* Frames of both kinds take turns. */
static mapfile_body inner_body(unsigned number) {
  return number % 3 == 0 ? run_inner_compiled : run_inner;
}

static inner_frame frame_over(const void *at, bool takes) {
  inner_frame frame = {.body = load_for_frame, .argument = (void *)(uintptr_t)at, .takes = takes};
  return frame;
}

/* Where a scope is no frame, the library is asked first. */
static void differs_without_frames(const inner_frame *frame) {
  if (sizeof(void *) < 8 && frame->asked == 0)
    conf_differs("scopes are no frames on 32-bit systems: frames within them are not asked");
}

static void inner_takes(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  recover(&one);
  for (unsigned i = 0; i < 30; i++) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    const unsigned char *at = one.data + one.bad + i;
    inner_frame frame = frame_over(at, true);
    mapfile_status status = mapfile_try(one.file, i % 2 == 0 ? &one.view : NULL, inner_body(i), &frame, &fault);
    differs_without_frames(&frame);
    EXPECT_STATUS(status, 1001);
    EXPECT_UINT(frame.asked, 1);
    EXPECT_UINT(frame.code, fault_code());
    EXPECT_UINT(frame.address, (uintptr_t)at);
    EXPECT_STATUS(fault.status, MAPFILE_OK);
    recover(&one);
  }
  conf_undamage(&one);
}

/* One that is asked and declines; then it is left, and cleans up, once. */
static void inner_declines(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  recover(&one);
  for (unsigned i = 0; i < 30; i++) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    const unsigned char *at = one.data + one.bad + i;
    inner_frame frame = frame_over(at, false);
    EXPECT_STATUS(mapfile_try(one.file, i % 2 == 0 ? &one.view : NULL, inner_body(i), &frame, &fault), MAPFILE_UNKNOWN);
    EXPECT_RECORD(&fault, one.file, at, one.bad + i, MAPFILE_FAULT_READ);
    differs_without_frames(&frame);
    EXPECT_UINT(frame.asked, 1);
    EXPECT_UINT(frame.address, (uintptr_t)at);
    EXPECT_UINT(frame.left, 1);
    recover(&one);
  }
  conf_undamage(&one);
}

/* A frame that takes a foreign fault over a scope: the scope is dead after it. */
static void scope_for_frame(void *argument) {
  conf_damaged *one = argument;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_touch touch = {to_mend, 0, 0};
  mapfile_try(one->file, NULL, conf_touch_body, &touch, &fault);
}

static void outer_takes(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  recover(&one);
  to_mend = conf_foreign_page("foreign");
  for (int i = 0; i < 30; i++) {
    inner_frame frame = {.body = scope_for_frame, .argument = &one, .takes = true};
    EXPECT(i % 3 == 0 ? inner_run_compiled(&frame) : inner_run(&frame));
    EXPECT_UINT(frame.asked, 1);
    EXPECT_UINT(frame.address, (uintptr_t)to_mend);
    recover(&one);
  }
  conf_undamage(&one);
}

/* Around it all: the scope within has the first word about its own faults. */
static void recover_for_frame(void *argument) {
  recover(argument);
}

static void outer_not_asked(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  for (int i = 0; i < 30; i++) {
    inner_frame frame = {.body = recover_for_frame, .argument = &one, .takes = true};
    EXPECT(!(i % 3 == 0 ? inner_run_compiled(&frame) : inner_run(&frame)));
    EXPECT_UINT(frame.asked, 0);
  }
  conf_undamage(&one);
}

/* Scopes of both forms within one another, any number, and a fault for each of them. */

typedef struct mixture {
  conf_damaged *good, *bad;
  unsigned depth, catcher, forms; /* a bit for each depth: in place */
  const unsigned char *at;
} mixture;

static mapfile_status MAPFILE_CALL descend(void *argument);

static __attribute__((noinline)) mapfile_status descend_in_place(mixture *plan, const conf_damaged *of,
                                                                 mapfile_fault *fault) {
  volatile mapfile_status status = MAPFILE_OK;
  MAPFILE_TRY(of->file, &of->view, fault) {
    status = descend(plan);
  }
  MAPFILE_CATCH {
    status = fault->status;
  }
  MAPFILE_END_TRY
  return status;
}

static mapfile_status MAPFILE_CALL descend(void *argument) {
  mixture *plan = argument;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  if (plan->depth == 0)
    return (mapfile_status)(conf_load(plan->at) * 0);
  const conf_damaged *of = plan->depth == plan->catcher ? plan->bad : plan->good;
  bool in_place = (plan->forms >> plan->depth & 1) != 0;
  plan->depth--;
  mapfile_status status =
      in_place ? descend_in_place(plan, of, &fault) : mapfile_try(of->file, &of->view, descend, plan, &fault);
  if (status != MAPFILE_UNKNOWN)
    return status;
  EXPECT(of == plan->bad);
  EXPECT_RECORD(&fault, of->file, plan->at, (uint64_t)(plan->at - of->data), MAPFILE_FAULT_READ);
  return 1000;
}

static void exact_mixed(void) {
  conf_damaged good, bad;
  uint64_t state = 4;
  conf_damage(&good, "good", 4, 4, conf_live());
  conf_damage(&bad, "bad", 4, 1, conf_live());
  for (unsigned depth = 1; depth <= 20; depth++)
    for (unsigned catcher = depth; catcher >= 1; catcher--) {
      mixture plan = {&good, &bad, depth, catcher, (unsigned)conf_random(&state), bad.data + bad.bad + depth};
      if (depth <= 3)
        plan.forms = catcher * 5;
      EXPECT_STATUS(descend(&plan), 1000);
      recover(&bad);
    }
  conf_undamage(&good);
  conf_undamage(&bad);
}

/* LastError is the program's: it may stand between a call and its GetLastError. */

static void expect_error_kept(const char *what) {
  DWORD now = GetLastError();
  if (now != 4321)
    conf_broken(__FILE__, __LINE__, "LastError was 4321 and is %lu after %s", now, what);
  SetLastError(4321);
}

static void last_error(void) {
  conf_damaged one;
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_scope scope;
  conf_damage(&one, "file", 6, 3, conf_live());
  recover(&one);
  SetLastError(4321);
  for (int i = 0; i < 20; i++) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    conf_touch bad = {one.data + one.bad + 1, 0, 0}, good = {one.data, 0, 0};
    mapfile_try(one.file, &one.view, conf_touch_body, &good, &fault);
    expect_error_kept("a scope");
    mapfile_try(one.file, &one.view, conf_touch_body, &bad, &fault);
    expect_error_kept("a fault in a scope");
    touch_in_place(one.file, NULL, good.at, &fault);
    expect_error_kept("a scope in place");
    touch_in_place(one.file, NULL, bad.at, &fault);
    expect_error_kept("a fault in a scope in place");
    /* One that reads is a system call like any other. */
    if (one.view.kind == MAPFILE_KIND_LIVE) {
      mapfile_pin(one.file, 0, 100, MAPFILE_ANY, &view);
      expect_error_kept("a pin");
      mapfile_unpin(&view);
      expect_error_kept("an unpin");
    }
    MAPFILE_SCOPE_INIT(&scope);
    mapfile_scope_begin(&scope, one.file, NULL);
    mapfile_scope_end(&scope, &fault);
    expect_error_kept("a scope that fills");
  }
  conf_undamage(&one);
}

static void last_error_in_thread(void *argument) {
  conf_damaged *one = argument;
  conf_touch touch = {one->data + one->bad + 1, 0, 0};
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  SetLastError(4321);
  mapfile_try(one->file, &one->view, conf_touch_body, &touch, &fault);
  expect_error_kept("a thread's first scope");
  last_error();
}

static void last_error_first(void) {
  conf_damaged one;
  conf_thread thread;
  conf_damage(&one, "other", 6, 3, conf_live());
  conf_thread_start(&thread, last_error_in_thread, &one, 0);
  conf_thread_join(&thread);
  conf_undamage(&one);
}

static mapfile_status MAPFILE_CALL set_error_and_touch(void *argument) {
  SetLastError(777);
  conf_load(argument);
  return MAPFILE_OK;
}

/* What the guarded code did to it stays. */
static void last_error_of_the_moment(void) {
  conf_damaged one;
  conf_damage(&one, "file", 6, 3, conf_live());
  recover(&one);
  for (int i = 0; i < 10; i++) {
    SetLastError(4321);
    mapfile_status status =
        mapfile_try(one.file, NULL, set_error_and_touch, (void *)(uintptr_t)(one.data + one.bad), NULL);
    DWORD after = GetLastError();
    EXPECT_STATUS(status, MAPFILE_UNKNOWN);
    EXPECT_UINT(after, 777);
  }
  conf_undamage(&one);
}

/* fault-syscall */

static void expect_call_fault(conf_damaged *one, const unsigned char *address, size_t length, int64_t done,
                              uint64_t offset) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  EXPECT_STATUS(mapfile_fault_from_call(one->file, &one->view, address, length, done, &fault), MAPFILE_UNKNOWN);
  EXPECT(fault.file == one->file);
  EXPECT_UINT(fault.offset, offset);
  EXPECT(fault.address == one->data + offset);
  EXPECT_STATUS(mapfile_fault_explain(&fault), MAPFILE_TRUNCATED);
}

/* The errors with which system calls tell of bad memory. */
static bool tells_of_memory(DWORD error) {
  return error == ERROR_INVALID_USER_BUFFER || error == ERROR_NOACCESS || error == ERROR_PARTIAL_COPY;
}

static void syscall_write(void) {
  conf_damaged one;
  intptr_t ends[2];
  DWORD done = 0;
  SIZE_T copied = 0;
  static char buffer[400];
  conf_damage(&one, "file", 6, 3, conf_live());
  conf_pipe(ends);
  HANDLE sink = conf_native_open(conf_path("sink"), GENERIC_READ | GENERIC_WRITE, CREATE_ALWAYS, 0);
  const unsigned char *bad = one.data + one.bad + 100, *across = one.data + one.bad - 96;
  EXPECT(!WriteFile(sink, bad, 50, &done, NULL) && tells_of_memory(GetLastError()));
  expect_call_fault(&one, bad, 50, -1, one.bad + 100);
  EXPECT(!WriteFile((HANDLE)ends[1], bad, 50, &done, NULL) && tells_of_memory(GetLastError()));
  expect_call_fault(&one, bad, 50, -1, one.bad + 100);
  /* Some systems can read what they have forbidden to the program. */
  if (!ReadProcessMemory(GetCurrentProcess(), bad, buffer, 50, &copied)) {
    EXPECT(tells_of_memory(GetLastError()));
    expect_call_fault(&one, bad, 50, -1, one.bad + 100);
  }
  /* The first part of it can be had: the count is short, or the call fails whole. */
  done = 0;
  bool written = WriteFile(sink, across, 200, &done, NULL);
  EXPECT(!written ? tells_of_memory(GetLastError()) : done < 200);
  expect_call_fault(&one, across, 200, written ? (int64_t)done : -1, one.bad);
  if (!ReadProcessMemory(GetCurrentProcess(), across, buffer, 200, &copied))
    expect_call_fault(&one, across, 200, copied <= 96 ? (int64_t)copied : -1, one.bad);
  CloseHandle(sink);
  conf_handle_close(ends[0]);
  conf_handle_close(ends[1]);
  conf_undamage(&one);
}

/* The system stores into the view. */
static void syscall_read(void) {
  conf_damaged one;
  DWORD done = 0;
  HANDLE source = conf_native_open(conf_make("source", 1000), GENERIC_READ, OPEN_EXISTING, 0);
  conf_damage(&one, "file", 6, 3, MAPFILE_PRIVATE);
  unsigned char *across = (unsigned char *)one.view.data + one.bad - 96;
  bool read = ReadFile(source, across, 200, &done, NULL);
  EXPECT(!read ? tells_of_memory(GetLastError()) : done < 200);
  expect_call_fault(&one, across, 200, read ? (int64_t)done : -1, one.bad);
  CloseHandle(source);
  conf_undamage(&one);
}

/* A short count that had another reason is no fault. */
static void syscall_innocent(void) {
  conf_damaged one;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  conf_damage(&one, "file", 6, 3, conf_live());
  EXPECT_STATUS(mapfile_fault_from_call(one.file, &one.view, one.data, 3 * conf_page, 17, &fault), MAPFILE_OK);
  EXPECT_STATUS(fault.status, MAPFILE_OK);
  EXPECT_STATUS(mapfile_fault_from_call(one.file, &one.view, one.data, 3 * conf_page, -1, &fault), MAPFILE_OK);
  EXPECT_STATUS(mapfile_fault_from_call(one.file, &one.view, one.data, 4 * conf_page, (int64_t)(4 * conf_page), &fault),
                MAPFILE_OK);
  EXPECT_STATUS(mapfile_fault_from_call(one.file, &one.view, one.data, (size_t)one.size + 1, -1, &fault),
                MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_fault_from_call(one.file, &one.view, one.data - 1, 1, -1, &fault), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_fault_from_call(one.file, &one.view, one.data, 10, 11, &fault), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_fault_from_call(one.file, &one.view, &fault, 1, -1, &fault), MAPFILE_INVALID);
  conf_undamage(&one);
}

#define N CONF_NO_FAULTS
/* Where the handlers' order is the matter, the one that changes the report would be in the way. */
#define BOTH(promise, name, meaning, run)                  \
  {promise, name, meaning, CONF_MAPPED, CONF_REAL, run}, { \
    promise, name, meaning, CONF_ANY, CONF_INJECTED, run   \
  }

static const conf_case table[] = {
    CONF_BOTH("fault-range", "original", "Other handlers do not see the original exception and context.",
              range_original),
    BOTH("fault-range", "to-previous", "Other handlers do not get what is theirs.", range_to_previous),
    BOTH("fault-range", "nothing", "A scope swallows faults that are no file's.", range_nothing),
    {"fault-range", "read-only", "A scope swallows stores into read-only views.", CONF_MAPPED, N, range_read_only},
#if defined(_WIN64)
    {"fault-range", "called", "A call into a view never ends where pages are filled.", CONF_ANY, N, range_called},
#endif
    BOTH("fault-range", "other-kinds", "Exceptions of other kinds do not pass through scopes.", range_other_kinds),
    CONF_BOTH("fault-exact", "raised", "Errors that other code raises for a view are not recovered.", exact_raised),
    CONF_BOTH("fault-exact", "raw", "The fault record does not say what the system said.", exact_raw),
    CONF_BOTH("fault-exact", "mixed", "A fault reaches the wrong one of nested scopes of both forms.", exact_mixed),
    BOTH("fault-order", "before", "A handler added before the library's no longer works.", order_before),
    BOTH("fault-order", "after", "A handler added after the library's, or recovery under it, fails.", order_after),
    BOTH("fault-order", "looking", "Recovery fails where another handler looks on.", order_looking),
    BOTH("fault-order", "rearmed", "Putting the handler on top again stops working.", order_rearmed),
    BOTH("fault-order", "continue", "Recovery fails where there are continue handlers.", order_continue),
    BOTH("fault-order", "unhandled", "The program's last filter does not get what is its own.", order_unhandled),
    BOTH("fault-order", "host", "A program that owns its handlers cannot use the library.", order_host),
    BOTH("fault-order", "host-absent", "A fault that nobody takes does not kill.", order_host_absent),
    CONF_BOTH("fault-order", "inner-frame", "A scope takes the fault from code within it that would handle it.",
              inner_takes),
    CONF_BOTH("fault-order", "inner-frame-declines", "Code between the scope and the fault is left without clean-up.",
              inner_declines),
    BOTH("fault-order", "outer-frame", "A scope is jumped to after code around it has taken an exception.",
         outer_takes),
    CONF_BOTH("fault-order", "outer-frame-not-asked", "Code around a scope takes the scope's faults.", outer_not_asked),
    CONF_BOTH("fault-mask", "last-error", "Recovery or a pin changes LastError.", last_error),
    CONF_BOTH("fault-mask", "last-error-first", "A thread's first scope changes LastError.", last_error_first),
    CONF_BOTH("fault-mask", "last-error-of-the-moment", "Recovery undoes what the guarded code did to LastError.",
              last_error_of_the_moment),
    CONF_BOTH("fault-syscall", "write", "A system call that fails on a view is not explained.", syscall_write),
    {"fault-syscall", "read", "A system call that stores into a view is not explained.", CONF_MAPPED, CONF_REAL,
     syscall_read},
    {"fault-syscall", "read", "A system call that stores into a view is not explained.", CONF_ANY, CONF_INJECTED,
     syscall_read},
    CONF_BOTH("fault-syscall", "innocent", "A short count with another reason is taken for a fault.", syscall_innocent),
};

CONF_GROUP(conf_exceptions, "exceptions");
