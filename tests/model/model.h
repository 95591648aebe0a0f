/*
 * model.h - what the model test knows of files, mapfiles and views, and what it concludes from that.
 *
 * SPDX-License-Identifier: MIT
 *
 * The model says what mapfile.h allows, not what the library happens to do: where the header leaves a choice (whether a
 * PRIVATE view is a map or a copy, whether a clock has ticked between two changes) it allows both, and drops one as
 * soon as the other has been seen. A byte is never left open but where the header says that nothing is promised.
 *
 * Offsets lie at or behind the origin of their file: a file may begin with a hole of some gigabytes, in which nothing
 * is done.
 */
#ifndef MODEL_H
#define MODEL_H

#include "mapfile.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NAMES = 4, OPENED = 4, VIEWS = 16, EXCHANGED = 4 };

/* Sets of statuses. */
typedef uint32_t statuses;
#define ONE(status) (UINT32_C(1) << (status))

extern size_t page_size;
uint64_t page_down(uint64_t offset);
uint64_t page_up(uint64_t offset);

/*
 * Files, as the system has them
 */

typedef struct disk {
  unsigned char *bytes; /* from the origin on; zeros behind the end */
  uint64_t origin, size;
  size_t room;    /* most bytes behind the origin */
  uint64_t moves; /* how often something was done that may change its times */
  uint64_t stamp; /* the time the driver gave it; 0: a clock's */
  bool vague;     /* its times may change at any moment: stores through maps, several threads at work */
  unsigned users; /* names and mapfiles */
} disk;

disk *disk_new(size_t room, uint64_t origin);
void disk_drop(disk *of);
const unsigned char *disk_at(const disk *of, uint64_t offset);
uint64_t disk_end(const disk *of); /* most it can ever have */

/* How a file looked. */
typedef struct look {
  uint64_t size, moves, stamp;
  bool vague;
} look;

look look_at(const disk *of);
/* What mapfile_check may say of a file that looked like that. */
statuses look_difference(const look *before, const disk *now);

/*
 * Mapfiles
 */

typedef struct opened {
  mapfile *file; /* NULL: closed */
  disk *of;
  uint32_t flags, access;
  uint64_t map_bytes, map_count; /* 0: no budget of its own */
  bool stream;
  intptr_t native;     /* borrowed, to be closed by the driver; -1: none */
  look known;          /* when the library last looked */
  mapfile_status *bad; /* what is injected into each page from the origin's on; the last is all behind them */
  size_t pages;
} opened;

bool opened_begin(opened *one, disk *of);
void opened_end(opened *one);
mapfile_status opened_bad(const opened *one, uint64_t offset);
bool opened_any_bad(const opened *one, uint64_t offset, uint64_t length);
/* The first injected byte of a range, or its end. */
uint64_t opened_first_bad(const opened *one, uint64_t offset, uint64_t end);
/* Whether nothing may change what is in the file. */
bool opened_is_vowed(const opened *one);

/* How far a range can be read, and what may be the status where that ends; 0: there is nothing in the way. */
typedef struct reach {
  uint64_t good;
  statuses then;
} reach;

reach opened_reach(const opened *one, uint64_t offset, uint64_t length);

/* A range asked for, compared with a size: how much of it there is, and what a call may say of it. */
typedef struct fit {
  uint64_t there;
  statuses refusals; /* 0: it fits */
  bool overflows;
} fit;

fit fit_range(uint64_t offset, uint64_t length, uint64_t size);

/*
 * Views
 */

/* What a page of a view holds, as far as one explanation of the view goes. */
enum page_state {
  PAGE_FILE,   /* what the file holds */
  PAGE_OWN,    /* bytes of the view's own */
  PAGE_FILLED, /* the same: zeros that were put there in place of a page that failed */
  PAGE_BAD,    /* a copy's: it fails as the page of the file does */
  PAGE_EITHER, /* one of two: those it was read with, or those it was read again with */
  PAGE_OPEN    /* nothing is promised */
};

/* One explanation of a view: a map, or a copy. */
typedef struct image {
  bool possible, follows; /* follows: a map */
  unsigned char *states;
  unsigned char *own, *other;
} image;

enum { AS_MAP, AS_COPY, IMAGES };

typedef struct pinned {
  mapfile_view view;
  opened *by;
  uint32_t flags;
  uint64_t offset;
  size_t length, pages;
  look since;
  image images[IMAGES];
  uint64_t filled, first_filled; /* pages so far; where the first lies */
} pinned;

pinned *pinned_new(void);
void pinned_free(pinned *one);
/* What was just pinned; may_map, may_copy: the explanations that are allowed. */
bool pinned_begin(pinned *one, opened *by, uint32_t flags, bool may_map, bool may_copy);
uint64_t pinned_page(const pinned *one, size_t page, uint64_t *end); /* where a page of it begins and ends */
size_t pinned_page_of(const pinned *one, uint64_t offset);
bool pinned_is_open(const pinned *one, uint64_t offset, uint64_t length); /* is nothing promised of some page? */

/* What was seen of a piece of a view that lies in one page. */
typedef struct sight {
  uint64_t offset;
  size_t length;
  const unsigned char *bytes; /* NULL: it could not be reached */
  mapfile_status cause;
} sight;

/* Drop the explanations that do not agree; false: none is left. */
bool pinned_settle(pinned *one, const sight *seen);
/* Does the page with this byte fail, by what has been seen so far? */
bool pinned_fails(const pinned *one, uint64_t offset);
/* What a page is expected to be, in words, for a message. */
void pinned_describe(const pinned *one, size_t page, char *text, size_t size);
/* What was stored, where the page was reached. */
void pinned_store(pinned *one, uint64_t offset, const unsigned char *bytes, size_t length);
/* A page of a zero-fill view may have been put in place of a bad one: does it have to be, as far as known? */
bool pinned_fill(pinned *one, size_t page);

/*
 * Worlds: files, mapfiles and views that have to do with one another
 */

typedef struct world {
  char folder[256], prefix[8];
  disk *named[NAMES];
  opened opened[OPENED];
  pinned *views[VIEWS];
  pinned *exchanged[EXCHANGED]; /* crowded worlds: views over pages that nobody changes, on their way to another lane */
  size_t room;
  uint64_t last_stamp;
  bool crowded; /* several threads are at work on it, each on pages of its own */
} world;

void world_write(world *in, disk *of, uint64_t offset, const unsigned char *bytes, size_t length);
void world_set_size(world *in, disk *of, uint64_t size);
/* Something that may show in the file's times. */
void world_move(const world *in, disk *of);
/* Whose views those are: in a crowded world a lane looks at its own only. */
typedef struct slots {
  unsigned first, count;
} slots;
void world_inject(world *in, slots of, opened *one, uint64_t offset, uint64_t length, mapfile_status status);
bool world_is_vowed(const world *in, const disk *of);
/* Views pinned: all, and those that may hold a map. */
unsigned world_pinned(const world *in, const opened *one, bool with_maps);

#endif
