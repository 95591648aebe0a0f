/*
 * The benchmark: every group in a process of its own, one after the other, and the table of what they found.
 *
 *     bench [--json] [--only NAME] [--rounds N] [--file PATH] [--size MIB] [--list]
 *
 * Exits with 1 where an answer was wrong or a group could not run, 2 where it was called wrongly. A missed target is
 * reported and changes nothing: times depend on the machine.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* dladdr */
#endif

#include "bench.h"
#include "table.h"

#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <mapfile.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
  const char *name;
  void (*run)(struct group *group, const struct plan *plan);
} benches[] = {{"scope", bench_scope},       {"pin", bench_pin},         {"fault", bench_fault},
               {"access", bench_access},     {"scan", bench_scan},       {"scan-small", bench_scan_small_pages},
               {"find", bench_find},         {"open-1K", bench_open_1k}, {"open-16K", bench_open_16k},
               {"open-64K", bench_open_64k}, {"open-1M", bench_open_1m}, {"many", bench_many},
               {"window", bench_window}};

enum { BENCHES = sizeof benches / sizeof benches[0], ROUNDS = 21, LEAST_ROUNDS = 9, SIZE = 64 };

struct options {
  bool json, list;
  const char *only;
  const char *file;
  int rounds;
  uint64_t size;
};

static volatile sig_atomic_t stopped;

static void stop(int signal_number) {
  stopped = signal_number;
}

static int usage(const char *program, const char *why) {
  fprintf(stderr, "%s: %s\nusage: %s [--json] [--only NAME] [--rounds N] [--file PATH] [--size MIB] [--list]\n",
          program, why, program);
  return 2;
}

static bool read_number(const char *text, long low, long high, long *number) {
  char *end;
  errno = 0;
  *number = strtol(text, &end, 10);
  return errno == 0 && end != text && *end == '\0' && *number >= low && *number <= high;
}

static bool known(const char *name) {
  for (int i = 0; i < BENCHES; i++) {
    if (strcmp(name, benches[i].name) == 0) {
      return true;
    }
  }
  return false;
}

/* Returns 0, or the exit status. */
static int read_options(int count, char **arguments, struct options *options) {
  static const struct option names[] = {{"json", no_argument, NULL, 'j'},
                                        {"only", required_argument, NULL, 'o'},
                                        {"rounds", required_argument, NULL, 'r'},
                                        {"file", required_argument, NULL, 'f'},
                                        {"size", required_argument, NULL, 's'},
                                        {"list", no_argument, NULL, 'l'},
                                        {NULL, 0, NULL, 0}};
  long number = 0;
  *options = (struct options){false, false, NULL, NULL, ROUNDS, SIZE};
  for (int option; (option = getopt_long(count, arguments, "", names, NULL)) != -1;) {
    if (option == 'j') {
      options->json = true;
    } else if (option == 'l') {
      options->list = true;
    } else if (option == 'f') {
      options->file = optarg;
    } else if (option == 'o' && known(optarg)) {
      options->only = optarg;
    } else if (option == 'r' && read_number(optarg, LEAST_ROUNDS, MEASURE_ROUNDS, &number)) {
      options->rounds = (int)number;
    } else if (option == 's' && read_number(optarg, 1, 1 << 20, &number)) {
      options->size = (uint64_t)number;
    } else {
      return usage(arguments[0], option == 'o'   ? "no such group (--list shows them)"
                                 : option == 'r' ? "--rounds takes 9 to 101"
                                 : option == 's' ? "--size takes MiB"
                                                 : "unknown option");
    }
  }
  return optind == count ? 0 : usage(arguments[0], "unknown argument");
}

static const char *processor_name(void) {
  static char line[MEASURE_TEXT];
  FILE *file = fopen("/proc/cpuinfo", "r");
  const char *name = "unknown processor";
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
      line[strcspn(line, "\n")] = '\0';
      name = colon + 2;
      break;
    }
  }
  if (file != NULL) {
    fclose(file);
  }
  return name;
}

static void look_around(struct setting *setting) {
  static struct utsname names;
  static char system[MEASURE_TEXT * 2];
  Dl_info library = {NULL, NULL, NULL, NULL}, program = {NULL, NULL, NULL, NULL};
  const char *pin_name = "mapfile_pin";
  dladdr(dlsym(RTLD_DEFAULT, pin_name), &library);
  dladdr((void *)(uintptr_t)&look_around, &program);
  setting->shared = library.dli_fbase != NULL && library.dli_fbase != program.dli_fbase;
  setting->library = library.dli_fname != NULL ? library.dli_fname : "(in the program)";
  mapfile_version(&setting->version);
  uname(&names);
  snprintf(system, sizeof system, "%s %s %s", names.sysname, names.release, names.machine);
  setting->system = system;
  setting->processors = sysconf(_SC_NPROCESSORS_ONLN);
  setting->processor = processor_name();
  setting->file_system = material_file_system();
}

/* The group is in shared memory: what the child measures, the parent prints. */
static void run_group(int number, struct group *group, const struct plan *plan) {
  int status = 0;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    benches[number].run(group, plan);
    _exit(0);
  }
  snprintf(group->name, sizeof group->name, "%s", benches[number].name);
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    kill(child, SIGTERM);
  }
  if (child < 0) {
    group_fail(group, "cannot fork");
  } else if (WIFSIGNALED(status)) {
    group_fail(group, "died of signal %d", WTERMSIG(status));
    group->finished = false;
  }
}

static bool prepare(const struct options *options, struct plan *plan) {
  memset(plan, 0, sizeof *plan);
  if (!material_open_folder()) {
    fprintf(stderr, "cannot make a folder for the files: %s\n", strerror(errno));
    return false;
  }
  bool large = options->only == NULL || strncmp(options->only, "scan", 4) == 0 || strcmp(options->only, "find") == 0;
  if (large && !(options->file != NULL ? material_take(&plan->large, options->file)
                                       : material_make(&plan->large, "large", options->size << 20))) {
    fprintf(stderr, "cannot %s: %s\n", options->file != NULL ? "read the file" : "make the file", strerror(errno));
    return false;
  }
  return true;
}

static int run_all(const struct options *options, const struct plan *plan, struct group *groups) {
  int done = 0, failed = 0;
  struct setting setting;
  look_around(&setting);
  if (!options->json) {
    table_print_setting(&setting);
  }
  for (int i = 0; i < BENCHES && !stopped; i++) {
    if (options->only == NULL || strcmp(options->only, benches[i].name) == 0) {
      groups[done].rounds = options->rounds;
      run_group(i, &groups[done], plan);
      if (!options->json) {
        table_print_group(&groups[done]);
      }
      failed += groups[done++].failure[0] != '\0' ? 1 : 0;
    }
  }
  if (options->json) {
    table_print_json(&setting, groups, done);
  } else {
    table_print_summary(groups, done);
  }
  return failed > 0 || stopped ? 1 : 0;
}

int main(int count, char **arguments) {
  struct options options;
  struct plan plan;
  int status = read_options(count, arguments, &options);
  if (status != 0) {
    return status;
  }
  for (int i = 0; options.list && i < BENCHES; i++) {
    puts(benches[i].name);
  }
  if (options.list) {
    return 0;
  }
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = stop;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  size_t size = BENCHES * sizeof(struct group);
  struct group *groups = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  status = groups != MAP_FAILED && prepare(&options, &plan) ? run_all(&options, &plan, groups) : 1;
  material_remove_folder();
  return status;
}
