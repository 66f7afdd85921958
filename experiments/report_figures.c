/* experiments/report_figures.c */
#include "experiments/report_figures.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/figure_folder.h"
#include "experiments/gnuplot.h"
#include "experiments/interrupt.h"
#include "experiments/report_html.h"
#include "experiments/report_rows.h"
#include "experiments/report_svg.h"

/* What the folder holds of each figure. */
static const char *const endings[] = {"tsv", "svg", "axes"};

static mb_status make_folder(char folder[PATH_MAX]) {
  const char *parent = getenv("TMPDIR");

  parent = parent != NULL && parent[0] != '\0' ? parent : "/tmp";
  int length = snprintf(folder, PATH_MAX, "%s/moebal-report-XXXXXX", parent);
  if (length >= PATH_MAX || mkdtemp(folder) == NULL) {
    folder[0] = '\0';
    return MB_FAIL(MB_ERR_IO, "no temporary folder can be made in %s: %s", parent,
                   length >= PATH_MAX ? "too long a path" : strerror(errno));
  }
  return MB_OK;
}

static mb_status draw(const mb_report_figures *figures, const char *scripts,
                      const mb_figure_source *source, mb_report_figure *made) {
  const char *name = made->figure->name;
  char script[PATH_MAX];
  char table[PATH_MAX];
  char drawing[PATH_MAX];

  MB_TRY(mb_figure_folder_path(script, scripts, "readout", "gp"));
  MB_TRY(mb_figure_folder_path(table, figures->folder, name, "tsv"));
  MB_TRY(mb_figure_folder_path(drawing, figures->folder, name, "svg"));
  mb_status status = mb_figure_write(made->figure, source, table, &made->caption);
  /* What results of an older moebal lack keeps no other figure from being drawn. */
  if (status == MB_ERR_UNSUPPORTED || status == MB_ERR_FORMAT) {
    made->missing = strdup(mb_error_message());
    return made->missing != NULL ? MB_OK : MB_FAIL(MB_ERR_MEMORY, "no memory for a figure");
  }
  MB_TRY(status);
  return mb_gnuplot_draw(script, table, drawing);
}

mb_status mb_report_figures_draw(const mb_figure_source *source, mb_report_figures *figures) {
  char scripts[PATH_MAX];

  figures->n = 0;
  figures->folder[0] = '\0';
  MB_TRY(mb_gnuplot_scripts(sizeof scripts, scripts));
  MB_TRY(make_folder(figures->folder));
  for (const mb_figure *const *figure = mb_figures(); *figure != NULL; figure++) {
    if (mb_figure_is_usual(*figure, source) && figures->n < MB_REPORT_FIGURES_MAX) {
      mb_report_figure *made = &figures->figure[figures->n++];
      *made = (mb_report_figure){.figure = *figure};
      MB_TRY(draw(figures, scripts, source, made));
      MB_TRY(mb_interrupt_check());
    }
  }
  return MB_OK;
}

void mb_report_figures_fini(mb_report_figures *figures) {
  for (size_t i = 0; i < figures->n; i++) {
    for (size_t e = 0; e < sizeof endings / sizeof *endings; e++) {
      char path[PATH_MAX];
      if (mb_figure_folder_path(path, figures->folder, figures->figure[i].figure->name,
                                endings[e]) == MB_OK) {
        (void)unlink(path);
      }
    }
    free(figures->figure[i].caption);
    free(figures->figure[i].missing);
  }
  if (figures->folder[0] != '\0') {
    (void)rmdir(figures->folder);
  }
  figures->n = 0;
  figures->folder[0] = '\0';
}

/* --- into the page --- */

/* Whether it is to be put: it was drawn, and is of these. */
static bool is_of(const mb_report_figure *figure, mb_report_of of) {
  mb_report_of is = figure->figure->sweep != NULL ? MB_REPORT_OF_SWEEP : MB_REPORT_OF_RUN;

  return figure->missing == NULL && ((unsigned)is & (unsigned)of) != 0;
}

bool mb_report_figures_have(const mb_report_figures *figures, mb_report_of of) {
  for (size_t i = 0; i < figures->n; i++) {
    if (is_of(&figures->figure[i], of)) {
      return true;
    }
  }
  return false;
}

/* What a caption says of the run, the page says once for all figures. */
static bool is_of_run(const char *line) {
  static const char *const begins[] = {
      "Run: ", "Trace: ", "Cluster: ", "Schedule: ", "Strategies: ", "Swept: ", "What is said of "};

  for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
    if (strncmp(line, begins[i], strlen(begins[i])) == 0) {
      return true;
    }
  }
  return false;
}

/* How much of a caption's first line names the figure: up to the first stop. */
static size_t title_length(const char *line) {
  size_t length = 0;

  while (line[length] != '\0' && !(strchr(".:;", line[length]) != NULL &&
                                   (line[length + 1] == ' ' || line[length + 1] == '\0'))) {
    length++;
  }
  return length;
}

static void put_part(FILE *page, const char *tag, const char *text, size_t length) {
  char *part = strndup(text, length);

  if (part != NULL && part[0] != '\0') {
    (void)fprintf(page, "<%s>", tag);
    mb_html_put_prose(page, part);
    (void)fprintf(page, "</%s>\n", tag);
  }
  free(part);
}

/* What stands before the first stop is the figure's title; what a caption says of the run is left
 * out. */
static void put_caption(FILE *page, const char *caption) {
  (void)fputs("<figcaption>", page);
  for (const char *line = caption; *line != '\0';) {
    size_t length = strcspn(line, "\n");
    size_t title = line == caption ? title_length(line) : 0;
    if (title > 0) {
      put_part(page, "strong", line, title);
      title += strspn(line + title, ".:; ");
    }
    if (!is_of_run(line)) {
      put_part(page, "p", line + title, length > title ? length - title : 0);
    }
    line += length + (line[length] == '\n');
  }
  (void)fputs("</figcaption>\n", page);
}

static mb_status put_figure(const mb_report_figures *figures, const mb_report_figure *made,
                            FILE *page) {
  const char *name = made->figure->name;
  char path[sizeof endings / sizeof *endings][PATH_MAX];

  for (size_t e = 0; e < sizeof endings / sizeof *endings; e++) {
    MB_TRY(mb_figure_folder_path(path[e], figures->folder, name, endings[e]));
  }
  (void)fprintf(page, "<figure id=\"%s\">\n", name);
  put_caption(page, made->caption);
  (void)fputs("<div class=\"plot\">", page);
  MB_TRY(mb_report_svg_put(path[1], name, made->figure->summary, page));
  (void)fputs("</div>\n<p class=\"readout\" hidden></p>\n<script type=\"application/json\">", page);
  MB_TRY(mb_report_rows_put(path[0], path[2], page));
  (void)fputs("</script>\n</figure>\n", page);
  return MB_OK;
}

mb_status mb_report_figures_put(const mb_report_figures *figures, mb_report_of of, FILE *page) {
  (void)fputs("<div class=\"figures\">\n", page);
  for (size_t i = 0; i < figures->n; i++) {
    if (is_of(&figures->figure[i], of)) {
      MB_TRY(put_figure(figures, &figures->figure[i], page));
    }
  }
  (void)fputs("</div>\n", page);
  return MB_OK;
}

void mb_report_figures_put_missing(const mb_report_figures *figures, FILE *page) {
  for (size_t i = 0; i < figures->n; i++) {
    if (figures->figure[i].missing != NULL) {
      (void)fprintf(page, "<p class=\"note\">Not drawn: %s. ", figures->figure[i].figure->name);
      mb_html_put_text(page, figures->figure[i].missing);
      (void)fputs("</p>\n", page);
    }
  }
}
