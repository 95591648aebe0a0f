/*
 * How access is chosen where the program leaves it to the library (docs/limits.md), on the host that MAPFILE_TEST_HOOKS
 * has the library take this one for, and on 32-bit hosts.
 *
 * SPDX-License-Identifier: MIT
 */
#include <mapfile.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH = 300000, KINDS = 4 };

static const uint32_t flags[KINDS] = {MAPFILE_ANY, MAPFILE_LIVE, MAPFILE_PRIVATE, MAPFILE_COPY};
static const char *const names[KINDS] = {"ANY", "LIVE", "PRIVATE", "COPY"};
static int wrong;

static void say(bool right, const char *what, uint32_t got, uint32_t wanted) {
  printf("%s %s", right ? "ok" : "WRONG:", what);
  printf(right ? "\n" : " gave %u, not %u\n", (unsigned)got, (unsigned)wanted);
  wrong += !right;
}

static bool hooked(const char *word) {
  const char *hooks = getenv("MAPFILE_TEST_HOOKS");
  return hooks != NULL && strstr(hooks, word) != NULL;
}

/* The kind of a pin of all there is, MAPFILE_KIND_NONE where there is none. */
static uint32_t kind_of_pin(mapfile *file, uint32_t how, mapfile_status *status) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  *status = mapfile_pin(file, 0, MAPFILE_TO_END, how, &view);
  uint32_t kind = view.kind;
  if (*status == MAPFILE_OK && memcmp(view.data, "begin", 5) != 0)
    say(false, "the first bytes of a pin", ((const unsigned char *)view.data)[0], 'b');
  if (*status == MAPFILE_OK)
    mapfile_unpin(&view);
  return kind;
}

static mapfile *open_it(const char *path, uint32_t how) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  mapfile *file = NULL;
  options.flags = how;
  mapfile_status status = mapfile_open(path, &options, &file);
  if (status == MAPFILE_OK)
    return file;
  printf("WRONG: open gave %s\n", mapfile_strerror(status));
  exit(1);
}

static void look_at_kinds(const char *path, uint32_t how, bool copies) {
  bool no_map = hooked("fail-map=1+");
  uint32_t kinds[KINDS] = {copies || no_map ? MAPFILE_KIND_COPIED : MAPFILE_KIND_LIVE,
                           no_map ? MAPFILE_KIND_NONE : MAPFILE_KIND_LIVE, MAPFILE_KIND_PRIVATE, MAPFILE_KIND_COPIED};
  mapfile *file = open_it(path, how);
  for (int i = 0; i < KINDS; i++) {
    mapfile_status status, wanted = kinds[i] == MAPFILE_KIND_NONE ? MAPFILE_LIMIT : MAPFILE_OK;
    uint32_t kind = kind_of_pin(file, flags[i], &status);
    say(status == wanted, names[i], (uint32_t)status, (uint32_t)wanted);
    say(kind == kinds[i], names[i], kind, kinds[i]);
  }
  mapfile_close(file);
}

/* What a walk maps it asks for, and counts. */
static void look_at_walk(const char *path, bool copies) {
  mapfile *file = open_it(path, 0);
  mapfile_statistics before = MAPFILE_STATISTICS_INIT, after = MAPFILE_STATISTICS_INIT;
  uint64_t found = 0, done = 0;
  mapfile_stats(file, &before);
  mapfile_status status = mapfile_find(file, 0, MAPFILE_TO_END, "end", 3, &found, &done);
  mapfile_stats(file, &after);
  say(status == MAPFILE_OK && found == LENGTH - 3, "find", (uint32_t)found, LENGTH - 3);
  if (!hooked("fail-map"))
    say((after.maps_made != before.maps_made) == !copies, "maps made by find",
        (uint32_t)(after.maps_made - before.maps_made), !copies);
  mapfile_close(file);
}

static void make_file(const char *path) {
  FILE *file = fopen(path, "wb");
  char *bytes = calloc(1, LENGTH);
  bool made = file != NULL && bytes != NULL;
  if (made) {
    memcpy(bytes, "begin", 5);
    memcpy(bytes + LENGTH - 3, "end", 3);
    made = fwrite(bytes, LENGTH, 1, file) == 1;
  }
  if (file != NULL)
    made = fclose(file) == 0 && made;
  free(bytes);
  if (made)
    return;
  printf("WRONG: no file can be made here\n");
  exit(1);
}

int main(void) {
  const char *path = "access.tmp";
  bool small = sizeof(void *) <= 4 || hooked("small-host");
  bool separate = hooked("separate-cache");
  make_file(path);
  look_at_kinds(path, 0, small || separate);
  look_at_kinds(path, MAPFILE_SEPARATE_CACHE, true);
  look_at_walk(path, small || separate);
  remove(path);
  return wrong != 0;
}
