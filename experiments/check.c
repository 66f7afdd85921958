/* experiments/check.c */
#include "experiments/check.h"

#include <assert.h>
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- judging --- */

static bool same_value(double a, double b) {
  return a == b || (isnan(a) && isnan(b));
}

/* How far from 0 the mean is at least, at the confidence; below 0: it may be 0. */
static double distance_from_zero(size_t n, double mean, double deviation) {
  double quantile = gsl_cdf_tdist_Pinv(MB_CHECK_CONFIDENCE, (double)(n - 1));

  return fabs(mean) - quantile * deviation / sqrt((double)n);
}

/* Of differences that are numbers, some of them not 0. */
static void judge_differences(size_t n, const double *difference, double margin,
                              mb_check_judgement *j) {
  double mean = gsl_stats_mean(difference, 1, n);
  bool is_chance = false;

  j->change = mean / fabs(j->before);
  if (n > 1) {
    double distance = distance_from_zero(n, mean, gsl_stats_sd_m(difference, 1, n, mean));
    j->bound = copysign(1.0, mean) * distance / fabs(j->before);
    is_chance = !(distance > 0);
  }
  if (is_chance) {
    return;
  }
  j->worse_below = j->change > 0 ? j->change : 0;
  if (margin < j->worse_below) {
    j->outcome = MB_CHECK_WORSE;
  } else if (-j->change > margin) {
    j->outcome = MB_CHECK_BETTER;
  }
}

mb_check_judgement mb_check_judge(size_t n, const double *before, const double *after,
                                  double margin, double *scratch) {
  mb_check_judgement j = {.outcome = MB_CHECK_SAME, .n_seeds = n, .bound = NAN};
  bool paired = true;

  assert(n > 0 && margin >= 0);
  j.before = gsl_stats_mean(before, 1, n);
  j.after = gsl_stats_mean(after, 1, n);
  for (size_t i = 0; i < n; i++) {
    if (!same_value(before[i], after[i])) {
      j.outcome = MB_CHECK_CHANGED;
    }
    paired = paired && !isnan(before[i]) && !isnan(after[i]);
    j.n_worse += after[i] > before[i];
    j.n_better += after[i] < before[i];
    scratch[i] = after[i] - before[i];
  }
  if (j.outcome == MB_CHECK_CHANGED && !paired) {
    j.outcome = MB_CHECK_UNPAIRED;
  } else if (j.outcome == MB_CHECK_CHANGED) {
    judge_differences(n, scratch, margin, &j);
  }
  return j;
}

/* --- comparing --- */

static bool same_strategy(const mb_baseline_score *a, const mb_baseline_score *b) {
  return strcmp(a->strategy, b->strategy) == 0 && strcmp(a->setting, b->setting) == 0;
}

static mb_baseline_score *find_twin(const mb_baseline *baseline, const mb_baseline_score *score) {
  return mb_baseline_find(baseline, score->setting, score->strategy, score->seed);
}

static void find_missing(const mb_baseline *of, const mb_baseline *in, bool in_baseline,
                         mb_check *check) {
  for (size_t i = 0; i < of->n_scores; i++) {
    const mb_baseline_score *score = &of->score[i];
    if (find_twin(in, score) == NULL) {
      check->missing[check->n_missing++] = (mb_check_missing){.setting = score->setting,
                                                              .strategy = score->strategy,
                                                              .seed = score->seed,
                                                              .in_baseline = in_baseline};
    }
  }
}

/* The same run before and after. */
typedef struct pair {
  const mb_baseline_score *before, *after;
} pair;

/* All pairs of a strategy. */
typedef struct pairs {
  size_t n;
  pair *pair;
  double *before, *after, *scratch; /* of one metric */
} pairs;

static void pairs_fini(pairs *p) {
  free(p->pair);
  free(p->before);
  free(p->after);
  free(p->scratch);
}

static bool pairs_init(pairs *p, size_t n) {
  *p = (pairs){.pair = malloc(n * sizeof *p->pair),
               .before = malloc(n * sizeof *p->before),
               .after = malloc(n * sizeof *p->after),
               .scratch = malloc(n * sizeof *p->scratch)};
  return p->pair != NULL && p->before != NULL && p->after != NULL && p->scratch != NULL;
}

/* Of the strategy that the score `first` is the first of. */
static void find_pairs(const mb_baseline *before, const mb_baseline *after, size_t first,
                       pairs *p) {
  p->n = 0;
  for (size_t i = first; i < before->n_scores; i++) {
    const mb_baseline_score *score = &before->score[i];
    const mb_baseline_score *twin =
        same_strategy(score, &before->score[first]) ? find_twin(after, score) : NULL;
    if (twin != NULL) {
      p->pair[p->n++] = (pair){score, twin};
    }
  }
}

static void judge_metric(pairs *p, size_t metric, double margin, mb_check *check) {
  mb_check_row row = {.setting = p->pair[0].before->setting,
                      .strategy = p->pair[0].before->strategy,
                      .metric = metric,
                      .margin = margin};

  for (size_t i = 0; i < p->n; i++) {
    const pair *one = &p->pair[i];
    p->before[i] = one->before->value[metric];
    p->after[i] = one->after->value[metric];
    row.n_moved += strcmp(one->before->placements, one->after->placements) != 0;
  }
  row.judgement = mb_check_judge(p->n, p->before, p->after, margin, p->scratch);
  check->row[check->n_rows++] = row;
}

static bool is_first(const mb_baseline *baseline, size_t i) {
  size_t j = 0;

  while (!same_strategy(&baseline->score[j], &baseline->score[i])) {
    j++;
  }
  return j == i;
}

mb_status mb_check_compare(const mb_baseline *before, const mb_baseline *after,
                           const double *margin, mb_check *check) {
  size_t n = before->n_scores + after->n_scores + 1;
  mb_check made = {.row = malloc(n * MB_BASELINE_METRICS * sizeof *made.row),
                   .missing = malloc(n * sizeof *made.missing)};
  pairs p;

  if (!pairs_init(&p, n) || made.row == NULL || made.missing == NULL) {
    pairs_fini(&p);
    mb_check_fini(&made);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to compare with a baseline");
  }
  find_missing(before, after, true, &made);
  find_missing(after, before, false, &made);
  for (size_t i = 0; i < before->n_scores; i++) {
    if (!is_first(before, i)) {
      continue;
    }
    find_pairs(before, after, i, &p);
    for (size_t m = 0; p.n > 0 && m < MB_BASELINE_METRICS; m++) {
      judge_metric(&p, m, margin[m], &made);
    }
  }
  pairs_fini(&p);
  *check = made;
  return MB_OK;
}

void mb_check_fini(mb_check *check) {
  free(check->row);
  free(check->missing);
  *check = (mb_check){.row = NULL};
}

size_t mb_check_count(const mb_check *check, mb_check_outcome outcome) {
  size_t n = 0;

  for (size_t i = 0; i < check->n_rows; i++) {
    n += check->row[i].judgement.outcome == outcome;
  }
  return n;
}

/* --- where --- */

/* Puts a part in its place among the worst so far. */
static size_t insert(mb_check_part found, size_t n_found, size_t n, mb_check_part *part) {
  size_t i = n_found;

  while (i > 0 && part[i - 1].change < found.change) {
    if (i < n) {
      part[i] = part[i - 1];
    }
    i--;
  }
  if (i < n) {
    part[i] = found;
  }
  return n_found < n ? n_found + 1 : n;
}

size_t mb_check_find_parts(const mb_baseline *before, const mb_baseline *after, const char *setting,
                           const char *strategy, size_t metric, bool layers, size_t n,
                           mb_check_part *part) {
  size_t n_found = 0;

  for (size_t i = 0; i < before->n_parts; i++) {
    const mb_baseline_part *old = &before->part[i];
    const mb_baseline_part *new = mb_baseline_find_part(after, old);
    if (old->metric != metric || old->is_layer != layers || new == NULL ||
        strcmp(old->strategy, strategy) != 0 || strcmp(old->setting, setting) != 0 ||
        !(new->value > old->value)) {
      continue;
    }
    mb_check_part found = {.name = old->name, .change = new->value / old->value - 1};
    n_found = insert(found, n_found, n, part);
  }
  return n_found;
}
