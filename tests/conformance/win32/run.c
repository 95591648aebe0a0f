/*
 * run.c - one case in a process of its own, with a time limit, on Windows.
 *
 * SPDX-License-Identifier: MIT
 *
 * The process belongs to a job, which is ended with it. Its standard output is the pipe for the record.
 */
#include "win32.h"

#include <io.h>
#include <string.h>

/* In the case's process */

static HANDLE record_pipe;

/* Nothing a case prints may get between the lines of the table. */
void conf_take_record_pipe(void) {
  DuplicateHandle(GetCurrentProcess(), GetStdHandle(STD_OUTPUT_HANDLE), GetCurrentProcess(), &record_pipe, 0, FALSE,
                  DUPLICATE_SAME_ACCESS);
  _dup2(_fileno(stderr), _fileno(stdout));
}

void conf_report_raw(const char *text) {
  DWORD written;
  WriteFile(record_pipe, text, (DWORD)strlen(text), &written, NULL);
}

void conf_report(conf_outcome outcome, const char *text) {
  char record[4096];
  snprintf(record, sizeof record, "%c%s", "hdnb"[outcome], text);
  conf_report_raw(record);
}

/* In the process that runs them all */

static HANDLE make_job(void) {
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits;
  HANDLE job = CreateJobObjectW(NULL, NULL);
  memset(&limits, 0, sizeof limits);
  limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
  if (job != NULL)
    SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limits, sizeof limits);
  return job;
}

/* What there is in the pipe now. */
static void take_some(HANDLE pipe, conf_run *run, size_t *size) {
  DWORD there = 0, got = 0;
  while (PeekNamedPipe(pipe, NULL, 0, NULL, &there, NULL) && there > 0 && *size < sizeof run->record - 1) {
    DWORD want = there < sizeof run->record - 1 - *size ? there : (DWORD)(sizeof run->record - 1 - *size);
    if (!ReadFile(pipe, run->record + *size, want, &got, NULL) || got == 0)
      return;
    *size += got;
  }
}

static void listen_to(conf_run *run, HANDLE process, HANDLE pipe) {
  ULONGLONG end = GetTickCount64() + (ULONGLONG)run->seconds * 1000;
  size_t size = 0;
  while (WaitForSingleObject(process, 20) == WAIT_TIMEOUT) {
    take_some(pipe, run, &size);
    if (GetTickCount64() >= end || *run->stop != 0) {
      run->timed_out = true;
      return;
    }
  }
  take_some(pipe, run, &size);
}

static void watch(conf_run *run, const PROCESS_INFORMATION *process, HANDLE pipe, HANDLE job) {
  const DWORD failures = 0xc0000000u;
  DWORD code = 0;
  listen_to(run, process->hProcess, pipe);
  if (job == NULL || !TerminateJobObject(job, 1))
    TerminateProcess(process->hProcess, 1);
  WaitForSingleObject(process->hProcess, 10000);
  GetExitCodeProcess(process->hProcess, &code);
  run->code = (int)code;
  if (code >= failures)
    snprintf(run->death, sizeof run->death, "exception %#lx", code);
}

int64_t conf_run_process(conf_run *run) {
  PROCESS_INFORMATION process;
  conf_start how = {.flags = CREATE_SUSPENDED};
  HANDLE pipe;
  memset(run->record, 0, sizeof run->record);
  run->death[0] = '\0';
  run->timed_out = false;
  for (size_t i = 0; run->words[i] != NULL && run->words[i + 1] != NULL; i++)
    how.words[i] = run->words[i + 1];
  if (!CreatePipe(&pipe, &how.output, NULL, 0))
    return GetLastError();
  SetHandleInformation(how.output, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
  bool started = conf_start_self(&how, &process);
  DWORD error = GetLastError();
  CloseHandle(how.output);
  if (started) {
    HANDLE job = make_job();
    if (job != NULL)
      AssignProcessToJobObject(job, process.hProcess);
    ResumeThread(process.hThread);
    watch(run, &process, pipe, job);
    if (job != NULL)
      CloseHandle(job);
    CloseHandle(process.hThread);
    CloseHandle(process.hProcess);
  }
  CloseHandle(pipe);
  return started ? 0 : error;
}

/* There are no signals for that. */
void conf_ignore_broken_pipes(void) {
}
