/*
 * What it costs to enter and leave a scope in which nothing goes wrong.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"

#include <fcntl.h>
#include <mapfile.h>
#include <setjmp.h>
#include <unistd.h>

enum { SCOPES = 200000, CALLS = 20000 };

/* Every loop has a volatile counter, because those around setjmp need one: so the others pay for it too. */

static struct {
  mapfile *file;
  mapfile_view view;
  mapfile_view fill_view;
  int descriptor;
} here;

static mapfile_status MAPFILE_CALL count_up(void *argument) {
  ++*(uint64_t *)argument;
  return MAPFILE_OK;
}

static const char *try_over(struct sample *sample, const mapfile_view *view) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  uint64_t bodies = 0;
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    if (mapfile_try(here.file, view, count_up, &bodies, &fault) != MAPFILE_OK) {
      return "mapfile_try failed";
    }
  }
  return bodies == sample->count ? NULL : "wrong number of bodies";
}

static const char *try_view(struct sample *sample) {
  return try_over(sample, &here.view);
}

static const char *try_file(struct sample *sample) {
  return try_over(sample, NULL);
}

static const char *try_in_place(struct sample *sample, const mapfile_view *view) {
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  uint64_t bodies[1] = {0};
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    MAPFILE_TRY(here.file, view, &fault) {
      count_up(bodies);
    }
    MAPFILE_CATCH {
      return "MAPFILE_TRY failed";
    }
    MAPFILE_END_TRY
  }
  return bodies[0] == sample->count ? NULL : "wrong number of bodies";
}

static const char *in_place_view(struct sample *sample) {
  return try_in_place(sample, &here.view);
}

static const char *in_place_file(struct sample *sample) {
  return try_in_place(sample, NULL);
}

static const char *begin_end(struct sample *sample) {
  mapfile_scope scope;
  MAPFILE_SCOPE_INIT(&scope);
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    if (mapfile_scope_begin(&scope, here.file, &here.fill_view) != MAPFILE_OK ||
        mapfile_scope_end(&scope, NULL) != MAPFILE_OK) {
      return "zero-fill scope failed";
    }
  }
  return NULL;
}

static const char *bare_setjmp(struct sample *sample) {
  sigjmp_buf registers; /* on the stack, as a scope is */
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    if (sigsetjmp(registers, 0) != 0) {
      return "came back by a jump";
    }
  }
  return NULL;
}

static const char *setjmp_with_mask(struct sample *sample) {
  sigjmp_buf registers; /* on the stack, as a scope is */
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    if (sigsetjmp(registers, 1) != 0) {
      return "came back by a jump";
    }
  }
  return NULL;
}

/* What no scope in place can be without: registers saved, and one call into the library, here one that does nothing. */
static const char *setjmp_and_call(struct sample *sample) {
  sigjmp_buf registers; /* on the stack, as a scope is */
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    if (sigsetjmp(registers, 0) != 0) {
      return "came back by a jump";
    }
    mapfile_version(NULL);
  }
  return NULL;
}

/* The least that could be called a scope: it is in a list of its thread's, and asks nothing. */
static _Thread_local struct guard {
  struct guard *outer;
  sigjmp_buf registers;
} * guards;

__attribute__((noinline)) static void push_guard(struct guard *guard) {
  guard->outer = guards;
  guards = guard;
}

__attribute__((noinline)) static void pop_guard(const struct guard *guard) {
  guards = guard->outer;
}

static const char *bare_guard(struct sample *sample) {
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    struct guard guard;
    push_guard(&guard);
    if (sigsetjmp(guard.registers, 0) != 0) {
      return "came back by a jump";
    }
    pop_guard(&guard);
  }
  return NULL;
}

static const char *read_a_byte(struct sample *sample) {
  char byte;
  for (volatile uint64_t i = 0; i < sample->count; i++) {
    if (pread(here.descriptor, &byte, 1, 0) != 1) {
      return "pread failed";
    }
  }
  return NULL;
}

static const char *only_the_loop(struct sample *sample) {
  for (volatile uint64_t i = 0; i < sample->count; i++) {
  }
  return NULL;
}

static bool open_material(struct group *group, struct material *material) {
  here.view = here.fill_view = (mapfile_view)MAPFILE_VIEW_INIT;
  if (!material_make(material, "scope", 1 << 16)) {
    return group_fail(group, "cannot make a file");
  }
  here.descriptor = open(material->path, O_RDONLY | O_CLOEXEC);
  if (here.descriptor < 0 || mapfile_open(material->path, NULL, &here.file) != MAPFILE_OK) {
    return group_fail(group, "cannot open %s", material->path);
  }
  if (mapfile_pin(here.file, 0, MAPFILE_TO_END, MAPFILE_LIVE, &here.view) != MAPFILE_OK ||
      mapfile_pin(here.file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL, &here.fill_view) != MAPFILE_OK) {
    return group_fail(group, "cannot pin");
  }
  return true;
}

static void close_material(struct group *group) {
  mapfile_unpin(&here.view);
  mapfile_unpin(&here.fill_view);
  if (mapfile_close(here.file) != MAPFILE_OK) {
    group_fail(group, "cannot close");
  }
  close(here.descriptor);
}

void bench_scope(struct group *group, const struct plan *plan) {
  (void)plan;
  struct material material;
  group_begin(group, "scope", "ns", 1e9, "entering and leaving a scope in which nothing goes wrong");
  if (!open_material(group, &material)) {
    return;
  }
  int bare = group_add(group, "sigsetjmp(buf, 0)", bare_setjmp, NULL, SCOPES);
  int masked = group_add(group, "sigsetjmp(buf, 1)", setjmp_with_mask, NULL, CALLS);
  int byte = group_add(group, "pread of one byte", read_a_byte, NULL, CALLS);
  group_add(group, "the loop alone", only_the_loop, NULL, SCOPES);
  int least = group_add(group, "sigsetjmp(buf, 0) and an empty call", setjmp_and_call, NULL, SCOPES);
  group_compare(group, least, COMPARE_TIME, byte, 0);
  int guard = group_add(group, "a list of sigsetjmp(buf, 0), unchecked", bare_guard, NULL, SCOPES);
  group_compare(group, guard, COMPARE_TIME, bare, 0);
  group_compare(group, guard, COMPARE_TIME, byte, 0);
  int forms[] = {group_add(group, "mapfile_try over a view", try_view, NULL, SCOPES),
                 group_add(group, "mapfile_try over a mapfile", try_file, NULL, SCOPES),
                 group_add(group, "MAPFILE_TRY over a view", in_place_view, NULL, SCOPES),
                 group_add(group, "MAPFILE_TRY over a mapfile", in_place_file, NULL, SCOPES)};
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    group_compare(group, forms[i], COMPARE_TIME, bare, 2.5);
    group_compare(group, forms[i], COMPARE_TIME, byte, 0.02);
    group_compare(group, forms[i], COMPARE_TIME, masked, 0);
  }
  int fill = group_add(group, "zero-fill scope over a view", begin_end, NULL, CALLS);
  group_compare(group, fill, COMPARE_TIME, bare, 0);
  group_measure(group);
  close_material(group);
}
