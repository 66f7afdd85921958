/* tests/test_baseline.c - baselines as files, what counts as worse, and what CI systems are told.
 */
#include <math.h>
#include <unistd.h>

#include "experiments/baseline.h"
#include "experiments/check.h"
#include "experiments/junit.h"
#include "tests/test.h"

static const char path[] = "test_baseline.tsv";

static void write_text(const char *text, size_t n) {
  FILE *stream = fopen(path, "wb");

  CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
  CU_ASSERT_EQUAL(fwrite(text, 1, n, stream), n);
  CU_ASSERT_EQUAL(fclose(stream), 0);
}

/* The file's text, in a static buffer. */
static const char *read_text(const char *name) {
  static char text[1 << 16];
  FILE *stream = fopen(name, "rb");

  CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
  text[fread(text, 1, sizeof text - 1, stream)] = '\0';
  (void)fclose(stream);
  return text;
}

static void add_score(mb_baseline *baseline, const char *setting, const char *strategy,
                      const char *seed, double value) {
  static const char digest[] = "0123456789abcdef0123456789abcdef";
  mb_baseline_score *score = NULL;

  CHECK_OK(mb_baseline_add(baseline, setting, strategy, seed, &score));
  for (size_t m = 0; m < MB_BASELINE_METRICS; m++) {
    score->value[m] = value * (double)(m + 1);
  }
  memcpy(score->placements, digest, sizeof digest);
}

static void add_part(mb_baseline *baseline, const char *strategy, bool is_layer, const char *name,
                     double value) {
  mb_baseline_part *part = NULL;

  CHECK_OK(mb_baseline_add_part(baseline, "-", strategy, MB_BASELINE_run_imbalance, is_layer, name,
                                &part));
  part->value = value;
}

/* --- the file --- */

static void test_round_trip(void) {
  mb_baseline one;
  mb_baseline two;

  CHECK_OK(mb_baseline_init("tiny", &one));
  one.margin_percent[0] = 0.1;
  add_score(&one, "-", "l2", "1", 1.0 / 3);
  add_score(&one, "cluster.slots=64", "l2", "2", 1e-300);
  add_score(&one, "-", "l2", "2", NAN);
  add_score(&one, "with\ta tab\nand a line", "lpt", "-", 0x1.fffffffffffffp1023 / 8);
  add_part(&one, "l2", true, "3", 1.1);
  add_part(&one, "l2", false, "0-9", NAN);
  CHECK_OK(mb_baseline_write(path, &one));
  char *text = strdup(read_text(path));
  CHECK_OK(mb_baseline_read(path, &two));
  CU_ASSERT_STRING_EQUAL(two.config, "tiny");
  CU_ASSERT_EQUAL(two.margin_percent[0], 0.1);
  CU_ASSERT_EQUAL(two.n_scores, 4);
  CU_ASSERT_EQUAL(two.n_parts, 2);
  for (size_t i = 0; i < one.n_scores; i++) {
    const mb_baseline_score *score = &one.score[i];
    const mb_baseline_score *twin =
        mb_baseline_find(&two, score->setting, score->strategy, score->seed);
    CU_ASSERT_PTR_NOT_NULL_FATAL(twin);
    CU_ASSERT_STRING_EQUAL(twin->placements, score->placements);
    for (size_t m = 0; m < MB_BASELINE_METRICS; m++) {
      CU_ASSERT(twin->value[m] == score->value[m] ||
                (isnan(twin->value[m]) && isnan(score->value[m])));
    }
  }
  /* Once more, and the bytes are the same. */
  CHECK_OK(mb_baseline_write(path, &two));
  CU_ASSERT_STRING_EQUAL(read_text(path), text);
  free(text);
  mb_baseline_fini(&one);
  mb_baseline_fini(&two);
  CU_ASSERT_EQUAL(unlink(path), 0);
}

#define HEADER "moebal-baseline\t1\nconfig\ttiny\n"
#define ZEROES "00000000000000000000000000000000"
#define VALUE(metric, value) "value\t-\tl2\t" metric "\t1\t" value "\n"
#define VALUES                  \
  VALUE("run_imbalance", "1.5") \
  VALUE("step_imbalance_p99", "2") VALUE("moved_experts", "3") VALUE("plans", "1")

static void refused(const char *text, mb_status status, const char *why) {
  mb_baseline baseline = {.n_scores = 77};

  write_text(text, strlen(text));
  CHECK_FAILS(mb_baseline_read(path, &baseline), status, why);
  CU_ASSERT_EQUAL(baseline.n_scores, 77);
  CU_ASSERT_EQUAL(unlink(path), 0);
}

static void test_damaged(void) {
  mb_baseline baseline;
  static const char zero[] = HEADER "value\t-\0l2\n";

  write_text(HEADER VALUES VALUE("placements", ZEROES),
             strlen(HEADER VALUES VALUE("placements", ZEROES)));
  CHECK_OK(mb_baseline_read(path, &baseline));
  CU_ASSERT_EQUAL(baseline.score[0].value[0], 1.5);
  mb_baseline_fini(&baseline);

  refused("", MB_ERR_FORMAT, "test_baseline.tsv: is empty");
  refused("name: x\n", MB_ERR_FORMAT, "test_baseline.tsv:1: is no baseline");
  refused("moebal-baseline\t2\n", MB_ERR_UNSUPPORTED, ":1: has version 2");
  refused("moebal-baseline\tx\n", MB_ERR_FORMAT, ":1: 'x' is no version");
  refused(HEADER "config\tother\n", MB_ERR_FORMAT, ":3: names a second config");
  refused(HEADER "<<<<<<< HEAD\n", MB_ERR_FORMAT, ":3: begins with '<<<<<<< HEAD'");
  refused(HEADER "margin\tbalancedness\t1\n", MB_ERR_FORMAT, ":3: there is no metric");
  refused(HEADER "margin\trun_imbalance\t-1\n", MB_ERR_FORMAT, ":3: '-1' is no margin");
  refused(HEADER "margin\trun_imbalance\tnan\n", MB_ERR_FORMAT, ":3: 'nan' is no margin");
  refused(HEADER "margin\trun_imbalance\n", MB_ERR_FORMAT, ":3: has 2 cells");
  refused(HEADER VALUE("run_imbalance", "1.5x"), MB_ERR_FORMAT, ":3: '1.5x' is no number");
  refused(HEADER VALUE("run_imbalance", "inf"), MB_ERR_FORMAT, ":3: 'inf' is no number");
  refused(HEADER VALUE("placements", "0"), MB_ERR_FORMAT, ":3: '0' is no digest");
  refused(HEADER VALUE("plans", "1") VALUE("plans", "1"), MB_ERR_FORMAT, ":4: stands here");
  refused(HEADER "value\t\tl2\tplans\t1\t1\n", MB_ERR_FORMAT, ":3: cell 2 is empty");
  refused(HEADER "value\t-\tl2\tplans\t1\t1\t1\n", MB_ERR_FORMAT, ":3: has 7 cells");
  refused(HEADER "value\t-\tl2\tplans\t1\t1\t1\t1\n", MB_ERR_FORMAT, ":3: has more than 7");
  refused(HEADER "where\t-\tl2\tplans\tgpu\t1\t1\n", MB_ERR_FORMAT, ":3: 'gpu' should be");
  refused(HEADER "where\t-\tl2\tgpus\tlayer\t1\t1\n", MB_ERR_FORMAT, ":3: there is no metric");
  refused(HEADER "where\t-\tl2\tlayer\t1\t1\n", MB_ERR_FORMAT, ":3: has 6 cells");
  refused(HEADER VALUES, MB_ERR_FORMAT, ":6: the file ends without placements");
  refused(HEADER VALUE("placements", ZEROES), MB_ERR_FORMAT, "without plans of setting -, str");
  refused(HEADER, MB_ERR_FORMAT, ":2: the file ends, and has no values");
  refused("moebal-baseline\t1\n" VALUES VALUE("placements", ZEROES), MB_ERR_FORMAT, "no config");
  refused(HEADER VALUES "value\t-\tl2", MB_ERR_FORMAT, ":7: is cut short");
  write_text(zero, sizeof zero - 1);
  CHECK_FAILS(mb_baseline_read(path, &baseline), MB_ERR_FORMAT, ":3: has a byte of value 0");
  CU_ASSERT_EQUAL(unlink(path), 0);
  CHECK_FAILS(mb_baseline_read(path, &baseline), MB_ERR_IO, "cannot be read: No such file");
  CHECK_FAILS(mb_baseline_read(".", &baseline), MB_ERR_IO, "cannot be read: Is a directory");
}

/* --- judging --- */

static mb_check_outcome judge(size_t n, const double *before, const double *after, double margin) {
  double scratch[8];

  return mb_check_judge(n, before, after, margin, scratch).outcome;
}

static void test_judge(void) {
  const double before[] = {1.0, 1.2, 1.1, 1.3};
  const double worse[] = {1.02, 1.23, 1.11, 1.34}; /* mean difference 0.025, deviation 0.01291 */
  const double noise[] = {1.3, 1.1, 1.0, 1.3};     /* mean difference 0.025, deviation 0.1893 */
  double scratch[4];
  mb_check_judgement j = mb_check_judge(4, before, worse, 0.01, scratch);

  CU_ASSERT_EQUAL(j.outcome, MB_CHECK_WORSE);
  CU_ASSERT_EQUAL(j.n_worse, 4);
  CU_ASSERT_DOUBLE_EQUAL(j.change, 0.025 / 1.15, 1e-12);
  /* t(0.95; 3) = 2.353363 of a table; sd = sqrt(0.0005 / 3). */
  CU_ASSERT_DOUBLE_EQUAL(j.bound, (0.025 - 2.353363 * 0.0129099445 / 2) / 1.15, 1e-7);
  CU_ASSERT_EQUAL(judge(4, before, worse, 0.0217), MB_CHECK_WORSE); /* 0.025 / 1.15 = 0.02174 */
  CU_ASSERT_EQUAL(judge(4, before, worse, 0.0218), MB_CHECK_CHANGED);
  CU_ASSERT_EQUAL(j.worse_below, j.change);
  CU_ASSERT_EQUAL(mb_check_judge(4, before, noise, 0.01, scratch).worse_below, 0);
  CU_ASSERT_EQUAL(mb_check_judge(4, worse, before, 0.01, scratch).worse_below, 0);
  CU_ASSERT_EQUAL(judge(4, worse, before, 0.01), MB_CHECK_BETTER);
  CU_ASSERT_EQUAL(judge(4, worse, before, 0.025 / 1.175 * 1.001), MB_CHECK_CHANGED);
  CU_ASSERT_EQUAL(judge(4, worse, before, 0.025 / 1.175 * 0.999), MB_CHECK_BETTER);
  CU_ASSERT_EQUAL(judge(4, before, noise, 0.01), MB_CHECK_CHANGED);
  CU_ASSERT_EQUAL(judge(4, noise, before, 0.01), MB_CHECK_CHANGED);
  CU_ASSERT_EQUAL(judge(4, before, before, 0), MB_CHECK_SAME);
  /* A single seed is judged by the margin alone. */
  CU_ASSERT_EQUAL(judge(1, before, worse, 0.019), MB_CHECK_WORSE);
  CU_ASSERT_EQUAL(judge(1, before, worse, 0.021), MB_CHECK_CHANGED);
}

static void test_judge_edges(void) {
  const double nan2[] = {NAN, 1.0};
  const double one2[] = {1.0, 1.0};
  const double zero[] = {0, 0};
  const double more[] = {2, 2};
  double scratch[2];

  CU_ASSERT_EQUAL(judge(2, nan2, nan2, 0), MB_CHECK_SAME);
  CU_ASSERT_EQUAL(judge(2, nan2, one2, 0), MB_CHECK_UNPAIRED);
  CU_ASSERT_EQUAL(judge(2, one2, nan2, 0), MB_CHECK_UNPAIRED);
  CU_ASSERT_EQUAL(judge(2, zero, zero, 0), MB_CHECK_SAME);
  mb_check_judgement j = mb_check_judge(2, zero, more, 1, scratch);
  CU_ASSERT_EQUAL(j.outcome, MB_CHECK_WORSE);
  CU_ASSERT(isinf(j.change));
  /* The smallest difference counts, where it is the same for every seed. */
  const double next[] = {nextafter(1.0, 2.0), nextafter(1.0, 2.0)};
  CU_ASSERT_EQUAL(judge(2, one2, next, 0), MB_CHECK_WORSE);
  CU_ASSERT_EQUAL(judge(2, one2, next, 1e-9), MB_CHECK_CHANGED);
}

static void test_compare(void) {
  double margin[MB_BASELINE_METRICS] = {0};
  mb_baseline before;
  mb_baseline after;
  mb_check check;

  CHECK_OK(mb_baseline_init("tiny", &before));
  CHECK_OK(mb_baseline_init("tiny", &after));
  add_score(&before, "-", "lpt", "1", 1.0);
  add_score(&before, "-", "l2", "1", 1.0);
  add_score(&before, "-", "lpt", "2", 2.0);
  add_score(&before, "a=1", "l2", "1", 1.0);
  add_score(&before, "gone", "l2", "1", 1.0);
  add_score(&after, "a=1", "l2", "1", 0.5);
  add_score(&after, "-", "lpt", "2", 2.5);
  add_score(&after, "-", "lpt", "1", 1.5);
  add_score(&after, "-", "l2", "1", 1.0);
  add_score(&after, "-", "l2", "9", 1.0);
  after.score[1].placements[0] = 'f';
  CHECK_OK(mb_check_compare(&before, &after, margin, &check));
  CU_ASSERT_EQUAL_FATAL(check.n_rows, (size_t)3 * MB_BASELINE_METRICS);
  CU_ASSERT_EQUAL(mb_check_count(&check, MB_CHECK_WORSE), MB_BASELINE_METRICS);
  CU_ASSERT_EQUAL(mb_check_count(&check, MB_CHECK_SAME), MB_BASELINE_METRICS);
  CU_ASSERT_EQUAL(mb_check_count(&check, MB_CHECK_BETTER), MB_BASELINE_METRICS);
  CU_ASSERT_STRING_EQUAL(check.row[0].strategy, "lpt");
  CU_ASSERT_EQUAL(check.row[0].judgement.n_seeds, 2);
  CU_ASSERT_EQUAL(check.row[0].n_moved, 1);
  CU_ASSERT_EQUAL(check.row[0].judgement.outcome, MB_CHECK_WORSE);
  CU_ASSERT_EQUAL_FATAL(check.n_missing, 2);
  CU_ASSERT_STRING_EQUAL(check.missing[0].setting, "gone");
  CU_ASSERT(check.missing[0].in_baseline);
  CU_ASSERT_STRING_EQUAL(check.missing[1].seed, "9");
  CU_ASSERT(!check.missing[1].in_baseline);
  mb_check_fini(&check);
  mb_baseline_fini(&before);
  mb_baseline_fini(&after);
}

static void test_where(void) {
  mb_baseline before;
  mb_baseline after;
  mb_check_part part[2];
  char name[8];

  CHECK_OK(mb_baseline_init("tiny", &before));
  CHECK_OK(mb_baseline_init("tiny", &after));
  for (int l = 0; l < 5; l++) {
    (void)snprintf(name, sizeof name, "%d", l);
    add_part(&before, "l2", true, name, 2.0);
    add_part(&after, "l2", true, name, 2.0 + (l == 2 ? 0.5 : l == 3 ? -1 : 0.1 * l));
  }
  add_part(&before, "l2", false, "0-9", 1.0);
  add_part(&after, "l2", false, "0-9", 1.25);
  CU_ASSERT_EQUAL(mb_check_find_parts(&before, &after, "-", "l2", 0, true, 2, part), 2);
  CU_ASSERT_STRING_EQUAL(part[0].name, "2");
  CU_ASSERT_DOUBLE_EQUAL(part[0].change, 0.25, 1e-12);
  CU_ASSERT_STRING_EQUAL(part[1].name, "4");
  CU_ASSERT_EQUAL(mb_check_find_parts(&before, &after, "-", "l2", 0, false, 2, part), 1);
  CU_ASSERT_EQUAL(mb_check_find_parts(&before, &after, "-", "lpt", 0, true, 2, part), 0);
  CU_ASSERT_EQUAL(mb_check_find_parts(&before, &after, "-", "l2", 2, true, 2, part), 0);
  mb_baseline_fini(&before);
  mb_baseline_fini(&after);
}

/* --- JUnit --- */

static void contains(const char *text, const char *part) {
  CU_ASSERT_PTR_NOT_NULL(strstr(text, part));
  if (strstr(text, part) == NULL) {
    (void)printf("\n    not in it: %s\n", part);
  }
}

static void test_junit(void) {
  static const char name[] = "test_baseline.xml";
  const mb_junit_case cases[] = {
      {.group = "a<b>&\"c\"", .name = "l2 'x'", .result = MB_JUNIT_PASS},
      {.group = "g", .name = "n", .result = MB_JUNIT_PASS, .message = "changed\x01"},
      {.group = "g",
       .name = "\xc3\xa9 \xff \xc0\xaf \xed\xa0\x80 \xe2\x82",
       .result = MB_JUNIT_ERROR},
      {.group = "g", .name = "n", .result = MB_JUNIT_FAILURE, .message = "a\nb", .details = "]]>"}};

  CHECK_OK(mb_junit_write(name, "su&te", 4, cases));
  const char *text = read_text(name);
  contains(text, "<testsuite name=\"su&#38;te\" tests=\"4\" failures=\"1\" errors=\"1\"");
  contains(text, "classname=\"a&#60;b&#62;&#38;&#34;c&#34;\" name=\"l2 &#39;x&#39;\"");
  contains(text, "<system-out>changed?</system-out>");
  contains(text, "name=\"\xc3\xa9 ? ?? ??? ??\"");
  contains(text, "<failure type=\"worse\" message=\"a&#10;b\">]]&#62;</failure>");
  CU_ASSERT_EQUAL(unlink(name), 0);
  CHECK_FAILS(mb_junit_write("no/such/folder.xml", "s", 0, NULL), MB_ERR_IO, "no/such/folder.xml");
}

int main(void) {
  CU_TestInfo tests[] = {{"round trip", test_round_trip}, {"damaged", test_damaged},
                         {"judge", test_judge},           {"judge, edges", test_judge_edges},
                         {"compare", test_compare},       {"where", test_where},
                         {"junit", test_junit},           CU_TEST_INFO_NULL};

  return run_suite("baseline", tests);
}
