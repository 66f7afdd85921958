/* experiments/report.c */
#include "experiments/report.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/interrupt.h"
#include "experiments/report_attribution.h"
#include "experiments/report_comparison.h"
#include "experiments/report_costs.h"
#include "experiments/report_figures.h"
#include "experiments/report_html.h"
#include "experiments/report_results.h"
#include "moebal_version.h"
#include "report_assets.h"
#include "workloads/new_file.h"

/* Everything that a page is made from. */
typedef struct page {
  const mb_report *report;
  mb_results_file *file;
  mb_results *run;
  mb_figure_source source;
  mb_report_figures figures;
  mb_compare_options options;
  mb_comparison comparison;
  char *no_comparison; /* why there is none; NULL: there is one */
  char *config;
  FILE *stream;
} page;

/* --- what it is made from --- */

/* The cell whose run is shown: the one asked for, or the first that ran. */
static mb_status choose_cell(const page *p, size_t *cell) {
  const mb_results_cells *cells = mb_results_file_cells(p->file);
  const char *name = p->report->run;

  for (size_t i = 0; i < cells->n_cells; i++) {
    bool ran = cells->cell[i].error[0] == '\0';
    if (name != NULL ? strcmp(cells->cell[i].run, name) == 0 : ran) {
      *cell = i;
      return MB_OK;
    }
  }
  return name == NULL ? MB_FAIL(MB_ERR_PARAM, "%s: no cell has results; the first failed: %s",
                                p->report->results, cells->cell[0].error)
                      : MB_FAIL(MB_ERR_PARAM, "%s: there is no run '%s'; the first of %zu is %s",
                                p->report->results, name, cells->n_cells, cells->cell[0].run);
}

/* Results that lack what a comparison needs are reported without one. */
static mb_status compare(page *p) {
  mb_compare_options_init(&p->options);
  p->options.baseline = p->report->baseline;
  mb_status status = mb_compare(p->file, &p->options, &p->comparison);
  if (status == MB_OK || status == MB_ERR_CANCELLED || p->report->baseline != NULL) {
    return status;
  }
  p->no_comparison = strdup(mb_error_message());
  return p->no_comparison != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "no memory for a report");
}

static mb_status gather(page *p) {
  size_t cell = 0;

  MB_TRY(mb_results_file_open(p->report->results, &p->file));
  MB_TRY(choose_cell(p, &cell));
  MB_TRY(mb_results_file_open_run(p->file, cell, &p->run));
  p->source = (mb_figure_source){.file = p->file, .run = p->run};
  MB_TRY(mb_results_file_provenance(p->file, "config", &p->config));
  MB_TRY(compare(p));
  return mb_report_figures_draw(&p->source, &p->figures);
}

static void release(page *p) {
  mb_report_figures_fini(&p->figures);
  if (p->no_comparison == NULL) {
    mb_comparison_fini(&p->comparison);
  }
  free(p->no_comparison);
  free(p->config);
  mb_results_destroy(p->run);
  mb_results_file_close(p->file);
}

/* --- head and foot --- */

/* The experiment's name: the config's, which its first line has, or else the file's. */
static void put_name(const page *p) {
  static const char key[] = "name: ";
  const char *slash = strrchr(p->report->results, '/');
  const char *from = slash != NULL ? slash + 1 : p->report->results;
  size_t length = strlen(from);

  length -= length > 3 && strcmp(from + length - 3, ".h5") == 0 ? 3 : 0;
  if (strncmp(p->config, key, strlen(key)) == 0) {
    from = p->config + strlen(key);
    length = strcspn(from, "\n");
  }
  char *name = strndup(from, length);
  mb_html_put_text(p->stream, name != NULL ? name : "moebal");
  free(name);
}

static bool is_sweep(const page *p) {
  const mb_results_cells *cells = mb_results_file_cells(p->file);

  return cells->n_cells > 1 || cells->n_keys > 0;
}

static void put_head(const page *p) {
  (void)fputs(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      /* Nothing that the page shows can load, send or run anything but what is below. */
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
      "style-src 'sha256-" REPORT_CSS_SHA256 "'; script-src 'sha256-" REPORT_JS_SHA256
      "'; base-uri 'none'; form-action 'none'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta name=\"generator\" content=\"moebal " MOEBAL_VERSION "\">\n<title>",
      p->stream);
  put_name(p);
  (void)fputs(" – moebal report</title>\n<style>", p->stream);
  (void)fputs(report_css, p->stream);
  (void)fputs("</style>\n</head>\n<body>\n<header>\n<h1>", p->stream);
  put_name(p);
  (void)fputs("</h1>\n", p->stream);
}

static void put_contents(const page *p) {
  static const struct {
    const char *id, *name;
  } parts[] = {{"results", "Results"},
               {"figures", "Figures"},
               {"comparison", "Comparison"},
               {"provenance", "Provenance"},
               {"config-part", "Config"}};

  (void)fputs("<nav aria-label=\"Contents\">\n", p->stream);
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    (void)fprintf(p->stream, "<a href=\"#%s\">%s</a>\n", parts[i].id, parts[i].name);
  }
  (void)fputs("</nav>\n</header>\n<main>\n", p->stream);
}

/* A fact of the whole; what the runs of a sweep do not share, of the run that is shown. */
static mb_status read_fact(const page *p, const char *name, char **text, bool *of_run) {
  *of_run = false;
  MB_TRY(mb_results_file_provenance(p->file, name, text));
  if ((*text)[0] != '\0' || !is_sweep(p)) {
    return MB_OK;
  }
  free(*text);
  *text = NULL;
  *of_run = true;
  return mb_results_file_run_provenance(p->file, mb_results_get_run(p->run)->name, name, text);
}

static mb_status put_under(const page *p) {
  char *started = NULL;
  char *version = NULL;
  bool of_run = false;

  MB_TRY(read_fact(p, "start_time", &started, &of_run));
  mb_status status = read_fact(p, "version", &version, &of_run);
  if (status == MB_OK) {
    (void)fputs(is_sweep(p) ? "<p class=\"under\">Sweep" : "<p class=\"under\">Run", p->stream);
    if (started[0] != '\0') {
      (void)fputs(" of ", p->stream);
      started[strcspn(started, "T")] = '\0';
      mb_html_put_text(p->stream, started);
    }
    if (version[0] != '\0') {
      (void)fputs(", moebal ", p->stream);
      mb_html_put_text(p->stream, version);
    }
    (void)fputs("</p>\n", p->stream);
  }
  free(version);
  free(started);
  return status;
}

static void put_foot(const page *p) {
  (void)fputs("</main>\n<script>", p->stream);
  (void)fputs(report_js, p->stream);
  (void)fputs("</script>\n</body>\n</html>\n", p->stream);
}

/* --- the parts --- */

static mb_status put_results(const page *p) {
  bool sweep = is_sweep(p);
  bool found = false;

  (void)fputs("<section id=\"results\">\n<h2>Results</h2>\n", p->stream);
  if (sweep) {
    MB_TRY(mb_report_put_conditions(&p->source, &found, p->stream));
    (void)fputs("<h3>The run <code>", p->stream);
    mb_html_put_text(p->stream, mb_results_get_run(p->run)->name);
    (void)fputs("</code></h3>\n", p->stream);
  }
  MB_TRY(mb_report_put_strategies(&p->source, found, p->stream));
  MB_TRY(mb_report_put_attribution(&p->source, p->stream));
  mb_report_put_meanings(p->stream);
  MB_TRY(mb_report_put_costs(&p->source, p->stream));
  (void)fputs("</section>\n", p->stream);
  return MB_OK;
}

static mb_status put_figures(const page *p) {
  (void)fputs("<section id=\"figures\">\n<h2>Figures</h2>\n"
              "<p class=\"note\" id=\"how\" hidden>For values, point at a figure or touch it; or "
              "move to it by Tab and use the arrow keys.</p>\n",
              p->stream);
  if (is_sweep(p)) {
    if (mb_report_figures_have(&p->figures, MB_REPORT_OF_SWEEP)) {
      MB_TRY(mb_report_figures_put(&p->figures, MB_REPORT_OF_SWEEP, p->stream));
    }
    if (mb_report_figures_have(&p->figures, MB_REPORT_OF_RUN)) {
      (void)fputs("<h3>Of the run <code>", p->stream);
      mb_html_put_text(p->stream, mb_results_get_run(p->run)->name);
      (void)fputs("</code></h3>\n", p->stream);
      MB_TRY(mb_report_figures_put(&p->figures, MB_REPORT_OF_RUN, p->stream));
    }
  } else {
    MB_TRY(mb_report_figures_put(&p->figures, MB_REPORT_ALL, p->stream));
  }
  mb_report_figures_put_missing(&p->figures, p->stream);
  (void)fputs("</section>\n", p->stream);
  return MB_OK;
}

static void put_comparison(const page *p) {
  (void)fputs("<section id=\"comparison\">\n<h2>Comparison</h2>\n", p->stream);
  if (p->no_comparison == NULL) {
    mb_report_put_comparison(&p->options, &p->comparison, p->stream);
  } else {
    (void)fputs("<p>There is none: ", p->stream);
    mb_html_put_text(p->stream, p->no_comparison);
    (void)fputs(".</p>\n", p->stream);
  }
  (void)fputs("</section>\n", p->stream);
}

static mb_status put_fact(const page *p, const char *name, const char *words) {
  char *text = NULL;
  bool of_run = false;

  MB_TRY(read_fact(p, name, &text, &of_run));
  if (text[0] != '\0') {
    (void)fprintf(p->stream, "<dt>%s</dt><dd>", words);
    mb_html_put_text(p->stream, text);
    if (of_run) {
      (void)fputs(" <span class=\"note\">of ", p->stream);
      mb_html_put_text(p->stream, mb_results_get_run(p->run)->name);
      (void)fputs("</span>", p->stream);
    }
    (void)fputs("</dd>\n", p->stream);
  }
  free(text);
  return MB_OK;
}

static mb_status put_provenance(const page *p) {
  static const struct {
    const char *name, *words;
  } facts[] = {{"start_time", "started"},
               {"version", "moebal"},
               {"git", "its commit"},
               {"compiler", "compiler"},
               {"cpu", "CPU"},
               {"threads", "threads"},
               {"backend", "planned by"},
               {"gpu", "GPU used"},
               {"trace", "trace"},
               {"trace_source", "its origin"},
               {"load_xxh3", "digest of its loads (XXH3-128)"},
               {"seed", "seed"}};

  (void)fputs("<section id=\"provenance\">\n<h2>Provenance</h2>\n<dl>\n", p->stream);
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
    MB_TRY(put_fact(p, facts[i].name, facts[i].words));
  }
  (void)fputs("</dl>\n</section>\n", p->stream);
  return MB_OK;
}

/* A config with a button that copies it; it is there where scripts run. */
static void put_copied(const page *p, const char *id, const char *config) {
  (void)fprintf(p->stream,
                "<div><button type=\"button\" data-copies=\"%s\" hidden>Copy</button> "
                "<span role=\"status\" class=\"note\"></span></div>\n<pre id=\"%s\">",
                id, id);
  /* The newline that may follow <pre> is no part of it: a config's own first one would be lost. */
  (void)fputc('\n', p->stream);
  mb_html_put_text(p->stream, config);
  (void)fputs("</pre>\n", p->stream);
}

static mb_status put_config(const page *p) {
  const char *run = mb_results_get_run(p->run)->name;
  char *config = NULL;

  (void)fprintf(p->stream,
                "<section id=\"config-part\">\n<h2>Config</h2>\n"
                "<p>What <code>moebal run</code> takes to run this again%s</p>\n",
                is_sweep(p) ? ", as it was given." : ", with every default written out.");
  put_copied(p, "config", p->config);
  if (is_sweep(p)) {
    MB_TRY(mb_results_file_run_provenance(p->file, run, "config", &config));
    if (config[0] != '\0') {
      (void)fputs("<details><summary>The run <code>", p->stream);
      mb_html_put_text(p->stream, run);
      (void)fputs("</code> alone, with every default written out</summary>\n", p->stream);
      put_copied(p, "config-of-run", config);
      (void)fputs("</details>\n", p->stream);
    }
    free(config);
  }
  (void)fputs("</section>\n", p->stream);
  return MB_OK;
}

static mb_status put_page(const page *p) {
  put_head(p);
  MB_TRY(put_under(p));
  put_contents(p);
  MB_TRY(mb_report_put_run(&p->source, p->stream));
  MB_TRY(put_results(p));
  MB_TRY(put_figures(p));
  put_comparison(p);
  MB_TRY(put_provenance(p));
  MB_TRY(put_config(p));
  put_foot(p);
  return mb_interrupt_check();
}

/* --- the file --- */

static mb_status write_file(page *p) {
  mb_new_file file = {NULL, NULL};

  mb_status status = mb_new_file_open(p->report->output, &file);
  if (status == MB_OK) {
    p->stream = fopen(file.temporary, "wb");
    status = p->stream != NULL ? put_page(p)
                               : MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", p->report->output,
                                         strerror(errno));
  }
  if (p->stream != NULL) {
    errno = 0;
    bool failed = fflush(p->stream) != 0 || ferror(p->stream) != 0;
    int why = errno;
    failed = fclose(p->stream) != 0 || failed;
    if (status == MB_OK && failed) {
      status = MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", p->report->output,
                       strerror(why != 0 ? why : errno));
    }
  }
  status = status == MB_OK ? mb_new_file_commit(&file) : status;
  mb_new_file_close(&file);
  return status;
}

mb_status mb_report_write(const mb_report *report) {
  page p = {.report = report};

  if (mb_file_is_hdf5(report->output)) {
    return MB_FAIL(MB_ERR_IO, "%s is an HDF5 file, which a report does not replace",
                   report->output);
  }
  mb_status status = gather(&p);
  status = status == MB_OK ? write_file(&p) : status;
  release(&p);
  return status;
}
