/*
 * files.c - files, folders, threads and counts for the conformance cases, on POSIX.
 *
 * SPDX-License-Identifier: MIT
 */
#include "posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#ifdef __linux__
#include <link.h>
#include <sys/sysmacros.h>
#endif
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
#include <malloc.h>
#define HAVE_HEAP_COUNT 1
#else
#define HAVE_HEAP_COUNT 0
#endif

extern const conf_group conf_special, conf_unmappable, conf_signals, conf_stacks, conf_posix_names, conf_posix_writing;

const conf_group *const conf_platform_groups[] = {&conf_special,     &conf_unmappable,    &conf_signals, &conf_stacks,
                                                  &conf_posix_names, &conf_posix_writing, NULL};

const bool conf_fills_maps = true;
const bool conf_has_in_page = false;
const bool conf_maps_pass_end = true;
const bool conf_mapped_keep_name = false;

void conf_begin(const conf_case *one, uint32_t access, const char *folder) {
  struct rlimit none = {0, 0};
  conf_access = access;
  conf_faulty = one->faults;
  conf_page = conf_map_unit = (size_t)sysconf(_SC_PAGESIZE);
  conf_remember_folder(folder);
  /* Many children die of a signal on purpose. */
  setrlimit(RLIMIT_CORE, &none);
  /* The sanitizers take this signal; the cases are about what happens where nobody has. */
  signal(SIGBUS, SIG_DFL);
  signal(SIGPIPE, SIG_DFL);
}

#define MUST(condition, what)                                    \
  do {                                                           \
    if (!(condition))                                            \
      conf_not_testable("%s failed: %s", what, strerror(errno)); \
  } while (0)

static int must_open(const char *path, int flags) {
  int descriptor = open(path, flags | O_CLOEXEC, 0644);
  MUST(descriptor >= 0, path);
  return descriptor;
}

static void must_write(int descriptor, const void *bytes, size_t size, uint64_t offset) {
  for (size_t done = 0; done < size;) {
    ssize_t now = pwrite(descriptor, (const char *)bytes + done, size - done, (off_t)(offset + done));
    MUST(now > 0, "writing a test file");
    done += (size_t)now;
  }
}

static void must_write_pattern(int descriptor, uint64_t offset, uint64_t size) {
  unsigned char buffer[65536];
  for (uint64_t done = 0; done < size;) {
    size_t now = size - done < sizeof buffer ? (size_t)(size - done) : sizeof buffer;
    conf_pattern(buffer, now, offset + done);
    must_write(descriptor, buffer, now, offset + done);
    done += now;
  }
}

const char *conf_make(const char *name, uint64_t size) {
  const char *path = conf_path(name);
  int descriptor = must_open(path, O_RDWR | O_CREAT | O_TRUNC);
  must_write_pattern(descriptor, 0, size);
  close(descriptor);
  return path;
}

const char *conf_make_bytes(const char *name, const void *bytes, size_t size) {
  const char *path = conf_path(name);
  int descriptor = must_open(path, O_RDWR | O_CREAT | O_TRUNC);
  must_write(descriptor, bytes, size, 0);
  close(descriptor);
  return path;
}

const char *conf_make_sparse(const char *name, uint64_t size) {
  const char *path = conf_path(name);
  int descriptor = must_open(path, O_RDWR | O_CREAT | O_TRUNC);
  if ((uint64_t)(off_t)size != size || ftruncate(descriptor, (off_t)size) != 0)
    conf_not_testable("no sparse file of %" PRIu64 " bytes can be made: %s", size, strerror(errno));
  struct stat info;
  if (fstat(descriptor, &info) == 0 && (uint64_t)info.st_blocks * 512 > size / 2)
    conf_not_testable("the file system has no sparse files");
  close(descriptor);
  return path;
}

void conf_truncate(const char *path, uint64_t size) {
  int descriptor = must_open(path, O_RDWR);
  MUST(ftruncate(descriptor, (off_t)size) == 0, "cutting a test file");
  close(descriptor);
}

void conf_truncate_elsewhere(const char *path, uint64_t size) {
  int status = 0;
  pid_t child = fork();
  MUST(child >= 0, "fork");
  if (child == 0)
    _exit(truncate(path, (off_t)size) == 0 ? 0 : 1);
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    continue;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    conf_not_testable("another process could not cut the test file");
}

void conf_write_pattern(const char *path, uint64_t offset, size_t length) {
  int descriptor = must_open(path, O_RDWR);
  must_write_pattern(descriptor, offset, length);
  close(descriptor);
}

void conf_write_bytes(const char *path, uint64_t offset, const void *bytes, size_t length) {
  int descriptor = must_open(path, O_RDWR);
  must_write(descriptor, bytes, length, offset);
  close(descriptor);
}

void conf_read_bytes(const char *path, uint64_t offset, void *bytes, size_t length) {
  int descriptor = must_open(path, O_RDONLY);
  ssize_t got = pread(descriptor, bytes, length, (off_t)offset);
  MUST(got == (ssize_t)length, "reading a test file");
  close(descriptor);
}

uint64_t conf_file_size(const char *path) {
  struct stat info;
  MUST(stat(path, &info) == 0, path);
  return (uint64_t)info.st_size;
}

bool conf_rename(const char *from, const char *to) {
  return rename(from, to) == 0;
}

bool conf_remove(const char *path) {
  return unlink(path) == 0;
}

const char *const conf_odd_names[] = {"two\nlines",        "tab\tand 'quotes' and \"more\"",
                                      "-begins-with-dash", "percent %s %n",
                                      "back\\slash",       "ends.with.dot.",
                                      "ends with space ",  NULL};

/* Descriptors */

intptr_t conf_handle_open(const char *path, unsigned how) {
  int access = (how & CONF_WRITE) == 0 ? O_RDONLY : (how & CONF_READ) != 0 ? O_RDWR : O_WRONLY;
  return must_open(path, access | ((how & CONF_ANEW) != 0 ? O_CREAT | O_TRUNC : 0));
}

void conf_handle_close(intptr_t handle) {
  close((int)handle);
}

int64_t conf_handle_read(intptr_t handle, void *buffer, size_t length) {
  return read((int)handle, buffer, length);
}

int64_t conf_handle_write(intptr_t handle, const void *buffer, size_t length) {
  return write((int)handle, buffer, length);
}

uint64_t conf_handle_position(intptr_t handle) {
  return (uint64_t)lseek((int)handle, 0, SEEK_CUR);
}

void conf_pipe(intptr_t ends[2]) {
  int both[2];
  MUST(pipe(both) == 0, "making a pipe");
  ends[0] = both[0];
  ends[1] = both[1];
}

bool conf_sockets(intptr_t ends[2]) {
  int both[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, both) != 0)
    return false;
  ends[0] = both[0];
  ends[1] = both[1];
  return true;
}

bool conf_do_not_wait(intptr_t handle) {
  return fcntl((int)handle, F_SETFL, O_NONBLOCK) == 0;
}

intptr_t conf_full_device(void) {
  return open("/dev/full", O_WRONLY | O_CLOEXEC);
}

bool conf_is_error(int64_t native, conf_error what) {
  static const int errors[] = {ENOENT, ENOSPC, EPIPE};
  return native == errors[what];
}

const char *conf_error_text(int64_t native) {
  return strerror((int)native);
}

/* Faults that are none of the library's */

unsigned char *conf_foreign_page(const char *name) {
  const char *path = conf_make(name, conf_page);
  int descriptor = must_open(path, O_RDWR);
  unsigned char *page = mmap(NULL, conf_page, PROT_READ, MAP_SHARED, descriptor, 0);
  if (page == MAP_FAILED)
    conf_not_testable("the file system has no maps: %s", strerror(errno));
  close(descriptor);
  conf_truncate(path, 0);
  return page;
}

void conf_foreign_heal(const void *address) {
  uintptr_t page = (uintptr_t)address & ~((uintptr_t)conf_page - 1);
  if (mmap((void *)page, conf_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
      MAP_FAILED)
    _exit(99);
}

void conf_sleep_ms(unsigned milliseconds) {
  struct timespec left = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000L};
  while (nanosleep(&left, &left) != 0 && errno == EINTR)
    continue;
}

void conf_wait_for_clock(void) {
  conf_sleep_ms(30);
}

/* Folders */

int64_t conf_folder_make(const char *inside, const char *prefix, char *path, size_t size) {
  int length = snprintf(path, size, "%s/%sXXXXXX", inside, prefix);
  if (length < 0 || (size_t)length >= size)
    return ENAMETOOLONG;
  return mkdtemp(path) != NULL ? 0 : errno;
}

/* Relative to a descriptor, because the cases make paths longer than a system call takes. */
static void empty_folder(int folder) {
  DIR *entries = fdopendir(folder);
  if (entries == NULL) {
    close(folder);
    return;
  }
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
      continue;
    if (unlinkat(folder, entry->d_name, 0) == 0)
      continue;
    int inner = openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inner >= 0)
      empty_folder(inner);
    unlinkat(folder, entry->d_name, AT_REMOVEDIR);
  }
  closedir(entries);
}

void conf_folder_remove(const char *path) {
  int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder >= 0)
    empty_folder(folder);
  rmdir(path);
}

int64_t conf_resolve(const char *path, char *absolute, size_t size) {
  char *found = realpath(path, NULL);
  if (found == NULL)
    return errno;
  int length = snprintf(absolute, size, "%s", found);
  free(found);
  return length >= 0 && (size_t)length < size ? 0 : ENAMETOOLONG;
}

/* Paths are bytes. */
void conf_arguments(int *count, char ***words) {
  (void)count, (void)words;
}

const char *conf_program_path(const char *called_as) {
  static char path[4096];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  if (length > 0) {
    path[length] = '\0';
    return path;
  }
  return conf_resolve(called_as, path, sizeof path) == 0 ? path : called_as;
}

/* Threads */

static void *thread_main(void *argument) {
  conf_thread *thread = argument;
  thread->run(thread->argument);
  return NULL;
}

void conf_thread_start(conf_thread *thread, void (*run)(void *), void *argument, size_t stack) {
  pthread_attr_t attributes;
  pthread_t handle;
  thread->run = run;
  thread->argument = argument;
  pthread_attr_init(&attributes);
  if (stack != 0 && pthread_attr_setstacksize(&attributes, stack) != 0)
    conf_not_testable("no thread can have a stack of %zu bytes", stack);
  int error = pthread_create(&handle, &attributes, thread_main, thread);
  pthread_attr_destroy(&attributes);
  if (error != 0)
    conf_not_testable("no thread can be made: %s", strerror(error));
  thread->handle = (uintptr_t)handle;
}

void conf_thread_join(conf_thread *thread) {
  pthread_join((pthread_t)thread->handle, NULL);
}

_Noreturn void conf_thread_exit(void) {
  pthread_exit(NULL);
}

/* The smallest, and twice it: the signal's frame alone may take most of the first. */
size_t conf_small_stack(void) {
  long least = sysconf(_SC_THREAD_STACK_MIN);
  size_t stack = least > 16384 ? (size_t)least : 16384;
  return stack * (conf_instrument() != NULL ? 16 : 2);
}

/* The processor */

bool conf_want_float_exceptions(bool wanted) {
#ifdef __GLIBC__
  if (wanted)
    return feenableexcept(FE_DIVBYZERO | FE_INVALID) != -1;
  return fedisableexcept(FE_ALL_EXCEPT) != -1;
#else
  (void)wanted;
  return false;
#endif
}

bool conf_wants_float_exceptions(void) {
#ifdef __GLIBC__
  return fegetexcept() == (FE_DIVBYZERO | FE_INVALID);
#else
  return false;
#endif
}

bool conf_bears_alignment_flag(void) {
  return conf_instrument() == NULL;
}

#ifdef __linux__
static int run_within(struct dl_phdr_info *info, size_t size, void *argument) {
  (void)info, (void)size;
  (*(void (**)(void))argument)();
  return 1;
}

bool conf_hold_linker(void (*within)(void)) {
  dl_iterate_phdr(run_within, &within);
  return true;
}
#else
bool conf_hold_linker(void (*within)(void)) {
  (void)within;
  return false;
}
#endif

/* What the process holds */

bool conf_descriptor_open(int descriptor) {
  return fcntl(descriptor, F_GETFD) >= 0;
}

uint64_t conf_descriptors(void) {
  uint64_t count = 0;
  for (int descriptor = 0; descriptor < 4096; descriptor++)
    if (conf_descriptor_open(descriptor))
      count++;
  return count;
}

const char *conf_instrument(void) {
#if defined(__SANITIZE_ADDRESS__)
  return "AddressSanitizer";
#elif defined(__SANITIZE_THREAD__)
  return "ThreadSanitizer";
#else
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
  return "AddressSanitizer";
#elif __has_feature(thread_sanitizer)
  return "ThreadSanitizer";
#endif
#endif
  const char *preloaded = getenv("LD_PRELOAD");
  return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL ? "valgrind" : NULL;
#endif
}

/* Reads a file of /proc into a buffer that is large enough, or returns NULL. */
static char *read_proc(const char *path) {
  size_t size = 0, room = 65536;
  char *text = malloc(room);
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  while (text != NULL && descriptor >= 0) {
    ssize_t now = read(descriptor, text + size, room - size - 1);
    if (now <= 0)
      break;
    size += (size_t)now;
    if (room - size < 4096) {
      char *larger = realloc(text, room *= 2);
      if (larger == NULL)
        break;
      text = larger;
    }
  }
  if (descriptor >= 0)
    close(descriptor);
  if (text == NULL || size == 0) {
    free(text);
    return NULL;
  }
  text[size] = '\0';
  return text;
}

/* Maps of files; anonymous ones belong to allocators and come and go. */
static uint64_t count_file_maps(void) {
  char *text = read_proc("/proc/self/maps");
  uint64_t count = 0;
  if (text == NULL)
    return UINT64_MAX;
  for (char *line = text; line != NULL && *line != '\0';) {
    char *end = strchr(line, '\n');
    if (end != NULL)
      *end = '\0';
    if (strchr(line, '/') != NULL)
      count++;
    line = end != NULL ? end + 1 : NULL;
  }
  free(text);
  return count;
}

uint64_t conf_threads(void) {
  char *text = read_proc("/proc/self/status");
  char *line = text != NULL ? strstr(text, "\nThreads:") : NULL;
  uint64_t count = line != NULL ? strtoull(line + 9, NULL, 10) : UINT64_MAX;
  free(text);
  return count;
}

void conf_count_holdings(conf_holdings *holdings) {
  holdings->descriptors = conf_descriptors();
  holdings->maps = count_file_maps();
  holdings->threads = conf_threads();
  holdings->heap_bytes = UINT64_MAX;
#if HAVE_HEAP_COUNT
  if (conf_instrument() == NULL) {
    struct mallinfo2 heap = mallinfo2();
    holdings->heap_bytes = heap.uordblks + heap.hblkhd;
  }
#endif
}

void conf_expect_no_leak(const char *file, int line, const conf_holdings *before) {
  conf_holdings now;
  conf_count_holdings(&now);
  /* A thread that was joined may be on its way out of the kernel still. */
  for (int i = 0; i < 100 && now.threads != UINT64_MAX && now.threads > before->threads; i++) {
    conf_sleep_ms(10);
    now.threads = conf_threads();
  }
  if (now.descriptors > before->descriptors)
    conf_broken(file, line, "%" PRIu64 " descriptors are open, %" PRIu64 " were before", now.descriptors,
                before->descriptors);
  if (now.maps != UINT64_MAX && now.maps > before->maps)
    conf_broken(file, line, "%" PRIu64 " maps of files are there, %" PRIu64 " were before", now.maps, before->maps);
  if (now.threads != UINT64_MAX && now.threads > before->threads)
    conf_broken(file, line, "%" PRIu64 " threads run, %" PRIu64 " did before", now.threads, before->threads);
  if (now.heap_bytes != UINT64_MAX && now.heap_bytes > before->heap_bytes + 65536)
    conf_broken(file, line, "%" PRIu64 " bytes of heap are in use, %" PRIu64 " were before", now.heap_bytes,
                before->heap_bytes);
}

/* The line of the mount whose device number is the folder's; its fields are described in proc(5). */
void conf_file_system(const char *path, char *text, size_t size) {
  char device[64];
  struct stat info;
  char *mounts = read_proc("/proc/self/mountinfo");
  snprintf(text, size, "an unknown file system");
  if (mounts == NULL || stat(path, &info) != 0) {
    free(mounts);
    return;
  }
  snprintf(device, sizeof device, " %u:%u ", major(info.st_dev), minor(info.st_dev));
  char *line = strstr(mounts, device);
  char *kind = line != NULL ? strstr(line, " - ") : NULL;
  if (kind != NULL) {
    kind += 3;
    snprintf(text, size, "%.*s", (int)strcspn(kind, " \n"), kind);
  }
  free(mounts);
}

/* Address space */

static struct rlimit usual_address_space;

void conf_limit_address_space(uint64_t more) {
  struct rlimit limit;
  char *text = read_proc("/proc/self/statm");
  if (conf_instrument() != NULL)
    conf_not_testable("address space cannot be limited under %s", conf_instrument());
  if (text == NULL || getrlimit(RLIMIT_AS, &usual_address_space) != 0)
    conf_not_testable("the system does not tell how much address space is in use");
  limit = usual_address_space;
  limit.rlim_cur = (rlim_t)(strtoull(text, NULL, 10) * conf_page + more);
  free(text);
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_cur > limit.rlim_max)
    conf_not_testable("address space is limited already");
  if (setrlimit(RLIMIT_AS, &limit) != 0)
    conf_not_testable("address space cannot be limited: %s", strerror(errno));
  struct rlimit now;
  if (getrlimit(RLIMIT_AS, &now) != 0 || now.rlim_cur != limit.rlim_cur)
    conf_not_testable("a limit of address space is not kept here");
}

void conf_unlimit_address_space(void) {
  setrlimit(RLIMIT_AS, &usual_address_space);
}
