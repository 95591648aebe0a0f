/*
 * registry.c - start-up, and the address index: which segment holds an address.
 *
 * SPDX-License-Identifier: MIT
 *
 * The index is a skip list over the segments' address ranges. One writer at a time (os_lock) changes it; fault handlers
 * read it at any moment, in any thread, without waiting and without being able to make the writer wait (the promise
 * handler-pure). That works because
 *
 * - a new node's links are filled in before the node is linked, lowest level first, each link one atomic store;
 * - an unlinked node keeps its own links, so that a reader who stands on it finds the way on;
 * - an unlinked node is neither freed nor used again before a moment at which no reader is inside. A reader counts
 *   itself in before it loads the first link, the writer looks at the count after it has unlinked, both sequentially
 *   consistent: a count of 0 seen then means that nobody can hold the node.
 *
 * A reader may miss a node that is linked after it started. That node cannot be the one it looks for: the pin that made
 * it has not returned, so nobody can have faulted on it.
 */
#include "internal.h"

static _Atomic(mf_index_node *) heads[MF_INDEX_LEVELS];
static atomic_uint readers;
static mf_segment *retired; /* unlinked, to be freed; locked */
static uint32_t random_state = 0x9e3779b9u;
/* Levels that hold nodes, or did: no need to look at those above. Only ever raised. */
static atomic_uint levels_used;

size_t mf_page_size, mf_map_unit;

void mf_process_begin(void) {
  mf_page_size = os_page_size();
  mf_map_unit = os_map_unit();
  mf_hooks_begin();
  mf_budget_begin();
  mf_windows_begin();
}

void mf_process_after_fork(void) {
  /* A reader in another thread at the moment of the fork does not exist in the child. */
  atomic_store(&readers, 0);
  mf_windows_after_fork();
}

mapfile_status mf_begin(void) {
  return os_begin_once();
}

/* 1 with probability 3/4, and so on: a quarter of the nodes of each level reach the next. */
static unsigned random_levels(void) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 17;
  random_state ^= random_state << 5;
  unsigned levels = 1;
  for (uint32_t bits = random_state; levels < MF_INDEX_LEVELS && (bits & 3) == 0; bits >>= 2)
    levels++;
  return levels;
}

/* The link of each level that leads to the first node at or above address. */
static void find_links(uintptr_t address, _Atomic(mf_index_node *) *links[MF_INDEX_LEVELS]) {
  mf_index_node *before = NULL;
  for (unsigned level = atomic_load(&levels_used); level-- > 0;) {
    _Atomic(mf_index_node *) *link = before != NULL ? &before->next[level] : &heads[level];
    mf_index_node *node;
    while ((node = atomic_load_explicit(link, memory_order_relaxed)) != NULL && node->low < address) {
      before = node;
      link = &node->next[level];
    }
    links[level] = link;
  }
}

void mf_index_insert(mf_segment *segment) {
  mf_index_node *node = &segment->node;
  _Atomic(mf_index_node *) *links[MF_INDEX_LEVELS];
  node->low = (uintptr_t)segment->address;
  node->high = node->low + segment->length;
  node->levels = random_levels();
  if (node->levels > atomic_load_explicit(&levels_used, memory_order_relaxed))
    atomic_store_explicit(&levels_used, node->levels, memory_order_release);
  find_links(node->low, links);
  for (unsigned level = 0; level < node->levels; level++)
    atomic_store_explicit(&node->next[level], atomic_load_explicit(links[level], memory_order_relaxed),
                          memory_order_relaxed);
  for (unsigned level = 0; level < node->levels; level++)
    atomic_store_explicit(links[level], node, memory_order_release);
}

void mf_index_remove(mf_segment *segment) {
  mf_index_node *node = &segment->node;
  _Atomic(mf_index_node *) *links[MF_INDEX_LEVELS];
  find_links(node->low, links);
  for (unsigned level = node->levels; level-- > 0;)
    atomic_store(links[level], atomic_load_explicit(&node->next[level], memory_order_relaxed));
}

bool mf_index_quiet(void) {
  return atomic_load(&readers) == 0;
}

void mf_index_retire(mf_segment *segment) {
  segment->spare_next = retired;
  retired = segment;
  if (!mf_index_quiet())
    return;
  while (retired != NULL) {
    mf_segment *gone = retired;
    retired = gone->spare_next;
    free(gone);
  }
}

void mf_index_enter(void) {
  atomic_fetch_add(&readers, 1);
}

void mf_index_leave(void) {
  atomic_fetch_sub(&readers, 1);
}

mf_segment *mf_index_find(uintptr_t address) {
  mf_index_node *best = NULL;
  for (unsigned level = atomic_load(&levels_used); level-- > 0;) {
    _Atomic(mf_index_node *) *link = best != NULL ? &best->next[level] : &heads[level];
    mf_index_node *node;
    while ((node = atomic_load(link)) != NULL && node->low <= address) {
      best = node;
      link = &node->next[level];
    }
  }
  return best != NULL && address < best->high ? (mf_segment *)best : NULL;
}
