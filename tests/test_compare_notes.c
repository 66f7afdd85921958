/* tests/test_compare_notes.c - what stands below the tables of comparisons, of rows made by hand.
 */
#include "experiments/compare_print.h"

#include <math.h>

#include "tests/test.h"

/* --- rows --- */

/* 22 blocks of 10 steps, clearly better. */
static mb_compare_row blocks(void) {
  return (mb_compare_row){.condition = "",
                          .strategy = "l2",
                          .baseline = "lpt",
                          .value = 1.9,
                          .baseline_value = 2,
                          .difference = -0.1,
                          .error = 0.01,
                          .error_by_step = 0.01,
                          .low = -0.12,
                          .high = -0.08,
                          .method = "bootstrap-t",
                          .p = 0.001,
                          .p_holm = 0.001,
                          .n_seeds = 1,
                          .n_relabellings = 1,
                          .unit = "blocks",
                          .n_units = 22,
                          .block_length = 10,
                          .block_from = "interval",
                          .lifetime_known = true,
                          .verdict = MB_COMPARE_BETTER};
}

static mb_compare_row seeds(void) {
  mb_compare_row row = blocks();

  row.error_by_step = NAN;
  row.method = "Student's t";
  row.n_seeds = row.n_units = 4;
  row.unit = "seeds";
  row.block_length = 0;
  row.block_from = "";
  return row;
}

/* --- what is said of them --- */

static char *notes_of(mb_comparison *comparison) {
  mb_compare_options options;

  mb_compare_options_init(&options);
  const mb_compare_view view = {&options, comparison, false};
  char *text = mb_compare_notes(&view);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  return text;
}

/* Whether the notes of n rows have a text. */
static bool say(size_t n, mb_compare_row *rows, const char *part) {
  mb_comparison comparison = {.n_rows = n, .row = rows};
  char *text = notes_of(&comparison);
  bool found = strstr(text, part) != NULL;

  free(text);
  return found;
}

static void test_whole(void) {
  mb_compare_row row = blocks();
  mb_comparison comparison = {.n_rows = 1, .row = &row};
  char *text = notes_of(&comparison);

  CU_ASSERT_STRING_EQUAL(
      text,
      "Difference: in % of the baseline's run_imbalance, paired; below 0 is better. Interval: 95 "
      "%, bootstrap-t over units. p: the signs of whole units flipped, Holm over 1 comparison. "
      "Tie: the interval is within 0.3 %, even where all of it is on one side of 0; unclear: it is "
      "not, and has 0 in it. Units: blocks of steps, the longest of plan interval, window, request "
      "lifetime and what the differences' correlations ask for (data).\n"
      "Standard errors by block are 1.0 to 1.0 times those by step, which are not independent.\n"
      "One relabelling: the order of ties alone can move results by some 0.3 %, which no interval "
      "here covers; `moebal run --relabellings` measures it.");
  free(text);
}

/* 0.002 / 0.004, 0.03 / 0.01, and one without an interval, which does not count. */
static void test_errors_by_step(void) {
  mb_compare_row rows[] = {blocks(), blocks(), blocks()};

  rows[0].error = 0.002;
  rows[0].error_by_step = 0.004;
  rows[1].error = 0.03;
  rows[2].error = 0.08;
  rows[2].low = rows[2].high = rows[2].p = rows[2].p_holm = NAN;
  rows[2].verdict = MB_COMPARE_TOO_FEW;
  CU_ASSERT(say(3, rows, "Standard errors by block are 0.5 to 3.0 times those by step"));
  CU_ASSERT(say(3, rows, "Holm over 2 comparisons."));
  CU_ASSERT(say(3, rows, "; too few: fewer than 20 blocks. "));
  mb_compare_row of_seeds = seeds();
  CU_ASSERT(!say(1, &of_seeds, "Standard errors"));
}

/* Of those above 0.05 what is called better or worse counts, and no tie or unclear one. */
static void test_correction(void) {
  mb_compare_row rows[] = {blocks(), blocks(), blocks(), blocks(), blocks()};

  rows[1].p_holm = 0.06;
  rows[2].p_holm = 0.3;
  rows[2].verdict = MB_COMPARE_WORSE;
  rows[3].p_holm = 0.9;
  rows[3].verdict = MB_COMPARE_UNCLEAR;
  rows[4].p_holm = 0.8;
  rows[4].verdict = MB_COMPARE_TIE;
  CU_ASSERT(say(5, rows,
                "\n2 of the comparisons called better or worse, each by its own interval, have p "
                "above 0.05 after the correction for all 5."));
  rows[2].p_holm = 0.04;
  CU_ASSERT(say(5, rows,
                "\n1 of the comparisons called better or worse, each by its own interval, "
                "has p above 0.05 after the correction for all 5."));
  rows[1].p_holm = 0.01;
  CU_ASSERT(!say(5, rows, "after the correction"));
  mb_compare_row of_seeds = seeds();
  of_seeds.p_holm = 0.125;
  CU_ASSERT(say(1, &of_seeds, "for all 1; of n seeds p cannot fall below 2 / 2^n."));
}

/* A bootstrap of blocks can fall back too. */
static void test_methods(void) {
  mb_compare_row rows[] = {blocks(), blocks()};
  const char *both = ", bootstrap-t over units crossed with 3 relabellings, and Student's t where "
                     "seeds are few or resamples have no spread. p: ";

  rows[0].n_relabellings = rows[1].n_relabellings = 3;
  CU_ASSERT(say(2, rows, ", bootstrap-t over units crossed with 3 relabellings. p: "));
  rows[1].method = "Student's t";
  CU_ASSERT(say(2, rows, both));
  rows[0].method = "Student's t";
  CU_ASSERT(say(2, rows, ", Student's t over units crossed with 3 relabellings. p: "));
}

/* Of a value of 1.9 and a baseline of 2: 0.019 is 1 %, 0.038 is 2 %, and 0.03 is 1.5 %; the largest
   of the rows is told. */
static void test_relabellings(void) {
  mb_compare_row rows[] = {blocks(), blocks()};

  for (size_t i = 0; i < 2; i++) {
    rows[i].n_relabellings = 4;
    rows[i].relabel_sd = 0.019 / (double)(i + 1);
    rows[i].relabel_range = 0.038 / (double)(i + 1);
    rows[i].relabel_difference_range = 0.03 / (double)(i + 1);
  }
  CU_ASSERT(say(2, rows,
                "\nNoise floor: over 4 relabellings the order of ties alone moves run_imbalance by "
                "up to 2.00 % (standard deviation 1.00 %), and differences by up to 1.50 %; the "
                "intervals cover it."));
}

static void test_left_out(void) {
  mb_compare_row row = blocks();
  mb_comparison comparison = {.n_rows = 1, .row = &row};
  static const struct {
    size_t n_failed, n_spare;
    const char *text;
  } cases[] = {{1, 0, "\nLeft out: 1 cell that failed, and 0 whose seed or relabelling misses "},
               {0, 1, "\nLeft out: 0 cells that failed, and 1 whose seed or relabelling misses "},
               {2, 3, "\nLeft out: 2 cells that failed, and 3 whose seed or relabelling misses "}};

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    comparison.n_failed = cases[i].n_failed;
    comparison.n_spare = cases[i].n_spare;
    char *text = notes_of(&comparison);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, cases[i].text));
    free(text);
  }
  CU_ASSERT(!say(1, &row, "Left out"));
}

int main(void) {
  CU_TestInfo tests[] = {
      {"all that is said", test_whole},
      {"errors by block and by step", test_errors_by_step},
      {"p after the correction", test_correction},
      {"methods of intervals", test_methods},
      {"the noise floor", test_relabellings},
      {"cells left out", test_left_out},
      CU_TEST_INFO_NULL,
  };
  return run_suite("compare_notes", tests);
}
