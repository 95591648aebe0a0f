/*
 * main.c - mapfile-conformance: which promises of libmapfile hold on the file system of a folder.
 *
 * SPDX-License-Identifier: MIT
 *
 * Every case runs in a process of its own, so that one that dies or hangs takes nothing with it.
 */
#include "conformance.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_BROKEN = 1, EXIT_USAGE = 2, NOBODY_READS = -1 };

typedef struct request {
  bool tap, list;
  bool one_access;
  uint32_t access;
  const char *wanted; /* a case, a promise, or NULL for all */
  const char *folder;
} request;

typedef struct counts {
  unsigned of[4];
  unsigned number;
} counts;

/* Asked to stop by the terminal or the system: end the case that runs, clean up, and say what was found so far. */
static volatile sig_atomic_t stop_asked;

static void ask_to_stop(int number) {
  stop_asked = number;
}

static const char *const outcome_names[] = {"HOLDS", "DIFFERS", "NOT TESTABLE HERE", "BROKEN"};
static const char *const fault_names[] = {"", " (real faults)", " (injected faults)", " (injected in-page errors)"};

static int usage(FILE *to) {
  fputs("usage: mapfile-conformance [--tap] [--access auto|mapped|copied] [--case NAME] DIR\n"
        "       mapfile-conformance --list\n"
        "Try the promises of libmapfile in a new folder in DIR, and say for each: HOLDS, DIFFERS (in a documented\n"
        "way), NOT TESTABLE HERE, or BROKEN. NAME is a case or a promise, as --list shows them. Without --access,\n"
        "every case that can be is run with access mapped and copied. Exit status: 0, or 1 when a promise is broken,\n"
        "2 when the arguments are wrong or DIR cannot be used.\n",
        to);
  return to == stdout ? 0 : EXIT_USAGE;
}

/* In the process that runs them all */

static bool is_wanted(const conf_case *one, const char *wanted) {
  char name[256];
  if (wanted == NULL)
    return true;
  conf_full_name(one, name, sizeof name);
  size_t bare = strlen(one->promise) + 1 + strlen(one->name);
  return strcmp(name, wanted) == 0 || strcmp(one->promise, wanted) == 0 ||
         (strlen(wanted) == bare && strncmp(name, wanted, bare) == 0);
}

static bool runs_with(const conf_case *one, const request *asked, uint32_t access) {
  if (!is_wanted(one, asked->wanted) || !conf_applies(one, access))
    return false;
  return asked->one_access ? access == asked->access : access != MAPFILE_ACCESS_AUTO;
}

static void print_indented(const char *prefix, const char *text) {
  printf("%s", prefix);
  for (const char *c = text; *c != '\0'; c++) {
    putchar(*c);
    if (*c == '\n' && c[1] != '\0')
      printf("%s", prefix);
  }
  putchar('\n');
}

static void report_tap(const conf_case *one, const char *title, conf_outcome outcome, const char *text,
                       unsigned number) {
  printf("%sok %u - %s", outcome == CONF_BROKEN ? "not " : "", number, title);
  if (outcome == CONF_NOT_TESTABLE)
    printf(" # SKIP not testable here: %s", text);
  putchar('\n');
  if (outcome == CONF_DIFFERS)
    print_indented("# differs, as documented: ", text);
  if (outcome == CONF_BROKEN) {
    print_indented("# ", text);
    print_indented("# ", one->meaning);
  }
}

static void report_table(const conf_case *one, const char *title, conf_outcome outcome, const char *text) {
  printf("%-17s  %s\n", outcome_names[outcome], title);
  if (outcome == CONF_BROKEN)
    print_indented("                   ", one->meaning);
  if (outcome != CONF_HOLDS)
    print_indented("                   ", text);
}

static void report(const conf_case *one, uint32_t access, const request *asked, conf_outcome outcome, const char *text,
                   counts *all) {
  char name[256], title[320];
  conf_full_name(one, name, sizeof name);
  snprintf(title, sizeof title, "%s, %s%s", name, conf_access_name(access), fault_names[one->faults]);
  all->of[outcome]++;
  all->number++;
  if (asked->tap)
    report_tap(one, title, outcome, text, all->number);
  else
    report_table(one, title, outcome, text);
  if (fflush(stdout) != 0)
    stop_asked = NOBODY_READS;
}

static void run_one(const conf_case *one, uint32_t access, const request *asked, const char *base, counts *all) {
  char folder[4096], text[4096] = "";
  conf_outcome outcome = CONF_NOT_TESTABLE;
  int64_t error = conf_folder_make(base, "case-", folder, sizeof folder);
  if (error == 0) {
    error = conf_single(one, access, folder, &stop_asked, &outcome, text, sizeof text);
    conf_folder_remove(folder);
  }
  if (error != 0)
    snprintf(text, sizeof text, "%s", conf_error_text(error));
  if (error != 0 || stop_asked == 0)
    report(one, access, asked, outcome, text, all);
}

static unsigned for_each_case(const request *asked, const char *base, counts *all) {
  unsigned number = 0;
  const conf_group *group;
  for (size_t g = 0; (group = conf_group_at(g)) != NULL; g++)
    for (size_t c = 0; c < group->count; c++)
      for (uint32_t access = MAPFILE_ACCESS_AUTO; access <= MAPFILE_ACCESS_COPIED; access++) {
        const conf_case *one = &group->cases[c];
        if (!runs_with(one, asked, access) || stop_asked != 0)
          continue;
        number++;
        if (all != NULL)
          run_one(one, access, asked, base, all);
      }
  return number;
}

static void list_case(const conf_case *one) {
  static const char *const needs_names[] = {"any access", "maps", "once"};
  char name[256];
  conf_full_name(one, name, sizeof name);
  printf("  %-52s %s%s\n", name, needs_names[one->needs & CONF_NEEDS_ACCESS], fault_names[one->faults]);
}

static int list_cases(void) {
  const conf_group *group;
  for (size_t g = 0; (group = conf_group_at(g)) != NULL; g++) {
    printf("%s%s:\n", g > 0 ? "\n" : "", group->name);
    for (size_t c = 0; c < group->count; c++)
      if (conf_exists(&group->cases[c]))
        list_case(&group->cases[c]);
  }
  return 0;
}

static void print_heading(const request *asked, unsigned number) {
  char system[128];
  const char *version;
  mapfile_version(&version);
  conf_file_system(asked->folder, system, sizeof system);
  if (asked->tap)
    printf("TAP version 13\n1..%u\n# libmapfile %s on %s\n", number, version, system);
  else
    printf("The promises of libmapfile %s in %s, on %s\n\n", version, asked->folder, system);
  fflush(stdout);
}

static int run_all(const request *asked) {
  char base[4096];
  counts all = {{0}, 0};
  unsigned number = for_each_case(asked, NULL, NULL);
  if (number == 0) {
    fprintf(stderr, "mapfile-conformance: there is no case or promise %s\n", asked->wanted);
    return EXIT_USAGE;
  }
  int64_t error = conf_folder_make(asked->folder, "mapfile-conformance-", base, sizeof base);
  if (error != 0) {
    fprintf(stderr, "mapfile-conformance: no folder can be made in %s: %s\n", asked->folder, conf_error_text(error));
    return EXIT_USAGE;
  }
  print_heading(asked, number);
  signal(SIGINT, ask_to_stop);
  signal(SIGTERM, ask_to_stop);
  conf_ignore_broken_pipes();
  for_each_case(asked, base, &all);
  conf_folder_remove(base);
  if (stop_asked != 0)
    printf("%sstopped by a signal after %u of %u cases\n", asked->tap ? "Bail out! " : "\n", all.number, number);
  printf("%s%u hold, %u differ as documented, %u not testable here, %u broken\n", asked->tap ? "# " : "\n",
         all.of[CONF_HOLDS], all.of[CONF_DIFFERS], all.of[CONF_NOT_TESTABLE], all.of[CONF_BROKEN]);
  return all.of[CONF_BROKEN] > 0 || stop_asked != 0 ? EXIT_BROKEN : 0;
}

/* Returns -1 to go on, else the exit status. */
static int read_arguments(int count, char **words, request *asked) {
  for (int i = 1; i < count; i++) {
    if (strcmp(words[i], "--help") == 0)
      return usage(stdout);
    if (strcmp(words[i], "--tap") == 0)
      asked->tap = true;
    else if (strcmp(words[i], "--list") == 0)
      asked->list = true;
    else if (strcmp(words[i], "--case") == 0 && i + 1 < count)
      asked->wanted = words[++i];
    else if (strcmp(words[i], "--access") == 0 && i + 1 < count && conf_access_parse(words[i + 1], &asked->access))
      asked->one_access = true, i++;
    else if (words[i][0] != '-' && asked->folder == NULL)
      asked->folder = words[i];
    else
      return usage(stderr);
  }
  return -1;
}

int main(int count, char **words) {
  request asked = {.access = MAPFILE_ACCESS_AUTO};
  static char resolved[4096];
  conf_arguments(&count, &words);
  conf_grow_stack();
  conf_self = conf_program_path(words[0]);
  int probed = conf_probe(count, words);
  if (probed >= 0)
    return probed;
  if (count == 5 && strcmp(words[1], "--run-case") == 0)
    return conf_single_here(words[2], words[3], words[4]);
  int status = read_arguments(count, words, &asked);
  if (status >= 0)
    return status;
  if (asked.list)
    return list_cases();
  if (asked.folder == NULL)
    return usage(stderr);
  int64_t error = conf_resolve(asked.folder, resolved, sizeof resolved);
  if (error != 0) {
    fprintf(stderr, "mapfile-conformance: %s: %s\n", asked.folder, conf_error_text(error));
    return EXIT_USAGE;
  }
  asked.folder = resolved;
  return run_all(&asked);
}
