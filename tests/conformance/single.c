/*
 * single.c - one case in a process of its own: what that process does, and how its end is judged.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECONDS = 60, EXIT_USAGE = 2 };

/* In the case's own process */

static void stop_run(conf_outcome outcome, const char *text) {
  conf_report(outcome, text);
  _Exit(0);
}

int conf_single_here(const char *name, const char *access_name, const char *folder) {
  const conf_case *one = conf_lookup(name);
  uint32_t access;
  if (one == NULL || !conf_access_parse(access_name, &access))
    return EXIT_USAGE;
  conf_stop = stop_run;
  conf_begin(one, access, folder);
  one->run();
  conf_report(CONF_HOLDS, "");
  /* A full exit: a leak checker has its say. */
  return 0;
}

/* In the process that waits for it */

static conf_outcome judge(const conf_run *run, char *text, size_t size) {
  char words[256];
  const char *told;
  conf_outcome outcome = conf_record_parse(run->record, &told);
  if (run->timed_out) {
    snprintf(words, sizeof words, "it was not done after %u seconds", run->seconds);
  } else if (run->death[0] != '\0') {
    snprintf(words, sizeof words, "its process died of %s", run->death);
  } else if (run->record[0] == '\0' || (run->code != 0 && outcome != CONF_BROKEN)) {
    snprintf(words, sizeof words, "its process ended with exit code %d", run->code);
  } else {
    snprintf(text, size, "%s", told);
    return outcome;
  }
  snprintf(text, size, "%s", run->record[0] == '\0' || outcome != CONF_BROKEN ? words : told);
  return CONF_BROKEN;
}

/* Sanitizers and valgrind are slow; who runs under them says how much longer a case may take. */
static unsigned time_limit(void) {
  const char *factor = getenv("MAPFILE_TEST_TIME_FACTOR");
  long times = factor != NULL ? strtol(factor, NULL, 10) : 1;
  return (unsigned)(times >= 1 && times <= 100 ? times : 1) * SECONDS;
}

int64_t conf_single(const conf_case *one, uint32_t access, const char *folder, const volatile sig_atomic_t *stop,
                    conf_outcome *outcome, char *text, size_t size) {
  char name[256];
  conf_full_name(one, name, sizeof name);
  char *words[] = {(char *)conf_self, "--run-case", name, (char *)conf_access_name(access), (char *)folder, NULL};
  conf_run run = {.program = conf_self, .words = words, .seconds = time_limit(), .stop = stop};
  int64_t error = conf_run_process(&run);
  if (error == 0)
    *outcome = judge(&run, text, size);
  return error;
}
