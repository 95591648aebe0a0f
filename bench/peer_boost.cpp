/*
 * Boost.Interprocess's mapped_region, for comparison.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"

#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>

extern "C" const char *peer_boost_open(struct sample *sample) {
  namespace ipc = boost::interprocess;
  const material *file = static_cast<const material *>(sample->context);
  try {
    for (uint64_t i = 0; i < sample->count; i++) {
      ipc::file_mapping mapping(file->path, ipc::read_only);
      ipc::mapped_region region(mapping, ipc::read_only);
      if (sum_bytes(region.get_address(), region.get_size()) != file->sum) {
        return "wrong sum";
      }
    }
  } catch (const ipc::interprocess_exception &) {
    return "mapped_region failed";
  }
  return nullptr;
}
