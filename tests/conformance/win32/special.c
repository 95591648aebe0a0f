/*
 * special.c - opening on Windows: what is no plain file, streams, and handles that the program brings.
 *
 * SPDX-License-Identifier: MIT
 */
#include "win32.h"

#include <stdlib.h>
#include <string.h>

static mapfile_options options_for(uint32_t flags) {
  mapfile_options options = MAPFILE_OPTIONS_INIT;
  options.flags = flags;
  options.access = conf_access;
  return options;
}

static mapfile_status open_path(const char *path, uint32_t flags, mapfile **file) {
  mapfile_options options = options_for(flags);
  return mapfile_open(path, &options, file);
}

static mapfile_status open_handle(HANDLE handle, uint32_t flags, mapfile **file) {
  mapfile_options options = options_for(flags);
  return mapfile_open_handle((intptr_t)handle, &options, file);
}

static bool is_open(HANDLE handle) {
  DWORD flags;
  return GetHandleInformation(handle, &flags);
}

/* Neither the path nor a handle of it opens, and nothing stays behind. */
static void expect_refused(const char *path, HANDLE handle, uint32_t flags) {
  mapfile *file = NULL;
  uint64_t before = conf_descriptors();
  if (path != NULL)
    EXPECT_STATUS(open_path(path, flags, &file), MAPFILE_UNSUPPORTED);
  if (handle != NULL) {
    EXPECT_STATUS(open_handle(handle, flags, &file), MAPFILE_UNSUPPORTED);
    EXPECT(is_open(handle));
  }
  EXPECT(file == NULL);
  EXPECT_UINT(conf_descriptors(), before);
}

/* open-special */

static void folders(void) {
  const char *path = conf_path("folder");
  wchar_t *name = conf_wide(path);
  EXPECT(CreateDirectoryW(name, NULL));
  HANDLE handle = conf_native_open(path, GENERIC_READ, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS);
  EXPECT(handle != INVALID_HANDLE_VALUE);
  /* The first refusal may prepare the thread. */
  mapfile *file = NULL;
  EXPECT_STATUS(open_path(path, 0, &file), MAPFILE_UNSUPPORTED);
  expect_refused(path, handle, 0);
  expect_refused(path, NULL, MAPFILE_WRITE);
  expect_refused(path, NULL, MAPFILE_CREATE);
  expect_refused(path, handle, MAPFILE_STREAM);
  expect_refused(conf_path("folder/"), NULL, 0);
  expect_refused(conf_path("folder\\"), NULL, 0);
  expect_refused(conf_path("."), NULL, 0);
  expect_refused("\\", NULL, 0);
  CloseHandle(handle);
  free(name);
}

static void devices(void) {
  static const char *const paths[] = {"NUL", "nul", "CON", "CONIN$", "CONOUT$", "\\\\.\\NUL", "//./nul", "AUX"};
  for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
    for (uint32_t flags = 0; flags <= MAPFILE_STREAM; flags += MAPFILE_STREAM)
      expect_refused(paths[i], NULL, flags);
  HANDLE null = CreateFileW(L"NUL", GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
  EXPECT(null != INVALID_HANDLE_VALUE);
  expect_refused(NULL, null, 0);
  expect_refused(NULL, null, MAPFILE_STREAM);
  CloseHandle(null);
}

/* Handles of other things than files: a section of a file, too, which looks like one to some calls. */
static void objects(void) {
  HANDLE file = conf_native_open(conf_make("file", 5000), GENERIC_READ, OPEN_EXISTING, 0);
  HANDLE event = CreateEventW(NULL, TRUE, FALSE, NULL), mutex = CreateMutexW(NULL, FALSE, NULL);
  HANDLE section = CreateFileMappingW(file, NULL, PAGE_READONLY, 0, 0, NULL), process = NULL;
  EXPECT(DuplicateHandle(GetCurrentProcess(), GetCurrentProcess(), GetCurrentProcess(), &process, 0, FALSE,
                         DUPLICATE_SAME_ACCESS));
  EXPECT(event != NULL && mutex != NULL && section != NULL);
  const HANDLE all[] = {event, mutex, section, process};
  for (int i = 0; i < 4; i++) {
    expect_refused(NULL, all[i], 0);
    expect_refused(NULL, all[i], MAPFILE_STREAM);
    CloseHandle(all[i]);
  }
  CloseHandle(file);
}

/* Streams */

enum { STREAM_SIZE = 200001, PIECE = 7001 };

static void feed(void *argument) {
  intptr_t handle = (intptr_t)argument;
  unsigned char piece[PIECE];
  for (uint64_t done = 0; done < STREAM_SIZE;) {
    size_t now = STREAM_SIZE - done < PIECE ? (size_t)(STREAM_SIZE - done) : PIECE;
    conf_pattern(piece, now, done);
    EXPECT(conf_handle_write(handle, piece, now) == (int64_t)now);
    done += now;
    conf_sleep_ms(done % 3 == 0);
  }
  conf_handle_close(handle);
}

static void expect_stream(mapfile *file) {
  mapfile_view view = MAPFILE_VIEW_INIT, part = MAPFILE_VIEW_INIT;
  unsigned char bytes[100];
  uint64_t size = 0;
  size_t done = 0;
  EXPECT_STATUS(mapfile_size(file, &size), MAPFILE_OK);
  EXPECT_UINT(size, STREAM_SIZE);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT_UINT(view.length, STREAM_SIZE);
  EXPECT_UINT(view.kind, MAPFILE_KIND_COPIED);
  EXPECT(conf_is_pattern(view.data, view.length, 0));
  conf_pin(file, 77777, 1234, MAPFILE_ANY, &part);
  EXPECT(conf_is_pattern(part.data, part.length, 77777));
  EXPECT_STATUS(mapfile_read(file, 1001, bytes, sizeof bytes, &done), MAPFILE_OK);
  EXPECT(conf_is_pattern(bytes, sizeof bytes, 1001));
  EXPECT_STATUS(mapfile_check(file), MAPFILE_OK);
  conf_expect_good(file, &part, part.data);
  conf_unpin(&view);
  EXPECT_STATUS(mapfile_pin(file, 0, 1, MAPFILE_LIVE, &view), MAPFILE_UNSUPPORTED);
  EXPECT_STATUS(mapfile_pin(file, 0, STREAM_SIZE + 1, MAPFILE_ANY, &view), MAPFILE_END);
  conf_unpin(&part);
}

static void read_whole(HANDLE reading, HANDLE writing) {
  mapfile *file = NULL;
  conf_thread thread;
  EXPECT_STATUS(open_handle(reading, 0, &file), MAPFILE_UNSUPPORTED);
  conf_thread_start(&thread, feed, writing, 0);
  EXPECT_STATUS(open_handle(reading, MAPFILE_STREAM, &file), MAPFILE_OK);
  conf_thread_join(&thread);
  expect_stream(file);
  conf_close(file);
  EXPECT(is_open(reading));
  CloseHandle(reading);
}

static void pipe_stream(void) {
  intptr_t ends[2];
  conf_pipe(ends);
  read_whole((HANDLE)ends[0], (HANDLE)ends[1]);
}

/* Named pipes whose ends were opened for overlapped access, as bytes and as messages. */
static void pipe_stream_overlapped(void) {
  static const DWORD modes[] = {PIPE_TYPE_BYTE | PIPE_READMODE_BYTE, PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE};
  for (int i = 0; i < 2; i++) {
    char name[128];
    snprintf(name, sizeof name, "\\\\.\\pipe\\mapfile-conformance-%lu-%d", GetCurrentProcessId(), i);
    wchar_t *units = conf_units(name);
    HANDLE reading = CreateNamedPipeW(units, PIPE_ACCESS_INBOUND | FILE_FLAG_OVERLAPPED, modes[i] | PIPE_WAIT, 1, 4096,
                                      4096, 0, NULL);
    EXPECT(reading != INVALID_HANDLE_VALUE);
    HANDLE writing = CreateFileW(units, GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    EXPECT(writing != INVALID_HANDLE_VALUE);
    read_whole(reading, writing);
    free(units);
  }
}

/* A pipe's name is no file's: it is not even connected to. */
static void pipe_name(void) {
  char name[128];
  mapfile *file = NULL;
  snprintf(name, sizeof name, "\\\\.\\pipe\\mapfile-conformance-%lu", GetCurrentProcessId());
  wchar_t *units = conf_units(name);
  HANDLE server = CreateNamedPipeW(units, PIPE_ACCESS_DUPLEX, PIPE_TYPE_BYTE | PIPE_NOWAIT, 1, 4096, 4096, 0, NULL);
  EXPECT(server != INVALID_HANDLE_VALUE);
  EXPECT_STATUS(open_path(name, 0, &file), MAPFILE_UNSUPPORTED);
  EXPECT_STATUS(open_path(name, MAPFILE_WRITE, &file), MAPFILE_UNSUPPORTED);
  EXPECT(!ConnectNamedPipe(server, NULL) && GetLastError() == ERROR_PIPE_LISTENING);
  CloseHandle(server);
  free(units);
}

static mapfile_status open_stream_of(size_t size, uint64_t limit, mapfile **file) {
  mapfile_options options = options_for(MAPFILE_STREAM);
  unsigned char bytes[2000];
  intptr_t ends[2];
  conf_pipe(ends);
  conf_pattern(bytes, size, 0);
  EXPECT(conf_handle_write(ends[1], bytes, size) == (int64_t)size);
  conf_handle_close(ends[1]);
  options.stream_limit = limit;
  mapfile_status status = mapfile_open_handle(ends[0], &options, file);
  conf_handle_close(ends[0]);
  return status;
}

static void stream_limit(void) {
  mapfile *file = NULL;
  mapfile_view view = MAPFILE_VIEW_INIT;
  uint64_t before = conf_stats(NULL).copied_bytes;
  EXPECT_STATUS(open_stream_of(1001, 1000, &file), MAPFILE_LIMIT);
  EXPECT(file == NULL);
  EXPECT_STATUS(open_stream_of(1000, 1000, &file), MAPFILE_OK);
  conf_pin(file, 0, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT_UINT(view.length, 1000);
  EXPECT(conf_is_pattern(view.data, 1000, 0));
  conf_unpin(&view);
  conf_close(file);
  EXPECT_UINT(conf_stats(NULL).copied_bytes, before);
}

/* STREAM on a file that has a size changes nothing for the caller. */
static void plain_stream(void) {
  mapfile *file = NULL;
  mapfile_view view = MAPFILE_VIEW_INIT;
  EXPECT_STATUS(open_path(conf_make("plain", 70000), MAPFILE_STREAM, &file), MAPFILE_OK);
  conf_pin(file, 1, MAPFILE_TO_END, MAPFILE_ANY, &view);
  EXPECT_UINT(view.length, 69999);
  EXPECT(conf_is_pattern(view.data, view.length, 1));
  conf_unpin(&view);
  conf_close(file);
}

/* open-handle */

static mapfile_status MAPFILE_CALL ignore_chunk(void *argument, const void *data, size_t length, uint64_t offset) {
  (void)argument, (void)data, (void)length, (void)offset;
  return MAPFILE_OK;
}

/* Everything that reads a mapfile, once. */
static void use_in_every_way(mapfile *file, uint64_t size) {
  mapfile_view view = MAPFILE_VIEW_INIT;
  static unsigned char buffer[300000];
  uint64_t found = 0, reach = 0;
  int order = 0;
  size_t done = 0;
  static const uint32_t flags[] = {MAPFILE_ANY, MAPFILE_COPY, MAPFILE_VERIFY, MAPFILE_PRIVATE};
  for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
    conf_pin(file, 100, MAPFILE_TO_END, flags[i], &view);
    conf_expect_good(file, &view, view.data);
    EXPECT(conf_is_pattern(view.data, view.length, 100));
    conf_unpin(&view);
  }
  EXPECT_STATUS(mapfile_read(file, 10, buffer, (size_t)size - 10, &done), MAPFILE_OK);
  EXPECT(conf_is_pattern(buffer, (size_t)size - 10, 10));
  EXPECT_STATUS(mapfile_compare(file, 10, buffer, (size_t)size - 10, &order, &done), MAPFILE_OK);
  EXPECT(order == 0);
  EXPECT_STATUS(mapfile_find(file, 0, MAPFILE_TO_END, buffer + size - 110, 100, &found, &reach), MAPFILE_OK);
  EXPECT_STATUS(mapfile_scan(file, 0, MAPFILE_TO_END, 0, MAPFILE_SCAN_ONCE, ignore_chunk, NULL, &reach), MAPFILE_OK);
  EXPECT_STATUS(mapfile_scan(file, 0, MAPFILE_TO_END, 0, MAPFILE_SCAN_COPY, ignore_chunk, NULL, &reach), MAPFILE_OK);
  intptr_t sink = conf_handle_open(conf_path("sink"), CONF_WRITE | CONF_ANEW);
  EXPECT_STATUS(mapfile_send(file, 0, MAPFILE_TO_END, sink, &reach), MAPFILE_OK);
  conf_handle_close(sink);
  mapfile_check(file);
}

static void set_position(HANDLE handle, uint64_t to) {
  LARGE_INTEGER position = {.QuadPart = (LONGLONG)to};
  EXPECT(SetFilePointerEx(handle, position, NULL, FILE_BEGIN));
}

/* Never closed, its position where it was. */
static void borrowed(void) {
  enum { SIZE = 250000 };
  mapfile *file = NULL;
  HANDLE handle = conf_native_open(conf_make("file", SIZE), GENERIC_READ, OPEN_EXISTING, 0);
  set_position(handle, 4321);
  for (int i = 0; i < 3; i++) {
    uint64_t before = i == 0 ? UINT64_MAX : conf_descriptors();
    EXPECT_STATUS(open_handle(handle, 0, &file), MAPFILE_OK);
    use_in_every_way(file, SIZE);
    EXPECT_UINT(conf_handle_position((intptr_t)handle), 4321);
    conf_close(file);
    EXPECT(is_open(handle));
    EXPECT_UINT(conf_handle_position((intptr_t)handle), 4321);
    EXPECT(conf_descriptors() <= before);
  }
  unsigned char byte = 0;
  EXPECT(conf_handle_read((intptr_t)handle, &byte, 1) == 1);
  EXPECT_UINT(byte, conf_byte(4321));
  CloseHandle(handle);
}

/* One that was opened for overlapped access, with reading of the program's own under way. */
static void borrowed_overlapped(void) {
  enum { SIZE = 250000 };
  static unsigned char buffer[100000];
  mapfile *file = NULL;
  OVERLAPPED at;
  DWORD got = 0;
  HANDLE handle = conf_native_open(conf_make("file", SIZE), GENERIC_READ, OPEN_EXISTING, FILE_FLAG_OVERLAPPED);
  memset(&at, 0, sizeof at);
  at.Offset = 50;
  at.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
  EXPECT_STATUS(open_handle(handle, 0, &file), MAPFILE_OK);
  for (int i = 0; i < 20; i++) {
    EXPECT(ReadFile(handle, buffer, sizeof buffer, NULL, &at) || GetLastError() == ERROR_IO_PENDING);
    use_in_every_way(file, SIZE);
    EXPECT(GetOverlappedResult(handle, &at, &got, TRUE));
    EXPECT_UINT(got, sizeof buffer);
    EXPECT(conf_is_pattern(buffer, sizeof buffer, 50));
  }
  conf_close(file);
  CloseHandle(at.hEvent);
  CloseHandle(handle);
}

/* The name means another file by the time the handle is given away: it is the handle's file that counts. */
static void borrowed_renamed(void) {
  mapfile *file = NULL;
  const char *path = conf_make("file", 100000);
  HANDLE handle = conf_native_open(path, GENERIC_READ, OPEN_EXISTING, 0);
  set_position(handle, 99);
  EXPECT(conf_rename(path, conf_path("moved")));
  conf_make_bytes("file", "another file", 12);
  mapfile_status status = open_handle(handle, 0, &file);
  /* Systems that open a handle's file anew by its name cannot do it here; that must be told. */
  EXPECT_ONE_OF(status, MAPFILE_OK, MAPFILE_UNSUPPORTED);
  if (status == MAPFILE_OK) {
    use_in_every_way(file, 100000);
    conf_close(file);
  }
  EXPECT_UINT(conf_handle_position((intptr_t)handle), 99);
  /* And while it is open. */
  EXPECT(conf_remove(path) && conf_rename(conf_path("moved"), path));
  EXPECT_STATUS(open_handle(handle, 0, &file), MAPFILE_OK);
  EXPECT(conf_rename(path, conf_path("moved")));
  conf_make_bytes("file", "another file", 12);
  use_in_every_way(file, 100000);
  conf_close(file);
  CloseHandle(handle);
}

/* Nobody else may open the file, the library neither: it has only the handle that it was lent. */
static void borrowed_unshared(void) {
  mapfile *file = NULL;
  wchar_t *name = conf_wide(conf_make("file", 100000));
  HANDLE handle = CreateFileW(name, GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
  EXPECT(handle != INVALID_HANDLE_VALUE);
  set_position(handle, 99);
  mapfile_status status = open_handle(handle, 0, &file);
  EXPECT_ONE_OF(status, MAPFILE_OK, MAPFILE_BUSY);
  if (status == MAPFILE_OK) {
    use_in_every_way(file, 100000);
    conf_close(file);
  }
  EXPECT(is_open(handle));
  EXPECT_UINT(conf_handle_position((intptr_t)handle), 99);
  CloseHandle(handle);
  free(name);
}

static void adopted(void) {
  mapfile *file = NULL;
  const char *path = conf_make("file", 100000);
  conf_close(conf_open(path, 0));
  HANDLE handle = conf_native_open(path, GENERIC_READ, OPEN_EXISTING, 0);
  EXPECT_STATUS(open_handle(handle, MAPFILE_ADOPT, &file), MAPFILE_OK);
  use_in_every_way(file, 100000);
  mapfile_view view = MAPFILE_VIEW_INIT;
  conf_pin(file, 0, 10, MAPFILE_ANY, &view);
  EXPECT_STATUS(mapfile_close(file), MAPFILE_BUSY);
  EXPECT(is_open(handle));
  conf_unpin(&view);
  conf_close(file);
  EXPECT(!is_open(handle));
}

static void expect_adoption_fails(HANDLE handle, mapfile_options options, mapfile_status wanted) {
  mapfile *file = NULL;
  EXPECT(handle != NULL && handle != INVALID_HANDLE_VALUE);
  options.flags |= MAPFILE_ADOPT;
  EXPECT_STATUS(mapfile_open_handle((intptr_t)handle, &options, &file), wanted);
  EXPECT(file == NULL);
  EXPECT(!is_open(handle));
}

static HANDLE open_for(const char *path, DWORD access) {
  return conf_native_open(path, access, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS);
}

/* Who adopts closes, also when nothing comes of it. */
static void adopted_and_failed(void) {
  const DWORD both = GENERIC_READ | GENERIC_WRITE;
  const char *path = conf_make("file", 100);
  mapfile_options options = options_for(0);
  intptr_t ends[2];
  conf_close(conf_open(path, 0));
  uint64_t before = conf_descriptors();
  conf_pipe(ends);
  expect_adoption_fails((HANDLE)ends[0], options, MAPFILE_UNSUPPORTED);
  conf_handle_close(ends[1]);
  expect_adoption_fails(open_for(conf_path("."), GENERIC_READ), options, MAPFILE_UNSUPPORTED);
  expect_adoption_fails(CreateEventW(NULL, TRUE, FALSE, NULL), options, MAPFILE_UNSUPPORTED);
  expect_adoption_fails(open_for(path, GENERIC_WRITE), options, MAPFILE_DENIED);
  expect_adoption_fails(open_for(path, GENERIC_READ), options_for(MAPFILE_WRITE), MAPFILE_DENIED);
  expect_adoption_fails(open_for(path, both), options_for(MAPFILE_CREATE), MAPFILE_INVALID);
  expect_adoption_fails(open_for(path, both), options_for(MAPFILE_WRITE | MAPFILE_TRUNCATE), MAPFILE_INVALID);
  options.access = 77;
  expect_adoption_fails(open_for(path, GENERIC_READ), options, MAPFILE_INVALID);
  options = options_for(MAPFILE_ADOPT);
  HANDLE handle = open_for(path, GENERIC_READ);
  EXPECT_STATUS(mapfile_open_handle((intptr_t)handle, &options, NULL), MAPFILE_INVALID);
  EXPECT(!is_open(handle));
  EXPECT_UINT(conf_descriptors(), before);
}

/* Without ADOPT a failure leaves the handle alone. */
static void borrowed_and_failed(void) {
  const char *path = conf_make("file", 100);
  mapfile *file = NULL;
  HANDLE reading = open_for(path, GENERIC_READ), writing = open_for(path, GENERIC_WRITE);
  HANDLE bare = open_for(path, FILE_READ_ATTRIBUTES);
  EXPECT_STATUS(open_handle(reading, MAPFILE_WRITE, &file), MAPFILE_DENIED);
  EXPECT_STATUS(open_handle(writing, 0, &file), MAPFILE_DENIED);
  EXPECT_STATUS(open_handle(writing, MAPFILE_WRITE, &file), MAPFILE_DENIED);
  EXPECT_STATUS(open_handle(bare, 0, &file), MAPFILE_DENIED);
  EXPECT_STATUS(open_handle(reading, MAPFILE_CREATE, &file), MAPFILE_INVALID);
  EXPECT_STATUS(open_handle(reading, MAPFILE_WRITE | MAPFILE_TRUNCATE, &file), MAPFILE_INVALID);
  EXPECT_STATUS(open_handle(reading, MAPFILE_EXCLUSIVE, &file), MAPFILE_INVALID);
  EXPECT(is_open(reading) && is_open(writing) && is_open(bare));
  EXPECT_UINT(conf_file_size(path), 100);
  EXPECT(file == NULL);
  CloseHandle(reading);
  CloseHandle(writing);
  CloseHandle(bare);
}

static void no_handle(void) {
  mapfile *file = NULL;
  HANDLE closed = open_for(conf_make("file", 10), GENERIC_READ);
  CloseHandle(closed);
  EXPECT_STATUS(open_handle(NULL, 0, &file), MAPFILE_INVALID);
  EXPECT_STATUS(open_handle(INVALID_HANDLE_VALUE, 0, &file), MAPFILE_INVALID);
  EXPECT_STATUS(open_handle(closed, 0, &file), MAPFILE_INVALID);
  EXPECT_STATUS(open_handle(closed, MAPFILE_ADOPT, &file), MAPFILE_INVALID);
  EXPECT_STATUS(mapfile_open_handle(INTPTR_MIN, NULL, &file), MAPFILE_INVALID);
  /* These may stand for the process or the thread itself. */
  EXPECT_ONE_OF(mapfile_open_handle(INTPTR_MAX, NULL, &file), MAPFILE_INVALID, MAPFILE_UNSUPPORTED);
  EXPECT_ONE_OF(open_handle(GetCurrentThread(), 0, &file), MAPFILE_INVALID, MAPFILE_UNSUPPORTED);
  EXPECT(file == NULL);
}

/* Shared views through a handle that was given for both. */
static void writing_through(void) {
  const char *path = conf_make("file", 20000);
  for (uint32_t adopt = 0; adopt <= MAPFILE_ADOPT; adopt += MAPFILE_ADOPT) {
    mapfile *file = NULL;
    mapfile_view view = MAPFILE_VIEW_INIT;
    unsigned char bytes[5];
    HANDLE handle = open_for(path, GENERIC_READ | GENERIC_WRITE);
    EXPECT_STATUS(open_handle(handle, MAPFILE_WRITE | adopt, &file), MAPFILE_OK);
    conf_pin(file, 777, 9000, MAPFILE_SHARED, &view);
    memcpy((char *)view.data + 4000, adopt != 0 ? "other" : "store", 5);
    conf_read_bytes(path, 4777, bytes, 5);
    EXPECT(memcmp(bytes, adopt != 0 ? "other" : "store", 5) == 0);
    conf_unpin(&view);
    conf_close(file);
    EXPECT(is_open(handle) == (adopt == 0));
    if (adopt == 0)
      CloseHandle(handle);
  }
}

#define N CONF_NO_FAULTS

static const conf_case table[] = {
    {"open-special", "folder", "A folder is not refused cleanly.", CONF_ANY, N, folders},
    {"open-special", "device", "A device is not refused cleanly, or read without end.", CONF_ANY, N, devices},
    {"open-special", "objects", "What is no file is taken for one.", CONF_ANY, N, objects},
    {"open-special", "pipe-name", "Another program's pipe can be opened in place of a file.", CONF_ANY, N, pipe_name},
    {"open-special", "pipe-stream", "A pipe is not read whole.", CONF_ANY, N, pipe_stream},
    {"open-special", "pipe-stream-overlapped", "A pipe opened for overlapped access is not read whole.", CONF_ANY, N,
     pipe_stream_overlapped},
    {"open-special", "stream-limit", "A stream can take more memory than was allowed.", CONF_ANY, N, stream_limit},
    {"open-special", "plain-stream", "Plain files cannot be opened where streams may be given.", CONF_ANY, N,
     plain_stream},
    {"open-handle", "borrowed", "A borrowed handle is closed, or moved.", CONF_ANY, N, borrowed},
    {"open-handle", "borrowed-overlapped", "A borrowed handle's own reading is disturbed.", CONF_ANY, N,
     borrowed_overlapped},
    {"open-handle", "borrowed-renamed", "Another file is read than the handle's.", CONF_ANY, N, borrowed_renamed},
    {"open-handle", "borrowed-unshared", "A handle that shares nothing is not used, or not refused, cleanly.", CONF_ANY,
     N, borrowed_unshared},
    {"open-handle", "borrowed-and-failed", "A handle that was only lent is closed on failure.", CONF_ANY, N,
     borrowed_and_failed},
    {"open-handle", "adopted", "A handle that was given away leaks, or is closed too soon.", CONF_ANY, N, adopted},
    {"open-handle", "adopted-and-failed", "A handle that was given away leaks on failure.", CONF_ANY, N,
     adopted_and_failed},
    {"open-handle", "no-handle", "A handle that is not open is mistaken for another.", CONF_ANY, N, no_handle},
    {"open-handle", "writing", "A handle that was given for writing cannot be written through.", CONF_MAPPED, N,
     writing_through},
};

CONF_GROUP(conf_special, "opening on Windows");
