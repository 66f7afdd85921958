/* balancer/replicate_slices.c */
#include "balancer/replicate_slices.h"

#include <stdbool.h>
#include <string.h>

mb_slice_memory mb_slice_memory_take(mb_arena *arena, size_t n_slices, size_t n) {
  mb_slice_memory m;

  m.rate = mb_arena_take(arena, n_slices * n, sizeof *m.rate);
  m.gain = mb_arena_take(arena, n, sizeof *m.gain);
  m.top = mb_arena_take(arena, n_slices, sizeof *m.top);
  m.second = mb_arena_take(arena, n_slices, sizeof *m.second);
  return m;
}

/* The two largest of a row, the first of equals before. */
static void find_hottest(size_t n, const double *rate, int32_t *top, int32_t *second) {
  double most = -1;
  double next = -1;

  *top = -1;
  *second = -1;
  for (size_t x = 0; x < n; x++) {
    if (rate[x] > most) {
      next = most;
      *second = *top;
      most = rate[x];
      *top = (int32_t)x;
    } else if (rate[x] > next) {
      next = rate[x];
      *second = (int32_t)x;
    }
  }
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

static void sum_gains(size_t n, size_t n_slices, const double *load, const mb_slice_rule *rule,
                      const mb_slice_memory *m, const int32_t *count) {
  memset(m->gain, 0, n * sizeof *m->gain);
  for (size_t s = 0; s < n_slices; s++) {
    double fall = drop(load + s * n, m->rate + s * n, count, m->top[s], m->second[s]);
    double gain = fall > 0 ? fall : rule->tie_gain;
    m->gain[m->top[s]] += rule->weight != NULL ? rule->weight[s] * gain : gain;
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

/* Expert x has another count: its loads a replica, and who is hottest where it was or was next. */
static void change(size_t n, size_t n_slices, const double *load, const mb_slice_memory *m,
                   int32_t x, int32_t count) {
  for (size_t s = 0; s < n_slices; s++) {
    m->rate[s * n + (size_t)x] = load[s * n + (size_t)x] / count;
    if (m->top[s] == x || m->second[s] == x) {
      find_hottest(n, m->rate + s * n, &m->top[s], &m->second[s]);
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
      find_hottest(n, memory->rate + s * n, &memory->top[s], &memory->second[s]);
    }
  }
  for (size_t slot = n; slot < n_slots; slot++) {
    sum_gains(n, n_slices, load, rule, memory, count);
    int32_t x = choose(n, memory->gain, total, count);
    x = x >= 0 ? x : item[slot - n];
    item[slot] = x;
    count[x]++;
    change(n, n_slices, load, memory, x, count[x]);
  }
}
