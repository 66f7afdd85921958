/* tests/test_compare.c - comparisons of small results files, worked out by hand or by numpy. */
#include "experiments/compare.h"

#include <math.h>

#include "tests/results_cells.h"

enum { CELLS_MAX = 20, STEPS = 250, FIRST = 10 };

/** A cell: where it stands, and what the strategies none and l2_x reach. */
typedef struct cell {
  const char *interval; /* of the sweep */
  int64_t seed;
  size_t relabel;
  double none, l2_x; /* run_imbalance */
  bool failed;
} cell;

static const double loads[] = {0, 1, 2, 3, 2, 1};

/* --- writing a file --- */

static void put_run(hid_t file, const results_file *content, const cell *one, hsize_t n_steps,
                    const double *load) {
  char path[64];

  results_put_run(file, content);
  (void)snprintf(path, sizeof path, "/runs/%s", content->run);
  hid_t run = H5Gopen2(file, path, H5P_DEFAULT);
  results_check(run);
  results_put_number(run, "seed", one->seed);
  results_put_number(run, "relabel", (int64_t)one->relabel);
  if (load != NULL) {
    results_put_dataset(run, "step_load", H5T_NATIVE_DOUBLE, 1, &n_steps, load);
  }
  results_check(H5Gclose(run));
}

/* Plans every 10 steps, from the last 10. */
static void put_schedule(hid_t file, const char *name) {
  char path[64];

  (void)snprintf(path, sizeof path, "/runs/%s", name);
  hid_t run = H5Gopen2(file, path, H5P_DEFAULT);
  results_put_number(run, "interval", 10);
  results_put_number(run, "window", 10);
  results_check(H5Gclose(run));
}

/* Comparisons do not look at layers; files must have them. */
static void set_layers(int t, results_file *content) {
  for (size_t i = 0; i < RESULTS_STRATEGIES; i++) {
    for (size_t l = 0; l < RESULTS_LAYERS; l++) {
      content->imbalance[i][(size_t)t * RESULTS_LAYERS + l] = 1;
    }
  }
}

static const char *name_run(size_t i) {
  static char names[CELLS_MAX][16];

  (void)snprintf(names[i], sizeof names[i], "%zu.x", i);
  return names[i];
}

/* The steps are those of results_small(); cells are told apart by their summaries. */
static mb_results_file *write_cells(const char *name, size_t n, const cell *cells) {
  static cell_row rows[CELLS_MAX];
  static summary_row summary[2 * CELLS_MAX];
  results_file content = results_small();
  const char *path = results_path(name);
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  mb_results_file *opened = NULL;
  hsize_t n_rows = 0;

  content.n_plans = 0;
  results_put_text(file, "format", "moebal-results");
  results_put_number(file, "version", 1);
  for (size_t i = 0; i < n; i++) {
    const cell *one = &cells[i];
    rows[i] = (cell_row){.run = ""};
    (void)snprintf(rows[i].run, sizeof rows[i].run, "%s", name_run(i));
    (void)snprintf(rows[i].interval, sizeof rows[i].interval, "%s", one->interval);
    (void)snprintf(rows[i].seed, sizeof rows[i].seed, "%d", (int)one->seed);
    (void)snprintf(rows[i].error, sizeof rows[i].error, "%s", one->failed ? "no loads" : "");
    if (one->failed) {
      continue;
    }
    content.run = name_run(i);
    put_run(file, &content, one, content.n_steps, loads);
    for (size_t j = 0; j < 2; j++) {
      summary_row *row = &summary[n_rows++];
      *row = (summary_row){.run_imbalance = j == 0 ? one->none : one->l2_x, .worst_layer = 3};
      (void)snprintf(row->run, sizeof row->run, "%s", name_run(i));
      (void)snprintf(row->strategy, sizeof row->strategy, "%s", j == 0 ? "none" : "l2_x");
    }
  }
  cells_put_table(file, n, rows);
  cells_put_summary(file, n_rows, summary);
  results_check(H5Fclose(file));
  CHECK_OK(mb_results_file_open(path, &opened));
  CU_ASSERT_PTR_NOT_NULL_FATAL(opened);
  return opened;
}

static mb_comparison compare(const mb_results_file *file, const mb_compare_options *options) {
  mb_comparison comparison = {.n_rows = 0};

  CHECK_OK(mb_compare(file, options, &comparison));
  return comparison;
}

static mb_compare_options defaults(void) {
  mb_compare_options options;

  mb_compare_options_init(&options);
  return options;
}

/* --- blocks --- */

/* Differences without memory, loads of 0 to 6; what is expected of them numpy says, with the
   formulas written anew. A lifetime of 0 is not in the file. */
static mb_results_file *write_schedule(int64_t delay, int64_t lifetime) {
  static results_file content = {
      .run = "steps", .n_steps = STEPS, .summary_from = FIRST, .n_plans = 0};
  static const summary_row summary[] = {{"steps", "none", 2.220854978354978, 3},
                                        {"steps", "l2_x", 2.1724632034632037, 3}};
  const char *path = results_path("steps.h5");
  double load[STEPS];
  mb_results_file *opened = NULL;

  for (int t = 0; t < STEPS; t++) {
    load[t] = t == 33 ? 0 : (t % 7 == 3 ? 3 : 1) * (1 + t % 2);
    content.step_imbalance[0][t] = t == 33 ? NAN : 2 + (t * t * 31 + t * 17) % 97 / 200.0;
    content.step_imbalance[1][t] =
        content.step_imbalance[0][t] - 0.05 + ((t * t * 13 + t * 29) % 89 - 44) / 1000.0;
    set_layers(t, &content);
  }
  results_write(path, &content);
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  put_schedule(file, "steps");
  hid_t run = H5Gopen2(file, "/runs/steps", H5P_DEFAULT);
  hsize_t n_steps = STEPS;
  results_put_dataset(run, "step_load", H5T_NATIVE_DOUBLE, 1, &n_steps, load);
  results_put_number(run, "delay", delay);
  if (lifetime > 0) {
    results_put_number(run, "request_lifetime", lifetime);
  }
  results_check(H5Gclose(run));
  cells_put_summary(file, 2, summary);
  results_check(H5Fclose(file));
  CHECK_OK(mb_results_file_open(path, &opened));
  CU_ASSERT_PTR_NOT_NULL_FATAL(opened);
  return opened;
}

static mb_results_file *write_steps(void) {
  return write_schedule(0, 0);
}

static void test_blocks(void) {
  mb_compare_options options = defaults();
  mb_results_file *file = write_steps();
  mb_comparison comparison = compare(file, &options);

  CU_ASSERT_EQUAL_FATAL(comparison.n_rows, 1);
  const mb_compare_row *row = &comparison.row[0];
  CU_ASSERT_STRING_EQUAL(row->condition, "");
  CU_ASSERT_STRING_EQUAL(row->strategy, "l2_x");
  CU_ASSERT_STRING_EQUAL(row->baseline, "none");
  CU_ASSERT_DOUBLE_EQUAL(row->difference, -0.048391774891774736, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(row->error, 0.001638939015107129, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(row->error_by_step, 0.0019431712796893989, 1e-12);
  /* The quantiles of t are -2.285 and 1.901 in 20,000 resamples by numpy: not symmetric. */
  CU_ASSERT_DOUBLE_EQUAL(row->low, row->difference - 1.901 * row->error, 0.1 * row->error);
  CU_ASSERT_DOUBLE_EQUAL(row->high, row->difference + 2.285 * row->error, 0.1 * row->error);
  CU_ASSERT_STRING_EQUAL(row->method, "bootstrap-t");
  CU_ASSERT_DOUBLE_EQUAL(row->p, 0.0001, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(row->p_holm, 0.0001, 1e-12);
  CU_ASSERT(row->n_units == 24 && row->block_length == 10 && !row->lifetime_known);
  CU_ASSERT_STRING_EQUAL(row->unit, "blocks");
  CU_ASSERT_STRING_EQUAL(row->block_from, "interval");
  CU_ASSERT(row->n_seeds == 1 && row->n_wins == 1 && row->n_losses == 0);
  CU_ASSERT(row->seed[0].seed == -1 && row->n_relabellings == 1 && isnan(row->relabel_sd));
  CU_ASSERT_EQUAL(row->verdict, MB_COMPARE_BETTER);
  mb_comparison_fini(&comparison);
  mb_results_file_close(file);
}

/* Blocks begin at the steps 23, 33 ... 243, the first at 10: as many as without delay, and other
   ones, with an error of their own. */
static void test_delay(void) {
  mb_compare_options options = defaults();
  mb_results_file *file = write_schedule(3, 0);
  mb_comparison comparison = compare(file, &options);
  const mb_compare_row *row = &comparison.row[0];

  CU_ASSERT(row->n_units == 24 && row->block_length == 10);
  CU_ASSERT_DOUBLE_EQUAL(row->difference, -0.048391774891774736, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(row->error, 0.00173212374205121, 1e-12);
  mb_comparison_fini(&comparison);
  mb_results_file_close(file);
}

/* --- blocks crossed with relabellings --- */

enum { LONG_STEPS = 900 };

/* Relabelling r: both strategies have an order of their own, and so has the difference, which stays
   the same for some 12 steps at a time. */
static void fill_relabelling(int r, results_file *content) {
  for (int t = 0; t < LONG_STEPS; t++) {
    int k = t / 12;
    double none = 2 + (t * t * 31 + t * 17 + r * t * 23) % 97 / 200.0;
    double slow = ((k * k * k * 7 + k * 13) % 41 - 20) / 400.0;
    double quick = ((t * t * (12 + r) + t * 29) % 89 - 44) / 1000.0;
    double order = r * (k * r * 5 % 7 - 3) / 1000.0 + (r - 2) * 0.004;
    content->step_imbalance[0][t] = t == 33 ? NAN : none;
    content->step_imbalance[1][t] = t == 33 ? NAN : none - 0.0095 + slow + quick + order;
    set_layers(t, content);
  }
}

static mb_results_file *write_relabelled_steps(void) {
  static results_file content = {.n_steps = LONG_STEPS, .summary_from = FIRST, .n_plans = 0};
  static const double reached[3][2] = {{2.214671348314607, 2.2005477528089887},
                                       {2.246078651685393, 2.2401011235955055},
                                       {2.234162921348315, 2.2289837078651686}};
  summary_row summary[6] = {{.run = ""}};
  cell_row rows[3] = {{.run = ""}};
  double load[LONG_STEPS];
  const char *path = results_path("relabelled_steps.h5");
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  mb_results_file *opened = NULL;

  results_put_text(file, "format", "moebal-results");
  results_put_number(file, "version", 1);
  for (int t = 0; t < LONG_STEPS; t++) {
    load[t] = t == 33 ? 0 : 1 + t % 3;
  }
  for (size_t i = 0; i < 3; i++) {
    const cell one = {.seed = -1, .relabel = i + 1};
    content.run = name_run(i);
    fill_relabelling((int)i + 1, &content);
    put_run(file, &content, &one, LONG_STEPS, load);
    put_schedule(file, content.run);
    (void)snprintf(rows[i].run, sizeof rows[i].run, "%s", content.run);
    for (size_t j = 0; j < 2; j++) {
      summary_row *row = &summary[2 * i + j];
      *row = (summary_row){.run_imbalance = reached[i][j], .worst_layer = 3};
      (void)snprintf(row->run, sizeof row->run, "%s", content.run);
      (void)snprintf(row->strategy, sizeof row->strategy, "%s", j == 0 ? "none" : "l2_x");
    }
  }
  cells_put_table(file, 3, rows);
  cells_put_summary(file, 6, summary);
  results_check(H5Fclose(file));
  CHECK_OK(mb_results_file_open(path, &opened));
  CU_ASSERT_PTR_NOT_NULL_FATAL(opened);
  return opened;
}

/* What numpy has, with the formulas written anew, and the length that the package arch gives, 34.8.
   Were signs flipped by step, p would be 0; were relabellings forgotten, 0.069. */
static void test_relabelled_blocks(void) {
  mb_compare_options options = defaults();
  mb_results_file *file = write_relabelled_steps();
  mb_comparison comparison = compare(file, &options);

  CU_ASSERT_EQUAL_FATAL(comparison.n_rows, 1);
  const mb_compare_row *row = &comparison.row[0];
  CU_ASSERT(row->n_relabellings == 3 && row->n_seeds == 1);
  CU_ASSERT_STRING_EQUAL(row->block_from, "data");
  CU_ASSERT(row->block_length == 40 && row->n_units == 22);
  CU_ASSERT_DOUBLE_EQUAL(row->difference, -0.008426779026217229, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(row->error, 0.00516917821553249, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(row->error_by_step, 0.0013344910885535826, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(row->low, row->difference - 2.234 * row->error, 0.1 * row->error);
  CU_ASSERT_DOUBLE_EQUAL(row->high, row->difference + 2.030 * row->error, 0.1 * row->error);
  CU_ASSERT_DOUBLE_EQUAL(row->p, 0.1282, 0.014);
  mb_comparison_fini(&comparison);
  /* -0.4 %, between -0.9 % and 0.1 %: within half a percent itself, its interval within one. */
  static const struct {
    double margin;
    mb_compare_verdict verdict;
  } ties[] = {{0, MB_COMPARE_UNCLEAR}, {0.005, MB_COMPARE_UNCLEAR}, {0.01, MB_COMPARE_TIE}};
  for (size_t i = 0; i < sizeof ties / sizeof *ties; i++) {
    options.margin = ties[i].margin;
    comparison = compare(file, &options);
    CU_ASSERT_EQUAL(comparison.row[0].verdict, ties[i].verdict);
    mb_comparison_fini(&comparison);
  }
  mb_results_file_close(file);
}

/* A margin of 3 % holds the whole interval around -2.2 %; other seeds draw other numbers. */
static void test_options(void) {
  mb_compare_options options = defaults();
  mb_results_file *file = write_steps();
  mb_comparison first = compare(file, &options);

  options.margin = 0.03;
  mb_comparison other = compare(file, &options);
  CU_ASSERT_EQUAL(other.row[0].verdict, MB_COMPARE_TIE);
  CU_ASSERT_DOUBLE_EQUAL(other.row[0].low, first.row[0].low, 0);
  mb_comparison_fini(&other);
  options.seed = 1;
  options.baseline = "l2_x";
  other = compare(file, &options);
  CU_ASSERT_STRING_EQUAL(other.row[0].strategy, "none");
  CU_ASSERT_DOUBLE_EQUAL(other.row[0].difference, -first.row[0].difference, 1e-15);
  CU_ASSERT(other.row[0].low != -first.row[0].high);
  mb_comparison_fini(&other);
  options.confidence = 0.5;
  options.margin = 0;
  other = compare(file, &options);
  CU_ASSERT_EQUAL(other.row[0].verdict, MB_COMPARE_WORSE);
  CU_ASSERT_DOUBLE_EQUAL(other.row[0].low, other.row[0].difference - 0.685 * other.row[0].error,
                         0.1 * other.row[0].error);
  mb_comparison_fini(&other);
  options.baseline = "l3";
  CHECK_FAILS(mb_compare(file, &options, &other), MB_ERR_PARAM,
              "there is no strategy 'l3' to compare with; there is none, l2_x");
  mb_comparison_fini(&first);
  mb_results_file_close(file);
}

/* Requests of 12 steps make blocks of 20, too few for an interval. */
static void test_too_few(void) {
  mb_compare_options options = defaults();
  mb_results_file *file = write_steps();

  options.lifetime = 12;
  mb_comparison comparison = compare(file, &options);
  const mb_compare_row *row = &comparison.row[0];
  CU_ASSERT(row->n_units == 12 && row->block_length == 20 && row->lifetime_known);
  CU_ASSERT_STRING_EQUAL(row->block_from, "lifetime");
  CU_ASSERT_EQUAL(row->verdict, MB_COMPARE_TOO_FEW);
  CU_ASSERT(isnan(row->low) && isnan(row->high) && isnan(row->error));
  CU_ASSERT(isnan(row->p) && isnan(row->p_holm));
  CU_ASSERT_DOUBLE_EQUAL(row->difference, -0.048391774891774736, 1e-12);
  mb_comparison_fini(&comparison);
  mb_results_file_close(file);
}

/* The file says how long a request lives; the option goes before it. */
static void test_lifetime_of_run(void) {
  mb_compare_options options = defaults();
  mb_results_file *file = write_schedule(0, 12);
  mb_comparison comparison = compare(file, &options);
  const mb_compare_row *row = &comparison.row[0];

  CU_ASSERT(row->n_units == 12 && row->block_length == 20 && row->lifetime_known);
  CU_ASSERT_STRING_EQUAL(row->block_from, "lifetime");
  CU_ASSERT_EQUAL(row->verdict, MB_COMPARE_TOO_FEW);
  mb_comparison_fini(&comparison);
  options.lifetime = 4;
  comparison = compare(file, &options);
  row = &comparison.row[0];
  CU_ASSERT(row->n_units == 24 && row->block_length == 10 && row->lifetime_known);
  CU_ASSERT_STRING_EQUAL(row->block_from, "interval");
  mb_comparison_fini(&comparison);
  mb_results_file_close(file);
}

/* --- seeds --- */

/* Differences -0.1, -0.2, -0.3: standard error 0.1 / sqrt(3), and t(0.975) of 2 degrees of freedom
   is 4.302653; of the 8 flips 2 reach as far. */
static void test_seeds(void) {
  static const cell cells[] = {
      {"2", 1, 0, 2.0, 1.9, false}, {"2", 2, 0, 2.1, 1.9, false}, {"2", 5, 0, 2.5, 2.2, false}};
  mb_compare_options options = defaults();
  mb_results_file *file = write_cells("seeds.h5", 3, cells);
  mb_comparison comparison = compare(file, &options);

  CU_ASSERT_EQUAL_FATAL(comparison.n_rows, 1);
  const mb_compare_row *row = &comparison.row[0];
  CU_ASSERT_STRING_EQUAL(row->condition, "schedule.interval=2");
  CU_ASSERT_DOUBLE_EQUAL(row->value, 2.0, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(row->baseline_value, 2.2, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(row->difference, -0.2, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(row->error, 0.1 / sqrt(3), 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(row->low, -0.2 - 4.302652730 * 0.1 / sqrt(3), 1e-8);
  CU_ASSERT_DOUBLE_EQUAL(row->high, -0.2 + 4.302652730 * 0.1 / sqrt(3), 1e-8);
  CU_ASSERT_DOUBLE_EQUAL(row->p, 0.25, 0);
  CU_ASSERT_STRING_EQUAL(row->method, "Student's t");
  CU_ASSERT_STRING_EQUAL(row->unit, "seeds");
  CU_ASSERT(row->n_units == 3 && row->block_length == 0 && isnan(row->error_by_step));
  CU_ASSERT(row->n_seeds == 3 && row->n_wins == 3 && row->n_losses == 0);
  CU_ASSERT(row->seed[2].seed == 5);
  CU_ASSERT_DOUBLE_EQUAL(row->seed[2].value, 2.2, 0);
  CU_ASSERT_DOUBLE_EQUAL(row->seed[2].baseline_value, 2.5, 0);
  CU_ASSERT_DOUBLE_EQUAL(row->moved_experts, 7, 1e-12);
  CU_ASSERT_EQUAL(row->verdict, MB_COMPARE_UNCLEAR);
  mb_comparison_fini(&comparison);
  mb_results_file_close(file);
}

/* From 20 seeds on they are resampled. */
static void test_many_seeds(void) {
  cell cells[20];
  mb_compare_options options = defaults();

  for (size_t i = 0; i < 20; i++) {
    double gain = 0.1 + 0.01 * (double)(i * 7 % 11);
    cells[i] = (cell){"2", (int64_t)i, 0, 2, 2 - gain, false};
  }
  for (size_t n = 19; n <= 20; n++) {
    mb_results_file *file = write_cells("many.h5", n, cells);
    mb_comparison comparison = compare(file, &options);
    CU_ASSERT_EQUAL(comparison.row[0].n_units, n);
    CU_ASSERT_STRING_EQUAL(comparison.row[0].method, n == 20 ? "bootstrap-t" : "Student's t");
    mb_comparison_fini(&comparison);
    mb_results_file_close(file);
  }
}

/* A seed where both are equal is neither won nor lost. */
static void test_even_seed(void) {
  static const cell cells[] = {{"2", 1, 0, 2.0, 1.9, false},
                               {"2", 2, 0, 2.0, 2.0, false},
                               {"2", 3, 0, 2.0, 2.1, false},
                               {"2", 4, 0, 2.0, 2.2, false}};
  mb_compare_options options = defaults();
  mb_results_file *file = write_cells("even.h5", 4, cells);
  mb_comparison comparison = compare(file, &options);

  CU_ASSERT_EQUAL(comparison.row[0].n_wins, 1);
  CU_ASSERT_EQUAL(comparison.row[0].n_losses, 2);
  mb_comparison_fini(&comparison);
  mb_results_file_close(file);
}

/* The differences are, in hundredths, 1, 2, 6 in relabelling 1 and 3, 6, 7 in relabelling 2: mean
   squares of 61/6 for seeds, 49/6 for relabellings and 7/6 for the rest, so (61 + 49 - 7) / 6 over
   6 values. The strategy's own values differ over relabellings by 0.01, 0.02, 0.03. */
static void test_relabellings(void) {
  static const cell cells[] = {{"2", 1, 1, 1.49, 1.50, false}, {"2", 1, 2, 1.48, 1.51, false},
                               {"2", 2, 1, 1.48, 1.50, false}, {"2", 2, 2, 1.46, 1.52, false},
                               {"2", 3, 1, 1.44, 1.50, false}, {"2", 3, 2, 1.46, 1.53, false}};
  mb_compare_options options = defaults();
  mb_results_file *file = write_cells("relabelled.h5", 6, cells);
  mb_comparison comparison = compare(file, &options);

  CU_ASSERT_EQUAL_FATAL(comparison.n_rows, 1);
  const mb_compare_row *row = &comparison.row[0];
  CU_ASSERT_DOUBLE_EQUAL(row->difference, 0.25 / 6, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(row->error, sqrt(103.0 / 36) / 100, 1e-12);
  CU_ASSERT(row->n_relabellings == 2 && row->n_units == 3 && row->n_losses == 3);
  CU_ASSERT_DOUBLE_EQUAL(row->relabel_range, 0.02, 1e-12);
  /* From 1 to 3, 2 to 6 and 6 to 7: (2 + 4 + 1) / 3 hundredths. */
  CU_ASSERT_DOUBLE_EQUAL(row->relabel_difference_range, 0.07 / 3, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(row->relabel_sd, sqrt((0.5 + 2 + 4.5) / 3) / 100, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(row->seed[1].value, 1.51, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(row->p, 0.25, 0);
  mb_comparison_fini(&comparison);
  mb_results_file_close(file);
}

/* Six seeds that all win give p = 2 / 64 in either setting; of two, Holm doubles the first. */
static void test_conditions(void) {
  cell cells[12];
  mb_compare_options options = defaults();

  for (size_t i = 0; i < 12; i++) {
    double gain = i % 2 == 0 ? 0.1 + 0.001 * (double)i : 0.2 + 0.001 * (double)i;
    cells[i] = (cell){i % 2 == 0 ? "2" : "4", (int64_t)i / 2, 0, 2, 2 - gain, false};
  }
  mb_results_file *file = write_cells("conditions.h5", 12, cells);
  mb_comparison comparison = compare(file, &options);
  CU_ASSERT_EQUAL_FATAL(comparison.n_rows, 2);
  CU_ASSERT_STRING_EQUAL(comparison.row[0].condition, "schedule.interval=2");
  CU_ASSERT_STRING_EQUAL(comparison.row[1].condition, "schedule.interval=4");
  CU_ASSERT_DOUBLE_EQUAL(comparison.row[0].difference, -0.105, 1e-12);
  CU_ASSERT_DOUBLE_EQUAL(comparison.row[1].difference, -0.206, 1e-12);
  for (size_t i = 0; i < 2; i++) {
    CU_ASSERT_DOUBLE_EQUAL(comparison.row[i].p, 2.0 / 64, 0);
    CU_ASSERT_DOUBLE_EQUAL(comparison.row[i].p_holm, 4.0 / 64, 0);
    CU_ASSERT_EQUAL(comparison.row[i].verdict, MB_COMPARE_BETTER);
  }
  mb_comparison_fini(&comparison);
  mb_results_file_close(file);
}

/* Its six steps are two blocks. */
static void test_single_seed_of_sweep(void) {
  static const cell cells[] = {{"2", 1, 0, 2.0, 1.9, false}};
  mb_compare_options options = defaults();
  mb_results_file *file = write_cells("single.h5", 1, cells);
  mb_comparison comparison = compare(file, &options);

  CU_ASSERT_EQUAL(comparison.row[0].verdict, MB_COMPARE_TOO_FEW);
  CU_ASSERT_EQUAL(comparison.row[0].n_units, 2);
  CU_ASSERT_STRING_EQUAL(comparison.row[0].unit, "blocks");
  mb_comparison_fini(&comparison);
  mb_results_file_close(file);
}

/* Seed 2 lacks one of its relabellings; without it the table is full. */
static void test_missing_cells(void) {
  static const cell cells[] = {{"2", 1, 1, 1.5, 1.4, false}, {"2", 1, 2, 1.5, 1.4, false},
                               {"2", 2, 1, 1.5, 1.1, false}, {"2", 2, 2, 1.5, 1.1, true},
                               {"2", 3, 1, 1.5, 1.3, false}, {"2", 3, 2, 1.5, 1.3, false}};
  mb_compare_options options = defaults();
  mb_results_file *file = write_cells("missing.h5", 6, cells);
  mb_comparison comparison = compare(file, &options);

  CU_ASSERT_EQUAL_FATAL(comparison.n_rows, 1);
  CU_ASSERT(comparison.n_failed == 1 && comparison.n_spare == 1);
  CU_ASSERT(comparison.row[0].n_seeds == 2 && comparison.row[0].n_relabellings == 2);
  CU_ASSERT_DOUBLE_EQUAL(comparison.row[0].difference, -0.15, 1e-12);
  CU_ASSERT(comparison.row[0].seed[0].seed == 1 && comparison.row[0].seed[1].seed == 3);
  mb_comparison_fini(&comparison);
  mb_results_file_close(file);
}

static void test_refused(void) {
  static const cell same[] = {{"2", -1, 0, 2.0, 1.9, false}, {"2", -1, 0, 2.1, 1.9, false}};
  static const cell twice[] = {{"2", 4, 0, 2.0, 1.9, false}, {"2", 4, 0, 2.1, 1.9, false}};
  mb_compare_options options = defaults();
  mb_comparison comparison;
  mb_results_file *file = write_cells("same.h5", 2, same);

  CHECK_FAILS(mb_compare(file, &options, &comparison), MB_ERR_PARAM,
              "runs 0.x and 1.x have the same loads, those of a trace file");
  mb_results_file_close(file);
  file = write_cells("twice.h5", 2, twice);
  CHECK_FAILS(mb_compare(file, &options, &comparison), MB_ERR_PARAM, "those of seed 4");
  mb_results_file_close(file);
}

int main(void) {
  CU_TestInfo tests[] = {
      {"blocks of steps", test_blocks},
      {"blocks begin with plans", test_delay},
      {"blocks and relabellings", test_relabelled_blocks},
      {"options", test_options},
      {"too few blocks", test_too_few},
      {"the run's lifetime", test_lifetime_of_run},
      {"seeds", test_seeds},
      {"many seeds", test_many_seeds},
      {"a seed neither won nor lost", test_even_seed},
      {"seeds and relabellings", test_relabellings},
      {"settings of a sweep", test_conditions},
      {"a sweep of one cell", test_single_seed_of_sweep},
      {"missing cells", test_missing_cells},
      {"what cannot be compared", test_refused},
      CU_TEST_INFO_NULL,
  };
  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  return run_suite("compare", tests);
}
