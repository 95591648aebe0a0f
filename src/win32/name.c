/*
 * win32/name.c - names of files: from UTF-8 to what the system wants.
 *
 * SPDX-License-Identifier: MIT
 *
 * Promise open-names. Names on Windows are 16-bit units, not always UTF-16: half a surrogate pair may stand alone. As
 * UTF-8 such a half is written in three bytes like any other unit, so every name there is has one way to be written.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "name.h"
#include "status.h"

#include <stdlib.h>
#include <string.h>

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

enum { LONGEST_NAME = 32767 };

static mapfile_status refuse(mapfile_status status) {
  mf_set_native_error(0);
  return status;
}

/*
 * UTF-8
 */

static bool is_high_half(uint32_t unit) {
  return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low_half(uint32_t unit) {
  return unit >= 0xdc00 && unit < 0xe000;
}

/* The next character, *at moved behind it; false: not UTF-8. */
static bool next_character(const unsigned char **at, uint32_t *character) {
  static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
  unsigned char first = *(*at)++;
  unsigned more = first < 0x80 ? 0 : first < 0xc0 ? 4 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf8 ? 3 : 4;
  if (more == 4)
    return false;
  *character = more == 0 ? first : first & (0x3fu >> more);
  for (unsigned i = 0; i < more; i++) {
    if ((**at & 0xc0) != 0x80)
      return false;
    *character = *character << 6 | (*(*at)++ & 0x3fu);
  }
  return *character >= least[more] && *character <= 0x10ffff;
}

/* units has room for as many as path has bytes, and the end. A pair written as two halves would be a second way to
   write the same name. */
static bool decode(const char *path, wchar_t *units) {
  const unsigned char *at = (const unsigned char *)path;
  bool after_high = false;
  while (*at != 0) {
    uint32_t character;
    if (!next_character(&at, &character) || (after_high && is_low_half(character)))
      return false;
    after_high = is_high_half(character);
    if (character >= 0x10000) {
      *units++ = (wchar_t)(0xd800 + ((character - 0x10000) >> 10));
      *units++ = (wchar_t)(0xdc00 + ((character - 0x10000) & 0x3ff));
    } else {
      *units++ = (wchar_t)character;
    }
  }
  *units = 0;
  return true;
}

static mapfile_status from_utf8(const char *path, wchar_t **name) {
  size_t length = strlen(path);
  /* Three bytes a unit at most. */
  if (length > (size_t)LONGEST_NAME * 3)
    return refuse(MAPFILE_NOT_FOUND);
  wchar_t *units = malloc((length + 1) * sizeof *units);
  if (units == NULL)
    return refuse(MAPFILE_NO_MEMORY);
  if (!decode(path, units)) {
    free(units);
    return refuse(MAPFILE_INVALID);
  }
  *name = units;
  return MAPFILE_OK;
}

/*
 * Names that mean something else
 */

static bool is_separator(wchar_t unit) {
  return unit == L'\\' || unit == L'/';
}

static bool begins_with(const wchar_t *name, const wchar_t *prefix) {
  return wcsncmp(name, prefix, wcslen(prefix)) == 0;
}

/* The program has chosen to speak to the system directly: the name is as it stands. */
static bool is_verbatim(const wchar_t *name) {
  return begins_with(name, L"\\\\?\\");
}

static bool same_letters(const wchar_t *name, size_t length, const char *word) {
  if (strlen(word) != length)
    return false;
  for (size_t i = 0; i < length; i++) {
    wchar_t unit = name[i] >= L'a' && name[i] <= L'z' ? (wchar_t)(name[i] - L'a' + L'A') : name[i];
    if (unit != (wchar_t)(unsigned char)word[i])
      return false;
  }
  return true;
}

static bool is_port_number(wchar_t unit) {
  return (unit >= L'0' && unit <= L'9') || unit == 0xb9 || unit == 0xb2 || unit == 0xb3;
}

/* An element that means a device in whatever folder it stands, whatever follows its first dot or colon. */
static bool is_device(const wchar_t *element, size_t length) {
  static const char *const words[] = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"};
  size_t base = 0;
  while (base < length && element[base] != L'.' && element[base] != L':')
    base++;
  while (base > 0 && element[base - 1] == L' ')
    base--;
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
    if (same_letters(element, base, words[i]))
      return true;
  return base == 4 && is_port_number(element[3]) &&
         (same_letters(element, 3, "COM") || same_letters(element, 3, "LPT"));
}

static bool is_dots(const wchar_t *element, size_t length) {
  return element[0] == L'.' && (length == 1 || (length == 2 && element[1] == L'.'));
}

static bool begins_with_drive(const wchar_t *name) {
  wchar_t letter = (wchar_t)(name[0] | 0x20);
  return letter >= L'a' && letter <= L'z' && name[1] == L':';
}

static mapfile_status check_elements(const wchar_t *name) {
  if (begins_with_drive(name))
    name += 2;
  while (*name != 0) {
    size_t length = 0;
    while (name[length] != 0 && !is_separator(name[length]))
      length++;
    if (length > 0 && !is_dots(name, length) && (name[length - 1] == L'.' || name[length - 1] == L' '))
      return refuse(MAPFILE_INVALID);
    if (length > 0 && is_device(name, length))
      return refuse(MAPFILE_UNSUPPORTED);
    name += length;
    while (is_separator(*name))
      name++;
  }
  return MAPFILE_OK;
}

/*
 * Full names
 */

/* What of a full name follows the prefix that goes before it. */
static mapfile_status choose_prefix(const wchar_t *full, const wchar_t **prefix, const wchar_t **rest) {
  *prefix = L"";
  *rest = full;
  if (is_verbatim(full)) /* it was given with the other kind of slashes */
    return MAPFILE_OK;
  if (begins_with(full, L"\\\\.\\"))
    return refuse(MAPFILE_UNSUPPORTED);
  *prefix = L"\\\\?\\";
  if (begins_with(full, L"\\\\")) {
    *prefix = L"\\\\?\\UNC\\";
    *rest = full + 2;
  }
  return MAPFILE_OK;
}

static mapfile_status add_prefix(const wchar_t *full, wchar_t **name) {
  const wchar_t *prefix, *rest;
  mapfile_status status = choose_prefix(full, &prefix, &rest);
  if (status != MAPFILE_OK)
    return status;
  size_t before = wcslen(prefix), length = wcslen(rest);
  if (before + length > LONGEST_NAME)
    return refuse(MAPFILE_NOT_FOUND);
  wchar_t *made = malloc((before + length + 1) * sizeof *made);
  if (made == NULL)
    return refuse(MAPFILE_NO_MEMORY);
  memcpy(made, prefix, before * sizeof *made);
  memcpy(made + before, rest, (length + 1) * sizeof *made);
  *name = made;
  return MAPFILE_OK;
}

/* Into room units at full. *length is then that of the name, or, where it does not fit, more than room. */
static mapfile_status ask_full(const wchar_t *given, wchar_t *full, DWORD room, DWORD *length) {
  *length = GetFullPathNameW(given, room, full, NULL);
  if (*length == 0)
    return win_status_of_last_error();
  return *length > LONGEST_NAME + 1 || *length == room ? refuse(MAPFILE_NOT_FOUND) : MAPFILE_OK;
}

/* Asked again as often as it does not fit: another thread may change the current folder in between. */
static mapfile_status make_full(const wchar_t *given, wchar_t **name) {
  wchar_t *full = NULL;
  DWORD room = 0, length;
  mapfile_status status = ask_full(given, full, room, &length);
  while (status == MAPFILE_OK && length > room) {
    room = length;
    free(full);
    full = malloc((size_t)room * sizeof *full);
    status = full == NULL ? refuse(MAPFILE_NO_MEMORY) : ask_full(given, full, room, &length);
  }
  if (status == MAPFILE_OK)
    status = add_prefix(full, name);
  free(full);
  return status;
}

mapfile_status win_full_name(const char *path, wchar_t **name) {
  wchar_t *given;
  mapfile_status status = from_utf8(path, &given);
  if (status != MAPFILE_OK)
    return status;
  if (is_verbatim(given)) {
    *name = given;
    return MAPFILE_OK;
  }
  status = check_elements(given);
  if (status == MAPFILE_OK)
    status = make_full(given, name);
  free(given);
  return status;
}
