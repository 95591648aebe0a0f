/*
 * The benchmark on Windows: scopes, faults, pins and parking, each against what it is to be measured by.
 *
 *     bench [--json] [--only NAME] [--rounds N]
 *
 * Exits with 1 where an answer was wrong, 2 where it was called wrongly. A missed target is reported and changes
 * nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../table.h"
#include "groups.h"

#include <mapfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

static const struct {
  const char *name;
  void (*run)(struct group *group);
} benches[] = {{"scope", bench_scope}, {"fault", bench_fault}, {"pin", bench_pin}, {"park", bench_park}};

enum { BENCHES = sizeof benches / sizeof benches[0], ROUNDS = 21, LEAST_ROUNDS = 9 };

struct options {
  bool json;
  const char *only;
  int rounds;
};

static int usage(const char *program) {
  fprintf(stderr, "usage: %s [--json] [--only NAME] [--rounds N]\n", program);
  return 2;
}

static int read_options(int count, char **arguments, struct options *options) {
  *options = (struct options){false, NULL, ROUNDS};
  for (int i = 1; i < count; i++) {
    if (strcmp(arguments[i], "--json") == 0) {
      options->json = true;
    } else if (strcmp(arguments[i], "--only") == 0 && i + 1 < count) {
      options->only = arguments[++i];
    } else if (strcmp(arguments[i], "--rounds") == 0 && i + 1 < count) {
      options->rounds = atoi(arguments[++i]);
    } else {
      return usage(arguments[0]);
    }
  }
  return options->rounds >= LEAST_ROUNDS && options->rounds <= MEASURE_ROUNDS ? 0 : usage(arguments[0]);
}

static void look_around(struct setting *setting) {
  static char library[MAX_PATH];
  static char system[MEASURE_TEXT];
  SYSTEM_INFO info;
  HMODULE module = NULL;
  OSVERSIONINFOA version = {.dwOSVersionInfoSize = sizeof version};
  const char *of = GetProcAddress(GetModuleHandleA("ntdll.dll"), "wine_get_version") != NULL ? " under Wine" : "";
  GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                     (const char *)(uintptr_t)&mapfile_pin, &module);
  GetModuleFileNameA(module, library, sizeof library);
  GetSystemInfo(&info);
  GetVersionExA(&version);
  snprintf(system, sizeof system, "Windows %lu.%lu%s, %u bits", version.dwMajorVersion, version.dwMinorVersion, of,
           (unsigned)sizeof(void *) * 8);
  *setting = (struct setting){.library = library,
                              .shared = module != GetModuleHandleA(NULL),
                              .processors = (long)info.dwNumberOfProcessors,
                              .processor = "x86",
                              .system = system,
                              .file_system = "the temporary folder"};
  mapfile_version(&setting->version);
}

static int run_all(const struct options *options, struct group *groups) {
  struct setting setting;
  int done = 0, failed = 0;
  look_around(&setting);
  if (!options->json) {
    table_print_setting(&setting);
  }
  for (int i = 0; i < BENCHES; i++) {
    if (options->only != NULL && strcmp(options->only, benches[i].name) != 0) {
      continue;
    }
    groups[done].rounds = options->rounds;
    benches[i].run(&groups[done]);
    if (!options->json) {
      table_print_group(&groups[done]);
    }
    failed += groups[done++].failure[0] != '\0' ? 1 : 0;
  }
  if (options->json) {
    table_print_json(&setting, groups, done);
  } else {
    table_print_summary(groups, done);
  }
  return failed > 0 || done == 0;
}

int main(int count, char **arguments) {
  static struct group groups[BENCHES];
  struct options options;
  int status = read_options(count, arguments, &options);
  return status != 0 ? status : run_all(&options, groups);
}
