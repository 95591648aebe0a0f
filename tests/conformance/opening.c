/*
 * opening.c - the promises of opening that every system can be asked: open-empty and open-names.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conformance.h"

#include <stdio.h>
#include <string.h>

/* open-empty */

static mapfile_status MAPFILE_CALL count_calls(void *argument) {
  ++*(int *)argument;
  return MAPFILE_OK;
}

static mapfile_status MAPFILE_CALL count_chunks(void *argument, const void *data, size_t length, uint64_t offset) {
  (void)data, (void)length, (void)offset;
  ++*(int *)argument;
  return MAPFILE_OK;
}

static void pin_nothing(mapfile *file, uint32_t flags) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_fault fault = MAPFILE_FAULT_INIT;
  int calls = 0;
  conf_pin(file, 0, MAPFILE_TO_END, flags, &view);
  EXPECT_UINT(view.length, 0);
  EXPECT(view.kind != MAPFILE_KIND_NONE);
  EXPECT_STATUS(mapfile_try(file, &view, count_calls, &calls, &fault), MAPFILE_OK);
  EXPECT_UINT(calls, 1);
  EXPECT_STATUS(mapfile_close(file), MAPFILE_BUSY);
  conf_unpin(&view);
  EXPECT_UINT(view.kind, MAPFILE_KIND_NONE);
}

static void empty_views(void) {
  mapfile *file = conf_open(conf_make("empty", 0), MAPFILE_WRITE);
  mapfile_view view = MAPFILE_VIEW_INIT;
  uint64_t size = 1;
  EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  EXPECT_UINT(size, 0);
  pin_nothing(file, MAPFILE_ANY);
  pin_nothing(file, MAPFILE_COPY);
  pin_nothing(file, MAPFILE_VERIFY);
  pin_nothing(file, MAPFILE_PRIVATE);
  if (conf_access != MAPFILE_ACCESS_COPIED) {
    pin_nothing(file, MAPFILE_LIVE);
    pin_nothing(file, MAPFILE_SHARED);
  }
  EXPECT_STATUS(mapfile_pin(file, 0, 1, MAPFILE_ANY, &view), MAPFILE_END);
  EXPECT_STATUS(mapfile_pin(file, 1, 0, MAPFILE_ANY, &view), MAPFILE_END);
  EXPECT_STATUS(mapfile_pin(file, 1, MAPFILE_TO_END, MAPFILE_ANY, &view), MAPFILE_END);
  EXPECT_UINT(view.kind, MAPFILE_KIND_NONE);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_OK);
  conf_close(file);
}

static void empty_operations(void) {
  mapfile *file = conf_open(conf_make("empty", 0), 0);
  char buffer[4] = "abc";
  size_t done = 9;
  uint64_t far = 9, found = 9;
  int order = 9, chunks = 0;
  EXPECT_STATUS(mapfile_read(file, 0, buffer, 0, &done), MAPFILE_OK);
  EXPECT_UINT(done, 0);
  done = 9;
  EXPECT_STATUS(mapfile_read(file, 0, buffer, 1, &done), MAPFILE_END);
  EXPECT_UINT(done, 0);
  EXPECT(strcmp(buffer, "abc") == 0);
  EXPECT_STATUS(mapfile_find(file, 0, MAPFILE_TO_END, "x", 1, &found, &far), MAPFILE_NOT_FOUND);
  EXPECT_UINT(far, 0);
  EXPECT_UINT(found, 9);
  EXPECT_STATUS(mapfile_find(file, 0, MAPFILE_TO_END, "", 0, &found, &far), MAPFILE_OK);
  EXPECT_UINT(found, 0);
  EXPECT_STATUS(mapfile_compare(file, 0, buffer, 0, &order, &done), MAPFILE_OK);
  EXPECT(order == 0);
  EXPECT_STATUS(mapfile_scan(file, 0, MAPFILE_TO_END, 0, 0, count_chunks, &chunks, &far), MAPFILE_OK);
  EXPECT_UINT(chunks, 0);
  EXPECT_UINT(far, 0);
  conf_close(file);
}

/* A file that was empty when it was opened and then got its bytes. */
static void empty_grows(void) {
  const char *path = conf_make("empty", 0);
  mapfile *file = conf_open(path, 0);
  mapfile_view nothing = MAPFILE_VIEW_INIT, view = MAPFILE_VIEW_INIT;
  uint64_t size = 0;
  conf_pin(file, 0, 0, MAPFILE_ANY, &nothing);
  conf_write_pattern(path, 0, 10000);
  EXPECT_STATUS(mapfile_pin(file, 0, 1, MAPFILE_ANY, &view), MAPFILE_END);
  EXPECT_STATUS(mapfile_check(file), MAPFILE_CHANGED);
  EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  EXPECT_UINT(size, 10000);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT_UINT(view.length, 10000);
  EXPECT(conf_is_pattern(view.data, view.length, 0));
  conf_unpin(&view);
  conf_unpin(&nothing);
  conf_close(file);
}

static mapfile_status open_with(const char *path, uint32_t flags, mapfile **file) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  options.flags = flags;
  options.access = conf_access;
  return mapfile_open(path, &options, file);
}

static void empty_created(void) {
  const char *path = conf_path("made");
  mapfile *file = NULL;
  uint64_t size = 1;
  EXPECT_STATUS(open_with(path, MAPFILE_WRITE, &file), MAPFILE_NOT_FOUND);
  EXPECT_STATUS(open_with(path, MAPFILE_CREATE | MAPFILE_EXCLUSIVE, &file), MAPFILE_OK);
  EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  EXPECT_UINT(size, 0);
  pin_nothing(file, MAPFILE_ANY);
  conf_close(file);
  file = NULL;
  EXPECT_STATUS(open_with(path, MAPFILE_CREATE | MAPFILE_EXCLUSIVE, &file), MAPFILE_EXISTS);
  EXPECT(file == NULL);
  conf_write_pattern(path, 0, 5000);
  EXPECT_STATUS(open_with(path, MAPFILE_CREATE, &file), MAPFILE_OK);
  EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  EXPECT_UINT(size, 5000);
  conf_close(file);
  EXPECT_STATUS(open_with(path, MAPFILE_WRITE | MAPFILE_TRUNCATE, &file), MAPFILE_OK);
  EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  EXPECT_UINT(size, 0);
  EXPECT_UINT(conf_file_size(path), 0);
  conf_close(file);
}

/* Refusing must not have happened after the damage. */
static void empty_refused(void) {
  const char *path = conf_make("kept", 3000);
  mapfile *file = NULL;
  EXPECT_STATUS(open_with(path, MAPFILE_CREATE | MAPFILE_EXCLUSIVE | MAPFILE_TRUNCATE, &file), MAPFILE_EXISTS);
  EXPECT_STATUS(open_with(path, MAPFILE_TRUNCATE, &file), MAPFILE_INVALID);
  EXPECT_STATUS(open_with(path, MAPFILE_EXCLUSIVE, &file), MAPFILE_INVALID);
  EXPECT_STATUS(open_with(path, MAPFILE_ADOPT, &file), MAPFILE_INVALID);
  EXPECT(file == NULL);
  EXPECT_UINT(conf_file_size(path), 3000);
}

/* open-names */

static void open_named(const char *name) {
  mapfile *file = NULL;
  mapfile_view view = MAPFILE_VIEW_INIT;
  const char *path = conf_make(name, 300);
  EXPECT_STATUS(open_with(path, 0, &file), MAPFILE_OK);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT_UINT(view.length, 300);
  EXPECT(conf_is_pattern(view.data, 300, 0));
  conf_unpin(&view);
  conf_close(file);
  /* And made by the library under this name. */
  char other[512];
  snprintf(other, sizeof other, "%s+", name);
  EXPECT_STATUS(open_with(conf_path(other), MAPFILE_CREATE | MAPFILE_EXCLUSIVE, &file), MAPFILE_OK);
  conf_close(file);
  EXPECT_UINT(conf_file_size(conf_path(other)), 0);
}

static void utf8_names(void) {
  open_named("na\xc3\xafve");
  open_named("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e");
  open_named("\xf0\x9f\x98\x80 and spaces");
  /* The same letters composed and decomposed. */
  open_named("\xc3\xa9t\xc3\xa9");
  open_named("e\xcc\x81te\xcc\x81");
}

static void odd_names(void) {
  for (const char *const *name = conf_odd_names; *name != NULL; name++)
    open_named(*name);
}

static void missing_names(void) {
  mapfile *file = NULL;
  conf_make("file", 10);
  EXPECT_STATUS(open_with(conf_path("absent"), 0, &file), MAPFILE_NOT_FOUND);
  EXPECT(mapfile_native_error() != 0);
  EXPECT_STATUS(open_with(conf_path("absent/file"), 0, &file), MAPFILE_NOT_FOUND);
  EXPECT_STATUS(open_with(conf_path("absent/file"), MAPFILE_CREATE, &file), MAPFILE_NOT_FOUND);
  EXPECT_STATUS(open_with(conf_path("file/inside"), 0, &file), MAPFILE_NOT_FOUND);
  EXPECT_STATUS(open_with("", 0, &file), MAPFILE_INVALID);
  EXPECT(file == NULL);
}

static const conf_case table[] = {
    {"open-empty", "views", "An empty file cannot be opened or pinned like any other.", CONF_ANY, CONF_NO_FAULTS,
     empty_views},
    {"open-empty", "operations", "Reading, searching or scanning an empty file goes wrong.", CONF_ANY, CONF_NO_FAULTS,
     empty_operations},
    {"open-empty", "grows", "A file that was empty when it was opened cannot be used after it has grown.", CONF_ANY,
     CONF_NO_FAULTS, empty_grows},
    {"open-empty", "created", "Creating, or emptying, a file on opening does not do what was asked.", CONF_ANY,
     CONF_NO_FAULTS, empty_created},
    {"open-empty", "refused", "A call that is refused can still empty the file.", CONF_ANY, CONF_NO_FAULTS,
     empty_refused},
    {"open-names", "utf8", "Files with names outside ASCII cannot be opened.", CONF_ANY, CONF_NO_FAULTS, utf8_names},
    {"open-names", "odd", "Files with unusual characters in their names cannot be opened.", CONF_ANY, CONF_NO_FAULTS,
     odd_names},
    {"open-names", "missing", "A missing file is reported as something else.", CONF_ANY, CONF_NO_FAULTS, missing_names},
};

CONF_GROUP(conf_opening, "opening");
