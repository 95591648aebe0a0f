/*
 * What million and truncations need of the system, on POSIX.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE 1
#include "../system.h"
#include "../faulty.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

const int fault_signal = SIGBUS;

const char *usual_folder(void) {
  const char *folder = getenv("TMPDIR");

  return folder != NULL ? folder : "/tmp";
}

const char *folder_for(const char *tests, const char *meant) {
  const char *folder = strchr(meant, '/') != NULL ? meant : place(meant);

  if (folder == NULL) {
    skip(tests, meant);
  }
  return folder;
}

unsigned long process_number(void) {
  return (unsigned long)getpid();
}

void remove_file(const char *path) {
  unlink(path);
}

int set_length(const char *path, uint64_t length) {
  need(truncate(path, (off_t)length) == 0);
  return 1;
}

void end_after(unsigned seconds) {
  alarm(seconds);
}

/* Valgrind lets the main stack grow for code, but not for the frame of a signal handler. */
void grow_stack(void) {
  volatile char room[128 * 1024];

  for (size_t at = 0; at < sizeof room; at += 1024) {
    room[sizeof room - 1 - at] = 0;
  }
}

typedef struct place_in_crowd {
  pthread_t thread;
  pthread_barrier_t *together;
  void (*body)(void *);
  void *argument;
} place_in_crowd;

static void *join_in(void *argument) {
  const place_in_crowd *me = argument;

  pthread_barrier_wait(me->together);
  me->body(me->argument);
  pthread_barrier_wait(me->together);
  return NULL;
}

void in_a_crowd(void (*body)(void *), void *arguments, size_t size, unsigned threads) {
  place_in_crowd crowd[16];
  pthread_barrier_t together;

  need(threads <= 16 && pthread_barrier_init(&together, NULL, threads) == 0);
  for (unsigned i = 0; i < threads; i++) {
    crowd[i] = (place_in_crowd){0, &together, body, (char *)arguments + i * size};
    need(pthread_create(&crowd[i].thread, NULL, join_in, &crowd[i]) == 0);
  }
  for (unsigned i = 0; i < threads; i++) {
    need(pthread_join(crowd[i].thread, NULL) == 0);
  }
  pthread_barrier_destroy(&together);
}

static residue remembered;

void holdings_remember(void) {
  residue_take(&remembered);
}

int holdings_differ(const char *what) {
  static residue now;

  residue_take(&now);
  return residue_differs(what, &remembered, &now);
}

int takes_faults_otherwise(void) {
  sigset_t mask;
  int differences = 0;

  need(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
  for (int signal = 1; signal < 65; signal++) {
    differences += sigismember(&remembered.mask, signal) != sigismember(&mask, signal);
  }
  return differences;
}

/*
 * Cutting
 */

/* Shared with the process that cuts. */
struct cutter {
  atomic_ulong cuts;
  atomic_int enough;
  pid_t process;
};

static uint64_t next(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static void cut_over_and_over(cutter *one, const char *path, const unsigned char *right, size_t size,
                              unsigned long count) {
  uint64_t random = 88172645463325252u;
  int fd = open(path, O_RDWR | O_CLOEXEC);

  need(fd >= 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (atomic_load(&one->cuts) < count || !atomic_load(&one->enough)) {
    size_t length = (size_t)(next(&random) % size);

    need(ftruncate(fd, (off_t)length) == 0);
    atomic_fetch_add(&one->cuts, 1);
    sched_yield(); /* let someone see it */
    if (next(&random) % 2 == 0) {
      need(ftruncate(fd, (off_t)size) == 0); /* zeros first, then the bytes */
    }
    need(pwrite(fd, right + length, size - length, (off_t)length) == (ssize_t)(size - length));
  }
  _exit(0);
}

cutter *cutter_start(const char *path, const unsigned char *right, size_t size, unsigned long count) {
  cutter *one = mmap(NULL, sizeof *one, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

  need(one != MAP_FAILED);
  /* Not stored at once: the child shares the place, and would store its 0 there. */
  pid_t process = fork();
  need(process >= 0);
  if (process == 0) {
    cut_over_and_over(one, path, right, size, count);
  }
  one->process = process;
  return one;
}

int cutter_runs(cutter *one) {
  siginfo_t info;

  memset(&info, 0, sizeof info);
  return waitid(P_PID, (id_t)one->process, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

void cutter_enough(cutter *one) {
  atomic_store(&one->enough, 1);
}

unsigned long cutter_end(cutter *one) {
  unsigned long cuts;
  int state = 0;

  need(waitpid(one->process, &state, 0) == one->process && state == 0);
  cuts = atomic_load(&one->cuts);
  munmap(one, sizeof *one);
  return cuts;
}

/*
 * Receiving
 */

void receiver_make(receiver *one, const char *folder, unsigned number) {
  (void)folder;
  (void)number;
  one->path = NULL;
  one->native = memfd_create("receiver", MFD_CLOEXEC);
  need(one->native >= 0);
}

void receiver_empty(receiver *one) {
  need(ftruncate((int)one->native, 0) == 0 && lseek((int)one->native, 0, SEEK_SET) == 0);
}

size_t receiver_take(receiver *one, void *buffer, size_t size) {
  off_t length = lseek((int)one->native, 0, SEEK_END);

  need(length >= 0 && (size_t)length <= size);
  need(pread((int)one->native, buffer, (size_t)length, 0) == (ssize_t)length);
  return (size_t)length;
}

void receiver_remove(receiver *one) {
  close((int)one->native);
}
