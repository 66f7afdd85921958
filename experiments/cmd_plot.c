/* experiments/cmd_plot.c - `moebal plot`: results to tables, tables to figures. */
#include <argp.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/command.h"
#include "experiments/figure.h"
#include "experiments/figure_folder.h"
#include "experiments/gnuplot.h"
#include "experiments/interrupt.h"

static const char *const formats[] = {"pdf", "svg", "png"};

enum {
  N_FORMATS = sizeof formats / sizeof *formats,
  FIGURES_MAX = 64,
};

typedef struct plot_arguments {
  const char *results;
  const char *run;
  const char *folder;
  bool format[N_FORMATS];
  bool named; /* figures were asked for by name */
  size_t n_figures;
  const mb_figure *figures[FIGURES_MAX];
} plot_arguments;

/* --- the command line --- */

static bool add_format(plot_arguments *arguments, const char *name, size_t length) {
  for (size_t i = 0; i < N_FORMATS; i++) {
    if (strlen(formats[i]) == length && strncmp(formats[i], name, length) == 0) {
      arguments->format[i] = true;
      return true;
    }
  }
  return false;
}

static void parse_formats(plot_arguments *arguments, const char *list, struct argp_state *state) {
  for (const char *name = list;; name++) {
    size_t length = strcspn(name, ",");
    if (!add_format(arguments, name, length)) {
      argp_error(state,
                 "there is no format '%.*s'; --format takes pdf, svg and png, "
                 "separated by commas",
                 (int)length, name);
    }
    name += length;
    if (*name == '\0') {
      return;
    }
  }
}

static void parse_figure(plot_arguments *arguments, const char *name, struct argp_state *state) {
  const mb_figure *figure = mb_figure_find(name);

  if (figure == NULL) {
    argp_error(state, "there is no figure '%s'; `moebal list figures` lists them", name);
    return;
  }
  for (size_t i = 0; i < arguments->n_figures; i++) {
    if (arguments->figures[i] == figure) {
      return;
    }
  }
  if (arguments->n_figures < FIGURES_MAX) {
    arguments->figures[arguments->n_figures++] = figure;
  }
}

/* What was not given: pdf, all figures that apply. */
static void set_defaults(plot_arguments *arguments) {
  bool some = false;

  for (size_t i = 0; i < N_FORMATS; i++) {
    some = some || arguments->format[i];
  }
  arguments->format[0] = arguments->format[0] || !some;
  arguments->named = arguments->n_figures > 0;
  if (!arguments->named) {
    for (const mb_figure *const *figure = mb_figures();
         *figure != NULL && arguments->n_figures < FIGURES_MAX; figure++) {
      arguments->figures[arguments->n_figures++] = *figure;
    }
  }
}

static error_t parse(int key, char *value, struct argp_state *state) {
  plot_arguments *arguments = state->input;

  switch (key) {
  case 'o':
    arguments->folder = value;
    return 0;
  case 'f':
    parse_formats(arguments, value, state);
    return 0;
  case 'F':
    parse_figure(arguments, value, state);
    return 0;
  case 'r':
    arguments->run = value;
    return 0;
  case ARGP_KEY_ARG:
    if (arguments->results != NULL) {
      argp_error(state, "one results file at a time; '%s' is a second one", value);
    }
    arguments->results = value;
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_error(state, "RESULTS.h5 is missing: a file that `moebal run` has written");
    return 0;
  case ARGP_KEY_END:
    set_defaults(arguments);
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

/* --- the work --- */

/* The folder's path: as given, or the results file's without its ".h5". */
static mb_status choose_folder(const plot_arguments *arguments, char folder[PATH_MAX]) {
  const char *path = arguments->folder != NULL ? arguments->folder : arguments->results;
  size_t length = strlen(path);
  bool ours = arguments->folder == NULL;
  bool h5 = length > 3 && path[length - 4] != '/' && strcmp(path + length - 3, ".h5") == 0;

  if (length == 0 || length >= PATH_MAX - 16) {
    return MB_FAIL(MB_ERR_IO, "'%s' is no path for a folder", path);
  }
  (void)snprintf(folder, PATH_MAX, "%.*s%s", (int)(ours && h5 ? length - 3 : length), path,
                 ours && !h5 ? ".figures" : "");
  return MB_OK;
}

/* Writes a figure's table and its caption, NAME.tsv and NAME.txt. */
static mb_status write_figure(const mb_figure_source *source, const mb_figure *figure,
                              const char *folder) {
  char table[PATH_MAX];
  char text[PATH_MAX];
  char *caption = NULL;

  MB_TRY(mb_figure_folder_path(table, folder, figure->name, "tsv"));
  MB_TRY(mb_figure_folder_path(text, folder, figure->name, "txt"));
  MB_TRY(mb_figure_write(figure, source, table, &caption));
  mb_status status = mb_figure_folder_put_text(text, caption);
  free(caption);
  MB_TRY(status);
  (void)printf("%s\n%s\n", table, text);
  return MB_OK;
}

/* Writes the tables of the figures asked for, or of all that apply to what there is; those are what
   `arguments` has afterwards. */
static mb_status write_figures(plot_arguments *arguments, const mb_figure_source *source,
                               const char *folder) {
  size_t n = 0;
  bool apply = false;

  for (size_t i = 0; i < arguments->n_figures; i++) {
    const mb_figure *figure = arguments->figures[i];
    if (!arguments->named && !mb_figure_is_usual(figure, source)) {
      continue;
    }
    apply = true;
    mb_status status = write_figure(source, figure, folder);
    /* All that is there was checked when the file was opened: what is missing now was never there.
     */
    if (!arguments->named && (status == MB_ERR_UNSUPPORTED || status == MB_ERR_FORMAT)) {
      (void)fprintf(stderr, "moebal: %s is left out: %s\n", figure->name, mb_error_message());
      continue;
    }
    MB_TRY(status);
    MB_TRY(mb_interrupt_check());
    arguments->figures[n++] = figure;
  }
  arguments->n_figures = n;
  return apply ? MB_OK : mb_figure_none_applies(source, arguments->results);
}

/* Says which runs there are, as many as fit a line. */
static mb_status no_such_run(const plot_arguments *arguments, const mb_results_cells *cells) {
  char runs[256] = "";

  for (size_t i = 0; i < cells->n_cells; i++) {
    size_t used = strlen(runs);
    if (used + strlen(cells->cell[i].run) + 8 > sizeof runs) {
      (void)snprintf(runs + used, sizeof runs - used, ", ...");
      break;
    }
    (void)snprintf(runs + used, sizeof runs - used, "%s%s", i == 0 ? "" : ", ", cells->cell[i].run);
  }
  return MB_FAIL(MB_ERR_PARAM, "%s: there is no run '%s'; there is %s", arguments->results,
                 arguments->run, runs);
}

/* Opens the run that was asked for, or the only one; leaves *run NULL where there are several. */
static mb_status open_run(const plot_arguments *arguments, const mb_results_file *file,
                          mb_results **run) {
  const mb_results_cells *cells = mb_results_file_cells(file);

  if (arguments->run == NULL) {
    return cells->n_cells == 1 ? mb_results_file_open_run(file, 0, run) : MB_OK;
  }
  for (size_t i = 0; i < cells->n_cells; i++) {
    if (strcmp(cells->cell[i].run, arguments->run) == 0) {
      return mb_results_file_open_run(file, i, run);
    }
  }
  return no_such_run(arguments, cells);
}

/* A run of a sweep is drawn by the figures of one run, unless others are asked for. */
static void drop_sweep_figures(plot_arguments *arguments) {
  size_t n = 0;

  for (size_t i = 0; i < arguments->n_figures; i++) {
    if (arguments->figures[i]->sweep == NULL) {
      arguments->figures[n++] = arguments->figures[i];
    }
  }
  arguments->n_figures = n;
}

static mb_status write_tables(plot_arguments *arguments, const char *folder, bool *made) {
  mb_results_file *file = NULL;
  mb_results *run = NULL;

  MB_TRY(mb_results_file_open(arguments->results, &file));
  if (!arguments->named && arguments->run != NULL) {
    drop_sweep_figures(arguments);
  }
  mb_status status = open_run(arguments, file, &run);
  status = status == MB_OK ? mb_figure_folder_make(folder, made) : status;
  if (status == MB_OK) {
    const mb_figure_source source = {.file = file, .run = run};
    status = write_figures(arguments, &source, folder);
  }
  mb_results_destroy(run);
  mb_results_file_close(file);
  return status;
}

static mb_status draw_figure(const plot_arguments *arguments, const char *scripts,
                             const char *folder, const char *name) {
  for (size_t i = 0; i < N_FORMATS; i++) {
    if (arguments->format[i]) {
      MB_TRY(mb_figure_folder_draw(folder, scripts, name, formats[i]));
    }
  }
  return MB_OK;
}

static mb_status draw_figures(const plot_arguments *arguments, const char *folder) {
  char scripts[PATH_MAX];

  MB_TRY(mb_gnuplot_scripts(sizeof scripts, scripts));
  for (size_t i = 0; i < arguments->n_figures; i++) {
    mb_status status = draw_figure(arguments, scripts, folder, arguments->figures[i]->name);
    if (status == MB_ERR_UNSUPPORTED) {
      return MB_FAIL(status, "tables are in %s, but no figure is: %s", folder, mb_error_message());
    }
    MB_TRY(status);
  }
  return MB_OK;
}

static mb_status plot(plot_arguments *arguments) {
  char folder[PATH_MAX];
  bool made = false;

  MB_TRY(choose_folder(arguments, folder));
  mb_status status = write_tables(arguments, folder, &made);
  status = status == MB_OK ? draw_figures(arguments, folder) : status;
  if (status != MB_OK && made) {
    (void)rmdir(folder); /* which fails unless it is empty */
  }
  if (status == MB_ERR_CANCELLED) {
    return MB_FAIL(status, "stopped on request; not all figures are in %s", folder);
  }
  return status;
}

static int run_plot(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"output", 'o', "DIR", 0, "where tables and figures go (RESULTS.h5 without its .h5)", 0},
      {"format", 'f', "LIST", 0, "pdf, svg, png, separated by commas (pdf)", 0},
      {"figure", 'F', "NAME", 0,
       "this figure; may be repeated (all that apply, of `moebal list figures`)", 0},
      {"run", 'r', "NAME", 0, "the figures of that run, where the file has several", 0},
      {0}};
  static const struct argp argp = {
      .options = options,
      .parser = parse,
      .args_doc = "RESULTS.h5",
      .doc = "Writes the tables behind the figures (tab-separated, one header row) and their "
             "captions (NAME.txt), and draws them with gnuplot: of a sweep the figures of what was "
             "swept, of one run those of a run. Prints the path of every file it has written.",
  };
  plot_arguments arguments = {.results = NULL};

  (void)argp_parse(&argp, argc, argv, 0, NULL, &arguments);
  mb_interrupt_install();
  return plot(&arguments) == MB_OK ? MB_EXIT_OK : mb_command_failed();
}

const mb_command mb_command_plot = {
    .name = "plot",
    .summary = "draw the figures of a results file",
    .run = run_plot,
};
