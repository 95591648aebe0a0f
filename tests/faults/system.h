/*
 * What million and truncations need of the system: posix/system.c and win32/system.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FAULTY_SYSTEM_H
#define FAULTY_SYSTEM_H

#include "common.h"

/* The signal that a fault record names, 0 where there are none. */
extern const int fault_signal;

/* Where files may be made: a folder that the user has chosen for such, or the system's. */
const char *usual_folder(void);
/* The folder that is meant, by its name or by the kind of place that tests/faults/run has made; NULL: said why not. */
const char *folder_for(const char *tests, const char *meant);
/* The number of this process. */
unsigned long process_number(void);
void remove_file(const char *path);
/* Make the file as long as that. False: the system does not let this be done to a file that is mapped. */
int set_length(const char *path, uint64_t length);

/* End this process should it still run after so many seconds. */
void end_after(unsigned seconds);
/* Let the main thread's stack be as large as the test will need it. */
void grow_stack(void);

/* Call body in as many threads, with the first, second ... of these arguments of size bytes each. All of them live at
   the same time, so that each run needs the same stacks. */
void in_a_crowd(void (*body)(void *), void *arguments, size_t size, unsigned threads);

/* Remember what this process holds, and how the calling thread takes faults. */
void holdings_remember(void);
/* Print what differs from that, prefixed with what; returns the number of differences. */
int holdings_differ(const char *what);
/* The number of differences in how the calling thread takes faults. */
int takes_faults_otherwise(void);

/*
 * Another process that cuts the file below size over and over, to lengths that differ, and puts the bytes of right
 * back: count times, and on until it is told that it is enough.
 */
typedef struct cutter cutter;

/* NULL: the system does not let a file be cut that is mapped. */
cutter *cutter_start(const char *path, const unsigned char *right, size_t size, unsigned long count);
int cutter_runs(cutter *one);
void cutter_enough(cutter *one);
/* Once it runs no more: how often it has cut. */
unsigned long cutter_end(cutter *one);

/* A file of its own to which mapfile_send sends. */
typedef struct receiver {
  intptr_t native;
  char *path;
} receiver;

void receiver_make(receiver *one, const char *folder, unsigned number);
void receiver_empty(receiver *one);
/* All that it has got; buffer has room for size bytes. */
size_t receiver_take(receiver *one, void *buffer, size_t size);
void receiver_remove(receiver *one);

#endif
