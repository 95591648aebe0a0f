/*
 * elsewhere.h - what the cases about names and locks need of other processes, and of time (elsewhere.c of the
 * platform).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPFILE_ELSEWHERE_H
#define MAPFILE_ELSEWHERE_H

#include "conformance.h"

/* Does parking close the file, so that its name may come to mean another one? */
extern const bool conf_parking_closes;

/* What another process does to path, by the system's own calls and without trying twice. */
typedef enum {
  CONF_CUT,     /* make it size bytes long */
  CONF_REMOVE,  /* remove the name */
  CONF_REPLACE, /* rename other to path, which is replaced */
  CONF_EMPTY    /* open it as a new file: an old one is emptied */
} conf_deed;

/* True: done. False: refused, because the file is in use. Ends the case where it failed otherwise. */
bool conf_elsewhere(conf_deed deed, const char *path, const char *other, uint64_t size);

/* Another process that has path open through the library, and all of it pinned live, from start to end. */
typedef struct conf_holder {
  intptr_t process, channel;
} conf_holder;

void conf_holder_start(conf_holder *holder, const char *path);
void conf_holder_end(conf_holder *holder);

/* Milliseconds of a clock that nobody sets. */
uint64_t conf_clock_ms(void);
/* Make folder the current one. */
void conf_enter_folder(const char *folder);
void conf_make_folder(const char *path);

#endif
