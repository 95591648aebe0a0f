/*
 * What the groups of the benchmark on Windows do.
 *
 * SPDX-License-Identifier: MIT
 */
#include "groups.h"

#include <stdio.h>
#include <string.h>

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

/* Every loop has a volatile counter, because those around a routine that returns twice need one: so the others pay for
   it too. */
enum { SCOPES = 100000, FAULTS = 500, PINS = 100000, PARKS = 40 };

static struct bench_file here;

/*
 * The file
 */

static bool make_file(const char *path) {
  static char bytes[BENCH_SIZE];
  DWORD written = 0;
  HANDLE file = CreateFileA(path, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
  if (file == INVALID_HANDLE_VALUE) {
    return false;
  }
  memset(bytes, 'b', sizeof bytes);
  bool whole = WriteFile(file, bytes, sizeof bytes, &written, NULL) && written == sizeof bytes;
  return CloseHandle(file) && whole;
}

bool bench_file_open(struct group *group, struct bench_file *file) {
  char folder[MAX_PATH];
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile_view view = MAPFILE_VIEW_INIT;
  file->view = view;
  options.idle_ms = MAPFILE_IDLE_NEVER;
  GetTempPathA(sizeof folder, folder);
  snprintf(file->path, sizeof file->path, "%smapfile-bench-%lu", folder, GetCurrentProcessId());
  if (!make_file(file->path) || mapfile_open(file->path, &options, &file->file) != MAPFILE_OK) {
    return group_fail(group, "cannot make or open a file");
  }
  if (mapfile_pin(file->file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &file->view) != MAPFILE_OK) {
    return group_fail(group, "cannot pin");
  }
  return true;
}

void bench_file_close(struct group *group, struct bench_file *file) {
  mapfile_unpin(&file->view);
  if (mapfile_close(file->file) != MAPFILE_OK || !DeleteFileA(file->path)) {
    group_fail(group, "cannot close or remove the file");
  }
}

/*
 * Scopes in which nothing goes wrong
 */

static mapfile_status MAPFILE_CALL count_up(void *argument) {
  ++*(uint64_t *)argument;
  return MAPFILE_OK;
}

static const char *try_by_call(struct sample *sample) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  uint64_t bodies = 0;
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    if (mapfile_try(here.file, &here.view, count_up, &bodies, &fault) != MAPFILE_OK) {
      return "mapfile_try failed";
    }
  }
  return bodies == sample->count ? NULL : "wrong number of bodies";
}

static const char *try_in_place(struct sample *sample) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  uint64_t bodies[1] = {0};
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    MAPFILE_TRY(here.file, &here.view, &fault) {
      count_up(bodies);
    }
    MAPFILE_CATCH {
      return "MAPFILE_TRY failed";
    }
    MAPFILE_END_TRY
  }
  return bodies[0] == sample->count ? NULL : "wrong number of bodies";
}

static const char *save_registers(struct sample *sample) {
  uintptr_t registers[32];
  uint64_t bodies[1] = {0};
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    if (bench_save(registers) != 0) {
      return "came back by a jump";
    }
    count_up(bodies);
  }
  return bodies[0] == sample->count ? NULL : "wrong number of bodies";
}

/* What no scope in place can be without: registers saved, and one call into the library, here one that does nothing. */
static const char *save_and_call(struct sample *sample) {
  uintptr_t registers[32];
  uint64_t bodies[1] = {0};
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    if (bench_save(registers) != 0) {
      return "came back by a jump";
    }
    mapfile_version(NULL);
    count_up(bodies);
  }
  return bodies[0] == sample->count ? NULL : "wrong number of bodies";
}

/* The least that could be called a scope: it is in a list, which is not even its thread's, and asks nothing. */
static struct guard {
  struct guard *outer;
  uintptr_t registers[32];
} * guards;

__attribute__((noinline)) static void push_guard(struct guard *guard) {
  guard->outer = guards;
  guards = guard;
}

__attribute__((noinline)) static void pop_guard(const struct guard *guard) {
  guards = guard->outer;
}

static const char *bare_guard(struct sample *sample) {
  uint64_t bodies[1] = {0};
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    struct guard guard;
    push_guard(&guard);
    if (bench_save(guard.registers) != 0) {
      return "came back by a jump";
    }
    count_up(bodies);
    pop_guard(&guard);
  }
  return bodies[0] == sample->count ? NULL : "wrong number of bodies";
}

void bench_scope(struct group *group) {
  group_begin(group, "scope", "ns", 1e9, "entering and leaving a scope in which nothing goes wrong");
  if (!bench_file_open(group, &here)) {
    return;
  }
  int bare = group_add(group, "saving the registers", save_registers, NULL, SCOPES);
  int least = group_add(group, "saving the registers and an empty call", save_and_call, NULL, SCOPES);
  int guard = group_add(group, "a list of saves, unchecked", bare_guard, NULL, SCOPES);
  int call = group_add(group, "mapfile_try over a view", try_by_call, NULL, SCOPES);
  int place = group_add(group, "MAPFILE_TRY over a view", try_in_place, NULL, SCOPES);
  group_compare(group, least, COMPARE_TIME, bare, 0);
  group_compare(group, guard, COMPARE_TIME, bare, 0);
  group_compare(group, call, COMPARE_TIME, bare, 1.5);
  group_compare(group, place, COMPARE_TIME, bare, 1.5);
  group_measure(group);
  bench_file_close(group, &here);
}

/*
 * Faults
 */

static uintptr_t way_back[32];
static unsigned char *forbidden;
static volatile uint64_t caught;

/* The least handler: knows the address, and lets the thread go on at the saved registers. */
static LONG CALLBACK go_back(EXCEPTION_POINTERS *pointers) {
  const EXCEPTION_RECORD *record = pointers->ExceptionRecord;
  CONTEXT *context = pointers->ContextRecord;
  if (record->ExceptionCode != EXCEPTION_ACCESS_VIOLATION || record->NumberParameters < 2 ||
      record->ExceptionInformation[1] - (ULONG_PTR)forbidden >= BENCH_UNIT) {
    return EXCEPTION_CONTINUE_SEARCH;
  }
#if defined(_WIN64)
  context->Rcx = (DWORD64)way_back;
  context->Rip = (DWORD64)bench_restore;
#else
  context->Ecx = (DWORD)way_back;
  context->Eip = (DWORD)bench_restore;
#endif
  return EXCEPTION_CONTINUE_EXECUTION;
}

static const char *fault_barely(struct sample *sample) {
  void *handler = AddVectoredExceptionHandler(1, go_back);
  caught = 0;
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    if (bench_save(way_back) == 0) {
      (void)*(volatile unsigned char *)forbidden;
    } else {
      caught++;
    }
  }
  RemoveVectoredExceptionHandler(handler);
  return caught == sample->count ? NULL : "wrong number of faults";
}

static mapfile_status MAPFILE_CALL touch(void *address) {
  (void)*(volatile unsigned char *)address;
  return MAPFILE_OK;
}

#if defined(_WIN64)
static void touch_forbidden(void *address) {
  (void)*(volatile unsigned char *)address;
}

static const char *fault_in_frame(struct sample *sample) {
  caught = 0;
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    caught += (uint64_t)bench_frame(touch_forbidden, forbidden);
  }
  return caught == sample->count ? NULL : "wrong number of faults";
}
#endif

static const char *fault_in_call(struct sample *sample) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    if (mapfile_try(here.file, &here.view, touch, here.view.data, &fault) != MAPFILE_UNKNOWN || fault.offset != 0) {
      return "no fault";
    }
  }
  return NULL;
}

static const char *fault_in_place(struct sample *sample) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  caught = 0;
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    MAPFILE_TRY(here.file, &here.view, &fault) {
      (void)*(volatile unsigned char *)here.view.data;
    }
    MAPFILE_CATCH {
      caught++;
    }
    MAPFILE_END_TRY
  }
  return caught == sample->count ? NULL : "wrong number of faults";
}

void bench_fault(struct group *group) {
  group_begin(group, "fault", "us", 1e6, "from touching a page that cannot be reached to the error in hand");
  if (!bench_file_open(group, &here)) {
    return;
  }
  forbidden = VirtualAlloc(NULL, BENCH_UNIT, MEM_RESERVE | MEM_COMMIT, PAGE_NOACCESS);
  if (forbidden == NULL || mapfile_inject(here.file, 0, BENCH_UNIT, MAPFILE_IO) != MAPFILE_OK) {
    group_fail(group, "cannot make pages that fail");
  } else {
    int bare = group_add(group, "a minimal vectored handler", fault_barely, NULL, FAULTS);
    int call = group_add(group, "mapfile_try", fault_in_call, NULL, FAULTS);
    int place = group_add(group, "MAPFILE_TRY", fault_in_place, NULL, FAULTS);
    group_compare(group, place, COMPARE_TIME, bare, 1.3);
#if defined(_WIN64)
    /* mapfile_try is a frame here: the system searches for it and unwinds to it. */
    int frame = group_add(group, "a minimal frame", fault_in_frame, NULL, FAULTS);
    group_compare(group, frame, COMPARE_TIME, bare, 0);
    group_compare(group, call, COMPARE_TIME, frame, 1.3);
#else
    group_compare(group, call, COMPARE_TIME, bare, 1.3);
#endif
    group_measure(group);
  }
  VirtualFree(forbidden, 0, MEM_RELEASE);
  bench_file_close(group, &here);
}

/*
 * Pins
 */

static const char *pin_and_unpin(struct sample *sample) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    if (mapfile_pin(here.file, 100, 1000, MAPFILE_ANY, &view) != MAPFILE_OK || mapfile_unpin(&view) != MAPFILE_OK) {
      return "cannot pin";
    }
  }
  return NULL;
}

void bench_pin(struct group *group) {
  group_begin(group, "pin", "ns", 1e9, "pinning and unpinning what is mapped");
  if (!bench_file_open(group, &here)) {
    return;
  }
  int pin = group_add(group, "mapfile_pin and mapfile_unpin", pin_and_unpin, NULL, PINS);
  group_compare(group, pin, COMPARE_COST, pin, 25);
  group_measure(group);
  bench_file_close(group, &here);
}

/*
 * Parking
 */

static const char *touch_all(const mapfile_view *view) {
  const volatile unsigned char *data = view->data;
  for (size_t at = 0; at < view->length; at += 4096) {
    if (data[at] != 'b') {
      return "wrong bytes";
    }
  }
  return NULL;
}

static const char *first_pin(struct sample *sample) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  const char *wrong = NULL;
  options.idle_ms = MAPFILE_IDLE_NEVER;
  for (uint64_t i = 0; i < sample->count && wrong == NULL; i++) {
    mapfile_view view = MAPFILE_VIEW_INIT;
    mapfile *file;
    sample_start(sample);
    if (mapfile_open(here.path, &options, &file) != MAPFILE_OK) {
      return "cannot open";
    }
    if (mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view) != MAPFILE_OK) {
      return "cannot pin";
    }
    wrong = touch_all(&view);
    sample_stop(sample);
    if (mapfile_unpin(&view) != MAPFILE_OK || mapfile_close(file) != MAPFILE_OK) {
      return "cannot close";
    }
  }
  return wrong;
}

static const char *pin_when_parked(struct sample *sample) {
  const char *wrong = NULL;
  for (uint64_t i = 0; i < sample->count && wrong == NULL; i++) {
    mapfile_view view = MAPFILE_VIEW_INIT;
    if (mapfile_park(here.file) != MAPFILE_OK) {
      return "cannot park";
    }
    sample_start(sample);
    if (mapfile_pin(here.file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &view) != MAPFILE_OK) {
      return "cannot pin";
    }
    wrong = touch_all(&view);
    sample_stop(sample);
    if (mapfile_unpin(&view) != MAPFILE_OK) {
      return "cannot unpin";
    }
  }
  return wrong;
}

void bench_park(struct group *group) {
  group_begin(group, "park", "us", 1e6, "the first pin of a mapfile, and the next one after it was parked");
  if (!bench_file_open(group, &here)) {
    return;
  }
  mapfile_unpin(&here.view);
  int first = group_add(group, "open and pin", first_pin, NULL, PARKS);
  int again = group_add(group, "pin when parked", pin_when_parked, NULL, PARKS);
  group_compare(group, again, COMPARE_TIME, first, 1.3);
  group_measure(group);
  bench_file_close(group, &here);
}
