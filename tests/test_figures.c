/* tests/test_figures.c - `moebal plot`: exact tables, figures of every format, every failure. */
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "experiments/figure.h"
#include "experiments/gnuplot.h"
#include "tests/results_file.h"

extern char **environ;

/* What can be drawn of a file as the first versions wrote it, which is what results_write() does.
 */
static const char *const old_figures[] = {"imbalance_over_time", "imbalance_cdf", "layer_heatmap",
                                          "strategy_bars", NULL};

/* --- tables --- */

/* A figure's table of a results file, to be freed, and its caption, where it is asked for. The run
 * is the file's first. */
static char *tabulate_with(const char *figure, const char *path, char **caption) {
  mb_figure_source source = {.file = NULL};
  mb_results_file *file = NULL;
  mb_results *run = NULL;
  char *said = NULL;
  size_t size = 0;

  CHECK_OK(mb_results_file_open(path, &file));
  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CHECK_OK(mb_results_file_open_run(file, 0, &run));
  CU_ASSERT_PTR_NOT_NULL_FATAL(mb_figure_find(figure));
  source.file = file;
  source.run = run;
  CHECK_OK(mb_figure_write(mb_figure_find(figure), &source, results_path("table.tsv"), &said));
  CU_ASSERT_PTR_NOT_NULL_FATAL(said);
  mb_results_destroy(run);
  mb_results_file_close(file);
  if (caption != NULL) {
    *caption = said;
  } else {
    free(said);
  }
  char *text = results_slurp(results_path("table.tsv"), &size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  return text;
}

static char *tabulate(const char *figure, const char *path) {
  return tabulate_with(figure, path, NULL);
}

static size_t count_lines(const char *text) {
  size_t lines = 0;

  for (; *text != '\0'; text++) {
    lines += *text == '\n';
  }
  return lines;
}

static size_t count_words(const char *text, const char *word) {
  size_t n = 0;

  for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
    n++;
  }
  return n;
}

/* Whether a line stands in a text, whole. */
static void check_line(const char *text, const char *line) {
  size_t length = strlen(line);
  int found = 0;

  for (const char *at = strstr(text, line); at != NULL; at = strstr(at + 1, line)) {
    found = found || ((at == text || at[-1] == '\n') && at[length] == '\n');
  }
  CU_ASSERT(found);
  if (!found) {
    (void)printf("\n    no line \"%s\" in:\n%.400s\n", line, text);
  }
}

static const char *small_file(void) {
  results_file content = results_small();

  results_write(results_path("small.h5"), &content);
  return results_path("small.h5");
}

/* 502 steps: bins of 3, the last of 1. Eighths and quarters, so that all means are exact. */
static const char *long_file(void) {
  static results_file content = {.run = "long", .n_steps = 502, .summary_from = 4, .n_plans = 3};

  for (size_t t = 0; t < 502; t++) {
    content.step_imbalance[0][t] = 1.0 + (double)((t * 7) % 10) / 8.0;
    content.step_imbalance[1][t] = 1.25;
    content.imbalance[0][2 * t] = 1.0F + (float)(t % 4) / 4.0F;
    content.imbalance[0][2 * t + 1] = t % 2 == 0 ? 1.5F : NAN;
    content.imbalance[1][2 * t] = 2.0F;
    content.imbalance[1][2 * t + 1] = t >= 9 && t < 12 ? NAN : 1.0F;
  }
  content.step_imbalance[0][4] = NAN;
  for (size_t t = 6; t < 9; t++) {
    content.step_imbalance[0][t] = NAN;
  }
  /* Plans that took effect at 2 in one layer; at 7 and 9; and not at all. */
  static const int64_t effect_step[] = {-1, 2, 9, 7, -1, -1};
  memcpy(content.effect_step, effect_step, sizeof effect_step);
  results_write(results_path("long.h5"), &content);
  return results_path("long.h5");
}

static void test_over_time(void) {
  char *text = tabulate("imbalance_over_time", long_file());

  check_line(text, "step\tsteps\tscored\tnone\tnone:min\tnone:max\tnone:plans\tl2_x\tl2_x:min\t"
                   "l2_x:max\tl2_x:plans");
  CU_ASSERT_EQUAL(count_lines(text), 1 + 168);
  check_line(text, "0\t3\t0\t1.5\t1\t1.875\t0\t1.25\t1.25\t1.25\t1");
  check_line(text, "3\t3\t2\t1.375\t1.125\t1.625\t0\t1.25\t1.25\t1.25\t0");
  check_line(text, "6\t3\t3\tNaN\tNaN\tNaN\t0\t1.25\t1.25\t1.25\t1");
  check_line(text, "501\t1\t1\t1.875\t1.875\t1.875\t0\t1.25\t1.25\t1.25\t0");
  free(text);
}

static void test_cdf(void) {
  char *caption = NULL;
  char *text = tabulate_with("imbalance_cdf", small_file(), &caption);

  check_line(caption, "n = 4 scored steps of one run; no intervals.");
  check_line(caption, "Run: tiny.");
  check_line(caption,
             "Trace: hand, tiny-2, prefill; 6 steps, scored from step 2 on; 2 MoE layers.");
  check_line(caption, "Strategies: none, l2_x; none never moves an expert.");
  free(caption);

  check_line(text, "fraction\tnone\tl2_x");
  CU_ASSERT_EQUAL(count_lines(text), 1 + 401);
  check_line(text, "0\t1.25\t1.125");
  check_line(text, "0.25\t1.4375\t1.1875");
  check_line(text, "0.5\t1.625\t1.25");
  check_line(text, "1\t2\t1.5");
  free(text);
}

static void test_heatmap(void) {
  char *text = tabulate("layer_heatmap", long_file());

  check_line(text, "step\tsteps\tscored\trow\tlayer\tnone\tl2_x");
  CU_ASSERT_EQUAL(count_lines(text), 1 + 2 * 168);
  check_line(text, "0\t3\t0\t0\t3\t1.25\t2");
  check_line(text, "0\t3\t0\t1\t7\t1.5\t1");
  check_line(text, "9\t3\t3\t1\t7\t1.5\tNaN");
  check_line(text, "501\t1\t1\t0\t3\t1.25\t2");
  check_line(text, "501\t1\t1\t1\t7\tNaN\t1");
  free(text);
}

static void test_bars(void) {
  char *text = tabulate("strategy_bars", small_file());

  CU_ASSERT_STRING_EQUAL(text, "strategy\tmean\tp5\tp50\tp95\tsteps\n"
                               "none\t1.625\t1.2875\t1.625\t1.9625\t4\n"
                               "l2_x\t1.291666667\t1.1375\t1.25\t1.475\t3\n");
  free(text);
}

/* --- the command --- */

/* Runs `moebal plot ARGUMENT...`; returns its exit status, with what it said in said.txt. */
static int plot(const char *const *more) {
  static char program[4096];
  char *arguments[16] = {program, "plot"};
  posix_spawn_file_actions_t actions;
  pid_t child = 0;
  int state = 0;
  const char *moebal = getenv("MOEBAL");

  (void)snprintf(program, sizeof program, "%s", moebal != NULL ? moebal : "moebal");
  for (size_t i = 0; more[i] != NULL; i++) {
    arguments[2 + i] = (char *)more[i];
  }
  (void)posix_spawn_file_actions_init(&actions);
  (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, results_path("out.txt"),
                                         O_WRONLY | O_CREAT | O_TRUNC, 0666);
  (void)posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, results_path("said.txt"),
                                         O_WRONLY | O_CREAT | O_TRUNC, 0666);
  CU_ASSERT_EQUAL(posix_spawnp(&child, program, &actions, NULL, arguments, environ), 0);
  (void)posix_spawn_file_actions_destroy(&actions);
  CU_ASSERT_EQUAL(waitpid(child, &state, 0), child);
  return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
}

/* It ends with that status and has said that, in one line where it is the command's own error. */
static void check_plot(const char *const *arguments, int status, const char *text) {
  size_t size = 0;

  CU_ASSERT_EQUAL(plot(arguments), status);
  char *said = results_slurp(results_path("said.txt"), &size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(said);
  CU_ASSERT(strstr(said, text) != NULL);
  if (strstr(said, text) == NULL) {
    (void)printf("\n    it said: %s\n", said);
  }
  CU_ASSERT(status != 1 || count_lines(said) == 1 + count_words(said, "is left out: "));
  free(said);
}

static int is_there(const char *name) {
  return access(results_path(name), F_OK) == 0;
}

static void need_gnuplot(void) {
  static int installed = -1;

  if (installed < 0) {
    installed = system("gnuplot --version >/dev/null 2>&1") == 0;
  }
  if (!installed) {
    (void)printf("skipped: gnuplot is not installed\n");
    exit(MB_TEST_SKIPPED);
  }
}

static void check_figure(const char *figure, const char *ending, const char *begin,
                         const char *end) {
  char name[256];
  size_t size = 0;

  (void)snprintf(name, sizeof name, "drawn/%s.%s", figure, ending);
  char *bytes = results_slurp(results_path(name), &size);
  CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
  CU_ASSERT_FATAL(size > 1000);
  CU_ASSERT_EQUAL(memcmp(bytes, begin, strlen(begin)), 0);
  int found = 0;
  for (size_t at = size - 16; at + strlen(end) <= size; at++) {
    found = found || memcmp(bytes + at, end, strlen(end)) == 0;
  }
  CU_ASSERT(found);
  free(bytes);
}

static void test_every_format(void) {
  const char *arguments[] = {long_file(), "-o",          results_path("drawn"),
                             "--format",  "pdf,svg,png", NULL};

  need_gnuplot();
  check_plot(arguments, 0, "gpu_load is left out: ");
  for (const char *const *figure = old_figures; *figure != NULL; figure++) {
    check_figure(*figure, "pdf", "%PDF-", "%%EOF");
    check_figure(*figure, "svg", "<?xml", "</svg>");
    check_figure(*figure, "png", "\x89PNG", "IEND");
  }
  CU_ASSERT_FALSE(is_there("drawn/gpu_load.tsv"));
  CU_ASSERT(is_there("drawn/imbalance_cdf.txt"));
}

/* Without -o: beside the results; and only what was asked for. */
static void test_defaults(void) {
  const char *arguments[] = {small_file(), "--figure", "strategy_bars", NULL};

  need_gnuplot();
  check_plot(arguments, 0, "");
  CU_ASSERT(is_there("small/strategy_bars.tsv"));
  CU_ASSERT(is_there("small/strategy_bars.pdf"));
  CU_ASSERT_FALSE(is_there("small/strategy_bars.png"));
  CU_ASSERT_FALSE(is_there("small/imbalance_cdf.tsv"));
}

/* One layer, one step, nothing but NaN: there is little to see, but it must not fail. */
static void test_little_data(void) {
  results_file content = results_small();
  const char *arguments[] = {results_path("little.h5"), "--format", "png", NULL};

  need_gnuplot();
  for (size_t t = 0; t < 6; t++) {
    content.step_imbalance[0][t] = NAN;
    content.imbalance[0][2 * t] = content.imbalance[0][2 * t + 1] = NAN;
  }
  content.n_plans = 0;
  for (content.n_steps = 1; content.n_steps <= 2; content.n_steps++) {
    content.summary_from = (int64_t)content.n_steps - 1;
    results_write(results_path("little.h5"), &content);
    check_plot(arguments, 0, "");
  }
}

/* gnuplot missing: an empty PATH. The tables are written, and a line says what to install. */
static void test_no_gnuplot(void) {
  const char *arguments[] = {small_file(), "-o", results_path("bare"), NULL};
  const char *before = getenv("PATH");
  char *path = strdup(before != NULL ? before : "/usr/bin:/bin");

  (void)setenv("PATH", results_path("nowhere"), 1);
  check_plot(arguments, 1, "apt-get install gnuplot-nox");
  (void)setenv("PATH", path, 1);
  free(path);
  for (const char *const *figure = old_figures; *figure != NULL; figure++) {
    char name[256];
    (void)snprintf(name, sizeof name, "bare/%s.tsv", *figure);
    CU_ASSERT(is_there(name));
    (void)snprintf(name, sizeof name, "bare/%s.pdf", *figure);
    CU_ASSERT_FALSE(is_there(name));
  }
}

static void test_usage(void) {
  const char *format[] = {small_file(), "--format", "pdf,gif", NULL};
  const char *figure[] = {small_file(), "--figure", "pie", NULL};
  const char *second[] = {small_file(), "more.h5", NULL};
  const char *nothing[] = {NULL};

  check_plot(format, 2, "there is no format 'gif'");
  check_plot(figure, 2, "there is no figure 'pie'");
  check_plot(second, 2, "'more.h5' is a second one");
  check_plot(nothing, 2, "RESULTS.h5 is missing");
}

static void test_failures(void) {
  const char *missing[] = {results_path("missing.h5"), NULL};
  const char *folder[] = {small_file(), "-o", results_path("no/such/folder"), NULL};
  const char *file[] = {small_file(), "-o", small_file(), NULL};
  const char *scripts[] = {small_file(), "-o", results_path("bare"), NULL};

  check_plot(missing, 1, "missing.h5: No such file or directory");
  check_plot(folder, 1, "no/such/folder cannot be made: No such file or directory");
  check_plot(file, 1, "small.h5 cannot be made: File exists");
  (void)setenv("MOEBAL_PLOTS", results_folder(), 1);
  check_plot(scripts, 1, "has no style.gp");
  (void)unsetenv("MOEBAL_PLOTS");
}

static void put_file(const char *name, const char *text) {
  FILE *file = fopen(results_path(name), "w");

  (void)fputs(text, file);
  (void)fclose(file);
}

/* What gnuplot says comes up as one line, and nothing half-drawn stays. */
static void test_gnuplot_fails(void) {
  char script[4400];
  char table[4400];

  need_gnuplot();
  (void)snprintf(script, sizeof script, "%s", results_path("bad.gp"));
  (void)snprintf(table, sizeof table, "%s", results_path("t.tsv"));
  put_file("t.tsv", "a\n1\n");
  put_file("bad.gp", "set output ARG2\nplot nonsense\n");
  CHECK_FAILS(mb_gnuplot_draw(script, table, results_path("bad.pdf")), MB_ERR_IO,
              "undefined variable: nonsense");
  CU_ASSERT_FALSE(is_there("bad.pdf"));
  put_file("bad.gp", "set print ARG2\nprint '%PDF-1.5 and no more'\n");
  CHECK_FAILS(mb_gnuplot_draw(script, table, results_path("bad.pdf")), MB_ERR_IO, "incomplete");
  CU_ASSERT_FALSE(is_there("bad.pdf"));
}

int main(void) {
  CU_TestInfo tests[] = {{"imbalance_over_time, its table", test_over_time},
                         {"imbalance_cdf, its table", test_cdf},
                         {"layer_heatmap, its table", test_heatmap},
                         {"strategy_bars, its table", test_bars},
                         {"gnuplot missing", test_no_gnuplot},
                         {"wrong command lines", test_usage},
                         {"failures", test_failures},
                         {"every format", test_every_format},
                         {"defaults", test_defaults},
                         {"little data", test_little_data},
                         {"gnuplot fails", test_gnuplot_fails},
                         CU_TEST_INFO_NULL};

  (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  return run_suite("figures", tests);
}
