/*
 * cxx.cpp - the library from C++: exceptions around zero-fill scopes and out of MAPFILE_TRY blocks.
 *
 * SPDX-License-Identifier: MIT
 *
 * Needs no Check: prints what it does, exits with 0 or 1.
 */
#include "mapfile.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

std::size_t page;
int failures;

void need(bool condition, const char *what, int line) {
  if (!condition) {
    std::fprintf(stderr, "cxx.cpp:%d: not so: %s\n", line, what);
    failures++;
  }
}
#define NEED(condition) need((condition), #condition, __LINE__)

/* A file of six pages of 'x', the last three of which fail. */
class Damaged {
public:
  Damaged(std::uint32_t access, std::uint32_t pin_flags) {
    const char *folder = std::getenv("TMPDIR");
    std::string path = std::string(folder != nullptr && *folder != '\0' ? folder : "/tmp") + "/mapfile-cxx-XXXXXX";
    std::vector<char> bytes(6 * page, 'x');
    int descriptor = mkstemp(&path[0]);
    if (descriptor < 0 || write(descriptor, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error("no file can be made");
    unlink(path.c_str());
    mapfile_options options = MAPFILE_OPTIONS_INIT;
    options.flags = MAPFILE_ADOPT;
    options.access = access;
    NEED(mapfile_open_handle(descriptor, &options, &file) == MAPFILE_OK);
    NEED(mapfile_inject(file, 3 * page, MAPFILE_TO_END, MAPFILE_IO) == MAPFILE_OK);
    NEED(mapfile_pin(file, 0, MAPFILE_TO_END, pin_flags, &view) == MAPFILE_OK);
  }
  ~Damaged() {
    mapfile_status status = mapfile_unpin(&view);
    NEED(status == (expect_filled ? MAPFILE_UNKNOWN : MAPFILE_OK));
    NEED(mapfile_close(file) == MAPFILE_OK);
  }
  Damaged(const Damaged &) = delete;
  Damaged &operator=(const Damaged &) = delete;

  const char *bytes() const {
    return static_cast<const char *>(view.data);
  }

  mapfile *file = nullptr;
  mapfile_view view = MAPFILE_VIEW_INIT;
  bool expect_filled = false;
};

/* A zero-fill scope that ends with its block, also by an exception. */
class ZeroFill {
public:
  ZeroFill(Damaged &of, mapfile_status &ended) : result(ended) {
    MAPFILE_SCOPE_INIT(&scope);
    NEED(mapfile_scope_begin(&scope, of.file, &of.view) == MAPFILE_OK);
  }
  ~ZeroFill() {
    result = mapfile_scope_end(&scope, nullptr);
  }
  ZeroFill(const ZeroFill &) = delete;
  ZeroFill &operator=(const ZeroFill &) = delete;

private:
  mapfile_scope scope;
  mapfile_status &result;
};

volatile char sink;

__attribute__((noinline)) void touch(const char *at) {
  sink = *static_cast<const volatile char *>(at);
}

struct Counted {
  explicit Counted(int &count) : alive(count) {
    alive++;
  }
  ~Counted() {
    alive--;
  }
  Counted(const Counted &) = delete;
  Counted &operator=(const Counted &) = delete;
  int &alive;
};

/* Locks are let go and destructors run: nothing is jumped over. */
void zero_fill_and_exceptions(std::uint32_t access) {
  Damaged one(access, MAPFILE_ZERO_FILL);
  std::mutex lock;
  int alive = 0, caught = 0;
  one.expect_filled = true;
  for (int round = 0; round < 20; round++) {
    mapfile_status result = MAPFILE_OK;
    try {
      ZeroFill scope(one, result);
      std::lock_guard<std::mutex> held(lock);
      Counted here(alive);
      std::string copy(one.bytes() + 3 * page - 10, 20);
      NEED(copy == std::string(10, 'x') + std::string(10, '\0'));
      if (round % 2 == 0)
        throw std::runtime_error(copy);
    } catch (const std::runtime_error &) {
      caught++;
    }
    NEED(result == MAPFILE_UNKNOWN);
    NEED(alive == 0);
    NEED(lock.try_lock());
    lock.unlock();
  }
  NEED(caught == 10);
}

#ifdef MAPFILE_TRY
__attribute__((noinline)) void throw_within(Damaged &one, mapfile_fault &fault) {
  MAPFILE_TRY(one.file, &one.view, &fault) {
    touch(one.bytes());
    throw 42;
  }
  MAPFILE_CATCH {
    NEED(fault.status == MAPFILE_OK);
  }
  MAPFILE_END_TRY
}

__attribute__((noinline)) int touch_within(Damaged &one, mapfile_fault &fault, const char *at) {
  volatile int way = 0;
  MAPFILE_TRY(one.file, nullptr, &fault) {
    try {
      mapfile_fault inner = MAPFILE_FAULT_INIT;
      throw_within(one, inner);
    } catch (int number) {
      way = number;
    }
    touch(at);
    way = way + 1000;
  }
  MAPFILE_CATCH {
    way = way + 1;
  }
  MAPFILE_END_TRY
  return way;
}

__attribute__((noinline)) void throw_from_catch(Damaged &one, mapfile_fault &fault) {
  MAPFILE_TRY(one.file, &one.view, &fault) {
    touch(one.bytes() + 3 * page + 7);
  }
  MAPFILE_CATCH {
    throw std::runtime_error(mapfile_strerror(mapfile_fault_explain(&fault)));
  }
  MAPFILE_END_TRY
}

/* A block left by an exception is no longer armed: the fault after it belongs to the block around. */
void try_and_exceptions(std::uint32_t access) {
  Damaged one(access, MAPFILE_ANY);
  for (int round = 0; round < 20; round++) {
    mapfile_fault fault = MAPFILE_FAULT_INIT;
    NEED(touch_within(one, fault, one.bytes() + 4 * page) == 42 + 1);
    NEED(fault.offset == 4 * page);
    NEED(touch_within(one, fault, one.bytes()) == 42 + 1000);
    try {
      throw_from_catch(one, fault);
      failures++;
    } catch (const std::runtime_error &error) {
      NEED(std::string(error.what()) == mapfile_strerror(MAPFILE_IO));
    }
    NEED(fault.offset == 3 * page + 7);
  }
}
#endif

mapfile_status MAPFILE_CALL add_up(void *argument) {
  const Damaged *one = static_cast<const Damaged *>(argument);
  unsigned sum = 0;
  for (std::size_t i = 0; i < 6 * page; i++)
    sum += static_cast<unsigned char>(one->bytes()[i]);
  sink = static_cast<char>(sum);
  return MAPFILE_OK;
}

void callbacks_in_threads(std::uint32_t access) {
  Damaged one(access, MAPFILE_ANY);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++)
    threads.emplace_back([&one] {
      for (int round = 0; round < 50; round++) {
        mapfile_fault fault = MAPFILE_FAULT_INIT;
        if (mapfile_try(one.file, &one.view, add_up, &one, &fault) != MAPFILE_UNKNOWN || fault.offset / page != 3)
          std::abort();
      }
    });
  for (std::thread &thread : threads)
    thread.join();
}

} // namespace

int main() {
  page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  alarm(60);
  for (std::uint32_t access = MAPFILE_ACCESS_MAPPED; access <= MAPFILE_ACCESS_COPIED; access++) {
    zero_fill_and_exceptions(access);
#ifdef MAPFILE_TRY
    try_and_exceptions(access);
#endif
    callbacks_in_threads(access);
    std::printf("access %s: %s\n", access == MAPFILE_ACCESS_MAPPED ? "mapped" : "copied",
                failures == 0 ? "ok" : "BROKEN");
  }
  return failures == 0 ? 0 : 1;
}
