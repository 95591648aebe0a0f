/*
 * hooks.h - what tests can have the library take for true, in a build made for them.
 *
 * SPDX-License-Identifier: MIT
 *
 * With --enable-test-hooks the environment variable MAPFILE_TEST_HOOKS names, separated by commas:
 *
 *   small-host      the address space is that of a 32-bit host
 *   separate-cache  the system's maps and its file calls do not show the same bytes
 *   fail-map=N      the Nth map that is asked for cannot be made (fail-map=N+: nor any after it)
 *   old-delete      the system cannot delete a file that is open (Windows before 10)
 *
 * In any other build all of this is constant and costs nothing.
 */
#ifndef MF_HOOKS_H
#define MF_HOOKS_H

#include <stdbool.h>

#ifdef MF_TEST_HOOKS
void mf_hooks_begin(void); /* once, before all others */
bool mf_hook_small_host(void);
bool mf_hook_separate_cache(void);
bool mf_hook_fails_map(void);
bool mf_hook_old_delete(void);
#else
static inline void mf_hooks_begin(void) {
}

static inline bool mf_hook_small_host(void) {
  return false;
}

static inline bool mf_hook_separate_cache(void) {
  return false;
}

static inline bool mf_hook_fails_map(void) {
  return false;
}

static inline bool mf_hook_old_delete(void) {
  return false;
}
#endif

#endif
