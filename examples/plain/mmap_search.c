/*
 * mmap_search - the second way a search is written: map the file, then look. scripts/demo runs it beside search.
 *
 * SPDX-License-Identifier: MIT
 *
 *     mmap_search [--all] PATTERN FILE
 *
 * Prints what search prints; dies of SIGBUS where a page cannot be had.
 */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "print_matches.h"

int main(int argc, char **argv) {
  int all = argc == 4 && strcmp(argv[1], "--all") == 0;
  struct stat status;

  if (argc != 3 + all)
    return 2;
  int descriptor = open(argv[argc - 1], O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 || fstat(descriptor, &status) != 0) {
    perror("mmap_search: open");
    return 2;
  }
  size_t length = (size_t)status.st_size;
  char *data = length > 0 ? mmap(NULL, length, PROT_READ, MAP_SHARED, descriptor, 0) : NULL;
  if (data == MAP_FAILED) {
    perror("mmap_search: mmap");
    return 2;
  }
  int result = print_matches(data, length, argv[argc - 2], all);
  if (data != NULL)
    munmap(data, length);
  close(descriptor);
  return result;
}
