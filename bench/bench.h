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

/* The other libraries; NULL where this build has not the library.
   open: open the file (context: struct material *), sum all its bytes, close; sample->count times.
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
#ifdef HAVE_LIBSIGSEGV
const char *peer_sigsegv_fault(struct sample *sample);
#else
#define peer_sigsegv_fault ((contender_run)0)
#endif

#ifdef __cplusplus
}
#endif

#endif
