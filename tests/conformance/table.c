/*
 * table.c - all groups of conformance cases, and how to find one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conformance.h"

#include <stdio.h>
#include <string.h>

const conf_group *const conf_groups[] = {
    &conf_opening, &conf_special,   &conf_views,     &conf_fallback, &conf_budgets,    &conf_faults, &conf_signals,
    &conf_frames,  &conf_processor, &conf_zero_fill, &conf_process,  &conf_operations, &conf_input,
};
const size_t conf_group_count = sizeof conf_groups / sizeof conf_groups[0];

bool conf_applies(const conf_case *one, uint32_t access) {
  return one->needs == CONF_ANY || access != MAPFILE_ACCESS_COPIED;
}

void conf_full_name(const conf_case *one, char *text, size_t size) {
  static const char *const endings[] = {"", "-real", "-injected"};
  snprintf(text, size, "%s/%s%s", one->promise, one->name, endings[one->faults]);
}

const conf_case *conf_lookup(const char *full_name) {
  for (size_t g = 0; g < conf_group_count; g++)
    for (size_t c = 0; c < conf_groups[g]->count; c++) {
      char name[256];
      conf_full_name(&conf_groups[g]->cases[c], name, sizeof name);
      if (strcmp(name, full_name) == 0)
        return &conf_groups[g]->cases[c];
    }
  return NULL;
}

static const char *const access_names[] = {"auto", "mapped", "copied"};

const char *conf_access_name(uint32_t access) {
  return access_names[access % 3];
}

bool conf_access_parse(const char *name, uint32_t *access) {
  for (uint32_t i = 0; i < 3; i++)
    if (strcmp(name, access_names[i]) == 0) {
      *access = i;
      return true;
    }
  return false;
}
