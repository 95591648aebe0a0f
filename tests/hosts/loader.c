/*
 * loader.c - the library loaded by LoadLibrary, used, and let go by FreeLibrary: what it leaves behind must go on
 * working, and nothing of it may be called that is no longer there.
 *
 * SPDX-License-Identifier: MIT
 *
 * Promise fault-dlopen on Windows. The program is not linked with the library; an argument or MAPFILE_TEST_LIBRARY says
 * where it is, else it is looked for by its name. Each case runs in a process of its own. Needs no Check; prints TAP.
 */
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00
#endif
#define MAPFILE_STATIC
#include <mapfile.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

enum { MANY = 300, THREADS = 4, SKIPPED = 77, SECONDS = 60 };

/* Say what is wrong and end the case. */
#define NEED(condition)                                                 \
  do {                                                                  \
    if (!(condition)) {                                                 \
      fprintf(stderr, "  line %d: not so: %s\n", __LINE__, #condition); \
      fflush(stderr);                                                   \
      TerminateProcess(GetCurrentProcess(), 1);                         \
    }                                                                   \
  } while (0)

static const char *library_name = "libmapfile-0.dll";
static size_t page;
static char folder[MAX_PATH + 1];

/*
 * The library, as GetProcAddress gives it
 */

typedef struct library {
  HMODULE handle;
  mapfile_status(MAPFILE_CALL *open)(const char *, const mapfile_options *, mapfile **);
  mapfile_status(MAPFILE_CALL *close)(mapfile *);
  mapfile_status(MAPFILE_CALL *pin)(mapfile *, uint64_t, uint64_t, uint32_t, mapfile_view *);
  mapfile_status(MAPFILE_CALL *unpin)(mapfile_view *);
  mapfile_status(MAPFILE_CALL *run)(mapfile *, const mapfile_view *, mapfile_body, void *, mapfile_fault *);
  mapfile_status(MAPFILE_CALL *explain)(mapfile_fault *);
  mapfile_status(MAPFILE_CALL *inject)(mapfile *, uint64_t, uint64_t, mapfile_status);
  mapfile_status(MAPFILE_CALL *rearm)(void);
  uint32_t(MAPFILE_CALL *version)(const char **);
} library;

static void look_up(HMODULE handle, const char *name, void *function) {
  FARPROC symbol = GetProcAddress(handle, name);
  NEED(symbol != NULL);
  memcpy(function, &symbol, sizeof symbol);
}

static library load(void) {
  library with = {.handle = LoadLibraryA(library_name)};
  NEED(with.handle != NULL);
  look_up(with.handle, "mapfile_open", &with.open);
  look_up(with.handle, "mapfile_close", &with.close);
  look_up(with.handle, "mapfile_pin", &with.pin);
  look_up(with.handle, "mapfile_unpin", &with.unpin);
  look_up(with.handle, "mapfile_try", &with.run);
  look_up(with.handle, "mapfile_fault_explain", &with.explain);
  look_up(with.handle, "mapfile_inject", &with.inject);
  look_up(with.handle, "mapfile_handler_rearm", &with.rearm);
  look_up(with.handle, "mapfile_version", &with.version);
  return with;
}

static void unload(library *with) {
  NEED(FreeLibrary(with->handle));
  with->handle = NULL;
}

/*
 * Faults
 */

static mapfile_status MAPFILE_CALL read_byte(void *argument) {
  (void)*(const volatile char *)argument;
  return MAPFILE_OK;
}

static mapfile *open_one(const library *with) {
  char path[MAX_PATH + 64];
  mapfile *file = NULL;
  DWORD written = 0;
  char *bytes = calloc(2, page);
  snprintf(path, sizeof path, "%s/mapfile-loader-%lu-%lu", folder, GetCurrentProcessId(), GetCurrentThreadId());
  HANDLE made = CreateFileA(path, GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                            CREATE_ALWAYS, FILE_FLAG_DELETE_ON_CLOSE, NULL);
  NEED(made != INVALID_HANDLE_VALUE && bytes != NULL);
  NEED(WriteFile(made, bytes, (DWORD)(2 * page), &written, NULL) && written == 2 * page);
  NEED(with->open(path, NULL, &file) == MAPFILE_OK);
  CloseHandle(made);
  free(bytes);
  return file;
}

/* Open, pin, recover, let everything go. */
static void recover(const library *with) {
  mapfile *file = open_one(with);
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  NEED(with->inject(file, page, page, MAPFILE_IO) == MAPFILE_OK);
  NEED(with->pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view) == MAPFILE_OK);
  NEED(with->run(file, &view, read_byte, view.data, &fault) == MAPFILE_OK);
  NEED(with->run(file, &view, read_byte, (char *)view.data + page + 5, &fault) == MAPFILE_UNKNOWN);
  NEED(fault.offset == page + 5 && fault.file == file);
  NEED(with->explain(&fault) == MAPFILE_IO);
  NEED(with->unpin(&view) == MAPFILE_OK);
  NEED(with->close(file) == MAPFILE_OK);
}

/* A fault that is none of the library's is mended by this program's own handler. */

static char *volatile to_mend;
static volatile int mended;

static LONG CALLBACK mend(EXCEPTION_POINTERS *pointers) {
  const EXCEPTION_RECORD *record = pointers->ExceptionRecord;
  DWORD before;
  if (record->ExceptionCode != EXCEPTION_ACCESS_VIOLATION || to_mend == NULL ||
      record->ExceptionInformation[1] - (uintptr_t)to_mend >= page)
    return EXCEPTION_CONTINUE_SEARCH;
  VirtualProtect(to_mend, page, PAGE_READWRITE, &before);
  mended++;
  return EXCEPTION_CONTINUE_EXECUTION;
}

static void fault_of_its_own(void) {
  void *handler = AddVectoredExceptionHandler(0, mend);
  int before = mended;
  NEED(handler != NULL);
  to_mend = VirtualAlloc(NULL, page, MEM_RESERVE | MEM_COMMIT, PAGE_NOACCESS);
  NEED(to_mend != NULL);
  read_byte(to_mend + 7);
  NEED(mended == before + 1);
  VirtualFree(to_mend, 0, MEM_RELEASE);
  to_mend = NULL;
  RemoveVectoredExceptionHandler(handler);
}

/* Everything that calls into modules by itself: exceptions, threads that begin and end, fibers. */

static DWORD WINAPI do_nothing(void *argument) {
  (void)argument;
  return 5;
}

static void CALLBACK switch_back(void *fiber) {
  for (;;)
    SwitchToFiber(fiber);
}

static void use_a_fiber(void) {
  void *self = ConvertThreadToFiber(NULL);
  NEED(self != NULL);
  void *fiber = CreateFiber(0, switch_back, self);
  NEED(fiber != NULL);
  SwitchToFiber(fiber);
  DeleteFiber(fiber);
  NEED(ConvertFiberToThread());
}

static void wait_for(HANDLE thread, DWORD wanted) {
  DWORD code = 0;
  NEED(WaitForSingleObject(thread, SECONDS * 1000) == WAIT_OBJECT_0);
  NEED(GetExitCodeThread(thread, &code) && code == wanted);
  CloseHandle(thread);
}

static void live_on(void) {
  OutputDebugStringA("loader: a word\n");
  OutputDebugStringW(L"loader: a word in Unicode\n");
  fault_of_its_own();
  for (int i = 0; i < 10; i++)
    wait_for(CreateThread(NULL, 0, do_nothing, NULL, 0, NULL), 5);
  use_a_fiber();
}

/*
 * Cases
 */

static void used_and_let_go(void) {
  library with = load();
  recover(&with);
  unload(&with);
  live_on();
}

static void only_loaded(void) {
  library with = load();
  NEED(with.version(NULL) != 0);
  unload(&with);
  live_on();
}

/* Without a scope, so without a handler; but with what a thread has of its own. */
static void only_opened(void) {
  library with = load();
  mapfile *file = open_one(&with);
  NEED(with.close(file) == MAPFILE_OK);
  unload(&with);
  live_on();
}

static void only_handled(void) {
  library with = load();
  NEED(with.rearm() == MAPFILE_OK);
  unload(&with);
  live_on();
}

static void again_and_again(void) {
  for (int i = 0; i < MANY; i++) {
    library with = load();
    if (i % 3 != 0)
      recover(&with);
    unload(&with);
    fault_of_its_own();
  }
  live_on();
}

/* Threads that used the library end after it was let go. */

typedef struct worker {
  library *with;
  HANDLE ready, go;
} worker;

static DWORD WINAPI recover_and_wait(void *argument) {
  const worker *me = argument;
  recover(me->with);
  SetEvent(me->ready);
  WaitForSingleObject(me->go, INFINITE);
  fault_of_its_own();
  return 5;
}

static void threads_end_later(void) {
  library with = load();
  HANDLE threads[THREADS];
  worker workers[THREADS];
  for (int i = 0; i < THREADS; i++) {
    workers[i] = (worker){&with, CreateEventW(NULL, TRUE, FALSE, NULL), CreateEventW(NULL, TRUE, FALSE, NULL)};
    threads[i] = CreateThread(NULL, 0, recover_and_wait, &workers[i], 0, NULL);
    NEED(threads[i] != NULL && WaitForSingleObject(workers[i].ready, SECONDS * 1000) == WAIT_OBJECT_0);
  }
  unload(&with);
  live_on();
  /* One by one: there is one page to mend. */
  for (int i = 0; i < THREADS; i++) {
    SetEvent(workers[i].go);
    wait_for(threads[i], 5);
    CloseHandle(workers[i].ready);
    CloseHandle(workers[i].go);
  }
  live_on();
}

/* The program ends with a mapfile open and the library let go: the thread that parks is not waited for. */
static void left_open(void) {
  library with = load();
  mapfile *file = open_one(&with);
  mapfile_view view = MAPFILE_VIEW_INIT;
  NEED(with.pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view) == MAPFILE_OK);
  NEED(with.unpin(&view) == MAPFILE_OK);
  unload(&with);
  live_on();
}

/* A fault that nobody takes still kills. */
static void still_dies(void) {
  library with = load();
  recover(&with);
  unload(&with);
  char *bad = VirtualAlloc(NULL, page, MEM_RESERVE | MEM_COMMIT, PAGE_NOACCESS);
  read_byte(bad);
}

static const struct {
  const char *name;
  void (*run)(void);
  DWORD code;
} cases[] = {
    {"used and let go", used_and_let_go, 0},
    {"only loaded", only_loaded, 0},
    {"only opened", only_opened, 0},
    {"only handled", only_handled, 0},
    {"again and again", again_and_again, 0},
    {"threads end later", threads_end_later, 0},
    {"left open", left_open, 0},
    {"still dies", still_dies, EXCEPTION_ACCESS_VIOLATION},
};
enum { CASES = sizeof cases / sizeof cases[0] };

static DWORD run_case(const char *self, unsigned number) {
  STARTUPINFOA start = {.cb = sizeof start};
  PROCESS_INFORMATION process;
  char line[2 * MAX_PATH + 64];
  DWORD code = 0;
  snprintf(line, sizeof line, "\"%s\" --case %u \"%s\"", self, number, library_name);
  if (!CreateProcessA(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &process))
    return GetLastError();
  if (WaitForSingleObject(process.hProcess, SECONDS * 1000) != WAIT_OBJECT_0)
    TerminateProcess(process.hProcess, 124);
  WaitForSingleObject(process.hProcess, SECONDS * 1000);
  GetExitCodeProcess(process.hProcess, &code);
  CloseHandle(process.hProcess);
  CloseHandle(process.hThread);
  return code;
}

static int run_all(const char *self) {
  HMODULE probe = LoadLibraryA(library_name);
  int failed = 0;
  if (probe == NULL) {
    printf("1..0 # SKIP %s cannot be loaded (error %lu)\n", library_name, GetLastError());
    return SKIPPED;
  }
  printf("1..%d\n", CASES);
  fflush(stdout);
  for (unsigned i = 0; i < CASES; i++) {
    DWORD code = run_case(self, i);
    bool good = code == cases[i].code;
    printf("%sok %u - %s\n", good ? "" : "not ", i + 1, cases[i].name);
    if (!good)
      printf("# it ended with exit code %#lx, not %#lx\n", code, cases[i].code);
    fflush(stdout);
    failed |= !good;
  }
  return failed;
}

int main(int count, char **words) {
  SYSTEM_INFO system;
  char self[MAX_PATH];
  const char *named = getenv("MAPFILE_TEST_LIBRARY");
  GetSystemInfo(&system);
  page = system.dwPageSize;
  SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX | SEM_NOOPENFILEERRORBOX);
  GetModuleFileNameA(NULL, self, sizeof self);
  GetTempPathA(sizeof folder, folder);
  if (named != NULL && *named != '\0')
    library_name = named;
  if (count == 4 && strcmp(words[1], "--case") == 0) {
    unsigned number = (unsigned)strtoul(words[2], NULL, 10);
    library_name = words[3];
    if (number < CASES)
      cases[number].run();
    return number < CASES ? 0 : 2;
  }
  if (count == 2)
    library_name = words[1];
  return run_all(self);
}
