/* experiments/report_html.c */
#include "experiments/report_html.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

static bool is_tail(char byte) {
  return ((unsigned char)byte & 0xC0U) == 0x80U;
}

/* Bytes of the character that the text begins with; 0: it is not UTF-8 (RFC 3629). */
static size_t character_size(const char *text) {
  const unsigned char *byte = (const unsigned char *)text;
  size_t size = byte[0] < 0x80   ? 1
                : byte[0] < 0xC2 ? 0
                : byte[0] < 0xE0 ? 2
                : byte[0] < 0xF0 ? 3
                : byte[0] < 0xF5 ? 4
                                 : 0;

  for (size_t i = 1; i < size; i++) {
    if (!is_tail(text[i])) {
      return 0;
    }
  }
  bool overlong = (byte[0] == 0xE0 && byte[1] < 0xA0) || (byte[0] == 0xF0 && byte[1] < 0x90);
  bool none = (byte[0] == 0xED && byte[1] > 0x9F) || (byte[0] == 0xF4 && byte[1] > 0x8F);
  return overlong || none ? 0 : size;
}

static bool is_control(char byte) {
  return ((unsigned char)byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F;
}

/* What stands in a page for a character; NULL: itself. */
typedef const char *(*escape)(char byte);

static void put(FILE *page, const char *text, escape escape_of) {
  while (*text != '\0') {
    size_t size = character_size(text);
    const char *instead = size == 0 || is_control(*text) ? replacement : escape_of(*text);
    if (instead != NULL) {
      (void)fputs(instead, page);
    } else {
      (void)fwrite(text, 1, size, page);
    }
    text += size > 0 ? size : 1;
  }
}

static const char *escape_html(char byte) {
  switch (byte) {
  case '&':
    return "&amp;";
  case '<':
    return "&lt;";
  case '>':
    return "&gt;";
  case '"':
    return "&quot;";
  case '\'':
    return "&#39;";
  default:
    return NULL;
  }
}

/* Without '<' no </script> ends the element, and no <!-- begins what only another one ends. */
static const char *escape_json(char byte) {
  switch (byte) {
  case '"':
    return "\\\"";
  case '\\':
    return "\\\\";
  case '\n':
    return "\\n";
  case '\t':
    return "\\t";
  case '<':
    return "\\u003c";
  case '>':
    return "\\u003e";
  case '&':
    return "\\u0026";
  default:
    return NULL;
  }
}

void mb_html_put_text(FILE *page, const char *text) {
  put(page, text, escape_html);
}

void mb_html_put_prose(FILE *page, const char *text) {
  char *copy = strdup(text);
  bool code = false;

  for (char *part = copy, *quote = copy; quote != NULL; part = quote + 1) {
    quote = strchr(part, '`');
    /* A quote that none closes is one. */
    bool closes = quote != NULL && (code || strchr(quote + 1, '`') != NULL);
    if (quote != NULL) {
      *quote = '\0';
    }
    mb_html_put_text(page, part);
    if (closes) {
      (void)fputs(code ? "</code>" : "<code>", page);
      code = !code;
    } else if (quote != NULL) {
      (void)fputc('`', page);
    }
  }
  free(copy);
}

void mb_html_put_json(FILE *page, const char *text) {
  (void)fputc('"', page);
  put(page, text, escape_json);
  (void)fputc('"', page);
}
