/*
 * system.c - the process, its threads and what it holds, for the conformance cases, on Windows.
 *
 * SPDX-License-Identifier: MIT
 */
#include "win32.h"

#include <fcntl.h>
#include <float.h>
#include <inttypes.h>
#include <io.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <tlhelp32.h>

extern const conf_group conf_special, conf_paths, conf_exceptions, conf_fibers, conf_stacks;

const conf_group *const conf_platform_groups[] = {&conf_special, &conf_paths,  &conf_exceptions,
                                                  &conf_fibers,  &conf_stacks, NULL};

const bool conf_can_fork = false;
const bool conf_fills_maps = false;
const bool conf_has_in_page = true;
const bool conf_maps_pass_end = false;
const bool conf_mapped_keep_name = true;

const conf_case *conf_running;

static bool is_forbidden(uintptr_t address) {
  MEMORY_BASIC_INFORMATION memory;
  return VirtualQuery((const void *)address, &memory, sizeof memory) == sizeof memory && memory.State == MEM_COMMIT &&
         (memory.Protect & PAGE_NOACCESS) != 0;
}

static LONG CALLBACK report_in_page(EXCEPTION_POINTERS *pointers) {
  EXCEPTION_RECORD *record = pointers->ExceptionRecord;
  if (record->ExceptionCode == EXCEPTION_ACCESS_VIOLATION && record->NumberParameters == 2 &&
      is_forbidden(record->ExceptionInformation[1])) {
    record->ExceptionCode = EXCEPTION_IN_PAGE_ERROR;
    record->NumberParameters = 3;
    record->ExceptionInformation[2] = CONF_DISK_STATUS;
  }
  return EXCEPTION_CONTINUE_SEARCH;
}

/* The library's handler first, so that this one comes before it. */
void conf_report_in_page(void) {
  EXPECT_STATUS(mapfile_handler_rearm(), MAPFILE_OK);
  EXPECT(AddVectoredExceptionHandler(1, report_in_page) != NULL);
}

void conf_begin(const conf_case *one, uint32_t access, const char *folder) {
  SYSTEM_INFO system;
  GetSystemInfo(&system);
  conf_running = one;
  conf_access = access;
  conf_faulty = one->faults == CONF_IN_PAGE ? CONF_INJECTED : one->faults;
  conf_page = system.dwPageSize;
  conf_map_unit = system.dwAllocationGranularity;
  conf_remember_folder(folder);
  /* Many children die on purpose: without a question to the user. */
  SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX | SEM_NOOPENFILEERRORBOX);
  conf_take_record_pipe();
  if (one->faults == CONF_IN_PAGE)
    conf_report_in_page();
}

/* Arguments: as the C runtime splits them, but in Unicode. */

static const wchar_t *take_word(const wchar_t *at, wchar_t *word) {
  bool quoted = false;
  while (*at != 0 && (quoted || (*at != L' ' && *at != L'\t'))) {
    size_t slashes = 0;
    while (at[slashes] == L'\\')
      slashes++;
    at += slashes;
    if (*at == L'"') {
      for (size_t i = 0; i < slashes / 2; i++)
        *word++ = L'\\';
      if (slashes % 2 != 0)
        *word++ = L'"';
      else
        quoted = !quoted;
      at++;
      continue;
    }
    for (size_t i = 0; i < slashes; i++)
      *word++ = L'\\';
    if (slashes == 0)
      *word++ = *at++;
  }
  *word = 0;
  while (*at == L' ' || *at == L'\t')
    at++;
  return at;
}

void conf_arguments(int *count, char ***words) {
  enum { MOST = 16 };
  static char *found[MOST + 1];
  const wchar_t *line = GetCommandLineW();
  size_t room = wcslen(line) + 1;
  wchar_t *word = malloc(room * sizeof *word);
  int number = 0;
  while (word != NULL && *line != 0 && number < MOST) {
    line = take_word(line, word);
    char *text = malloc(room * 3);
    if (text == NULL)
      break;
    WideCharToMultiByte(CP_UTF8, 0, word, -1, text, (int)room * 3, NULL, NULL);
    found[number++] = text;
  }
  free(word);
  *count = number;
  *words = found;
  /* Who reads the table wants lines as they are everywhere. */
  _setmode(_fileno(stdout), _O_BINARY);
}

const char *conf_hex(uintptr_t value) {
  static char texts[4][24];
  static unsigned next;
  char *text = texts[next++ % 4];
  snprintf(text, sizeof texts[0], "%" PRIxPTR, value);
  return text;
}

/* Pages */

void conf_forbid(const void *address) {
  DWORD before;
  EXPECT(VirtualProtect((void *)(uintptr_t)address, 1, PAGE_NOACCESS, &before));
}

void conf_allow(const void *address) {
  DWORD before;
  if (!VirtualProtect((void *)(uintptr_t)address, 1, PAGE_READWRITE, &before))
    TerminateProcess(GetCurrentProcess(), 99);
}

unsigned char *conf_foreign_page(const char *name) {
  (void)name;
  unsigned char *page = VirtualAlloc(NULL, conf_page, MEM_RESERVE | MEM_COMMIT, PAGE_NOACCESS);
  EXPECT(page != NULL);
  return page;
}

void conf_foreign_heal(const void *address) {
  conf_allow(address);
}

/* Threads */

void conf_sleep_ms(unsigned milliseconds) {
  Sleep(milliseconds);
}

void conf_wait_for_clock(void) {
  Sleep(50);
}

/* Who runs this under Wine may keep it on one processor, where Wine's server answers soonest. Threads that run side by
   side have all processors there are. */
static void take_all_processors(void) {
  DWORD_PTR allowed = 0, all = 0;
  if (conf_wine_version() != NULL && GetProcessAffinityMask(GetCurrentProcess(), &allowed, &all) && allowed != all)
    SetProcessAffinityMask(GetCurrentProcess(), all);
}

static atomic_uint threads_running;

static DWORD WINAPI thread_main(void *argument) {
  const conf_thread *thread = argument;
  thread->run(thread->argument);
  return 0;
}

void conf_thread_start(conf_thread *thread, void (*run)(void *), void *argument, size_t stack) {
  thread->run = run;
  thread->argument = argument;
  HANDLE handle =
      CreateThread(NULL, stack, thread_main, thread, stack != 0 ? STACK_SIZE_PARAM_IS_A_RESERVATION : 0, NULL);
  if (handle == NULL)
    conf_not_testable("no thread can be made: %s", conf_error_text(GetLastError()));
  thread->handle = (uintptr_t)handle;
  if (atomic_fetch_add(&threads_running, 1) == 1)
    take_all_processors();
}

void conf_thread_join(conf_thread *thread) {
  WaitForSingleObject((HANDLE)thread->handle, INFINITE);
  CloseHandle((HANDLE)thread->handle);
  atomic_fetch_sub(&threads_running, 1);
}

_Noreturn void conf_thread_exit(void) {
  ExitThread(0);
}

size_t conf_small_stack(void) {
  return 65536;
}

/* The processor */

enum { WANTED_EXCEPTIONS = _EM_ZERODIVIDE | _EM_INVALID };

bool conf_want_float_exceptions(bool wanted) {
  _clearfp();
  _controlfp(wanted ? (unsigned)(_MCW_EM & ~WANTED_EXCEPTIONS) : (unsigned)_MCW_EM, _MCW_EM);
  return !wanted || conf_wants_float_exceptions();
}

bool conf_wants_float_exceptions(void) {
  return (_controlfp(0, 0) & _MCW_EM) == (_MCW_EM & ~WANTED_EXCEPTIONS);
}

/* Wine's own code runs on with the flag set. */
bool conf_bears_alignment_flag(void) {
  return conf_wine_version() == NULL;
}

/* The loader's lock. */
bool conf_hold_linker(void (*within)(void)) {
  typedef LONG(WINAPI * lock_loader)(ULONG, ULONG *, ULONG_PTR *);
  typedef LONG(WINAPI * unlock_loader)(ULONG, ULONG_PTR);
  HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
  lock_loader lock = (lock_loader)(void (*)(void))GetProcAddress(ntdll, "LdrLockLoaderLock");
  unlock_loader unlock = (unlock_loader)(void (*)(void))GetProcAddress(ntdll, "LdrUnlockLoaderLock");
  ULONG_PTR cookie;
  if (lock == NULL || unlock == NULL || lock(0, NULL, &cookie) != 0)
    return false;
  within();
  unlock(0, cookie);
  return true;
}

const char *conf_instrument(void) {
  return NULL;
}

/* What the process holds */

typedef struct system_handle {
  void *object;
  ULONG_PTR process, handle;
  ULONG access;
  USHORT trace, type;
  ULONG attributes, reserved;
} system_handle;

typedef struct system_handles {
  ULONG_PTR count, reserved;
  system_handle of[20000];
} system_handles;

/* In the list of all that there are, which Wine tells in one go. UINT64_MAX: it is not to be had. */
static uint64_t count_listed_handles(void) {
  enum { ALL_HANDLES = 64 };
  typedef LONG(WINAPI * ask_system)(int, void *, ULONG, ULONG *);
  static system_handles *all;
  ask_system ask =
      (ask_system)(void (*)(void))GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "NtQuerySystemInformation");
  uint64_t count = 0;
  if (all == NULL)
    all = VirtualAlloc(NULL, sizeof *all, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
  if (ask == NULL || all == NULL || ask(ALL_HANDLES, all, sizeof *all, NULL) != 0)
    return UINT64_MAX;
  for (ULONG_PTR i = 0; i < all->count; i++)
    count += all->of[i].process == GetCurrentProcessId();
  return count;
}

/* Where the system neither counts nor lists them, one by one: handles are small multiples of 4. */
static uint64_t count_handles(void) {
  enum { HANDLES = 512 };
  uint64_t count = 0;
  DWORD flags;
  for (uintptr_t number = 1; number <= HANDLES; number++)
    count += GetHandleInformation((HANDLE)(number * 4), &flags) != FALSE;
  return count;
}

uint64_t conf_descriptors(void) {
  DWORD told = 0;
  if (GetProcessHandleCount(GetCurrentProcess(), &told) && told > 0)
    return told - conf_handles_lost;
  uint64_t listed = count_listed_handles();
  return (listed != UINT64_MAX ? listed : count_handles()) - conf_handles_lost;
}

static uint64_t count_file_maps(void) {
  MEMORY_BASIC_INFORMATION memory;
  const void *last = NULL;
  uint64_t count = 0;
  for (const char *at = NULL; VirtualQuery(at, &memory, sizeof memory) == sizeof memory;) {
    if (memory.State != MEM_FREE && memory.Type == MEM_MAPPED && memory.AllocationBase != last) {
      last = memory.AllocationBase;
      count++;
    }
    const char *next = (const char *)memory.BaseAddress + memory.RegionSize;
    if (next <= at)
      break;
    at = next;
  }
  return count;
}

uint64_t conf_threads(void) {
  HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
  THREADENTRY32 entry = {.dwSize = sizeof entry};
  uint64_t count = 0;
  if (snapshot == INVALID_HANDLE_VALUE)
    return UINT64_MAX;
  for (BOOL more = Thread32First(snapshot, &entry); more; more = Thread32Next(snapshot, &entry))
    count += entry.th32OwnerProcessID == GetCurrentProcessId();
  CloseHandle(snapshot);
  return count;
}

static uint64_t heap_bytes(HANDLE heap) {
  PROCESS_HEAP_ENTRY entry = {.lpData = NULL};
  uint64_t bytes = 0;
  if (!HeapLock(heap))
    return 0;
  while (HeapWalk(heap, &entry))
    if ((entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) != 0)
      bytes += entry.cbData;
  HeapUnlock(heap);
  return bytes;
}

void conf_count_holdings(conf_holdings *holdings) {
  HANDLE heaps[64];
  DWORD count = GetProcessHeaps(64, heaps);
  holdings->heap_bytes = count > 0 && count <= 64 ? 0 : UINT64_MAX;
  for (DWORD i = 0; i < count && holdings->heap_bytes != UINT64_MAX; i++)
    holdings->heap_bytes += heap_bytes(heaps[i]);
  holdings->maps = count_file_maps();
  holdings->threads = conf_threads();
  holdings->descriptors = conf_descriptors();
}

void conf_expect_no_leak(const char *file, int line, const conf_holdings *before) {
  conf_holdings now;
  conf_count_holdings(&now);
  /* A thread that has been waited for may be on its way out of the system still. */
  for (int i = 0; i < 100 && (now.threads > before->threads || now.descriptors > before->descriptors); i++) {
    conf_sleep_ms(10);
    now.threads = conf_threads();
    now.descriptors = conf_descriptors();
  }
  if (now.descriptors > before->descriptors)
    conf_broken(file, line, "%" PRIu64 " handles are open, %" PRIu64 " were before", now.descriptors,
                before->descriptors);
  if (now.maps > before->maps)
    conf_broken(file, line, "%" PRIu64 " maps of files are there, %" PRIu64 " were before", now.maps, before->maps);
  if (now.threads > before->threads)
    conf_broken(file, line, "%" PRIu64 " threads run, %" PRIu64 " did before", now.threads, before->threads);
  if (now.heap_bytes != UINT64_MAX && now.heap_bytes > before->heap_bytes + 65536)
    conf_broken(file, line, "%" PRIu64 " bytes of heap are in use, %" PRIu64 " were before", now.heap_bytes,
                before->heap_bytes);
}

/* Address space: a small one is used up but for what shall be left. */

#if defined(_WIN64)

void conf_limit_address_space(uint64_t more) {
  (void)more;
  conf_not_testable("the address space of a 64-bit process cannot be limited");
}

void conf_unlimit_address_space(void) {
}

#else

enum { MOST_BLOCKS = 20000 };

static void *blocks[MOST_BLOCKS];
static unsigned block_count;

void conf_limit_address_space(uint64_t more) {
  void *left = VirtualAlloc(NULL, (SIZE_T)more, MEM_RESERVE, PAGE_NOACCESS);
  if (left == NULL)
    conf_not_testable("there is less address space than the test wants to leave");
  for (SIZE_T size = (SIZE_T)512 << 20; size >= 65536; size /= 2)
    while (block_count < MOST_BLOCKS) {
      void *block = VirtualAlloc(NULL, size, MEM_RESERVE, PAGE_NOACCESS);
      if (block == NULL)
        break;
      blocks[block_count++] = block;
    }
  VirtualFree(left, 0, MEM_RELEASE);
}

void conf_unlimit_address_space(void) {
  while (block_count > 0)
    VirtualFree(blocks[--block_count], 0, MEM_RELEASE);
}

#endif
