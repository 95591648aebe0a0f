/*
 * The report as plain text and as JSON.
 *
 * SPDX-License-Identifier: MIT
 */
#include "table.h"

#include <stdio.h>
#include <string.h>

/* More than this of a processor's time taken by others is worth a line. */
static const double noticeable = 0.15;

void table_print_setting(const struct setting *setting) {
  printf("libmapfile %s, %s library %s\n", setting->version, setting->shared ? "shared" : "STATIC", setting->library);
  printf("%s, %ld CPUs (%s), files on %s\n", setting->system, setting->processors, setting->processor,
         setting->file_system);
  if (!setting->shared) {
    printf("The targets for scopes hold for the shared library: link it to judge them.\n");
  }
}

static bool reached(const struct comparison *comparison) {
  return comparison->kind == COMPARE_SPEED ? comparison->ratio >= comparison->target
                                           : comparison->ratio <= comparison->target;
}

static const char *verdict(const struct comparison *comparison) {
  if (comparison->target <= 0) {
    return "";
  }
  if (!comparison->judged) {
    return "not judged";
  }
  return reached(comparison) ? "met" : "MISSED";
}

static const char *words(const struct comparison *comparison) {
  return comparison->kind == COMPARE_SPEED ? "the speed of" : "the time of";
}

static void print_comparison(const struct group *group, const struct comparison *comparison) {
  char ratio[80], target[24] = "";
  if (comparison->kind == COMPARE_COST) {
    snprintf(ratio, sizeof ratio, "%s", "itself");
  } else {
    snprintf(ratio, sizeof ratio, "%7.*fx %s %s", comparison->ratio < 0.1 ? 4 : 2, comparison->ratio, words(comparison),
             group->contenders[comparison->peer].name);
  }
  if (comparison->target > 0) {
    snprintf(target, sizeof target, "%s %.*f%s",
             comparison->kind == COMPARE_SPEED ? ">=" : "<=", comparison->kind == COMPARE_COST ? 0 : 2,
             comparison->target, comparison->kind == COMPARE_COST ? group->unit : "x");
  }
  printf("%-64s %9s  %s\n", ratio, target, verdict(comparison));
}

static void print_contender(const struct group *group, int number) {
  double low, high;
  bool first = true;
  group_extent(group, number, &low, &high);
  printf("  %-45s %10.2f  ", group->contenders[number].name, group_median(group, number) * group->scale);
  for (int i = 0; i < group->comparison_count; i++) {
    if (group->comparisons[i].contender == number) {
      if (!first) {
        printf("  %-45s %10s  ", "", "");
      }
      print_comparison(group, &group->comparisons[i]);
      first = false;
    }
  }
  if (first) {
    printf("(%.2f to %.2f)\n", low * group->scale, high * group->scale);
  }
}

void table_print_group(const struct group *group) {
  printf("\n%s: %s\n", group->name, group->title);
  if (group->failure[0] != '\0') {
    printf("  FAILED: %s\n", group->failure);
  }
  if (group->finished) {
    printf("  %-45s %10s  %-64s %9s  (%d rounds)\n", "median", group->unit, "ratio, median of the rounds'", "target",
           group->rounds);
    for (int i = 0; i < group->contender_count; i++) {
      print_contender(group, i);
    }
  }
  for (int i = 0; i < group->note_count; i++) {
    printf("  %s\n", group->notes[i]);
  }
  if (group->finished && group->cores_one >= 0 && group->quiet_rounds < group->rounds) {
    printf("  The second CPU seems busy: it was free in %d of %d rounds, so two threads are not judged.\n",
           group->quiet_rounds, group->rounds);
  }
  if (group->finished && group->others > noticeable) {
    printf("  Meanwhile others kept %.2f CPUs busy; %d of %d samples were interrupted in spite of trying again.\n",
           group->others, group->interrupted, group->rounds * group->contender_count);
  }
  fflush(stdout);
}

void table_print_summary(const struct group *groups, int count) {
  int met = 0, missed = 0, open = 0, failed = 0;
  for (int i = 0; i < count; i++) {
    failed += groups[i].failure[0] != '\0' ? 1 : 0;
    for (int j = 0; groups[i].finished && j < groups[i].comparison_count; j++) {
      const struct comparison *comparison = &groups[i].comparisons[j];
      if (comparison->target > 0) {
        open += comparison->judged ? 0 : 1;
        met += comparison->judged && reached(comparison) ? 1 : 0;
        missed += comparison->judged && !reached(comparison) ? 1 : 0;
      }
    }
  }
  printf("\n%d targets met, %d missed, %d not judged; %d groups failed\n", met, missed, open, failed);
}

static void print_string(const char *text) {
  putchar('"');
  for (; *text != '\0'; text++) {
    if (*text == '"' || *text == '\\') {
      printf("\\%c", *text);
    } else if ((unsigned char)*text < 0x20) {
      printf("\\u%04x", (unsigned)(unsigned char)*text);
    } else {
      putchar(*text);
    }
  }
  putchar('"');
}

static void print_member(const char *name, const char *text) {
  printf("\"%s\": ", name);
  print_string(text);
}

static void print_json_contender(const struct group *group, int number, bool last) {
  double low, high;
  group_extent(group, number, &low, &high);
  printf("        {");
  print_member("name", group->contenders[number].name);
  printf(", \"median\": %.6g, \"lowest\": %.6g, \"highest\": %.6g}%s\n", group_median(group, number) * group->scale,
         low * group->scale, high * group->scale, last ? "" : ",");
}

static void print_json_comparison(const struct group *group, const struct comparison *comparison, bool last) {
  static const char *const kinds[] = {"time", "speed", "cost"};
  printf("        {");
  print_member("name", group->contenders[comparison->contender].name);
  printf(", \"compared\": \"%s\", ", kinds[comparison->kind]);
  if (comparison->kind != COMPARE_COST) {
    print_member("peer", group->contenders[comparison->peer].name);
    printf(", ");
  }
  printf("\"value\": %.6g", comparison->ratio);
  if (comparison->target > 0) {
    printf(", \"target\": %g, \"met\": %s", comparison->target,
           !comparison->judged   ? "null"
           : reached(comparison) ? "true"
                                 : "false");
  }
  printf("}%s\n", last ? "" : ",");
}

static void print_json_group(const struct group *group, bool last) {
  printf("    {");
  print_member("name", group->name);
  printf(", ");
  print_member("title", group->title);
  printf(",\n      ");
  print_member("unit", group->unit);
  printf(", \"rounds\": %d, \"quiet_rounds\": %d, \"others_cpus\": %.3f, \"interrupted\": %d,\n      \"failure\": ",
         group->rounds, group->quiet_rounds, group->others, group->interrupted);
  if (group->failure[0] != '\0') {
    print_string(group->failure);
  } else {
    printf("null");
  }
  printf(",\n      \"notes\": [");
  for (int i = 0; i < group->note_count; i++) {
    printf("%s", i > 0 ? ", " : "");
    print_string(group->notes[i]);
  }
  printf("],\n      \"results\": [\n");
  for (int i = 0; group->finished && i < group->contender_count; i++) {
    print_json_contender(group, i, i + 1 == group->contender_count);
  }
  printf("      ],\n      \"comparisons\": [\n");
  for (int i = 0; group->finished && i < group->comparison_count; i++) {
    print_json_comparison(group, &group->comparisons[i], i + 1 == group->comparison_count);
  }
  printf("      ]}%s\n", last ? "" : ",");
}

void table_print_json(const struct setting *setting, const struct group *groups, int count) {
  printf("{\n  ");
  print_member("version", setting->version);
  printf(", ");
  print_member("library", setting->library);
  printf(", \"shared\": %s,\n  ", setting->shared ? "true" : "false");
  print_member("system", setting->system);
  printf(", \"cpus\": %ld, ", setting->processors);
  print_member("cpu", setting->processor);
  printf(", ");
  print_member("file_system", setting->file_system);
  printf(",\n  \"groups\": [\n");
  for (int i = 0; i < count; i++) {
    print_json_group(&groups[i], i + 1 == count);
  }
  printf("  ]\n}\n");
}
