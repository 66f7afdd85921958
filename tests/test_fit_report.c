/* tests/test_fit_report.c - the marks of the table beside a fit, at their limits. */
#include "experiments/fit_report.h"

#include <math.h>
#include <stdbool.h>

#include "tests/test.h"

enum { L = 2 };

static char *print(size_t n, const mb_fit_column *columns) {
  char *text = NULL;
  size_t size = 0;
  FILE *stream = open_memstream(&text, &size);

  CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
  mb_fit_report_print(stream, L, n, columns);
  CU_ASSERT(fclose(stream) == 0);
  return text;
}

/* Whether one of the lines is just that. */
static bool has_line(const char *text, const char *line) {
  size_t length = strlen(line);

  for (const char *rest = text; rest != NULL; rest = strchr(rest, '\n')) {
    rest += *rest == '\n' ? 1 : 0;
    if (strncmp(rest, line, length) == 0 && rest[length] == '\n') {
      return true;
    }
  }
  return false;
}

static void check_line(const char *text, const char *line) {
  bool found = has_line(text, line);

  CU_ASSERT(found);
  if (!found) {
    (void)printf("\n    no line '%s' in\n%s\n", line, text);
  }
}

static mb_windows_layer layer_of(double peak, double gini, double r, double moved, double chi2) {
  mb_windows_layer layer = {.peak = peak, .gini = gini, .chi2 = chi2, .chi2_all = chi2};

  for (size_t k = 0; k < MB_WINDOWS_LAGS; k++) {
    layer.r[k] = r;
    layer.moved[k] = moved;
  }
  return layer;
}

/* The means agree while the layers are off: that is what the rows for the worst layer are for. */
static void test_marks(void) {
  mb_windows_layer original[L] = {layer_of(2.0, 0.5, 0.9, 0.1, 8.0),
                                  layer_of(4.0, 0.5, 0.9, 0.1, 8.0)};
  mb_windows_layer near[L] = {layer_of(2.19, 0.451, 0.8751, 0.1249, 6.08),
                              layer_of(3.81, 0.548, 0.8751, 0.1249, 6.08)};
  mb_windows_layer far[L] = {layer_of(2.21, 0.449, 0.8749, 0.1251, 5.92),
                             layer_of(3.79, 0.55, 0.8749, 0.1251, 5.92)};
  const mb_fit_column columns[] = {{"original", original}, {"near", near}, {"far", far}};

  char *text = print(3, columns);
  check_line(text, "                          original     near                  far");
  check_line(text, "max/mean, mean of layers     3.000    3.000   +0.0% ok      3.000   +0.0% ok");
  check_line(text,
             "max/mean, worst layer                 2.190   +9.5% ok      2.210  +10.5% FAIL");
  check_line(text, "Gini, mean of layers        0.5000   0.4995   -0.1% ok     0.4995   -0.1% ok");
  check_line(text,
             "Gini, worst layer                    0.4510   -9.8% ok     0.4490  -10.2% FAIL");
  check_line(text,
             "1 - r, lag 4                0.1000   0.1249  +24.9% ok     0.1251  +25.1% FAIL");
  check_line(text,
             "total variation, lag 1      0.1000   0.1249  +24.9% ok     0.1251  +25.1% FAIL");
  check_line(text,
             "chi2/dof, lag 1              8.000    6.080  -24.0% ok      5.920  -26.0% FAIL");
  check_line(text, "(r, lag 1)                  0.9000   0.8751   -2.8% ok     0.8749   -2.8% ok");
  check_line(text, "within tolerance                       9 of 9     ok          2 of 9     FAIL");
  check_line(text, "by r at lags 1 and 4 alone             2 of 2     ok          2 of 2     ok");
  free(text);
}

/* What a short trace does not have is neither ok nor a failure. */
static void test_unknown(void) {
  mb_windows_layer original[L] = {layer_of(2.0, 0.5, 0.9, 0.1, 8.0),
                                  layer_of(2.0, 0.5, 0.9, 0.1, 8.0)};
  original[0].r[4] = original[1].r[4] = NAN;
  const mb_fit_column columns[] = {{"original", original}, {"same", original}};

  char *text = print(2, columns);
  check_line(text, "1 - r, lag 16                    -        -");
  check_line(text, "within tolerance                       8 of 8     ok");
  free(text);
}

int main(void) {
  CU_TestInfo tests[] = {{"marks", test_marks}, {"unknown", test_unknown}, CU_TEST_INFO_NULL};

  return run_suite("fit_report", tests);
}
