/*
 * Printing what was measured.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include "measure.h"

/* What the whole run was made on. */
struct setting {
  const char *library; /* the file the library was loaded from, and whether it is a shared one */
  const char *version;
  bool shared;
  long processors;
  const char *processor;
  const char *system;
  const char *file_system;
};

void table_print_setting(const struct setting *setting);
void table_print_group(const struct group *group);

/* The last line: targets met, missed, not judged, groups that failed. */
void table_print_summary(const struct group *groups, int count);

void table_print_json(const struct setting *setting, const struct group *groups, int count);

#endif
