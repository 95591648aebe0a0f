/*
 * The suites of the program faults, and what they share on top of faulty.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SUITES_H
#define SUITES_H

#include "faulty.h"
#include <check.h>

/* Each returns NULL, having said why, where the machine has not what it needs. */
Suite *eio_suite(void);
Suite *truncated_suite(void);
Suite *full_suite(void);
Suite *cut_suite(void);
Suite *poison_suite(void);

#define ck_status(actual, expected)                                                          \
  do {                                                                                       \
    mapfile_status actual_ = (actual), expected_ = (expected);                               \
    ck_assert_msg(actual_ == expected_, "%s is %d (%s), expected %s", #actual, (int)actual_, \
                  mapfile_strerror(actual_), #expected);                                     \
  } while (0)

/* The fault that a touch of offset must have left: exact, and not yet explained. */
void ck_fault(const mapfile_fault *fault, mapfile *file, const mapfile_view *view, uint64_t offset, uint32_t access);

/* It is explained so. */
void ck_explained(mapfile_fault *fault, mapfile_status status, int64_t native);

mapfile *ck_open(const char *path, uint32_t access, uint32_t flags);
void ck_pin(mapfile *file, uint64_t offset, uint64_t length, uint32_t flags, mapfile_view *view);

/* What every whole operation must say of a file that goes bad at offset bad: bytes before it are had, then status. */
void ck_whole_operations(mapfile *file, uint64_t size, uint64_t bad, mapfile_status status, int64_t native);

#endif
