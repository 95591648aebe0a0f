/*
 * hosted.c - what a host program calls to see that scopes work inside it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "hosted.h"

#include <mapfile.h>

#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST_THREADS = 16 };

/* Which access failed is told by some processors only. */
#if defined(__x86_64__) || defined(__i386__)
enum { ACCESS_IS_KNOWN = 1 };
#else
enum { ACCESS_IS_KNOWN = 0 };
#endif

static _Thread_local char text[256];

__attribute__((format(printf, 1, 2))) static const char *complain(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

/*
 * A file of two pages that has no name, and what is known of it
 */

typedef struct trial {
  int descriptor;
  size_t page;
  mapfile *file;
  mapfile_view view;
} trial;

static const char *make_file(const char *folder, size_t size, int *descriptor) {
  char path[4096];
  int length = snprintf(path, sizeof path, "%s/hosted-XXXXXX", folder);
  if (length < 0 || (size_t)length >= sizeof path)
    return complain("the folder's name is too long");
  *descriptor = mkstemp(path);
  if (*descriptor < 0)
    return complain("no file in %s: %s", folder, strerror(errno));
  unlink(path);
  char *bytes = malloc(size);
  if (bytes == NULL)
    return complain("no memory");
  memset(bytes, 'x', size);
  ssize_t written = pwrite(*descriptor, bytes, size, 0);
  free(bytes);
  return written == (ssize_t)size ? NULL : complain("cannot write the file: %s", strerror(errno));
}

static void end_trial(trial *with) {
  if (with->view.kind != MAPFILE_KIND_NONE)
    mapfile_unpin(&with->view);
  mapfile_close(with->file);
  if (with->descriptor >= 0)
    close(with->descriptor);
}

static const char *begin_trial(const char *folder, trial *with) {
  static const mapfile_view none = MAPFILE_VIEW_INIT;
  with->page = (size_t)sysconf(_SC_PAGESIZE);
  with->descriptor = -1;
  with->file = NULL;
  with->view = none;
  const char *wrong = make_file(folder, 2 * with->page, &with->descriptor);
  if (wrong != NULL)
    return wrong;
  mapfile_status status = mapfile_open_handle(with->descriptor, NULL, &with->file);
  if (status == MAPFILE_OK)
    status = mapfile_pin(with->file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &with->view);
  return status == MAPFILE_OK ? NULL : complain("cannot pin: %s", mapfile_strerror(status));
}

static bool is_access(const mapfile_fault *fault, uint32_t access) {
  return fault->access == access || (!ACCESS_IS_KNOWN && fault->access == MAPFILE_FAULT_UNKNOWN);
}

static mapfile_status MAPFILE_CALL read_all(void *argument) {
  const trial *with = argument;
  const volatile char *bytes = with->view.data;
  unsigned sum = 0;
  for (size_t at = 0; at < 2 * with->page; at += 64)
    sum += (unsigned char)bytes[at];
  return sum == 2 * with->page / 64 * 'x' ? MAPFILE_OK : MAPFILE_INVALID;
}

static mapfile_status MAPFILE_CALL write_all(void *argument) {
  trial *with = argument;
  memset(with->view.data, 'y', 2 * with->page);
  return MAPFILE_OK;
}

/*
 * What a recovery must leave as it was
 */

typedef struct surroundings {
  sigset_t mask;
  stack_t other_stack;
  struct sigaction bus, segv;
  int rounding;
} surroundings;

static void look_around(surroundings *now) {
  memset(now, 0, sizeof *now);
  pthread_sigmask(SIG_BLOCK, NULL, &now->mask);
  sigaltstack(NULL, &now->other_stack);
  sigaction(SIGBUS, NULL, &now->bus);
  sigaction(SIGSEGV, NULL, &now->segv);
  now->rounding = fegetround();
}

static bool same_mask(const sigset_t *one, const sigset_t *other) {
  for (int signo = 1; signo < 32; signo++)
    if (sigismember(one, signo) != sigismember(other, signo))
      return false;
  return true;
}

static const char *compare_surroundings(const surroundings *before) {
  surroundings now;
  look_around(&now);
  if (!same_mask(&now.mask, &before->mask))
    return complain("the signal mask has changed");
  if (now.other_stack.ss_sp != before->other_stack.ss_sp || now.other_stack.ss_flags != before->other_stack.ss_flags)
    return complain("the alternate stack has changed");
  if (now.bus.sa_sigaction != before->bus.sa_sigaction || now.segv.sa_sigaction != before->segv.sa_sigaction)
    return complain("a handler has changed");
  if (now.rounding != before->rounding)
    return complain("the rounding mode has changed");
  return NULL;
}

/*
 * Recovering
 */

static const char *judge(const trial *with, mapfile_status status, mapfile_fault *fault, const char *by) {
  if (status != MAPFILE_UNKNOWN)
    return complain("%s: not recovered: %s", by, mapfile_strerror(status));
  if (fault->file != with->file || fault->offset != with->page || !is_access(fault, MAPFILE_FAULT_READ) ||
      fault->signal != SIGBUS || fault->address != (const char *)with->view.data + with->page)
    return complain("%s: wrong record: offset %llu, access %u, signal %d", by, (unsigned long long)fault->offset,
                    fault->access, fault->signal);
  status = mapfile_fault_explain(fault);
  return status == MAPFILE_TRUNCATED ? NULL : complain("%s: wrong cause: %s", by, mapfile_strerror(status));
}

static const char *by_call(trial *with) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  return judge(with, mapfile_try(with->file, &with->view, read_all, with, &fault), &fault, "mapfile_try");
}

/* In place, over the whole mapfile. */
static const char *in_place(trial *with) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  const char *volatile wrong = "MAPFILE_TRY: no fault";
  MAPFILE_TRY(with->file, NULL, &fault) {
    read_all(with);
  }
  MAPFILE_CATCH {
    wrong = judge(with, fault.status, &fault, "MAPFILE_TRY");
  }
  MAPFILE_END_TRY
  return wrong;
}

/* A scope within a scope over another file, which must let the fault pass outward. */
static const char *through(trial *with, trial *other) {
  mapfile_fault fault = MAPFILE_FAULT_INIT, unused = MAPFILE_FAULT_INIT;
  const char *volatile wrong = "nested: no fault";
  MAPFILE_TRY(with->file, &with->view, &fault) {
    mapfile_try(other->file, &other->view, read_all, with, &unused);
  }
  MAPFILE_CATCH {
    wrong = judge(with, fault.status, &fault, "nested");
  }
  MAPFILE_END_TRY
  return wrong;
}

static const char *recover_once(trial *with, trial *other) {
  surroundings before;
  if (mapfile_try(with->file, &with->view, read_all, with, NULL) != MAPFILE_OK)
    return complain("a whole file cannot be read");
  look_around(&before);
  if (ftruncate(with->descriptor, (off_t)with->page) != 0)
    return complain("cannot cut the file: %s", strerror(errno));
  const char *wrong = by_call(with);
  if (wrong == NULL)
    wrong = in_place(with);
  if (wrong == NULL)
    wrong = through(with, other);
  if (wrong == NULL)
    wrong = compare_surroundings(&before);
  char bytes[64];
  memset(bytes, 'x', sizeof bytes);
  for (size_t at = with->page; wrong == NULL && at < 2 * with->page; at += sizeof bytes)
    if (pwrite(with->descriptor, bytes, sizeof bytes, (off_t)at) != (ssize_t)sizeof bytes)
      wrong = complain("cannot write the file: %s", strerror(errno));
  return wrong;
}

static const char *recover_with(trial *with, const char *folder, int times) {
  trial other;
  const char *wrong = begin_trial(folder, &other);
  for (int i = 0; wrong == NULL && i < times; i++)
    wrong = recover_once(with, &other);
  end_trial(&other);
  return wrong;
}

const char *hosted_recover(const char *folder, int times) {
  trial with;
  int rounding = fegetround();
  const char *wrong = begin_trial(folder, &with);
  /* The processor's modes are the host's: not the usual ones, so that a recovery that sets the usual ones is seen. */
  fesetround(FE_UPWARD);
  if (wrong == NULL)
    wrong = recover_with(&with, folder, times);
  fesetround(rounding);
  end_trial(&with);
  return wrong;
}

typedef struct job {
  pthread_t thread;
  const char *folder;
  int times;
  bool failed;
  char wrong[sizeof text];
} job;

static void *run_job(void *argument) {
  job *mine = argument;
  const char *wrong = hosted_recover(mine->folder, mine->times);
  mine->failed = wrong != NULL;
  if (wrong != NULL)
    snprintf(mine->wrong, sizeof mine->wrong, "%s", wrong);
  return NULL;
}

const char *hosted_recover_in_threads(const char *folder, int threads, int times) {
  static _Thread_local job jobs[MOST_THREADS];
  if (threads > MOST_THREADS)
    return complain("at most %d threads", MOST_THREADS);
  int started = 0;
  const char *wrong = NULL;
  for (; started < threads && wrong == NULL; started++) {
    jobs[started] = (job){.folder = folder, .times = times};
    if (pthread_create(&jobs[started].thread, NULL, run_job, &jobs[started]) != 0) {
      wrong = complain("no thread");
      break;
    }
  }
  for (int i = 0; i < started; i++) {
    pthread_join(jobs[i].thread, NULL);
    if (jobs[i].failed && wrong == NULL)
      wrong = complain("in a thread: %.200s", jobs[i].wrong);
  }
  return wrong;
}

/* With HOSTED_EARLY in the environment, the first scope is entered before the program's main: the library's handler is
   then there before any that a runtime installs when it starts. */
__attribute__((constructor)) static void recover_early(void) {
  const char *folder = getenv("HOSTED_EARLY");
  const char *wrong = folder != NULL ? hosted_recover(folder, 1) : NULL;
  if (wrong != NULL) {
    fprintf(stderr, "FAILED: before main: %s\n", wrong);
    _exit(1);
  }
}

/*
 * Access violations
 */

const char *hosted_take_access(void) {
  mapfile_status status = mapfile_handler_configure(MAPFILE_HANDLER_ACCESS);
  return status == MAPFILE_OK ? NULL : complain("cannot configure: %s", mapfile_strerror(status));
}

const char *hosted_violate(const char *folder, int times) {
  trial with;
  surroundings before;
  const char *wrong = begin_trial(folder, &with);
  for (int i = 0; wrong == NULL && i < times; i++) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    look_around(&before);
    mapfile_status status = mapfile_try(with.file, &with.view, write_all, &with, &fault);
    if (status != MAPFILE_PROTECTED || fault.signal != SIGSEGV || !is_access(&fault, MAPFILE_FAULT_WRITE))
      wrong = complain("a write to a read-only view: %s, signal %d", mapfile_strerror(status), fault.signal);
    else if (i > 0)
      wrong = compare_surroundings(&before);
  }
  end_trial(&with);
  return wrong;
}

/*
 * Handlers
 */

const char *hosted_handler_is_on_top(int expected) {
  mapfile_status status = mapfile_handler_check();
  return status == (expected ? MAPFILE_OK : MAPFILE_CHANGED)
             ? NULL
             : complain("mapfile_handler_check: %s", mapfile_strerror(status));
}

const char *hosted_rearm(void) {
  mapfile_status status = mapfile_handler_rearm();
  return status == MAPFILE_OK ? NULL : complain("mapfile_handler_rearm: %s", mapfile_strerror(status));
}

void hosted_fault(const char *folder, void **address) {
  int descriptor = -1;
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (make_file(folder, 2 * page, &descriptor) != NULL)
    return;
  char *bytes = mmap(NULL, 2 * page, PROT_READ, MAP_SHARED, descriptor, 0);
  if (bytes != MAP_FAILED && ftruncate(descriptor, (off_t)page) == 0) {
    if (address != NULL)
      *address = bytes + page + 7;
    (void)*(volatile char *)(bytes + page + 7);
    munmap(bytes, 2 * page);
  }
  close(descriptor);
}
