/*
 * hosted.h - what a host program (Python, Go, a Java machine, a C program with other libraries) calls to see that
 * scopes work inside it.
 *
 * SPDX-License-Identifier: MIT
 *
 * Each function that returns text returns NULL where all is well, else what is not; the text lives until the thread's
 * next call. folder is a folder to make files in; nothing is left there. Only plain C types, so that any host can call
 * these without knowing mapfile.h.
 */
#ifndef HOSTED_H
#define HOSTED_H

/* Cut a file under a live view and recover, times times, by each kind of scope in turn. */
const char *hosted_recover(const char *folder, int times);
/* The same in several new threads at once. */
const char *hosted_recover_in_threads(const char *folder, int threads, int times);

/* mapfile_handler_configure(MAPFILE_HANDLER_ACCESS): SIGSEGV is taken too. */
const char *hosted_take_access(void);
/* Write to a read-only view, times times. Needs hosted_take_access before. */
const char *hosted_violate(const char *folder, int times);

/* Is the library's handler on top, if expected is not 0, or has another been put over it, if it is? */
const char *hosted_handler_is_on_top(int expected);
/* Put the library's handler on top again. */
const char *hosted_rearm(void);

/* Outside every scope, read a byte of a map whose file has been cut: what happens is the host's affair. Does not
   return where the host does nothing. address receives the byte's address first, for the host to compare. */
void hosted_fault(const char *folder, void **address);

#endif
