/*
 * Clocks of POSIX systems, and of Linux.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../measure.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double seconds_of(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

double measure_now(void) {
  return seconds_of(CLOCK_MONOTONIC);
}

double measure_processor_clock(void) {
  return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

long measure_lost_processor(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

void measure_processor_time(double *machine, double *own) {
  unsigned long long user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0;
  FILE *stat = fopen("/proc/stat", "r");
  *machine = 0;
  if (stat != NULL) {
    if (fscanf(stat, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &wait, &irq, &soft,
               &steal) == 8) {
      *machine = (double)(user + nice + system + irq + soft + steal) / (double)sysconf(_SC_CLK_TCK);
    }
    fclose(stat);
  }
  *own = measure_processor_clock();
}
