/*
 * check_conformance.c - the conformance cases under Check, with access mapped and copied.
 *
 * SPDX-License-Identifier: MIT
 *
 * The folder is MAPFILE_TEST_DIR, else TMPDIR, else /tmp where there is one, else the current one. MAPFILE_TEST_CASE
 * names one promise or case to run alone. Cases need a process each, so CK_FORK=no is not heeded; where the system
 * cannot fork, this program is started again for each.
 */
#include "conformance.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SKIPPED = 77, SECONDS = 60 };

typedef struct planned {
  const conf_case *one;
  uint32_t access;
} planned;

static planned plan[2048];
static int plan_size;
static char base[4096];
static char title[320];

static void tell(conf_outcome outcome, const char *text) {
  if (outcome == CONF_BROKEN)
    ck_abort_msg("%s: %s", title, text);
  if (outcome != CONF_HOLDS)
    fprintf(stderr, "%s: %s: %s\n", title,
            outcome == CONF_DIFFERS ? "differs, as documented" : "skipped, not testable here", text);
  fflush(NULL);
}

static void stop_under_check(conf_outcome outcome, const char *text) {
  tell(outcome, text);
  /* Each case runs in a process of its own, and stops wherever it stands: what it then holds is no leak. */
  _Exit(EXIT_SUCCESS);
}

/* Where there is no fork. */
static void run_by_itself(const planned *next, const char *folder) {
  static const volatile sig_atomic_t never;
  char text[4096] = "";
  conf_outcome outcome = CONF_BROKEN;
  int64_t error = conf_single(next->one, next->access, folder, &never, &outcome, text, sizeof text);
  conf_folder_remove(folder);
  ck_assert_msg(error == 0, "%s: %s", title, conf_error_text(error));
  tell(outcome, text);
}

static void run_planned(const planned *next) {
  char name[256], folder[4096 + 16];
  conf_full_name(next->one, name, sizeof name);
  snprintf(title, sizeof title, "%s, %s", name, conf_access_name(next->access));
  int64_t error = conf_folder_make(base, "case-", folder, sizeof folder);
  ck_assert_msg(error == 0, "%s: no folder: %s", title, conf_error_text(error));
  if (!conf_can_fork) {
    run_by_itself(next, folder);
    return;
  }
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
  conf_arguments(&count, &words);
  conf_grow_stack();
  conf_self = conf_program_path(words[0]);
  int probed = conf_probe(count, words);
  if (probed >= 0)
    return probed;
  if (count == 5 && strcmp(words[1], "--run-case") == 0)
    return conf_single_here(words[2], words[3], words[4]);
  if (folder == NULL || *folder == '\0')
    folder = getenv("TMPDIR");
  if (folder == NULL || *folder == '\0')
    folder = conf_resolve("/tmp", absolute, sizeof absolute) == 0 ? "/tmp" : ".";
  int64_t error = conf_resolve(folder, absolute, sizeof absolute);
  if (error == 0)
    error = conf_folder_make(absolute, "mapfile-check-", base, sizeof base);
  if (error != 0) {
    fprintf(stderr, "skipped: no folder can be made in %s: %s\n", folder, conf_error_text(error));
    return SKIPPED;
  }
  Suite *suite = suite_create("conformance");
  const conf_group *group;
  for (size_t g = 0; (group = conf_group_at(g)) != NULL; g++)
    plan_group(suite, group, time_limit());
  SRunner *runner = srunner_create(suite);
  if (conf_can_fork)
    srunner_set_fork_status(runner, CK_FORK);
  srunner_run_all(runner, CK_ENV);
  int failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  conf_folder_remove(base);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
