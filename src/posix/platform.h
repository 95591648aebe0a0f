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
 * OS_RUN saves its registers with the compiler's own setjmp where that is sound: the C library's costs as much as all
 * the rest of a scope. Its counterpart must tell AddressSanitizer by hand what longjmp tells it; and ThreadSanitizer,
 * which follows calls and returns, knows only the library's, so under it that one is used.
 */
#ifdef MF_BUILTIN_SETJMP
#pragma weak __asan_handle_no_return
#pragma weak __tsan_func_entry
void __asan_handle_no_return(void);
void __tsan_func_entry(void *caller);

/* scope->size of a scope whose registers were saved so; nobody else's. */
enum { OS_SIZE_BUILTIN = 1 };

#define OS_SAVE_REGISTERS(scope)                                                          \
  (__tsan_func_entry == NULL                                                              \
       ? ((scope)->size = OS_SIZE_BUILTIN, __builtin_setjmp((void **)(scope)->registers)) \
       : ((scope)->size = (uint32_t)sizeof(mapfile_scope), MAPFILE_SAVE_REGISTERS((scope)->registers)))
#else
#define OS_SAVE_REGISTERS(scope) \
  ((scope)->size = (uint32_t)sizeof(mapfile_scope), MAPFILE_SAVE_REGISTERS((scope)->registers))
#endif

#define OS_RUN(scope, body, argument, status) \
  (OS_SAVE_REGISTERS(scope) != 0 ? true : (*(status) = (body)(argument), false))

static _Noreturn inline void os_land(mapfile_scope *scope) {
#ifdef MF_BUILTIN_SETJMP
  if (scope->size == OS_SIZE_BUILTIN) {
    if (__asan_handle_no_return != NULL)
      __asan_handle_no_return();
    __builtin_longjmp((void **)scope->registers, 1);
  }
#endif
  longjmp(scope->registers, 1);
}

#endif
