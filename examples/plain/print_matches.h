/*
 * What read_search and mmap_search share: the search in memory and the printing. Both are done as examples/search does
 * them, so that scripts/demo compares only the ways of getting at the bytes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PRINT_MATCHES_H
#define PRINT_MATCHES_H

#include <stdio.h>
#include <string.h>

static size_t rarest_byte(const char *pattern, size_t length) {
  static const char common[] = " etaoinsrhldcumfpg_ywbv.,-0/1kx2\"=()T";
  size_t best = 0, best_rank = 0;
  for (size_t i = 0; i < length; i++) {
    const char *found = memchr(common, pattern[i], sizeof common - 1);
    size_t rank = found != NULL ? (size_t)(found - common) : sizeof common;
    if (rank > best_rank) {
      best = i;
      best_rank = rank;
    }
  }
  return best;
}

static const char *find_in_memory(const char *data, size_t length, const char *pattern, size_t pattern_length) {
  size_t rare = rarest_byte(pattern, pattern_length);

  if (length < pattern_length)
    return NULL;
  const char *at = data + rare;
  const char *end = at + (length - pattern_length) + 1;
  while (at < end && (at = memchr(at, pattern[rare], (size_t)(end - at))) != NULL) {
    if (memcmp(at - rare, pattern, pattern_length) == 0)
      return at - rare;
    at++;
  }
  return NULL;
}

/* Print the offset of the first match, or of all, or -1. Returns the program's exit status. */
static int print_matches(const char *data, size_t length, const char *pattern, int all) {
  size_t pattern_length = strlen(pattern), at = 0, matches = 0;
  const char *found;

  while (at < length && (found = find_in_memory(data + at, length - at, pattern, pattern_length)) != NULL) {
    printf("%zu\n", (size_t)(found - data));
    at = (size_t)(found - data) + pattern_length;
    matches++;
    if (!all)
      break;
  }
  if (matches == 0)
    puts("-1");
  return matches == 0;
}

#endif
