/*
 * internal.h - what the files of src/ share with one another.
 *
 * SPDX-License-Identifier: MIT
 *
 * Names that begin with mf_ are the library's own and are not exported. "locked" marks what may only be called, read
 * or changed with os_lock held.
 */
#ifndef MF_INTERNAL_H
#define MF_INTERNAL_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "hooks.h"
#include "os.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__)
#define MF_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define MF_NOINLINE __attribute__((noinline, cold))
/* Functions called so often that it shows how they lie in the cache lines of the code. */
#define MF_HOT __attribute__((aligned(MF_CACHE_LINE)))
/* Named by assembly alone, where link-time optimization does not look. */
#define MF_USED __attribute__((used))
#else
#define MF_UNLIKELY(condition) (condition)
#define MF_NOINLINE
#define MF_HOT
#define MF_USED
#endif

#define MF_COUNTED(array) (sizeof(array) / sizeof((array)[0]))

enum { MF_CACHE_LINE = 64, MF_SLOTS = 16, MF_INDEX_LEVELS = 12 };

/* Is address space so short that maps are for what cannot do without? */
static inline bool mf_small_host(void) {
  return sizeof(void *) <= 4 || mf_hook_small_host();
}

/*
 * Segments: one map each, or the pages of a copied view that may fault. (segment.c)
 */

/* One of a segment's pin counters, alone on its cache line so that threads do not slow one another. */
typedef struct mf_stripe {
  _Alignas(MF_CACHE_LINE) atomic_uint_fast32_t pins;
} mf_stripe;

typedef struct mf_segment mf_segment;

/* A node of the address index. low and high do not change while the node can be reached. */
typedef struct mf_index_node {
  uintptr_t low, high;
  unsigned levels;
  _Atomic(struct mf_index_node *) next[MF_INDEX_LEVELS];
} mf_index_node;

enum mf_segment_kind {
  MF_POOLED_READ,  /* live, shared by all read-only pins of its range */
  MF_POOLED_WRITE, /* live and writable, shared by all SHARED pins of its range */
  MF_OWN_PRIVATE,  /* one PRIVATE view's */
  MF_OWN_FILL,     /* one ZERO_FILL view's, live */
  MF_OWN_WALK,     /* one mapfile_scan's */
  MF_OWN_COPY      /* one copied view's, in pages of its own because they can fault or be filled */
};

/* The count-and-gate protocol (docs/protocol.md): who pins counts first and then looks at the gate; who evicts or
   closes shuts the gate first and then sums the counts. */
struct mf_segment {
  mf_index_node node; /* first, so that a node is a segment */
  atomic_uint gate;   /* MF_GATE_... */
  atomic_uint used;   /* pinned since the eviction clock last passed */
  mf_stripe *stripes; /* pooled kinds only, behind the record */
  enum mf_segment_kind kind;
  unsigned char *address;
  size_t length;
  uint64_t offset; /* of the file, page-aligned */
  mapfile *file;
  mf_segment *file_next, *file_previous;   /* all segments of a mapfile; locked */
  mf_segment *clock_next, *clock_previous; /* all pooled segments; locked */
  mf_segment *spare_next;                  /* given up, waiting to be freed or used again; locked */
  bool fillable;                           /* a ZERO_FILL view's; set before a scope can see it */
  unsigned char *failing;                  /* of a copy: which pages were made to fail; NULL: none; locked */
  bool closing;                            /* an OWN segment let go while a zero-fill scope was open; locked */
  atomic_uint filled;                      /* pages replaced by zeros: sticky */
  atomic_uint_fast64_t first_filled;       /* offset + 1 of the first of them, 0: none */
};

enum { MF_GATE_CLOSED = 0, MF_GATE_OPEN = 1 };

/* Windows that copied access keeps (window.c): those that wait to be looked at, in two rings. */
typedef struct mf_window mf_window;
typedef struct mf_windows mf_windows;
typedef struct mf_queue {
  mf_window *head;
  uint64_t bytes;
} mf_queue;
typedef struct mf_queues {
  struct mf_queues *next, *previous; /* NULL: of a mapfile that has none */
  mf_queue shorter, main;
  atomic_uint doubt; /* whether it pays to load windows */
} mf_queues;

/* A copied view in plain memory; the bytes follow. */
typedef struct mf_copy {
  size_t length;
} mf_copy;

/* One range that mapfile_inject made fail, whole pages. */
typedef struct mf_injection {
  struct mf_injection *next;
  uint64_t low, high;
  mapfile_status status;
} mf_injection;

struct mapfile {
  uint32_t magic;
  uint32_t flags;
  uint32_t access;
  uint32_t share;
  uint32_t idle_ms; /* 0: never parked for being idle */
  intptr_t native;  /* what the program gave, or MF_NO_HANDLE */
  bool owned;       /* native, or the file that was opened by its path, is closed with the mapfile */
  os_name *name;    /* what to open again after parking; NULL where that is not done */
  uint64_t map_bytes_limit, map_count_limit; /* UINT64_MAX: none of its own */
  uint64_t cache_limit;                      /* the same */
  uint32_t revalidate_ms;
  uint32_t window_bytes; /* a hint */
  uint64_t reserve;
  unsigned char *stream; /* a stream's bytes; NULL: a file */

  /* Read by pins without the lock. */
  atomic_bool unmappable; /* mapping was refused for good: copy without trying again */
  bool copies_first;      /* only what must be a map is one; set before the mapfile is anybody's */
  bool separate_cache;    /* maps may not show what the file calls do: reading never looks at them; set likewise */
  atomic_uint_fast64_t size;
  atomic_uint injected; /* number of injections */
  atomic_uint touched;  /* pinned or held since the idle thread last looked; for ever where it does not */
  unsigned slot_shift;  /* a pin looks in slot (offset >> slot_shift) % MF_SLOTS */
  _Atomic(mf_segment *) slots[2][MF_SLOTS];
  _Atomic(mf_windows *) windows; /* set with the lock held */
  atomic_uint_fast64_t cache_bytes, cache_misses;
  atomic_size_t loose_views; /* views that no segment and no window counts: copied, empty, own */
  atomic_size_t copied_bytes;
  atomic_size_t filled_pages; /* raised by the handler */
  atomic_size_t fills_jumped; /* zero-fill scopes that a jump went over; raised by the handler */

  /* What mf_file_hold counts and looks at; set with the lock held. */
  atomic_uint_fast32_t users;
  atomic_bool parked; /* handle is closed */
  intptr_t handle;    /* the library's own; to be used while held */

  /* Locked. */
  os_identity identity;               /* of what was closed in parking */
  bool identified;                    /* it is known */
  mapfile *next, *previous;           /* all open mapfiles */
  mapfile *idle_next, *idle_previous; /* those that the idle thread watches: NULL where this one is not among them */
  uint64_t idle_since;
  os_file_info known;
  uint64_t looks; /* how often known was set */
  mf_segment *segments, *last_segment;
  mf_segment *spares;
  mf_injection *injections;
  mf_window *first_window;
  mf_windows *outgrown; /* tables that were replaced; freed with the mapfile */
  mf_queues queues;     /* of its windows, where cache_limit is its own */
  uint64_t cache_loads;
  uint64_t drops; /* how often all windows were given up */
  uint64_t maps, mapped_bytes;
  uint64_t maps_made, evictions, fallbacks, parks;
  size_t fill_scopes;
  bool has_closing; /* one of the segments is closing */
};

/* Everything that all mapfiles share; locked, but for what comes before the counts. */
typedef struct mf_process {
  unsigned stripes;        /* of each segment; a power of two; set before the first mapfile is opened */
  atomic_bool over_limits; /* limits were lowered below what is pinned: unpinning gives maps up */
  /* Apart from what every pin reads. */
  _Alignas(MF_CACHE_LINE) atomic_size_t loose_views;
  atomic_uint_fast64_t copied_bytes;
  atomic_uint_fast64_t filled_pages;
  uint64_t map_count_limit, map_bytes_limit;
  uint64_t maps, mapped_bytes;
  uint64_t open_files, maps_made, evictions, fallbacks, parks;
  mf_segment *clock_hand;
  mapfile *files;
  uint64_t idle_files;      /* mapfiles with an idle time */
  atomic_bool idle_running; /* their thread runs; set with the lock held */
  mapfile *idle_hand;       /* a ring of those that have something to give up */
  uint64_t idle_watched;    /* how many these are */
  bool idle_stirred;        /* there is a new one since the thread began to look */
} mf_process;

extern mf_process mf_process_state;

mf_segment *mf_segment_new(mapfile *file, enum mf_segment_kind kind);               /* locked */
mapfile_status mf_segment_map(mf_segment *segment, uint64_t offset, size_t length); /* locked */
mapfile_status mf_segment_publish(mf_segment *segment);                             /* locked */
void mf_segment_give_up(mf_segment *segment);                                       /* locked */
bool mf_segment_try_evict(mf_segment *segment);                                     /* locked */
mapfile_status mf_segment_own(mapfile *file, enum mf_segment_kind kind, uint64_t offset, size_t length,
                              mf_segment **segment);
void mf_segment_release(mf_segment *segment);
mapfile_status mf_segment_pin_slowly(mapfile *file, unsigned pool, uint64_t offset, size_t length, bool thoroughly,
                                     mf_segment **segment, mf_stripe **stripe);
uint64_t mf_segment_pins(const mf_segment *segment);
/* Give up all maps that reach beyond end, or none and BUSY where views may be pinned there; copied ones do not count.
 */
mapfile_status mf_segments_give_up(mapfile *file, uint64_t end); /* locked */
mapfile_status mf_segments_close(mapfile *file);                 /* locked */
enum os_map_kind mf_segment_map_kind(enum mf_segment_kind kind);

static inline enum mf_segment_kind mf_pool_kind(unsigned pool) {
  return pool == 0 ? MF_POOLED_READ : MF_POOLED_WRITE;
}

static inline bool mf_segment_covers(const mf_segment *segment, uint64_t offset, size_t length) {
  return offset >= segment->offset && offset - segment->offset <= segment->length &&
         length <= segment->length - (size_t)(offset - segment->offset);
}

/*
 * Budgets (budget.c)
 */

void mf_budget_begin(void);
bool mf_budget_make_room(mapfile *file, uint64_t maps, uint64_t bytes, bool thoroughly); /* locked */
bool mf_budget_evict_idle(unsigned most);                                                /* locked */
size_t mf_budget_window(const mapfile *file);                                            /* locked */
void mf_budget_count(mapfile *file, int64_t maps, int64_t bytes);                        /* locked */
/* thing: what the view's mark says. */
void mf_budget_unpin(unsigned mark, uintptr_t thing, mf_stripe *stripe);

/*
 * The address index: which segment holds an address. Read by the fault handler without waiting. (registry.c)
 */

mapfile_status mf_begin(void);
void mf_index_insert(mf_segment *segment);    /* locked */
void mf_index_remove(mf_segment *segment);    /* locked */
bool mf_index_quiet(void);                    /* locked */
void mf_index_retire(mf_segment *segment);    /* locked */
void mf_index_enter(void);                    /* handler */
mf_segment *mf_index_find(uintptr_t address); /* handler */
void mf_index_leave(void);                    /* handler */

/*
 * Files (file.c, stream.c)
 */

enum { MF_MAGIC_OPEN = 0x4d46494c, MF_MAGIC_CLOSED = 0x636c6f73, MF_NO_HANDLE = -1 };

static inline bool mf_file_is_open(const mapfile *file) {
  return file != NULL && file->magic == MF_MAGIC_OPEN;
}

/* Ask the system how the file is now, and make that the known state. */
mapfile_status mf_file_refresh(mapfile *file, os_file_info *now, mapfile_status *difference);
mapfile_status mf_file_difference(const os_file_info *before, const os_file_info *now);
mapfile_status mf_file_look(mapfile *file, os_file_info *now);
/* What the system has just told becomes the known state. */
void mf_file_learn(mapfile *file, const os_file_info *now); /* locked */
mapfile_status mf_stream_load(mapfile *file, uint64_t limit);
void mf_stream_unload(mapfile *file);

/*
 * Idle mapfiles (idle.c)
 */

/* All of it only for mapfiles with an idle time: one was opened, or is closed. */
mapfile_status mf_idle_begin(mapfile *file); /* locked */
void mf_idle_end(mapfile *file);             /* locked */
/* From now on there is something to give up, or nothing any more. */
void mf_idle_watch(mapfile *file);   /* locked */
void mf_idle_unwatch(mapfile *file); /* locked */
void mf_idle_touch(mapfile *file);

/* Say that the mapfile is in use: no more than a load, but for the first time since the idle thread last looked. */
static inline void mf_file_touch(mapfile *file) {
  if (MF_UNLIKELY(atomic_load_explicit(&file->touched, memory_order_relaxed) == 0))
    mf_idle_touch(file);
}

/*
 * Windows (window.c): parts of a file that copied access keeps in memory
 */

/* One that is pinned, until pins of the stripe is lowered. */
typedef struct mf_pinned {
  mf_window *window;
  mf_stripe *stripe;
  unsigned char *bytes; /* of the range asked for */
} mf_pinned;

void mf_windows_begin(void);
void mf_windows_after_fork(void); /* locked */
/* Pin a window that is there, whether it is current or not: no lock, no system call. */
bool mf_window_pin_kept(mapfile *file, uint64_t offset, size_t length, mf_pinned *pinned);
/* Pin a current window that holds the range, perhaps by loading it. False: read what is asked for. told: what the
   system has just told of the file, or NULL. */
bool mf_window_pin(mapfile *file, uint64_t offset, size_t length, const os_file_info *told, mf_pinned *pinned);
/* As mf_read_plain, but what is kept of the range is taken from there. */
mapfile_status mf_window_read(mapfile *file, uint64_t offset, void *buffer, size_t length, const os_file_info *told,
                              size_t *done);
/* The file is not any more what was read. Views keep what they show. */
void mf_windows_drop(mapfile *file); /* locked */
/* The same of [low, high), to which the library itself has written. */
void mf_windows_drop_range(mapfile *file, uint64_t low, uint64_t high); /* locked */
uint64_t mf_windows_pins(const mapfile *file);                          /* locked */
void mf_windows_close(mapfile *file);                                   /* locked; nothing is pinned */
void mf_windows_end(void);                                              /* locked; no mapfile is open */
void mf_windows_set_limit(uint64_t bytes);                              /* locked */
bool mf_windows_over_limit(void);                                       /* locked */
void mf_window_unpin(mf_window *, mf_stripe *);                         /* locked */
/* file NULL: of the process, and their pins are added. */
void mf_windows_count(const mapfile *file, mapfile_statistics *counts); /* locked */

/*
 * Parking (park.c). Not for streams, whose bytes are in memory.
 */

mapfile_status mf_file_hold_open(mapfile *file);

/* Around all use of a file's handle: until mf_file_let it stays open and the same. Without the lock, since it may have
   to be opened again; with the lock only inside another hold. */
static inline mapfile_status mf_file_hold(mapfile *file) {
  mf_file_touch(file);
  return OS_PARKING_CLOSES ? mf_file_hold_open(file) : MAPFILE_OK;
}

/* Release: what was done with the handle happened before whoever sees the count closes it. */
static inline void mf_file_let(mapfile *file) {
  mf_file_touch(file);
  if (OS_PARKING_CLOSES)
    atomic_fetch_sub_explicit(&file->users, 1, memory_order_release);
}

/* Give up all that keeps others from the file, or nothing and BUSY. asked: by the program, so that the file is closed
   even where it may not be found again. */
mapfile_status mf_file_release(mapfile *file, bool asked); /* locked */
/* For all mapfiles of this file; closing: not only their maps. */
void mf_files_release(const os_identity *same, bool closing); /* locked */

/*
 * Views (view.c)
 */

/* What view.internal holds. */
enum { MF_VIEW_THING = 0, MF_VIEW_STRIPE = 1, MF_VIEW_FILE = 2, MF_VIEW_MARK = 3 };

/* view.internal[MF_VIEW_MARK] of a pinned view: a pattern, so that rubbish is noticed, and what the thing is. */
enum {
  MF_MARK = 0x4d760000,
  MF_MARK_MASK = 0x7fff0000,
  MF_MARK_POOLED = 1, /* thing: mf_segment, counted by the stripe */
  MF_MARK_COPY = 2,   /* thing: mf_copy */
  MF_MARK_PLAIN = 3,  /* nothing: empty, or a stream's memory */
  MF_MARK_WINDOW = 4, /* thing: mf_window, counted by the stripe */
  MF_MARK_OWN = 5,    /* thing: mf_segment of this view alone */
  MF_MARK_THING = 0xff,
  MF_MARK_VERIFY = 0x100
};

static inline bool mf_view_is_pinned(const mapfile_view *view) {
  return (view->internal[MF_VIEW_MARK] & MF_MARK_MASK) == MF_MARK;
}

/* Pinned, without VERIFY and without memory that may have been filled: a scope over it ends without a further look. */
static inline bool mf_view_is_simple(const mapfile_view *view) {
  return view->internal[MF_VIEW_MARK] - (MF_MARK | MF_MARK_POOLED) <= MF_MARK_WINDOW - MF_MARK_POOLED;
}

static inline unsigned mf_view_thing(const mapfile_view *view) {
  return (unsigned)(view->internal[MF_VIEW_MARK] & MF_MARK_THING);
}

/*
 * Scopes (scope.c)
 */

/* Around a public call: the native error is that of this call if it fails (0: the library itself refused), else it
   stays what it was. */
static inline int64_t mf_native_begin(void) {
  mf_thread *thread = os_thread();
  int64_t before = thread->native_error;
  thread->native_error = 0;
  return before;
}

static inline mapfile_status mf_native_end(int64_t before, mapfile_status status) {
  if (status == MAPFILE_OK)
    os_thread()->native_error = before;
  return status;
}

uint32_t mf_thread_number(mf_thread *thread);

static inline unsigned mf_thread_ordinal(void) {
  mf_thread *thread = os_thread();
  return thread->ordinal != 0 ? thread->ordinal - 1 : mf_thread_number(thread);
}

/* mapfile_try for the library's own use. The scope is also visited when a fault inside is taken by a scope further out:
 *onward is then that scope, to be landed at (mf_scope_land) as soon as the caller has cleaned up; else NULL. */
mapfile_status mf_scope_clean(mapfile *file, const mapfile_view *view, mapfile_body body, void *argument,
                              mapfile_fault *fault, mapfile_scope **onward);
/* Is the thread in any scope? */
bool mf_scope_is_inside(void);
/* Count out zero-fill scopes that a jump went over; let segments go that none holds any more. */
void mf_fill_settle(mapfile *file); /* locked */
/* Forget scopes whose frames a foreign longjmp has left. */
void mf_scope_prune(void);

/*
 * Input and output (io.c, inject.c, scan.c)
 */

/* No object is longer; above all, a length is never MAPFILE_TO_END by chance. */
#define MF_LONGEST_BUFFER ((size_t)PTRDIFF_MAX)

/* Read without regard to injections; short only at the end of the file. */
mapfile_status mf_read_plain(mapfile *file, uint64_t offset, void *buffer, size_t length, size_t *done);
/* Fit [offset, offset + length) to the known size: INVALID, END (with *length what there is) or OK. */
mapfile_status mf_range_fit(mapfile *file, uint64_t offset, uint64_t *length, uint64_t asked);

/* Shorten *length to what lies before the first injection at or after offset; the status of that injection, or OK. */
mapfile_status mf_inject_cut(mapfile *file, uint64_t offset, uint64_t *length);
/* The status injected at offset, or OK. */
mapfile_status mf_inject_status(mapfile *file, uint64_t offset);
mapfile_status mf_inject_apply(mf_segment *segment); /* locked */
void mf_inject_forget(mapfile *file);                /* locked */

/* A walk over a range in pieces; a piece after the first begins with the last overlap bytes of the one before. */
typedef struct mf_walk {
  mapfile *file;
  uint64_t offset, length;
  size_t piece; /* most bytes of a piece, without the overlap */
  size_t overlap;
  uint32_t flags;  /* MAPFILE_SCAN_... */
  bool repeatable; /* chunk may see bytes again that it was interrupted on */
  mapfile_chunk chunk;
  void *argument;
  uint64_t done;         /* bytes that chunk has finished */
  bool faulted;          /* a bad page ended the walk, and not chunk */
  mapfile_scope *onward; /* a scope further out took a fault of chunk's: clean up and land there */
  uint64_t end;          /* where the file ends now, if the walk went through a map that may show zeros behind it */
} mf_walk;

mapfile_status mf_walk_run(mf_walk *walk);

/* The first occurrence of needle, NULL: none; in linear time. (bytes.c) */
const unsigned char *mf_find_bytes(const unsigned char *data, size_t length, const unsigned char *needle,
                                   size_t needle_length);

/*
 * Trace (trace.c)
 */

void mf_trace_call(uint32_t kind, mapfile *file, uint64_t offset, uint64_t length, mapfile_status status);
extern mapfile_trace mf_trace_hook;

static inline void mf_trace(uint32_t kind, mapfile *file, uint64_t offset, uint64_t length, mapfile_status status) {
  if (mf_trace_hook != NULL)
    mf_trace_call(kind, file, offset, length, status);
}

/* Memory that is all zero. Not by calloc, which glibc serves without its quick per-thread caches; compilers that see
   malloc and memset together make it calloc again. */
static inline void *mf_allocate(size_t size) {
  void *memory = malloc(size);
#if defined(__GNUC__)
  __asm__("" : "+r"(memory));
#endif
  return memory != NULL ? memset(memory, 0, size) : NULL;
}

static inline bool mf_all_zero(const void *bytes, size_t length) {
  const unsigned char *at = bytes;
  for (size_t i = 0; i < length; i++)
    if (at[i] != 0)
      return false;
  return true;
}

static inline uint64_t mf_page_down(uint64_t value) {
  return value & ~(uint64_t)(mf_page_size - 1);
}

/* The next multiple of the page size; UINT64_MAX pages down where that would overflow. */
static inline uint64_t mf_page_up(uint64_t value) {
  uint64_t up = value + (mf_page_size - 1);
  return mf_page_down(up < value ? UINT64_MAX : up);
}

#endif
