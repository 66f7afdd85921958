/* balancer/arena.h - internal: arrays one after the other in one piece of memory. */
#ifndef MB_BALANCER_ARENA_H
#define MB_BALANCER_ARENA_H

#include <stddef.h>

/** With base NULL nothing is handed out, and `used` says in the end how much the same takes need.
 */
typedef struct mb_arena {
  char *base; /* aligned as malloc() does */
  size_t used;
} mb_arena;

/** Room for count x size bytes, aligned for any type; NULL while measuring. */
static inline void *mb_arena_take(mb_arena *arena, size_t count, size_t size) {
  char *taken = arena->base != NULL ? arena->base + arena->used : NULL;

  arena->used += (count * size + 63) / 64 * 64;
  return taken;
}

#endif
