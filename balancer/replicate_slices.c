/* balancer/replicate_slices.c */
#include "balancer/replicate_slices.h"

#include <stdbool.h>
#include <string.h>

#include "balancer/simd.h"
#include "balancer/swap.h"

mb_slice_memory mb_slice_memory_take(mb_arena *arena, size_t n_slices, size_t n) {
  mb_slice_memory m;

  m.rate = mb_arena_take(arena, n_slices * n, sizeof *m.rate);
  m.gain = mb_arena_take(arena, n, sizeof *m.gain);
  m.worth = mb_arena_take(arena, n_slices, sizeof *m.worth);
  m.top = mb_arena_take(arena, n_slices, sizeof *m.top);
  m.second = mb_arena_take(arena, n_slices, sizeof *m.second);
  return m;
}

/* The largest of a row but `top`, the first of equals; -1: there is none. */
MB_SIMD_CLONES static int32_t find_second(size_t n, double *rate, int32_t top) {
  const double kept = rate[top];

  rate[top] = -1;
  size_t second = mb_argmax(rate, n);
  rate[top] = kept;
  return n > 1 ? (int32_t)second : -1;
}

/* What one more replica of the slice's hottest expert takes off its largest load a replica. */
static double drop(const double *load, const double *rate, const int32_t *count, int32_t top,
                   int32_t second) {
  double after = load[top] / (count[top] + 1);

  if (second >= 0 && rate[second] > after) {
    after = rate[second];
  }
  return rate[top] - after;
}

/* What the slice counts for its hottest expert; kept until one of the two hottest changes. */
static void find_worth(size_t n, size_t s, const double *load, const mb_slice_rule *rule,
                       const mb_slice_memory *m, const int32_t *count) {
  double fall = drop(load + s * n, m->rate + s * n, count, m->top[s], m->second[s]);
  double gain = fall > 0 ? fall : rule->tie_gain;

  m->worth[s] = rule->weight != NULL ? rule->weight[s] * gain : gain;
}

static void sum_gains(size_t n, size_t n_slices, const mb_slice_memory *m) {
  memset(m->gain, 0, n * sizeof *m->gain);
  for (size_t s = 0; s < n_slices; s++) {
    m->gain[m->top[s]] += m->worth[s];
  }
}

/* Who gets the next replica; -1: nobody has any load. */
static int32_t choose(size_t n, const double *gain, const double *total, const int32_t *count) {
  size_t best = 0;
  size_t neediest = 0;

  for (size_t x = 1; x < n; x++) {
    best = gain[x] > gain[best] ? x : best;
  }
  if (gain[best] > 0) {
    return (int32_t)best;
  }
  for (size_t x = 1; x < n; x++) {
    neediest = total[x] / count[x] > total[neediest] / count[neediest] ? x : neediest;
  }
  return total[neediest] > 0 ? (int32_t)neediest : -1;
}

/* Expert x has one replica more than before: who is hottest and next in a slice where it is one of
   them. The row is searched again only where it has fallen behind. */
static void rank_again(size_t n, size_t s, int32_t x, const mb_slice_memory *m) {
  double *rate = m->rate + s * n;
  int32_t second = m->second[s];

  if (m->top[s] == x) {
    if (second < 0 || rate[x] > rate[second] || (rate[x] == rate[second] && x < second)) {
      return;
    }
    m->top[s] = second;
  }
  m->second[s] = find_second(n, rate, m->top[s]);
}

/* Expert x has another count. */
static void change(size_t n, size_t n_slices, const double *load, const mb_slice_rule *rule,
                   const mb_slice_memory *m, int32_t x, const int32_t *count) {
  for (size_t s = 0; s < n_slices; s++) {
    m->rate[s * n + (size_t)x] = load[s * n + (size_t)x] / count[x];
    if (m->top[s] == x || m->second[s] == x) {
      rank_again(n, s, x, m);
      find_worth(n, s, load, rule, m, count);
    }
  }
}

void mb_replicate_slices(size_t n, size_t n_slots, size_t n_slices, const double *load,
                         const double *total, const mb_slice_rule *rule, mb_slice_memory *memory,
                         int32_t *count, int32_t *item) {
  for (size_t x = 0; x < n; x++) {
    count[x] = 1;
    item[x] = (int32_t)x;
  }
  if (n_slots > n) {
    memcpy(memory->rate, load, n_slices * n * sizeof *load);
    for (size_t s = 0; s < n_slices; s++) {
      memory->top[s] = (int32_t)mb_argmax(memory->rate + s * n, n);
      memory->second[s] = find_second(n, memory->rate + s * n, memory->top[s]);
      find_worth(n, s, load, rule, memory, count);
    }
  }
  for (size_t slot = n; slot < n_slots; slot++) {
    sum_gains(n, n_slices, memory);
    int32_t x = choose(n, memory->gain, total, count);
    x = x >= 0 ? x : item[slot - n];
    item[slot] = x;
    count[x]++;
    change(n, n_slices, load, rule, memory, x, count);
  }
}
