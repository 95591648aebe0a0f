/*
 * platform.h - what the model test needs of the system: files behind the library's back, threads and child processes.
 *
 * SPDX-License-Identifier: MIT
 *
 * All of it is in posix.c. Functions that give a bool say whether the system did it.
 */
#ifndef MODEL_PLATFORM_H
#define MODEL_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

size_t platform_page(void);
/* Why the test cannot run here, NULL: it can. */
const char *platform_hindrance(void);
/* Another number in each run. */
uint64_t platform_new_seed(void);

/* A new folder for the test; to remove it, with what is in it but no folders; and to leave it empty. */
bool platform_make_folder(char *path, size_t size);
void platform_empty_folder(const char *path);
void platform_remove_folder(const char *path);
bool platform_make_inner_folder(const char *path);
void platform_remove_inner_folder(const char *path);

/* Has this system, or its emulator, only 32 bits for where a map begins? */
bool platform_cuts_offsets(void);

/* Files by name, as another program changes them. */
bool platform_make(const char *path); /* new and empty; it must not be there */
bool platform_write(const char *path, uint64_t offset, const void *bytes, size_t length);
bool platform_read(const char *path, uint64_t offset, void *bytes, size_t length);
bool platform_set_size(const char *path, uint64_t size);
/* Give it a time of modification, in seconds, that no clock gives. */
bool platform_set_time(const char *path, uint64_t seconds);
/* False where there is none. */
bool platform_size(const char *path, uint64_t *size);

/* What mapfile_open_handle and mapfile_send take; -1: it could not be had. */
enum { PLATFORM_READ = 1 << 0, PLATFORM_WRITE = 1 << 1, PLATFORM_APPEND = 1 << 2 };
intptr_t platform_open(const char *path, unsigned how);
void platform_close(intptr_t handle);
bool platform_is_open(intptr_t handle);
uint64_t platform_position(intptr_t handle);
void platform_set_position(intptr_t handle, uint64_t position);
/* ends[0] is to be read, ends[1] to be written, and never waits. */
bool platform_pipe(intptr_t ends[2]);
/* The bytes moved, -1 for none. */
int64_t platform_handle_read(intptr_t handle, void *buffer, size_t length);
int64_t platform_handle_write(intptr_t handle, const void *buffer, size_t length);
/* How many descriptors this process has open; 0 where the system does not tell. */
uint64_t platform_handles(void);

typedef struct platform_thread {
  uintptr_t handle;
  void (*run)(void *argument);
  void *argument;
} platform_thread;

bool platform_start(platform_thread *thread, void (*run)(void *), void *argument);
void platform_join(platform_thread *thread);
void platform_lock(void);
void platform_unlock(void);

/* The process dies if this is not called again within so many seconds; 0: no more. */
void platform_watchdog(unsigned seconds);
/* End the process at once, whatever its threads do. */
_Noreturn void platform_end(int code);

/*
 * Run this program again with other arguments, its output going to a file. Returns its exit code, or -1 where it did
 * not end by itself: death then says what ended it. Called by a process of one thread that has not used the library.
 */
int platform_child(int count, char **arguments, const char *output, char *death, size_t size);
/* Provided by main.c. */
int model_main(int count, char **arguments);

#endif
