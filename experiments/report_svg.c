/* experiments/report_svg.c */
#include "experiments/report_svg.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "experiments/report_html.h"

/* A whole text file, ended by '\0'. @param text Transferred: free() it. */
static mb_status read_text(const char *path, char **text) {
  FILE *file = fopen(path, "rb");
  char *read = NULL;
  size_t size = 0;

  if (file == NULL) {
    return MB_FAIL(MB_ERR_IO, "%s: %s", path, strerror(errno));
  }
  /* A NUL delimits nothing in an SVG: this reads to the end. */
  ssize_t length = getdelim(&read, &size, '\0', file);
  bool failed = length <= 0 || ferror(file) != 0;
  (void)fclose(file);
  if (failed) {
    free(read);
    return MB_FAIL(MB_ERR_IO, "%s cannot be read", path);
  }
  *text = read;
  return MB_OK;
}

static bool begins(const char *text, const char *with) {
  return strncmp(text, with, strlen(with)) == 0;
}

/* What of a tag comes before a name that has to be unique in the page. */
static size_t before_name(const char *tag) {
  static const char *const befores[] = {" id=\"", " id='", "href=\"#", "href='#", "url(#"};

  for (size_t i = 0; i < sizeof befores / sizeof *befores; i++) {
    if (begins(tag, befores[i])) {
      return strlen(befores[i]);
    }
  }
  return 0;
}

/* Copies from '<' to '>', with the drawing's name put before ids. Returns what follows. */
static const char *put_tag(const char *tag, const char *name, FILE *page) {
  while (*tag != '\0' && *tag != '>') {
    size_t before = before_name(tag);
    if (before > 0) {
      (void)fwrite(tag, 1, before, page);
      (void)fprintf(page, "%s-", name);
      tag += before;
    } else {
      (void)fputc(*tag++, page);
    }
  }
  if (*tag == '>') {
    (void)fputc(*tag++, page);
  }
  return tag;
}

/* What gnuplot calls its plots are pieces of the script: they say nothing to a reader. */
static const char *skip_title(const char *text) {
  static const struct {
    const char *begin, *end;
  } skipped[] = {{"<title>", "</title>"}, {"<desc>", "</desc>"}};

  for (size_t i = 0; i < sizeof skipped / sizeof *skipped; i++) {
    const char *end = begins(text, skipped[i].begin) ? strstr(text, skipped[i].end) : NULL;
    if (end != NULL) {
      return end + strlen(skipped[i].end);
    }
  }
  return text;
}

static void put_body(const char *body, const char *name, FILE *page) {
  while (*body != '\0') {
    const char *after = skip_title(body);
    if (after != body) {
      body = after;
    } else if (*body == '<') {
      body = put_tag(body, name, page);
    } else {
      (void)fputc(*body++, page);
    }
  }
}

/* The root element's width and height, and what follows its tag. */
static const char *find_root(const char *text, double *width, double *height) {
  const char *root = strstr(text, "<svg");
  const char *end = root != NULL ? strchr(root, '>') : NULL;
  const char *box = root != NULL ? strstr(root, "viewBox=\"0 0 ") : NULL;

  if (end == NULL || box == NULL || box > end ||
      sscanf(box, "viewBox=\"0 0 %lf %lf\"", width, height) != 2) {
    return NULL;
  }
  return end + 1;
}

mb_status mb_report_svg_put(const char *path, const char *name, const char *title, FILE *page) {
  char *text = NULL;
  double width = 0.0;
  double height = 0.0;

  MB_TRY(read_text(path, &text));
  const char *body = find_root(text, &width, &height);
  if (body == NULL) {
    free(text);
    return MB_FAIL(MB_ERR_IO, "%s is not an SVG as gnuplot draws it", path);
  }
  (void)fprintf(page,
                "<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-labelledby=\"%s-title\">"
                "<title id=\"%s-title\">",
                width, height, name, name);
  mb_html_put_text(page, title);
  (void)fputs("</title>", page);
  put_body(body, name, page);
  free(text);
  return MB_OK;
}
