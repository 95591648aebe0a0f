/*
 * SQLite's page cache, for comparison: with pages as large as they can be, 64 KiB.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"

#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 64 << 10, LENGTH = 4096 };

static sqlite3_pcache_methods2 methods;
static sqlite3_pcache *cache;

static const char *make_cache(int pages) {
  if (sqlite3_initialize() != SQLITE_OK || sqlite3_shutdown() != SQLITE_OK ||
      sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &methods) != SQLITE_OK || sqlite3_initialize() != SQLITE_OK) {
    return "SQLite's page cache cannot be had";
  }
  cache = methods.xCreate(PAGE, sizeof(void *), 1);
  if (cache == NULL) {
    return "SQLite makes no page cache";
  }
  methods.xCachesize(cache, pages);
  return NULL;
}

/* The first bytes of pExtra are zero in a page that is new. */
static const char *fetch(const struct page_trace *trace, uint64_t page, sqlite3_pcache_page **fetched) {
  static char filled;
  *fetched = methods.xFetch(cache, (unsigned)page + 1, 2);
  if (*fetched == NULL) {
    return "xFetch failed";
  }
  void **mark = (*fetched)->pExtra;
  if (*mark == NULL && pread(trace->descriptor, (*fetched)->pBuf, PAGE, (off_t)(page * PAGE)) != PAGE) {
    return "pread failed";
  }
  *mark = &filled;
  return NULL;
}

const char *peer_sqlite_pages(struct sample *sample) {
  const struct page_trace *trace = sample->context;
  const char *wrong = cache == NULL ? make_cache(trace->kept) : NULL;
  static uint64_t at;
  uint64_t sum = 0, from = trace_step(trace, &at, sample->count), end = from + sample->count;
  for (uint64_t i = from; i < end && wrong == NULL; i++) {
    uint64_t offset = (uint64_t)trace->pages[i] * LENGTH, word;
    sqlite3_pcache_page *page;
    wrong = fetch(trace, offset / PAGE, &page);
    if (wrong == NULL) {
      memcpy(&word, (const char *)page->pBuf + offset % PAGE, sizeof word);
      sum += word;
      methods.xUnpin(cache, page, 0);
    }
  }
  return wrong != NULL || sum == trace->sums[end] - trace->sums[from] ? wrong : "wrong sum";
}
