/*
 * read_search - the first way a search is written: read the file whole, then look. scripts/demo runs it beside search.
 *
 * SPDX-License-Identifier: MIT
 *
 *     read_search [--all] PATTERN FILE
 *
 * Prints what search prints; its memory is as large as the file.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "print_matches.h"

static char *read_whole(const char *name, size_t *length) {
  FILE *stream = fopen(name, "rb");
  struct stat status;
  char *data = NULL;

  if (stream == NULL)
    return NULL;
  if (fstat(fileno(stream), &status) == 0 && (data = malloc((size_t)status.st_size + 1)) != NULL) {
    *length = fread(data, 1, (size_t)status.st_size, stream);
    if (ferror(stream)) {
      free(data);
      data = NULL;
    }
  }
  fclose(stream);
  return data;
}

int main(int argc, char **argv) {
  int all = argc == 4 && strcmp(argv[1], "--all") == 0;
  size_t length = 0;

  if (argc != 3 + all)
    return 2;
  char *data = read_whole(argv[argc - 1], &length);
  if (data == NULL) {
    perror("read_search");
    return 2;
  }
  int result = print_matches(data, length, argv[argc - 2], all);
  free(data);
  return result;
}
