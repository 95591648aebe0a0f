/*
 * win32.h - what only the cases on Windows share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPFILE_CONFORMANCE_WIN32_H
#define MAPFILE_CONFORMANCE_WIN32_H

#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00
#endif

#include "../conformance.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

/* Wine takes the system's calls to the one below. NULL: this is Windows. */
const char *conf_wine_version(void);

/* The full name in 16-bit units, with the prefix that lifts the limit of 260; for free. */
wchar_t *conf_wide(const char *path);
/* The same as it stands. */
wchar_t *conf_units(const char *text);
/* Opened with every sharing; INVALID_HANDLE_VALUE and GetLastError where it cannot be. */
HANDLE conf_native_open(const char *path, DWORD access, DWORD disposition, DWORD flags);

/* Have access violations in pages that allow nothing reported as a disk that fails, before every other handler. */
void conf_report_in_page(void);
/* What such a report says of the disk. */
#define CONF_DISK_STATUS 0xc000009cu

/* The case that runs, and which of its children that must die this process is; 0: none. */
extern const conf_case *conf_running;
extern unsigned conf_child_number;

/* This program again, with up to 7 words, and what it inherits. Returns false with GetLastError. */
typedef struct conf_start {
  const char *words[8];
  DWORD flags;       /* as CreateProcess has them */
  HANDLE output;     /* its standard output, to be inherited; NULL: standard error */
  HANDLE also;       /* to be inherited too, NULL: none; both must be inheritable */
  bool inherits_all; /* every inheritable handle */
} conf_start;

bool conf_start_self(const conf_start *how, PROCESS_INFORMATION *process);
/* Start, wait, and return the exit code; ends the case as not testable where that cannot be done. */
DWORD conf_run_self(const conf_start *how);

/* Take hold of the pipe for the record, which standard output is until then (run.c). */
void conf_take_record_pipe(void);
/* The same for text of another kind: where a child is to die. */
void conf_report_raw(const char *text);

/* Handles that Wine itself lost when it started programs of the system below. */
extern uint64_t conf_handles_lost;

/* The page of an address allows nothing, or all again. */
void conf_forbid(const void *address);
void conf_allow(const void *address);

/*
 * Another process that does something with a path, says so, and goes on until it is told to end, with exit code 0: this
 * program, with the word, path, detail where there is one, and the numbers of two events, separated by a comma.
 */
typedef struct conf_other {
  HANDLE go, process;
} conf_other;

void conf_other_start(conf_other *other, const char *word, const char *path, const char *detail);
void conf_other_end(conf_other *other);
HANDLE conf_handle_of(const char *number);

/* What the hidden arguments with which cases start this program do; exit codes. */
int conf_cut_here(const char *path, const char *size);                                         /* files.c */
int conf_probe_handle(const char *number);                                                     /* paths.c */
int conf_hold_file(const char *path, const char *sharing, const char *ready_and_go);           /* paths.c */
int conf_pin_here(const char *path, const char *ready_and_go);                                 /* elsewhere.c */
int conf_deed_here(const char *number, const char *path, const char *other, const char *size); /* elsewhere.c */

/* A value as hexadecimal text, kept until the fourth later call. */
const char *conf_hex(uintptr_t value);

#endif
