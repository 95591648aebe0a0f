/*
 * children.c - child processes of a case on Windows: this program again, doing something small, or dying on purpose.
 *
 * SPDX-License-Identifier: MIT
 *
 * There is no fork. A child that must die is the same case run again: it passes over the children that come before it,
 * and what it does not find done by the case itself before them. How it died is seen twice: in its exit code, and in
 * the record of the exception that nobody took, which its parent gets as its debugger.
 */
#include "win32.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

unsigned conf_child_number;

/* Starting this program */

static wchar_t *add_slashes(wchar_t *to, size_t count) {
  for (size_t i = 0; i < count; i++)
    *to++ = L'\\';
  return to;
}

/* Quoted so that it is read again as it was. */
static wchar_t *add_word(wchar_t *to, const wchar_t *word) {
  size_t slashes = 0;
  *to++ = L'"';
  for (; *word != 0; word++) {
    if (*word == L'"')
      to = add_slashes(to, slashes + 1);
    slashes = *word == L'\\' ? slashes + 1 : 0;
    *to++ = *word;
  }
  to = add_slashes(to, slashes);
  *to++ = L'"';
  *to = 0;
  return to;
}

static wchar_t *command_line(const conf_start *how) {
  size_t room = strlen(conf_self) + 8;
  for (int i = 0; how->words[i] != NULL; i++)
    room += 2 * strlen(how->words[i]) + 4;
  wchar_t *line = malloc(room * sizeof *line), *end = line;
  if (line == NULL)
    conf_not_testable("there is not enough memory");
  wchar_t *self = conf_units(conf_self);
  end = add_word(end, self);
  free(self);
  for (int i = 0; how->words[i] != NULL; i++) {
    wchar_t *word = conf_units(how->words[i]);
    *end++ = L' ';
    end = add_word(end, word);
    free(word);
  }
  return line;
}

static HANDLE inheritable(DWORD which) {
  HANDLE copy = NULL;
  DuplicateHandle(GetCurrentProcess(), GetStdHandle(which), GetCurrentProcess(), &copy, 0, TRUE, DUPLICATE_SAME_ACCESS);
  return copy;
}

/* Only what is named is inherited. */
static bool start_with(const conf_start *how, wchar_t *line, HANDLE *inherited, DWORD count, STARTUPINFOEXW *start,
                       PROCESS_INFORMATION *process) {
  SIZE_T size = 0;
  InitializeProcThreadAttributeList(NULL, 1, 0, &size);
  start->lpAttributeList = malloc(size);
  if (start->lpAttributeList == NULL || !InitializeProcThreadAttributeList(start->lpAttributeList, 1, 0, &size))
    return false;
  DWORD flags = how->flags;
  if (!how->inherits_all) {
    UpdateProcThreadAttribute(start->lpAttributeList, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, inherited,
                              count * sizeof *inherited, NULL, NULL);
    flags |= EXTENDED_STARTUPINFO_PRESENT;
  }
  bool started = CreateProcessW(NULL, line, NULL, NULL, TRUE, flags, NULL, NULL, &start->StartupInfo, process);
  DWORD error = GetLastError();
  DeleteProcThreadAttributeList(start->lpAttributeList);
  free(start->lpAttributeList);
  SetLastError(error);
  return started;
}

bool conf_start_self(const conf_start *how, PROCESS_INFORMATION *process) {
  STARTUPINFOEXW start;
  HANDLE inherited[3];
  DWORD count = 0;
  HANDLE errors = inheritable(STD_ERROR_HANDLE);
  memset(&start, 0, sizeof start);
  start.StartupInfo.cb = how->inherits_all ? sizeof start.StartupInfo : sizeof start;
  start.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
  start.StartupInfo.hStdError = errors;
  start.StartupInfo.hStdOutput = how->output != NULL ? how->output : errors;
  if (errors != NULL)
    inherited[count++] = errors;
  if (how->output != NULL)
    inherited[count++] = how->output;
  if (how->also != NULL)
    inherited[count++] = how->also;
  wchar_t *line = command_line(how);
  bool started = start_with(how, line, inherited, count, &start, process);
  /* Once in thousands of times Wine loses a new program before it has begun. */
  if (!started && GetLastError() == ERROR_INTERNAL_ERROR)
    started = start_with(how, line, inherited, count, &start, process);
  DWORD error = GetLastError();
  free(line);
  if (errors != NULL)
    CloseHandle(errors);
  SetLastError(error);
  return started;
}

DWORD conf_run_self(const conf_start *how) {
  PROCESS_INFORMATION process;
  DWORD code = 0;
  if (!conf_start_self(how, &process))
    conf_not_testable("this program cannot be started again: %s", conf_error_text(GetLastError()));
  WaitForSingleObject(process.hProcess, INFINITE);
  GetExitCodeProcess(process.hProcess, &code);
  CloseHandle(process.hThread);
  CloseHandle(process.hProcess);
  return code;
}

HANDLE conf_handle_of(const char *number) {
  return (HANDLE)(uintptr_t)strtoull(number, NULL, 16);
}

void conf_other_start(conf_other *other, const char *word, const char *path, const char *detail) {
  enum { MILLISECONDS = 20000 };
  SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
  PROCESS_INFORMATION process;
  HANDLE ready = CreateEventW(&inherited, TRUE, FALSE, NULL);
  char events[64];
  other->go = CreateEventW(&inherited, TRUE, FALSE, NULL);
  snprintf(events, sizeof events, "%s,%s", conf_hex((uintptr_t)ready), conf_hex((uintptr_t)other->go));
  conf_start how = {.words = {word, path, detail != NULL ? detail : events, detail != NULL ? events : NULL},
                    .inherits_all = true};
  if (!conf_start_self(&how, &process))
    conf_not_testable("this program cannot be started again: %s", conf_error_text(GetLastError()));
  CloseHandle(process.hThread);
  other->process = process.hProcess;
  EXPECT(WaitForSingleObject(ready, MILLISECONDS) == WAIT_OBJECT_0);
  CloseHandle(ready);
}

void conf_other_end(conf_other *other) {
  DWORD code = 1;
  SetEvent(other->go);
  WaitForSingleObject(other->process, INFINITE);
  GetExitCodeProcess(other->process, &code);
  EXPECT_UINT(code, 0);
  CloseHandle(other->process);
  CloseHandle(other->go);
}

int conf_probe(int count, char **words) {
  if (count == 6 && strcmp(words[1], "--run-case") == 0) {
    conf_child_number = (unsigned)strtoul(words[5], NULL, 10);
    return conf_single_here(words[2], words[3], words[4]);
  }
  if (count == 4 && strcmp(words[1], "--cut") == 0)
    return conf_cut_here(words[2], words[3]);
  if (count == 3 && strcmp(words[1], "--probe-handle") == 0)
    return conf_probe_handle(words[2]);
  if (count == 5 && strcmp(words[1], "--hold") == 0)
    return conf_hold_file(words[2], words[3], words[4]);
  if (count == 4 && strcmp(words[1], "--pin") == 0)
    return conf_pin_here(words[2], words[3]);
  if (count == 6 && strcmp(words[1], "--deed") == 0)
    return conf_deed_here(words[2], words[3], words[4], words[5]);
  return -1;
}

void conf_child(void (*body)(void *), void *argument) {
  (void)body, (void)argument;
  conf_not_testable("the system cannot fork");
}

/* In a child that must die */

static void stop_in_child(conf_outcome outcome, const char *text) {
  conf_report(outcome, text);
  _Exit(90 + (int)outcome);
}

const void *conf_die_at(const void *address) {
  char text[32];
  snprintf(text, sizeof text, "@%" PRIxPTR ";", (uintptr_t)address);
  conf_report_raw(text);
  return address;
}

static _Noreturn void die(void (*body)(void *), void *argument) {
  conf_stop = stop_in_child;
  body(argument);
  conf_broken(__FILE__, __LINE__, "the child lived on");
}

/* In its parent */

typedef struct ending {
  DWORD exit_code;
  DWORD code; /* of the last exception that nobody took; 0: none */
  uintptr_t address;
} ending;

static void note_exception(const EXCEPTION_DEBUG_INFO *info, ending *end) {
  if (info->dwFirstChance != 0)
    return;
  end->code = info->ExceptionRecord.ExceptionCode;
  end->address = info->ExceptionRecord.NumberParameters > 1 ? info->ExceptionRecord.ExceptionInformation[1] : 0;
}

/* Let go on what the child was stopped for. False: it has ended. */
static bool let_go_on(const DEBUG_EVENT *event, ending *end) {
  DWORD how = DBG_CONTINUE;
  HANDLE file = NULL;
  if (event->dwDebugEventCode == EXCEPTION_DEBUG_EVENT) {
    /* The system stops a new process so. */
    if (event->u.Exception.ExceptionRecord.ExceptionCode != EXCEPTION_BREAKPOINT)
      how = DBG_EXCEPTION_NOT_HANDLED;
    note_exception(&event->u.Exception, end);
  } else if (event->dwDebugEventCode == CREATE_PROCESS_DEBUG_EVENT) {
    file = event->u.CreateProcessInfo.hFile;
  } else if (event->dwDebugEventCode == LOAD_DLL_DEBUG_EVENT) {
    file = event->u.LoadDll.hFile;
  }
  if (file != NULL && file != INVALID_HANDLE_VALUE)
    CloseHandle(file);
  ContinueDebugEvent(event->dwProcessId, event->dwThreadId, how);
  return event->dwDebugEventCode != EXIT_PROCESS_DEBUG_EVENT;
}

static void watch_until_the_end(const PROCESS_INFORMATION *process, ending *end) {
  enum { MILLISECONDS = 40000 };
  DEBUG_EVENT event;
  do {
    if (!WaitForDebugEvent(&event, MILLISECONDS)) {
      TerminateProcess(process->hProcess, 1);
      conf_broken(__FILE__, __LINE__, "a child that should have died goes on");
    }
  } while (let_go_on(&event, end));
  WaitForSingleObject(process->hProcess, MILLISECONDS);
  GetExitCodeProcess(process->hProcess, &end->exit_code);
}

static void run_child(unsigned number, char *record, size_t size, ending *end) {
  char digits[16], name[256];
  PROCESS_INFORMATION process;
  HANDLE pipe;
  DWORD got = 0, there = 0;
  conf_full_name(conf_running, name, sizeof name);
  snprintf(digits, sizeof digits, "%u", number);
  conf_start how = {.words = {"--run-case", name, conf_access_name(conf_access), conf_path("."), digits},
                    .flags = DEBUG_ONLY_THIS_PROCESS};
  memset(end, 0, sizeof *end);
  EXPECT(CreatePipe(&pipe, &how.output, NULL, 0));
  SetHandleInformation(how.output, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
  if (!conf_start_self(&how, &process))
    conf_not_testable("this program cannot be started again: %s", conf_error_text(GetLastError()));
  CloseHandle(how.output);
  watch_until_the_end(&process, end);
  if (PeekNamedPipe(pipe, NULL, 0, NULL, &there, NULL) && there > 0)
    ReadFile(pipe, record, (DWORD)size - 1, &got, NULL);
  record[got] = '\0';
  CloseHandle(pipe);
  CloseHandle(process.hThread);
  CloseHandle(process.hProcess);
}

static void expect_death(const char *record, const ending *end) {
  uintptr_t wanted = 0;
  if (record[0] == '@') {
    char *told;
    wanted = (uintptr_t)strtoull(record + 1, &told, 16);
    record = told + (*told == ';');
  }
  /* An outcome of its own: something was not as expected, or could not be tried. */
  if (record[0] != '\0') {
    const char *text;
    char longer[4096 + 32];
    conf_outcome outcome = conf_record_parse(record, &text);
    snprintf(longer, sizeof longer, "%s (in a child)", text);
    conf_stop(outcome, longer);
  }
  DWORD code = conf_running->faults == CONF_IN_PAGE ? EXCEPTION_IN_PAGE_ERROR : EXCEPTION_ACCESS_VIOLATION;
  if (end->code == 0)
    conf_broken(__FILE__, __LINE__, "the child lived on and ended with exit code %#lx", end->exit_code);
  if (end->code != code)
    conf_broken(__FILE__, __LINE__, "the child died of exception %#lx, not %#lx", end->code, code);
  if (end->exit_code != code)
    conf_broken(__FILE__, __LINE__, "the child ended with exit code %#lx, not %#lx", end->exit_code, code);
  if (end->address != wanted)
    conf_broken(__FILE__, __LINE__, "the child died at %#" PRIxPTR ", not %#" PRIxPTR, end->address, wanted);
}

void conf_expect_kills(void (*body)(void *), void *argument) {
  static unsigned children;
  char record[4096];
  ending end;
  children++;
  if (conf_child_number == children)
    die(body, argument);
  if (conf_child_number != 0)
    return;
  run_child(children, record, sizeof record, &end);
  expect_death(record, &end);
}
