/*
 * Making the library's calls of the C library fail, one by one.
 *
 * SPDX-License-Identifier: MIT
 *
 * Each function f of syscalls.wrap has a __wrap_f here, which either fails with an error that f may have or calls the
 * real one. Where the C library has a second name for files of any size (open64), both are there.
 */
#define _GNU_SOURCE 1
#include "failing.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

failing_plan *failing;
char (*failing_covered)[FAILING_NAME];
static volatile int inside;

void failing_enter(void) {
  inside = 1;
}

void failing_leave(void) {
  inside = 0;
}

static int is_second_of_two(void) {
  return failing->mode == FAIL_TWICE && failing->failed > 0 && failing->calls == failing->nth + failing->apart;
}

static int is_again(const char *call) {
  return failing->mode == FAIL_EVER && failing->failed > 0 && strcmp(failing->first, call) == 0;
}

/* What is interrupted, not yet there or cut short is tried again, for ever if it happens for ever: that is no failure.
 */
static int is_passing(int error) {
  return error == EINTR || error == EAGAIN || error == FAIL_SHORT;
}

static void cover(const char *call) {
  int i = 0;

  while (failing_covered != NULL && i < FAILING_CALLS && failing_covered[i][0] != '\0' &&
         strcmp(failing_covered[i], call) != 0) {
    i++;
  }
  if (failing_covered != NULL && i < FAILING_CALLS) {
    strncpy(failing_covered[i], call, FAILING_NAME - 1);
  }
}

/* The error that this call is to have, or 0. errors ends with 0. */
static int decide(const char *call, const int *errors) {
  unsigned choices = 0;
  int nth;

  if (!inside || failing == NULL) {
    return 0;
  }
  nth = ++failing->calls == failing->nth;
  if (!nth && !is_second_of_two() && !is_again(call)) {
    return 0;
  }
  while (errors[choices] != 0) {
    choices++;
  }
  if (nth && (failing->choice >= choices || (failing->mode == FAIL_EVER && is_passing(errors[failing->choice])))) {
    failing->exhausted = failing->choice >= choices;
    return 0;
  }
  failing->error = errors[nth || failing->mode == FAIL_EVER ? failing->choice : 0];
  failing->failed++;
  cover(call);
  strncpy(failing->call, call, sizeof failing->call - 1);
  if (nth) {
    strncpy(failing->first, call, sizeof failing->first - 1);
  }
  return failing->error;
}

#define ERRORS(...) ((const int[]){__VA_ARGS__, 0})

/* Fail with -1 and errno. */
#define FAIL_OR(call, errors, real)    \
  do {                                 \
    int error_ = decide(call, errors); \
    if (error_ != 0) {                 \
      errno = error_;                  \
      return -1;                       \
    }                                  \
    return real;                       \
  } while (0)

/* Fail by returning the error, as the functions of POSIX threads do. */
#define RETURN_OR(call, errors, real)   \
  do {                                  \
    int error_ = decide(call, errors);  \
    return error_ != 0 ? error_ : real; \
  } while (0)

/* Fail, or move only half of what was asked. */
#define TRANSFER(call, errors, length, real_of)    \
  do {                                             \
    int error_ = decide(call, errors);             \
    if (error_ == FAIL_SHORT) {                    \
      return real_of((length) / 2 + (length) % 2); \
    }                                              \
    if (error_ != 0) {                             \
      errno = error_;                              \
      return -1;                                   \
    }                                              \
    return real_of(length);                        \
  } while (0)

/*
 * Descriptors and files
 */

/* The name that mkostemp made last: it must not stay behind. */
static char temporary[64];

static int note_made(int descriptor, const char *name) {
  strncpy(temporary, name, sizeof temporary - 1);
  return descriptor;
}

#define OPEN(name)                                                                                       \
  int __real_##name(const char *path, int how, ...);                                                     \
  int __wrap_##name(const char *path, int how, ...);                                                     \
  int __wrap_##name(const char *path, int how, ...) {                                                    \
    va_list arguments;                                                                                   \
    unsigned mode = 0;                                                                                   \
    va_start(arguments, how);                                                                            \
    if ((how & O_CREAT) != 0) {                                                                          \
      mode = va_arg(arguments, unsigned);                                                                \
    }                                                                                                    \
    va_end(arguments);                                                                                   \
    FAIL_OR("open", ERRORS(EIO, ENOENT, EACCES, EMFILE, ENOMEM, EINTR), __real_##name(path, how, mode)); \
  }

#define FCNTL(name)                                                                        \
  int __real_##name(int descriptor, int command, ...);                                     \
  int __wrap_##name(int descriptor, int command, ...);                                     \
  int __wrap_##name(int descriptor, int command, ...) {                                    \
    va_list arguments;                                                                     \
    void *argument;                                                                        \
    va_start(arguments, command);                                                          \
    argument = va_arg(arguments, void *);                                                  \
    va_end(arguments);                                                                     \
    FAIL_OR("fcntl", ERRORS(EPERM, ENOMEM), __real_##name(descriptor, command, argument)); \
  }

#define FSTAT(name, type)                                                               \
  int __real_##name(int descriptor, type *state);                                       \
  int __wrap_##name(int descriptor, type *state);                                       \
  int __wrap_##name(int descriptor, type *state) {                                      \
    FAIL_OR("fstat", ERRORS(EIO, ENOMEM, EOVERFLOW), __real_##name(descriptor, state)); \
  }

#define LSTAT(name, type)                                                              \
  int __real_##name(const char *path, type *state);                                    \
  int __wrap_##name(const char *path, type *state);                                    \
  int __wrap_##name(const char *path, type *state) {                                   \
    FAIL_OR("lstat", ERRORS(EIO, ENOENT, EACCES, ENOMEM), __real_##name(path, state)); \
  }

#define FTRUNCATE(name, offset_type)                                                                     \
  int __real_##name(int descriptor, offset_type length);                                                 \
  int __wrap_##name(int descriptor, offset_type length);                                                 \
  int __wrap_##name(int descriptor, offset_type length) {                                                \
    FAIL_OR("ftruncate", ERRORS(EIO, EINTR, ENOSPC, ETXTBSY, EPERM), __real_##name(descriptor, length)); \
  }

#define FALLOCATE(name, offset_type)                                                    \
  int __real_##name(int descriptor, int mode, offset_type offset, offset_type length);  \
  int __wrap_##name(int descriptor, int mode, offset_type offset, offset_type length);  \
  int __wrap_##name(int descriptor, int mode, offset_type offset, offset_type length) { \
    FAIL_OR("fallocate", ERRORS(EIO, EINTR, ENOSPC, EOPNOTSUPP, EFBIG),                 \
            __real_##name(descriptor, mode, offset, length));                           \
  }

#define FSTATVFS(name, type)                                                           \
  int __real_##name(int descriptor, type *state);                                      \
  int __wrap_##name(int descriptor, type *state);                                      \
  int __wrap_##name(int descriptor, type *state) {                                     \
    FAIL_OR("fstatvfs", ERRORS(EIO, ENOSYS, EINTR), __real_##name(descriptor, state)); \
  }

#define MKOSTEMP(name)                                                                                           \
  int __real_##name(char *pattern, int how);                                                                     \
  int __wrap_##name(char *pattern, int how);                                                                     \
  int __wrap_##name(char *pattern, int how) {                                                                    \
    FAIL_OR("mkostemp", ERRORS(EACCES, EMFILE, ENOSPC, EROFS), note_made(__real_##name(pattern, how), pattern)); \
  }

#define PREAD(name, offset_type)                                                           \
  ssize_t __real_##name(int descriptor, void *buffer, size_t length, offset_type offset);  \
  ssize_t __wrap_##name(int descriptor, void *buffer, size_t length, offset_type offset);  \
  ssize_t __wrap_##name(int descriptor, void *buffer, size_t length, offset_type offset) { \
    TRANSFER("pread", ERRORS(EIO, EINTR, FAIL_SHORT, ENOMEM), length, REAL_##name);        \
  }

#define PREADV(name, offset_type)                                                                            \
  ssize_t __real_##name(int descriptor, const struct iovec *places, int count, offset_type offset);          \
  ssize_t __wrap_##name(int descriptor, const struct iovec *places, int count, offset_type offset);          \
  ssize_t __wrap_##name(int descriptor, const struct iovec *places, int count, offset_type offset) {         \
    FAIL_OR("preadv", ERRORS(EIO, EINTR, ENOMEM, ENOSYS), __real_##name(descriptor, places, count, offset)); \
  }

#define SENDFILE(name, offset_type)                                                                   \
  ssize_t __real_##name(int out, int in, offset_type *offset, size_t length);                         \
  ssize_t __wrap_##name(int out, int in, offset_type *offset, size_t length);                         \
  ssize_t __wrap_##name(int out, int in, offset_type *offset, size_t length) {                        \
    TRANSFER("sendfile", ERRORS(EIO, EINTR, FAIL_SHORT, EINVAL, ENOMEM, EPIPE), length, REAL_##name); \
  }

#define PWRITE(name, offset_type)                                                                                  \
  ssize_t __real_##name(int descriptor, const void *buffer, size_t length, offset_type offset);                    \
  ssize_t __wrap_##name(int descriptor, const void *buffer, size_t length, offset_type offset);                    \
  ssize_t __wrap_##name(int descriptor, const void *buffer, size_t length, offset_type offset) {                   \
    TRANSFER("pwrite", ERRORS(EIO, EINTR, FAIL_SHORT, ENOSPC, EFBIG, EFAULT, EROFS, ENOENT), length, REAL_##name); \
  }

#define LSEEK(name, offset_type)                                                             \
  offset_type __real_##name(int descriptor, offset_type offset, int whence);                 \
  offset_type __wrap_##name(int descriptor, offset_type offset, int whence);                 \
  offset_type __wrap_##name(int descriptor, offset_type offset, int whence) {                \
    FAIL_OR("lseek", ERRORS(EINVAL, ENXIO, EIO), __real_##name(descriptor, offset, whence)); \
  }

#define FADVISE(name, offset_type)                                                                         \
  int __real_##name(int descriptor, offset_type offset, offset_type length, int advice);                   \
  int __wrap_##name(int descriptor, offset_type offset, offset_type length, int advice);                   \
  int __wrap_##name(int descriptor, offset_type offset, offset_type length, int advice) {                  \
    RETURN_OR("posix_fadvise", ERRORS(EINVAL, ESPIPE), __real_##name(descriptor, offset, length, advice)); \
  }

#define GETRLIMIT(name, type)                                            \
  int __real_##name(int resource, type *limit);                          \
  int __wrap_##name(int resource, type *limit);                          \
  int __wrap_##name(int resource, type *limit) {                         \
    FAIL_OR("getrlimit", ERRORS(EPERM), __real_##name(resource, limit)); \
  }

#define REAL_pread(size) __real_pread(descriptor, buffer, size, offset)
#define REAL_pread64(size) __real_pread64(descriptor, buffer, size, offset)
#define REAL_sendfile(size) __real_sendfile(out, in, offset, size)
#define REAL_sendfile64(size) __real_sendfile64(out, in, offset, size)
#define REAL_pwrite(size) __real_pwrite(descriptor, buffer, size, offset)
#define REAL_pwrite64(size) __real_pwrite64(descriptor, buffer, size, offset)

OPEN(open)
FCNTL(fcntl)
FSTAT(fstat, void)
FSTATVFS(fstatvfs, void)
LSTAT(lstat, void)
MKOSTEMP(mkostemp)
GETRLIMIT(getrlimit, void)
#ifdef __GLIBC__
OPEN(open64)
FCNTL(fcntl64)
FSTAT(fstat64, void)
FSTATVFS(fstatvfs64, void)
LSTAT(lstat64, void)
FTRUNCATE(ftruncate, long)
FTRUNCATE(ftruncate64, off_t)
FALLOCATE(fallocate, long)
FALLOCATE(fallocate64, off_t)
MKOSTEMP(mkostemp64)
GETRLIMIT(getrlimit64, void)
LSEEK(lseek, long)
LSEEK(lseek64, off_t)
PREAD(pread, long)
PREAD(pread64, off_t)
PREADV(preadv, long)
PREADV(preadv64, off_t)
SENDFILE(sendfile, long)
SENDFILE(sendfile64, off_t)
FADVISE(posix_fadvise, long)
FADVISE(posix_fadvise64, off_t)
PWRITE(pwrite, long)
PWRITE(pwrite64, off_t)
#else
FTRUNCATE(ftruncate, off_t)
FALLOCATE(fallocate, off_t)
LSEEK(lseek, off_t)
PREAD(pread, off_t)
PREADV(preadv, off_t)
SENDFILE(sendfile, off_t)
FADVISE(posix_fadvise, off_t)
PWRITE(pwrite, off_t)
#endif

int __real_close(int descriptor);
int __wrap_close(int descriptor);

/* As on Linux, the descriptor is gone all the same. */
int __wrap_close(int descriptor) {
  int error = decide("close", ERRORS(EIO, EINTR, ENOSPC));
  int result = __real_close(descriptor);

  if (error != 0) {
    errno = error;
    return -1;
  }
  return result;
}

int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);

int __wrap_memfd_create(const char *name, unsigned flags) {
  FAIL_OR("memfd_create", ERRORS(EMFILE, ENOMEM, ENOSYS), __real_memfd_create(name, flags));
}

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);

/* A temporary name goes nevertheless, so that the test leaves nothing. */
int __wrap_unlink(const char *path) {
  int error = decide("unlink", ERRORS(EACCES, EIO, EBUSY, EPERM));
  int result = error == 0 || strcmp(path, temporary) == 0 ? __real_unlink(path) : -1;

  if (error != 0) {
    errno = error;
    return -1;
  }
  return result;
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);

int __wrap_rename(const char *from, const char *to) {
  FAIL_OR("rename", ERRORS(EIO, EACCES, EBUSY, EXDEV, ENOSPC, EISDIR), __real_rename(from, to));
}

ssize_t __real_read(int descriptor, void *buffer, size_t length);
ssize_t __wrap_read(int descriptor, void *buffer, size_t length);

#define REAL_read(size) __real_read(descriptor, buffer, size)

ssize_t __wrap_read(int descriptor, void *buffer, size_t length) {
  TRANSFER("read", ERRORS(EIO, EINTR, FAIL_SHORT, EAGAIN), length, REAL_read);
}

ssize_t __real_write(int descriptor, const void *buffer, size_t length);
ssize_t __wrap_write(int descriptor, const void *buffer, size_t length);

#define REAL_write(size) __real_write(descriptor, buffer, size)

ssize_t __wrap_write(int descriptor, const void *buffer, size_t length) {
  TRANSFER("write", ERRORS(EIO, EINTR, FAIL_SHORT, ENOSPC, EAGAIN, EPIPE), length, REAL_write);
}

int __real_poll(struct pollfd *wanted, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *wanted, nfds_t count, int timeout);

int __wrap_poll(struct pollfd *wanted, nfds_t count, int timeout) {
  FAIL_OR("poll", ERRORS(ENOMEM, EINTR), __real_poll(wanted, count, timeout));
}

/*
 * Maps
 */

enum { MOST_LEFT = 64 };

/* What munmap was made to leave mapped. */
static struct left {
  char *address;
  size_t length;
} left[MOST_LEFT];
static size_t left_count;

/* Something else is there now, or nothing: it is not ours to unmap. */
static void forget_left(const char *address, size_t length) {
  for (size_t i = 0; i < left_count;) {
    if (left[i].address < address + length && address < left[i].address + left[i].length) {
      left[i] = left[--left_count];
    } else {
      i++;
    }
  }
}

int __real_munmap(void *address, size_t length);
int __wrap_munmap(void *address, size_t length);

int __wrap_munmap(void *address, size_t length) {
  if (decide("munmap", ERRORS(ENOMEM)) != 0) {
    if (left_count < MOST_LEFT) {
      left[left_count++] = (struct left){address, length};
    }
    errno = ENOMEM;
    return -1;
  }
  forget_left(address, length);
  return __real_munmap(address, length);
}

size_t failing_unmap_left(void) {
  size_t count = left_count;

  while (left_count > 0) {
    left_count--;
    __real_munmap(left[left_count].address, left[left_count].length);
  }
  return count;
}

#define MMAP(name, offset_type)                                                                                     \
  void *__real_##name(void *wanted, size_t length, int protection, int flags, int descriptor, offset_type offset);  \
  void *__wrap_##name(void *wanted, size_t length, int protection, int flags, int descriptor, offset_type offset);  \
  void *__wrap_##name(void *wanted, size_t length, int protection, int flags, int descriptor, offset_type offset) { \
    int error = decide("mmap", ERRORS(ENOMEM, EAGAIN, ENODEV, EACCES));                                             \
    void *made;                                                                                                     \
    if (error != 0) {                                                                                               \
      errno = error;                                                                                                \
      return (void *)-1;                                                                                            \
    }                                                                                                               \
    made = __real_##name(wanted, length, protection, flags, descriptor, offset);                                    \
    if (made != (void *)-1) {                                                                                       \
      forget_left(made, length);                                                                                    \
    }                                                                                                               \
    return made;                                                                                                    \
  }

#ifdef __GLIBC__
MMAP(mmap, long)
MMAP(mmap64, off_t)
#else
MMAP(mmap, off_t)
#endif

int __real_mprotect(void *address, size_t length, int protection);
int __wrap_mprotect(void *address, size_t length, int protection);

int __wrap_mprotect(void *address, size_t length, int protection) {
  FAIL_OR("mprotect", ERRORS(ENOMEM), __real_mprotect(address, length, protection));
}

int __real_madvise(void *address, size_t length, int advice);
int __wrap_madvise(void *address, size_t length, int advice);

int __wrap_madvise(void *address, size_t length, int advice) {
  FAIL_OR("madvise", ERRORS(EINVAL, EAGAIN, ENOMEM), __real_madvise(address, length, advice));
}

/*
 * Signals, threads and the rest
 */

int __real_sigaction(int signo, const struct sigaction *action, struct sigaction *before);
int __wrap_sigaction(int signo, const struct sigaction *action, struct sigaction *before);

int __wrap_sigaction(int signo, const struct sigaction *action, struct sigaction *before) {
  FAIL_OR("sigaction", ERRORS(EPERM), __real_sigaction(signo, action, before));
}

int __real_sigaltstack(const stack_t *stack, stack_t *before);
int __wrap_sigaltstack(const stack_t *stack, stack_t *before);

int __wrap_sigaltstack(const stack_t *stack, stack_t *before) {
  FAIL_OR("sigaltstack", ERRORS(EPERM), __real_sigaltstack(stack, before));
}

int __real_pthread_atfork(void (*before)(void), void (*parent)(void), void (*child)(void));
int __wrap_pthread_atfork(void (*before)(void), void (*parent)(void), void (*child)(void));

int __wrap_pthread_atfork(void (*before)(void), void (*parent)(void), void (*child)(void)) {
  RETURN_OR("pthread_atfork", ERRORS(ENOMEM), __real_pthread_atfork(before, parent, child));
}

int __real_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);
int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes);

int __wrap_pthread_cond_init(pthread_cond_t *condition, const pthread_condattr_t *attributes) {
  RETURN_OR("pthread_cond_init", ERRORS(ENOMEM, EAGAIN), __real_pthread_cond_init(condition, attributes));
}

int __real_pthread_attr_setstacksize(pthread_attr_t *attributes, size_t size);
int __wrap_pthread_attr_setstacksize(pthread_attr_t *attributes, size_t size);

int __wrap_pthread_attr_setstacksize(pthread_attr_t *attributes, size_t size) {
  RETURN_OR("pthread_attr_setstacksize", ERRORS(EINVAL), __real_pthread_attr_setstacksize(attributes, size));
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
  RETURN_OR("pthread_create", ERRORS(EAGAIN, EINVAL, EPERM), __real_pthread_create(thread, attributes, run, argument));
}

int __real_pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes);
int __wrap_pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes);

int __wrap_pthread_getattr_np(pthread_t thread, pthread_attr_t *attributes) {
  RETURN_OR("pthread_getattr_np", ERRORS(ENOMEM, ENOENT), __real_pthread_getattr_np(thread, attributes));
}

long __real_sysconf(int name);
long __wrap_sysconf(int name);

/* The size of a page is always known. */
long __wrap_sysconf(int name) {
  if (name == _SC_PAGESIZE) {
    return __real_sysconf(name);
  }
  FAIL_OR("sysconf", ERRORS(EINVAL), __real_sysconf(name));
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

/* Who the thread is, is always known. Six arguments are read, however many were given, which AddressSanitizer would
   take amiss. */
__attribute__((no_sanitize_address)) long __wrap_syscall(long number, ...) {
  va_list arguments;
  long a[6];

  va_start(arguments, number);
  for (int i = 0; i < 6; i++) {
    a[i] = va_arg(arguments, long);
  }
  va_end(arguments);
  if (number == SYS_gettid) {
    return __real_syscall(number);
  }
#ifdef SYS_mmap
  if (number == SYS_mmap) {
    FAIL_OR("mmap", ERRORS(ENOMEM, EAGAIN, ENODEV, EACCES), __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]));
  }
#endif
  FAIL_OR("syscall", ERRORS(EAGAIN, EPERM), __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}

/*
 * Memory
 */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);

static void *counted(void *block) {
  if (inside && failing != NULL && block != NULL) {
    failing->live_blocks++;
  }
  return block;
}

static int refused(void) {
  if (decide("malloc", ERRORS(ENOMEM)) == 0) {
    return 0;
  }
  errno = ENOMEM;
  return 1;
}

void *__wrap_malloc(size_t size) {
  return refused() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size) {
  return refused() ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size) {
  void *grown;

  if (refused()) {
    return NULL;
  }
  grown = __real_realloc(block, size);
  return block == NULL ? counted(grown) : grown;
}

void __wrap_free(void *block) {
  if (inside && failing != NULL && block != NULL) {
    failing->live_blocks--;
  }
  __real_free(block);
}
