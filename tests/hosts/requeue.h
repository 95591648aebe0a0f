/*
 * requeue.h - can a fault be queued to a thread again here?
 *
 * SPDX-License-Identifier: MIT
 *
 * A fault that nobody takes ends the process by its own siginfo, queued once more. Emulators (qemu's for single
 * programs, valgrind) take the copy for a fault of their own and end in some other way; what a test then sees says
 * nothing about the library.
 */
#ifndef HOSTS_REQUEUE_H
#define HOSTS_REQUEUE_H

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CANNOT_REQUEUE "an emulator runs this program, and takes a fault that is queued again for one of its own"

static inline bool can_requeue(void) {
#if defined(__linux__) && defined(SYS_rt_tgsigqueueinfo)
  int status = 0;
  pid_t child = fork();
  if (child == 0) {
    struct rlimit none = {0, 0};
    siginfo_t info;
    setrlimit(RLIMIT_CORE, &none);
    memset(&info, 0, sizeof info);
    info.si_signo = SIGBUS;
    info.si_code = BUS_ADRERR;
    info.si_addr = &info;
    syscall(SYS_rt_tgsigqueueinfo, getpid(), (pid_t)syscall(SYS_gettid), SIGBUS, &info);
    /* Not permitted: then the library has another way. */
    _exit(0);
  }
  if (child < 0 || waitpid(child, &status, 0) != child)
    return true;
  return WIFSIGNALED(status) ? WTERMSIG(status) == SIGBUS : WEXITSTATUS(status) == 0;
#else
  return true;
#endif
}

#endif
