/*
 * win32/platform.h - what src/ needs inline of the platform; os.h tells what each is.
 *
 * SPDX-License-Identifier: MIT
 *
 * No <windows.h> here: src/ shall not see its names.
 */
#ifndef MF_WIN32_PLATFORM_H
#define MF_WIN32_PLATFORM_H

/* The compilers that are not GNU's or like it: Microsoft's, and clang in its place. They have __try. */
#if !defined(__GNUC__)
#include <intrin.h>
#define MF_HAVE_TRY 1
#endif

#define OS_HAS_TRY 0

enum { OS_FILLS_MAPS = 0, OS_UNIFIED_CACHE = 1, OS_PARKING_CLOSES = 1 };

/* What Windows calls the thread environment block, and what is read of it: facts that debuggers and language runtimes
   rely on too, the same since Windows NT. */
#if defined(_WIN64)
enum { TEB_STACK_BASE = 0x8, TEB_STACK_BOTTOM = 0x1478, TEB_SLOTS = 0x1480 };
#else
enum { TEB_STACK_BASE = 0x4, TEB_STACK_BOTTOM = 0xe0c, TEB_SLOTS = 0xe10 };
#endif

static inline uintptr_t win_teb_word(uint32_t offset) {
#if !defined(__GNUC__) && defined(_WIN64)
  return (uintptr_t)__readgsqword(offset);
#elif !defined(__GNUC__)
  return (uintptr_t)__readfsdword(offset);
#else
  uintptr_t word;
#if defined(_WIN64)
  __asm__ volatile("movq %%gs:(%1), %0" : "=r"(word) : "r"((uintptr_t)offset));
#else
  __asm__ volatile("movl %%fs:(%1), %0" : "=r"(word) : "r"((uintptr_t)offset));
#endif
  return word;
#endif
}

#if !defined(__GNUC__)
#define OS_FRAME_ADDRESS() ((uintptr_t)_AddressOfReturnAddress())
#else
#define OS_FRAME_ADDRESS() ((uintptr_t)__builtin_frame_address(0))
#endif

/* A fiber's record, or that of a thread that has none. Kept in a fiber-local slot; the one that was last looked for, in
   a thread-local slot too, which is read without a call. A fiber switch makes that one wrong: it is right while the
   code runs on the stack that it belongs to. Records are used again but never freed, so a wrong one can be looked at.
 */
typedef struct win_thread {
  mf_thread thread; /* first, so that one is the other */
  uintptr_t low, size;
  void *event; /* what this thread's reading and writing waits for */
  struct win_thread *next_free;
} win_thread;

/* Where the thread-local slot lies in the thread environment block; 0: it is not there, or not had yet. */
extern uint32_t win_teb_slot;
/* Look for the record with care; NULL only where make is false. */
win_thread *win_find_thread(bool make);
/* The event that the calling thread's reading and writing waits for; NULL with LastError set. */
void *win_thread_event(void);

static inline win_thread *win_slot(void) {
  return win_teb_slot != 0 ? (win_thread *)win_teb_word(win_teb_slot) : NULL;
}

static inline win_thread *win_quick_thread(void) {
  win_thread *record = win_slot();
  return record != NULL && OS_FRAME_ADDRESS() - record->low < record->size ? record : NULL;
}

static inline mf_thread *os_thread(void) {
  win_thread *record = win_quick_thread();
  return record != NULL ? &record->thread : &win_find_thread(true)->thread;
}

static inline mf_thread *os_thread_guess(void) {
  return (mf_thread *)win_slot();
}

static inline mf_thread *os_thread_in_handler(void) {
  win_thread *record = win_quick_thread();
  return (mf_thread *)(record != NULL ? record : win_find_thread(false));
}

/* scope->size of a scope that is a real frame of structured exception handling; nobody else's. */
enum { OS_SIZE_SAVED = 1, OS_SIZE_FRAMED = 2 };

/* registers.c. On processors where every scope of mapfile_try is a frame, only MAPFILE_TRY saves registers. */
#if defined(__GNUC__)
#if defined(_WIN64)
_Noreturn void win_registers_restore(const uintptr_t *registers);
#else
os_outcome MAPFILE_SAVE_CALL win_run(mapfile_scope *scope, mapfile_body body, void *argument);
_Noreturn void __attribute__((fastcall)) win_registers_restore(const uintptr_t *registers);
#endif
#endif

/* frame.c */
bool win_run_framed(mapfile_scope *scope, mapfile_body body, void *argument, mapfile_status *status);
_Noreturn void win_land_framed(mapfile_scope *scope);

/* A frame where the compiler has __try, or the assembler can describe one; else saved registers, which are gone back to
   by the vectored handler. */
static inline bool os_follows_calls(void) {
  return false;
}

static inline os_outcome os_run(mapfile_scope *scope, mapfile_body body, void *argument) {
#if defined(MF_HAVE_TRY) || defined(_WIN64)
  mapfile_status status = MAPFILE_OK;
  bool landed = win_run_framed(scope, body, argument, &status);
  return (os_outcome){status, landed};
#else
  return win_run(scope, body, argument);
#endif
}

static _Noreturn inline void os_land(mapfile_scope *scope) {
#if defined(__GNUC__)
  if (scope->size != OS_SIZE_FRAMED)
    win_registers_restore(scope->registers);
#endif
  win_land_framed(scope);
}

#endif
