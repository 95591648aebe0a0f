/*
 * The groups of the benchmark, and the other libraries it is measured against.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "material.h"
#include "measure.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the options ask for. */
struct plan {
  struct material large; /* scanned and searched */
};

/* Each begins the group, adds its contenders and measures them. Runs in a process of its own. */
void bench_scope(struct group *group, const struct plan *plan);
void bench_pin(struct group *group, const struct plan *plan);
void bench_fault(struct group *group, const struct plan *plan);
void bench_access(struct group *group, const struct plan *plan);
void bench_scan(struct group *group, const struct plan *plan);
void bench_scan_small_pages(struct group *group, const struct plan *plan);
void bench_find(struct group *group, const struct plan *plan);
void bench_open_1k(struct group *group, const struct plan *plan);
void bench_open_16k(struct group *group, const struct plan *plan);
void bench_open_64k(struct group *group, const struct plan *plan);
void bench_open_1m(struct group *group, const struct plan *plan);
void bench_many(struct group *group, const struct plan *plan);
void bench_window(struct group *group, const struct plan *plan);

/* A trace of accesses to pages of 4 KiB, for caches, gone through in pieces again and again. */
struct page_trace {
  int descriptor;
  int kept; /* how many pieces of 64 KiB may be kept */
  const uint32_t *pages;
  const uint64_t *sums; /* of the first words of all pages before this place */
  uint64_t length;
};

/* Where the next piece of count begins. */
static inline uint64_t trace_step(const struct page_trace *trace, uint64_t *at, uint64_t count) {
  uint64_t from = *at + count <= trace->length ? *at : 0;
  *at = from + count;
  return from;
}

/* The other libraries; NULL where this build has not the library.
   open: open the file (context: struct material *), sum all its bytes, close; sample->count times.
   pages: go through a page_trace with a cache (context), sample->count accesses.
   fault: touch the forbidden page at context and come back through libsigsegv; sample->count times. */
#ifdef HAVE_GLIB
const char *peer_glib_open(struct sample *sample);
#else
#define peer_glib_open ((contender_run)0)
#endif
#ifdef HAVE_APR
const char *peer_apr_open(struct sample *sample);
#else
#define peer_apr_open ((contender_run)0)
#endif
#ifdef HAVE_BOOST_INTERPROCESS
const char *peer_boost_open(struct sample *sample);
#else
#define peer_boost_open ((contender_run)0)
#endif
#ifdef HAVE_SQLITE
const char *peer_sqlite_pages(struct sample *sample);
#else
#define peer_sqlite_pages ((contender_run)0)
#endif
#ifdef HAVE_LIBSIGSEGV
const char *peer_sigsegv_fault(struct sample *sample);
#else
#define peer_sigsegv_fault ((contender_run)0)
#endif

#ifdef __cplusplus
}
#endif

#endif
