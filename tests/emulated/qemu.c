/*
 * qemu.c - what qemu 7.2, emulating a single program, gets wrong of signals and maps, put right for the tests: a
 * library that is preloaded into the emulated program.
 *
 * SPDX-License-Identifier: MIT
 *
 * - On s390x the halves of a SIGBUS's address are exchanged.
 * - On powerpc a SIGSEGV says of every page that nothing is mapped there.
 * - A fault that a handler queues to its thread again, to end the process by it, is taken for a fault of the emulator
 *   itself, which ends by a failed assertion. Here the signal is sent without its information: the process dies of it
 *   all the same, and as qemu lets nobody trace it, nobody could see more of its death.
 * - Where pages are larger than the system's (QEMU_PAGESIZE), a map stops where its file does, and does not show what
 *   the file grows by; where the file is cut while it is mapped, what comes after is memory that nobody may touch.
 *   And what lies behind a program's last byte in its last page, system calls take for nobody's memory.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SYSTEM_PAGE = 4096, HALF = sizeof(void *) * 4 };
#ifdef __s390x__
enum { IS_S390 = 1 };
#else
enum { IS_S390 = 0 };
#endif
#ifdef __powerpc__
enum { IS_POWERPC = 1 };
#else
enum { IS_POWERPC = 0 };
#endif

typedef void (*handler)(int signo, siginfo_t *info, void *context);

static int (*real_sigaction)(int signo, const struct sigaction *action, struct sigaction *old);
static long (*real_syscall)(long number, ...);

static __attribute__((constructor)) void find_real(void) {
  *(void **)&real_sigaction = dlsym(RTLD_NEXT, "sigaction");
  *(void **)&real_syscall = dlsym(RTLD_NEXT, "syscall");
}

/*
 * What a handler is told
 */

/* The handlers that the program has asked for. */
static _Atomic(handler) of_bus, of_segv;

static _Atomic(handler) *handler_of(int signo) {
  if (signo == SIGBUS)
    return &of_bus;
  return signo == SIGSEGV ? &of_segv : NULL;
}

static bool is_mapped(uintptr_t address) {
  unsigned char resident;
  int error = errno;
  bool mapped = mincore((void *)(address & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1)), 1, &resident) == 0;
  errno = error;
  return mapped;
}

static void mend(int signo, siginfo_t *info, void *context) {
  uintptr_t address = (uintptr_t)info->si_addr;
  if (IS_S390 && signo == SIGBUS && info->si_code > 0 && !is_mapped(address))
    info->si_addr = (void *)(address << HALF | address >> HALF);
  if (IS_POWERPC && signo == SIGSEGV && info->si_code == SEGV_MAPERR && is_mapped(address))
    info->si_code = SEGV_ACCERR;
  atomic_load(handler_of(signo))(signo, info, context);
}

int sigaction(int signo, const struct sigaction *action, struct sigaction *old) {
  _Atomic(handler) *place = handler_of(signo);
  struct sigaction ours;
  if (place == NULL)
    return real_sigaction(signo, action, old);
  handler before = atomic_load(place);
  if (action != NULL && (action->sa_flags & SA_SIGINFO) != 0) {
    ours = *action;
    ours.sa_sigaction = mend;
    atomic_store(place, action->sa_sigaction);
    action = &ours;
  }
  int result = real_sigaction(signo, action, old);
  if (result == 0 && old != NULL && (old->sa_flags & SA_SIGINFO) != 0 && old->sa_sigaction == mend)
    old->sa_sigaction = before;
  return result;
}

long syscall(long number, ...) {
  long word[6];
  va_list words;
  va_start(words, number);
  for (int i = 0; i < 6; i++)
    word[i] = va_arg(words, long);
  va_end(words);
  if (number == SYS_rt_tgsigqueueinfo && handler_of((int)word[2]) != NULL && ((const siginfo_t *)word[3])->si_code > 0)
    return real_syscall(SYS_tgkill, word[0], word[1], word[2]);
  return real_syscall(number, word[0], word[1], word[2], word[3], word[4], word[5]);
}

/*
 * Maps with large pages
 */

#if UINTPTR_MAX > UINT32_MAX

static void *(*real_mmap)(void *address, size_t length, int protection, int how, int descriptor, off_t offset);

static __attribute__((constructor)) void find_real_mmap(void) {
  *(void **)&real_mmap = dlsym(RTLD_NEXT, "mmap");
}

/* The first thread's own variables lie behind what the dynamic linker needs of its last page. */
static __attribute__((constructor)) void own_last_page(void) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (page > SYSTEM_PAGE)
    mprotect((void *)((uintptr_t)&errno & ~(uintptr_t)(page - 1)), page, PROT_READ | PROT_WRITE);
}

enum { TRIES = 1000 };

/* Of an empty file there is no page to begin with: it has bytes for as long as it takes. */
static void *map_empty(size_t length, int protection, int how, int descriptor, off_t offset) {
  if (ftruncate(descriptor, offset + (off_t)length) != 0)
    return MAP_FAILED;
  void *made = real_mmap(NULL, length, protection, how & ~MAP_FIXED, descriptor, offset);
  if (ftruncate(descriptor, 0) != 0)
    abort();
  return made;
}

/* A map of the first page wanted, or of the file's last one, made longer: that may lead over the end. */
static void *map_from_page(size_t length, int protection, int how, int descriptor, off_t offset, off_t end) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  off_t first = offset < end ? offset : (end - 1) / (off_t)page * (off_t)page;
  size_t before = (size_t)(offset - first);
  unsigned char *made = real_mmap(NULL, page, protection, how & ~MAP_FIXED, descriptor, first);
  if (made == MAP_FAILED)
    return MAP_FAILED;
  unsigned char *longer = mremap(made, SYSTEM_PAGE, before + length, MREMAP_MAYMOVE);
  int error = errno;
  munmap(longer == MAP_FAILED ? made : made + SYSTEM_PAGE, longer == MAP_FAILED ? page : page - SYSTEM_PAGE);
  errno = error;
  if (longer == MAP_FAILED)
    return MAP_FAILED;
  if (before > 0)
    munmap(longer, before);
  return longer + before;
}

/* Others may cut the file at any time, and qemu asks how long it is before it maps: what fails may work the next time.
   An empty file with a name is given bytes only when nobody else does so. */
static void *map_at_last(size_t length, int protection, int how, int descriptor, off_t offset) {
  const struct timespec moment = {0, 100000};
  struct stat info;
  void *made = MAP_FAILED;
  for (int tries = 0; made == MAP_FAILED && tries < TRIES; tries++) {
    if (fstat(descriptor, &info) != 0)
      return MAP_FAILED;
    if (info.st_size > 0)
      made = map_from_page(length, protection, how, descriptor, offset, info.st_size);
    else if (info.st_nlink == 0 || tries == TRIES - 1)
      made = map_empty(length, protection, how, descriptor, offset);
    if (made == MAP_FAILED && (info.st_nlink == 0 || errno == EACCES || errno == EPERM))
      return MAP_FAILED;
    if (made == MAP_FAILED)
      nanosleep(&moment, NULL);
  }
  return made;
}

static void *map(void *address, size_t length, int protection, int how, int descriptor, off_t offset) {
  struct stat info;
  if ((how & MAP_ANONYMOUS) != 0 || sysconf(_SC_PAGESIZE) == SYSTEM_PAGE || fstat(descriptor, &info) != 0 ||
      !S_ISREG(info.st_mode))
    return real_mmap(address, length, protection, how, descriptor, offset);
  void *made = map_at_last(length, protection, how, descriptor, offset);
  if (made == MAP_FAILED || (how & MAP_FIXED) == 0)
    return made;
  return mremap(made, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, address);
}

void *mmap(void *address, size_t length, int protection, int how, int descriptor, off_t offset) {
  return map(address, length, protection, how, descriptor, offset);
}

void *mmap64(void *address, size_t length, int protection, int how, int descriptor, off64_t offset) {
  return map(address, length, protection, how, descriptor, offset);
}

#endif
