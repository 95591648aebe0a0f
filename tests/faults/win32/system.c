/*
 * What million and truncations need of the system, on Windows.
 *
 * SPDX-License-Identifier: MIT
 *
 * Windows does not let anyone cut a file that is mapped. Under Wine a program of the system below may, and the maps
 * then fault as those of a file on a server do on Windows.
 */
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00
#endif
#include "../system.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

enum { LONGEST_NAME = 1000 };

const int fault_signal = 0;

size_t page_size(void) {
  SYSTEM_INFO system;

  GetSystemInfo(&system);
  return system.dwPageSize;
}

const char *usual_folder(void) {
  static char folder[MAX_PATH + 1];

  need(GetTempPathA(sizeof folder, folder) > 0);
  return folder;
}

const char *folder_for(const char *tests, const char *meant) {
  (void)tests;
  return meant;
}

unsigned long process_number(void) {
  return GetCurrentProcessId();
}

void remove_file(const char *path) {
  DeleteFileA(path);
}

static char *join(const char *folder, const char *name) {
  char *path = malloc(LONGEST_NAME);

  need(path != NULL);
  need(snprintf(path, LONGEST_NAME, "%s/%s", folder, name) < LONGEST_NAME);
  return path;
}

static HANDLE open_file(const char *path, DWORD disposition) {
  HANDLE file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                            NULL, disposition, FILE_ATTRIBUTE_NORMAL, NULL);

  need(file != INVALID_HANDLE_VALUE);
  return file;
}

static void write_all(const char *path, const void *bytes, size_t length) {
  HANDLE file = open_file(path, CREATE_ALWAYS);
  DWORD written = 0;

  need(length == 0 || (WriteFile(file, bytes, (DWORD)length, &written, NULL) && written == length));
  CloseHandle(file);
}

char *make_file(const char *folder, const char *name, uint64_t size) {
  char *path = join(folder, name);
  unsigned char *bytes = malloc((size_t)size + 1);

  need(bytes != NULL);
  pattern_fill(bytes, (size_t)size, 0);
  write_all(path, bytes, (size_t)size);
  free(bytes);
  return path;
}

static DWORD WINAPI wait_and_end(void *argument) {
  Sleep((DWORD)(uintptr_t)argument);
  fprintf(stderr, "this takes too long\n");
  TerminateProcess(GetCurrentProcess(), 99);
  return 0;
}

void end_after(unsigned seconds) {
  HANDLE thread = CreateThread(NULL, 0, wait_and_end, (void *)(uintptr_t)(seconds * 1000), 0, NULL);

  need(thread != NULL);
  CloseHandle(thread);
}

void grow_stack(void) {
}

/*
 * Threads
 */

typedef struct crowd {
  HANDLE go, leave, finished;
  atomic_uint busy;
  void (*body)(void *);
} crowd;

typedef struct place_in_crowd {
  HANDLE thread;
  crowd *with;
  void *argument;
} place_in_crowd;

static DWORD WINAPI join_in(void *argument) {
  const place_in_crowd *me = argument;
  crowd *with = me->with;

  WaitForSingleObject(with->go, INFINITE);
  with->body(me->argument);
  if (atomic_fetch_sub(&with->busy, 1) == 1) {
    SetEvent(with->finished);
  }
  WaitForSingleObject(with->leave, INFINITE);
  return 0;
}

/* Who runs this under Wine may keep it on one processor, where Wine's server answers soonest: not a crowd. */
static void take_all_processors(void) {
  DWORD_PTR allowed = 0, all = 0;

  if (GetProcessAffinityMask(GetCurrentProcess(), &allowed, &all) && allowed != all) {
    SetProcessAffinityMask(GetCurrentProcess(), all);
  }
}

void in_a_crowd(void (*body)(void *), void *arguments, size_t size, unsigned threads) {
  place_in_crowd places[16];
  crowd with = {CreateEventW(NULL, TRUE, FALSE, NULL), CreateEventW(NULL, TRUE, FALSE, NULL),
                CreateEventW(NULL, TRUE, FALSE, NULL), threads, body};

  need(threads <= 16 && with.go != NULL && with.leave != NULL && with.finished != NULL);
  for (unsigned i = 0; i < threads; i++) {
    places[i].with = &with;
    places[i].argument = (char *)arguments + i * size;
    places[i].thread = CreateThread(NULL, 0, join_in, &places[i], 0, NULL);
    need(places[i].thread != NULL);
  }
  take_all_processors();
  SetEvent(with.go);
  WaitForSingleObject(with.finished, INFINITE);
  SetEvent(with.leave);
  for (unsigned i = 0; i < threads; i++) {
    WaitForSingleObject(places[i].thread, INFINITE);
    CloseHandle(places[i].thread);
  }
  CloseHandle(with.go);
  CloseHandle(with.leave);
  CloseHandle(with.finished);
}

/*
 * What the process holds
 */

typedef struct holdings {
  size_t handles, maps, heap;
} holdings;

static holdings remembered;
static size_t handles_lost;

/* One by one, where the system does not count: handles are small multiples of 4. */
static size_t count_handles(void) {
  enum { HANDLES = 1024 };
  size_t count = 0;
  DWORD told = 0;

  if (GetProcessHandleCount(GetCurrentProcess(), &told) && told > 0) {
    return told - handles_lost;
  }
  for (uintptr_t number = 1; number <= HANDLES; number++) {
    DWORD flags;

    count += GetHandleInformation((HANDLE)(number * 4), &flags) != FALSE;
  }
  return count - handles_lost;
}

static size_t count_maps(void) {
  MEMORY_BASIC_INFORMATION memory;
  const void *last = NULL;
  const char *at = NULL, *next;
  size_t count = 0;

  while (VirtualQuery(at, &memory, sizeof memory) == sizeof memory) {
    if (memory.State != MEM_FREE && memory.Type == MEM_MAPPED && memory.AllocationBase != last) {
      last = memory.AllocationBase;
      count++;
    }
    next = (const char *)memory.BaseAddress + memory.RegionSize;
    if (next <= at) {
      break;
    }
    at = next;
  }
  return count;
}

static size_t count_heap(void) {
  HANDLE heaps[64];
  DWORD count = GetProcessHeaps(64, heaps);
  size_t bytes = 0;

  need(count <= 64);
  for (DWORD i = 0; i < count; i++) {
    PROCESS_HEAP_ENTRY entry = {.lpData = NULL};

    need(HeapLock(heaps[i]));
    while (HeapWalk(heaps[i], &entry)) {
      bytes += (entry.wFlags & PROCESS_HEAP_ENTRY_BUSY) != 0 ? entry.cbData : 0;
    }
    HeapUnlock(heaps[i]);
  }
  return bytes;
}

static holdings count_all(void) {
  holdings now = {count_handles(), count_maps(), count_heap()};

  return now;
}

void holdings_remember(void) {
  remembered = count_all();
}

static int differs(const char *what, const char *name, size_t before, size_t after, size_t allowed) {
  int more = after > before + allowed;

  if (more) {
    printf("%s: %s was %zu, is %zu\n", what, name, before, after);
  }
  return more;
}

/* The system's own heap users keep some of what they get. */
int holdings_differ(const char *what) {
  enum { SOME_HEAP = 16384 };
  holdings now = count_all();
  int differences = differs(what, "count of handles", remembered.handles, now.handles, 0) +
                    differs(what, "count of maps", remembered.maps, now.maps, 0) +
                    differs(what, "bytes of heap", remembered.heap, now.heap, SOME_HEAP);

  fflush(stdout);
  return differences;
}

/* The registers of the x87, which a fault may leave in use, and the direction. */
int takes_faults_otherwise(void) {
  struct {
    uint32_t words[7];
  } x87;
  uintptr_t flags;

  __asm__ volatile("fnstenv %0\n\tfldenv %0" : "=m"(x87));
#if defined(_WIN64)
  __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
#else
  __asm__ volatile("pushfl\n\tpopl %0" : "=r"(flags));
#endif
  return ((x87.words[2] & 0xffff) != 0xffff) + ((flags & 0x400) != 0);
}

/*
 * Cutting
 */

/* Of a program of the system below nothing is known but what it does to files; Wine loses a handle with each. */
static void run_below(const wchar_t *program, const char *line) {
  STARTUPINFOW start = {.cb = sizeof start};
  PROCESS_INFORMATION process;
  wchar_t units[4 * LONGEST_NAME];
  size_t before = count_handles();

  need(MultiByteToWideChar(CP_ACP, 0, line, -1, units, 4 * LONGEST_NAME) > 0);
  need(CreateProcessW(program, units, NULL, NULL, FALSE, 0, NULL, NULL, &start, &process));
  handles_lost += count_handles() - before;
}

typedef char *(CDECL *unix_name)(const wchar_t *);

static unix_name name_below(void) {
  return (unix_name)(void (*)(void))GetProcAddress(GetModuleHandleW(L"kernel32.dll"), "wine_get_unix_file_name");
}

/* The same file's name there, in quotes. */
static void add_name(char *line, size_t size, const char *path) {
  wchar_t units[LONGEST_NAME], full[LONGEST_NAME];
  size_t used = strlen(line);
  char *name;

  need(MultiByteToWideChar(CP_ACP, 0, path, -1, units, LONGEST_NAME) > 0);
  need(GetFullPathNameW(units, LONGEST_NAME, full, NULL) > 0);
  name = name_below()(full);
  need(name != NULL);
  need(snprintf(line + used, size - used, " \"%s\"", name) < (int)(size - used));
  HeapFree(GetProcessHeap(), 0, name);
}

static uint64_t length_of(const char *path) {
  WIN32_FILE_ATTRIBUTE_DATA data;

  need(GetFileAttributesExA(path, GetFileExInfoStandard, &data));
  return (uint64_t)data.nFileSizeHigh << 32 | data.nFileSizeLow;
}

static int set_length_below(const char *path, uint64_t length) {
  char line[2 * LONGEST_NAME];

  if (name_below() == NULL) {
    return 0;
  }
  snprintf(line, sizeof line, "truncate -s %" PRIu64, length);
  add_name(line, sizeof line, path);
  run_below(L"\\\\?\\unix\\usr\\bin\\truncate", line);
  for (int i = 0; length_of(path) != length; i++) {
    need(i < 20000);
    Sleep(1);
  }
  return 1;
}

int set_length(const char *path, uint64_t length) {
  HANDLE file = open_file(path, OPEN_EXISTING);
  FILE_END_OF_FILE_INFO end;
  DWORD error;

  end.EndOfFile.QuadPart = (LONGLONG)length;
  error = SetFileInformationByHandle(file, FileEndOfFileInfo, &end, sizeof end) ? 0 : GetLastError();
  CloseHandle(file);
  if (error == ERROR_USER_MAPPED_FILE) {
    return set_length_below(path, length);
  }
  need(error == 0);
  return 1;
}

/*
 * Cutting over and over: a shell below does it. They speak by files in a folder: "cuts" is how many there have been,
 * "enough" that they are enough, "beat" changes as long as this process lives, "ended" that the shell goes. A process
 * that gets no time for a while is not dead: the beat is missed ten times first.
 */

static const char script[] = "file=$1 right=$2 size=$3 count=$4 folder=$5\n"
                             "random=12345 cuts=0 beat= last=none missed=0\n"
                             "while [ $cuts -lt $count ] || [ ! -e \"$folder/enough\" ]; do\n"
                             "  random=$(((random * 1103515245 + 12345) & 0x7fffffff))\n"
                             "  cuts=$((cuts + 1))\n"
                             "  if [ $((random & 0x10000)) -eq 0 ]; then\n"
                             "    : >\"$file\"\n"
                             "    cat \"$right\" >\"$file\"\n"
                             "  else\n"
                             "    truncate -s $(((random >> 8) % size)) \"$file\"\n"
                             "    [ $((random & 0x20000)) -eq 0 ] || truncate -s $size \"$file\"\n"
                             "    dd if=\"$right\" of=\"$file\" bs=64K conv=notrunc 2>/dev/null\n"
                             "  fi\n"
                             "  echo $cuts >\"$folder/cuts\"\n"
                             "  if [ $((cuts % 1000)) -eq 0 ]; then\n"
                             "    read -r beat <\"$folder/beat\"\n"
                             "    missed=$((missed + 1))\n"
                             "    [ \"$beat\" = \"$last\" ] || missed=0\n"
                             "    [ $missed -lt 10 ] || break\n"
                             "    last=$beat\n"
                             "  fi\n"
                             "done\n"
                             ": >\"$folder/ended\"\n";

struct cutter {
  char *folder, *cuts, *enough, *beat, *ended, *script, *right;
  atomic_int gone;
  atomic_uint_fast64_t next_look;
};

static int exists(const char *path) {
  return GetFileAttributesA(path) != INVALID_FILE_ATTRIBUTES;
}

static void beat(cutter *one) {
  char text[32];
  int length = snprintf(text, sizeof text, "%" PRIu64 "\n", (uint64_t)GetTickCount64());

  write_all(one->beat, text, (size_t)length);
}

cutter *cutter_start(const char *path, const unsigned char *right, size_t size, unsigned long count) {
  cutter *one = calloc(1, sizeof *one);
  char line[4 * LONGEST_NAME];

  need(one != NULL);
  if (name_below() == NULL) {
    free(one);
    return NULL;
  }
  one->folder = malloc(LONGEST_NAME);
  need(one->folder != NULL && snprintf(one->folder, LONGEST_NAME, "%s.cutter", path) < LONGEST_NAME);
  need(CreateDirectoryA(one->folder, NULL) || GetLastError() == ERROR_ALREADY_EXISTS);
  one->cuts = join(one->folder, "cuts");
  one->enough = join(one->folder, "enough");
  one->beat = join(one->folder, "beat");
  one->ended = join(one->folder, "ended");
  one->script = join(one->folder, "script");
  one->right = join(one->folder, "right");
  write_all(one->right, right, size);
  write_all(one->script, script, sizeof script - 1);
  beat(one);
  snprintf(line, sizeof line, "sh");
  add_name(line, sizeof line, one->script);
  add_name(line, sizeof line, path);
  add_name(line, sizeof line, one->right);
  snprintf(line + strlen(line), sizeof line - strlen(line), " %zu %lu", size, count);
  add_name(line, sizeof line, one->folder);
  run_below(L"\\\\?\\unix\\bin\\sh", line);
  return one;
}

/* Looked at by one thread now and then. */
int cutter_runs(cutter *one) {
  uint64_t now = GetTickCount64(), look = atomic_load(&one->next_look);

  if (now >= look && atomic_compare_exchange_strong(&one->next_look, &look, now + 50)) {
    beat(one);
    if (exists(one->ended)) {
      atomic_store(&one->gone, 1);
    }
  }
  return !atomic_load(&one->gone);
}

void cutter_enough(cutter *one) {
  write_all(one->enough, "", 0);
}

static void forget(char *path) {
  DeleteFileA(path);
  free(path);
}

unsigned long cutter_end(cutter *one) {
  FILE *file = fopen(one->cuts, "r");
  unsigned long cuts = 0;

  need(file != NULL && fscanf(file, "%lu", &cuts) == 1);
  fclose(file);
  forget(one->cuts);
  forget(one->enough);
  forget(one->beat);
  forget(one->ended);
  forget(one->script);
  forget(one->right);
  RemoveDirectoryA(one->folder);
  free(one->folder);
  free(one);
  return cuts;
}

/*
 * Receiving
 */

void receiver_make(receiver *one, const char *folder, unsigned number) {
  char name[64];

  snprintf(name, sizeof name, "receiver.%lu.%u", process_number(), number);
  one->path = join(folder, name);
  one->native = (intptr_t)open_file(one->path, CREATE_ALWAYS);
}

void receiver_empty(receiver *one) {
  need(SetFilePointer((HANDLE)one->native, 0, NULL, FILE_BEGIN) == 0 && SetEndOfFile((HANDLE)one->native));
}

size_t receiver_take(receiver *one, void *buffer, size_t size) {
  DWORD length = GetFileSize((HANDLE)one->native, NULL), got = 0;

  need(length <= size);
  need(SetFilePointer((HANDLE)one->native, 0, NULL, FILE_BEGIN) == 0);
  need(length == 0 || (ReadFile((HANDLE)one->native, buffer, length, &got, NULL) && got == length));
  return length;
}

void receiver_remove(receiver *one) {
  CloseHandle((HANDLE)one->native);
  DeleteFileA(one->path);
  free(one->path);
}
