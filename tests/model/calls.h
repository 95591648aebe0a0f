/*
 * calls.h - the steps of a sequence: how they are drawn, done, told and found wanting.
 *
 * SPDX-License-Identifier: MIT
 *
 * A step is a kind and a number that all else about it is drawn from, when it is done: from that number and from what
 * the model knows by then. So any steps may be left out of a sequence, and the others still mean something.
 */
#ifndef MODEL_CALLS_H
#define MODEL_CALLS_H

#include "model.h"
#include "platform.h"

#include <inttypes.h>

enum { MOST_LANES = 4, OWN_PAGES = 3 /* of each lane in a crowded file, between two that all read */ };

/*
 * Random numbers: splitmix64
 */

uint64_t mix(uint64_t x);
uint64_t draw(uint64_t *random);
uint64_t draw_below(uint64_t *random, uint64_t bound);
/* Once in so many times. */
bool draw_one_in(uint64_t *random, uint64_t many);

/*
 * Steps
 */

typedef struct lane lane;

typedef struct step_kind {
  const char *name;
  void (*run)(lane *in, world *on, uint64_t *random);
  unsigned weight;         /* how often it is drawn */
  unsigned crowded_weight; /* the same on a world that several lanes share; 0: it would make the model inexact */
} step_kind;

extern const step_kind step_kinds[];
extern const unsigned step_kind_count;

typedef struct step {
  const step_kind *kind;
  uint64_t random;
  uint32_t number; /* in its episode */
  bool shared;     /* on the world that all lanes share */
} step;

step draw_step(uint64_t *random, uint32_t number, bool may_share, bool crowded);

/*
 * Episodes and lanes (run.c)
 */

/* The budgets of the process, as they were set last; 0: the defaults. */
typedef struct limits {
  uint64_t count, bytes;
} limits;

typedef struct episode {
  uint64_t seed;
  unsigned lanes;   /* threads */
  bool crowd;       /* they are at work now */
  bool printing;    /* tell each call */
  limits now, most; /* most: what is never exceeded where there are lanes; 0: their limits stay the defaults */
  world *worlds;
  unsigned world_count;
  char folder[200];
} episode;

struct lane {
  episode *of;
  unsigned number; /* from 1 on; 0: the only thread there is */
  world *own, *shared;
  slots mine; /* the views of the shared world that are this lane's */
  const step *now;
  char call[400]; /* the call that is being made */
  uint64_t calls; /* made so far */
  bool filling;   /* a zero-fill scope is open: views that are unpinned may keep their maps */
};

void lane_step(lane *in, const step *what);

/* Alone: nobody else is at work with the library, so that the process's counts are this lane's doing. */
bool is_alone(const lane *in);

/*
 * Telling, and what went wrong (calls.c)
 */

/* What is about to be called; and how it ended, which must be in the set. */
void calling(lane *in, const char *format, ...) __attribute__((format(printf, 2, 3)));
void note(lane *in, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ended(lane *in, mapfile_status status, statuses allowed);
/* The same for what the driver does itself, which has to work. */
void done(lane *in, bool worked);
_Noreturn void broken(lane *in, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define EXPECT(in, condition, ...) \
  do {                             \
    if (!(condition))              \
      broken(in, __VA_ARGS__);     \
  } while (0)

const char *status_name(mapfile_status status);
/* Flags in words; the text is good until the fourth later call on this thread. */
typedef struct flag_name {
  uint32_t flag;
  const char *name;
} flag_name;
const char *flags_text(uint32_t flags, const flag_name *names, const char *none);

/* How often which call ended how; printed at the end. */
void count_call(const char *call, mapfile_status status);
void counts_print(void);
uint64_t count_of(const char *call, mapfile_status status);

/*
 * What the kinds of steps share
 */

/* A part of a file to work on: all of it, or where the world is crowded what this lane may rely on. change: what it may
   change. */
typedef struct window {
  uint64_t low, high, change_low, change_high;
} window;

window window_of(const lane *in, const world *on, const disk *of);
uint64_t draw_offset(const lane *in, const world *on, const opened *one, uint64_t *random);
uint64_t draw_length(const lane *in, const world *on, const opened *one, uint64_t offset, uint64_t *random);
void draw_bytes(unsigned char *bytes, size_t length, uint64_t *random);
slots slots_of(const lane *in, const world *on);
/* NULL: there is none. */
opened *draw_opened(world *on, uint64_t *random);
pinned *draw_view(const lane *in, world *on, uint64_t *random, unsigned *slot);
int opened_number(const world *on, const opened *one);
const char *name_path(const world *on, unsigned name);
void *allocate(lane *in, size_t length);

/* Look at all views of a world, at each page's borders. */
void look_at_views(lane *in, world *on);
/* At a whole view, every byte. */
void look_at_view(lane *in, world *on, pinned *view, bool thoroughly);
/* The budgets hold, and the counts agree with the model. */
void look_at_counts(lane *in, world *on);
/* The files hold what the model says. */
void look_at_files(lane *in, world *on);
/* Does a map of this much fit the budgets, whatever has to be evicted? False: not for certain. */
bool has_room(lane *in, world *on, opened *one, uint64_t offset, uint64_t length, bool only_count);
/* The view is not in its slot any more; it is the caller's. */
pinned *unpin_view(lane *in, world *on, unsigned slot);
/* What mapfile_view_check may say. */
statuses view_difference(const pinned *view);
void close_mapfile(lane *in, world *on, opened *one);
/* What writing there may end with, and how many bytes come before the first that cannot be written. */
statuses write_statuses(const opened *one, uint64_t offset, uint64_t length, uint64_t *good);
/* The library has written. */
void written(world *on, opened *one, uint64_t offset, const unsigned char *bytes, size_t length);

/* The kinds, by the files they are in. */
#define STEP(name) void name(lane *in, world *on, uint64_t *random)
/* files.c */
STEP(step_make);
STEP(step_open);
STEP(step_open_handle);
STEP(step_open_pipe);
STEP(step_close);
STEP(step_remove);
STEP(step_rename);
STEP(step_resize);
STEP(step_write);
STEP(step_outside_write);
STEP(step_outside_resize);
STEP(step_outside_time);
/* state.c */
STEP(step_size);
STEP(step_check);
STEP(step_stats);
STEP(step_limits);
STEP(step_park);
STEP(step_inject);
STEP(step_mend);
/* views.c, touch.c */
STEP(step_pin);
STEP(step_unpin);
STEP(step_exchange);
STEP(step_view_check);
STEP(step_look);
STEP(step_touch);
STEP(step_store);
STEP(step_fill);
STEP(step_from_call);
STEP(step_commit);
/* whole.c */
STEP(step_read);
STEP(step_find);
STEP(step_compare);
STEP(step_scan);
STEP(step_send);

#endif
