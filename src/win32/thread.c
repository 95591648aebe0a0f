/*
 * win32/thread.c - the lock, start-up, the records of threads and fibers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "../os.h"
#include "status.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <stdatomic.h>

typedef struct win_lock {
  SRWLOCK system;
  bool of_none; /* its owner was ended with the process; nobody else runs any more */
} win_lock;

static win_lock lock = {SRWLOCK_INIT, false};
static CONDITION_VARIABLE woken = CONDITION_VARIABLE_INIT;
static CONDITION_VARIABLE loaded = CONDITION_VARIABLE_INIT;
static atomic_bool begun;

typedef BOOLEAN(WINAPI *question)(void);

/* When a process ends, its other threads are ended wherever they are, perhaps with a lock; then libraries clean up. */
static _Atomic(question) shutdown_in_progress;

static void look_for_shutdown(void) {
  HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
  FARPROC found = ntdll != NULL ? GetProcAddress(ntdll, "RtlDllShutdownInProgress") : NULL;
  atomic_store(&shutdown_in_progress, (question)(void (*)(void))found);
}

static bool is_ending(void) {
  question ask = atomic_load(&shutdown_in_progress);
  return ask != NULL && ask();
}

static void take(win_lock *wanted) {
  if (TryAcquireSRWLockExclusive(&wanted->system))
    return;
  if (is_ending())
    wanted->of_none = true;
  else
    AcquireSRWLockExclusive(&wanted->system);
}

static void give(win_lock *held) {
  if (!held->of_none)
    ReleaseSRWLockExclusive(&held->system);
}

void os_lock(void) {
  take(&lock);
}

void os_unlock(void) {
  give(&lock);
}

mapfile_status os_begin_once(void) {
  if (atomic_load_explicit(&begun, memory_order_acquire))
    return MAPFILE_OK;
  os_lock();
  if (!atomic_load(&begun)) {
    mf_process_begin();
    atomic_store(&begun, true);
  }
  os_unlock();
  return MAPFILE_OK;
}

unsigned os_processors(void) {
  SYSTEM_INFO system;
  GetSystemInfo(&system);
  return system.dwNumberOfProcessors > 0 ? system.dwNumberOfProcessors : 1;
}

/*
 * Records
 */

uint32_t win_teb_slot;

enum { SLOTS_IN_TEB = 64 };

static win_lock records_lock = {SRWLOCK_INIT, false};
static atomic_bool slots_ready;
static DWORD thread_slot, fiber_slot;
static win_thread *free_records; /* under records_lock */

/* For threads that could get none: they have no scopes (os_fault_prepare_thread), and share their native error. */
static win_thread spare;

/* A thread ends or a fiber is deleted. The record stays readable: another thread's slot may still lead to it. */
static void CALLBACK give_back(void *value) {
  win_thread *record = value;
  if (record == NULL)
    return;
  if (record->event != NULL)
    CloseHandle(record->event);
  record->event = NULL;
  take(&records_lock);
  record->low = record->size = 0;
  record->thread.stack_low = record->thread.stack_size = 0;
  record->thread.ready = record->thread.depth = 0;
  record->thread.native_error = 0;
  record->next_free = free_records;
  free_records = record;
  give(&records_lock);
}

/* From here on the system calls into this module: when threads end, when there are faults. So it must stay, even after
   FreeLibrary (promise fault-dlopen). */
static void stay_loaded(void) {
  HMODULE self;
  GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, (const wchar_t *)&lock,
                     &self);
}

static bool get_slots(void) {
  if (atomic_load_explicit(&slots_ready, memory_order_acquire))
    return true;
  take(&records_lock);
  if (!atomic_load(&slots_ready)) {
    stay_loaded();
    look_for_shutdown();
    thread_slot = TlsAlloc();
    fiber_slot = thread_slot != TLS_OUT_OF_INDEXES ? FlsAlloc(give_back) : FLS_OUT_OF_INDEXES;
    if (fiber_slot == FLS_OUT_OF_INDEXES && thread_slot != TLS_OUT_OF_INDEXES)
      TlsFree(thread_slot);
    if (fiber_slot != FLS_OUT_OF_INDEXES) {
      if (thread_slot < SLOTS_IN_TEB)
        win_teb_slot = (uint32_t)(TEB_SLOTS + thread_slot * sizeof(void *));
      atomic_store(&slots_ready, true);
    }
  }
  give(&records_lock);
  return atomic_load(&slots_ready);
}

static win_thread *new_record(void) {
  take(&records_lock);
  win_thread *record = free_records;
  if (record != NULL)
    free_records = record->next_free;
  give(&records_lock);
  if (record == NULL)
    record = HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, sizeof *record);
  if (record != NULL && !FlsSetValue(fiber_slot, record)) {
    give_back(record);
    return NULL;
  }
  return record;
}

/* A thread that is in no scope may have been moved to another stack, by coroutines that tell the system of it. */
static void note_stack(win_thread *record) {
  record->low = win_teb_word(TEB_STACK_BOTTOM);
  record->size = win_teb_word(TEB_STACK_BASE) - record->low;
  if (record->thread.depth == 0 && record->thread.ready != 0) {
    record->thread.stack_low = record->low;
    record->thread.stack_size = record->size;
  }
}

/* The system's calls for slots set LastError, which is the program's (it may be between a call and its GetLastError).
 */
win_thread *win_find_thread(bool make) {
  DWORD error = GetLastError();
  win_thread *record = NULL;
  if (make ? get_slots() : atomic_load_explicit(&slots_ready, memory_order_acquire))
    record = FlsGetValue(fiber_slot);
  if (record == NULL && make && atomic_load(&slots_ready))
    record = new_record();
  if (record != NULL && make) {
    note_stack(record);
    TlsSetValue(thread_slot, record);
  }
  SetLastError(error);
  return record != NULL || !make ? record : &spare;
}

/* The event that the calling thread's reading and writing waits for; NULL with LastError set. */
void *win_thread_event(void) {
  win_thread *record = win_find_thread(true);
  if (record == &spare) {
    SetLastError(ERROR_NOT_ENOUGH_MEMORY);
    return NULL;
  }
  if (record->event == NULL)
    record->event = CreateEventW(NULL, TRUE, FALSE, NULL);
  return record->event;
}

/*
 * The thread that releases idle files
 */

static DWORD WINAPI run_thread(void *run) {
  ((void (*)(void))run)();
  return 0;
}

mapfile_status os_thread_start(void (*run)(void)) {
  /* Enough for a trace hook that prints, and for what other libraries do whenever a thread begins. */
  const SIZE_T stack = 256 * 1024;
  HANDLE thread = CreateThread(NULL, stack, run_thread, (void *)run, STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
  if (thread == NULL) {
    mf_set_native_error((int64_t)GetLastError());
    return MAPFILE_LIMIT;
  }
  CloseHandle(thread);
  return MAPFILE_OK;
}

void os_wait(uint32_t milliseconds) {
  SleepConditionVariableSRW(&woken, &lock.system, milliseconds, 0);
}

/* Who waited when the process began to end is not there to be woken. */
void os_wake(void) {
  if (!is_ending())
    WakeConditionVariable(&woken);
}

uint64_t os_milliseconds(void) {
  LARGE_INTEGER now, second;
  QueryPerformanceCounter(&now);
  QueryPerformanceFrequency(&second);
  uint64_t count = (uint64_t)now.QuadPart, each = (uint64_t)second.QuadPart;
  return count / each * 1000 + count % each * 1000 / each;
}

int64_t os_file_clock(void) {
  const uint64_t unix_begins = UINT64_C(116444736000000000);
  FILETIME now;
  GetSystemTimeAsFileTime(&now);
  return (int64_t)((((uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime) - unix_begins) * 100);
}

void os_load_wait(void) {
  SleepConditionVariableSRW(&loaded, &lock.system, INFINITE, 0);
}

void os_load_done(void) {
  WakeAllConditionVariable(&loaded);
}

void os_sleep(uint32_t milliseconds) {
  Sleep(milliseconds);
}
