/*
 * bytes.c - finding bytes among bytes, where the C library cannot.
 *
 * SPDX-License-Identifier: MIT
 *
 * The two-way algorithm of Crochemore and Perrin: the time is linear whatever the bytes are, the memory small whatever
 * the needle's length. The needle is split where its two parts cannot overlap themselves at a short distance; the right
 * part is compared first, forward, then the left one. A table of last bytes skips most places at a glance.
 */
#include "internal.h"

#ifndef HAVE_MEMMEM

/* Where the greatest of the needle's suffixes begins, by the bytes' order or its reverse, and that suffix's period. */
static size_t greatest_suffix(const unsigned char *needle, size_t length, bool reverse, size_t *period) {
  size_t start = SIZE_MAX; /* one before it: adding 1 gives 0 */
  size_t candidate = 0, at = 1;
  *period = 1;
  while (candidate + at < length) {
    unsigned char here = needle[candidate + at], there = needle[start + at];
    if (here == there) {
      if (at == *period) {
        candidate += at;
        at = 1;
      } else {
        at++;
      }
    } else if (reverse ? there < here : here < there) {
      candidate += at;
      at = 1;
      *period = candidate - start;
    } else {
      start = candidate++;
      at = *period = 1;
    }
  }
  return start + 1;
}

static size_t split(const unsigned char *needle, size_t length, size_t *period) {
  size_t other_period;
  size_t forward = greatest_suffix(needle, length, false, period);
  size_t backward = greatest_suffix(needle, length, true, &other_period);
  if (backward <= forward)
    return forward;
  *period = other_period;
  return backward;
}

static const unsigned char *find_two_way(const unsigned char *data, size_t length, const unsigned char *needle,
                                         size_t needle_length) {
  size_t skip[256], period, middle = split(needle, needle_length, &period);
  bool periodic = memcmp(needle, needle + period, middle) == 0;
  if (!periodic)
    period = (middle > needle_length - middle ? middle : needle_length - middle) + 1;
  for (size_t i = 0; i < MF_COUNTED(skip); i++)
    skip[i] = needle_length;
  for (size_t i = 0; i < needle_length; i++)
    skip[needle[i]] = needle_length - 1 - i;
  /* known: how much of the needle's start is known to lie at the place, for a needle that repeats itself. */
  for (size_t place = 0, known = 0; place <= length - needle_length;) {
    const unsigned char *at = data + place;
    size_t step = skip[at[needle_length - 1]];
    if (step > 0) {
      place += known != 0 && step < period ? needle_length - period : step;
      known = 0;
      continue;
    }
    size_t right = known > middle ? known : middle;
    while (right < needle_length && needle[right] == at[right])
      right++;
    if (right < needle_length) {
      place += right - middle + 1;
      known = 0;
      continue;
    }
    size_t left = middle;
    while (left > known && needle[left - 1] == at[left - 1])
      left--;
    if (left <= known)
      return at;
    place += period;
    known = periodic ? needle_length - period : 0;
  }
  return NULL;
}

const unsigned char *mf_find_bytes(const unsigned char *data, size_t length, const unsigned char *needle,
                                   size_t needle_length) {
  if (needle_length == 0)
    return data;
  if (needle_length > length)
    return NULL;
  if (needle_length == 1)
    return memchr(data, needle[0], length);
  return find_two_way(data, length, needle, needle_length);
}

#else

const unsigned char *mf_find_bytes(const unsigned char *data, size_t length, const unsigned char *needle,
                                   size_t needle_length) {
  return memmem(data, length, needle, needle_length);
}

#endif
