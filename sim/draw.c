/* sim/draw.c */
#include "sim/draw.h"

#include <assert.h>
#include <math.h>

/* Tails below this add up to nothing that a uniform number of 53 bits could tell from rounding. */
static const double tail_min = 1e-18;

static uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

static uint64_t next(mb_draw *draw) {
  draw->state += 0x9e3779b97f4a7c15u;
  return mix(draw->state);
}

mb_draw mb_draw_start(size_t n, const uint64_t *key) {
  mb_draw draw = {0};

  for (size_t i = 0; i < n; i++) {
    draw.state = next(&draw) ^ key[i];
  }
  draw.state = next(&draw);
  return draw;
}

double mb_draw_uniform(mb_draw *draw) {
  return (double)(next(draw) >> 11) * 0x1p-53;
}

uint64_t mb_draw_below(mb_draw *draw, uint64_t n) {
  assert(n >= 1);
  return next(draw) % n;
}

/* log(n!): Stirling's series, to 1e-12 from 18 on. */
static double log_factorial(uint64_t n) {
  static const double factorial[] = {1.0,
                                     1.0,
                                     2.0,
                                     6.0,
                                     24.0,
                                     120.0,
                                     720.0,
                                     5040.0,
                                     40320.0,
                                     362880.0,
                                     3628800.0,
                                     39916800.0,
                                     479001600.0,
                                     6227020800.0,
                                     87178291200.0,
                                     1307674368000.0,
                                     20922789888000.0,
                                     355687428096000.0};
  const double half_log_2pi = 0.91893853320467274178;

  if (n < sizeof factorial / sizeof factorial[0]) {
    return log(factorial[n]);
  }
  double x = (double)n;
  double r = 1.0 / (x * x);
  return (x + 0.5) * log(x) - x + half_log_2pi +
         (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0))) / x;
}

static double log_choose(uint64_t n, uint64_t k) {
  return log_factorial(n) - log_factorial(k) - log_factorial(n - k);
}

/* A distribution with one mode, over [low, high]: f(k + 1) / f(k) =
   (a - k) (b - k) / ((k + 1) (c + k + 1)) for the hypergeometric one; odds (a - k) / (k + 1) for
   the binomial one. */
typedef struct one_mode {
  uint64_t low, high, mode;
  double at_mode; /* probability of the mode, or of what lies near it */
  double a, b, c, odds;
} one_mode;

static double ratio(const one_mode *f, uint64_t k) {
  double x = (double)k;

  return f->odds > 0.0 ? f->odds * (f->a - x) / (x + 1.0)
                       : (f->a - x) * (f->b - x) / ((x + 1.0) * (f->c + x + 1.0));
}

/* Takes probabilities off u, from the mode outwards, until it is used up. */
static uint64_t invert(const one_mode *f, double u) {
  uint64_t up = f->mode;
  uint64_t down = f->mode;
  double above = f->at_mode;
  double below = f->at_mode;

  u -= f->at_mode;
  while (u >= 0.0 && (above >= tail_min || below >= tail_min)) {
    above = up < f->high ? above * ratio(f, up) : 0.0;
    up += up < f->high;
    u -= above;
    if (u < 0.0 && above > 0.0) {
      return up;
    }
    below = down > f->low ? below / ratio(f, down - 1) : 0.0;
    down -= down > f->low;
    u -= below;
    if (u < 0.0 && below > 0.0) {
      return down;
    }
  }
  return f->mode;
}

static uint64_t clamp(double x, uint64_t low, uint64_t high) {
  uint64_t near = x > 0.0 ? (uint64_t)x : 0;

  return near < low ? low : near > high ? high : near;
}

uint64_t mb_draw_binomial(mb_draw *draw, uint64_t n, double p) {
  assert(p >= 0.0 && p <= 1.0);
  if (n == 0 || p <= 0.0) {
    return 0;
  }
  if (p >= 1.0) {
    return n;
  }
  one_mode f = {.high = n, .a = (double)n, .odds = p / (1.0 - p)};
  f.mode = clamp(((double)n + 1.0) * p, 0, n);
  f.at_mode =
      exp(log_choose(n, f.mode) + (double)f.mode * log(p) + (double)(n - f.mode) * log1p(-p));
  return invert(&f, mb_draw_uniform(draw));
}

uint64_t mb_draw_hypergeometric(mb_draw *draw, uint64_t part, uint64_t total, uint64_t picked) {
  assert(part <= total && picked <= total);
  uint64_t others = total - part;
  one_mode f = {.low = picked > others ? picked - others : 0,
                .high = picked < part ? picked : part,
                .a = (double)part,
                .b = (double)picked,
                .c = (double)others - (double)picked};
  if (f.low == f.high) {
    return f.low;
  }
  f.mode =
      clamp(((double)part + 1.0) * ((double)picked + 1.0) / ((double)total + 2.0), f.low, f.high);
  f.at_mode = exp(log_choose(part, f.mode) + log_choose(others, picked - f.mode) -
                  log_choose(total, picked));
  return invert(&f, mb_draw_uniform(draw));
}

void mb_draw_cells(mb_draw *draw, size_t n, const uint64_t *size, uint64_t picked,
                   uint64_t *count) {
  uint64_t total = 0;

  for (size_t i = 0; i < n; i++) {
    total += size[i];
  }
  for (size_t i = 0; i < n; i++) {
    count[i] = picked > 0 ? mb_draw_hypergeometric(draw, size[i], total, picked) : 0;
    picked -= count[i];
    total -= size[i];
  }
}
