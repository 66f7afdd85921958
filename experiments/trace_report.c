/* experiments/trace_report.c */
#include "experiments/trace_report.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 100, LABEL = 14 };

/* Prints "label  text", broken at spaces, the further lines under the first one's text. */
static void print_wrapped(FILE *out, const char *label, const char *text) {
  int column = fprintf(out, "%-*s", LABEL, label);

  while (*text != '\0') {
    size_t length = strcspn(text, " ");
    if (column > LABEL && column + 1 + (int)length > COLUMNS) {
      column = fprintf(out, "\n%*s", LABEL, "") - 1;
    } else if (column > LABEL) {
      column += fprintf(out, " ");
    }
    for (size_t i = 0; i < length; i++) {
      unsigned char c = (unsigned char)text[i];
      column += c < 0x20 || c == 0x7f ? fprintf(out, "?") : fprintf(out, "%c", c);
    }
    text += length + strspn(text + length, " ");
  }
  (void)fputc('\n', out);
}

/* print_wrapped() of a text made as by printf. */
#define PRINT_TEXT(out, label, ...)                             \
  do {                                                          \
    char made_text_[4096];                                      \
    (void)snprintf(made_text_, sizeof made_text_, __VA_ARGS__); \
    print_wrapped(out, label, made_text_);                      \
  } while (0)

/* A number in so many columns, or a dash for none. */
static void print_number(FILE *out, int width, int precision, double value) {
  if (isnan(value)) {
    (void)fprintf(out, "%*s", width, "-");
  } else {
    (void)fprintf(out, "%*.*f", width, precision, value);
  }
}

static void print_objects(FILE *out, const mb_trace_info *info) {
  static const struct {
    unsigned object;
    const char *name;
  } objects[] = {{MB_TRACE_STEP_TIME, " /step_time"},
                 {MB_TRACE_STEP_PHASE, " /step_phase"},
                 {MB_TRACE_LOAD_BY_SOURCE, " /load_by_source"},
                 {MB_TRACE_TOKENS, " /tokens"},
                 {MB_TRACE_TOPK, " /topk"}};
  char text[128] = "";

  for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
    if ((info->objects & objects[i].object) != 0) {
      (void)strncat(text, objects[i].name, sizeof text - strlen(text) - 1);
    }
  }
  if (text[0] != '\0') {
    PRINT_TEXT(out, "also has", "%s", text + 1);
  }
}

static void print_counts(FILE *out, const mb_trace_info *info) {
  const char *unknown = "not said";

  PRINT_TEXT(out, "counts", "%s; padding: %s", info->counts[0] != '\0' ? info->counts : unknown,
             info->padding[0] != '\0' ? info->padding : unknown);
  if (info->source_semantics[0] != '\0') {
    PRINT_TEXT(out, "ranks", "%zu, %s", info->n_sources, info->source_semantics);
  }
  if (info->steps_per_record > 1) {
    PRINT_TEXT(out, "record", "each step of the file is the sum of %lld",
               (long long)info->steps_per_record);
  }
}

static void print_head(FILE *out, const char *path, const mb_trace_info *info, const char *digest,
                       const mb_trace_summary *summary) {
  PRINT_TEXT(out, "trace", "%s", path);
  PRINT_TEXT(out, "model", "%s, %s", info->model, mb_phase_name(info->phase));
  PRINT_TEXT(out, "shape", "%zu steps x %zu layers x %zu experts, top %d, %d group%s",
             info->n_steps, info->n_layers, info->n_experts, (int)info->top_k, (int)info->n_groups,
             info->n_groups == 1 ? "" : "s");
  PRINT_TEXT(out, "source", "%s", info->source);
  PRINT_TEXT(out, "created by", "%s", info->created_by);
  print_counts(out, info);
  print_objects(out, info);
  PRINT_TEXT(out, "load_xxh3", "%s, %s", digest,
             info->load_xxh3[0] != '\0' ? "as recorded" : "none is recorded");
  if (summary->n_empty_steps > 0) {
    PRINT_TEXT(out, "empty steps", "%zu of %zu have no load in any layer", summary->n_empty_steps,
               summary->n_steps);
  }
  if (!isnan(summary->tokens_mean)) {
    PRINT_TEXT(out, "tokens", "a step: mean %.6g, from %.6g to %.6g (%s)", summary->tokens_mean,
               summary->tokens_min, summary->tokens_max,
               summary->tokens_known ? "from /tokens" : "the sum over the experts / top_k");
    PRINT_TEXT(out, "", "an expert that has any in a step: mean %.4g", summary->tokens_per_active);
  }
  PRINT_TEXT(out, "windows", "%zu, each of %zu steps", summary->n_windows, summary->window);
}

/* The columns of the table, in order. */
typedef double (*column_value)(const mb_layer_stats *layer);

static double get_peak(const mb_layer_stats *layer) {
  return layer->peak;
}
static double get_gini(const mb_layer_stats *layer) {
  return layer->gini;
}
static double get_hottest(const mb_layer_stats *layer) {
  return layer->load > 0 ? (double)layer->hottest : NAN;
}
static double get_idle(const mb_layer_stats *layer) {
  return (double)layer->n_idle;
}
static double get_drift(const mb_layer_stats *layer) {
  return layer->drift;
}
static double get_drift_max(const mb_layer_stats *layer) {
  return layer->drift_max;
}
static double get_drift_noise(const mb_layer_stats *layer) {
  return layer->drift_noise;
}
static double get_similarity(const mb_layer_stats *layer) {
  return layer->similarity;
}
static double get_tokens(const mb_layer_stats *layer) {
  return layer->tokens_per_active;
}

static const struct column {
  const char *title;
  column_value get;
  int width, precision;
  bool ordinal; /* a number that has no median */
} columns[] = {
    {"max/mean", get_peak, 10, 2, false},        {"Gini", get_gini, 8, 3, false},
    {"hottest", get_hottest, 9, 0, true},        {"idle", get_idle, 7, 0, false},
    {"drift", get_drift, 10, 3, false},          {"max", get_drift_max, 8, 3, false},
    {"noise", get_drift_noise, 8, 3, false},     {"similarity", get_similarity, 12, 3, false},
    {"tokens/expert", get_tokens, 15, 2, false},
};
enum { N_COLUMNS = sizeof columns / sizeof *columns };

static void print_layer(FILE *out, int32_t id, const mb_layer_stats *layer) {
  (void)fprintf(out, "%6d", (int)id);
  for (size_t c = 0; c < N_COLUMNS; c++) {
    print_number(out, columns[c].width, columns[c].precision, columns[c].get(layer));
  }
  (void)fprintf(out, "%s\n", layer->faults != 0 ? " *" : "");
}

/* A quantile over the layers of a column; the layers that have no number there are left out. */
static double column_quantile(const mb_trace_summary *summary, size_t n_layers, size_t c,
                              double fraction, double *scratch) {
  size_t n = 0;

  for (size_t l = 0; l < n_layers; l++) {
    double value = columns[c].get(&summary->layers[l]);
    if (!isnan(value)) {
      scratch[n++] = value;
    }
  }
  if (n == 0 || columns[c].ordinal) {
    return NAN;
  }
  gsl_sort(scratch, 1, n);
  return gsl_stats_quantile_from_sorted_data(scratch, 1, n, fraction);
}

static void print_quantiles(FILE *out, const mb_trace_summary *summary, size_t n_layers) {
  static const struct {
    const char *title;
    double fraction;
  } rows[] = {{"min", 0.0}, {"median", 0.5}, {"max", 1.0}};
  double *scratch = malloc(n_layers * sizeof *scratch);

  if (scratch == NULL) {
    return; /* the table stands without them */
  }
  (void)fputc('\n', out);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    (void)fprintf(out, "%6s", rows[i].title);
    for (size_t c = 0; c < N_COLUMNS; c++) {
      print_number(out, columns[c].width, columns[c].precision,
                   column_quantile(summary, n_layers, c, rows[i].fraction, scratch));
    }
    (void)fputc('\n', out);
  }
  free(scratch);
}

static void print_table(FILE *out, const mb_trace_info *info, const mb_trace_summary *summary) {
  (void)fprintf(out, "\n%6s%34s%38s\n%6s", "", "-- load of the whole trace ----",
                "---- from window to window ----", "layer");
  for (size_t c = 0; c < N_COLUMNS; c++) {
    (void)fprintf(out, "%*s", columns[c].width, columns[c].title);
  }
  (void)fputc('\n', out);
  for (size_t l = 0; l < info->n_layers; l++) {
    print_layer(out, info->layer_ids[l], &summary->layers[l]);
  }
  print_quantiles(out, summary, info->n_layers);
  (void)fputc('\n', out);
  PRINT_TEXT(out, "idle", "experts without load in the whole trace");
  PRINT_TEXT(out, "drift",
             "share of the load that moves to other experts from a window to the next "
             "(total variation): mean, max");
  PRINT_TEXT(out, "noise", "the drift that sampling alone would show, without any change");
  PRINT_TEXT(out, "similarity",
             "Pearson correlation of the experts' shares in a window and the next");
  PRINT_TEXT(out, "tokens/expert", "tokens a step of an expert that has any in it");
  if (summary->n_faults > 0) {
    PRINT_TEXT(out, "*", "a check found something wrong in this layer");
  }
}

/* "3 layers (4, 7, 9)", "20 layers (3, ..., 10 and 12 more)", "all layers". */
static void list_layers(const mb_trace_info *info, const mb_trace_summary *summary,
                        const mb_trace_fault *fault, char *text, size_t size) {
  enum { SHOWN = 8 };
  size_t n = 0;

  if (fault->n_layers == info->n_layers) {
    (void)snprintf(text, size, "all layers");
    return;
  }
  size_t used = (size_t)snprintf(text, size, "%zu layer%s (", fault->n_layers,
                                 fault->n_layers == 1 ? "" : "s");
  for (size_t l = 0; l < info->n_layers && n < SHOWN && used < size; l++) {
    if ((summary->layers[l].faults & 1U << fault->kind) != 0) {
      used += (size_t)snprintf(text + used, size - used, "%s%d", n > 0 ? ", " : "",
                               (int)info->layer_ids[l]);
      n++;
    }
  }
  if (fault->n_layers > n && used < size) {
    used += (size_t)snprintf(text + used, size - used, " and %zu more", fault->n_layers - n);
  }
  if (used < size) {
    (void)snprintf(text + used, size - used, ")");
  }
}

static void describe_amount(const mb_trace_fault *fault, char *text, size_t size) {
  switch (fault->kind) {
  case MB_TRACE_COUNTED_TWICE:
    (void)snprintf(text, size, "; %.0f times it", fault->amount);
    break;
  case MB_TRACE_WRONG_TOP_K:
    (void)snprintf(text, size, "; %.0f times", fault->amount);
    break;
  case MB_TRACE_PADDING:
    (void)snprintf(text, size, "; %.3g %% too many there", 100.0 * fault->amount);
    break;
  case MB_TRACE_DROPPED:
    (void)snprintf(text, size, "; %.3g %% are missing there", 100.0 * fault->amount);
    break;
  default:
    text[0] = '\0';
  }
}

static void print_fault(FILE *out, const mb_trace_info *info, const mb_trace_summary *summary,
                        const mb_trace_fault *fault) {
  char layers[256];
  char amount[128];

  list_layers(info, summary, fault, layers, sizeof layers);
  describe_amount(fault, amount, sizeof amount);
  PRINT_TEXT(out, "  WRONG", "%s: %s%s. In %s, %zu layer-steps, the first in step %zu.",
             mb_trace_fault_title(fault->kind), mb_trace_fault_meaning(fault->kind), amount, layers,
             fault->n_layer_steps, fault->first_step);
}

static void print_checks(FILE *out, const mb_trace_info *info, const mb_trace_summary *summary) {
  (void)fprintf(out, "\nchecks\n");
  for (size_t i = 0; i < summary->n_faults; i++) {
    print_fault(out, info, summary, &summary->faults[i]);
  }
  if (summary->n_faults == 0 && isnan(summary->tokens_mean)) {
    PRINT_TEXT(out, "  WRONG", "no step has any load");
  } else if (summary->n_faults == 0) {
    PRINT_TEXT(out, "  ok",
               "in each step the sum over the experts is the same in all layers, and %s",
               summary->tokens_known ? "top_k x tokens" : "a multiple of top_k");
    PRINT_TEXT(out, "  ok", "no expert has more loads than the step has tokens");
  }
  if (!summary->tokens_known) {
    PRINT_TEXT(out, "  note",
               "without /tokens, what is wrong in the same way in all layers (padding, "
               "ranks counted twice) does not show");
  }
  if (strcmp(info->padding, "included") == 0) {
    PRINT_TEXT(out, "  note", "the file says that padding is included in the loads");
  }
}

void mb_trace_report_print(FILE *out, const char *path, const mb_trace_info *info,
                           const char *digest, const mb_trace_summary *summary) {
  print_head(out, path, info, digest, summary);
  print_table(out, info, summary);
  print_checks(out, info, summary);
}
