/*
 * The files that the benchmark works on, and the sum that proves that all their bytes were read.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_MATERIAL_H
#define BENCH_MATERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { MATERIAL_PATH = 512, MATERIAL_NEEDLE = 12, MATERIAL_SHORT_NEEDLE = 3 };

struct material {
  char path[MATERIAL_PATH];
  uint64_t size;
  uint64_t sum; /* sum_bytes over all of it */
  bool made;    /* ours: its content is known and its cache state may be changed */
};

/* In a made file of at least 64 bytes each occurs once: the long one as its last bytes, the short one 16 before it. */
extern const char material_needle[MATERIAL_NEEDLE + 1];
extern const char material_short_needle[MATERIAL_SHORT_NEEDLE + 1];

/* Make the folder for all files, below TMPDIR or /tmp. False with errno. */
bool material_open_folder(void);

/* Remove the folder and the files in it. Safe to call more than once. */
void material_remove_folder(void);

const char *material_folder(void);

/* The kind of file system the folder is on. */
const char *material_file_system(void);

/* Write a file of the size in the folder. False with errno. */
bool material_make(struct material *material, const char *name, uint64_t size);

/* Take a file that is there already: its size and sum. False with errno. */
bool material_take(struct material *material, const char *path);

/* The 64-bit words of the bytes, added; a rest of less than a word counts as one filled up with zeros. Sums of pieces
   add up to that of the whole where all pieces but the last are whole words. */
uint64_t sum_bytes(const void *data, size_t length);

#ifdef __cplusplus
}
#endif

#endif
