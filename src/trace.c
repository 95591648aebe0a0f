/*
 * trace.c - tells the program what the library does.
 *
 * SPDX-License-Identifier: MIT
 */
#include "internal.h"

mapfile_trace mf_trace_hook;
static void *trace_argument;

void MAPFILE_CALL mapfile_set_trace(mapfile_trace trace, void *argument) {
  trace_argument = argument;
  mf_trace_hook = trace;
}

void mf_trace_call(uint32_t kind, mapfile *file, uint64_t offset, uint64_t length, mapfile_status status) {
  mapfile_event event = {
      .size = (uint32_t)sizeof event,
      .kind = kind,
      .file = file,
      .offset = offset,
      .length = length,
      .status = status,
      .native_error = status == MAPFILE_OK ? 0 : mapfile_native_error(),
  };
  mf_trace_hook(trace_argument, &event);
}
