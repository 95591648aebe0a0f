/*
 * The library's own search for bytes, against the plainest one: every needle and text over two letters up to some
 * length, then random ones that repeat themselves.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../../src/internal.h"

/* The library's own, also where the C library has one. */
#undef HAVE_MEMMEM
#include "../../src/bytes.c"

#include <stdio.h>

static unsigned long compared, wrong;

static const unsigned char *plainest(const unsigned char *data, size_t length, const unsigned char *needle,
                                     size_t needle_length) {
  for (size_t at = 0; at + needle_length <= length; at++)
    if (memcmp(data + at, needle, needle_length) == 0)
      return data + at;
  return NULL;
}

static void compare(const unsigned char *data, size_t length, const unsigned char *needle, size_t needle_length) {
  compared++;
  if (mf_find_bytes(data, length, needle, needle_length) == plainest(data, length, needle, needle_length))
    return;
  if (wrong++ == 0)
    printf("wrong: needle %.*s in %.*s\n", (int)needle_length, (const char *)needle, (int)length, (const char *)data);
}

static void letters(unsigned number, size_t length, unsigned char *text) {
  for (size_t i = 0; i < length; i++)
    text[i] = (number >> i & 1) != 0 ? 'b' : 'a';
}

static void every_short_one(void) {
  enum { LONGEST_NEEDLE = 7, LONGEST_TEXT = 12 };
  unsigned char needle[LONGEST_NEEDLE], text[LONGEST_TEXT];
  for (size_t needle_length = 0; needle_length <= LONGEST_NEEDLE; needle_length++)
    for (unsigned n = 0; n < 1u << needle_length; n++)
      for (unsigned t = 0; t < 1u << LONGEST_TEXT; t++) {
        letters(n, needle_length, needle);
        letters(t, LONGEST_TEXT, text);
        compare(text, LONGEST_TEXT, needle, needle_length);
      }
}

static unsigned random_below(unsigned limit) {
  static uint32_t state = 0x2545f491;
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state % limit;
}

/* A piece repeated with a mistake here and there: what two-way searching finds hardest. */
static void repeat(unsigned char *text, size_t length) {
  size_t piece = 1 + random_below(9);
  for (size_t i = 0; i < length; i++)
    text[i] = i < piece ? (unsigned char)('a' + random_below(3)) : text[i - piece];
  for (unsigned mistakes = random_below(4); mistakes > 0; mistakes--)
    text[random_below((unsigned)length)] = (unsigned char)('a' + random_below(3));
}

static void random_ones(void) {
  unsigned char text[400], needle[60];
  for (int i = 0; i < 200000; i++) {
    size_t length = 1 + random_below(sizeof text), needle_length = 1 + random_below(sizeof needle);
    repeat(text, length);
    if (random_below(2) == 0 && needle_length <= length)
      memcpy(needle, text + random_below((unsigned)(length - needle_length + 1)), needle_length);
    else
      repeat(needle, needle_length);
    compare(text, length, needle, needle_length);
  }
}

int main(void) {
  every_short_one();
  random_ones();
  printf("searches: %lu, wrong: %lu\n", compared, wrong);
  return wrong != 0;
}
