/*
 * posix/platform.h - what src/ needs inline of the platform; os.h tells what each is.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MF_POSIX_PLATFORM_H
#define MF_POSIX_PLATFORM_H

#ifndef MF_TLS_MODEL
#define MF_TLS_MODEL
#endif

/* Of no alignment of its own: a library that dlopen loads must not ask for more than the C library's record of a thread
   has, which is not much everywhere. */
extern _Thread_local mf_thread mf_this_thread MF_TLS_MODEL;

static inline mf_thread *os_thread(void) {
  return &mf_this_thread;
}

static inline mf_thread *os_thread_guess(void) {
  return &mf_this_thread;
}

static inline mf_thread *os_thread_in_handler(void) {
  return &mf_this_thread;
}

#define OS_FRAME_ADDRESS() ((uintptr_t)__builtin_frame_address(0))

/* Systems that keep the pages of maps apart from those that read and write use. */
#if defined(__OpenBSD__) || defined(__hpux) || defined(__QNX__)
enum { OS_UNIFIED_CACHE = 0 };
#else
enum { OS_UNIFIED_CACHE = 1 };
#endif

enum { OS_FILLS_MAPS = 1, OS_PARKING_CLOSES = 0 };

/*
 * The ways to save a scope's registers: by registers.c, or by setjmp. Programs may have setjmp in MAPFILE_TRY
 * (mapfile.h says when), and under ThreadSanitizer, which follows calls and returns, it has to be setjmp: so the scope
 * says which it was.
 */
enum { OS_SIZE_SAVED = 1, OS_SIZE_RUN = 2, OS_SIZE_TRY = 3, OS_SIZE_SETJMP = sizeof(mapfile_scope) };

/* registers.c */
os_outcome posix_run_setjmp(mapfile_scope *scope, mapfile_body body, void *argument);
_Noreturn void os_land(mapfile_scope *scope);

#ifdef MAPFILE_SAVES_REGISTERS
#pragma weak __tsan_func_entry
void __tsan_func_entry(void *caller);

/* registers.c */
os_outcome posix_run(mapfile_scope *scope, mapfile_body body, void *argument);
#endif

static inline bool os_follows_calls(void) {
#if defined(MAPFILE_SAVES_REGISTERS) && !defined(MAPFILE_USE_SETJMP)
  return __tsan_func_entry != NULL;
#else
  return true;
#endif
}

/* Of a scope's registers on x86-64, the one that the stack pointer comes from: it points to below where it shall be. */
enum { POSIX_AT_STACK = 6 };

/* try.c */
#if defined(MAPFILE_SAVES_REGISTERS) && !defined(MAPFILE_USE_SETJMP) && defined(__x86_64__) && \
    defined(MF_TLS_INITIAL_EXEC)
#define OS_HAS_TRY 1

/* Where to go on in the scope, which is made ready for that. */
uintptr_t posix_try_place(mapfile_scope *scope);
#else
#define OS_HAS_TRY 0
#endif

static inline os_outcome os_run(mapfile_scope *scope, mapfile_body body, void *argument) {
#if defined(MAPFILE_SAVES_REGISTERS) && !defined(MAPFILE_USE_SETJMP)
  if (!os_follows_calls())
    return posix_run(scope, body, argument);
#endif
  return posix_run_setjmp(scope, body, argument);
}

#endif
