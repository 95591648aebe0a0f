/*
 * table.c - all groups of conformance cases, and how to find one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conformance.h"

#include <stdio.h>
#include <string.h>

extern const conf_group conf_opening, conf_views, conf_fallback, conf_budgets, conf_faults, conf_range, conf_frames,
    conf_processor, conf_zero_fill, conf_process, conf_operations, conf_names, conf_input, conf_windows, conf_writing;

/* Those of every system. */
static const conf_group *const groups[] = {
    &conf_opening,    &conf_views,  &conf_fallback,  &conf_budgets,   &conf_faults,
    &conf_range,      &conf_frames, &conf_processor, &conf_zero_fill, &conf_process,
    &conf_operations, &conf_names,  &conf_input,     &conf_windows,   &conf_writing,
};
enum { GROUPS = sizeof groups / sizeof groups[0] };

const conf_group *conf_group_at(size_t index) {
  return index < GROUPS ? groups[index] : conf_platform_groups[index - GROUPS];
}

bool conf_exists(const conf_case *one) {
  if ((one->needs & CONF_FORKS) != 0 && !conf_can_fork)
    return false;
  if ((one->needs & CONF_FILLS) != 0 && !conf_fills_maps)
    return false;
  return one->faults != CONF_IN_PAGE || conf_has_in_page;
}

bool conf_applies(const conf_case *one, uint32_t access) {
  return conf_exists(one) && ((one->needs & CONF_NEEDS_ACCESS) == CONF_ANY || access != MAPFILE_ACCESS_COPIED);
}

void conf_full_name(const conf_case *one, char *text, size_t size) {
  static const char *const endings[] = {"", "-real", "-injected", "-in-page"};
  snprintf(text, size, "%s/%s%s", one->promise, one->name, endings[one->faults]);
}

const conf_case *conf_lookup(const char *full_name) {
  const conf_group *group;
  for (size_t g = 0; (group = conf_group_at(g)) != NULL; g++)
    for (size_t c = 0; c < group->count; c++) {
      char name[256];
      conf_full_name(&group->cases[c], name, sizeof name);
      if (strcmp(name, full_name) == 0)
        return &group->cases[c];
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
