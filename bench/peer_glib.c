/*
 * GLib's GMappedFile, for comparison.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"

#include <glib.h>

const char *peer_glib_open(struct sample *sample) {
  const struct material *material = sample->context;
  for (uint64_t i = 0; i < sample->count; i++) {
    GMappedFile *file = g_mapped_file_new(material->path, FALSE, NULL);
    if (file == NULL) {
      return "g_mapped_file_new failed";
    }
    uint64_t sum = sum_bytes(g_mapped_file_get_contents(file), g_mapped_file_get_length(file));
    g_mapped_file_unref(file);
    if (sum != material->sum) {
      return "wrong sum";
    }
  }
  return NULL;
}
