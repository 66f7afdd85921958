/* balancer/heap.h - internal: a binary heap of (key, id), smallest key first, then smallest id. */
#ifndef MB_BALANCER_HEAP_H
#define MB_BALANCER_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mb_heap_entry {
  double key;
  int32_t id;
} mb_heap_entry;

static inline bool mb_heap_before(mb_heap_entry a, mb_heap_entry b) {
  return a.key < b.key || (a.key == b.key && a.id < b.id);
}

/** Moves entry i down to where it belongs, the heaps below it being in order. O(log n). */
static inline void mb_heap_sink(mb_heap_entry *heap, size_t n, size_t i) {
  mb_heap_entry entry = heap[i];

  for (size_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
    if (child + 1 < n && mb_heap_before(heap[child + 1], heap[child])) {
      child++;
    }
    if (!mb_heap_before(heap[child], entry)) {
      break;
    }
    heap[i] = heap[child];
    i = child;
  }
  heap[i] = entry;
}

/** Puts n entries in any order into the order of a heap. O(n). */
static inline void mb_heap_make(mb_heap_entry *heap, size_t n) {
  for (size_t i = n / 2; i-- > 0;) {
    mb_heap_sink(heap, n, i);
  }
}

#endif
