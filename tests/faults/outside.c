/*
 * outside: a fault that no scope covers must kill as it would have killed without the library: by SIGBUS, with the
 * address and code of the fault, in the siginfo of the signal that kills and in the core file; also when the page has
 * become good again before the signal arrives.
 *
 * SPDX-License-Identifier: MIT
 *
 *     outside [FOLDER]
 *
 * Each case is a child that faults on purpose under ptrace. The tracer sees each signal before the child does, so it
 * can heal the page in between. Core files are looked at where the system writes them to the child's folder. FOLDER is
 * where the files go; default: TMPDIR, else /tmp.
 */
#define _GNU_SOURCE 1
#include "faulty.h"
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGES = 8, KEPT = 2 };

typedef struct seen {
  int signals;     /* how often SIGBUS was delivered */
  siginfo_t first; /* as the kernel made it */
  siginfo_t last;  /* as it killed */
  int state;       /* how the child ended */
} seen;

static char folder[4096], victim[4096 + 16], other[4096 + 16];
static size_t size, kept;

/*
 * The child's side
 */

static mapfile *open_victim(mapfile_view *view) {
  mapfile *file = NULL;

  need(mapfile_open(victim, NULL, &file) == MAPFILE_OK);
  need(mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_LIVE, view) == MAPFILE_OK);
  return file;
}

static void touch_bad_page(const void *data) {
  need(truncate(victim, (off_t)kept) == 0);
  (void)((const volatile unsigned char *)data)[kept + 123];
}

/* Enter and leave a scope, so that the handler is in place. */
static void arm(mapfile *file, const mapfile_view *view) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;

  need(touch_read(file, view, 0, &fault) == MAPFILE_OK);
  need(mapfile_handler_check() == MAPFILE_OK);
}

static void on_own_view(void) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile *file = open_victim(&view);

  arm(file, &view);
  touch_bad_page(view.data);
}

static void on_foreign_map(void) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile *file = open_victim(&view);
  int fd = open(victim, O_RDONLY | O_CLOEXEC);
  void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

  need(data != MAP_FAILED);
  arm(file, &view);
  touch_bad_page(data);
}

static void after_a_recovery(void) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile *file = open_victim(&view);

  need(truncate(victim, (off_t)kept) == 0);
  need(touch_read(file, &view, size - 1, &fault) == MAPFILE_UNKNOWN);
  touch_bad_page(view.data);
}

static mapfile_status MAPFILE_CALL touch_in_body(void *data) {
  touch_bad_page(data);
  return MAPFILE_OK;
}

static void in_scope_of_other_view(void) {
  mapfile_view view = MAPFILE_VIEW_INIT, part = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile *file = open_victim(&view);

  need(mapfile_pin(file, 0, kept, MAPFILE_LIVE, &part) == MAPFILE_OK);
  (void)mapfile_try(file, &part, touch_in_body, view.data, &fault);
}

static void in_scope_of_other_file(void) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile *elsewhere = NULL;

  (void)open_victim(&view);
  need(mapfile_open(other, NULL, &elsewhere) == MAPFILE_OK);
  (void)mapfile_try(elsewhere, NULL, touch_in_body, view.data, &fault);
}

static void with_signal_ignored(void) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile *file;

  signal(SIGBUS, SIG_IGN);
  file = open_victim(&view);
  arm(file, &view);
  touch_bad_page(view.data);
}

static void without_a_scope_ever(void) {
  mapfile_view view = MAPFILE_VIEW_INIT;

  (void)open_victim(&view);
  touch_bad_page(view.data);
}

/*
 * The tracer's side
 */

/* Why no core file can be expected in the folder, or NULL. */
static const char *no_core(void) {
  static char text[256];
  FILE *pattern = fopen("/proc/sys/kernel/core_pattern", "re");
  struct rlimit limit;

  if (FAULTY_SANITIZED) {
    return "the sanitizers' address space is too large for one";
  }
  if (pattern == NULL || fgets(text, sizeof text, pattern) == NULL) {
    return "the system's core pattern is not known";
  }
  fclose(pattern);
  if (text[0] == '|') {
    return "the system pipes core files to a program";
  }
  if (text[0] == '/' || text[0] == '@' || text[0] == '\n') {
    return "the system writes core files to a place of its own, or none";
  }
  if (getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_max != RLIM_INFINITY) {
    return "the limit for core files does not allow them";
  }
  return NULL;
}

/* As large a core file as may be, or none at all where it would not be looked at. */
static void limit_core(void) {
  struct rlimit limit;

  need(getrlimit(RLIMIT_CORE, &limit) == 0);
  limit.rlim_cur = no_core() == NULL ? limit.rlim_max : 0;
  need(setrlimit(RLIMIT_CORE, &limit) == 0);
}

static pid_t start(void (*act)(void)) {
  pid_t child = fork();

  need(child >= 0);
  if (child == 0) {
    alarm(60);
    need(chdir(folder) == 0);
    limit_core();
    need(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
    raise(SIGSTOP);
    act();
    _exit(0); /* the fault did not kill */
  }
  return child;
}

/* Signals of faults that the library is to recover from are let pass. */
static seen watch(pid_t child, int recovered, int heal) {
  seen what;

  memset(&what, 0, sizeof what);
  need(waitpid(child, &what.state, 0) == child && WIFSTOPPED(what.state));
  need(ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)PTRACE_O_EXITKILL) == 0);
  need(ptrace(PTRACE_CONT, child, NULL, NULL) == 0);
  while (waitpid(child, &what.state, 0) == child && WIFSTOPPED(what.state)) {
    long signal = WSTOPSIG(what.state);

    if (signal == SIGBUS && recovered-- <= 0) {
      need(ptrace(PTRACE_GETSIGINFO, child, NULL, &what.last) == 0);
      if (what.signals++ == 0) {
        what.first = what.last;
        need(!heal || truncate(victim, (off_t)size) == 0);
      }
    }
    need(ptrace(PTRACE_CONT, child, NULL, (void *)signal) == 0);
    need(what.signals < 1000);
  }
  return what;
}

/* The siginfo in a core file: the note NT_SIGINFO of its PT_NOTE segment. Returns 0 where it is not to be found. */
static int find_note(const char *notes, size_t length, siginfo_t *info) {
  size_t at = 0;

  while (at + sizeof(ElfW(Nhdr)) <= length) {
    ElfW(Nhdr) note;
    size_t name, data;

    memcpy(&note, notes + at, sizeof note);
    name = at + sizeof note;
    data = name + ((note.n_namesz + 3u) & ~3u);
    at = data + ((note.n_descsz + 3u) & ~3u);
    if (note.n_type == NT_SIGINFO && note.n_descsz >= sizeof *info && at <= length) {
      memcpy(info, notes + data, sizeof *info);
      return 1;
    }
  }
  return 0;
}

static int read_core(const char *name, siginfo_t *info) {
  int fd = open(name, O_RDONLY | O_CLOEXEC), found = 0;
  ElfW(Ehdr) header;
  ElfW(Phdr) segment;

  if (fd < 0 || pread(fd, &header, sizeof header, 0) != sizeof header || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return 0;
  }
  for (unsigned i = 0; i < header.e_phnum && !found; i++) {
    need(pread(fd, &segment, sizeof segment, (off_t)(header.e_phoff + i * sizeof segment)) == sizeof segment);
    if (segment.p_type == PT_NOTE) {
      char *notes = malloc(segment.p_filesz);

      need(notes != NULL);
      need(pread(fd, notes, segment.p_filesz, (off_t)segment.p_offset) == (ssize_t)segment.p_filesz);
      found = find_note(notes, segment.p_filesz, info);
      free(notes);
    }
  }
  close(fd);
  return found;
}

/* Find a core file in the folder, read its siginfo, and remove it. */
static int take_core(siginfo_t *info) {
  DIR *entries = opendir(folder);
  const struct dirent *entry;
  int found = 0;

  need(entries != NULL);
  while ((entry = readdir(entries)) != NULL) {
    char name[4096 + 300];

    snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
    if (entry->d_name[0] != '.' && strcmp(name, victim) != 0 && strcmp(name, other) != 0) {
      found |= read_core(name, info);
      unlink(name);
    }
  }
  closedir(entries);
  return found;
}

static int same_fault(const siginfo_t *a, const siginfo_t *b) {
  return a->si_signo == b->si_signo && a->si_code == b->si_code && a->si_addr == b->si_addr;
}

static int judge(const char *name, const seen *what, int heal) {
  const char *wrong = NULL, *why = no_core();
  siginfo_t info;

  if (what->signals == 0) {
    wrong = "it never faulted";
  } else if (!WIFSIGNALED(what->state)) {
    wrong = "it survived";
  } else if (WTERMSIG(what->state) != SIGBUS) {
    wrong = "it died of another signal";
  } else if (what->first.si_code != BUS_ADRERR || (uintptr_t)what->first.si_addr % page_size() != 123) {
    wrong = "the test did not fault where it should";
  } else if (!same_fault(&what->first, &what->last)) {
    wrong = "the siginfo that killed is not that of the fault";
  } else if (why == NULL && (!WCOREDUMP(what->state) || !take_core(&info))) {
    wrong = "there is no core file with a siginfo";
  } else if (why == NULL && !same_fault(&what->first, &info)) {
    wrong = "the siginfo in the core file is not that of the fault";
  }
  printf("%s %s%s%s%s\n", wrong == NULL ? "ok" : "WRONG", name, heal ? ", page healed meanwhile" : "",
         wrong == NULL ? "" : ": ", wrong == NULL ? "" : wrong);
  return wrong != NULL;
}

static const struct {
  const char *name;
  void (*act)(void);
  int recovered; /* faults before the one that kills */
} cases[] = {
    {"no scope was ever entered", without_a_scope_ever, 0},
    {"on a view, after its scope", on_own_view, 0},
    {"on a map that is not the library's", on_foreign_map, 0},
    {"after a fault that was recovered", after_a_recovery, 1},
    {"in a scope over another view", in_scope_of_other_view, 0},
    {"in a scope over another mapfile", in_scope_of_other_file, 0},
    {"with SIGBUS ignored before the library came", with_signal_ignored, 0},
};

static void make_files(void) {
  char *name = make_file(folder, "victim", size);

  snprintf(victim, sizeof victim, "%s", name);
  free(name);
  name = make_file(folder, "other", size);
  snprintf(other, sizeof other, "%s", name);
  free(name);
}

static int run(void) {
  int wrong = 0;

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    for (int heal = 0; heal < 2; heal++) {
      pid_t child;
      seen what;

      make_files();
      child = start(cases[i].act);
      what = watch(child, cases[i].recovered, heal);
      wrong += judge(cases[i].name, &what, heal);
    }
  }
  return wrong;
}

/* Whether this process may trace at all (containers and valgrind may not). */
static int can_trace(void) {
  pid_t child = fork();
  int state = 0;

  need(child >= 0);
  if (child == 0) {
    _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1);
  }
  return waitpid(child, &state, 0) == child && state == 0;
}

int main(int argc, char **argv) {
  const char *parent = argc > 1 ? argv[1] : getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
  int wrong;

  alarm(580);
  setvbuf(stdout, NULL, _IONBF, 0);
  if (under_valgrind()) {
    printf("SKIP faults outside scopes: valgrind takes the signals of its program\n");
    return 77;
  }
  if (!can_trace()) {
    printf("SKIP faults outside scopes: ptrace is not allowed here\n");
    return 77;
  }
  snprintf(folder, sizeof folder, "%s/mapfile-outside.XXXXXX", parent);
  need(mkdtemp(folder) != NULL);
  size = PAGES * page_size();
  kept = KEPT * page_size();
  if (no_core() != NULL) {
    printf("SKIP core files: %s\n", no_core());
  }
  wrong = run();
  unlink(victim);
  unlink(other);
  need(rmdir(folder) == 0);
  return wrong != 0;
}
