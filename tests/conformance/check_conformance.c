/*
 * check_conformance.c - the conformance cases under Check, with access mapped and copied.
 *
 * SPDX-License-Identifier: MIT
 *
 * The folder is MAPFILE_TEST_DIR, else TMPDIR, else /tmp. MAPFILE_TEST_CASE names one promise or case to run alone.
 * Cases need a process each, so CK_FORK=no is not heeded.
 */
#include "conformance.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SKIPPED = 77, SECONDS = 60 };

typedef struct planned {
  const conf_case *one;
  uint32_t access;
} planned;

static planned plan[2048];
static int plan_size;
static char base[4096];
static char title[320];

static void stop_under_check(conf_outcome outcome, const char *text) {
  if (outcome == CONF_BROKEN)
    ck_abort_msg("%s: %s", title, text);
  fprintf(stderr, "%s: %s: %s\n", title,
          outcome == CONF_DIFFERS ? "differs, as documented" : "skipped, not testable here", text);
  fflush(NULL);
  /* Each case runs in a process of its own, and stops wherever it stands: what it then holds is no leak. */
  _exit(EXIT_SUCCESS);
}

static void run_planned(const planned *next) {
  char name[256], folder[4096 + 16];
  conf_full_name(next->one, name, sizeof name);
  snprintf(title, sizeof title, "%s, %s", name, conf_access_name(next->access));
  ck_assert_msg(conf_folder_make(base, "case-", folder, sizeof folder) == 0, "%s: no folder: %s", title,
                strerror(errno));
  conf_stop = stop_under_check;
  conf_begin(next->one, next->access, folder);
  next->one->run();
}

START_TEST(test_case) {
  run_planned(&plan[_i]);
}
END_TEST

static bool is_wanted(const conf_case *one) {
  const char *wanted = getenv("MAPFILE_TEST_CASE");
  char name[256];
  conf_full_name(one, name, sizeof name);
  return wanted == NULL || *wanted == '\0' || strcmp(wanted, name) == 0 || strcmp(wanted, one->promise) == 0;
}

static void plan_group(Suite *suite, const conf_group *group, double seconds) {
  TCase *tcase = tcase_create(group->name);
  int first = plan_size;
  for (uint32_t access = MAPFILE_ACCESS_MAPPED; access <= MAPFILE_ACCESS_COPIED; access++)
    for (size_t c = 0; c < group->count; c++)
      if (conf_applies(&group->cases[c], access) && is_wanted(&group->cases[c]) &&
          plan_size < (int)(sizeof plan / sizeof plan[0]))
        plan[plan_size++] = (planned){&group->cases[c], access};
  tcase_set_timeout(tcase, seconds);
  if (plan_size > first)
    tcase_add_loop_test(tcase, test_case, first, plan_size);
  suite_add_tcase(suite, tcase);
}

static double time_limit(void) {
  const char *factor = getenv("MAPFILE_TEST_TIME_FACTOR");
  double times = factor != NULL ? strtod(factor, NULL) : 1;
  return (times >= 1 && times <= 100 ? times : 1) * SECONDS;
}

int main(int count, char **words) {
  const char *folder = getenv("MAPFILE_TEST_DIR");
  char absolute[2048];
  conf_self = conf_program_path(words[0]);
  int probed = conf_probe(count, words);
  if (probed >= 0)
    return probed;
  if (folder == NULL || *folder == '\0')
    folder = getenv("TMPDIR");
  if (folder == NULL || *folder == '\0')
    folder = "/tmp";
  if (conf_resolve(folder, absolute, sizeof absolute) != 0 ||
      conf_folder_make(absolute, "mapfile-check-", base, sizeof base) != 0) {
    fprintf(stderr, "skipped: no folder can be made in %s: %s\n", folder, strerror(errno));
    return SKIPPED;
  }
  Suite *suite = suite_create("conformance");
  for (size_t g = 0; g < conf_group_count; g++)
    plan_group(suite, conf_groups[g], time_limit());
  SRunner *runner = srunner_create(suite);
  srunner_set_fork_status(runner, CK_FORK);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  conf_folder_remove(base);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
