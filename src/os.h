/*
 * os.h - all that a platform must provide, and nothing else: the only door between src/ and src/posix, src/win32.
 *
 * SPDX-License-Identifier: MIT
 *
 * Every function that fails returns a status and leaves the system's own error with mf_set_native_error. Functions
 * marked "handler" may run in a signal handler: no lock, no allocation, errno kept.
 */
#ifndef MF_OS_H
#define MF_OS_H

#include "mapfile.h"

#include <stdbool.h>

/* Provided by status.c to the platforms. */
void mf_set_native_error(int64_t error);

enum { MF_RING = 8 };

/* What a thread keeps. Small, because libraries that dlopen loads share little static space. What every scope touches
   comes first, together. */
typedef struct mf_thread {
  uint32_t depth; /* scopes entered */
  uint32_t ready; /* prepared for scopes */
  uintptr_t stack_low, stack_size;
  uintptr_t quick_size; /* as stack_size; 0 where each scope must be entered with care */
  /* The innermost scopes, so that those below a frame that died can be found without reading dead memory. An address,
     with MF_ELSEWHERE where the scope does not lie on the thread's own stack. */
  uintptr_t ring[MF_RING];
  uint32_t ordinal; /* 1 + the thread's number, 0: none yet */
  int64_t native_error;
} mf_thread;

enum { MF_ELSEWHERE = 1 };

typedef struct os_outcome {
  intptr_t status;
  intptr_t landed;
} os_outcome;

/*
 * What has to be inline is in the platform's platform.h:
 *
 * mf_thread *os_thread(void)             the calling thread's record (the calling fiber's, where there are such); never
 *                                        NULL
 * mf_thread *os_thread_guess(void)       the same, quicker: perhaps NULL or another fiber's; right where the caller's
 *                                        frame lies on the stack that it names
 * mf_thread *os_thread_in_handler(void)  the same in a fault handler, without allocating: NULL where there is none yet
 * OS_FRAME_ADDRESS()                     where the calling function's frame lies
 * os_run(scope, body, argument)          run body(argument) so that os_land(scope) comes back here. Returns what body
 *                                        did and 0, or after a landing anything and 1. Sets scope->size when the
 *                                        place to land at is made.
 * os_land(scope)                         leave to a scope that runs in os_run or in MAPFILE_TRY; never returns
 * OS_SIZE_SAVED                          scope->size of a scope in place whose registers mapfile_scope_save saved,
 *                                        nobody else's
 * os_follows_calls()                     does something follow this process's calls and returns?
 * OS_HAS_TRY                             has the platform a mapfile_try of its own, for what is not left to
 *                                        mf_try_with_care?
 * OS_FILLS_MAPS                          can os_fill_zeros put zeros into a live map?
 * OS_UNIFIED_CACHE                       do maps and the file calls show the same bytes at every moment?
 * OS_PARKING_CLOSES                      does an open handle keep others from the file, so that parking closes it?
 */
#include "platform.h"

/*
 * Files (file.c)
 */

enum os_file_kind { OS_FILE_REGULAR, OS_FILE_STREAM, OS_FILE_OTHER };

/* What the system tells of an open file. Two looks that are equal in all members saw no change. */
typedef struct os_file_info {
  enum os_file_kind kind;
  uint64_t size;
  int64_t modified; /* nanoseconds */
  int64_t changed;  /* nanoseconds */
} os_file_info;

/* What os_reopen needs to open a path again as it was resolved at first; the platform's own. */
typedef struct os_name os_name;

/* Which file it is, also after it was closed: equal in all members means the same file. */
typedef struct os_identity {
  uint64_t volume;
  uint64_t id[2];
  int64_t created; /* so that a number that is used again does not mislead; 0 where files are compared while open */
} os_identity;

/* flags and share as in mapfile_options; never waits for a FIFO's other end. UNSUPPORTED: sharing cannot be restricted
   here. *name is for os_reopen, NULL where OS_PARKING_CLOSES is 0. */
mapfile_status os_open(const char *path, uint32_t flags, uint32_t share, uint32_t create_mode, intptr_t *handle,
                       os_name **name);
/* Open it again, for reading and, with MAPFILE_WRITE, writing; nothing is made, emptied or waited for. Asked only where
   OS_PARKING_CLOSES is 1. */
mapfile_status os_reopen(const os_name *name, uint32_t flags, uint32_t share, intptr_t *handle);
/* NULL is allowed. */
void os_name_free(os_name *name);
/* Is the handle open for what flags ask? */
mapfile_status os_handle_allows(intptr_t handle, uint32_t flags);
/* The handle that the library's own calls go through, for one that the program gave: the same, or another of the
   library's, so that the position of the program's does not move. Streams: always the same. */
mapfile_status os_own_handle(intptr_t native, uint32_t flags, intptr_t *handle);
mapfile_status os_close(intptr_t handle);
mapfile_status os_file_look(intptr_t handle, os_file_info *info);
/* Can faults in maps of this regular file be recovered, and are maps and reads coherent there? Else it is only read. */
bool os_may_map(intptr_t handle);
/* UNSUPPORTED: the file system does not tell enough to be sure. */
mapfile_status os_handle_identity(intptr_t handle, os_identity *identity);
/* Of the file that os_remove would remove at path: of a link itself, not of what it leads to. */
mapfile_status os_path_identity(const char *path, os_identity *identity);

/* Remove a name, without waiting or trying again. UNSUPPORTED: a folder. BUSY: the file is mapped or open in a way that
   keeps the name from going now, and letting go may help; nothing was changed. */
mapfile_status os_remove(const char *path);
/* Remove a name by giving the file another one beside it first, and removing that; where it cannot be removed, the file
   gets its old name back, unless that is taken by then. BUSY: it did not work. */
mapfile_status os_remove_aside(const char *path);
/* Give a file another name, replacing a file that has it. Else as os_remove. */
mapfile_status os_rename(const char *from, const char *to);

/* Make the file so long. LIMIT: longer than the system or a limit of the process allows, without a signal. BUSY: it is
   mapped beyond that; nothing was changed. */
mapfile_status os_set_size(intptr_t handle, uint64_t size);
/* Reserve space on the device for all bytes below length, without making the file longer. UNSUPPORTED: the file system
   cannot. */
mapfile_status os_allocate(intptr_t handle, uint64_t length);

/* Read until length bytes, the end of the file or an error; *done is always set. The position does not move. */
mapfile_status os_read_at(intptr_t handle, uint64_t offset, void *buffer, size_t length, size_t *done);

typedef struct os_part {
  void *buffer;
  size_t length;
} os_part;

enum { OS_MOST_PARTS = 2 };

/* The same into several places, by one call to the system where it has one. *done counts over all. */
mapfile_status os_read_parts(intptr_t handle, uint64_t offset, const os_part *parts, unsigned count, size_t *done);

/* Read once from where the handle stands (a file's handle that has no position: from offset), waiting for data; *done 0
   is the end. */
mapfile_status os_read_stream(intptr_t handle, uint64_t offset, void *buffer, size_t length, size_t *done);
/* Write all to a handle; *done is always set. */
mapfile_status os_write_stream(intptr_t handle, const void *buffer, size_t length, size_t *done);
/* Write until length bytes or an error; *done is always set. The file grows as needed, the position does not move.
   LIMIT: as os_set_size, without a signal. UNKNOWN: the memory could not be read; perhaps more of it than *done was
   written. */
mapfile_status os_write_at(intptr_t handle, uint64_t offset, const void *buffer, size_t length, size_t *done);
/* UNSUPPORTED: whatever offset is asked for, it writes at the end of the file. */
mapfile_status os_writes_where_asked(intptr_t handle);
/* Send from file to handle inside the kernel, once; *done is always set, 0 with OK at the end of the file.
   UNSUPPORTED: this pair cannot, copy through memory instead. */
mapfile_status os_send_file(intptr_t file, uint64_t offset, size_t length, intptr_t handle, size_t *done);
/* Does the file certainly hold no data in this range? Moves the handle's position. */
bool os_is_hole(intptr_t handle, uint64_t offset, uint64_t length);
/* Is there no space left for another page in the file's file system? */
bool os_file_system_full(intptr_t handle);

/*
 * Maps (map.c)
 */

enum os_map_kind {
  OS_MAP_READ,    /* live, read-only */
  OS_MAP_WRITE,   /* live, writable */
  OS_MAP_PRIVATE, /* copy-on-write, writable */
};

size_t os_page_size(void);
/* What offsets of maps are multiples of; a multiple of the page size. */
size_t os_map_unit(void);
/* The same without a call; set by registry.c before the first mapfile is opened. */
extern size_t mf_page_size, mf_map_unit;
/* Maps a process may have, as the system states it now; UINT64_MAX where it states none. */
uint64_t os_map_count_limit(void);
/* Whether a map may reach past the end of the file, so that growth shows in it. */
bool os_map_may_pass_end(void);
/* offset is a multiple of the map unit, length one of the page size. TRUNCATED: the file ends before that, where no map
   may pass its end; LIMIT: address space, map count or locked memory; UNSUPPORTED: the file cannot be mapped. */
mapfile_status os_map(intptr_t handle, uint64_t offset, size_t length, enum os_map_kind kind, void **address);
/* The same over an existing map of ours, atomically. */
mapfile_status os_map_over(intptr_t handle, uint64_t offset, size_t length, enum os_map_kind kind, void *address);
/* Zeroed, page-aligned, writable memory. */
mapfile_status os_memory(size_t length, void **address);
/* Forbid writing to memory from os_memory, so that it behaves as a read-only view. */
void os_memory_seal(void *address, size_t length);
/* Replace pages of ours by pages that fault as a bad page of a file does. */
mapfile_status os_memory_fail(void *address, size_t length);
/* Replace failing pages by memory that can be written and then holds zeros. */
mapfile_status os_memory_again(void *address, size_t length);
void os_unmap(void *address, size_t length);
/* handler: put read-only zeros over a page of ours. False where the system refused. */
bool os_fill_zeros(void *address, size_t length);

/*
 * The system's cache (cache.c). Advice: failure is of no consequence.
 */

/* The whole map will be walked once from front to back. */
void os_advise_walk(void *address, size_t length);
/* These pages of a live map will not be touched soon: leave the resident set small. */
void os_release_pages(void *address, size_t length);
/* These bytes of the file will not be read again: the system may forget them. */
void os_forget_cached(intptr_t handle, uint64_t offset, uint64_t length);

/*
 * Faults (fault.c)
 */

/* What the platform saw of a fault, handed to mf_scope_take. */
typedef struct os_fault {
  uintptr_t address;
  uintptr_t stack_pointer;         /* of the interrupted code; 0: not known, the thread's own stack is assumed */
  uintptr_t other_low, other_high; /* the alternate stack the thread may run on, empty: none */
  mapfile_status status;           /* UNKNOWN, or what the system says at once */
  uint32_t access;
  int32_t signal;
  int64_t code;
  uint64_t length;   /* bytes known to be bad, a power of two */
  bool address_only; /* access is not known, and perhaps the page is good but forbidden */
  /* Is the fault for that scope, which covers the address: can the handler leave to it, or put zeros there for it?
     Asked before anything is changed; it may still say what the fault is. NULL: for any. */
  bool (*can_take)(struct os_fault *fault, const mapfile_scope *scope);
} os_fault;

/* Provided by scope.c to the platforms.
   handler: find the scope that a fault belongs to. Returns it, to be left by mf_scope_land; or NULL, with *resume set
   where the bad page has been filled and the instruction can run again. */
mapfile_scope *mf_scope_take(os_fault *fault, bool *resume);
/* Enter a scope in place whose registers have just been saved by mapfile_scope_save, which goes on here; 0. */
int MAPFILE_SAVE_CALL mf_scope_enter_saved(mapfile_scope *scope, mapfile *file, const mapfile_view *view,
                                           mapfile_fault *fault);
/* mapfile_try where anything has to be looked at or done that is not usual, and after a landing. */
mapfile_status mf_try_with_care(mapfile *file, const mapfile_view *view, mapfile_body body, void *argument,
                                mapfile_fault *fault);
mapfile_status mf_finish_fault(const mapfile_fault *fault);
/* The state of a usual scope, to be mixed with its address and the pointers in it. */
enum { MF_SCOPE_ARMED = 0x6d617001 };
/* Leave to the scope: never returns. In normal context, or in a handler where the platform allows it. */
_Noreturn void MAPFILE_CALL mf_scope_land(void *scope);
/* mapfile_handler_configure's flags. */
uint32_t mf_handler_flags(void);

/* Install the handlers (again), unless the host owns them. flags are mapfile_handler_configure's. */
mapfile_status os_fault_install(uint32_t flags);
mapfile_status os_fault_check(uint32_t flags);
/* handler: can the signal only mean a forbidden access, never a bad page of a file? */
bool os_fault_is_violation(int signo);
mapfile_status os_fault_rearm(uint32_t flags);
/* Make the calling thread fit for scopes: faults must be deliverable to it. */
mapfile_status os_fault_prepare_thread(uint32_t flags);
/* The bounds of the thread's own stack. */
mapfile_status os_stack_bounds(uintptr_t *low, uintptr_t *high);
/* The bounds of the alternate stack, if the calling code runs on it now; else false. */
bool os_on_other_stack(uintptr_t here, uintptr_t *low, uintptr_t *high);

/*
 * Threads (thread.c)
 */

/* The one lock of the library. Never taken in a handler, never held while reading a file (but by mapfile_inject) or
   running a callback that may call back. Survives fork: the child starts with it free. */
void os_lock(void);
void os_unlock(void);
/* Have mf_process_begin run once, and mf_process_after_fork in every child from then on, both with the lock held. */
mapfile_status os_begin_once(void);
/* Provided by registry.c to the platforms. */
void mf_process_begin(void);
void mf_process_after_fork(void);
unsigned os_processors(void);
/* Milliseconds of a clock that nobody sets. */
uint64_t os_milliseconds(void);
void os_sleep(uint32_t milliseconds);
/* The time now, in nanoseconds as in os_file_info. */
int64_t os_file_clock(void);
/* With the lock held, which is free meanwhile: wait until another thread calls os_load_done. May end early for no
   reason. */
void os_load_wait(void);
/* With the lock held: wake all who wait so. */
void os_load_done(void);

/* Run it in a thread of its own that nobody waits for, not even at the end of the process; it takes no signals and
   needs little stack. With the lock held. LIMIT, NO_MEMORY: there can be no thread now. */
mapfile_status os_thread_start(void (*run)(void));
/* For that one thread, with the lock held, which is free meanwhile: wait so long, or for ever with UINT32_MAX. Ends
   when woken; may end early for no reason. */
void os_wait(uint32_t milliseconds);
/* With the lock held; nothing is lost where nobody waits. */
void os_wake(void);
/* Provided by idle.c to the platforms that have fork: called in the child, with the lock held. */
void mf_idle_after_fork(void);

#endif
