/*
 * Clocks of Windows.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../measure.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

double measure_now(void) {
  LARGE_INTEGER now, second;
  QueryPerformanceCounter(&now);
  QueryPerformanceFrequency(&second);
  return (double)now.QuadPart / (double)second.QuadPart;
}

static double seconds_of(const FILETIME *time) {
  return ((double)time->dwHighDateTime * 4294967296.0 + (double)time->dwLowDateTime) * 1e-7;
}

double measure_processor_clock(void) {
  FILETIME created, ended, kernel, user;
  if (!GetProcessTimes(GetCurrentProcess(), &created, &ended, &kernel, &user)) {
    return 0;
  }
  return seconds_of(&kernel) + seconds_of(&user);
}

long measure_lost_processor(void) {
  return 0;
}

void measure_processor_time(double *machine, double *own) {
  FILETIME idle, kernel, user;
  *own = measure_processor_clock();
  /* The kernel's time holds the idle one. */
  *machine = GetSystemTimes(&idle, &kernel, &user) ? seconds_of(&kernel) - seconds_of(&idle) + seconds_of(&user) : 0;
}
