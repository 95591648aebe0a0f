/*
 * posix.h - what only the cases on POSIX share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPFILE_CONFORMANCE_POSIX_H
#define MAPFILE_CONFORMANCE_POSIX_H

#include "../conformance.h"

typedef struct conf_end {
  bool exited; /* else killed by signal */
  int code;    /* exit code */
  int signal;
  bool traced;    /* the members below were seen */
  int deliveries; /* how often SIGBUS was delivered */
  const void *address;
  int si_code;
  int64_t sender; /* process id, of a signal that was sent */
} conf_end;

/*
 * Run body in a child and watch how it ends. at_first_bus, if not NULL, is called in this process between the first
 * SIGBUS and its delivery. An expectation that fails in the child ends the case as broken.
 */
void conf_watch(void (*body)(void *), void *argument, void (*at_first_bus)(void *), void *bus_argument, conf_end *end);

/* The child must die of SIGBUS with this address and code in its last siginfo. */
#define EXPECT_DEATH(end, address, code) conf_expect_death(__FILE__, __LINE__, (end), (address), (code))
void conf_expect_death(const char *file, int line, const conf_end *end, const void *address, int code);

/* Become the user "nobody", with no privileges left; ends the case as not testable where that cannot be done. */
void conf_become_nobody(void);

bool conf_descriptor_open(int descriptor);
void conf_signal_name(int number, char *text, size_t size);

/* A record is one line of an outcome and a text. */
void conf_record_write(int descriptor, conf_outcome outcome, const char *text);

#endif
