/*
 * For programs whose processes are to die of their faults: keeps the sanitizers from taking the signals, and telling of
 * them in their own way.
 *
 * SPDX-License-Identifier: MIT
 */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void) {
  return "handle_segv=0:handle_sigbus=0:handle_abort=0";
}

const char *__tsan_default_options(void) {
  return "handle_segv=0:handle_sigbus=0:handle_abort=0";
}
