/*
 * hooks.c - reads what tests want to be taken for true. Part of no build but that for tests.
 *
 * SPDX-License-Identifier: MIT
 */
#include "internal.h"

#include <stdio.h>

static struct {
  bool small_host, separate_cache, old_delete;
  uint64_t failing_map; /* 0: none */
  bool and_all_after;
  atomic_uint_fast64_t maps;
} hooks;

static bool is_word(const char *text, size_t length, const char *word) {
  return length == strlen(word) && memcmp(text, word, length) == 0;
}

static bool take_failing_map(const char *text, size_t length) {
  static const char name[] = "fail-map=";
  char *end;
  if (strncmp(text, name, sizeof name - 1) != 0)
    return false;
  hooks.failing_map = strtoull(text + sizeof name - 1, &end, 10);
  hooks.and_all_after = *end == '+';
  return hooks.failing_map != 0 && end + hooks.and_all_after == text + length;
}

static bool take(const char *text, size_t length) {
  if (is_word(text, length, "small-host"))
    return hooks.small_host = true;
  if (is_word(text, length, "separate-cache"))
    return hooks.separate_cache = true;
  if (is_word(text, length, "old-delete"))
    return hooks.old_delete = true;
  return take_failing_map(text, length);
}

/* A word that is not known must not pass for a test that was made. */
void mf_hooks_begin(void) {
  const char *text = getenv("MAPFILE_TEST_HOOKS");
  while (text != NULL && *text != '\0') {
    size_t length = strcspn(text, ",");
    if (!take(text, length)) {
      fprintf(stderr, "MAPFILE_TEST_HOOKS: %.*s is not known\n", (int)length, text);
      abort();
    }
    text += length + (text[length] == ',');
  }
}

bool mf_hook_small_host(void) {
  return hooks.small_host;
}

bool mf_hook_separate_cache(void) {
  return hooks.separate_cache;
}

bool mf_hook_fails_map(void) {
  if (hooks.failing_map == 0)
    return false;
  uint64_t number = atomic_fetch_add(&hooks.maps, 1) + 1;
  return hooks.and_all_after ? number >= hooks.failing_map : number == hooks.failing_map;
}

bool mf_hook_old_delete(void) {
  return hooks.old_delete;
}
