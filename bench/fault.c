/*
 * From touching a page that cannot be reached to the error in hand, in the ways that are in use.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"

#include <fcntl.h>
#include <mapfile.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 512, POOL = PAGES * PAGE, FAULTS = 512 };

static struct {
  mapfile *file;
  mapfile_view view; /* pages of a file that has been cut */
  int descriptor;
  char *raw;  /* the same pages without the library */
  char *pool; /* and again, for handlers that map something else there */
} here;

static sigjmp_buf way_back;
static volatile sig_atomic_t caught;
static void *volatile caught_address;
static volatile sig_atomic_t replaced;

static void touch(const void *address) {
  (void)*(const volatile char *)address;
}

/* The hand-written handlers are installed for their own samples only. */
static void install(int signal_number, void (*handler)(int, siginfo_t *, void *), int flags, struct sigaction *before) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  sigemptyset(&action.sa_mask);
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  sigaction(signal_number, &action, before);
  caught = 0;
}

static const char *counted(const struct sample *sample) {
  return (uint64_t)caught == sample->count ? NULL : "wrong number of faults";
}

/*
 * A jump out of the handler.
 */
static void jump_back(int signal_number, siginfo_t *info, void *context) {
  (void)signal_number;
  (void)context;
  caught_address = info->si_addr;
  caught++;
  siglongjmp(way_back, 1);
}

static const char *jump_without_mask(struct sample *sample) {
  struct sigaction before;
  install(SIGBUS, jump_back, SA_NODEFER, &before);
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    if (sigsetjmp(way_back, 0) == 0) {
      touch(here.raw + i * PAGE);
    } else if (caught_address != here.raw + i * PAGE) {
      break;
    }
  }
  sigaction(SIGBUS, &before, NULL);
  return counted(sample);
}

static const char *jump_with_mask(struct sample *sample) {
  struct sigaction before;
  install(SIGBUS, jump_back, 0, &before);
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    if (sigsetjmp(way_back, 1) == 0) {
      touch(here.raw + i * PAGE);
    } else if (caught_address != here.raw + i * PAGE) {
      break;
    }
  }
  sigaction(SIGBUS, &before, NULL);
  return counted(sample);
}

/*
 * Memory of zeros put in the bad page's place by the handler.
 */
static const char *map_file_again(char *address, size_t length) {
  void *map = mmap(address, length, PROT_READ, MAP_SHARED | MAP_FIXED, here.descriptor, (off_t)(address - here.pool));
  return map == address ? NULL : "cannot map the file again";
}

static void replace(char *address, size_t length) {
  if (mmap(address, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == address) {
    replaced = 1;
    caught++;
  } else {
    _exit(1); /* coming back would fault for ever */
  }
}

static void replace_page(int signal_number, siginfo_t *info, void *context) {
  (void)signal_number;
  (void)context;
  replace((char *)info->si_addr - (uintptr_t)info->si_addr % PAGE, PAGE);
}

static const char *zero_page_and_back(struct sample *sample) {
  const char *wrong = NULL;
  struct sigaction before;
  install(SIGBUS, replace_page, 0, &before);
  for (uint64_t i = 0; i < sample->count && wrong == NULL; i++) {
    replaced = 0;
    touch(here.pool + i * PAGE);
    wrong = replaced ? map_file_again(here.pool + i * PAGE, PAGE) : "no fault";
  }
  sigaction(SIGBUS, &before, NULL);
  return wrong != NULL ? wrong : counted(sample);
}

static const char *zero_page_stays(struct sample *sample) {
  struct sigaction before;
  install(SIGBUS, replace_page, 0, &before);
  sample_start(sample);
  for (uint64_t i = 0; i < sample->count; i++) {
    replaced = 0;
    touch(here.pool + i * PAGE);
    if (!replaced) {
      break;
    }
  }
  sample_stop(sample);
  sigaction(SIGBUS, &before, NULL);
  const char *wrong = map_file_again(here.pool, POOL);
  return wrong != NULL ? wrong : counted(sample);
}

/*
 * As libwayland guards its shared-memory pools: an access is begun and ended, and a fault in it replaces the whole
 * pool.
 */
struct access {
  char *pool;
  size_t size;
  int depth;
  bool fell_back;
};

static pthread_key_t access_key;
static pthread_once_t access_once = PTHREAD_ONCE_INIT;
static struct access access_record;

static void make_access_key(void) {
  pthread_key_create(&access_key, NULL);
}

static void replace_pool(int signal_number, siginfo_t *info, void *context) {
  struct access *access = pthread_getspecific(access_key);
  char *address = info->si_addr;
  (void)signal_number;
  (void)context;
  if (access == NULL || address < access->pool || address >= access->pool + access->size) {
    _exit(1);
  }
  replace(access->pool, access->size);
  access->fell_back = true;
}

static void begin_access(char *pool, size_t size) {
  pthread_once(&access_once, make_access_key);
  struct access *access = pthread_getspecific(access_key);
  if (access == NULL) {
    access = &access_record;
    pthread_setspecific(access_key, access);
  }
  access->pool = pool;
  access->size = size;
  access->depth++;
}

/* True where the bytes were not the file's. */
static bool end_access(void) {
  struct access *access = pthread_getspecific(access_key);
  bool fell_back = access->fell_back;
  if (--access->depth == 0) {
    access->pool = NULL;
    access->fell_back = false;
  }
  return fell_back;
}

static const char *replaced_pool(struct sample *sample) {
  const char *wrong = NULL;
  struct sigaction before;
  install(SIGBUS, replace_pool, SA_NODEFER, &before);
  for (uint64_t i = 0; i < sample->count && wrong == NULL; i++) {
    sample_start(sample);
    begin_access(here.pool, POOL);
    touch(here.pool + i * PAGE);
    bool fell_back = end_access();
    sample_stop(sample);
    wrong = fell_back ? map_file_again(here.pool, POOL) : "no fault";
  }
  sigaction(SIGBUS, &before, NULL);
  return wrong != NULL ? wrong : counted(sample);
}

/*
 * libmapfile.
 */
static mapfile_status MAPFILE_CALL touch_body(void *argument) {
  touch(argument);
  return MAPFILE_OK;
}

static bool right_fault(const mapfile_fault *fault, uint64_t page) {
  return fault->status == MAPFILE_UNKNOWN && fault->offset == page * PAGE && fault->file == here.file &&
         fault->address == (const char *)here.view.data + page * PAGE;
}

static const char *try_over(struct sample *sample, const mapfile_view *view) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  for (uint64_t i = 0; i < sample->count; i++) {
    char *address = (char *)here.view.data + i * PAGE;
    if (mapfile_try(here.file, view, touch_body, address, &fault) != MAPFILE_UNKNOWN || !right_fault(&fault, i)) {
      return "no fault, or a wrong record";
    }
  }
  return NULL;
}

static const char *try_view(struct sample *sample) {
  return try_over(sample, &here.view);
}

static const char *try_file(struct sample *sample) {
  return try_over(sample, NULL);
}

static const char *try_in_place(struct sample *sample) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    MAPFILE_TRY(here.file, &here.view, &fault) {
      touch((const char *)here.view.data + i * PAGE);
      return "no fault";
    }
    MAPFILE_CATCH {
      if (!right_fault(&fault, i)) {
        return "a wrong record";
      }
    }
    MAPFILE_END_TRY
  }
  return NULL;
}

/* One scope that many faults fall into: each becomes a page of zeros, and the end of the scope has their number. */
static const char *zero_fill(struct sample *sample) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  mapfile_scope scope;
  MAPFILE_SCOPE_INIT(&scope);
  if (mapfile_pin(here.file, 0, POOL, MAPFILE_ZERO_FILL, &view) != MAPFILE_OK ||
      mapfile_scope_begin(&scope, here.file, &view) != MAPFILE_OK) {
    return "cannot pin or begin";
  }
  sample_start(sample);
  for (uint64_t i = 0; i < sample->count; i++) {
    touch((const char *)view.data + i * PAGE);
  }
  sample_stop(sample);
  mapfile_status end = mapfile_scope_end(&scope, &fault);
  mapfile_status unpin = mapfile_unpin(&view);
  return end == MAPFILE_UNKNOWN && unpin == MAPFILE_UNKNOWN && fault.filled_pages == sample->count
             ? NULL
             : "wrong number of filled pages";
}

/*
 * The groups.
 */
/* All pages are read once while they are there: a program that meets a bad page has mostly used its neighbours before,
   and the kernel has made what it needs to describe them. Otherwise each fault would make and drop that again. */
static bool read_all(struct group *group, const struct material *material) {
  return (sum_bytes(here.raw, POOL) == material->sum && sum_bytes(here.pool, POOL) == material->sum &&
          sum_bytes(here.view.data, POOL) == material->sum) ||
         group_fail(group, "the maps have other bytes than the file");
}

static bool open_material(struct group *group, const char *name) {
  struct material material;
  here.view = (mapfile_view)MAPFILE_VIEW_INIT;
  if (!material_make(&material, name, POOL)) {
    return group_fail(group, "cannot make a file");
  }
  here.descriptor = open(material.path, O_RDWR | O_CLOEXEC);
  here.raw = mmap(NULL, POOL, PROT_READ, MAP_SHARED, here.descriptor, 0);
  here.pool = mmap(NULL, POOL, PROT_READ, MAP_SHARED, here.descriptor, 0);
  if (here.descriptor < 0 || here.raw == MAP_FAILED || here.pool == MAP_FAILED ||
      mapfile_open(material.path, NULL, &here.file) != MAPFILE_OK ||
      mapfile_pin(here.file, 0, POOL, MAPFILE_LIVE, &here.view) != MAPFILE_OK) {
    return group_fail(group, "cannot open, map and pin a file");
  }
  return read_all(group, &material);
}

static void close_material(struct group *group) {
  mapfile_unpin(&here.view);
  if (mapfile_close(here.file) != MAPFILE_OK) {
    group_fail(group, "cannot close");
  }
  munmap(here.raw, POOL);
  munmap(here.pool, POOL);
  close(here.descriptor);
}

/* What was measured was a fault by truncation. */
static void check_cause(struct group *group) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  if (mapfile_try(here.file, &here.view, touch_body, here.view.data, &fault) != MAPFILE_UNKNOWN ||
      mapfile_fault_explain(&fault) != MAPFILE_TRUNCATED) {
    group_fail(group, "the fault is not explained as a truncation");
  }
}

static void add_contenders(struct group *group, void *forbidden) {
  int jump = group_add(group, "siglongjmp from the handler, mask 0", jump_without_mask, NULL, FAULTS);
  int mask = group_add(group, "siglongjmp from the handler, mask 1", jump_with_mask, NULL, FAULTS);
  int back = group_add(group, "zero page in the handler, file mapped back", zero_page_and_back, NULL, FAULTS);
  int stays = group_add(group, "zero page in the handler, left there", zero_page_stays, NULL, FAULTS);
  int pool = group_add(group, "as libwayland: zeros over the pool of 2 MiB", replaced_pool, NULL, FAULTS);
  int library = group_add(group, "libsigsegv (SIGSEGV, forbidden page)", peer_sigsegv_fault, forbidden, FAULTS);
  int forms[] = {group_add(group, "mapfile_try over a view", try_view, NULL, FAULTS),
                 group_add(group, "mapfile_try over a mapfile", try_file, NULL, FAULTS),
                 group_add(group, "MAPFILE_TRY over a view", try_in_place, NULL, FAULTS)};
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    group_compare(group, forms[i], COMPARE_TIME, jump, 1.4);
    group_compare(group, forms[i], COMPARE_TIME, mask, 0);
    group_compare(group, forms[i], COMPARE_TIME, back, 0.45);
    group_compare(group, forms[i], COMPARE_TIME, stays, 0);
    group_compare(group, forms[i], COMPARE_TIME, pool, 0);
    group_compare(group, forms[i], COMPARE_TIME, library, 0);
  }
  int fill = group_add(group, "zero-fill scope, each page it fills", zero_fill, NULL, FAULTS);
  group_compare(group, fill, COMPARE_TIME, stays, 0);
}

void bench_fault(struct group *group, const struct plan *plan) {
  (void)plan;
  group_begin(group, "fault", "ns", 1e9, "from touching a page behind the end of a cut file (SIGBUS) to the error");
  if (!open_material(group, "fault")) {
    return;
  }
  void *forbidden = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (forbidden == MAP_FAILED || ftruncate(here.descriptor, 0) != 0) {
    group_fail(group, "cannot cut the file");
    return;
  }
  add_contenders(group, forbidden);
  if (group_measure(group)) {
    check_cause(group);
  }
  munmap(forbidden, PAGE);
  close_material(group);
}

/*
 * Forbidden accesses: the same signal for all three.
 */
static const char *jump_from_segv(struct sample *sample) {
  struct sigaction before;
  install(SIGSEGV, jump_back, SA_NODEFER, &before);
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    if (sigsetjmp(way_back, 0) == 0) {
      *(volatile char *)here.raw = 1;
    }
  }
  sigaction(SIGSEGV, &before, NULL);
  return counted(sample);
}

static mapfile_status MAPFILE_CALL write_body(void *argument) {
  *(volatile char *)argument = 1;
  return MAPFILE_OK;
}

static const char *try_to_write(struct sample *sample) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  for (uint64_t i = 0; i < sample->count; i++) {
    if (mapfile_try(here.file, &here.view, write_body, here.view.data, &fault) != MAPFILE_PROTECTED ||
        fault.address != here.view.data || fault.access == MAPFILE_FAULT_READ) {
      return "no fault, or a wrong record";
    }
  }
  return NULL;
}

void bench_access(struct group *group, const struct plan *plan) {
  (void)plan;
  group_begin(group, "access", "ns", 1e9,
              "from writing to a read-only page (SIGSEGV) to the error, MAPFILE_HANDLER_ACCESS");
  if (mapfile_handler_configure(MAPFILE_HANDLER_ACCESS) != MAPFILE_OK) {
    group_fail(group, "mapfile_handler_configure failed");
    return;
  }
  if (!open_material(group, "access")) {
    return;
  }
  int jump = group_add(group, "siglongjmp from the handler, mask 0", jump_from_segv, NULL, FAULTS);
  int library = group_add(group, "libsigsegv", peer_sigsegv_fault, here.raw, FAULTS);
  int own = group_add(group, "mapfile_try over a view", try_to_write, NULL, FAULTS);
  group_compare(group, own, COMPARE_TIME, jump, 1.4);
  group_compare(group, own, COMPARE_TIME, library, 0);
  group_compare(group, library, COMPARE_TIME, jump, 0);
  group_measure(group);
  close_material(group);
}
