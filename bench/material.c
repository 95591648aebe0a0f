/*
 * Making, summing and removing the files of the benchmark.
 *
 * SPDX-License-Identifier: MIT
 */
#include "material.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

/* The text has the letters a to p only, so the short needle is the only place with a q. */
const char material_needle[MATERIAL_NEEDLE + 1] = "bnamfilgkeop";
const char material_short_needle[MATERIAL_SHORT_NEEDLE + 1] = "abq";

enum { BLOCK = 1 << 20, PAGE = 4096, TAIL = 32 };

static char folder[MATERIAL_PATH / 2];

uint64_t sum_bytes(const void *data, size_t length) {
  const unsigned char *bytes = data;
  uint64_t a = 0, b = 0, c = 0, d = 0;
  size_t i = 0;
  for (; length - i >= 32; i += 32) {
    uint64_t words[4];
    memcpy(words, bytes + i, sizeof words);
    a += words[0];
    b += words[1];
    c += words[2];
    d += words[3];
  }
  for (; i < length; i += 8) {
    uint64_t word = 0;
    memcpy(&word, bytes + i, length - i < 8 ? length - i : 8);
    a += word;
  }
  return a + b + c + d;
}

bool material_open_folder(void) {
  const char *base = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%s/mapfile-bench-XXXXXX", base != NULL && base[0] != '\0' ? base : "/tmp");
  if (mkdtemp(folder) == NULL) {
    folder[0] = '\0';
    return false;
  }
  return true;
}

void material_remove_folder(void) {
  DIR *listing = folder[0] != '\0' ? opendir(folder) : NULL;
  if (listing == NULL) {
    return;
  }
  for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      unlinkat(dirfd(listing), entry->d_name, 0);
    }
  }
  closedir(listing);
  rmdir(folder);
  folder[0] = '\0';
}

const char *material_folder(void) {
  return folder;
}

const char *material_file_system(void) {
  static const struct {
    uint32_t magic;
    const char *name;
  } known[] = {{0xEF53, "ext4"},        {0x01021994, "tmpfs"}, {0x58465342, "xfs"}, {0x9123683E, "btrfs"},
               {0x794c7630, "overlay"}, {0x6969, "nfs"},       {0x2FC12FC1, "zfs"}, {0x65735546, "fuse"},
               {0xF2F52010, "f2fs"},    {0x01021997, "9p"}};
  struct statfs state;
  if (statfs(folder, &state) != 0) {
    return "unknown";
  }
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if ((uint32_t)state.f_type == known[i].magic) {
      return known[i].name;
    }
  }
  return "unknown";
}

static bool write_all(int descriptor, const char *data, size_t length) {
  while (length > 0) {
    ssize_t written = write(descriptor, data, length);
    if (written < 0 && errno != EINTR) {
      return false;
    }
    if (written > 0) {
      data += written;
      length -= (size_t)written;
    }
  }
  return true;
}

static void fill_with_letters(char *block, size_t length) {
  uint64_t state = 0x9E3779B97F4A7C15u;
  for (size_t i = 0; i < length; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    block[i] = (char)('a' + (state >> 32) % 16);
  }
}

/* Each page begins with its own number in letters, so that bytes from the wrong place give a wrong sum. */
static void number_pages(char *block, size_t length, uint64_t offset) {
  for (size_t page = 0; page + 8 <= length; page += PAGE) {
    uint64_t number = (offset + page) / PAGE;
    for (int digit = 0; digit < 8; digit++) {
      block[page + (size_t)digit] = (char)('a' + (number >> (4 * digit)) % 16);
    }
  }
}

static bool fill(int descriptor, uint64_t size, uint64_t *sum) {
  char *block = malloc(BLOCK);
  bool fine = block != NULL;
  *sum = 0;
  if (fine) {
    fill_with_letters(block, BLOCK);
  }
  for (uint64_t offset = 0; fine && offset < size;) {
    size_t length = size - offset < BLOCK ? (size_t)(size - offset) : BLOCK;
    number_pages(block, length, offset);
    if (offset + length == size && length >= 2 * TAIL) {
      memcpy(block + length - MATERIAL_NEEDLE, material_needle, MATERIAL_NEEDLE);
      memcpy(block + length - MATERIAL_NEEDLE - 16, material_short_needle, MATERIAL_SHORT_NEEDLE);
    }
    *sum += sum_bytes(block, length);
    fine = write_all(descriptor, block, length);
    offset += length;
  }
  free(block);
  return fine;
}

bool material_make(struct material *material, const char *name, uint64_t size) {
  snprintf(material->path, sizeof material->path, "%s/%s", folder, name);
  material->size = size;
  material->made = true;
  int descriptor = open(material->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    return false;
  }
  bool fine = fill(descriptor, size, &material->sum);
  return close(descriptor) == 0 && fine;
}

bool material_take(struct material *material, const char *path) {
  static char buffer[1 << 18];
  snprintf(material->path, sizeof material->path, "%s", path);
  material->size = material->sum = 0;
  material->made = false;
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return false;
  }
  size_t held = 0;
  ssize_t got = 0;
  do {
    got = read(descriptor, buffer + held, sizeof buffer - held);
    held += got > 0 ? (size_t)got : 0;
    if (held == sizeof buffer || got == 0) {
      material->sum += sum_bytes(buffer, held);
      material->size += held;
      held = 0;
    }
  } while (got > 0 || (got < 0 && errno == EINTR));
  close(descriptor);
  return got == 0;
}
