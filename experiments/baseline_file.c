/* experiments/baseline_file.c - reads and writes baselines. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/baseline.h"
#include "workloads/new_file.h"

enum { VERSION = 1, CELLS_MAX = 7 };

static const char format_name[] = "moebal-baseline";
static const char placements_name[] = "placements";

/* --- reading --- */

typedef struct reader {
  const char *path;
  size_t line;
  size_t n_cells;
  const char *cell[CELLS_MAX]; /* those that the line has not are "" */
  mb_baseline *baseline;
} reader;

static MB_PRINTF(2, 3) mb_status refuse(const reader *r, const char *format, ...) {
  char why[512];
  va_list arguments;

  va_start(arguments, format);
  (void)vsnprintf(why, sizeof why, format, arguments);
  va_end(arguments);
  return MB_FAIL(MB_ERR_FORMAT, "%s:%zu: %s", r->path, r->line, why);
}

/* Cuts a line into its cells, where it is. */
static mb_status split(reader *r, char *line) {
  r->n_cells = 0;
  for (size_t i = 0; i < CELLS_MAX; i++) {
    r->cell[i] = "";
  }
  for (char *next = line; next != NULL;) {
    char *end = strchr(next, '\t');
    if (r->n_cells == CELLS_MAX) {
      return refuse(r, "has more than %d cells between tabs", CELLS_MAX);
    }
    r->cell[r->n_cells++] = next;
    if (end != NULL) {
      *end++ = '\0';
    }
    next = end;
  }
  for (size_t i = 0; i < r->n_cells; i++) {
    if (r->cell[i][0] == '\0') {
      return refuse(r, "cell %zu is empty", i + 1);
    }
  }
  return MB_OK;
}

static mb_status want_cells(const reader *r, size_t n, const char *right) {
  return r->n_cells == n ? MB_OK : refuse(r, "has %zu cells; should be: %s", r->n_cells, right);
}

/* Finite, or NaN where that may be. */
static mb_status read_value(const reader *r, const char *text, double *value) {
  char *end = NULL;

  if (strcmp(text, "NaN") == 0) {
    *value = NAN;
    return MB_OK;
  }
  *value = strtod(text, &end);
  if (end == text || *end != '\0' || !isfinite(*value)) {
    return refuse(r, "'%.64s' is no number", text);
  }
  return MB_OK;
}

static mb_status read_header(reader *r) {
  if (r->n_cells != 2 || strcmp(r->cell[0], format_name) != 0) {
    return refuse(r, "is no baseline, which begins with '%s', a tab and its version", format_name);
  }
  char *end = NULL;
  long version = strtol(r->cell[1], &end, 10);
  if (end == r->cell[1] || *end != '\0' || version < 1) {
    return refuse(r, "'%.64s' is no version", r->cell[1]);
  }
  if (version > VERSION) {
    return MB_FAIL(MB_ERR_UNSUPPORTED, "%s:%zu: has version %ld, and this program reads version %d",
                   r->path, r->line, version, VERSION);
  }
  return MB_OK;
}

static mb_status read_config(reader *r) {
  MB_TRY(want_cells(r, 2, "config, its name"));
  if (r->baseline->config != NULL && r->baseline->config[0] != '\0') {
    return refuse(r, "names a second config");
  }
  free(r->baseline->config);
  r->baseline->config = strdup(r->cell[1]);
  return r->baseline->config != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "%s: no memory", r->path);
}

static mb_status find_metric(const reader *r, const char *name, size_t *metric) {
  *metric = mb_baseline_metric_find(name);
  if (*metric == MB_BASELINE_METRICS) {
    return refuse(r, "there is no metric '%.64s' that is checked", name);
  }
  return MB_OK;
}

static mb_status read_margin(reader *r) {
  size_t metric = 0;

  MB_TRY(want_cells(r, 3, "margin, metric, percent"));
  MB_TRY(find_metric(r, r->cell[1], &metric));
  if (mb_baseline_read_percent(r->cell[2], &r->baseline->margin_percent[metric]) != MB_OK) {
    return refuse(r, "%s", mb_error_message());
  }
  return MB_OK;
}

static mb_status read_digest(const reader *r, const char *text, char digest[MB_DIGEST_SIZE]) {
  if (strlen(text) != MB_DIGEST_SIZE - 1 ||
      strspn(text, "0123456789abcdef") != MB_DIGEST_SIZE - 1) {
    return refuse(r, "'%.64s' is no digest; should be %d digits 0-9 and a-f", text,
                  MB_DIGEST_SIZE - 1);
  }
  if (digest[0] != '\0') {
    return refuse(r, "stands here a second time");
  }
  memcpy(digest, text, MB_DIGEST_SIZE);
  return MB_OK;
}

/* A number that is not there yet is -infinity, which no file can say. */
static mb_status read_score(reader *r) {
  const char **cell = r->cell;
  mb_baseline_score *score = NULL;
  size_t metric = 0;

  MB_TRY(want_cells(r, 6, "value, setting, strategy, metric, seed, number"));
  size_t n_before = r->baseline->n_scores;
  MB_TRY(mb_baseline_add(r->baseline, cell[1], cell[2], cell[4], &score));
  for (size_t i = 0; r->baseline->n_scores > n_before && i < MB_BASELINE_METRICS; i++) {
    score->value[i] = -INFINITY;
  }
  if (strcmp(cell[3], placements_name) == 0) {
    return read_digest(r, cell[5], score->placements);
  }
  MB_TRY(find_metric(r, cell[3], &metric));
  if (!isinf(score->value[metric])) {
    return refuse(r, "stands here a second time");
  }
  return read_value(r, cell[5], &score->value[metric]);
}

static mb_status read_part(reader *r) {
  const char **cell = r->cell;
  mb_baseline_part *part = NULL;
  size_t metric = 0;

  MB_TRY(want_cells(r, 7, "where, setting, strategy, metric, layer or steps, which, number"));
  MB_TRY(find_metric(r, cell[3], &metric));
  if (strcmp(cell[4], "layer") != 0 && strcmp(cell[4], "steps") != 0) {
    return refuse(r, "'%.64s' should be layer or steps", cell[4]);
  }
  size_t n_before = r->baseline->n_parts;
  MB_TRY(mb_baseline_add_part(r->baseline, cell[1], cell[2], metric, strcmp(cell[4], "layer") == 0,
                              cell[5], &part));
  if (r->baseline->n_parts == n_before) {
    return refuse(r, "stands here a second time");
  }
  return read_value(r, cell[6], &part->value);
}

static mb_status read_line(reader *r, char *line) {
  static const struct {
    const char *word;
    mb_status (*read)(reader *r);
  } kinds[] = {{"config", read_config},
               {"margin", read_margin},
               {"value", read_score},
               {"where", read_part}};

  if (r->line > 1 && (line[0] == '#' || line[0] == '\0')) {
    return MB_OK;
  }
  MB_TRY(split(r, line));
  if (r->line == 1) {
    return read_header(r);
  }
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strcmp(r->cell[0], kinds[i].word) == 0) {
      return kinds[i].read(r);
    }
  }
  return refuse(r, "begins with '%.64s'; should be config, margin, value or where", r->cell[0]);
}

static mb_status read_lines(reader *r, FILE *stream) {
  char *line = NULL;
  size_t size = 0;
  mb_status status = MB_OK;

  for (ssize_t n = getline(&line, &size, stream); n >= 0 && status == MB_OK;
       n = status == MB_OK ? getline(&line, &size, stream) : -1) {
    r->line++;
    if (strlen(line) != (size_t)n) {
      status = refuse(r, "has a byte of value 0 in it");
    } else if (line[n - 1] != '\n') {
      status = refuse(r, "is cut short: the file should end with a newline");
    } else {
      line[n - 1] = '\0';
      status = read_line(r, line);
    }
  }
  int error = errno;
  if (status == MB_OK && ferror(stream) != 0) {
    status = MB_FAIL(MB_ERR_IO, "%s: cannot be read: %s", r->path, strerror(error));
  } else if (status == MB_OK && r->line == 0) {
    status = MB_FAIL(MB_ERR_FORMAT, "%s: is empty, and no baseline", r->path);
  }
  free(line);
  return status;
}

/* Nothing is missing: a check against half a baseline would pass too easily. */
static mb_status check_complete(const reader *r) {
  const mb_baseline *baseline = r->baseline;

  if (baseline->config[0] == '\0') {
    return refuse(r, "the file ends, and names no config");
  }
  if (baseline->n_scores == 0) {
    return refuse(r, "the file ends, and has no values");
  }
  for (size_t i = 0; i < baseline->n_scores; i++) {
    const mb_baseline_score *score = &baseline->score[i];
    const char *missing = score->placements[0] == '\0' ? placements_name : NULL;
    for (size_t m = 0; m < MB_BASELINE_METRICS; m++) {
      missing = isinf(score->value[m]) ? mb_baseline_metric_name(m) : missing;
    }
    if (missing != NULL) {
      return refuse(r, "the file ends without %s of setting %s, strategy %s, seed %s", missing,
                    score->setting, score->strategy, score->seed);
    }
  }
  return MB_OK;
}

mb_status mb_baseline_read(const char *path, mb_baseline *baseline) {
  mb_baseline made;
  FILE *stream = fopen(path, "r");

  if (stream == NULL) {
    return MB_FAIL(MB_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
  }
  mb_status status = mb_baseline_init("", &made);
  if (status == MB_OK) {
    reader r = {.path = path, .baseline = &made};
    status = read_lines(&r, stream);
    status = status == MB_OK ? check_complete(&r) : status;
    if (status == MB_OK) {
      *baseline = made;
    } else {
      mb_baseline_fini(&made);
    }
  }
  (void)fclose(stream);
  return status;
}

/* --- writing --- */

/* Every digit of a double, so that it comes back the same. */
static void put_value(FILE *stream, double value) {
  if (isnan(value)) {
    (void)fputs("NaN\n", stream); /* printf would tell its sign */
  } else {
    (void)fprintf(stream, "%.17g\n", value);
  }
}

/* All seeds of one metric stand together; MB_BASELINE_METRICS stands for the placements. */
static void put_metric(FILE *stream, const mb_baseline *baseline, size_t first, size_t metric) {
  bool is_digest = metric == MB_BASELINE_METRICS;
  const mb_baseline_score *like = &baseline->score[first];

  for (size_t i = first; i < baseline->n_scores; i++) {
    const mb_baseline_score *score = &baseline->score[i];
    if (strcmp(score->setting, like->setting) != 0 ||
        strcmp(score->strategy, like->strategy) != 0) {
      continue;
    }
    (void)fprintf(stream, "value\t%s\t%s\t%s\t%s\t", score->setting, score->strategy,
                  is_digest ? placements_name : mb_baseline_metric_name(metric), score->seed);
    if (is_digest) {
      (void)fprintf(stream, "%s\n", score->placements);
    } else {
      put_value(stream, score->value[metric]);
    }
  }
}

/* Whether it is the first of its setting and strategy. */
static bool is_first(const mb_baseline *baseline, size_t i) {
  const mb_baseline_score *score = &baseline->score[i];

  for (size_t j = 0; j < i; j++) {
    if (strcmp(baseline->score[j].setting, score->setting) == 0 &&
        strcmp(baseline->score[j].strategy, score->strategy) == 0) {
      return false;
    }
  }
  return true;
}

static void put_all(FILE *stream, const void *context) {
  const mb_baseline *baseline = context;

  (void)fprintf(stream,
                "%s\t%d\n"
                "# `moebal check` compares with this file; `moebal check --update` writes it anew "
                "and keeps the margins.\n"
                "config\t%s\n",
                format_name, VERSION, baseline->config);
  for (size_t m = 0; m < MB_BASELINE_METRICS; m++) {
    (void)fprintf(stream, "margin\t%s\t%.15g%%\n", mb_baseline_metric_name(m),
                  baseline->margin_percent[m]);
  }
  (void)fputs("# value\tsetting\tstrategy\tmetric\tseed\tvalue\n", stream);
  for (size_t i = 0; i < baseline->n_scores; i++) {
    for (size_t m = 0; is_first(baseline, i) && m <= MB_BASELINE_METRICS; m++) {
      put_metric(stream, baseline, i, m);
    }
  }
  (void)fputs("# where\tsetting\tstrategy\tmetric\tlayer or steps\twhich\tmean over seeds\n",
              stream);
  for (size_t i = 0; i < baseline->n_parts; i++) {
    const mb_baseline_part *part = &baseline->part[i];
    (void)fprintf(stream, "where\t%s\t%s\t%s\t%s\t%s\t", part->setting, part->strategy,
                  mb_baseline_metric_name(part->metric), part->is_layer ? "layer" : "steps",
                  part->name);
    put_value(stream, part->value);
  }
}

mb_status mb_baseline_write(const char *path, const mb_baseline *baseline) {
  return mb_new_file_write(path, put_all, baseline);
}
