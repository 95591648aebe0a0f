/*
 * search - find a fixed string in files of any size, in little memory, whatever happens to the files meanwhile.
 *
 * SPDX-License-Identifier: MIT
 *
 *     search [--all] PATTERN FILE...
 *
 * prints the byte offset of the first match of PATTERN, with --all of every match, or -1 where there is none. Matches
 * do not overlap: the next one begins at or after the end of the last, as with grep -o. With several files each line
 * begins with the file's name and a colon.
 *
 * Exit status: 0 a match was found, 1 none, 2 a file could not be read to its end (or the call was wrong). Then
 * standard error says why, at which byte, and how much had been searched; matches before that byte were printed.
 *
 * A file goes through mapfile_scan piece by piece, so memory stays small whatever the file's size. A piece may vanish
 * while it is searched: the scan then returns a status, and mapfile_read reads on from there to the byte that is bad.
 */
#include <inttypes.h>
#include <mapfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <io.h>
#define is_terminal(stream) _isatty(_fileno(stream))
#else
#include <unistd.h>
#define is_terminal(stream) isatty(fileno(stream))
#endif

enum { PROGRESS_STEP = 16 << 20, READ_STEP = 64 << 10 };

struct search {
  const char *pattern;
  size_t length;      /* of the pattern */
  size_t rare;        /* index of its rarest byte */
  int all;            /* every match, not only the first */
  int progress;       /* show it on standard error */
  const char *prefix; /* printed before each result: the file's name, or NULL */
  uint64_t size;      /* of the file */
  uint64_t next;      /* the next match begins here or later */
  uint64_t matches;   /* found in this file */
  uint64_t shown;     /* how far the progress on the screen is; 0: none is there */
  char *seam;         /* the last bytes of the pieces so far, with room for as many of the next */
  char *spare;        /* the next seam while it is made */
  size_t kept;        /* bytes in seam */
};

static void clear_progress(struct search *search) {
  if (search->shown != 0)
    fputs("\r                                        \r", stderr);
  search->shown = 0;
}

static void show_progress(struct search *search, uint64_t offset) {
  if (!search->progress || offset < search->shown + PROGRESS_STEP)
    return;
  fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " MiB (%d%%)", offset >> 20, search->size >> 20,
          (int)((double)offset * 100 / (double)search->size));
  fflush(stderr);
  search->shown = offset;
}

static void print_result(struct search *search, int64_t result) {
  clear_progress(search);
  if (search->prefix != NULL)
    printf("%s:", search->prefix);
  printf("%" PRId64 "\n", result);
}

/* memchr is the fastest search that every C library has, so look for the byte that stops it least often. */
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

static const char *find_in_memory(const struct search *search, const char *data, size_t length) {
  if (length < search->length)
    return NULL;
  const char *at = data + search->rare;
  const char *end = at + (length - search->length) + 1;
  while (at < end && (at = memchr(at, search->pattern[search->rare], (size_t)(end - at))) != NULL) {
    const char *start = at - search->rare;
    if (memcmp(start, search->pattern, search->length) == 0)
      return start;
    at++;
  }
  return NULL;
}

/* Print the matches in length bytes that lie at offset in the file. CANCELLED: no more are wanted. */
static mapfile_status print_matches(struct search *search, const char *data, size_t length, uint64_t offset) {
  for (;;) {
    size_t skip = search->next > offset ? (size_t)(search->next - offset) : 0;
    const char *found = skip < length ? find_in_memory(search, data + skip, length - skip) : NULL;
    if (found == NULL)
      return MAPFILE_OK;
    uint64_t where = offset + (uint64_t)(found - data);
    search->matches++;
    search->next = where + search->length;
    print_result(search, (int64_t)where);
    if (!search->all)
      return MAPFILE_CANCELLED;
  }
}

/* One piece of the file: first the matches that began in an earlier piece, then those inside this one. Touching data
   may leave this function by a jump, so nothing that search holds may be half done at that moment. */
static mapfile_status MAPFILE_CALL search_piece(void *argument, const void *data, size_t length, uint64_t offset) {
  struct search *search = argument;
  size_t most = search->length - 1; /* bytes of a match that can lie on one side of the border */
  size_t head = length < most ? length : most;

  memcpy(search->seam + search->kept, data, head);
  mapfile_status status = print_matches(search, search->seam, search->kept + head, offset - search->kept);
  if (status == MAPFILE_OK)
    status = print_matches(search, data, length, offset);
  if (status != MAPFILE_OK)
    return status;

  size_t total = search->kept + head;
  size_t keep = total < most ? total : most;
  if (head < most)
    memcpy(search->spare, search->seam + total - keep, keep);
  else
    memcpy(search->spare, (const char *)data + length - keep, keep);
  char *old = search->seam;
  search->seam = search->spare;
  search->spare = old;
  search->kept = keep;
  show_progress(search, offset + length);
  return MAPFILE_OK;
}

/* The scan could not go on at *done: read on, so that *done becomes the very byte that is bad. */
static mapfile_status search_rest(struct search *search, mapfile *file, uint64_t *done) {
  static char buffer[READ_STEP];
  mapfile_status status = MAPFILE_OK;

  while (status == MAPFILE_OK && *done < search->size) {
    uint64_t left = search->size - *done;
    size_t got = 0;
    status = mapfile_read(file, *done, buffer, left < sizeof buffer ? (size_t)left : sizeof buffer, &got);
    if (got > 0 && search_piece(search, buffer, got, *done) != MAPFILE_OK)
      return MAPFILE_CANCELLED;
    *done += got;
  }
  return status;
}

/* Returns the program's exit status for this file. */
static int search_file(struct search *search, const char *name) {
  mapfile *file = NULL;
  uint64_t done = 0;

  mapfile_status status = mapfile_open(name, NULL, &file);
  if (status != MAPFILE_OK) {
    fprintf(stderr, "search: %s: cannot be opened: %s\n", name, mapfile_strerror(status));
    return 2;
  }
  mapfile_size(file, &search->size);
  search->next = search->matches = search->shown = 0;
  search->kept = 0;
  status = mapfile_scan(file, 0, MAPFILE_TO_END, 0, MAPFILE_SCAN_ONCE, search_piece, search, &done);
  if (status != MAPFILE_OK && status != MAPFILE_CANCELLED)
    status = search_rest(search, file, &done);
  mapfile_close(file);

  clear_progress(search);
  if (status != MAPFILE_OK && status != MAPFILE_CANCELLED) {
    fflush(stdout);
    fprintf(stderr, "search: %s: at offset %" PRIu64 ": %s; searched %" PRIu64 " of %" PRIu64 " bytes\n", name, done,
            mapfile_strerror(status), done, search->size);
    return 2;
  }
  if (search->matches == 0)
    print_result(search, -1);
  return search->matches == 0;
}

static int usage(FILE *stream) {
  fputs("usage: search [--all] PATTERN FILE...\n"
        "Print the byte offset of the first match of PATTERN in each FILE, with --all of every match,\n"
        "or -1 where there is none. Exit status: 0 a match was found, 1 none, 2 an error.\n",
        stream);
  return stream == stdout ? 0 : 2;
}

int main(int argc, char **argv) {
  struct search search = {.progress = is_terminal(stderr)};
  int first = 1, found = 0, failed = 0;

  while (first < argc && strncmp(argv[first], "--", 2) == 0) {
    const char *option = argv[first++];
    if (strcmp(option, "--") == 0)
      break;
    if (strcmp(option, "--all") != 0)
      return usage(strcmp(option, "--help") == 0 ? stdout : stderr);
    search.all = 1;
  }
  if (argc - first < 2 || argv[first][0] == '\0')
    return usage(stderr);

  search.pattern = argv[first];
  search.length = strlen(search.pattern);
  search.rare = rarest_byte(search.pattern, search.length);
  search.seam = malloc(2 * search.length);
  search.spare = malloc(2 * search.length);
  if (search.seam == NULL || search.spare == NULL) {
    fputs("search: out of memory\n", stderr);
    return 2;
  }
  for (int i = first + 1; i < argc; i++) {
    search.prefix = argc - first > 2 ? argv[i] : NULL;
    int result = search_file(&search, argv[i]);
    found |= result == 0;
    failed |= result == 2;
  }
  if (fflush(stdout) != 0 || ferror(stdout)) {
    fputs("search: cannot write the results\n", stderr);
    failed = 1;
  }
  free(search.seam);
  free(search.spare);
  return failed ? 2 : !found;
}
