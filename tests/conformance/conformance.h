/*
 * conformance.h - what the conformance cases share: the table, the expectations, and help with files and processes.
 *
 * SPDX-License-Identifier: MIT
 *
 * A case is a plain function. It works in an empty folder of its own, in a process of its own, with the access that
 * was asked for, and ends in one of four ways:
 *
 *   HOLDS         it returned.
 *   DIFFERS       conf_differs: this file system behaves in a way the documentation of libmapfile foresees.
 *   NOT TESTABLE  conf_not_testable: the situation cannot be made here.
 *   BROKEN        an expectation failed, or the process died or ran out of time.
 *
 * An expectation may be used on any thread and in any child.
 *
 * What is declared here and not marked otherwise is in helpers.c, table.c and single.c; the rest is the platform's, in
 * posix/ or win32/, under the file names given.
 */
#ifndef MAPFILE_CONFORMANCE_H
#define MAPFILE_CONFORMANCE_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif

#include "mapfile.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What printf here understands. */
#ifdef __MINGW_PRINTF_FORMAT
#define CONF_PRINTF __MINGW_PRINTF_FORMAT
#else
#define CONF_PRINTF printf
#endif

/* The table */

typedef enum { CONF_HOLDS, CONF_DIFFERS, CONF_NOT_TESTABLE, CONF_BROKEN } conf_outcome;

/* What a case needs. One of the first three, and any of the others where the whole system must be able to do it. */
enum {
  CONF_ANY,    /* runs with every access */
  CONF_MAPPED, /* is about maps: not run with access copied */
  CONF_ONCE,   /* does not depend on the access: run with one only */
  CONF_NEEDS_ACCESS = 3,
  CONF_FORKS = 1 << 2, /* needs fork */
  CONF_FILLS = 1 << 3  /* needs bad pages of maps to become zeros */
};

/* Where its faults come from: files that are cut, mapfile_inject, or mapfile_inject with the system's report changed to
   that of a disk which fails (where the two differ). */
typedef enum { CONF_NO_FAULTS, CONF_REAL, CONF_INJECTED, CONF_IN_PAGE } conf_source;

typedef struct conf_case {
  const char *promise; /* its name in the design */
  const char *name;
  const char *meaning; /* what it means for the user when this is broken */
  unsigned needs;      /* CONF_ANY ... */
  conf_source faults;
  void (*run)(void);
} conf_case;

typedef struct conf_group {
  const char *name;
  const conf_case *cases;
  size_t count;
} conf_group;

#define CONF_GROUP(variable, text) const conf_group variable = {text, table, sizeof table / sizeof table[0]}

/* A case with every source of faults: real ones need a map. */
#define CONF_BOTH(promise, name, meaning, run)                                                                     \
  {promise, name, meaning, CONF_MAPPED, CONF_REAL, run}, {promise, name, meaning, CONF_ANY, CONF_INJECTED, run}, { \
    promise, name, meaning, CONF_ANY, CONF_IN_PAGE, run                                                            \
  }

/* Those of the platform (files.c), NULL at the end, and all. */
extern const conf_group *const conf_platform_groups[];
const conf_group *conf_group_at(size_t index);

/* What the system can do (files.c). */
extern const bool conf_can_fork;
extern const bool conf_fills_maps;
extern const bool conf_has_in_page;      /* tells a failing disk by another report than a file that was cut */
extern const bool conf_maps_pass_end;    /* a map may reach past the end of its file */
extern const bool conf_mapped_keep_name; /* a mapped file may keep its name from being removed or given away */

/* Does the case run with this access? */
bool conf_applies(const conf_case *one, uint32_t access);
/* With any? */
bool conf_exists(const conf_case *one);

/* "promise/name", with "-real", "-injected" or "-in-page" where the case has faults. */
void conf_full_name(const conf_case *one, char *text, size_t size);

const conf_case *conf_lookup(const char *full_name);
const char *conf_access_name(uint32_t access);
bool conf_access_parse(const char *name, uint32_t *access);

/* The case that runs */

extern uint32_t conf_access;    /* MAPFILE_ACCESS_... */
extern conf_source conf_faulty; /* where its faults come from; CONF_INJECTED also for CONF_IN_PAGE */
extern size_t conf_page;        /* bytes of a page */
extern size_t conf_map_unit;    /* what offsets of maps are multiples of */

/* Prepare this process for one case that works in folder (files.c). */
void conf_begin(const conf_case *one, uint32_t access, const char *folder);
void conf_remember_folder(const char *folder);

/* End the case, from any thread. Set by whoever runs the cases, and in children. Must not return. */
typedef void (*conf_stopper)(conf_outcome outcome, const char *text);
extern conf_stopper conf_stop;

_Noreturn void conf_broken(const char *file, int line, const char *format, ...)
    __attribute__((format(CONF_PRINTF, 3, 4)));
_Noreturn void conf_differs(const char *format, ...) __attribute__((format(CONF_PRINTF, 1, 2)));
_Noreturn void conf_not_testable(const char *format, ...) __attribute__((format(CONF_PRINTF, 1, 2)));

#define EXPECT(condition)                                          \
  do {                                                             \
    if (!(condition))                                              \
      conf_broken(__FILE__, __LINE__, "expected: %s", #condition); \
  } while (0)

#define EXPECT_STATUS(call, wanted) conf_expect_status(__FILE__, __LINE__, #call, (call), (wanted))
#define EXPECT_UINT(value, wanted) conf_expect_uint(__FILE__, __LINE__, #value, (uint64_t)(value), (uint64_t)(wanted))
/* One of several statuses, as a list in brackets: EXPECT_ONE_OF(call, MAPFILE_CHANGED, MAPFILE_UNKNOWN). */
#define EXPECT_ONE_OF(call, ...) \
  conf_expect_one_of(__FILE__, __LINE__, #call, (call), (const mapfile_status[]){__VA_ARGS__, -1})

void conf_expect_status(const char *file, int line, const char *call, mapfile_status status, mapfile_status wanted);
void conf_expect_uint(const char *file, int line, const char *what, uint64_t value, uint64_t wanted);
void conf_expect_one_of(const char *file, int line, const char *call, mapfile_status status,
                        const mapfile_status *wanted);
const char *conf_status_name(mapfile_status status);

/* Files (files.c). Every file of the cases has the same pattern: the byte at an offset depends on the offset alone. */

/* The path of name in the case's folder; kept until the 16th later call. Not for threads that run side by side. */
const char *conf_path(const char *name);
unsigned char conf_byte(uint64_t offset);
void conf_pattern(void *buffer, size_t length, uint64_t offset);
bool conf_is_pattern(const void *data, size_t length, uint64_t offset);
bool conf_is_zero(const void *data, size_t length);

/* Make the file name of size bytes of the pattern; returns its path as conf_path does. */
const char *conf_make(const char *name, uint64_t size);
const char *conf_make_bytes(const char *name, const void *bytes, size_t size);
/* A file of size bytes with a hole from 0 on; ends the case as not testable where the file system cannot. */
const char *conf_make_sparse(const char *name, uint64_t size);

/* Changes that the library does not see happen: through another descriptor, or from another process. A file that is
   mapped cannot be cut on some systems: the case then ends as one that differs. */
void conf_truncate(const char *path, uint64_t size);
void conf_truncate_elsewhere(const char *path, uint64_t size);
/* Write the pattern, or other bytes, at offset. */
void conf_write_pattern(const char *path, uint64_t offset, size_t length);
void conf_write_bytes(const char *path, uint64_t offset, const void *bytes, size_t length);
void conf_read_bytes(const char *path, uint64_t offset, void *bytes, size_t length);
uint64_t conf_file_size(const char *path);
/* The system's own calls. False where it refuses, which only conf_mapped_keep_name may be the reason for. */
bool conf_rename(const char *from, const char *to);
bool conf_remove(const char *path);

/* Names that are unusual and yet allowed; NULL at the end. */
extern const char *const conf_odd_names[];

/* What mapfile_open_handle and mapfile_send take, opened by this program; -1: none. */
enum { CONF_READ = 1 << 0, CONF_WRITE = 1 << 1, CONF_ANEW = 1 << 2 /* made, or emptied */ };
intptr_t conf_handle_open(const char *path, unsigned how);
void conf_handle_close(intptr_t handle);
/* The bytes moved, -1 for an error. */
int64_t conf_handle_read(intptr_t handle, void *buffer, size_t length);
int64_t conf_handle_write(intptr_t handle, const void *buffer, size_t length);
uint64_t conf_handle_position(intptr_t handle);
/* ends[0] is to be read, ends[1] to be written. False where there are no sockets that can be written to as files. */
void conf_pipe(intptr_t ends[2]);
bool conf_sockets(intptr_t ends[2]);
/* False where the system cannot make such a handle. */
bool conf_do_not_wait(intptr_t handle);
/* A handle to which nothing can be written for want of space, -1 where there is none. */
intptr_t conf_full_device(void);

/* What the system's errors of the platforms have in common. */
typedef enum { CONF_ABSENT, CONF_NO_SPACE, CONF_NO_READER } conf_error;
bool conf_is_error(int64_t native, conf_error what);
const char *conf_error_text(int64_t native);

/* Wait long enough for a change to get another time stamp than the one before. */
void conf_wait_for_clock(void);
void conf_sleep_ms(unsigned milliseconds);

/* The library, with everything expected to be OK. */

mapfile *conf_open(const char *path, uint32_t flags);
void conf_close(mapfile *file);
void conf_pin(mapfile *file, uint64_t offset, uint64_t length, uint32_t flags, mapfile_view *view);
void conf_unpin(mapfile_view *view);
/* MAPFILE_LIVE where the access maps, MAPFILE_ANY where it copies. */
uint32_t conf_live(void);
mapfile_statistics conf_stats(mapfile *file);

/*
 * A file of `pages` pages of which those from first_bad on fail: really (the file was cut there after it was pinned)
 * or injected, as the case's faults say (helpers.c). Its view covers the whole file and begins at offset 0.
 */
typedef struct conf_damaged {
  const char *path;
  mapfile *file;
  mapfile_view view;
  const unsigned char *data;
  uint64_t size;
  uint64_t bad; /* offset of the first bad byte */
} conf_damaged;

void conf_damage(conf_damaged *one, const char *name, unsigned pages, unsigned first_bad, uint32_t pin_flags);
void conf_undamage(conf_damaged *one);

/* Touching */

typedef struct conf_touch {
  const unsigned char *at;
  volatile int reached; /* counts the touches that came through */
  volatile unsigned value;
} conf_touch;

unsigned conf_load(const void *at);
void conf_store(void *at, unsigned value);
/* A mapfile_body whose argument is a conf_touch: reads one byte. */
mapfile_status MAPFILE_CALL conf_touch_body(void *argument);
/* Touch at in a scope over view (or the mapfile) and expect it to come through, or to be a fault exactly there. */
void conf_expect_good(mapfile *file, const mapfile_view *view, const void *at);
void conf_expect_fault(mapfile *file, const mapfile_view *view, const void *at, uint64_t offset);
/* Is this a record of a fault that hit this byte? */
void conf_expect_record(const char *file_name, int line, const mapfile_fault *fault, const mapfile *file,
                        const void *address, uint64_t offset, uint32_t access);
#define EXPECT_RECORD(fault, file, address, offset, access) \
  conf_expect_record(__FILE__, __LINE__, (fault), (file), (address), (offset), (access))

/* Does the processor report the very byte, and whether it was written, or only its page? */
#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__) || defined(__arm__) || defined(__powerpc64__)
#define CONF_EXACT 1
#else
#define CONF_EXACT 0
#endif
/* Is told, the address of a fault, that of this byte, or at least of its page where the processor tells no more? */
bool conf_is_place(const void *told, const void *byte);
#if defined(__x86_64__) || defined(__i386__)
#define CONF_X86 1
#else
#define CONF_X86 0
#endif

/* Expect a fault in a scope over the view, and one in a scope over the mapfile. */
void conf_expect_recovery(const conf_damaged *one);

/* A page that faults and that the library knows nothing of (files.c); and make it readable. */
unsigned char *conf_foreign_page(const char *name);
void conf_foreign_heal(const void *address);

/* Threads (files.c) and random numbers */

typedef struct conf_thread {
  uintptr_t handle;
  void (*run)(void *argument);
  void *argument;
} conf_thread;

/* stack: bytes of stack, 0 for the system's choice. */
void conf_thread_start(conf_thread *thread, void (*run)(void *), void *argument, size_t stack);
void conf_thread_join(conf_thread *thread);
/* End the calling thread, which conf_thread_start began, wherever it stands. */
_Noreturn void conf_thread_exit(void);
/* As little stack as a scope should do with. */
size_t conf_small_stack(void);
uint64_t conf_random(uint64_t *state);

/* Processes (children.c) */

/* Run body in a child that is a copy of this process; its outcome becomes the case's unless it holds. For cases that
   CONF_FORKS. */
void conf_child(void (*body)(void *), void *argument);

/*
 * Run body in a child. There it gives an address to conf_die_at, which returns it, and touches it: that must be the end
 * of the child, by a fault at that address. Where the system cannot fork, the child is this case run again up to here,
 * so what comes before must bear that.
 */
void conf_expect_kills(void (*body)(void *), void *argument);
const void *conf_die_at(const void *address);

/* Counts of what this process holds (files.c), for leaks. UINT64_MAX where the system does not tell. */
typedef struct conf_holdings {
  uint64_t descriptors, maps, threads, heap_bytes;
} conf_holdings;

void conf_count_holdings(conf_holdings *holdings);
/* Fails when more is held now than before, apart from what allocators keep. */
#define EXPECT_NO_LEAK(before) conf_expect_no_leak(__FILE__, __LINE__, (before))
void conf_expect_no_leak(const char *file, int line, const conf_holdings *before);
/* Only the descriptors or handles, which are exact at any time. */
uint64_t conf_descriptors(void);
/* Only the threads that run. */
uint64_t conf_threads(void);
/* Run within() while the dynamic linker's lock is held; false where that cannot be done. */
bool conf_hold_linker(void (*within)(void));

/* Have divisions by 0 and the like raise exceptions, or no longer; false where that cannot be had (files.c). */
bool conf_want_float_exceptions(bool wanted);
bool conf_wants_float_exceptions(void);
/* Can a program set the processor's alignment flag, and live through a fault? */
bool conf_bears_alignment_flag(void);

/* How often to do what is done again and again by several threads: as often as is usual, or as many per cent of that as
   MAPFILE_TEST_ROUNDS says. */
int conf_rounds(int usual);

/* Has the library been built for tests, and told to take this host for another (src/hooks.h)? */
bool conf_hooked(const char *hook);
/* Does an emulator run this program, as MAPFILE_TEST_EMULATOR says? It may leave out what the processor itself tells:
   that a fault was a read or a write. */
bool conf_emulated(void);

/* "AddressSanitizer", "ThreadSanitizer", "valgrind", or NULL. */
const char *conf_instrument(void);
bool conf_under(const char *instrument);
/* Valgrind may fail to make the stack larger for the frame of a signal handler: have it large from the start. */
void conf_grow_stack(void);
/* End the case as not testable under valgrind, with the reason. */
void conf_not_under_valgrind(const char *why);

/* Leave no more address space than this; ends the case as not testable where that cannot be done. */
void conf_limit_address_space(uint64_t more);
void conf_unlimit_address_space(void);

/* This program's own file, and the hidden arguments with which cases run it again (children.c). Returns -1 where the
   arguments are not hidden ones, else the exit code. */
extern const char *conf_self;
int conf_probe(int count, char **words);

conf_outcome conf_record_parse(const char *record, const char **text);

/* Folders (files.c). 0, or the system's error. */
int64_t conf_folder_make(const char *inside, const char *prefix, char *path, size_t size);
void conf_folder_remove(const char *path);
int64_t conf_resolve(const char *path, char *absolute, size_t size);
/* The system and the kind of file system that path lies on, in words. */
void conf_file_system(const char *path, char *text, size_t size);
/* A path by which this program can be run again. */
const char *conf_program_path(const char *called_as);
/* The arguments, as UTF-8. */
void conf_arguments(int *count, char ***words);

/* One case in a process of its own, with its output and a time limit (run.c). */
typedef struct conf_run {
  const char *program;
  char *const *words;
  unsigned seconds;
  const volatile sig_atomic_t *stop; /* not 0: end it at once */
  char record[4096];                 /* what it told by conf_report */
  char death[64];                    /* what killed it; empty: it ended by itself */
  bool timed_out;
  int code; /* exit code */
} conf_run;

/* 0, or the system's error. */
int64_t conf_run_process(conf_run *run);
/* In such a process: how the case ended. */
void conf_report(conf_outcome outcome, const char *text);
/* Whoever reads the table may stop reading; the rest is cleaned up all the same. */
void conf_ignore_broken_pipes(void);

/* The same by name (single.c): run it, and say how it ended. What the process does is conf_single_here, for which it is
   started with the hidden arguments --run-case, name, access and folder. */
int64_t conf_single(const conf_case *one, uint32_t access, const char *folder, const volatile sig_atomic_t *stop,
                    conf_outcome *outcome, char *text, size_t size);
int conf_single_here(const char *name, const char *access_name, const char *folder);

#endif
